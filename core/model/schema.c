#include "core/model/schema.h"
#include "core/base/check.h"

/* ---- predeclared ------------------------------------------------------------------------- */

enum { DAY_S = 86400, PLAIN_KEEP_S = 90 * DAY_S, OUTCOME_KEEP_S = 180 * DAY_S, LATE_S = 3600 };

static const char *const PREDECLARED[TYPE_DECLARED_BASE] = {
    [TYPE_PAGE] = "page",
    [TYPE_SCREEN] = "screen",
    [TYPE_IDENTIFY] = "identify",
    [TYPE_GROUP] = "group",
    [TYPE_ALIAS] = "alias",
    [TYPE_DELIVERED] = "Message Delivered",
    [TYPE_OPENED] = "Message Opened",
    [TYPE_CLICKED] = "Message Clicked",
    [TYPE_REPLIED] = "Message Replied",
    [TYPE_BOUNCED] = "Message Bounced",
    [TYPE_FAILED] = "Message Failed",
    [TYPE_COMPLAINED] = "Message Complained",
    [TYPE_SHOWN] = "Message Shown",
    [TYPE_DISMISSED] = "Message Dismissed",
    [TYPE_UNSUBSCRIBED] = "Unsubscribed",
};

#define ALIAS(text, type)                                                                                    \
    {                                                                                                        \
        .name = {(const uint8_t *)text, sizeof text - 1}, .id = type, .kind = NAME_EVENT                     \
    }
const struct schema_name SCHEMA_ALIASES[] = {
    ALIAS("Email Delivered", TYPE_DELIVERED),       ALIAS("Email Opened", TYPE_OPENED),
    ALIAS("Email Link Clicked", TYPE_CLICKED),      ALIAS("Email Bounced", TYPE_BOUNCED),
    ALIAS("Email Marked as Spam", TYPE_COMPLAINED),
};
const uint32_t SCHEMA_ALIAS_COUNT = sizeof SCHEMA_ALIASES / sizeof *SCHEMA_ALIASES;

#define PROP(text, t)                                                                                        \
    {                                                                                                        \
        .name = {(const uint8_t *)text, sizeof text - 1}, .type = t, .live = true                            \
    }
static struct schema_prop outcome_props[] = {
    PROP("action_id", T_STRING),
    PROP("channel", T_STRING),
    PROP("machine", T_BOOL),
    PROP("hard", T_BOOL),
};
enum { OUTCOME_PROPS = sizeof outcome_props / sizeof *outcome_props };

void schema_predeclare(struct schema_event *events)
{
    for (uint16_t id = 0; id < TYPE_DECLARED_BASE; id++) {
        struct schema_event *e = &events[id];
        *e = (struct schema_event){.id = ID_NONE};
        if (!PREDECLARED[id]) continue;
        e->id = id;
        e->name = slice_str(PREDECLARED[id]);
        e->late_s = LATE_S;
        e->live = true;
        e->plain = id <= TYPE_ALIAS;
        e->activity = e->plain;
        e->keep_s = e->plain ? PLAIN_KEEP_S : OUTCOME_KEEP_S;
        e->cap = e->plain ? HISTORY_CAP_PLAIN : HISTORY_CAP_DEFAULT;
        e->props = e->plain ? NULL : outcome_props;
        e->prop_count = e->plain ? 0 : OUTCOME_PROPS;
    }
}

struct schema *schema_minimal(struct arena *a)
{
    struct schema *s = ARENA_NEW(a, struct schema);
    s->events = ARENA_ARRAY(a, struct schema_event, TYPE_DECLARED_BASE);
    s->event_count = TYPE_DECLARED_BASE;
    schema_predeclare(s->events);
    schema_index(s, NULL, 0, a);
    return s;
}

/* ---- finding names ------------------------------------------------------------------------ */

static inline uint32_t name_hash(struct slice name, uint32_t salt)
{
    return name_ends_hash(name_ends_of(name), name.n, salt);
}

static uint32_t table_size(uint32_t names)
{
    uint32_t n = 8;
    while (n < names * 2) n *= 2;
    return n;
}

static struct schema_name *name_slot(const struct schema *s, enum name_kind kind, struct slice name)
{
    uint32_t i = name_hash(name, kind) & s->name_mask;
    while (s->names[i].name.p && (s->names[i].kind != kind || !slice_eq(s->names[i].name, name)))
        i = (i + 1) & s->name_mask;
    return &s->names[i];
}

static void add_name(struct schema *s, enum name_kind kind, struct slice name, uint16_t id)
{
    struct schema_name *slot = name_slot(s, kind, name);
    if (!slot->name.p) *slot = (struct schema_name){.name = name, .id = id, .kind = (uint16_t)kind};
}

static void index_props(struct schema_event *e, struct arena *a)
{
    CHECK(e->prop_count <= PROPS_PER_EVENT_MAX);
    uint32_t size = table_size(e->prop_count);
    e->prop_mask = (uint16_t)(size - 1);
    e->prop_slots = ARENA_ARRAY(a, struct prop_slot, size);
    e->from_count = 0;
    for (uint32_t i = 0; i < size; i++) e->prop_slots[i].prop = ID_NONE;
    for (uint32_t k = 0; k < e->prop_count; k++) {
        if (!e->props[k].live) continue;
        if (e->props[k].from.n) {
            e->from_count++;
            continue;
        }
        struct slice name = e->props[k].name;
        struct name_ends ends = name_ends_of(name);
        uint32_t i = name_ends_hash(ends, name.n, 0) & e->prop_mask;
        while (e->prop_slots[i].prop != ID_NONE) i = (i + 1) & e->prop_mask;
        e->prop_slots[i] = (struct prop_slot){.first = ends.first, .last = ends.last, .n = name.n, .prop = k};
    }
}

static uint16_t text_attribute(const struct schema *s, struct slice name)
{
    uint16_t id = schema_find(s, NAME_ATTRIBUTE, name);
    return id != ID_NONE && s->attributes[id].type == T_STRING ? id : ID_NONE;
}

void schema_index(struct schema *s, const struct schema_name *also, uint32_t also_count, struct arena *a)
{
    uint32_t size = table_size(s->event_count + s->attribute_count + also_count + SCHEMA_ALIAS_COUNT);
    s->names = ARENA_ARRAY(a, struct schema_name, size);
    s->name_mask = size - 1;
    for (uint32_t i = 0; i < s->event_count; i++) {
        struct schema_event *e = &s->events[i];
        if (e->id == ID_NONE) continue;
        index_props(e, a);
        if (e->live) add_name(s, NAME_EVENT, e->name, e->id);
    }
    for (uint32_t i = 0; i < s->attribute_count; i++) {
        const struct schema_attribute *at = &s->attributes[i];
        if (at->id != ID_NONE && at->live) add_name(s, NAME_ATTRIBUTE, at->name, at->id);
    }
    for (uint32_t i = 0; i < also_count; i++) add_name(s, NAME_EVENT, also[i].name, also[i].id);
    for (uint32_t i = 0; i < SCHEMA_ALIAS_COUNT; i++)
        if (schema_event(s, SCHEMA_ALIASES[i].id))
            add_name(s, NAME_EVENT, SCHEMA_ALIASES[i].name, SCHEMA_ALIASES[i].id);
    s->timezone = text_attribute(s, SLICE("timezone"));
    s->language = text_attribute(s, SLICE("language"));
}

uint16_t schema_find(const struct schema *s, enum name_kind kind, struct slice name)
{
    if (!s->names) return ID_NONE;
    const struct schema_name *slot = name_slot(s, kind, name);
    return slot->name.p ? slot->id : ID_NONE;
}

uint16_t schema_prop_find_slowly(const struct schema_event *e, struct slice name)
{
    for (uint16_t k = 0; k < e->prop_count; k++)
        if (e->props[k].live && !e->props[k].from.n && slice_eq(e->props[k].name, name)) return k;
    return ID_NONE;
}
