/* expr_reference.h - the slow, obvious twin of the expression machine: walks the syntax tree, finds kinds as it goes,
 * and looks at every deed of the person for every question. Knows nothing of programs, windows' edges in time, views or
 * sharing. Everything it computes with is its own, but for the parser and the civil calendar. */
#ifndef HG_TESTS_EXPR_REFERENCE_H
#define HG_TESTS_EXPR_REFERENCE_H

#include "core/expr/tree.h"
#include "tests/unit/expr_person.h"

#include <math.h>
#include <stdlib.h>

struct ref {
    const struct person *p;
    int64_t now;
    struct arena *arena;
    const struct deed *entry; /* `e` inside of a filter */
    struct {
        struct slice name;
        struct value value;
    } local[4];
    uint32_t locals;
};

static struct value ref_eval(struct ref *r, const struct tree *t);

static const struct value ref_error = {.kind = V_ERROR, .n = 3, .s = (const uint8_t *)"ref"};
static bool ref_bad(struct value v) { return v.kind == V_ERROR || v.kind == V_NONE; }
static bool ref_number(struct value v) { return v.kind == V_INT || v.kind == V_DOUBLE; }
static double ref_double(struct value v) { return v.kind == V_INT ? (double)v.i : v.d; }

/* -1 0 1; 8: a NaN is there; 9: not comparable. Whole seconds are all that the random expressions make. */
static int ref_order(struct value a, struct value b)
{
    if (a.kind == V_INT && b.kind == V_INT) return a.i < b.i ? -1 : a.i > b.i;
    if (ref_number(a) && ref_number(b) && (isnan(ref_double(a)) || isnan(ref_double(b)))) return 8;
    if (ref_number(a) && ref_number(b))
        return ref_double(a) < ref_double(b) ? -1 : ref_double(a) > ref_double(b);
    if (a.kind != b.kind) return 9;
    if (a.kind == V_BOOL) return (int)a.b - (int)b.b;
    if (a.kind == V_TIME || a.kind == V_DURATION) return a.i < b.i ? -1 : a.i > b.i;
    if (a.kind != V_STRING) return 9;
    for (uint32_t i = 0; i < a.n && i < b.n; i++)
        if (a.s[i] != b.s[i]) return a.s[i] < b.s[i] ? -1 : 1;
    return a.n < b.n ? -1 : a.n > b.n;
}

static bool ref_equal(struct value a, struct value b)
{
    if (a.kind == V_LIST && b.kind == V_LIST) {
        bool same = a.n == b.n;
        for (uint32_t i = 0; same && i < a.n; i++) same = ref_equal(a.list[i], b.list[i]);
        return same;
    }
    return ref_order(a, b) == 0;
}

/* ---- operators ------------------------------------------------------------------------------------ */

static struct value ref_arithmetic(char op, struct value a, struct value b)
{
    __int128 x = a.i, y = b.i, n = 0;
    if ((a.kind == V_TIME || a.kind == V_DURATION) && (b.kind == V_TIME || b.kind == V_DURATION)) {
        n = op == '+' ? x + y : x - y;
        bool time = (a.kind == V_TIME) != (b.kind == V_TIME);
        if (!time && (n > 9223372036 || n < -9223372036)) return ref_error;
        if (time && (n < -62135596800 || n > 253402300799)) return ref_error;
        return time ? value_time((int64_t)n) : value_duration((int64_t)n);
    }
    if (a.kind == V_INT && b.kind == V_INT) {
        if ((op == '/' || op == '%') && y == 0) return ref_error;
        n = op == '+' ? x + y : op == '-' ? x - y : op == '*' ? x * y : op == '/' ? x / y : x % y;
        return n > INT64_MAX || n < INT64_MIN ? ref_error : value_int((int64_t)n);
    }
    if (!ref_number(a) || !ref_number(b) || op == '%') return ref_error;
    double c = ref_double(a), d = ref_double(b);
    return value_double(op == '+' ? c + d : op == '-' ? c - d : op == '*' ? c * d : c / d);
}

static struct value ref_compare(struct slice op, struct value a, struct value b)
{
    if (slice_is(op, "_==_")) return value_bool(ref_equal(a, b));
    if (slice_is(op, "_!=_")) return value_bool(!ref_equal(a, b));
    int order = ref_order(a, b);
    if (order == 9) return ref_error;
    if (order == 8) return value_bool(false);
    if (slice_is(op, "_<_")) return value_bool(order < 0);
    if (slice_is(op, "_<=_")) return value_bool(order <= 0);
    if (slice_is(op, "_>_")) return value_bool(order > 0);
    return value_bool(order >= 0);
}

static struct value ref_logic(struct ref *r, const struct tree *t, bool decides)
{
    struct value a = ref_eval(r, t->args[0]), b = ref_eval(r, t->args[1]);
    if ((a.kind == V_BOOL && a.b == decides) || (b.kind == V_BOOL && b.b == decides))
        return value_bool(decides);
    return a.kind == V_BOOL && b.kind == V_BOOL ? value_bool(!decides) : ref_error;
}

static struct value ref_in(struct value a, struct value b)
{
    if (b.kind != V_LIST) return ref_error;
    for (uint32_t i = 0; i < b.n; i++)
        if (ref_equal(a, b.list[i])) return value_bool(true);
    return value_bool(false);
}

static struct value ref_operator(struct ref *r, const struct tree *t)
{
    if (slice_is(t->name, "_&&_")) return ref_logic(r, t, false);
    if (slice_is(t->name, "_||_")) return ref_logic(r, t, true);
    struct value a = ref_eval(r, t->args[0]);
    if (slice_is(t->name, "_?_:_")) return a.kind == V_BOOL ? ref_eval(r, t->args[a.b ? 1 : 2]) : ref_error;
    if (slice_is(t->name, "!_")) return a.kind == V_BOOL ? value_bool(!a.b) : ref_error;
    if (slice_is(t->name, "-_"))
        return a.kind == V_INT ? value_int(-a.i) : a.kind == V_DOUBLE ? value_double(-a.d) : ref_error;
    struct value b = ref_eval(r, t->args[1]);
    if (ref_bad(a) || ref_bad(b)) return ref_error;
    if (slice_is(t->name, "@in")) return ref_in(a, b);
    if (strchr("=!<>", t->name.p[1])) return ref_compare(t->name, a, b);
    if (t->name.p[1] == '+' && a.kind == V_STRING && b.kind == V_STRING)
        return value_string(slice_str(
            arena_printf(r->arena, "%.*s%.*s", (int)a.n, (const char *)a.s, (int)b.n, (const char *)b.s)));
    return ref_arithmetic((char)t->name.p[1], a, b);
}

/* ---- fields -------------------------------------------------------------------------------------------- */

static struct value ref_field(struct ref *r, const struct tree *t)
{
    static const char *const attributes[] = {"city", "plan", "vip", "birthday", "expires", "tags"};
    static const char *const props[] = {"total", "city", "ok"};
    bool profile = slice_is(t->target->name, "profile");
    for (uint32_t i = 0; profile && i < ATTRIBUTES; i++)
        if (slice_is(t->name, attributes[i])) return r->p->attribute[i];
    for (uint32_t i = 0; !profile && i < PROPS; i++)
        if (slice_is(t->name, props[i])) return r->entry ? r->entry->prop[i] : r->p->at_hand[i];
    if (slice_is(t->name, "at")) return value_time(r->entry ? r->entry->time : r->p->event_at);
    return value_none();
}

/* A civil date is, next to the clock, the person's midnight: `expires_at` of the generator is a timestamp, so that only
 * birthday needs it. */
static bool ref_is_date(const struct tree *t)
{
    return t->kind == TREE_SELECT && slice_is(t->name, "birthday");
}

/* ---- history --------------------------------------------------------------------------------------------- */

static uint32_t ref_type(const struct tree *t) { return slice_is(value_text(t->value), "View"); }

/* Inside the window? Errors of the window come back in *error. */
static bool ref_inside(struct ref *r, const struct tree *w, int64_t time, bool *error)
{
    if (!w) return true;
    if (slice_is(w->name, "since")) {
        struct value from = ref_eval(r, w->args[0]);
        bool lifetime = w->args[0]->kind == TREE_CALL &&
                        (slice_is(w->args[0]->name, "last") || slice_is(w->args[0]->name, "first"));
        if (ref_bad(from) && !lifetime) *error = true;
        return time <= r->now && (ref_bad(from) || time >= from.i);
    }
    if (slice_is(w->name, "calendar")) {
        struct civil now, then;
        zone_civil(r->p->zone, r->now, &now);
        zone_civil(r->p->zone, time, &then);
        int64_t today = civil_days(now.year, now.month, now.day),
                day = civil_days(then.year, then.month, then.day);
        struct slice unit = value_text(w->args[0]->value);
        int64_t first = slice_is(unit, "day")    ? today
                        : slice_is(unit, "week") ? today - (now.weekday + 6) % 7
                                                 : civil_days(now.year, now.month, 1);
        return time <= r->now && day >= first;
    }
    struct value length = ref_eval(r, w);
    if (ref_bad(length) || length.i <= 0) return *error = true, false;
    return r->now - length.i < time && time <= r->now;
}

static bool ref_is_window(const struct tree *t)
{
    static const char *const names[] = {"days", "hours", "minutes", "duration", "since", "calendar"};
    for (uint32_t i = 0; t->kind == TREE_CALL && i < 6; i++)
        if (slice_is(t->name, names[i])) return true;
    return false;
}

static struct value ref_with_entry(struct ref *r, const struct deed *d, const struct tree *t)
{
    const struct deed *outer = r->entry;
    r->entry = d;
    struct value v = ref_eval(r, t);
    r->entry = outer;
    return v;
}

static struct value ref_tally(struct ref *r, const struct tree *t)
{
    bool count = slice_is(t->name, "count"), error = false;
    uint32_t at = count ? 1 : 2;
    const struct tree *window = at < t->count && ref_is_window(t->args[at]) ? t->args[at++] : NULL;
    const struct tree *where = at < t->count ? t->args[at] : NULL;
    uint32_t type = ref_type(t->args[0]), n = 0, numbers = 0, distinct = 0;
    int64_t micros = 0;
    struct value seen[DEEDS_MAX], best = ref_error;
    ref_inside(r, window, 0, &error);
    for (uint32_t i = 0; i < r->p->count[type]; i++) {
        const struct deed *d = &r->p->deeds[type][i];
        if (!ref_inside(r, window, d->time, &error)) continue;
        struct value keep = where ? ref_with_entry(r, d, where) : value_bool(true);
        if (keep.kind != V_BOOL || !keep.b) continue;
        n++;
        struct value v = count ? ref_error : ref_with_entry(r, d, t->args[1]);
        if (ref_bad(v)) continue;
        bool wanted = ref_order(v, best) == (slice_is(t->name, "min") ? -1 : 1);
        if (!(v.kind == V_DOUBLE && isnan(v.d)) && (best.kind == V_ERROR || wanted)) best = v;
        bool known = false;
        for (uint32_t k = 0; k < distinct; k++) known |= ref_equal(seen[k], v);
        if (!known) seen[distinct++] = v;
        if (!ref_number(v) || !isfinite(ref_double(v))) continue;
        numbers++;
        micros += llround(ref_double(v) * 1e6);
    }
    if (error) return ref_error;
    if (count) return value_int(n);
    if (slice_is(t->name, "distinct")) return value_int(distinct);
    if (slice_is(t->name, "sum")) return value_double((double)micros / 1e6);
    if (slice_is(t->name, "avg")) return numbers ? value_double((double)micros / 1e6 / numbers) : ref_error;
    return best;
}

/* All ways to pick the steps; there are few deeds. */
static bool ref_steps(struct ref *r, const struct tree *list, uint32_t step, uint32_t not_before,
                      const uint32_t *from, const struct tree *window)
{
    if (step == list->count) return true;
    const struct tree *s = list->args[step];
    bool filtered = s->kind == TREE_CALL, error = false;
    uint32_t type = ref_type(filtered ? s->args[0] : s);
    for (uint32_t i = from[type]; i < r->p->count[type]; i++) {
        const struct deed *d = &r->p->deeds[type][i];
        uint32_t rest[TYPES] = {from[0], from[1]}; /* a deed is one step, not two */
        rest[type] = i + 1;
        if (!ref_inside(r, window, d->time, &error) || d->time < not_before) continue;
        if (filtered && s->count == 2) {
            struct value keep = ref_with_entry(r, d, s->args[1]);
            if (keep.kind != V_BOOL || !keep.b) continue;
        }
        if (ref_steps(r, list, step + 1, d->time, rest, window)) return true;
    }
    return false;
}

static struct value ref_days_in_row(struct ref *r, uint32_t type)
{
    struct civil c;
    zone_civil(r->p->zone, r->now, &c);
    int64_t today = civil_days(c.year, c.month, c.day), days = 0;
    for (int64_t day = today;; day--) {
        bool found = false;
        for (uint32_t i = 0; i < r->p->count[type]; i++) {
            if (r->p->deeds[type][i].time > r->now) continue;
            zone_civil(r->p->zone, r->p->deeds[type][i].time, &c);
            found |= civil_days(c.year, c.month, c.day) == day;
        }
        if (found) days++;
        if (!found && day != today) return value_int(days);
    }
}

static struct value ref_lifetime(struct ref *r, const struct tree *t, uint32_t type)
{
    uint32_t n = r->p->count[type];
    if (slice_is(t->name, "ago"))
        return value_duration(n ? r->now - r->p->deeds[type][n - 1].time : 315576000000);
    if (!n) return ref_error;
    return value_time(r->p->deeds[type][slice_is(t->name, "first") ? 0 : n - 1].time);
}

static struct value ref_age(struct ref *r, const struct tree *t)
{
    struct value v = ref_field(r, t);
    struct civil born, now;
    if (ref_bad(v)) return ref_error;
    civil_from_seconds(v.i, &born);
    zone_civil(r->p->zone, r->now, &now);
    bool before = now.month * 100 + now.day < born.month * 100 + born.day;
    return value_int(now.year - born.year - before);
}

/* ---- calls ---------------------------------------------------------------------------------------------------- */

static struct value ref_loop(struct ref *r, const struct tree *t)
{
    struct value list = ref_eval(r, t->target);
    if (list.kind != V_LIST) return ref_error;
    uint32_t yes = 0, errors = 0;
    r->local[r->locals++].name = t->args[0]->name;
    for (uint32_t i = 0; i < list.n; i++) {
        r->local[r->locals - 1].value = list.list[i];
        struct value v = ref_eval(r, t->args[1]);
        errors += v.kind != V_BOOL;
        yes += v.kind == V_BOOL && v.b;
    }
    r->locals--;
    if (slice_is(t->name, "exists")) return yes ? value_bool(true) : errors ? ref_error : value_bool(false);
    if (slice_is(t->name, "all"))
        return yes + errors < list.n ? value_bool(false) : errors ? ref_error : value_bool(true);
    return errors ? ref_error : value_bool(yes == 1);
}

static struct value ref_text_call(struct ref *r, const struct tree *t)
{
    struct value a = ref_eval(r, t->target), b = t->count ? ref_eval(r, t->args[0]) : value_none();
    if (a.kind == V_TIME) {
        struct civil c;
        zone_civil(r->p->zone, a.i, &c);
        return value_int(slice_is(t->name, "getHours")     ? c.hour
                         : slice_is(t->name, "getMinutes") ? c.minute
                                                           : c.weekday);
    }
    if (a.kind != V_STRING || (t->count && b.kind != V_STRING)) return ref_error;
    if (slice_is(t->name, "size")) return value_int(a.n);
    for (uint32_t at = 0; at + b.n <= a.n; at++) {
        bool here = b.n == 0 || memcmp(a.s + at, b.s, b.n) == 0;
        if (here && (slice_is(t->name, "contains") || (slice_is(t->name, "startsWith") && at == 0) ||
                     (slice_is(t->name, "endsWith") && at + b.n == a.n)))
            return value_bool(true);
    }
    return value_bool(false);
}

static struct value ref_call(struct ref *r, const struct tree *t)
{
    static const char *const tallies[] = {"count", "sum", "avg", "min", "max", "distinct"};
    static const char *const loops[] = {"exists", "all", "exists_one"};
    if (t->name.p[t->name.n - 1] == '_' || t->name.p[0] == '@') return ref_operator(r, t);
    for (uint32_t i = 0; t->target && i < 3; i++)
        if (slice_is(t->name, loops[i])) return ref_loop(r, t);
    if (t->target) return ref_text_call(r, t);
    for (uint32_t i = 0; i < 6; i++)
        if (slice_is(t->name, tallies[i])) return ref_tally(r, t);
    if (slice_is(t->name, "has")) return value_bool(ref_field(r, t->args[0]).kind != V_NONE);
    if (slice_is(t->name, "days")) return value_duration(t->args[0]->value.i * 86400);
    if (slice_is(t->name, "hours")) return value_duration(t->args[0]->value.i * 3600);
    if (slice_is(t->name, "minutes")) return value_duration(t->args[0]->value.i * 60);
    if (slice_is(t->name, "duration"))
        return value_duration(atoi((const char *)value_text(t->args[0]->value).p));
    if (slice_is(t->name, "segment")) return value_bool(r->p->member);
    if (slice_is(t->name, "age")) return ref_age(r, t->args[0]);
    if (slice_is(t->name, "days_in_row")) return ref_days_in_row(r, ref_type(t->args[0]));
    if (slice_is(t->name, "sequence"))
        return value_bool(ref_steps(r, t->args[0], 0, 0, (uint32_t[TYPES]){0}, t->args[1]));
    return ref_lifetime(r, t, ref_type(t->args[0]));
}

static struct value ref_list(struct ref *r, const struct tree *t)
{
    struct value *items = ARENA_ARRAY(r->arena, struct value, t->count + 1u);
    for (uint32_t i = 0; i < t->count; i++)
        if (ref_bad(items[i] = ref_eval(r, t->args[i]))) return ref_error;
    return (struct value){.kind = V_LIST, .n = t->count, .list = items};
}

static struct value ref_eval(struct ref *r, const struct tree *t)
{
    struct value v;
    switch (t->kind) {
    case TREE_VALUE: return t->value;
    case TREE_LIST: return ref_list(r, t);
    case TREE_SELECT:
        v = ref_field(r, t);
        if (v.kind == V_TIME && ref_is_date(t)) v.i = zone_to_utc(r->p->zone, v.i);
        return v.kind == V_NONE ? ref_error : v;
    case TREE_CALL: return ref_call(r, t);
    default: break;
    }
    for (uint32_t i = r->locals; i-- > 0;)
        if (slice_eq(r->local[i].name, t->name)) return r->local[i].value;
    return slice_is(t->name, "now") ? value_time(r->now) : ref_error;
}

#endif
