/* Expression -> plan: which parts a column decides alone. */
#include "core/expr/block_plan.h"
#include "core/expr/program.h"

enum { COST_WORD = 1, COST_COLUMN = 4, COST_ROW = 1000 };

struct planner {
    struct arena *arena;
    struct expr_pool *pool; /* programs of parts */
    struct block_plan *plan;
};

static struct plan_node *plan_new(struct planner *p, enum plan_kind kind, uint32_t cost)
{
    struct plan_node *made = ARENA_NEW(p->arena, struct plan_node);
    made->kind = (uint8_t)kind;
    made->cost = cost;
    return made;
}

static const struct program *part(struct planner *p, const struct node *n)
{
    const char *reason;
    const struct program *made = program_make(p->pool, n, &reason);
    CHECK(made); /* the whole was not too deep */
    return made;
}

/* ---- what a part reads ------------------------------------------------------------------------------ */

/* Reads the person's clock or a history entry, so that its leaves don't tell all. */
static bool reads_more(const struct node *n)
{
    switch (n->op) {
    case OP_TALLY:
    case OP_SEQUENCE:
    case OP_STEP:
    case OP_SLIDING:
    case OP_SINCE:
    case OP_AGE:
    case OP_LOCAL_DATE: return true;
    case OP_ACCESS: return n->b == 0 || n->b == 3;
    default: return false;
    }
}

/* The same for every row: constants and the clock. */
static bool is_bound(const struct node *n)
{
    if (reads_more(n)) return false;
    if (n->count == 0) return n->op == OP_CONST || n->op == OP_NOW;
    for (uint32_t i = 0; i < n->count; i++)
        if (!is_bound(n->child[i])) return false;
    return true;
}

/* Reads one attribute of few values (a text or a bool) and nothing else; *id: ID_NONE until it was met. */
static bool reads_only(const struct node *n, uint16_t *id)
{
    if (n->op == OP_CONST || n->op == OP_LOCAL) return true;
    if (n->op == OP_ATTRIBUTE) {
        bool few = n->type->kind == TYPE_STRING || n->type->kind == TYPE_BOOL;
        bool same = *id == ID_NONE || *id == n->b;
        *id = n->b;
        return few && same;
    }
    if (n->count == 0 || reads_more(n)) return false;
    for (uint32_t i = 0; i < n->count; i++)
        if (!reads_only(n->child[i], id)) return false;
    return true;
}

/* ---- leaves ------------------------------------------------------------------------------------------- */

static const struct plan_node *plan_rows(struct planner *p, const struct node *n)
{
    struct plan_node *made = plan_new(p, PLAN_ROWS, COST_ROW);
    made->program = part(p, n);
    return made;
}

static void give_slot(struct planner *p, struct plan_node *made, const struct plan_node ***list,
                      uint32_t *count)
{
    if (*count == 0 || (*count & (*count - 1)) == 0) { /* 0, 1, 2, 4 ...: full */
        const struct plan_node **bigger =
            ARENA_ARRAY(p->arena, const struct plan_node *, *count ? *count * 2 : 1);
        if (*count) memcpy(bigger, *list, *count * sizeof *bigger);
        *list = bigger;
    }
    made->slot = (*count)++;
    (*list)[made->slot] = made;
}

static const struct plan_node *plan_table(struct planner *p, const struct node *n, uint16_t id)
{
    struct plan_node *made = plan_new(p, PLAN_TABLE, COST_COLUMN);
    made->id = id;
    made->program = part(p, n);
    give_slot(p, made, &p->plan->table_nodes, &p->plan->tables);
    return made;
}

static enum kernel_compare compare_of(uint8_t op)
{
    switch (op) {
    case OP_EQ: return KERNEL_EQ;
    case OP_NE: return KERNEL_NE;
    case OP_LT: return KERNEL_LT;
    case OP_LE: return KERNEL_LE;
    case OP_GT: return KERNEL_GT;
    default: return KERNEL_GE;
    }
}

/* A number or a time next to something that is the same for all. */
static const struct plan_node *plan_compare(struct planner *p, const struct node *n)
{
    bool right = n->child[1]->op == OP_ATTRIBUTE && is_bound(n->child[0]);
    const struct node *attribute = n->child[right], *bound = n->child[!right];
    if (attribute->op != OP_ATTRIBUTE || !is_bound(bound)) return NULL;
    if (attribute->type->kind != TYPE_DOUBLE && attribute->type->kind != TYPE_TIME) return NULL;
    struct plan_node *made = plan_new(p, PLAN_COMPARE, COST_COLUMN + 1);
    made->id = attribute->b;
    made->how = (uint8_t)compare_of(right ? op_mirrored(n->op) : n->op);
    made->program = part(p, n);
    made->bound = part(p, bound);
    give_slot(p, made, &p->plan->bound_nodes, &p->plan->bounds);
    return made;
}

static const struct plan_node *plan_simple(struct planner *p, enum plan_kind kind, uint16_t id)
{
    struct plan_node *made = plan_new(p, kind, COST_WORD);
    made->id = id;
    return made;
}

/* ---- logic ---------------------------------------------------------------------------------------------- */

static const struct plan_node *plan(struct planner *p, const struct node *n);

static uint32_t count_flat(const struct node *n, uint8_t op)
{
    return n->op == op ? count_flat(n->child[0], op) + count_flat(n->child[1], op) : 1;
}

static void plan_flat(struct planner *p, const struct node *n, uint8_t op, struct plan_node *into)
{
    if (n->op == op) {
        plan_flat(p, n->child[0], op, into);
        plan_flat(p, n->child[1], op, into);
        return;
    }
    const struct plan_node *made = plan(p, n);
    uint32_t at = into->count++;
    for (; at > 0 && into->child[at - 1]->cost > made->cost; at--) into->child[at] = into->child[at - 1];
    into->child[at] = made;
    into->cost += made->cost;
}

/* && and || don't mind the order: what is cheap may decide what is dear. */
static const struct plan_node *plan_logic(struct planner *p, const struct node *n)
{
    struct plan_node *made = plan_new(p, n->op == OP_AND ? PLAN_ALL : PLAN_ANY, 0);
    made->child = ARENA_ARRAY(p->arena, const struct plan_node *, count_flat(n, n->op));
    plan_flat(p, n, n->op, made);
    return made;
}

static const struct plan_node *plan_children(struct planner *p, const struct node *n, enum plan_kind kind)
{
    struct plan_node *made = plan_new(p, kind, 0);
    made->count = n->count;
    made->child = ARENA_ARRAY(p->arena, const struct plan_node *, n->count);
    for (uint32_t i = 0; i < n->count; i++) {
        made->child[i] = plan(p, n->child[i]);
        made->cost += made->child[i]->cost;
    }
    return made;
}

static const struct plan_node *plan_constant(struct planner *p, bool value)
{
    struct plan_node *made = plan_new(p, PLAN_CONST, 0);
    made->value = value;
    return made;
}

static const struct plan_node *plan(struct planner *p, const struct node *n)
{
    uint16_t id = ID_NONE;
    const struct plan_node *made = NULL;
    if (n->op == OP_CONST && n->value.kind == V_BOOL) return plan_constant(p, n->value.b);
    if (n->op == OP_ATTRIBUTE && n->type->kind == TYPE_BOOL) return plan_simple(p, PLAN_FLAG, n->b);
    if (n->op == OP_HAS && n->child[0]->op == OP_ATTRIBUTE)
        return plan_simple(p, PLAN_PRESENT, n->child[0]->b);
    if (n->op == OP_NOT) return plan_children(p, n, PLAN_NOT);
    if (reads_only(n, &id) && id != ID_NONE) return plan_table(p, n, id);
    switch (n->op) {
    case OP_SEGMENT: return plan_simple(p, PLAN_MEMBER, n->b);
    case OP_AND:
    case OP_OR: return plan_logic(p, n);
    case OP_CHOOSE: return plan_children(p, n, PLAN_CHOOSE);
    case OP_EQ:
    case OP_NE:
    case OP_LT:
    case OP_LE:
    case OP_GT:
    case OP_GE: made = plan_compare(p, n); break;
    default: break;
    }
    return made ? made : plan_rows(p, n);
}

const struct block_plan *block_plan_make(const struct program *program, struct arena *a)
{
    struct planner p = {a, expr_pool_create(a), ARENA_NEW(a, struct block_plan)};
    p.plan->root = plan(&p, program->root);
    return p.plan;
}

bool block_plan_asks_rows(const struct block_plan *p) { return p->root->cost >= COST_ROW; }
