/* tree.h - the syntax tree of one text. Operators are calls by their CEL names: "_+_", "!_", "_?_:_", "_[_]", "@in".
 * Owner: the arena given to expr_parse. Fails: with errors in the list (all of the text's); a tree comes out anyway,
 * with TREE_BAD where something was wrong. */
#ifndef HG_EXPR_TREE_H
#define HG_EXPR_TREE_H

#include "core/expr/expr.h"

enum tree_kind { TREE_BAD, TREE_VALUE, TREE_NAME, TREE_SELECT, TREE_CALL, TREE_LIST, TREE_MAP };

struct tree {
    uint8_t kind;
    uint32_t at, length; /* the part of the text that an error here points to */
    struct slice name;   /* NAME, SELECT: the field, CALL: the function */
    struct value value;  /* VALUE */
    struct tree *target; /* SELECT; CALL: the receiver or NULL */
    struct tree **args;  /* CALL, LIST; MAP: key, value, key, value ... */
    uint32_t count;
};

struct tree *expr_parse(struct arena *a, struct slice text, struct expr_errors *errors);
/* Appends; reasons are formatted into the arena. */
void expr_error_add(struct arena *a, struct expr_errors *errors, struct expr_error e);

#endif
