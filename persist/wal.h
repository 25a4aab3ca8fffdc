/* wal.h - the write-ahead log of one thread: records in, groups to disk, durability out.
 * A group is everything that came while the previous one was being written: at most two in flight, flushed at once when
 * none is, sealed when idle. Format: persist/FORMAT.md.
 * Owner: one worker thread. Memory: two group buffers of 4 MiB (aligned), made at open and touched as they fill.
 * Fails: a failed or short write ends the process (74) and is never retried; no space can happen only while the next
 * file is being made: then wal_room says no, and the next file is tried again each second.
 * Source: rules 1-15 of the notes on log writing; TigerBeetle (chained headers), RocksDB (recycled files). */
#ifndef HG_PERSIST_WAL_H
#define HG_PERSIST_WAL_H

#include "core/base/limits.h"
#include "core/model/record.h"
#include "persist/datadir.h"

struct wal_config {
    struct datadir *dir;
    uint32_t epoch, thread;
    uint64_t
        segment_bytes; /* size of a log file; the first of an epoch is 4 MiB, each next one twice as large up to this */
    uint64_t shard_mask; /* which logical shards write here */
    uint64_t start_lsn
        [LOGICAL_SHARDS]; /* shard_lsn of all 64 shards at this moment: what the log of this epoch continues */
    uint32_t core_version;
    bool relaxed;      /* --sync none: benches only */
    uint32_t delay_us; /* upper bound between a record and its flush: 300 */
    void *self;
    void (*failed)(void *self, int error); /* the disk failed: say it once and stop (74) */
};
struct wal;
/* Makes the first file; NULL: see error. Every thread's log of an epoch is opened before the first record goes to any of
 * them: later a log that has records beside one that does not exist means a lost file. */
struct wal *wal_open(const struct wal_config *config, struct buf *error);
/* Room for records of `bytes` payload (heads included) in all and `count` records; false: wait (buffers busy, or disk
 * full). One call asks for at most WAL_BYTES_MAX. */
enum { WAL_BYTES_MAX = (4 << 20) - 4096 - 64 - 4096 };
bool wal_room(const struct wal *w, uint32_t count, size_t bytes);
/* Copies the record (r->lsn is the shard's next); its ticket (1, 2, ...) is durable once wal_durable reaches it. */
uint64_t wal_append(struct wal *w, const struct record *r);
uint64_t wal_durable(const struct wal *w);
uint64_t wal_last(const struct wal *w); /* ticket of the last appended record */
struct log_end;
void wal_durable_end(const struct wal *w, struct log_end *out); /* where wal_durable stands on disk */
/* Once per loop turn: starts a group if one is due, makes files ahead, retries after ENOSPC. Completions arrive by
 * disk ops. Returns the microseconds after which it wants to be called again (UINT32_MAX: only with news). */
uint32_t wal_pump(struct wal *w, uint64_t now_us);
bool wal_idle(const struct wal *w); /* nothing buffered or in flight, of groups and of zeros */
bool wal_disk_full(const struct wal *w);
struct wal_stats {
    uint64_t bytes, groups, files, records;
    uint32_t sync_us_p50, sync_us_p99;
};
uint64_t wal_bytes(const struct wal *w); /* written so far, of this run */
void wal_stats(const struct wal *w, struct wal_stats *out);
/* Files whose every record is in two snapshots may be recycled: lsn[shard] of the older of the two. */
void wal_recycle(struct wal *w, const uint64_t lsn[], bool keep_all);
bool wal_recycling(const struct wal *w); /* some of them are being deleted */
void wal_close(struct wal *w); /* after wal_idle: the log is ended, so that the next start finds no tail */
void wal_drop(struct wal *w);  /* as a crash would: memory is given back, nothing is written any more */

#endif
