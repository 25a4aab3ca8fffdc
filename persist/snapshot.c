/* Snapshot files and their manifest. Tables: FORMAT.md.
 *
 *   shard-NN.hgs:  | header 64 | frame | frame | ... | trailer frame |     frame: {kind u8, 0 0 0, length u32, crc u32, bytes}
 *   MANIFEST:      | header 64 | entry 48 per shard |
 *
 * Always true: 1. A manifest exists only when every file it lists was synced and read back whole. 2. While a snapshot is
 * being written the two before it stay. 3. A frame is written as the shard gave it; nothing here knows what is inside. */
#include "persist/snapshot.h"
#include "core/base/planted.h"
#include "core/base/check.h"
#include "core/base/limits.h"
#include "persist/crash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
    SNAPSHOT_MAGIC = 0x53534748, /* "HGSS" */
    MANIFEST_MAGIC = 0x4d534748, /* "HGSM" */
    SNAPSHOT_VERSION = 1,
    HEADER_BYTES = 64,
    ENTRY_BYTES = 48,
    FRAME_HEADER_BYTES = 12,
    TRAILER_KIND = 255,
    TRAILER_BYTES = 16,
    SLICE_BYTES = DISK_SLICE_BYTES,
    BLOCK_BYTES = 4096 /* what a direct write is a multiple of */
};

enum { NAME_BYTES = 96 };
static void folder_name(char out[NAME_BYTES], uint64_t number)
{
    snprintf(out, NAME_BYTES, "snapshot/%06llu", (unsigned long long)number);
}

static void manifest_name(char out[NAME_BYTES], uint64_t number)
{
    snprintf(out, NAME_BYTES, "snapshot/%06llu/MANIFEST", (unsigned long long)number);
}

static void file_name(char out[NAME_BYTES], uint64_t number, uint32_t shard)
{
    snprintf(out, NAME_BYTES, "snapshot/%06llu/shard-%02u.hgs", (unsigned long long)number, shard);
}

/* ---- headers: both kinds of file begin alike ----------------------------------------------------------- */

struct header {
    uint32_t magic;
    uint16_t number_of; /* shard, or entries of a manifest */
    uint32_t core_version, definitions_version;
    struct key directory;
    uint64_t snapshot, lsn;
};

static void header_encode(uint8_t p[HEADER_BYTES], const struct header *h)
{
    memset(p, 0, HEADER_BYTES);
    store_le32(p, h->magic);
    store_le16(p + 8, SNAPSHOT_VERSION);
    store_le16(p + 10, h->number_of);
    store_le32(p + 12, h->core_version);
    store_le64(p + 16, h->directory.hi);
    store_le64(p + 24, h->directory.lo);
    store_le64(p + 32, h->snapshot);
    store_le64(p + 40, h->lsn);
    store_le32(p + 48, h->definitions_version);
    store_le32(p + 4, crc32c(0, p + 8, HEADER_BYTES - 8));
}

/* NULL: good; else what is wrong. */
static const char *header_decode(struct slice file, uint32_t magic, struct header *h)
{
    const uint8_t *p = file.p;
    if (file.n < HEADER_BYTES || load_le32(p) != magic) return "not a snapshot file";
    if (load_le32(p + 4) != crc32c(0, p + 8, HEADER_BYTES - 8)) return "damaged header";
    if (load_le16(p + 8) != SNAPSHOT_VERSION) return "written by a newer version of hourglass";
    *h = (struct header){.magic = magic,
                         .number_of = load_le16(p + 10),
                         .core_version = load_le32(p + 12),
                         .directory = {load_le64(p + 16), load_le64(p + 24)},
                         .snapshot = load_le64(p + 32),
                         .lsn = load_le64(p + 40),
                         .definitions_version = load_le32(p + 48)};
    return NULL;
}

/* ---- writing ------------------------------------------------------------------------------------------------ */

struct snapshot_writer {
    struct datadir *dir;
    struct shard *shard;
    uint64_t number;
    int file;
    /* the worker's half */
    bool walked; /* every frame was put */
    struct buf front;
    uint64_t put, frames, lsn; /* put: bytes so far */
    /* the writing half; the worker touches it between two calls of snapshot_write only */
    bool verify, verifying; /* all was taken; the file is open for reading */
    struct buf back;
    size_t flushed;  /* of its bytes */
    uint8_t *window; /* what the disk is given, and gives back: SLICE_BYTES, aligned */
    size_t held;     /* in it, not yet written */
    uint64_t written;
    uint32_t crc;      /* of all bytes written */
    uint64_t verified; /* bytes read back */
    uint32_t read_crc;
};

static void put_frame(void *self, uint8_t kind, struct slice bytes)
{
    struct snapshot_writer *w = self;
    uint8_t head[FRAME_HEADER_BYTES] = {kind};
    store_le32(head + 4, bytes.n);
    store_le32(head + 8, crc32c(crc32c(0, head, 8), bytes.p, bytes.n));
    buf_put(&w->front, head, sizeof head);
    buf_put_slice(&w->front, bytes);
    w->put += sizeof head + bytes.n;
    w->frames++;
}

static void put_shard_frame(void *self, uint8_t kind, struct slice bytes)
{
    CHECK(kind != TRAILER_KIND);
    put_frame(self, kind, bytes);
}

/* Past the cache, as the log is written: copying into pages of it costs as much as everything else that a snapshot does, and
 * whoever reads a snapshot reads it once. A write is durable when it is done: many short waits instead of one long one. */
static int make_file(struct datadir *dir, uint64_t number, uint32_t shard)
{
    const struct disk_ops *ops = dir->disk->ops;
    int direct = PLANTED(snapshot_not_synced) ? 0 : DISK_DIRECT;
    char name[NAME_BYTES];
    folder_name(name, number);
    int e = ops->mkdir(dir->disk, name);
    if (e < 0 && e != -EEXIST) return e; /* another shard's writer was faster */
    file_name(name, number, shard);
    ops->unlink(dir->disk, name); /* of an attempt that failed */
    return ops->open(dir->disk, name, DISK_WRITE | DISK_CREATE | direct);
}

struct snapshot_writer *snapshot_begin(struct datadir *dir, uint64_t number, struct shard *shard)
{
    struct snapshot_writer *w = calloc(1, sizeof *w);
    CHECK(w != NULL);
    void *window = mmap(NULL, SLICE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(window != MAP_FAILED);
    *w = (struct snapshot_writer){.dir = dir, .shard = shard, .number = number, .file = -1, .window = window};
    buf_reserve(&w->front, HEADER_BYTES); /* grows to a slice and what one step puts on top */
    w->front.n = w->put = HEADER_BYTES;
    struct snapshot_sink sink = {.self = w, .put = put_shard_frame};
    shard_snapshot_begin(shard, &sink, &w->lsn);
    struct header h = {.magic = SNAPSHOT_MAGIC,
                       .number_of = shard_index(shard),
                       .core_version = CORE_VERSION,
                       .directory = dir->id,
                       .snapshot = number,
                       .lsn = w->lsn};
    header_encode(w->front.p, &h);
    CRASH_POINT(snapshot_begun);
    return w;
}

/* n: whole blocks, of which `held` bytes count. */
static int64_t write_window(struct snapshot_writer *w, size_t n)
{
    if (w->file < 0) w->file = make_file(w->dir, w->number, shard_index(w->shard));
    if (w->file < 0) return w->file;
    int64_t r = w->dir->disk->ops->write_now(w->dir->disk, w->file, w->written, w->window, n);
    if (r != (int64_t)n) return r < 0 ? r : -ENOSPC;
    w->crc = crc32c(w->crc, w->window, w->held);
    w->written += w->held;
    w->held = 0;
    return 0;
}

static void fill_window(struct snapshot_writer *w)
{
    size_t left = w->back.n - w->flushed, room = SLICE_BYTES - w->held, n = left < room ? left : room;
    memcpy(w->window + w->held, w->back.p + w->flushed, n);
    w->held += n;
    w->flushed += n;
}

static int64_t write_slice(struct snapshot_writer *w)
{
    fill_window(w);
    int64_t r = w->held == SLICE_BYTES ? write_window(w, SLICE_BYTES) : 0;
    if (r == 0) fill_window(w); /* what is left may wait for more in there */
    return r;
}

/* The last bytes fill no block: what is behind them is cut off again. */
static int64_t write_rest(struct snapshot_writer *w)
{
    const struct disk_ops *ops = w->dir->disk->ops;
    size_t n = (w->held + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
    memset(w->window + w->held, 0, n - w->held);
    int64_t r = write_window(w, n);
    if (r >= 0) r = ops->truncate(w->dir->disk, w->file, w->written);
    return r < 0 || PLANTED(snapshot_not_synced) ? r : ops->sync(w->dir->disk, w->file);
}

static void put_trailer(struct snapshot_writer *w)
{
    uint8_t bytes[TRAILER_BYTES];
    store_le64(bytes, w->frames);
    store_le64(bytes + 8, w->put);
    put_frame(w, TRAILER_KIND, slice_of(bytes, sizeof bytes));
    w->walked = true;
}

static void close_file(struct snapshot_writer *w)
{
    if (w->file >= 0) w->dir->disk->ops->close(w->dir->disk, w->file);
    w->file = -1;
}

/* What was written is read from the disk itself, not from the cache that it may still stand in. */
static int64_t begin_verify(struct snapshot_writer *w)
{
    char name[NAME_BYTES];
    const struct disk_ops *ops = w->dir->disk->ops;
    file_name(name, w->number, shard_index(w->shard));
    close_file(w);
    w->file = ops->open(w->dir->disk, name, DISK_READ | DISK_DIRECT);
    w->verifying = true;
    return w->file < 0 ? w->file : 0;
}

static int64_t verify_slice(struct snapshot_writer *w)
{
    if (!w->verifying) return begin_verify(w);
    int64_t n = w->dir->disk->ops->read(w->dir->disk, w->file, w->verified, w->window, SLICE_BYTES);
    if (n < 0) return n;
    w->read_crc = crc32c(w->read_crc, w->window, (size_t)n);
    w->verified += (uint64_t)n;
    if (w->verified < w->written) return n == SLICE_BYTES ? 0 : -EIO;
    return w->verified == w->written && w->read_crc == w->crc ? 0 : -EIO;
}

bool snapshot_can_walk(const struct snapshot_writer *w) { return !w->walked && w->front.n < SLICE_BYTES; }

void snapshot_walk(struct snapshot_writer *w, uint32_t rows)
{
    if (snapshot_can_walk(w) && shard_snapshot_step(w->shard, rows)) put_trailer(w);
}

uint64_t snapshot_rows(const struct snapshot_writer *w) { return w->frames; }

bool snapshot_take(struct snapshot_writer *w)
{
    if (w->flushed < w->back.n) return true;
    w->flushed = w->back.n = 0;
    if (w->front.n >= SLICE_BYTES || (w->walked && w->front.n)) {
        struct buf empty = w->back;
        w->back = w->front;
        w->front = empty;
        return true;
    }
    return w->verify = w->walked;
}

int64_t snapshot_write(struct snapshot_writer *w)
{
    int64_t r = !w->verify ? write_slice(w) : w->held ? write_rest(w) : verify_slice(w);
    if (r < 0) return r;
    CRASH_POINT(snapshot_sliced);
    if (!w->verify || w->verified < w->written) return 0;
    close_file(w);
    return 1;
}

static void free_writer(struct snapshot_writer *w)
{
    close_file(w);
    munmap(w->window, SLICE_BYTES);
    buf_free(&w->front);
    buf_free(&w->back);
    free(w);
}

void snapshot_end(struct snapshot_writer *w, struct snapshot_file *out)
{
    *out = (struct snapshot_file){
        .shard = shard_index(w->shard), .lsn = w->lsn, .bytes = w->written, .crc = w->crc};
    CRASH_POINT(snapshot_verified);
    free_writer(w);
}

void snapshot_abandon(struct snapshot_writer *w, int64_t error)
{
    char name[NAME_BYTES];
    file_name(name, w->number, shard_index(w->shard));
    datadir_failed(w->dir, name, error);
    if (!w->walked) shard_snapshot_abandon(w->shard);
    w->dir->disk->ops->unlink(w->dir->disk, name);
    free_writer(w);
}

int snapshot_step(struct snapshot_writer *w, uint32_t rows, struct snapshot_file *out)
{
    int64_t r = snapshot_take(w) ? snapshot_write(w) : 0;
    if (r < 0)
        snapshot_abandon(w, r);
    else if (r > 0)
        snapshot_end(w, out);
    else
        snapshot_walk(w, rows);
    return r < 0 ? -1 : (int)r;
}

/* ---- which there are ------------------------------------------------------------------------------------------ */

struct numbers {
    uint64_t *list;
    uint32_t count, capacity;
};

static void take_number(void *self, const char *name)
{
    struct numbers *n = self;
    char *end;
    uint64_t number = strtoull(name, &end, 10);
    if (end == name || *end) return;
    if (n->count == n->capacity) {
        n->capacity = n->capacity ? 2 * n->capacity : 16;
        n->list = realloc(n->list, n->capacity * sizeof *n->list);
        CHECK(n->list != NULL);
    }
    n->list[n->count++] = number;
}

static int newest_first(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x > y ? -1 : x < y;
}

static int list_numbers(struct datadir *dir, struct numbers *out)
{
    *out = (struct numbers){0};
    int r = dir->disk->ops->list(dir->disk, "snapshot", take_number, out);
    if (out->count) qsort(out->list, out->count, sizeof *out->list, newest_first);
    return r;
}

/* Has it a manifest? 1: yes, 0: no; an error of the disk is no answer. */
static int complete(struct datadir *dir, uint64_t number)
{
    char name[NAME_BYTES];
    manifest_name(name, number);
    int file = dir->disk->ops->open(dir->disk, name, DISK_READ);
    if (file < 0) return file == -ENOENT ? 0 : file;
    dir->disk->ops->close(dir->disk, file);
    return 1;
}

uint64_t snapshot_next_number(struct datadir *dir)
{
    struct numbers n;
    list_numbers(dir, &n);
    uint64_t next = n.count ? n.list[0] + 1 : 1;
    free(n.list);
    return next;
}

/* ---- removing --------------------------------------------------------------------------------------------------- */

struct removal {
    struct datadir *dir;
    const char *folder;
};
static void remove_file(void *self, const char *name)
{
    const struct removal *r = self;
    char path[NAME_BYTES];
    if (snprintf(path, sizeof path, "%s/%s", r->folder, name) < (int)sizeof path)
        r->dir->disk->ops->unlink(r->dir->disk, path);
}

/* The manifest first: from then on the rest is only left-overs. */
static void remove_snapshot(struct datadir *dir, uint64_t number)
{
    char name[NAME_BYTES];
    const struct disk_ops *ops = dir->disk->ops;
    manifest_name(name, number);
    ops->unlink(dir->disk, name);
    folder_name(name, number);
    ops->sync_dir(dir->disk, name);
    struct removal removal = {dir, name};
    ops->list(dir->disk, name, remove_file, &removal);
    ops->unlink(dir->disk, name);
}

/* Nothing here can hurt: what could not be removed is tried again after the next snapshot. */
static void remove_old(struct datadir *dir, uint64_t newest)
{
    struct numbers n;
    uint32_t kept = 0;
    list_numbers(dir, &n);
    for (uint32_t i = 0; i < n.count; i++) {
        if (n.list[i] > newest) continue;
        int whole = kept < 2 ? complete(dir, n.list[i]) : 0;
        if (whole)
            kept++; /* or unknown */
        else
            remove_snapshot(dir, n.list[i]);
    }
    dir->disk->ops->sync_dir(dir->disk, "snapshot");
    free(n.list);
}

/* ---- the manifest -------------------------------------------------------------------------------------------------- */

static void put_entry(struct buf *out, const struct snapshot_file *f)
{
    buf_put_u8(out, f->shard);
    buf_put(out, "\0\0\0", 3);
    buf_put_le32(out, f->crc);
    buf_put_le64(out, f->lsn);
    buf_put_le64(out, f->bytes);
    buf_put_le64(out, f->state_hash.hi);
    buf_put_le64(out, f->state_hash.lo);
    buf_put_le64(out, 0);
}

static void manifest_encode(struct datadir *dir, const struct snapshot_manifest *m, struct buf *out)
{
    struct header h = {.magic = MANIFEST_MAGIC,
                       .number_of = (uint16_t)m->count,
                       .core_version = m->core_version,
                       .definitions_version = m->definitions_version,
                       .directory = dir->id,
                       .snapshot = m->number};
    buf_reserve(out, HEADER_BYTES);
    header_encode(out->p, &h);
    out->n = HEADER_BYTES;
    for (uint32_t i = 0; i < m->count; i++) put_entry(out, &m->files[i]);
    store_le32(out->p + 4, crc32c(0, out->p + 8, out->n - 8)); /* over the entries, too */
}

static const char *manifest_decode(struct datadir *dir, struct slice file, struct snapshot_manifest *m)
{
    const uint8_t *p = file.p;
    if (file.n < HEADER_BYTES || load_le32(p) != MANIFEST_MAGIC) return "not a manifest";
    if (load_le32(p + 4) != crc32c(0, p + 8, file.n - 8)) return "damaged (checksum)";
    m->foreign = true;
    if (load_le16(p + 8) != SNAPSHOT_VERSION) return "written by a newer version of hourglass";
    m->count = load_le16(p + 10);
    m->core_version = load_le32(p + 12);
    m->definitions_version = load_le32(p + 48);
    if (!key_eq((struct key){load_le64(p + 16), load_le64(p + 24)}, dir->id))
        return "belongs to another data directory";
    if (load_le64(p + 32) != m->number) return "was written under another number";
    if (m->count == 0 || m->count > LOGICAL_SHARDS || file.n != HEADER_BYTES + m->count * (size_t)ENTRY_BYTES)
        return "of another length";
    m->foreign = false;
    p += HEADER_BYTES;
    for (uint32_t i = 0; i < m->count; i++, p += ENTRY_BYTES) {
        m->files[i] = (struct snapshot_file){.shard = p[0],
                                             .crc = load_le32(p + 4),
                                             .lsn = load_le64(p + 8),
                                             .bytes = load_le64(p + 16),
                                             .state_hash = {load_le64(p + 24), load_le64(p + 32)}};
        if (p[0] >= LOGICAL_SHARDS) return "names a shard that cannot be";
    }
    return NULL;
}

static enum persist_status check_size(struct datadir *dir, uint64_t number, const struct snapshot_file *f)
{
    char name[NAME_BYTES];
    file_name(name, number, f->shard);
    int file = dir->disk->ops->open(dir->disk, name, DISK_READ);
    if (file == -ENOENT) return datadir_refuse(dir, name, "missing");
    if (file < 0) return datadir_failed(dir, name, file);
    int64_t n = dir->disk->ops->size(dir->disk, file);
    dir->disk->ops->close(dir->disk, file);
    if (n < 0) return datadir_failed(dir, name, n);
    return (uint64_t)n == f->bytes ? PERSIST_OK
                                   : datadir_refuse(dir, name, "has another length than the manifest says");
}

/* The snapshot before this one is what a damaged one falls back to, and the log below it goes. Its manifest may be the work
 * of a process that was killed before it could sync the name. */
static enum persist_status keep_one_before(struct datadir *dir, uint64_t newest)
{
    struct numbers n;
    char folder[NAME_BYTES];
    int e = list_numbers(dir, &n);
    int found = 0;
    for (uint32_t i = 0; i < n.count && e >= 0 && !found; i++) {
        if (n.list[i] >= newest) continue;
        e = found = complete(dir, n.list[i]);
        folder_name(folder, n.list[i]);
        if (found > 0) e = dir->disk->ops->sync_dir(dir->disk, folder);
    }
    free(n.list);
    return e < 0 ? datadir_failed(dir, "snapshot", e) : PERSIST_OK;
}

enum persist_status snapshot_commit(struct datadir *dir, uint64_t number, const struct snapshot_file *files,
                                    uint32_t count, uint32_t definitions_version, uint32_t core_version)
{
    CHECK(count > 0 && count <= LOGICAL_SHARDS);
    struct snapshot_manifest m = {.number = number,
                                  .definitions_version = definitions_version,
                                  .core_version = core_version,
                                  .count = count};
    memcpy(m.files, files, count * sizeof *files);
    enum persist_status status = PERSIST_OK;
    for (uint32_t i = 0; i < count && status == PERSIST_OK; i++) status = check_size(dir, number, &files[i]);
    if (status != PERSIST_OK) return status;
    struct buf bytes = {0};
    char folder[NAME_BYTES], name[NAME_BYTES];
    folder_name(folder, number);
    manifest_name(name, number);
    manifest_encode(dir, &m, &bytes);
    /* The names of the files and of their folder, before the manifest appears among them. */
    int e = dir->disk->ops->sync_dir(dir->disk, folder);
    if (e >= 0) e = dir->disk->ops->sync_dir(dir->disk, "snapshot");
    status = e < 0 ? datadir_failed(dir, folder, e) : datadir_put_file(dir, folder, name, buf_slice(&bytes));
    buf_free(&bytes);
    CRASH_POINT(snapshot_listed);
    if (status == PERSIST_OK) status = keep_one_before(dir, number);
    if (status == PERSIST_OK) remove_old(dir, number);
    CRASH_POINT(snapshot_pruned);
    return status;
}

enum persist_status snapshot_find(struct datadir *dir, uint32_t skip, struct snapshot_manifest *out)
{
    struct numbers n;
    *out = (struct snapshot_manifest){0};
    int e = list_numbers(dir, &n);
    for (uint32_t i = 0; i < n.count && e >= 0 && !out->number; i++) {
        e = complete(dir, n.list[i]);
        if (e > 0 && skip-- == 0) out->number = n.list[i];
    }
    free(n.list);
    if (e < 0) return datadir_failed(dir, "snapshot", e);
    if (!out->number) return PERSIST_OK;
    struct buf file = {0};
    char name[NAME_BYTES];
    manifest_name(name, out->number);
    enum persist_status status = datadir_get_file(dir, name, 1 << 20, &file);
    const char *wrong = status == PERSIST_OK ? manifest_decode(dir, buf_slice(&file), out) : NULL;
    buf_free(&file);
    if (wrong) out->count = 0;
    return wrong ? datadir_refuse(dir, name, "%s", wrong) : status;
}

/* ---- reading ---------------------------------------------------------------------------------------------------------- */

/* A file read from front to back. */
struct stream {
    struct datadir *dir;
    char name[NAME_BYTES];
    int file;
    uint64_t at, size;
    uint32_t crc;
    struct buf bytes; /* read, not yet taken */
};

static enum persist_status stream_open(struct stream *s, struct datadir *dir, uint64_t number, uint32_t shard)
{
    *s = (struct stream){.dir = dir};
    file_name(s->name, number, shard);
    s->file = dir->disk->ops->open(dir->disk, s->name, DISK_READ);
    if (s->file == -ENOENT) return datadir_refuse(dir, s->name, "missing");
    if (s->file < 0) return datadir_failed(dir, s->name, s->file);
    int64_t size = dir->disk->ops->size(dir->disk, s->file);
    s->size = size < 0 ? 0 : (uint64_t)size;
    return size < 0 ? datadir_failed(dir, s->name, size) : PERSIST_OK;
}

static void stream_close(struct stream *s)
{
    if (s->file >= 0) s->dir->disk->ops->close(s->dir->disk, s->file);
    buf_free(&s->bytes);
}

/* At least `wanted` bytes in s->bytes unless the file ends before. */
static enum persist_status stream_fill(struct stream *s, size_t wanted)
{
    while (s->bytes.n < wanted && s->at < s->size) {
        size_t left = s->size - s->at, slice = left < SLICE_BYTES ? left : SLICE_BYTES;
        buf_reserve(&s->bytes, slice);
        int64_t n = s->dir->disk->ops->read(s->dir->disk, s->file, s->at, s->bytes.p + s->bytes.n, slice);
        if (n <= 0) return datadir_failed(s->dir, s->name, n ? n : -EIO);
        s->crc = crc32c(s->crc, s->bytes.p + s->bytes.n, (size_t)n);
        s->bytes.n += (size_t)n;
        s->at += (uint64_t)n;
    }
    return PERSIST_OK;
}

enum persist_status snapshot_verify(struct datadir *dir, const struct snapshot_manifest *m,
                                    const struct snapshot_file *file)
{
    struct stream s;
    enum persist_status status = check_size(dir, m->number, file);
    if (status != PERSIST_OK) return status;
    status = stream_open(&s, dir, m->number, file->shard);
    while (status == PERSIST_OK && s.at < file->bytes) {
        uint64_t before = s.at;
        buf_clear(&s.bytes);
        status = stream_fill(&s, 1);
        if (s.at == before) break;
    }
    if (status == PERSIST_OK && (s.at != file->bytes || s.crc != file->crc))
        status = datadir_refuse(dir, s.name, "damaged: not the bytes that the manifest lists");
    stream_close(&s);
    return status;
}

struct frame {
    uint8_t kind;
    struct slice bytes;
};

/* The next frame at *at in the stream; the bytes stay until the next call. */
static enum persist_status next_frame(struct stream *s, size_t *at, struct frame *out)
{
    if (s->bytes.n - *at < SLICE_BYTES / 2 && *at) { /* move what is left to the front now and then */
        memmove(s->bytes.p, s->bytes.p + *at, s->bytes.n - *at);
        s->bytes.n -= *at;
        *at = 0;
    }
    enum persist_status status = stream_fill(s, *at + FRAME_HEADER_BYTES);
    if (status != PERSIST_OK) return status;
    if (s->bytes.n - *at < FRAME_HEADER_BYTES)
        return datadir_refuse(s->dir, s->name, "ends without its trailer");
    uint32_t n = load_le32(s->bytes.p + *at + 4);
    status = stream_fill(s, *at + FRAME_HEADER_BYTES + n);
    if (status != PERSIST_OK) return status;
    const uint8_t *p = s->bytes.p + *at;
    if (s->bytes.n - *at - FRAME_HEADER_BYTES < n)
        return datadir_refuse(s->dir, s->name, "ends inside a frame");
    if (load_le32(p + 8) != crc32c(crc32c(0, p, 8), p + FRAME_HEADER_BYTES, n))
        return datadir_refuse(s->dir, s->name, "a damaged frame");
    *out = (struct frame){p[0], slice_of(p + FRAME_HEADER_BYTES, n)};
    *at += FRAME_HEADER_BYTES + n;
    return PERSIST_OK;
}

static enum persist_status restore_frames(struct stream *s, struct shard *shard)
{
    size_t at = HEADER_BYTES;
    uint64_t frames = 0;
    struct frame f = {0};
    for (;; frames++) {
        enum persist_status status = next_frame(s, &at, &f);
        if (status != PERSIST_OK) return status;
        if (f.kind == TRAILER_KIND) break;
        if (!shard_restore(shard, f.kind, f.bytes))
            return datadir_refuse(s->dir, s->name, "a frame that this version cannot read");
    }
    if (f.bytes.n != TRAILER_BYTES || load_le64(f.bytes.p) != frames)
        return datadir_refuse(s->dir, s->name, "frames are missing");
    return shard_restore_end(shard) ? PERSIST_OK
                                    : datadir_refuse(s->dir, s->name, "does not make a whole shard");
}

enum persist_status snapshot_restore(struct datadir *dir, const struct snapshot_manifest *m,
                                     const struct snapshot_file *file, struct shard *shard)
{
    struct stream s;
    struct header h;
    enum persist_status status = stream_open(&s, dir, m->number, file->shard);
    if (status == PERSIST_OK) status = stream_fill(&s, HEADER_BYTES);
    if (status == PERSIST_OK) {
        const char *wrong = header_decode(buf_slice(&s.bytes), SNAPSHOT_MAGIC, &h);
        if (!wrong && (!key_eq(h.directory, dir->id) || h.snapshot != m->number ||
                       h.number_of != file->shard || h.lsn != file->lsn))
            wrong = "belongs to another snapshot";
        if (wrong) status = datadir_refuse(dir, s.name, "%s", wrong);
    }
    if (status == PERSIST_OK) status = restore_frames(&s, shard);
    if (status == PERSIST_OK && shard_lsn(shard) != file->lsn)
        status = datadir_refuse(dir, s.name, "restores another LSN than listed");
    if (status == PERSIST_OK && !key_is_zero(file->state_hash) &&
        !key_eq(shard_hash(shard), file->state_hash))
        status = datadir_refuse(dir, s.name, "restores another state than was saved");
    stream_close(&s);
    return status;
}
