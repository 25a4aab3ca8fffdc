/* tally.h - what a dry run did, counted while it runs, and said at its end.
 * Owner: the caller. Memory: one entry a day and channel, one key an entry into a journey. Fails: no memory ends it. */
#ifndef HG_TOOLS_TALLY_H
#define HG_TOOLS_TALLY_H

#include "core/define/yaml.h"
#include "core/machine.h"
#include "tools/hourglass/history.h"

struct tally_day {
    uint32_t day; /* since 1970, UTC */
    uint16_t channel;
    uint64_t actions;
};
struct tally {
    const struct defset *set;
    struct tally_day *days; /* in order of time */
    uint64_t day_count, day_room;
    struct key *people; /* one for each entry, sorted out at the end */
    uint64_t entry_count, people_room;
    uint64_t (*held)[2][DECISION_COUNT]; /* by journey: suppressed, deferred */
    uint64_t actions, messages;
};
void tally_init(struct tally *t, const struct defset *set);
void tally_free(struct tally *t);
void tally_effect(void *tally, const struct effect *e); /* machine_config.on_effect */

/* The report as a MessagePack map: journeys, channels with their days, held back, people, unknown; `inside` is put in. */
void tally_pack(struct tally *t, struct machine *m, const struct history *h, struct slice inside,
                struct buf *out);
void tally_print(struct slice report, struct buf *out); /* that map, for people */

#endif
