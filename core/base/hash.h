/* hash.h - 128-bit keys of ids, under the data directory's secret, and CRC32C.
 * Ids come from strangers: without a secret one of them could be made to collide with another's.
 * Source: XXH3 (libxxhash), withSecret variants; CRC32C by SSE4.2 where present. */
#ifndef HG_BASE_HASH_H
#define HG_BASE_HASH_H

#include "core/base/bytes.h"
#include "core/base/limits.h"

struct key {
    uint64_t hi, lo;
};
static inline bool key_eq(struct key a, struct key b) { return a.hi == b.hi && a.lo == b.lo; }
static inline bool key_is_zero(struct key a) { return (a.hi | a.lo) == 0; }
static inline int key_cmp(struct key a, struct key b)
{
    if (a.hi != b.hi) return a.hi < b.hi ? -1 : 1;
    return a.lo < b.lo ? -1 : a.lo > b.lo;
}

enum { SECRET_BYTES = 192 };
struct hash_secret {
    uint8_t bytes[SECRET_BYTES];
};
/* Spreads a seed of any length (16 bytes of randomness, or the user's hex) into a secret. */
void hash_secret_from_seed(struct hash_secret *out, struct slice seed);

/* What an id names is part of the hash: user "42" and anonymous "42" are two people. */
enum id_kind { ID_USER = 0, ID_ANONYMOUS = 1, ID_TRAIT = 2 }; /* a trait adds its attribute id: 2 + id */

struct key hash_id(const struct hash_secret *secret, uint32_t id_kind, struct slice id); /* never zero */
uint64_t hash64(const struct hash_secret *secret, const void *p, size_t n);
/* Unkeyed, for ids that leave the process and must be the same everywhere (action ids, splits). */
struct key hash128_plain(const void *p, size_t n);
uint64_t hash64_plain(const void *p, size_t n);
/* The logical shard of a key: 0..LOGICAL_SHARDS-1. */
static inline uint32_t key_shard(struct key k) { return (uint32_t)(k.hi >> 58) % LOGICAL_SHARDS; }

uint32_t crc32c(uint32_t crc, const void *p,
                size_t n); /* of what came before and these bytes; begin with 0 */
uint32_t crc32c_slow(uint32_t crc, const void *p, size_t n); /* the obvious one, to compare with */

#endif
