/* arrives.h - definitions beside what really arrives at the server. The server is only asked.
 * Owner: the caller. Fails: a server that cannot be reached ends the program. Cost: a question for each event type, property
 * and attribute that the files declare. */
#ifndef HG_TOOLS_ARRIVES_H
#define HG_TOOLS_ARRIVES_H

#include "core/define/define.h"
#include "tools/hourglass/cli.h"

/* Warns of events that are declared and never arrived, and the other way round, and of properties and attributes that
 * nobody has, at their places in the files. What the server's own definitions do not declare yet it cannot say. */
void check_arrivals(struct cli *c, const struct defset *set, struct diagnostics *d);

#endif
