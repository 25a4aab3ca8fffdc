/* credit.h - when is a chunk complete? When every record in it, and every message those caused anywhere, is applied and
 * durable.
 *
 * A chunk starts with the whole weight. What travels to another worker on its behalf - a record, later a message - takes
 * a share of the weight along. Each worker keeps one account per chunk: the share it holds and how many records it still
 * owes. When it owes none and what it did is durable, the share goes home. The chunk is complete exactly when the whole
 * weight is back: no message can be on its way without a share.
 * Every taking gives a 65,536th of what is there (a 64th once little is left), so a million records of one chunk and five
 * hops fit into 62 bits. Merges that wait for each other make longer ways: where no share is left, the worker opens a
 * chunk of its own, with a whole weight, for what leaves now, and owes that one to the first. Should no slot be free for it,
 * the first is never acknowledged and its sender sends it again.
 *
 * Owner: a worker. Memory: chunk slots made on demand; per origin one array of accounts, touched as used.
 * A cookie names (origin worker, slot, generation); a stale one - its connection is long gone - is ignored.
 * Source: Mattern, weight throwing for termination detection. */
#ifndef HG_IO_CREDIT_H
#define HG_IO_CREDIT_H

#include "core/base/limits.h"

#include <stdbool.h>
#include <stdint.h>

enum { CHUNKS_MAX = 4096 };
#define CREDIT_WHOLE (1ull << 62)

struct account {
    uint32_t generation;
    uint32_t owed; /* records of this chunk taken in and not yet done */
    uint64_t share;
};

struct chunk {         /* one that waits for its ack, on the worker of its connection */
    struct conn *conn; /* NULL: gone meanwhile, or there never was one */
    uint64_t parent;   /* cookie of the chunk that this one is owed to; 0: a connection's */
    uint64_t home;     /* weight that came back */
    uint64_t begun_us;
    uint32_t generation;
    uint16_t next; /* of the connection, in order of arrival; or the next free slot */
    uint8_t id_bytes;
    bool id_is_bin, complete;
    uint8_t id[CHUNK_ID_BYTES_MAX];
};

struct credit {
    struct chunk *chunks; /* CHUNKS_MAX, mapped lazily */
    uint32_t chunks_used, chunks_high;
    uint16_t first_free;
    struct account *accounts[LOGICAL_SHARDS]; /* by origin worker */
    uint64_t exhausted;                       /* how often a share was gone: such a chunk gets no ack */
};

enum { NO_CHUNK = 0xffff };

bool credit_create(struct credit *c);
void credit_destroy(struct credit *c);

uint16_t chunk_open(struct credit *c, struct conn *conn); /* NO_CHUNK: all slots are taken */
void chunk_release(struct credit *c, uint16_t slot);
uint64_t chunk_cookie(const struct credit *c, uint32_t self, uint16_t slot);

static inline uint32_t cookie_origin(uint64_t cookie) { return (cookie >> 48) & 0xff; }
static inline uint16_t cookie_slot(uint64_t cookie) { return (uint16_t)(cookie >> 32); }
static inline uint32_t cookie_generation(uint64_t cookie) { return (uint32_t)cookie; }

/* One more record of this chunk is here, with the share that came along (0: from this very worker). */
void credit_enter(struct credit *c, uint64_t cookie, uint64_t share);
/* A share for something that leaves worker `self` for another one, and the cookie it travels under; 0: none, and no slot. */
uint64_t credit_take(struct credit *c, uint32_t self, uint64_t *cookie);
/* One record is done. Returns the share to send home when none is owed any more, else 0. */
uint64_t credit_leave(struct credit *c, uint64_t cookie);
/* A share is home; true: the chunk is complete. */
bool chunk_repay(struct credit *c, uint64_t cookie, uint64_t share);

#endif
