/* node.h - the DAG of all expressions of a set: equal sub-expressions are one node.
 * Owner: the pool; nodes live in its arena and never change. The checker makes them bottom up, already typed;
 * what is constant is computed on the way.
 * Cost: one look-up in a hash table per node, compile time only. */
#ifndef HG_EXPR_NODE_H
#define HG_EXPR_NODE_H

#include "core/expr/expr.h"
#include "core/expr/type.h"

/* Also the instruction set: what a node says and what the machine does have one name. Instructions that only code.c
 * makes stand at the end. a, b, c are the node's small numbers. */
enum op {
    OP_CONST, /* value */
    OP_FAIL,  /* value: text of the error */
    /* loads; SMALL_PROBE in a: absent is V_NONE for `has`, not an error */
    OP_ATTRIBUTE, /* b: id */
    OP_PROFILE,   /* b: enum profile_field */
    OP_PROPERTY,  /* b: scope, c: index; value: name */
    OP_CELL,      /* b: property of the history entry at hand, c: declared type */
    OP_CONTEXT,   /* b: scope; value: path */
    OP_EVENT_AT,  /* b: scope */
    OP_CELL_AT,   /* time of the history entry at hand */
    OP_VARIABLE,  /* b: id (plain CEL) */
    OP_LOCAL,     /* b: level of a macro's variable */
    OP_NOW,
    OP_SEGMENT,
    OP_IN_LIST,
    OP_REACHABLE,
    OP_IN_JOURNEY, /* b: id */
    OP_ENTERED,
    OP_LEFT,    /* b: segment */
    OP_CONSENT, /* b: channel; value: topic */
    OP_SEND,    /* a: enum send_state, b: step */
    /* a person's history, b: event type */
    OP_COUNT,
    OP_FIRST,
    OP_LAST,
    OP_AGO, /* lifetime */
    OP_DAYS_IN_ROW,
    OP_TALLY,    /* a: enum tally_what | TALLY_*, b; children: [window] [value] [where] [operand] */
    OP_SEQUENCE, /* children: window, then steps */
    OP_STEP,     /* b: type; child: [where] */
    OP_SLIDING,  /* child: duration */
    OP_SINCE,    /* child: time; a: 1 when "never" means the beginning of time */
    OP_CALENDAR, /* a: enum calendar_unit */
    OP_AGE,      /* child: date; a: 1 when it is a civil date */
    /* CEL */
    OP_HAS,    /* child: a load with SMALL_PROBE, or OP_SELECT with it */
    OP_SELECT, /* child; value: field */
    OP_INDEX,
    OP_IN,
    OP_LIST,
    OP_MAP,
    OP_NOT,
    OP_NEGATE,
    OP_ADD,
    OP_SUBTRACT,
    OP_MULTIPLY,
    OP_DIVIDE,
    OP_MODULO, /* a: 1: an int next to a double is promoted */
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_AND,
    OP_OR,
    OP_CHOOSE,
    OP_TO_DOUBLE,
    OP_LOCAL_DATE, /* a civil date becomes the person's midnight */
    OP_CALL,       /* b: row of the function table, SMALL_DYNAMIC in a: overload found at run time */
    OP_MATCHES,    /* child: text; value: pattern */
    OP_ACCESS, /* child: [time]; a: enum time_part, b: 1: UTC whatever the person's zone; value: zone name */
    OP_LOOP,   /* a: enum loop, b: level; children: list, body [, second body] */
    OP_NODES,
    /* instructions only */
    OP_RETURN = OP_NODES,
    OP_JUMP,       /* c: to */
    OP_JUMP_FALSE, /* c: to; when the top is false for ever */
    OP_JUMP_TRUE,
    OP_BRANCH, /* c: else; pops nothing; an error goes to the OP_PICK behind */
    OP_PICK,   /* [condition, value] -> value */
    OP_COUNT_OPS
};
enum { SMALL_PROBE = 1, SMALL_DYNAMIC = 2 };

enum tally_what {
    TALLY_COUNT,
    TALLY_SUM,
    TALLY_AVG,
    TALLY_MIN,
    TALLY_MAX,
    TALLY_DISTINCT,
    TALLY_WHAT = 7,
    TALLY_WINDOW = 8,
    TALLY_VALUE = 16,
    TALLY_WHERE = 32
};
enum calendar_unit { CALENDAR_DAY, CALENDAR_WEEK, CALENDAR_MONTH };
enum loop { LOOP_ALL, LOOP_EXISTS, LOOP_ONE, LOOP_MAP, LOOP_FILTER };
enum time_part {
    PART_YEAR,
    PART_MONTH,
    PART_DATE,
    PART_DAY_OF_MONTH,
    PART_DAY_OF_WEEK,
    PART_DAY_OF_YEAR,
    PART_HOURS,
    PART_MINUTES,
    PART_SECONDS,
    PART_MILLISECONDS
};

struct node {
    uint64_t hash;
    uint8_t op, a;
    uint16_t b;
    uint32_t c;
    bool timed;    /* its value can change without an event */
    bool fallible; /* it may end in an error */
    bool bound;    /* depends on a macro's variable or a history entry: not a feature of its own */
    uint16_t count;
    const struct type *type;
    struct value value;
    const struct node *const *child;
    struct node *next;
    const struct program
        *program; /* once it was the root of an expression: equal expressions are one program */
};

struct expr_pool {
    struct arena *arena;
    struct node **buckets;
    uint32_t mask, used;
};

/* The node with this content; `like` holds op, a, b, c, type, value; flags are derived. Children are copied. */
const struct node *node_make(struct expr_pool *pool, struct node like, const struct node *const *child,
                             uint32_t count);

/* DAG -> program; NULL with a reason when it is too deep. */
const struct program *program_make(struct expr_pool *pool, const struct node *root, const char **reason);

#endif
