/* memory.h - how much memory the process holds, as the kernel counts it, against --memory-limit.
 * Owner: any thread. Memory: none. Fails: never; where /proc is missing it says 0, and nothing is refused. Cost: 2 us. */
#ifndef HG_IO_MEMORY_H
#define HG_IO_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

uint64_t memory_resident(void); /* bytes */
/* From 90 % of the limit on (0: no limit) nobody new is taken in. */
static inline bool memory_is_low(uint64_t limit) { return limit && memory_resident() > limit / 10 * 9; }

#endif
