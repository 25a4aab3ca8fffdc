/* Size classes, in granules: 1..16 one by one, then eight per doubling:
 *   16 | 18 20 22 24 26 28 30 32 | 36 40 ... 64 | 72 ...
 * A free block holds the handle of the next free one of its class in its first four bytes. */
#include "core/base/heap.h"
#include "core/base/check.h"

static uint32_t class_of(uint32_t granules)
{
    if (granules <= 16) return granules;
    uint32_t top = 31 - (uint32_t)__builtin_clz(granules - 1); /* 2^top <= granules-1 < 2^(top+1) */
    uint32_t eighth = (granules - 1 - (1u << top)) >> (top - 3);
    return 17 + (top - 4) * 8 + eighth;
}

static uint32_t class_granules(uint32_t cls)
{
    if (cls <= 16) return cls;
    uint32_t top = (cls - 17) / 8 + 4, eighth = (cls - 17) % 8;
    return (1u << top) + ((eighth + 1) << (top - 3));
}

static uint32_t granules_of(uint32_t bytes) { return bytes ? (bytes + HEAP_GRANULE - 1) / HEAP_GRANULE : 1; }

bool heap_create(struct heap *h, size_t bytes_max)
{
    memset(h, 0, sizeof *h);
    if (!region_create(&h->region, bytes_max)) return false;
    if (!region_reserve(&h->region, HEAP_GRANULE)) return false;
    h->region.used = HEAP_GRANULE; /* handle 0 stays empty */
    return true;
}

void heap_destroy(struct heap *h) { region_destroy(&h->region); }

bool heap_reserve(struct heap *h, size_t bytes) { return region_reserve(&h->region, bytes); }

uint32_t heap_room(uint32_t bytes) { return class_granules(class_of(granules_of(bytes))) * HEAP_GRANULE; }

uint32_t heap_alloc(struct heap *h, uint32_t bytes)
{
    CHECK(bytes <= HEAP_BLOCK_BYTES_MAX);
    uint32_t cls = class_of(granules_of(bytes)), size = class_granules(cls) * HEAP_GRANULE;
    uint32_t handle = h->free[cls];
    h->bytes_used += size;
    if (handle) {
        memcpy(&h->free[cls], heap_at(h, handle), 4);
        return handle;
    }
    CHECK(h->region.committed - h->region.used >= size); /* reserve, then apply */
    handle = (uint32_t)(h->region.used / HEAP_GRANULE);
    h->region.used += size;
    return handle;
}

void heap_release(struct heap *h, uint32_t handle, uint32_t bytes)
{
    if (!handle) return;
    uint32_t cls = class_of(granules_of(bytes)), size = class_granules(cls) * HEAP_GRANULE;
    CHECK(h->bytes_used >= size);
    h->bytes_used -= size;
    memcpy(heap_at(h, handle), &h->free[cls], 4);
    h->free[cls] = handle;
}
