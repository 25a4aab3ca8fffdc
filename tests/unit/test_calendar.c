/* Civil dates, zones from TZif files, quiet hours, working days. */
#include "core/base/check.h"
#include "core/time/calendar.h"
#include "core/time/tzif.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int64_t at(int year, int month, int day, int hour, int minute, int second)
{
    struct civil c = {.year = year,
                      .month = (uint8_t)month,
                      .day = (uint8_t)day,
                      .hour = (uint8_t)hour,
                      .minute = (uint8_t)minute,
                      .second = (uint8_t)second};
    return civil_to_seconds(&c);
}

static const struct zone *zone(const char *name)
{
    const struct zone *z = zone_load(NULL, slice_str(name));
    cr_assert_not_null(z, "%s", name);
    return z;
}

Test(calendar, civil_dates_go_round_and_agree_with_libc)
{
    for (int64_t day = -719162; day < 2932896; day += day < 30000 && day > -30000 ? 1 : 11) {
        struct civil c;
        civil_from_days(day, &c);
        cr_assert_eq(civil_days(c.year, c.month, c.day), day);
        time_t t = (time_t)day * 86400;
        struct tm tm;
        gmtime_r(&t, &tm);
        cr_assert(tm.tm_year + 1900 == c.year && tm.tm_mon + 1 == c.month && tm.tm_mday == c.day, "day %ld",
                  (long)day);
        cr_assert(tm.tm_wday == c.weekday && tm.tm_yday == c.yday, "day %ld", (long)day);
        cr_assert(civil_valid(c.year, c.month, c.day));
    }
    cr_assert_not(civil_valid(2023, 2, 29));
    cr_assert(civil_valid(2024, 2, 29));
    cr_assert_not(civil_valid(1900, 2, 29));
    cr_assert_not(civil_valid(2024, 13, 1));
}

Test(calendar, zones_agree_with_libc_over_two_centuries)
{
    static const char *names[] = {"Europe/Moscow",       "America/New_York", "Asia/Kolkata",
                                  "Australia/Lord_Howe", "Pacific/Apia",     "Africa/Casablanca",
                                  "Europe/Dublin",       "America/St_Johns", "UTC"};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        setenv("TZ", names[n], 1);
        tzset();
        const struct zone *z = zone(names[n]);
        for (int64_t t = -3000000000; t < 6000000000; t += 40009) {
            time_t libc = t;
            struct tm tm;
            localtime_r(&libc, &tm);
            cr_assert_eq(tm.tm_gmtoff, zone_offset(z, t), "%s at %ld: %ld, not %d", names[n], (long)t,
                         tm.tm_gmtoff, zone_offset(z, t));
        }
    }
}

Test(calendar, an_offset_lasts_until_the_next_transition)
{
    const struct zone *z = zone("America/New_York");
    for (int64_t t = at(2020, 1, 1, 0, 0, 0); t < at(2060, 1, 1, 0, 0, 0);) {
        int64_t next = zone_next_transition(z, t);
        cr_assert_eq(zone_offset(z, t), zone_offset(z, next - 1));
        cr_assert_neq(zone_offset(z, next), zone_offset(z, next - 1));
        t = next;
    }
    cr_assert_eq(zone_next_transition(zone("Asia/Kolkata"), at(2020, 1, 1, 0, 0, 0)), INT64_MAX);
}

Test(calendar, a_gap_moves_forward_to_its_end_and_an_overlap_counts_first)
{
    const struct zone *z = zone("America/New_York");
    int64_t gap_end = at(2026, 3, 8, 7, 0, 0);
    cr_assert_eq(zone_to_utc(z, at(2026, 3, 8, 2, 0, 0)), gap_end);
    cr_assert_eq(zone_to_utc(z, at(2026, 3, 8, 2, 30, 0)), gap_end);
    cr_assert_eq(zone_to_utc(z, at(2026, 3, 8, 1, 59, 59)), gap_end - 1);
    cr_assert_eq(zone_to_utc(z, at(2026, 3, 8, 3, 0, 0)), gap_end);
    cr_assert_eq(zone_to_utc(z, at(2026, 11, 1, 1, 30, 0)), at(2026, 11, 1, 5, 30, 0));
    cr_assert_eq(zone_to_utc(z, at(2026, 11, 1, 2, 0, 0)), at(2026, 11, 1, 7, 0, 0));
    cr_assert_eq(zone_to_utc(zone("Pacific/Apia"), at(2011, 12, 30, 12, 0, 0)), at(2011, 12, 30, 10, 0, 0),
                 "a skipped day");
}

Test(calendar, local_time_goes_round_outside_of_overlaps)
{
    static const char *names[] = {"Europe/Moscow", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"};
    for (size_t n = 0; n < 4; n++) {
        const struct zone *z = zone(names[n]);
        for (int64_t t = at(1970, 1, 1, 0, 0, 0); t < at(2100, 1, 1, 0, 0, 0); t += 7001) {
            int64_t back = zone_to_utc(z, t + zone_offset(z, t));
            cr_assert(back == t ||
                      (back < t && back > t - 7201 && zone_offset(z, back) != zone_offset(z, t)));
        }
    }
}

Test(calendar, the_footer_rules_the_far_future)
{
    const struct zone *z = zone("America/New_York");
    cr_assert_eq(zone_offset(z, at(2500, 7, 1, 0, 0, 0)), -4 * 3600);
    cr_assert_eq(zone_offset(z, at(2500, 12, 1, 0, 0, 0)), -5 * 3600);
    cr_assert_eq(zone_offset(zone("Europe/Moscow"), at(9000, 7, 1, 0, 0, 0)), 3 * 3600);
    struct zone_footer f;
    cr_assert(tzif_footer(SLICE("AEST-10AEDT,M10.1.0,M4.1.0/3"), &f));
    cr_assert(tzif_footer(SLICE("<-02>2<-01>,M3.5.0/-1,M10.5.0/0"), &f));
    cr_assert_eq(f.start.seconds, -3600);
    cr_assert(tzif_footer(SLICE("XXX3YYY,J60/1,J300"), &f));
    cr_assert(tzif_footer(SLICE("XXX3YYY4,59,300/24:30"), &f));
    static const char *bad[] = {"",     "X", "EST", "EST5EDT", "EST5EDT,M13.1.0,M3.1.0", "EST5EDT,M3.1.0",
                                "EST5x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(tzif_footer(slice_str(bad[i]), &f), "%s", bad[i]);
}

Test(calendar, offsets_are_zones_and_names_stay_in_their_directory)
{
    cr_assert_eq(zone_offset(zone("+03:00"), 0), 10800);
    cr_assert_eq(zone_offset(zone("-02:30"), 0), -9000);
    cr_assert_eq(zone_offset(zone("02:00"), 0), 7200);
    cr_assert_eq(zone("UTC"), zone_utc());
    static const char *bad[] = {
        "",          "/etc/passwd", "../../etc/passwd", "Europe/../Europe/Moscow", "Nowhere/City", "Europe",
        "tzdata.zi", "+25:00"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_null(zone_load(NULL, slice_str(bad[i])), "%s", bad[i]);
}

Test(calendar, a_damaged_file_is_no_zone)
{
    struct slice good = zone_bytes(zone("America/New_York"));
    cr_assert_gt(good.n, 44);
    uint8_t *copy = malloc(good.n);
    for (uint32_t cut = 0; cut < good.n; cut += 1 + cut / 16) {
        struct zone z = {0};
        memcpy(copy, good.p, cut);
        if (tzif_parse(slice_of(copy, cut), &z)) {
            cr_assert_not(z.footer.present && cut < good.n - 30);
            free((void *)z.at);
            free((void *)z.offset);
        }
    }
    free(copy);
}

Test(calendar, next_clock_is_strictly_later)
{
    const struct zone *z = zone("Europe/Moscow");
    int64_t ten = at(2026, 3, 1, 7, 0, 0); /* 10:00 in Moscow */
    cr_assert_eq(zone_next_clock(z, ten - 1, 36000), ten);
    cr_assert_eq(zone_next_clock(z, ten, 36000), ten + 86400);
    cr_assert_eq(zone_next_clock(z, ten + 1, 36000), ten + 86400);
    const struct zone *ny = zone("America/New_York");
    cr_assert_eq(zone_next_clock(ny, at(2026, 3, 8, 5, 0, 0), 9000), at(2026, 3, 8, 7, 0, 0),
                 "02:30 does not exist");
}

Test(calendar, quiet_hours_over_midnight)
{
    const struct zone *z = zone("Europe/Moscow");
    uint32_t from = 21 * 3600, to = 9 * 3600;
    int64_t nine = at(2026, 3, 2, 6, 0, 0);
    cr_assert_eq(zone_after_quiet(z, at(2026, 3, 1, 17, 59, 59), from, to), at(2026, 3, 1, 17, 59, 59));
    cr_assert_eq(zone_after_quiet(z, at(2026, 3, 1, 18, 0, 0), from, to), nine);
    cr_assert_eq(zone_after_quiet(z, at(2026, 3, 2, 1, 0, 0), from, to), nine);
    cr_assert_eq(zone_after_quiet(z, nine - 1, from, to), nine);
    cr_assert_eq(zone_after_quiet(z, nine, from, to), nine);
    cr_assert_eq(zone_after_quiet(z, nine, 3600, 3600), nine, "an empty stretch is never quiet");
    cr_assert_eq(zone_after_quiet(z, at(2026, 3, 1, 10, 0, 0), 12 * 3600, 14 * 3600),
                 at(2026, 3, 1, 11, 0, 0));
    const struct zone *ny =
        zone("America/New_York"); /* the second 01:10: quiet ends in twenty minutes, not tomorrow */
    cr_assert_eq(zone_after_quiet(ny, at(2026, 11, 1, 6, 10, 0), 0, 5400), at(2026, 11, 1, 6, 30, 0));
}

Test(calendar, the_next_workday_is_never_today)
{
    const struct zone *z = zone("Europe/Moscow");
    int32_t holidays[] = {(int32_t)civil_days(2026, 12, 31), (int32_t)civil_days(2027, 1, 1)};
    struct week w = {.workdays = 0x3e, .holiday_count = 2, .holidays = holidays};
    int64_t wednesday = at(2026, 12, 30, 8, 0, 0);
    cr_assert_eq(zone_next_workday(z, wednesday, &w, 36000), at(2027, 1, 4, 7, 0, 0),
                 "two holidays and a week-end");
    cr_assert_eq(zone_next_workday(z, at(2026, 3, 2, 0, 0, 0), &w, 36000), at(2026, 3, 3, 7, 0, 0));
    cr_assert_eq(zone_next_weekday(z, at(2026, 3, 3, 0, 0, 0), 1 << 2, 36000), at(2026, 3, 10, 7, 0, 0),
                 "a week from Tuesday");
}
