/* leaves.c - an event adds one entry to one type's history: whose comparison comes out otherwise than before?
 *
 * All leaves of a type stand in groups of one feature - lifetime count, count in a window, sum in a window, time since
 * the last - and within a group in order of their constant. The event moved the feature from one value to another:
 * leaves whose constant lies between may have flipped, the others have not.
 *
 * Why the others need not be looked at, although a segment also tells when time alone will flip it:
 *  1. before the event every stored membership was right at `now`, for overdue wake-ups run first;
 *  2. an entry that is not ahead of now only postpones when a leaf's truth ends by time: what leaves the window leaves
 *     it no sooner, and no count or sum is smaller at any later second than it would have been;
 *  3. so with the same truth a leaf's next flip, and with it the program's (min and max of them), is no sooner either,
 *     and the wake-up that is armed already comes in time.
 * Where that does not hold - entries ahead of now, negative numbers in a sum, history that folded or was dropped inside
 * a window - all leaves concerned are marked. */
#include "core/segment/leaves.h"
#include "core/base/check.h"

#include <math.h>
#include <stdlib.h>

struct leaf {
    double at; /* the constant: a count, a sum, seconds; all exact */
    uint16_t rank;
};
struct group {
    uint8_t kind;      /* enum expr_leaf_kind */
    uint16_t type;     /* of the event */
    uint16_t property; /* LEAF_SUM */
    uint32_t window_s; /* UINT32_MAX: lifetime */
    uint32_t first, end;
};
struct leaf_index {
    struct leaf *leaves;
    struct group *groups; /* by type, kind, property, window ascending */
    uint32_t *first;      /* of a type's groups; types + 1 of them */
    uint32_t types;
    struct group all; /* lifetime count of all types together */
};

/* ---- making ----------------------------------------------------------------------------------------- */

struct candidate {
    struct group group;
    struct leaf leaf;
};

static int compare_groups(const struct group *a, const struct group *b)
{
    if (a->type != b->type) return a->type < b->type ? -1 : 1;
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    if (a->property != b->property) return a->property < b->property ? -1 : 1;
    return a->window_s < b->window_s ? -1 : a->window_s > b->window_s;
}

static int compare_candidates(const void *pa, const void *pb)
{
    const struct candidate *a = pa, *b = pb;
    int order = compare_groups(&a->group, &b->group);
    if (order) return order;
    if (a->leaf.at != b->leaf.at) return a->leaf.at < b->leaf.at ? -1 : 1;
    return (a->leaf.rank > b->leaf.rank) - (a->leaf.rank < b->leaf.rank);
}

static double constant_of(const struct expr_leaf *l)
{
    return l->kind == LEAF_SUM ? l->number : l->kind == LEAF_AGO ? (double)l->seconds : l->count;
}

static uint32_t add_leaf(struct candidate *list, uint32_t n, const struct expr_leaf *l, uint32_t rank)
{
    struct candidate f = {.group = {.kind = l->kind,
                                    .type = l->type,
                                    .property = l->property,
                                    .window_s = l->window_s ? l->window_s : UINT32_MAX},
                          .leaf = {constant_of(l), (uint16_t)rank}};
    if (list) list[n] = f;
    f.leaf.at++;
    if (list && l->exactly) list[n + 1] = f;
    return n + 1 + l->exactly;
}

static uint32_t find_leaves(const struct segment_set *set, struct candidate *list) /* NULL: counts them */
{
    uint32_t n = 0, count;
    for (uint32_t rank = 0; rank < set->order_count; rank++) {
        const struct expr_leaf *l = program_leaves(set->list[set->order[rank]].when, &count);
        for (uint32_t i = 0; i < count; i++) n = add_leaf(list, n, &l[i], rank);
    }
    return n;
}

struct leaf_index *leaf_index_make(const struct segment_set *set, struct arena *a)
{
    struct leaf_index *index = ARENA_NEW(a, struct leaf_index);
    uint32_t n = find_leaves(set, NULL), groups = 0;
    struct candidate *list = ARENA_ARRAY(a, struct candidate, n + 1);
    find_leaves(set, list);
    qsort(list, n, sizeof *list, compare_candidates);
    index->leaves = ARENA_ARRAY(a, struct leaf, n + 1);
    index->groups = ARENA_ARRAY(a, struct group, n + 1);
    for (uint32_t i = 0; i < n; i++) index->leaves[i] = list[i].leaf;
    index->all = (struct group){.kind = LEAF_COUNT, .type = ID_NONE, .first = n, .end = n};
    while (n && list[n - 1].group.type == ID_NONE) index->all.first = --n;
    index->types = n ? list[n - 1].group.type + 1u : 0;
    index->first = ARENA_ARRAY(a, uint32_t, index->types + 1);
    for (uint32_t i = 0; i < n; i++) {
        if (i == 0 || compare_groups(&list[i - 1].group, &list[i].group)) {
            index->groups[groups] = list[i].group;
            index->groups[groups++].first = i;
            index->first[list[i].group.type + 1]++;
        }
        index->groups[groups - 1].end = i + 1;
    }
    for (uint32_t type = 0; type < index->types; type++) index->first[type + 1] += index->first[type];
    return index;
}

/* ---- marking ---------------------------------------------------------------------------------------- */

struct marker {
    const struct leaf_index *index;
    const struct history_change *change;
    struct history_view *view;
    uint32_t now;
    uint64_t *marks;
};

static void mark(uint64_t *marks, uint16_t rank) { marks[rank / 64] |= 1ull << rank % 64; }

static void mark_group(const struct leaf_index *index, const struct group *g, uint64_t *marks)
{
    for (uint32_t i = g->first; i < g->end; i++) mark(marks, index->leaves[i].rank);
}

/* Both ends included: one evaluation too many does no harm, and nobody has to think of > and >=. */
static void mark_between(const struct marker *m, const struct group *g, double low, double high)
{
    const struct leaf *leaves = m->index->leaves;
    uint32_t from = g->first, to = g->end;
    while (from < to) {
        uint32_t middle = (from + to) / 2;
        if (leaves[middle].at < low)
            from = middle + 1;
        else
            to = middle;
    }
    for (; from < g->end && leaves[from].at <= high; from++) mark(m->marks, leaves[from].rank);
}

static int64_t starts_at(const struct marker *m, const struct group *g)
{
    return (int64_t)m->now - g->window_s + 1;
}

/* Inside this window something else happened than one new entry. */
static bool is_unclear(const struct marker *m, const struct group *g)
{
    return m->change->counts.folded_to && starts_at(m, g) <= m->change->counts.folded_to;
}

static uint32_t time_back(const struct marker *m, uint32_t i) /* 0: the newest */
{
    return history_time(m->view, m->view->n - 1 - i);
}

/* Windows ascend, so one walk back from the newest entry counts for all; beyond a group's largest constant the exact
 * count does not matter. */
static const struct group *mark_counts_within(const struct marker *m, const struct group *g,
                                              const struct group *end)
{
    uint32_t inside = 0;
    for (; g < end && g->kind == LEAF_COUNT_WITHIN; g++) {
        int64_t start = starts_at(m, g);
        double most = m->index->leaves[g->end - 1].at;
        if (is_unclear(m, g)) {
            mark_group(m->index, g, m->marks);
            continue;
        }
        while (inside < m->view->n && inside <= most && time_back(m, inside) >= start) inside++;
        if (m->change->at >= start) mark_between(m, g, inside, inside);
    }
    return g;
}

static int64_t micros_back(const struct marker *m, uint16_t property, uint32_t i)
{
    const uint64_t *cell = history_cell_at(m->view, m->view->n - 1 - i, property);
    struct value v = cell_value(cell, T_NUMBER, m->view->heap);
    return v.kind == V_DOUBLE ? value_micros(v) : 0;
}

static int64_t micros_added(const struct marker *m, uint16_t property)
{
    const struct history_change *c = m->change;
    if (!c->props || property >= c->prop_count || c->props[property].kind != V_DOUBLE) return 0;
    return value_micros(c->props[property]);
}

static double from_micros(__int128 micros) { return (double)micros / 1e6; }

/* The groups of one property, windows ascending. */
static const struct group *mark_sums(const struct marker *m, const struct group *g, const struct group *end)
{
    uint16_t property = g->property;
    int64_t added = micros_added(m, property);
    __int128 sum = 0;
    bool negative = added < 0;
    uint32_t inside = 0;
    for (; g < end && g->kind == LEAF_SUM && g->property == property; g++) {
        int64_t start = starts_at(m, g);
        for (; added && inside < m->view->n && time_back(m, inside) >= start; inside++) {
            int64_t micros = micros_back(m, property, inside);
            negative |= micros < 0;
            sum += micros;
        }
        if (is_unclear(m, g) || negative)
            mark_group(m->index, g, m->marks);
        else if (added && m->change->at >= start)
            mark_between(m, g, from_micros(sum - added), from_micros(sum));
    }
    return g;
}

static void mark_ago(const struct marker *m, const struct group *g)
{
    const struct behaviour_change *c = &m->change->counts;
    double before = c->old_count ? (double)m->now - c->old_last : (double)UINT32_MAX;
    if (!c->old_count || c->new_last != c->old_last) mark_between(m, g, (double)m->now - c->new_last, before);
}

static const struct group *mark_next(const struct marker *m, const struct group *g, const struct group *end)
{
    switch ((enum expr_leaf_kind)g->kind) {
    case LEAF_COUNT: mark_between(m, g, m->change->counts.new_count, m->change->counts.new_count); break;
    case LEAF_COUNT_WITHIN: return mark_counts_within(m, g, end);
    case LEAF_SUM: return mark_sums(m, g, end);
    case LEAF_AGO: mark_ago(m, g); break;
    }
    return g + 1;
}

void leaf_mark_all(const struct leaf_index *index, uint16_t type, uint64_t *marks)
{
    mark_group(index, &index->all, marks);
    if (type >= index->types) return;
    for (uint32_t i = index->first[type]; i < index->first[type + 1]; i++)
        mark_group(index, &index->groups[i], marks);
}

static void mark_all_types(const struct marker *m, const struct store *s, row_t row)
{
    const struct group *g = &m->index->all;
    if (g->first == g->end) return;
    double count = behaviour_lifetime(s, row, ID_NONE).count;
    mark_between(m, g, count, count);
}

static void mark_type(struct marker *m, const struct store *s, row_t row)
{
    const struct leaf_index *index = m->index;
    const struct history_change *c = m->change;
    if (c->type >= index->types) return;
    const struct group *g = &index->groups[index->first[c->type]],
                       *end = &index->groups[index->first[c->type + 1]];
    if (g == end) return;
    bool plain = c->counts.new_count == c->counts.old_count + 1 && c->counts.new_last <= m->now;
    if (!plain || !behaviour_view(s, row, c->type, m->view))
        while (g < end) mark_group(index, g++, m->marks);
    while (g < end) g = mark_next(m, g, end);
}

void leaf_mark_flips(const struct leaf_index *index, const struct history_change *c, const struct store *s,
                     row_t row, uint32_t now, uint64_t *marks, struct history_view *view)
{
    struct marker m = {.index = index, .change = c, .view = view, .now = now, .marks = marks};
    view->count = 0;
    mark_all_types(&m, s, row);
    mark_type(&m, s, row);
}
