/* event_fields.c - the fields of a message, each in whatever form senders give it. The walk in event.c reads the usual forms
 * itself and leaves all others to these. */
#include "core/model/event_parse.h"
#include "core/base/check.h"

#include <math.h>

void *scratch_alloc(struct parse *p, size_t bytes)
{
    void *at = arena_zalloc(p->scratch, bytes);
    CHECK(at != NULL); /* EVENT_SCRATCH_BYTES_MAX an event was promised */
    return at;
}

uint32_t open_map(struct parse *p, struct mp *m)
{
    if (mp_nil(m)) return 0;
    if (mp_peek(m) == MP_ARRAY && mp_array(m) == 0 && !m->err) return 0;
    uint32_t n = mp_map(m);
    if (n > MAP_KEYS_MAX) fail(p, REJECT_TOO_MANY_KEYS);
    return n;
}

/* ---- values that are kept ------------------------------------------------------------------ */

bool texts_are_utf8(struct slice raw)
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

/* Text of a string property, or a number: refused where other types are dropped. */
static bool read_common(struct parse *p, struct mp *m, enum declared_type type, struct value *out)
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

struct value read_declared(struct parse *p, struct mp *m, enum declared_type type, bool coerce)
{
    struct value v;
    return read_common(p, m, type, &v) ? v : read_fitted(p, m, type, coerce);
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

bool id_is_good(struct slice id) { return id.n > 0 && id.n <= ID_BYTES_MAX && text_printable(id); }

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

/* Events of short names are remembered: 117 instructions with the room for properties, not 169. */
static const struct schema_event *event_named(struct parse *p, struct slice name)
{
    struct name_ends ends = name_ends_of(name);
    struct shape_name *seen = NULL;
    if (p->shape && name.n <= 16) {
        seen = &p->shape->names[name_ends_hash(ends, name.n, 0) % SHAPE_NAMES];
        bool same = seen->ends.first == ends.first && seen->ends.last == ends.last && seen->n == name.n;
        if (same && seen->schema == p->schema) return seen->type;
    }
    const struct schema_event *type = schema_event(p->schema, schema_find(p->schema, NAME_EVENT, name));
    if (seen) *seen = (struct shape_name){p->schema, type, ends, name.n};
    return type;
}

void resolve_type(struct parse *p)
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
    p->type = e->call == CALL_TRACK ? event_named(p, e->name) : schema_event(p->schema, TYPES[e->call]);
    e->type = p->type ? p->type->id : ID_NONE;
    if (!p->type) check_new_name(p, e->name);
    if (p->type && p->type->prop_count) e->props = scratch_alloc(p, sizeof *e->props * p->type->prop_count);
    p->resolved = true;
}

void read_property(struct parse *p, struct mp *m, uint16_t index)
{
    const struct schema_prop *prop = &p->type->props[index];
    struct value *out = &p->e->props[index];
    *out = read_declared(p, m, (enum declared_type)prop->type, prop->coerce);
    if (out->kind == V_NULL) *out = value_none();
}

/* ---- context ------------------------------------------------------------------------------- */

void read_raw_map(struct parse *p, struct mp *m, struct slice *out, uint32_t levels)
{
    struct slice item = mp_item_within(m, levels);
    struct mp inside = mp_of(item);
    if (!going(p, m)) return;
    open_map(p, &inside);
    if (inside.err) fail(p, REJECT_MALFORMED);
    if (is_map(item)) *out = item;
}

enum context_field context_field(struct slice key)
{
    if (key.n == 6) {
        if (IS(key, "traits")) return CONTEXT_TRAITS;
        if (IS(key, "active")) return CONTEXT_ACTIVE;
        if (IS(key, "locale")) return CONTEXT_LOCALE;
    }
    return key.n == 8 && IS(key, "timezone") ? CONTEXT_TIMEZONE : 0;
}

static void take_text(struct mp *m, struct slice *out)
{
    if (mp_is_text(m))
        *out = mp_str(m);
    else
        mp_skip_within(m, LEVELS_INNER);
}

void read_context_field(struct parse *p, struct mp *m, enum context_field field)
{
    switch (field) {
    case CONTEXT_TRAITS: read_raw_map(p, m, &p->context_traits, LEVELS_INNER); break;
    case CONTEXT_ACTIVE:
        p->e->context_inactive = mp_left(m) && *m->p == 0xc2; /* false */
        mp_skip_within(m, LEVELS_INNER);
        break;
    case CONTEXT_LOCALE: take_text(m, &p->locale); break;
    case CONTEXT_TIMEZONE: take_text(m, &p->timezone); break;
    }
}

/* ---- the top level -------------------------------------------------------------------------- */

enum field envelope_field(struct slice key)
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

static void read_name(struct parse *p, struct mp *m)
{
    if (mp_is_text(m))
        p->e->name = mp_str(m);
    else if (!mp_nil(m) && mp_skip_within(m, LEVELS_TOP))
        fail(p, REJECT_NO_EVENT);
}

void read_field(struct parse *p, struct mp *m, enum field field)
{
    struct event *e = p->e;
    switch (field) {
    case TYPE: read_call(p, m); break;
    case EVENT: read_name(p, m); break;
    case USER_ID: e->user_id = read_id(p, m); break;
    case ANONYMOUS_ID: e->anonymous_id = read_id(p, m); break;
    case PREVIOUS_ID: e->previous_id = read_id(p, m); break;
    case MESSAGE_ID: e->message_id = read_message_id(p, m); break;
    case TIMESTAMP: p->timestamp = read_time(m); break;
    case ORIGINAL_TIMESTAMP: p->original = read_time(m); break;
    case SENT_AT: p->sent_at = read_time(m); break;
    case TRAITS: read_raw_map(p, m, &e->traits_raw, LEVELS_TOP); break;
    default: CHECK(!"event.c reads it itself");
    }
}
