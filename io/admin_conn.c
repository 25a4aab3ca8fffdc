/* admin_conn.c - MessagePack-RPC: frames in, requests out to their methods, answers back in any order.
 * A frame is walked by the bounds-checked cursor before msgpack-c unpacks it, so that no count in it is believed. */
#include "io/remember.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct admin_conn {
    struct loop_socket socket;
    struct engine *engine;
    struct admin_conn *next;
    struct buf in, out, sending;
    struct request *requests; /* not answered yet */
    uint32_t request_count, confirm_count, tails;
    size_t request_bytes;
    uint64_t half_since_us;
    void *sub;
    bool in_flight, paused, closing, more; /* more: frames wait for earlier requests */
};

/* ---- output ---------------------------------------------------------------------------------------- */

static void send_out(struct admin_conn *c)
{
    if (c->in_flight || c->closing || !c->out.n) return;
    struct buf idle = c->sending;
    c->sending = c->out;
    c->out = idle;
    buf_clear(&c->out);
    c->in_flight = true;
    loop_send(c->engine->workers[0].loop, &c->socket, c->sending.p, c->sending.n);
}

static void detach_requests(struct admin_conn *c)
{
    for (struct request *r = c->requests; r; r = r->next) r->conn = NULL;
    c->requests = NULL;
}

static void conn_close(struct admin_conn *c)
{
    if (c->closing) return;
    c->closing = true;
    detach_requests(c);
    if (c->sub) actions_remove(c->engine, c->sub);
    c->sub = NULL;
    if (c->tails) {
        c->tails = 0;
        tail_update(c->engine);
    }
    loop_close(c->engine->workers[0].loop, &c->socket);
}

static void on_sent(struct loop_socket *s, int64_t result)
{
    struct admin_conn *c = s->owner;
    c->in_flight = false;
    if (result < 0) {
        conn_close(c);
        return;
    }
    if ((size_t)result < c->sending.n) {
        size_t rest = c->sending.n - (size_t)result;
        memmove(c->sending.p, c->sending.p + result, rest);
        c->sending.n = rest;
        c->in_flight = true;
        loop_send(c->engine->workers[0].loop, s, c->sending.p, rest);
        return;
    }
    buf_clear(&c->sending);
    send_out(c);
}

size_t admin_conn_queued(const struct admin_conn *c) { return c->out.n + c->sending.n; }

void admin_conn_send(struct admin_conn *c, struct slice bytes)
{
    buf_put_slice(&c->out, bytes);
    send_out(c);
}

void admin_conn_notify(struct admin_conn *c, const char *method, struct slice value)
{
    struct buf b = {0};
    pk_t pk;
    pk_init(&pk, &b);
    pk_list(&pk, 3);
    pk_uint(&pk, 2);
    pk_text(&pk, method);
    pk_list(&pk, 1);
    pk_raw(&pk, value);
    admin_conn_send(c, buf_slice(&b));
    buf_free(&b);
}

/* ---- requests ------------------------------------------------------------------------------------------ */

static void request_free(struct request *r)
{
    msgpack_unpacked_destroy(&r->unpacked);
    buf_free(&r->frame);
    buf_free(&r->result);
    free(r);
}

static void request_link(struct admin_conn *c, struct request *r)
{
    r->conn = c;
    r->next = c->requests;
    r->link = &c->requests;
    if (r->next) r->next->link = &r->next;
    c->requests = r;
}

static void request_unlink(struct request *r)
{
    *r->link = r->next;
    if (r->next) r->next->link = r->link;
}

/* More of them by `more`, which may be -1. */
static void count_request(struct admin_conn *c, const struct request *r, int more)
{
    *(r->method && r->method->confirms ? &c->confirm_count : &c->request_count) += (uint32_t)more;
    c->request_bytes += (size_t)more * r->frame.n;
}

void request_answer(struct request *r, struct slice error, struct slice result)
{
    struct admin_conn *c = r->conn;
    remember_end(r, error, result);
    if (c) {
        request_unlink(r);
        count_request(c, r, -1);
        struct buf b = {0};
        pk_t pk;
        pk_init(&pk, &b);
        pk_list(&pk, 4);
        pk_uint(&pk, 1);
        pk_uint(&pk, r->id);
        error.n ? pk_raw(&pk, error) : pk_nil(&pk);
        result.n ? pk_raw(&pk, result) : pk_nil(&pk);
        admin_conn_send(c, buf_slice(&b));
        buf_free(&b);
    }
    request_free(r);
}

void request_reply(struct request *r) { request_answer(r, (struct slice){0}, buf_slice(&r->result)); }

void request_fail(struct request *r, int code, const char *name, const char *format, ...)
{
    char text[8192];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct buf b = {0};
    pk_t pk;
    pk_init(&pk, &b);
    pk_map(&pk, 3);
    pk_text(&pk, "code");
    pk_int(&pk, code);
    pk_text(&pk, "name");
    pk_text(&pk, name);
    pk_text(&pk, "message");
    pk_text(&pk, text);
    request_answer(r, buf_slice(&b), (struct slice){0});
    buf_free(&b);
}

void request_bad(struct request *r, const char *what)
{
    request_fail(r, ERROR_USAGE, "bad_params", "%s: %s; parameters: %s", r->method->name, what,
                 r->method->params);
}

static const struct method *find_method(struct slice name)
{
    for (uint32_t i = 0; i < admin_method_count; i++)
        if (slice_is(name, admin_methods[i].name)) return &admin_methods[i];
    return NULL;
}

static void unknown_method(struct request *r, struct slice name)
{
    const char *near = NULL;
    uint32_t best = 4;
    for (uint32_t i = 0; i < admin_method_count; i++) {
        uint32_t d = text_distance(name, slice_str(admin_methods[i].name), best);
        if (d < best) {
            best = d;
            near = admin_methods[i].name;
        }
    }
    request_fail(r, ERROR_USAGE, "unknown_method",
                 near ? "no such method; did you mean %s?" : "no such method; sys.hello lists them%s",
                 near ? near : "");
}

/* False: not MessagePack-RPC, close. */
static bool on_frame(struct admin_conn *c, struct slice frame)
{
    struct request *r = calloc(1, sizeof *r);
    CHECK(r != NULL);
    r->engine = c->engine;
    buf_put_slice(&r->frame, frame);
    pk_init(&r->pack, &r->result);
    msgpack_unpacked_init(&r->unpacked);
    size_t at = 0;
    bool good =
        msgpack_unpack_next(&r->unpacked, (char *)r->frame.p, r->frame.n, &at) == MSGPACK_UNPACK_SUCCESS;
    const msgpack_object *o = &r->unpacked.data, *list = o->via.array.ptr;
    good = good && o->type == MSGPACK_OBJECT_ARRAY && o->via.array.size >= 3 &&
           list[0].type == MSGPACK_OBJECT_POSITIVE_INTEGER;
    bool request = good && list[0].via.u64 == 0 && o->via.array.size == 4 &&
                   list[1].type == MSGPACK_OBJECT_POSITIVE_INTEGER;
    bool notification = good && list[0].via.u64 == 2 && o->via.array.size == 3;
    struct slice name;
    if (!request || !object_text(&list[2], &name) || list[3].type != MSGPACK_OBJECT_ARRAY) {
        request_free(r);
        return notification; /* nobody here listens to notifications: they are ignored */
    }
    r->id = (uint32_t)list[1].via.u64;
    r->params = &list[3];
    r->method = find_method(name);
    request_link(c, r);
    count_request(c, r, 1);
    if (!r->method)
        unknown_method(r, name);
    else if (remember_begin(r))
        r->method->run(r);
    return true;
}

/* ---- input ----------------------------------------------------------------------------------------------- */

static bool too_busy(const struct admin_conn *c)
{
    return c->request_count >= ADMIN_REQUESTS_MAX || c->confirm_count >= ADMIN_CONFIRMATIONS_MAX ||
           c->request_bytes >= ADMIN_REQUEST_BYTES_MAX || admin_conn_queued(c) >= ADMIN_OUT_MAX;
}

/* The root tells early: whoever claims more items than a request has is not waited for. */
static bool root_ok(struct slice bytes)
{
    const uint8_t *p = bytes.p;
    if (p[0] == 0xdc && bytes.n >= 3) return load_be16(p + 1) == 3 || load_be16(p + 1) == 4;
    if (p[0] == 0xdd && bytes.n >= 5) return load_be32(p + 1) == 3 || load_be32(p + 1) == 4;
    return p[0] == 0x93 || p[0] == 0x94 || p[0] == 0xdc || p[0] == 0xdd;
}

static void parse(struct admin_conn *c)
{
    size_t used = 0;
    while (!c->closing && !too_busy(c) && used < c->in.n) {
        struct slice bytes = slice_of(c->in.p + used, c->in.n - used);
        struct mp m = mp_of(bytes);
        struct slice frame = mp_item(&m);
        if (m.err == MP_SHORT && bytes.n < ADMIN_FRAME_MAX && root_ok(bytes)) break;
        if (m.err || frame.n > ADMIN_FRAME_MAX || !on_frame(c, frame)) {
            conn_close(c);
            return;
        }
        used += frame.n;
    }
    c->more = used < c->in.n && too_busy(c);
    if (used) memmove(c->in.p, c->in.p + used, c->in.n - used);
    c->in.n -= used;
    c->half_since_us = !c->in.n                    ? 0
                       : used || !c->half_since_us ? c->engine->workers[0].now_us
                                                   : c->half_since_us;
}

static void update_reading(struct admin_conn *c)
{
    if (c->closing || c->paused == too_busy(c)) return;
    c->paused = !c->paused;
    if (c->paused)
        loop_pause(c->engine->workers[0].loop, &c->socket);
    else
        loop_resume(c->engine->workers[0].loop, &c->socket);
}

static void on_bytes(struct loop_socket *s, const uint8_t *p, size_t n)
{
    struct admin_conn *c = s->owner;
    if (c->closing) return;
    if (n == 0) {
        conn_close(c);
        return;
    }
    buf_put(&c->in, p, n);
    parse(c);
    update_reading(c);
}

static void on_closed(struct loop_socket *s)
{
    struct admin_conn *c = s->owner;
    struct admin *a = c->engine->admin;
    for (struct admin_conn **at = &a->conns; *at; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            break;
        }
    a->conn_count--;
    buf_free(&c->in);
    buf_free(&c->out);
    buf_free(&c->sending);
    free(c);
}

static bool allowed(int fd)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0) return false;
    return peer.uid == geteuid() || peer.uid == 0;
}

void admin_accept(struct engine *e, int fd)
{
    struct admin *a = e->admin;
    if (!allowed(fd) || a->conn_count >= ADMIN_CONNECTIONS_MAX) {
        log_line(LOG_WARNING, "admin_refused", "reason=%s",
                 a->conn_count >= ADMIN_CONNECTIONS_MAX ? "too_many" : "uid");
        close(fd);
        return;
    }
    struct admin_conn *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->engine = e;
    c->socket = (struct loop_socket){
        .fd = fd, .owner = c, .on_bytes = on_bytes, .on_sent = on_sent, .on_closed = on_closed};
    c->next = a->conns;
    a->conns = c;
    a->conn_count++;
    loop_receive(e->workers[0].loop, &c->socket);
}

void admin_conns_turn(struct engine *e)
{
    uint64_t now = e->workers[0].now_us;
    for (struct admin_conn *c = e->admin->conns; c; c = c->next) {
        if (c->closing) continue;
        if (c->more && !too_busy(c)) parse(c);
        update_reading(c);
        if (c->half_since_us && !c->paused && now - c->half_since_us > HALF_FRAME_S * 1000000ull)
            conn_close(c);
    }
}

void admin_conns_close(struct engine *e)
{
    for (struct admin_conn *c = e->admin->conns; c; c = c->next) conn_close(c);
}

struct admin_conn *admin_conn_next(struct engine *e, struct admin_conn *after)
{
    return after ? after->next : e->admin->conns;
}
void *admin_conn_sub(struct admin_conn *c) { return c->sub; }
void admin_conn_set_sub(struct admin_conn *c, void *sub) { c->sub = sub; }
uint32_t admin_conn_tails(const struct admin_conn *c) { return c->tails; }
void admin_conn_set_tails(struct admin_conn *c, uint32_t kinds) { c->tails = kinds; }
