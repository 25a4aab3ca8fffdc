/* The wheel against a sorted list: whatever is added comes out once, in order of seconds, never early, never late. */
#include "core/base/check.h"
#include "core/time/wheel.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { L1_S = 4096, L2_S = 1 << 21, FAR_S = 1 << 27 };

static uint64_t seed = 20261122;
static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* ---- the model: an array, always in order of due ---------------------------------------- */

struct model {
    struct wheel_entry list[4000];
    uint32_t n, now;
};

static void model_add(struct model *m, struct wheel_entry e)
{
    uint32_t at = m->n++;
    for (; at && m->list[at - 1].due > e.due; at--) m->list[at] = m->list[at - 1];
    m->list[at] = e;
}

/* Takes that very entry out; false: it is not there. */
static bool model_take(struct model *m, struct wheel_entry e)
{
    for (uint32_t i = 0; i < m->n; i++) {
        if (m->list[i].slot != e.slot || m->list[i].due != e.due) continue;
        memmove(&m->list[i], &m->list[i + 1], (m->n - i - 1) * sizeof e);
        m->n--;
        return true;
    }
    return false;
}

static void agree(const struct wheel *w, const struct model *m)
{
    cr_assert_eq(wheel_entries(w), m->n);
    cr_assert_eq(wheel_next(w), m->n ? m->list[0].due : UINT32_MAX, "next %u, model %u, now %u",
                 wheel_next(w), m->n ? m->list[0].due : UINT32_MAX, wheel_now(w));
}

static void advance(struct wheel *w, struct model *m, uint32_t to, uint32_t max)
{
    static struct wheel_entry out[64];
    uint32_t n, last = 0;
    do {
        n = wheel_advance(w, to, out, max);
        for (uint32_t i = 0; i < n; i++) {
            cr_assert_geq(out[i].due, last);
            cr_assert_leq(out[i].due, to);
            last = out[i].due;
            cr_assert_eq(m->list[0].due, out[i].due, "an earlier one is still inside");
            cr_assert(model_take(m, out[i]));
        }
        agree(w, m);
    } while (n == max);
    cr_assert_eq(wheel_now(w), to);
    cr_assert(m->n == 0 || m->list[0].due > to, "everything due by then came out");
    m->now = to;
}

static void add(struct wheel *w, struct model *m, uint32_t slot, uint32_t due)
{
    cr_assert(wheel_reserve(w, 1));
    wheel_add(w, slot, due);
    model_add(m, (struct wheel_entry){slot, due});
}

/* Distances around every border between levels, and anything. */
static uint32_t some_distance(void)
{
    static const uint32_t borders[] = {1,
                                       2,
                                       4095,
                                       4096,
                                       4097,
                                       2 * L1_S,
                                       511 * L1_S,
                                       L2_S - L1_S,
                                       L2_S,
                                       L2_S + 1,
                                       2 * L2_S,
                                       63 * (uint32_t)L2_S,
                                       FAR_S - L2_S,
                                       FAR_S - 1,
                                       FAR_S,
                                       FAR_S + 1,
                                       3 * (uint32_t)FAR_S};
    uint32_t border = borders[rnd() % (sizeof borders / sizeof *borders)];
    switch (rnd() % 4) {
    case 0: return border + (uint32_t)(rnd() % 3);
    case 1: return 1 + (uint32_t)(rnd() % 10000);
    case 2: return 1 + (uint32_t)(rnd() % ((uint64_t)1 << (1 + rnd() % 29)));
    default: return border > 1 ? border - 1 : 1;
    }
}

static void random_run(uint32_t start, uint32_t rounds)
{
    static struct model m;
    m = (struct model){.now = start};
    struct wheel *w = wheel_create(start);
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t i = rnd() % 8; i && m.n < 3900; i--) {
            uint64_t due = (uint64_t)m.now + some_distance();
            if (due < UINT32_MAX) add(w, &m, (uint32_t)rnd() % 1000, (uint32_t)due);
        }
        agree(w, &m);
        uint64_t to = (uint64_t)m.now + (rnd() % 3 ? rnd() % 5000 : some_distance() / (1 + rnd() % 8));
        if (rnd() % 4 == 0 && m.n) to = m.list[rnd() % m.n].due; /* exactly then */
        if (to >= UINT32_MAX) break;
        advance(w, &m, (uint32_t)to, 1 + (uint32_t)(rnd() % 64));
    }
    advance(w, &m, UINT32_MAX - 1, 64);
    cr_assert_eq(m.n, 0);
    wheel_destroy(w);
}

Test(wheel, agrees_with_a_sorted_list)
{
    fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
    for (uint32_t run = 0; run < 60; run++)
        random_run(run % 3 ? (uint32_t)(rnd() % 2000000000) : run * L2_S / 2, 300);
}

Test(wheel, borders_of_levels_are_exact)
{
    static const uint32_t starts[] = {0, 1, 4095, 4096, L2_S - 1, L2_S, FAR_S - 1, FAR_S, 1700000000};
    static const uint32_t distances[] = {1,        4095,      4096,  4097,      L2_S - 1,  L2_S,
                                         L2_S + 1, FAR_S - 1, FAR_S, FAR_S + 1, 5u * FAR_S};
    for (uint32_t i = 0; i < sizeof starts / sizeof *starts; i++)
        for (uint32_t k = 0; k < sizeof distances / sizeof *distances; k++) {
            struct wheel *w = wheel_create(starts[i]);
            uint32_t due = starts[i] + distances[k];
            struct wheel_entry e = {0};
            cr_assert(wheel_reserve(w, 1));
            wheel_add(w, 7, due);
            cr_assert_eq(wheel_advance(w, due - 1, &e, 1), 0, "%u + %u", starts[i], distances[k]);
            cr_assert_eq(wheel_next(w), due);
            cr_assert_eq(wheel_advance(w, due, &e, 1), 1, "%u + %u", starts[i], distances[k]);
            cr_assert(e.slot == 7 && e.due == due);
            cr_assert_eq(wheel_next(w), UINT32_MAX);
            wheel_destroy(w);
        }
}

Test(wheel, a_full_output_stops_inside_the_second_and_goes_on)
{
    struct wheel *w = wheel_create(100);
    struct wheel_entry out[40];
    cr_assert(wheel_reserve(w, 100));
    for (uint32_t i = 0; i < 100; i++) wheel_add(w, i, 150);
    cr_assert_eq(wheel_advance(w, 1000, out, 40), 40);
    cr_assert_eq(wheel_now(w), 150);
    cr_assert_eq(wheel_next(w), 150, "that second is not done");
    cr_assert_eq(wheel_advance(w, 1000, out, 40), 40);
    cr_assert_eq(wheel_advance(w, 1000, out, 40), 20);
    cr_assert_eq(wheel_now(w), 1000);
    wheel_destroy(w);
}

Test(wheel, chunks_are_reused_and_what_was_reserved_is_enough)
{
    struct wheel *w = wheel_create(0);
    struct wheel_entry out[256];
    cr_assert(wheel_reserve(w, 100000));
    for (uint32_t i = 0; i < 100000; i++) wheel_add(w, i, 1 + (uint32_t)(rnd() % (2 * FAR_S)));
    uint32_t total = 0, n;
    while ((n = wheel_advance(w, 2 * FAR_S, out, 256)))
        total += n; /* no reserve on the way: levels move down */
    cr_assert_eq(total, 100000);
    uint64_t bytes = wheel_bytes(w);
    uint32_t now = wheel_now(w);
    cr_assert(wheel_reserve(w, 1000));
    for (uint32_t i = 0; i < 1000; i++) wheel_add(w, i, now + 1 + i);
    cr_assert_eq(wheel_bytes(w), bytes);
    wheel_destroy(w);
}

Test(wheel, a_cleared_wheel_is_as_new_and_keeps_its_memory)
{
    struct wheel *w = wheel_create(100), *fresh = wheel_create(5000);
    struct wheel_entry out[64];
    cr_assert(wheel_reserve(w, 1000) && wheel_reserve(fresh, 1000));
    for (uint32_t i = 0; i < 1000; i++) wheel_add(w, i, 101 + i * 7919);
    cr_assert_gt(wheel_advance(w, 20000, out, 64), 0);
    wheel_clear(w, 5000);
    cr_assert_eq(wheel_now(w), 5000);
    cr_assert_eq(wheel_entries(w), 0);
    cr_assert_eq(wheel_next(w), UINT32_MAX);
    for (uint32_t i = 0; i < 1000; i++) {
        wheel_add(w, i, 5001 + i * 104729);
        wheel_add(fresh, i, 5001 + i * 104729);
    }
    cr_assert_eq(wheel_bytes(w), wheel_bytes(fresh));
    for (uint32_t i = 0; i < 1000; i++) {
        struct wheel_entry a, c;
        cr_assert_eq(wheel_next(w), wheel_next(fresh));
        cr_assert_eq(wheel_advance(w, UINT32_MAX - 1, &a, 1), 1);
        cr_assert_eq(wheel_advance(fresh, UINT32_MAX - 1, &c, 1), 1);
        cr_assert(a.slot == c.slot && a.due == c.due);
    }
    wheel_destroy(w);
    wheel_destroy(fresh);
}

Test(wheel, no_wheel_is_destroyed_quietly) { wheel_destroy(NULL); }
