#include "core/store/types.h"
#include "core/base/planted.h"
#include "core/base/check.h"
#include "core/store/days.h"
#include "core/store/store.h"

enum { DAY_S = 86400 };

struct type_rules type_rules(const struct schema *schema, uint16_t type)
{
    const struct schema_event *e = schema_event(schema, type);
    if (!e) return (struct type_rules){.cap = HISTORY_CAP_PLAIN};
    uint32_t cap = e->cap ? e->cap : e->plain ? HISTORY_CAP_PLAIN : HISTORY_CAP_DEFAULT;
    CHECK(cap <= HISTORY_ENTRIES_MAX && e->prop_count <= PROPS_PER_EVENT_MAX);
    return (struct type_rules){e, e->keep_s, cap, e->plain ? 0 : (uint8_t)e->prop_count};
}

/* ---- the block of entries ------------------------------------------------------------- */

struct ring {
    uint32_t *times, *hashes, *own; /* own: NULL without TYPE_OWN */
    uint64_t *cells;
    uint32_t mask;
};

static uint32_t cap_of(const struct type_record *r) { return r->entries ? 1u << (r->shape & TYPE_LOG2) : 0; }

static uint32_t shape_bytes(uint8_t shape, uint32_t stride)
{
    uint32_t cap = 1u << (shape & TYPE_LOG2);
    return cap * (8 + 8 * stride) + (shape & TYPE_OWN ? 4 * (cap + 1) : 0);
}

uint32_t entries_bytes(const struct type_record *r)
{
    return r->entries ? shape_bytes(r->shape, r->stride) : 0;
}

static struct ring ring_of(const struct type_record *r, const struct heap *heap)
{
    uint32_t cap = cap_of(r), *block = heap_at(heap, r->entries);
    struct ring ring = {.times = block, .hashes = block + cap, .mask = cap - 1};
    ring.cells = (uint64_t *)(void *)(block + 2 * cap);
    if (r->shape & TYPE_OWN) ring.own = (uint32_t *)(void *)(ring.cells + (size_t)cap * r->stride);
    return ring;
}

uint32_t type_own_newest(const struct type_record *r, const struct heap *heap)
{
    return r->shape & TYPE_OWN ? ring_of(r, heap).own[cap_of(r)] : r->last;
}

static uint32_t place(const struct type_record *r, const struct ring *ring, uint32_t i)
{
    return (r->head + i) & ring->mask;
}

static void move_entry(const struct ring *to, uint32_t to_place, uint32_t to_stride, const struct ring *from,
                       uint32_t from_place, uint32_t stride)
{
    to->times[to_place] = from->times[from_place];
    to->hashes[to_place] = from->hashes[from_place];
    if (to->own) to->own[to_place] = from->own ? from->own[from_place] : from->times[from_place];
    if (!to_stride) return;
    uint64_t *cells = to->cells + (size_t)to_place * to_stride;
    memmove(cells, from->cells + (size_t)from_place * stride, stride * sizeof *cells);
    memset(cells + stride, 0, (to_stride - stride) * sizeof *cells);
}

/* Of a ring that lies straight, as all do that never let go of an entry. */
static void move_all(const struct ring *to, const struct ring *from, uint32_t n, uint32_t stride)
{
    memcpy(to->times, from->times, n * sizeof *to->times);
    memcpy(to->hashes, from->hashes, n * sizeof *to->hashes);
    memcpy(to->cells, from->cells, (size_t)n * stride * sizeof *to->cells);
}

/* A new block of another shape, entries unrolled. */
static void reshape(struct type_record *r, struct heap *heap, uint8_t shape, uint8_t stride)
{
    struct type_record old = *r;
    uint32_t newest = type_own_newest(r, heap);
    r->entries = heap_alloc(heap, shape_bytes(shape, stride));
    r->shape = shape;
    r->stride = stride;
    r->head = 0;
    struct ring to = ring_of(r, heap);
    if (old.entries) {
        struct ring from = ring_of(&old, heap);
        if (!to.own && !old.head && stride == old.stride)
            move_all(&to, &from, r->n, stride);
        else
            for (uint32_t i = 0; i < r->n; i++)
                move_entry(&to, i, stride, &from, place(&old, &from, i), old.stride);
        heap_release(heap, old.entries, entries_bytes(&old));
    }
    if (to.own) to.own[cap_of(r)] = newest;
}

static uint8_t stride_needed(const struct type_record *r, const struct type_rules *rules,
                             const struct entry *e)
{
    uint32_t count = e->props ? e->prop_count : 0, need = r->entries ? r->stride : rules->stride;
    for (uint32_t i = need; i < count && i < rules->stride; i++)
        if (e->props[i].kind != V_NONE && e->props[i].kind != V_NULL) return rules->stride;
    return (uint8_t)need;
}

static void make_room(struct type_record *r, const struct type_rules *rules, struct heap *heap,
                      const struct entry *e)
{
    uint8_t stride = stride_needed(r, rules, e), shape = r->shape;
    if (e->own_s != e->at) shape |= TYPE_OWN;
    if (r->entries && r->n == cap_of(r)) shape++;
    if (!r->entries || shape != r->shape || stride != r->stride) reshape(r, heap, shape, stride);
}

static void write_cells(const struct type_record *r, const struct ring *ring, uint32_t at,
                        const struct type_rules *rules, struct heap *heap, const struct entry *e)
{
    uint64_t *cells = ring->cells + (size_t)at * r->stride;
    for (uint32_t i = 0; i < r->stride; i++) {
        bool has = e->props && i < e->prop_count && e->props[i].kind != V_NONE && e->props[i].kind != V_NULL;
        cells[i] = has ? cell_make(e->props[i], rules->type->props[i].type, heap) : CELL_ABSENT;
    }
}

static void write_entry(const struct type_record *r, const struct ring *ring, uint32_t at,
                        const struct type_rules *rules, struct heap *heap, const struct entry *e)
{
    ring->times[at] = e->at;
    ring->hashes[at] = e->hash;
    if (ring->own) ring->own[at] = e->own_s;
    write_cells(r, ring, at, rules, heap, e);
}

static void insert(struct type_record *r, const struct type_rules *rules, struct heap *heap,
                   const struct entry *e)
{
    make_room(r, rules, heap, e);
    struct ring ring = ring_of(r, heap);
    uint32_t i = r->n++;
    for (; i && ring.times[place(r, &ring, i - 1)] > e->at; i--)
        move_entry(&ring, place(r, &ring, i), r->stride, &ring, place(r, &ring, i - 1), r->stride);
    write_entry(r, &ring, place(r, &ring, i), rules, heap, e);
}

/* ---- what no longer is an entry ------------------------------------------------------- */

static uint32_t number_sums(const struct schema_event *type, const uint64_t *cells, uint32_t stride,
                            int64_t *sums)
{
    uint32_t k = 0, used = 0;
    for (uint32_t i = 0; i < stride; i++) {
        if (type->props[i].type != T_NUMBER) continue;
        sums[k++] = cells[i] == CELL_ABSENT ? 0 : value_micros(cell_value(&cells[i], T_NUMBER, NULL));
        if (cells[i] != CELL_ABSENT) used = k;
    }
    return used;
}

static void lose(struct type_record *r, uint32_t own_s)
{
    if (own_s > r->lost) r->lost = own_s;
}

static void drop_oldest(struct type_record *r, const struct schema_event *type, struct heap *heap)
{
    struct ring ring = ring_of(r, heap);
    uint32_t at = place(r, &ring, 0);
    const uint64_t *cells = ring.cells + (size_t)at * r->stride;
    for (uint32_t i = 0; i < r->stride; i++) cell_release(cells[i], type->props[i].type, heap);
    lose(r, ring.own ? ring.own[at] : ring.times[at]);
    r->head = (uint16_t)((at + 1) & ring.mask);
    r->n--;
}

static void fold_oldest(struct type_record *r, const struct type_rules *rules, struct heap *heap)
{
    struct ring ring = ring_of(r, heap);
    uint32_t at = place(r, &ring, 0), sum_count = 0;
    int64_t sums[PROPS_PER_EVENT_MAX];
    if (r->stride) sum_count = number_sums(rules->type, ring.cells + (size_t)at * r->stride, r->stride, sums);
    r->days = days_add(r->days, heap, (uint16_t)(ring.times[at] / DAY_S), 1, sums, sum_count);
    drop_oldest(r, rules->type, heap);
}

static void fold_directly(struct type_record *r, const struct type_rules *rules, struct heap *heap,
                          const struct entry *e)
{
    int64_t sums[PROPS_PER_EVENT_MAX];
    uint32_t k = 0, used = 0;
    for (uint32_t i = 0; i < rules->stride && e->props && i < e->prop_count; i++) {
        if (rules->type->props[i].type != T_NUMBER) continue;
        sums[k++] = e->props[i].kind == V_DOUBLE ? value_micros(e->props[i]) : 0;
        if (e->props[i].kind == V_DOUBLE) used = k;
    }
    r->days = days_add(r->days, heap, (uint16_t)(e->at / DAY_S), 1, sums, used);
    lose(r, e->own_s);
}

uint32_t entry_oldest(const struct type_record *r, const struct heap *heap)
{
    struct ring ring = ring_of(r, heap);
    return ring.times[r->head];
}

void type_own_settle(struct type_record *r, struct heap *heap, uint32_t own_s)
{
    if (!(r->shape & TYPE_OWN) && own_s == r->last) return;
    if (!(r->shape & TYPE_OWN)) reshape(r, heap, r->shape | TYPE_OWN, r->stride);
    ring_of(r, heap).own[cap_of(r)] = own_s;
}

void type_sort_in(struct type_record *r, const struct type_rules *rules, struct heap *heap,
                  const struct entry *e)
{
    while (r->n > rules->cap) fold_oldest(r, rules, heap); /* the cap was lowered */
    if (r->n == rules->cap && e->at < entry_oldest(r, heap)) {
        fold_directly(r, rules, heap, e);
        return;
    }
    if (r->n == rules->cap) fold_oldest(r, rules, heap);
    insert(r, rules, heap, e);
}

static void forget_before(struct type_record *r, const struct type_rules *rules, struct heap *heap,
                          uint32_t second)
{
    while (r->n && entry_oldest(r, heap) < second) drop_oldest(r, rules->type, heap);
    if (r->days) r->days = days_drop_before(r->days, heap, second / DAY_S);
}

static uint32_t kept_from(const struct type_rules *rules, uint32_t now)
{
    return rules->keep_s && now > rules->keep_s ? now - rules->keep_s : 0;
}

static bool is_newest(const struct type_record *r, const struct type_rules *rules, const struct heap *heap,
                      const struct entry *e, uint32_t from)
{
    if (e->at < r->last || e->own_s != e->at || (r->shape & TYPE_OWN) || r->count == UINT32_MAX) return false;
    if (r->n >= rules->cap || (r->entries ? r->stride != rules->stride || !r->n : r->count)) return false;
    return !from || (!r->days && e->at >= from && (!r->n || entry_oldest(r, heap) >= from));
}

bool type_append(struct type_record *r, const struct type_rules *rules, struct heap *heap,
                 const struct entry *e, uint32_t now)
{
    if (!is_newest(r, rules, heap, e, kept_from(rules, now))) return false;
    if (!r->entries)
        reshape(r, heap, r->shape, rules->stride);
    else if (r->n == cap_of(r))
        reshape(r, heap, r->shape + 1, r->stride);
    struct ring ring = ring_of(r, heap);
    write_entry(r, &ring, place(r, &ring, r->n), rules, heap, e);
    r->n++;
    if (!r->count++) r->first = e->at;
    r->last = e->at;
    return true;
}

void type_add(struct type_record *r, const struct type_rules *rules, struct heap *heap, const struct entry *e,
              uint32_t now)
{
    if (!r->entries) make_room(r, rules, heap, e);
    uint32_t from = kept_from(rules, now);
    if (from) forget_before(r, rules, heap, from);
    uint32_t newest = type_own_newest(r, heap);
    if (e->at < from)
        lose(r, e->own_s);
    else
        type_sort_in(r, rules, heap, e);
    if (!r->count || e->at < r->first) r->first = e->at;
    if (e->at > r->last) r->last = e->at;
    if (r->count < UINT32_MAX && !(PLANTED(fold_loses_one) && r->n == rules->cap)) r->count++;
    type_own_settle(r, heap, newest > e->own_s ? newest : e->own_s);
}

void type_add_day(struct type_record *r, const struct type_rules *rules, struct heap *heap, uint16_t day,
                  uint32_t count, const int64_t *sums, uint32_t sum_count)
{
    r->days = days_add(r->days, heap, day, count, sums, sum_count);
}

/* ---- questions ------------------------------------------------------------------------ */

uint32_t entry_own(const struct type_record *r, const struct heap *heap, uint32_t i)
{
    struct ring ring = ring_of(r, heap);
    return ring.own ? ring.own[place(r, &ring, i)] : ring.times[place(r, &ring, i)];
}

/* Own seconds that differ from the times are in no order, then all are looked at. */
bool entry_exists(const struct type_record *r, const struct heap *heap, uint32_t own_s, uint32_t hash)
{
    if (!r->n) return false;
    struct ring ring = ring_of(r, heap);
    for (uint32_t i = r->n; i-- > 0;) {
        uint32_t at = place(r, &ring, i);
        if (!ring.own && ring.times[at] < own_s) return false;
        if (ring.hashes[at] == hash &&
            ((ring.own ? ring.own : ring.times)[at] == own_s || PLANTED(dedup_by_id_only)))
            return true;
    }
    return false;
}

void type_view(const struct type_record *r, const struct schema_event *type, const struct heap *heap,
               struct history_view *out)
{
    *out = (struct history_view){.head = r->head,
                                 .n = r->n,
                                 .stride = r->stride,
                                 .heap = heap,
                                 .type = type,
                                 .count = r->count,
                                 .first = r->first,
                                 .last = r->last};
    if (r->entries) {
        struct ring ring = ring_of(r, heap);
        out->times = ring.times;
        out->hashes = ring.hashes;
        out->cells = r->stride ? ring.cells : NULL;
        out->mask = ring.mask;
    }
    const struct days *days = type_days(r, heap);
    if (!days) return;
    out->days = days->list;
    out->day_count = days->count;
    out->day_sums = days->sums;
}

void type_release(struct type_record *r, const struct schema_event *type, struct heap *heap)
{
    while (r->n && r->stride) drop_oldest(r, type, heap);
    heap_release(heap, r->entries, entries_bytes(r));
    days_release(r->days, heap);
}
