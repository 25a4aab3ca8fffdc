/* A scan over a store beside the program for every row of it. */
#include "core/segment/scan.h"
#include "core/store/blocks.h"
#include "tests/unit/store_fixture.h"

enum { PEOPLE = BLOCK_ROWS * 2 + 77, SEGMENTS = 2 };

static struct arena arena, scratch;
static struct schema schema;
static struct store store;
static row_t rows[PEOPLE];

/* ---- a person of the store ---------------------------------------------------------------------------- */

struct walker {
    struct expr_context ctx;
    row_t row;
    uint64_t asked;
};

static struct value get_attribute(void *self, uint16_t id)
{
    return attribute_get(&store, ((struct walker *)self)->row, id);
}
static bool get_history(void *self, uint16_t type, struct history_view *out)
{
    return behaviour_view(&store, ((struct walker *)self)->row, type, out);
}
static bool get_segment(void *self, uint16_t id, uint32_t *entered, uint32_t *left)
{
    return member_get(&store, ((struct walker *)self)->row, id);
}
static const struct expr_source source = {
    .attribute = get_attribute, .history = get_history, .segment = get_segment};

static void turn(void *self, row_t row)
{
    struct walker *w = self;
    arena_reset(&scratch);
    w->row = row;
    w->asked++;
}

static bool resolve(void *self, enum expr_space space, uint32_t within, struct slice name,
                    struct expr_symbol *out)
{
    static const char *const names[] = {"email", "city", "age", "vip", "born", "tags", "first"};
    for (uint16_t i = 0; space == SPACE_ATTRIBUTE && i < ATTR_COUNT; i++)
        if (slice_is(name, names[i]))
            return *out = (struct expr_symbol){.id = i, .type = attributes[i].type}, true;
    *out = (struct expr_symbol){.id = space == SPACE_SEGMENT ? slice_is(name, "b") : TYPE_ORDER};
    return space == SPACE_SEGMENT || space == SPACE_EVENT;
}
static const struct expr_scope scope = {.resolve = resolve, .event = ID_NONE, .trigger = ID_NONE};

/* ---- the store ------------------------------------------------------------------------------------------- */

static void change(row_t row)
{
    char city[8];
    snprintf(city, sizeof city, "c%u", below(below(4) ? 5 : 13));
    if (below(2)) attribute_set(&store, row, ATTR_CITY, value_string(slice_str(city)), NOW, NULL);
    if (below(2)) attribute_set(&store, row, ATTR_AGE, value_double(below(90)), NOW, NULL);
    if (below(2)) attribute_set(&store, row, ATTR_VIP, value_bool(below(2)), NOW, NULL);
    if (below(2)) attribute_set(&store, row, ATTR_EMAIL, value_string(slice_str(city)), NOW, NULL);
    if (!below(8)) attribute_set(&store, row, ATTR_CITY, value_null(), NOW + 1, NULL);
    for (uint16_t i = 0; i < SEGMENTS; i++)
        if (below(2)) member_set(&store, row, i, below(2), NOW);
    struct behaviour_change ignored;
    struct event e = {.type = TYPE_ORDER};
    if (!below(3)) behaviour_add(&store, row, TYPE_ORDER, NOW - below(DAY * 5), NOW, &e, NOW, &ignored);
}

static void set_up(void)
{
    arena_init(&arena);
    arena_init(&scratch);
    schema = fixture_schema();
    CHECK(store_create(&store, &schema));
    store_set_segments(&store, SEGMENTS);
    for (uint32_t i = 0; i < PEOPLE; i++) {
        CHECK(store_reserve(&store, 8, 4096));
        rows[i] = store_add(&store, key_of(i), NOW);
        if (i / 64 != 3) change(rows[i]); /* and some of whom nothing is known */
    }
    for (uint32_t i = 0; i < PEOPLE; i++)
        if (!below(10)) store_remove(&store, rows[i]);
}
static void tear_down(void) { store_destroy(&store); }
TestSuite(scan, .init = set_up, .fini = tear_down);

static struct scan_count slowly(struct walker *w, const struct program *p)
{
    struct scan_count sum = {0};
    w->ctx.errors = 0;
    for (uint32_t i = 0; i < store.row_limit; i++) {
        if (!(store.rows[i].flags & ROW_USED)) continue;
        turn(w, (row_t){i});
        struct value v = program_run(p, &w->ctx);
        sum.of++;
        sum.yes += v.kind == V_BOOL && v.b;
        sum.errors += v.kind != V_BOOL;
    }
    return sum;
}

/* How many rows the program was asked for. */
static uint64_t check(const char *text, enum cpu_level level)
{
    struct expr_errors errors = {0};
    const struct program *p =
        expr_compile(expr_pool_create(&arena), &scope, slice_str(text), WANT_BOOL, &errors);
    cr_assert_not_null(p, "%s: %s", text, errors.count ? errors.list[0].reason : "?");
    struct walker w = {
        .ctx = {.source = &source, .now = NOW, .scratch = &scratch, .next_change = UINT32_MAX}};
    w.ctx.self = &w;
    struct scan_count wanted = slowly(&w, p), sum = {0};
    struct scan_person person = {&w.ctx, &w, turn};
    w.asked = 0;
    struct scan *s = scan_begin(&store, block_plan_make(p, &arena), kernels_at(level), &person, &arena);
    while (scan_count(s, &sum)) continue;
    cr_assert(sum.of == wanted.of && sum.yes == wanted.yes && sum.errors == wanted.errors,
              "%s at level %s: %llu of %llu, %llu errors, not %llu of %llu, %llu errors", text,
              cpu_level_name(level), (unsigned long long)sum.yes, (unsigned long long)sum.of,
              (unsigned long long)sum.errors, (unsigned long long)wanted.yes, (unsigned long long)wanted.of,
              (unsigned long long)wanted.errors);
    return w.asked;
}

Test(scan, columns_answer_without_asking_a_single_row)
{
    static const char *const texts[] = {
        "profile.city == 'c1'",
        "profile.city != 'c1' && profile.age > 30",
        "profile.city.startsWith('c') || profile.vip",
        "profile.city in ['c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'c30']",
        "!(profile.age <= 44.5)",
        "has(profile.city) ? profile.vip : segment('a')",
        "segment('a') && !segment('b') && profile.city.size() > 2",
        "true",
        "!has(profile.email)",
        "profile.first == 'x'",
        "has(profile.city) && profile.vip == true",
        "profile.city.substring(1, 3) == '12'",
        "has(profile.born) || 30 > profile.age",
    };
    for (enum cpu_level level = CPU_PORTABLE; level <= cpu_best(); level++)
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
            cr_expect_eq(check(texts[i], level), 0, "%s", texts[i]);
}

Test(scan, what_needs_history_is_asked_only_where_it_is_undecided)
{
    uint64_t all = check("count('Order', days(3)) >= 1", cpu_best());
    cr_assert_eq(all, store.profiles);
    uint64_t some =
        check("count('Order', days(3)) >= 1 && has(profile.city) && profile.city == 'c1'", cpu_best());
    cr_assert(some > 0 && some < all / 2);
    check("ago('Order') < days(1) || profile.email == 'c3' || profile.age > 70", cpu_best());
    check("!(profile.tags.exists(t, t == 'x')) && segment('b')", cpu_best());
}

Test(scan, members_of_two_segments_are_counted_by_their_pages)
{
    struct overlap wanted = {0};
    for (uint32_t i = 0; i < store.row_limit; i++) {
        if (!(store.rows[i].flags & ROW_USED)) continue;
        bool a = member_get(&store, (row_t){i}, 0), b = member_get(&store, (row_t){i}, 1);
        wanted.both += a && b;
        wanted.only_a += a && !b;
        wanted.only_b += b && !a;
    }
    for (enum cpu_level level = CPU_PORTABLE; level <= cpu_best(); level++) {
        struct overlap is = segments_overlap(&store, kernels_at(level), 0, 1);
        cr_assert(is.both == wanted.both && is.only_a == wanted.only_a && is.only_b == wanted.only_b &&
                  is.both > 0);
    }
}

Test(scan, codes_that_come_while_it_walks_are_learnt)
{
    struct expr_errors errors = {0};
    const struct program *p =
        expr_compile(expr_pool_create(&arena), &scope, SLICE("profile.city == 'new'"), WANT_BOOL, &errors);
    struct walker w = {
        .ctx = {.source = &source, .now = NOW, .scratch = &scratch, .next_change = UINT32_MAX}};
    w.ctx.self = &w;
    struct scan_person person = {&w.ctx, &w, turn};
    struct scan *s = scan_begin(&store, block_plan_make(p, &arena), kernels_at(cpu_best()), &person, &arena);
    struct scan_count sum = {0};
    while (sum.of == 0 && scan_count(s, &sum)) continue; /* the first block was passed */
    row_t last = {store.row_limit - 1};
    while (!(store.rows[last.v].flags & ROW_USED)) last.v--;
    CHECK(store_reserve(&store, 8, 4096));
    attribute_set(&store, last, ATTR_CITY, TEXT("new"), NOW + 9, NULL);
    while (scan_count(s, &sum)) continue;
    cr_assert_eq(sum.yes, 1);
}
