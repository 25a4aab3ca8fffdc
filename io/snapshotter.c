#include "io/snapshotter.h"
#include "io/admin.h"

#include <stdlib.h>
#include <time.h>

/* Under load a snapshot takes one ninth of a worker's processor time: after a slice the walk waits until eight times as much
 * went into other things. People that events put first, because they change them, count as if the walk had put them. */
enum { WAIT_PER_SLICE = 8 };

/* One worker's part: its shards one after the other. The disk's share runs on a thread of its own, made for each slice. */
struct snapshotter {
    struct worker *worker;
    struct snapshot_writer *writer; /* of shards[at], NULL: not begun */
    uint32_t at;
    struct snapshot_file files[LOGICAL_SHARDS];
    bool failed, finished;
    bool writing; /* the thread exists */
    pthread_t thread;
    _Atomic bool written; /* it has said what became of the slice */
    int64_t result;
    uint64_t walked_ns;    /* the thread's own time at the end of the last slice */
    uint64_t rows, row_ns; /* that had been put by then; what one of the slice's took */
    uint64_t busy_with;    /* the work so far, then */
};

/* The whole of it, on worker 0. */
struct snapshot_run {
    struct engine *engine;
    struct call back; /* from the committing thread to worker 0 */
    uint64_t number;
    uint32_t count, definitions_version;
    struct snapshot_file files[LOGICAL_SHARDS];
    uint64_t older_lsn[LOGICAL_SHARDS]; /* of the snapshot before: what lies below is in two snapshots */
    bool failed, older;
    const char *error;
    pthread_t thread;
    void (*done)(void *owner, uint64_t number, const char *error);
    void *owner;
};

bool snapshot_running(const struct engine *e) { return e->admin->snapshot != NULL; }

/* ---- on each worker ----------------------------------------------------------------------------- */

static void *write_main(void *arg)
{
    struct snapshotter *s = arg;
    struct worker *w = s->worker;
    engine_step_aside(w->engine);
    s->result = snapshot_write(s->writer);
    atomic_store_explicit(&s->written, true, memory_order_release);
    loop_wake(w->loop);
    return NULL;
}

static void start_writing(struct snapshotter *s)
{
    atomic_store_explicit(&s->written, false, memory_order_relaxed);
    CHECK(pthread_create(&s->thread, NULL, write_main, s) == 0);
    s->writing = true;
}

/* What became of the slice on its way, if the disk has answered. */
static void take_result(struct snapshotter *s)
{
    if (!s->writing || !atomic_load_explicit(&s->written, memory_order_acquire)) return;
    pthread_join(s->thread, NULL);
    s->writing = false;
    if (s->result == 0) return;
    if (s->result < 0)
        snapshot_abandon(s->writer, s->result);
    else
        snapshot_end(s->writer, &s->files[s->at++]);
    s->writer = NULL;
    s->failed |= s->result < 0;
    s->finished = s->failed || s->at == s->worker->shard_count;
}

static uint64_t work_so_far(const struct worker *w)
{
    return w->counters.events_in + w->counters.notes_received;
}

static uint64_t own_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Events come first; with none of them there is nothing to wait for. */
static bool may_walk(const struct snapshotter *s)
{
    if (s->finished || (s->writer && !snapshot_can_walk(s->writer))) return false;
    if (!s->writer || work_so_far(s->worker) == s->busy_with) return true;
    uint64_t rows = SNAPSHOT_ROWS_PER_TURN + snapshot_rows(s->writer) - s->rows;
    return own_ns() - s->walked_ns >= WAIT_PER_SLICE * rows * s->row_ns;
}

static void walk(struct snapshotter *s)
{
    struct worker *w = s->worker;
    uint64_t begun = own_ns();
    if (!s->writer) s->writer = snapshot_begin(&w->dir, w->engine->admin->snapshot->number, w->shards[s->at]);
    snapshot_walk(s->writer, SNAPSHOT_ROWS_PER_TURN);
    s->walked_ns = own_ns();
    s->row_ns = (s->walked_ns - begun) / SNAPSHOT_ROWS_PER_TURN;
    s->rows = snapshot_rows(s->writer);
    s->busy_with = work_so_far(w);
}

void snapshotter_step(struct worker *w)
{
    struct snapshotter *s = w->snapshotter;
    take_result(s);
    if (may_walk(s)) walk(s);
    if (s->writer && !s->writing && snapshot_take(s->writer)) start_writing(s);
}

bool snapshotter_has_work(const struct worker *w) { return w->snapshotter && may_walk(w->snapshotter); }

static enum call_state write_shards(struct worker *w, struct part *p)
{
    if (!w->snapshotter) {
        w->snapshotter = calloc(1, sizeof *w->snapshotter);
        CHECK(w->snapshotter != NULL);
        w->snapshotter->worker = w;
    }
    if (!w->snapshotter->finished) return CALL_WAIT;
    p->result = w->snapshotter;
    w->snapshotter = NULL;
    return CALL_HELD; /* the log holds everything up to the cuts */
}

static enum call_state recycle(struct worker *w, struct part *p)
{
    struct snapshot_run *run = p->scatter->owner;
    wal_recycle(w->wal, run->older_lsn, w->engine->options->log_keep_all);
    return CALL_DONE;
}

/* ---- on worker 0 --------------------------------------------------------------------------------- */

static void finish(struct snapshot_run *run)
{
    struct engine *e = run->engine;
    e->admin->snapshot = NULL;
    if (run->error) {
        e->admin->snapshots_failed++;
        log_line(LOG_WARNING, "snapshot_failed", "number=%llu reason=\"%s\"", (unsigned long long)run->number,
                 run->error);
    } else {
        e->admin->snapshot_at_us = loop_now_us();
        e->admin->snapshot_lsn = e->admin->snapshot_bytes = 0;
        for (uint32_t i = 0; i < run->count; i++) {
            e->admin->snapshot_lsn += run->files[i].lsn;
            e->admin->snapshot_bytes += run->files[i].bytes;
        }
        log_line(LOG_INFO, "snapshot", "number=%llu bytes=%llu", (unsigned long long)run->number,
                 (unsigned long long)e->admin->snapshot_bytes);
    }
    if (run->done) run->done(run->owner, run->error ? 0 : run->number, run->error);
    free(run);
}

static void recycled(struct scatter *s)
{
    struct snapshot_run *run = s->owner;
    scatter_free(s);
    finish(run);
}

static void committed(struct call *c)
{
    struct snapshot_run *run = c->owner;
    pthread_join(run->thread, NULL);
    if (run->error || !run->older) {
        finish(run);
        return;
    }
    struct scatter *s = scatter_new(run->engine, run);
    s->run = recycle;
    s->done = recycled;
    scatter_start(s);
}

/* Waits for the disk, so not on a worker. */
static void *commit_main(void *arg)
{
    struct snapshot_run *run = arg;
    engine_step_aside(run->engine);
    struct datadir dir = run->engine->dir;
    dir.error = (struct buf){0};
    if (snapshot_commit(&dir, run->number, run->files, run->count, run->definitions_version, CORE_VERSION) !=
        PERSIST_OK)
        run->error = "could not be finished";
    struct snapshot_manifest before;
    if (!run->error && snapshot_find(&dir, 1, &before) == PERSIST_OK && before.count) {
        run->older = true;
        for (uint32_t i = 0; i < before.count; i++)
            run->older_lsn[before.files[i].shard] = before.files[i].lsn;
    }
    buf_free(&dir.error);
    run->back.returning = true;
    call_post(&run->engine->workers[0], &run->back);
    return NULL;
}

static void written(struct scatter *s)
{
    struct snapshot_run *run = s->owner;
    for (uint32_t i = 0; i < s->count; i++) {
        struct snapshotter *part = s->parts[i].result;
        if (part->failed) run->error = "a file could not be written";
        for (uint32_t k = 0; k < part->at && !part->failed; k++) run->files[run->count++] = part->files[k];
        free(part);
    }
    scatter_free(s);
    run->definitions_version = sets_newest(run->engine->sets)->version;
    if (run->error)
        finish(run);
    else
        CHECK(pthread_create(&run->thread, NULL, commit_main, run) == 0);
}

bool snapshot_start(struct engine *e, void (*done)(void *owner, uint64_t number, const char *error),
                    void *owner)
{
    if (e->admin->snapshot || e->admin->backing_up) return false;
    struct snapshot_run *run = calloc(1, sizeof *run);
    CHECK(run != NULL);
    run->engine = e;
    run->number = e->recovered.next_snapshot++;
    run->done = done;
    run->owner = owner;
    run->back = (struct call){.done = committed, .owner = run};
    e->admin->snapshot = run;
    struct scatter *s = scatter_new(e, run);
    s->run = write_shards;
    s->done = written;
    scatter_start(s);
    return true;
}
