/* remember.h - the same request twice has one effect: a call that changes state may carry `request_id` (a text of at most 64
 * bytes, new for every call, kept for its repeats), and whoever repeats it gets the first answer.
 * The id stands beside the named parameters, or in a map of its own behind positional ones. Only what succeeded is
 * remembered: a call that failed has changed nothing and runs again.
 * Owner: the control side. Memory: the newest REMEMBERED_MAX calls, answers of REMEMBERED_BYTES_MAX in all; older ones go.
 * Across a restart only calls whose repetition would do harm (`once` in the method table) are remembered, the newest
 * KEPT_MAX of them, in the data directory's file `requests`: written before the call runs, and again before its answer
 * leaves. After a crash between the two nobody knows whether the call was carried out: its repeat fails with unknown_outcome. */
#ifndef HG_IO_REMEMBER_H
#define HG_IO_REMEMBER_H

#include "io/admin.h"

enum {
    REQUEST_ID_BYTES_MAX = 64,
    REMEMBERED_MAX = 1024,
    REMEMBERED_BYTES_MAX = 4 << 20,
    KEPT_MAX = 256,
    KEPT_RESULT_MAX = 1024
};

/* PERSIST_REFUSED: the file is damaged; PERSIST_IO: the disk does not give it. Told by one line. */
enum persist_status remember_open(struct engine *e);
void remember_close(struct engine *e);
/* True: run it. False: it was answered, or will be when the first one is. */
bool remember_begin(struct request *r);
/* Before the answer to r leaves; result: empty when it failed. Answers whoever repeated it meanwhile. */
void remember_end(struct request *r, struct slice error, struct slice result);

#endif
