/* net.h - sockets between simulated clients and the node, and the loop's third backend.
 * Bytes are cut anywhere and delayed; a connection may be lost with whatever is on its way.
 * Owner: a client owns its end until it or the node lets go; both ends are told by callbacks out of world_step. */
#ifndef HG_SIM_NET_H
#define HG_SIM_NET_H

#include "core/base/bytes.h"

struct wire; /* one connection */
struct wire_user {
    void *self;
    void (*received)(void *self, const uint8_t *p, size_t n);
    void (*lost)(void *self); /* the wire is gone */
};
enum net_port { PORT_INGEST, PORT_ADMIN, PORT_COUNT };
/* NULL: nobody listens. */
struct wire *net_connect(enum net_port port, const struct wire_user *user);
void net_send(struct wire *w, const void *p, size_t n);
void net_cut(struct wire *w); /* the client, or the network, gives up: no callback */
bool net_listening(enum net_port port);
void net_machine_died(void); /* every wire is lost, no callback */

/* For kernel.c */
int net_listen(enum net_port port);
void net_close(int fd);
bool net_is_fd(int fd);

#endif
