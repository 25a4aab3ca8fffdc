#include "core/base/region.h"
#include "core/base/check.h"

#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1; older ones refuse it and the pages stay small */
#endif

enum { STEP_MIN = 64 << 10, HUGE_FROM = 1 << 20, HUGE_PAGE = 2 << 20 };

static bool huge_pages = true; /* set before there are threads */

void region_huge_pages(bool wanted) { huge_pages = wanted; }

bool region_create(struct region *r, size_t bytes_max)
{
    size_t reserve = (bytes_max + HUGE_PAGE - 1) & ~(size_t)(HUGE_PAGE - 1);
    uint8_t *at =
        mmap(NULL, reserve + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return false;
    /* Aligned, so that huge pages fit; the slack before and behind is given back. */
    uint8_t *aligned = (uint8_t *)(((uintptr_t)at + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
    if (aligned > at) munmap(at, (size_t)(aligned - at));
    size_t behind = (size_t)(at + reserve + HUGE_PAGE - (aligned + reserve));
    if (behind) munmap(aligned + reserve, behind);
    *r = (struct region){.base = aligned, .reserved = reserve};
    return true;
}

void region_destroy(struct region *r)
{
    if (r->base) munmap(r->base, r->reserved);
    *r = (struct region){0};
}

bool region_reserve(struct region *r, size_t more)
{
    size_t need = r->used + more;
    if (likely(need <= r->committed)) return true;
    if (need > r->reserved) return false;
    /* A quarter more than there is, so that the number of calls stays logarithmic. */
    size_t to = need + r->committed / 4;
    bool huge = huge_pages && to >= HUGE_FROM;
    size_t step = huge ? HUGE_PAGE : STEP_MIN;
    to = (to + step - 1) & ~(step - 1);
    if (to > r->reserved) to = r->reserved;
    if (mprotect(r->base + r->committed, to - r->committed, PROT_READ | PROT_WRITE) != 0) return false;
    if (huge) {
        madvise(r->base, to, MADV_HUGEPAGE);
        if (r->committed && r->committed < HUGE_FROM) madvise(r->base, HUGE_PAGE, MADV_COLLAPSE);
    }
    r->committed = to;
    return true;
}

bool region_commit(struct region *r)
{
    if (mprotect(r->base, r->reserved, PROT_READ | PROT_WRITE) != 0) return false;
    r->committed = r->reserved;
    return true;
}
