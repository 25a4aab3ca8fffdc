/* rpc.h - MessagePack-RPC client for the admin socket.
 * Owner: the caller; a reply's slices point into the client's buffer and stay good until the next call.
 * Fails: connecting, or a connection that is lost, ends the program with 69, a malformed answer with 1; an error that
 * the server answers is handed back, or printed as `hourglass: name: message`: 3 if what was sent was checked and found
 * wrong, 2 if it was no proper request, else 1.
 * A request is one map: `[{key: value, ...}]`. */
#ifndef HG_TOOLS_RPC_H
#define HG_TOOLS_RPC_H

#include "core/base/bytes.h"

struct request { /* the map of parameters; zero-initialise */
    struct buf body;
    uint32_t pairs;
};
void request_text(struct request *r, const char *key, const char *value); /* NULL value: left out */
void request_slice(struct request *r, const char *key, struct slice value);
void request_int(struct request *r, const char *key, int64_t value);
void request_flag(struct request *r, const char *key, bool value); /* false: left out */
void request_raw(struct request *r, const char *key, struct slice msgpack);
struct slice request_params(struct request *r, struct buf *out); /* `[{...}]`, or `[]` when nothing was set */
void request_free(struct request *r);

struct rpc;
struct rpc *rpc_connect(const char *url);
void rpc_close(struct rpc *r);
struct rpc_error {
    int64_t code;
    struct slice name, message, data;
};
/* params: a whole MessagePack array. True: result; false: error. */
bool rpc_call(struct rpc *r, const char *method, struct slice params, struct slice *result,
              struct rpc_error *error);
_Noreturn void rpc_die(const struct rpc_error *e);
struct slice rpc_call_or_die(struct rpc *r, const char *method,
                             struct request *request); /* frees the request */
/* The next notification; false: interrupted, or nothing came within the time-out. */
bool rpc_notification(struct rpc *r, struct slice *method, struct slice *params);

#endif
