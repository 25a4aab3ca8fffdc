#include "io/loop_impl.h"
#include "core/base/check.h"

#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

uint64_t loop_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

struct loop *loop_create(enum loop_kind kind, struct buf *why_not)
{
    if (kind != LOOP_EPOLL) {
        struct loop *l = loop_uring_create(why_not);
        if (l || kind == LOOP_URING) return l;
    }
    return loop_epoll_create(why_not);
}

bool loop_init(struct loop *l, const struct loop_ops *ops)
{
    l->ops = ops;
    atomic_init(&l->pending, 0);
    atomic_init(&l->waiting, 0);
    l->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return l->event_fd >= 0;
}

bool loop_wait_begin(struct loop *l)
{
    atomic_store(&l->waiting, 1);
    if (atomic_exchange(&l->pending, 0) == 0) return true;
    atomic_store(&l->waiting, 0);
    return false;
}

void loop_wait_end(struct loop *l)
{
    atomic_store(&l->waiting, 0);
    atomic_store(&l->pending, 0);
}

void loop_wake(struct loop *l)
{
    atomic_thread_fence(
        memory_order_seq_cst); /* what was published before is seen by whoever sees `pending` */
    if (atomic_load(&l->pending)) return;
    atomic_store(&l->pending, 1);
    if (!atomic_exchange(&l->waiting, 0)) return;
    uint64_t one = 1;
    ssize_t n = write(l->event_fd, &one, sizeof one);
    (void)n; /* a full counter wakes as well */
}

void loop_destroy(struct loop *l)
{
    if (!l) return;
    int fd = l->event_fd;
    l->ops->destroy(l);
    close(fd);
}

const char *loop_name(const struct loop *l) { return l->ops->name; }
void loop_listen(struct loop *l, struct loop_socket *s) { l->ops->listen(l, s); }
void loop_receive(struct loop *l, struct loop_socket *s) { l->ops->receive(l, s); }
void loop_pause(struct loop *l, struct loop_socket *s) { l->ops->pause(l, s); }
void loop_resume(struct loop *l, struct loop_socket *s) { l->ops->resume(l, s); }
void loop_send(struct loop *l, struct loop_socket *s, const uint8_t *p, size_t n)
{
    l->ops->send(l, s, p, n);
}
void loop_close(struct loop *l, struct loop_socket *s) { l->ops->close(l, s); }
void loop_write(struct loop *l, struct loop_write *w) { l->ops->write(l, w); }
uint32_t loop_run(struct loop *l, uint32_t wait_us) { return l->ops->run(l, wait_us); }
