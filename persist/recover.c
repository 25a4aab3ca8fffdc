/* Recovery: the newest snapshot that is whole, then every epoch's logs, then the last epoch's tails are ended.
 *
 * Each thread's log is replayed for itself: shards meet only by records that the receiver logged, so the order between
 * threads does not matter (and could be parallel: replay_log touches only its own shards and a struct replay).
 * Always true: 1. Nothing on disk changes before everything was read and applied. 2. A shard's records are applied one
 * LSN after the other without a gap; what the snapshot covers is verified and skipped. */
#include "persist/recover.h"
#include "core/base/check.h"
#include "core/base/limits.h"
#include "core/base/planted.h"
#include "persist/crash.h"
#include "persist/snapshot.h"
#include "persist/wal_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct known_definitions {
    uint32_t version;
    struct key hash;
};

struct replay {
    struct datadir *dir;
    const struct recovery_host *host;
    struct recovered *out;
    struct shard *shards[LOGICAL_SHARDS];
    struct known_definitions *known;
    uint32_t known_count, known_capacity;
    struct log_names names;
    uint64_t bytes_total;
    /* the batch at hand */
    struct batch_item items[BATCH_EVENTS];
    uint32_t count;
    uint64_t reach[LOGICAL_SHARDS];   /* LSNs of a damaged snapshot: the log must make up for them */
    uint64_t pending[LOGICAL_SHARDS]; /* LSN of each shard with the batch at hand applied */
    struct effects effects;
    struct arena scratch;
    enum persist_status status;
};

static bool refuse(struct replay *r, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool refuse(struct replay *r, const char *path, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    r->status = datadir_refuse(r->dir, path, text);
    return false;
}

static bool refuse_at(struct replay *r, const struct log_reader *log, const struct log_group *g,
                      const struct record *record, const char *why)
{
    char name[LOG_NAME_BYTES];
    log_name_print(name, log->header.epoch, log->header.thread, log->header.sequence);
    return refuse(r, name, "offset %llu: shard %u LSN %llu: %s", (unsigned long long)g->offset, record->shard,
                  (unsigned long long)record->lsn, why);
}

/* ---- definitions ------------------------------------------------------------------------------------ */

static const struct known_definitions *find_definitions(const struct replay *r, uint32_t version)
{
    for (uint32_t i = 0; i < r->known_count; i++)
        if (r->known[i].version == version) return &r->known[i];
    return NULL;
}

static void know(struct replay *r, uint32_t version, struct key hash)
{
    if (r->known_count == r->known_capacity) {
        r->known_capacity = r->known_capacity ? 2 * r->known_capacity : 16;
        r->known = realloc(r->known, r->known_capacity * sizeof *r->known);
        CHECK(r->known != NULL);
    }
    r->known[r->known_count++] = (struct known_definitions){version, hash};
}

static bool load_definitions(struct replay *r, uint32_t version)
{
    if (version == 0 || find_definitions(r, version)) return true;
    struct key hash;
    struct buf bundle = {0};
    r->status = datadir_get_definitions(r->dir, version, &hash, &bundle);
    if (r->status == PERSIST_OK && !r->host->definitions(r->host->self, version, hash, buf_slice(&bundle)))
        refuse(r, "definitions", "version %u does not compile any more", version);
    buf_free(&bundle);
    if (r->status == PERSIST_OK) know(r, version, hash);
    return r->status == PERSIST_OK;
}

struct version_list {
    uint32_t *list, count, capacity;
};
static void take_version(void *self, const char *name)
{
    struct version_list *v = self;
    uint32_t version;
    char again[32];
    if (sscanf(name, "%10u.hgd", &version) != 1) return;
    snprintf(again, sizeof again, "%06u.hgd", version);
    if (strcmp(again, name)) return;
    if (v->count == v->capacity) {
        v->capacity = v->capacity ? 2 * v->capacity : 64;
        v->list = realloc(v->list, v->capacity * sizeof *v->list);
        CHECK(v->list != NULL);
    }
    v->list[v->count++] = version;
}

static int version_cmp(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* People inside journeys may still be on any version that is kept: all of them up to the snapshot's, in order. */
static bool load_kept_definitions(struct replay *r, uint32_t up_to)
{
    struct version_list v = {0};
    int e = r->dir->disk->ops->list(r->dir->disk, "definitions", take_version, &v);
    if (v.count) qsort(v.list, v.count, sizeof *v.list, version_cmp);
    bool ok = e == 0;
    if (!ok) r->status = datadir_failed(r->dir, "definitions", e);
    for (uint32_t i = 0; ok && i < v.count && v.list[i] <= up_to; i++) ok = load_definitions(r, v.list[i]);
    free(v.list);
    return ok && load_definitions(r, up_to);
}

/* ---- the snapshot ------------------------------------------------------------------------------------- */

/* The newest one that is whole; a damaged newest one is told, not hidden. With none before it the log must reach back
 * to the beginning. */
static bool choose_snapshot(struct replay *r, struct snapshot_manifest *m)
{
    for (uint32_t skip = 0; skip < 2; skip++) {
        r->status = snapshot_find(r->dir, skip, m);
        if (r->status == PERSIST_OK && m->count) r->status = snapshot_verify(r->dir, m);
        if (r->status == PERSIST_OK) return true;
        if (r->status == PERSIST_IO || skip || m->foreign) return false;
        r->out->damaged_snapshot = m->number;
        for (uint32_t i = 0; i < m->count; i++) r->reach[m->files[i].shard] = m->files[i].lsn;
    }
    return false;
}

static bool restore_snapshot(struct replay *r)
{
    struct snapshot_manifest m;
    if (!choose_snapshot(r, &m)) return false;
    if (!m.count) return true;
    if (m.core_version > CORE_VERSION)
        return refuse(r, "snapshot", "written by a newer version of hourglass");
    if (!load_kept_definitions(r, m.definitions_version)) return false;
    for (uint32_t i = 0; i < m.count; i++) {
        struct shard *s = r->shards[m.files[i].shard];
        r->status = snapshot_restore(r->dir, &m, &m.files[i], s);
        if (r->status != PERSIST_OK) return false;
        r->out->snapshot_bytes += m.files[i].bytes;
        if (shard_now(s) > r->out->newest_second) r->out->newest_second = shard_now(s);
    }
    return true;
}

/* What the damaged snapshot held must have come from the log. */
static bool check_reach(struct replay *r)
{
    if (r->out->damaged_snapshot && r->names.count == 0) return refuse(r, "log", "empty");
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++)
        if (r->pending[i] < r->reach[i])
            return refuse(r, "log", "reaches only LSN %llu of shard %u", (unsigned long long)r->pending[i],
                          i);
    return true;
}

/* ---- records --------------------------------------------------------------------------------------------- */

static bool apply_batch(struct replay *r)
{
    if (!r->count) return true;
    if (!shards_reserve(r->items, r->count, &r->effects))
        return refuse(r, "log", "not enough memory to replay");
    shards_apply(r->items, r->count, &r->scratch, &r->effects);
    for (uint32_t i = 0; i < r->count; i++)
        CHECK(shard_lsn(r->items[i].shard) == r->pending[r->items[i].record.shard]);
    r->count = 0;
    effects_reset(&r->effects);
    arena_reset(&r->scratch);
    return true;
}

static bool apply_tick(struct replay *r, const struct log_reader *log, const struct log_group *g,
                       const struct record *record)
{
    struct shard *s = r->shards[record->shard];
    if (record->payload.n != 8) return refuse_at(r, log, g, record, "a TICK of another size");
    uint32_t now = load_le32(record->payload.p), wakes = load_le32(record->payload.p + 4);
    if (now < shard_now(s)) return refuse_at(r, log, g, record, "time runs backwards");
    if (!shard_reserve_tick(s, wakes, &r->effects)) return refuse(r, "log", "not enough memory to replay");
    uint32_t ran = shard_tick(s, now, wakes, &r->effects);
    effects_reset(&r->effects);
    if (ran != wakes || shard_lsn(s) != record->lsn)
        return refuse_at(r, log, g, record, "replay ran other wake-ups than the log says");
    if (now > r->out->newest_second) r->out->newest_second = now;
    return true;
}

static bool know_definitions_of(struct replay *r, const struct log_reader *log, const struct log_group *g,
                                const struct record *record)
{
    struct reader in = reader_of(record->payload);
    uint32_t version = read_le32(&in);
    struct key hash = {.hi = read_le64(&in)};
    hash.lo = read_le64(&in);
    if (in.bad) return refuse_at(r, log, g, record, "a DEFINITIONS record of another size");
    if (!load_definitions(r, version)) return false;
    if (version && !key_eq(find_definitions(r, version)->hash, hash))
        return refuse_at(r, log, g, record, "names other definitions than the bundle of this version holds");
    return true;
}

static bool apply_record(struct replay *r, const struct log_reader *log, const struct log_group *g,
                         const struct record *record)
{
    uint64_t *lsn = &r->pending[record->shard];
    if (record->lsn <= *lsn) return true; /* the snapshot has it */
    if (record->lsn != *lsn + 1) return refuse_at(r, log, g, record, "records before this one are missing");
    if (log->header.core_version != CORE_VERSION && !PLANTED(other_core_replayed))
        return refuse_at(r, log, g, record,
                         "logged by another core version: stop it with the old binary first");
    /* A batch is decoded before it is applied: what stands behind new definitions belongs to the next one. */
    bool alone = record->kind == RECORD_TICK || record->kind == RECORD_DEFINITIONS;
    if (alone && !apply_batch(r)) return false;
    ++*lsn;
    r->out->records++;
    if (record->kind == RECORD_TICK) return apply_tick(r, log, g, record);
    if (record->kind == RECORD_DEFINITIONS && !know_definitions_of(r, log, g, record)) return false;
    r->items[r->count++] = (struct batch_item){.shard = r->shards[record->shard], .record = *record};
    return (r->count < BATCH_EVENTS && !alone) || apply_batch(r);
}

static bool apply_group(struct replay *r, const struct log_reader *log, const struct log_group *g)
{
    struct slice rest = g->payload;
    struct record record;
    while (record_decode(&rest, &record))
        if (!apply_record(r, log, g, &record)) return false;
    return apply_batch(r); /* its payloads stand in the window */
}

/* ---- logs --------------------------------------------------------------------------------------------------- */

/* What this file continues must be there: a log that was lost as a whole leaves no other trace. */
static bool check_base(struct replay *r, const struct log_reader *log)
{
    char name[LOG_NAME_BYTES];
    const struct log_header *h = &log->header;
    log_name_print(name, h->epoch, h->thread, h->sequence);
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++)
        if (h->base_lsn[i] > r->pending[i])
            return refuse(
                r, name,
                "continues shard %u behind LSN %llu, but snapshot and log reach only %llu: files are missing",
                i, (unsigned long long)h->base_lsn[i], (unsigned long long)r->pending[i]);
    return true;
}

static void progress(struct replay *r, const struct log_group *g)
{
    r->out->log_bytes += group_bytes(&g->header);
    if (r->host->progress) r->host->progress(r->host->self, r->out->log_bytes, r->bytes_total);
}

static bool replay_log(struct replay *r, struct log_reader *log)
{
    struct log_group g;
    enum read_result read;
    uint32_t sequence = 0;
    do {
        read = log_reader_next(log, &g);
        if (log->used && log->header.sequence != sequence && !check_base(r, log)) return false;
        sequence = log->header.sequence;
        if (read != READ_GROUP) break;
        if (!apply_group(r, log, &g)) return false;
        progress(r, &g);
    } while (true);
    r->status = log->status;
    return read == READ_END;
}

/* The names of one thread's log in one epoch, from `from` on. */
static uint32_t names_of_log(const struct log_names *names, uint32_t from)
{
    uint32_t n = 0;
    const struct log_name *first = &names->list[from];
    while (from + n < names->count && first[n].epoch == first->epoch && first[n].thread == first->thread) n++;
    return n;
}

/* The last epoch's logs together: each shard has one, or nobody has written anything yet. */
static bool check_threads(struct replay *r, const struct log_reader *logs, uint32_t count)
{
    uint64_t mask = 0, records = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!logs[i].used) continue;
        if (mask & logs[i].header.shard_mask)
            return refuse(r, "log", "two threads of epoch %u logged the same shard", logs[i].header.epoch);
        mask |= logs[i].header.shard_mask;
        records += logs[i].records;
    }
    if (records == 0 || mask == UINT64_MAX >> (64 - LOGICAL_SHARDS)) return true;
    return refuse(r, "log", "the log of a whole thread of epoch %u is missing; restore a backup",
                  logs[0].names[0].epoch);
}

static bool seal_logs(struct replay *r, struct log_reader *logs, uint32_t count)
{
    for (uint32_t i = 0; i < count && r->status == PERSIST_OK; i++) {
        r->out->cut_bytes += logs[i].torn_bytes;
        r->status = log_reader_seal(&logs[i]);
    }
    return r->status == PERSIST_OK;
}

static bool replay_last_epoch(struct replay *r, uint32_t from)
{
    uint32_t count = 0;
    for (uint32_t at = from; at < r->names.count; at += names_of_log(&r->names, at)) count++;
    struct log_reader *logs = calloc(count, sizeof *logs);
    CHECK(logs != NULL);
    uint32_t opened = 0;
    bool ok = true;
    for (uint32_t at = from, n; ok && at < r->names.count; at += n) {
        n = names_of_log(&r->names, at);
        log_reader_open(&logs[opened], r->dir, r->names.list + at, n, false);
        ok = replay_log(r, &logs[opened++]);
    }
    ok = ok && check_threads(r, logs, count) && check_reach(r);
    CRASH_POINT(recovery_replayed);
    ok = ok && seal_logs(r, logs, count);
    for (uint32_t i = 0; i < opened; i++) {
        if (logs[i].used) r->dir->core_version = logs[i].header.core_version;
        log_reader_close(&logs[i]);
    }
    free(logs);
    return ok;
}

static bool replay_logs(struct replay *r)
{
    uint32_t last = r->names.count ? r->names.list[r->names.count - 1].epoch : 0;
    for (uint32_t at = 0, n; at < r->names.count; at += n) {
        if (r->names.list[at].epoch == last) return replay_last_epoch(r, at);
        struct log_reader log;
        n = names_of_log(&r->names, at);
        log_reader_open(&log, r->dir, r->names.list + at, n, true);
        bool ok = replay_log(r, &log);
        log_reader_close(&log);
        if (!ok) return false;
    }
    return check_reach(r);
}

static bool list_logs(struct replay *r)
{
    int e = log_names_read(r->dir->disk, &r->names);
    if (e < 0)
        r->status = datadir_failed(r->dir, "log", e);
    else if (r->names.foreign)
        refuse(r, "log", "holds a *.hgl file with a name that is none of ours");
    for (uint32_t i = 0; r->status == PERSIST_OK && r->host->progress && i < r->names.count; i++) {
        char name[LOG_NAME_BYTES];
        log_name_print(name, r->names.list[i].epoch, r->names.list[i].thread, r->names.list[i].sequence);
        int file = r->dir->disk->ops->open(r->dir->disk, name, DISK_READ);
        if (file < 0) continue; /* whoever reads it will say why */
        r->bytes_total += (uint64_t)r->dir->disk->ops->size(r->dir->disk, file);
        r->dir->disk->ops->close(r->dir->disk, file);
    }
    return r->status == PERSIST_OK;
}

/* ---- all of it ------------------------------------------------------------------------------------------------ */

static void prepare(struct replay *r)
{
    effects_init(&r->effects);
    arena_init(&r->scratch);
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) r->shards[i] = r->host->shard(r->host->self, i);
}

static bool run(struct replay *r, bool from_zero)
{
    if (!list_logs(r)) return false;
    CRASH_POINT(recovery_listed);
    if (!from_zero && !restore_snapshot(r)) return false;
    CRASH_POINT(recovery_restored);
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) r->pending[i] = shard_lsn(r->shards[i]);
    return replay_logs(r);
}

static void finish(struct replay *r)
{
    r->out->next_epoch = r->names.count ? r->names.list[r->names.count - 1].epoch + 1 : 1;
    r->out->next_snapshot = snapshot_next_number(r->dir);
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) r->out->lsn_sum += shard_lsn(r->shards[i]);
    log_names_free(&r->names);
    effects_free(&r->effects);
    arena_free(&r->scratch);
    free(r->known);
}

enum persist_status recover(struct datadir *dir, const struct recovery_host *host, bool from_zero,
                            struct recovered *out)
{
    struct replay *r = calloc(1, sizeof *r);
    CHECK(r != NULL);
    *out = (struct recovered){0};
    r->dir = dir;
    r->host = host;
    r->out = out;
    prepare(r);
    run(r, from_zero);
    finish(r);
    enum persist_status status = r->status;
    if (status != PERSIST_OK && out->damaged_snapshot)
        buf_printf(&dir->error, " (snapshot %llu is damaged, too)",
                   (unsigned long long)out->damaged_snapshot);
    free(r);
    return status;
}
