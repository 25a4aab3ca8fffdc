/* admin.c - the control side of the engine, once per turn of worker 0: listeners, readiness, once-a-second chores, the end. */
#include "io/admin.h"
#include "io/address.h"
#include "io/remember.h"
#include "io/snapshotter.h"
#include "persist/crash.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- listening ----------------------------------------------------------------------------------- */

/* A connection on its way to the worker that will own it. */
struct handover {
    struct call call;
    int fd;
};

static enum call_state take_connection(struct worker *w, struct call *c)
{
    conn_open(w, ((struct handover *)c->owner)->fd);
    return CALL_DONE;
}

static void taken(struct call *c) { free(c->owner); }

/* Round robin: few connections spread evenly, which hashing would not promise. */
static void accept_ingest(struct engine *e, int fd)
{
    if (atomic_load(&e->connections) >= CONNECTIONS_MAX || e->draining) {
        e->workers[0].counters.refused++;
        close(fd);
        return;
    }
    atomic_fetch_add(&e->connections, 1);
    struct handover *h = calloc(1, sizeof *h);
    CHECK(h != NULL);
    h->fd = fd;
    h->call = (struct call){.run = take_connection, .done = taken, .owner = h};
    call_post(&e->workers[e->admin->next_worker++ % e->threads], &h->call);
}

static void on_accept(struct loop_socket *s, int fd)
{
    struct listen_socket *l = s->owner;
    if (l->is_admin)
        admin_accept(l->engine, fd);
    else
        accept_ingest(l->engine, fd);
}

static void on_closed(struct loop_socket *s) { ((struct listen_socket *)s->owner)->open = false; }

/* The address was found good before recovery (engine.c); what fails now is the moment's. */
static int listen_on(struct engine *e, const char *url, bool is_admin)
{
    struct admin *a = e->admin;
    struct listen_socket *l = &a->listeners[a->listener_count];
    struct address address;
    struct buf error = {0};
    CHECK(address_parse(url, &address, &error));
    int fd = address_listen(&address, &error);
    if (fd < 0) {
        log_line(LOG_ERROR, "listen", "reason=\"%.*s\"", (int)error.n, (char *)error.p);
        buf_free(&error);
        return 1;
    }
    a->listener_count++;
    *l = (struct listen_socket){.engine = e, .is_admin = is_admin, .open = true};
    l->socket = (struct loop_socket){.fd = fd, .owner = l, .on_accept = on_accept, .on_closed = on_closed};
    buf_put_str(&a->ready_line, is_admin ? " admin=" : a->listener_count > 1 ? "," : " ingest=");
    address_print(&address, fd, &a->ready_line);
    loop_listen(e->workers[0].loop, &l->socket);
    return 0;
}

static void close_listeners(struct engine *e)
{
    struct admin *a = e->admin;
    for (uint32_t i = 0; i < a->listener_count; i++)
        if (a->listeners[i].open) loop_close(e->workers[0].loop, &a->listeners[i].socket);
}

/* ---- starting ------------------------------------------------------------------------------------------ */

/* systemd's readiness protocol: one datagram. */
static void notify_systemd(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof a.sun_path) return;
    size_t n = strlen(path);
    memcpy(a.sun_path, path, n);
    if (a.sun_path[0] == '@') a.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&a,
           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
    close(fd);
}

static uint64_t count_profiles(const struct engine *e)
{
    uint64_t n = 0; /* before anything is served: nobody changes them */
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) n += shard_store(e->shards[i])->profiles;
    return n;
}

static void exit_with(struct engine *e, int code)
{
    e->exit_code = code;
    admin_shutdown(e);
}

static void open_for_business(void *owner, int failure, const char *error)
{
    struct engine *e = owner;
    const struct options *o = e->options;
    if (failure) {
        log_line(LOG_ERROR, "definitions", "reason=\"%s; nothing is served\"", error);
        exit_with(e, failure);
        return;
    }
    uint64_t profiles = count_profiles(e);
    int code = 0;
    for (uint32_t i = 0; i < o->ingest_count && !code; i++) code = listen_on(e, o->ingest[i], false);
    if (!code) code = listen_on(e, o->admin, true);
    if (code) {
        exit_with(e, code);
        return;
    }
    emit_start(e);
    printf("ready%.*s threads=%u profiles=%llu recovered_lsn=%llu io=%s\n", (int)e->admin->ready_line.n,
           (char *)e->admin->ready_line.p, e->threads, (unsigned long long)profiles,
           (unsigned long long)e->recovered.lsn_sum, e->io_name);
    fflush(stdout);
    crash_ready();
    notify_systemd("READY=1");
    if (o->sync == SYNC_NONE)
        log_line(LOG_WARNING, "sync_none", "reason=\"nothing waits for the disk; for benches only\"");
}

static void load_definitions(void *owner, int failure, const char *error)
{
    struct engine *e = owner;
    (void)failure, (void)error; /* catching up has none */
    if (e->options->definitions)
        definer_load_dir(e, e->options->definitions, open_for_business, e);
    else
        open_for_business(e, 0, NULL);
}

static enum call_state begin(struct worker *w, struct call *c)
{
    struct engine *e = w->engine;
    enum persist_status status = remember_open(e);
    if (status != PERSIST_OK)
        exit_with(e, status);
    else
        definer_catch_up(e, load_definitions, e);
    return CALL_DONE;
}

void admin_create(struct engine *e)
{
    e->admin = calloc(1, sizeof *e->admin);
    CHECK(e->admin != NULL);
    e->admin->engine = e;
    e->admin->begin.run = begin;
    actions_create(e);
}

void admin_start(struct engine *e) { call_post(&e->workers[0], &e->admin->begin); }

void admin_destroy(struct engine *e)
{
    if (!e->admin) return;
    actions_destroy(e);
    remember_close(e);
    emit_free(e);
    scatter_free(e->admin->last);
    buf_free(&e->admin->ready_line);
    free(e->admin);
    e->admin = NULL;
}

/* ---- reloading ------------------------------------------------------------------------------------------ */

static void reloaded(void *owner, int failure, const char *error)
{
    (void)owner;
    if (failure) log_line(LOG_ERROR, "reload", "reason=\"%s; the set before stands\"", error);
}

void admin_reload(struct engine *e)
{
    if (e->options->definitions) definer_load_dir(e, e->options->definitions, reloaded, e);
}

/* ---- every turn -------------------------------------------------------------------------------------------- */

/* Of log between two snapshots: what was asked for, or sooner when the disk has less than twice as much left. A disk that
 * is almost full gets no more than one a file. */
static uint64_t due_after_bytes(const struct engine *e)
{
    int64_t space = e->disk->ops->space(e->disk);
    uint64_t half = space < 0 ? UINT64_MAX : (uint64_t)space / 2;
    if (half < e->options->log_segment) half = e->options->log_segment;
    return half < e->options->snapshot_every ? half : e->options->snapshot_every;
}

static void automatic_snapshot(struct engine *e)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < e->threads; i++)
        bytes += atomic_load_explicit(&e->workers[i].wal_bytes, memory_order_relaxed);
    if (bytes - e->admin->wal_bytes_at_snapshot < due_after_bytes(e)) return;
    if (snapshot_start(e, NULL, NULL)) e->admin->wal_bytes_at_snapshot = bytes;
}

void admin_turn(struct engine *e)
{
    struct admin *a = e->admin;
    actions_turn(e);
    emit_turn(e);
    admin_conns_turn(e);
    if (e->workers[0].now_us < a->next_second_us) return;
    a->next_second_us = e->workers[0].now_us + 1000000;
    clock_follow(&e->clock);
    if (getenv("WATCHDOG_USEC")) notify_systemd("WATCHDOG=1");
    if (e->options->snapshot_every && !e->draining) automatic_snapshot(e);
}

uint32_t admin_patience_us(struct engine *e)
{
    if (actions_waiting(e)) return 0;
    uint32_t emit = emit_patience_us(e);
    return emit < 1000000 ? emit : 1000000;
}

/* ---- the end ---------------------------------------------------------------------------------------------- */

static enum call_state stop_worker(struct worker *w, struct part *p)
{
    w->stop = true;
    return CALL_DONE;
}

static void stop_all(void *owner, uint64_t number, const char *error)
{
    struct engine *e = owner;
    (void)number;
    if (error && !e->exit_code)
        e->exit_code = PERSIST_IO; /* the log has everything; the snapshot is missing */
    struct scatter *s = e->admin->last = scatter_new(e, NULL); /* nobody is left to hear the answers */
    s->run = stop_worker;
    for (uint32_t i = 0; i < s->count; i++) s->parts[i].call.done = NULL;
    scatter_start(s);
}

static void drained(void *owner, uint32_t next_due, uint64_t events)
{
    struct engine *e = owner;
    (void)next_due;
    admin_conns_close(e);
    atomic_store(&e->frozen, true); /* what is cut now is all there is: no log tail is left */
    if (!snapshot_start(e, stop_all, e))
        quiet_wait(e, true, drained, e); /* one, or a backup, is being written: after it */
}

void admin_shutdown(struct engine *e)
{
    if (e->admin->shutting_down) return;
    e->admin->shutting_down = true;
    notify_systemd("STOPPING=1");
    log_line(LOG_INFO, "stopping", "reason=\"drain, snapshot, exit\"");
    close_listeners(e);
    atomic_store(&e->draining, true);
    quiet_wait(e, true, drained, e);
}

void admin_stop(struct engine *e)
{
    close_listeners(e);
    admin_conns_close(e);
    emit_destroy(e);
}

bool admin_stopped(const struct engine *e)
{
    for (uint32_t i = 0; i < e->admin->listener_count; i++)
        if (e->admin->listeners[i].open) return false;
    return e->admin->conns == NULL && emit_closed(e);
}
