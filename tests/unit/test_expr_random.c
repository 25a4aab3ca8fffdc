/* Random typed expressions on random people: program, plan over a block and reference against each other, and every
 * predicted change against the clock. HG_EXPR_COUNT sets how many expressions (default 100,000), HG_EXPR_HISTORIES how many histories (5,000),
 * HG_EXPR_SEED the seed; all print theirs. */
#include "core/expr/program.h"
#include "tests/unit/expr_people.h"
#include "tests/unit/expr_reference.h"
#include "tests/unit/expr_shrink.h"

#include <criterion/criterion.h>

/* ---- one expression, both ways --------------------------------------------------------------------------- */

static struct arena arena, scratch;

struct both {
    const char *text;
    const struct program *program;
    const struct tree *tree;
};

/* Constants that cannot be right, and a window inside a filter that asks for the event at hand. */
static bool is_rightly_refused(const char *reason)
{
    return strstr(reason, "always fails") || strstr(reason, "longer than nothing") ||
           strstr(reason, "history does not hold an event's context");
}

/* False: refused, try another. */
static bool compile(struct both *b)
{
    struct expr_errors errors = {0};
    arena_reset(&arena);
    arena_reset(&texts);
    do b->text = boolean(1 + (int)random_below(chance(20) ? 6 : 4), false);
    while (strlen(b->text) > 3000);
    b->program =
        expr_compile(expr_pool_create(&arena), &person_scope, slice_str(b->text), WANT_BOOL, &errors);
    struct expr_errors none = {0};
    b->tree = expr_parse(&arena, slice_str(b->text), &none);
    for (uint32_t i = 0; !b->program && i < errors.count; i++)
        if (!errors.list[i].warning && !is_rightly_refused(errors.list[i].reason))
            cr_assert_fail("%s: %s", b->text, errors.list[i].reason);
    return b->program != NULL;
}

static struct value run(const struct both *b, struct person *p, uint32_t now, uint32_t *next)
{
    arena_reset(&scratch);
    struct expr_context ctx = {.source = &person_source,
                               .self = p,
                               .now = now,
                               .zone = p->zone,
                               .scratch = &scratch,
                               .next_change = UINT32_MAX};
    struct value v = program_run(b->program, &ctx);
    *next = ctx.next_change;
    return v;
}

static struct value reference(const struct both *b, struct person *p, uint32_t now)
{
    arena_reset(&scratch);
    struct ref r = {.p = p, .now = now, .arena = &scratch};
    return ref_eval(&r, b->tree);
}

/* What the checker refuses so far: whoever makes it work adds it to the generator and the reference. */
static bool is_pending(const char *name)
{
    static const char *const samples[][2] = {{"revenue", "revenue() > 1.0"},
                                             {"rate", "rate('unsubscribed', 'email', days(1)) > 0.1"},
                                             {"in_lane", "in_lane('main')"},
                                             {"catalog", "catalog('products', 'a').price > 1.0"}};
    struct expr_errors errors = {0};
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        if (strcmp(name, samples[i][0]) == 0)
            return !expr_compile(expr_pool_create(&arena), &person_scope, slice_str(samples[i][1]), WANT_BOOL,
                                 &errors);
    return false;
}

/* true, false, or an error: that is all a predicate can be. */
static int truth(struct value v) { return v.kind == V_BOOL ? v.b : 2; }

static void set_up(void)
{
    arena_init(&arena);
    arena_init(&texts);
    arena_init(&scratch);
}

/* The rows of `mask` by a plan over the block, at a level of the machine, against the program for each. */
static void check_block(const struct both *b, enum cpu_level level)
{
    static struct truth out;
    uint64_t mask[BLOCK_WORDS] = {0};
    people_block.now = BASE;
    people_block.scratch = &scratch;
    for (uint32_t i = 0; i < PEOPLE; i++) mask[i / 64] |= (uint64_t)chance(85) << i % 64;
    struct block_run *run_ = block_run_make(block_plan_make(b->program, &arena), kernels_at(level),
                                            &people_source, BASE, &arena, &scratch);
    while (block_run_prepare(run_, 3)) continue;
    uint32_t first = chance(50) ? 0 : random_below((PEOPLE + 63) / 64), words = (PEOPLE + 63) / 64 - first;
    block_run_words(run_, first, words, mask, &out);
    for (uint32_t i = first * 64; i < PEOPLE; i++) {
        uint64_t bit = 1ull << i % 64;
        int asked = (mask[i / 64] & bit) != 0, yes = (out.yes[i / 64] & bit) != 0,
            no = (out.no[i / 64] & bit) != 0;
        int wanted = truth(people_row(&people_block, b->program, i));
        cr_assert(asked ? yes == (wanted == 1) && no == (wanted == 0) : !yes && !no,
                  "%s: row %u of the block at level %s: yes %d, no %d, asked %d; the program says %d",
                  b->text, i, cpu_level_name(level), yes, no, asked, wanted);
    }
}

Test(expr_random, program_block_and_reference_agree, .init = set_up)
{
    seed("expr_random");
    uint64_t count = number_from("HG_EXPR_COUNT", 100000), seen[3] = {0}, refused = 0, by_columns = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct both b;
        uint32_t next;
        if (i % 4096 == 0) people_new(false);
        while (!compile(&b)) refused++;
        struct person *p = &people[random_below(PEOPLE)];
        int got = truth(run(&b, p, BASE, &next)), wanted = truth(reference(&b, p, BASE));
        cr_assert_eq(got, wanted, "expression %llu: %s: %d, not %d: %s", (unsigned long long)i, b.text, got,
                     wanted, tree_shrink(&arena, b.tree, p, BASE));
        seen[got]++;
        check_block(&b, (enum cpu_level)(i % (cpu_best() + 1u)));
        by_columns += !block_plan_asks_rows(block_plan_make(b.program, &arena));
    }
    fprintf(stderr, "expr_random: %llu false, %llu true, %llu errors, %llu refused; %llu by columns alone\n",
            (unsigned long long)seen[0], (unsigned long long)seen[1], (unsigned long long)seen[2],
            (unsigned long long)refused, (unsigned long long)by_columns);
    for (uint32_t i = 0; i < 3; i++)
        cover_find(slice_str((const char *[]){"result false", "result true", "result error"}[i]), "")->count =
            seen[i];
    cr_assert(cover_report(is_pending), "every function and operator is reached");
    cr_assert(seen[0] > count / 10 && seen[1] > count / 10 && seen[2] > count / 50 &&
              by_columns > count / 50);
}

/* ---- what is said about time ------------------------------------------------------------------------------ */

/* One history and one timed expression about it: what was last said to hold, and until when. */
struct foresight {
    struct both b;
    struct person *p;
    int held;
    uint32_t now, next;
    uint64_t seconds, wakes, flips;
};

static void look(struct foresight *f, uint32_t now)
{
    int real = truth(reference(&f->b, f->p, now));
    f->now = now;
    f->held = truth(run(&f->b, f->p, now, &f->next));
    cr_assert_eq(f->held, real, "%s: at +%u: %s", f->b.text, now - base,
                 tree_shrink(&arena, f->b.tree, f->p, now));
    cr_assert_gt(f->next, now, "%s: a change in the past", f->b.text);
}

/* Between the look and the change that was foretold nothing may be otherwise. */
static void must_hold(struct foresight *f, uint32_t second)
{
    int real = truth(reference(&f->b, f->p, second));
    f->seconds++;
    cr_assert_eq(real, f->held, "%s: at +%u it is %d, but %d was said at +%u to last until +%u", f->b.text,
                 second - base, real, f->held, f->now - base, f->next - base);
}

static void wake(struct foresight *f, uint32_t now)
{
    int was = f->held;
    look(f, now);
    f->wakes++;
    f->flips += f->held != was;
}

static void foresee(struct foresight *f, struct person *p, bool near)
{
    near_windows = near;
    base = near ? bases[random_below(sizeof bases / sizeof *bases)] : BASE;
    do
        while (!compile(&f->b)) continue;
    while (!program_timed(f->b.program));
    random_person(p, near);
    f->p = p;
    look(f, base);
}

static void report(const char *test, const struct foresight *f, uint64_t histories)
{
    fprintf(stderr, "%s: %llu histories, %llu seconds, %llu wake-ups, %llu flips\n", test,
            (unsigned long long)histories, (unsigned long long)f->seconds, (unsigned long long)f->wakes,
            (unsigned long long)f->flips);
    cr_assert_gt(f->flips, histories / 20);
}

Test(expr_random, no_change_comes_before_it_was_predicted, .init = set_up)
{
    seed("expr_time");
    uint64_t count = number_from("HG_EXPR_HISTORIES", 5000);
    static struct person p;
    struct foresight f = {0};
    for (uint64_t i = 0; i < count; i++) {
        foresee(&f, &p, true);
        for (uint32_t now = base + 1; now <= base + STEPS; now++)
            if (now < f.next)
                must_hold(&f, now);
            else
                wake(&f, now);
        person_unseal(&p);
    }
    report("expr_time", &f, count);
}

/* From one predicted change to the next: two seconds before and behind it, and some seconds between. What changes all
 * the time is followed for a while, then again from a later day. */
static void follow(struct foresight *f, uint32_t until)
{
    for (uint32_t hops = 0; f->next <= until && f->now < until; hops++) {
        uint32_t at = f->next, gap = at - f->now;
        for (uint32_t back = 2; back; back--)
            if (gap > back) must_hold(f, at - back);
        for (uint32_t i = 0; i < 4 && gap > 3; i++) must_hold(f, f->now + 1 + random_below(gap - 1));
        wake(f, at);
        for (uint32_t now = at + 1; now <= at + 2; now++)
            if (now < f->next)
                must_hold(f, now);
            else
                wake(f, now);
        if (hops % 32 == 31 && f->now < until) look(f, f->now + 1 + random_below(until - f->now + 1));
    }
    for (uint32_t i = 0; i < 8 && f->now + 1 < until && f->next > until; i++)
        must_hold(f, f->now + 1 + random_below(until - f->now));
}

Test(expr_random, no_change_within_ninety_days_is_missed, .init = set_up)
{
    seed("expr_days");
    uint64_t count = number_from("HG_EXPR_HISTORIES", 5000);
    static struct person p;
    struct foresight f = {0};
    for (uint64_t i = 0; i < count; i++) {
        foresee(&f, &p, chance(30));
        follow(&f, base + 90 * 86400);
        person_unseal(&p);
    }
    report("expr_days", &f, count);
}

/* ---- formulas ------------------------------------------------------------------------------------------------ */

static const char *formula_leaf(void)
{
    const char *type = ONE_OF("'Order'", "'View'"), *op = ONE_OF(">", ">=", "<", "<=");
    uint32_t n = random_below(chance(70) ? 4 : 20), seconds = 1 + random_below(chance(50) ? 900 : 200000);
    switch (random_below(9)) {
    case 8: return TEXT("%s.total %s %u", ONE_OF("e", "trigger"), ONE_OF("==", "!=", ">", "<="), n * 10);
    case 0: return TEXT("count(%s) %s %u", chance(30) ? "'*'" : type, op, n);
    case 1:
        return TEXT("count(%s) %s count(%s)", type, ONE_OF("==", "!=", "<", ">="), ONE_OF("'View'", "'*'"));
    case 2: return TEXT("count(%s, duration('%us')) %s 0", type, seconds, ONE_OF("==", "!="));
    case 3: return TEXT("%u %s count(%s, duration('%us'))", n, op, type, seconds);
    case 4:
    case 5: return TEXT("count(%s, duration('%us')) %s %u", type, seconds, op, n);
    case 6: return TEXT("ago(%s) %s duration('%us')", type, op, seconds);
    default: return "segment('vips')";
    }
}

static const char *formula_text(int depth)
{
    if (depth == 0 || chance(20)) return formula_leaf();
    if (chance(15)) return TEXT("!(%s)", formula_text(depth - 1));
    const char *left = formula_text(depth - 1);
    return TEXT("(%s) %s (%s)", left, ONE_OF("&&", "||"), formula_text(depth - 1));
}

/* program_true where it goes by the formula, with a view at hand or without, against the machine. */
static bool check_formula(const struct program *program, const char *text, struct person *p, uint32_t now)
{
    struct history_view view;
    struct expr_context machine = {.source = &person_source,
                                   .self = p,
                                   .now = now,
                                   .zone = p->zone,
                                   .scratch = &scratch,
                                   .next_change = UINT32_MAX},
                        short_way = machine;
    uint16_t type = chance(50) ? ORDER : VIEW;
    if (chance(50) && person_history(p, type, &view))
        short_way.at_hand = &view, short_way.at_hand_type = type;
    struct value wanted = program_run(program, &machine);
    bool got = false;
    if (!formula_true(program->formula, &short_way, &got)) return false;
    cr_assert(wanted.kind == V_BOOL && wanted.b == got, "%s: %d", text, got);
    cr_assert_eq(short_way.next_change, machine.next_change, "%s: until +%u, not +%u", text,
                 short_way.next_change - now, machine.next_change - now);
    return true;
}

Test(expr_random, a_formula_says_what_the_machine_says, .init = set_up)
{
    seed("expr_formula");
    uint64_t count = number_from("HG_EXPR_COUNT", 100000) / 5, formulas = 0, decided = 0;
    static struct person p;
    for (uint64_t i = 0; i < count; i++) {
        arena_reset(&arena);
        arena_reset(&texts);
        arena_reset(&scratch);
        struct expr_errors errors = {0};
        const char *text = formula_text((int)random_below(4));
        const struct program *program =
            expr_compile(expr_pool_create(&arena), &person_scope, slice_str(text), WANT_BOOL, &errors);
        if (!program || !program->formula) continue;
        base = BASE;
        random_person(&p, chance(70));
        formulas++;
        for (uint32_t k = 0; k < 4; k++)
            decided += check_formula(program, text, &p, base + k * (chance(50) ? 1 : random_below(4000)));
        person_unseal(&p);
    }
    fprintf(stderr, "expr_formula: %llu formulas, %llu decided\n", (unsigned long long)formulas,
            (unsigned long long)decided);
    cr_assert(formulas > count * 3 / 4 && decided > formulas);
}

/* Bytes of a good text replaced, dropped, doubled: a program or errors, and no other way out. */
Test(expr_random, any_text_ends_in_a_program_or_in_errors, .init = set_up)
{
    seed("expr_text");
    static const char letters[] = "()[]{}.,:?+-*/%!<>=&|'\"\\ e1u\n\xd1#rb";
    uint64_t count = number_from("HG_EXPR_COUNT", 100000) / 10, broken = 0;
    for (uint64_t i = 0; i < count; i++) {
        arena_reset(&arena);
        arena_reset(&texts);
        char text_bytes[4096];
        int n = snprintf(text_bytes, sizeof text_bytes, "%s", boolean(3, false));
        if (n >= (int)sizeof text_bytes) continue;
        for (uint32_t k = 1 + random_below(4); k; k--)
            text_bytes[random_below((uint32_t)n)] = letters[random_below(sizeof letters - 1)];
        struct expr_errors errors = {0};
        struct slice s = slice_of(text_bytes + (chance(20) ? random_below((uint32_t)n) : 0), 0);
        s.n = (uint32_t)(text_bytes + n - (const char *)s.p);
        const struct program *p =
            expr_compile(expr_pool_create(&arena), &person_scope, s, WANT_BOOL, &errors);
        uint32_t serious = 0;
        for (uint32_t k = 0; k < errors.count; k++) {
            serious += !errors.list[k].warning;
            cr_assert(errors.list[k].at <= s.n && errors.list[k].length <= s.n + 1 &&
                      errors.list[k].reason[0]);
        }
        cr_assert_eq(p == NULL, serious > 0, "%.*s", (int)s.n, (const char *)s.p);
        broken += !p;
    }
    cr_assert_gt(broken, count / 4);
}

Test(expr_random, a_text_without_end_is_refused_not_followed, .init = set_up)
{
    static const char *const parts[] = {"true && ", "1 + ",           "!", "-", "(", "[", "a.",
                                        "x[",       "true ? true : ", "f("};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct buf b = {0};
        for (int k = 0; k < 100000; k++) buf_put_str(&b, parts[i]);
        buf_put_str(&b, "1");
        struct expr_errors errors = {0};
        cr_assert_null(
            expr_compile(expr_pool_create(&arena), &person_scope, buf_slice(&b), WANT_ANY, &errors));
        cr_assert_gt(errors.count, 0);
        buf_free(&b);
        arena_reset(&arena);
    }
}
