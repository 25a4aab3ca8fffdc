/* expr_reference.h - the slow, obvious twin of the expression machine: walks the syntax tree, finds kinds as it goes,
 * and looks at every deed of the person for every question. Knows nothing of programs, windows' edges in time, views or
 * sharing. Everything it computes with is its own, but for the parser and the civil calendar. */
#ifndef HG_TESTS_EXPR_REFERENCE_H
#define HG_TESTS_EXPR_REFERENCE_H

#include "core/expr/tree.h"
#include "tests/unit/expr_coverage.h"
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
static struct value ref_field(struct ref *r, const struct tree *t);
static bool ref_is_date(const struct tree *t);

static const struct value ref_error = {.kind = V_ERROR, .n = 3, .s = (const uint8_t *)"ref"};
static bool ref_bad(struct value v) { return v.kind == V_ERROR || v.kind == V_NONE; }
static bool ref_number(struct value v) { return v.kind == V_INT || v.kind == V_UINT || v.kind == V_DOUBLE; }
static double ref_double(struct value v)
{
    return v.kind == V_INT ? (double)v.i : v.kind == V_UINT ? (double)v.u : v.d;
}
static __int128 ref_whole(struct value v) { return v.kind == V_INT ? (__int128)v.i : (__int128)v.u; }

static int ref_order_numbers(struct value a, struct value b)
{
    if (a.kind != V_DOUBLE && b.kind != V_DOUBLE)
        return ref_whole(a) < ref_whole(b) ? -1 : ref_whole(a) > ref_whole(b);
    double x = ref_double(a), y = ref_double(b);
    return isnan(x) || isnan(y) ? 8 : x < y ? -1 : x > y;
}

/* -1 0 1; 8: a NaN is there; 9: not comparable. Whole seconds are all that the random expressions make. */
static int ref_order(struct value a, struct value b)
{
    if (ref_number(a) && ref_number(b)) return ref_order_numbers(a, b);
    if (a.kind != b.kind) return 9;
    if (a.kind == V_BOOL) return (int)a.b - (int)b.b;
    if (a.kind == V_TIME || a.kind == V_DURATION) return a.i < b.i ? -1 : a.i > b.i;
    if (a.kind != V_STRING) return 9;
    for (uint32_t i = 0; i < a.n && i < b.n; i++)
        if (a.s[i] != b.s[i]) return a.s[i] < b.s[i] ? -1 : 1;
    return a.n < b.n ? -1 : a.n > b.n;
}

static bool ref_equal(struct value a, struct value b);

static const struct value *ref_key(struct value map, struct value key)
{
    for (uint32_t i = 0; i < map.n; i++)
        if (ref_equal(map.map[i].key, key)) return &map.map[i].value;
    return NULL;
}

static bool ref_equal(struct value a, struct value b)
{
    bool same = a.kind == b.kind && a.n == b.n;
    if (a.kind == V_NULL) return b.kind == V_NULL;
    if (a.kind == V_LIST || b.kind == V_LIST) {
        for (uint32_t i = 0; same && i < a.n; i++) same = ref_equal(a.list[i], b.list[i]);
        return same;
    }
    if (a.kind == V_MAP || b.kind == V_MAP) {
        for (uint32_t i = 0; same && i < a.n; i++) {
            const struct value *other = ref_key(b, a.map[i].key);
            same = other && ref_equal(a.map[i].value, *other);
        }
        return same;
    }
    return ref_order(a, b) == 0;
}

/* ---- operators ------------------------------------------------------------------------------------ */

static struct value ref_moments(char op, struct value a, struct value b)
{
    __int128 x = a.i, y = b.i, n = op == '+' ? x + y : x - y;
    bool time = (a.kind == V_TIME) != (b.kind == V_TIME);
    if (op != '+' && op != '-') return ref_error;
    if (op == '+' && a.kind == V_TIME && b.kind == V_TIME) return ref_error;
    if (op == '-' && a.kind == V_DURATION && b.kind == V_TIME) return ref_error;
    if (!time && (n > 9223372036 || n < -9223372036)) return ref_error;
    if (time && (n < -62135596800 || n > 253402300799)) return ref_error;
    return time ? value_time((int64_t)n) : value_duration((int64_t)n);
}

static struct value ref_whole_math(char op, struct value a, struct value b)
{
    bool unsigned_ = a.kind == V_UINT;
    __int128 x = ref_whole(a), y = ref_whole(b), n;
    if (a.kind != b.kind || ((op == '/' || op == '%') && y == 0)) return ref_error;
    n = op == '+' ? x + y : op == '-' ? x - y : op == '*' ? x * y : op == '/' ? x / y : x % y;
    if (unsigned_)
        return n > UINT64_MAX || n < 0 ? ref_error : (struct value){.kind = V_UINT, .u = (uint64_t)n};
    return n > INT64_MAX || n < INT64_MIN ? ref_error : value_int((int64_t)n);
}

static struct value ref_joined(struct ref *r, struct value a, struct value b)
{
    if (a.kind == V_STRING) {
        uint8_t *p = arena_alloc(r->arena, a.n + b.n + 1u);
        for (uint32_t i = 0; i < a.n + b.n; i++) p[i] = i < a.n ? a.s[i] : b.s[i - a.n];
        return value_string(slice_of(p, a.n + b.n));
    }
    struct value *items = ARENA_ARRAY(r->arena, struct value, a.n + b.n + 1u);
    for (uint32_t i = 0; i < a.n + b.n; i++) items[i] = i < a.n ? a.list[i] : b.list[i - a.n];
    return (struct value){.kind = V_LIST, .n = a.n + b.n, .list = items};
}

static struct value ref_arithmetic(struct ref *r, char op, struct value a, struct value b)
{
    bool moments = (a.kind == V_TIME || a.kind == V_DURATION) && (b.kind == V_TIME || b.kind == V_DURATION);
    if (moments) return ref_moments(op, a, b);
    if (op == '+' && a.kind == b.kind && (a.kind == V_STRING || a.kind == V_LIST)) return ref_joined(r, a, b);
    if (!ref_number(a) || !ref_number(b)) return ref_error;
    if (a.kind != V_DOUBLE && b.kind != V_DOUBLE) return ref_whole_math(op, a, b);
    double c = ref_double(a), d = ref_double(b);
    if (op == '%') return ref_error;
    return value_double(op == '+' ? c + d : op == '-' ? c - d : op == '*' ? c * d : c / d);
}

static struct value ref_compare(struct slice op, struct value a, struct value b)
{
    char kinds[] = {kind_letter(a.kind), kind_letter(b.kind), 0};
    cover2(slice_of(op.p + 1, op.n - 2), "");
    cover2(SLICE("order "), kinds);
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

static char ref_truth(struct value v) { return v.kind != V_BOOL ? 'e' : v.b ? 't' : 'f'; }

static struct value ref_logic(struct ref *r, const struct tree *t, bool decides)
{
    struct value a = ref_eval(r, t->args[0]), b = ref_eval(r, t->args[1]);
    char sides[] = {ref_truth(a), ref_truth(b), 0};
    cover2(decides ? SLICE("or ") : SLICE("and "), sides);
    if ((a.kind == V_BOOL && a.b == decides) || (b.kind == V_BOOL && b.b == decides))
        return value_bool(decides);
    return a.kind == V_BOOL && b.kind == V_BOOL ? value_bool(!decides) : ref_error;
}

static struct value ref_in(struct value a, struct value b)
{
    if (b.kind == V_MAP) return value_bool(ref_key(b, a) != NULL);
    if (b.kind != V_LIST) return ref_error;
    for (uint32_t i = 0; i < b.n; i++)
        if (ref_equal(a, b.list[i])) return value_bool(true);
    return value_bool(false);
}

static struct value ref_index(struct value of, struct value at)
{
    char kinds[] = {kind_letter(of.kind), kind_letter(at.kind), 0};
    cover2(SLICE("index "), kinds);
    if (of.kind == V_MAP) {
        const struct value *found = ref_key(of, at);
        return found ? *found : ref_error;
    }
    if (of.kind != V_LIST || !ref_number(at)) return ref_error;
    double i = ref_double(at);
    return i >= 0 && i < of.n && i == floor(i) ? of.list[(uint32_t)i] : ref_error;
}

static struct value ref_one_sided(struct ref *r, const struct tree *t, struct value a)
{
    char side[] = {ref_truth(a), 0};
    if (slice_is(t->name, "-_")) {
        cover_call(t->name, false, &a, 1);
        return a.kind == V_INT && a.i != INT64_MIN ? value_int(-a.i)
               : a.kind == V_DOUBLE                ? value_double(-a.d)
                                                   : ref_error;
    }
    bool choose = slice_is(t->name, "_?_:_");
    cover2(choose ? SLICE("choose ") : SLICE("not "), side);
    if (!choose) cover_call(t->name, false, &a, 1);
    if (a.kind != V_BOOL) return ref_error;
    return choose ? ref_eval(r, t->args[a.b ? 1 : 2]) : value_bool(!a.b);
}

static struct value ref_operator(struct ref *r, const struct tree *t)
{
    if (slice_is(t->name, "_&&_")) return ref_logic(r, t, false);
    if (slice_is(t->name, "_||_")) return ref_logic(r, t, true);
    struct value a = ref_eval(r, t->args[0]);
    if (slice_is(t->name, "_?_:_") || t->count == 1) return ref_one_sided(r, t, a);
    struct value b = ref_eval(r, t->args[1]);
    if (ref_bad(a) || ref_bad(b)) return ref_error;
    if (strchr("=!<>", t->name.p[1])) {
        if (ref_is_date(t->args[0]) || ref_is_date(t->args[1])) cover("timestamp next to a date");
        return ref_compare(t->name, a, b);
    }
    cover_call(t->name, false, (struct value[]){a, b}, 2);
    if (slice_is(t->name, "_[_]")) return ref_index(a, b);
    return slice_is(t->name, "@in") ? ref_in(a, b) : ref_arithmetic(r, (char)t->name.p[1], a, b);
}

/* ---- fields -------------------------------------------------------------------------------------------- */

static struct value ref_profile(struct ref *r, struct slice name)
{
    static const char *const attributes[] = {"city", "plan", "vip", "birthday", "expires", "tags"};
    static const char *const own[] = {"user_id", "known", "first_seen", "last_seen", "language", "timezone"};
    if (slice_is(name, "tags") && r->p->attribute[TAGS].kind == V_RAW) cover("a list that a message brought");
    for (uint32_t i = 0; i < 6; i++) {
        if (slice_is(name, own[i])) return cover("profile own"), r->p->own[i];
        if (slice_is(name, attributes[i]))
            return cover("profile attribute"), i == TAGS ? r->p->tags : r->p->attribute[i];
    }
    return value_none();
}

static struct value ref_event(struct ref *r, const struct tree *t, uint32_t scope)
{
    static const char *const props[] = {"total", "city", "ok"};
    bool entry = scope == 0 && r->entry;
    cover2(entry ? SLICE("entry") : t->target->name, "");
    for (uint32_t i = 0; i < PROPS; i++)
        if (slice_is(t->name, props[i])) return entry ? r->entry->prop[i] : r->p->at_hand[scope][i];
    cover2(entry ? SLICE("entry") : t->target->name, ".at");
    if (entry) return value_time(r->entry->time);
    return r->p->event_at[scope] ? value_time(r->p->event_at[scope]) : value_none();
}

static bool ref_is_context(const struct tree *t)
{
    while (t->kind == TREE_SELECT) t = t->target;
    return t->kind == TREE_NAME && slice_is(t->name, "context");
}

/* What an event's context holds here: a number, and a text further in. */
static struct value ref_context(const struct tree *t)
{
    cover("context");
    if (slice_is(t->name, "screen")) return value_double(3);
    return slice_is(t->name, "source") ? value_string(SLICE("mail")) : value_none();
}

static bool ref_is_field(const struct tree *t)
{
    static const char *const roots[] = {"profile", "e", "trigger", "bought"};
    if (ref_is_context(t)) return true;
    for (uint32_t i = 0; t->target->kind == TREE_NAME && i < 4; i++)
        if (slice_is(t->target->name, roots[i])) return true;
    return false;
}

static struct value ref_field(struct ref *r, const struct tree *t)
{
    if (ref_is_context(t)) return ref_context(t);
    if (slice_is(t->target->name, "profile")) return ref_profile(r, t->name);
    return ref_event(r, t,
                     slice_is(t->target->name, "trigger")  ? 1
                     : slice_is(t->target->name, "bought") ? 2
                                                           : 0);
}

/* A civil date is, next to the clock, the person's midnight: `expires_at` of the generator is a timestamp, so that only
 * birthday needs it. */
static bool ref_is_date(const struct tree *t)
{
    return t->kind == TREE_SELECT && slice_is(t->name, "birthday");
}

/* ---- history --------------------------------------------------------------------------------------------- */

enum { REF_ALL = TYPES };
static uint32_t ref_type(const struct tree *t)
{
    if (slice_is(value_text(t->value), "*")) return cover("every type at once"), REF_ALL;
    return slice_is(value_text(t->value), "View");
}

static bool ref_is_lifetime(const struct tree *t)
{
    return t->kind == TREE_CALL && (slice_is(t->name, "last") || slice_is(t->name, "first"));
}

static bool ref_in_calendar(struct ref *r, struct slice unit, int64_t time)
{
    struct civil now, then;
    zone_civil(r->p->zone, r->now, &now);
    zone_civil(r->p->zone, time, &then);
    int64_t today = civil_days(now.year, now.month, now.day),
            day = civil_days(then.year, then.month, then.day);
    int64_t first = slice_is(unit, "day")    ? today
                    : slice_is(unit, "week") ? today - (now.weekday + 6) % 7
                                             : civil_days(now.year, now.month, 1);
    return time <= r->now && day >= first;
}

static bool ref_inside_since(struct ref *r, const struct tree *from_tree, int64_t time, bool *error)
{
    struct value from = ref_eval(r, from_tree);
    cover(ref_bad(from) && ref_is_lifetime(from_tree) ? "window since never" : "window since");
    if (ref_bad(from) && !ref_is_lifetime(from_tree)) *error = true;
    return time <= r->now && (ref_bad(from) || time >= from.i);
}

/* Inside the window? Errors of the window come back in *error. */
static bool ref_inside(struct ref *r, const struct tree *w, int64_t time, bool *error)
{
    if (!w) return true;
    if (slice_is(w->name, "since")) return ref_inside_since(r, w->args[0], time, error);
    if (slice_is(w->name, "calendar")) {
        cover("window calendar");
        return ref_in_calendar(r, value_text(w->args[0]->value), time);
    }
    struct value length = ref_eval(r, w);
    if (ref_bad(length) || length.i <= 0) return cover("window that fails"), *error = true, false;
    cover(w->args[0]->kind != TREE_VALUE   ? "window computed"
          : length.i > 30 * (int64_t)86400 ? "window of more than 30 days"
                                           : "window sliding");
    return r->now - length.i < time && time <= r->now;
}

static bool ref_is_window(const struct tree *t)
{
    static const char *const names[] = {"days", "hours", "minutes", "duration", "since", "calendar"};
    for (uint32_t i = 0; t->kind == TREE_CALL && !t->target && i < 6; i++)
        if (slice_is(t->name, names[i])) return true;
    return false;
}

/* A day that folded stands at its end, but never behind the oldest deed that is kept. */
static int64_t ref_bucket_time(const struct ref *r, uint32_t type, uint32_t bucket)
{
    int64_t end = (int64_t)r->p->days[bucket].day * 86400 + 86399;
    return r->p->count[type] && r->p->deeds[type][0].time < end ? r->p->deeds[type][0].time : end;
}
static uint32_t ref_buckets(const struct ref *r, uint32_t type)
{
    return type == ORDER - ORDER ? r->p->day_count : 0;
}

static struct value ref_with_entry(struct ref *r, const struct deed *d, const struct tree *t)
{
    const struct deed *outer = r->entry;
    r->entry = d;
    struct value v = ref_eval(r, t);
    r->entry = outer;
    return v;
}

/* In millionths; what is beyond 64 bits stays at their end. */
static int64_t ref_micros(struct value v)
{
    long double n = v.kind == V_DOUBLE ? (long double)v.d * 1e6L : (long double)ref_whole(v) * 1e6L;
    if (v.kind == V_DOUBLE) n = (long double)(v.d * 1e6);
    return n >= 0x1p63L ? INT64_MAX : n < -0x1p63L ? INT64_MIN : llroundl(n);
}

struct ref_sum {
    uint32_t count, numbers, distinct;
    __int128 micros;
    struct value best, seen[DEEDS_MAX * TYPES];
    int wanted; /* min: -1, max: 1 */
};

static void ref_take(struct ref_sum *sum, struct value v)
{
    bool known = false;
    if (ref_bad(v)) return;
    if (!(v.kind == V_DOUBLE && isnan(v.d)) &&
        (sum->best.kind == V_ERROR || ref_order(v, sum->best) == sum->wanted))
        sum->best = v;
    for (uint32_t k = 0; k < sum->distinct; k++) known |= ref_equal(sum->seen[k], v);
    if (!known) sum->seen[sum->distinct++] = v;
    if (!ref_number(v) || !isfinite(ref_double(v))) return;
    sum->numbers++;
    sum->micros += ref_micros(v);
}

/* Folded days are seen by what needs no more of an event than its number. */
static void ref_take_days(struct ref *r, uint32_t type, const struct tree *window, struct ref_sum *sum)
{
    bool error = false;
    for (uint32_t i = 0; i < ref_buckets(r, type); i++) {
        const struct day_bucket *b = &r->p->days[i];
        bool inside = ref_inside(r, window, ref_bucket_time(r, type, i), &error);
        cover(inside ? "day bucket inside" : "day bucket outside");
        if (!inside) continue;
        sum->count += b->count;
        sum->numbers += b->count;
        if (b->sums) sum->micros += *(const int64_t *)heap_at(&person_heap, b->sums);
    }
}

static void ref_take_deeds(struct ref *r, uint32_t type, const struct tree *window, const struct tree *where,
                           const struct tree *value, struct ref_sum *sum, bool *error)
{
    for (uint32_t i = 0; i < r->p->count[type]; i++) {
        const struct deed *d = &r->p->deeds[type][i];
        if (d->time > r->now) cover("deed ahead of now");
        if (!ref_inside(r, window, d->time, error)) continue;
        if (where) cover(r->entry ? "where nested" : "where");
        struct value keep = where ? ref_with_entry(r, d, where) : value_bool(true);
        if (keep.kind != V_BOOL || !keep.b) continue;
        sum->count++;
        if (value) ref_take(sum, ref_with_entry(r, d, value));
    }
}

static struct value ref_tally(struct ref *r, const struct tree *t)
{
    bool count = slice_is(t->name, "count"), error = false;
    bool additive = count || slice_is(t->name, "sum") || slice_is(t->name, "avg");
    uint32_t at = count ? 1 : 2, type = ref_type(t->args[0]);
    const struct tree *window = at < t->count && ref_is_window(t->args[at]) ? t->args[at++] : NULL;
    const struct tree *where = at < t->count ? t->args[at] : NULL, *value = count ? NULL : t->args[1];
    struct ref_sum sum = {.best = ref_error, .wanted = slice_is(t->name, "min") ? -1 : 1};
    bool plain = !value || (value->kind == TREE_SELECT && slice_is(value->name, "total") &&
                            value->target->kind == TREE_NAME && slice_is(value->target->name, "e"));
    ref_inside(r, window, 0, &error);
    if (additive && !where && plain) ref_take_days(r, type, window, &sum);
    for (uint32_t k = 0; k < TYPES; k++)
        if (type == k || type == REF_ALL) ref_take_deeds(r, k, window, where, value, &sum, &error);
    if (count && t->count == 1 && type == REF_ALL) ref_take_days(r, 0, NULL, &sum);
    if (error) return ref_error;
    if (count) return value_int(sum.count);
    if (slice_is(t->name, "distinct")) return value_int(sum.distinct);
    double number = (double)sum.micros / 1e6;
    if (slice_is(t->name, "sum")) return value_double(number);
    if (slice_is(t->name, "avg")) return sum.numbers ? value_double(number / sum.numbers) : ref_error;
    return sum.best;
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
        cover(filtered && s->count == 2 ? "step where" : "step alone");
        if (filtered && s->count == 2) {
            struct value keep = ref_with_entry(r, d, s->args[1]);
            if (keep.kind != V_BOOL || !keep.b) continue;
        }
        if (ref_steps(r, list, step + 1, d->time, rest, window)) return true;
    }
    return false;
}

static bool ref_on_day(struct ref *r, int64_t time, int64_t day)
{
    struct civil c;
    if (time > r->now) return false;
    zone_civil(r->p->zone, time, &c);
    return civil_days(c.year, c.month, c.day) == day;
}

static bool ref_active_on(struct ref *r, uint32_t type, int64_t day)
{
    for (uint32_t k = 0; k < TYPES; k++)
        for (uint32_t i = 0; (type == k || type == REF_ALL) && i < r->p->count[k]; i++)
            if (ref_on_day(r, r->p->deeds[k][i].time, day)) return true;
    for (uint32_t i = 0; i < ref_buckets(r, type); i++)
        if (ref_on_day(r, ref_bucket_time(r, type, i), day)) return true;
    return false;
}

static struct value ref_days_in_row(struct ref *r, uint32_t type)
{
    struct civil c;
    zone_civil(r->p->zone, r->now, &c);
    int64_t today = civil_days(c.year, c.month, c.day), days = 0;
    for (int64_t day = today;; day--) {
        bool found = ref_active_on(r, type, day);
        if (found) days++;
        if (!found && day != today) return value_int(days);
    }
}

/* first and last of all that was ever done; `ago` of never is longer than any duration. */
static struct value ref_lifetime(struct ref *r, const struct tree *t, uint32_t type)
{
    int64_t first = INT64_MAX, last = INT64_MIN;
    for (uint32_t k = 0; k < TYPES; k++) {
        uint32_t n = r->p->count[k];
        if ((type != k && type != REF_ALL) || !n) continue;
        if (r->p->deeds[k][0].time < first) first = r->p->deeds[k][0].time;
        if (r->p->deeds[k][n - 1].time > last) last = r->p->deeds[k][n - 1].time;
    }
    if (type != 1 && r->p->folded && r->p->folded_first < first) first = r->p->folded_first;
    if (slice_is(t->name, "ago")) return value_duration(last != INT64_MIN ? r->now - last : 315576000000);
    if (first == INT64_MAX) return ref_error;
    return value_time(slice_is(t->name, "first") ? first : last);
}

static struct value ref_age(struct ref *r, const struct tree *t)
{
    struct value v = ref_is_date(t) ? ref_field(r, t) : ref_eval(r, t);
    struct civil born, now;
    if (ref_bad(v)) return ref_error;
    if (ref_is_date(t))
        civil_from_seconds(v.i, &born);
    else
        zone_civil(r->p->zone, v.i, &born);
    zone_civil(r->p->zone, r->now, &now);
    if (!civil_valid(now.year, born.month, born.day)) born.day = 28; /* the 29th of February */
    bool before = now.month * 100 + now.day < born.month * 100 + born.day;
    return value_int(now.year - born.year - before);
}

/* ---- calls ---------------------------------------------------------------------------------------------------- */

static bool ref_is_part(struct slice name);
static struct value ref_moment_part(struct ref *r, const struct tree *t);
static struct value ref_on_text(struct ref *r, struct slice name, const struct value *args, uint32_t n);
static struct value ref_join(struct ref *r, struct value list, struct value by);
static bool ref_converts(struct slice name, uint8_t kind);
static struct value ref_convert(struct ref *r, struct slice name, struct value v);

static struct value ref_verdict(struct slice name, uint32_t n, uint32_t yes, uint32_t errors)
{
    if (slice_is(name, "exists")) return yes ? value_bool(true) : errors ? ref_error : value_bool(false);
    if (slice_is(name, "all"))
        return yes + errors < n ? value_bool(false) : errors ? ref_error : value_bool(true);
    return errors ? ref_error : value_bool(yes == 1);
}

static struct value ref_loop(struct ref *r, const struct tree *t)
{
    struct value list = ref_eval(r, t->target);
    bool builds = slice_is(t->name, "map") || slice_is(t->name, "filter"),
         filter = slice_is(t->name, "filter");
    if (list.kind != V_LIST && list.kind != V_MAP) return ref_error;
    cover2(t->name, !builds || filter ? "" : t->count == 3 ? " 3" : " 2");
    if (list.kind == V_MAP) cover("range M");
    if (r->locals) cover("nested macro");
    struct value *made = ARENA_ARRAY(r->arena, struct value, list.n + 1u);
    uint32_t yes = 0, errors = 0, n = 0;
    r->local[r->locals++].name = t->args[0]->name;
    for (uint32_t i = 0; i < list.n; i++) {
        struct value item = list.kind == V_MAP ? list.map[i].key : list.list[i];
        r->local[r->locals - 1].value = item;
        struct value v = ref_eval(r, t->args[1]);
        bool asks = !builds || filter || t->count == 3, taken = v.kind == V_BOOL && v.b;
        errors += asks ? v.kind != V_BOOL : ref_bad(v);
        yes += asks && taken;
        if (asks && taken && t->count == 3) errors += ref_bad(v = ref_eval(r, t->args[2]));
        if (builds && (!asks || taken)) made[n++] = filter ? item : v;
    }
    r->locals--;
    if (builds) return errors ? ref_error : (struct value){.kind = V_LIST, .n = n, .list = made};
    return ref_verdict(t->name, list.n, yes, errors);
}

/* Functions that take values and nothing else. */
static struct value ref_plain_call(struct ref *r, const struct tree *t)
{
    struct value args[5];
    uint32_t n = 0;
    bool error = false;
    if (t->target) args[n++] = ref_eval(r, t->target);
    for (uint32_t i = 0; i < t->count; i++) args[n++] = ref_eval(r, t->args[i]);
    if (t->count && ref_is_date(t->args[0]))
        args[0] = ref_field(r, t->args[0]); /* as the midnight of its day in UTC */
    for (uint32_t i = 0; i < n; i++) error |= ref_bad(args[i]);
    if (error) return ref_error;
    cover_call(t->name, t->target != NULL, args, n);
    bool counted = args[0].kind == V_LIST || args[0].kind == V_MAP;
    if (slice_is(t->name, "size") && counted) return value_int(args[0].n);
    if (slice_is(t->name, "join") && args[0].kind == V_LIST)
        return ref_join(r, args[0], n == 2 ? args[1] : value_none());
    if (n == 1 && !t->target && ref_converts(t->name, args[0].kind)) return ref_convert(r, t->name, args[0]);
    return args[0].kind == V_STRING ? ref_on_text(r, t->name, args, n) : ref_error;
}

static struct value ref_time_or_error(uint32_t at) { return at ? value_time(at) : ref_error; }

static struct value ref_has(struct ref *r, const struct tree *field)
{
    if (ref_is_field(field)) return cover("has field"), value_bool(ref_field(r, field).kind != V_NONE);
    cover("has select");
    struct value map = ref_eval(r, field->target);
    if (map.kind != V_MAP) return ref_error;
    return value_bool(ref_key(map, value_string(field->name)) != NULL);
}

/* What the engine knows: the person says it in a field. */
static bool ref_fact(struct ref *r, const struct tree *t, struct value *out)
{
    static const char *const states[] = {"sent", "delivered", "opened", "clicked", "replied"};
    const struct person *p = r->p;
    *out = ref_error;
    if (slice_is(t->name, "segment")) *out = value_bool(p->member);
    if (slice_is(t->name, "entered")) *out = ref_time_or_error(p->entered);
    if (slice_is(t->name, "left")) *out = ref_time_or_error(p->left);
    if (slice_is(t->name, "in_list")) *out = value_bool(p->listed);
    if (slice_is(t->name, "consent")) *out = value_bool(p->consents && t->count == 1);
    if (slice_is(t->name, "reachable")) *out = value_bool(p->reachable);
    if (slice_is(t->name, "in_journey")) *out = value_bool(p->inside);
    if (slice_is(t->name, "value")) *out = value_double(4200);
    for (uint32_t i = 0; i < 5; i++)
        if (slice_is(t->name, states[i])) *out = value_bool(p->sends >> i & 1);
    return out->kind != V_ERROR || slice_is(t->name, "entered") || slice_is(t->name, "left");
}

static bool ref_history_call(struct ref *r, const struct tree *t, struct value *out)
{
    static const char *const tallies[] = {"count", "sum", "avg", "min", "max", "distinct"};
    static const char *const lives[] = {"first", "last", "ago"};
    for (uint32_t i = 0; i < 6; i++)
        if (slice_is(t->name, tallies[i])) return *out = ref_tally(r, t), true;
    for (uint32_t i = 0; i < 3; i++)
        if (slice_is(t->name, lives[i])) return *out = ref_lifetime(r, t, ref_type(t->args[0])), true;
    if (slice_is(t->name, "days_in_row")) return *out = ref_days_in_row(r, ref_type(t->args[0])), true;
    if (!slice_is(t->name, "sequence")) return false;
    bool error = false;
    ref_inside(r, t->args[1], 0, &error);
    *out = error ? ref_error : value_bool(ref_steps(r, t->args[0], 0, 0, (uint32_t[TYPES]){0}, t->args[1]));
    return true;
}

static void ref_cover_special(const struct tree *t)
{
    cover2(t->name, "()");
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->args[i]->kind != TREE_CALL) continue;
        if (slice_is(t->args[i]->name, "since")) cover("since()");
        if (slice_is(t->args[i]->name, "calendar")) cover("calendar()");
    }
    for (uint32_t i = 0; slice_is(t->name, "sequence") && i < t->args[0]->count; i++)
        if (t->args[0]->args[i]->kind == TREE_CALL) cover("ev()");
}

static struct value ref_call(struct ref *r, const struct tree *t)
{
    static const char *const loops[] = {"exists", "all", "exists_one", "map", "filter"};
    struct value v;
    uint8_t last = t->name.p[t->name.n - 1];
    if (last == '_' || last == ']' || t->name.p[0] == '@') return ref_operator(r, t);
    for (uint32_t i = 0; t->target && i < 5; i++)
        if (slice_is(t->name, loops[i])) return ref_loop(r, t);
    if (t->target && ref_is_part(t->name)) return ref_moment_part(r, t);
    if (t->target) return ref_plain_call(r, t);
    if (slice_is(t->name, "has")) return ref_has(r, t->args[0]);
    bool age = slice_is(t->name, "age");
    if (age || ref_fact(r, t, &v) || ref_history_call(r, t, &v)) {
        ref_cover_special(t);
        return age ? ref_age(r, t->args[0]) : v;
    }
    return ref_plain_call(r, t);
}

static struct value ref_list(struct ref *r, const struct tree *t)
{
    struct value *items = ARENA_ARRAY(r->arena, struct value, t->count + 1u);
    cover("list");
    for (uint32_t i = 0; i < t->count; i++)
        if (ref_bad(items[i] = ref_eval(r, t->args[i]))) return ref_error;
    return (struct value){.kind = V_LIST, .n = t->count, .list = items};
}

static struct value ref_map(struct ref *r, const struct tree *t)
{
    struct value_pair *pairs = ARENA_ARRAY(r->arena, struct value_pair, t->count + 1u);
    struct value map = {.kind = V_MAP, .map = pairs};
    cover("map");
    for (uint32_t i = 0; i + 1 < t->count; i += 2) {
        struct value key = ref_eval(r, t->args[i]), value = ref_eval(r, t->args[i + 1]);
        if (ref_bad(key) || ref_bad(value) || ref_key(map, key)) return ref_error;
        pairs[map.n++] = (struct value_pair){key, value};
    }
    return map;
}

static struct value ref_select(struct ref *r, const struct tree *t)
{
    if (!ref_is_field(t)) {
        struct value map = ref_eval(r, t->target);
        const struct value *found = map.kind == V_MAP ? ref_key(map, value_string(t->name)) : NULL;
        cover("select M");
        return found ? *found : ref_error;
    }
    struct value v = ref_field(r, t);
    if (v.kind == V_NONE) return cover("absent"), ref_error;
    if (v.kind == V_TIME && ref_is_date(t)) v.i = zone_to_utc(r->p->zone, v.i);
    return v;
}

static struct value ref_eval(struct ref *r, const struct tree *t)
{
    switch (t->kind) {
    case TREE_VALUE:
        if (t->value.kind == V_NULL) cover("literal null");
        if (t->value.kind == V_UINT) cover("literal uint");
        return t->value;
    case TREE_LIST: return ref_list(r, t);
    case TREE_MAP: return ref_map(r, t);
    case TREE_SELECT: return ref_select(r, t);
    case TREE_CALL: return ref_call(r, t);
    default: break;
    }
    for (uint32_t i = r->locals; i-- > 0;)
        if (slice_eq(r->local[i].name, t->name)) return r->local[i].value;
    cover("now");
    return slice_is(t->name, "now") ? value_time(r->now) : ref_error;
}

#include "tests/unit/expr_reference_calls.h"

#endif
