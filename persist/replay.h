/* replay.h - the log of one thread in one epoch, applied to the shards that it is of. For recover.c.
 * Logs of one epoch share no shard and shards meet only by records that the receiver logged, so any number of them may
 * be replayed at once; what they share stands in struct recovery, under its lock.
 * Owner: one thread at a time. Fails: status, with one line in dir.error. */
#ifndef HG_PERSIST_REPLAY_H
#define HG_PERSIST_REPLAY_H

#include "core/base/limits.h"
#include "persist/recover.h"
#include "persist/wal_reader.h"

#include <pthread.h>

struct recovery {
    struct datadir *dir;
    const struct recovery_host *host;
    struct recovered *out;
    struct shard *shards[LOGICAL_SHARDS];
    struct log_names names;
    uint64_t pending[LOGICAL_SHARDS]; /* LSN of each shard; written between epochs */
    uint64_t reach[LOGICAL_SHARDS];   /* LSNs of a damaged snapshot: the log must make up for them */
    enum persist_status status;

    pthread_mutex_t lock; /* guards what follows */
    struct known_definitions {
        uint32_t version;
        struct key hash;
    } * known;
    uint32_t known_count, known_capacity;
    struct recovery_progress progress;
};

struct replay {
    struct recovery *all;
    const struct log_name *names; /* of this log, in order */
    uint32_t name_count;
    bool closed; /* a newer epoch exists */
    /* the rest: replay_run */
    struct datadir dir; /* with an error line of its own */
    struct log_reader log;
    enum persist_status status;
    uint64_t pending[LOGICAL_SHARDS]; /* LSN of each shard with the batch at hand applied */
    uint64_t records, bytes;
    uint64_t told_records, told_bytes; /* of these, to progress */
    uint32_t newest_second;
    /* the batch at hand */
    struct batch_item items[BATCH_EVENTS];
    uint32_t count;
    struct effects effects;
    struct arena scratch;
};

/* A directory for one thread: the same, with an error line of its own. */
struct datadir datadir_twin(const struct datadir *dir);

/* The bundle of this version, unless it is known already; fails into dir->error. */
enum persist_status recovery_definitions(struct recovery *all, struct datadir *dir, uint32_t version);
void recovery_tell(struct recovery *all, struct recovery_progress more);

/* All of the log; the reader stays open, so that it can be ended (log_reader_seal). */
void replay_run(struct replay *r);
void replay_close(struct replay *r);

#endif
