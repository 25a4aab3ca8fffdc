/* What a person did: counts, sums and their like over kept history, and when they next change by time alone.
 *
 *   entries    e0 e1 | e2 e3 e4 | e5        a window [start, now]; e5 is ahead of now and enters when now reaches it
 *                    start      now
 * A sliding window's start moves with now (slope 1): an entry leaves at time + 1 + (now - start). A calendar window's
 * start stands until its border, where everything before the border leaves at once. since(T) never lets go.
 * Day buckets (what folded beyond the cap) count as one item each, at the end of their day. */
#include "core/expr/program.h"

#include <math.h>

enum { DAY_SECONDS = 86400 };
enum span_kind { SPAN_ALL, SPAN_SLIDING, SPAN_SINCE, SPAN_CALENDAR };

static const int64_t ago_of_never = 315576000000; /* longer than any duration can be */

const struct history_view *context_history(const struct expr_context *ctx, uint16_t type,
                                           struct history_view *room)
{
    const struct expr_source *s = ctx->source;
    if (ctx->at_hand && ctx->at_hand_type == type) return ctx->at_hand;
    return s && s->history && s->history(ctx->self, type, room) ? room : NULL;
}

static void history_of(const struct expr_context *ctx, uint16_t type, struct history_view *out)
{
    const struct history_view *h = context_history(ctx, type, out);
    if (!h)
        memset(out, 0, sizeof *out);
    else if (h != out)
        *out = *h;
}

/* ---- lifetime ----------------------------------------------------------------------------------------- */

/* count("*") merged all histories of a person for one number: a fifth of an event's time went there. */
struct lifetime context_lifetime(const struct expr_context *ctx, uint16_t type)
{
    const struct expr_source *s = ctx->source;
    bool at_hand = ctx->at_hand && ctx->at_hand_type == type;
    if (!at_hand && s && s->lifetime) return s->lifetime(ctx->self, type);
    struct history_view own;
    const struct history_view *h = context_history(ctx, type, &own);
    return h ? (struct lifetime){h->count, h->first, h->last} : (struct lifetime){0};
}

struct slot *op_count(struct machine *m, const struct instr *in, struct slot *top)
{
    return slot_push(top, value_int(context_lifetime(m->ctx, in->b).count));
}

struct slot *op_first(struct machine *m, const struct instr *in, struct slot *top)
{
    struct lifetime l = context_lifetime(m->ctx, in->b);
    return slot_push(top, l.count ? value_time(l.first) : value_fail("no such key: it never happened"));
}

struct slot *op_last(struct machine *m, const struct instr *in, struct slot *top)
{
    struct lifetime l = context_lifetime(m->ctx, in->b);
    return slot_push(top, l.count ? value_time(l.last) : value_fail("no such key: it never happened"));
}

struct slot *op_ago(struct machine *m, const struct instr *in, struct slot *top)
{
    struct lifetime l = context_lifetime(m->ctx, in->b);
    if (l.count == 0) return slot_push(top, value_duration(ago_of_never));
    *top = (struct slot){value_duration((int64_t)m->ctx->now - l.last), NEVER, 1};
    return top + 1;
}

/* ---- windows: a V_TIME of the start; extra holds the kind, n the border of a calendar window ---------- */

struct slot *op_sliding(struct machine *m, const struct instr *in, struct slot *top)
{
    struct slot *s = top - 1;
    slot_settle(m, s);
    if (s->v.kind == V_ERROR) return top;
    int64_t seconds = s->v.kind == V_DURATION ? s->v.i + ((int32_t)s->v.n > 0) : 0;
    if (seconds <= 0) {
        s->v = s->v.kind == V_DURATION ? value_fail("a window must be longer than nothing") : NO_OVERLOAD;
        return top;
    }
    s->v = value_time((int64_t)m->ctx->now - seconds + 1);
    s->v.extra = SPAN_SLIDING;
    s->slope = 1;
    return top;
}

struct slot *op_since(struct machine *m, const struct instr *in, struct slot *top)
{
    struct slot *s = top - 1;
    if (s->v.kind == V_ERROR && in->a) s->v = value_time(0); /* since it last happened, which it never did */
    if (s->v.kind == V_ERROR) return top;
    if (s->v.kind != V_TIME ||
        (s->slope != 0 && s->slope != 1)) { /* it moves, but not at the pace of the clock */
        slot_settle(m, s);
        if (s->v.kind != V_TIME) s->v = NO_OVERLOAD;
    }
    if (s->v.kind != V_TIME) return top;
    s->v = value_time(s->v.i + (s->v.n > 0));
    s->v.extra = s->slope ? SPAN_SLIDING : SPAN_SINCE;
    return top;
}

/* The civil day on which a calendar window began (back = 0) or the next one begins (1). */
static int64_t calendar_day(int64_t today, const struct civil *c, enum calendar_unit unit, int next)
{
    if (unit == CALENDAR_DAY) return today + next;
    if (unit == CALENDAR_WEEK) return today - (c->weekday + 6) % 7 + 7 * next;
    int32_t year = c->year + (next && c->month == 12);
    return civil_days(year, (c->month - 1u + (uint32_t)next) % 12 + 1, 1);
}

struct calendar_window calendar_window(const struct zone *zone, uint32_t now, uint8_t unit)
{
    struct civil c;
    zone_civil(zone, now, &c);
    int64_t today = civil_days(c.year, c.month, c.day);
    int64_t from = calendar_day(today, &c, (enum calendar_unit)unit, 0),
            to = calendar_day(today, &c, (enum calendar_unit)unit, 1);
    return (struct calendar_window){zone_to_utc(zone, from * DAY_SECONDS),
                                    as_second(zone_to_utc(zone, to * DAY_SECONDS)), now, zone};
}

struct slot *op_calendar(struct machine *m, const struct instr *in, struct slot *top)
{
    const struct zone *z = machine_zone(m);
    struct calendar_window *w = &m->ctx->calendar[in->a];
    if (w->now != m->ctx->now || w->zone != z) *w = calendar_window(z, m->ctx->now, in->a);
    struct value v = value_time(w->start);
    v.extra = SPAN_CALENDAR;
    v.n = w->border;
    return slot_push(top, v);
}

struct span {
    enum span_kind kind;
    int64_t start; /* time >= start is inside */
    uint32_t border, now;
};

static struct span span_of(const struct machine *m, const struct value *v)
{
    if (!v) return (struct span){SPAN_ALL, INT64_MIN, NEVER, m->ctx->now};
    return (struct span){v->extra, v->i, v->extra == SPAN_CALENDAR ? v->n : NEVER, m->ctx->now};
}

/* When an item of this time is no longer inside. */
static uint32_t leaves_at(const struct span *s, int64_t time)
{
    if (s->kind == SPAN_SLIDING) return as_second(time + 1 + (s->now - s->start));
    return s->kind == SPAN_CALENDAR && time < s->border ? s->border : NEVER;
}

/* ---- items: day buckets, then entries ------------------------------------------------------------------ */

struct walk {
    struct machine *m;
    const struct tally *t;
    struct slot *top; /* where blocks run */
    struct history_view h;
    struct span span;
    uint32_t buckets, items; /* buckets stand first; none where a filter or a value cannot see into them */
    uint32_t first, ahead;   /* items [first, ahead) are inside, [ahead, items) ahead of now */
    uint32_t change;         /* of the blocks: what a `where` said about time */
    uint32_t sum_index;      /* of the value among the type's numbers, for bucket sums */
};

struct total {
    int64_t count;   /* matching events */
    int64_t numbers; /* those of them with a number */
    __int128 micros;
};

static int64_t item_time(const struct walk *w, uint32_t i)
{
    if (i >= w->buckets) return history_time(&w->h, i - w->buckets);
    int64_t end = (int64_t)w->h.days[i].day * DAY_SECONDS + DAY_SECONDS - 1;
    int64_t oldest = w->h.n ? history_time(&w->h, 0) : end;
    return end < oldest ? end : oldest;
}

/* The first item whose time is at least `time`. */
static uint32_t item_at(const struct walk *w, int64_t time)
{
    uint32_t low = 0, high = w->items;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (item_time(w, middle) < time)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct slot *run_block(struct walk *w, uint32_t item, uint32_t at)
{
    struct machine *m = w->m;
    const struct history_view *view = m->view;
    uint32_t entry = m->entry;
    m->view = &w->h;
    m->entry = item - w->buckets;
    machine_run(m, m->program->code + at, w->top);
    m->view = view;
    m->entry = entry;
    slot_settle(m, w->top);
    w->change = sooner(w->change, w->top->change);
    return w->top;
}

static bool item_matches(struct walk *w, uint32_t i)
{
    return !w->t->where_at || slot_is(run_block(w, i, w->t->where_at), true);
}

static struct value item_value(struct walk *w, uint32_t i)
{
    int32_t property = w->t->value_property;
    if (property < 0) return run_block(w, i, w->t->value_at)->v;
    return cell_value(history_cell_at(&w->h, i - w->buckets, (uint32_t)property), T_NUMBER, w->h.heap);
}

static bool is_number(struct value v)
{
    return v.kind == V_INT || v.kind == V_UINT || (v.kind == V_DOUBLE && isfinite(v.d));
}

/* Adds (or takes away) one item; false: it does not match. */
static bool item_add(struct walk *w, uint32_t i, int sign, struct total *to)
{
    bool summed = w->t->flags & TALLY_VALUE;
    if (i < w->buckets) {
        const struct day_bucket *b = &w->h.days[i];
        to->count += sign * (int64_t)b->count;
        to->numbers += sign * (int64_t)b->count;
        if (summed && b->sums && w->sum_index < w->h.day_sums)
            to->micros += sign * ((const int64_t *)heap_at(w->h.heap, b->sums))[w->sum_index];
        return true;
    }
    if (!item_matches(w, i)) return false;
    to->count += sign;
    if (!summed) return true;
    struct value v = item_value(w, i);
    if (!is_number(v)) return true;
    to->numbers += sign;
    to->micros += sign * (__int128)value_micros(v);
    return true;
}

static void walk_begin(struct walk *w, struct machine *m, const struct tally *t, struct slot *top,
                       const struct value *window)
{
    w->m = m;
    w->t = t;
    w->top = top;
    w->change = NEVER;
    w->span = span_of(m, window);
    history_of(m->ctx, t->type, &w->h);
    bool whole = !t->entries_only && !t->where_at && (!(t->flags & TALLY_VALUE) || t->value_property >= 0) &&
                 t->what <= TALLY_AVG;
    w->buckets = whole ? w->h.day_count : 0;
    w->items = w->buckets + w->h.n;
    w->sum_index = 0;
    for (int32_t i = 0; w->buckets && i < t->value_property; i++)
        w->sum_index += w->h.type->props[i].type == T_NUMBER;
    w->first = w->span.kind == SPAN_ALL ? 0 : item_at(w, w->span.start);
    w->ahead = w->items;
    if (w->span.kind == SPAN_ALL || w->items == 0 || item_time(w, w->items - 1) <= w->span.now) return;
    w->ahead = item_at(w, (int64_t)w->span.now + 1);
    if (w->first > w->ahead) w->first = w->ahead;
}

static bool counts_only(const struct walk *w)
{
    return !w->t->where_at && !(w->t->flags & TALLY_VALUE) && w->buckets == 0;
}

static struct total walk_total(struct walk *w)
{
    struct total sum = {0};
    if (counts_only(w))
        sum.count = w->ahead - w->first;
    else
        for (uint32_t i = w->first; i < w->ahead; i++) item_add(w, i, 1, &sum);
    return sum;
}

static double as_number(__int128 micros)
{
    bool small = micros == (int64_t)micros; /* the wide conversion is slow */
    return (small ? (double)(int64_t)micros : (double)micros) / 1e6;
}

static struct value total_value(const struct tally *t, const struct total *sum)
{
    if (t->what == TALLY_COUNT) return value_int(sum->count);
    if (t->what == TALLY_SUM) return value_double(as_number(sum->micros));
    if (sum->numbers == 0) return value_fail("no such key: nothing to average");
    return value_double(as_number(sum->micros) / (double)sum->numbers);
}

/* ---- when does it change: any change ---------------------------------------------------------------------- */

static bool item_counts(struct walk *w, uint32_t i)
{
    struct total ignored = {0};
    return counts_only(w) || item_add(w, i, 1, &ignored);
}

static uint32_t walk_next(struct walk *w)
{
    uint32_t next = NEVER;
    if (w->span.kind == SPAN_ALL) return next;
    if (w->span.kind != SPAN_SINCE)
        for (uint32_t i = w->first; i < w->ahead && next == NEVER; i++)
            if (item_counts(w, i)) next = leaves_at(&w->span, item_time(w, i));
    for (uint32_t i = w->ahead; i < w->items; i++) {
        if (!item_counts(w, i)) continue;
        return sooner(next, as_second(item_time(w, i)));
    }
    return next;
}

/* ---- when does a comparison flip ----------------------------------------------------------------------------- */

enum truth { TRUTH_FALSE, TRUTH_TRUE, TRUTH_ERROR };

static enum truth truth_of(const struct walk *w, const struct total *sum, struct value operand)
{
    struct value v = total_value(w->t, sum);
    if (v.kind == V_ERROR || operand.kind == V_ERROR) return TRUTH_ERROR;
    int order = value_order(operand, v); /* operand OP tally: the tally is the right side */
    if (order == INCOMPARABLE)
        return w->t->compare == OP_NE ? TRUTH_TRUE : w->t->compare == OP_EQ ? TRUTH_FALSE : TRUTH_ERROR;
    return order_holds(w->t->compare, order) ? TRUTH_TRUE : TRUTH_FALSE;
}

/* A bare count that can only fall: the entry whose leaving makes `count` fewer than `least`. */
static uint32_t falls_below(const struct walk *w, int64_t count, int64_t least)
{
    if (count < least || least < 1) return NEVER;
    return leaves_at(&w->span, item_time(w, w->first + (uint32_t)(count - least)));
}

static bool falls_only(const struct walk *w, struct value operand)
{
    bool whole = operand.kind == V_INT && operand.i > -(1ll << 32) && operand.i < 1ll << 32;
    return counts_only(w) && w->t->what == TALLY_COUNT && w->ahead == w->items && whole &&
           w->t->compare != OP_EQ && w->t->compare != OP_NE;
}

/* Leavings and enterings in order of time, all of one second together, until the comparison comes out otherwise. */
static uint32_t walk_flip(struct walk *w, struct total sum, struct value operand)
{
    enum truth before = truth_of(w, &sum, operand);
    uint32_t out = w->first, in = w->ahead, calm = w->ahead < w->items ? w->span.border : NEVER;
    if (w->span.kind == SPAN_ALL) return NEVER;
    for (;;) {
        uint32_t leave = out < in ? leaves_at(&w->span, item_time(w, out)) : NEVER;
        uint32_t enter = in < w->items ? as_second(item_time(w, in)) : NEVER;
        uint32_t at = sooner(leave, enter);
        if (at >= calm) return calm; /* beyond a border with events ahead of now: look again then */
        if (at == NEVER) return NEVER;
        for (; out < in && leaves_at(&w->span, item_time(w, out)) == at; out++) item_add(w, out, -1, &sum);
        for (; in < w->items && item_time(w, in) == at; in++) item_add(w, in, 1, &sum);
        if (truth_of(w, &sum, operand) != before) return at;
    }
}

static uint32_t compare_next(struct walk *w, const struct total *sum, struct value operand)
{
    if (!falls_only(w, operand)) return walk_flip(w, *sum, operand);
    bool strict = w->t->compare == OP_LE || w->t->compare == OP_GT; /* operand <= count, operand > count */
    return falls_below(w, sum->count, operand.i + !strict);
}

/* [operand, window] -> bool */
static struct slot *tally_compared(struct walk *w, struct slot *operand)
{
    struct total sum = walk_total(w);
    enum truth truth = truth_of(w, &sum, operand->v);
    uint32_t change = compare_next(w, &sum, operand->v);
    if (truth == TRUTH_ERROR)
        operand->v =
            operand->v.kind == V_ERROR ? operand->v : value_fail("no such overload or nothing to average");
    else
        operand->v = value_bool(truth == TRUTH_TRUE);
    operand->change = sooner(operand->change, sooner(change, w->change));
    operand->slope = 0;
    return operand + 1;
}

/* ---- min, max, distinct -------------------------------------------------------------------------------------- */

/* From the newest back, so that the item that holds the extreme longest decides when it may change. */
static struct value walk_extreme(struct walk *w, int wanted, uint32_t *next)
{
    struct value best = value_fail("no such key: nothing to compare");
    for (uint32_t i = w->ahead; i-- > w->first;) {
        if (!item_matches(w, i)) continue;
        struct value v = item_value(w, i);
        if (value_is_bad(v) || (v.kind == V_DOUBLE && isnan(v.d))) continue;
        if (best.kind != V_ERROR && value_order(v, best) != wanted) continue;
        best = v;
        *next = leaves_at(&w->span, item_time(w, i));
    }
    return best;
}

/* The newest item of each value is the one that keeps it: it leaves last. */
static struct value walk_distinct(struct walk *w, uint32_t *next)
{
    uint32_t room = w->ahead - w->first, n = 0;
    struct value *seen = room ? arena_alloc(w->m->ctx->scratch, room * sizeof *seen) : NULL;
    if (room && !seen) return value_fail("out of scratch memory");
    for (uint32_t i = w->ahead; i-- > w->first;) {
        if (!item_matches(w, i)) continue;
        struct value v = item_value(w, i);
        if (value_is_bad(v)) continue;
        uint32_t at = 0;
        while (at < n && !value_equal(w->m, seen[at], v)) at++;
        if (at < n) continue;
        seen[n++] = v;
        *next = sooner(*next, leaves_at(&w->span, item_time(w, i)));
    }
    return value_int(n);
}

static struct slot tally_value(struct walk *w)
{
    uint32_t next = NEVER;
    struct value v;
    switch (w->t->what) {
    case TALLY_MIN: v = walk_extreme(w, -1, &next); break;
    case TALLY_MAX: v = walk_extreme(w, 1, &next); break;
    case TALLY_DISTINCT: v = walk_distinct(w, &next); break;
    default: {
        struct total sum = walk_total(w);
        v = total_value(w->t, &sum);
        next = walk_next(w);
        return (struct slot){v, sooner(next, w->change), 0};
    }
    }
    for (uint32_t i = w->ahead; i < w->items; i++) { /* the first that enters may change it */
        if (!item_matches(w, i)) continue;
        next = sooner(next, as_second(item_time(w, i)));
        break;
    }
    return (struct slot){v, sooner(next, w->change), 0};
}

struct slot *op_tally(struct machine *m, const struct instr *in, struct slot *top)
{
    const struct tally *t = &m->program->tallies[in->c];
    struct slot *window = t->flags & TALLY_WINDOW ? --top : NULL;
    m->next = m->program->code + t->next;
    if (window && window->v.kind == V_ERROR) {
        if (!t->compare) return window + 1;
        top[-1] = (struct slot){window->v, sooner(window->change, top[-1].change), 0};
        return top;
    }
    struct walk w;
    uint32_t window_change = window ? window->change : NEVER;
    walk_begin(&w, m, t, top + 1, window ? &window->v : NULL);
    if (t->compare)
        top = tally_compared(&w, top - 1);
    else
        *top = tally_value(&w), top++;
    top[-1].change = sooner(top[-1].change, window_change);
    return top;
}

/* ---- days_in_row ---------------------------------------------------------------------------------------------- */

/* Civil days with an event, ending today, or yesterday while today may still bring one. */
struct slot *op_days_in_row(struct machine *m, const struct instr *in, struct slot *top)
{
    const struct zone *z = machine_zone(m);
    struct tally plain = {.what = TALLY_COUNT, .type = in->b, .value_property = -1};
    struct walk w;
    struct value always = {.kind = V_TIME, .extra = SPAN_SINCE, .i = INT64_MIN};
    struct civil c;
    walk_begin(&w, m, &plain, top + 1, &always);
    zone_civil(z, m->ctx->now, &c);
    int64_t today = civil_days(c.year, c.month, c.day), expected = today, newest = today - 2;
    uint32_t days = 0;
    for (uint32_t i = w.ahead; i-- > 0;) {
        zone_civil(z, item_time(&w, i), &c);
        int64_t day = civil_days(c.year, c.month, c.day);
        if (days == 0 && day < today - 1) break;
        if (days == 0) newest = day;
        if (days == 0 || day == expected - 1)
            days++;
        else if (day != expected)
            break;
        expected = day;
    }
    uint32_t change = days ? as_second(zone_to_utc(z, (newest + 2) * DAY_SECONDS)) : NEVER;
    if (w.ahead < w.items) change = sooner(change, as_second(item_time(&w, w.ahead)));
    *top = (struct slot){value_int(days), change, 0};
    return top + 1;
}

/* ---- sequence ---------------------------------------------------------------------------------------------------- */

/* Going back from the last step, each takes the newest entry that is not newer than the step behind it: this keeps the
 * first step as late as it can be, so the sequence lasts as long as that one stays in the window. */
static bool step_latest(struct walk *w, int64_t not_after, uint32_t below, uint32_t *found)
{
    for (uint32_t i = below < w->ahead ? below : w->ahead; i-- > w->first;) {
        if (item_time(w, i) > not_after || !item_matches(w, i)) continue;
        *found = i;
        return true;
    }
    return false;
}

/* How far back a later step of the same type has already taken entries. */
static uint32_t taken_below(const struct sequence *s, uint32_t step, const uint32_t *taken)
{
    for (uint32_t later = step + 1; later < s->count; later++)
        if (s->steps[later].type == s->steps[step].type) return taken[later];
    return NEVER;
}

struct slot *op_sequence(struct machine *m, const struct instr *in, struct slot *top)
{
    const struct sequence *s = &m->program->sequences[in->c];
    struct slot *window = top - 1;
    m->next = m->program->code + s->next;
    if (window->v.kind == V_ERROR) return top;
    uint32_t taken[16], change = window->change, enters = NEVER, left = s->count;
    int64_t bound = m->ctx->now;
    uint32_t lasts = NEVER;
    bool whole = true;
    CHECK(s->count <= sizeof taken / sizeof *taken);
    while (left--) {
        struct tally t = {.what = TALLY_COUNT,
                          .type = s->steps[left].type,
                          .value_property = -1,
                          .entries_only = true,
                          .where_at = s->steps[left].where_at};
        struct walk w;
        walk_begin(&w, m, &t, top + 1, &window->v);
        for (uint32_t i = w.ahead; i < w.items; i++)
            if (item_matches(&w, i)) {
                enters = sooner(enters, as_second(item_time(&w, i)));
                break;
            }
        if (whole) whole = step_latest(&w, bound, taken_below(s, left, taken), &taken[left]);
        if (whole) bound = item_time(&w, taken[left]);
        if (whole) lasts = leaves_at(&w.span, bound);
        change = sooner(change, w.change);
    }
    change = sooner(change, whole ? lasts : enters);
    *window = (struct slot){value_bool(whole), change, 0};
    return top;
}
