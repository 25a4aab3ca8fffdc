/* inside.h - what becomes of the people who are inside of journeys when other definitions are put to work.
 * Owner: the caller. Fails: an error of the server ends the program. Source: definitions.get, journey.list; and the set
 * that the server itself would make of both, so that its answer is the server's. */
#ifndef HG_TOOLS_INSIDE_H
#define HG_TOOLS_INSIDE_H

#include "core/define/define.h"
#include "tools/hourglass/rpc.h"

/* Per journey that differs and has people inside: {name, change: changed|removed, people, stay, move, leave}. `next`: the
 * new definitions, whose files are taken. */
void inside_pack(struct rpc *rpc, const struct defset *next, struct buf *out);

#endif
