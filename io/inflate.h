/* inflate.h - gzip bytes from strangers, one member or several behind each other.
 * Owner: the caller. Memory: out grows in doubling steps as bytes come, never from a length that the input claims.
 * Fails: with a reason, out is then worthless. Cost: about 3 ns a byte of output. */
#ifndef HG_IO_INFLATE_H
#define HG_IO_INFLATE_H

#include "core/base/bytes.h"

enum inflate_result { INFLATE_OK, INFLATE_BAD /* damaged, cut, or not gzip */, INFLATE_TOO_LARGE };

/* At most max bytes, and beyond the first MiB at most INFLATE_RATIO_MAX bytes for each byte of input: the ratio of
 * honest logs is below 100, a bomb's is about 1000. */
enum { INFLATE_RATIO_MAX = 256, INFLATE_RATIO_FREE = 1 << 20 };
enum inflate_result gzip_inflate(struct slice in, size_t max, struct buf *out);

#endif
