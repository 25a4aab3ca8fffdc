/* The load generator's own parts: the histogram against sorted values, and events that decode. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "bench/hourglass-load/generator.h"
#include "bench/hourglass-load/histogram.h"
#include "core/base/msgpack.h"

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

Test(histogram, percentiles_agree_with_sorted_values_within_two_percent)
{
    enum { N = 20000 };
    static uint64_t values[N];
    static struct histogram h;
    uint64_t x = 42;
    for (int i = 0; i < N; i++) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        values[i] = (x >> 33) >> (x >> 3 & 31);
        histogram_add(&h, values[i], 1);
    }
    qsort(values, N, sizeof *values, by_value);
    static const double SHARES[] = {0.0001, 0.1, 0.5, 0.9, 0.99, 0.999, 1};
    for (size_t i = 0; i < sizeof SHARES / sizeof *SHARES; i++) {
        uint64_t exact = values[(int)(SHARES[i] * N + 0.5) - 1], got = histogram_at(&h, SHARES[i]);
        cr_expect(got >= exact && (double)got <= (double)exact * 1.02 + 1, "%g: %lu, exact %lu", SHARES[i],
                  got, exact);
    }
    cr_expect_eq(h.total, N);
    cr_expect_eq(h.max, values[N - 1]);
    cr_expect_eq(h.min, values[0]);
}

Test(histogram, holds_the_whole_range)
{
    static struct histogram h;
    cr_expect_eq(histogram_at(&h, 0.5), 0);
    histogram_add(&h, 0, 1);
    histogram_add(&h, UINT64_MAX, 1);
    cr_expect_eq(histogram_at(&h, 0.5), 0);
    cr_expect_eq(histogram_at(&h, 1), UINT64_MAX);
}

static struct slice field(struct slice record, const char *key)
{
    struct mp m = mp_of(record);
    for (uint32_t n = mp_map(&m); n > 0; n--) {
        struct slice name = mp_str(&m), value = mp_item(&m);
        struct mp v = mp_of(value);
        if (slice_is(name, key)) return mp_str(&v);
    }
    return (struct slice){0};
}

static void check_shape(const char *shape, uint32_t least, uint32_t most)
{
    struct generator g;
    uint8_t entry[ENTRY_BYTES_MAX];
    uint8_t former[36] = {0};
    cr_assert(generator_init(&g, shape, 1000, 1.1, 7));
    for (int i = 0; i < 1000; i++) {
        size_t n = generator_entry(&g, 1767323045678, entry);
        struct mp m = mp_of(slice_of(entry, n));
        int8_t type;
        cr_assert_eq(mp_array(&m), 2);
        struct slice time = mp_ext(&m, &type), record = mp_item(&m);
        cr_assert(m.err == MP_OK && mp_left(&m) == 0 && time.n == 8 && load_be32(time.p) == 1767323045);
        cr_assert(record.n >= least && record.n <= most, "%s: %u bytes", shape, record.n);
        cr_assert(slice_is(field(record, "timestamp"), "2026-01-02T03:04:05.678Z"));
        cr_assert_eq(field(record, "userId").n, 12);
        cr_assert_eq(field(record, "messageId").n, sizeof former);
        cr_assert(memcmp(field(record, "messageId").p, former, sizeof former) != 0);
        memcpy(former, field(record, "messageId").p, sizeof former);
    }
    generator_free(&g);
}

Test(generator, every_shape_decodes_and_has_its_size)
{
    check_shape("shop", 400, 450);
    check_shape("small", 120, 200);
    check_shape("pairs", 430, 500);
    check_shape("mix", 400, 500);
    check_shape("aim", 400, 460);
}

Test(generator, one_event_in_a_hundred_of_a_mix_brings_a_new_anonymous_id)
{
    enum { N = 20000 };
    struct generator g;
    uint8_t entry[ENTRY_BYTES_MAX];
    uint32_t pairs = 0;
    char former[40] = "";
    cr_assert(generator_init(&g, "mix", 10, 0, 7));
    for (int i = 0; i < N; i++) {
        size_t n = generator_entry(&g, 0, entry);
        struct slice id = field(slice_of(entry + 11, n - 11), "anonymousId");
        if (!id.n) continue;
        cr_assert(strncmp(former, (const char *)id.p, id.n) < 0, "each is another, and numbered upwards");
        snprintf(former, sizeof former, "%.*s", (int)id.n, (const char *)id.p);
        pairs++;
    }
    cr_expect(pairs > N / 100 && pairs < N / 70, "%u", pairs);
    generator_free(&g);
}

Test(generator, zipf_prefers_the_first_people)
{
    struct generator even, uneven;
    uint8_t entry[ENTRY_BYTES_MAX];
    uint32_t first[2] = {0};
    cr_assert(generator_init(&even, "small", 1000, 0, 7));
    cr_assert(generator_init(&uneven, "small", 1000, 1, 7));
    for (int i = 0; i < 10000; i++)
        for (int k = 0; k < 2; k++) {
            size_t n = generator_entry(k ? &uneven : &even, 0, entry);
            first[k] += slice_is(field(slice_of(entry + 11, n - 11), "userId"), "u00000000000");
        }
    cr_expect_lt(first[0], 50);
    cr_expect_gt(first[1], 700);
    generator_free(&even);
    generator_free(&uneven);
}

Test(generator, unknown_shape_is_refused)
{
    struct generator g;
    cr_expect(!generator_init(&g, "round", 1, 0, 1));
}
