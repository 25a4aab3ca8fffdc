/* policy.c - may this message leave, now? All sends that a record caused are collected and tried best first: priority,
 * value, journey name. The gates, in order: goal and exits, consent, address, mute, caps, quiet hours, outbox.
 * What a gate with an end holds is deferred to the very second it may become possible, and tried again there with
 * whatever else waits for that second; what no time can mend is suppressed and counted, and the instance goes on. */
#include "core/journey/run.h"
#include "core/base/planted.h"

const struct channel *channel_of(const struct journey_set *set, uint16_t id)
{
    return id < set->channel_count && set->channels[id].name.n ? &set->channels[id] : NULL;
}

bool address_empty(struct value to)
{
    switch (to.kind) {
    case V_STRING:
    case V_LIST: return to.n == 0;
    case V_RAW: return to.n <= 1; /* an empty list is one byte */
    default: return true;
    }
}

/* ---- one message out or not ------------------------------------------------------------------------ */

void send_begin(struct run *r, struct seat *seat, const struct step *s)
{
    struct value v = run_value(r, seat, s->send.value);
    seat->sending = true;
    seat->value = v.kind == V_INT || v.kind == V_UINT || v.kind == V_DOUBLE ? value_micros(v) : 0;
    seat->priority = s->send.priority == INT32_MIN ? seat->journey->priority : s->send.priority;
}

static bool is_cascade(const struct step *s) { return s->kind == STEP_CASCADE || s->send.cascade; }

/* This message is done with, one way or the other: the cascade's next one, or the next step. */
static void after_message(struct run *r, struct seat *seat, const struct step *s, bool sent)
{
    if (!is_cascade(s) || seat->head.attempt + 1 >= s->send.option_count) {
        seat_go(r, seat, s->next);
        return seat_run(r, seat);
    }
    uint32_t wait_s = sent ? s->send.options[seat->head.attempt].wait_s : 0;
    seat->head.flags = wait_s ? INSTANCE_BETWEEN : 0;
    seat->head.due = wait_s ? r->w->now + wait_s : NEVER;
    r->dirty = true;
    if (wait_s) return;
    seat->head.attempt++;
    seat->head.step_at = r->w->now;
    send_begin(r, seat, s);
}

static void remember(struct run *r, struct seat *seat, const struct step *s, const struct channel *c,
                     uint16_t state, enum decision why)
{
    struct walk *w = r->w;
    struct send send = {.action_id = action_id(&seat->head, s->id),
                        .instance = seat->head.id,
                        .at = w->now,
                        .journey = seat->head.journey,
                        .version = seat->head.version,
                        .step = seat->head.step,
                        .channel = c ? c->id : ID_NONE,
                        .state = state,
                        .reason = (uint16_t)why};
    sends_add(w->store, w->row, &send);
    touch(w->touched, FEATURE_SENDS, seat->head.step);
    run_note(r, seat->head.journey, why, seat->head.step);
}

/* Every message that is decided, sent or not, has a number of its own. An instance that has used them all is ended. */
bool next_visit(struct run *r, struct seat *seat)
{
    if (seat->head.visit < UINT16_MAX) return seat->head.visit++, true;
    run_leave(r, seat, DECISION_TOO_MANY);
    return false;
}

static void suppress(struct run *r, struct seat *seat, const struct step *s, const struct channel *c,
                     enum decision why)
{
    r->w->actions->suppressed[why]++;
    remember(r, seat, s, c, MESSAGE_SUPPRESSED, why);
    run_tell(r, seat, TRANSITION_SUPPRESS, why);
    if (next_visit(r, seat)) after_message(r, seat, s, false);
}

/* The last second at which it may leave: `1 per 1d` makes room for what it held right then, a day later. */
static uint32_t expires_at(const struct seat *seat, const struct step *s)
{
    uint32_t span = s->send.expires_s ? s->send.expires_s : 86400;
    return seat->head.step_at < NEVER - span ? seat->head.step_at + span : NEVER;
}

static void expire(struct run *r, struct seat *seat, const struct step *s)
{
    r->w->actions->expired++;
    run_tell(r, seat, TRANSITION_SUPPRESS, DECISION_EXPIRED);
    if (s->send.exit_on_expired) return run_leave(r, seat, DECISION_EXPIRED);
    run_note(r, seat->head.journey, DECISION_EXPIRED, seat->head.step);
    if (next_visit(r, seat)) after_message(r, seat, s, false);
}

/* A full outbox is looked at each minute; what this record alone may cause has room again at the next second. */
static uint32_t outbox_retry(const struct walk *w)
{
    return w->now + (w->outbox_full || !w->actions_made ? RETRY_S : 1);
}

/* free_at: when what holds it lets go; due: when it is looked at again, at the latest as it expires. */
static void defer(struct run *r, struct seat *seat, enum decision why, uint32_t free_at, uint32_t due)
{
    if (!(seat->head.flags & INSTANCE_DEFERRED)) {
        r->w->actions->deferred++;
        run_tell(r, seat, TRANSITION_DEFER, why);
    }
    run_note(r, seat->head.journey, why, free_at);
    seat->head.flags |= INSTANCE_DEFERRED;
    seat->head.due = due;
    r->dirty = true;
}

void defer_full(struct run *r, struct seat *seat)
{
    uint32_t at = outbox_retry(r->w);
    defer(r, seat, DECISION_OUTBOX_FULL, at, at);
}

/* ---- the gates --------------------------------------------------------------------------------------- */

static enum decision reach(struct run *r, struct seat *seat, const struct channel *c, struct slice topic,
                           struct value *to)
{
    *to = value_none();
    if (!c) return DECISION_NO_ADDRESS; /* the channel is no longer defined */
    enum decision d = consent_allows(r->w->store, r->w->row, c, topic);
    if (d != DECISION_NONE || !c->address) return d;
    *to = run_value(r, seat, c->address);
    return address_empty(*to) ? DECISION_NO_ADDRESS : DECISION_NONE;
}

/* The option that consent and address allow: a cascade's own, else the first of all. */
static enum decision choose(struct run *r, struct seat *seat, const struct step *s, const struct channel **c,
                            struct value *to)
{
    uint32_t first = is_cascade(s) ? seat->head.attempt : 0,
             last = is_cascade(s) ? first + 1 : s->send.option_count;
    enum decision why = DECISION_NO_ADDRESS;
    for (uint32_t i = first; i < last && i < s->send.option_count; i++) {
        *c = channel_of(r->w->set, s->send.options[i].channel);
        enum decision d = reach(r, seat, *c, s->send.topic, to);
        if (d == DECISION_NONE) return d;
        if (i == first) why = d;
    }
    *c = channel_of(r->w->set, first < s->send.option_count ? s->send.options[first].channel : ID_NONE);
    return why;
}

/* When this cap has room again: the max-th newest message that counts must have left the window. */
static uint32_t cap_free(const struct send *list, uint32_t n, uint16_t channel, const struct cap *cap)
{
    uint32_t at[SENDS_KEPT_MAX], count = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (list[i].channel != channel || (list[i].state & (MESSAGE_SUPPRESSED | MESSAGE_UNCAPPED)) ||
            count == SENDS_KEPT_MAX)
            continue;
        uint32_t k = count++;
        for (; k > 0 && at[k - 1] < list[i].at; k--) at[k] = at[k - 1]; /* newest first */
        at[k] = list[i].at;
    }
    if (cap->max == 0) return NEVER;
    return count < cap->max + PLANTED(cap_one_too_many) ? 0 : at[cap->max - 1] + cap->window_s;
}

/* The first second at which mute, caps and quiet hours let it pass, as things stand; why: what holds it now. */
static uint32_t free_at(struct run *r, const struct channel *c, uint8_t type, enum decision *why)
{
    struct walk *w = r->w;
    uint32_t t = w->now, n;
    *why = DECISION_NONE;
    if (type == SEND_TRANSACTIONAL) return t;
    struct slice part = extra_get(w->store, w->row, EXTRA_MUTE);
    struct mute mute = {0};
    if (part.n == sizeof mute) memcpy(&mute, part.p, sizeof mute);
    if (mute.until > t && (mute.types == 0 || mute.types & 1u << type)) t = mute.until, *why = DECISION_MUTED;
    const struct send *list = sends_list(w->store, w->row, &n);
    for (uint32_t i = 0; i < c->cap_count; i++) {
        uint32_t free = cap_free(list, n, c->id, &c->caps[i]);
        if (free > t) t = free, *why = DECISION_CAP;
    }
    if (PLANTED(quiet_ignored_at_retry) && *why == DECISION_CAP) return t;
    int64_t loud =
        c->has_quiet && t < NEVER ? zone_after_quiet(w->context->zone, t, c->quiet_from_s, c->quiet_to_s) : t;
    if (loud > t && *why == DECISION_NONE) *why = DECISION_QUIET;
    return loud > NEVER ? NEVER : (uint32_t)loud;
}

static bool sent_before(const struct run *r, const struct seat *seat)
{
    uint32_t n;
    const struct send *list = sends_list(r->w->store, r->w->row, &n);
    for (uint32_t i = 0; i < n; i++)
        if (list[i].journey == seat->head.journey && list[i].step == seat->head.step &&
            !(list[i].state & MESSAGE_SUPPRESSED))
            return true;
    return false;
}

static void out(struct run *r, struct seat *seat, const struct step *s, const struct channel *c,
                struct value to)
{
    struct action_order o = {.kind = ACTION_SEND, .channel = c, .to = to, .expires_at = expires_at(seat, s)};
    if (!action_create(r, seat, s, &o)) return defer_full(r, seat);
    remember(r, seat, s, c,
             (uint16_t)(MESSAGE_CREATED | (s->send.type == SEND_TRANSACTIONAL ? MESSAGE_UNCAPPED : 0)),
             DECISION_SENT);
    if (next_visit(r, seat)) after_message(r, seat, s, true);
}

static void try_send(struct run *r, struct seat *seat)
{
    const struct step *s = seat_step(seat);
    const struct channel *c = NULL;
    struct value to = value_none();
    seat->sending = false;
    if (run_leave_if_over(r, seat)) return;
    uint32_t expires = expires_at(seat, s);
    bool deferred = seat->head.flags & INSTANCE_DEFERRED;
    if (deferred && r->w->now > expires) return expire(r, seat, s);
    enum decision why = choose(r, seat, s, &c, &to);
    if (why != DECISION_NONE) return suppress(r, seat, s, c, why);
    if (s->send.once && sent_before(r, seat)) return suppress(r, seat, s, c, DECISION_ONCE);
    uint32_t free = free_at(r, c, s->send.type, &why);
    if (PLANTED(quiet_ignored_at_retry) && why == DECISION_QUIET && deferred) free = r->w->now;
    if (free <= r->w->now && r->w->outbox_full) free = outbox_retry(r->w), why = DECISION_OUTBOX_FULL;
    if (free > r->w->now && deferred && r->w->now == expires) return expire(r, seat, s);
    if (free > r->w->now) return defer(r, seat, why, free, free < expires ? free : expires);
    out(r, seat, s, c, to);
}

/* ---- all of them, best first ---------------------------------------------------------------------------- */

static int by_name(struct slice a, struct slice b)
{
    int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

static bool better(const struct seat *a, const struct seat *b)
{
    if (a->priority != b->priority) return a->priority > b->priority;
    if (a->value != b->value) return a->value > b->value;
    return by_name(a->journey->name, b->journey->name) < 0;
}

void send_settle(struct run *r)
{
    for (;;) {
        struct seat *best = NULL;
        for (uint32_t i = 0; i < r->count; i++) {
            struct seat *seat = &r->seats[i];
            if (!seat->gone && seat->sending && (!best || better(seat, best))) best = seat;
        }
        if (!best) return;
        try_send(r, best);
    }
}

/* ---- cascades ------------------------------------------------------------------------------------------- */

static bool answered(struct run *r, struct seat *seat, const struct step *s)
{
    if (s->send.cascade_until == SEND_SENT) return false;
    r->person->instance = &seat->head;
    bool yes = person_source.send_state(r->person, seat->head.step, (enum send_state)s->send.cascade_until);
    r->person->instance = NULL;
    return yes;
}

void send_react(struct run *r, struct seat *seat, const struct step *s)
{
    if (!is_cascade(s) || r->w->late || !answered(r, seat, s)) return;
    seat_go(r, seat, s->next);
    seat->reacted = true;
}

void send_fire(struct run *r, struct seat *seat, const struct step *s)
{
    if (seat->head.flags & INSTANCE_BETWEEN) {
        seat->head.flags = 0;
        seat->head.attempt++;
        seat->head.step_at = r->w->now;
    }
    send_begin(r, seat, s);
}

/* ---- tests ---------------------------------------------------------------------------------------------- */

/* With the trigger and the variant of the person's own instance, if there is one. */
static struct seat test_seat(const struct run *r, const struct journey *j, struct key instance)
{
    struct seat seat = {.journey = j, .head = {.journey = j->id, .version = j->version}};
    for (uint32_t i = 0; i < r->count; i++)
        if (r->seats[i].journey == j) seat = r->seats[i];
    seat.head.id = instance;
    seat.head.visit = seat.head.attempt = 0;
    seat.head.step_at = r->w->now;
    return seat;
}

struct key test_action_id(const struct test_send *t)
{
    return action_id(&(struct instance){.id = t->instance}, t->step);
}

void walk_test(struct walk *w, const struct test_send *t)
{
    const struct journey *j = t->journey < w->set->journey_count ? w->set->journeys[t->journey] : NULL;
    const struct step *s = j ? journey_message(j, t->step) : NULL;
    struct run r;
    if (!s) return;
    run_begin(&r, w);
    run_seats(&r);
    struct seat seat = test_seat(&r, j, t->instance);
    struct action_order o = {.kind = ACTION_SEND,
                             .channel = channel_of(w->set, s->send.options[0].channel),
                             .to = value_string(t->to),
                             .expires_at = expires_at(&seat, s),
                             .test = true};
    send_begin(&r, &seat, s);
    if (!outbox_get(w->outbox, test_action_id(t), &(struct action){0})) action_create(&r, &seat, s, &o);
    r.dirty = false;
    run_close(&r);
}
