#include "core/store/bits.h"
#include "core/base/check.h"

enum { TABLE_MIN = 4, SEGMENTS_EXPECTED = 256 };

bool bits_create(struct bits *b)
{
    *b = (struct bits){.segment_limit = SEGMENTS_EXPECTED};
    size_t bytes = SEGMENTS_MAX * sizeof(struct bits_segment);
    return region_create(&b->segments, bytes) && region_commit(&b->segments);
}

void bits_destroy(struct bits *b) { region_destroy(&b->segments); }

/* At worst each row enters every segment: a page per block touched and a table that grows to all its blocks. */
size_t bits_heap_bound(const struct bits *b, uint32_t rows, uint32_t row_limit)
{
    uint64_t blocks = row_limit / BLOCK_ROWS + 1, all = blocks * b->segment_limit;
    uint64_t missing = all > b->pages ? all - b->pages : 0;
    uint64_t touched = (uint64_t)rows * b->segment_limit;
    uint64_t table = heap_room((uint32_t)(2 * blocks + TABLE_MIN) * 4);
    return (missing < touched ? missing : touched) * heap_room(PAGE_BYTES) + 2 * table * b->segment_limit;
}

const uint64_t *bits_page(const struct bits *b, const struct heap *heap, uint16_t segment, uint32_t block)
{
    const struct bits_segment *s = bits_segment(b, segment);
    if (block >= s->capacity) return NULL;
    uint32_t page = ((const uint32_t *)heap_at(heap, s->table))[block];
    return page ? heap_at(heap, page) : NULL;
}

bool bits_get(const struct bits *b, const struct heap *heap, uint32_t row, uint16_t segment)
{
    const uint64_t *page = bits_page(b, heap, segment, row / BLOCK_ROWS);
    return page && (page[row % BLOCK_ROWS / 64] >> row % 64 & 1);
}

static void grow_table(struct bits *b, struct bits_segment *s, struct heap *heap, uint32_t block)
{
    uint32_t capacity = s->capacity ? s->capacity : TABLE_MIN;
    while (capacity <= block) capacity *= 2;
    uint32_t table = heap_alloc(heap, capacity * 4);
    memset(heap_at(heap, table), 0, capacity * 4);
    if (s->table) memcpy(heap_at(heap, table), heap_at(heap, s->table), s->capacity * 4);
    if (s->table) heap_release(heap, s->table, s->capacity * 4);
    b->bytes += (capacity - s->capacity) * 4;
    s->table = table;
    s->capacity = capacity;
}

static uint64_t *page_for(struct bits *b, struct bits_segment *s, struct heap *heap, uint32_t block)
{
    if (block >= s->capacity) grow_table(b, s, heap, block);
    uint32_t *table = heap_at(heap, s->table);
    if (!table[block]) {
        table[block] = heap_alloc(heap, PAGE_BYTES);
        memset(heap_at(heap, table[block]), 0, PAGE_BYTES);
        s->pages++;
        b->pages++;
        b->bytes += PAGE_BYTES;
    }
    return heap_at(heap, table[block]);
}

void bits_set(struct bits *b, struct heap *heap, uint32_t row, uint16_t segment, bool member)
{
    struct bits_segment *s = bits_segment(b, segment);
    uint64_t bit = 1ull << row % 64, *page = (uint64_t *)bits_page(b, heap, segment, row / BLOCK_ROWS);
    if (!page && !member) return;
    if (!page) page = page_for(b, s, heap, row / BLOCK_ROWS);
    if (((page[row % BLOCK_ROWS / 64] & bit) != 0) == member) return;
    if (segment >= b->segment_limit) b->segment_limit = segment + 1u;
    page[row % BLOCK_ROWS / 64] ^= bit;
    s->count += member ? 1u : -1u;
}
