#include "core/define/scalar.h"
#include "core/time/calendar.h"

#include <math.h>
#include <stdlib.h>

static bool digit(uint8_t c) { return c >= '0' && c <= '9'; }

/* Digits at the front of s, at most nine of them; they are cut off. */
static bool take_digits(struct slice *s, uint32_t *out)
{
    uint32_t n = 0, value = 0;
    while (n < s->n && n < 9 && digit(s->p[n])) value = value * 10 + (uint32_t)(s->p[n++] - '0');
    if (!n || (n < s->n && digit(s->p[n]))) return false;
    *s = slice_of(s->p + n, s->n - n);
    *out = value;
    return true;
}

static bool take_char(struct slice *s, char c)
{
    if (!s->n || s->p[0] != (uint8_t)c) return false;
    *s = slice_of(s->p + 1, s->n - 1);
    return true;
}

static struct slice trim(struct slice s)
{
    while (s.n && s.p[0] == ' ') s = slice_of(s.p + 1, s.n - 1);
    while (s.n && s.p[s.n - 1] == ' ') s.n--;
    return s;
}

bool parse_duration(struct slice s, int64_t *seconds)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
    int64_t total = 0;
    uint32_t next = 0, value;
    if (!s.n) return false;
    while (s.n) {
        if (!take_digits(&s, &value) || !s.n) return false;
        while (next < 4 && units[next].unit != s.p[0]) next++;
        if (next == 4) return false;
        total += (int64_t)value * units[next++].seconds;
        s = slice_of(s.p + 1, s.n - 1);
    }
    *seconds = total;
    return true;
}

bool parse_offset(struct slice s, int64_t *seconds)
{
    bool minus = take_char(&s, '-');
    if (!minus) take_char(&s, '+');
    int64_t value;
    if (!parse_duration(s, &value)) return false;
    *seconds = minus ? -value : value;
    return true;
}

static bool take_clock(struct slice *s, uint32_t *out)
{
    uint32_t hour, minute, second = 0;
    if (!take_digits(s, &hour) || !take_char(s, ':') || s->n < 2 || !take_digits(s, &minute)) return false;
    if (take_char(s, ':') && !take_digits(s, &second)) return false;
    if (hour > 23 || minute > 59 || second > 59) return false;
    *out = hour * 3600 + minute * 60 + second;
    return true;
}

bool parse_clock(struct slice s, uint32_t *seconds_of_day)
{
    uint32_t value;
    if (!take_clock(&s, &value) || s.n) return false;
    *seconds_of_day = value;
    return true;
}

bool parse_hours(struct slice s, uint32_t *from, uint32_t *to)
{
    uint32_t a, b;
    if (!take_clock(&s, &a) || !take_char(&s, '-') || !take_clock(&s, &b) || s.n || a == b) return false;
    *from = a;
    *to = b;
    return true;
}

bool parse_percent(struct slice s, uint32_t *ppm)
{
    uint32_t whole, fraction = 0, digits = 0;
    if (!take_digits(&s, &whole)) return false;
    if (take_char(&s, '.')) {
        const uint8_t *from = s.p;
        if (!take_digits(&s, &fraction)) return false;
        digits = (uint32_t)(s.p - from);
    }
    if (!take_char(&s, '%') || s.n || digits > 4 || whole > 100) return false;
    for (uint32_t i = digits; i < 4; i++) fraction *= 10;
    if (whole * 10000 + fraction > 1000000) return false;
    *ppm = whole * 10000 + fraction;
    return true;
}

bool parse_rate(struct slice s, uint32_t *max, uint32_t *window_s)
{
    uint32_t count;
    int64_t window;
    if (!take_digits(&s, &count)) return false;
    s = trim(s);
    if (s.n < 4 || memcmp(s.p, "per ", 4) != 0) return false;
    if (!parse_duration(trim(slice_of(s.p + 4, s.n - 4)), &window) || window <= 0 || window > SECONDS_MAX)
        return false;
    *max = count;
    *window_s = (uint32_t)window;
    return true;
}

bool parse_range(struct slice s, uint32_t *min, uint32_t *max)
{
    uint32_t low = 0, high = UINT32_MAX;
    if (s.n <= 2) return false;
    if (digit(s.p[0]) && !take_digits(&s, &low)) return false;
    if (!take_char(&s, '.') || !take_char(&s, '.')) return false;
    if (s.n && (!take_digits(&s, &high) || s.n)) return false;
    if (low > high) return false;
    *min = low;
    *max = high;
    return true;
}

bool parse_date(struct slice s, int32_t *days)
{
    uint32_t year, month, day;
    if (s.n != 10 || !take_digits(&s, &year) || !take_char(&s, '-') || !take_digits(&s, &month) ||
        !take_char(&s, '-') || !take_digits(&s, &day) || s.n || !civil_valid((int32_t)year, month, day))
        return false;
    *days = (int32_t)civil_days((int32_t)year, month, day);
    return true;
}

bool parse_integer(struct slice s, int64_t *out)
{
    bool minus = take_char(&s, '-');
    if (!minus) take_char(&s, '+');
    uint32_t base = 10;
    if (s.n > 2 && s.p[0] == '0' && (s.p[1] == 'x' || s.p[1] == 'o')) {
        base = s.p[1] == 'x' ? 16 : 8;
        s = slice_of(s.p + 2, s.n - 2);
    }
    if (!s.n) return false;
    uint64_t value = 0;
    for (uint32_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i] | 32;
        uint32_t d = digit(s.p[i])          ? (uint32_t)(s.p[i] - '0')
                     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
                                            : 99;
        if (d >= base || value > ((uint64_t)INT64_MAX - d) / base) return false;
        value = value * base + d;
    }
    *out = minus ? -(int64_t)value : (int64_t)value;
    return true;
}

bool parse_number(struct slice s, double *out)
{
    int64_t whole;
    if (parse_integer(s, &whole)) {
        *out = (double)whole;
        return true;
    }
    char text[64];
    bool digits = false;
    if (!s.n || s.n >= sizeof text) return false;
    for (uint32_t i = 0; i < s.n; i++) {
        if (!digit(s.p[i]) && !strchr("+-.eE", s.p[i])) return false;
        digits |= digit(s.p[i]);
    }
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    char *end;
    double value = strtod(text, &end);
    if (*end || !digits || !isfinite(value)) return false;
    *out = value;
    return true;
}

static bool one_of(struct slice s, const char *const *words, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (slice_is(s, words[i])) return true;
    return false;
}

bool parse_bool(struct slice s, bool *out)
{
    static const char *const yes[] = {"true", "True", "TRUE"}, *const no[] = {"false", "False", "FALSE"};
    if (one_of(s, yes, 3))
        *out = true;
    else if (one_of(s, no, 3))
        *out = false;
    else
        return false;
    return true;
}

bool text_is_null(struct slice s)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    return one_of(s, words, 5);
}

bool parse_weekday(struct slice s, uint8_t *bit)
{
    static const char *const days[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
    for (uint8_t i = 0; i < 7; i++) {
        if (!slice_is(s, days[i])) continue;
        *bit = (uint8_t)(1u << i);
        return true;
    }
    return false;
}
