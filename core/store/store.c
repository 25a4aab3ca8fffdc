/* The facade: rows, the people index, links, blocks, and what must be asked for before a batch. */
#include "core/store/parts.h"

#include <stdlib.h>

enum { FETCHED_CLASSES = 2 /* of texts: blocks of one and two granules */ };

/* ---- making -------------------------------------------------------------------------- */

bool store_create(struct store *s, const struct schema *schema)
{
    *s = (struct store){.schema = schema};
    struct store_parts *p = s->parts = calloc(1, sizeof *p);
    if (!p) return false;
    if (!region_create(&p->rows, (size_t)PROFILES_PER_SHARD_MAX * sizeof(struct row))) return false;
    s->rows = (struct row *)(void *)p->rows.base;
    if (!region_create(&p->used, PROFILES_PER_SHARD_MAX / 8) || !region_commit(&p->used)) return false;
    if (!heap_create(&s->heap, HEAP_BYTES_MAX) || !links_create(&p->links)) return false;
    struct index_source rows = {p->rows.base + offsetof(struct row, key), sizeof(struct row)};
    struct index_source links = {p->links.region.base + offsetof(struct link, id), sizeof(struct link)};
    if (!index_create(&p->index, rows, links) || !bits_create(&p->bits) || !window_create(&p->window))
        return false;
    return columns_set_schema(&p->columns, schema);
}

void store_destroy(struct store *s)
{
    struct store_parts *p = s->parts;
    if (!p) return;
    columns_destroy(&p->columns);
    region_destroy(&p->rows);
    region_destroy(&p->used);
    index_destroy(&p->index);
    links_destroy(&p->links);
    bits_destroy(&p->bits);
    window_destroy(&p->window);
    heap_destroy(&s->heap);
    free(p);
    *s = (struct store){0};
}

void store_set_schema(struct store *s, const struct schema *schema)
{
    s->schema = schema;
    CHECK(columns_set_schema(&s->parts->columns,
                             schema)); /* a few bytes per attribute, while definitions are loaded */
}

void store_set_segments(struct store *s, uint32_t count)
{
    CHECK(count <= SEGMENTS_MAX);
    if (count > s->parts->bits.segment_limit) s->parts->bits.segment_limit = count;
}

/* ---- reserving ----------------------------------------------------------------------- */

/* What the heap may have to give:
 *  - each event doubles two histories (its own and a derived one) or gives them another shape: four times the largest
 *    block of entries there is; to outgrow that within the batch takes as many events as were in it;
 *  - each rewrites blocks of its person a little longer: size classes are an eighth apart, so three times the largest;
 *  - fixed: day lists, type records, sends, journey memory, ids, consent grow from nothing;
 *  - each byte of payload may be copied to all journey instances, whose block grows by half each time. */
enum {
    EVENT_FIXED_BYTES = 48 << 10,
    BYTES_PER_PAYLOAD_BYTE = 4 * INSTANCES_MAX,
    BYTES_PER_PAYLOAD_BYTE_MIN = 16
};

static size_t heap_bound(const struct store *s, uint32_t events, size_t bytes)
{
    const struct store_parts *p = s->parts;
    size_t each = 4 * (size_t)p->largest_entries + 3 * (size_t)p->largest_block + EVENT_FIXED_BYTES;
    uint32_t row_limit = s->row_limit + 2 * events;
    size_t least = events * each + bytes * BYTES_PER_PAYLOAD_BYTE_MIN +
                   columns_heap_bound(&p->columns, 2 * events, row_limit) +
                   bits_heap_bound(&p->bits, 2 * events, row_limit);
    /* The worst case of a whole batch is address space, but no more than half of what is left of it. */
    size_t worst = least + bytes * (BYTES_PER_PAYLOAD_BYTE - BYTES_PER_PAYLOAD_BYTE_MIN);
    size_t half = (s->heap.region.reserved - s->heap.region.used) / 2;
    return worst <= half ? worst : least > half ? least : half;
}

bool store_reserve(struct store *s, uint32_t events, size_t bytes)
{
    return store_reserve_more(s, events, bytes, 0);
}

bool store_reserve_more(struct store *s, uint32_t events, size_t bytes, size_t more)
{
    struct store_parts *p = s->parts;
    uint32_t rows = 2 * events; /* the person, and one that comes with a merge */
    return columns_reserve(&p->columns, &s->heap, rows, s->row_limit + rows) &&
           region_reserve(&p->rows, (size_t)rows * sizeof(struct row)) && links_reserve(&p->links, rows) &&
           index_reserve(&p->index, 2 * rows) && window_reserve(&p->window, rows) &&
           heap_reserve(&s->heap, heap_bound(s, events, bytes) + more);
}

/* ---- finding people ------------------------------------------------------------------ */

enum found store_find(const struct store *s, struct key key, row_t *row, struct key *target)
{
    uint32_t value = index_find(&s->parts->index, key);
    if (value == INDEX_NONE) return FOUND_NOTHING;
    if (value & INDEX_LINK_BIT) {
        *target = link_at(&s->parts->links, value & ~INDEX_LINK_BIT)->target;
        return FOUND_LINK;
    }
    *row = (row_t){value};
    return FOUND_ROW;
}

static uint32_t take_row(struct store *s)
{
    struct store_parts *p = s->parts;
    if (p->free_row) {
        uint32_t slot = p->free_row - 1;
        p->free_row = s->rows[slot].block[0];
        return slot;
    }
    CHECK(p->rows.committed - p->rows.used >= sizeof(struct row)); /* reserve, then apply */
    p->rows.used += sizeof(struct row);
    return s->row_limit++;
}

static void mark_used(struct store *s, uint32_t slot)
{
    ((uint64_t *)(void *)s->parts->used.base)[slot / 64] ^= 1ull << slot % 64;
}

row_t row_open(struct store *s, uint32_t slot, struct key key, uint32_t now)
{
    s->rows[slot] =
        (struct row){.key = key, .first_seen = now, .last_seen = now, .flags = ROW_USED, .epoch = s->epoch};
    index_insert(&s->parts->index, key, slot);
    mark_used(s, slot);
    s->profiles++;
    return (row_t){slot};
}

row_t store_add(struct store *s, struct key key, uint32_t now) { return row_open(s, take_row(s), key, now); }

static void release_blocks(struct store *s, row_t row)
{
    behaviour_release(s, row);
    members_release(s, row);
    for (int kind = 0; kind < BLOCK_KINDS; kind++) store_block_resize(s, row, (enum block_kind)kind, 0);
    struct columns *columns = &s->parts->columns;
    for (uint32_t i = 0; i < columns->count; i++) column_clear(&columns->list[i], &s->heap, row.v);
}

void store_remove(struct store *s, row_t row)
{
    struct store_parts *p = s->parts;
    struct row *r = store_touch(s, row);
    release_blocks(s, row);
    for (uint32_t slot; (slot = links_first(&p->links, r->key)) != INDEX_NONE;)
        store_unlink(s, link_at(&p->links, slot)->id);
    CHECK(index_remove(&p->index, r->key) == row.v);
    s->profiles--;
    s->known -= (r->flags & ROW_KNOWN) != 0;
    mark_used(s, row.v);
    *r = (struct row){.epoch = s->epoch, .block = {p->free_row}};
    p->free_row = row.v + 1;
}

void store_link(struct store *s, struct key key, struct key target)
{
    store_unlink(s, key);
    uint32_t slot = links_add(&s->parts->links, key, target);
    index_insert(&s->parts->index, key, slot | INDEX_LINK_BIT);
}

void store_unlink(struct store *s, struct key key)
{
    uint32_t value = index_find(&s->parts->index, key);
    if (value == INDEX_NONE) return;
    CHECK(value & INDEX_LINK_BIT); /* a person is removed, not unlinked */
    index_remove(&s->parts->index, key);
    links_remove(&s->parts->links, value & ~INDEX_LINK_BIT);
}

uint32_t store_links(const struct store *s) { return s->parts->links.count; }

void store_prefetch_parts(const struct store *s)
{
    __builtin_prefetch(&s->parts->index);
    __builtin_prefetch(&s->parts->bits);
    for (uint32_t cls = 1; cls <= FETCHED_CLASSES; cls++) heap_prefetch(&s->heap, cls * HEAP_GRANULE);
}

void store_prefetch_directory(const struct store *s, struct key key)
{
    index_prefetch_directory(&s->parts->index, key);
}

void store_prefetch_bucket(const struct store *s, struct key key) { index_prefetch(&s->parts->index, key); }

row_t store_prefetch_row(const struct store *s, struct key key)
{
    uint32_t value = index_guess(&s->parts->index, key);
    if (value == INDEX_NONE || value & INDEX_LINK_BIT) return ROW_NONE;
    __builtin_prefetch(&s->rows[value], 1);
    return (row_t){value};
}

void store_prefetch_types(const struct store *s, row_t row)
{
    const struct row *r = &s->rows[row.v];
    const uint8_t *types = heap_at(&s->heap, r->block[BLOCK_TYPES]);
    __builtin_prefetch(types, 1);
    __builtin_prefetch(types + 64, 1);
    __builtin_prefetch(types + 128, 1);
    __builtin_prefetch(types + 192, 1);
    bits_prefetch(&s->parts->bits, &s->heap, row.v);
    const uint8_t *members = heap_at(&s->heap, r->block[BLOCK_MEMBERS]);
    __builtin_prefetch(members, 1);
    __builtin_prefetch(members + 64, 1);
    const uint8_t *journeys = heap_at(&s->heap, r->block[BLOCK_JOURNEYS]);
    __builtin_prefetch(journeys, 1);
    __builtin_prefetch(journeys + 64, 1);
    __builtin_prefetch(heap_at(&s->heap, r->block[BLOCK_JSTATS]), 1);
}

/* The first event of a type: its record and its first entry want room. */
static void prefetch_first(const struct store *s, row_t row, uint16_t type)
{
    const struct row_block *types = heap_at(&s->heap, s->rows[row.v].block[BLOCK_TYPES]);
    heap_prefetch(&s->heap, 8 + 8u * type_rules(s->schema, type).stride);
    uint32_t bytes = types->bytes + (uint32_t)sizeof(struct type_record);
    if (bytes > types->room) heap_prefetch(&s->heap, (uint32_t)sizeof *types + bytes);
}

void store_prefetch_tail(const struct store *s, row_t row, uint16_t type)
{
    if (!(s->rows[row.v].flags & ROW_USED)) return; /* a record in between has merged it away */
    const struct type_record *r = type_find(s, row, type);
    if (!r || !r->entries) {
        prefetch_first(s, row, type);
        return;
    }
    const uint8_t *block = heap_at(&s->heap, r->entries);
    uint32_t cap = 1u << (r->shape & TYPE_LOG2), at = (uint32_t)(r->head + r->n) & (cap - 1);
    __builtin_prefetch(block + 4 * at, 1);
    __builtin_prefetch(block + 4 * (cap + at), 1);
    if (r->stride) __builtin_prefetch(block + 8 * cap + 8 * at * r->stride, 1);
    if (r->days) __builtin_prefetch(heap_at(&s->heap, r->days), 1);
    if (r->n == cap) heap_prefetch(&s->heap, 2 * entries_bytes(r));
}

/* ---- blocks -------------------------------------------------------------------------- */

static struct row_block *block_at(const struct store *s, uint32_t handle)
{
    return heap_at(&s->heap, handle);
}

/* Small blocks fit tightly; from 4 KiB on a growing block gets half as much again, so that growing stays cheap. */
static uint32_t room_for(uint32_t bytes, uint32_t before)
{
    uint32_t want = bytes >= 4096 && bytes > before && before ? bytes + bytes / 2 : bytes;
    return heap_room((uint32_t)sizeof(struct row_block) + want) - (uint32_t)sizeof(struct row_block);
}

static uint8_t *move_block(struct store *s, uint32_t *handle, uint32_t bytes)
{
    struct row_block *old = *handle ? block_at(s, *handle) : NULL;
    uint32_t before = old ? old->bytes : 0, keep = before < bytes ? before : bytes,
             room = room_for(bytes, before);
    uint32_t fresh = heap_alloc(&s->heap, (uint32_t)sizeof(struct row_block) + room);
    struct row_block *b = block_at(s, fresh);
    *b = (struct row_block){bytes, room};
    if (keep) memcpy(b->data, old->data, keep);
    memset(b->data + keep, 0, bytes - keep);
    if (old) heap_release(&s->heap, *handle, (uint32_t)sizeof(struct row_block) + old->room);
    *handle = fresh;
    if (room > s->parts->largest_block) s->parts->largest_block = room;
    return b->data;
}

uint8_t *store_block_resize(struct store *s, row_t row, enum block_kind kind, uint32_t bytes)
{
    uint32_t *handle = &store_touch(s, row)->block[kind];
    struct row_block *b = *handle ? block_at(s, *handle) : NULL;
    if (!bytes) {
        if (b) heap_release(&s->heap, *handle, (uint32_t)sizeof(struct row_block) + b->room);
        *handle = 0;
        return NULL;
    }
    if (!b || bytes > b->room || bytes < b->room / 4) return move_block(s, handle, bytes);
    if (bytes > b->bytes) memset(b->data + b->bytes, 0, bytes - b->bytes);
    b->bytes = bytes;
    return b->data;
}

/* ---- attributes ---------------------------------------------------------------------- */

static struct column *column_of(const struct store *s, uint16_t attribute)
{
    return attribute < s->parts->columns.count ? &s->parts->columns.list[attribute] : NULL;
}

struct value attribute_get(const struct store *s, row_t row, uint16_t attribute)
{
    const struct column *c = column_of(s, attribute);
    return c ? column_get(c, &s->heap, row.v) : value_none();
}

uint32_t attribute_time(const struct store *s, row_t row, uint16_t attribute)
{
    const struct column *c = column_of(s, attribute);
    return c ? column_time(c, &s->heap, row.v) : 0;
}

static bool wins(const struct column *c, bool present, uint32_t at, uint32_t time, bool removes)
{
    return c->keep_first && present && !removes ? at < time : at >= time;
}

bool attribute_set(struct store *s, row_t row, uint16_t attribute, struct value v, uint32_t at,
                   struct value *old)
{
    struct column *c = column_of(s, attribute);
    CHECK(c);
    struct value former = column_get(c, &s->heap, row.v);
    bool present = former.kind != V_NONE, removes = v.kind == V_NULL || v.kind == V_NONE;
    if (old) *old = former;
    if (!wins(c, present, at, column_time(c, &s->heap, row.v), removes)) return false;
    store_touch(s, row);
    bool same = removes ? !present : value_same(former, v);
    if (same && column_retime(c, &s->heap, row.v, at)) return false;
    former = column_put(&s->parts->columns, c, &s->heap, row.v, v, at);
    if (old) *old = former;
    return !same;
}

void store_prefetch_attribute(const struct store *s, row_t row, uint16_t attribute)
{
    const struct column *c = column_of(s, attribute);
    if (c) column_prefetch(c, &s->heap, row.v);
}

/* ---- messages without a usable time --------------------------------------------------- */

enum seen window_seen(struct store *s, uint64_t hash, uint32_t own_s, uint32_t now)
{
    struct window *w = &s->parts->window;
    window_expire(w, now);
    if (window_find(w, hash)) return SEEN_DUPLICATE;
    if (!window_covers(w, own_s, now)) return SEEN_UNKNOWABLE;
    window_put(w, (struct window_entry){hash, own_s, now}, now);
    return SEEN_NEW;
}

/* ---- memory -------------------------------------------------------------------------- */

void store_memory(const struct store *s, struct store_memory *out)
{
    const struct store_parts *p = s->parts;
    *out = (struct store_memory){
        .rows = p->rows.used,
        .index = p->index.segments.used + (sizeof(uint32_t) << p->index.depth),
        .columns = p->columns.bytes,
        .members = p->bits.bytes,
        .links = p->links.region.used + p->links.by_target.segments.used,
        .window = p->window.ring.used + p->window.table.used,
    };
    for (uint32_t i = 0; i < p->columns.count; i++) {
        const struct column *c = &p->columns.list[i];
        out->columns += c->capacity * sizeof *c->blocks + c->texts.capacity * 12;
    }
    out->heap = s->heap.bytes_used - p->columns.bytes - p->bits.bytes;
}
