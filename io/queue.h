/* queue.h - records of any size, first in first out, in one growing block of memory.
 * Owner: one worker. Memory: grows by doubling, given back when it runs empty after it was large.
 *   entry = bytes u64 | bytes, padded to 8
 * Pointers into the queue are good until the next push. Fails: aborts when memory is gone. */
#ifndef HG_IO_QUEUE_H
#define HG_IO_QUEUE_H

#include "core/base/bytes.h"

struct queue {
    uint8_t *p;
    size_t head, tail, capacity;
};

uint8_t *queue_push(struct queue *q, size_t n); /* room for n bytes; fill it */
bool queue_front(const struct queue *q, struct slice *entry);
/* The entry behind `at` (0: the first); at moves on. To look at several before popping them. */
bool queue_walk(const struct queue *q, size_t *at, struct slice *entry);
void queue_pop(struct queue *q);
void queue_free(struct queue *q);
static inline bool queue_empty(const struct queue *q) { return q->head == q->tail; }
static inline size_t queue_bytes(const struct queue *q) { return q->tail - q->head; }

#endif
