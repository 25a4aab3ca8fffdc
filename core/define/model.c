/* model.c - events, attributes, profiles, time zone and week: the schema of a set. */
#include "core/base/check.h"
#include "core/define/compile.h"
#include "core/expr/type.h"

enum {
    DAY_S = 86400,
    KEEP_DEFAULT_S = 90 * DAY_S,
    CAP_MAX = HISTORY_ENTRIES_MAX,
    ATTRIBUTE_HISTORY_MAX = 64
};

/* ---- types --------------------------------------------------------------------------------- */

static const struct node *type_node(const struct node *n)
{
    const struct node *type = n->kind == NODE_MAPPING ? node_find(n, "type") : NULL;
    return type ? type : n;
}

enum declared_type type_of(const struct node *n)
{
    n = type_node(n);
    static const uint8_t types[] = {T_STRING, T_NUMBER, T_BOOL, T_TIME, T_DATE, T_RAW};
    uint32_t index = 0;
    if (n->kind == NODE_SEQUENCE && n->count == 1 && n->list[0]->kind == NODE_SCALAR &&
        slice_is(n->list[0]->text, "string"))
        return T_STRINGS;
    if (n->kind != NODE_SCALAR) return T_RAW;
    word_in(n->text, "string|number|bool|time|date|object", &index);
    return types[index];
}

static void check_type(struct compile *c, struct node *n)
{
    struct node *type = (struct node *)type_node(n);
    if (type->kind == NODE_SEQUENCE && type->count != 1 && !type->bad)
        report_wrong(c->d, type, "[string]", "a list type names one item type, such as [string]");
}

/* A time inside of a message is text: it stays open. */
static const struct type *scalar_shape(struct arena *a, const struct node *n)
{
    enum declared_type type = type_of(n);
    bool open = type == T_TIME || type == T_DATE || type == T_RAW;
    return open ? type_basic(TYPE_DYN) : type_inside(a, type_declared(type));
}

static const struct type *object_shape(struct arena *a, const struct node *fields)
{
    struct type *t = ARENA_NEW(a, struct type);
    struct type_field *list = ARENA_ARRAY(a, struct type_field, fields->count + 1);
    for (uint32_t i = 0; i < fields->count; i++)
        list[i] = (struct type_field){arena_slice(a, node_key(fields, i)->text),
                                      scalar_shape(a, node_value(fields, i))};
    *t = *type_map(a, type_basic(TYPE_STRING), type_basic(TYPE_DYN));
    t->fields = list;
    t->field_count = fields->count;
    return type_inside(a, t);
}

/* Of [number] or [{id: string, price: number}]; NULL: the declared type says all. */
static const struct type *shape_of(struct arena *a, const struct node *n)
{
    n = type_node(n);
    if (type_of(n) != T_RAW || n->kind != NODE_SEQUENCE || n->count != 1) return NULL;
    const struct node *item = n->list[0];
    const struct type *inside = item->kind == NODE_MAPPING ? object_shape(a, item) : scalar_shape(a, item);
    return type_inside(a, type_list(a, inside));
}

/* ---- names first ------------------------------------------------------------------------------ */

static void declare(struct compile *c, const char *block, enum registry_kind kind)
{
    struct node *map = node_find(c->root, block);
    for (uint32_t i = 0; map && map->kind == NODE_MAPPING && i < map->count; i++) {
        struct node *key = node_key(map, i), *value = node_value(map, i);
        uint8_t type = kind == REG_ATTRIBUTE ? (uint8_t)type_of(value) : 0;
        if (kind == REG_ATTRIBUTE && word_in(key->text, "user_id|known|first_seen|last_seen", NULL))
            report_wrong(c->d, key, "give the attribute another name",
                         "profile.%.*s is what the engine itself knows", SHOWN(key->text));
        struct registry_entry *e = registry_add(c->registry, kind, 0, key->text, type);
        if (e) {
            e->node = value;
            e->shape = kind == REG_ATTRIBUTE ? shape_of(c->arena, value) : NULL;
        } else {
            report_node(c->d, key, "too many names: no ids are left for '%.*s'", SHOWN(key->text));
        }
    }
}

void declare_properties(struct compile *c, uint16_t event, struct node *props)
{
    for (uint32_t i = 0; props && i < props->count; i++) {
        struct node *key = node_key(props, i), *value = node_value(props, i);
        if (key->bad || value->bad) continue;
        check_type(c, value);
        if (slice_is(key->text, "at")) {
            report_warning(c->d, key, "a property named 'at' hides the time of the event in expressions");
            report_fix(c->d, "rename it, such as starts_at");
        }
        struct registry_entry *e =
            registry_add(c->registry, REG_PROPERTY, event, key->text, (uint8_t)type_of(value));
        if (e)
            e->shape = shape_of(c->arena, value);
        else
            report_wrong(c->d, key, "leave out properties that no expression asks for",
                         "an event has at most %d properties, those of former versions included",
                         PROPS_PER_EVENT_MAX);
    }
}

static void seed_event(struct compile *c, const struct schema_event *e)
{
    struct registry *r = c->registry;
    uint16_t next = r->next_id[REG_EVENT];
    struct registry_entry *entry = registry_add(r, REG_EVENT, 0, e->name, 0);
    CHECK(entry != NULL);
    entry->id = e->id;
    r->next_id[REG_EVENT] = next; /* fixed ids are not counted */
    for (uint16_t k = 0; k < e->prop_count; k++) {
        const struct registry_entry *prop =
            registry_add(r, REG_PROPERTY, e->id, e->props[k].name, e->props[k].type);
        CHECK(prop && prop->id == k);
    }
}

/* Attributes that the engine itself reads, and the tokens that push SDKs send, need no declaration. */
static const struct {
    const char *name;
    uint8_t type;
} BUILT_IN[] = {{"timezone", T_STRING}, {"language", T_STRING}, {"push_tokens", T_STRINGS}};

static void seed_predeclared(struct compile *c)
{
    struct schema_event events[TYPE_DECLARED_BASE];
    struct node *attributes = node_find(c->root, "attributes");
    schema_predeclare(events);
    for (uint16_t id = 0; id < TYPE_DECLARED_BASE; id++)
        if (events[id].id != ID_NONE) seed_event(c, &events[id]);
    for (uint32_t i = 0; i < sizeof BUILT_IN / sizeof *BUILT_IN; i++)
        if (!node_find(attributes, BUILT_IN[i].name))
            registry_add(c->registry, REG_ATTRIBUTE, 0, slice_str(BUILT_IN[i].name), BUILT_IN[i].type);
}

void declare_names(struct compile *c)
{
    seed_predeclared(c);
    declare(c, "events", REG_EVENT);
    struct node *events = node_find(c->root, "events");
    for (uint32_t i = 0; events && events->kind == NODE_MAPPING && i < events->count; i++) {
        const struct registry_entry *e = registry_find(c->registry, REG_EVENT, 0, node_key(events, i)->text);
        if (e) declare_properties(c, e->id, get(node_value(events, i), "properties"));
    }
    declare_later(c);
    declare(c, "attributes", REG_ATTRIBUTE);
    declare(c, "segments", REG_SEGMENT);
    declare(c, "lists", REG_LIST);
    declare(c, "channels", REG_CHANNEL);
    declare(c, "journeys", REG_JOURNEY);
}

/* ---- events ------------------------------------------------------------------------------------- */

static struct slice context_path(struct compile *c, struct node *from)
{
    static const char prefix[] = "context.";
    if (!from) return (struct slice){0};
    if (from->text.n <= sizeof prefix - 1 || memcmp(from->text.p, prefix, sizeof prefix - 1) != 0) {
        report_node(c->d, from, "'from' of a property begins with context.");
        report_fix(c->d, "a property of the event itself needs no 'from'");
        return (struct slice){0};
    }
    return arena_slice(c->arena,
                       slice_of(from->text.p + sizeof prefix - 1, from->text.n - (sizeof prefix - 1)));
}

/* Entries of former versions stay in their places, dead, because older history has cells for them. */
static void read_properties(struct compile *c, struct schema_event *e, struct node *n)
{
    struct node *props = get(n, "properties");
    uint16_t count = registry_limit(c->registry, REG_PROPERTY, e->id);
    e->prop_count = count;
    if (!count) return;
    e->props = ARENA_ARRAY(c->arena, struct schema_prop, count);
    for (uint32_t i = 0; i < c->registry->count; i++) {
        const struct registry_entry *r = c->registry->list[i];
        if (r->kind != REG_PROPERTY || r->within != e->id) continue;
        struct schema_prop *p = &e->props[r->id];
        *p = (struct schema_prop){.name = r->name, .type = r->type, .live = r->live};
        struct node *value = props ? get(props, arena_strndup(c->scratch, r->name.p, r->name.n)) : NULL;
        if (!value || !r->live) continue;
        p->from = value->kind == NODE_MAPPING ? context_path(c, get(value, "from")) : (struct slice){0};
        p->coerce = get_bool(value, "coerce", get_bool(n, "coerce", false));
    }
}

static void read_event(struct compile *c, struct schema_event *e, const struct registry_entry *r)
{
    struct node *n = r->node;
    bool predeclared = r->id < TYPE_DECLARED_BASE;
    if (!predeclared)
        *e = (struct schema_event){.id = r->id,
                                   .name = r->name,
                                   .keep_s = KEEP_DEFAULT_S,
                                   .cap = HISTORY_CAP_DEFAULT,
                                   .late_s = 3600,
                                   .activity = true};
    e->live = r->live;
    read_properties(c, e, n);
    if (!n || n->kind != NODE_MAPPING) return;
    int64_t keep = get_seconds(n, "keep", e->keep_s);
    e->keep_s = keep ? (uint32_t)keep : UINT32_MAX;
    e->cap = (uint32_t)get_integer(n, "cap", e->cap);
    e->late_s = (uint32_t)get_seconds(n, "late", e->late_s);
    e->activity = get_bool(n, "activity", e->activity);
    e->broadcast = get_bool(n, "broadcast", false);
    e->plain = e->plain && !e->prop_count;
    struct node *cap = get(n, "cap");
    if (cap && (e->cap == 0 || e->cap > CAP_MAX))
        report_wrong(c->d, cap, "leave it out for 256, or raise 'keep' instead",
                     "'cap' lies between 1 and %d", CAP_MAX);
}

/* Aliases are names like any other: one name, one event. */
static uint32_t read_aliases(struct compile *c, struct schema_name **out)
{
    uint32_t count = 0, capacity = 16;
    struct schema_name *list = ARENA_ARRAY(c->scratch, struct schema_name, capacity);
    for (uint32_t i = 0; i < c->registry->count; i++) {
        const struct registry_entry *r = c->registry->list[i];
        struct node *also = r->kind == REG_EVENT && r->live && r->node ? get(r->node, "also") : NULL;
        for (uint32_t k = 0; k < item_count(also); k++) {
            struct node *alias = item(also, k);
            if (alias->bad) continue;
            const struct registry_entry *other = registry_find(c->registry, REG_EVENT, 0, alias->text);
            for (uint32_t m = 0; !other && m < count; m++)
                if (slice_eq(list[m].name, alias->text)) other = r;
            if (other) {
                report_wrong(c->d, alias, "leave it out of 'also', or rename that event",
                             "'%.*s' is the name of an event already", SHOWN(alias->text));
                continue;
            }
            if (count == capacity) {
                struct schema_name *more = ARENA_ARRAY(c->scratch, struct schema_name, capacity *= 2);
                list = memcpy(more, list, sizeof *list * count);
            }
            list[count++] = (struct schema_name){arena_slice(c->arena, alias->text), r->id, NAME_EVENT};
        }
    }
    *out = list;
    return count;
}

/* ---- attributes ------------------------------------------------------------------------------------ */

static void read_normalize(struct compile *c, struct schema_attribute *a, struct node *map)
{
    if (!map || map->kind != NODE_MAPPING || !map->count) return;
    a->normalize = arena_zalloc(c->arena, sizeof *a->normalize * map->count);
    a->normalize_count = (uint16_t)map->count;
    for (uint32_t i = 0; i < map->count; i++) {
        a->normalize[i][0] = arena_slice(c->arena, node_key(map, i)->text);
        a->normalize[i][1] = arena_slice(c->arena, node_value(map, i)->text);
    }
}

static void read_attribute(struct compile *c, struct schema_attribute *a, const struct registry_entry *r)
{
    struct node *n = r->node;
    *a = (struct schema_attribute){.name = r->name, .id = r->id, .type = r->type, .live = r->live};
    if (!n || !r->live) return;
    check_type(c, n);
    if (n->kind != NODE_MAPPING) return;
    a->identifies = get_bool(n, "identifies", false);
    a->keep_first = get_word(n, "keep", "last|first", 0) == 1;
    a->history = (uint16_t)get_integer(n, "history", 0);
    read_normalize(c, a, get(n, "normalize"));
    struct node *history = get(n, "history"), *identifies = get(n, "identifies");
    if (history && get_integer(n, "history", 0) > ATTRIBUTE_HISTORY_MAX)
        report_wrong(c->d, history, "keep fewer values, or send an event for each change",
                     "'history' is at most %d", ATTRIBUTE_HISTORY_MAX);
    if (identifies && a->identifies && a->type != T_STRING)
        report_wrong(c->d, identifies, "type: string, or leave 'identifies' out",
                     "only a string identifies a person");
}

/* ---- the schema --------------------------------------------------------------------------------------- */

static uint32_t lifetime(struct compile *c, const char *key)
{
    return (uint32_t)get_seconds(get(c->root, "profiles"), key, 0);
}

void read_model(struct compile *c)
{
    struct schema *s = &c->set->schema;
    struct registry *r = c->registry;
    s->event_count = registry_limit(r, REG_EVENT, 0);
    s->attribute_count = registry_limit(r, REG_ATTRIBUTE, 0);
    s->events = ARENA_ARRAY(c->arena, struct schema_event, s->event_count);
    s->attributes = ARENA_ARRAY(c->arena, struct schema_attribute, s->attribute_count + 1);
    for (uint32_t i = 0; i < s->event_count; i++) s->events[i].id = ID_NONE;
    for (uint32_t i = 0; i < s->attribute_count; i++) s->attributes[i].id = ID_NONE;
    schema_predeclare(s->events);
    for (uint32_t i = 0; i < r->count; i++) {
        const struct registry_entry *e = r->list[i];
        if (e->kind == REG_EVENT) read_event(c, &s->events[e->id], e);
        if (e->kind == REG_ATTRIBUTE) read_attribute(c, &s->attributes[e->id], e);
    }
    s->strict = get_bool(c->root, "strict", false);
    s->anonymous_ttl_s = lifetime(c, "anonymous_ttl");
    s->known_ttl_s = lifetime(c, "known_ttl");
    struct schema_name *aliases;
    uint32_t alias_count = read_aliases(c, &aliases);
    schema_index(s, aliases, alias_count, c->arena);
    c->set->journeys.attribute_timezone = schema_find(s, NAME_ATTRIBUTE, SLICE("timezone"));
    c->set->journeys.attribute_language = schema_find(s, NAME_ATTRIBUTE, SLICE("language"));
}

/* ---- time ------------------------------------------------------------------------------------------------ */

static uint8_t read_weekdays(struct node *list)
{
    uint8_t bits = 0, bit;
    for (uint32_t i = 0; i < item_count(list); i++)
        if (parse_weekday(item(list, i)->text, &bit)) bits |= bit;
    return bits;
}

static void insert_sorted(int32_t *list, uint32_t *count, int32_t day)
{
    uint32_t at = *count;
    for (; at && list[at - 1] >= day; at--)
        if (list[at - 1] == day) return;
    memmove(list + at + 1, list + at, sizeof *list * (*count - at));
    list[at] = day;
    ++*count;
}

void read_calendar(struct compile *c)
{
    struct journey_set *j = &c->set->journeys;
    struct node *zone = get(c->root, "timezone"), *week = get(c->root, "week");
    j->zone = zone ? zone_load(c->zone_dir, zone->text) : zone_utc();
    if (!j->zone) {
        report_node(c->d, zone, "unknown time zone '%.*s'", SHOWN(zone->text));
        report_fix(c->d, "a name of the time zone database such as Europe/Moscow, or +03:00");
        j->zone = zone_utc();
    }
    struct node *workdays = get(week, "workdays"), *holidays = get(week, "holidays");
    j->week.workdays = workdays ? read_weekdays(workdays) : 0x3e; /* Monday to Friday */
    if (workdays && !j->week.workdays)
        report_wrong(c->d, workdays, "workdays: [mon, tue, wed, thu, fri]",
                     "a week needs at least one working day");
    int32_t *days = ARENA_ARRAY(c->arena, int32_t, item_count(holidays) + 1), day;
    for (uint32_t i = 0; i < item_count(holidays); i++)
        if (parse_date(item(holidays, i)->text, &day)) insert_sorted(days, &j->week.holiday_count, day);
    j->week.holidays = days;
}

void read_values(struct compile *c)
{
    struct node *map = get(c->root, "values");
    if (!map || map->kind != NODE_MAPPING) return;
    struct named_value *list = ARENA_ARRAY(c->arena, struct named_value, map->count + 1);
    for (uint32_t i = 0; i < map->count; i++) {
        list[i].name = arena_slice(c->arena, node_key(map, i)->text);
        parse_number(node_value(map, i)->text, &list[i].number);
    }
    c->set->values = list;
    c->set->value_count = map->count;
}
