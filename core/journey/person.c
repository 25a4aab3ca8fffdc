/* person.c - a person as the source of an expression: every name it may use, read from the store. */
#include "core/journey/run.h"

static struct value get_attribute(void *self, uint16_t id)
{
    const struct person *p = self;
    return attribute_get(p->store, p->row, id);
}

static struct value attribute_or_none(const struct person *p, uint16_t id)
{
    return id == ID_NONE ? value_none() : attribute_get(p->store, p->row, id);
}

static struct value text_or_none(struct slice s) { return s.n ? value_string(s) : value_none(); }

static struct value get_profile(void *self, enum profile_field field)
{
    const struct person *p = self;
    const struct row *row = store_row(p->store, p->row);
    switch (field) {
    case PROFILE_USER_ID: return text_or_none(ids_user(p->store, p->row));
    case PROFILE_KNOWN: return value_bool(row->flags & ROW_KNOWN);
    case PROFILE_FIRST_SEEN: return value_time(row->first_seen);
    case PROFILE_LAST_SEEN: return value_time(row->last_seen);
    case PROFILE_LANGUAGE: return attribute_or_none(p, p->set->attribute_language);
    case PROFILE_TIMEZONE: return attribute_or_none(p, p->set->attribute_timezone);
    }
    return value_none();
}

/* ---- history ---------------------------------------------------------------------------------- */

/* Ascending a and b into out. */
static void merge_times(const uint32_t *a, uint32_t an, const struct history_view *b, uint32_t *out)
{
    uint32_t i = 0, j = 0;
    while (i < an || j < b->n)
        if (j == b->n || (i < an && a[i] <= history_time(b, j)))
            *out++ = a[i++];
        else
            *out++ = history_time(b, j++);
}

static uint32_t ring_size(uint32_t n)
{
    uint32_t size = 1;
    while (size < n) size *= 2;
    return size;
}

enum { TYPES_MAX = 1024 };

/* All types as one: lifetime numbers and the kept times in order. */
static bool all_history(const struct person *p, struct history_view *out)
{
    uint16_t types[TYPES_MAX];
    uint32_t n = behaviour_types(p->store, p->row, types, TYPES_MAX), kept = 0;
    struct history_view v;
    *out = (struct history_view){.first = UINT32_MAX};
    for (uint32_t i = 0; i < n; i++)
        if (behaviour_view(p->store, p->row, types[i], &v)) kept += v.n;
    uint32_t *times = arena_alloc(p->scratch, ring_size(kept) * sizeof *times),
             *spare = arena_alloc(p->scratch, (kept + 1) * sizeof *spare);
    if (!times || !spare) return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!behaviour_view(p->store, p->row, types[i], &v)) continue;
        out->count += v.count;
        if (v.first < out->first) out->first = v.first;
        if (v.last > out->last) out->last = v.last;
        memcpy(spare, times, out->n * sizeof *times);
        merge_times(spare, out->n, &v, times);
        out->n += v.n;
    }
    out->times = times;
    out->mask = ring_size(kept) - 1;
    return out->count > 0;
}

static bool get_history(void *self, uint16_t type, struct history_view *out)
{
    const struct person *p = self;
    return type == ID_NONE ? all_history(p, out) : behaviour_view(p->store, p->row, type, out);
}

static struct lifetime get_lifetime(void *self, uint16_t type)
{
    const struct person *p = self;
    return behaviour_lifetime(p->store, p->row, type);
}

/* ---- the event at hand, the trigger, awaited events --------------------------------------------- */

static bool kept_scope(const struct person *p, uint16_t scope, struct kept_event *out)
{
    if (!p->instance) return false;
    if (scope == 1) return kept_find(p->kept, SLICE("trigger"), out);
    const struct journey *j = p->journey;
    return j && scope - 2u < j->as_count && kept_find(p->kept, j->as_names[scope - 2], out);
}

/* Before there is an instance the event at hand is its trigger. */
static const struct event *event_of(const struct person *p, uint16_t scope)
{
    return scope == 0 || (scope == 1 && !p->instance) ? p->event : NULL;
}

static struct value get_property(void *self, uint16_t scope, struct slice name, uint16_t index)
{
    const struct person *p = self;
    const struct event *e = event_of(p, scope);
    struct kept_event kept;
    if (!e) return kept_scope(p, scope, &kept) ? kept_property(&kept, p->schema, index) : value_none();
    const struct schema_event *type = schema_event(p->schema, e->type);
    if (e->props && type && index < type->prop_count) return e->props[index];
    return event_property(e, name);
}

static struct value get_context(void *self, uint16_t scope, struct slice path)
{
    const struct event *e = event_of(self, scope);
    return e ? event_context(e, path) : value_none();
}

static uint32_t get_event_time(void *self, uint16_t scope)
{
    const struct person *p = self;
    struct kept_event kept;
    if (event_of(p, scope)) return p->event_at;
    return kept_scope(p, scope, &kept) ? kept.at : 0;
}

/* ---- membership, consent, journeys ---------------------------------------------------------------- */

static bool get_segment(void *self, uint16_t id, uint32_t *entered, uint32_t *left)
{
    const struct person *p = self;
    uint32_t in = 0, out = 0;
    if (entered || left) member_times(p->store, p->row, id, &in, &out);
    if (entered) *entered = in;
    if (left) *left = out;
    return member_get(p->store, p->row, id);
}

static bool get_in_list(void *self, uint16_t id)
{
    const struct person *p = self;
    return list_has(p->store, p->row, id);
}

static bool get_consent(void *self, uint16_t channel, struct slice topic)
{
    const struct person *p = self;
    const struct channel *c = channel_of(p->set, channel);
    return c && consent_allows(p->store, p->row, c, topic) == DECISION_NONE;
}

static bool get_reachable(void *self, uint16_t channel)
{
    struct person *p = self;
    const struct channel *c = channel_of(p->set, channel);
    if (!c || consent_allows(p->store, p->row, c, (struct slice){0}) != DECISION_NONE) return false;
    if (!c->address) return true;
    struct expr_context inner = {.source = &person_source,
                                 .self = p,
                                 .now = p->now,
                                 .zone = p->set->zone,
                                 .week = &p->set->week,
                                 .scratch = p->scratch,
                                 .next_change = UINT32_MAX};
    struct value v = program_run(c->address, &inner);
    return !address_empty(v);
}

static bool get_in_journey(void *self, uint16_t id)
{
    const struct person *p = self;
    uint32_t n = p->run ? p->run->count : 0;
    for (uint32_t i = 0; i < n; i++)
        if (!p->run->seats[i].gone && p->run->seats[i].head.journey == id &&
            p->run->seats[i].head.state == INSTANCE_ACTIVE)
            return true;
    return !p->run && is_inside(p->store, p->row, id);
}

/* Whoever clicked has opened, whoever opened has received. */
static bool state_reached(uint16_t state, enum send_state what)
{
    if (state & MESSAGE_SUPPRESSED) return false;
    switch (what) {
    case SEND_SENT: return true;
    case SEND_DELIVERED:
        return state & (MESSAGE_DELIVERED | MESSAGE_OPENED | MESSAGE_CLICKED | MESSAGE_REPLIED);
    case SEND_OPENED: return state & (MESSAGE_OPENED | MESSAGE_CLICKED | MESSAGE_REPLIED);
    case SEND_CLICKED: return state & MESSAGE_CLICKED;
    case SEND_REPLIED: return state & MESSAGE_REPLIED;
    }
    return false;
}

static bool get_send_state(void *self, uint16_t step, enum send_state what)
{
    const struct person *p = self;
    uint32_t n;
    const struct send *list = p->instance ? sends_list(p->store, p->row, &n) : (n = 0, NULL);
    for (uint32_t i = 0; i < n; i++)
        if (list[i].step == step && key_eq(list[i].instance, p->instance->id) &&
            state_reached(list[i].state, what))
            return true;
    return false;
}

const struct expr_source person_source = {
    .attribute = get_attribute,
    .profile = get_profile,
    .history = get_history,
    .lifetime = get_lifetime,
    .property = get_property,
    .context = get_context,
    .event_time = get_event_time,
    .segment = get_segment,
    .in_list = get_in_list,
    .consent = get_consent,
    .reachable = get_reachable,
    .in_journey = get_in_journey,
    .send_state = get_send_state,
};

const struct zone *person_zone(const struct person *p)
{
    struct value name = attribute_or_none(p, p->set->attribute_timezone);
    const struct zone *zone = name.kind == V_STRING && name.n ? zone_load(NULL, value_text(name)) : NULL;
    if (zone) return zone;
    return p->set->zone ? p->set->zone : zone_utc();
}
