/* JSON transcoder of the command line: strictness, places of errors, round trips. */
#include <criterion/criterion.h>

#include "core/base/msgpack.h"
#include "tools/hourglass/json.h"

static bool same_after_round_trip(const char *text, const char *expected)
{
    struct buf packed = {0}, printed = {0};
    struct json_error e;
    bool ok = json_to_msgpack(slice_str(text), 1, &packed, &e) &&
              json_print(buf_slice(&packed), 0, &printed) && slice_is(buf_slice(&printed), expected);
    if (!ok) cr_log_error("%s -> %.*s", text, (int)printed.n, (const char *)printed.p);
    buf_free(&packed);
    buf_free(&printed);
    return ok;
}

Test(json, values_survive_the_round_trip)
{
    static const char *const same[] = {"{}",
                                       "[]",
                                       "null",
                                       "true",
                                       "false",
                                       "0",
                                       "-1",
                                       "18446744073709551615",
                                       "-9223372036854775808",
                                       "\"\"",
                                       "1.5",
                                       "-0",
                                       "1e+300",
                                       "[[[]],{\"a\":[1,2]}]",
                                       "\"\xd0\x96\xf0\x9f\x98\x80\"",
                                       "[1,\"two\",3.25,null,{\"k\":true}]"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        cr_expect(same_after_round_trip(same[i], same[i]), "%s", same[i]);
}

Test(json, numbers_keep_their_kind)
{
    cr_expect(same_after_round_trip("18446744073709551616", "1.8446744073709552e+19"));
    cr_expect(same_after_round_trip("9747747.934", "9747747.934"));
    cr_expect(same_after_round_trip("1.0", "1"));
    cr_expect(same_after_round_trip("[127,128,255,256,65535,65536,-32,-33,-128,-129,-32768,-32769]",
                                    "[127,128,255,256,65535,65536,-32,-33,-128,-129,-32768,-32769]"));
}

Test(json, escapes_are_decoded)
{
    cr_expect(same_after_round_trip("\"\\u0416\\ud83d\\ude00\\n\\/\\\"\\\\\"",
                                    "\"\xd0\x96\xf0\x9f\x98\x80\\n/\\\"\\\\\""));
    cr_expect(same_after_round_trip("\"\\u0001\"", "\"\\u0001\""));
}

Test(json, long_containers_and_strings_get_their_headers)
{
    struct buf text = {0}, packed = {0};
    struct json_error e;
    buf_put_str(&text, "[");
    for (int i = 0; i < 70000; i++) buf_printf(&text, "%s%d", i ? "," : "", i % 10);
    buf_put_str(&text, ",{\"k\":\"");
    for (int i = 0; i < 70000; i++) buf_put_str(&text, "x");
    buf_put_str(&text, "\"}]");
    cr_assert(json_to_msgpack(buf_slice(&text), 1, &packed, &e));
    struct mp m = mp_of(buf_slice(&packed));
    cr_expect_eq(mp_array(&m), 70001);
    for (int i = 0; i < 70000; i++) cr_assert_eq(mp_int(&m), i % 10);
    cr_expect_eq(mp_map(&m), 1);
    cr_expect(slice_is(mp_str(&m), "k"));
    cr_expect_eq(mp_str(&m).n, 70000);
    cr_expect_eq(m.err, MP_OK);
    cr_expect_eq(mp_left(&m), 0);
    buf_free(&text);
    buf_free(&packed);
}

static void expect_error(const char *text, uint32_t line, uint32_t column, const char *part)
{
    struct buf packed = {0};
    struct json_error e = {0};
    buf_put_str(&packed, "kept");
    cr_expect(!json_to_msgpack(slice_str(text), 1, &packed, &e), "%s", text);
    cr_expect(slice_is(buf_slice(&packed), "kept"), "a failed text appends nothing");
    cr_expect(e.line == line && e.column == column, "%s: %u:%u", text, e.line, e.column);
    cr_expect(e.reason && strstr(e.reason, part), "%s: %s", text, e.reason);
    buf_free(&packed);
}

Test(json, errors_name_line_column_and_reason)
{
    expect_error("", 1, 1, "text ends");
    expect_error("{\"a\":1,}", 1, 8, "key in double quotes");
    expect_error("[1 2]", 1, 4, "comma");
    expect_error("{\n  \"\xd0\x96\": tru\n}", 2, 8, "value was expected");
    expect_error("[01]", 1, 2, "leading zero");
    expect_error("[1.]", 1, 4, "decimal point");
    expect_error("[1e999]", 1, 2, "too large");
    expect_error("[NaN]", 1, 2, "value");
    expect_error("\"abc", 1, 5, "closing quote");
    expect_error("\"a\tb\"", 1, 3, "control character");
    expect_error("\"\\x\"", 1, 3, "unknown escape");
    expect_error("\"\\ud800\"", 1, 8, "surrogate");
    expect_error("\"\xff\"", 1, 2, "UTF-8");
    expect_error("1 2", 1, 3, "behind the value");
    expect_error("[", 1, 2, "closing bracket");
}

Test(json, depth_is_limited)
{
    char deep[200];
    memset(deep, '[', 65);
    deep[65] = 0;
    expect_error(deep, 1, 65, "nested deeper");
}

Test(json, damaged_msgpack_is_noticed_when_printing)
{
    struct buf out = {0};
    cr_expect(!json_print(SLICE("\x92\x01"), 0, &out));
    cr_expect(!json_print(SLICE("\xc1"), 0, &out));
    buf_free(&out);
}
