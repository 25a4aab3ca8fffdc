/* tarantool.c - IPROTO: an UPSERT and a REPLACE that the client has put together, or one CALL of a stored procedure
 * (tarantool.lua) that does both in one transaction. Numbers of fields are those of tarantool.lua. */
#include "bench/peers/peer.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/msgpack.h"

enum {
    IPROTO_REPLACE = 3,
    IPROTO_UPSERT = 9,
    IPROTO_CALL = 10, /* requests */
    KEY_TYPE = 0,
    KEY_SYNC = 1,
    KEY_SPACE = 0x10,
    KEY_INDEX_BASE = 0x15,
    KEY_TUPLE = 0x21,
    KEY_FUNCTION = 0x22,
    KEY_OPS = 0x28,
    SPACE_PROFILES = 512,
    SPACE_TIMERS = 513, /* the first two that a fresh instance makes */
    FIELD_FIRST_COUNTER = 1,
    FIELD_TOTAL = 11,
    FIELD_SUM,
    FIELD_AT,
    FIELD_CITY,
    FIELD_EVENT,
    FIELDS, /* after the id, 0 */
    LENGTH_BYTES = 5,
    GREETING_BYTES = 128
};

static uint8_t *put_text(uint8_t *p, const char *text) { return mpw_str(p, slice_str(text)); }

static uint8_t *put_user(uint8_t *p, uint32_t user)
{
    char id[16];
    return mpw_str(p, slice_of(id, (size_t)sprintf(id, "u%011u", user)));
}

static uint8_t *put_header(uint8_t *p, uint32_t type)
{
    p = mpw_uint(mpw_uint(mpw_map(p, 2), KEY_TYPE), type);
    return mpw_uint(mpw_uint(p, KEY_SYNC), 1);
}

static uint8_t *close_request(uint8_t *start, uint8_t *end)
{
    start[0] = 0xce;
    store_be32(start + 1, (uint32_t)(end - start - LENGTH_BYTES));
    return end;
}

static uint8_t *put_op(uint8_t *p, const char *op, uint32_t field, uint64_t v)
{
    return mpw_uint(mpw_uint(put_text(mpw_array(p, 3), op), field), v);
}

static uint8_t *put_set(uint8_t *p, uint32_t field, const char *v)
{
    return put_text(mpw_uint(put_text(mpw_array(p, 3), "="), field), v);
}

static uint8_t *put_upsert(uint8_t *out, const struct peer_event *e)
{
    uint8_t *p = put_header(out + LENGTH_BYTES, IPROTO_UPSERT);
    p = mpw_uint(mpw_uint(mpw_map(p, 4), KEY_SPACE), SPACE_PROFILES);
    p = mpw_uint(mpw_uint(p, KEY_INDEX_BASE), 0);
    p = put_user(mpw_array(mpw_uint(p, KEY_TUPLE), FIELDS), e->user);
    for (uint32_t i = 1; i < FIELD_CITY; i++) p = mpw_uint(p, 0);
    p = mpw_array(mpw_uint(put_text(put_text(p, ""), ""), KEY_OPS), 6);
    p = put_op(p, "+", FIELD_FIRST_COUNTER + e->type, 1);
    p = put_op(p, "+", FIELD_TOTAL, 1);
    p = put_op(p, "+", FIELD_SUM, e->cents);
    p = put_op(p, "=", FIELD_AT, e->ms);
    p = put_set(put_set(p, FIELD_CITY, e->city), FIELD_EVENT, PEER_EVENT_NAMES[e->type]);
    return close_request(out, p);
}

static uint8_t *put_timer(uint8_t *out, const struct peer_event *e)
{
    uint8_t *p = put_header(out + LENGTH_BYTES, IPROTO_REPLACE);
    p = mpw_uint(mpw_uint(mpw_map(p, 2), KEY_SPACE), SPACE_TIMERS);
    p = put_user(mpw_array(mpw_uint(p, KEY_TUPLE), 2), e->user);
    return close_request(out, mpw_uint(p, e->ms + 3600000));
}

static uint8_t *raw(uint8_t *out, const struct peer_event *e) { return put_timer(put_upsert(out, e), e); }

static uint8_t *call(uint8_t *out, const struct peer_event *e)
{
    uint8_t *p = put_header(out + LENGTH_BYTES, IPROTO_CALL);
    p = put_text(mpw_uint(mpw_map(p, 2), KEY_FUNCTION), "event");
    p = put_user(mpw_array(mpw_uint(p, KEY_TUPLE), 6), e->user);
    p = mpw_uint(mpw_uint(mpw_uint(p, e->type), e->cents), e->ms);
    return close_request(out, put_text(put_text(p, e->city), PEER_EVENT_NAMES[e->type]));
}

static bool read_greeting(int fd)
{
    uint8_t greeting[GREETING_BYTES];
    return recv(fd, greeting, sizeof greeting, MSG_WAITALL) == GREETING_BYTES;
}

/* An answer is its length in 5 bytes (0xce and 32 bits) and a header map whose key 0 is the code: 0 when all is well. */
static long answers(const uint8_t *p, size_t n, size_t *used)
{
    static const uint8_t WELL[] = {0x83, 0x00, 0xce, 0, 0, 0, 0};
    long count = 0;
    size_t at = 0;
    while (n - at >= LENGTH_BYTES) {
        size_t length = load_be32(p + at + 1);
        if (n - at - LENGTH_BYTES < length) break;
        if (length < sizeof WELL || memcmp(p + at + LENGTH_BYTES, WELL, sizeof WELL) != 0) {
            fprintf(stderr, "tarantool: %.*s\n", (int)length, (const char *)p + at + LENGTH_BYTES);
            return -1;
        }
        at += LENGTH_BYTES + length;
        count++;
    }
    *used = at;
    return count;
}

const struct protocol TARANTOOL_RAW = {"tarantool-raw", 2, read_greeting, raw, answers};
const struct protocol TARANTOOL_CALL = {"tarantool-call", 1, read_greeting, call, answers};
