/* rpc.c - one connection, one request at a time; what arrives is cut into whole messages before it is looked at. */
#include "tools/hourglass/rpc.h"

#include <errno.h>
#include <msgpack/pack.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/msgpack.h"
#include "tools/hourglass/cli.h"
#include "tools/hourglass/net.h"

enum { ANSWER_TIMEOUT_S = 600, READ_BYTES = 256 << 10, REQUEST = 0, RESPONSE = 1, NOTIFICATION = 2 };

struct rpc {
    int fd;
    uint32_t next_id;
    struct buf in, out;
    size_t taken; /* bytes of `in` that the last message used */
};

/* ---- requests ------------------------------------------------------------------------------- */

static void pack_key(struct request *r, msgpack_packer *pk, const char *key)
{
    msgpack_packer_init(pk, &r->body, buf_msgpack_write);
    msgpack_pack_str_with_body(pk, key, strlen(key));
    r->pairs++;
}

void request_slice(struct request *r, const char *key, struct slice value)
{
    msgpack_packer pk;
    pack_key(r, &pk, key);
    msgpack_pack_str_with_body(&pk, value.p, value.n);
}

void request_text(struct request *r, const char *key, const char *value)
{
    if (value) request_slice(r, key, slice_str(value));
}

void request_int(struct request *r, const char *key, int64_t value)
{
    msgpack_packer pk;
    pack_key(r, &pk, key);
    msgpack_pack_int64(&pk, value);
}

void request_flag(struct request *r, const char *key, bool value)
{
    msgpack_packer pk;
    if (!value) return;
    pack_key(r, &pk, key);
    msgpack_pack_true(&pk);
}

void request_raw(struct request *r, const char *key, struct slice msgpack)
{
    msgpack_packer pk;
    pack_key(r, &pk, key);
    buf_put_slice(&r->body, msgpack);
}

struct slice request_params(struct request *r, struct buf *out)
{
    msgpack_packer pk;
    msgpack_packer_init(&pk, out, buf_msgpack_write);
    msgpack_pack_array(&pk, r->pairs ? 1 : 0);
    if (r->pairs) msgpack_pack_map(&pk, r->pairs);
    buf_put_slice(out, buf_slice(&r->body));
    return buf_slice(out);
}

void request_free(struct request *r) { buf_free(&r->body); }

/* ---- connection ------------------------------------------------------------------------------ */

struct rpc *rpc_connect(const char *url)
{
    struct rpc *r = calloc(1, sizeof *r);
    if (!r) die(EXIT_FAILED, "no memory");
    r->fd = net_dial_or_die(url, ANSWER_TIMEOUT_S, "admin");
    return r;
}

void rpc_close(struct rpc *r)
{
    close(r->fd);
    buf_free(&r->in);
    buf_free(&r->out);
    free(r);
}

/* The next whole message; empty: interrupted. */
static struct slice receive(struct rpc *r)
{
    if (r->taken) memmove(r->in.p, r->in.p + r->taken, r->in.n - r->taken);
    r->in.n -= r->taken;
    r->taken = 0;
    for (;;) {
        struct mp m = mp_of(buf_slice(&r->in));
        struct slice message = r->in.n ? mp_item(&m) : (struct slice){0};
        if (message.n) {
            r->taken = message.n;
            return message;
        }
        if (r->in.n && m.err != MP_SHORT) die(EXIT_FAILED, "the server's answer is not MessagePack");
        buf_reserve(&r->in, READ_BYTES);
        ssize_t n = recv(r->fd, r->in.p + r->in.n, r->in.cap - r->in.n, 0);
        if (n < 0 && errno == EINTR && !interrupted) continue;
        if (n < 0 && errno == EINTR) return (struct slice){0};
        if (n == 0) die(EXIT_UNREACHABLE, "the server closed the connection");
        if (n < 0 && errno == EAGAIN) die(EXIT_FAILED, "no answer within %d s", ANSWER_TIMEOUT_S);
        if (n < 0) die(EXIT_UNREACHABLE, "connection to the server: %s", strerror(errno));
        r->in.n += (size_t)n;
    }
}

static struct rpc_error read_error(struct slice item)
{
    struct rpc_error e = {.name = SLICE("error")};
    struct mp m = mp_of(item);
    if (mp_peek(&m) != MP_MAP) {
        if (mp_peek(&m) == MP_STR) e.message = mp_str(&m);
        return e;
    }
    for (uint32_t n = mp_map(&m); n > 0 && m.err == MP_OK; n--) {
        struct slice key = mp_str(&m), value = mp_item(&m);
        struct mp v = mp_of(value);
        if (slice_is(key, "code"))
            e.code = mp_int(&v);
        else if (slice_is(key, "name"))
            e.name = mp_str(&v);
        else if (slice_is(key, "message"))
            e.message = mp_str(&v);
        else if (slice_is(key, "data"))
            e.data = value;
    }
    return e;
}

static bool take_response(struct slice message, uint32_t id, bool *ok, struct slice *result,
                          struct rpc_error *error)
{
    struct mp m = mp_of(message);
    if (mp_array(&m) != 4 || mp_int(&m) != RESPONSE || mp_uint(&m) != id) return false;
    struct mp at = m;
    *ok = mp_nil(&at);
    struct slice failed = mp_item(&m);
    *result = mp_item(&m);
    if (m.err != MP_OK) die(EXIT_FAILED, "the server's answer is malformed");
    if (!*ok) *error = read_error(failed);
    return true;
}

bool rpc_call(struct rpc *r, const char *method, struct slice params, struct slice *result,
              struct rpc_error *error)
{
    msgpack_packer pk;
    uint32_t id = ++r->next_id;
    bool ok = false;
    buf_clear(&r->out);
    msgpack_packer_init(&pk, &r->out, buf_msgpack_write);
    msgpack_pack_array(&pk, 4);
    msgpack_pack_int(&pk, REQUEST);
    msgpack_pack_uint32(&pk, id);
    msgpack_pack_str_with_body(&pk, method, strlen(method));
    buf_put_slice(&r->out, params);
    if (!net_send(r->fd, r->out.p, r->out.n))
        die(EXIT_UNREACHABLE, "connection to the server: %s", strerror(errno));
    for (;;) {
        struct slice message = receive(r);
        if (message.n == 0) exit(EXIT_INTERRUPTED);
        if (take_response(message, id, &ok, result, error)) return ok;
    }
}

void rpc_die(const struct rpc_error *e)
{
    enum { USAGE = 2, WRONG = 3 }; /* io/ADMIN.md */
    int code = e->code == USAGE ? EXIT_USAGE : e->code == WRONG ? EXIT_WRONG : EXIT_FAILED;
    struct slice text = e->message;
    while (text.n && text.p[text.n - 1] == '\n') text.n--;
    bool lines = memchr(text.p, '\n', text.n) != NULL;
    die(code, "%.*s:%s%.*s", (int)e->name.n, (const char *)e->name.p, lines ? "\n" : " ", (int)text.n,
        (const char *)text.p);
}

struct slice rpc_call_or_die(struct rpc *r, const char *method, struct request *request)
{
    struct request none = {0};
    struct buf params = {0};
    struct slice result;
    struct rpc_error e;
    if (!rpc_call(r, method, request_params(request ? request : &none, &params), &result, &e)) rpc_die(&e);
    buf_free(&params);
    if (request) request_free(request);
    return result;
}

bool rpc_notification(struct rpc *r, struct slice *method, struct slice *params)
{
    for (;;) {
        struct slice message = receive(r);
        if (message.n == 0) return false;
        struct mp m = mp_of(message);
        if (mp_array(&m) != 3 || mp_int(&m) != NOTIFICATION) continue;
        *method = mp_str(&m);
        *params = mp_item(&m);
        if (m.err == MP_OK) return true;
    }
}
