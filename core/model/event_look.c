/* event_look.c - looking into a parsed event by name. */
#include "core/model/event_parse.h"

/* The value of a key as a slice of its bytes; false if the map has none. */
static bool map_find(struct slice map, struct slice name, struct slice *out)
{
    struct mp m = mp_of(map);
    if (mp_peek(&m) != MP_MAP) return false;
    for (uint32_t n = mp_map(&m); n > 0 && !m.err; n--) {
        bool found = slice_eq(mp_str(&m), name);
        struct slice item = mp_item(&m);
        if (!found || m.err) continue;
        *out = item;
        return true;
    }
    return false;
}

bool event_context_at(const struct event *e, struct slice path, struct slice *out)
{
    *out = e->context;
    while (out->n) {
        const uint8_t *dot = memchr(path.p, '.', path.n);
        struct slice name = slice_of(path.p, dot ? (size_t)(dot - path.p) : path.n);
        if (!map_find(*out, name, out)) return false;
        if (!dot) return true;
        path = slice_of(dot + 1, path.n - name.n - 1);
    }
    return false;
}

static struct value value_at(struct slice item)
{
    struct mp m = mp_of(item);
    struct value v = value_read(&m);
    if (v.kind == V_ERROR) return value_none();
    if (v.kind == V_STRING && !utf8_valid(value_text(v))) return value_none();
    if (v.kind == V_RAW && !texts_are_utf8(value_text(v))) return value_none();
    return v;
}

struct value event_context(const struct event *e, struct slice path)
{
    struct slice item;
    return path.n && event_context_at(e, path, &item) ? value_at(item) : value_none();
}

struct value event_property(const struct event *e, struct slice name)
{
    struct slice item;
    return map_find(e->properties, name, &item) ? value_at(item) : value_none();
}
