/* bits.h - who is in which segment: one bit per row, in pages of BLOCK_ROWS bits, and a count per segment.
 * A block of rows has one table with the pages of all segments: what a person enters and leaves is found in the same
 * line or two, which a batch fetches ahead. A table per segment was a chain of two misses for each flip (80 ns an event).
 * Owner: the store. Memory: pages and tables are heap blocks, a page is taken with its first member and kept.
 * Fails: bits_create only; the caller reserves bits_heap_bound bytes of heap. */
#ifndef HG_STORE_BITS_H
#define HG_STORE_BITS_H

#include "core/base/heap.h"
#include "core/base/limits.h"

enum { SEGMENTS_MAX = 1 << 16, PAGE_BYTES = BLOCK_ROWS / 8 };

struct bits_block {
    uint32_t table;    /* heap handle of u32 page handles by segment, 0: none */
    uint32_t capacity; /* of the table */
};

struct bits {
    struct region blocks;   /* struct bits_block[], by block of rows */
    struct region counts;   /* u32 members by segment */
    uint32_t segment_limit; /* highest segment ever entered + 1, or as announced */
    uint64_t pages, bytes;  /* taken, tables included in bytes */
};

bool bits_create(struct bits *b);
void bits_destroy(struct bits *b);
/* Heap that at most `changes` memberships of rows below row_limit can take. */
size_t bits_heap_bound(const struct bits *b, uint32_t rows, uint32_t row_limit);
uint32_t bits_count(const struct bits *b, uint16_t segment);
const uint64_t *bits_page(const struct bits *b, const struct heap *heap, uint16_t segment, uint32_t block);
bool bits_get(const struct bits *b, const struct heap *heap, uint32_t row, uint16_t segment);
void bits_set(struct bits *b, struct heap *heap, uint32_t row, uint16_t segment,
              bool member); /* no change: no effect */
void bits_prefetch(const struct bits *b, const struct heap *heap, uint32_t row);

#endif
