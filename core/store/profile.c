/* Encoding, and decoding in two passes of the same reader: the first only checks, the second cannot fail. */
#include "core/store/profile.h"
#include "core/store/days.h"

enum { SEEN_FLAGS = ROW_KNOWN | ROW_HELD };

/* ---- values -------------------------------------------------------------------------- */

void value_encode(struct value v, struct buf *out)
{
    buf_put_u8(out, v.kind);
    switch (v.kind) {
    case V_NONE: return;
    case V_BOOL: buf_put_u8(out, v.b); return;
    case V_DOUBLE: buf_put_le64(out, v.u); return;
    case V_TIME:
        buf_put_le64(out, v.u);
        buf_put_le32(out, v.n);
        return;
    case V_STRING:
    case V_RAW:
        buf_put_le32(out, v.n);
        buf_put(out, v.s, v.n);
        return;
    default: CHECK(!"a value of a declared type");
    }
}

static uint8_t kind_of(enum declared_type type)
{
    switch (type) {
    case T_NUMBER: return V_DOUBLE;
    case T_BOOL: return V_BOOL;
    case T_TIME:
    case T_DATE: return V_TIME;
    case T_STRING: return V_STRING;
    default: return V_RAW;
    }
}

struct value value_decode(struct reader *r, enum declared_type type)
{
    struct value v = {.kind = read_u8(r)};
    if (v.kind == V_NONE) return v;
    if (v.kind != kind_of(type)) r->bad = true;
    switch (v.kind) {
    case V_BOOL: v.b = read_u8(r) != 0; break;
    case V_DOUBLE:
        v.u = read_le64(r);
        if (v.d != v.d) r->bad = true;
        break;
    case V_TIME:
        v.u = read_le64(r);
        v.n = read_le32(r);
        if (v.i > INT64_MAX >> 12 || v.i < INT64_MIN >> 12 || v.n >= 1000000000) r->bad = true;
        break;
    case V_STRING:
    case V_RAW: {
        struct slice text = read_slice(r, read_le32(r));
        v.n = text.n;
        v.s = text.p;
        if (text.n > EVENT_BYTES_MAX) r->bad = true;
        break;
    }
    default: r->bad = true;
    }
    return r->bad ? value_none() : v;
}

/* ---- encoding ------------------------------------------------------------------------ */

static void patch_u8(struct buf *out, size_t at, uint32_t v) { out->p[at] = (uint8_t)v; }

static void encode_entry(const struct store *s, const struct type_record *t, const struct history_view *h,
                         uint32_t i, bool own, struct buf *out)
{
    buf_put_le32(out, history_time(h, i));
    if (own) buf_put_le32(out, entry_own(t, &s->heap, i));
    buf_put_le32(out, h->hashes[(h->head + i) & h->mask]);
    size_t at = out->n;
    uint32_t cells = 0;
    buf_put_u8(out, 0);
    for (uint32_t k = 0; k < h->stride; k++) {
        const uint64_t *cell = history_cell_at(h, i, k);
        if (*cell == CELL_ABSENT) continue;
        buf_put_u8(out, (uint8_t)k);
        value_encode(cell_value(cell, h->type->props[k].type, h->heap), out);
        cells++;
    }
    patch_u8(out, at, cells);
}

/* Buckets of one day are one group: how a long day was cut does not show. Returns the bucket behind the group. */
static uint32_t encode_day(const struct history_view *h, uint32_t i, struct buf *out)
{
    int64_t sums[PROPS_PER_EVENT_MAX] = {0};
    uint32_t count = 0;
    uint16_t day = h->days[i].day;
    for (; i < h->day_count && h->days[i].day == day; i++) {
        count += h->days[i].count;
        const int64_t *part = h->days[i].sums ? heap_at(h->heap, h->days[i].sums) : NULL;
        for (uint32_t k = 0; part && k < h->day_sums; k++)
            sums[k] = (int64_t)((uint64_t)sums[k] + (uint64_t)part[k]);
    }
    uint32_t used = h->day_sums;
    while (used && !sums[used - 1]) used--;
    buf_put_le16(out, day);
    buf_put_le32(out, count);
    buf_put_u8(out, (uint8_t)used);
    for (uint32_t k = 0; k < used; k++) buf_put_le64(out, (uint64_t)sums[k]);
    return i;
}

static void encode_type(const struct store *s, const struct type_record *t, struct buf *out)
{
    struct history_view h;
    type_view(t, schema_event(s->schema, t->type), &s->heap, &h);
    bool own = false;
    for (uint32_t i = 0; i < h.n && t->shape & TYPE_OWN; i++)
        own |= entry_own(t, &s->heap, i) != history_time(&h, i);
    buf_put_le16(out, t->type);
    buf_put_le32(out, t->count);
    buf_put_le32(out, t->first);
    buf_put_le32(out, t->last);
    buf_put_le32(out, type_own_newest(t, &s->heap));
    buf_put_le32(out, t->lost);
    buf_put_le16(out, t->n);
    buf_put_u8(out, own);
    for (uint32_t i = 0; i < h.n; i++) encode_entry(s, t, &h, i, own, out);
    size_t at = out->n;
    uint16_t days = 0;
    buf_put_le16(out, 0);
    for (uint32_t i = 0; i < h.day_count; days++) i = encode_day(&h, i, out);
    store_le16(out->p + at, days);
}

static void encode_attributes(const struct store *s, row_t row, struct buf *out)
{
    const struct columns *columns = &s->parts->columns;
    size_t at = out->n;
    uint16_t count = 0;
    buf_put_le16(out, 0);
    for (uint32_t i = 0; i < columns->count; i++) {
        const struct column *c = &columns->list[i];
        struct value v = column_get(c, &s->heap, row.v);
        uint32_t time = column_time(c, &s->heap, row.v);
        if (v.kind == V_NONE && !time) continue;
        buf_put_le16(out, (uint16_t)i);
        buf_put_le32(out, time);
        value_encode(v, out);
        count++;
    }
    store_le16(out->p + at, count);
}

void profile_encode(const struct store *s, row_t row, struct buf *out)
{
    const struct row *r = store_row(s, row);
    buf_put_u8(out, PROFILE_VERSION);
    buf_put_le64(out, r->key.hi);
    buf_put_le64(out, r->key.lo);
    buf_put_le16(out, r->flags & SEEN_FLAGS);
    buf_put_le32(out, r->next_wake);
    buf_put_le32(out, r->last_seen);
    buf_put_le32(out, r->first_seen);
    uint32_t types, bytes;
    const struct type_record *list = types_of(s, row, &types);
    buf_put_le16(out, (uint16_t)types);
    for (uint32_t i = 0; i < types; i++) encode_type(s, &list[i], out);
    encode_attributes(s, row, out);
    for (int kind = BLOCK_TYPES + 1; kind < BLOCK_KINDS; kind++) {
        const uint8_t *block = store_block(s, row, (enum block_kind)kind, &bytes);
        buf_put_le32(out, bytes);
        buf_put(out, block, bytes);
    }
}

/* ---- decoding ------------------------------------------------------------------------ */

struct target { /* of the second pass */
    struct store *s;
    row_t row;
    bool merge;
};

static uint8_t read_cells(struct reader *r, const struct type_rules *rules, struct value *props,
                          uint8_t *list)
{
    uint32_t cells = read_u8(r), next = 0;
    for (uint32_t i = 0; i < cells && !r->bad; i++) {
        uint32_t k = list[i] = read_u8(r);
        if (k < next || k >= rules->stride) {
            r->bad = true;
            return (uint8_t)i;
        }
        next = k + 1;
        props[k] = value_decode(r, rules->type->props[k].type);
        if (props[k].kind == V_NONE) r->bad = true;
    }
    return (uint8_t)cells;
}

static void read_entries(struct reader *r, const struct type_rules *rules, struct type_record *t,
                         struct heap *heap)
{
    uint32_t n = read_le16(r), before = 0;
    bool own = read_u8(r);
    struct value props[PROPS_PER_EVENT_MAX] = {0};
    uint8_t list[UINT8_MAX];
    if (n > HISTORY_ENTRIES_MAX) r->bad = true;
    for (uint32_t i = 0; i < n && !r->bad; i++) {
        struct entry e = {.at = read_le32(r), .props = props, .prop_count = rules->stride};
        e.own_s = own ? read_le32(r) : e.at;
        e.hash = read_le32(r);
        uint8_t cells = read_cells(r, rules, props, list);
        if (e.at < before) r->bad = true;
        before = e.at;
        if (t && !r->bad) type_sort_in(t, rules, heap, &e);
        for (uint32_t k = 0; k < cells && !r->bad; k++) props[list[k]] = value_none();
    }
}

static void read_days(struct reader *r, const struct type_rules *rules, struct type_record *t,
                      struct heap *heap)
{
    uint32_t days = read_le16(r), next = 0;
    for (uint32_t i = 0; i < days && !r->bad; i++) {
        int64_t sums[PROPS_PER_EVENT_MAX];
        uint16_t day = read_le16(r);
        uint32_t count = read_le32(r);
        uint32_t sum_count = read_u8(r);
        if (day < next || !count || count > DAY_COUNT_MAX || sum_count > PROPS_PER_EVENT_MAX) {
            r->bad = true;
            return;
        }
        next = day + 1u;
        for (uint32_t k = 0; k < sum_count; k++) sums[k] = (int64_t)read_le64(r);
        if (t && !r->bad) type_add_day(t, rules, heap, day, count, sums, sum_count);
    }
}

static void join_lifetime(struct type_record *t, struct heap *heap, uint32_t count, uint32_t first,
                          uint32_t last, uint32_t own, uint32_t lost)
{
    uint32_t newest = type_own_newest(t, heap);
    if (!t->count || first < t->first) t->first = first;
    if (last > t->last) t->last = last;
    if (lost > t->lost) t->lost = lost;
    t->count = count > UINT32_MAX - t->count ? UINT32_MAX : t->count + count;
    if (own < newest) own = newest;
    type_own_settle(t, heap, own);
}

static void read_type(struct reader *r, const struct schema *schema, const struct target *to, uint32_t *next)
{
    uint16_t type = read_le16(r);
    uint32_t count = read_le32(r), first = read_le32(r), last = read_le32(r), own = read_le32(r),
             lost = read_le32(r);
    if (type < *next || type == ID_NONE || !count || first > last) r->bad = true;
    *next = type + 1u;
    if (r->bad) return;
    struct type_rules rules = type_rules(schema, type);
    if (to && !to->merge)
        rules.cap = HISTORY_ENTRIES_MAX; /* exactly as it was: folding is for the next event */
    struct type_record *t = to ? type_find_or_add(to->s, to->row, type) : NULL;
    struct heap *heap = to ? &to->s->heap : NULL;
    bool folded = t && t->days;
    if (t) join_lifetime(t, heap, count, first, last, own, lost);
    read_entries(r, &rules, t, heap);
    read_days(r, &rules, t, heap);
    if (t) note_entries(to->s, t);
    if (t) to->s->folded += (uint64_t)(t->days != 0) - folded;
    /* What the other half gave up is remembered by its own shard only: here such a repeat counts as late. */
    if (t && to->merge && t->lost) window_forget(&to->s->parts->window, t->lost);
}

static void take_attribute(const struct target *to, uint16_t id, uint32_t time, struct value v)
{
    struct columns *columns = &to->s->parts->columns;
    struct column *c = &columns->list[id];
    uint32_t ours = column_time(c, &to->s->heap, to->row.v);
    if (to->merge && ours == time) return; /* a tie: the survivor's stays */
    if (to->merge)
        attribute_set(to->s, to->row, id, v.kind == V_NONE ? value_null() : v, time, NULL);
    else
        column_put(columns, c, &to->s->heap, to->row.v, v, time);
}

static void read_attributes(struct reader *r, const struct columns *columns, const struct target *to)
{
    uint32_t count = read_le16(r), next = 0;
    for (uint32_t i = 0; i < count && !r->bad; i++) {
        uint16_t id = read_le16(r);
        uint32_t time = read_le32(r);
        if (id < next || id >= columns->count) {
            r->bad = true;
            return;
        }
        next = id + 1u;
        struct value v = value_decode(r, columns->list[id].type);
        if (to && !r->bad) take_attribute(to, id, time, v);
    }
}

static void take_block(const struct target *to, enum block_kind kind, struct slice bytes)
{
    if (to->merge) {
        block_merge(to->s, to->row, kind, bytes);
        return;
    }
    uint8_t *block = store_block_resize(to->s, to->row, kind, bytes.n);
    if (bytes.n) memcpy(block, bytes.p, bytes.n);
}

static void take_head(const struct target *to, uint16_t flags, uint32_t next_wake, uint32_t last_seen,
                      uint32_t first_seen)
{
    struct row *row = store_touch(to->s, to->row);
    if (to->merge) {
        if (first_seen < row->first_seen) row->first_seen = first_seen;
        if (last_seen > row->last_seen) row->last_seen = last_seen;
        return; /* the next wake-up is for the caller to find */
    }
    to->s->known += !(row->flags & ROW_KNOWN) && flags & ROW_KNOWN;
    row->flags |= flags & SEEN_FLAGS;
    row->next_wake = next_wake;
    row->last_seen = last_seen;
    row->first_seen = first_seen;
}

/* One pass over the bytes; to is NULL in the first, which only checks. */
static bool read_profile(const struct store *s, struct slice bytes, struct key key, bool any_key,
                         const struct target *to)
{
    struct reader r = reader_of(bytes);
    uint8_t version = read_u8(&r);
    struct key theirs = {.hi = read_le64(&r)};
    theirs.lo = read_le64(&r);
    uint16_t flags = read_le16(&r);
    uint32_t next_wake = read_le32(&r), last_seen = read_le32(&r), first_seen = read_le32(&r), next = 0;
    if (r.bad || version != PROFILE_VERSION || !(any_key || key_eq(key, theirs))) return false;
    if (to) take_head(to, flags, next_wake, last_seen, first_seen);
    uint32_t types = read_le16(&r);
    for (uint32_t i = 0; i < types && !r.bad; i++) read_type(&r, s->schema, to, &next);
    read_attributes(&r, &s->parts->columns, to);
    for (int kind = BLOCK_TYPES + 1; kind < BLOCK_KINDS && !r.bad; kind++) {
        struct slice block = read_slice(&r, read_le32(&r));
        if (!r.bad && !block_valid((enum block_kind)kind, block)) r.bad = true;
        if (to && !r.bad) take_block(to, (enum block_kind)kind, block);
    }
    return !r.bad && r.p == r.end;
}

bool profile_decode(struct store *s, row_t row, struct slice bytes)
{
    struct target to = {s, row, false};
    if (!read_profile(s, bytes, store_row(s, row)->key, false, NULL)) return false;
    CHECK(read_profile(s, bytes, store_row(s, row)->key, false, &to));
    members_restore(s, row);
    return true;
}

bool profile_merge(struct store *s, row_t survivor, struct slice other_half)
{
    struct target to = {s, survivor, true};
    if (!read_profile(s, other_half, (struct key){0}, true, NULL)) return false;
    CHECK(read_profile(s, other_half, (struct key){0}, true, &to));
    return true;
}
