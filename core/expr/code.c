/* DAG -> program: a walk over the nodes that lays instructions one after the other. */
#include "core/expr/program.h"
#include "core/expr/regex.h"

struct list {
    void *items;
    uint32_t count, room;
};

struct coder {
    struct expr_pool *pool;
    struct list code, constants, tallies, sequences, zones, patterns, dependencies, leaves;
    uint32_t depth, deepest;
    const char *reason;
};

/* Appends one item of `size` bytes; returns its index. */
static uint32_t append(struct coder *c, struct list *l, const void *item, size_t size)
{
    if (l->count == l->room) {
        uint32_t room = l->room ? l->room * 2 : 8;
        void *bigger = arena_alloc(c->pool->arena, room * size);
        if (l->count) memcpy(bigger, l->items, l->count * size);
        l->items = bigger;
        l->room = room;
    }
    memcpy((uint8_t *)l->items + l->count * size, item, size);
    return l->count++;
}

static uint32_t emit(struct coder *c, struct instr in) { return append(c, &c->code, &in, sizeof in); }
static struct instr *instr_at(struct coder *c, uint32_t at) { return (struct instr *)c->code.items + at; }
static uint32_t constant(struct coder *c, struct value v) { return append(c, &c->constants, &v, sizeof v); }

static void push(struct coder *c, uint32_t n)
{
    c->depth += n;
    if (c->depth > c->deepest) c->deepest = c->depth;
}

static void lay(struct coder *c, const struct node *n);

/* A block of its own, which leaves one value; returns its first instruction. */
static uint32_t block(struct coder *c, const struct node *n)
{
    uint32_t at = c->code.count, depth = c->depth;
    push(c, 1); /* what the instruction in front of it keeps on the stack meanwhile */
    lay(c, n);
    c->depth = depth;
    emit(c, (struct instr){.op = OP_RETURN});
    return at;
}

/* ---- logic ------------------------------------------------------------------------------------------- */

static void lay_logic(struct coder *c, const struct node *n)
{
    /* && and || don't mind the order: what needs no history goes first and may save it. */
    bool swap = n->child[0]->timed && !n->child[1]->timed;
    lay(c, n->child[swap]);
    uint32_t jump = emit(c, (struct instr){.op = n->op == OP_AND ? OP_JUMP_FALSE : OP_JUMP_TRUE});
    lay(c, n->child[!swap]);
    emit(c, (struct instr){.op = n->op});
    c->depth--;
    instr_at(c, jump)->c = c->code.count;
}

/* condition BRANCH else | yes | JUMP pick | no | PICK */
static void lay_choose(struct coder *c, const struct node *n)
{
    lay(c, n->child[0]);
    uint32_t branch = emit(c, (struct instr){.op = OP_BRANCH});
    lay(c, n->child[1]);
    c->depth--;
    uint32_t jump = emit(c, (struct instr){.op = OP_JUMP});
    instr_at(c, branch)->c = c->code.count;
    lay(c, n->child[2]);
    instr_at(c, jump)->c = c->code.count;
    emit(c, (struct instr){.op = OP_PICK});
    c->depth--;
}

static void lay_loop(struct coder *c, const struct node *n)
{
    lay(c, n->child[0]);
    uint32_t loop = emit(c, (struct instr){.op = OP_LOOP, .a = n->a, .b = n->b});
    emit(c, (struct instr){.op = OP_JUMP});
    block(c, n->child[1]);
    if (n->count == 3) {
        uint32_t second = block(c, n->child[2]);
        instr_at(c, loop + 1)->c = second;
    }
    instr_at(c, loop)->c = c->code.count;
}

/* ---- history -------------------------------------------------------------------------------------------- */

/* `compare` OP_EQ..: the other side is already on the stack. */
static void lay_tally(struct coder *c, const struct node *n, uint8_t compare)
{
    struct tally t = {.what = n->a & TALLY_WHAT,
                      .flags = n->a & ~TALLY_WHAT,
                      .compare = compare,
                      .type = n->b,
                      .value_property = -1};
    uint32_t next = 0;
    if (t.flags & TALLY_WINDOW) lay(c, n->child[next++]);
    uint32_t at = emit(c, (struct instr){.op = OP_TALLY});
    if (t.flags & TALLY_VALUE) {
        const struct node *value = n->child[next++];
        if (value->op == OP_CELL && value->c == T_NUMBER) t.value_property = value->b;
        t.value_at = block(c, value);
    }
    if (t.flags & TALLY_WHERE) t.where_at = block(c, n->child[next++]);
    t.next = c->code.count;
    instr_at(c, at)->c = append(c, &c->tallies, &t, sizeof t);
    if (!(t.flags & TALLY_WINDOW)) push(c, 1);
    if (compare) c->depth--;
}

static void lay_sequence(struct coder *c, const struct node *n)
{
    struct step *steps = ARENA_ARRAY(c->pool->arena, struct step, n->count);
    lay(c, n->child[0]);
    uint32_t at = emit(c, (struct instr){.op = OP_SEQUENCE});
    for (uint32_t i = 1; i < n->count; i++) {
        const struct node *step = n->child[i];
        steps[i - 1] = (struct step){step->b, step->count ? block(c, step->child[0]) : 0};
    }
    struct sequence s = {n->count - 1u, c->code.count, steps};
    instr_at(c, at)->c = append(c, &c->sequences, &s, sizeof s);
}

static bool is_flippable(const struct node *n)
{
    return n->op == OP_TALLY && (n->a & TALLY_WHAT) <= TALLY_AVG && n->timed;
}

uint8_t op_mirrored(uint8_t op)
{
    switch (op) {
    case OP_LT: return OP_GT;
    case OP_LE: return OP_GE;
    case OP_GT: return OP_LT;
    case OP_GE: return OP_LE;
    default: return op;
    }
}

/* A windowed count or sum against something that stands still tells the exact second of its flip. */
static bool lay_flip(struct coder *c, const struct node *n)
{
    bool left = is_flippable(n->child[0]) && !n->child[1]->timed;
    bool right = is_flippable(n->child[1]) && !n->child[0]->timed;
    if (!left && !right) return false;
    lay(c, n->child[left]);
    lay_tally(c, n->child[!left], left ? op_mirrored(n->op) : n->op);
    return true;
}

/* ---- the rest --------------------------------------------------------------------------------------------- */

static void lay_access(struct coder *c, const struct node *n)
{
    struct instr in = {.op = OP_ACCESS, .a = n->a, .b = n->b};
    for (uint32_t i = 0; i < n->count; i++) lay(c, n->child[i]);
    if (n->b == 2) {
        const struct zone *z = zone_load(NULL, value_text(n->value));
        CHECK(z);
        in.c = append(c, &c->zones, &z, sizeof z);
    }
    emit(c, in);
    c->depth -= n->count - 1u;
}

static void lay_matches(struct coder *c, const struct node *n)
{
    const char *reason;
    const struct pattern *p = pattern_compile(c->pool->arena, value_text(n->value), &reason);
    CHECK(p);
    lay(c, n->child[0]);
    emit(c, (struct instr){.op = OP_MATCHES, .c = append(c, &c->patterns, &p, sizeof p)});
}

/* A leaf or a plain instruction: children first, then itself. */
static void lay_plain(struct coder *c, const struct node *n)
{
    struct instr in = {n->op, n->a, n->b, n->c};
    for (uint32_t i = 0; i < n->count; i++) lay(c, n->child[i]);
    if (n->op == OP_CALL) in.c = n->count;
    if (n->op == OP_CONST || n->op == OP_FAIL || n->op == OP_CONTEXT || n->op == OP_CONSENT ||
        n->op == OP_SELECT)
        in.c = constant(c, n->value);
    if (n->op == OP_PROPERTY) {
        struct value name = n->value;
        name.extra = (uint16_t)n->c;
        in.c = constant(c, name);
    }
    emit(c, in);
    if (n->count == 0)
        push(c, 1);
    else
        c->depth -= n->count - 1u;
}

static void lay(struct coder *c, const struct node *n)
{
    switch (n->op) {
    case OP_AND:
    case OP_OR: lay_logic(c, n); break;
    case OP_CHOOSE: lay_choose(c, n); break;
    case OP_LOOP: lay_loop(c, n); break;
    case OP_TALLY: lay_tally(c, n, 0); break;
    case OP_SEQUENCE: lay_sequence(c, n); break;
    case OP_ACCESS: lay_access(c, n); break;
    case OP_MATCHES: lay_matches(c, n); break;
    case OP_EQ:
    case OP_NE:
    case OP_LT:
    case OP_LE:
    case OP_GT:
    case OP_GE:
        if (!lay_flip(c, n)) lay_plain(c, n);
        break;
    default: lay_plain(c, n);
    }
}

/* ---- dependencies --------------------------------------------------------------------------------------------- */

static void depend_by(struct coder *c, enum expr_feature feature, uint16_t id, bool by_leaves)
{
    struct expr_dependency d = {(uint8_t)feature, id, by_leaves}, *have = c->dependencies.items;
    for (uint32_t i = 0; i < c->dependencies.count; i++)
        if (have[i].feature == feature && have[i].id == id) {
            have[i].by_leaves &= by_leaves;
            return;
        }
    append(c, &c->dependencies, &d, sizeof d);
}

static void depend(struct coder *c, enum expr_feature feature, uint16_t id)
{
    depend_by(c, feature, id, false);
}

static void collect_leaf(struct coder *c, const struct node *n, struct expr_leaf leaf)
{
    append(c, &c->leaves, &leaf, sizeof leaf);
    depend_by(c, FEATURE_HISTORY, leaf.type, true);
    if (n->timed) depend(c, FEATURE_NOW, 0);
}

static void collect(struct coder *c, const struct node *n)
{
    struct expr_leaf leaf;
    if (leaf_of(n, &leaf)) {
        collect_leaf(c, n, leaf);
        return;
    }
    switch (n->op) {
    case OP_ATTRIBUTE: depend(c, FEATURE_ATTRIBUTE, n->b); break;
    case OP_PROFILE: depend(c, FEATURE_PROFILE, n->b); break;
    case OP_PROPERTY:
    case OP_EVENT_AT:
    case OP_CONTEXT: depend(c, FEATURE_EVENT, n->b); break;
    case OP_SEGMENT:
    case OP_ENTERED:
    case OP_LEFT: depend(c, FEATURE_SEGMENT, n->b); break;
    case OP_IN_LIST: depend(c, FEATURE_LIST, n->b); break;
    case OP_REACHABLE:
    case OP_CONSENT: depend(c, FEATURE_CONSENT, n->b); break;
    case OP_IN_JOURNEY: depend(c, FEATURE_JOURNEY, n->b); break;
    case OP_SEND: depend(c, FEATURE_SENDS, n->b); break;
    case OP_COUNT:
    case OP_FIRST:
    case OP_LAST:
    case OP_AGO:
    case OP_DAYS_IN_ROW:
    case OP_TALLY:
    case OP_STEP: depend(c, FEATURE_HISTORY, n->b); break;
    default: break;
    }
    bool zone = n->op == OP_CALENDAR || n->op == OP_DAYS_IN_ROW || n->op == OP_AGE ||
                n->op == OP_LOCAL_DATE || (n->op == OP_ACCESS && (n->b == 0 || n->b == 3));
    if (zone) depend(c, FEATURE_PROFILE, PROFILE_TIMEZONE);
    if (n->timed && n->count == 0) depend(c, FEATURE_NOW, 0);
    for (uint32_t i = 0; i < n->count; i++) collect(c, n->child[i]);
}

const struct program *program_make(struct expr_pool *pool, const struct node *root, const char **reason)
{
    struct coder c = {.pool = pool};
    lay(&c, root);
    emit(&c, (struct instr){.op = OP_RETURN});
    collect(&c, root);
    if (root->timed) depend(&c, FEATURE_NOW, 0);
    if (c.deepest + 2 >= STACK_SLOTS) {
        *reason = "the expression is too deep: split it with segment()";
        return NULL;
    }
    struct program *p = ARENA_NEW(pool->arena, struct program);
    *p = (struct program){
        c.code.items,   c.constants.items, c.tallies.items,      c.sequences.items,
        c.zones.items,  c.patterns.items,  c.dependencies.items, c.dependencies.count,
        c.leaves.items, c.leaves.count,    root->hash,           formula_make(root, pool->arena),
        root,           root->type,        root->timed};
    return p;
}
