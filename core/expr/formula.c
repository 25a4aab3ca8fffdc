#include "core/expr/formula.h"
#include "core/expr/program.h"

/* ---- making ----------------------------------------------------------------------------------------- */

struct maker {
    struct term terms[FORMULA_TERMS_MAX];
    uint32_t count;
};

static bool add(struct maker *m, struct term t)
{
    if (m->count == FORMULA_TERMS_MAX) return false;
    m->terms[m->count++] = t;
    return true;
}

static bool add_counts(struct maker *m, const struct node *n)
{
    if (n->child[0]->op != OP_COUNT || n->child[1]->op != OP_COUNT) return false;
    struct term t = {TERM_COUNTS, n->op, .type = n->child[0]->b, .other = n->child[1]->b};
    return add(m, t);
}

static bool add_number(struct maker *m, const struct node *n)
{
    const struct node *property = n->child[0], *constant = n->child[1];
    if (property->op != OP_PROPERTY || property->a || constant->op != OP_CONST) return false;
    struct term t = {TERM_NUMBER, n->op, .type = property->b, .other = property->c, .name = &property->value};
    t.number = constant->value.d;
    return constant->value.kind == V_DOUBLE && t.number == t.number && add(m, t);
}

/* All are said as "at least": x > 3 is x >= 4, x < 3 is not x >= 3, x == 0 is not x >= 1. */
static bool add_leaf(struct maker *m, const struct node *n)
{
    struct expr_leaf leaf;
    if (!leaf_of(n, &leaf) || leaf.kind == LEAF_SUM || leaf.kind == LEAF_CALENDAR) return false;
    bool left = n->child[1]->op == OP_CONST;
    uint8_t op = left ? n->op : op_mirrored(n->op);
    struct term t = {TERM_COUNT, op, op == OP_LT || op == OP_LE || op == OP_EQ, .type = leaf.type};
    if (n->child[!left]->op == OP_TALLY && leaf.kind == LEAF_COUNT) return false;
    if (leaf.kind == LEAF_AGO) {
        t.kind = TERM_AGO;
        t.least = (uint32_t)leaf.seconds + (op == OP_GT || op == OP_LE);
        return add(m, t);
    }
    if (leaf.exactly && leaf.count != 0) return false;
    t.least = leaf.count + leaf.exactly;
    t.window_s = leaf.window_s;
    if (leaf.kind == LEAF_COUNT_WITHIN) t.kind = TERM_WITHIN;
    return add(m, t);
}

static bool add_node(struct maker *m, const struct node *n)
{
    switch (n->op) {
    case OP_AND:
    case OP_OR:
        return add_node(m, n->child[0]) && add_node(m, n->child[1]) &&
               add(m, (struct term){n->op == OP_AND ? TERM_AND : TERM_OR});
    case OP_NOT: return add_node(m, n->child[0]) && add(m, (struct term){TERM_NOT});
    case OP_SEGMENT: return add(m, (struct term){TERM_SEGMENT, .type = n->b});
    default:
        return n->op >= OP_EQ && n->op <= OP_GE && (add_leaf(m, n) || add_counts(m, n) || add_number(m, n));
    }
}

const struct formula *formula_make(const struct node *root, struct arena *a)
{
    struct maker m = {.count = 0};
    if (!add_node(&m, root)) return NULL;
    size_t bytes = m.count * sizeof m.terms[0];
    struct formula *f = arena_alloc(a, sizeof *f + bytes);
    f->count = m.count;
    memcpy(f->terms, m.terms, bytes);
    return f;
}

/* ---- whoever has not come back --------------------------------------------------------------------------- */

struct expr_lapse program_lapse(const struct program *p)
{
    const struct formula *f = p->formula;
    struct expr_lapse none = {0};
    if (!f || f->count != 3 || f->terms[2].kind != TERM_AND) return none;
    const struct term *ever = &f->terms[0], *ago = &f->terms[1];
    if (ever->kind == TERM_AGO) ever = &f->terms[1], ago = &f->terms[0];
    bool both = ever->kind == TERM_COUNT && ago->kind == TERM_AGO && ever->type == ago->type;
    if (!both || ever->negated || ago->negated || ever->least != 1) return none;
    return (struct expr_lapse){ago->type, ago->least};
}

/* ---- one number that must be right --------------------------------------------------------------------- */

static struct expr_hurdle hurdle_of(const struct node *n)
{
    struct expr_hurdle none = {0};
    struct maker m = {.count = 0};
    if (n->op == OP_AND) {
        struct expr_hurdle first = hurdle_of(n->child[0]);
        return first.orders ? first : hurdle_of(n->child[1]);
    }
    if (n->op < OP_EQ || n->op > OP_GE || !add_number(&m, n)) return none;
    const struct term *t = &m.terms[0];
    if (t->type != 0 || t->other == ID_NONE) return none;
    struct expr_hurdle h = {.property = t->other, .number = t->number};
    for (int order = -1; order <= 1; order++)
        h.orders |= (uint8_t)(order_holds((enum op)t->op, order) << (order + 1));
    return h;
}

struct expr_hurdle program_hurdle(const struct program *p)
{
    return p->root ? hurdle_of(p->root) : (struct expr_hurdle){0};
}

/* ---- running ---------------------------------------------------------------------------------------- */

struct verdict {
    bool is;
    uint32_t change; /* as of a slot */
};

/* The least-th newest entry decides: inside, there are that many, until it leaves. */
static bool decide_within(const struct term *t, const struct expr_context *ctx, struct verdict *out)
{
    struct history_view own;
    const struct history_view *h = context_history(ctx, t->type, &own);
    *out = (struct verdict){t->least == 0, NEVER};
    if (!h) return true;
    if (h->day_count || (h->n && history_time(h, h->n - 1) > ctx->now)) return false;
    if (t->least == 0 || h->n < t->least) return true;
    int64_t leaves = (int64_t)history_time(h, h->n - t->least) + t->window_s;
    if (leaves <= ctx->now) return true;
    *out = (struct verdict){true, as_second(leaves)};
    return true;
}

static struct verdict decide_ago(const struct term *t, const struct expr_context *ctx)
{
    struct lifetime l = context_lifetime(ctx, t->type);
    int64_t reached = (int64_t)l.last + t->least;
    if (l.count == 0 || reached <= ctx->now) return (struct verdict){true, NEVER};
    return (struct verdict){false, as_second(reached)};
}

static bool counts_hold(const struct term *t, const struct expr_context *ctx)
{
    uint32_t a = context_lifetime(ctx, t->type).count, b = context_lifetime(ctx, t->other).count;
    return order_holds(t->op, (a > b) - (a < b));
}

static bool is_member(const struct term *t, const struct expr_context *ctx)
{
    const struct expr_source *s = ctx->source;
    return s && s->segment && s->segment(ctx->self, t->type, NULL, NULL);
}

static bool decide_number(const struct term *t, const struct expr_context *ctx, struct verdict *out)
{
    const struct expr_source *s = ctx->source;
    if (!s || !s->property) return false;
    struct value v = s->property(ctx->self, t->type, value_text(*t->name), t->other);
    if (v.kind != V_DOUBLE || v.d != v.d) return false;
    out->is = order_holds(t->op, (v.d > t->number) - (v.d < t->number));
    return true;
}

static bool decide_term(const struct term *t, const struct expr_context *ctx, struct verdict *out)
{
    bool plain = true;
    *out = (struct verdict){false, NEVER};
    switch ((enum term_kind)t->kind) {
    case TERM_COUNT: out->is = context_lifetime(ctx, t->type).count >= t->least; break;
    case TERM_WITHIN: plain = decide_within(t, ctx, out); break;
    case TERM_AGO: *out = decide_ago(t, ctx); break;
    case TERM_COUNTS: out->is = counts_hold(t, ctx); break;
    case TERM_NUMBER: plain = decide_number(t, ctx, out); break;
    default: out->is = is_member(t, ctx);
    }
    out->is ^= t->negated;
    return plain;
}

/* As the machine's: `decides` alone is enough, false for &&, true for ||. */
static struct verdict combine(struct verdict a, struct verdict b, bool decides)
{
    if (a.is == decides && b.is == decides) return a.change > b.change ? a : b;
    if (a.is == decides) return a;
    if (b.is == decides) return b;
    return a.change < b.change ? a : b;
}

bool formula_true(const struct formula *f, struct expr_context *ctx, bool *is)
{
    struct verdict stack[FORMULA_TERMS_MAX], *top = stack;
    for (const struct term *t = f->terms, *end = t + f->count; t < end; t++) {
        if (t->kind < TERM_NOT) {
            if (!decide_term(t, ctx, top++)) return false;
        } else if (t->kind == TERM_NOT) {
            top[-1].is ^= true;
        } else {
            top[-2] = combine(top[-2], top[-1], t->kind == TERM_OR);
            top--;
        }
    }
    *is = stack[0].is;
    ctx->next_change = sooner(ctx->next_change, stack[0].change);
    return true;
}
