/* The whole engine in this process, seen from its two sockets: MessagePack-RPC and Forward. */
#include "io/admin.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NOON "2026-03-01T12:00:00Z"
enum { NOON_S = 1772366400 };

static struct engine engine;
static struct options options;
static char directory[64], admin_url[96], ingest_url[96], ingest_path[80], admin_path[80];

static void start(uint32_t threads)
{
    options = (struct options){.data = directory,
                               .admin = admin_url,
                               .ingest = {ingest_url},
                               .ingest_count = 1,
                               .shards = threads,
                               .log_segment = 4 << 20,
                               .fake_clock = NOON,
                               .hash_secret = "00112233445566778899aabbccddeeff"};
    signal(SIGPIPE, SIG_IGN);
    cr_assert_eq(engine_open(&engine, &options), 0);
    admin_create(&engine);
    cr_assert_eq(engine_start(&engine), 0);
    admin_start(&engine);
}

static enum call_state shut_down(struct worker *w, struct call *c)
{
    admin_shutdown(w->engine);
    return CALL_DONE;
}

static void stop(void)
{
    struct call c = {.run = shut_down};
    call_post(&engine.workers[0], &c);
    engine_join(&engine);
    cr_assert_eq(engine.exit_code, 0);
    admin_destroy(&engine);
    engine_close(&engine);
}

static void begin(void)
{
    strcpy(directory, "/tmp/hg-admin-XXXXXX");
    cr_assert(mkdtemp(directory) != NULL);
    snprintf(admin_path, sizeof admin_path, "%s/admin.sock", directory);
    snprintf(ingest_path, sizeof ingest_path, "%s/in.sock", directory);
    snprintf(admin_url, sizeof admin_url, "unix://%s", admin_path);
    snprintf(ingest_url, sizeof ingest_url, "unix://%s", ingest_path);
    start(2);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    return remove(path);
}
static void end(void)
{
    stop();
    nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int dial(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    struct timeval patience = {20, 0};
    for (int i = 0; i < 2000; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0) return fd;
        close(fd);
        usleep(5000);
    }
    cr_assert_fail("nobody listens on %s", path);
    return -1;
}

/* ---- messages ------------------------------------------------------------------------------------------ */

static void put(int fd, const struct buf *b) { cr_assert_eq(write(fd, b->p, b->n), (ssize_t)b->n); }

/* One whole MessagePack item from a socket; .n == 0: the peer closed. */
static struct buf take(int fd)
{
    struct buf b = {0};
    for (;;) {
        struct mp m = mp_of(buf_slice(&b));
        if (b.n && mp_item(&m).n) return b;
        uint8_t byte;
        ssize_t n = read(fd, &byte, 1);
        cr_assert(n >= 0, "no answer in time");
        if (n == 0) return b.n = 0, b;
        buf_put_u8(&b, byte);
    }
}

static void request_head(pk_t *pk, struct buf *b, uint32_t id, const char *method, uint32_t params)
{
    pk_init(pk, b);
    pk_list(pk, 4);
    pk_uint(pk, 0);
    pk_uint(pk, id);
    pk_text(pk, method);
    pk_list(pk, params);
}

struct answer {
    struct buf bytes;
    msgpack_unpacked unpacked;
    const msgpack_object *id, *error, *result;
};
static struct answer read_answer(int fd)
{
    struct answer a = {.bytes = take(fd)};
    size_t at = 0;
    msgpack_unpacked_init(&a.unpacked);
    cr_assert_eq(msgpack_unpack_next(&a.unpacked, (char *)a.bytes.p, a.bytes.n, &at), MSGPACK_UNPACK_SUCCESS);
    const msgpack_object *list = a.unpacked.data.via.array.ptr;
    cr_assert(a.unpacked.data.via.array.size == 4 && list[0].via.u64 == 1);
    a.id = &list[1];
    a.error = &list[2];
    a.result = &list[3];
    return a;
}
static void forget(struct answer *a)
{
    msgpack_unpacked_destroy(&a->unpacked);
    buf_free(&a->bytes);
}

static struct answer call0(int fd, const char *method)
{
    struct buf b = {0};
    pk_t pk;
    request_head(&pk, &b, 1, method, 0);
    put(fd, &b);
    buf_free(&b);
    return read_answer(fd);
}
static struct answer call1(int fd, const char *method, const char *text)
{
    struct buf b = {0};
    pk_t pk;
    request_head(&pk, &b, 1, method, 1);
    pk_text(&pk, text);
    put(fd, &b);
    buf_free(&b);
    return read_answer(fd);
}

static uint64_t number(const msgpack_object *o, const char *a, const char *b)
{
    o = map_get(o, a);
    if (b) o = map_get(o, b);
    cr_assert(o && o->type == MSGPACK_OBJECT_POSITIVE_INTEGER, "%s.%s", a, b ? b : "");
    return o->via.u64;
}
static bool text_is(const msgpack_object *o, const char *text)
{
    struct slice s;
    return object_text(o, &s) && slice_is(s, text);
}

/* A frame of `count` events of the users first, first+1, ...; chunk as str or bin. */
static void send_events(int fd, uint32_t first, uint32_t count, const char *chunk, bool bin,
                        bool with_anonymous)
{
    struct buf b = {0};
    pk_t pk;
    char text[64];
    pk_init(&pk, &b);
    pk_list(&pk, 3);
    pk_text(&pk, "t");
    pk_list(&pk, count);
    for (uint32_t i = first; i < first + count; i++) {
        pk_list(&pk, 2);
        pk_uint(&pk, NOON_S);
        pk_map(&pk, with_anonymous ? 5 : 4);
        pk_text(&pk, "type");
        pk_text(&pk, "track");
        pk_text(&pk, "event");
        pk_text(&pk, with_anonymous ? "Signed Up" : "Seen");
        pk_text(&pk, "messageId");
        pk_slice(&pk,
                 slice_of(text, (size_t)snprintf(text, sizeof text, "%s-%u", with_anonymous ? "s" : "m", i)));
        pk_text(&pk, "userId");
        pk_slice(&pk, slice_of(text, (size_t)snprintf(text, sizeof text, "u%u", i)));
        if (!with_anonymous) continue;
        pk_text(&pk, "anonymousId");
        pk_slice(&pk, slice_of(text, (size_t)snprintf(text, sizeof text, "a%u", i)));
    }
    pk_map(&pk, 1);
    pk_text(&pk, "chunk");
    if (bin) {
        msgpack_pack_bin(&pk, strlen(chunk));
        msgpack_pack_bin_body(&pk, chunk, strlen(chunk));
    } else {
        pk_text(&pk, chunk);
    }
    put(fd, &b);
    buf_free(&b);
}

static void expect_ack(int fd, const char *chunk, bool bin)
{
    struct buf got = take(fd), want = {0};
    pk_t pk;
    pk_init(&pk, &want);
    pk_map(&pk, 1);
    pk_text(&pk, "ack");
    if (bin) {
        msgpack_pack_bin(&pk, strlen(chunk));
        msgpack_pack_bin_body(&pk, chunk, strlen(chunk));
    } else {
        pk_text(&pk, chunk);
    }
    cr_assert(slice_eq(buf_slice(&got), buf_slice(&want)), "the ack of %s", chunk);
    buf_free(&got);
    buf_free(&want);
}

TestSuite(admin, .init = begin, .fini = end, .timeout = 60);

/* ---- the protocol ------------------------------------------------------------------------------------------ */

Test(admin, an_unknown_method_is_answered_with_the_nearest_name)
{
    int fd = dial(admin_path);
    struct answer a = call0(fd, "stats.gett");
    struct slice message;
    cr_assert(text_is(map_get(a.error, "name"), "unknown_method"));
    cr_assert(object_text(map_get(a.error, "message"), &message) &&
              memmem(message.p, message.n, "stats.get", 9));
    forget(&a);
    close(fd);
}

Test(admin, byte_by_byte_pipelined_and_bin_names_are_the_same_request)
{
    int fd = dial(admin_path);
    struct buf b = {0};
    pk_t pk;
    for (uint32_t id = 1; id <= 40; id++) { /* more than are run at once */
        pk_init(&pk, &b);
        pk_list(&pk, 4);
        pk_uint(&pk, 0);
        pk_uint(&pk, id);
        msgpack_pack_bin(&pk, 9);
        msgpack_pack_bin_body(&pk, "sys.hello", 9);
        pk_list(&pk, 0);
    }
    for (size_t i = 0; i < b.n; i++) {
        cr_assert_eq(write(fd, b.p + i, 1), 1);
        if (i % 64 == 0) usleep(200);
    }
    uint64_t seen = 0;
    for (uint32_t id = 1; id <= 40; id++) {
        struct answer a = read_answer(fd);
        cr_assert_eq(a.error->type, MSGPACK_OBJECT_NIL);
        seen |= 1ull << a.id->via.u64;
        forget(&a);
    }
    cr_assert_eq(seen, (1ull << 41) - 2, "each answered once");
    buf_free(&b);
    close(fd);
}

Test(admin, a_notification_is_ignored_and_garbage_closes)
{
    int fd = dial(admin_path);
    struct buf b = {0};
    pk_t pk;
    pk_init(&pk, &b);
    pk_list(&pk, 3);
    pk_uint(&pk, 2);
    pk_text(&pk, "nobody.knows");
    pk_list(&pk, 0);
    put(fd, &b);
    struct answer a = call0(fd, "sys.hello");
    cr_assert_eq(number(a.result, "logical_shards", NULL), LOGICAL_SHARDS);
    forget(&a);
    cr_assert_eq(write(fd, "\xc1", 1), 1);
    struct buf nothing = take(fd);
    cr_assert_eq(nothing.n, 0);
    buf_free(&nothing);
    buf_free(&b);
    close(fd);
}

Test(admin, a_frame_that_claims_too_much_closes_before_it_is_sent)
{
    int fd = dial(admin_path);
    static uint8_t head[] = {0x94, 0, 1, 0xa1, 'x', 0x91, 0xc6, 0x7f, 0xff, 0xff, 0xff}; /* a bin of 2 GiB */
    static uint8_t zeros[4096];
    cr_assert_eq(write(fd, head, sizeof head), (ssize_t)sizeof head);
    size_t sent = 0;
    while (sent < 8 << 20) {
        ssize_t n = send(fd, zeros, sizeof zeros, MSG_NOSIGNAL);
        if (n <= 0) break;
        sent += (size_t)n;
    }
    cr_assert(sent < 8 << 20, "closed at about a frame's limit");
    close(fd);
}

Test(admin, stats_have_the_keys_that_users_rely_on)
{
    static const char *const keys[] = {
        "events",  "profiles",    "segments",     "segments_building", "journeys", "timers",
        "actions", "outbox",      "wal",          "snapshot",          "recovery", "latency_us",
        "loop",    "ring",        "identity",     "history",           "memory",   "clock",
        "disk",    "definitions", "core_version", "io_backend",        "uptime_s"};
    int fd = dial(admin_path);
    struct answer a = call0(fd, "stats.get");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        cr_assert(map_get(a.result, keys[i]), "%s", keys[i]);
    forget(&a);
    close(fd);
}

Test(admin, wrong_parameters_say_which_are_right)
{
    int fd = dial(admin_path);
    struct answer a = call0(fd, "profile.get");
    cr_assert(text_is(map_get(a.error, "name"), "bad_params"));
    forget(&a);
    a = call1(fd, "profile.get", "nobody");
    cr_assert(text_is(map_get(a.error, "name"), "not_found"));
    forget(&a);
    a = call1(fd, "query.count", "profile.");
    cr_assert(text_is(map_get(a.error, "name"), "bad_expression"));
    forget(&a);
    close(fd);
}

/* ---- events ---------------------------------------------------------------------------------------------------- */

Test(admin, after_the_ack_you_read_your_own_writes)
{
    int in = dial(ingest_path), fd = dial(admin_path);
    for (uint32_t round = 0; round < 20; round++) {
        send_events(in, round * 100, 100, "chunk-id", round % 2, false);
        expect_ack(in, "chunk-id", round % 2);
        struct answer a = call0(fd, "stats.get");
        cr_assert_eq(number(a.result, "events", "applied"), (round + 1) * 100);
        cr_assert_eq(number(a.result, "wal", "lsn"), number(a.result, "wal", "durable_lsn"));
        forget(&a);
    }
    close(in);
    close(fd);
}

Test(admin, acks_come_in_the_order_of_the_chunks)
{
    int in = dial(ingest_path);
    char id[16];
    for (uint32_t i = 0; i < 200; i++) {
        snprintf(id, sizeof id, "c%u", i);
        send_events(in, i * 7, i % 50, id, false, i % 3 == 0);
    }
    for (uint32_t i = 0; i < 200; i++) {
        snprintf(id, sizeof id, "c%u", i);
        expect_ack(in, id, false);
    }
    close(in);
}

Test(admin, an_ack_waits_for_the_merges_its_chunk_caused)
{
    int in = dial(ingest_path), fd = dial(admin_path);
    send_events(in, 0, 300, "merge", false, true);
    expect_ack(in, "merge", false);
    struct answer a = call0(fd, "stats.get");
    cr_assert_eq(number(a.result, "identity", "pending"), 0);
    cr_assert_eq(number(a.result, "events", "applied"), 300);
    cr_assert_eq(number(a.result, "ring", "credit_exhausted"), 0);
    forget(&a);
    a = call1(fd, "profile.get", "anon:a17");
    cr_assert(text_is(map_get(a.result, "user_id"), "u17"));
    forget(&a);
    close(in);
    close(fd);
}

Test(admin, state_is_the_same_after_a_stop_whatever_the_number_of_threads)
{
    int in = dial(ingest_path), fd = dial(admin_path);
    send_events(in, 0, 500, "x", false, true);
    expect_ack(in, "x", false);
    struct answer before = call0(fd, "sys.state_hash");
    close(in);
    close(fd);
    stop();
    start(3);
    fd = dial(admin_path);
    struct answer after = call0(fd, "sys.state_hash");
    struct slice a, b;
    cr_assert(object_text(map_get(before.result, "hash"), &a) &&
              object_text(map_get(after.result, "hash"), &b));
    cr_assert(slice_eq(a, b));
    forget(&before);
    forget(&after);
    close(fd);
}

/* ---- the test clock ---------------------------------------------------------------------------------------------- */

Test(admin, the_test_clock_goes_forward_only_and_survives_a_restart)
{
    int fd = dial(admin_path);
    struct answer a = call1(fd, "clock.advance", "2026-03-01T13:00:00Z");
    cr_assert_eq(number(a.result, "now", NULL), NOON_S + 3600);
    forget(&a);
    a = call1(fd, "clock.advance", NOON);
    cr_assert(text_is(map_get(a.error, "name"), "backwards"));
    forget(&a);
    close(fd);
    stop();
    start(1);
    fd = dial(admin_path);
    a = call0(fd, "stats.get");
    cr_assert_eq(number(a.result, "clock", "now"), NOON_S + 3600, "the log remembers");
    forget(&a);
    close(fd);
}
