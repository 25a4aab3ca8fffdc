/* The disk of tools, recovery and tests: plain system calls below one directory.
 * `write` runs at once and its completion waits in a queue for the next poll, so that every callback sees the order
 * that the daemon's loop gives it. */
#include "persist/disk.h"
#include "core/base/check.h"
#include "persist/crash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { LOCK_TRIES = 5, LOCK_WAIT_MS = 50, INTERRUPTED_TRIES = 100 };

struct disk_posix {
    struct disk disk; /* first: a struct disk * is a struct disk_posix * */
    int directory;
    int lock; /* -1: not locked */
    char *path;
    struct disk_op *done_first, *done_last;
};

static struct disk_posix *posix(struct disk *d) { return (struct disk_posix *)d; }

static int result_of(int r) { return r < 0 ? -errno : r; }

static int posix_open(struct disk *d, const char *path, int flags)
{
    int how = O_CLOEXEC | O_NOFOLLOW;
    how |= flags & DISK_WRITE ? (flags & DISK_READ ? O_RDWR : O_WRONLY) : O_RDONLY;
    if (flags & DISK_CREATE) how |= O_CREAT | O_EXCL;
    int direct = flags & DISK_DIRECT ? O_DIRECT : 0, dsync = flags & DISK_DIRECT ? O_DSYNC : 0;
    int file = openat(posix(d)->directory, path, how | direct | dsync, 0600);
    if (file >= 0 || errno != EINVAL || !direct) return result_of(file);
    /* A file system without O_DIRECT. Some of them create the file before they refuse. */
    return result_of(openat(posix(d)->directory, path, (how & ~O_EXCL) | dsync, 0600));
}

static void posix_close(struct disk *d, int file)
{
    (void)d;
    CHECK(close(file) == 0 || errno != EBADF);
}

static int64_t posix_size(struct disk *d, int file)
{
    struct stat st;
    (void)d;
    return fstat(file, &st) < 0 ? -errno : st.st_size;
}

static int64_t posix_read(struct disk *d, int file, uint64_t offset, void *p, size_t n)
{
    size_t done = 0;
    (void)d;
    while (done < n) {
        ssize_t r = pread(file, (char *)p + done, n - done, (off_t)(offset + done));
        if (r < 0 && errno == EINTR) continue;
        if (r < 0) return -errno;
        if (r == 0) break;
        done += (size_t)r;
        if ((offset + done) % 512 != 0) break; /* the end of the file: O_DIRECT would refuse to go on here */
    }
    return (int64_t)done;
}

/* A short write is handed back as it is: whoever asked treats it as a failure. */
static int64_t posix_write_now(struct disk *d, int file, uint64_t offset, const void *p, size_t n)
{
    ssize_t r;
    (void)d;
    CRASH_POINT(write_before);
    bool half = CRASH_AT(write_half);
    int tries = 0;
    do r = pwrite(file, p, half ? n / 2 : n, (off_t)offset);
    while (r < 0 && errno == EINTR && ++tries < INTERRUPTED_TRIES);
    if (half) crash_now();
    CRASH_POINT(write_after);
    return r < 0 ? -errno : r;
}

static int posix_sync(struct disk *d, int file)
{
    (void)d;
    CRASH_POINT(sync_before);
    int r = result_of(fdatasync(file)); /* never retried: after a failure the kernel calls the pages clean */
    CRASH_POINT(sync_after);
    return r;
}

static int posix_truncate(struct disk *d, int file, uint64_t bytes)
{
    (void)d;
    CRASH_POINT(truncate_before);
    int r = result_of(ftruncate(file, (off_t)bytes));
    CRASH_POINT(truncate_after);
    return r;
}

static int posix_rename(struct disk *d, const char *from, const char *to)
{
    CRASH_POINT(rename_before);
    int r = result_of(renameat(posix(d)->directory, from, posix(d)->directory, to));
    CRASH_POINT(rename_after);
    return r;
}

static int posix_unlink(struct disk *d, const char *path)
{
    CRASH_POINT(unlink_before);
    int r = unlinkat(posix(d)->directory, path, 0);
    if (r < 0 && (errno == EISDIR || errno == EPERM)) r = unlinkat(posix(d)->directory, path, AT_REMOVEDIR);
    r = result_of(r);
    CRASH_POINT(unlink_after);
    return r;
}

static int posix_link(struct disk *d, const char *from, const char *to)
{
    return result_of(linkat(posix(d)->directory, from, posix(d)->directory, to, 0));
}

static int posix_mkdir(struct disk *d, const char *path)
{
    return result_of(mkdirat(posix(d)->directory, path, 0700));
}

static int posix_sync_dir(struct disk *d, const char *path)
{
    int file = openat(posix(d)->directory, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) return -errno;
    CRASH_POINT(folder_sync_before);
    int r = result_of(fsync(file));
    close(file);
    CRASH_POINT(folder_sync_after);
    return r;
}

static int posix_list(struct disk *d, const char *path, void (*each)(void *self, const char *name),
                      void *self)
{
    int file = openat(posix(d)->directory, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = file < 0 ? NULL : fdopendir(file);
    if (!dir) {
        int error = errno;
        if (file >= 0) close(file);
        return -error;
    }
    struct dirent *entry;
    errno = 0;
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) each(self, entry->d_name);
        errno = 0;
    }
    int r = -errno;
    closedir(dir);
    return r;
}

static int64_t posix_space(struct disk *d)
{
    struct statvfs st;
    if (fstatvfs(posix(d)->directory, &st) < 0) return -errno;
    return (int64_t)(st.f_bavail * st.f_frsize);
}

static void posix_write(struct disk *d, int file, uint64_t offset, const void *p, size_t n,
                        struct disk_op *op)
{
    struct disk_posix *self = posix(d);
    op->result = posix_write_now(d, file, offset, p, n);
    op->next = NULL;
    if (self->done_last)
        self->done_last->next = op;
    else
        self->done_first = op;
    self->done_last = op;
}

static void posix_poll(struct disk *d)
{
    struct disk_posix *self = posix(d);
    struct disk_op *op = self->done_first;
    self->done_first = self->done_last = NULL; /* what callbacks start waits for the next poll */
    while (op) {
        struct disk_op *next = op->next; /* done may reuse the op */
        op->done(op, op->result);
        op = next;
    }
}

static const struct disk_ops posix_ops = {
    .open = posix_open,
    .close = posix_close,
    .size = posix_size,
    .read = posix_read,
    .write_now = posix_write_now,
    .sync = posix_sync,
    .truncate = posix_truncate,
    .rename = posix_rename,
    .unlink = posix_unlink,
    .link = posix_link,
    .mkdir = posix_mkdir,
    .sync_dir = posix_sync_dir,
    .list = posix_list,
    .space = posix_space,
    .write = posix_write,
    .poll = posix_poll,
};

/* The lock may still be held for a moment by a process that just died: the kernel finishes its writes first. */
static bool take_lock(struct disk_posix *self, struct buf *error)
{
    self->lock = openat(self->directory, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    for (int try = 0; self->lock >= 0; try++) {
        if (flock(self->lock, LOCK_EX | LOCK_NB) == 0) return true;
        if (errno != EWOULDBLOCK || try == LOCK_TRIES) break;
        nanosleep(&(struct timespec){.tv_nsec = LOCK_WAIT_MS * 1000000l}, NULL);
    }
    if (errno == EWOULDBLOCK)
        buf_printf(error, "%s: in use by another process", self->path);
    else
        buf_printf(error, "%s/lock: %s", self->path, strerror(errno));
    return false;
}

/* The name of the directory itself must last, too; whoever made it may have been killed before he synced it. */
static int sync_parent(int directory)
{
    int parent = openat(directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0) return errno == EACCES ? 0 : -errno; /* somebody else's, so he made the name */
    int r = result_of(fsync(parent));
    close(parent);
    return r;
}

struct disk *disk_posix_open(const char *directory, bool create, bool lock, struct buf *error)
{
    if (create && mkdir(directory, 0700) < 0 && errno != EEXIST) {
        buf_printf(error, "%s: %s", directory, strerror(errno));
        return NULL;
    }
    int file = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int why = file < 0 ? -errno : create ? sync_parent(file) : 0;
    if (why < 0) {
        buf_printf(error, "%s: %s", directory, strerror(-why));
        if (file >= 0) close(file);
        return NULL;
    }
    struct disk_posix *self = calloc(1, sizeof *self);
    CHECK(self != NULL);
    *self =
        (struct disk_posix){.disk.ops = &posix_ops, .directory = file, .lock = -1, .path = strdup(directory)};
    CHECK(self->path != NULL);
    if (lock && !take_lock(self, error)) {
        disk_posix_close(&self->disk);
        return NULL;
    }
    return &self->disk;
}

void disk_posix_close(struct disk *d)
{
    struct disk_posix *self = posix(d);
    CHECK(self->done_first == NULL); /* an op that nobody heard of would be lost */
    close(self->directory);
    if (self->lock >= 0) close(self->lock);
    free(self->path);
    free(self);
}

const char *disk_posix_directory(const struct disk *d) { return ((const struct disk_posix *)d)->path; }
