/* msgpack.c - one table row per lead byte tells how an item begins:
 *
 *   lead | count: `width` bytes, big-endian | `fixed` bytes | count * unit bytes        (text, binary, extensions)
 *   lead | count: `width` bytes, big-endian |   count * items items follow              (arrays 1, maps 2)
 *
 * A count may also sit in the lead byte itself (`mask`). `fixed` is a number's payload or an extension's type byte. */
#include "core/base/msgpack.h"
#include "core/base/limits.h"

struct shape {
    uint8_t type;  /* enum mp_type */
    uint8_t width; /* bytes of the count behind the lead byte */
    uint8_t fixed;
    uint8_t mask;  /* of the lead byte: the count */
    uint8_t unit;  /* bytes per count */
    uint8_t items; /* items per count */
};

static const struct shape SHAPES[256] = {
    [0x00 ... 0x7f] = {.type = MP_INT},
    [0x80 ... 0x8f] = {.type = MP_MAP, .mask = 0x0f, .items = 2},
    [0x90 ... 0x9f] = {.type = MP_ARRAY, .mask = 0x0f, .items = 1},
    [0xa0 ... 0xbf] = {.type = MP_STR, .mask = 0x1f, .unit = 1},
    [0xc0] = {.type = MP_NIL},
    [0xc1] = {.type = MP_NONE},
    [0xc2 ... 0xc3] = {.type = MP_BOOL},
    [0xc4] = {.type = MP_BIN, .width = 1, .unit = 1},
    [0xc5] = {.type = MP_BIN, .width = 2, .unit = 1},
    [0xc6] = {.type = MP_BIN, .width = 4, .unit = 1},
    [0xc7] = {.type = MP_EXT, .width = 1, .fixed = 1, .unit = 1},
    [0xc8] = {.type = MP_EXT, .width = 2, .fixed = 1, .unit = 1},
    [0xc9] = {.type = MP_EXT, .width = 4, .fixed = 1, .unit = 1},
    [0xca] = {.type = MP_FLOAT, .fixed = 4},
    [0xcb] = {.type = MP_FLOAT, .fixed = 8},
    [0xcc] = {.type = MP_INT, .fixed = 1},
    [0xcd] = {.type = MP_INT, .fixed = 2},
    [0xce] = {.type = MP_INT, .fixed = 4},
    [0xcf] = {.type = MP_INT, .fixed = 8},
    [0xd0] = {.type = MP_INT, .fixed = 1},
    [0xd1] = {.type = MP_INT, .fixed = 2},
    [0xd2] = {.type = MP_INT, .fixed = 4},
    [0xd3] = {.type = MP_INT, .fixed = 8},
    [0xd4] = {.type = MP_EXT, .fixed = 1 + 1},
    [0xd5] = {.type = MP_EXT, .fixed = 1 + 2},
    [0xd6] = {.type = MP_EXT, .fixed = 1 + 4},
    [0xd7] = {.type = MP_EXT, .fixed = 1 + 8},
    [0xd8] = {.type = MP_EXT, .fixed = 1 + 16},
    [0xd9] = {.type = MP_STR, .width = 1, .unit = 1},
    [0xda] = {.type = MP_STR, .width = 2, .unit = 1},
    [0xdb] = {.type = MP_STR, .width = 4, .unit = 1},
    [0xdc] = {.type = MP_ARRAY, .width = 2, .items = 1},
    [0xdd] = {.type = MP_ARRAY, .width = 4, .items = 1},
    [0xde] = {.type = MP_MAP, .width = 2, .items = 2},
    [0xdf] = {.type = MP_MAP, .width = 4, .items = 2},
    [0xe0 ... 0xff] = {.type = MP_INT},
};

void mp_fail(struct mp *m, enum mp_err err)
{
    if (!m->err) m->err = (uint8_t)err;
    m->p = m->end;
}

static inline uint32_t read_width(const uint8_t *p, uint32_t width)
{
    switch (width) {
    case 0: return 0;
    case 1: return p[0];
    case 2: return load_be16(p);
    default: return load_be32(p);
    }
}

/* ---- one item's head ------------------------------------------------------------------- */

struct head {
    const struct shape *shape;
    uint32_t count;
    uint64_t body; /* bytes behind the count that belong to the item itself */
};

/* False at the end of the bytes, on 0xc1, or when count or body are cut; m->p is then where it was. */
static inline enum mp_err head_read(struct mp *m, struct head *h)
{
    size_t left = mp_left(m);
    if (left == 0) return MP_SHORT;
    uint8_t lead = m->p[0];
    h->shape = &SHAPES[lead];
    if (h->shape->type == MP_NONE) return MP_BAD;
    if (left < 1u + h->shape->width) return MP_SHORT;
    h->count = (lead & h->shape->mask) | read_width(m->p + 1, h->shape->width);
    h->body = h->shape->fixed + (uint64_t)h->count * h->shape->unit;
    m->p += 1 + h->shape->width;
    return MP_OK;
}

/* The body of the next item, which must be of one of two types; NULL after an error. */
static const uint8_t *body_read(struct mp *m, enum mp_type a, enum mp_type b, struct head *h)
{
    enum mp_err err = head_read(m, h);
    if (!err && h->shape->type != a && h->shape->type != b) err = MP_TYPE;
    if (!err && h->body > mp_left(m)) err = MP_SHORT;
    if (err) {
        mp_fail(m, err);
        return NULL;
    }
    const uint8_t *body = m->p;
    m->p += h->body;
    return body;
}

enum mp_type mp_peek(const struct mp *m)
{
    if (m->p == m->end) return MP_NONE;
    if (*m->p == 0xcf && mp_left(m) >= 2 && m->p[1] >= 0x80) return MP_UINT;
    return (enum mp_type)SHAPES[*m->p].type;
}

bool mp_nil(struct mp *m)
{
    if (m->p == m->end || *m->p != 0xc0) return false;
    m->p++;
    return true;
}

bool mp_bool(struct mp *m)
{
    struct head h;
    const uint8_t *body = body_read(m, MP_BOOL, MP_BOOL, &h);
    return body && body[-1] == 0xc3;
}

/* ---- numbers --------------------------------------------------------------------------- */

struct number {
    bool negative, is_float;
    uint64_t u; /* the magnitude's bits: as unsigned, or as int64 when negative */
    double d;
};

static double load_float(const uint8_t *body, uint32_t n)
{
    float f;
    double d;
    uint32_t u4 = n == 4 ? load_be32(body) : 0;
    uint64_t u8 = n == 8 ? load_be64(body) : 0;
    memcpy(&f, &u4, 4);
    memcpy(&d, &u8, 8);
    return n == 4 ? (double)f : d;
}

static uint64_t load_unsigned(const uint8_t *body, uint32_t n)
{
    return n == 1 ? body[0] : n == 2 ? load_be16(body) : n == 4 ? load_be32(body) : load_be64(body);
}

static int64_t load_signed(const uint8_t *body, uint32_t n)
{
    return n == 1   ? (int8_t)body[0]
           : n == 2 ? (int16_t)load_be16(body)
           : n == 4 ? (int32_t)load_be32(body)
                    : (int64_t)load_be64(body);
}

static struct number number_read(struct mp *m, bool floats)
{
    struct number x = {0};
    struct head h;
    const uint8_t *body = body_read(m, MP_INT, floats ? MP_FLOAT : MP_INT, &h);
    if (!body) return x;
    uint8_t lead = body[-1];
    if (h.shape->type == MP_FLOAT) {
        x.is_float = true;
        x.d = load_float(body, h.shape->fixed);
    } else if (lead >= 0xcc && lead <= 0xcf) {
        x.u = load_unsigned(body, h.shape->fixed);
    } else {
        int64_t i = h.shape->fixed ? load_signed(body, h.shape->fixed) : (int8_t)lead;
        x.negative = i < 0;
        x.u = (uint64_t)i;
    }
    return x;
}

int64_t mp_int(struct mp *m)
{
    struct number x = number_read(m, false);
    if (!x.negative && x.u > INT64_MAX) {
        mp_fail(m, MP_TYPE);
        return 0;
    }
    return (int64_t)x.u;
}

uint64_t mp_uint(struct mp *m)
{
    struct number x = number_read(m, false);
    if (x.negative) {
        mp_fail(m, MP_TYPE);
        return 0;
    }
    return x.u;
}

static double number_as_double(struct mp *m)
{
    struct number x = number_read(m, true);
    return x.is_float ? x.d : x.negative ? (double)(int64_t)x.u : (double)x.u;
}

double mp_double(struct mp *m)
{
    if (mp_left(m) < 9) return number_as_double(m); /* else all of the number is there, whatever its form */
    const uint8_t *p = m->p;
    switch (*p) {
    case 0x00 ... 0x7f: m->p += 1; return *p;
    case 0xcb: m->p += 9; return load_float(p + 1, 8);
    case 0xcd: m->p += 3; return load_be16(p + 1);
    case 0xce: m->p += 5; return load_be32(p + 1);
    case 0xcf: m->p += 9; return (double)load_be64(p + 1);
    default: return number_as_double(m);
    }
}

/* ---- text, extensions, containers ------------------------------------------------------ */

struct slice mp_str_any(struct mp *m)
{
    size_t left = mp_left(m);
    if (left >= 2 && m->p[0] == 0xd9 && m->p[1] + 2u <= left) { /* 32 to 255 bytes: the usual ids */
        struct slice s = {m->p + 2, m->p[1]};
        m->p += 2 + s.n;
        return s;
    }
    struct head h;
    const uint8_t *body = body_read(m, MP_STR, MP_BIN, &h);
    return body ? slice_of(body, h.count) : (struct slice){0};
}

struct slice mp_ext(struct mp *m, int8_t *type)
{
    struct head h;
    const uint8_t *body = body_read(m, MP_EXT, MP_EXT, &h);
    *type = body ? (int8_t)body[0] : 0;
    return body ? slice_of(body + 1, h.body - 1) : (struct slice){0};
}

uint32_t mp_count_any(struct mp *m, enum mp_type type)
{
    struct head h;
    enum mp_err err = head_read(m, &h);
    if (!err && h.shape->type != type) err = MP_TYPE;
    if (!err && (uint64_t)h.count * h.shape->items > mp_left(m)) err = MP_SHORT;
    if (err) {
        mp_fail(m, err);
        return 0;
    }
    return h.count;
}

/* ---- skipping -------------------------------------------------------------------------- */

/* Steps over the next item's head and body; *items: what it contains, still to be stepped over, NO_CONTAINER if it is
 * none. Small text and small
 * integers are told by compares and not by the table: a predicted branch does not wait for the byte, a look-up does. */
#define NO_CONTAINER UINT64_MAX

static inline enum mp_err step(struct mp *m, uint64_t *items)
{
    size_t left = mp_left(m), size;
    if (left == 0) return MP_SHORT;
    uint8_t lead = m->p[0];
    *items = NO_CONTAINER;
    if ((lead ^ 0xa0u) < 32) {
        size = 1 + (lead ^ 0xa0u);
    } else if ((int8_t)lead >= -32) {
        size = 1;
    } else if (lead < 0xa0) {
        *items = lead < 0x90 ? (lead & 15u) * 2 : lead & 15u;
        size = 1;
    } else {
        struct head h;
        enum mp_err err = head_read(m, &h);
        if (err) return err;
        if (h.shape->items) *items = (uint64_t)h.count * h.shape->items;
        if (h.body > mp_left(m)) return MP_SHORT;
        m->p += h.body;
        return MP_OK;
    }
    if (size > left) return MP_SHORT;
    m->p += size;
    return MP_OK;
}

/* What is stepped over without asking whether it is all there: the longest short form fits. */
enum { SHORT_MARGIN = 34 };

/* A map or array of at most fifteen items that holds short texts and numbers only: what a context has inside. 100
 * instructions for two pairs instead of 140. False, m as it was: it is something else, or near the end. */
static bool skip_flat(struct mp *m)
{
    uint32_t lead = m->p < m->end ? *m->p : 0, items = lead < 0x90 ? (lead & 15) * 2 : lead & 15;
    if ((lead & 0xe0) != 0x80) return false;
    const uint8_t *p = m->p + 1;
    for (; items && m->end - p >= SHORT_MARGIN; items--) {
        uint32_t text = *p ^ 0xa0u;
        if (text < 32)
            p += 1 + text;
        else if (*p == 0xcb)
            p += 9;
        else if ((int8_t)*p >= -32 || *p == 0xc0 || (*p | 1) == 0xc3)
            p += 1;
        else
            return false;
    }
    if (items) return false;
    m->p = p;
    return true;
}

bool mp_skip_long(struct mp *m, uint32_t levels)
{
    if (levels && skip_flat(m)) return true;
    uint64_t outer[MSGPACK_DEPTH_MAX]; /* items still to come in the containers around the innermost one */
    uint64_t left = 1, items;
    uint32_t depth = 0;
    if (levels > MSGPACK_DEPTH_MAX) levels = MSGPACK_DEPTH_MAX;
    struct mp at = *m;
    for (;;) {
        enum mp_err err = step(&at, &items);
        left--;
        if (!err && items != NO_CONTAINER) {
            if (items > mp_left(&at))
                err = MP_SHORT;
            else if (depth == levels)
                err = MP_DEEP;
            else
                outer[depth++] = left, left = items;
        }
        if (err) return mp_fail(m, err), false;
        while (left == 0) {
            if (depth == 0) return *m = at, true;
            left = outer[--depth];
        }
    }
}

bool mp_skip(struct mp *m) { return mp_skip_within(m, MSGPACK_DEPTH_MAX); }

struct slice mp_item_within(struct mp *m, uint32_t levels)
{
    const uint8_t *from = m->p;
    if (!mp_skip_within(m, levels)) return (struct slice){0};
    return slice_of(from, (size_t)(m->p - from));
}

struct slice mp_item(struct mp *m) { return mp_item_within(m, MSGPACK_DEPTH_MAX); }

/* The forms that nearly all items have, as long as they lie well before the end; stops at any other one. One walk of
 * compares, no table and no check per item. */
static void scan_short(struct mp_scan *s, struct mp *m)
{
    const uint8_t *p = m->p;
    uint64_t items = s->items;
    while (items && m->end - p >= SHORT_MARGIN) {
        uint32_t lead = *p, text = lead ^ 0xa0;
        if (text < 32) {
            p += 1 + text;
        } else if ((int8_t)lead >= -32) {
            p += 1;
        } else if (lead < 0xa0) {
            s->containers++;
            items += lead < 0x90 ? (lead & 15) * 2 : lead & 15;
            p += 1;
        } else if (lead == 0xcb) {
            p += 9;
        } else if (lead == 0xd7) {
            p += 10;
        } else if (lead == 0xd9 && m->end - p >= 2 + p[1]) {
            p += 2 + p[1];
        } else {
            break;
        }
        items--;
    }
    m->p = p;
    s->items = items;
}

/* Depth need not be known to find the end: each header says how many more items follow, one sum holds them all.
 * The sum cannot overflow: a header of 5 bytes adds less than 2^33. */
bool mp_scan(struct mp_scan *s, struct mp *m)
{
    for (;;) {
        uint64_t take = s->bytes < mp_left(m) ? s->bytes : mp_left(m);
        m->p += take;
        s->bytes -= take;
        if (s->bytes) return false;
        scan_short(s, m);
        if (s->items == 0) return true;
        struct head h;
        enum mp_err err = head_read(m, &h);
        if (err == MP_BAD) mp_fail(m, MP_BAD);
        if (err) return false;
        s->containers += h.shape->items != 0;
        s->items += (uint64_t)h.count * h.shape->items;
        s->items--;
        s->bytes = h.body;
    }
}

bool mp_skip_any_depth(struct mp *m)
{
    struct mp shallow = *m; /* nearly always: half the cost of the scan that keeps no depth */
    if (mp_skip(&shallow)) {
        *m = shallow;
        return true;
    }
    struct mp_scan s = {.items = 1};
    if (m->err || !mp_scan(&s, m)) return mp_fail(m, MP_SHORT), false;
    return true;
}

/* ---- writers --------------------------------------------------------------------------- */

static uint8_t *put_be(uint8_t *p, uint64_t v, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++) p[i] = (uint8_t)(v >> 8 * (bytes - 1 - i));
    return p + bytes;
}

static uint8_t *put_tagged(uint8_t *p, uint8_t lead, uint64_t v, uint32_t bytes)
{
    *p = lead;
    return put_be(p + 1, v, bytes);
}

uint8_t *mpw_nil(uint8_t *p)
{
    *p = 0xc0;
    return p + 1;
}

uint8_t *mpw_bool(uint8_t *p, bool v)
{
    *p = v ? 0xc3 : 0xc2;
    return p + 1;
}

uint8_t *mpw_uint(uint8_t *p, uint64_t v)
{
    if (v < 0x80) return put_be(p, v, 1);
    if (v <= UINT8_MAX) return put_tagged(p, 0xcc, v, 1);
    if (v <= UINT16_MAX) return put_tagged(p, 0xcd, v, 2);
    if (v <= UINT32_MAX) return put_tagged(p, 0xce, v, 4);
    return put_tagged(p, 0xcf, v, 8);
}

uint8_t *mpw_int(uint8_t *p, int64_t v)
{
    if (v >= 0) return mpw_uint(p, (uint64_t)v);
    if (v >= -32) return put_be(p, (uint64_t)v, 1);
    if (v >= INT8_MIN) return put_tagged(p, 0xd0, (uint64_t)v, 1);
    if (v >= INT16_MIN) return put_tagged(p, 0xd1, (uint64_t)v, 2);
    if (v >= INT32_MIN) return put_tagged(p, 0xd2, (uint64_t)v, 4);
    return put_tagged(p, 0xd3, (uint64_t)v, 8);
}

uint8_t *mpw_double(uint8_t *p, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, 8);
    return put_tagged(p, 0xcb, bits, 8);
}

static uint8_t *put_bytes(uint8_t *p, struct slice s)
{
    if (s.n) memcpy(p, s.p, s.n);
    return p + s.n;
}

uint8_t *mpw_str(uint8_t *p, struct slice s)
{
    if (s.n < 32)
        p = put_be(p, 0xa0 | s.n, 1);
    else
        p = s.n <= UINT8_MAX    ? put_tagged(p, 0xd9, s.n, 1)
            : s.n <= UINT16_MAX ? put_tagged(p, 0xda, s.n, 2)
                                : put_tagged(p, 0xdb, s.n, 4);
    return put_bytes(p, s);
}

uint8_t *mpw_bin(uint8_t *p, struct slice s)
{
    p = s.n <= UINT8_MAX    ? put_tagged(p, 0xc4, s.n, 1)
        : s.n <= UINT16_MAX ? put_tagged(p, 0xc5, s.n, 2)
                            : put_tagged(p, 0xc6, s.n, 4);
    return put_bytes(p, s);
}

static uint8_t *put_count(uint8_t *p, uint8_t fix, uint8_t lead16, uint32_t n)
{
    if (n < 16) return put_be(p, fix | n, 1);
    return n <= UINT16_MAX ? put_tagged(p, lead16, n, 2) : put_tagged(p, lead16 + 1, n, 4);
}

uint8_t *mpw_array(uint8_t *p, uint32_t n) { return put_count(p, 0x90, 0xdc, n); }
uint8_t *mpw_map(uint8_t *p, uint32_t n) { return put_count(p, 0x80, 0xde, n); }
