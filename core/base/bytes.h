/* bytes.h - borrowed slices, byte order, and a growable buffer for what is off the hot path.
 * Owner: a slice borrows; a buf owns. Memory: a buf grows by doubling with realloc.
 * Fails: buf_* abort when memory is gone; nothing on the batch path uses a buf that can grow. */
#ifndef HG_BASE_BYTES_H
#define HG_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *p;
    uint32_t n;
};

#define SLICE(literal) ((struct slice){(const uint8_t *)(literal), sizeof(literal) - 1})

static inline struct slice slice_of(const void *p, size_t n)
{
    return (struct slice){(const uint8_t *)p, (uint32_t)n};
}
static inline struct slice slice_str(const char *s) { return slice_of(s, strlen(s)); }
static inline const uint8_t *slice_end(struct slice s)
{
    return s.n ? s.p + s.n : s.p;
} /* NULL + 0 is none */
static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool slice_is(struct slice a, const char *s) { return slice_eq(a, slice_str(s)); }

static inline uint16_t load_be16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t load_be32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}
static inline uint64_t load_be64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}
static inline uint16_t load_le16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return v;
}
static inline uint32_t load_le32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}
static inline uint64_t load_le64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}
static inline void store_le16(uint8_t *p, uint16_t v) { memcpy(p, &v, 2); }
static inline void store_le32(uint8_t *p, uint32_t v) { memcpy(p, &v, 4); }
static inline void store_le64(uint8_t *p, uint64_t v) { memcpy(p, &v, 8); }
static inline void store_be32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, 4);
}

/* A growable byte string. Zero-initialise; buf_free at the end. */
struct buf {
    uint8_t *p;
    size_t n, cap;
};

void buf_reserve(struct buf *b, size_t more); /* room for `more` bytes behind n */
void buf_free(struct buf *b);
static inline void buf_clear(struct buf *b) { b->n = 0; }
static inline void buf_put(struct buf *b, const void *p, size_t n)
{
    if (b->cap - b->n < n) buf_reserve(b, n);
    if (n) memcpy(b->p + b->n, p, n);
    b->n += n;
}
static inline void buf_put_slice(struct buf *b, struct slice s) { buf_put(b, s.p, s.n); }
static inline void buf_put_str(struct buf *b, const char *s) { buf_put(b, s, strlen(s)); }
static inline void buf_put_u8(struct buf *b, uint8_t v) { buf_put(b, &v, 1); }
static inline void buf_put_le16(struct buf *b, uint16_t v) { buf_put(b, &v, 2); }
static inline void buf_put_le32(struct buf *b, uint32_t v) { buf_put(b, &v, 4); }
static inline void buf_put_le64(struct buf *b, uint64_t v) { buf_put(b, &v, 8); }
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline struct slice buf_slice(const struct buf *b) { return slice_of(b->p, b->n); }
/* msgpack-c's packer callback: msgpack_packer_init(&pk, &buf, buf_msgpack_write). */
int buf_msgpack_write(void *data, const char *p, size_t n);

/* Reads little-endian fields one after the other; asks once at the end whether all went well. */
struct reader {
    const uint8_t *p, *end;
    bool bad;
};
static inline struct reader reader_of(struct slice s) { return (struct reader){s.p, slice_end(s), false}; }
static inline const uint8_t *read_bytes(struct reader *r, size_t n)
{
    static const uint8_t zeros[64];
    if (r->bad || (size_t)(r->end - r->p) < n) {
        r->bad = true;
        return n <= sizeof zeros ? zeros : NULL;
    }
    const uint8_t *at = r->p;
    r->p += n;
    return at;
}
static inline uint8_t read_u8(struct reader *r) { return *read_bytes(r, 1); }
static inline uint16_t read_le16(struct reader *r) { return load_le16(read_bytes(r, 2)); }
static inline uint32_t read_le32(struct reader *r) { return load_le32(read_bytes(r, 4)); }
static inline uint64_t read_le64(struct reader *r) { return load_le64(read_bytes(r, 8)); }
static inline struct slice read_slice(struct reader *r, size_t n) /* empty when bad */
{
    const uint8_t *at = read_bytes(r, n);
    return r->bad ? (struct slice){0} : slice_of(at, n);
}

#endif
