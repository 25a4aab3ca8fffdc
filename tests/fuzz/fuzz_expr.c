/* Expressions: any text is a program or errors that point into it; a program answers, answers the same again, and its
 * answer holds until the second it names. */
#include "core/expr/tree.h"
#include "tests/unit/expr_person.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { NOW = 1772366400 };

static struct person person;
static struct arena arena, scratch;

static void set_up(void)
{
    arena_init(&arena);
    arena_init(&scratch);
    for (uint32_t t = 0; t < TYPES; t++)
        for (uint32_t i = 0; i < 12; i++) {
            struct deed *d = &person.deeds[t][person.count[t]++];
            *d = (struct deed){.time = NOW - 86400 * (40 - 3 * i) - t * 7};
            d->prop[0] = value_double(10.5 * i);
            d->prop[1] = i % 3 ? value_string(SLICE("Omsk")) : value_none();
            d->prop[2] = value_bool(i & 1);
        }
    person.attribute[CITY] = value_string(SLICE("Omsk"));
    person.attribute[PLAN] = value_double(3);
    person.attribute[VIP] = value_bool(true);
    person.attribute[EXPIRES] = value_time(NOW + 86400);
    for (uint32_t scope = 0; scope < SCOPES; scope++) {
        person.at_hand[scope][0] = value_double(99);
        person.event_at[scope] = NOW - 5;
    }
    person.member = person.listed = person.consents = person.reachable = person.inside = true;
    person.entered = NOW - 1000;
    person_seal(&person, 3);
}

static struct value run(const struct program *p, uint32_t now, uint32_t *next)
{
    arena_reset(&scratch);
    struct expr_context ctx = {.source = &person_source,
                               .self = &person,
                               .now = now,
                               .scratch = &scratch,
                               .next_change = UINT32_MAX};
    struct value v = program_run(p, &ctx);
    CHECK(ctx.next_change > now);
    *next = ctx.next_change;
    return v;
}

/* Predicates only: true, false, or an error. */
static int truth(struct value v) { return v.kind == V_BOOL ? v.b : 2; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct expr_errors errors = {0};
    uint32_t next, later, serious = 0;
    if (!person.count[0]) set_up();
    if (n > 4096) return 0;
    arena_reset(&arena);
    struct slice text = slice_of(data, n);
    const struct program *p = expr_compile(expr_pool_create(&arena), &person_scope, text, WANT_BOOL, &errors);
    for (uint32_t i = 0; i < errors.count; i++) {
        serious += !errors.list[i].warning;
        CHECK(errors.list[i].at <= n && errors.list[i].length <= n + 1 && errors.list[i].reason[0]);
    }
    CHECK((p == NULL) == (serious > 0));
    if (!p) return 0;
    int first = truth(run(p, NOW, &next));
    CHECK(truth(run(p, NOW, &later)) == first && later == next);
    if (next > NOW + 1 && next != UINT32_MAX)
        CHECK(truth(run(p, next - 1, &later)) == first && later == next);
    if (next == UINT32_MAX) CHECK(truth(run(p, NOW + 400 * 86400, &later)) == first);
    return 0;
}
