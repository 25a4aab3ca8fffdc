/* steps.c - what each kind of step does when an instance comes to it.
 * A step answers true when the instance has gone on to the next one, false when it blocks or has ended. */
#include "core/journey/run.h"

const struct step *seat_step(const struct seat *seat)
{
    return seat->head.step < seat->journey->step_count ? &seat->journey->steps[seat->head.step] : NULL;
}

void seat_go(struct run *r, struct seat *seat, uint16_t step)
{
    seat->head.step = step;
    seat->head.step_at = seat->head.silence_from = r->w->now;
    seat->head.due = NEVER;
    seat->head.attempt = 0;
    seat->head.flags = 0;
    r->dirty = true;
}

static bool go(struct run *r, struct seat *seat, uint16_t step)
{
    seat_go(r, seat, step);
    return true;
}

/* ---- ways ------------------------------------------------------------------------------------- */

static bool do_if(struct run *r, struct seat *seat, const struct step *s)
{
    return go(r, seat, run_true(r, seat, s->branch.condition) ? s->branch.then : s->branch.otherwise);
}

static bool is_case(struct value v, struct value c)
{
    if (v.kind == V_DOUBLE && c.kind == V_INT) return v.d == (double)c.i;
    if (v.kind == V_INT && c.kind == V_DOUBLE) return (double)v.i == c.d;
    return value_same(v, c);
}

static bool do_switch(struct run *r, struct seat *seat, const struct step *s)
{
    struct value v = run_value(r, seat, s->choose.on);
    for (uint32_t i = 0; i < s->choose.count; i++)
        if (is_case(v, s->choose.cases[i])) return go(r, seat, s->choose.to[i]);
    return go(r, seat, s->choose.otherwise);
}

static bool do_split(struct run *r, struct seat *seat, const struct step *s)
{
    uint32_t at = run_ppm(r, seat->journey->name, s->id), sum = 0;
    uint16_t path = 0;
    while (path + 1 < s->split.count && at >= sum + s->split.ppm[path]) sum += s->split.ppm[path++];
    seat->head.split_step = (uint16_t)(seat->head.step + 1);
    seat->head.split_path = path;
    return go(r, seat, s->split.to[path]);
}

static bool do_goto(struct run *r, struct seat *seat, const struct step *s)
{
    return go(r, seat, s->jump.to);
}

static bool do_finish(struct run *r, struct seat *seat, const struct step *s)
{
    return go(r, seat, STEP_END);
}

/* ---- what leaves the engine ----------------------------------------------------------------------- */

static bool do_send(struct run *r, struct seat *seat, const struct step *s)
{
    send_begin(r, seat, s);
    return false;
}

static bool act(struct run *r, struct seat *seat, const struct step *s, enum action_kind kind)
{
    struct action_order o = {.kind = kind, .channel = channel_of(r->w->set, s->act.channel)};
    struct value to = field_value(r, seat, &s->act.to, NULL);
    if (to.kind == V_STRING && to.n) o.to = to;
    if (r->w->outbox_full || !action_create(r, seat, s, &o)) {
        defer_full(r, seat);
        return false;
    }
    return next_visit(r, seat) && go(r, seat, s->next);
}

static bool do_webhook(struct run *r, struct seat *seat, const struct step *s)
{
    return act(r, seat, s, ACTION_WEBHOOK);
}
static bool do_task(struct run *r, struct seat *seat, const struct step *s)
{
    return act(r, seat, s, ACTION_TASK);
}
/* Nobody is put into an ad cabinet without consent; being taken out needs none. */
static bool do_audience(struct run *r, struct seat *seat, const struct step *s)
{
    const struct channel *c = channel_of(r->w->set, s->act.channel);
    bool adds = slice_is(s->act.op, "add");
    enum decision why =
        adds && c ? consent_allows(r->w->store, r->w->row, c, (struct slice){0}) : DECISION_NONE;
    if (why == DECISION_NONE) return act(r, seat, s, ACTION_AUDIENCE);
    r->w->actions->suppressed[why]++;
    run_note(r, seat->head.journey, why, seat->head.step);
    run_tell(r, seat, TRANSITION_SUPPRESS, why);
    return go(r, seat, s->next);
}

/* ---- what changes the person ------------------------------------------------------------------------ */

static bool do_unsubscribe(struct run *r, struct seat *seat, const struct step *s)
{
    struct walk *w = r->w;
    struct consent c = {.channel = s->unsubscribe.channel,
                        .state = CONSENT_DENIED,
                        .topic = consent_topic(s->unsubscribe.topic),
                        .at = w->now,
                        .source = consent_topic(seat->journey->name)};
    if (consent_set(w->store, w->row, &c)) touch(w->touched, FEATURE_CONSENT, c.channel);
    return go(r, seat, s->next);
}

static void change_attribute(struct run *r, uint16_t attribute, struct value v)
{
    struct walk *w = r->w;
    struct value old = value_none();
    store_touch(w->store, w->row);
    if (!attribute_set(w->store, w->row, attribute, v, w->now, &old)) return;
    if (w->step_change_count < STEP_CHANGES_MAX) {
        if (old.kind == V_STRING || old.kind == V_RAW) old.s = arena_slice(w->scratch, value_text(old)).p;
        w->step_changes[w->step_change_count++] = (struct attribute_change){attribute, old};
    }
    touch_attribute(w->touched, w->set, attribute);
    touch_addresses(w, attribute);
    if (attribute == w->set->attribute_timezone) w->context->zone = person_zone(r->person);
}

static bool do_set(struct run *r, struct seat *seat, const struct step *s)
{
    for (uint32_t i = 0; i < s->set.count; i++) {
        uint16_t id = s->set.attributes[i];
        struct value v = value_packed(field_value(r, seat, &s->set.fields[i], NULL), r->w->scratch),
                     fitted = value_null();
        if (v.kind == V_ERROR || id >= r->w->schema->attribute_count) continue;
        const struct schema_attribute *a = &r->w->schema->attributes[id];
        if (v.kind > V_NULL && !value_fit(v, (enum declared_type)a->type, false, &fitted)) continue;
        if (fitted.kind == V_STRING) fitted = value_string(attribute_spelling(a, value_text(fitted)));
        change_attribute(r, id, fitted);
    }
    return go(r, seat, s->next);
}

static bool put_list(struct run *r, struct seat *seat, const struct step *s, bool member)
{
    if (list_put(r->w->store, r->w->row, s->list.list, member))
        touch(r->w->touched, FEATURE_LIST, s->list.list);
    return go(r, seat, s->next);
}

static bool do_add_to(struct run *r, struct seat *seat, const struct step *s)
{
    return put_list(r, seat, s, true);
}
static bool do_remove_from(struct run *r, struct seat *seat, const struct step *s)
{
    return put_list(r, seat, s, false);
}

/* ---- other journeys --------------------------------------------------------------------------------- */

static bool do_start(struct run *r, struct seat *seat, const struct step *s)
{
    const struct journey_set *set = r->w->set;
    seat_go(r, seat, s->next); /* first: what is started may end this instance */
    const struct journey *j =
        s->control.journey < set->journey_count ? set->journeys[s->control.journey] : NULL;
    if (j) trigger_try(r, j, NULL, NULL);
    return true;
}

static bool do_stop(struct run *r, struct seat *seat, const struct step *s)
{
    seat_go(r, seat, s->next);
    for (uint32_t i = 0; i < r->count; i++) {
        struct seat *other = &r->seats[i];
        if (other != seat && !other->gone && other->head.state == INSTANCE_ACTIVE &&
            other->head.journey == s->control.journey)
            run_leave(r, other, DECISION_CANCELLED);
    }
    return true;
}

static bool do_pause(struct run *r, struct seat *seat, const struct step *s)
{
    pause_set(r->w->store, r->w->row, s->control.journey, r->w->now + s->control.for_s, r->w->now);
    return go(r, seat, s->next);
}

static bool do_mute(struct run *r, struct seat *seat, const struct step *s)
{
    struct mute m = {r->w->now + s->mute.for_s, s->mute.types};
    memcpy(extra_resize(r->w->store, r->w->row, EXTRA_MUTE, sizeof m), &m, sizeof m);
    return go(r, seat, s->next);
}

/* ---- the walk --------------------------------------------------------------------------------------- */

typedef bool step_function(struct run *r, struct seat *seat, const struct step *s);
static step_function *const STEPS[STEP_KIND_COUNT] = {
    [STEP_WAIT] = wait_begin,
    [STEP_WAIT_FOR] = wait_for_begin,
    [STEP_IF] = do_if,
    [STEP_SWITCH] = do_switch,
    [STEP_SPLIT] = do_split,
    [STEP_SEND] = do_send,
    [STEP_CASCADE] = do_send,
    [STEP_WEBHOOK] = do_webhook,
    [STEP_TASK] = do_task,
    [STEP_AUDIENCE] = do_audience,
    [STEP_UNSUBSCRIBE] = do_unsubscribe,
    [STEP_SET] = do_set,
    [STEP_ADD_TO] = do_add_to,
    [STEP_REMOVE_FROM] = do_remove_from,
    [STEP_START] = do_start,
    [STEP_STOP] = do_stop,
    [STEP_PAUSE] = do_pause,
    [STEP_MUTE] = do_mute,
    [STEP_GOTO] = do_goto,
    [STEP_FINISH] = do_finish,
};

/* Too many steps at once: the rest at the next second, so that a loop in a definition cannot stop the shard. */
static void yield(struct run *r, struct seat *seat)
{
    seat->head.flags |= INSTANCE_YIELDED;
    seat->head.due = r->w->now + 1;
    r->dirty = true;
}

void seat_run(struct run *r, struct seat *seat)
{
    while (!seat->gone && seat->head.state == INSTANCE_ACTIVE) {
        const struct step *s = seat_step(seat);
        if (!s) return run_leave(r, seat, DECISION_COMPLETED);
        if (seat->steps_left == 0) return yield(r, seat);
        seat->steps_left--;
        run_tell(r, seat, TRANSITION_STEP, DECISION_NONE);
        CHECK(s->kind < STEP_KIND_COUNT);
        if (!STEPS[s->kind](r, seat, s)) return;
    }
}
