/* heap.h - the shard's own memory for things of changing size, named by 32-bit handles.
 * Owner: the shard. Memory: one region; blocks of 16-byte granules in size classes with free lists, each
 *        class an eighth or less above the last, so that at most an eighth is lost.
 * A handle is granule number; 0 is "nothing". Blocks do not move, growing one means a new handle.
 * Fails: heap_reserve only, called before a batch; what was reserved can then be taken without asking.
 * Cost: taking and giving back a block is a pop and a push: about 2 ns when the line is near. */
#ifndef HG_BASE_HEAP_H
#define HG_BASE_HEAP_H

#include "core/base/region.h"

enum { HEAP_GRANULE = 16, HEAP_CLASSES = 160, HEAP_BLOCK_BYTES_MAX = 16 << 20 };

struct heap {
    struct region region;
    uint32_t free[HEAP_CLASSES]; /* first free block of each class; the next one's handle is inside it */
    uint64_t bytes_used;         /* in blocks handed out, rounded to their class */
    uint32_t tables;             /* jemalloc arena of this shard's tables + 1; 0: none needed yet */
};

bool heap_create(struct heap *h, size_t bytes_max);
void heap_destroy(struct heap *h);
bool heap_reserve(struct heap *h, size_t bytes);
uint32_t heap_alloc(struct heap *h, uint32_t bytes);                /* never 0; content is not cleared */
void heap_release(struct heap *h, uint32_t handle, uint32_t bytes); /* bytes as asked at heap_alloc */
/* A hint: a block of so many bytes will be taken soon. Popping a free block reads it, which would be a miss. */
void heap_prefetch(const struct heap *h, uint32_t bytes);
/* Tables that grow by doubling between batches (outbox, columns, counters): from a jemalloc arena of the shard's own, so that
 * shards neither contend nor fragment each other. New bytes are not cleared.
 * NULL: no memory, the old table stays. */
void *heap_table(struct heap *h, void *old, size_t bytes);
void heap_table_free(void *table);
/* The bytes a block of this request really has: growing within them needs no new block. */
uint32_t heap_room(uint32_t bytes);
static inline void *heap_at(const struct heap *h, uint32_t handle)
{
    return h->region.base + (size_t)handle * HEAP_GRANULE;
}

#endif
