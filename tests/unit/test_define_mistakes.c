/* What the reader says about mistakes: one message per mistake, at its place, with what to do. */
#include "core/define/define.h"

#include <criterion/criterion.h>

static const char base[] =
    "timezone: Europe/Moscow\n"
    "events:\n"
    "  Product Added: {properties: {product_id: string, price: number, name: string}}\n"
    "  Order Completed: {cap: 50, properties: {order_id: string, total: number}}\n"
    "attributes:\n"
    "  email: {type: string, identifies: true}\n"
    "  city: string\n"
    "  points: number\n"
    "  birthday: date\n"
    "segments:\n"
    "  buyers: count(\"Order Completed\") > 0\n"
    "lists: {staff: {}}\n"
    "channels:\n"
    "  email: {address: profile.email, consent: required}\n"
    "  crm: {consent: not_needed}\n";

struct mistake {
    const char *text;
    uint32_t line, column;
    const char *reason, *fix; /* words that must be in them */
};

/* A journey around the given lines, which begin in line 5 when `head` is one line. */
#define JOURNEY(head) "journeys:\n  j:\n    goal: {event: Order Completed}\n    exit: {after: 9d}\n" head
#define STEPS(steps)  JOURNEY("    trigger: manual\n    steps:\n" steps) /* steps begin in line 7 */

static const struct mistake mistakes[] = {
    /* YAML itself */
    {"segments:\n  a: count(\"Order Completed\") > 1\n  a: count(\"Order Completed\") > 2\n", 3, 3,
     "duplicate key 'a'", "keep one of them, or give this one another"},
    {"segments:\n  a: !in_list(\"staff\")\n", 2, 6, "starts with '!'", "single quotes"},
    {"segments:\n  a: \"x\" == profile.city\n", 2, 10, "did not find expected key", "starts with \""},
    {"segments:\n  a: profile.city == \"a: b\"\n", 2, 24, "mapping values are not allowed",
     "': ' must be quoted"},
    {"segments:\n  a: [1, 2].exists(x, x > 1)\n", 2, 12, "did not find", "starts with ["},
    {"segments:\n  a: &x count(\"Order Completed\") > 1\n", 2, 6, "anchors", "write the value out"},
    {"segments:\n  b: {when: count(\"Order Completed\", days(3)) > 1, description: d}\n", 2, 13,
     "cuts this expression", "'count(\"Order Completed\", days(3)) > 1'"},
    {"segments:\n\ta: true\n", 2, 1, "cannot start any token", "indent with spaces, close every bracket and"},
    {"a: 1\n---\nb: 2\n", 2, 1, "one document", "---"},
    {"\xef\xbb\xbfsegments: {}\n", 1, 1, "byte order mark", "UTF-8"},
    {"segments: {a: '\xff'}\n", 1, 16, "invalid", "UTF-8"},
    /* keys and values */
    {"segmnets: {a: 'true'}\n", 1, 1, "unknown key 'segmnets'", "did you mean 'segments'"},
    {"segments:\n  a: {wehn: 'true'}\n", 2, 7, "unknown key 'wehn' in a segment", "did you mean 'when'"},
    {"segments:\n  a: {description: x}\n", 2, 6, "a segment needs 'when'", "add `when:`"},
    {"segments:\n  a: {when: 'true', expect: many}\n", 2, 29,
     "expected a range such as 500..50000, found 'many'", "for example expect: 500..50000"},
    {"segments:\n  a: {when: [1]}\n", 2, 13, "expected an expression, found a list", "starts with ["},
    {"segments: [a]\n", 1, 11, "expected keys with values, found a list",
     "write `NAME: ...` below 'segments', one"},
    {"segments:\n  a:\n", 2, 5, "'a' has no value", "for example a: count(\"page\") > 0"},
    {"events:\n  A: {keep: 3 days}\n", 2, 13, "expected a duration such as 90d, or never, found '3 days'",
     "for example keep: 90d"},
    {"events:\n  A: {late: 30}\n", 2, 13, "found '30'", "30m"},
    {"events:\n  A: {late: 20000d}\n", 2, 13, "longer than ten years", "3650d is the longest"},
    {"events:\n  A: {cap: 0}\n", 2, 12, "between 1 and", "leave it out for 256, or raise 'keep'"},
    {"events:\n  A: {cap: many}\n", 2, 12, "a whole number", "for example cap: 50"},
    {"events:\n  A: {properties: {x: nubmer}}\n", 2, 23, "one of: string number", "did you mean 'number'"},
    {"events:\n  A: {properties: {x: {type: string, from: campaign.source}}}\n", 2, 44,
     "begins with context.", "a property of the event itself needs no"},
    {"events:\n  A: {also: Order Completed}\n", 2, 13, "the name of an event already",
     "leave it out of 'also', or rename that event"},
    {"events:\n  A: {activity: no}\n", 2, 17, "expected true or false, found 'no'",
     "for example activity: true"},
    {"attributes:\n  age: {type: number, identifies: true}\n", 2, 35, "only a string identifies",
     "type: string, or leave 'identifies' out"},
    {"attributes:\n  city: number\n", 2, 3, "defined twice: also in base.yaml:7", "make both equal"},
    {"timezone: Europe/Moskow\n", 1, 11, "defined twice", "keep one of them"},
    {"week: {workdays: [mon, tues]}\n", 1, 24, "one of: mon tue", "did you mean"},
    {"week: {holidays: [2026-02-30]}\n", 1, 19, "expected a date", "for example holidays: 2026-12-31"},
    {"channels:\n  sms: {quiet: 21-9}\n", 2, 16, "expected hours such as",
     "for example quiet: \"21:00-09:00\""},
    {"channels:\n  sms: {caps: 3 a day}\n", 2, 15, "expected a rate such as 3 per 7d",
     "for example caps: 3 per 7d"},
    {"channels:\n  sms: {consent: requierd}\n", 2, 18, "one of: required", "did you mean 'required'"},
    {"holdout: {global: 105%}\n", 1, 19, "expected a percentage", "for example global: 5%"},
    /* names */
    {STEPS("      - send: {channel: emial, template: x}\n"), 7, 25, "unknown channel 'emial'",
     "did you mean 'email'"},
    {STEPS("      - add_to: stuff\n"), 7, 17, "unknown list 'stuff'", "did you mean 'staff'"},
    {STEPS("      - set: {citi: Moscow}\n"), 7, 15, "unknown attribute 'citi'", "did you mean 'city'"},
    {STEPS("      - start: k\n"), 7, 16, "unknown journey 'k'", "did you mean 'j'"},
    {STEPS("      - goto: nowhere\n"), 7, 15, "no step of this journey has the id 'nowhere'",
     "give the step to go on at `id: NAME`"},
    {STEPS("      - wait: {silence: 30m, of: Product Aded}\n"), 7, 34, "unknown event 'Product Aded'",
     "did you mean 'Product Added'"},
    {JOURNEY("    trigger: {event: Order Complete}\n    steps: [end]\n"), 5, 22,
     "unknown event 'Order Complete'", "'Order Completed'"},
    {JOURNEY("    trigger: {segment_entered: byers}\n    steps: [end]\n"), 5, 32, "unknown segment 'byers'",
     "'buyers'"},
    /* triggers */
    {JOURNEY("    trigger: {where: 'true'}\n    steps: [end]\n"), 5, 14, "does not say what it waits for",
     "begin it with what happens: event, segment,"},
    {JOURNEY("    trigger: {event: Order Completed, manual: true}\n    steps: [end]\n"), 5, 14,
     "either 'event' or 'manual'", "keep one of them; several may stand in a"},
    {JOURNEY("    trigger: {manual: true, at: \"10:00\"}\n    steps: [end]\n"), 5, 33,
     "'at' goes with 'date' only", "leave it out"},
    {JOURNEY("    trigger: []\n    steps: [end]\n"), 5, 14, "no one can enter",
     "write at least one: trigger: {event: NAME}"},
    {JOURNEY("    trigger: manual\n    holdout: 100%\n    steps: [end]\n"), 6, 14, "no one can enter",
     "5% to 15%"},
    {JOURNEY("    trigger: manual\n    only_if: 'false'\n    steps: [end]\n"), 6, 14, "no one can enter",
     "state: draft"},
    {JOURNEY("    trigger: manual\n    active: {from: 2026-05-01, until: 2026-04-01}\n    steps: [end]\n"), 6,
     13, "no one can enter", "exchange the two dates"},
    {JOURNEY("    trigger: manual\n"), 3, 5, "a journey needs 'steps'", "add `steps:`"},
    {JOURNEY("    trigger: manual\n    steps: []\n"), 6, 12, "at least one step",
     "for example steps: [{wait: 1d}]"},
    {JOURNEY("    trigger: {date: profile.birthday, offset: -36h}\n    steps: [end]\n"), 5, 47, "whole days",
     "time of day"},
    /* steps */
    {STEPS("      - wait: 0s\n"), 7, 15, "longer than nothing", "write a duration such as 30m, or leave it"},
    {STEPS("      - wait: -3h\n"), 7, 15, "expected a duration", "for example wait: 30m"},
    {STEPS("      - wait: 4000d\n"), 7, 15, "longer than ten years", "3650d is the longest"},
    {STEPS("      - wait: {for: 3d, until: \"10:00\"}\n"), 7, 15, "either 'for' or 'until'",
     "keep one of them, or write two waits"},
    {STEPS("      - wait: {at: \"10:00\"}\n"), 7, 15, "does not say how long", "until_date"},
    {STEPS("      - wait: {until: \"10:00\", offset: 3d}\n"), 7, 40, "'offset' goes with 'until_date' only",
     "leave it out"},
    {STEPS("      - wait: {until: \"25:00\"}\n"), 7, 23, "expected a clock time",
     "for example until: \"10:00\""},
    {STEPS("      - sned: {channel: email, template: x}\n"), 7, 9, "unknown key 'sned' in a step",
     "did you mean 'send'"},
    {STEPS("      - id: x\n"), 7, 9, "does not say what it does", "begins with one of"},
    {STEPS("      - {wait: 3d, then: [end]}\n"), 7, 20, "'then' does not belong to a step 'wait'",
     "each step is an item of its own, with a"},
    {STEPS("      - send: {template: x}\n"), 7, 15, "no channel", "first_of"},
    {STEPS("      - send: {channel: email, first_of: [email], template: x}\n"), 7, 15,
     "either by 'channel' or by 'first_of'", "keep one of them"},
    {STEPS("      - send: {channel: email, template: x, expires: 0s}\n"), 7, 54, "longer than nothing",
     "write a duration such as 30m, or leave it"},
    {STEPS("      - split: {a: 50%, b: 40%}\n"), 7, 16, "add up to 90.00%",
     "change the shares so that they add up to"},
    {STEPS("      - split: {a: 50%, b: 50%}\n        paths: {c: [end]}\n"), 8, 17, "no share to the path 'c'",
     "name it in 'split' with its share, or leave"},
    {STEPS("      - wait_for: {timeout: 3d}\n"), 7, 19, "does not say what it waits for",
     "for example {event: NAME, timeout: 1d}"},
    {STEPS("      - wait_for: {event: Order Completed, else: [end]}\n"), 7, 50, "is for the timeout",
     "add 'timeout: 1d', or put these steps"},
    {STEPS("      - set: {points: many}\n"), 7, 23, "holds another type", "write a value of the type that"},
    {STEPS("      - pause: j\n"), 7, 16, "'pause' needs 'for'",
     "for example pause: {journey: NAME, for: 3d}"},
    {STEPS("      - {id: a, wait: 1d}\n      - {id: a, wait: 2d}\n"), 8, 14,
     "two steps of this journey have the id 'a'", "give each step a name of its own"},
    {STEPS("      - end\n      - wait: 3d\n"), 8, 9, "unreachable",
     "remove it, or let a `goto` or a branch lead"},
    {STEPS("      - {id: a, send: {channel: email, template: x}}\n      - goto: a\n"), 8, 9,
     "loop without a wait", "`wait` inside"},
    /* expressions: the place inside the scalar */
    {"segments:\n  a: profile.city > 100\n", 2, 19, "no matching overload for '_>_'",
     "values of one kind go together: a text"},
    {"segments:\n  a: profile.citi == 'x'\n", 2, 14, "citi", "city"},
    {"segments:\n  a: 'profile.citi == ''x'''\n", 2, 15, "citi", "city"},
    {"segments:\n  a: \"size(\\\"\\u0416\\\") > 0 && profile.citi == 'x'\"\n", 2, 39, "citi", "city"},
    {"segments:\n  a: |\n    count(\"Order Completed\") > 0\n      && profile.citi == 'x'\n", 4, 18, "citi",
     "city"},
    {"segments:\n  a: >-\n    count(\"Order Completed\") > 0 &&\n    profile.citi == 'x'\n", 4, 13, "citi",
     "city"},
    {"segments:\n  a: count(\"Order Completed\") > 0 &&\n    profile.citi == 'x'\n", 3, 13, "citi", "city"},
    {"segments:\n  a: count(\"Order Complete\") > 1\n", 2, 12, "Order Complete", "Order Completed"},
    {"segments:\n  a: count(\"Order Completed\", days(3), e.totl > 1) > 1\n", 2, 42, "totl", "total"},
    {"segments:\n  a: segment(\"byers\")\n", 2, 14, "byers", "buyers"},
    {"segments:\n  a: e.total > 1\n", 2, 8, "no event at hand", "an event is asked about by count(\"NAME\","},
    {"segments:\n  a: count(\"Order Completed\"\n", 2, 29, "the text ends",
     "every ( [ { and quote needs its end, and an"},
    {"segments:\n  a: count(\"Order Completed\") + 1\n", 2, 6, "", "compare it with something, such as > 0"},
    {"segments:\n  b: segment(\"a\")\n  a: segment(\"b\")\n", 2, 6, "in a circle: b -> a -> b",
     "let one of them say its condition itself"},
    {JOURNEY("    trigger: {event: Product Added, where: e.prise > 0}\n    steps: [end]\n"), 5, 46, "prise",
     "price"},
    {JOURNEY("    trigger: {event: Product Added}\n    only_if: trigger.total > 1\n    steps: [end]\n"), 6,
     22, "total", "declare it under the `properties:` of its"},
    {STEPS("      - if: opened(\"m1\")\n        then: [end]\n"), 7, 20, "m1",
     "give that send of this journey an `id:`"},
    {STEPS("      - {send: {channel: email, template: x, vars: {a: =profile.citi}}}\n"), 7, 65, "citi",
     "city"},
    /* templates */
    {STEPS("      - send: {channel: email, template: t}\n") "templates:\n  t: {email: {text: 'Hi {{ "
                                                            "profile.city }}'}}\n",
     9, 28, "may be missing", "default:"},
    {STEPS("      - send: {channel: email, template: t}\n") "templates:\n  t: {email: {text: 'Hi {{ "
                                                            "profile.citi | default: \"x\" }}'}}\n",
     9, 36, "citi", "city"},
    {STEPS("      - send: {channel: crm, template: t}\n") "templates:\n  t: {email: {text: Hi}}\n", 7, 40,
     "says nothing for channel 'crm'", "add a part for this channel to the"},
    {STEPS("      - send: {channel: email, template: t}\n") "templates:\n  t: {emial: {text: Hi}}\n", 9, 7,
     "unknown channel 'emial'", "'email'"},
    {"templates:\n  unused: {emial: {text: Hi}}\n", 2, 12, "unknown channel 'emial'", "'email'"},
};
enum { MISTAKES = sizeof mistakes / sizeof *mistakes };

static bool holds(const char *text, const char *words) { return text && strstr(text, words); }

static struct defset *compile(const char *text, struct diagnostics *d)
{
    struct source_file files[] = {{SLICE("base.yaml"), slice_str(base)}, {SLICE("x.yaml"), slice_str(text)}};
    diagnostics_init(d);
    return defset_compile(files, 2, NULL, NULL, d);
}

static void print(const struct diagnostics *d, const char *text)
{
    struct buf out = {0};
    diagnostics_print(d, &out);
    buf_put_u8(&out, 0);
    cr_log_error("%s\n%s", text, (char *)out.p);
    buf_free(&out);
}

static const struct diagnostic *first_error(const struct diagnostics *d)
{
    for (uint32_t i = 0; i < d->count; i++)
        if (d->list[i].severity == SEVERITY_ERROR) return &d->list[i];
    return NULL;
}

Test(define_mistakes, each_is_told_once_at_its_place_with_a_fix)
{
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < MISTAKES; i++) {
        const struct mistake *m = &mistakes[i];
        struct diagnostics d;
        struct defset *set = compile(m->text, &d);
        const struct diagnostic *e = first_error(&d);
        bool right = !set && d.errors == 1 && e && e->line == m->line && e->column == m->column &&
                     strcmp(e->file, "x.yaml") == 0 && holds(e->reason, m->reason) && holds(e->fix, m->fix);
        if (!right) {
            cr_log_error("mistake %u: wanted %u:%u %s / %s", i, m->line, m->column, m->reason, m->fix);
            print(&d, m->text);
        }
        wrong += !right;
        defset_free(set);
        diagnostics_free(&d);
    }
    cr_expect_eq(wrong, 0, "%u of %u", wrong, (unsigned)MISTAKES);
}

Test(define_mistakes, ten_in_one_file_are_ten_messages_in_order)
{
    static const char text[] = "segmnets: {}\n"
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
                               "      - goto: x\n";
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

/* What is doubtful, at its place in x.yaml. */
static const struct mistake warnings[] = {
    {"segments:\n  a: count(\"Order Completed\") > 0\n", 2, 6, "says the same as 'buyers'",
     "use one of them"},
    {"journeys:\n  j: {trigger: manual, exit: {after: 1d}, steps: [end]}\n", 2, 6, "no goal",
     "for example goal:"},
    {"journeys:\n  j: {trigger: manual, goal: {event: Order Completed}, steps: [end]}\n", 2, 6, "no exit",
     "for example exit:"},
    {"segments:\n  a: count(\"Order Completed\", days(30)) > 60\n", 2, 41, "beyond the event's cap",
     "raise the event's cap"},
    {"segments:\n  a: '!(profile.city == \"x\")'\n", 2, 7, "something that can fail", "ask has() first"},
    {"templates: {cart: {email: hello}}\n" STEPS("      - send: {channel: email, template: carts}\n"), 8, 42,
     "no template 'carts'", "did you mean 'cart'"},
    {"templates: {cart: {email: hello}}\n" STEPS("      - send: {channel: email, template: weekly}\n"), 8, 42,
     "no template 'weekly'", "declare it under `templates:`"},
    {"templates: {cart: {email: gone.html}}\n" STEPS("      - send: {channel: email, template: cart}\n"), 1,
     27, "there is no file 'gone.html'", "beside this one"},
    {STEPS("      - send: {channel: email, template: x, vars: {a: 'Hi {{ profile.city }}'}}\n"), 7, 62,
     "may be missing", "default:"},
    {"events: {Meeting: {properties: {at: time}}}\n", 1, 33, "hides the time of the event", "rename it"},
};

static const struct diagnostic *warning_about(const struct diagnostics *d, const char *reason)
{
    for (uint32_t i = 0; i < d->count; i++)
        if (d->list[i].severity == SEVERITY_WARNING && holds(d->list[i].reason, reason)) return &d->list[i];
    return NULL;
}

Test(define_mistakes, doubtful_things_are_warnings_at_their_place_with_a_fix)
{
    for (uint32_t i = 0; i < sizeof warnings / sizeof *warnings; i++) {
        const struct mistake *m = &warnings[i];
        struct diagnostics d;
        struct defset *set = compile(m->text, &d);
        const struct diagnostic *w = warning_about(&d, m->reason);
        bool right = set && w && w->line == m->line && w->column == m->column && holds(w->fix, m->fix);
        if (!right) print(&d, m->text);
        cr_expect(right, "wanted %u:%u %s / %s", m->line, m->column, m->reason, m->fix);
        defset_free(set);
        diagnostics_free(&d);
    }
}

static const struct {
    const char *text, *reason;
} later[] = {
    {"collections:\n  cart: {put: Product Added, key: product_id}\n", "not yet: 'collections'"},
    {"attributes:\n  city: {type: string, history: 8}\n", "not yet: 'history'"},
    {"channels:\n  x:\nsegments:\n  all: count(\"*\") > 0\njourneys:\n"
     "  j: {trigger: {segment_entered: all, existing: enter}, steps: [end]}\n",
     "not yet: 'existing'"},
    {"channels:\n  x:\njourneys:\n"
     "  j: {trigger: manual, steps: [{send: {channel: x, template: t, when: best_hour}}]}\n",
     "not yet: 'when'"},
};

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
