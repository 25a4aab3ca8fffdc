/* count.c - how many people: ad-hoc expressions over everybody, and what two segments share.
 * A count walks each shard's blocks through a plan (core/expr/block.h), for at most SLICE_US at a time, between the
 * worker's other work. All rows are asked at one second, `as_of`, the second of the question; each is seen as it is when
 * the walk passes it. So everything acknowledged before the question is in, and `meanwhile` says how many records were
 * applied while it walked, of which some may be in: 0 makes it the count at one moment. */
#include "core/segment/scan.h"
#include "io/lookup.h"

#include <stdlib.h>

enum { SLICE_US = 500 };

struct count {
    struct request *request;
    struct arena arena; /* of program and plan */
    const struct block_plan *plan;
    uint32_t as_of;
    uint64_t matched, of, errors, meanwhile;
};

struct counting { /* one worker's walk */
    struct person person;
    struct expr_context context;
    struct scan_person reach;
    struct arena run, scratch;
    struct scan *scan; /* of the shard at hand; NULL: not begun */
    struct scan_count sum;
    uint64_t lsn; /* of all shards, when it began; then how many records came since */
};

static void turn_to(void *self, row_t row)
{
    struct counting *c = self;
    arena_reset(&c->scratch);
    c->person.row = row;
    c->context.zone = person_zone(&c->person);
}

static uint64_t lsn_sum(const struct worker *w)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < w->shard_count; i++) sum += shard_lsn(w->shards[i]);
    return sum;
}

static struct counting *counting_new(const struct worker *w)
{
    struct counting *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    arena_init(&c->run);
    arena_init(&c->scratch);
    c->lsn = lsn_sum(w);
    return c;
}

static void begin_shard(struct counting *c, const struct count *all, struct engine *e, struct shard *s)
{
    const struct defset *set = shard_definitions(s);
    arena_reset(&c->run);
    c->person = (struct person){.store = shard_store(s),
                                .set = &set->journeys,
                                .schema = &set->schema,
                                .scratch = &c->scratch,
                                .now = all->as_of};
    c->context = (struct expr_context){.source = &person_source,
                                       .self = &c->person,
                                       .now = all->as_of,
                                       .week = &set->journeys.week,
                                       .scratch = &c->scratch,
                                       .next_change = UINT32_MAX};
    c->reach = (struct scan_person){&c->context, c, turn_to};
    c->scan = scan_begin(shard_store(s), all->plan, e->kernels, &c->reach, &c->run);
}

static enum call_state count_slice(struct worker *w, struct part *p)
{
    const struct count *all = p->scatter->owner;
    struct counting *c = p->result ? p->result : counting_new(w);
    uint64_t until = loop_now_us() + SLICE_US;
    p->result = c;
    for (; p->shard < w->shard_count; p->shard++, c->scan = NULL) {
        if (!c->scan) begin_shard(c, all, w->engine, w->shards[p->shard]);
        while (scan_count(c->scan, &c->sum))
            if (loop_now_us() >= until) return CALL_AGAIN;
    }
    c->lsn = lsn_sum(w) - c->lsn;
    return CALL_DONE;
}

static void take_counting(struct count *all, struct counting *c)
{
    all->matched += c->sum.yes;
    all->of += c->sum.of;
    all->errors += c->sum.errors;
    all->meanwhile += c->lsn;
    arena_free(&c->run);
    arena_free(&c->scratch);
    free(c);
}

static void counted(struct scatter *s)
{
    struct count *c = s->owner;
    struct request *r = c->request;
    for (uint32_t i = 0; i < s->count; i++) take_counting(c, s->parts[i].result);
    scatter_free(s);
    pk_map(&r->pack, 5);
    pk_key_uint(&r->pack, "count", c->matched);
    pk_key_uint(&r->pack, "of", c->of);
    pk_key_uint(&r->pack, "as_of", c->as_of);
    pk_key_uint(&r->pack, "errors", c->errors);
    pk_key_uint(&r->pack, "meanwhile", c->meanwhile);
    arena_free(&c->arena);
    free(c);
    request_reply(r);
}

void method_query_count(struct request *r)
{
    struct slice text;
    if (!param_text(r, 0, "expression", &text)) {
        request_bad(r, "expression is a text");
        return;
    }
    struct count *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->request = r;
    c->as_of = clock_now(&r->engine->clock);
    arena_init(&c->arena);
    struct expr_errors errors = {0};
    const struct program *p =
        defset_expression(sets_newest(r->engine->sets), ID_NONE, text, WANT_BOOL, &c->arena, &errors);
    if (!p) {
        request_fail_expression(r, text, &errors);
        arena_free(&c->arena);
        free(c);
        return;
    }
    c->plan = block_plan_make(p, &c->arena);
    struct scatter *s = scatter_new(r->engine, c);
    s->run = count_slice;
    s->done = counted;
    scatter_start(s);
}

/* ---- what two segments share ---------------------------------------------------------------------------- */

struct shared_count {
    struct request *request;
    uint16_t a, b;
};

static enum call_state count_shared(struct worker *w, struct part *p)
{
    const struct shared_count *c = p->scatter->owner;
    struct overlap *sum = p->result ? p->result : calloc(1, sizeof *sum);
    CHECK(sum != NULL);
    p->result = sum;
    if (p->shard == w->shard_count) return CALL_HELD;
    struct overlap one = segments_overlap(shard_store(w->shards[p->shard++]), w->engine->kernels, c->a, c->b);
    sum->both += one.both;
    sum->only_a += one.only_a;
    sum->only_b += one.only_b;
    return CALL_AGAIN;
}

static void shared_counted(struct scatter *s)
{
    struct shared_count *c = s->owner;
    struct request *r = c->request;
    struct overlap sum = {0};
    for (uint32_t i = 0; i < s->count; i++) {
        struct overlap *one = s->parts[i].result;
        sum.both += one->both;
        sum.only_a += one->only_a;
        sum.only_b += one->only_b;
        free(one);
    }
    scatter_free(s);
    free(c);
    pk_map(&r->pack, 3);
    pk_key_uint(&r->pack, "both", sum.both);
    pk_key_uint(&r->pack, "only_a", sum.only_a);
    pk_key_uint(&r->pack, "only_b", sum.only_b);
    request_reply(r);
}

void method_segment_overlap(struct request *r)
{
    uint16_t a = request_segment(r, 0, "a"), b = a == ID_NONE ? ID_NONE : request_segment(r, 1, "b");
    if (b == ID_NONE) return;
    struct shared_count *c = malloc(sizeof *c);
    CHECK(c != NULL);
    *c = (struct shared_count){r, a, b};
    struct scatter *s = scatter_new(r->engine, c);
    s->run = count_shared;
    s->done = shared_counted;
    scatter_start(s);
}
