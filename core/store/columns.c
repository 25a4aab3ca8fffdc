#include "core/store/columns.h"
#include "core/base/check.h"
#include "core/model/history.h"

#include <stdlib.h>

enum { PRESENT_BYTES = BLOCK_ROWS / 8, TIMES_BYTES = BLOCK_ROWS * 4, CREDIT = 256 };

static const uint8_t width_of[] = {
    [COLUMN_NUMBER] = 8, [COLUMN_BOOL] = 1, [COLUMN_CELL] = 8, [COLUMN_CODE] = 2};

static uint32_t values_bytes(const struct column *c) { return BLOCK_ROWS * (uint32_t)width_of[c->form]; }

static enum column_form form_of(const struct schema_attribute *a)
{
    switch (a->type) {
    case T_NUMBER: return COLUMN_NUMBER;
    case T_BOOL: return COLUMN_BOOL;
    case T_STRING: return a->identifies ? COLUMN_CELL : COLUMN_CODE;
    default: return COLUMN_CELL;
    }
}

void columns_destroy(struct columns *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        heap_table_free(c->list[i].blocks);
        dictionary_free(&c->list[i].texts, NULL);
    }
    free(c->list);
    *c = (struct columns){0};
}

bool columns_set_schema(struct columns *c, const struct schema *schema)
{
    if (schema->attribute_count > c->count) {
        struct column *list = realloc(c->list, schema->attribute_count * sizeof *list);
        if (!list) return false;
        c->list = list;
    }
    for (uint32_t i = 0; i < schema->attribute_count; i++) {
        const struct schema_attribute *a = &schema->attributes[i];
        if (i >= c->count) c->list[i] = (struct column){.type = a->type, .form = (uint8_t)form_of(a)};
        c->list[i].keep_first = a->keep_first;
    }
    if (schema->attribute_count > c->count) c->count = schema->attribute_count;
    c->credit = 0;
    return true;
}

/* ---- rows of one column -------------------------------------------------------------- */

static const struct column_block *block_of(const struct column *c, uint32_t row)
{
    uint32_t block = row / BLOCK_ROWS;
    return block < c->capacity && c->blocks[block].present ? &c->blocks[block] : NULL;
}

static bool is_present(const struct column_block *b, const struct heap *heap, uint32_t at)
{
    return ((const uint64_t *)heap_at(heap, b->present))[at / 64] >> at % 64 & 1;
}

static struct value value_at(const struct column *c, const struct column_block *b, const struct heap *heap,
                             uint32_t at)
{
    const void *values = heap_at(heap, b->values);
    switch ((enum column_form)c->form) {
    case COLUMN_NUMBER: return value_double(((const double *)values)[at]);
    case COLUMN_BOOL: return value_bool(((const uint8_t *)values)[at]);
    case COLUMN_CELL: return cell_value(&((const uint64_t *)values)[at], c->type, heap);
    case COLUMN_CODE: break;
    }
    return value_string(dictionary_text(&c->texts, heap, ((const uint16_t *)values)[at]));
}

struct value column_get(const struct column *c, const struct heap *heap, uint32_t row)
{
    const struct column_block *b = block_of(c, row);
    uint32_t at = row % BLOCK_ROWS;
    return b && is_present(b, heap, at) ? value_at(c, b, heap, at) : value_none();
}

/* Its bit, its time and its value: three lines of memory. */
void column_prefetch(const struct column *c, const struct heap *heap, uint32_t row)
{
    const struct column_block *b = block_of(c, row);
    uint32_t at = row % BLOCK_ROWS;
    if (!b) return;
    __builtin_prefetch((uint8_t *)heap_at(heap, b->present) + at / 8, 1);
    __builtin_prefetch((uint8_t *)heap_at(heap, b->times) + at * 4, 1);
    __builtin_prefetch((uint8_t *)heap_at(heap, b->values) + at * width_of[c->form], 1);
}

uint32_t column_time(const struct column *c, const struct heap *heap, uint32_t row)
{
    const struct column_block *b = block_of(c, row);
    return b ? ((const uint32_t *)heap_at(heap, b->times))[row % BLOCK_ROWS] : 0;
}

/* Zeroed, but memory that was never handed out is zero already and stays untouched. */
static uint32_t zero_alloc(struct heap *heap, uint32_t bytes)
{
    size_t fresh = heap->region.used / HEAP_GRANULE;
    uint32_t handle = heap_alloc(heap, bytes);
    if (handle < fresh) memset(heap_at(heap, handle), 0, bytes);
    return handle;
}

static struct column_block *make_block(struct columns *all, struct column *c, struct heap *heap, uint32_t row)
{
    CHECK(row / BLOCK_ROWS < c->capacity); /* reserve, then apply */
    struct column_block *b = &c->blocks[row / BLOCK_ROWS];
    if (b->present) return b;
    b->values = heap_alloc(heap, values_bytes(c));
    b->times = zero_alloc(heap, TIMES_BYTES);
    b->present = zero_alloc(heap, PRESENT_BYTES);
    all->blocks++;
    all->bytes += values_bytes(c) + TIMES_BYTES + PRESENT_BYTES;
    return b;
}

static void write_value(struct column *c, struct heap *heap, void *values, uint32_t at, struct value v)
{
    switch ((enum column_form)c->form) {
    case COLUMN_NUMBER:
        CHECK(v.kind == V_DOUBLE);
        ((double *)values)[at] = v.d;
        return;
    case COLUMN_BOOL:
        CHECK(v.kind == V_BOOL);
        ((uint8_t *)values)[at] = v.b;
        return;
    case COLUMN_CELL: ((uint64_t *)values)[at] = cell_make(v, c->type, heap); return;
    case COLUMN_CODE: CHECK(v.kind == V_STRING);
    }
    uint32_t code = dictionary_code(&c->texts, heap, value_text(v));
    CHECK(code <= UINT16_MAX); /* else reserve_one had made cells of it */
    ((uint16_t *)values)[at] = (uint16_t)code;
}

/* The former cell is held until the next change, so that its text can still be read. */
static void hold(struct columns *all, struct heap *heap, uint64_t cell, uint8_t type)
{
    cell_release(all->held, all->held_type, heap);
    all->held = cell;
    all->held_type = type;
}

struct value column_put(struct columns *all, struct column *c, struct heap *heap, uint32_t row,
                        struct value v, uint32_t at)
{
    struct column_block *b = make_block(all, c, heap, row);
    uint32_t i = row % BLOCK_ROWS;
    uint64_t *word = &((uint64_t *)heap_at(heap, b->present))[i / 64], bit = 1ull << i % 64,
             former_cell = CELL_ABSENT;
    struct value former = *word & bit ? value_at(c, b, heap, i) : value_none();
    if (c->form == COLUMN_CELL && *word & bit) former_cell = ((uint64_t *)heap_at(heap, b->values))[i];
    bool removes = v.kind == V_NONE || v.kind == V_NULL;
    if (!removes) write_value(c, heap, heap_at(heap, b->values), i, v); /* first: v may be the former text */
    *word = removes ? *word & ~bit : *word | bit;
    ((uint32_t *)heap_at(heap, b->times))[i] = at;
    if (former_cell == CELL_ABSENT) return former;
    hold(all, heap, former_cell, c->type);
    return cell_value(&all->held, c->type, heap);
}

bool column_retime(struct column *c, struct heap *heap, uint32_t row, uint32_t at)
{
    const struct column_block *b = block_of(c, row);
    if (b) ((uint32_t *)heap_at(heap, b->times))[row % BLOCK_ROWS] = at;
    return b != NULL;
}

void column_clear(struct column *c, struct heap *heap, uint32_t row)
{
    const struct column_block *b = block_of(c, row);
    uint32_t at = row % BLOCK_ROWS;
    if (!b) return;
    if (c->form == COLUMN_CELL && is_present(b, heap, at))
        cell_release(((const uint64_t *)heap_at(heap, b->values))[at], c->type, heap);
    ((uint64_t *)heap_at(heap, b->present))[at / 64] &= ~(1ull << at % 64);
    ((uint32_t *)heap_at(heap, b->times))[at] = 0;
}

/* ---- between batches ------------------------------------------------------------------ */

/* At worst each row is the first of its block in every column. */
size_t columns_heap_bound(const struct columns *c, uint32_t rows, uint32_t row_limit)
{
    uint64_t all = (uint64_t)c->count * (row_limit / BLOCK_ROWS + 1);
    uint64_t missing = all > c->blocks ? all - c->blocks : 0, touched = (uint64_t)rows * c->count;
    return (missing < touched ? missing : touched) *
           (heap_room(BLOCK_ROWS * 8) + heap_room(TIMES_BYTES) + heap_room(PRESENT_BYTES));
}

static bool grow_blocks(struct column *c, struct heap *heap, uint32_t row_limit)
{
    uint32_t need = row_limit / BLOCK_ROWS + 1;
    if (need <= c->capacity) return true;
    uint32_t capacity = c->capacity ? c->capacity : 1;
    while (capacity < need) capacity *= 2;
    struct column_block *blocks = heap_table(heap, c->blocks, capacity * sizeof *blocks);
    if (!blocks) return false;
    memset(blocks + c->capacity, 0, (capacity - c->capacity) * sizeof *blocks);
    c->blocks = blocks;
    c->capacity = capacity;
    return true;
}

static uint32_t block_text_bytes(const struct column *c, const struct heap *heap,
                                 const struct column_block *b)
{
    uint32_t bytes = heap_room(BLOCK_ROWS * 8);
    for (uint32_t at = 0; at < BLOCK_ROWS; at++)
        if (is_present(b, heap, at)) bytes += heap_room(4 + value_at(c, b, heap, at).n);
    return bytes;
}

static void block_to_cells(struct columns *all, struct column *c, struct heap *heap, struct column_block *b)
{
    uint32_t values = heap_alloc(heap, BLOCK_ROWS * 8);
    uint64_t *cells = heap_at(heap, values);
    for (uint32_t at = 0; at < BLOCK_ROWS; at++)
        cells[at] =
            is_present(b, heap, at) ? cell_make(value_at(c, b, heap, at), c->type, heap) : CELL_ABSENT;
    heap_release(heap, b->values, values_bytes(c));
    b->values = values;
    all->bytes += BLOCK_ROWS * 8 - values_bytes(c);
}

static bool to_cells(struct columns *all, struct column *c, struct heap *heap)
{
    size_t need = 0;
    for (uint32_t i = 0; i < c->capacity; i++)
        if (c->blocks[i].present) need += block_text_bytes(c, heap, &c->blocks[i]);
    if (!heap_reserve(heap, need)) return false;
    for (uint32_t i = 0; i < c->capacity; i++)
        if (c->blocks[i].present) block_to_cells(all, c, heap, &c->blocks[i]);
    dictionary_free(&c->texts, heap);
    c->form = COLUMN_CELL;
    return true;
}

static bool reserve_one(struct columns *all, struct column *c, struct heap *heap, uint32_t writes,
                        uint32_t row_limit)
{
    if (!grow_blocks(c, heap, row_limit)) return false;
    if (c->form != COLUMN_CODE) return true;
    uint32_t most = c->texts.count + writes;
    if (most > UINT16_MAX || (most > DICTIONARY_TEXTS_MAX && c->texts.count > DICTIONARY_TEXTS_MAX / 2))
        return to_cells(all, c, heap);
    return dictionary_reserve(&c->texts, heap, writes);
}

bool columns_reserve(struct columns *c, struct heap *heap, uint32_t writes, uint32_t row_limit)
{
    if (writes <= c->credit && row_limit <= c->row_limit) {
        c->credit -= writes;
        return true;
    }
    uint32_t ahead = writes + CREDIT, limit = row_limit + CREDIT;
    for (uint32_t i = 0; i < c->count; i++)
        if (!reserve_one(c, &c->list[i], heap, ahead, limit)) return false;
    c->credit = ahead - writes;
    c->row_limit = limit;
    return true;
}
