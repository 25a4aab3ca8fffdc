/* Functions on text. Positions count code points, as CEL's do; text from events is valid UTF-8. */
#include "core/expr/function.h"
#include "core/expr/lower_table.h"

#define NO_ROOM value_fail("out of scratch memory")
#define BOUNDS  value_fail("index out of range")

static uint32_t rune_bytes(uint8_t lead) { return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4; }

/* Bytes of the rune at p, never beyond the end. */
static uint32_t rune_at(struct slice s, uint32_t at)
{
    uint32_t n = rune_bytes(s.p[at]);
    return n <= s.n - at ? n : s.n - at;
}

static uint32_t runes(struct slice s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s.n; i++) n += (s.p[i] & 0xc0) != 0x80;
    return n;
}

/* The byte where rune number n begins; s.n for the one behind the last; UINT32_MAX beyond. */
static uint32_t rune_offset(struct slice s, int64_t n)
{
    uint32_t at = 0;
    if (n < 0) return UINT32_MAX;
    for (; n && at < s.n; n--) at += rune_at(s, at);
    return n ? UINT32_MAX : at;
}

static struct value made(uint8_t *p, size_t n) { return value_string(slice_of(p, n)); }

/* ---- asking --------------------------------------------------------------------------------------- */

struct value text_size(struct machine *m, const struct value *args)
{
    return value_int(runes(value_text(args[0])));
}

struct value list_size(struct machine *m, const struct value *args)
{
    struct value v = value_unfold(m, args[0]);
    return v.kind == V_LIST ? value_int(v.n) : NO_OVERLOAD;
}

struct value map_size(struct machine *m, const struct value *args)
{
    struct value v = value_unfold(m, args[0]);
    return v.kind == V_MAP ? value_int(v.n) : NO_OVERLOAD;
}

struct value text_contains(struct machine *m, const struct value *args)
{
    return value_bool(args[1].n == 0 || (args[0].n && memmem(args[0].s, args[0].n, args[1].s, args[1].n)));
}

struct value text_starts(struct machine *m, const struct value *args)
{
    return value_bool(args[1].n == 0 ||
                      (args[0].n >= args[1].n && memcmp(args[0].s, args[1].s, args[1].n) == 0));
}

struct value text_ends(struct machine *m, const struct value *args)
{
    uint32_t skip = args[0].n - args[1].n;
    return value_bool(args[1].n == 0 ||
                      (args[0].n >= args[1].n && memcmp(args[0].s + skip, args[1].s, args[1].n) == 0));
}

/* ---- letters ---------------------------------------------------------------------------------------- */

static uint32_t rune_lower(uint32_t c)
{
    if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
    uint32_t low = 0, high = sizeof lower_runs / sizeof *lower_runs;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        const struct lower_run *r = &lower_runs[middle];
        if (c >= r->first && c <= r->last)
            return (c - r->first) % r->step ? c : (uint32_t)((int32_t)c + r->delta);
        if (c < r->first)
            high = middle;
        else
            low = middle + 1;
    }
    return c;
}

static uint32_t rune_read(const uint8_t *p, uint32_t n)
{
    uint32_t c = n == 1 ? p[0] : p[0] & (0xffu >> (n + 1));
    for (uint32_t i = 1; i < n; i++) c = c << 6 | (p[i] & 0x3f);
    return c;
}

static uint32_t rune_write(uint8_t *out, uint32_t c)
{
    if (c < 0x80) return out[0] = (uint8_t)c, 1;
    uint32_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (uint32_t i = n - 1; i; i--, c >>= 6) out[i] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)(c | (0xf0u << (4 - n)));
    return n;
}

struct value text_lower(struct machine *m, const struct value *args)
{
    struct slice s = value_text(args[0]);
    uint8_t *out = arena_alloc(m->ctx->scratch, (size_t)s.n * 2); /* U+023A grows from two bytes to three */
    if (!out) return NO_ROOM;
    size_t n = 0;
    for (uint32_t i = 0, bytes; i < s.n; i += bytes) {
        bytes = rune_at(s, i);
        n += rune_write(out + n, rune_lower(rune_read(s.p + i, bytes)));
    }
    return made(out, n);
}

static struct value map_ascii(struct machine *m, struct value v, uint8_t from, uint8_t to, int move)
{
    uint8_t *out = arena_alloc(m->ctx->scratch, v.n);
    if (!out) return NO_ROOM;
    for (uint32_t i = 0; i < v.n; i++)
        out[i] = (uint8_t)(v.s[i] >= from && v.s[i] <= to ? v.s[i] + move : v.s[i]);
    return made(out, v.n);
}
struct value text_lower_ascii(struct machine *m, const struct value *args)
{
    return map_ascii(m, args[0], 'A', 'Z', 32);
}
struct value text_upper_ascii(struct machine *m, const struct value *args)
{
    return map_ascii(m, args[0], 'a', 'z', -32);
}

struct value text_reverse(struct machine *m, const struct value *args)
{
    struct slice s = value_text(args[0]);
    uint8_t *out = arena_alloc(m->ctx->scratch, s.n);
    if (!out) return NO_ROOM;
    for (uint32_t i = 0, bytes; i < s.n; i += bytes) {
        bytes = rune_at(s, i);
        memcpy(out + s.n - i - bytes, s.p + i, bytes);
    }
    return made(out, s.n);
}

static bool is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
           c == 0x3000;
}

struct value text_trim(struct machine *m, const struct value *args)
{
    struct slice s = value_text(args[0]);
    uint32_t from = 0, until = 0;
    while (from < s.n && is_space(rune_read(s.p + from, rune_at(s, from)))) from += rune_at(s, from);
    for (uint32_t i = from, bytes; i < s.n; i += bytes) {
        bytes = rune_at(s, i);
        if (!is_space(rune_read(s.p + i, bytes))) until = i + bytes;
    }
    return value_string(slice_of(s.p + from, until > from ? until - from : 0));
}

/* ---- parts ------------------------------------------------------------------------------------------------ */

struct value text_char_at(struct machine *m, const struct value *args)
{
    struct slice s = value_text(args[0]);
    uint32_t at = rune_offset(s, args[1].i);
    if (at == UINT32_MAX) return BOUNDS;
    return value_string(slice_of(s.p + at, at < s.n ? rune_at(s, at) : 0));
}

struct value text_substring(struct machine *m, const struct value *args)
{
    struct slice s = value_text(args[0]);
    uint32_t from = rune_offset(s, args[1].i);
    uint32_t until = args[2].kind == V_INT ? rune_offset(s, args[2].i) : s.n;
    if (from == UINT32_MAX || until == UINT32_MAX || from > until) return BOUNDS;
    return value_string(slice_of(s.p + from, until - from));
}

struct value text_index_of(struct machine *m, const struct value *args)
{
    struct slice s = value_text(args[0]), what = value_text(args[1]);
    uint32_t from = args[2].kind == V_INT ? rune_offset(s, args[2].i) : 0;
    if (from == UINT32_MAX) return BOUNDS;
    if (what.n == 0) return value_int(runes(slice_of(s.p, from)));
    const uint8_t *found = s.n > from ? memmem(s.p + from, s.n - from, what.p, what.n) : NULL;
    return value_int(found ? (int64_t)runes(slice_of(s.p, (size_t)(found - s.p))) : -1);
}

struct value text_last_index_of(struct machine *m, const struct value *args)
{
    struct slice s = value_text(args[0]), what = value_text(args[1]);
    uint32_t from = args[2].kind == V_INT ? rune_offset(s, args[2].i) : s.n;
    if (from == UINT32_MAX) return BOUNDS;
    if (what.n > s.n) return value_int(-1);
    if (from > s.n - what.n) from = s.n - what.n;
    for (uint32_t at = from;; at--) {
        if (what.n == 0 || memcmp(s.p + at, what.p, what.n) == 0) return value_int(runes(slice_of(s.p, at)));
        if (at == 0) return value_int(-1);
    }
}

/* ---- lists of text ----------------------------------------------------------------------------------------- */

struct value text_split(struct machine *m, const struct value *args)
{
    struct slice s = value_text(args[0]), by = value_text(args[1]);
    int64_t limit = args[2].kind == V_INT ? args[2].i : -1;
    uint32_t most = (by.n ? s.n / by.n : s.n) + 2, n = 0;
    if (limit == 0) return (struct value){.kind = V_LIST};
    if (limit > 0 && limit < most) most = (uint32_t)limit;
    struct value *items = arena_alloc(m->ctx->scratch, most * sizeof *items);
    if (!items) return NO_ROOM;
    uint32_t at = 0;
    while (n + 1 < most) {
        uint32_t end = at + (by.n || at >= s.n ? 0 : rune_at(s, at));
        const uint8_t *found = by.n && s.n > at ? memmem(s.p + at, s.n - at, by.p, by.n) : NULL;
        if (by.n ? !found : end >= s.n) break;
        if (by.n) end = (uint32_t)(found - s.p);
        items[n++] = value_string(slice_of(s.p + at, end - at));
        at = end + by.n;
    }
    if (by.n || at < s.n) items[n++] = value_string(slice_of(s.p + at, s.n - at));
    return (struct value){.kind = V_LIST, .n = n, .list = items};
}

struct value text_join(struct machine *m, const struct value *args)
{
    struct value list = value_unfold(m, args[0]);
    struct slice by = args[1].kind == V_STRING ? value_text(args[1]) : (struct slice){0};
    size_t n = 0;
    if (list.kind != V_LIST) return NO_OVERLOAD;
    for (uint32_t i = 0; i < list.n; i++) {
        if (list.list[i].kind != V_STRING) return NO_OVERLOAD;
        n += list.list[i].n + (i ? by.n : 0);
    }
    uint8_t *out = arena_alloc(m->ctx->scratch, n), *p = out;
    if (!out) return NO_ROOM;
    for (uint32_t i = 0; i < list.n; i++) {
        if (i && by.n) p = (uint8_t *)memcpy(p, by.p, by.n) + by.n;
        if (list.list[i].n) p = (uint8_t *)memcpy(p, list.list[i].s, list.list[i].n) + list.list[i].n;
    }
    return made(out, n);
}

/* Where `what` is found next at or after *at; an empty `what` stands before every rune and at the end. */
static bool replace_next(struct slice s, struct slice what, uint32_t done, uint32_t from, uint32_t *found)
{
    if (what.n == 0) {
        *found = from + (done && from < s.n ? rune_at(s, from) : 0);
        return done == 0 || from < s.n;
    }
    const uint8_t *p = s.n > from ? memmem(s.p + from, s.n - from, what.p, what.n) : NULL;
    if (p) *found = (uint32_t)(p - s.p);
    return p != NULL;
}

struct value text_replace(struct machine *m, const struct value *args)
{
    struct slice s = value_text(args[0]), what = value_text(args[1]), by = value_text(args[2]);
    int64_t limit = args[3].kind == V_INT ? args[3].i : -1;
    uint32_t most = (what.n ? s.n / what.n : s.n + 1), done = 0, from = 0, at;
    if (limit >= 0 && limit < most) most = (uint32_t)limit;
    uint8_t *out = arena_alloc(m->ctx->scratch, (size_t)s.n + (size_t)most * by.n), *p = out;
    if (!out) return NO_ROOM;
    while (done < most && replace_next(s, what, done, from, &at)) {
        if (at > from) p = (uint8_t *)memcpy(p, s.p + from, at - from) + (at - from);
        if (by.n) p = (uint8_t *)memcpy(p, by.p, by.n) + by.n;
        from = at + what.n;
        done++;
    }
    if (s.n > from) p = (uint8_t *)memcpy(p, s.p + from, s.n - from) + (s.n - from);
    return made(out, (size_t)(p - out));
}
