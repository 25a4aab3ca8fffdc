/* Every single operation of three lives of a log and its snapshots fails, once and from then on: whatever was durable is
 * there afterwards, and the failure is told as one of the disk. The simulator sweeps the whole daemon likewise (sim --sweep);
 * this one is quick and comes into every corner of persist. */
#include "persist/snapshot.h"
#include "persist/wal_reader.h"
#include "tests/unit/log_bench.h"

#include <criterion/criterion.h>

enum { SHARDS = 3, EVENTS = 24, EVENT_BYTES = 2500, LIVES = 4, TURNS = 12 };

struct trial {
    struct bench bench;
    uint64_t durable[LOGICAL_SHARDS]; /* LSN that was promised */
    uint64_t snapshot, older[LOGICAL_SHARDS], newer[LOGICAL_SHARDS];
    bool faulty; /* an operation may have failed in this life */
};

static void turns(struct trial *t, int n)
{
    while (n--) {
        struct wal *w = t->bench.wal[0];
        bench_pump(&t->bench, w && wal_disk_full(w) ? 1100000 : 1000); /* it is tried again each second */
        t->bench.disk->disk.ops->poll(&t->bench.disk->disk);
    }
}

/* Promised is what the log calls durable. */
static void note_durable(struct trial *t)
{
    struct bench *b = &t->bench;
    if (wal_durable(b->wal[0]) != wal_last(b->wal[0])) return;
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) t->durable[i] = b->live->list[i].lsn;
}

static void log_events(struct trial *t)
{
    static const uint8_t payload[EVENT_BYTES] = {7};
    for (uint32_t i = 0; i < EVENTS; i++) {
        for (int n = 0; n < TURNS && !wal_room(t->bench.wal[0], 1, sizeof payload); n++) turns(t, 1);
        if (!wal_room(t->bench.wal[0], 1, sizeof payload)) return;
        bench_event(&t->bench, i % SHARDS, payload, sizeof payload);
        turns(t, 2);
        note_durable(t);
    }
}

static void take_snapshot(struct trial *t)
{
    struct bench *b = &t->bench;
    struct snapshot_file files[SHARDS];
    uint64_t number = t->snapshot + 1;
    for (uint32_t i = 0; i < SHARDS; i++) {
        int r = 0;
        struct snapshot_writer *w = snapshot_begin(&b->dir, number, &b->live->list[i]);
        while (w && (r = snapshot_step(w, 3, &files[i])) == 0) continue;
        if (r <= 0) return;
        files[i].state_hash = shard_hash(&b->live->list[i]);
    }
    turns(t, TURNS);
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++)
        t->newer[i] = i < SHARDS ? files[i].lsn : b->live->list[i].lsn;
    if (snapshot_commit(&b->dir, number, files, SHARDS, 0, CORE_VERSION) != PERSIST_OK) return;
    t->snapshot = number;
    if (number > 1) wal_recycle(b->wal[0], t->older, false);
    memcpy(t->older, t->newer, sizeof t->older);
    turns(t, TURNS);
}

/* A group of which the disk got a part. */
static void tear(struct trial *t)
{
    struct bench *b = &t->bench;
    if (!wal_room(b->wal[0], 1, 100)) return;
    bench_event(b, 0, bench_random, 32);
    for (int n = 0; n < TURNS && !b->disk->pending_count; n++) bench_pump(b, 1000);
    struct fake_write *w = b->disk->pending;
    if (b->disk->pending_count && w->offset + w->n <= w->file->n)
        memcpy(w->file->bytes + w->offset, w->p, 512);
}

static bool recover_life(struct trial *t)
{
    struct bench *b = &t->bench;
    struct bench_host host = {0};
    struct recovered out;
    enum persist_status status = bench_recover(&b->dir, &host, &out);
    cr_assert(status == PERSIST_OK || (t->faulty && status == PERSIST_IO), "it is told as %d: %.*s", status,
              (int)b->dir.error.n, (char *)b->dir.error.p);
    for (uint32_t i = 0; status == PERSIST_OK && i < LOGICAL_SHARDS; i++)
        cr_assert_geq(host.shards->list[i].lsn, t->durable[i], "shard %u: LSN %lu was durable", i,
                      (unsigned long)t->durable[i]);
    free(b->live);
    b->live = host.shards;
    if (status != PERSIST_OK) return false;
    b->epoch = out.next_epoch - 1;
    t->snapshot = out.next_snapshot - 1;
    return bench_start(b);
}

static void live(struct trial *t, bool clean)
{
    struct bench *b = &t->bench;
    b->failed = 0;
    t->faulty = b->disk->fail_at || b->disk->fail_look;
    if (!recover_life(t)) return;
    log_events(t);
    if (!b->failed) take_snapshot(t);
    cr_assert(t->faulty || !b->failed);
    if (!clean) tear(t);
    if (clean) turns(t, TURNS);
    bool stops = clean && !b->failed && wal_idle(b->wal[0]);
    if (stops) note_durable(t);
    if (stops) bench_stop(b);
}

struct fault {
    uint64_t change, look; /* the n-th one that changes something, or only looks; 0: none */
    int error;
    bool on;
};

static void set_fault(struct fake_disk *d, const struct fault *f)
{
    d->fail_at = f->change;
    d->fail_look = f->look;
    d->fail_error = f->error;
    d->fail_on = f->on;
}

/* The fault strikes in one of the lives; the one behind that, and the last, go well. */
static void run(const struct fault *fault, uint64_t *changes, uint64_t *looks)
{
    static const struct fault none;
    struct trial t = {0};
    bool over = false;
    *changes = *looks = 0;
    bench_init(&t.bench);
    for (uint32_t life = 0; life <= LIVES; life++) {
        struct fake_disk *d = t.bench.disk;
        d->operations = *changes, d->looks = *looks;
        set_fault(d, over || life == LIVES ? &none : fault);
        live(&t, life % 2);
        *changes = d->operations, *looks = d->looks;
        over = (fault->change && *changes >= fault->change) || (fault->look && *looks >= fault->look);
        bench_kill(&t.bench);
    }
    bench_free(&t.bench);
}

static void sweep(bool look, int error, bool on)
{
    uint64_t changes, looks, count;
    run(&(struct fault){0}, &changes, &looks);
    count = look ? looks : changes;
    cr_assert_gt(count, 150);
    for (uint64_t n = 1; n <= count; n++)
        run(&(struct fault){look ? 0 : n, look ? n : 0, error, on}, &changes, &looks);
}

Test(persist_faults, an_operation_that_fails_loses_nothing) { sweep(false, EIO, false); }
Test(persist_faults, operations_that_fail_from_then_on_lose_nothing) { sweep(false, EIO, true); }
Test(persist_faults, a_disk_that_is_full_once_loses_nothing) { sweep(false, ENOSPC, false); }
Test(persist_faults, a_quota_that_is_reached_once_loses_nothing) { sweep(false, EDQUOT, false); }
Test(persist_faults, a_disk_that_stays_full_loses_nothing) { sweep(false, ENOSPC, true); }
Test(persist_faults, a_short_write_loses_nothing) { sweep(false, 0, false); }
Test(persist_faults, a_read_that_fails_is_told_as_the_disks_trouble) { sweep(true, EIO, false); }
Test(persist_faults, reads_that_fail_from_then_on_are_told_as_the_disks_trouble) { sweep(true, EIO, true); }
Test(persist_faults, a_short_read_is_told_as_the_disks_trouble) { sweep(true, 0, false); }

/* What `inspect --repair` does: whatever follows the last good group goes aside, and the log ends there. */
static enum persist_status give_up(struct bench *b)
{
    struct log_names names;
    struct log_reader r;
    enum persist_status status = PERSIST_IO;
    if (log_names_read(&b->disk->disk, &names) == 0 && names.count) {
        log_reader_open(&r, &b->dir, names.list, names.count, false);
        status = log_reader_give_up(&r);
        log_reader_close(&r);
    }
    log_names_free(&names);
    return status;
}

static void damage_third_group(struct bench *b)
{
    uint8_t *first = fake_file(b->disk, "log/000001-00-000001.hgl")->bytes + LOG_HEADER_BYTES;
    first[2 * block_round(GROUP_HEADER_BYTES + RECORD_HEADER_BYTES + EVENT_BYTES) + GROUP_HEADER_BYTES] ^= 1;
}

static void repair(const struct fault *fault, bool *whole)
{
    struct trial t = {0};
    struct bench_host host = {0};
    struct recovered out;
    bench_init(&t.bench);
    cr_assert(bench_start(&t.bench));
    log_events(&t);
    bench_kill(&t.bench);
    damage_third_group(&t.bench);
    t.bench.disk->operations = t.bench.disk->looks = 0;
    set_fault(t.bench.disk, fault);
    enum persist_status status = give_up(&t.bench);
    cr_assert(status == PERSIST_OK || status == PERSIST_IO, "%.*s", (int)t.bench.dir.error.n,
              (char *)t.bench.dir.error.p);
    *whole = status == PERSIST_OK;
    set_fault(t.bench.disk, &(struct fault){0});
    cr_assert_eq(give_up(&t.bench), PERSIST_OK, "again, and now it works: %.*s", (int)t.bench.dir.error.n,
                 (char *)t.bench.dir.error.p);
    cr_assert_eq(bench_recover(&t.bench.dir, &host, &out), PERSIST_OK, "%.*s", (int)t.bench.dir.error.n,
                 (char *)t.bench.dir.error.p);
    cr_assert_eq(out.lsn_sum, 2, "what stood before the damage");
    free(host.shards);
    bench_free(&t.bench);
}

Test(persist_faults, a_repair_that_fails_can_be_done_again)
{
    bool whole = false;
    for (uint64_t n = 1; !whole; n++) repair(&(struct fault){.change = n, .error = EIO}, &whole);
    whole = false;
    for (uint64_t n = 1; !whole; n++) repair(&(struct fault){.look = n, .error = EIO}, &whole);
    whole = false;
    for (uint64_t n = 1; !whole; n++) repair(&(struct fault){.change = n}, &whole);
}

/* A snapshot of several slices: the walk and the disk take turns, and either may be interrupted. */
static bool large_snapshot(const struct fault *fault, bool garbled)
{
    struct bench b;
    struct snapshot_file file;
    int r = -1;
    bench_init(&b);
    fake_ballast =
        5 << 19; /* three slices: make the folder and the file, three writes, cut off what fills the
                               last block, sync; open it, three reads */
    b.disk->operations = b.disk->looks = 0;
    set_fault(b.disk, fault);
    b.disk->garbles = garbled;
    struct snapshot_writer *w = snapshot_begin(&b.dir, 1, &b.live->list[0]);
    while (w && (r = snapshot_step(w, 3, &file)) == 0) continue;
    set_fault(b.disk, &(struct fault){0});
    cr_assert_not(b.live->list[0].saving, "the shard was let go");
    if (r > 0) cr_assert_eq(snapshot_commit(&b.dir, 1, &file, 1, 0, CORE_VERSION), PERSIST_OK);
    if (r <= 0) cr_assert_null(fake_find(b.disk, "snapshot/000001/shard-00.hgs"), "nothing is left of it");
    fake_ballast = 0;
    bench_free(&b);
    return r > 0;
}

Test(persist_faults, a_snapshot_that_fails_anywhere_is_given_up)
{
    static const struct fault none;
    cr_assert(large_snapshot(&none, false));
    cr_assert_not(large_snapshot(&none, true), "what is read back is not what was written");
    for (uint64_t n = 1; n <= 7; n++)
        cr_assert_not(large_snapshot(&(struct fault){.change = n, .error = EIO}, false), "change %lu",
                      (unsigned long)n);
    for (uint64_t n = 1; n <= 4; n++)
        cr_assert_not(large_snapshot(&(struct fault){.look = n, .error = EIO}, false), "look %lu",
                      (unsigned long)n);
    for (uint64_t n = 2; n <= 4; n++)
        cr_assert_not(large_snapshot(&(struct fault){.look = n}, false), "short read %lu", (unsigned long)n);
}

Test(persist_faults, a_large_snapshot_is_restored_or_the_disks_trouble_is_told)
{
    struct bench b;
    struct snapshot_file file;
    struct recovered out;
    bench_init(&b);
    fake_ballast = 5 << 19;
    struct snapshot_writer *w = snapshot_begin(&b.dir, 1, &b.live->list[0]);
    cr_assert_not_null(w);
    while (snapshot_step(w, 3, &file) == 0) continue;
    cr_assert_eq(snapshot_commit(&b.dir, 1, &file, 1, 0, CORE_VERSION), PERSIST_OK);
    enum persist_status status = PERSIST_IO;
    uint64_t n = 0;
    while (status != PERSIST_OK) {
        struct bench_host host = {0};
        b.disk->looks = 0;
        set_fault(b.disk, &(struct fault){.look = ++n, .error = EIO});
        status = bench_recover(&b.dir, &host, &out);
        cr_assert(status == PERSIST_OK || status == PERSIST_IO, "look %lu: %.*s", (unsigned long)n,
                  (int)b.dir.error.n, (char *)b.dir.error.p);
        free(host.shards);
    }
    cr_assert_gt(n, 15, "it was read twice, slice by slice");
    cr_assert_gt(out.snapshot_bytes, 5 << 19);
    fake_ballast = 0;
    bench_free(&b);
}
