/* The file: a 44-byte header and a block with 4-byte times for old readers; then, from version 2 on, the same again
 * with 8-byte times, and a footer "\n<POSIX TZ>\n" for all time after the last transition.
 *
 *   header  "TZif" version 15 spare | isutcnt isstdcnt leapcnt timecnt typecnt charcnt (be32 each)
 *   block   times[timecnt] types[timecnt] {be32 offset, u8 dst, u8 name}[typecnt] names leaps isstd isut  */
#include "core/time/tzif.h"
#include "core/base/check.h"

#include <stdlib.h>

enum { HEADER_BYTES = 44, TRANSITIONS_MAX = 4096 };

struct tz_header {
    uint8_t version;
    uint32_t isut, isstd, leap, times, types, chars;
};

static bool header_read(struct reader *r, struct tz_header *h)
{
    const uint8_t *p = read_bytes(r, HEADER_BYTES);
    if (r->bad || memcmp(p, "TZif", 4) != 0) return false;
    *h = (struct tz_header){p[4],
                            load_be32(p + 20),
                            load_be32(p + 24),
                            load_be32(p + 28),
                            load_be32(p + 32),
                            load_be32(p + 36),
                            load_be32(p + 40)};
    return h->times <= TRANSITIONS_MAX && h->types >= 1 && h->types <= 256 && h->chars <= 4096 &&
           h->leap <= 4096 && h->isut <= 256 && h->isstd <= 256;
}

static size_t block_bytes(const struct tz_header *h, size_t time_bytes)
{
    return h->times * (time_bytes + 1) + h->types * 6 + h->chars + h->leap * (time_bytes + 4) + h->isstd +
           h->isut;
}

static bool block_read(struct reader *r, const struct tz_header *h, size_t time_bytes, struct zone *out)
{
    const uint8_t *times = read_bytes(r, h->times * time_bytes);
    const uint8_t *index = read_bytes(r, h->times);
    const uint8_t *types = read_bytes(r, h->types * 6);
    read_bytes(r, block_bytes(h, time_bytes) - h->times * (time_bytes + 1) - h->types * 6);
    if (r->bad) return false;
    int64_t *at = malloc((h->times + 1) * sizeof *at);
    int32_t *offset = malloc((h->times + 1) * sizeof *offset);
    CHECK(at && offset);
    bool good = true;
    for (uint32_t i = 0; i < h->times && good; i++) {
        const uint8_t *p = times + i * time_bytes;
        at[i] = time_bytes == 8 ? (int64_t)load_be64(p) : (int32_t)load_be32(p);
        good = index[i] < h->types && (i == 0 || at[i] > at[i - 1]);
        if (good) offset[i] = (int32_t)load_be32(types + index[i] * 6);
        good = good && offset[i] > -93600 && offset[i] < 93600;
    }
    if (!good) {
        free(at);
        free(offset);
        return false;
    }
    out->count = h->times;
    out->at = at;
    out->offset = offset;
    out->first_offset = (int32_t)load_be32(types);
    return true;
}

bool tzif_parse(struct slice file, struct zone *out)
{
    struct reader r = reader_of(file);
    struct tz_header h;
    if (!header_read(&r, &h)) return false;
    if (h.version == 0) return block_read(&r, &h, 4, out);
    read_bytes(&r, block_bytes(&h, 4));
    if (!header_read(&r, &h) || !block_read(&r, &h, 8, out)) return false;
    out->bytes = file;
    struct slice rest = slice_of(r.p, (size_t)(r.end - r.p));
    if (rest.n < 2 || rest.p[0] != '\n' || rest.p[rest.n - 1] != '\n')
        return true; /* no footer: the last offset stays */
    struct slice text = slice_of(rest.p + 1, rest.n - 2);
    return text.n == 0 || tzif_footer(text, &out->footer);
}

/* ---- the footer: "MSK-3", "EST5EDT,M3.2.0,M11.1.0", "<+0330>-3:30" -------------------------- */

static bool footer_name(struct reader *r)
{
    const uint8_t *from = r->p;
    if (r->p < r->end && *r->p == '<') {
        while (r->p < r->end && *r->p != '>') r->p++;
        if (r->p == r->end) return false;
        r->p++;
        return true;
    }
    while (r->p < r->end && ((*r->p | 32) >= 'a' && (*r->p | 32) <= 'z')) r->p++;
    return r->p - from >= 3;
}

static bool footer_number(struct reader *r, uint32_t *out)
{
    const uint8_t *from = r->p;
    uint32_t n = 0;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9' && n < 100000) n = n * 10 + (*r->p++ - '0');
    *out = n;
    return r->p > from;
}

static bool footer_is(struct reader *r, char c)
{
    if (r->p == r->end || *r->p != c) return false;
    r->p++;
    return true;
}

static bool footer_seconds(struct reader *r, int32_t *out)
{
    uint32_t hours, minutes = 0, seconds = 0;
    bool minus = footer_is(r, '-');
    if (!minus) footer_is(r, '+');
    if (!footer_number(r, &hours)) return false;
    if (footer_is(r, ':') && !footer_number(r, &minutes)) return false;
    if (footer_is(r, ':') && !footer_number(r, &seconds)) return false;
    if (hours > 167 || minutes > 59 || seconds > 59) return false;
    int32_t total = (int32_t)(hours * 3600 + minutes * 60 + seconds);
    *out = minus ? -total : total;
    return true;
}

static bool footer_month(struct reader *r, struct zone_rule_day *out)
{
    uint32_t month, week, weekday;
    if (!footer_number(r, &month) || !footer_is(r, '.') || !footer_number(r, &week) || !footer_is(r, '.') ||
        !footer_number(r, &weekday))
        return false;
    if (month < 1 || month > 12 || week < 1 || week > 5 || weekday > 6) return false;
    out->kind = RULE_MONTH;
    out->month = (uint8_t)month;
    out->week = (uint8_t)week;
    out->weekday = (uint8_t)weekday;
    return true;
}

static bool footer_day(struct reader *r, struct zone_rule_day *out)
{
    *out = (struct zone_rule_day){.seconds = 7200};
    if (!footer_is(r, ',')) return false;
    if (footer_is(r, 'M')) {
        if (!footer_month(r, out)) return false;
    } else {
        uint32_t day;
        out->kind = footer_is(r, 'J') ? RULE_JULIAN : RULE_DAY;
        if (!footer_number(r, &day) || day > 365) return false;
        out->day = (uint16_t)day;
    }
    return !footer_is(r, '/') || footer_seconds(r, &out->seconds);
}

bool tzif_footer(struct slice text, struct zone_footer *out)
{
    struct reader r = reader_of(text);
    *out = (struct zone_footer){0};
    int32_t west;
    if (!footer_name(&r) || !footer_seconds(&r, &west)) return false;
    out->present = true;
    out->standard = out->summer = -west;
    if (r.p == r.end) return true;
    if (!footer_name(&r)) return false;
    out->has_dst = true;
    out->summer = out->standard + 3600;
    if (r.p < r.end && *r.p != ',') {
        if (!footer_seconds(&r, &west)) return false;
        out->summer = -west;
    }
    return footer_day(&r, &out->start) && footer_day(&r, &out->end) && r.p == r.end;
}

static int64_t rule_days(const struct zone_rule_day *rule, int32_t year)
{
    int64_t january = civil_days(year, 1, 1);
    if (rule->kind == RULE_DAY) return january + rule->day;
    if (rule->kind == RULE_JULIAN) {
        bool leap = civil_days(year + 1, 1, 1) - january == 366;
        return january + rule->day - 1 + (leap && rule->day >= 60);
    }
    struct civil first;
    int64_t month = civil_days(year, rule->month, 1);
    civil_from_days(month, &first);
    int64_t day = month + (rule->weekday + 7 - first.weekday) % 7 + (rule->week - 1) * 7;
    int64_t next = rule->month == 12 ? civil_days(year + 1, 1, 1) : civil_days(year, rule->month + 1u, 1);
    return day >= next ? day - 7 : day; /* week 5 is the last one */
}

void tzif_footer_year(const struct zone_footer *f, int32_t year, int64_t *to_summer, int64_t *to_standard)
{
    *to_summer = rule_days(&f->start, year) * 86400 + f->start.seconds - f->standard;
    *to_standard = rule_days(&f->end, year) * 86400 + f->end.seconds - f->summer;
}
