/* recover.h - from files back to the state before the stop: newest snapshot + log.
 * Every group is verified before its first record is applied; damage at or below the durable mark refuses (65) and
 * names file, offset and LSN; a torn tail above it is cut and kept in broken/. Recovery changes nothing else, so a
 * crash inside it is a crash before it. */
#ifndef HG_PERSIST_RECOVER_H
#define HG_PERSIST_RECOVER_H

#include "core/shard.h"
#include "persist/datadir.h"

struct recovery_progress {
    uint64_t snapshot_bytes, snapshot_total, log_bytes, log_total;
    uint64_t records; /* replayed */
};
struct recovery_host {
    void *self;
    /* Fresh shards by index, made before. */
    struct shard *(*shard)(void *self, uint32_t index);
    /* A bundle that the snapshot or the log refers to; called in order of version before it is needed. */
    bool (*definitions)(void *self, uint32_t version, struct key hash, struct slice bundle);
    /* May be NULL. From any thread, one at a time, and so is `definitions`. */
    void (*progress)(void *self, const struct recovery_progress *p);
    uint32_t threads; /* 0: the caller's alone, and nothing is read ahead */
};
struct recovered {
    uint32_t next_epoch;
    uint32_t newest_second; /* highest `now` in snapshot and log */
    uint64_t records;       /* replayed */
    uint64_t log_bytes, snapshot_bytes;
    uint64_t next_snapshot;
    uint64_t cut_bytes; /* of torn tails */
    uint64_t lsn_sum;
    uint64_t
        damaged_snapshot; /* its number: the one before was used instead (dir->error says what was wrong); 0: none */
};
/* from_zero: ignore snapshots (tests with --log-keep all). */
enum persist_status recover(struct datadir *dir, const struct recovery_host *host, bool from_zero,
                            struct recovered *out);

#endif
