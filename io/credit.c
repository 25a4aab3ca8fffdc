#include "io/credit.h"
#include "core/base/check.h"

#include <stdlib.h>
#include <sys/mman.h>

/* A wide account (the chunk's own) gives little to each of up to a million records; a narrow one has few to give to. */
enum { WIDE_SHIFT = 16, NARROW_SHIFT = 6 };
#define CREDIT_WIDE (1ull << 40)

bool credit_create(struct credit *c)
{
    *c = (struct credit){.first_free = NO_CHUNK};
    void *p = mmap(NULL, CHUNKS_MAX * sizeof *c->chunks, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return false;
    c->chunks = p;
    return true;
}

void credit_destroy(struct credit *c)
{
    if (c->chunks) munmap(c->chunks, CHUNKS_MAX * sizeof *c->chunks);
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) free(c->accounts[i]);
    *c = (struct credit){0};
}

uint16_t chunk_open(struct credit *c, struct conn *conn)
{
    uint16_t slot = c->first_free;
    if (slot != NO_CHUNK)
        c->first_free = c->chunks[slot].next;
    else if (c->chunks_high < CHUNKS_MAX)
        slot = (uint16_t)c->chunks_high++;
    else
        return NO_CHUNK;
    struct chunk *k = &c->chunks[slot];
    uint32_t generation = k->generation + 1;
    k->conn = conn;
    k->parent = 0;
    k->home = 0;
    k->generation = generation;
    k->next = NO_CHUNK;
    k->complete = false;
    c->chunks_used++;
    return slot;
}

void chunk_release(struct credit *c, uint16_t slot)
{
    c->chunks[slot].generation++; /* what still names it is stale */
    c->chunks[slot].conn = NULL;
    c->chunks[slot].next = c->first_free;
    c->first_free = slot;
    c->chunks_used--;
}

uint64_t chunk_cookie(const struct credit *c, uint32_t self, uint16_t slot)
{
    return 1ull << 63 | (uint64_t)self << 48 | (uint64_t)slot << 32 | c->chunks[slot].generation;
}

static struct account *account_of(struct credit *c, uint64_t cookie)
{
    struct account **list = &c->accounts[cookie_origin(cookie)];
    if (unlikely(!*list)) {
        *list = calloc(CHUNKS_MAX, sizeof **list);
        CHECK(*list != NULL);
    }
    return &(*list)[cookie_slot(cookie)];
}

void credit_enter(struct credit *c, uint64_t cookie, uint64_t share)
{
    struct account *a = account_of(c, cookie);
    int32_t newer = (int32_t)(cookie_generation(cookie) - a->generation);
    if (newer < 0) return; /* of a connection that is gone: the account is its successor's */
    if (newer > 0) *a = (struct account){.generation = cookie_generation(cookie)};
    a->owed++;
    a->share += share;
}

static uint64_t take_share(struct account *a)
{
    uint64_t share = a->share >> (a->share >= CREDIT_WIDE ? WIDE_SHIFT : NARROW_SHIFT);
    if (share == 0 && a->share > 1) share = 1;
    a->share -= share;
    return share;
}

/* Done when what leaves now is done; `cookie`'s account owes it until then. */
static uint64_t take_of_own(struct credit *c, uint32_t self, uint64_t *cookie)
{
    account_of(c, *cookie)->owed++;
    uint16_t slot = chunk_open(c, NULL);
    if (slot == NO_CHUNK) { /* never an ack that nobody can vouch for */
        c->exhausted++;
        return 0;
    }
    c->chunks[slot].parent = *cookie;
    *cookie = chunk_cookie(c, self, slot);
    c->chunks[slot].home = CREDIT_WHOLE / 2; /* nothing else is ever taken of it here */
    return CREDIT_WHOLE / 2;
}

uint64_t credit_take(struct credit *c, uint32_t self, uint64_t *cookie)
{
    struct account *a = account_of(c, *cookie);
    if (a->generation != cookie_generation(*cookie)) return 0;
    uint64_t share = take_share(a);
    return share ? share : take_of_own(c, self, cookie);
}

uint64_t credit_leave(struct credit *c, uint64_t cookie)
{
    struct account *a = account_of(c, cookie);
    if (a->generation != cookie_generation(cookie)) return 0;
    CHECK(a->owed > 0);
    if (--a->owed) return 0;
    uint64_t share = a->share;
    a->share = 0;
    return share;
}

bool chunk_repay(struct credit *c, uint64_t cookie, uint64_t share)
{
    struct chunk *k = &c->chunks[cookie_slot(cookie)];
    if (k->generation != cookie_generation(cookie)) return false;
    k->home += share;
    CHECK(k->home <= CREDIT_WHOLE);
    return k->home == CREDIT_WHOLE;
}
