/* history.h - what a server keeps of everybody, fetched page by page and put in the order of time: what a dry run plays.
 * Owner: the caller. Memory: all of it at once, about 60 bytes an event and its properties. Fails: a lost connection or
 * an error of the server ends the program. Source: the admin method profile.export. */
#ifndef HG_TOOLS_HISTORY_H
#define HG_TOOLS_HISTORY_H

#include "core/define/define.h"
#include "tools/hourglass/rpc.h"

struct past_event {
    uint32_t at, person, name; /* name: index */
    uint64_t properties;       /* where the map begins in `bytes` */
};
struct past_person {
    uint64_t id,
        traits; /* where they begin in `bytes`; traits: a map, of attributes and consent as they are now */
    uint32_t id_bytes, traits_bytes;
    bool known, told; /* told: an event with the traits has been made */
};
struct past_name {
    struct slice text;
    uint64_t events;
};
struct history {
    struct arena arena;
    struct buf bytes; /* copies of what came */
    struct past_person *people;
    struct past_event *events; /* by time once history_sort was called */
    struct past_name *names;
    uint32_t person_count, name_count;
    uint64_t event_count, person_room, event_room, name_room;
    uint32_t as_of;
    uint64_t folded, undeclared, topics, listed, with_attributes,
        merged; /* what cannot be played, or only as it is now */
};
void history_fetch(struct rpc *rpc, struct history *out);
void history_sort(struct history *h);
void history_free(struct history *h);
/* The event as a Segment message; a person's first one carries the traits. Context properties of `schema` are put back
 * into the context. Into `out`, which is emptied before. */
void history_message(struct history *h, uint64_t event, const struct schema *schema, struct buf *out);

#endif
