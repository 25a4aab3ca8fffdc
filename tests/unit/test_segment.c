/* Memberships beside the slow truth: every segment evaluated anew after each step. */
#include "tests/unit/journey_kit.h"

TestSuite(segment, .init = world_open, .fini = world_close);

static bool slow_truth(uint16_t id, row_t row)
{
    struct person p = {.store = &W->store,
                       .row = row,
                       .set = &W->journeys,
                       .schema = &W->schema,
                       .now = W->now,
                       .scratch = &W->scratch};
    struct expr_context ctx = {.source = &person_source,
                               .self = &p,
                               .now = W->now,
                               .zone = zone_utc(),
                               .week = &W->journeys.week,
                               .scratch = &W->scratch,
                               .next_change = UINT32_MAX};
    return program_true(W->segment_list[id].when, &ctx);
}

static void agrees(const char *user)
{
    row_t row = person(user);
    for (uint16_t id = 0; id < W->segments.count; id++)
        cr_assert_eq(member_get(&W->store, row, id), slow_truth(id, row), "%.*s of %s at %u",
                     (int)W->segment_list[id].name.n, W->segment_list[id].name.p, user, W->now - START);
    arena_reset(&W->scratch);
}

static void make_many(void)
{
    segment("bought", "count(\"Order Completed\") >= 1");
    segment("viewer",
            "count(\"Product Viewed\", hours(24)) >= 3 && count(\"Order Completed\", hours(24)) == 0");
    segment("sleeping", "count(\"Order Completed\") > 0 && ago(\"Order Completed\") >= days(3)");
    segment("vip", "profile.status == \"vip\"");
    segment("sleeping vip", "segment(\"vip\") && segment(\"sleeping\")");
    segment("not sleeping vip", "!segment(\"sleeping vip\")");
    segment("reader", "reachable(\"email\")");
    segment("any", "count(\"*\") >= 5");
    segment("recent", "profile.last_seen > timestamp(\"2026-01-03T00:00:00Z\")");
    segment("big", "sum(\"Order Completed\", e.total) > 100.0");
}

Test(segment, follows_every_event_and_every_second_at_which_time_flips_one)
{
    uint64_t seed = 99;
    printf("seed %llu\n", (unsigned long long)seed);
    make_many();
    identify("u", "{}");
    identify("v", "{}");
    const char *events[] = {"Product Viewed", "Product Added", "Order Completed"};
    for (int i = 0; i < 400; i++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        uint32_t r = (uint32_t)(seed >> 33);
        const char *user = r % 2 ? "u" : "v";
        if (r / 2 % 8 == 0)
            identify(user, r / 16 % 2 ? "{'status':'vip','email':'a@b','consent':{'email':true}}"
                                      : "{'status':'x','email':null,'consent':{'email':false}}");
        else
            track(user, events[r / 16 % 3],
                  arena_printf(&W->arena, "{'total':%u,'price':%d}", r / 64 % 50, i));
        agrees("u");
        agrees("v");
        uint32_t until = W->now + r / 4096 % (8 * HOUR), due;
        while (!row_none(earliest_wake(&due)) &&
               due <= until) { /* the second before each wake-up, and that second */
            if (due > W->now + 1) W->now = due - 1;
            agrees("u");
            agrees("v");
            advance(due);
            agrees("u");
            agrees("v");
        }
        W->now = until;
        agrees("u");
        agrees("v");
    }
}

Test(segment, flips_come_once_in_order_of_id_and_carry_their_second)
{
    make_many();
    struct journey *j = journey("j", match((struct match){.kind = MATCH_SEGMENT_ENTERED, .id = 0}),
                                STEPS(wait_s(1, STEP_END)));
    j->reentry = REENTRY_ALWAYS;
    pass(77);
    track("u", "Order Completed", "{'total':500}");
    uint32_t entered, left;
    member_times(&W->store, person("u"), 9, &entered, &left);
    cr_assert_eq(entered, START + 77);
    pass(10);
    track("u", "Order Completed", "{'total':1}");
    cr_assert_eq(W->counters[j->id].entered, 1);
    cr_assert_eq(member_count(&W->store, 0), 1);
}

Test(segment, a_cycle_is_named)
{
    segment("a", "count(\"Order Completed\") >= 1");
    segment("b", "segment(\"a\")");
    segment("c", "segment(\"b\")");
    W->segment_list[0].when = compile("segment(\"c\")", WANT_BOOL, ID_NONE);
    uint16_t cycle[8];
    uint32_t n = 8;
    cr_assert_not(segment_set_index(&W->segments, &W->arena, cycle, &n));
    cr_assert_eq(n, 3);
}

Test(segment, an_event_evaluates_only_the_segments_that_read_what_it_touched)
{
    for (int i = 0; i < 100; i++)
        segment(arena_printf(&W->arena, "s%d", i), arena_printf(&W->arena, "profile.bonus > %d.0", i));
    uint16_t bought = segment("bought", "count(\"Order Completed\") >= 1");
    row_t row = person("u");
    reserve();
    struct person p = {
        .store = &W->store, .row = row, .set = &W->journeys, .schema = &W->schema, .scratch = &W->scratch};
    struct expr_context ctx = {.source = &person_source,
                               .self = &p,
                               .now = W->now,
                               .zone = zone_utc(),
                               .week = &W->journeys.week,
                               .scratch = &W->scratch,
                               .next_change = UINT32_MAX};
    struct flip flips[8];
    struct segment_marks marks;
    struct touched touched = {0};
    member_set(&W->store, row, bought, true,
               W->now); /* wrong on purpose: only who is evaluated is put right */
    member_set(&W->store, row, 7, true, W->now);
    touch(&touched, FEATURE_HISTORY, ORDERED);
    cr_assert(segments_mark(&W->segments, &W->store, row, &touched, W->now, &marks));
    cr_assert_eq(segments_update(&W->segments, &W->store, row, &marks, &ctx, flips, 8), 1);
    cr_assert_eq(flips[0].segment, bought);
    cr_assert(member_get(&W->store, row, 7));
    touched.everything = true;
    cr_assert(segments_mark(&W->segments, &W->store, row, &touched, W->now, &marks));
    cr_assert_eq(segments_update(&W->segments, &W->store, row, &marks, &ctx, flips, 8), 1);
    cr_assert_not(member_get(&W->store, row, 7));
}

/* Says which second the marks of one more order at `at` name, and whether anything is marked. */
static bool marks_order(row_t row, uint32_t at, uint32_t *next)
{
    struct segment_marks marks;
    struct history_change change = {.type = ORDERED, .at = at};
    struct touched touched = {.event = &change};
    reserve();
    behaviour_add(&W->store, row, ORDERED, at, at, NULL, W->now, &change.counts);
    bool any = segments_mark(&W->segments, &W->store, row, &touched, W->now, &marks);
    *next = marks.next;
    return any;
}

Test(segment, a_first_event_does_not_ask_who_has_not_come_back_but_says_when)
{
    for (int i = 5; i > 1; i--)
        segment(arena_printf(&W->arena, "away %d", i),
                arena_printf(&W->arena,
                             "count(\"Order Completed\") > 0 && ago(\"Order Completed\") >= days(%d)", i));
    segment("seen", "ago(\"Product Viewed\") > days(1) && count(\"Product Viewed\") >= 1");
    uint32_t next;
    cr_expect_not(marks_order(person("u"), W->now - 10, &next));
    cr_expect_eq(next, W->now - 10 + 2 * 24 * HOUR);
    cr_expect_not(marks_order(person("u"), W->now, &next), "a later one only puts that off");
    cr_expect_eq(next, UINT32_MAX);
    cr_expect(marks_order(person("v"), W->now - 3 * 24 * HOUR, &next), "two of them hold at once");
    cr_expect_eq(next, W->now + 24 * HOUR);
}

/* ---- an event looks only at comparisons whose constant it may have crossed ------------------------------ */

static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(*seed >> 33) % below;
}

static const char *draw_leaf(uint64_t *seed)
{
    static const char *const events[] = {"Product Viewed", "Order Completed"};
    static const char *const compare[] = {">=", ">", "<", "<=", "==", "!="};
    const char *e = events[draw(seed, 2)], *op = compare[draw(seed, 6)], *order = compare[draw(seed, 4)];
    uint32_t n = draw(seed, 7), hours = 1 + draw(seed, 40);
    uint32_t many = draw(seed, 3) ? n : 60 + draw(seed, 10); /* about the cap of a history: 64 */
    const char *unit = draw(seed, 2) ? "day" : draw(seed, 4) ? "week" : "month";
    switch (draw(seed, 11)) {
    case 8: return arena_printf(&W->arena, "count(\"%s\", calendar(\"%s\")) %s %u", e, unit, op, many);
    case 9:
        return arena_printf(&W->arena, "sum(\"Order Completed\", e.total, calendar(\"%s\")) %s %u", unit,
                            order, 20 * n);
    case 10:
        return arena_printf(&W->arena, "%s(\"Order Completed\", e.total, calendar(\"%s\")) %s %u",
                            draw(seed, 2) ? "min" : "max", unit, order, 6 * n);
    case 0: return arena_printf(&W->arena, "count(\"%s\") %s %u", e, op, 3 * n);
    case 1: return arena_printf(&W->arena, "%u %s count(\"%s\", hours(%u))", many, op, e, hours);
    case 2:
        return arena_printf(&W->arena, "sum(\"Order Completed\", e.total, hours(%u)) %s %u.0", hours, op,
                            20 * n);
    case 3: return arena_printf(&W->arena, "sum(\"Order Completed\", e.total) %s %u.5", order, 360 * n * n);
    case 4: return arena_printf(&W->arena, "ago(\"%s\") %s hours(%u)", e, order, hours);
    case 5: return arena_printf(&W->arena, "profile.last_seen > profile.first_seen + hours(%u)", hours);
    case 6: return arena_printf(&W->arena, "count(\"*\") %s %u", op, 50 * n);
    default: return arena_printf(&W->arena, "count(\"%s\", hours(%u)) %s %u", e, hours, op, many);
    }
}

static const char *draw_predicate(uint64_t *seed, uint32_t depth)
{
    if (depth == 0) return draw_leaf(seed);
    const char *a = draw_predicate(seed, depth - 1), *b = draw_predicate(seed, depth - 1);
    switch (draw(seed, 4)) {
    case 0: return arena_printf(&W->arena, "!(%s)", a);
    case 1: return arena_printf(&W->arena, "(%s || %s)", a, b);
    case 2: return arena_printf(&W->arena, "(%s ? %s : !(%s))", a, b, a);
    default: return arena_printf(&W->arena, "(%s && %s)", a, b);
    }
}

/* Late, on time and (rarely) ahead of time; now and then a negative total. */
static void draw_event(uint64_t *seed, const char *user)
{
    uint32_t kind = draw(seed, 12), at = W->now;
    if (kind == 0) at -= draw(seed, 30 * HOUR);
    if (kind == 1 && draw(seed, 3) == 0) at += draw(seed, 2 * HOUR);
    int total = (int)draw(seed, 40) - (draw(seed, 10) == 0 ? 30 : 0);
    happens_at(user,
               arena_printf(&W->arena,
                            "{'type':'track','userId':'%s','event':'%s','properties':{'total':%d}}", user,
                            draw(seed, 2) ? "Product Viewed" : "Order Completed", total),
               at);
}

/* Time goes on - slowly, so that history reaches its cap and folds inside windows, or fast: right at every wake-up, and still right one second before it. */
static void draw_time(uint64_t *seed, bool slowly)
{
    uint32_t until = W->now + draw(seed, slowly ? 120 : draw(seed, 4) ? 600 : 9 * HOUR), due;
    while (!row_none(earliest_wake(&due)) && due <= until) {
        if (due > W->now + 1) W->now = due - 1;
        agrees("u");
        advance(due);
        agrees("u");
    }
    W->now = until;
    agrees("u");
}

Test(segment, what_deltas_leave_out_is_what_full_evaluation_would_not_change)
{
    uint64_t seed = 4711;
    printf("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < 40; i++)
        segment(arena_printf(&W->arena, "s%d", i), draw_predicate(&seed, draw(&seed, 3)));
    pass(60 * HOUR);
    for (int i = 0; i < 1500; i++) {
        draw_event(&seed, "u");
        agrees("u");
        draw_time(&seed, i / 300 % 2 == 1);
    }
}
