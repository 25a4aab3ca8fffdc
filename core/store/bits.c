#include "core/store/bits.h"
#include "core/base/check.h"

enum { SEGMENTS_EXPECTED = 256, TABLE_STEP = 64, BLOCKS_MAX = PROFILES_PER_SHARD_MAX / BLOCK_ROWS + 1 };

static struct bits_block *block_of(const struct bits *b, uint32_t block)
{
    return &((struct bits_block *)b->blocks.base)[block];
}

static uint32_t *count_of(const struct bits *b, uint16_t segment)
{
    return &((uint32_t *)b->counts.base)[segment];
}

bool bits_create(struct bits *b)
{
    *b = (struct bits){.segment_limit = SEGMENTS_EXPECTED};
    size_t blocks = BLOCKS_MAX * sizeof(struct bits_block), counts = SEGMENTS_MAX * sizeof(uint32_t);
    return region_create(&b->blocks, blocks) && region_commit(&b->blocks) &&
           region_create(&b->counts, counts) && region_commit(&b->counts);
}

void bits_destroy(struct bits *b)
{
    region_destroy(&b->blocks);
    region_destroy(&b->counts);
}

static uint32_t table_capacity(const struct bits *b)
{
    return (b->segment_limit + TABLE_STEP - 1) / TABLE_STEP * TABLE_STEP;
}

/* At worst each row enters every segment: a page per block touched, and a new table for it. */
size_t bits_heap_bound(const struct bits *b, uint32_t rows, uint32_t row_limit)
{
    uint64_t blocks = row_limit / BLOCK_ROWS + 1, all = blocks * b->segment_limit;
    uint64_t missing = all > b->pages ? all - b->pages : 0;
    uint64_t touched = (uint64_t)rows * b->segment_limit;
    uint64_t tables = rows < blocks ? rows : blocks;
    return (missing < touched ? missing : touched) * heap_room(PAGE_BYTES) +
           tables * heap_room(table_capacity(b) * 4);
}

uint32_t bits_count(const struct bits *b, uint16_t segment) { return *count_of(b, segment); }

const uint64_t *bits_page(const struct bits *b, const struct heap *heap, uint16_t segment, uint32_t block)
{
    const struct bits_block *k = block_of(b, block);
    if (segment >= k->capacity) return NULL;
    uint32_t page = ((const uint32_t *)heap_at(heap, k->table))[segment];
    return page ? heap_at(heap, page) : NULL;
}

bool bits_get(const struct bits *b, const struct heap *heap, uint32_t row, uint16_t segment)
{
    const uint64_t *page = bits_page(b, heap, segment, row / BLOCK_ROWS);
    return page && (page[row % BLOCK_ROWS / 64] >> row % 64 & 1);
}

static void grow_table(struct bits *b, struct bits_block *k, struct heap *heap)
{
    uint32_t capacity = table_capacity(b), table = heap_alloc(heap, capacity * 4);
    memset(heap_at(heap, table), 0, capacity * 4);
    if (k->table) memcpy(heap_at(heap, table), heap_at(heap, k->table), k->capacity * 4);
    heap_release(heap, k->table, k->capacity * 4);
    b->bytes += (capacity - k->capacity) * 4;
    *k = (struct bits_block){table, capacity};
}

static uint64_t *page_for(struct bits *b, struct heap *heap, uint16_t segment, uint32_t block)
{
    struct bits_block *k = block_of(b, block);
    if (segment >= b->segment_limit) b->segment_limit = segment + 1u;
    if (segment >= k->capacity) grow_table(b, k, heap);
    uint32_t *table = heap_at(heap, k->table);
    table[segment] = heap_alloc(heap, PAGE_BYTES);
    memset(heap_at(heap, table[segment]), 0, PAGE_BYTES);
    b->pages++;
    b->bytes += PAGE_BYTES;
    return heap_at(heap, table[segment]);
}

void bits_set(struct bits *b, struct heap *heap, uint32_t row, uint16_t segment, bool member)
{
    uint64_t bit = 1ull << row % 64, *page = (uint64_t *)bits_page(b, heap, segment, row / BLOCK_ROWS);
    if (!page && !member) return;
    if (!page) page = page_for(b, heap, segment, row / BLOCK_ROWS);
    if (((page[row % BLOCK_ROWS / 64] & bit) != 0) == member) return;
    page[row % BLOCK_ROWS / 64] ^= bit;
    *count_of(b, segment) += member ? 1u : -1u;
}

void bits_prefetch(const struct bits *b, const struct heap *heap, uint32_t row)
{
    const uint8_t *table = heap_at(heap, block_of(b, row / BLOCK_ROWS)->table);
    __builtin_prefetch(table);
    __builtin_prefetch(table + 64);
}
