/* Mistakes in *.test.yaml: what the engine would drop or ignore makes no test pass. */
#include "tests/unit/mistakes.h"

#include "tools/hourglass/commands.h"
#include "tools/hourglass/testrun.h"

const struct command COMMANDS[] = {{0}}; /* main.c's table, which cli.c asks for: none is needed here */

static bool is_told(const struct mistake *m)
{
    struct source_file base = {SLICE("base.yaml"), field(list, "base")},
                       file = {SLICE("x.test.yaml"), m->text};
    struct test_list tests = {0};
    struct diagnostics d;
    struct arena a;
    arena_init(&a);
    diagnostics_init(&d);
    struct defset *set = defset_compile(&base, 1, NULL, NULL, &d);
    cr_assert(set && !d.count);
    tests_read_file(&file, &a, &d, &tests);
    for (uint32_t i = 0; i < tests.count; i++) set_fits_test(set, &tests.list[i], &d);
    bool right = is_it(m, &d, "x.test.yaml");
    defset_free(set);
    diagnostics_free(&d);
    arena_free(&a);
    return right;
}

Test(testfile, each_mistake_is_told_once_at_its_place_with_a_fix)
{
    read_list(HG_TEST_DATA "/definitions/test_mistakes");
    each_mistake("mistakes", 50, is_told);
}
