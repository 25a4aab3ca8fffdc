/* snapshot.c - a shard's state as frames, cut at one record while it goes on working.
 *
 *   SHARD  counters, names, message queues, pending merges, rejects   at begin
 *   REST   links, window, free list, outbox                           at begin
 *   ROW    slot u32, profile bytes                                    a slice at a time, in slot order
 *   END    rows u32
 *
 * A row that changes before the walker reaches it is put first, as it was (store_touch calls before_change); its epoch
 * says that it has been put. Rows made after begin carry the new epoch and are not part of the cut. Between two snapshots
 * all rows carry the store's epoch, also when one was abandoned: one that stayed behind would look as if it had been put
 * when the epoch, a byte, comes round. */
#include "core/shard/state.h"
#include "core/base/planted.h"

enum { FRAME_SHARD = 1, FRAME_REST, FRAME_OUTBOX, FRAME_ROW, FRAME_END };

/* ---- writing ---------------------------------------------------------------------------- */

static void put_message(void *self, uint8_t to, uint16_t kind, uint64_t sequence, struct slice body)
{
    struct buf *out = self;
    buf_put_u8(out, to);
    buf_put_le16(out, kind);
    buf_put_le64(out, sequence);
    buf_put_le32(out, body.n);
    buf_put_slice(out, body);
}

static void count_message(void *self, uint8_t to, uint16_t kind, uint64_t sequence, struct slice body)
{
    (*(uint32_t *)self)++;
}

static void put_message_queue(const struct shard *s, struct buf *out)
{
    uint32_t count = 0;
    if (!PLANTED(queue_not_in_snapshot)) shard_pending_messages(s, count_message, &count);
    buf_put_le32(out, count);
    if (count) shard_pending_messages(s, put_message, out);
}

static void put_merges(const struct shard *s, struct buf *out)
{
    const struct pending_merge *list = (const struct pending_merge *)s->merges.base;
    buf_put_le32(out, s->merge_count);
    for (uint32_t i = 0; i < s->merge_count; i++) {
        buf_put(out, &list[i].user, 16);
        buf_put(out, &list[i].other, 16);
        uint32_t count = 0;
        size_t count_at = out->n;
        buf_put_le32(out, 0);
        for (uint32_t at = list[i].first; at && !PLANTED(parked_not_in_snapshot); count++) {
            const struct parked *p = heap_at(&s->store.heap, at);
            buf_put_u8(out, p->kind);
            buf_put_le64(out, p->lsn);
            buf_put_le32(out, p->bytes);
            buf_put(out, p + 1, p->bytes);
            at = p->next;
        }
        store_le32(out->p + count_at, count);
    }
}

/* Totals and names: what the hash covers of the shard itself. */
static void put_counters(const struct shard *s, struct buf *out)
{
    buf_put(out, &s->counters, sizeof s->counters);
    buf_put_le32(out, s->journey_count);
    buf_put(out, s->journeys, s->journey_count * sizeof *s->journeys);
    buf_put_le32(out, s->event_count);
    buf_put(out, s->event_counts, s->event_count * sizeof *s->event_counts);
    buf_put_le32(out, s->undeclared_count);
    for (uint32_t i = 0; i < s->undeclared_count; i++) {
        buf_put_le32(out, s->undeclared[i].bytes);
        buf_put(out, heap_at(&s->store.heap, s->undeclared[i].text), s->undeclared[i].bytes);
        buf_put_le64(out, s->undeclared[i].count);
    }
    buf_put_le64(out, s->undeclared[UNDECLARED_NAMES_MAX].count);
    buf_put_le64(out, s->outbox_limit);
}

static void put_rejects(const struct shard *s, struct buf *out)
{
    uint64_t count = s->rejects_ever < REJECTS_KEPT ? s->rejects_ever : REJECTS_KEPT;
    buf_put_le64(out, s->rejects_ever);
    for (uint64_t i = s->rejects_ever - count; i < s->rejects_ever; i++) {
        const struct reject_kept *k = &s->rejects[i % REJECTS_KEPT];
        buf_put_le32(out, k->at);
        buf_put_le32(out, k->reason);
        buf_put_le32(out, k->bytes);
        buf_put(out, heap_at(&s->store.heap, k->handle), k->bytes);
    }
}

static void put_shard(const struct shard *s, struct buf *out)
{
    buf_put_le64(out, s->lsn + PLANTED(snapshot_lsn_off_by_one));
    buf_put_le32(out, s->now);
    buf_put_le32(out, s->set->version);
    buf_put_le64(out, s->set->hash.hi);
    buf_put_le64(out, s->set->hash.lo);
    put_counters(s, out);
    buf_put(out, s->sent, sizeof s->sent);
    buf_put(out, s->acked, sizeof s->acked);
    buf_put(out, s->received, sizeof s->received);
    put_message_queue(s, out);
    put_merges(s, out);
    put_rejects(s, out);
}

static void put_frame(struct shard *s, uint8_t kind)
{
    CHECK(s->snapshot.frame.n <= UINT32_MAX); /* the length of a frame is 32 bits */
    s->snapshot.sink.put(s->snapshot.sink.self, kind, buf_slice(&s->snapshot.frame));
    buf_clear(&s->snapshot.frame);
}

static void put_row(struct shard *s, uint32_t slot)
{
    struct buf *frame = &s->snapshot.frame;
    buf_put_le32(frame, slot);
    const struct key *key = &s->store.rows[slot].key;
    buf_put(frame, key, sizeof *key);
    profile_encode(&s->store, (row_t){slot}, frame);
    put_frame(s, FRAME_ROW);
}

void shard_before_change(void *self, row_t row)
{
    struct shard *s = self;
    if (s->snapshot.active && row.v < s->snapshot.limit && (s->store.rows[row.v].flags & ROW_USED))
        put_row(s, row.v);
}

void shard_snapshot_begin(struct shard *s, const struct snapshot_sink *sink, uint64_t *lsn)
{
    CHECK(!s->snapshot.active);
    s->snapshot.active = true;
    s->snapshot.sink = *sink;
    s->snapshot.next_slot = 0;
    s->snapshot.limit = s->store.row_limit;
    *lsn = s->lsn;
    put_shard(s, &s->snapshot.frame);
    put_frame(s, FRAME_SHARD);
    store_encode_rest(&s->store, &s->snapshot.frame);
    put_frame(s, FRAME_REST);
    outbox_encode(s->outbox, &s->snapshot.frame);
    put_frame(s, FRAME_OUTBOX);
    s->store.epoch++;
    s->store.before_change = shard_before_change;
}

void shard_snapshot_abandon(struct shard *s)
{
    for (uint32_t slot = s->snapshot.next_slot; slot < s->snapshot.limit; slot++)
        s->store.rows[slot].epoch = s->store.epoch;
    s->snapshot.active = false;
    s->store.before_change = NULL;
    buf_free(
        &s->snapshot.frame); /* it held the window and the outbox: megabytes a shard when they are full */
}

bool shard_snapshot_step(struct shard *s, uint32_t rows)
{
    CHECK(s->snapshot.active);
    struct snapshot_run *run = &s->snapshot;
    for (; rows && run->next_slot < run->limit; run->next_slot++) {
        struct row *r = &s->store.rows[run->next_slot];
        if (!(r->flags & ROW_USED) || r->epoch == s->store.epoch) continue;
        put_row(s, run->next_slot);
        r->epoch = s->store.epoch;
        rows--;
    }
    if (run->next_slot < run->limit) return false;
    buf_put_le32(&run->frame, run->limit);
    put_frame(s, FRAME_END);
    shard_snapshot_abandon(s);
    return true;
}

/* ---- reading ----------------------------------------------------------------------------- */

static void copy_fields(struct reader *in, void *to, size_t n)
{
    const uint8_t *p = read_bytes(in, n);
    if (!in->bad && n) memcpy(to, p, n);
}

static bool reserve_heap(struct shard *s, size_t bytes)
{
    return heap_reserve(&s->store.heap, 2 * bytes + 65536);
}

static void read_counters(struct shard *s, struct reader *in)
{
    copy_fields(in, &s->counters, sizeof s->counters);
    uint32_t journeys = read_le32(in);
    in->bad |= journeys > s->journey_count;
    if (!in->bad) copy_fields(in, s->journeys, journeys * sizeof *s->journeys);
    uint32_t events = read_le32(in);
    in->bad |= events > s->event_count;
    if (!in->bad) copy_fields(in, s->event_counts, events * sizeof *s->event_counts);
    uint32_t names = read_le32(in);
    in->bad |= names > UNDECLARED_NAMES_MAX;
    for (uint32_t i = 0; i < names && !in->bad; i++) {
        struct undeclared_name *u = &s->undeclared[i];
        struct slice text = read_slice(in, u->bytes = read_le32(in));
        if (in->bad) break;
        u->text = heap_alloc(&s->store.heap, text.n);
        if (text.n) memcpy(heap_at(&s->store.heap, u->text), text.p, text.n);
        u->count = read_le64(in);
        s->undeclared_count = i + 1;
    }
    s->undeclared[UNDECLARED_NAMES_MAX].count = read_le64(in);
    s->outbox_limit = read_le64(in);
}

static void read_message_queue(struct shard *s, struct reader *in)
{
    struct heap *heap = &s->store.heap;
    for (uint32_t n = read_le32(in); n && !in->bad; n--) {
        struct out_message m = {.to = read_u8(in)};
        m.kind = read_le16(in);
        m.sequence = read_le64(in);
        m.bytes = read_le32(in);
        struct slice body = read_slice(in, m.bytes);
        in->bad |= m.to >= LOGICAL_SHARDS;
        if (in->bad) return;
        uint32_t handle = heap_alloc(heap, (uint32_t)sizeof m + m.bytes);
        struct out_message *to = heap_at(heap, handle);
        *to = m;
        if (body.n) memcpy(to + 1, body.p, body.n);
        shard_queue_message(s, m.to, handle);
    }
}

static void read_parked(struct shard *s, struct reader *in, struct pending_merge *merge)
{
    struct heap *heap = &s->store.heap;
    for (uint32_t n = read_le32(in); n && !in->bad; n--) {
        struct parked p = {.kind = read_u8(in)};
        p.lsn = read_le64(in);
        p.bytes = read_le32(in);
        struct slice raw = read_slice(in, p.bytes);
        if (in->bad) return;
        uint32_t handle = heap_alloc(heap, (uint32_t)sizeof p + p.bytes);
        struct parked *to = heap_at(heap, handle);
        *to = p;
        if (raw.n) memcpy(to + 1, raw.p, raw.n);
        if (merge->last)
            ((struct parked *)heap_at(heap, merge->last))->next = handle;
        else
            merge->first = handle;
        merge->last = handle;
        merge->count++;
    }
}

static void read_merges(struct shard *s, struct reader *in)
{
    uint32_t count = read_le32(in);
    if (in->bad || !region_reserve(&s->merges, (size_t)count * sizeof(struct pending_merge))) {
        in->bad = true;
        return;
    }
    struct pending_merge *list = (struct pending_merge *)s->merges.base;
    for (; s->merge_count < count && !in->bad; s->merge_count++) {
        struct pending_merge *m = &list[s->merge_count];
        *m = (struct pending_merge){0};
        copy_fields(in, &m->user, 16);
        copy_fields(in, &m->other, 16);
        read_parked(s, in, m);
    }
    s->merges.used = s->merge_count * sizeof *list;
}

static void read_rejects(struct shard *s, struct reader *in)
{
    s->rejects_ever = read_le64(in);
    uint64_t count = s->rejects_ever < REJECTS_KEPT ? s->rejects_ever : REJECTS_KEPT;
    for (uint64_t i = s->rejects_ever - count; i < s->rejects_ever && !in->bad; i++) {
        struct reject_kept *k = &s->rejects[i % REJECTS_KEPT];
        k->at = read_le32(in);
        k->reason = read_le32(in);
        struct slice raw = read_slice(in, k->bytes = read_le32(in));
        if (in->bad) return;
        k->handle = heap_alloc(&s->store.heap, raw.n);
        if (raw.n) memcpy(heap_at(&s->store.heap, k->handle), raw.p, raw.n);
    }
}

static bool read_shard(struct shard *s, struct slice bytes)
{
    struct reader in = reader_of(bytes);
    s->lsn = read_le64(&in);
    s->now = read_le32(&in);
    uint32_t version = read_le32(&in);
    struct key hash = {.hi = read_le64(&in)};
    hash.lo = read_le64(&in);
    if (in.bad || !reserve_heap(s, bytes.n)) return false;
    const struct defset *set = s->config.definitions(s->config.host, version, hash);
    if (!set || !shard_use_definitions(s, set)) return false;
    read_counters(s, &in);
    copy_fields(&in, s->sent, sizeof s->sent);
    if (PLANTED(sent_not_in_snapshot)) memset(s->sent, 0, sizeof s->sent);
    copy_fields(&in, s->acked, sizeof s->acked);
    copy_fields(&in, s->received, sizeof s->received);
    if (PLANTED(received_not_in_snapshot)) memset(s->received, 0, sizeof s->received);
    read_message_queue(s, &in);
    read_merges(s, &in);
    read_rejects(s, &in);
    return !in.bad && in.p == in.end;
}

static bool read_row(struct shard *s, struct slice bytes)
{
    struct reader in = reader_of(bytes);
    uint32_t slot = read_le32(&in);
    struct key key;
    copy_fields(&in, &key, sizeof key);
    if (in.bad || !store_reserve(&s->store, 1, 2 * (size_t)bytes.n + 4096)) return false;
    row_t row = store_restore_row(&s->store, slot, key);
    return !row_none(row) && profile_decode(&s->store, row, slice_of(in.p, (size_t)(in.end - in.p)));
}

bool shard_restore(struct shard *s, uint8_t kind, struct slice bytes)
{
    switch (kind) {
    case FRAME_SHARD: return read_shard(s, bytes);
    case FRAME_REST: return reserve_heap(s, bytes.n) && store_decode_rest(&s->store, bytes);
    case FRAME_OUTBOX:
        return outbox_reserve(s->outbox, bytes.n / 16 + 1, bytes.n) && reserve_heap(s, bytes.n) &&
               outbox_decode(s->outbox, bytes);
    case FRAME_ROW: return read_row(s, bytes);
    case FRAME_END: return bytes.n == 4;
    default: return false;
    }
}

bool shard_restore_end(struct shard *s)
{
    const struct pending_merge *list = (const struct pending_merge *)s->merges.base;
    for (uint32_t i = 0; i < s->merge_count; i++) {
        row_t row;
        struct key target;
        if (store_find(&s->store, list[i].user, &row, &target) != FOUND_ROW) return false;
        store_row(&s->store, row)->flags |= ROW_MERGING;
    }
    shard_rebuild_wheel(s);
    return true;
}

/* ---- the state hash ------------------------------------------------------------------------ */

struct key shard_hash(const struct shard *s)
{
    struct buf b = {0};
    buf_put_le32(&b, s->set->version);
    put_counters(s, &b);
    put_merges(s, &b);
    put_rejects(s, &b);
    buf_put(&b, s->received, sizeof s->received);
    buf_put(&b, s->sent, sizeof s->sent);
    buf_put_le64(&b, store_hash(&s->store));
    buf_put_le64(&b, outbox_hash(s->outbox));
    struct key k = hash128_plain(b.p, b.n);
    buf_free(&b);
    return k;
}
