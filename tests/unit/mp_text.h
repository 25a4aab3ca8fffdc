/* mp_text.h - MessagePack for tests, written as text: {'a': [1, -2.5, true, null]}, and <c1 00> for bytes as they are.
 * Minimal forms; a number with a point or an exponent is float64. What is made lives in one arena for as long as the
 * test's process. */
#ifndef HG_TESTS_MP_TEXT_H
#define HG_TESTS_MP_TEXT_H

#include "core/base/arena.h"
#include "core/base/check.h"
#include "core/base/msgpack.h"

#include <stdlib.h>

static struct arena mp_text_kept;

/* Exactly as many bytes as the content, so that a sanitizer sees a read behind it. */
static inline struct slice mp_text_keep(struct buf *b)
{
    uint8_t *p = arena_alloc(&mp_text_kept, b->n ? b->n : 1);
    if (b->n) memcpy(p, b->p, b->n);
    struct slice s = slice_of(p, b->n);
    buf_free(b);
    return s;
}

static inline void mp_text_blank(const char **at)
{
    while (**at && strchr(" ,:\n", **at)) (*at)++;
}

static inline void mp_text_bytes(const char **at, struct buf *out)
{
    char *end;
    while (**at != '>') {
        buf_put_u8(out, (uint8_t)strtoul(*at, &end, 16));
        *at = end + (*end == ' ');
    }
    (*at)++;
}

static inline void mp_text_scalar(const char **at, struct buf *out)
{
    uint8_t word[9], *end = word;
    char *stop;
    size_t n = strcspn(*at, " ,:]}\n");
    bool is_float = memchr(*at, '.', n) || memchr(*at, 'e', n);
    if (strncmp(*at, "null", 4) == 0)
        end = mpw_nil(word), stop = (char *)*at + 4;
    else if (strncmp(*at, "true", 4) == 0)
        end = mpw_bool(word, true), stop = (char *)*at + 4;
    else if (strncmp(*at, "false", 5) == 0)
        end = mpw_bool(word, false), stop = (char *)*at + 5;
    else if (is_float)
        end = mpw_double(word, strtod(*at, &stop));
    else if (**at == '-')
        end = mpw_int(word, strtoll(*at, &stop, 10));
    else
        end = mpw_uint(word, strtoull(*at, &stop, 10));
    CHECK(stop > *at);
    *at = stop;
    buf_put(out, word, (size_t)(end - word));
}

static inline void mp_text_item(const char **at, struct buf *out)
{
    mp_text_blank(at);
    if (**at == '<') {
        (*at)++;
        mp_text_bytes(at, out);
    } else if (**at == '\'') {
        size_t n = strcspn(++*at, "'");
        buf_reserve(out, n + 9);
        out->n = (size_t)(mpw_str(out->p + out->n, slice_of(*at, n)) - out->p);
        *at += n + 1;
    } else if (**at == '{' || **at == '[') {
        bool map = *(*at)++ == '{';
        struct buf inner = {0};
        uint32_t n = 0;
        for (mp_text_blank(at); **at != (map ? '}' : ']'); mp_text_blank(at), n++) mp_text_item(at, &inner);
        (*at)++;
        buf_reserve(out, 9);
        out->n = (size_t)((map ? mpw_map(out->p + out->n, n / 2) : mpw_array(out->p + out->n, n)) - out->p);
        buf_put_slice(out, buf_slice(&inner));
        buf_free(&inner);
    } else {
        mp_text_scalar(at, out);
    }
}

/* All items of the text, one behind the other. */
static inline struct slice mp_text(const char *text)
{
    struct buf out = {0};
    for (mp_text_blank(&text); *text; mp_text_blank(&text)) mp_text_item(&text, &out);
    return mp_text_keep(&out);
}

static inline struct slice hex_bytes(const char *hex)
{
    struct buf out = {0};
    for (; hex[0] && hex[1] && hex[0] != ' ' && hex[0] != '\n'; hex += 2) {
        char two[3] = {hex[0], hex[1], 0};
        buf_put_u8(&out, (uint8_t)strtoul(two, NULL, 16));
    }
    return mp_text_keep(&out);
}

#endif
