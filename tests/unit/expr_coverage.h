/* expr_coverage.h - what the random expressions reached: a count by name. What stands in the language's own tables and was
 * never reached fails the test, so that a new function cannot be forgotten in the generator and the reference. */
#ifndef HG_TESTS_EXPR_COVERAGE_H
#define HG_TESTS_EXPR_COVERAGE_H

#include "core/expr/check.h"
#include "core/expr/function.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>

enum { COVER_SLOTS = 2048, COVER_NAME_MAX = 48 };
static struct cover {
    char name[COVER_NAME_MAX];
    uint64_t count;
} covered[COVER_SLOTS];

static struct cover *cover_find(struct slice a, const char *b)
{
    char name[COVER_NAME_MAX] = {0};
    uint32_t hash = 2166136261u, n = 0;
    for (uint32_t i = 0; i < a.n && n < sizeof name - 1; i++) name[n++] = (char)a.p[i];
    for (; *b && n < sizeof name - 1; b++) name[n++] = *b;
    for (uint32_t i = 0; i < n; i++) hash = (hash ^ (uint8_t)name[i]) * 16777619u;
    for (uint32_t at = hash % COVER_SLOTS;; at = (at + 1) % COVER_SLOTS) {
        if (covered[at].name[0] && strcmp(covered[at].name, name) != 0) continue;
        memcpy(covered[at].name, name, sizeof name);
        return &covered[at];
    }
}

static void cover2(struct slice a, const char *b) { cover_find(a, b)->count++; }
static void cover(const char *name) { cover2(slice_str(name), ""); }

static char kind_letter(uint8_t kind)
{
    static const char letters[] = {[V_NULL] = 'n',   [V_BOOL] = 'b',   [V_INT] = 'i',  [V_UINT] = 'u',
                                   [V_DOUBLE] = 'd', [V_STRING] = 's', [V_TIME] = 't', [V_DURATION] = 'D',
                                   [V_LIST] = 'L',   [V_MAP] = 'M',    [V_RAW] = 'L'};
    return kind < sizeof letters && letters[kind] ? letters[kind] : 'e';
}

/* "indexOf.ssi": a method's name, a dot, the kinds of what it really was called with; a function's: "size(s". */
static void cover_call(struct slice name, bool method, const struct value *args, uint32_t n)
{
    char kinds[8] = {method ? '.' : '('};
    for (uint32_t i = 0; i < n && i < 6; i++) kinds[i + 1] = kind_letter(args[i].kind);
    cover2(name, kinds);
}

static uint64_t cover_row(const struct function_row *row)
{
    char kinds[8] = {row->method ? '.' : '('};
    uint64_t sum = 0;
    for (uint32_t i = 0; row->args[i]; i++) kinds[i + 1] = row->args[i] == 'S' ? 'L' : row->args[i];
    char *any = strchr(kinds, '?');
    if (!any) return cover_find(slice_str(row->name), kinds)->count;
    for (const char *k = "nbiudstDLM"; *k; k++) {
        *any = *k;
        sum += cover_find(slice_str(row->name), kinds)->count;
    }
    return sum;
}

/* ---- what has to be reached ------------------------------------------------------------------------- */

static const char *const cover_wanted[] = {
    /* operators that are no functions, by what came out of their sides: f, t, error */
    "and ff", "and ft", "and fe", "and tf", "and tt", "and te", "and ef", "and et", "and ee", "or ff",
    "or ft", "or fe", "or tf", "or tt", "or te", "or ef", "or et", "or ee", "not f", "not t", "not e",
    "choose f", "choose t", "choose e", "==", "!=", "<", "<=", ">", ">=", "order bb", "order ii", "order id",
    "order di", "order dd", "order uu", "order ui", "order ud", "order ss", "order tt", "order DD",
    "order LL", "order MM", "order sn", "index Li", "index Ld", "index Ms", "select M", "list", "map",
    "literal null", "literal uint",
    /* macros and parts of a moment */
    "has field", "has select", "all", "exists", "exists_one", "map 2", "map 3", "filter", "range M",
    "nested macro", "getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear",
    "getHours", "getMinutes", "getSeconds", "getMilliseconds", "part of own zone", "part of a named zone",
    "part of a zone by value", "part of a duration", "part of a date", "part of an unknown zone",
    /* names */
    "profile attribute", "profile own", "e", "trigger", "bought", "context", "now", "e.at", "trigger.at",
    "entry", "entry.at", "absent", "a list that a message brought", "timestamp next to a date",
    /* history */
    "window sliding", "window since", "window since never", "window calendar", "window of more than 30 days",
    "window computed", "window that fails", "where", "where nested", "day bucket inside",
    "day bucket outside", "deed ahead of now", "every type at once", "step where", "step alone",
    "result true", "result false", "result error"};

static bool cover_show(const char *name, uint64_t count, uint32_t *column)
{
    fprintf(stderr, "%-32s %10llu%s", name, (unsigned long long)count, ++*column % 3 ? "  " : "\n");
    return count > 0;
}

/* Prints every count; false: something was never reached (and is named). `pending`: refused by the checker so far. */
static bool cover_report(bool (*pending)(const char *name))
{
    uint32_t column = 0, missing = 0;
    for (uint32_t i = 0; i < function_rows; i++) {
        const struct function_row *row = &function_table[i];
        char name[64];
        snprintf(name, sizeof name, "%s(%s)%s", row->name, row->args, row->method ? " method" : "");
        bool plus_of_lists = row->op != OP_CALL && strchr(row->args, 'L');
        if (!cover_show(name, cover_row(row), &column))
            missing++, fprintf(stderr, "\nnever reached: %s %d\n", name, plus_of_lists);
    }
    for (uint32_t i = 0; check_special_name(i); i++) {
        const char *name = check_special_name(i);
        if (pending(name))
            fprintf(stderr, "%s() is refused by the checker\n", name);
        else if (!cover_show(name, cover_find(slice_str(name), "()")->count, &column))
            missing++, fprintf(stderr, "\nnever reached: %s()\n", name);
    }
    for (size_t i = 0; i < sizeof cover_wanted / sizeof *cover_wanted; i++)
        if (!cover_show(cover_wanted[i], cover_find(slice_str(cover_wanted[i]), "")->count, &column))
            missing++, fprintf(stderr, "\nnever reached: %s\n", cover_wanted[i]);
    fprintf(stderr, "\n");
    return missing == 0;
}

#endif
