#include "core/expr/token.h"
#include "core/base/check.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { NUMBER_BYTES_MAX = 400 };

static int peek(const struct lexer *l, uint32_t ahead)
{
    return l->at + ahead < l->text.n ? l->text.p[l->at + ahead] : -1;
}
static bool is_digit(int c) { return c >= '0' && c <= '9'; }
static bool is_letter(int c) { return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

static int hex_digit(int c)
{
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void skip_blank(struct lexer *l)
{
    for (;;) {
        int c = peek(l, 0);
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f') {
            l->at++;
        } else if (c == '/' && peek(l, 1) == '/') {
            while (peek(l, 0) >= 0 && peek(l, 0) != '\n') l->at++;
        } else {
            return;
        }
    }
}

static struct token finish(struct lexer *l, uint32_t from, struct token t)
{
    t.at = from;
    t.length = l->at - from;
    t.text = slice_of(l->text.p + from, t.length);
    return t;
}

static struct token bad_as(struct lexer *l, uint32_t from, const char *reason, const char *fix)
{
    return finish(l, from, (struct token){.kind = TOKEN_BAD, .reason = reason, .fix = fix});
}
static struct token bad(struct lexer *l, uint32_t from, const char *reason)
{
    return bad_as(l, from, reason, NULL);
}

/* ---- numbers ------------------------------------------------------------------------------ */

static struct token integer(struct lexer *l, uint32_t from, bool hex, bool minus)
{
    uint64_t n = 0;
    bool over = false;
    for (; hex ? hex_digit(peek(l, 0)) >= 0 : is_digit(peek(l, 0)); l->at++) {
        over |= __builtin_mul_overflow(n, hex ? 16u : 10u, &n);
        over |= __builtin_add_overflow(n, (uint64_t)hex_digit(peek(l, 0)), &n);
    }
    if (peek(l, 0) == 'u' || peek(l, 0) == 'U') {
        l->at++;
        if (over || minus)
            return bad(l, from, over ? "unsigned integer is too large" : "an unsigned integer has no sign");
        return finish(l, from, (struct token){.kind = TOKEN_VALUE, .value = {.kind = V_UINT, .u = n}});
    }
    if (over || n > (uint64_t)INT64_MAX + minus) return bad(l, from, "integer is too large");
    return finish(l, from,
                  (struct token){.kind = TOKEN_VALUE, .value = value_int((int64_t)(minus ? 0 - n : n))});
}

static struct token floating(struct lexer *l, uint32_t from, bool minus)
{
    char digits[NUMBER_BYTES_MAX];
    while (is_digit(peek(l, 0)) || peek(l, 0) == '.') l->at++;
    if ((peek(l, 0) | 32) == 'e') {
        l->at++;
        if (peek(l, 0) == '+' || peek(l, 0) == '-') l->at++;
        if (!is_digit(peek(l, 0))) return bad(l, from, "a number ends behind its exponent sign");
        while (is_digit(peek(l, 0))) l->at++;
    }
    uint32_t n = l->at - from;
    if (n >= sizeof digits) return bad(l, from, "number is too long");
    memcpy(digits, l->text.p + from, n);
    digits[n] = 0;
    char *end;
    double d = strtod(digits, &end);
    if (*end) return bad(l, from, "malformed number");
    if (!isfinite(d)) return bad_as(l, from, "the number is too large", "the largest is 1.79e308");
    return finish(l, from, (struct token){.kind = TOKEN_VALUE, .value = value_double(minus ? -d : d)});
}

/* 60d, 1d12h: how definitions write a duration, which in an expression is a function. False: it is none. */
static bool duration(struct lexer *l, struct token *out)
{
    static const struct {
        char unit;
        const char *written;
    } units[] = {
        {'d', "days(%.*s)"}, {'h', "hours(%.*s)"}, {'m', "minutes(%.*s)"}, {'s', "duration(\"%.*ss\")"}};
    uint32_t ahead = 0, from = l->at;
    const char *fix = "write";
    while (is_digit(peek(l, ahead))) {
        uint32_t digits = ahead, unit = 0;
        while (is_digit(peek(l, ahead))) ahead++;
        while (unit < 4 && units[unit].unit != peek(l, ahead)) unit++;
        if (unit == 4) return false;
        fix = arena_printf(l->arena, digits ? "%s + " : "%s ", fix);
        fix = arena_printf(l->arena, "%s%s", fix,
                           arena_printf(l->arena, units[unit].written, (int)(ahead - digits),
                                        (const char *)l->text.p + l->at + digits));
        ahead++;
    }
    if (!ahead || is_letter(peek(l, ahead))) return false;
    l->at += ahead;
    *out = bad_as(l, from, "a duration in an expression is a function", fix);
    return true;
}

static struct token number(struct lexer *l, bool minus)
{
    struct token word;
    uint32_t from = l->at, ahead = 0;
    if (duration(l, &word)) return word;
    if (peek(l, 0) == '0' && (peek(l, 1) | 32) == 'x') {
        l->at += 2;
        if (hex_digit(peek(l, 0)) < 0) return bad(l, from, "a hexadecimal number without digits");
        return integer(l, from, true, minus);
    }
    while (is_digit(peek(l, ahead))) ahead++;
    int next = peek(l, ahead);
    if ((next == '.' && is_digit(peek(l, ahead + 1))) || (next | 32) == 'e') return floating(l, from, minus);
    return integer(l, from, false, minus);
}

/* ---- strings ------------------------------------------------------------------------------- */

static uint32_t utf8_put(uint8_t *out, uint32_t c)
{
    if (c < 0x80) return out[0] = (uint8_t)c, 1;
    if (c < 0x800) return out[0] = (uint8_t)(0xc0 | c >> 6), out[1] = (uint8_t)(0x80 | (c & 63)), 2;
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 63));
        out[2] = (uint8_t)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 63));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 63));
    out[3] = (uint8_t)(0x80 | (c & 63));
    return 4;
}

/* Digits of \x41 \u0041 \U00000041 \101, as a code point. False: not one. */
static bool escape_digits(struct lexer *l, uint32_t digits, uint32_t base, uint32_t *out)
{
    *out = 0;
    for (uint32_t i = 0; i < digits; i++, l->at++) {
        int d = hex_digit(peek(l, 0));
        if (d < 0 || (uint32_t)d >= base) return false;
        *out = *out * base + (uint32_t)d;
    }
    return *out <= 0x10ffff && (*out < 0xd800 || *out > 0xdfff);
}

static bool escape(struct lexer *l, uint8_t *out, uint32_t *n)
{
    static const char from[] = "abfnrtv\\?\"'`", to[] = "\a\b\f\n\r\t\v\\?\"'`";
    int c = peek(l, 0);
    uint32_t code;
    const char *simple = c > 0 ? strchr(from, c) : NULL;
    if (simple) {
        l->at++;
        out[(*n)++] = (uint8_t)to[simple - from];
        return true;
    }
    bool good;
    if (c >= '0' && c <= '3') {
        good = escape_digits(l, 3, 8, &code);
    } else {
        uint32_t digits = (c == 'x' || c == 'X') ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
        l->at += digits != 0;
        good = digits && escape_digits(l, digits, 16, &code);
    }
    if (good) *n += utf8_put(out + *n, code);
    return good;
}

static struct token string(struct lexer *l, uint32_t from, bool raw, bool bytes)
{
    int quote = peek(l, 0);
    bool triple = peek(l, 1) == quote && peek(l, 2) == quote;
    l->at += triple ? 3 : 1;
    uint8_t *out = arena_alloc(l->arena, l->text.n - l->at + 1);
    uint32_t n = 0;
    const char *reason = NULL;
    for (;;) {
        int c = peek(l, 0);
        if (c < 0 || (!triple && (c == '\n' || c == '\r')))
            return bad(l, from, "a string without its closing quote");
        if (c == quote && (!triple || (peek(l, 1) == quote && peek(l, 2) == quote))) break;
        l->at++;
        if (c != '\\' || raw)
            out[n++] = (uint8_t)c;
        else if (!escape(l, out, &n) && !reason)
            reason = "unknown escape in a string";
    }
    l->at += triple ? 3 : 1;
    if (bytes) return bad(l, from, "bytes are not supported");
    if (reason) return bad(l, from, reason);
    if (!utf8_valid(slice_of(out, n))) return bad(l, from, "a string that is not UTF-8");
    return finish(l, from, (struct token){.kind = TOKEN_VALUE, .value = value_string(slice_of(out, n))});
}

/* r'..' b".." br'''..''': returns the length of the prefix when a string follows, else -1. */
static int string_prefix(const struct lexer *l, bool *raw, bool *bytes)
{
    *raw = *bytes = false;
    for (uint32_t i = 0; i < 3; i++) {
        int c = peek(l, i);
        if (c == '"' || c == '\'') return (int)i;
        if ((c | 32) == 'r' && !*raw)
            *raw = true;
        else if ((c | 32) == 'b' && !*bytes)
            *bytes = true;
        else
            return -1;
    }
    return -1;
}

/* Length of the quotation mark here that a text editor has bent: \u2018 to \u201e, \u00ab, \u00bb. 0: none. */
static uint32_t bent_quote(const struct lexer *l)
{
    int a = peek(l, 0), b = peek(l, 1), c = peek(l, 2);
    if (a == 0xe2 && b == 0x80 && c >= 0x98 && c <= 0x9e) return 3;
    return a == 0xc2 && (b == 0xab || b == 0xbb) ? 2 : 0;
}

/* From one bent quotation mark to the next, whatever stands between. */
static struct token bent_text(struct lexer *l)
{
    uint32_t from = l->at, begin = from + bent_quote(l), end;
    for (l->at = begin; l->at < l->text.n && !bent_quote(l) && peek(l, 0) != '"'; l->at++) {
    }
    end = l->at;
    l->at += end < l->text.n ? (bent_quote(l) ? bent_quote(l) : 1) : 0;
    return bad_as(
        l, from, "a text stands in straight quotes",
        arena_printf(l->arena, "write \"%.*s\"", (int)(end - begin), (const char *)l->text.p + begin));
}

static struct token sign(struct lexer *l)
{
    static const char pairs[][3] = {"&&", "||", "==", "!=", "<=", ">="};
    uint32_t from = l->at;
    int c = peek(l, 0), d = peek(l, 1);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (pairs[i][0] != c || pairs[i][1] != d) continue;
        l->at += 2;
        return finish(l, from, (struct token){.kind = TOKEN_SIGN, .sign = SIGN2(c, d)});
    }
    if (bent_quote(l)) return bent_text(l);
    l->at++;
    if (c > 0 && strchr("()[]{}.,:?+-*/%!<>", c))
        return finish(l, from, (struct token){.kind = TOKEN_SIGN, .sign = (uint16_t)c});
    static const char *const meant[][3] = {{"=", "a single '=': compare with '=='", "write =="},
                                           {"&", "a single '&': write '&&'", "write &&"},
                                           {"|", "a single '|': write '||'", "write ||"},
                                           {"`", "quoted field names are not supported", NULL}};
    for (size_t i = 0; i < sizeof meant / sizeof *meant; i++)
        if (meant[i][0][0] == c) return bad_as(l, from, meant[i][1], meant[i][2]);
    if (c == 0xc2 && peek(l, 0) == 0xa0) {
        l->at++;
        return bad_as(l, from, "a no-break space", "write an ordinary space");
    }
    while (peek(l, 0) >= 0x80 && c >= 0x80) l->at++; /* one report for a whole foreign word */
    if (c >= 0x80)
        return bad_as(l, from, "a word in other letters",
                      arena_printf(l->arena, "a text stands in quotes: write \"%.*s\"", (int)(l->at - from),
                                   (const char *)l->text.p + from));
    return bad_as(l, from, "unexpected character",
                  c == ';' ? "leave it out: nothing ends an expression" : NULL);
}

struct token token_next(struct lexer *l, bool minus)
{
    skip_blank(l);
    uint32_t from = l->at;
    int c = peek(l, 0);
    bool raw, bytes;
    if (c < 0) return finish(l, from, (struct token){.kind = TOKEN_END});
    if (is_digit(c) || (c == '.' && is_digit(peek(l, 1)))) return number(l, minus);
    int prefix = string_prefix(l, &raw, &bytes);
    if (prefix >= 0) {
        l->at += (uint32_t)prefix;
        return string(l, from, raw, bytes);
    }
    if (!is_letter(c)) return sign(l);
    while (is_letter(peek(l, 0)) || is_digit(peek(l, 0))) l->at++;
    return finish(l, from, (struct token){.kind = TOKEN_NAME});
}
