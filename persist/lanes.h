/* lanes.h - the same work on many independent things, on as many threads as there may be.
 * For recovery: snapshot files, logs of one epoch. Whoever is free takes the next one; with one thread all of them run
 * one after another on the caller's, so the simulator sees one order.
 * Owner: the caller, who waits. Fails: a thread that cannot be made is done without. */
#ifndef HG_PERSIST_LANES_H
#define HG_PERSIST_LANES_H

#include <stdint.h>

void lanes_run(uint32_t count, uint32_t threads, void (*work)(void *self, uint32_t lane), void *self);

#endif
