/* ask.h - one question to the server, and what many answers share.
 * Owner: the reply stays good until the program ends. Fails: an error of the server ends the program. */
#ifndef HG_TOOLS_ASK_H
#define HG_TOOLS_ASK_H

#include "tools/hourglass/cli.h"
#include "tools/hourglass/rpc.h"
#include "tools/hourglass/view.h"

struct slice ask(struct cli *c, const char *method, struct request *r);
int print_json(struct cli *c, struct slice reply); /* the exit code */
/* Seconds since 1970 as text; nil and 0 as "-", what is no number as it is. */
void print_time(struct slice item, struct buf *out);
bool is_true(struct slice item); /* a bool that is true */
bool is_nil(struct slice item);  /* nil or absent */

#endif
