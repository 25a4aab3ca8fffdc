/* Days are counted in 400-year eras of 146097 days that begin on March 1st, so that the leap day is the last of a year.
 *
 *   offset   ----o0----|----o1----|--o2-- ...    transitions of the file, then the footer's rule for ever
 *
 * Facts: 1. zone_offset is constant between two results of zone_next_transition.
 *        2. zone_to_utc(z, t + zone_offset(z, t)) <= t, and equal outside of overlaps. */
#include "core/time/calendar.h"
#include "core/base/check.h"
#include "core/time/tzif.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    DAY = 86400,
    ERA_DAYS = 146097,
    EPOCH_DAYS = 719468 /* from 0000-03-01 to 1970-01-01 */,
    ZONE_FILE_MAX = 256 << 10,
    ZONE_NAME_MAX = 64,
    OFFSET_MAX = 26 * 3600
};

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }
static int64_t floor_mod(int64_t a, int64_t b) { return a - floor_div(a, b) * b; }

/* ---- civil dates -------------------------------------------------------------------------- */

int64_t civil_days(int32_t year, uint32_t month, uint32_t day)
{
    int64_t y = (int64_t)year - (month <= 2);
    int64_t era = floor_div(y, 400), year_of_era = y - era * 400;
    uint32_t month_from_march = month > 2 ? month - 3 : month + 9;
    int64_t day_of_year = (979 * month_from_march + 19) / 32 + day - 1; /* Neri & Schneider, prop. 6.2 */
    return era * ERA_DAYS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           EPOCH_DAYS;
}

void civil_from_days(int64_t days, struct civil *out)
{
    int64_t era = floor_div(days + EPOCH_DAYS, ERA_DAYS);
    uint32_t n = (uint32_t)(days + EPOCH_DAYS - era * ERA_DAYS);
    uint32_t n1 = 4 * n + 3, century = n1 / ERA_DAYS;
    uint32_t n2 = n1 % ERA_DAYS | 3;
    uint64_t p2 = 2939745ull * n2; /* year and day of the century in one product */
    uint32_t year_of_century = (uint32_t)(p2 >> 32), day_of_year = (uint32_t)p2 / 2939745 / 4;
    uint32_t n3 = 2141 * day_of_year + 197913;
    uint32_t month = n3 >> 16, day = (n3 & 0xffff) / 2141;
    bool next = day_of_year >= 306; /* January and February belong to the next civil year */
    *out = (struct civil){.year = (int32_t)(era * 400 + 100 * century + year_of_century + next),
                          .month = (uint8_t)(next ? month - 12 : month),
                          .day = (uint8_t)(day + 1),
                          .weekday = (uint8_t)floor_mod(days + 4, 7)};
    out->yday = (uint16_t)(days - civil_days(out->year, 1, 1));
}

bool civil_valid(int32_t year, uint32_t month, uint32_t day)
{
    static const uint8_t length[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (year < 1 || year > 9999 || month < 1 || month > 12 || day < 1) return false;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return day <= length[month - 1] + (uint32_t)(month == 2 && leap);
}

int64_t civil_to_seconds(const struct civil *c)
{
    return civil_days(c->year, c->month, c->day) * DAY + c->hour * 3600 + c->minute * 60 + c->second;
}

void civil_from_seconds(int64_t seconds, struct civil *out)
{
    int64_t days = floor_div(seconds, DAY);
    uint32_t rest = (uint32_t)(seconds - days * DAY);
    civil_from_days(days, out);
    out->hour = (uint8_t)(rest / 3600);
    out->minute = (uint8_t)(rest / 60 % 60);
    out->second = (uint8_t)(rest % 60);
}

/* ---- the set of zones ------------------------------------------------------------------------ */

static struct zone utc_zone = {.name = "UTC"};
static struct zone *_Atomic zones = &utc_zone;
enum { UNKNOWN_ZONES_MAX = 1000 };

const struct zone *zone_utc(void) { return &utc_zone; }
const char *zone_name(const struct zone *z) { return z->name; }
struct slice zone_bytes(const struct zone *z) { return z->bytes; }

bool zone_parse_offset(struct slice name, int32_t *seconds)
{
    const uint8_t *p = name.p;
    uint32_t n = name.n;
    bool minus = n && *p == '-';
    if (n && (*p == '-' || *p == '+')) p++, n--;
    if (n != 5 || p[2] != ':') return false;
    for (uint32_t i = 0; i < 5; i++)
        if (i != 2 && (p[i] < '0' || p[i] > '9')) return false;
    int32_t hours = (p[0] - '0') * 10 + p[1] - '0', minutes = (p[3] - '0') * 10 + p[4] - '0';
    if (hours > 18 || minutes > 59) return false;
    *seconds = (minus ? -1 : 1) * (hours * 3600 + minutes * 60);
    return true;
}

/* "Europe/Moscow", but nothing that could leave the directory. */
static bool name_is_safe(struct slice name)
{
    if (name.n == 0 || name.n >= ZONE_NAME_MAX || name.p[0] == '/' || name.p[0] == '.') return false;
    for (uint32_t i = 0; i < name.n; i++) {
        uint8_t c = name.p[i];
        bool word = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_' || c == '-' ||
                    c == '+';
        if (!word && !(c == '/' && i + 1 < name.n && name.p[i + 1] != '/')) return false;
    }
    return true;
}

static struct slice file_read(const char *path)
{
    struct slice none = {0};
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return none;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > ZONE_FILE_MAX) {
        close(fd);
        return none;
    }
    size_t size = (size_t)st.st_size, have = 0;
    uint8_t *p = malloc(size);
    CHECK(p);
    for (ssize_t n; have < size && (n = read(fd, p + have, size - have)) > 0;) have += (size_t)n;
    close(fd);
    if (have == size) return slice_of(p, size);
    free(p);
    return none;
}

static struct zone *zone_read(const char *dir, struct slice name)
{
    struct zone z = {0};
    if (zone_parse_offset(name, &z.first_offset)) goto keep;
    if (!name_is_safe(name)) return NULL;
    char path[512];
    int n = snprintf(path, sizeof path, "%s/%.*s", dir ? dir : "/usr/share/zoneinfo", (int)name.n,
                     (const char *)name.p);
    if (n < 0 || (size_t)n >= sizeof path) return NULL;
    struct slice file = file_read(path);
    if (file.n == 0) return NULL;
    if (!tzif_parse(file, &z)) {
        free((void *)file.p);
        return NULL;
    }
keep:;
    struct zone *made = malloc(sizeof *made);
    z.name = strndup((const char *)name.p, name.n);
    CHECK(made && z.name);
    *made = z;
    return made;
}

/* Zones are only ever added: whoever walks the list sees it as it was at some moment, without a lock. */
static const struct zone *find_zone(struct slice name)
{
    for (const struct zone *z = atomic_load_explicit(&zones, memory_order_acquire); z; z = z->next)
        if (slice_is(name, z->name)) return z;
    return NULL;
}

/* A name that is no zone is remembered too (so many of them): strangers choose the names. */
static struct zone *read_zone_or_not(const char *dir, struct slice name)
{
    static uint32_t unknown_count;
    struct zone *z = zone_read(dir, name);
    if (z || name.n >= ZONE_NAME_MAX || unknown_count >= UNKNOWN_ZONES_MAX) return z;
    z = calloc(1, sizeof *z);
    CHECK(z != NULL);
    z->name = strndup((const char *)name.p, name.n);
    z->unknown = true;
    unknown_count++;
    return z;
}

const struct zone *zone_load(const char *dir, struct slice name)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    const struct zone *known = find_zone(name);
    if (!known) {
        pthread_mutex_lock(&lock);
        known = find_zone(name);
        struct zone *z = known ? NULL : read_zone_or_not(dir, name);
        if (z) {
            z->next = atomic_load_explicit(&zones, memory_order_relaxed);
            atomic_store_explicit(&zones, z, memory_order_release);
            known = z;
        }
        pthread_mutex_unlock(&lock);
    }
    return known && !known->unknown ? known : NULL;
}

/* ---- offsets ----------------------------------------------------------------------------------- */

static int32_t footer_offset(const struct zone_footer *f, int64_t utc)
{
    if (!f->has_dst) return f->standard;
    struct civil c;
    civil_from_seconds(utc + f->standard, &c);
    int64_t summer, standard;
    tzif_footer_year(f, c.year, &summer, &standard);
    bool in_summer = summer < standard ? utc >= summer && utc < standard : utc >= summer || utc < standard;
    return in_summer ? f->summer : f->standard;
}

/* How many transitions are at or before utc. */
static uint32_t transitions_before(const struct zone *z, int64_t utc)
{
    uint32_t low = 0, high = z->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (z->at[middle] <= utc)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int32_t zone_offset(const struct zone *z, int64_t utc)
{
    uint32_t n = transitions_before(z, utc);
    if (n == z->count && z->footer.present) return footer_offset(&z->footer, utc);
    return n ? z->offset[n - 1] : z->first_offset;
}

int64_t zone_next_transition(const struct zone *z, int64_t utc)
{
    uint32_t n = transitions_before(z, utc);
    if (n < z->count) return z->at[n];
    if (!z->footer.has_dst) return INT64_MAX;
    struct civil c;
    civil_from_seconds(utc + z->footer.standard, &c);
    int64_t best = INT64_MAX;
    for (int32_t year = c.year - 1; year <= c.year + 1; year++) {
        int64_t change[2];
        tzif_footer_year(&z->footer, year, &change[0], &change[1]);
        for (int i = 0; i < 2; i++)
            if (change[i] > utc && change[i] < best) best = change[i];
    }
    return best;
}

/* Walks the stretches of constant offset around `local`: the first that shows it wins; if the clock jumps over it,
 * the jump. */
int64_t zone_to_utc(const struct zone *z, int64_t local)
{
    int64_t from = local - OFFSET_MAX;
    for (;;) {
        int64_t until = zone_next_transition(z, from);
        int64_t utc = local - zone_offset(z, from);
        if (utc < from) return from;
        if (utc < until) return utc;
        from = until;
    }
}

void zone_civil(const struct zone *z, int64_t utc, struct civil *out)
{
    civil_from_seconds(utc + zone_offset(z, utc), out);
}

/* ---- clock times, quiet hours, working days ------------------------------------------------------ */

int64_t zone_next_clock(const struct zone *z, int64_t utc, uint32_t seconds_of_day)
{
    int64_t day = floor_div(utc + zone_offset(z, utc), DAY) - 1;
    for (;; day++) {
        int64_t at = zone_to_utc(z, day * DAY + seconds_of_day);
        if (at > utc) return at;
    }
}

int64_t zone_after_quiet(const struct zone *z, int64_t utc, uint32_t from, uint32_t to)
{
    for (int64_t at = utc;;) {
        int64_t clock = floor_mod(at + zone_offset(z, at), DAY);
        bool inside = from <= to ? clock >= from && clock < to : clock >= from || clock < to;
        if (!inside) return at;
        int64_t end = at + floor_mod((int64_t)to - clock, DAY), change = zone_next_transition(z, at);
        at = change < end ? change : end;
    }
}

int64_t zone_next_weekday(const struct zone *z, int64_t utc, uint8_t days, uint32_t seconds_of_day)
{
    CHECK((days & 0x7f) != 0);
    int64_t day = floor_div(utc + zone_offset(z, utc), DAY) + 1;
    while (!(days >> floor_mod(day + 4, 7) & 1)) day++;
    return zone_to_utc(z, day * DAY + seconds_of_day);
}

static bool is_holiday(const struct week *w, int64_t day)
{
    for (uint32_t i = 0; i < w->holiday_count && w->holidays[i] <= day; i++)
        if (w->holidays[i] == day) return true;
    return false;
}

int64_t zone_next_workday(const struct zone *z, int64_t utc, const struct week *w, uint32_t seconds_of_day)
{
    CHECK((w->workdays & 0x7f) != 0);
    int64_t day = floor_div(utc + zone_offset(z, utc), DAY) + 1;
    while (!(w->workdays >> floor_mod(day + 4, 7) & 1) || is_holiday(w, day)) day++;
    return zone_to_utc(z, day * DAY + seconds_of_day);
}
