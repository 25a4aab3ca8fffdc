/* region.h - an array that grows in place: address space reserved once, memory committed in steps.
 * Owner: whoever made it. Nothing in a region ever moves, so plain pointers and indices stay good.
 * Memory: reserved PROT_NONE (costs nothing), committed by region_reserve before a batch; from 1 MiB on
 *         the committed part asks for huge pages. Fresh memory is zero.
 * Fails: region_reserve only (memory or the reserved size is exhausted); using reserved bytes cannot. */
#ifndef HG_BASE_REGION_H
#define HG_BASE_REGION_H

#include "core/base/bytes.h"

struct region {
    uint8_t *base;
    size_t used, committed, reserved; /* bytes */
};

/* Whether regions ask for huge pages at all (they do). A process that must stay small says no before it makes any: the
 * first huge page of a young region is mostly empty. */
void region_huge_pages(bool wanted);
bool region_create(struct region *r, size_t bytes_max);
void region_destroy(struct region *r);
/* After it returns true the next `more` bytes behind `used` can be written. */
bool region_reserve(struct region *r, size_t more);
/* All of it can be written from now on; for a table that is touched here and there: its pages stay small, so that what
 * nobody touches costs nothing. */
bool region_commit(struct region *r);

#endif
