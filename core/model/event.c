/* event.c - one walk over the top-level map. Keys the envelope knows are dispatched by length and text; `properties`
 * are picked on the way when `type` and `event` came before them (every client does it so), else their slice is
 * remembered and picked afterwards; traits are few and always wait, because which of them count depends on `type`.
 *
 *  1. Every byte of the record is visited, so a record that passes is well-formed to its end.
 *  2. No key is silently read twice: the whole top level and every declared name below is checked.
 *  3. Nothing depends on the order of keys. */
#include "core/model/event.h"
#include "core/base/check.h"

#include <math.h>

const char *reject_text(enum reject r)
{
    static const char *const TEXTS[] = {
#define X(name, text) text,
        REJECT_REASONS(X)
#undef X
    };
    return r < REJECT_COUNT ? TEXTS[r] : "unknown";
}

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
    struct mp m;
    enum reject reject; /* the first reason found */
    uint32_t seen;      /* bit per enum field */
    bool has_call, resolved, empty_id, picked;
    const struct schema_event *type;
    struct sent_time timestamp, original, sent_at;
    struct slice context_traits;
    struct slice timezone, locale;
    uint32_t trait_capacity;
    uint32_t other_count;
    uint64_t other_keys[MAP_KEYS_MAX]; /* hashes of the keys that the envelope does not know */
};

static bool fail(struct parse *p, enum reject why)
{
    if (p->reject == REJECT_NONE) p->reject = why;
    return false;
}

static enum reject reject_of(enum mp_err err)
{
    return err == MP_OK ? REJECT_NONE : err == MP_DEEP ? REJECT_TOO_DEEP : REJECT_MALFORMED;
}

static bool going(struct parse *p, const struct mp *m)
{
    if (m->err) fail(p, reject_of(m->err));
    return p->reject == REJECT_NONE;
}

static void *scratch_alloc(struct parse *p, size_t bytes)
{
    void *at = arena_zalloc(p->scratch, bytes);
    CHECK(at != NULL); /* EVENT_SCRATCH_BYTES_MAX an event was promised */
    return at;
}

/* The header of a map of at most MAP_KEYS_MAX keys. nil and the empty array (PHP's empty map) are empty maps. */
static uint32_t open_map(struct parse *p, struct mp *m)
{
    if (mp_nil(m)) return 0;
    if (mp_peek(m) == MP_ARRAY && mp_array(m) == 0 && !m->err) return 0;
    uint32_t n = mp_map(m);
    if (n > MAP_KEYS_MAX) fail(p, REJECT_TOO_MANY_KEYS);
    return n;
}

static bool is_map(struct slice item)
{
    struct mp m = mp_of(item);
    return mp_peek(&m) == MP_MAP;
}

/* The map that was just read; what stood for an empty one is no map. */
static struct slice map_slice(const struct mp *m, const uint8_t *from)
{
    struct slice item = slice_of(from, m->err ? 0 : (size_t)(m->p - from));
    return is_map(item) ? item : (struct slice){0};
}

static inline struct slice read_key(struct parse *p, struct mp *m)
{
    struct slice key = mp_str(m);
    if (key.n > KEY_BYTES_MAX) fail(p, REJECT_MALFORMED);
    return key;
}

/* Is the next key the one that stood here last time? Then m is behind it. */
static inline bool shape_next(const struct shape_key *k, struct mp *m, struct slice *key)
{
    if (!k || !k->bytes || mp_left(m) < 16) return false;
    uint64_t a = load_le64(m->p) ^ k->text[0], b = load_le64(m->p + 8) ^ k->text[1];
    if ((a & k->mask[0]) | (b & k->mask[1])) return false;
    *key = slice_of(m->p + 1, k->bytes - 1);
    m->p += k->bytes;
    return true;
}

static void shape_learn(struct shape_key *k, struct slice key, uint16_t meaning)
{
    uint8_t text[16] = {0}, mask[16] = {0};
    if (!k || key.n >= sizeof text) return;
    text[0] = (uint8_t)(0xa0 | key.n); /* as short text: in another form it is looked up again */
    if (key.n) memcpy(text + 1, key.p, key.n);
    memset(mask, 0xff, key.n + 1);
    *k = (struct shape_key){.text = {load_le64(text), load_le64(text + 8)},
                            .mask = {load_le64(mask), load_le64(mask + 8)},
                            .bytes = key.n + 1,
                            .meaning = meaning};
}

/* The keys of this type's properties; forgets those of another type. */
static struct shape_key *shape_properties(struct event_shape *shape, const struct schema_event *type)
{
    if (!shape || !type) return NULL;
    uint32_t slot = type->id % SHAPE_TYPES;
    if (shape->properties[slot].type != type) {
        memset(&shape->properties[slot], 0, sizeof shape->properties[slot]);
        shape->properties[slot].type = type;
    }
    return shape->properties[slot].keys;
}

static inline struct shape_key *shape_at(struct shape_key *keys, uint32_t nth)
{
    return keys && nth < SHAPE_KEYS ? &keys[nth] : NULL;
}

#define IS(key, literal) (memcmp((key).p, literal, sizeof(literal) - 1) == 0) /* lengths are equal already */

/* ---- values that are kept ------------------------------------------------------------------ */

static bool texts_are_utf8(struct slice raw)
{
    struct mp m = mp_of(raw);
    while (mp_left(&m)) {
        switch (mp_peek(&m)) {
        case MP_STR:
            if (!utf8_valid(mp_str(&m))) return false;
            break;
        case MP_ARRAY: mp_array(&m); break;
        case MP_MAP: mp_map(&m); break;
        default: mp_skip(&m);
        }
    }
    return true;
}

/* Text of a string property, or a number: what nearly all values are, without the way through struct value. */
static inline bool read_common(struct parse *p, struct mp *m, enum declared_type type, struct value *out)
{
    if (type == T_STRING && mp_is_text(m)) {
        struct slice text = mp_str(m);
        *out = value_string(text);
        if (!utf8_valid(text)) fail(p, REJECT_BAD_UTF8);
        return true;
    }
    if (type == T_NUMBER && mp_is_number(m)) {
        double d = mp_double(m);
        *out = value_double(d);
        if (!isfinite(d)) fail(p, REJECT_BAD_NUMBER);
        return true;
    }
    return false;
}

/* Reads one value and fits it. V_NULL for nil; V_NONE, counted, for a wrong type. */
static struct value read_fitted(struct parse *p, struct mp *m, enum declared_type type, bool coerce)
{
    struct value out, in = value_read_within(m, LEVELS_INNER);
    if (in.kind == V_NULL || !going(p, m)) return value_null();
    bool is_time = type == T_TIME || type == T_DATE;
    if (in.kind == V_DOUBLE && !isfinite(in.d) && (is_time || type == T_NUMBER)) fail(p, REJECT_BAD_NUMBER);
    if (in.kind == V_RAW && (type == T_RAW || type == T_STRINGS) && !texts_are_utf8(value_text(in)))
        fail(p, REJECT_BAD_UTF8);
    if (p->reject == REJECT_NONE && value_fit(in, type, coerce, &out)) return out;
    p->e->dropped_props++;
    return value_none();
}

/* ---- who, when: the envelope's own fields --------------------------------------------------- */

static struct slice decimal(struct parse *p, bool negative, uint64_t magnitude)
{
    char *text = scratch_alloc(p, 24), *at = text + 24;
    do *--at = (char)('0' + magnitude % 10);
    while (magnitude /= 10);
    if (negative) *--at = '-';
    return slice_of(at, (size_t)(text + 24 - at));
}

/* Text, or an integer as its decimal text: SDKs send both. nil is absent. */
static struct slice read_id_text(struct parse *p, struct mp *m, enum reject otherwise)
{
    if (mp_is_text(m)) return mp_str(m);
    switch (mp_peek(m)) {
    case MP_UINT: return decimal(p, false, mp_uint(m));
    case MP_INT: {
        int64_t i = mp_int(m);
        return m->err ? (struct slice){0} : decimal(p, i < 0, i < 0 ? -(uint64_t)i : (uint64_t)i);
    }
    case MP_NIL: mp_nil(m); return (struct slice){0};
    default:
        if (mp_skip_within(m, LEVELS_TOP)) fail(p, otherwise);
        return (struct slice){0};
    }
}

static bool id_is_good(struct slice id) { return id.n > 0 && id.n <= ID_BYTES_MAX && text_printable(id); }

static struct slice read_id(struct parse *p, struct mp *m)
{
    struct slice id = read_id_text(p, m, REJECT_BAD_ID);
    if (id.p && id.n == 0) p->empty_id = true;
    if (id.n && !id_is_good(id)) fail(p, REJECT_BAD_ID);
    return id;
}

static struct slice read_message_id(struct parse *p, struct mp *m)
{
    struct slice id = read_id_text(p, m, REJECT_MALFORMED);
    if (id.n > MESSAGE_ID_BYTES_MAX) fail(p, REJECT_MALFORMED);
    if (!utf8_valid(id)) fail(p, REJECT_BAD_UTF8);
    return id;
}

static bool time_of_ext(struct mp *m, int64_t *ms)
{
    int8_t type;
    int64_t s;
    uint32_t ns;
    struct slice body = mp_ext(m, &type);
    if (!time_from_ext(type, body, &s, &ns)) return false;
    *ms = s * 1000 + ns / 1000000;
    return true;
}

static struct sent_time read_time(struct mp *m)
{
    struct sent_time t = {.given = true};
    switch (mp_peek(m)) {
    case MP_NIL: mp_nil(m); return (struct sent_time){0};
    case MP_STR: t.bad = !iso8601_parse(mp_str(m), &t.ms); break;
    case MP_INT:
    case MP_UINT:
    case MP_FLOAT: t.bad = !time_from_number(mp_double(m), &t.ms); break;
    case MP_EXT: t.bad = !time_of_ext(m, &t.ms); break;
    default: t.bad = true; mp_skip_within(m, LEVELS_TOP);
    }
    if (t.ms < 0) t.bad = true;
    if (t.ms == 0 && !t.bad) t.given = false;
    return t;
}

static void read_call(struct parse *p, struct mp *m)
{
    static const char *const CALLS[] = {
        [CALL_TRACK] = "track",   [CALL_IDENTIFY] = "identify", [CALL_PAGE] = "page",
        [CALL_SCREEN] = "screen", [CALL_GROUP] = "group",       [CALL_ALIAS] = "alias"};
    if (!mp_is_text(m)) {
        if (mp_skip_within(m, LEVELS_TOP)) fail(p, REJECT_BAD_TYPE);
        return;
    }
    struct slice text = mp_str(m);
    for (uint8_t call = CALL_TRACK; call <= CALL_ALIAS; call++) {
        if (!slice_is(text, CALLS[call])) continue;
        p->e->call = call;
        p->has_call = true;
        return;
    }
    if (!m->err) fail(p, REJECT_BAD_TYPE);
}

/* ---- what: event type and properties --------------------------------------------------------- */

static void check_new_name(struct parse *p, struct slice name)
{
    if (name.n == 0)
        fail(p, REJECT_NO_EVENT);
    else if (!utf8_valid(name))
        fail(p, REJECT_BAD_UTF8);
    else if (name.n > EVENT_NAME_BYTES_MAX || !text_printable(name))
        fail(p, REJECT_MALFORMED);
    else if (p->schema->strict)
        fail(p, REJECT_UNDECLARED);
}

/* Once `type` and, for track, `event` are known. */
static void resolve_type(struct parse *p)
{
    static const uint16_t TYPES[] = {[CALL_IDENTIFY] = TYPE_IDENTIFY,
                                     [CALL_PAGE] = TYPE_PAGE,
                                     [CALL_SCREEN] = TYPE_SCREEN,
                                     [CALL_GROUP] = TYPE_GROUP,
                                     [CALL_ALIAS] = TYPE_ALIAS};
    static const struct slice NAMES[] = {[CALL_IDENTIFY] = {(const uint8_t *)"identify", 8},
                                         [CALL_PAGE] = {(const uint8_t *)"page", 4},
                                         [CALL_SCREEN] = {(const uint8_t *)"screen", 6},
                                         [CALL_GROUP] = {(const uint8_t *)"group", 5},
                                         [CALL_ALIAS] = {(const uint8_t *)"alias", 5}};
    struct event *e = p->e;
    if (e->call != CALL_TRACK) e->name = NAMES[e->call];
    uint16_t id = e->call == CALL_TRACK ? schema_find(p->schema, NAME_EVENT, e->name) : TYPES[e->call];
    p->type = schema_event(p->schema, id);
    e->type = p->type ? id : ID_NONE;
    if (!p->type) check_new_name(p, e->name);
    if (p->type && p->type->prop_count) e->props = scratch_alloc(p, sizeof *e->props * p->type->prop_count);
    p->resolved = true;
}

static inline void pick_property(struct parse *p, struct mp *m, uint16_t index)
{
    const struct schema_prop *prop = &p->type->props[index];
    struct value *out = &p->e->props[index];
    if (read_common(p, m, (enum declared_type)prop->type, out)) return;
    *out = read_fitted(p, m, (enum declared_type)prop->type, prop->coerce);
    if (out->kind == V_NULL) *out = value_none();
}

static void pick_properties(struct parse *p, struct mp *m)
{
    uint64_t picked = 0;
    bool any = p->e->props != NULL;
    struct shape_key *keys = shape_properties(p->shape, p->type);
    p->picked = true;
    for (uint32_t i = 0, n = open_map(p, m); i < n && going(p, m); i++) {
        struct shape_key *shape = shape_at(keys, i);
        struct slice key;
        uint16_t index;
        if (shape_next(shape, m, &key)) {
            index = shape->meaning;
        } else {
            key = read_key(p, m);
            index = any ? schema_prop_find(p->type, key) : ID_NONE;
            shape_learn(shape, key, index);
        }
        if (index == ID_NONE) {
            mp_skip_within(m, LEVELS_INNER);
            continue;
        }
        if (picked >> index & 1) fail(p, REJECT_MALFORMED);
        picked |= 1ull << index;
        pick_property(p, m, index);
    }
}

/* A map to be looked into later; what stands for an empty one leaves *out empty. */
static void take_raw_map(struct parse *p, struct mp *m, struct slice *out, uint32_t levels)
{
    struct slice item = mp_item_within(m, levels);
    struct mp inside = mp_of(item);
    if (!going(p, m)) return;
    open_map(p, &inside);
    if (inside.err) fail(p, REJECT_MALFORMED);
    if (is_map(item)) *out = item;
}

static void take_properties(struct parse *p, struct mp *m)
{
    bool known = p->has_call && (p->e->call != CALL_TRACK || (p->seen >> EVENT & 1));
    if (!known) {
        take_raw_map(p, m, &p->e->properties, LEVELS_TOP);
        return;
    }
    const uint8_t *from = m->p;
    resolve_type(p);
    pick_properties(p, m);
    p->e->properties = map_slice(m, from);
}

/* Properties that a definition takes from the context. */
static void pick_from_context(struct parse *p)
{
    for (uint16_t i = 0; i < p->type->prop_count && p->reject == REJECT_NONE; i++) {
        const struct schema_prop *prop = &p->type->props[i];
        struct slice at;
        if (!prop->live || !prop->from.n || !event_context_at(p->e, prop->from, &at)) continue;
        struct mp m = mp_of(at);
        pick_property(p, &m, i);
    }
}

/* ---- context and traits ---------------------------------------------------------------------- */

enum context_field { CONTEXT_TRAITS = 1, CONTEXT_ACTIVE = 2, CONTEXT_LOCALE = 4, CONTEXT_TIMEZONE = 8 };

static enum context_field context_field(struct slice key)
{
    if (key.n == 6) {
        if (IS(key, "traits")) return CONTEXT_TRAITS;
        if (IS(key, "active")) return CONTEXT_ACTIVE;
        if (IS(key, "locale")) return CONTEXT_LOCALE;
    }
    return key.n == 8 && IS(key, "timezone") ? CONTEXT_TIMEZONE : 0;
}

static inline enum context_field next_context_field(struct parse *p, struct mp *m, uint32_t nth)
{
    struct shape_key *shape = shape_at(p->shape ? p->shape->context : NULL, nth);
    struct slice key;
    if (shape_next(shape, m, &key)) return (enum context_field)shape->meaning;
    key = read_key(p, m);
    enum context_field field = context_field(key);
    shape_learn(shape, key, (uint16_t)field);
    return field;
}

static void take_text(struct mp *m, struct slice *out)
{
    if (mp_is_text(m))
        *out = mp_str(m);
    else
        mp_skip_within(m, LEVELS_INNER);
}

static void take_context_field(struct parse *p, struct mp *m, enum context_field field)
{
    switch (field) {
    case CONTEXT_TRAITS: take_raw_map(p, m, &p->context_traits, LEVELS_INNER); break;
    case CONTEXT_ACTIVE:
        p->e->context_inactive = mp_left(m) && *m->p == 0xc2; /* false */
        mp_skip_within(m, LEVELS_INNER);
        break;
    case CONTEXT_LOCALE: take_text(m, &p->locale); break;
    case CONTEXT_TIMEZONE: take_text(m, &p->timezone); break;
    }
}

static void take_context(struct parse *p, struct mp *m)
{
    const uint8_t *from = m->p;
    uint32_t seen = 0;
    for (uint32_t i = 0, n = open_map(p, m); i < n && going(p, m); i++) {
        enum context_field field = next_context_field(p, m, i);
        if (!field) {
            mp_skip_within(m, LEVELS_INNER);
            continue;
        }
        if (seen & field) fail(p, REJECT_MALFORMED);
        seen |= field;
        take_context_field(p, m, field);
    }
    p->e->context = map_slice(m, from);
}

static struct slice normalized(const struct schema_attribute *attribute, struct slice text)
{
    for (uint32_t i = 0; i < attribute->normalize_count; i++)
        if (slice_eq(attribute->normalize[i][0], text)) return attribute->normalize[i][1];
    return text;
}

/* The entry of an attribute, a new one if there is none; `from`: entries of this map, a second one there is an error.
 * NULL: an earlier map named it already, and that one stands. */
static struct event_trait *trait_entry(struct parse *p, uint16_t attribute, uint32_t from)
{
    struct event *e = p->e;
    for (uint32_t i = 0; i < e->trait_count; i++) {
        if (e->traits[i].attribute != attribute) continue;
        if (i >= from) fail(p, REJECT_MALFORMED);
        return NULL;
    }
    CHECK(e->trait_count < p->trait_capacity);
    e->traits[e->trait_count].attribute = attribute;
    return &e->traits[e->trait_count++];
}

static void take_trait(struct parse *p, struct mp *m, const struct schema_attribute *attribute, uint32_t from)
{
    struct event_trait *trait = trait_entry(p, attribute->id, from);
    if (!trait) {
        mp_skip_within(m, LEVELS_INNER);
        return;
    }
    enum declared_type type = (enum declared_type)attribute->type;
    if (!read_common(p, m, type, &trait->value)) trait->value = read_fitted(p, m, type, false);
    if (trait->value.kind != V_STRING) return;
    struct slice text = normalized(attribute, value_text(trait->value));
    trait->value = value_string(text);
    if (attribute->identifies && text.n && !id_is_good(text)) fail(p, REJECT_BAD_ID);
}

static void take_consent(struct parse *p, struct mp *m)
{
    struct value v = value_read_within(m, LEVELS_INNER);
    if (v.kind == V_NULL || v.kind == V_ERROR || p->e->consent.kind != V_NONE) return;
    if (v.kind == V_RAW && is_map(value_text(v)))
        p->e->consent = v;
    else
        p->e->dropped_props++;
    if (v.kind == V_RAW && !texts_are_utf8(value_text(v))) fail(p, REJECT_BAD_UTF8);
}

/* A group's traits describe a company: they may be attributes, but its e-mail is not the person's address. */
static void take_traits(struct parse *p, struct slice raw, bool of_group)
{
    struct mp map = mp_of(raw), *m = &map;
    uint32_t from = p->e->trait_count;
    bool consent_seen = false;
    for (uint32_t n = raw.n ? open_map(p, m) : 0; n > 0 && going(p, m); n--) {
        struct slice key = read_key(p, m);
        if (key.n == 7 && IS(key, "consent")) {
            if (consent_seen) fail(p, REJECT_MALFORMED);
            consent_seen = true;
            take_consent(p, m);
            continue;
        }
        uint16_t id = schema_find(p->schema, NAME_ATTRIBUTE, key);
        if (id == ID_NONE || (of_group && p->schema->attributes[id].identifies))
            mp_skip_within(m, LEVELS_INNER);
        else
            take_trait(p, m, &p->schema->attributes[id], from);
    }
    going(p, m);
}

static uint32_t map_count(struct slice raw)
{
    struct mp m = mp_of(raw);
    return raw.n && mp_peek(&m) == MP_MAP ? mp_map(&m) : 0;
}

static void take_context_text(struct parse *p, uint16_t id, struct slice text)
{
    if (!text.n || id == ID_NONE) return;
    if (!utf8_valid(text)) fail(p, REJECT_BAD_UTF8);
    struct event_trait *trait = trait_entry(p, id, p->e->trait_count);
    if (trait) trait->value = value_string(text);
}

/* What was dropped for its type held its place, so that a repetition is seen; now it goes. */
static void drop_empty_traits(struct event *e)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < e->trait_count; i++)
        if (e->traits[i].value.kind != V_NONE) e->traits[kept++] = e->traits[i];
    e->trait_count = kept;
}

static void take_person(struct parse *p)
{
    struct event *e = p->e;
    bool has_traits = e->call == CALL_IDENTIFY || e->call == CALL_GROUP;
    struct slice own = has_traits ? e->traits_raw : (struct slice){0};
    uint16_t timezone = p->schema->names ? p->schema->timezone : ID_NONE;
    uint16_t language = p->schema->names ? p->schema->language : ID_NONE;
    bool texts = (timezone != ID_NONE && p->timezone.n) || (language != ID_NONE && p->locale.n);
    if (!own.n && !p->context_traits.n && !texts) return;
    uint32_t most = map_count(own) + map_count(p->context_traits) + 2;
    p->trait_capacity = most < p->schema->attribute_count ? most : p->schema->attribute_count;
    if (p->trait_capacity) e->traits = scratch_alloc(p, sizeof *e->traits * p->trait_capacity);
    take_traits(p, own, e->call == CALL_GROUP);
    take_traits(p, p->context_traits, false);
    if (p->trait_capacity) {
        take_context_text(p, timezone, p->timezone);
        take_context_text(p, language, p->locale);
        drop_empty_traits(e);
    }
    if (!e->traits_raw.n) e->traits_raw = p->context_traits;
}

/* ---- the top level ---------------------------------------------------------------------------- */

static enum field field_of(struct slice key)
{
    switch (key.n) {
    case 4: return IS(key, "type") ? TYPE : OTHER;
    case 5: return IS(key, "event") ? EVENT : OTHER;
    case 6:
        return IS(key, "userId") ? USER_ID : IS(key, "traits") ? TRAITS : IS(key, "sentAt") ? SENT_AT : OTHER;
    case 7:
        return IS(key, "context")   ? CONTEXT
               : IS(key, "user_id") ? USER_ID
               : IS(key, "sent_at") ? SENT_AT
                                    : OTHER;
    case 9: return IS(key, "messageId") ? MESSAGE_ID : IS(key, "timestamp") ? TIMESTAMP : OTHER;
    case 10:
        return IS(key, "properties")   ? PROPERTIES
               : IS(key, "message_id") ? MESSAGE_ID
               : IS(key, "previousId") ? PREVIOUS_ID
                                       : OTHER;
    case 11: return IS(key, "anonymousId") ? ANONYMOUS_ID : IS(key, "previous_id") ? PREVIOUS_ID : OTHER;
    case 12: return IS(key, "anonymous_id") ? ANONYMOUS_ID : OTHER;
    case 17: return IS(key, "originalTimestamp") ? ORIGINAL_TIMESTAMP : OTHER;
    case 18: return IS(key, "original_timestamp") ? ORIGINAL_TIMESTAMP : OTHER;
    default: return OTHER;
    }
}

static void note_other_key(struct parse *p, struct slice key)
{
    uint64_t hash = hash64(p->secret, key.p, key.n);
    for (uint32_t i = 0; i < p->other_count; i++)
        if (p->other_keys[i] == hash) fail(p, REJECT_MALFORMED);
    p->other_keys[p->other_count++] = hash;
}

static void take_name(struct parse *p, struct mp *m)
{
    if (mp_is_text(m))
        p->e->name = mp_str(m);
    else if (!mp_nil(m) && mp_skip_within(m, LEVELS_TOP))
        fail(p, REJECT_NO_EVENT);
}

static void take_field(struct parse *p, struct mp *m, enum field field)
{
    struct event *e = p->e;
    switch (field) {
    case TYPE: read_call(p, m); break;
    case EVENT: take_name(p, m); break;
    case USER_ID: e->user_id = read_id(p, m); break;
    case ANONYMOUS_ID: e->anonymous_id = read_id(p, m); break;
    case PREVIOUS_ID: e->previous_id = read_id(p, m); break;
    case MESSAGE_ID: e->message_id = read_message_id(p, m); break;
    case TIMESTAMP: p->timestamp = read_time(m); break;
    case ORIGINAL_TIMESTAMP: p->original = read_time(m); break;
    case SENT_AT: p->sent_at = read_time(m); break;
    case PROPERTIES: take_properties(p, m); break;
    case TRAITS: take_raw_map(p, m, &e->traits_raw, LEVELS_TOP); break;
    case CONTEXT: take_context(p, m); break;
    case OTHER: mp_skip_within(m, LEVELS_TOP); break;
    }
}

static inline enum field next_field(struct parse *p, struct mp *m, uint32_t nth, struct slice *key)
{
    struct shape_key *shape = shape_at(p->shape ? p->shape->top : NULL, nth);
    if (shape_next(shape, m, key)) return (enum field)shape->meaning;
    *key = read_key(p, m);
    enum field field = field_of(*key);
    shape_learn(shape, *key, (uint16_t)field);
    return field;
}

static void walk(struct parse *p, struct mp *m)
{
    for (uint32_t i = 0, n = open_map(p, m); i < n && going(p, m); i++) {
        struct slice key;
        enum field field = next_field(p, m, i, &key);
        if (!going(p, m)) return;
        if (field == OTHER)
            note_other_key(p, key);
        else if (p->seen >> field & 1)
            fail(p, REJECT_MALFORMED);
        if (p->reject) return;
        p->seen |= 1u << field;
        take_field(p, m, field);
    }
}

/* ---- after the walk ---------------------------------------------------------------------------- */

static void take_what(struct parse *p)
{
    struct event *e = p->e;
    if (!p->has_call) {
        fail(p, REJECT_BAD_TYPE);
        return;
    }
    if (!p->resolved) resolve_type(p);
    if (!p->picked && e->properties.n && p->reject == REJECT_NONE) {
        struct mp m = mp_of(e->properties);
        pick_properties(p, &m);
        going(p, &m);
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
    p.schema = schema;
    p.secret = secret;
    p.shape = shape;
    p.scratch = scratch;
    p.e = out;
    p.m = mp_of(bytes);
    *out = (struct event){.raw = bytes, .type = ID_NONE, .key_attribute = ID_NONE};
    if (mp_peek(&p.m) != MP_MAP) return REJECT_NOT_A_MAP;
    walk(&p, &p.m);
    if (going(&p, &p.m)) out->raw.n = (uint32_t)(p.m.p - bytes.p);
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

enum reject event_parse(const struct schema *schema, const struct hash_secret *secret, struct slice raw,
                        int64_t entry_ms, struct arena *scratch, struct event *out)
{
    if (raw.n > EVENT_BYTES_MAX) {
        *out = (struct event){.raw = raw, .type = ID_NONE, .key_attribute = ID_NONE};
        return REJECT_TOO_LARGE;
    }
    return parse_event(schema, secret, NULL, raw, true, entry_ms, scratch, out);
}

/* ---- looking into a parsed event ---------------------------------------------------------------- */

/* The value of a key as a slice of its bytes; false if the map has none. */
static bool map_find(struct slice map, struct slice name, struct slice *out)
{
    struct mp m = mp_of(map);
    if (mp_peek(&m) != MP_MAP) return false;
    for (uint32_t n = mp_map(&m); n > 0 && !m.err; n--) {
        bool found = slice_eq(mp_str(&m), name);
        struct slice item = mp_item(&m);
        if (!found || m.err) continue;
        *out = item;
        return true;
    }
    return false;
}

bool event_context_at(const struct event *e, struct slice path, struct slice *out)
{
    *out = e->context;
    while (out->n) {
        const uint8_t *dot = memchr(path.p, '.', path.n);
        struct slice name = slice_of(path.p, dot ? (size_t)(dot - path.p) : path.n);
        if (!map_find(*out, name, out)) return false;
        if (!dot) return true;
        path = slice_of(dot + 1, path.n - name.n - 1);
    }
    return false;
}

static struct value value_at(struct slice item)
{
    struct mp m = mp_of(item);
    struct value v = value_read(&m);
    if (v.kind == V_ERROR) return value_none();
    if (v.kind == V_STRING && !utf8_valid(value_text(v))) return value_none();
    if (v.kind == V_RAW && !texts_are_utf8(value_text(v))) return value_none();
    return v;
}

struct value event_context(const struct event *e, struct slice path)
{
    struct slice item;
    return path.n && event_context_at(e, path, &item) ? value_at(item) : value_none();
}

struct value event_property(const struct event *e, struct slice name)
{
    struct slice item;
    return map_find(e->properties, name, &item) ? value_at(item) : value_none();
}
