/* Every function of the expression language has a place on core/define/LANGUAGE.md; test_language_page.c runs what it says. */
#include <criterion/criterion.h>

#include <ctype.h>
#include <stdio.h>

#include "core/expr/function.h"

static char page[1 << 16];

static bool on_page(const char *name)
{
    size_t n = strlen(name);
    for (const char *at = page; (at = strstr(at, name)) != NULL; at++)
        if ((at == page || !isalnum((unsigned char)at[-1])) && at[n] == '(') return true;
    return false;
}

Test(language_page, every_function_is_on_it)
{
    FILE *f = fopen(HG_TEST_DATA "/../../core/define/LANGUAGE.md", "r");
    cr_assert_not_null(f);
    size_t n = fread(page, 1, sizeof page - 1, f);
    cr_assert(n > 0 && n < sizeof page - 1);
    fclose(f);
    for (uint32_t i = 0; i < function_rows; i++) {
        const char *name = function_table[i].name;
        if (isalpha((unsigned char)name[0])) cr_expect(on_page(name), "%s()", name);
    }
    cr_expect_not(on_page("getCentury"));
}
