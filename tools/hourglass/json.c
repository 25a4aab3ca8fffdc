/* json.c - JSON to MessagePack.
 * A container's header needs the number of its members, which is known only at its end: one byte is left free in front
 * and filled in when the container closes; only one with more than 15 members has to move its content aside.
 *
 *   open:  [?][member][member]...          close, n <= 15:  [8n][member]...      above:  [de nn nn][member]... */
#include "tools/hourglass/json.h"

#include <math.h>
#include <stdlib.h>

#include "core/base/msgpack.h"

enum { DEPTH_MAX = 64, NUMBER_BYTES_MAX = 400 };

struct level {
    size_t header; /* where its header byte is */
    uint32_t count;
    bool map;
};

struct json {
    const uint8_t *start, *p, *end;
    struct buf *out;
    const char *reason; /* NULL: well so far */
    uint32_t depth;
    struct level levels[DEPTH_MAX];
};

static bool fail(struct json *j, const char *reason)
{
    if (!j->reason) j->reason = reason;
    return false;
}

static void skip_space(struct json *j)
{
    while (j->p < j->end && (*j->p == ' ' || *j->p == '\n' || *j->p == '\t' || *j->p == '\r')) j->p++;
}

/* ---- strings ---------------------------------------------------------------------------- */

static uint32_t string_header_bytes(size_t n) { return n < 32 ? 1 : n < 256 ? 2 : n < 65536 ? 3 : 5; }

static void write_string_header(uint8_t *p, size_t n)
{
    if (n < 32) {
        *p = (uint8_t)(0xa0 | n);
    } else if (n < 256) {
        *p++ = 0xd9;
        *p = (uint8_t)n;
    } else if (n < 65536) {
        *p++ = 0xda;
        *p++ = (uint8_t)(n >> 8);
        *p = (uint8_t)n;
    } else {
        *p++ = 0xdb;
        store_be32(p, (uint32_t)n);
    }
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static bool read_hex4(struct json *j, uint32_t *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++, j->p++) {
        int digit = j->p < j->end ? hex_digit(*j->p) : -1;
        if (digit < 0) return fail(j, "\\u needs four hexadecimal digits");
        *code = *code << 4 | (uint32_t)digit;
    }
    return true;
}

static uint8_t *put_utf8(uint8_t *o, uint32_t c)
{
    if (c < 0x80) {
        *o++ = (uint8_t)c;
    } else if (c < 0x800) {
        *o++ = (uint8_t)(0xc0 | c >> 6);
        *o++ = (uint8_t)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *o++ = (uint8_t)(0xe0 | c >> 12);
        *o++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        *o++ = (uint8_t)(0x80 | (c & 0x3f));
    } else {
        *o++ = (uint8_t)(0xf0 | c >> 18);
        *o++ = (uint8_t)(0x80 | (c >> 12 & 0x3f));
        *o++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        *o++ = (uint8_t)(0x80 | (c & 0x3f));
    }
    return o;
}

/* Behind \u: one character, which may need a second \u. */
static bool read_unicode(struct json *j, uint8_t **o)
{
    uint32_t code, low;
    if (!read_hex4(j, &code)) return false;
    if (code >= 0xdc00 && code < 0xe000) return fail(j, "second half of a surrogate pair without the first");
    if (code >= 0xd800 && code < 0xdc00) {
        if (j->end - j->p < 2 || j->p[0] != '\\' || j->p[1] != 'u') return fail(j, "half a surrogate pair");
        j->p += 2;
        if (!read_hex4(j, &low)) return false;
        if (low < 0xdc00 || low >= 0xe000) return fail(j, "half a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    *o = put_utf8(*o, code);
    return true;
}

static bool read_escape(struct json *j, uint8_t **o)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    uint8_t c = *j->p++;
    if (c == 'u') return read_unicode(j, o);
    const char *at = c ? strchr(from, c) : NULL;
    if (!at) {
        j->p--;
        return fail(j, "unknown escape");
    }
    *(*o)++ = (uint8_t)to[at - from];
    return true;
}

/* j->p behind the opening quote; leaves it behind the closing one. */
static bool read_string(struct json *j)
{
    const uint8_t *from = j->p, *close = from;
    while (close < j->end && *close != '"') close += *close == '\\' ? 2 : 1;
    if (close >= j->end) return j->p = j->end, fail(j, "a string without its closing quote");
    size_t raw = (size_t)(close - from); /* an escape never grows */
    uint32_t header = string_header_bytes(raw);
    buf_reserve(j->out, raw + header);
    uint8_t *text = j->out->p + j->out->n + header, *o = text;
    while (j->p < close) {
        if (*j->p < 0x20) return fail(j, "a control character inside a string (write it as \\u00XX)");
        if (*j->p != '\\') {
            *o++ = *j->p++;
        } else {
            j->p++;
            if (!read_escape(j, &o)) return false;
        }
    }
    size_t n = (size_t)(o - text);
    if (!utf8_valid(slice_of(text, n))) return j->p = from, fail(j, "the string is not UTF-8");
    if (string_header_bytes(n) != header) {
        memmove(j->out->p + j->out->n + string_header_bytes(n), text, n);
        header = string_header_bytes(n);
    }
    write_string_header(j->out->p + j->out->n, n);
    j->out->n += header + n;
    j->p = close + 1;
    return true;
}

/* ---- numbers and words --------------------------------------------------------------------- */

static const uint8_t *digits(const uint8_t *p, const uint8_t *end)
{
    while (p < end && *p >= '0' && *p <= '9') p++;
    return p;
}

static bool put_double(struct json *j, const uint8_t *from)
{
    char text[NUMBER_BYTES_MAX + 1];
    size_t n = (size_t)(j->p - from);
    if (n > NUMBER_BYTES_MAX) return fail(j, "a number of more than 400 characters");
    memcpy(text, from, n);
    text[n] = 0;
    double d = strtod(text, NULL);
    if (!isfinite(d)) return j->p = from, fail(j, "a number too large for a double");
    buf_reserve(j->out, 9);
    j->out->n = (size_t)(mpw_double(j->out->p + j->out->n, d) - j->out->p);
    return true;
}

static bool put_integer(struct json *j, const uint8_t *from)
{
    bool negative = *from == '-';
    uint64_t v = 0;
    for (const uint8_t *p = from + negative; p < j->p; p++) {
        if (v > (UINT64_MAX - (uint64_t)(*p - '0')) / 10) return put_double(j, from);
        v = v * 10 + (uint64_t)(*p - '0');
    }
    if (negative && (v == 0 || v > (uint64_t)INT64_MAX + 1)) return put_double(j, from); /* -0, or too long */
    buf_reserve(j->out, 9);
    uint8_t *at = j->out->p + j->out->n;
    at = negative ? mpw_int(at, (int64_t)(0 - v)) : mpw_uint(at, v);
    j->out->n = (size_t)(at - j->out->p);
    return true;
}

static bool read_number(struct json *j)
{
    const uint8_t *from = j->p;
    if (*j->p == '-') j->p++;
    const uint8_t *whole = j->p;
    j->p = digits(j->p, j->end);
    if (j->p == whole) return fail(j, "a value was expected");
    if (*whole == '0' && j->p - whole > 1) return j->p = whole, fail(j, "a number with a leading zero");
    bool integer = true;
    if (j->p < j->end && *j->p == '.') {
        integer = false;
        const uint8_t *part = ++j->p;
        j->p = digits(j->p, j->end);
        if (j->p == part) return fail(j, "digits are missing behind the decimal point");
    }
    if (j->p < j->end && (*j->p | 0x20) == 'e') {
        integer = false;
        if (++j->p < j->end && (*j->p == '+' || *j->p == '-')) j->p++;
        const uint8_t *part = j->p;
        j->p = digits(j->p, j->end);
        if (j->p == part) return fail(j, "digits are missing in the exponent");
    }
    return integer ? put_integer(j, from) : put_double(j, from);
}

static bool read_word(struct json *j, const char *word, uint8_t byte)
{
    size_t n = strlen(word);
    if ((size_t)(j->end - j->p) < n || memcmp(j->p, word, n) != 0) return fail(j, "a value was expected");
    j->p += n;
    buf_put_u8(j->out, byte);
    return true;
}

/* ---- containers ------------------------------------------------------------------------------ */

static bool open_level(struct json *j, bool map)
{
    if (j->depth == DEPTH_MAX) return fail(j, "nested deeper than 64");
    j->levels[j->depth++] = (struct level){j->out->n, 0, map};
    buf_put_u8(j->out, 0);
    j->p++;
    return true;
}

static void close_level(struct json *j)
{
    struct level *l = &j->levels[--j->depth];
    j->p++;
    if (l->count < 16) {
        j->out->p[l->header] = (uint8_t)((l->map ? 0x80 : 0x90) | l->count);
        return;
    }
    uint32_t more = l->count < 65536 ? 2 : 4;
    buf_reserve(j->out, more);
    uint8_t *content = j->out->p + l->header + 1;
    memmove(content + more, content, j->out->n - l->header - 1);
    j->out->n += more;
    if (l->map)
        mpw_map(j->out->p + l->header, l->count);
    else
        mpw_array(j->out->p + l->header, l->count);
}

static bool read_key(struct json *j)
{
    skip_space(j);
    if (j->p == j->end || *j->p != '"') return fail(j, "a key in double quotes was expected");
    j->p++;
    if (!read_string(j)) return false;
    skip_space(j);
    if (j->p == j->end || *j->p != ':') return fail(j, "a colon was expected behind the key");
    j->p++;
    return true;
}

/* A scalar, or the opening of a container. */
static bool read_value(struct json *j)
{
    skip_space(j);
    if (j->p == j->end) return fail(j, "the text ends where a value was expected");
    switch (*j->p) {
    case '{': return open_level(j, true);
    case '[': return open_level(j, false);
    case '"': j->p++; return read_string(j);
    case 't': return read_word(j, "true", 0xc3);
    case 'f': return read_word(j, "false", 0xc2);
    case 'n': return read_word(j, "null", 0xc0);
    default: return read_number(j);
    }
}

/* Between members of the innermost container: closes it, or stands before its next value. */
static bool next_member(struct json *j, bool *value_follows)
{
    struct level *l = &j->levels[j->depth - 1];
    *value_follows = false;
    skip_space(j);
    if (j->p == j->end)
        return fail(j, l->map ? "an object without its closing brace" : "a list without its closing bracket");
    if (*j->p == (l->map ? '}' : ']')) return close_level(j), true;
    if (l->count > 0) {
        if (*j->p != ',')
            return fail(j, l->map ? "a comma or a closing brace was expected"
                                  : "a comma or a closing bracket was expected");
        j->p++;
    }
    l->count++;
    *value_follows = true;
    return !l->map || read_key(j);
}

static bool read_document(struct json *j)
{
    if (!read_value(j)) return false;
    while (j->depth > 0) {
        bool value;
        if (!next_member(j, &value)) return false;
        if (value && !read_value(j)) return false;
    }
    skip_space(j);
    return j->p == j->end || fail(j, "something stands behind the value");
}

static void locate(const struct json *j, uint32_t first_line, struct json_error *e)
{
    const uint8_t *at = j->p < j->end ? j->p : j->end;
    *e = (struct json_error){first_line, 1, j->reason};
    for (const uint8_t *p = j->start; p < at; p++) {
        if (*p == '\n') {
            e->line++;
            e->column = 1;
        } else if ((*p & 0xc0) != 0x80) {
            e->column++;
        }
    }
}

bool json_to_msgpack(struct slice text, uint32_t first_line, struct buf *out, struct json_error *error)
{
    struct json j = {.start = text.p, .p = text.p, .end = text.p + text.n, .out = out};
    size_t before = out->n;
    if (read_document(&j)) return true;
    out->n = before;
    locate(&j, first_line, error);
    return false;
}
