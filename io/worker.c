/* worker.c - the life of one thread.
 *
 * Everything a worker does happens in worker_turn, in this order; nothing in it waits but the last line. What came in
 * during one turn is applied and logged in it; what it caused leaves the process in a later turn, when the log says that
 * it is durable (release.c). */
#include "io/memory.h"
#include "io/admin.h"
#include "io/loop_disk.h"
#include "io/snapshotter.h"

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    LOG_BLOCK_BYTES = 4096, /* log files are whole blocks */
    IDLE_WAIT_US = 60 * 1000000,
    CALL_WAIT_US = 500,
    LOG_WAIT_US = 1000,
    LOG_ROOM_BYTES = 64 << 10
};

static void read_clock(struct worker *w)
{
    int64_t ms = clock_now_ms(&w->engine->clock);
    uint32_t now = (uint32_t)(ms / 1000);
    w->now_us = loop_now_us();
    w->lag_us = (uint32_t)(ms % 1000) * 1000;
    if (now > w->now && !atomic_load_explicit(&w->engine->frozen, memory_order_relaxed)) w->now = now;
}

static bool mail_waits(struct worker *w)
{
    if (w->deaf) return false;
    for (uint32_t from = 0; from < w->engine->threads; from++)
        if (from != w->index && !mailbox_empty(engine_mailbox(w->engine, from, w->index))) return true;
    return false;
}

/* How long nothing can happen without news from outside. */
static uint32_t patience_us(struct worker *w)
{
    if (w->calls_busy || snapshotter_has_work(w) || w->stop) return 0;
    uint32_t wait = w->wal_wait_us < IDLE_WAIT_US ? w->wal_wait_us : IDLE_WAIT_US;
    bool work = (!intake_idle(w) && !intake_blocked(w)) || w->woken_until != w->now || mail_waits(w);
    if (work && wal_room(w->wal, BATCH_EVENTS, LOG_ROOM_BYTES)) return 0;
    if (work && wait > LOG_WAIT_US) wait = LOG_WAIT_US;
    if (w->calls && wait > CALL_WAIT_US) wait = CALL_WAIT_US;
    if (w->outbound_bytes && wait > CALL_WAIT_US) wait = CALL_WAIT_US;
    uint32_t deadline = conns_patience_us(w);
    if (deadline < wait) wait = deadline;
    if (w->index == 0) {
        uint32_t control = admin_patience_us(w->engine);
        if (control < wait) wait = control;
    }
    if (w->engine->clock.fake) return wait;
    /* Until the second is over nobody is due: looking for who is next is for those who have the time. */
    if (w->busy) return wait < 1000000 - w->lag_us ? wait : 1000000 - w->lag_us;
    for (uint32_t i = 0; i < w->shard_count && wait; i++) {
        uint32_t due = shard_next_due(w->shards[i]);
        if (due > w->now && due - w->now > wait / 1000000 + 1) continue;
        uint32_t left = due <= w->now ? 0 : (due - w->now) * 1000000 - w->lag_us;
        if (left < wait) wait = left;
    }
    return wait;
}

static void watch_memory(struct worker *w)
{
    bool low = memory_is_low(w->engine->options->memory_limit);
    if (low == w->memory_low) return;
    w->memory_low = low;
    for (uint32_t i = 0; i < w->shard_count; i++) shard_refuse_strangers(w->shards[i], low);
}

static void worker_turn(struct worker *w)
{
    read_clock(w);
    w->wakes_left = WAKES_PER_TURN;
    watch_memory(w);                              /* is there room for people nobody knows? */
    if (!w->deaf) intake_inbound(w);              /* records, messages, credits of the other workers */
    calls_run(w);                                 /* questions and commands */
    worker_wake_due(w);                           /* people whose time has come, at most WAKES_PER_TURN */
    intake_settle(w);                             /* the batch the sockets left behind */
    if (w->snapshotter) snapshotter_step(w);      /* a slice of background work */
    w->wal_wait_us = wal_pump(w->wal, w->now_us); /* a group goes to disk */
    release_durable(w);                           /* acks, messages, actions, answers */
    if (w->index == 0) admin_turn(w->engine);     /* the control side */
    conns_turn(w);                                /* what there is to send; who may read again */
    outbound_flush(w);                            /* notes to the other workers */
    uint64_t busy_us = loop_now_us() - w->now_us;
    if (busy_us > w->counters.loop_us_max) w->counters.loop_us_max = (uint32_t)busy_us;
    atomic_store_explicit(&w->wal_bytes, wal_bytes(w->wal), memory_order_relaxed);
    w->busy = loop_run(w->loop, patience_us(w)) != 0; /* sockets and finished writes; here it sleeps */
}

/* ---- beginning and end ------------------------------------------------------------------------- */

/* The nth processor that the process may use. */
static void pin(uint32_t n)
{
    cpu_set_t all, one;
    if (sched_getaffinity(0, sizeof all, &all) != 0 || CPU_COUNT(&all) == 0) return;
    n %= (uint32_t)CPU_COUNT(&all);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &all) || n--) continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        pthread_setaffinity_np(pthread_self(), sizeof one, &one);
        return;
    }
}

/* The disk failed: nothing more may be promised. No clean-up, no retry; recovery knows what to do. */
static void disk_failed(void *self, int error)
{
    struct worker *w = self;
    log_line(LOG_ERROR, "disk_failed", "thread=%u reason=\"%s\"", w->index,
             strerror(error < 0 ? -error : error));
    _exit(PERSIST_IO);
}

static bool open_loop(struct worker *w, struct buf *why)
{
    const char *io = w->engine->options->io;
    enum loop_kind kind = !io                        ? LOOP_AUTO
                          : strcmp(io, "uring") == 0 ? LOOP_URING
                          : strcmp(io, "epoll") == 0 ? LOOP_EPOLL
                                                     : LOOP_AUTO;
    w->loop = loop_create(kind, why);
    return w->loop != NULL;
}

static bool open_log(struct worker *w, struct buf *why)
{
    const struct options *o = w->engine->options;
    w->disk = loop_disk_create(w->engine->disk, w->loop);
    w->dir = w->engine->dir;
    w->dir.disk = w->disk;
    w->dir.error = (struct buf){0};
    uint64_t mask = 0;
    for (uint32_t i = w->index; i < LOGICAL_SHARDS; i += w->engine->threads) mask |= 1ull << i;
    struct wal_config config = {.dir = &w->dir,
                                .epoch = w->engine->recovered.next_epoch,
                                .thread = w->index,
                                .segment_bytes = o->log_segment / LOG_BLOCK_BYTES * LOG_BLOCK_BYTES,
                                .shard_mask = mask,
                                .core_version = CORE_VERSION,
                                .relaxed = o->sync == SYNC_NONE,
                                .delay_us = 300,
                                .self = w,
                                .failed = disk_failed};
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++)
        config.start_lsn[i] = shard_lsn(w->engine->shards[i]); /* nobody works yet */
    w->wal = wal_open(&config, why);
    return w->wal != NULL;
}

/* Tells main how it went and waits until all are there. False: some other thread failed. */
static bool report(struct worker *w, bool fine, const struct buf *why)
{
    struct engine *e = w->engine;
    if (!fine)
        log_line(LOG_ERROR, "start_failed", "thread=%u reason=\"%.*s\"", w->index, (int)why->n,
                 (char *)why->p);
    if (fine && why->n && w->index == 0)
        log_line(LOG_INFO, "io_fallback", "io=%s reason=\"%.*s\"", loop_name(w->loop), (int)why->n,
                 (char *)why->p);
    pthread_mutex_lock(&e->lock);
    e->ready++;
    e->failed += !fine;
    pthread_cond_broadcast(&e->changed);
    while (!e->go) pthread_cond_wait(&e->changed, &e->lock);
    bool go = e->failed == 0;
    pthread_mutex_unlock(&e->lock);
    return go;
}

static void drain_log(struct worker *w)
{
    while (!wal_idle(w->wal)) {
        uint32_t wait = wal_pump(w->wal, loop_now_us());
        if (!wal_idle(w->wal)) loop_run(w->loop, wait < 1000 ? wait : 1000);
    }
}

/* Limits that decide what a journey does are records: replay must not ask what the flags say today. */
static void log_limits(struct worker *w)
{
    uint64_t all = w->engine->options->outbox_limit, limit = (all + LOGICAL_SHARDS - 1) / LOGICAL_SHARDS;
    uint8_t payload[10];
    store_le16(payload, ADMIN_LIMITS);
    store_le64(payload + 2, limit);
    for (uint32_t i = 0; i < w->shard_count; i++) {
        if (shard_outbox_limit(w->shards[i]) == limit) continue;
        struct record r = {.kind = RECORD_ADMIN,
                           .shard = shard_index(w->shards[i]),
                           .payload = slice_of(payload, sizeof payload)};
        CHECK(intake_record(w, &r)); /* the log is new and empty: it has room for the few */
    }
}

void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct buf why = {0};
    pin(w->index);
    bool fine = open_loop(w, &why) && open_log(w, &why);
    bool go = report(w, fine, &why);
    buf_free(&why);
    if (go) {
        read_clock(w);
        log_limits(w);
        worker_resend(w);
        while (!w->stop) worker_turn(w);
        conns_close_all(w);
        if (w->index == 0) admin_stop(w->engine);
        while (conns_count(w) || (w->index == 0 && !admin_stopped(w->engine))) loop_run(w->loop, 1000);
        drain_log(w);
    }
    if (w->wal) wal_close(w->wal);
    w->wal = NULL;
    return NULL;
}

void worker_create(struct worker *w, struct engine *engine, uint32_t index)
{
    memset(w, 0, sizeof *w);
    w->engine = engine;
    w->index = index;
    w->calls_end = &w->calls;
    uint64_t quarter = engine->options->log_segment / 4;
    w->batch_bytes = (uint32_t)(quarter < BATCH_BYTES_MAX ? quarter : BATCH_BYTES_MAX);
    for (uint32_t i = index; i < LOGICAL_SHARDS; i += engine->threads)
        w->shards[w->shard_count++] = engine->shards[i];
    intake_create(&w->intake);
    CHECK(credit_create(&w->credit));
    w->conns = conns_create(w);
}

void worker_destroy(struct worker *w)
{
    loop_disk_destroy(w->disk);
    loop_destroy(w->loop);
    conns_destroy(w->conns);
    intake_destroy(&w->intake);
    credit_destroy(&w->credit);
    queue_free(&w->held);
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) queue_free(&w->outbound[i]);
    buf_free(&w->dir.error);
}

/* ---- latency --------------------------------------------------------------------------------------- */

/* Four buckets per doubling: at most a fifth off. */
void latency_add(struct latency *l, uint64_t us)
{
    if (us < 4) {
        l->buckets[us]++;
        return;
    }
    uint32_t top = 63 - (uint32_t)__builtin_clzll(us), quarter = (uint32_t)(us >> (top - 2)) & 3;
    uint32_t bucket = (top - 1) * 4 + quarter;
    l->buckets[bucket < 127 ? bucket : 127]++;
}

uint32_t latency_percentile(const struct latency *l, uint32_t percent)
{
    uint64_t all = 0, below = 0;
    for (uint32_t i = 0; i < 128; i++) all += l->buckets[i];
    for (uint32_t i = 0; all && i < 128; i++) {
        below += l->buckets[i];
        if (below * 100 >= all * percent) return i < 4 ? i : (uint32_t)((4 + (i & 3)) << (i / 4 - 1));
    }
    return 0;
}
