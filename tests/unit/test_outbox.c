/* The outbox beside a slow, obvious model. */
#include "core/base/check.h"
#include "core/journey/outbox.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct heap heap;
static struct outbox *box;

static void open_box(void)
{
    cr_assert(heap_create(&heap, 256 << 20));
    box = outbox_create(&heap);
}
static void close_box(void)
{
    outbox_destroy(box);
    heap_destroy(&heap);
}
TestSuite(outbox, .init = open_box, .fini = close_box);

static struct key id_of(uint64_t n) { return hash128_plain(&n, sizeof n); }

static void add(uint64_t n, uint32_t at)
{
    char text[32];
    int bytes = snprintf(text, sizeof text, "content %llu", (unsigned long long)n);
    cr_assert(outbox_reserve(box, 1, (size_t)bytes));
    outbox_add(box, id_of(n), (uint16_t)(n % 5), at, slice_of(text, (size_t)bytes));
}

Test(outbox, hands_out_in_order_of_creation_until_confirmed_and_never_after)
{
    struct action a;
    for (uint64_t i = 1; i <= 3; i++) add(i, 100 + (uint32_t)i);
    cr_assert(outbox_next(box, 0, &a) && a.sequence == 1 && slice_is(a.content, "content 1"));
    cr_assert(outbox_confirm(box, id_of(1), &a) && a.channel == 1);
    cr_assert_not(outbox_confirm(box, id_of(1), NULL), "a second confirmation is nothing");
    cr_assert_not(outbox_confirm(box, id_of(9), NULL));
    cr_assert_not(outbox_get(box, id_of(1), &a));
    cr_assert(outbox_next(box, 0, &a) && a.sequence == 2);
    cr_assert(outbox_next(box, 2, &a) && a.sequence == 3);
    cr_assert_not(outbox_next(box, 3, &a));
    cr_assert_eq(outbox_pending(box), 2);
    cr_assert_eq(outbox_oldest(box), 102);
}

Test(outbox, empty_is_empty)
{
    struct action a;
    cr_assert_not(outbox_next(box, 0, &a));
    cr_assert_not(outbox_get(box, id_of(1), &a));
    cr_assert_not(outbox_confirm(box, id_of(1), NULL));
    cr_assert_eq(outbox_oldest(box), 0);
    cr_assert_eq(outbox_bytes(box), 0);
}

enum { STEPS_N = 20000, MODEL_MAX = STEPS_N + 1 };
static bool alive[MODEL_MAX];

static void compare(uint64_t last, uint64_t pending)
{
    struct action a;
    uint64_t seen = 0, after = 0;
    for (uint64_t n = 1; n <= last; n++) {
        cr_assert_eq(outbox_get(box, id_of(n), &a), alive[n]);
        if (!alive[n]) continue;
        cr_assert(outbox_next(box, after, &a) && a.sequence == n && key_eq(a.id, id_of(n)));
        after = n;
        seen++;
    }
    cr_assert_eq(seen, pending);
    cr_assert_eq(outbox_pending(box), pending);
    cr_assert_not(outbox_next(box, after, &a));
}

Test(outbox, agrees_with_its_model_and_survives_encoding)
{
    uint64_t seed = 7, last = 0, pending = 0;
    printf("seed %llu\n", (unsigned long long)seed);
    memset(alive, 0, sizeof alive);
    for (uint32_t i = 0; i < STEPS_N; i++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        uint64_t r = seed >> 33;
        if (r % 100 < 52) {
            add(++last, i);
            alive[last] = true;
            pending++;
        } else if (last) {
            uint64_t n = r / 100 % 4 ? last - r / 400 % (last < 50 ? last : 50)
                                     : 1 + r / 400 % last; /* mostly young ones */
            cr_assert_eq(outbox_confirm(box, id_of(n), NULL), alive[n]);
            pending -= alive[n];
            alive[n] = false;
        }
        if (i % 4999 == 0) compare(last, pending);
    }
    compare(last, pending);
    struct buf bytes = {0};
    outbox_encode(box, &bytes);
    uint64_t hash = outbox_hash(box), content = outbox_bytes(box), used = heap.bytes_used;
    outbox_destroy(box);
    heap_destroy(&heap);
    open_box();
    cr_assert(outbox_decode(box, buf_slice(&bytes)));
    compare(last, pending);
    cr_assert_eq(outbox_hash(box), hash);
    cr_assert_eq(outbox_bytes(box), content);
    cr_assert_eq(heap.bytes_used, used);
    add(++last, 1);
    struct action a;
    cr_assert(outbox_get(box, id_of(last), &a) && a.sequence == last, "sequences go on where they were");
    buf_free(&bytes);
}

Test(outbox, confirmed_ones_leave_no_memory_behind_even_when_the_oldest_stays)
{
    add(1, 1);
    for (uint64_t n = 2; n < 200000; n++) {
        add(n, 2);
        cr_assert(outbox_confirm(box, id_of(n), NULL));
    }
    cr_assert_eq(outbox_pending(box), 1);
    cr_assert_leq(heap.bytes_used, 64);
    cr_assert_leq(heap.region.used, 4096);
}

Test(outbox, damaged_bytes_are_refused)
{
    struct buf bytes = {0};
    for (uint64_t n = 1; n <= 3; n++) add(n, 5);
    outbox_encode(box, &bytes);
    for (size_t cut = 0; cut < bytes.n; cut++) {
        struct outbox *other = outbox_create(&heap);
        cr_assert_not(outbox_decode(other, slice_of(bytes.p, cut)), "cut at %zu", cut);
        outbox_destroy(other);
    }
    buf_put_u8(&bytes, 0);
    struct outbox *other = outbox_create(&heap);
    cr_assert_not(outbox_decode(other, buf_slice(&bytes)), "a byte too many");
    outbox_destroy(other);
    buf_free(&bytes);
}

/* An action: id 16, sequence 8, second 4, channel 2, length 4, content 9. */
Test(outbox, actions_that_contradict_each_other_are_refused)
{
    enum { FIRST = 16, ACTION = 34 + 9 };
    static const struct {
        const char *what;
        uint32_t at;
        uint8_t byte;
    } list[] = {{"a sequence again", FIRST + ACTION + 16, 1},
                {"a sequence behind the last", FIRST + 16, 9},
                {"no content", FIRST + 30, 0}};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct buf bytes = {0};
        outbox_destroy(box);
        box = outbox_create(&heap);
        for (uint64_t n = 1; n <= 3; n++) add(n, 5);
        outbox_encode(box, &bytes);
        cr_assert_eq(bytes.n, FIRST + 3 * ACTION);
        bytes.p[list[i].at] = list[i].byte;
        struct outbox *other = outbox_create(&heap);
        cr_assert_not(outbox_decode(other, buf_slice(&bytes)), "%s", list[i].what);
        outbox_destroy(other);
        buf_free(&bytes);
    }
}

Test(outbox, an_action_twice_is_refused_and_so_is_a_second_decoding)
{
    enum { FIRST = 16, ACTION = 34 + 9 };
    struct buf bytes = {0};
    for (uint64_t n = 1; n <= 2; n++) add(n, 5);
    outbox_encode(box, &bytes);
    cr_assert_not(outbox_decode(box, buf_slice(&bytes)), "this one holds something");
    memcpy(bytes.p + FIRST + ACTION, bytes.p + FIRST, 16);
    struct outbox *other = outbox_create(&heap);
    cr_assert_not(outbox_decode(other, buf_slice(&bytes)));
    outbox_destroy(other);
    buf_free(&bytes);
}

Test(outbox, the_last_sequence_stays_when_its_action_is_gone)
{
    add(1, 5);
    cr_assert_eq(outbox_last_sequence(box), 1);
    cr_assert(outbox_confirm(box, id_of(1), NULL));
    cr_assert_eq(outbox_last_sequence(box), 1);
}

Test(outbox, without_memory_nothing_is_reserved_and_nothing_is_lost)
{
    struct heap small;
    struct action a;
    cr_assert(heap_create(&small, 1 << 20));
    struct outbox *other = outbox_create(&small);
    cr_assert_not(outbox_reserve(other, 1u << 31, 0), "more than can be counted");
    cr_assert(outbox_reserve(other, 1, 4));
    outbox_add(other, id_of(1), 0, 7, SLICE("text"));
    uint32_t actions = 1;
    while (outbox_reserve(other, actions, 0))
        actions *= 2; /* the table of entries grows, or that of slots does not */
    cr_assert(outbox_get(other, id_of(1), &a) && slice_is(a.content, "text"));
    outbox_destroy(other);
    outbox_destroy(NULL);
    heap_destroy(&small);
}
