/* mistakes.h - lists of mistakes people make, one each with its place, what is said and how to mend it, as YAML; read with
 * the reader that is tested: what it says of itself would show at once. One program includes it once. */
#ifndef HG_TESTS_MISTAKES_H
#define HG_TESTS_MISTAKES_H

#include "core/define/table.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct arena kept;
static struct node *list;

static void read_list(const char *folder)
{
    struct diagnostics d;
    uint32_t count;
    arena_init(&kept);
    diagnostics_init(&d);
    struct source_file *files = sources_read(folder, &count, &d);
    cr_assert_eq(count, 1);
    struct source_file *file = ARENA_NEW(&kept, struct source_file);
    *file = (struct source_file){SLICE("mistakes.yaml"), arena_slice(&kept, files[0].text)};
    list = yaml_parse(file, &kept, &d);
    cr_assert(list && !d.errors);
    diagnostics_free(&d);
}

static struct slice field(const struct node *n, const char *key)
{
    const struct node *value = node_find(n, key);
    return value ? value->text : (struct slice){0};
}

struct mistake {
    struct slice text;
    uint32_t line, column;
    const char *reason, *fix; /* words that must be in them */
    struct slice shape;       /* true: the table of keys refuses it, and so does the JSON Schema */
};

static struct mistake mistake_of(const struct node *n)
{
    struct mistake m = {.text = field(n, "text"), .shape = field(n, "shape")};
    m.reason = (const char *)field(n, "says").p;
    m.fix = (const char *)field(n, "fix").p;
    cr_assert_eq(sscanf((const char *)field(n, "at").p, "%u:%u", &m.line, &m.column), 2);
    return m;
}

static bool holds(const char *text, const char *words) { return text && strstr(text, words); }

static void print(const struct diagnostics *d, struct slice text)
{
    struct buf out = {0};
    diagnostics_print(d, &out);
    buf_put_u8(&out, 0);
    cr_log_error("%.*s\n%s", SHOWN(text), (char *)out.p);
    buf_free(&out);
}

static const struct diagnostic *first_error(const struct diagnostics *d)
{
    for (uint32_t i = 0; i < d->count; i++)
        if (d->list[i].severity == SEVERITY_ERROR) return &d->list[i];
    return NULL;
}

/* The one error, at its place in this file, with its fix. */
static bool is_it(const struct mistake *m, const struct diagnostics *d, const char *file)
{
    const struct diagnostic *e = first_error(d);
    bool right = d->errors == 1 && e && e->line == m->line && e->column == m->column &&
                 strcmp(e->file, file) == 0 && holds(e->reason, m->reason) && holds(e->fix, m->fix);
    if (!right) print(d, m->text);
    return right;
}

/* Every mistake of this part of the list. */
static void each_mistake(const char *part, uint32_t least, bool (*is_told)(const struct mistake *m))
{
    const struct node *mistakes = node_find(list, part);
    cr_assert_geq(mistakes->count, least);
    for (uint32_t i = 0; i < mistakes->count; i++) {
        struct mistake m = mistake_of(mistakes->list[i]);
        cr_expect(is_told(&m), "wanted %u:%u %s / %s", m.line, m.column, m.reason, m.fix);
    }
}

#endif
