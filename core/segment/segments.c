/* segments.c - which segments an event may concern, and their memberships.
 *
 * Segments are ranked: rank = position in `order`, a segment after those it uses. For every feature a run of ranks says
 * who reads it. What was touched marks ranks in a bit set; the set is walked upwards, each marked segment is evaluated,
 * and a flip marks those that read its membership, which lie further up. So each is evaluated once, in a fixed order.
 * History that is only compared with constants is not in these runs: leaves.c tells which of them an event may flip. */
#include "core/segment/leaves.h"
#include "core/base/check.h"

enum { FEATURES = FEATURE_PROFILE + 1 };

struct runs { /* by feature id: ranks[first[id] .. first[id + 1]) */
    uint32_t ids;
    uint32_t *first;
    uint16_t *ranks;
};
struct segment_index {
    struct runs runs[FEATURES];
    struct runs any; /* by feature: those that read it whatever its id, and "*" of history */
    uint16_t *timed; /* ranks */
    uint32_t timed_count;
    uint16_t *fresh; /* ranks: may hold for a person of whom nothing is known, or begin to by time alone */
    uint32_t fresh_count;
    struct leaf_index *leaves;
};

/* ---- order ---------------------------------------------------------------------------------------- */

struct sorter {
    const struct segment_set *set;
    uint8_t *state; /* 0 new, 1 open, 2 done */
    uint16_t *path;
    uint32_t depth;
    uint16_t *cycle;
    uint32_t *cycle_count;
};

static bool report_cycle(struct sorter *s, uint16_t id)
{
    uint32_t from = s->depth, n = 0;
    while (from > 0 && s->path[from - 1] != id) from--;
    for (uint32_t i = from ? from - 1 : 0; i < s->depth && n < *s->cycle_count; i++)
        s->cycle[n++] = s->path[i];
    *s->cycle_count = n;
    return false;
}

static bool visit(struct sorter *s, struct segment_set *set,
                  uint16_t id) /* depth: the longest chain of segments */
{
    uint32_t n;
    if (id >= set->count || !set->list[id].live || s->state[id] == 2) return true;
    if (s->state[id] == 1) return report_cycle(s, id);
    s->state[id] = 1;
    s->path[s->depth++] = id;
    const struct expr_dependency *d = program_dependencies(set->list[id].when, &n);
    for (uint32_t i = 0; i < n; i++)
        if (d[i].feature == FEATURE_SEGMENT && !visit(s, set, d[i].id)) return false;
    s->depth--;
    s->state[id] = 2;
    set->order[set->order_count++] = id;
    return true;
}

static bool sort(struct segment_set *set, struct arena *a, uint16_t *cycle, uint32_t *cycle_count)
{
    struct sorter s = {.set = set, .cycle = cycle, .cycle_count = cycle_count};
    s.state = ARENA_ARRAY(a, uint8_t, set->count + 1);
    s.path = ARENA_ARRAY(a, uint16_t, set->count + 1);
    set->order = ARENA_ARRAY(a, uint16_t, set->count + 1);
    set->order_count = 0;
    for (uint32_t id = 0; id < set->count; id++)
        if (!visit(&s, set, (uint16_t)id)) return false;
    return true;
}

/* ---- feature -> ranks -------------------------------------------------------------------------------- */

/* All dependencies that leaves don't tell, in order of rank, so that every run comes out sorted. */
typedef void each_dependency(void *self, uint32_t rank, struct expr_dependency d);
static void each(const struct segment_set *set, each_dependency *f, void *self)
{
    for (uint32_t rank = 0; rank < set->order_count; rank++) {
        uint32_t n;
        const struct expr_dependency *d = program_dependencies(set->list[set->order[rank]].when, &n);
        for (uint32_t i = 0; i < n; i++)
            if (!d[i].by_leaves) f(self, rank, d[i]);
    }
}

static struct runs *run_of(struct segment_index *index, struct expr_dependency d, uint32_t *id)
{
    bool any = d.id == ID_NONE || d.feature == FEATURE_SENDS;
    *id = any ? d.feature : d.id;
    return any ? &index->any : &index->runs[d.feature];
}

static void measure(void *self, uint32_t rank, struct expr_dependency d)
{
    uint32_t id;
    struct runs *r = run_of(self, d, &id);
    if (id >= r->ids) r->ids = id + 1;
}

static void count(void *self, uint32_t rank, struct expr_dependency d)
{
    uint32_t id;
    run_of(self, d, &id)->first[id + 1]++;
}

static void place(void *self, uint32_t rank, struct expr_dependency d)
{
    uint32_t id;
    struct runs *r = run_of(self, d, &id);
    r->ranks[r->first[id]++] = (uint16_t)rank;
}

static void each_runs(struct segment_index *index, void (*f)(struct runs *r, struct arena *a),
                      struct arena *a)
{
    for (uint32_t i = 0; i < FEATURES; i++) f(&index->runs[i], a);
    f(&index->any, a);
}

static void make_first(struct runs *r, struct arena *a) { r->first = ARENA_ARRAY(a, uint32_t, r->ids + 2); }

static void make_ranks(struct runs *r, struct arena *a)
{
    for (uint32_t i = 0; i < r->ids; i++) r->first[i + 1] += r->first[i];
    r->ranks = ARENA_ARRAY(a, uint16_t, r->first[r->ids] + 1);
}

/* Placing moved each start to its end, which is the next one's start. */
static void shift_first(struct runs *r, struct arena *a)
{
    memmove(r->first + 1, r->first, (r->ids + 1) * sizeof *r->first);
    r->first[0] = 0;
}

/* A person just made is in no segment. That is right for whoever is false of nobody and stays so: only what the first
 * event touches can change it. What reads the row itself or consent (a channel may need none) is always asked. */
static bool may_hold_for_nobody(const struct program *p, struct arena *a)
{
    static const struct expr_source nobody;
    uint32_t n;
    const struct expr_dependency *d = program_dependencies(p, &n);
    for (uint32_t i = 0; i < n; i++)
        if (d[i].feature == FEATURE_PROFILE || d[i].feature == FEATURE_CONSENT) return true;
    struct expr_context ctx = {.source = &nobody, .now = 1, .scratch = a, .next_change = UINT32_MAX};
    return program_true(p, &ctx) || ctx.next_change != UINT32_MAX;
}

bool segment_set_index(struct segment_set *set, struct arena *a, uint16_t *cycle, uint32_t *cycle_count)
{
    CHECK(set->count < UINT16_MAX);
    if (!sort(set, a, cycle, cycle_count)) return false;
    *cycle_count = 0;
    struct segment_index *index = ARENA_NEW(a, struct segment_index);
    each(set, measure, index);
    each_runs(index, make_first, a);
    each(set, count, index);
    each_runs(index, make_ranks, a);
    each(set, place, index);
    each_runs(index, shift_first, a);
    index->timed = ARENA_ARRAY(a, uint16_t, set->order_count + 1);
    index->fresh = ARENA_ARRAY(a, uint16_t, set->order_count + 1);
    for (uint32_t rank = 0; rank < set->order_count; rank++) {
        const struct program *when = set->list[set->order[rank]].when;
        if (program_timed(when)) index->timed[index->timed_count++] = (uint16_t)rank;
        if (may_hold_for_nobody(when, a)) index->fresh[index->fresh_count++] = (uint16_t)rank;
    }
    index->leaves = leaf_index_make(set, a);
    set->calendars = leaf_calendars(index->leaves);
    set->index = index;
    return true;
}

/* ---- marking ------------------------------------------------------------------------------------------- */

static uint32_t words_of(const struct segment_set *set) { return (set->order_count + 63) / 64; }

static void mark_rank(uint64_t *ranks, uint16_t rank) { ranks[rank / 64] |= 1ull << rank % 64; }

static void mark_run(uint64_t *ranks, const struct runs *r, uint32_t id)
{
    if (id >= r->ids) return;
    for (uint32_t i = r->first[id]; i < r->first[id + 1]; i++) mark_rank(ranks, r->ranks[i]);
}

static void mark_feature(const struct segment_index *index, uint64_t *ranks, uint8_t feature, uint16_t id)
{
    mark_run(ranks, &index->runs[feature], id);
    mark_run(ranks, &index->any, feature);
    if (feature == FEATURE_HISTORY) leaf_mark_all(index->leaves, id, ranks);
}

static void mark_list(uint64_t *ranks, const uint16_t *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) mark_rank(ranks, list[i]);
}

static void marks_clear(const struct segment_set *set, struct segment_marks *m)
{
    m->view.count = 0;
    m->next = UINT32_MAX;
    memset(m->ranks, 0, words_of(set) * sizeof m->ranks[0]);
}

static bool marks_any(const struct segment_set *set, const struct segment_marks *m)
{
    uint64_t any = 0;
    for (uint32_t w = 0; w < words_of(set); w++) any |= m->ranks[w];
    return any != 0;
}

bool segments_mark(const struct segment_set *set, const struct store *s, row_t row,
                   const struct touched *touched, uint32_t now, struct segment_marks *out)
{
    const struct segment_index *index = set->index;
    marks_clear(set, out);
    if (set->order_count == 0) return false;
    if (touched->everything) {
        for (uint32_t rank = 0; rank < set->order_count; rank++) mark_rank(out->ranks, (uint16_t)rank);
        return true;
    }
    if (touched->event) {
        out->type = touched->event->type;
        mark_run(out->ranks, &index->runs[FEATURE_HISTORY], out->type);
        mark_run(out->ranks, &index->any, FEATURE_HISTORY);
        leaf_mark_flips(index->leaves, touched->event, s, row, touched->zone, now, out->ranks, &out->view,
                        &out->next);
    }
    if (touched->fresh) mark_list(out->ranks, index->fresh, index->fresh_count);
    for (uint32_t i = 0; i < touched->count; i++)
        mark_feature(index, out->ranks, touched->list[i].feature, touched->list[i].id);
    return marks_any(set, out);
}

bool segments_mark_timed(const struct segment_set *set, struct segment_marks *out)
{
    marks_clear(set, out);
    if (set->order_count == 0) return false;
    mark_list(out->ranks, set->index->timed, set->index->timed_count);
    return set->index->timed_count != 0;
}

/* ---- evaluation ---------------------------------------------------------------------------------------- */

struct update {
    const struct segment_set *set;
    struct store *store;
    row_t row;
    struct expr_context *ctx;
    struct flip *flips;
    uint32_t flip_count, flip_max;
    uint64_t *marks;
};

static void evaluate(struct update *u, uint32_t rank)
{
    uint16_t id = u->set->order[rank];
    bool is = program_true(u->set->list[id].when, u->ctx);
    if (!member_note(u->store, u->row, id, is, u->ctx->now)) return;
    if (u->flip_count < u->flip_max)
        u->flips[u->flip_count++] = (struct flip){id, is};
    else
        member_page_set(u->store, u->row, id, is);
    mark_feature(u->set->index, u->marks, FEATURE_SEGMENT, id);
}

/* Flips by segment id: insertion sort, there are few. */
static uint32_t sort_flips(struct update *u)
{
    for (uint32_t i = 1; i < u->flip_count; i++) {
        struct flip f = u->flips[i];
        uint32_t k = i;
        for (; k > 0 && u->flips[k - 1].segment > f.segment; k--) u->flips[k] = u->flips[k - 1];
        u->flips[k] = f;
    }
    return u->flip_count;
}

static void evaluate_marked(struct update *u, uint32_t words)
{
    for (uint32_t w = 0; w < words; w++)
        while (u->marks[w]) { /* a flip may add marks further up, in this word too */
            uint32_t bit = (uint32_t)__builtin_ctzll(u->marks[w]);
            u->marks[w] &= u->marks[w] - 1;
            evaluate(u, w * 64 + bit);
        }
}

uint32_t segments_update(const struct segment_set *set, struct store *s, row_t row,
                         struct segment_marks *marks, struct expr_context *ctx, struct flip *flips,
                         uint32_t max)
{
    struct update u = {set, s, row, ctx, flips, 0, max, marks->ranks};
    ctx->at_hand = marks->view.count ? &marks->view : NULL;
    ctx->at_hand_type = marks->type;
    evaluate_marked(&u, words_of(set));
    for (uint32_t i = 0; i < u.flip_count; i++) member_page_set(s, row, flips[i].segment, flips[i].entered);
    ctx->at_hand = NULL;
    return sort_flips(&u);
}
