#include "persist/wal_files.h"
#include "core/base/planted.h"
#include "core/base/check.h"
#include "persist/crash.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

/* ---- making files ---------------------------------------------------------------------------- */

static int open_log(struct wal_files *f, uint32_t sequence, int flags)
{
    char name[LOG_NAME_BYTES];
    log_name_print(name, f->config->epoch, f->config->thread, sequence);
    return f->disk->ops->open(f->disk, name, DISK_WRITE | (f->config->relaxed ? 0 : DISK_DIRECT) | flags);
}

/* An empty file: it says that the one before it was meant to exist. */
static int make_name(struct wal_files *f, uint32_t sequence)
{
    int file = open_log(f, sequence, DISK_CREATE);
    if (file == -EEXIST) return 0; /* made before space ran out */
    if (file < 0) return -file;
    f->disk->ops->close(f->disk, file);
    return 0;
}

static int sync_folder(struct wal_files *f)
{
    return PLANTED(no_directory_sync) ? 0 : -f->disk->ops->sync_dir(f->disk, "log");
}

static int zero_now(struct wal_files *f)
{
    for (uint64_t at = 0; at < f->bytes; at += ZERO_SLICE_BYTES) {
        uint64_t n = f->bytes - at < ZERO_SLICE_BYTES ? f->bytes - at : ZERO_SLICE_BYTES;
        int64_t r = f->disk->ops->write_now(f->disk, f->file, at, f->zeros, n);
        if (r != (int64_t)n) return r < 0 ? (int)-r : ENOSPC;
    }
    return -f->disk->ops->sync(f->disk, f->file);
}

int wal_files_open(struct wal_files *f, const struct wal_config *config)
{
    uint64_t first = config->segment_bytes < FIRST_FILE_BYTES ? config->segment_bytes : FIRST_FILE_BYTES;
    *f = (struct wal_files){.config = config,
                            .disk = config->dir->disk,
                            .sequence = 1,
                            .next = -1,
                            .leaving = -1,
                            .bytes = first};
    void *zeros = mmap(NULL, ZERO_SLICE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(zeros != MAP_FAILED);
    f->zeros = zeros;
    f->file = open_log(f, 1, DISK_CREATE);
    int error = f->file < 0 ? -f->file : zero_now(f);
    if (!error) error = sync_folder(f);
    if (!error) error = make_name(f, 2);
    if (!error) error = sync_folder(f);
    return error;
}

void wal_files_close(struct wal_files *f, bool ended)
{
    char name[LOG_NAME_BYTES];
    if (f->file >= 0) f->disk->ops->close(f->disk, f->file);
    if (f->leaving >= 0) f->disk->ops->close(f->disk, f->leaving);
    if (f->next >= 0) f->disk->ops->close(f->disk, f->next);
    for (uint32_t ahead = ended ? 2 : 0; ahead; ahead--) { /* the later name first */
        log_name_print(name, f->config->epoch, f->config->thread, f->sequence + ahead);
        int r = f->disk->ops->unlink(f->disk, name);
        if (r != -ENOENT && (r < 0 || sync_folder(f) != 0)) break; /* a name behind a hole would be refused */
    }
    munmap((void *)f->zeros, ZERO_SLICE_BYTES);
    free(f->old);
    free(f->doomed);
}

/* ---- the next file ----------------------------------------------------------------------------- */

static void disk_says(struct wal_files *f, int error)
{
    f->full = error == ENOSPC || error == EDQUOT;
    f->retry_us = 0; /* set by the next pump: a completion does not know the time */
    if (!f->full) f->error = error;
}

static void slice_done(struct disk_op *op, int64_t result)
{
    struct wal_files *f = op->owner;
    uint64_t left = f->next_bytes - f->zeroed, n = left < ZERO_SLICE_BYTES ? left : ZERO_SLICE_BYTES;
    f->slice_in_flight = false;
    if (result == (int64_t)n) {
        f->zeroed += n;
        f->full = false;
    } else {
        disk_says(f, result < 0 ? (int)-result : ENOSPC); /* short: the space ended there */
    }
}

static void zero_slice(struct wal_files *f)
{
    uint64_t left = f->next_bytes - f->zeroed;
    f->slice = (struct disk_op){.done = slice_done, .owner = f};
    f->slice_in_flight = true;
    f->disk->ops->write(f->disk, f->next, f->zeroed, f->zeros,
                        left < ZERO_SLICE_BYTES ? left : ZERO_SLICE_BYTES, &f->slice);
}

/* Each file is twice the one before, up to the size that was asked for: a quiet daemon stays small. */
static void begin_next(struct wal_files *f)
{
    uint64_t wanted = 2 * f->bytes;
    f->next_bytes = wanted < f->config->segment_bytes ? wanted : f->config->segment_bytes;
    f->zeroed = 0;
    f->next = open_log(f, f->sequence + 1, 0); /* its name was made with the file before */
    if (f->next < 0)
        disk_says(f, -f->next);
    else
        f->zeroing = ZEROING;
}

static void finish_next(struct wal_files *f)
{
    int error = make_name(f, f->sequence + 2);
    if (!error) error = sync_folder(f);
    CRASH_POINT(file_ready);
    if (error)
        disk_says(f, error);
    else {
        f->zeroing = ZEROING_READY;
        f->full = false;
    }
}

static void prepare(struct wal_files *f, uint64_t now_us)
{
    if (f->slice_in_flight || f->zeroing == ZEROING_READY) return;
    if (f->full) {
        if (f->retry_us == 0) f->retry_us = now_us + FULL_RETRY_US;
        if (now_us < f->retry_us) return;
        f->retry_us = 0; /* full until something succeeds: nobody sees it come and go with every try */
    }
    if (f->zeroing == ZEROING_WAITS && (f->wanted || f->at > f->bytes / 8)) begin_next(f);
    if (f->zeroing == ZEROING && f->zeroed == f->next_bytes) f->zeroing = ZEROING_DONE;
    if (f->zeroing == ZEROING) zero_slice(f);
    if (f->zeroing == ZEROING_DONE) finish_next(f);
}

/* ---- leaving a file ------------------------------------------------------------------------------- */

static void remember(struct wal_files *f, uint64_t last_group, const uint64_t last_lsn[])
{
    if (f->old_count == f->old_capacity) {
        f->old_capacity = f->old_capacity ? 2 * f->old_capacity : 16;
        f->old = realloc(f->old, f->old_capacity * sizeof *f->old);
        CHECK(f->old != NULL);
    }
    struct old_file *o = &f->old[f->old_count++];
    *o = (struct old_file){.sequence = f->sequence, .last_group = last_group};
    memcpy(o->last_lsn, last_lsn, sizeof o->last_lsn);
}

bool wal_files_roll(struct wal_files *f, uint64_t last_group, const uint64_t last_lsn[])
{
    if (f->zeroing != ZEROING_READY || f->leaving >= 0) {
        f->wanted = true; /* a group may be larger than what a young file has left */
        return false;
    }
    f->wanted = false;
    remember(f, last_group, last_lsn);
    f->leaving = f->file;
    f->leaving_group = last_group;
    f->file = f->next;
    f->bytes = f->next_bytes;
    f->at = 0;
    f->sequence++;
    f->next = -1;
    f->zeroing = ZEROING_WAITS;
    CRASH_POINT(file_rolled);
    return true;
}

/* ---- old files --------------------------------------------------------------------------------------- */

static void doom(struct wal_files *f, struct log_name name)
{
    if (f->doomed_count == f->doomed_capacity) {
        f->doomed_capacity = f->doomed_capacity ? 2 * f->doomed_capacity : 64;
        f->doomed = realloc(f->doomed, f->doomed_capacity * sizeof *f->doomed);
        CHECK(f->doomed != NULL);
    }
    f->doomed[f->doomed_count++] = name;
}

/* Former epochs ended at start_lsn: once two snapshots stand above it nobody reads them again. */
static void doom_former_epochs(struct wal_files *f, const uint64_t lsn[])
{
    if (f->recycled_epochs || f->config->thread != 0) return;
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++)
        if (lsn[i] < f->config->start_lsn[i]) return;
    struct log_names names;
    if (log_names_read(f->disk, &names) == 0) {
        for (uint32_t i = 0; i < names.count && names.list[i].epoch < f->config->epoch; i++)
            doom(f, names.list[i]);
        f->recycled_epochs = true;
    }
    log_names_free(&names);
}

static bool covered(const struct old_file *o, uint64_t mask, const uint64_t lsn[])
{
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++)
        if ((mask >> i & 1) && o->last_lsn[i] > lsn[i]) return false;
    return true;
}

void wal_files_recycle(struct wal_files *f, uint64_t durable_group, const uint64_t lsn[])
{
    if (wal_files_busy(f)) return; /* the next snapshot asks again */
    f->doomed_count = f->doomed_at = 0;
    doom_former_epochs(f, lsn);
    uint32_t n = 0;
    /* The file behind it must have a durable group: a log without any header would look like one never used. */
    while (n < f->old_count && f->old[n].last_group < durable_group &&
           covered(&f->old[n], f->config->shard_mask, lsn)) {
        doom(f, (struct log_name){f->config->epoch, f->config->thread, f->old[n].sequence});
        n++;
    }
    f->old_count -= n;
    if (n) memmove(f->old, f->old + n, f->old_count * sizeof *f->old);
}

/* Oldest first, each for good before the next: what a crash leaves is a log that begins later, without a hole. One per
 * turn: no turn takes long. */
static void delete_one(struct wal_files *f)
{
    if (!wal_files_busy(f)) return;
    char name[LOG_NAME_BYTES];
    struct log_name *d = &f->doomed[f->doomed_at++];
    log_name_print(name, d->epoch, d->thread, d->sequence);
    int r = f->disk->ops->unlink(f->disk, name);
    if (r == 0) r = f->disk->ops->sync_dir(f->disk, "log");
    if (r < 0 && r != -ENOENT) f->error = -r;
}

void wal_files_pump(struct wal_files *f, uint64_t durable_group, uint64_t now_us)
{
    if (f->leaving >= 0 && durable_group >= f->leaving_group) {
        f->disk->ops->close(f->disk, f->leaving);
        f->leaving = -1;
    }
    prepare(f, now_us);
    delete_one(f);
}

uint32_t wal_files_wait(const struct wal_files *f, uint64_t now_us)
{
    if (wal_files_busy(f)) return 0;
    if (f->slice_in_flight) return UINT32_MAX;
    if (f->full) return f->retry_us > now_us ? (uint32_t)(f->retry_us - now_us) : 0;
    bool asked =
        f->wanted && f->zeroing == ZEROING_WAITS; /* since the last step: nothing on its way calls us again */
    return asked ? 0 : UINT32_MAX;
}
