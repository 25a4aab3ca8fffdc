/* The files that say what a data directory is: its identity and its bundles of definitions. What is not ours, is newer, or
 * contradicts itself is refused by name, although its checksum is right; a disk that fails leaves no half file. */
#include "core/base/hash.h"
#include "persist/datadir.h"
#include "tests/unit/fake_disk.h"

#include <criterion/criterion.h>

static const uint8_t some[32] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static const struct key hash = {11, 12};
#define ID     "hourglass.id"
#define BUNDLE "definitions/000003.hgd"

/* A directory with an identity and one bundle. */
static struct fake_disk *make_directory(void)
{
    struct fake_disk *disk = fake_disk_create();
    struct datadir dir;
    cr_assert_eq(datadir_open(&dir, &disk->disk, (struct slice){0}, some), PERSIST_OK);
    cr_assert_eq(datadir_put_definitions(&dir, 3, hash, SLICE("events: {}\n")), PERSIST_OK);
    datadir_close(&dir);
    return disk;
}

static void sum_up(struct fake_file *file)
{
    store_le32(file->bytes + 4, crc32c(0, file->bytes + 8, file->n - 8));
}

static void expect_refused(struct datadir *dir, enum persist_status status, const char *name, const char *why)
{
    cr_expect_eq(status, PERSIST_REFUSED, "%s", why);
    cr_expect(memmem(dir->error.p, dir->error.n, name, strlen(name)) != NULL, "%s", name);
    cr_expect(memmem(dir->error.p, dir->error.n, why, strlen(why)) != NULL, "%s: %.*s", why,
              (int)dir->error.n, (char *)dir->error.p);
}

static void expect_open_refused(struct fake_disk *disk, struct slice seed, const char *why)
{
    struct datadir dir;
    expect_refused(&dir, datadir_open(&dir, &disk->disk, seed, some), ID, why);
    datadir_close(&dir);
}

Test(datadir, an_identity_that_is_not_ours_is_refused_by_name)
{
    static const struct {
        uint32_t at;
        uint8_t byte;
        const char *why;
    } changes[] = {{8, 2, "made by a newer version of hourglass"},
                   {10, 32, "made with another number of logical shards"},
                   {32, 33, "impossible seed"},
                   {0, 'X', "not a hourglass data directory"}};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct fake_disk *disk = make_directory();
        struct fake_file *file = fake_file(disk, ID);
        file->bytes[changes[i].at] = changes[i].byte;
        sum_up(file);
        expect_open_refused(disk, (struct slice){0}, changes[i].why);
        fake_disk_destroy(disk);
    }
}

Test(datadir, a_hash_secret_is_fixed_and_has_at_most_32_bytes)
{
    struct fake_disk *disk = make_directory();
    expect_open_refused(disk, SLICE("123456789012345678901234567890123"),
                        "a hash secret has at most 32 bytes");
    expect_open_refused(disk, SLICE("another secret"), "has another hash secret");
    fake_disk_destroy(disk);
}

Test(datadir, a_file_that_is_far_too_large_is_none_of_ours)
{
    struct fake_disk *disk = make_directory();
    cr_assert_eq(fake_grow(disk, fake_file(disk, ID), 5000), 0);
    expect_open_refused(disk, (struct slice){0}, "larger than it can be");
    fake_disk_destroy(disk);
}

Test(datadir, a_bundle_that_contradicts_its_name_or_its_length_is_refused)
{
    static const struct {
        uint32_t at;
        uint8_t byte;
        const char *why;
    } changes[] = {{8, 2, "written by a newer version of hourglass"},
                   {12, 4, "holds another version than its name says"},
                   {32, 1, "holds another version than its name says"}, /* its length */
                   {0, 'X', "not a bundle of definitions"}};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct fake_disk *disk = make_directory();
        struct datadir dir;
        struct buf bundle = {0};
        struct key found;
        struct fake_file *file = fake_file(disk, BUNDLE);
        file->bytes[changes[i].at] = changes[i].byte;
        sum_up(file);
        cr_assert_eq(datadir_open(&dir, &disk->disk, (struct slice){0}, some), PERSIST_OK);
        expect_refused(&dir, datadir_get_definitions(&dir, 3, &found, &bundle), BUNDLE, changes[i].why);
        buf_free(&bundle);
        datadir_close(&dir);
        fake_disk_destroy(disk);
    }
}

/* True: there was such an operation, and it failed. `kind` 0: a short write. */
static bool fail_at(uint64_t operation, int kind)
{
    struct fake_disk *disk = make_directory();
    struct datadir dir;
    cr_assert_eq(datadir_open(&dir, &disk->disk, (struct slice){0}, some), PERSIST_OK);
    disk->fail_at = disk->operations + operation;
    disk->fail_error = kind;
    enum persist_status status = datadir_put_definitions(&dir, 3, hash, SLICE("events: {Seen: {}}\n"));
    bool reached = disk->operations >= disk->fail_at;
    disk->fail_at = 0;
    cr_expect_eq(status, reached ? PERSIST_IO : PERSIST_OK, "operation %d", (int)operation);
    struct buf bundle = {0};
    struct key found;
    cr_expect_eq(datadir_get_definitions(&dir, 3, &found, &bundle), PERSIST_OK);
    cr_expect(slice_is(buf_slice(&bundle), "events: {}\n") ||
                  slice_is(buf_slice(&bundle), "events: {Seen: {}}\n"),
              "the former file or the new one, whole");
    cr_expect_eq(datadir_put_definitions(&dir, 3, hash, SLICE("again\n")), PERSIST_OK,
                 "what is left is no obstacle");
    buf_free(&bundle);
    datadir_close(&dir);
    fake_disk_destroy(disk);
    return reached;
}

Test(datadir, a_file_is_replaced_whole_or_not_at_all_whatever_fails)
{
    uint64_t operations = 0;
    while (fail_at(operations + 1, EIO)) operations++;
    cr_expect_eq(operations, 5, "open, write, sync, rename, sync of the folder: %d", (int)operations);
    for (uint64_t i = 1; i <= operations; i++) fail_at(i, 0);
}

Test(datadir, a_new_directory_that_fails_half_way_is_made_by_the_next_start)
{
    bool reached = true;
    for (uint64_t operation = 1; reached; operation++) {
        struct fake_disk *disk = fake_disk_create();
        struct datadir dir;
        disk->fail_at = operation;
        disk->fail_error = EIO;
        enum persist_status status = datadir_open(&dir, &disk->disk, (struct slice){0}, some);
        reached = disk->operations >= operation;
        cr_expect_eq(status, reached ? PERSIST_IO : PERSIST_OK, "operation %d", (int)operation);
        datadir_close(&dir);
        disk->fail_at = 0;
        cr_expect_eq(datadir_open(&dir, &disk->disk, (struct slice){0}, some), PERSIST_OK);
        datadir_close(&dir);
        fake_disk_destroy(disk);
    }
}
