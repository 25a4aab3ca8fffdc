/* scenario.h - one seed: a node that lives several times, what happens to it, and what must be true afterwards. */
#ifndef HG_SIM_SCENARIO_H
#define HG_SIM_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

struct scenario_options {
    bool power_cuts;  /* every life but the last ends with one; else the seed decides */
    bool disk_faults; /* most of what happens are such; else the seed decides */
    uint32_t events;  /* 0: chosen by the seed */
};
void scenario_run(const struct scenario_options *options);
/* For drills: a node works undisturbed and is killed; the next one recovers. */
struct engine;
void scenario_two_lives(void (*between)(void), void (*recovered)(struct engine *e));
/* The first start ever is killed somewhere; the second acknowledges; the power goes; the third must know it all. */
void scenario_killed_first_start(void);

#define FAULTS(X)                                                                                            \
    X(POWER, "power cut")                                                                                    \
    X(KILL, "kill -9")                                                                                       \
    X(EIO, "disk: EIO")                                                                                      \
    X(ENOSPC, "disk: ENOSPC")                                                                                \
    X(SHORT, "disk: short")                                                                                  \
    X(FULL, "disk full")                                                                                     \
    X(TERM, "TERM")                                                                                          \
    X(HUP, "new definitions")                                                                                \
    X(STEP, "clock step")                                                                                    \
    X(QUIET, "hours pass")
#define STATES(X)                                                                                            \
    X(OFF, "off")                                                                                            \
    X(STARTING, "recovering")                                                                                \
    X(FRESH, "just started")                                                                                 \
    X(IDLE, "idle")                                                                                          \
    X(WRITING, "log in flight")                                                                              \
    X(SNAPSHOT, "snapshot: shards")                                                                          \
    X(COMMIT, "snapshot: commit")                                                                            \
    X(DEFINING, "definitions")                                                                               \
    X(MERGING, "merge on its way")                                                                           \
    X(STOPPING, "stopping")                                                                                  \
    X(DISK_FULL, "disk full")
enum fault_kind {
#define X(name, text) FAULT_##name,
    FAULTS(X)
#undef X
        FAULT_COUNT
};
enum fault_state {
#define X(name, text) STATE_##name,
    STATES(X)
#undef X
        STATE_COUNT
};
extern const char *const fault_names[FAULT_COUNT], *const state_names[STATE_COUNT];

#endif
