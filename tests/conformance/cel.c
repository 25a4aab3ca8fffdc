/* Runs the CEL conformance tests of tests/data/cel: a table of passed, refused and failed per file; exits 1 when one
 * failed. `cel [core.jsonl] [-v]`. Refused is what hourglass leaves out on purpose and says so by name: bytes, types as
 * values, format() and quote(). */
#include "core/expr/expr.h"
#include "tests/conformance/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef HG_TEST_DATA
#define HG_TEST_DATA "tests/data"
#endif

enum verdict { PASSED, REFUSED, FAILED };
enum {
    FILES_MAX = 32,
    BINDINGS_MAX = 16,
    PASSED_LEAST = 1030 /* what passed once must not slip among the refused */
};

struct score {
    struct slice file;
    uint32_t count[3];
};

struct test {
    struct arena *arena;
    const struct json *json;
    const struct json *bindings;
    struct slice container;
    struct value values[BINDINGS_MAX];
};

/* ---- protojson values ---------------------------------------------------------------------------- */

static struct value value_of(struct arena *a, const struct json *j);

static struct value list_of(struct arena *a, const struct json *values)
{
    uint32_t n = values ? values->count : 0;
    struct value *items = ARENA_ARRAY(a, struct value, n + 1);
    for (uint32_t i = 0; i < n; i++) items[i] = value_of(a, values->item[i]);
    return (struct value){.kind = V_LIST, .n = n, .list = items};
}

static struct value map_of(struct arena *a, const struct json *entries)
{
    uint32_t n = entries ? entries->count : 0;
    struct value_pair *pairs = ARENA_ARRAY(a, struct value_pair, n + 1);
    for (uint32_t i = 0; i < n; i++)
        pairs[i] = (struct value_pair){value_of(a, json_get(entries->item[i], "key")),
                                       value_of(a, json_get(entries->item[i], "value"))};
    return (struct value){.kind = V_MAP, .n = n, .map = pairs};
}

static struct value value_of(struct arena *a, const struct json *j)
{
    if (!j || j->count != 1) return value_none();
    struct slice kind = j->key[0];
    const struct json *v = j->item[0];
    const char *text = v->kind == JSON_TEXT ? arena_strndup(a, v->text.p, v->text.n) : "";
    if (slice_is(kind, "nullValue")) return value_null();
    if (slice_is(kind, "boolValue")) return value_bool(v->b);
    if (slice_is(kind, "int64Value")) return value_int(strtoll(text, NULL, 10));
    if (slice_is(kind, "uint64Value")) return (struct value){.kind = V_UINT, .u = strtoull(text, NULL, 10)};
    if (slice_is(kind, "doubleValue")) return value_double(v->kind == JSON_TEXT ? strtod(text, NULL) : v->d);
    if (slice_is(kind, "stringValue")) return value_string(v->text);
    if (slice_is(kind, "listValue")) return list_of(a, json_get(v, "values"));
    if (slice_is(kind, "mapValue")) return map_of(a, json_get(v, "entries"));
    return value_none(); /* bytes, types */
}

static bool same(struct value a, struct value b);

static bool same_map(struct value a, struct value b)
{
    for (uint32_t i = 0; i < a.n; i++) {
        bool found = false;
        for (uint32_t k = 0; k < b.n && !found; k++)
            found = same(a.map[i].key, b.map[k].key) && same(a.map[i].value, b.map[k].value);
        if (!found) return false;
    }
    return true;
}

/* Kind and content; NaN is itself, -0 is not 0. */
static bool same(struct value a, struct value b)
{
    if (a.kind != b.kind || a.kind == V_NONE) return false;
    switch (a.kind) {
    case V_BOOL: return a.b == b.b;
    case V_DOUBLE: return (a.d != a.d && b.d != b.d) || (a.d == b.d && signbit(a.d) == signbit(b.d));
    case V_STRING: return slice_eq(value_text(a), value_text(b));
    case V_LIST:
        if (a.n != b.n) return false;
        for (uint32_t i = 0; i < a.n; i++)
            if (!same(a.list[i], b.list[i])) return false;
        return true;
    case V_MAP: return a.n == b.n && same_map(a, b);
    default: return a.kind == V_NULL || a.i == b.i;
    }
}

/* ---- the scope: variables of the test ----------------------------------------------------------------- */

static bool resolve(void *self, enum expr_space space, uint32_t within, struct slice name,
                    struct expr_symbol *out)
{
    const struct test *t = self;
    if (space != SPACE_VARIABLE || !t->bindings) return false;
    const char *qualified = arena_printf(t->arena, "%.*s.%.*s", (int)t->container.n,
                                         (const char *)t->container.p, (int)name.n, (const char *)name.p);
    for (int pass = t->container.n ? 0 : 1; pass < 2; pass++)
        for (uint32_t i = 0; i < t->bindings->count && i < BINDINGS_MAX; i++)
            if (pass ? slice_eq(t->bindings->key[i], name) : slice_is(t->bindings->key[i], qualified))
                return *out = (struct expr_symbol){.id = (uint16_t)i}, true;
    return false;
}

static struct value variable(void *self, uint16_t id) { return ((struct test *)self)->values[id]; }

/* ---- one test ---------------------------------------------------------------------------------------------- */

static bool is_refusal(const struct expr_errors *errors)
{
    static const char *const reasons[] = {
        "bytes are not supported",          "types are not values here",
        "undeclared reference to 'type'",   "undeclared reference to 'bytes'",
        "undeclared reference to 'format'", "undeclared reference to 'quote'",
        "undeclared reference to 'strings'"};
    for (uint32_t i = 0; i < errors->count; i++)
        for (size_t k = 0; k < sizeof reasons / sizeof *reasons; k++)
            if (strncmp(errors->list[i].reason, reasons[k], strlen(reasons[k])) == 0) return true;
    return false;
}

static enum verdict run(struct arena *a, const struct json *j, const char **why)
{
    static const struct expr_source source = {.variable = variable};
    struct test t = {.arena = a, .json = j, .bindings = json_get(j, "bindings")};
    const struct json *container = json_get(j, "container"), *expected = json_get(j, "value");
    if (container) t.container = container->text;
    for (uint32_t i = 0; t.bindings && i < t.bindings->count && i < BINDINGS_MAX; i++)
        t.values[i] = value_of(a, t.bindings->item[i]);
    struct expr_scope scope = {
        .self = &t, .resolve = resolve, .event = ID_NONE, .trigger = ID_NONE, .conformance = true};
    struct expr_errors errors = {0};
    struct slice text = json_get(j, "expr")->text;
    struct expr_pool *pool = expr_pool_create(a);
    const struct program *p = expr_compile(pool, &scope, text, WANT_ANY, &errors);
    *why = errors.count ? errors.list[0].reason : "";
    if (is_refusal(&errors)) return REFUSED;
    if (!p && json_get(j, "unchecked")) {
        scope.unchecked = true;
        p = expr_compile(expr_pool_create(a), &scope, text, WANT_ANY, &errors);
    }
    if (!p) return expected ? FAILED : PASSED;
    struct expr_context ctx = {.source = &source, .self = &t, .zone = zone_utc(), .scratch = a};
    struct value got = program_run(p, &ctx);
    *why = got.kind == V_ERROR ? arena_strndup(a, got.s, got.n)
                               : arena_printf(a, "kind %d, %ld, %.*s", got.kind, (long)got.i,
                                              got.kind == V_STRING ? (int)got.n : 0,
                                              got.kind == V_STRING ? (const char *)got.s : "");
    if (!expected) return got.kind == V_ERROR ? PASSED : FAILED;
    return same(got, value_of(a, expected)) ? PASSED : FAILED;
}

static struct score *score_of(struct score *scores, struct slice file)
{
    uint32_t i = 0;
    while (i < FILES_MAX && scores[i].file.n && !slice_eq(scores[i].file, file)) i++;
    if (i < FILES_MAX) scores[i].file = file;
    return &scores[i < FILES_MAX ? i : FILES_MAX - 1];
}

static void print(const struct score *scores, struct score *all)
{
    printf("%-16s %8s %8s %8s\n", "file", "passed", "refused", "failed");
    for (uint32_t i = 0; i < FILES_MAX && scores[i].file.n; i++) {
        const struct score *s = &scores[i];
        printf("%-16.*s %8u %8u %8u\n", (int)s->file.n, (const char *)s->file.p, s->count[PASSED],
               s->count[REFUSED], s->count[FAILED]);
        for (int v = 0; v < 3; v++) all->count[v] += s->count[v];
    }
    printf("%-16s %8u %8u %8u\n", "all", all->count[PASSED], all->count[REFUSED], all->count[FAILED]);
}

int main(int argc, char **argv)
{
    const char *path = HG_TEST_DATA "/cel/core.jsonl";
    bool verbose = false;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "-v") == 0)
            verbose = true;
        else
            path = argv[i];
    FILE *f = fopen(path, "r");
    if (!f) return fprintf(stderr, "%s: cannot be read\n", path), 2;
    static struct score scores[FILES_MAX];
    struct score all = {0};
    struct arena a, keep;
    arena_init(&a);
    arena_init(&keep);
    char *line = NULL;
    size_t room = 0;
    for (ssize_t n; (n = getline(&line, &room, f)) > 0; arena_reset(&a)) {
        const struct json *j = json_read(&a, slice_of(line, (size_t)n));
        const char *why = "";
        if (!j || !json_get(j, "expr")) return fprintf(stderr, "%s: malformed line\n", path), 2;
        enum verdict v = run(&a, j, &why);
        score_of(scores, arena_slice(&keep, json_get(j, "file")->text))->count[v]++;
        struct slice name = json_get(j, "name")->text, text = json_get(j, "expr")->text;
        if (v == FAILED || (verbose && v == REFUSED))
            printf("%s %.*s: %.*s: %s\n", v == FAILED ? "FAILED " : "refused", (int)name.n,
                   (const char *)name.p, (int)text.n, (const char *)text.p, why);
    }
    print(scores, &all);
    free(line);
    fclose(f);
    arena_free(&a);
    arena_free(&keep);
    return all.count[FAILED] || all.count[PASSED] < PASSED_LEAST;
}
