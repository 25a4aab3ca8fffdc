#include "core/model/value.h"
#include "core/base/check.h"
#include "core/base/limits.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct value value_error(const char *text)
{
    return (struct value){.kind = V_ERROR, .n = (uint32_t)strlen(text), .s = (const uint8_t *)text};
}

/* ---- reading ----------------------------------------------------------------------------- */

struct value value_of_time(int64_t ms)
{
    int64_t s = ms / 1000 - (ms % 1000 < 0);
    struct value v = value_time(s);
    v.n = (uint32_t)(ms - s * 1000) * 1000000;
    return v;
}

bool time_from_ext(int8_t type, struct slice body, int64_t *s, uint32_t *ns)
{
    *ns = 0;
    if (type == 0 && body.n == 8) { /* EventTime of the Forward protocol */
        *s = load_be32(body.p);
        *ns = load_be32(body.p + 4);
    } else if (type == -1 && body.n == 4) { /* MessagePack's own timestamps */
        *s = load_be32(body.p);
    } else if (type == -1 && body.n == 8) {
        uint64_t both = load_be64(body.p);
        *s = (int64_t)(both & 0x3ffffffffull);
        *ns = (uint32_t)(both >> 34);
    } else if (type == -1 && body.n == 12) {
        *ns = load_be32(body.p);
        *s = (int64_t)load_be64(body.p + 4);
    } else {
        return false;
    }
    return *ns < 1000000000 && *s >= TIME_FIRST_S && *s <= TIME_LAST_S;
}

static struct value read_ext(struct mp *m)
{
    int8_t type;
    struct slice body = mp_ext(m, &type);
    int64_t s;
    uint32_t ns;
    if (m->err) return value_error("malformed");
    if (!time_from_ext(type, body, &s, &ns)) return value_error("unknown extension");
    struct value v = value_time(s);
    v.n = ns;
    return v;
}

struct value value_read(struct mp *m) { return value_read_within(m, MSGPACK_DEPTH_MAX); }

struct value value_read_within(struct mp *m, uint32_t levels)
{
    struct value v = {0};
    switch (mp_peek(m)) {
    case MP_NIL: mp_nil(m); return value_null();
    case MP_BOOL: v = value_bool(mp_bool(m)); break;
    case MP_INT: v = value_int(mp_int(m)); break;
    case MP_UINT:
        v.kind = V_UINT;
        v.u = mp_uint(m);
        break;
    case MP_FLOAT: v = value_double(mp_double(m)); break;
    case MP_STR:
    case MP_BIN: v = value_string(mp_str(m)); break;
    case MP_ARRAY:
    case MP_MAP:
        v = value_string(mp_item_within(m, levels));
        v.kind = V_RAW;
        break;
    case MP_EXT: return read_ext(m);
    case MP_NONE: mp_fail(m, m->p == m->end ? MP_SHORT : MP_BAD); break;
    }
    return m->err ? value_error("malformed") : v;
}

/* ---- expanding --------------------------------------------------------------------------- */

/* One list or map being filled: `at` is the next free value; a map's pairs are two values each. */
struct level {
    struct value *at, *end;
};

static bool open_container(struct mp *m, struct arena *a, struct value *v, struct level *level)
{
    bool map = mp_peek(m) == MP_MAP;
    uint32_t n = map ? mp_map(m) : mp_array(m), items = map ? 2 * n : n;
    struct value *list = arena_alloc(a, sizeof *list * (items ? items : 1));
    if (!list || m->err) return false;
    *v = (struct value){.kind = map ? V_MAP : V_LIST, .n = n, .list = list};
    *level = (struct level){list, list + items};
    return true;
}

_Static_assert(sizeof(struct value_pair) == 2 * sizeof(struct value), "a pair is two values in a row");

struct value value_expand(struct value raw, struct arena *a)
{
    if (raw.kind != V_RAW) return raw;
    struct mp m = mp_of(value_text(raw));
    struct level levels[MSGPACK_DEPTH_MAX + 1];
    struct value out;
    uint32_t depth = 0;
    if (!open_container(&m, a, &out, &levels[0])) return value_error("no room for a list");
    for (;;) {
        struct level *top = &levels[depth];
        if (top->at == top->end) {
            if (depth-- == 0) return out;
            continue;
        }
        enum mp_type type = mp_peek(&m);
        if (type != MP_ARRAY && type != MP_MAP) {
            *top->at++ = value_read(&m);
            if (m.err) return value_error("malformed");
        } else if (depth == MSGPACK_DEPTH_MAX || !open_container(&m, a, top->at++, &levels[++depth])) {
            return value_error("no room for a list");
        }
    }
}

/* ---- writing ----------------------------------------------------------------------------- */

static void write_text(struct buf *out, const char *text)
{
    buf_reserve(out, strlen(text) + 9);
    out->n = (size_t)(mpw_str(out->p + out->n, slice_str(text)) - out->p);
}

static void write_duration(struct value v, struct buf *out)
{
    char text[48];
    int32_t ns = (int32_t)v.n;
    bool negative = v.i < 0 || ns < 0;
    uint64_t s = v.i < 0 ? -(uint64_t)v.i : (uint64_t)v.i;
    int n = snprintf(text, sizeof text, "%s%llu", negative ? "-" : "", (unsigned long long)s);
    if (ns) {
        n += snprintf(text + n, sizeof text - (size_t)n, ".%09d", abs(ns));
        while (text[n - 1] == '0') n--;
    }
    memcpy(text + n, "s", 2);
    write_text(out, text);
}

static void write_time(struct value v, struct buf *out)
{
    char text[32];
    int64_t s = v.i < TIME_FIRST_S ? TIME_FIRST_S : v.i > TIME_LAST_S ? TIME_LAST_S : v.i;
    iso8601_print(s * 1000 + v.n / 1000000, text);
    write_text(out, text);
}

static uint8_t *write_scalar(struct value v, uint8_t *p)
{
    switch (v.kind) {
    case V_BOOL: return mpw_bool(p, v.b);
    case V_INT: return mpw_int(p, v.i);
    case V_UINT: return mpw_uint(p, v.u);
    case V_DOUBLE: return mpw_double(p, v.d);
    case V_STRING: return mpw_str(p, value_text(v));
    case V_LIST: return mpw_array(p, v.n);
    case V_MAP: return mpw_map(p, v.n);
    default: return mpw_nil(p);
    }
}

static void write_one(struct value v, struct buf *out)
{
    static const char *const TYPES[] = {"none",
                                        "null_type",
                                        "bool",
                                        "int",
                                        "uint",
                                        "double",
                                        "string",
                                        "google.protobuf.Timestamp",
                                        "google.protobuf.Duration",
                                        "list",
                                        "map",
                                        "raw",
                                        "error",
                                        "type"};
    switch (v.kind) {
    case V_TIME: write_time(v, out); return;
    case V_DURATION: write_duration(v, out); return;
    case V_RAW: buf_put_slice(out, value_text(v)); return;
    case V_TYPE: write_text(out, v.i >= 0 && v.i <= V_TYPE ? TYPES[v.i] : "type"); return;
    default:
        buf_reserve(out, 9 + (v.kind == V_STRING ? v.n : 0));
        out->n = (size_t)(write_scalar(v, out->p + out->n) - out->p);
    }
}

/* Lists may be nested as deep as an expression built them: a bounded stack, and what lies deeper is written as nil. */
void value_write(struct value v, struct buf *out)
{
    struct level levels[MSGPACK_DEPTH_MAX];
    uint32_t depth = 0;
    for (;;) {
        bool container = v.kind == V_LIST || v.kind == V_MAP;
        if (container && depth == MSGPACK_DEPTH_MAX) v = value_null(), container = false;
        write_one(v, out);
        if (container) {
            struct value *items = (struct value *)v.list;
            levels[depth++] = (struct level){items, items + (v.kind == V_MAP ? 2 * v.n : v.n)};
        }
        while (depth && levels[depth - 1].at == levels[depth - 1].end) depth--;
        if (depth == 0) return;
        v = *levels[depth - 1].at++;
    }
}

/* ---- fitting to a declared type ----------------------------------------------------------- */

static bool fit_double(double d, struct value *out)
{
    *out = value_double(d);
    return isfinite(d);
}

/* "1 990,00", "1 990.00", "1,990.00", "-5": blanks (also no-break ones) group; the last of ',' and '.' is the
 * decimal mark if it stands alone or behind the other one, else it groups too: "1,990,000". */
static bool number_from_text(struct slice s, struct value *out)
{
    char text[64];
    uint32_t n = 0, commas = 0, points = 0, last_comma = 0, last_point = 0;
    for (uint32_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];
        bool no_break = (c == 0xc2 && i + 1 < s.n && s.p[i + 1] == 0xa0);
        bool narrow =
            (c == 0xe2 && i + 2 < s.n && s.p[i + 1] == 0x80 && (s.p[i + 2] == 0xaf || s.p[i + 2] == 0x89));
        if (no_break) i++;
        if (narrow) i += 2;
        if (no_break || narrow || c == ' ' || c == '\'') continue;
        if (n == sizeof text - 1 || !strchr("0123456789+-.,eE", c) || c == 0) return false;
        if (c == ',') commas++, last_comma = n;
        if (c == '.') points++, last_point = n;
        text[n++] = (char)c;
    }
    bool decimal_comma = commas == 1 && (points == 0 || last_comma > last_point);
    if (!decimal_comma && points > 1) return false;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (text[i] == ',' && decimal_comma)
            text[kept++] = '.';
        else if (text[i] != ',' && !(text[i] == '.' && decimal_comma))
            text[kept++] = text[i];
    }
    text[kept] = 0;
    char *end;
    double d = strtod(text, &end);
    return kept && *end == 0 && fit_double(d, out);
}

static bool fit_number(struct value in, bool coerce, struct value *out)
{
    switch (in.kind) {
    case V_INT: return fit_double((double)in.i, out);
    case V_UINT: return fit_double((double)in.u, out);
    case V_DOUBLE: return fit_double(in.d, out);
    case V_STRING: return coerce && number_from_text(value_text(in), out);
    default: return false;
    }
}

bool time_from_number(double t, int64_t *ms)
{
    bool is_ms = t > 1e11 || t < -1e11;
    if (!isfinite(t) || fabs(t) > (is_ms ? 9e15 : 1e11)) return false;
    *ms = is_ms ? (int64_t)t : (int64_t)floor(t * 1000 + 0.5);
    return true;
}

static bool fit_time(struct value in, struct value *out)
{
    int64_t ms;
    switch (in.kind) {
    case V_TIME: *out = in; return true;
    case V_STRING:
        if (!iso8601_parse(value_text(in), &ms)) return false;
        break;
    case V_INT:
    case V_UINT:
    case V_DOUBLE: {
        double t = in.kind == V_INT ? (double)in.i : in.kind == V_UINT ? (double)in.u : in.d;
        if (!time_from_number(t, &ms)) return false;
        break;
    }
    default: return false;
    }
    *out = value_of_time(ms);
    return true;
}

/* The day as written: "1987-03-14T00:00:00+03:00" is the 14th, wherever it is read. */
static bool fit_date(struct value in, struct value *out)
{
    struct value time;
    if (!fit_time(in, &time)) return false;
    int64_t s = time.i, ms;
    if (in.kind == V_STRING) {
        bool ok = iso8601_parse(slice_of(in.s, 10), &ms);
        CHECK(ok);
        s = ms / 1000;
    }
    *out = value_time(s - (s % 86400 + 86400) % 86400);
    return true;
}

static bool fit_strings(struct value in, struct value *out)
{
    if (in.kind != V_RAW) return false;
    struct mp m = mp_of(value_text(in));
    if (mp_peek(&m) != MP_ARRAY) return false;
    for (uint32_t n = mp_array(&m); n > 0 && !m.err; n--)
        if (!utf8_valid(mp_str(&m))) return false;
    *out = in;
    return m.err == MP_OK;
}

bool value_fit(struct value in, enum declared_type type, bool coerce, struct value *out)
{
    *out = in;
    switch (type) {
    case T_NUMBER: return fit_number(in, coerce, out);
    case T_STRING: return in.kind == V_STRING && utf8_valid(value_text(in));
    case T_BOOL: return in.kind == V_BOOL;
    case T_TIME: return fit_time(in, out);
    case T_DATE: return fit_date(in, out);
    case T_STRINGS: return fit_strings(in, out);
    case T_RAW: return in.kind == V_RAW;
    }
    return false;
}

/* ---- the rest ------------------------------------------------------------------------------ */

int64_t value_micros(struct value v)
{
    int64_t out;
    switch (v.kind) {
    case V_INT:
        return __builtin_mul_overflow(v.i, (int64_t)1000000, &out) ? (v.i < 0 ? INT64_MIN : INT64_MAX) : out;
    case V_UINT: return v.u > INT64_MAX / 1000000 ? INT64_MAX : (int64_t)v.u * 1000000;
    case V_DOUBLE: return double_micros(v.d);
    default: return 0;
    }
}

static bool same_one(struct value a, struct value b)
{
    if (a.kind != b.kind) return false;
    switch (a.kind) {
    case V_NONE:
    case V_NULL: return true;
    case V_BOOL: return a.b == b.b;
    case V_DOUBLE: return a.d == b.d;
    case V_TIME:
    case V_DURATION: return a.i == b.i && a.n == b.n;
    case V_STRING:
    case V_RAW:
    case V_ERROR: return slice_eq(value_text(a), value_text(b));
    case V_LIST:
    case V_MAP: return a.n == b.n;
    default: return a.i == b.i;
    }
}

bool value_same(struct value a, struct value b)
{
    struct {
        const struct value *a, *b;
        uint32_t left;
    } levels[MSGPACK_DEPTH_MAX];
    uint32_t depth = 0;
    for (;;) {
        if (!same_one(a, b)) return false;
        if ((a.kind == V_LIST || a.kind == V_MAP) && a.n) {
            if (depth == MSGPACK_DEPTH_MAX) return false;
            levels[depth].a = a.list;
            levels[depth].b = b.list;
            levels[depth++].left = a.kind == V_MAP ? 2 * a.n : a.n;
        }
        while (depth && levels[depth - 1].left == 0) depth--;
        if (depth == 0) return true;
        levels[depth - 1].left--;
        a = *levels[depth - 1].a++;
        b = *levels[depth - 1].b++;
    }
}
