/* forward_out.h - Fluent Forward client: entries in PackedForward chunks, many chunks in flight, each acknowledged.
 * Owner: the caller. Memory: one chunk. Fails: a lost connection, an unknown ack or none within 60 s ends the program
 * with 1 (what was acknowledged is durable; sending the rest again counts nothing twice); forward_out_wait answers
 * false when the user interrupted. */
#ifndef HG_TOOLS_FORWARD_OUT_H
#define HG_TOOLS_FORWARD_OUT_H

#include "core/base/bytes.h"

struct forward_out;
struct forward_out *forward_out_open(const char *url, const char *tag);
void forward_out_close(struct forward_out *f);
/* entry_ms 0: no time. Sends the chunk when it is full. */
bool forward_out_entry(struct forward_out *f, int64_t entry_ms, struct slice record);
bool forward_out_flush(struct forward_out *f);
bool forward_out_wait(struct forward_out *f,
                      uint32_t in_flight_max);           /* until no more than that are unacknowledged */
uint64_t forward_out_acked(const struct forward_out *f); /* entries */

#endif
