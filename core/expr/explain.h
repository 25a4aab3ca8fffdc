/* explain.h - an expression taken apart for people: which conditions it is made of, and where each stands in the text.
 * && || ! ?: and comparisons are opened; everything else is one part, whose value says enough. Each part is an expression
 * of its own: whoever explains compiles and runs it, so the machine that runs events knows nothing of this.
 * Owner: the caller's arena. Fails: 0 parts for a text that does not parse. Cost: a parse; for operators only. */
#ifndef HG_EXPR_EXPLAIN_H
#define HG_EXPR_EXPLAIN_H

#include "core/expr/expr.h"

enum part_kind {
    PART_ALL, /* a && b && c: the parts below it, one level deeper */
    PART_ANY, /* a || b */
    PART_NOT,
    PART_CHOICE,  /* a ? b : c */
    PART_COMPARE, /* a < b: what is no constant stands below it */
    PART_VALUE,
};
struct expr_part {
    uint8_t kind, depth; /* the whole expression has depth 0, then its parts in the order of the text */
    uint32_t at, length; /* bytes into the text */
};
enum { EXPLAIN_PARTS_MAX = 256, EXPLAIN_DEPTH_MAX = 32 };
/* Beyond EXPLAIN_PARTS_MAX or EXPLAIN_DEPTH_MAX parts stay closed. */
uint32_t expr_explain(struct slice text, struct arena *a, struct expr_part **out);

#endif
