/* event_parse.h - what the parts of event decoding share: event.c (the walk over a message), event_fields.c (its own
 * fields, read whatever form they have), event_person.c (traits).
 * Owner: event_parse, on its stack. Fails: fail() keeps the first reason; whoever reads on then reads nothing of use. */
#ifndef HG_MODEL_EVENT_PARSE_H
#define HG_MODEL_EVENT_PARSE_H

#include "core/model/event.h"

enum field {
    TYPE,
    EVENT,
    USER_ID,
    ANONYMOUS_ID,
    PREVIOUS_ID,
    MESSAGE_ID,
    TIMESTAMP,
    ORIGINAL_TIMESTAMP,
    SENT_AT,
    PROPERTIES,
    TRAITS,
    CONTEXT,
    OTHER
};
enum context_field { CONTEXT_TRAITS = 1, CONTEXT_ACTIVE = 2, CONTEXT_LOCALE = 4, CONTEXT_TIMEZONE = 8 };

/* Containers still allowed inside a value of the record's own map, and inside one of properties, traits, context. */
enum { LEVELS_TOP = MSGPACK_DEPTH_MAX - 1, LEVELS_INNER = MSGPACK_DEPTH_MAX - 2 };

/* A time as sent: absent (nil, 0) is not the same as unreadable. */
struct sent_time {
    bool given, bad;
    int64_t ms;
};

struct parse {
    const struct schema *schema;
    const struct hash_secret *secret;
    struct event_shape *shape; /* NULL: every key is looked up */
    struct arena *scratch;
    struct event *e;
    const uint8_t *end;
    enum reject reject; /* the first reason found */
    uint32_t seen;      /* bit per enum field */
    bool has_call, resolved, empty_id, picked;
    const struct schema_event *type;
    struct sent_time timestamp, original, sent_at;
    struct slice context_traits;
    struct slice timezone, locale;
    uint32_t trait_capacity;
    uint32_t others; /* keys that the envelope does not know: a bit per position in the shape */
    uint32_t other_count;
    uint64_t other_keys[MAP_KEYS_MAX]; /* and hashes of those that have none; not cleared */
    struct shape_key
        stranger; /* stands for a key that the shape has no place for; behind it nothing is expected */
};

static inline bool fail(struct parse *p, enum reject why)
{
    if (p->reject == REJECT_NONE) p->reject = why;
    return false;
}

/* After a read by m: is all well so far? */
static inline bool going(struct parse *p, const struct mp *m)
{
    if (m->err) fail(p, m->err == MP_DEEP ? REJECT_TOO_DEEP : REJECT_MALFORMED);
    return p->reject == REJECT_NONE;
}

static inline bool is_map(struct slice item)
{
    struct mp m = mp_of(item);
    return mp_peek(&m) == MP_MAP;
}

static inline struct slice read_key(struct parse *p, struct mp *m)
{
    struct slice key = mp_str(m);
    if (key.n > KEY_BYTES_MAX) fail(p, REJECT_MALFORMED);
    return key;
}

#define IS(key, literal) (memcmp((key).p, literal, sizeof(literal) - 1) == 0) /* lengths are equal already */

/* event_fields.c */
void *scratch_alloc(struct parse *p, size_t bytes); /* cleared */
/* The header of a map of at most MAP_KEYS_MAX keys. nil and the empty array (PHP's empty map) are empty maps. */
uint32_t open_map(struct parse *p, struct mp *m);
enum field envelope_field(struct slice key);
enum context_field context_field(struct slice key);
void read_field(struct parse *p, struct mp *m, enum field field); /* not PROPERTIES and CONTEXT */
void read_context_field(struct parse *p, struct mp *m, enum context_field field);
void read_property(struct parse *p, struct mp *m, uint16_t index);
/* One value, fitted. V_NULL for nil; V_NONE, counted, for a wrong type. */
struct value read_declared(struct parse *p, struct mp *m, enum declared_type type, bool coerce);
/* A map to be looked into later; what stands for an empty one leaves *out empty. */
void read_raw_map(struct parse *p, struct mp *m, struct slice *out, uint32_t levels);
void resolve_type(struct parse *p); /* once `type` and, for track, `event` are known */
bool id_is_good(struct slice id);
bool texts_are_utf8(struct slice raw); /* every text in well-formed MessagePack */

/* event_person.c */
void take_person(struct parse *p); /* after the walk: traits, and what the context says of the person */

#endif
