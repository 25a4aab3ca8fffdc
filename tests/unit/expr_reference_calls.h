/* expr_reference_calls.h - the slow twins of the functions on text, of conversions and of the parts of a moment. Text is
 * an array of code points here, so that nothing is shared with how the machine finds its way through UTF-8. */
#ifndef HG_TESTS_EXPR_REFERENCE_CALLS_H
#define HG_TESTS_EXPR_REFERENCE_CALLS_H

#include "tests/unit/expr_reference.h"

struct ref_text {
    int64_t n;
    uint32_t *at;
};

static struct ref_text ref_runes(struct ref *r, struct value v)
{
    struct ref_text t = {0, ARENA_ARRAY(r->arena, uint32_t, v.n + 1u)};
    for (uint32_t i = 0; i < v.n;) {
        uint32_t lead = v.s[i], more = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
        uint32_t c = more ? lead & (0x3fu >> more) : lead;
        for (i++; more; more--) c = c * 64 + v.s[i++] % 64;
        t.at[t.n++] = c;
    }
    return t;
}

static struct value ref_string(struct ref *r, const uint32_t *at, int64_t n)
{
    uint8_t *out = arena_alloc(r->arena, (size_t)n * 4 + 1);
    uint32_t size = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t c = at[i];
        if (c < 0x80) {
            out[size++] = (uint8_t)c;
            continue;
        }
        uint32_t more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
        out[size++] = (uint8_t)((more == 1 ? 0xc0 : more == 2 ? 0xe0 : 0xf0) + (c >> 6 * more));
        while (more--) out[size++] = (uint8_t)(0x80 + (c >> 6 * more) % 64);
    }
    return value_string(slice_of(out, size));
}

static bool ref_here(struct ref_text a, int64_t at, struct ref_text b)
{
    if (at + b.n > a.n) return false;
    for (int64_t i = 0; i < b.n; i++)
        if (a.at[at + i] != b.at[i]) return false;
    return true;
}

static int64_t ref_seek(struct ref_text a, int64_t from, struct ref_text b)
{
    for (int64_t at = from; at + b.n <= a.n; at++)
        if (ref_here(a, at, b)) return at;
    return -1;
}

static int64_t ref_seek_back(struct ref_text a, int64_t from, struct ref_text b)
{
    for (int64_t at = from < a.n - b.n ? from : a.n - b.n; at >= 0; at--)
        if (ref_here(a, at, b)) return at;
    return -1;
}

/* The capitals that the generator knows. */
static uint32_t ref_lower(uint32_t c, bool ascii)
{
    if (c >= 'A' && c <= 'Z') return c - 'A' + 'a';
    if (ascii) return c;
    if (c == 0xc9) return 0xe9;                     /* E acute */
    return c >= 0x410 && c <= 0x42f ? c + 0x20 : c; /* Cyrillic */
}

static bool ref_space(uint32_t c) { return c == ' ' || c == '\t' || c == '\n' || c == 0xa0; }

static struct value ref_list_value(struct value *items, uint32_t n)
{
    return (struct value){.kind = V_LIST, .n = n, .list = items};
}

static struct value ref_split(struct ref *r, struct ref_text a, struct ref_text by, int64_t limit)
{
    struct value *items = ARENA_ARRAY(r->arena, struct value, (size_t)a.n + 2);
    uint32_t n = 0;
    int64_t from = 0;
    if (limit == 0) return ref_list_value(items, 0);
    while (limit < 0 || n + 1 < limit) {
        int64_t end = by.n ? ref_seek(a, from, by) : from + 1;
        if (by.n ? end < 0 : end >= a.n) break;
        items[n++] = ref_string(r, a.at + from, end - from);
        from = end + by.n;
    }
    if (by.n || from < a.n) items[n++] = ref_string(r, a.at + from, a.n - from);
    return ref_list_value(items, n);
}

static struct value ref_replace(struct ref *r, struct ref_text a, struct ref_text what, struct ref_text by,
                                int64_t limit)
{
    uint32_t *out = ARENA_ARRAY(r->arena, uint32_t, (size_t)((a.n + 1) * (by.n + 1) + 1));
    int64_t n = 0;
    for (int64_t at = 0; at <= a.n;) {
        bool here = limit != 0 && ref_here(a, at, what);
        for (int64_t i = 0; here && i < by.n; i++) out[n++] = by.at[i];
        if (here) limit--;
        if (here && what.n) {
            at += what.n;
            continue;
        }
        if (at < a.n) out[n++] = a.at[at];
        at++;
    }
    return ref_string(r, out, n);
}

static struct value ref_join(struct ref *r, struct value list, struct value by)
{
    const char *text = "";
    for (uint32_t i = 0; i < list.n; i++) {
        if (list.list[i].kind != V_STRING) return ref_error;
        struct slice gap = i && by.kind == V_STRING ? value_text(by) : (struct slice){0};
        text = arena_printf(r->arena, "%s%.*s%.*s", text, (int)gap.n, (const char *)gap.p,
                            (int)list.list[i].n, (const char *)list.list[i].s);
    }
    return value_string(slice_str(text));
}

/* Patterns of letters, '.', 'x*', '^' and '$', after Pike. */
static bool ref_match_here(struct ref_text p, int64_t i, struct ref_text t, int64_t at)
{
    if (i == p.n) return true;
    if (i + 1 < p.n && p.at[i + 1] == '*') {
        for (int64_t k = at;; k++) {
            if (ref_match_here(p, i + 2, t, k)) return true;
            if (k >= t.n || (p.at[i] != '.' && p.at[i] != t.at[k])) return false;
        }
    }
    if (p.at[i] == '$' && i + 1 == p.n) return at == t.n;
    return at < t.n && (p.at[i] == '.' || p.at[i] == t.at[at]) && ref_match_here(p, i + 1, t, at + 1);
}

static bool ref_matches(struct ref_text t, struct ref_text p)
{
    if (p.n && p.at[0] == '^') return ref_match_here(p, 1, t, 0);
    for (int64_t at = 0; at <= t.n; at++)
        if (ref_match_here(p, 0, t, at)) return true;
    return false;
}

/* ---- calls with a text in front -------------------------------------------------------------------------- */

static struct value ref_mapped(struct ref *r, struct ref_text a, struct slice name)
{
    int64_t from = 0, end = a.n;
    if (slice_is(name, "trim")) {
        while (from < end && ref_space(a.at[from])) from++;
        while (end > from && ref_space(a.at[end - 1])) end--;
        return ref_string(r, a.at + from, end - from);
    }
    uint32_t *out = ARENA_ARRAY(r->arena, uint32_t, (size_t)a.n + 1);
    for (int64_t i = 0; i < a.n; i++) {
        uint32_t c = a.at[i];
        if (slice_is(name, "lower")) c = ref_lower(c, false);
        if (slice_is(name, "lowerAscii")) c = ref_lower(c, true);
        if (slice_is(name, "upperAscii") && c >= 'a' && c <= 'z') c = c - 'a' + 'A';
        out[slice_is(name, "reverse") ? a.n - 1 - i : i] = c;
    }
    return ref_string(r, out, a.n);
}

static struct value ref_asked(struct ref_text a, struct ref_text b, struct slice name)
{
    if (slice_is(name, "contains")) return value_bool(ref_seek(a, 0, b) >= 0);
    if (slice_is(name, "startsWith")) return value_bool(ref_here(a, 0, b));
    if (slice_is(name, "endsWith")) return value_bool(b.n <= a.n && ref_here(a, a.n - b.n, b));
    if (slice_is(name, "matches")) return value_bool(ref_matches(a, b));
    return ref_error;
}

static struct value ref_part(struct ref *r, struct ref_text a, struct slice name, const struct value *args,
                             uint32_t n)
{
    int64_t from = args[1].i, to = n == 3 ? args[2].i : a.n;
    if (from < 0 || from > a.n) return ref_error;
    if (slice_is(name, "charAt")) return ref_string(r, a.at + from, from < a.n);
    return to < from || to > a.n ? ref_error : ref_string(r, a.at + from, to - from);
}

static struct value ref_found(struct ref_text a, struct ref_text b, struct slice name,
                              const struct value *args, uint32_t n)
{
    bool back = slice_is(name, "lastIndexOf");
    int64_t from = n == 3 ? args[2].i : back ? a.n : 0;
    if (from < 0 || from > a.n) return ref_error;
    return value_int(back ? ref_seek_back(a, from, b) : ref_seek(a, from, b));
}

/* args[0] is a text; the kinds behind it are right, or there is no such overload. */
static struct value ref_on_text(struct ref *r, struct slice name, const struct value *args, uint32_t n)
{
    char kinds[5] = {0};
    for (uint32_t i = 0; i < n && i < 4; i++) kinds[i] = kind_letter(args[i].kind);
    struct ref_text a = ref_runes(r, args[0]), b = {0}, c = {0};
    if (n > 1 && args[1].kind == V_STRING) b = ref_runes(r, args[1]);
    if (n > 2 && args[2].kind == V_STRING) c = ref_runes(r, args[2]);
    bool one = n == 1, text = strcmp(kinds, "ss") == 0, si = strcmp(kinds, "si") == 0,
         sii = strcmp(kinds, "sii") == 0, ssi = strcmp(kinds, "ssi") == 0;
    if (one && slice_is(name, "size")) return value_int(a.n);
    if (one) return ref_mapped(r, a, name);
    if (slice_is(name, "charAt")) return si ? ref_part(r, a, name, args, n) : ref_error;
    if (slice_is(name, "substring")) return si || sii ? ref_part(r, a, name, args, n) : ref_error;
    if (slice_is(name, "indexOf") || slice_is(name, "lastIndexOf"))
        return text || ssi ? ref_found(a, b, name, args, n) : ref_error;
    if (slice_is(name, "split")) return text || ssi ? ref_split(r, a, b, ssi ? args[2].i : -1) : ref_error;
    if (slice_is(name, "replace")) {
        bool limited = strcmp(kinds, "sssi") == 0;
        return limited || strcmp(kinds, "sss") == 0 ? ref_replace(r, a, b, c, limited ? args[3].i : -1)
                                                    : ref_error;
    }
    return text ? ref_asked(a, b, name) : ref_error;
}

/* ---- conversions ---------------------------------------------------------------------------------------------- */

static struct value ref_uint(uint64_t u) { return (struct value){.kind = V_UINT, .u = u}; }

/* A decimal of at most 19 digits that fits. */
static bool ref_digits(const char *text, uint64_t *out)
{
    uint64_t n = 0;
    if (!*text || strlen(text) > 19) return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9') return false;
        n = n * 10 + (uint64_t)(*text - '0');
    }
    *out = n;
    return true;
}

static struct value ref_to_int(const char *text, struct value v)
{
    uint64_t n;
    switch (v.kind) {
    case V_INT: return v;
    case V_TIME: return value_int(v.i);
    case V_UINT: return v.u >> 63 ? ref_error : value_int((int64_t)v.u);
    case V_DOUBLE: return fabs(v.d) < 0x1p63 ? value_int((int64_t)trunc(v.d)) : ref_error;
    default: break;
    }
    bool minus = text[0] == '-';
    if (!ref_digits(text + (minus || text[0] == '+'), &n) || n >> 63) return ref_error;
    return value_int(minus ? -(int64_t)n : (int64_t)n);
}

static struct value ref_to_uint(const char *text, struct value v)
{
    uint64_t n;
    switch (v.kind) {
    case V_UINT: return v;
    case V_INT: return v.i < 0 ? ref_error : ref_uint((uint64_t)v.i);
    case V_DOUBLE: return v.d > -1 && v.d < 0x1p64 ? ref_uint((uint64_t)v.d) : ref_error;
    default: return ref_digits(text, &n) ? ref_uint(n) : ref_error;
    }
}

static struct value ref_to_double(const char *text, struct value v)
{
    char *end;
    if (v.kind == V_DOUBLE) return v;
    if (v.kind == V_INT) return value_double((double)v.i);
    if (v.kind == V_UINT) return value_double((double)v.u);
    bool word = strcasestr(text, "nan") || strcasestr(text, "inf"); /* libc's names of what is no number */
    if (!*text || (!word && strspn(text, "0123456789+-.eE") != strlen(text)) || text[0] == ' ')
        return ref_error;
    double d = strtod(text, &end);
    return *end ? ref_error : value_double(d);
}

static const char *ref_double_text(struct ref *r, double d)
{
    if (isnan(d)) return "NaN";
    if (isinf(d)) return d > 0 ? "+Inf" : "-Inf";
    const char *text = "";
    for (int digits = 1; digits <= 17; digits++) {
        text = arena_printf(r->arena, "%.*g", digits, d);
        if (strtod(text, NULL) == d) break;
    }
    bool plain = fabs(d) >= 1e-4 && fabs(d) < 1e15;
    return plain && strchr(text, 'e') ? arena_printf(r->arena, "%.0f", d) : text;
}

static struct value ref_to_string(struct ref *r, struct value v)
{
    struct civil c;
    const char *text = "";
    switch (v.kind) {
    case V_STRING: return v;
    case V_BOOL: text = v.b ? "true" : "false"; break;
    case V_INT: text = arena_printf(r->arena, "%lld", (long long)v.i); break;
    case V_UINT: text = arena_printf(r->arena, "%llu", (unsigned long long)v.u); break;
    case V_DOUBLE: text = ref_double_text(r, v.d); break;
    case V_DURATION: text = arena_printf(r->arena, "%llds", (long long)v.i); break;
    case V_TIME:
        civil_from_seconds(v.i, &c);
        text = arena_printf(r->arena, "%04d-%02u-%02uT%02u:%02u:%02uZ", c.year, c.month, c.day, c.hour,
                            c.minute, c.second);
        break;
    default: return ref_error;
    }
    return value_string(slice_str(text));
}

static struct value ref_to_bool(const char *text)
{
    static const char *const yes[] = {"1", "t", "true", "TRUE", "True"}, *const no[] = {"0", "f", "false",
                                                                                        "FALSE", "False"};
    for (int i = 0; i < 5; i++) {
        if (strcmp(text, yes[i]) == 0) return value_bool(true);
        if (strcmp(text, no[i]) == 0) return value_bool(false);
    }
    return ref_error;
}

static struct value ref_seconds_time(int64_t s)
{
    return s < -62135596800 || s > 253402300799 ? ref_error : value_time(s);
}

/* "2026-03-01T09:00:00Z" and nothing else is what the random expressions make. */
static struct value ref_to_time(const char *text, struct value v)
{
    struct civil c = {0};
    unsigned month, day, hour, minute, second;
    int year, used = 0;
    if (v.kind == V_TIME) return v;
    if (v.kind == V_INT) return ref_seconds_time(v.i);
    if (strlen(text) != 20 ||
        sscanf(text, "%4d-%2u-%2uT%2u:%2u:%2uZ%n", &year, &month, &day, &hour, &minute, &second, &used) !=
            6 ||
        used != 20)
        return ref_error;
    if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 59)
        return ref_error;
    c = (struct civil){.year = year,
                       .month = (uint8_t)month,
                       .day = (uint8_t)day,
                       .hour = (uint8_t)hour,
                       .minute = (uint8_t)minute,
                       .second = (uint8_t)second};
    return ref_seconds_time(civil_to_seconds(&c));
}

static struct value ref_length(__int128 seconds)
{
    return seconds > 9223372036 || seconds < -9223372036 ? ref_error : value_duration((int64_t)seconds);
}

/* "90s", "-5s", "2h", "0". */
static struct value ref_to_duration(struct ref *r, const char *text, struct value v)
{
    static const char units[] = "smhd";
    static const int64_t seconds[] = {1, 60, 3600, 86400};
    uint64_t n;
    if (v.kind == V_DURATION) return v;
    bool minus = text[0] == '-';
    text += minus || text[0] == '+';
    size_t size = strlen(text);
    if (strcmp(text, "0") == 0) return value_duration(0);
    const char *unit = size ? strchr(units, text[size - 1]) : NULL;
    if (!unit || !ref_digits(arena_strndup(r->arena, text, size - 1), &n)) return ref_error;
    __int128 all = (__int128)n * seconds[unit - units];
    return ref_length(minus ? -all : all);
}

static bool ref_converts(struct slice name, uint8_t kind)
{
    static const char *const from[][2] = {{"int", "iudst"},      {"uint", "uids"}, {"double", "dius"},
                                          {"string", "sbiudtD"}, {"bool", "bs"},   {"timestamp", "tsi"},
                                          {"duration", "Ds"},    {"days", "i"},    {"hours", "i"},
                                          {"minutes", "i"}};
    for (size_t i = 0; i < sizeof from / sizeof *from; i++)
        if (slice_is(name, from[i][0])) return strchr(from[i][1], kind_letter(kind)) != NULL;
    return slice_is(name, "dyn");
}

static struct value ref_convert(struct ref *r, struct slice name, struct value v)
{
    const char *text = v.kind == V_STRING ? arena_strndup(r->arena, (const char *)v.s, v.n) : "";
    if (slice_is(name, "dyn")) return v;
    if (slice_is(name, "int")) return ref_to_int(text, v);
    if (slice_is(name, "uint")) return ref_to_uint(text, v);
    if (slice_is(name, "double")) return ref_to_double(text, v);
    if (slice_is(name, "string")) return ref_to_string(r, v);
    if (slice_is(name, "bool")) return v.kind == V_BOOL ? v : ref_to_bool(text);
    if (slice_is(name, "timestamp")) return ref_to_time(text, v);
    if (slice_is(name, "duration")) return ref_to_duration(r, text, v);
    int64_t unit = slice_is(name, "days") ? 86400 : slice_is(name, "hours") ? 3600 : 60;
    return ref_length((__int128)v.i * unit);
}

/* ---- parts of a moment ------------------------------------------------------------------------------------------- */

static struct value ref_clock(struct slice name, const struct civil *c)
{
    int64_t n = slice_is(name, "getFullYear")     ? c->year
                : slice_is(name, "getMonth")      ? c->month - 1
                : slice_is(name, "getDate")       ? c->day
                : slice_is(name, "getDayOfMonth") ? c->day - 1
                : slice_is(name, "getDayOfWeek")  ? c->weekday
                : slice_is(name, "getDayOfYear")  ? c->yday
                : slice_is(name, "getHours")      ? c->hour
                : slice_is(name, "getMinutes")    ? c->minute
                : slice_is(name, "getSeconds")    ? c->second
                                                  : 0;
    return value_int(n);
}

static struct value ref_span_part(struct slice name, int64_t seconds)
{
    cover("part of a duration");
    if (slice_is(name, "getHours")) return value_int(seconds / 3600);
    if (slice_is(name, "getMinutes")) return value_int(seconds / 60);
    if (slice_is(name, "getSeconds")) return value_int(seconds);
    return slice_is(name, "getMilliseconds") ? value_int(0) : ref_error;
}

/* `constant`: the zone's name stands in the text, so that any zone may be named. */
static struct value ref_in_zone(struct ref *r, struct slice name, int64_t at, struct value zone,
                                bool constant)
{
    struct civil c;
    int32_t shift;
    const struct zone *z = NULL;
    struct slice own = slice_str(zone_name(r->p->zone));
    if (slice_eq(value_text(zone), own)) z = r->p->zone;
    if (slice_is(value_text(zone), "UTC") || slice_is(value_text(zone), "Z")) z = zone_utc();
    if (constant || zone_parse_offset(value_text(zone), &shift)) z = zone_load(NULL, value_text(zone));
    cover(!z ? "part of an unknown zone" : constant ? "part of a named zone" : "part of a zone by value");
    if (!z) return ref_error;
    zone_civil(z, at, &c);
    return ref_clock(name, &c);
}

static bool ref_is_part(struct slice name) { return name.n > 3 && memcmp(name.p, "get", 3) == 0; }

static struct value ref_moment_part(struct ref *r, const struct tree *t)
{
    bool date = ref_is_date(t->target);
    struct value v = date ? ref_field(r, t->target) : ref_eval(r, t->target), zone;
    struct civil c;
    cover2(t->name, "");
    if (t->count) {
        zone = ref_eval(r, t->args[0]);
        if (v.kind != V_TIME || zone.kind != V_STRING) return ref_error;
        return ref_in_zone(r, t->name, v.i, zone, t->args[0]->kind == TREE_VALUE);
    }
    if (v.kind == V_DURATION) return ref_span_part(t->name, v.i);
    if (v.kind != V_TIME) return ref_error;
    cover(date ? "part of a date" : "part of own zone");
    if (date)
        civil_from_seconds(v.i, &c);
    else
        zone_civil(r->p->zone, v.i, &c);
    return ref_clock(t->name, &c);
}

#endif
