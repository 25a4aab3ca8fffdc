/* test.c - `hourglass test`: every case runs on a machine of its own in virtual time; what happened is compared with
 * what was expected, and the timeline of the first difference is printed. */
#include <stdio.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "core/machine.h"
#include "tools/hourglass/commands.h"
#include "tools/hourglass/json.h"
#include "tools/hourglass/load.h"
#include "tools/hourglass/testrun.h"

/* ---- running ---------------------------------------------------------------------------------------- */

static void apply_message(struct test_run *run, struct machine *m, const struct test_event *e)
{
    timeline_event(run, e);
    machine_event(m, e->record, ((int64_t)run->test->at + e->after) * 1000);
}

/* Given lists come after given people, before everything that happens. */
static void fill_lists(struct test_run *run, const struct defset *set, const struct hash_secret *secret)
{
    const struct node *lists = run->test->lists;
    for (uint32_t i = 0; lists && i < lists->count; i++) {
        const struct node *people = node_value(lists, i);
        for (uint32_t k = 0; k < people->count; k++)
            CHECK(machine_list(run->machine, hash_id(secret, ID_USER, people->list[k]->text),
                               list_of(set, node_key(lists, i)->text)));
    }
}

/* Until that second, it included; the machine is the caller's to destroy. */
static void play(struct test_run *run, const struct defset *set, uint32_t until)
{
    const struct test_case *t = run->test;
    struct hash_secret secret;
    hash_secret_from_seed(&secret, SLICE("test"));
    struct machine_config config = {.set = set,
                                    .secret = &secret,
                                    .start = t->at,
                                    .lazy = true,
                                    .no_holdout = t->holdout == HOLDOUT_NOBODY,
                                    .want_transitions = true,
                                    .self = run,
                                    .on_effect = test_on_effect};
    run->set = set;
    struct machine *m = run->machine = machine_create(&config);
    if (!m) die(EXIT_FAILED, "no memory");
    for (uint32_t i = 0; i < t->given_count; i++) apply_message(run, m, &t->events[i]);
    fill_lists(run, set, &secret);
    for (uint32_t i = t->given_count; i < t->event_count && t->at + t->events[i].after <= until; i++) {
        machine_advance(m, t->at + t->events[i].after);
        struct test_event e = t->events[i];
        if (e.record.n || outcome_message(run, &e))
            apply_message(run, m, &e);
        else if (!run->answers_nothing)
            run->answers_nothing = &t->events[i];
    }
    if (until > machine_now(m)) machine_advance(m, until);
}

/* Where it went another way, once more up to that second, to look at the person there. */
static void explain(const struct test_run *run, const struct defset *set, struct buf *report)
{
    struct test_run again = {.test = run->test, .arena = run->arena};
    print_timeline(run, report);
    play(&again, set, run->differs.at);
    known_print(&again, run->differs.user, run->differs.at, report);
    machine_destroy(again.machine);
}

static bool run_case(const struct test_case *t, const struct defset *set, struct arena *a, struct buf *report)
{
    struct test_run run = {.test = t, .arena = a};
    uint32_t end = t->at + t->run_for;
    if (t->event_count && t->at + t->events[t->event_count - 1].after > end)
        end = t->at + t->events[t->event_count - 1].after;
    set = set_for_test(set, t, a);
    play(&run, set, end);
    bool passed = expectations_met(&run, report);
    if (!passed) explain(&run, set, report);
    machine_destroy(run.machine);
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
    diagnostics_sort(d);
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
    for (uint32_t i = 0; i < tests.count; i++) set_fits_test(set, &tests.list[i], &d);
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
    if (!tests.count) complain("%s: there is no test in it (*.test.yaml)", c->argv[0]);
    if (tests.count && !passed && !failed)
        die(EXIT_USAGE, "no test of %u has '%s' in its name", tests.count, cli_option(c, "only"));
    if (!c->json) printf("%u passed, %u failed\n", passed, failed);
    defset_free(set);
    diagnostics_free(&d);
    arena_free(&files);
    arena_free(&scratch);
    buf_free(&out);
    buf_free(&report);
    return failed ? EXIT_WRONG : EXIT_OK;
}
