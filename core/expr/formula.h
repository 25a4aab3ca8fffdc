/* formula.h - the common form of a segment: comparisons of history with constants and memberships, joined by &&, || and !.
 * Such a program is also kept as a short row of terms, and program_true decides it from them: 240 instructions a
 * segment instead of the stack machine's 730 (definitions shop20).
 * Owner: the pool's arena, as the program. Memory: none at run time. Value and next flip are exactly the machine's
 * (test_expr_random.c). */
#ifndef HG_EXPR_FORMULA_H
#define HG_EXPR_FORMULA_H

#include "core/expr/node.h"

enum { FORMULA_TERMS_MAX = 16 };

enum term_kind {
    TERM_COUNT,   /* lifetime count of `type` >= least */
    TERM_WITHIN,  /* count of `type` in the last `window_s` seconds >= least */
    TERM_AGO,     /* `least` seconds or more since the last `type` */
    TERM_COUNTS,  /* lifetime count of `type` OP that of `other` */
    TERM_SEGMENT, /* member of `type` */
    TERM_NUMBER,  /* property `other` of scope `type` OP number; not a number: ask the machine */
    TERM_NOT,
    TERM_AND,
    TERM_OR
};
struct term {
    uint8_t kind, op; /* op: COUNTS, NUMBER, OP_EQ .. OP_GE */
    bool negated;     /* COUNT, WITHIN, AGO */
    uint16_t type, other;
    union {
        struct {
            uint32_t least, window_s;
        };
        double number;
    };
    const struct value *name; /* NUMBER: of the property */
};
struct formula { /* postfix */
    uint32_t count;
    struct term terms[];
};

const struct formula *formula_make(const struct node *root, struct arena *a); /* NULL: another form */
/* False: the history at hand is not of the plain sort (days folded, entries ahead of now), or a property is not there;
 * ask the machine. */
bool formula_true(const struct formula *f, struct expr_context *ctx, bool *is);

#endif
