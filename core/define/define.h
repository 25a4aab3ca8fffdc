/* define.h - definition files become a checked, compiled, immutable set.
 * Owner: whoever compiled it; shards share it read-only; defset_release when the last one let go.
 * Memory: one arena per set. Fails: with diagnostics of all files in one run; a set is all or nothing.
 * Ids (event types, properties, attributes, segments, journeys, channels, lists) come from the registry of the set
 * before, so that state stays readable; a bundle holds the sources and the registry, and compiles to the same set. */
#ifndef HG_DEFINE_DEFINE_H
#define HG_DEFINE_DEFINE_H

#include "core/journey/graph.h"
#include "core/segment/segments.h"

struct source_file {
    struct slice name;  /* as shown in messages, relative to the directory */
    struct slice text;
};

enum severity { SEVERITY_WARNING, SEVERITY_ERROR };
struct diagnostic {
    uint8_t severity;
    const char *file;
    uint32_t line, column, length; /* 1-based; length of the marked text */
    const char *reason, *fix;      /* fix: what to do, or NULL */
    struct slice source_line;
};
struct diagnostics {
    struct arena arena;
    uint32_t count, errors, capacity;
    struct diagnostic *list;
};
void diagnostics_init(struct diagnostics *d);
void diagnostics_free(struct diagnostics *d);
/* `file:line:col: error: reason`, the source line, a caret, the fix. */
void diagnostics_print(const struct diagnostics *d, struct buf *out);

struct defset {
    struct arena arena;
    uint32_t version;        /* of the data directory: 1, 2, ... */
    struct key hash;         /* of the sources */
    struct schema schema;
    struct segment_set segments;
    struct journey_set journeys;
    struct slice bundle;     /* sources + registry: what the data directory keeps */
    struct registry *registry;
};

/* previous: the set before (its registry and journeys are continued), NULL: the first. Sources are copied.
 * NULL when there were errors. Zones are read from zone_dir (NULL: the system's). */
struct defset *defset_compile(const struct source_file *files, uint32_t count, const struct defset *previous,
                              const char *zone_dir, struct diagnostics *d);
struct defset *defset_from_bundle(struct slice bundle, const char *zone_dir, struct diagnostics *d);
struct defset *defset_empty(void); /* nothing declared, version 0 */
void defset_free(struct defset *set);
/* Compiles one more expression against a set: ad-hoc count, simulate's filters. Memory from `a`. */
const struct program *defset_expression(const struct defset *set, struct slice text, enum expr_want want, struct arena *a,
                                        struct expr_errors *errors);

/* Reads *.yaml below dir (not *.test.yaml), sorted by name; O_NOFOLLOW, at most 1 MiB each. Texts in d's arena. */
struct source_file *sources_read(const char *dir, uint32_t *count, struct diagnostics *d);

uint16_t defset_segment(const struct defset *set, struct slice name); /* ID_NONE if unknown */
uint16_t defset_journey(const struct defset *set, struct slice name);
uint16_t defset_channel(const struct defset *set, struct slice name);

#endif
