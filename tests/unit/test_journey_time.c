/* The slow twin: a person who is looked at every second does exactly what one does who wakes only when due. */
#include "tests/unit/journey_kit.h"

#define MIX(seed) ((seed) = (seed)*6364136223846793005ull + 1442695040888963407ull, (uint32_t)((seed) >> 33))

static const char *const USERS[] = {"u", "v", "w"};

static struct journey *with_exit(struct journey *j, struct match m)
{
    j->exits = match(m);
    j->exit_count = 1;
    j->reentry = REENTRY_ALWAYS;
    return j;
}

static void make_journeys(void)
{
    static const struct cap caps[] = {{2, 10 * MINUTE}};
    static const uint16_t viewed[] = {VIEWED};
    W->channels[EMAIL].caps = caps;
    W->channels[EMAIL].cap_count = 1;
    W->channels[SMS].has_quiet = true;
    W->channels[SMS].quiet_from_s = 1 * HOUR;
    W->channels[SMS].quiet_to_s = 1 * HOUR + 20 * MINUTE;
    uint16_t busy = segment("busy", "count(\"Product Viewed\", minutes(7)) >= 3");
    struct step silent = {.kind = STEP_WAIT,
                          .next = 1,
                          .wait = {.kind = WAIT_SILENCE, .seconds = 200, .type_count = 1, .types = viewed}};
    with_exit(journey("silent", ON(VIEWED),
                      STEPS(silent, send_to("a", EMAIL, 2), wait_s(100, 3), send_to("b", SMS, STEP_END))),
              (struct match){.kind = MATCH_AFTER, .seconds = 290});
    with_exit(
        journey("cart", ON(ADDED),
                STEPS(wait_s(90, 1), send_to("c", EMAIL, 2), wait_s(400, 3), send_to("d", EMAIL, STEP_END))),
        (struct match){.kind = MATCH_WHEN,
                       .where = compile("count(\"Product Added\", minutes(5)) == 0 && segment(\"busy\")",
                                        WANT_BOOL, ID_NONE)});
    static struct match any[2];
    any[0] = (struct match){.kind = MATCH_SEGMENT_LEFT, .id = busy, .then = 1};
    any[1] = (struct match){.kind = MATCH_WHEN,
                            .where = compile("ago(\"Product Viewed\") >= minutes(6)", WANT_BOOL, ID_NONE),
                            .then = 2};
    struct step either = {.kind = STEP_WAIT_FOR, .wait_for = {2, any, 1000, 3}};
    with_exit(journey("busy", match((struct match){.kind = MATCH_SEGMENT_ENTERED, .id = busy}),
                      STEPS(either, send_to("left", SMS, STEP_END), send_to("when", SMS, STEP_END),
                            send_to("late", SMS, STEP_END))),
              (struct match){.kind = MATCH_SILENCE, .seconds = 130});
}

/* What was sent to whom when, and how the journeys stand. */
static char *story(uint64_t seed, bool every_second)
{
    static const char *const events[] = {"Product Viewed", "Product Viewed", "Product Added",
                                         "Order Completed"};
    world_open();
    make_journeys();
    for (int i = 0; i < 3; i++) reachable_person(USERS[i]);
    uint32_t next = START + 1;
    for (uint32_t t = START + 1; t < START + 2 * HOUR; t++) {
        if (every_second) {
            W->now = t;
            for (int i = 0; i < 3; i++) wake(person(USERS[i]));
        } else {
            advance(t);
        }
        if (t != next) continue;
        uint32_t r = MIX(seed);
        track(USERS[r % 3], events[r / 4 % 4], arena_printf(&W->arena, "{'price':%u}", r % 10));
        next = t + 1 + r / 16 % 150;
    }
    struct buf out = {0};
    for (uint32_t i = 0; i < W->sent_count; i++)
        buf_printf(&out, "%s>%s@%u ", W->sent[i].step, W->sent[i].to, W->sent[i].at - START);
    for (uint32_t i = 0; i < 3; i++) {
        const struct journey_counters *c = &W->counters[i];
        buf_printf(&out, "[%lu %lu %lu %lu %lu]", c->entered, c->active, c->completed, c->exited, c->timeout);
        cr_balance(&W->list[i]);
    }
    buf_put_u8(&out, 0);
    cr_assert_gt(W->sent_count, 15, "too quiet to prove anything: %s", out.p);
    cr_assert_gt(W->actions.deferred, 3);
    world_close();
    return (char *)out.p;
}

Test(time, waking_only_when_due_is_the_same_as_waking_every_second)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        printf("seed %llu\n", (unsigned long long)seed);
        char *lazy = story(seed, false), *eager = story(seed, true);
        cr_assert_str_eq(lazy, eager);
        free(lazy);
        free(eager);
    }
}
