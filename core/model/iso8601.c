/* iso8601.c - ISO-8601 texts to milliseconds and back. Accepted: date, or date, 'T' or a blank, hh:mm, optional
 * seconds and fraction (digits beyond milliseconds are cut off), then nothing (UTC), 'Z', or an offset +hh[[:]mm].
 * Date arithmetic after Neri & Schneider, arXiv 2102.06959, in its plain 400-year form: model/ stands beside time/
 * and may not use it. */
#include "core/model/value.h"
#include "core/base/check.h"

static bool digits(struct slice *s, uint32_t n, uint32_t *out)
{
    if (s->n < n) return false;
    *out = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t c = s->p[i];
        if (c < '0' || c > '9') return false;
        *out = *out * 10 + (c - '0');
    }
    *s = slice_of(s->p + n, s->n - n);
    return true;
}

static bool eat(struct slice *s, char a, char b)
{
    if (s->n == 0 || (s->p[0] != a && s->p[0] != b)) return false;
    *s = slice_of(s->p + 1, s->n - 1);
    return true;
}

static int64_t days_of(uint32_t year, uint32_t month, uint32_t day)
{
    int64_t y = (int64_t)year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400;
    uint32_t of_era = (uint32_t)(y - era * 400);
    uint32_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool is_date(uint32_t y, uint32_t m, uint32_t d)
{
    static const uint8_t LENGTHS[13] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    return y > 0 && m >= 1 && m <= 12 && d >= 1 && d <= LENGTHS[m] + (m == 2 && leap ? 1u : 0u);
}

static bool date(struct slice *s, int64_t *days)
{
    uint32_t y, m, d;
    if (!digits(s, 4, &y) || !eat(s, '-', '-') || !digits(s, 2, &m) || !eat(s, '-', '-') || !digits(s, 2, &d))
        return false;
    if (!is_date(y, m, d)) return false;
    *days = days_of(y, m, d);
    return true;
}

/* A leap second 23:59:60 counts as the next midnight, as clocks without leap seconds do. */
static bool clock(struct slice *s, int64_t *ms)
{
    uint32_t h, m, sec = 0, fraction = 0, n = 0;
    if (!digits(s, 2, &h) || !eat(s, ':', ':') || !digits(s, 2, &m)) return false;
    if (eat(s, ':', ':') && !digits(s, 2, &sec)) return false;
    if (eat(s, '.', ',')) {
        for (uint32_t d; digits(s, 1, &d); n++)
            if (n < 3) fraction = fraction * 10 + d;
        if (n == 0) return false;
        for (; n < 3; n++) fraction *= 10;
    }
    if (h > 23 || m > 59 || sec > 60) return false;
    *ms = ((int64_t)h * 3600 + m * 60 + sec) * 1000 + fraction;
    return true;
}

static bool offset(struct slice *s, int64_t *ms)
{
    uint32_t h, m = 0;
    *ms = 0;
    if (s->n == 0 || eat(s, 'Z', 'z')) return true;
    int64_t sign = s->p[0] == '-' ? -1000 : 1000;
    if (!eat(s, '+', '-') || !digits(s, 2, &h)) return false;
    bool colon = eat(s, ':', ':');
    if ((colon || s->n) && !digits(s, 2, &m)) return false;
    if (h > 23 || m > 59) return false;
    *ms = sign * (h * 3600 + m * 60);
    return true;
}

/* Eight characters: `pattern` has '0' where a digit must stand, and the marks between them. The values of all digits, and
 * whether they are digits, are told at once; a byte of the result is its digit times ten plus the next one. False: other
 * characters. */
static inline bool pairs_of(const uint8_t *p, uint64_t pattern, uint64_t beyond, uint64_t *pairs)
{
    uint64_t values =
        load_le64(p) ^ pattern; /* `beyond` carries into the high bit what is above 9, a mark above 0 */
    *pairs = values * 10 + (values >> 8);
    return ((values | (values + beyond)) & 0x8080808080808080ull) == 0;
}

static inline uint32_t byte_of(uint64_t word, uint32_t i) { return (uint32_t)(word >> 8 * i & 0xff); }

/* "2026-03-01T10:00:00.123Z", as nearly all write it: 180 instructions instead of the 309 of the way below, which judges
 * whatever is not exactly this. */
static bool parse_usual(struct slice text, int64_t *ms)
{
    uint64_t a, b, c;
    if (text.n != 24 || !pairs_of(text.p, 0x2d30302d30303030ull, 0x7f76767f76767676ull, &a) ||
        !pairs_of(text.p + 8, 0x30303a3030543030ull, 0x76767f76767f7676ull, &b) ||
        !pairs_of(text.p + 16, 0x5a3030302e30303aull, 0x7f7676767f76767full, &c))
        return false;
    uint32_t year = byte_of(a, 0) * 100 + byte_of(a, 2), month = byte_of(a, 5), day = byte_of(b, 0);
    uint32_t hour = byte_of(b, 3), minute = byte_of(b, 6), second = byte_of(c, 1);
    if (!is_date(year, month, day) || hour > 23 || minute > 59 || second > 60) return false;
    uint32_t fraction = byte_of(c, 4) * 10 + (text.p[22] - '0');
    *ms = days_of(year, month, day) * 86400000 + (((int64_t)hour * 60 + minute) * 60 + second) * 1000 +
          fraction;
    return true;
}

/* The same minute as last time: only ":SS.mmmZ" is read. */
static inline bool parse_near(const struct iso8601_minute *near, struct slice text, int64_t *ms)
{
    uint64_t pairs;
    if (text.n != 24 || load_le64(text.p) != near->text[0] || load_le64(text.p + 8) != near->text[1])
        return false;
    if (!pairs_of(text.p + 16, 0x5a3030302e30303aull, 0x7f7676767f76767full, &pairs)) return false;
    uint32_t second = byte_of(pairs, 1);
    *ms = near->ms + second * 1000 + byte_of(pairs, 4) * 10 + (text.p[22] - '0');
    return second <= 60;
}

bool iso8601_parse_near(struct iso8601_minute *near, struct slice text, int64_t *ms)
{
    if (likely(parse_near(near, text, ms))) return true;
    if (!iso8601_parse(text, ms)) return false;
    uint64_t pairs;
    if (text.n != 24 || !pairs_of(text.p + 16, 0x5a3030302e30303aull, 0x7f7676767f76767full, &pairs))
        return true;
    near->text[0] = load_le64(text.p);
    near->text[1] = load_le64(text.p + 8);
    near->ms = *ms - byte_of(pairs, 1) * 1000 - byte_of(pairs, 4) * 10 - (text.p[22] - '0');
    return true;
}

bool iso8601_parse(struct slice text, int64_t *ms)
{
    if (parse_usual(text, ms)) return true;
    int64_t days, of_day = 0, east = 0;
    if (!date(&text, &days)) return false;
    if (text.n) {
        if (!eat(&text, 'T', 't') && !eat(&text, ' ', ' ')) return false;
        if (!clock(&text, &of_day) || !offset(&text, &east) || text.n) return false;
    }
    *ms = days * 86400000 + of_day - east;
    return true;
}

static char *put_digits(char *p, uint32_t v, uint32_t n)
{
    for (uint32_t i = n; i-- > 0; v /= 10) p[i] = (char)('0' + v % 10);
    return p + n;
}

static char *put_date(char *p, int64_t days)
{
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    uint32_t of_era = (uint32_t)(z - era * 146097);
    uint32_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint32_t of_year = of_era - (365 * year + year / 4 - year / 100);
    uint32_t mp = (5 * of_year + 2) / 153, month = mp < 10 ? mp + 3 : mp - 9;
    p = put_digits(p, (uint32_t)(era * 400 + year + (month <= 2)), 4);
    *p++ = '-';
    p = put_digits(p, month, 2);
    *p++ = '-';
    return put_digits(p, of_year - (153 * mp + 2) / 5 + 1, 2);
}

uint32_t iso8601_print(int64_t ms, char out[32])
{
    static const int64_t FIRST = -62135596800000, LAST = 253402300799999; /* years 1 to 9999 */
    ms = ms < FIRST ? FIRST : ms > LAST ? LAST : ms;
    int64_t days = ms / 86400000 - (ms % 86400000 < 0);
    uint32_t of_day = (uint32_t)(ms - days * 86400000), second = of_day / 1000;
    char *p = put_date(out, days);
    *p++ = 'T';
    p = put_digits(p, second / 3600, 2);
    *p++ = ':';
    p = put_digits(p, second / 60 % 60, 2);
    *p++ = ':';
    p = put_digits(p, second % 60, 2);
    if (of_day % 1000) {
        *p++ = '.';
        p = put_digits(p, of_day % 1000, 3);
    }
    *p++ = 'Z';
    *p = 0;
    return (uint32_t)(p - out);
}
