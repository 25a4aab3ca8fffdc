#include "core/model/history.h"
#include "core/base/check.h"

/* Cells are little-endian words, so that byte 0 is the lowest one. */
enum { INSIDE_MAX = 6, IN_HEAP = 0xff };

const uint64_t CELL_ABSENT = 0;

static bool is_text(enum declared_type type)
{
    return type == T_STRING || type == T_STRINGS || type == T_RAW;
}

uint32_t cell_bytes(struct value v, enum declared_type type)
{
    if (v.kind == V_NONE || v.kind == V_NULL || !is_text(type)) return 0;
    return type == T_STRING && v.n <= INSIDE_MAX ? 0 : 4 + v.n;
}

static uint64_t text_inside(struct value v)
{
    uint8_t cell[8] = {(uint8_t)(v.n + 1)};
    if (v.n) memcpy(cell + 1, v.s, v.n);
    return load_le64(cell);
}

static uint64_t text_in_heap(struct value v, struct heap *heap)
{
    uint32_t handle = heap_alloc(heap, 4 + v.n);
    uint8_t *block = heap_at(heap, handle);
    store_le32(block, v.n);
    if (v.n) memcpy(block + 4, v.s, v.n);
    return (uint64_t)handle << 32 | IN_HEAP;
}

static uint64_t number_cell(double d)
{
    uint64_t bits;
    CHECK(d == d);
    memcpy(&bits, &d, 8);
    return bits ? bits : CELL_ZERO;
}

uint64_t cell_make(struct value v, enum declared_type type, struct heap *heap)
{
    if (v.kind == V_NONE || v.kind == V_NULL) return CELL_ABSENT;
    switch (type) {
    case T_NUMBER: CHECK(v.kind == V_DOUBLE); return number_cell(v.d);
    case T_BOOL: CHECK(v.kind == V_BOOL); return v.b ? 2 : 1;
    case T_TIME:
    case T_DATE: CHECK(v.kind == V_TIME); return (uint64_t)(v.i * 1000 + v.n / 1000000) << 1 | 1;
    case T_STRING:
        CHECK(v.kind == V_STRING);
        return v.n <= INSIDE_MAX ? text_inside(v) : text_in_heap(v, heap);
    case T_STRINGS:
    case T_RAW: CHECK(v.kind == V_RAW); return text_in_heap(v, heap);
    }
    CHECK(!"a declared type");
    return CELL_ABSENT;
}

static struct value time_of(uint64_t cell)
{
    int64_t ms = (int64_t)cell >> 1, s = ms / 1000 - (ms % 1000 < 0);
    struct value v = value_time(s);
    v.n = (uint32_t)(ms - s * 1000) * 1000000;
    return v;
}

static struct value text_of(const uint64_t *cell, enum declared_type type, const struct heap *heap)
{
    struct value v = {.kind = type == T_STRING ? V_STRING : V_RAW};
    const uint8_t *byte = (const uint8_t *)cell;
    if (byte[0] != IN_HEAP) {
        v.n = byte[0] - 1u;
        v.s = byte + 1;
        return v;
    }
    const uint8_t *block = heap_at(heap, (uint32_t)(*cell >> 32));
    v.n = load_le32(block);
    v.s = block + 4;
    return v;
}

struct value cell_value(const uint64_t *cell, enum declared_type type, const struct heap *heap)
{
    if (*cell == CELL_ABSENT) return value_none();
    switch (type) {
    case T_NUMBER: return value_double(cell_number(*cell));
    case T_BOOL: return value_bool(*cell == 2);
    case T_TIME:
    case T_DATE: return time_of(*cell);
    default: return text_of(cell, type, heap);
    }
}

void cell_release(uint64_t cell, enum declared_type type, struct heap *heap)
{
    if (!is_text(type) || (cell & 0xff) != IN_HEAP) return;
    uint32_t handle = (uint32_t)(cell >> 32);
    heap_release(heap, handle, 4 + load_le32(heap_at(heap, handle)));
}
