#include "io/queue.h"
#include "core/base/check.h"

#include <stdlib.h>

enum { PREFIX = 8, CAPACITY_FIRST = 4 << 10, CAPACITY_KEPT = 1 << 20 };

static size_t padded(size_t n) { return (n + 7) & ~(size_t)7; }

static void make_room(struct queue *q, size_t need)
{
    if (q->capacity - q->tail >= need) return;
    if (q->p && q->head >= q->capacity / 2) { /* moves each byte at most once per doubling */
        memmove(q->p, q->p + q->head, q->tail - q->head);
        q->tail -= q->head;
        q->head = 0;
        if (q->capacity - q->tail >= need) return;
    }
    size_t capacity = q->capacity ? q->capacity : CAPACITY_FIRST;
    while (capacity - q->tail < need) capacity *= 2;
    q->p = realloc(q->p, capacity);
    CHECK(q->p != NULL);
    q->capacity = capacity;
}

uint8_t *queue_push(struct queue *q, size_t n)
{
    size_t need = PREFIX + padded(n);
    make_room(q, need);
    uint8_t *entry = q->p + q->tail;
    store_le64(entry, n);
    q->tail += need;
    return entry + PREFIX;
}

bool queue_walk(const struct queue *q, size_t *at, struct slice *entry)
{
    if (q->head + *at == q->tail) return false;
    const uint8_t *p = q->p + q->head + *at;
    *entry = slice_of(p + PREFIX, load_le64(p));
    *at += PREFIX + padded(entry->n);
    return true;
}

bool queue_front(const struct queue *q, struct slice *entry)
{
    size_t at = 0;
    return queue_walk(q, &at, entry);
}

void queue_pop(struct queue *q)
{
    CHECK(q->head != q->tail);
    q->head += PREFIX + padded(load_le64(q->p + q->head));
    if (q->head != q->tail) return;
    q->head = q->tail = 0;
    if (q->capacity > CAPACITY_KEPT) queue_free(q);
}

void queue_free(struct queue *q)
{
    free(q->p);
    *q = (struct queue){0};
}
