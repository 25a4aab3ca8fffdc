/* mailbox.h - a byte ring between two workers: one thread writes, another reads; the only place with atomics.
 * Owner: the engine makes one per ordered pair of workers. Memory: one mapping, touched as it is used.
 * Records are 8-byte aligned and contiguous; what does not fit before the end starts again at the front.
 *   record = length u32 | kind u32 | bytes, padded to 8          length UINT32_MAX: the rest of the ring is skipped
 * Writer: mailbox_reserve, fill, mailbox_commit; seen by the reader after mailbox_publish (once per turn, or when full).
 * Reader: mailbox_next walks; what was walked stays readable until mailbox_release.
 * Fails: mailbox_reserve answers NULL when there is no room now; nobody ever waits here.
 * Source: SPSC ring with cached indices (notes/core section 5). */
#ifndef HG_IO_MAILBOX_H
#define HG_IO_MAILBOX_H

#include "core/base/bytes.h"

#include <stdatomic.h>

struct mailbox {
    /* both sides, never changed */
    uint8_t *bytes;
    uint64_t capacity; /* power of two */
    /* writer's line */
    _Alignas(64) uint64_t tail; /* next byte to write */
    uint64_t pending;           /* length of the reserved record */
    uint64_t head_seen;         /* released, as last seen by the writer */
    _Alignas(64) _Atomic uint64_t published;
    /* reader's line */
    _Alignas(64) uint64_t head; /* next byte to walk */
    uint64_t published_seen;
    _Alignas(64) _Atomic uint64_t released;
};

bool mailbox_create(struct mailbox *m, size_t capacity);
void mailbox_destroy(struct mailbox *m);
/* Longest record: half the ring, so that it always fits once the ring is empty. */
static inline size_t mailbox_record_max(const struct mailbox *m) { return (size_t)m->capacity / 2 - 16; }

uint8_t *mailbox_reserve(struct mailbox *m, uint32_t kind, size_t n);
void mailbox_commit(struct mailbox *m);
bool mailbox_publish(struct mailbox *m); /* true: there was something new */

bool mailbox_next(struct mailbox *m, uint32_t *kind, struct slice *bytes);
void mailbox_release(struct mailbox *m);
bool mailbox_empty(struct mailbox *m); /* for the reader */

#endif
