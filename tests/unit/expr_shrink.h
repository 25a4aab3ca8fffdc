/* expr_shrink.h - the smallest part of an expression on which machine and reference differ, for a failure's message. */
#ifndef HG_TESTS_EXPR_SHRINK_H
#define HG_TESTS_EXPR_SHRINK_H

#include "tests/unit/expr_reference.h"

static const char *tree_text(struct arena *a, const struct tree *t);

static const char *tree_list(struct arena *a, struct tree *const *args, uint32_t count, const char *pairs)
{
    const char *text = "";
    for (uint32_t i = 0; i < count; i++)
        text = arena_printf(a, "%s%s%s", text,
                            !i               ? ""
                            : pairs && i % 2 ? pairs
                                             : ", ",
                            tree_text(a, args[i]));
    return text;
}

static const char *tree_value(struct arena *a, struct value v)
{
    switch (v.kind) {
    case V_STRING: return arena_printf(a, "'%.*s'", (int)v.n, (const char *)v.s);
    case V_INT: return arena_printf(a, "%lld", (long long)v.i);
    case V_UINT: return arena_printf(a, "%lluu", (unsigned long long)v.u);
    case V_DOUBLE:
        return arena_printf(a, "%.17g%s", v.d, strchr(arena_printf(a, "%.17g", v.d), '.') ? "" : ".0");
    case V_BOOL: return v.b ? "true" : "false";
    default: return "null";
    }
}

static const char *tree_call(struct arena *a, const struct tree *t)
{
    const uint8_t *op = t->name.p;
    int n = (int)t->name.n;
    if (slice_is(t->name, "_?_:_"))
        return arena_printf(a, "(%s ? %s : %s)", tree_text(a, t->args[0]), tree_text(a, t->args[1]),
                            tree_text(a, t->args[2]));
    if (slice_is(t->name, "_[_]"))
        return arena_printf(a, "(%s)[%s]", tree_text(a, t->args[0]), tree_text(a, t->args[1]));
    if (slice_is(t->name, "@in"))
        return arena_printf(a, "(%s in %s)", tree_text(a, t->args[0]), tree_text(a, t->args[1]));
    if (op[n - 1] == '_' && t->count == 1) return arena_printf(a, "%c(%s)", op[0], tree_text(a, t->args[0]));
    if (op[n - 1] == '_')
        return arena_printf(a, "(%s %.*s %s)", tree_text(a, t->args[0]), n - 2, op + 1,
                            tree_text(a, t->args[1]));
    const char *target = t->target ? arena_printf(a, "%s.", tree_text(a, t->target)) : "";
    return arena_printf(a, "%s%.*s(%s)", target, n, op, tree_list(a, t->args, t->count, NULL));
}

static const char *tree_text(struct arena *a, const struct tree *t)
{
    switch (t->kind) {
    case TREE_VALUE: return tree_value(a, t->value);
    case TREE_NAME: return arena_printf(a, "%.*s", (int)t->name.n, (const char *)t->name.p);
    case TREE_SELECT:
        return arena_printf(a, "%s.%.*s", tree_text(a, t->target), (int)t->name.n, (const char *)t->name.p);
    case TREE_LIST: return arena_printf(a, "[%s]", tree_list(a, t->args, t->count, NULL));
    case TREE_MAP: return arena_printf(a, "{%s}", tree_list(a, t->args, t->count, ": "));
    case TREE_CALL: return tree_call(a, t);
    default: return "?";
    }
}

/* NULL: they agree, or the part means nothing on its own. */
static const char *tree_differs(struct arena *a, const struct tree *t, struct person *p, uint32_t now)
{
    struct expr_errors errors = {0};
    const char *text = tree_text(a, t);
    const struct program *program =
        expr_compile(expr_pool_create(a), &person_scope, slice_str(text), WANT_ANY, &errors);
    if (!program) return NULL;
    struct expr_context ctx = {
        .source = &person_source, .self = p, .now = now, .zone = p->zone, .scratch = a};
    struct ref r = {.p = p, .now = now, .arena = a};
    struct value got = program_run(program, &ctx), wanted = ref_eval(&r, t);
    struct machine machine = {.ctx = &ctx};
    if (got.kind == V_RAW) got = value_unfold(&machine, got);
    if (ref_bad(got) == ref_bad(wanted) && (ref_bad(got) || ref_equal(got, wanted))) return NULL;
    return arena_printf(a, "%s is of kind %u (%lld), not %u (%lld)", text, got.kind, (long long)got.i,
                        wanted.kind, (long long)wanted.i);
}

static const char *tree_shrink(struct arena *a, const struct tree *t, struct person *p, uint32_t now)
{
    const char *inner = t->target ? tree_shrink(a, t->target, p, now) : NULL;
    for (uint32_t i = 0; i < t->count && !inner; i++) inner = tree_shrink(a, t->args[i], p, now);
    return inner ? inner : tree_differs(a, t, p, now);
}

#endif
