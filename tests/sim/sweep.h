/* sweep.h - the n-th disk operation of a workload fails, for every n and in every way, once and from then on; or the power
 * goes there. The workload (workload.c) runs once; before each of its operations a process is split off for every way to
 * fail, so nothing runs twice that is the same.
 * Not in the workload, because each fails at every operation elsewhere, with what is left looked at: backups (test_backup),
 * offline repair (test_persist_faults), small files such as `requests` (test_datadir: replaced whole or not at all).
 * Owner: the caller. Fails: exit code 1 if a run was wrong. */
#ifndef HG_SIM_SWEEP_H
#define HG_SIM_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

struct sweep_options {
    uint32_t jobs;   /* processes at once */
    uint32_t stride; /* every so many-th operation only */
    const char *at;  /* "812:EIO", "812:EIO:on": this one alone, told loudly; NULL: all */
};
/* Prints the stories of wrong runs, and how the node took which fault of which operation. */
int sweep_run(const struct sweep_options *o);

#endif
