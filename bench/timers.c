/* hourglass-timers - what one timer costs with millions of them outstanding: the wheel as a shard uses it, beside the
 * binary heap that most programs would use. Prints ns of CPU time per timer, median of runs, min..max, and bytes.
 * usage: hourglass-timers [--timers N] [--runs N] [--json]
 *
 * schedule   arm one more of N timers at a random second of the next day; the person is at hand already, as in a shard
 * cancel     give a timer up: in the wheel the row's own next_wake changes and the entry is stale from then on, which is
 *            what the shard does; the heap takes it out of its middle
 * fire       time passes a day: everything is handed out in order of its second, stale entries passed over. */
#include "core/base/check.h"
#include "core/time/wheel.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DAY = 86400, TAKE = 256, NEVER = UINT32_MAX, MEASURES = 3, KINDS = 2 };
static const char *const MEASURE_NAMES[MEASURES] = {"schedule", "cancel", "fire"};
static const char *const KIND_NAMES[KINDS] = {"wheel", "heap"};

static uint64_t random_state = 88172645463325252ull;
static uint32_t next_random(uint32_t below) /* xorshift64 */
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 32) * below >> 32);
}

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

struct bench {
    uint32_t timers, runs;
    uint32_t *due;   /* by slot: what a row's next_wake is; NEVER: not armed */
    uint32_t *plan;  /* by slot: when it is to be armed for */
    uint32_t *order; /* slots in the order in which they are cancelled; every second one is */
    double *ns[KINDS][MEASURES];
    double bytes[KINDS]; /* per timer */
};

static void plan(struct bench *b)
{
    for (uint32_t i = 0; i < b->timers; i++) {
        uint32_t other = next_random(i + 1);
        b->order[i] = b->order[other];
        b->order[other] = i;
        b->plan[i] = 1 + next_random(DAY - 1);
        b->due[i] = NEVER;
    }
}

/* ---- the wheel ---------------------------------------------------------------------------------------- */

static void run_wheel(struct bench *b, uint32_t run)
{
    struct wheel_entry out[TAKE];
    struct wheel *w = wheel_create(0);
    CHECK(w);
    double at = cpu_ns();
    for (uint32_t i = 0; i < b->timers; i++) {
        if (i % TAKE == 0) CHECK(wheel_reserve(w, TAKE));
        b->due[i] = b->plan[i];
        wheel_add(w, i, b->plan[i]);
    }
    b->ns[0][0][run] = (cpu_ns() - at) / b->timers;
    b->bytes[0] = (double)wheel_bytes(w) / b->timers;
    at = cpu_ns();
    for (uint32_t i = 1; i < b->timers; i += 2) b->due[b->order[i]] = NEVER;
    b->ns[0][1][run] = (cpu_ns() - at) / (b->timers / 2);
    at = cpu_ns();
    uint32_t fired = 0, last = 0;
    for (uint32_t n = TAKE; n == TAKE || wheel_now(w) < DAY;) {
        CHECK(wheel_reserve(w, TAKE));
        n = wheel_advance(w, DAY, out, TAKE);
        for (uint32_t i = 0; i < n; i++) __builtin_prefetch(&b->due[out[i].slot]);
        for (uint32_t i = 0; i < n; i++) {
            if (b->due[out[i].slot] != out[i].due) continue;
            CHECK(out[i].due >= last);
            last = out[i].due;
            fired++;
        }
    }
    b->ns[0][2][run] = (cpu_ns() - at) / b->timers;
    CHECK(fired == b->timers - b->timers / 2);
    wheel_destroy(w);
}

/* ---- the heap ------------------------------------------------------------------------------------------- */

struct heap {
    struct wheel_entry *entries;
    uint32_t *where; /* by slot: its place in the heap */
    uint32_t n;
};

static void heap_place(struct heap *h, uint32_t at, struct wheel_entry e)
{
    h->entries[at] = e;
    h->where[e.slot] = at;
}

static void heap_up(struct heap *h, uint32_t at, struct wheel_entry e)
{
    for (uint32_t parent; at > 0 && h->entries[parent = (at - 1) / 2].due > e.due; at = parent)
        heap_place(h, at, h->entries[parent]);
    heap_place(h, at, e);
}

static void heap_down(struct heap *h, uint32_t at, struct wheel_entry e)
{
    for (uint32_t child; (child = 2 * at + 1) < h->n; at = child) {
        if (child + 1 < h->n && h->entries[child + 1].due < h->entries[child].due) child++;
        if (h->entries[child].due >= e.due) break;
        heap_place(h, at, h->entries[child]);
    }
    heap_place(h, at, e);
}

static struct wheel_entry heap_remove(struct heap *h, uint32_t at)
{
    struct wheel_entry gone = h->entries[at], last = h->entries[--h->n];
    if (at == h->n) return gone;
    if (at > 0 && h->entries[(at - 1) / 2].due > last.due)
        heap_up(h, at, last);
    else
        heap_down(h, at, last);
    return gone;
}

static void run_heap(struct bench *b, uint32_t run)
{
    struct heap h = {calloc(b->timers, sizeof *h.entries), calloc(b->timers, sizeof *h.where), 0};
    CHECK(h.entries && h.where);
    double at = cpu_ns();
    for (uint32_t i = 0; i < b->timers; i++) heap_up(&h, h.n++, (struct wheel_entry){i, b->plan[i]});
    b->ns[1][0][run] = (cpu_ns() - at) / b->timers;
    b->bytes[1] = sizeof *h.entries + sizeof *h.where;
    at = cpu_ns();
    for (uint32_t i = 1; i < b->timers; i += 2) heap_remove(&h, h.where[b->order[i]]);
    b->ns[1][1][run] = (cpu_ns() - at) / (b->timers / 2);
    at = cpu_ns();
    uint32_t fired = 0;
    for (uint32_t last = 0; h.n > 0; fired++) {
        struct wheel_entry e = heap_remove(&h, 0);
        CHECK(e.due >= last);
        last = e.due;
    }
    b->ns[1][2][run] = (cpu_ns() - at) / fired;
    free(h.entries);
    free(h.where);
}

/* ---- report ----------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_row(const struct bench *b, uint32_t kind, uint32_t measure, bool json)
{
    double *ns = b->ns[kind][measure];
    qsort(ns, b->runs, sizeof *ns, compare);
    double low = ns[0], median = ns[b->runs / 2], high = ns[b->runs - 1];
    if (json)
        printf("%s\"%s_%s_ns\":{\"min\":%.2f,\"median\":%.2f,\"max\":%.2f}", kind || measure ? "," : "",
               KIND_NAMES[kind], MEASURE_NAMES[measure], low, median, high);
    else
        printf("%-6s %-9s %8.1f ns  [%.1f..%.1f]\n", KIND_NAMES[kind], MEASURE_NAMES[measure], median, low,
               high);
}

static void report(const struct bench *b, bool json)
{
    printf(json ? "{" : "%u timers outstanding, half of them cancelled, %u runs\n", b->timers, b->runs);
    for (uint32_t kind = 0; kind < KINDS; kind++)
        for (uint32_t measure = 0; measure < MEASURES; measure++) print_row(b, kind, measure, json);
    printf(json ? ",\"timers\":%u,\"wheel_bytes\":%.2f,\"heap_bytes\":%.2f}\n"
                : "bytes a timer of %u: wheel %.1f, heap %.1f\n",
           b->timers, b->bytes[0], b->bytes[1]);
}

int main(int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"timers", 1, 0, 't'}, {"runs", 1, 0, 'r'}, {"json", 0, 0, 'j'}, {0}};
    struct bench b = {.timers = 10000000, .runs = 5};
    bool json = false;
    for (int o; (o = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1;) {
        if (o == '?') return 2;
        if (o == 'j') json = true;
        if (o == 't') b.timers = (uint32_t)strtoul(optarg, NULL, 10);
        if (o == 'r') b.runs = (uint32_t)strtoul(optarg, NULL, 10);
    }
    if (b.timers < 2 || b.runs == 0) return fprintf(stderr, "hourglass-timers: too few timers or runs\n"), 2;
    b.due = malloc(b.timers * sizeof *b.due);
    b.plan = malloc(b.timers * sizeof *b.plan);
    b.order = malloc(b.timers * sizeof *b.order);
    CHECK(b.due && b.plan && b.order);
    for (uint32_t k = 0; k < KINDS; k++)
        for (uint32_t m = 0; m < MEASURES; m++) CHECK(b.ns[k][m] = calloc(b.runs, sizeof(double)));
    for (uint32_t run = 0; run < b.runs; run++) {
        plan(&b);
        run_wheel(&b, run);
        run_heap(&b, run);
    }
    report(&b, json);
    return 0;
}
