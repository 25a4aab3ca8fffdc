/* pack.h - MessagePack onto scratch, and the events an instance keeps behind its head.
 * Owner: the record at hand. Memory: scratch, by doubling; a full scratch is remembered in `full`, never fatal.
 * A kept event (nil between them is padding) is an array [name, type id, second, {property index: value}]; times travel as ISO-8601 text and are fitted
 * to the declared type when read, so that the bytes read the same under a later schema. */
#ifndef HG_JOURNEY_PACK_H
#define HG_JOURNEY_PACK_H

#include "core/model/event.h"
#include <msgpack.h>

struct pack {
    struct arena *arena;
    uint8_t *p;
    size_t n, cap;
    bool full;
};
int pack_write(void *pack, const char *p, size_t n); /* msgpack_packer_init(&pk, &pack, pack_write) */
static inline struct slice pack_slice(const struct pack *b) { return slice_of(b->p, b->n); }
void pack_text(msgpack_packer *pk, struct slice s);
void pack_value(msgpack_packer *pk, struct value v); /* as value_write of model/value.h */
/* A list or map that an expression or a definition holds, as a message would have brought it (V_RAW); other kinds as they
 * are. V_ERROR when scratch is full. */
struct value value_packed(struct value v, struct arena *scratch);

struct kept_event {
    struct slice name;
    uint16_t type; /* ID_NONE: not an event */
    uint32_t at;
    struct slice props; /* the map */
};
/* `kept` with this event behind it, in place of a former one of that name; e may be NULL. Empty when scratch is full. */
struct slice kept_with(struct slice kept, struct slice name, uint16_t type, uint32_t at,
                       const struct event *e, const struct schema *schema, struct arena *scratch);
bool kept_find(struct slice kept, struct slice name, struct kept_event *out);
struct value kept_property(const struct kept_event *k, const struct schema *schema, uint16_t index);

#endif
