/* backup.h - a copy of a data directory that a server can start from: the newest snapshot, and the log up to a cut.
 *
 *   backup_begin   all that does not grow: identity, remembered calls, the newest snapshot
 *   (the caller makes the cut)
 *   backup_logs    every log up to its end in the cut; what is closed is linked, the live file is copied and ended
 *   backup_publish synced, and only now under its own name
 *
 * A backup is whole in itself: each log in it has its end group, so that whatever is lost or spoiled shows when it is read.
 * Nobody may delete from the directory in between (no snapshot is being written, no log recycled).
 * Owner: the caller; any one thread. Memory: 1 MiB while it copies. Cost: a link per file; where `to` lies on another file
 * system, or for a restore, a copy.
 * Fails: with one line in dir->error; what was made so far stands under the temporary name until backup_abandon. */
#ifndef HG_PERSIST_BACKUP_H
#define HG_PERSIST_BACKUP_H

#include "persist/datadir.h"
#include "persist/wal_format.h"

enum { BACKUP_PATH_MAX = 1024 };
struct backup {
    struct datadir *dir;       /* what is copied; its error is used */
    char to[BACKUP_PATH_MAX];  /* as the disk understands it: absolute, or below the directory */
    char tmp[BACKUP_PATH_MAX]; /* to.hourglass-partial */
    bool made;                 /* the temporary folder is ours */
    bool links;                /* where possible; false: copies, that may be written to */
    uint64_t snapshot;         /* its number; 0: none */
    uint64_t files, bytes;     /* so far */
};

/* REFUSED when `to` is there and not empty. */
enum persist_status backup_begin(struct backup *b, struct datadir *dir, struct slice to, bool links);
/* ends: of every log of the running epoch; none: all logs are taken as they are. */
enum persist_status backup_logs(struct backup *b, const struct log_end *ends, uint32_t count);
enum persist_status backup_publish(struct backup *b);
void backup_abandon(struct backup *b);

#endif
