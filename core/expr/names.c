/* What names mean in hourglass: profile, context, e, trigger, and the functions over a person's history. */
#include "core/expr/check.h"

enum { STEPS_MAX = 16, SCOPE_EVENT = 0, SCOPE_TRIGGER = 1 };

static bool resolve(struct checker *c, enum expr_space space, uint32_t within, struct slice name,
                    struct expr_symbol *out)
{
    *out = (struct expr_symbol){0};
    return c->scope->resolve && c->scope->resolve(c->scope->self, space, within, name, out);
}

/* What does not run yet still has its type, so that the rest of the expression is checked. */
static const struct node *not_yet(struct checker *c, const struct tree *t, const char *what,
                                  enum type_kind type)
{
    check_fail(c, t, "take it out of what is to run now", "not yet: %s", what);
    return check_leaf(c, (struct node){.op = OP_FAIL, .value = value_fail("not yet")}, type_basic(type));
}

static bool is_name(const struct tree *t, const char *name)
{
    return t->kind == TREE_NAME && slice_is(t->name, name);
}

static bool is_local(const struct checker *c, struct slice name)
{
    for (uint32_t i = 0; i < c->local_count; i++)
        if (slice_eq(c->locals[i].name, name)) return true;
    return false;
}

/* ---- plain CEL: variables, also with dots in their names --------------------------------------------- */

static bool dotted(const struct tree *t, struct arena *a, struct slice *out)
{
    if (t->kind == TREE_NAME) return *out = t->name, true;
    if (t->kind != TREE_SELECT || !dotted(t->target, a, out)) return false;
    *out = slice_str(arena_printf(a, "%.*s.%.*s", (int)out->n, (const char *)out->p, (int)t->name.n,
                                  (const char *)t->name.p));
    return true;
}

static const struct tree *leftmost(const struct tree *t)
{
    while (t->kind == TREE_SELECT) t = t->target;
    return t;
}

static const struct node *check_variable(struct checker *c, const struct tree *t, bool probe)
{
    struct slice name;
    struct expr_symbol s;
    if (!dotted(t, c->pool->arena, &name) || is_local(c, leftmost(t)->name)) return NULL;
    if (!resolve(c, SPACE_VARIABLE, 0, name, &s)) return NULL;
    struct node like = {.op = OP_VARIABLE, .a = probe ? SMALL_PROBE : 0, .b = s.id};
    return check_leaf(c, like, type_basic(TYPE_DYN));
}

/* What an attribute or a property yields. */
static const struct type *symbol_type(const struct expr_symbol *s)
{
    return s->shape ? s->shape : type_declared(s->type);
}

/* ---- fields: profile.X, context.X.Y, e.X, trigger.X, AS.X ------------------------------------------------- */

static const struct node *check_profile(struct checker *c, const struct tree *t, bool probe)
{
    static const struct {
        const char *name;
        enum type_kind type;
    } own[] = {{"user_id", TYPE_STRING}, {"known", TYPE_BOOL},      {"first_seen", TYPE_TIME},
               {"last_seen", TYPE_TIME}, {"language", TYPE_STRING}, {"timezone", TYPE_STRING}};
    struct node like = {.a = probe ? SMALL_PROBE : 0};
    struct expr_symbol s;
    for (uint16_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (!slice_is(t->name, own[i].name)) continue;
        like.op = OP_PROFILE;
        like.b = i;
        return check_leaf(c, like, type_basic(own[i].type));
    }
    if (!resolve(c, SPACE_ATTRIBUTE, 0, t->name, &s))
        return check_undeclared(c, t, SPACE_ATTRIBUTE, 0, t->name);
    like.op = OP_ATTRIBUTE;
    like.b = s.id;
    return check_leaf(c, like, symbol_type(&s));
}

/* A field of an event: type ID_NONE means that any name may be there. */
static const struct node *check_property(struct checker *c, const struct tree *t, uint16_t scope,
                                         uint16_t type, bool probe)
{
    struct node like = {.op = OP_PROPERTY, .a = probe ? SMALL_PROBE : 0, .b = scope, .c = ID_NONE};
    struct expr_symbol s;
    bool declared = type != ID_NONE && resolve(c, SPACE_PROPERTY, type, t->name, &s);
    if (!declared && slice_is(t->name, "at")) {
        like.op = OP_EVENT_AT;
        like.c = 0;
        return check_leaf(c, like, type_basic(TYPE_TIME));
    }
    if (type != ID_NONE && !declared) return check_undeclared(c, t, SPACE_PROPERTY, type, t->name);
    like.value = value_string(t->name);
    if (declared) like.c = s.id;
    return check_leaf(c, like, declared ? symbol_type(&s) : type_basic(TYPE_DYN));
}

static const struct node *check_entry_field(struct checker *c, const struct tree *t, bool probe)
{
    struct expr_symbol s;
    if (c->event == ID_NONE || !resolve(c, SPACE_PROPERTY, c->event, t->name, &s)) {
        if (slice_is(t->name, "at"))
            return check_leaf(c, (struct node){.op = OP_CELL_AT}, type_basic(TYPE_TIME));
        if (c->event == ID_NONE)
            return check_fail(c, t, "\"*\" is all events together: name one, such as count(\"page\", ...)",
                              "history of \"*\" has no properties");
        return check_undeclared(c, t, SPACE_PROPERTY, c->event, t->name);
    }
    struct node like = {.op = OP_CELL, .a = probe ? SMALL_PROBE : 0, .b = s.id, .c = s.type};
    return check_leaf(c, like, symbol_type(&s));
}

static const char NO_EVENT_FIX[] = "an event is asked about by count(\"NAME\", ..., e.x > 1) and its kin";

static const struct node *check_event_field(struct checker *c, const struct tree *t, bool probe)
{
    if (c->in_entry) return check_entry_field(c, t, probe);
    if (c->event == ID_NONE && !c->any_event)
        return check_fail(c, t, NO_EVENT_FIX, "there is no event at hand here");
    return check_property(c, t, SCOPE_EVENT, c->event, probe);
}

static const struct node *check_context(struct checker *c, const struct tree *t, bool probe)
{
    struct slice path;
    dotted(t, c->pool->arena, &path);
    if (c->in_entry)
        return check_fail(c, t, "declare it as a property: {type: string, from: context.X}",
                          "history does not hold an event's context");
    if (c->event == ID_NONE && !c->any_event)
        return check_fail(c, t, NO_EVENT_FIX, "there is no event at hand here");
    struct slice inner = slice_of(path.p + sizeof "context", path.n - sizeof "context");
    struct node like = {
        .op = OP_CONTEXT, .a = probe ? SMALL_PROBE : 0, .b = SCOPE_EVENT, .value = value_string(inner)};
    return check_leaf(c, like, type_basic(TYPE_DYN));
}

static const struct node *check_rfm(struct checker *c, const struct tree *t)
{
    static const char *const fields[] = {"recency", "frequency", "monetary", "code"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (slice_is(t->name, fields[i])) return not_yet(c, t, "rfm", i == 3 ? TYPE_STRING : TYPE_INT);
    return check_fail(c, t, "rfm.recency, rfm.frequency, rfm.monetary, rfm.code", "rfm has no '%.*s'",
                      (int)t->name.n, (const char *)t->name.p);
}

/* ---- items of collections: i.price, and since when it is so: i.since.price -------------------------------- */

uint32_t check_collection(struct checker *c, const struct tree *t)
{
    struct expr_symbol s;
    if (t->kind == TREE_CALL && t->target && slice_is(t->name, "filter"))
        return check_collection(c, t->target);
    bool named = t->kind == TREE_NAME && !is_local(c, t->name) && !c->scope->conformance;
    return named && resolve(c, SPACE_COLLECTION, 0, t->name, &s) ? s.id + 1u : 0;
}

/* The collection of the variable that this name is; the innermost of that name counts. */
static uint32_t item_of(const struct checker *c, const struct tree *t)
{
    for (uint32_t i = c->local_count; t->kind == TREE_NAME && i-- > 0;)
        if (slice_eq(c->locals[i].name, t->name)) return c->locals[i].collection;
    return 0;
}

static const struct node *check_item_field(struct checker *c, const struct tree *t)
{
    const struct tree *of = t->target;
    bool since = of->kind == TREE_SELECT && slice_is(of->name, "since");
    uint32_t collection = item_of(c, since ? of->target : of);
    struct expr_symbol s;
    if (!collection || (!since && slice_is(t->name, "since"))) return NULL;
    if (!resolve(c, SPACE_FIELD, collection - 1, t->name, &s))
        return check_undeclared(c, t, SPACE_FIELD, collection - 1, t->name);
    return check_leaf(c, (struct node){.op = OP_FAIL, .value = value_fail("not yet")},
                      since ? type_basic(TYPE_TIME) : type_declared(s.type));
}

static const struct node *error_node(struct checker *c)
{
    return check_leaf(c, (struct node){.op = OP_FAIL, .value = value_fail("a name")}, type_basic(TYPE_ERROR));
}

/* catalog("products", KEY).price */
static const struct node *check_row_field(struct checker *c, const struct tree *t)
{
    const struct tree *of = t->target;
    struct expr_symbol s;
    if (of->kind != TREE_CALL || of->target || !slice_is(of->name, "catalog") || of->count != 2) return NULL;
    if (check(c, of)->type->kind == TYPE_ERROR) return error_node(c);
    uint32_t catalog = resolve(c, SPACE_CATALOG, 0, value_text(of->args[0]->value), &s) ? s.id : 0;
    if (!resolve(c, SPACE_ROW, catalog, t->name, &s))
        return check_undeclared(c, t, SPACE_ROW, catalog, t->name);
    return check_leaf(c, (struct node){.op = OP_FAIL, .value = value_fail("not yet")}, type_declared(s.type));
}

const struct node *check_field(struct checker *c, const struct tree *t, bool probe)
{
    const struct tree *of = t->target, *root = leftmost(t);
    struct expr_symbol s;
    if (c->scope->conformance) return check_variable(c, t, probe);
    if (root->kind == TREE_NAME && is_local(c, root->name)) return check_item_field(c, t);
    if (root->kind != TREE_NAME) return check_row_field(c, t);
    if (is_name(root, "context")) return check_context(c, t, probe);
    if (of != root) return NULL;
    if (is_name(of, "profile")) return check_profile(c, t, probe);
    if (is_name(of, "e")) return check_event_field(c, t, probe);
    if (is_name(of, "rfm")) return check_rfm(c, t);
    if (is_name(of, "new") || is_name(of, "old")) return not_yet(c, t, "catalogs", TYPE_DYN);
    if (is_name(of, "trigger")) {
        if (c->scope->trigger == ID_NONE && !c->scope->any_trigger)
            return check_fail(c, t, "trigger.X is there when every trigger is the same event; ask profile.X",
                              "no event started this: there is no trigger");
        return check_property(c, t, SCOPE_TRIGGER, c->scope->trigger, probe);
    }
    if (resolve(c, SPACE_AS, 0, of->name, &s)) return check_property(c, t, s.id, s.type, probe);
    return NULL;
}

const struct node *check_name(struct checker *c, const struct tree *t)
{
    static const char *const bare[] = {"profile", "context", "e", "trigger", "rfm"};
    static const char *const examples[] = {"profile.city", "context.ip", "e.total", "trigger.total",
                                           "rfm.code"};
    static const char *const types[] = {"bool", "int", "uint",      "double", "string", "bytes",
                                        "list", "map", "null_type", "type",   "dyn"};
    struct expr_symbol s;
    if (c->scope->conformance) {
        const struct node *n = check_variable(c, t, false);
        for (size_t i = 0; !n && i < sizeof types / sizeof *types; i++)
            if (slice_is(t->name, types[i])) n = check_fail(c, t, NULL, "types are not values here");
        return n;
    }
    if (slice_is(t->name, "now")) return check_leaf(c, (struct node){.op = OP_NOW}, type_basic(TYPE_TIME));
    for (size_t i = 0; i < sizeof bare / sizeof *bare; i++)
        if (slice_is(t->name, bare[i]))
            return check_fail(c, t, examples[i], "'%s' needs a field: %s.name", bare[i], bare[i]);
    if (resolve(c, SPACE_COLLECTION, 0, t->name, &s)) return not_yet(c, t, "collections", TYPE_DYN);
    return NULL;
}

/* ---- arguments ------------------------------------------------------------------------------------------------ */

static bool quoted(struct checker *c, const struct tree *t, const char *what, struct slice *out)
{
    *out = value_text(t->value);
    if (t->kind == TREE_VALUE && t->value.kind == V_STRING) return true;
    const char *fix = t->kind == TREE_NAME ? arena_printf(c->pool->arena, "write \"%.*s\"", (int)t->name.n,
                                                          (const char *)t->name.p)
                                           : "for example \"page\"";
    if (t->kind != TREE_BAD)
        check_fail(c, t, fix, "%s is a name in quotes", what); /* else it is told already */
    return false;
}

/* A quoted name that the space knows; false: reported. */
static bool named(struct checker *c, const struct tree *t, enum expr_space space, const char *what,
                  struct expr_symbol *s)
{
    struct slice name;
    if (!quoted(c, t, what, &name)) return false;
    if (resolve(c, space, 0, name, s)) return true;
    check_undeclared(c, t, space, 0, name);
    return false;
}

static bool event_named(struct checker *c, const struct tree *t, struct expr_symbol *s)
{
    *s = (struct expr_symbol){.id = ID_NONE};
    if (t->kind == TREE_VALUE && t->value.kind == V_STRING && slice_is(value_text(t->value), "*"))
        return true;
    return named(c, t, SPACE_EVENT, "an event", s);
}

static bool is_window(const struct tree *t)
{
    static const char *const names[] = {"days", "hours", "minutes", "duration", "since", "calendar"};
    for (size_t i = 0; t->kind == TREE_CALL && !t->target && i < sizeof names / sizeof *names; i++)
        if (slice_is(t->name, names[i])) return true;
    return false;
}

static const struct node *check_window(struct checker *c, const struct tree *t)
{
    const struct node *n = check(c, t);
    if (n->type->kind == TYPE_WINDOW || n->type->kind == TYPE_ERROR) return n;
    if (n->type->kind != TYPE_DURATION)
        return check_fail(c, t, "for example days(30)",
                          "a window is days(n), hours(n), minutes(n), since(T) or calendar(\"day\")");
    if (n->op == OP_CONST && nanoseconds(n->value) <= 0)
        return check_fail(c, t, "for example days(30)", "a window must be longer than nothing");
    return check_node(c, (struct node){.op = OP_SLIDING}, type_basic(TYPE_WINDOW), &n, 1);
}

/* Seconds that a window reaches back; 0: that is not known yet. */
static int64_t window_reach_s(const struct node *window)
{
    static const int64_t days[] = {[CALENDAR_DAY] = 1, [CALENDAR_WEEK] = 7, [CALENDAR_MONTH] = 31};
    if (window->op == OP_CALENDAR) return days[window->a] * 86400;
    bool fixed = window->op == OP_SLIDING && window->child[0]->op == OP_CONST;
    return fixed ? window->child[0]->value.i : 0;
}

static void warn_beyond_keep(struct checker *c, const struct tree *window_tree, const struct node *window,
                             const struct tree *event_tree, const struct expr_symbol *event)
{
    if (!event->keep_s || window_reach_s(window) <= event->keep_s) return;
    struct slice name = value_text(event_tree->value);
    uint32_t s = event->keep_s, unit = s % 86400 == 0 ? 86400 : s % 3600 == 0 ? 3600 : 1;
    check_warn(c, window_tree, "raise the event's `keep`, or ask for a shorter window",
               arena_printf(c->pool->arena, "the window is longer than '%.*s' is kept: keep: %u%c",
                            (int)name.n, (const char *)name.p, s / unit,
                            unit == 86400  ? 'd'
                            : unit == 3600 ? 'h'
                                           : 's'));
}

/* Checks with `e` bound to an entry of this event's history. */
static const struct node *check_in_entry(struct checker *c, const struct tree *t, uint16_t event)
{
    uint16_t outer = c->event;
    bool inside = c->in_entry;
    c->event = event;
    c->in_entry = true;
    const struct node *n = check(c, t);
    c->event = outer;
    c->in_entry = inside;
    return n;
}

static const struct node *check_where(struct checker *c, const struct tree *t, uint16_t event)
{
    const struct node *n = check_in_entry(c, t, event);
    const struct type *type = type_seen(n->type);
    if (type->kind == TYPE_BOOL || type_is_open(type)) return n;
    if (type->kind == TYPE_DURATION)
        return check_fail(c, t, "for example count(\"page\", days(30), e.x > 1)",
                          "a window comes before the filter and is written as days(n)");
    return check_fail(c, t,
                      type->kind == TYPE_STRING && n->op == OP_CONST
                          ? "several events are asked one by one: count(\"page\") + count(\"screen\")"
                          : "compare it with something, such as > 0",
                      "a filter is true or false, not %s", type_text(c->pool->arena, n->type));
}

/* ---- history --------------------------------------------------------------------------------------------------- */

static bool tally_takes(enum tally_what what, const struct type *value)
{
    value = type_seen(value);
    if (type_is_open(value) || type_is_number(value)) return true;
    return what >= TALLY_MIN && value->kind != TYPE_LIST && value->kind != TYPE_MAP;
}

/* (E [, value] [, window] [, where]), told apart by what they are. */
static const struct node *check_tally(struct checker *c, const struct tree *t, enum tally_what what)
{
    bool needs_value = what != TALLY_COUNT;
    struct expr_symbol event;
    const struct node *parts[3];
    uint32_t n = 0, at = 1 + needs_value;
    if (!event_named(c, t->args[0], &event)) return error_node(c);
    struct node like = {.op = OP_TALLY, .a = (uint8_t)what, .b = event.id};
    if (what == TALLY_COUNT) like.c = event.cap;
    if (at < t->count && is_window(t->args[at])) {
        parts[n++] = check_window(c, t->args[at]);
        warn_beyond_keep(c, t->args[at++], parts[0], t->args[0], &event);
        like.a |= TALLY_WINDOW;
    }
    if (needs_value) {
        const struct node *value = check_in_entry(c, t->args[1], event.id);
        if (!tally_takes(what, value->type))
            value = check_fail(
                c, t->args[1],
                what >= TALLY_MIN ? "name a property that holds one value"
                                  : "name a property that is declared as a number, or int(...)",
                what >= TALLY_MIN ? "'%.*s' needs one value, not %s" : "'%.*s' needs a number, not %s",
                (int)t->name.n, (const char *)t->name.p, type_text(c->pool->arena, value->type));
        parts[n++] = value;
        like.a |= TALLY_VALUE;
    }
    if (at < t->count) {
        parts[n++] = check_where(c, t->args[at++], event.id);
        like.a |= TALLY_WHERE;
    }
    if (at < t->count)
        return check_fail(c, t->args[at],
                          "for example sum(\"Order Completed\", e.total, days(30), e.total > 1)",
                          "unexpected argument: the order is event, value, window, filter");
    const struct type *type =
        type_basic(what == TALLY_COUNT || what == TALLY_DISTINCT ? TYPE_INT : TYPE_DOUBLE);
    if (what == TALLY_MIN || what == TALLY_MAX) type = parts[(like.a & TALLY_WINDOW) != 0]->type;
    return check_node(c, like, type, parts, n);
}

static const struct node *check_count(struct checker *c, const struct tree *t)
{
    if (t->count > 1) return check_tally(c, t, TALLY_COUNT);
    struct expr_symbol event;
    if (!event_named(c, t->args[0], &event)) return error_node(c);
    return check_leaf(c, (struct node){.op = OP_COUNT, .b = event.id}, type_basic(TYPE_INT));
}

static const struct node *check_sum(struct checker *c, const struct tree *t)
{
    return check_tally(c, t, TALLY_SUM);
}
static const struct node *check_avg(struct checker *c, const struct tree *t)
{
    return check_tally(c, t, TALLY_AVG);
}
static const struct node *check_min(struct checker *c, const struct tree *t)
{
    return check_tally(c, t, TALLY_MIN);
}
static const struct node *check_max(struct checker *c, const struct tree *t)
{
    return check_tally(c, t, TALLY_MAX);
}
static const struct node *check_distinct(struct checker *c, const struct tree *t)
{
    return check_tally(c, t, TALLY_DISTINCT);
}

static const struct node *check_lifetime(struct checker *c, const struct tree *t, enum op op,
                                         enum type_kind type)
{
    struct expr_symbol event;
    if (!event_named(c, t->args[0], &event)) return error_node(c);
    return check_leaf(c, (struct node){.op = (uint8_t)op, .b = event.id}, type_basic(type));
}
static const struct node *check_first(struct checker *c, const struct tree *t)
{
    return check_lifetime(c, t, OP_FIRST, TYPE_TIME);
}
static const struct node *check_last(struct checker *c, const struct tree *t)
{
    return check_lifetime(c, t, OP_LAST, TYPE_TIME);
}
static const struct node *check_ago(struct checker *c, const struct tree *t)
{
    return check_lifetime(c, t, OP_AGO, TYPE_DURATION);
}
static const struct node *check_row(struct checker *c, const struct tree *t)
{
    return check_lifetime(c, t, OP_DAYS_IN_ROW, TYPE_INT);
}

static const struct node *check_since(struct checker *c, const struct tree *t)
{
    const struct node *n = check(c, t->args[0]);
    if (n->type->kind == TYPE_DATE)
        n = check_node(c, (struct node){.op = OP_LOCAL_DATE}, type_basic(TYPE_TIME), &n, 1);
    if (n->type->kind != TYPE_TIME && !type_is_open(type_seen(n->type)))
        return check_fail(c, t->args[0], "for example since(last(\"page\"))", "since() takes a timestamp");
    bool lifetime = n->op == OP_LAST || n->op == OP_FIRST;
    return check_node(c, (struct node){.op = OP_SINCE, .a = lifetime}, type_basic(TYPE_WINDOW), &n, 1);
}

static const struct node *check_calendar(struct checker *c, const struct tree *t)
{
    static const char *const units[] = {"day", "week", "month"};
    struct slice name;
    if (!quoted(c, t->args[0], "a calendar unit", &name)) return error_node(c);
    for (uint8_t i = 0; i < 3; i++)
        if (slice_is(name, units[i]))
            return check_leaf(c, (struct node){.op = OP_CALENDAR, .a = i}, type_basic(TYPE_WINDOW));
    return check_fail(c, t->args[0], "for example calendar(\"month\")",
                      "calendar() takes \"day\", \"week\" or \"month\"");
}

static const struct node *check_step(struct checker *c, const struct tree *t, const struct tree *window_tree,
                                     const struct node *window)
{
    bool filtered =
        t->kind == TREE_CALL && !t->target && slice_is(t->name, "ev") && (t->count == 1 || t->count == 2);
    const struct tree *event_tree = filtered ? t->args[0] : t;
    struct expr_symbol event;
    if (!event_named(c, event_tree, &event)) return error_node(c);
    warn_beyond_keep(c, window_tree, window, event_tree, &event);
    const struct node *where = filtered && t->count == 2 ? check_where(c, t->args[1], event.id) : NULL;
    return check_node(c, (struct node){.op = OP_STEP, .b = event.id}, type_basic(TYPE_BOOL), &where,
                      where != NULL);
}

static const struct node *check_sequence(struct checker *c, const struct tree *t)
{
    const struct node *parts[STEPS_MAX + 1];
    const struct tree *list = t->args[0];
    if (list->kind != TREE_LIST || list->count == 0 || list->count > STEPS_MAX)
        return check_fail(c, list, "for example sequence([\"page\", \"screen\"], days(7))",
                          "sequence() takes a list of 1 to %d events and a window", STEPS_MAX);
    parts[0] = check_window(c, t->args[1]);
    for (uint32_t i = 0; i < list->count; i++) {
        parts[i + 1] = check_step(c, list->args[i], t->args[1], parts[0]);
        if (parts[i + 1]->type->kind == TYPE_ERROR) return parts[i + 1];
    }
    return check_node(c, (struct node){.op = OP_SEQUENCE}, type_basic(TYPE_BOOL), parts, list->count + 1);
}

static const struct node *check_ev(struct checker *c, const struct tree *t)
{
    return check_fail(c, t, "elsewhere ask count(\"page\", ..., filter) > 0",
                      "ev() stands only inside of sequence([...])");
}

/* ---- membership, consent, journeys ------------------------------------------------------------------------------- */

static const struct node *check_fact(struct checker *c, const struct tree *t, struct node like,
                                     enum expr_space space, const char *what, enum type_kind type)
{
    struct expr_symbol s;
    if (!named(c, t->args[0], space, what, &s)) return error_node(c);
    like.b = s.id;
    return check_leaf(c, like, type_basic(type));
}

#define FACT(function, small_op, small_a, space, what, type)                                                 \
    static const struct node *function(struct checker *c, const struct tree *t)                              \
    {                                                                                                        \
        return check_fact(c, t, (struct node){.op = small_op, .a = small_a}, space, what, type);             \
    }
FACT(check_segment, OP_SEGMENT, 0, SPACE_SEGMENT, "a segment", TYPE_BOOL)
FACT(check_entered, OP_ENTERED, 0, SPACE_SEGMENT, "a segment", TYPE_TIME)
FACT(check_left, OP_LEFT, 0, SPACE_SEGMENT, "a segment", TYPE_TIME)
FACT(check_in_list, OP_IN_LIST, 0, SPACE_LIST, "a list", TYPE_BOOL)
FACT(check_reachable, OP_REACHABLE, 0, SPACE_CHANNEL, "a channel", TYPE_BOOL)
FACT(check_in_journey, OP_IN_JOURNEY, 0, SPACE_JOURNEY, "a journey", TYPE_BOOL)

static const struct node *check_message(struct checker *c, const struct tree *t, enum send_state what)
{
    if (c->scope->unsent)
        return check_fail(c, t,
                          "ask in a step, the goal or an exit; elsewhere count(\"Message Opened\", ...)",
                          "%.*s() is about a message of the journey one is inside, and here one is in none",
                          (int)t->name.n, (const char *)t->name.p);
    return check_fact(c, t, (struct node){.op = OP_SEND, .a = (uint8_t)what}, SPACE_STEP, "a step",
                      TYPE_BOOL);
}

#define MESSAGE(function, what)                                                                              \
    static const struct node *function(struct checker *c, const struct tree *t)                              \
    {                                                                                                        \
        return check_message(c, t, what);                                                                    \
    }
MESSAGE(check_sent, SEND_SENT)
MESSAGE(check_delivered, SEND_DELIVERED)
MESSAGE(check_opened, SEND_OPENED)
MESSAGE(check_clicked, SEND_CLICKED)
MESSAGE(check_replied, SEND_REPLIED)

static const struct node *check_consent(struct checker *c, const struct tree *t)
{
    struct expr_symbol channel, topic_symbol;
    struct slice topic = {0};
    if (!named(c, t->args[0], SPACE_CHANNEL, "a channel", &channel)) return error_node(c);
    if (t->count == 2 && !named(c, t->args[1], SPACE_TOPIC, "a topic", &topic_symbol)) return error_node(c);
    if (t->count == 2) topic = value_text(t->args[1]->value);
    struct node like = {.op = OP_CONSENT, .b = channel.id, .value = value_string(topic)};
    return check_leaf(c, like, type_basic(TYPE_BOOL));
}

/* ---- the rest --------------------------------------------------------------------------------------------------------- */

static const struct node *check_value(struct checker *c, const struct tree *t)
{
    struct expr_symbol s;
    if (!named(c, t->args[0], SPACE_VALUE, "a value", &s)) return error_node(c);
    return check_constant(c, s.constant);
}

static const struct node *check_age(struct checker *c, const struct tree *t)
{
    const struct node *n = check(c, t->args[0]);
    bool date = n->type->kind == TYPE_DATE;
    if (!date && n->type->kind != TYPE_TIME && !type_is_open(type_seen(n->type)))
        return check_fail(c, t->args[0], "an attribute of type date, such as age(profile.birthday)",
                          "age() takes a date");
    return check_node(c, (struct node){.op = OP_AGE, .a = date}, type_basic(TYPE_INT), &n, 1);
}

static const struct node *check_revenue(struct checker *c, const struct tree *t)
{
    if (t->count) check_window(c, t->args[0]);
    return not_yet(c, t, "revenue", TYPE_DOUBLE);
}

static const struct node *check_rate(struct checker *c, const struct tree *t)
{
    static const char *const outcomes[] = {"delivered", "opened", "clicked",    "replied",
                                           "bounced",   "failed", "complained", "unsubscribed"};
    struct expr_symbol s;
    struct slice outcome;
    bool known = false;
    if (!c->scope->alarm)
        return check_fail(c, t, "elsewhere ask count() of this person", "rate() stands in alarms only");
    if (!quoted(c, t->args[0], "an outcome", &outcome)) return error_node(c);
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) known |= slice_is(outcome, outcomes[i]);
    if (!known)
        return check_fail(c, t->args[0],
                          "delivered, opened, clicked, replied, bounced, failed, complained or unsubscribed",
                          "no outcome is called '%.*s'", (int)outcome.n, (const char *)outcome.p);
    if (!named(c, t->args[1], SPACE_CHANNEL, "a channel", &s)) return error_node(c);
    check_window(c, t->args[2]);
    return not_yet(c, t, "rate", TYPE_DOUBLE);
}

static const struct node *check_in_lane(struct checker *c, const struct tree *t)
{
    struct expr_symbol s;
    return named(c, t->args[0], SPACE_LANE, "a lane", &s) ? not_yet(c, t, "in_lane", TYPE_BOOL)
                                                          : error_node(c);
}

static const struct node *check_catalog(struct checker *c, const struct tree *t)
{
    struct expr_symbol s;
    if (!named(c, t->args[0], SPACE_CATALOG, "a catalog", &s)) return error_node(c);
    check(c, t->args[1]);
    return not_yet(c, t, "catalogs", TYPE_DYN);
}

static const struct special {
    const char *name;
    uint8_t least, most;
    const struct node *(*check)(struct checker *c, const struct tree *t);
    const char *usage;
} specials[] = {
    {"count", 1, 3, check_count, "count(EVENT[, window][, where])"},
    {"sum", 2, 4, check_sum, "sum(EVENT, value[, window][, where])"},
    {"avg", 2, 4, check_avg, "avg(EVENT, value[, window][, where])"},
    {"min", 2, 4, check_min, "min(EVENT, value[, window][, where])"},
    {"max", 2, 4, check_max, "max(EVENT, value[, window][, where])"},
    {"distinct", 2, 4, check_distinct, "distinct(EVENT, value[, window][, where])"},
    {"first", 1, 1, check_first, "first(EVENT)"},
    {"last", 1, 1, check_last, "last(EVENT)"},
    {"ago", 1, 1, check_ago, "ago(EVENT)"},
    {"days_in_row", 1, 1, check_row, "days_in_row(EVENT)"},
    {"sequence", 2, 2, check_sequence, "sequence([EVENT, ev(EVENT, where)], window)"},
    {"ev", 1, 2, check_ev, "ev(EVENT, where)"},
    {"since", 1, 1, check_since, "since(TIMESTAMP)"},
    {"calendar", 1, 1, check_calendar, "calendar(\"day\")"},
    {"segment", 1, 1, check_segment, "segment(NAME)"},
    {"entered", 1, 1, check_entered, "entered(SEGMENT)"},
    {"left", 1, 1, check_left, "left(SEGMENT)"},
    {"in_list", 1, 1, check_in_list, "in_list(NAME)"},
    {"consent", 1, 2, check_consent, "consent(CHANNEL[, TOPIC])"},
    {"reachable", 1, 1, check_reachable, "reachable(CHANNEL)"},
    {"in_journey", 1, 1, check_in_journey, "in_journey(NAME)"},
    {"in_lane", 1, 1, check_in_lane, "in_lane(NAME)"},
    {"sent", 1, 1, check_sent, "sent(STEP)"},
    {"delivered", 1, 1, check_delivered, "delivered(STEP)"},
    {"opened", 1, 1, check_opened, "opened(STEP)"},
    {"clicked", 1, 1, check_clicked, "clicked(STEP)"},
    {"replied", 1, 1, check_replied, "replied(STEP)"},
    {"value", 1, 1, check_value, "value(NAME)"},
    {"age", 1, 1, check_age, "age(DATE)"},
    {"catalog", 2, 2, check_catalog, "catalog(NAME, key)"},
    {"revenue", 0, 1, check_revenue, "revenue([window])"},
    {"rate", 3, 3, check_rate, "rate(OUTCOME, CHANNEL, window)"},
};

const char *check_special_name(uint32_t i)
{
    return i < sizeof specials / sizeof *specials ? specials[i].name : NULL;
}

const char *expr_function(uint32_t i)
{
    return i < function_rows ? function_table[i].name : check_special_name(i - function_rows);
}

const char *check_nearest_special(struct slice name)
{
    for (uint32_t distance = 1; distance <= 2; distance++)
        for (size_t i = 0; i < sizeof specials / sizeof *specials; i++)
            if (text_distance(name, slice_str(specials[i].name), distance) <= distance)
                return specials[i].name;
    return NULL;
}

const struct node *check_special(struct checker *c, const struct tree *t)
{
    if (c->scope->conformance || t->target) return NULL;
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++) {
        const struct special *s = &specials[i];
        if (!slice_is(t->name, s->name)) continue;
        if (t->count < s->least || t->count > s->most)
            return check_fail(c, t,
                              t->count > s->most && strstr(s->usage, "[, where]")
                                  ? arena_printf(c->pool->arena, "%s; two filters are joined by &&", s->usage)
                                  : s->usage,
                              "'%s' takes other arguments", s->name);
        return s->check(c, t);
    }
    return NULL;
}
