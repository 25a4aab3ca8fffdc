/* Rows, the index, links, blocks, ids, membership and the window of a store, each beside an obvious model. */
#include "tests/unit/store_fixture.h"
#include "core/store/parts.h"

static struct schema schema;
static struct store s;
static void open_store(void)
{
    schema = fixture_schema();
    cr_assert(store_create(&s, &schema));
}
static void close_store(void) { store_destroy(&s); }
TestSuite(store, .init = open_store, .fini = close_store);

/* ---- rows, index, links ------------------------------------------------------------------ */

enum { IDS = 20000 };
enum what { NOTHING, PERSON, LINK };
static struct {
    enum what what;
    uint32_t slot, target;
} model[IDS];

static void check_id(uint32_t id)
{
    row_t row = ROW_NONE;
    struct key target = {0};
    enum found found = store_find(&s, key_of(id), &row, &target);
    cr_assert_eq(found,
                 model[id].what == PERSON ? FOUND_ROW
                 : model[id].what == LINK ? FOUND_LINK
                                          : FOUND_NOTHING,
                 "id %u", id);
    if (model[id].what == PERSON) cr_assert_eq(row.v, model[id].slot);
    if (model[id].what == LINK) cr_assert(key_eq(target, key_of(model[id].target)));
}

static void remove_person(uint32_t id)
{
    store_remove(&s, (row_t){model[id].slot});
    model[id].what = NOTHING;
    for (uint32_t i = 0; i < IDS; i++)
        if (model[i].what == LINK && model[i].target == id) model[i].what = NOTHING;
}

static void random_identity(uint32_t id)
{
    cr_assert(store_reserve(&s, 1, 100));
    if (model[id].what == NOTHING && below(3)) {
        model[id].slot = store_add(&s, key_of(id), NOW).v;
        model[id].what = PERSON;
    } else if (model[id].what != PERSON) {
        model[id].target = below(IDS);
        store_link(&s, key_of(id), key_of(model[id].target));
        model[id].what = LINK;
    } else if (below(40) == 0) {
        remove_person(id);
    }
    if (model[id].what == LINK && below(4) == 0) {
        store_unlink(&s, key_of(id));
        model[id].what = NOTHING;
    }
}

Test(store, people_and_links_are_found_as_a_plain_array_says)
{
    fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
    for (uint32_t i = 0; i < 100000; i++) {
        random_identity(below(IDS));
        check_id(below(IDS));
        if (i % 1000 == 0) cr_assert(index_valid(&s.parts->index) && index_valid(&s.parts->links.by_target));
    }
    uint32_t people = 0, links = 0;
    for (uint32_t id = 0; id < IDS; id++) {
        check_id(id);
        people += model[id].what == PERSON;
        links += model[id].what == LINK;
    }
    cr_assert_eq(s.profiles, people);
    cr_assert_eq(store_links(&s), links);
}

Test(store, slots_given_back_are_reused_last_first)
{
    cr_assert(store_reserve(&s, 10, 0));
    row_t a = store_add(&s, key_of(1), NOW), b = store_add(&s, key_of(2), NOW);
    store_add(&s, key_of(3), NOW);
    store_remove(&s, a);
    store_remove(&s, b);
    cr_assert_eq(store_add(&s, key_of(4), NOW).v, b.v);
    cr_assert_eq(store_add(&s, key_of(5), NOW).v, a.v);
    cr_assert_eq(store_add(&s, key_of(6), NOW).v, 3);
    cr_assert_eq(s.row_limit, 4);
}

Test(store, hints_change_nothing_and_guess_right_mostly)
{
    cr_assert(store_reserve(&s, 1000, 0));
    uint32_t right = 0;
    for (uint32_t i = 0; i < 1000; i++) store_add(&s, key_of(i), NOW);
    for (uint32_t i = 0; i < 1000; i++) {
        store_prefetch_bucket(&s, key_of(i));
        row_t row = store_prefetch_row(&s, key_of(i));
        if (!row_none(row)) {
            store_prefetch_types(&s, row);
            store_prefetch_tail(&s, row, TYPE_ORDER);
            right += row.v == i;
        }
    }
    cr_assert_gt(right, 900);
}

/* ---- blocks and ids ------------------------------------------------------------------------ */

Test(store, a_block_keeps_its_bytes_while_it_grows_and_shrinks)
{
    static uint8_t want[20000];
    uint32_t length = 0, bytes;
    cr_assert(store_reserve(&s, 1, 0));
    row_t row = store_add(&s, key_of(1), NOW);
    for (uint32_t i = 0; i < 3000; i++) {
        cr_assert(store_reserve(&s, 1, 0));
        uint32_t to = below(4) ? below(200) : below(sizeof want);
        uint8_t *block = store_block_resize(&s, row, BLOCK_EXTRA, to);
        if (to > length) memset(want + length, 0, to - length);
        cr_assert_eq(to ? memcmp(block, want, to) : 0, 0);
        for (uint32_t k = 0; k < 20 && to; k++) {
            uint32_t at = below(to);
            block[at] = want[at] = (uint8_t)rnd();
        }
        length = to;
        cr_assert_eq(store_block(&s, row, BLOCK_EXTRA, &bytes), block);
        cr_assert_eq(bytes, length);
    }
    store_remove(&s, row);
    cr_assert_eq(s.heap.bytes_used, 0, "everything was given back");
}

Test(store, the_oldest_anonymous_id_goes_when_there_are_too_many)
{
    struct arena scratch;
    arena_init(&scratch);
    cr_assert(store_reserve(&s, 200, 10000));
    row_t row = store_add(&s, key_of(1), NOW);
    for (uint32_t i = 0; i < ALIASES_MAX + 3; i++) {
        struct slice id = slice_str(arena_printf(&scratch, "anonymous-%u", i)), dropped = {0};
        bool drops = ids_add_anonymous(&s, row, id, &dropped, &scratch);
        cr_assert_eq(drops, i >= ALIASES_MAX);
        if (drops) cr_assert(slice_is(dropped, arena_printf(&scratch, "anonymous-%u", i - ALIASES_MAX)));
        cr_assert(ids_has_anonymous(&s, row, id));
        cr_assert_not(ids_add_anonymous(&s, row, id, &dropped, &scratch), "twice is once");
        if (i == 10) ids_set_user(&s, row, SLICE("user"));
    }
    struct slice list[ALIASES_MAX + 10];
    cr_assert_eq(ids_anonymous(&s, row, list, ALIASES_MAX + 10), ALIASES_MAX);
    cr_assert(slice_is(list[0], "anonymous-3"));
    cr_assert(slice_is(ids_user(&s, row), "user"));
    cr_assert_eq(s.known, 1);
    ids_set_user(&s, row, SLICE("a longer user id"));
    cr_assert(slice_is(ids_user(&s, row), "a longer user id"));
    ids_set_user(&s, row, SLICE("u"));
    cr_assert(slice_is(ids_user(&s, row), "u"));
    cr_assert_eq(ids_anonymous(&s, row, list, ALIASES_MAX), ALIASES_MAX);
    cr_assert(slice_is(list[ALIASES_MAX - 1], "anonymous-66"));
    cr_assert_eq(s.known, 1);
    arena_free(&scratch);
}

/* ---- membership ---------------------------------------------------------------------------- */

enum { PEOPLE = 3 * BLOCK_ROWS / 2, SEGMENTS = 40 };
static struct membership member[PEOPLE][SEGMENTS];

static void check_counts(void)
{
    for (uint16_t g = 0; g < SEGMENTS; g++) {
        uint32_t count = 0, bits = 0;
        for (uint32_t i = 0; i < PEOPLE; i++) count += member[i][g].member;
        for (uint32_t block = 0; block <= PEOPLE / BLOCK_ROWS; block++) {
            const uint64_t *page = member_page(&s, g, block);
            for (uint32_t k = 0; page && k < BLOCK_ROWS / 64; k++)
                bits += (uint32_t)__builtin_popcountll(page[k]);
        }
        cr_assert_eq(member_count(&s, g), count);
        cr_assert_eq(bits, count);
    }
}

Test(store, memberships_agree_with_a_table)
{
    cr_assert(store_reserve(&s, PEOPLE, 0));
    for (uint32_t i = 0; i < PEOPLE; i++) store_add(&s, key_of(i), NOW);
    for (uint32_t i = 0; i < 60000; i++) {
        cr_assert(store_reserve(&s, 1, 0));
        row_t row = {below(PEOPLE)};
        uint16_t g = (uint16_t)below(SEGMENTS);
        struct membership *m = &member[row.v][g];
        bool in = below(2);
        if (in != m->member) *m = (struct membership){g, in, NOW + i};
        member_set(&s, row, g, in, NOW + i);
        uint32_t entered, left;
        member_times(&s, row, g, &entered, &left);
        cr_assert_eq(member_get(&s, row, g), m->member);
        cr_assert_eq(entered, m->member ? m->since : 0);
        cr_assert_eq(left, m->member ? 0 : m->since);
    }
    check_counts();
    for (uint32_t i = 0; i < PEOPLE; i += 3) {
        store_remove(&s, (row_t){i});
        memset(member[i], 0, sizeof member[i]);
    }
    check_counts();
}

/* ---- the window ----------------------------------------------------------------------------- */

Test(window, remembers_a_day_and_knows_what_it_cannot_know)
{
    open_store();
    cr_assert(store_reserve(&s, 10, 0));
    cr_assert_eq(window_seen(&s, 1, NOW - 5, NOW), SEEN_NEW);
    cr_assert_eq(window_seen(&s, 1, NOW - 5, NOW + 10), SEEN_DUPLICATE);
    cr_assert_eq(window_seen(&s, 2, NOW - 90 * DAY, NOW + 10), SEEN_NEW, "nothing was dropped yet");
    uint32_t later = NOW + 2 * DAY;
    cr_assert_eq(window_seen(&s, 1, NOW - 5, later), SEEN_UNKNOWABLE, "it may have been here");
    cr_assert_eq(window_seen(&s, 3, NOW - 4, later), SEEN_NEW, "newer than all that was dropped");
    close_store();
}

Test(window, one_wrong_clock_does_not_close_it_for_others)
{
    open_store();
    cr_assert(store_reserve(&s, 10, 0));
    uint32_t ahead = NOW + 10 * DAY;
    cr_assert_eq(window_seen(&s, 1, ahead, NOW), SEEN_NEW);
    for (uint32_t day = 2; day < 10; day += 2) {
        cr_assert_eq(window_seen(&s, 100 + day, NOW + day * DAY, NOW + day * DAY), SEEN_NEW);
        cr_assert_eq(window_seen(&s, 1, ahead, NOW + day * DAY), SEEN_DUPLICATE,
                     "kept while its stamp is ahead");
    }
    cr_assert_eq(window_seen(&s, 1, ahead, NOW + 20 * DAY), SEEN_UNKNOWABLE);
    close_store();
}

Test(window, agrees_with_a_list_while_it_grows_wraps_and_forgets)
{
    static struct window_entry list[200000];
    uint32_t n = 0, first = 0, now = NOW, floor = 0;
    struct window w;
    cr_assert(window_create(&w));
    for (uint32_t i = 0; i < 100000; i++) {
        now += below(3) ? below(60) : 0;
        struct window_entry e = {.hash = 1 + below(40000), .own_s = now - below(200), .received_s = now};
        for (; first < n && list[first].received_s + DEDUP_HOURS * 3600 < now; first++)
            if (list[first].own_s > floor) floor = list[first].own_s;
        bool known = false;
        for (uint32_t k = n; k-- > first && !known && n - k < 3000;) known = list[k].hash == e.hash;
        cr_assert(window_reserve(&w, 1));
        window_expire(&w, now);
        if (n - first >= 3000) continue; /* the list's search above is bounded */
        if (n - first < DEDUP_ENTRIES_MAX) {
            cr_assert_eq(window_find(&w, e.hash), known);
            cr_assert_eq(w.floor, floor);
        }
        if (window_find(&w, e.hash)) continue;
        if (n - first == DEDUP_ENTRIES_MAX && list[first++].own_s > floor) floor = list[first - 1].own_s;
        window_put(&w, e, now);
        list[n++] = e;
        cr_assert_eq(w.count, n - first);
    }
    window_destroy(&w);
}

/* ---- size ------------------------------------------------------------------------------------ */

static uint64_t resident_bytes(void)
{
    unsigned long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    cr_assert_eq(fscanf(f, "%lu %lu", &pages, &resident), 2);
    fclose(f);
    return resident * 4096;
}

Test(store, an_empty_one_costs_next_to_nothing)
{
    enum { N = 64 };
    static struct store many[N];
    uint64_t before = resident_bytes();
    for (uint32_t i = 0; i < N; i++) {
        cr_assert(store_create(&many[i], &schema));
        cr_assert(store_reserve(&many[i], 1, 1000));
    }
    uint64_t each = (resident_bytes() - before) / N;
    fprintf(stderr, "an empty store: %llu bytes resident\n", (unsigned long long)each);
    cr_assert_lt(each, 300000);
    for (uint32_t i = 0; i < N; i++) store_destroy(&many[i]);
}

/* ---- the pipeline --------------------------------------------------------------------------- */

/* What an earlier record of a batch frees is still named by what later ones looked up ahead. A free slot's first block handle
 * is the next free slot: here one whose number, taken for a handle, lies where the heap has no memory yet. */
Test(store, a_row_fetched_ahead_may_have_been_freed_meanwhile)
{
    cr_assert(store_reserve(&s, 1, 100));
    row_t row = store_add(&s, key_of(1), NOW), ahead = store_prefetch_row(&s, key_of(1));
    cr_assert_eq(ahead.v, row.v);
    s.parts->free_row = (uint32_t)(s.heap.region.reserved / HEAP_GRANULE / 2);
    store_remove(&s, row);
    cr_assert_eq(s.rows[row.v].block[BLOCK_TYPES], s.heap.region.reserved / HEAP_GRANULE / 2);
    store_prefetch_types(&s, ahead);
    for (uint16_t attribute = 0; attribute < ATTR_COUNT; attribute++)
        store_prefetch_attribute(&s, ahead, attribute);
    store_prefetch_tail(&s, ahead, TYPE_ORDER);
    store_prefetch_tail(&s, ahead, ID_NONE);
    cr_assert(row_none(store_prefetch_row(&s, key_of(1))));
}
