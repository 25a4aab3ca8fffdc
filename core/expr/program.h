/* program.h - the compact form of one expression, and the machine that runs it.
 * A program is a flat array of 8-byte instructions; sub-programs (a `where`, the body of a macro) stand inside it and
 * end with OP_RETURN. The stack holds slots: a value, the earliest second it can change with no event, and its slope.
 *
 * Facts, for each slot: 1. at every second t with now < t < change the value is the same as now, or, where the slope is
 *    not 0, value + slope * (t - now) seconds. 2. only times and durations have a slope.
 *    3. `change` is a lower bound: late it never is, early only where several timed parts were mixed.
 * Owner: programs live in the pool's arena and are shared by threads; the machine lives on the C stack of one run. */
#ifndef HG_EXPR_PROGRAM_H
#define HG_EXPR_PROGRAM_H

#include "core/base/check.h"
#include "core/expr/formula.h"
#include "core/expr/node.h"

enum { STACK_SLOTS = 256, LOCALS_MAX = 16 };
#define NEVER UINT32_MAX

struct instr {
    uint8_t op, a;
    uint16_t b;
    uint32_t c;
};

/* What does not fit into an instruction of a tally; blocks follow the instruction. */
struct tally {
    uint8_t what, flags;
    uint8_t compare;   /* OP_EQ .. OP_GE: the tally is compared with the slot below the window; 0: not */
    bool entries_only; /* folded days don't help: they have lost the order of their events */
    uint16_t type;
    int32_t value_property; /* the value is just this number property of the entry; -1: look at the block */
    uint32_t value_at, where_at, next; /* instruction indices */
};
struct step {
    uint16_t type;
    uint32_t where_at; /* 0: none */
};
struct sequence {
    uint32_t count, next;
    const struct step *steps;
};

struct program {
    const struct instr *code;
    const struct value *constants;
    const struct tally *tallies;
    const struct sequence *sequences;
    const struct zone *const *zones;
    const struct pattern *const *patterns;
    const struct expr_dependency *dependencies;
    uint32_t dependency_count;
    const struct expr_leaf *leaves;
    uint32_t leaf_count;
    uint64_t identity;
    const struct formula *formula; /* NULL: only the machine can run it */
    const struct node *root;       /* what it was made of: for plans over blocks */
    const struct type *type;
    bool timed;
};

struct slot {
    struct value v;
    uint32_t change;
    int32_t slope;
};

struct machine {
    const struct program *program;
    const struct instr *next;
    struct expr_context *ctx;
    const struct history_view *view; /* the history entry at hand, for `where` and values */
    uint32_t entry;
    struct slot locals[LOCALS_MAX];
};

typedef struct slot *handler(struct machine *m, const struct instr *in, struct slot *top);
/* Runs from `at` to its OP_RETURN; the result is at `top`, and `top` + 1 comes back. */
struct slot *machine_run(struct machine *m, const struct instr *at, struct slot *top);

static inline struct value value_fail_n(const char *text, uint32_t n)
{
    return (struct value){.kind = V_ERROR, .n = n, .s = (const uint8_t *)text};
}
#define value_fail(text) value_fail_n(text, sizeof(text) - 1)
#define NO_OVERLOAD      value_fail("no such overload")

static inline uint32_t sooner(uint32_t a, uint32_t b) { return a < b ? a : b; }
/* A second far ahead, cut to what a wake-up can hold. */
static inline uint32_t as_second(int64_t t) { return t >= NEVER ? NEVER : t < 0 ? 0 : (uint32_t)t; }
static inline struct slot *slot_push(struct slot *top, struct value v)
{
    *top = (struct slot){v, NEVER, 0};
    return top + 1;
}
/* What cannot follow a moving value looks again in a second. */
static inline void slot_settle(struct machine *m, struct slot *s)
{
    if (s->slope) s->change = sooner(s->change, m->ctx->now + 1);
    s->slope = 0;
}
static inline bool slot_is(const struct slot *s, bool b) { return s->v.kind == V_BOOL && s->v.b == b; }
static inline const struct zone *machine_zone(const struct machine *m)
{
    return m->ctx->zone ? m->ctx->zone : zone_utc();
}

/* Numbers of a message are doubles (CEL's JSON mapping), wherever they stand. */
static inline struct value value_adopt(struct value v)
{
    if (v.kind == V_INT) return value_double((double)v.i);
    return v.kind == V_UINT ? value_double((double)v.u) : v;
}
static inline bool value_is_bad(struct value v) { return v.kind == V_ERROR || v.kind == V_NONE; }
struct value value_unfold(struct machine *m, struct value v); /* V_RAW -> V_LIST or V_MAP in the scratch */

/* ---- behaviour.c ---------------------------------------------------------------------------- */
const struct history_view *context_history(const struct expr_context *ctx, uint16_t type,
                                           struct history_view *room); /* NULL: never happened */
struct lifetime context_lifetime(const struct expr_context *ctx, uint16_t type);

/* ---- operate.c ------------------------------------------------------------------------------ */
bool value_equal(struct machine *m, struct value a, struct value b);
enum { UNORDERED = 2, INCOMPARABLE = 3 };
int value_order(struct value a, struct value b); /* -1 0 1, UNORDERED (NaN), INCOMPARABLE */
bool order_holds(enum op op, int order);
struct value duration_of(__int128 nanoseconds); /* V_ERROR out of range */
struct value time_of(__int128 nanoseconds);
static inline __int128 nanoseconds(struct value v) { return (__int128)v.i * 1000000000 + (int32_t)v.n; }

/* ---- leaf.c --------------------------------------------------------------------------------- */
bool leaf_of(const struct node *n, struct expr_leaf *leaf); /* false: another kind of node */
uint8_t op_mirrored(uint8_t op);                            /* a op b == b mirrored(op) a */

/* ---- handlers, by file ---------------------------------------------------------------------- */
handler op_list, op_map, op_select, op_index, op_in, op_negate, op_arithmetic, op_compare,
    op_to_double; /* operate.c */
handler op_count, op_first, op_last, op_ago, op_days_in_row, op_tally, op_sequence, op_sliding, op_since,
    op_calendar;                          /* behaviour.c */
handler op_age, op_access, op_local_date; /* moment.c */
handler op_call;                          /* functions.c */
handler op_matches;                       /* regex.c */
handler op_loop;                          /* loop.c */

#endif
