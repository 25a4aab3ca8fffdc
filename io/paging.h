/* paging.h - long answers, a page at a time: {NAME: [item], next}. A page goes through the shards in turn, each on its own
 * worker, until it is full; `after` = the `next` of the page before leads on, until next is nil. So an answer has no end
 * that its reader does not see.
 * Owner: the method that asked, first member of its own structure; released with `release`. Pages are of many moments: what
 * changes between two pages may come twice or not at all, what does not change comes once.
 * Memory: the request's result, a page of at most PAGE_BYTES and one item. Fails: never; paging_read answers bad parameters. */
#ifndef HG_IO_PAGING_H
#define HG_IO_PAGING_H

#include "io/admin.h"

enum { PAGE_BYTES = 1 << 20 };

struct paging {
    struct call call;
    struct request *request;
    uint32_t shard;
    uint64_t place; /* within the shard, 0: its beginning; 56 bits */
    uint32_t count, limit;
    bool full;
    size_t list; /* the open list in the answer */
    /* Packs items from p->place on while paging_room says yes, and leaves p->place behind the last one. False: page full. */
    bool (*fill)(struct paging *p, struct worker *w, struct shard *s);
    void (*release)(struct paging *p);
};

/* `limit` (default and most: a page) and `after` of the request; false: it was answered with what is wrong. */
bool paging_read(struct paging *p, struct request *r, uint32_t limit_index, uint32_t after_index,
                 uint32_t limit_max);
void paging_start(struct paging *p, const char *name);
static inline bool paging_room(const struct paging *p)
{
    return p->count < p->limit && p->request->result.n < PAGE_BYTES;
}

#endif
