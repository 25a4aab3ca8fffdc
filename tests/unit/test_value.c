/* Values: times as text, fitting to declared types, expansion, history cells. */
#include "core/base/limits.h"
#include "core/model/history.h"
#include "tests/unit/mp_text.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <time.h>

static struct value read_text(const char *text)
{
    struct mp m = mp_of(mp_text(text));
    return value_read(&m);
}

/* ---- ISO-8601 ------------------------------------------------------------------------------ */

Test(iso8601, what_is_accepted_means_what_it_says)
{
    static const struct {
        const char *text;
        int64_t ms;
    } ROWS[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-03-01T10:00:00.123Z", 1772359200123},
        {"2026-03-01T10:00:00.123456789Z", 1772359200123},
        {"2026-03-01T10:00:00,5Z", 1772359200500},
        {"2026-03-01t10:00:00z", 1772359200000},
        {"2026-03-01 10:00:00", 1772359200000},
        {"2026-03-01T10:00Z", 1772359200000},
        {"2026-03-01T13:00:00+03:00", 1772359200000},
        {"2026-03-01T13:00:00+0300", 1772359200000},
        {"2026-03-01T13:00:00+03", 1772359200000},
        {"2026-03-01T04:30:00-05:30", 1772359200000},
        {"2026-03-01", 1772323200000},
        {"2024-02-29", 1709164800000},
        {"2000-02-29", 951782400000},
        {"1969-12-31T23:59:59.999Z", -1},
        {"0001-01-01", TIME_FIRST_S * 1000},
        {"9999-12-31T23:59:59.999Z", TIME_LAST_S * 1000 + 999},
        {"2016-12-31T23:59:60Z", 1483228800000},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        int64_t ms = 7;
        cr_assert(iso8601_parse(slice_str(ROWS[i].text), &ms), "%s", ROWS[i].text);
        cr_assert_eq(ms, ROWS[i].ms, "%s: %" PRId64, ROWS[i].text, ms);
    }
}

Test(iso8601, what_is_not_a_time_is_refused)
{
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-3-1",
                                      "2026-13-01",
                                      "2026-00-01",
                                      "2026-02-30",
                                      "2025-02-29",
                                      "1900-02-29",
                                      "0000-01-01",
                                      "2026-03-01T",
                                      "2026-03-01T24:00",
                                      "2026-03-01T10:60",
                                      "20260301",
                                      "2026-03-01T1",
                                      "x026-03-01",
                                      "2026-03-01T10:00:00+",
                                      "2026-03-01T10:00:61Z",
                                      "2026-03-01T10:00:00.Z",
                                      "2026-03-01T10:00:00Zx",
                                      "2026-03-01T10:00:00+24:00",
                                      "2026-03-01T10:00:00+03:",
                                      "1772359200",
                                      " 2026-03-01"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t ms;
        cr_assert_not(iso8601_parse(slice_str(bad[i]), &ms), "%s", bad[i]);
    }
}

/* One digit more behind the milliseconds changes nothing but the way that the text is read. */
Test(iso8601, the_usual_form_is_read_as_the_long_way_reads_it)
{
    uint32_t good = 0, random = 1;
    for (int round = 0; round < 200000; round++) {
        char text[32] = "2024-02-29T23:59:60.123Z";
        for (int k = round % 5; k > 0; k--) {
            random = random * 1664525 + 1013904223;
            text[(random >> 8) % 23] = "0123456789012345678901234:-TZ./ \x80\xff"[(random >> 16) % 34];
        }
        int64_t usual = 0, slow = 0;
        bool is_usual = iso8601_parse(slice_of(text, 24), &usual);
        memcpy(text + 23, "0Z", 2);
        cr_assert_eq(iso8601_parse(slice_of(text, 25), &slow), is_usual, "%.25s", text);
        cr_assert_eq(usual, slow, "%.25s", text);
        good += is_usual;
    }
    cr_assert_gt(good, 20000);
}

Test(iso8601, printing_and_parsing_agree_with_the_c_library_on_every_fifth_day)
{
    for (int64_t day = TIME_FIRST_S / 86400; day <= TIME_LAST_S / 86400; day += 5) {
        time_t t = (time_t)(day * 86400 + (day & 0xffff));
        char mine[32], theirs[64];
        struct tm tm;
        int64_t back;
        uint32_t n = iso8601_print((int64_t)t * 1000, mine);
        gmtime_r(&t, &tm);
        snprintf(theirs, sizeof theirs, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        cr_assert_str_eq(mine, theirs);
        cr_assert(iso8601_parse(slice_of(mine, n), &back) && back == (int64_t)t * 1000, "%s", mine);
    }
    char out[32];
    iso8601_print(-1, out);
    cr_assert_str_eq(out, "1969-12-31T23:59:59.999Z");
    iso8601_print(INT64_MIN, out);
    cr_assert_str_eq(out, "0001-01-01T00:00:00Z", "clamped");
    iso8601_print(INT64_MAX, out);
    cr_assert_str_eq(out, "9999-12-31T23:59:59.999Z", "clamped");
}

/* ---- reading, expanding, writing --------------------------------------------------------------- */

Test(value, reads_scalars_as_they_are)
{
    cr_assert_eq(read_text("null").kind, V_NULL);
    cr_assert(value_same(read_text("true"), value_bool(true)));
    cr_assert(value_same(read_text("-7"), value_int(-7)));
    cr_assert(value_same(read_text("7.5"), value_double(7.5)));
    cr_assert(value_same(read_text("<ca 3f 00 00 00>"), value_double(0.5)));
    cr_assert(value_same(read_text("'x'"), value_string(SLICE("x"))));
    cr_assert(value_same(read_text("<c4 01 78>"), value_string(SLICE("x"))), "bin is text");
    cr_assert_eq(read_text("18446744073709551615").kind, V_UINT);
    cr_assert_eq(read_text("18446744073709551615").u, UINT64_MAX);
    cr_assert(value_same(read_text("<d6 ff 00 00 00 07>"), value_time(7)));
    struct value event_time = read_text("<d7 00 69 57 35 a5 28 69 75 80>");
    cr_assert(event_time.kind == V_TIME && event_time.i == 1767323045 && event_time.n == 678000000);
    cr_assert_eq(read_text("[1]").kind, V_RAW);
    cr_assert_eq(read_text("[1]").n, 2);
    cr_assert_eq(read_text("{}").kind, V_RAW);
}

Test(value, malformed_and_unknown_are_errors_and_told_apart)
{
    struct mp unknown = mp_of(mp_text("<d4 05 00>")), cut = mp_of(mp_text("<da 00>")),
              bad = mp_of(mp_text("<c1>"));
    cr_assert_eq(value_read(&unknown).kind, V_ERROR);
    cr_assert(unknown.err == MP_OK && mp_left(&unknown) == 0, "an unknown extension is stepped over");
    cr_assert_eq(value_read(&cut).kind, V_ERROR);
    cr_assert_eq(cut.err, MP_SHORT);
    cr_assert_eq(value_read(&bad).kind, V_ERROR);
    cr_assert_eq(bad.err, MP_BAD);
    cr_assert_eq(read_text("<d7 00 00 00 00 01 3b 9a ca 00>").kind, V_ERROR, "a billion nanoseconds");
}

Test(value, expansion_goes_all_the_way_down)
{
    struct arena a;
    arena_init(&a);
    struct value v = value_expand(read_text("[1, [2, {'k': [3, []]}], 'x', {}]"), &a);
    cr_assert(v.kind == V_LIST && v.n == 4);
    cr_assert(v.list[1].kind == V_LIST && v.list[1].n == 2);
    struct value map = v.list[1].list[1];
    cr_assert(map.kind == V_MAP && map.n == 1);
    cr_assert(value_same(map.map[0].key, value_string(SLICE("k"))));
    cr_assert(map.map[0].value.kind == V_LIST && map.map[0].value.list[1].n == 0);
    cr_assert(v.list[3].kind == V_MAP && v.list[3].n == 0);
    cr_assert(value_same(value_expand(value_int(3), &a), value_int(3)), "what is no raw stays");
    arena_free(&a);
}

Test(value, expansion_without_room_is_an_error_and_no_crash)
{
    struct arena a;
    for (size_t bytes = 16; bytes < 200; bytes += 16) {
        arena_init_fixed(&a, bytes);
        struct value v = value_expand(read_text("[1, 2, [3, 4, [5]]]"), &a);
        cr_assert_eq(v.kind, bytes >= 48 + 48 + 16 ? V_LIST : V_ERROR, "%zu", bytes);
        arena_free(&a);
    }
}

static void writes(struct value v, const char *expected)
{
    struct buf out = {0};
    value_write(v, &out);
    cr_assert(slice_eq(buf_slice(&out), mp_text(expected)), "%s", expected);
    buf_free(&out);
}

Test(value, writes_what_it_read)
{
    struct arena a;
    arena_init(&a);
    const char *text = "[1, -2, 2.5, 'x', null, true, {'k': [3, {}], 'l': 18446744073709551615}]";
    writes(read_text(text), text);
    writes(value_expand(read_text(text), &a), text);
    writes(value_none(), "null");
    writes(value_time(1772359200), "'2026-03-01T10:00:00Z'");
    writes((struct value){.kind = V_TIME, .i = 1772359200, .n = 5000000}, "'2026-03-01T10:00:00.005Z'");
    writes(value_duration(90), "'90s'");
    writes((struct value){.kind = V_DURATION, .i = -1, .n = (uint32_t)-500000000}, "'-1.5s'");
    writes((struct value){.kind = V_DURATION, .i = 0, .n = 1}, "'0.000000001s'");
    arena_free(&a);
}

/* ---- fitting ------------------------------------------------------------------------------------ */

static struct value fitted(const char *text, enum declared_type type, bool coerce)
{
    struct value out;
    return value_fit(read_text(text), type, coerce, &out) ? out : value_none();
}
#define FITS(text, type, expected)  cr_assert(value_same(fitted(text, type, false), expected), "%s", text)
#define COERCES(text, expected)     cr_assert(value_same(fitted(text, T_NUMBER, true), expected), "%s", text)
#define REFUSES(text, type, coerce) cr_assert_eq(fitted(text, type, coerce).kind, V_NONE, "%s", text)

Test(fit, numbers_become_doubles)
{
    FITS("7", T_NUMBER, value_double(7));
    FITS("-7", T_NUMBER, value_double(-7));
    FITS("18446744073709551615", T_NUMBER, value_double(18446744073709551615.0));
    FITS("<ca 3f 00 00 00>", T_NUMBER, value_double(0.5));
    REFUSES("'7'", T_NUMBER, false);
    REFUSES("true", T_NUMBER, true);
    REFUSES("[7]", T_NUMBER, true);
    REFUSES("<cb 7f f8 00 00 00 00 00 00>", T_NUMBER, false);
    REFUSES("<cb 7f f0 00 00 00 00 00 00>", T_NUMBER, true);
    REFUSES("<cb ff f0 00 00 00 00 00 00>", T_NUMBER, true);
}

Test(fit, coerce_reads_what_people_write)
{
    COERCES("'1 990,00'", value_double(1990));
    COERCES("'1\u00a0990,50'", value_double(1990.5));
    COERCES("'1\u202f990,50'", value_double(1990.5));
    COERCES("'1990.50'", value_double(1990.5));
    COERCES("'1,990.50'", value_double(1990.5));
    COERCES("'1.990,50'", value_double(1990.5));
    COERCES("'1,990,000'", value_double(1990000));
    COERCES("'-5'", value_double(-5));
    COERCES("'1e3'", value_double(1000));
    static const char *const bad[] = {
        "''",
        "' '",
        "'abc'",
        "'12 rub'",
        "'1.2.3'",
        "'0x10'",
        "'nan'",
        "'inf'",
        "'1e999'",
        "'--1'",
        "'1111111111111111111111111111111111111111111111111111111111111111111111'"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) REFUSES(bad[i], T_NUMBER, true);
}

Test(fit, times_and_dates)
{
    struct value ms = value_time(1772359200);
    ms.n = 123000000;
    FITS("'2026-03-01T10:00:00.123Z'", T_TIME, ms);
    FITS("1772359200123", T_TIME, ms);
    FITS("1772359200", T_TIME, value_time(1772359200));
    FITS("1772359200.123", T_TIME, ms);
    FITS("<d6 ff 00 00 00 07>", T_TIME, value_time(7));
    FITS("'1987-03-14'", T_DATE, value_time(542678400));
    FITS("'1987-03-14T23:30:00+03:00'", T_DATE, value_time(542678400));
    FITS("'1960-05-05'", T_DATE, value_time(-304819200));
    FITS("542678500", T_DATE, value_time(542678400));
    FITS("-1", T_DATE, value_time(-86400));
    REFUSES("'yesterday'", T_TIME, true);
    REFUSES("'14.03.1987'", T_DATE, true);
    REFUSES("true", T_TIME, true);
    REFUSES("1e300", T_TIME, true);
    REFUSES("18446744073709551615", T_TIME, true);
    REFUSES("<cb 7f f8 00 00 00 00 00 00>", T_DATE, true);
}

Test(fit, texts_lists_and_objects)
{
    FITS("'Кот'", T_STRING, value_string(SLICE("Кот")));
    REFUSES("<a2 ff fe>", T_STRING, false);
    REFUSES("7", T_STRING, true);
    FITS("true", T_BOOL, value_bool(true));
    REFUSES("1", T_BOOL, true);
    cr_assert_eq(fitted("['a', 'b']", T_STRINGS, false).kind, V_RAW);
    cr_assert_eq(fitted("[]", T_STRINGS, false).kind, V_RAW);
    REFUSES("['a', 1]", T_STRINGS, false);
    REFUSES("'a'", T_STRINGS, false);
    REFUSES("{'a': 1}", T_STRINGS, false);
    REFUSES("[<a1 ff>]", T_STRINGS, false);
    cr_assert_eq(fitted("[{'id': 1}]", T_RAW, false).kind, V_RAW);
    REFUSES("1", T_RAW, false);
}

Test(value, money_is_exact_in_millionths)
{
    cr_assert_eq(value_micros(value_double(0.1)), 100000);
    cr_assert_eq(value_micros(value_double(1990.50)), 1990500000);
    cr_assert_eq(value_micros(value_double(-0.0000005)), -1, "half away from zero");
    cr_assert_eq(value_micros(value_double(0.0000005)), 1);
    cr_assert_eq(value_micros(value_int(3)), 3000000);
    cr_assert_eq(value_micros(value_int(INT64_MAX)), INT64_MAX);
    cr_assert_eq(value_micros(value_int(INT64_MIN)), INT64_MIN);
    cr_assert_eq(value_micros(value_double(1e300)), INT64_MAX);
    cr_assert_eq(value_micros(value_double(-1e300)), INT64_MIN);
    cr_assert_eq(value_micros(value_double(NAN)), 0);
    cr_assert_eq(value_micros(value_string(SLICE("1"))), 0);
    int64_t sum = 0;
    for (int i = 0; i < 1000000; i++) sum += value_micros(value_double(0.1));
    cr_assert_eq(sum, 100000ll * 1000000);
}

/* ---- cells ------------------------------------------------------------------------------------------ */

static void survives(struct heap *h, struct value v, enum declared_type type)
{
    uint64_t before = h->bytes_used;
    uint32_t bytes = cell_bytes(v, type);
    uint64_t cell = cell_make(v, type, h);
    cr_assert_neq(cell, CELL_ABSENT);
    cr_assert_eq(h->bytes_used - before, bytes ? heap_room(bytes) : 0);
    struct value back = cell_value(&cell, type, h);
    cr_assert(value_same(back, v));
    if (v.kind == V_DOUBLE) cr_assert_eq(signbit(back.d), signbit(v.d), "-0.0 and 0.0 are two");
    cell_release(cell, type, h);
    cr_assert_eq(h->bytes_used, before);
}

Test(cell, every_declared_type_survives)
{
    struct heap h;
    cr_assert(heap_create(&h, 16 << 20));
    cr_assert(heap_reserve(&h, 1 << 20));
    static const double NUMBERS[] = {0.0, -0.0, 1, -1, 0.1, 1e308, -1e308, 5e-324, INFINITY};
    for (size_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++)
        survives(&h, value_double(NUMBERS[i]), T_NUMBER);
    survives(&h, value_bool(false), T_BOOL);
    survives(&h, value_bool(true), T_BOOL);
    for (int64_t ms = -3000; ms <= 3000; ms += 499) survives(&h, value_of_time(ms * 86400001), T_TIME);
    survives(&h, value_time(0), T_TIME);
    survives(&h, value_time(-86400), T_DATE);
    static char text[5000];
    memset(text, 'x', sizeof text);
    for (uint32_t n = 0; n < 40; n++) survives(&h, value_string(slice_of(text, n)), T_STRING);
    survives(&h, value_string(slice_of(text, sizeof text)), T_STRING);
    survives(&h, read_text("[]"), T_STRINGS);
    survives(&h, read_text("[{'a': 1}, {'a': 2}]"), T_RAW);
    cr_assert_eq(cell_make(value_none(), T_STRING, &h), CELL_ABSENT);
    cr_assert_eq(cell_value(&CELL_ABSENT, T_NUMBER, &h).kind, V_NONE);
    heap_destroy(&h);
}

Test(cell, text_inside_is_read_where_the_cell_lies)
{
    uint64_t cell = cell_make(value_string(SLICE("RUB")), T_STRING, NULL);
    struct value v = cell_value(&cell, T_STRING, NULL);
    cr_assert(v.s > (uint8_t *)&cell && v.s + v.n <= (uint8_t *)(&cell + 1));
}
