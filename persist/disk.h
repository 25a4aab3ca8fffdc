/* disk.h - the few things that bytes need to survive; the simulator supplies its own.
 * Owner: the process has one. Completions wait their turn: `write` only submits; `done` is called later from the loop
 * (or from disk_poll), never inside the call.
 * Fails: results are >= 0 or -errno, as the kernel says them. A write that is done is durable (O_DSYNC or write + sync). */
#ifndef HG_PERSIST_DISK_H
#define HG_PERSIST_DISK_H

#include "core/base/bytes.h"

struct disk_op { /* embedded in what waits for it */
    void (*done)(struct disk_op *op, int64_t result);
    void *owner;
    /* for the implementation */
    struct disk_op *next;
    int64_t result;
};

enum disk_open {
    DISK_READ = 1,
    DISK_WRITE = 2,
    DISK_CREATE = 4 /* fails if it exists */,
    DISK_DIRECT = 8 /* O_DIRECT | O_DSYNC */
};

struct disk {
    const struct disk_ops *ops;
};
struct disk_ops {
    /* Paths are relative to the data directory. All of these are synchronous: start, recovery, file changes. */
    int (*open)(struct disk *d, const char *path, int flags);
    void (*close)(struct disk *d, int file);
    int64_t (*size)(struct disk *d, int file);
    int64_t (*read)(struct disk *d, int file, uint64_t offset, void *p, size_t n); /* short only at the end */
    int64_t (*write_now)(struct disk *d, int file, uint64_t offset, const void *p, size_t n);
    int (*sync)(struct disk *d, int file);
    int (*truncate)(struct disk *d, int file, uint64_t bytes);
    int (*rename)(struct disk *d, const char *from, const char *to);
    int (*unlink)(struct disk *d, const char *path); /* a file, or an empty directory */
    int (*link)(struct disk *d, const char *from, const char *to);
    int (*mkdir)(struct disk *d, const char *path);
    int (*sync_dir)(struct disk *d, const char *path);
    int (*list)(struct disk *d, const char *path, void (*each)(void *self, const char *name), void *self);
    int64_t (*space)(struct disk *d); /* bytes free */
    /* The one asynchronous operation: a durable write into a file opened with DISK_DIRECT. p, n and offset are
     * multiples of 4096; p stays untouched until done. */
    void (*write)(struct disk *d, int file, uint64_t offset, const void *p, size_t n, struct disk_op *op);
    /* Runs completions that are ready; for disks without a loop of their own. */
    void (*poll)(struct disk *d);
};

/* The real one, on plain system calls: tools, recovery, tests. `write` completes at the next poll. The daemon replaces
 * `write` by its loop's. Locks the directory (retrying for 250 ms); error gets one line. */
struct disk *disk_posix_open(const char *directory, bool create, bool lock, struct buf *error);
void disk_posix_close(struct disk *d);
const char *disk_posix_directory(const struct disk *d);

#endif
