/* wal_files.h - the files of one thread's log: the one being filled, the next one being zeroed, old ones to delete.
 * Owner: the wal. A file is zeroed ahead a slice at a time by asynchronous writes, so that a roll costs nothing and a
 * group never allocates. The name behind the newest file always exists: when the newest file is lost, its place shows.
 * Memory: 520 bytes per file of the epoch; the zeros are the kernel's zero page.
 * Fails: no space while zeroing (full, tried again each second); anything else is the disk's failure (error). */
#ifndef HG_PERSIST_WAL_FILES_H
#define HG_PERSIST_WAL_FILES_H

#include "persist/wal.h"
#include "persist/wal_format.h"

enum {
    FIRST_FILE_BYTES = 4 << 20,
    ZERO_SLICE_BYTES = DISK_SLICE_BYTES,
    FULL_RETRY_US = 1000000,
};

struct old_file {
    uint32_t sequence;
    uint64_t last_group;
    uint64_t last_lsn[LOGICAL_SHARDS]; /* 0: nothing of this shard so far */
};

enum zeroing { ZEROING_WAITS, ZEROING, ZEROING_DONE, ZEROING_READY /* and the name behind it exists */ };

struct wal_files {
    const struct wal_config *config;
    struct disk *disk;
    int error; /* of the disk, > 0: an errno */

    /* the one being filled */
    int file;
    uint32_t sequence;
    uint64_t at, bytes;
    int leaving; /* the one before, while groups in it are in flight; -1 */
    uint64_t leaving_group;

    /* the next one */
    enum zeroing zeroing;
    int next;
    uint64_t next_bytes, zeroed;
    bool slice_in_flight, full;
    bool wanted; /* a group waits for it */
    uint64_t retry_us;
    struct disk_op slice;
    const uint8_t *zeros;

    /* the ones before */
    struct old_file *old;
    uint32_t old_count, old_capacity;
    struct log_name *doomed; /* to delete, one per pump, oldest first */
    uint32_t doomed_count, doomed_at, doomed_capacity;
    bool recycled_epochs;
};

/* Makes file 1 (zeroed, without header) and the name of file 2; 0 or an errno. */
int wal_files_open(struct wal_files *f, const struct wal_config *config);
void wal_files_close(struct wal_files *f, bool ended); /* ended: names ahead, never used, are removed */
/* The next file takes over if it is ready; last_lsn: of the file left behind, as at its last group. */
bool wal_files_roll(struct wal_files *f, uint64_t last_group, const uint64_t last_lsn[]);
/* One step of whatever is to be done; durable_group: what is on disk. */
void wal_files_pump(struct wal_files *f, uint64_t durable_group, uint64_t now_us);
uint32_t wal_files_wait(const struct wal_files *f,
                        uint64_t now_us); /* microseconds until the next pump has work */
void wal_files_recycle(struct wal_files *f, uint64_t durable_group, const uint64_t lsn[]);
static inline bool wal_files_busy(const struct wal_files *f) { return f->doomed_at < f->doomed_count; }

#endif
