/* The cut of a backup: each log up to the end that was noted, whatever is written behind it meanwhile. */
#include "persist/backup.h"
#include "persist/snapshot.h"
#include "tests/unit/log_bench.h"

#include <criterion/criterion.h>

static void fill(struct bench *b, uint32_t groups)
{
    uint8_t payload[3000];
    for (uint32_t end = b->filled + groups; b->filled < end; b->filled++) {
        memset(payload, (int)b->filled + 1, sizeof payload);
        for (uint32_t i = 0; i < 4; i++)
            bench_event(b, (b->filled * 5 + i * 16) % 64, payload, sizeof payload);
        bench_turn(b);
    }
}

static void note_ends(const struct bench *b, struct log_end ends[2])
{
    for (uint32_t t = 0; t < b->threads; t++) {
        cr_assert_eq(wal_durable(b->wal[t]), wal_last(b->wal[t]));
        wal_durable_end(b->wal[t], &ends[t]);
    }
}

/* What lies below `folder`, as a disk of its own. */
static struct fake_disk *disk_of(const struct fake_disk *all, const char *folder)
{
    struct fake_disk *disk = fake_disk_copy(all);
    size_t n = strlen(folder);
    for (uint32_t i = disk->count; i-- > 0;) {
        char *path = disk->names[i].path;
        if (strncmp(path, folder, n) == 0 && path[n] == '/')
            memmove(path, path + n + 1, strlen(path + n + 1) + 1);
        else
            fake_drop(disk, &disk->names[i]);
    }
    return disk;
}

static void expect_state(const struct bench *b, const char *folder, const struct fake_shards *state)
{
    struct datadir dir;
    struct bench_host host = {0};
    struct recovered out;
    struct fake_disk *disk = disk_of(b->disk, folder);
    cr_assert_eq(datadir_open(&dir, &disk->disk, (struct slice){0}, bench_random), PERSIST_OK);
    cr_assert(!dir.fresh);
    cr_assert_eq(bench_recover(&dir, &host, &out), PERSIST_OK, "%.*s", (int)dir.error.n, (char *)dir.error.p);
    cr_assert(fake_shards_eq(host.shards, state));
    cr_assert_eq(out.cut_bytes, 0);
    free(host.shards);
    datadir_close(&dir);
    fake_disk_destroy(disk);
}

static void back_up(struct bench *b, const char *to, const struct log_end *ends)
{
    struct backup copy;
    cr_assert_eq(backup_begin(&copy, &b->dir, slice_str(to), true), PERSIST_OK);
    cr_assert_eq(backup_logs(&copy, ends, b->threads), PERSIST_OK, "%.*s", (int)b->dir.error.n,
                 (char *)b->dir.error.p);
    cr_assert_eq(backup_publish(&copy), PERSIST_OK);
}

Test(backup, holds_the_state_at_the_noted_end_and_nothing_behind_it)
{
    for (uint32_t threads = 1; threads <= 2; threads++)
        for (uint32_t groups = 0; groups < 12;
             groups++) { /* the cut comes at every place of a file, and at its end */
            struct bench b;
            struct log_end ends[2];
            bench_init(&b);
            b.threads = threads;
            cr_assert(bench_start(&b));
            fill(&b, 3);
            bench_stop(&b); /* an epoch before */
            cr_assert(bench_start(&b));
            fill(&b, groups);
            bench_settle(&b);
            note_ends(&b, ends);
            struct fake_shards at_the_cut = *b.live;
            fill(&b, 9); /* meanwhile */
            back_up(&b, "copy", ends);
            fill(&b, 9); /* and later, into the files that are linked, if there were any */
            expect_state(&b, "copy", &at_the_cut);
            bench_free(&b);
        }
}

Test(backup, the_source_goes_on_and_loses_nothing)
{
    struct bench b;
    struct log_end ends[2];
    bench_init(&b);
    cr_assert(bench_start(&b));
    fill(&b, 5);
    bench_settle(&b);
    note_ends(&b, ends);
    back_up(&b, "copy", ends);
    fill(&b, 5);
    bench_settle(&b);
    bench_kill(&b);
    struct bench_host host = {0};
    struct recovered out;
    cr_assert_eq(bench_recover(&b.dir, &host, &out), PERSIST_OK);
    cr_assert(fake_shards_eq(host.shards, b.live));
    free(host.shards);
    bench_free(&b);
}

/* Whatever else a data directory may hold: definitions, a snapshot, remembered calls, and what was never finished. */
static void furnish(struct bench *b)
{
    struct snapshot_file file;
    cr_assert_eq(datadir_put_definitions(&b->dir, 1, (struct key){1, 2}, SLICE("events: {}\n")), PERSIST_OK);
    cr_assert_eq(datadir_put_file(&b->dir, ".", "requests", SLICE("calls")), PERSIST_OK);
    struct snapshot_writer *w = snapshot_begin(&b->dir, 1, &b->live->list[3]);
    while (snapshot_step(w, 100, &file) == 0) {
    }
    cr_assert_eq(snapshot_commit(&b->dir, 1, &file, 1, 1, CORE_VERSION), PERSIST_OK);
    fake_add(b->disk, "definitions/000002.hgd.tmp", false);
}

static void begin_furnished(struct bench *b, uint32_t groups, struct log_end ends[])
{
    bench_init(b);
    cr_assert(bench_start(b));
    furnish(b);
    fill(b, groups);
    bench_settle(b);
    note_ends(b, ends);
}

Test(backup, takes_all_that_was_finished)
{
    static const char *const there[] = {"copy/hourglass.id", "copy/requests", "copy/definitions/000001.hgd",
                                        "copy/snapshot/000001/MANIFEST", "copy/snapshot/000001/shard-03.hgs"};
    for (int links = 0; links < 2; links++) {
        struct bench b;
        struct log_end ends[2];
        struct backup copy;
        begin_furnished(&b, 2, ends);
        fake_add(b.disk, "copy", true); /* an empty folder may be there */
        cr_assert_eq(backup_begin(&copy, &b.dir, SLICE("copy//"), links), PERSIST_OK);
        cr_assert_eq(copy.snapshot, 1);
        cr_assert_eq(backup_logs(&copy, ends, 1), PERSIST_OK);
        cr_assert_eq(backup_publish(&copy), PERSIST_OK);
        for (size_t i = 0; i < sizeof there / sizeof *there; i++) {
            const struct fake_file *mine = fake_file(b.disk, there[i] + 5),
                                   *its = fake_file(b.disk, there[i]);
            cr_assert(its && its->n == mine->n && memcmp(its->bytes, mine->bytes, mine->n) == 0, "%s",
                      there[i]);
            cr_expect_eq(its == mine, links, "%s", there[i]);
        }
        cr_expect_null(fake_find(b.disk, "copy/definitions/000002.hgd.tmp"));
        bench_free(&b);
    }
}

static void expect_refused(const char *stranger, const char *to, const char *why)
{
    struct bench b;
    struct backup copy;
    struct log_end ends[2];
    begin_furnished(&b, 0, ends);
    if (stranger) fake_add(b.disk, stranger, false);
    enum persist_status status = backup_begin(&copy, &b.dir, slice_str(to), true);
    if (status == PERSIST_OK) status = backup_logs(&copy, ends, 1);
    cr_expect_eq(status, PERSIST_REFUSED, "%s", why);
    cr_expect(memmem(b.dir.error.p, b.dir.error.n, why, strlen(why)) != NULL, "%s: %.*s", why,
              (int)b.dir.error.n, (char *)b.dir.error.p);
    backup_abandon(&copy);
    bench_free(&b);
}

Test(backup, names_that_are_none_of_ours_are_refused)
{
    char far[2000];
    memset(far, 'x', sizeof far - 1);
    far[sizeof far - 1] = 0;
    expect_refused("log/mine.hgl", "copy", "a name that is none of ours");
    expect_refused(NULL, far, "is too long");
}

/* False: there was no such operation. */
static bool fails_at(uint64_t operation, int error, bool links)
{
    struct bench b;
    struct log_end ends[2];
    struct backup copy;
    begin_furnished(&b, 5, ends);
    b.disk->fail_at = b.disk->operations + operation;
    b.disk->fail_error = error;
    enum persist_status status = backup_begin(&copy, &b.dir, SLICE("copy"), links);
    if (status == PERSIST_OK) status = backup_logs(&copy, ends, 1);
    if (status == PERSIST_OK) status = backup_publish(&copy);
    bool published = fake_find(b.disk, "copy") != NULL;
    if (status != PERSIST_OK) backup_abandon(&copy);
    bool reached = b.disk->operations >= b.disk->fail_at;
    cr_assert_eq(status, reached ? PERSIST_IO : PERSIST_OK, "at %d", (int)operation);
    for (uint32_t i = 0; reached && !published && i < b.disk->count; i++)
        cr_assert(strncmp(b.disk->names[i].path, "copy", 4) != 0, "%s is left, at %d", b.disk->names[i].path,
                  (int)operation);
    bench_free(&b);
    return reached;
}

Test(backup, a_failure_anywhere_leaves_no_backup_and_nothing_half_made)
{
    static const int errors[] = {EIO, 0 /* a write is short */};
    for (int links = 0; links < 2; links++)
        for (int i = 0; i < 2; i++)
            for (uint64_t at = 1; fails_at(at, errors[i], links); at++) cr_assert_lt(at, 1000);
}

Test(backup, a_folder_that_holds_something_is_refused)
{
    struct bench b;
    struct backup copy;
    bench_init(&b);
    cr_assert_eq(backup_begin(&copy, &b.dir, slice_str("log"), true), PERSIST_OK); /* empty so far */
    backup_abandon(&copy);
    cr_assert(bench_start(&b));
    cr_assert_eq(backup_begin(&copy, &b.dir, slice_str("log"), true), PERSIST_REFUSED);
    bench_free(&b);
}
