/* explain.c - the tree knows its operators' places only; a part reaches from behind the operator before it to the one
 * behind it, without the brackets around it. */
#include "core/expr/explain.h"

#include "core/expr/token.h"
#include "core/expr/tree.h"

struct extent {
    uint32_t from, to;
};
struct taking_apart {
    struct slice text;
    struct arena *arena;
    struct expr_part *list;
    uint32_t count;
};

static bool blank(uint8_t c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static struct extent trim(struct slice text, struct extent e)
{
    while (e.from < e.to && blank(text.p[e.from])) e.from++;
    while (e.from < e.to && blank(text.p[e.to - 1])) e.to--;
    return e;
}

static struct token next(struct lexer *l) { return token_next(l, false); }

static int nesting(const struct token *t)
{
    if (t->kind != TOKEN_SIGN) return 0;
    if (t->sign == '(' || t->sign == '[' || t->sign == '{') return 1;
    return t->sign == ')' || t->sign == ']' || t->sign == '}' ? -1 : 0;
}

/* Does the bracket that opens the extent close at its very end? */
static bool enclosed(struct slice text, struct extent e, struct arena *a)
{
    struct lexer l = {.text = slice_of(text.p, e.to), .at = e.from, .arena = a};
    int open = 0;
    if (e.from == e.to || text.p[e.from] != '(') return false;
    for (struct token t = next(&l); t.kind != TOKEN_END; t = next(&l)) {
        open += nesting(&t);
        if (open == 0) return t.at + t.length == e.to;
    }
    return false;
}

static struct extent strip(const struct taking_apart *x, struct extent e)
{
    for (e = trim(x->text, e); enclosed(x->text, e, x->arena); e = trim(x->text, e)) e.from++, e.to--;
    return e;
}

/* The ':' that belongs to the '?' at `at`: between them no other choice stands without brackets. */
static uint32_t colon_of(const struct taking_apart *x, uint32_t at, uint32_t to)
{
    struct lexer l = {.text = slice_of(x->text.p, to), .at = at + 1, .arena = x->arena};
    int open = 0;
    for (struct token t = next(&l); t.kind != TOKEN_END; t = next(&l)) {
        open += nesting(&t);
        if (open == 0 && t.kind == TOKEN_SIGN && t.sign == ':') return t.at;
    }
    return to;
}

static bool compares(struct slice name)
{
    static const char *const NAMES[] = {"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in"};
    for (uint32_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (slice_is(name, NAMES[i])) return true;
    return false;
}

static enum part_kind kind_of(const struct tree *t)
{
    if (t->kind != TREE_CALL || t->target) return PART_VALUE;
    if (slice_is(t->name, "_&&_")) return PART_ALL;
    if (slice_is(t->name, "_||_")) return PART_ANY;
    if (slice_is(t->name, "!_")) return PART_NOT;
    if (slice_is(t->name, "_?_:_")) return PART_CHOICE;
    return compares(t->name) ? PART_COMPARE : PART_VALUE;
}

/* 5, ["a", "b"], days(60): its text says its value. */
static bool constant(const struct tree *t)
{
    static const char *const NAMES[] = {"days", "hours", "minutes", "duration", "timestamp", "-_"};
    bool plain = t->kind == TREE_VALUE || t->kind == TREE_LIST;
    for (uint32_t i = 0; t->kind == TREE_CALL && !t->target && i < sizeof NAMES / sizeof *NAMES; i++)
        plain |= slice_is(t->name, NAMES[i]);
    for (uint32_t i = 0; plain && i < t->count; i++) plain = constant(t->args[i]);
    return plain;
}

static void take(struct taking_apart *x, const struct tree *t, struct extent e, uint32_t depth);

/* Both sides; `a && b && c` is (a && b) && c, and its parts stand side by side. */
static void take_sides(struct taking_apart *x, const struct tree *t, struct extent e, uint32_t depth,
                       enum part_kind kind)
{
    struct extent left = strip(x, (struct extent){e.from, t->at}),
                  right = strip(x, (struct extent){t->at + t->length, e.to});
    bool chain = kind == PART_ALL || kind == PART_ANY;
    for (uint32_t side = 0; side < 2; side++) {
        const struct tree *inner = t->args[side];
        struct extent at = side ? right : left;
        if (kind == PART_COMPARE && constant(inner)) continue;
        if (chain && kind_of(inner) == kind)
            take_sides(x, inner, at, depth, kind);
        else
            take(x, inner, at, depth);
    }
}

static void take_choice(struct taking_apart *x, const struct tree *t, struct extent e, uint32_t depth)
{
    uint32_t colon = colon_of(x, t->at, e.to);
    take(x, t->args[0], (struct extent){e.from, t->at}, depth);
    take(x, t->args[1], (struct extent){t->at + 1, colon}, depth);
    take(x, t->args[2], (struct extent){colon < e.to ? colon + 1 : e.to, e.to}, depth);
}

static void take(struct taking_apart *x, const struct tree *t, struct extent e, uint32_t depth)
{
    enum part_kind kind = kind_of(t);
    if (x->count == EXPLAIN_PARTS_MAX) return;
    if (depth == EXPLAIN_DEPTH_MAX) kind = PART_VALUE;
    e = strip(x, e);
    x->list[x->count++] = (struct expr_part){(uint8_t)kind, (uint8_t)depth, e.from, e.to - e.from};
    switch (kind) {
    case PART_NOT: take(x, t->args[0], (struct extent){t->at + t->length, e.to}, depth + 1); break;
    case PART_CHOICE: take_choice(x, t, e, depth + 1); break;
    case PART_VALUE: break;
    default: take_sides(x, t, e, depth + 1, kind);
    }
}

uint32_t expr_explain(struct slice text, struct arena *a, struct expr_part **out)
{
    struct expr_errors errors = {0};
    struct tree *t = expr_parse(a, text, &errors);
    if (!t || errors.count) return 0;
    struct taking_apart x = {text, a, ARENA_ARRAY(a, struct expr_part, EXPLAIN_PARTS_MAX), 0};
    take(&x, t, (struct extent){0, text.n}, 0);
    *out = x.list;
    return x.count;
}
