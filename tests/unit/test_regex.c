/* Patterns of matches(): RE2's syntax and nothing beyond it, so that no match can take long; what is beyond is refused with
 * its reason when the definition is read. */
#include "core/expr/regex.h"

#include <criterion/criterion.h>

static struct arena arena;

static void expect_bad(const char *text, const char *says)
{
    const char *reason = NULL;
    cr_expect_null(pattern_compile(&arena, slice_str(text), &reason), "%s", text);
    cr_expect(reason && strstr(reason, says), "%s: %s", text, reason);
}

static void expect_match(const char *pattern, const char *text, bool wanted)
{
    const char *reason = NULL;
    const struct pattern *p = pattern_compile(&arena, slice_str(pattern), &reason);
    cr_assert_not_null(p, "%s: %s", pattern, reason);
    struct value v = pattern_match(p, slice_str(text), &arena);
    cr_expect(v.kind == V_BOOL && v.b == wanted, "%s on %s", pattern, text);
}

Test(regex, what_re2_does_not_have_is_refused_with_its_reason)
{
    expect_bad("(a)\\1", "back references");
    expect_bad("\\k<n>", "escape is not part");
    expect_bad("\\R", "escape is not part");
    expect_bad("(?=a)", "no look-around");
    expect_bad("(?!a)", "no look-around");
    expect_bad("(?>a)", "no look-around");
    expect_bad("(?R)", "no look-around");
    expect_bad("(?<=a)b", "look-behind");
    expect_bad("(?<!a)b", "look-behind");
    expect_bad("(?P=name)", "(?P<name>...)");
    expect_bad("(?P", "(?P<name>...)");
    expect_bad("(?<", "look-behind");
    expect_bad("(*ACCEPT)", "verbs");
    expect_bad("a++", "possessive");
    expect_bad("a*+", "possessive");
    expect_bad("a?+", "possessive");
    expect_bad("a{2}+", "possessive");
    expect_bad("[a-z]\\2", "back references");
}

Test(regex, what_is_no_pattern_is_refused_too)
{
    static char far[5000];
    memset(far, 'a', sizeof far - 1);
    expect_bad("(", "parenthesis");
    expect_bad("[a", "character class");
    expect_bad("*a", "quantifier");
    expect_bad("a\\", "end of pattern");
    expect_bad("\xff", "UTF-8");
    expect_bad(far, "too long");
}

Test(regex, what_re2_has_matches_as_there)
{
    expect_match("", "", true);
    expect_match("^a.c$", "abc", true);
    expect_match("^a.c$", "abcd", false);
    expect_match("(?i)ABC", "xabcx", true);
    expect_match("(?P<name>a+)b", "aaab", true);
    expect_match("(?<name>a+)b", "b", false);
    expect_match("(?:ab)+?c", "ababc", true);
    expect_match("(?s-i:a.b)", "a\nb", true);
    expect_match("\\Qa+(\\E+", "a+((", true);
    expect_match("\\Q(?=", "x(?=", true); /* quoted to the end */
    expect_match("[\\]+]+", "+]", true);
    expect_match("[]a]b", "]b", true);
    expect_match("[^]a]b", "]b", false);
    expect_match("[[:digit:]+]x", "7x", true);
    expect_match("^\\d{2,3}\\.\\w$", "123.a", true);
    expect_match("^.$", "\xd0\xa7", true); /* a letter, not a byte */
    expect_match("a+b+", "aab", true);
}

Test(regex, a_match_that_takes_too_much_is_an_error_and_no_answer)
{
    static char many[20001];
    const char *reason = NULL;
    memset(many, 'a', sizeof many - 1);
    const struct pattern *p = pattern_compile(&arena, SLICE("(a?){300}(a*)*(a*)*b"), &reason);
    cr_assert_not_null(p, "%s", reason);
    struct value v = pattern_match(p, slice_str(many), &arena);
    cr_expect(v.kind == V_ERROR || (v.kind == V_BOOL && !v.b), "never true");
}
