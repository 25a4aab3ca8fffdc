/* testrun.h - what happened in one journey test, and whether it is what was expected.
 * Owner: the test at hand; everything lies in its arena. Fails: never; a difference is text in the report. */
#ifndef HG_TOOLS_TESTRUN_H
#define HG_TOOLS_TESTRUN_H

#include "core/machine.h"
#include "tools/hourglass/testfile.h"

struct happened { /* one line of the timeline */
    uint32_t at;
    struct slice text;
    struct happened *next;
};
struct notice { /* an action, or a suppressed or deferred send */
    uint32_t at;
    struct slice content; /* action: its record; else empty */
    struct slice user, journey, step, reason;
    struct notice *next;
};
struct notices {
    struct notice *first, **last;
};

struct test_run {
    const struct test_case *test;
    struct machine *machine;
    struct arena *arena;
    struct happened *first, **last;
    struct notices actions, suppressed, deferred;
};

void test_on_effect(void *self, const struct effect *e);
void timeline_event(struct test_run *run, const struct test_event *e);
/* Turns an outcome into the message that reports it; false: that step has sent nothing (and says so in the timeline). */
bool outcome_message(struct test_run *run, struct test_event *e);
bool expectations_met(struct test_run *run, struct buf *report);

#endif
