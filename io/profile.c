/* profile.c - profile.get: one person as an operator sees them. Reads only; runs on the person's worker. */
#include "io/lookup.h"
#include "core/journey/parts.h"

enum { RECENT_SHOWN = 20, TYPES_MAX = 256 };

struct view {
    pk_t *pk;
    struct store *store;
    row_t row;
    const struct defset *set;
};

static const struct journey *journey_of(const struct view *v, uint16_t id, uint16_t version)
{
    const struct journey *j = journey_version(&v->set->journeys, id, version);
    if (!j && id < v->set->journeys.journey_count) j = v->set->journeys.journeys[id];
    return j;
}

static struct slice journey_name(const struct view *v, uint16_t id, uint16_t version)
{
    const struct journey *j = journey_of(v, id, version);
    return j ? j->name : defset_journey_name(v->set, id);
}

static struct slice step_name(const struct view *v, uint16_t journey, uint16_t version, uint16_t step)
{
    const struct journey *j = journey_version(&v->set->journeys, journey, version);
    return j && step < j->step_count ? j->steps[step].id : (struct slice){0};
}

static struct slice channel_name(const struct view *v, uint16_t channel)
{
    return channel < v->set->journeys.channel_count ? v->set->journeys.channels[channel].name
                                                    : (struct slice){0};
}

/* ---- parts ---------------------------------------------------------------------------------------------- */

static void pack_attributes(struct view *v)
{
    pk_text(v->pk, "attributes");
    size_t at = pk_open(v->pk, PK_MAP);
    uint32_t n = 0;
    for (uint32_t i = 0; i < v->set->schema.attribute_count; i++) {
        const struct schema_attribute *a = &v->set->schema.attributes[i];
        struct value value = a->live ? attribute_get(v->store, v->row, (uint16_t)i) : value_none();
        if (value.kind == V_NONE || value.kind == V_NULL) continue;
        pk_slice(v->pk, a->name);
        value_write(value, v->pk->data);
        n++;
    }
    pk_close(v->pk, at, n);
}

static struct slice type_name(const struct view *v, const struct shard *s, uint16_t type)
{
    const struct schema_event *e = schema_event(&v->set->schema, type);
    if (e) return e->name;
    static _Thread_local struct slice names[UNDECLARED_NAMES_MAX + 1];
    static _Thread_local uint64_t counts[UNDECLARED_NAMES_MAX + 1];
    uint32_t n =
        type >= TYPE_UNDECLARED_BASE ? shard_undeclared(s, names, counts, UNDECLARED_NAMES_MAX + 1) : 0;
    uint32_t i = type - TYPE_UNDECLARED_BASE;
    return i < n ? names[i] : SLICE("(other)");
}

static void pack_events(struct view *v, const struct shard *s)
{
    uint16_t types[TYPES_MAX];
    uint32_t n = behaviour_types(v->store, v->row, types, TYPES_MAX);
    pk_text(v->pk, "events");
    size_t at = pk_open(v->pk, PK_MAP);
    uint32_t shown = 0;
    for (uint32_t i = 0; i < n && i < TYPES_MAX; i++) {
        struct history_view h;
        if (!behaviour_view(v->store, v->row, types[i], &h)) continue;
        pk_slice(v->pk, type_name(v, s, types[i]));
        pk_map(v->pk, 3);
        pk_key_uint(v->pk, "count", h.count);
        pk_key_uint(v->pk, "first", h.first);
        pk_key_uint(v->pk, "last", h.last);
        shown++;
    }
    pk_close(v->pk, at, shown);
}

static void pack_segments(struct view *v)
{
    pk_text(v->pk, "segments");
    size_t at = pk_open(v->pk, PK_LIST);
    uint32_t n = 0;
    for (uint32_t i = 0; i < v->set->segments.count; i++) {
        const struct segment *s = &v->set->segments.list[i];
        uint32_t entered = 0, left = 0;
        if (!s->live || !member_get(v->store, v->row, (uint16_t)i)) continue;
        member_times(v->store, v->row, (uint16_t)i, &entered, &left);
        pk_map(v->pk, 2);
        pk_text(v->pk, "name");
        pk_slice(v->pk, s->name);
        pk_text(v->pk, "since");
        pk_second(v->pk, entered);
        n++;
    }
    pk_close(v->pk, at, n);
}

/* Calls f for every journey instance. */
static void each_instance(struct view *v, void (*f)(struct view *v, const struct instance *i, uint32_t *n),
                          uint32_t *n)
{
    for (const struct instance *i = NULL; (i = instance_after(v->store, v->row, i));) f(v, i, n);
}

static void pack_instance(struct view *v, const struct instance *i, uint32_t *n)
{
    if (i->state != INSTANCE_ACTIVE) return;
    pk_map(v->pk, 6);
    pk_text(v->pk, "name");
    pk_text_or_nil(v->pk, journey_name(v, i->journey, i->version));
    pk_key_uint(v->pk, "version", i->version);
    pk_text(v->pk, "instance");
    pk_hex(v->pk, i->id);
    pk_text(v->pk, "step");
    pk_text_or_nil(v->pk, step_name(v, i->journey, i->version, i->step));
    pk_key_uint(v->pk, "entered_at", i->entered_at);
    pk_text(v->pk, "due");
    pk_second(v->pk, i->due);
    (*n)++;
}

static void pack_holdout(struct view *v, const struct instance *i, uint32_t *n)
{
    if (i->state != INSTANCE_HELD_OUT) return;
    pk_text_or_nil(v->pk, journey_name(v, i->journey, i->version));
    (*n)++;
}

/* A send that waits for its time: its instance stands on a send step with attempts behind it and something due. */
static void pack_deferred(struct view *v, const struct instance *i, uint32_t *n)
{
    const struct journey *j = journey_version(&v->set->journeys, i->journey, i->version);
    if (i->state != INSTANCE_ACTIVE || !j || i->step >= j->step_count ||
        j->steps[i->step].kind != STEP_SEND || i->due == UINT32_MAX)
        return;
    pk_map(v->pk, 3);
    pk_text(v->pk, "journey");
    pk_slice(v->pk, j->name);
    pk_text(v->pk, "step");
    pk_slice(v->pk, j->steps[i->step].id);
    pk_text(v->pk, "until");
    pk_second(v->pk, i->due);
    (*n)++;
}

static void pack_instances(struct view *v, const char *key,
                           void (*f)(struct view *v, const struct instance *i, uint32_t *n))
{
    uint32_t n = 0;
    pk_text(v->pk, key);
    size_t at = pk_open(v->pk, PK_LIST);
    each_instance(v, f, &n);
    pk_close(v->pk, at, n);
}

static void pack_consent(struct view *v)
{
    static const char *const states[] = {"unknown", "denied", "granted", "confirmed", "blocked"};
    uint32_t bytes;
    const struct consent *list = (const void *)store_block(v->store, v->row, BLOCK_CONSENT, &bytes);
    pk_text(v->pk, "consent");
    pk_list(v->pk, bytes / (uint32_t)sizeof *list);
    for (uint32_t i = 0; i < bytes / sizeof *list; i++) {
        pk_map(v->pk, 4);
        pk_text(v->pk, "channel");
        pk_text_or_nil(v->pk, channel_name(v, list[i].channel));
        pk_text(v->pk, "state");
        pk_text(v->pk, list[i].state < 5 ? states[list[i].state] : "unknown");
        pk_key_uint(v->pk, "at", list[i].at);
        pk_key_uint(v->pk, "topic", list[i].topic); /* hash of its name; 0: the channel itself */
    }
}

static void pack_lists(struct view *v)
{
    pk_text(v->pk, "lists");
    size_t at = pk_open(v->pk, PK_LIST);
    uint32_t n = 0;
    for (uint32_t i = 0; i < v->set->journeys.list_count; i++) {
        if (!list_has(v->store, v->row, (uint16_t)i)) continue;
        pk_slice(v->pk, v->set->journeys.lists[i]);
        n++;
    }
    pk_close(v->pk, at, n);
}

/* The last that was heard of it; of one of which nothing was, whether it left the outbox of this shard. (What somebody
 * had pending in another shard before a merge stays in that one's outbox.) */
static const char *send_state_text(const struct send *m, const struct outbox *outbox)
{
    struct action pending;
    static const struct {
        uint16_t bit;
        const char *text;
    } order[] = {{MESSAGE_SUPPRESSED, "suppressed"}, {MESSAGE_COMPLAINED, "complained"},
                 {MESSAGE_BOUNCED, "bounced"},       {MESSAGE_FAILED, "failed"},
                 {MESSAGE_REPLIED, "replied"},       {MESSAGE_CLICKED, "clicked"},
                 {MESSAGE_OPENED, "opened"},         {MESSAGE_DELIVERED, "delivered"}};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        if (m->state & order[i].bit) return order[i].text;
    return outbox_get(outbox, m->action_id, &pending) ? "created" : "sent";
}

static void pack_messages(struct view *v, const struct outbox *outbox)
{
    uint32_t count;
    const struct send *list = sends_list(v->store, v->row, &count);
    pk_text(v->pk, "messages");
    pk_list(v->pk, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct send *s = &list[i];
        pk_map(v->pk, 7);
        pk_text(v->pk, "action_id");
        pk_hex(v->pk, s->action_id);
        pk_key_uint(v->pk, "at", s->at);
        pk_text(v->pk, "journey");
        pk_text_or_nil(v->pk, journey_name(v, s->journey, s->version));
        pk_text(v->pk, "step");
        pk_text_or_nil(v->pk, step_name(v, s->journey, s->version, s->step));
        pk_text(v->pk, "channel");
        pk_text_or_nil(v->pk, channel_name(v, s->channel));
        pk_text(v->pk, "state");
        pk_text(v->pk, send_state_text(s, outbox));
        pk_text(v->pk, "suppressed_reason");
        s->state &MESSAGE_SUPPRESSED ? pk_text(v->pk, decision_name((enum decision)s->reason))
                                     : pk_nil(v->pk);
    }
}

/* ---- recent events ------------------------------------------------------------------------------------------- */

struct recent {
    uint32_t at, entry;
    uint16_t type;
};

/* The newest RECENT_SHOWN of all types, newest first: each type's view is sorted by time already. */
static uint32_t find_recent(struct view *v, struct recent out[RECENT_SHOWN])
{
    uint16_t types[TYPES_MAX];
    uint32_t n = behaviour_types(v->store, v->row, types, TYPES_MAX), count = 0;
    for (uint32_t i = 0; i < n && i < TYPES_MAX; i++) {
        struct history_view h;
        if (!behaviour_view(v->store, v->row, types[i], &h)) continue;
        for (uint32_t k = h.n; k-- > 0;) {
            uint32_t at = history_time(&h, k), place = count < RECENT_SHOWN ? count : RECENT_SHOWN;
            while (place && out[place - 1].at < at) place--;
            if (place == RECENT_SHOWN) break;
            uint32_t tail = (count < RECENT_SHOWN ? count : RECENT_SHOWN - 1) - place;
            memmove(&out[place + 1], &out[place], tail * sizeof *out);
            out[place] = (struct recent){at, k, types[i]};
            count += count < RECENT_SHOWN;
        }
    }
    return count;
}

static void pack_properties(struct view *v, const struct recent *r)
{
    struct history_view h;
    pk_text(v->pk, "properties");
    size_t at = pk_open(v->pk, PK_MAP);
    uint32_t n = 0;
    if (behaviour_view(v->store, v->row, r->type, &h) && h.type && h.cells)
        for (uint32_t i = 0; i < h.type->prop_count; i++) {
            struct value value = cell_value(history_cell_at(&h, r->entry, i), h.type->props[i].type, h.heap);
            if (value.kind == V_NONE) continue;
            pk_slice(v->pk, h.type->props[i].name);
            value_write(value, v->pk->data);
            n++;
        }
    pk_close(v->pk, at, n);
}

static void pack_recent(struct view *v, const struct shard *s)
{
    struct recent list[RECENT_SHOWN];
    uint32_t n = find_recent(v, list);
    pk_text(v->pk, "recent");
    pk_list(v->pk, n);
    for (uint32_t i = 0; i < n; i++) {
        pk_map(v->pk, 3);
        pk_text(v->pk, "event");
        pk_slice(v->pk, type_name(v, s, list[i].type));
        pk_key_uint(v->pk, "at", list[i].at);
        pack_properties(v, &list[i]);
    }
}

/* ---- the method ------------------------------------------------------------------------------------------------- */

static enum call_state pack_profile(struct request *r, const struct person_at *p)
{
    struct view v = {&r->pack, shard_store(p->shard), p->row, shard_definitions(p->shard)};
    const struct row *row = store_row(v.store, p->row);
    pk_map(&r->pack, 20);
    pack_ids(&r->pack, v.store, p->row);
    pack_attributes(&v);
    pack_events(&v, p->shard);
    pack_segments(&v);
    pack_instances(&v, "journeys", pack_instance);
    pack_instances(&v, "holdouts", pack_holdout);
    pack_instances(&v, "deferred", pack_deferred);
    pack_consent(&v);
    pack_lists(&v);
    pack_messages(&v, shard_outbox(p->shard));
    pack_recent(&v, p->shard);
    pk_text(v.pk, "collections");
    pk_map(v.pk, 0);
    pk_text(v.pk, "rfm");
    pk_nil(v.pk);
    pk_text(v.pk, "next_wake");
    pk_second(v.pk, row->next_wake);
    pk_key_uint(v.pk, "first_seen", row->first_seen);
    pk_key_uint(v.pk, "last_seen", row->last_seen);
    pk_text(v.pk, "merged_from");
    pk_list(v.pk, 0);
    pk_text(v.pk, "merging");
    pk_bool(v.pk, row->flags & ROW_MERGING);
    pk_text(v.pk, "key");
    pk_hex(v.pk, row->key);
    return CALL_HELD; /* what is shown is durable */
}

void method_profile_get(struct request *r)
{
    struct slice id;
    if (param_text(r, 0, "id", &id))
        lookup_person(r, id, pack_profile);
    else
        request_bad(r, "id is a text");
}
