/* The loop on epoll, for kernels and containers that refuse io_uring. Level-triggered readiness for sockets; one helper
 * thread does the durable writes, because a file is always "ready" and its write blocks.
 *
 * 1. Callbacks run from loop_run only: sends that went through at once, and closes, wait in lists until then.
 * 2. A socket's node lives until its on_closed; while events are handed out nobody is freed. */
#include "io/loop_impl.h"
#include "core/base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS_MAX = 64 };

struct node {
    struct loop_socket *s;
    struct node *next; /* in `ready`, `closed` or `resting` */
    bool listener, paused, ended, closing, sending, sent, queued, resting;
    uint32_t interest; /* what epoll was told */
    const uint8_t *p;
    size_t n;
    int64_t sent_result;
};

struct epoll_loop {
    struct loop base;
    int epoll_fd;
    uint8_t *buffer;
    struct node *ready; /* sends that are done */
    struct node *closed;
    struct node *resting; /* listeners whose accept failed for want of descriptors; they never send */
    uint64_t rest_until_us;
    uint32_t writes_open; /* given to the helper and not yet completed */
    pthread_t helper;
    pthread_mutex_t lock; /* guards the four pointers below and `stop` */
    pthread_cond_t news;
    struct loop_write *asked_first, *asked_last, *done_first, *done_last;
    bool stop;
};

static struct epoll_loop *self_of(struct loop *l) { return (struct epoll_loop *)l; }

/* ---- durable writes --------------------------------------------------------------------- */

static void queue_put(struct loop_write **first, struct loop_write **last, struct loop_write *w)
{
    w->next = NULL;
    if (*first)
        (*last)->next = w;
    else
        *first = w;
    *last = w;
}

static void *helper_main(void *arg)
{
    struct epoll_loop *e = arg;
    pthread_mutex_lock(&e->lock);
    for (;;) {
        while (!e->asked_first && !e->stop) pthread_cond_wait(&e->news, &e->lock);
        struct loop_write *w = e->asked_first;
        if (!w) break;
        e->asked_first = w->next;
        pthread_mutex_unlock(&e->lock);
        ssize_t n = pwrite(w->fd, w->p, w->n, (off_t)w->offset);
        w->result = n < 0 ? -errno : n;
        pthread_mutex_lock(&e->lock);
        queue_put(&e->done_first, &e->done_last, w);
        pthread_mutex_unlock(&e->lock);
        loop_wake(&e->base);
        pthread_mutex_lock(&e->lock);
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

static void epoll_write(struct loop *l, struct loop_write *w)
{
    struct epoll_loop *e = self_of(l);
    pthread_mutex_lock(&e->lock);
    queue_put(&e->asked_first, &e->asked_last, w);
    pthread_cond_signal(&e->news);
    pthread_mutex_unlock(&e->lock);
    e->writes_open++;
}

static uint32_t complete_writes(struct epoll_loop *e)
{
    if (!e->writes_open) return 0;
    pthread_mutex_lock(&e->lock);
    struct loop_write *w = e->done_first;
    e->done_first = NULL;
    pthread_mutex_unlock(&e->lock);
    uint32_t handled = 0;
    for (struct loop_write *next; w; w = next, handled++) {
        next = w->next;
        e->writes_open--;
        w->done(w, w->result);
    }
    return handled;
}

/* ---- sockets ---------------------------------------------------------------------------- */

static void set_interest(struct epoll_loop *e, struct node *n)
{
    uint32_t want = (!n->paused && !n->ended && !n->resting ? EPOLLIN : 0u) | (n->sending ? EPOLLOUT : 0u);
    if (n->closing || want == n->interest) return;
    struct epoll_event ev = {.events = want, .data.ptr = n};
    CHECK(epoll_ctl(e->epoll_fd, EPOLL_CTL_MOD, n->s->fd, &ev) == 0);
    n->interest = want;
}

static void add(struct epoll_loop *e, struct loop_socket *s, bool listener)
{
    struct node *n = calloc(1, sizeof *n);
    CHECK(n != NULL);
    n->s = s;
    n->listener = listener;
    n->interest = EPOLLIN;
    s->impl = n;
    if (listener) fcntl(s->fd, F_SETFL, fcntl(s->fd, F_GETFL) | O_NONBLOCK);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = n};
    CHECK(epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, s->fd, &ev) == 0);
}

static void epoll_listen(struct loop *l, struct loop_socket *s) { add(self_of(l), s, true); }
static void epoll_receive(struct loop *l, struct loop_socket *s) { add(self_of(l), s, false); }

static void epoll_pause(struct loop *l, struct loop_socket *s)
{
    struct node *n = s->impl;
    n->paused = true;
    set_interest(self_of(l), n);
}

static void epoll_resume(struct loop *l, struct loop_socket *s)
{
    struct node *n = s->impl;
    n->paused = false;
    set_interest(self_of(l), n);
}

static void send_now(struct epoll_loop *e, struct node *n)
{
    ssize_t sent = send(n->s->fd, n->p, n->n, MSG_NOSIGNAL | MSG_DONTWAIT);
    n->sending = sent < 0 && (errno == EAGAIN || errno == EINTR);
    set_interest(e, n);
    if (n->sending) return;
    n->sent = true;
    n->sent_result = sent < 0 ? -errno : sent;
    if (n->queued) return;
    n->queued = true;
    n->next = e->ready;
    e->ready = n;
}

static void epoll_send(struct loop *l, struct loop_socket *s, const uint8_t *p, size_t bytes)
{
    struct node *n = s->impl;
    n->p = p;
    n->n = bytes;
    send_now(self_of(l), n);
}

static void forget_resting(struct epoll_loop *e, const struct node *n)
{
    for (struct node **at = &e->resting; *at; at = &(*at)->next)
        if (*at == n) {
            *at = n->next;
            return;
        }
}

static void epoll_close(struct loop *l, struct loop_socket *s)
{
    struct epoll_loop *e = self_of(l);
    struct node *n = s->impl;
    if (n->closing) return;
    n->closing = true;
    epoll_ctl(e->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
    if (n->resting) forget_resting(e, n);
    if (!n->queued) { /* else it goes to `closed` when `ready` is walked */
        n->next = e->closed;
        e->closed = n;
    }
}

static uint32_t complete_sends(struct epoll_loop *e)
{
    struct node *n = e->ready;
    e->ready = NULL;
    uint32_t handled = 0;
    for (struct node *next; n; n = next, handled++) {
        next = n->next;
        n->queued = false;
        if (n->closing) {
            n->next = e->closed;
            e->closed = n;
        } else if (n->sent) {
            n->sent = false;
            n->s->on_sent(n->s, n->sent_result);
        }
    }
    return handled;
}

static void complete_closes(struct epoll_loop *e)
{
    while (e->closed) {
        struct node *n = e->closed;
        struct loop_socket *s = n->s;
        e->closed = n->next;
        close(s->fd);
        s->fd = -1;
        free(n);
        s->on_closed(s);
    }
}

/* ---- readiness -------------------------------------------------------------------------- */

static void rest(struct epoll_loop *e, struct node *n)
{
    n->resting = true;
    n->next = e->resting;
    e->resting = n;
    e->rest_until_us = loop_now_us() + ACCEPT_REST_US;
    set_interest(e, n);
}

static void on_acceptable(struct epoll_loop *e, struct node *n)
{
    for (int i = 0; i < 64 && !n->closing; i++) {
        int fd = accept4(n->s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            n->s->on_accept(n->s, fd);
            continue;
        }
        if (errno == ECONNABORTED || errno == EINTR) continue;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) rest(e, n);
        return;
    }
}

static void on_readable(struct epoll_loop *e, struct node *n)
{
    ssize_t got = recv(n->s->fd, e->buffer, RECEIVE_BYTES, MSG_DONTWAIT);
    if (got > 0) {
        n->s->on_bytes(n->s, e->buffer, (size_t)got);
        return;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    n->ended = true;
    set_interest(e, n);
    n->s->on_bytes(n->s, NULL, 0);
}

static void on_event(struct epoll_loop *e, const struct epoll_event *ev)
{
    struct node *n = ev->data.ptr;
    if (!n) { /* the eventfd */
        uint64_t value;
        ssize_t got = read(e->base.event_fd, &value, sizeof value);
        (void)got;
        return;
    }
    if (n->sending && (ev->events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) send_now(e, n);
    bool read = ev->events & (EPOLLIN | EPOLLERR | EPOLLHUP);
    if (!read || n->closing || n->paused || n->ended || n->resting) return;
    if (n->listener)
        on_acceptable(e, n);
    else
        on_readable(e, n);
}

static void end_rest(struct epoll_loop *e)
{
    if (!e->resting || loop_now_us() < e->rest_until_us) return;
    struct node *n = e->resting;
    e->resting = NULL;
    for (; n; n = n->next) {
        n->resting = false;
        set_interest(e, n);
    }
}

static uint32_t poll_events(struct epoll_loop *e, uint32_t wait_us)
{
    struct epoll_event list[EVENTS_MAX];
    if (e->resting && wait_us > ACCEPT_REST_US) wait_us = ACCEPT_REST_US;
    bool wait = wait_us && loop_wait_begin(&e->base);
    struct timespec t = {wait_us / 1000000, (long)(wait_us % 1000000) * 1000};
    if (!wait) t = (struct timespec){0};
    int n = epoll_pwait2(e->epoll_fd, list, EVENTS_MAX, wait && wait_us == UINT32_MAX ? NULL : &t, NULL);
    if (n < 0 && errno == ENOSYS)
        n = epoll_wait(e->epoll_fd, list, EVENTS_MAX, wait ? (int)(wait_us / 1000 + 1) : 0);
    if (wait) loop_wait_end(&e->base);
    for (int i = 0; i < n; i++) on_event(e, &list[i]);
    return n > 0 ? (uint32_t)n : 0;
}

static uint32_t epoll_run(struct loop *l, uint32_t wait_us)
{
    struct epoll_loop *e = self_of(l);
    end_rest(e);
    uint32_t handled = complete_sends(e) + complete_writes(e);
    bool busy = handled || e->ready || e->closed;
    handled += poll_events(e, busy ? 0 : wait_us);
    handled += complete_writes(e);
    complete_closes(e);
    return handled;
}

/* ---- making and unmaking ----------------------------------------------------------------- */

static void epoll_destroy(struct loop *l)
{
    struct epoll_loop *e = self_of(l);
    pthread_mutex_lock(&e->lock);
    e->stop = true;
    pthread_cond_signal(&e->news);
    pthread_mutex_unlock(&e->lock);
    pthread_join(e->helper, NULL);
    pthread_mutex_destroy(&e->lock);
    pthread_cond_destroy(&e->news);
    close(e->epoll_fd);
    free(e->buffer);
    free(e);
}

static const struct loop_ops epoll_ops = {"epoll",     epoll_destroy, epoll_listen, epoll_receive,
                                          epoll_pause, epoll_resume,  epoll_send,   epoll_close,
                                          epoll_write, epoll_run};

struct loop *loop_epoll_create(struct buf *why_not)
{
    struct epoll_loop *e = aligned_alloc(64, sizeof *e);
    CHECK(e != NULL);
    memset(e, 0, sizeof *e);
    e->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (e->epoll_fd < 0 || !loop_init(&e->base, &epoll_ops)) {
        buf_printf(why_not, "epoll: %s", strerror(errno));
        free(e);
        return NULL;
    }
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    CHECK(epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, e->base.event_fd, &ev) == 0);
    e->buffer = malloc(RECEIVE_BYTES);
    CHECK(e->buffer != NULL);
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->news, NULL);
    CHECK(pthread_create(&e->helper, NULL, helper_main, e) == 0);
    return &e->base;
}
