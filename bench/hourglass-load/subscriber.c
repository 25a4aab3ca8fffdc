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

enum {
    WAIT_MS = 50,
    READ_BYTES = 1 << 18,
    IDS_MAX = 10000,      /* of one request, says the server */
    GIVEN_AT_ONCE = 1024, /* unconfirmed, says the server: so far its shards may be apart */
    CATCH_UP_LOOKS = 1200
};

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
        if (sent < atomic_load(&s->since_ms)) continue;
        histogram_add(&s->latency, now_ms > sent ? (uint64_t)((now_ms - sent) * 1e6) : 0, 1);
    }
}

/* All ids that wait, with one request. */
static bool confirm(struct subscriber *s)
{
    uint8_t head[64], *p = mpw_uint(mpw_uint(mpw_array(head, 4), 0), 1);
    if (!s->id_count) return true;
    p = mpw_array(mpw_array(mpw_str(p, SLICE("actions.ack")), 1), s->id_count);
    buf_clear(&s->out);
    buf_put(&s->out, head, (size_t)(p - head));
    buf_put(&s->out, s->ids.p, s->ids.n);
    buf_clear(&s->ids);
    s->id_count = 0;
    return send_all(s->fd, &s->out);
}

/* Of one action: its id to those that wait, its vars into the histogram. */
static bool take_action(struct subscriber *s, struct mp *m, double now_ms)
{
    for (uint32_t n = mp_map(m); n > 0 && m->err == MP_OK; n--) {
        struct slice key = mp_str(m), value = mp_item(m);
        struct mp v = mp_of(value);
        if (slice_is(key, "action_id")) buf_put_slice(&s->ids, value);
        if (slice_is(key, "vars")) take_vars(s, &v, now_ms);
    }
    s->actions++;
    return ++s->id_count < IDS_MAX || confirm(s);
}

/* [2, "actions", [action, ...]]; everything else (answers) is passed over. */
static bool take_message(struct subscriber *s, struct slice message, double now_ms)
{
    struct mp m = mp_of(message);
    if (mp_array(&m) != 3 || mp_uint(&m) != 2 || !slice_is(mp_str(&m), "actions")) return true;
    for (uint32_t count = mp_array(&m); count > 0; count--)
        if (!take_action(s, &m, now_ms) || m.err != MP_OK) return false;
    return true;
}

static bool take_messages(struct subscriber *s)
{
    size_t at = 0;
    double now_ms = wall_ms();
    for (;;) {
        struct mp m = mp_of(slice_of(s->in.p + at, s->in.n - at));
        struct slice message = mp_item(&m);
        if (!message.n) break;
        if (!take_message(s, message, now_ms)) return false;
        at += message.n;
    }
    memmove(s->in.p, s->in.p + at, s->in.n - at);
    s->in.n -= at;
    return confirm(s);
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
    subscriber_measure(s);
    buf_put(&s->out, REQUEST, sizeof REQUEST - 1);
    if (s->fd >= 0 && send_all(s->fd, &s->out) && pthread_create(&s->thread, NULL, run, s) == 0) return true;
    fprintf(stderr, "hourglass-load: cannot subscribe at %s: %s\n", admin_url, strerror(errno));
    return false;
}

bool subscriber_catch_up(const char *admin_url)
{
    struct server_counters now;
    struct timespec pause = {.tv_nsec = WAIT_MS * 1000000};
    if (!server_counters(admin_url, &now)) return false;
    uint64_t all = now.actions_created + GIVEN_AT_ONCE;
    for (int i = 0; i < CATCH_UP_LOOKS && now.actions_pending && now.actions_confirmed < all; i++) {
        nanosleep(&pause, NULL);
        if (!server_counters(admin_url, &now)) return false;
    }
    if (!now.actions_pending || now.actions_confirmed >= all) return true;
    fprintf(stderr, "hourglass-load: %llu actions are still not confirmed\n",
            (unsigned long long)now.actions_pending);
    return false;
}

void subscriber_measure(struct subscriber *s) { atomic_store(&s->since_ms, wall_ms()); }

void subscriber_stop(struct subscriber *s)
{
    atomic_store(&s->stop, true);
    pthread_join(s->thread, NULL);
    close(s->fd);
    buf_free(&s->in);
    buf_free(&s->out);
    buf_free(&s->ids);
}
