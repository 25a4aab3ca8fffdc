/* The write-ahead log of one thread.
 *
 *   buffer:  | room for a file header 4096 | group header 64 | records ... | pad |
 *
 * Two such buffers: one fills while the other one is being written. A group that opens a new file is written together
 * with the file's header, in one write.
 * Always true: 1. Tickets become durable in order. 2. What is in a buffer in flight is not touched. 3. After the first
 * failure nothing becomes durable any more. 4. A group's chain, mark, number and ticket continue the group before it. */
#include "persist/wal.h"
#include "core/base/planted.h"
#include "core/base/check.h"
#include "persist/crash.h"
#include "persist/wal_files.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
    BUFFER_BYTES = LOG_HEADER_BYTES + GROUP_BYTES_MAX,
    SECOND_GROUP_BYTES =
        512 << 10,        /* from here on a second write overlaps the first one's flush with profit */
    SEAL_AFTER_US = 3000, /* of idleness; promised within 5 ms */
    DELAY_US = 300,
    SUM_BYTES = 24 << 10,      /* summed at once: lanes are long, and all of it is still near */
    RESERVE_BYTES = 256 << 10, /* of the file, for a clean stop on a full disk */
    SEGMENT_BYTES_MIN = 32 << 10,
    SYNC_BUCKETS = 128, /* of latency: four per power of two */
};
_Static_assert(WAL_BYTES_MAX <= GROUP_BYTES_MAX - GROUP_HEADER_BYTES, "a request that fits an empty buffer");

struct group { /* one buffer */
    uint8_t *base;
    uint32_t used, records; /* of the payload so far */
    uint32_t summed, crc;   /* crc covers its first `summed` bytes */
    bool in_flight, done;
    uint64_t number, last_ticket;
    size_t write_bytes;
    struct log_end end; /* where the log stands once it is durable */
    uint64_t submitted_us;
    struct disk_op op;
};

struct wal {
    struct wal_config config;
    struct wal_files files;
    struct group groups[2];
    uint32_t filling; /* which of them takes records */
    uint32_t in_flight;
    uint32_t group_max; /* bytes, header and padding included */
    uint32_t chain;
    uint64_t number; /* of the last group started */
    struct log_end durable_end;
    uint64_t durable_group, ticket, durable_ticket;
    uint64_t last_lsn[LOGICAL_SHARDS], group_lsn[LOGICAL_SHARDS]; /* appended; as of the last group started */
    uint64_t now_us, filling_since_us, idle_since_us;             /* 0: empty, not idle */
    uint64_t synced_us[2]; /* when groups were submitted that became durable since the last pump */
    uint32_t synced;
    bool sealed, failed;
    bool urgent; /* the buffer that fills holds more than ticks: somebody may wait for it */
    struct wal_stats stats;
    uint32_t sync_us[SYNC_BUCKETS];
};

static void fail(struct wal *w, int error)
{
    CHECK(!w->failed);
    w->failed = true;
    w->config.failed(w->config.self, error);
}

/* ---- opening ------------------------------------------------------------------------------- */

static void write_header(struct wal *w, uint8_t *p)
{
    const struct datadir *dir = w->config.dir;
    struct log_header h = {.directory = dir->id,
                           .epoch = w->config.epoch,
                           .sequence = w->files.sequence,
                           .core_version = w->config.core_version,
                           .thread = (uint16_t)w->config.thread,
                           .chain = w->chain,
                           .shard_mask = w->config.shard_mask,
                           .first_group = w->number + 1,
                           .first_ticket = w->ticket - w->groups[w->filling].records + 1,
                           .durable_group = w->durable_group,
                           .bytes = w->files.bytes};
    memcpy(h.base_lsn, w->group_lsn, sizeof h.base_lsn);
    log_header_encode(p, &h);
    w->chain = h.crc;
}

/* Behind the group that was closed last. */
static struct log_end log_end_here(const struct wal *w)
{
    return (struct log_end){.epoch = w->config.epoch,
                            .sequence = w->files.sequence,
                            .thread = (uint16_t)w->config.thread,
                            .chain = w->chain,
                            .offset = w->files.at,
                            .number = w->number,
                            .ticket = w->ticket};
}

/* The first file's header is durable before any record: an idle thread's log exists, too. */
static int write_first_header(struct wal *w)
{
    const struct disk_ops *ops = w->config.dir->disk->ops;
    write_header(w, w->groups[0].base);
    int64_t r = ops->write_now(w->config.dir->disk, w->files.file, 0, w->groups[0].base, LOG_HEADER_BYTES);
    if (r != LOG_HEADER_BYTES) return r < 0 ? (int)-r : EIO;
    w->files.at = LOG_HEADER_BYTES;
    w->durable_end = log_end_here(w);
    return -ops->sync(w->config.dir->disk, w->files.file);
}

static void make_buffer(struct group *g)
{
    void *p = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    g->base = p;
}

struct wal *wal_open(const struct wal_config *config, struct buf *error)
{
    CHECK(config->segment_bytes >= SEGMENT_BYTES_MIN && config->segment_bytes % LOG_BLOCK == 0 &&
          config->failed);
    struct wal *w = calloc(1, sizeof *w);
    CHECK(w != NULL);
    w->config = *config;
    if (!w->config.delay_us) w->config.delay_us = DELAY_US;
    w->group_max = (uint32_t)(config->segment_bytes < BUFFER_BYTES ? config->segment_bytes : BUFFER_BYTES) -
                   LOG_HEADER_BYTES;
    memcpy(w->last_lsn, config->start_lsn, sizeof w->last_lsn);
    memcpy(w->group_lsn, config->start_lsn, sizeof w->group_lsn);
    w->sealed = true; /* nothing to seal */
    make_buffer(&w->groups[0]);
    make_buffer(&w->groups[1]);
    int failure = wal_files_open(&w->files, &w->config);
    if (!failure) failure = write_first_header(w);
    CRASH_POINT(log_opened);
    if (!failure) return w;
    buf_printf(error, "log/%06u-%02u: %s", config->epoch, config->thread, strerror(failure));
    wal_drop(w);
    return NULL;
}

/* ---- appending ------------------------------------------------------------------------------- */

static uint32_t space_left(const struct wal *w)
{
    const struct group *g = &w->groups[w->filling];
    return g->in_flight ? 0 : w->group_max - GROUP_HEADER_BYTES - g->used;
}

bool wal_disk_full(const struct wal *w) { return w->files.full; }

bool wal_room(const struct wal *w, uint32_t count, size_t bytes)
{
    size_t n = bytes + (size_t)count * RECORD_HEADER_BYTES;
    CHECK(n <= w->group_max - GROUP_HEADER_BYTES);
    if (w->failed || space_left(w) < n) return false;
    if (!w->files.full) return true;
    uint64_t wanted = block_round(GROUP_HEADER_BYTES + w->groups[w->filling].used + n);
    uint64_t reserve = w->files.bytes / 4 < RESERVE_BYTES ? w->files.bytes / 4 : RESERVE_BYTES;
    return w->files.at + wanted + reserve <= w->files.bytes;
}

static void sum_up(struct group *g)
{
    g->crc = crc32c(g->crc, g->base + LOG_HEADER_BYTES + GROUP_HEADER_BYTES + g->summed, g->used - g->summed);
    g->summed = g->used;
}

uint64_t wal_append(struct wal *w, const struct record *r)
{
    struct group *g = &w->groups[w->filling];
    CHECK(!g->in_flight && space_left(w) >= RECORD_HEADER_BYTES + r->head_bytes + r->payload.n);
    CHECK(r->kind != RECORD_NONE && r->kind < RECORD_KINDS && (w->config.shard_mask >> r->shard & 1));
    CHECK(r->lsn == w->last_lsn[r->shard] + 1); /* recovery refuses a gap */
    uint8_t *at = g->base + LOG_HEADER_BYTES + GROUP_HEADER_BYTES + g->used;
    g->used += (uint32_t)(record_encode(at, r) - at);
    if (g->used - g->summed >= SUM_BYTES) sum_up(g);
    g->records++;
    w->last_lsn[r->shard] = r->lsn;
    w->urgent |= r->kind != RECORD_TICK;
    return ++w->ticket;
}

uint64_t wal_durable(const struct wal *w) { return w->durable_ticket; }
uint64_t wal_last(const struct wal *w) { return w->ticket; }
void wal_durable_end(const struct wal *w, struct log_end *out) { *out = w->durable_end; }
bool wal_recycling(const struct wal *w) { return wal_files_busy(&w->files); }

/* ---- groups -------------------------------------------------------------------------------------- */

static void release(struct wal *w, struct group *g)
{
    w->durable_group = g->number;
    w->durable_ticket = g->last_ticket;
    w->durable_end = g->end;
    w->synced_us[w->synced++] = g->submitted_us;
    w->in_flight--;
    g->in_flight = g->done = false;
    g->used = g->records = g->summed = g->crc = 0;
    w->idle_since_us = 0;
}

static void group_done(struct disk_op *op, int64_t result)
{
    struct wal *w = op->owner;
    struct group *g = (struct group *)((char *)op - offsetof(struct group, op));
    if (w->failed) return; /* also what the disk now claims to have done */
    if (PLANTED(retry_failed_sync) && result < 0 &&
        w->config.dir->disk->ops->sync(w->config.dir->disk, w->files.file) == 0)
        result = (int64_t)g->write_bytes;
    if (PLANTED(short_write_accepted) && result >= 0) result = (int64_t)g->write_bytes;
    if (result != (int64_t)g->write_bytes) {
        fail(w, result < 0 ? (int)-result : EIO);
        return;
    }
    CRASH_POINT(group_done);
    g->done = true;
    struct group *other = g == w->groups ? w->groups + 1 : w->groups;
    if (g->number == w->durable_group + 1) release(w, g);
    if (other->done && other->number == w->durable_group + 1) release(w, other); /* it waited for this one */
    CRASH_POINT(group_durable);
}

/* Header, padding and checksum: from here on the group is bytes. */
static void close_group(struct wal *w, struct group *g, uint8_t flags)
{
    uint8_t *p = g->base + LOG_HEADER_BYTES;
    size_t end = GROUP_HEADER_BYTES + g->used, padding = block_round(end) - end;
    memset(p + end, 0, padding);
    sum_up(g);
    g->number = ++w->number;
    g->last_ticket = w->ticket;
    struct group_header h = {.directory = (uint32_t)w->config.dir->id.lo,
                             .epoch = w->config.epoch,
                             .sequence = w->files.sequence,
                             .thread = (uint16_t)w->config.thread,
                             .flags = flags,
                             .records = g->records,
                             .payload_bytes = g->used,
                             .payload_crc = crc32c(g->crc, p + end, padding),
                             .number = g->number,
                             .first_ticket = w->ticket - g->records + 1,
                             .chain = w->chain,
                             .durable_group = w->durable_group};
    group_header_encode(p, &h);
    w->chain = h.crc;
    memcpy(w->group_lsn, w->last_lsn, sizeof w->group_lsn);
}

static void submit(struct wal *w, struct group *g, bool with_header)
{
    const uint8_t *from = with_header ? g->base : g->base + LOG_HEADER_BYTES;
    g->write_bytes = block_round(GROUP_HEADER_BYTES + g->used) + (with_header ? LOG_HEADER_BYTES : 0);
    g->submitted_us = w->now_us;
    g->in_flight = true;
    g->op = (struct disk_op){.done = group_done, .owner = w};
    uint64_t at = w->files.at;
    w->files.at += g->write_bytes;
    g->end = log_end_here(w);
    w->in_flight++;
    w->filling ^= 1;
    w->filling_since_us = 0;
    w->urgent = false;
    w->stats.groups++;
    w->stats.records += g->records;
    w->stats.bytes += g->write_bytes;
    CRASH_POINT(group_submit);
    w->config.dir->disk->ops->write(w->config.dir->disk, w->files.file, at, from, g->write_bytes, &g->op);
    CRASH_POINT(group_submitted);
}

/* False: the group needs the next file, and that one is not ready yet. */
static bool start_group(struct wal *w)
{
    struct group *g = &w->groups[w->filling];
    bool roll = w->files.at + block_round(GROUP_HEADER_BYTES + g->used) > w->files.bytes;
    if (roll && !wal_files_roll(&w->files, w->number, w->group_lsn)) return false;
    if (roll) write_header(w, g->base);
    w->sealed = g->records == 0;
    close_group(w, g, 0);
    submit(w, g, roll);
    return true;
}

/* ---- once per turn --------------------------------------------------------------------------------- */

static void count_syncs(struct wal *w)
{
    while (w->synced) {
        uint64_t us = w->now_us - w->synced_us[--w->synced];
        uint32_t power = us < 4 ? 0 : 63 - (uint32_t)__builtin_clzll(us);
        uint64_t bucket = us < 4 ? us : 4 * (power - 1) + (us >> (power - 2) & 3);
        w->sync_us[bucket < SYNC_BUCKETS ? bucket : SYNC_BUCKETS - 1]++;
    }
}

static uint32_t pump_records(struct wal *w)
{
    struct group *g = &w->groups[w->filling];
    if (!w->filling_since_us) w->filling_since_us = w->now_us;
    uint64_t age = w->now_us - w->filling_since_us;
    bool may_wait = w->in_flight ? g->used < SECOND_GROUP_BYTES : !w->urgent;
    if (may_wait && age < w->config.delay_us) return w->config.delay_us - (uint32_t)age;
    start_group(w); /* or it asked for the next file: wal_files_wait says when to come again */
    return UINT32_MAX;
}

/* An empty group whose mark says that the last one is durable: from now on its loss is damage, not a torn tail. */
static uint32_t pump_seal(struct wal *w)
{
    if (w->sealed || w->in_flight) return UINT32_MAX;
    if (!w->idle_since_us) w->idle_since_us = w->now_us;
    uint64_t idle = w->now_us - w->idle_since_us;
    if (idle < SEAL_AFTER_US) return SEAL_AFTER_US - (uint32_t)idle;
    start_group(w);
    return UINT32_MAX;
}

uint32_t wal_pump(struct wal *w, uint64_t now_us)
{
    w->now_us = now_us;
    if (w->failed) return UINT32_MAX;
    count_syncs(w);
    wal_files_pump(&w->files, w->durable_group, now_us);
    if (w->files.error) {
        fail(w, w->files.error);
        return UINT32_MAX;
    }
    struct group *g = &w->groups[w->filling];
    uint32_t wait = UINT32_MAX;
    if (!g->in_flight) wait = g->records ? pump_records(w) : pump_seal(w);
    uint32_t files = wal_files_wait(&w->files, now_us); /* the group may just have asked for the next one */
    return files < wait ? files : wait;
}

bool wal_idle(const struct wal *w)
{
    return !w->in_flight && !w->groups[w->filling].records && !w->files.slice_in_flight;
}

/* ---- the rest ------------------------------------------------------------------------------------------ */

static uint32_t quantile(const struct wal *w, double q)
{
    uint64_t all = 0, seen = 0;
    for (uint32_t i = 0; i < SYNC_BUCKETS; i++) all += w->sync_us[i];
    for (uint32_t i = 0; i < SYNC_BUCKETS; i++) {
        seen += w->sync_us[i];
        if (all && (double)seen >= q * (double)all) return i < 4 ? i : (4 + i % 4) << (i / 4 - 1);
    }
    return 0;
}

uint64_t wal_bytes(const struct wal *w) { return w->stats.bytes; }

void wal_stats(const struct wal *w, struct wal_stats *out)
{
    *out = w->stats;
    out->files = w->files.old_count + 1;
    out->sync_us_p50 = quantile(w, 0.50);
    out->sync_us_p99 = quantile(w, 0.99);
}

void wal_recycle(struct wal *w, const uint64_t lsn[], bool keep_all)
{
    if (!keep_all && !w->failed) wal_files_recycle(&w->files, w->durable_group, lsn);
}

/* The last group of this log: no start has to look for a tail here. Where it fails the next start finds a tail. */
static bool write_end(struct wal *w)
{
    struct group *g = &w->groups[w->filling];
    close_group(w, g, GROUP_END);
    struct disk *disk = w->config.dir->disk;
    return disk->ops->write_now(disk, w->files.file, w->files.at, g->base + LOG_HEADER_BYTES, LOG_BLOCK) ==
               LOG_BLOCK &&
           disk->ops->sync(disk, w->files.file) == 0;
}

static void free_wal(struct wal *w, bool ended)
{
    wal_files_close(&w->files, ended);
    munmap(w->groups[0].base, BUFFER_BYTES);
    munmap(w->groups[1].base, BUFFER_BYTES);
    free(w);
}

void wal_close(struct wal *w)
{
    CHECK(!w->failed && wal_idle(w));
    bool ended = write_end(w);
    CRASH_POINT(log_closed);
    free_wal(w, ended);
}

void wal_drop(struct wal *w) { free_wal(w, false); }
