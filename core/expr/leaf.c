/* Comparisons of one feature with a constant, found in the DAG while a program is made. Only forms whose earliest flip
 * by time never comes sooner because an event was added: see core/segment/leaves.c, which relies on it. */
#include "core/expr/program.h"

#include <math.h>

static const int64_t number_max = 1ll << 53; /* up to here a double holds every whole number */

static bool is_constant(const struct node *n, uint8_t kind)
{
    return n->op == OP_CONST && n->value.kind == kind;
}

static bool seconds_of(const struct node *n, int64_t *seconds)
{
    if (!is_constant(n, V_DURATION) || n->value.n != 0 || n->value.i < 0 || n->value.i >= NEVER) return false;
    *seconds = n->value.i;
    return true;
}

static bool number_of(const struct node *n, double *number)
{
    if (is_constant(n, V_DOUBLE)) return *number = n->value.d, isfinite(n->value.d);
    if (!is_constant(n, V_INT) || n->value.i > number_max || n->value.i < -number_max) return false;
    *number = (double)n->value.i;
    return true;
}

/* The count at which the comparison comes out otherwise than one below: >= 3 and < 3 at 3, > 3 and <= 3 at 4. */
static bool critical_count(const struct node *n, uint8_t op, struct expr_leaf *leaf)
{
    if (!is_constant(n, V_INT) || n->value.i < 0 || n->value.i >= NEVER - 1) return false;
    bool above = op == OP_GT || op == OP_LE;
    leaf->count = (uint32_t)n->value.i + above;
    leaf->exactly = op == OP_EQ || op == OP_NE;
    return true;
}

/* Over a calendar window that stands until its border all figures fall back at once then, whatever they were, so minima
 * and maxima are no worse than counts. */
static bool calendar_leaf(const struct node *tally, const struct node *constant, uint8_t op,
                          struct expr_leaf *leaf)
{
    uint8_t what = tally->a & TALLY_WHAT;
    leaf->kind = LEAF_CALENDAR;
    leaf->unit = tally->child[0]->a;
    if (what == TALLY_COUNT && !(tally->a & TALLY_VALUE)) {
        if (!critical_count(constant, op, leaf)) return false;
        leaf->number = leaf->count;
        return true;
    }
    if (!(tally->a & TALLY_VALUE) || op == OP_EQ || op == OP_NE) return false;
    if (what != TALLY_SUM && what != TALLY_MIN && what != TALLY_MAX) return false;
    const struct node *value = tally->child[1];
    leaf->what = what == TALLY_SUM ? CALENDAR_SUM : what == TALLY_MIN ? CALENDAR_MIN : CALENDAR_MAX;
    leaf->property = value->b;
    return value->op == OP_CELL && value->c == T_NUMBER && number_of(constant, &leaf->number);
}

static bool window_of(const struct node *tally, struct expr_leaf *leaf)
{
    int64_t seconds;
    if (!(tally->a & TALLY_WINDOW)) return true; /* 0: of the whole life */
    const struct node *window = tally->child[0];
    if (window->op != OP_SLIDING || !seconds_of(window->child[0], &seconds) || seconds == 0) return false;
    leaf->window_s = (uint32_t)seconds;
    return true;
}

static bool tally_leaf(const struct node *tally, const struct node *constant, uint8_t op,
                       struct expr_leaf *leaf)
{
    uint8_t what = tally->a & TALLY_WHAT;
    if (tally->a & TALLY_WHERE) return false;
    if (tally->a & TALLY_WINDOW && tally->child[0]->op == OP_CALENDAR)
        return calendar_leaf(tally, constant, op, leaf);
    if (!window_of(tally, leaf)) return false;
    if (what == TALLY_COUNT && !(tally->a & TALLY_VALUE)) {
        leaf->kind = leaf->window_s ? LEAF_COUNT_WITHIN : LEAF_COUNT;
        return critical_count(constant, op, leaf);
    }
    if (what != TALLY_SUM || !(tally->a & TALLY_VALUE) || op == OP_EQ || op == OP_NE) return false;
    const struct node *value = tally->child[tally->count - 1];
    leaf->kind = LEAF_SUM;
    leaf->property = value->b;
    return value->op == OP_CELL && value->c == T_NUMBER && number_of(constant, &leaf->number);
}

static bool leaf_between(const struct node *feature, const struct node *constant, uint8_t op,
                         struct expr_leaf *leaf)
{
    *leaf = (struct expr_leaf){.type = feature->b};
    if (feature->b == ID_NONE && feature->op != OP_COUNT) return false; /* "*": many types at once */
    if (feature->op == OP_TALLY) return tally_leaf(feature, constant, op, leaf);
    if (feature->op == OP_COUNT) {
        leaf->kind = LEAF_COUNT;
        return critical_count(constant, op, leaf);
    }
    leaf->kind = LEAF_AGO;
    return feature->op == OP_AGO && op != OP_EQ && op != OP_NE && seconds_of(constant, &leaf->seconds);
}

bool leaf_of(const struct node *n, struct expr_leaf *leaf)
{
    if (n->op < OP_EQ || n->op > OP_GE) return false;
    return leaf_between(n->child[0], n->child[1], n->op, leaf) ||
           leaf_between(n->child[1], n->child[0], op_mirrored(n->op), leaf);
}
