/* pages.h - the bytes of a simulated file, in pages that are shared until one is written.
 * A page of zeros takes no memory, and what the cache and the platter agree on is held once: a log file zeroed ahead
 * costs nothing, a copy of the whole disk costs a pointer per page.
 * Owner: the process of the seed; pages_clear gives the pages to a list from which the next ones come. */
#ifndef HG_SIM_PAGES_H
#define HG_SIM_PAGES_H

#include "core/base/bytes.h"

enum { SECTOR = 512, PAGE_BYTES = 4096, PAGE_SECTORS = PAGE_BYTES / SECTOR };

struct page;
struct pages {
    struct page **list; /* NULL: zeros, and so is everything behind the last */
    uint32_t count;
};
void pages_read(const struct pages *f, uint64_t at, void *p, size_t n);
void pages_write(struct pages *f, uint64_t at, const void *p, size_t n);
void pages_cut(struct pages *f, uint64_t size); /* zeros from here on */
void pages_copy(struct pages *to, const struct pages *from);
void pages_clear(struct pages *f);
/* These sectors (bits) of this page become what they are in `from`. */
void pages_take(struct pages *to, const struct pages *from, uint32_t page, uint8_t sectors);

#endif
