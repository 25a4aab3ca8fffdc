/* Size classes, in granules: 1..16 one by one, then eight per doubling:
 *   16 | 18 20 22 24 26 28 30 32 | 36 40 ... 64 | 72 ...
 * A free block holds the handle of the next free one of its class in its first four bytes. */
#include "core/base/heap.h"
#include "core/base/check.h"

#include <stdio.h>
#ifdef HG_LIBC_MALLOC
#include <stdlib.h>
#else
#include <jemalloc/jemalloc.h>
#endif

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

/* ---- tables -------------------------------------------------------------------------- */

#ifdef HG_LIBC_MALLOC /* sanitizers want to see every allocation */
void *heap_table(struct heap *h, void *old, size_t bytes) { return realloc(old, bytes); }
void heap_table_free(void *table) { free(table); }
static void tables_destroy(struct heap *h) {}
#else
void *heap_table(struct heap *h, void *old, size_t bytes)
{
    unsigned arena;
    size_t n = sizeof arena;
    if (!h->tables && mallctl("arenas.create", &arena, &n, NULL, 0) == 0) h->tables = arena + 1;
    if (!h->tables) return NULL;
    int flags = (int)MALLOCX_ARENA(h->tables - 1) | MALLOCX_TCACHE_NONE;
    return old ? rallocx(old, bytes, flags) : mallocx(bytes, flags);
}

void heap_table_free(void *table)
{
    if (table) dallocx(table, MALLOCX_TCACHE_NONE);
}

static void tables_destroy(struct heap *h) /* with whatever is still in it */
{
    char name[32];
    if (!h->tables) return;
    snprintf(name, sizeof name, "arena.%u.destroy", h->tables - 1);
    mallctl(name, NULL, NULL, NULL, 0);
    h->tables = 0;
}
#endif

void heap_destroy(struct heap *h)
{
    tables_destroy(h);
    region_destroy(&h->region);
}

bool heap_reserve(struct heap *h, size_t bytes) { return region_reserve(&h->region, bytes); }

uint32_t heap_room(uint32_t bytes) { return class_granules(class_of(granules_of(bytes))) * HEAP_GRANULE; }

void heap_prefetch(const struct heap *h, uint32_t bytes)
{
    __builtin_prefetch(heap_at(h, h->free[class_of(granules_of(bytes))]), 1);
}

uint32_t heap_alloc(struct heap *h, uint32_t bytes)
{
    CHECK(bytes <= HEAP_BLOCK_BYTES_MAX);
    uint32_t cls = class_of(granules_of(bytes)), size = class_granules(cls) * HEAP_GRANULE;
    uint32_t handle = h->free[cls];
    h->bytes_used += size;
    if (handle) {
        memcpy(&h->free[cls], heap_at(h, handle), 4);
        __builtin_prefetch(heap_at(h, h->free[cls]), 1); /* whoever asks next finds it near */
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
