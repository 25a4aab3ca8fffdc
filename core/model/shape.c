#include "core/model/shape.h"
#include "core/model/schema.h"

static uint32_t slot_of(struct slice text) { return name_ends_hash(name_ends_of(text), text.n, 0); }

/* The last one gives way: the others were there when the map's usual orders were learned. */
static void follow(struct shape_map *s, const struct shape_key *before, const struct shape_key *k)
{
    if (!before) return;
    uint8_t *followers = s->keys[before - s->keys].followers;
    uint32_t i = 0;
    while (i < SHAPE_FOLLOWERS - 1 && followers[i]) i++;
    followers[i] = (uint8_t)(k - s->keys);
}

const struct shape_key *shape_restart(struct shape_map *s)
{
    if (s->strangers >= SHAPE_STRANGERS_MAX) *s = (struct shape_map){0};
    s->keys[0].text[0] = SHAPE_NO_KEY;
    return s->keys;
}

const struct shape_key *shape_find(struct shape_map *s, const struct shape_key *before, struct slice text)
{
    for (uint32_t i = slot_of(text);; i++) {
        const struct shape_key *k = &s->keys[s->slots[i % SHAPE_SLOTS]];
        if (k == s->keys) return NULL;
        if (!slice_eq(slice_of(k->text, k->bytes), text)) continue;
        follow(s, before, k);
        return k;
    }
}

const struct shape_key *shape_add(struct shape_map *s, const struct shape_key *before, struct slice text,
                                  uint16_t meaning)
{
    if ((text.p[0] ^ 0xa0u) >= SHAPE_BYTES) return NULL;
    if (s->count == SHAPE_KEYS - 1) {
        s->strangers++;
        return NULL;
    }
    uint32_t at = ++s->count, slot = slot_of(text);
    struct shape_key *k = &s->keys[at];
    *k = (struct shape_key){.bytes = (uint16_t)text.n, .meaning = meaning};
    k->beyond = text.n < 16 ? (uint16_t)(0xffffu << text.n) : 0;
    memcpy(k->text, text.p, text.n);
    while (s->slots[slot % SHAPE_SLOTS]) slot++;
    s->slots[slot % SHAPE_SLOTS] = (uint8_t)at;
    follow(s, before, k);
    return k;
}
