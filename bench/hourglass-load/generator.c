/* generator.c - an entry is fixext8 EventTime and a record in MessagePack; what changes from event to event stands at
 * offsets that are found while the template is made. */
#include "bench/hourglass-load/generator.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/check.h"
#include "core/base/msgpack.h"

enum { USER_DIGITS = 11, MESSAGE_DIGITS = 16, STAMP_BYTES = 24 };

enum shape { SHAPE_SHOP, SHAPE_SMALL, SHAPE_PAIRS, SHAPE_MIX, SHAPE_AIM };

static const char *const EVENTS[] = {
    "Order Completed",  "Product Viewed", "Product Viewed",  "Product Added",    "Cart Viewed",
    "Checkout Started", "Product Viewed", "Product Removed", "Search Performed", "Product Viewed"};
static const char *const CITIES[] = {"Moscow", "Berlin", "Kazan", "Sochi", "Omsk", "Tver", "Perm", "Ufa"};

const char *generator_definitions(void)
{
    return "timezone: Europe/Moscow\n"
           "events:\n"
           "  Order Completed: {keep: 365d, properties: {order_id: string, total: number, category: "
           "string}}\n"
           "  Product Viewed: {keep: 30d, properties: {product_id: string, category: string, price: "
           "number}}\n"
           "  Product Added: {keep: 30d, properties: {product_id: string, price: number}}\n"
           "  Product Removed: {keep: 30d, properties: {product_id: string}}\n"
           "  Cart Viewed: {keep: 7d}\n"
           "  Checkout Started: {keep: 7d, properties: {total: number}}\n"
           "channels: {email: {consent: not_needed, caps: [1 per 1d]}}\n"
           "segments:\n"
           "  buyers: count(\"Order Completed\") > 0\n"
           "  viewers: count(\"Product Viewed\", hours(24)) >= 3\n"
           "  spenders: sum(\"Order Completed\", e.total, days(30)) > 10000\n"
           "  quiet: count(\"Order Completed\") > 0 && ago(\"Order Completed\") >= days(30)\n"
           "journeys:\n"
           "  cart:\n"
           "    state: live\n"
           "    trigger: {event: Product Added, where: e.price > 100}\n"
           "    reentry: {after: 7d}\n"
           "    goal: {event: Order Completed, within: 3d, value: e.total}\n"
           "    exit: [{after: 7d}]\n"
           "    steps: [{wait: 30m}, {send: {id: mail, channel: email, template: cart}}]\n";
}

static uint64_t next_random(uint64_t *x) /* splitmix64 */
{
    uint64_t z = *x += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

/* ---- templates --------------------------------------------------------------------------------------- */

struct maker {
    struct generator_template *t;
    uint8_t *p;
    uint64_t random;
};

static void put(struct maker *m, const char *text) { m->p = mpw_str(m->p, slice_str(text)); }
static void put_number(struct maker *m, const char *key, double v)
{
    put(m, key);
    m->p = mpw_double(m->p, v);
}
static void put_pair(struct maker *m, const char *key, const char *value)
{
    put(m, key);
    put(m, value);
}

/* Text of n bytes to be patched later; returns where it stands. */
static uint16_t put_hole(struct maker *m, const char *key, const char *front, uint32_t n)
{
    char text[64];
    uint32_t fixed = (uint32_t)strlen(front);
    memcpy(text, front, fixed);
    memset(text + fixed, '0', n);
    put(m, key);
    m->p = mpw_str(m->p, slice_of(text, fixed + n));
    return (uint16_t)(m->p - n - m->t->entry);
}

static void put_sent(struct maker *m) /* a number to be patched later */
{
    put_number(m, "sent", 0);
    m->t->sent = (uint16_t)(m->p - 9 - m->t->entry);
}

static void put_shop_properties(struct maker *m)
{
    char text[48];
    uint32_t r = (uint32_t)next_random(&m->random);
    double price = 10 + r % 100000 / 100.0;
    put(m, "properties");
    m->p = mpw_map(m->p, 8);
    snprintf(text, sizeof text, "ord-%08u", r % 100000000);
    put_pair(m, "order_id", text);
    snprintf(text, sizeof text, "sku-%06u", r % 1000000);
    put_pair(m, "product_id", text);
    put_pair(m, "category", "electronics");
    put_number(m, "price", price);
    put(m, "quantity");
    m->p = mpw_uint(m->p, 1 + r % 5);
    put_pair(m, "currency", "RUB");
    put_sent(m);
    put_number(m, "total", price * (1 + r % 5));
}

static void put_shop_context(struct maker *m)
{
    char text[48];
    uint32_t r = (uint32_t)next_random(&m->random);
    put(m, "context");
    m->p = mpw_map(m->p, 6);
    put_pair(m, "session", "s-0123456789abcdef");
    snprintf(text, sizeof text, "10.%u.%u.%u", r & 255, r >> 8 & 255, r >> 16 & 255);
    put_pair(m, "ip", text);
    put_pair(m, "locale", "ru-RU");
    put_pair(m, "city", CITIES[r >> 5 & 7]);
    put_pair(m, "channel", "web");
    put(m, "library");
    m->p = mpw_map(m->p, 2);
    put_pair(m, "name", "analytics.js");
    put_pair(m, "version", "2.11.1");
}

/* The parts of a message, in the order in which a sender writes them: analytics.js, a server's library, a phone's. */
enum part {
    PART_TYPE,
    PART_MESSAGE,
    PART_USER,
    PART_PAIR,
    PART_EVENT,
    PART_TIME,
    PART_PROPERTIES,
    PART_CONTEXT,
    PARTS
};
static const uint8_t ORDERS[][PARTS] = {
    {PART_TYPE, PART_MESSAGE, PART_USER, PART_PAIR, PART_EVENT, PART_TIME, PART_PROPERTIES, PART_CONTEXT},
    {PART_USER, PART_EVENT, PART_PROPERTIES, PART_CONTEXT, PART_TYPE, PART_TIME, PART_MESSAGE, PART_PAIR},
    {PART_TIME, PART_CONTEXT, PART_PAIR, PART_MESSAGE, PART_TYPE, PART_EVENT, PART_USER, PART_PROPERTIES}};
enum { ORDER_COUNT = sizeof ORDERS / sizeof *ORDERS };

struct form { /* of one template */
    const uint8_t *order;
    enum shape shape;
    enum { NO_PAIR, OWN_PAIR, NEW_PAIR } pair;
};

static void put_call_properties(struct maker *m)
{
    uint32_t r = (uint32_t)next_random(&m->random);
    bool local = r & 1;
    double cost = 0.1 + r % 99900 / 1000.0, duration = 1 + r % 9999;
    put(m, "properties");
    m->p = mpw_map(m->p, 8);
    put_pair(m, "callee_id", "u00000000000");
    put_pair(m, "caller_place", "place-0123456789");
    put_pair(m, "callee_place", "place-9876543210");
    put_number(m, "cost", cost);
    put_number(m, "duration", duration);
    put_number(m, local ? "local_cost" : "long_cost", cost);
    put_number(m, local ? "local_duration" : "long_duration", duration);
    put_number(m, local ? "local_call" : "long_call", 1);
}

static void put_small_properties(struct maker *m)
{
    put(m, "properties");
    m->p = mpw_map(m->p, 1);
    put_number(m, "price", 1 + (double)(next_random(&m->random) % 1000));
}

static void put_properties(struct maker *m, enum shape shape)
{
    if (shape == SHAPE_AIM)
        put_call_properties(m);
    else if (shape == SHAPE_SMALL)
        put_small_properties(m);
    else
        put_shop_properties(m);
}

static void put_part(struct maker *m, const struct form *f, enum part part, const char *event)
{
    struct generator_template *t = m->t;
    switch (part) {
    case PART_TYPE: put_pair(m, "type", "track"); break;
    case PART_MESSAGE: t->message = put_hole(m, "messageId", "load-0000-0000-", MESSAGE_DIGITS + 5); break;
    case PART_USER: t->user = put_hole(m, "userId", "u", USER_DIGITS); break;
    case PART_PAIR:
        if (f->pair) t->anonymous = put_hole(m, "anonymousId", "device-of-this-person-00-", USER_DIGITS);
        break;
    case PART_EVENT: put_pair(m, "event", event); break;
    case PART_TIME: t->time = put_hole(m, "timestamp", "", STAMP_BYTES); break;
    case PART_PROPERTIES: put_properties(m, f->shape); break;
    case PART_CONTEXT:
        if (f->shape != SHAPE_SMALL) put_shop_context(m);
        break;
    case PARTS: break;
    }
}

static void make_template(struct generator_template *t, const struct form *f, uint64_t random)
{
    static const uint8_t EVENT_TIME[] = {0x92, 0xd7, 0x00, 0, 0, 0, 0, 0, 0, 0, 0};
    struct maker m = {t, t->entry, random};
    const char *event =
        f->shape == SHAPE_AIM ? "Call" : EVENTS[next_random(&m.random) % (sizeof EVENTS / sizeof *EVENTS)];
    memcpy(m.p, EVENT_TIME, sizeof EVENT_TIME);
    t->seconds = 3;
    t->fresh = f->pair == NEW_PAIR;
    m.p = mpw_map(m.p + sizeof EVENT_TIME, PARTS - (f->pair == NO_PAIR) - (f->shape == SHAPE_SMALL));
    for (uint32_t i = 0; i < PARTS; i++) put_part(&m, f, f->order[i], event);
    t->bytes = (uint16_t)(m.p - t->entry);
    CHECK(t->bytes <= ENTRY_BYTES_MAX);
}

static bool shape_of(const char *name, enum shape *shape)
{
    static const char *const NAMES[] = {"shop", "small", "pairs", "mix", "aim"};
    for (uint32_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        *shape = (enum shape)i;
        if (strcmp(name, NAMES[i]) == 0) return true;
    }
    return false;
}

/* Of `mix` three templates of 256, one of each order, bring an anonymous id that nobody has seen: 1.2 %. */
static struct form form_of(enum shape shape, uint32_t i)
{
    struct form f = {.order = ORDERS[shape == SHAPE_MIX ? i % ORDER_COUNT : 0], .shape = shape};
    if (shape == SHAPE_PAIRS) f.pair = OWN_PAIR;
    if (shape == SHAPE_MIX && i < ORDER_COUNT) f.pair = NEW_PAIR;
    return f;
}

bool generator_init(struct generator *g, const char *shape, uint32_t users, double zipf, uint64_t seed)
{
    enum shape kind;
    if (!shape_of(shape, &kind)) return false;
    *g = (struct generator){.random = seed, .seed = seed, .users = users, .zipf = zipf, .stamped_ms = -1};
    g->templates = calloc(GENERATOR_TEMPLATES, sizeof *g->templates);
    if (!g->templates) return false;
    uint64_t random = seed;
    for (uint32_t i = 0; i < GENERATOR_TEMPLATES; i++) {
        struct form f = form_of(kind, i);
        make_template(&g->templates[i], &f, next_random(&random));
    }
    g->spread = zipf == 1 ? log((double)users + 1) : pow((double)users + 1, 1 - zipf) - 1;
    return true;
}

void generator_free(struct generator *g) { free(g->templates); }

/* ---- events ------------------------------------------------------------------------------------------- */

/* A rank from 0 with probability about 1/(rank+1)^zipf: the inverse of the distribution's integral. */
static uint32_t pick_user(struct generator *g, uint64_t random)
{
    double u = (double)(random >> 11) / (double)(1ull << 53), rank;
    if (g->zipf == 0) return (uint32_t)(u * g->users);
    if (g->zipf == 1)
        rank = exp(u * g->spread);
    else
        rank = pow(u * g->spread + 1, 1 / (1 - g->zipf));
    uint32_t user = (uint32_t)(rank - 1);
    return user < g->users ? user : g->users - 1;
}

static void put_decimal(uint8_t *p, uint32_t digits, uint64_t v)
{
    while (digits-- > 0) {
        p[digits] = (uint8_t)('0' + v % 10);
        v /= 10;
    }
}

static void put_hex(uint8_t *p, uint64_t v)
{
    static const char HEX[] = "0123456789abcdef";
    for (int i = MESSAGE_DIGITS - 1; i >= 0; i--, v >>= 4) p[i] = (uint8_t)HEX[v & 15];
}

static void stamp(struct generator *g, int64_t now_ms)
{
    time_t s = (time_t)(now_ms / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    snprintf(g->stamp, sizeof g->stamp, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
             (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
             (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
             (unsigned)tm.tm_sec % 100, (unsigned)(now_ms % 1000));
    g->stamped_ms = now_ms;
}

size_t generator_entry(struct generator *g, int64_t now_ms, uint8_t *out)
{
    uint64_t random = next_random(&g->random);
    const struct generator_template *t = &g->templates[random % GENERATOR_TEMPLATES];
    uint32_t user = pick_user(g, random);
    if (now_ms != g->stamped_ms) stamp(g, now_ms);
    memcpy(out, t->entry, t->bytes);
    store_be32(out + t->seconds, (uint32_t)(now_ms / 1000));
    store_be32(out + t->seconds + 4, (uint32_t)(now_ms % 1000 * 1000000));
    put_decimal(out + t->message, 5, g->seed % 100000);
    put_hex(out + t->message + 5, g->next++);
    put_decimal(out + t->user, USER_DIGITS, user);
    if (t->anonymous)
        put_decimal(out + t->anonymous, USER_DIGITS,
                    t->fresh ? g->seed % 1000 * 100000000 + g->next % 100000000 : user);
    if (t->sent) mpw_double(out + t->sent, g->sent_ms);
    memcpy(out + t->time, g->stamp, STAMP_BYTES);
    return t->bytes;
}
