/* What must be true of all the actions that were delivered, from what the clients know. */
#include "tests/sim/delivered.h"
#include "tests/sim/oracle.h"
#include "tests/sim/world.h"

#include <stdlib.h>

enum { HOUR_S = 3600, DAY_S = 24 * HOUR_S, SLACK_S = 90 /* clock steps, and events on their way */ };

/* Every order gets one receipt: unless it was so late that it starts nothing, or may have been. */
static void check_receipts(void)
{
    static uint8_t receipts[EVENTS_MAX];
    memset(receipts, 0, sizeof receipts);
    for (uint32_t i = 0; i < taken_count; i++) {
        const struct taken *t = &taken_actions[i];
        if (t->order < 0) continue;
        PROMISE(P3, (uint32_t)t->order < sent_count && sent_events[t->order].kind == KIND_ORDERED,
                "a receipt for no order");
        PROMISE(P19, receipts[t->order]++ == 0, "order %d got two receipts", t->order);
    }
    for (uint32_t i = 0; i < sent_count; i++) {
        const struct sent *s = &sent_events[i];
        if (s->kind != KIND_ORDERED || !s->acked) continue;
        bool stale = s->time_kind != TIME_NONE && s->own_ms / 1000 + HOUR_S < s->made_at;
        bool slow = s->time_kind != TIME_NONE && s->own_ms / 1000 + HOUR_S < s->acked_at;
        EXPECT(!stale || !receipts[i], "order %u came too late and got a receipt", i);
        PROMISE(P18, stale || slow || receipts[i], "order %u got no receipt", i);
    }
}

/* Nothing of this user was joined between these seconds: what was done then was done by one and the same person. */
static bool stood_alone(int user, uint32_t from, uint32_t to)
{
    for (uint32_t i = 0; i < sent_count; i++) {
        const struct sent *s = &sent_events[i];
        bool before = s->acked && s->acked_at + SLACK_S < from;
        if (s->user == user && s->anonymous >= 0 && !before && s->made_at < to + SLACK_S) return false;
    }
    return true;
}

/* A nudge waited ten minutes at least. Who ordered within them, and that was acknowledged before it left, had been taken
 * out of the journey. */
static void check_nudge(const struct taken *t)
{
    for (uint32_t i = 0; i < sent_count; i++) {
        const struct sent *s = &sent_events[i];
        if (s->kind != KIND_ORDERED || !s->acked || s->user != t->user || s->user < 0) continue;
        if (s->time_kind != TIME_NONE && s->own_ms / 1000 + SLACK_S < s->made_at)
            continue; /* late: it exits nobody */
        bool inside = s->made_at > t->created_at - MODEL_NUDGE_S + SLACK_S;
        if (!inside || !stood_alone(t->user, s->made_at, t->created_at)) continue;
        PROMISE(P14, s->acked_at + SLACK_S > t->created_at, "u%d ordered (event %u) and was nudged at %u",
                t->user, i, t->created_at);
    }
}

static int by_second(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* No more than the cap lets pass within any hour, by the id the message names. */
static void check_caps(bool users, int number)
{
    static uint32_t at[ACTIONS_MAX];
    uint32_t n = 0;
    for (uint32_t i = 0; i < taken_count; i++) {
        const struct taken *t = &taken_actions[i];
        if (t->kind == TAKEN_NEWS && (users ? t->user == number : t->user < 0 && t->anonymous == number))
            at[n++] = t->created_at;
    }
    qsort(at, n, sizeof *at, by_second);
    for (uint32_t i = MODEL_CAP; i < n; i++)
        PROMISE(P18, at[i] - at[i - MODEL_CAP] >= HOUR_S, "%c%d got more than %d news within an hour, at %u",
                users ? 'u' : 'a', number, MODEL_CAP, at[i]);
}

/* Held out under every id that the person may have entered with. */
static bool surely_held_out(const struct taken *t)
{
    if (t->user < 0) return held_out('a', t->anonymous);
    bool all = held_out('u', t->user);
    for (int a = 0; a < ANONYMOUS && all; a++)
        if (model_owner(a) == t->user) all = held_out('a', a);
    return all;
}

static void check_news(const struct taken *t)
{
    uint32_t of_day = t->created_at % DAY_S;
    PROMISE(P18, of_day >= MODEL_LOUD_FROM_S && of_day < MODEL_LOUD_TO_S,
            "news at second %u of the day, in quiet hours", of_day);
    PROMISE(P19, !surely_held_out(t), "u%d/a%d is held out and got news", t->user, t->anonymous);
}

void oracle_actions(void)
{
    check_receipts();
    for (uint32_t i = 0; i < taken_count; i++) {
        const struct taken *t = &taken_actions[i];
        if (t->kind == TAKEN_NUDGE) check_nudge(t);
        if (t->kind == TAKEN_NEWS) check_news(t);
    }
    for (int u = 0; u < USERS; u++) check_caps(true, u);
    for (int a = 0; a < ANONYMOUS; a++) check_caps(false, a);
}
