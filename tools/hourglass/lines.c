/* lines.c - reading messages. The time that goes with a record (as the Forward entry's) is the message's own: the same
 * file gives the same records on every run, by `ingest` as by `simulate`. */
#include "tools/hourglass/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "core/base/msgpack.h"
#include "core/model/value.h"
#include "tools/hourglass/cli.h"
#include "tools/hourglass/json.h"

enum { LINE_BYTES_MAX = 1 << 20, READ_BYTES = 256 << 10 };

struct lines {
    const char *path;
    gzFile file;
    uint64_t bytes; /* of the file on disk */
    uint32_t number;
    struct buf window; /* what was read; the next line begins at `at` */
    size_t at;
    bool ended;
    struct buf record;
};

struct lines *lines_open(const char *path)
{
    struct stat st = {0};
    bool in = strcmp(path, "-") == 0;
    if (!in && stat(path, &st) != 0) die(EXIT_FAILED, "%s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode)) die(EXIT_FAILED, "%s: is a directory", path);
    errno = 0;
    gzFile file = in ? gzdopen(dup(STDIN_FILENO), "rb") : gzopen(path, "rb");
    if (!file) die(EXIT_FAILED, "%s: %s", path, strerror(errno));
    struct lines *l = calloc(1, sizeof *l);
    if (!l) die(EXIT_FAILED, "no memory");
    *l = (struct lines){.path = in ? "stdin" : path, .file = file, .bytes = (uint64_t)st.st_size};
    gzbuffer(l->file, 256 << 10);
    return l;
}

void lines_close(struct lines *l)
{
    gzclose_r(l->file);
    buf_free(&l->record);
    buf_free(&l->window);
    free(l);
}

double lines_share(const struct lines *l)
{
    return l->bytes ? (double)gzoffset(l->file) / (double)l->bytes : 0;
}

static int64_t time_of(struct mp *m)
{
    int64_t ms = 0;
    enum mp_type type = mp_peek(m);
    if (type == MP_STR) return iso8601_parse(mp_str(m), &ms) ? ms : 0;
    if (type != MP_INT && type != MP_FLOAT) return mp_skip(m), 0;
    double v = mp_double(m);
    return v > 1e11 ? (int64_t)v
           : v > 0  ? (int64_t)(v * 1000)
                    : 0; /* seconds or milliseconds, as the server reads it */
}

static int64_t entry_ms(struct slice record)
{
    int64_t own = 0, original = 0;
    struct mp m = mp_of(record);
    for (uint32_t n = mp_map(&m); n > 0 && m.err == MP_OK; n--) {
        struct slice key = mp_str(&m);
        if (slice_is(key, "timestamp"))
            own = time_of(&m);
        else if (slice_is(key, "originalTimestamp"))
            original = time_of(&m);
        else
            mp_skip(&m);
    }
    return own ? own : original;
}

/* More bytes behind the window; false: the file has ended. */
static bool read_more(struct lines *l)
{
    if (l->ended) return false;
    if (l->at) memmove(l->window.p, l->window.p + l->at, l->window.n - l->at);
    l->window.n -= l->at;
    l->at = 0;
    buf_reserve(&l->window, READ_BYTES);
    int n = gzread(l->file, l->window.p + l->window.n, READ_BYTES), bad = 0;
    const char *why = gzerror(l->file, &bad);
    if (n < 0 && bad == Z_ERRNO && errno == EINTR && interrupted) n = 0;
    if (bad == Z_BUF_ERROR) die(EXIT_DAMAGED, "%s: the compressed file ends too early", l->path);
    if (n < 0) die(EXIT_DAMAGED, "%s: %s", l->path, bad == Z_ERRNO ? strerror(errno) : why);
    l->window.n += (size_t)n;
    l->ended = n == 0;
    return n > 0;
}

static bool blank(struct slice line)
{
    for (uint32_t i = 0; i < line.n; i++)
        if (line.p[i] != ' ' && line.p[i] != '\t' && line.p[i] != '\r' && line.p[i] != '\n') return false;
    return true;
}

/* What some editors put in front of UTF-8. */
static void skip_byte_order_mark(struct slice *line)
{
    if (line->n >= 3 && memcmp(line->p, "\xef\xbb\xbf", 3) == 0) *line = slice_of(line->p + 3, line->n - 3);
}

/* The next line that is not blank, without its end; false: no more. */
static bool next_line(struct lines *l, struct slice *line)
{
    size_t seen = 0;
    for (;;) {
        uint8_t *from = l->window.p + l->at,
                *end =
                    l->window.n > l->at + seen ? memchr(from + seen, '\n', l->window.n - l->at - seen) : NULL;
        seen = l->window.n - l->at;
        if (!end && seen <= LINE_BYTES_MAX && read_more(l)) continue;
        if (!end && seen == 0) return false;
        *line = slice_of(l->window.p + l->at, end ? (size_t)(end - from) : seen);
        l->number++;
        if (line->n > LINE_BYTES_MAX)
            die(EXIT_DAMAGED, "%s:%u: a line of more than 1 MiB", l->path, l->number);
        l->at += line->n + (end != NULL);
        seen = 0;
        if (l->number == 1) skip_byte_order_mark(line);
        if (!blank(*line)) return true;
    }
}

bool lines_next(struct lines *l, struct message *out)
{
    struct json_error e;
    struct slice line;
    if (!next_line(l, &line)) return false;
    buf_clear(&l->record);
    if (!json_to_msgpack(line, l->number, &l->record, &e))
        die(EXIT_DAMAGED, "%s:%u:%u: %s", l->path, e.line, e.column, e.reason);
    struct mp m = mp_of(buf_slice(&l->record));
    if (mp_peek(&m) != MP_MAP) die(EXIT_DAMAGED, "%s:%u:1: a line holds one JSON object", l->path, l->number);
    *out = (struct message){buf_slice(&l->record), entry_ms(buf_slice(&l->record))};
    return true;
}
