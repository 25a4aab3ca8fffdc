#include "persist/backup.h"
#include "persist/crash.h"
#include "core/base/check.h"
#include "persist/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PARTIAL ".hourglass-partial" /* nobody's own: it is removed when it is left over */
enum { PIECE_BYTES = 1 << 20, NAME_BYTES = 96, FULL_PATH_BYTES = BACKUP_PATH_MAX + NAME_BYTES };

/* ---- names ------------------------------------------------------------------------------------- */

static void take_name(void *self, const char *name) { buf_put(self, name, strlen(name) + 1); }

/* One name after the other, each with its zero; listed before anything changes. */
static int list(struct disk *disk, const char *folder, struct buf *names)
{
    return disk->ops->list(disk, folder, take_name, names);
}

static const char *next_name(const struct buf *names, size_t *at)
{
    if (*at == names->n) return NULL;
    const char *name = (const char *)names->p + *at;
    *at += strlen(name) + 1;
    return name;
}

static void remove_tree(struct disk *disk, const char *path)
{
    char below[FULL_PATH_BYTES];
    struct buf names = {0};
    size_t at = 0;
    int e = disk->ops->unlink(disk, path);
    if ((e == -ENOTEMPTY || e == -EEXIST) && list(disk, path, &names) == 0) {
        for (const char *name; (name = next_name(&names, &at)) != NULL;)
            if (snprintf(below, sizeof below, "%s/%s", path, name) < (int)sizeof below)
                remove_tree(disk, below);
        disk->ops->unlink(disk, path);
    }
    buf_free(&names);
}

static bool is_temporary(const char *name)
{
    size_t n = strlen(name);
    return n > 4 && strcmp(name + n - 4, ".tmp") == 0;
}

/* ---- one file ------------------------------------------------------------------------------------- */

static void full_path(const struct backup *b, const char *path, char out[FULL_PATH_BYTES])
{
    CHECK(snprintf(out, FULL_PATH_BYTES, "%s/%s", b->tmp, path) < FULL_PATH_BYTES);
}

#define TO_ITS_END UINT64_MAX

static int64_t copy_bytes(struct backup *b, int from, int to, uint64_t bytes)
{
    const struct disk_ops *ops = b->dir->disk->ops;
    uint8_t *piece = malloc(PIECE_BYTES);
    CHECK(piece != NULL);
    int64_t r = 0;
    for (uint64_t at = 0; at < bytes; at += (uint64_t)r) {
        size_t n = bytes - at < PIECE_BYTES ? (size_t)(bytes - at) : PIECE_BYTES;
        r = ops->read(b->dir->disk, from, at, piece, n);
        if (r == 0 && bytes != TO_ITS_END) r = -EIO; /* it was longer a moment ago */
        if (r <= 0) break;
        int64_t w = ops->write_now(b->dir->disk, to, at, piece, (size_t)r);
        if (w != r) r = w < 0 ? w : -ENOSPC;
        if (r < 0) break;
        b->bytes += (uint64_t)r;
    }
    free(piece);
    return r < 0 ? r : 0;
}

/* Up to `bytes` of it, then the block `end` if there is one; synced. */
static enum persist_status copy_file(struct backup *b, const char *path, uint64_t bytes, const uint8_t *end)
{
    struct disk *disk = b->dir->disk;
    char full[FULL_PATH_BYTES];
    full_path(b, path, full);
    int from = disk->ops->open(disk, path, DISK_READ);
    if (from < 0) return datadir_failed(b->dir, path, from);
    int to = disk->ops->open(disk, full, DISK_WRITE | DISK_CREATE);
    int64_t r = to < 0 ? to : copy_bytes(b, from, to, bytes);
    if (r == 0 && end) {
        r = disk->ops->write_now(disk, to, bytes, end, LOG_BLOCK);
        r = r == LOG_BLOCK ? 0 : r < 0 ? r : -ENOSPC;
    }
    if (r == 0) r = disk->ops->sync(disk, to);
    if (to >= 0) disk->ops->close(disk, to);
    disk->ops->close(disk, from);
    b->files++;
    return r < 0 ? datadir_failed(b->dir, full, r) : PERSIST_OK;
}

/* What is linked was synced when it was made, and never changes again. */
static enum persist_status take_file(struct backup *b, const char *path)
{
    char full[FULL_PATH_BYTES];
    full_path(b, path, full);
    int e = b->links ? b->dir->disk->ops->link(b->dir->disk, path, full) : -EXDEV;
    if (e == -EXDEV) return copy_file(b, path, TO_ITS_END, NULL);
    b->files++;
    return e < 0 ? datadir_failed(b->dir, full, e) : PERSIST_OK;
}

static enum persist_status make_folder(struct backup *b, const char *path)
{
    char full[FULL_PATH_BYTES];
    full_path(b, path, full);
    int e = b->dir->disk->ops->mkdir(b->dir->disk, full);
    return e < 0 ? datadir_failed(b->dir, full, e) : PERSIST_OK;
}

static enum persist_status sync_folder(struct backup *b, const char *path)
{
    char full[FULL_PATH_BYTES];
    full_path(b, path, full);
    int e = b->dir->disk->ops->sync_dir(b->dir->disk, full);
    return e < 0 ? datadir_failed(b->dir, full, e) : PERSIST_OK;
}

/* Every finished file of a folder. */
static enum persist_status take_folder(struct backup *b, const char *folder)
{
    char path[NAME_BYTES];
    struct buf names = {0};
    size_t at = 0;
    int e = list(b->dir->disk, folder, &names);
    enum persist_status status = e < 0 ? datadir_failed(b->dir, folder, e) : PERSIST_OK;
    for (const char *name; status == PERSIST_OK && (name = next_name(&names, &at)) != NULL;) {
        if (is_temporary(name)) continue;
        if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
            status = datadir_refuse(b->dir, folder, "holds a file that is none of ours");
        else
            status = take_file(b, path);
    }
    buf_free(&names);
    return status;
}

/* ---- before the cut ---------------------------------------------------------------------------------- */

static enum persist_status make_folders(struct backup *b)
{
    struct disk *disk = b->dir->disk;
    struct buf names = {0};
    int e = list(disk, b->to, &names);
    bool taken = names.n != 0;
    buf_free(&names);
    if (taken) return datadir_refuse(b->dir, b->to, "is there and not empty");
    if (e < 0 && e != -ENOENT) return datadir_failed(b->dir, b->to, e);
    remove_tree(disk, b->tmp); /* left by one that was cut short */
    e = disk->ops->mkdir(disk, b->tmp);
    b->made = e == 0;
    enum persist_status status = e < 0 ? datadir_failed(b->dir, b->tmp, e) : PERSIST_OK;
    for (uint32_t i = 0; i < DATADIR_FOLDERS && status == PERSIST_OK; i++)
        status = make_folder(b, datadir_folders[i]);
    return status;
}

static enum persist_status take_snapshot(struct backup *b)
{
    char folder[NAME_BYTES];
    struct snapshot_manifest m;
    enum persist_status status = snapshot_find(b->dir, 0, &m);
    if (status != PERSIST_OK || !m.count) return status;
    b->snapshot = m.number;
    snprintf(folder, sizeof folder, "snapshot/%06llu", (unsigned long long)m.number);
    status = make_folder(b, folder);
    if (status == PERSIST_OK) status = take_folder(b, folder);
    return status == PERSIST_OK ? sync_folder(b, folder) : status;
}

/* Before the cut: a call that counts as done there has its records in it. */
static enum persist_status take_requests(struct backup *b)
{
    int file = b->dir->disk->ops->open(b->dir->disk, "requests", DISK_READ);
    if (file == -ENOENT) return PERSIST_OK;
    if (file >= 0) b->dir->disk->ops->close(b->dir->disk, file);
    return take_file(b, "requests");
}

enum persist_status backup_begin(struct backup *b, struct datadir *dir, struct slice to, bool links)
{
    *b = (struct backup){.dir = dir, .links = links};
    while (to.n > 1 && to.p[to.n - 1] == '/') to.n--;
    if (to.n + sizeof PARTIAL > sizeof b->tmp) return datadir_refuse(dir, "the path", "is too long");
    snprintf(b->to, sizeof b->to, "%.*s", (int)to.n, (const char *)to.p);
    snprintf(b->tmp, sizeof b->tmp, "%.*s" PARTIAL, (int)to.n, (const char *)to.p);
    enum persist_status status = make_folders(b);
    CRASH_POINT(backup_begun);
    if (status == PERSIST_OK) status = take_file(b, "hourglass.id");
    if (status == PERSIST_OK) status = take_requests(b);
    if (status == PERSIST_OK) status = take_snapshot(b);
    CRASH_POINT(backup_linked);
    return status;
}

/* ---- the logs -------------------------------------------------------------------------------------------- */

/* NULL: the whole file is in. */
static const struct log_end *end_of(const struct log_name *n, const struct log_end *ends, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (ends[i].epoch == n->epoch && ends[i].thread == n->thread) return &ends[i];
    return NULL;
}

static enum persist_status take_log(struct backup *b, const struct log_name *n, const struct log_end *end)
{
    char name[LOG_NAME_BYTES];
    uint8_t block[LOG_BLOCK];
    log_name_print(name, n->epoch, n->thread, n->sequence);
    if (!end || n->sequence < end->sequence) return take_file(b, name);
    if (n->sequence > end->sequence) return PERSIST_OK;
    log_end_encode(block, end, b->dir->id);
    return copy_file(b, name, end->offset, block);
}

enum persist_status backup_logs(struct backup *b, const struct log_end *ends, uint32_t count)
{
    struct log_names names;
    int e = log_names_read(b->dir->disk, &names);
    enum persist_status status = e < 0 ? datadir_failed(b->dir, "log", e) : PERSIST_OK;
    if (status == PERSIST_OK && names.foreign)
        status = datadir_refuse(b->dir, "log", "holds a *.hgl file with a name that is none of ours");
    for (uint32_t i = 0; i < names.count && status == PERSIST_OK; i++)
        status = take_log(b, &names.list[i], end_of(&names.list[i], ends, count));
    log_names_free(&names);
    /* After the cut: whatever a record in it names was written before that record. */
    if (status == PERSIST_OK) status = take_folder(b, "definitions");
    return status == PERSIST_OK ? take_folder(b, "zones") : status;
}

/* ---- the end --------------------------------------------------------------------------------------------- */

static void parent_of(const char *path, char out[BACKUP_PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    snprintf(out, BACKUP_PATH_MAX, "%.*s", n ? (int)n : 1, n ? path : slash ? "/" : ".");
}

enum persist_status backup_publish(struct backup *b)
{
    struct disk *disk = b->dir->disk;
    char parent[BACKUP_PATH_MAX];
    enum persist_status status = PERSIST_OK;
    for (uint32_t i = 0; i < DATADIR_FOLDERS && status == PERSIST_OK; i++)
        status = sync_folder(b, datadir_folders[i]);
    if (status == PERSIST_OK) status = sync_folder(b, ".");
    if (status != PERSIST_OK) return status;
    CRASH_POINT(backup_copied);
    int e = disk->ops->rename(disk, b->tmp, b->to);
    CRASH_POINT(backup_published);
    parent_of(b->to, parent);
    if (e == 0) e = disk->ops->sync_dir(disk, parent);
    return e < 0 ? datadir_failed(b->dir, b->to, e) : PERSIST_OK;
}

void backup_abandon(struct backup *b)
{
    if (b->made) remove_tree(b->dir->disk, b->tmp);
    b->made = false;
}
