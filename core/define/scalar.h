/* scalar.h - the small texts of definitions: durations, clock times, percentages, rates.
 * Owner: nobody. Memory: none. Fails: false, *out untouched; the caller knows the place and says what it wanted. */
#ifndef HG_DEFINE_SCALAR_H
#define HG_DEFINE_SCALAR_H

#include "core/base/bytes.h"

enum { SECONDS_MAX = 10 * 366 * 86400 }; /* the longest duration a definition may name: ten years */

bool parse_duration(struct slice s, int64_t *seconds); /* 90s 30m 2h 7d 1d12h30m; units fall from d to s */
bool parse_offset(struct slice s, int64_t *seconds);   /* a duration that may have a minus in front */
bool parse_clock(struct slice s, uint32_t *seconds_of_day);         /* 10:00, 10:00:30 */
bool parse_hours(struct slice s, uint32_t *from, uint32_t *to);     /* 21:00-09:00 */
bool parse_percent(struct slice s, uint32_t *ppm);                  /* 5%, 0.5%: 0 to 100 % */
bool parse_rate(struct slice s, uint32_t *max, uint32_t *window_s); /* 3 per 7d */
bool parse_range(struct slice s, uint32_t *min, uint32_t *max);     /* 500..50000, also 500.. and ..50000 */
bool parse_date(struct slice s, int32_t *days);                     /* 2026-12-31: days since 1970-01-01 */
bool parse_integer(struct slice s, int64_t *out);                   /* YAML 1.2 core: also 0x1f, 0o17 */
bool parse_number(struct slice s, double *out);                     /* an integer or 1.5, -.5, 1e3 */
bool parse_bool(struct slice s, bool *out);                         /* true True TRUE false ... */
bool text_is_null(struct slice s);                                  /* empty, ~, null Null NULL */
bool parse_weekday(struct slice s, uint8_t *bit);                   /* sun ... sat */

#endif
