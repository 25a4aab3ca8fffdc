/* machine.c - the shards of a whole node, driven by hand. */
#include "core/machine.h"
#include "core/base/check.h"

#include <stdlib.h>

struct machine {
    struct machine_config config;
    struct shard *shards[LOGICAL_SHARDS];
    struct effects effects;
    struct arena scratch;
    uint32_t now;
    struct buf queue; /* messages on their way: {to u8, bytes u32, record payload} ... */
};

static const struct defset *definitions(void *host, uint32_t version, struct key hash)
{
    struct machine *m = host;
    (void)version, (void)hash;
    return m->config.set; /* a machine lives with one set from its first second */
}

static void log_tick(struct machine *m, struct shard *s, uint32_t ran)
{
    struct record r = {.kind = RECORD_TICK, .shard = shard_index(s), .head_bytes = 8, .lsn = shard_lsn(s)};
    store_le32(r.head, m->now);
    store_le32(r.head + 4, ran);
    if (m->config.on_record) m->config.on_record(m->config.self, &r);
}

static void begin_shard(struct machine *m, uint32_t i)
{
    struct shard_config c = {.index = (uint8_t)i,
                             .secret = m->config.secret,
                             .no_holdout = m->config.no_holdout,
                             .definitions = definitions,
                             .host = m};
    m->shards[i] = shard_create(&c);
    CHECK(m->shards[i] != NULL);
    CHECK(shard_reserve_tick(m->shards[i], 1, &m->effects));
    shard_tick(m->shards[i], m->now, 0, &m->effects);
    if (m->now) log_tick(m, m->shards[i], 0);
}

static struct shard *shard_for(struct machine *m, uint32_t i)
{
    if (!m->shards[i]) begin_shard(m, i);
    return m->shards[i];
}

struct machine *machine_create(const struct machine_config *config)
{
    struct machine *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    m->config = *config;
    m->now = config->start;
    effects_init(&m->effects);
    m->effects.want_transitions = config->want_transitions;
    m->effects.want_events = config->want_events;
    arena_init(&m->scratch);
    for (uint32_t i = 0; i < LOGICAL_SHARDS && !config->lazy; i++) begin_shard(m, i);
    return m;
}

void machine_destroy(struct machine *m)
{
    if (!m) return;
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++)
        if (m->shards[i]) shard_destroy(m->shards[i]);
    effects_free(&m->effects);
    arena_free(&m->scratch);
    buf_free(&m->queue);
    free(m);
}

static void apply(struct machine *m, struct batch_item *item);

/* Hands out what happened; messages are delivered in the order they were sent. */
static void release(struct machine *m)
{
    for (uint32_t i = 0; i < m->effects.count; i++) {
        const struct effect *e = &m->effects.list[i];
        if (e->kind == EFFECT_MESSAGE) {
            buf_put_u8(&m->queue, e->message.to);
            buf_put_le32(&m->queue, MESSAGE_HEADER_BYTES + e->message.body.n);
            buf_put_le16(&m->queue, e->shard);
            buf_put_le16(&m->queue, e->message.message_kind);
            buf_put_le64(&m->queue, e->message.sequence);
            buf_put_slice(&m->queue, e->message.body);
            shard_ack_messages(m->shards[e->shard], e->message.to, e->message.sequence);
        } else if (m->config.on_effect) {
            m->config.on_effect(m->config.self, e);
        }
    }
    effects_reset(&m->effects);
}

static void deliver(struct machine *m)
{
    for (size_t at = 0; at < m->queue.n;) {
        uint8_t to = m->queue.p[at];
        uint32_t bytes = load_le32(m->queue.p + at + 1);
        struct buf payload = {0}; /* the queue may move while this message causes further ones */
        buf_put(&payload, m->queue.p + at + 5, bytes);
        struct batch_item item = {
            .shard = shard_for(m, to),
            .record = {.kind = RECORD_MESSAGE, .shard = to, .payload = buf_slice(&payload)}};
        apply(m, &item);
        buf_free(&payload);
        at += 5 + bytes;
    }
    buf_clear(&m->queue);
}

static void tick_to_now(struct machine *m, struct shard *s)
{
    if (shard_now(s) == m->now && !shard_overdue(s, m->now)) return;
    uint32_t ran;
    do {
        CHECK(shard_reserve_tick(s, 256, &m->effects));
        uint64_t lsn = shard_lsn(s);
        ran = shard_tick(s, m->now, 256, &m->effects);
        if (shard_lsn(s) != lsn) log_tick(m, s, ran);
        release(m);
    } while (ran == 256);
}

static void apply(struct machine *m, struct batch_item *item)
{
    tick_to_now(m, item->shard);
    CHECK(shards_reserve(item, 1, &m->effects) == 1);
    shards_apply(item, 1, &m->scratch, &m->effects);
    if (m->config.on_record) m->config.on_record(m->config.self, &item->record);
    release(m);
}

void machine_event(struct machine *m, struct slice raw, int64_t entry_ms)
{
    arena_reset(&m->scratch);
    struct batch_item item = {.record = {.kind = RECORD_EVENT, .head_bytes = 8, .payload = raw}};
    store_le64(item.record.head, (uint64_t)entry_ms);
    item.shard =
        shard_for(m, event_route(&item, &m->config.set->schema, m->config.secret, NULL, &m->scratch));
    apply(m, &item);
    deliver(m);
}

bool machine_list(struct machine *m, struct key person, uint16_t list)
{
    struct shard *s = m->shards[key_shard(person)];
    struct key target;
    row_t row;
    if (!s || store_find(shard_store(s), person, &row, &target) != FOUND_ROW) return false;
    uint8_t payload[22];
    store_le16(payload, ADMIN_LIST);
    store_le16(payload + 2, 1);
    store_le16(payload + 4, list);
    store_le64(payload + 6, person.hi);
    store_le64(payload + 14, person.lo);
    struct batch_item item = {.shard = s,
                              .record = {.kind = RECORD_ADMIN,
                                         .shard = shard_index(s),
                                         .payload = slice_of(payload, sizeof payload)}};
    apply(m, &item);
    deliver(m);
    return true;
}

uint32_t machine_next_due(const struct machine *m)
{
    uint32_t next = UINT32_MAX;
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        uint32_t due = m->shards[i] ? shard_next_due(m->shards[i]) : UINT32_MAX;
        if (due < next) next = due;
    }
    return next;
}

void machine_advance(struct machine *m, uint32_t to)
{
    for (uint32_t next; (next = machine_next_due(m)) <= to;) {
        if (next > m->now) m->now = next;
        for (uint32_t i = 0; i < LOGICAL_SHARDS; i++)
            if (m->shards[i] && shard_overdue(m->shards[i], m->now)) tick_to_now(m, m->shards[i]);
        deliver(m);
    }
    if (to > m->now) m->now = to;
}

uint32_t machine_now(const struct machine *m) { return m->now; }
struct shard *machine_shard(struct machine *m, uint32_t index) { return m->shards[index]; }
