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
    struct touched touched = {0};
    member_set(&W->store, row, bought, true,
               W->now); /* wrong on purpose: only who is evaluated is put right */
    member_set(&W->store, row, 7, true, W->now);
    touch(&touched, FEATURE_HISTORY, ORDERED);
    cr_assert_eq(segments_update(&W->segments, &W->store, row, &touched, &ctx, flips, 8), 1);
    cr_assert_eq(flips[0].segment, bought);
    cr_assert(member_get(&W->store, row, 7));
    touched.everything = true;
    cr_assert_eq(segments_update(&W->segments, &W->store, row, &touched, &ctx, flips, 8), 1);
    cr_assert_not(member_get(&W->store, row, 7));
}
