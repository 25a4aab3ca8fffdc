/* log_bench.h - a data directory on a fake disk with one or more logs, and what the tests of persist do with it. */
#ifndef HG_TESTS_LOG_BENCH_H
#define HG_TESTS_LOG_BENCH_H

#include "persist/datadir.h"
#include "persist/recover.h"
#include "persist/wal.h"
#include "persist/wal_format.h"
#include "tests/unit/fake_disk.h"
#include "tests/unit/fake_shard.h"

struct bench {
    struct fake_disk *disk;
    struct datadir dir;
    struct wal *wal[2];
    struct fake_shards *live; /* the state that recovery must find again */
    struct effects effects;
    uint64_t now_us;
    int failed; /* times that the wal said so */
    int error;
    uint64_t segment_bytes;
    uint32_t epoch, threads;
    uint32_t filled; /* groups that a test put in */
    uint32_t delay_us;
    bool relaxed;
};

static const uint8_t bench_random[32] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16,
                                         17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32};

static void bench_failed(void *self, int error)
{
    struct bench *b = self;
    b->failed++;
    b->error = error;
}

static void bench_init(struct bench *b)
{
    *b = (struct bench){.disk = fake_disk_create(),
                        .live = fake_shards_create(),
                        .segment_bytes = 32 << 10,
                        .threads = 1,
                        .now_us = 1000};
    CHECK(datadir_open(&b->dir, &b->disk->disk, (struct slice){0}, bench_random) == PERSIST_OK);
}

static bool bench_start(struct bench *b) /* a new epoch */
{
    struct buf error = {0};
    b->epoch++;
    for (uint32_t t = 0; t < b->threads; t++) {
        struct wal_config c = {.dir = &b->dir,
                               .epoch = b->epoch,
                               .thread = t,
                               .segment_bytes = b->segment_bytes,
                               .shard_mask = b->threads == 1 ? UINT64_MAX
                                             : t             ? 0xffffffff00000000ull
                                                             : 0xffffffffull,
                               .core_version = CORE_VERSION,
                               .delay_us = b->delay_us,
                               .relaxed = b->relaxed,
                               .self = b,
                               .failed = bench_failed};
        for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) c.start_lsn[i] = b->live->list[i].lsn;
        b->wal[t] = wal_open(&c, &error);
    }
    buf_free(&error);
    return b->wal[0] && (b->threads == 1 || b->wal[1]);
}

static void bench_pump(struct bench *b, uint32_t us)
{
    b->now_us += us;
    for (uint32_t t = 0; t < b->threads; t++)
        if (b->wal[t]) wal_pump(b->wal[t], b->now_us);
}

static void bench_turn(struct bench *b)
{
    bench_pump(b, 100);
    b->disk->disk.ops->poll(&b->disk->disk);
}

/* Until everything is on disk and sealed. */
static void bench_settle(struct bench *b)
{
    for (int i = 0; i < 200; i++) {
        bench_pump(b, 1000);
        b->disk->disk.ops->poll(&b->disk->disk);
    }
}

static uint64_t bench_event(struct bench *b, uint32_t shard, const void *p, uint32_t n)
{
    struct wal *w = b->wal[b->threads == 1 ? 0 : shard / 32];
    struct batch_item item = {
        .shard = &b->live->list[shard],
        .record = {.kind = RECORD_EVENT, .shard = (uint8_t)shard, .payload = slice_of(p, n)}};
    CHECK(wal_room(w, 1, n));
    shards_apply(&item, 1, NULL, &b->effects);
    return wal_append(w, &item.record);
}

static void bench_tick(struct bench *b, uint32_t shard, uint32_t now, uint32_t quota)
{
    struct wal *w = b->wal[b->threads == 1 ? 0 : shard / 32];
    uint32_t wakes = shard_tick(&b->live->list[shard], now, quota, &b->effects);
    struct record r = {
        .kind = RECORD_TICK, .shard = (uint8_t)shard, .head_bytes = 8, .lsn = b->live->list[shard].lsn};
    store_le32(r.head, now);
    store_le32(r.head + 4, wakes);
    wal_append(w, &r);
}

static void bench_stop(struct bench *b)
{
    bench_settle(b);
    for (uint32_t t = 0; t < b->threads; t++) {
        if (b->wal[t]) wal_close(b->wal[t]);
        b->wal[t] = NULL;
    }
}

/* A crash: pending writes never happen, the process' memory is gone. */
static void bench_kill(struct bench *b)
{
    struct fake_disk *left = fake_disk_copy(b->disk);
    b->disk->pending_count = 0;
    for (uint32_t t = 0; t < b->threads; t++) {
        if (!b->wal[t]) continue;
        wal_drop(b->wal[t]);
        b->wal[t] = NULL;
    }
    fake_disk_destroy(b->disk);
    b->disk = left;
    b->dir.disk = &left->disk;
}

static void bench_free(struct bench *b)
{
    for (uint32_t t = 0; t < b->threads; t++)
        if (b->wal[t]) wal_drop(b->wal[t]);
    fake_disk_destroy(b->disk);
    datadir_close(&b->dir);
    free(b->live);
}

/* ---- recovery into fresh fake shards ---- */

struct bench_host {
    struct fake_shards *shards;
    uint32_t definitions[16], definitions_count;
};

static struct shard *bench_shard(void *self, uint32_t index)
{
    return &((struct bench_host *)self)->shards->list[index];
}

static bool bench_definitions(void *self, uint32_t version, struct key hash, struct slice bundle)
{
    struct bench_host *h = self;
    (void)hash, (void)bundle;
    h->definitions[h->definitions_count++ % 16] = version;
    return true;
}

static enum persist_status bench_recover(struct datadir *dir, struct bench_host *host, struct recovered *out)
{
    struct recovery_host h = {.self = host, .shard = bench_shard, .definitions = bench_definitions};
    host->shards = fake_shards_create();
    return recover(dir, &h, false, out);
}

#endif
