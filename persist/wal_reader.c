#include "persist/wal_reader.h"
#include "core/base/planted.h"
#include "core/base/check.h"
#include "persist/crash.h"

#include <errno.h>
#include <stdio.h>

enum { PIECE_BYTES = 1 << 20, SECTOR = 512, FILE_BYTES_MIN = 32 << 10 };

/* ---- saying what is wrong ------------------------------------------------------------------------ */

static void name_of(const struct log_reader *r, uint32_t index, char out[LOG_NAME_BYTES])
{
    log_name_print(out, r->names[index].epoch, r->names[index].thread, r->names[index].sequence);
}

static bool stop(struct log_reader *r, enum persist_status status)
{
    if (r->status == PERSIST_OK) r->status = status;
    return false;
}

static bool refuse(struct log_reader *r, uint32_t index, uint64_t offset, const char *why)
{
    char name[LOG_NAME_BYTES], last[64] = "none";
    name_of(r, index, name);
    if (r->last_lsn)
        snprintf(last, sizeof last, "shard %u LSN %llu", r->last_shard, (unsigned long long)r->last_lsn);
    return stop(
        r, datadir_refuse(r->dir, name,
                          "offset %llu: %s (group %llu; last good record: %s); restore a backup, or give up "
                          "what follows with `hourglass inspect --repair`",
                          (unsigned long long)offset, why, (unsigned long long)r->number, last));
}

static bool io_error(struct log_reader *r, int64_t error)
{
    char name[LOG_NAME_BYTES];
    name_of(r, r->index, name);
    return stop(r, datadir_failed(r->dir, name, error));
}

/* ---- bytes ------------------------------------------------------------------------------------------ */

static void close_file(struct log_reader *r)
{
    window_open(&r->window, -1, 0);
    if (r->file >= 0) r->dir->disk->ops->close(r->dir->disk, r->file);
    r->file = -1;
}

static bool open_file(struct log_reader *r, uint32_t index)
{
    const struct disk_ops *ops = r->dir->disk->ops;
    char name[LOG_NAME_BYTES];
    close_file(r);
    r->index = index;
    r->at = 0;
    name_of(r, index, name);
    r->file =
        ops->open(r->dir->disk, name, DISK_READ | DISK_DIRECT); /* what the disk has, not what a cache has */
    if (r->file < 0) return io_error(r, r->file);
    int64_t size = ops->size(r->dir->disk, r->file);
    if (size < 0) return io_error(r, size);
    r->size = (uint64_t)size;
    window_open(&r->window, r->file, r->size);
    return true;
}

/* n bytes at a block's start; NULL when the file is shorter, or could not be read. */
static const uint8_t *look(struct log_reader *r, uint64_t at, uint64_t n)
{
    const uint8_t *p = window_look(&r->window, at, n);
    if (!p && r->window.error) io_error(r, r->window.error);
    return p;
}

/* ---- headers ------------------------------------------------------------------------------------------ */

static bool ours(const struct log_reader *r, uint32_t directory, uint32_t epoch, uint32_t thread)
{
    return directory == (uint32_t)r->dir->id.lo && epoch == r->names[0].epoch && thread == r->names[0].thread;
}

/* The open file's header. False: none (a file never used, a torn roll or damage), or refused. */
static bool read_header(struct log_reader *r, struct log_header *h)
{
    const struct log_name *name = &r->names[r->index];
    const uint8_t *p = look(r, 0, LOG_HEADER_BYTES);
    if (!p) return false;
    enum format_status s = log_header_decode(p, h);
    if (s == FORMAT_NEWER) return refuse(r, r->index, 0, "written by a newer version of hourglass");
    if (s == FORMAT_BAD) return false;
    if (!key_eq(h->directory, r->dir->id))
        return refuse(r, r->index, 0, "the file belongs to another data directory");
    if (h->epoch != name->epoch || h->thread != name->thread ||
        (h->sequence != name->sequence && !PLANTED(file_sequence_not_checked)))
        return refuse(r, r->index, 0, "the file was written under another name");
    return true;
}

static void begin_file(struct log_reader *r, const struct log_header *h)
{
    r->header = *h;
    r->used = true;
    r->number = h->first_group;
    r->ticket = h->first_ticket;
    r->chain = h->crc;
    r->at = LOG_HEADER_BYTES;
}

/* Does the next file go on exactly where this one ends? If not, this one stays open. */
static bool next_file(struct log_reader *r)
{
    struct log_header h;
    uint32_t from = r->index;
    uint64_t at = r->at;
    if (from + 1 == r->count || !open_file(r, from + 1)) return false;
    bool found = read_header(r, &h);
    if (found && h.first_group == r->number && h.chain == r->chain && h.first_ticket == r->ticket) {
        begin_file(r, &h);
        return true;
    }
    if (found && h.first_group <= r->number)
        refuse(r, r->index, 0, "the file does not continue the one before it");
    if (open_file(r, from)) r->at = at;
    return false;
}

/* ---- groups ---------------------------------------------------------------------------------------------- */

static bool check_records(struct log_reader *r, const struct log_group *g)
{
    struct slice rest = g->payload;
    struct record record;
    for (uint32_t i = 0; i < g->header.records; i++) {
        if (!record_decode(&rest, &record) || !(r->header.shard_mask >> record.shard & 1))
            return refuse(r, r->index, g->offset, "a record that this version cannot read");
        r->last_shard = record.shard;
        r->last_lsn = record.lsn;
    }
    if (rest.n) return refuse(r, r->index, g->offset, "more bytes than records");
    return true;
}

static bool belongs(struct log_reader *r, const struct group_header *h)
{
    if (!ours(r, h->directory, h->epoch, h->thread) || h->sequence != r->header.sequence)
        return refuse(r, r->index, r->at, "a group of another log stands here");
    if (h->number != r->number || h->first_ticket != r->ticket ||
        (h->chain != r->chain && !PLANTED(chain_not_checked)) || h->durable_group >= h->number)
        return refuse(r, r->index, r->at, "another group of this log stands here");
    return true;
}

/* False: no whole group stands here, or refused. */
static bool read_group(struct log_reader *r, struct log_group *out)
{
    const uint8_t *p = look(r, r->at, GROUP_HEADER_BYTES);
    if (!p) return false;
    *out = (struct log_group){.offset = r->at};
    enum format_status s = group_header_decode(p, &out->header);
    if (s == FORMAT_NEWER) return refuse(r, r->index, r->at, "written by a newer version of hourglass");
    if (s == FORMAT_BAD || !belongs(r, &out->header)) return false;
    uint64_t bytes = group_bytes(&out->header);
    p = look(r, r->at, bytes);
    if (!p || (crc32c(0, p + GROUP_HEADER_BYTES, bytes - GROUP_HEADER_BYTES) != out->header.payload_crc &&
               !PLANTED(payload_crc_not_checked)))
        return false;
    out->payload = slice_of(p + GROUP_HEADER_BYTES, out->header.payload_bytes);
    if (!check_records(r, out)) return false;
    r->at += bytes;
    r->number++;
    r->ticket += out->header.records;
    r->records += out->header.records;
    r->chain = out->header.crc;
    r->ended = out->header.flags & GROUP_END;
    return true;
}

/* ---- what lies behind the last group --------------------------------------------------------------------- */

struct behind {
    bool any;       /* a header of this log */
    uint64_t mark;  /* highest durable mark */
    uint64_t bytes; /* up to the last one that is not zero */
};

static void heed(struct behind *b, uint64_t mark)
{
    b->any = true;
    if (mark > b->mark) b->mark = mark;
}

/* Headers in one block. They stand at its start; but a sector that strayed from its place is a witness, too. */
static void hear_block(const struct log_reader *r, const uint8_t *p, uint64_t n, struct behind *b)
{
    struct log_header f;
    struct group_header g;
    if (n == LOG_HEADER_BYTES && log_header_decode(p, &f) == FORMAT_OK &&
        ours(r, (uint32_t)f.directory.lo, f.epoch, f.thread))
        heed(b, f.durable_group);
    for (uint64_t at = 0; at + GROUP_HEADER_BYTES <= n; at += SECTOR)
        if (group_header_decode(p + at, &g) == FORMAT_OK && ours(r, g.directory, g.epoch, g.thread))
            heed(b, g.durable_group);
}

/* The length of a whole group that stands here; what is inside it is somebody's payload and no witness. */
static uint64_t whole_group(struct log_reader *r, uint64_t at)
{
    struct group_header h;
    const uint8_t *p = look(r, at, GROUP_HEADER_BYTES);
    if (!p || group_header_decode(p, &h) != FORMAT_OK) return 0;
    uint64_t n = group_bytes(&h);
    p = look(r, at, n);
    return p && crc32c(0, p + GROUP_HEADER_BYTES, n - GROUP_HEADER_BYTES) == h.payload_crc ? n : 0;
}

static uint64_t last_nonzero(const uint8_t *p, uint64_t n)
{
    if (all_zero(p, n)) return 0;
    while (n && p[n - 1] == 0) n--;
    return n;
}

/* The open file from `from` on. Returns the end of what is not zero, 0 if nothing. */
static uint64_t scan_file(struct log_reader *r, uint64_t from, struct behind *b)
{
    uint64_t end = 0, inside = 0;
    for (uint64_t at = from; at < r->size && r->status == PERSIST_OK; at += LOG_BLOCK) {
        uint64_t n = r->size - at < LOG_BLOCK ? r->size - at : LOG_BLOCK;
        const uint8_t *p = look(r, at, n);
        uint64_t used = p ? last_nonzero(p, n) : 0;
        if (!used) continue;
        end = at + used;
        if (at < inside) continue;
        hear_block(r, p, n, b);
        inside = at + whole_group(r, at);
    }
    return end;
}

static bool scan_behind(struct log_reader *r, struct behind *b)
{
    uint32_t index = r->index;
    uint64_t at = r->at;
    *b = (struct behind){0};
    for (uint32_t i = index; i < r->count && r->status == PERSIST_OK; i++) {
        uint64_t from = i == index ? at : 0;
        if (i != index && !open_file(r, i)) return false;
        uint64_t end = scan_file(r, from, b);
        if (end > from) b->bytes += end - from;
    }
    if (r->status == PERSIST_OK && r->index != index) open_file(r, index);
    r->at = at;
    return r->status == PERSIST_OK;
}

/* A log without any file header: a start that was cut short left it, or the header is lost. */
static bool judge_unused(struct log_reader *r, const struct behind *b)
{
    if (r->names[0].sequence > 1) return refuse(r, 0, 0, "the log files before this one are missing");
    if (b->any) return refuse(r, 0, 0, "the file header is damaged");
    if (r->count > 1 && r->size < FILE_BYTES_MIN)
        return refuse(r, 0, 0, "the file is shorter than it was made");
    if (r->closed) return refuse(r, 0, 0, "the log of a former epoch has no header");
    return true;
}

static bool judge_end(struct log_reader *r)
{
    struct behind b;
    if (!scan_behind(r, &b)) return false;
    r->torn_bytes = b.bytes;
    window_close(&r->window); /* logs of the last epoch stay open until all are read */
    if (r->ended) return true;
    if (!r->used) return judge_unused(r, &b);
    if (r->size < r->header.bytes)
        return refuse(r, r->index, r->at, "the file is shorter than it was made: its end is lost");
    if (b.mark >= r->number && !PLANTED(durable_mark_ignored))
        return refuse(r, r->index, r->at, "a group that was durable is damaged or missing");
    if (r->closed)
        return refuse(r, r->index, r->at,
                      "the log of a former epoch stops without its end: damaged or missing");
    if (r->index + 1 == r->count && !PLANTED(missing_file_not_noticed))
        return refuse(r, r->index, r->at, "the log file behind this one is missing");
    return true;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

void log_reader_open(struct log_reader *r, struct datadir *dir, const struct log_name *names, uint32_t count,
                     bool closed)
{
    CHECK(count > 0);
    *r = (struct log_reader){.dir = dir, .names = names, .count = count, .closed = closed, .file = -1};
    r->window.disk = dir->disk;
    for (uint32_t i = 1; i < count; i++)
        if (names[i].sequence != names[i - 1].sequence + 1) {
            refuse(r, i - 1, 0, "the log file behind this one is missing");
            return;
        }
    struct log_header h;
    if (open_file(r, 0) && read_header(r, &h)) begin_file(r, &h);
}

void log_reader_ahead(struct log_reader *r, bool ahead, void (*leave)(void *self), void *self)
{
    r->window.ahead = ahead;
    r->window.leave = leave;
    r->window.self = self;
}

enum read_result log_reader_next(struct log_reader *r, struct log_group *out)
{
    while (r->status == PERSIST_OK && r->used && !r->ended) {
        if (read_group(r, out)) return READ_GROUP;
        if (r->status != PERSIST_OK || !next_file(r)) break;
    }
    return r->status == PERSIST_OK && judge_end(r) ? READ_END : READ_STOPPED;
}

void log_reader_close(struct log_reader *r)
{
    close_file(r);
    window_close(&r->window);
}

/* ---- ending a log ------------------------------------------------------------------------------------------------ */

static bool copy_out(struct log_reader *r, int to, uint64_t from, uint64_t end)
{
    const struct disk_ops *ops = r->dir->disk->ops;
    for (uint64_t at = from; at < end; at += PIECE_BYTES) {
        uint64_t n = end - at < PIECE_BYTES ? end - at : PIECE_BYTES;
        const uint8_t *p = look(r, at, n);
        if (!p) return stop(r, PERSIST_IO);
        int64_t w = ops->write_now(r->dir->disk, to, at - from, p, n);
        if (w != (int64_t)n) return io_error(r, w < 0 ? w : 0);
    }
    int e = ops->sync(r->dir->disk, to);
    return e == 0 || io_error(r, e);
}

/* The open file's bytes behind `from`, into broken/. A copy that a crash left unfinished is written again. */
static bool keep_aside(struct log_reader *r, uint64_t from)
{
    const struct disk_ops *ops = r->dir->disk->ops;
    const struct log_name *n = &r->names[r->index];
    char name[96];
    struct behind b = {0};
    uint64_t end = scan_file(r, from, &b);
    if (end <= from || r->status != PERSIST_OK) return r->status == PERSIST_OK;
    snprintf(name, sizeof name, "broken/%06u-%02u-%06u-%llu.tail", n->epoch, n->thread, n->sequence,
             (unsigned long long)from);
    int e = ops->unlink(r->dir->disk, name);
    int to = e == 0 || e == -ENOENT ? ops->open(r->dir->disk, name, DISK_WRITE | DISK_CREATE) : e;
    if (to < 0) return io_error(r, to);
    bool ok = copy_out(r, to, from, end);
    ops->close(r->dir->disk, to);
    return ok;
}

static bool keep_torn(struct log_reader *r)
{
    uint32_t index = r->index;
    uint64_t at = r->at;
    if (r->torn_bytes == 0) return true;
    for (uint32_t i = index; i < r->count; i++) {
        if (i != index && !open_file(r, i)) return false;
        if (!keep_aside(r, i == index ? at : 0)) return false;
    }
    if (r->index != index && !open_file(r, index)) return false;
    r->at = at;
    int e = r->dir->disk->ops->sync_dir(r->dir->disk, "broken");
    return e == 0 || io_error(r, e);
}

static bool write_end(struct log_reader *r)
{
    const struct disk_ops *ops = r->dir->disk->ops;
    uint8_t block[LOG_BLOCK];
    struct log_end end = {.epoch = r->header.epoch,
                          .sequence = r->header.sequence,
                          .thread = r->header.thread,
                          .chain = r->chain,
                          .number = r->number - 1,
                          .ticket = r->ticket - 1};
    log_end_encode(block, &end, r->dir->id);
    char name[LOG_NAME_BYTES];
    name_of(r, r->index, name);
    int file = ops->open(r->dir->disk, name, DISK_WRITE);
    if (file < 0) return io_error(r, file);
    int64_t e = ops->write_now(r->dir->disk, file, r->at, block, LOG_BLOCK);
    if (e == LOG_BLOCK)
        e = ops->sync(r->dir->disk, file);
    else if (e >= 0)
        e = -EIO;
    ops->close(r->dir->disk, file);
    if (e < 0) return io_error(r, e);
    r->at += LOG_BLOCK;
    return true;
}

/* A tail is cut off only now, with the end in place: a file without an end that is shorter than it was made has lost
 * something. And an end that a killed process wrote may lie in a cache only: it must be on the disk before an epoch stands
 * on it. */
static bool keep_end(struct log_reader *r, bool tail)
{
    const struct disk_ops *ops = r->dir->disk->ops;
    char name[LOG_NAME_BYTES];
    name_of(r, r->index, name);
    int file = ops->open(r->dir->disk, name, DISK_WRITE);
    if (file < 0) return io_error(r, file);
    int e = tail ? ops->truncate(r->dir->disk, file, r->at) : 0;
    if (e == 0) e = ops->sync(r->dir->disk, file);
    ops->close(r->dir->disk, file);
    return e == 0 || io_error(r, e);
}

/* The last one first, each for good before the next: a hole between names would mean a lost file. */
static bool remove_behind(struct log_reader *r, uint32_t first)
{
    const struct disk_ops *ops = r->dir->disk->ops;
    char name[LOG_NAME_BYTES];
    for (uint32_t i = r->count; i-- > first;) {
        name_of(r, i, name);
        int e = ops->unlink(r->dir->disk, name);
        if (e == 0) e = ops->sync_dir(r->dir->disk, "log");
        if (e < 0) return io_error(r, e);
    }
    return true;
}

enum persist_status log_reader_seal(struct log_reader *r)
{
    if (PLANTED(torn_tail_not_cut)) return PERSIST_OK;
    if (!keep_torn(r)) return r->status;
    CRASH_POINT(tail_kept);
    if (!r->used) {
        close_file(r);
        remove_behind(r, 0);
        return r->status;
    }
    bool tail = !r->ended || r->torn_bytes; /* an end before a tail: a start was cut short between the two */
    if (!r->ended && !write_end(r)) return r->status;
    CRASH_POINT(tail_ended);
    if (!keep_end(r, tail)) return r->status;
    CRASH_POINT(tail_cut);
    remove_behind(r, r->index + 1);
    return r->status;
}

enum persist_status log_reader_give_up(struct log_reader *r)
{
    struct log_group g;
    struct behind b;
    while (log_reader_next(r, &g) == READ_GROUP) {
    }
    if (r->status == PERSIST_IO || !r->used) return r->status;
    r->status = PERSIST_OK;
    if (scan_behind(r, &b)) r->torn_bytes = b.bytes;
    return r->status == PERSIST_OK ? log_reader_seal(r) : r->status;
}
