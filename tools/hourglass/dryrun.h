/* dryrun.h - new definitions against what the server remembers: its people's kept events are played through a machine of
 * this process, in the order of time. Nobody is touched: the server is only asked.
 * Owner: the caller. Fails: as history.h. */
#ifndef HG_TOOLS_DRYRUN_H
#define HG_TOOLS_DRYRUN_H

#include "tools/hourglass/cli.h"

/* `apply DIR --dry-run`; the exit code. */
int dry_run(struct cli *c, const char *dir);

#endif
