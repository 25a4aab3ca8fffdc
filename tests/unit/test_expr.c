/* What the expression language says about one person. */
#include "tests/unit/expr_person.h"

#include <criterion/criterion.h>

enum { NOW = 1772355600 /* 2026-03-01T09:00:00Z, a Sunday */, DAY = 86400, HOUR = 3600 };

static struct arena arena, scratch;
static struct expr_pool *pool;
static struct person person;

static void set_up(void)
{
    arena_init(&arena);
    arena_init(&scratch);
    pool = expr_pool_create(&arena);
    memset(&person, 0, sizeof person);
    person.zone = zone_utc();
    person.own[PROFILE_USER_ID] = value_string(SLICE("u1"));
    person.own[PROFILE_KNOWN] = value_bool(true);
    person.sends = 1 << SEND_SENT;
}
static void tear_down(void)
{
    arena_free(&arena);
    arena_free(&scratch);
}
TestSuite(expr, .init = set_up, .fini = tear_down);

static const struct program *compile_for(const char *text, enum expr_want want)
{
    struct expr_errors errors = {0};
    const struct program *p = expr_compile(pool, &person_scope, slice_str(text), want, &errors);
    cr_assert_not_null(p, "%s: %s", text, errors.count ? errors.list[0].reason : "?");
    return p;
}

static struct expr_context context_at(uint32_t now)
{
    arena_reset(&scratch);
    return (struct expr_context){.source = &person_source,
                                 .self = &person,
                                 .now = now,
                                 .zone = person.zone,
                                 .scratch = &scratch,
                                 .next_change = UINT32_MAX};
}

static bool is_true(const char *text)
{
    struct expr_context ctx = context_at(NOW);
    return program_true(compile_for(text, WANT_BOOL), &ctx);
}

static bool fails(const char *text)
{
    struct expr_context ctx = context_at(NOW);
    return program_run(compile_for(text, WANT_ANY), &ctx).kind == V_ERROR;
}

static double number(const char *text)
{
    struct expr_context ctx = context_at(NOW);
    struct value v = program_run(compile_for(text, WANT_NUMBER), &ctx);
    cr_assert(v.kind == V_INT || v.kind == V_DOUBLE, "%s: kind %d", text, v.kind);
    return v.kind == V_INT ? (double)v.i : v.d;
}

/* Seconds from now until the value may change; -1: never. */
static int64_t flips_after(const char *text)
{
    struct expr_context ctx = context_at(NOW);
    program_true(compile_for(text, WANT_BOOL), &ctx);
    return ctx.next_change == UINT32_MAX ? -1 : (int64_t)ctx.next_change - NOW;
}

static void add(uint16_t type, int64_t seconds_ago, double total, const char *city)
{
    uint32_t t = type - ORDER;
    struct deed *d = &person.deeds[t][person.count[t]++];
    *d = (struct deed){.time = (uint32_t)(NOW - seconds_ago), .prop = {value_double(total)}};
    if (city) d->prop[1] = value_string(slice_str(city));
    person_seal(&person, 13);
}

static const char *error_of(const char *text)
{
    struct expr_errors errors = {0};
    const struct program *p = expr_compile(pool, &person_scope, slice_str(text), WANT_ANY, &errors);
    cr_assert_null(p, "%s compiles", text);
    for (uint32_t i = 0; i < errors.count; i++)
        if (!errors.list[i].warning) return errors.list[i].reason;
    return "";
}

/* ---- attributes and events ------------------------------------------------------------------------- */

Test(expr, an_absent_attribute_is_an_error_that_a_predicate_takes_for_false)
{
    cr_assert(fails("profile.city"));
    cr_assert_not(is_true("profile.city == 'Moscow'"));
    cr_assert_not(is_true("profile.city != 'Moscow'"));
    cr_assert_not(is_true("has(profile.city)"));
    cr_assert(is_true("profile.city == 'x' || true"));
    cr_assert(is_true("!has(profile.city) || profile.city == 'x'"));
    person.attribute[CITY] = value_string(SLICE("Moscow"));
    cr_assert(is_true("has(profile.city) && profile.city == 'Moscow'"));
    cr_assert(is_true("profile.city.startsWith('Mos') && profile.city in ['Kazan', 'Moscow']"));
}

Test(expr, errors_are_counted)
{
    struct expr_context ctx = context_at(NOW);
    program_true(compile_for("profile.city == 'x'", WANT_BOOL), &ctx);
    program_true(compile_for("profile.city == 'x' && false", WANT_BOOL), &ctx);
    cr_assert_eq(ctx.errors, 1);
}

Test(expr, an_int_next_to_a_double_is_promoted)
{
    person.at_hand[0][0] = value_double(10);
    cr_assert_float_eq(number("e.total * 2 + 1"), 21, 0);
    cr_assert_float_eq(number("5 / 2"), 2, 0);
    cr_assert_float_eq(number("e.total / 4"), 2.5, 0);
    cr_assert(is_true("e.total > 9 && e.total == 10 && 10 == e.total"));
    cr_assert_float_eq(number("count('Order') + e.total"), 10, 0);
    cr_assert_float_eq(number("true ? 1 : e.total"), 1, 0);
    cr_assert_float_eq(number("context.screen / 2"), 1.5, 0);
}

Test(expr, events_contexts_triggers_and_awaited_events_have_fields)
{
    static const char *const cities[] = {"Kazan", "Omsk", "Tver"};
    for (uint32_t scope = 0; scope < SCOPES; scope++) {
        person.at_hand[scope][1] = value_string(slice_str(cities[scope]));
        person.event_at[scope] = NOW - 5;
    }
    cr_assert(is_true("e.city == 'Kazan' && trigger.city == 'Omsk' && bought.city == 'Tver'"));
    cr_assert(is_true("context.campaign.source == 'mail' && !has(context.campaign.medium)"));
    cr_assert(is_true("now - e.at == duration('5s') && trigger.at < now"));
    cr_assert(is_true("!has(e.ok) && profile.user_id == 'u1' && profile.known"));
}

Test(expr, lists_of_an_attribute_arrive_as_message_bytes)
{
    static const uint8_t raw[] = {0x93, 0xa3, 'a', 'b', 'c', 0xa1, 'x', 0xcb, 0x40, 0, 0, 0, 0, 0, 0, 0};
    person.attribute[TAGS] = (struct value){.kind = V_RAW, .n = sizeof raw, .s = raw};
    cr_assert(is_true("'x' in profile.tags && !('y' in profile.tags)"));
    cr_assert_float_eq(number("size(profile.tags)"), 3, 0);
    cr_assert(is_true("profile.tags.exists(t, t == 'abc')"));
    cr_assert(is_true("profile.tags[1] == 'x'"));
}

Test(expr, what_the_engine_knows_is_asked_by_name)
{
    cr_assert_not(is_true("segment('vips') || in_list('staff') || consent('email') || reachable('email') || "
                          "in_journey('cart')"));
    person.member = person.listed = person.consents = person.reachable = person.inside = true;
    person.sends |= 1 << SEND_OPENED;
    person.entered = NOW - DAY;
    cr_assert(is_true("segment('vips') && in_list('staff') && consent('email') && reachable('email') && "
                      "in_journey('cart')"));
    cr_assert_not(is_true("consent('email', 'news')"));
    cr_assert(is_true("sent('m1') && opened('m1') && !clicked('m1') && !delivered('m1') && !replied('m1')"));
    cr_assert(is_true("now - entered('vips') == days(1)"));
    cr_assert(fails("left('vips')"));
    cr_assert_float_eq(number("value('avg_cheque')"), 4200, 0);
}

/* ---- history ------------------------------------------------------------------------------------------ */

Test(expr, history_is_counted_summed_and_filtered)
{
    add(ORDER, 10 * DAY, 0.1, "Kazan");
    add(ORDER, 2 * DAY, 0.2, "Moscow");
    add(ORDER, HOUR, 100, "Moscow");
    cr_assert_float_eq(number("count('Order')"), 3, 0);
    cr_assert_float_eq(number("count('Order', days(7))"), 2, 0);
    cr_assert_float_eq(number("count('Order', e.city == 'Moscow' && e.total > 1)"), 1, 0);
    cr_assert_float_eq(number("count('Order', days(7), e.city == 'Moscow')"), 2, 0);
    cr_assert_float_eq(number("count('*', hours(2))"), 1, 0);
    cr_assert_float_eq(number("sum('Order', e.total)"), 100.3, 0, "exact: micro-units");
    cr_assert_float_eq(number("sum('Order', e.total * 2, days(7))"), 200.4, 0);
    cr_assert_float_eq(number("avg('Order', e.total, days(7))"), 50.1, 0);
    cr_assert_float_eq(number("min('Order', e.total)"), 0.1, 0);
    cr_assert_float_eq(number("max('Order', e.total, days(30), e.city == 'Moscow')"), 100, 0);
    cr_assert_float_eq(number("distinct('Order', e.city)"), 2, 0);
    cr_assert_float_eq(number("distinct('Order', e.city, days(7))"), 1, 0);
    cr_assert_float_eq(number("sum('View', e.total)"), 0, 0);
    cr_assert(fails("avg('View', e.total)"));
    cr_assert(fails("last('View')"));
    cr_assert(is_true("ago('Order') == hours(1) && ago('View') > days(100000)"));
    cr_assert(is_true("first('Order') == now - days(10) && last('Order') == now - hours(1)"));
}

Test(expr, a_window_is_open_at_its_far_end)
{
    add(ORDER, DAY, 1, NULL);
    cr_assert_not(is_true("count('Order', days(1)) == 1"), "an event exactly a day ago is out");
    cr_assert(is_true("count('Order', minutes(1441)) == 1"));
}

Test(expr, since_and_calendar_windows)
{
    add(VIEW, 3 * HOUR, 1, NULL);
    add(ORDER, 10 * HOUR, 1, NULL); /* yesterday, 23:00 */
    add(ORDER, 3 * HOUR, 1, NULL);
    add(ORDER, HOUR, 1, NULL);
    cr_assert_float_eq(number("count('Order', since(last('View')))"), 2, 0, "that second counts");
    cr_assert_float_eq(number("count('View', since(last('Order')))"), 0, 0);
    cr_assert_float_eq(number("count('Order', calendar('day'))"), 2, 0);
    cr_assert_float_eq(number("count('Order', calendar('week'))"), 3, 0);
    cr_assert_float_eq(number("count('Order', calendar('month'))"), 2, 0, "it is the first of March");
    person.zone = zone_load(NULL, SLICE("+03:00"));
    cr_assert_float_eq(number("count('Order', calendar('day'))"), 3, 0, "23:00 in UTC is 02:00 here");
    person.count[1] = 0;
    cr_assert_float_eq(number("count('Order', since(last('View')))"), 3, 0,
                       "since what never was: all of it");
}

Test(expr, folded_days_count_as_a_whole)
{
    add(ORDER, DAY, 5, NULL);
    person.days[0] = (struct day_bucket){.day = NOW / DAY - 20, .count = 7};
    person.days[0].sums = heap_alloc(&person_heap, 8);
    *(int64_t *)heap_at(&person_heap, person.days[0].sums) = 70000000;
    person.day_count = 1;
    person.folded = 7;
    person.folded_first = NOW - 20 * DAY;
    cr_assert_float_eq(number("count('Order')"), 8, 0);
    cr_assert_float_eq(number("count('Order', days(30))"), 8, 0);
    cr_assert_float_eq(number("count('Order', days(10))"), 1, 0);
    cr_assert_float_eq(number("sum('Order', e.total, days(30))"), 75, 0);
    cr_assert_float_eq(number("count('Order', days(30), e.total > 0)"), 1, 0,
                       "a filter cannot see into a day");
    cr_assert(is_true("count('Order', days(30)) >= 8"));
    cr_assert_eq(flips_after("count('Order', days(30)) >= 8"),
                 (int64_t)(NOW / DAY - 20) * DAY + DAY - 1 + 30 * DAY - NOW);
}

Test(expr, days_in_a_row_end_today_or_yesterday)
{
    for (int d = 4; d >= 1; d--) add(ORDER, d * DAY, 1, NULL);
    cr_assert_float_eq(number("days_in_row('Order')"), 4, 0);
    cr_assert_eq(flips_after("days_in_row('Order') >= 4"), 15 * HOUR, "today ends without one");
    add(ORDER, 0, 1, NULL);
    cr_assert_float_eq(number("days_in_row('Order')"), 5, 0);
    cr_assert_eq(flips_after("days_in_row('Order') >= 4"), 15 * HOUR + DAY);
}

Test(expr, a_sequence_is_found_in_order)
{
    add(VIEW, 9 * HOUR, 1, "a");
    add(ORDER, 8 * HOUR, 1, "b");
    add(VIEW, 7 * HOUR, 1, "c");
    cr_assert(is_true("sequence(['View', 'Order'], days(1))"));
    cr_assert(is_true("sequence(['View', 'Order', 'View'], days(1))"));
    cr_assert_not(is_true("sequence(['Order', 'Order'], days(1))"), "one event is not two");
    cr_assert(is_true("sequence(['View', 'View'], days(1))"));
    cr_assert_not(is_true("sequence(['View', 'Order'], hours(8))"));
    cr_assert(is_true("sequence([ev('View', e.city == 'a'), 'Order'], days(1))"));
    cr_assert_not(is_true("sequence([ev('View', e.city == 'c'), 'Order'], days(1))"));
    cr_assert_eq(flips_after("sequence(['View', 'Order'], days(1))"), 15 * HOUR, "when the view leaves");
}

/* ---- time --------------------------------------------------------------------------------------------- */

Test(expr, a_count_flips_when_the_deciding_event_leaves)
{
    for (int h = 5; h >= 1; h--) add(ORDER, h * HOUR, 1, NULL);
    cr_assert_eq(flips_after("count('Order', hours(24)) >= 3"), 21 * HOUR, "not at the first expiry");
    cr_assert_eq(flips_after("count('Order', hours(24)) >= 6"), -1);
    cr_assert_eq(flips_after("3 > count('Order', hours(24))"), 21 * HOUR);
    cr_assert_eq(flips_after("count('Order', hours(24)) == 5"), 19 * HOUR);
    cr_assert_eq(flips_after("count('Order', hours(24)) == 0"), 23 * HOUR);
    cr_assert_eq(flips_after("count('Order', hours(24), e.total > 0) >= 3"), 21 * HOUR);
    cr_assert_eq(flips_after("sum('Order', e.total, hours(24)) > 2.5"), 21 * HOUR);
    cr_assert_eq(flips_after("count('Order') >= 3"), -1);
    cr_assert_eq(flips_after("count('Order', calendar('day')) >= 1"), 15 * HOUR);
    cr_assert_eq(flips_after("count('View', calendar('day')) >= 1"), -1, "nothing to lose at midnight");
}

Test(expr, events_ahead_of_now_enter_when_now_reaches_them)
{
    add(ORDER, -100, 1, NULL);
    cr_assert_not(is_true("count('Order', days(1)) > 0"));
    cr_assert_eq(flips_after("count('Order', days(1)) > 0"), 100);
    cr_assert_eq(flips_after("count('Order', days(1), e.total > 5) > 0"), -1);
    cr_assert_eq(flips_after("count('Order', since(now - days(1))) > 0"), 100);
}

Test(expr, silence_and_dates_flip_at_their_second)
{
    add(ORDER, DAY, 1, NULL);
    cr_assert_eq(flips_after("ago('Order') >= days(60)"), 59 * DAY);
    cr_assert_eq(flips_after("ago('Order') > days(60)"), 59 * DAY + 1);
    cr_assert_eq(flips_after("now - last('Order') >= days(60)"), 59 * DAY);
    cr_assert_eq(flips_after("last('Order') < now - days(60)"), 59 * DAY + 1);
    cr_assert_eq(flips_after("ago('View') >= days(60)"), -1);
    person.attribute[EXPIRES] = value_time(NOW + 5 * DAY);
    cr_assert_eq(flips_after("now >= profile.expires"), 5 * DAY);
    cr_assert_eq(flips_after("profile.expires - now < days(3)"), 2 * DAY + 1);
    cr_assert_eq(flips_after("now == profile.expires"), 5 * DAY);
    cr_assert_eq(flips_after("now != now"), -1);
}

Test(expr, a_civil_date_is_the_persons_midnight)
{
    person.attribute[BIRTHDAY] = value_time(civil_days(2026, 3, 5) * DAY);
    cr_assert_eq(flips_after("now >= profile.birthday"), 4 * DAY - 9 * HOUR);
    person.zone = zone_load(NULL, SLICE("+03:00"));
    cr_assert_eq(flips_after("now >= profile.birthday"), 4 * DAY - 12 * HOUR);
    cr_assert(is_true("profile.birthday.getDate() == 5 && profile.birthday.getMonth() == 2"));
    person.attribute[BIRTHDAY] = value_time(civil_days(1990, 3, 2) * DAY);
    cr_assert_float_eq(number("age(profile.birthday)"), 35, 0);
    cr_assert_eq(flips_after("age(profile.birthday) >= 36"), 12 * HOUR);
    person.attribute[BIRTHDAY] = value_time(civil_days(2000, 2, 29) * DAY);
    cr_assert_float_eq(number("age(profile.birthday)"), 26, 0);
}

Test(expr, who_was_born_on_the_29th_of_february_is_a_year_older_on_the_28th)
{
    person.attribute[BIRTHDAY] = value_time(civil_days(2000, 2, 29) * DAY);
    static const struct {
        int32_t year, day, age;
        int64_t next;
    } rows[] = {
        {2026, 27, 25, 1}, {2026, 28, 26, 365}, {2027, 28, 27, 366}, {2028, 28, 27, 1}, {2028, 29, 28, 365}};
    const struct program *p = compile_for("age(profile.birthday)", WANT_ANY);
    for (uint32_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t midnight = civil_days(rows[i].year, 2, (uint32_t)rows[i].day) * DAY;
        struct expr_context ctx = context_at((uint32_t)midnight);
        cr_assert_eq(program_run(p, &ctx).i, rows[i].age, "%d-02-%d", rows[i].year, rows[i].day);
        cr_assert_eq(ctx.next_change, midnight + rows[i].next * DAY, "%d-02-%d", rows[i].year, rows[i].day);
    }
}

Test(expr, a_clock_part_changes_at_its_border)
{
    cr_assert_eq(flips_after("now.getHours() >= 10"), HOUR);
    cr_assert_eq(flips_after("now.getDayOfWeek() == 0"), 15 * HOUR);
    add(VIEW, 0, 1, NULL);
    cr_assert_eq(flips_after("(now + ago('View')).getDayOfWeek() == 0"), 15 * HOUR / 2, "twice as fast");
    cr_assert_eq(flips_after("now.getHours('Asia/Kathmandu') >= 10"), 15 * 60, "an offset of 5:45");
    person.zone = zone_load(NULL, SLICE("+03:00"));
    cr_assert(is_true("now.getHours() == 12 && now.getHours('UTC') == 9"));
}

Test(expr, a_day_that_loses_an_hour_is_not_overslept)
{
    const struct zone *z = zone_load(NULL, SLICE("America/New_York"));
    person.zone = z;
    struct expr_context ctx =
        context_at(1772949600); /* 2026-03-08, 01:00 in New York; the clock leaps at 02:00 */
    cr_assert(program_true(compile_for("now.getDayOfWeek() == 0", WANT_BOOL), &ctx));
    cr_assert_leq(ctx.next_change, 1772949600 + 22 * HOUR);
    ctx = context_at(1772949600 + 22 * HOUR - 1);
    cr_assert(program_true(compile_for("now.getDayOfWeek() == 0", WANT_BOOL), &ctx));
    cr_assert_eq(ctx.next_change, ctx.now + 1);
}

Test(expr, and_waits_for_the_last_of_its_false_sides)
{
    add(ORDER, DAY, 1, NULL);
    add(VIEW, 2 * DAY, 1, NULL);
    cr_assert_eq(flips_after("ago('Order') >= days(10) && ago('View') >= days(20)"), 18 * DAY);
    cr_assert_eq(flips_after("ago('Order') >= days(10) && ago('View') >= days(1)"), 9 * DAY);
    cr_assert_eq(flips_after("ago('Order') < days(10) && ago('View') < days(20)"), 9 * DAY);
    cr_assert_eq(flips_after("ago('Order') < days(10) || ago('View') < days(20)"), 18 * DAY);
    cr_assert_eq(flips_after("ago('Order') >= days(10) && has(profile.city)"), -1,
                 "nothing but an event can help");
    cr_assert_eq(flips_after("!(ago('Order') >= days(10) && ago('View') >= days(20))"), 18 * DAY);
}

/* ---- sharing ------------------------------------------------------------------------------------------- */

/* Of e.total: says whether the program could be true; what the hurdle stops, the program must not take. */
static bool passes(const char *text, struct value total)
{
    const struct program *p = compile_for(text, WANT_BOOL);
    struct expr_hurdle h = program_hurdle(p);
    struct value props[PROPS] = {total};
    bool stopped = hurdle_stops(&h, &(struct event){.props = props});
    person.at_hand[0][0] = total;
    struct expr_context ctx = context_at(NOW);
    bool is = program_true(p, &ctx);
    cr_assert(!(stopped && (is || ctx.errors)), "%s", text);
    return !stopped;
}

Test(expr, a_hurdle_stops_only_numbers_that_make_the_program_false)
{
    static const char *const ops[] = {"<", "<=", "==", "!=", ">=", ">"};
    for (uint32_t i = 0; i < 6; i++)
        for (int32_t d = -1; d <= 1; d++) {
            bool fits = d < 0 ? i == 0 || i == 1 || i == 3 : d > 0 ? i >= 3 : i == 1 || i == 2 || i == 4;
            cr_expect_eq(passes(arena_printf(&arena, "e.total %s 10.0", ops[i]), value_double(10 + d)), fits,
                         "%s %d", ops[i], d);
        }
    cr_expect_not(passes("e.city == 'x' && e.total > 10.0", value_double(9)));
    cr_expect_not(passes("e.total > 10.0 && count('Order') > 3", value_double(9)));
    cr_expect(passes("e.total > 10.0 || count('Order') > 3", value_double(9)));
    cr_expect(passes("!(e.total > 10.0)", value_double(9)));
    cr_expect(passes("trigger.total > 10.0", value_double(9)));
    cr_expect(passes("e.total > 10.0", value_none()), "an absent number is an error, and counted");
    cr_expect(passes("e.total > 10.0", value_double(0.0 / 0.0)));
}

Test(expr, equal_expressions_are_one_program)
{
    const struct program *a = compile_for("count('Order', days(7)) > 2 && has(profile.city)", WANT_BOOL);
    const struct program *b =
        compile_for(" count( \"Order\", days( 3+4 ) )>2&&has(profile.city) // same", WANT_BOOL);
    const struct program *c = compile_for("count('Order', days(7)) > 3 && has(profile.city)", WANT_BOOL);
    cr_assert_eq(a, b);
    cr_assert_neq(program_identity(a), program_identity(c));
    struct expr_errors errors = {0};
    const struct program *other =
        expr_compile(expr_pool_create(&arena), &person_scope,
                     SLICE("count('Order', days(7)) > 2 && has(profile.city)"), WANT_BOOL, &errors);
    cr_assert_eq(program_identity(a), program_identity(other), "in every pool");
}

static bool depends(const char *text, enum expr_feature feature, uint16_t id)
{
    uint32_t n;
    const struct expr_dependency *d = program_dependencies(compile_for(text, WANT_ANY), &n);
    for (uint32_t i = 0; i < n; i++)
        if (d[i].feature == feature && d[i].id == id) return true;
    return false;
}

Test(expr, dependencies_are_complete)
{
    cr_assert(depends("profile.city == 'x'", FEATURE_ATTRIBUTE, CITY));
    cr_assert(depends("has(profile.city)", FEATURE_ATTRIBUTE, CITY));
    cr_assert(depends("count('Order', days(1), e.total > profile.plan) > 0", FEATURE_ATTRIBUTE, PLAN));
    cr_assert(depends("count('Order', days(1)) > 0", FEATURE_HISTORY, ORDER));
    cr_assert(depends("count('Order', days(1)) > 0", FEATURE_NOW, 0));
    cr_assert(depends("count('*') > 0", FEATURE_HISTORY, ID_NONE));
    cr_assert(depends("sequence(['Order', ev('View', e.ok)], days(1))", FEATURE_HISTORY, VIEW));
    cr_assert(depends("ago('View') > days(1)", FEATURE_HISTORY, VIEW));
    cr_assert(depends("count('Order', since(last('View')))", FEATURE_HISTORY, VIEW));
    cr_assert(depends("segment('vips')", FEATURE_SEGMENT, 7) &&
              depends("entered('vips')", FEATURE_SEGMENT, 7));
    cr_assert(depends("in_list('staff')", FEATURE_LIST, 2) &&
              depends("consent('email')", FEATURE_CONSENT, 1));
    cr_assert(depends("reachable('email')", FEATURE_CONSENT, 1) &&
              depends("in_journey('cart')", FEATURE_JOURNEY, 3));
    cr_assert(depends("opened('m1')", FEATURE_SENDS, 4) && depends("e.total", FEATURE_EVENT, 0) &&
              depends("trigger.total", FEATURE_EVENT, 1));
    cr_assert(depends("profile.known", FEATURE_PROFILE, PROFILE_KNOWN));
    cr_assert(depends("age(profile.birthday)", FEATURE_PROFILE, PROFILE_TIMEZONE));
    cr_assert(program_timed(compile_for("age(profile.birthday)", WANT_ANY)));
    cr_assert_not(
        program_timed(compile_for("count('Order') > 3 && profile.expires > first('Order')", WANT_ANY)));
    cr_assert(program_yields_date(compile_for("profile.birthday", WANT_TIME)));
    cr_assert_not(program_yields_date(compile_for("profile.expires", WANT_TIME)));
}

/* ---- errors --------------------------------------------------------------------------------------------- */

Test(expr, errors_use_the_words_of_cel)
{
    cr_assert_str_eq(error_of("profile.city > 1.5"),
                     "found no matching overload for '_>_' applied to '(string, double)'");
    cr_assert_str_eq(error_of("profile.city + 1"),
                     "found no matching overload for '_+_' applied to '(string, int)'");
    cr_assert_str_eq(error_of("x > 1"), "undeclared reference to 'x'");
    cr_assert_str_eq(error_of("profile.town"), "undeclared reference to 'town'");
    cr_assert_str_eq(error_of("profile.vip && 32"), "expected type 'bool' but found 'int'");
    cr_assert_str_eq(error_of("b'x' == 1"), "bytes are not supported");
    cr_assert_str_eq(error_of("profile.plan == null"),
                     "found no matching overload for '_==_' applied to '(double, null)'");
    cr_assert_str_eq(error_of("true ? 'a' : 1"),
                     "found no matching overload for '_?_:_' applied to '(bool, string, int)'");
    cr_assert_str_eq(error_of("size(cart) == 0"), "not yet: collections");
    cr_assert_str_eq(error_of("revenue(days(30)) > 5"), "not yet: revenue");
    cr_assert_str_eq(error_of("in_lane('main')"), "not yet: in_lane");
    cr_assert_str_eq(error_of("profile.city.matches('(a')"),
                     "malformed pattern: missing closing parenthesis");
    cr_assert_str_eq(
        error_of("profile.city.matches('(?=a)')"),
        "malformed pattern: this group is not part of RE2's syntax (no look-around, recursion, conditions)");
    cr_assert_str_eq(error_of("now > timestamp('2026-13-01T00:00:00Z')"),
                     "timestamp() always fails: a timestamp reads \"2026-03-01T10:00:00Z\"");
    cr_assert_str_eq(error_of("[1].all(a, [1].all(b, [1].all(c, true)))"), "macros nest at most 2 deep");
}

Test(expr, every_error_of_a_text_is_reported_with_its_place)
{
    static const char text[] = "profile.twn == 'x' && cuont('Order') > 1 && profile.vip + 1 == 2";
    struct expr_errors errors = {0};
    cr_assert_null(expr_compile(pool, &person_scope, slice_str(text), WANT_BOOL, &errors));
    cr_assert_eq(errors.count, 3);
    cr_assert(errors.list[0].at == 8 && errors.list[0].length == 3);
    cr_assert(strncmp(text + errors.list[1].at, "cuont", errors.list[1].length) == 0);
    cr_assert_str_eq(errors.list[1].fix, "did you mean 'count'?");
    cr_assert_eq(text[errors.list[2].at], '+');
    struct expr_errors more = {0};
    cr_assert_null(expr_compile(
        pool, &person_scope, SLICE("count('Ordr') > 1 && (1 + ) && profile.citi == 'x'"), WANT_BOOL, &more));
    cr_assert_eq(more.count, 3, "%u", more.count);
    cr_assert_str_eq(more.list[1].fix ? more.list[1].fix : more.list[2].fix, "did you mean 'Order'?");
}

Test(expr, broken_texts_of_any_kind_end_in_errors)
{
    static const char *texts[] = {"",
                                  "(",
                                  ")",
                                  "1 +",
                                  "'abc",
                                  "\"\\q\"",
                                  "a.",
                                  "[1,",
                                  "{1:",
                                  "1 2",
                                  "=",
                                  "a = b",
                                  "a & b",
                                  "99999999999999999999",
                                  "0x",
                                  "1e",
                                  "!",
                                  "-",
                                  "x[",
                                  "has(1)",
                                  "count()",
                                  "count('Order', 5)",
                                  "has(profile.city",
                                  "e.?x",
                                  "if",
                                  "`a`",
                                  "(((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((("
                                  "((((((((((((((((((((((((((((("
                                  "((((((((((((((((((((((((((((((((((((((((((1",
                                  "count('Order', e.city)",
                                  "sequence([], days(1))",
                                  "ev('Order')",
                                  "calendar('year')",
                                  "days(1) && true",
                                  "\xff",
                                  "'\xff'",
                                  "min('Order')",
                                  "count(profile.city)",
                                  "now.getHours('Mars')"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_assert(error_of(texts[i])[0], "%s", texts[i]);
}

Test(expr, warnings_leave_a_program)
{
    struct expr_errors errors = {0};
    cr_assert_not_null(
        expr_compile(pool, &person_scope, SLICE("!(profile.city == 'x')"), WANT_BOOL, &errors));
    cr_assert(errors.count == 1 && errors.list[0].warning);
    struct expr_errors cap = {0};
    cr_assert_not_null(
        expr_compile(pool, &person_scope, SLICE("count('Order', days(365)) > 100"), WANT_BOOL, &cap));
    cr_assert(cap.count == 1 && cap.list[0].warning);
    struct expr_errors none = {0};
    cr_assert_not_null(expr_compile(pool, &person_scope,
                                    SLICE("!has(profile.city) && !(count('Order', days(1)) > 3)"), WANT_BOOL,
                                    &none));
    cr_assert_eq(none.count, 0);
}

Test(expr, what_has_found_may_be_negated_without_a_warning)
{
    static const struct {
        const char *text;
        uint32_t warnings;
    } cases[] = {{"has(profile.city) && !(profile.city == 'x')", 0},
                 {"has(profile.city) && true && !profile.city.startsWith('x')", 0},
                 {"!has(profile.city) || !(profile.city == 'x')", 0},
                 {"has(profile.city) ? !(profile.city == 'x') : false", 0},
                 {"has(profile.city) ? true : !(profile.city == 'x')", 1},
                 {"has(profile.city) || !(profile.city == 'x')", 1},
                 {"(has(profile.city) && true) || !(profile.city == 'x')", 1},
                 {"!profile.known", 0},
                 {"has(profile.language) && !(profile.city == 'x')", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct expr_errors errors = {0};
        cr_assert_not_null(expr_compile(pool, &person_scope, slice_str(cases[i].text), WANT_BOOL, &errors),
                           "%s", cases[i].text);
        cr_expect_eq(errors.count, cases[i].warnings, "%s", cases[i].text);
    }
}

Test(expr, unicode_is_lowered_and_counted_in_letters)
{
    cr_assert(is_true("'ПРИВЕТ, Ёж'.lower() == 'привет, ёж' && 'ÀÉÎ'.lower() == 'àéî' && 'ΑΣ'.lower() == "
                      "'ας' || 'ΑΣ'.lower() == 'ασ'"));
    cr_assert(
        is_true("size('Ёжик') == 4 && 'Ёжик'.reverse() == 'кижЁ' && 'a,b'.split(',').join('-') == 'a-b'"));
}

Test(expr, a_hostile_pattern_ends)
{
    char text[4000];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '!';
    person.attribute[CITY] = value_string(slice_of(text, sizeof text));
    struct expr_context ctx = context_at(NOW);
    cr_assert_not(program_true(compile_for("profile.city.matches('^(a+)+$')", WANT_BOOL), &ctx));
}
