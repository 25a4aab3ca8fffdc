/* What a person did: counts, histories, folding, keep and de-duplication, each beside a plain list of everything. */
#include "tests/unit/store_fixture.h"

static struct schema schema;
static struct store s;
static row_t row;
static void open_store(void)
{
    schema = fixture_schema();
    cr_assert(store_create(&s, &schema));
    cr_assert(store_reserve(&s, 1, 0));
    row = store_add(&s, key_of(1), NOW);
}
static void close_store(void)
{
    store_remove(&s, row);
    cr_assert_eq(s.heap.bytes_used, 0, "everything was given back");
    cr_assert_eq(s.folded, 0);
    store_destroy(&s);
}
TestSuite(behaviour, .init = open_store, .fini = close_store);

static struct behaviour_change add(uint16_t type, uint32_t at, uint32_t own_s, uint64_t hash,
                                   struct value *props, uint32_t now)
{
    struct event e = {.type = type, .message_hash = hash, .props = props};
    struct behaviour_change change;
    cr_assert(store_reserve(&s, 1, 400));
    behaviour_add(&s, row, type, at, own_s, &e, now, &change);
    return change;
}

/* ---- the model -------------------------------------------------------------------------------- */

struct entry {
    uint32_t at, own_s, hash;
    struct value props[ORDER_PROPS];
};
static struct {
    struct entry list[5000]; /* kept, in order */
    uint32_t n, count, first, last, newest, lost;
    struct {
        uint64_t count;
        int64_t sums[2];
    } days[80];
} m;
enum { FIRST_DAY = NOW / DAY - 60 };

static void model_lose(const struct entry *e, bool folds)
{
    if (e->own_s > m.lost) m.lost = e->own_s;
    if (!folds) return;
    uint32_t day = e->at / DAY - FIRST_DAY;
    m.days[day].count++;
    if (e->props[0].kind == V_DOUBLE) m.days[day].sums[0] += value_micros(e->props[0]);
    if (e->props[2].kind == V_DOUBLE) m.days[day].sums[1] += value_micros(e->props[2]);
}

static void model_remove_first(bool folds)
{
    model_lose(&m.list[0], folds);
    memmove(m.list, m.list + 1, --m.n * sizeof *m.list);
}

static void model_add(const struct entry *e, uint32_t cap, uint32_t keep, uint32_t now)
{
    while (keep && m.n && m.list[0].at < now - keep) model_remove_first(false);
    for (uint32_t day = 0; keep && day < (now - keep) / DAY - FIRST_DAY; day++)
        memset(&m.days[day], 0, sizeof m.days[day]);
    if (keep && e->at < now - keep) {
        model_lose(e, false);
    } else {
        uint32_t at = m.n++;
        for (; at && m.list[at - 1].at > e->at; at--) m.list[at] = m.list[at - 1];
        m.list[at] = *e;
        if (m.n > cap) model_remove_first(true);
    }
    m.first = !m.count || e->at < m.first ? e->at : m.first;
    m.last = e->at > m.last ? e->at : m.last;
    m.newest = e->own_s > m.newest ? e->own_s : m.newest;
    m.count++;
}

static enum seen model_seen(uint32_t own_s, uint32_t hash)
{
    if (own_s > m.newest) return SEEN_NEW;
    for (uint32_t i = 0; i < m.n; i++)
        if (m.list[i].own_s == own_s && m.list[i].hash == hash) return SEEN_DUPLICATE;
    return own_s <= m.lost ? SEEN_UNKNOWABLE : SEEN_NEW;
}

static void check_days(const struct history_view *h)
{
    uint32_t i = 0;
    for (uint32_t day = 0; day < 80; day++) {
        uint64_t count = 0;
        int64_t sums[2] = {0};
        for (; i < h->day_count && h->days[i].day == FIRST_DAY + day; i++) {
            count += h->days[i].count;
            const int64_t *part = h->days[i].sums ? heap_at(h->heap, h->days[i].sums) : NULL;
            for (uint32_t k = 0; part && k < h->day_sums; k++) sums[k] += part[k];
        }
        cr_assert_eq(count, m.days[day].count);
        cr_assert(sums[0] == m.days[day].sums[0] && sums[1] == m.days[day].sums[1]);
    }
    cr_assert_eq(i, h->day_count, "no other day");
}

static void check_view(uint16_t type)
{
    struct history_view h;
    cr_assert(behaviour_view(&s, row, type, &h));
    cr_assert(h.count == m.count && h.first == m.first && h.last == m.last);
    cr_assert_eq(h.n, m.n);
    for (uint32_t i = 0; i < h.n; i++) {
        cr_assert_eq(history_time(&h, i), m.list[i].at);
        cr_assert_eq(h.hashes[(h.head + i) & h.mask], m.list[i].hash);
        for (uint32_t k = 0; type == TYPE_ORDER && k < ORDER_PROPS; k++)
            cr_assert(value_same(cell_value(history_cell_at(&h, i, k), order_props[k].type, h.heap),
                                 m.list[i].props[k]));
    }
    check_days(&h);
}

/* ---- random events ------------------------------------------------------------------------------ */

static struct slice some_text(void)
{
    static const char texts[][40] = {
        "", "a", "sixsix", "sevenxx", "a text that does not fit into a cell", "Москва"};
    return slice_str(texts[below(6)]);
}

static void random_props(struct value *props)
{
    memset(props, 0, ORDER_PROPS * sizeof *props);
    if (below(3)) props[0] = value_double(below(100000) / 100.0);
    if (below(2)) props[1] = value_string(some_text());
    if (below(4) == 0) props[2] = value_double(-0.5 * below(3));
    if (below(2)) props[3] = value_bool(below(2));
    if (below(4) == 0) props[4] = (struct value){.kind = V_RAW, .n = 3, .s = (const uint8_t *)"\x92\x01\x02"};
}

static void random_run(uint16_t type, uint32_t cap, uint32_t keep, uint32_t skewed_percent)
{
    memset(&m, 0, sizeof m);
    uint32_t now = NOW;
    for (uint32_t i = 0; i < 2000; i++) {
        struct entry e = {.at = now, .hash = below(50)};
        now += below(10) ? below(300) : below(20000);
        if (now > NOW + 15 * DAY) now = NOW + 15 * DAY;
        e.at = now - (below(4) ? 0 : below(5) ? below(5000) : below(50 * DAY));
        e.own_s = below(100) < skewed_percent ? e.at + below(2000) - 1000 : e.at;
        if (type == TYPE_ORDER) random_props(e.props);
        cr_assert_eq(behaviour_seen(&s, row, type, e.own_s, e.hash), model_seen(e.own_s, e.hash));
        if (model_seen(e.own_s, e.hash) != SEEN_NEW) continue;
        struct behaviour_change change =
            add(type, e.at, e.own_s, e.hash, type == TYPE_ORDER ? e.props : NULL, now);
        cr_assert(change.old_count == m.count && change.old_first == m.first && change.old_last == m.last);
        model_add(&e, cap, keep, now);
        cr_assert(change.new_count == m.count && change.new_first == m.first && change.new_last == m.last);
        if (i % 7 == 0) check_view(type);
    }
    check_view(type);
}

Test(behaviour, history_folding_keep_and_repeats_agree_with_a_list)
{
    fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
    random_run(TYPE_ORDER, CAP, KEEP_S, 0);
    store_remove(&s, row);
    row = store_add(&s, key_of(1), NOW);
    random_run(TYPE_ORDER, CAP, KEEP_S, 20);
    random_run(TYPE_VIEW, 1000, 0, 0);
    random_run(TYPE_PAGE, 4, 0, 5);
    random_run(TYPE_UNDECLARED_BASE + 7, HISTORY_CAP_PLAIN, 0, 0);
    uint16_t types[8];
    cr_assert_eq(behaviour_types(&s, row, types, 8), 4);
    cr_assert(types[0] == TYPE_PAGE && types[1] == TYPE_ORDER && types[2] == TYPE_VIEW &&
              types[3] == TYPE_UNDECLARED_BASE + 7);
}

Test(behaviour, a_new_event_costs_no_look_at_the_history_and_a_repeat_is_found)
{
    cr_assert_eq(behaviour_seen(&s, row, TYPE_VIEW, NOW, 1), SEEN_NEW);
    add(TYPE_VIEW, NOW, NOW, 1, NULL, NOW);
    cr_assert_eq(behaviour_seen(&s, row, TYPE_VIEW, NOW, 1), SEEN_DUPLICATE);
    cr_assert_eq(behaviour_seen(&s, row, TYPE_VIEW, NOW, 2), SEEN_NEW, "another message of the same second");
    cr_assert_eq(behaviour_seen(&s, row, TYPE_VIEW, NOW - 5, 1), SEEN_NEW, "nothing was lost yet");
}

Test(behaviour, a_clamped_message_is_recognised_by_its_own_time)
{
    uint32_t ahead = NOW + DAY;
    add(TYPE_VIEW, NOW, ahead, 1, NULL, NOW); /* windows see it now, it says tomorrow */
    cr_assert_eq(behaviour_seen(&s, row, TYPE_VIEW, ahead, 1), SEEN_DUPLICATE);
    cr_assert_eq(behaviour_seen(&s, row, TYPE_VIEW, NOW, 1), SEEN_NEW);
    add(TYPE_VIEW, NOW + 5, NOW + 5, 2, NULL, NOW + 5);
    cr_assert_eq(behaviour_seen(&s, row, TYPE_VIEW, NOW + 5, 2), SEEN_DUPLICATE);
}

Test(behaviour, older_than_history_reaches_is_unknowable)
{
    for (uint32_t i = 0; i < 6; i++)
        add(TYPE_PAGE, NOW + 10 * i, NOW + 10 * i, i, NULL, NOW + 60); /* cap 4 */
    cr_assert_eq(behaviour_seen(&s, row, TYPE_PAGE, NOW + 10, 1), SEEN_UNKNOWABLE, "folded");
    cr_assert_eq(behaviour_seen(&s, row, TYPE_PAGE, NOW + 9, 77), SEEN_UNKNOWABLE);
    cr_assert_eq(behaviour_seen(&s, row, TYPE_PAGE, NOW + 11, 77), SEEN_NEW,
                 "between what is lost and what is kept");
    cr_assert_eq(behaviour_seen(&s, row, TYPE_PAGE, NOW + 20, 2), SEEN_DUPLICATE);
    cr_assert_eq(s.folded, 1);
}

Test(behaviour, more_than_a_bucket_of_events_in_one_day)
{
    for (uint32_t i = 0; i < 70000; i++) add(TYPE_PAGE, NOW, NOW, i, NULL, NOW);
    struct history_view h;
    cr_assert(behaviour_view(&s, row, TYPE_PAGE, &h));
    uint64_t folded = 0;
    for (uint32_t i = 0; i < h.day_count; i++) folded += h.days[i].count;
    cr_assert_eq(folded, 70000 - 4);
    cr_assert_eq(h.count, 70000);
}

/* ---- definitions change --------------------------------------------------------------------------- */

Test(behaviour, a_property_added_later_widens_entries_and_days)
{
    uint16_t all = events[TYPE_ORDER].prop_count;
    struct value props[ORDER_PROPS] = {value_double(1), TEXT("a long enough text"), value_double(5)};
    events[TYPE_ORDER].prop_count = 2; /* one number, one text */
    store_set_schema(&s, &schema);
    for (uint32_t i = 0; i < CAP + 3; i++) add(TYPE_ORDER, NOW + i, NOW + i, i, props, NOW + i);
    events[TYPE_ORDER].prop_count = all;
    store_set_schema(&s, &schema);
    for (uint32_t i = CAP + 3; i < 2 * CAP; i++) add(TYPE_ORDER, NOW + i, NOW + i, i, props, NOW + i);

    struct history_view h;
    cr_assert(behaviour_view(&s, row, TYPE_ORDER, &h));
    cr_assert_eq(h.n, CAP);
    for (uint32_t i = 0; i < CAP; i++) {
        bool late = history_time(&h, i) >= NOW + CAP + 3;
        cr_assert_eq(cell_value(history_cell_at(&h, i, 1), T_STRING, h.heap).n, 18);
        cr_assert_eq(cell_value(history_cell_at(&h, i, 2), T_NUMBER, h.heap).kind, late ? V_DOUBLE : V_NONE);
    }
    for (uint32_t i = 2 * CAP; i < 3 * CAP; i++) add(TYPE_ORDER, NOW + i, NOW + i, i, props, NOW + i);
    cr_assert(behaviour_view(&s, row, TYPE_ORDER, &h));
    cr_assert_eq(h.day_sums, 2);
    const int64_t *sums = heap_at(h.heap, h.days[0].sums);
    cr_assert_eq(sums[0], 2 * CAP * 1000000ll);
    cr_assert_eq(sums[1], (CAP - 3) * 5 * 1000000ll);
}

Test(behaviour, a_lowered_cap_folds_with_the_next_event)
{
    for (uint32_t i = 0; i < 100; i++) add(TYPE_VIEW, NOW + i, NOW + i, i, NULL, NOW + i);
    events[TYPE_VIEW].cap = 10;
    add(TYPE_VIEW, NOW + 100, NOW + 100, 100, NULL, NOW + 100);
    struct history_view h;
    cr_assert(behaviour_view(&s, row, TYPE_VIEW, &h));
    cr_assert_eq(h.n, 10);
    cr_assert_eq(history_time(&h, 0), NOW + 91);
    cr_assert_eq(h.days[0].count, 91);
    events[TYPE_VIEW].cap = 1000;
}
