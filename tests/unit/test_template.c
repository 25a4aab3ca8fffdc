/* Text with values in it. */
#include "tests/unit/journey_kit.h"

#include "core/journey/template.h"

TestSuite(template, .init = world_open, .fini = world_close);

static uint32_t errors, error_at, bares;
static const char *error_reason;

static const struct program *on_compile(void *self, struct slice expression, const struct expr_item *items,
                                        uint32_t count, uint32_t at)
{
    struct expr_scope scope = {.resolve = resolve,
                               .nearest = nearest,
                               .event = ADDED,
                               .trigger = ADDED,
                               .items = items,
                               .item_count = count};
    struct expr_errors e = {0};
    const struct program *p = expr_compile(W->pool, &scope, expression, WANT_ANY, &e);
    if (!p && !errors++) error_at = at + e.list[0].at, error_reason = e.list[0].reason;
    return p;
}
static void on_error(void *self, uint32_t at, uint32_t length, const char *reason)
{
    if (!errors++) error_at = at, error_reason = reason;
}
static void on_bare(void *self, uint32_t at, uint32_t length) { bares++; }

static const struct template_text *parse(const char *text, bool html)
{
    static const struct template_host host = {.compile = on_compile, .error = on_error, .bare = on_bare};
    errors = bares = 0;
    return template_parse(slice_str(text), html, &host, &W->arena);
}

static enum render result;
static const struct zone *zone; /* of the person; NULL: UTC */
static const char *render(const char *text, bool html)
{
    const struct template_text *t = parse(text, html);
    cr_assert_not_null(t, "%s: %u %s", text, error_at, error_reason);
    struct person p = {.store = &W->store,
                       .row = person("u"),
                       .set = &W->journeys,
                       .schema = &W->schema,
                       .scratch = &W->scratch};
    struct expr_context ctx = {.source = &person_source,
                               .self = &p,
                               .now = W->now,
                               .zone = zone ? zone : zone_utc(),
                               .week = &W->journeys.week,
                               .scratch = &W->scratch,
                               .next_change = UINT32_MAX};
    struct slice out = {0};
    result = template_render(t, &ctx, &out);
    return arena_strndup(&W->arena, out.p, out.n);
}

static void renders(const char *text, const char *expected)
{
    cr_assert_str_eq(render(text, true), expected);
    cr_assert_eq(result, RENDER_OK, "%s", text);
}

Test(template, values_defaults_and_escaping)
{
    identify("u", "{'status':'<b>&\"','bonus':12.5,'language':''}");
    renders("no values at all", "no values at all");
    renders("", "");
    renders("Dear {{ profile.email | default: \"friend\" }}!", "Dear friend!");
    renders("{{profile.bonus}}/{{ profile.bonus * 2.0 }}", "12.5/25");
    renders("{{ profile.status | raw }}", "<b>&\"");
    renders("{{ profile.status }}", "&lt;b&gt;&amp;&quot;");
    cr_assert_str_eq(render("{{ profile.status }}", false), "<b>&\"");
    renders("{{ profile.email | default: 7 }}", "7");
    renders("a { b } c {", "a { b } c {");
    renders("{{ \"}}\" }} {{ profile.bonus > 100.0 || true }}", "}} true");
}

Test(template, a_missing_value_without_default_is_told)
{
    cr_assert_str_eq(render("Dear {{ profile.email }}!", true), "Dear !");
    cr_assert_eq(result, RENDER_MISSING);
    cr_assert_eq(bares, 1);
    parse("{{ profile.email | default: \"x\" }}", true);
    cr_assert_eq(bares, 0);
}

Test(template, branches)
{
    identify("u", "{'bonus':5}");
    renders(
        "{% if profile.bonus > 10.0 %}big{% elsif profile.bonus > 3.0 %}middle{% else %}small{% endif %}.",
        "middle.");
    renders("{% if profile.bonus > 1.0 %}a{% elsif profile.bonus > 3.0 %}b{% endif %}", "a");
    renders("{% if profile.bonus > 9.0 %}a{% else %}c{% endif %}", "c");
    renders("{% if profile.bonus > 9.0 %}a{% endif %}", "");
    renders("{% if profile.email %}has{% else %}has not{% endif %}", "has not");
    renders("{% if true %}{% if false %}x{% else %}y{% endif %}z{% endif %}", "yz");
    renders("a  {%- if true -%}  b  {%- endif -%}  c", "abc");
}

Test(template, loops_over_lists_and_fields_of_their_items)
{
    renders("{% for i in [1, 2, 3] %}<{{ i }}>{% endfor %}", "<1><2><3>");
    renders("{% for i in [] %}x{% endfor %}-", "-");
    renders("{% for i in [{'n': 'a', 'p': {'q': 1}}, {'n': 'b'}] %}{{ i.n }}{{ i.p.q | default: \"?\" }} {% "
            "endfor %}",
            "a1 b? ");
    renders("{% for i in [1, 2] %}{% for k in [3, 4] %}{{ i }}{{ k }} {% endfor %}{% endfor %}",
            "13 14 23 24 ");
    renders("{% for i in [{'ok': true, 'l': [1, 2]}, {'ok': false}] %}{% if i.ok %}{% for k in i.l %}{{ k "
            "}}{% endfor %}{% else %}no{% endif %}{% endfor %}",
            "12no");
}

Test(template, items_are_values_of_their_type)
{
    renders("{% for i in [{'p': 2.5, 'n': 4.0}, {'p': 1.0, 'n': 3.0}] %}{{ i.p * i.n | default: \"\" }} {% "
            "endfor %}",
            "10 3 ");
    renders("{% for i in ['b', 'a'] %}{{ i.upperAscii() + '!' | default: \"\" }}{% endfor %}", "B!A!");
    renders(
        "{% for i in [1, 2] %}{% for k in [i, i * 10] %}{{ i + k | default: \"\" }} {% endfor %}{% endfor %}",
        "2 11 4 22 ");
    renders("{% for i in [3, 4] %}{% if i > 3 && [5, i].exists(x, x == i) %}{{ i }}{% endif %}{% endfor %}",
            "4");
    parse("{% for i in ['b'] %}{{ i }}{% endfor %}", true);
    cr_assert_eq(bares, 0, "a text is always there");
    parse("{% for i in [{'p': 'x'}] %}{{ i.p }}{% endfor %}", true);
    cr_assert_eq(bares, 1, "a field may be missing");
    static const char *const wrong[][2] = {
        {"{% for i in [1] %}{{ i.x }}{% endfor %}", "does not support field"},
        {"{% for i in ['a'] %}{{ i * 2 }}{% endfor %}", "no matching overload"},
        {"{% for i in 'text' %}{{ i }}{% endfor %}", "no list"},
        {"{% for i in [1] %}x{% endfor %}{{ i }}", "undeclared reference"}};
    for (uint32_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_assert_null(parse(wrong[i][0], true), "%s", wrong[i][0]);
        cr_assert(errors == 1 && strstr(error_reason, wrong[i][1]), "%s: %u %s", wrong[i][0], errors,
                  error_reason);
    }
}

Test(template, a_date_is_written_as_its_form_says)
{
    const char *at =
        "{{ timestamp('2026-03-01T21:04:05Z') | date: \"%d.%m.%Y %H:%M:%S %e/%y %%\" | default: \"\" }}";
    renders(at, "01.03.2026 21:04:05 1/26 %");
    zone = zone_load(NULL, SLICE("+03:00"));
    renders(at, "02.03.2026 00:04:05 2/26 %");
    renders("{% for i in [{'at': '2026-03-01T21:04:05Z'}, {'at': 7}] %}{{ i.at | date: \"%d.%m\" | default: "
            "\"?\" }} {% endfor %}",
            "02.03 ? ");
    zone = zone_utc();
    identify("u", "{'birthday':'1990-03-14'}");
    renders("{{ profile.birthday | date: \"%d.%m.%Y\" | default: \"never\" }}", "14.03.1990");
    renders("{% for i in [{'day': '2026-12-31'}, {'day': 5}] %}{{ i.day | date: \"%d.%m\" | default: "
            "\"?\" }} {% endfor %}",
            "31.12 ? ");
    static const char *const wrong[] = {"{{ now | date: \"%B\" }}",   "{{ now | date: 5 }}",
                                        "{{ now | date: \"\" }}",     "{{ 1 + 1 | date: \"%d\" }}",
                                        "{{ now | date: \"100%\" }}", "{{ '2026-03-01' | date: \"%d\" }}"};
    for (uint32_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_assert_null(parse(wrong[i], true), "%s", wrong[i]);
}

Test(template, errors_say_where)
{
    static const struct {
        const char *text;
        uint32_t at;
    } wrong[] = {{"ab{{ profile.bonus", 2},
                 {"{% if true %}x", 3},
                 {"x{% endif %}", 4},
                 {"{% while true %}", 3},
                 {"{{ profile.bonus | money }}", 19},
                 {"{{ profile.nothing }}", 3},
                 {"{{ }}", 2},
                 {"{% for x of y %}{% endfor %}", 3},
                 {"{% if true %}{% else %}{% else %}{% endif %}", 26},
                 {"{% for i in [1] %}{% endif %}{% endfor %}", 21},
                 {"{{ profile.bonus | default: x }}", 28}};
    for (uint32_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_assert_null(parse(wrong[i].text, true), "%s", wrong[i].text);
        cr_assert_geq(errors, 1);
        cr_assert(error_at >= wrong[i].at && error_at <= wrong[i].at + 10, "%s: at %u, %s", wrong[i].text,
                  error_at, error_reason);
    }
}

Test(template, nesting_has_an_end)
{
    struct buf b = {0};
    for (int i = 0; i < TEMPLATE_NESTING_MAX + 1; i++) buf_put_str(&b, "{% if true %}");
    for (int i = 0; i < TEMPLATE_NESTING_MAX + 1; i++) buf_put_str(&b, "{% endif %}");
    buf_put_u8(&b, 0);
    cr_assert_null(parse((const char *)b.p, true));
    buf_free(&b);
}

Test(template, an_endless_text_is_refused)
{
    char *many = arena_alloc(&W->arena, 8192);
    size_t n = 0;
    for (int i = 0; i < 600; i++) n += (size_t)sprintf(many + n, "%s1", i ? "," : "");
    many[n] = 0;
    render(arena_printf(&W->arena,
                        "{%% for i in [%s] %%}{%% for k in [%s] %%}{{ k }}{%% endfor %%}{%% endfor %%}", many,
                        many),
           true);
    cr_assert_eq(result, RENDER_FULL);
}
