/* Reserve, then apply: inside a batch nothing is asked of the system, whatever the events do.
 * Calls of mmap and mprotect are counted here in every build, those of malloc where the sanitizer has hooks for it. */
#include "tests/unit/store_fixture.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool in_batch;
static uint32_t asked;

void *mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset)
{
    asked += in_batch;
    return (void *)syscall(SYS_mmap, at, bytes, protection, flags, file, offset);
}
int mprotect(void *at, size_t bytes, int protection)
{
    asked += in_batch;
    return (int)syscall(SYS_mprotect, at, bytes, protection);
}
#ifdef __SANITIZE_ADDRESS__
int __sanitizer_install_malloc_and_free_hooks(void (*taken)(const volatile void *, size_t),
                                              void (*given)(const volatile void *));
static void taken(const volatile void *p, size_t bytes) { asked += in_batch; }
static void given(const volatile void *p) { asked += in_batch; }
static void watch_malloc(void) { cr_assert_gt(__sanitizer_install_malloc_and_free_hooks(taken, given), 0); }
#else
static void watch_malloc(void) {}
#endif

static struct schema schema;
static struct store s;
static void open_store(void)
{
    watch_malloc();
    schema = fixture_schema();
    cr_assert(store_create(&s, &schema));
    store_set_segments(&s, 300);
}
static void close_store(void) { store_destroy(&s); }
TestSuite(reserve, .init = open_store, .fini = close_store);

enum { PEOPLE_MAX = 2 * BLOCK_ROWS };

/* As many journey instances as a person may have, each with a copy of the event, one resize each. */
static void start_journeys(row_t row, uint32_t count, uint32_t event_bytes)
{
    uint32_t bytes;
    for (uint32_t i = 0; i < count; i++) {
        store_block(&s, row, BLOCK_JOURNEYS, &bytes);
        struct instance head = {.journey = (uint16_t)i, .bytes = (uint32_t)sizeof head + event_bytes};
        memcpy(store_block_resize(&s, row, BLOCK_JOURNEYS, bytes + head.bytes) + bytes, &head, sizeof head);
    }
}

static void write_attributes(row_t row, struct slice text, uint32_t at)
{
    struct value string = value_string(text), raw = {.kind = V_RAW, .n = text.n, .s = text.p};
    struct value values[ATTR_COUNT] = {string,         string, value_double(1), value_bool(true),
                                       value_time(at), raw,    string};
    for (uint16_t a = 0; a < ATTR_COUNT; a++) attribute_set(&s, row, a, values[a], at, NULL);
}

static uint16_t undeclared_type(uint32_t at)
{
    return (uint16_t)(TYPE_UNDECLARED_BASE + at / 8 % UNDECLARED_NAMES_MAX);
}

/* Everything one event can do to one person, and more than it usually does. */
static void apply(uint32_t person, uint32_t bytes, uint32_t at)
{
    static uint8_t text[EVENT_BYTES_MAX];
    memcpy(text, &at, 4);
    struct slice part = slice_of(text, bytes / 8);
    row_t row;
    struct key target;
    if (store_find(&s, key_of(person), &row, &target) != FOUND_ROW) row = store_add(&s, key_of(person), at);
    struct value props[ORDER_PROPS] = {value_double(at), value_string(part), value_double(2)};
    struct event e = {.message_hash = at, .props = props};
    if (at % 4) /* one event is of one type: one history may give up an entry to the window */
        behaviour_add(&s, row, TYPE_ORDER, at, at + 1, &e, at, NULL);
    else
        behaviour_add(&s, row, at % 8 ? TYPE_PAGE : undeclared_type(at), at, at, NULL, at, NULL);
    write_attributes(row, part, at);
    for (uint16_t g = 0; g < 300; g++) member_set(&s, row, g, (at + g) % 3, at);
    uint32_t held;
    store_block(&s, row, BLOCK_JOURNEYS, &held);
    if (held > 32 * (sizeof(struct instance) + bytes))
        held = 0, store_block_resize(&s, row, BLOCK_JOURNEYS, 0);
    start_journeys(row, held ? 2 : INSTANCES_MAX, bytes);
    store_block_resize(&s, row, BLOCK_SENDS, SENDS_KEPT_MAX * sizeof(struct send));
    ids_add_anonymous(&s, row, slice_of(text, bytes < ID_BYTES_MAX ? bytes : ID_BYTES_MAX), NULL, NULL);
    if (at % 5 == 0) store_link(&s, key_of(1000000 + at), key_of(person));
    window_seen(&s, rnd(), at, at);
}

static void run_batches(uint32_t batches, uint32_t events_each, uint32_t bytes, uint32_t people)
{
    uint32_t at = NOW;
    for (uint32_t i = 0; i < batches; i++) {
        cr_assert(store_reserve(&s, events_each, (size_t)events_each * bytes));
        in_batch = true;
        for (uint32_t k = 0; k < events_each; k++, at++) apply(below(people), bytes, at);
        in_batch = false;
        cr_assert_eq(asked, 0, "batch %u asked the system %u times", i, asked);
    }
}

Test(reserve, a_batch_of_usual_events_asks_for_nothing)
{
    run_batches(100, 64, 400, PEOPLE_MAX);
    run_batches(300, 1, 400, PEOPLE_MAX);
}
/* A merge lets parked records go: the shard then reserves for thousands of them. */
Test(reserve, thousands_of_records_at_once_can_be_reserved)
{
    run_batches(20, 64, 400, 50);
    enum { MANY = HEAP_BYTES_MAX > 1ull << 30 ? 4096 : 32 };
    cr_assert(store_reserve(&s, MANY, (size_t)MANY * 9000));
}
Test(reserve, a_batch_about_few_people_asks_for_nothing) { run_batches(100, 64, 100, 5); }
enum { LARGE_EVENTS = HEAP_BYTES_MAX > 1ull << 30 ? 16 : 3 };
Test(reserve, the_largest_events_ask_for_nothing) { run_batches(6, LARGE_EVENTS, EVENT_BYTES_MAX, 10); }

Test(reserve, a_whole_profile_arriving_asks_for_nothing)
{
    struct buf bytes = {0};
    run_batches(50, 64, 200, 3);
    profile_encode(&s, (row_t){0}, &bytes);
    struct store other;
    cr_assert(store_create(&other, &schema));
    store_set_segments(&other, 300);
    for (uint32_t i = 0; i < 50; i++) {
        cr_assert(store_reserve(&other, 1, bytes.n));
        in_batch = true;
        row_t row = store_add(&other, key_of(i), NOW);
        bool merged =
            profile_merge(&other, row, buf_slice(&bytes)) && profile_merge(&other, row, buf_slice(&bytes));
        in_batch = false;
        cr_assert(merged);
        cr_assert_eq(asked, 0);
    }
    store_destroy(&other);
    buf_free(&bytes);
}

Test(reserve, says_no_when_rows_run_out)
{
    cr_assert(store_reserve(&s, 10, 0));
    cr_assert_not(store_reserve(&s, PROFILES_PER_SHARD_MAX, 0));
    cr_assert(store_reserve(&s, 10, 0), "and goes on");
}
