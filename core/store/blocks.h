/* blocks.h - the store a block of BLOCK_ROWS rows at a time: what scans read without asking row by row.
 * Owner: the store; all pointers are good until its next change. Cost: a look-up per block. */
#ifndef HG_STORE_BLOCKS_H
#define HG_STORE_BLOCKS_H

#include "core/store/columns.h"
#include "core/store/store.h"

struct column_view {
    uint8_t form, type;      /* enum column_form, enum declared_type */
    const void *values;      /* by row of the block; NULL with present NULL: nobody here has it */
    const uint64_t *present; /* a bit per row */
};
struct column_view store_column(const struct store *s, uint16_t attribute, uint32_t block);
/* Codes of a COLUMN_CODE are below this; 0: it has none. */
uint32_t store_column_texts(const struct store *s, uint16_t attribute);
struct slice store_column_text(const struct store *s, uint16_t attribute, uint32_t code);

static inline uint32_t store_blocks(const struct store *s)
{
    return (s->row_limit + BLOCK_ROWS - 1) / BLOCK_ROWS;
}
const uint64_t *store_used(const struct store *s, uint32_t block); /* rows in use, a bit each */
/* A row that will be asked about its history soon. */
void store_prefetch_history(const struct store *s, row_t row);

#endif
