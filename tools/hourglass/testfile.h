/* testfile.h - journey tests as they are written: *.test.yaml beside the definitions.
 * Owner: one arena for all files of a run. Fails: mistakes in a test file are diagnostics, and the run ends. */
#ifndef HG_TOOLS_TESTFILE_H
#define HG_TOOLS_TESTFILE_H

#include "core/define/yaml.h"

struct test_event {
    uint32_t after;           /* seconds from the start */
    struct slice record;      /* Segment message as MessagePack; empty: an outcome */
    struct slice user;        /* outcome: whose, */
    struct slice outcome, of; /* opened, and of which step */
    struct node *node;
};

enum test_holdout { HOLDOUT_NOBODY, HOLDOUT_EVERYBODY, HOLDOUT_BY_HASH };
struct test_case {
    struct slice name;
    const char *file;
    uint32_t line;
    uint32_t at, run_for;
    uint8_t holdout; /* enum test_holdout: wherever one is declared */
    uint32_t event_count, given_count;
    struct test_event *events;  /* in order of time, what is given first */
    const struct node *only;    /* list of journeys, NULL: all */
    const struct node *given;   /* people, and words such as `lists`; NULL: nothing */
    const struct node *variant; /* split step: path; NULL: as in life */
    const struct node *lists;   /* list: [people]; NULL: all are empty */
    const struct node *expect;
};

struct test_list {
    uint32_t count, capacity;
    struct test_case *list;
};
void tests_read(const char *dir, struct arena *a, struct diagnostics *d, struct test_list *out);
/* One file. A test whose form is wrong is reported and left out. */
void tests_read_file(const struct source_file *file, struct arena *a, struct diagnostics *d,
                     struct test_list *out);
/* track, page ...: what kind of message an event of a test is. */
struct slice message_call(const struct node *event);
extern const struct block test_block; /* testtable.c: what a test may hold */

/* Any YAML as MessagePack, scalars after YAML 1.2's core schema. */
void node_pack(const struct node *n, struct buf *out);

#endif
