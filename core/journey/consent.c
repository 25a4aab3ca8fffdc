/* consent.c - what an event says about consent, and which send an outcome belongs to.
 * Both run before segments and journeys of the same record, so that these see the new state. */
#include "core/journey/run.h"

/* ---- channels by name --------------------------------------------------------------------------- */

static const struct channel *channel_named(const struct journey_set *set, struct slice name)
{
    for (uint32_t i = 0; i < set->channel_count; i++)
        if (set->channels[i].name.n && slice_eq(set->channels[i].name, name)) return &set->channels[i];
    return NULL;
}

static struct slice text_property(const struct walk *w, const char *name)
{
    struct value v = event_property(w->event, slice_str(name));
    return v.kind == V_STRING ? value_text(v) : (struct slice){0};
}

static void say(struct walk *w, uint16_t channel, struct slice topic, enum consent_state state, uint32_t at,
                struct slice source)
{
    struct consent c = {.channel = channel,
                        .state = (uint16_t)state,
                        .topic = consent_topic(topic),
                        .at = at,
                        .source = consent_topic(source)};
    if (consent_set(w->store, w->row, &c)) touch(w->touched, FEATURE_CONSENT, channel);
}

/* ---- traits.consent: {email: true} or {email: {state, source, at, topics: {promo: denied}}} ---------- */

static enum consent_state state_of(struct value v)
{
    static const struct {
        const char *text;
        enum consent_state state;
    } WORDS[] = {{"granted", CONSENT_GRANTED},
                 {"confirmed", CONSENT_CONFIRMED},
                 {"denied", CONSENT_DENIED},
                 {"withdrawn", CONSENT_DENIED}};
    if (v.kind == V_BOOL) return v.b ? CONSENT_GRANTED : CONSENT_DENIED;
    for (uint32_t i = 0; v.kind == V_STRING && i < sizeof WORDS / sizeof WORDS[0]; i++)
        if (slice_is(value_text(v), WORDS[i].text)) return WORDS[i].state;
    return CONSENT_UNKNOWN;
}

struct statement {
    enum consent_state state;
    uint32_t at;
    struct slice source, topics;
};

/* Never later than now: nobody consents ahead, and the newest statement wins. */
static uint32_t stated_at(const struct walk *w, struct value v)
{
    struct value t;
    if (!value_fit(v, T_TIME, false, &t) || t.i <= 0 || t.i > w->now)
        return w->event_at < w->now ? w->event_at : w->now;
    return (uint32_t)t.i;
}

static struct statement read_statement(const struct walk *w, struct mp *m)
{
    struct statement s = {.at = w->event_at < w->now ? w->event_at : w->now};
    if (mp_peek(m) != MP_MAP) {
        s.state = state_of(value_read(m));
        return s;
    }
    for (uint32_t left = mp_map(m); left > 0 && m->err == MP_OK; left--) {
        struct slice key = mp_str(m);
        if (slice_is(key, "topics") && mp_peek(m) == MP_MAP) {
            s.topics = mp_item(m);
            continue;
        }
        struct value v = value_read(m);
        if (slice_is(key, "state"))
            s.state = state_of(v);
        else if (slice_is(key, "at"))
            s.at = stated_at(w, v);
        else if (slice_is(key, "source") && v.kind == V_STRING)
            s.source = value_text(v);
    }
    return s;
}

static void say_statement(struct walk *w, uint16_t channel, const struct statement *s)
{
    if (s->state != CONSENT_UNKNOWN) say(w, channel, (struct slice){0}, s->state, s->at, s->source);
    struct mp m = mp_of(s->topics);
    for (uint32_t left = s->topics.n ? mp_map(&m) : 0; left > 0 && m.err == MP_OK; left--) {
        struct slice topic = mp_str(&m);
        enum consent_state state = state_of(value_read(&m));
        if (state != CONSENT_UNKNOWN && topic.n) say(w, channel, topic, state, s->at, s->source);
    }
}

static void traits_consent(struct walk *w)
{
    struct mp m = mp_of(value_text(w->event->consent));
    if (mp_peek(&m) != MP_MAP) return;
    for (uint32_t left = mp_map(&m); left > 0 && m.err == MP_OK; left--) {
        const struct channel *c = channel_named(w->set, mp_str(&m));
        struct statement s = read_statement(w, &m);
        if (c && m.err == MP_OK) say_statement(w, c->id, &s);
    }
}

/* ---- sends by action id ------------------------------------------------------------------------------ */

static bool parse_hex(struct slice s, struct key *out)
{
    uint64_t half[2] = {0, 0};
    if (s.n != 32) return false;
    for (uint32_t i = 0; i < 32; i++) {
        uint8_t c = s.p[i], digit;
        if (c >= '0' && c <= '9')
            digit = (uint8_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (uint8_t)(c - 'a' + 10);
        else
            return false;
        half[i / 16] = half[i / 16] << 4 | digit;
    }
    *out = (struct key){half[0], half[1]};
    return true;
}

static struct send *send_of_event(const struct walk *w)
{
    struct key id;
    uint32_t n;
    if (!parse_hex(text_property(w, "action_id"), &id)) return NULL;
    struct send *list = sends_list(w->store, w->row, &n);
    for (uint32_t i = n; i-- > 0;)
        if (key_eq(list[i].action_id, id)) return &list[i];
    return NULL;
}

static uint16_t outcome_bit(uint16_t type)
{
    switch (type) {
    case TYPE_DELIVERED: return MESSAGE_DELIVERED;
    case TYPE_SHOWN: return MESSAGE_DELIVERED;
    case TYPE_OPENED: return MESSAGE_OPENED;
    case TYPE_CLICKED: return MESSAGE_CLICKED;
    case TYPE_REPLIED: return MESSAGE_REPLIED;
    case TYPE_BOUNCED: return MESSAGE_BOUNCED;
    case TYPE_FAILED: return MESSAGE_FAILED;
    case TYPE_COMPLAINED: return MESSAGE_COMPLAINED;
    default: return 0;
    }
}

bool event_reports(const struct event *e)
{
    return e->type < TYPE_DECLARED_BASE || e->consent.kind == V_RAW || slice_is(e->name, "Push Disabled");
}

void outcome_record(struct walk *w)
{
    uint16_t bit = w->event ? outcome_bit(w->event->type) : 0;
    struct send *send = bit ? send_of_event(w) : NULL;
    if (!send || (send->state & bit)) return;
    store_touch(w->store, w->row);
    send->state |= bit;
    touch(w->touched, FEATURE_SENDS, send->step);
}

/* ---- withdrawals and blocks ------------------------------------------------------------------------------ */

/* The channel an outcome or a withdrawal speaks of: named, else that of its send, else e-mail. */
static const struct channel *channel_of_event(const struct walk *w)
{
    const struct channel *c = channel_named(w->set, text_property(w, "channel"));
    if (c) return c;
    const struct send *send = send_of_event(w);
    c = send ? channel_of(w->set, send->channel) : NULL;
    return c ? c : channel_named(w->set, SLICE("email"));
}

static uint32_t times_in_window(const struct walk *w, const struct block_rule *rule, struct slice channel)
{
    struct history_view h;
    if (!behaviour_view(w->store, w->row, rule->type, &h)) return 0;
    uint16_t prop = h.type ? schema_prop_find(h.type, SLICE("channel")) : ID_NONE;
    uint32_t n = 0;
    for (uint32_t i = 0; i < h.n; i++) {
        if ((uint64_t)history_time(&h, i) + rule->window_s <= w->now) continue;
        const uint64_t *cell = prop == ID_NONE ? &CELL_ABSENT : history_cell_at(&h, i, prop);
        struct value named = cell_value(cell, T_STRING, h.heap);
        n += named.kind != V_STRING || slice_eq(value_text(named), channel);
    }
    return n;
}

static void apply_blocks(struct walk *w, const struct channel *c)
{
    for (uint32_t i = 0; i < w->set->block_count; i++) {
        const struct block_rule *rule = &w->set->blocks[i];
        if (rule->type != w->event->type) continue;
        uint32_t next = w->context->next_change;
        bool applies = !rule->where || program_true(rule->where, w->context);
        w->context->next_change = next;
        if (applies && (rule->times <= 1 || times_in_window(w, rule, c->name) >= rule->times))
            say(w, c->id, (struct slice){0}, CONSENT_BLOCKED, w->now, w->event->name);
    }
}

/* A browser or phone takes its permission back without naming one of our channels. */
static void push_disabled(struct walk *w)
{
    for (uint32_t i = 0; i < w->set->channel_count; i++) {
        struct slice name = w->set->channels[i].name;
        if (name.n && memmem(name.p, name.n, "push", 4))
            say(w, w->set->channels[i].id, (struct slice){0}, CONSENT_DENIED, w->now, w->event->name);
    }
}

/* reachable() reads the address, which the expression itself does not name. */
void touch_addresses(struct walk *w, uint16_t attribute)
{
    for (uint32_t i = 0; i < w->set->channel_count; i++) {
        const struct channel *c = &w->set->channels[i];
        uint32_t n = 0;
        const struct expr_dependency *d =
            c->name.n && c->address ? program_dependencies(c->address, &n) : NULL;
        for (uint32_t k = 0; k < n; k++)
            if (d[k].feature == FEATURE_ATTRIBUTE && d[k].id == attribute)
                touch(w->touched, FEATURE_CONSENT, c->id);
    }
}

void consent_record(struct walk *w)
{
    const struct event *e = w->event;
    for (uint32_t i = 0, n = w->touched->count; i < n; i++)
        if (w->touched->list[i].feature == FEATURE_ATTRIBUTE) touch_addresses(w, w->touched->list[i].id);
    if (!e) return;
    if (e->consent.kind == V_RAW) traits_consent(w);
    if (slice_is(e->name, "Push Disabled") && !text_property(w, "channel").n) return push_disabled(w);
    bool withdrawn =
        e->type == TYPE_UNSUBSCRIBED || e->type == TYPE_COMPLAINED || slice_is(e->name, "Push Disabled");
    if (!withdrawn && (w->set->block_count == 0 || outcome_bit(e->type) == 0)) return;
    const struct channel *c = channel_of_event(w);
    if (!c) return;
    if (withdrawn) say(w, c->id, text_property(w, "topic"), CONSENT_DENIED, w->now, e->name);
    apply_blocks(w, c);
}
