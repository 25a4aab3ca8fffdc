/* wal_reader.h - the log of one thread in one epoch, read and verified group after group.
 * Owner: the caller. Memory: a window (window.h), given back at the log's end.
 * Fails: dir->error gets one line that names file, offset and LSN. Nothing on disk is changed by reading.
 * How a torn tail is told from damage: a bad group whose number is at or below the durable mark of any header behind it
 * was durable once, so it is damage and refuses; above all marks it never was acknowledged and is a tail to cut. What
 * has a right checksum but does not belong there (another directory, epoch, thread, file, number or chain) cannot come
 * from tearing and always refuses. */
#ifndef HG_PERSIST_WAL_READER_H
#define HG_PERSIST_WAL_READER_H

#include "persist/datadir.h"
#include "persist/wal_format.h"
#include "persist/window.h"

struct log_group {
    struct group_header header;
    struct slice payload; /* until the next call, or the next `leave` */
    uint64_t offset;
};

enum read_result { READ_GROUP, READ_END, READ_STOPPED /* see status */ };

struct log_reader {
    struct datadir *dir;
    const struct log_name *names; /* of this epoch and thread, in order */
    uint32_t count;
    bool closed; /* a newer epoch exists: this log must have its end */
    enum persist_status status;

    uint32_t index;           /* of the current file in names */
    int file;                 /* -1: none open */
    uint64_t size, at;        /* at: where the next group should be */
    bool used;                /* a file header was found */
    struct log_header header; /* of the current file */
    uint64_t number, ticket;  /* of the next group, of its first record */
    uint32_t chain;
    bool ended;         /* the end group was read */
    uint8_t last_shard; /* of the last good record, for messages */
    uint64_t last_lsn, records;
    uint64_t torn_bytes; /* what lies behind the last group, up to the last byte that is not zero */

    struct window window;
};

void log_reader_open(struct log_reader *r, struct datadir *dir, const struct log_name *names, uint32_t count,
                     bool closed);
/* Reads the next piece on a thread of its own meanwhile; calls leave(self) before payloads handed out so far go away. */
void log_reader_ahead(struct log_reader *r, bool ahead, void (*leave)(void *self), void *self);
enum read_result log_reader_next(struct log_reader *r, struct log_group *out);
/* After READ_END, when everything else went well too: keeps what is torn in broken/, cuts, writes the end group, removes
 * files never used. Cut short by a crash, it can be done again. */
enum persist_status log_reader_seal(struct log_reader *r);
/* `inspect --repair`, on a reader just opened: reads as far as it goes, then treats whatever follows as a torn tail. Still
 * refuses a log whose first header is lost. */
enum persist_status log_reader_give_up(struct log_reader *r);
void log_reader_close(struct log_reader *r);

#endif
