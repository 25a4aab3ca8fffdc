/* oracle.h - what must be true of the node's state, asked of its own shards and compared with the model.
 * Owner: the process of the seed. Fails: fault(). */
#ifndef HG_SIM_ORACLE_H
#define HG_SIM_ORACLE_H

#include "io/engine.h"

/* Recovery is over, nothing runs yet: the same state as a replay of the log from zero (if all of it is kept), and as the
 * live one had at the same LSN. */
void oracle_recovered(struct engine *e, bool log_is_whole);
/* Would a start from zero on this disk succeed? */
enum persist_status oracle_start_on(struct engine *e, struct disk *disk);
/* Remembers the live state of every shard. */
void oracle_remember(struct engine *e);
void oracle_forget(void);
/* Every acknowledged event is there once, nothing was invented, everything stands where it belongs. `all`: everything
 * was acknowledged and every merge is done: the counts are exact. Returns how many were wrong; tells with fault() only if
 * `final`, as a merge on its way explains much. */
void oracle_events(struct engine *e, bool all);
/* As of this very second: nothing may be on its way, and the wake-ups of the second must have had time to run. */
void oracle_segments(struct engine *e);
uint32_t
oracle_next_flip(void); /* the next second at which somebody may enter or leave a segment; 0: never */
uint64_t oracle_merged(struct engine *e); /* halves that found each other, of all lives */
void oracle_actions(void);                /* of what was delivered */
void oracle_wakes(struct engine *e, uint32_t slack_s);
bool oracle_merges_done(struct engine *e);
/* A merge waits for its answer, and a running snapshot has still to come to its person. */
bool oracle_merge_before_walker(struct engine *e);

#endif
