/* One message from a stranger: what it means, what real SDKs may write, and every way to be refused. */
#include "core/base/limits.h"
#include "core/model/event.h"
#include "tests/unit/mp_text.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { ORDER = TYPE_DECLARED_BASE, VIEW, EVENTS };
enum { EMAIL, CITY, AGE, BORN, TAGS, PHONE, TIMEZONE, LANGUAGE, ATTRIBUTES };
enum { TOTAL, ORDER_ID, PRODUCTS, PAID_AT, GIFT, SOURCE, OLD_TOTAL, LOOSE, ORDER_PROPS };

#define PROP(text, t) .name = {(const uint8_t *)text, sizeof text - 1}, .type = t, .live = true
static struct schema_prop order_props[ORDER_PROPS] = {
    [TOTAL] = {PROP("total", T_NUMBER)},
    [ORDER_ID] = {PROP("order_id", T_STRING)},
    [PRODUCTS] = {PROP("products", T_RAW)},
    [PAID_AT] = {PROP("paid_at", T_TIME)},
    [GIFT] = {PROP("gift", T_BOOL)},
    [SOURCE] = {PROP("source", T_STRING), .from = {(const uint8_t *)"campaign.source", 15}},
    [OLD_TOTAL] = {.name = {(const uint8_t *)"total", 5}, .type = T_STRING},
    [LOOSE] = {PROP("a_property_with_a_long_name", T_NUMBER), .coerce = true},
};
static struct slice city_pairs[1][2];
static struct schema_event events[EVENTS];
static struct schema_attribute attributes[ATTRIBUTES] = {
    [EMAIL] = {PROP("email", T_STRING), .id = EMAIL, .identifies = true},
    [CITY] = {PROP("city", T_STRING), .id = CITY, .normalize = city_pairs, .normalize_count = 1},
    [AGE] = {PROP("age", T_NUMBER), .id = AGE},
    [BORN] = {PROP("birthday", T_DATE), .id = BORN},
    [TAGS] = {PROP("interests", T_STRINGS), .id = TAGS},
    [PHONE] = {PROP("phone", T_STRING), .id = PHONE, .identifies = true},
    [TIMEZONE] = {PROP("timezone", T_STRING), .id = TIMEZONE},
    [LANGUAGE] = {PROP("language", T_STRING), .id = LANGUAGE},
};
static struct schema schema;
static struct hash_secret secret;
static struct arena arena, scratch;

static void setup(void)
{
    schema_predeclare(events);
    events[ORDER] = (struct schema_event){.name = SLICE("Order Completed"),
                                          .id = ORDER,
                                          .props = order_props,
                                          .prop_count = ORDER_PROPS,
                                          .live = true};
    events[VIEW] = (struct schema_event){.name = SLICE("Product Viewed"), .id = VIEW, .live = true};
    city_pairs[0][0] = SLICE("Moscow");
    city_pairs[0][1] = SLICE("Москва");
    schema = (struct schema){
        .events = events, .event_count = EVENTS, .attributes = attributes, .attribute_count = ATTRIBUTES};
    struct schema_name also = {.name = SLICE("purchase"), .id = ORDER, .kind = NAME_EVENT};
    arena_init(&arena);
    schema_index(&schema, &also, 1, &arena);
    hash_secret_from_seed(&secret, SLICE("test"));
    arena_init_fixed(&scratch, EVENT_SCRATCH_BYTES_MAX);
}
static void teardown(void)
{
    arena_free(&arena);
    arena_free(&scratch);
}
TestSuite(event, .init = setup, .fini = teardown);
TestSuite(reject, .init = setup, .fini = teardown);

static struct event e;
static struct event_shape shape; /* of all messages of a test: most find what another one left there */

/* Made at the same place: slices may be compared by their addresses. */
#define SAME(field)   cr_assert(a->field == b->field)
#define SAME_S(field) cr_assert(a->field.p == b->field.p && a->field.n == b->field.n)
static void same_event(const struct event *a, const struct event *b)
{
    SAME_S(raw);
    SAME_S(user_id);
    SAME_S(anonymous_id);
    SAME_S(previous_id);
    SAME_S(message_id);
    SAME_S(name);
    SAME_S(key_text);
    SAME_S(properties);
    SAME_S(context);
    SAME_S(traits_raw);
    SAME(call);
    SAME(key_kind);
    SAME(has_own_time);
    SAME(context_inactive);
    SAME(type);
    SAME(key_attribute);
    SAME(own_ms);
    SAME(sent_ms);
    SAME(message_hash);
    SAME(props);
    SAME(traits);
    SAME(trait_count);
    SAME(dropped_props);
    cr_assert(key_eq(a->key, b->key) && key_eq(a->anonymous_key, b->anonymous_key));
    cr_assert(value_same(a->consent, b->consent));
}

/* With something else behind it, and with what earlier messages taught, a message reads as it does alone. Decoded twice
 * at the same place, all that was made of it has the same bytes. */
static void parses_alike(struct slice raw, int64_t entry_ms)
{
    struct event alone, front;
    static uint8_t made[EVENT_SCRATCH_BYTES_MAX];
    enum { BEHIND_MAX = 80 }; /* the ways for what is usual need some bytes behind a value */
    uint8_t *copy = malloc(raw.n + BEHIND_MAX);
    if (raw.n) memcpy(copy, raw.p, raw.n);
    for (uint32_t behind = 0; behind <= BEHIND_MAX; behind += 20) {
        memset(copy + raw.n, 0xc1, BEHIND_MAX);
        arena_reset(&scratch);
        uint8_t *first = arena_alloc(&scratch, 0);
        enum reject why = event_parse(&schema, &secret, slice_of(copy, raw.n), entry_ms, &scratch, &alone);
        size_t n = (size_t)(scratch.at - first);
        if (n) memcpy(made, first, n);
        arena_reset(&scratch);
        enum reject other = event_parse_front(&schema, &secret, &shape, slice_of(copy, raw.n + behind),
                                              entry_ms, &scratch, &front);
        if (why != REJECT_NONE && other == REJECT_NONE) {
            cr_assert_neq(front.raw.n, raw.n); /* it ended earlier, or what stands behind completed it */
            continue;
        }
        cr_assert_eq(!why, !other, "%s, not %s", reject_text(other), reject_text(why));
        if (why != REJECT_NONE) continue;
        same_event(&alone, &front);
        cr_assert(n == (size_t)(scratch.at - first) && (n == 0 || memcmp(made, first, n) == 0));
    }
    free(copy);
}

static enum reject parse_bytes(struct slice raw, int64_t entry_ms)
{
    if (raw.n <= EVENT_BYTES_MAX) parses_alike(raw, entry_ms);
    arena_reset(&scratch);
    return event_parse(&schema, &secret, raw, entry_ms, &scratch, &e);
}
static enum reject parse(const char *text) { return parse_bytes(mp_text(text), 1700000000000); }

#define ACCEPTS(text)      cr_assert_eq(parse(text), REJECT_NONE, "%s: %s", text, reject_text(parse(text)))
#define REFUSES(text, why) cr_assert_eq(parse(text), REJECT_##why, "%s: %s", text, reject_text(parse(text)))
#define IS(slice, literal)                                                                                   \
    cr_assert(slice_is(slice, literal), "%.*s", (int)(slice).n, (const char *)(slice).p)

static struct value read_raw(const char *text)
{
    struct mp m = mp_of(mp_text(text));
    return value_read(&m);
}

static struct value trait(uint16_t attribute)
{
    for (uint32_t i = 0; i < e.trait_count; i++)
        if (e.traits[i].attribute == attribute) return e.traits[i].value;
    return value_none();
}

/* ---- meaning ---------------------------------------------------------------------------------- */

static const char ORDER_TEXT[] =
    "{'type': 'track', 'event': 'Order Completed', 'userId': 'u-1', 'anonymousId': 'a-1', 'messageId': 'm-1',"
    " 'timestamp': '2026-03-01T10:00:00.123Z', 'sentAt': '2026-03-01T10:00:01Z', 'integrations': {'All': "
    "true},"
    " 'properties': {'total': 1990, 'order_id': 'o-77', 'products': [{'id': 1}], 'paid_at': 1772359200, "
    "'gift': true,"
    "  'other': [1, 2], 'a_property_with_a_long_name': '1 990,50'},"
    " 'context': {'campaign': {'source': 'vk'}, 'ip': '10.0.0.1', 'active': false}}";

static void is_the_order(void)
{
    cr_assert_eq(e.type, ORDER);
    cr_assert_eq(e.call, CALL_TRACK);
    IS(e.user_id, "u-1");
    IS(e.anonymous_id, "a-1");
    IS(e.message_id, "m-1");
    IS(e.name, "Order Completed");
    IS(e.key_text, "u-1");
    cr_assert_eq(e.key_kind, ID_USER);
    cr_assert(key_eq(e.key, hash_id(&secret, ID_USER, SLICE("u-1"))));
    cr_assert(key_eq(e.anonymous_key, hash_id(&secret, ID_ANONYMOUS, SLICE("a-1"))));
    cr_assert(e.has_own_time && e.own_ms == 1772359200123 && e.sent_ms == 1772359201000);
    cr_assert(e.context_inactive);
    cr_assert(value_same(e.props[TOTAL], value_double(1990)));
    cr_assert(value_same(e.props[ORDER_ID], value_string(SLICE("o-77"))));
    cr_assert(e.props[PRODUCTS].kind == V_RAW &&
              slice_eq(value_text(e.props[PRODUCTS]), mp_text("[{'id': 1}]")));
    cr_assert(value_same(e.props[PAID_AT], value_time(1772359200)));
    cr_assert(value_same(e.props[GIFT], value_bool(true)));
    cr_assert(value_same(e.props[SOURCE], value_string(SLICE("vk"))), "from the context");
    cr_assert_eq(e.props[OLD_TOTAL].kind, V_NONE, "a property that is not live is not read");
    cr_assert(value_same(e.props[LOOSE], value_double(1990.5)));
    cr_assert_eq(e.dropped_props, 0);
}

Test(event, a_track_message_is_read_whole)
{
    ACCEPTS(ORDER_TEXT);
    is_the_order();
    cr_assert(value_same(event_property(&e, SLICE("other")), read_raw("[1, 2]")));
    cr_assert_eq(event_property(&e, SLICE("nothing")).kind, V_NONE);
    cr_assert(value_same(event_context(&e, SLICE("ip")), value_string(SLICE("10.0.0.1"))));
    cr_assert(value_same(event_context(&e, SLICE("campaign.source")), value_string(SLICE("vk"))));
    cr_assert_eq(event_context(&e, SLICE("campaign.medium")).kind, V_NONE);
    cr_assert_eq(event_context(&e, SLICE("ip.deeper")).kind, V_NONE);
    cr_assert_eq(event_context(&e, SLICE("")).kind, V_NONE);
}

/* The pairs of a map in any other order. */
static struct slice shuffled(struct slice map, uint64_t seed)
{
    struct mp m = mp_of(map);
    struct slice pair[64];
    struct buf out = {0};
    uint32_t n = mp_map(&m);
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *from = m.p;
        mp_skip(&m);
        mp_skip(&m);
        pair[i] = slice_of(from, (size_t)(m.p - from));
    }
    buf_reserve(&out, 8);
    out.n = (size_t)(mpw_map(out.p, n) - out.p);
    for (; n > 0; n--) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        uint32_t pick = (uint32_t)(seed >> 33) % n;
        buf_put_slice(&out, pair[pick]);
        pair[pick] = pair[n - 1];
    }
    return mp_text_keep(&out);
}

Test(event, the_order_of_keys_does_not_matter)
{
    struct slice raw = mp_text(ORDER_TEXT);
    cr_assert_eq(parse_bytes(raw, 0), REJECT_NONE);
    uint64_t hash = e.message_hash;
    for (uint64_t seed = 1; seed < 500; seed++) {
        struct slice other = shuffled(raw, seed);
        cr_assert_eq(parse_bytes(other, 0), REJECT_NONE, "seed %d", (int)seed);
        is_the_order();
        cr_assert_eq(e.message_hash, hash);
    }
}

Test(event, a_record_cut_or_with_bytes_behind_it_is_malformed)
{
    struct slice raw = mp_text(ORDER_TEXT);
    for (uint32_t n = 0; n < raw.n; n++)
        cr_assert_eq(
            parse_bytes(mp_text_keep(&(struct buf){.p = memcpy(malloc(n + 1), raw.p, n), .n = n}), 0),
            n ? REJECT_MALFORMED : REJECT_NOT_A_MAP, "%u", n);
    struct buf longer = {0};
    buf_put_slice(&longer, raw);
    buf_put_u8(&longer, 0xc0);
    cr_assert_eq(parse_bytes(mp_text_keep(&longer), 0), REJECT_MALFORMED);
}

Test(event, calls_have_their_predeclared_types)
{
    static const char *const CALLS[] = {"page", "screen", "identify", "group", "alias"};
    for (uint16_t i = 0; i < 5; i++) {
        char text[100];
        snprintf(text, sizeof text, "{'type': '%s', 'userId': 'u', 'name': 'Home', 'properties': {'a': 1}}",
                 CALLS[i]);
        ACCEPTS(text);
        cr_assert_eq(e.type, TYPE_PAGE + i);
        cr_assert(slice_is(e.name, CALLS[i]));
        cr_assert_null(e.props);
    }
}

Test(event, outcomes_and_their_aliases_are_declared)
{
    static const struct {
        const char *name;
        uint16_t type;
    } ROWS[] = {{"Message Delivered", TYPE_DELIVERED}, {"Email Delivered", TYPE_DELIVERED},
                {"Email Opened", TYPE_OPENED},         {"Email Link Clicked", TYPE_CLICKED},
                {"Email Bounced", TYPE_BOUNCED},       {"Email Marked as Spam", TYPE_COMPLAINED},
                {"Unsubscribed", TYPE_UNSUBSCRIBED},   {"Message Replied", TYPE_REPLIED},
                {"Message Failed", TYPE_FAILED},       {"Message Shown", TYPE_SHOWN},
                {"Message Dismissed", TYPE_DISMISSED}, {"purchase", ORDER}};
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        char text[200];
        snprintf(
            text, sizeof text,
            "{'type': 'track', 'event': '%s', 'userId': 'u', 'properties': {'action_id': 'x', 'hard': true}}",
            ROWS[i].name);
        ACCEPTS(text);
        cr_assert_eq(e.type, ROWS[i].type, "%s", ROWS[i].name);
        if (ROWS[i].type == ORDER) continue;
        cr_assert(value_same(e.props[0], value_string(SLICE("x"))));
        cr_assert(value_same(e.props[3], value_bool(true)));
    }
}

Test(event, an_undeclared_name_is_told_and_a_strict_schema_refuses_it)
{
    ACCEPTS("{'type': 'track', 'event': 'Nobody Knows', 'userId': 'u', 'properties': {'total': 1}}");
    cr_assert_eq(e.type, ID_NONE);
    IS(e.name, "Nobody Knows");
    cr_assert_null(e.props);
    schema.strict = true;
    REFUSES("{'type': 'track', 'event': 'Nobody Knows', 'userId': 'u'}", UNDECLARED);
    ACCEPTS("{'type': 'track', 'event': 'Order Completed', 'userId': 'u'}");
    ACCEPTS("{'type': 'page', 'userId': 'u'}");
}

Test(event, snake_case_names_mean_the_same)
{
    ACCEPTS("{'type': 'identify', 'user_id': 'u', 'anonymous_id': 'a', 'message_id': 'm',"
            " 'original_timestamp': '2026-03-01T10:00:00Z', 'sent_at': 5}");
    IS(e.user_id, "u");
    IS(e.anonymous_id, "a");
    IS(e.message_id, "m");
    cr_assert_eq(e.own_ms, 1772359200000);
    cr_assert_eq(e.sent_ms, 5000);
    ACCEPTS("{'type': 'alias', 'user_id': 'u', 'previous_id': 'p'}");
    IS(e.anonymous_id, "p");
    REFUSES("{'type': 'identify', 'user_id': 'u', 'userId': 'u'}", MALFORMED);
}

Test(event, ids_may_be_integers_nil_or_empty)
{
    ACCEPTS("{'type': 'page', 'userId': 42, 'messageId': 7}");
    IS(e.user_id, "42");
    IS(e.message_id, "7");
    cr_assert(key_eq(e.key, hash_id(&secret, ID_USER, SLICE("42"))));
    ACCEPTS("{'type': 'page', 'userId': -9223372036854775808}");
    IS(e.user_id, "-9223372036854775808");
    ACCEPTS("{'type': 'page', 'userId': 18446744073709551615}");
    IS(e.user_id, "18446744073709551615");
    ACCEPTS("{'type': 'page', 'userId': null, 'anonymousId': 'a'}");
    cr_assert_eq(e.key_kind, ID_ANONYMOUS);
    cr_assert(key_eq(e.key, e.anonymous_key));
    ACCEPTS("{'type': 'page', 'userId': '', 'anonymousId': 'a'}");
    cr_assert_eq(e.key_kind, ID_ANONYMOUS);
}

Test(event, an_identifying_trait_alone_addresses_a_person)
{
    ACCEPTS("{'type': 'track', 'event': 'Product Viewed', 'context': {'traits': {'phone': '+79', 'email': "
            "'a@b.c'}}}");
    cr_assert_eq(e.key_kind, ID_TRAIT);
    cr_assert_eq(e.key_attribute, EMAIL, "the lowest attribute, whatever the order");
    IS(e.key_text, "a@b.c");
    cr_assert(key_eq(e.key, hash_id(&secret, ID_TRAIT + EMAIL, SLICE("a@b.c"))));
    ACCEPTS("{'type': 'identify', 'traits': {'phone': '+79'}}");
    cr_assert_eq(e.key_attribute, PHONE);
    ACCEPTS("{'type': 'identify', 'userId': 'u', 'traits': {'phone': '+79'}}");
    cr_assert_eq(e.key_kind, ID_USER);
    REFUSES("{'type': 'track', 'event': 'Product Viewed', 'traits': {'email': 'a@b.c'}}", NO_ID);
    REFUSES("{'type': 'identify', 'traits': {'city': 'x'}}", NO_ID);
    REFUSES("{'type': 'group', 'traits': {'email': 'office@b.c'}}", NO_ID);
}

Test(event, traits_become_attributes)
{
    ACCEPTS("{'type': 'identify', 'userId': 'u', 'traits': {'email': 'a@b.c', 'city': 'Moscow', 'age': 30, "
            "'birthday': '1987-03-14',"
            " 'interests': ['a', 'b'], 'phone': null, 'unknown': 1, 'consent': {'email': true}}}");
    cr_assert_eq(e.trait_count, 6);
    cr_assert(value_same(trait(EMAIL), value_string(SLICE("a@b.c"))));
    cr_assert(value_same(trait(CITY), value_string(SLICE("Москва"))), "normalized");
    cr_assert(value_same(trait(AGE), value_double(30)));
    cr_assert(value_same(trait(BORN), value_time(542678400)));
    cr_assert_eq(trait(TAGS).kind, V_RAW);
    cr_assert_eq(trait(PHONE).kind, V_NULL, "nil removes");
    cr_assert(slice_eq(value_text(e.consent), mp_text("{'email': true}")));
    cr_assert_eq(e.dropped_props, 0);
}

Test(event, traits_copied_into_the_context_count_once)
{
    ACCEPTS("{'type': 'identify', 'userId': 'u', 'context': {'traits': {'city': 'b', 'age': 3}, 'timezone': "
            "'Europe/Moscow',"
            " 'locale': 'ru-RU'}, 'traits': {'city': 'a', 'language': 'de'}}");
    cr_assert_eq(e.trait_count, 4);
    cr_assert(value_same(trait(CITY), value_string(SLICE("a"))), "the message's own traits stand");
    cr_assert(value_same(trait(AGE), value_double(3)));
    cr_assert(value_same(trait(TIMEZONE), value_string(SLICE("Europe/Moscow"))));
    cr_assert(value_same(trait(LANGUAGE), value_string(SLICE("de"))));
    ACCEPTS("{'type': 'page', 'userId': 'u', 'context': {'locale': 'ru-RU'}}");
    cr_assert(e.trait_count == 1 && value_same(trait(LANGUAGE), value_string(SLICE("ru-RU"))));
}

Test(event, a_groups_address_is_not_the_persons)
{
    ACCEPTS(
        "{'type': 'group', 'userId': 'u', 'groupId': 'g', 'traits': {'email': 'office@b.c', 'city': 'x'}}");
    cr_assert_eq(e.trait_count, 1);
    cr_assert_eq(trait(EMAIL).kind, V_NONE);
}

Test(event, a_wrong_type_is_dropped_and_counted_and_the_rest_stands)
{
    ACCEPTS("{'type': 'track', 'event': 'Order Completed', 'userId': 'u', 'properties':"
            " {'total': '12', 'order_id': 7, 'gift': 1, 'paid_at': 'x', 'products': 3, "
            "'a_property_with_a_long_name': 5}}");
    cr_assert_eq(e.dropped_props, 5);
    for (int i = 0; i < LOOSE; i++) cr_assert_eq(e.props[i].kind, V_NONE);
    cr_assert(value_same(e.props[LOOSE], value_double(5)));
    ACCEPTS("{'type': 'identify', 'userId': 'u', 'traits': {'age': 'x', 'city': 'y', 'consent': 'yes'}}");
    cr_assert_eq(e.dropped_props, 2);
    cr_assert_eq(e.trait_count, 1);
    ACCEPTS(
        "{'type': 'track', 'event': 'Order Completed', 'userId': 'u', 'properties': {'total': <d4 05 00>}}");
    cr_assert_eq(e.dropped_props, 1, "an extension nobody knows");
}

Test(event, nil_and_empty_maps_are_absent)
{
    ACCEPTS("{'type': 'track', 'event': 'Order Completed', 'userId': 'u', 'properties': {'total': null}}");
    cr_assert(e.props[TOTAL].kind == V_NONE && e.dropped_props == 0);
    static const char *const EMPTY[] = {"null", "[]", "{}", "<dc 00 00>"};
    for (size_t i = 0; i < sizeof EMPTY / sizeof *EMPTY; i++) {
        char text[200];
        snprintf(text, sizeof text,
                 "{'properties': %s, 'type': 'identify', 'userId': 'u', 'traits': %s, 'context': %s}",
                 EMPTY[i], EMPTY[i], EMPTY[i]);
        ACCEPTS(text);
        cr_assert_eq(event_property(&e, SLICE("a")).kind, V_NONE);
        cr_assert_eq(event_context(&e, SLICE("a")).kind, V_NONE);
    }
}

/* ---- time, hash ----------------------------------------------------------------------------------- */

static void has_time(const char *fields, bool own, int64_t ms, int64_t entry_ms)
{
    char text[300];
    snprintf(text, sizeof text, "{'type': 'page', 'userId': 'u'%s}", fields);
    cr_assert_eq(parse_bytes(mp_text(text), entry_ms), REJECT_NONE, "%s", fields);
    cr_assert_eq(e.has_own_time, own, "%s", fields);
    cr_assert_eq(e.own_ms, ms, "%s: %lld", fields, (long long)e.own_ms);
}

Test(event, its_own_time_is_timestamp_then_original_timestamp_then_the_entry)
{
    has_time("", true, 1700000000000, 1700000000000);
    has_time("", false, 0, 0);
    has_time(", 'timestamp': '2026-03-01T10:00:00.123Z', 'originalTimestamp': 5", true, 1772359200123, 17);
    has_time(", 'originalTimestamp': '2026-03-01T10:00:00Z'", true, 1772359200000, 17);
    has_time(", 'timestamp': 1772359200", true, 1772359200000, 0);
    has_time(", 'timestamp': 1772359200123", true, 1772359200123, 0);
    has_time(", 'timestamp': 1772359200.123", true, 1772359200123, 0);
    has_time(", 'timestamp': 1772359200123.0", true, 1772359200123, 0);
    has_time(", 'timestamp': <d7 00 69 57 35 a5 28 69 75 80>", true, 1767323045678, 0);
    has_time(", 'timestamp': <d6 ff 69 57 35 a5>", true, 1767323045000, 0);
    has_time(", 'timestamp': null", true, 17, 17);
    has_time(", 'timestamp': 0", true, 17, 17);
    has_time(", 'timestamp': 0", false, 0, 0);
    has_time(", 'timestamp': '2026-03-01T10:00:00Z', 'originalTimestamp': 'nonsense'", true, 1772359200000,
             17);
}

static uint64_t hash_of(const char *text, int64_t entry_ms)
{
    cr_assert_eq(parse_bytes(mp_text(text), entry_ms), REJECT_NONE, "%s", text);
    return e.message_hash;
}

Test(event, the_hash_is_of_the_message_id_or_of_what_makes_the_message_the_same)
{
    uint64_t id = hash_of("{'type': 'page', 'userId': 'u', 'messageId': 'm-1'}", 5);
    cr_assert_eq(
        id,
        hash_of("{'type': 'page', 'userId': 'u', 'messageId': 'm-1', 'sentAt': 7, 'properties': {'a': 1}}",
                9));
    cr_assert_neq(id, hash_of("{'type': 'page', 'userId': 'u', 'messageId': 'm-2'}", 5));
    uint64_t body = hash_of("{'type': 'track', 'event': 'X', 'userId': 'u', 'properties': {'a': 1}}", 5);
    cr_assert_eq(
        body,
        hash_of("{'type': 'track', 'event': 'X', 'userId': 'u', 'properties': {'a': 1}, 'sentAt': 9}", 5));
    static const char *const OTHERS[] = {
        "{'type': 'track', 'event': 'X', 'userId': 'v', 'properties': {'a': 1}}",
        "{'type': 'track', 'event': 'Y', 'userId': 'u', 'properties': {'a': 1}}",
        "{'type': 'track', 'event': 'X', 'userId': 'u', 'properties': {'a': 2}}",
        "{'type': 'track', 'event': 'X', 'anonymousId': 'u', 'properties': {'a': 1}}",
        "{'type': 'track', 'event': 'X', 'userId': 'u', 'context': {'a': 1}}",
        "{'type': 'track', 'event': 'X', 'userId': 'u', 'timestamp': 6, 'properties': {'a': 1}}"};
    for (size_t i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++)
        cr_assert_neq(body, hash_of(OTHERS[i], 5), "%s", OTHERS[i]);
    cr_assert_neq(body, hash_of("{'type': 'track', 'event': 'X', 'userId': 'u', 'properties': {'a': 1}}", 6));
}

/* ---- refusals --------------------------------------------------------------------------------------- */

#define PAGE(more)   "{'type': 'page', 'userId': 'u', " more "}"
#define TRACK(props) "{'type': 'track', 'event': 'Order Completed', 'userId': 'u', 'properties': " props "}"
#define LATE_TRACK(props)                                                                                    \
    "{'properties': " props ", 'type': 'track', 'event': 'Order Completed', 'userId': 'u'}"
#define IDENTIFY(traits) "{'type': 'identify', 'userId': 'u', 'traits': " traits "}"

Test(reject, what_is_no_map)
{
    REFUSES("null", NOT_A_MAP);
    REFUSES("[1]", NOT_A_MAP);
    REFUSES("'text'", NOT_A_MAP);
    REFUSES("7", NOT_A_MAP);
    REFUSES("<c1>", NOT_A_MAP);
}

Test(reject, the_envelope)
{
    REFUSES("{'userId': 'u'}", BAD_TYPE);
    REFUSES("{'type': 'nonsense', 'userId': 'u'}", BAD_TYPE);
    REFUSES("{'type': 7, 'userId': 'u'}", BAD_TYPE);
    REFUSES("{'type': null, 'userId': 'u'}", BAD_TYPE);
    REFUSES("{'type': 'track', 'userId': 'u'}", NO_EVENT);
    REFUSES("{'type': 'track', 'event': '', 'userId': 'u'}", NO_EVENT);
    REFUSES("{'type': 'track', 'event': null, 'userId': 'u'}", NO_EVENT);
    REFUSES("{'type': 'track', 'event': 7, 'userId': 'u'}", NO_EVENT);
    REFUSES("{'type': 'track', 'event': <a2 ff fe>, 'userId': 'u'}", BAD_UTF8);
    REFUSES("{'type': 'track', 'event': <a2 41 0a>, 'userId': 'u'}", MALFORMED);
    REFUSES(PAGE("'properties': 7"), MALFORMED);
    REFUSES(PAGE("'properties': [1]"), MALFORMED);
    REFUSES("{'properties': 'x', 'type': 'track', 'event': 'Order Completed', 'userId': 'u'}", MALFORMED);
    REFUSES(PAGE("'traits': 'x'"), MALFORMED);
    REFUSES(PAGE("'context': 'x'"), MALFORMED);
    REFUSES(PAGE("'context': {'traits': 7}"), MALFORMED);
    REFUSES(PAGE("'messageId': [1]"), MALFORMED);
    REFUSES(PAGE("'messageId': <a1 ff>"), BAD_UTF8);
}

Test(reject, identities)
{
    REFUSES("{'type': 'page'}", NO_ID);
    REFUSES("{'type': 'page', 'userId': null}", NO_ID);
    REFUSES("{'type': 'page', 'userId': ''}", BAD_ID);
    REFUSES("{'type': 'page', 'userId': '', 'anonymousId': ''}", BAD_ID);
    REFUSES("{'type': 'page', 'userId': true}", BAD_ID);
    REFUSES("{'type': 'page', 'userId': 1.5}", BAD_ID);
    REFUSES("{'type': 'page', 'userId': {'a': 1}}", BAD_ID);
    static const char *const FIELDS[] = {"userId", "anonymousId", "previousId"};
    static const char *const BAD[] = {"<a2 61 00>", "<a2 1b 5b>", "<a3 e2 80 ae>", "<a2 c2 85>",
                                      "<a2 ff fe>", "<a2 0a 61>", "<a1 7f>"};
    for (size_t f = 0; f < 3; f++) {
        for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
            char text[200];
            snprintf(text, sizeof text, "{'type': 'alias', '%s': %s}", FIELDS[f], BAD[i]);
            REFUSES(text, BAD_ID);
        }
    }
    REFUSES("{'type': 'identify', 'traits': {'email': <a2 61 00>}}", BAD_ID);
}

static void has_length_limit(const char *before, const char *after, uint32_t most, enum reject beyond)
{
    static char text[80000], body[70000];
    for (uint32_t n = most; n <= most + 1; n++) {
        memset(body, 'x', n);
        body[n] = 0;
        snprintf(text, sizeof text, "%s'%s'%s", before, body, after);
        cr_assert_eq(parse(text), n <= most ? REJECT_NONE : beyond, "%s %u: %s", before, n,
                     reject_text(parse(text)));
    }
}

Test(reject, what_is_too_long)
{
    has_length_limit("{'type': 'page', 'userId': ", "}", ID_BYTES_MAX, REJECT_BAD_ID);
    has_length_limit("{'type': 'page', 'anonymousId': ", "}", ID_BYTES_MAX, REJECT_BAD_ID);
    has_length_limit("{'type': 'page', 'userId': 'u', 'messageId': ", "}", MESSAGE_ID_BYTES_MAX,
                     REJECT_MALFORMED);
    has_length_limit("{'type': 'track', 'userId': 'u', 'event': ", "}", EVENT_NAME_BYTES_MAX,
                     REJECT_MALFORMED);
    has_length_limit("{'type': 'page', 'userId': 'u', ", ": 1}", KEY_BYTES_MAX, REJECT_MALFORMED);
    has_length_limit("{'type': 'page', 'userId': 'u', 'properties': {", ": 1}}", KEY_BYTES_MAX,
                     REJECT_MALFORMED);
    has_length_limit("{'type': 'page', 'userId': 'u', 'context': {", ": 1}}", KEY_BYTES_MAX,
                     REJECT_MALFORMED);
    has_length_limit("{'type': 'identify', 'traits': {'email': ", "}}", ID_BYTES_MAX, REJECT_BAD_ID);
    uint32_t around =
        mp_text("{'type': 'page', 'userId': 'u', 'x': ''}").n + 2; /* str16 has three bytes of head */
    has_length_limit("{'type': 'page', 'userId': 'u', 'x': ", "}", EVENT_BYTES_MAX - around,
                     REJECT_TOO_LARGE);
    static char identity[65 * 1024 + 100];
    memset(identity, 'x', sizeof identity);
    memcpy(identity, "{'type': 'page', 'userId': '", 28);
    memcpy(identity + sizeof identity - 3, "'}", 3);
    REFUSES(identity, TOO_LARGE);
}

Test(reject, too_many_keys)
{
    static char text[8000], keys[6000];
    for (uint32_t n = MAP_KEYS_MAX; n <= MAP_KEYS_MAX + 1; n++) {
        uint32_t at = 0;
        for (uint32_t i = 0; i < n; i++)
            at += (uint32_t)snprintf(keys + at, sizeof keys - at, "'key-%u': 1, ", i);
        enum reject why = n <= MAP_KEYS_MAX ? REJECT_NONE : REJECT_TOO_MANY_KEYS;
        static const char *const SHAPES[] = {PAGE("'properties': {%s}"), PAGE("'context': {%s}"),
                                             IDENTIFY("{%s}"), PAGE("'context': {'traits': {%s}}"),
                                             LATE_TRACK("{%s}")};
        for (size_t i = 0; i < sizeof SHAPES / sizeof *SHAPES; i++) {
            snprintf(text, sizeof text, SHAPES[i], keys);
            cr_assert_eq(parse(text), why, "%s", SHAPES[i]);
        }
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < MAP_KEYS_MAX - 1; i++)
        at += (uint32_t)snprintf(keys + at, sizeof keys - at, "'key-%u': 1, ", i);
    snprintf(text, sizeof text, "{%s 'type': 'page', 'userId': 'u'}", keys);
    REFUSES(text, TOO_MANY_KEYS);
}

Test(reject, duplicate_keys)
{
    static const char *const FIELDS[] = {"type",       "event",       "userId",    "anonymousId",
                                         "previousId", "messageId",   "timestamp", "originalTimestamp",
                                         "sentAt",     "properties",  "traits",    "context",
                                         "whatever",   "integrations"};
    for (size_t i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++) {
        char text[300];
        snprintf(text, sizeof text, "{'type': 'page', 'userId': 'u', '%s': null, '%s': null}", FIELDS[i],
                 FIELDS[i]);
        cr_assert_neq(parse(text), REJECT_NONE, "%s", text);
        if (i > 1) REFUSES(text, MALFORMED);
    }
    REFUSES(TRACK("{'total': 1, 'total': 2}"), MALFORMED);
    REFUSES(TRACK("{'total': null, 'total': 2}"), MALFORMED);
    REFUSES(TRACK("{'total': 'dropped', 'total': 2}"), MALFORMED);
    REFUSES(LATE_TRACK("{'total': 1, 'total': 1}"), MALFORMED);
    REFUSES(IDENTIFY("{'city': 'a', 'city': 'a'}"), MALFORMED);
    REFUSES(IDENTIFY("{'age': 'dropped', 'age': 3}"), MALFORMED);
    REFUSES(IDENTIFY("{'consent': {'a': 1}, 'consent': {'a': 1}}"), MALFORMED);
    REFUSES(PAGE("'context': {'traits': {'city': 'a', 'city': 'b'}}"), MALFORMED);
    REFUSES(PAGE("'context': {'locale': 'a', 'locale': 'b'}"), MALFORMED);
    ACCEPTS(TRACK("{'undeclared': 1, 'undeclared': 2}"));
}

Test(reject, keys_that_are_no_text)
{
    REFUSES("{'type': 'page', 'userId': 'u', 7: 1}", MALFORMED);
    REFUSES("{'type': 'page', 'userId': 'u', null: 1}", MALFORMED);
    REFUSES("{'type': 'page', 'userId': 'u', [1]: 1}", MALFORMED);
    REFUSES(TRACK("{7: 1}"), MALFORMED);
    REFUSES(IDENTIFY("{7: 1}"), MALFORMED);
    REFUSES(PAGE("'context': {7: 1}"), MALFORMED);
}

Test(reject, text_that_is_kept_and_is_not_utf8)
{
    REFUSES(TRACK("{'order_id': <a2 ff fe>}"), BAD_UTF8);
    REFUSES(LATE_TRACK("{'order_id': <a2 ff fe>}"), BAD_UTF8);
    REFUSES(TRACK("{'products': [{'id': <a2 ff fe>}]}"), BAD_UTF8);
    REFUSES(IDENTIFY("{'city': <a2 ff fe>}"), BAD_UTF8);
    REFUSES(IDENTIFY("{'interests': [<a2 ff fe>]}"), BAD_UTF8);
    REFUSES(IDENTIFY("{'consent': {'email': <a2 ff fe>}}"), BAD_UTF8);
    REFUSES(PAGE("'context': {'locale': <a2 ff fe>}"), BAD_UTF8);
    REFUSES("{'type': 'track', 'event': 'Order Completed', 'userId': 'u', 'context': {'campaign': {'source': "
            "<a1 ff>}}}",
            BAD_UTF8);
    ACCEPTS(TRACK("{'undeclared': <a2 ff fe>}"));
    cr_assert_eq(event_property(&e, SLICE("undeclared")).kind, V_NONE, "and is not handed out either");
}

Test(reject, numbers_that_are_none)
{
    static const char *const BAD[] = {"<cb 7f f8 00 00 00 00 00 00>", "<cb 7f f0 00 00 00 00 00 00>",
                                      "<cb ff f0 00 00 00 00 00 00>", "<ca 7f c0 00 00>", "<ca 7f 80 00 00>"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        char text[200];
        snprintf(text, sizeof text, TRACK("{'total': %s}"), BAD[i]);
        REFUSES(text, BAD_NUMBER);
        snprintf(text, sizeof text, TRACK("{'paid_at': %s}"), BAD[i]);
        REFUSES(text, BAD_NUMBER);
        snprintf(text, sizeof text, IDENTIFY("{'age': %s}"), BAD[i]);
        REFUSES(text, BAD_NUMBER);
        snprintf(text, sizeof text, PAGE("'timestamp': %s"), BAD[i]);
        REFUSES(text, BAD_TIME);
    }
    ACCEPTS(TRACK("{'total': <cb 80 00 00 00 00 00 00 00>}"));
    cr_assert_eq(e.props[TOTAL].d, 0, "minus zero is a number");
    ACCEPTS(TRACK("{'total': <cf ff ff ff ff ff ff ff ff>}"));
    cr_assert_eq(e.props[TOTAL].d, 0x1p64);
    ACCEPTS(TRACK("{'total': <d3 00 00 00 00 00 00 00 07>}"));
    cr_assert_eq(e.props[TOTAL].d, 7, "not minimal");
}

Test(reject, times_that_are_none)
{
    static const char *const BAD[] = {"'yesterday'",
                                      "''",
                                      "true",
                                      "{}",
                                      "[1]",
                                      "-5",
                                      "'1969-12-31'",
                                      "1e300",
                                      "<d4 00 00>",
                                      "<d4 05 01>",
                                      "<d7 00 69 57 35 a5 3b 9a ca 00>",
                                      "<c7 07 00 69 57 35 a5 28 69 75>",
                                      "18446744073709551615"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        char text[200];
        snprintf(text, sizeof text, PAGE("'timestamp': %s"), BAD[i]);
        REFUSES(text, BAD_TIME);
        snprintf(text, sizeof text, PAGE("'originalTimestamp': %s"), BAD[i]);
        REFUSES(text, BAD_TIME);
        snprintf(text, sizeof text, PAGE("'sentAt': %s"), BAD[i]);
        ACCEPTS(text);
        cr_assert_eq(e.sent_ms, 0);
    }
}

Test(reject, more_depth_than_32_wherever_it_is)
{
    static const char *const PLACES[] = {PAGE("'x': %s"),
                                         TRACK("{'products': %s}"),
                                         TRACK("{'other': %s}"),
                                         LATE_TRACK("{'products': %s}"),
                                         PAGE("'context': {'x': %s}"),
                                         IDENTIFY("{'x': %s}"),
                                         IDENTIFY("{'consent': %s}"),
                                         PAGE("'context': {'locale': %s}"),
                                         PAGE("'timestamp': %s"),
                                         PAGE("'messageId': %s")};
    static const int ALREADY[] = {1, 2, 2, 2, 2, 2, 2, 2, 1, 1};
    for (size_t i = 0; i < sizeof PLACES / sizeof *PLACES; i++) {
        for (int depth = MSGPACK_DEPTH_MAX; depth <= MSGPACK_DEPTH_MAX + 1; depth++) {
            char nest[200] = "", text[500];
            for (int k = ALREADY[i]; k < depth; k++) strcat(nest, "[");
            for (int k = ALREADY[i]; k < depth; k++) strcat(nest, "]");
            snprintf(text, sizeof text, PLACES[i], nest);
            bool deep = parse(text) == REJECT_TOO_DEEP;
            cr_assert_eq(deep, depth > MSGPACK_DEPTH_MAX, "%s at %d: %s", PLACES[i], depth,
                         reject_text(parse(text)));
        }
    }
}

Test(reject, bytes_that_are_no_message_pack)
{
    REFUSES(PAGE("'x': <c1>"), MALFORMED);
    REFUSES(TRACK("{'total': <c1>}"), MALFORMED);
    REFUSES(TRACK("{'products': [<c1>]}"), MALFORMED);
    REFUSES(PAGE("'x': <dd ff ff ff ff>"), MALFORMED);
    REFUSES(PAGE("'x': <db ff ff ff ff 61>"), MALFORMED);
    REFUSES("<df ff ff ff ff>", MALFORMED);
    REFUSES(PAGE("'properties': <df ff ff ff ff>"), MALFORMED);
}

Test(reject, every_reason_has_its_own_text)
{
    for (int a = 0; a < REJECT_COUNT; a++)
        for (int b = 0; b < a; b++) cr_assert_str_neq(reject_text(a), reject_text(b));
    cr_assert_str_eq(reject_text(REJECT_COUNT), "unknown");
}

Test(event, properties_are_found_by_their_whole_name)
{
    static char names[PROPS_PER_EVENT_MAX][40];
    static struct schema_prop props[PROPS_PER_EVENT_MAX];
    static struct schema_event types[1];
    for (uint16_t i = 0; i < PROPS_PER_EVENT_MAX;
         i++) { /* 0 to 31 bytes; the long ones differ in the middle only */
        uint32_t n = i % 32, middle = n / 2;
        memset(names[i], 'x', n);
        if (n) names[i][middle] = (char)('a' + i / 32);
        props[i] = (struct schema_prop){.name = slice_of(names[i], n), .type = T_NUMBER, .live = n > 0};
    }
    types[0] = (struct schema_event){
        .id = 0, .name = SLICE("t"), .props = props, .prop_count = PROPS_PER_EVENT_MAX, .live = true};
    struct schema s = {.events = types, .event_count = 1};
    schema_index(&s, NULL, 0, &arena);
    for (uint16_t i = 0; i < PROPS_PER_EVENT_MAX; i++) {
        cr_assert_eq(schema_prop_find(types, props[i].name), props[i].live ? i : ID_NONE, "%u", i);
        char other[40];
        memcpy(other, names[i], sizeof other);
        other[props[i].name.n / 2] = 'z';
        cr_assert_eq(schema_prop_find(types, slice_of(other, props[i].name.n)), ID_NONE);
        cr_assert_eq(schema_prop_find_slowly(types, props[i].name), props[i].live ? i : ID_NONE);
    }
}

/* A key known or not, in one of the forms that text may have; long ones find no place in the shape. */
static uint8_t *put_any_key(uint8_t *p, uint64_t random, const char *const *known, uint32_t known_count)
{
    char made[64];
    uint32_t pick = (uint32_t)(random % 64);
    if (pick < known_count)
        snprintf(made, sizeof made, "%s", known[pick]);
    else
        snprintf(made, sizeof made, "%s%u", pick < 60 ? "unknown_" : "a_name_of_more_than_thirty_bytes_",
                 pick);
    return random >> 32 & 31 ? mpw_str(p, slice_str(made)) : mpw_bin(p, slice_str(made));
}

static uint8_t *put_any_value(uint8_t *p, uint64_t random)
{
    switch (random % 8) {
    case 0: return mpw_nil(p);
    case 1: return mpw_uint(p, random >> (random >> 8 & 63));
    case 2: return mpw_double(p, (double)(random >> 40) / 8);
    case 3: return mpw_str(mpw_str(mpw_map(p, 1), SLICE("k")), SLICE("v"));
    case 4: return mpw_int(mpw_array(p, 1), -(int64_t)(random >> 20));
    case 5: return mpw_str(p, SLICE("text that is longer than any short text of MessagePack"));
    default: return mpw_str(p, SLICE("short"));
    }
}

static uint8_t *put_any_map(uint8_t *p, uint64_t *seed, const char *const *known, uint32_t known_count)
{
    uint32_t n = (uint32_t)(hash64_plain(seed, 8) % 14);
    p = mpw_map(p, n);
    for (; n > 0; n--) {
        uint64_t key = hash64_plain(&(uint64_t){++*seed}, 8), value = hash64_plain(&(uint64_t){++*seed}, 8);
        p = put_any_value(put_any_key(p, key, known, known_count), value);
    }
    return p;
}

/* Any keys in any order, more than a shape has room for, some twice: what earlier messages taught changes nothing. */
Test(event, a_shape_changes_nothing_whatever_it_has_seen)
{
    static const char *const props[] = {"total",   "order_id", "products",
                                        "paid_at", "gift",     "a_property_with_a_long_name"};
    static const char *const context[] = {"traits", "active", "locale", "timezone"};
    static const char *const top[] = {"sentAt", "traits", "anonymousId", "originalTimestamp", "message_id"};
    uint64_t seed = 7, accepted = 0, rounds = 20000;
    uint8_t bytes[4096];
    for (uint64_t round = 0; round < rounds; round++) {
        uint8_t *p = bytes + 3;
        uint32_t n = 4 + (uint32_t)(hash64_plain(&seed, 8) % 3), context_at = (uint32_t)(round % 4);
        bytes[0] = 0xde;
        bytes[1] = 0;
        bytes[2] = (uint8_t)(n + 1);
        for (uint32_t i = 0; i <= n; i++) {
            uint64_t random = hash64_plain(&(uint64_t){++seed}, 8);
            if (i == context_at)
                p = put_any_map(mpw_str(p, SLICE("context")), &seed, context, 4);
            else if (i == 4)
                p = put_any_map(mpw_str(p, SLICE("properties")), &seed, props, 6);
            else if (i == (round + 1) % 4)
                p = mpw_str(mpw_str(p, SLICE("type")), SLICE("track"));
            else if (i == (round + 2) % 4)
                p = mpw_str(mpw_str(p, SLICE("event")),
                            random & 1 ? SLICE("Order Completed") : SLICE("unheard"));
            else if (i == (round + 3) % 4)
                p = mpw_str(mpw_str(p, SLICE("userId")), SLICE("u1"));
            else
                p = put_any_value(put_any_key(p, random, top, 5), random >> 16);
        }
        accepted += parse_bytes(slice_of(bytes, (size_t)(p - bytes)), 5) == REJECT_NONE;
    }
    cr_assert(accepted > rounds / 4 && accepted < rounds - rounds / 8, "%llu", (unsigned long long)accepted);
}

/* Random damage: nothing to compare with, but never a crash, and the same answer twice. */
Test(event, damaged_records_are_read_or_refused_and_always_alike)
{
    struct slice raw = mp_text(ORDER_TEXT);
    uint64_t seed = 20261122;
    uint8_t bytes[1024];
    uint32_t accepted = 0;
    for (int round = 0; round < 200000; round++) {
        memcpy(bytes, raw.p, raw.n);
        for (int k = 0; k < 1 + round % 3; k++) {
            seed = seed * 6364136223846793005ull + 1442695040888963407ull;
            bytes[(seed >> 33) % raw.n] = (uint8_t)(seed >> 20);
        }
        enum reject first = parse_bytes(slice_of(bytes, raw.n), 5);
        uint64_t hash = e.message_hash;
        cr_assert_eq(parse_bytes(slice_of(bytes, raw.n), 5), first);
        cr_assert_eq(e.message_hash, hash);
        accepted += first == REJECT_NONE;
    }
    cr_assert(accepted > 1000 && accepted < 199000);
}
