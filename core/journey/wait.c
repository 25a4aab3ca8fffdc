/* wait.c - instances that stand still: until a second, or until something happens.
 * A due that has come fires at the tick at hand, never back-dated; an event one second earlier was there first. */
#include "core/journey/run.h"

static uint32_t second(int64_t t) { return t < 0 ? 0 : t < NEVER ? (uint32_t)t : NEVER; }

static uint32_t due_of_date(struct run *r, struct seat *seat, const struct wait *w)
{
    struct value date = run_value(r, seat, w->date);
    if (date.kind != V_TIME) return r->w->now; /* nothing to wait for */
    struct match m = {.date = w->date, .offset_s = (int32_t)w->seconds, .clock_s = w->clock_s};
    return second(date_occurrence(r->w->context->zone, &m, date, 0));
}

static uint32_t due_of(struct run *r, struct seat *seat, const struct wait *w)
{
    const struct zone *zone = r->w->context->zone;
    uint32_t now = r->w->now;
    switch ((enum wait_kind)w->kind) {
    case WAIT_FOR_TIME: return second(now + w->seconds);
    case WAIT_FROM_ENTRY: return second(seat->head.entered_at + w->seconds);
    case WAIT_UNTIL_CLOCK: return second(zone_next_clock(zone, now, w->clock_s));
    case WAIT_NEXT_WORKDAY: return second(zone_next_workday(zone, now, &r->w->set->week, w->clock_s));
    case WAIT_NEXT_WEEKDAY: return second(zone_next_weekday(zone, now, w->weekdays, w->clock_s));
    case WAIT_UNTIL_DATE: return due_of_date(r, seat, w);
    case WAIT_SILENCE: return second(seat->head.silence_from + w->seconds);
    }
    return now;
}

static void stand(struct run *r, struct seat *seat, uint32_t due)
{
    seat->head.due = due;
    r->dirty = true;
}

bool wait_begin(struct run *r, struct seat *seat, const struct step *s)
{
    uint32_t due = due_of(r, seat, &s->wait);
    if (due <= r->w->now) return seat_go(r, seat, s->next), true;
    stand(r, seat, due);
    return false;
}

/* A branch that holds as things are now, without news. */
static bool take_holding(struct run *r, struct seat *seat, const struct step *s)
{
    for (uint32_t i = 0; i < s->wait_for.count; i++)
        if (match_holds(r, seat, &s->wait_for.any[i])) return seat_go(r, seat, s->wait_for.any[i].then), true;
    return false;
}

bool wait_for_begin(struct run *r, struct seat *seat, const struct step *s)
{
    if (take_holding(r, seat, s)) return true;
    stand(r, seat, s->wait_for.timeout_s ? second((int64_t)r->w->now + s->wait_for.timeout_s) : NEVER);
    return false;
}

/* ---- news ------------------------------------------------------------------------------------- */

static bool is_activity(const struct walk *w)
{
    const struct schema_event *type = schema_event(w->schema, w->event->type);
    return !w->event->context_inactive && (!type || type->activity);
}

static bool breaks_silence(const struct walk *w, const struct wait *wait)
{
    if (!w->event || w->late) return false;
    if (wait->type_count == 0) return is_activity(w);
    for (uint32_t i = 0; i < wait->type_count; i++)
        if (wait->types[i] == w->event->type) return true;
    return false;
}

static void react_silence(struct run *r, struct seat *seat, const struct step *s)
{
    if (s->wait.kind != WAIT_SILENCE || !breaks_silence(r->w, &s->wait)) return;
    uint32_t at = r->w->event_at < r->w->now ? r->w->event_at : r->w->now;
    if (at <= seat->head.silence_from) return;
    seat->head.silence_from = at;
    stand(r, seat, second(at + s->wait.seconds));
}

static void keep_awaited(struct run *r, struct seat *seat, const struct match *m)
{
    struct walk *w = r->w;
    if (!m->as.n) return;
    struct slice kept = kept_with(seat->kept, m->as, w->event ? w->event->type : ID_NONE,
                                  w->event ? w->event_at : w->now, w->event, w->schema, w->scratch);
    run_keep(r, seat, kept);
}

static void react_branches(struct run *r, struct seat *seat, const struct step *s)
{
    for (uint32_t i = 0; i < s->wait_for.count && !r->w->late; i++) {
        const struct match *m = &s->wait_for.any[i];
        if (!match_happened(r, seat, m)) continue;
        keep_awaited(r, seat, m);
        seat_go(r, seat, m->then);
        seat->reacted = true;
        return;
    }
    seat->reacted = take_holding(r, seat, s);
}

void wait_react(struct run *r, struct seat *seat)
{
    const struct step *s = seat_step(seat);
    if (!s || (seat->head.flags & INSTANCE_YIELDED) || seat->sending) return;
    if (s->kind == STEP_WAIT)
        react_silence(r, seat, s);
    else if (s->kind == STEP_WAIT_FOR)
        react_branches(r, seat, s);
    else if (s->kind == STEP_SEND || s->kind == STEP_CASCADE)
        send_react(r, seat, s);
    if (seat->reacted) seat_run(r, seat);
}

void seat_fire(struct run *r, struct seat *seat)
{
    const struct step *s = seat_step(seat);
    bool begins = !s || (seat->head.flags & INSTANCE_YIELDED);
    seat->head.due = NEVER;
    seat->reacted = true;
    r->dirty = true;
    if (begins)
        seat->head.flags &= (uint8_t)~INSTANCE_YIELDED;
    else if (s->kind == STEP_WAIT)
        seat_go(r, seat, s->next);
    else if (s->kind == STEP_WAIT_FOR)
        seat_go(r, seat, s->wait_for.otherwise);
    else if (s->kind == STEP_SEND || s->kind == STEP_CASCADE)
        return send_fire(r, seat, s);
    seat_run(r, seat);
}

void wait_skip(struct run *r, struct seat *seat)
{
    const struct step *s = seat_step(seat);
    if (s) seat_go(r, seat, s->kind == STEP_WAIT_FOR ? s->wait_for.otherwise : s->next);
    seat_run(r, seat);
}
