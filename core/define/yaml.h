/* yaml.h - a definition file as a tree in which every node knows its place.
 * Owner: the arena of whoever parses; nodes point into it, and to their file. Memory: that arena.
 * Fails: yaml_parse with diagnostics; what is half read is not handed out.
 * libyaml gives the events; it notices no duplicate keys and types no scalars, so both happen here, after YAML 1.2's
 * core schema (`no` is text). Anchors, aliases and tags are refused: a definition is read where it stands. */
#ifndef HG_DEFINE_YAML_H
#define HG_DEFINE_YAML_H

#include "core/define/define.h"

enum { YAML_BYTES_MAX = 1 << 20, YAML_DEPTH_MAX = 16 };

enum node_kind { NODE_SCALAR, NODE_SEQUENCE, NODE_MAPPING };
enum node_style { STYLE_PLAIN, STYLE_SINGLE, STYLE_DOUBLE, STYLE_BLOCK };

struct node {
    uint8_t kind;
    uint8_t style; /* of a scalar */
    bool flow;     /* {a: b} and [a, b] */
    bool
        bad; /* a mistake was reported here: readers treat it as absent, so that one mistake is one message */
    uint32_t count;   /* items, or pairs */
    uint32_t at, end; /* bytes of the file's text */
    uint32_t mark;    /* free for whoever reads the tree */
    const struct source_file *file;
    struct slice text;  /* of a scalar, NUL behind */
    struct node **list; /* items; of a mapping key, value, key, value ... */
};

/* NULL: nothing but blanks and comments, or mistakes (then d->errors rose). */
struct node *yaml_parse(const struct source_file *file, struct arena *a, struct diagnostics *d);

/* Where byte `k` of a scalar's value stands in the file. */
uint32_t node_byte(const struct node *scalar, uint32_t k);

static inline struct node *node_key(const struct node *map, uint32_t i) { return map->list[2 * i]; }
static inline struct node *node_value(const struct node *map, uint32_t i) { return map->list[2 * i + 1]; }
struct node *node_find(const struct node *map, const char *key); /* the value, bad or not; NULL if absent */
/* Keys of a mapping met so far, so that a repeated one is found without looking at all of them. */
struct key_index {
    uint32_t *slots; /* pair + 1 */
    uint32_t mask;
};
struct key_index key_index_new(uint32_t pairs_max, struct arena *a);
/* Puts the pair's key in; the former pair with this key, or the pair itself when it is the first. */
uint32_t key_index_put(struct key_index *x, const struct node *map, uint32_t pair);
bool node_same(const struct node *a, const struct node *b); /* equal content; layout does not count */
void node_canonical(const struct node *n, struct buf *out); /* one text for equal contents */

/* ---- reporting ------------------------------------------------------------------------ */

/* Adds a diagnostic; `length` bytes are marked. The text is formatted into d's arena. */
void report_at(struct diagnostics *d, enum severity severity, const struct source_file *file, uint32_t at,
               uint32_t length, const char *format, ...) __attribute__((format(printf, 6, 7)));
/* The fix of the diagnostic reported last. */
void report_fix(struct diagnostics *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* An error at a node, which becomes bad. */
#define report_node(d, node, ...)                                                                            \
    do {                                                                                                     \
        report_at(d, SEVERITY_ERROR, (node)->file, (node)->at, (node)->end - (node)->at, __VA_ARGS__);       \
        (node)->bad = true;                                                                                  \
    } while (0)
/* The same with what to do about it. */
#define report_wrong(d, node, fix, ...)                                                                      \
    do {                                                                                                     \
        report_node(d, node, __VA_ARGS__);                                                                   \
        report_fix(d, "%s", fix);                                                                            \
    } while (0)
#define report_warning(d, node, ...)                                                                         \
    report_at(d, SEVERITY_WARNING, (node)->file, (node)->at, (node)->end - (node)->at, __VA_ARGS__)
void diagnostics_sort(struct diagnostics *d); /* by file, line, column; repeats leave */
uint32_t line_of(const struct source_file *file, uint32_t at);

/* printf("%.*s", SHOWN(slice)) */
#define SHOWN(slice) (int)(slice).n, (const char *)(slice).p

#endif
