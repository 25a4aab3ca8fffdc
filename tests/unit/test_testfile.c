/* Mistakes in *.test.yaml: what the engine would drop or ignore makes no test pass. */
#include "tests/unit/mistakes.h"

#include "tools/hourglass/commands.h"
#include "tools/hourglass/testrun.h"

const struct command COMMANDS[] = {{0}}; /* main.c's table, which cli.c asks for: none is needed here */

static void read_beside_base(struct slice text, struct arena *a, struct diagnostics *d)
{
    struct source_file base = {SLICE("base.yaml"), field(list, "base")}, file = {SLICE("x.test.yaml"), text};
    struct test_list tests = {0};
    diagnostics_init(d);
    struct defset *set = defset_compile(&base, 1, NULL, NULL, d);
    cr_assert(set && !d->count);
    tests_read_file(&file, a, d, &tests);
    for (uint32_t i = 0; i < tests.count; i++) set_fits_test(set, &tests.list[i], d);
    defset_free(set);
}

static bool is_told(const struct mistake *m)
{
    struct diagnostics d;
    struct arena a;
    arena_init(&a);
    read_beside_base(m->text, &a, &d);
    bool right = is_it(m, &d, "x.test.yaml");
    diagnostics_free(&d);
    arena_free(&a);
    return right;
}

Test(testfile, each_mistake_is_told_once_at_its_place_with_a_fix)
{
    read_list(HG_TEST_DATA "/definitions/test_mistakes");
    each_mistake("mistakes", 60, is_told);
}

Test(testfile, what_the_engine_takes_is_no_mistake)
{
    struct diagnostics d;
    struct arena a;
    read_list(HG_TEST_DATA "/definitions/test_mistakes");
    arena_init(&a);
    read_beside_base(field(list, "good"), &a, &d);
    if (d.count) print(&d, field(list, "good"));
    cr_expect_eq(d.count, 0);
    diagnostics_free(&d);
    arena_free(&a);
}
