/* Every level that this machine has gives the bits that the plain loop gives. */
#include "core/expr/kernel.h"

#include <criterion/criterion.h>
#include <math.h>

enum { WORDS = 5, ROWS = WORDS * 64, ROUNDS = 200 };
static uint64_t state = 20261122;

static uint64_t rnd(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void random_mask(uint64_t *mask)
{
    for (uint32_t w = 0; w < WORDS; w++) mask[w] = rnd() % 4 == 0 ? 0 : rnd() % 3 == 0 ? UINT64_MAX : rnd();
}

static bool holds(enum kernel_compare how, int order)
{
    static const bool table[6][4] = {{0, 1, 0, 0}, {1, 0, 1, 1}, {1, 0, 0, 0},
                                     {1, 1, 0, 0}, {0, 0, 1, 0}, {0, 1, 1, 0}};
    return table[how][order + 1]; /* -1, 0, 1, 2: there is none */
}

static void check(const char *what, enum cpu_level level, const uint64_t *mask, const uint64_t *out,
                  const bool *wanted)
{
    for (uint32_t i = 0; i < ROWS; i++)
        cr_assert_eq(out[i / 64] >> i % 64 & 1, wanted[i] && (mask[i / 64] >> i % 64 & 1),
                     "%s at level %s, row %u", what, cpu_level_name(level), i);
}

static void check_numbers(enum cpu_level level)
{
    static const double values[] = {0, -0.0, 1, -1, 2.5, INFINITY, -INFINITY, NAN, 1e300, 4};
    double v[ROWS], than = values[rnd() % 10];
    uint64_t mask[WORDS], out[WORDS];
    bool wanted[ROWS];
    enum kernel_compare how = (enum kernel_compare)(rnd() % 6);
    random_mask(mask);
    for (uint32_t i = 0; i < ROWS; i++) {
        v[i] = values[rnd() % 10];
        wanted[i] = holds(how, isnan(v[i]) || isnan(than) ? 2 : v[i] < than ? -1 : v[i] > than);
    }
    kernels_at(level)->numbers(v, than, how, mask, out, WORDS);
    check("numbers", level, mask, out, wanted);
}

static void check_wholes(enum cpu_level level)
{
    static const int64_t values[] = {0, 1, -1, INT64_MAX, INT64_MIN, 7, 8, 1ll << 40};
    int64_t v[ROWS], than = values[rnd() % 8];
    uint64_t mask[WORDS], out[WORDS];
    bool wanted[ROWS];
    enum kernel_compare how = (enum kernel_compare)(rnd() % 6);
    random_mask(mask);
    for (uint32_t i = 0; i < ROWS; i++) {
        v[i] = values[rnd() % 8];
        wanted[i] = holds(how, v[i] < than ? -1 : v[i] > than);
    }
    kernels_at(level)->wholes(v, than, how, mask, out, WORDS);
    check("wholes", level, mask, out, wanted);
}

static void check_codes(enum cpu_level level)
{
    uint16_t v[ROWS], codes[4];
    uint64_t mask[WORDS], out[WORDS];
    bool wanted[ROWS];
    uint32_t n = rnd() % 5;
    random_mask(mask);
    for (uint32_t k = 0; k < n; k++) codes[k] = (uint16_t)(rnd() % 8 ? rnd() % 8 : 0xffff - rnd() % 2);
    for (uint32_t i = 0; i < ROWS; i++) {
        v[i] = (uint16_t)(rnd() % 8 ? rnd() % 8 : 0xffff - rnd() % 2);
        wanted[i] = false;
        for (uint32_t k = 0; k < n; k++) wanted[i] |= v[i] == codes[k];
    }
    kernels_at(level)->codes(v, codes, n, mask, out, WORDS);
    check("codes", level, mask, out, wanted);
}

static void check_bytes(enum cpu_level level)
{
    uint8_t v[ROWS];
    uint64_t mask[WORDS], out[WORDS];
    bool wanted[ROWS];
    random_mask(mask);
    for (uint32_t i = 0; i < ROWS; i++) {
        v[i] = rnd() % 3 ? (uint8_t)rnd() : 0;
        wanted[i] = v[i] != 0;
    }
    kernels_at(level)->bytes(v, mask, out, WORDS);
    check("bytes", level, mask, out, wanted);
}

static void check_counts(enum cpu_level level)
{
    uint64_t a[WORDS], b[WORDS], one = 0, both = 0;
    random_mask(a);
    random_mask(b);
    for (uint32_t i = 0; i < ROWS; i++) {
        one += a[i / 64] >> i % 64 & 1;
        both += (a[i / 64] & b[i / 64]) >> i % 64 & 1;
    }
    cr_assert_eq(kernels_at(level)->count(a, WORDS), one);
    cr_assert_eq(kernels_at(level)->count_both(a, b, WORDS), both);
}

Test(kernel, every_level_gives_the_bits_of_the_plain_loop)
{
    for (enum cpu_level level = CPU_PORTABLE; level <= cpu_best(); level++)
        for (uint32_t round = 0; round < ROUNDS; round++) {
            check_numbers(level);
            check_wholes(level);
            check_codes(level);
            check_bytes(level);
            check_counts(level);
        }
}

Test(kernel, levels_have_names)
{
    enum cpu_level level;
    for (enum cpu_level i = CPU_PORTABLE; i < CPU_LEVELS; i++)
        cr_assert(cpu_level_named(cpu_level_name(i), &level) && level == i);
    cr_assert_not(cpu_level_named("sse9", &level));
}
