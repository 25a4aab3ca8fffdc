/* tools/playbooks: the whole directory is good without a warning, its journey tests pass, and its README names files and
 * tests that are there. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>

#include "core/define/define.h"
#include "tools/hourglass/commands.h"
#include "tools/hourglass/testfile.h"

#define PLAYBOOKS HG_TEST_DATA "/../../tools/playbooks"

const struct command COMMANDS[] = {{0}}; /* main.c's table, which cli.c asks for: none is needed here */

Test(playbooks, the_directory_is_good_without_a_warning)
{
    struct diagnostics d;
    struct buf said = {0};
    uint32_t files;
    diagnostics_init(&d);
    struct source_file *sources = sources_read(PLAYBOOKS, &files, &d);
    struct defset *set = defset_compile(sources, files, NULL, NULL, &d);
    diagnostics_print(&d, &said);
    cr_expect_eq(d.count, 0, "%.*s", (int)said.n, (const char *)said.p);
    cr_assert_not_null(set);
    cr_expect_geq(set->journeys.journey_count, 60);
    defset_free(set);
    diagnostics_free(&d);
    buf_free(&said);
}

Test(playbooks, every_journey_test_passes)
{
    char path[] = PLAYBOOKS, *argv[] = {path, NULL};
    struct cli c = {.argc = 1, .argv = argv};
    cr_assert_eq(run_test(&c), EXIT_OK);
}

/* ---- the README's table ------------------------------------------------------------------------------ */

static bool test_is_there(const struct test_list *tests, const char *file, const char *name)
{
    size_t stem = strlen(file) - strlen(".yaml");
    for (uint32_t i = 0; i < tests->count; i++) {
        const struct test_case *t = &tests->list[i];
        const char *at = strstr(t->file, "playbooks/");
        if (at && strncmp(at + strlen("playbooks/"), file, stem) == 0 &&
            strcmp(at + strlen("playbooks/") + stem, ".test.yaml") == 0 && slice_eq(t->name, slice_str(name)))
            return true;
    }
    return false;
}

/* `| what | file | test |`; false: no such row. Cuts the line. */
static bool row_of(char *line, char **file, char **test)
{
    char *cell[4], *at = line;
    for (int i = 0; i < 4; i++) {
        cell[i] = strstr(at, i ? " |" : "|");
        if (!cell[i]) return false;
        at = cell[i] + 1;
    }
    *file = cell[1] + 3, *test = cell[2] + 3;
    *cell[2] = *cell[3] = 0;
    size_t n = strlen(*file);
    return n > 5 && strcmp(*file + n - 5, ".yaml") == 0;
}

Test(playbooks, the_readme_names_files_and_tests_that_are_there)
{
    struct arena a;
    struct diagnostics d;
    struct test_list tests = {0};
    char line[600], *file, *test;
    uint32_t rows = 0;
    arena_init(&a);
    diagnostics_init(&d);
    tests_read(PLAYBOOKS, &a, &d, &tests);
    cr_assert_eq(d.errors, 0);
    cr_expect_geq(tests.count, 200);
    FILE *f = fopen(PLAYBOOKS "/README.md", "r");
    cr_assert_not_null(f);
    while (fgets(line, sizeof line, f)) {
        if (!row_of(line, &file, &test)) continue;
        rows++;
        cr_expect(test_is_there(&tests, file, test), "%s: %s", file, test);
    }
    fclose(f);
    cr_expect_geq(rows, 60);
    diagnostics_free(&d);
    arena_free(&a);
}
