#include "io/inflate.h"
#include "core/base/check.h"

#include <zlib.h>

enum { FIRST_ROOM = 64 << 10, WINDOW_BITS_GZIP = 15 + 16 };

static bool room_left(struct buf *out, size_t most)
{
    if (out->n >= most) return false;
    if (out->n == out->cap) buf_reserve(out, out->cap ? out->cap : FIRST_ROOM);
    return true;
}

/* One member; z->next_in stands behind it afterwards. */
static enum inflate_result inflate_member(z_stream *z, size_t most, struct buf *out)
{
    for (;;) {
        if (!room_left(out, most + 1)) return INFLATE_TOO_LARGE;
        size_t room = out->cap - out->n, left = most + 1 - out->n;
        uInt given = (uInt)(room < left ? room : left);
        z->next_out = out->p + out->n;
        z->avail_out = given;
        int result = inflate(z, Z_NO_FLUSH);
        out->n += given - z->avail_out;
        if (out->n > most) return INFLATE_TOO_LARGE;
        if (result == Z_STREAM_END) return INFLATE_OK;
        bool cut = result == Z_BUF_ERROR || (z->avail_in == 0 && z->avail_out > 0);
        if (result != Z_OK || cut) return INFLATE_BAD;
    }
}

enum inflate_result gzip_inflate(struct slice in, size_t max, struct buf *out)
{
    z_stream z = {.next_in = (Bytef *)in.p, .avail_in = in.n};
    size_t by_ratio = INFLATE_RATIO_FREE + (size_t)in.n * INFLATE_RATIO_MAX,
           most = by_ratio < max ? by_ratio : max;
    enum inflate_result result = in.n ? INFLATE_OK : INFLATE_BAD;
    int started = inflateInit2(&z, WINDOW_BITS_GZIP);
    CHECK(started == Z_OK);
    buf_clear(out);
    while (result == INFLATE_OK && z.avail_in) {
        result = inflate_member(&z, most, out);
        if (result == INFLATE_OK && z.avail_in && inflateReset(&z) != Z_OK) result = INFLATE_BAD;
    }
    inflateEnd(&z);
    return result;
}
