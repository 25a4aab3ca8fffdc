/* msgpack.h - pull cursor over MessagePack bytes from strangers, and a small writer.
 * Owner: the caller; slices point into the input. Memory: none; no recursion, no allocation from a count.
 * Fails: the cursor remembers the first error and every later read returns zero or empty, so that a decoder
 *        reads field after field and asks once at the end (`mp.err`). After an error nothing is left to read.
 * MP_SHORT means "the bytes end here": with more bytes the same read may succeed. A count of items larger than the
 * bytes left is MP_SHORT at once: an item has at least one byte.
 * Cost: a short text or number is read inline; skipping costs about 1.5 ns an item.
 * Packing that may grow uses msgpack-c; mpw_* below writes into room that the caller reserved. */
#ifndef HG_BASE_MSGPACK_H
#define HG_BASE_MSGPACK_H

#include "core/base/bytes.h"

enum mp_err { MP_OK, MP_SHORT, MP_BAD /* 0xc1 or impossible length */, MP_DEEP, MP_TYPE };
enum mp_type {
    MP_NIL,
    MP_BOOL,
    MP_INT,
    MP_UINT /* above INT64_MAX */,
    MP_FLOAT,
    MP_STR,
    MP_BIN,
    MP_ARRAY,
    MP_MAP,
    MP_EXT,
    MP_NONE
};

struct mp {
    const uint8_t *p, *end;
    uint8_t err;
};

static inline struct mp mp_of(struct slice s) { return (struct mp){s.p, slice_end(s), MP_OK}; }
static inline size_t mp_left(const struct mp *m) { return (size_t)(m->end - m->p); }

/* The long ways, for every form the fast paths below leave over. */
struct slice mp_str_any(struct mp *m);
uint32_t mp_count_any(struct mp *m, enum mp_type type);
void mp_fail(struct mp *m, enum mp_err err); /* keeps the first error */

enum mp_type mp_peek(const struct mp *m); /* MP_NONE at the end, on 0xc1, or after an error */
bool mp_nil(struct mp *m);                /* consumes a nil if the next item is one */
bool mp_bool(struct mp *m);
int64_t mp_int(struct mp *m);                   /* MP_TYPE if it does not fit int64 */
uint64_t mp_uint(struct mp *m);                 /* MP_TYPE if negative */
double mp_double(struct mp *m);                 /* float32, float64 or any integer */
static inline struct slice mp_str(struct mp *m) /* str or bin: senders mix them */
{
    size_t left = mp_left(m);
    if (left > 0) {
        uint32_t n = m->p[0] ^ 0xa0u; /* fixstr: the length in the low five bits */
        if (n < 32 && n < left) {
            struct slice s = {m->p + 1, n};
            m->p += 1 + n;
            return s;
        }
    }
    return mp_str_any(m);
}
struct slice mp_ext(struct mp *m, int8_t *type);
static inline uint32_t mp_array(struct mp *m) { return mp_count_any(m, MP_ARRAY); } /* header only */
static inline uint32_t mp_map(struct mp *m)                                         /* number of pairs */
{
    size_t left = mp_left(m);
    uint32_t n = left ? m->p[0] ^ 0x80u : 16; /* fixmap: the count in the low four bits */
    if (n < 16 && 2 * n < left) return m->p++, n;
    return mp_count_any(m, MP_MAP);
}
/* Is the next item a number? */
static inline bool mp_is_number(const struct mp *m)
{
    if (m->p == m->end) return false;
    uint8_t lead = m->p[0];
    return (int8_t)lead >= -32 || (lead >= 0xca && lead <= 0xd3);
}
/* Is the next item str or bin? */
static inline bool mp_is_text(const struct mp *m)
{
    if (m->p == m->end) return false;
    uint8_t lead = m->p[0];
    return (lead ^ 0xa0u) < 32 || (lead >= 0xd9 && lead <= 0xdb) || (lead >= 0xc4 && lead <= 0xc6);
}
bool mp_skip(struct mp *m); /* one whole item, nested at most MSGPACK_DEPTH_MAX; O(1) memory per level */
bool mp_skip_long(struct mp *m, uint32_t levels);
/* The same with less depth left: containers in containers. */
static inline bool mp_skip_within(struct mp *m, uint32_t levels)
{
    size_t left = mp_left(m);
    uint8_t lead = left ? m->p[0] : 0xc1;
    uint32_t text = lead ^ 0xa0u;
    if (text < 32 && text < left) return m->p += 1 + text, true;
    if ((int8_t)lead >= -32 || lead == 0xc0 || lead == 0xc2 || lead == 0xc3) return m->p += 1, true;
    if (lead == 0xcb && left >= 9) return m->p += 9, true;
    return mp_skip_long(m, levels);
}
/* One whole item as a slice of its bytes; empty on error. */
struct slice mp_item(struct mp *m);
struct slice mp_item_within(struct mp *m, uint32_t levels);
/* Skips one whole item without a limit on depth (constant memory): to find where a refused record ends. */
bool mp_skip_any_depth(struct mp *m);

/* The same in instalments, for an item that arrives in pieces: start with {1, 0} and give each new piece once.
 * mp_scan answers true when the item ended, with m->p behind it; false: m ran out (nothing is left in it) or m->err.
 * At least `items` + `bytes` more are to come: a reader with a cap can refuse at the header. A header that is cut
 * stays unread: what mp_left still shows must come again in front of the next piece. */
struct mp_scan {
    uint64_t items;      /* whole ones not begun yet */
    uint64_t bytes;      /* of a text or number that has begun */
    uint64_t containers; /* seen so far: no item is nested deeper than that */
};
bool mp_scan(struct mp_scan *s, struct mp *m);

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
/* Fit for an id or a name: valid UTF-8 without control characters (C0, DEL, C1) and without those that turn or break
 * the line they are printed in (bidi marks and overrides, line and paragraph separators, BOM). */
bool text_printable(struct slice s);

#endif
