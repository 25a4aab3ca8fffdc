#include "io/paging.h"

enum { PLACE_BITS = 56 };

bool paging_read(struct paging *p, struct request *r, uint32_t limit_index, uint32_t after_index,
                 uint32_t limit_max)
{
    uint64_t after = 0, limit = limit_max;
    param_uint(r, after_index, "after", &after);
    param_uint(r, limit_index, "limit", &limit);
    if (after >> PLACE_BITS >= LOGICAL_SHARDS || limit == 0) {
        request_bad(r, "after is the `next` of the page before, limit at least 1");
        return false;
    }
    p->request = r;
    p->shard = (uint32_t)(after >> PLACE_BITS);
    p->place = after & ((1ull << PLACE_BITS) - 1);
    p->limit = (uint32_t)(limit < limit_max ? limit : limit_max);
    return true;
}

static struct worker *host(const struct paging *p)
{
    struct engine *e = p->request->engine;
    return &e->workers[engine_owner(e, p->shard)];
}

static enum call_state fill_some(struct worker *w, struct call *c)
{
    struct paging *p = c->owner;
    while (p->shard < LOGICAL_SHARDS && host(p) == w) {
        p->full = !p->fill(p, w, w->engine->shards[p->shard]);
        if (p->full) break;
        p->shard++;
        p->place = 0;
    }
    return CALL_HELD;
}

static void filled(struct call *c)
{
    struct paging *p = c->owner;
    struct request *r = p->request;
    if (!p->full && p->shard < LOGICAL_SHARDS) {
        call_post(host(p), c);
        return;
    }
    pk_close(&r->pack, p->list, p->count);
    pk_text(&r->pack, "next");
    p->full ? pk_uint(&r->pack, (uint64_t)p->shard << PLACE_BITS | p->place) : pk_nil(&r->pack);
    p->release(p);
    request_reply(r);
}

void paging_start(struct paging *p, const char *name)
{
    struct request *r = p->request;
    pk_map(&r->pack, 2);
    pk_text(&r->pack, name);
    p->list = pk_open(&r->pack, PK_LIST);
    p->call = (struct call){.run = fill_some, .done = filled, .owner = p};
    call_post(host(p), &p->call);
}
