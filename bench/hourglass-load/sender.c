/* sender.c - the loop: build what is due, write what fits, read acks, sleep until the next chunk is due.
 * A chunk's id is its number, so that an ack finds its chunk in a ring without searching. */
#include "bench/hourglass-load/sender.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/hourglass-load/server.h"
#include "core/base/msgpack.h"

enum { RING = 1 << 16, CONNECTIONS_MAX = 1024, CHUNK_ID = 24, ACK_BYTES = 6 + CHUNK_ID, LATE_NS = 1000000 };

struct connection {
    int fd;
    bool wants_write;
    uint32_t in_flight;
    uint8_t *out;         /* one chunk at a time */
    size_t out_at, out_n; /* what of it is still to be written */
    uint8_t in[ACK_BYTES * 64];
    size_t in_n;
};

struct in_flight {
    uint64_t number; /* + 1; 0: free */
    uint64_t due_ns;
    uint32_t events, connection;
};

struct sender {
    const struct sender_options *o;
    struct generator *g;
    struct sender_result *result;
    int epoll;
    uint32_t run, next_connection, open_chunks;
    struct connection *connections;
    struct in_flight *ring;
    uint64_t next_chunk, started_ns, build_ns;
    double wall_offset_ms; /* wall clock - monotonic clock */
    bool failed;
};

volatile int sender_stop;

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* ---- chunks ---------------------------------------------------------------------------------------------- */

static size_t chunk_room(const struct sender_options *o) { return (size_t)o->batch * ENTRY_BYTES_MAX + 256; }

/* ["load", bin, {"chunk": id, "size": n}] */
static void build_chunk(struct sender *s, struct connection *c, uint64_t now_ns, uint64_t due_ns)
{
    char id[CHUNK_ID + 1];
    uint8_t *p = mpw_str(mpw_array(c->out, 3), SLICE("load")), *header = p;
    int64_t now_ms = (int64_t)((double)now_ns / 1e6 + s->wall_offset_ms);
    s->g->sent_ms = (double)due_ns / 1e6 + s->wall_offset_ms;
    p += 5;
    for (uint32_t i = 0; i < s->o->batch; i++) p += generator_entry(s->g, now_ms, p);
    header[0] = 0xc6;
    store_be32(header + 1, (uint32_t)(p - header - 5));
    snprintf(id, sizeof id, "%08x%016llx", s->run, (unsigned long long)s->next_chunk);
    p = mpw_str(mpw_str(mpw_map(p, 2), SLICE("chunk")), slice_of(id, CHUNK_ID));
    p = mpw_uint(mpw_str(p, SLICE("size")), s->o->batch);
    c->out_at = 0;
    c->out_n = (size_t)(p - c->out);
}

static bool fail(struct sender *s, const char *what)
{
    if (!s->failed) fprintf(stderr, "hourglass-load: %s\n", what);
    s->failed = true;
    return false;
}

static bool write_some(struct sender *s, struct connection *c)
{
    while (c->out_at < c->out_n) {
        ssize_t n = send(c->fd, c->out + c->out_at, c->out_n - c->out_at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno != EAGAIN) return fail(s, strerror(errno));
        if (n < 0) break;
        c->out_at += (size_t)n;
    }
    bool wants = c->out_at < c->out_n;
    if (wants != c->wants_write) {
        struct epoll_event e = {.events = EPOLLIN | (wants ? EPOLLOUT : 0), .data.ptr = c};
        epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &e);
        c->wants_write = wants;
    }
    return true;
}

static bool has_room(const struct sender *s, const struct connection *c)
{
    return c->out_at == c->out_n && (s->o->rate > 0 || c->in_flight < s->o->depth);
}

/* The next connection with room, in turn; NULL: all are busy. */
static struct connection *pick(struct sender *s)
{
    for (uint32_t i = 0; i < s->o->connections; i++) {
        struct connection *c = &s->connections[(s->next_connection + i) % s->o->connections];
        if (!has_room(s, c)) continue;
        s->next_connection = (s->next_connection + i + 1) % s->o->connections;
        return c;
    }
    return NULL;
}

static uint64_t due_ns(const struct sender *s, uint64_t chunk)
{
    return s->started_ns + (uint64_t)((double)(chunk + 1) * s->o->batch / s->o->rate * 1e9);
}

static void send_chunk(struct sender *s, struct connection *c, uint64_t now)
{
    struct in_flight *f = &s->ring[s->next_chunk % RING];
    uint64_t due = s->o->rate > 0 ? due_ns(s, s->next_chunk) : now;
    if (s->o->rate > 0 && now > due + LATE_NS) s->result->late_chunks++;
    build_chunk(s, c, now, due);
    s->build_ns += clock_ns(CLOCK_MONOTONIC) - now;
    *f = (struct in_flight){s->next_chunk + 1, due, s->o->batch, (uint32_t)(c - s->connections)};
    s->next_chunk++;
    s->open_chunks++;
    c->in_flight++;
    s->result->sent += s->o->batch;
    write_some(s, c);
}

static bool finished(const struct sender *s, uint64_t now)
{
    if (sender_stop || s->failed) return true;
    if (s->o->events && s->result->sent >= s->o->events) return true;
    return s->o->duration_s > 0 && (double)(now - s->started_ns) / 1e9 >= s->o->duration_s;
}

/* Sends all that is due; returns the microseconds until the next chunk is, or a long time. */
static uint64_t send_due(struct sender *s)
{
    for (;;) {
        uint64_t now = clock_ns(CLOCK_MONOTONIC);
        if (finished(s, now)) return 100000;
        if (s->o->rate > 0 && due_ns(s, s->next_chunk) > now) return (due_ns(s, s->next_chunk) - now) / 1000;
        struct connection *c = s->ring[s->next_chunk % RING].number ? NULL : pick(s);
        if (!c) return 100000;
        send_chunk(s, c, now);
    }
}

/* ---- acks -------------------------------------------------------------------------------------------------- */

static bool take_ack(struct sender *s, const uint8_t *p, uint64_t now)
{
    char text[CHUNK_ID + 1];
    if (memcmp(p,
               "\x81\xa3"
               "ack"
               "\xb8",
               6) != 0)
        return fail(s, "an answer that is no ack");
    memcpy(text, p + 6, CHUNK_ID);
    text[CHUNK_ID] = 0;
    uint64_t number = strtoull(text + 8, NULL, 16);
    struct in_flight *f = &s->ring[number % RING];
    if (f->number != number + 1) return fail(s, "an ack for a chunk that is not in flight");
    histogram_add(&s->result->latency, now > f->due_ns ? now - f->due_ns : 0, f->events);
    s->result->acked += f->events;
    s->connections[f->connection].in_flight--;
    s->open_chunks--;
    f->number = 0;
    return true;
}

static bool read_acks(struct sender *s, struct connection *c)
{
    for (;;) {
        ssize_t n = recv(c->fd, c->in + c->in_n, sizeof c->in - c->in_n, 0);
        if (n == 0) return fail(s, "the server closed a connection");
        if (n < 0) return errno == EAGAIN || errno == EINTR || fail(s, strerror(errno));
        c->in_n += (size_t)n;
        uint64_t now = clock_ns(CLOCK_MONOTONIC);
        size_t at = 0;
        for (; c->in_n - at >= ACK_BYTES; at += ACK_BYTES)
            if (!take_ack(s, c->in + at, now)) return false;
        memmove(c->in, c->in + at, c->in_n - at);
        c->in_n -= at;
    }
}

/* ---- the loop ------------------------------------------------------------------------------------------------ */

static bool connect_all(struct sender *s)
{
    s->connections = calloc(s->o->connections, sizeof *s->connections);
    s->ring = calloc(RING, sizeof *s->ring);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!s->connections || !s->ring || s->epoll < 0) return fail(s, "no memory");
    for (uint32_t i = 0; i < s->o->connections; i++) {
        struct connection *c = &s->connections[i];
        c->fd = server_dial(s->o->ingest);
        if (c->fd < 0) {
            fprintf(stderr, "hourglass-load: nobody answers at %s (%s)\n", s->o->ingest, strerror(errno));
            return false;
        }
        c->out = malloc(chunk_room(s->o));
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        if (!c->out || epoll_ctl(s->epoll, EPOLL_CTL_ADD, c->fd, &e) != 0) return fail(s, "no memory");
    }
    return true;
}

static void disconnect_all(struct sender *s)
{
    for (uint32_t i = 0; s->connections && i < s->o->connections; i++) {
        if (s->connections[i].fd > 0) close(s->connections[i].fd);
        free(s->connections[i].out);
    }
    close(s->epoll);
    free(s->connections);
    free(s->ring);
}

/* epoll waits in whole milliseconds: short gaps are waited for with a timer of the kernel's own resolution. */
static void wait_for_news(struct sender *s, uint64_t wait_us)
{
    struct epoll_event events[64];
    struct timespec t = {.tv_nsec = (long)(wait_us < 100000 ? wait_us * 1000 : 100000000)};
    int n = epoll_pwait2(s->epoll, events, 64, &t, NULL);
    for (int i = 0; i < n && !s->failed; i++) {
        struct connection *c = events[i].data.ptr;
        if (events[i].events & EPOLLOUT) write_some(s, c);
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_acks(s, c);
    }
}

static void drain(struct sender *s)
{
    uint64_t until = clock_ns(CLOCK_MONOTONIC) + 30000000000ull;
    while (s->open_chunks > 0 && !s->failed) {
        wait_for_news(s, 100000);
        if (clock_ns(CLOCK_MONOTONIC) > until) fail(s, "acks are missing after 30 s");
    }
}

bool sender_run(const struct sender_options *o, struct generator *g, struct sender_result *out)
{
    struct sender s = {.o = o, .g = g, .result = out};
    *out = (struct sender_result){0};
    if (getrandom(&s.run, sizeof s.run, 0) != sizeof s.run || !connect_all(&s)) {
        disconnect_all(&s);
        return false;
    }
    uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    s.started_ns = clock_ns(CLOCK_MONOTONIC);
    s.wall_offset_ms = (double)clock_ns(CLOCK_REALTIME) / 1e6 - (double)clock_ns(CLOCK_MONOTONIC) / 1e6;
    while (!finished(&s, clock_ns(CLOCK_MONOTONIC))) wait_for_news(&s, send_due(&s));
    drain(&s);
    out->seconds = (double)(clock_ns(CLOCK_MONOTONIC) - s.started_ns) / 1e9;
    out->cpu_s = (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu) / 1e9;
    out->build_s = (double)s.build_ns / 1e9;
    disconnect_all(&s);
    return !s.failed;
}
