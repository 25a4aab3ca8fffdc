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
    uint32_t stride; /* cells per entry: properties the block was made for; later ones are absent */
    const struct heap *heap;
    const struct schema_event *type;
    const struct day_bucket *days;
    uint32_t day_count;
    uint32_t count, first, last; /* lifetime: number, earliest and latest second */
    uint32_t day_sums; /* number properties that the sums of a day were made for; later ones are zero */
};

struct lifetime { /* of one type, or of all together; all zero: never */
    uint32_t count, first, last;
};

extern const uint64_t CELL_ABSENT; /* 0 */

static inline uint32_t history_time(const struct history_view *h, uint32_t i)
{
    return h->times[(h->head + i) & h->mask];
}
/* The cell where it lies: short text is read in place, so its value lives as long as the view does. */
static inline const uint64_t *history_cell_at(const struct history_view *h, uint32_t i, uint32_t prop)
{
    return prop < h->stride ? &h->cells[(size_t)((h->head + i) & h->mask) * h->stride + prop] : &CELL_ABSENT;
}
static inline uint64_t history_cell(const struct history_view *h, uint32_t i, uint32_t prop)
{
    return *history_cell_at(h, i, prop);
}

/* A cell: 0 is absent, else by declared type
 *   number           the bits of the double; +0.0, whose bits are 0, is CELL_ZERO, a NaN no number ever is
 *   bool             1 false, 2 true
 *   time, date       milliseconds << 1 | 1
 *   string, <= 6 B   byte 0: length + 1, bytes 1..6: the text
 *   longer, raw      byte 0: 0xff, bytes 4..7: heap handle of {u32 length, bytes}
 * Text of a value points into the cell or into the heap: both must stay where they are while it is used. */
#define CELL_ZERO 0x7ff8000000000001ull
static inline double cell_number(uint64_t cell) /* declared a number, and not absent */
{
    double d = 0.0;
    if (cell != CELL_ZERO) memcpy(&d, &cell, 8);
    return d;
}
struct value cell_value(const uint64_t *cell, enum declared_type type, const struct heap *heap);
uint64_t cell_make(struct value v, enum declared_type type,
                   struct heap *heap); /* may take a heap block; v is fitted */
void cell_release(uint64_t cell, enum declared_type type, struct heap *heap);
uint32_t cell_bytes(struct value v,
                    enum declared_type type); /* heap bytes that cell_make would take; 0: inside */

#endif
