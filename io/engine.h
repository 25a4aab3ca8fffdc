/* engine.h - the whole daemon: its data directory, its workers, and the little that they share.
 * Owner: main. Written before the threads start, but for the atomics and what the lock guards.
 * Fails: engine_open and engine_start, with an exit code and one line on stderr. */
#ifndef HG_IO_ENGINE_H
#define HG_IO_ENGINE_H

#include "core/base/check.h"
#include "io/clock.h"
#include "io/conn.h"
#include "io/log.h"
#include "io/options.h"
#include "io/order.h"
#include "io/worker.h"
#include "persist/recover.h"
#include "persist/snapshot.h"

#include <sched.h>

struct kernels;
struct engine {
    const struct options *options;
    uint32_t threads;
    struct worker *workers;
    struct shard *shards[LOGICAL_SHARDS];
    struct mailbox *mailboxes; /* [from * threads + to] */
    struct wall_clock clock;
    struct order order;
    struct disk *disk;
    struct datadir dir;
    struct recovered recovered;
    struct sets *sets;                 /* every definitions set that is loaded; definer.c */
    struct slice shared_key, emit_key; /* .n == 0: none */
    char hostname[64];
    uint64_t started_us, progress_us; /* progress_us: of the last line about recovery */
    const char *io_name;
    cpu_set_t cpus;                /* that the process may use */
    const struct kernels *kernels; /* of scans, as the machine or --cpu allows */

    _Atomic uint64_t action_sequence[LOGICAL_SHARDS]; /* newest durable action of each shard */
    _Atomic uint32_t action_readers;                  /* subscribers and sinks */
    _Atomic uint32_t action_news;
    _Atomic uint32_t connections;
    _Atomic bool draining; /* sockets bring nothing more */
    _Atomic bool frozen;   /* the last snapshot is being written: time stands still */

    pthread_mutex_t lock; /* guards the four below while threads start and stop */
    pthread_cond_t changed;
    uint32_t ready, failed;
    bool go;
    int exit_code;

    struct admin *admin; /* worker 0's: the control side */
};

static inline uint32_t engine_owner(const struct engine *e, uint32_t shard) { return shard % e->threads; }
static inline struct mailbox *engine_mailbox(struct engine *e, uint32_t from, uint32_t to)
{
    return &e->mailboxes[from * e->threads + to];
}
static inline const struct schema *worker_schema(const struct worker *w)
{
    return &shard_definitions(w->shards[0])->schema;
}

/* Opens and recovers the data directory. Returns 0 or an exit code. */
int engine_open(struct engine *e, const struct options *options);
int engine_start(struct engine *e); /* all threads run, nothing is served yet */
void engine_join(struct engine *e); /* until every worker has stopped */
void engine_close(struct engine *e);

/* For threads beside the workers, which inherit the core of whoever made them: to any core, and behind the workers where
 * they have to share one. */
void engine_step_aside(const struct engine *e);

/* call.c */
void call_return(struct worker *from, struct call *c);
void calls_run(struct worker *w);

/* sets: definitions by version; safe from any thread */
struct sets *sets_create(void);
void sets_destroy(struct sets *s);
bool sets_add(struct sets *s, struct defset *set);
const struct defset *sets_find(struct sets *s, uint32_t version);
const struct defset *sets_newest(struct sets *s);

/* What the control side offers to the workers (worker 0 only, but for tail_encode). */
void admin_tail(struct engine *e, struct slice line);
void tail_encode(struct worker *w, const struct effect *effect, struct buf *out);
void admin_turn(struct engine *e);            /* once per turn of worker 0 */
uint32_t admin_patience_us(struct engine *e); /* how long worker 0 may sleep */

#endif
