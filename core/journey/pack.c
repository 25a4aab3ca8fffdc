#include "core/journey/pack.h"

#include <stdio.h>

enum { PACK_FIRST = 512 };

int pack_write(void *data, const char *p, size_t n)
{
    struct pack *b = data;
    if (b->cap - b->n < n && !b->full) {
        size_t cap = b->cap ? b->cap * 2 : PACK_FIRST;
        while (cap - b->n < n) cap *= 2;
        uint8_t *more = arena_alloc(b->arena, cap);
        b->full = more == NULL;
        if (more && b->n) memcpy(more, b->p, b->n);
        if (more) b->p = more, b->cap = cap;
    }
    if (b->full) return -1;
    if (n) memcpy(b->p + b->n, p, n);
    b->n += n;
    return 0;
}

void pack_text(msgpack_packer *pk, struct slice s)
{
    msgpack_pack_str(pk, s.n);
    msgpack_pack_str_body(pk, s.p, s.n);
}

static void pack_seconds(msgpack_packer *pk, struct value v)
{
    char text[40];
    if (v.kind == V_TIME) {
        pack_text(pk, slice_of(text, iso8601_print(v.i * 1000 + (int32_t)v.n / 1000000, text)));
    } else {
        int n = snprintf(text, sizeof text, "%llds", (long long)v.i);
        pack_text(pk, slice_of(text, (size_t)n));
    }
}

void pack_value(msgpack_packer *pk, struct value v)
{
    switch ((enum value_kind)v.kind) {
    case V_BOOL: v.b ? msgpack_pack_true(pk) : msgpack_pack_false(pk); break;
    case V_INT: msgpack_pack_int64(pk, v.i); break;
    case V_UINT: msgpack_pack_uint64(pk, v.u); break;
    case V_DOUBLE: msgpack_pack_double(pk, v.d); break;
    case V_STRING: pack_text(pk, value_text(v)); break;
    case V_TIME:
    case V_DURATION: pack_seconds(pk, v); break;
    case V_LIST:
        msgpack_pack_array(pk, v.n);
        for (uint32_t i = 0; i < v.n; i++) pack_value(pk, v.list[i]);
        break;
    case V_MAP:
        msgpack_pack_map(pk, v.n);
        for (uint32_t i = 0; i < v.n; i++) pack_value(pk, v.map[i].key), pack_value(pk, v.map[i].value);
        break;
    case V_RAW: pk->callback(pk->data, (const char *)v.s, v.n); break;
    default: msgpack_pack_nil(pk);
    }
}

struct value value_packed(struct value v, struct arena *scratch)
{
    if (v.kind != V_LIST && v.kind != V_MAP) return v;
    struct pack out = {.arena = scratch};
    msgpack_packer pk;
    msgpack_packer_init(&pk, &out, pack_write);
    pack_value(&pk, v);
    if (out.full) return (struct value){.kind = V_ERROR};
    return (struct value){.kind = V_RAW, .n = (uint32_t)out.n, .s = out.p};
}

/* ---- kept events ------------------------------------------------------------------------ */

static bool kept_next(struct mp *m, struct kept_event *out, struct slice *whole)
{
    while (mp_nil(m)) {
    } /* padding */
    if (mp_left(m) == 0) return false;
    *whole = mp_item(m);
    struct mp in = mp_of(*whole);
    if (m->err || mp_array(&in) != 4) return false;
    out->name = mp_str(&in);
    out->type = (uint16_t)mp_uint(&in);
    out->at = (uint32_t)mp_uint(&in);
    out->props = mp_item(&in);
    return in.err == MP_OK;
}

bool kept_find(struct slice kept, struct slice name, struct kept_event *out)
{
    struct mp m = mp_of(kept);
    struct slice whole;
    while (kept_next(&m, out, &whole))
        if (slice_eq(out->name, name)) return true;
    return false;
}

struct value kept_property(const struct kept_event *k, const struct schema *schema, uint16_t index)
{
    const struct schema_event *type = schema_event(schema, k->type);
    if (!type || index >= type->prop_count) return value_none();
    struct mp m = mp_of(k->props);
    for (uint32_t left = mp_map(&m); left > 0 && m.err == MP_OK; left--) {
        if (mp_uint(&m) != index) {
            mp_skip(&m);
            continue;
        }
        struct value v = value_read(&m), fitted;
        return value_fit(v, (enum declared_type)type->props[index].type, false, &fitted) ? fitted
                                                                                         : value_none();
    }
    return value_none();
}

static void pack_props(msgpack_packer *pk, const struct event *e, const struct schema *schema)
{
    const struct schema_event *type = e && e->props ? schema_event(schema, e->type) : NULL;
    uint32_t count = type ? type->prop_count : 0, present = 0;
    for (uint32_t i = 0; i < count; i++) present += e->props[i].kind > V_NULL;
    msgpack_pack_map(pk, present);
    for (uint32_t i = 0; i < count; i++) {
        if (e->props[i].kind <= V_NULL) continue;
        msgpack_pack_uint32(pk, i);
        pack_value(pk, e->props[i]);
    }
}

struct slice kept_with(struct slice kept, struct slice name, uint16_t type, uint32_t at,
                       const struct event *e, const struct schema *schema, struct arena *scratch)
{
    struct pack out = {.arena = scratch};
    struct mp m = mp_of(kept);
    struct kept_event old;
    struct slice whole;
    while (kept_next(&m, &old, &whole))
        if (!slice_eq(old.name, name)) pack_write(&out, (const char *)whole.p, whole.n);
    msgpack_packer pk;
    msgpack_packer_init(&pk, &out, pack_write);
    msgpack_pack_array(&pk, 4);
    pack_text(&pk, name);
    msgpack_pack_uint16(&pk, type);
    msgpack_pack_uint32(&pk, at);
    pack_props(&pk, e, schema);
    return out.full ? (struct slice){0} : pack_slice(&out);
}
