/* conn.h - Forward connections of one worker: bytes in, entries to the intake, acks out.
 * Owner: the worker. Memory: one struct, the parser's buffer, an output buffer of at most ACK_BYTES_MAX per connection.
 * An ack never blocks ingest: a client that does not read its acks loses the newest of them (counted); it will send those
 * chunks again, and they are recognised. Acks leave in the order of the chunks. */
#ifndef HG_IO_CONN_H
#define HG_IO_CONN_H

#include "core/base/bytes.h"

enum {
    CONNECTIONS_MAX = 10000,   /* of the process; more are closed at once */
    ACK_BYTES_MAX = 256 << 10, /* unsent output of one connection */
    HANDSHAKE_S = 5,   /* where a key is asked for, the answer to HELO must be here within this time */
    HALF_FRAME_S = 30, /* a frame must be complete within this time of its first byte */
    HALF_FRAMES_BYTES_MAX = 512 << 20, /* of all connections; who would pass it is closed and sends again */
    KEEPALIVE_S = 60,                  /* a peer that is silent this long is asked whether it still exists */
};

struct worker;
struct conns;
struct conns *conns_create(struct worker *w);
void conns_destroy(struct conns *c);
void conn_open(struct worker *w, int fd);
void conns_turn(struct worker *w); /* resume, send, deadlines */
void conns_close_all(struct worker *w);
uint32_t conns_count(const struct worker *w);
uint32_t conns_patience_us(const struct worker *w);
void conn_chunk_complete(struct worker *w, uint16_t slot);

#endif
