/* calendar.h - civil time, time zones from TZif files, working days.
 * Owner: a zone set belongs to the process and is immutable while shards use it; zones are never freed.
 * glibc's TZ is process-wide, so the files (RFC 9636, v2+, with the POSIX footer rule) are read here.
 * Local times in a gap move forward to its end; in an overlap the first one counts.
 * Source: date arithmetic after Neri & Schneider, arXiv 2102.06959. */
#ifndef HG_TIME_CALENDAR_H
#define HG_TIME_CALENDAR_H

#include "core/base/bytes.h"

struct civil {
    int32_t year;
    uint8_t month, day, hour, minute, second, weekday; /* month 1-12, day 1-31, weekday 0 = Sunday */
    uint16_t yday;                                     /* 0 = January 1st */
};

int64_t civil_days(int32_t year, uint32_t month, uint32_t day); /* days since 1970-01-01 */
void civil_from_days(int64_t days, struct civil *out);          /* date part and weekday */
bool civil_valid(int32_t year, uint32_t month, uint32_t day);
int64_t civil_to_seconds(const struct civil *c);             /* as if UTC */
void civil_from_seconds(int64_t seconds, struct civil *out); /* as if UTC */

struct zone;
/* "Europe/Moscow", "UTC", "+03:00"; NULL: unknown. Reads <dir>/<name> once (default /usr/share/zoneinfo), keeps it.
 * Names never leave the directory. Any thread may call it; a name once asked for costs a walk of the list. */
const struct zone *zone_load(const char *dir, struct slice name);
const struct zone *zone_utc(void);
const char *zone_name(const struct zone *z);
struct slice zone_bytes(
    const struct zone *z); /* the file as read, empty for fixed offsets: goes into the data directory */
int32_t zone_offset(const struct zone *z, int64_t utc); /* seconds east of UTC */
int64_t zone_next_transition(const struct zone *z,
                             int64_t utc); /* the next instant after utc at which the offset may
                                                              change; INT64_MAX: never */
bool zone_parse_offset(struct slice name, int32_t *seconds); /* "+03:00", "-02:30", "02:00" */
int64_t zone_to_utc(const struct zone *z, int64_t local);    /* local = civil seconds as if UTC */
void zone_civil(const struct zone *z, int64_t utc, struct civil *out);

/* The next second strictly after `utc` at which the zone's clock shows seconds_of_day. */
int64_t zone_next_clock(const struct zone *z, int64_t utc, uint32_t seconds_of_day);
/* Quiet hours "21:00-09:00" as seconds of the day, `from` may be above `to`. If utc lies inside, the second it ends,
 * else utc itself. */
int64_t zone_after_quiet(const struct zone *z, int64_t utc, uint32_t from, uint32_t to);

struct week {
    uint8_t workdays; /* bit 0 = Sunday */
    uint32_t holiday_count;
    const int32_t *holidays; /* days since 1970, ascending */
};
/* The clock time on the next working day (never today), or on the next given weekday (bit mask, never today). */
int64_t zone_next_workday(const struct zone *z, int64_t utc, const struct week *w, uint32_t seconds_of_day);
int64_t zone_next_weekday(const struct zone *z, int64_t utc, uint8_t days, uint32_t seconds_of_day);

#endif
