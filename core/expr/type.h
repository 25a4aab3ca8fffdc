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

struct type_field;
struct type {
    uint8_t kind;
    const struct type *key, *item;   /* map; list and map */
    const struct type *declared;     /* dyn: what the definitions say it is, NULL: nothing. It runs as dyn */
    const struct type_field *fields; /* map: all that it has; NULL: any */
    uint32_t field_count;
};
struct type_field {
    struct slice name;
    const struct type *type;
};

const struct type *type_basic(enum type_kind kind);
const struct type *type_list(struct arena *a, const struct type *item);
const struct type *type_map(struct arena *a, const struct type *key, const struct type *item);
/* A dyn of which the definitions say what it is: the inside of a message is not looked at before it is asked for. */
const struct type *type_inside(struct arena *a, const struct type *declared);
/* What an author may take the value for: what is declared, where that is known. */
const struct type *type_seen(const struct type *t);
bool type_same(const struct type *a, const struct type *b);
/* By what is declared. dyn and ERROR agree with everything, also inside lists and maps. */
bool type_agrees(const struct type *a, const struct type *b);
bool type_is_number(const struct type *t); /* int, uint, double */
bool type_is_open(const struct type *t);   /* dyn or ERROR */
const char *type_text(struct arena *a, const struct type *t);
/* What a declared attribute or property yields. */
const struct type *type_declared(enum declared_type declared);

#endif
