#include "tests/sim/net.h"
#include "io/loop_impl.h"
#include "tests/sim/disk.h"
#include "tests/sim/world.h"

#include <errno.h>
#include <stdlib.h>

enum { FD_BASE = 1 << 20, WIRES_MAX = 4096, DELAY_US = 60 };

struct wire {
    int fd;
    struct wire_user user;
    bool client_gone, node_gone; /* who let go */
    struct buf arrived;          /* not yet read by the node */
    bool end_arrived, end_told;
    uint64_t in_until_us, out_until_us; /* order is kept: no piece comes before the one ahead of it */
    /* the node's side */
    struct loop_socket *socket;
    struct sim_loop *loop;
    bool paused, closing;
    const uint8_t *send_p;
    size_t send_n;
    int64_t send_result;
    bool sending, sent;
    struct wire *next; /* of the same loop */
};

struct listener {
    int fd;
    struct loop_socket *socket;
    struct sim_loop *loop;
    bool closing;
    int waiting[16]; /* connections not yet accepted */
    uint32_t waiting_count;
};

struct written { /* a durable write that is done */
    struct loop_write *write;
    struct sim_loop *loop;
    int64_t result;
    struct written *next;
};

struct sim_loop {
    struct loop base;
    struct fiber *fiber;
    struct wire *wires;
    struct written *written, **written_end;
};

static struct wire *wires[WIRES_MAX]; /* by fd; never reused: a stale one is noticed */
static int wire_count;
static struct listener listeners[PORT_COUNT];

static struct sim_loop *self_of(struct loop *l) { return (struct sim_loop *)l; }

static void nudge(struct sim_loop *l)
{
    if (l) fiber_wake(l->fiber, chance_between(1, 15));
}

bool net_is_fd(int fd) { return fd >= FD_BASE; }

static struct wire *wire_of(int fd)
{
    CHECK(fd >= FD_BASE + PORT_COUNT && fd < FD_BASE + PORT_COUNT + wire_count);
    return wires[fd - FD_BASE - PORT_COUNT];
}

/* ---- the client's side --------------------------------------------------------------------- */

bool net_listening(enum net_port port)
{
    return listeners[port].socket && !listeners[port].closing && listeners[port].waiting_count < 16;
}

struct wire *net_connect(enum net_port port, const struct wire_user *user)
{
    if (!net_listening(port)) return NULL;
    struct wire *w = calloc(1, sizeof *w);
    CHECK(w != NULL && wire_count < WIRES_MAX);
    w->fd = FD_BASE + PORT_COUNT + wire_count;
    wires[wire_count++] = w;
    w->user = *user;
    listeners[port].waiting[listeners[port].waiting_count++] = w->fd;
    nudge(listeners[port].loop);
    return w;
}

struct on_way {
    struct wire *wire;
    size_t n;
    uint8_t bytes[];
};

static void arrive(void *self, uint64_t number)
{
    struct on_way *o = self;
    struct wire *w = o->wire;
    (void)number;
    if (!w->client_gone && !w->node_gone) {
        buf_put(&w->arrived, o->bytes, o->n);
        nudge(w->loop);
    }
    free(o);
}

static uint64_t later(uint64_t *until)
{
    uint64_t at = world_us + (chance_in(60) ? chance_between(1000, 30000) : chance_between(5, DELAY_US));
    if (at < *until) at = *until;
    *until = at;
    return at - world_us;
}

static struct on_way *pack(struct wire *w, const uint8_t *p, size_t n)
{
    struct on_way *o = malloc(sizeof *o + n);
    CHECK(o != NULL);
    o->wire = w;
    o->n = n;
    memcpy(o->bytes, p, n);
    return o;
}

void net_send(struct wire *w, const void *p, size_t n)
{
    const uint8_t *at = p;
    while (n) {
        size_t cut = chance_in(3) ? 1 + chance_below((uint32_t)(n < 4000 ? n : 4000)) : n;
        world_after(later(&w->in_until_us), arrive, pack(w, at, cut), 0);
        at += cut;
        n -= cut;
    }
}

static void end_arrives(void *self, uint64_t number)
{
    struct wire *w = self;
    (void)number;
    w->end_arrived = true;
    nudge(w->loop);
}

void net_cut(struct wire *w)
{
    if (w->client_gone) return;
    w->client_gone = true; /* what is on its way to the node is lost, what has arrived there is not */
    world_after(chance_between(1, 2000), end_arrives, w, 0);
}

static void deliver(void *self, uint64_t number)
{
    struct on_way *o = self;
    (void)number;
    if (!o->wire->client_gone) o->wire->user.received(o->wire->user.self, o->bytes, o->n);
    free(o);
}

static void tell_lost(void *self, uint64_t number)
{
    struct wire *w = self;
    (void)number;
    if (w->client_gone) return;
    w->client_gone = true;
    w->user.lost(w->user.self);
}

void net_machine_died(void)
{
    for (int i = 0; i < wire_count; i++) {
        wires[i]->client_gone = wires[i]->node_gone = true;
        wires[i]->socket = NULL;
        wires[i]->loop = NULL;
    }
    memset(listeners, 0, sizeof listeners);
}

/* ---- what the kernel is asked ----------------------------------------------------------------- */

int net_listen(enum net_port port)
{
    listeners[port] = (struct listener){.fd = FD_BASE + (int)port};
    return listeners[port].fd;
}

void net_close(int fd)
{
    if (fd < FD_BASE + PORT_COUNT) return;
    struct wire *w = wire_of(fd);
    w->node_gone = true;
    world_after(later(&w->out_until_us), tell_lost, w, 0);
}

/* ---- the loop's third backend -------------------------------------------------------------------- */

static void sim_destroy(struct loop *l) { free(self_of(l)); }

static void sim_listen(struct loop *l, struct loop_socket *s)
{
    struct listener *at = &listeners[s->fd - FD_BASE];
    at->socket = s;
    at->loop = self_of(l);
}

static void sim_receive(struct loop *l, struct loop_socket *s)
{
    struct wire *w = wire_of(s->fd);
    w->socket = s;
    w->loop = self_of(l);
    w->next = w->loop->wires;
    w->loop->wires = w;
    s->impl = w;
}

static void sim_pause(struct loop *l, struct loop_socket *s) { ((struct wire *)s->impl)->paused = true; }

static void sim_resume(struct loop *l, struct loop_socket *s)
{
    ((struct wire *)s->impl)->paused = false;
    nudge(self_of(l));
}

/* The bytes are copied out only now: they had to stay untouched until here. */
static void send_done(void *self, uint64_t number)
{
    struct wire *w = self;
    (void)number;
    if (!w->sending || !w->loop) return;
    size_t n = chance_in(8) ? 1 + chance_below((uint32_t)w->send_n) : w->send_n;
    w->sending = false;
    w->sent = true;
    w->send_result = w->client_gone ? -EPIPE : (int64_t)n;
    if (!w->client_gone)
        for (size_t at = 0; at < n;) {
            size_t cut = chance_in(4) ? 1 + chance_below((uint32_t)(n - at)) : n - at;
            world_after(later(&w->out_until_us), deliver, pack(w, w->send_p + at, cut), 0);
            at += cut;
        }
    nudge(w->loop);
}

static void sim_send(struct loop *l, struct loop_socket *s, const uint8_t *p, size_t n)
{
    struct wire *w = s->impl;
    CHECK(!w->sending && !w->sent && n > 0);
    w->sending = true;
    w->send_p = p;
    w->send_n = n;
    world_after(chance_in(40) ? chance_between(500, 9000) : chance_between(2, 40), send_done, w, 0);
}

static void sim_close(struct loop *l, struct loop_socket *s)
{
    if (s->fd < FD_BASE + PORT_COUNT) {
        listeners[s->fd - FD_BASE].closing = true;
    } else {
        struct wire *w = s->impl;
        if (!w->closing) net_close(s->fd);
        w->closing = true;
    }
    nudge(self_of(l));
}

static void write_done(void *owner, int64_t result)
{
    struct written *d = owner;
    d->result = result;
    *d->loop->written_end = d;
    d->loop->written_end = &d->next;
    nudge(d->loop);
}

static void sim_write(struct loop *l, struct loop_write *w)
{
    struct written *d = calloc(1, sizeof *d);
    CHECK(d != NULL);
    d->write = w;
    d->loop = self_of(l);
    sim_disk_write(w->fd, w->offset, w->p, w->n, write_done, d);
}

static uint32_t run_writes(struct sim_loop *l)
{
    uint32_t n = 0;
    struct written *d = l->written;
    l->written = NULL;
    l->written_end = &l->written;
    for (struct written *next; d; d = next, n++) {
        next = d->next;
        d->write->done(d->write, d->result);
        free(d);
    }
    return n;
}

static uint32_t run_listeners(struct sim_loop *l)
{
    uint32_t n = 0;
    for (int i = 0; i < PORT_COUNT; i++) {
        struct listener *at = &listeners[i];
        if (!at->socket || at->loop != l) continue;
        while (at->waiting_count && !at->closing) {
            int fd = at->waiting[--at->waiting_count];
            at->socket->on_accept(at->socket, fd);
            n++;
        }
        if (!at->closing) continue;
        struct loop_socket *s = at->socket;
        while (at->waiting_count) net_close(at->waiting[--at->waiting_count]);
        *at = (struct listener){0};
        s->fd = -1;
        s->on_closed(s);
    }
    return n;
}

static uint32_t run_wire(struct wire *w)
{
    uint8_t piece[RECEIVE_BYTES];
    if (w->sent && !w->closing) {
        w->sent = false;
        w->socket->on_sent(w->socket, w->send_result);
        return 1;
    }
    if (w->closing || w->paused) return 0;
    if (w->arrived.n) {
        size_t n = chance_in(4) ? 1 + chance_below((uint32_t)w->arrived.n) : w->arrived.n;
        if (n > sizeof piece) n = sizeof piece;
        memcpy(piece, w->arrived.p, n);
        memmove(w->arrived.p, w->arrived.p + n, w->arrived.n - n);
        w->arrived.n -= n;
        w->socket->on_bytes(w->socket, piece, n);
        memset(piece, 0xa5, n); /* lent for the length of the call */
        return 1;
    }
    if (!w->end_arrived || w->end_told) return 0;
    w->end_told = true;
    w->socket->on_bytes(w->socket, NULL, 0);
    return 1;
}

static uint32_t run_closes(struct sim_loop *l)
{
    uint32_t n = 0;
    for (struct wire **at = &l->wires; *at;) {
        struct wire *w = *at;
        if (!w->closing || w->sending) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        struct loop_socket *s = w->socket;
        w->socket = NULL;
        w->loop = NULL;
        buf_free(&w->arrived);
        s->fd = -1;
        s->on_closed(s);
        n++;
    }
    return n;
}

static uint32_t run_ready(struct sim_loop *l)
{
    uint32_t n = run_writes(l) + run_listeners(l);
    struct wire *list[256];
    uint32_t count = 0;
    for (struct wire *w = l->wires; w && count < 256; w = w->next) list[count++] = w;
    for (uint32_t i = 0; i < count; i++) { /* in any order */
        uint32_t k = i + chance_below(count - i);
        struct wire *w = list[k];
        list[k] = list[i];
        if (w->socket) n += run_wire(w);
    }
    return n + run_writes(l) + run_closes(l);
}

/* A turn takes time; now and then the machine has something else to do. */
static uint32_t sim_run(struct loop *base, uint32_t wait_us)
{
    struct sim_loop *l = self_of(base);
    l->fiber = fiber_self();
    fiber_sleep(chance_in(300) ? chance_between(1000, 8000) : chance_between(3, 25));
    uint32_t n = run_ready(l);
    if (n || !wait_us || atomic_exchange(&base->pending, 0)) return n;
    fiber_sleep(wait_us);
    atomic_store(&base->pending, 0);
    return run_ready(l);
}

static const struct loop_ops sim_ops = {"sim",      sim_destroy, sim_listen, sim_receive, sim_pause,
                                        sim_resume, sim_send,    sim_close,  sim_write,   sim_run};

struct loop *__wrap_loop_create(enum loop_kind kind, struct buf *why_not);
struct loop *__wrap_loop_create(enum loop_kind kind, struct buf *why_not)
{
    struct sim_loop *l = aligned_alloc(64, (sizeof *l + 63) & ~(size_t)63);
    CHECK(l != NULL);
    memset(l, 0, sizeof *l);
    l->base.ops = &sim_ops;
    l->base.event_fd = -1;
    l->fiber = fiber_self();
    l->written_end = &l->written;
    return &l->base;
}

void __wrap_loop_wake(struct loop *l);
void __wrap_loop_wake(struct loop *l)
{
    atomic_store(&l->pending, 1);
    nudge(self_of(l));
}
