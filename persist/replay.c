/* Always true: a shard's records are applied one LSN after the other without a gap; what the snapshot covers is verified
 * and skipped. */
#include "persist/replay.h"
#include "core/base/check.h"
#include "core/base/planted.h"

#include <stdio.h>
#include <stdlib.h>

static bool stop(struct replay *r, enum persist_status status)
{
    r->status = status;
    return false;
}

static bool refuse_at(struct replay *r, const struct log_group *g, const struct record *record,
                      const char *why)
{
    char name[LOG_NAME_BYTES];
    const struct log_header *h = &r->log.header;
    log_name_print(name, h->epoch, h->thread, h->sequence);
    return stop(r, datadir_refuse(&r->dir, name, "offset %llu: shard %u LSN %llu: %s",
                                  (unsigned long long)g->offset, record->shard,
                                  (unsigned long long)record->lsn, why));
}

struct datadir datadir_twin(const struct datadir *dir)
{
    struct datadir twin = *dir;
    twin.error = (struct buf){0};
    return twin;
}

/* ---- what logs share ---------------------------------------------------------------------------------- */

static const struct known_definitions *find_definitions(const struct recovery *all, uint32_t version)
{
    for (uint32_t i = 0; i < all->known_count; i++)
        if (all->known[i].version == version) return &all->known[i];
    return NULL;
}

static void know(struct recovery *all, uint32_t version, struct key hash)
{
    if (all->known_count == all->known_capacity) {
        all->known_capacity = all->known_capacity ? 2 * all->known_capacity : 16;
        all->known = realloc(all->known, all->known_capacity * sizeof *all->known);
        CHECK(all->known != NULL);
    }
    all->known[all->known_count++] = (struct known_definitions){version, hash};
}

static enum persist_status load_definitions(struct recovery *all, struct datadir *dir, uint32_t version)
{
    struct key hash;
    struct buf bundle = {0};
    enum persist_status status = datadir_get_definitions(dir, version, &hash, &bundle);
    if (status == PERSIST_OK && !all->host->definitions(all->host->self, version, hash, buf_slice(&bundle)))
        status = datadir_refuse(dir, "definitions", "version %u does not compile any more", version);
    buf_free(&bundle);
    if (status == PERSIST_OK) know(all, version, hash);
    return status;
}

enum persist_status recovery_definitions(struct recovery *all, struct datadir *dir, uint32_t version)
{
    enum persist_status status = PERSIST_OK;
    pthread_mutex_lock(&all->lock);
    if (version && !find_definitions(all, version)) status = load_definitions(all, dir, version);
    pthread_mutex_unlock(&all->lock);
    return status;
}

static bool same_definitions(struct recovery *all, uint32_t version, struct key hash)
{
    pthread_mutex_lock(&all->lock);
    bool same = version == 0 || key_eq(find_definitions(all, version)->hash, hash);
    pthread_mutex_unlock(&all->lock);
    return same;
}

void recovery_tell(struct recovery *all, struct recovery_progress more)
{
    pthread_mutex_lock(&all->lock);
    struct recovery_progress *p = &all->progress;
    p->snapshot_bytes += more.snapshot_bytes;
    p->log_bytes += more.log_bytes;
    p->records += more.records;
    if (all->host->progress) all->host->progress(all->host->self, p);
    pthread_mutex_unlock(&all->lock);
}

/* ---- records ------------------------------------------------------------------------------------------ */

static bool apply_batch(struct replay *r)
{
    if (!r->count) return true;
    for (uint32_t done = 0, fits; done < r->count; done += fits) {
        fits = shards_reserve(r->items + done, r->count - done, &r->effects);
        if (!fits) return stop(r, datadir_refuse(&r->dir, "log", "not enough memory to replay"));
        shards_apply(r->items + done, fits, &r->scratch, &r->effects);
        effects_reset(&r->effects);
    }
    for (uint32_t i = 0; i < r->count; i++)
        CHECK(shard_lsn(r->items[i].shard) == r->pending[r->items[i].record.shard]);
    r->count = 0;
    arena_reset(&r->scratch);
    return true;
}

static bool apply_tick(struct replay *r, const struct log_group *g, const struct record *record)
{
    struct shard *s = r->all->shards[record->shard];
    if (record->payload.n != 8) return refuse_at(r, g, record, "a TICK of another size");
    uint32_t now = load_le32(record->payload.p), wakes = load_le32(record->payload.p + 4);
    if (now < shard_now(s)) return refuse_at(r, g, record, "time runs backwards");
    if (!shard_reserve_tick(s, wakes, &r->effects))
        return stop(r, datadir_refuse(&r->dir, "log", "not enough memory to replay"));
    uint32_t ran = shard_tick(s, now, wakes, &r->effects);
    effects_reset(&r->effects);
    if (ran != wakes || shard_lsn(s) != record->lsn)
        return refuse_at(r, g, record, "replay ran other wake-ups than the log says");
    if (now > r->newest_second) r->newest_second = now;
    return true;
}

static bool know_definitions_of(struct replay *r, const struct log_group *g, const struct record *record)
{
    struct reader in = reader_of(record->payload);
    uint32_t version = read_le32(&in);
    struct key hash = {.hi = read_le64(&in)};
    hash.lo = read_le64(&in);
    if (in.bad) return refuse_at(r, g, record, "a DEFINITIONS record of another size");
    r->status = recovery_definitions(r->all, &r->dir, version);
    if (r->status != PERSIST_OK) return false;
    if (!same_definitions(r->all, version, hash))
        return refuse_at(r, g, record, "names other definitions than the bundle of this version holds");
    return true;
}

static bool apply_record(struct replay *r, const struct log_group *g, const struct record *record)
{
    uint64_t *lsn = &r->pending[record->shard];
    if (record->lsn <= *lsn) return true; /* the snapshot has it */
    if (record->lsn != *lsn + 1) return refuse_at(r, g, record, "records before this one are missing");
    if (r->log.header.core_version != CORE_VERSION && !PLANTED(other_core_replayed))
        return refuse_at(r, g, record, "logged by another core version: stop it with the old binary first");
    /* A batch is decoded before it is applied: what stands behind new definitions belongs to the next one. */
    bool alone = record->kind == RECORD_TICK || record->kind == RECORD_DEFINITIONS;
    if (alone && !apply_batch(r)) return false;
    ++*lsn;
    r->records++;
    if (record->kind == RECORD_TICK) return apply_tick(r, g, record);
    if (record->kind == RECORD_DEFINITIONS && !know_definitions_of(r, g, record)) return false;
    r->items[r->count++] = (struct batch_item){.shard = r->all->shards[record->shard], .record = *record};
    return (r->count < BATCH_EVENTS && !alone) || apply_batch(r);
}

/* What is left of the batch waits for the next group, unless its payloads go away before (leave). */
static bool apply_group(struct replay *r, const struct log_group *g)
{
    struct slice rest = g->payload;
    struct record record;
    while (record_decode(&rest, &record))
        if (!apply_record(r, g, &record)) return false;
    return r->status == PERSIST_OK;
}

static void leave(void *self) { apply_batch(self); }

/* ---- the log --------------------------------------------------------------------------------------------- */

/* What this file continues must be there: a log that was lost as a whole leaves no other trace. */
static bool check_base(struct replay *r)
{
    char name[LOG_NAME_BYTES];
    const struct log_header *h = &r->log.header;
    log_name_print(name, h->epoch, h->thread, h->sequence);
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++)
        if (h->base_lsn[i] > r->pending[i])
            return stop(r, datadir_refuse(&r->dir, name,
                                          "continues shard %u behind LSN %llu, but snapshot and log reach "
                                          "only %llu: files are missing",
                                          i, (unsigned long long)h->base_lsn[i],
                                          (unsigned long long)r->pending[i]));
    return true;
}

static void tell(struct replay *r, uint64_t at_least)
{
    if (r->bytes - r->told_bytes < at_least) return;
    recovery_tell(r->all, (struct recovery_progress){.log_bytes = r->bytes - r->told_bytes,
                                                     .records = r->records - r->told_records});
    r->told_bytes = r->bytes;
    r->told_records = r->records;
}

void replay_run(struct replay *r)
{
    enum { TELL_BYTES = 4 << 20 };
    struct log_group g;
    uint32_t sequence = 0;
    r->dir = datadir_twin(r->all->dir);
    effects_init(&r->effects);
    arena_init(&r->scratch);
    memcpy(r->pending, r->all->pending, sizeof r->pending);
    log_reader_open(&r->log, &r->dir, r->names, r->name_count, r->closed);
    log_reader_ahead(&r->log, r->all->host->threads > 0, leave, r);
    do {
        enum read_result read = log_reader_next(&r->log, &g);
        if (r->log.used && r->log.header.sequence != sequence && !check_base(r)) break;
        sequence = r->log.header.sequence;
        if (read != READ_GROUP) break;
        r->bytes += group_bytes(&g.header);
        tell(r, TELL_BYTES);
    } while (apply_group(r, &g));
    if (r->status == PERSIST_OK) apply_batch(r);
    if (r->status == PERSIST_OK) r->status = r->log.status;
    tell(r, 1);
}

void replay_close(struct replay *r)
{
    log_reader_ahead(&r->log, false, NULL, NULL); /* nothing is left to apply */
    log_reader_close(&r->log);
    effects_free(&r->effects);
    arena_free(&r->scratch);
    buf_free(&r->dir.error);
}
