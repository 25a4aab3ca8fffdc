#include "core/expr/node.h"
#include "core/base/check.h"
#include "core/base/hash.h"

enum { BUCKETS_FIRST = 256 };

struct expr_pool *expr_pool_create(struct arena *a)
{
    struct expr_pool *pool = ARENA_NEW(a, struct expr_pool);
    pool->arena = a;
    pool->mask = BUCKETS_FIRST - 1;
    pool->buckets = ARENA_ARRAY(a, struct node *, BUCKETS_FIRST);
    return pool;
}

static uint64_t mix(uint64_t h, uint64_t v)
{
    uint64_t both[2] = {h, v};
    return hash64_plain(both, sizeof both);
}

/* By content, so that a program's identity is the same in every process. */
static uint64_t value_hash(struct value v)
{
    uint64_t h = mix(v.kind, v.n);
    switch (v.kind) {
    case V_STRING:
    case V_ERROR:
    case V_RAW: return mix(h, hash64_plain(v.s, v.n));
    case V_LIST:
        for (uint32_t i = 0; i < v.n; i++) h = mix(h, value_hash(v.list[i]));
        return h;
    case V_MAP:
        for (uint32_t i = 0; i < v.n; i++)
            h = mix(mix(h, value_hash(v.map[i].key)), value_hash(v.map[i].value));
        return h;
    case V_BOOL: return mix(h, v.b);
    default: return mix(h, v.u);
    }
}

static uint64_t node_hash(const struct node *n)
{
    uint64_t h =
        mix((uint64_t)n->op << 56 | (uint64_t)n->a << 48 | (uint64_t)n->b << 32 | n->c, value_hash(n->value));
    for (uint32_t i = 0; i < n->count; i++) h = mix(h, n->child[i]->hash);
    return mix(h, n->type->kind);
}

static bool node_equal(const struct node *a, const struct node *b)
{
    if (a->hash != b->hash || a->op != b->op || a->a != b->a || a->b != b->b || a->c != b->c ||
        a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (a->child[i] != b->child[i]) return false;
    return type_same(a->type, b->type) && value_hash(a->value) == value_hash(b->value);
}

static void pool_grow(struct expr_pool *pool)
{
    uint32_t mask = pool->mask * 2 + 1;
    struct node **buckets = ARENA_ARRAY(pool->arena, struct node *, (size_t)mask + 1);
    for (uint32_t i = 0; i <= pool->mask; i++) {
        for (struct node *n = pool->buckets[i], *next; n; n = next) {
            next = n->next;
            n->next = buckets[n->hash & mask];
            buckets[n->hash & mask] = n;
        }
    }
    pool->buckets = buckets;
    pool->mask = mask;
}

/* ---- what a node is by its kind ------------------------------------------------------------- */

static bool op_timed(const struct node *n)
{
    switch (n->op) {
    case OP_NOW:
    case OP_AGO:
    case OP_DAYS_IN_ROW:
    case OP_SLIDING:
    case OP_SINCE:
    case OP_CALENDAR:
    case OP_AGE: return true;
    default: return false;
    }
}

static bool op_fallible(const struct node *n)
{
    bool numbers =
        n->count == 2 && n->child[0]->type->kind == TYPE_DOUBLE && n->child[1]->type->kind == TYPE_DOUBLE;
    switch (n->op) {
    case OP_HAS: return false;
    case OP_PROFILE: /* the others are always there */
        return !(n->a & SMALL_PROBE) && (n->b == PROFILE_USER_ID || n->b >= PROFILE_LANGUAGE);
    case OP_ATTRIBUTE:
    case OP_PROPERTY:
    case OP_CELL:
    case OP_CONTEXT:
    case OP_EVENT_AT: return !(n->a & SMALL_PROBE);
    case OP_FAIL:
    case OP_VARIABLE:
    case OP_ENTERED:
    case OP_LEFT:
    case OP_FIRST:
    case OP_LAST:
    case OP_AGE:
    case OP_SELECT:
    case OP_INDEX:
    case OP_NEGATE:
    case OP_CALL: return true;
    case OP_MATCHES: return false;
    case OP_TALLY: return (n->a & TALLY_WHAT) >= TALLY_AVG && (n->a & TALLY_WHAT) <= TALLY_MAX;
    case OP_ADD:
    case OP_SUBTRACT:
    case OP_MULTIPLY:
    case OP_DIVIDE:
    case OP_MODULO: return !numbers || n->op == OP_MODULO;
    default: return false;
    }
}

/* An error of a child shows, unless the node absorbs it. */
static bool shows_errors(const struct node *n, uint32_t child)
{
    if (n->op == OP_HAS) return false;
    if (n->op == OP_TALLY) return !(n->a & TALLY_WHERE) || child + 1 < n->count;
    if (n->op == OP_SEQUENCE) return child == 0;
    return true;
}

static void derive(struct node *n)
{
    bool bound = n->op == OP_CELL || n->op == OP_CELL_AT || n->op == OP_LOCAL;
    n->timed = op_timed(n);
    n->fallible = op_fallible(n);
    for (uint32_t i = 0; i < n->count; i++) {
        const struct node *c = n->child[i];
        n->timed |= c->timed;
        n->fallible |= (c->fallible && shows_errors(n, i)) ||
                       (type_is_open(c->type) && n->op != OP_HAS && n->op != OP_LIST);
        bound |= c->bound;
    }
    n->bound = bound;
}

/* ---- constants ---------------------------------------------------------------------------------- */

static bool op_pure(const struct node *n)
{
    switch (n->op) {
    case OP_INDEX:
    case OP_IN:
    case OP_LIST:
    case OP_MAP:
    case OP_NOT:
    case OP_NEGATE:
    case OP_ADD:
    case OP_SUBTRACT:
    case OP_MULTIPLY:
    case OP_DIVIDE:
    case OP_MODULO:
    case OP_EQ:
    case OP_NE:
    case OP_LT:
    case OP_LE:
    case OP_GT:
    case OP_GE:
    case OP_TO_DOUBLE:
    case OP_CALL: break;
    case OP_ACCESS:
        if (n->b == 0) return false; /* needs the person's zone */
        break;
    default: return false;
    }
    for (uint32_t i = 0; i < n->count; i++)
        if (n->child[i]->op != OP_CONST) return false;
    return true;
}

static struct value list_constant(struct expr_pool *pool, const struct node *n)
{
    struct value *items = ARENA_ARRAY(pool->arena, struct value, n->count + 1u);
    for (uint32_t i = 0; i < n->count; i++) items[i] = n->child[i]->value;
    return (struct value){.kind = V_LIST, .n = n->count, .list = items};
}

static struct value compute(struct expr_pool *pool, const struct node *n)
{
    if (n->op == OP_LIST) return list_constant(pool, n);
    const char *reason;
    const struct program *p = program_make(pool, n, &reason);
    struct expr_context ctx = {.zone = zone_utc(), .scratch = pool->arena};
    return p ? program_run(p, &ctx) : value_none();
}

static const struct node *intern(struct expr_pool *pool, struct node *n)
{
    n->hash = node_hash(n);
    for (struct node *old = pool->buckets[n->hash & pool->mask]; old; old = old->next)
        if (node_equal(old, n)) return old;
    struct node *made = ARENA_NEW(pool->arena, struct node);
    const struct node **child = ARENA_ARRAY(pool->arena, const struct node *, n->count + 1u);
    if (n->count) memcpy(child, n->child, n->count * sizeof *child);
    *made = *n;
    made->child = child;
    if (pool->used++ > pool->mask) pool_grow(pool);
    made->next = pool->buckets[n->hash & pool->mask];
    pool->buckets[n->hash & pool->mask] = made;
    return made;
}

const struct node *node_make(struct expr_pool *pool, struct node like, const struct node *const *child,
                             uint32_t count)
{
    CHECK(count <= UINT16_MAX);
    like.child = child;
    like.count = (uint16_t)count;
    derive(&like);
    if (op_pure(&like)) {
        struct value v = compute(pool, &like);
        if (v.kind != V_ERROR && v.kind != V_NONE)
            like = (struct node){.op = OP_CONST, .type = like.type, .value = v};
    }
    return intern(pool, &like);
}
