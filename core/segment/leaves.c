/* leaves.c - an event adds one entry to one type's history: whose comparison comes out otherwise than before?
 *
 * Leaves of a type stand by kind in order of their constant. The event moved a feature from one value to another: leaves
 * whose constant lies between may have flipped, the others have not. Each window is a feature of its own, but the event
 * is the same for all of them:
 *   counts: a window whose n-th newest entry it holds and the next one not has just come to n, so a leaf looks at two
 *           entries, and only leaves of at most as many as there are entries are looked at;
 *   sums:   where even the narrowest window holds all entries the sums are one. Else the windows are gone through from
 *           the narrowest on, while the sum grows with them;
 *   calendar day, week, month: count, sum, least and greatest of one property are found in one look at its entries.
 *
 * Why the others need not be looked at, although a segment also tells when time alone will flip it:
 *  1. before the event every stored membership was right at `now`, for overdue wake-ups run first;
 *  2. an entry that is not ahead of now only postpones when a leaf's truth ends by time: what leaves the window leaves
 *     it no sooner, and no count or sum is smaller at any later second than it would have been;
 *  3. so with the same truth a leaf's next flip, and with it the program's (min and max of them), is no sooner either,
 *     and the wake-up that is armed already comes in time.
 * A calendar window is simpler: nothing leaves it before its border, where every figure becomes that of no entry. So a
 * leaf's truth of today and its truth of nothing say when it flips, and neither changes unless the event flips it now.
 * Where that does not hold - entries ahead of now, negative numbers in a sum, history that folded or was dropped inside
 * a window - all leaves concerned are marked. */
#include "core/segment/leaves.h"
#include "core/base/check.h"

#include <math.h>
#include <stdlib.h>

/* A lapse is a whole program, struct expr_lapse, and stands for the leaves in it. The first event of a type, and a young
 * person has hardly any other, turns both of them without turning it: it becomes true when its seconds are over. */
enum { LEAF_LAPSE = LEAF_CALENDAR + 1, KINDS };

struct leaf {
    double at;         /* the constant: a count, a sum, seconds; all exact */
    uint32_t window_s; /* UINT32_MAX: lifetime */
    uint16_t rank;
};
struct range {
    uint32_t first, end;
};
struct feature { /* LEAF_SUM: of one property; LEAF_CALENDAR: one figure of one property in one unit */
    struct range leaves;
    uint16_t type, property;
    uint8_t kind, unit, what;
};
struct leaf_index {
    struct leaf *leaves;  /* by type, kind, property, constant */
    struct leaf *windows; /* the same, but in each struct feature by window */
    uint32_t types;
    uint32_t *first;          /* of a type's leaves of a kind, at type * KINDS + kind, and of the next */
    struct feature *features; /* by type, kind, property, unit */
    uint32_t *features_first; /* of a type, and of the next */
    bool calendars;
    struct range all; /* lifetime count of all types together */
};

/* ---- making ----------------------------------------------------------------------------------------- */

struct candidate {
    uint8_t kind, unit, what;
    uint16_t type, property;
    struct leaf leaf;
};

static int compare_leaves(const struct leaf *a, const struct leaf *b)
{
    if (a->at != b->at) return a->at < b->at ? -1 : 1;
    if (a->window_s != b->window_s) return a->window_s < b->window_s ? -1 : 1;
    return (a->rank > b->rank) - (a->rank < b->rank);
}

static int compare_windows(const void *pa, const void *pb)
{
    const struct leaf *a = pa, *b = pb;
    if (a->window_s != b->window_s) return a->window_s < b->window_s ? -1 : 1;
    return compare_leaves(a, b);
}

static int compare_candidates(const void *pa, const void *pb)
{
    const struct candidate *a = pa, *b = pb;
    if (a->type != b->type) return a->type < b->type ? -1 : 1;
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    if (a->property != b->property) return a->property < b->property ? -1 : 1;
    if (a->unit != b->unit) return a->unit < b->unit ? -1 : 1;
    if (a->what != b->what) return a->what < b->what ? -1 : 1;
    return compare_leaves(&a->leaf, &b->leaf);
}

static double constant_of(const struct expr_leaf *l)
{
    switch ((enum expr_leaf_kind)l->kind) {
    case LEAF_SUM:
    case LEAF_CALENDAR: return l->number;
    case LEAF_AGO: return (double)l->seconds;
    default: return l->count;
    }
}

static uint32_t add_leaf(struct candidate *list, uint32_t n, const struct expr_leaf *l, uint32_t rank)
{
    struct candidate c = {.kind = l->kind,
                          .type = l->type,
                          .property = l->property,
                          .unit = l->unit,
                          .what = l->what,
                          .leaf = {constant_of(l), l->window_s ? l->window_s : UINT32_MAX, (uint16_t)rank}};
    if (list) list[n] = c;
    c.leaf.at++;
    if (list && l->exactly) list[n + 1] = c;
    return n + 1 + l->exactly;
}

static bool add_lapse(struct candidate *list, uint32_t n, const struct program *p, uint32_t rank)
{
    struct expr_lapse lapse = program_lapse(p);
    if (!lapse.after_s || lapse.type == ID_NONE) return false;
    if (list)
        list[n] = (struct candidate){
            .kind = LEAF_LAPSE, .type = lapse.type, .leaf = {lapse.after_s, UINT32_MAX, (uint16_t)rank}};
    return true;
}

static uint32_t find_leaves(const struct segment_set *set, struct candidate *list) /* NULL: counts them */
{
    uint32_t n = 0, count;
    for (uint32_t rank = 0; rank < set->order_count; rank++) {
        const struct program *when = set->list[set->order[rank]].when;
        if (add_lapse(list, n, when, rank)) {
            n++;
            continue;
        }
        const struct expr_leaf *l = program_leaves(when, &count);
        for (uint32_t i = 0; i < count; i++) n = add_leaf(list, n, &l[i], rank);
    }
    return n;
}

/* counts[i + 1] of a thing numbered i becomes where its run begins, at [i]. */
static void add_up(uint32_t *counts, uint32_t things)
{
    for (uint32_t i = 0; i < things; i++) counts[i + 1] += counts[i];
}

static bool is_feature(const struct feature *f, const struct candidate *c)
{
    return f->type == c->type && f->kind == c->kind && f->property == c->property && f->unit == c->unit &&
           f->what == c->what;
}

static void make_features(struct leaf_index *index, const struct candidate *list, uint32_t n)
{
    struct feature *f = index->features;
    for (uint32_t i = 0; i < n; i++) {
        const struct candidate *c = &list[i];
        if (c->kind != LEAF_SUM && c->kind != LEAF_CALENDAR) continue;
        if (f == index->features || !is_feature(&f[-1], c)) {
            index->features_first[c->type + 1]++;
            *f++ = (struct feature){{i, i}, c->type, c->property, c->kind, c->unit, c->what};
        }
        f[-1].leaves.end = i + 1;
        index->calendars |= c->kind == LEAF_CALENDAR;
    }
    add_up(index->features_first, index->types);
    while (f-- > index->features)
        qsort(&index->windows[f->leaves.first], f->leaves.end - f->leaves.first, sizeof *index->windows,
              compare_windows);
}

struct leaf_index *leaf_index_make(const struct segment_set *set, struct arena *a)
{
    struct leaf_index *index = ARENA_NEW(a, struct leaf_index);
    uint32_t n = find_leaves(set, NULL);
    struct candidate *list = ARENA_ARRAY(a, struct candidate, n + 1);
    find_leaves(set, list);
    qsort(list, n, sizeof *list, compare_candidates);
    index->leaves = ARENA_ARRAY(a, struct leaf, n + 1);
    index->windows = ARENA_ARRAY(a, struct leaf, n + 1);
    for (uint32_t i = 0; i < n; i++) index->leaves[i] = index->windows[i] = list[i].leaf;
    index->all = (struct range){n, n};
    while (n && list[n - 1].type == ID_NONE) index->all.first = --n;
    index->types = n ? list[n - 1].type + 1u : 0;
    index->first = ARENA_ARRAY(a, uint32_t, index->types * KINDS + 1);
    for (uint32_t i = 0; i < n; i++) index->first[list[i].type * KINDS + list[i].kind + 1]++;
    add_up(index->first, index->types * KINDS);
    index->features = ARENA_ARRAY(a, struct feature, n + 1);
    index->features_first = ARENA_ARRAY(a, uint32_t, index->types + 1);
    make_features(index, list, n);
    return index;
}

/* ---- marking ---------------------------------------------------------------------------------------- */

struct marker {
    const struct leaf_index *index;
    const struct history_change *change;
    struct history_view *view;
    const struct zone *zone;
    uint32_t now;
    uint64_t *marks;
    uint32_t *next;
    struct calendar_window calendar[CALENDAR_UNITS]; /* now 0: not asked for yet */
};

static void mark(uint64_t *marks, uint16_t rank) { marks[rank / 64] |= 1ull << rank % 64; }

static void mark_range(const struct leaf *leaves, struct range r, uint64_t *marks)
{
    for (uint32_t i = r.first; i < r.end; i++) mark(marks, leaves[i].rank);
}

static struct range range_of(const struct leaf_index *index, uint16_t type, enum expr_leaf_kind kind)
{
    const uint32_t *first = &index->first[type * KINDS + kind];
    return (struct range){first[0], first[1]};
}

/* The first leaf whose constant is not below. Steps without a branch on the constants: no predictor can guess them. */
static uint32_t first_from(const struct leaf *leaves, struct range r, double low)
{
    uint32_t from = r.first, count = r.end - r.first;
    if (count == 0) return from;
    for (; count > 1; count -= count / 2)
        from += -(uint32_t)(leaves[from + count / 2 - 1].at < low) & count / 2;
    return from + (leaves[from].at < low);
}

/* Both ends included: one evaluation too many does no harm, and nobody has to think of > and >=. */
static void mark_between(const struct marker *m, struct range r, double low, double high)
{
    const struct leaf *leaves = m->index->leaves;
    for (uint32_t i = first_from(leaves, r, low); i < r.end && leaves[i].at <= high; i++)
        mark(m->marks, leaves[i].rank);
}

static int64_t starts_at(const struct marker *m, const struct leaf *l)
{
    return (int64_t)m->now - l->window_s + 1;
}

/* Windows inside which something else happened than one new entry. */
static void mark_unclear(const struct marker *m, struct range r)
{
    uint32_t folded_to = m->change->counts.folded_to;
    for (uint32_t i = r.first; folded_to && i < r.end; i++)
        if (starts_at(m, &m->index->leaves[i]) <= folded_to) mark(m->marks, m->index->leaves[i].rank);
}

static uint32_t time_back(const struct marker *m, uint32_t i) /* 0: the newest */
{
    return history_time(m->view, m->view->n - 1 - i);
}

static void mark_counts_within(const struct marker *m, struct range r)
{
    const struct leaf *l = m->index->leaves + r.first, *end = m->index->leaves + r.end;
    mark_unclear(m, r);
    for (; l < end && l->at <= m->view->n; l++) {
        uint32_t n = (uint32_t)l->at;
        int64_t start = starts_at(m, l);
        if (n == 0 || m->change->at < start || time_back(m, n - 1) < start) continue;
        if (n == m->view->n || time_back(m, n) < start) mark(m->marks, l->rank);
    }
}

static int64_t micros_back(const struct marker *m, uint16_t property, uint32_t i)
{
    uint64_t cell = *history_cell_at(m->view, m->view->n - 1 - i, property);
    return cell == CELL_ABSENT ? 0 : double_micros(cell_number(cell));
}

static int64_t micros_added(const struct marker *m, uint16_t property)
{
    const struct history_change *c = m->change;
    if (!c->props || property >= c->prop_count || c->props[property].kind != V_DOUBLE) return 0;
    return value_micros(c->props[property]);
}

struct sum { /* of the newest `inside` entries */
    __int128 micros;
    double low, high; /* before and behind the new entry */
    uint32_t inside;
    bool negative; /* one of them is: a wider window may have a smaller sum */
};

static double from_micros(__int128 micros) { return (double)micros / 1e6; }

static void sum_from(const struct marker *m, const struct feature *s, int64_t added, int64_t start,
                     struct sum *sum)
{
    uint32_t before = sum->inside;
    for (; sum->inside < m->view->n && time_back(m, sum->inside) >= start; sum->inside++) {
        int64_t micros = micros_back(m, s->property, sum->inside);
        sum->negative |= micros < 0;
        sum->micros += micros;
    }
    if (sum->inside == before) return;
    sum->low = from_micros(sum->micros - added);
    sum->high = from_micros(sum->micros);
}

static void mark_sums(const struct marker *m, const struct feature *s)
{
    const struct leaf *l = m->index->windows + s->leaves.first, *end = m->index->windows + s->leaves.end;
    int64_t added = micros_added(m, s->property);
    struct sum sum = {.negative = added < 0};
    mark_unclear(m, s->leaves);
    if (added == 0) return;
    sum_from(m, s, added, starts_at(m, l), &sum);
    if (sum.inside == m->view->n && m->change->at >= starts_at(m, l) && !sum.negative) {
        mark_between(m, s->leaves, sum.low, sum.high);
        return;
    }
    for (; l < end; l++) {
        int64_t start = starts_at(m, l);
        sum_from(m, s, added, start, &sum);
        bool crossed = m->change->at >= start && l->at >= sum.low && l->at <= sum.high;
        if (crossed || sum.negative) mark(m->marks, l->rank);
    }
}

static void mark_ago(const struct marker *m, struct range r)
{
    const struct behaviour_change *c = &m->change->counts;
    double before = c->old_count ? (double)m->now - c->old_last : (double)UINT32_MAX;
    if (!c->old_count || c->new_last != c->old_last) mark_between(m, r, (double)m->now - c->new_last, before);
}

/* At the first event of the type those whose seconds are not over yet stay as they were, false; the least of them says
 * when the first one comes true. Later events only put that off. */
static void mark_lapses(const struct marker *m, struct range r)
{
    const struct behaviour_change *c = &m->change->counts;
    const struct leaf *leaves = m->index->leaves;
    if (c->old_count) {
        mark_ago(m, r);
        return;
    }
    uint32_t i = r.first;
    for (; i < r.end && leaves[i].at <= m->now - c->new_last; i++) mark(m->marks, leaves[i].rank);
    if (i == r.end) return;
    double due = c->new_last + leaves[i].at;
    if (due < *m->next) *m->next = (uint32_t)due;
}

/* ---- calendar windows: nothing leaves one before its border, where all do ---------------------------------- */

struct figures {      /* of a property inside a window, without the new entry's */
    uint32_t entries; /* with the new one */
    uint32_t numbers;
    __int128 micros;
    double min, max;
    bool odd; /* something infinite is there */
};

static struct figures look_inside(const struct marker *m, uint16_t property, int64_t start,
                                  struct value added)
{
    struct figures f = {0};
    bool own = added.kind == V_DOUBLE; /* still to come */
    for (; f.entries < m->view->n && time_back(m, f.entries) >= start; f.entries++) {
        const uint64_t *cell = history_cell_at(m->view, m->view->n - 1 - f.entries, property);
        struct value v = cell_value(cell, T_NUMBER, m->view->heap);
        if (v.kind != V_DOUBLE) continue;
        f.odd |= !isfinite(v.d);
        if (own && v.d == added.d && time_back(m, f.entries) == m->change->at) {
            own = false;
            continue;
        }
        f.min = f.numbers && f.min < v.d ? f.min : v.d;
        f.max = f.numbers && f.max > v.d ? f.max : v.d;
        f.micros += value_micros(v);
        f.numbers++;
    }
    return f;
}

static void mark_moved(const struct marker *m, struct range r, double before, double after)
{
    if (before < after) mark_between(m, r, before, after);
    if (before > after) mark_between(m, r, after, before);
}

static void mark_figure(const struct marker *m, const struct feature *f, const struct figures *in,
                        struct value added)
{
    if (f->what == CALENDAR_COUNT) {
        mark_between(m, f->leaves, in->entries, in->entries);
    } else if (added.kind == V_DOUBLE) {
        double d = added.d;
        if (in->odd || (!in->numbers && f->what != CALENDAR_SUM)) /* of nothing there is no least */
            mark_range(m->index->leaves, f->leaves, m->marks);
        else if (f->what == CALENDAR_SUM)
            mark_moved(m, f->leaves, from_micros(in->micros), from_micros(in->micros + value_micros(added)));
        else if (f->what == CALENDAR_MIN)
            mark_moved(m, f->leaves, in->min, d < in->min ? d : in->min);
        else
            mark_moved(m, f->leaves, in->max, d > in->max ? d : in->max);
    }
}

/* The features of one property and unit, which look at the same entries; returns the next one. */
static const struct feature *mark_calendar(struct marker *m, const struct feature *f,
                                           const struct feature *end)
{
    const struct history_change *c = m->change;
    const struct feature *first = f;
    struct calendar_window *window = &m->calendar[f->unit];
    if (!window->now) *window = calendar_window(m->zone ? m->zone : zone_utc(), m->now, f->unit);
    int64_t start = window->start;
    bool unclear = c->counts.folded_to && start <= c->counts.folded_to;
    struct value added = c->props && f->property < c->prop_count ? c->props[f->property] : value_none();
    struct figures in = {0};
    if (c->at >= start) in = look_inside(m, f->property, start, added);
    for (; f < end && f->kind == first->kind && f->property == first->property && f->unit == first->unit; f++)
        if (unclear)
            mark_range(m->index->leaves, f->leaves, m->marks);
        else if (c->at >= start)
            mark_figure(m, f, &in, added);
    return f;
}

static void mark_features(struct marker *m, uint16_t type)
{
    const struct feature *f = &m->index->features[m->index->features_first[type]],
                         *end = &m->index->features[m->index->features_first[type + 1]];
    while (f < end)
        if (f->kind == LEAF_SUM)
            mark_sums(m, f++);
        else
            f = mark_calendar(m, f, end);
}

void leaf_mark_all(const struct leaf_index *index, uint16_t type, uint64_t *marks)
{
    mark_range(index->leaves, index->all, marks);
    if (type >= index->types) return;
    struct range r = {index->first[type * KINDS], index->first[(type + 1) * KINDS]};
    mark_range(index->leaves, r, marks);
}

static void mark_all_types(const struct marker *m, const struct store *s, row_t row)
{
    struct range r = m->index->all;
    if (r.first == r.end) return;
    double count = behaviour_lifetime(s, row, ID_NONE).count;
    mark_between(m, r, count, count);
}

static void mark_type(struct marker *m, const struct store *s, row_t row)
{
    const struct leaf_index *index = m->index;
    const struct history_change *c = m->change;
    if (c->type >= index->types) return;
    struct range all = {index->first[c->type * KINDS], index->first[(c->type + 1) * KINDS]};
    if (all.first == all.end) return;
    bool plain = c->counts.new_count == c->counts.old_count + 1 && c->counts.new_last <= m->now;
    if (!plain || !behaviour_view(s, row, c->type, m->view)) {
        mark_range(index->leaves, all, m->marks);
        return;
    }
    mark_between(m, range_of(index, c->type, LEAF_COUNT), c->counts.new_count, c->counts.new_count);
    mark_counts_within(m, range_of(index, c->type, LEAF_COUNT_WITHIN));
    mark_features(m, c->type);
    mark_ago(m, range_of(index, c->type, LEAF_AGO));
    mark_lapses(m, range_of(index, c->type, (enum expr_leaf_kind)LEAF_LAPSE));
}

void leaf_mark_flips(const struct leaf_index *index, const struct history_change *c, const struct store *s,
                     row_t row, const struct zone *zone, uint32_t now, uint64_t *marks,
                     struct history_view *view, uint32_t *next)
{
    struct marker m = {
        .index = index, .change = c, .view = view, .zone = zone, .now = now, .marks = marks, .next = next};
    view->count = 0;
    mark_all_types(&m, s, row);
    mark_type(&m, s, row);
}

bool leaf_calendars(const struct leaf_index *index) { return index->calendars; }
