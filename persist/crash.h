/* crash.h - named places where a test lets the process die as kill -9 would: no clean-up, nothing written any more.
 * HOURGLASS_CRASH_AT=name:n ends it when it comes to that place for the n-th time (1, 2, ...), counted over all threads;
 * name:n:ready counts from the ready line on.
 * Only in builds with tests (HG_TESTS): one predictable branch on a global; without it, nothing.
 * tests/crash/points.py reads the table below and goes to every place, under load and again inside recovery. */
#ifndef HG_PERSIST_CRASH_H
#define HG_PERSIST_CRASH_H

#include "core/base/check.h"

#include <stdatomic.h>
#include <stdbool.h>

#define CRASH_POINTS(X)                                                                                      \
    X(write_before) /* of a synchronous write: small files, snapshots, tails, file headers */                \
    X(write_half)   /* the first half of it was written */                                                   \
    X(write_after)                                                                                           \
    X(sync_before) /* of a file's sync */                                                                    \
    X(sync_after)                                                                                            \
    X(rename_before)                                                                                         \
    X(rename_after)                                                                                          \
    X(folder_sync_before) /* of a folder's sync */                                                           \
    X(folder_sync_after)                                                                                     \
    X(unlink_before)                                                                                         \
    X(unlink_after)                                                                                          \
    X(truncate_before)                                                                                       \
    X(truncate_after)                                                                                        \
    X(group_submit)      /* a group of the log is complete and not yet handed to the kernel */               \
    X(group_submitted)   /* it is on its way */                                                              \
    X(group_done)        /* the kernel has it on disk, nobody was told */                                    \
    X(group_durable)     /* its tickets count as durable */                                                  \
    X(file_rolled)       /* the next log file took over */                                                   \
    X(file_ready)        /* the next log file is zeroed and named */                                         \
    X(log_opened)        /* the log of a new epoch exists, on one thread at least */                         \
    X(batch_apply)       /* before a batch is applied */                                                     \
    X(batch_applied)     /* applied, not in the log's buffer */                                              \
    X(batch_logged)      /* in the log's buffer */                                                           \
    X(ack_before)        /* a chunk is complete, its ack not yet written */                                  \
    X(ack_after)         /* the ack waits to be sent */                                                      \
    X(ack_sent)          /* the kernel took bytes for a client */                                            \
    X(message_sent)      /* a leg of a merge leaves for its shard: what caused it is durable */              \
    X(message_taken)     /* it arrived, not yet logged */                                                    \
    X(message_acked)     /* the sender may forget it */                                                      \
    X(action_released)   /* an action may be given to its reader */                                          \
    X(action_given)      /* it was handed to a reader */                                                     \
    X(confirm_logged)    /* a confirmation is in the log's buffer */                                         \
    X(confirm_durable)   /* and on disk, its answer not yet sent */                                          \
    X(bundle_written)    /* new definitions are on disk, no shard knows them */                              \
    X(shard_switched)    /* one shard logged them */                                                         \
    X(snapshot_begun)    /* a shard's cut is made */                                                         \
    X(snapshot_sliced)   /* a slice of it was written */                                                     \
    X(snapshot_verified) /* a shard's file was read back */                                                  \
    X(snapshot_listed)   /* the manifest stands, older ones too */                                           \
    X(snapshot_pruned)   /* older ones are gone, no log file is */                                           \
    X(backup_begun)      /* the folders of a backup stand, nothing is in them */                             \
    X(backup_linked)     /* its snapshot is in it, no log is */                                              \
    X(backup_copied)     /* everything is in it, under its temporary name */                                 \
    X(backup_published)  /* it has its name, which is not synced */                                          \
    X(recovery_listed)   /* recovery knows the log files */                                                  \
    X(recovery_restored) /* the snapshot is in memory */                                                     \
    X(recovery_replayed) /* the log too; nothing on disk has changed so far */                               \
    X(tail_kept)         /* a torn tail was copied to broken/ */                                             \
    X(tail_ended)        /* the end group stands */                                                          \
    X(tail_cut)          /* and the file is cut behind it */                                                 \
    X(log_closed)        /* a clean stop wrote the end group */

enum crash_point {
    CRASH_nowhere,
#define CRASH_NAME(name) CRASH_##name,
    CRASH_POINTS(CRASH_NAME)
#undef CRASH_NAME
};

enum { CRASH_EXIT = 137 }; /* what a shell says of a process that was killed */

#ifdef HG_CRASH_POINTS
extern _Atomic int crash_armed;
bool crash_counts(void); /* true: this is the n-th time */
_Noreturn void crash_now(void);
#define CRASH_AT(name)                                                                                       \
    (unlikely(atomic_load_explicit(&crash_armed, memory_order_relaxed) == CRASH_##name) && crash_counts())
#else
static inline void crash_now(void) {}
#define CRASH_AT(name) false
#endif
#define CRASH_POINT(name)                                                                                    \
    do {                                                                                                     \
        if (CRASH_AT(name)) crash_now();                                                                     \
    } while (0)

/* At start, of the environment; false: it names no place, or this build has none. */
bool crash_arm(const char *place);
void crash_ready(void); /* the ready line is out */

#endif
