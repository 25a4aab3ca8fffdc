/* Precedence climbing: one function for all binary operators, so that deep texts need few C frames.
 * After an error the reader goes on at the next , ) ] } of the same bracket, so that one mistake is one error. */
#include "core/expr/tree.h"
#include "core/base/check.h"
#include "core/expr/token.h"

#include <strings.h>

/* A chain of operators is as deep a tree as it is long, and the checker walks trees with the C stack. */
enum { DEPTH_MAX = 120, OPERATORS_MAX = 2000, ARGS_MAX = 4096 };

struct parser {
    struct lexer lexer;
    struct token now;
    struct arena *arena;
    struct expr_errors *errors;
    uint32_t depth, operators;
    bool quiet; /* an error was reported and reading has not yet found its feet again */
};

struct binary {
    uint16_t sign;
    uint8_t level;
    const char *name;
};
static const struct binary binaries[] = {
    {SIGN2('|', '|'), 1, "_||_"},
    {SIGN2('&', '&'), 2, "_&&_"},
    {SIGN2('=', '='), 3, "_==_"},
    {SIGN2('!', '='), 3, "_!=_"},
    {'<', 3, "_<_"},
    {SIGN2('<', '='), 3, "_<=_"},
    {'>', 3, "_>_"},
    {SIGN2('>', '='), 3, "_>=_"},
    {'+', 4, "_+_"},
    {'-', 4, "_-_"},
    {'*', 5, "_*_"},
    {'/', 5, "_/_"},
    {'%', 5, "_%_"},
};

void expr_error_add(struct arena *a, struct expr_errors *errors, struct expr_error e)
{
    if (errors->count == errors->capacity) {
        uint32_t capacity = errors->capacity ? errors->capacity * 2 : 8;
        struct expr_error *list = ARENA_ARRAY(a, struct expr_error, capacity);
        if (errors->count) memcpy(list, errors->list, errors->count * sizeof *list);
        errors->list = list;
        errors->capacity = capacity;
    }
    errors->list[errors->count++] = e;
}

static void fail_as(struct parser *p, uint32_t at, uint32_t length, const char *reason, const char *fix)
{
    static const char general[] =
        "every ( [ { and quote needs its end, and an operator a value on both sides";
    struct expr_error e = {.at = at, .length = length, .reason = reason, .fix = fix ? fix : general};
    if (!p->quiet) expr_error_add(p->arena, p->errors, e);
    p->quiet = true;
}
static void fail(struct parser *p, uint32_t at, uint32_t length, const char *reason)
{
    fail_as(p, at, length, reason, NULL);
}

/* What other languages write there, and how it is said here. */
static const char *said_here(struct slice word)
{
    static const char *const words[][2] = {
        {"like", "a text is asked by a.contains(\"x\"), a.startsWith(\"x\") or a.matches(\"pattern\")"},
        {"contains", "write a.contains(\"x\"), or for a list \"x\" in a"},
        {"between", "write a >= 10 && a <= 20"},
        {"is", "write ==; whether it is there at all is has(profile.city)"},
        {"then", "write condition ? one : another"},
        {"if", "write condition ? one : another"},
        {"<", "write the value on both sides: a >= 10 && a <= 20"},
        {"<=", "write the value on both sides: a >= 10 && a <= 20"},
        {">", "write the value on both sides: a >= 10 && a <= 20"},
        {">=", "write the value on both sides: a >= 10 && a <= 20"},
        {",", "a ',' stands between arguments only; a number is written without: 1000"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (word.n == strlen(words[i][0]) && strncasecmp((const char *)word.p, words[i][0], word.n) == 0)
            return words[i][1];
    return NULL;
}

static void fail_here(struct parser *p, const char *expected)
{
    const struct token *t = &p->now;
    if (t->kind == TOKEN_END)
        fail(p, t->at, 1, arena_printf(p->arena, "the text ends where %s should follow", expected));
    else
        fail_as(p, t->at, t->length,
                arena_printf(p->arena, "unexpected '%.*s', expected %s", (int)t->text.n,
                             (const char *)t->text.p, expected),
                said_here(t->text));
}

static void advance_signed(struct parser *p, bool minus)
{
    p->now = token_next(&p->lexer, minus);
    if (p->now.kind != TOKEN_BAD) return;
    p->quiet = false; /* a bad token is always worth its own line */
    fail_as(p, p->now.at, p->now.length, p->now.reason, p->now.fix);
    uint8_t c = p->now.text.n == 1 ? p->now.text.p[0] : 0;
    if (!c || !strchr("=&|", c)) return;
    p->now.kind = TOKEN_SIGN; /* what was meant is clear: the rest is read as if it stood there */
    p->now.sign = SIGN2(c, c);
}
static void advance(struct parser *p) { advance_signed(p, false); }

static bool at_sign(const struct parser *p, uint16_t sign)
{
    return p->now.kind == TOKEN_SIGN && p->now.sign == sign;
}
static bool at_name(const struct parser *p, const char *name)
{
    return p->now.kind == TOKEN_NAME && slice_is(p->now.text, name);
}

/* A word that other languages have for a sign: told once, then read as the sign. */
static bool at_word(struct parser *p, const char *lower, const char *upper, const char *sign)
{
    if (!at_name(p, lower) && !at_name(p, upper)) return false;
    const char *reason = arena_printf(p->arena, "'%.*s' is written %s here", (int)p->now.text.n,
                                      (const char *)p->now.text.p, sign);
    fail_as(p, p->now.at, p->now.length, reason, arena_printf(p->arena, "write %s", sign));
    return true;
}

static bool at_closer(const struct parser *p)
{
    return p->now.kind == TOKEN_END || at_sign(p, ')') || at_sign(p, ']') || at_sign(p, '}') ||
           at_sign(p, ',');
}

/* To the next , or closing bracket that belongs to the bracket we are in. */
static void find_feet(struct parser *p)
{
    for (uint32_t open = 0; p->now.kind != TOKEN_END; advance(p)) {
        if (open == 0 && at_closer(p)) break;
        if (at_sign(p, '(') || at_sign(p, '[') || at_sign(p, '{')) open++;
        if (at_sign(p, ')') || at_sign(p, ']') || at_sign(p, '}')) open--;
    }
}

static void expect(struct parser *p, uint16_t sign, const char *what)
{
    if (!at_sign(p, sign)) {
        fail_here(p, what);
        find_feet(p);
    }
    if (!at_sign(p, sign)) return;
    p->quiet = false;
    advance(p);
}

static struct tree *make(struct parser *p, enum tree_kind kind, uint32_t at, uint32_t length)
{
    struct tree *t = ARENA_NEW(p->arena, struct tree);
    t->kind = (uint8_t)kind;
    t->at = at;
    t->length = length;
    return t;
}

static struct tree *call(struct parser *p, const char *name, uint32_t at, uint32_t length, struct tree *a,
                         struct tree *b, struct tree *c)
{
    struct tree *t = make(p, TREE_CALL, at, length);
    t->name = slice_str(name);
    t->args = ARENA_ARRAY(p->arena, struct tree *, 3);
    struct tree *list[] = {a, b, c};
    for (int i = 0; i < 3 && list[i]; i++) t->args[t->count++] = list[i];
    return t;
}

static struct tree *expression(struct parser *p);

/* Comma separated up to the closing sign, which is consumed. `pairs`: key: value. A trailing comma is allowed in lists
 * and maps. */
static void arguments(struct parser *p, struct tree *into, uint16_t closing, bool pairs, bool trailing)
{
    uint32_t room = 0;
    const char *what = closing == ')' ? "',' or ')'" : closing == ']' ? "',' or ']'" : "',' or '}'";
    while (!at_sign(p, closing) && p->now.kind != TOKEN_END) {
        if (into->count + 2 > room) {
            room = room ? room * 2 : 4;
            struct tree **bigger = ARENA_ARRAY(p->arena, struct tree *, room);
            if (into->count) memcpy(bigger, into->args, into->count * sizeof *bigger);
            into->args = bigger;
        }
        into->args[into->count++] = expression(p);
        if (pairs) {
            expect(p, ':', "':'");
            into->args[into->count++] = expression(p);
        }
        if (into->count > ARGS_MAX) fail_here(p, "fewer elements");
        if (!at_sign(p, ',') && !at_sign(p, closing)) {
            fail_here(p, what);
            find_feet(p);
        }
        if (!at_sign(p, ',')) break;
        p->quiet = false;
        advance(p);
        if (at_sign(p, closing) && !trailing) fail_here(p, "an argument");
    }
    expect(p, closing, what);
}

static bool is_reserved(struct slice name)
{
    static const char *const words[] = {"as",        "break",  "const",  "continue", "else",  "for",
                                        "function",  "if",     "import", "let",      "loop",  "package",
                                        "namespace", "return", "var",    "void",     "while", "in"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_is(name, words[i])) return true;
    return false;
}

static struct tree *name(struct parser *p)
{
    struct token t = p->now;
    advance(p);
    struct tree *made = make(p, TREE_VALUE, t.at, t.length);
    if (slice_is(t.text, "true") || slice_is(t.text, "false")) {
        made->value = value_bool(t.text.n == 4);
    } else if (slice_is(t.text, "null")) {
        made->value = value_null();
    } else {
        made->kind = at_sign(p, '(') ? TREE_CALL : TREE_NAME;
        made->name = t.text;
        bool reserved = is_reserved(t.text);
        if (reserved)
            fail_as(p, t.at, t.length,
                    arena_printf(p->arena, "reserved word '%.*s'", (int)t.text.n, (const char *)t.text.p),
                    said_here(t.text));
        if (made->kind == TREE_CALL) {
            advance(p);
            arguments(p, made, ')', false, false);
        }
        if (reserved) made->kind = TREE_BAD; /* told already */
    }
    return made;
}

static struct tree *primary(struct parser *p)
{
    struct token t = p->now;
    if (at_sign(p, '.')) { /* ".name": from the outermost scope, which is the only one here */
        advance(p);
        if (p->now.kind == TOKEN_NAME) return name(p);
    }
    if (p->now.kind == TOKEN_NAME && !at_name(p, "in")) return name(p);
    struct tree *made = make(p, TREE_BAD, t.at, t.length);
    if (t.kind == TOKEN_VALUE) {
        made->kind = TREE_VALUE;
        made->value = t.value;
        advance(p);
    } else if (at_sign(p, '(')) {
        advance(p);
        made = expression(p);
        expect(p, ')', "')'");
    } else if (at_sign(p, '[') || at_sign(p, '{')) {
        bool map = at_sign(p, '{');
        made->kind = map ? TREE_MAP : TREE_LIST;
        advance(p);
        arguments(p, made, map ? '}' : ']', map, true);
    } else {
        if (t.kind != TOKEN_BAD) fail_here(p, "a value");
        if (!at_closer(p)) advance(p);
    }
    return made;
}

/* Counts one more operator or field; false, and reported: too many. */
static bool within_limits(struct parser *p)
{
    if (++p->operators < OPERATORS_MAX) return true;
    fail_here(p, "a shorter expression: split it with segment()");
    find_feet(p);
    return false;
}

static struct tree *member(struct parser *p)
{
    struct tree *t = primary(p);
    for (;;) {
        struct token sign = p->now;
        if ((at_sign(p, '[') || at_sign(p, '.')) && !within_limits(p)) return t;
        if (at_sign(p, '[')) {
            advance(p);
            struct tree *index = expression(p);
            expect(p, ']', "']'");
            t = call(p, "_[_]", sign.at, sign.length, t, index, NULL);
        } else if (at_sign(p, '.')) {
            advance(p);
            if (p->now.kind != TOKEN_NAME) {
                if (at_sign(p, '?')) fail(p, p->now.at, 1, "optional fields are not supported");
                fail_here(p, "a field name");
                return t;
            }
            struct tree *select = make(p, TREE_SELECT, p->now.at, p->now.length);
            select->name = p->now.text;
            select->target = t;
            advance(p);
            if (at_sign(p, '(')) {
                select->kind = TREE_CALL;
                advance(p);
                arguments(p, select, ')', false, false);
            }
            t = select;
        } else if (at_sign(p, '{')) {
            fail(p, sign.at, sign.length, "messages are not supported");
            find_feet(p);
            return t;
        } else {
            return t;
        }
    }
}

static struct tree *unary(struct parser *p)
{
    struct token sign = p->now;
    if (at_sign(p, '!') || at_word(p, "not", "NOT", "!")) {
        advance(p);
        return ++p->depth > DEPTH_MAX ? (fail_here(p, "less nesting"), make(p, TREE_BAD, sign.at, 1))
                                      : call(p, "!_", sign.at, sign.length, unary(p), NULL, NULL);
    }
    if (!at_sign(p, '-')) return member(p);
    advance_signed(p, true);
    if (p->now.kind == TOKEN_VALUE && p->now.value.kind != V_STRING) {
        p->now.at = sign.at; /* the literal swallowed the sign */
        return member(p);
    }
    if (++p->depth > DEPTH_MAX) return fail_here(p, "less nesting"), make(p, TREE_BAD, sign.at, 1);
    return call(p, "-_", sign.at, sign.length, unary(p), NULL, NULL);
}

static const struct binary *binary_here(struct parser *p)
{
    static const struct binary in = {0, 3, "@in"};
    if (at_name(p, "in")) return &in;
    if (at_word(p, "or", "OR", "||")) return &binaries[0];
    if (at_word(p, "and", "AND", "&&")) return &binaries[1];
    for (size_t i = 0; i < sizeof binaries / sizeof *binaries; i++)
        if (at_sign(p, binaries[i].sign)) return &binaries[i];
    return NULL;
}

static struct tree *binary(struct parser *p, uint32_t level)
{
    uint32_t depth = p->depth;
    struct tree *left = unary(p);
    p->depth = depth;
    for (;;) {
        const struct binary *op = binary_here(p);
        if (!op || op->level < level || !within_limits(p)) return left;
        struct token sign = p->now;
        advance(p);
        struct tree *right = binary(p, op->level + 1u);
        left = call(p, op->name, sign.at, sign.length, left, right, NULL);
    }
}

static struct tree *expression(struct parser *p)
{
    uint32_t depth = p->depth;
    if (++p->depth > DEPTH_MAX) {
        fail_here(p, "less nesting");
        find_feet(p);
        return make(p, TREE_BAD, p->now.at, p->now.length);
    }
    struct tree *t = binary(p, 1);
    if (at_sign(p, '?')) {
        struct token sign = p->now;
        advance(p);
        struct tree *yes = binary(p, 1);
        expect(p, ':', "':'");
        t = call(p, "_?_:_", sign.at, sign.length, t, yes, expression(p));
    }
    p->depth = depth;
    return t;
}

struct tree *expr_parse(struct arena *a, struct slice text, struct expr_errors *errors)
{
    struct parser p = {.lexer = {.text = text, .arena = a}, .arena = a, .errors = errors};
    advance(&p);
    struct tree *t = expression(&p);
    while (p.now.kind != TOKEN_END) {
        fail_here(&p, "an operator or the end");
        advance(&p);
    }
    return t;
}
