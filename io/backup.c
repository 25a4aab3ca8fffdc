/* backup.c - a backup of the running server: a consistent cut through all logs, at the price of two short errands.
 *
 *   every worker stops taking notes of the others          (until all have: nothing new passes between logs)
 *   every worker notes where its log is durable, and goes on
 *
 * A note is sent when its cause is in the sender's log, and all that were taken before were sent before any end was noted:
 * so a cut that holds a message also holds what caused it. One that holds only the cause is what a crash leaves, too: the
 * message is sent again at start. Whatever was acknowledged before the call is durable, so it is in.
 * Links and copies are made by a thread of their own; sockets are read all the time. */
#include "io/admin.h"
#include "io/snapshotter.h"
#include "persist/backup.h"

#include <stdlib.h>

struct backup_run {
    struct request *request;
    struct engine *engine;
    struct datadir dir; /* the engine's, with an error of its own */
    struct backup backup;
    struct slice to;
    struct log_end *ends; /* of each worker */
    pthread_t thread;
    struct call back; /* from that thread to worker 0 */
    enum persist_status (*body)(struct backup_run *run);
    void (*then)(struct backup_run *run);
    enum persist_status status;
};

static void *thread_main(void *arg)
{
    struct backup_run *run = arg;
    engine_step_aside(run->engine);
    run->status = run->body(run);
    run->back.returning = true;
    call_post(&run->engine->workers[0], &run->back);
    return NULL;
}

static void finish(struct backup_run *run)
{
    struct request *r = run->request;
    run->engine->admin->backing_up = false;
    if (run->status == PERSIST_OK) {
        log_line(LOG_INFO, "backup", "to=\"%s\" snapshot=%llu", run->backup.to,
                 (unsigned long long)run->backup.snapshot);
        pk_map(&r->pack, 3);
        pk_key_uint(&r->pack, "snapshot", run->backup.snapshot);
        pk_key_uint(&r->pack, "files", run->backup.files);
        pk_key_uint(&r->pack, "copied_bytes", run->backup.bytes);
        request_reply(r);
    } else {
        request_fail(r, ERROR_FAILED, "backup_failed", "%.*s", (int)run->dir.error.n,
                     (const char *)run->dir.error.p);
    }
    datadir_close(&run->dir);
    free(run->ends);
    free(run);
}

static void back(struct call *c)
{
    struct backup_run *run = c->owner;
    pthread_join(run->thread, NULL);
    if (run->status == PERSIST_OK && run->then)
        run->then(run);
    else
        finish(run);
}

static void in_thread(struct backup_run *run, enum persist_status (*body)(struct backup_run *),
                      void (*then)(struct backup_run *))
{
    run->back = (struct call){.done = back, .owner = run};
    run->body = body;
    run->then = then;
    CHECK(pthread_create(&run->thread, NULL, thread_main, run) == 0);
}

/* ---- the cut ----------------------------------------------------------------------------------------- */

static enum call_state stop_listening(struct worker *w, struct part *p)
{
    (void)p;
    if (wal_recycling(w->wal)) return CALL_WAIT; /* what is listed must not go away */
    w->deaf = true;
    return CALL_DONE;
}

static enum persist_status take_logs(struct backup_run *run)
{
    enum persist_status status = backup_logs(&run->backup, run->ends, run->engine->threads);
    if (status == PERSIST_OK) status = backup_publish(&run->backup);
    if (status != PERSIST_OK) backup_abandon(&run->backup);
    return status;
}

/* Durable here and now: on the test clock notes travel before the disk has their cause (order.h). */
static enum call_state note_end(struct worker *w, struct part *p)
{
    struct backup_run *run = p->scatter->owner;
    uint64_t *until = p->result;
    if (!until) {
        p->result = until = malloc(sizeof *until);
        CHECK(until != NULL);
        *until = wal_last(w->wal);
    }
    if (wal_durable(w->wal) < *until) return CALL_WAIT;
    wal_durable_end(w->wal, &run->ends[w->index]);
    w->deaf = false;
    return CALL_DONE;
}

static void ends_noted(struct scatter *s)
{
    struct backup_run *run = s->owner;
    for (uint32_t i = 0; i < s->count; i++) free(s->parts[i].result);
    scatter_free(s);
    in_thread(run, take_logs, NULL);
}

static void all_deaf(struct scatter *s)
{
    struct backup_run *run = s->owner;
    scatter_free(s);
    s = scatter_new(run->engine, run);
    s->run = note_end;
    s->done = ends_noted;
    scatter_start(s);
}

static void cut(struct backup_run *run)
{
    struct scatter *s = scatter_new(run->engine, run);
    s->run = stop_listening;
    s->done = all_deaf;
    scatter_start(s);
}

/* ---- beginning ------------------------------------------------------------------------------------------- */

static enum persist_status take_the_rest(struct backup_run *run)
{
    enum persist_status status = backup_begin(&run->backup, &run->dir, run->to, true);
    if (status != PERSIST_OK) backup_abandon(&run->backup);
    return status;
}

void method_backup_start(struct request *r)
{
    struct engine *e = r->engine;
    struct slice to;
    if (!param_text(r, 0, "dir", &to) || !to.n || to.p[0] != '/' || memchr(to.p, 0, to.n)) {
        request_bad(r, "dir is an absolute path");
        return;
    }
    if (snapshot_running(e) || e->admin->backing_up) {
        request_fail(r, ERROR_BUSY, "busy", "a snapshot or a backup is being written");
        return;
    }
    struct backup_run *run = calloc(1, sizeof *run);
    CHECK(run != NULL);
    run->request = r;
    run->engine = e;
    run->dir = e->dir;
    run->dir.error = (struct buf){0};
    run->to = to; /* lives as long as the request */
    run->ends = calloc(e->threads, sizeof *run->ends);
    CHECK(run->ends != NULL);
    e->admin->backing_up = true;
    in_thread(run, take_the_rest, cut);
}
