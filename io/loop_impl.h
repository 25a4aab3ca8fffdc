/* loop_impl.h - what the two loops share; only loop*.c include it.
 * Each kind fills one table; struct loop is the first member of its own. */
#ifndef HG_IO_LOOP_IMPL_H
#define HG_IO_LOOP_IMPL_H

#include "io/loop.h"

#include <stdatomic.h>

enum {
    RECEIVE_BYTES = 64 << 10, /* one receive buffer */
    RECEIVE_BUFFERS = 256, /* so many connections bring something at once before any has to be armed again */
    TURN_BYTES_MAX =
        512 << 10,      /* received bytes handed out in one turn: then the worker looks at its disk, */
    TURN_US_MAX = 1000, /* or after so long: whatever is durable by then has waited for it */
    TURN_LOOK_BYTES = 16 << 10,  /* between two looks at the clock */
    ACCEPT_REST_US = 100 * 1000, /* after accept failed for want of descriptors */
};

struct loop_ops {
    const char *name;
    void (*destroy)(struct loop *l);
    void (*listen)(struct loop *l, struct loop_socket *s);
    void (*receive)(struct loop *l, struct loop_socket *s);
    void (*pause)(struct loop *l, struct loop_socket *s);
    void (*resume)(struct loop *l, struct loop_socket *s);
    void (*send)(struct loop *l, struct loop_socket *s, const uint8_t *p, size_t n);
    void (*close)(struct loop *l, struct loop_socket *s);
    void (*write)(struct loop *l, struct loop_write *w);
    uint32_t (*run)(struct loop *l, uint32_t wait_us);
};

/* Waking a loop from another thread, without a system call while it is not waiting.
 * The sender publishes its news, then calls loop_wake; the loop announces that it is about to wait, then looks at
 * `pending` once more. Both sides use sequentially consistent operations, so at least one sees the other. */
struct loop {
    const struct loop_ops *ops;
    int event_fd;
    _Alignas(64) _Atomic uint32_t pending; /* somebody called loop_wake */
    _Alignas(64) _Atomic uint32_t waiting; /* in, or about to be in, the kernel */
};

bool loop_init(struct loop *l, const struct loop_ops *ops);
/* False: there is news already, do not wait. */
bool loop_wait_begin(struct loop *l);
void loop_wait_end(struct loop *l);

/* What one turn hands out. */
struct portion {
    uint64_t begun_us; /* 0: nothing was handed out yet */
    uint32_t bytes, look_at;
};
static inline void portion_add(struct portion *p, uint32_t bytes)
{
    if (!p->begun_us) *p = (struct portion){.begun_us = loop_now_us(), .look_at = TURN_LOOK_BYTES};
    p->bytes += bytes;
}
static inline bool portion_spent(struct portion *p)
{
    if (!p->begun_us || p->bytes < p->look_at) return false;
    p->look_at = p->bytes + TURN_LOOK_BYTES;
    return p->bytes >= TURN_BYTES_MAX || loop_now_us() - p->begun_us >= TURN_US_MAX;
}

struct loop *loop_uring_create(struct buf *why_not); /* NULL: the kernel does not let us */
struct loop *loop_epoll_create(struct buf *why_not);

#endif
