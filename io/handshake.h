/* handshake.h - the shared-key handshake of Forward v1.5: what both sides compute, and the client's half (emit.c). The
 * server's half is in forward.c. It proves that both know the key; it neither encrypts nor binds the stream, so that the
 * way between must be loopback, private, or inside of TLS.
 *   server ["HELO", {nonce, auth, keepalive}]
 *   client ["PING", hostname, salt, hex(sha512(salt + hostname + nonce + key)), user, password]
 *   server ["PONG", good, reason, hostname, hex(sha512(salt + hostname + nonce + key))]
 * Memory: none. Fails: with false for whatever a stranger says. Source: Forward protocol v1.5. */
#ifndef HG_IO_HANDSHAKE_H
#define HG_IO_HANDSHAKE_H

#include "core/base/bytes.h"

enum {
    HANDSHAKE_BYTES_MAX = 1024, /* one message of it */
    HOST_BYTES_MAX = 255,
    NONCE_BYTES = 16,
    NONCE_BYTES_MAX = 64, /* of other people's servers */
    DIGEST_HEX_BYTES = 128
};

void handshake_digest(struct slice salt, struct slice host, struct slice nonce, struct slice key,
                      char out[DIGEST_HEX_BYTES + 1]);
bool handshake_digest_eq(const char expected[DIGEST_HEX_BYTES + 1],
                         struct slice digest); /* in constant time */

struct handshake { /* one connection's, of the client */
    uint8_t nonce[NONCE_BYTES_MAX], nonce_bytes;
    char salt[2 * NONCE_BYTES + 1];
};
/* Takes a whole HELO and appends the PING to out; *why says what is wrong. */
bool handshake_answer_helo(struct handshake *h, struct slice helo, struct slice hostname, struct slice key,
                           struct buf *out, const char **why);
bool handshake_check_pong(const struct handshake *h, struct slice pong, struct slice key, const char **why);

#endif
