/* admin_params.c - reading the parameters of a request: positional or named, str or bin. */
#include "io/admin.h"

#include <stdlib.h>

bool object_text(const msgpack_object *o, struct slice *out)
{
    if (!o || (o->type != MSGPACK_OBJECT_STR && o->type != MSGPACK_OBJECT_BIN)) return false;
    *out = slice_of(o->via.str.ptr, o->via.str.size); /* str and bin have the same shape */
    return true;
}

const msgpack_object *map_get(const msgpack_object *map, const char *name)
{
    struct slice key;
    if (!map || map->type != MSGPACK_OBJECT_MAP) return NULL;
    for (uint32_t i = 0; i < map->via.map.size; i++)
        if (object_text(&map->via.map.ptr[i].key, &key) && slice_is(key, name))
            return &map->via.map.ptr[i].val;
    return NULL;
}

const msgpack_object *param(const struct request *r, uint32_t index, const char *name)
{
    const msgpack_object_array *list = &r->params->via.array;
    if (list->size >= 1 && list->ptr[0].type == MSGPACK_OBJECT_MAP) {
        const msgpack_object *named = map_get(&list->ptr[0], name);
        if (named || index == 0) return named;
    }
    return index < list->size ? &list->ptr[index] : NULL;
}

bool param_text(const struct request *r, uint32_t index, const char *name, struct slice *out)
{
    return object_text(param(r, index, name), out);
}

bool param_uint(const struct request *r, uint32_t index, const char *name, uint64_t *out)
{
    const msgpack_object *o = param(r, index, name);
    if (!o || o->type != MSGPACK_OBJECT_POSITIVE_INTEGER) return false;
    *out = o->via.u64;
    return true;
}

bool object_second(const msgpack_object *o, uint32_t *out)
{
    struct slice text;
    char copy[64];
    if (o && o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 <= UINT32_MAX)
        return *out = (uint32_t)o->via.u64, true;
    if (!object_text(o, &text) || text.n >= sizeof copy) return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = 0;
    return clock_parse(copy, out);
}

/* "1d12h", "90s", "2w"; a plain number is seconds. */
bool object_duration(const msgpack_object *o, uint32_t *out)
{
    static const struct {
        char unit;
        uint32_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    struct slice text;
    if (o && o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 <= UINT32_MAX)
        return *out = (uint32_t)o->via.u64, true;
    if (!object_text(o, &text) || text.n == 0) return false;
    uint64_t total = 0, number = 0;
    bool digits = false;
    for (uint32_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c >= '0' && c <= '9' && number < 100000000) {
            number = number * 10 + (c - '0');
            digits = true;
            continue;
        }
        uint32_t seconds = 0;
        for (size_t u = 0; u < sizeof units / sizeof units[0]; u++)
            if (c == units[u].unit) seconds = units[u].seconds;
        if (!digits || !seconds) return false;
        total += number * seconds;
        number = 0;
        digits = false;
    }
    total += digits ? number : 0;
    *out = (uint32_t)total;
    return total <= UINT32_MAX;
}
