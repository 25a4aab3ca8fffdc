/* Recovery: what was durable comes back, what was torn is cut and kept, what is damaged stops the start. */
#include "tests/unit/log_bench.h"

#include <criterion/criterion.h>

static const char *text_of(struct datadir *dir)
{
    buf_put_u8(&dir->error, 0);
    dir->error.n--;
    return (const char *)dir->error.p;
}

/* Some records for some shards, over several groups. */
static void fill(struct bench *b, uint32_t groups, uint32_t bytes)
{
    uint8_t payload[30000];
    for (uint32_t end = b->filled + groups; b->filled < end; b->filled++) {
        uint32_t g = b->filled;
        for (uint32_t i = 0; i < 3; i++) {
            memset(payload, (int)(g * 7 + i + 1), bytes);
            bench_event(b, (g * 5 + i) % 64, payload, bytes);
        }
        bench_tick(b, g * 5 % 64, 1000 + g, 1);
        bench_pump(b, 100);
        fake_poll(&b->disk->disk);
    }
}

static void expect_state(struct bench *b, const struct fake_shards *state)
{
    struct bench_host host = {0};
    struct recovered out;
    enum persist_status s = bench_recover(&b->dir, &host, &out);
    cr_assert_eq(s, PERSIST_OK, "%s", text_of(&b->dir));
    cr_assert(fake_shards_eq(host.shards, state));
    cr_assert_eq(out.next_epoch, b->epoch + 1);
    free(host.shards);
}

Test(recover, an_empty_directory_is_a_beginning)
{
    struct bench b;
    bench_init(&b);
    expect_state(&b, b.live);
    bench_free(&b);
}

Test(recover, a_clean_stop_and_a_kill_bring_back_the_same_state)
{
    for (int kill = 0; kill < 2; kill++) {
        for (uint32_t threads = 1; threads <= 2; threads++) {
            struct bench b;
            bench_init(&b);
            b.threads = threads;
            for (int epochs = 0; epochs < 3; epochs++) {
                cr_assert(bench_start(&b));
                fill(&b, 9, 700);
                if (kill)
                    bench_settle(&b), bench_kill(&b);
                else
                    bench_stop(&b);
                expect_state(&b, b.live);
                expect_state(&b, b.live); /* and again: recovery changes nothing that matters */
            }
            bench_free(&b);
        }
    }
}

Test(recover, a_start_that_was_cut_short_leaves_nothing_in_the_way)
{
    for (uint64_t at = 1; at < 30; at++) {
        struct bench b;
        bench_init(&b);
        cr_assert(bench_start(&b));
        fill(&b, 3, 100);
        bench_settle(&b);
        bench_kill(&b);
        b.disk->fail_at = b.disk->operations + at;
        b.disk->fail_on = true;
        b.disk->fail_error = EIO;
        struct bench_host host = {0};
        struct recovered out;
        if (bench_recover(&b.dir, &host, &out) == PERSIST_OK) bench_start(&b);
        free(host.shards);
        b.disk->fail_at = 0;
        bench_kill(&b);
        b.epoch = 1;
        struct bench_host again = {0};
        cr_assert_eq(bench_recover(&b.dir, &again, &out), PERSIST_OK, "at %d: %s", (int)at, text_of(&b.dir));
        cr_assert(fake_shards_eq(again.shards, b.live));
        free(again.shards);
        bench_free(&b);
    }
}

/* ---- damage -------------------------------------------------------------------------------------------- */

static struct fake_file *file_of(struct bench *b, const char *path)
{
    struct fake_file *f = fake_file(b->disk, path);
    cr_assert_not_null(f, "%s", path);
    return f;
}

static enum persist_status recover_once(struct bench *b, struct bench_host *host)
{
    struct recovered out;
    *host = (struct bench_host){0};
    return bench_recover(&b->dir, host, &out);
}

/* The disk as it was before somebody recovered it. */
static void put_back(struct bench *b, const struct fake_disk *kept)
{
    fake_disk_destroy(b->disk);
    b->disk = fake_disk_copy(kept);
    b->dir.disk = &b->disk->disk;
}

/* Three groups and a seal in the first file. */
static void small_log(struct bench *b, struct fake_shards states[4])
{
    bench_init(b);
    cr_assert(bench_start(b));
    states[0] = *b->live;
    for (int g = 0; g < 3; g++) {
        fill(b, 1, 60);
        states[g + 1] = *b->live;
    }
    bench_settle(b);
    bench_kill(b);
}

/* Behind it a block holds only zeros: to cut there takes nothing away. */
static uint32_t end_of_block(const uint8_t *bytes, uint32_t block)
{
    uint32_t end = (block + 1) * LOG_BLOCK;
    while (bytes[end - 1] == 0) end--;
    return end;
}

Test(recover, a_log_cut_at_every_byte_gives_the_groups_before_the_cut, .timeout = 60)
{
    static struct fake_shards states[4];
    struct bench b;
    small_log(&b, states);
    struct fake_disk *kept = fake_disk_copy(b.disk);
    const struct fake_file *kept_file = fake_file(kept, "log/000001-00-000001.hgl");
    for (uint32_t at = LOG_HEADER_BYTES; at <= 5 * LOG_BLOCK + 1; at += at < 4 * LOG_BLOCK ? 1 : 7) {
        struct bench_host host;
        struct fake_file *f = file_of(&b, "log/000001-00-000001.hgl");
        memset(f->bytes + at, 0, f->n - at);
        enum persist_status s = recover_once(&b, &host);
        cr_assert_eq(s, PERSIST_OK, "cut at %u: %s", at, text_of(&b.dir));
        uint32_t groups = 0;
        while (groups < 3 && end_of_block(kept_file->bytes, 1 + groups) <= at) groups++;
        cr_assert(fake_shards_eq(host.shards, &states[groups]), "cut at %u", at);
        free(host.shards);
        put_back(&b, kept);
    }
    for (uint32_t at = 0; at < LOG_HEADER_BYTES;
         at += 97) { /* inside the file header: there is no log any more, and its names say so */
        struct bench_host host;
        file_of(&b, "log/000001-00-000001.hgl")->n = at;
        enum persist_status s = recover_once(&b, &host);
        cr_assert_eq(s, PERSIST_REFUSED, "cut at %u", at);
        free(host.shards);
        put_back(&b, kept);
    }
    fake_disk_destroy(kept);
    bench_free(&b);
}

/* No power cut makes a file shorter than it was zeroed: somebody cut it, and what was behind may have been durable. */
Test(recover, a_last_file_that_is_shorter_than_it_was_made_is_refused)
{
    static struct fake_shards states[4];
    struct bench b;
    small_log(&b, states);
    struct fake_disk *kept = fake_disk_copy(b.disk);
    for (uint32_t blocks = 1; blocks < 8; blocks++) {
        struct bench_host host;
        file_of(&b, "log/000001-00-000001.hgl")->n = blocks * LOG_BLOCK;
        uint64_t operations = b.disk->operations;
        cr_assert_eq(recover_once(&b, &host), PERSIST_REFUSED, "cut behind %u blocks: %s", blocks,
                     text_of(&b.dir));
        cr_assert_eq(b.disk->operations, operations, "and nothing is changed");
        free(host.shards);
        put_back(&b, kept);
    }
    fake_disk_destroy(kept);
    bench_free(&b);
}

Test(recover, no_flipped_bit_of_a_sealed_log_goes_unnoticed, .timeout = 100)
{
    static struct fake_shards states[4];
    struct bench b;
    small_log(&b, states);
    struct fake_disk *kept = fake_disk_copy(b.disk);
    uint64_t refused = 0, harmless = 0;
    for (uint64_t bit = 0; bit < 5 * LOG_BLOCK * 8; bit++) {
        struct bench_host host;
        struct fake_file *f = file_of(&b, "log/000001-00-000001.hgl");
        f->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        uint64_t operations = b.disk->operations;
        enum persist_status s = recover_once(&b, &host);
        if (s == PERSIST_REFUSED) {
            refused++;
            cr_assert_eq(b.disk->operations, operations, "a refusal changes nothing");
            cr_assert_not_null(strstr(text_of(&b.dir), "log/000001-00-000001.hgl: offset "));
            f->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        } else {
            harmless++;
            cr_assert_eq(s, PERSIST_OK);
            cr_assert_geq(bit, 4 * LOG_BLOCK * 8, "bit %d: only the seal itself may be lost", (int)bit);
            cr_assert(fake_shards_eq(host.shards, b.live));
            put_back(&b, kept);
        }
        free(host.shards);
    }
    cr_assert_eq(refused, 4 * LOG_BLOCK * 8);
    cr_assert_eq(harmless, LOG_BLOCK * 8);
    fake_disk_destroy(kept);
    bench_free(&b);
}

Test(recover, the_tail_that_was_cut_is_kept_aside_byte_for_byte)
{
    struct bench b;
    bench_init(&b);
    cr_assert(bench_start(&b));
    fill(&b, 2, 60);
    struct fake_shards before = *b.live;
    fill(&b, 1, 60);
    bench_kill(&b);
    struct fake_file *f = file_of(&b, "log/000001-00-000001.hgl");
    uint8_t tail[LOG_BLOCK];
    f->bytes[3 * LOG_BLOCK + 70] ^= 1; /* the last group, not sealed: torn */
    memcpy(tail, f->bytes + 3 * LOG_BLOCK, LOG_BLOCK);
    expect_state(&b, &before);
    struct fake_file *kept = file_of(&b, "broken/000001-00-000001-12288.tail");
    cr_assert_gt(kept->n, 200);
    cr_assert_leq(kept->n, LOG_BLOCK);
    cr_assert_arr_eq(kept->bytes, tail, kept->n);
    bench_free(&b);
}

/* A log of several files over two epochs and two threads. */
static void large_log(struct bench *b)
{
    bench_init(b);
    b->threads = 2;
    for (int epoch = 0; epoch < 2; epoch++) {
        cr_assert(bench_start(b));
        for (int i = 0; i < 12; i++) {
            fill(b, 1, 4000);
            bench_settle(b);
        }
        if (epoch == 0)
            bench_stop(b);
        else
            bench_kill(b);
    }
}

static void expect_refused(struct bench *b, const char *what)
{
    struct bench_host host;
    enum persist_status s = recover_once(b, &host);
    cr_assert_eq(s, PERSIST_REFUSED, "%s", what);
    cr_assert_gt(b->dir.error.n, 10);
    free(host.shards);
}

static bool has_header(const struct fake_file *f)
{
    struct log_header h;
    return f && f->n >= LOG_HEADER_BYTES && log_header_decode(f->bytes, &h) == FORMAT_OK;
}

Test(recover, a_missing_file_is_noticed_wherever_it_was)
{
    struct bench b;
    large_log(&b);
    struct fake_disk *kept = fake_disk_copy(b.disk);
    uint32_t files = 0;
    expect_state(&b, b.live);
    for (uint32_t i = 0; i < kept->count; i++) {
        if (strncmp(kept->names[i].path, "log/", 4) || !has_header(kept->names[i].file)) continue;
        put_back(&b, kept);
        fake_drop(b.disk, fake_find(b.disk, kept->names[i].path));
        expect_refused(&b, kept->names[i].path);
        files++;
    }
    cr_assert_gt(files, 8);
    fake_disk_destroy(kept);
    bench_free(&b);
}

Test(recover, the_whole_log_of_a_thread_is_missed_in_any_epoch)
{
    const char *prefixes[] = {"log/000001-00", "log/000001-01", "log/000002-00", "log/000002-01",
                              "log/000001"};
    struct bench b;
    large_log(&b);
    struct fake_disk *kept = fake_disk_copy(b.disk);
    for (int i = 0; i < 5; i++) {
        put_back(&b, kept);
        for (uint32_t k = 0; k < b.disk->count;) {
            if (strncmp(b.disk->names[k].path, prefixes[i], strlen(prefixes[i])))
                k++;
            else
                fake_drop(b.disk, &b.disk->names[k]);
        }
        expect_refused(&b, prefixes[i]);
    }
    fake_disk_destroy(kept);
    bench_free(&b);
}

Test(recover, files_swapped_or_brought_from_elsewhere_are_refused)
{
    struct bench b;
    large_log(&b);
    struct fake_disk *kept = fake_disk_copy(b.disk);
    for (uint32_t i = 0; i < kept->count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (!has_header(kept->names[i].file) || !has_header(kept->names[k].file)) continue;
            put_back(&b, kept);
            struct fake_file *f = b.disk->names[i].file;
            b.disk->names[i].file = b.disk->names[k].file;
            b.disk->names[k].file = f;
            expect_refused(&b, kept->names[i].path);
        }
    }
    struct bench other;
    large_log(&other);
    put_back(&b, kept);
    b.dir.id.lo ^= 1; /* now every file is another directory's */
    expect_refused(&b, "foreign");
    fake_disk_destroy(kept);
    bench_free(&other);
    bench_free(&b);
}

Test(recover, two_blocks_swapped_or_one_zeroed_or_doubled_are_never_silent, .timeout = 60)
{
    static struct fake_shards states[4];
    struct bench b;
    small_log(&b, states);
    struct fake_disk *kept = fake_disk_copy(b.disk);
    const char *path = "log/000001-00-000001.hgl";
    const uint8_t *original = fake_file(kept, path)->bytes;
    for (uint32_t sector = 512; sector <= LOG_BLOCK; sector *= 8) {
        uint32_t count = 5 * LOG_BLOCK / sector;
        for (uint32_t i = 0; i < count; i++) {
            for (uint32_t k = 0; k < count; k++) {
                struct bench_host host;
                uint8_t keep[LOG_BLOCK], *log = file_of(&b, path)->bytes, *x = log + i * sector,
                                         *y = log + k * sector;
                memcpy(keep, x, sector);
                if (i < k) memcpy(x, y, sector), memcpy(y, keep, sector);
                if (i > k) memcpy(x, y, sector);
                if (i == k) memset(x, 0, sector);
                bool changed = memcmp(log, original, 4 * LOG_BLOCK) != 0;
                bool sealed = memcmp(log + 4 * LOG_BLOCK, original + 4 * LOG_BLOCK, LOG_BLOCK) == 0;
                enum persist_status s = recover_once(&b, &host);
                if (changed && sealed) cr_assert_eq(s, PERSIST_REFUSED, "%u %u", i, k);
                if (s == PERSIST_OK) cr_assert(fake_shards_eq(host.shards, b.live), "%u %u", i, k);
                free(host.shards);
                put_back(&b, kept);
            }
        }
    }
    fake_disk_destroy(kept);
    bench_free(&b);
}

Test(recover, a_log_of_another_core_version_is_not_replayed)
{
    struct bench b;
    bench_init(&b);
    cr_assert(bench_start(&b));
    fill(&b, 1, 60);
    bench_kill(&b);
    struct fake_file *f = file_of(&b, "log/000001-00-000001.hgl");
    struct log_header h;
    struct group_header g;
    cr_assert_eq(log_header_decode(f->bytes, &h), FORMAT_OK);
    cr_assert_eq(group_header_decode(f->bytes + LOG_BLOCK, &g), FORMAT_OK);
    h.core_version = CORE_VERSION + 1;
    log_header_encode(f->bytes, &h);
    g.chain = h.crc;
    group_header_encode(f->bytes + LOG_BLOCK, &g);
    expect_refused(&b, "core version");
    cr_assert_not_null(strstr(text_of(&b.dir), "old binary first"));
    bench_free(&b);
}

Test(recover, wake_ups_that_replay_does_not_find_stop_the_start)
{
    struct bench b;
    bench_init(&b);
    cr_assert(bench_start(&b));
    bench_event(&b, 0, "x", 1);
    struct record r = {.kind = RECORD_TICK, .shard = 0, .head_bytes = 8, .lsn = 2};
    store_le32(r.head, 77);
    store_le32(r.head + 4, 2); /* there is one */
    wal_append(b.wal[0], &r);
    bench_settle(&b);
    bench_kill(&b);
    expect_refused(&b, "wakes");
    cr_assert_not_null(strstr(text_of(&b.dir), "other wake-ups"));
    bench_free(&b);
}

/* ---- crashes -------------------------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    return *seed ^= *seed << 17;
}

/* Power goes: each sector of each pending write is there, is not, or is garbage. */
static void tear_pending(struct bench *b, uint64_t *seed)
{
    for (uint32_t i = 0; i < b->disk->pending_count; i++) {
        struct fake_write *w = &b->disk->pending[i];
        uint64_t kind = next_random(seed) % 4; /* all, none, some sectors, some of them garbage */
        if (w->file->n < w->offset + w->n) fake_grow(b->disk, w->file, w->offset + w->n);
        for (size_t at = 0; at < w->n; at += 512) {
            uint64_t fate = kind == 0 ? 0 : kind == 1 ? 1 : next_random(seed) % (kind == 2 ? 2 : 3);
            if (fate == 0) memcpy(w->file->bytes + w->offset + at, (const uint8_t *)w->p + at, 512);
            for (size_t k = 0; fate == 2 && k < 512; k++)
                w->file->bytes[w->offset + at + k] = (uint8_t)next_random(seed);
        }
    }
}

static void live_a_little(struct bench *b, uint64_t *seed, struct fake_shards *states, uint32_t *count)
{
    uint8_t payload[5000];
    for (uint64_t n = next_random(seed) % 60; n; n--) {
        uint32_t bytes = 1 + (uint32_t)(next_random(seed) % (next_random(seed) % 4 ? 200 : sizeof payload));
        uint32_t shard = (uint32_t)(next_random(seed) % LOGICAL_SHARDS);
        memset(payload, (int)next_random(seed), bytes);
        if (wal_room(b->wal[0], 1, bytes) && *count < 400) {
            bench_event(b, shard, payload, bytes);
            states[++*count] = *b->live;
        }
        bench_pump(b, (uint32_t)(next_random(seed) % 800));
        while (b->disk->pending_count && next_random(seed) % 3)
            fake_complete(b->disk, (uint32_t)(next_random(seed) % b->disk->pending_count));
    }
}

Test(recover, whatever_tears_at_a_power_cut_every_acked_record_is_there, .timeout = 100)
{
    static struct fake_shards states[512];
    uint64_t cuts = 0, torn = 0;
    for (uint64_t run = 1; run <= 400; run++) {
        uint64_t seed = run * 0x9E3779B97F4A7C15ull;
        struct bench b;
        bench_init(&b);
        uint32_t count = 0;
        states[0] = *b.live;
        for (int epoch = 0; epoch < 4; epoch++) {
            uint32_t began = count;
            cr_assert(bench_start(&b));
            live_a_little(&b, &seed, states, &count);
            uint32_t acked = began + (uint32_t)wal_durable(b.wal[0]);
            cr_assert_eq(b.failed, 0);
            tear_pending(&b, &seed);
            bench_kill(&b);
            struct bench_host host = {0};
            struct recovered out;
            enum persist_status s = bench_recover(&b.dir, &host, &out);
            cr_assert_eq(s, PERSIST_OK, "run %d epoch %d: %s", (int)run, epoch, text_of(&b.dir));
            uint32_t found = began + (uint32_t)0;
            while (found <= count && !fake_shards_eq(host.shards, &states[found])) found++;
            cr_assert(found >= acked && found <= count, "run %d: acked %u, found %u of %u", (int)run, acked,
                      found, count);
            *b.live = *host.shards;
            count = found;
            torn += out.cut_bytes != 0;
            cuts++;
            free(host.shards);
        }
        bench_free(&b);
    }
    cr_assert_gt(torn, cuts / 10, "the generator must tear something: %d of %d", (int)torn, (int)cuts);
}

Test(recover, failing_at_any_operation_recovery_can_be_done_again)
{
    for (uint64_t at = 1; at < 40; at++) {
        struct bench b;
        bench_init(&b);
        cr_assert(bench_start(&b));
        fill(&b, 2, 60);
        struct fake_shards before = *b.live;
        fill(&b, 1, 60);
        bench_kill(&b);
        file_of(&b, "log/000001-00-000001.hgl")->bytes[3 * LOG_BLOCK + 70] ^= 1;
        for (int error = 0; error < 3; error++) {
            struct bench_host host;
            b.disk->fail_at = b.disk->operations + at;
            b.disk->fail_on = error == 1;
            b.disk->fail_error = error == 2 ? 0 : EIO;
            enum persist_status s = recover_once(&b, &host);
            cr_assert(s == PERSIST_OK || s == PERSIST_IO);
            free(host.shards);
            b.disk->fail_at = 0;
            bench_kill(&b);
        }
        expect_state(&b, &before);
        cr_assert_not_null(fake_find(b.disk, "broken/000001-00-000001-12288.tail"), "at %d", (int)at);
        bench_free(&b);
    }
}
