/* core/define/LANGUAGE.md, executed: its examples compile without a word, its tables are evaluated on its person, its
 * journey tests pass, and its mistakes are said as it says. What a fence holds stands behind its three backticks. */
#include <criterion/criterion.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/define/define.h"
#include "core/define/table.h"
#include "tools/hourglass/commands.h"

const struct command COMMANDS[] = {{0}}; /* main.c's table, which cli.c asks for: none is needed here */

static const char JOURNEY_AROUND_STEPS[] = "journeys:\n  example:\n    trigger: {event: Product Added}\n"
                                           "    reentry: always\n    goal: {event: Signed Up, within: 60d}\n"
                                           "    exit: [{after: 60d}]\n    steps:\n";

struct part { /* a fence, or a row of a table */
    char kind[16];
    uint32_t line;
    char *text, *result; /* result: of rows only */
};
static struct page {
    struct part list[400];
    uint32_t count;
    const char *base, *text;
    struct arena arena; /* all texts */
} page;

/* A buffer's text, kept with the page. */
static char *kept(struct buf *b)
{
    char *text = arena_strndup(&page.arena, (const char *)b->p, b->n);
    buf_free(b);
    return text;
}

/* ---- reading the page ----------------------------------------------------------------------------- */

static char *whole_page(void)
{
    struct buf b = {0};
    FILE *f = fopen(HG_TEST_DATA "/../../core/define/LANGUAGE.md", "r");
    char chunk[4096];
    cr_assert_not_null(f);
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;) buf_put(&b, chunk, (uint32_t)n);
    fclose(f);
    return kept(&b);
}

static struct part *add_part(const char *kind, uint32_t line)
{
    cr_assert_lt(page.count, sizeof page.list / sizeof *page.list);
    struct part *p = &page.list[page.count++];
    snprintf(p->kind, sizeof p->kind, "%s", kind);
    p->line = line;
    return p;
}

/* What stands between the next two backticks, with \| as in tables; *at moves behind it. NULL: none. */
static char *ticked(const char **at)
{
    const char *begin = strchr(*at, '`'), *end = begin ? strchr(begin + 1, '`') : NULL;
    if (!end) return NULL;
    char *out = arena_strndup(&page.arena, begin + 1, (size_t)(end - begin - 1)), *to = out;
    for (const char *from = out; *from; from++)
        if (from[0] != '\\' || from[1] != '|') *to++ = *from;
    *to = 0;
    *at = end + 1;
    return out;
}

static void read_row(const char *line, uint32_t number, const char *kind)
{
    const char *at = line + 1;
    char *text = ticked(&at), *result = text ? ticked(&at) : NULL;
    if (!result) return;
    struct part *p = add_part(kind, number);
    p->text = text;
    p->result = result;
}

static void read_page(void)
{
    const char *table = "row";
    struct buf fence = {0};
    struct part *open = NULL;
    uint32_t number = 0;
    if (page.count) return;
    arena_init(&page.arena);
    page.text = whole_page();
    char *rest = arena_strndup(&page.arena, page.text, strlen(page.text));
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        number++;
        if (strncmp(line, "```", 3) == 0) {
            if (open) open->text = kept(&fence);
            const char *kind = strncmp(line, "```yaml ", 8) == 0 ? line + 8 : line[3] ? line + 3 : "none";
            open = open ? NULL : add_part(kind, number);
        } else if (open) {
            buf_printf(&fence, "%s\n", line);
        } else if (strncmp(line, "| written |", 11) == 0) {
            table = "mistake";
        } else if (line[0] == '|') {
            read_row(line, number, table);
        }
    }
    for (uint32_t i = 0; i < page.count; i++)
        if (strcmp(page.list[i].kind, "base") == 0) page.base = page.list[i].text;
    cr_assert_not_null(page.base);
    buf_free(&fence);
}

/* ---- compiling -------------------------------------------------------------------------------------- */

static char *indented(const char *text, const char *head)
{
    struct buf b = {0};
    buf_put_str(&b, head);
    for (const char *line = text; *line;) {
        const char *end = strchr(line, '\n');
        buf_printf(&b, "      %.*s\n", (int)(end - line), line);
        line = end + 1;
    }
    return kept(&b);
}

/* An example as a whole file beside the base. */
static char *example(const struct part *p)
{
    return strcmp(p->kind, "steps") == 0 ? indented(p->text, JOURNEY_AROUND_STEPS) : p->text;
}

static struct defset *compile(const char *text, bool look, struct diagnostics *d)
{
    struct source_file files[] = {{SLICE("base.yaml"), slice_str(page.base)},
                                  {SLICE("example.yaml"), slice_str(text)}};
    diagnostics_init(d);
    return (look ? defset_check : defset_compile)(files, 2, NULL, NULL, d);
}

static void show(const struct part *p, const struct diagnostics *d)
{
    struct buf b = {0};
    diagnostics_print(d, &b);
    fprintf(stderr, "line %u of the page:\n%.*s", p->line, (int)b.n, (const char *)b.p);
    buf_free(&b);
}

static bool is(const struct part *p, const char *kind) { return strcmp(p->kind, kind) == 0; }

Test(language_page, every_example_compiles_without_a_word)
{
    uint32_t examples = 0;
    read_page();
    for (uint32_t i = 0; i < page.count; i++) {
        const struct part *p = &page.list[i];
        struct diagnostics d;
        if (!is(p, "yaml") && !is(p, "steps")) continue;
        examples++;
        struct defset *set = compile(example(p), false, &d);
        if (!set || d.count) show(p, &d);
        cr_expect(set && d.count == 0, "the example at line %u", p->line);
        defset_free(set);
        diagnostics_free(&d);
    }
    cr_assert_geq(examples, 10);
}

Test(language_page, what_is_not_run_yet_is_said_so_key_by_key)
{
    static const char *const KEYS[] = {
        "broadcast", "visits",    "from",        "history",  "collections", "catalogs", "revenue",
        "rfm",       "audiences", "caps",        "limits",   "attribution", "costs",    "cohorts",
        "alarms",    "reports",   "codes",       "delivery", "free_window", "outside",  "schedule",
        "audience",  "rate",      "lane",        "when",     "best_of",     "existing", "item",
        "changed",   "catalog",   "rfm_changed", "slots"};
    read_page();
    for (uint32_t i = 0; i < page.count; i++) {
        const struct part *p = &page.list[i];
        struct diagnostics d;
        if (!is(p, "later")) continue;
        struct defset *set = compile(p->text, true, &d);
        if (!set) show(p, &d);
        cr_assert_not_null(set);
        for (size_t k = 0; k < sizeof KEYS / sizeof *KEYS; k++) {
            char wanted[64];
            bool said = false;
            snprintf(wanted, sizeof wanted, "not yet: '%s'", KEYS[k]);
            for (uint32_t n = 0; n < d.count; n++)
                said |= strncmp(d.list[n].reason, wanted, strlen(wanted)) == 0;
            cr_expect(said, "%s", wanted);
        }
        defset_free(set);
        diagnostics_free(&d);
        set = compile(p->text, false, &d);
        cr_expect_null(set);
        diagnostics_free(&d);
    }
}

Test(language_page, mistakes_are_said_as_the_page_says)
{
    uint32_t mistakes = 0;
    read_page();
    for (uint32_t i = 0; i < page.count; i++) {
        const struct part *p = &page.list[i];
        struct diagnostics d;
        bool said = false;
        if (!is(p, "mistake")) continue;
        mistakes++;
        struct defset *set = compile(arena_printf(&page.arena, "%s\n", p->text), false, &d);
        for (uint32_t n = 0; n < d.count; n++)
            said |=
                strstr(d.list[n].reason, p->result) || (d.list[n].fix && strstr(d.list[n].fix, p->result));
        if (!said) show(p, &d);
        cr_expect(said, "line %u: %s", p->line, p->result);
        defset_free(set);
        diagnostics_free(&d);
    }
    cr_assert_geq(mistakes, 10);
}

/* ---- playing: with the command line's own tests ------------------------------------------------------ */

static char folder[64];

static void put_file(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    cr_assert_geq(fputs(text, f), 0);
    cr_assert_eq(fclose(f), 0);
}

/* Base, definitions and tests in a folder of their own, as `hourglass test` finds them. */
static int play(const char *definitions, const char *tests)
{
    static const char *const NAMES[] = {"base.yaml", "example.yaml", "page.test.yaml"};
    snprintf(folder, sizeof folder, "/tmp/hourglass-page-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    put_file(NAMES[0], page.base);
    put_file(NAMES[1], definitions);
    put_file(NAMES[2], tests);
    char *argv[] = {folder, NULL};
    struct cli c = {.argc = 1, .argv = argv};
    int code = run_test(&c);
    fflush(stdout);
    for (size_t i = 0; i < 3; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder, NAMES[i]);
        unlink(path);
    }
    rmdir(folder);
    return code;
}

Test(language_page, every_journey_test_passes)
{
    const struct part *last = NULL;
    uint32_t tests = 0;
    read_page();
    for (uint32_t i = 0; i < page.count; i++) {
        const struct part *p = &page.list[i];
        if (is(p, "yaml") || is(p, "steps")) last = p;
        if (!is(p, "test")) continue;
        tests++;
        cr_assert_not_null(last);
        cr_expect_eq(play(example(last), p->text), EXIT_OK, "the test at line %u", p->line);
    }
    cr_assert_geq(tests, 7);
}

static const char *person_text(void)
{
    for (uint32_t i = 0; i < page.count; i++)
        if (is(&page.list[i], "person")) return page.list[i].text;
    cr_assert_fail("there is no person");
    return NULL;
}

static void put_quoted(const char *text, struct buf *out)
{
    buf_put_u8(out, '\'');
    for (; *text; text++) {
        if (*text == '\'') buf_put_u8(out, '\'');
        buf_put_u8(out, (uint8_t)*text);
    }
    buf_put_u8(out, '\'');
}

/* A row as a journey that hands its value out, and a test that looks at it. */
static void add_row(const struct part *p, struct buf *definitions, struct buf *tests)
{
    buf_printf(definitions,
               "  row_%u: {trigger: {event: Ask}, goal: {event: page}, exit: [{after: 1d}], steps: [webhook: "
               "{channel: crm, vars: {value: ",
               p->line);
    put_quoted(arena_printf(&page.arena, "=%s", p->text), definitions);
    buf_put_str(definitions, "}}]}\n");
    buf_put_str(tests, "- test: ");
    put_quoted(p->text, tests);
    buf_printf(tests, "\n  only: [row_%u]\n", p->line);
    char *given = indented(person_text(), "");
    for (char *line = strtok(given, "\n"); line; line = strtok(NULL, "\n"))
        buf_printf(tests, "%s\n", line + 4); /* two deep */
    bool text = p->result[strlen(p->result) - 1] == '!' || p->result[strlen(p->result) - 1] == 'Z';
    buf_put_str(tests, "  expect: {actions: [{vars: {value: ");
    text ? put_quoted(p->result, tests) : buf_put_str(tests, p->result);
    buf_put_str(tests, "}}]}\n");
}

Test(language_page, every_row_of_the_tables_is_true_of_its_person)
{
    struct buf definitions = {0}, tests = {0};
    uint32_t rows = 0;
    read_page();
    buf_put_str(&definitions, "journeys:\n");
    for (uint32_t i = 0; i < page.count; i++) {
        if (!is(&page.list[i], "row")) continue;
        rows++;
        add_row(&page.list[i], &definitions, &tests);
    }
    buf_put_u8(&definitions, 0);
    buf_put_u8(&tests, 0);
    cr_assert_geq(rows, 100);
    cr_assert_eq(play((char *)definitions.p, (char *)tests.p), EXIT_OK);
    buf_free(&definitions);
    buf_free(&tests);
}

/* ---- is everything on the page, and run ---------------------------------------------------------------- */

/* Rows, and examples that a test follows; and what `check` takes without running it. */
static const char *executed, *later;

static void collect_executed(void)
{
    struct buf run = {0}, unrun = {0};
    const struct part *open = NULL;
    read_page();
    buf_put_str(&run, person_text());
    for (uint32_t i = 0; i < page.count; i++) {
        const struct part *p = &page.list[i];
        if (is(p, "yaml") || is(p, "steps")) open = p;
        if (is(p, "row")) buf_printf(&run, "%s\n", p->text);
        if (is(p, "later")) buf_put_str(&unrun, p->text);
        if (!is(p, "test") || !open) continue;
        buf_put_str(&run, open->text);
        open = NULL;
    }
    executed = kept(&run);
    later = kept(&unrun);
}

/* As a whole word with one of these characters behind it. */
static bool holds(const char *text, const char *word, const char *behind)
{
    size_t n = strlen(word);
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++) {
        bool begins = at == text || !(isalnum((unsigned char)at[-1]) || at[-1] == '_');
        if (begins && at[n] && strchr(behind, at[n])) return true;
    }
    return false;
}

Test(language_page, every_function_is_executed)
{
    static const char *const MACROS[] = {"has", "all", "exists", "exists_one", "map", "filter"};
    static const char *const LATER[] = {"in_lane", "catalog", "revenue", "rate"};
    collect_executed();
    for (uint32_t i = 0; i < sizeof MACROS / sizeof *MACROS; i++)
        cr_expect(holds(executed, MACROS[i], "("), "%s()", MACROS[i]);
    for (uint32_t i = 0; expr_function(i); i++) {
        const char *name = expr_function(i), *where = executed;
        for (uint32_t k = 0; k < sizeof LATER / sizeof *LATER; k++)
            if (strcmp(name, LATER[k]) == 0) where = later;
        if (isalpha((unsigned char)name[0])) cr_expect(holds(where, name, "("), "%s()", name);
    }
    cr_expect_not(holds(executed, "getCentury", "("));
}

/* Which keys of the table the examples write: found by walking their trees along it. */
struct written {
    const struct key_row *keys[2048];
    uint32_t count;
};
static struct written compiled, played; /* in any example; in those that a test follows */

static void walk(struct written *w, const struct node *n, const struct shape *shape)
{
    for (uint32_t i = 0; n->kind == NODE_SEQUENCE && shape->item && i < n->count; i++)
        walk(w, n->list[i], shape->item);
    for (uint32_t i = 0; n->kind == NODE_MAPPING && i < n->count; i++) {
        const struct key_row *row = shape->block ? shape->block->keys : NULL;
        while (row && row->name && !slice_is(node_key(n, i)->text, row->name)) row++;
        bool own = row && row->name;
        cr_assert_lt(w->count, 2048);
        if (own) w->keys[w->count++] = row;
        if (own || shape->values) walk(w, node_value(n, i), own ? &row->shape : shape->values);
    }
}

static void walk_text(struct written *w, const char *text)
{
    struct diagnostics d;
    diagnostics_init(&d);
    struct source_file *file = ARENA_NEW(&page.arena, struct source_file);
    *file = (struct source_file){SLICE("example"), slice_str(text)};
    struct node *root = yaml_parse(file, &page.arena, &d);
    cr_assert_not_null(root);
    walk(w, root, &(struct shape){.block = &definition_block});
    diagnostics_free(&d);
}

static void walk_examples(void)
{
    const struct part *open = NULL;
    read_page();
    walk_text(&compiled, page.base);
    for (uint32_t i = 0; i < page.count; i++) {
        const struct part *p = &page.list[i];
        bool shown = is(p, "yaml") || is(p, "steps");
        if (shown || is(p, "later")) walk_text(&compiled, example(p));
        if (shown) open = p;
        if (!is(p, "test") || !open) continue;
        walk_text(&played, example(open));
        open = NULL;
    }
}

static bool has_key(const struct written *w, const struct key_row *row)
{
    for (uint32_t i = 0; i < w->count; i++)
        if (w->keys[i] == row) return true;
    return false;
}

struct looking {
    const struct block *seen[128];
    uint32_t count;
};
static void expect_keys(struct looking *l, const struct block *block, bool is_played);

static void expect_below(struct looking *l, const struct shape *shape, bool is_played, int depth)
{
    if (!shape || depth > 4) return;
    if (shape->block) expect_keys(l, shape->block, is_played);
    expect_below(l, shape->values, is_played, depth + 1);
    expect_below(l, shape->item, is_played, depth + 1);
}

static void expect_keys(struct looking *l, const struct block *block, bool is_played)
{
    for (uint32_t i = 0; i < l->count; i++)
        if (l->seen[i] == block) return;
    cr_assert_lt(l->count, 128);
    l->seen[l->count++] = block;
    is_played |= strcmp(block->title, "a journey") == 0;
    for (const struct key_row *row = block->keys; row->name; row++) {
        bool play = is_played && !(row->flags & KEY_LATER);
        cr_expect(has_key(play ? &played : &compiled, row), "'%s' of %s", row->name, block->title);
        expect_below(l, &row->shape, play, 0);
    }
}

/* What belongs to a journey stands in an example that a test plays, the rest in one that compiles. */
Test(language_page, every_key_of_the_table_is_in_an_example)
{
    struct looking l = {.count = 0};
    walk_examples();
    expect_keys(&l, &definition_block, false);
    cr_assert_geq(l.count, 40);
}
