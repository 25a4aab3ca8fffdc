/* The log of one thread: groups, order, files ahead, and what happens when the disk says no. */
#include "tests/unit/log_bench.h"
#include "persist/wal_reader.h"

#include <criterion/criterion.h>

static uint32_t count_files(struct fake_disk *f, const char *folder)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->count; i++)
        n += strncmp(f->names[i].path, folder, strlen(folder)) == 0 && f->names[i].file;
    return n;
}

Test(wal, a_ticket_is_durable_only_after_its_write_is_done)
{
    struct bench b;
    bench_init(&b);
    cr_assert(bench_start(&b));
    uint64_t t = bench_event(&b, 3, "abc", 3);
    cr_assert_eq(t, 1);
    cr_assert_eq(wal_durable(b.wal[0]), 0);
    bench_pump(&b, 10);
    cr_assert_eq(wal_durable(b.wal[0]), 0, "submitted is not durable");
    fake_poll(&b.disk->disk);
    cr_assert_eq(wal_durable(b.wal[0]), 1);
    bench_free(&b);
}

Test(wal, completions_in_any_order_make_tickets_durable_in_order)
{
    struct bench b;
    bench_init(&b);
    b.segment_bytes = 4 << 20; /* no files to make ahead here */
    cr_assert(bench_start(&b));
    bench_event(&b, 0, "one", 3);
    bench_pump(&b, 1);
    cr_assert_eq(b.disk->pending_count, 1);
    bench_event(&b, 0, "two", 3);
    bench_pump(&b, 1);
    cr_assert_eq(b.disk->pending_count, 1, "a small second group waits for the first");
    bench_pump(&b, 400);
    cr_assert_eq(b.disk->pending_count, 2, "but not longer than the bound");
    cr_assert_not(wal_room(b.wal[0], 1, 10), "both buffers belong to the disk");
    fake_complete(b.disk, 1);
    cr_assert_eq(wal_durable(b.wal[0]), 0, "the second is done, the first is not");
    fake_complete(b.disk, 0);
    cr_assert_eq(wal_durable(b.wal[0]), 2);
    cr_assert(wal_room(b.wal[0], 1, 10));
    bench_free(&b);
}

Test(wal, a_large_second_group_does_not_wait)
{
    struct bench b;
    static uint8_t big[30000];
    bench_init(&b);
    b.segment_bytes = 16 << 20;
    cr_assert(bench_start(&b));
    bench_event(&b, 0, "one", 3);
    bench_pump(&b, 1);
    for (int i = 0; i < 18; i++) bench_event(&b, 0, big, sizeof big);
    bench_pump(&b, 1);
    cr_assert_eq(b.disk->pending_count, 2);
    bench_free(&b);
}

Test(wal, idleness_is_sealed_within_five_milliseconds_and_only_once)
{
    struct bench b;
    bench_init(&b);
    b.segment_bytes = 4 << 20; /* no files to make ahead here */
    cr_assert(bench_start(&b));
    bench_event(&b, 0, "one", 3);
    bench_pump(&b, 1);
    fake_poll(&b.disk->disk);
    uint32_t wait = wal_pump(b.wal[0], b.now_us += 1);
    cr_assert_leq(wait, 5000);
    cr_assert_eq(b.disk->pending_count, 0);
    bench_pump(&b, wait);
    cr_assert_eq(b.disk->pending_count, 1, "the seal");
    fake_poll(&b.disk->disk);
    struct group_header h;
    cr_assert_eq(group_header_decode(fake_file(b.disk, "log/000001-00-000001.hgl")->bytes + 8192, &h),
                 FORMAT_OK);
    cr_assert_eq(h.records, 0);
    cr_assert_eq(h.number, 2);
    cr_assert_eq(h.durable_group, 1);
    bench_settle(&b);
    struct wal_stats stats;
    wal_stats(b.wal[0], &stats);
    cr_assert_eq(stats.groups, 2, "silence needs no second seal");
    bench_free(&b);
}

Test(wal, files_are_made_ahead_and_every_record_is_found_in_them)
{
    struct bench b;
    bench_init(&b);
    cr_assert(bench_start(&b));
    for (uint32_t i = 0; i < 100; i++) {
        uint8_t payload[3000];
        memset(payload, (int)i, sizeof payload);
        while (!wal_room(b.wal[0], 1, sizeof payload)) {
            bench_pump(&b, 100);
            fake_poll(&b.disk->disk);
        }
        bench_event(&b, i % 64, payload, sizeof payload);
        bench_pump(&b, 100);
        if (i % 3 == 0) fake_poll(&b.disk->disk);
    }
    bench_stop(&b);
    cr_assert_gt(count_files(b.disk, "log/"), 5);
    struct log_names names;
    cr_assert_eq(log_names_read(&b.disk->disk, &names), 0);
    struct log_reader r;
    struct log_group g;
    log_reader_open(&r, &b.dir, names.list, names.count, true);
    uint32_t records = 0;
    while (log_reader_next(&r, &g) == READ_GROUP) {
        struct slice rest = g.payload;
        struct record record;
        for (; record_decode(&rest, &record); records++) {
            cr_assert_eq(record.shard, records % 64);
            cr_assert_eq(record.payload.n, 3000);
            cr_assert_eq(record.payload.p[2999], records);
        }
    }
    cr_assert_eq(r.status, PERSIST_OK, "%.*s", (int)b.dir.error.n, b.dir.error.p);
    cr_assert(r.ended);
    cr_assert_eq(records, 100);
    log_reader_close(&r);
    log_names_free(&names);
    bench_free(&b);
}

Test(wal, the_name_behind_the_newest_file_always_exists)
{
    struct bench b;
    bench_init(&b);
    cr_assert(bench_start(&b));
    uint8_t payload[6000] = {1};
    for (uint32_t i = 0; i < 60; i++) {
        while (!wal_room(b.wal[0], 1, sizeof payload)) bench_pump(&b, 100), fake_poll(&b.disk->disk);
        bench_event(&b, 1, payload, sizeof payload);
        bench_pump(&b, 100);
        for (uint32_t k = 0; k < b.disk->count; k++) {
            struct log_name n;
            struct log_header h;
            struct fake_name *name = &b.disk->names[k];
            char next[LOG_NAME_BYTES];
            if (strncmp(name->path, "log/", 4) || !log_name_parse(name->path + 4, &n) || name->file->n < 4096)
                continue;
            if (log_header_decode(name->file->bytes, &h) != FORMAT_OK) continue;
            log_name_print(next, n.epoch, n.thread, n.sequence + 1);
            cr_assert_not_null(fake_find(b.disk, next), "%s", next);
        }
        fake_poll(&b.disk->disk);
    }
    bench_free(&b);
}

Test(wal, a_failed_or_short_write_is_said_once_and_nothing_becomes_durable_after_it)
{
    for (int error = 0; error < 2; error++) {
        struct bench b;
        bench_init(&b);
        b.segment_bytes = 4 << 20;
        cr_assert(bench_start(&b));
        bench_event(&b, 0, "one", 3);
        bench_settle(&b);
        cr_assert_eq(wal_durable(b.wal[0]), 1);
        bench_event(&b, 0, "two", 3);
        bench_pump(&b, 400);
        bench_event(&b, 0, "three", 5);
        bench_pump(&b, 400);
        bench_pump(&b, 400);
        cr_assert_eq(b.disk->pending_count, 2);
        b.disk->fail_at = b.disk->operations + 1;
        b.disk->fail_error = error ? EIO : 0;
        fake_complete(b.disk, 0);
        cr_assert_eq(b.failed, 1);
        cr_assert_eq(b.error, EIO);
        fake_complete(b.disk, 0); /* the disk claims that this one went well */
        cr_assert_eq(b.failed, 1);
        cr_assert_eq(wal_durable(b.wal[0]), 1);
        cr_assert_not(wal_room(b.wal[0], 1, 1));
        bench_settle(&b);
        cr_assert_eq(b.failed, 1);
        cr_assert_eq(wal_durable(b.wal[0]), 1);
        bench_free(&b);
    }
}

Test(wal, a_full_disk_stops_acks_until_space_returns)
{
    struct bench b;
    bench_init(&b);
    b.disk->space = 40 << 10; /* the first file, not a second one */
    cr_assert(bench_start(&b));
    uint8_t payload[2000] = {1};
    uint32_t taken = 0;
    for (int i = 0; i < 100; i++) {
        if (wal_room(b.wal[0], 1, sizeof payload)) bench_event(&b, 1, payload, sizeof payload), taken++;
        bench_pump(&b, 1000);
        fake_poll(&b.disk->disk);
    }
    cr_assert(wal_disk_full(b.wal[0]));
    cr_assert_eq(b.failed, 0);
    cr_assert_geq(taken, 4);
    cr_assert_eq(wal_durable(b.wal[0]), taken, "what was taken became durable");
    b.disk->space = 1 << 20;
    bench_pump(&b, 100000);
    cr_assert(wal_disk_full(b.wal[0]), "it is tried once a second, not more often");
    bench_pump(&b, 1000000);
    for (int i = 0; i < 100; i++) {
        bench_pump(&b, 1000);
        fake_poll(&b.disk->disk);
    }
    cr_assert_not(wal_disk_full(b.wal[0]));
    for (int i = 0; i < 20; i++) {
        cr_assert(wal_room(b.wal[0], 1, sizeof payload));
        bench_event(&b, 1, payload, sizeof payload), taken++;
        bench_settle(&b);
    }
    cr_assert_eq(wal_durable(b.wal[0]), taken);
    bench_free(&b);
}

Test(wal, files_that_two_snapshots_cover_are_deleted_oldest_first)
{
    struct bench b;
    bench_init(&b);
    cr_assert(bench_start(&b));
    uint8_t payload[6000] = {1};
    for (uint32_t i = 0; i < 30; i++) {
        bench_event(&b, i % 4, payload, sizeof payload);
        bench_settle(&b);
    }
    uint32_t before = count_files(b.disk, "log/");
    uint64_t lsn[LOGICAL_SHARDS] = {0};
    wal_recycle(b.wal[0], lsn, false);
    bench_settle(&b);
    cr_assert_eq(count_files(b.disk, "log/"), before, "nothing is covered yet");
    for (int i = 0; i < LOGICAL_SHARDS; i++) lsn[i] = b.live->list[i].lsn;
    wal_recycle(b.wal[0], lsn, true);
    bench_settle(&b);
    cr_assert_eq(count_files(b.disk, "log/"), before, "keep all");
    wal_recycle(b.wal[0], lsn, false);
    bench_pump(&b, 100);
    cr_assert_eq(count_files(b.disk, "log/"), before - 1, "one per turn");
    cr_assert_null(fake_find(b.disk, "log/000001-00-000001.hgl"), "the oldest first");
    bench_settle(&b);
    cr_assert_leq(count_files(b.disk, "log/"), 4);
    bench_free(&b);
}

Test(wal, ticks_alone_wait_as_long_as_the_log_was_told)
{
    struct bench b;
    bench_init(&b);
    b.segment_bytes = 4 << 20;
    b.delay_us = 5000;
    b.relaxed = true; /* a disk without O_DIRECT changes nothing of this */
    cr_assert(bench_start(&b));
    cr_assert(wal_idle(b.wal[0]));
    bench_tick(&b, 0, 100, 0);
    cr_assert_not(wal_idle(b.wal[0]), "a record waits");
    bench_pump(&b, 1);
    bench_pump(&b, 4000);
    cr_assert_eq(b.disk->pending_count, 0);
    bench_pump(&b, 1000);
    cr_assert_eq(b.disk->pending_count, 1);
    cr_assert_not(wal_idle(b.wal[0]), "a group is on its way");
    bench_pump(&b, 100);
    cr_assert_eq(b.disk->pending_count, 1, "nothing to seal while it is");
    bench_settle(&b);
    cr_assert(wal_idle(b.wal[0]));
    bench_free(&b);
}

Test(wal, a_log_that_never_synced_has_no_latency)
{
    struct bench b;
    struct wal_stats stats;
    bench_init(&b);
    cr_assert(bench_start(&b));
    wal_stats(b.wal[0], &stats);
    cr_assert_eq(stats.sync_us_p50, 0);
    cr_assert_eq(stats.sync_us_p99, 0);
    bench_free(&b);
}

Test(wal, a_group_that_a_young_file_has_no_room_for_gets_the_next_one)
{
    struct bench b;
    static const uint8_t large[26000] = {1};
    bench_init(&b);
    cr_assert(bench_start(&b));
    bench_event(&b, 0, large, sizeof large);
    bench_pump(&b, 1000);
    cr_assert_not(wal_idle(b.wal[0]));
    bench_settle(&b);
    cr_assert_eq(wal_durable(b.wal[0]), 1);
    cr_assert_eq(b.failed, 0);
    bench_free(&b);
}

/* A worker sleeps as long as the log says; only what is on its way to the disk wakes it before. */
static void sleep_until_durable(struct bench *b, uint64_t ticket)
{
    for (int turn = 0; wal_durable(b->wal[0]) < ticket; turn++) {
        uint32_t wait = wal_pump(b->wal[0], b->now_us);
        cr_assert_lt(turn, 100);
        if (b->disk->pending_count == 0) cr_assert_lt(wait, UINT32_MAX, "it would sleep for ever");
        b->now_us += b->disk->pending_count ? 1 : wait;
        fake_poll(&b->disk->disk);
    }
}

Test(wal, a_group_larger_than_the_rest_of_a_young_file_does_not_wait_for_other_news)
{
    struct bench b;
    static const uint8_t large[25500] = {1};
    uint64_t last = 0;
    bench_init(&b);
    b.segment_bytes = 256 << 10;
    cr_assert(bench_start(&b));
    sleep_until_durable(&b, bench_event(&b, 0, "small", 5));
    for (int i = 0; i < 10; i++) last = bench_event(&b, 0, large, sizeof large);
    sleep_until_durable(&b, last);
    bench_free(&b);
}

/* One file for each event, more than a hundred of them; what is listed to go is kept in a list that grows. */
Test(wal, a_hundred_files_go_one_by_one_and_a_file_that_is_gone_already_is_gone)
{
    struct bench b;
    static const uint8_t large[20000] = {1};
    uint64_t lsn[LOGICAL_SHARDS];
    bench_init(&b);
    cr_assert(bench_start(&b));
    for (uint32_t i = 0; i < 110; i++) {
        bench_event(&b, i % 4, large, sizeof large);
        bench_settle(&b);
    }
    uint32_t before = count_files(b.disk, "log/");
    cr_assert_gt(before, 100);
    for (int i = 0; i < LOGICAL_SHARDS; i++) lsn[i] = b.live->list[i].lsn;
    cr_assert_not(wal_recycling(b.wal[0]));
    wal_recycle(b.wal[0], lsn, false);
    cr_assert(wal_recycling(b.wal[0]));
    wal_recycle(b.wal[0], lsn, false); /* asked again meanwhile: nothing twice */
    fake_drop(b.disk, fake_find(b.disk, "log/000001-00-000002.hgl"));
    bench_settle(&b);
    cr_assert_eq(b.failed, 0);
    cr_assert_leq(count_files(b.disk, "log/"), 4);
    wal_recycle(b.wal[0], lsn, false);
    cr_assert_not(wal_recycling(b.wal[0]), "former epochs are looked for once");
    bench_free(&b);
}

Test(wal, each_of_two_logs_lets_go_of_what_its_own_shards_have_in_snapshots)
{
    struct bench b;
    static const uint8_t large[20000] = {1};
    uint64_t lsn[LOGICAL_SHARDS] = {0};
    bench_init(&b);
    b.threads = 2;
    cr_assert(bench_start(&b));
    for (uint32_t i = 0; i < 20; i++) {
        bench_event(&b, i % 2 ? 3 : 40, large, sizeof large);
        bench_settle(&b);
    }
    uint32_t before = count_files(b.disk, "log/");
    for (int i = 32; i < LOGICAL_SHARDS; i++) lsn[i] = b.live->list[i].lsn;
    wal_recycle(b.wal[0], lsn, false);
    bench_settle(&b);
    cr_assert_eq(count_files(b.disk, "log/"), before, "its shards are not in any");
    wal_recycle(b.wal[1], lsn, false);
    bench_settle(&b);
    cr_assert_lt(count_files(b.disk, "log/"), before);
    cr_assert_not_null(fake_find(b.disk, "log/000001-00-000001.hgl"));
    cr_assert_null(fake_find(b.disk, "log/000001-01-000001.hgl"));
    bench_free(&b);
}
