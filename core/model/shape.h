/* shape.h - what the keys of recent maps were, which one came behind which, and what each means. Messages of one kind have
 * the same keys in the same order, so the next key is nearly always the one that came behind this one before: a compare
 * of sixteen bytes finds it and its meaning, and nothing is hashed. Any other key is looked up, so that no result ever
 * depends on what was seen before.
 * Owner: one thread. Memory: inside the struct; zero-initialise. Fails: never; a key that finds no room stays strange.
 */
#ifndef HG_MODEL_SHAPE_H
#define HG_MODEL_SHAPE_H

#include "core/base/check.h"
#include "core/base/bytes.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
    SHAPE_KEYS = 32,     /* of a map, the first one being its beginning */
    SHAPE_FOLLOWERS = 4, /* that a key may have: several senders write the same keys in other orders */
    SHAPE_BYTES = 32, /* a key as MessagePack, its lead byte included; longer ones are looked up each time */
    SHAPE_SLOTS = 64,
    SHAPE_NO_KEY = 0xc1,       /* no MessagePack begins with it */
    SHAPE_STRANGERS_MAX = 4096 /* keys that found no room: then all is forgotten and learned anew */
};

struct shape_key {
    _Alignas(64) uint8_t text[SHAPE_BYTES];
    uint8_t followers[SHAPE_FOLLOWERS]; /* positions; 0: none */
    uint16_t bytes;
    uint16_t beyond; /* of the first sixteen bytes those that do not belong to it, a bit each */
    uint16_t meaning;
};
struct shape_map {
    struct shape_key keys[SHAPE_KEYS]; /* keys[0] is the beginning: its followers come first in a map */
    uint8_t slots[SHAPE_SLOTS];        /* by hash of the text: position, 0: empty */
    uint32_t count, strangers;
};

/* At p there are at least SHAPE_BYTES to be read. */
static inline bool shape_is(const struct shape_key *k, const uint8_t *p)
{
#ifdef __SSE2__
    __m128i there = _mm_loadu_si128((const __m128i *)p), text = _mm_load_si128((const __m128i *)k->text);
    if ((_mm_movemask_epi8(_mm_cmpeq_epi8(there, text)) | k->beyond) != 0xffff) return false;
    return likely(k->bytes <= 16) || memcmp(p + 16, k->text + 16, k->bytes - 16u) == 0;
#else
    return k->bytes && memcmp(p, k->text, k->bytes) == 0;
#endif
}

/* The key at p, if one like it came behind `before` earlier, else NULL. At p there are at least SHAPE_BYTES. */
static inline const struct shape_key *shape_next(const struct shape_map *s, const struct shape_key *before,
                                                 const uint8_t *p)
{
    const struct shape_key *k = &s->keys[before->followers[0]];
    if (likely(shape_is(k, p))) return k;
    for (uint32_t i = 1; i < SHAPE_FOLLOWERS && before->followers[i]; i++) {
        k = &s->keys[before->followers[i]];
        if (shape_is(k, p)) return k;
    }
    return NULL;
}

/* Before the keys of a map are read; returns what stands before the first one. */
const struct shape_key *shape_restart(struct shape_map *s);
static inline const struct shape_key *shape_begin(struct shape_map *s)
{
    bool fine = s->keys[0].text[0] == SHAPE_NO_KEY && s->strangers < SHAPE_STRANGERS_MAX;
    return likely(fine) ? s->keys : shape_restart(s);
}
/* A key, as MessagePack, that did not come behind `before` (NULL: behind a stranger) until now; NULL: it was never seen. */
const struct shape_key *shape_find(struct shape_map *s, const struct shape_key *before, struct slice text);
/* One that was never seen; NULL: it is no short text, or there is no room. */
const struct shape_key *shape_add(struct shape_map *s, const struct shape_key *before, struct slice text,
                                  uint16_t meaning);

#endif
