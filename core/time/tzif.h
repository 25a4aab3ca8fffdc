/* tzif.h - the inside of a zone: what a TZif file and its POSIX footer say (RFC 9636). Shared by tzif.c and calendar.c.
 * Owner: the zone set of the process. Memory: malloc, once per zone, never freed.
 * Fails: a file that is damaged, or of an unknown version, is no zone. */
#ifndef HG_TIME_TZIF_H
#define HG_TIME_TZIF_H

#include "core/time/calendar.h"

/* One half of "M3.5.0/2": when in a year the clock changes. */
struct zone_rule_day {
    uint8_t kind; /* enum rule_kind */
    uint8_t month, week, weekday;
    uint16_t day;
    int32_t seconds; /* local, may be negative or beyond a day */
};
enum rule_kind { RULE_MONTH, RULE_JULIAN /* J1-J365, no leap day */, RULE_DAY /* 0-365 */ };

struct zone_footer {
    bool present, has_dst;
    int32_t standard, summer; /* seconds east of UTC */
    struct zone_rule_day start, end;
};

struct zone {
    const char *name;
    struct slice bytes;
    uint32_t count;        /* transitions */
    const int64_t *at;     /* ascending */
    const int32_t *offset; /* from at[i] on */
    int32_t first_offset;  /* before at[0] */
    struct zone_footer footer;
    struct zone *next;
    bool unknown; /* no such zone: remembered so that its file is not looked for again */
};

/* Fills all but name and next from the file's bytes, which must live as long as the zone. */
bool tzif_parse(struct slice file, struct zone *out);
bool tzif_footer(struct slice text, struct zone_footer *out);
/* The two instants of a year (of standard time) at which the footer changes the offset. */
void tzif_footer_year(const struct zone_footer *f, int32_t year, int64_t *to_summer, int64_t *to_standard);

#endif
