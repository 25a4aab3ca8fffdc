#include "io/clock.h"
#include "core/base/check.h"
#include "core/model/value.h"

#include <stdlib.h>
#include <time.h>

static int64_t read_ms(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t wall_offset_ms(void) { return read_ms(CLOCK_REALTIME) - read_ms(CLOCK_BOOTTIME); }

void clock_init(struct wall_clock *c)
{
    c->fake = false;
    atomic_init(&c->fake_now, 0);
    atomic_init(&c->offset_ms, wall_offset_ms());
    atomic_init(&c->refused_ms, 0);
}

void clock_init_fake(struct wall_clock *c, uint32_t now)
{
    clock_init(c);
    c->fake = true;
    atomic_store(&c->fake_now, now);
}

int64_t clock_now_ms(const struct wall_clock *c)
{
    if (c->fake) return (int64_t)atomic_load_explicit(&c->fake_now, memory_order_acquire) * 1000;
    return read_ms(CLOCK_BOOTTIME) + atomic_load_explicit(&c->offset_ms, memory_order_relaxed);
}

void clock_follow(struct wall_clock *c)
{
    if (c->fake) return;
    int64_t wall = wall_offset_ms(), jump = wall - atomic_load(&c->offset_ms);
    bool small = jump <= CLOCK_JUMP_MAX_S * 1000 && jump >= -CLOCK_JUMP_MAX_S * 1000;
    if (small) atomic_store(&c->offset_ms, wall);
    atomic_store(&c->refused_ms, small ? 0 : jump);
}

int64_t clock_offset_s(const struct wall_clock *c) { return atomic_load(&c->refused_ms) / 1000; }

void clock_accept(struct wall_clock *c)
{
    atomic_store(&c->offset_ms, wall_offset_ms());
    atomic_store(&c->refused_ms, 0);
}

void clock_move(struct wall_clock *c, uint32_t to)
{
    CHECK(c->fake && to >= atomic_load(&c->fake_now));
    atomic_store_explicit(&c->fake_now, to, memory_order_release);
}

bool clock_parse(const char *text, uint32_t *second)
{
    int64_t ms;
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    if (*text && !*end && n <= UINT32_MAX) return *second = (uint32_t)n, true;
    if (!iso8601_parse(slice_str(text), &ms) || ms < 0 || ms / 1000 > UINT32_MAX) return false;
    *second = (uint32_t)(ms / 1000);
    return true;
}
