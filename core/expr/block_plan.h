/* block_plan.h - what a plan is made of, for block.c and block_plan.c only. */
#ifndef HG_EXPR_BLOCK_PLAN_H
#define HG_EXPR_BLOCK_PLAN_H

#include "core/expr/block.h"

enum plan_kind {
    PLAN_CONST,   /* value */
    PLAN_MEMBER,  /* id: segment */
    PLAN_PRESENT, /* id: attribute */
    PLAN_FLAG,    /* id: a bool attribute itself */
    PLAN_COMPARE, /* id: attribute, how, bound: what it is compared with, the same for every row */
    PLAN_TABLE,   /* id: the only attribute that `program` reads; its outcome is known per code */
    PLAN_ROWS,    /* program */
    PLAN_ALL,     /* children, the cheap ones first */
    PLAN_ANY,
    PLAN_NOT,
    PLAN_CHOOSE
};

struct plan_node {
    uint8_t kind, how;
    bool value;
    uint16_t id;
    uint32_t slot; /* of the run's tables (TABLE) or bounds (COMPARE) */
    uint32_t cost, count;
    const struct program *program, *bound; /* COMPARE and TABLE too: for columns of another form */
    const struct plan_node **child;
};

struct block_plan {
    const struct plan_node *root;
    uint32_t tables, bounds;
    const struct plan_node **table_nodes, **bound_nodes; /* by slot */
};

#endif
