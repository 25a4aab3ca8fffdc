/* hourglass-compile - how long definitions of a large shop take to compile: what `hourglass check` and `apply` do, without
 * the process around it. Prints ms of CPU time (min, median, max of the runs).
 * usage: hourglass-compile [--segments N] [--journeys N] [--runs N] [--again] [--json]
 *   --again: over the set before, as `apply` does, not as the first */
#include "core/base/check.h"
#include "core/define/define.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RUNS_MAX = 101 };
struct bench {
    uint32_t segments, journeys, runs;
    bool again, json;
};

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void write_segment(struct buf *out, uint32_t i)
{
    static const char *const events[] = {"Order Completed", "Product Viewed", "Product Added",
                                         "Checkout Started"};
    const char *e = events[i % 4];
    buf_printf(out, "  segment_%u:\n    description: Number %u\n    when: >-\n      ", i, i);
    switch (i / 4 % 5) {
    case 0:
        buf_printf(out, "count(\"%s\", days(%u)) >= %u && profile.city == \"City %u\"\n", e, 1 + i % 60,
                   1 + i % 9, i % 90);
        break;
    case 1:
        buf_printf(out, "sum(\"Order Completed\", e.total, days(%u)) > %u.0 && !in_list(\"staff\")\n",
                   30 + i % 300, i * 10);
        break;
    case 2:
        buf_printf(out, "ago(\"%s\") >= days(%u) && count(\"%s\") > 0 && reachable(\"email\")\n", e,
                   1 + i % 90, e);
        break;
    case 3:
        buf_printf(
            out,
            "segment(\"segment_%u\") && has(profile.plan) && profile.plan in [\"pro\", \"team\", \"p%u\"]\n",
            i - 5, i);
        break;
    default:
        buf_printf(out,
                   "count(\"Product Viewed\", hours(%u), e.category == \"c%u\") >= 2 && (has(profile.city) ? "
                   "profile.city.startsWith(\"K\") : false)\n",
                   6 + i % 200, i % 30);
    }
}

static void write_journey(struct buf *out, uint32_t i, uint32_t segments)
{
    buf_printf(
        out,
        "  journey_%u:\n    description: Number %u\n    trigger: {event: %s, where: e.price > %u}\n"
        "    only_if: reachable(\"email\") && !segment(\"segment_%u\")\n    reentry: {after: %ud}\n"
        "    goal: {event: Order Completed, within: 3d, value: e.total}\n    exit: [{after: 30d}]\n    "
        "steps:\n"
        "      - wait: %um\n"
        "      - if: count(\"Order Completed\", days(%u)) > 0\n"
        "        then: [{send: {id: thanks, channel: email, template: thanks_%u}}]\n"
        "        else: [{wait: 2h}, {send: {id: offer, channel: email, template: offer_%u}}]\n"
        "      - wait_for: {event: Message Clicked, where: clicked(\"offer\"), timeout: 24h, then: [end]}\n",
        i, i, i % 2 ? "Product Viewed" : "Product Added", i % 50, segments ? i * 7 % segments : 0, 1 + i % 20,
        10 + i % 90, 1 + i % 30, i, i);
}

static void write_definitions(const struct bench *b, struct buf *out)
{
    buf_put_str(
        out,
        "timezone: Europe/Moscow\nevents:\n"
        "  Order Completed: {keep: 365d, properties: {order_id: string, total: number, category: string}}\n"
        "  Product Viewed: {keep: 180d, properties: {product_id: string, category: string, price: number}}\n"
        "  Product Added: {keep: 90d, properties: {product_id: string, price: number}}\n"
        "  Checkout Started: {keep: 90d, properties: {total: number}}\n"
        "attributes:\n  email: {type: string, identifies: true}\n  city: {type: string}\n  plan: {type: "
        "string}\n"
        "lists: {staff: {description: imported}}\n"
        "channels:\n  email: {address: profile.email, consent: required, caps: [1 per 1d]}\nsegments:\n");
    for (uint32_t i = 0; i < b->segments; i++) write_segment(out, i);
    buf_put_str(out, "journeys:\n");
    for (uint32_t i = 0; i < b->journeys; i++) write_journey(out, i, b->segments);
}

static struct defset *compile(const struct source_file *file, const struct defset *before)
{
    struct diagnostics d;
    diagnostics_init(&d);
    struct defset *set = defset_compile(file, 1, before, NULL, &d);
    if (!set) {
        struct buf why = {0};
        diagnostics_print(&d, &why);
        fprintf(stderr, "%.*s\n", (int)why.n, (const char *)why.p);
        exit(1);
    }
    diagnostics_free(&d);
    return set;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static uint32_t number(const char *text, uint32_t most)
{
    uint64_t n = strtoull(text, NULL, 10);
    return n > most ? most : (uint32_t)n;
}

static void read_options(struct bench *b, int argc, char **argv)
{
    static const struct option options[] = {{"segments", 1, 0, 's'}, {"journeys", 1, 0, 'j'},
                                            {"runs", 1, 0, 'r'},     {"again", 0, 0, 'a'},
                                            {"json", 0, 0, 'J'},     {0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 's') b->segments = number(optarg, 20000);
        if (c == 'j') b->journeys = number(optarg, 20000);
        if (c == 'r') b->runs = number(optarg, RUNS_MAX);
        if (c == 'a') b->again = true;
        if (c == 'J') b->json = true;
        if (c == '?') exit(64);
    }
    if (b->runs == 0) b->runs = 1;
}

int main(int argc, char **argv)
{
    struct bench b = {.segments = 1000, .journeys = 200, .runs = 21};
    struct buf text = {0};
    double ms[RUNS_MAX];
    read_options(&b, argc, argv);
    write_definitions(&b, &text);
    struct source_file file = {SLICE("bench.yaml"), buf_slice(&text)};
    struct defset *before = b.again ? compile(&file, NULL) : NULL;
    for (uint32_t i = 0; i < b.runs; i++) {
        double begin = cpu_ms();
        struct defset *set = compile(&file, before);
        ms[i] = cpu_ms() - begin;
        defset_free(set);
    }
    defset_free(before);
    qsort(ms, b.runs, sizeof *ms, compare_doubles);
    printf(
        b.json
            ? "{\"what\":\"compile\",\"segments\":%u,\"journeys\":%u,\"bytes\":%zu,\"runs\":%u,\"min_ms\":%."
              "2f,"
              "\"median_ms\":%.2f,\"max_ms\":%.2f}\n"
            : "%u segments and %u journeys, %zu bytes of YAML, %u runs: min %.2f, median %.2f, max %.2f ms\n",
        b.segments, b.journeys, text.n, b.runs, ms[0], ms[b.runs / 2], ms[b.runs - 1]);
    buf_free(&text);
    return 0;
}
