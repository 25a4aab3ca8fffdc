/* Files of a released format, the page that describes them, and the second decoder.
 * HG_MAKE_GOLDEN=1 writes tests/golden anew (only ever for a new format version; old ones stay readable). */
#include "persist/inspect.h"
#include "persist/snapshot.h"
#include "tests/unit/log_bench.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#define GOLDEN HG_TEST_DATA "/../golden"

static const char *text_of(struct datadir *dir)
{
    buf_put_u8(&dir->error, 0);
    dir->error.n--;
    return (const char *)dir->error.p;
}

/* ---- FORMAT.md --------------------------------------------------------------------------------------------- */

/* The hex dump of the page as bytes: offset, sixteen bytes; `*` stands for zeros. Returns how many. */
static size_t read_example(uint8_t *out, size_t max)
{
    FILE *page = fopen(HG_TEST_DATA "/../../persist/FORMAT.md", "r");
    char line[300];
    bool inside = false;
    size_t end = 0;
    cr_assert_not_null(page);
    while (fgets(line, sizeof line, page)) {
        unsigned long at;
        int used;
        if (!strncmp(line, "```", 3))
            inside = !strncmp(line, "```hexdump", 10);
        else if (inside && sscanf(line, "%lx%n", &at, &used) == 1) {
            unsigned byte;
            int more;
            for (end = at; end < max && sscanf(line + used, "%2x%n", &byte, &more) == 1; used += more)
                out[end++] = (uint8_t)byte;
        }
    }
    fclose(page);
    return end;
}

Test(format, the_example_of_the_page_decodes_to_what_the_page_says)
{
    static uint8_t bytes[3 * LOG_BLOCK];
    struct log_header h;
    struct group_header g, seal;
    struct record event, tick;
    cr_assert_eq(read_example(bytes, sizeof bytes), sizeof bytes);
    cr_assert_eq(log_header_decode(bytes, &h), FORMAT_OK);
    cr_assert_eq(h.epoch, 1);
    cr_assert_eq(h.sequence, 1);
    cr_assert_eq(h.bytes, 32768);
    cr_assert_eq(group_header_decode(bytes + LOG_BLOCK, &g), FORMAT_OK);
    cr_assert_eq(g.records, 2);
    cr_assert_eq(g.chain, h.crc);
    cr_assert_eq(g.payload_crc, crc32c(0, bytes + LOG_BLOCK + 64, LOG_BLOCK - 64));
    struct slice rest = slice_of(bytes + LOG_BLOCK + 64, g.payload_bytes);
    cr_assert(record_decode(&rest, &event) && record_decode(&rest, &tick) && rest.n == 0);
    cr_assert(event.kind == RECORD_EVENT && event.shard == 3 && event.lsn == 1 &&
              load_le64(event.payload.p) == 10000);
    cr_assert(tick.kind == RECORD_TICK && tick.lsn == 2 && load_le32(tick.payload.p) == 1700000000 &&
              load_le32(tick.payload.p + 4) == 1);
    cr_assert_eq(group_header_decode(bytes + 2 * LOG_BLOCK, &seal), FORMAT_OK);
    cr_assert(seal.records == 0 && seal.number == 2 && seal.durable_group == 1 && seal.chain == g.crc);
}

Test(format, the_example_of_the_page_is_what_is_written_today)
{
    static uint8_t page[3 * LOG_BLOCK];
    struct bench b;
    uint8_t event[11] = {0x10, 0x27, 0, 0, 0, 0, 0, 0, 0x81, 0xa1, 'x'};
    read_example(page, sizeof page);
    bench_init(&b);
    cr_assert(bench_start(&b));
    bench_event(&b, 3, event, sizeof event);
    bench_tick(&b, 3, 1700000000, 1);
    bench_settle(&b);
    cr_assert_arr_eq(fake_file(b.disk, "log/000001-00-000001.hgl")->bytes, page, sizeof page);
    bench_free(&b);
}

/* ---- a scratch directory on the real disk ---------------------------------------------------------------------- */

static void save(const struct fake_disk *disk, const char *directory)
{
    char path[400];
    mkdir(directory, 0755);
    for (uint32_t i = 0; i < disk->count; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, disk->names[i].path);
        for (char *slash = path; (slash = strchr(slash + 1, '/'));) {
            *slash = 0;
            mkdir(path, 0755);
            *slash = '/';
        }
        if (!disk->names[i].file) {
            mkdir(path, 0755);
            continue;
        }
        FILE *f = fopen(path, "wb");
        cr_assert_not_null(f, "%s", path);
        if (disk->names[i].file->n)
            cr_assert_eq(fwrite(disk->names[i].file->bytes, disk->names[i].file->n, 1, f), 1);
        fclose(f);
    }
}

static void load_file(struct fake_disk *disk, const char *path, const char *as)
{
    FILE *f = fopen(path, "rb");
    cr_assert_not_null(f, "%s", path);
    struct fake_file *file = fake_file(disk, as);
    if (!file) file = fake_add(disk, as, false);
    file->n = 0;
    uint8_t bytes[65536];
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, f)) > 0;) {
        file->bytes = realloc(file->bytes, file->n + n);
        memcpy(file->bytes + file->n, bytes, n);
        file->n += n;
    }
    fclose(f);
}

static void load(struct fake_disk *disk, const char *root, const char *folder)
{
    char path[400], name[300];
    snprintf(path, sizeof path, "%s/%s", root, folder);
    DIR *dir = opendir(path);
    cr_assert_not_null(dir, "%s", path);
    for (struct dirent *e; (e = readdir(dir));) {
        if (e->d_name[0] == '.') continue;
        cr_assert_lt(snprintf(name, sizeof name, "%s%s%s", folder, *folder ? "/" : "", e->d_name), 90);
        cr_assert_lt(snprintf(path, sizeof path, "%s/%s", root, name), (int)sizeof path);
        struct stat st;
        cr_assert_eq(stat(path, &st), 0);
        if (!S_ISDIR(st.st_mode)) {
            load_file(disk, path, name);
            continue;
        }
        fake_add(disk, name, true);
        load(disk, root, name);
    }
    closedir(dir);
}

/* ---- golden files -------------------------------------------------------------------------------------------------- */

static const uint32_t golden_shards[] = {3, 7};

static void golden_life(struct bench *b)
{
    struct key hash = {11, 12};
    uint8_t definitions[20] = {1};
    store_le64(definitions + 4, hash.hi);
    store_le64(definitions + 12, hash.lo);
    bench_init(b);
    cr_assert(bench_start(b));
    cr_assert_eq(datadir_put_definitions(&b->dir, 1, hash, SLICE("events: {}\n")), PERSIST_OK);
    struct batch_item item = {
        .shard = &b->live->list[3],
        .record = {.kind = RECORD_DEFINITIONS, .shard = 3, .payload = slice_of(definitions, 20)}};
    shards_apply(&item, 1, NULL, &b->effects);
    wal_append(b->wal[0], &item.record);
    bench_event(b, 7, "before the snapshot", 19);
    bench_settle(b);
    struct snapshot_file files[2];
    for (int i = 0; i < 2; i++) {
        struct snapshot_writer *w = snapshot_begin(&b->dir, 1, &b->live->list[golden_shards[i]]);
        while (snapshot_step(w, 100, &files[i]) == 0) {
        }
        files[i].state_hash = shard_hash(&b->live->list[golden_shards[i]]);
    }
    cr_assert_eq(snapshot_commit(&b->dir, 1, files, 2, 1, CORE_VERSION), PERSIST_OK);
    bench_event(b, 3, "behind it", 9);
    bench_stop(b);
    cr_assert(bench_start(b));
    bench_event(b, 7, "in the second epoch", 19);
    bench_settle(b);
    bench_tick(b, 7, 1700000000, 2);
    bench_settle(b);
    bench_kill(b);
}

static void save_broken(struct bench *b, const char *name, uint64_t bytes)
{
    struct fake_file *f = fake_file(b->disk, "log/000002-00-000001.hgl");
    char path[400];
    snprintf(path, sizeof path, GOLDEN "/broken/%s.hgl", name);
    FILE *out = fopen(path, "wb");
    cr_assert_not_null(out, "%s", path);
    cr_assert_eq(fwrite(f->bytes, bytes, 1, out), 1);
    fclose(out);
}

static void flip(struct bench *b, uint64_t at)
{
    fake_file(b->disk, "log/000002-00-000001.hgl")->bytes[at] ^= 0x10;
}

Test(golden, made_anew_only_when_asked)
{
    if (!getenv("HG_MAKE_GOLDEN")) return;
    struct bench b;
    golden_life(&b);
    mkdir(GOLDEN, 0755);
    mkdir(GOLDEN "/broken", 0755);
    save(b.disk, GOLDEN "/v1");
    struct fake_file *f = fake_file(b.disk, "log/000002-00-000001.hgl");
    struct {
        const char *name;
        uint64_t at;
    } flips[] = {{"file-header-flipped", 300},
                 {"durable-group-header-flipped", 4096 + 20},
                 {"durable-group-payload-flipped", 4096 + 90},
                 {"durable-group-padding-flipped", 8000},
                 {"torn-seal-flipped", 4 * 4096 + 30}};
    for (size_t i = 0; i < sizeof flips / sizeof *flips; i++) {
        flip(&b, flips[i].at);
        save_broken(&b, flips[i].name, 5 * LOG_BLOCK);
        flip(&b, flips[i].at);
    }
    save_broken(&b, "torn-cut-inside-the-seal", 4 * LOG_BLOCK + 40);
    save_broken(&b, "shorter-than-it-was-made", 4 * LOG_BLOCK);
    memset(f->bytes + LOG_BLOCK, 0, LOG_BLOCK);
    save_broken(&b, "durable-group-zeroed", 5 * LOG_BLOCK);
    memcpy(f->bytes, fake_file(b.disk, "log/000001-00-000001.hgl")->bytes, 5 * LOG_BLOCK);
    save_broken(&b, "of-another-epoch", 5 * LOG_BLOCK);
    bench_free(&b);
}

/* They are kept without the zeros that a log file ends with; a file that is really shorter says so in its name. */
static void load_broken(struct fake_disk *disk, const char *path)
{
    const char *name = "log/000002-00-000001.hgl";
    uint64_t made = fake_file(disk, name)->n;
    load_file(disk, path, name);
    struct fake_file *f = fake_file(disk, name);
    if (strstr(path, "/shorter-") || f->n >= made) return;
    f->bytes = realloc(f->bytes, made);
    memset(f->bytes + f->n, 0, made - f->n);
    f->n = made;
}

static enum persist_status recover_golden(const char *broken, struct bench_host *host, struct recovered *out,
                                          struct datadir *dir)
{
    struct fake_disk *disk = fake_disk_create();
    load(disk, GOLDEN "/v1", "");
    const char *folders[] = {"broken", "zones"}; /* empty ones are not kept in a repository */
    for (int i = 0; i < 2; i++)
        if (!fake_find(disk, folders[i])) fake_add(disk, folders[i], true);
    if (broken) load_broken(disk, broken);
    *host = (struct bench_host){0};
    cr_assert_eq(datadir_open(dir, &disk->disk, (struct slice){0}, bench_random), PERSIST_OK);
    enum persist_status s = bench_recover(dir, host, out);
    fake_disk_destroy(disk);
    return s;
}

Test(golden, version_1_is_read)
{
    struct bench b;
    struct bench_host host;
    struct recovered out;
    struct datadir dir;
    golden_life(&b);
    cr_assert_eq(recover_golden(NULL, &host, &out, &dir), PERSIST_OK, "%s", text_of(&dir));
    cr_assert(fake_shards_eq(host.shards, b.live));
    cr_assert_eq(out.lsn_sum, 5);
    cr_assert_eq(out.newest_second, 1700000000);
    cr_assert_eq(out.next_epoch, 3);
    cr_assert_eq(host.definitions[0], 1);
    free(host.shards);
    datadir_close(&dir);
    bench_free(&b);
}

Test(golden, what_is_broken_is_refused_and_what_is_torn_is_cut)
{
    DIR *folder = opendir(GOLDEN "/broken");
    uint32_t files = 0;
    cr_assert_not_null(folder);
    for (struct dirent *e; (e = readdir(folder));) {
        char path[700];
        struct bench_host host;
        struct recovered out;
        struct datadir dir;
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, GOLDEN "/broken/%s", e->d_name);
        enum persist_status s = recover_golden(path, &host, &out, &dir);
        bool torn = strncmp(e->d_name, "torn-", 5) == 0;
        cr_assert_eq(s, torn ? PERSIST_OK : PERSIST_REFUSED, "%s: %s", e->d_name, text_of(&dir));
        if (torn) cr_assert(out.lsn_sum == 5 && out.cut_bytes > 0, "%s", e->d_name);
        free(host.shards);
        datadir_close(&dir);
        files++;
    }
    closedir(folder);
    cr_assert_geq(files, 8);
}

/* ---- inspect, on the real disk ----------------------------------------------------------------------------------------- */

struct shown {
    int code;
    char *text;
};
static struct shown show(const char *path, struct inspect_options options)
{
    struct shown s;
    size_t n;
    FILE *out = open_memstream(&s.text, &n);
    s.code = inspect_file(path, &options, out);
    fclose(out);
    return s;
}

static void expect_shown(const char *path, struct inspect_options options, int code, const char *text)
{
    struct shown s = show(path, options);
    cr_assert_eq(s.code, code, "%s: %d\n%s", path, s.code, s.text);
    cr_assert_not_null(strstr(s.text, text), "%s in %s", text, s.text);
    free(s.text);
}

Test(inspect, every_kind_of_file_is_shown)
{
    struct inspect_options none = {0};
    expect_shown(GOLDEN "/v1/hourglass.id", none, 0, "identity, format 1");
    expect_shown(GOLDEN "/v1/log/000001-00-000001.hgl", none, 0, "end of this log");
    expect_shown(GOLDEN "/v1/log/000002-00-000001.hgl", (struct inspect_options){.records = true}, 0,
                 "tick shard 7 lsn 3, 8 bytes, now 1700000000, wakes 2");
    expect_shown(GOLDEN "/v1/log/000002-00-000001.hgl", (struct inspect_options){.find = "second epoch"}, 0,
                 "offset 4160: event shard 7 lsn 2, 19 bytes");
    expect_shown(GOLDEN "/v1/snapshot/000001/MANIFEST", none, 0, "2 shards");
    expect_shown(GOLDEN "/v1/snapshot/000001/shard-07.hgs", none, 0, "snapshot 1 of shard 7 at lsn 1");
    expect_shown(GOLDEN "/v1/definitions/000001.hgd", none, 0, "definitions version 1");
    expect_shown(GOLDEN "/v1/definitions/000001.hgd", (struct inspect_options){.find = "events"}, 0,
                 "offset 40");
    expect_shown(GOLDEN "/v1/requests", none, 0, "2 kept, 1 of them running");
    expect_shown(HG_TEST_DATA "/../unit/test_golden.c", none, 65, "not a file");
    expect_shown(GOLDEN "/broken/durable-group-payload-flipped.hgl", none, 3,
                 "offset 4096: WRONG: payload is damaged");
    expect_shown(GOLDEN "/broken/durable-group-header-flipped.hgl", none, 3,
                 "offset 4096: WRONG: neither a group");
}

Test(inspect, repair_gives_up_what_follows_the_damage_and_keeps_it_aside)
{
    char directory[] = "/tmp/hourglass-test-XXXXXX", path[200], command[200];
    struct bench b;
    cr_assert_not_null(mkdtemp(directory));
    golden_life(&b);
    fake_file(b.disk, "log/000002-00-000001.hgl")->bytes[3 * LOG_BLOCK + 80] ^=
        1; /* the tick, which is durable */
    save(b.disk, directory);
    snprintf(path, sizeof path, "%s/log/000001-00-000001.hgl", directory);
    expect_shown(path, (struct inspect_options){.repair = true}, 65, "later epoch");
    snprintf(path, sizeof path, "%s/log/000002-00-000001.hgl", directory);
    struct buf error = {0};
    struct datadir dir;
    struct recovered out;
    struct bench_host host = {0};
    struct disk *disk = disk_posix_open(directory, false, true, &error);
    cr_assert_not_null(disk);
    cr_assert_eq(datadir_open(&dir, disk, (struct slice){0}, bench_random), PERSIST_OK);
    cr_assert_eq(bench_recover(&dir, &host, &out), PERSIST_REFUSED);
    free(host.shards);
    expect_shown(path, (struct inspect_options){.repair = true}, 74, "in use by another process");
    datadir_close(&dir);
    disk_posix_close(disk);
    expect_shown(path, (struct inspect_options){.repair = true}, 0, "ends now behind group 2");
    disk = disk_posix_open(directory, false, true, &error);
    cr_assert_eq(datadir_open(&dir, disk, (struct slice){0}, bench_random), PERSIST_OK);
    cr_assert_eq(bench_recover(&dir, &host, &out), PERSIST_OK, "%s", text_of(&dir));
    cr_assert_eq(out.lsn_sum, 4, "all but the tick");
    free(host.shards);
    datadir_close(&dir);
    disk_posix_close(disk);
    snprintf(path, sizeof path, "%s/broken/000002-00-000001-12288.tail", directory);
    cr_assert_eq(access(path, R_OK), 0);
    snprintf(command, sizeof command, "rm -r '%s'", directory);
    cr_assert_eq(system(command), 0);
    buf_free(&error);
    bench_free(&b);
}

/* ---- the whole of it on the real disk -------------------------------------------------------------------------------------- */

static struct disk *open_real(struct bench *b, uint32_t threads, char *directory)
{
    struct buf error = {0};
    *b = (struct bench){
        .live = fake_shards_create(), .segment_bytes = 4 << 20, .threads = threads, .now_us = 1000};
    cr_assert_not_null(mkdtemp(directory));
    struct disk *disk = disk_posix_open(directory, true, true, &error);
    cr_assert_not_null(disk, "%.*s", (int)error.n, error.p);
    cr_assert_null(disk_posix_open(directory, false, true, &error), "the second one does not get the lock");
    cr_assert_eq(datadir_open(&b->dir, disk, (struct slice){0}, bench_random), PERSIST_OK);
    buf_free(&error);
    return disk;
}

static void close_real(struct bench *b, const char *directory)
{
    char command[200];
    struct disk *disk = b->dir.disk;
    datadir_close(&b->dir);
    disk_posix_close(disk);
    free(b->live);
    snprintf(command, sizeof command, "rm -r '%s'", directory);
    cr_assert_eq(system(command), 0);
}

Test(disk_posix, a_log_and_a_snapshot_survive_on_a_real_file_system)
{
    char directory[] = "/var/tmp/hourglass-test-XXXXXX";
    struct bench b;
    struct bench_host host = {0};
    struct recovered out;
    struct disk *disk = open_real(&b, 1, directory);
    for (int epoch = 0; epoch < 2; epoch++) {
        cr_assert(bench_start(&b));
        static uint8_t payload[20000];
        for (uint32_t i = 0; i < 400; i++) {
            while (!wal_room(b.wal[0], 1, sizeof payload))
                wal_pump(b.wal[0], b.now_us += 100), disk->ops->poll(disk);
            memset(payload, (int)i, sizeof payload);
            bench_event(&b, i % 64, payload, sizeof payload);
            wal_pump(b.wal[0], b.now_us += 100);
            disk->ops->poll(disk);
        }
        for (int i = 0; i < 50; i++) wal_pump(b.wal[0], b.now_us += 1000), disk->ops->poll(disk);
        if (epoch == 0) {
            struct snapshot_file files[LOGICAL_SHARDS];
            for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
                struct snapshot_writer *w = snapshot_begin(&b.dir, 1, &b.live->list[i]);
                int r;
                while ((r = snapshot_step(w, 10, &files[i])) == 0) {
                }
                cr_assert_eq(r, 1, "%s", text_of(&b.dir));
            }
            cr_assert_eq(snapshot_commit(&b.dir, 1, files, LOGICAL_SHARDS, 0, CORE_VERSION), PERSIST_OK);
        }
        cr_assert_eq(wal_durable(b.wal[0]), 400);
        wal_drop(b.wal[0]);
        cr_assert_eq(bench_recover(&b.dir, &host, &out), PERSIST_OK, "%s", text_of(&b.dir));
        cr_assert(fake_shards_eq(host.shards, b.live));
        free(host.shards);
    }
    cr_assert_eq(out.records, 400, "the first epoch is in the snapshot");
    close_real(&b, directory);
}

static enum persist_status recover_at_once(struct bench *b, uint32_t threads, struct bench_host *host)
{
    struct recovered out;
    struct recovery_host h = {
        .self = host, .shard = bench_shard, .definitions = bench_definitions, .threads = threads};
    host->shards = fake_shards_create();
    return recover(&b->dir, &h, false, &out);
}

/* Both logs' first files, in their first group. */
static void damage_both(const char *directory)
{
    for (int thread = 0; thread < 2; thread++) {
        char path[120];
        snprintf(path, sizeof path, "%s/log/000001-%02d-000001.hgl", directory, thread);
        FILE *f = fopen(path, "r+b");
        cr_assert_not_null(f, "%s", path);
        fseek(f, 4096 + 200, SEEK_SET);
        fputc(0x5a, f);
        fclose(f);
    }
}

Test(disk_posix, logs_replayed_at_once_give_one_state_and_the_first_damage_is_named)
{
    char directory[] = "/var/tmp/hourglass-test-XXXXXX";
    struct bench b;
    struct bench_host host = {0};
    static uint8_t payload[3000];
    struct disk *disk = open_real(&b, 2, directory);
    cr_assert(bench_start(&b));
    for (uint32_t i = 0; i < 2000; i++) {
        while (!wal_room(b.wal[0], 1, sizeof payload) || !wal_room(b.wal[1], 1, sizeof payload))
            bench_pump(&b, 100), disk->ops->poll(disk);
        memset(payload, (int)i, sizeof payload);
        bench_event(&b, i % 64, payload, sizeof payload);
        if (i % 20 == 0) bench_pump(&b, 100), disk->ops->poll(disk);
    }
    for (int i = 0; i < 50; i++) bench_pump(&b, 1000), disk->ops->poll(disk);
    for (int t = 0; t < 2; t++) wal_drop(b.wal[t]);
    for (uint32_t threads = 0; threads < 6; threads += 2) {
        cr_assert_eq(recover_at_once(&b, threads, &host), PERSIST_OK, "%s", text_of(&b.dir));
        cr_assert(fake_shards_eq(host.shards, b.live), "%u threads", threads);
        free(host.shards);
    }
    damage_both(directory);
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(recover_at_once(&b, 2, &host), PERSIST_REFUSED);
        cr_assert_not_null(strstr(text_of(&b.dir), "log/000001-00-000001.hgl"), "%s", text_of(&b.dir));
        free(host.shards);
    }
    close_real(&b, directory);
}
