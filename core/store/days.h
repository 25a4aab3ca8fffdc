/* days.h - events beyond the cap: one bucket per day with a count and the sums of the number properties.
 * Owner: its type record. Memory: heap blocks, one for the list and one per bucket that has sums. */
#ifndef HG_STORE_DAYS_H
#define HG_STORE_DAYS_H

#include "core/store/types.h"

/* A day beyond this many (48 events a second) counts no further; its sums go on. */
enum { DAY_COUNT_MAX = 64 * UINT16_MAX };
uint32_t days_add(uint32_t days, struct heap *heap, uint16_t day, uint32_t count, const int64_t *sums,
                  uint32_t sum_count);
uint32_t days_drop_before(uint32_t days, struct heap *heap, uint32_t day); /* the new handle, 0: none left */
void days_release(uint32_t days, struct heap *heap);

#endif
