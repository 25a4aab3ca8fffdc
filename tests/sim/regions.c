#include "tests/sim/regions.h"
#include "core/base/check.h"
#include "core/base/region.h"
#include "tests/sim/world.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { PAGE = 4096, CLEAR_MAX = 64 << 10, PLACES_MAX = 4096, SIZES_MAX = 64 };

struct place {
    uint8_t *base;
    size_t reserved, writable; /* in this life or one before */
    size_t committed;          /* in this one: the rest is zero */
    bool in_use, of_node;
    struct place *next; /* free, of the same size */
};
static struct place places[PLACES_MAX];
static uint32_t place_count;
static struct {
    size_t reserved;
    struct place *free;
} sizes[SIZES_MAX];

static struct place **free_list(size_t reserved)
{
    uint32_t i = 0;
    while (sizes[i].reserved && sizes[i].reserved != reserved) CHECK(++i < SIZES_MAX);
    sizes[i].reserved = reserved;
    return &sizes[i].free;
}

static struct place *place_of(const struct region *r)
{
    struct place *p = places;
    while (p->base != r->base) CHECK(++p < places + place_count);
    return p;
}

void *__real_mmap(void *at, size_t n, int protection, int flags, int fd,
                  off_t offset); /* not the node's: kernel.c */

static struct place *make_place(size_t reserved)
{
    CHECK(place_count < PLACES_MAX);
    void *base = __real_mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(base != MAP_FAILED);
    places[place_count] = (struct place){.base = base, .reserved = reserved};
    return &places[place_count++];
}

static void let_go(struct place *p)
{
    if (p->committed > CLEAR_MAX)
        CHECK(madvise(p->base, p->committed, MADV_DONTNEED) == 0);
    else
        memset(p->base, 0, p->committed);
    struct place **list = free_list(p->reserved);
    p->committed = 0;
    p->in_use = false;
    p->next = *list;
    *list = p;
}

static bool commit(struct region *r, size_t to)
{
    struct place *p = place_of(r);
    if (to > p->writable) {
        CHECK(mprotect(p->base + p->writable, to - p->writable, PROT_READ | PROT_WRITE) == 0);
        p->writable = to;
    }
    p->committed = r->committed = to;
    return true;
}

void region_huge_pages(bool wanted) { (void)wanted; }

bool region_create(struct region *r, size_t bytes_max)
{
    size_t reserved = (bytes_max + PAGE - 1) & ~(size_t)(PAGE - 1);
    struct place **list = free_list(reserved), *p = *list;
    if (p)
        *list = p->next;
    else
        p = make_place(reserved);
    p->in_use = true;
    p->of_node = fiber_self() != NULL;
    *r = (struct region){.base = p->base, .reserved = reserved};
    return true;
}

void region_destroy(struct region *r)
{
    if (r->base) let_go(place_of(r));
    *r = (struct region){0};
}

bool region_reserve(struct region *r, size_t more)
{
    size_t need = r->used + more;
    if (likely(need <= r->committed)) return true;
    if (need > r->reserved) return false;
    size_t to = (need + r->committed / 4 + PAGE - 1) & ~(size_t)(PAGE - 1);
    return commit(r, to < r->reserved ? to : r->reserved);
}

bool region_commit(struct region *r) { return commit(r, r->reserved); }

void regions_abandon(void)
{
    for (uint32_t i = 0; i < place_count; i++)
        if (places[i].in_use && places[i].of_node) let_go(&places[i]);
}
