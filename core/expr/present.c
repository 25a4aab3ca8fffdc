/* present.c - which values are known to be there once a condition has come out: has() says so, and so does every operator
 * that would have failed without the value. */
#include "core/expr/program.h"

static bool is_load(const struct node *n)
{
    return n->op == OP_ATTRIBUTE || n->op == OP_PROPERTY || n->op == OP_CONTEXT;
}

/* `e` and `trigger` are one event wherever a condition decides who comes to a step. */
static uint16_t event_of(const struct node *n) { return n->b == 1 ? 0 : n->b; }

static bool same_load(const struct node *a, const struct node *b)
{
    if (a->op != b->op) return false;
    if (a->op == OP_ATTRIBUTE) return a->b == b->b;
    return event_of(a) == event_of(b) && slice_eq(value_text(a->value), value_text(b->value));
}

/* Nothing comes out of n without the value. */
static bool needs(const struct node *n, const struct node *load)
{
    if (is_load(n)) return same_load(n, load);
    switch (n->op) {
    case OP_HAS:
    case OP_AND:
    case OP_OR:
    case OP_TALLY:
    case OP_SEQUENCE: return false;
    case OP_CHOOSE:
    case OP_LOOP: return needs(n->child[0], load);
    default: break;
    }
    for (uint32_t i = 0; i < n->count; i++)
        if (needs(n->child[i], load)) return true;
    return false;
}

/* n has come out so, and not as an error: is the value there? */
static bool shows(const struct node *n, bool outcome, const struct node *load)
{
    switch (n->op) {
    case OP_HAS: return outcome && same_load(n->child[0], load);
    case OP_NOT: return shows(n->child[0], !outcome, load);
    case OP_AND:
    case OP_OR: {
        bool a = shows(n->child[0], outcome, load), b = shows(n->child[1], outcome, load);
        return (n->op == OP_AND) == outcome ? a || b : a && b;
    }
    default: return needs(n, load);
    }
}

struct fact {
    const struct node *condition; /* NULL: nothing is known */
    bool outcome;
    const struct fact *other;
};

static bool is_known(const struct fact *f, const struct node *load)
{
    for (; f; f = f->other)
        if (f->condition && shows(f->condition, f->outcome, load)) return true;
    return false;
}

/* Is there a value below n that may be missing for all that is known? */
static bool misses(const struct node *n, const struct fact *known)
{
    if (is_load(n)) return !is_known(known, n);
    if (n->op == OP_HAS) return false;
    for (uint32_t i = 0; i < n->count; i++) {
        struct fact chosen = {n->child[0], i == 1, known};
        if (misses(n->child[i], n->op == OP_CHOOSE && i ? &chosen : known)) return true;
    }
    return false;
}

bool program_misses(const struct program *p) { return misses(p->root, NULL); }

bool program_assures(const struct program *condition, bool outcome, const struct program *p)
{
    struct fact fact = {condition->root, outcome, NULL};
    return (outcome || !condition->root->fallible) && !misses(p->root, &fact);
}
