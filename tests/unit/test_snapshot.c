/* Snapshots: written beside the work, whole or not there, and what recovery makes of damaged ones. */
#include "persist/snapshot.h"
#include "tests/unit/log_bench.h"

#include <criterion/criterion.h>

static const char *text_of(struct datadir *dir)
{
    buf_put_u8(&dir->error, 0);
    dir->error.n--;
    return (const char *)dir->error.p;
}

/* Some events everywhere. */
static void fill(struct bench *b, uint32_t rounds)
{
    for (; rounds; rounds--) {
        for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
            uint8_t payload[8] = {(uint8_t)(i + ++b->filled)};
            bench_event(b, i, payload, sizeof payload);
        }
        bench_tick(b, b->filled % 64, 1000 + b->filled, 1);
        bench_settle(b);
    }
}

/* One snapshot of all shards; events go on while it is written. */
static bool take(struct bench *b, uint64_t number, uint64_t lsn[LOGICAL_SHARDS])
{
    struct snapshot_file files[LOGICAL_SHARDS];
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        int r;
        struct key hash = shard_hash(&b->live->list[i]);
        struct snapshot_writer *w = snapshot_begin(&b->dir, number, &b->live->list[i]);
        bench_event(b, i, "meanwhile", 9);
        while ((r = snapshot_step(w, 3, &files[i])) == 0) bench_turn(b);
        bench_turn(b);
        if (r < 0) return false;
        files[i].state_hash = hash;
        if (lsn) lsn[i] = files[i].lsn;
    }
    bench_settle(b);
    return snapshot_commit(&b->dir, number, files, LOGICAL_SHARDS, 0, CORE_VERSION) == PERSIST_OK;
}

static enum persist_status recover_now(struct bench *b, struct bench_host *host, struct recovered *out)
{
    *host = (struct bench_host){0};
    return bench_recover(&b->dir, host, out);
}

static void begin(struct bench *b)
{
    bench_init(b);
    b->segment_bytes = 64 << 10;
    cr_assert(bench_start(b));
}

Test(snapshot, snapshot_and_log_give_the_same_state_as_the_log_alone)
{
    struct bench b;
    struct bench_host host = {0};
    struct recovered out;
    begin(&b);
    fill(&b, 3);
    cr_assert(take(&b, 1, NULL));
    fill(&b, 2);
    bench_kill(&b);
    cr_assert_eq(recover_now(&b, &host, &out), PERSIST_OK, "%s", text_of(&b.dir));
    cr_assert(fake_shards_eq(host.shards, b.live));
    cr_assert_eq(out.records, 64 + 2 * 65, "only what came behind the cut is replayed");
    cr_assert_gt(out.snapshot_bytes, 64 * 64);
    cr_assert_eq(out.next_snapshot, 2);
    cr_assert_eq(out.newest_second, 1000 + b.filled);
    free(host.shards);

    struct recovery_host h = {.self = &host, .shard = bench_shard, .definitions = bench_definitions};
    host.shards = fake_shards_create();
    cr_assert_eq(recover(&b.dir, &h, true, &out), PERSIST_OK, "%s", text_of(&b.dir));
    cr_assert(fake_shards_eq(host.shards, b.live));
    cr_assert_eq(out.snapshot_bytes, 0);
    free(host.shards);
    bench_free(&b);
}

Test(snapshot, the_last_two_are_kept_and_the_log_they_need)
{
    struct bench b;
    struct bench_host host;
    struct recovered out;
    uint64_t lsn[5][LOGICAL_SHARDS];
    bench_init(&b);
    cr_assert(bench_start(&b));
    for (uint64_t n = 1; n <= 4; n++) {
        fill(&b, 8);
        cr_assert(take(&b, n, lsn[n]));
        if (n > 1) wal_recycle(b.wal[0], lsn[n - 1], false);
        bench_settle(&b);
    }
    cr_assert_null(fake_find(b.disk, "snapshot/000002"));
    cr_assert_null(fake_find(b.disk, "snapshot/000002/MANIFEST"));
    cr_assert_not_null(fake_find(b.disk, "snapshot/000003/MANIFEST"));
    cr_assert_not_null(fake_find(b.disk, "snapshot/000004/MANIFEST"));
    cr_assert_null(fake_find(b.disk, "log/000001-00-000001.hgl"));
    bench_kill(&b);
    fake_file(b.disk, "snapshot/000004/shard-07.hgs")->bytes[100] ^= 1;
    cr_assert_eq(recover_now(&b, &host, &out), PERSIST_OK, "%s", text_of(&b.dir));
    cr_assert_eq(out.damaged_snapshot, 4);
    cr_assert_not_null(strstr(text_of(&b.dir), "snapshot/000004/shard-07.hgs"), "it is said");
    cr_assert(fake_shards_eq(host.shards, b.live));
    free(host.shards);
    fake_file(b.disk, "snapshot/000003/MANIFEST")->bytes[100] ^= 1;
    cr_assert_eq(recover_now(&b, &host, &out), PERSIST_REFUSED);
    free(host.shards);
    bench_free(&b);
}

Test(snapshot, the_log_of_former_epochs_goes_when_two_snapshots_stand_above_it)
{
    struct bench b;
    struct bench_host host;
    struct recovered out;
    uint64_t lsn[LOGICAL_SHARDS];
    begin(&b);
    fill(&b, 2);
    bench_stop(&b);
    cr_assert_eq(recover_now(&b, &host, &out), PERSIST_OK);
    free(host.shards);
    cr_assert(bench_start(&b));
    cr_assert(take(&b, 1, lsn));
    fill(&b, 1);
    cr_assert(take(&b, 2, NULL));
    wal_recycle(b.wal[0], lsn, false);
    bench_settle(&b);
    cr_assert_null(fake_find(b.disk, "log/000001-00-000001.hgl"));
    bench_kill(&b);
    cr_assert_eq(recover_now(&b, &host, &out), PERSIST_OK, "%s", text_of(&b.dir));
    cr_assert(fake_shards_eq(host.shards, b.live));
    free(host.shards);
    bench_free(&b);
}

Test(snapshot, a_disk_that_fails_at_any_point_costs_the_snapshot_and_nothing_else)
{
    uint64_t taken = 0, refused = 0;
    for (uint64_t at = 1; at < 700; at += at < 20 ? 1 : 23) {
        for (int how = 0; how < 3; how++) {
            struct bench b;
            struct bench_host host;
            struct recovered out;
            begin(&b);
            fill(&b, 1);
            cr_assert(take(&b, 1, NULL));
            fill(&b, 1);
            bench_stop(&b);
            struct snapshot_file files[LOGICAL_SHARDS];
            b.disk->fail_at = b.disk->operations + at;
            b.disk->fail_on = how == 1;
            b.disk->fail_error = how == 2 ? 0 : ENOSPC;
            bool ok = true;
            for (uint32_t i = 0; ok && i < LOGICAL_SHARDS; i++) {
                struct snapshot_writer *w = snapshot_begin(&b.dir, 2, &b.live->list[i]);
                int r = 0;
                while (r == 0) r = snapshot_step(w, 100, &files[i]);
                ok = r > 0;
                cr_assert_not(b.live->list[i].saving, "the shard is not left inside a snapshot");
            }
            ok = ok && snapshot_commit(&b.dir, 2, files, LOGICAL_SHARDS, 0, CORE_VERSION) == PERSIST_OK;
            taken += ok;
            refused += !ok;
            bench_kill(&b);
            cr_assert_eq(recover_now(&b, &host, &out), PERSIST_OK, "at %d: %s", (int)at, text_of(&b.dir));
            cr_assert(fake_shards_eq(host.shards, b.live));
            cr_assert_eq(out.damaged_snapshot, 0, "half a snapshot is none");
            free(host.shards);
            bench_free(&b);
        }
    }
    cr_assert_gt(taken, 0);
    cr_assert_gt(refused, 30);
}

Test(snapshot, no_flipped_bit_is_restored, .timeout = 100)
{
    struct bench b;
    struct bench_host host;
    struct recovered out;
    begin(&b);
    fill(&b, 1);
    cr_assert(take(&b, 1, NULL));
    bench_stop(&b);
    const char *paths[] = {"snapshot/000001/MANIFEST", "snapshot/000001/shard-00.hgs",
                           "snapshot/000001/shard-63.hgs"};
    uint64_t flips = 0;
    for (int p = 0; p < 3; p++) {
        struct fake_file *f = fake_file(b.disk, paths[p]);
        for (uint64_t bit = 0; bit < f->n * 8; bit += p == 0 && bit > 2000 ? 29 : 1, flips++) {
            f->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            enum persist_status s = recover_now(&b, &host, &out);
            /* The log reaches back to the beginning here, so nothing is lost; but it is noticed. */
            cr_assert(s == PERSIST_OK ? out.damaged_snapshot == 1 && fake_shards_eq(host.shards, b.live)
                                      : s == PERSIST_REFUSED,
                      "%s bit %d", paths[p], (int)bit);
            free(host.shards);
            f->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
    cr_assert_gt(flips, 4000);
    bench_free(&b);
}

Test(snapshot, a_snapshot_cut_at_any_byte_is_none)
{
    struct bench b;
    struct bench_host host;
    struct recovered out;
    begin(&b);
    fill(&b, 1);
    cr_assert(take(&b, 1, NULL));
    bench_stop(&b);
    const char *paths[] = {"snapshot/000001/MANIFEST", "snapshot/000001/shard-05.hgs"};
    for (int p = 0; p < 2; p++) {
        struct fake_file *f = fake_file(b.disk, paths[p]);
        uint64_t whole = f->n;
        for (f->n = 0; f->n < whole; f->n += p ? 1 : 7) {
            cr_assert_eq(recover_now(&b, &host, &out), PERSIST_OK, "%s", text_of(&b.dir));
            cr_assert_eq(out.damaged_snapshot, 1);
            cr_assert(fake_shards_eq(host.shards, b.live));
            free(host.shards);
        }
        f->n = whole;
    }
    bench_free(&b);
}

Test(snapshot, a_damaged_snapshot_without_the_log_behind_it_refuses)
{
    struct bench b;
    struct bench_host host;
    struct recovered out;
    begin(&b);
    fill(&b, 1);
    cr_assert(take(&b, 1, NULL));
    bench_stop(&b);
    for (uint32_t i = 0; i < b.disk->count;) {
        if (strncmp(b.disk->names[i].path, "log/", 4))
            i++;
        else
            fake_drop(b.disk, &b.disk->names[i]);
    }
    cr_assert_eq(recover_now(&b, &host, &out), PERSIST_OK,
                 "the snapshot has everything but the last records");
    free(host.shards);
    fake_file(b.disk, "snapshot/000001/shard-05.hgs")->bytes[70] ^= 4;
    cr_assert_eq(recover_now(&b, &host, &out), PERSIST_REFUSED);
    cr_assert_not_null(strstr(text_of(&b.dir), "snapshot 1 is damaged"));
    free(host.shards);
    bench_free(&b);
}

Test(snapshot, definitions_are_loaded_in_order_before_what_needs_them)
{
    struct bench b;
    struct bench_host host;
    struct recovered out;
    begin(&b);
    for (uint32_t v = 1; v <= 3; v++) {
        struct key hash = {v, 100 + v};
        cr_assert_eq(datadir_put_definitions(&b.dir, v, hash, SLICE("journeys: []\n")), PERSIST_OK);
        struct batch_item item = {.shard = &b.live->list[5],
                                  .record = {.kind = RECORD_DEFINITIONS, .shard = 5, .head_bytes = 0}};
        uint8_t payload[20];
        store_le32(payload, v);
        store_le64(payload + 4, hash.hi);
        store_le64(payload + 12, hash.lo);
        item.record.payload = slice_of(payload, sizeof payload);
        shards_apply(&item, 1, NULL, &b.effects);
        wal_append(b.wal[0], &item.record);
    }
    bench_settle(&b);
    bench_kill(&b);
    cr_assert_eq(recover_now(&b, &host, &out), PERSIST_OK, "%s", text_of(&b.dir));
    cr_assert_eq(host.definitions_count, 3);
    for (uint32_t v = 0; v < 3; v++) cr_assert_eq(host.definitions[v], v + 1);
    cr_assert(fake_shards_eq(host.shards, b.live));
    free(host.shards);
    struct fake_file *f = fake_file(b.disk, "definitions/000002.hgd");
    for (uint64_t bit = 0; bit < f->n * 8; bit++) {
        f->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_eq(recover_now(&b, &host, &out), PERSIST_REFUSED, "bit %d", (int)bit);
        free(host.shards);
        f->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    bench_free(&b);
}

/* ---- the directory's identity ------------------------------------------------------------------------------ */

Test(datadir, identity_is_made_once_and_found_again)
{
    struct fake_disk *disk = fake_disk_create();
    struct datadir a, b;
    cr_assert_eq(datadir_open(&a, &disk->disk, SLICE("seed"), bench_random), PERSIST_OK);
    cr_assert(a.fresh);
    uint8_t other[32] = {0};
    uint32_t synced = disk->dir_syncs;
    cr_assert_eq(datadir_open(&b, &disk->disk, (struct slice){0}, other), PERSIST_OK);
    cr_assert_gt(disk->dir_syncs, synced, "whoever made it may have been killed before its names were kept");
    cr_assert_not(b.fresh);
    cr_assert(key_eq(a.id, b.id));
    cr_assert_arr_eq(a.secret.bytes, b.secret.bytes, SECRET_BYTES);
    datadir_close(&b);
    cr_assert_eq(datadir_open(&b, &disk->disk, SLICE("another"), other), PERSIST_REFUSED,
                 "the secret is fixed");
    datadir_close(&a);
    datadir_close(&b);
    fake_disk_destroy(disk);
}

Test(datadir, a_damaged_or_missing_identity_is_refused_where_there_is_data)
{
    struct bench b;
    struct datadir again;
    begin(&b);
    bench_stop(&b);
    struct fake_file *f = fake_file(b.disk, "hourglass.id");
    for (uint64_t bit = 0; bit < f->n * 8; bit++) {
        f->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_eq(datadir_open(&again, &b.disk->disk, (struct slice){0}, bench_random), PERSIST_REFUSED);
        datadir_close(&again);
        f->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    fake_drop(b.disk, fake_find(b.disk, "hourglass.id"));
    cr_assert_eq(datadir_open(&again, &b.disk->disk, (struct slice){0}, bench_random), PERSIST_REFUSED);
    datadir_close(&again);
    bench_free(&b);
}

Test(datadir, a_first_start_cut_short_anywhere_can_be_done_again)
{
    for (uint64_t at = 1; at < 14; at++) {
        struct fake_disk *disk = fake_disk_create();
        struct datadir a;
        disk->fail_at = at;
        disk->fail_on = true;
        disk->fail_error = EIO;
        datadir_open(&a, &disk->disk, (struct slice){0}, bench_random);
        datadir_close(&a);
        disk->fail_at = 0;
        cr_assert_eq(datadir_open(&a, &disk->disk, (struct slice){0}, bench_random), PERSIST_OK, "at %d",
                     (int)at);
        cr_assert(key_eq(a.id, (struct key){0x0807060504030201, 0x100f0e0d0c0b0a09}));
        datadir_close(&a);
        fake_disk_destroy(disk);
    }
}

/* A process that was killed between the two leaves a manifest whose name is in a cache only; the log below it is about to go. */
Test(snapshot, the_name_of_the_one_before_is_synced_before_anything_goes)
{
    struct bench b;
    begin(&b);
    fill(&b, 1);
    cr_assert(take(&b, 1, NULL));
    fill(&b, 1);
    struct snapshot_file files[LOGICAL_SHARDS];
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        struct snapshot_writer *w = snapshot_begin(&b.dir, 2, &b.live->list[i]);
        while (snapshot_step(w, 3, &files[i]) == 0) continue;
    }
    b.disk->synced[0] = 0;
    cr_assert_eq(snapshot_commit(&b.dir, 2, files, LOGICAL_SHARDS, 0, CORE_VERSION), PERSIST_OK);
    const char *own = strstr(b.disk->synced, " snapshot/000002 "),
               *before = strstr(b.disk->synced, " snapshot/000001 ");
    cr_assert(own && before && own < before, "%s", b.disk->synced);
    bench_free(&b);
}
