#include "io/engine.h"
#include "persist/crash.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

/* A frame with at least this many entries (so many bytes, where they are packed) is not copied: its batches are flushed before
 * the parser goes on. */
enum { BORROW_ENTRIES = BATCH_EVENTS / 2, BORROW_BYTES = 16 << 10 };

struct conn {
    struct loop_socket socket;
    struct worker *worker;
    struct forward *forward;
    struct conn *next, *previous; /* all of this worker */
    struct conn *next_dirty;
    struct buf out, sending; /* replies and acks; `sending` belongs to the kernel */
    size_t held_bytes;       /* by the parser */
    uint64_t late_at_us;     /* when what has begun must be over: handshake, half frame; 0: nothing has */
    bool frame_over;         /* a frame was completed by the bytes at hand */
    uint64_t cookie;         /* of the frame being taken in; 0: no ack wanted */
    uint16_t first_chunk, last_chunk; /* waiting for their acks, in order of arrival */
    bool copy, decodes, dirty, in_flight, paused, closing, told_dropped;
};

struct conns {
    struct conn *first;
    struct conn *dirty;      /* have something to send */
    uint32_t count, stopped; /* stopped: their parser waits for room */
    uint32_t timed;          /* have a deadline */
    size_t held_bytes;       /* by all parsers */
    uint64_t next_check_us;
    struct forward_spares spares;
};

/* ---- sending ------------------------------------------------------------------------------------ */

static void mark_dirty(struct conn *c)
{
    struct conns *all = c->worker->conns;
    if (c->dirty) return;
    c->dirty = true;
    c->next_dirty = all->dirty;
    all->dirty = c;
}

static void send_out(struct conn *c)
{
    if (c->in_flight || c->closing || !c->out.n) return;
    struct buf idle = c->sending;
    c->sending = c->out;
    c->out = idle;
    buf_clear(&c->out);
    c->in_flight = true;
    loop_send(c->worker->loop, &c->socket, c->sending.p, c->sending.n);
}

static void conn_close(struct conn *c)
{
    if (c->closing) return;
    c->closing = true;
    if (c->paused) c->worker->conns->stopped--;
    for (uint16_t slot = c->first_chunk; slot != NO_CHUNK; slot = c->worker->credit.chunks[slot].next)
        c->worker->credit.chunks[slot].conn = NULL; /* the slot goes when its weight is home */
    loop_close(c->worker->loop, &c->socket);
}

static void on_sent(struct loop_socket *s, int64_t result)
{
    struct conn *c = s->owner;
    c->in_flight = false;
    if (result < 0) {
        conn_close(c);
        return;
    }
    CRASH_POINT(ack_sent);
    if ((size_t)result < c->sending.n) { /* the rest goes first */
        struct buf rest = {0};
        buf_put(&rest, c->sending.p + result, c->sending.n - (size_t)result);
        buf_put(&rest, c->out.p, c->out.n);
        buf_free(&c->out);
        c->out = rest;
    }
    buf_clear(&c->sending);
    send_out(c);
}

/* {"ack": id}, echoed in the form it came. */
static void put_ack(struct conn *c, const struct chunk *k)
{
    uint8_t text[16 + CHUNK_ID_BYTES_MAX], *p = text;
    if (c->out.n + sizeof text > ACK_BYTES_MAX) {
        c->worker->counters.acks_dropped++;
        if (!c->told_dropped)
            log_line(LOG_WARNING, "acks_dropped", "reason=\"a client does not read its acks\"");
        c->told_dropped = true;
        return;
    }
    p = mpw_map(p, 1);
    p = mpw_str(p, SLICE("ack"));
    struct slice id = slice_of(k->id, k->id_bytes);
    p = k->id_is_bin ? mpw_bin(p, id) : mpw_str(p, id);
    buf_put(&c->out, text, (size_t)(p - text));
    mark_dirty(c);
}

void conn_chunk_complete(struct worker *w, uint16_t slot)
{
    struct credit *credit = &w->credit;
    struct chunk *k = &credit->chunks[slot];
    struct conn *c = k->conn;
    if (!c) {
        uint64_t parent = k->parent;
        chunk_release(credit, slot);
        if (parent) release_done(w, parent);
        return;
    }
    k->complete = true;
    while (c->first_chunk != NO_CHUNK && credit->chunks[c->first_chunk].complete) {
        uint16_t first = c->first_chunk;
        k = &credit->chunks[first];
        latency_add(&w->ack_latency, w->now_us > k->begun_us ? w->now_us - k->begun_us : 0);
        CRASH_POINT(ack_before);
        put_ack(c, k);
        CRASH_POINT(ack_after);
        c->first_chunk = k->next;
        if (c->first_chunk == NO_CHUNK) c->last_chunk = NO_CHUNK;
        chunk_release(credit, first);
    }
}

/* ---- the parser's sink ---------------------------------------------------------------------------- */

static uint64_t open_chunk(struct conn *c, const struct forward_chunk *f)
{
    struct credit *credit = &c->worker->credit;
    uint16_t slot = chunk_open(credit, c);
    CHECK(slot != NO_CHUNK &&
          f->chunk.n <= CHUNK_ID_BYTES_MAX); /* intake_open said so; the parser keeps the limit */
    struct chunk *k = &credit->chunks[slot];
    k->begun_us = loop_now_us();
    k->id_bytes = (uint8_t)f->chunk.n;
    k->id_is_bin = f->chunk_is_bin;
    memcpy(k->id, f->chunk.p, f->chunk.n);
    if (c->last_chunk == NO_CHUNK)
        c->first_chunk = slot;
    else
        credit->chunks[c->last_chunk].next = slot;
    c->last_chunk = slot;
    uint64_t cookie = chunk_cookie(credit, c->worker->index, slot);
    credit_enter(credit, cookie, CREDIT_WHOLE); /* the frame itself is owed until frame_end */
    return cookie;
}

static bool frame_begin(void *self, const struct forward_chunk *f)
{
    struct conn *c = self;
    if (!intake_open(c->worker)) return false;
    c->worker->counters.frames++;
    if (!c->decodes) c->copy = f->entries < BORROW_ENTRIES;
    c->decodes = false;
    c->cookie = f->chunk.n ? open_chunk(c, f) : 0;
    return true;
}

static void on_entry(void *self, const struct forward_entry *e)
{
    struct conn *c = self;
    if (unlikely(e->reject))
        intake_reject(c->worker, e->record, e->reject, c->cookie);
    else
        intake_event(c->worker, e, c->cookie, c->copy);
}

/* At the first entry bytes.n is all of them. A frame that has to wait would be decoded twice. */
static uint32_t on_decode(void *self, uint32_t nth, struct slice bytes, int64_t time_ms)
{
    struct conn *c = self;
    if (nth == 0) {
        c->copy = bytes.n < BORROW_BYTES;
        c->decodes = intake_open(c->worker);
    }
    return c->decodes ? intake_decode(c->worker, nth, bytes, time_ms, c->copy) : 0;
}

static void frame_end(void *self, const struct forward_chunk *f)
{
    struct conn *c = self;
    if (!c->copy) intake_settle(c->worker);
    c->frame_over = true;
    if (c->cookie) release_done(c->worker, c->cookie);
}

static void on_reply(void *self, const void *p, size_t n)
{
    struct conn *c = self;
    buf_put(&c->out, p, n);
    mark_dirty(c);
}

/* ---- deadlines -------------------------------------------------------------------------------------- */

static void set_deadline(struct conn *c, uint64_t at_us)
{
    struct conns *all = c->worker->conns;
    all->timed += at_us && !c->late_at_us;
    all->timed -= !at_us && c->late_at_us;
    c->late_at_us = at_us;
}

static uint64_t in_seconds(const struct conn *c, uint32_t asked, uint32_t usual)
{
    return c->worker->now_us + (asked ? asked : usual) * 1000000ull;
}

/* The handshake's stands until it is over; a half frame's starts anew with every frame that was completed. */
static void update_deadline(struct conn *c)
{
    if (!forward_greeted(c->forward)) return;
    if (forward_idle(c->forward))
        set_deadline(c, 0);
    else if (!c->late_at_us || c->frame_over)
        set_deadline(c, in_seconds(c, c->worker->engine->options->half_frame_s, HALF_FRAME_S));
    c->frame_over = false;
}

static void close_because(struct conn *c, enum forward_close why)
{
    c->worker->counters.closed_by[why]++;
    log_line(LOG_WARNING, "connection_closed", "reason=%s", forward_close_text(why));
    send_out(c); /* a refused handshake gets its answer */
    conn_close(c);
}

/* ---- receiving -------------------------------------------------------------------------------------- */

/* Half frames of thousands of peers must not fill the memory. False: no room for this one; it was not acknowledged and
 * comes again. Who only waits for us is not closed for it. */
static bool keep_half_frame(struct conn *c)
{
    struct conns *all = c->worker->conns;
    size_t now = forward_idle(c->forward) ? 0 : forward_memory(c->forward);
    bool grew = now > c->held_bytes;
    all->held_bytes += now - c->held_bytes;
    c->held_bytes = now;
    return !grew || forward_stopped(c->forward) ||
           all->held_bytes <= HALF_FRAMES_BYTES_MAX / c->worker->engine->threads;
}

static void after_feed(struct conn *c, enum forward_close why)
{
    struct worker *w = c->worker;
    if (why == FORWARD_CLOSE_NONE && !keep_half_frame(c)) why = FORWARD_CLOSE_BUFFERS_FULL;
    if (why != FORWARD_CLOSE_NONE) {
        close_because(c, why);
        return;
    }
    update_deadline(c);
    bool stopped = forward_stopped(c->forward);
    if (stopped && !c->paused) {
        w->conns->stopped++;
        loop_pause(w->loop, &c->socket);
    } else if (!stopped && c->paused) {
        w->conns->stopped--;
        loop_resume(w->loop, &c->socket);
    }
    c->paused = stopped;
}

static void on_bytes(struct loop_socket *s, const uint8_t *p, size_t n)
{
    struct conn *c = s->owner;
    if (c->closing) return;
    if (n == 0)
        conn_close(c);
    else
        after_feed(c, forward_feed(c->forward, p, n));
}

static void on_closed(struct loop_socket *s)
{
    struct conn *c = s->owner;
    struct conns *all = c->worker->conns;
    if (c->previous)
        c->previous->next = c->next;
    else
        all->first = c->next;
    if (c->next) c->next->previous = c->previous;
    for (struct conn **at = &all->dirty; c->dirty && *at; at = &(*at)->next_dirty)
        if (*at == c) {
            *at = c->next_dirty;
            break;
        }
    all->count--;
    all->held_bytes -= c->held_bytes;
    set_deadline(c, 0);
    atomic_fetch_sub(&c->worker->engine->connections, 1);
    forward_destroy(c->forward);
    buf_free(&c->out);
    buf_free(&c->sending);
    free(c);
}

/* All of it fails on unix sockets, which need none of it. */
static void set_tcp(int fd)
{
    int one = 1, silent_s = KEEPALIVE_S;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &silent_s, sizeof silent_s);
}

void conn_open(struct worker *w, int fd)
{
    struct engine *e = w->engine;
    struct conn *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    set_tcp(fd);
    *c = (struct conn){.worker = w, .first_chunk = NO_CHUNK, .last_chunk = NO_CHUNK};
    c->socket = (struct loop_socket){
        .fd = fd, .owner = c, .on_bytes = on_bytes, .on_sent = on_sent, .on_closed = on_closed};
    struct forward_sink sink = {c, frame_begin, on_entry, frame_end, on_reply, on_decode, &w->conns->spares};
    struct forward_security security = {e->shared_key, slice_str(e->hostname)};
    uint8_t nonce[16];
    CHECK(getrandom(nonce, sizeof nonce, 0) == sizeof nonce);
    c->forward = forward_create(&sink, e->shared_key.n ? &security : NULL, nonce);
    c->next = w->conns->first;
    if (c->next) c->next->previous = c;
    w->conns->first = c;
    w->conns->count++;
    w->counters.connections++;
    loop_receive(w->loop, &c->socket);
    forward_start(c->forward);
    if (!forward_greeted(c->forward)) set_deadline(c, in_seconds(c, e->options->handshake_s, HANDSHAKE_S));
}

/* ---- once per turn ------------------------------------------------------------------------------------ */

static void resume_stopped(struct worker *w)
{
    struct conns *all = w->conns;
    for (struct conn *c = all->first; c && all->stopped && intake_open(w); c = c->next)
        if (!c->closing && c->paused) after_feed(c, forward_resume(c->forward));
}

/* About once a second. What we ourselves hold up (paused) is not late. */
static void check_deadlines(struct worker *w)
{
    struct conns *all = w->conns;
    if (w->now_us < all->next_check_us) return;
    all->next_check_us = w->now_us + 1000000;
    for (struct conn *c = all->first; c && all->timed; c = c->next) {
        if (!c->late_at_us || c->closing || c->paused || w->now_us < c->late_at_us) continue;
        close_because(c,
                      forward_greeted(c->forward) ? FORWARD_CLOSE_HALF_FRAME : FORWARD_CLOSE_HANDSHAKE_LATE);
    }
}

void conns_turn(struct worker *w)
{
    struct conns *all = w->conns;
    if (all->stopped) resume_stopped(w);
    while (all->dirty) {
        struct conn *c = all->dirty;
        all->dirty = c->next_dirty;
        c->dirty = false;
        send_out(c);
    }
    if (all->timed) check_deadlines(w);
}

uint32_t conns_patience_us(const struct worker *w) { return w->conns->timed ? 1000000 : UINT32_MAX; }

void conns_close_all(struct worker *w)
{
    for (struct conn *c = w->conns->first; c; c = c->next) conn_close(c);
}

uint32_t conns_count(const struct worker *w) { return w->conns->count; }

struct conns *conns_create(struct worker *w)
{
    struct conns *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    return c;
}

void conns_destroy(struct conns *c)
{
    forward_spares_free(&c->spares);
    free(c);
}
