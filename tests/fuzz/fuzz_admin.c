/* The admin socket of a running engine. The first byte: a method's number, and the rest are its parameters in MessagePack;
 * or from 128 on any bytes, written in pieces. Afterwards the engine still answers another connection. Every now and then
 * it stops in good order and begins anew. */
#include "io/admin.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { RUNS_OF_ONE_ENGINE = 3000, PATIENCE_S = 5 };

static struct engine engine;
static struct options options;
static char directory[64], admin_url[96], admin_path[80], ingest_url[96];
static uint32_t runs;

/* ---- the engine --------------------------------------------------------------------------------------------- */

static void start(void)
{
    const char *base = getenv("HOURGLASS_TEST_DIR");
    snprintf(directory, sizeof directory, "%.40s/hg-fuzz-XXXXXX", base ? base : "/tmp");
    CHECK(mkdtemp(directory) != NULL);
    snprintf(admin_path, sizeof admin_path, "%s/a.sock", directory);
    snprintf(admin_url, sizeof admin_url, "unix://%s", admin_path);
    snprintf(ingest_url, sizeof ingest_url, "unix://%s/in.sock", directory);
    options = (struct options){.data = directory,
                               .admin = admin_url,
                               .ingest = {ingest_url},
                               .ingest_count = 1,
                               .shards = 1,
                               .sync = SYNC_NONE,
                               .log_segment = 1 << 20,
                               .fake_clock = "2026-03-01T12:00:00Z",
                               .hash_secret = "00112233445566778899aabbccddeeff"};
    CHECK(engine_open(&engine, &options) == 0);
    admin_create(&engine);
    CHECK(engine_start(&engine) == 0);
    admin_start(&engine);
}

static enum call_state shut_down(struct worker *w, struct call *c)
{
    admin_shutdown(w->engine);
    return CALL_DONE;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    return remove(path);
}

static void stop(void)
{
    struct call c = {.run = shut_down};
    call_post(&engine.workers[0], &c);
    engine_join(&engine);
    CHECK(engine.exit_code == 0);
    admin_destroy(&engine);
    engine_close(&engine);
    nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- a client ------------------------------------------------------------------------------------------------- */

static int dial(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct timeval patience = {PATIENCE_S, 0};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", admin_path);
    for (int i = 0; i < 5000; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
        if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0) return fd;
        close(fd);
        usleep(1000);
    }
    CHECK(!"nobody listens");
    return -1;
}

/* Neither is restarted behind a signal, and the fuzzer's own clock sends one every few seconds. */
static ssize_t receive(int fd, uint8_t *p, size_t n)
{
    for (;;) {
        ssize_t got = recv(fd, p, n, 0);
        if (got >= 0 || errno != EINTR) return got;
    }
}

static bool put(int fd, const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) return false;
        if (sent > 0) p += sent, n -= (size_t)sent;
    }
    return true;
}

/* Until the answer to request `id` is there (true) or the peer closed. Silence is a failure. */
static bool wait_answer(int fd, uint8_t id)
{
    struct buf in = {0};
    bool found = false;
    while (!found) {
        uint8_t piece[4096];
        ssize_t n = receive(fd, piece, sizeof piece);
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            break; /* reset: closed before it had read all that we sent */
        if (n < 0) {
            fprintf(stderr, "no answer to %u: %s\n", id, strerror(errno));
            abort();
        }
        buf_put(&in, piece, (size_t)n);
        size_t used = 0;
        for (struct mp m = mp_of(buf_slice(&in)); mp_left(&m);) {
            struct mp item = mp_of(mp_item(&m));
            if (m.err) break;
            used = (size_t)(m.p - in.p);
            found = found || (mp_array(&item) == 4 && mp_int(&item) == 1 && mp_uint(&item) == id);
        }
        memmove(in.p, in.p + used, in.n - used);
        in.n -= used;
    }
    buf_free(&in);
    return found;
}

/* `alive`: it must be answered. */
static void ask_hello(int fd, bool alive)
{
    static const uint8_t hello[] = "\x94\x00\x7f\xa9sys.hello\x90";
    bool answered = put(fd, hello, sizeof hello - 1) && wait_answer(fd, 0x7f);
    CHECK(answered || !alive);
}

static void call(int fd, const struct method *method, struct slice params)
{
    struct buf b = {0};
    struct mp m = mp_of(params);
    bool list = mp_peek(&m) == MP_ARRAY && mp_skip(&m) && !mp_left(&m);
    pk_t pk;
    pk_init(&pk, &b);
    pk_list(&pk, 4);
    pk_uint(&pk, 0);
    pk_uint(&pk, 1);
    pk_text(&pk, method->name);
    if (!list) pk_list(&pk, 1);
    pk_raw(&pk, params);
    put(fd, b.p, b.n);
    buf_free(&b);
    if (list) ask_hello(fd, true); /* a well-formed request never costs the connection */
}

static void any_bytes(int fd, const uint8_t *p, size_t n, size_t step)
{
    for (size_t at = 0; at < n; at += step)
        if (!put(fd, p + at, n - at < step ? n - at : step)) return;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static int witness;
    if (!n || n > 1 << 16) return 0;
    if (runs++ % RUNS_OF_ONE_ENGINE == 0) {
        signal(SIGPIPE, SIG_IGN);
        if (runs > 1) {
            close(witness);
            stop();
        } else {
            atexit(stop);
        }
        start();
        witness = dial();
    }
    int fd = dial();
    if (data[0] < 128)
        call(fd, &admin_methods[data[0] % admin_method_count], slice_of(data + 1, n - 1));
    else
        any_bytes(fd, data + 1, n - 1, 1 + (data[0] & 127) * 8u);
    close(fd);
    ask_hello(witness, true);
    return 0;
}
