/* history.h - what a person did of one event type: the view that expressions walk and the store fills.
 * Owner: the store; a view is good until the next change of that profile. Memory: none of its own.
 * Entries are in (time, arrival) order, oldest first; i = 0 .. n-1. A cell is one declared property in 8 bytes. */
#ifndef HG_MODEL_HISTORY_H
#define HG_MODEL_HISTORY_H

#include "core/base/heap.h"
#include "core/model/schema.h"

/* Events beyond the cap, one bucket per day (UTC): how many, and per number property the sum in micros. */
struct day_bucket {
    uint16_t day; /* since 1970-01-01 */
    uint16_t count;
    uint32_t sums; /* heap handle of int64[number properties], 0 if none */
};

struct history_view {
    const uint32_t *times;  /* ring of mask+1 */
    const uint32_t *hashes; /* low 32 bits of the message hash */
    const uint64_t *cells;  /* ring of (mask+1) * stride; NULL when stride is 0 */
    uint32_t mask, head, n;
    uint32_t stride;        /* cells per entry: properties the block was made for; later ones are absent */
    const struct heap *heap;
    const struct schema_event *type;
    const struct day_bucket *days;
    uint32_t day_count;
    uint32_t count, first, last; /* lifetime: number, earliest and latest second */
};

static inline uint32_t history_time(const struct history_view *h, uint32_t i) { return h->times[(h->head + i) & h->mask]; }
static inline uint64_t history_cell(const struct history_view *h, uint32_t i, uint32_t prop)
{
    return prop < h->stride ? h->cells[(size_t)((h->head + i) & h->mask) * h->stride + prop] : 0;
}

/* A cell: 0 is absent. Numbers are the bits of the double with the lowest possible NaN payload spared for "zero bits"
 * (+0.0 is stored as a tagged pattern); bool, time and date are tagged integers; text up to 6 bytes is inside, longer
 * text and raw MessagePack are heap blocks with the length before the bytes. */
struct value cell_value(uint64_t cell, enum declared_type type, const struct heap *heap);
uint64_t cell_make(struct value v, enum declared_type type, struct heap *heap); /* may take a heap block */
void cell_release(uint64_t cell, enum declared_type type, struct heap *heap);
uint32_t cell_bytes(struct value v, enum declared_type type); /* heap bytes that cell_make would take; 0: inside */

#endif
