/* lines.h - a file of Segment messages, one JSON object a line, as MessagePack records.
 * Owner: the caller; a record is good until the next call. Memory: one line (at most 1 MiB) and one record.
 * Fails: a line that is no JSON object ends the program with 65 and `FILE:LINE:COLUMN: reason`; empty lines are skipped. */
#ifndef HG_TOOLS_LINES_H
#define HG_TOOLS_LINES_H

#include "core/base/bytes.h"

struct message {
    struct slice record;
    int64_t entry_ms; /* of `timestamp` (or originalTimestamp), 0: has none */
};
struct lines;
struct lines *lines_open(const char *path); /* "-": stdin; .gz is inflated; exits 1 if it cannot be read */
bool lines_next(struct lines *l, struct message *out);
double lines_share(const struct lines *l); /* of the file, 0..1; 0 for stdin */
void lines_close(struct lines *l);

#endif
