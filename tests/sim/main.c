/* sim - runs seeds of the simulated node, or shows that they notice planted mistakes.
 * usage: sim [--seed N [--loud]] [--seeds A..B] [--power-cuts] [--twice] [--events N] [--stop-after N] [--jobs N]
 *            [--planted NAME]        one seed, or many; --twice: each must go the same way again
 *        sim --replay-check N        seeds 1..N, twice
 *        sim --mutants [--planted NAME] [--jobs N]    every planted mistake must be noticed
 *        sim --sweep [--stride N] [--jobs N] [--planted NAME]    every disk operation of a workload fails, in every way
 *        sim --sweep-at N:KIND[:on]             one of them, loudly: EIO ENOSPC EINTR EAGAIN ECANCELED short1 half power
 * Ends with `N passed, N failed`; exit 1 if any failed. */
#include "tests/sim/mutants.h"
#include "tests/sim/runner.h"
#include "tests/sim/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

struct arguments {
    struct run_options run;
    struct sweep_options sweep;
    bool mutants, is_sweep;
};

static bool number(const char *text, uint64_t *out)
{
    char *end;
    *out = strtoull(text, &end, 10);
    return *text && !*end;
}

/* An option with a value. False: there is none such, or the value is wrong. */
static bool read_value(struct arguments *a, const char *name, const char *value)
{
    struct run_options *o = &a->run;
    uint64_t n = 0;
    unsigned long long x, y;
    if (!strcmp(name, "--seeds") && sscanf(value, "%llu..%llu", &x, &y) == 2)
        return o->from = x, o->to = y, true;
    if (!strcmp(name, "--planted")) return (o->planted = mutant_find(value)) != PLANTED_NONE;
    if (!strcmp(name, "--sweep-at")) return a->sweep.at = value, a->is_sweep = true;
    if (!number(value, &n)) return false;
    if (!strcmp(name, "--stride")) return a->sweep.stride = (uint32_t)n, n > 0;
    if (!strcmp(name, "--seed")) return o->from = o->to = n, true;
    if (!strcmp(name, "--events")) return o->scenario.events = (uint32_t)n, true;
    if (!strcmp(name, "--stop-after")) return o->stop_after = (uint32_t)n, true;
    if (!strcmp(name, "--jobs")) return o->jobs = (uint32_t)n, n > 0 && n <= RUNNER_JOBS_MAX;
    if (!strcmp(name, "--replay-check")) return o->from = 1, o->to = n, o->twice = true;
    return false;
}

static struct arguments read_arguments(int argc, char **argv)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct arguments a = {.run = {.from = 1, .to = 100, .stop_after = 3, .jobs = 1}, .sweep.stride = 1};
    if (processors > 1) a.run.jobs = processors < RUNNER_JOBS_MAX ? (uint32_t)processors : RUNNER_JOBS_MAX;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--power-cuts"))
            a.run.scenario.power_cuts = true;
        else if (!strcmp(argv[i], "--loud"))
            a.run.loud = true;
        else if (!strcmp(argv[i], "--twice"))
            a.run.twice = true;
        else if (!strcmp(argv[i], "--mutants"))
            a.mutants = true;
        else if (!strcmp(argv[i], "--sweep"))
            a.is_sweep = true;
        else if (i + 1 < argc && read_value(&a, argv[i], argv[i + 1]))
            i++;
        else
            fprintf(stderr, "sim: %s is not understood\n", argv[i]), exit(2);
    }
    a.sweep.jobs = a.run.jobs;
    return a;
}

int main(int argc, char **argv)
{
    struct arguments a = read_arguments(argc, argv);
    planted = a.run.planted;
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* so few people: most of a huge page is cleared in vain */
    if (a.is_sweep) return sweep_run(&a.sweep);
    return a.mutants ? mutants_run(a.run.planted, a.run.jobs) : runner_run(&a.run);
}
