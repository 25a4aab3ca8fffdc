/* snapshotter.h - one snapshot of all shards: every worker writes its own in slices, worker 0 commits.
 * Owner: the engine has at most one running. Fails: a failed snapshot is abandoned, logged and counted, never fatal. */
#ifndef HG_IO_SNAPSHOTTER_H
#define HG_IO_SNAPSHOTTER_H

#include "io/engine.h"

enum { SNAPSHOT_ROWS_PER_TURN = BLOCK_ROWS < 256 ? 1 : 256 };

/* done is called on worker 0: number of the snapshot, or 0 with `error`. False: one is running already. */
bool snapshot_start(struct engine *e, void (*done)(void *owner, uint64_t number, const char *error),
                    void *owner);
bool snapshot_running(const struct engine *e);
void snapshotter_step(struct worker *w);
bool snapshotter_has_work(const struct worker *w); /* false: it waits for its time or for the disk */

#endif
