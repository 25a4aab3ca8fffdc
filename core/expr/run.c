/* The machine: one handler per instruction. Errors are values; && and || absorb them. */
#include "core/expr/program.h"

static struct value lost(void) { return value_fail("no such key"); }

/* ---- loads: absent is an error, unless `has` asks ---------------------------------------------- */

static struct slot *loaded(const struct instr *in, struct slot *top, struct value v)
{
    if (v.kind == V_NONE && !(in->a & SMALL_PROBE)) v = lost();
    return slot_push(top, v);
}

static struct slot *op_const(struct machine *m, const struct instr *in, struct slot *top)
{
    return slot_push(top, m->program->constants[in->c]);
}

static struct slot *op_attribute(struct machine *m, const struct instr *in, struct slot *top)
{
    const struct expr_source *s = m->ctx->source;
    return loaded(in, top, s && s->attribute ? s->attribute(m->ctx->self, in->b) : value_none());
}

static struct slot *op_profile(struct machine *m, const struct instr *in, struct slot *top)
{
    const struct expr_source *s = m->ctx->source;
    return loaded(in, top, s && s->profile ? s->profile(m->ctx->self, in->b) : value_none());
}

static struct slot *op_property(struct machine *m, const struct instr *in, struct slot *top)
{
    const struct expr_source *s = m->ctx->source;
    struct value name = m->program->constants[in->c];
    struct value v = value_none();
    if (s && s->property) v = s->property(m->ctx->self, in->b, value_text(name), name.extra);
    return loaded(in, top, value_adopt(v));
}

static struct slot *op_cell(struct machine *m, const struct instr *in, struct slot *top)
{
    CHECK(m->view);
    return loaded(in, top, cell_value(history_cell_at(m->view, m->entry, in->b), in->c, m->view->heap));
}

static struct slot *op_cell_at(struct machine *m, const struct instr *in, struct slot *top)
{
    CHECK(m->view);
    return slot_push(top, value_time(history_time(m->view, m->entry)));
}

static struct slot *op_context(struct machine *m, const struct instr *in, struct slot *top)
{
    const struct expr_source *s = m->ctx->source;
    struct value path = m->program->constants[in->c];
    struct value v = s && s->context ? s->context(m->ctx->self, in->b, value_text(path)) : value_none();
    return loaded(in, top, value_adopt(v));
}

static struct slot *op_event_at(struct machine *m, const struct instr *in, struct slot *top)
{
    const struct expr_source *s = m->ctx->source;
    uint32_t at = s && s->event_time ? s->event_time(m->ctx->self, in->b) : 0;
    return loaded(in, top, at ? value_time(at) : value_none());
}

static struct slot *op_variable(struct machine *m, const struct instr *in, struct slot *top)
{
    const struct expr_source *s = m->ctx->source;
    return loaded(in, top, s && s->variable ? s->variable(m->ctx->self, in->b) : value_none());
}

static struct slot *op_local(struct machine *m, const struct instr *in, struct slot *top)
{
    *top = m->locals[in->b];
    return top + 1;
}

static struct slot *op_now(struct machine *m, const struct instr *in, struct slot *top)
{
    *top = (struct slot){value_time(m->ctx->now), NEVER, 1};
    return top + 1;
}

/* ---- what the engine knows about a person -------------------------------------------------------- */

static struct slot *op_segment(struct machine *m, const struct instr *in, struct slot *top)
{
    const struct expr_source *s = m->ctx->source;
    uint32_t entered = 0, left = 0;
    bool member = s && s->segment && s->segment(m->ctx->self, in->b, &entered, &left);
    if (in->op == OP_SEGMENT) return slot_push(top, value_bool(member));
    uint32_t at = in->op == OP_ENTERED ? entered : left;
    return slot_push(top, at ? value_time(at) : value_fail("no such key: it never happened"));
}

static struct slot *op_fact(struct machine *m, const struct instr *in, struct slot *top)
{
    const struct expr_source *s = m->ctx->source;
    void *self = m->ctx->self;
    bool b = false;
    if (!s) return slot_push(top, value_bool(false));
    switch (in->op) {
    case OP_IN_LIST: b = s->in_list && s->in_list(self, in->b); break;
    case OP_REACHABLE: b = s->reachable && s->reachable(self, in->b); break;
    case OP_IN_JOURNEY: b = s->in_journey && s->in_journey(self, in->b); break;
    case OP_SEND: b = s->send_state && s->send_state(self, in->b, in->a); break;
    case OP_CONSENT:
        b = s->consent && s->consent(self, in->b, value_text(m->program->constants[in->c]));
        break;
    default: CHECK(!"a fact");
    }
    return slot_push(top, value_bool(b));
}

/* ---- logic ------------------------------------------------------------------------------------------ */

static struct slot *op_has(struct machine *m, const struct instr *in, struct slot *top)
{
    struct slot *s = top - 1;
    if (s->v.kind != V_ERROR) s->v = value_bool(s->v.kind != V_NONE);
    return top;
}

static struct slot *op_not(struct machine *m, const struct instr *in, struct slot *top)
{
    struct slot *s = top - 1;
    if (s->v.kind == V_BOOL)
        s->v.b = !s->v.b;
    else if (s->v.kind != V_ERROR)
        s->v = NO_OVERLOAD;
    return top;
}

/* `other` decides alone: false for &&, true for ||. Two that decide hold until the later of them may change; one that
 * decides holds alone; without any the first change of either counts. */
static struct slot *combine(struct slot *top, bool decides)
{
    struct slot *a = top - 2, *b = top - 1;
    bool a_decides = slot_is(a, decides), b_decides = slot_is(b, decides);
    if (a_decides) {
        if (b_decides && b->change > a->change) a->change = b->change;
        return top - 1;
    }
    if (b_decides) {
        *a = *b;
        return top - 1;
    }
    a->change = sooner(a->change, b->change);
    if (a->v.kind == V_ERROR) return top - 1;
    if (b->v.kind == V_ERROR)
        a->v = b->v;
    else if (a->v.kind != V_BOOL || b->v.kind != V_BOOL)
        a->v = NO_OVERLOAD;
    a->slope = 0;
    return top - 1;
}

static struct slot *op_and(struct machine *m, const struct instr *in, struct slot *top)
{
    return combine(top, false);
}
static struct slot *op_or(struct machine *m, const struct instr *in, struct slot *top)
{
    return combine(top, true);
}

static struct slot *op_jump(struct machine *m, const struct instr *in, struct slot *top)
{
    m->next = m->program->code + in->c;
    return top;
}

/* The other side is skipped only when this one decides for ever: else its later change would be lost. */
static struct slot *op_jump_false(struct machine *m, const struct instr *in, struct slot *top)
{
    if (slot_is(top - 1, false) && top[-1].change == NEVER) m->next = m->program->code + in->c;
    return top;
}

static struct slot *op_jump_true(struct machine *m, const struct instr *in, struct slot *top)
{
    if (slot_is(top - 1, true) && top[-1].change == NEVER) m->next = m->program->code + in->c;
    return top;
}

/* Condition on the stack: true goes on, false jumps to c; an error or a non-bool jumps behind the OP_PICK, which stands
 * just before where the jump at c - 1 leads. */
static struct slot *op_branch(struct machine *m, const struct instr *in, struct slot *top)
{
    struct slot *s = top - 1;
    if (slot_is(s, true)) return top;
    m->next = m->program->code + in->c;
    if (s->v.kind == V_BOOL) return top;
    if (s->v.kind != V_ERROR) s->v = NO_OVERLOAD;
    m->next = m->program->code + m->program->code[in->c - 1].c + 1;
    return top;
}

static struct slot *op_pick(struct machine *m, const struct instr *in, struct slot *top)
{
    top[-1].change = sooner(top[-1].change, top[-2].change);
    top[-2] = top[-1];
    return top - 1;
}

/* ---- the loop ------------------------------------------------------------------------------------------ */

static handler *const handlers[OP_COUNT_OPS] = {
    [OP_CONST] = op_const,
    [OP_FAIL] = op_const,
    [OP_ATTRIBUTE] = op_attribute,
    [OP_PROFILE] = op_profile,
    [OP_PROPERTY] = op_property,
    [OP_CELL] = op_cell,
    [OP_CONTEXT] = op_context,
    [OP_EVENT_AT] = op_event_at,
    [OP_CELL_AT] = op_cell_at,
    [OP_VARIABLE] = op_variable,
    [OP_LOCAL] = op_local,
    [OP_NOW] = op_now,
    [OP_SEGMENT] = op_segment,
    [OP_ENTERED] = op_segment,
    [OP_LEFT] = op_segment,
    [OP_IN_LIST] = op_fact,
    [OP_REACHABLE] = op_fact,
    [OP_IN_JOURNEY] = op_fact,
    [OP_CONSENT] = op_fact,
    [OP_SEND] = op_fact,
    [OP_COUNT] = op_count,
    [OP_FIRST] = op_first,
    [OP_LAST] = op_last,
    [OP_AGO] = op_ago,
    [OP_DAYS_IN_ROW] = op_days_in_row,
    [OP_TALLY] = op_tally,
    [OP_SEQUENCE] = op_sequence,
    [OP_SLIDING] = op_sliding,
    [OP_SINCE] = op_since,
    [OP_CALENDAR] = op_calendar,
    [OP_AGE] = op_age,
    [OP_HAS] = op_has,
    [OP_SELECT] = op_select,
    [OP_INDEX] = op_index,
    [OP_IN] = op_in,
    [OP_LIST] = op_list,
    [OP_MAP] = op_map,
    [OP_NOT] = op_not,
    [OP_NEGATE] = op_negate,
    [OP_ADD] = op_arithmetic,
    [OP_SUBTRACT] = op_arithmetic,
    [OP_MULTIPLY] = op_arithmetic,
    [OP_DIVIDE] = op_arithmetic,
    [OP_MODULO] = op_arithmetic,
    [OP_EQ] = op_compare,
    [OP_NE] = op_compare,
    [OP_LT] = op_compare,
    [OP_LE] = op_compare,
    [OP_GT] = op_compare,
    [OP_GE] = op_compare,
    [OP_AND] = op_and,
    [OP_OR] = op_or,
    [OP_TO_DOUBLE] = op_to_double,
    [OP_LOCAL_DATE] = op_local_date,
    [OP_CALL] = op_call,
    [OP_MATCHES] = op_matches,
    [OP_ACCESS] = op_access,
    [OP_LOOP] = op_loop,
    [OP_JUMP] = op_jump,
    [OP_JUMP_FALSE] = op_jump_false,
    [OP_JUMP_TRUE] = op_jump_true,
    [OP_BRANCH] = op_branch,
    [OP_PICK] = op_pick,
};

struct slot *machine_run(struct machine *m, const struct instr *at, struct slot *top)
{
    const struct instr *back = m->next;
    m->next = at;
    for (const struct instr *in; (in = m->next++)->op != OP_RETURN;) top = handlers[in->op](m, in, top);
    m->next = back;
    return top;
}

/* Each item stands at its level already. */
static struct value run_machine(struct machine *m, const struct program *p, struct expr_context *ctx)
{
    struct slot stack[STACK_SLOTS];
    m->program = p;
    m->ctx = ctx;
    m->view = NULL;
    m->next = NULL;
    machine_run(m, p->code, stack);
    slot_settle(m, stack);
    ctx->next_change = sooner(ctx->next_change, stack[0].change);
    if (stack[0].v.kind == V_ERROR) ctx->errors++;
    return stack[0].v;
}

struct value program_run(const struct program *p, struct expr_context *ctx)
{
    struct machine m;
    return run_machine(&m, p, ctx);
}

struct value program_run_over(const struct program *p, const struct value *items, uint32_t count,
                              struct expr_context *ctx)
{
    struct machine m;
    for (uint32_t i = 0; i < count; i++) m.locals[i] = (struct slot){items[i], NEVER, 0};
    return run_machine(&m, p, ctx);
}

bool program_true(const struct program *p, struct expr_context *ctx)
{
    bool is;
    if (p->formula && formula_true(p->formula, ctx, &is)) return is;
    struct value v = program_run(p, ctx);
    if (v.kind == V_BOOL) return v.b;
    if (v.kind != V_ERROR) ctx->errors++;
    return false;
}

const struct expr_dependency *program_dependencies(const struct program *p, uint32_t *count)
{
    *count = p->dependency_count;
    return p->dependencies;
}

const struct expr_leaf *program_leaves(const struct program *p, uint32_t *count)
{
    *count = p->leaf_count;
    return p->leaves;
}

bool program_timed(const struct program *p) { return p->timed; }
uint64_t program_identity(const struct program *p) { return p->identity; }
uint16_t program_attribute(const struct program *p)
{
    return p->root->op == OP_ATTRIBUTE ? p->root->b : ID_NONE;
}
bool program_yields_many(const struct program *p)
{
    const struct type *type = type_seen(p->type);
    return type->kind == TYPE_LIST || type->kind == TYPE_MAP;
}
bool program_yields_date(const struct program *p) { return p->type->kind == TYPE_DATE; }

enum expr_want program_result(const struct program *p)
{
    if (type_is_number(p->type)) return WANT_NUMBER;
    switch (p->type->kind) {
    case TYPE_BOOL: return WANT_BOOL;
    case TYPE_STRING: return WANT_STRING;
    case TYPE_TIME:
    case TYPE_DATE: return WANT_TIME;
    default: return WANT_ANY;
    }
}
