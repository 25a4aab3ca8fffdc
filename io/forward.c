/* forward.c - the way of a frame:
 *
 *   bytes -> find_end (resumable, one pass whatever the cuts; notes where entries end) -> frame_parse (shape, option,
 *         inflate) -> frame_begin? -> entries -> frame_end
 *
 *  1. Nothing of a frame is handed out before all of it is known to be whole and well-formed.
 *  2. Where the reads are cut makes no difference to what the sink sees.
 *  3. No count or length of the input makes us allocate: the assembly buffer grows by what has really come.
 * A frame that lies whole in one read is used where it lies; one that spans reads is put together in `held`. */
#include "io/forward.h"
#include "core/base/check.h"
#include "io/handshake.h"
#include "io/inflate.h"

#include <openssl/crypto.h>
#include <stdlib.h>

enum {
    KEEP_BYTES = 64 << 10,
    SPARE_BYTES_MIN = 128 << 10,
    ENDS_MAX =
        64 << 10, /* entries whose ends are noted; of a frame with more, the others are walked once more */
    BODY = 1,     /* the root's second item tells the mode */
    PING_ITEMS = 6
};

enum state { AWAIT_PING, OPEN, CLOSED };

/* Where find_end stands in the current frame. */
struct frame_scan {
    size_t at;           /* bytes of it that were looked at */
    struct mp_scan item; /* the one at hand: of the root, or an entry */
    uint32_t count, nth; /* items of the root; the one at hand */
    uint32_t entries;    /* of the body, the one at hand included */
    size_t body_at;
    bool body_begun, body_is_array;
};
static const struct frame_scan FRAME_SCAN_NEW = {.item = {.items = 1}};

/* Bits of an entry's end: its record may be nested too deeply; it was decoded on the way. */
#define END_DEEP    (1u << 31)
#define END_DECODED (1u << 30)
#define END_OFFSET  (END_DECODED - 1)

struct forward {
    struct forward_sink sink;
    enum state state;
    enum forward_close why;
    bool stopped;       /* frame_begin said "not now": held begins with that frame */
    bool inflated_kept; /* and inflated holds its entries */
    struct buf held;    /* bytes not handled yet */
    struct frame_scan scan;
    struct buf ends;     /* u32 each: where an entry ends, from the first one's beginning on, and END_DEEP */
    uint32_t body_bytes; /* of the entries of an array; of time and record */
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

/* An array's header alone: what it announces need not be there yet. False: it is cut. */
static bool read_array_header(struct mp *m, uint32_t *count)
{
    uint8_t lead = m->p[0];
    size_t bytes = lead == 0xdd ? 5 : lead == 0xdc ? 3 : 1;
    if (mp_left(m) < bytes) return false;
    *count = bytes == 5 ? load_be32(m->p + 1) : bytes == 3 ? load_be16(m->p + 1) : lead & 0x0fu;
    m->p += bytes;
    return true;
}

/* The root tells early whether this is Forward at all: HTTP, JSON and TLS begin with other bytes. True: so far well. */
static bool root_ok(const struct forward *f, const uint8_t *p, size_t n, enum forward_close *why)
{
    struct mp m = {p, p + n, MP_OK};
    uint32_t count;
    *why = f->state == AWAIT_PING ? FORWARD_CLOSE_HANDSHAKE : FORWARD_CLOSE_NOT_FORWARD;
    if (p[0] == 0xc0) return true;
    if (p[0] == 0xc1) *why = FORWARD_CLOSE_BAD_MSGPACK;
    if (mp_peek(&m) != MP_ARRAY) return false;
    if (!read_array_header(&m, &count)) return true;
    if (f->state == AWAIT_PING) return count == PING_ITEMS;
    *why = FORWARD_CLOSE_BAD_ENTRIES;
    return count >= 2 && count <= 4;
}

static uint32_t end_of(size_t end, const struct mp_scan *entry)
{
    return (uint32_t)end | (entry->containers > MSGPACK_DEPTH_MAX ? END_DEEP : 0);
}

static void note_end(struct forward *f, uint32_t end)
{
    if (f->ends.n / 4 < ENDS_MAX) buf_put_le32(&f->ends, end);
}

/* The second item: an array is entered, so that each entry's end is seen. False: its header is cut. */
static bool begin_body(struct forward *f, const uint8_t *p, struct mp *m)
{
    struct frame_scan *s = &f->scan;
    if (!mp_left(m)) return false;
    s->body_is_array = mp_peek(m) == MP_ARRAY;
    if (s->body_is_array && !read_array_header(m, &s->entries)) return false;
    s->body_begun = true;
    s->body_at = (size_t)(m->p - p);
    f->body_bytes = 0;
    buf_clear(&f->ends);
    return true;
}

/* An entry's end is noted; of Message mode, which holds time and record where others hold entries, the record's. */
static void item_over(struct forward *f, size_t at)
{
    struct frame_scan *s = &f->scan;
    if (s->entries || (!s->body_is_array && s->nth == BODY + 1)) {
        note_end(f, end_of(at - s->body_at, &s->item));
        f->body_bytes = (uint32_t)(at - s->body_at);
    }
    if (s->entries)
        s->entries--;
    else
        s->nth++;
    s->item = FRAME_SCAN_NEW.item;
}

/* True: all of the frame is there, m is behind it. */
static bool scan_frame(struct forward *f, const uint8_t *p, struct mp *m)
{
    struct frame_scan *s = &f->scan;
    if (!s->count && p[0] == 0xc0) s->count = 1;
    if (!s->count && !read_array_header(m, &s->count)) return false;
    while (s->nth < s->count) {
        if (s->nth == BODY && !s->body_begun && !begin_body(f, p, m)) return false;
        if (s->nth == BODY && s->body_is_array && !s->entries) {
            s->nth++;
            continue;
        }
        if (!mp_scan(&s->item, m)) return false;
        item_over(f, (size_t)(m->p - p));
    }
    return true;
}

/* Bytes that the frame needs at least, by what its headers said so far: an item has one or more. */
static uint64_t bytes_at_least(const struct frame_scan *s, size_t at)
{
    uint64_t behind = s->entries ? s->entries - 1 : 0;
    if (s->nth < s->count) behind += s->count - s->nth - 1;
    return at + s->item.items + s->item.bytes + behind;
}

/* The length of the frame at p, 0: not all of it is there yet, or *why says what is wrong. Goes on where it stopped. */
static size_t find_end(struct forward *f, const uint8_t *p, size_t n, enum forward_close *why)
{
    size_t most = f->state == AWAIT_PING ? HANDSHAKE_BYTES_MAX : FRAME_BYTES_MAX;
    *why = FORWARD_CLOSE_NONE;
    if (n == 0 || (f->scan.at < 5 && !root_ok(f, p, n, why))) return 0;
    struct mp m = {p + f->scan.at, p + n, MP_OK};
    bool whole = scan_frame(f, p, &m);
    size_t at = (size_t)(m.p - p);
    if (!m.err) f->scan.at = at;
    *why = FORWARD_CLOSE_NONE;
    if (m.err)
        *why = FORWARD_CLOSE_BAD_MSGPACK;
    else if ((whole ? at : bytes_at_least(&f->scan, at)) > most)
        *why = f->state == AWAIT_PING ? FORWARD_CLOSE_HANDSHAKE : FORWARD_CLOSE_FRAME_TOO_LARGE;
    if (*why || !whole) return 0;
    f->scan = FRAME_SCAN_NEW;
    return at;
}

/* ---- entries ----------------------------------------------------------------------------------- */

/* EventTime, as nearly all send it. False, m as it was: another form, or a bad one. */
static inline bool read_event_time(struct mp *m, int64_t *ms)
{
    enum { BYTES = 10 };
    if (mp_left(m) < BYTES || m->p[0] != 0xd7 || m->p[1] != 0) return false;
    uint32_t second = load_be32(m->p + 2), ns = load_be32(m->p + 6);
    if (ns >= 1000000000) return false;
    m->p += BYTES;
    *ms = (int64_t)second * 1000 + ns / 1000000;
    return true;
}

/* Integer or float seconds, milliseconds when above 1e11, EventTime; nil and 0: none given. */
static enum reject read_plain_time(struct mp *m, int64_t *ms)
{
    if (read_event_time(m, ms)) return REJECT_NONE;
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

/* All that is left is one item, known to be whole; `deep`: perhaps too deeply nested. */
static enum reject read_record(struct mp *m, bool deep, struct slice *record)
{
    *record = slice_of(m->p, mp_left(m));
    if (mp_peek(m) != MP_MAP) return REJECT_BAD_ENTRY;
    if (record->n > EVENT_BYTES_MAX) return REJECT_TOO_LARGE;
    return deep && !mp_skip(m) ? REJECT_TOO_DEEP : REJECT_NONE;
}

/* One entry, known to be well-formed: all that m has. In Message mode time and record stand without an array. */
static void read_entry(struct mp *m, bool deep, bool message, struct forward_entry *e)
{
    struct slice all = slice_of(m->p, mp_left(m));
    *e = (struct forward_entry){.record = all, .reject = REJECT_BAD_ENTRY};
    if (!message && (mp_peek(m) != MP_ARRAY || mp_array(m) != 2)) return;
    enum reject time = message ? read_plain_time(m, &e->time_ms) : read_time(m, &e->time_ms);
    enum reject record = read_record(m, deep, &e->record);
    e->reject = time ? time : record;
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

/* The usual [time, record]: decoding finds its end. False, m as it was: anything else, or a refusal. */
static bool decode_entry(struct forward *f, uint32_t nth, struct mp *m)
{
    struct mp at = *m;
    int64_t ms;
    if (mp_left(&at) < 3 || *at.p++ != 0x92) return false;
    if (!read_event_time(&at, &ms) && (read_plain_time(&at, &ms) || at.err)) return false;
    uint32_t n = f->sink.decode(f->sink.self, nth, slice_of(at.p, mp_left(&at)), ms);
    m->p = n ? at.p + n : m->p;
    return n != 0;
}

/* What is packed in a string was not looked into by find_end. */
static enum forward_close count_packed(struct forward *f, struct frame *frame)
{
    struct mp m = mp_of(frame->entries);
    bool decodes = f->sink.decode && !frame->bad_tag;
    uint32_t nth = 0;
    buf_clear(&f->ends);
    for (; mp_left(&m); nth++) {
        struct mp_scan entry = {.items = 1};
        bool decoded = decodes && nth < ENDS_MAX && decode_entry(f, nth, &m);
        if (!decoded && !mp_scan(&entry, &m))
            return m.err ? FORWARD_CLOSE_BAD_MSGPACK : FORWARD_CLOSE_BAD_ENTRIES;
        note_end(f, end_of((size_t)(m.p - frame->entries.p), &entry) | (decoded ? END_DECODED : 0));
    }
    frame->chunk.entries = nth;
    return FORWARD_CLOSE_NONE;
}

/* The second item tells the mode: array Forward, text PackedForward, a time Message. */
static enum forward_close read_body(const struct forward *f, struct mp *m, uint32_t items,
                                    struct frame *frame)
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
    frame->chunk.entries = array ? mp_array(m) : 1;
    frame->entries = slice_of(m->p, f->body_bytes);
    m->p += f->body_bytes;
    return FORWARD_CLOSE_NONE;
}

static enum forward_close frame_parse(struct forward *f, struct slice bytes, struct frame *frame)
{
    struct mp m = mp_of(bytes);
    uint32_t items = mp_array(&m);
    *frame = (struct frame){0};
    read_tag(&m, frame);
    enum forward_close why = read_body(f, &m, items, frame);
    if (!why && items == (frame->message ? 4 : 3)) why = read_option(&m, frame);
    if (!why && frame->gzip) why = inflate_entries(f, frame);
    if (!why && frame->packed) why = count_packed(f, frame);
    return why;
}

/* Where the nth entry, which begins at m, ends; m goes on behind it. */
static uint32_t next_end(struct forward *f, uint32_t nth, const uint8_t *base, struct mp *m)
{
    struct mp_scan scan = {.items = 1};
    uint32_t end;
    if (nth < ENDS_MAX) {
        end = load_le32(f->ends.p + 4 * (size_t)nth);
    } else {
        CHECK(mp_scan(&scan, m));
        end = end_of((size_t)(m->p - base), &scan);
    }
    m->p = base + (end & END_OFFSET);
    return end;
}

/* One that was decoded on the way, so all of it is known to be well. */
static inline bool read_decoded(struct mp *m, uint32_t nth, struct forward_entry *e)
{
    *e = (struct forward_entry){.decoded = nth + 1};
    m->p++;
    if (!read_event_time(m, &e->time_ms)) return false;
    e->record = slice_of(m->p, mp_left(m));
    return true;
}

static void hand_out(struct forward *f, const struct frame *frame)
{
    struct mp m = mp_of(frame->entries);
    for (uint32_t i = 0; i < frame->chunk.entries; i++) {
        struct forward_entry e;
        struct mp entry = m, usual = m;
        uint32_t end = next_end(f, i, frame->entries.p, &m);
        usual.end = entry.end = m.p;
        if (!(end & END_DECODED) || !read_decoded(&usual, i, &e)) {
            read_entry(&entry, end & END_DEEP, frame->message, &e);
            if (end & END_DECODED) e.decoded = i + 1;
        }
        if (frame->bad_tag) e.reject = REJECT_BAD_TAG;
        f->sink.entry(f->sink.self, &e);
    }
    CHECK(mp_left(&m) == 0);
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
    if (f->ends.cap > KEEP_BYTES) buf_free(&f->ends);
    return FORWARD_CLOSE_NONE;
}

/* ---- shared-key handshake ------------------------------------------------------------------------- */

static void digest_of(const struct forward *f, struct slice salt, struct slice host,
                      char out[DIGEST_HEX_BYTES + 1])
{
    handshake_digest(salt, host, slice_of(f->nonce, NONCE_BYTES), buf_slice(&f->key), out);
}

/* All in str: Fluent Bit takes nothing else here. */
static void send_pong(struct forward *f, bool good, const char *reason, struct slice hostname,
                      const char *digest)
{
    uint8_t text[64 + HOST_BYTES_MAX + DIGEST_HEX_BYTES], *p = mpw_array(text, 5);
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
    char expected[DIGEST_HEX_BYTES + 1], answer[DIGEST_HEX_BYTES + 1];
    mp_array(&m);
    for (int i = 0; i < PING_ITEMS; i++) field[i] = mp_str(&m);
    struct slice host = field[1], salt = field[2], digest = field[3];
    if (m.err || !slice_is(field[0], "PING")) return FORWARD_CLOSE_HANDSHAKE;
    if (host.n > HOST_BYTES_MAX || digest.n != DIGEST_HEX_BYTES) return FORWARD_CLOSE_HANDSHAKE;
    digest_of(f, salt, host, expected);
    if (!handshake_digest_eq(expected, digest)) {
        send_pong(f, false, "shared_key mismatch", (struct slice){0}, "");
        return FORWARD_CLOSE_HANDSHAKE;
    }
    digest_of(f, salt, buf_slice(&f->hostname), answer);
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

/* Frames of one size come one after another, on this connection or on another one of the thread. */
static void hold(struct forward *f, const uint8_t *p, size_t n)
{
    struct forward_spares *s = f->sink.spares;
    if (s && s->count && f->held.n + n >= KEEP_BYTES && f->held.cap < SPARE_BYTES_MIN) {
        struct buf small = f->held;
        f->held = s->list[--s->count];
        buf_put(&f->held, small.p, small.n);
        buf_free(&small);
    }
    buf_put(&f->held, p, n);
}

static void release_held(struct forward *f)
{
    struct forward_spares *s = f->sink.spares;
    size_t bytes = f->held.cap;
    if (s && s->count < FORWARD_SPARES && bytes >= SPARE_BYTES_MIN && bytes <= FORWARD_SPARE_BYTES) {
        buf_clear(&f->held);
        s->list[s->count++] = f->held;
        f->held = (struct buf){0};
    } else if (bytes > KEEP_BYTES) {
        buf_free(&f->held);
    }
}

void forward_spares_free(struct forward_spares *s)
{
    while (s->count) buf_free(&s->list[--s->count]);
}

static void drop_front(struct forward *f, size_t n)
{
    f->held.n -= n;
    if (f->held.n)
        memmove(f->held.p, f->held.p + n, f->held.n);
    else
        release_held(f);
}

enum forward_close forward_feed(struct forward *f, const uint8_t *p, size_t n)
{
    CHECK(!f->stopped);
    if (f->state == CLOSED) return f->why;
    if (f->held.n) {
        size_t before = f->held.n;
        hold(f, p, n);
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
    if (f->state != CLOSED && used < n) hold(f, p + used, n - used);
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
    return sizeof *f + f->held.cap + f->ends.cap + f->inflated.cap + f->key.cap + f->hostname.cap;
}

struct forward *forward_create(const struct forward_sink *sink, const struct forward_security *security,
                               const uint8_t nonce[16])
{
    struct forward *f = calloc(1, sizeof *f);
    CHECK(f != NULL);
    f->sink = *sink;
    f->state = OPEN;
    f->scan = FRAME_SCAN_NEW;
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
    buf_free(&f->ends);
    buf_free(&f->inflated);
    buf_free(&f->key);
    buf_free(&f->hostname);
    free(f);
}
