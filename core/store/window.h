/* window.h - the durable window of message hashes, for messages whose own time proves nothing.
 * Owner: the store. A ring in order of arrival, at most DEDUP_HOURS and DEDUP_ENTRIES_MAX long, with a hash table.
 * Memory: two regions, grown by window_reserve. Fails: window_reserve only. */
#ifndef HG_STORE_WINDOW_H
#define HG_STORE_WINDOW_H

#include "core/base/region.h"

struct window_entry {
    uint64_t hash;
    uint32_t own_s, received_s;
};

struct window {
    struct region ring;  /* struct window_entry[mask + 1] */
    struct region table; /* u32[2 * (mask + 1)]: place in the ring + 1, linear probing */
    uint32_t mask;       /* of the ring; 0: nothing yet */
    uint32_t head, count;
    uint32_t floor; /* newest own second of what was dropped: what is at or before it may have been here */
    uint32_t floor_ahead; /* the same of messages stamped in the future that had to go by number */
};

bool window_create(struct window *w);
void window_destroy(struct window *w);
bool window_reserve(struct window *w, uint32_t more);
/* True: it was here. */
bool window_find(const struct window *w, uint64_t hash);
void window_expire(struct window *w, uint32_t now);
void window_put(struct window *w, struct window_entry e, uint32_t now); /* drops the oldest when full */
void window_forget(struct window *w, uint32_t own_s); /* what is stamped until then is no longer covered */
bool window_covers(const struct window *w, uint32_t own_s, uint32_t now);
static inline const struct window_entry *window_at(const struct window *w, uint32_t i) /* 0: oldest */
{
    return &((const struct window_entry *)w->ring.base)[(w->head + i) & w->mask];
}

#endif
