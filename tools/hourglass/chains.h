/* chains.h - the journeys of a directory as they are written, for pictures and lists: `graph` and `map`.
 * Read from the YAML and not from the compiled set, so that conditions keep their text and everything the language knows
 * can be drawn. The directory is checked first; what is drawn is always valid.
 * Owner: the caller, one arena for all. Fails: mistakes in the files end the program with 3, as `check` shows them. */
#ifndef HG_TOOLS_CHAINS_H
#define HG_TOOLS_CHAINS_H

#include "core/define/yaml.h"

struct chain {
    struct slice name;
    const struct node *node; /* its mapping */
};
struct chains {
    struct arena arena;
    uint32_t count;
    struct chain *list; /* in order of files, then of lines */
};
void chains_read(const char *dir, struct chains *out);
void chains_free(struct chains *c);

/* {key: value, ...} on one line; keys that hold further steps are left out, the rest is as written. */
void print_flow(const struct node *n, struct buf *out);

enum place_kind { PLACE_START, PLACE_END, PLACE_GOAL, PLACE_EXIT, PLACE_WAIT, PLACE_CHOICE, PLACE_ACT };
struct place_drawn {
    uint8_t kind; /* enum place_kind */
    struct slice label;
};
struct path_drawn {
    uint32_t from, to;
    struct slice label; /* empty: none */
    bool any_time;      /* goal, exit: from wherever the person is */
};
struct flow {
    uint32_t place_count, path_count;
    struct place_drawn *places; /* 0: where people enter, 1: the end */
    struct path_drawn *paths;
};
void flow_of(struct chains *c, const struct chain *chain, struct flow *out);

#endif
