/* parts.h - the inside of a store, for the files of core/store only. See store.h for what it promises. */
#ifndef HG_STORE_PARTS_H
#define HG_STORE_PARTS_H

#include "core/base/check.h"
#include "core/store/bits.h"
#include "core/store/columns.h"
#include "core/store/links.h"
#include "core/store/store.h"
#include "core/store/types.h"
#include "core/store/window.h"

struct store_parts {
    struct region rows;
    struct region used; /* a bit per row, for scans */
    struct index index;
    struct links links;
    struct columns columns;
    struct bits bits;
    struct window window;
    uint32_t free_row; /* slot + 1 of the row given back last; its block[0] names the next */
    uint32_t
        type_at; /* where the type record asked for last stood: an event asks for the same one three times */
    uint32_t largest_entries; /* bytes of the largest block of history entries any profile ever had */
    uint32_t largest_block;   /* bytes of the largest block any profile ever had */
};

static inline void note_entries(struct store *s, const struct type_record *r)
{
    uint32_t bytes = entries_bytes(r);
    if (bytes > s->parts->largest_entries) s->parts->largest_entries = bytes;
}

static inline struct type_record *types_of(const struct store *s, row_t row, uint32_t *count)
{
    uint32_t bytes;
    struct type_record *list = (struct type_record *)(void *)store_block(s, row, BLOCK_TYPES, &bytes);
    *count = bytes / sizeof(struct type_record);
    return list;
}
struct type_record *type_find(const struct store *s, row_t row, uint16_t type); /* NULL: never happened */
struct type_record *type_find_or_add(struct store *s, row_t row, uint16_t type);
row_t row_open(struct store *s, uint32_t slot, struct key key,
               uint32_t now); /* a slot that is free and in no list */
void behaviour_release(struct store *s, row_t row);
void members_restore(struct store *s, row_t row); /* sets the bits that BLOCK_MEMBERS says */
void members_release(struct store *s, row_t row);

#endif
