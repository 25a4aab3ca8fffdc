/* life.h - how a life of the node begins and ends, in a scenario and in a sweep's workload.
 * Owner: the process of the seed. */
#ifndef HG_SIM_LIFE_H
#define HG_SIM_LIFE_H

#include "tests/sim/kernel.h"

struct life_options {
    uint32_t shards;
    const char *log_segment, *snapshot_every;
    bool keeps_log; /* all of it */
};
/* What a dead process had given to its disk is done first. */
void life_begin(const struct life_options *o);
void life_over(void); /* the node is gone: clients lose their connections */
bool life_goes_on(void);
/* The story of a recovery. */
void life_recovered(const struct engine *e);

#endif
