/* leaves.h - which segments an event may flip: the comparisons with constants that lie between old and new.
 * Owner: the segment set, immutable. Memory: its arena.
 * Cost: a few ns per window, sum and constant of the event's type that is near; segments that are far cost nothing. */
#ifndef HG_SEGMENT_LEAVES_H
#define HG_SEGMENT_LEAVES_H

#include "core/segment/segments.h"

struct leaf_index;
struct leaf_index *leaf_index_make(const struct segment_set *set, struct arena *a); /* after `order` */

/* Ranks (positions in `order`) as bits of marks. `view`: the type's history where it was looked at, else its count is 0.
 * *next is lowered to the second at which time alone flips what the event concerned without being marked. */
void leaf_mark_all(const struct leaf_index *index, uint16_t type, uint64_t *marks);
void leaf_mark_flips(const struct leaf_index *index, const struct history_change *c, const struct store *s,
                     row_t row, const struct zone *zone, uint32_t now, uint64_t *marks,
                     struct history_view *view, uint32_t *next);
bool leaf_calendars(const struct leaf_index *index);

#endif
