/* net.h - connecting to `tcp://HOST:PORT` and `unix:///PATH` (or `unix://./relative`).
 * Owner: the caller closes. Fails: -1 and one line in error. Blocking sockets; reads give up after timeout_s. */
#ifndef HG_TOOLS_NET_H
#define HG_TOOLS_NET_H

#include "core/base/bytes.h"

int net_dial(const char *url, uint32_t timeout_s, struct buf *error);
/* Same, but a failure says where it tried and what to do, and ends the program with 69. */
int net_dial_or_die(const char *url, uint32_t timeout_s, const char *option);
bool net_send(int fd, const void *p, size_t n); /* all of it; false: errno */

#endif
