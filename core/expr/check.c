#include "core/expr/check.h"

#include <stdarg.h>
#include <stdio.h>

enum { ARGS_MAX = 4 };

/* ---- reporting, and making nodes ---------------------------------------------------------------- */

const struct node *check_node(struct checker *c, struct node like, const struct type *type,
                              const struct node *const *child, uint32_t count)
{
    like.type = c->scope->unchecked ? type_basic(TYPE_DYN) : type;
    return node_make(c->pool, like, child, count);
}

const struct node *check_fail(struct checker *c, const struct tree *at, const char *fix, const char *format,
                              ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *reason = arena_strndup(c->pool->arena, text, strlen(text));
    struct expr_error e = {.at = at->at, .length = at->length, .reason = reason, .fix = fix};
    if (!c->scope->unchecked) expr_error_add(c->pool->arena, c->errors, e);
    struct node like = {.op = OP_FAIL, .value = value_fail_n(reason, (uint32_t)strlen(reason))};
    return check_leaf(c, like, type_basic(TYPE_ERROR));
}

void check_warn(struct checker *c, const struct tree *at, const char *fix, const char *reason)
{
    struct expr_error e = {.at = at->at, .length = at->length, .warning = true, .reason = reason, .fix = fix};
    if (!c->scope->conformance) expr_error_add(c->pool->arena, c->errors, e);
}

/* Where a definition file gives such a name. */
static const char *where_declared(enum expr_space space)
{
    switch (space) {
    case SPACE_ATTRIBUTE: return "declare it under `attributes:`";
    case SPACE_EVENT: return "declare it under `events:`";
    case SPACE_PROPERTY: return "declare it under the `properties:` of its event";
    case SPACE_SEGMENT: return "declare it under `segments:`";
    case SPACE_LIST: return "declare it under `lists:`";
    case SPACE_CHANNEL: return "declare it under `channels:`";
    case SPACE_JOURNEY: return "declare it under `journeys:`";
    case SPACE_STEP: return "give that send of this journey an `id:`";
    case SPACE_LANE: return "name it in the `lane:` of a journey";
    case SPACE_COLLECTION: return "declare it under `collections:`";
    case SPACE_FIELD: return "declare it under the `fields:` of its collection";
    case SPACE_CATALOG: return "declare it under `catalogs:`";
    case SPACE_ROW: return "declare it under the `fields:` of its catalog";
    case SPACE_VALUE: return "declare it under `values:`";
    default: return "names begin with profile., e., trigger. or context.; texts stand in quotes";
    }
}

/* A bare name that has a meaning behind profile. or e. */
static const char *whose_name(struct checker *c, struct slice name)
{
    struct expr_symbol s;
    const struct expr_scope *scope = c->scope;
    if (!scope->resolve) return NULL;
    const char *whose = scope->resolve(scope->self, SPACE_ATTRIBUTE, 0, name, &s) ? "profile" : NULL;
    if (c->event != ID_NONE && scope->resolve(scope->self, SPACE_PROPERTY, c->event, name, &s)) whose = "e";
    return whose ? arena_printf(c->pool->arena, "write %s.%.*s", whose, (int)name.n, (const char *)name.p)
                 : NULL;
}

static const char *meant_name(struct checker *c, enum expr_space space, uint32_t within, struct slice name)
{
    struct slice near = {0};
    if (c->scope->nearest) near = c->scope->nearest(c->scope->self, space, within, name);
    const char *fix =
        near.n ? arena_printf(c->pool->arena, "did you mean '%.*s'?", (int)near.n, (const char *)near.p)
               : NULL;
    if (!fix && space == SPACE_VARIABLE) fix = whose_name(c, name);
    return fix ? fix : where_declared(space);
}

const struct node *check_undeclared(struct checker *c, const struct tree *at, enum expr_space space,
                                    uint32_t within, struct slice name)
{
    return check_fail(c, at, meant_name(c, space, within, name), "undeclared reference to '%.*s'",
                      (int)name.n, (const char *)name.p);
}

static const struct type *constant_type(struct checker *c, struct value v)
{
    switch (v.kind) {
    case V_NULL: return type_basic(TYPE_NULL);
    case V_BOOL: return type_basic(TYPE_BOOL);
    case V_INT: return type_basic(TYPE_INT);
    case V_UINT: return type_basic(TYPE_UINT);
    case V_DOUBLE: return type_basic(TYPE_DOUBLE);
    case V_STRING: return type_basic(TYPE_STRING);
    case V_TIME: return type_basic(TYPE_TIME);
    case V_DURATION: return type_basic(TYPE_DURATION);
    default: return type_basic(TYPE_DYN);
    }
}

const struct node *check_constant(struct checker *c, struct value v)
{
    return check_leaf(c, (struct node){.op = OP_CONST, .value = v}, constant_type(c, v));
}

static const char *types_text(struct checker *c, const struct node *const *args, uint32_t n)
{
    const char *text = "";
    for (uint32_t i = 0; i < n; i++)
        text = arena_printf(c->pool->arena, "%s%s%s", text, i ? ", " : "",
                            type_text(c->pool->arena, args[i]->type));
    return text;
}

static bool one_is(const struct node *const *args, enum type_kind kind)
{
    return args[0]->type->kind == kind || args[1]->type->kind == kind;
}

/* What two values that don't go together were meant to be. */
static const char *meant(struct checker *c, const struct tree *t, const struct node *const *args)
{
    const struct node *number = type_is_number(args[0]->type) ? args[0] : args[1];
    const struct node *text = args[0]->type->kind == TYPE_STRING ? args[0] : args[1];
    bool order = strchr("<>", t->name.p[1]), moment = one_is(args, TYPE_DATE) || one_is(args, TYPE_TIME);
    if (slice_is(t->name, "@in") && args[1]->type->kind == TYPE_STRING)
        return "'in' asks in a list: in [\"a\", \"b\"]; in a text ask text.contains(\"a\")";
    if (one_is(args, TYPE_LIST) && text->type->kind == TYPE_STRING)
        return "whether a list holds a value: \"a\" in profile.interests";
    if (one_is(args, TYPE_BOOL) && order)
        return "a condition is true or false and has no size: comparisons are joined by &&, such as a > 1 && "
               "a < 5";
    if (one_is(args, TYPE_BOOL) && text->op == OP_CONST && text->type->kind == TYPE_STRING)
        return "true and false stand without quotes";
    if (one_is(args, TYPE_NULL)) return "absent is not null: use has()";
    if (slice_is(t->name, "_%_") && one_is(args, TYPE_DOUBLE))
        return "% is for whole numbers: int(...) % int(...)";
    if (one_is(args, TYPE_DURATION) && number->op == OP_CONST && number->value.kind == V_INT)
        return arena_printf(c->pool->arena, "write days(%lld), hours(%lld) or minutes(%lld)",
                            (long long)number->value.i, (long long)number->value.i,
                            (long long)number->value.i);
    if (one_is(args, TYPE_DURATION) && type_is_number(number->type))
        return "a duration is days(n), hours(n) or minutes(n)";
    if (moment && type_is_number(number->type) && !order && !slice_is(t->name, "_==_"))
        return "a span of time is days(n), hours(n), minutes(n) or duration(\"90s\")";
    if (moment && (one_is(args, TYPE_STRING) || type_is_number(number->type)))
        return "write timestamp(\"2026-03-01T00:00:00Z\")";
    return "values of one kind go together: a text stands in quotes, a number does not";
}

static const struct node *no_overload(struct checker *c, const struct tree *t, const struct node *const *args,
                                      uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (args[i]->type->kind == TYPE_ERROR) return args[i];
    return check_fail(c, t,
                      n == 2 ? meant(c, t, args)
                             : "values of one kind go together: a text stands in quotes, a number does not",
                      "found no matching overload for '%.*s' applied to '(%s)'", (int)t->name.n,
                      (const char *)t->name.p, types_text(c, args, n));
}

static const struct node *promote(struct checker *c, const struct node *n)
{
    return check_node(c, (struct node){.op = OP_TO_DOUBLE}, type_basic(TYPE_DOUBLE), &n, 1);
}

/* An int next to a double becomes one; a civil date next to a timestamp becomes the person's midnight. */
static void adapt(struct checker *c, const struct node **args, uint32_t n)
{
    bool doubles = false, times = false;
    for (uint32_t i = 0; i < n; i++) {
        doubles |= args[i]->type->kind == TYPE_DOUBLE;
        times |= args[i]->type->kind == TYPE_TIME || args[i]->type->kind == TYPE_DURATION;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (doubles && args[i]->type->kind == TYPE_INT && !c->scope->conformance)
            args[i] = promote(c, args[i]);
        if (times && args[i]->type->kind == TYPE_DATE)
            args[i] = check_node(c, (struct node){.op = OP_LOCAL_DATE}, type_basic(TYPE_TIME), &args[i], 1);
    }
}

/* ---- logic and comparisons -------------------------------------------------------------------------- */

static const struct node *need_bool(struct checker *c, const struct tree *t, const struct node *n)
{
    const struct type *type = type_seen(n->type);
    if (type->kind == TYPE_BOOL || type_is_open(type)) return n;
    return check_fail(c, t, "compare it with something, such as > 0", "expected type 'bool' but found '%s'",
                      type_text(c->pool->arena, n->type));
}

static const struct node *check_logic(struct checker *c, const struct tree *t, enum op op)
{
    const struct node *args[2];
    uint32_t asked = c->asked_count;
    for (uint32_t i = 0; i < 2; i++) {
        args[i] = need_bool(c, t->args[i], check(c, t->args[i]));
        guard_ask(c, t->args[i], op == OP_AND);
    }
    c->asked_count = asked;
    return check_node(c, (struct node){.op = (uint8_t)op}, type_basic(TYPE_BOOL), args, 2);
}

static const struct node *check_choose(struct checker *c, const struct tree *t, enum op op)
{
    const struct node *args[3];
    uint32_t asked = c->asked_count;
    for (uint32_t i = 0; i < 3; i++) {
        args[i] = check(c, t->args[i]);
        c->asked_count = asked;
        if (i < 2) guard_ask(c, t->args[0], i == 0);
    }
    c->asked_count = asked;
    const struct type *asks = type_seen(args[0]->type);
    if (asks->kind != TYPE_BOOL && !type_is_open(asks)) return no_overload(c, t, args, 3);
    adapt(c, args + 1, 2);
    if (!type_agrees(args[1]->type, args[2]->type)) return no_overload(c, t, args, 3);
    const struct type *type = type_same(args[1]->type, args[2]->type) ? args[1]->type : type_basic(TYPE_DYN);
    if (args[1]->type->kind == args[2]->type->kind && !type_is_open(args[1]->type)) type = args[1]->type;
    return check_node(c, (struct node){.op = (uint8_t)op}, type, args, 3);
}

static bool comparable(const struct type *a, const struct type *b, bool order)
{
    a = type_seen(a);
    b = type_seen(b);
    if (type_is_open(a) || type_is_open(b) || (type_is_number(a) && type_is_number(b))) return true;
    if (!order) return type_agrees(a, b);
    return a->kind == b->kind && (a->kind == TYPE_BOOL || a->kind == TYPE_STRING || a->kind == TYPE_TIME ||
                                  a->kind == TYPE_DATE || a->kind == TYPE_DURATION);
}

static void warn_beyond_cap(struct checker *c, const struct tree *t, const struct node *count,
                            const struct node *n)
{
    if (count->op != OP_TALLY || (count->a & TALLY_WHAT) != TALLY_COUNT || n->op != OP_CONST) return;
    bool beyond = (n->value.kind == V_INT && n->value.i > count->c) ||
                  (n->value.kind == V_DOUBLE && n->value.d > count->c);
    if (beyond && count->c)
        check_warn(c, t, "raise the event's cap",
                   "the constant is beyond the event's cap: older events are only kept per day");
}

static void warn_other_spelling(struct checker *c, const struct tree *t, const struct node *attribute,
                                const struct node *n)
{
    bool text = attribute->op == OP_ATTRIBUTE && n->op == OP_CONST && n->value.kind == V_STRING;
    if (!text || !c->scope->spelling) return;
    struct slice kept = c->scope->spelling(c->scope->self, attribute->b, value_text(n->value));
    if (!slice_eq(kept, value_text(n->value)))
        check_warn(c, t, arena_printf(c->pool->arena, "write \"%.*s\"", (int)kept.n, (const char *)kept.p),
                   "the attribute never holds this text: `normalize` keeps it under another spelling");
}

const char PARTS_FIX[] = "getMonth() of January is 0, getDayOfWeek() of Sunday is 0, getDate() begins with 1";

const char *part_never(const struct node *n, struct value number, struct arena *a)
{
    static const int16_t ranges[][2] = {[PART_YEAR] = {INT16_MIN, INT16_MAX},
                                        [PART_MONTH] = {0, 11},
                                        [PART_DATE] = {1, 31},
                                        [PART_DAY_OF_MONTH] = {0, 30},
                                        [PART_DAY_OF_WEEK] = {0, 6},
                                        [PART_DAY_OF_YEAR] = {0, 365},
                                        [PART_HOURS] = {0, 23},
                                        [PART_MINUTES] = {0, 59},
                                        [PART_SECONDS] = {0, 59},
                                        [PART_MILLISECONDS] = {0, 999}};
    if (n->op == OP_TO_DOUBLE) n = n->child[0];
    enum type_kind of = n->op == OP_ACCESS ? type_seen(n->child[0]->type)->kind : TYPE_DYN;
    if (of != TYPE_TIME && of != TYPE_DATE) return NULL;
    if (number.kind != V_INT && number.kind != V_DOUBLE) return NULL;
    double is = number.kind == V_INT ? (double)number.i : number.d;
    if (is >= ranges[n->a][0] && is <= ranges[n->a][1]) return NULL;
    return arena_printf(a, "it is never this: it lies between %d and %d", ranges[n->a][0], ranges[n->a][1]);
}

static void warn_never_part(struct checker *c, const struct tree *t, const struct node *part,
                            const struct node *n)
{
    const char *never = n->op == OP_CONST ? part_never(part, n->value, c->pool->arena) : NULL;
    if (never) check_warn(c, t, PARTS_FIX, never);
}

/* What became of a message tells by which channel it went. */
static void warn_no_channel(struct checker *c, const struct tree *t, const struct node *n,
                            const struct node *constant)
{
    const struct expr_scope *scope = c->scope;
    struct expr_symbol s, channel;
    bool cell = n->op == OP_CELL, own = cell || (n->op == OP_PROPERTY && n->b == 0);
    bool text = constant->op == OP_CONST && constant->value.kind == V_STRING;
    if (!own || !text || c->event == ID_NONE || !scope->resolve) return;
    bool known = scope->resolve(scope->self, SPACE_PROPERTY, c->event, SLICE("channel"), &s);
    if (!known || !s.channel || s.id != (cell ? n->b : n->c)) return;
    struct slice name = value_text(constant->value);
    if (!scope->resolve(scope->self, SPACE_CHANNEL, 0, name, &channel))
        check_warn(c, t, meant_name(c, SPACE_CHANNEL, 0, name), "no message goes by a channel of this name");
}

static void warn_never_equal(struct checker *c, const struct tree *t, const struct node *n,
                             const struct node *constant)
{
    warn_other_spelling(c, t, n, constant);
    warn_never_part(c, t, n, constant);
    warn_no_channel(c, t, n, constant);
}

static const struct node *check_compare(struct checker *c, const struct tree *t, enum op op)
{
    const struct node *args[2] = {check(c, t->args[0]), check(c, t->args[1])};
    bool constant = args[0]->op == OP_CONST || args[1]->op == OP_CONST,
         numbers = type_is_number(args[0]->type);
    if (constant || !numbers) adapt(c, args, 2); /* other numbers are compared as they are */
    if (!comparable(args[0]->type, args[1]->type, op != OP_EQ && op != OP_NE))
        return no_overload(c, t, args, 2);
    warn_beyond_cap(c, t, args[0], args[1]);
    warn_beyond_cap(c, t, args[1], args[0]);
    bool equal = op == OP_EQ || op == OP_NE;
    if (equal) warn_never_equal(c, t->args[1], args[0], args[1]);
    if (equal) warn_never_equal(c, t->args[0], args[1], args[0]);
    return check_node(c, (struct node){.op = (uint8_t)op}, type_basic(TYPE_BOOL), args, 2);
}

/* ---- functions of the table ---------------------------------------------------------------------------- */

typedef bool takes_letter(char letter, const struct type *t);

/* As declared. A number inside of a message is whole or not, as it comes. */
static bool takes_seen(char letter, const struct type *t)
{
    const struct type *seen = type_seen(t);
    if (seen == t || !type_is_number(seen)) return function_takes(letter, seen);
    for (enum type_kind kind = TYPE_INT; kind <= TYPE_DOUBLE; kind++)
        if (function_takes(letter, type_basic(kind))) return true;
    return false;
}

static bool row_fits(const struct function_row *row, const struct node *const *args, uint32_t n,
                     takes_letter *takes)
{
    if (strlen(row->args) != n) return false;
    for (uint32_t i = 0; i < n; i++)
        if (!takes(row->args[i], args[i]->type)) return false;
    return true;
}

struct choice {
    const struct function_row *first, *only; /* the name's first row; the one that fits, if one does */
    uint32_t fitting;
    bool known;
    const struct type *type;
};

static struct choice choose(const struct tree *t, const struct node *const *args, uint32_t n,
                            takes_letter *takes)
{
    struct choice r = {0};
    for (uint32_t i = 0; i < function_rows; i++) {
        const struct function_row *row = &function_table[i];
        if (!slice_is(t->name, row->name)) continue;
        r.known = true;
        if (row->method != (t->target != NULL)) continue;
        if (!r.first) r.first = row;
        if (!row_fits(row, args, n, takes)) continue;
        const struct type *type = function_result(row->result);
        r.type = r.fitting && r.type->kind != type->kind ? type_basic(TYPE_DYN) : type;
        r.only = row;
        r.fitting++;
    }
    return r;
}

static const char *nearest_function(struct checker *c, struct slice name)
{
    if (slice_is(name, "now")) return "write now, without brackets";
    const char *best = check_nearest_special(name);
    uint32_t distance = best ? text_distance(name, slice_str(best), 2) : 3;
    for (uint32_t i = 0; i < function_rows; i++) {
        uint32_t d = text_distance(name, slice_str(function_table[i].name), 2);
        if (d < distance) distance = d, best = function_table[i].name;
    }
    return best ? arena_printf(c->pool->arena, "did you mean '%s'?", best)
                : "chapter 3 of core/define/LANGUAGE.md has all functions";
}

static const struct node *check_constant_call(struct checker *c, const struct tree *t, const struct node *n)
{
    for (uint32_t i = 0; i < n->count; i++)
        if (n->child[i]->op != OP_CONST) return n;
    if (n->op != OP_CALL || n->count == 0 || c->scope->conformance) return n;
    const char *reason;
    struct expr_context ctx = {.zone = zone_utc(), .scratch = c->pool->arena};
    const struct program *p = program_make(c->pool, n, &reason);
    struct value v = p ? program_run(p, &ctx) : value_none();
    if (v.kind != V_ERROR) return n;
    return check_fail(c, t, "change its argument", "%.*s() always fails: %.*s", (int)t->name.n,
                      (const char *)t->name.p, (int)v.n, (const char *)v.s);
}

static const struct node *call_matches(struct checker *c, const struct tree *t,
                                       const struct node *const *args)
{
    const char *reason;
    if (!pattern_compile(c->pool->arena, value_text(args[1]->value), &reason))
        return check_fail(c, t, "a pattern of RE2, such as \"^a.*z$\"", "malformed pattern: %s", reason);
    return check_node(c, (struct node){.op = OP_MATCHES, .value = args[1]->value}, type_basic(TYPE_BOOL),
                      args, 1);
}

static const struct type *list_sum(struct checker *c, const struct node *const *args)
{
    const struct type *a = args[0]->type, *b = args[1]->type;
    if (a->kind != TYPE_LIST || b->kind != TYPE_LIST) return type_basic(TYPE_LIST);
    return type_same(a, b) || type_is_open(b->item) ? a : type_is_open(a->item) ? b : type_basic(TYPE_LIST);
}

static const struct node *check_overload(struct checker *c, const struct tree *t, const struct node **args,
                                         uint32_t n)
{
    bool operator= t->name.p[t->name.n - 1] == '_' || t->name.p[0] == '@';
    if (operator) adapt(c, args, n);
    struct choice r = choose(t, args, n, function_takes);
    if (!r.known)
        return check_fail(c, t, nearest_function(c, t->name), "undeclared reference to '%.*s'",
                          (int)t->name.n, (const char *)t->name.p);
    if (!choose(t, args, n, takes_seen).fitting) return no_overload(c, t, args, n);
    bool open = false;
    for (uint32_t i = 0; i < n; i++)
        if (args[i]->type->kind == TYPE_ERROR) return args[i];
    for (uint32_t i = 0; i < n; i++) open |= type_is_open(args[i]->type) && args[i]->op != OP_CONST;
    struct node like = {.op = r.only->op};
    if (r.only->op != OP_CALL) {
        like.a = operator&& n == 2 && r.only->op != OP_IN && !c->scope->conformance;
        const struct type *type = r.only->result == 'L' && r.fitting == 1 ? list_sum(c, args) : r.type;
        const struct node *made = check_node(c, like, type, args, n);
        bool constant = args[0]->op == OP_CONST && args[n - 1]->op == OP_CONST;
        if (constant && made->op != OP_CONST)
            check_warn(c, t, "change one of its sides", "this always fails: it has no value");
        return made;
    }
    if (r.only->run == text_matches && args[1]->op == OP_CONST && args[1]->value.kind == V_STRING)
        return call_matches(c, t, args);
    bool dynamic = r.fitting > 1 || open || c->scope->unchecked;
    like.a = dynamic ? SMALL_DYNAMIC : 0;
    like.b = (uint16_t)((dynamic ? r.first : r.only) - function_table);
    return check_constant_call(c, t, check_node(c, like, r.type, args, n));
}

/* x in ["a", "b"] is x == "a" || x == "b". */
static void warn_never_in(struct checker *c, const struct tree *list, const struct node *n)
{
    for (uint32_t i = 0; list->kind == TREE_LIST && i < list->count; i++)
        if (list->args[i]->kind == TREE_VALUE)
            warn_never_equal(c, list->args[i], n, check_constant(c, list->args[i]->value));
}

static const struct node *check_function(struct checker *c, const struct tree *t)
{
    const struct node *args[ARGS_MAX];
    uint32_t n = 0;
    if (t->count + (t->target != NULL) > ARGS_MAX)
        return check_fail(c, t, "leave some out", "too many arguments for '%.*s'", (int)t->name.n,
                          (const char *)t->name.p);
    if (t->target) args[n++] = check(c, t->target);
    for (uint32_t i = 0; i < t->count; i++) args[n++] = check(c, t->args[i]);
    if (slice_is(t->name, "!_") && args[0]->fallible && !guard_covers(c, t->args[0]))
        check_warn(c, t, "ask has() first",
                   "'!' over something that can fail: an error stays an error, and the whole is false");
    const struct type *list = slice_is(t->name, "@in") ? type_seen(args[1]->type) : NULL;
    if (list && list->kind == TYPE_LIST && !comparable(args[0]->type, list->item, false))
        return no_overload(c, t, args, n);
    if (slice_is(t->name, "@in")) warn_never_in(c, t->args[1], args[0]);
    return check_overload(c, t, args, n);
}

/* ---- parts of a timestamp -------------------------------------------------------------------------------- */

static const char *const parts[] = {"getFullYear",  "getMonth",       "getDate",  "getDayOfMonth",
                                    "getDayOfWeek", "getDayOfYear",   "getHours", "getMinutes",
                                    "getSeconds",   "getMilliseconds"};

static const struct node *check_part(struct checker *c, const struct tree *t, uint32_t part)
{
    const struct node *args[2] = {check(c, t->target), t->count ? check(c, t->args[0]) : NULL};
    uint32_t n = 1 + t->count;
    const struct type *of = type_seen(args[0]->type);
    bool duration = of->kind == TYPE_DURATION && n == 1 && part >= PART_HOURS;
    if (n > 2 || (of->kind != TYPE_TIME && of->kind != TYPE_DATE && !duration && !type_is_open(of)))
        return no_overload(c, t, args, n > 2 ? 2 : n);
    struct node like = {
        .op = OP_ACCESS, .a = (uint8_t)part, .b = of->kind == TYPE_DATE || c->scope->conformance};
    if (n == 2) {
        if (args[1]->type->kind != TYPE_STRING && !type_is_open(args[1]->type))
            return no_overload(c, t, args, 2);
        like.b = 3;
        if (args[1]->op == OP_CONST && args[1]->value.kind == V_STRING) {
            if (!zone_load(NULL, value_text(args[1]->value)))
                return check_fail(c, t->args[0], "a name of the time zone database such as \"Europe/Moscow\"",
                                  "unknown time zone");
            like.b = 2;
            like.value = args[1]->value;
            n = 1;
        }
    }
    return check_node(c, like, type_basic(TYPE_INT), args, n);
}

/* ---- macros -------------------------------------------------------------------------------------------------- */

static const char NO_FIELDS_FIX[] =
    "only profile, e, trigger, context and what is declared as object have fields";
static const char TIME_FIELDS_FIX[] =
    "this is a time only; what an event holds is asked by max(\"NAME\", e.x) or count(\"NAME\", e.x > 1)";

static const struct type *unknown_field(struct checker *c, const struct tree *at, const struct type *of,
                                        struct slice name)
{
    struct slice near = {0};
    uint32_t best = name.n < 4 ? 2 : name.n / 3 + 1;
    for (uint32_t i = 0; i < of->field_count; i++) {
        uint32_t distance = text_distance(name, of->fields[i].name, best);
        if (distance < best) best = distance, near = of->fields[i].name;
    }
    const char *fix = "declare it among the fields of this property";
    if (near.n) fix = arena_printf(c->pool->arena, "did you mean '%.*s'?", (int)near.n, (const char *)near.p);
    return check_fail(c, at, fix, "undeclared reference to '%.*s'", (int)name.n, (const char *)name.p)->type;
}

/* What a field of a value is; TYPE_ERROR: it can't be there, and that is told. */
static const struct type *field_type(struct checker *c, const struct tree *at, const struct type *of,
                                     struct slice name)
{
    of = type_seen(of);
    if (type_is_open(of)) return type_basic(TYPE_DYN);
    if (of->kind != TYPE_MAP)
        return check_fail(c, at, of->kind == TYPE_TIME ? TIME_FIELDS_FIX : NO_FIELDS_FIX,
                          "type '%s' does not support field selection", type_text(c->pool->arena, of))
            ->type;
    for (uint32_t i = 0; i < of->field_count; i++)
        if (slice_eq(of->fields[i].name, name)) return of->fields[i].type;
    return of->fields ? unknown_field(c, at, of, name) : of->item;
}

static const struct node *check_has(struct checker *c, const struct tree *t)
{
    const struct tree *field = t->count == 1 ? t->args[0] : NULL;
    if (!field || field->kind != TREE_SELECT)
        return check_fail(c, t, "for example has(profile.city)", "has() takes a field");
    const struct node *load = check_field(c, field, true);
    if (!load) {
        const struct node *of = check(c, field->target);
        struct node like = {.op = OP_SELECT, .a = SMALL_PROBE, .value = value_string(field->name)};
        load = check_node(c, like, field_type(c, field, of->type, field->name), &of, 1);
    }
    return check_node(c, (struct node){.op = OP_HAS}, type_basic(TYPE_BOOL), &load, 1);
}

static const struct type *item_type(const struct type *range)
{
    if (range->kind == TYPE_LIST) return range->item;
    return range->kind == TYPE_MAP ? range->key : type_basic(TYPE_DYN);
}

static const struct node *check_body(struct checker *c, const struct tree *t, struct slice name,
                                     const struct type *item, uint32_t collection)
{
    uint32_t level = c->local_count;
    c->locals[level].name = name;
    c->locals[level].type = item;
    c->locals[level].collection = collection;
    c->local_count++;
    c->macro_depth++;
    const struct node *body = check(c, t);
    c->macro_depth--;
    c->local_count--;
    return body;
}

static const struct node *check_loop(struct checker *c, const struct tree *t, enum loop kind)
{
    const struct node *args[3] = {check(c, t->target)};
    const struct type *range = type_seen(args[0]->type);
    if (t->args[0]->kind != TREE_NAME)
        return check_fail(c, t->args[0], "for example list.exists(x, x > 1)",
                          "the first argument is a new name");
    if (c->local_count == LOCALS_MAX || (c->macro_depth >= MACRO_NESTING && !c->scope->conformance))
        return check_fail(c, t, "make a segment of the inner part and ask segment(...)",
                          "macros nest at most %d deep", MACRO_NESTING);
    if (range->kind != TYPE_LIST && range->kind != TYPE_MAP && !type_is_open(range))
        return check_fail(c, t->target, "it goes over a list: an attribute of type [string], or split(...)",
                          "expression of type '%s' cannot be the range of '%.*s'",
                          type_text(c->pool->arena, range), (int)t->name.n, (const char *)t->name.p);
    uint32_t n = t->count, collection = check_collection(c, t->target);
    for (uint32_t i = 1; i < n; i++)
        args[i] = check_body(c, t->args[i], t->args[0]->name, item_type(range), collection);
    if (kind != LOOP_MAP || n == 3) args[1] = need_bool(c, t->args[1], args[1]);
    const struct type *type = type_basic(TYPE_BOOL);
    if (kind == LOOP_FILTER) type = type_list(c->pool->arena, item_type(range));
    if (kind == LOOP_MAP) type = type_list(c->pool->arena, args[n - 1]->type);
    return check_node(c, (struct node){.op = OP_LOOP, .a = (uint8_t)kind, .b = (uint16_t)c->local_count},
                      type, args, n);
}

static const struct node *check_macro(struct checker *c, const struct tree *t)
{
    static const char *const loops[] = {"all", "exists", "exists_one", "map", "filter"};
    if (!t->target && slice_is(t->name, "has")) return check_has(c, t);
    if (!t->target) return NULL;
    for (uint32_t i = 0; i < sizeof loops / sizeof *loops; i++)
        if (slice_is(t->name, loops[i]) && (t->count == 2 || (i == LOOP_MAP && t->count == 3)))
            return check_loop(c, t, i);
    for (uint32_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (slice_is(t->name, parts[i])) return check_part(c, t, i);
    return NULL;
}

/* ---- the rest of CEL -------------------------------------------------------------------------------------------- */

static const struct node *check_list(struct checker *c, const struct tree *t)
{
    const struct node **items = ARENA_ARRAY(c->pool->arena, const struct node *, t->count + 1u);
    const struct type *item = type_basic(TYPE_DYN);
    for (uint32_t i = 0; i < t->count; i++) {
        items[i] = check(c, t->args[i]);
        item = i == 0 || type_same(item, items[i]->type) ? items[i]->type : type_basic(TYPE_DYN);
    }
    return check_node(c, (struct node){.op = OP_LIST, .c = t->count}, type_list(c->pool->arena, item), items,
                      t->count);
}

static const struct node *check_map(struct checker *c, const struct tree *t)
{
    const struct node **items = ARENA_ARRAY(c->pool->arena, const struct node *, t->count + 1u);
    const struct type *part[2] = {type_basic(TYPE_DYN), type_basic(TYPE_DYN)};
    for (uint32_t i = 0; i < t->count; i++) {
        items[i] = check(c, t->args[i]);
        const struct type **of = &part[i % 2];
        *of = i < 2 || type_same(*of, items[i]->type) ? items[i]->type : type_basic(TYPE_DYN);
        bool key = items[i]->type->kind == TYPE_STRING || items[i]->type->kind == TYPE_BOOL ||
                   type_is_open(items[i]->type) || items[i]->type->kind == TYPE_INT ||
                   items[i]->type->kind == TYPE_UINT;
        if (i % 2 == 0 && !key)
            items[i] = check_fail(c, t->args[i], "string(...)",
                                  "a map's key is text, a whole number or a bool, not %s",
                                  type_text(c->pool->arena, items[i]->type));
    }
    return check_node(c, (struct node){.op = OP_MAP, .c = t->count / 2},
                      type_map(c->pool->arena, part[0], part[1]), items, t->count);
}

static const struct node *check_index(struct checker *c, const struct tree *t, enum op op)
{
    const struct node *args[2] = {check(c, t->args[0]), check(c, t->args[1])};
    const struct type *of = type_seen(args[0]->type), *index = type_seen(args[1]->type);
    bool fits = type_is_open(of) ||
                (of->kind == TYPE_LIST &&
                 (type_is_open(index) || index->kind == TYPE_INT || !c->scope->conformance)) ||
                (of->kind == TYPE_MAP &&
                 (type_agrees(of->key, index) || (type_is_number(of->key) && type_is_number(index))));
    if (of->kind == TYPE_LIST && !type_is_open(index) && !type_is_number(index)) fits = false;
    if (!fits) return no_overload(c, t, args, 2);
    const struct type *type = of->kind == TYPE_LIST || of->kind == TYPE_MAP ? of->item : type_basic(TYPE_DYN);
    if (of->fields && args[1]->op == OP_CONST && args[1]->value.kind == V_STRING)
        type = field_type(c, t->args[1], of, value_text(args[1]->value));
    return check_node(c, (struct node){.op = (uint8_t)op}, type, args, 2);
}

static const struct node *check_select(struct checker *c, const struct tree *t)
{
    const struct node *special = check_field(c, t, false);
    if (special) return special;
    const struct node *of = check(c, t->target);
    struct node like = {.op = OP_SELECT, .value = value_string(t->name)};
    return check_node(c, like, field_type(c, t, of->type, t->name), &of, 1);
}

static const struct node *check_local_or_name(struct checker *c, const struct tree *t)
{
    for (uint32_t i = c->local_count; i-- > 0;)
        if (slice_eq(c->locals[i].name, t->name))
            return check_leaf(c, (struct node){.op = OP_LOCAL, .b = (uint16_t)i}, c->locals[i].type);
    const struct node *special = check_name(c, t);
    return special ? special : check_undeclared(c, t, SPACE_VARIABLE, 0, t->name);
}

static const struct {
    const char *name;
    enum op op;
    const struct node *(*check)(struct checker *c, const struct tree *t, enum op op);
} operators[] = {
    {"_&&_", OP_AND, check_logic},   {"_||_", OP_OR, check_logic},   {"_==_", OP_EQ, check_compare},
    {"_!=_", OP_NE, check_compare},  {"_<_", OP_LT, check_compare},  {"_<=_", OP_LE, check_compare},
    {"_>_", OP_GT, check_compare},   {"_>=_", OP_GE, check_compare}, {"_?_:_", OP_CHOOSE, check_choose},
    {"_[_]", OP_INDEX, check_index},
};

static const struct node *check_call(struct checker *c, const struct tree *t)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (slice_is(t->name, operators[i].name)) return operators[i].check(c, t, operators[i].op);
    const struct node *n = check_macro(c, t);
    if (!n) n = check_special(c, t);
    return n ? n : check_function(c, t);
}

const struct node *check(struct checker *c, const struct tree *t)
{
    switch ((enum tree_kind)t->kind) {
    case TREE_BAD:
        return check_leaf(c, (struct node){.op = OP_FAIL, .value = value_fail("syntax error")},
                          type_basic(TYPE_ERROR));
    case TREE_VALUE: return check_constant(c, t->value);
    case TREE_NAME: return check_local_or_name(c, t);
    case TREE_SELECT: return check_select(c, t);
    case TREE_CALL: return check_call(c, t);
    case TREE_LIST: return check_list(c, t);
    case TREE_MAP: return check_map(c, t);
    }
    return NULL;
}
