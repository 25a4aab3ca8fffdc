/* Running a plan: leaves make words, logic joins them, and what is decided is not asked again. */
#include "core/expr/block.h"
#include "core/base/check.h"
#include "core/expr/block_plan.h"

enum { LISTED_MAX = 4, PREFETCH_AHEAD = 16 };
enum outcome { OUTCOME_ERROR, OUTCOME_NO, OUTCOME_YES };

struct table {
    uint8_t *outcome; /* by code */
    uint32_t known, room;
    uint8_t absent;                 /* the outcome for who has no value */
    uint8_t of_bool[2];             /* false, true */
    uint32_t count[3];              /* codes by outcome */
    uint16_t listed[3][LISTED_MAX]; /* the first of them */
};

struct block_run {
    const struct block_plan *plan;
    const struct kernels *kernels;
    const struct block_source *source;
    uint32_t now;
    struct table *tables;
    struct value *bounds;
    struct arena *arena, *scratch;
};

/* The words at hand; arrays of the block begin at its first word. */
struct span {
    struct block_run *run;
    uint32_t first, words;
};

static enum outcome outcome_of(struct value v)
{
    return v.kind != V_BOOL ? OUTCOME_ERROR : v.b ? OUTCOME_YES : OUTCOME_NO;
}

/* ---- tables: one outcome per code --------------------------------------------------------------------- */

static struct value only_attribute(void *self, uint16_t id) { return *(const struct value *)self; }

static enum outcome outcome_for(struct block_run *r, const struct plan_node *n, struct value attribute)
{
    static const struct expr_source source = {.attribute = only_attribute};
    arena_reset(r->scratch);
    struct expr_context ctx = {.source = &source,
                               .self = &attribute,
                               .now = r->now,
                               .zone = zone_utc(),
                               .scratch = r->scratch,
                               .next_change = UINT32_MAX};
    return outcome_of(program_run(n->program, &ctx));
}

static void table_grow(struct block_run *r, struct table *t, uint32_t codes)
{
    if (codes <= t->room) return;
    uint32_t room = t->room ? t->room * 2 : 64;
    while (room < codes) room *= 2;
    uint8_t *bigger = ARENA_ARRAY(r->arena, uint8_t, room);
    if (t->known) memcpy(bigger, t->outcome, t->known);
    t->outcome = bigger;
    t->room = room;
}

static uint32_t table_learn(struct block_run *r, const struct plan_node *n, uint32_t most)
{
    struct table *t = &r->tables[n->slot];
    uint32_t codes = r->source->texts(r->source->self, n->id), done = 0;
    table_grow(r, t, codes);
    for (; t->known < codes && done < most; done++) {
        struct slice text = r->source->text(r->source->self, n->id, t->known);
        enum outcome o = outcome_for(r, n, value_string(text));
        if (t->count[o] < LISTED_MAX) t->listed[o][t->count[o]] = (uint16_t)t->known;
        t->count[o]++;
        t->outcome[t->known++] = (uint8_t)o;
    }
    return done;
}

uint32_t block_run_prepare(struct block_run *r, uint32_t most)
{
    uint32_t done = 0;
    for (uint32_t i = 0; i < r->plan->tables && done < most; i++)
        done += table_learn(r, r->plan->table_nodes[i], most - done);
    return done;
}

static struct value bound_of(struct block_run *r, const struct program *p)
{
    struct expr_context ctx = {
        .now = r->now, .zone = zone_utc(), .scratch = r->arena, .next_change = UINT32_MAX};
    return program_run(p, &ctx);
}

struct block_run *block_run_make(const struct block_plan *plan, const struct kernels *kernels,
                                 const struct block_source *source, uint32_t now, struct arena *a,
                                 struct arena *scratch)
{
    struct block_run *r = ARENA_NEW(a, struct block_run);
    *r = (struct block_run){
        .plan = plan, .kernels = kernels, .source = source, .now = now, .arena = a, .scratch = scratch};
    r->tables = ARENA_ARRAY(a, struct table, plan->tables + 1);
    r->bounds = ARENA_ARRAY(a, struct value, plan->bounds + 1);
    for (uint32_t i = 0; i < plan->bounds; i++) r->bounds[i] = bound_of(r, plan->bound_nodes[i]->bound);
    for (uint32_t i = 0; i < plan->tables; i++) {
        const struct plan_node *n = plan->table_nodes[i];
        struct table *t = &r->tables[i];
        t->absent = (uint8_t)outcome_for(r, n, value_none());
        for (int b = 0; b < 2; b++) t->of_bool[b] = (uint8_t)outcome_for(r, n, value_bool(b));
    }
    return r;
}

/* ---- leaves ---------------------------------------------------------------------------------------------- */

static void clear(const struct span *s, struct truth *out)
{
    memset(out->yes + s->first, 0, s->words * sizeof out->yes[0]);
    memset(out->no + s->first, 0, s->words * sizeof out->no[0]);
}

/* Rows of `mask` come out so. */
static void decide(const struct span *s, const uint64_t *mask, enum outcome o, struct truth *out)
{
    uint64_t *to = o == OUTCOME_YES ? out->yes : out->no;
    for (uint32_t w = s->first; o != OUTCOME_ERROR && w < s->first + s->words; w++) to[w] |= mask[w];
}

static void ask_rows(const struct span *s, const struct program *p, const uint64_t *mask, struct truth *out)
{
    const struct block_source *source = s->run->source;
    uint16_t rows[BLOCK_ROWS];
    uint32_t n = 0;
    for (uint32_t w = s->first; w < s->first + s->words; w++)
        for (uint64_t left = mask[w]; left; left &= left - 1)
            rows[n++] = (uint16_t)(w * 64 + (uint32_t)__builtin_ctzll(left));
    for (uint32_t i = 0; i < n; i++) {
        if (source->prefetch && i + PREFETCH_AHEAD < n)
            source->prefetch(source->self, rows[i + PREFETCH_AHEAD]);
        enum outcome o = outcome_of(source->row(source->self, p, rows[i]));
        uint64_t bit = 1ull << rows[i] % 64;
        if (o == OUTCOME_YES) out->yes[rows[i] / 64] |= bit;
        if (o == OUTCOME_NO) out->no[rows[i] / 64] |= bit;
    }
}

/* Splits mask into who has a value and who has none. */
static void split_present(const struct span *s, const struct vector *v, const uint64_t *mask, uint64_t *here,
                          uint64_t *absent)
{
    for (uint32_t w = s->first; w < s->first + s->words; w++) {
        here[w] = v->present ? mask[w] & v->present[w] : 0;
        absent[w] = mask[w] & ~here[w];
    }
}

static void take_yes(const struct span *s, const uint64_t *here, struct truth *out)
{
    for (uint32_t w = s->first; w < s->first + s->words; w++) out->no[w] = here[w] & ~out->yes[w];
}

static void run_flag(const struct span *s, const struct vector *v, const uint64_t *here, struct truth *out)
{
    if (v->form != VECTOR_BOOLS) return;
    s->run->kernels->bytes((const uint8_t *)v->values + s->first * 64, here + s->first, out->yes + s->first,
                           s->words);
    take_yes(s, here, out);
}

static void run_compare(const struct span *s, const struct plan_node *n, const struct vector *v,
                        const uint64_t *mask, const uint64_t *here, struct truth *out)
{
    struct value bound = s->run->bounds[n->slot];
    const struct kernels *k = s->run->kernels;
    bool number = bound.kind >= V_INT && bound.kind <= V_DOUBLE;
    uint64_t *yes = out->yes + s->first;
    if (bound.kind == V_ERROR || v->form == VECTOR_EMPTY) return;
    if (v->form == VECTOR_NUMBERS && number) {
        double than = bound.kind == V_DOUBLE ? bound.d
                      : bound.kind == V_INT  ? (double)bound.i
                                             : (double)bound.u;
        k->numbers((const double *)v->values + s->first * 64, than, n->how, here + s->first, yes, s->words);
        take_yes(s, here, out);
    } else if (v->form == VECTOR_TIMES && bound.kind == V_TIME && bound.n % 1000000 == 0) {
        int64_t than = (bound.i * 1000 + bound.n / 1000000) * 2 + 1;
        k->wholes((const int64_t *)v->values + s->first * 64, than, n->how, here + s->first, yes, s->words);
        take_yes(s, here, out);
    } else {
        ask_rows(s, n->program, mask, out);
    }
}

static void look_up(const struct span *s, const struct table *t, const uint16_t *codes, const uint64_t *here,
                    struct truth *out)
{
    for (uint32_t w = s->first; w < s->first + s->words; w++)
        for (uint64_t left = here[w]; left; left &= left - 1) {
            uint32_t at = (uint32_t)__builtin_ctzll(left);
            enum outcome o = t->outcome[codes[w * 64 + at]];
            out->yes[w] |= (uint64_t)(o == OUTCOME_YES) << at;
            out->no[w] |= (uint64_t)(o == OUTCOME_NO) << at;
        }
}

static void run_codes(const struct span *s, const struct table *t, const struct vector *v,
                      const uint64_t *here, struct truth *out)
{
    enum outcome rare = t->count[OUTCOME_NO] < t->count[OUTCOME_YES] ? OUTCOME_NO : OUTCOME_YES;
    if (t->count[OUTCOME_ERROR] || t->count[rare] > LISTED_MAX) {
        look_up(s, t, v->values, here, out);
        return;
    }
    uint64_t *to = rare == OUTCOME_YES ? out->yes : out->no, *rest = rare == OUTCOME_YES ? out->no : out->yes;
    s->run->kernels->codes((const uint16_t *)v->values + s->first * 64, t->listed[rare], t->count[rare],
                           here + s->first, to + s->first, s->words);
    for (uint32_t w = s->first; w < s->first + s->words; w++) rest[w] = here[w] & ~to[w];
}

static void run_table(const struct span *s, const struct plan_node *n, const struct vector *v,
                      const uint64_t *mask, const uint64_t *here, const uint64_t *absent, struct truth *out)
{
    const struct table *t = &s->run->tables[n->slot];
    if (v->form != VECTOR_CODES && v->form != VECTOR_BOOLS && v->form != VECTOR_EMPTY) {
        ask_rows(s, n->program, mask, out);
        return;
    }
    if (v->form == VECTOR_CODES) run_codes(s, t, v, here, out);
    if (v->form == VECTOR_BOOLS) {
        struct truth is;
        clear(s, &is);
        run_flag(s, v, here, &is);
        decide(s, is.yes, t->of_bool[1], out);
        decide(s, is.no, t->of_bool[0], out);
    }
    decide(s, absent, t->absent, out);
}

static void run_column(const struct span *s, const struct plan_node *n, const uint64_t *mask,
                       struct truth *out)
{
    struct vector v = s->run->source->vector(s->run->source->self, n->id);
    uint64_t here[BLOCK_WORDS], absent[BLOCK_WORDS];
    split_present(s, &v, mask, here, absent);
    switch (n->kind) {
    case PLAN_PRESENT:
        decide(s, here, OUTCOME_YES, out);
        decide(s, absent, OUTCOME_NO, out);
        break;
    case PLAN_FLAG: run_flag(s, &v, here, out); break;
    case PLAN_COMPARE: run_compare(s, n, &v, mask, here, out); break;
    case PLAN_TABLE: run_table(s, n, &v, mask, here, absent, out); break;
    default: CHECK(!"a column's leaf");
    }
}

static void run_member(const struct span *s, const struct plan_node *n, const uint64_t *mask,
                       struct truth *out)
{
    const uint64_t *members = s->run->source->members(s->run->source->self, n->id);
    for (uint32_t w = s->first; w < s->first + s->words; w++) {
        out->yes[w] = members ? mask[w] & members[w] : 0;
        out->no[w] = mask[w] & ~out->yes[w];
    }
}

/* ---- logic -------------------------------------------------------------------------------------------------- */

static void run_node(const struct span *s, const struct plan_node *n, const uint64_t *mask,
                     struct truth *out);

static bool any(const struct span *s, const uint64_t *bits)
{
    uint64_t all = 0;
    for (uint32_t w = s->first; w < s->first + s->words; w++) all |= bits[w];
    return all != 0;
}

/* && : `yes` of all, `no` of any. || is the same with the two changed over. */
static void run_logic(const struct span *s, const struct plan_node *n, const uint64_t *mask,
                      struct truth *out)
{
    bool all = n->kind == PLAN_ALL;
    uint64_t open[BLOCK_WORDS];
    memcpy(open + s->first, mask + s->first, s->words * sizeof open[0]);
    run_node(s, n->child[0], mask, out);
    uint64_t *decided = all ? out->no : out->yes, *holding = all ? out->yes : out->no;
    for (uint32_t i = 1; i < n->count; i++) {
        struct truth next;
        for (uint32_t w = s->first; w < s->first + s->words; w++) open[w] &= ~decided[w];
        if (!any(s, open)) return;
        run_node(s, n->child[i], open, &next);
        const uint64_t *next_decided = all ? next.no : next.yes, *next_holding = all ? next.yes : next.no;
        for (uint32_t w = s->first; w < s->first + s->words; w++) {
            decided[w] |= next_decided[w];
            holding[w] &= next_holding[w];
        }
    }
}

static void run_not(const struct span *s, const struct plan_node *n, const uint64_t *mask, struct truth *out)
{
    struct truth inner;
    run_node(s, n->child[0], mask, &inner);
    memcpy(out->yes + s->first, inner.no + s->first, s->words * sizeof out->yes[0]);
    memcpy(out->no + s->first, inner.yes + s->first, s->words * sizeof out->no[0]);
}

static void run_choose(const struct span *s, const struct plan_node *n, const uint64_t *mask,
                       struct truth *out)
{
    struct truth condition, side;
    run_node(s, n->child[0], mask, &condition);
    clear(s, out);
    for (uint32_t i = 0; i < 2; i++) {
        const uint64_t *here = i ? condition.no : condition.yes;
        if (!any(s, here)) continue;
        run_node(s, n->child[1 + i], here, &side);
        decide(s, side.yes, OUTCOME_YES, out);
        decide(s, side.no, OUTCOME_NO, out);
    }
}

static void run_node(const struct span *s, const struct plan_node *n, const uint64_t *mask, struct truth *out)
{
    switch ((enum plan_kind)n->kind) {
    case PLAN_ALL:
    case PLAN_ANY: run_logic(s, n, mask, out); return;
    case PLAN_NOT: run_not(s, n, mask, out); return;
    case PLAN_CHOOSE: run_choose(s, n, mask, out); return;
    case PLAN_MEMBER: run_member(s, n, mask, out); return;
    default: break;
    }
    clear(s, out);
    if (n->kind == PLAN_CONST)
        decide(s, mask, n->value ? OUTCOME_YES : OUTCOME_NO, out);
    else if (n->kind == PLAN_ROWS)
        ask_rows(s, n->program, mask, out);
    else
        run_column(s, n, mask, out);
}

void block_run_words(struct block_run *r, uint32_t first, uint32_t words, const uint64_t *mask,
                     struct truth *out)
{
    CHECK(first + words <= BLOCK_WORDS);
    struct span s = {r, first, words};
    run_node(&s, r->plan->root, mask, out);
}
