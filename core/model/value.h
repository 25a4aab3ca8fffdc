/* value.h - one value of the expression language, of an attribute or of an event property.
 * Owner: nobody; text, lists and maps are borrowed (event bytes, store, arena). 16 bytes, passed by value.
 * Time is seconds since 1970 with nanoseconds beside it: CEL wants them, the engine itself uses whole seconds. */
#ifndef HG_MODEL_VALUE_H
#define HG_MODEL_VALUE_H

#include "core/base/arena.h"
#include "core/base/msgpack.h"

enum value_kind {
    V_NONE = 0, /* absent: attribute never set, property not sent */
    V_NULL,
    V_BOOL,
    V_INT,
    V_UINT,
    V_DOUBLE,
    V_STRING,
    V_TIME,     /* i seconds, n nanoseconds */
    V_DURATION, /* i seconds, n nanoseconds (same sign as i by convention of the reader: int32) */
    V_LIST,     /* n items */
    V_MAP,      /* n pairs */
    V_RAW,      /* undecoded MessagePack of a list or map, n bytes; value_expand turns it into V_LIST/V_MAP */
    V_ERROR,    /* s: static text, n its length */
    V_TYPE,     /* CEL type value, i: a value_kind */
};

struct value_pair;
struct value {
    uint8_t kind;
    uint8_t flags;
    uint16_t extra;
    uint32_t n;
    union {
        bool b;
        int64_t i;
        uint64_t u;
        double d;
        const uint8_t *s;
        const struct value *list;
        const struct value_pair *map;
    };
};
struct value_pair {
    struct value key, value;
};
_Static_assert(sizeof(struct value) == 16, "two words");

static inline struct value value_none(void) { return (struct value){0}; }
static inline struct value value_null(void) { return (struct value){.kind = V_NULL}; }
static inline struct value value_bool(bool b) { return (struct value){.kind = V_BOOL, .b = b}; }
static inline struct value value_int(int64_t i) { return (struct value){.kind = V_INT, .i = i}; }
static inline struct value value_double(double d) { return (struct value){.kind = V_DOUBLE, .d = d}; }
static inline struct value value_string(struct slice s)
{
    return (struct value){.kind = V_STRING, .n = s.n, .s = s.p};
}
static inline struct value value_time(int64_t s) { return (struct value){.kind = V_TIME, .i = s}; }
static inline struct value value_duration(int64_t s) { return (struct value){.kind = V_DURATION, .i = s}; }
static inline struct slice value_text(struct value v) { return slice_of(v.s, v.n); }

/* What a definition declares: `number` is a double, `date` days, `[string]` a list of strings. */
enum declared_type { T_NUMBER, T_STRING, T_BOOL, T_TIME, T_DATE, T_STRINGS, T_RAW /* nested: objects */ };

/* Decodes one MessagePack item: scalars as they are (bin as text, timestamp extensions as V_TIME), list and map as
 * V_RAW. V_ERROR on malformed input (m->err says what) and, with m->err == MP_OK, on an extension nobody knows.
 * Text is not checked for UTF-8. `levels`: how deep containers may still be nested. */
struct value value_read(struct mp *m);
struct value value_read_within(struct mp *m, uint32_t levels);
/* V_RAW to V_LIST or V_MAP, all the way down; any other kind as it is. V_ERROR when a fixed arena has no room. */
struct value value_expand(struct value raw, struct arena *a);
/* Appends the value as MessagePack (V_NONE and V_ERROR as nil, V_TIME as ISO-8601 text, V_DURATION as "90s" text). */
void value_write(struct value v, struct buf *out);
/* Fits a value from a stranger to a declared type. False: wrong type (dropped and counted by the caller), also NaN,
 * infinity and text that is not UTF-8. Numbers become V_DOUBLE, times and dates V_TIME (a date: midnight UTC of the day
 * as written), [string] and objects stay V_RAW. `coerce` also turns "1 990,00" into a number.
 * Dates: "1987-03-14" (text), times: ISO-8601 text or seconds/ms. */
bool value_fit(struct value in, enum declared_type type, bool coerce, struct value *out);
int64_t
value_micros(struct value v); /* a number in int64 millionths, rounded half away from zero, saturating */
/* The same of a double; NaN is 0. What is cut off is exact, and nothing is called. */
static inline int64_t double_micros(double d)
{
    double micros = d * 1e6;
    if (micros != micros) return 0;
    if (micros >= 0x1p63) return INT64_MAX;
    if (micros < -0x1p63) return INT64_MIN;
    int64_t whole = (int64_t)micros;
    double rest = micros - (double)whole;
    return whole + (rest >= 0.5) - (rest <= -0.5);
}
bool value_same(struct value a, struct value b); /* same kind and content; no promotion */
/* A time as the value_time of its second with nanoseconds. */
struct value value_of_time(int64_t ms);
/* Seconds, or milliseconds when beyond 1e11 (year 5138 in seconds). False: not finite or far out of range. */
bool time_from_number(double t, int64_t *ms);
/* MessagePack's timestamp extension (-1) and Forward's EventTime (0); false: another, or of a wrong shape. */
bool time_from_ext(int8_t type, struct slice body, int64_t *s, uint32_t *ns);
#define TIME_FIRST_S (-62135596800ll) /* 0001-01-01 */
#define TIME_LAST_S  253402300799ll   /* 9999-12-31T23:59:59 */
/* ISO-8601 "2026-03-01T10:00:00.123Z", "+03:00", date only; false if it is none. */
bool iso8601_parse(struct slice text, int64_t *ms);
/* The same, for one of many moments near each other: in the minute of the last one a third of the work.
 * Zero-initialise *near; the result does not depend on it. */
struct iso8601_minute {
    uint64_t text[2]; /* "2026-03-01T10:00" */
    int64_t ms;
};
bool iso8601_parse_near(struct iso8601_minute *near, struct slice text, int64_t *ms);
uint32_t iso8601_print(int64_t ms, char out[32]); /* "2026-03-01T10:00:00Z" or with ".123"; returns length */

#endif
