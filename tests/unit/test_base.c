/* The ground floor: heap classes, regions, arenas, hashing. */
#include "core/base/arena.h"
#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/base/heap.h"

#include <criterion/criterion.h>

Test(heap, every_size_gets_a_block_that_holds_it_and_wastes_at_most_an_eighth)
{
    for (uint32_t n = 1; n < 200000; n += n < 2000 ? 1 : 97) {
        uint32_t room = heap_room(n), granules = (n + 15) / 16;
        cr_assert_geq(room, n);
        cr_assert_leq(room, granules * 16 + (granules > 16 ? granules * 2 + 16 : 0), "%u -> %u", n, room);
        cr_assert_eq(heap_room(room), room, "a class is its own room");
    }
}

Test(heap, a_released_block_is_handed_out_again)
{
    struct heap h;
    cr_assert(heap_create(&h, 64 << 20));
    cr_assert(heap_reserve(&h, 1 << 20));
    uint32_t a = heap_alloc(&h, 100), b = heap_alloc(&h, 100);
    cr_assert_neq(a, b);
    memset(heap_at(&h, a), 1, 100);
    memset(heap_at(&h, b), 2, 100);
    cr_assert_eq(((uint8_t *)heap_at(&h, a))[99], 1);
    heap_release(&h, a, 100);
    cr_assert_eq(heap_alloc(&h, 97), a);
    heap_release(&h, a, 97);
    heap_release(&h, b, 100);
    cr_assert_eq(h.bytes_used, 0);
    heap_destroy(&h);
}

Test(region, grows_in_place_and_is_zero)
{
    struct region r;
    cr_assert(region_create(&r, 32 << 20));
    cr_assert(region_reserve(&r, 100));
    uint8_t *base = r.base;
    r.used = 100;
    cr_assert(region_reserve(&r, 20 << 20));
    cr_assert_eq(base, r.base);
    for (size_t i = 0; i < 20 << 20; i += 4096) cr_assert_eq(base[i], 0);
    cr_assert_not(region_reserve(&r, 64 << 20), "more than was reserved is refused");
    region_destroy(&r);
}

Test(arena, fixed_says_no_and_growing_goes_on)
{
    struct arena f, g;
    arena_init_fixed(&f, 64);
    cr_assert_not_null(arena_alloc(&f, 64));
    cr_assert_null(arena_alloc(&f, 1));
    arena_reset(&f);
    cr_assert_not_null(arena_alloc(&f, 33));
    arena_free(&f);
    arena_init(&g);
    for (int i = 0; i < 1000; i++) memset(arena_alloc(&g, 1000), i, 1000);
    arena_reset(&g);
    cr_assert_str_eq(arena_printf(&g, "%s-%d", "a", 7), "a-7");
    arena_free(&g);
}

Test(hash, crc32c_of_the_standard_text) { cr_assert_eq(crc32c(0, "123456789", 9), 0xE3069283u); }

Test(hash, kinds_and_secrets_separate_equal_ids)
{
    struct hash_secret s, t;
    hash_secret_from_seed(&s, SLICE("one"));
    hash_secret_from_seed(&t, SLICE("two"));
    struct key a = hash_id(&s, ID_USER, SLICE("42"));
    cr_assert(key_eq(a, hash_id(&s, ID_USER, SLICE("42"))));
    cr_assert_not(key_eq(a, hash_id(&s, ID_ANONYMOUS, SLICE("42"))));
    cr_assert_not(key_eq(a, hash_id(&t, ID_USER, SLICE("42"))));
}

Test(hash, crc32c_agrees_with_the_obvious_one_at_every_length_and_place)
{
    static uint8_t bytes[20000];
    uint64_t seed = 42;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)((seed = seed * 6364136223846793005ull + 1442695040888963407ull) >> 56);
    for (size_t n = 0; n < sizeof bytes - 16; n += n < 1000 ? 1 : 61)
        cr_assert_eq(crc32c((uint32_t)n, bytes + n % 16, n), crc32c_slow((uint32_t)n, bytes + n % 16, n),
                     "%zu", n);
    cr_assert_eq(crc32c(crc32c(0, bytes, 7777), bytes + 7777, 5000), crc32c(0, bytes, 12777),
                 "in two pieces");
}
