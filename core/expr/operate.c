/* CEL's operators on values. Equality and order compare numbers of any kind by their mathematical value; arithmetic
 * mixes kinds only where the instruction says that an int is promoted. */
#include "core/expr/program.h"

#include <math.h>

#define OVERFLOW value_fail("integer overflow")
#define NO_KEY   value_fail("no such key")
#define NO_ROOM  value_fail("out of scratch memory")

static const __int128 second = 1000000000;
/* CEL: timestamps lie in years 1 to 9999, durations are what fits 64 bits of nanoseconds (292 years). */
static const int64_t time_first = -62135596800, time_last = 253402300799, duration_most = 9223372036;

static bool is_number(struct value v) { return v.kind >= V_INT && v.kind <= V_DOUBLE; }

/* ---- order and equality ------------------------------------------------------------------------- */

static int order_i128(__int128 a, __int128 b) { return a < b ? -1 : a > b; }

static __int128 whole_of(struct value v) { return v.kind == V_INT ? (__int128)v.i : (__int128)v.u; }
static double as_double(struct value v)
{
    return v.kind == V_DOUBLE ? v.d : v.kind == V_INT ? (double)v.i : (double)v.u;
}

/* A whole number next to a double is rounded to one, as the conformance tests have it. */
static int order_numbers(struct value a, struct value b)
{
    if (a.kind != V_DOUBLE && b.kind != V_DOUBLE) return order_i128(whole_of(a), whole_of(b));
    double x = as_double(a), y = as_double(b);
    if (x != x || y != y) return UNORDERED;
    return x < y ? -1 : x > y;
}

int value_order(struct value a, struct value b)
{
    if (is_number(a) && is_number(b)) return order_numbers(a, b);
    if (a.kind != b.kind) return INCOMPARABLE;
    switch (a.kind) {
    case V_BOOL: return (int)a.b - (int)b.b;
    case V_TIME:
    case V_DURATION:
        if (a.i != b.i) return a.i < b.i ? -1 : 1;
        return (int32_t)a.n < (int32_t)b.n ? -1 : (int32_t)a.n > (int32_t)b.n;
    case V_STRING: {
        uint32_t n = a.n < b.n ? a.n : b.n;
        int order = n ? memcmp(a.s, b.s, n) : 0;
        if (order == 0) order = a.n < b.n ? -1 : a.n > b.n;
        return order < 0 ? -1 : order > 0;
    }
    default: return INCOMPARABLE;
    }
}

static const struct value *map_find(struct machine *m, struct value map, struct value key)
{
    for (uint32_t i = 0; i < map.n; i++)
        if (value_equal(m, map.map[i].key, key)) return &map.map[i].value;
    return NULL;
}

bool value_equal(struct machine *m, struct value a, struct value b)
{
    a = value_unfold(m, a);
    b = value_unfold(m, b);
    if (is_number(a) && is_number(b)) return order_numbers(a, b) == 0;
    if (a.kind != b.kind) return false;
    switch (a.kind) {
    case V_NULL: return true;
    case V_LIST:
        if (a.n != b.n) return false;
        for (uint32_t i = 0; i < a.n; i++)
            if (!value_equal(m, a.list[i], b.list[i])) return false;
        return true;
    case V_MAP:
        if (a.n != b.n) return false;
        for (uint32_t i = 0; i < a.n; i++) {
            const struct value *other = map_find(m, b, a.map[i].key);
            if (!other || !value_equal(m, a.map[i].value, *other)) return false;
        }
        return true;
    default: return value_order(a, b) == 0;
    }
}

bool order_holds(enum op op, int order)
{
    switch (op) {
    case OP_EQ: return order == 0;
    case OP_NE: return order != 0;
    case OP_LT: return order == -1;
    case OP_LE: return order == -1 || order == 0;
    case OP_GT: return order == 1;
    case OP_GE: return order == 1 || order == 0;
    default: CHECK(!"a comparison"); return false;
    }
}

/* The first whole second t >= 1 at which the comparison of d + t * slope with 0 comes out otherwise; 0: none.
 * The sign changes at most twice: to zero, and a second later beyond it. */
static int64_t flip_after(enum op op, int order, int64_t seconds, bool meets, int32_t slope)
{
    bool now = order_holds(op, order);
    if (order == 0) return order_holds(op, slope > 0 ? 1 : -1) != now;
    if ((order > 0) == (slope > 0)) return 0;
    if (meets && order_holds(op, 0) != now) return seconds;
    return order_holds(op, -order) != now ? seconds + meets : 0;
}

/* How long until the distance of two moments is used up at this pace, rounded up; `meets`: it is used up exactly. */
static int64_t closing_seconds(struct value a, struct value b, int32_t slope, bool *meets)
{
    int64_t pace = slope > 0 ? slope : -slope;
    if (a.n == b.n && pace == 1) {
        *meets = true;
        return a.i > b.i ? a.i - b.i : b.i - a.i;
    }
    __int128 d = nanoseconds(a) - nanoseconds(b), step = pace * second;
    if (d < 0) d = -d;
    *meets = d % step == 0;
    return (int64_t)((d + step - 1) / step);
}

static uint32_t moments_flip(const struct machine *m, enum op op, const struct slot *a, const struct slot *b)
{
    bool meets;
    int32_t slope = a->slope - b->slope;
    int64_t seconds = closing_seconds(a->v, b->v, slope, &meets);
    int64_t after = flip_after(op, value_order(a->v, b->v), seconds, meets, slope);
    return after ? as_second(m->ctx->now + after) : NEVER;
}

static struct value compare_slow(struct machine *m, enum op op, struct value a, struct value b)
{
    if (a.kind == V_ERROR) return a;
    if (b.kind == V_ERROR) return b;
    if (op == OP_EQ || op == OP_NE) {
        bool text = a.kind == V_STRING && b.kind == V_STRING;
        return value_bool((text ? slice_eq(value_text(a), value_text(b)) : value_equal(m, a, b)) ==
                          (op == OP_EQ));
    }
    int order = value_order(a, b);
    return order == INCOMPARABLE ? NO_OVERLOAD : value_bool(order_holds(op, order));
}

struct slot *op_compare(struct machine *m, const struct instr *in, struct slot *top)
{
    struct slot *a = top - 2, *b = top - 1;
    uint32_t change = sooner(a->change, b->change);
    if (a->v.kind == V_DOUBLE && b->v.kind == V_DOUBLE) {
        a->v = value_bool(order_holds(in->op, order_numbers(a->v, b->v)));
    } else {
        bool moments = a->v.kind == b->v.kind && (a->v.kind == V_TIME || a->v.kind == V_DURATION);
        if (moments && a->slope != b->slope) change = sooner(change, moments_flip(m, in->op, a, b));
        a->v = compare_slow(m, in->op, a->v, b->v);
    }
    a->change = change;
    a->slope = 0;
    return top - 1;
}

/* ---- arithmetic ------------------------------------------------------------------------------------- */

struct value duration_of(__int128 ns)
{
    if (ns > duration_most * second || ns < -duration_most * second)
        return value_fail("duration out of range");
    struct value v = value_duration((int64_t)(ns / second));
    v.n = (uint32_t)(int32_t)(ns % second);
    return v;
}

struct value time_of(__int128 ns)
{
    if (ns < time_first * second || ns >= (time_last + 1) * second)
        return value_fail("timestamp out of range");
    int64_t s = (int64_t)(ns / second) - (ns % second < 0);
    struct value v = value_time(s);
    v.n = (uint32_t)(ns - s * second);
    return v;
}

static struct value int_math(enum op op, int64_t a, int64_t b)
{
    int64_t r = 0;
    bool bad = false;
    if ((op == OP_DIVIDE || op == OP_MODULO) && b == 0)
        return op == OP_DIVIDE ? value_fail("divide by zero") : value_fail("modulus by zero");
    switch (op) {
    case OP_ADD: bad = __builtin_add_overflow(a, b, &r); break;
    case OP_SUBTRACT: bad = __builtin_sub_overflow(a, b, &r); break;
    case OP_MULTIPLY: bad = __builtin_mul_overflow(a, b, &r); break;
    case OP_DIVIDE:
    case OP_MODULO:
        bad = a == INT64_MIN && b == -1;
        if (!bad) r = op == OP_DIVIDE ? a / b : a % b;
        break;
    default: CHECK(!"arithmetic");
    }
    return bad ? OVERFLOW : value_int(r);
}

static struct value uint_math(enum op op, uint64_t a, uint64_t b)
{
    uint64_t r = 0;
    bool bad = false;
    if ((op == OP_DIVIDE || op == OP_MODULO) && b == 0)
        return op == OP_DIVIDE ? value_fail("divide by zero") : value_fail("modulus by zero");
    switch (op) {
    case OP_ADD: bad = __builtin_add_overflow(a, b, &r); break;
    case OP_SUBTRACT: bad = __builtin_sub_overflow(a, b, &r); break;
    case OP_MULTIPLY: bad = __builtin_mul_overflow(a, b, &r); break;
    case OP_DIVIDE: r = a / b; break;
    case OP_MODULO: r = a % b; break;
    default: CHECK(!"arithmetic");
    }
    return bad ? OVERFLOW : (struct value){.kind = V_UINT, .u = r};
}

static struct value double_math(enum op op, double a, double b)
{
    switch (op) {
    case OP_ADD: return value_double(a + b);
    case OP_SUBTRACT: return value_double(a - b);
    case OP_MULTIPLY: return value_double(a * b);
    case OP_DIVIDE: return value_double(a / b);
    default: return NO_OVERLOAD;
    }
}

static struct value moment_math(enum op op, struct value a, struct value b)
{
    __int128 x = nanoseconds(a), y = nanoseconds(b);
    bool at = a.kind == V_TIME, bt = b.kind == V_TIME;
    if (op == OP_ADD && at && bt) return NO_OVERLOAD;
    if (op == OP_ADD) return at || bt ? time_of(x + y) : duration_of(x + y);
    if (op != OP_SUBTRACT || (bt && !at)) return NO_OVERLOAD;
    return at && !bt ? time_of(x - y) : duration_of(x - y);
}

static struct value join(struct machine *m, struct value a, struct value b)
{
    if (a.kind == V_STRING) {
        uint8_t *p = arena_alloc(m->ctx->scratch, (size_t)a.n + b.n);
        if (!p) return NO_ROOM;
        if (a.n) memcpy(p, a.s, a.n);
        if (b.n) memcpy(p + a.n, b.s, b.n);
        return value_string(slice_of(p, (size_t)a.n + b.n));
    }
    struct value *p = arena_alloc(m->ctx->scratch, ((size_t)a.n + b.n) * sizeof *p);
    if (!p) return NO_ROOM;
    if (a.n) memcpy(p, a.list, a.n * sizeof *p);
    if (b.n) memcpy(p + a.n, b.list, b.n * sizeof *p);
    return (struct value){.kind = V_LIST, .n = a.n + b.n, .list = p};
}

static bool is_moment(struct value v) { return v.kind == V_TIME || v.kind == V_DURATION; }

static struct value math(struct machine *m, const struct instr *in, struct value a, struct value b)
{
    if (a.kind == V_ERROR) return a;
    if (b.kind == V_ERROR) return b;
    if (is_moment(a) && is_moment(b)) return moment_math(in->op, a, b);
    bool promote = in->a && is_number(a) && is_number(b) && (a.kind == V_DOUBLE || b.kind == V_DOUBLE);
    if (promote) return double_math(in->op, as_double(a), as_double(b));
    a = value_unfold(m, a);
    b = value_unfold(m, b);
    if (a.kind != b.kind) return NO_OVERLOAD;
    switch (a.kind) {
    case V_INT: return int_math(in->op, a.i, b.i);
    case V_UINT: return uint_math(in->op, a.u, b.u);
    case V_DOUBLE: return double_math(in->op, a.d, b.d);
    case V_STRING:
    case V_LIST: return in->op == OP_ADD ? join(m, a, b) : NO_OVERLOAD;
    default: return NO_OVERLOAD;
    }
}

struct slot *op_arithmetic(struct machine *m, const struct instr *in, struct slot *top)
{
    struct slot *a = top - 2, *b = top - 1;
    if (a->v.kind == V_DOUBLE && b->v.kind == V_DOUBLE)
        a->v = double_math(in->op, a->v.d, b->v.d);
    else
        a->v = math(m, in, a->v, b->v);
    a->change = sooner(a->change, b->change);
    a->slope = a->v.kind == V_ERROR ? 0 : in->op == OP_ADD ? a->slope + b->slope : a->slope - b->slope;
    return top - 1;
}

struct slot *op_negate(struct machine *m, const struct instr *in, struct slot *top)
{
    struct slot *s = top - 1;
    if (s->v.kind == V_DOUBLE)
        s->v.d = -s->v.d;
    else if (s->v.kind == V_INT)
        s->v = s->v.i == INT64_MIN ? OVERFLOW : value_int(-s->v.i);
    else if (s->v.kind != V_ERROR)
        s->v = NO_OVERLOAD;
    slot_settle(m, s);
    return top;
}

struct slot *op_to_double(struct machine *m, const struct instr *in, struct slot *top)
{
    struct slot *s = top - 1;
    if (is_number(s->v))
        s->v = value_double(as_double(s->v));
    else if (s->v.kind != V_ERROR)
        s->v = NO_OVERLOAD;
    return top;
}

/* ---- lists and maps ---------------------------------------------------------------------------------- */

struct value value_unfold(struct machine *m, struct value v)
{
    if (v.kind != V_RAW) return v;
    v = value_expand(v, m->ctx->scratch);
    return v.kind == V_LIST || v.kind == V_MAP ? v : NO_ROOM;
}

/* The change of n slots together; the first error among them, or none. */
static struct value gather(struct machine *m, struct slot *first, uint32_t n, uint32_t *change)
{
    struct value error = value_none();
    *change = NEVER;
    for (uint32_t i = 0; i < n; i++) {
        slot_settle(m, &first[i]);
        *change = sooner(*change, first[i].change);
        if (first[i].v.kind == V_ERROR && error.kind == V_NONE) error = first[i].v;
    }
    return error;
}

struct slot *op_list(struct machine *m, const struct instr *in, struct slot *top)
{
    struct slot *first = top - in->c;
    uint32_t change;
    struct value v = gather(m, first, in->c, &change);
    struct value *items = arena_alloc(m->ctx->scratch, (in->c + 1) * sizeof *items);
    if (v.kind == V_NONE && !items) v = NO_ROOM;
    if (v.kind == V_NONE) {
        for (uint32_t i = 0; i < in->c; i++) items[i] = first[i].v;
        v = (struct value){.kind = V_LIST, .n = in->c, .list = items};
    }
    *first = (struct slot){v, change, 0};
    return first + 1;
}

static struct value map_build(struct machine *m, const struct slot *first, uint32_t pairs)
{
    struct value_pair *p = arena_alloc(m->ctx->scratch, (pairs + 1) * sizeof *p);
    if (!p) return NO_ROOM;
    struct value map = {.kind = V_MAP, .map = p};
    for (uint32_t i = 0; i < pairs; i++) {
        struct value key = first[2 * i].v;
        if (key.kind != V_STRING && key.kind != V_INT && key.kind != V_UINT && key.kind != V_BOOL)
            return value_fail("unsupported key type");
        if (map_find(m, map, key)) return value_fail("repeated key");
        p[map.n++] = (struct value_pair){key, first[2 * i + 1].v};
    }
    return map;
}

struct slot *op_map(struct machine *m, const struct instr *in, struct slot *top)
{
    struct slot *first = top - 2 * in->c;
    uint32_t change;
    struct value v = gather(m, first, 2 * in->c, &change);
    if (v.kind == V_NONE) v = map_build(m, first, in->c);
    *first = (struct slot){v, change, 0};
    return first + 1;
}

struct slot *op_select(struct machine *m, const struct instr *in, struct slot *top)
{
    struct slot *s = top - 1;
    slot_settle(m, s);
    if (s->v.kind == V_ERROR) return top;
    bool message = s->v.kind == V_RAW;
    struct value map = value_unfold(m, s->v);
    const struct value *found = NULL;
    if (map.kind == V_MAP) found = map_find(m, map, m->program->constants[in->c]);
    if (map.kind != V_MAP)
        s->v = map.kind == V_ERROR ? map : value_fail("type does not support field selection");
    else if (found)
        s->v = message ? value_adopt(*found) : *found;
    else
        s->v = in->a & SMALL_PROBE ? value_none() : NO_KEY;
    return top;
}

static struct value list_at(struct value list, struct value index)
{
    double d = index.kind == V_DOUBLE ? index.d : 0;
    if (index.kind == V_DOUBLE && !(d >= 0 && d < 0x1p32 && d == trunc(d)))
        return value_fail("invalid list index");
    if (!is_number(index)) return value_fail("invalid list index");
    int64_t i = index.kind == V_DOUBLE ? (int64_t)d : index.i;
    if (i < 0 || i >= list.n) return value_fail("index out of bounds");
    return list.list[i];
}

static struct value index_into(struct machine *m, struct value of, struct value index)
{
    if (of.kind == V_ERROR) return of;
    if (index.kind == V_ERROR) return index;
    bool message = of.kind == V_RAW;
    of = value_unfold(m, of);
    if (of.kind != V_LIST && of.kind != V_MAP) return of.kind == V_ERROR ? of : NO_OVERLOAD;
    if (of.kind == V_LIST) return message ? value_adopt(list_at(of, index)) : list_at(of, index);
    const struct value *found = map_find(m, of, index);
    if (!found) return NO_KEY;
    return message ? value_adopt(*found) : *found;
}

struct slot *op_index(struct machine *m, const struct instr *in, struct slot *top)
{
    uint32_t change;
    gather(m, top - 2, 2, &change);
    top[-2] = (struct slot){index_into(m, top[-2].v, top[-1].v), change, 0};
    return top - 1;
}

/* Text in a list that a message brought is looked for where it lies. */
static struct value text_in_raw(struct value text, struct value raw)
{
    struct mp cursor = mp_of(slice_of(raw.s, raw.n));
    if (mp_peek(&cursor) != MP_ARRAY) return NO_OVERLOAD;
    for (uint32_t n = mp_array(&cursor); n && !cursor.err; n--) {
        if (mp_peek(&cursor) != MP_STR)
            mp_skip(&cursor);
        else if (slice_eq(mp_str(&cursor), value_text(text)))
            return value_bool(true);
    }
    return value_bool(false);
}

static struct value is_in(struct machine *m, struct value item, struct value of)
{
    if (item.kind == V_ERROR) return item;
    if (of.kind == V_ERROR) return of;
    if (item.kind == V_STRING && of.kind == V_RAW && of.n &&
        (of.s[0] >> 4 == 9 || of.s[0] == 0xdc || of.s[0] == 0xdd))
        return text_in_raw(item, of);
    of = value_unfold(m, of);
    if (of.kind == V_MAP) return value_bool(map_find(m, of, item) != NULL);
    if (of.kind != V_LIST) return of.kind == V_ERROR ? of : NO_OVERLOAD;
    for (uint32_t i = 0; i < of.n; i++)
        if (value_equal(m, item, of.list[i])) return value_bool(true);
    return value_bool(false);
}

struct slot *op_in(struct machine *m, const struct instr *in, struct slot *top)
{
    uint32_t change;
    gather(m, top - 2, 2, &change);
    top[-2] = (struct slot){is_in(m, top[-2].v, top[-1].v), change, 0};
    return top - 1;
}
