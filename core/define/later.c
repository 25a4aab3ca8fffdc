/* later.c - blocks that are read and checked before they can run: the names and expressions in them are looked up, so
 * that a directory written for them stays free of mistakes. defset_compile refuses these blocks by their keys. */
#include "core/define/compile.h"

typedef void read_entry(struct compile *c, struct node *n);

static void each_entry(struct compile *c, const char *block, read_entry *f)
{
    struct node *all = get(c->root, block);
    for (uint32_t i = 0; i < item_count(all) && all->kind == NODE_SEQUENCE; i++)
        if (!item(all, i)->bad) f(c, item(all, i));
    for (uint32_t i = 0; all && all->kind == NODE_MAPPING && i < all->count; i++)
        if (!node_value(all, i)->bad) f(c, node_value(all, i));
}

static struct place at(uint16_t event) { return (struct place){.event = event}; }

static void names(struct compile *c, enum registry_kind kind, struct node *list)
{
    for (uint32_t i = 0; i < item_count(list); i++) name_id(c, kind, item(list, i));
}

/* ---- names that these blocks bring along --------------------------------------------------- */

static void derive_event(struct compile *c, struct slice name, uint16_t *id)
{
    struct registry_entry *e = registry_add(c->registry, REG_EVENT, 0, name, 0);
    *id = e ? e->id : ID_NONE;
}

static void derive_item_event(struct compile *c, struct node *event, struct node *each)
{
    struct node *props = get(event, "properties"), *carry = get(each, "carry");
    for (uint32_t i = 0; i < each->count; i++) {
        struct node *list = get(props, (const char *)node_key(each, i)->text.p), *name = node_value(each, i);
        uint16_t id;
        if (!list || item_count(list) != 1 || list->kind != NODE_SEQUENCE || name->kind != NODE_SCALAR)
            continue;
        derive_event(c, name->text, &id);
        struct node *fields = item(list, 0);
        declare_properties(c, id, fields->kind == NODE_MAPPING ? fields : NULL);
        for (uint32_t k = 0; k < item_count(carry); k++) {
            struct node *type = get(props, (const char *)item(carry, k)->text.p);
            if (type)
                registry_add(c->registry, REG_PROPERTY, id, item(carry, k)->text, (uint8_t)type_of(type));
        }
    }
}

void declare_later(struct compile *c)
{
    static const char *const visit_props[] = {"landing", "referrer", "utm_source", "city", "device"};
    static const char *const visit_events[] = {"Visit Started", "Visit Ended"};
    struct node *events = get(c->root, "events");
    if (c->for_running) return;
    for (uint32_t i = 0; events && events->kind == NODE_MAPPING && i < events->count; i++) {
        struct node *each = get(node_value(events, i), "each");
        if (each) derive_item_event(c, node_value(events, i), each);
    }
    for (uint32_t i = 0; has(c->root, "visits") && i < 2; i++) {
        uint16_t id;
        derive_event(c, slice_str(visit_events[i]), &id);
        for (uint32_t k = 0; k < 5; k++)
            registry_add(c->registry, REG_PROPERTY, id, slice_str(visit_props[k]), T_STRING);
        registry_add(c->registry, REG_PROPERTY, id, SLICE("number"), T_NUMBER);
    }
}

/* ---- what stands in them ----------------------------------------------------------------------- */

static void check_audience(struct compile *c, struct node *n)
{
    name_id(c, REG_CHANNEL, get(n, "channel"));
    name_id(c, REG_SEGMENT, get(n, "segment"));
    names(c, REG_ATTRIBUTE, get(n, "match"));
}

static void check_cap(struct compile *c, struct node *n)
{
    name_id(c, REG_CHANNEL, get(n, "channel"));
    names(c, REG_CHANNEL, get(n, "between"));
    expression(c, PLACE_NONE, get(n, "if"), WANT_BOOL);
    if (!has(n, "max") && !has(n, "gap"))
        report_wrong(c->d, n, "for example {max: 2 per 1d} or {gap: 1h, between: [email, sms]}",
                     "a cap has 'max' or 'gap'");
}

static void check_revenue(struct compile *c, struct node *n)
{
    uint16_t event = event_id(c, get(n, "event"));
    if (event == ID_NONE) return;
    expression(c, at(event), get(n, "id"), WANT_ANY);
    expression(c, at(event), get(n, "value"), WANT_NUMBER);
}

static void check_cost(struct compile *c, struct node *n)
{
    struct node *event = get(get(c->root, "revenue"), "event");
    uint16_t id = event ? schema_find(&c->set->schema, NAME_EVENT, event->text) : ID_NONE;
    if (id != ID_NONE) expression(c, at(id), n, WANT_NUMBER);
}

static void check_cohort(struct compile *c, struct node *n)
{
    expression(c, PLACE_NONE, get(n, "start"), WANT_TIME);
    expression(c, PLACE_NONE, get(n, "split"), WANT_ANY);
}

static void check_alarm(struct compile *c, struct node *n)
{
    expression(c, (struct place){.event = ID_NONE, .alarm = true}, get(n, "when"), WANT_BOOL);
    name_id(c, REG_CHANNEL, get(n, "to"));
    name_id(c, REG_JOURNEY, get(n, "journey"));
    name_id(c, REG_SEGMENT, get(n, "segment"));
    if (!has(n, "when") && !has(n, "journey") && !has(n, "segment"))
        report_wrong(c->d, n, "for example {journey: NAME, no_entries: 6h, to: CHANNEL}",
                     "an alarm has 'when', 'journey' or 'segment'");
}

/* `from: Visit Started.utm_source` */
static void check_attribute(struct compile *c, struct node *n)
{
    struct node *from = get(n, "from");
    if (!from) return;
    uint32_t dot = from->text.n;
    while (dot && from->text.p[dot - 1] != '.') dot--;
    struct slice event = slice_of(from->text.p, dot ? dot - 1 : 0),
                 prop = slice_of(from->text.p + dot, from->text.n - dot);
    uint16_t id = schema_find(&c->set->schema, NAME_EVENT, event);
    if (id != ID_NONE && registry_find(c->registry, REG_PROPERTY, id, prop)) return;
    report_wrong(c->d, from, "declare the property under the event's `properties:`",
                 "'from' of an attribute is a declared event and property, such as Order Completed.total");
}

/* Properties that a block takes out of its events. */
static void check_property(struct compile *c, struct node *event, struct node *name)
{
    uint16_t id = event_id(c, event);
    if (id == ID_NONE || !name || registry_find(c->registry, REG_PROPERTY, id, name->text)) return;
    report_wrong(c->d, name, "declare it under the `properties:` of the event",
                 "'%.*s' has no property '%.*s'", SHOWN(event->text), SHOWN(name->text));
}

static void check_collection(struct compile *c, struct node *n)
{
    static const char *const words[] = {"put", "drop"};
    struct node *clear = get(n, "clear");
    for (uint32_t w = 0; w < 2; w++)
        for (uint32_t i = 0; i < item_count(get(n, words[w])); i++)
            check_property(c, item(get(n, words[w]), i), get(n, "key"));
    for (uint32_t i = 0; i < item_count(clear); i++) event_id(c, item(clear, i));
}

static void check_catalog(struct compile *c, struct node *n)
{
    struct node *from = get(n, "from");
    for (uint32_t i = 0; i < item_count(from); i++) check_property(c, item(from, i), get(n, "key"));
}

static void check_told(struct compile *c, struct node *n) { name_id(c, REG_CHANNEL, get(n, "to")); }

static void check_free_window(struct compile *c, struct node *n)
{
    event_id(c, get(get(n, "free_window"), "after"));
}

/* `each: {products: Product Bought, carry: [order_id]}`: names of properties, but for the new event's. */
static void check_each(struct compile *c, struct node *event)
{
    struct node *each = get(event, "each"), *props = get(event, "properties"), *carry = get(each, "carry");
    for (uint32_t i = 0; each && i < each->count + item_count(carry); i++) {
        struct node *name = i < each->count ? node_key(each, i) : item(carry, i - each->count);
        if (slice_is(name->text, "carry") || has(props, (const char *)name->text.p)) continue;
        report_wrong(c->d, name, "declare it under the event's `properties:`",
                     "'each' names a property, and there is no '%.*s'", SHOWN(name->text));
    }
}

static void check_visits(struct compile *c)
{
    struct node *of = get(get(c->root, "visits"), "of");
    for (uint32_t i = 0; i < item_count(of); i++) event_id(c, item(of, i));
}

static void check_rfm(struct compile *c)
{
    struct node *n = get(c->root, "rfm");
    expression(c, PLACE_NONE, get(n, "recency"), WANT_TIME);
    expression(c, PLACE_NONE, get(n, "frequency"), WANT_NUMBER);
    expression(c, PLACE_NONE, get(n, "monetary"), WANT_NUMBER);
}

/* ---- triggers ------------------------------------------------------------------------------------- */

/* The entry of a block that the text names; NULL after a message. */
static struct node *declared(struct compile *c, const char *block, struct node *name)
{
    struct node *all = get(c->root, block), *found = get(all, (const char *)name->text.p);
    if (found || has(all, (const char *)name->text.p)) return found;
    report_node(c->d, name, "unknown name '%.*s'", SHOWN(name->text));
    report_fix(c->d, "declare it under `%s:`", block);
    return NULL;
}

static void check_item(struct compile *c, struct node *name, struct node *changed)
{
    struct node *fields = get(declared(c, "collections", name), "fields");
    if (!fields || !changed || has(fields, (const char *)changed->text.p)) return;
    report_wrong(c->d, changed, "name one of its `fields:`", "'%.*s' has no field '%.*s'", SHOWN(name->text),
                 SHOWN(changed->text));
}

static void check_schedule(struct compile *c, struct node *n)
{
    static const char days[] = "day|weekday|workday|month|mon|tue|wed|thu|fri|sat|sun";
    struct node *every = get(n, "every"), *zone = get(n, "zone");
    if (every && !word_in(every->text, days, NULL))
        report_wrong(c->d, every, "day, workday, month, or a weekday such as tue", "'every' is not '%.*s'",
                     SHOWN(every->text));
    if (zone && !slice_is(zone->text, "profile") && !zone_load(c->zone_dir, zone->text))
        report_wrong(c->d, zone, "profile, or a name of the time zone database such as Europe/Moscow",
                     "unknown time zone '%.*s'", SHOWN(zone->text));
}

static void check_broadcast(struct compile *c, struct node *name)
{
    uint16_t id = event_id(c, name);
    if (id == ID_NONE || c->set->schema.events[id].broadcast) return;
    report_wrong(c->d, name, "declare it with `broadcast: true`, or use `event` for what a person does",
                 "'%.*s' is an event of one person", SHOWN(name->text));
}

void check_later_trigger(struct compile *c, struct journey_draft *j, struct node *n)
{
    struct place place = {.event = ID_NONE, .journey = j};
    if (get(n, "item")) check_item(c, get(n, "item"), get(n, "changed"));
    if (get(n, "catalog")) declared(c, "catalogs", get(n, "catalog"));
    if (get(n, "broadcast")) check_broadcast(c, get(n, "broadcast"));
    check_schedule(c, get(n, "schedule"));
    expression(c, place, get(n, "audience"), WANT_BOOL);
    expression(c, place, get(n, "where"), WANT_BOOL);
}

void read_later(struct compile *c)
{
    struct node *revenue = get(c->root, "revenue"), *minus = get(revenue, "minus");
    if (revenue) check_revenue(c, revenue);
    for (uint32_t i = 0; i < item_count(minus); i++) check_revenue(c, item(minus, i));
    check_visits(c);
    check_rfm(c);
    each_entry(c, "events", check_each);
    each_entry(c, "attributes", check_attribute);
    each_entry(c, "collections", check_collection);
    each_entry(c, "catalogs", check_catalog);
    each_entry(c, "channels", check_free_window);
    each_entry(c, "codes", check_told);
    each_entry(c, "reports", check_told);
    each_entry(c, "audiences", check_audience);
    each_entry(c, "caps", check_cap);
    each_entry(c, "costs", check_cost);
    each_entry(c, "cohorts", check_cohort);
    each_entry(c, "alarms", check_alarm);
}
