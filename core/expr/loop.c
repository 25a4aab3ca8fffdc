/* all exists exists_one map filter. The bodies are blocks behind the instruction:
 *   OP_LOOP c: next | OP_JUMP c: second body, 0: none | body .. OP_RETURN | [second .. OP_RETURN] | next */
#include "core/expr/program.h"

struct loop_run {
    struct machine *m;
    const struct instr *in, *body, *second;
    struct slot *top;   /* where bodies run */
    struct slot result; /* all, exists: true or false; one: count; map, filter: the list so far */
    struct value *items;
    uint32_t matches;
};

static struct slot *run_body(struct loop_run *r, const struct instr *at)
{
    machine_run(r->m, at, r->top);
    slot_settle(r->m, r->top);
    return r->top;
}

/* all is && over the items, exists is ||: the same arithmetic of errors and changes. True: go on. */
static bool step_logic(struct loop_run *r, bool decides)
{
    struct slot *body = run_body(r, r->body), *sum = &r->result;
    if (body->v.kind != V_BOOL && body->v.kind != V_ERROR) body->v = NO_OVERLOAD;
    if (slot_is(sum, decides)) {
        if (slot_is(body, decides) && body->change > sum->change) sum->change = body->change;
    } else if (slot_is(body, decides)) {
        *sum = *body;
    } else {
        sum->change = sooner(sum->change, body->change);
        if (sum->v.kind != V_ERROR && body->v.kind == V_ERROR) sum->v = body->v;
    }
    return !(slot_is(sum, decides) && sum->change == NEVER);
}

static bool step_collect(struct loop_run *r, struct value item)
{
    struct slot *body = run_body(r, r->body);
    r->result.change = sooner(r->result.change, body->change);
    enum loop kind = r->in->a;
    bool plain_map = kind == LOOP_MAP && !r->second;
    if (!plain_map && body->v.kind != V_BOOL && body->v.kind != V_ERROR) body->v = NO_OVERLOAD;
    if (!plain_map && slot_is(body, true) && r->second) {
        body = run_body(r, r->second);
        r->result.change = sooner(r->result.change, body->change);
        plain_map = true;
    }
    if (body->v.kind == V_ERROR) {
        r->result.v = body->v;
        return false;
    }
    if (plain_map)
        r->items[r->matches++] = body->v;
    else if (body->v.b)
        r->items[r->matches++] = item;
    return true;
}

static bool step(struct loop_run *r, struct value item)
{
    switch (r->in->a) {
    case LOOP_ALL: return step_logic(r, false);
    case LOOP_EXISTS: return step_logic(r, true);
    default: return step_collect(r, item);
    }
}

static void finish(struct loop_run *r)
{
    if (r->result.v.kind == V_ERROR || r->in->a == LOOP_ALL || r->in->a == LOOP_EXISTS) return;
    if (r->in->a == LOOP_ONE)
        r->result.v = value_bool(r->matches == 1);
    else
        r->result.v = (struct value){.kind = V_LIST, .n = r->matches, .list = r->items};
}

static void run_over(struct loop_run *r, struct value range, bool message)
{
    struct slot *local = &r->m->locals[r->in->b];
    for (uint32_t i = 0; i < range.n; i++) {
        struct value item = range.kind == V_MAP ? range.map[i].key : range.list[i];
        *local = (struct slot){message ? value_adopt(item) : item, NEVER, 0};
        if (!step(r, local->v)) break;
    }
    finish(r);
}

struct slot *op_loop(struct machine *m, const struct instr *in, struct slot *top)
{
    struct slot *range = top - 1;
    const struct instr *code = m->program->code;
    struct loop_run r = {
        .m = m, .in = in, .body = in + 2, .top = top, .result = {value_bool(in->a == LOOP_ALL), NEVER, 0}};
    r.second = in[1].c ? code + in[1].c : NULL;
    m->next = code + in->c;
    slot_settle(m, range);
    struct value over = value_unfold(m, range->v);
    bool builds = in->a >= LOOP_ONE;
    if (over.kind == V_ERROR) {
        r.result.v = over;
    } else if (over.kind != V_LIST && over.kind != V_MAP) {
        r.result.v = NO_OVERLOAD;
    } else if (builds && !(r.items = arena_alloc(m->ctx->scratch, (over.n + 1) * sizeof *r.items))) {
        r.result.v = value_fail("out of scratch memory");
    } else {
        run_over(&r, over, range->v.kind == V_RAW);
    }
    r.result.change = sooner(r.result.change, range->change);
    *range = r.result;
    return top;
}
