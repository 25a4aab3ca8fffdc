/* batch.c - many records at once: room for all they may need, what they will touch fetched ahead, one after another
 * applied; and the list of effects that they leave. */
#include "core/journey/parts.h"
#include "core/shard/state.h"

#include <stdlib.h>

/* ---- effects ------------------------------------------------------------------------- */

void effects_init(struct effects *e)
{
    *e = (struct effects){0};
    arena_init(&e->scratch);
    arena_init(&e->work);
}

void effects_reset(struct effects *e)
{
    e->count = 0;
    e->message_sent = false;
    arena_reset(&e->scratch);
}

void effects_free(struct effects *e)
{
    arena_free(&e->scratch);
    arena_free(&e->work);
    buf_free(&e->half);
    free(e->list);
    *e = (struct effects){0};
}

static bool effects_reserve(struct effects *e, uint32_t more)
{
    if (e->capacity - e->count >= more) return true;
    uint32_t capacity = e->capacity ? e->capacity : 1024;
    while (capacity - e->count < more) capacity *= 2;
    struct effect *list = realloc(e->list, capacity * sizeof *list);
    if (!list) return false;
    e->list = list;
    e->capacity = capacity;
    return true;
}

struct effect *shard_effect(struct shard *s, enum effect_kind kind)
{
    struct effects *out = s->effects;
    CHECK(out->count < out->capacity ||
          effects_reserve(out, 1024)); /* only a burst of transitions gets here */
    struct effect *e = &out->list[out->count++];
    *e = (struct effect){.kind = (uint8_t)kind, .shard = s->config.index, .lsn = s->lsn, .cookie = s->cookie};
    return e;
}

/* ---- room ---------------------------------------------------------------------------- */

static size_t record_bytes(const struct record *r) { return (size_t)r->head_bytes + r->payload.n; }

/* Room for what `count` records with `bytes` of payload may do here: people, histories and columns (store), what their
 * `walks` journeys keep and create, wake-ups. One heap serves all of them, so it is asked for once. */
bool shard_reserve_walks(struct shard *s, uint32_t count, uint32_t walks, size_t bytes)
{
    enum { PER_WALK = WALK_STORE_BYTES_MAX + WALK_ACTION_BYTES_MAX, PER_RECORD = 32 << 10 };
    size_t heap = 2 * bytes + (size_t)count * PER_RECORD + (size_t)walks * PER_WALK;
    s->credit = 0; /* requests do not add up: what was asked for before may now be used */
    return outbox_reserve(s->outbox, WALK_ACTIONS_MAX * walks, 0) &&
           store_reserve_more(&s->store, count, bytes, heap) && wheel_reserve(s->wheel, 4 * count) &&
           shard_reserve_ready(s, 4 * count) &&
           region_reserve(&s->merges, (size_t)count * sizeof(struct pending_merge));
}

/* One record may walk a person's journeys three times: as the wake-up that is overdue, as one with an anonymous half, and
 * for what it says itself. */
static bool reserve_records(struct shard *s, uint32_t count, size_t bytes)
{
    enum { WALKS_PER_RECORD = 3 };
    return shard_reserve_walks(s, count, WALKS_PER_RECORD * count, bytes);
}

/* A batch brings a shard a record or two, so room for some more is asked for at once: 84 instructions an
 * event instead of 460. */
static bool reserve_live(struct shard *s)
{
    enum { RECORDS_AHEAD = 16, BYTES_AHEAD = RECORDS_AHEAD << 10 };
    uint32_t records = s->live_records;
    size_t bytes = s->live_bytes;
    if (records <= s->credit && bytes <= s->credit_bytes) {
        s->credit -= records;
        s->credit_bytes -= bytes;
        return true;
    }
    if (!reserve_records(s, records + RECORDS_AHEAD, bytes + BYTES_AHEAD))
        return reserve_records(s, records, bytes);
    s->credit = RECORDS_AHEAD;
    s->credit_bytes = BYTES_AHEAD;
    return true;
}

static bool reserve_all(struct batch_item *items, uint32_t count, struct effects *out)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) items[i].shard->live_records = 0, items[i].shard->live_bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct shard *s = items[i].shard;
        /* An answer to a merge applies the person's parked records, too. */
        uint32_t parked = items[i].record.kind == RECORD_MESSAGE ? shard_parked_for(s, &items[i].record) : 0;
        s->live_records += 1 + parked;
        s->live_bytes += record_bytes(&items[i].record) + (size_t)parked * EVENT_BYTES_MAX;
        bytes += record_bytes(&items[i].record);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct shard *s = items[i].shard;
        if (!s->live_records) continue;
        if (!reserve_live(s)) return false;
        s->live_records = 0;
    }
    if (!effects_reserve(out, 64 * count + 1024)) return false;
    arena_reserve(&out->work, 1 << 20);
    arena_reserve(&out->scratch, bytes + (64 << 10));
    buf_clear(&out->half);
    buf_reserve(&out->half, 256 << 10);
    return true;
}

uint32_t shards_reserve(struct batch_item *items, uint32_t count, struct effects *out)
{
    while (count && !reserve_all(items, count, out)) count /= 2;
    return count;
}

/* ---- fetching ahead ------------------------------------------------------------------------
 *
 * The shard's own lines -> the store's parts -> index directory -> bucket -> row -> type records -> history tail are
 * seven dependent misses of 100 ns and more. Each event goes through them a few events ahead of being applied, so that a
 * line has arrived when the next stage reads through it, and no stage waits. All of it is hints: nothing is changed. */

enum { AHEAD = 3, STAGES = 7, ROWS_RING = 32, PREFETCH_TRAITS = 4 }; /* events between two stages */
_Static_assert(ROWS_RING >= AHEAD * STAGES, "a row is remembered until its last stage");

static bool has_event(const struct batch_item *item) { return item->decoded && !item->reject; }

static void fetch_shard(const struct shard *s)
{
    __builtin_prefetch(&s->set, 1);
    __builtin_prefetch(&s->created, 1);
    __builtin_prefetch(&s->store);
    __builtin_prefetch(&s->store.heap, 1);
    __builtin_prefetch(&s->store.heap.free[8], 1);
    __builtin_prefetch(&s->store.heap.free[24], 1);
    __builtin_prefetch(&s->counters, 1);
}

static void fetch_parts(const struct batch_item *item)
{
    store_prefetch_parts(&item->shard->store);
    __builtin_prefetch(&item->decoded);
    __builtin_prefetch(&item->event.type);
    __builtin_prefetch(&item->event.key);
}

static void fetch_directory(const struct batch_item *item)
{
    const struct shard *s = item->shard;
    store_prefetch_directory(&s->store, item->event.key);
    if (item->event.type < s->event_count) __builtin_prefetch(&s->event_counts[item->event.type], 1);
}

static void fetch_blocks(const struct batch_item *item, row_t row)
{
    const struct event *e = &item->event;
    store_prefetch_types(&item->shard->store, row);
    for (uint32_t k = 0; k < e->trait_count && k < PREFETCH_TRAITS; k++)
        store_prefetch_attribute(&item->shard->store, row, e->traits[k].attribute);
}

/* At turn t stage k works on item t - k * AHEAD. */
static void fetch_ahead(const struct batch_item *items, uint32_t count, uint32_t turn, row_t rows[ROWS_RING])
{
    uint32_t i = turn;
    if (i < count) fetch_shard(items[i].shard);
    if ((i -= AHEAD) < count) fetch_parts(&items[i]);
    if ((i -= AHEAD) < count && has_event(&items[i])) fetch_directory(&items[i]);
    if ((i -= AHEAD) < count && has_event(&items[i]))
        store_prefetch_bucket(&items[i].shard->store, items[i].event.key);
    if ((i -= AHEAD) < count)
        rows[i % ROWS_RING] =
            has_event(&items[i]) ? store_prefetch_row(&items[i].shard->store, items[i].event.key) : ROW_NONE;
    if ((i -= AHEAD) < count && !row_none(rows[i % ROWS_RING])) fetch_blocks(&items[i], rows[i % ROWS_RING]);
    if ((i -= AHEAD) < count && !row_none(rows[i % ROWS_RING]))
        store_prefetch_tail(&items[i].shard->store, rows[i % ROWS_RING], items[i].event.type);
}

static void decode_late(struct batch_item *items, uint32_t count, struct arena *scratch)
{
    for (uint32_t i = 0; i < count; i++) {
        struct batch_item *item = &items[i];
        if (item->decoded || (item->record.kind != RECORD_EVENT && item->record.kind != RECORD_IMPORT))
            continue;
        item->reject = shard_decode(item->shard, &item->record, scratch, &item->event);
        item->decoded = true;
    }
}

uint32_t shards_apply(struct batch_item *items, uint32_t count, struct arena *scratch, struct effects *out)
{
    row_t rows[ROWS_RING];
    decode_late(items, count, scratch);
    for (uint32_t turn = 0; turn < count + STAGES * AHEAD; turn++) {
        uint32_t i = turn - STAGES * AHEAD;
        fetch_ahead(items, count, turn, rows);
        if (i >= count) continue;
        items[i].shard->effects = out;
        shard_apply_record(items[i].shard, &items[i]);
        if (unlikely(out->message_sent) && out->stop_at_message) return i + 1;
    }
    return count;
}

uint8_t event_route(struct batch_item *item, const struct schema *schema, const struct hash_secret *secret,
                    struct event_shape *shape, struct arena *scratch)
{
    struct record *r = &item->record;
    CHECK(r->head_bytes == 8 && (r->kind == RECORD_EVENT || r->kind == RECORD_IMPORT));
    item->reject = event_parse_shaped(schema, secret, shape, r->payload, (int64_t)load_le64(r->head), scratch,
                                      &item->event);
    item->decoded = true;
    if (item->reject) { /* its home is decided by its bytes; what is too large keeps only its beginning */
        uint32_t n = r->payload.n < REJECT_BYTES_KEPT ? r->payload.n : REJECT_BYTES_KEPT;
        r->kind = RECORD_REJECT;
        r->head_bytes = 2;
        store_le16(r->head, (uint16_t)item->reject);
        r->shard = (uint8_t)(hash64(secret, r->payload.p, n) % LOGICAL_SHARDS);
        r->payload.n = n;
        return r->shard;
    }
    return r->shard = (uint8_t)key_shard(item->event.key);
}

uint8_t event_route_decoded(struct batch_item *item, const struct event *event)
{
    item->event = *event;
    item->reject = REJECT_NONE;
    item->decoded = true;
    return item->record.shard = (uint8_t)key_shard(event->key);
}
