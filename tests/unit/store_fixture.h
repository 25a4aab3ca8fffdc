/* store_fixture.h - a small schema and seeded randomness for the tests of the store. */
#ifndef HG_TESTS_STORE_FIXTURE_H
#define HG_TESTS_STORE_FIXTURE_H

#include "core/base/check.h"
#include "core/store/store.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t seed = 20261122;
static inline uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}
static inline uint32_t below(uint32_t n) { return (uint32_t)(rnd() % n); }

enum { DAY = 86400, KEEP_S = 30 * DAY, CAP = 16, NOW = 1700000000 };
enum { TYPE_ORDER = TYPE_DECLARED_BASE, TYPE_VIEW };
enum { ATTR_EMAIL, ATTR_CITY, ATTR_AGE, ATTR_VIP, ATTR_BORN, ATTR_TAGS, ATTR_FIRST, ATTR_COUNT };

static struct schema_prop order_props[] = {
    {.type = T_NUMBER}, {.type = T_STRING}, {.type = T_NUMBER}, {.type = T_BOOL}, {.type = T_RAW}};
enum { ORDER_PROPS = 5 };

static struct schema_event events[TYPE_DECLARED_BASE + 2];
static struct schema_attribute attributes[ATTR_COUNT] = {
    [ATTR_EMAIL] = {.id = ATTR_EMAIL, .type = T_STRING, .identifies = true},
    [ATTR_CITY] = {.id = ATTR_CITY, .type = T_STRING},
    [ATTR_AGE] = {.id = ATTR_AGE, .type = T_NUMBER},
    [ATTR_VIP] = {.id = ATTR_VIP, .type = T_BOOL},
    [ATTR_BORN] = {.id = ATTR_BORN, .type = T_DATE},
    [ATTR_TAGS] = {.id = ATTR_TAGS, .type = T_STRINGS},
    [ATTR_FIRST] = {.id = ATTR_FIRST, .type = T_STRING, .keep_first = true},
};

static inline struct schema fixture_schema(void)
{
    for (uint32_t i = 0; i < TYPE_DECLARED_BASE + 2; i++) events[i] = (struct schema_event){.id = ID_NONE};
    events[TYPE_PAGE] = (struct schema_event){.id = TYPE_PAGE, .cap = 4, .plain = true};
    events[TYPE_ORDER] = (struct schema_event){
        .id = TYPE_ORDER, .prop_count = ORDER_PROPS, .props = order_props, .keep_s = KEEP_S, .cap = CAP};
    events[TYPE_VIEW] = (struct schema_event){.id = TYPE_VIEW, .cap = 1000};
    return (struct schema){.events = events,
                           .event_count = TYPE_DECLARED_BASE + 2,
                           .attributes = attributes,
                           .attribute_count = ATTR_COUNT};
}

static inline struct key key_of(uint64_t id) { return hash128_plain(&id, sizeof id); }

#define TEXT(literal) value_string(SLICE(literal))

#endif
