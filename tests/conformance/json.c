#include "tests/conformance/json.h"

#include <stdlib.h>

struct json_cursor {
    struct arena *a;
    const uint8_t *p, *end;
};

static struct json *read_value(struct json_cursor *c, uint32_t depth);

static void blank(struct json_cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n' || *c->p == '\r')) c->p++;
}

static bool take(struct json_cursor *c, const char *word)
{
    size_t n = strlen(word);
    blank(c);
    if ((size_t)(c->end - c->p) < n || memcmp(c->p, word, n) != 0) return false;
    c->p += n;
    return true;
}

static uint32_t hex4(struct json_cursor *c)
{
    char digits[5] = {0};
    if (c->end - c->p < 4) return 0;
    memcpy(digits, c->p, 4);
    c->p += 4;
    return (uint32_t)strtoul(digits, NULL, 16);
}

static uint32_t put_rune(uint8_t *out, uint32_t r)
{
    if (r < 0x80) return out[0] = (uint8_t)r, 1;
    uint32_t n = r < 0x800 ? 2 : r < 0x10000 ? 3 : 4;
    for (uint32_t i = n - 1; i; i--, r >>= 6) out[i] = (uint8_t)(0x80 | (r & 0x3f));
    out[0] = (uint8_t)(r | (0xf0u << (4 - n)));
    return n;
}

static uint32_t escape(struct json_cursor *c, uint8_t *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    uint8_t e = *c->p++;
    const char *simple = strchr(from, e);
    if (e != 'u') return out[0] = (uint8_t)(simple ? to[simple - from] : '?'), 1;
    uint32_t r = hex4(c);
    if (r >= 0xd800 && r < 0xdc00 && c->end - c->p >= 6 && c->p[0] == '\\' && c->p[1] == 'u') {
        c->p += 2;
        r = 0x10000 + ((r - 0xd800) << 10) + (hex4(c) - 0xdc00);
    }
    return put_rune(out, r);
}

static bool read_text(struct json_cursor *c, struct slice *out)
{
    if (!take(c, "\"")) return false;
    uint8_t *p = arena_alloc(c->a, (size_t)(c->end - c->p) + 1);
    uint32_t n = 0;
    while (c->p < c->end && *c->p != '"') {
        uint8_t b = *c->p++;
        if (b != '\\')
            p[n++] = b;
        else if (c->p < c->end)
            n += escape(c, p + n);
    }
    *out = slice_of(p, n);
    return take(c, "\"");
}

static bool read_members(struct json_cursor *c, struct json *j, bool map, uint32_t depth)
{
    const char *close = map ? "}" : "]";
    uint32_t room = 0;
    if (take(c, close)) return true;
    do {
        if (j->count == room) {
            room = room ? room * 2 : 8;
            struct json **item = ARENA_ARRAY(c->a, struct json *, room);
            struct slice *key = ARENA_ARRAY(c->a, struct slice, room);
            if (j->count) memcpy(item, j->item, j->count * sizeof *item);
            if (j->count) memcpy(key, j->key, j->count * sizeof *key);
            j->item = item;
            j->key = key;
        }
        if (map && (!read_text(c, &j->key[j->count]) || !take(c, ":"))) return false;
        if (!(j->item[j->count] = read_value(c, depth + 1))) return false;
        j->count++;
    } while (take(c, ","));
    return take(c, close);
}

static struct json *read_value(struct json_cursor *c, uint32_t depth)
{
    struct json *j = ARENA_NEW(c->a, struct json);
    if (depth > 64) return NULL;
    blank(c);
    if (take(c, "null")) return j;
    if (take(c, "true") || take(c, "false")) {
        j->kind = JSON_BOOL;
        j->b = c->p[-4] == 't' && c->p[-1] == 'e';
        return j;
    }
    if (c->p < c->end && *c->p == '"') {
        j->kind = JSON_TEXT;
        return read_text(c, &j->text) ? j : NULL;
    }
    bool map = take(c, "{");
    if (map || take(c, "[")) {
        j->kind = map ? JSON_MAP : JSON_LIST;
        return read_members(c, j, map, depth) ? j : NULL;
    }
    const uint8_t *from = c->p;
    while (c->p < c->end && *c->p && strchr("+-.0123456789eE", *c->p)) c->p++;
    j->kind = JSON_NUMBER;
    j->text = slice_of(from, (size_t)(c->p - from));
    j->d = strtod(arena_strndup(c->a, from, j->text.n), NULL);
    return j->text.n ? j : NULL;
}

struct json *json_read(struct arena *a, struct slice text)
{
    struct json_cursor c = {a, text.p, text.p + text.n};
    struct json *j = read_value(&c, 0);
    blank(&c);
    return c.p == c.end ? j : NULL;
}

const struct json *json_get(const struct json *map, const char *key)
{
    for (uint32_t i = 0; map && map->kind == JSON_MAP && i < map->count; i++)
        if (slice_is(map->key[i], key)) return map->item[i];
    return NULL;
}
