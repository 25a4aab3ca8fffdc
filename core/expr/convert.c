/* Conversions: int() uint() double() string() bool() timestamp() duration() dyn(), and the spans days() hours()
 * minutes(). Text that is none is an error value. */
#include "core/expr/function.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { NUMBER_BYTES = 64 };

#define RANGE value_fail("range error")
#define BAD   value_fail("bad text")

struct value to_same(struct machine *m, const struct value *args) { return args[0]; }
struct value to_dyn(struct machine *m, const struct value *args) { return args[0]; }

static bool number_text(struct value v, char out[NUMBER_BYTES])
{
    if (v.n == 0 || v.n >= NUMBER_BYTES) return false;
    memcpy(out, v.s, v.n);
    out[v.n] = 0;
    return strlen(out) == v.n && !strchr(" \t\n\v\f\r", out[0]);
}

struct value to_int(struct machine *m, const struct value *args)
{
    struct value v = args[0];
    char text[NUMBER_BYTES], *end;
    switch (v.kind) {
    case V_UINT: return v.u > INT64_MAX ? RANGE : value_int((int64_t)v.u);
    case V_DOUBLE: return v.d > -0x1p63 && v.d < 0x1p63 ? value_int((int64_t)v.d) : RANGE;
    case V_TIME: return value_int(v.i);
    default: break;
    }
    if (!number_text(v, text)) return BAD;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    return errno || *end ? BAD : value_int(n);
}

struct value to_uint(struct machine *m, const struct value *args)
{
    struct value v = args[0];
    char text[NUMBER_BYTES], *end;
    switch (v.kind) {
    case V_INT: return v.i < 0 ? RANGE : (struct value){.kind = V_UINT, .u = (uint64_t)v.i};
    case V_DOUBLE:
        return v.d > -1 && v.d < 0x1p64 ? (struct value){.kind = V_UINT, .u = (uint64_t)v.d} : RANGE;
    default: break;
    }
    if (!number_text(v, text) || text[0] == '-' || text[0] == '+') return BAD;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    return errno || *end ? BAD : (struct value){.kind = V_UINT, .u = n};
}

struct value to_double(struct machine *m, const struct value *args)
{
    struct value v = args[0];
    char text[NUMBER_BYTES], *end;
    if (v.kind == V_INT) return value_double((double)v.i);
    if (v.kind == V_UINT) return value_double((double)v.u);
    if (!number_text(v, text) || strpbrk(text, "xX(")) return BAD;
    double d = strtod(text, &end);
    return *end ? BAD : value_double(d);
}

struct value to_bool(struct machine *m, const struct value *args)
{
    static const char *const words[2][5] = {{"0", "f", "false", "FALSE", "False"},
                                            {"1", "t", "true", "TRUE", "True"}};
    for (int b = 0; b < 2; b++)
        for (int i = 0; i < 5; i++)
            if (slice_is(value_text(args[0]), words[b][i])) return value_bool(b);
    return BAD;
}

/* ---- to text -------------------------------------------------------------------------------------------- */

/* The shortest text that reads back as the same double. */
static int print_double(double d, char out[NUMBER_BYTES])
{
    if (d != d) return snprintf(out, NUMBER_BYTES, "NaN");
    if (isinf(d)) return snprintf(out, NUMBER_BYTES, d > 0 ? "+Inf" : "-Inf");
    double size = fabs(d);
    for (int digits = 1; digits <= 17; digits++) {
        int n = snprintf(out, NUMBER_BYTES, "%.*g", digits, d);
        if (strtod(out, NULL) != d) continue;
        if (size < 1e-4 || size >= 1e15 || !strchr(out, 'e')) return n;
        return snprintf(out, NUMBER_BYTES, "%.0f", d); /* 1e+06 reads better as 1000000 */
    }
    return 0;
}

static int print_fraction(uint32_t ns, char *out)
{
    if (ns == 0) return 0;
    int n = snprintf(out, 12, ".%09" PRIu32, ns);
    while (out[n - 1] == '0') n--;
    return n;
}

static int print_time(struct value v, char out[NUMBER_BYTES])
{
    struct civil c;
    civil_from_seconds(v.i, &c);
    int n = snprintf(out, 40, "%04d-%02d-%02dT%02d:%02d:%02d", c.year, c.month, c.day, c.hour, c.minute,
                     c.second);
    n += print_fraction(v.n, out + n);
    out[n++] = 'Z';
    return n;
}

static int print_duration(struct value v, char out[NUMBER_BYTES])
{
    int32_t ns = (int32_t)v.n;
    int n = snprintf(out, 32, "%s%" PRId64, v.i == 0 && ns < 0 ? "-" : "", v.i);
    n += print_fraction((uint32_t)(ns < 0 ? -ns : ns), out + n);
    out[n++] = 's';
    return n;
}

struct value to_string(struct machine *m, const struct value *args)
{
    struct value v = args[0];
    char text[NUMBER_BYTES];
    int n = 0;
    switch (v.kind) {
    case V_BOOL: return v.b ? value_string(SLICE("true")) : value_string(SLICE("false"));
    case V_INT: n = snprintf(text, sizeof text, "%" PRId64, v.i); break;
    case V_UINT: n = snprintf(text, sizeof text, "%" PRIu64, v.u); break;
    case V_DOUBLE: n = print_double(v.d, text); break;
    case V_TIME: n = print_time(v, text); break;
    case V_DURATION: n = print_duration(v, text); break;
    default: return NO_OVERLOAD;
    }
    char *copy = arena_strndup(m->ctx->scratch, text, (size_t)n);
    return copy ? value_string(slice_of(copy, (size_t)n)) : value_fail("out of scratch memory");
}

/* ---- timestamps: RFC 3339 with up to nine digits of a second -------------------------------------------------- */

struct text_cursor {
    const uint8_t *p, *end;
    bool bad;
};

static uint32_t take_digits(struct text_cursor *c, uint32_t n)
{
    uint32_t v = 0;
    for (; n; n--, c->p++) {
        if (c->p == c->end || *c->p < '0' || *c->p > '9') {
            c->bad = true;
            return 0;
        }
        v = v * 10 + (*c->p - '0');
    }
    return v;
}

static bool take(struct text_cursor *c, const char *any)
{
    if (c->p < c->end && *c->p && strchr(any, *c->p)) return c->p++, true;
    return false;
}

static void need(struct text_cursor *c, const char *any) { c->bad |= !take(c, any); }

static uint32_t take_nanoseconds(struct text_cursor *c)
{
    uint32_t ns = 0, digits = 0;
    if (!take(c, ".")) return 0;
    for (; c->p < c->end && *c->p >= '0' && *c->p <= '9' && digits < 9; digits++)
        ns = ns * 10 + (*c->p++ - '0');
    c->bad |= digits == 0;
    for (; digits < 9; digits++) ns *= 10;
    return ns;
}

static int32_t take_offset(struct text_cursor *c)
{
    if (take(c, "Zz")) return 0;
    bool minus = take(c, "-");
    if (!minus) need(c, "+");
    uint32_t hours = take_digits(c, 2);
    need(c, ":");
    uint32_t minutes = take_digits(c, 2);
    c->bad |= hours > 23 || minutes > 59;
    return (minus ? -1 : 1) * (int32_t)(hours * 3600 + minutes * 60);
}

struct value to_time(struct machine *m, const struct value *args)
{
    struct value v = args[0];
    if (v.kind == V_INT)
        return v.i > -100000000000 && v.i < 1000000000000 ? time_of((__int128)v.i * 1000000000) : RANGE;
    struct text_cursor c = {v.s, v.s + v.n, false};
    struct civil d = {.year = (int32_t)take_digits(&c, 4)};
    need(&c, "-");
    d.month = (uint8_t)take_digits(&c, 2);
    need(&c, "-");
    d.day = (uint8_t)take_digits(&c, 2);
    need(&c, "Tt");
    d.hour = (uint8_t)take_digits(&c, 2);
    need(&c, ":");
    d.minute = (uint8_t)take_digits(&c, 2);
    need(&c, ":");
    d.second = (uint8_t)take_digits(&c, 2);
    uint32_t ns = take_nanoseconds(&c);
    int32_t offset = take_offset(&c);
    if (c.bad || c.p != c.end || !civil_valid(d.year, d.month, d.day) || d.hour > 23 || d.minute > 59 ||
        d.second > 59)
        return value_fail("a timestamp reads \"2026-03-01T10:00:00Z\"");
    return time_of((__int128)(civil_to_seconds(&d) - offset) * 1000000000 + ns);
}

/* ---- durations: "1h30m", "-1.5s", and days as the definitions write them ------------------------------------------- */

static bool take_unit(struct text_cursor *c, int64_t *ns)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"ns", 1},         {"us", 1000},       {"\xc2\xb5s", 1000},  {"ms", 1000000},
                 {"s", 1000000000}, {"m", 60000000000}, {"h", 3600000000000}, {"d", 86400000000000}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t n = strlen(units[i].name);
        if ((size_t)(c->end - c->p) < n || memcmp(c->p, units[i].name, n) != 0) continue;
        c->p += n;
        *ns = units[i].ns;
        return true;
    }
    return false;
}

/* One "12.5h"; adds to the sum. */
static bool take_part(struct text_cursor *c, __int128 *sum)
{
    uint64_t whole = 0;
    uint32_t fraction[12], digits = 0, before = 0;
    for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++, before++) {
        if (whole > 1000000000000000000u) return false;
        whole = whole * 10 + (*c->p - '0');
    }
    if (take(c, "."))
        for (; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++)
            if (digits < 12) fraction[digits++] = *c->p - '0';
    int64_t unit;
    if (before + digits == 0 || !take_unit(c, &unit)) return false;
    *sum += (__int128)whole * unit;
    __int128 scale = unit;
    for (uint32_t i = 0, ten = 10; i < digits && i < 9; i++, ten *= 10) *sum += scale * fraction[i] / ten;
    return true;
}

struct value to_duration(struct machine *m, const struct value *args)
{
    struct value v = args[0];
    struct text_cursor c = {v.s, v.s + v.n, false};
    bool minus = take(&c, "-");
    if (!minus) take(&c, "+");
    __int128 sum = 0;
    bool zero = c.end - c.p == 1 && *c.p == '0';
    if (zero) c.p++;
    bool good = zero || c.p < c.end;
    while (good && c.p < c.end) good = take_part(&c, &sum);
    if (!good) return value_fail("a duration reads \"1h30m\"");
    return duration_of(minus ? -sum : sum);
}

static struct value span(struct value n, int64_t unit)
{
    if (n.i > 315576000000 || n.i < -315576000000) return value_fail("duration out of range");
    return duration_of((__int128)n.i * unit * 1000000000);
}
struct value span_days(struct machine *m, const struct value *args) { return span(args[0], 86400); }
struct value span_hours(struct machine *m, const struct value *args) { return span(args[0], 3600); }
struct value span_minutes(struct machine *m, const struct value *args) { return span(args[0], 60); }
