/* address.h - tcp://127.0.0.1:24224, tcp://[::1]:24224, unix:///run/x.sock as sockets.
 * Names are not resolved: an address is digits, or "localhost". Fails: with one line in error. */
#ifndef HG_IO_ADDRESS_H
#define HG_IO_ADDRESS_H

#include "core/base/bytes.h"

#include <sys/socket.h>
#include <sys/un.h>

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_storage room;
        struct sockaddr_un local;
    };
    socklen_t bytes;
    bool loopback; /* unix, 127.0.0.0/8, ::1 */
};
bool address_parse(const char *url, struct address *out, struct buf *error);
/* A bound, listening socket; a unix path is replaced (the caller holds the lock that makes this safe). -1: see error. */
int address_listen(const struct address *a, struct buf *error);
/* The address a socket is really bound to (port 0 becomes the port), as a URL. */
void address_print(const struct address *a, int fd, struct buf *out);

#endif
