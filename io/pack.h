/* pack.h - building answers with msgpack-c, a little shorter.
 * A map or list whose length is not known beforehand is opened with room for its count, which pk_close fills in. */
#ifndef HG_IO_PACK_H
#define HG_IO_PACK_H

#include "core/base/hash.h"

#include <msgpack.h>

typedef msgpack_packer pk_t;
static inline void pk_init(pk_t *pk, struct buf *out) { msgpack_packer_init(pk, out, buf_msgpack_write); }
static inline void pk_slice(pk_t *pk, struct slice s)
{
    msgpack_pack_str(pk, s.n);
    msgpack_pack_str_body(pk, s.p, s.n);
}
static inline void pk_text(pk_t *pk, const char *s) { pk_slice(pk, slice_str(s)); }
static inline void pk_uint(pk_t *pk, uint64_t v) { msgpack_pack_uint64(pk, v); }
static inline void pk_int(pk_t *pk, int64_t v) { msgpack_pack_int64(pk, v); }
static inline void pk_nil(pk_t *pk) { msgpack_pack_nil(pk); }
static inline void pk_bool(pk_t *pk, bool v) { v ? msgpack_pack_true(pk) : msgpack_pack_false(pk); }
static inline void pk_map(pk_t *pk, uint32_t n) { msgpack_pack_map(pk, n); }
static inline void pk_list(pk_t *pk, uint32_t n) { msgpack_pack_array(pk, n); }
static inline void pk_raw(pk_t *pk, struct slice packed) { buf_put_slice(pk->data, packed); }
static inline void pk_text_or_nil(pk_t *pk, struct slice s) { s.n ? pk_slice(pk, s) : pk_nil(pk); }
static inline void pk_second(pk_t *pk, uint32_t s) { s &&s != UINT32_MAX ? pk_uint(pk, s) : pk_nil(pk); }

static inline void pk_hex(pk_t *pk, struct key k)
{
    static const char digits[] = "0123456789abcdef";
    char text[32];
    for (int i = 0; i < 16; i++) {
        text[i] = digits[k.hi >> (60 - 4 * i) & 15];
        text[16 + i] = digits[k.lo >> (60 - 4 * i) & 15];
    }
    pk_slice(pk, slice_of(text, sizeof text));
}

/* key: value, for the answers' many counters */
static inline void pk_key_uint(pk_t *pk, const char *key, uint64_t v)
{
    pk_text(pk, key);
    pk_uint(pk, v);
}

enum { PK_MAP = 0xdf, PK_LIST = 0xdd };
static inline size_t pk_open(pk_t *pk, uint8_t kind)
{
    struct buf *b = pk->data;
    size_t at = b->n;
    uint8_t head[5] = {kind};
    buf_put(b, head, sizeof head);
    return at;
}
static inline void pk_close(pk_t *pk, size_t at, uint32_t count)
{
    struct buf *b = pk->data;
    store_be32(b->p + at + 1, count);
}

#endif
