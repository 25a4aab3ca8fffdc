/* disk.h - a disk that loses power. What the machine's cache holds and what lies on the platter are kept apart.
 *
 *   write_now ---> cache (dirty sectors) --sync--> platter         names: likewise, per folder, by sync_dir
 *   write     ---> in flight ------------ done ---> both
 *
 * A power cut decides for every 512-byte sector that was not synced: old, new, or garbage; for every unsynced name:
 * there or not, but in order for one and the same name; for a length: old or new. A killed process loses nothing of this.
 * A write that fails leaves any of the three in its sectors; a sync that fails leaves the cache as if it were clean.
 * O_DIRECT reads see the platter below clean cache pages, other reads see the cache (the page cache's lie after a failed
 * sync). Synchronous operations take time: other threads go on, and the power may go, in their middle. */
#ifndef HG_SIM_DISK_H
#define HG_SIM_DISK_H

#include "persist/disk.h"

enum disk_fault {
    DISK_FAULT_NONE,
    DISK_FAULT_EIO,
    DISK_FAULT_ENOSPC,
    DISK_FAULT_SHORT, /* some of it */
    DISK_FAULT_EINTR,
    DISK_FAULT_EAGAIN,
    DISK_FAULT_ECANCELED,
    DISK_FAULT_SHORT1, /* all but a byte */
    DISK_FAULT_HALF
};
#define DISK_OPERATIONS(X)                                                                                   \
    X(OPEN, "open")                                                                                          \
    X(CREATE, "create")                                                                                      \
    X(READ, "read")                                                                                          \
    X(WRITE, "write")                                                                                        \
    X(LOG_WRITE, "log write")                                                                                \
    X(SYNC, "sync")                                                                                          \
    X(TRUNCATE, "truncate")                                                                                  \
    X(RENAME, "rename")                                                                                      \
    X(UNLINK, "unlink")                                                                                      \
    X(LINK, "link")                                                                                          \
    X(MKDIR, "mkdir")                                                                                        \
    X(SYNC_DIR, "folder sync")                                                                               \
    X(LIST, "list")
enum disk_operation {
#define X(name, text) DISK_OP_##name,
    DISK_OPERATIONS(X)
#undef X
        DISK_OP_COUNT
};

struct disk *sim_disk(void); /* there is one */
void sim_disk_power_cut(void);
void sim_disk_process_died(void); /* handles are closed; what was in flight still arrives */
/* The n-th operation from now that changes something fails; or the n-th durable write of the logs. */
void sim_disk_fail(enum disk_fault fault, uint32_t nth, bool of_logs);
void sim_disk_full(bool full);
/* Asked before every operation of the node, reads too, instead of what sim_disk_fail says: how is this one to fail? */
extern enum disk_fault (*sim_disk_before)(enum disk_operation operation);
bool sim_disk_fault_pending(void);
/* A copy for looking at it without changing anything; its operations take no time. */
struct disk *sim_disk_copy(struct disk *of);
void sim_disk_copy_free(struct disk *copy);
void sim_disk_fingerprint(void); /* into the story's hash */

/* For the loop: a durable write that is done at some later moment. */
void sim_disk_write(int file, uint64_t offset, const void *p, size_t n,
                    void (*done)(void *owner, int64_t result), void *owner);
uint32_t sim_disk_in_flight(void);

#endif
