/* forward.c - the way of a frame:
 *
 *   bytes -> find_end (resumable, one pass whatever the cuts) -> frame_parse (shape, option, inflate, entry ends)
 *         -> frame_begin? -> entries -> frame_end
 *
 *  1. Nothing of a frame is handed out before all of it is known to be whole and well-formed.
 *  2. Where the reads are cut makes no difference to what the sink sees.
 *  3. No count or length of the input makes us allocate: the assembly buffer grows by what has really come.
 * A frame that lies whole in one read is used where it lies; one that spans reads is put together in `held`. */
#include "io/forward.h"
#include "core/base/check.h"
#include "io/inflate.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

enum {
    KEEP_BYTES = 64 << 10,
    PING_BYTES_MAX = 1024,
    PING_ITEMS = 6,
    HOST_BYTES_MAX = 255,
    NONCE_BYTES = 16,
    DIGEST_BYTES = 64,
    HEX_BYTES = 2 * DIGEST_BYTES
};

enum state { AWAIT_PING, OPEN, CLOSED };

struct forward {
    struct forward_sink sink;
    enum state state;
    enum forward_close why;
    bool stopped;        /* frame_begin said "not now": held begins with that frame */
    bool inflated_kept;  /* and inflated holds its entries */
    struct buf held;     /* bytes not handled yet */
    struct mp_scan scan; /* where find_end stands in the current frame */
    size_t scanned;
    struct buf inflated;
    struct buf key, hostname;
    uint8_t nonce[NONCE_BYTES];
};

const char *forward_close_text(enum forward_close c)
{
    static const char *const TEXTS[] = {
#define X(name, text) text,
        FORWARD_CLOSE_REASONS(X)
#undef X
    };
    return c < FORWARD_CLOSE_COUNT ? TEXTS[c] : "unknown";
}

/* ---- where a frame ends ---------------------------------------------------------------------- */

/* The root tells early whether this is Forward at all: HTTP, JSON and TLS begin with other bytes. True: so far well. */
static bool root_ok(const struct forward *f, const uint8_t *p, size_t n, enum forward_close *why)
{
    struct mp m = {p, p + n, MP_OK};
    uint32_t count;
    *why = f->state == AWAIT_PING ? FORWARD_CLOSE_HANDSHAKE : FORWARD_CLOSE_NOT_FORWARD;
    if (p[0] == 0xc0) return true;
    if (p[0] == 0xc1) *why = FORWARD_CLOSE_BAD_MSGPACK;
    if (mp_peek(&m) != MP_ARRAY) return false;
    if ((p[0] & 0xf0) == 0x90)
        count = p[0] & 0x0f;
    else if (p[0] == 0xdc && n >= 3)
        count = load_be16(p + 1);
    else if (p[0] == 0xdd && n >= 5)
        count = load_be32(p + 1);
    else
        return true;
    if (f->state == AWAIT_PING) return count == PING_ITEMS;
    *why = FORWARD_CLOSE_BAD_ENTRIES;
    return count >= 2 && count <= 4;
}

/* The length of the frame at p, 0: not all of it is there yet, or *why says what is wrong. Goes on where it stopped. */
static size_t find_end(struct forward *f, const uint8_t *p, size_t n, enum forward_close *why)
{
    size_t most = f->state == AWAIT_PING ? PING_BYTES_MAX : FRAME_BYTES_MAX;
    *why = FORWARD_CLOSE_NONE;
    if (n == 0 || (f->scanned < 5 && !root_ok(f, p, n, why))) return 0;
    struct mp m = {p + f->scanned, p + n, MP_OK};
    bool whole = mp_scan(&f->scan, &m);
    size_t at = (size_t)(m.p - p), at_least = at + f->scan.items + f->scan.bytes;
    if (!m.err) f->scanned = at;
    *why = FORWARD_CLOSE_NONE;
    if (m.err)
        *why = FORWARD_CLOSE_BAD_MSGPACK;
    else if (at_least > most)
        *why = f->state == AWAIT_PING ? FORWARD_CLOSE_HANDSHAKE : FORWARD_CLOSE_FRAME_TOO_LARGE;
    if (*why || !whole) return 0;
    f->scan = (struct mp_scan){.items = 1};
    f->scanned = 0;
    return at;
}

/* ---- entries ----------------------------------------------------------------------------------- */

/* Integer or float seconds, milliseconds when above 1e11, EventTime; nil and 0: none given. */
static enum reject read_plain_time(struct mp *m, int64_t *ms)
{
    *ms = 0;
    if (mp_nil(m)) return REJECT_NONE;
    if (mp_is_number(m)) {
        bool ok = time_from_number(mp_double(m), ms);
        return ok && *ms >= 0 ? REJECT_NONE : REJECT_BAD_TIME;
    }
    int8_t type;
    int64_t s;
    uint32_t ns;
    if (mp_peek(m) != MP_EXT) {
        mp_skip_any_depth(m);
        return REJECT_BAD_TIME;
    }
    struct slice body = mp_ext(m, &type);
    if (!time_from_ext(type, body, &s, &ns) || s < 0) return REJECT_BAD_TIME;
    *ms = s * 1000 + ns / 1000000;
    return REJECT_NONE;
}

/* A time, or [time, {metadata}] as Fluent Bit sends it. */
static enum reject read_time(struct mp *m, int64_t *ms)
{
    if (mp_peek(m) != MP_ARRAY) return read_plain_time(m, ms);
    struct mp before = *m;
    uint32_t n = mp_array(m);
    if (n == 2) {
        enum reject reject = read_plain_time(m, ms);
        bool map = mp_peek(m) == MP_MAP || mp_peek(m) == MP_NIL;
        mp_skip_any_depth(m);
        return map ? reject : REJECT_BAD_ENTRY;
    }
    *m = before;
    mp_skip_any_depth(m);
    return REJECT_BAD_ENTRY;
}

static enum reject read_record(struct mp *m, struct slice *record)
{
    struct mp at = *m;
    bool map = mp_peek(m) == MP_MAP;
    *record = mp_item(m);
    enum reject reject = m->err == MP_DEEP ? REJECT_TOO_DEEP : REJECT_NONE;
    if (m->err) {
        *m = at;
        mp_skip_any_depth(m);
        *record = slice_of(at.p, (size_t)(m->p - at.p));
    }
    if (!map) return REJECT_BAD_ENTRY;
    return record->n > EVENT_BYTES_MAX ? REJECT_TOO_LARGE : reject;
}

/* One entry of entries that are known to be well-formed. */
static void read_entry(struct mp *m, struct forward_entry *e)
{
    struct mp at = *m;
    *e = (struct forward_entry){.reject = REJECT_BAD_ENTRY};
    if (mp_peek(m) == MP_ARRAY && mp_array(m) == 2) {
        enum reject time = read_time(m, &e->time_ms), record = read_record(m, &e->record);
        e->reject = time ? time : record;
        return;
    }
    *m = at;
    mp_skip_any_depth(m);
    e->record = slice_of(at.p, (size_t)(m->p - at.p));
}

/* ---- one frame ----------------------------------------------------------------------------------- */

struct frame {
    struct forward_chunk chunk;
    struct slice entries; /* one behind the other; Message mode: time and record */
    bool message, packed, gzip, bad_tag;
};

static bool tag_ok(struct slice tag)
{
    return tag.n > 0 && tag.n <= TAG_BYTES_MAX && text_printable(tag) && !memmem(tag.p, tag.n, "../", 3);
}

static void read_tag(struct mp *m, struct frame *frame)
{
    frame->bad_tag = mp_peek(m) != MP_STR;
    if (frame->bad_tag) {
        mp_skip_any_depth(m);
        return;
    }
    frame->chunk.tag = mp_str(m);
    frame->bad_tag = !tag_ok(frame->chunk.tag);
    if (frame->bad_tag) frame->chunk.tag = (struct slice){0};
}

static enum forward_close read_chunk(struct mp *m, struct frame *frame)
{
    if (!mp_is_text(m)) return FORWARD_CLOSE_BAD_CHUNK;
    if (frame->chunk.chunk.n) return FORWARD_CLOSE_BAD_OPTION;
    frame->chunk.chunk_is_bin = mp_peek(m) == MP_BIN;
    frame->chunk.chunk = mp_str(m);
    uint32_t n = frame->chunk.chunk.n;
    return n > 0 && n <= CHUNK_ID_BYTES_MAX ? FORWARD_CLOSE_NONE : FORWARD_CLOSE_BAD_CHUNK;
}

static enum forward_close read_compressed(struct mp *m, struct frame *frame)
{
    if (mp_nil(m)) return FORWARD_CLOSE_NONE;
    if (!mp_is_text(m)) return FORWARD_CLOSE_BAD_COMPRESSION;
    struct slice name = mp_str(m);
    if (slice_is(name, "zstd")) return FORWARD_CLOSE_UNSUPPORTED;
    frame->gzip = slice_is(name, "gzip");
    if (frame->gzip && !frame->packed) return FORWARD_CLOSE_BAD_COMPRESSION;
    return frame->gzip || slice_is(name, "text") ? FORWARD_CLOSE_NONE : FORWARD_CLOSE_BAD_COMPRESSION;
}

/* Metrics and traces are another payload altogether. */
static enum forward_close read_signal(struct mp *m)
{
    enum mp_type type = mp_peek(m);
    if (mp_nil(m)) return FORWARD_CLOSE_NONE;
    if (type != MP_INT) return FORWARD_CLOSE_BAD_OPTION;
    return mp_int(m) == 0 ? FORWARD_CLOSE_NONE : FORWARD_CLOSE_UNSUPPORTED;
}

static enum forward_close read_option(struct mp *m, struct frame *frame)
{
    enum forward_close why = FORWARD_CLOSE_NONE;
    if (mp_nil(m)) return why;
    if (mp_peek(m) != MP_MAP) return FORWARD_CLOSE_BAD_OPTION;
    for (uint32_t n = mp_map(m); n > 0 && !why; n--) {
        if (!mp_is_text(m)) return FORWARD_CLOSE_BAD_OPTION;
        struct slice key = mp_str(m);
        if (slice_is(key, "chunk"))
            why = read_chunk(m, frame);
        else if (slice_is(key, "compressed"))
            why = read_compressed(m, frame);
        else if (slice_is(key, "fluent_signal"))
            why = read_signal(m);
        else
            mp_skip_any_depth(m);
    }
    return why;
}

static enum forward_close inflate_entries(struct forward *f, struct frame *frame)
{
    if (!f->inflated_kept) {
        enum inflate_result result = gzip_inflate(frame->entries, INFLATED_BYTES_MAX, &f->inflated);
        if (result == INFLATE_TOO_LARGE) return FORWARD_CLOSE_INFLATED_TOO_LARGE;
        if (result != INFLATE_OK) return FORWARD_CLOSE_BAD_COMPRESSION;
    }
    frame->entries = buf_slice(&f->inflated);
    return FORWARD_CLOSE_NONE;
}

/* What is packed in a string was not looked into by find_end. */
static enum forward_close count_packed(struct frame *frame)
{
    struct mp m = mp_of(frame->entries);
    for (frame->chunk.entries = 0; mp_left(&m); frame->chunk.entries++)
        if (!mp_skip_any_depth(&m)) break;
    if (m.err) return m.err == MP_BAD ? FORWARD_CLOSE_BAD_MSGPACK : FORWARD_CLOSE_BAD_ENTRIES;
    return FORWARD_CLOSE_NONE;
}

/* The second item tells the mode: array Forward, text PackedForward, a time Message. */
static enum forward_close read_body(struct mp *m, uint32_t items, struct frame *frame)
{
    enum mp_type type = mp_peek(m);
    bool array = type == MP_ARRAY;
    frame->packed = type == MP_STR || type == MP_BIN;
    frame->message = mp_is_number(m) || type == MP_EXT || type == MP_NIL;
    if (!array && !frame->packed && !frame->message) return FORWARD_CLOSE_BAD_ENTRIES;
    if (frame->message ? items < 3 : items > 3) return FORWARD_CLOSE_BAD_ENTRIES;
    if (frame->packed) {
        frame->entries = mp_str(m);
        return FORWARD_CLOSE_NONE;
    }
    uint32_t n = array ? mp_array(m) : 2;
    const uint8_t *from = m->p;
    for (uint32_t i = 0; i < n; i++) mp_skip_any_depth(m);
    frame->entries = slice_of(from, (size_t)(m->p - from));
    frame->chunk.entries = array ? n : 1;
    return FORWARD_CLOSE_NONE;
}

static enum forward_close frame_parse(struct forward *f, struct slice bytes, struct frame *frame)
{
    struct mp m = mp_of(bytes);
    uint32_t items = mp_array(&m);
    *frame = (struct frame){0};
    read_tag(&m, frame);
    enum forward_close why = read_body(&m, items, frame);
    if (!why && items == (frame->message ? 4 : 3)) why = read_option(&m, frame);
    if (!why && frame->gzip) why = inflate_entries(f, frame);
    if (!why && frame->packed) why = count_packed(frame);
    return why;
}

static void hand_out(struct forward *f, const struct frame *frame)
{
    struct mp m = mp_of(frame->entries);
    for (uint32_t i = 0; i < frame->chunk.entries; i++) {
        struct forward_entry e = {0};
        if (frame->message) {
            enum reject time = read_plain_time(&m, &e.time_ms), record = read_record(&m, &e.record);
            e.reject = time ? time : record;
        } else {
            read_entry(&m, &e);
        }
        if (frame->bad_tag) e.reject = REJECT_BAD_TAG;
        f->sink.entry(f->sink.self, &e);
    }
    CHECK(m.err == MP_OK && mp_left(&m) == 0);
}

static enum forward_close handle_data(struct forward *f, struct slice bytes)
{
    struct frame frame;
    enum forward_close why = frame_parse(f, bytes, &frame);
    f->inflated_kept = false;
    if (why) return why;
    if (!f->sink.frame_begin(f->sink.self, &frame.chunk)) {
        f->stopped = true;
        f->inflated_kept = frame.gzip;
        return FORWARD_CLOSE_NONE;
    }
    hand_out(f, &frame);
    f->sink.frame_end(f->sink.self, &frame.chunk);
    if (f->inflated.cap) buf_free(&f->inflated);
    return FORWARD_CLOSE_NONE;
}

/* ---- shared-key handshake ------------------------------------------------------------------------- */

static void hex_digest(const struct forward *f, struct slice salt, struct slice host, char out[HEX_BYTES + 1])
{
    static const char HEX[] = "0123456789abcdef";
    uint8_t digest[DIGEST_BYTES];
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool ok = c && EVP_DigestInit_ex(c, EVP_sha512(), NULL) && EVP_DigestUpdate(c, salt.p, salt.n) &&
              EVP_DigestUpdate(c, host.p, host.n) && EVP_DigestUpdate(c, f->nonce, NONCE_BYTES) &&
              EVP_DigestUpdate(c, f->key.p, f->key.n) && EVP_DigestFinal_ex(c, digest, NULL);
    CHECK(ok);
    EVP_MD_CTX_free(c);
    for (uint32_t i = 0; i < DIGEST_BYTES; i++) {
        out[2 * i] = HEX[digest[i] >> 4];
        out[2 * i + 1] = HEX[digest[i] & 15];
    }
    out[HEX_BYTES] = 0;
}

/* All in str: Fluent Bit takes nothing else here. */
static void send_pong(struct forward *f, bool good, const char *reason, struct slice hostname,
                      const char *digest)
{
    uint8_t text[64 + HOST_BYTES_MAX + HEX_BYTES], *p = mpw_array(text, 5);
    p = mpw_str(p, SLICE("PONG"));
    p = mpw_bool(p, good);
    p = mpw_str(p, slice_str(reason));
    p = mpw_str(p, hostname);
    p = mpw_str(p, slice_str(digest));
    f->sink.reply(f->sink.self, text, (size_t)(p - text));
}

/* ["PING", client hostname, salt, hex digest, user, hex password]: the last two are for servers with users. */
static enum forward_close handle_ping(struct forward *f, struct slice bytes)
{
    struct mp m = mp_of(bytes);
    struct slice field[PING_ITEMS];
    char expected[HEX_BYTES + 1], answer[HEX_BYTES + 1];
    mp_array(&m);
    for (int i = 0; i < PING_ITEMS; i++) field[i] = mp_str(&m);
    struct slice host = field[1], salt = field[2], digest = field[3];
    if (m.err || !slice_is(field[0], "PING")) return FORWARD_CLOSE_HANDSHAKE;
    if (host.n > HOST_BYTES_MAX || digest.n != HEX_BYTES) return FORWARD_CLOSE_HANDSHAKE;
    hex_digest(f, salt, host, expected);
    if (CRYPTO_memcmp(expected, digest.p, HEX_BYTES) != 0) {
        send_pong(f, false, "shared_key mismatch", (struct slice){0}, "");
        return FORWARD_CLOSE_HANDSHAKE;
    }
    hex_digest(f, salt, buf_slice(&f->hostname), answer);
    send_pong(f, true, "", buf_slice(&f->hostname), answer);
    f->state = OPEN;
    return FORWARD_CLOSE_NONE;
}

/* nonce and auth go as bin: as text that is no UTF-8, one of the clients would wait for ever. */
void forward_start(struct forward *f)
{
    if (f->state != AWAIT_PING) return;
    uint8_t text[96], *p = mpw_array(text, 2);
    p = mpw_str(p, SLICE("HELO"));
    p = mpw_map(p, 3);
    p = mpw_str(p, SLICE("nonce"));
    p = mpw_bin(p, slice_of(f->nonce, NONCE_BYTES));
    p = mpw_str(p, SLICE("auth"));
    p = mpw_bin(p, (struct slice){0});
    p = mpw_str(p, SLICE("keepalive"));
    p = mpw_bool(p, true);
    f->sink.reply(f->sink.self, text, (size_t)(p - text));
}

/* ---- bytes in ---------------------------------------------------------------------------------------- */

static enum forward_close handle_frame(struct forward *f, struct slice bytes)
{
    if (bytes.p[0] == 0xc0) return FORWARD_CLOSE_NONE; /* a heartbeat */
    return f->state == AWAIT_PING ? handle_ping(f, bytes) : handle_data(f, bytes);
}

/* Handles the whole frames at p; returns how many bytes are done with. */
static size_t run(struct forward *f, const uint8_t *p, size_t n)
{
    size_t at = 0;
    while (f->state != CLOSED && !f->stopped) {
        size_t length = find_end(f, p + at, n - at, &f->why);
        if (length) f->why = handle_frame(f, slice_of(p + at, length));
        if (f->why) f->state = CLOSED;
        if (length == 0 || f->stopped) break;
        at += length;
    }
    return at;
}

static void drop_front(struct forward *f, size_t n)
{
    f->held.n -= n;
    if (f->held.n)
        memmove(f->held.p, f->held.p + n, f->held.n);
    else if (f->held.cap > KEEP_BYTES)
        buf_free(&f->held);
}

enum forward_close forward_feed(struct forward *f, const uint8_t *p, size_t n)
{
    CHECK(!f->stopped);
    if (f->state == CLOSED) return f->why;
    if (f->held.n) {
        size_t before = f->held.n;
        buf_put(&f->held, p, n);
        size_t length = find_end(f, f->held.p, f->held.n, &f->why);
        if (f->why) f->state = CLOSED;
        if (!length) return f->why;
        f->why = handle_frame(f, slice_of(f->held.p, length));
        if (f->why) f->state = CLOSED;
        if (f->why || f->stopped) return f->why;
        drop_front(f, f->held.n);
        p += length - before;
        n -= length - before;
    }
    size_t used = run(f, p, n);
    if (f->state != CLOSED && used < n) buf_put(&f->held, p + used, n - used);
    return f->why;
}

enum forward_close forward_resume(struct forward *f)
{
    CHECK(f->stopped);
    f->stopped = false;
    if (f->state != CLOSED) drop_front(f, run(f, f->held.p, f->held.n));
    return f->why;
}

bool forward_stopped(const struct forward *f) { return f->stopped; }
bool forward_greeted(const struct forward *f) { return f->state != AWAIT_PING; }
bool forward_idle(const struct forward *f) { return f->held.n == 0; }
size_t forward_memory(const struct forward *f)
{
    return sizeof *f + f->held.cap + f->inflated.cap + f->key.cap + f->hostname.cap;
}

struct forward *forward_create(const struct forward_sink *sink, const struct forward_security *security,
                               const uint8_t nonce[16])
{
    struct forward *f = calloc(1, sizeof *f);
    CHECK(f != NULL);
    f->sink = *sink;
    f->state = OPEN;
    f->scan.items = 1;
    if (security) {
        CHECK(security->hostname.n <= HOST_BYTES_MAX);
        f->state = AWAIT_PING;
        buf_put_slice(&f->key, security->shared_key);
        buf_put_slice(&f->hostname, security->hostname);
        memcpy(f->nonce, nonce, NONCE_BYTES);
    }
    return f;
}

void forward_destroy(struct forward *f)
{
    if (f->key.p) OPENSSL_cleanse(f->key.p, f->key.n);
    buf_free(&f->held);
    buf_free(&f->inflated);
    buf_free(&f->key);
    buf_free(&f->hostname);
    free(f);
}
