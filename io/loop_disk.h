/* loop_disk.h - the real disk, with a worker's loop doing its one asynchronous operation.
 * Owner: one worker. Memory: a free list of write operations, as many as were ever in flight. */
#ifndef HG_IO_LOOP_DISK_H
#define HG_IO_LOOP_DISK_H

#include "io/loop.h"
#include "persist/disk.h"

struct disk *loop_disk_create(struct disk *real, struct loop *loop);
void loop_disk_destroy(struct disk *d); /* no write is in flight */

#endif
