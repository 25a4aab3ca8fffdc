/* Every kind of step, every kind of wait, every kind of trigger. */
#include "tests/unit/journey_kit.h"

TestSuite(steps, .init = world_open, .fini = world_close);

static struct step wait_of(struct wait w, uint16_t next)
{
    return (struct step){.kind = STEP_WAIT, .next = next, .wait = w};
}

static const char *first_due(const char *user) /* "2026-01-02T10:00:00Z" */
{
    static char text[32];
    const struct instance *i;
    cr_assert_eq(instances(user, &i), 1);
    if (i->due == UINT32_MAX) return "never";
    text[iso8601_print((int64_t)i->due * 1000, text)] = 0;
    return text;
}

static void waits_until(struct wait w, uint32_t now, const char *zone, const char *expected)
{
    W->journeys.journey_count = 0;
    W->now = now;
    journey(arena_printf(&W->arena, "j%u", now), ON(ADDED), STEPS(wait_of(w, STEP_END)));
    const char *user = arena_printf(&W->arena, "u%u%s%u", now, zone, w.kind);
    identify(user, arena_printf(&W->arena,
                                "{'timezone':'%s','expires':'2026-03-10T12:00:00Z','birthday':'1990-03-08'}",
                                zone));
    track(user, "Product Added", "{}");
    cr_assert_str_eq(first_due(user), expected);
}

Test(steps, waits_until_a_clock_a_workday_a_weekday_or_a_date)
{
    uint32_t friday = START + DAYS(1) + 8 * HOUR; /* 2026-01-02T08:00Z */
    struct wait ten = {.kind = WAIT_UNTIL_CLOCK, .clock_s = 10 * HOUR};
    waits_until(ten, friday, "UTC", "2026-01-02T10:00:00Z");
    waits_until(ten, friday + 1, "Europe/Moscow", "2026-01-03T07:00:00Z");
    waits_until(ten, friday + 2 * HOUR, "UTC", "2026-01-03T10:00:00Z");
    waits_until((struct wait){.kind = WAIT_NEXT_WORKDAY, .clock_s = 9 * HOUR}, friday + 2, "UTC",
                "2026-01-05T09:00:00Z");
    waits_until((struct wait){.kind = WAIT_NEXT_WEEKDAY, .weekdays = 1 << 5, .clock_s = 9 * HOUR}, friday + 3,
                "UTC", "2026-01-09T09:00:00Z");
    struct wait stamp = {.kind = WAIT_UNTIL_DATE,
                         .date = compile("profile.expires", WANT_TIME, ID_NONE),
                         .seconds = -(int64_t)DAYS(5)};
    waits_until(stamp, friday + 4, "UTC", "2026-03-05T12:00:00Z");
    waits_until((struct wait){.kind = WAIT_FROM_ENTRY, .seconds = DAYS(2)}, friday + 5, "UTC",
                "2026-01-04T08:00:05Z");
}

Test(steps, a_date_in_the_past_or_absent_is_not_waited_for)
{
    struct wait w = {.kind = WAIT_UNTIL_DATE, .date = compile("profile.expires", WANT_TIME, ID_NONE)};
    struct journey *j = journey("j", ON(ADDED), STEPS(wait_of(w, STEP_END)));
    track("u", "Product Added", "{}");
    identify("v", "{'expires':'2025-01-01T00:00:00Z'}");
    track("v", "Product Added", "{}");
    cr_assert_eq(W->counters[j->id].completed, 2);
}

Test(steps, a_wait_counted_from_entry_does_not_drift)
{
    journey("j", ON(ADDED),
            STEPS(wait_s(HOUR, 1), wait_of((struct wait){.kind = WAIT_FROM_ENTRY, .seconds = DAYS(1)}, 2),
                  send_to("m", EMAIL, STEP_END)));
    reachable_person("u");
    track("u", "Product Added", "{}");
    pass(DAYS(2));
    cr_sent("m@86400");
}

Test(steps, silence_begins_anew_with_each_event_it_listens_to)
{
    static const uint16_t types[] = {ADDED, VIEWED};
    struct wait w = {.kind = WAIT_SILENCE, .seconds = 30 * MINUTE, .type_count = 2, .types = types};
    journey("j", ON(ADDED), STEPS(wait_of(w, 1), send_to("m", EMAIL, STEP_END)));
    reachable_person("u");
    track("u", "Product Added", "{}");
    pass(20 * MINUTE);
    track("u", "Product Viewed", "{}");
    pass(20 * MINUTE);
    track("u", "Order Completed", "{}");
    pass(10 * MINUTE - 1);
    cr_sent("");
    pass(1);
    cr_sent("m@3000");
}

static struct step wait_for_any(const struct match *any, uint16_t count, uint32_t timeout_s,
                                uint16_t otherwise)
{
    return (struct step){.kind = STEP_WAIT_FOR, .wait_for = {count, any, timeout_s, otherwise}};
}

Test(steps, wait_for_takes_the_branch_of_what_happens_first_or_the_timeout)
{
    struct match any[2] = {*ON_WHERE(ORDERED, "e.total > 100.0"), *ON(VIEWED)};
    any[0].then = 1;
    any[1].then = 2;
    journey("j", ON(ADDED),
            STEPS(wait_for_any(any, 2, HOUR, 3), send_to("big", EMAIL, STEP_END),
                  send_to("view", EMAIL, STEP_END), send_to("none", EMAIL, STEP_END)));
    for (int i = 0; i < 3; i++) {
        reachable_person(arena_printf(&W->arena, "u%d", i));
        track(arena_printf(&W->arena, "u%d", i), "Product Added", "{}");
    }
    pass(10);
    track("u0", "Order Completed", "{'total':5}");
    track("u0", "Order Completed", "{'total':500}");
    track("u1", "Product Viewed", "{}");
    pass(HOUR - 10);
    cr_sent("big@10 view@10 none@3600");
}

Test(steps, an_awaited_event_is_kept_under_its_name_beside_the_trigger)
{
    struct match m = *ON(ORDERED);
    m.as = SLICE("order");
    m.then = 1;
    struct journey *j =
        journey("j", ON(ADDED), STEPS(wait_for_any(&m, 1, 0, STEP_END), wait_s(DAYS(1), 2), {0}));
    static const struct slice names[] = {{(const uint8_t *)"order", 5}};
    j->as_names = names;
    j->as_count = 1;
    W->compiling = j;
    ((struct step *)j->steps)[2] = set_to(BONUS, "order.total * 0.1 + trigger.price", STEP_END);
    track("u", "Product Added", "{'price':7}");
    track("u", "Order Completed", "{'total':50, 'name':'x'}");
    pass(DAYS(1));
    cr_assert_eq(attribute_get(&W->store, person("u"), BONUS).d, 12);
}

Test(steps, wait_for_a_condition_holds_at_once_later_by_an_event_or_by_time)
{
    struct match m = {.kind = MATCH_WHEN,
                      .where = compile("ago(\"Product Added\") >= hours(2)", WANT_BOOL, ID_NONE),
                      .then = 1};
    journey("time", ON(ADDED),
            STEPS(wait_for_any(&m, 1, DAYS(1), STEP_END), send_to("quiet", EMAIL, STEP_END)));
    struct match two = {
        .kind = MATCH_WHEN, .where = compile("count(\"Product Added\") >= 2", WANT_BOOL, ID_NONE), .then = 1};
    journey("two", ON(ADDED),
            STEPS(wait_for_any(&two, 1, DAYS(1), STEP_END), send_to("two", EMAIL, STEP_END)))
        ->reentry = REENTRY_ALWAYS;
    reachable_person("u");
    track("u", "Product Added", "{}");
    pass(HOUR);
    track("u", "Product Added", "{'price':1}");
    cr_sent("two@3600");
    pass(2 * HOUR - 1);
    cr_sent("two@3600");
    pass(1);
    cr_sent("two@3600 quiet@10800");
    track("u", "Product Added", "{'price':2}");
    cr_sent("two@3600 quiet@10800 two@10800");
}

Test(steps, wait_for_a_segment_is_over_once_inside)
{
    uint16_t buyers = segment("buyers", "count(\"Order Completed\") >= 1");
    struct match m = {.kind = MATCH_SEGMENT_ENTERED, .id = buyers, .then = 1};
    journey("j", ON(ADDED), STEPS(wait_for_any(&m, 1, 0, STEP_END), send_to("m", EMAIL, STEP_END)));
    reachable_person("u");
    track("u", "Product Added", "{}");
    pass(5);
    track("u", "Order Completed", "{}");
    cr_sent("m@5");
    reachable_person("v");
    track("v", "Order Completed", "{}");
    track("v", "Product Added", "{}");
    cr_sent("m@5 m@5");
}

Test(steps, if_and_switch_choose_by_what_is_true_now)
{
    static struct value cases[] = {{.kind = V_STRING, .n = 3, .s = (const uint8_t *)"new"},
                                   {.kind = V_STRING, .n = 3, .s = (const uint8_t *)"old"}};
    static const uint16_t to[] = {2, 3};
    struct step choose = {.kind = STEP_SWITCH,
                          .choose = {compile("profile.status", WANT_ANY, ID_NONE), 2, cases, to, 4}};
    journey("j", ON(ADDED),
            STEPS(on_if("trigger.price > 5.0", 1, STEP_END), choose, send_to("n", EMAIL, STEP_END),
                  send_to("o", EMAIL, STEP_END), send_to("x", EMAIL, STEP_END)));
    const char *status[] = {"new", "old", "odd"};
    for (int i = 0; i < 3; i++) {
        const char *u = arena_printf(&W->arena, "u%d", i);
        reachable_person(u);
        identify(u, arena_printf(&W->arena, "{'status':'%s'}", status[i]));
        track(u, "Product Added", "{'price':6}");
    }
    reachable_person("cheap");
    track("cheap", "Product Added", "{'price':5}");
    cr_sent("n@0 o@0 x@0");
}

Test(steps, a_split_is_stable_close_to_its_shares_and_named_in_the_action)
{
    static const struct slice names[] = {{(const uint8_t *)"short", 5}, {(const uint8_t *)"long", 4}};
    static const uint32_t ppm[] = {300000, 700000};
    static const uint16_t to[] = {1, 2};
    struct step split = {.kind = STEP_SPLIT, .id = SLICE("ab"), .split = {2, names, ppm, to}};
    struct journey *j =
        journey("j", ON(ADDED), STEPS(split, send_to("s", EMAIL, STEP_END), send_to("l", EMAIL, STEP_END)));
    j->reentry = REENTRY_ALWAYS;
    uint32_t shorts = 0;
    for (int i = 0; i < 400; i++) {
        const char *u = arena_printf(&W->arena, "u%d", i);
        reachable_person(u);
        track(u, "Product Added", "{}");
        track(u, "Product Added", "{'price':2}");
        cr_assert_str_eq(W->sent[2 * i].variant, W->sent[2 * i + 1].variant);
        cr_assert_str_eq(W->sent[2 * i].variant, W->sent[2 * i].step[0] == 's' ? "short" : "long");
        shorts += W->sent[2 * i].step[0] == 's';
    }
    cr_assert(shorts > 90 && shorts < 150, "%u of 400", shorts);
}

Test(steps, set_changes_the_person_and_segments_and_journeys_follow_in_the_same_second)
{
    uint16_t vip = segment("vip", "profile.status == \"vip\"");
    journey("a", ON(ADDED),
            STEPS(set_to(STATUS, "\"vip\"", 1), set_to(BONUS, "trigger.price * 0.05", STEP_END)));
    journey("b", match((struct match){.kind = MATCH_SEGMENT_ENTERED, .id = vip}),
            STEPS(send_to("hello", EMAIL, STEP_END)));
    struct match changed = {
        .kind = MATCH_ATTRIBUTE, .id = STATUS, .to = compile("\"vip\"", WANT_STRING, ID_NONE)};
    journey("c", match(changed), STEPS(send_to("changed", EMAIL, STEP_END)));
    reachable_person("u");
    track("u", "Product Added", "{'price':100}");
    cr_sent("hello@0 changed@0");
    cr_assert_eq(attribute_get(&W->store, person("u"), BONUS).d, 5);
    cr_assert(member_get(&W->store, person("u"), vip));
}

static struct step set_value(uint16_t attribute, struct value literal, uint16_t next)
{
    struct step s = set_to(attribute, NULL, next);
    s.set.fields = field("x", literal, NULL);
    return s;
}

Test(steps, set_takes_lists_written_and_computed)
{
    struct value texts[] = {value_string(SLICE("tea")), value_string(SLICE("cups"))}, ends[] = {value_int(1)};
    uint16_t drinker = segment("drinker", "\"tea\" in profile.interests");
    journey("a", ON(ADDED),
            STEPS(set_value(INTERESTS, (struct value){.kind = V_LIST, .n = 2, .list = texts}, STEP_END)));
    journey("b", match((struct match){.kind = MATCH_SEGMENT_ENTERED, .id = drinker}),
            STEPS(set_to(INTERESTS, "profile.interests + [\"pots\"]", 1),
                  set_to(BONUS, "size(profile.interests)", 2),
                  set_value(INTERESTS, (struct value){.kind = V_LIST, .n = 1, .list = ends}, STEP_END)));
    track("u", "Product Added", "{}");
    cr_assert(member_get(&W->store, person("u"), drinker));
    cr_assert_eq(attribute_get(&W->store, person("u"), BONUS).d, 3);
    struct value list = value_expand(attribute_get(&W->store, person("u"), INTERESTS), &W->arena);
    cr_assert_eq(list.n, 3, "a list of numbers is not taken");
    cr_assert(slice_is(value_text(list.list[0]), "tea") && slice_is(value_text(list.list[2]), "pots"));
}

Test(steps, attribute_changed_looks_at_old_and_new_value)
{
    struct match m = {.kind = MATCH_ATTRIBUTE,
                      .id = STATUS,
                      .from = compile("\"new\"", WANT_STRING, ID_NONE),
                      .to = compile("\"paid\"", WANT_STRING, ID_NONE)};
    struct journey *j = journey("j", match(m), STEPS(wait_s(1, STEP_END)));
    j->reentry = REENTRY_ALWAYS;
    identify("u", "{'status':'paid'}");
    pass(10);
    identify("u", "{'status':'new'}");
    pass(10);
    cr_assert_eq(W->counters[j->id].entered, 0);
    identify("u", "{'status':'paid'}");
    cr_assert_eq(W->counters[j->id].entered, 1);
    pass(10);
    identify("u", "{'status':'paid', 'email':'x'}");
    cr_assert_eq(W->counters[j->id].entered, 1);
}

Test(steps, segment_triggers_fire_on_entry_and_on_leaving_even_by_time_alone)
{
    uint16_t active = segment("active", "count(\"Product Viewed\", days(7)) >= 1");
    journey("in", match((struct match){.kind = MATCH_SEGMENT_ENTERED, .id = active}),
            STEPS(send_to("in", EMAIL, STEP_END)));
    journey("out", match((struct match){.kind = MATCH_SEGMENT_LEFT, .id = active}),
            STEPS(send_to("out", EMAIL, STEP_END)));
    reachable_person("u");
    track("u", "Product Viewed", "{}");
    pass(DAYS(7) - 1);
    cr_sent("in@0");
    pass(1);
    cr_sent("in@0 out@604800");
}

Test(steps, lists_are_joined_and_left)
{
    struct step add = {.kind = STEP_ADD_TO, .next = 1, .list = {STAFF}},
                drop = {.kind = STEP_REMOVE_FROM, .next = STEP_END, .list = {STAFF}};
    uint16_t staff = segment("in staff", "in_list(\"staff\")");
    journey("j", ON(ADDED), STEPS(add, wait_s(HOUR, 2), drop));
    track("u", "Product Added", "{}");
    cr_assert(list_has(&W->store, person("u"), STAFF));
    cr_assert(member_get(&W->store, person("u"), staff));
    pass(HOUR);
    cr_assert_not(list_has(&W->store, person("u"), STAFF));
    cr_assert_not(member_get(&W->store, person("u"), staff));
}

Test(steps, journeys_start_stop_and_pause_each_other)
{
    struct journey *slow = journey("slow", NULL, STEPS(wait_s(DAYS(1), 1), send_to("slow", EMAIL, STEP_END)));
    struct step start = {.kind = STEP_START, .next = 1, .control = {.journey = slow->id}};
    struct step pause = {
        .kind = STEP_PAUSE, .next = STEP_END, .control = {.journey = slow->id, .for_s = DAYS(3)}};
    struct step stop = {.kind = STEP_STOP, .next = STEP_END, .control = {.journey = slow->id}};
    journey("start", ON(ADDED), STEPS(start, {.kind = STEP_FINISH}));
    journey("pause", ON(VIEWED), STEPS(pause));
    journey("stop", ON(ORDERED), STEPS(stop));
    reachable_person("u");
    reachable_person("v");
    track("u", "Product Added", "{}");
    track("v", "Product Added", "{}");
    track("u", "Product Viewed", "{}");
    track("v", "Order Completed", "{}");
    pass(DAYS(3) - 1);
    cr_sent("");
    cr_assert_eq(W->counters[slow->id].cancelled, 1);
    pass(1);
    cr_sent("slow@259200");
    cr_balance(slow);
}

Test(steps, whom_a_paused_journey_does_not_take_is_told_so)
{
    struct journey *slow = journey("slow", ON(ADDED), STEPS(wait_s(DAYS(1), STEP_END)));
    struct step pause = {
        .kind = STEP_PAUSE, .next = STEP_END, .control = {.journey = slow->id, .for_s = DAYS(3)}};
    journey("pause", ON(VIEWED), STEPS(pause));
    track("u", "Product Viewed", "{}");
    track("u", "Product Added", "{}");
    cr_assert_eq(last_decision("u", slow), DECISION_PAUSED);
    cr_assert_eq(last_detail("u", slow), W->now + DAYS(3));
}

Test(steps, webhook_task_and_audience_leave_as_actions_of_their_kind)
{
    struct field *vars = field("sum", value_none(), "trigger.price");
    struct step hook = {
        .kind = STEP_WEBHOOK,
        .next = 1,
        .act = {.channel = CRM, .template_name = SLICE("deal"), .field_count = 1, .vars = vars}};
    struct step task = {.kind = STEP_TASK,
                        .next = 2,
                        .act = {.channel = CRM, .to = *field("to", value_string(SLICE("boss")), NULL)}};
    struct step crowd = {.kind = STEP_AUDIENCE,
                         .next = STEP_END,
                         .act = {.channel = CRM, .op = SLICE("add"), .audience = SLICE("lost")}};
    journey("j", ON(ADDED), STEPS(hook, task, crowd));
    track("u", "Product Added", "{'price':3}");
    cr_assert_eq(W->sent_count, 3);
    cr_assert_str_eq(W->sent[0].kind, "webhook");
    cr_assert_str_eq(W->sent[1].kind, "task");
    cr_assert_str_eq(W->sent[1].to, "boss");
    cr_assert_str_eq(W->sent[2].kind, "audience");
    struct mp m = mp_of(content_get(W->sent[0].content, "vars"));
    cr_assert_eq(mp_map(&m), 1);
    cr_assert(slice_is(mp_str(&m), "sum"));
    cr_assert_eq(mp_double(&m), 3);
    char text[16];
    content_text(W->sent[2].content, "audience", text, sizeof text);
    cr_assert_str_eq(text, "lost");
}

Test(steps, receiver_and_template_may_be_computed)
{
    struct step mail = send_to("mail", CRM, 1),
                task = {.kind = STEP_TASK,
                        .next = STEP_END,
                        .act = {.channel = CRM,
                                .template_by = compile("trigger.name + \"!\"", WANT_STRING, ID_NONE),
                                .to = *field("to", value_none(), "trigger.name")}};
    mail.send.template_by = compile("trigger.cart_id", WANT_STRING, ID_NONE);
    journey("j", ON(ADDED), STEPS(mail, task));
    track("u", "Product Added", "{'name':'Anna'}");
    track("v", "Product Added", "{'cart_id':'c'}");
    char text[16];
    content_text(W->sent[0].content, "template", text, sizeof text);
    cr_expect_str_eq(text, "", "what cannot be computed is left out");
    content_text(W->sent[1].content, "template", text, sizeof text);
    cr_expect_str_eq(text, "Anna!");
    cr_expect_str_eq(W->sent[1].to, "Anna");
    content_text(W->sent[2].content, "template", text, sizeof text);
    cr_expect_str_eq(text, "c");
    cr_expect_str_eq(W->sent[3].to, "");
}

Test(steps, nobody_is_added_to_an_audience_without_consent_and_anybody_is_taken_out)
{
    struct step in = {.kind = STEP_AUDIENCE,
                      .next = 1,
                      .act = {.channel = SMS, .op = SLICE("add"), .audience = SLICE("lost")}};
    struct step away = in;
    away.next = STEP_END;
    away.act.op = SLICE("remove");
    journey("j", ON(ADDED), STEPS(in, away));
    track("u", "Product Added", "{}");
    cr_assert_eq(W->sent_count, 1);
    char op[16];
    content_text(W->sent[0].content, "op", op, sizeof op);
    cr_assert_str_eq(op, "remove");
    cr_assert_eq(W->actions.suppressed[DECISION_NO_CONSENT], 1);
    reachable_person("v");
    track("v", "Product Added", "{}");
    cr_assert_eq(W->sent_count, 3);
}

Test(steps, a_loop_of_instant_steps_yields_to_the_next_second_and_stops_nothing)
{
    struct step again = {.kind = STEP_GOTO, .jump = {0}};
    struct journey *j = journey("loop", ON(ADDED), STEPS(on_if("true", 1, 1), again));
    j->exits = match((struct match){.kind = MATCH_AFTER, .seconds = 5});
    j->exit_count = 1;
    track("u", "Product Added", "{}");
    cr_assert_eq(W->counters[j->id].active, 1);
    pass(5);
    cr_assert_eq(W->counters[j->id].timeout, 1);
    cr_assert_eq(W->wakes, 5);
}

static struct journey *birthday_journey(uint32_t clock_s, int32_t offset_s)
{
    struct match m = {.kind = MATCH_DATE,
                      .date = compile("profile.birthday", WANT_TIME, ID_NONE),
                      .every_year = true,
                      .clock_s = clock_s,
                      .offset_s = offset_s};
    struct journey *j = journey("birthday", match(m), STEPS(send_to("b", EMAIL, STEP_END)));
    j->reentry = REENTRY_ALWAYS;
    return j;
}

Test(steps, a_birthday_comes_every_year_at_ten_in_the_persons_zone)
{
    birthday_journey(10 * HOUR, 0);
    reachable_person("u");
    identify("u", "{'birthday':'1987-01-03','timezone':'Europe/Moscow'}");
    advance(START + DAYS(2 * 365 + 10));
    cr_assert_eq(W->sent_count, 3);
    cr_assert_eq(W->sent[0].at, START + DAYS(2) + 7 * HOUR);
    cr_assert_eq(W->sent[1].at, START + DAYS(365 + 2) + 7 * HOUR);
}

Test(steps, one_who_tells_the_birthday_after_its_hour_is_greeted_next_year)
{
    birthday_journey(10 * HOUR, 0);
    reachable_person("u");
    advance(START + DAYS(2) + 11 * HOUR);
    identify("u", "{'birthday':'1987-01-03'}");
    pass(DAYS(300));
    cr_sent("");
}

Test(steps, the_29th_of_february_is_kept_on_the_28th_and_offsets_go_before)
{
    birthday_journey(10 * HOUR, -3 * (int32_t)DAYS(1));
    reachable_person("u");
    identify("u", "{'birthday':'1988-02-29'}");
    advance(START + DAYS(90));
    cr_assert_eq(W->sent_count, 1);
    cr_assert_eq(W->sent[0].at, START + DAYS(31 + 24) + 10 * HOUR, "the 25th of February");
}

Test(steps, a_birthday_missed_during_a_stop_is_made_up_for)
{
    birthday_journey(10 * HOUR, 0);
    reachable_person("u");
    identify("u", "{'birthday':'1987-01-03'}");
    sleep_until(START + DAYS(5));
    cr_assert_eq(W->sent_count, 1);
    pass(DAYS(300));
    cr_assert_eq(W->sent_count, 1);
}
