#include "io/queue.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(queue, first_in_first_out_against_counters)
{
    struct queue q = {0};
    uint64_t state = 99, in = 0, out = 0;
    printf("seed 99\n");
    for (int step = 0; step < 300000; step++) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        bool push = (state >> 33) % 1000 < (step / 50000 % 2 ? 450u : 550u); /* grows, then shrinks */
        if (push) {
            size_t n = 8 + in % 61;
            uint8_t *p = queue_push(&q, n);
            store_le64(p, in);
            memset(p + 8, (int)(in & 0xff), n - 8);
            in++;
            continue;
        }
        struct slice s;
        cr_assert_eq(queue_front(&q, &s), in != out);
        if (in == out) continue;
        cr_assert_eq(s.n, 8 + out % 61);
        cr_assert_eq(load_le64(s.p), out);
        for (uint32_t i = 8; i < s.n; i++) cr_assert_eq(s.p[i], (uint8_t)out);
        queue_pop(&q);
        out++;
    }
    cr_assert(out > 100000);
    queue_free(&q);
}

Test(queue, walking_sees_what_popping_will)
{
    struct queue q = {0};
    for (uint32_t i = 0; i < 10; i++) store_le32(queue_push(&q, 4 + i), i);
    queue_pop(&q);
    size_t at = 0;
    struct slice s;
    for (uint32_t i = 1; i < 10; i++) {
        cr_assert(queue_walk(&q, &at, &s));
        cr_assert_eq(load_le32(s.p), i);
        cr_assert_eq(s.n, 4 + i);
    }
    cr_assert_not(queue_walk(&q, &at, &s));
    while (!queue_empty(&q)) queue_pop(&q);
    cr_assert_eq(queue_bytes(&q), 0);
    queue_free(&q);
}
