/* The engine's clock: it follows small corrections of the wall clock, and large ones only when it is told to. */
#include "io/clock.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { HOUR_MS = 3600 * 1000 };

/* As if the wall clock had been set forward by so much since the last look. */
static void jump(struct wall_clock *c, int64_t ms) { atomic_fetch_sub(&c->offset_ms, ms); }

Test(clock, a_small_correction_is_followed)
{
    struct wall_clock c;
    clock_init(&c);
    int64_t offset = atomic_load(&c.offset_ms);
    jump(&c, 30 * 1000);
    clock_follow(&c);
    cr_expect_leq(llabs(atomic_load(&c.offset_ms) - offset), 1000);
    cr_expect_eq(clock_offset_s(&c), 0);
}

Test(clock, a_jump_in_either_direction_is_told_and_not_followed_until_it_is_accepted)
{
    for (int sign = -1; sign <= 1; sign += 2) {
        struct wall_clock c;
        clock_init(&c);
        jump(&c, sign * HOUR_MS);
        int64_t before = atomic_load(&c.offset_ms);
        clock_follow(&c);
        cr_expect_eq(atomic_load(&c.offset_ms), before, "not followed");
        cr_expect_leq(llabs(clock_offset_s(&c) - sign * 3600), 1, "%d", (int)clock_offset_s(&c));
        clock_accept(&c);
        cr_expect_eq(clock_offset_s(&c), 0);
        cr_expect_leq(llabs(atomic_load(&c.offset_ms) - before - sign * HOUR_MS), 1000, "followed");
    }
}

Test(clock, a_jump_that_is_taken_back_is_forgotten)
{
    struct wall_clock c;
    clock_init(&c);
    jump(&c, HOUR_MS);
    clock_follow(&c);
    jump(&c, -HOUR_MS);
    clock_follow(&c);
    cr_expect_eq(clock_offset_s(&c), 0);
}

Test(clock, a_test_clock_stands_still_whatever_the_wall_does)
{
    struct wall_clock c;
    clock_init_fake(&c, 1772366400);
    clock_follow(&c);
    cr_expect_eq(clock_now(&c), 1772366400);
    clock_move(&c, 1772366401);
    cr_expect_eq(clock_now_ms(&c), 1772366401000);
}

Test(clock, a_time_is_a_date_or_seconds)
{
    static const char *const bad[] = {
        "", "yesterday", "1900-01-01T00:00:00Z", "2200-01-01T00:00:00Z", "4294967296", "12x"};
    uint32_t second = 0;
    cr_expect(clock_parse("2026-03-01T12:00:00Z", &second) && second == 1772366400);
    cr_expect(clock_parse("1772366400", &second) && second == 1772366400);
    cr_expect(clock_parse("4294967295", &second) && second == UINT32_MAX);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_not(clock_parse(bad[i], &second), "%s", bad[i]);
}
