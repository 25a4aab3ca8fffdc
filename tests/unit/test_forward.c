/* The Forward side: what real clients sent, every cut of it, and what nobody should send. */
#include "core/base/limits.h"
#include "core/model/schema.h"
#include "io/forward.h"
#include "io/inflate.h"
#include "tests/unit/mp_text.h"

#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <zlib.h>

/* ---- a sink that writes down what it sees ------------------------------------------------------ */

struct watcher {
    struct buf seen; /* one line a callback */
    struct buf replies;
    uint32_t refusals; /* how often frame_begin answers "not now" before it agrees */
    uint32_t left;
    uint32_t reply_writes;
};

static void put_slice(struct buf *b, const char *name, struct slice s)
{
    buf_printf(b, " %s=", name);
    for (uint32_t i = 0; i < s.n; i++) buf_printf(b, s.p[i] > 32 && s.p[i] < 127 ? "%c" : "\\%02x", s.p[i]);
}

static bool on_begin(void *self, const struct forward_chunk *c)
{
    struct watcher *w = self;
    if (w->left > 0) {
        w->left--;
        return false;
    }
    w->left = w->refusals;
    buf_printf(&w->seen, "begin %u%s", c->entries, c->chunk_is_bin ? " bin" : "");
    put_slice(&w->seen, "tag", c->tag);
    put_slice(&w->seen, "chunk", c->chunk);
    buf_put_u8(&w->seen, '\n');
    return true;
}
static void on_entry(void *self, const struct forward_entry *e)
{
    struct watcher *w = self;
    buf_printf(&w->seen, "entry %lld %s", (long long)e->time_ms, reject_text(e->reject));
    put_slice(&w->seen, "record", e->record);
    buf_put_u8(&w->seen, '\n');
}
static void on_end(void *self, const struct forward_chunk *c)
{
    buf_printf(&((struct watcher *)self)->seen, "end %u\n", c->entries);
}
static void on_reply(void *self, const void *p, size_t n)
{
    struct watcher *w = self;
    buf_put(&w->replies, p, n);
    w->reply_writes++;
}

static struct forward *create(struct watcher *w, const struct forward_security *security,
                              const uint8_t *nonce)
{
    struct forward_sink sink = {w, on_begin, on_entry, on_end, on_reply};
    return forward_create(&sink, security, nonce);
}

/* Feeds `bytes` in pieces of `step` (each in a buffer of its own, so that a sanitizer sees a read behind it). */
static enum forward_close feed(struct forward *f, struct slice bytes, size_t step)
{
    enum forward_close why = FORWARD_CLOSE_NONE;
    for (size_t at = 0; at < bytes.n && !why; at += step) {
        size_t n = bytes.n - at < step ? bytes.n - at : step;
        uint8_t *piece = malloc(n);
        memcpy(piece, bytes.p + at, n);
        why = forward_feed(f, piece, n);
        free(piece);
        while (!why && forward_stopped(f)) why = forward_resume(f);
    }
    return why;
}

static struct slice seen_in_steps(struct slice bytes, size_t step, uint32_t refusals, enum forward_close *why)
{
    struct watcher w = {.refusals = refusals, .left = refusals};
    struct forward *f = create(&w, NULL, NULL);
    *why = feed(f, bytes, step);
    cr_assert_eq(forward_feed(f, NULL, 0), *why, "a close is for good");
    forward_destroy(f);
    buf_put_u8(&w.seen, 0);
    return mp_text_keep(&w.seen);
}

/* The claim of all claims: where the reads are cut makes no difference. Returns what was seen, as text. */
static const char *seen(struct slice bytes, enum forward_close *why)
{
    struct slice whole = seen_in_steps(bytes, bytes.n, 0, why);
    for (int k = 0; k < 6; k++) {
        static const size_t STEPS[] = {1, 2, 3, 7, 64, 1000000};
        enum forward_close other;
        struct slice cut = seen_in_steps(bytes, STEPS[k], (uint32_t)k % 3, &other);
        cr_assert_eq(other, *why, "%s, not %s", forward_close_text(other), forward_close_text(*why));
        cr_assert(slice_eq(whole, cut), "steps of %zu:\n%s\nwhole:\n%s", STEPS[k], cut.p, whole.p);
    }
    return (const char *)whole.p;
}

static const char *seen_text(const char *text)
{
    enum forward_close why;
    const char *s = seen(mp_text(text), &why);
    cr_assert_eq(why, FORWARD_CLOSE_NONE, "%s: %s", text, forward_close_text(why));
    return s;
}
#define SEES(text, expected) cr_assert_str_eq(seen_text(text), expected)

/* Closes for this reason, and nothing of it was handed out. */
static void closes(struct slice bytes, enum forward_close expected, const char *what)
{
    enum forward_close why;
    const char *s = seen(bytes, &why);
    cr_assert_eq(why, expected, "%s: %s", what, forward_close_text(why));
    cr_assert_str_eq(s, "", "%s", what);
}
#define CLOSES(text, reason) closes(mp_text(text), FORWARD_CLOSE_##reason, text)

/* ---- real clients --------------------------------------------------------------------------------- */

static struct schema *schema;
static struct hash_secret secret;
static struct arena arena, scratch;

struct expectation {
    char *rest; /* TIME:MESSAGE_ID ... still to come */
    char *chunk;
    uint32_t begins, ends, entries;
};

static bool expect_begin(void *self, const struct forward_chunk *c)
{
    struct expectation *x = self;
    cr_assert(slice_is(c->chunk, strcmp(x->chunk, "-") ? x->chunk : ""));
    cr_assert_not(c->chunk_is_bin, "all three clients send and expect str");
    cr_assert(c->tag.n > 4 && memcmp(c->tag.p, "seg.", 4) == 0);
    x->begins++;
    x->entries = c->entries;
    return true;
}
static void expect_entry(void *self, const struct forward_entry *e)
{
    struct expectation *x = self;
    struct event event;
    char *time = strsep(&x->rest, " "), *id = strchr(time, ':');
    *id++ = 0;
    cr_assert_eq(e->reject, REJECT_NONE);
    cr_assert_eq(e->time_ms, atoll(time));
    arena_reset(&scratch);
    cr_assert_eq(event_parse(schema, &secret, e->record, e->time_ms, &scratch, &event), REJECT_NONE);
    cr_assert(slice_is(event.message_id, id));
    cr_assert(event.has_own_time);
}
static void expect_end(void *self, const struct forward_chunk *c) { ((struct expectation *)self)->ends++; }

static void check_frame(char *rest)
{
    char *name = strsep(&rest, " "), *chunk = strsep(&rest, " ");
    struct slice bytes = hex_bytes(strsep(&rest, " "));
    uint32_t entries = 1;
    for (char *c = rest; *c; c++) entries += *c == ' ';
    struct expectation x = {.rest = rest, .chunk = chunk};
    struct forward_sink sink = {&x, expect_begin, expect_entry, expect_end, NULL};
    struct forward *f = forward_create(&sink, NULL, NULL);
    cr_assert_eq(forward_feed(f, bytes.p, bytes.n), FORWARD_CLOSE_NONE, "%s", name);
    cr_assert(x.begins == 1 && x.ends == 1 && x.entries == entries && !x.rest, "%s", name);
    cr_assert(forward_idle(f));
    forward_destroy(f);
    enum forward_close why;
    const char *once = seen(bytes, &why);
    struct buf twice = {0};
    buf_put_slice(&twice, bytes);
    buf_put_slice(&twice, bytes);
    const char *both = seen(mp_text_keep(&twice), &why);
    cr_assert(strlen(both) == 2 * strlen(once) && strncmp(both, once, strlen(once)) == 0 &&
                  strcmp(both + strlen(once), once) == 0,
              "%s", name);
    for (uint32_t n = 0; n < bytes.n;
         n++) { /* every cut: the first half has no effect, the second completes it */
        struct watcher w = {0};
        f = create(&w, NULL, NULL);
        cr_assert_eq(forward_feed(f, bytes.p, n), FORWARD_CLOSE_NONE);
        cr_assert_eq(w.seen.n, 0);
        cr_assert_eq(forward_idle(f), n == 0);
        cr_assert_eq(forward_feed(f, bytes.p + n, bytes.n - n), FORWARD_CLOSE_NONE);
        cr_assert(slice_is(buf_slice(&w.seen), once));
        cr_assert(forward_idle(f));
        forward_destroy(f);
        buf_free(&w.seen);
    }
}

static void check_handshake(char *rest)
{
    char *name = strsep(&rest, " ");
    struct slice nonce = hex_bytes(strsep(&rest, " "));
    char *host = strsep(&rest, " ");
    struct slice ping = hex_bytes(strsep(&rest, " ")), pong = hex_bytes(rest),
                 data = mp_text("['tag', 1, {}]");
    bool good = strcmp(host, "-") != 0;
    struct forward_security security = {SLICE("secret"), good ? slice_str(host) : SLICE("hourglass")};
    struct watcher w = {0};
    struct forward *f = create(&w, &security, nonce.p);
    forward_start(f);
    buf_clear(&w.replies);
    cr_assert_eq(feed(f, ping, 5), good ? FORWARD_CLOSE_NONE : FORWARD_CLOSE_HANDSHAKE, "%s", name);
    cr_assert_eq(w.reply_writes, 2, "one write each");
    if (good)
        cr_assert(slice_eq(buf_slice(&w.replies), pong), "%s: the answer is the one the client accepted",
                  name);
    else
        cr_assert(slice_eq(buf_slice(&w.replies), mp_text("['PONG', false, 'shared_key mismatch', '', '']")));
    cr_assert_eq(feed(f, data, 1), good ? FORWARD_CLOSE_NONE : FORWARD_CLOSE_HANDSHAKE);
    cr_assert_eq(w.seen.n > 0, good);
    forward_destroy(f);
    buf_free(&w.seen);
    buf_free(&w.replies);
}

Test(forward, every_captured_message_of_real_clients_means_what_was_recorded)
{
    FILE *file = fopen(HG_TEST_DATA "/captures/forward.txt", "r");
    cr_assert_not_null(file);
    static char line[4096];
    uint32_t frames = 0, handshakes = 0;
    arena_init(&arena);
    arena_init_fixed(&scratch, EVENT_SCRATCH_BYTES_MAX);
    schema = schema_minimal(&arena);
    hash_secret_from_seed(&secret, SLICE("test"));
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *rest = line, *kind = strsep(&rest, " ");
        if (strcmp(kind, "frame") == 0) check_frame(rest), frames++;
        if (strcmp(kind, "handshake") == 0) check_handshake(rest), handshakes++;
    }
    cr_assert(frames == 49 && handshakes == 7, "%u %u", frames, handshakes);
    arena_free(&arena);
    arena_free(&scratch);
    fclose(file);
}

/* ---- modes, times, options ---------------------------------------------------------------------------- */

Test(forward, the_four_shapes_of_a_message)
{
    SEES("['t', 5, {}]", "begin 1 tag=t chunk=\nentry 5000 none record=\\80\nend 1\n");
    SEES("['t', 5, {}, {'chunk': 'c'}]", "begin 1 tag=t chunk=c\nentry 5000 none record=\\80\nend 1\n");
    SEES("['t', [[5, {}], [[6, {}], {}]]]",
         "begin 2 tag=t chunk=\nentry 5000 none record=\\80\nentry 6000 none record=\\80\nend 2\n");
    SEES("['t', <c4 06 92 05 80 92 06 80>, {'size': -99, 'chunk': <c4 01 63>}]",
         "begin 2 bin tag=t chunk=c\nentry 5000 none record=\\80\nentry 6000 none record=\\80\nend 2\n");
    SEES("['t', <a3 92 05 80>]", "begin 1 tag=t chunk=\nentry 5000 none record=\\80\nend 1\n");
    SEES("['t', [], {'chunk': 'c'}]", "begin 0 tag=t chunk=c\nend 0\n");
    SEES("['t', '', {'chunk': 'c'}]", "begin 0 tag=t chunk=c\nend 0\n");
    SEES("<dd 00 00 00 03> 't' 5 <df 00 00 00 00>",
         "begin 1 tag=t chunk=\nentry 5000 none record=\\df\\00\\00\\00\\00\nend 1\n");
}

Test(forward, heartbeats_are_ignored)
{
    SEES("null null ['t', 5, {}] null", "begin 1 tag=t chunk=\nentry 5000 none record=\\80\nend 1\n");
}

static void time_is(const char *time, int64_t ms, enum reject reject)
{
    static const char *const SHAPES[] = {"['t', %s, {}]", "['t', [[%s, {}]]]", "['t', [[[%s, {}], {}]]]",
                                         "['t', [[[%s, null], {}]]]"};
    for (size_t i = 0; i < sizeof SHAPES / sizeof *SHAPES; i++) {
        char text[200], expected[200];
        snprintf(text, sizeof text, SHAPES[i], time);
        snprintf(expected, sizeof expected, "begin 1 tag=t chunk=\nentry %lld %s record=\\80\nend 1\n",
                 (long long)ms, reject_text(reject));
        SEES(text, expected);
    }
}

Test(forward, every_form_of_time)
{
    time_is("1767323045", 1767323045000, REJECT_NONE);
    time_is("1767323045.678", 1767323045678, REJECT_NONE);
    time_is("1767323045678.0", 1767323045678, REJECT_NONE);
    time_is("1767323045678", 1767323045678, REJECT_NONE);
    time_is("<d7 00 69 57 35 a5 28 69 75 80>", 1767323045678, REJECT_NONE);
    time_is("<c7 08 00 69 57 35 a5 28 69 75 80>", 1767323045678, REJECT_NONE);
    time_is("<d6 ff 69 57 35 a5>", 1767323045000, REJECT_NONE);
    time_is("0", 0, REJECT_NONE);
    time_is("null", 0, REJECT_NONE);
    time_is("<d7 00 00 00 00 00 00 00 00 00>", 0, REJECT_NONE);
}

static void time_is_bad(const char *time)
{
    static const char *const SHAPES[] = {"['t', %s, {}]", "['t', [[%s, {}]]]"};
    for (size_t i = 0; i < 2; i++) {
        char text[200];
        snprintf(text, sizeof text, SHAPES[i], time);
        cr_assert_not_null(strstr(seen_text(text), " bad_time record=\\80\nend 1\n"), "%s", text);
    }
}

Test(forward, a_bad_time_parks_its_entry_only)
{
    static const char *const BAD[] = {"-5",
                                      "<cb 7f f8 00 00 00 00 00 00>",
                                      "<cb 7f f0 00 00 00 00 00 00>",
                                      "-1.5",
                                      "1e300",
                                      "<d7 00 69 57 35 a5 3b 9a ca 00>",
                                      "<d6 00 69 57 35 a5>",
                                      "<d4 05 00>",
                                      "<c7 07 00 69 57 35 a5 28 69 75>",
                                      "18446744073709551615"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) time_is_bad(BAD[i]);
    SEES("['t', [['yesterday', {}], [7, {}], [{}, {}]]]",
         "begin 3 tag=t chunk=\nentry 0 bad_time record=\\80\n"
         "entry 7000 none record=\\80\nentry 0 bad_time record=\\80\nend 3\n");
}

Test(forward, an_entry_that_is_none_is_parked_and_the_rest_goes_on)
{
    SEES("['t', [7, [1, null], [2, {}], [3], [4, {}, {}], [5, [1]], [[6, 7], {}], [[1, {}, 2], {}], {}], "
         "{'chunk': 'c'}]",
         "begin 9 tag=t chunk=c\n"
         "entry 0 bad_entry record=\\07\n"
         "entry 1000 bad_entry record=\\c0\n"
         "entry 2000 none record=\\80\n"
         "entry 0 bad_entry record=\\91\\03\n"
         "entry 0 bad_entry record=\\93\\04\\80\\80\n"
         "entry 5000 bad_entry record=\\91\\01\n"
         "entry 6000 bad_entry record=\\80\n"
         "entry 0 bad_entry record=\\80\n"
         "entry 0 bad_entry record=\\80\n"
         "end 9\n");
    SEES("['t', 5, null, {'chunk': 'c'}]",
         "begin 1 tag=t chunk=c\nentry 5000 bad_entry record=\\c0\nend 1\n");
}

Test(forward, a_bad_tag_parks_the_entries_and_the_chunk_is_still_acked)
{
    static const char *const BAD[] = {"7",          "null",   "''",       "<a2 61 0a>", "<a2 61 00>",
                                      "<a2 61 1b>", "'../x'", "'a/../b'", "<a2 ff fe>", "[1]"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        char text[200];
        snprintf(text, sizeof text, "[%s, [[5, {}], [6, {}]], {'chunk': 'c'}]", BAD[i]);
        SEES(text,
             "begin 2 tag= chunk=c\nentry 5000 bad_tag record=\\80\nentry 6000 bad_tag record=\\80\nend 2\n");
    }
    char text[400], tag[300];
    for (int n = TAG_BYTES_MAX; n <= TAG_BYTES_MAX + 1; n++) {
        memset(tag, 'x', sizeof tag);
        snprintf(text, sizeof text, "['%.*s', 5, {}]", n, tag);
        cr_assert_eq(strstr(seen_text(text), "bad_tag") != NULL, n > TAG_BYTES_MAX);
    }
}

Test(forward, too_deep_and_too_large_records_are_parked_alone)
{
    char nest[200], text[600];
    for (int depth = MSGPACK_DEPTH_MAX; depth <= 60; depth += 28) {
        nest[0] = 0;
        for (int k = 1; k < depth; k++) strcat(nest, "[");
        for (int k = 1; k < depth; k++) strcat(nest, "]");
        snprintf(text, sizeof text, "['t', [[5, {'x': %s}], [6, {}]], {'chunk': 'c'}]", nest);
        const char *s = seen_text(text);
        cr_assert_eq(strstr(s, "entry 5000 too_deep") != NULL, depth > MSGPACK_DEPTH_MAX, "%d", depth);
        cr_assert_not_null(strstr(s, "entry 6000 none record=\\80\nend 2\n"));
    }
    static char large[EVENT_BYTES_MAX + 200], body[EVENT_BYTES_MAX + 1];
    for (uint32_t n = EVENT_BYTES_MAX - 6; n <= EVENT_BYTES_MAX - 5;
         n++) { /* {x: str16} has six bytes around it */
        memset(body, 'y', n);
        body[n] = 0;
        snprintf(large, sizeof large, "['t', [[5, {'x': '%s'}], [6, {}]]]", body);
        cr_assert_eq(strstr(seen_text(large), "entry 5000 too_large") != NULL, n > EVENT_BYTES_MAX - 6, "%u",
                     n);
    }
}

/* Depth beyond all measure is skipped in constant memory. */
Test(forward, a_hundred_thousand_levels_are_one_parked_record)
{
    struct buf b = {0};
    buf_put_slice(&b, mp_text("<92> 't' <92 92 05>"));
    for (int i = 0; i < 100000; i++) buf_put_u8(&b, 0x91);
    buf_put_slice(&b, mp_text("<90> [6, {}]"));
    struct slice bytes = mp_text_keep(&b);
    enum forward_close why;
    struct slice s = seen_in_steps(bytes, 4096, 0, &why);
    cr_assert_eq(why, FORWARD_CLOSE_NONE);
    cr_assert_not_null(strstr((const char *)s.p, "entry 6000 none record=\\80\nend 2\n"));
    cr_assert_not_null(strstr((const char *)s.p, "entry 5000 bad_entry"));
}

Test(forward, options_are_read_with_patience)
{
    SEES("['t', 5, {}, null]", "begin 1 tag=t chunk=\nentry 5000 none record=\\80\nend 1\n");
    SEES("['t', 5, {}, {}]", "begin 1 tag=t chunk=\nentry 5000 none record=\\80\nend 1\n");
    SEES("['t', [[5, {}]], {'whatever': [1, {'a': 2}], 'size': 'many', 'compressed': 'text', "
         "'fluent_signal': 0, 'chunk': 'c'}]",
         "begin 1 tag=t chunk=c\nentry 5000 none record=\\80\nend 1\n");
    SEES("['t', [[5, {}]], {'compressed': null, 'fluent_signal': null}]",
         "begin 1 tag=t chunk=\nentry 5000 none record=\\80\nend 1\n");
    SEES("['t', [[5, {}]], {'chunk': <b0 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f>}]",
         "begin 1 tag=t chunk=\\00\\01\\02\\03\\04\\05\\06\\07\\08\\09\\0a\\0b\\0c\\0d\\0e\\0f\nentry 5000 "
         "none record=\\80\nend 1\n");
}

/* ---- close ---------------------------------------------------------------------------------------------- */

Test(close, what_is_not_forward)
{
    static const char *const OTHERS[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                                         "POST /v1/batch HTTP/1.1\r\n",
                                         "{\"tag\": 1}\n",
                                         "[\"tag\", 1]\n",
                                         "\x16\x03\x01\x02\x00\x01",
                                         "hello\n"};
    for (size_t i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++) {
        struct watcher w = {0};
        struct forward *f = create(&w, NULL, NULL);
        cr_assert_eq(forward_feed(f, (const uint8_t *)OTHERS[i], 1), FORWARD_CLOSE_NOT_FORWARD,
                     "at the first byte: %s", OTHERS[i]);
        forward_destroy(f);
        closes(slice_str(OTHERS[i]), FORWARD_CLOSE_NOT_FORWARD, OTHERS[i]);
    }
    CLOSES("{'a': 1}", NOT_FORWARD);
    CLOSES("<81>", NOT_FORWARD);
    CLOSES("'text'", NOT_FORWARD);
    CLOSES("<d7 00 00 00 00 00 00 00 00 00>", NOT_FORWARD);
}

Test(close, a_root_of_the_wrong_shape)
{
    CLOSES("[]", BAD_ENTRIES);
    CLOSES("['t']", BAD_ENTRIES);
    CLOSES("['t', 5]", BAD_ENTRIES);
    CLOSES("['t', <d7 00 00 00 00 05 00 00 00 00>]", BAD_ENTRIES);
    CLOSES("['t', 5, {}, {}, 5]", BAD_ENTRIES);
    CLOSES("<dc 00 05>", BAD_ENTRIES);
    CLOSES("<dd ff ff ff ff>", BAD_ENTRIES);
    CLOSES("['t', {}, {}]", BAD_ENTRIES);
    CLOSES("['t', true, {}]", BAD_ENTRIES);
    CLOSES("['t', [[5, {}]], {}, {}]", BAD_ENTRIES);
    CLOSES("['t', '', {}, {}]", BAD_ENTRIES);
}

Test(close, bytes_that_are_no_message_pack)
{
    CLOSES("<c1>", BAD_MSGPACK);
    CLOSES("<93> 't' 5 <c1>", BAD_MSGPACK);
    CLOSES("['t', [[5, {'a': <c1>}]]]", BAD_MSGPACK);
    CLOSES("['t', <c4 04 92 05 81 c1>]", BAD_MSGPACK);
}

Test(close, packed_entries_that_end_too_early)
{
    CLOSES("['t', <c4 05 92 05 80 92 06>, {'chunk': 'c'}]", BAD_ENTRIES);
    CLOSES("['t', <c4 04 92 05 80 92>]", BAD_ENTRIES);
    CLOSES("['t', <c4 05 dd ff ff ff ff>]", BAD_ENTRIES);
    CLOSES("['t', <c4 06 92 05 db ff ff ff>]", BAD_ENTRIES);
}

Test(close, lengths_beyond_the_cap_are_refused_at_their_header)
{
    static const char *const HUGE[] = {"<92> 't' <db ff ff ff ff>", "<92> 't' <c6 00 80 00 00>",
                                       "<92> 't' <dd ff ff ff ff>", "<93> 't' 5 <df ff ff ff ff>",
                                       "<93> 't' 5 <81> 'x' <c9 ff ff ff ff 00>"};
    for (size_t i = 0; i < sizeof HUGE / sizeof *HUGE; i++) {
        struct slice bytes = mp_text(HUGE[i]);
        struct watcher w = {0};
        struct forward *f = create(&w, NULL, NULL);
        cr_assert_eq(feed(f, bytes, 1), FORWARD_CLOSE_FRAME_TOO_LARGE, "%s", HUGE[i]);
        cr_assert_lt(forward_memory(f), 4096, "nothing is allocated from a count");
        forward_destroy(f);
        closes(bytes, FORWARD_CLOSE_FRAME_TOO_LARGE, HUGE[i]);
    }
    CLOSES("<92> 't' <dd 00 7f ff ff> <dd 00 7f ff ff>", FRAME_TOO_LARGE);
}

Test(close, options_that_are_wrong)
{
    CLOSES("['t', 5, {}, 7]", BAD_OPTION);
    CLOSES("['t', [[5, {}]], []]", BAD_OPTION);
    CLOSES("['t', [[5, {}]], {7: 1}]", BAD_OPTION);
    CLOSES("['t', [[5, {}]], {'chunk': 'a', 'chunk': 'b'}]", BAD_OPTION);
    CLOSES("['t', [[5, {}]], {'fluent_signal': 'x'}]", BAD_OPTION);
    CLOSES("['t', [[5, {}]], {'chunk': 7}]", BAD_CHUNK);
    CLOSES("['t', [[5, {}]], {'chunk': null}]", BAD_CHUNK);
    CLOSES("['t', [[5, {}]], {'chunk': ''}]", BAD_CHUNK);
    CLOSES("['t', [[5, {}]], {'chunk': '12345678901234567890123456789012345678901234567890123456789012345'}]",
           BAD_CHUNK);
    CLOSES("['t', [[5, {}]], {'fluent_signal': 1}]", UNSUPPORTED);
    CLOSES("['t', [[5, {}]], {'fluent_signal': 2}]", UNSUPPORTED);
    CLOSES("['t', <c4 00>, {'compressed': 'zstd'}]", UNSUPPORTED);
    CLOSES("['t', <c4 00>, {'compressed': 'lzma'}]", BAD_COMPRESSION);
    CLOSES("['t', <c4 00>, {'compressed': 7}]", BAD_COMPRESSION);
    CLOSES("['t', [[5, {}]], {'compressed': 'gzip'}]", BAD_COMPRESSION);
    CLOSES("['t', 5, {}, {'compressed': 'gzip'}]", BAD_COMPRESSION);
}

/* ---- gzip --------------------------------------------------------------------------------------------------- */

static void gzip(struct slice in, struct buf *out)
{
    z_stream z = {.next_in = (Bytef *)in.p, .avail_in = in.n};
    cr_assert_eq(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t most = deflateBound(&z, in.n) + 32;
    buf_reserve(out, most);
    z.next_out = out->p + out->n;
    z.avail_out = (uInt)most;
    cr_assert_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    out->n += z.total_out;
    deflateEnd(&z);
}

static struct slice gzip_frame(struct slice body)
{
    struct buf b = {0};
    buf_put_slice(&b, mp_text("<93> 't'"));
    buf_reserve(&b, body.n + 9);
    b.n = (size_t)(mpw_bin(b.p + b.n, body) - b.p);
    buf_put_slice(&b, mp_text("{'compressed': 'gzip', 'chunk': 'c'}"));
    return mp_text_keep(&b);
}

Test(gzip, one_member_or_many)
{
    struct buf one = {0};
    enum forward_close why;
    gzip(mp_text("[5, {}] [6, {}]"), &one);
    cr_assert_str_eq(
        seen(gzip_frame(buf_slice(&one)), &why),
        "begin 2 tag=t chunk=c\nentry 5000 none record=\\80\nentry 6000 none record=\\80\nend 2\n");
    gzip(mp_text("<92 07>"), &one);
    gzip(mp_text("{}"), &one);
    gzip((struct slice){0}, &one);
    cr_assert_str_eq(seen(gzip_frame(buf_slice(&one)), &why),
                     "begin 3 tag=t chunk=c\nentry 5000 none record=\\80\nentry 6000 none record=\\80\n"
                     "entry 7000 none record=\\80\nend 3\n");
    buf_free(&one);
}

Test(gzip, damage_closes_before_anything_is_applied)
{
    struct buf good = {0};
    gzip(mp_text("[5, {'a': 'some text to compress'}] [6, {'a': 'some text to compress'}]"), &good);
    for (uint32_t n = 0; n < good.n; n++)
        closes(gzip_frame(slice_of(good.p, n)), FORWARD_CLOSE_BAD_COMPRESSION, "cut");
    for (uint32_t i = (uint32_t)good.n - 8; i < good.n; i++) {
        good.p[i] ^= 1;
        closes(gzip_frame(buf_slice(&good)), FORWARD_CLOSE_BAD_COMPRESSION, "checksum or length");
        good.p[i] ^= 1;
    }
    buf_put(&good, "garbage", 7);
    closes(gzip_frame(buf_slice(&good)), FORWARD_CLOSE_BAD_COMPRESSION, "bytes behind the last member");
    closes(gzip_frame(mp_text("<92 05 80>")), FORWARD_CLOSE_BAD_COMPRESSION, "not gzip");
    struct buf inner = {0}, nested = {0}, cut = {0};
    gzip(mp_text("[5, {}]"), &inner);
    gzip(buf_slice(&inner), &nested);
    enum forward_close why;
    seen(gzip_frame(buf_slice(&nested)), &why);
    cr_assert_neq(why, FORWARD_CLOSE_NONE, "gzip in gzip is no entry");
    gzip(mp_text("[5, {}] <92 05>"), &cut);
    closes(gzip_frame(buf_slice(&cut)), FORWARD_CLOSE_BAD_ENTRIES, "the last entry is cut");
    buf_free(&good);
    buf_free(&inner);
    buf_free(&nested);
    buf_free(&cut);
}

Test(gzip, bombs_are_stopped_by_ratio_and_by_size)
{
    struct buf zeros = {0}, bomb = {0}, noise = {0}, large = {0}, out = {0};
    buf_reserve(&zeros, 64 << 20);
    memset(zeros.p, 0, 64 << 20);
    zeros.n = 64 << 20;
    gzip(buf_slice(&zeros), &bomb);
    closes(gzip_frame(buf_slice(&bomb)), FORWARD_CLOSE_INFLATED_TOO_LARGE, "a thousand to one");
    cr_assert_eq(gzip_inflate(buf_slice(&bomb), 1ull << 40, &out), INFLATE_TOO_LARGE);
    cr_assert_leq(out.cap, 2 * (INFLATE_RATIO_FREE + bomb.n * INFLATE_RATIO_MAX));
    uint64_t seed = 20261122;
    buf_reserve(&noise, INFLATED_BYTES_MAX + 1);
    for (noise.n = 0; noise.n <= INFLATED_BYTES_MAX; noise.n++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        noise.p[noise.n] = (uint8_t)(seed >> 60);
    }
    gzip(buf_slice(&noise), &large);
    cr_assert_eq(gzip_inflate(buf_slice(&large), INFLATED_BYTES_MAX, &out), INFLATE_TOO_LARGE);
    cr_assert_eq(gzip_inflate(buf_slice(&large), INFLATED_BYTES_MAX + 1, &out), INFLATE_OK);
    cr_assert(slice_eq(buf_slice(&out), buf_slice(&noise)));
    buf_free(&zeros);
    buf_free(&bomb);
    buf_free(&noise);
    buf_free(&large);
    buf_free(&out);
}

/* ---- handshake ----------------------------------------------------------------------------------------------- */

static const uint8_t NONCE[16] = "0123456789abcdef";
static const struct forward_security SECURITY = {{(const uint8_t *)"secret", 6},
                                                 {(const uint8_t *)"server", 6}};

static void hex512(struct slice text, char out[129])
{
    uint8_t digest[64];
    EVP_Digest(text.p, text.n, digest, NULL, EVP_sha512(), NULL);
    for (int i = 0; i < 64; i++) snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static struct slice ping(const char *format)
{
    char digest[129], text[2000];
    hex512(SLICE("salt"
                 "client"
                 "0123456789abcdef"
                 "secret"),
           digest);
    snprintf(text, sizeof text, format, digest);
    return mp_text(text);
}

static enum forward_close handshake(struct slice bytes, struct watcher *w)
{
    struct forward *f = create(w, &SECURITY, NONCE);
    forward_start(f);
    struct slice helo = buf_slice(&w->replies);
    cr_assert(slice_eq(
        helo,
        mp_text("['HELO', {'nonce': <c4 10 30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66>, 'auth': <c4 00>,"
                " 'keepalive': true}]")));
    buf_clear(&w->replies);
    enum forward_close why = feed(f, bytes, 3);
    forward_destroy(f);
    return why;
}

Test(handshake, the_right_key_opens)
{
    struct watcher w = {0};
    char digest[129], text[400];
    cr_assert_eq(handshake(ping("['PING', 'client', 'salt', '%s', '', ''] ['t', 5, {}]"), &w),
                 FORWARD_CLOSE_NONE);
    hex512(SLICE("salt"
                 "server"
                 "0123456789abcdef"
                 "secret"),
           digest);
    snprintf(text, sizeof text, "['PONG', true, '', 'server', '%s']", digest);
    cr_assert(slice_eq(buf_slice(&w.replies), mp_text(text)));
    cr_assert_eq(w.reply_writes, 2);
    cr_assert(w.seen.n > 0);
    buf_free(&w.seen);
    buf_free(&w.replies);
}

Test(handshake, a_wrong_digest_gets_a_refusal_and_what_is_no_ping_gets_nothing)
{
    static const struct {
        const char *text;
        bool answered;
    } ROWS[] = {
        {"['PING', 'other', 'salt', '%s', '', '']", true},
        {"['PING', 'client', 'pepper', '%s', '', '']", true},
        {"['PING', 'client', 'salt', '0%.127s', '', '']", true},
        {"['PING', 'client', 'salt', '%.127s', '', '']", false},
        {"['PING', 'client', 'salt', '%s0', '', '']", false},
        {"['PING', 'client', 'salt', '%s', '']", false},
        {"['PING', 'client', 'salt', '%s', '', '', '']", false},
        {"['PONG', 'client', 'salt', '%s', '', '']", false},
        {"['PING', 7, 'salt', '%s', '', '']", false},
        {"['PING', 'client', null, '%s', '', '']", false},
        {"['PING', 'client', 'salt', '%s', 7, '']", false},
        {"{'PING': '%s'}", false},
        {"['t', 5, {}]", false},
        {"['t', [[5, {}]], {'chunk': 'c'}]", false},
        {"<dd 00 00 00 03>", false},
        {"<96> 'PING' <da 04 00>", false},
        {"<96> 'PING' <db ff ff ff ff>", false},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct watcher w = {0};
        cr_assert_eq(handshake(ping(ROWS[i].text), &w), FORWARD_CLOSE_HANDSHAKE, "%s", ROWS[i].text);
        struct slice refusal = mp_text("['PONG', false, 'shared_key mismatch', '', '']");
        cr_assert(slice_eq(buf_slice(&w.replies), ROWS[i].answered ? refusal : (struct slice){0}), "%s",
                  ROWS[i].text);
        cr_assert_eq(w.seen.n, 0);
        buf_free(&w.replies);
    }
    char host[400], text[700];
    memset(host, 'h', sizeof host);
    snprintf(text, sizeof text, "['PING', '%.256s', 'salt', '%%s', '', '']", host);
    struct watcher w = {0};
    cr_assert_eq(handshake(ping(text), &w), FORWARD_CLOSE_HANDSHAKE);
    cr_assert_eq(w.replies.n, 0, "a host name beyond 255 bytes is no ping");
    buf_free(&w.replies);
}

Test(handshake, a_digest_of_another_nonce_is_refused)
{
    struct watcher w = {0};
    uint8_t other[16] = "another nonce...";
    struct forward *f = create(&w, &SECURITY, other);
    cr_assert_eq(feed(f, ping("['PING', 'client', 'salt', '%s', '', '']"), 50), FORWARD_CLOSE_HANDSHAKE);
    forward_destroy(f);
    buf_free(&w.replies);
}

/* ---- memory, waiting, speed ------------------------------------------------------------------------------------- */

Test(forward, a_frame_that_must_wait_is_handed_out_once_and_later_ones_after_it)
{
    struct watcher w = {.refusals = 3, .left = 3};
    struct forward *f = create(&w, NULL, NULL);
    struct slice bytes = mp_text("['t', 5, {}] ['t', 6, {}] <93> 't'");
    cr_assert_eq(forward_feed(f, bytes.p, bytes.n), FORWARD_CLOSE_NONE);
    for (int i = 0; i < 6; i++) {
        cr_assert(forward_stopped(f), "%d", i);
        cr_assert_not(forward_idle(f));
        cr_assert_eq(forward_resume(f), FORWARD_CLOSE_NONE);
    }
    cr_assert_not(forward_stopped(f));
    cr_assert(slice_is(buf_slice(&w.seen), "begin 1 tag=t chunk=\nentry 5000 none record=\\80\nend 1\n"
                                           "begin 1 tag=t chunk=\nentry 6000 none record=\\80\nend 1\n"));
    forward_destroy(f);
    buf_free(&w.seen);
}

static struct slice packed_frame(uint32_t entries)
{
    struct buf body = {0}, b = {0};
    for (uint32_t i = 0; i < entries; i++)
        buf_put_slice(&body, SLICE("\x92\x05\x82\xa4type\xa5track\xa6userId\xa3u-1"));
    buf_put_slice(&b, mp_text("<92> 't'"));
    buf_reserve(&b, body.n + 9);
    b.n = (size_t)(mpw_bin(b.p + b.n, buf_slice(&body)) - b.p);
    buf_free(&body);
    return mp_text_keep(&b);
}

static void count_entry(void *self, const struct forward_entry *e) { ++*(uint64_t *)self; }
static bool agree(void *self, const struct forward_chunk *c) { return true; }
static void no_end(void *self, const struct forward_chunk *c) {}

Test(forward, a_large_frame_byte_by_byte_takes_linear_time_and_its_memory_goes_again)
{
    uint64_t entries = 0;
    struct forward_sink sink = {&entries, agree, count_entry, no_end, NULL};
    struct forward *f = forward_create(&sink, NULL, NULL);
    struct slice frame = packed_frame(100000), forward_mode = frame;
    struct buf b = {0};
    buf_put_slice(&b, mp_text("<92> 't' <dd 00 01 86 a0>")); /* the same entries in an array */
    struct mp m = mp_of(slice_of(frame.p + 3, frame.n - 3));
    buf_put_slice(&b, mp_str(&m));
    forward_mode = buf_slice(&b);
    for (int k = 0; k < 2; k++) {
        struct slice bytes = k ? forward_mode : frame;
        for (uint32_t i = 0; i < bytes.n; i++)
            cr_assert_eq(forward_feed(f, bytes.p + i, 1), FORWARD_CLOSE_NONE);
        cr_assert_eq(entries, 100000u * (uint64_t)(k + 1));
        cr_assert(forward_idle(f));
        cr_assert_lt(forward_memory(f), 128 << 10);
    }
    forward_destroy(f);
    buf_free(&b);
}

static void count_deep(void *self, const struct forward_entry *e)
{
    cr_assert(e->reject == REJECT_NONE || e->reject == REJECT_TOO_DEEP);
    *(uint64_t *)self += e->reject == REJECT_TOO_DEEP;
}

/* Ends of 65,536 entries are noted; those behind are found anew, and must be judged alike. */
Test(forward, the_last_of_very_many_entries_is_judged_as_the_first)
{
    enum { ENTRIES = 70000 };
    uint64_t deep = 0;
    struct forward_sink sink = {&deep, agree, count_deep, no_end, NULL};
    struct buf body = {0}, b = {0};
    for (uint32_t i = 0; i < ENTRIES; i++) {
        bool too_deep = i == 0 || i == ENTRIES - 1;
        buf_put_slice(&body, SLICE("\x92\x05\x81\xa1x"));
        for (uint32_t level = too_deep ? 0 : 1; level < MSGPACK_DEPTH_MAX; level++) buf_put_u8(&body, 0x91);
        buf_put_u8(&body, 0xc0);
    }
    for (int packed = 0; packed < 2; packed++) {
        struct forward *f = forward_create(&sink, NULL, NULL);
        buf_clear(&b);
        buf_put_slice(&b, mp_text("<92> 't'"));
        buf_reserve(&b, body.n + 9);
        if (packed) {
            b.n = (size_t)(mpw_bin(b.p + b.n, buf_slice(&body)) - b.p);
        } else {
            b.n = (size_t)(mpw_array(b.p + b.n, ENTRIES) - b.p);
            buf_put_slice(&b, buf_slice(&body));
        }
        cr_assert_eq(feed(f, buf_slice(&b), 65536), FORWARD_CLOSE_NONE);
        cr_assert_eq(deep, 2u * (uint64_t)(packed + 1));
        forward_destroy(f);
    }
    buf_free(&body);
    buf_free(&b);
}

Test(forward, a_frame_at_the_cap_passes_and_one_byte_more_does_not)
{
    for (uint32_t over = 0; over < 2; over++) {
        uint32_t text = FRAME_BYTES_MAX - 3 - 2 - 3 - 5 + over; /* array, tag, entry head, str32 head */
        struct buf b = {0};
        uint64_t entries = 0;
        struct forward_sink sink = {&entries, agree, count_entry, no_end, NULL};
        struct forward *f = forward_create(&sink, NULL, NULL);
        buf_put_slice(&b, mp_text("<92> 't' <91 92 05 81> 'x' <db>"));
        uint32_t head = (uint32_t)b.n + 4;
        text = FRAME_BYTES_MAX - head + over;
        uint8_t length[4];
        store_be32(length, text);
        buf_put(&b, length, 4);
        buf_reserve(&b, text);
        memset(b.p + b.n, 'x', text);
        b.n += text;
        enum forward_close why = feed(f, buf_slice(&b), 65536);
        cr_assert_eq(why, over ? FORWARD_CLOSE_FRAME_TOO_LARGE : FORWARD_CLOSE_NONE);
        cr_assert_eq(entries, over ? 0 : 1);
        forward_destroy(f);
        buf_free(&b);
    }
}

Test(forward, every_close_reason_has_its_own_text)
{
    for (int a = 0; a < FORWARD_CLOSE_COUNT; a++)
        for (int b = 0; b < a; b++) cr_assert_str_neq(forward_close_text(a), forward_close_text(b));
    cr_assert_str_eq(forward_close_text(FORWARD_CLOSE_COUNT), "unknown");
}
