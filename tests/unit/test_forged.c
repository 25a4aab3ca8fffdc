/* Bytes that are not ours, or not in their place, under checksums that are good: every field is looked at, not only
 * summed. */
#include "persist/snapshot.h"
#include "persist/wal_reader.h"
#include "tests/unit/log_bench.h"

#include <criterion/criterion.h>

static struct bench b;
static struct recovered out;

static const char *text_of(struct datadir *dir)
{
    buf_put_u8(&dir->error, 0);
    dir->error.n--;
    return (const char *)dir->error.p;
}

static struct fake_file *file_of(const char *path)
{
    struct fake_file *f = fake_file(b.disk, path);
    cr_assert_not_null(f, "%s", path);
    return f;
}

/* Starts on a copy of the disk; the disk stays as it is. */
static enum persist_status start_on_copy(void)
{
    struct bench_host host = {0};
    struct fake_disk *disk = b.disk;
    buf_clear(&b.dir.error);
    b.dir.disk = &(b.disk = fake_disk_copy(disk))->disk;
    enum persist_status status = bench_recover(&b.dir, &host, &out);
    free(host.shards);
    fake_disk_destroy(b.disk);
    b.dir.disk = &(b.disk = disk)->disk;
    return status;
}

static void refused_with(const char *what, const char *text)
{
    cr_assert_eq(start_on_copy(), PERSIST_REFUSED, "%s", what);
    cr_assert(strstr(text_of(&b.dir), text), "%s: %s", what, text_of(&b.dir));
}

/* ---- logs --------------------------------------------------------------------------------------- */

enum { FIRST_GROUP = LOG_HEADER_BYTES, FIRST_RECORD = FIRST_GROUP + GROUP_HEADER_BYTES };
static const char *const first_log = "log/000001-00-000001.hgl", *const second_log =
                                                                     "log/000001-00-000002.hgl";

static void make_log(uint32_t threads)
{
    static const uint8_t payload[5000] = {1};
    bench_init(&b);
    b.threads = threads;
    cr_assert(bench_start(&b));
    for (uint32_t i = 0; i < 10; i++) {
        bench_event(&b, i % 2, payload, sizeof payload);
        bench_settle(&b);
    }
    bench_kill(&b);
    cr_assert_eq(start_on_copy(), PERSIST_OK, "%s", text_of(&b.dir));
}

static void sum_file_header(uint8_t *p) { store_le32(p + 4, crc32c(0, p + 8, LOG_HEADER_BYTES - 8)); }
static void sum_group_header(uint8_t *p) { store_le32(p + 4, crc32c(0, p + 8, GROUP_HEADER_BYTES - 8)); }
static void sum_group(uint8_t *p)
{
    uint64_t n = block_round(GROUP_HEADER_BYTES + load_le32(p + 32));
    store_le32(p + 36, crc32c(0, p + GROUP_HEADER_BYTES, n - GROUP_HEADER_BYTES));
    sum_group_header(p);
}

struct forgery {
    const char *what;
    uint32_t at; /* a byte */
    int add;
    const char *text;
};

static void forge(uint8_t *p, const struct forgery *f, void (*sum)(uint8_t *p))
{
    uint8_t *kept = malloc(LOG_HEADER_BYTES);
    memcpy(kept, p, LOG_HEADER_BYTES);
    p[f->at] = (uint8_t)(p[f->at] + f->add);
    sum(p);
    refused_with(f->what, f->text);
    memcpy(p, kept, LOG_HEADER_BYTES);
    free(kept);
}

#define EACH(list, p, sum)                                                                                   \
    for (size_t i = 0; i < sizeof(list) / sizeof *(list); i++) forge(p, &(list)[i], sum)

Test(forged, every_field_of_a_log_files_header_is_looked_at)
{
    static const struct forgery list[] = {{"version", 8, 1, "written by a newer version"},
                                          {"thread", 10, 1, "under another name"},
                                          {"epoch", 12, 1, "under another name"},
                                          {"sequence", 16, 1, "under another name"},
                                          {"directory", 24, 1, "another data directory"},
                                          {"directory", 32, 1, "another data directory"},
                                          {"shards", 40, -1, "another group of this log"},
                                          {"first group", 56, 1, "another group of this log"},
                                          {"first ticket", 64, 1, "another group of this log"}};
    make_log(1);
    EACH(list, file_of(first_log)->bytes, sum_file_header);
    bench_free(&b);
}

Test(forged, every_field_of_a_groups_header_is_looked_at)
{
    static const struct forgery list[] = {{"version", 8, 1, "written by a newer version"},
                                          {"thread", 10, 1, "a group of another log"},
                                          {"epoch", 12, 1, "a group of another log"},
                                          {"sequence", 16, 1, "a group of another log"},
                                          {"directory", 44, 1, "a group of another log"},
                                          {"number", 24, 1, "another group of this log"},
                                          {"chain", 40, 1, "another group of this log"},
                                          {"mark", 48, 9, "another group of this log"},
                                          {"ticket", 56, 1, "another group of this log"},
                                          {"records", 20, 1, "a record that this version cannot read"},
                                          {"records", 20, -1, "more bytes than records"},
                                          {"length", 35, 1, "durable is damaged or missing"}};
    make_log(1);
    EACH(list, file_of(first_log)->bytes + FIRST_GROUP, sum_group_header);
    bench_free(&b);
}

Test(forged, every_field_of_a_record_is_looked_at)
{
    enum { AT = FIRST_RECORD - FIRST_GROUP };
    static const char *const text = "a record that this version cannot read";
    static const struct forgery list[] = {
        {"length", AT + 3, 1, text},          {"no kind", AT + 4, -RECORD_EVENT, text},
        {"kind", AT + 4, RECORD_KINDS, text}, {"shard", AT + 5, LOGICAL_SHARDS, text},
        {"flags", AT + 6, 1, text},           {"LSN", AT + 8, -1, text}};
    make_log(1);
    uint8_t *group = file_of(first_log)->bytes + FIRST_GROUP;
    cr_assert_eq(group[AT + 4], RECORD_EVENT);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        uint8_t *p = group + list[i].at, kept = *p;
        *p = (uint8_t)(kept + list[i].add);
        sum_group(group);
        refused_with(list[i].what, list[i].text);
        *p = kept;
        sum_group(group);
    }
    bench_free(&b);
}

Test(forged, a_record_of_a_shard_that_another_thread_logs_is_refused)
{
    make_log(2);
    uint8_t *group = file_of(first_log)->bytes + FIRST_GROUP;
    group[FIRST_RECORD - FIRST_GROUP + 5] = 40;
    sum_group(group);
    refused_with("shard", "a record that this version cannot read");
    bench_free(&b);
}

Test(forged, a_file_that_does_not_continue_the_one_before_it_is_refused)
{
    static const struct forgery list[] = {{"chain", 48, 1, "does not continue"},
                                          {"first group", 56, -1, "does not continue"},
                                          {"first ticket", 64, -1, "does not continue"}};
    make_log(1);
    EACH(list, file_of(second_log)->bytes, sum_file_header);
    static const struct forgery later[] = {{"first group", 56, 1, "durable is damaged or missing"}};
    EACH(later, file_of(second_log)->bytes, sum_file_header);
    bench_free(&b);
}

Test(forged, a_group_that_says_it_is_longer_than_its_file_is_damage)
{
    make_log(1);
    uint8_t *group = file_of(first_log)->bytes + FIRST_GROUP;
    store_le32(group + 32, (uint32_t)file_of(first_log)->n);
    sum_group_header(group);
    refused_with("length", "durable is damaged or missing");
    bench_free(&b);
}

static void copy_name(const char *from, const char *to)
{
    struct fake_file *source = file_of(from), *copy = fake_add(b.disk, to, false);
    copy->n = source->n;
    copy->bytes = malloc(source->n + 1);
    memcpy(copy->bytes, source->bytes, source->n);
}

Test(forged, names_that_are_not_ours_are_refused_or_let_alone)
{
    make_log(1);
    fake_add(b.disk, "log/notes", false);
    fake_add(b.disk, "log/a", false);
    cr_assert_eq(start_on_copy(), PERSIST_OK, "whatever else lies there is not ours: %s", text_of(&b.dir));
    fake_add(b.disk, "log/1-1-1.hgl", false);
    refused_with("name", "a name that is none of ours");
    fake_drop(b.disk, fake_find(b.disk, "log/1-1-1.hgl"));
    fake_add(b.disk, "log/000001-00-00001.hgl", false);
    refused_with("name", "a name that is none of ours");
    bench_free(&b);
}

static void drop_all_behind_the_first(void)
{
    for (uint32_t i = 2; i < 99; i++) {
        char name[LOG_NAME_BYTES];
        log_name_print(name, 1, 0, i);
        if (fake_find(b.disk, name)) fake_drop(b.disk, fake_find(b.disk, name));
    }
}

Test(forged, a_log_whose_first_file_is_gone_or_not_used_is_refused)
{
    make_log(1);
    struct fake_disk *kept = fake_disk_copy(b.disk);
    fake_drop(b.disk, fake_find(b.disk, second_log));
    refused_with("a hole", "the log file behind this one is missing");
    fake_disk_destroy(b.disk);
    b.disk = fake_disk_copy(kept);
    drop_all_behind_the_first();
    refused_with("no name behind it", "the log file behind this one is missing");
    fake_disk_destroy(b.disk);
    b.disk = fake_disk_copy(kept);
    memset(file_of(first_log)->bytes, 0, file_of(first_log)->n);
    refused_with("zeros", "the file header is damaged");
    fake_disk_destroy(kept);
    bench_free(&b);
}

Test(forged, a_former_log_without_its_end_is_refused)
{
    make_log(1);
    fake_add(b.disk, "log/000002-00-000001.hgl", false);
    refused_with("no end", "stops without its end");
    memset(file_of(first_log)->bytes, 0, file_of(first_log)->n);
    drop_all_behind_the_first();
    refused_with("no header", "the log of a former epoch has no header");
    bench_free(&b);
}

Test(forged, a_log_that_begins_behind_its_first_file_and_was_never_used_is_refused)
{
    bench_init(&b);
    fake_add(b.disk, "log/000001-00-000005.hgl", false);
    refused_with("names", "the log files before this one are missing");
    bench_free(&b);
}

Test(forged, the_same_file_under_two_names_is_refused)
{
    make_log(1);
    copy_name(first_log, "log/000001-01-000001.hgl");
    refused_with("another thread's name", "under another name");
    bench_free(&b);
}

/* ---- snapshots ----------------------------------------------------------------------------------- */

enum { SHARDS = 2, HEAD = 64, ENTRY = 48, FRAME = 12 };
static const char *const manifest_path = "snapshot/000001/MANIFEST", *const shard_path =
                                                                         "snapshot/000001/shard-00.hgs";

static void make_snapshot(void)
{
    struct snapshot_file files[SHARDS];
    bench_init(&b);
    b.segment_bytes = 64 << 10;
    cr_assert(bench_start(&b));
    for (uint32_t i = 0; i < 8; i++) bench_event(&b, i % 2, bench_random + i, 4);
    bench_settle(&b);
    for (uint32_t i = 0; i < SHARDS; i++) {
        struct snapshot_writer *w = snapshot_begin(&b.dir, 1, &b.live->list[i]);
        while (snapshot_step(w, 3, &files[i]) == 0) continue;
        files[i].state_hash = shard_hash(&b.live->list[i]);
    }
    cr_assert_eq(snapshot_commit(&b.dir, 1, files, SHARDS, 0, CORE_VERSION), PERSIST_OK);
    bench_kill(&b);
    cr_assert_eq(start_on_copy(), PERSIST_OK, "%s", text_of(&b.dir));
    cr_assert(out.snapshot_bytes && !out.damaged_snapshot);
}

static void sum_manifest(void)
{
    struct fake_file *m = file_of(manifest_path);
    store_le32(m->bytes + 4, crc32c(0, m->bytes + 8, m->n - 8));
}

/* The manifest lists the file as it now is. */
static void list_again(void)
{
    struct fake_file *f = file_of(shard_path);
    uint8_t *entry = file_of(manifest_path)->bytes + HEAD;
    store_le32(f->bytes + 4, crc32c(0, f->bytes + 8, HEAD - 8));
    store_le32(entry + 4, crc32c(0, f->bytes, f->n));
    store_le64(entry + 16, f->n);
    sum_manifest();
}

static void sum_frame(uint8_t *p) { store_le32(p + 8, crc32c(crc32c(0, p, 8), p + FRAME, load_le32(p + 4))); }

Test(forged, every_field_of_a_manifest_is_looked_at)
{
    static const struct forgery list[] = {{"version", 8, 1, "newer version"},
                                          {"no entries", 10, -SHARDS, "of another length"},
                                          {"entries", 10, 1, "of another length"},
                                          {"too many entries", 10, 100, "of another length"},
                                          {"core version", 12, 1, "newer version"},
                                          {"directory", 16, 1, "another data directory"},
                                          {"number", 32, 1, "under another number"},
                                          {"LSN of a shard", HEAD + 8, 1, "belongs to another snapshot"},
                                          {"state of a shard", HEAD + 24, 1, "another state than was saved"}};
    make_snapshot();
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        uint8_t *p = file_of(manifest_path)->bytes + list[i].at, kept = *p;
        *p = (uint8_t)(kept + list[i].add);
        sum_manifest();
        refused_with(list[i].what, list[i].text);
        *p = kept;
    }
    bench_free(&b);
}

/* Without any other snapshot the log must reach back to the beginning; it does, here. */
Test(forged, a_manifest_that_names_an_impossible_shard_is_damaged_and_told)
{
    make_snapshot();
    file_of(manifest_path)->bytes[HEAD] = LOGICAL_SHARDS;
    sum_manifest();
    cr_assert_eq(start_on_copy(), PERSIST_OK, "%s", text_of(&b.dir));
    cr_assert_eq(out.damaged_snapshot, 1);
    bench_free(&b);
}

Test(forged, a_manifest_that_is_cut_or_none_is_damaged_and_told)
{
    make_snapshot();
    uint64_t n = file_of(manifest_path)->n;
    for (uint64_t at = 0; at < n; at += 7) {
        file_of(manifest_path)->n = at;
        cr_assert_eq(start_on_copy(), PERSIST_OK, "%s", text_of(&b.dir));
        cr_assert_eq(out.damaged_snapshot, 1);
    }
    file_of(manifest_path)->n = n;
    file_of(manifest_path)->bytes[0] ^= 1;
    cr_assert_eq(start_on_copy(), PERSIST_OK, "%s", text_of(&b.dir));
    cr_assert_eq(out.damaged_snapshot, 1);
    bench_free(&b);
}

Test(forged, every_field_of_a_snapshot_files_header_is_looked_at)
{
    static const struct forgery list[] = {
        {"magic", 0, 1, "not a snapshot file"},           {"version", 8, 1, "newer version"},
        {"shard", 10, 1, "belongs to another snapshot"},  {"directory", 16, 1, "belongs to another snapshot"},
        {"number", 32, 1, "belongs to another snapshot"}, {"LSN", 40, 1, "belongs to another snapshot"}};
    make_snapshot();
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        uint8_t *p = file_of(shard_path)->bytes + list[i].at, kept = *p;
        *p = (uint8_t)(kept + list[i].add);
        list_again();
        refused_with(list[i].what, list[i].text);
        *p = kept;
    }
    file_of(shard_path)->bytes[4] ^= 1; /* the header's own sum */
    struct fake_file *f = file_of(shard_path);
    store_le32(file_of(manifest_path)->bytes + HEAD + 4, crc32c(0, f->bytes, f->n));
    sum_manifest();
    refused_with("sum", "damaged header");
    bench_free(&b);
}

Test(forged, a_state_that_does_not_fit_together_is_refused)
{
    make_snapshot();
    fake_restore_refuses = true;
    refused_with("state", "does not make a whole shard");
    fake_restore_refuses = false;
    bench_free(&b);
}

Test(forged, folders_that_are_no_snapshots_are_let_alone)
{
    make_snapshot();
    fake_add(b.disk, "snapshot/notes", true);
    fake_add(b.disk, "snapshot/12x", true);
    for (uint32_t i = 2; i < 40; i++) {
        char name[32];
        snprintf(name, sizeof name, "snapshot/%06u", i);
        fake_add(b.disk, name, true);
    }
    cr_assert_eq(start_on_copy(), PERSIST_OK, "%s", text_of(&b.dir));
    cr_assert(out.snapshot_bytes && !out.damaged_snapshot, "the newest with a manifest");
    cr_assert_eq(out.next_snapshot, 40);
    bench_free(&b);
}

Test(forged, the_lsn_of_a_file_and_its_manifest_must_be_that_of_the_state)
{
    make_snapshot();
    file_of(shard_path)->bytes[40]++;
    file_of(manifest_path)->bytes[HEAD + 8]++;
    list_again();
    refused_with("LSN", "restores another LSN than listed");
    bench_free(&b);
}

static uint8_t *trailer_of(struct fake_file *f) { return f->bytes + f->n - FRAME - 16; }

Test(forged, frames_are_looked_at)
{
    make_snapshot();
    struct fake_file *f = file_of(shard_path);
    uint8_t *first = f->bytes + HEAD, *trailer = trailer_of(f);
    uint64_t n = f->n;
    uint8_t kept[FRAME];
    memcpy(kept, first, FRAME);
    first[7] = 0x7f;
    list_again();
    refused_with("length", "ends inside a frame");
    memcpy(first, kept, FRAME);
    first[8] ^= 1;
    list_again();
    refused_with("sum", "a damaged frame");
    first[8] ^= 1;
    first[0] = 77;
    sum_frame(first);
    list_again();
    refused_with("kind", "a frame that this version cannot read");
    memcpy(first, kept, FRAME);
    trailer[FRAME]++;
    sum_frame(trailer);
    list_again();
    refused_with("count", "frames are missing");
    trailer[FRAME]--;
    store_le32(trailer + 4, 8);
    sum_frame(trailer);
    list_again();
    refused_with("short trailer", "frames are missing");
    store_le32(trailer + 4, 16);
    sum_frame(trailer);
    f->n = n - FRAME - 16;
    list_again();
    refused_with("no trailer", "ends without its trailer");
    f->n = HEAD / 2;
    list_again();
    refused_with("cut header", "not a snapshot file");
    bench_free(&b);
}

Test(forged, a_snapshot_file_of_another_length_or_sum_is_damaged_and_told)
{
    make_snapshot();
    file_of(shard_path)->bytes[HEAD + 20] ^= 1;
    cr_assert_eq(start_on_copy(), PERSIST_OK, "%s", text_of(&b.dir));
    cr_assert_eq(out.damaged_snapshot, 1);
    file_of(shard_path)->bytes[HEAD + 20] ^= 1;
    file_of(shard_path)->n--;
    cr_assert_eq(start_on_copy(), PERSIST_OK, "%s", text_of(&b.dir));
    cr_assert_eq(out.damaged_snapshot, 1);
    fake_drop(b.disk, fake_find(b.disk, shard_path));
    cr_assert_eq(start_on_copy(), PERSIST_OK, "%s", text_of(&b.dir));
    cr_assert_eq(out.damaged_snapshot, 1);
    bench_free(&b);
}
