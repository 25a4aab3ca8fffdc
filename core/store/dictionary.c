#include "core/store/dictionary.h"
#include "core/base/check.h"
#include "core/base/hash.h"

#include <stdlib.h>

enum { DICTIONARY_MIN = 16 };

struct slice dictionary_text(const struct dictionary *d, const struct heap *heap, uint32_t code)
{
    const uint8_t *block = heap_at(heap, d->texts[code]);
    return slice_of(block + 4, load_le32(block));
}

static uint32_t *cell_of(const struct dictionary *d, const struct heap *heap, struct slice text)
{
    uint32_t at = (uint32_t)hash64_plain(text.p, text.n) & d->mask;
    while (d->table[at] && !slice_eq(dictionary_text(d, heap, d->table[at] - 1), text))
        at = (at + 1) & d->mask;
    return &d->table[at];
}

bool dictionary_reserve(struct dictionary *d, const struct heap *heap, uint32_t more)
{
    if (d->capacity - d->count >= more) return true;
    uint32_t capacity = d->capacity ? d->capacity : DICTIONARY_MIN;
    while (capacity - d->count < more) capacity *= 2;
    uint32_t *texts = realloc(d->texts, capacity * sizeof *texts);
    if (!texts) return false;
    d->texts = texts;
    uint32_t *table = calloc(2 * (size_t)capacity, sizeof *table);
    if (!table) return false;
    free(d->table);
    d->table = table;
    d->capacity = capacity;
    d->mask = 2 * capacity - 1;
    for (uint32_t code = 0; code < d->count; code++)
        *cell_of(d, heap, dictionary_text(d, heap, code)) = code + 1;
    return true;
}

uint32_t dictionary_code(struct dictionary *d, struct heap *heap, struct slice text)
{
    CHECK(d->count < d->capacity); /* reserve, then apply */
    uint32_t *cell = cell_of(d, heap, text);
    if (*cell) return *cell - 1;
    uint32_t handle = heap_alloc(heap, 4 + text.n);
    uint8_t *block = heap_at(heap, handle);
    store_le32(block, text.n);
    if (text.n) memcpy(block + 4, text.p, text.n);
    d->texts[d->count] = handle;
    *cell = ++d->count;
    return d->count - 1;
}

void dictionary_free(struct dictionary *d, struct heap *heap)
{
    for (uint32_t code = 0; heap && code < d->count; code++)
        heap_release(heap, d->texts[code], 4 + dictionary_text(d, heap, code).n);
    free(d->texts);
    free(d->table);
    *d = (struct dictionary){0};
}
