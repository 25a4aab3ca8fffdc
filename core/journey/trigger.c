/* trigger.c - who is taken into a journey, and when a date comes round. */
#include "core/journey/run.h"

bool journey_takes(const struct journey *j, uint32_t now)
{
    return j->state == JOURNEY_LIVE && now >= j->active_from &&
           (j->active_until == 0 || now < j->active_until);
}

static uint64_t key_of(struct run *r, const struct journey *j)
{
    struct value v = run_value(r, NULL, j->key);
    if (v.kind <= V_NULL || v.kind == V_ERROR) return 0;
    struct pack text = {.arena = r->w->scratch};
    msgpack_packer pk;
    msgpack_packer_init(&pk, &text, pack_write);
    pack_value(&pk, v);
    uint64_t h = hash64_plain(text.p, text.n);
    return h ? h : 1;
}

static enum decision reentry_allows(const struct run *r, const struct journey *j, uint64_t key_hash)
{
    const struct walk *w = r->w;
    if (j->reentry == REENTRY_KEYED) { /* the key's last instance stays until `after` has passed */
        for (uint32_t i = 0; i < r->count; i++)
            if (!r->seats[i].gone && r->seats[i].head.journey == j->id &&
                r->seats[i].head.key_hash == key_hash &&
                w->now - r->seats[i].head.entered_at < j->reentry_after_s)
                return DECISION_REENTRY;
        return DECISION_NONE;
    }
    const struct journey_memory *m = memory_find(w->store, w->row, j->id);
    if (!m || m->entries == 0 || j->reentry == REENTRY_ALWAYS) return DECISION_NONE;
    if (j->reentry == REENTRY_AFTER && w->now - m->last_entry >= j->reentry_after_s) return DECISION_NONE;
    return DECISION_REENTRY;
}

static enum decision may_enter(struct run *r, const struct journey *j, uint64_t key_hash, struct seat *inside)
{
    struct walk *w = r->w;
    if (!journey_takes(j, w->now)) return DECISION_NOT_LIVE;
    if (pause_until(w->store, w->row, j->id) > w->now) return DECISION_PAUSED;
    if (j->reentry == REENTRY_KEYED && key_hash == 0) return DECISION_NO_KEY;
    if (inside &&
        (inside->fresh || inside->head.state == INSTANCE_HELD_OUT || j->while_active == ACTIVE_IGNORE))
        return DECISION_ALREADY_INSIDE;
    if (!(inside && j->while_active == ACTIVE_RESTART) && reentry_allows(r, j, key_hash))
        return DECISION_REENTRY;
    return run_true(r, NULL, j->only_if) ? DECISION_NONE : DECISION_NOT_ELIGIBLE;
}

static void start(struct run *r, const struct journey *j, const struct event *event, uint64_t key_hash)
{
    struct seat *seat = run_enter(r, &(struct entry){j, event, key_hash});
    if (seat && !run_leave_if_over(r, seat)) seat_run(r, seat);
}

enum decision trigger_try(struct run *r, const struct journey *j, const struct match *trigger,
                          const struct event *event)
{
    if (j->state == JOURNEY_DRAFT) return DECISION_NONE;
    if (trigger && !run_true(r, NULL, trigger->where)) return DECISION_NONE;
    run_seats(r);
    uint64_t key_hash = j->reentry == REENTRY_KEYED ? key_of(r, j) : 0;
    struct seat *inside = run_inside(r, j->id, key_hash);
    enum decision d = r->w->late ? DECISION_LATE : may_enter(r, j, key_hash, inside);
    if (d == DECISION_ALREADY_INSIDE) r->w->journeys[j->id].ignored++;
    uint32_t until = d == DECISION_PAUSED ? pause_until(r->w->store, r->w->row, j->id) : 0;
    if (d != DECISION_NONE) return run_note(r, j->id, d, until), d;
    if (inside && j->while_active == ACTIVE_RESTART) run_leave(r, inside, DECISION_RESTARTED);
    start(r, j, event, key_hash);
    return DECISION_ENTERED;
}

void trigger_enroll(struct run *r, const struct journey *j, bool restart)
{
    struct seat *inside = run_inside(r, j->id, 0);
    enum decision d = !journey_takes(j, r->w->now) ? DECISION_NOT_LIVE
                      : inside && !restart         ? DECISION_ALREADY_INSIDE
                                                   : DECISION_NONE;
    if (d != DECISION_NONE) return run_note(r, j->id, d, 0);
    if (inside) run_leave(r, inside, DECISION_RESTARTED);
    start(r, j, NULL, 0);
}

void trigger_event(struct run *r)
{
    const struct event *e = r->w->event;
    uint32_t n;
    const struct listener *l = e ? journey_listeners(r->w->set, LISTEN_EVENT, e->type, &n) : (n = 0, NULL);
    for (uint32_t i = 0; i < n; i++) {
        if (hurdle_stops(&l[i].hurdle, e)) continue;
        const struct journey *j = r->w->set->journeys[l[i].journey];
        trigger_try(r, j, &j->triggers[l[i].trigger], e);
    }
}

void trigger_flips(struct run *r)
{
    for (uint32_t f = 0; f < r->w->flip_count; f++) {
        uint32_t n;
        const struct listener *l = journey_listeners(r->w->set, LISTEN_SEGMENT, r->w->flips[f].segment, &n);
        for (uint32_t i = 0; i < n; i++) {
            const struct journey *j = r->w->set->journeys[l[i].journey];
            const struct match *m = &j->triggers[l[i].trigger];
            if (r->w->flips[f].entered == (m->kind == MATCH_SEGMENT_ENTERED)) trigger_try(r, j, m, NULL);
        }
    }
}

void trigger_changes(struct run *r)
{
    for (uint32_t c = 0; c < r->w->change_count; c++) {
        uint32_t n;
        const struct listener *l =
            journey_listeners(r->w->set, LISTEN_ATTRIBUTE, r->w->changes[c].attribute, &n);
        for (uint32_t i = 0; i < n; i++) {
            const struct journey *j = r->w->set->journeys[l[i].journey];
            if (match_change(r, &j->triggers[l[i].trigger]))
                trigger_try(r, j, &j->triggers[l[i].trigger], NULL);
        }
    }
}

/* ---- dates ------------------------------------------------------------------------------------ */

enum { DAY = 86400 };

int64_t date_occurrence(const struct zone *zone, const struct match *m, struct value date, int32_t year)
{
    bool day =
        program_yields_date(m->date); /* that day wherever the person is; anything else is an instant */
    if (!m->every_year && !day && m->clock_s == 0) return date.i + m->offset_s;
    struct civil c;
    if (day)
        civil_from_seconds(date.i, &c);
    else
        zone_civil(zone, date.i, &c);
    if (m->every_year) c.year = year;
    if (!civil_valid(c.year, c.month, c.day)) c.day = 28; /* the 29th of February, never a day late */
    return zone_to_utc(zone, civil_days(c.year, c.month, c.day) * DAY + m->offset_s + m->clock_s);
}

uint32_t date_next(const struct zone *zone, const struct match *m, struct value date, uint32_t after)
{
    struct civil c;
    if (date.kind != V_TIME) return NEVER;
    zone_civil(zone, after, &c);
    int32_t first = c.year - 1 - m->offset_s / (365 * DAY), last = m->every_year ? first + 4 : first;
    for (int32_t year = first; year <= last; year++) {
        int64_t at = date_occurrence(zone, m, date, year);
        if (at > (int64_t)after) return at < NEVER ? (uint32_t)at : NEVER;
    }
    return NEVER;
}

static uint32_t next_of(struct run *r, const struct journey *j, const struct match *m, uint32_t after)
{
    if (j->state != JOURNEY_LIVE) return NEVER;
    return date_next(r->w->context->zone, m, run_value(r, NULL, m->date), after);
}

void trigger_dates(struct run *r, uint32_t from)
{
    uint32_t n;
    const struct listener *l = journey_listeners(r->w->set, LISTEN_DATE, 0, &n);
    for (uint32_t i = 0; i < n; i++) {
        const struct journey *j = r->w->set->journeys[l[i].journey];
        const struct match *m = &j->triggers[l[i].trigger];
        if (next_of(r, j, m, from - 1) <= r->w->now) trigger_try(r, j, m, NULL);
    }
}

uint32_t trigger_next_date(struct run *r)
{
    uint32_t n, next = NEVER;
    const struct listener *l = journey_listeners(r->w->set, LISTEN_DATE, 0, &n);
    for (uint32_t i = 0; i < n; i++) {
        const struct journey *j = r->w->set->journeys[l[i].journey];
        uint32_t at = next_of(r, j, &j->triggers[l[i].trigger], r->w->now);
        if (at < next) next = at;
    }
    return next;
}
