/* fake_disk.h - a disk in memory that fails when it is told to, and completes writes in the order it is told to.
 * It keeps no difference between cache and platter: what tears a write here is the test that cuts the bytes. */
#ifndef HG_TESTS_FAKE_DISK_H
#define HG_TESTS_FAKE_DISK_H

#include "core/base/check.h"
#include "persist/disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { FAKE_NAMES = 256, FAKE_PENDING = 16 };

struct fake_file {
    uint8_t *bytes;
    uint64_t n;
    uint32_t links, opened;
};
struct fake_name {
    char path[96];
    struct fake_file *file; /* NULL: a directory */
};
struct fake_write {
    struct fake_file *file;
    uint64_t offset;
    const void *p;
    size_t n;
    struct disk_op *op;
};
struct fake_disk {
    struct disk disk; /* first */
    struct fake_name names[FAKE_NAMES];
    uint32_t count;
    struct fake_file *handles[FAKE_NAMES];
    struct fake_write pending[FAKE_PENDING];
    uint32_t pending_count;
    uint64_t operations; /* that change something, so far */
    uint64_t fail_at;    /* this operation fails (1, 2, ...); 0: none */
    bool fail_on;        /* and all behind it */
    uint64_t looks;      /* operations that change nothing, so far */
    uint64_t fail_look;  /* this one fails, and all behind it if fail_on */
    int fail_error;      /* an errno; 0: a short write or read instead */
    bool garbles;        /* what is read is not what was written */
    uint64_t space;      /* bytes that files may still grow */
    uint32_t syncs, dir_syncs;
    char synced[512]; /* the last folders synced, each in spaces */
};

static struct fake_disk *fake(struct disk *d) { return (struct fake_disk *)d; }

static bool fake_fails(struct fake_disk *f)
{
    f->operations++;
    return f->fail_at && (f->operations == f->fail_at || (f->fail_on && f->operations > f->fail_at));
}

/* Of an operation that only looks: 0, or what it answers. */
static int fake_look(struct fake_disk *f)
{
    f->looks++;
    bool fails = f->fail_look && (f->looks == f->fail_look || (f->fail_on && f->looks > f->fail_look));
    return !fails ? 0 : f->fail_error ? -f->fail_error : -EIO;
}

static struct fake_name *fake_find(struct fake_disk *f, const char *path)
{
    for (uint32_t i = 0; i < f->count; i++)
        if (!strcmp(f->names[i].path, path)) return &f->names[i];
    return NULL;
}

static struct fake_file *fake_file(struct fake_disk *f, const char *path)
{
    struct fake_name *n = fake_find(f, path);
    return n ? n->file : NULL;
}

static void fake_release(struct fake_file *file)
{
    if (file->links || file->opened) return;
    free(file->bytes);
    free(file);
}

static struct fake_file *fake_add(struct fake_disk *f, const char *path, bool directory)
{
    CHECK(f->count < FAKE_NAMES);
    struct fake_name *n = &f->names[f->count++];
    snprintf(n->path, sizeof n->path, "%s", path);
    n->file = directory ? NULL : calloc(1, sizeof *n->file);
    if (n->file) n->file->links = 1;
    return n->file;
}

static void fake_drop(struct fake_disk *f, struct fake_name *n)
{
    struct fake_file *file = n->file;
    *n = f->names[--f->count];
    if (!file) return;
    file->links--;
    fake_release(file);
}

static int fake_open(struct disk *d, const char *path, int flags)
{
    struct fake_disk *f = fake(d);
    struct fake_file *file = fake_file(f, path);
    if (flags & DISK_CREATE) {
        if (file) return -EEXIST;
        if (fake_fails(f)) return f->fail_error ? -f->fail_error : -EIO;
        file = fake_add(f, path, false);
    }
    if (!file) return -ENOENT;
    int r = flags & DISK_CREATE ? 0 : fake_look(f);
    if (r < 0) return r;
    for (int i = 0; i < FAKE_NAMES; i++)
        if (!f->handles[i]) {
            f->handles[i] = file;
            file->opened++;
            return i;
        }
    return -EMFILE;
}

static void fake_close(struct disk *d, int handle)
{
    struct fake_file *file = fake(d)->handles[handle];
    CHECK(file && file->opened);
    file->opened--;
    fake(d)->handles[handle] = NULL;
    fake_release(file);
}

static int64_t fake_size(struct disk *d, int handle)
{
    int r = fake_look(fake(d));
    return r < 0 ? r : (int64_t)fake(d)->handles[handle]->n;
}

static int64_t fake_read(struct disk *d, int handle, uint64_t offset, void *p, size_t n)
{
    struct fake_file *file = fake(d)->handles[handle];
    int r = fake_look(fake(d));
    if (r < 0 && fake(d)->fail_error) return r;
    if (offset >= file->n) return 0;
    if (n > file->n - offset) n = file->n - offset;
    if (r < 0) n /= 2;
    memcpy(p, file->bytes + offset, n);
    if (fake(d)->garbles && n) *(uint8_t *)p ^= 1;
    return (int64_t)n;
}

static int fake_grow(struct fake_disk *f, struct fake_file *file, uint64_t n)
{
    if (n <= file->n) return 0;
    if (n - file->n > f->space) return -ENOSPC;
    f->space -= n - file->n;
    file->bytes = realloc(file->bytes, n);
    CHECK(file->bytes);
    memset(file->bytes + file->n, 0, n - file->n);
    file->n = n;
    return 0;
}

static int64_t fake_put(struct fake_disk *f, struct fake_file *file, uint64_t offset, const void *p, size_t n)
{
    bool fails = fake_fails(f);
    if (fails && f->fail_error) return -f->fail_error;
    if (fails) n /= 2; /* short */
    int r = fake_grow(f, file, offset + n);
    if (r < 0) return r;
    memcpy(file->bytes + offset, p, n);
    return (int64_t)n;
}

static int64_t fake_write_now(struct disk *d, int handle, uint64_t offset, const void *p, size_t n)
{
    return fake_put(fake(d), fake(d)->handles[handle], offset, p, n);
}

static int fake_maybe(struct disk *d)
{
    struct fake_disk *f = fake(d);
    return fake_fails(f) ? (f->fail_error ? -f->fail_error : -EIO) : 0;
}

static int fake_sync(struct disk *d, int handle)
{
    (void)handle;
    fake(d)->syncs++;
    return fake_maybe(d);
}

static int fake_sync_dir(struct disk *d, const char *path)
{
    size_t n = strlen(fake(d)->synced);
    fake(d)->dir_syncs++;
    snprintf(fake(d)->synced + n, sizeof fake(d)->synced - n, " %s ", path);
    return fake_maybe(d);
}

static int fake_truncate(struct disk *d, int handle, uint64_t bytes)
{
    struct fake_file *file = fake(d)->handles[handle];
    int r = fake_maybe(d);
    if (r < 0) return r;
    if (bytes > file->n) return fake_grow(fake(d), file, bytes);
    file->n = bytes;
    return 0;
}

static bool fake_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && path[n] == '/';
}

static void fake_move_below(struct fake_disk *f, const char *from, const char *to)
{
    char path[sizeof f->names[0].path];
    for (uint32_t i = 0; i < f->count; i++) {
        if (!fake_below(f->names[i].path, from)) continue;
        CHECK(snprintf(path, sizeof path, "%s%s", to, f->names[i].path + strlen(from)) < (int)sizeof path);
        memcpy(f->names[i].path, path, sizeof path);
    }
}

static int fake_rename(struct disk *d, const char *from, const char *to)
{
    int r = fake_maybe(d);
    if (r < 0) return r;
    if (!fake_find(fake(d), from)) return -ENOENT;
    if (fake_find(fake(d), to)) fake_drop(fake(d), fake_find(fake(d), to));
    snprintf(fake_find(fake(d), from)->path, sizeof fake(d)->names[0].path, "%s", to);
    fake_move_below(fake(d), from, to);
    return 0;
}

static int fake_unlink(struct disk *d, const char *path)
{
    struct fake_name *n = fake_find(fake(d), path);
    if (!n) return -ENOENT;
    for (uint32_t i = 0; i < fake(d)->count; i++)
        if (fake_below(fake(d)->names[i].path, path)) return -ENOTEMPTY;
    int r = fake_maybe(d);
    if (r < 0) return r;
    fake_drop(fake(d), n);
    return 0;
}

static int fake_link(struct disk *d, const char *from, const char *to)
{
    struct fake_file *file = fake_file(fake(d), from);
    if (!file) return -ENOENT;
    int r = fake_maybe(d);
    if (r < 0) return r;
    struct fake_name *n = &fake(d)->names[fake(d)->count++];
    snprintf(n->path, sizeof n->path, "%s", to);
    n->file = file;
    file->links++;
    return 0;
}

static int fake_mkdir(struct disk *d, const char *path)
{
    if (fake_find(fake(d), path)) return -EEXIST;
    int r = fake_maybe(d);
    if (r < 0) return r;
    fake_add(fake(d), path, true);
    return 0;
}

/* Names are copied first: the callback may remove some. */
static int fake_list(struct disk *d, const char *path, void (*each)(void *self, const char *name), void *self)
{
    struct fake_disk *f = fake(d);
    static char names[FAKE_NAMES][96];
    uint32_t count = 0;
    size_t n = strlen(path);
    int r = fake_look(f);
    if (!fake_find(f, path)) return -ENOENT;
    if (r < 0) return r;
    for (uint32_t i = 0; i < f->count; i++) {
        const char *p = f->names[i].path;
        if (strncmp(p, path, n) == 0 && p[n] == '/' && !strchr(p + n + 1, '/'))
            strcpy(names[count++], p + n + 1);
    }
    for (uint32_t i = 0; i < count; i++) each(self, names[i]);
    return 0;
}

static int64_t fake_space(struct disk *d) { return (int64_t)fake(d)->space; }

static void fake_write(struct disk *d, int handle, uint64_t offset, const void *p, size_t n,
                       struct disk_op *op)
{
    struct fake_disk *f = fake(d);
    CHECK(f->pending_count < FAKE_PENDING && offset % 4096 == 0 && n % 4096 == 0 && (uintptr_t)p % 4096 == 0);
    f->pending[f->pending_count++] = (struct fake_write){f->handles[handle], offset, p, n, op};
}

/* Does the i-th of the pending writes and tells its owner. */
static void fake_complete(struct fake_disk *f, uint32_t i)
{
    struct fake_write w = f->pending[i];
    memmove(f->pending + i, f->pending + i + 1, (--f->pending_count - i) * sizeof w);
    w.op->done(w.op, fake_put(f, w.file, w.offset, w.p, w.n));
}

static void fake_poll(struct disk *d)
{
    for (uint32_t n = fake(d)->pending_count; n; n--) fake_complete(fake(d), 0);
}

static const struct disk_ops fake_ops = {
    .open = fake_open,
    .close = fake_close,
    .size = fake_size,
    .read = fake_read,
    .write_now = fake_write_now,
    .sync = fake_sync,
    .truncate = fake_truncate,
    .rename = fake_rename,
    .unlink = fake_unlink,
    .link = fake_link,
    .mkdir = fake_mkdir,
    .sync_dir = fake_sync_dir,
    .list = fake_list,
    .space = fake_space,
    .write = fake_write,
    .poll = fake_poll,
};

static struct fake_disk *fake_disk_create(void)
{
    struct fake_disk *f = calloc(1, sizeof *f);
    CHECK(f);
    f->disk.ops = &fake_ops;
    f->space = 1ull << 40;
    return f;
}

static void fake_disk_destroy(struct fake_disk *f)
{
    for (int i = 0; i < FAKE_NAMES; i++)
        if (f->handles[i]) fake_close(&f->disk, i);
    while (f->count) fake_drop(f, &f->names[0]);
    free(f);
}

/* The files as a crash leaves them: open handles and pending writes are gone. */
static struct fake_disk *fake_disk_copy(const struct fake_disk *from)
{
    struct fake_disk *f = fake_disk_create();
    for (uint32_t i = 0; i < from->count; i++) {
        struct fake_file *file = fake_add(f, from->names[i].path, from->names[i].file == NULL);
        if (!file) continue;
        file->n = from->names[i].file->n;
        file->bytes = malloc(file->n + 1);
        if (file->n) memcpy(file->bytes, from->names[i].file->bytes, file->n);
    }
    return f;
}

#endif
