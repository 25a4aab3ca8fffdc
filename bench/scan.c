/* hourglass-scan - what counting everybody costs: an ad-hoc question of five predicates over columns, by plans at each
 * level of the processor, beside the same program asked row by row, the members of fifty saved segments, and the
 * overlap of two. One thread. Prints ms of CPU time (min, median, max of the runs).
 * usage: hourglass-scan [--profiles N] [--runs N] [--naive-runs N] [--json] */
#include "core/base/check.h"
#include "core/segment/scan.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { STORES = 4, SEGMENTS = 50, NOW = 1772355600, RUNS_MAX = 101, BATCH = 64 };
enum { CITY, PLAN, AGE, SPENT, SUBSCRIBED, ATTRIBUTES };

static const struct {
    const char *name;
    uint8_t type;
} columns[ATTRIBUTES] = {
    {"city", T_STRING}, {"plan", T_STRING}, {"age", T_NUMBER}, {"spent", T_NUMBER}, {"subscribed", T_BOOL}};

static const char question[] =
    "profile.city in [\"Kazan\", \"Omsk\", \"Tver\"] && profile.plan != \"free\" && "
    "profile.age >= 30 && profile.spent > 500.0 && profile.subscribed";

struct bench {
    struct store stores[STORES];
    struct schema schema;
    struct schema_attribute attributes[ATTRIBUTES];
    struct arena arena, scratch;
    const struct program *program;
    uint64_t profiles;
    uint32_t runs, naive_runs;
    bool json;
};

struct walker {
    struct expr_context ctx;
    const struct store *store;
    row_t row;
};

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static uint64_t state = 20261122;
static uint32_t below(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 20) % n);
}

/* ---- people ------------------------------------------------------------------------------------------- */

static void make_person(struct bench *b, struct store *s, uint64_t number)
{
    static const char *const plans[] = {"free", "pro", "team"};
    static const char *const first[] = {"Kazan", "Omsk", "Tver"};
    char city[16];
    row_t row = store_add(s, hash128_plain(&number, sizeof number), NOW);
    uint32_t c = below(200);
    snprintf(city, sizeof city, "City %u", c);
    if (below(10)) attribute_set(s, row, CITY, value_string(slice_str(c < 3 ? first[c] : city)), NOW, NULL);
    if (below(10)) attribute_set(s, row, PLAN, value_string(slice_str(plans[below(3)])), NOW, NULL);
    if (below(10)) attribute_set(s, row, AGE, value_double(below(90)), NOW, NULL);
    if (below(10)) attribute_set(s, row, SPENT, value_double(below(5000)), NOW, NULL);
    if (below(10)) attribute_set(s, row, SUBSCRIBED, value_bool(below(2)), NOW, NULL);
    for (uint32_t i = 0; i < 2; i++) member_set(s, row, (uint16_t)below(SEGMENTS), true, NOW);
}

static void make_people(struct bench *b)
{
    for (uint32_t i = 0; i < ATTRIBUTES; i++)
        b->attributes[i] = (struct schema_attribute){
            .name = slice_str(columns[i].name), .id = (uint16_t)i, .type = columns[i].type, .live = true};
    b->schema = (struct schema){.attributes = b->attributes, .attribute_count = ATTRIBUTES};
    for (uint32_t i = 0; i < STORES; i++) {
        struct store *s = &b->stores[i];
        CHECK(store_create(s, &b->schema));
        store_set_segments(s, SEGMENTS);
        for (uint64_t n = 0; n < b->profiles / STORES; n++) {
            if (n % BATCH == 0) CHECK(store_reserve(s, BATCH, BATCH * 64));
            make_person(b, s, n * STORES + i);
        }
    }
}

static bool resolve(void *self, enum expr_space space, uint32_t within, struct slice name,
                    struct expr_symbol *out)
{
    for (uint16_t i = 0; space == SPACE_ATTRIBUTE && i < ATTRIBUTES; i++)
        if (slice_is(name, columns[i].name)) {
            *out = (struct expr_symbol){.id = i, .type = columns[i].type};
            return true;
        }
    return false;
}

static struct value get_attribute(void *self, uint16_t id)
{
    const struct walker *w = self;
    return attribute_get(w->store, w->row, id);
}
static const struct expr_source source = {.attribute = get_attribute};

static void turn(void *self, row_t row)
{
    struct walker *w = self;
    arena_reset(w->ctx.scratch);
    w->row = row;
}

static void walker_init(struct walker *w, struct bench *b, const struct store *s)
{
    *w = (struct walker){
        .store = s,
        .ctx = {.source = &source, .self = w, .now = NOW, .scratch = &b->scratch, .next_change = UINT32_MAX}};
}

/* ---- what is measured ---------------------------------------------------------------------------------- */

typedef uint64_t measured(struct bench *b, enum cpu_level level);

static uint64_t by_plan(struct bench *b, enum cpu_level level)
{
    struct arena run;
    struct scan_count sum = {0};
    arena_init(&run);
    const struct block_plan *plan = block_plan_make(b->program, &run);
    for (uint32_t i = 0; i < STORES; i++) {
        struct walker w;
        walker_init(&w, b, &b->stores[i]);
        struct scan_person person = {&w.ctx, &w, turn};
        struct scan *s = scan_begin(&b->stores[i], plan, kernels_at(level), &person, &run);
        while (scan_count(s, &sum)) continue;
    }
    arena_free(&run);
    return sum.yes;
}

static uint64_t by_rows(struct bench *b, enum cpu_level level)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < STORES; i++) {
        const struct store *s = &b->stores[i];
        struct walker w;
        walker_init(&w, b, s);
        for (uint32_t row = 0; row < s->row_limit; row++) {
            if (!(s->rows[row].flags & ROW_USED)) continue;
            turn(&w, (row_t){row});
            sum += program_true(b->program, &w.ctx);
        }
    }
    return sum;
}

static uint64_t by_membership(struct bench *b, enum cpu_level level)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < STORES; i++)
        for (uint32_t k = 0; k < SEGMENTS; k++) sum += member_count(&b->stores[i], (uint16_t)k);
    return sum;
}

static uint64_t by_pages(struct bench *b, enum cpu_level level)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < STORES; i++)
        sum += segments_overlap(&b->stores[i], kernels_at(level), 0, 1).both;
    return sum;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static uint64_t measure(struct bench *b, const char *what, const char *level_name, measured *f,
                        enum cpu_level level, uint32_t runs)
{
    double ms[RUNS_MAX];
    uint64_t result = 0;
    for (uint32_t i = 0; i < runs; i++) {
        double begin = cpu_ms();
        result = f(b, level);
        ms[i] = cpu_ms() - begin;
    }
    qsort(ms, runs, sizeof *ms, compare_doubles);
    const char *form =
        b->json ? "{\"what\":\"%s\",\"level\":\"%s\",\"profiles\":%llu,\"result\":%llu,\"runs\":%u,"
                  "\"min_ms\":%.4f,\"median_ms\":%.4f,\"max_ms\":%.4f}\n"
                : "%-22s %-9s %llu profiles, %llu found, %u runs: min %.4f, median %.4f, max %.4f ms\n";
    printf(form, what, level_name, (unsigned long long)b->profiles, (unsigned long long)result, runs, ms[0],
           ms[runs / 2], ms[runs - 1]);
    return result;
}

static uint32_t at_least_one(const char *text)
{
    uint64_t n = strtoull(text, NULL, 10);
    return n < 1 ? 1 : n > RUNS_MAX ? RUNS_MAX : (uint32_t)n;
}

static void read_options(struct bench *b, int argc, char **argv)
{
    static const struct option options[] = {
        {"profiles", 1, 0, 'p'}, {"runs", 1, 0, 'r'}, {"naive-runs", 1, 0, 'n'}, {"json", 0, 0, 'j'}, {0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'p') b->profiles = strtoull(optarg, NULL, 10);
        if (c == 'r') b->runs = at_least_one(optarg);
        if (c == 'n') b->naive_runs = at_least_one(optarg);
        if (c == 'j') b->json = true;
        if (c == '?') exit(64);
    }
}

int main(int argc, char **argv)
{
    static struct bench b = {.profiles = 10000000, .runs = 21, .naive_runs = 3};
    read_options(&b, argc, argv);
    arena_init(&b.arena);
    arena_init(&b.scratch);
    make_people(&b);
    struct expr_errors errors = {0};
    struct expr_scope scope = {.resolve = resolve, .event = ID_NONE, .trigger = ID_NONE};
    b.program = expr_compile(expr_pool_create(&b.arena), &scope, slice_str(question), WANT_BOOL, &errors);
    CHECK(b.program);
    uint64_t wanted = measure(&b, "five predicates", "rows", by_rows, CPU_PORTABLE, b.naive_runs);
    for (enum cpu_level level = CPU_PORTABLE; level <= cpu_best(); level++)
        CHECK(measure(&b, "five predicates", cpu_level_name(level), by_plan, level, b.runs) == wanted);
    measure(&b, "members of 50 segments", "-", by_membership, CPU_PORTABLE, b.runs);
    measure(&b, "overlap of 2 segments", cpu_level_name(cpu_best()), by_pages, cpu_best(), b.runs);
    return 0;
}
