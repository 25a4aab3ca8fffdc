#include "io/loop_disk.h"
#include "core/base/check.h"

#include <stdlib.h>

struct pending_write {
    struct loop_write write;
    struct disk_op *op;
    struct loop_disk *disk;
    struct pending_write *next;
};
struct loop_disk {
    struct disk base;
    struct disk_ops ops; /* most of them call the real disk */
    struct disk *real;
    struct loop *loop;
    struct pending_write *free;
};

static struct disk *real_of(struct disk *d) { return ((struct loop_disk *)d)->real; }

#define REAL(d) real_of(d)->ops
static int ld_open(struct disk *d, const char *path, int flags)
{
    return REAL(d)->open(real_of(d), path, flags);
}
static void ld_close(struct disk *d, int file) { REAL(d)->close(real_of(d), file); }
static int64_t ld_size(struct disk *d, int file) { return REAL(d)->size(real_of(d), file); }
static int64_t ld_read(struct disk *d, int file, uint64_t at, void *p, size_t n)
{
    return REAL(d)->read(real_of(d), file, at, p, n);
}
static int64_t ld_write_now(struct disk *d, int file, uint64_t at, const void *p, size_t n)
{
    return REAL(d)->write_now(real_of(d), file, at, p, n);
}
static int ld_sync(struct disk *d, int file) { return REAL(d)->sync(real_of(d), file); }
static int ld_truncate(struct disk *d, int file, uint64_t n)
{
    return REAL(d)->truncate(real_of(d), file, n);
}
static int ld_rename(struct disk *d, const char *a, const char *b)
{
    return REAL(d)->rename(real_of(d), a, b);
}
static int ld_unlink(struct disk *d, const char *path) { return REAL(d)->unlink(real_of(d), path); }
static int ld_link(struct disk *d, const char *a, const char *b) { return REAL(d)->link(real_of(d), a, b); }
static int ld_mkdir(struct disk *d, const char *path) { return REAL(d)->mkdir(real_of(d), path); }
static int ld_sync_dir(struct disk *d, const char *path) { return REAL(d)->sync_dir(real_of(d), path); }
static int ld_list(struct disk *d, const char *path, void (*each)(void *self, const char *name), void *self)
{
    return REAL(d)->list(real_of(d), path, each, self);
}
static int64_t ld_space(struct disk *d) { return REAL(d)->space(real_of(d)); }
static void ld_poll(struct disk *d) { (void)d; /* completions come through the loop */ }

static void on_written(struct loop_write *w, int64_t result)
{
    struct pending_write *p = w->owner;
    struct disk_op *op = p->op;
    p->next = p->disk->free;
    p->disk->free = p;
    op->result = result;
    op->done(op, result);
}

static void ld_write(struct disk *d, int file, uint64_t offset, const void *bytes, size_t n,
                     struct disk_op *op)
{
    struct loop_disk *self = (struct loop_disk *)d;
    struct pending_write *p = self->free;
    if (p)
        self->free = p->next;
    else
        p = malloc(sizeof *p);
    CHECK(p != NULL);
    *p = (struct pending_write){
        .write = {.done = on_written, .owner = p, .fd = file, .p = bytes, .n = n, .offset = offset},
        .op = op,
        .disk = self};
    loop_write(self->loop, &p->write);
}

struct disk *loop_disk_create(struct disk *real, struct loop *loop)
{
    struct loop_disk *d = calloc(1, sizeof *d);
    CHECK(d != NULL);
    d->ops = (struct disk_ops){ld_open,     ld_close,  ld_size,   ld_read, ld_write_now, ld_sync,
                               ld_truncate, ld_rename, ld_unlink, ld_link, ld_mkdir,     ld_sync_dir,
                               ld_list,     ld_space,  ld_write,  ld_poll};
    d->base.ops = &d->ops;
    d->real = real;
    d->loop = loop;
    return &d->base;
}

void loop_disk_destroy(struct disk *disk)
{
    struct loop_disk *d = (struct loop_disk *)disk;
    if (!d) return;
    for (struct pending_write *p = d->free, *next; p; p = next) {
        next = p->next;
        free(p);
    }
    free(d);
}
