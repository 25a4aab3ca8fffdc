/* stats.c - stats.get: every worker adds up its shards, worker 0 adds up the workers. Keys are a contract
 * (interfaces.md section 4); what does not exist yet is zero. */
#include "io/memory.h"
#include "io/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { UNDECLARED_SHOWN = 1000 };

struct named_count {
    struct slice name; /* in the arena */
    uint64_t count;
};

struct sums {
    struct request *request;
    pthread_mutex_t lock; /* workers add one after the other */
    struct arena arena;
    const struct defset *set;
    struct shard_counters counters;
    struct journey_counters *journeys;
    uint32_t journey_count, segment_count, event_count;
    uint64_t *segments, *events;
    struct named_count *undeclared;
    uint32_t undeclared_count, undeclared_room;
    uint64_t profiles, known, armed, overdue, merges, folded, lsn, durable_lsn, outbox_pending,
        outbox_oldest_s;
    struct store_memory memory;
    struct wal_stats wal;
    struct latency ack, lag;
    uint32_t sync_us_p99;
    uint64_t ring_queued, ring_stalls, ring_resent, ring_under_way, chunks_waiting, credit_exhausted;
    struct worker_counters counted; /* by the workers since the start */
    bool disk_full;
};

/* ---- on each worker ------------------------------------------------------------------------------------- */

#define ADD(field) to->field += from->field

static void add_counters(struct shard_counters *to, const struct shard_counters *from)
{
    ADD(received), ADD(applied), ADD(rejected), ADD(duplicate), ADD(late), ADD(undeclared),
        ADD(dropped_props), ADD(clamped);
    ADD(merged), ADD(conflicts), ADD(aliases_dropped), ADD(timers_fired), ADD(expression_errors),
        ADD(ring_refused);
    ADD(actions.created), ADD(actions.confirmed), ADD(actions.deferred), ADD(actions.expired);
    for (uint32_t i = 0; i < REJECT_COUNT; i++) ADD(rejects[i]);
    for (uint32_t i = 0; i < DECISION_COUNT; i++) ADD(actions.suppressed[i]);
}

void journey_counters_add(struct journey_counters *to, const struct journey_counters *from)
{
    ADD(entered), ADD(active), ADD(completed), ADD(goal), ADD(exited), ADD(timeout), ADD(cancelled),
        ADD(moved), ADD(converted);
    ADD(converted_touched), ADD(revenue_micros), ADD(held_out.entered), ADD(held_out.converted),
        ADD(held_out.revenue_micros);
}

static void add_memory(struct store_memory *to, const struct store_memory *from)
{
    ADD(rows), ADD(heap), ADD(index), ADD(columns), ADD(members), ADD(links), ADD(window);
}

static void add_undeclared(struct sums *sums, const struct shard *s)
{
    static _Thread_local struct slice names[UNDECLARED_SHOWN + 1];
    static _Thread_local uint64_t counts[UNDECLARED_SHOWN + 1];
    uint32_t n = shard_undeclared(s, names, counts, UNDECLARED_SHOWN + 1);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = 0;
        while (k < sums->undeclared_count && !slice_eq(sums->undeclared[k].name, names[i])) k++;
        if (k == UNDECLARED_SHOWN) continue;
        if (k == sums->undeclared_count) {
            if (k == sums->undeclared_room) {
                sums->undeclared_room = sums->undeclared_room ? sums->undeclared_room * 2 : 64;
                sums->undeclared =
                    realloc(sums->undeclared, sums->undeclared_room * sizeof *sums->undeclared);
                CHECK(sums->undeclared != NULL);
            }
            sums->undeclared[sums->undeclared_count++] =
                (struct named_count){arena_slice(&sums->arena, names[i]), 0};
        }
        sums->undeclared[k].count += counts[i];
    }
}

static void count_message(void *self, uint8_t to, uint16_t kind, uint64_t sequence, struct slice body)
{
    ++*(uint64_t *)self;
}

static void add_shard(struct sums *sums, struct shard *s, uint32_t now)
{
    struct store *store = shard_store(s);
    struct store_memory memory;
    uint32_t journeys;
    const struct journey_counters *list = shard_journey_counters(s, &journeys);
    add_counters(&sums->counters, shard_counters(s));
    for (uint32_t i = 0; i < journeys && i < sums->journey_count; i++)
        journey_counters_add(&sums->journeys[i], &list[i]);
    for (uint32_t i = 0; i < sums->segment_count; i++) sums->segments[i] += member_count(store, (uint16_t)i);
    for (uint32_t i = 0; i < sums->event_count; i++) sums->events[i] += shard_event_count(s, (uint16_t)i);
    add_undeclared(sums, s);
    store_memory(store, &memory);
    add_memory(&sums->memory, &memory);
    sums->profiles += store->profiles;
    sums->known += store->known;
    sums->folded += store->folded;
    sums->armed += shard_armed_timers(s);
    sums->overdue += shard_overdue(s, now);
    sums->merges += shard_pending_merges(s);
    shard_pending_messages(s, count_message, &sums->ring_under_way);
    sums->lsn += shard_lsn(s);
    sums->outbox_pending += outbox_pending(shard_outbox(s));
    uint32_t oldest = outbox_oldest(shard_outbox(s));
    if (oldest && now > oldest && now - oldest > sums->outbox_oldest_s) sums->outbox_oldest_s = now - oldest;
}

static void add_worker_counters(struct worker_counters *to, const struct worker_counters *from)
{
    ADD(frames), ADD(connections), ADD(refused), ADD(acks_dropped), ADD(tail_dropped), ADD(spilled);
    for (uint32_t i = 0; i < FORWARD_CLOSE_COUNT; i++) ADD(closed_by[i]);
    if (from->loop_us_max > to->loop_us_max) to->loop_us_max = from->loop_us_max;
}

static void add_worker(struct sums *sums, struct worker *w)
{
    struct wal_stats wal;
    wal_stats(w->wal, &wal);
    sums->wal.bytes += wal.bytes;
    sums->wal.files += wal.files;
    if (wal.sync_us_p99 > sums->sync_us_p99) sums->sync_us_p99 = wal.sync_us_p99;
    sums->durable_lsn += wal_last(w->wal) - wal_durable(w->wal); /* turned round at the end */
    for (uint32_t i = 0; i < 128; i++) {
        sums->ack.buckets[i] += w->ack_latency.buckets[i];
        sums->lag.buckets[i] += w->wake_lag.buckets[i];
    }
    add_worker_counters(&sums->counted, &w->counters);
    sums->ring_queued += w->outbound_bytes;
    sums->ring_stalls += w->counters.ring_stalls;
    sums->ring_resent += w->counters.notes_resent;
    sums->disk_full |= wal_disk_full(w->wal);
    sums->chunks_waiting += w->credit.chunks_used;
    sums->credit_exhausted += w->credit.exhausted;
}

static enum call_state add_up(struct worker *w, struct part *p)
{
    struct sums *sums = p->scatter->owner;
    pthread_mutex_lock(&sums->lock);
    for (uint32_t i = 0; i < w->shard_count; i++) add_shard(sums, w->shards[i], w->now);
    add_worker(sums, w);
    pthread_mutex_unlock(&sums->lock);
    return CALL_HELD; /* what is shown is durable */
}

/* ---- the answer ----------------------------------------------------------------------------------------- */

static void pack_by_name(pk_t *pk, const struct sums *s)
{
    size_t at = pk_open(pk, PK_MAP);
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->event_count; i++) {
        const struct schema_event *e = schema_event(&s->set->schema, i);
        if (!e || !s->events[i]) continue;
        pk_slice(pk, e->name);
        pk_uint(pk, s->events[i]);
        n++;
    }
    for (uint32_t i = 0; i < s->undeclared_count; i++, n++) {
        pk_slice(pk, s->undeclared[i].name);
        pk_uint(pk, s->undeclared[i].count);
    }
    pk_close(pk, at, n);
}

static void pack_events(pk_t *pk, const struct sums *s)
{
    const struct shard_counters *c = &s->counters;
    pk_text(pk, "events");
    pk_map(pk, 10);
    pk_key_uint(pk, "received", c->received);
    pk_key_uint(pk, "applied", c->applied);
    pk_key_uint(pk, "rejected", c->rejected);
    pk_key_uint(pk, "duplicate", c->duplicate);
    pk_key_uint(pk, "late", c->late);
    pk_key_uint(pk, "undeclared", c->undeclared);
    pk_key_uint(pk, "clamped", c->clamped);
    pk_key_uint(pk, "dropped_properties", c->dropped_props);
    pk_text(pk, "rejected_by");
    size_t at = pk_open(pk, PK_MAP);
    uint32_t n = 0;
    for (uint32_t i = 1; i < REJECT_COUNT; i++) {
        if (!c->rejects[i]) continue;
        pk_key_uint(pk, reject_text((enum reject)i), c->rejects[i]);
        n++;
    }
    pk_close(pk, at, n);
    pk_text(pk, "by_name");
    pack_by_name(pk, s);
}

static void pack_segments(pk_t *pk, const struct sums *s)
{
    pk_text(pk, "segments");
    size_t at = pk_open(pk, PK_MAP);
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->segment_count; i++) {
        if (!s->set->segments.list[i].live) continue;
        pk_slice(pk, s->set->segments.list[i].name);
        pk_uint(pk, s->segments[i]);
        n++;
    }
    pk_close(pk, at, n);
    pk_key_uint(pk, "segments_building", 0);
}

static void pack_money(pk_t *pk, const char *key, int64_t micros)
{
    pk_text(pk, key);
    msgpack_pack_double(pk, (double)micros / 1e6);
}

void pack_journey_counters(pk_t *pk, const struct journey_counters *c)
{
    pk_map(pk, 12);
    pk_key_uint(pk, "entered", c->entered);
    pk_key_uint(pk, "active", c->active);
    pk_key_uint(pk, "completed", c->completed);
    pk_key_uint(pk, "goal", c->goal);
    pk_key_uint(pk, "exited", c->exited);
    pk_key_uint(pk, "timeout", c->timeout);
    pk_key_uint(pk, "cancelled", c->cancelled);
    pk_key_uint(pk, "moved", c->moved);
    pk_key_uint(pk, "converted", c->converted);
    pk_key_uint(pk, "converted_touched", c->converted_touched);
    pack_money(pk, "revenue", c->revenue_micros);
    pk_text(pk, "held_out");
    pk_map(pk, 3);
    pk_key_uint(pk, "entered", c->held_out.entered);
    pk_key_uint(pk, "converted", c->held_out.converted);
    pack_money(pk, "revenue", c->held_out.revenue_micros);
}

static void pack_journeys(pk_t *pk, const struct sums *s)
{
    pk_text(pk, "journeys");
    size_t at = pk_open(pk, PK_MAP);
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->journey_count; i++) {
        if (!s->set->journeys.journeys[i]) continue;
        pk_slice(pk, s->set->journeys.journeys[i]->name);
        pack_journey_counters(pk, &s->journeys[i]);
        n++;
    }
    pk_close(pk, at, n);
}

static void pack_actions(pk_t *pk, const struct sums *s)
{
    const struct action_counters *a = &s->counters.actions;
    pk_text(pk, "actions");
    pk_map(pk, 5);
    pk_key_uint(pk, "created", a->created);
    pk_key_uint(pk, "confirmed", a->confirmed);
    pk_key_uint(pk, "deferred", a->deferred);
    pk_key_uint(pk, "expired", a->expired);
    pk_text(pk, "suppressed");
    size_t at = pk_open(pk, PK_MAP);
    uint32_t n = 0;
    for (uint32_t i = 0; i < DECISION_COUNT; i++) {
        if (!a->suppressed[i]) continue;
        pk_key_uint(pk, decision_name((enum decision)i), a->suppressed[i]);
        n++;
    }
    pk_close(pk, at, n);
    pk_text(pk, "outbox");
    pk_map(pk, 2);
    pk_key_uint(pk, "pending", s->outbox_pending);
    pk_key_uint(pk, "oldest_s", s->outbox_oldest_s);
}

static void pack_storage(pk_t *pk, const struct sums *s)
{
    const struct engine *e = s->request->engine;
    const struct admin *a = e->admin;
    uint64_t now_us = loop_now_us();
    pk_text(pk, "wal");
    pk_map(pk, 5);
    pk_key_uint(pk, "lsn", s->lsn);
    pk_key_uint(pk, "durable_lsn", s->lsn - s->durable_lsn);
    pk_key_uint(pk, "bytes", s->wal.bytes);
    pk_key_uint(pk, "segments", s->wal.files);
    pk_key_uint(pk, "sync_us_p99", s->sync_us_p99);
    pk_text(pk, "snapshot");
    pk_map(pk, 4);
    pk_key_uint(pk, "lsn", a->snapshot_lsn);
    pk_key_uint(pk, "age_s", a->snapshot_at_us ? (now_us - a->snapshot_at_us) / 1000000 : 0);
    pk_key_uint(pk, "bytes", a->snapshot_bytes);
    pk_key_uint(pk, "failed", a->snapshots_failed);
    uint64_t total = e->recovered.snapshot_bytes + e->recovered.log_bytes;
    pk_text(pk, "recovery");
    pk_map(pk, 2);
    pk_key_uint(pk, "done", total);
    pk_key_uint(pk, "total", total);
    pk_text(pk, "disk");
    pk_map(pk, 2);
    pk_text(pk, "full"); /* no room for the next log file: acks wait */
    pk_bool(pk, s->disk_full);
    int64_t space = e->disk->ops->space(e->disk);
    pk_key_uint(pk, "free", space > 0 ? (uint64_t)space : 0);
}

/* Since the start: what connections did, and why they were closed from this side. */
static void pack_ingest(pk_t *pk, const struct sums *s)
{
    const struct worker_counters *c = &s->counted;
    pk_text(pk, "ingest");
    pk_map(pk, 8);
    pk_key_uint(pk, "connections", atomic_load(&s->request->engine->connections));
    pk_key_uint(pk, "accepted", c->connections);
    pk_key_uint(pk, "refused", c->refused);
    pk_key_uint(pk, "frames", c->frames);
    pk_key_uint(pk, "chunks_waiting", s->chunks_waiting);
    pk_key_uint(pk, "acks_dropped", c->acks_dropped);
    pk_key_uint(pk, "spilled", c->spilled); /* records that waited for room in the log */
    pk_text(pk, "closed");
    size_t at = pk_open(pk, PK_MAP);
    uint32_t n = 0;
    for (uint32_t i = 1; i < FORWARD_CLOSE_COUNT; i++) {
        if (!c->closed_by[i]) continue;
        pk_key_uint(pk, forward_close_text((enum forward_close)i), c->closed_by[i]);
        n++;
    }
    pk_close(pk, at, n);
}

static void pack_loops(pk_t *pk, const struct sums *s)
{
    pk_text(pk, "latency_us");
    pk_map(pk, 2);
    pk_key_uint(pk, "ack_p50", latency_percentile(&s->ack, 50));
    pk_key_uint(pk, "ack_p99", latency_percentile(&s->ack, 99));
    pk_text(pk, "loop");
    pk_map(pk, 1);
    pk_key_uint(pk, "max_us", s->counted.loop_us_max);
    pk_text(pk, "ring");
    pk_map(pk, 5);
    pk_key_uint(pk, "queued", s->ring_queued);
    pk_key_uint(pk, "stalls", s->ring_stalls);
    pk_key_uint(pk, "resent", s->ring_resent);
    pk_key_uint(pk, "under_way", s->ring_under_way); /* messages between shards that were not received yet */
    pk_key_uint(pk, "credit_exhausted", s->credit_exhausted);
    pack_ingest(pk, s);
    pk_text(pk, "timers");
    pk_map(pk, 4);
    pk_key_uint(pk, "armed", s->armed);
    pk_key_uint(pk, "fired", s->counters.timers_fired);
    pk_key_uint(pk, "overdue", s->overdue);
    pk_key_uint(pk, "lag_ms_p99", latency_percentile(&s->lag, 99) / 1000);
}

static void pack_memory(pk_t *pk, const struct sums *s)
{
    const struct store_memory *m = &s->memory;
    uint64_t resident = memory_resident();
    pk_text(pk, "memory");
    pk_map(pk, 4);
    pk_key_uint(pk, "resident", resident);
    pk_key_uint(pk, "huge", 0);
    pk_key_uint(pk, "per_profile", s->profiles ? resident / s->profiles : 0);
    pk_text(pk, "by_part");
    pk_map(pk, 7);
    pk_key_uint(pk, "rows", m->rows);
    pk_key_uint(pk, "heap", m->heap);
    pk_key_uint(pk, "index", m->index);
    pk_key_uint(pk, "columns", m->columns);
    pk_key_uint(pk, "members", m->members);
    pk_key_uint(pk, "links", m->links);
    pk_key_uint(pk, "window", m->window);
}

static void pack_people(pk_t *pk, const struct sums *s)
{
    pk_text(pk, "profiles");
    pk_map(pk, 3);
    pk_key_uint(pk, "total", s->profiles);
    pk_key_uint(pk, "known", s->known);
    pk_key_uint(pk, "anonymous", s->profiles - s->known);
    pk_text(pk, "identity");
    pk_map(pk, 4);
    pk_key_uint(pk, "merged", s->counters.merged);
    pk_key_uint(pk, "conflict", s->counters.conflicts);
    pk_key_uint(pk, "pending", s->merges);
    pk_key_uint(pk, "aliases_dropped", s->counters.aliases_dropped);
    pk_text(pk, "history");
    pk_map(pk, 2);
    pk_key_uint(pk, "folded", s->folded);
    pk_key_uint(pk, "late_window", s->counters.late);
}

static void pack_process(pk_t *pk, const struct sums *s)
{
    struct engine *e = s->request->engine;
    pk_text(pk, "clock");
    pk_map(pk, 2);
    pk_text(pk, "offset_s");
    pk_int(pk, clock_offset_s(&e->clock));
    pk_key_uint(pk, "now", clock_now(&e->clock));
    pk_text(pk, "definitions");
    pk_map(pk, 2);
    pk_key_uint(pk, "version", s->set->version);
    pk_text(pk, "hash");
    pk_hex(pk, s->set->hash);
    pk_key_uint(pk, "core_version", CORE_VERSION);
    pk_text(pk, "io_backend");
    pk_text(pk, e->io_name);
    pk_key_uint(pk, "uptime_s", (loop_now_us() - e->started_us) / 1000000);
    pk_key_uint(pk, "expression_errors", s->counters.expression_errors);
}

static void sums_free(struct sums *s)
{
    pthread_mutex_destroy(&s->lock);
    arena_free(&s->arena);
    free(s->undeclared);
    free(s);
}

static void added_up(struct scatter *scatter)
{
    struct sums *s = scatter->owner;
    struct request *r = s->request;
    pk_t *pk = &r->pack;
    scatter_free(scatter);
    pk_map(pk, 25);
    pack_events(pk, s);   /* events */
    pack_people(pk, s);   /* profiles, identity, history */
    pack_segments(pk, s); /* segments, segments_building */
    pack_journeys(pk, s); /* journeys */
    pack_actions(pk, s);  /* actions, outbox */
    pack_storage(pk, s);  /* wal, snapshot, recovery, disk */
    pack_loops(pk, s);    /* latency_us, loop, ring, ingest, timers */
    pack_memory(pk, s);   /* memory */
    pack_process(pk, s);  /* clock, definitions, core_version, io_backend, uptime_s, expression_errors */
    sums_free(s);
    request_reply(r);
}

void method_stats(struct request *r)
{
    struct sums *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    s->request = r;
    pthread_mutex_init(&s->lock, NULL);
    arena_init(&s->arena);
    s->set = sets_newest(r->engine->sets);
    s->journey_count = s->set->journeys.journey_count;
    s->segment_count = s->set->segments.count;
    s->event_count = s->set->schema.event_count;
    s->journeys = ARENA_ARRAY(&s->arena, struct journey_counters, s->journey_count + 1);
    s->segments = ARENA_ARRAY(&s->arena, uint64_t, s->segment_count + 1);
    s->events = ARENA_ARRAY(&s->arena, uint64_t, s->event_count + 1);
    struct scatter *scatter = scatter_new(r->engine, s);
    scatter->run = add_up;
    scatter->done = added_up;
    scatter_start(scatter);
}
