/* May it leave, now? Consent, address, caps, quiet hours, deferral to the second, cascades, reactions, contents. */
#include "tests/unit/journey_kit.h"

TestSuite(policy, .init = world_open, .fini = world_close);

static struct journey *mail_on(const char *name, uint16_t type)
{
    struct journey *j = journey(name, ON(type), STEPS(send_to(name, EMAIL, STEP_END)));
    j->reentry = REENTRY_ALWAYS;
    return j;
}

static void cap(uint16_t channel, uint32_t max, uint32_t window_s)
{
    struct cap *c = ARENA_NEW(&W->arena, struct cap);
    *c = (struct cap){max, window_s};
    W->channels[channel].caps = c;
    W->channels[channel].cap_count = 1;
}

static struct step *step_of(struct journey *j, uint32_t i) { return (struct step *)&j->steps[i]; }

Test(policy, without_consent_or_address_it_is_suppressed_counted_and_the_journey_goes_on)
{
    struct journey *j = journey("j", ON(ADDED), STEPS(send_to("m", EMAIL, 1), send_to("s", SMS, STEP_END)));
    identify("nobody", "{'email':'a@b'}");
    identify("half", "{'consent':{'email':true,'sms':true},'phone':'+1'}");
    track("nobody", "Product Added", "{}");
    track("half", "Product Added", "{}");
    cr_sent("s@0");
    cr_assert_eq(W->actions.suppressed[DECISION_NO_CONSENT], 2);
    cr_assert_eq(W->actions.suppressed[DECISION_NO_ADDRESS], 1);
    cr_assert_eq(W->counters[j->id].completed, 2);
    uint32_t n;
    const struct send *list = sends_list(&W->store, person("half"), &n);
    cr_assert_eq(n, 2);
    cr_assert_eq(list[0].state, MESSAGE_SUPPRESSED);
    cr_assert_eq(list[0].reason, DECISION_NO_ADDRESS);
}

Test(policy, consent_is_told_in_traits_newest_wins_and_topics_may_be_denied)
{
    struct journey *j = mail_on("m", ADDED);
    step_of(j, 0)->send.topic = SLICE("promo");
    reachable_person("u");
    identify("u", "{'consent':{'email':{'state':'denied','at':'2020-01-01T00:00:00Z'}}}");
    track("u", "Product Added", "{}");
    cr_sent("m@0");
    identify("u", "{'consent':{'email':{'state':'granted','topics':{'promo':'denied'}}},'bonus':1}");
    track("u", "Product Added", "{'price':1}");
    cr_sent("m@0");
    cr_assert_eq(W->actions.suppressed[DECISION_NO_CONSENT], 1);
}

Test(policy, a_channel_may_want_a_confirmed_consent)
{
    mail_on("m", ADDED);
    W->channels[EMAIL].consent = CHANNEL_CONSENT_CONFIRMED;
    reachable_person("u");
    track("u", "Product Added", "{}");
    cr_sent("");
    identify("u", "{'consent':{'email':{'state':'confirmed'}}}");
    track("u", "Product Added", "{'price':1}");
    identify("u", "{'consent':{'email':true},'bonus':1}");
    track("u", "Product Added", "{'price':2}");
    cr_sent("m@0 m@0");
}

Test(policy, unsubscribed_complained_and_push_disabled_withdraw_at_once)
{
    mail_on("m", ADDED);
    const char *events[] = {"Unsubscribed", "Email Marked as Spam"};
    for (int i = 0; i < 2; i++) {
        const char *u = arena_printf(&W->arena, "u%d", i);
        reachable_person(u);
        track(u, events[i], "{}");
        track(u, "Product Added", "{}");
        cr_assert_eq(consent_get(&W->store, person(u), EMAIL, 0), CONSENT_DENIED);
    }
    reachable_person("sms");
    track("sms", "Unsubscribed", "{'channel':'sms'}");
    track("sms", "Product Added", "{}");
    cr_sent("m@0");
    cr_assert_eq(consent_get(&W->store, person("sms"), SMS, 0), CONSENT_DENIED);
}

Test(policy, so_many_bounces_in_a_window_block_the_channel)
{
    static const struct block_rule rules[] = {{TYPE_BOUNCED, NULL, 3, DAYS(30)}};
    W->journeys.blocks = rules;
    W->journeys.block_count = 1;
    mail_on("m", ADDED);
    reachable_person("u");
    track("u", "Message Bounced", "{'channel':'email'}");
    pass(DAYS(31));
    for (int i = 0; i < 2; i++) {
        track("u", "Message Bounced", "{'channel':'email'}");
        pass(DAYS(1));
    }
    track("u", "Product Added", "{}");
    cr_assert_eq(W->sent_count, 1, "the first one is out of the window");
    track("u", "Message Bounced", "{'channel':'email'}");
    track("u", "Product Added", "{'price':1}");
    cr_assert_eq(W->sent_count, 1);
    cr_assert_eq(W->actions.suppressed[DECISION_BLOCKED], 1);
}

/* Not a second earlier. */
static void leaves_after(uint32_t seconds, const char *before, const char *then)
{
    pass(seconds - 1);
    cr_sent(before);
    pass(1);
    cr_sent(then);
}

Test(policy, a_capped_message_waits_to_the_very_second_the_cap_has_room)
{
    mail_on("m", ADDED);
    cap(EMAIL, 1, DAYS(1));
    reachable_person("u");
    track("u", "Product Added", "{}");
    pass(100);
    track("u", "Product Added", "{'price':1}");
    cr_assert_eq(W->actions.deferred, 1);
    leaves_after(DAYS(1) - 100, "m@0", "m@0 m@86400");
    cr_assert_eq(W->actions.expired, 0);
}

Test(policy, a_message_that_is_due_in_its_last_second_leaves)
{
    mail_on("a", ADDED);
    mail_on("b", ADDED);
    mail_on("c", ADDED);
    cap(EMAIL, 1, DAYS(1)); /* and all of them expire after a day, which is the default */
    reachable_person("u");
    track("u", "Product Added", "{}");
    cr_assert_eq(W->actions.deferred, 2);
    leaves_after(DAYS(1), "a@0", "a@0 b@86400");
    cr_assert_eq(W->actions.expired, 1, "c found the cap full in its last second");
}

Test(policy, what_does_not_get_through_expires_and_is_counted)
{
    struct journey *j = mail_on("m", ADDED), *x = mail_on("x", VIEWED);
    cap(EMAIL, 1, DAYS(2));
    step_of(x, 0)->send.exit_on_expired = true;
    reachable_person("u");
    track("u", "Product Added", "{}");
    pass(1);
    track("u", "Product Added", "{'price':1}");
    track("u", "Product Viewed", "{'price':1}");
    pass(DAYS(3));
    cr_sent("m@0");
    cr_assert_eq(W->actions.expired, 2);
    cr_assert_eq(W->counters[j->id].completed, 2);
    cr_assert_eq(W->counters[x->id].exited, 1);
    cr_assert_eq(last_decision("u", x), DECISION_EXPIRED);
}

Test(policy, a_deferred_message_is_still_stopped_by_exit_and_consent)
{
    struct journey *j = mail_on("m", ADDED);
    j->exits = ON(ORDERED);
    j->exit_count = 1;
    cap(EMAIL, 1, HOUR);
    reachable_person("u");
    reachable_person("v");
    for (int i = 0; i < 2; i++) {
        track("u", "Product Added", arena_printf(&W->arena, "{'price':%d}", i));
        track("v", "Product Added", arena_printf(&W->arena, "{'price':%d}", i));
    }
    track("u", "Order Completed", "{}");
    track("v", "Unsubscribed", "{}");
    pass(DAYS(1));
    cr_sent("m@0 m@0");
    cr_assert_eq(W->actions.suppressed[DECISION_NO_CONSENT], 1);
}

Test(policy, under_a_cap_the_higher_priority_goes_then_value_then_name)
{
    struct journey *low = mail_on("a", ADDED), *high = mail_on("z", ADDED), *dear = mail_on("d", ADDED),
                   *cheap = mail_on("c", ADDED);
    cap(EMAIL, 1, HOUR);
    high->priority = 50;
    low->priority = 10;
    dear->priority = cheap->priority = 20;
    step_of(dear, 0)->send.value = compile("profile.bonus", WANT_NUMBER, ID_NONE);
    reachable_person("u");
    identify("u", "{'bonus':3}");
    track("u", "Product Added", "{}");
    cr_sent("z@0");
    pass(3 * HOUR);
    cr_sent("z@0 d@3600 c@7200 a@10800");
    cr_assert_eq(W->actions.deferred, 3, "counted once each");
}

Test(policy, transactional_messages_pass_and_do_not_fill_the_cap)
{
    struct journey *receipt = mail_on("receipt", ORDERED);
    mail_on("promo", ADDED);
    step_of(receipt, 0)->send.type = SEND_TRANSACTIONAL;
    cap(EMAIL, 1, DAYS(1));
    W->channels[EMAIL].has_quiet = true;
    W->channels[EMAIL].quiet_from_s = 21 * HOUR;
    W->channels[EMAIL].quiet_to_s = 9 * HOUR;
    W->now = START + 10 * HOUR;
    reachable_person("u");
    track("u", "Order Completed", "{}");
    track("u", "Product Added", "{}");
    track("u", "Order Completed", "{'total':1}");
    W->now = START + 22 * HOUR;
    track("u", "Order Completed", "{'total':2}");
    cr_sent("receipt@36000 promo@36000 receipt@36000 receipt@79200");
}

Test(policy, quiet_hours_are_the_persons_own)
{
    mail_on("m", ADDED);
    W->channels[EMAIL].has_quiet = true;
    W->channels[EMAIL].quiet_from_s = 21 * HOUR;
    W->channels[EMAIL].quiet_to_s = 9 * HOUR;
    const char *zones[] = {"UTC", "Asia/Vladivostok", "America/New_York"};
    for (int i = 0; i < 3; i++) {
        const char *u = arena_printf(&W->arena, "u%d", i);
        reachable_person(u);
        identify(u, arena_printf(&W->arena, "{'timezone':'%s'}", zones[i]));
    }
    W->now = START + 22 * HOUR;
    for (int i = 0; i < 3; i++) track(arena_printf(&W->arena, "u%d", i), "Product Added", "{}");
    cr_sent("m@79200");
    cr_assert_str_eq(W->sent[0].to, "u2@example.org", "17:00 in New York");
    pass(DAYS(1));
    cr_assert_eq(W->sent_count, 3);
    cr_assert_eq(W->sent[1].at, START + 23 * HOUR, "9:00 in Vladivostok");
    cr_assert_eq(W->sent[2].at, START + DAYS(1) + 9 * HOUR);
}

Test(policy, who_is_moved_to_another_zone_has_its_quiet_hours_at_once)
{
    journey("m", ON(ADDED), STEPS(set_to(TIMEZONE, "\"Asia/Tokyo\"", 1), send_to("m", EMAIL, STEP_END)));
    W->channels[EMAIL].has_quiet = true;
    W->channels[EMAIL].quiet_from_s = 21 * HOUR;
    W->channels[EMAIL].quiet_to_s = 9 * HOUR;
    reachable_person("u");
    W->now = START + 14 * HOUR; /* 23:00 in Tokyo */
    track("u", "Product Added", "{}");
    cr_assert_eq(W->sent_count, 0);
    pass(DAYS(1));
    cr_sent("m@86400");
}

Test(policy, first_of_takes_the_first_channel_that_may_be_used)
{
    static const struct send_option options[] = {{PUSH, 0}, {EMAIL, 0}, {SMS, 0}};
    struct step s = send_to("m", EMAIL, STEP_END);
    s.send.option_count = 3;
    s.send.options = options;
    W->channels[PUSH].address = compile("profile.status", WANT_ANY, ID_NONE);
    journey("j", ON(ADDED), &s, 1);
    reachable_person("u");
    track("u", "Product Added", "{}");
    cr_assert_eq(W->sent_count, 1);
    cr_assert_str_eq(W->sent[0].channel, "email");
    cr_assert_eq(W->actions.suppressed[DECISION_NO_ADDRESS], 0);
}

static struct step cascade(uint8_t until)
{
    static const struct send_option options[] = {{EMAIL, 6 * HOUR}, {PUSH, HOUR}, {SMS, 0}};
    struct step s = send_to("c", EMAIL, 1);
    s.kind = STEP_CASCADE;
    s.send.cascade = true;
    s.send.cascade_until = until;
    s.send.option_count = 3;
    s.send.options = options;
    return s;
}

Test(policy, a_cascade_goes_on_until_it_is_answered)
{
    W->channels[PUSH].address = compile("profile.status", WANT_ANY, ID_NONE);
    journey("j", ON(ADDED), STEPS(cascade(SEND_CLICKED), send_to("end", CRM, STEP_END)));
    reachable_person("u");
    reachable_person("v");
    track("u", "Product Added", "{}");
    track("v", "Product Added", "{}");
    pass(HOUR);
    outcome("v", "Message Opened", 1);
    pass(HOUR);
    outcome("v", "Message Clicked", 1);
    cr_sent("c@0 c@0 end@7200");
    pass(DAYS(1));
    cr_sent("c@0 c@0 end@7200 c@21600 end@21600");
    cr_assert_str_eq(W->sent[3].channel, "sms", "push has no address and is passed over at once");
    cr_assert_neq(W->sent[0].id.lo, W->sent[3].id.lo);
}

Test(policy, reactions_are_seen_by_later_steps_whenever_they_came)
{
    struct journey *j = journey("j", ON(ADDED),
                                STEPS(send_to("m1", EMAIL, 1), wait_s(DAYS(1), 2), {0},
                                      send_to("yes", SMS, STEP_END), send_to("no", SMS, STEP_END)));
    W->compiling = j;
    *step_of(j, 2) = on_if("opened(\"m1\")", 3, 4);
    reachable_person("u");
    reachable_person("v");
    track("u", "Product Added", "{}");
    track("v", "Product Added", "{}");
    pass(HOUR);
    outcome("u", "Email Opened", 0);
    pass(DAYS(1));
    cr_sent("m1@0 m1@0 yes@86400 no@86400");
}

Test(policy, a_full_outbox_defers_and_loses_nothing)
{
    mail_on("m", ADDED);
    reachable_person("u");
    W->outbox_full = true;
    track("u", "Product Added", "{}");
    cr_assert_eq(last_decision("u", &W->list[0]), DECISION_OUTBOX_FULL);
    pass(HOUR);
    cr_sent("");
    W->outbox_full = false;
    pass(MINUTE);
    cr_sent("m@3660");
}

Test(policy, more_actions_than_one_record_may_cause_come_a_second_later)
{
    for (int i = 0; i < 15; i++) {
        struct step hook = {.kind = STEP_WEBHOOK, .next = 1, .act = {.channel = CRM}}, more = hook;
        more.next = STEP_END;
        journey(arena_printf(&W->arena, "j%02d", i), ON(ADDED), STEPS(hook, more));
    }
    track("u", "Product Added", "{}");
    cr_assert_eq(W->sent_count, WALK_ACTIONS_MAX);
    pass(1);
    cr_assert_eq(W->sent_count, 30);
    for (uint32_t i = 0; i < 30; i++)
        for (uint32_t k = 0; k < i; k++) cr_assert_not(key_eq(W->sent[i].id, W->sent[k].id));
}

Test(policy, a_muted_person_hears_nothing_until_it_is_over)
{
    struct step mute = {
        .kind = STEP_MUTE, .next = STEP_END, .mute = {.for_s = HOUR, .types = 1 << SEND_TRIGGER}};
    journey("mute", ON(ORDERED), STEPS(mute));
    struct journey *m = mail_on("m", ADDED);
    reachable_person("u");
    track("u", "Order Completed", "{}");
    track("u", "Product Added", "{}");
    cr_assert_eq(last_decision("u", m), DECISION_MUTED);
    pass(HOUR);
    cr_sent("m@3600");
}

Test(policy, what_is_muted_beyond_its_expiry_says_how_long_the_mute_lasts)
{
    struct step mute = {.kind = STEP_MUTE, .next = STEP_END, .mute = {.for_s = DAYS(2)}};
    journey("mute", ON(ORDERED), STEPS(mute));
    struct journey *m = mail_on("m", ADDED);
    reachable_person("u");
    track("u", "Order Completed", "{}");
    track("u", "Product Added", "{}");
    cr_assert_eq(last_decision("u", m), DECISION_MUTED);
    cr_assert_eq(last_detail("u", m), W->now + DAYS(2));
    pass(DAYS(1));
    cr_assert_eq(W->actions.expired, 1);
    cr_sent("");
}

Test(policy, once_is_no_frequency_cap)
{
    struct journey *m = journey("m", ON(ADDED), STEPS(send_to("m", EMAIL, 1), wait_s(DAYS(1), 0)));
    step_of(m, 0)->send.once = true;
    reachable_person("u");
    track("u", "Product Added", "{}");
    pass(DAYS(1));
    cr_sent("m@0");
    cr_assert_eq(last_decision("u", m), DECISION_ONCE);
    cr_assert_eq(W->actions.suppressed[DECISION_ONCE], 1);
}

/* ---- contents ------------------------------------------------------------------------------------ */

static const struct program *text_compile(void *self, struct slice expression, const struct expr_item *items,
                                          uint32_t count, uint32_t at)
{
    return compile(arena_strndup(&W->arena, expression.p, expression.n), WANT_ANY, ADDED);
}
static void text_error(void *self, uint32_t at, uint32_t length, const char *reason)
{
    cr_assert_fail("%u: %s", at, reason);
}

static const struct template_part *part(const char *text)
{
    static const struct template_host host = {.compile = text_compile, .error = text_error};
    struct template_part *p = ARENA_NEW(&W->arena, struct template_part);
    struct field *f = field("html", value_none(), NULL);
    f->text = template_parse(slice_str(text), true, &host, &W->arena);
    *p = (struct template_part){EMAIL, 1, f};
    return p;
}

Test(policy, a_missing_value_brings_the_templates_fallback)
{
    struct template plain = {.name = SLICE("plain"), .part_count = 1, .parts = part("Hello")};
    struct template rich = {.name = SLICE("rich"),
                            .part_count = 1,
                            .parts = part("Hello {{ profile.status }}"),
                            .fallback = &plain};
    struct journey *j = mail_on("m", ADDED);
    step_of(j, 0)->send.template = &rich;
    reachable_person("u");
    reachable_person("v");
    identify("v", "{'status':'<VIP>'}");
    track("u", "Product Added", "{}");
    track("v", "Product Added", "{}");
    const char *expected[] = {"Hello", "Hello &lt;VIP&gt;"}, *names[] = {"plain", "rich"};
    for (int i = 0; i < 2; i++) {
        char name[16];
        content_text(W->sent[i].content, "template", name, sizeof name);
        cr_assert_str_eq(name, names[i]);
        struct mp m = mp_of(content_get(W->sent[i].content, "vars"));
        cr_assert_eq(mp_map(&m), 1);
        mp_str(&m);
        cr_assert(slice_is(mp_str(&m), expected[i]));
    }
}

Test(policy, the_content_has_its_keys_in_their_fixed_order)
{
    struct journey *j = mail_on("m", ADDED);
    step_of(j, 0)->send.topic = SLICE("cart");
    reachable_person("u");
    identify("u", "{'language':'ru'}");
    track("u", "Product Added", "{}");
    static const char *const keys[] = {"action_id", "kind",       "channel",    "journey", "version",
                                       "step",      "instance",   "topic",      "type",    "lang",
                                       "priority",  "attempt",    "profile",    "to",      "template",
                                       "vars",      "created_at", "expires_at", "test"};
    struct mp m = mp_of(W->sent[0].content);
    cr_assert_eq(mp_map(&m), sizeof keys / sizeof *keys);
    for (uint32_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        cr_assert(slice_is(mp_str(&m), keys[i]), "%s", keys[i]);
        mp_skip(&m);
    }
    char text[40], id[33];
    content_text(W->sent[0].content, "created_at", text, sizeof text);
    cr_assert_str_eq(text, "2026-01-01T00:00:00Z");
    content_text(W->sent[0].content, "action_id", text, sizeof text);
    snprintf(id, sizeof id, "%016llx%016llx", (unsigned long long)W->sent[0].id.hi,
             (unsigned long long)W->sent[0].id.lo);
    cr_assert_str_eq(text, id);
}

Test(policy, a_test_reaches_the_operator_and_is_counted_nowhere)
{
    struct journey *j = mail_on("m", ADDED);
    struct test_send test = {
        .journey = j->id, .instance = {1, 2}, .step = j->steps[0].id, .to = SLICE("me@example.org")};
    uint32_t n;
    j->state = JOURNEY_DRAFT;
    identify("u", "{'language':'ru','consent':{'email':false}}");
    W->outbox_full = true;
    send_test("u", &test);
    cr_assert_eq(W->sent_count, 1, "no consent, no address, a full outbox: a test passes");
    cr_assert_str_eq(W->sent[0].to, "me@example.org");
    cr_assert_eq(*content_get(W->sent[0].content, "test").p, 0xc3);
    struct action a;
    cr_assert(outbox_get(W->outbox, test_action_id(&test), &a) && a.test);
    cr_assert_eq(W->actions.created + W->actions.deferred + W->counters[j->id].entered, 0);
    cr_assert_eq(instances("u", NULL), 0);
    sends_list(&W->store, person("u"), &n);
    cr_assert_eq(n, 0, "caps and outcomes know nothing of it");
    send_test("u", &test);
    cr_assert_eq(W->sent_count, 1, "the very same record: the very same action");
    test.instance.lo = 3;
    send_test("u", &test);
    cr_assert_eq(W->sent_count, 2);
    test.step = SLICE("nowhere");
    send_test("u", &test);
    cr_assert_eq(W->sent_count, 2);
}

Test(policy, a_test_shows_what_the_person_inside_would_read_and_moves_nobody)
{
    struct journey *j = mail_on("m", ADDED);
    struct test_send test = {.journey = j->id, .instance = {1, 2}, .step = j->steps[0].id, .to = SLICE("me")};
    struct step *s = step_of(j, 0);
    s->send.vars = field("price", value_none(), "trigger.price");
    s->send.field_count = 1;
    W->outbox_full = true;
    reachable_person("u");
    track("u", "Product Added", "{'price':7}");
    cr_assert_eq(W->sent_count, 0, "deferred: the person is inside");
    const struct instance *at;
    cr_assert_eq(instances("u", &at), 1);
    struct instance before = *at;
    send_test("u", &test);
    cr_assert_eq(W->sent_count, 1);
    struct slice vars = content_get(W->sent[0].content, "vars");
    struct mp m = mp_of(vars);
    cr_assert(mp_map(&m) == 1 && slice_is(mp_str(&m), "price") && mp_peek(&m) != MP_NIL);
    instances("u", &at);
    cr_assert_arr_eq(&before, at, sizeof before);
}

Test(policy, the_same_story_gives_the_same_bytes_for_ever)
{
    uint8_t first[2048];
    uint32_t n = 0;
    struct key id = {0};
    for (int run = 0; run < 2; run++) {
        if (run) world_close(), world_open();
        mail_on("m", ADDED);
        reachable_person(run ? "other" : "another"); /* a different slot */
        reachable_person("u");
        track("u", "Product Added", "{'price':1}");
        if (run == 0) memcpy(first, W->sent[0].content.p, n = W->sent[0].content.n), id = W->sent[0].id;
    }
    cr_assert_eq(n, W->sent[0].content.n);
    cr_assert_eq(memcmp(first, W->sent[0].content.p, n), 0);
    cr_assert(key_eq(id, W->sent[0].id));
    /* Fixed for ever: receivers know messages by it. */
    char text[40];
    content_text(W->sent[0].content, "action_id", text, sizeof text);
    cr_assert_str_eq(text, "595c603a2cbb87acf4252563a4505605");
}

Test(policy, caps_hold_and_nothing_is_lost_under_a_random_load)
{
    uint64_t seed = 20260101;
    printf("seed %llu\n", (unsigned long long)seed);
    mail_on("a", ADDED)->priority = 3;
    mail_on("b", VIEWED);
    cap(EMAIL, 2, HOUR);
    reachable_person("u");
    uint32_t triggers = 0;
    for (int i = 0; i < 200; i++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        pass((uint32_t)(seed >> 33) % 1500);
        track("u", seed >> 62 & 1 ? "Product Added" : "Product Viewed",
              arena_printf(&W->arena, "{'price':%d}", i));
        triggers++;
    }
    pass(DAYS(2));
    uint64_t entered = W->counters[0].entered + W->counters[1].entered,
             ignored = W->counters[0].ignored + W->counters[1].ignored;
    cr_assert_eq(entered + ignored, triggers);
    cr_assert_eq(W->sent_count + W->actions.expired, entered);
    cr_assert_gt(W->actions.deferred, 10);
    for (uint32_t i = 2; i < W->sent_count; i++) cr_assert_geq(W->sent[i].at - W->sent[i - 2].at, HOUR);
}
