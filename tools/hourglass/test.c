/* test.c - `hourglass test`: every case runs on a machine of its own in virtual time; what happened is compared with
 * what was expected, and the timeline of the first difference is printed. */
#include <stdio.h>
#include <stdlib.h>

#include "core/machine.h"
#include "tools/hourglass/commands.h"
#include "tools/hourglass/json.h"
#include "tools/hourglass/load.h"
#include "tools/hourglass/testrun.h"

/* ---- the set with only some journeys running ------------------------------------------------------ */

static bool named(const struct node *only, struct slice name)
{
    for (uint32_t i = 0; i < only->count; i++)
        if (slice_eq(only->list[i]->text, name)) return true;
    return false;
}

/* A shallow copy whose other journeys are drafts. */
static struct defset *set_with_only(const struct defset *set, const struct node *only, struct arena *a)
{
    struct defset *copy = arena_alloc(a, sizeof *copy);
    const struct journey **list = ARENA_ARRAY(a, const struct journey *, set->journeys.journey_count + 1);
    *copy = *set;
    for (uint32_t i = 0; i < set->journeys.journey_count; i++) {
        const struct journey *from = set->journeys.journeys[i];
        if (!from || named(only, from->name)) {
            list[i] = from;
            continue;
        }
        struct journey *draft = arena_alloc(a, sizeof *draft);
        *draft = *from;
        draft->state = JOURNEY_DRAFT;
        list[i] = draft;
    }
    copy->journeys.journeys = list;
    return copy;
}

static void check_only(const struct test_case *t, const struct defset *set, struct diagnostics *d)
{
    for (uint32_t i = 0; t->only && i < t->only->count; i++)
        if (defset_journey(set, t->only->list[i]->text) == ID_NONE)
            report_node(d, t->only->list[i], "there is no journey '%.*s'", SHOWN(t->only->list[i]->text));
}

/* ---- running ---------------------------------------------------------------------------------------- */

static void apply_message(struct test_run *run, struct machine *m, const struct test_event *e)
{
    timeline_event(run, e);
    machine_event(m, e->record, ((int64_t)run->test->at + e->after) * 1000);
}

static bool run_case(const struct test_case *t, const struct defset *set, struct arena *a, struct buf *report)
{
    struct hash_secret secret;
    hash_secret_from_seed(&secret, SLICE("test"));
    struct test_run run = {.test = t, .arena = a};
    struct machine_config config = {.set = t->only ? set_with_only(set, t->only, a) : set,
                                    .secret = &secret,
                                    .start = t->at,
                                    .no_holdout = !t->holdout_by_hash,
                                    .want_transitions = true,
                                    .self = &run,
                                    .on_effect = test_on_effect};
    struct machine *m = machine_create(&config);
    if (!m) die(EXIT_FAILED, "no memory");
    run.machine = m;
    for (uint32_t i = 0; i < t->event_count; i++) {
        machine_advance(m, t->at + t->events[i].after);
        struct test_event e = t->events[i];
        if (e.record.n || outcome_message(&run, &e)) apply_message(&run, m, &e);
    }
    if (t->at + t->run_for > machine_now(m)) machine_advance(m, t->at + t->run_for);
    bool passed = expectations_met(&run, report);
    machine_destroy(m);
    return passed;
}

static void print_result(const struct test_case *t, bool passed, struct buf *report, struct buf *out)
{
    if (passed) return;
    buf_printf(out, "FAILED %s:%u: %.*s\n", t->file, t->line, SHOWN(t->name));
    buf_put_slice(out, buf_slice(report));
}

static void print_json(const struct test_case *t, bool passed, struct buf *report, struct buf *out)
{
    buf_put_str(out, "{\"test\":");
    json_print_text(t->name, out);
    buf_put_str(out, ",\"file\":");
    json_print_text(slice_str(t->file), out);
    buf_printf(out, ",\"line\":%u,\"passed\":%s,\"report\":", t->line, passed ? "true" : "false");
    json_print_text(buf_slice(report), out);
    buf_put_str(out, "}\n");
}

static bool wanted(const struct test_case *t, const char *only)
{
    return !only || memmem(t->name.p, t->name.n, only, strlen(only));
}

static void stop_on_mistakes(struct diagnostics *d)
{
    struct buf text = {0};
    if (!d->errors) return;
    diagnostics_print(d, &text);
    if (text.n) fwrite(text.p, 1, text.n, stderr);
    exit(EXIT_WRONG);
}

int run_test(struct cli *c)
{
    struct arena files, scratch;
    struct diagnostics d;
    struct test_list tests = {0};
    struct buf out = {0}, report = {0};
    uint32_t passed = 0, failed = 0;
    arena_init(&files);
    arena_init(&scratch);
    diagnostics_init(&d);
    struct defset *set = load_definitions(c->argv[0], EXIT_WRONG);
    tests_read(c->argv[0], &files, &d, &tests);
    for (uint32_t i = 0; i < tests.count; i++) check_only(&tests.list[i], set, &d);
    stop_on_mistakes(&d);
    for (uint32_t i = 0; i < tests.count; i++) {
        if (!wanted(&tests.list[i], cli_option(c, "only"))) continue;
        bool good = run_case(&tests.list[i], set, &scratch, &report);
        good ? passed++ : failed++;
        (c->json ? print_json : print_result)(&tests.list[i], good, &report, &out);
        buf_clear(&report);
        arena_reset(&scratch);
        put_out(&out);
    }
    if (!c->json) printf("%u passed, %u failed\n", passed, failed);
    defset_free(set);
    diagnostics_free(&d);
    arena_free(&files);
    arena_free(&scratch);
    buf_free(&out);
    buf_free(&report);
    return failed ? EXIT_WRONG : EXIT_OK;
}
