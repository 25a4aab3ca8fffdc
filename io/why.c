/* why.c - profile.why: for each journey, what was decided last, and what would be decided now: whether it takes anybody,
 * its triggers, only_if part by part, re-entry, holdout, where the person waits and until when, and what holds back each
 * channel. */
#include "core/define/yaml.h"
#include "core/journey/parts.h"
#include "io/introspect.h"

struct why {
    pk_t *pk;
    struct looking l;
    uint16_t id;
    const struct journey *j;             /* NULL: removed */
    const struct journey_memory *memory; /* NULL: never decided */
    struct instance inside, finished;    /* state 0: none; inside is active, else held out */
    int where; /* of the trigger that comes nearest: 1 passes, 0 whatever the event, -1 the event decides */
};

static void pack_key_text(pk_t *pk, const char *key, const char *text)
{
    pk_text(pk, key);
    pk_text(pk, text);
}

static void find_instances(struct why *w)
{
    w->inside = w->finished = (struct instance){0};
    for (const struct instance *i = NULL; (i = instance_after(w->l.person.store, w->l.person.row, i));) {
        if (i->journey != w->id) continue;
        if (i->state == INSTANCE_FINISHED)
            w->finished = *i;
        else if (!w->inside.state || i->state == INSTANCE_ACTIVE)
            w->inside = *i;
    }
}

/* ---- what was decided ------------------------------------------------------------------------------------ */

/* The version whose steps the last decision counted: that of the message it was about, else of the instance. */
static const struct journey *decided_in(const struct why *w)
{
    uint32_t n;
    const struct send *list = sends_list(w->l.person.store, w->l.person.row, &n);
    const struct instance *i = w->inside.state ? &w->inside : &w->finished;
    while (n-- > 0)
        if (list[n].journey == w->id && list[n].at == w->memory->decided_at)
            return journey_version(w->l.person.set, w->id, list[n].version);
    return i->state ? journey_version(w->l.person.set, w->id, i->version) : w->j;
}

/* What the number beside a decision means. */
static void pack_detail(struct why *w)
{
    const struct journey_memory *m = w->memory;
    uint16_t reason = m ? m->reason : DECISION_NONE;
    bool until = reason == DECISION_CAP || reason == DECISION_QUIET || reason == DECISION_OUTBOX_FULL ||
                 reason == DECISION_DEFERRED || reason == DECISION_MUTED || reason == DECISION_PAUSED;
    bool step = reason == DECISION_SENT || reason == DECISION_NO_CONSENT || reason == DECISION_NO_ADDRESS ||
                reason == DECISION_BLOCKED || reason == DECISION_EXPIRED || reason == DECISION_ONCE;
    const struct journey *j = step ? decided_in(w) : NULL;
    pk_text(w->pk, "until");
    pk_second(w->pk, until ? m->detail : 0);
    pk_text(w->pk, "step");
    if (j && m->detail < j->step_count)
        pk_slice(w->pk, j->steps[m->detail].id);
    else
        pk_nil(w->pk);
    pk_key_uint(w->pk, "detail", m ? m->detail : 0);
}

static void pack_memory(struct why *w)
{
    const struct journey_memory *m = w->memory;
    enum decision d = m ? (enum decision)m->reason : DECISION_NONE;
    pack_key_text(w->pk, "decision", decision_name(d));
    pack_key_text(w->pk, "text", d == DECISION_NONE ? "nothing was ever decided" : decision_text(d));
    pk_text(w->pk, "at");
    pk_second(w->pk, m ? m->decided_at : 0);
    pk_key_uint(w->pk, "entries", m ? m->entries : 0);
    pk_text(w->pk, "last_entry");
    pk_second(w->pk, m ? m->last_entry : 0);
    pk_text(w->pk, "last_end");
    pk_second(w->pk, m ? m->last_end : 0);
    pack_detail(w);
}

/* ---- what would be decided now ------------------------------------------------------------------------------ */

/* The second from which re-entry is allowed; 0: now, UINT32_MAX: never. Keyed ones depend on the event's key. */
static uint32_t reentry_from(const struct why *w)
{
    const struct journey *j = w->j;
    if (!w->memory || !w->memory->entries || j->reentry == REENTRY_ALWAYS || j->reentry == REENTRY_KEYED)
        return 0;
    if (j->reentry == REENTRY_ONCE) return UINT32_MAX;
    uint64_t from = (uint64_t)w->memory->last_entry + j->reentry_after_s;
    return from <= w->l.person.now ? 0 : from > UINT32_MAX ? UINT32_MAX : (uint32_t)from;
}

static void pack_reentry(struct why *w)
{
    static const char *const KINDS[] = {"once", "always", "after", "keyed"};
    uint32_t from = reentry_from(w);
    pk_text(w->pk, "reentry");
    pk_map(w->pk, 3);
    pack_key_text(w->pk, "kind", KINDS[w->j->reentry]);
    pk_text(w->pk, "allowed");
    pk_bool(w->pk, from == 0);
    pk_text(w->pk, "from");
    pk_second(w->pk, from);
}

static void pack_inside(struct why *w)
{
    static const char *const WORDS[] = {
#define X(name, word) word,
        STEP_KINDS(X)
#undef X
    };
    const struct instance *i = &w->inside;
    const struct journey *j = journey_version(w->l.person.set, i->journey, i->version);
    pk_text(w->pk, "inside");
    if (!i->state) {
        pk_nil(w->pk);
        return;
    }
    bool here = j && i->step < j->step_count;
    pk_map(w->pk, 8);
    pack_key_text(w->pk, "state", i->state == INSTANCE_HELD_OUT ? "held_out" : "active");
    pk_key_uint(w->pk, "version", i->version);
    pk_text(w->pk, "step");
    here ? pk_slice(w->pk, j->steps[i->step].id) : pk_nil(w->pk);
    pk_text(w->pk, "does");
    here && j->steps[i->step].kind < STEP_KIND_COUNT ? pk_text(w->pk, WORDS[j->steps[i->step].kind])
                                                     : pk_nil(w->pk);
    pk_key_uint(w->pk, "entered_at", i->entered_at);
    pk_key_uint(w->pk, "since", i->step_at);
    pk_text(w->pk, "until");
    pk_second(w->pk, i->due);
    pk_text(w->pk, "ends");
    pk_second(w->pk, i->deadline);
}

/* One that is over is kept as long as its goal may still be reached, and to keep its key closed. */
static void pack_finished(struct why *w)
{
    const struct instance *i = &w->finished;
    const struct journey *j = journey_version(w->l.person.set, i->journey, i->version);
    uint64_t within = j && j->has_goal && !i->converted_at ? (uint64_t)i->entered_at + j->goal_within_s : 0;
    pk_text(w->pk, "finished");
    if (!i->state) {
        pk_nil(w->pk);
        return;
    }
    pk_map(w->pk, 5);
    pk_key_uint(w->pk, "version", i->version);
    pk_key_uint(w->pk, "entered_at", i->entered_at);
    pk_text(w->pk, "converted_at");
    pk_second(w->pk, i->converted_at);
    pk_text(w->pk, "goal_until"); /* nil: it cannot be reached any more */
    pk_second(w->pk, within > w->l.person.now && within <= i->deadline ? (uint32_t)within : 0);
    pk_text(w->pk, "forgotten_at");
    pk_second(w->pk, i->deadline);
}

/* ---- triggers ------------------------------------------------------------------------------------------------ */

static const char *trigger_kind(const struct match *m)
{
    switch (m->kind) {
    case MATCH_EVENT: return "event";
    case MATCH_SEGMENT_ENTERED: return "segment_entered";
    case MATCH_SEGMENT_LEFT: return "segment_left";
    case MATCH_ATTRIBUTE: return "attribute_changed";
    case MATCH_DATE: return "date";
    default: return "manual";
    }
}

static bool is_flip(const struct match *m)
{
    return m->kind == MATCH_SEGMENT_ENTERED || m->kind == MATCH_SEGMENT_LEFT;
}

static struct slice trigger_name(const struct why *w, const struct match *m)
{
    const struct defset *set = w->l.set;
    const struct schema_event *e = m->kind == MATCH_EVENT ? schema_event(&set->schema, m->id) : NULL;
    if (e) return e->name;
    if (is_flip(m) && m->id < set->segments.count) return set->segments.list[m->id].name;
    if (m->kind == MATCH_ATTRIBUTE && m->id < set->schema.attribute_count)
        return set->schema.attributes[m->id].name;
    return (struct slice){0};
}

static bool is_member(const struct why *w, const struct match *m)
{
    return member_get(w->l.person.store, w->l.person.row, m->id);
}

static uint32_t next_date(struct why *w, const struct match *m)
{
    if (m->kind != MATCH_DATE) return UINT32_MAX;
    return date_next(w->l.context.zone, m, program_run(m->date, &w->l.context), w->l.person.now);
}

static void pack_where(struct why *w, const struct match *m)
{
    int truth = 1;
    pk_text(w->pk, "where");
    looking_recall(&w->l, m->kind == MATCH_EVENT ? m->id : ID_NONE);
    if (m->where_text.n)
        truth = pack_parts(w->pk, &w->l, m->where_text);
    else
        pk_nil(w->pk);
    looking_recall(&w->l, ID_NONE);
    if (truth == 1 || w->where == 0) w->where = truth;
}

/* An attribute's trigger: from what to what it has to change, and what it is. */
static void pack_change(struct why *w, const struct match *m)
{
    bool attribute = m->kind == MATCH_ATTRIBUTE;
    pk_text(w->pk, "from");
    pk_text_or_nil(w->pk, m->from_text);
    pk_text(w->pk, "to");
    pk_text_or_nil(w->pk, m->to_text);
    pk_text(w->pk, "value");
    value_write(attribute ? attribute_get(w->l.person.store, w->l.person.row, m->id) : value_none(),
                w->pk->data);
}

static void pack_triggers(struct why *w)
{
    w->where = w->j->trigger_count == 0;
    pk_text(w->pk, "triggers");
    pk_list(w->pk, w->j->trigger_count);
    for (uint32_t i = 0; i < w->j->trigger_count; i++) {
        const struct match *m = &w->j->triggers[i];
        uint32_t entered = 0, left = 0;
        if (is_flip(m)) member_times(w->l.person.store, w->l.person.row, m->id, &entered, &left);
        pk_map(w->pk, 9);
        pack_key_text(w->pk, "kind", trigger_kind(m));
        pk_text(w->pk, "name");
        pk_text_or_nil(w->pk, trigger_name(w, m));
        pk_text(w->pk, "member");
        is_flip(m) ? pk_bool(w->pk, is_member(w, m)) : pk_nil(w->pk);
        pk_text(w->pk, "since"); /* inside, or outside since it left; nil: never inside */
        pk_second(w->pk, is_flip(m) && is_member(w, m) ? entered : left);
        pk_text(w->pk, "next");
        pk_second(w->pk, next_date(w, m));
        pack_where(w, m);
        pack_change(w, m);
    }
}

/* Why no trigger of the journey can come as things stand; NULL: one may. */
static const char *no_trigger(struct why *w)
{
    const char *why = NULL;
    for (uint32_t i = 0; i < w->j->trigger_count; i++) {
        const struct match *m = &w->j->triggers[i];
        bool dateless = m->kind == MATCH_DATE && next_date(w, m) == UINT32_MAX;
        if (!is_flip(m) && !dateless) return NULL;
        if (!why) why = dateless ? "no_date" : is_member(w, m) ? "in_segment" : "not_in_segment";
    }
    return why;
}

/* ---- channels ------------------------------------------------------------------------------------------------ */

static uint32_t cap_used(const struct why *w, uint16_t channel, const struct cap *cap, uint32_t *free_at)
{
    uint32_t n, used = 0, now = w->l.person.now;
    const struct send *list = sends_list(w->l.person.store, w->l.person.row, &n);
    *free_at = 0;
    for (uint32_t i = n; i-- > 0;) { /* newest first */
        bool counts =
            list[i].channel == channel && !(list[i].state & (MESSAGE_SUPPRESSED | MESSAGE_UNCAPPED));
        if (!counts || (uint64_t)list[i].at + cap->window_s <= now) continue;
        if (++used == cap->max) *free_at = list[i].at + cap->window_s;
    }
    return used;
}

static void pack_caps(struct why *w, const struct channel *c)
{
    pk_text(w->pk, "caps");
    pk_list(w->pk, c->cap_count);
    for (uint32_t i = 0; i < c->cap_count; i++) {
        uint32_t free_at, used = cap_used(w, c->id, &c->caps[i], &free_at);
        pk_map(w->pk, 4);
        pk_key_uint(w->pk, "max", c->caps[i].max);
        pk_key_uint(w->pk, "window_s", c->caps[i].window_s);
        pk_key_uint(w->pk, "used", used);
        pk_text(w->pk, "free_at");
        pk_second(w->pk, free_at);
    }
}

static void pack_channel(struct why *w, const struct channel *c, struct slice topic)
{
    enum decision d = consent_allows(w->l.person.store, w->l.person.row, c, topic);
    struct value to = c->address ? program_run(c->address, &w->l.context) : value_none();
    int64_t now = w->l.person.now;
    int64_t loud =
        c->has_quiet ? zone_after_quiet(w->l.context.zone, now, c->quiet_from_s, c->quiet_to_s) : now;
    pk_map(w->pk, 6);
    pk_text(w->pk, "channel");
    pk_slice(w->pk, c->name);
    pk_text(w->pk, "topic");
    pk_text_or_nil(w->pk, topic);
    pack_key_text(w->pk, "consent", d == DECISION_NONE ? "ok" : decision_name(d));
    pk_text(w->pk, "address"); /* true: there is one, or none is needed */
    pk_bool(w->pk, !c->address || ((to.kind == V_STRING || to.kind == V_LIST) && to.n) ||
                       (to.kind == V_RAW && to.n > 1));
    pack_caps(w, c);
    pk_text(w->pk, "quiet_until");
    pk_second(w->pk, loud > now ? (uint32_t)loud : 0);
}

/* Every channel a step of the journey sends through, once for each topic. */
static void pack_channels(struct why *w)
{
    const struct journey_set *set = w->l.person.set;
    uint32_t n = 0;
    pk_text(w->pk, "channels");
    size_t at = pk_open(w->pk, PK_LIST);
    for (uint32_t i = 0; i < w->j->step_count; i++) {
        const struct step *s = &w->j->steps[i];
        if (s->kind != STEP_SEND && s->kind != STEP_CASCADE) continue;
        for (uint32_t k = 0; k < s->send.option_count; k++) {
            uint16_t channel = s->send.options[k].channel;
            bool seen = channel >= set->channel_count;
            for (uint32_t b = 0; b < i && !seen; b++) {
                const struct step *before = &w->j->steps[b];
                if (before->kind != STEP_SEND && before->kind != STEP_CASCADE) continue;
                for (uint32_t o = 0; o < before->send.option_count; o++)
                    seen |= before->send.options[o].channel == channel &&
                            slice_eq(before->send.topic, s->send.topic);
            }
            if (seen) continue;
            pack_channel(w, &set->channels[channel], s->send.topic);
            n++;
        }
    }
    pk_close(w->pk, at, n);
}

/* ---- together ----------------------------------------------------------------------------------------------- */

static uint32_t paused_until(const struct why *w)
{
    uint32_t until = pause_until(w->l.person.store, w->l.person.row, w->j->id);
    return until > w->l.person.now ? until : 0;
}

static uint32_t muted_until(const struct why *w)
{
    struct slice part = extra_get(w->l.person.store, w->l.person.row, EXTRA_MUTE);
    struct mute mute = {0};
    if (part.n == sizeof mute) memcpy(&mute, part.p, sizeof mute);
    return mute.until > w->l.person.now ? mute.until : 0;
}

/* The first thing that stands in the way now, in the order in which the walk asks; the trigger's own state comes before
 * only_if, because only_if is asked once it has come. */
static const char *in_the_way(struct why *w, int only_if, bool held_out)
{
    const struct journey *j = w->j;
    bool inside = w->inside.state && j->reentry != REENTRY_KEYED;
    if (!journey_takes(j, w->l.person.now)) return "not_live";
    if (paused_until(w)) return "paused";
    if (inside && w->inside.state == INSTANCE_HELD_OUT) return "held_out";
    if (inside && j->while_active == ACTIVE_IGNORE) return "already_inside";
    if (!(inside && j->while_active == ACTIVE_RESTART) && reentry_from(w)) return "reentry";
    if (no_trigger(w)) return no_trigger(w);
    if (w->where == 0) return "where";
    if (only_if == 0) return "not_eligible";
    if (held_out) return "held_out";
    return only_if < 0 || w->where < 0 ? "depends on the event" : "none";
}

static void pack_holdout(struct why *w, bool held_out)
{
    pk_key_uint(w->pk, "holdout_ppm", w->j->holdout_ppm);
    pk_key_uint(w->pk, "holdout_global_ppm", journey_global_holdout(w->l.person.set, w->j));
    pk_text(w->pk, "held_out"); /* whether this person is among them */
    pk_bool(w->pk, held_out);
}

static void pack_journey(struct why *w)
{
    static const char *const STATES[] = {"draft", "live", "paused", "closing"};
    struct slice text = journey_text(w->l.set, w->j->name, "only_if", &w->l.scratch);
    int only_if = 1;
    bool held_out = person_held_out(&w->l.person, w->j);
    pk_map(w->pk, 24);
    pk_text(w->pk, "journey");
    pk_slice(w->pk, w->j->name);
    pack_key_text(w->pk, "state", STATES[w->j->state]);
    pk_text(w->pk, "takes");
    pk_bool(w->pk, journey_takes(w->j, w->l.person.now));
    pack_memory(w);
    pack_triggers(w);
    pk_text(w->pk, "only_if");
    looking_recall(&w->l, looking_trigger(w->j));
    if (text.n)
        only_if = pack_parts(w->pk, &w->l, text);
    else
        pk_nil(w->pk);
    looking_recall(&w->l, ID_NONE);
    pack_reentry(w);
    pack_inside(w);
    pack_finished(w);
    pk_text(w->pk, "paused_until");
    pk_second(w->pk, paused_until(w));
    pk_text(w->pk, "muted_until");
    pk_second(w->pk, muted_until(w));
    pack_channels(w);
    pack_holdout(w, held_out);
    pack_key_text(w->pk, "in_the_way", in_the_way(w, only_if, held_out));
}

/* Nobody enters it any more; whoever is inside finishes on the version they entered. */
static void pack_removed(struct why *w)
{
    pk_map(w->pk, 15);
    pk_text(w->pk, "journey");
    pk_slice(w->pk, defset_journey_name(w->l.set, w->id));
    pack_key_text(w->pk, "state", "removed");
    pk_text(w->pk, "takes");
    pk_bool(w->pk, false);
    pack_memory(w);
    pack_inside(w);
    pack_finished(w);
    pack_key_text(w->pk, "in_the_way", "removed");
}

/* The journey with this id, or what is left of it; without `only` no drafts and nothing removed that never met the person. */
static bool pack_one(struct why *w, struct slice only)
{
    w->j = w->l.person.set->journeys[w->id];
    w->memory = memory_find(w->l.person.store, w->l.person.row, w->id);
    find_instances(w);
    bool met = w->memory || w->inside.state || w->finished.state;
    if (!only.n && !met && (!w->j || w->j->state == JOURNEY_DRAFT)) return false;
    if (only.n && !slice_eq(only, w->j ? w->j->name : defset_journey_name(w->l.set, w->id))) return false;
    w->j ? pack_journey(w) : pack_removed(w);
    return true;
}

static enum call_state pack_why(struct request *r, const struct person_at *p)
{
    struct why w = {.pk = &r->pack};
    struct slice only = {0};
    uint32_t shown = 0;
    param_text(r, 1, "journey", &only);
    looking_begin(&w.l, p);
    const struct journey_set *set = w.l.person.set;
    size_t at = pk_open(&r->pack, PK_LIST);
    for (; w.id < set->journey_count; w.id++) shown += pack_one(&w, only);
    pk_close(&r->pack, at, shown);
    looking_end(&w.l);
    return CALL_HELD;
}

static bool was_ever(const struct defset *set, struct slice journey)
{
    for (uint32_t i = 0; i < set->journeys.journey_count; i++)
        if (slice_eq(journey, defset_journey_name(set, (uint16_t)i))) return true;
    return false;
}

void method_profile_why(struct request *r)
{
    struct slice id, journey;
    if (!param_text(r, 0, "id", &id))
        request_bad(r, "id is a text");
    else if (param_text(r, 1, "journey", &journey) && !was_ever(sets_newest(r->engine->sets), journey))
        request_fail(r, ERROR_NOT_FOUND, "not_found", "there is no journey %.*s", SHOWN(journey));
    else
        lookup_person(r, id, pack_why);
}
