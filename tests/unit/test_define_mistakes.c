/* What the reader says about mistakes: one message per mistake, at its place, with what to do. */
#include "tests/unit/mistakes.h"

#define MISTAKES HG_TEST_DATA "/definitions/mistakes"

typedef struct defset *compiler(const struct source_file *files, uint32_t count,
                                const struct defset *previous, const char *zone_dir, struct diagnostics *d);

static struct defset *compile_with(compiler *f, struct slice text, struct diagnostics *d)
{
    if (!list) read_list(MISTAKES);
    struct source_file files[] = {{SLICE("base.yaml"), field(list, "base")}, {SLICE("x.yaml"), text}};
    diagnostics_init(d);
    return f(files, 2, NULL, NULL, d);
}

static struct defset *compile(struct slice text, struct diagnostics *d)
{
    return compile_with(defset_compile, text, d);
}

static bool is_told_by(compiler *f, const struct mistake *m)
{
    struct diagnostics d;
    struct defset *set = compile_with(f, m->text, &d);
    bool right = is_it(m, &d, "x.yaml") && !set;
    defset_free(set);
    diagnostics_free(&d);
    return right;
}
static bool is_refused(const struct mistake *m) { return is_told_by(defset_compile, m); }
static bool is_found(const struct mistake *m) { return is_told_by(defset_check, m); }

Test(define_mistakes, each_is_told_once_at_its_place_with_a_fix)
{
    read_list(MISTAKES);
    each_mistake("mistakes", 220, is_refused);
}

/* It compiles without a word. */
static void expect_good(struct slice text)
{
    struct diagnostics d;
    struct defset *set = compile(text, &d);
    if (!set || d.count) print(&d, text);
    cr_expect(set && !d.count);
    defset_free(set);
    diagnostics_free(&d);
}

Test(define_mistakes, lists_of_objects_are_used_as_they_are_declared)
{
    struct slice text =
        SLICE("events: {Go: {properties: {o: [{id: string, q: number, ok: bool, at: time}],\n"
              "                           n: [number], any: object}}}\n"
              "segments:\n"
              "  a: 'count(\"Go\", e.o.exists(x, x.q + 1 > 2.5 && x.ok && x.id.startsWith(\"a\"))) > 0'\n"
              "  b: 'count(\"Go\", e.o[0].q == 1 || e.o[0].at == \"a\") > 0'\n"
              "  c: 'sum(\"Go\", has(e.o[0].q) ? e.o[0].q : 0) > 1'\n"
              "  d: 'distinct(\"Go\", e.o[0].id) > 1 && max(\"Go\", e.n[0]) > 1'\n"
              "  e: 'count(\"Go\", 1 in e.n && size(e.o) > 1 && e.n != [1, 2]) > 0'\n"
              "  f: 'count(\"Go\", e.any.a.b > 1 && e.o.map(x, x.id) != [\"a\"]) > 0'\n");
    expect_good(text);
}

Test(define_mistakes, what_is_never_missing_needs_no_default)
{
    struct slice text = SLICE("templates: {t: {email: 'seen {{ count(\"page\") }}'}}\n"
                              "journeys:\n"
                              "  j:\n"
                              "    trigger: {event: Product Added}\n"
                              "    exit: [{after: 9d}]\n"
                              "    goal: {event: Order Completed}\n"
                              "    steps:\n"
                              "      - send: {channel: email, template: t}\n"
                              "      - task: {channel: crm, title: 'seen {{ count(\"page\") }}'}\n");
    expect_good(text);
}

#define JOURNEY(head, steps)                                                                                 \
    "journeys:\n  j:\n    goal: {event: page}\n    exit: [{after: 9d}]\n" head "    steps:\n" steps

static const char *const beside_mistakes[] = {
    /* Who is inside may come in again, so that it may be asked for. */
    JOURNEY("    trigger: {event: Product Added, where: in_journey(\"j\")}\n"
            "    reentry: {while_active: restart}\n",
            "      - wait: 1d\n"),
    JOURNEY("    trigger: {event: Product Added}\n    only_if: in_journey(\"j\")\n"
            "    reentry: {key: trigger.product_id}\n",
            "      - wait: 1d\n"),
    /* Asking that nobody comes in twice says the same as the default. */
    JOURNEY("    trigger: {event: Product Added, where: '!in_journey(\"j\")'}\n", "      - wait: 1d\n"),
    JOURNEY("    trigger: {attribute_changed: points, from: 5, to: 6}\n",
            "      - {id: m, send: {channel: email, template: t}}\n"
            "      - wait_for: {event: Message Opened, where: opened(\"m\")}\n"
            "      - if: clicked(\"m\")\n        then: []\n        else: [{wait: 1d}]\n"),
    /* The quickest way to the end of each wait is shorter than the exit. */
    JOURNEY("    trigger: {event: Product Added}\n",
            "      - wait_for: {event: page, timeout: 30d, else: [{wait: 1d}], then: [{wait: 8d}]}\n"
            "      - wait: {from: entry, for: 8d}\n"
            "      - wait: {until: \"10:00\"}\n"),
    /* A segment follows while one waits, and does not hear of what it does not read. */
    "segments: {rich: profile.points > 10}\n" JOURNEY(
        "    trigger: {event: Product Added}\n",
        "      - set: {points: 11}\n"
        "      - wait: 1s\n"
        "      - set: {city: a}\n"
        "      - if: segment(\"rich\") || in_list(\"staff\")\n        then: [{wait: 1d}]\n"
        "      - set: {points: 12}\n"),
    /* Whoever comes to these waits has the date. */
    JOURNEY("    trigger: {event: Product Added}\n",
            "      - if: '!has(profile.birthday)'\n        then: [end]\n"
            "      - wait: {until_date: profile.birthday}\n"),
    JOURNEY("    trigger: {event: Product Added}\n",
            "      - if: profile.known && profile.birthday > now\n"
            "        then: [{wait: {until_date: profile.birthday + days(1)}}]\n"),
    JOURNEY("    trigger: {event: Product Added}\n",
            "      - wait: {until_date: 'has(profile.birthday) ? profile.birthday : trigger.at'}\n"),
    JOURNEY("    trigger: {event: Product Added, where: has(e.price) && e.price > 1}\n",
            "      - wait: {until_date: trigger.at + days(int(trigger.price))}\n"),
    JOURNEY("    trigger: {date: profile.birthday, offset: -3d}\n",
            "      - wait: {until_date: profile.birthday}\n"),
    JOURNEY("    trigger: {event: Product Added}\n    only_if: has(profile.birthday)\n",
            "      - wait: {until_date: profile.birthday}\n"),
    /* Who has left it leaves its segment. */
    "segments: {inside: in_journey(\"j\")}\n" JOURNEY("    trigger: {segment_left: inside}\n",
                                                      "      - wait: 1d\n"),
    /* Silence ends a wait that nothing else ends. */
    ("journeys: {j: {trigger: manual, goal: {event: page}, exit: [{silence: 30d}], "
     "steps: [{wait_for: {event: page}}]}}\n"),
};

Test(define_mistakes, what_stands_next_to_a_mistake_is_taken)
{
    for (uint32_t i = 0; i < sizeof beside_mistakes / sizeof *beside_mistakes; i++)
        expect_good(slice_str(beside_mistakes[i]));
}

Test(define_mistakes, what_does_not_run_yet_is_checked_like_the_rest)
{
    read_list(MISTAKES);
    each_mistake("later", 20, is_found);
}

Test(define_mistakes, bytes_that_are_no_text_are_one_too)
{
    read_list(MISTAKES);
    struct mistake m = {SLICE("segments: {a: '\xff'}\n"), 1, 16, "invalid", "UTF-8", {0}};
    cr_expect(is_refused(&m));
}

/* `shape` says what the table of keys refuses by itself; the JSON Schema, made of it, is asked the same in tests/e2e. */
Test(define_mistakes, a_nul_byte_is_told_where_it_stands)
{
    read_list(MISTAKES);
    struct mistake m = {
        slice_of("lists: {}\nsegments: {a\0: 1}\n", 29), 2, 13, "a NUL byte", "remove it", {0}};
    cr_expect(is_refused(&m));
}

Test(define_mistakes, shape_is_marked_where_the_table_refuses)
{
    read_list(MISTAKES);
    const struct node *mistakes = node_find(list, "mistakes");
    for (uint32_t i = 0; i < mistakes->count; i++) {
        struct mistake m = mistake_of(mistakes->list[i]);
        struct source_file file = {SLICE("x.yaml"), m.text};
        struct diagnostics d;
        diagnostics_init(&d);
        struct node *root = yaml_parse(&file, &kept, &d);
        if (root && !d.errors) {
            shape_check(root, &definition_block, true, &d);
            cr_expect_eq(d.errors > 0, m.shape.n > 0, "%.*s", SHOWN(m.text));
        }
        diagnostics_free(&d);
    }
}

Test(define_mistakes, ten_in_one_file_are_ten_messages_in_order)
{
    struct slice text = SLICE("segmnets: {}\n"
                              "events:\n"
                              "  A: {keep: soon, cap: 0}\n"
                              "  B: {properties: {x: txt}}\n"
                              "attributes:\n"
                              "  a: {type: number, identifies: true}\n"
                              "channels:\n"
                              "  sms: {quiet: night, caps: often}\n"
                              "journeys:\n"
                              "  j:\n"
                              "    trigger: {event: Nothing}\n"
                              "    steps:\n"
                              "      - wait: 0s\n"
                              "      - goto: x\n");
    static const struct {
        uint32_t line, column;
    } places[] = {{1, 1}, {3, 13}, {3, 24}, {4, 23}, {6, 33}, {8, 16}, {8, 29}, {11, 22}, {13, 15}, {14, 15}};
    struct diagnostics d;
    cr_assert_null(compile(text, &d));
    if (d.errors != 10) print(&d, text);
    cr_assert_eq(d.errors, 10);
    for (uint32_t i = 0, k = 0; i < d.count; i++) {
        const struct diagnostic *x = &d.list[i];
        if (x->severity != SEVERITY_ERROR) continue;
        cr_expect(x->line == places[k].line && x->column == places[k].column && x->fix, "%u:%u %s", x->line,
                  x->column, x->reason);
        k++;
    }
    diagnostics_free(&d);
}

Test(define_mistakes, two_expressions_that_yaml_cuts_alike_are_two_mistakes)
{
    struct slice text =
        SLICE("segments: {a: count(\"page\", days(3)) > 1, b: count(\"screen\", days(3)) > 1}\n");
    struct diagnostics d;
    cr_assert_null(compile(text, &d));
    cr_expect(d.errors == 2 && d.list[0].column == 15 && d.list[1].column == 46);
    cr_expect(holds(d.list[1].fix, "b: 'count(\"screen\", days(3)) > 1'"));
    if (d.errors != 2) print(&d, text);
    diagnostics_free(&d);
}

Test(define_mistakes, files_are_all_read_although_one_is_no_yaml)
{
    struct source_file files[] = {{SLICE("b.yaml"), SLICE("a: [\n")}, {SLICE("a.yaml"), SLICE("x: 1\n")}};
    struct diagnostics d;
    diagnostics_init(&d);
    cr_assert_null(defset_compile(files, 2, NULL, NULL, &d));
    cr_assert_eq(d.errors, 2);
    cr_expect_str_eq(d.list[0].file, "a.yaml");
    cr_expect_str_eq(d.list[1].file, "b.yaml");
    diagnostics_free(&d);
}

Test(define_mistakes, message_looks_as_promised)
{
    struct source_file file = {SLICE("segments/vip.yaml"), SLICE("events:\n  Ж: {kep: 3d}\n")};
    struct diagnostics d;
    diagnostics_init(&d);
    cr_assert_null(defset_compile(&file, 1, NULL, NULL, &d));
    struct buf out = {0};
    diagnostics_print(&d, &out);
    buf_put_u8(&out, 0);
    cr_expect_str_eq((char *)out.p, "segments/vip.yaml:2:7: error: unknown key 'kep' in an event\n"
                                    " |   Ж: {kep: 3d}\n"
                                    " | ......^\n"
                                    " = did you mean 'keep'?\n");
    buf_free(&out);
    diagnostics_free(&d);
}

static const struct diagnostic *warning_about(const struct diagnostics *d, const char *reason)
{
    for (uint32_t i = 0; i < d->count; i++)
        if (d->list[i].severity == SEVERITY_WARNING && holds(d->list[i].reason, reason)) return &d->list[i];
    return NULL;
}

Test(define_mistakes, doubtful_things_are_warnings_at_their_place_with_a_fix)
{
    read_list(MISTAKES);
    const struct node *warnings = node_find(list, "warnings");
    for (uint32_t i = 0; i < warnings->count; i++) {
        struct mistake m = mistake_of(warnings->list[i]);
        struct diagnostics d;
        struct defset *set = compile(m.text, &d);
        const struct diagnostic *w = warning_about(&d, m.reason);
        bool right = set && w && w->line == m.line && w->column == m.column && holds(w->fix, m.fix);
        if (!right) print(&d, m.text);
        cr_expect(right, "wanted %u:%u %s / %s", m.line, m.column, m.reason, m.fix);
        defset_free(set);
        diagnostics_free(&d);
    }
}

static const char *const bad_expressions[] = {
    "count(\"*\", e.total > 1) > 0",
    "count(\"Order Completed\", context.ip == \"x\") > 0",
    "trigger.total > 1",
    "profile == 1",
    "count(\"page\", days(0)) > 0",
    "count(\"page\", true, days(1)) > 0",
    "count(\"Order Completed\", e.total) > 0",
    "sum(\"Order Completed\", e.order_id) > 0",
    "count(\"page\", true, true) > 0",
    "count(\"page\", since(1)) > 0",
    "count(\"page\", calendar(\"year\")) > 0",
    "sequence(\"page\", days(1))",
    "ev(\"page\", true)",
    "age(profile.city) > 1",
    "ago() > days(1)",
    "timestamp(\"soon\") > now",
    "profile.city.matches(\"[a\")",
    "profile.city.replace(\"a\", \"b\", 1, 2) == \"\"",
    "now.getHours(\"Mars\") > 1",
    "has(1)",
    "has(profile.city.x)",
    "profile.interests.exists(1, true)",
    "[1].all(a, [1].all(b, [1].all(c, true)))",
    "profile.points.exists(x, x > 1)",
    "{1.5: 1}[1] == 1",
    "profile.city.x == 1",
    "profile.points == \"a\"",
    "coutn(\"page\") > 1",
    "frobnicate(1)",
    "days(1.5) > days(1)",
};

Test(define_mistakes, every_mistake_in_an_expression_has_a_remedy)
{
    for (uint32_t i = 0; i < sizeof bad_expressions / sizeof *bad_expressions; i++) {
        struct buf text = {0};
        struct diagnostics d;
        buf_printf(&text, "segments:\n  a: |\n    %s\n", bad_expressions[i]);
        cr_expect_null(compile(buf_slice(&text), &d), "%s", bad_expressions[i]);
        for (uint32_t k = 0; k < d.count; k++)
            cr_expect(d.list[k].fix, "%s: %s", bad_expressions[i], d.list[k].reason);
        diagnostics_free(&d);
        buf_free(&text);
    }
}

static const struct {
    const char *text, *reason;
} later[] = {
    {"events: {Product Added: {properties: {product_id: string}}}\n"
     "collections:\n  cart: {put: Product Added, key: product_id}\n",
     "not yet: 'collections'"},
    {"attributes:\n  city: {type: string, history: 8}\n", "not yet: 'history'"},
    {"channels:\n  x:\nsegments:\n  all: count(\"*\") > 0\njourneys:\n"
     "  j: {trigger: {segment_entered: all, existing: enter}, steps: [end]}\n",
     "not yet: 'existing'"},
    {"channels:\n  x:\njourneys:\n"
     "  j: {trigger: manual, steps: [{send: {channel: x, template: t, when: best_hour}}]}\n",
     "not yet: 'when'"},
};

#define CART                                                                                                 \
    "events: {Product Added: {properties: {product_id: string}}}\n"                                          \
    "collections:\n  cart: {put: Product Added, key: product_id, fields: {price: number, name: string}}\n"   \
    "segments:\n  s: "

static const struct {
    const char *text, *reason, *fix; /* reason NULL: good */
} items[] = {
    {CART "cart.exists(i, i.price > 100 && i.name.contains('x') && i.product_id == 'p')\n", NULL, NULL},
    {CART "cart.exists(i, i.since.price <= now - days(14))\n", NULL, NULL},
    {CART "cart.filter(i, i.price > 1).exists(k, has(k.name))\n", NULL, NULL},
    {CART "cart.exists(i, i.prise > 100)\n", "undeclared reference to 'prise'", "did you mean 'price'?"},
    {CART "cart.exists(i, has(i.colour))\n", "undeclared reference to 'colour'",
     "declare it under the `fields:` of its collection"},
    {CART "cart.exists(i, i.since.prise <= now)\n", "undeclared reference to 'prise'",
     "did you mean 'price'?"},
    {CART "cart.filter(i, i.price > 1).exists(k, k.prise > 1)\n", "undeclared reference to 'prise'", NULL},
    {CART "cart.exists(i, i.name > 100)\n", "no matching overload", NULL},
    {CART "cart.exists(i, [1].exists(i, i.prise > 1))\n", "does not support field selection", NULL},
};

Test(define_mistakes, a_segment_that_does_not_run_yet_follows_nothing)
{
    struct slice text = SLICE("segments: {rich: revenue(days(30)) > 10}\n" JOURNEY(
        "    trigger: {segment_entered: rich}\n",
        "      - set: {points: 11}\n      - if: segment(\"rich\")\n        then: [{wait: 1d}]\n"));
    struct diagnostics d;
    struct defset *set = compile_with(defset_check, text, &d);
    if (d.count != 1) print(&d, text);
    cr_expect(set && d.count == 1 && holds(d.list[0].reason, "not yet: revenue"));
    defset_free(set);
    diagnostics_free(&d);
}

Test(define_mistakes, fields_of_items_are_checked_against_their_collection)
{
    for (uint32_t i = 0; i < sizeof items / sizeof *items; i++) {
        struct source_file files[] = {{SLICE("x.yaml"), slice_str(items[i].text)}};
        struct diagnostics d;
        bool found = false;
        diagnostics_init(&d);
        struct defset *set = defset_check(files, 1, NULL, NULL, &d);
        cr_expect_eq(set != NULL, items[i].reason == NULL, "%s", items[i].text);
        for (uint32_t k = 0; items[i].reason && k < d.count; k++)
            found |= holds(d.list[k].reason, items[i].reason) &&
                     (!items[i].fix || (d.list[k].fix && holds(d.list[k].fix, items[i].fix)));
        cr_expect(found || !items[i].reason, "%s", items[i].text);
        defset_free(set);
        diagnostics_free(&d);
    }
}

Test(define_mistakes, not_yet_is_refused_for_running_and_accepted_by_check)
{
    for (uint32_t i = 0; i < sizeof later / sizeof *later; i++) {
        struct source_file files[] = {{SLICE("x.yaml"), slice_str(later[i].text)}};
        struct diagnostics d;
        diagnostics_init(&d);
        cr_assert_null(defset_compile(files, 1, NULL, NULL, &d));
        cr_assert_eq(d.errors, 1);
        bool found = false;
        for (uint32_t k = 0; k < d.count; k++) found |= holds(d.list[k].reason, later[i].reason);
        cr_expect(found, "%s", later[i].reason);
        diagnostics_free(&d);
        diagnostics_init(&d);
        struct defset *set = defset_check(files, 1, NULL, NULL, &d);
        cr_expect_not_null(set, "%s", later[i].reason);
        defset_free(set);
        diagnostics_free(&d);
    }
}
