/* clock.h - the one place where the process learns what second it is.
 * The wall clock is read as CLOCK_BOOTTIME plus an offset; a jump of the wall clock of more than 60 s that CLOCK_BOOTTIME
 * does not explain is not followed: it shows as clock_offset_s until clock_accept. The test clock stands still until moved.
 * Owner: the engine; every worker reads it, worker 0 alone follows and moves it. */
#ifndef HG_IO_CLOCK_H
#define HG_IO_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { CLOCK_JUMP_MAX_S = 60 };

struct wall_clock {
    bool fake;
    _Atomic uint32_t fake_now;  /* seconds */
    _Atomic int64_t offset_ms;  /* wall - boot time, as followed */
    _Atomic int64_t refused_ms; /* how far the wall clock is from what we follow */
};

void clock_init(struct wall_clock *c);
void clock_init_fake(struct wall_clock *c, uint32_t now);
int64_t clock_now_ms(const struct wall_clock *c);
static inline uint32_t clock_now(const struct wall_clock *c) { return (uint32_t)(clock_now_ms(c) / 1000); }
void clock_follow(struct wall_clock *c);            /* worker 0, about once a second */
int64_t clock_offset_s(const struct wall_clock *c); /* not followed, in seconds */
void clock_accept(struct wall_clock *c);
void clock_move(struct wall_clock *c, uint32_t to); /* test clock; never backwards */
/* "2026-03-01T10:00:00Z" or seconds since 1970; false: neither. */
bool clock_parse(const char *text, uint32_t *second);

#endif
