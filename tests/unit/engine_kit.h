/* engine_kit.h - the whole engine in this process, and its two sockets: MessagePack-RPC and Forward.
 * begin() makes a directory and starts; end() stops and removes it. `adjust` may change the options of the next start. */
#ifndef HG_TESTS_ENGINE_KIT_H
#define HG_TESTS_ENGINE_KIT_H

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
static void (*adjust)(struct options *o);
static struct disk *(*adjust_disk)(struct disk *real); /* what the engine runs on once it has recovered */
static struct disk *real_disk;
static char directory[64], admin_url[96], ingest_url[96], ingest_path[80], admin_path[80];

__attribute__((unused)) static void start(uint32_t threads)
{
    options = (struct options){.data = directory,
                               .admin = admin_url,
                               .ingest = {ingest_url},
                               .ingest_count = 1,
                               .shards = threads,
                               .log_segment = 4 << 20,
                               .fake_clock = NOON,
                               .order = "arrival",
                               .hash_secret = "00112233445566778899aabbccddeeff"};
    signal(SIGPIPE, SIG_IGN);
    if (adjust) adjust(&options);
    cr_assert_eq(engine_open(&engine, &options), 0);
    real_disk = engine.disk;
    if (adjust_disk) engine.disk = engine.dir.disk = adjust_disk(engine.disk);
    admin_create(&engine);
    cr_assert_eq(engine_start(&engine), 0);
    admin_start(&engine);
}

static enum call_state shut_down(struct worker *w, struct call *c)
{
    admin_shutdown(w->engine);
    return CALL_DONE;
}

/* Every thread has ended; what the shards hold can still be looked at. */
__attribute__((unused)) static void halt(void)
{
    struct call c = {.run = shut_down};
    call_post(&engine.workers[0], &c);
    engine_join(&engine);
    cr_assert_eq(engine.exit_code, 0);
}

__attribute__((unused)) static void close_engine(void)
{
    admin_destroy(&engine);
    engine.disk = engine.dir.disk = real_disk;
    engine_close(&engine);
}

__attribute__((unused)) static void stop(void)
{
    halt();
    close_engine();
}

__attribute__((unused)) static void make_directory(void)
{
    strcpy(directory, "/tmp/hg-admin-XXXXXX");
    cr_assert(mkdtemp(directory) != NULL);
    snprintf(admin_path, sizeof admin_path, "%s/admin.sock", directory);
    snprintf(ingest_path, sizeof ingest_path, "%s/in.sock", directory);
    snprintf(admin_url, sizeof admin_url, "unix://%s", admin_path);
    snprintf(ingest_url, sizeof ingest_url, "unix://%s", ingest_path);
}

__attribute__((unused)) static void begin(void)
{
    make_directory();
    start(2);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    return remove(path);
}
__attribute__((unused)) static void remove_directory(void)
{
    nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

__attribute__((unused)) static void end(void)
{
    stop();
    remove_directory();
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

__attribute__((unused)) static void put(int fd, const struct buf *b)
{
    cr_assert_eq(write(fd, b->p, b->n), (ssize_t)b->n);
}

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

__attribute__((unused)) static void request_head(pk_t *pk, struct buf *b, uint32_t id, const char *method,
                                                 uint32_t params)
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
__attribute__((unused)) static void forget(struct answer *a)
{
    msgpack_unpacked_destroy(&a->unpacked);
    buf_free(&a->bytes);
}

__attribute__((unused)) static struct answer call0(int fd, const char *method)
{
    struct buf b = {0};
    pk_t pk;
    request_head(&pk, &b, 1, method, 0);
    put(fd, &b);
    buf_free(&b);
    return read_answer(fd);
}
__attribute__((unused)) static struct answer call1(int fd, const char *method, const char *text)
{
    struct buf b = {0};
    pk_t pk;
    request_head(&pk, &b, 1, method, 1);
    pk_text(&pk, text);
    put(fd, &b);
    buf_free(&b);
    return read_answer(fd);
}

__attribute__((unused)) static uint64_t number(const msgpack_object *o, const char *a, const char *b)
{
    o = map_get(o, a);
    if (b) o = map_get(o, b);
    cr_assert(o && o->type == MSGPACK_OBJECT_POSITIVE_INTEGER, "%s.%s", a, b ? b : "");
    return o->via.u64;
}
__attribute__((unused)) static bool text_is(const msgpack_object *o, const char *text)
{
    struct slice s;
    return object_text(o, &s) && slice_is(s, text);
}

__attribute__((unused)) static void apply_text(int fd, const char *text)
{
    struct buf b = {0};
    pk_t pk;
    request_head(&pk, &b, 1, "definitions.apply", 1);
    pk_map(&pk, 1);
    pk_text(&pk, "files");
    pk_map(&pk, 1);
    pk_text(&pk, "shop.yaml");
    pk_text(&pk, text);
    put(fd, &b);
    buf_free(&b);
    struct answer a = read_answer(fd);
    cr_assert_eq(a.error->type, MSGPACK_OBJECT_NIL);
    forget(&a);
}

/* A frame of `count` events of the users first, first+1, ...; chunk as str or bin. */
__attribute__((unused)) static void send_events(int fd, uint32_t first, uint32_t count, const char *chunk,
                                                bool bin, bool with_anonymous)
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

__attribute__((unused)) static void send_all(int fd, struct slice bytes)
{
    for (size_t at = 0; at < bytes.n;) {
        ssize_t n = send(fd, bytes.p + at, bytes.n - at, MSG_NOSIGNAL);
        cr_assert(n > 0);
        at += (size_t)n;
    }
}

/* A frame of packed records. */
__attribute__((unused)) static void send_records(int fd, const struct slice *records, uint32_t count,
                                                 uint32_t second, const char *chunk)
{
    struct buf b = {0};
    pk_t pk;
    pk_init(&pk, &b);
    pk_list(&pk, 3);
    pk_text(&pk, "t");
    pk_list(&pk, count);
    for (uint32_t i = 0; i < count; i++) {
        pk_list(&pk, 2);
        pk_uint(&pk, second);
        pk_raw(&pk, records[i]);
    }
    pk_map(&pk, 1);
    pk_text(&pk, "chunk");
    pk_text(&pk, chunk);
    send_all(fd, buf_slice(&b));
    buf_free(&b);
}

__attribute__((unused)) static void expect_ack(int fd, const char *chunk, bool bin)
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

#endif
