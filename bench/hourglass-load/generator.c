/* generator.c - an entry is fixext8 EventTime and a record in MessagePack; what changes from event to event stands at
 * offsets that are found while the template is made. */
#include "bench/hourglass-load/generator.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/msgpack.h"

enum { USER_DIGITS = 11, MESSAGE_DIGITS = 16, STAMP_BYTES = 24 };

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
    put_pair(m, "coupon", r & 1 ? "AUTUMN24" : "SPRING24");
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

static void make_template(struct generator_template *t, bool small, bool pairs, uint64_t random)
{
    static const uint8_t EVENT_TIME[] = {0x92, 0xd7, 0x00, 0, 0, 0, 0, 0, 0, 0, 0};
    struct maker m = {t, t->entry, random};
    const char *event = EVENTS[next_random(&m.random) % (sizeof EVENTS / sizeof *EVENTS)];
    memcpy(m.p, EVENT_TIME, sizeof EVENT_TIME);
    t->seconds = 3;
    m.p = mpw_map(m.p + sizeof EVENT_TIME, small ? 6 : pairs ? 8 : 7);
    put_pair(&m, "type", "track");
    t->message = put_hole(&m, "messageId", "load-0000-0000-", MESSAGE_DIGITS + 5);
    t->user = put_hole(&m, "userId", "u", USER_DIGITS);
    if (pairs) t->anonymous = put_hole(&m, "anonymousId", "device-of-this-person-00-", USER_DIGITS);
    put_pair(&m, "event", event);
    t->time = put_hole(&m, "timestamp", "", STAMP_BYTES);
    if (small) {
        put(&m, "properties");
        m.p = mpw_map(m.p, 1);
        put_number(&m, "price", 1 + (double)(next_random(&m.random) % 1000));
    } else {
        put_shop_properties(&m);
        put_shop_context(&m);
    }
    t->bytes = (uint16_t)(m.p - t->entry);
}

bool generator_init(struct generator *g, const char *shape, uint32_t users, double zipf, uint64_t seed)
{
    bool small = strcmp(shape, "small") == 0, pairs = strcmp(shape, "pairs") == 0;
    if (!small && !pairs && strcmp(shape, "shop") != 0) return false;
    *g = (struct generator){.random = seed, .seed = seed, .users = users, .zipf = zipf, .stamped_ms = -1};
    g->templates = calloc(GENERATOR_TEMPLATES, sizeof *g->templates);
    if (!g->templates) return false;
    uint64_t random = seed;
    for (uint32_t i = 0; i < GENERATOR_TEMPLATES; i++)
        make_template(&g->templates[i], small, pairs, next_random(&random));
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
    if (t->anonymous) put_decimal(out + t->anonymous, USER_DIGITS, user);
    memcpy(out + t->time, g->stamp, STAMP_BYTES);
    return t->bytes;
}
