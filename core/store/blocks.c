#include "core/store/blocks.h"
#include "core/store/parts.h"

static const struct column *column_of(const struct store *s, uint16_t attribute)
{
    return attribute < s->parts->columns.count ? &s->parts->columns.list[attribute] : NULL;
}

struct column_view store_column(const struct store *s, uint16_t attribute, uint32_t block)
{
    const struct column *c = column_of(s, attribute);
    if (!c) return (struct column_view){0};
    struct column_view v = {.form = c->form, .type = c->type};
    if (block >= c->capacity || !c->blocks[block].present) return v;
    v.values = heap_at(&s->heap, c->blocks[block].values);
    v.present = heap_at(&s->heap, c->blocks[block].present);
    return v;
}

uint32_t store_column_texts(const struct store *s, uint16_t attribute)
{
    const struct column *c = column_of(s, attribute);
    return c && c->form == COLUMN_CODE ? c->texts.count : 0;
}

struct slice store_column_text(const struct store *s, uint16_t attribute, uint32_t code)
{
    return dictionary_text(&column_of(s, attribute)->texts, &s->heap, code);
}

const uint64_t *store_used(const struct store *s, uint32_t block)
{
    return (const uint64_t *)(const void *)s->parts->used.base + block * (BLOCK_ROWS / 64);
}

void store_prefetch_history(const struct store *s, row_t row)
{
    const uint8_t *types = heap_at(&s->heap, s->rows[row.v].block[BLOCK_TYPES]);
    __builtin_prefetch(types);
    __builtin_prefetch(types + 64);
}
