/* json_print.c - MessagePack to JSON text. Bytes that are no UTF-8 (ids, hashes) print as hexadecimal text, extension
 * types as null; a double prints with the fewest digits that read back as the same double. */
#include "tools/hourglass/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/limits.h"
#include "core/base/msgpack.h"

void json_print_text(struct slice text, struct buf *out)
{
    buf_put_u8(out, '"');
    for (uint32_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c == '\n')
            buf_put_str(out, "\\n");
        else if (c == '\t')
            buf_put_str(out, "\\t");
        else if (c < 0x20 || c == 0x7f)
            buf_printf(out, "\\u%04x", c);
        else
            buf_put_u8(out, c);
    }
    buf_put_u8(out, '"');
}

static void print_bytes(struct slice bytes, struct buf *out)
{
    if (utf8_valid(bytes)) {
        json_print_text(bytes, out);
        return;
    }
    buf_put_u8(out, '"');
    for (uint32_t i = 0; i < bytes.n; i++) buf_printf(out, "%02x", bytes.p[i]);
    buf_put_u8(out, '"');
}

static void print_double(double d, struct buf *out)
{
    char text[40];
    if (!isfinite(d)) {
        buf_put_str(out, "null");
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, d);
        if (strtod(text, NULL) == d) break;
    }
    buf_put_str(out, text);
}

static void line(struct buf *out, uint32_t indent, uint32_t level)
{
    if (indent == 0) return;
    buf_put_u8(out, '\n');
    for (uint32_t i = 0; i < indent * level; i++) buf_put_u8(out, ' ');
}

static void print_item(struct mp *m, uint32_t indent, uint32_t level, struct buf *out);

static void print_members(struct mp *m, bool map, uint32_t n, uint32_t indent, uint32_t level,
                          struct buf *out)
{
    buf_put_u8(out, map ? '{' : '[');
    for (uint32_t i = 0; i < n && m->err == MP_OK; i++) {
        if (i) buf_put_u8(out, ',');
        line(out, indent, level + 1);
        if (map) {
            if (mp_peek(m) == MP_STR || mp_peek(m) == MP_BIN) {
                print_bytes(mp_str(m), out);
            } else { /* JSON has text keys only */
                buf_put_u8(out, '"');
                print_item(m, 0, level + 1, out);
                buf_put_u8(out, '"');
            }
            buf_put_str(out, indent ? ": " : ":");
        }
        print_item(m, indent, level + 1, out);
    }
    if (n) line(out, indent, level);
    buf_put_u8(out, map ? '}' : ']');
}

static void print_item(struct mp *m, uint32_t indent, uint32_t level, struct buf *out)
{
    if (level > MSGPACK_DEPTH_MAX) m->err = MP_DEEP;
    switch (mp_peek(m)) {
    case MP_BOOL: buf_put_str(out, mp_bool(m) ? "true" : "false"); return;
    case MP_INT: buf_printf(out, "%lld", (long long)mp_int(m)); return;
    case MP_UINT: buf_printf(out, "%llu", (unsigned long long)mp_uint(m)); return;
    case MP_FLOAT: print_double(mp_double(m), out); return;
    case MP_STR:
    case MP_BIN: print_bytes(mp_str(m), out); return;
    case MP_ARRAY: print_members(m, false, mp_array(m), indent, level, out); return;
    case MP_MAP: print_members(m, true, mp_map(m), indent, level, out); return;
    case MP_NIL:
    case MP_EXT: mp_skip(m); break;
    case MP_NONE: m->err = m->err ? m->err : MP_SHORT; break;
    }
    buf_put_str(out, "null");
}

bool json_print(struct slice msgpack, uint32_t indent, struct buf *out)
{
    struct mp m = mp_of(msgpack);
    print_item(&m, indent, 0, out);
    return m.err == MP_OK && mp_left(&m) == 0;
}
