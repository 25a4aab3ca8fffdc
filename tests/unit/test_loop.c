/* Both loops keep the same promises: every claim below runs on io_uring (where allowed) and on epoll. */
#include "io/loop.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct probe { /* what the callbacks saw */
    struct loop_socket s;
    struct loop *loop;
    struct buf got;
    int ends, closes, accepted;
    int64_t sent;
    int sends;
    bool pause_after_bytes;
};

static void on_bytes(struct loop_socket *s, const uint8_t *p, size_t n)
{
    struct probe *t = s->owner;
    if (n == 0) t->ends++;
    buf_put(&t->got, p, n);
    if (n && t->pause_after_bytes) loop_pause(t->loop, s);
}
static void on_sent(struct loop_socket *s, int64_t result)
{
    struct probe *t = s->owner;
    t->sends++;
    t->sent = result;
}
static void on_closed(struct loop_socket *s) { ((struct probe *)s->owner)->closes++; }
static void on_accept(struct loop_socket *s, int fd)
{
    ((struct probe *)s->owner)->accepted++;
    close(fd);
}

static struct probe *probe_new(struct loop *l, int fd)
{
    struct probe *t = calloc(1, sizeof *t);
    t->loop = l;
    t->s = (struct loop_socket){.fd = fd,
                                .owner = t,
                                .on_accept = on_accept,
                                .on_bytes = on_bytes,
                                .on_sent = on_sent,
                                .on_closed = on_closed};
    return t;
}
static void probe_end(struct probe *t)
{
    if (!t->closes) loop_close(t->loop, &t->s);
    for (int i = 0; i < 1000 && !t->closes; i++) loop_run(t->loop, 1000);
    cr_assert_eq(t->closes, 1);
    buf_free(&t->got);
    free(t);
}

#define RUN_UNTIL(l, cond)                                                                                   \
    do {                                                                                                     \
        for (int turns_ = 0; turns_ < 5000 && !(cond); turns_++) loop_run(l, 1000);                          \
        cr_assert(cond);                                                                                     \
    } while (0)

static struct loop *make(int kind)
{
    struct buf why = {0};
    struct loop *l = loop_create((enum loop_kind)kind, &why);
    if (!l) cr_skip_test("%.*s", (int)why.n, (char *)why.p);
    buf_free(&why);
    return l;
}

#define BOTH(name)                                                                                           \
    ParameterizedTestParameters(loop, name)                                                                  \
    {                                                                                                        \
        static int kinds[] = {LOOP_URING, LOOP_EPOLL};                                                       \
        return cr_make_param_array(int, kinds, 2);                                                           \
    }                                                                                                        \
    ParameterizedTest(int *kind, loop, name, .timeout = 60)

BOTH(bytes_arrive_in_order_and_end_comes_last)
{
    struct loop *l = make(*kind);
    int fd[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, fd);
    struct probe *t = probe_new(l, fd[0]);
    loop_receive(l, &t->s);
    for (int i = 0; i < 100; i++) {
        char text[16];
        int n = snprintf(text, sizeof text, "%d,", i);
        cr_assert(write(fd[1], text, (size_t)n) == n);
        if (i % 10 == 0) loop_run(l, 0);
    }
    close(fd[1]);
    RUN_UNTIL(l, t->ends);
    struct buf want = {0};
    for (int i = 0; i < 100; i++) buf_printf(&want, "%d,", i);
    cr_assert(slice_eq(buf_slice(&want), buf_slice(&t->got)));
    cr_assert_eq(t->ends, 1);
    buf_free(&want);
    probe_end(t);
    loop_destroy(l);
}

BOTH(a_paused_socket_gets_nothing_and_loses_nothing)
{
    struct loop *l = make(*kind);
    int fd[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, fd);
    struct probe *t = probe_new(l, fd[0]);
    t->pause_after_bytes = true;
    loop_receive(l, &t->s);
    uint32_t total = 0;
    for (int round = 0; round < 50; round++) {
        uint8_t block[1000];
        for (size_t i = 0; i < sizeof block; i++) block[i] = (uint8_t)(total + i);
        cr_assert(write(fd[1], block, sizeof block) == sizeof block);
        total += sizeof block;
        size_t before = t->got.n;
        RUN_UNTIL(l, t->got.n > before);
        size_t paused_at = t->got.n;
        cr_assert(write(fd[1], block, 0) == 0);
        uint8_t more[500];
        for (size_t i = 0; i < sizeof more; i++) more[i] = (uint8_t)(total + i);
        cr_assert(write(fd[1], more, sizeof more) == sizeof more);
        total += sizeof more;
        for (int i = 0; i < 5; i++) loop_run(l, 0);
        cr_assert_eq(t->got.n, paused_at, "paused");
        loop_resume(l, &t->s);
        cr_assert_eq(t->got.n, paused_at, "nothing is handed out inside resume");
        RUN_UNTIL(l, t->got.n > paused_at);
        if (round % 3 == 0) loop_resume(l, &t->s);
        loop_resume(l, &t->s);
    }
    t->pause_after_bytes = false;
    loop_resume(l, &t->s);
    RUN_UNTIL(l, t->got.n == total);
    for (uint32_t i = 0; i < total; i++) cr_assert_eq(t->got.p[i], (uint8_t)i, "byte %u", i);
    close(fd[1]);
    probe_end(t);
    loop_destroy(l);
}

BOTH(one_paused_socket_that_holds_buffers_does_not_stop_the_others)
{
    struct loop *l = make(*kind);
    int a[2], b[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, a);
    socketpair(AF_UNIX, SOCK_STREAM, 0, b);
    struct probe *slow = probe_new(l, a[0]), *quick = probe_new(l, b[0]);
    slow->pause_after_bytes = true;
    loop_receive(l, &slow->s);
    loop_receive(l, &quick->s);
    fcntl(a[1], F_SETFL, O_NONBLOCK);
    uint8_t block[4096] = {0};
    size_t total = 0;
    for (int i = 0; i < 200; i++) {
        if (write(a[1], block, sizeof block) == sizeof block) total += sizeof block;
        loop_run(l, 0);
        cr_assert(write(b[1], "x", 1) == 1);
    }
    RUN_UNTIL(l, quick->got.n == 200);
    slow->pause_after_bytes = false;
    loop_resume(l, &slow->s);
    RUN_UNTIL(l, slow->got.n == total);
    close(a[1]);
    close(b[1]);
    probe_end(slow);
    probe_end(quick);
    loop_destroy(l);
}

BOTH(a_send_completes_later_and_a_full_peer_does_not_block)
{
    struct loop *l = make(*kind);
    int fd[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, fd);
    struct probe *t = probe_new(l, fd[0]);
    loop_receive(l, &t->s);
    loop_send(l, &t->s, (const uint8_t *)"hello", 5);
    cr_assert_eq(t->sends, 0, "never inside the call");
    RUN_UNTIL(l, t->sends == 1);
    cr_assert_eq(t->sent, 5);
    size_t big = 8 << 20, sent = 0;
    uint8_t *block = calloc(1, big), *sink = malloc(big);
    loop_send(l, &t->s, block, big);
    for (int i = 0; i < 20 && t->sends == 1; i++) loop_run(l, 100);
    int before = 1;
    while (sent < big) { /* the peer reads at last */
        ssize_t n = recv(fd[1], sink, big, MSG_DONTWAIT);
        loop_run(l, 100);
        if (t->sends > before) {
            cr_assert(t->sent > 0);
            sent += (size_t)t->sent;
            before = t->sends;
            if (sent < big) loop_send(l, &t->s, block + sent, big - sent);
        }
        cr_assert(n != 0);
    }
    free(block);
    free(sink);
    close(fd[1]);
    probe_end(t);
    loop_destroy(l);
}

BOTH(close_with_a_stuck_send_gives_the_socket_back_once)
{
    struct loop *l = make(*kind);
    int fd[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, fd);
    struct probe *t = probe_new(l, fd[0]);
    loop_receive(l, &t->s);
    size_t big = 8 << 20;
    uint8_t *block = calloc(1, big);
    loop_send(l, &t->s, block, big);
    loop_run(l, 100);
    loop_close(l, &t->s);
    loop_close(l, &t->s);
    cr_assert_eq(t->closes, 0, "never inside the call");
    int sends = t->sends;
    RUN_UNTIL(l, t->closes);
    cr_assert_eq(t->closes, 1);
    cr_assert_eq(t->sends, sends, "on_closed is the only call after loop_close");
    free(block);
    close(fd[1]);
    probe_end(t);
    loop_destroy(l);
}

BOTH(a_listener_accepts_each_connection_once)
{
    struct loop *l = make(*kind);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "/tmp/hg-loop-%d-%d", *kind, (int)getpid());
    unlink(a.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert(bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 64) == 0);
    struct probe *t = probe_new(l, fd);
    loop_listen(l, &t->s);
    int c[20];
    for (int i = 0; i < 20; i++) {
        c[i] = socket(AF_UNIX, SOCK_STREAM, 0);
        cr_assert(connect(c[i], (struct sockaddr *)&a, sizeof a) == 0);
        loop_run(l, 0);
    }
    RUN_UNTIL(l, t->accepted == 20);
    for (int i = 0; i < 20; i++) close(c[i]);
    unlink(a.sun_path);
    probe_end(t);
    loop_destroy(l);
}

struct write_probe {
    struct loop_write w;
    int done;
};
static void on_written(struct loop_write *w, int64_t result)
{
    cr_assert_eq(result, (int64_t)w->n);
    ((struct write_probe *)w->owner)->done++;
}

BOTH(a_write_completes_later_with_all_its_bytes)
{
    struct loop *l = make(*kind);
    char path[] = "/tmp/hg-loop-write-XXXXXX";
    int fd = mkstemp(path);
    unlink(path);
    uint8_t *p = aligned_alloc(4096, 8192);
    memset(p, 'a', 4096);
    memset(p + 4096, 'b', 4096);
    struct write_probe one = {
        .w = {.done = on_written, .owner = &one, .fd = fd, .p = p, .n = 4096, .offset = 4096}};
    struct write_probe two = {
        .w = {.done = on_written, .owner = &two, .fd = fd, .p = p + 4096, .n = 4096, .offset = 0}};
    loop_write(l, &one.w);
    loop_write(l, &two.w);
    cr_assert_eq(one.done + two.done, 0);
    RUN_UNTIL(l, one.done == 1 && two.done == 1);
    uint8_t back[8192];
    cr_assert_eq(pread(fd, back, 8192, 0), 8192);
    cr_assert(back[0] == 'b' && back[4096] == 'a');
    free(p);
    close(fd);
    loop_destroy(l);
}

static void *waker(void *arg)
{
    struct loop *l = arg;
    for (int i = 0; i < 200; i++) {
        usleep(100);
        loop_wake(l);
    }
    return NULL;
}

BOTH(a_wake_from_another_thread_ends_the_wait)
{
    struct loop *l = make(*kind);
    loop_wake(l);
    uint64_t start = loop_now_us();
    loop_run(l, 5000000);
    cr_assert(loop_now_us() - start < 2000000, "a wake before the wait counts");
    pthread_t t;
    pthread_create(&t, NULL, waker, l);
    for (int i = 0; i < 20; i++) {
        start = loop_now_us();
        loop_run(l, 10000000);
        cr_assert(loop_now_us() - start < 5000000);
    }
    pthread_join(t, NULL);
    loop_destroy(l);
}

BOTH(without_news_the_loop_waits_as_long_as_it_was_told)
{
    struct loop *l = make(*kind);
    loop_run(l, 0);
    uint64_t start = loop_now_us();
    uint32_t handled = loop_run(l, 30000);
    cr_assert_eq(handled, 0);
    cr_assert(loop_now_us() - start >= 25000);
    loop_destroy(l);
}
