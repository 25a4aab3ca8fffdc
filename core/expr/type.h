/* type.h - what an expression is known to yield before it runs. `dyn` is anything: found out at run time.
 * Owner: basic types are static, lists and maps live in the pool's arena. Immutable. */
#ifndef HG_EXPR_TYPE_H
#define HG_EXPR_TYPE_H

#include "core/model/value.h"

enum type_kind {
    TYPE_ERROR, /* already reported: agrees with everything */
    TYPE_DYN,
    TYPE_NULL,
    TYPE_BOOL,
    TYPE_INT,
    TYPE_UINT,
    TYPE_DOUBLE,
    TYPE_STRING,
    TYPE_TIME,
    TYPE_DATE, /* a V_TIME at midnight UTC of a civil day; becomes the person's midnight next to a timestamp */
    TYPE_DURATION,
    TYPE_LIST,
    TYPE_MAP,
    TYPE_WINDOW, /* since(), calendar(): only as an argument of count and its like */
    TYPE_KINDS
};

struct type {
    uint8_t kind;
    const struct type *key, *item; /* map; list and map */
};

const struct type *type_basic(enum type_kind kind);
const struct type *type_list(struct arena *a, const struct type *item);
const struct type *type_map(struct arena *a, const struct type *key, const struct type *item);
bool type_same(const struct type *a, const struct type *b);
/* dyn and ERROR agree with everything, also inside lists and maps. */
bool type_agrees(const struct type *a, const struct type *b);
bool type_is_number(const struct type *t); /* int, uint, double */
bool type_is_open(const struct type *t);   /* dyn or ERROR */
const char *type_text(struct arena *a, const struct type *t);
/* What a declared attribute or property yields. */
const struct type *type_declared(enum declared_type declared);

#endif
