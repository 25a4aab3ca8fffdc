/* The directory's identity and its bundles of definitions.
 *
 *   hourglass.id, 128 bytes          a bundle, definitions/VVVVVV.hgd
 *    0 magic "HGID"                   0 magic "HGDF"
 *    4 crc32c of the rest             4 crc32c of the rest
 *    8 format version u16             8 format version u16, 2 zero
 *   10 logical shards u16            12 definitions version u32
 *   12 core_version u32              16 hash 16
 *   16 directory id 16               32 bytes u32, 4 zero
 *   32 seed bytes u32, 4 zero        40 the bundle
 *   40 seed 32, zeros to 128
 *
 * Always true: 1. hourglass.id exists from the first start on and is never rewritten. 2. A bundle is written under another
 * name, synced, renamed and its directory synced before any record names it; it never changes afterwards. */
#include "persist/datadir.h"
#include "core/base/check.h"
#include "core/base/limits.h"
#include "core/base/planted.h"
#include "core/shard.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

enum {
    ID_MAGIC = 0x44494748,
    BUNDLE_MAGIC = 0x46444748,
    FILE_VERSION = 1,
    ID_FILE_BYTES = 128,
    BUNDLE_HEADER_BYTES = 40
};
enum { BUNDLE_BYTES_MAX = 256 << 20 };

const char *const datadir_folders[DATADIR_FOLDERS] = {"definitions", "zones", "log", "snapshot", "broken"};

enum persist_status datadir_refuse(struct datadir *dir, const char *path, const char *format, ...)
{
    char why[512];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    buf_clear(&dir->error);
    buf_printf(&dir->error, "%s: %s", path, why);
    return PERSIST_REFUSED;
}

enum persist_status datadir_failed(struct datadir *dir, const char *path, int64_t error)
{
    buf_clear(&dir->error);
    buf_printf(&dir->error, "%s: %s", path,
               error < 0 ? strerror((int)-error) : "fewer bytes written than asked");
    return PERSIST_IO;
}

enum persist_status datadir_put_file(struct datadir *dir, const char *folder, const char *path,
                                     struct slice bytes)
{
    const struct disk_ops *ops = dir->disk->ops;
    char tmp[160];
    snprintf(tmp, sizeof tmp, "%s.tmp", path);
    int64_t r = ops->unlink(dir->disk, tmp); /* left by a start that was cut short */
    if (r < 0 && r != -ENOENT) return datadir_failed(dir, tmp, r);
    int file = ops->open(dir->disk, tmp, DISK_WRITE | DISK_CREATE);
    if (file < 0) return datadir_failed(dir, tmp, file);
    r = ops->write_now(dir->disk, file, 0, bytes.p, bytes.n);
    if (r == bytes.n)
        r = ops->sync(dir->disk, file);
    else if (r >= 0)
        r = 1;
    ops->close(dir->disk, file);
    if (r == 0) r = ops->rename(dir->disk, tmp, path);
    if (r == 0) r = ops->sync_dir(dir->disk, folder);
    return r == 0 ? PERSIST_OK : datadir_failed(dir, tmp, r < 0 ? r : 0);
}

enum persist_status datadir_get_file(struct datadir *dir, const char *path, size_t bytes_max, struct buf *out)
{
    const struct disk_ops *ops = dir->disk->ops;
    int file = ops->open(dir->disk, path, DISK_READ);
    if (file < 0) return datadir_failed(dir, path, file);
    int64_t n = ops->size(dir->disk, file);
    bool large = n > (int64_t)bytes_max;
    if (n >= 0 && !large) {
        buf_clear(out);
        buf_reserve(out, (size_t)n + 1);
        int64_t got = ops->read(dir->disk, file, 0, out->p, (size_t)n);
        if (got >= 0) out->n = (size_t)got;
        n = got >= 0 && got < n ? -EIO : got; /* the disk's trouble, no damage */
    }
    ops->close(dir->disk, file);
    if (n < 0) return datadir_failed(dir, path, n);
    return large ? datadir_refuse(dir, path, "larger than it can be: not one of ours") : PERSIST_OK;
}

/* ---- identity --------------------------------------------------------------------------- */

static void id_encode(const struct datadir *dir, uint8_t p[ID_FILE_BYTES])
{
    memset(p, 0, ID_FILE_BYTES);
    store_le32(p, ID_MAGIC);
    store_le16(p + 8, FILE_VERSION);
    store_le16(p + 10, LOGICAL_SHARDS);
    store_le32(p + 12, dir->core_version);
    store_le64(p + 16, dir->id.hi);
    store_le64(p + 24, dir->id.lo);
    store_le32(p + 32, dir->seed_bytes);
    memcpy(p + 40, dir->seed, sizeof dir->seed);
    store_le32(p + 4, crc32c(0, p + 8, ID_FILE_BYTES - 8));
}

static enum persist_status id_decode(struct datadir *dir, struct slice file)
{
    const char *path = "hourglass.id";
    const uint8_t *p = file.p;
    if (file.n != ID_FILE_BYTES || load_le32(p) != ID_MAGIC)
        return datadir_refuse(dir, path, "not a hourglass data directory");
    if (load_le32(p + 4) != crc32c(0, p + 8, ID_FILE_BYTES - 8))
        return datadir_refuse(dir, path, "damaged (checksum); restore it from a backup");
    if (load_le16(p + 8) != FILE_VERSION)
        return datadir_refuse(dir, path, "made by a newer version of hourglass");
    if (load_le16(p + 10) != LOGICAL_SHARDS)
        return datadir_refuse(dir, path, "made with another number of logical shards");
    dir->core_version = load_le32(p + 12);
    dir->id = (struct key){load_le64(p + 16), load_le64(p + 24)};
    dir->seed_bytes = load_le32(p + 32);
    if (dir->seed_bytes > sizeof dir->seed) return datadir_refuse(dir, path, "impossible seed");
    memcpy(dir->seed, p + 40, sizeof dir->seed);
    return PERSIST_OK;
}

static void count_name(void *self, const char *name)
{
    uint32_t *count = self;
    if (name[0] != '.') ++*count;
}

/* A directory without identity may hold nothing that needs one. */
static bool holds_data(struct disk *disk)
{
    uint32_t count = 0;
    disk->ops->list(disk, "log", count_name, &count);
    disk->ops->list(disk, "snapshot", count_name, &count);
    return count != 0;
}

static enum persist_status sync_names(struct datadir *dir)
{
    int r = dir->disk->ops->sync_dir(dir->disk, ".");
    return r < 0 ? datadir_failed(dir, ".", r) : PERSIST_OK;
}

/* The identity comes last: where it is, the folders are, whatever a power cut took. */
static enum persist_status make(struct datadir *dir, struct slice seed, const uint8_t random[32])
{
    if (holds_data(dir->disk))
        return datadir_refuse(dir, "hourglass.id",
                              "missing, although there are logs or snapshots; restore it from a backup");
    for (size_t i = 0; i < DATADIR_FOLDERS; i++) {
        int r = dir->disk->ops->mkdir(dir->disk, datadir_folders[i]);
        if (r < 0 && r != -EEXIST) return datadir_failed(dir, datadir_folders[i], r);
    }
    enum persist_status status = sync_names(dir);
    if (status != PERSIST_OK) return status;
    dir->fresh = true;
    dir->core_version = CORE_VERSION;
    dir->id = (struct key){load_le64(random), load_le64(random + 8)};
    if (!seed.n) seed = slice_of(random + 16, 16);
    dir->seed_bytes = seed.n;
    memcpy(dir->seed, seed.p, seed.n);
    uint8_t file[ID_FILE_BYTES];
    id_encode(dir, file);
    return datadir_put_file(dir, ".", "hourglass.id", slice_of(file, sizeof file));
}

static enum persist_status load(struct datadir *dir, struct slice seed)
{
    struct buf file = {0};
    enum persist_status status = datadir_get_file(dir, "hourglass.id", 4096, &file);
    if (status == PERSIST_OK) status = id_decode(dir, buf_slice(&file));
    buf_free(&file);
    if (status == PERSIST_OK && seed.n && !slice_eq(seed, slice_of(dir->seed, dir->seed_bytes)))
        return datadir_refuse(dir, "hourglass.id",
                              "has another hash secret; it is fixed when the directory is made");
    /* The start that made the directory may have been killed before its names were on the disk, and then only a cache
     * shows them to us: nothing may stand on them before they are. */
    return status == PERSIST_OK && !PLANTED(identity_not_synced) ? sync_names(dir) : status;
}

enum persist_status datadir_open(struct datadir *dir, struct disk *disk, struct slice seed,
                                 const uint8_t random[32])
{
    *dir = (struct datadir){.disk = disk};
    if (seed.n > sizeof dir->seed)
        return datadir_refuse(dir, "hourglass.id", "a hash secret has at most 32 bytes");
    int file = disk->ops->open(disk, "hourglass.id", DISK_READ);
    if (file < 0 && file != -ENOENT) return datadir_failed(dir, "hourglass.id", file);
    if (file >= 0) disk->ops->close(disk, file);
    enum persist_status status = file >= 0 ? load(dir, seed) : make(dir, seed, random);
    if (status == PERSIST_OK) hash_secret_from_seed(&dir->secret, slice_of(dir->seed, dir->seed_bytes));
    return status;
}

void datadir_close(struct datadir *dir) { buf_free(&dir->error); }

/* ---- bundles of definitions ---------------------------------------------------------------- */

static void bundle_name(char name[64], uint32_t version)
{
    snprintf(name, 64, "definitions/%06u.hgd", version);
}

enum persist_status datadir_put_definitions(struct datadir *dir, uint32_t version, struct key hash,
                                            struct slice bundle)
{
    char name[64];
    bundle_name(name, version);
    struct buf file = {0};
    buf_put_le32(&file, BUNDLE_MAGIC);
    buf_put_le32(&file, 0);
    buf_put_le32(&file, FILE_VERSION);
    buf_put_le32(&file, version);
    buf_put_le64(&file, hash.hi);
    buf_put_le64(&file, hash.lo);
    buf_put_le64(&file, bundle.n);
    buf_put_slice(&file, bundle);
    store_le32(file.p + 4, crc32c(0, file.p + 8, file.n - 8));
    enum persist_status status = datadir_put_file(dir, "definitions", name, buf_slice(&file));
    buf_free(&file);
    return status;
}

static enum persist_status bundle_decode(struct datadir *dir, const char *name, uint32_t version,
                                         struct buf *file, struct key *hash)
{
    const uint8_t *p = file->p;
    if (file->n < BUNDLE_HEADER_BYTES || load_le32(p) != BUNDLE_MAGIC)
        return datadir_refuse(dir, name, "not a bundle of definitions");
    if (load_le32(p + 4) != crc32c(0, p + 8, file->n - 8))
        return datadir_refuse(dir, name, "damaged (checksum); restore it from a backup");
    if (load_le32(p + 8) != FILE_VERSION)
        return datadir_refuse(dir, name, "written by a newer version of hourglass");
    if (load_le32(p + 12) != version || load_le64(p + 32) != file->n - BUNDLE_HEADER_BYTES)
        return datadir_refuse(dir, name, "holds another version than its name says");
    *hash = (struct key){load_le64(p + 16), load_le64(p + 24)};
    file->n -= BUNDLE_HEADER_BYTES;
    memmove(file->p, file->p + BUNDLE_HEADER_BYTES, file->n);
    return PERSIST_OK;
}

enum persist_status datadir_get_definitions(struct datadir *dir, uint32_t version, struct key *hash,
                                            struct buf *bundle)
{
    char name[64];
    bundle_name(name, version);
    enum persist_status status = datadir_get_file(dir, name, BUNDLE_BYTES_MAX, bundle);
    if (status != PERSIST_OK) return status;
    return bundle_decode(dir, name, version, bundle, hash);
}
