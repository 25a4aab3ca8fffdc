/* event_person.c - what a message says of the person: traits of identify and group, context.traits, time zone, language. */
#include "core/model/event_parse.h"
#include "core/base/check.h"

struct slice attribute_spelling(const struct schema_attribute *attribute, struct slice text)
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
    trait->value = read_declared(p, m, type, false);
    if (trait->value.kind != V_STRING) return;
    struct slice text = attribute_spelling(attribute, value_text(trait->value));
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

static void make_room(struct parse *p, uint32_t traits)
{
    p->trait_capacity = traits < p->schema->attribute_count ? traits : p->schema->attribute_count;
    if (p->trait_capacity) p->e->traits = scratch_alloc(p, sizeof *p->e->traits * p->trait_capacity);
}

void take_person(struct parse *p)
{
    struct event *e = p->e;
    bool has_traits = e->call == CALL_IDENTIFY || e->call == CALL_GROUP;
    struct slice own = has_traits ? e->traits_raw : (struct slice){0};
    uint16_t timezone = p->schema->names ? p->schema->timezone : ID_NONE;
    uint16_t language = p->schema->names ? p->schema->language : ID_NONE;
    uint32_t texts = (timezone != ID_NONE && p->timezone.n) + (language != ID_NONE && p->locale.n);
    if (!own.n && !p->context_traits.n) { /* nearly always */
        if (!texts) return;
        make_room(p, texts);
        take_context_text(p, timezone, p->timezone);
        take_context_text(p, language, p->locale);
        return;
    }
    make_room(p, map_count(own) + map_count(p->context_traits) + 2);
    take_traits(p, own, e->call == CALL_GROUP);
    take_traits(p, p->context_traits, false);
    if (p->trait_capacity) {
        take_context_text(p, timezone, p->timezone);
        take_context_text(p, language, p->locale);
        drop_empty_traits(e);
    }
    if (!e->traits_raw.n) e->traits_raw = p->context_traits;
}
