#include "core/expr/type.h"

static const struct type basics[TYPE_KINDS] = {
#define BASIC(k) [k] = {.kind = k}
    BASIC(TYPE_ERROR),
    BASIC(TYPE_DYN),
    BASIC(TYPE_NULL),
    BASIC(TYPE_BOOL),
    BASIC(TYPE_INT),
    BASIC(TYPE_UINT),
    BASIC(TYPE_DOUBLE),
    BASIC(TYPE_STRING),
    BASIC(TYPE_TIME),
    BASIC(TYPE_DATE),
    BASIC(TYPE_DURATION),
    BASIC(TYPE_WINDOW),
    [TYPE_LIST] = {.kind = TYPE_LIST, .item = &basics[TYPE_DYN]},
    [TYPE_MAP] = {.kind = TYPE_MAP, .key = &basics[TYPE_DYN], .item = &basics[TYPE_DYN]},
};
static const struct type strings = {.kind = TYPE_LIST, .item = &basics[TYPE_STRING]};

const struct type *type_basic(enum type_kind kind) { return &basics[kind]; }

const struct type *type_list(struct arena *a, const struct type *item)
{
    struct type *t = ARENA_NEW(a, struct type);
    *t = (struct type){.kind = TYPE_LIST, .item = item};
    return t;
}

const struct type *type_map(struct arena *a, const struct type *key, const struct type *item)
{
    struct type *t = ARENA_NEW(a, struct type);
    *t = (struct type){.kind = TYPE_MAP, .key = key, .item = item};
    return t;
}

const struct type *type_inside(struct arena *a, const struct type *declared)
{
    struct type *t = ARENA_NEW(a, struct type);
    *t = (struct type){.kind = TYPE_DYN, .declared = declared};
    return t;
}

const struct type *type_seen(const struct type *t) { return t->declared ? t->declared : t; }

bool type_same(const struct type *a, const struct type *b)
{
    if (a == b) return true;
    if (a->kind != b->kind || a->declared != b->declared || a->fields != b->fields) return false;
    if (a->kind == TYPE_MAP && !type_same(a->key, b->key)) return false;
    return a->kind == TYPE_LIST || a->kind == TYPE_MAP ? type_same(a->item, b->item) : true;
}

bool type_is_open(const struct type *t) { return t->kind == TYPE_DYN || t->kind == TYPE_ERROR; }

bool type_is_number(const struct type *t) { return t->kind >= TYPE_INT && t->kind <= TYPE_DOUBLE; }

bool type_agrees(const struct type *a, const struct type *b)
{
    bool inside = a->declared || b->declared;
    a = type_seen(a);
    b = type_seen(b);
    if (inside && type_is_number(a) && type_is_number(b)) return true; /* whole or not, as it comes */
    if (type_is_open(a) || type_is_open(b) || a == b) return true;
    if (a->kind != b->kind) return false;
    if (a->kind == TYPE_MAP && !type_agrees(a->key, b->key)) return false;
    return a->kind == TYPE_LIST || a->kind == TYPE_MAP ? type_agrees(a->item, b->item) : true;
}

const char *type_text(struct arena *a, const struct type *t)
{
    static const char *const names[TYPE_KINDS] = {
        [TYPE_ERROR] = "dyn",     [TYPE_DYN] = "dyn",           [TYPE_NULL] = "null",
        [TYPE_BOOL] = "bool",     [TYPE_INT] = "int",           [TYPE_UINT] = "uint",
        [TYPE_DOUBLE] = "double", [TYPE_STRING] = "string",     [TYPE_TIME] = "timestamp",
        [TYPE_DATE] = "date",     [TYPE_DURATION] = "duration", [TYPE_WINDOW] = "window"};
    t = type_seen(t);
    if (t->fields) return "object";
    if (t->kind == TYPE_LIST) return arena_printf(a, "list(%s)", type_text(a, t->item));
    if (t->kind == TYPE_MAP)
        return arena_printf(a, "map(%s, %s)", type_text(a, t->key), type_text(a, t->item));
    return names[t->kind];
}

const struct type *type_declared(enum declared_type declared)
{
    switch (declared) {
    case T_NUMBER: return &basics[TYPE_DOUBLE];
    case T_STRING: return &basics[TYPE_STRING];
    case T_BOOL: return &basics[TYPE_BOOL];
    case T_TIME: return &basics[TYPE_TIME];
    case T_DATE: return &basics[TYPE_DATE];
    case T_STRINGS: return &strings;
    case T_RAW: break;
    }
    return &basics[TYPE_DYN];
}
