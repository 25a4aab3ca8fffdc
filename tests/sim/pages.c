#include "tests/sim/pages.h"
#include "core/base/check.h"

#include <stdlib.h>

struct page {
    uint32_t users;
    struct page *next; /* of the unused */
    uint8_t bytes[PAGE_BYTES];
};

static struct page *unused;
static const uint8_t zeros[PAGE_BYTES];

static struct page *make(const uint8_t *bytes)
{
    struct page *p = unused ? unused : malloc(sizeof *p);
    CHECK(p != NULL);
    if (p == unused) unused = p->next;
    p->users = 1;
    memcpy(p->bytes, bytes, PAGE_BYTES);
    return p;
}

static void let_go(struct page *p)
{
    if (!p || --p->users) return;
    p->next = unused;
    unused = p;
}

static void reach(struct pages *f, uint64_t page)
{
    if (page < f->count) return;
    uint32_t count = (uint32_t)(page + page / 4 + 16);
    f->list = realloc(f->list, count * sizeof *f->list);
    CHECK(f->list != NULL);
    memset(f->list + f->count, 0, (count - f->count) * sizeof *f->list);
    f->count = count;
}

static const uint8_t *bytes_of(const struct pages *f, uint64_t page)
{
    return page < f->count && f->list[page] ? f->list[page]->bytes : zeros;
}

static void put(struct pages *f, uint64_t page, struct page *p)
{
    reach(f, page);
    let_go(f->list[page]);
    f->list[page] = p;
}

static uint8_t *own(struct pages *f, uint64_t page)
{
    reach(f, page);
    if (!f->list[page] || f->list[page]->users > 1) put(f, page, make(bytes_of(f, page)));
    return f->list[page]->bytes;
}

static size_t piece(uint64_t at, size_t n)
{
    size_t left = PAGE_BYTES - at % PAGE_BYTES;
    return n < left ? n : left;
}

void pages_read(const struct pages *f, uint64_t at, void *p, size_t n)
{
    for (size_t done = 0, step; done < n; done += step) {
        step = piece(at + done, n - done);
        memcpy((uint8_t *)p + done, bytes_of(f, (at + done) / PAGE_BYTES) + (at + done) % PAGE_BYTES, step);
    }
}

void pages_write(struct pages *f, uint64_t at, const void *p, size_t n)
{
    for (size_t done = 0, step; done < n; done += step) {
        const uint8_t *from = (const uint8_t *)p + done;
        uint64_t page = (at + done) / PAGE_BYTES;
        step = piece(at + done, n - done);
        if (step < PAGE_BYTES)
            memcpy(own(f, page) + (at + done) % PAGE_BYTES, from, step);
        else
            put(f, page, memcmp(from, zeros, PAGE_BYTES) ? make(from) : NULL);
    }
}

void pages_cut(struct pages *f, uint64_t size)
{
    uint64_t page = size / PAGE_BYTES;
    if (size % PAGE_BYTES && page < f->count && f->list[page])
        memset(own(f, page) + size % PAGE_BYTES, 0, PAGE_BYTES - size % PAGE_BYTES);
    for (page += size % PAGE_BYTES > 0; page < f->count; page++) put(f, page, NULL);
}

void pages_copy(struct pages *to, const struct pages *from)
{
    pages_clear(to);
    if (!from->count) return;
    reach(to, from->count - 1);
    for (uint32_t i = 0; i < from->count; i++)
        if ((to->list[i] = from->list[i]) != NULL) to->list[i]->users++;
}

void pages_clear(struct pages *f)
{
    for (uint32_t i = 0; i < f->count; i++) let_go(f->list[i]);
    free(f->list);
    *f = (struct pages){0};
}

void pages_take(struct pages *to, const struct pages *from, uint32_t page, uint8_t sectors)
{
    const uint8_t *now = bytes_of(to, page), *then = bytes_of(from, page);
    bool same = true; /* what is not taken */
    if (now == then || !sectors) return;
    for (uint32_t s = 0; s < PAGE_SECTORS && same; s++)
        same = sectors >> s & 1 || !memcmp(now + s * SECTOR, then + s * SECTOR, SECTOR);
    if (same) {
        struct page *p = page < from->count ? from->list[page] : NULL;
        if (p) p->users++;
        put(to, page, p);
        return;
    }
    uint8_t *mine = own(to, page);
    for (uint32_t s = 0; s < PAGE_SECTORS; s++)
        if (sectors >> s & 1) memcpy(mine + s * SECTOR, then + s * SECTOR, SECTOR);
}
