/* emit.c - Forward sinks for actions: a client that sends every action as one Forward message and waits for its ack.
 *   ["hourglass.action.<channel>", [[created_at, action]], {"size": 1, "chunk": <action id as hex>}]
 * The chunk id is the action id, so an ack says by itself what it confirms. A lost connection starts over from everything
 * unconfirmed; the receiver recognises repeats by the action id. With --emit-key-file nothing is sent before both sides
 * have proven that they know the key (handshake.h). */
#include "io/admin.h"
#include "io/address.h"
#include "io/handshake.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    OUT_MAX = 1 << 20,
    BACK_OFF_FIRST_US = 100 * 1000,
    BACK_OFF_MAX_US = 5000 * 1000,
    CONNECT_CHECK_US = 20 * 1000,
    ACK_BYTES_SANE = 64 << 10,
    ACKS_AT_ONCE = 256
};
enum emit_state {
    EMIT_DOWN,
    EMIT_CONNECTING,
    EMIT_CLOSING,
    EMIT_HELO,
    EMIT_PONG,
    EMIT_UP
}; /* HELO, PONG: awaited */

struct emit {
    struct action_reader reader;
    struct loop_socket socket;
    struct engine *engine;
    struct address address;
    char name[16];
    enum emit_state state;
    struct buf out, sending, in;
    struct handshake handshake;
    uint64_t retry_at_us, back_off_us;
    uint64_t late_at_us; /* when the handshake must be over */
    bool in_flight;
};

struct emits {
    uint32_t count;
    bool ending;
    struct emit list[URLS_MAX];
};

static struct loop *loop_of(struct emit *s) { return s->engine->workers[0].loop; }

/* ---- the connection --------------------------------------------------------------------------------------- */

static void forget_connection(struct emit *s)
{
    action_reader_rewind(&s->reader);
    buf_clear(&s->out);
    buf_clear(&s->in);
    s->in_flight = false;
    s->state = EMIT_DOWN;
    s->retry_at_us = loop_now_us() + s->back_off_us;
    s->back_off_us = s->back_off_us * 2 < BACK_OFF_MAX_US ? s->back_off_us * 2 : BACK_OFF_MAX_US;
}

static void drop(struct emit *s, const char *why)
{
    if (s->state == EMIT_CLOSING) return;
    log_line(LOG_WARNING, "emit_down", "sink=%s reason=\"%s\"", s->name, why);
    s->state = EMIT_CLOSING;
    loop_close(loop_of(s), &s->socket);
}

static void on_closed(struct loop_socket *socket) { forget_connection(socket->owner); }

static void send_out(struct emit *s)
{
    if (s->in_flight || s->state < EMIT_HELO || !s->out.n) return;
    struct buf idle = s->sending;
    s->sending = s->out;
    s->out = idle;
    buf_clear(&s->out);
    s->in_flight = true;
    loop_send(loop_of(s), &s->socket, s->sending.p, s->sending.n);
}

static void on_sent(struct loop_socket *socket, int64_t result)
{
    struct emit *s = socket->owner;
    s->in_flight = false;
    if (result < 0) {
        drop(s, strerror((int)-result));
        return;
    }
    s->sending.n -= (size_t)result;
    if (s->sending.n) {
        memmove(s->sending.p, s->sending.p + result, s->sending.n);
        s->in_flight = true;
        loop_send(loop_of(s), socket, s->sending.p, s->sending.n);
        return;
    }
    send_out(s);
    atomic_store(&s->engine->action_news, 1);
}

/* ---- acks ------------------------------------------------------------------------------------------------- */

static void confirmed(void *owner, uint32_t count)
{
    struct emit *s = owner;
    action_reader_confirmed(&s->reader, count);
    atomic_store(&s->engine->action_news, 1);
}

static bool read_key(struct slice hex, struct key *out)
{
    unsigned long long hi, lo;
    char text[33], rest;
    if (hex.n != 32) return false;
    memcpy(text, hex.p, 32);
    text[32] = 0;
    if (sscanf(text, "%16llx%16llx%c", &hi, &lo, &rest) != 2) return false;
    *out = (struct key){hi, lo};
    return true;
}

/* One {"ack": id}; false: not yet whole (used 0), or not an ack (err). */
static bool read_ack(struct slice bytes, struct key *id, size_t *used, bool *bad)
{
    struct mp m = mp_of(bytes);
    struct slice item = mp_item(&m);
    *bad = m.err && m.err != MP_SHORT;
    *used = item.n;
    if (m.err) return false;
    struct mp in = mp_of(item);
    bool good = mp_map(&in) == 1 && slice_is(mp_str(&in), "ack") && read_key(mp_str(&in), id) && !in.err;
    *bad = !good;
    return good;
}

/* All that are whole: nothing else may come behind them. */
static void take_acks(struct emit *s)
{
    struct key ids[ACKS_AT_ONCE];
    uint32_t count;
    size_t used = 0, one;
    bool bad = false;
    do {
        for (count = 0; count < ACKS_AT_ONCE && used < s->in.n; count++, used += one)
            if (!read_ack(slice_of(s->in.p + used, s->in.n - used), &ids[count], &one, &bad)) break;
        if (count) actions_confirm(s->engine, ids, count, confirmed, s);
        if (count) s->back_off_us = BACK_OFF_FIRST_US;
    } while (count == ACKS_AT_ONCE);
    memmove(s->in.p, s->in.p + used, s->in.n - used);
    s->in.n -= used;
    if (bad || s->in.n > ACK_BYTES_SANE) drop(s, "the answer is not an ack");
}

/* ---- greeting --------------------------------------------------------------------------------------------- */

static void up(struct emit *s)
{
    s->state = EMIT_UP;
    log_line(LOG_INFO, "emit_up", "sink=%s", s->name);
    atomic_store(&s->engine->action_news, 1);
}

static void take_greeting(struct emit *s)
{
    struct slice key = s->engine->emit_key, hostname = slice_str(s->engine->hostname);
    struct mp m = mp_of(buf_slice(&s->in));
    struct slice message = mp_item(&m);
    const char *why = "the answer is no handshake";
    if (m.err == MP_SHORT && s->in.n <= HANDSHAKE_BYTES_MAX) return;
    bool helo = s->state == EMIT_HELO,
         good = !m.err && message.n <= HANDSHAKE_BYTES_MAX &&
                (helo ? handshake_answer_helo(&s->handshake, message, hostname, key, &s->out, &why)
                      : handshake_check_pong(&s->handshake, message, key, &why));
    if (good && mp_left(&m)) good = false, why = "the server spoke before its turn";
    buf_clear(&s->in);
    if (!good) {
        drop(s, why);
    } else if (helo) {
        s->state = EMIT_PONG;
        send_out(s);
    } else {
        up(s);
    }
}

static void on_bytes(struct loop_socket *socket, const uint8_t *p, size_t n)
{
    struct emit *s = socket->owner;
    if (s->state < EMIT_HELO) return;
    if (n == 0) {
        drop(s, "the peer closed");
        return;
    }
    buf_put(&s->in, p, n);
    if (s->state == EMIT_UP)
        take_acks(s);
    else
        take_greeting(s);
}

/* ---- giving ------------------------------------------------------------------------------------------------ */

static bool ready(struct action_reader *r)
{
    struct emit *s = (struct emit *)r;
    return s->state == EMIT_UP && s->out.n + s->sending.n < OUT_MAX;
}

static void give(struct action_reader *r, const struct action *a, struct slice channel)
{
    struct emit *s = (struct emit *)r;
    pk_t pk;
    char tag[64 + EVENT_NAME_BYTES_MAX];
    if (s->state != EMIT_UP) return; /* closing: given again after the next connect */
    pk_init(&pk, &s->out);
    int n = snprintf(tag, sizeof tag, "hourglass.action.%.*s",
                     (int)(channel.n < EVENT_NAME_BYTES_MAX ? channel.n : EVENT_NAME_BYTES_MAX),
                     (const char *)channel.p);
    pk_list(&pk, 3);
    pk_slice(&pk, slice_of(tag, (size_t)n));
    pk_list(&pk, 1);
    pk_list(&pk, 2);
    pk_uint(&pk, a->created_at);
    pk_raw(&pk, a->content);
    pk_map(&pk, 2);
    pk_key_uint(&pk, "size", 1);
    pk_text(&pk, "chunk");
    pk_hex(&pk, a->id);
    send_out(s);
}

static void release(struct action_reader *r)
{
    struct emit *s = (struct emit *)r;
    buf_free(&s->out);
    buf_free(&s->sending);
    buf_free(&s->in);
}

/* ---- connecting ---------------------------------------------------------------------------------------------- */

static void connected(struct emit *s)
{
    int one = 1;
    setsockopt(s->socket.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (strcmp(loop_name(loop_of(s)), "uring") == 0)
        fcntl(s->socket.fd, F_SETFL, fcntl(s->socket.fd, F_GETFL) & ~O_NONBLOCK);
    s->state = EMIT_HELO;
    s->late_at_us = loop_now_us() + HANDSHAKE_S * 1000000ull;
    loop_receive(loop_of(s), &s->socket);
    if (!s->engine->emit_key.n) up(s);
}

static void failed(struct emit *s)
{
    close(s->socket.fd);
    forget_connection(s);
}

static void begin_connect(struct emit *s)
{
    int fd = socket(s->address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    s->socket = (struct loop_socket){
        .fd = fd, .owner = s, .on_bytes = on_bytes, .on_sent = on_sent, .on_closed = on_closed};
    if (fd < 0) {
        forget_connection(s);
        return;
    }
    s->state = EMIT_CONNECTING;
    if (connect(fd, &s->address.any, s->address.bytes) == 0)
        connected(s);
    else if (errno != EINPROGRESS)
        failed(s);
}

static void check_connect(struct emit *s)
{
    struct pollfd p = {.fd = s->socket.fd, .events = POLLOUT};
    int error = 0;
    socklen_t n = sizeof error;
    if (poll(&p, 1, 0) != 1) return;
    if (getsockopt(s->socket.fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0 || error)
        failed(s);
    else
        connected(s);
}

static bool greeting(const struct emit *s) { return s->state == EMIT_HELO || s->state == EMIT_PONG; }

void emit_turn(struct engine *e)
{
    struct emits *all = e->admin->emits;
    for (uint32_t i = 0; all && !all->ending && i < all->count; i++) {
        struct emit *s = &all->list[i];
        if (s->state == EMIT_CONNECTING) check_connect(s);
        if (greeting(s) && e->workers[0].now_us >= s->late_at_us) drop(s, "no handshake in time");
        if (s->state == EMIT_DOWN && e->workers[0].now_us >= s->retry_at_us) begin_connect(s);
    }
}

uint32_t emit_patience_us(const struct engine *e)
{
    const struct emits *all = e->admin->emits;
    uint32_t wait = UINT32_MAX;
    for (uint32_t i = 0; all && i < all->count; i++) {
        const struct emit *s = &all->list[i];
        uint64_t now = e->workers[0].now_us;
        uint64_t at = greeting(s)                   ? s->late_at_us
                      : s->state == EMIT_CONNECTING ? now + CONNECT_CHECK_US
                      : s->state == EMIT_DOWN       ? s->retry_at_us
                                                    : UINT64_MAX;
        uint32_t own = at <= now ? 0 : at - now < UINT32_MAX ? (uint32_t)(at - now) : UINT32_MAX;
        if (own < wait) wait = own;
    }
    return wait;
}

void emit_start(struct engine *e)
{
    struct emits *all = calloc(1, sizeof *all);
    struct buf error = {0};
    CHECK(all != NULL);
    e->admin->emits = all;
    for (uint32_t i = 0; i < e->options->emit_count; i++) {
        struct emit *s = &all->list[all->count];
        CHECK(address_parse(e->options->emit[i], &s->address, &error)); /* engine.c has looked at it */
        all->count++;
        s->engine = e;
        s->back_off_us = BACK_OFF_FIRST_US;
        snprintf(s->name, sizeof s->name, i ? "emit%u" : "emit", i + 1);
        s->reader = (struct action_reader){
            .name = slice_str(s->name), .ready = ready, .give = give, .release = release};
        actions_add(e, &s->reader);
    }
}

void emit_destroy(struct engine *e)
{
    struct emits *all = e->admin->emits;
    if (!all || all->ending) return;
    all->ending = true;
    for (uint32_t i = 0; i < all->count; i++) {
        struct emit *s = &all->list[i];
        if (s->state >= EMIT_HELO) drop(s, "stopping");
        if (s->state == EMIT_CONNECTING) failed(s);
    }
}

bool emit_closed(const struct engine *e)
{
    const struct emits *all = e->admin->emits;
    for (uint32_t i = 0; all && i < all->count; i++)
        if (all->list[i].state == EMIT_CLOSING) return false;
    return true;
}

void emit_free(struct engine *e)
{
    struct emits *all = e->admin->emits;
    for (uint32_t i = 0; all && i < all->count; i++) release(&all->list[i].reader);
    free(all);
    e->admin->emits = NULL;
}
