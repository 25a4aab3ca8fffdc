/* wheel.h - hierarchical hashed wheel of profile wake-ups, to the second.
 * Owner: the shard. It is an index over the store's next_wake column and is rebuilt from it, never saved.
 * Lazy in both directions: an entry is valid only while the row's next_wake still equals its due; a later deadline
 * touches nothing, an earlier one appends one entry. So there is no cancel.
 * Layout: L0 4096 x 1 s, L1 512 x 4096 s, L2 64 x 24.3 d, and a far list beyond (4.25 years); buckets are chains of
 * append-only chunks of 15 entries (128 bytes); an entry is 8 bytes and moves at most twice (far ones three times).
 * Memory: chunks from one region, reused through free lists. Fails: wheel_reserve only.
 * Cost: add about 5-10 ns, an expired entry about 30 ns and its profile's visit.
 * Source: Varghese & Lauck, scheme 7; bitmaps over the buckets make empty time free. */
#ifndef HG_TIME_WHEEL_H
#define HG_TIME_WHEEL_H

#include "core/base/region.h"

struct wheel_entry {
    uint32_t slot, due;
};

struct wheel;
struct wheel *wheel_create(uint32_t now); /* NULL: no memory */
void wheel_destroy(struct wheel *w);
void wheel_clear(struct wheel *w, uint32_t now); /* empty, as if made now; what was reserved stays */
bool wheel_reserve(struct wheel *w, uint32_t entries);
/* due must be later than the wheel's now; what is due already goes to the caller's ready list instead. */
void wheel_add(struct wheel *w, uint32_t slot, uint32_t due);
/* Moves time to at most `to`, hands out up to max entries that are due by then, in due order by second (the order
 * inside one second is the caller's business). Stops early, with its now at the last second handed out completely or
 * partly, when max is reached: call again. Returns how many were written. */
uint32_t wheel_advance(struct wheel *w, uint32_t to, struct wheel_entry *out, uint32_t max);
uint32_t wheel_now(const struct wheel *w);
/* The earliest second at which an entry is due, stale ones included (its own now, while that second is handed out
 * partly); UINT32_MAX: empty. */
uint32_t wheel_next(const struct wheel *w);
uint64_t wheel_entries(const struct wheel *w); /* stale ones included */
uint64_t wheel_bytes(const struct wheel *w);

#endif
