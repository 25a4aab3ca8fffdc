/* event.c - one walk over the top-level map. Keys the envelope knows are dispatched by length and text; `properties`
 * are picked on the way when `type` and `event` came before them (every client does it so), else their slice is
 * remembered and picked afterwards; traits are few and always wait, because which of them count depends on `type`.
 *
 *  1. Every byte of the record is visited, so a record that passes is well-formed to its end.
 *  2. No key is silently read twice: the whole top level and every declared name below is checked.
 *  3. Nothing depends on the order of keys. */
#include "core/model/event_parse.h"
#include "core/base/check.h"

const char *reject_text(enum reject r)
{
    static const char *const TEXTS[] = {
#define X(name, text) text,
        REJECT_REASONS(X)
#undef X
    };
    return r < REJECT_COUNT ? TEXTS[r] : "unknown";
}

/* ---- keys ---------------------------------------------------------------------------------- */

enum map_kind { MAP_TOP, MAP_PROPERTIES, MAP_CONTEXT };

static uint16_t meaning_of(const struct parse *p, enum map_kind kind, struct slice key)
{
    switch (kind) {
    case MAP_TOP: return (uint16_t)envelope_field(key);
    case MAP_CONTEXT: return (uint16_t)context_field(key);
    case MAP_PROPERTIES: return p->e->props ? schema_prop_find(p->type, key) : ID_NONE;
    }
    return 0;
}

/* Stands for the shape where there is none: nothing is expected of it, and it learns nothing. */
static struct shape_map NO_SHAPE = {.keys[0].text[0] = SHAPE_NO_KEY};

/* A key that never came behind `before`, or one near the end. One that the shape has no room for is p->stranger. */
__attribute__((noinline)) static const struct shape_key *strange_key(struct parse *p, struct shape_map *map,
                                                                     const struct shape_key *before,
                                                                     const uint8_t *at, enum map_kind kind)
{
    struct mp m = {at, p->end, MP_OK};
    struct slice key = read_key(p, &m);
    if (!going(p, &m)) return NULL;
    struct slice text = slice_of(at, (size_t)(m.p - at));
    bool learns = map != &NO_SHAPE;
    if (before == &p->stranger) before = NULL;
    const struct shape_key *k = learns ? shape_find(map, before, text) : NULL;
    if (k) return k;
    uint16_t meaning = meaning_of(p, kind, key);
    if (learns) k = shape_add(map, before, text, meaning);
    if (k) return k;
    p->stranger.meaning = meaning;
    p->stranger.bytes = (uint16_t)text.n;
    return &p->stranger;
}

/* The key at `at`; NULL: refused. `before`: the key before it in this map. */
static inline const struct shape_key *next_key(struct parse *p, struct shape_map *map,
                                               const struct shape_key *before, const uint8_t *at,
                                               const uint8_t *end, enum map_kind kind)
{
    if (likely(end - at >= SHAPE_BYTES)) {
        const struct shape_key *k = shape_next(map, before, at);
        if (likely(k != NULL)) return k;
    }
    return strange_key(p, map, before, at, kind);
}

static void note_other_key(struct parse *p, struct slice key)
{
    uint64_t hash = hash64(p->secret, key.p, key.n);
    for (uint32_t i = 0; i < p->other_count; i++)
        if (p->other_keys[i] == hash) fail(p, REJECT_MALFORMED);
    p->other_keys[p->other_count++] = hash;
}

/* A key that the envelope does not know must not come twice either. While each has a place in the shape a bit tells; once
 * one has none, their texts are compared. */
static void other_key(struct parse *p, const struct shape_key *k, const uint8_t *at)
{
    const struct shape_key *keys = p->shape ? p->shape->top.keys : NULL;
    if (k != &p->stranger && !p->other_count) {
        uint32_t bit = 1u << (k - keys);
        if (p->others & bit) fail(p, REJECT_MALFORMED);
        p->others |= bit;
        return;
    }
    for (; p->others; p->others &= p->others - 1) {
        const struct shape_key *other = &keys[__builtin_ctz(p->others)];
        note_other_key(p, slice_of(other->text + 1, other->bytes - 1u));
    }
    struct mp m = {at, p->end, MP_OK};
    note_other_key(p, mp_str(&m));
}

/* ---- values in their usual forms -------------------------------------------------------------
 *
 * Each of these reads the form that nearly all senders use and returns the place behind it, or NULL: then
 * event_fields.c reads it, whatever it is. Near the end of the bytes nothing is usual, so that no short form needs to ask
 * whether it is all there. */

enum { SHORT_BYTES = 34 }; /* of the longest form without a length byte */

/* Text of up to 255 bytes. */
static inline const uint8_t *usual_text(const uint8_t *at, const uint8_t *end, struct slice *text)
{
    if (unlikely(end - at < SHORT_BYTES)) return NULL;
    uint32_t n = at[0] ^ 0xa0u;
    at++;
    if (n >= 32) {
        if (n != (0xd9 ^ 0xa0)) return NULL;
        n = *at++;
        if (end - at < n) return NULL;
    }
    *text = (struct slice){at, n};
    return at + n;
}

static inline const uint8_t *usual_skip(const uint8_t *at, const uint8_t *end)
{
    if (unlikely(end - at < SHORT_BYTES)) return NULL;
    uint32_t lead = at[0], text = lead ^ 0xa0u;
    if (text < 32) return at + 1 + text;
    if (lead == 0xcb) return at + 9;
    if ((int8_t)lead >= -32 || lead == 0xc0 || (lead | 1) == 0xc3) return at + 1;
    return lead == 0xd9 && end - at >= 2 + at[1] ? at + 2 + at[1] : NULL;
}

static inline const uint8_t *skip_value(struct parse *p, const uint8_t *at, const uint8_t *end,
                                        uint32_t levels)
{
    const uint8_t *behind = usual_skip(at, end);
    if (likely(behind != NULL)) return behind;
    struct mp m = {at, p->end, MP_OK};
    mp_skip_within(&m, levels);
    going(p, &m);
    return m.p;
}

static inline const uint8_t *usual_property(const uint8_t *at, const uint8_t *end, enum declared_type type,
                                            struct value *out)
{
    if (type == T_STRING) {
        struct slice text;
        at = usual_text(at, end, &text);
        if (!at || !utf8_valid(text)) return NULL;
        *out = value_string(text);
        return at;
    }
    if (type != T_NUMBER || end - at < SHORT_BYTES || at[0] != 0xcb) return NULL;
    uint64_t bits = load_be64(at + 1);
    double number;
    memcpy(&number, &bits, sizeof number);
    if ((bits << 1) >> 53 == 0x7ff) return NULL; /* infinity, NaN */
    *out = value_double(number);
    return at + 9;
}

static inline const uint8_t *take_property(struct parse *p, const uint8_t *at, const uint8_t *end,
                                           uint16_t index)
{
    enum declared_type type = (enum declared_type)p->type->props[index].type;
    const uint8_t *behind = usual_property(at, end, type, &p->e->props[index]);
    if (likely(behind != NULL)) return behind;
    struct mp m = {at, p->end, MP_OK};
    read_property(p, &m, index);
    going(p, &m);
    return m.p;
}

static inline const uint8_t *take_map_header(struct parse *p, const uint8_t *at, uint32_t *n)
{
    uint32_t count = p->end > at ? at[0] ^ 0x80u : 16;
    *n = count;
    if (likely(count < 16 && 2 * count < (size_t)(p->end - at))) return at + 1;
    struct mp m = {at, p->end, MP_OK};
    *n = open_map(p, &m);
    if (!going(p, &m)) *n = 0;
    return m.p;
}

/* The map that was just walked; what stood for an empty one is no map. */
static struct slice map_between(const struct parse *p, const uint8_t *from, const uint8_t *behind)
{
    struct slice item = slice_of(from, p->reject ? 0 : (size_t)(behind - from));
    return is_map(item) ? item : (struct slice){0};
}

/* ---- properties and context -------------------------------------------------------------------- */

/* The keys of this type's properties; forgets those of another type. */
static struct shape_map *shape_properties(struct event_shape *shape, const struct schema_event *type)
{
    if (!shape) return &NO_SHAPE;
    if (!type) return &shape->undeclared;
    uint32_t slot = type->id % SHAPE_TYPES;
    if (unlikely(shape->properties[slot].type != type)) {
        memset(&shape->properties[slot], 0, sizeof shape->properties[slot]);
        shape->properties[slot].type = type;
    }
    return &shape->properties[slot].keys;
}

static const uint8_t *pick_properties(struct parse *p, const uint8_t *at)
{
    struct shape_map *map = shape_properties(p->shape, p->type);
    const struct shape_key *key = shape_begin(map);
    const uint8_t *const end = p->end;
    uint64_t picked = 0;
    uint32_t n;
    p->picked = true;
    at = take_map_header(p, at, &n);
    for (; n > 0 && (key = next_key(p, map, key, at, end, MAP_PROPERTIES)); n--) {
        uint16_t index = key->meaning;
        at = at + key->bytes;
        if (index == ID_NONE) {
            at = skip_value(p, at, end, LEVELS_INNER);
            continue;
        }
        if (picked >> index & 1) fail(p, REJECT_MALFORMED);
        picked |= 1ull << index;
        at = take_property(p, at, end, index);
    }
    return at;
}

static const uint8_t *take_properties(struct parse *p, const uint8_t *at)
{
    bool known = p->has_call && (p->e->call != CALL_TRACK || (p->seen >> EVENT & 1));
    const uint8_t *from = at;
    if (!known) {
        struct mp m = {at, p->end, MP_OK};
        read_raw_map(p, &m, &p->e->properties, LEVELS_TOP);
        return m.p;
    }
    resolve_type(p);
    at = pick_properties(p, at);
    p->e->properties = map_between(p, from, at);
    return at;
}

static inline const uint8_t *take_context_field(struct parse *p, const uint8_t *at, enum context_field field)
{
    const uint8_t *behind = field == CONTEXT_LOCALE ? usual_text(at, p->end, &p->locale) : NULL;
    if (likely(behind != NULL)) return behind;
    struct mp m = {at, p->end, MP_OK};
    read_context_field(p, &m, field);
    going(p, &m);
    return m.p;
}

static const uint8_t *take_context(struct parse *p, const uint8_t *at)
{
    struct shape_map *map = p->shape ? &p->shape->context : &NO_SHAPE;
    const struct shape_key *key = shape_begin(map);
    const uint8_t *const from = at, *const end = p->end;
    uint32_t seen = 0, n;
    at = take_map_header(p, at, &n);
    for (; n > 0 && (key = next_key(p, map, key, at, end, MAP_CONTEXT)); n--) {
        uint16_t field = key->meaning;
        at = at + key->bytes;
        if (!field) {
            at = skip_value(p, at, end, LEVELS_INNER);
            continue;
        }
        if (seen & field) fail(p, REJECT_MALFORMED);
        seen |= field;
        at = take_context_field(p, at, (enum context_field)field);
    }
    p->e->context = map_between(p, from, at);
    return at;
}

/* ---- the top level ---------------------------------------------------------------------------- */

static inline const uint8_t *usual_call(struct parse *p, const uint8_t *at)
{
    static const uint64_t TRACK = 0x6b63617274a5, MASK = 0xffffffffffff; /* "track" and its lead byte */
    if (p->end - at < 8 || (load_le64(at) & MASK) != TRACK) return NULL;
    p->e->call = CALL_TRACK;
    p->has_call = true;
    return at + 6;
}

static inline const uint8_t *usual_id(const uint8_t *at, const uint8_t *end, struct slice *out)
{
    struct slice id;
    at = usual_text(at, end, &id);
    if (!at || !id_is_good(id)) return NULL;
    *out = id;
    return at;
}

static inline const uint8_t *usual_message_id(const uint8_t *at, const uint8_t *end, struct slice *out)
{
    struct slice id;
    at = usual_text(at, end, &id);
    if (!at || !utf8_valid(id)) return NULL;
    *out = id;
    return at;
}

static inline const uint8_t *usual_time(struct parse *p, const uint8_t *at, struct sent_time *out)
{
    struct slice text;
    int64_t ms;
    at = usual_text(at, p->end, &text);
    if (!at || !p->shape || !iso8601_parse_near(&p->shape->minute, text, &ms) || ms <= 0) return NULL;
    *out = (struct sent_time){.given = true, .ms = ms};
    return at;
}

/* NULL: in another form than usual, or to be refused. */
static inline const uint8_t *usual_field(struct parse *p, const uint8_t *at, enum field field)
{
    struct event *e = p->e;
    switch (field) {
    case TYPE: return usual_call(p, at);
    case EVENT: return usual_text(at, p->end, &e->name);
    case USER_ID: return usual_id(at, p->end, &e->user_id);
    case ANONYMOUS_ID: return usual_id(at, p->end, &e->anonymous_id);
    case MESSAGE_ID: return usual_message_id(at, p->end, &e->message_id);
    case TIMESTAMP: return usual_time(p, at, &p->timestamp);
    case ORIGINAL_TIMESTAMP: return usual_time(p, at, &p->original);
    case SENT_AT: return usual_time(p, at, &p->sent_at);
    case PROPERTIES: return take_properties(p, at);
    case CONTEXT: return take_context(p, at);
    default: return NULL;
    }
}

static inline const uint8_t *take_field(struct parse *p, const uint8_t *at, enum field field)
{
    const uint8_t *behind = usual_field(p, at, field);
    if (likely(behind != NULL)) return behind;
    struct mp m = {at, p->end, MP_OK};
    read_field(p, &m, field);
    going(p, &m);
    return m.p;
}

static const uint8_t *walk(struct parse *p, const uint8_t *at)
{
    struct shape_map *map = p->shape ? &p->shape->top : &NO_SHAPE;
    const struct shape_key *key = shape_begin(map);
    const uint8_t *const end = p->end;
    uint32_t n;
    at = take_map_header(p, at, &n);
    for (; n > 0 && (key = next_key(p, map, key, at, end, MAP_TOP)); n--) {
        enum field field = (enum field)key->meaning;
        const uint8_t *value = at + key->bytes;
        if (unlikely(field == OTHER))
            other_key(p, key, at);
        else if (p->seen >> field & 1)
            fail(p, REJECT_MALFORMED);
        if (unlikely(p->reject)) break;
        p->seen |= 1u << field;
        at = field == OTHER ? skip_value(p, value, end, LEVELS_TOP) : take_field(p, value, field);
    }
    return at;
}

/* ---- after the walk ---------------------------------------------------------------------------- */

/* Properties that a definition takes from the context. */
static void pick_from_context(struct parse *p)
{
    for (uint16_t i = 0; i < p->type->prop_count && p->reject == REJECT_NONE; i++) {
        const struct schema_prop *prop = &p->type->props[i];
        struct slice at;
        if (!prop->live || !prop->from.n || !event_context_at(p->e, prop->from, &at)) continue;
        struct mp m = mp_of(at);
        read_property(p, &m, i);
    }
}

static void take_what(struct parse *p)
{
    struct event *e = p->e;
    if (!p->has_call) {
        fail(p, REJECT_BAD_TYPE);
        return;
    }
    if (!p->resolved) resolve_type(p);
    if (!p->picked && e->properties.n && p->reject == REJECT_NONE) {
        const uint8_t *end = p->end;
        p->end = slice_end(e->properties);
        pick_properties(p, e->properties.p);
        p->end = end;
    }
    if (p->type && p->type->from_count && e->context.n) pick_from_context(p);
}

static void take_times(struct parse *p, int64_t entry_ms)
{
    struct event *e = p->e;
    const struct sent_time *own = p->timestamp.given ? &p->timestamp : &p->original;
    if (own->given && own->bad) fail(p, REJECT_BAD_TIME);
    e->has_own_time = own->given || entry_ms > 0;
    e->own_ms = own->given ? own->ms : entry_ms > 0 ? entry_ms : 0;
    e->sent_ms = p->sent_at.given && !p->sent_at.bad ? p->sent_at.ms : 0;
}

/* The identifying trait with the lowest id: the order of keys must not matter. */
static const struct event_trait *identifying_trait(const struct parse *p)
{
    const struct event_trait *best = NULL;
    for (uint32_t i = 0; i < p->e->trait_count; i++) {
        const struct event_trait *t = &p->e->traits[i];
        if (!p->schema->attributes[t->attribute].identifies || t->value.kind != V_STRING || t->value.n == 0)
            continue;
        if (!best || t->attribute < best->attribute) best = t;
    }
    return best;
}

static void take_identity(struct parse *p)
{
    struct event *e = p->e;
    const struct event_trait *trait;
    if (e->call == CALL_ALIAS && e->previous_id.n) e->anonymous_id = e->previous_id;
    if (e->anonymous_id.n) e->anonymous_key = hash_id(p->secret, ID_ANONYMOUS, e->anonymous_id);
    if (e->user_id.n) {
        e->key_kind = ID_USER;
        e->key_text = e->user_id;
        e->key = hash_id(p->secret, ID_USER, e->user_id);
    } else if (e->anonymous_id.n) {
        e->key_kind = ID_ANONYMOUS;
        e->key_text = e->anonymous_id;
        e->key = e->anonymous_key;
    } else if ((trait = identifying_trait(p)) != NULL) {
        e->key_kind = ID_TRAIT;
        e->key_attribute = trait->attribute;
        e->key_text = value_text(trait->value);
        e->key = hash_id(p->secret, ID_TRAIT + (uint32_t)trait->attribute, e->key_text);
    } else {
        fail(p, p->empty_id ? REJECT_BAD_ID : REJECT_NO_ID);
    }
}

/* Without a messageId: what makes a resent message the same one. sentAt is not part of it, a retry has a new one. */
static void take_hash(struct parse *p, int64_t entry_ms)
{
    struct event *e = p->e;
    if (e->message_id.n) {
        e->message_hash = hash64(p->secret, e->message_id.p, e->message_id.n);
        return;
    }
    uint64_t parts[] = {e->key.hi,
                        e->key.lo,
                        e->anonymous_key.lo,
                        e->call,
                        hash64(p->secret, e->name.p, e->name.n),
                        hash64(p->secret, e->properties.p, e->properties.n),
                        hash64(p->secret, e->traits_raw.p, e->traits_raw.n),
                        hash64(p->secret, e->context.p, e->context.n),
                        (uint64_t)e->own_ms,
                        (uint64_t)entry_ms};
    e->message_hash = hash64(p->secret, parts, sizeof parts);
}

/* `whole`: the message is all that stands there. */
static enum reject parse_event(const struct schema *schema, const struct hash_secret *secret,
                               struct event_shape *shape, struct slice bytes, bool whole, int64_t entry_ms,
                               struct arena *scratch, struct event *out)
{
    struct parse p;
    memset(&p, 0, offsetof(struct parse, other_keys));
    memset(p.stranger.followers, 0, sizeof p.stranger.followers);
    p.schema = schema;
    p.secret = secret;
    p.shape = shape;
    p.scratch = scratch;
    p.e = out;
    p.end = slice_end(bytes);
    *out = (struct event){.raw = bytes, .type = ID_NONE, .key_attribute = ID_NONE};
    if (!is_map(bytes)) return REJECT_NOT_A_MAP;
    const uint8_t *behind = walk(&p, bytes.p);
    if (!p.reject) out->raw.n = (uint32_t)(behind - bytes.p);
    if (whole && out->raw.n != bytes.n) fail(&p, REJECT_MALFORMED);
    if (p.reject == REJECT_NONE) take_what(&p);
    if (p.reject == REJECT_NONE) take_person(&p);
    if (p.reject == REJECT_NONE) take_times(&p, entry_ms);
    if (p.reject == REJECT_NONE) {
        take_identity(&p);
        take_hash(&p, entry_ms);
    }
    return p.reject;
}

enum reject event_parse_front(const struct schema *schema, const struct hash_secret *secret,
                              struct event_shape *shape, struct slice bytes, int64_t entry_ms,
                              struct arena *scratch, struct event *out)
{
    if (bytes.n > EVENT_BYTES_MAX) bytes.n = EVENT_BYTES_MAX;
    return parse_event(schema, secret, shape, bytes, false, entry_ms, scratch, out);
}

enum reject event_parse_shaped(const struct schema *schema, const struct hash_secret *secret,
                               struct event_shape *shape, struct slice raw, int64_t entry_ms,
                               struct arena *scratch, struct event *out)
{
    if (raw.n > EVENT_BYTES_MAX) {
        *out = (struct event){.raw = raw, .type = ID_NONE, .key_attribute = ID_NONE};
        return REJECT_TOO_LARGE;
    }
    return parse_event(schema, secret, shape, raw, true, entry_ms, scratch, out);
}

enum reject event_parse(const struct schema *schema, const struct hash_secret *secret, struct slice raw,
                        int64_t entry_ms, struct arena *scratch, struct event *out)
{
    return event_parse_shaped(schema, secret, NULL, raw, entry_ms, scratch, out);
}
