/* What a snapshot holds beside the profiles: which slots are free and in which order, links, the window; and the hash.
 *   version u8 | row_limit u32 | free u32: slot u32 each, the one reused first in front
 *   links u32: id 16, target 16 | window: floor u32, floor_ahead u32, count u32: hash u64, own u32, received u32 */
#include "core/store/parts.h"
#include "core/base/planted.h"

enum { REST_VERSION = 1 };

static void put_key(struct buf *out, struct key k)
{
    buf_put_le64(out, k.hi);
    buf_put_le64(out, k.lo);
}

static struct key read_key(struct reader *r)
{
    struct key k = {.hi = read_le64(r)};
    k.lo = read_le64(r);
    return k;
}

static void encode_window(const struct window *w, struct buf *out)
{
    buf_put_le32(out, w->floor);
    buf_put_le32(out, w->floor_ahead);
    uint32_t count = PLANTED(window_not_in_snapshot) ? 0 : w->count;
    buf_put_le32(out, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct window_entry *e = window_at(w, i);
        buf_put_le64(out, e->hash);
        buf_put_le32(out, e->own_s);
        buf_put_le32(out, e->received_s);
    }
}

void store_encode_rest(const struct store *s, struct buf *out)
{
    const struct store_parts *p = s->parts;
    buf_put_u8(out, REST_VERSION);
    buf_put_le32(out, s->row_limit);
    buf_put_le32(out, s->row_limit - s->profiles);
    for (uint32_t free = p->free_row; free; free = s->rows[free - 1].block[0]) buf_put_le32(out, free - 1);
    buf_put_le32(out, p->links.count);
    for (uint32_t i = 0; i < p->links.limit; i++) {
        const struct link *l = link_at(&p->links, i);
        if (key_is_zero(l->id)) continue;
        put_key(out, l->id);
        put_key(out, l->target);
    }
    encode_window(&p->window, out);
}

/* The chain is built from its end, so that the first slot listed is reused first. */
static bool decode_free(struct store *s, struct reader *r)
{
    uint32_t count = read_le32(r);
    struct slice slots = count <= s->row_limit ? read_slice(r, (size_t)count * 4) : (struct slice){0};
    if (r->bad || slots.n != (size_t)count * 4) return false;
    for (uint32_t i = count; i-- > 0;) {
        uint32_t slot =
            load_le32(slots.p + 4 * (size_t)(PLANTED(free_list_not_in_snapshot) ? count - 1 - i : i));
        if (slot >= s->row_limit || s->rows[slot].first_seen)
            return false; /* first_seen marks what was listed already */
        s->rows[slot] = (struct row){.first_seen = 1, .block = {s->parts->free_row}};
        s->parts->free_row = slot + 1;
    }
    for (uint32_t i = 0; i < count; i++) s->rows[load_le32(slots.p + 4 * (size_t)i)].first_seen = 0;
    return true;
}

static bool decode_links(struct store *s, struct reader *r)
{
    uint32_t count = read_le32(r);
    if ((size_t)(r->end - r->p) / 32 < count) return false;
    if (!links_reserve(&s->parts->links, count) || !index_reserve(&s->parts->index, count)) return false;
    for (uint32_t i = 0; i < count; i++) {
        struct key id = read_key(r), target = read_key(r);
        if (key_is_zero(id) || index_find(&s->parts->index, id) != INDEX_NONE) return false;
        store_link(s, id, target);
    }
    return !r->bad;
}

static bool decode_window(struct window *w, struct reader *r)
{
    w->floor = read_le32(r);
    w->floor_ahead = read_le32(r);
    uint32_t count = read_le32(r), before = 0;
    if (count > DEDUP_ENTRIES_MAX || (size_t)(r->end - r->p) / 16 < count || !window_reserve(w, count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct window_entry e = {.hash = read_le64(r)};
        e.own_s = read_le32(r);
        e.received_s = read_le32(r);
        if (e.received_s < before || window_find(w, e.hash)) return false;
        window_put(w, e, before = e.received_s);
    }
    return !r->bad;
}

bool store_decode_rest(struct store *s, struct slice bytes)
{
    struct store_parts *p = s->parts;
    struct reader r = reader_of(bytes);
    CHECK(s->row_limit == 0);
    if (read_u8(&r) != REST_VERSION) return false;
    uint32_t limit = read_le32(&r);
    if (limit > PROFILES_PER_SHARD_MAX || !region_reserve(&p->rows, (size_t)limit * sizeof(struct row)))
        return false;
    p->rows.used = (size_t)limit * sizeof(struct row);
    s->row_limit = limit;
    return decode_free(s, &r) && decode_links(s, &r) && decode_window(&p->window, &r) && r.p == r.end;
}

row_t store_restore_row(struct store *s, uint32_t slot, struct key key)
{
    struct store_parts *p = s->parts;
    bool free = slot < s->row_limit && !(s->rows[slot].flags & ROW_USED) && !key_is_zero(key);
    if (!free || index_find(&p->index, key) != INDEX_NONE || !index_reserve(&p->index, 1)) return ROW_NONE;
    return row_open(s, slot, key, 0);
}

/* A sum, so that neither slots nor the order of links matter. */
uint64_t store_hash(const struct store *s)
{
    uint64_t sum = 0;
    struct buf bytes = {0};
    for (uint32_t i = 0; i < s->row_limit; i++) {
        if (!(s->rows[i].flags & ROW_USED)) continue;
        buf_clear(&bytes);
        profile_encode(s, (row_t){i}, &bytes);
        sum += hash64_plain(bytes.p, bytes.n);
    }
    for (uint32_t i = 0; i < s->parts->links.limit; i++) {
        const struct link *l = link_at(&s->parts->links, i);
        if (key_is_zero(l->id)) continue;
        struct key pair[2] = {l->id, l->target};
        sum += hash64_plain(pair, sizeof pair);
    }
    buf_free(&bytes);
    return sum;
}
