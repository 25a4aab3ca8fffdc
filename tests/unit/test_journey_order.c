/* What happens first, and when: waits, exits, goals, re-entry. */
#include "tests/unit/journey_kit.h"

TestSuite(order, .init = world_open, .fini = world_close);

static struct journey *cart(void)
{
    return journey("cart", ON(ADDED), STEPS(wait_s(30 * MINUTE, 1), send_to("m1", EMAIL, STEP_END)));
}

Test(order, a_wait_fires_at_its_very_second_and_not_before)
{
    cart();
    reachable_person("u");
    track("u", "Product Added", "{'price':10}");
    pass(30 * MINUTE - 1);
    cr_sent("");
    pass(1);
    cr_sent("m1@1800");
    cr_assert_str_eq(W->sent[0].to, "u@example.org");
}

Test(order, an_event_one_second_before_the_timer_wins)
{
    struct journey *j = cart();
    j->exits = ON(ORDERED);
    j->exit_count = 1;
    reachable_person("u");
    track("u", "Product Added", "{}");
    pass(30 * MINUTE - 1);
    track("u", "Order Completed", "{'total':5}");
    pass(DAYS(1));
    cr_sent("");
    cr_assert_eq(W->counters[j->id].exited, 1);
    cr_balance(j);
}

Test(order, in_the_same_second_the_timer_was_first)
{
    struct journey *j = cart();
    j->exits = ON(ORDERED);
    j->exit_count = 1;
    reachable_person("u");
    track("u", "Product Added", "{}");
    W->now += 30 * MINUTE;
    track("u", "Order Completed", "{}");
    cr_sent("m1@1800");
    cr_assert_eq(W->counters[j->id].completed, 1);
    cr_balance(j);
}

Test(order, a_goal_ends_the_instance_counts_its_value_and_only_once)
{
    struct journey *j = cart();
    j->has_goal = true;
    j->goal = *ON(ORDERED);
    j->goal_within_s = DAYS(3);
    j->goal_value = compile("e.total", WANT_NUMBER, ORDERED);
    reachable_person("u");
    track("u", "Product Added", "{}");
    pass(HOUR);
    cr_sent("m1@1800");
    track("u", "Order Completed", "{'total':12.5}");
    track("u", "Order Completed", "{'total':100}");
    cr_assert_eq(W->counters[j->id].converted, 1, "finished, but still inside `within`");
    cr_assert_eq(W->counters[j->id].converted_touched, 1);
    cr_assert_eq(W->counters[j->id].revenue_micros, 12500000);
    cr_assert_eq(W->counters[j->id].completed, 1);
    cr_assert_eq(instances("u", NULL), 0);
    cr_balance(j);
}

Test(order, a_goal_reached_while_inside_ends_it)
{
    struct journey *j = cart();
    j->has_goal = true;
    j->goal = *ON(ORDERED);
    reachable_person("u");
    track("u", "Product Added", "{}");
    track("u", "Order Completed", "{'total':1}");
    pass(DAYS(1));
    cr_sent("");
    cr_assert_eq(W->counters[j->id].goal, 1);
    cr_assert_eq(W->counters[j->id].converted_touched, 0);
    cr_balance(j);
}

Test(order, a_goal_that_stays_converts_once_and_goes_on)
{
    struct journey *j = cart();
    j->has_goal = j->goal_stay = true;
    j->goal = *ON(ORDERED);
    reachable_person("u");
    track("u", "Product Added", "{}");
    track("u", "Order Completed", "{'total':1}");
    track("u", "Order Completed", "{'total':1}");
    pass(DAYS(1));
    cr_sent("m1@1800");
    cr_assert_eq(W->counters[j->id].converted, 1);
    cr_balance(j);
}

Test(order, after_within_it_is_no_goal_any_more)
{
    struct journey *j = journey("j", ON(ADDED), STEPS(wait_s(DAYS(10), STEP_END)));
    j->has_goal = true;
    j->goal = *ON(ORDERED);
    j->goal_within_s = DAYS(1);
    track("u", "Product Added", "{}");
    pass(DAYS(1));
    track("u", "Order Completed", "{'total':1}");
    cr_assert_eq(W->counters[j->id].converted, 0);
    cr_assert_eq(W->counters[j->id].active, 1);
}

Test(order, an_order_reported_late_that_was_made_before_the_entry_is_no_goal)
{
    struct journey *j = cart();
    j->has_goal = true;
    j->goal = *ON(ORDERED);
    W->now += DAYS(1);
    track("u", "Product Added", "{}");
    happens_at("u", "{'type':'track','userId':'u','event':'Order Completed','properties':{'total':1}}",
               W->now - HOUR / 2);
    cr_assert_eq(W->counters[j->id].converted, 0);
}

Test(order, a_late_event_ends_journeys_and_starts_none)
{
    struct journey *j = cart(), *thanks = journey("thanks", ON(ORDERED), STEPS(wait_s(1, STEP_END)));
    j->exits = ON(ORDERED);
    j->exit_count = 1;
    W->now += DAYS(1);
    track("u", "Product Added", "{}");
    W->now += 10;
    happens_at("u", "{'type':'track','userId':'u','event':'Order Completed','properties':{}}",
               W->now - 2 * HOUR);
    cr_assert_eq(W->counters[j->id].exited, 1);
    cr_assert_eq(W->counters[thanks->id].entered, 0);
    cr_assert_eq(last_decision("u", thanks), DECISION_LATE);
}

Test(order, exits_by_condition_come_true_with_an_event_and_by_time_alone)
{
    struct journey *a = journey("a", ON(ADDED), STEPS(wait_s(DAYS(30), STEP_END)));
    struct journey *b = journey("b", ON(ADDED), STEPS(wait_s(DAYS(30), STEP_END)));
    struct match by_event = {.kind = MATCH_WHEN,
                             .where = compile("count(\"Order Completed\") >= 2", WANT_BOOL, ID_NONE)};
    struct match by_time = {.kind = MATCH_WHEN,
                            .where = compile("count(\"Product Added\", hours(5)) == 0", WANT_BOOL, ID_NONE)};
    a->exits = match(by_event);
    b->exits = match(by_time);
    a->exit_count = b->exit_count = 1;
    track("u", "Product Added", "{}");
    track("u", "Order Completed", "{}");
    cr_assert_eq(W->counters[a->id].exited, 0);
    track("u", "Order Completed", "{'total':2}");
    cr_assert_eq(W->counters[a->id].exited, 1);
    pass(5 * HOUR - 1);
    cr_assert_eq(W->counters[b->id].exited, 0);
    pass(1);
    cr_assert_eq(W->counters[b->id].exited, 1, "the window emptied at this second");
}

Test(order, exits_by_silence_and_by_time_since_entry)
{
    struct journey *a = journey("a", ON(ADDED), STEPS(wait_s(DAYS(90), STEP_END)));
    struct journey *b = journey("b", ON(ADDED), STEPS(wait_s(DAYS(90), STEP_END)));
    a->exits = match((struct match){.kind = MATCH_SILENCE, .seconds = DAYS(5)});
    b->exits = match((struct match){.kind = MATCH_AFTER, .seconds = DAYS(7)});
    a->exit_count = b->exit_count = 1;
    track("u", "Product Added", "{}");
    pass(DAYS(4));
    track("u", "Product Viewed", "{}");
    pass(DAYS(3) - 1);
    cr_assert_eq(W->counters[b->id].timeout, 0);
    pass(1);
    cr_assert_eq(W->counters[b->id].timeout, 1);
    pass(DAYS(2) - 1);
    cr_assert_eq(W->counters[a->id].timeout, 0);
    pass(1);
    cr_assert_eq(W->counters[a->id].timeout, 1);
    cr_assert_eq(last_decision("u", a), DECISION_TIMEOUT);
    cr_balance(a);
}

Test(order, reentry_once_always_after)
{
    struct journey *once = journey("once", ON(ADDED), STEPS(wait_s(10, STEP_END)));
    struct journey *always = journey("always", ON(ADDED), STEPS(wait_s(10, STEP_END)));
    struct journey *after = journey("after", ON(ADDED), STEPS(wait_s(10, STEP_END)));
    always->reentry = REENTRY_ALWAYS;
    after->reentry = REENTRY_AFTER;
    after->reentry_after_s = DAYS(7);
    uint32_t entered = W->now;
    track("u", "Product Added", "{}");
    pass(5);
    track("u", "Product Added", "{}");
    cr_assert_eq(W->counters[always->id].entered, 1);
    cr_assert_eq(W->counters[always->id].ignored, 1, "a trigger while inside is ignored and counted");
    cr_assert_eq(last_decision("u", always), DECISION_ALREADY_INSIDE);
    advance(entered + DAYS(7) - 1);
    track("u", "Product Added", "{}");
    cr_assert_eq(W->counters[always->id].entered, 2);
    cr_assert_eq(W->counters[after->id].entered, 1);
    cr_assert_eq(last_decision("u", after), DECISION_REENTRY);
    pass(1);
    track("u", "Product Added", "{}");
    cr_assert_eq(W->counters[after->id].entered, 2, "`after` counts from entry");
    cr_assert_eq(W->counters[once->id].entered, 1);
}

Test(order, while_active_restart_and_parallel)
{
    struct journey *restart =
        journey("restart", ON(ADDED), STEPS(wait_s(HOUR, 1), send_to("r", EMAIL, STEP_END)));
    struct journey *parallel =
        journey("parallel", ON(ADDED), STEPS(wait_s(HOUR, 1), send_to("p", EMAIL, STEP_END)));
    restart->reentry = parallel->reentry = REENTRY_ALWAYS;
    restart->while_active = ACTIVE_RESTART;
    parallel->while_active = ACTIVE_PARALLEL;
    reachable_person("u");
    track("u", "Product Added", "{}");
    pass(HOUR / 2);
    track("u", "Product Added", "{'price':2}");
    cr_assert_eq(instances("u", NULL), 3);
    pass(DAYS(1));
    cr_sent("p@3600 p@5400 r@5400");
    cr_assert_neq(W->sent[0].id.lo, W->sent[1].id.lo);
    cr_balance(restart);
    cr_balance(parallel);
}

Test(order, keyed_journeys_run_once_a_key_at_the_same_time)
{
    struct journey *j = journey("keyed", ON(ADDED), STEPS(wait_s(HOUR, 1), send_to("m", EMAIL, STEP_END)));
    j->reentry = REENTRY_KEYED;
    j->key = compile("e.cart_id", WANT_ANY, ADDED);
    j->exits = ON_WHERE(ORDERED, "e.cart_id == trigger.cart_id");
    j->exit_count = 1;
    reachable_person("u");
    track("u", "Product Added", "{'cart_id':'a'}");
    track("u", "Product Added", "{'cart_id':'b'}");
    track("u", "Product Added", "{'cart_id':'a', 'price':3}");
    track("u", "Product Added", "{'price':1}");
    cr_assert_eq(W->counters[j->id].entered, 2);
    cr_assert_eq(last_decision("u", j), DECISION_NO_KEY, "there is no only_if that could be false");
    pass(60);
    track("u", "Order Completed", "{'cart_id':'a'}");
    cr_assert_eq(W->counters[j->id].exited, 1, "only the cart that was bought");
    pass(DAYS(1));
    cr_sent("m@3600");
    cr_balance(j);
}

Test(order, a_journey_that_is_not_live_takes_nobody_and_one_that_closes_lets_them_finish)
{
    struct journey *j = cart();
    reachable_person("u");
    reachable_person("v");
    track("u", "Product Added", "{}");
    j->state = JOURNEY_CLOSING;
    track("v", "Product Added", "{}");
    cr_assert_eq(last_decision("v", j), DECISION_NOT_LIVE);
    pass(DAYS(1));
    cr_sent("m1@1800");
    j->state = JOURNEY_LIVE;
    j->active_from = W->now + 10;
    track("v", "Product Added", "{'price':1}");
    cr_assert_eq(W->counters[j->id].entered, 1);
    pass(10);
    track("v", "Product Added", "{'price':2}");
    cr_assert_eq(W->counters[j->id].entered, 2);
}

Test(order, a_paused_journey_stands_still_until_it_is_resumed)
{
    struct journey *j = cart();
    reachable_person("u");
    track("u", "Product Added", "{}");
    j->state = JOURNEY_PAUSED;
    pass(HOUR);
    cr_sent("");
    j->state = JOURNEY_LIVE;
    track("u", "Product Viewed", "{}"); /* whoever resumes it has every person looked at */
    pass(1);
    cr_sent("m1@3601");
}

Test(order, what_was_due_during_a_stop_fires_late_in_order_of_its_seconds)
{
    journey("b", ON(ADDED), STEPS(wait_s(HOUR, 1), send_to("b", EMAIL, STEP_END)));
    journey("a", ON(ADDED), STEPS(wait_s(2 * HOUR, 1), send_to("a", SMS, STEP_END)));
    reachable_person("u");
    track("u", "Product Added", "{}");
    sleep_until(START + DAYS(1));
    cr_assert_eq(W->sent_count, 2);
    cr_assert_eq(W->sent[0].at, START + DAYS(1), "never back-dated");
    cr_assert_str_eq(W->sent[0].step, "a", "sends of one wake-up go by priority, then name");
}

Test(order, a_merge_keeps_the_survivors_instance)
{
    struct journey *j = cart();
    reachable_person("u");
    track("u", "Product Added", "{}");
    uint32_t bytes;
    row_t row = person("u");
    reserve();
    uint8_t *p = store_block(&W->store, row, BLOCK_JOURNEYS, &bytes);
    p = store_block_resize(&W->store, row, BLOCK_JOURNEYS, 2 * bytes);
    memcpy(p + bytes, p, bytes);
    ((struct instance *)(void *)(p + bytes))->id.lo++;
    struct key first = ((struct instance *)(void *)p)->id;
    W->counters[j->id].active++;
    W->counters[j->id].entered++;
    settle(&(struct turn){.row = row, .merged = true, .command = -1});
    const struct instance *left;
    cr_assert_eq(instances("u", &left), 1);
    cr_assert(key_eq(left->id, first));
    cr_balance(j);
}

Test(order, operators_enroll_skip_restart_and_cancel)
{
    struct journey *j =
        journey("j", NULL, STEPS(wait_s(DAYS(9), 1), send_to("m", EMAIL, 2), wait_s(DAYS(9), STEP_END)));
    reachable_person("u");
    command("u", JOURNEY_ENROLL, j->id);
    cr_assert_eq(W->counters[j->id].active, 1);
    command("u", JOURNEY_SKIP, j->id);
    cr_sent("m@0");
    command("u", JOURNEY_RESTART, j->id);
    cr_assert_eq(W->counters[j->id].entered, 2);
    command("u", JOURNEY_CANCEL, j->id);
    cr_assert_eq(W->counters[j->id].active, 0);
    cr_assert_eq(W->counters[j->id].cancelled, 2);
    pass(DAYS(30));
    cr_sent("m@0");
    cr_balance(j);
}

Test(order, more_journeys_at_once_than_a_person_may_be_in_are_refused_and_counted)
{
    struct journey *j = journey("j", ON(ADDED), STEPS(wait_s(DAYS(9), STEP_END)));
    j->reentry = REENTRY_ALWAYS;
    j->while_active = ACTIVE_PARALLEL;
    for (uint32_t i = 0; i < INSTANCES_MAX + 3; i++) {
        W->now++;
        track("u", "Product Added", arena_printf(&W->arena, "{'price':%u}", i));
    }
    cr_assert_eq(instances("u", NULL), INSTANCES_MAX);
    cr_assert_eq(last_decision("u", j), DECISION_TOO_MANY);
    cr_balance(j);
}

Test(order, the_held_out_get_nothing_are_a_stable_share_and_are_counted_apart)
{
    struct journey *j = cart();
    j->holdout_ppm = 200000;
    j->has_goal = true;
    j->goal = *ON(ORDERED);
    j->goal_within_s = DAYS(3);
    j->goal_value = compile("e.total", WANT_NUMBER, ORDERED);
    W->holdouts = true;
    enum { N = 500 };
    for (uint32_t i = 0; i < N; i++) {
        const char *user = arena_printf(&W->arena, "u%u", i);
        reachable_person(user);
        track(user, "Product Added", "{}");
        if (i % 2) track(user, "Order Completed", "{'total':10}");
    }
    const struct journey_counters *c = &W->counters[j->id];
    cr_assert_eq(c->entered + c->held_out.entered, N);
    cr_assert(c->held_out.entered > 70 && c->held_out.entered < 130, "%lu of %u", c->held_out.entered, N);
    cr_assert_eq(c->converted + c->held_out.converted, N / 2);
    cr_assert_eq(c->held_out.revenue_micros, (int64_t)c->held_out.converted * 10000000);
    pass(DAYS(4));
    cr_assert_eq(W->sent_count, c->entered - c->converted);
    for (uint32_t i = 0; i < N; i++) cr_assert_eq(instances(arena_printf(&W->arena, "u%u", i), NULL), 0);
    cr_balance(j);
}
