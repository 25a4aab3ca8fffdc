/* columns.h - attributes: one typed column each, in blocks of BLOCK_ROWS rows.
 * Owner: the store. A block is three heap blocks: values, the event time of each value, and the "present" bits; it is
 * taken with its first value and kept. A removed value keeps its time, so that an older one does not come back.
 * Forms: numbers as doubles, bools as bytes, times, dates, lists and identifying text as cells (model/history.h), other
 * text as 16-bit codes of a dictionary until that holds about DICTIONARY_TEXTS_MAX; then the column becomes one of cells.
 * Memory: heap; dictionaries' and blocks' tables from malloc, grown by columns_reserve (never inside a batch).
 * Fails: columns_reserve only. */
#ifndef HG_STORE_COLUMNS_H
#define HG_STORE_COLUMNS_H

#include "core/base/heap.h"
#include "core/model/schema.h"
#include "core/store/dictionary.h"

enum column_form { COLUMN_NUMBER, COLUMN_BOOL, COLUMN_CELL, COLUMN_CODE };

struct column_block {
    uint32_t values, times, present; /* heap handles, all 0: nobody here has it */
};

struct column {
    uint8_t type; /* enum declared_type */
    uint8_t form;
    bool keep_first;
    uint32_t capacity; /* of blocks */
    struct column_block *blocks;
    struct dictionary texts; /* COLUMN_CODE */
};

struct columns {
    struct column *list; /* by attribute id */
    uint32_t count;
    uint32_t blocks;    /* taken, of all columns */
    uint64_t bytes;     /* of heap */
    uint32_t credit;    /* rows that may still be written before tables are looked at again */
    uint32_t row_limit; /* that they were made for */
    uint64_t held;      /* the cell replaced last */
    uint8_t held_type;
};

void columns_destroy(struct columns *c);
bool columns_set_schema(struct columns *c, const struct schema *schema);
/* Tables for `writes` more values of each column, rows below row_limit; turns full dictionaries into cells. */
bool columns_reserve(struct columns *c, struct heap *heap, uint32_t writes, uint32_t row_limit);
size_t columns_heap_bound(const struct columns *c, uint32_t rows, uint32_t row_limit);

struct value column_get(const struct column *c, const struct heap *heap, uint32_t row);
void column_prefetch(const struct column *c, const struct heap *heap, uint32_t row);
uint32_t column_time(const struct column *c, const struct heap *heap, uint32_t row);
/* Writes without asking for times; V_NONE or V_NULL removes. Returns the former value, readable till the next call. */
struct value column_put(struct columns *all, struct column *c, struct heap *heap, uint32_t row,
                        struct value v, uint32_t at);
/* The same value again, only newer. False: the row has no place here yet. */
bool column_retime(struct column *c, struct heap *heap, uint32_t row, uint32_t at);
void column_clear(struct column *c, struct heap *heap,
                  uint32_t row); /* value and time: the row is given back */

#endif
