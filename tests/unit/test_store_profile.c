/* Attributes, and a whole profile as bytes: encode, decode, merge, snapshot, hash. */
#include "tests/unit/store_fixture.h"
#include "core/store/parts.h"

static struct schema schema;
static struct store s;
static struct arena scratch;
static void open_store(void)
{
    arena_init(&scratch);
    schema = fixture_schema();
    cr_assert(store_create(&s, &schema));
}
static void close_store(void)
{
    store_destroy(&s);
    arena_free(&scratch);
}
TestSuite(columns, .init = open_store, .fini = close_store);
TestSuite(profile, .init = open_store, .fini = close_store);

/* ---- attributes --------------------------------------------------------------------------------- */

static struct value some_value(uint16_t attribute)
{
    uint32_t n = below(attribute == ATTR_CITY ? 60 : 5000);
    switch (attribute) {
    case ATTR_EMAIL:
    case ATTR_CITY:
    case ATTR_FIRST:
        return value_string(slice_str(arena_printf(&scratch, n % 3 ? "text number %u" : "%u", n)));
    case ATTR_AGE: return value_double(n / 4.0);
    case ATTR_VIP: return value_bool(n & 1);
    case ATTR_BORN: return value_time((int64_t)n * DAY - 1000 * DAY);
    default:
        return (struct value){
            .kind = V_RAW, .n = 2, .s = (const uint8_t *)arena_printf(&scratch, "\x91%c", n % 100)};
    }
}

enum { PEOPLE = BLOCK_ROWS + 300 };
static struct {
    struct value value;
    uint32_t at;
} table[PEOPLE][ATTR_COUNT];

static void set_and_compare(uint32_t person, uint16_t attribute, struct value v, uint32_t at)
{
    bool first = attribute == ATTR_FIRST, removes = v.kind == V_NULL;
    struct value former = table[person][attribute].value, old;
    uint32_t time = table[person][attribute].at;
    bool wins = first && former.kind != V_NONE && !removes ? at < time : at >= time;
    bool changes = wins && (removes ? former.kind != V_NONE : !value_same(former, v));
    cr_assert(store_reserve(&s, 1, v.kind == V_STRING || v.kind == V_RAW ? v.n : 8));
    cr_assert_eq(attribute_set(&s, (row_t){person}, attribute, v, at, &old), changes);
    cr_assert(value_same(old, former), "the former value can still be read");
    if (!wins) return;
    table[person][attribute].value = removes ? value_none() : v;
    table[person][attribute].at = at;
}

static void compare_all(void)
{
    for (uint32_t i = 0; i < PEOPLE; i++)
        for (uint16_t a = 0; a < ATTR_COUNT; a++) {
            cr_assert(value_same(attribute_get(&s, (row_t){i}, a), table[i][a].value),
                      "person %u attribute %u", i, a);
            cr_assert_eq(attribute_time(&s, (row_t){i}, a), table[i][a].at);
        }
}

Test(columns, agree_with_a_table)
{
    fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
    cr_assert(store_reserve(&s, PEOPLE, 0));
    for (uint32_t i = 0; i < PEOPLE; i++) store_add(&s, key_of(i), NOW);
    for (uint32_t i = 0; i < 60000; i++) {
        uint16_t attribute = (uint16_t)below(ATTR_COUNT);
        struct value v = below(10) ? some_value(attribute) : value_null();
        set_and_compare(below(8) ? below(PEOPLE) : below(5), attribute, v, NOW + below(1000));
    }
    compare_all();
    for (uint32_t i = 0; i < PEOPLE; i += 2) {
        store_remove(&s, (row_t){i});
        memset(table[i], 0, sizeof table[i]);
    }
    compare_all();
}

Test(columns, a_full_dictionary_turns_into_cells_and_nobody_notices)
{
    enum { MANY = DICTIONARY_TEXTS_MAX + 2000 };
    for (uint32_t i = 0; i < MANY; i++) {
        char text[40];
        cr_assert(store_reserve(&s, 1, 40));
        store_add(&s, key_of(i), NOW);
        attribute_set(&s, (row_t){i}, ATTR_CITY,
                      value_string(slice_of(text, (size_t)sprintf(text, "city %u", i * 7))), NOW, NULL);
    }
    cr_assert_eq(s.parts->columns.list[ATTR_CITY].form, COLUMN_CELL);
    for (uint32_t i = 0; i < MANY; i++) {
        char text[40];
        sprintf(text, "city %u", i * 7);
        cr_assert(slice_is(value_text(attribute_get(&s, (row_t){i}, ATTR_CITY)), text));
    }
}

/* ---- random profiles ------------------------------------------------------------------------------ */

static void random_events(struct store *to, row_t row, uint32_t count)
{
    static const uint16_t types[] = {TYPE_PAGE, TYPE_ORDER, TYPE_VIEW, TYPE_UNDECLARED_BASE + 3};
    for (uint32_t i = 0; i < count; i++) {
        struct value props[ORDER_PROPS] = {
            value_double(below(1000)),
            value_string(slice_str(arena_printf(&scratch, "order %u", below(99999))))};
        if (below(2)) props[3] = value_bool(below(2));
        uint16_t type = types[below(4)];
        struct event e = {.message_hash = rnd(), .props = type == TYPE_ORDER ? props : NULL};
        uint32_t at = NOW - below(20 * DAY);
        cr_assert(store_reserve(to, 1, 200));
        behaviour_add(to, row, type, at, below(10) ? at : at + 5, &e, NOW, NULL);
    }
}

static void random_blocks(struct store *to, row_t row)
{
    cr_assert(store_reserve(to, 1, 1000));
    uint8_t *block;
    if (below(2)) {
        struct instance i = {.journey = (uint16_t)below(4),
                             .bytes = sizeof i + 8,
                             .state = INSTANCE_ACTIVE,
                             .due = (uint32_t)rnd()};
        block = store_block_resize(to, row, BLOCK_JOURNEYS, i.bytes);
        memcpy(block, &i, sizeof i);
    }
    if (below(2)) {
        struct send list[3] = {{.at = NOW - below(100)}, {.at = NOW + below(100)}, {.at = NOW + 200}};
        block = store_block_resize(to, row, BLOCK_SENDS, sizeof list);
        memcpy(block, list, sizeof list);
    }
    if (below(2)) {
        struct consent c = {.channel = 1, .state = (uint16_t)(1 + below(3)), .at = NOW + below(3)};
        block = store_block_resize(to, row, BLOCK_CONSENT, sizeof c);
        memcpy(block, &c, sizeof c);
    }
    if (below(2)) ids_set_user(to, row, slice_str(arena_printf(&scratch, "user %u", below(100000))));
    for (uint32_t i = below(4); i; i--)
        ids_add_anonymous(to, row, slice_str(arena_printf(&scratch, "anonymous %u", below(100000))), NULL,
                          NULL);
    for (uint32_t i = below(10); i; i--) member_set(to, row, (uint16_t)below(50), below(3) != 0, NOW + i);
}

static row_t random_profile(struct store *to, struct key key)
{
    cr_assert(store_reserve(to, 1, 1000));
    row_t row = store_add(to, key, NOW - below(1000));
    random_events(to, row, below(80));
    for (uint32_t i = below(10); i; i--)
        attribute_set(to, row, (uint16_t)below(ATTR_COUNT), value_null(), NOW - below(100), NULL);
    for (uint32_t i = below(20); i; i--) {
        uint16_t attribute = (uint16_t)below(ATTR_COUNT);
        cr_assert(store_reserve(to, 1, 100));
        attribute_set(to, row, attribute, some_value(attribute), NOW - below(100), NULL);
    }
    random_blocks(to, row);
    store_row(to, row)->next_wake = NOW + below(1000);
    return row;
}

static struct slice encoded(const struct store *from, row_t row)
{
    struct buf out = {0};
    profile_encode(from, row, &out);
    struct slice copy = arena_slice(&scratch, buf_slice(&out));
    buf_free(&out);
    return copy;
}

/* ---- encode, decode --------------------------------------------------------------------------------- */

Test(profile, decoding_gives_the_same_bytes_again)
{
    struct store other;
    cr_assert(store_create(&other, &schema));
    for (uint32_t i = 0; i < 300; i++) {
        row_t row = random_profile(&s, key_of(i));
        if (i % 5 == 4)
            store_remove(&s, (row_t){row.v - 2}); /* other slots, other dictionaries than the copy's */
        struct slice bytes = encoded(&s, row);
        cr_assert(store_reserve(&other, 1, bytes.n));
        row_t copy = store_add(&other, key_of(i), 1);
        cr_assert(profile_decode(&other, copy, bytes));
        cr_assert(slice_eq(encoded(&other, copy), bytes), "profile %u", i);
    }
    store_destroy(&other);
}

Test(profile, what_comes_after_a_decode_is_the_same_too)
{
    struct store other;
    cr_assert(store_create(&other, &schema));
    for (uint32_t i = 0; i < 100; i++) {
        row_t row = random_profile(&s, key_of(i));
        struct slice bytes = encoded(&s, row);
        cr_assert(store_reserve(&other, 1, bytes.n));
        row_t copy = store_add(&other, key_of(i), 1);
        cr_assert(profile_decode(&other, copy, bytes));
        uint64_t before = seed;
        random_events(&s, row, 40);
        seed = before;
        random_events(&other, copy, 40);
        cr_assert(slice_eq(encoded(&other, copy), encoded(&s, row)), "profile %u", i);
    }
    store_destroy(&other);
}

Test(profile, a_snapshot_restores_slots_links_window_and_hash)
{
    for (uint32_t i = 0; i < 200; i++) random_profile(&s, key_of(i));
    for (uint32_t i = 0; i < 200; i += 3) {
        row_t row;
        struct key target;
        if (store_find(&s, key_of(i), &row, &target) == FOUND_ROW) store_remove(&s, row);
        cr_assert(store_reserve(&s, 1, 0));
        store_link(&s, key_of(1000 + i), key_of(i + 1));
        window_seen(&s, rnd(), NOW, NOW + i);
    }
    struct buf rest = {0};
    store_encode_rest(&s, &rest);
    struct store other;
    cr_assert(store_create(&other, &schema));
    cr_assert(store_decode_rest(&other, buf_slice(&rest)));
    for (uint32_t slot = 0; slot < s.row_limit; slot++) {
        if (!(s.rows[slot].flags & ROW_USED)) continue;
        struct slice bytes = encoded(&s, (row_t){slot});
        cr_assert(store_reserve(&other, 1, bytes.n));
        row_t row = store_restore_row(&other, slot, s.rows[slot].key);
        cr_assert(!row_none(row) && profile_decode(&other, row, bytes));
    }
    cr_assert_eq(store_hash(&other), store_hash(&s));
    cr_assert(other.profiles == s.profiles && other.known == s.known && other.folded == s.folded);
    for (uint16_t g = 0; g < 50; g++) cr_assert_eq(member_count(&other, g), member_count(&s, g));
    struct buf again = {0};
    store_encode_rest(&other, &again);
    cr_assert(slice_eq(buf_slice(&rest), buf_slice(&again)));
    cr_assert(store_reserve(&s, 1, 0) && store_reserve(&other, 1, 0));
    cr_assert_eq(store_add(&other, key_of(77777), NOW).v, store_add(&s, key_of(77777), NOW).v,
                 "the same free slot");
    buf_free(&rest);
    buf_free(&again);
    store_destroy(&other);
}

Test(profile, the_hash_sees_content_not_slots)
{
    struct store other;
    cr_assert(store_create(&other, &schema));
    cr_assert(store_reserve(&s, 10, 100) && store_reserve(&other, 10, 100));
    row_t a = store_add(&s, key_of(1), NOW), b = store_add(&s, key_of(2), NOW);
    row_t d = store_add(&other, key_of(2), NOW), c = store_add(&other, key_of(1), NOW);
    attribute_set(&s, a, ATTR_CITY, TEXT("Moscow"), NOW, NULL);
    attribute_set(&s, b, ATTR_CITY, TEXT("Tver"), NOW, NULL);
    attribute_set(&other, d, ATTR_CITY, TEXT("Tver"), NOW, NULL);
    attribute_set(&other, c, ATTR_CITY, TEXT("Moscow"), NOW, NULL);
    cr_assert_eq(store_hash(&s), store_hash(&other));
    store_row(&s, a)->zone = 3;
    store_row(&s, a)->flags |= ROW_MERGING;
    cr_assert_eq(store_hash(&s), store_hash(&other), "neither zone index nor a pending merge");
    attribute_set(&other, c, ATTR_CITY, TEXT("Tver"), NOW, NULL);
    cr_assert_neq(store_hash(&s), store_hash(&other));
    store_destroy(&other);
}

Test(profile, damaged_bytes_are_refused_or_decoded_but_never_crash)
{
    uint32_t refused = 0, tried = 0;
    for (uint32_t i = 0; i < 40; i++) {
        row_t row = random_profile(&s, key_of(i));
        struct slice bytes = encoded(&s, row);
        for (uint32_t cut = 0; cut < bytes.n; cut += 1 + below(20)) {
            uint8_t *broken =
                (uint8_t *)malloc(cut ? cut : 1); /* exactly as long, so that reading beyond shows */
            memcpy(broken, bytes.p, cut);
            cr_assert(store_reserve(&s, 1, bytes.n));
            row_t copy = store_add(&s, key_of(5000), NOW);
            if (cut >= 17)
                memcpy(broken + 1, &(struct key){store_row(&s, copy)->key.hi, store_row(&s, copy)->key.lo},
                       16);
            cr_assert_not(profile_decode(&s, copy, slice_of(broken, cut)), "a part is not a profile");
            store_remove(&s, copy);
            free(broken);
        }
        for (uint32_t flip = 0; flip < 60; flip++) {
            uint8_t *broken = (uint8_t *)malloc(bytes.n);
            memcpy(broken, bytes.p, bytes.n);
            for (uint32_t k = 1 + below(3); k; k--) broken[17 + below(bytes.n - 17)] = (uint8_t)rnd();
            cr_assert(store_reserve(&s, 2, bytes.n));
            row_t copy = store_add(&s, key_of(5000), NOW);
            refused += !profile_merge(&s, copy, slice_of(broken, bytes.n));
            tried++;
            store_remove(&s, copy);
            free(broken);
        }
    }
    fprintf(stderr, "%u of %u damaged profiles were refused\n", refused, tried);
    cr_assert(refused > tried / 4);
}

/* ---- merge ----------------------------------------------------------------------------------------- */

struct totals {
    uint64_t count;
    uint32_t first, last;
};
static struct totals totals_of(row_t row, uint16_t type)
{
    struct history_view h;
    if (!behaviour_view(&s, row, type, &h)) return (struct totals){.first = UINT32_MAX};
    uint64_t held = h.n;
    for (uint32_t i = 0; i < h.day_count; i++) held += h.days[i].count;
    cr_assert_leq(held, h.count);
    for (uint32_t i = 1; i < h.n; i++) cr_assert_leq(history_time(&h, i - 1), history_time(&h, i));
    return (struct totals){h.count, h.first, h.last};
}

Test(profile, a_merge_loses_nothing_and_sorts)
{
    static const uint16_t types[] = {TYPE_PAGE, TYPE_ORDER, TYPE_VIEW, TYPE_UNDECLARED_BASE + 3};
    for (uint32_t i = 0; i < 200; i++) {
        row_t a = random_profile(&s, key_of(2 * i)), b = random_profile(&s, key_of(2 * i + 1));
        struct totals ta[4], tb[4];
        for (uint32_t k = 0; k < 4; k++) ta[k] = totals_of(a, types[k]), tb[k] = totals_of(b, types[k]);
        uint32_t seen = store_row(&s, a)->first_seen, theirs = store_row(&s, b)->first_seen;
        struct value av[ATTR_COUNT];
        for (uint16_t k = 0; k < ATTR_COUNT; k++)
            av[k] = attribute_get(&s, attribute_time(&s, a, k) >= attribute_time(&s, b, k) ? a : b, k);
        struct slice half = encoded(&s, b);
        cr_assert(store_reserve(&s, 1, half.n));
        cr_assert(profile_merge(&s, a, half));
        for (uint32_t k = 0; k < 4; k++) {
            struct totals t = totals_of(a, types[k]);
            cr_assert_eq(t.count, ta[k].count + tb[k].count);
            cr_assert_eq(t.first, ta[k].first < tb[k].first ? ta[k].first : tb[k].first);
            cr_assert_eq(t.last, ta[k].last > tb[k].last ? ta[k].last : tb[k].last);
        }
        for (uint16_t k = 0; k < ATTR_FIRST; k++) cr_assert(value_same(attribute_get(&s, a, k), av[k]));
        cr_assert_eq(store_row(&s, a)->first_seen, seen < theirs ? seen : theirs);
    }
}

Test(profile, journeys_and_consent_of_two_halves_join)
{
    cr_assert(store_reserve(&s, 4, 4000));
    row_t a = store_add(&s, key_of(1), NOW), b = store_add(&s, key_of(2), NOW);
    struct instance ours = {.journey = 1, .bytes = sizeof ours, .step = 1};
    struct instance theirs[3] = {{.journey = 2, .bytes = sizeof ours},
                                 {.journey = 1, .bytes = sizeof ours, .step = 9},
                                 {.journey = 2, .bytes = sizeof ours, .step = 3}};
    memcpy(store_block_resize(&s, a, BLOCK_JOURNEYS, sizeof ours), &ours, sizeof ours);
    memcpy(store_block_resize(&s, b, BLOCK_JOURNEYS, sizeof theirs), theirs, sizeof theirs);
    struct consent granted = {.channel = 1, .state = CONSENT_GRANTED, .at = NOW},
                   denied = {.channel = 1, .state = CONSENT_DENIED, .at = NOW};
    memcpy(store_block_resize(&s, a, BLOCK_CONSENT, sizeof granted), &granted, sizeof granted);
    memcpy(store_block_resize(&s, b, BLOCK_CONSENT, sizeof denied), &denied, sizeof denied);
    cr_assert(profile_merge(&s, a, encoded(&s, b)));
    uint32_t bytes;
    const struct instance *list =
        (const struct instance *)(const void *)store_block(&s, a, BLOCK_JOURNEYS, &bytes);
    cr_assert_eq(bytes, 3 * sizeof ours);
    cr_assert(list[0].journey == 1 && list[0].step == 1 && list[1].journey == 2 && list[2].journey == 2 &&
              list[2].step == 3);
    const struct consent *c = (const struct consent *)(const void *)store_block(&s, a, BLOCK_CONSENT, &bytes);
    cr_assert(bytes == sizeof *c && c->state == CONSENT_DENIED, "a withdrawal in the same second stays");
}

/* ---- pre-images ------------------------------------------------------------------------------------- */

static uint32_t images;
static void count_image(void *self, row_t row) { images++; }

Test(profile, a_row_shows_itself_once_before_its_first_change)
{
    row_t row = random_profile(&s, key_of(1));
    s.before_change = count_image;
    s.epoch++;
    cr_assert(store_reserve(&s, 3, 100));
    store_touch(&s, row);
    cr_assert_eq(images, 1);
    attribute_set(&s, row, ATTR_CITY, TEXT("x"), NOW + 5, NULL);
    behaviour_add(&s, row, TYPE_PAGE, NOW, NOW, NULL, NOW, NULL);
    cr_assert_eq(images, 1);
    s.epoch++;
    member_set(&s, row, 999, true, NOW);
    cr_assert_eq(images, 2, "every change asks, also without a touch before");
    store_add(&s, key_of(2), NOW);
    cr_assert_eq(images, 2, "who was not there has nothing to show");
}
