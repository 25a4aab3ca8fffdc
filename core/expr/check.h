/* check.h - the checker: syntax tree -> typed nodes. check.c knows CEL, names.c what names mean in hourglass.
 * Fails: a mistake is reported once, becomes a node of TYPE_ERROR that agrees with everything, and checking goes on. */
#ifndef HG_EXPR_CHECK_H
#define HG_EXPR_CHECK_H

#include "core/expr/function.h"
#include "core/expr/regex.h"
#include "core/expr/tree.h"

enum { MACRO_NESTING = 2, ASKED_MAX = 16 };

struct checker {
    struct expr_pool *pool;
    const struct expr_scope *scope;
    struct expr_errors *errors;
    uint16_t event; /* type of `e` here */
    bool any_event;
    bool in_entry; /* `e` is an entry of a person's history */
    uint32_t local_count, macro_depth;
    struct {
        struct slice name;
        const struct type *type;
        uint32_t collection; /* whose items it names: id + 1; 0: none's */
    } locals[LOCALS_MAX];
    uint32_t asked_count;
    const struct tree
        *asked[ASKED_MAX]; /* fields that has() has found where we are; more only cost a warning */
};

const struct node *check(struct checker *c, const struct tree *t);
const struct node *check_fail(struct checker *c, const struct tree *at, const char *fix, const char *format,
                              ...) __attribute__((format(printf, 4, 5)));
void check_warn(struct checker *c, const struct tree *at, const char *fix, const char *reason);
/* "undeclared reference to 'x'", with the nearest known name. */
const struct node *check_undeclared(struct checker *c, const struct tree *at, enum expr_space space,
                                    uint32_t within, struct slice name);
const struct node *check_node(struct checker *c, struct node like, const struct type *type,
                              const struct node *const *child, uint32_t count);
static inline const struct node *check_leaf(struct checker *c, struct node like, const struct type *type)
{
    return check_node(c, like, type, NULL, 0);
}
const struct node *check_constant(struct checker *c, struct value v);
const char *part_never(const struct node *n, struct value number, struct arena *a);

/* guard.c: what is known when t is `truth`, until asked_count is put back; are all fields below t known to be there? */
void guard_ask(struct checker *c, const struct tree *t, bool truth);
bool guard_covers(const struct checker *c, const struct tree *t);

/* names.c: NULL when the name means nothing special here. `probe`: for has(). */
const struct node *check_name(struct checker *c, const struct tree *t);
const struct node *check_field(struct checker *c, const struct tree *t, bool probe);
const struct node *check_special(struct checker *c, const struct tree *t);
/* The collection whose items a macro's variable names, id + 1: of `cart` and cart.filter(...); 0: none. */
uint32_t check_collection(struct checker *c, const struct tree *t);
const char *check_nearest_special(struct slice name);
const char *check_special_name(uint32_t i); /* NULL: that was all */

#endif
