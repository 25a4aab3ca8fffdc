/* The real disk's answers when something is in the way, and the names at which a test lets the process die. */
#include "core/base/bytes.h"
#include "persist/crash.h"
#include "persist/disk.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void expect_refused(const char *directory, bool create, const char *why)
{
    struct buf error = {0};
    cr_expect_null(disk_posix_open(directory, create, true, &error));
    cr_expect(memmem(error.p, error.n, directory, strlen(directory)) != NULL, "%.*s", (int)error.n,
              (char *)error.p);
    cr_expect(memmem(error.p, error.n, why, strlen(why)) != NULL, "%s: %.*s", why, (int)error.n,
              (char *)error.p);
    buf_free(&error);
}

Test(disk_posix, a_directory_that_cannot_be_made_or_opened_is_named)
{
    char file[] = "/tmp/hourglass-test-XXXXXX";
    close(mkstemp(file));
    expect_refused("/nonexistent/deep/data", true, "No such file");
    expect_refused("/nonexistent", false, "No such file");
    expect_refused(file, true, "Not a directory");
    unlink(file);
}

Test(disk_posix, one_process_at_a_time)
{
    char directory[] = "/tmp/hourglass-test-XXXXXX", lock[64];
    struct buf error = {0};
    cr_assert_not_null(mkdtemp(directory));
    struct disk *disk = disk_posix_open(directory, true, true, &error);
    cr_assert_not_null(disk);
    expect_refused(directory, true, "in use by another process");
    disk_posix_close(disk);
    disk = disk_posix_open(directory, true, true, &error);
    cr_expect_not_null(disk, "free again");
    disk_posix_close(disk);
    snprintf(lock, sizeof lock, "%s/lock", directory);
    unlink(lock);
    cr_expect_eq(rmdir(directory), 0, "nothing is left");
    buf_free(&error);
}

static void remember(void *self, const char *name) { snprintf(self, 20, "%s", name); }

Test(disk_posix, errors_are_what_the_kernel_says)
{
    char directory[] = "/tmp/hourglass-test-XXXXXX", name[20] = "", path[64];
    struct buf error = {0};
    cr_assert_not_null(mkdtemp(directory));
    struct disk *d = disk_posix_open(directory, false, false, &error);
    cr_assert_not_null(d);
    const struct disk_ops *ops = d->ops;
    cr_expect_eq(ops->list(d, "log", remember, name), -ENOENT);
    cr_expect_eq(ops->sync_dir(d, "log"), -ENOENT);
    cr_expect_eq(ops->open(d, "log/x", DISK_READ), -ENOENT);
    cr_expect_eq(ops->rename(d, "a", "b"), -ENOENT);
    cr_expect_eq(ops->unlink(d, "a"), -ENOENT);
    cr_expect_eq(ops->mkdir(d, "log"), 0);
    cr_expect_eq(ops->mkdir(d, "log"), -EEXIST);
    int file = ops->open(d, "log/x", DISK_WRITE | DISK_CREATE);
    cr_assert_geq(file, 0);
    cr_expect_eq(ops->open(d, "log/x", DISK_WRITE | DISK_CREATE), -EEXIST);
    cr_expect_eq(ops->write_now(d, file, 0, "abc", 3), 3);
    cr_expect_eq(ops->size(d, file), 3);
    cr_expect_eq(ops->read(d, file, 0, name, 10), -EBADF, "opened to be written");
    cr_expect_eq(ops->truncate(d, file, 2), 0);
    ops->close(d, file);
    file = ops->open(d, "log/x", DISK_READ);
    cr_expect_eq(ops->write_now(d, file, 0, "abc", 3), -EBADF);
    cr_expect_eq(ops->size(d, file), 2);
    cr_expect_eq(ops->read(d, file, 1, name, 10), 1, "up to its end");
    cr_expect_eq(ops->read(d, file, 2, name, 10), 0);
    ops->close(d, file);
    cr_expect_eq(ops->unlink(d, "log"), -ENOTEMPTY);
    cr_expect_eq(ops->list(d, "log", remember, name), 0);
    cr_expect_str_eq(name, "x");
    cr_expect_eq(ops->link(d, "log/x", "y"), 0);
    cr_expect_eq(ops->link(d, "log/x", "y"), -EEXIST);
    cr_expect_eq(ops->unlink(d, "log/x"), 0);
    cr_expect_eq(ops->unlink(d, "log"), 0, "an empty folder");
    cr_expect_gt(ops->space(d), 0);
    cr_expect_eq(ops->unlink(d, "y"), 0);
    disk_posix_close(d);
    snprintf(path, sizeof path, "%s/lock", directory);
    unlink(path);
    cr_expect_eq(rmdir(directory), 0, "nothing is left");
    buf_free(&error);
}

Test(crash, only_places_that_exist_can_be_armed)
{
    static const char *const bad[] = {"",
                                      "write_before",
                                      "write_before:",
                                      "write_before:0",
                                      "write_before:-1",
                                      "write_before:1:",
                                      "write_before:1:reedy",
                                      "nowhere_at_all:1",
                                      "Write_Before:1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) cr_expect_not(crash_arm(bad[i]), "%s", bad[i]);
    cr_expect(crash_arm("write_before:1000000"));
    cr_expect_not(CRASH_AT(write_before), "not the millionth time yet");
    cr_expect_not(CRASH_AT(write_after));
}

Test(crash, a_place_that_waits_for_the_ready_line_is_passed_until_then)
{
    cr_expect(crash_arm("sync_before:2:ready"));
    cr_expect_not(CRASH_AT(sync_before));
    cr_expect_not(CRASH_AT(sync_before));
    crash_ready();
    cr_expect_not(CRASH_AT(sync_before));
    cr_expect(CRASH_AT(sync_before), "the second time from then on");
}
