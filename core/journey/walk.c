/* walk.c - one record, or one wake-up, and one person's journeys.
 *
 *   copy instances into seats -> goals and exits -> [dues] -> waits -> triggers [and dates] -> sends -> write back
 *
 * A wake-up has no event; its dues fire in order of their second. Whatever a step changes is touched, and the shard
 * comes again with segments and walk until nothing is. */
#include "core/journey/run.h"
#include "core/base/planted.h"

#include <ctype.h>

/* ---- decisions ---------------------------------------------------------------------------------- */

static const char *const DECISION_TEXT[] = {
#define X(name, text) text,
    DECISIONS(X)
#undef X
};
static char DECISION_NAME[][20] = {
#define X(name, text) #name,
    DECISIONS(X)
#undef X
};

__attribute__((constructor)) static void lower_names(void)
{
    for (uint32_t i = 0; i < DECISION_COUNT; i++)
        for (char *p = DECISION_NAME[i]; *p; p++) *p = (char)tolower(*p);
}

const char *decision_text(enum decision d) { return d < DECISION_COUNT ? DECISION_TEXT[d] : "unknown"; }
const char *decision_name(enum decision d) { return d < DECISION_COUNT ? DECISION_NAME[d] : "unknown"; }

/* ---- time of an instance ---------------------------------------------------------------------------- */

static bool is_paused(const struct walk *w, uint16_t journey)
{
    const struct journey *j = journey < w->set->journey_count ? w->set->journeys[journey] : NULL;
    return (j && j->state == JOURNEY_PAUSED) || pause_until(w->store, w->row, journey) > w->now;
}

/* When its step wants to go on; a pause of this person's holds it back, a paused journey for ever. */
static uint32_t due_of(const struct walk *w, const struct instance *i)
{
    const struct journey *j = i->journey < w->set->journey_count ? w->set->journeys[i->journey] : NULL;
    if (i->state != INSTANCE_ACTIVE || (j && j->state == JOURNEY_PAUSED)) return NEVER;
    uint32_t paused = pause_until(w->store, w->row, i->journey);
    return i->due != NEVER && paused > i->due ? paused : i->due;
}

static uint32_t silence_end(const struct walk *w, const struct instance *i, const struct journey *j)
{
    uint32_t last = store_row(w->store, w->row)->last_seen, end = NEVER;
    if (last < i->entered_at) last = i->entered_at;
    for (uint32_t k = 0; i->state == INSTANCE_ACTIVE && k < j->exit_count; k++)
        if (j->exits[k].kind == MATCH_SILENCE && last + j->exits[k].seconds < end)
            end = last + j->exits[k].seconds;
    return end;
}

static void end_by_time(struct run *r, struct seat *seat)
{
    if (seat->head.deadline > r->w->now && silence_end(r->w, &seat->head, seat->journey) > r->w->now) return;
    if (seat->head.state == INSTANCE_ACTIVE)
        run_leave(r, seat, DECISION_TIMEOUT);
    else
        run_forget(r, seat);
}

/* ---- goals and exits -------------------------------------------------------------------------------- */

/* Not what was done before the journey began: a report that came late is no success of it. */
static bool after_entry(const struct run *r, const struct seat *seat)
{
    struct kept_event trigger;
    return !r->w->event || !kept_find(seat->kept, SLICE("trigger"), &trigger) || r->w->event_at >= trigger.at;
}

static void end_by_news(struct run *r, struct seat *seat)
{
    const struct journey *j = seat->journey;
    if (goal_open(r, seat) && match_happened(r, seat, &j->goal) && after_entry(r, seat)) run_convert(r, seat);
    for (uint32_t i = 0; !seat->gone && seat->head.state == INSTANCE_ACTIVE && i < j->exit_count; i++)
        if (!PLANTED(cancelled_timer_fires) && match_happened(r, seat, &j->exits[i]))
            run_leave(r, seat, DECISION_EXITED);
    if (!seat->gone) run_leave_if_over(r, seat);
}

static void goals_and_exits(struct run *r, bool by_time)
{
    for (uint32_t i = 0; i < r->count; i++) {
        struct seat *seat = &r->seats[i];
        if (!seat->journey) { /* its version is no longer kept: nobody should be inside */
            run_leave(r, seat, DECISION_CANCELLED);
            continue;
        }
        if (by_time) end_by_time(r, seat);
        if (!seat->gone && seat->concerned) end_by_news(r, seat);
    }
}

/* ---- waits ------------------------------------------------------------------------------------------- */

static bool walks(const struct seat *seat)
{
    return !seat->gone && !seat->reacted && seat->head.state == INSTANCE_ACTIVE;
}

static void waits(struct run *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (r->seats[i].concerned && walks(&r->seats[i]) && !is_paused(r->w, r->seats[i].head.journey))
            wait_react(r, &r->seats[i]);
}

static void dues(struct run *r)
{
    for (;;) {
        struct seat *first = NULL;
        uint32_t earliest = r->w->now;
        for (uint32_t i = 0; i < r->count; i++) {
            uint32_t due = walks(&r->seats[i]) ? due_of(r->w, &r->seats[i].head) : NEVER;
            if (due > earliest || (first && due == earliest)) continue;
            first = &r->seats[i];
            earliest = due;
        }
        if (!first) return;
        seat_fire(r, first);
    }
}

/* ---- a record, a wake-up ------------------------------------------------------------------------------ */

static bool has_instances(const struct walk *w)
{
    uint32_t bytes;
    return store_block(w->store, w->row, BLOCK_JOURNEYS, &bytes) != NULL && bytes > 0;
}

static bool somebody_hears(const struct journey_set *set, const struct store *s, row_t row, uint16_t type)
{
    uint32_t bytes;
    const uint8_t *at = store_block(s, row, BLOCK_JOURNEYS, &bytes), *end = at + bytes;
    for (; at < end; at += ((const struct instance *)at)->bytes) {
        const struct instance *i = (const void *)at;
        if (journey_hears(set, i->journey, i->version, type, false)) return true;
    }
    return false;
}

bool walk_hears(const struct journey_set *set, const struct store *s, row_t row, const struct event *e)
{
    uint32_t listeners, dates;
    const struct listener *l = journey_listeners(set, LISTEN_EVENT, e->type, &listeners);
    for (uint32_t i = 0; i < listeners; i++)
        if (!hurdle_stops(&l[i].hurdle, e)) return true;
    journey_listeners(set, LISTEN_DATE, 0, &dates);
    return dates || event_reports(e) || somebody_hears(set, s, row, e->type);
}

/* Most events find nobody who waits for them, and few take anybody in. */
static bool concerns_somebody(const struct walk *w)
{
    uint32_t bytes;
    const uint8_t *at = store_block(w->store, w->row, BLOCK_JOURNEYS, &bytes), *end = at + bytes;
    for (; at < end; at += ((const struct instance *)at)->bytes)
        if (run_concerns(w, (const void *)at)) return true;
    return false;
}

/* Flips and changes are used up: a further call with the same walk does not see them again. */
static bool finish(struct run *r, uint32_t touched_before)
{
    struct walk *w = r->w;
    send_settle(r);
    run_close(r);
    w->flip_count = 0;
    w->change_count = 0;
    return w->touched->everything || w->touched->count > touched_before;
}

bool walk_record(struct walk *w)
{
    struct run r;
    uint32_t touched_before = w->touched->count;
    run_begin(&r, w);
    if (concerns_somebody(w)) {
        run_seats(&r);
        goals_and_exits(&r, false);
        waits(&r);
    }
    trigger_event(&r);
    trigger_flips(&r);
    trigger_changes(&r);
    return finish(&r, touched_before);
}

bool walk_due(struct walk *w)
{
    struct run r;
    uint32_t touched_before = w->touched->count;
    run_begin(&r, w);
    run_seats(&r);
    goals_and_exits(&r, true);
    dues(&r);
    waits(&r);
    trigger_dates(&r, w->armed ? w->armed : w->now);
    trigger_flips(&r);
    trigger_changes(&r);
    return finish(&r, touched_before);
}

static uint32_t earlier(uint32_t a, uint32_t b) { return a < b ? a : b; }

uint32_t walk_next_due(struct walk *w)
{
    uint32_t bytes, dates, next = NEVER;
    const uint8_t *at = store_block(w->store, w->row, BLOCK_JOURNEYS, &bytes);
    if (w->event && !w->moved) bytes = 0; /* an event that moved nobody: the wake-up that is armed holds */
    for (uint32_t done = 0; done < bytes;) {
        const struct instance *i = (const void *)(at + done);
        const struct journey *j = journey_version(w->set, i->journey, i->version);
        next =
            earlier(next, j ? earlier(i->deadline, earlier(due_of(w, i), silence_end(w, i, j))) : w->now + 1);
        done += i->bytes;
    }
    journey_listeners(w->set, LISTEN_DATE, 0, &dates);
    if (dates == 0) return next;
    struct run r;
    run_begin(&r, w);
    return earlier(next, trigger_next_date(&r));
}

/* ---- merges and commands ------------------------------------------------------------------------------- */

static bool doubles(const struct seat *a, const struct seat *b)
{
    bool both = a->head.state != INSTANCE_FINISHED && b->head.state != INSTANCE_FINISHED &&
                a->head.journey == b->head.journey && a->head.key_hash == b->head.key_hash;
    return both && a->journey && a->journey->while_active != ACTIVE_PARALLEL;
}

/* The survivor's instances come first in the block. */
void walk_merged(struct walk *w)
{
    struct run r;
    uint32_t left = 0;
    if (!has_instances(w)) return;
    w->moved = true; /* the other half's seconds are new here */
    run_begin(&r, w);
    run_seats(&r);
    for (uint32_t i = 0; i < r.count; i++) {
        for (uint32_t k = 0; k < i && !r.seats[i].gone; k++)
            if (!r.seats[k].gone && doubles(&r.seats[k], &r.seats[i]))
                run_leave(&r, &r.seats[i], DECISION_CANCELLED);
        if (!r.seats[i].gone && ++left > INSTANCES_MAX) run_leave(&r, &r.seats[i], DECISION_TOO_MANY);
    }
    run_close(&r);
}

static void command_seats(struct run *r, enum journey_command c, uint16_t journey)
{
    for (uint32_t i = 0; i < r->count; i++) {
        struct seat *seat = &r->seats[i];
        if (seat->gone || seat->fresh || seat->head.journey != journey || seat->head.state != INSTANCE_ACTIVE)
            continue;
        if (c == JOURNEY_CANCEL || !seat->journey)
            run_leave(r, seat, DECISION_CANCELLED);
        else
            wait_skip(r, seat);
    }
}

bool walk_command(struct walk *w, enum journey_command c, uint16_t journey)
{
    struct run r;
    uint32_t touched_before = w->touched->count;
    const struct journey *j = journey < w->set->journey_count ? w->set->journeys[journey] : NULL;
    run_begin(&r, w);
    run_seats(&r);
    if (c == JOURNEY_CANCEL || c == JOURNEY_SKIP)
        command_seats(&r, c, journey);
    else if (j)
        trigger_enroll(&r, j, c == JOURNEY_RESTART);
    return finish(&r, touched_before);
}
