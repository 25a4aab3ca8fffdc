/* links.h - "this id now belongs to that key": merged anonymous ids, identifying traits.
 * Owner: the store. A link lives where its id's key lives; its target may be a person of another shard.
 * Memory: one region of slots with a free list, an index by id (shared with the rows) and one by target.
 * Fails: links_reserve only. */
#ifndef HG_STORE_LINKS_H
#define HG_STORE_LINKS_H

#include "core/store/index.h"

struct link {
    struct key id, target;
    uint32_t next, previous; /* slot + 1 of the links with the same target; of a free slot: next free */
    uint64_t spare;
};
_Static_assert(sizeof(struct link) == 48, "no padding");

struct links {
    struct region region;   /* struct link[]; a free slot has a zero id */
    struct index by_target; /* -> first slot of the target's chain */
    uint32_t free;          /* slot + 1, 0: none */
    uint32_t limit, count;
};

bool links_create(struct links *l);
void links_destroy(struct links *l);
bool links_reserve(struct links *l, uint32_t more);
static inline struct link *link_at(const struct links *l, uint32_t slot)
{
    return &((struct link *)l->region.base)[slot];
}
uint32_t links_add(struct links *l, struct key id, struct key target); /* the slot; the caller indexes id */
void links_remove(struct links *l, uint32_t slot);
uint32_t links_first(const struct links *l, struct key target); /* a slot, INDEX_NONE: no link leads there */

#endif
