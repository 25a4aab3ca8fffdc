/* guard.c - which fields the text has asked for by has() before it uses them, so that a warning about a value that may
 * be missing is not given where the author has thought of it. Trees are compared by their text: names and fields only. */
#include "core/expr/check.h"

static bool same_path(const struct tree *a, const struct tree *b)
{
    while (a->kind == TREE_SELECT && b->kind == TREE_SELECT && slice_eq(a->name, b->name))
        a = a->target, b = b->target;
    return a->kind == TREE_NAME && b->kind == TREE_NAME && slice_eq(a->name, b->name);
}

static bool is_asked(const struct checker *c, const struct tree *field)
{
    for (uint32_t i = 0; i < c->asked_count; i++)
        if (same_path(c->asked[i], field)) return true;
    return false;
}

void guard_ask(struct checker *c, const struct tree *t, bool truth)
{
    if (t->kind != TREE_CALL) return;
    if (slice_is(t->name, "has") && !t->target && t->count == 1) {
        if (truth && c->asked_count < ASKED_MAX) c->asked[c->asked_count++] = t->args[0];
    } else if (slice_is(t->name, "!_")) {
        guard_ask(c, t->args[0], !truth);
    } else if (slice_is(t->name, truth ? "_&&_" : "_||_")) {
        guard_ask(c, t->args[0], truth);
        guard_ask(c, t->args[1], truth);
    }
}

/* Fields met below t, and whether each of them was asked for. */
static void count_fields(const struct checker *c, const struct tree *t, uint32_t *fields, uint32_t *asked)
{
    if (t->kind == TREE_SELECT) {
        ++*fields;
        *asked += is_asked(c, t);
        return;
    }
    if (t->target) count_fields(c, t->target, fields, asked);
    for (uint32_t i = 0; i < t->count; i++) count_fields(c, t->args[i], fields, asked);
}

bool guard_covers(const struct checker *c, const struct tree *t)
{
    uint32_t fields = 0, asked = 0;
    count_fields(c, t, &fields, &asked);
    return fields && asked == fields;
}
