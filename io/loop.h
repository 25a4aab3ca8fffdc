/* loop.h - one thread's window to the kernel: io_uring where it is allowed, else epoll with one helper thread.
 * Owner: one worker thread; only loop_wake may be called from others. Completions are handled by loop_run, never inside
 * the call that submitted. An op lives until its final completion; closing a socket cancels, waits, then closes.
 * Memory: receive buffers (256 x 64 KiB, a ring provided to the kernel, touched as they are used) are lent to on_bytes
 * for the length of the call. */
#ifndef HG_IO_LOOP_H
#define HG_IO_LOOP_H

#include "core/base/bytes.h"

enum loop_kind { LOOP_AUTO, LOOP_URING, LOOP_EPOLL };
struct loop;
struct loop *loop_create(enum loop_kind kind,
                         struct buf *why_not); /* AUTO falls back to epoll, why_not says why */
void loop_destroy(struct loop *l);
const char *loop_name(const struct loop *l); /* "uring" or "epoll" */

/* A listening or connected socket. Zero-initialise, set the callbacks and owner, then add. */
struct loop_socket {
    int fd;
    void *owner;
    void (*on_accept)(struct loop_socket *s, int fd);
    void (*on_bytes)(struct loop_socket *s, const uint8_t *p,
                     size_t n);                             /* n == 0: the peer closed or failed */
    void (*on_sent)(struct loop_socket *s, int64_t result); /* the one outstanding send */
    void (*on_closed)(struct loop_socket *s);               /* no completion refers to it any more: free it */
    void *impl;
};
void loop_listen(struct loop *l, struct loop_socket *s);
void loop_receive(struct loop *l, struct loop_socket *s);
void loop_pause(struct loop *l, struct loop_socket *s); /* stop reading: back-pressure */
void loop_resume(struct loop *l, struct loop_socket *s);
/* At most one send outstanding per socket; p stays untouched until on_sent (which may report fewer bytes). */
void loop_send(struct loop *l, struct loop_socket *s, const uint8_t *p, size_t n);
/* From here on the only call the socket gets is on_closed; the loop closes the descriptor. */
void loop_close(struct loop *l, struct loop_socket *s);

/* A durable write into a file opened O_DIRECT|O_DSYNC. */
struct loop_write {
    void (*done)(struct loop_write *w, int64_t result);
    void *owner;
    struct loop_write *next;
    int fd;
    const void *p;
    size_t n;
    uint64_t offset;
    int64_t result;
};
void loop_write(struct loop *l, struct loop_write *w);

/* Handles what is ready; waits at most wait_us for it when nothing is (0: do not wait). Returns completions handled. */
uint32_t loop_run(struct loop *l, uint32_t wait_us);
/* From any thread: the loop that waits, or is about to, returns from loop_run. Cheap when it is not waiting. */
void loop_wake(struct loop *l);
uint64_t loop_now_us(void); /* monotonic */

#endif
