/* Recovery: the newest snapshot that is whole, then every epoch's logs, then the last epoch's tails are ended.
 *
 * Shards of a snapshot and logs of one epoch are independent of each other (replay.h) and go over the threads that the
 * host allows; epochs follow one another, because a shard may have moved to another thread's log between them.
 * Always true: 1. Nothing on disk changes before everything was read and applied. 2. What is said to be wrong is the first
 * of it in the order of names, however many threads there were. */
#include "persist/recover.h"
#include "core/base/check.h"
#include "core/base/planted.h"
#include "persist/crash.h"
#include "persist/lanes.h"
#include "persist/replay.h"
#include "persist/snapshot.h"

#include <stdio.h>
#include <stdlib.h>

static bool stop(struct recovery *r, enum persist_status status)
{
    r->status = status;
    return false;
}

/* What one of several threads has to say. */
static void hear(struct recovery *r, enum persist_status status, const struct datadir *twin)
{
    if (r->status != PERSIST_OK || status == PERSIST_OK) return;
    r->status = status;
    buf_clear(&r->dir->error);
    buf_put_slice(&r->dir->error, buf_slice(&twin->error));
}

/* ---- definitions ------------------------------------------------------------------------------------ */

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
static bool load_kept_definitions(struct recovery *r, uint32_t up_to)
{
    struct version_list v = {0};
    int e = r->dir->disk->ops->list(r->dir->disk, "definitions", take_version, &v);
    if (v.count) qsort(v.list, v.count, sizeof *v.list, version_cmp);
    if (e != 0) r->status = datadir_failed(r->dir, "definitions", e);
    for (uint32_t i = 0; r->status == PERSIST_OK && i < v.count && v.list[i] <= up_to; i++)
        r->status = recovery_definitions(r, r->dir, v.list[i]);
    free(v.list);
    if (r->status == PERSIST_OK) r->status = recovery_definitions(r, r->dir, up_to);
    return r->status == PERSIST_OK;
}

/* ---- the snapshot ------------------------------------------------------------------------------------- */

/* Its files, each read by whoever is free. */
struct snapshot_work {
    struct recovery *all;
    const struct snapshot_manifest *manifest;
    struct snapshot_part {
        struct datadir dir;
        enum persist_status status;
    } parts[LOGICAL_SHARDS];
};

static void verify_part(void *self, uint32_t i)
{
    struct snapshot_work *w = self;
    w->parts[i].status = snapshot_verify(&w->parts[i].dir, w->manifest, &w->manifest->files[i]);
}

static void restore_part(void *self, uint32_t i)
{
    struct snapshot_work *w = self;
    const struct snapshot_file *file = &w->manifest->files[i];
    w->parts[i].status = snapshot_restore(&w->parts[i].dir, w->manifest, file, w->all->shards[file->shard]);
    recovery_tell(w->all, (struct recovery_progress){.snapshot_bytes = file->bytes});
}

static bool snapshot_parts(struct recovery *r, const struct snapshot_manifest *m,
                           void (*work)(void *self, uint32_t i))
{
    struct snapshot_work w = {.all = r, .manifest = m};
    for (uint32_t i = 0; i < m->count; i++) w.parts[i].dir = datadir_twin(r->dir);
    lanes_run(m->count, r->host->threads, work, &w);
    for (uint32_t i = 0; i < m->count; i++) {
        hear(r, w.parts[i].status, &w.parts[i].dir);
        buf_free(&w.parts[i].dir.error);
    }
    return r->status == PERSIST_OK;
}

/* The newest one that is whole; a damaged newest one is told, not hidden. With none before it the log must reach back
 * to the beginning. */
static bool choose_snapshot(struct recovery *r, struct snapshot_manifest *m)
{
    for (uint32_t skip = 0; skip < 2; skip++) {
        r->status = snapshot_find(r->dir, skip, m);
        if (r->status == PERSIST_OK) snapshot_parts(r, m, verify_part);
        if (r->status == PERSIST_OK) return true;
        if (r->status == PERSIST_IO || skip || m->foreign) return false;
        r->out->damaged_snapshot = m->number;
        for (uint32_t i = 0; i < m->count; i++) r->reach[m->files[i].shard] = m->files[i].lsn;
    }
    return false;
}

static bool restore_snapshot(struct recovery *r)
{
    struct snapshot_manifest m;
    if (!choose_snapshot(r, &m)) return false;
    if (!m.count) return true;
    if (m.core_version > CORE_VERSION)
        return stop(r, datadir_refuse(r->dir, "snapshot", "written by a newer version of hourglass"));
    if (!load_kept_definitions(r, m.definitions_version)) return false;
    for (uint32_t i = 0; i < m.count; i++) r->out->snapshot_bytes += m.files[i].bytes;
    r->progress.snapshot_total = r->out->snapshot_bytes;
    if (!snapshot_parts(r, &m, restore_part)) return false;
    for (uint32_t i = 0; i < m.count; i++) {
        uint32_t now = shard_now(r->shards[m.files[i].shard]);
        if (now > r->out->newest_second) r->out->newest_second = now;
    }
    return true;
}

/* What the damaged snapshot held must have come from the log. */
static bool check_reach(struct recovery *r)
{
    if (r->out->damaged_snapshot && r->names.count == 0)
        return stop(r, datadir_refuse(r->dir, "log", "empty"));
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++)
        if (r->pending[i] < r->reach[i])
            return stop(r, datadir_refuse(r->dir, "log", "reaches only LSN %llu of shard %u",
                                          (unsigned long long)r->pending[i], i));
    return true;
}

/* ---- logs --------------------------------------------------------------------------------------------------- */

/* The names of one thread's log in one epoch, from `from` on. */
static uint32_t names_of_log(const struct log_names *names, uint32_t from)
{
    uint32_t n = 0;
    const struct log_name *first = &names->list[from];
    while (from + n < names->count && first[n].epoch == first->epoch && first[n].thread == first->thread) n++;
    return n;
}

/* The last epoch's logs together: each shard has one, or nobody has written anything yet. */
static bool check_threads(struct recovery *r, const struct replay *logs, uint32_t count)
{
    uint64_t mask = 0, records = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct log_reader *log = &logs[i].log;
        if (!log->used) continue;
        if (mask & log->header.shard_mask)
            return stop(r, datadir_refuse(r->dir, "log", "two threads of epoch %u logged the same shard",
                                          log->header.epoch));
        mask |= log->header.shard_mask;
        records += log->records;
    }
    if (records == 0 || mask == UINT64_MAX >> (64 - LOGICAL_SHARDS)) return true;
    return stop(r, datadir_refuse(r->dir, "log",
                                  "the log of a whole thread of epoch %u is missing; restore a backup",
                                  logs[0].log.names[0].epoch));
}

static bool seal_logs(struct recovery *r, struct replay *logs, uint32_t count)
{
    for (uint32_t i = 0; i < count && r->status == PERSIST_OK; i++) {
        r->out->cut_bytes += logs[i].log.torn_bytes;
        hear(r, log_reader_seal(&logs[i].log), &logs[i].dir);
    }
    return r->status == PERSIST_OK;
}

static void replay_one(void *self, uint32_t i) { replay_run((struct replay *)self + i); }

/* Each log knows the LSNs of the shards that it is of. */
static void take_results(struct recovery *r, const struct replay *log)
{
    hear(r, log->status, &log->dir);
    r->out->records += log->records;
    r->out->log_bytes += log->bytes;
    if (log->newest_second > r->out->newest_second) r->out->newest_second = log->newest_second;
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++)
        if (log->pending[i] > r->pending[i]) r->pending[i] = log->pending[i];
}

/* One epoch; from: the first of its names. The last one's logs are ended: what is torn is cut. */
static bool replay_epoch(struct recovery *r, uint32_t from, uint32_t until, bool last)
{
    uint32_t count = 0, opened = 0;
    for (uint32_t at = from; at < until; at += names_of_log(&r->names, at)) count++;
    struct replay *logs = calloc(count, sizeof *logs);
    CHECK(logs != NULL);
    for (uint32_t at = from, n; at < until; at += n) {
        n = names_of_log(&r->names, at);
        logs[opened++] =
            (struct replay){.all = r, .names = r->names.list + at, .name_count = n, .closed = !last};
    }
    lanes_run(count, r->host->threads, replay_one, logs);
    for (uint32_t i = 0; i < count; i++) take_results(r, &logs[i]);
    if (last) {
        bool ok = r->status == PERSIST_OK && check_threads(r, logs, count) && check_reach(r);
        CRASH_POINT(recovery_replayed);
        if (ok) seal_logs(r, logs, count);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (last && logs[i].log.used) r->dir->core_version = logs[i].log.header.core_version;
        replay_close(&logs[i]);
    }
    free(logs);
    return r->status == PERSIST_OK;
}

static bool replay_logs(struct recovery *r)
{
    const struct log_name *list = r->names.list;
    for (uint32_t at = 0, until; at < r->names.count; at = until) {
        for (until = at; until < r->names.count && list[until].epoch == list[at].epoch;) until++;
        if (!replay_epoch(r, at, until, until == r->names.count)) return false;
    }
    return r->names.count > 0 || check_reach(r);
}

static bool list_logs(struct recovery *r)
{
    int e = log_names_read(r->dir->disk, &r->names);
    if (e < 0)
        r->status = datadir_failed(r->dir, "log", e);
    else if (r->names.foreign)
        stop(r, datadir_refuse(r->dir, "log", "holds a *.hgl file with a name that is none of ours"));
    for (uint32_t i = 0; r->status == PERSIST_OK && r->host->progress && i < r->names.count; i++) {
        char name[LOG_NAME_BYTES];
        log_name_print(name, r->names.list[i].epoch, r->names.list[i].thread, r->names.list[i].sequence);
        int file = r->dir->disk->ops->open(r->dir->disk, name, DISK_READ);
        if (file < 0) continue; /* whoever reads it will say why */
        r->progress.log_total += (uint64_t)r->dir->disk->ops->size(r->dir->disk, file);
        r->dir->disk->ops->close(r->dir->disk, file);
    }
    return r->status == PERSIST_OK;
}

/* ---- all of it ------------------------------------------------------------------------------------------------ */

static void run(struct recovery *r, bool from_zero)
{
    if (!list_logs(r)) return;
    CRASH_POINT(recovery_listed);
    if (!from_zero && !restore_snapshot(r)) return;
    CRASH_POINT(recovery_restored);
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) r->pending[i] = shard_lsn(r->shards[i]);
    replay_logs(r);
}

static void finish(struct recovery *r)
{
    r->out->next_epoch = r->names.count ? r->names.list[r->names.count - 1].epoch + 1 : 1;
    r->out->next_snapshot = snapshot_next_number(r->dir);
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) r->out->lsn_sum += shard_lsn(r->shards[i]);
    log_names_free(&r->names);
    free(r->known);
    pthread_mutex_destroy(&r->lock);
}

enum persist_status recover(struct datadir *dir, const struct recovery_host *host, bool from_zero,
                            struct recovered *out)
{
    *out = (struct recovered){0};
    struct recovery r = {.dir = dir, .host = host, .out = out};
    pthread_mutex_init(&r.lock, NULL);
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) r.shards[i] = host->shard(host->self, i);
    run(&r, from_zero);
    finish(&r);
    if (r.status != PERSIST_OK && out->damaged_snapshot)
        buf_printf(&dir->error, " (snapshot %llu is damaged, too)",
                   (unsigned long long)out->damaged_snapshot);
    return r.status;
}
