/* The engine under pressure: many connections, slow ones, a full disk. */
#include "tests/unit/engine_kit.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>

static const msgpack_object *at(const msgpack_object *o, const char *a, const char *b)
{
    return map_get(map_get(o, a), b);
}

static uint64_t closed(int fd, const char *reason)
{
    struct answer a = call0(fd, "stats.get");
    const msgpack_object *o = map_get(at(a.result, "ingest", "closed"), reason);
    uint64_t n = o ? o->via.u64 : 0;
    forget(&a);
    return n;
}

static uint64_t applied(int fd)
{
    struct answer a = call0(fd, "stats.get");
    uint64_t n = number(a.result, "events", "applied");
    forget(&a);
    return n;
}

/* ---- connections ------------------------------------------------------------------------------------------- */

static char key_path[80];
static void short_deadlines(struct options *o)
{
    o->handshake_s = 1;
    o->half_frame_s = 1;
}
static void with_key(struct options *o)
{
    short_deadlines(o);
    snprintf(key_path, sizeof key_path, "%s/key", directory);
    FILE *f = fopen(key_path, "w");
    fputs("secret\n", f);
    fclose(f);
    chmod(key_path, 0600);
    o->shared_key_file = key_path;
}
static void begin_short(void)
{
    adjust = short_deadlines;
    begin();
}
static void begin_keyed(void)
{
    adjust = with_key;
    begin();
}
static void begin_plain(void) { begin(); }

static void small_files(struct options *o) { o->log_segment = 1 << 20; }
static void begin_small(void)
{
    adjust = small_files;
    begin();
}

TestSuite(engine_log, .init = begin_small, .fini = end, .timeout = 60);
TestSuite(engine_connections, .init = begin_plain, .fini = end, .timeout = 60);
TestSuite(engine_deadlines, .init = begin_short, .fini = end, .timeout = 60);
TestSuite(engine_handshake, .init = begin_keyed, .fini = end, .timeout = 60);

static bool ends_within(int fd, uint32_t seconds)
{
    struct timeval patience = {seconds, 0};
    uint8_t bytes[256];
    ssize_t n;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    while ((n = read(fd, bytes, sizeof bytes)) > 0) {
    }
    return n == 0;
}

Test(engine_handshake, who_does_not_answer_helo_is_closed_and_counted)
{
    int in = dial(ingest_path), fd = dial(admin_path);
    struct buf helo = take(in);
    cr_assert(helo.n > 0);
    buf_free(&helo);
    cr_assert(ends_within(in, 10));
    cr_assert_eq(closed(fd, "handshake_late"), 1);
    close(in);
    close(fd);
}

Test(engine_deadlines, half_a_frame_is_closed_and_an_idle_connection_is_not)
{
    int half = dial(ingest_path), idle = dial(ingest_path), fd = dial(admin_path);
    cr_assert_eq(write(half, "\x93\xa1t", 3), 3);
    cr_assert(ends_within(half, 10));
    cr_assert_eq(closed(fd, "half_frame"), 1);
    send_events(idle, 0, 1, "still", false, false);
    expect_ack(idle, "still", false);
    close(half);
    close(idle);
    close(fd);
}

/* Two seconds of frames, each sent together with the first half of the next: never idle, never late. */
Test(engine_deadlines, a_busy_connection_that_always_holds_half_a_frame_is_not_late)
{
    static const uint8_t frame[] = {0x94, 0xa1, 't', 0x01, 0x80, 0x81, 0xa5,
                                    'c',  'h',  'u', 'n',  'k',  0xa1, 'x'};
    int in = dial(ingest_path), fd = dial(admin_path);
    enum { HALF = 4 };
    cr_assert_eq(write(in, frame, HALF), HALF);
    for (uint32_t i = 0; i < 30; i++) {
        cr_assert_eq(send(in, frame + HALF, sizeof frame - HALF, MSG_NOSIGNAL),
                     (ssize_t)(sizeof frame - HALF));
        cr_assert_eq(send(in, frame, HALF, MSG_NOSIGNAL), HALF);
        expect_ack(in, "x", false);
        usleep(100000);
    }
    cr_assert_eq(closed(fd, "half_frame"), 0);
    close(in);
    close(fd);
}

Test(engine_connections, a_thousand_at_once_are_all_served)
{
    enum { CONNECTIONS = 1000 };
    static int in[CONNECTIONS];
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    cr_assert(files.rlim_cur > 2 * CONNECTIONS + 100, "this test needs %d files", 2 * CONNECTIONS + 100);
    int fd = dial(admin_path);
    for (uint32_t i = 0; i < CONNECTIONS; i++) in[i] = dial(ingest_path);
    for (uint32_t i = 0; i < CONNECTIONS; i++) send_events(in[i], i, 1, "a", false, false);
    for (uint32_t i = 0; i < CONNECTIONS; i++) expect_ack(in[i], "a", false);
    struct answer a = call0(fd, "stats.get");
    cr_assert_eq(number(a.result, "ingest", "connections"), CONNECTIONS);
    cr_assert_eq(number(a.result, "events", "applied"), CONNECTIONS);
    forget(&a);
    for (uint32_t i = 0; i < CONNECTIONS; i++) close(in[i]);
    for (uint32_t i = 0; i < 1000; i++) {
        a = call0(fd, "stats.get");
        uint64_t left = number(a.result, "ingest", "connections");
        forget(&a);
        if (!left) break;
        cr_assert(i < 999, "%lu connections are left", (unsigned long)left);
        usleep(5000);
    }
    close(fd);
}

/* ---- a log that is slower than its senders --------------------------------------------------------------------- */

/* Events of 30 KB: a frame of them is more than the log takes at once. */
static void send_fat_events(int fd, uint32_t first, uint32_t count, const char *chunk)
{
    static char fat[30 << 10];
    struct buf b = {0};
    pk_t pk;
    char text[64];
    memset(fat, 'x', sizeof fat);
    pk_init(&pk, &b);
    pk_list(&pk, 3);
    pk_text(&pk, "t");
    pk_list(&pk, count);
    for (uint32_t i = first; i < first + count; i++) {
        pk_list(&pk, 2);
        pk_uint(&pk, NOON_S);
        pk_map(&pk, 4);
        pk_text(&pk, "type");
        pk_text(&pk, "page");
        pk_text(&pk, "messageId");
        pk_slice(&pk, slice_of(text, (size_t)snprintf(text, sizeof text, "f%u", i)));
        pk_text(&pk, "userId");
        pk_slice(&pk, slice_of(text, (size_t)snprintf(text, sizeof text, "u%u", i)));
        pk_text(&pk, "context");
        pk_map(&pk, 1);
        pk_text(&pk, "fat");
        pk_slice(&pk, slice_of(fat, sizeof fat));
    }
    pk_map(&pk, 1);
    pk_text(&pk, "chunk");
    pk_text(&pk, chunk);
    for (size_t at = 0; at < b.n;) {
        ssize_t n = send(fd, b.p + at, b.n - at, MSG_NOSIGNAL);
        cr_assert(n > 0);
        at += (size_t)n;
    }
    buf_free(&b);
}

Test(engine_log, what_the_log_has_no_room_for_waits_in_order_and_nothing_is_lost)
{
    int in[3], fd = dial(admin_path);
    for (uint32_t i = 0; i < 3; i++) in[i] = dial(ingest_path);
    for (uint32_t round = 0; round < 3; round++)
        for (uint32_t i = 0; i < 3; i++) send_fat_events(in[i], (round * 3 + i) * 250, 250, "fat");
    for (uint32_t round = 0; round < 3; round++)
        for (uint32_t i = 0; i < 3; i++) expect_ack(in[i], "fat", false);
    struct answer a = call0(fd, "stats.get");
    cr_assert_eq(number(a.result, "events", "applied"), 9 * 250);
    cr_assert(number(a.result, "ingest", "spilled") > 0, "the log was never full: nothing was tested");
    forget(&a);
    for (uint32_t i = 0; i < 3; i++) close(in[i]);
    close(fd);
}

/* ---- a full disk --------------------------------------------------------------------------------------------- */

/* The real disk, but new files may be refused. */
struct scarce {
    struct disk base;
    struct disk_ops ops;
    struct disk *real;
    _Atomic bool full;
};
static struct scarce scarce;

static struct disk *wrapped; /* whose calls we pass on: every op gets the disk it belongs to */
#define REAL wrapped->ops
static int s_open(struct disk *d, const char *path, int flags)
{
    if ((flags & DISK_CREATE) && scarce.full) return -ENOSPC;
    return REAL->open(wrapped, path, flags);
}
static void s_close(struct disk *d, int file) { REAL->close(wrapped, file); }
static int64_t s_size(struct disk *d, int file) { return REAL->size(wrapped, file); }
static int64_t s_read(struct disk *d, int file, uint64_t o, void *p, size_t n)
{
    return REAL->read(wrapped, file, o, p, n);
}
static int64_t s_write_now(struct disk *d, int file, uint64_t o, const void *p, size_t n)
{
    return REAL->write_now(wrapped, file, o, p, n);
}
static int s_sync(struct disk *d, int file) { return REAL->sync(wrapped, file); }
static int s_truncate(struct disk *d, int file, uint64_t n) { return REAL->truncate(wrapped, file, n); }
static int s_rename(struct disk *d, const char *a, const char *b) { return REAL->rename(wrapped, a, b); }
static int s_unlink(struct disk *d, const char *path) { return REAL->unlink(wrapped, path); }
static int s_link(struct disk *d, const char *a, const char *b) { return REAL->link(wrapped, a, b); }
static int s_mkdir(struct disk *d, const char *path) { return REAL->mkdir(wrapped, path); }
static int s_sync_dir(struct disk *d, const char *path) { return REAL->sync_dir(wrapped, path); }
static int s_list(struct disk *d, const char *path, void (*each)(void *self, const char *name), void *self)
{
    return REAL->list(wrapped, path, each, self);
}
static int64_t s_space(struct disk *d) { return REAL->space(wrapped); }
static void s_write(struct disk *d, int file, uint64_t o, const void *p, size_t n, struct disk_op *op)
{
    REAL->write(wrapped, file, o, p, n, op);
}
static void s_poll(struct disk *d) { REAL->poll(wrapped); }

static struct disk *make_scarce(struct disk *real)
{
    wrapped = real;
    scarce.ops = (struct disk_ops){.open = s_open,
                                   .close = s_close,
                                   .size = s_size,
                                   .read = s_read,
                                   .write_now = s_write_now,
                                   .sync = s_sync,
                                   .truncate = s_truncate,
                                   .rename = s_rename,
                                   .unlink = s_unlink,
                                   .link = s_link,
                                   .mkdir = s_mkdir,
                                   .sync_dir = s_sync_dir,
                                   .list = s_list,
                                   .space = s_space,
                                   .write = s_write,
                                   .poll = s_poll};
    scarce.base.ops = &scarce.ops;
    scarce.full = false;
    return &scarce.base;
}

static void begin_scarce(void)
{
    adjust = small_files;
    adjust_disk = make_scarce;
    begin();
}
static void end_scarce(void)
{
    scarce.full = false;
    end();
}
TestSuite(engine_disk, .init = begin_scarce, .fini = end_scarce, .timeout = 120);

static bool disk_full(int fd)
{
    struct answer a = call0(fd, "stats.get");
    bool full = at(a.result, "disk", "full")->via.boolean;
    forget(&a);
    return full;
}

enum { PER_CHUNK = 500, SENDERS = 3 };
struct sender {
    pthread_t thread;
    uint32_t index;
    _Atomic uint32_t sent, acked;
    _Atomic bool stop;
};

/* Sends chunk after chunk, each once the one before is acknowledged, until told to stop. */
static void *send_chunks(void *arg)
{
    struct sender *s = arg;
    int in = dial(ingest_path);
    char id[32];
    while (!s->stop) {
        uint32_t n = s->sent++;
        snprintf(id, sizeof id, "%u-%u", s->index, n);
        send_events(in, (s->index << 24) + n * PER_CHUNK, PER_CHUNK, id, false, n % 2);
        expect_ack(in, id, false);
        s->acked++;
    }
    close(in);
    return NULL;
}

static uint32_t all_acked(struct sender *list)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < SENDERS; i++) n += list[i].acked;
    return n;
}

Test(engine_disk, without_room_acks_stop_questions_are_answered_and_with_room_it_goes_on)
{
    static struct sender senders[SENDERS];
    int fd = dial(admin_path);
    for (uint32_t i = 0; i < SENDERS; i++) {
        senders[i].index = i;
        pthread_create(&senders[i].thread, NULL, send_chunks, &senders[i]);
    }
    while (all_acked(senders) < 5) usleep(1000);
    scarce.full = true;
    for (uint32_t i = 0, before = 0, still = 0; still < 20; i++) { /* 400 ms without any ack */
        cr_assert(i < 3000, "the log never filled");
        uint32_t now = all_acked(senders);
        still = now == before && disk_full(fd) ? still + 1 : 0;
        before = now;
        usleep(20000);
    }
    uint32_t stuck = all_acked(senders);
    struct answer a = call0(fd, "sys.hello");
    cr_assert_eq(a.error->type, MSGPACK_OBJECT_NIL);
    forget(&a);
    usleep(1500000); /* the retry of each second finds no room either */
    cr_assert_eq(all_acked(senders), stuck, "an ack without room");
    scarce.full = false;
    for (uint32_t i = 0; all_acked(senders) < stuck + 10; i++) {
        cr_assert(i < 4000, "it does not go on");
        usleep(5000);
    }
    for (uint32_t i = 0; i < SENDERS; i++) senders[i].stop = true;
    for (uint32_t i = 0; i < SENDERS; i++) pthread_join(senders[i].thread, NULL);
    cr_assert_not(disk_full(fd));
    uint64_t total = (uint64_t)all_acked(senders) * PER_CHUNK;
    cr_assert_eq(applied(fd), total, "each event once");
    struct answer before = call0(fd, "sys.state_hash"), after;
    close(fd);
    stop();
    start(3);
    fd = dial(admin_path);
    after = call0(fd, "sys.state_hash");
    struct slice x, y;
    cr_assert(object_text(map_get(before.result, "hash"), &x) &&
              object_text(map_get(after.result, "hash"), &y));
    cr_assert(slice_eq(x, y));
    forget(&before);
    forget(&after);
    close(fd);
}
