/* The cursor: the public test suite, msgpack-c as the second opinion, every cut, and what strangers may send. */
#include "core/base/arena.h"
#include "core/base/limits.h"
#include "core/model/value.h"
#include "tests/unit/mp_text.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <msgpack.h>
#include <stdio.h>

static uint64_t seed = 20261122;
static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* ---- the suite ------------------------------------------------------------------------- */

static void is_number(struct slice encoding, const char *text)
{
    struct mp m = mp_of(encoding), u = m, d = m;
    double read = mp_double(&d);
    cr_assert_eq(read, strtod(text, NULL), "%s", text);
    cr_assert_eq(d.err, MP_OK, "%s err %d lead %02x", text, d.err, encoding.p[0]);
    cr_assert_eq(mp_left(&d), 0);
    if (mp_peek(&m) == MP_FLOAT) return;
    bool fits = mp_peek(&m) == MP_INT;
    cr_assert(fits || strcmp(text, "9223372036854775808") == 0 || strcmp(text, "18446744073709551615") == 0);
    int64_t i = mp_int(&m);
    cr_assert_eq(m.err, fits ? MP_OK : MP_TYPE, "%s", text);
    if (fits) cr_assert_eq(i, strtoll(text, NULL, 10), "%s", text);
    uint64_t n = mp_uint(&u);
    cr_assert_eq(u.err, text[0] == '-' ? MP_TYPE : MP_OK);
    if (!u.err) cr_assert_eq(n, strtoull(text, NULL, 10));
}

static void is_extension(struct slice encoding, int type, struct slice body)
{
    struct mp m = mp_of(encoding);
    int8_t t;
    struct slice b = mp_ext(&m, &t);
    cr_assert_eq(m.err, MP_OK);
    cr_assert_eq(t, type);
    cr_assert(slice_eq(b, body));
}

static void is_timestamp(struct slice encoding, const char *text)
{
    struct mp m = mp_of(encoding);
    int8_t type;
    int64_t s, expected_s;
    uint32_t ns, expected_ns;
    struct slice body = mp_ext(&m, &type);
    cr_assert_eq(sscanf(text, "%" SCNd64 ".%" SCNu32, &expected_s, &expected_ns), 2);
    bool in_range = expected_s >= TIME_FIRST_S;
    cr_assert_eq(time_from_ext(type, body, &s, &ns), in_range, "%s", text);
    if (in_range) cr_assert(s == expected_s && ns == expected_ns, "%s", text);
}

static struct value expanded(struct slice encoding, struct arena *a)
{
    struct mp m = mp_of(encoding);
    struct value v = value_expand(value_read(&m), a);
    cr_assert_eq(m.err, MP_OK);
    cr_assert_eq(mp_left(&m), 0);
    return v;
}

static void check_encoding(const char *kind, const char *text, struct slice first, struct slice encoding,
                           struct arena *a)
{
    struct mp m = mp_of(encoding);
    if (strcmp(kind, "nil") == 0)
        cr_assert(mp_nil(&m));
    else if (strcmp(kind, "bool") == 0)
        cr_assert_eq(mp_bool(&m), strcmp(text, "true") == 0);
    else if (strcmp(kind, "number") == 0)
        is_number(encoding, text);
    else if (strcmp(kind, "string") == 0 || strcmp(kind, "binary") == 0)
        cr_assert(slice_eq(mp_str(&m), hex_bytes(text)));
    else if (strcmp(kind, "timestamp") == 0)
        is_timestamp(encoding, text);
    else if (strcmp(kind, "ext") == 0)
        is_extension(encoding, atoi(text), hex_bytes(strchr(text, '.') + 1));
    else
        cr_assert(value_same(expanded(first, a), expanded(encoding, a)));
    cr_assert_eq(m.err, MP_OK);
}

/* Every way to step over it agrees, and any cut of it says SHORT. */
static void check_skips(struct slice s)
{
    for (uint32_t n = 0; n <= s.n; n++) {
        struct slice cut = slice_of(s.p, n);
        struct mp a = mp_of(cut), b = a, c = a;
        struct mp_scan scan = {.items = 1};
        bool whole = n == s.n;
        cr_assert_eq(mp_skip(&a), whole);
        cr_assert_eq(mp_skip_any_depth(&b), whole);
        cr_assert_eq(mp_scan(&scan, &c), whole);
        cr_assert_eq(a.err, whole ? MP_OK : MP_SHORT);
        cr_assert_eq(b.err, whole ? MP_OK : MP_SHORT);
        cr_assert_eq(c.err, MP_OK);
        struct mp i = mp_of(cut);
        cr_assert_eq(mp_item(&i).n, whole ? n : 0);
    }
}

static char *strip(char *line)
{
    line[strcspn(line, "\n")] = 0;
    return line;
}

Test(msgpack, all_233_encodings_of_the_public_suite_read_as_written)
{
    FILE *f = fopen(HG_TEST_DATA "/msgpack/suite.txt", "r");
    cr_assert_not_null(f);
    static char line[4096];
    uint32_t encodings = 0;
    struct arena a;
    arena_init(&a);
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#') continue;
        char *rest = strip(line), *kind = strsep(&rest, " "), *text = strsep(&rest, " ");
        struct slice first = hex_bytes(rest);
        while (rest) {
            struct slice encoding = hex_bytes(strsep(&rest, " "));
            check_encoding(kind, strcmp(text, "-") ? text : "", first, encoding, &a);
            check_skips(encoding);
            encodings++;
        }
    }
    cr_assert_eq(encodings, 233);
    arena_free(&a);
    fclose(f);
}

/* ---- msgpack-c as the second opinion ------------------------------------------------------ */

static void pack_random(msgpack_packer *pk, int depth)
{
    static const char TEXT[] = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz0123456789";
    uint64_t r = rnd();
    size_t n = rnd() % (rnd() % 16 == 0 ? 60 : 12);
    switch (r % (depth > 0 ? 12 : 9)) {
    case 0: msgpack_pack_nil(pk); break;
    case 1: r & 64 ? msgpack_pack_true(pk) : msgpack_pack_false(pk); break;
    case 2: msgpack_pack_uint64(pk, rnd() >> rnd() % 64); break;
    case 3: msgpack_pack_int64(pk, (int64_t)rnd() >> rnd() % 64); break;
    case 4: msgpack_pack_double(pk, (double)(int64_t)rnd() / 1e6); break;
    case 5: msgpack_pack_float(pk, (float)(int64_t)rnd() / 1e6f); break;
    case 6: msgpack_pack_str_with_body(pk, TEXT, n); break;
    case 7: msgpack_pack_bin_with_body(pk, TEXT, n); break;
    case 8: msgpack_pack_ext_with_body(pk, TEXT, n, (int8_t)(r >> 32 | 1)); break;
    case 9:
    case 10:
        msgpack_pack_array(pk, n);
        for (; n > 0; n--) pack_random(pk, depth - 1);
        break;
    default:
        msgpack_pack_map(pk, n);
        for (n *= 2; n > 0; n--) pack_random(pk, depth - 1);
    }
}

static bool text_same(struct mp *m, const void *p, uint32_t n) { return slice_eq(mp_str(m), slice_of(p, n)); }

static bool double_same(double a, double b) { return a == b || (a != a && b != b); }

/* Walks both side by side. */
static bool same(struct mp *m, const msgpack_object *o)
{
    int8_t type;
    switch (o->type) {
    case MSGPACK_OBJECT_NIL: return mp_nil(m);
    case MSGPACK_OBJECT_BOOLEAN: return mp_peek(m) == MP_BOOL && mp_bool(m) == o->via.boolean;
    case MSGPACK_OBJECT_POSITIVE_INTEGER: return mp_uint(m) == o->via.u64 && !m->err;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER: return mp_int(m) == o->via.i64 && !m->err;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: return mp_peek(m) == MP_FLOAT && double_same(mp_double(m), o->via.f64);
    case MSGPACK_OBJECT_STR: return mp_peek(m) == MP_STR && text_same(m, o->via.str.ptr, o->via.str.size);
    case MSGPACK_OBJECT_BIN: return mp_peek(m) == MP_BIN && text_same(m, o->via.bin.ptr, o->via.bin.size);
    case MSGPACK_OBJECT_EXT:
        return slice_eq(mp_ext(m, &type), slice_of(o->via.ext.ptr, o->via.ext.size)) &&
               type == o->via.ext.type;
    case MSGPACK_OBJECT_ARRAY:
        if (mp_array(m) != o->via.array.size) return false;
        for (uint32_t i = 0; i < o->via.array.size; i++)
            if (!same(m, &o->via.array.ptr[i])) return false;
        return true;
    case MSGPACK_OBJECT_MAP:
        if (mp_map(m) != o->via.map.size) return false;
        for (uint32_t i = 0; i < o->via.map.size; i++)
            if (!same(m, &o->via.map.ptr[i].key) || !same(m, &o->via.map.ptr[i].val)) return false;
        return true;
    }
    return false;
}

static void agree(struct slice s)
{
    msgpack_unpacked u;
    size_t at = 0;
    msgpack_unpacked_init(&u);
    cr_assert_eq(msgpack_unpack_next(&u, (const char *)s.p, s.n, &at), MSGPACK_UNPACK_SUCCESS);
    struct mp m = mp_of(s), skip = m;
    cr_assert(same(&m, &u.data));
    cr_assert_eq((size_t)(m.p - s.p), at);
    cr_assert(mp_skip(&skip));
    cr_assert(skip.p == m.p);
    msgpack_unpacked_destroy(&u);
}

Test(msgpack, random_documents_read_as_msgpack_c_reads_them)
{
    cr_log_info("seed %" PRIu64, seed);
    msgpack_sbuffer b;
    msgpack_sbuffer_init(&b);
    for (int round = 0; round < 20000; round++) {
        msgpack_packer pk;
        msgpack_sbuffer_clear(&b);
        msgpack_packer_init(&pk, &b, msgpack_sbuffer_write);
        pack_random(&pk, 4);
        agree(slice_of(b.data, b.size));
        if (b.size < 300) check_skips(slice_of(b.data, b.size));
    }
    msgpack_sbuffer_destroy(&b);
}

Test(msgpack, what_the_cursor_accepts_of_mutilated_documents_msgpack_c_reads_alike)
{
    cr_log_info("seed %" PRIu64, seed);
    msgpack_sbuffer b;
    uint32_t accepted = 0;
    msgpack_sbuffer_init(&b);
    for (int round = 0; round < 20000; round++) {
        msgpack_packer pk;
        msgpack_sbuffer_clear(&b);
        msgpack_packer_init(&pk, &b, msgpack_sbuffer_write);
        pack_random(&pk, 3);
        for (uint64_t n = 1 + rnd() % 3; n > 0; n--) b.data[rnd() % b.size] = (char)rnd();
        struct mp m = mp_of(slice_of(b.data, b.size)), any = m;
        bool ok = mp_skip(&m);
        cr_assert_eq(mp_skip_any_depth(&any), ok || m.err == MP_DEEP);
        if (!ok) continue;
        accepted++;
        agree(slice_of(b.data, (size_t)((char *)m.p - b.data)));
    }
    cr_assert_gt(accepted, 5000);
    msgpack_sbuffer_destroy(&b);
}

Test(msgpack, a_scan_in_pieces_ends_where_the_skip_ends)
{
    cr_log_info("seed %" PRIu64, seed);
    for (int round = 0; round < 3000; round++) {
        msgpack_sbuffer b;
        msgpack_packer pk;
        msgpack_sbuffer_init(&b);
        msgpack_packer_init(&pk, &b, msgpack_sbuffer_write);
        pack_random(&pk, 4);
        size_t end = b.size, given = 0, at = 0;
        for (int i = 0; i < 40; i++) msgpack_pack_nil(&pk); /* what follows must not be touched */
        struct mp_scan scan = {.items = 1};
        bool done = false;
        while (!done) {
            cr_assert_lt(given, end);
            given += 1 + rnd() % (uint32_t[]){3, 40, 4000}[round % 3];
            if (given > b.size) given = b.size;
            struct mp m = {(uint8_t *)b.data + at, (uint8_t *)b.data + given, MP_OK};
            done = mp_scan(&scan, &m);
            cr_assert_eq(m.err, MP_OK);
            at = (size_t)(m.p - (uint8_t *)b.data);
            if (!done) cr_assert_leq(at + scan.items + scan.bytes, end, "a lower bound of what is to come");
        }
        cr_assert_eq(at, end);
        msgpack_sbuffer_destroy(&b);
    }
}

/* ---- what strangers may send ---------------------------------------------------------------- */

Test(msgpack, depth_is_limited_for_one_skip_and_not_for_the_other)
{
    static uint8_t nested[100001];
    for (uint32_t depth = 1; depth <= 100000; depth = depth < 40 ? depth + 1 : depth * 10) {
        memset(nested, 0x91, depth);
        nested[depth - 1] = 0x90;
        struct mp m = mp_of(slice_of(nested, depth)), any = m, deeper = m;
        cr_assert_eq(mp_skip(&m), depth <= MSGPACK_DEPTH_MAX, "%u", depth);
        cr_assert_eq(m.err, depth <= MSGPACK_DEPTH_MAX ? MP_OK : MP_DEEP);
        cr_assert(mp_skip_any_depth(&any));
        cr_assert_eq(mp_left(&any), 0);
        cr_assert_eq(mp_skip_within(&deeper, 3), depth <= 3);
    }
}

Test(msgpack, counts_and_lengths_beyond_the_bytes_are_short_and_cost_nothing)
{
    static const char *const huge[] = {"ddffffffff",     "ddffffffffc0c0", "dfffffffff",   "df80000000c0c0",
                                       "dcffffc0",       "deffffc0c0",     "dbffffffff61", "c6ffffffff61",
                                       "c9ffffffff0161", "daffff61"};
    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++) {
        struct slice s = hex_bytes(huge[i]);
        struct mp skip = mp_of(s), any = skip, scan_m = skip;
        struct mp_scan scan = {.items = 1};
        cr_assert_not(mp_skip(&skip));
        cr_assert_eq(skip.err, MP_SHORT, "%s", huge[i]);
        cr_assert_not(mp_skip_any_depth(&any));
        cr_assert_not(mp_scan(&scan, &scan_m));
        cr_assert_geq(scan.items + scan.bytes, 0xfff0, "%s tells at the header how much is to come", huge[i]);
        struct mp typed = mp_of(s);
        enum mp_type type = mp_peek(&typed);
        if (type == MP_ARRAY) mp_array(&typed);
        if (type == MP_MAP) mp_map(&typed);
        if (type == MP_STR || type == MP_BIN) mp_str(&typed);
        int8_t t;
        if (type == MP_EXT) mp_ext(&typed, &t);
        cr_assert_eq(typed.err, MP_SHORT, "%s", huge[i]);
    }
}

Test(msgpack, the_unused_lead_byte_is_bad_wherever_it_stands)
{
    static const char *const bad[] = {"c1", "91c1", "81a161c1", "81c1a161", "9291c190", "93c0c0c1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct mp m = mp_of(hex_bytes(bad[i])), any = m;
        cr_assert_not(mp_skip(&m));
        cr_assert_eq(m.err, MP_BAD, "%s", bad[i]);
        cr_assert_not(mp_skip_any_depth(&any));
        cr_assert_eq(any.err, MP_BAD, "%s", bad[i]);
    }
    struct mp m = mp_of(hex_bytes("c1"));
    cr_assert_eq(mp_peek(&m), MP_NONE);
    mp_double(&m);
    cr_assert_eq(m.err, MP_BAD);
}

Test(msgpack, the_first_error_stays_and_every_later_read_is_empty)
{
    struct mp m = mp_of(mp_text("'text' 7 {'a': 1}"));
    cr_assert_eq(mp_int(&m), 0);
    cr_assert_eq(m.err, MP_TYPE);
    cr_assert_eq(mp_str(&m).n, 0);
    cr_assert_eq(mp_map(&m), 0);
    cr_assert_not(mp_nil(&m));
    cr_assert_not(mp_bool(&m));
    cr_assert_not(mp_skip(&m));
    cr_assert_not(mp_skip_any_depth(&m));
    cr_assert_eq(mp_peek(&m), MP_NONE);
    cr_assert_eq(m.err, MP_TYPE);
}

Test(msgpack, reading_another_type_is_an_error_for_each_reader)
{
    int8_t type;
    for (int reader = 0; reader < 8; reader++) {
        struct mp m = mp_of(reader == 5 ? mp_text("[]") : mp_text("{}"));
        if (reader == 0) mp_bool(&m);
        if (reader == 1) mp_int(&m);
        if (reader == 2) mp_uint(&m);
        if (reader == 3) mp_double(&m);
        if (reader == 4) mp_str(&m);
        if (reader == 5) mp_map(&m);
        if (reader == 6) mp_array(&m);
        if (reader == 7) mp_ext(&m, &type);
        cr_assert_eq(m.err, MP_TYPE, "%d", reader);
    }
}

/* ---- writers ---------------------------------------------------------------------------------- */

Test(msgpack, integers_are_written_in_their_shortest_form)
{
    for (int bit = 0; bit < 64; bit++) {
        for (int off = -1; off <= 1; off++) {
            uint64_t u = (1ull << bit) + (uint64_t)(int64_t)off;
            int64_t values[] = {(int64_t)u, -(int64_t)(u & INT64_MAX)};
            for (int k = 0; k < 3; k++) {
                uint8_t mine[9];
                msgpack_sbuffer b;
                msgpack_packer pk;
                msgpack_sbuffer_init(&b);
                msgpack_packer_init(&pk, &b, msgpack_sbuffer_write);
                uint8_t *end = k == 2 ? mpw_uint(mine, u) : mpw_int(mine, values[k]);
                k == 2 ? msgpack_pack_uint64(&pk, u) : msgpack_pack_int64(&pk, values[k]);
                cr_assert(slice_eq(slice_of(mine, (size_t)(end - mine)), slice_of(b.data, b.size)));
                msgpack_sbuffer_destroy(&b);
            }
        }
    }
}

Test(msgpack, texts_and_containers_are_written_as_msgpack_c_writes_them)
{
    static const uint32_t SIZES[] = {0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536};
    static uint8_t body[65536], mine[65545];
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        for (int k = 0; k < 4; k++) {
            uint32_t n = SIZES[i];
            msgpack_sbuffer b;
            msgpack_packer pk;
            msgpack_sbuffer_init(&b);
            msgpack_packer_init(&pk, &b, msgpack_sbuffer_write);
            uint8_t *end = mine;
            if (k == 0) end = mpw_str(mine, slice_of(body, n)), msgpack_pack_str_with_body(&pk, body, n);
            if (k == 1) end = mpw_bin(mine, slice_of(body, n)), msgpack_pack_bin_with_body(&pk, body, n);
            if (k == 2) end = mpw_array(mine, n), msgpack_pack_array(&pk, n);
            if (k == 3) end = mpw_map(mine, n), msgpack_pack_map(&pk, n);
            cr_assert(slice_eq(slice_of(mine, (size_t)(end - mine)), slice_of(b.data, b.size)), "%d %u", k,
                      n);
            msgpack_sbuffer_destroy(&b);
        }
    }
}

/* ---- text ---------------------------------------------------------------------------------------- */

/* Table 3-7 of the Unicode standard, row by row. */
static bool model_utf8(const uint8_t *p, uint32_t n)
{
    static const uint8_t ROWS[9][8] = {
        {0x00, 0x7f},
        {0xc2, 0xdf, 0x80, 0xbf},
        {0xe0, 0xe0, 0xa0, 0xbf, 0x80, 0xbf},
        {0xe1, 0xec, 0x80, 0xbf, 0x80, 0xbf},
        {0xed, 0xed, 0x80, 0x9f, 0x80, 0xbf},
        {0xee, 0xef, 0x80, 0xbf, 0x80, 0xbf},
        {0xf0, 0xf0, 0x90, 0xbf, 0x80, 0xbf, 0x80, 0xbf},
        {0xf1, 0xf3, 0x80, 0xbf, 0x80, 0xbf, 0x80, 0xbf},
        {0xf4, 0xf4, 0x80, 0x8f, 0x80, 0xbf, 0x80, 0xbf},
    };
    while (n) {
        uint32_t took = 0;
        for (int r = 0; r < 9 && !took; r++) {
            uint32_t length = r == 0 ? 1 : r == 1 ? 2 : r < 6 ? 3 : 4, k = 0;
            while (k < length && k < n && p[k] >= ROWS[r][2 * k] && p[k] <= ROWS[r][2 * k + 1]) k++;
            if (k == length) took = length;
        }
        if (!took) return false;
        p += took;
        n -= took;
    }
    return true;
}

Test(text, utf8_is_judged_as_the_standard_says)
{
    static const uint8_t EDGES[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f,
                                    0xa0, 0xbf, 0xc0, 0xc2, 0xe0, 0xf4, 0xff};
    enum { N = sizeof EDGES };
    for (uint32_t lead = 0; lead < 256; lead++) {
        for (uint32_t i = 0; i < N * N * N; i++) {
            uint8_t four[4] = {(uint8_t)lead, EDGES[i % N], EDGES[i / N % N], EDGES[i / N / N]};
            for (uint32_t n = 1; n <= 4; n++)
                cr_assert_eq(utf8_valid(slice_of(four, n)), model_utf8(four, n), "%02x %u %u", lead, i, n);
        }
    }
}

Test(text, wherever_a_bad_byte_stands_it_is_found)
{
    uint8_t text[40];
    for (uint32_t n = 1; n <= sizeof text; n++) {
        for (uint32_t at = 0; at < n; at++) {
            memset(text, '~', sizeof text);
            cr_assert(utf8_valid(slice_of(text, n)) && text_printable(slice_of(text, n)));
            static const uint8_t CONTROLS[] = {0, 7, 10, 27, 31, 127};
            for (size_t k = 0; k < sizeof CONTROLS; k++) {
                text[at] = CONTROLS[k];
                cr_assert_not(text_printable(slice_of(text, n)), "%u at %u of %u", CONTROLS[k], at, n);
                cr_assert(utf8_valid(slice_of(text, n)));
            }
            text[at] = 0x80;
            cr_assert_not(utf8_valid(slice_of(text, n)));
            cr_assert_not(text_printable(slice_of(text, n)));
            text[at] = ' ';
            cr_assert(text_printable(slice_of(text, n)));
        }
    }
}

Test(text, what_turns_or_breaks_a_line_is_not_printable)
{
    static const char *const bad[] = {"a\u202e",    "\u2066", "\u200e", "\xc2\x85",
                                      "x\xc2\x9b!", "\u2028", "\ufeff", "\xc2\x80 234567890"};
    static const char *const good[] = {"", "Почта", "日本語", "café 🍺", "a\u200db", "\u00a0", "é"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(text_printable(slice_str(bad[i])), "%zu", i);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_assert(text_printable(slice_str(good[i])), "%zu", i);
}

/* ---- what the suite's encodings do not come to -------------------------------------------------- */

/* With nine bytes in reach the cursor reads numbers the short way; each form must give what the long way gives. */
Test(msgpack, a_number_is_the_same_with_and_without_bytes_behind_it)
{
    static const struct {
        uint8_t bytes[9];
        uint32_t n;
        double value;
    } list[] = {{{0x00}, 1, 0},
                {{0x7f}, 1, 127},
                {{0xff}, 1, -1},
                {{0xcc, 200}, 2, 200},
                {{0xcd, 1, 2}, 3, 258},
                {{0xce, 0, 1, 0, 0}, 5, 65536},
                {{0xcf, 0, 0, 0, 1, 0, 0, 0, 0}, 9, 4294967296.0},
                {{0xd0, 0x80}, 2, -128},
                {{0xca, 0x3f, 0x80, 0, 0}, 5, 1},
                {{0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0}, 9, 1}};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        uint8_t bytes[32] = {0};
        memcpy(bytes, list[i].bytes, list[i].n);
        struct mp alone = mp_of(slice_of(bytes, list[i].n)), more = mp_of(slice_of(bytes, sizeof bytes));
        cr_assert_eq(mp_double(&alone), list[i].value, "%zu", i);
        cr_assert_eq(mp_double(&more), list[i].value, "%zu", i);
        cr_assert_eq(alone.err, MP_OK);
        cr_assert_eq(more.p - bytes, list[i].n);
    }
}

Test(msgpack, what_a_large_unsigned_number_is_takes_a_second_byte_to_see)
{
    static const uint8_t large[] = {0xcf, 0x80}, small[] = {0xcf, 0x7f};
    struct mp m = mp_of(slice_of(large, 2));
    cr_assert_eq(mp_peek(&m), MP_UINT);
    m = mp_of(slice_of(small, 2));
    cr_assert_eq(mp_peek(&m), MP_INT);
    m = mp_of(slice_of(large, 1));
    cr_assert_eq(mp_peek(&m), MP_INT, "cut: reading it will say so");
}

Test(msgpack, nil_is_only_nil)
{
    static const uint8_t bytes[] = {0xc0, 0xc2};
    struct mp m = mp_of(slice_of(bytes, 2));
    cr_assert(mp_nil(&m));
    cr_assert_not(mp_nil(&m), "false is not nil");
    m = mp_of(slice_of(bytes, 0));
    cr_assert_not(mp_nil(&m), "nothing is not nil");
    cr_assert_eq(m.err, MP_OK);
}

Test(msgpack, a_text_that_says_it_is_longer_than_what_is_there_is_short)
{
    static const uint8_t bytes[] = {0xd9, 40, 'a', 'b'};
    struct mp m = mp_of(slice_of(bytes, sizeof bytes));
    cr_assert_eq(mp_str_any(&m).n, 0);
    cr_assert_eq(m.err, MP_SHORT);
}

Test(msgpack, more_levels_than_there_are_is_all_of_them)
{
    uint8_t bytes[MSGPACK_DEPTH_MAX + 2];
    memset(bytes, 0x91, sizeof bytes);
    bytes[MSGPACK_DEPTH_MAX] = 0x01;
    struct mp m = mp_of(slice_of(bytes, MSGPACK_DEPTH_MAX + 1));
    cr_assert(mp_skip_long(&m, UINT32_MAX));
    bytes[MSGPACK_DEPTH_MAX] = 0x91;
    bytes[MSGPACK_DEPTH_MAX + 1] = 0x01;
    m = mp_of(slice_of(bytes, sizeof bytes));
    cr_assert_not(mp_skip_long(&m, UINT32_MAX));
    cr_assert_eq(m.err, MP_DEEP);
}

Test(msgpack, without_a_level_only_what_has_none_is_skipped)
{
    static const uint8_t bytes[] = {0x01, 0x91, 0x01};
    struct mp m = mp_of(slice_of(bytes, sizeof bytes));
    cr_assert(mp_skip_long(&m, 0));
    cr_assert_not(mp_skip_long(&m, 0));
    cr_assert_eq(m.err, MP_DEEP);
}

Test(msgpack, nil_booleans_and_doubles_read_back_as_written)
{
    uint8_t bytes[32], *p = mpw_nil(bytes);
    p = mpw_double(mpw_bool(mpw_bool(p, true), false), -2.5);
    struct mp m = mp_of(slice_of(bytes, (size_t)(p - bytes)));
    cr_assert(mp_nil(&m));
    cr_assert(mp_bool(&m));
    cr_assert_not(mp_bool(&m));
    cr_assert_eq(mp_double(&m), -2.5);
    cr_assert_eq(m.err, MP_OK);
    cr_assert_eq(mp_left(&m), 0);
}
