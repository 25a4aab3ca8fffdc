/* An expression taken apart: every part is found where it stands, and is an expression of its own. */
#include "core/expr/explain.h"

#include <criterion/criterion.h>

/* The parts as lines "depth text". */
static void parts_are(const char *text, const char *const *wanted)
{
    struct arena a;
    struct expr_part *list;
    arena_init(&a);
    uint32_t n = expr_explain(slice_str(text), &a, &list), i = 0;
    for (; wanted[i]; i++) {
        cr_assert_lt(i, n, "%s: part '%s' is missing", text, wanted[i]);
        const char *found =
            arena_printf(&a, "%u %.*s", list[i].depth, (int)list[i].length, text + list[i].at);
        cr_assert_str_eq(found, wanted[i], "%s: found '%s' instead of '%s'", text, found, wanted[i]);
    }
    cr_assert_eq(n, i, "%s: %u parts", text, n);
    arena_free(&a);
}
#define PARTS(text, ...) parts_are(text, (const char *const[]){__VA_ARGS__, NULL})

Test(explain, one_value_is_one_part) { PARTS("segment(\"vip\")", "0 segment(\"vip\")"); }

Test(explain, a_chain_stands_side_by_side)
{
    PARTS("a && b && c", "0 a && b && c", "1 a", "1 b", "1 c");
    PARTS("a || b || (c || d)", "0 a || b || (c || d)", "1 a", "1 b", "1 c", "1 d");
}

Test(explain, and_binds_closer_than_or)
{
    PARTS("a || b && !c", "0 a || b && !c", "1 a", "1 b && !c", "2 b", "2 !c", "3 c");
    PARTS("(a || b) && c", "0 (a || b) && c", "1 a || b", "2 a", "2 b", "1 c");
}

Test(explain, brackets_around_go_and_others_stay)
{
    PARTS("((a))", "0 a");
    PARTS("(a) && (b)", "0 (a) && (b)", "1 a", "1 b");
    PARTS("(a + 1) * (b + 2) > 3", "0 (a + 1) * (b + 2) > 3", "1 (a + 1) * (b + 2)");
}

Test(explain, a_comparison_shows_what_is_no_constant)
{
    PARTS("count(\"A b\", days(30)) >= 3", "0 count(\"A b\", days(30)) >= 3", "1 count(\"A b\", days(30))");
    PARTS("profile.city in [\"a\", \"b\"]", "0 profile.city in [\"a\", \"b\"]", "1 profile.city");
    PARTS("ago(\"A\") >= days(60)", "0 ago(\"A\") >= days(60)", "1 ago(\"A\")");
    PARTS("a in [b]", "0 a in [b]", "1 a", "1 [b]");
    PARTS("profile.a == profile.b", "0 profile.a == profile.b", "1 profile.a", "1 profile.b");
}

Test(explain, signs_inside_text_are_text)
{
    PARTS("a == \") && (\" && b", "0 a == \") && (\" && b", "1 a == \") && (\"", "2 a", "1 b");
}

Test(explain, a_choice_finds_its_own_colon)
{
    PARTS("a ? (b ? c : d) : e", "0 a ? (b ? c : d) : e", "1 a", "1 b ? c : d", "2 b", "2 c", "2 d", "1 e");
    PARTS("a ? b : c ? d : e", "0 a ? b : c ? d : e", "1 a", "1 b", "1 c ? d : e", "2 c", "2 d", "2 e");
    PARTS("a ? {\"k\": 1} : {}", "0 a ? {\"k\": 1} : {}", "1 a", "1 {\"k\": 1}", "1 {}");
}

Test(explain, macros_stay_closed)
{
    PARTS("[1, 2].exists(x, x > 1 && x < 3)", "0 [1, 2].exists(x, x > 1 && x < 3)");
}

Test(explain, what_does_not_parse_has_no_parts) { parts_are("a &&", (const char *const[]){NULL}); }
