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
    const struct defset *set; /* what it runs on */
    struct machine *machine;
    struct arena *arena;
    struct happened *first, **last;
    struct notices actions, suppressed, deferred;
    const struct test_event *answers_nothing; /* the first outcome of a message that was never sent */
    struct {                                  /* where it first went another way */
        bool found;
        uint32_t at;
        struct slice user;
    } differs;
};

/* testset.c: the set with what `only`, `variant` and `holdout` ask for; the same set when they ask for nothing. */
const struct defset *set_for_test(const struct defset *set, const struct test_case *t, struct arena *a);
uint16_t list_of(const struct defset *set, struct slice name); /* ID_NONE: there is none */
/* `name` is the step's, alone or behind its journey's name and a dot. */
bool names_step(struct slice name, struct slice journey, struct slice step);
bool is_split(const struct journey *j, const struct step *s, struct slice name);
uint32_t path_named(const struct step *split, struct slice path); /* split.count: there is none */
/* testcheck.c: reports what the test names and the set has not. */
void set_fits_test(const struct defset *set, const struct test_case *t, struct diagnostics *d);

void test_on_effect(void *self, const struct effect *e);
void timeline_event(struct test_run *run, const struct test_event *e);
/* Turns an outcome into the message that reports it; false: that step has sent nothing (and says so in the timeline). */
bool outcome_message(struct test_run *run, struct test_event *e);
bool expectations_met(struct test_run *run, struct buf *report);
void print_offset(uint32_t seconds, struct buf *out); /* 1d2h3m4s */
bool find_person(struct test_run *run, struct slice user, struct store **store, row_t *row);
void print_timeline(const struct test_run *run, struct buf *out);
/* testknown.c: of a run that was stopped at this second. */
void known_print(struct test_run *run, struct slice user, uint32_t at, struct buf *out);

#endif
