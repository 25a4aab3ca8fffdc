/* Text -> program, and the distance between words. */
#include "core/expr/check.h"

static bool wanted(const struct type *t, enum expr_want want)
{
    t = type_seen(t);
    if (type_is_open(t)) return true;
    switch (want) {
    case WANT_BOOL: return t->kind == TYPE_BOOL;
    case WANT_NUMBER: return type_is_number(t);
    case WANT_STRING: return t->kind == TYPE_STRING;
    case WANT_TIME: return t->kind == TYPE_TIME || t->kind == TYPE_DATE;
    case WANT_STRINGS: return t->kind == TYPE_LIST && (type_is_open(t->item) || t->item->kind == TYPE_STRING);
    case WANT_ANY: return t->kind != TYPE_WINDOW;
    }
    return false;
}

static uint32_t count_errors(const struct expr_errors *errors)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < errors->count; i++) n += !errors->list[i].warning;
    return n;
}

static const struct program *program_of(struct expr_pool *pool, const struct node *root, const char **reason)
{
    if (!root->program) ((struct node *)root)->program = program_make(pool, root, reason);
    return root->program;
}

const struct program *expr_compile(struct expr_pool *pool, const struct expr_scope *scope, struct slice text,
                                   enum expr_want want, struct expr_errors *errors)
{
    static const char *const names[] = {"bool", "number", "string", "date or timestamp", "list of strings",
                                        "value"};
    static const char *const fixes[] = {
        "compare it with something, such as > 0",         "int(...) or double(...)",    "string(...)",
        "a date attribute, last(...), or timestamp(...)", "for example [\"a\", \"b\"]", NULL};
    uint32_t before = count_errors(errors);
    text = arena_slice(pool->arena, text); /* names in nodes point into it */
    struct tree *t = expr_parse(pool->arena, text, errors);
    struct checker c = {
        .pool = pool, .scope = scope, .errors = errors, .event = scope->event, .any_event = scope->any_event};
    for (const struct expr_item *i = scope->items; c.local_count < scope->item_count; i++, c.local_count++) {
        c.locals[c.local_count].name = i->name;
        c.locals[c.local_count].type = i->type ? i->type : type_basic(TYPE_ERROR);
    }
    const struct node *root = check(&c, t);
    struct tree whole = {.at = 0, .length = text.n};
    if (count_errors(errors) == before && !wanted(root->type, want))
        check_fail(&c, &whole, fixes[want], "expected a %s but found '%s'", names[want],
                   type_text(pool->arena, root->type));
    if (count_errors(errors) != before) return NULL;
    const char *reason;
    const struct program *p = program_of(pool, root, &reason);
    if (!p) expr_error_add(pool->arena, errors, (struct expr_error){.length = text.n, .reason = reason});
    return p;
}

const struct program *expr_constant(struct expr_pool *pool, struct value v)
{
    static const struct expr_scope nowhere = {.event = ID_NONE, .trigger = ID_NONE};
    struct checker c = {.pool = pool, .scope = &nowhere};
    const char *reason;
    return program_of(pool, check_constant(&c, v), &reason);
}

static enum expr_truth known(bool b) { return b ? TRUTH_ALWAYS : TRUTH_NEVER; }

static enum expr_truth truth_of(const struct node *n, uint16_t journey, bool inside)
{
    if (n->op == OP_AND || n->op == OP_OR) {
        enum expr_truth rules = known(n->op == OP_OR), a = truth_of(n->child[0], journey, inside),
                        b = truth_of(n->child[1], journey, inside);
        return a == rules || b == rules ? rules : a == b ? a : TRUTH_OPEN;
    }
    if (n->op == OP_NOT) {
        enum expr_truth of = truth_of(n->child[0], journey, inside);
        return of == TRUTH_OPEN ? of : known(of == TRUTH_NEVER);
    }
    if (n->op == OP_IN_JOURNEY) return n->b == journey ? known(inside) : TRUTH_OPEN;
    return n->op == OP_CONST && n->value.kind == V_BOOL ? known(n->value.b) : TRUTH_OPEN;
}

enum expr_truth program_truth(const struct program *p, uint16_t journey, bool inside)
{
    return truth_of(p->root, journey, inside);
}

const struct type *program_item(const struct program *p)
{
    const struct type *t = type_seen(p->root->type);
    if (type_is_open(t)) return type_basic(TYPE_DYN);
    return t->kind == TYPE_LIST ? t->item : NULL;
}

const char *program_never(const struct program *p, struct value number, struct arena *a)
{
    return part_never(p->root, number, a);
}
bool program_may_fail(const struct program *p) { return p->root->fallible; }

/* Levenshtein with two neighbours swapped as one step, one row at a time; words beyond the row are too far. */
uint32_t text_distance(struct slice a, struct slice b, uint32_t max)
{
    enum { ROW = 128 };
    uint32_t rows[3][ROW + 1];
    uint32_t longer = a.n > b.n ? a.n - b.n : b.n - a.n;
    if (longer > max || b.n > ROW) return UINT32_MAX;
    for (uint32_t j = 0; j <= b.n; j++) rows[0][j] = j;
    for (uint32_t i = 1; i <= a.n; i++) {
        uint32_t *row = rows[i % 3], *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];
        row[0] = i;
        for (uint32_t j = 1; j <= b.n; j++) {
            uint32_t best = up[j - 1] + (a.p[i - 1] != b.p[j - 1]);
            if (up[j] + 1 < best) best = up[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1];
            if (swapped && up2[j - 2] + 1 < best) best = up2[j - 2] + 1;
            row[j] = best;
        }
    }
    uint32_t distance = rows[a.n % 3][b.n];
    return distance <= max ? distance : UINT32_MAX;
}
