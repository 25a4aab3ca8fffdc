#include "bench/hourglass-load/subscriber.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/hourglass-load/server.h"
#include "core/base/msgpack.h"

enum { WAIT_MS = 50, ID_BYTES = 32, READ_BYTES = 1 << 18, IDS_MAX = 4096 };

static double wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static bool send_all(int fd, const struct buf *b)
{
    for (size_t at = 0; at < b->n;) {
        struct pollfd p = {fd, POLLOUT, 0};
        ssize_t n = send(fd, b->p + at, b->n - at, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN && poll(&p, 1, 10000) > 0) continue;
        if (n < 0) return false;
        at += (size_t)n;
    }
    return true;
}

static void take_vars(struct subscriber *s, struct mp *m, double now_ms)
{
    for (uint32_t n = mp_map(m); n > 0 && m->err == MP_OK; n--) {
        struct slice key = mp_str(m), value = mp_item(m);
        struct mp v = mp_of(value);
        char text[32];
        if (!slice_is(key, "sent")) continue;
        struct slice number = mp_str(&v);
        snprintf(text, sizeof text, "%.*s", (int)number.n, (const char *)number.p);
        double sent = strtod(text, NULL);
        histogram_add(&s->latency, now_ms > sent ? (uint64_t)((now_ms - sent) * 1e6) : 0, 1);
    }
}

/* Of one action: its id into *ids, its vars into the histogram. */
static uint8_t *take_action(struct subscriber *s, struct mp *m, double now_ms, uint8_t *ids)
{
    for (uint32_t n = mp_map(m); n > 0 && m->err == MP_OK; n--) {
        struct slice key = mp_str(m), value = mp_item(m);
        struct mp v = mp_of(value);
        if (slice_is(key, "action_id")) ids = mpw_str(ids, mp_str(&v));
        if (slice_is(key, "vars")) take_vars(s, &v, now_ms);
    }
    s->actions++;
    return ids;
}

/* [2, "actions", [action, ...]]; everything else (answers) is passed over. */
static bool take_message(struct subscriber *s, struct slice message)
{
    uint8_t ids[IDS_MAX * (ID_BYTES + 2)], *end = ids;
    struct mp m = mp_of(message);
    if (mp_array(&m) != 3 || mp_uint(&m) != 2 || !slice_is(mp_str(&m), "actions")) return true;
    uint32_t count = mp_array(&m);
    double now_ms = wall_ms();
    for (uint32_t i = 0; i < count && i < IDS_MAX && m.err == MP_OK; i++)
        end = take_action(s, &m, now_ms, end);
    if (count > IDS_MAX || m.err != MP_OK) return false;
    if (count == 0) return true;
    s->out.n = 0;
    buf_reserve(&s->out, sizeof ids + 64);
    uint8_t *p = mpw_uint(mpw_uint(mpw_array(s->out.p, 4), 0), 1);
    p = mpw_array(mpw_array(mpw_str(p, SLICE("actions.ack")), 1), count);
    memcpy(p, ids, (size_t)(end - ids));
    s->out.n = (size_t)(p - s->out.p) + (size_t)(end - ids);
    return send_all(s->fd, &s->out);
}

static bool take_messages(struct subscriber *s)
{
    size_t at = 0;
    for (;;) {
        struct mp m = mp_of(slice_of(s->in.p + at, s->in.n - at));
        struct slice message = mp_item(&m);
        if (!message.n) break;
        if (!take_message(s, message)) return false;
        at += message.n;
    }
    memmove(s->in.p, s->in.p + at, s->in.n - at);
    s->in.n -= at;
    return true;
}

static bool read_some(struct subscriber *s)
{
    buf_reserve(&s->in, READ_BYTES);
    ssize_t n = recv(s->fd, s->in.p + s->in.n, s->in.cap - s->in.n, MSG_DONTWAIT);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    s->in.n += (size_t)n;
    return n > 0 && take_messages(s);
}

static void *run(void *self)
{
    struct subscriber *s = self;
    struct pollfd p = {s->fd, POLLIN, 0};
    while (!atomic_load(&s->stop) && !s->broken)
        if (poll(&p, 1, WAIT_MS) > 0 && !read_some(s)) s->broken = true;
    return NULL;
}

bool subscriber_start(struct subscriber *s, const char *admin_url)
{
    static const char REQUEST[] = "\x94\x00\x01\xb1"
                                  "actions.subscribe\x91\xa4load";
    s->fd = server_dial(admin_url);
    buf_put(&s->out, REQUEST, sizeof REQUEST - 1);
    if (s->fd >= 0 && send_all(s->fd, &s->out) && pthread_create(&s->thread, NULL, run, s) == 0) return true;
    fprintf(stderr, "hourglass-load: cannot subscribe at %s: %s\n", admin_url, strerror(errno));
    return false;
}

void subscriber_stop(struct subscriber *s)
{
    atomic_store(&s->stop, true);
    pthread_join(s->thread, NULL);
    close(s->fd);
    buf_free(&s->in);
    buf_free(&s->out);
}
