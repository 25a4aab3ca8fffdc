/* The gzip path. The first byte says how the rest is used: as gzip of a stranger, which one big inflate must read alike;
 * or as entries that are packed, compressed and sent, which must mean what they mean uncompressed. */
#include "core/base/check.h"
#include "io/forward.h"
#include "io/inflate.h"

#include <stdlib.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { MAX = 1 << 20, GZIP = 15 + 16 };

/* ---- any bytes: what zlib makes of them when it has all the room it wants --------------------------------- */

static enum inflate_result whole(const uint8_t *data, size_t n, uint8_t *room, size_t *length)
{
    size_t by_ratio = INFLATE_RATIO_FREE + n * INFLATE_RATIO_MAX, most = by_ratio < MAX ? by_ratio : MAX;
    z_stream z = {.next_in = (Bytef *)data, .avail_in = (uInt)n};
    int result = n ? Z_STREAM_END : Z_DATA_ERROR;
    *length = 0;
    CHECK(inflateInit2(&z, GZIP) == Z_OK);
    while (result == Z_STREAM_END && z.avail_in) {
        z.next_out = room + *length;
        z.avail_out = (uInt)(most + 1 - *length);
        result = inflate(&z, Z_FINISH);
        *length = (size_t)(z.next_out - room);
        if (*length > most) break;
        inflateReset(&z);
    }
    inflateEnd(&z);
    return *length > most ? INFLATE_TOO_LARGE : result == Z_STREAM_END ? INFLATE_OK : INFLATE_BAD;
}

static void any_bytes(const uint8_t *data, size_t n)
{
    static uint8_t room[MAX + 1];
    size_t length;
    struct buf out = {0};
    enum inflate_result expected = whole(data, n, room, &length),
                        found = gzip_inflate(slice_of(data, n), MAX, &out);
    CHECK(found == expected);
    CHECK(found != INFLATE_OK || slice_eq(buf_slice(&out), slice_of(room, length)));
    CHECK(out.cap <= 4 * MAX);
    buf_free(&out);
}

/* ---- entries: compressed or not, the sink sees the same ---------------------------------------------------- */

static bool begin(void *self, const struct forward_chunk *c) { return c->tag.n == 1; }
static void entry(void *self, const struct forward_entry *e)
{
    buf_put_le64(self, (uint64_t)e->time_ms);
    buf_put_u8(self, e->reject);
    buf_put_slice(self, e->record);
}
static void end(void *self, const struct forward_chunk *c) { buf_put_le32(self, c->entries); }
static void reply(void *self, const void *p, size_t n) { CHECK(!"nothing is replied to a frame"); }

static void put_head(struct buf *frame, uint32_t items, size_t n)
{
    buf_put_u8(frame, (uint8_t)(0x90 | items));
    buf_put(frame, "\xa1t\xc6", 3); /* the tag, and a bin32 */
    buf_reserve(frame, 4);
    store_be32(frame->p + frame->n, (uint32_t)n);
    frame->n += 4;
}

static enum forward_close feed(const struct buf *frame, struct buf *seen)
{
    struct forward_sink sink = {seen, begin, entry, end, reply};
    struct forward *f = forward_create(&sink, NULL, NULL);
    enum forward_close why = forward_feed(f, frame->p, frame->n);
    forward_destroy(f);
    return why;
}

/* One member, or two when `at` cuts the entries. */
static void compress_into(struct buf *frame, const uint8_t *data, size_t n, size_t at, int level)
{
    struct buf out = {0};
    for (int part = 0; part < 2; part++) {
        const uint8_t *from = part ? data + at : data;
        size_t bytes = part ? n - at : at;
        z_stream z = {0};
        if (part && !bytes) break;
        CHECK(deflateInit2(&z, level, Z_DEFLATED, GZIP, 8, Z_DEFAULT_STRATEGY) == Z_OK);
        size_t most = deflateBound(&z, bytes) + 32;
        buf_reserve(&out, most);
        z.next_in = (Bytef *)from;
        z.avail_in = (uInt)bytes;
        z.next_out = out.p + out.n;
        z.avail_out = (uInt)most;
        CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
        out.n += z.total_out;
        deflateEnd(&z);
    }
    put_head(frame, 3, out.n);
    buf_put_slice(frame, buf_slice(&out));
    buf_put(frame,
            "\x81\xaa"
            "compressed\xa4gzip",
            17);
    buf_free(&out);
}

static void entries(const uint8_t *data, size_t n, uint8_t how)
{
    struct buf plain = {0}, packed = {0}, seen_plain = {0}, seen_packed = {0};
    put_head(&plain, 2, n);
    buf_put(&plain, data, n);
    compress_into(&packed, data, n, n ? how % n : 0, how % 10);
    enum forward_close a = feed(&plain, &seen_plain), b = feed(&packed, &seen_packed);
    CHECK(a == b || b == FORWARD_CLOSE_INFLATED_TOO_LARGE);
    CHECK(a != b || slice_eq(buf_slice(&seen_plain), buf_slice(&seen_packed)));
    buf_free(&plain);
    buf_free(&packed);
    buf_free(&seen_plain);
    buf_free(&seen_packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (!n || n > 1 << 16) return 0;
    if (data[0] & 1)
        entries(data + 1, n - 1, data[0] >> 1);
    else
        any_bytes(data + 1, n - 1);
    return 0;
}
