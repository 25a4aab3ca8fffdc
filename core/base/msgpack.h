/* msgpack.h - pull cursor over MessagePack bytes from strangers, and a small writer.
 * Owner: the caller; slices point into the input. Memory: none; no recursion, no allocation from a count.
 * Fails: the cursor remembers the first error and every later read returns zero or empty, so that a decoder
 *        reads field after field and asks once at the end (`mp.err`).
 * MP_SHORT means "the bytes end here": with more bytes the same read may succeed.
 * Packing that may grow uses msgpack-c; mpw_* below writes into room that the caller reserved. */
#ifndef HG_BASE_MSGPACK_H
#define HG_BASE_MSGPACK_H

#include "core/base/bytes.h"

enum mp_err { MP_OK, MP_SHORT, MP_BAD /* 0xc1 or impossible length */, MP_DEEP, MP_TYPE };
enum mp_type { MP_NIL, MP_BOOL, MP_INT, MP_UINT /* above INT64_MAX */, MP_FLOAT, MP_STR, MP_BIN, MP_ARRAY, MP_MAP, MP_EXT, MP_NONE };

struct mp {
    const uint8_t *p, *end;
    uint8_t err;
};

static inline struct mp mp_of(struct slice s) { return (struct mp){s.p, s.p + s.n, MP_OK}; }
static inline size_t mp_left(const struct mp *m) { return (size_t)(m->end - m->p); }

enum mp_type mp_peek(const struct mp *m); /* MP_NONE at the end, on 0xc1, or after an error */
bool mp_nil(struct mp *m);                /* consumes a nil if the next item is one */
bool mp_bool(struct mp *m);
int64_t mp_int(struct mp *m);             /* MP_TYPE if it does not fit int64 */
uint64_t mp_uint(struct mp *m);           /* MP_TYPE if negative */
double mp_double(struct mp *m);           /* float32, float64 or any integer */
struct slice mp_str(struct mp *m);        /* str or bin: senders mix them */
struct slice mp_ext(struct mp *m, int8_t *type);
uint32_t mp_array(struct mp *m);          /* header only; a count above the bytes left is MP_BAD or MP_SHORT */
uint32_t mp_map(struct mp *m);            /* number of pairs; count as above */
bool mp_skip(struct mp *m);               /* one whole item, nested at most MSGPACK_DEPTH_MAX; O(1) memory per level */
/* One whole item as a slice of its bytes; empty on error. */
struct slice mp_item(struct mp *m);
/* Skips one whole item without a limit on depth (constant memory): to find where a refused record ends. */
bool mp_skip_any_depth(struct mp *m);

/* Writers: each returns the new end; the caller has room (9 bytes + length for strings). */
uint8_t *mpw_nil(uint8_t *p);
uint8_t *mpw_bool(uint8_t *p, bool v);
uint8_t *mpw_int(uint8_t *p, int64_t v);
uint8_t *mpw_uint(uint8_t *p, uint64_t v);
uint8_t *mpw_double(uint8_t *p, double v);
uint8_t *mpw_str(uint8_t *p, struct slice s);
uint8_t *mpw_bin(uint8_t *p, struct slice s);
uint8_t *mpw_array(uint8_t *p, uint32_t n);
uint8_t *mpw_map(uint8_t *p, uint32_t n);

bool utf8_valid(struct slice s);

#endif
