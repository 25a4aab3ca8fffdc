/* runner.h - many seeds, each in a process of its own, so that one that crashes is told like one that is wrong.
 * Owner: the caller. Fails: exit code 1 if a seed was wrong. */
#ifndef HG_SIM_RUNNER_H
#define HG_SIM_RUNNER_H

#include "core/base/planted.h"
#include "tests/sim/scenario.h"

#include <stdio.h>

enum { RUNNER_JOBS_MAX = 64 };
struct run_options {
    uint64_t from, to; /* seeds, both included */
    uint32_t jobs;     /* processes at once */
    uint32_t stop_after;
    bool loud, twice;
    enum planted planted;
    struct scenario_options scenario;
};
/* Prints the stories of wrong seeds, what was injected while the node was in which state, and the sums. */
int runner_run(const struct run_options *o);

/* One attempt: its story and figures are in `shared` afterwards. False: wrong. */
void runner_share(void); /* makes `shared` */
bool runner_attempt(bool loud, uint64_t seed, void (*run)(const void *self), const void *self);
/* The story of the last attempt, and in one line: seed, commit, the last fault before it, what was wrong with its promise. */
void runner_tell(FILE *out, uint64_t seed);
double runner_cpu_seconds(void); /* of all processes that were waited for */

#endif
