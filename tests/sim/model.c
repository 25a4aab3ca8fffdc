#include "tests/sim/model.h"
#include "core/base/msgpack.h"
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct sent sent_events[EVENTS_MAX];
uint32_t sent_count;
struct taken taken_actions[ACTIONS_MAX];
uint32_t taken_count;

#define MODEL_TEXT                                                                                           \
    "timezone: UTC\n"                                                                                        \
    "events:\n"                                                                                              \
    "  Product Viewed: {keep: 365d, properties: {sku: string, price: number}}\n"                             \
    "  Order Completed: {keep: 365d, properties: {order_id: string, total: number}}\n"                       \
    "  Ping: {keep: 2d, cap: 8}\n"                                                                           \
    "channels:\n"                                                                                            \
    "  crm: {consent: not_needed}\n"                                                                         \
    "  news: {consent: not_needed, quiet: \"10:40-08:00\", caps: [2 per 1h]}\n"                              \
    "segments:\n"                                                                                            \
    "  buyers: count(\"Order Completed\") > 0\n"                                                             \
    "  keen: count(\"Product Viewed\", minutes(20)) >= 3\n"                                                  \
    "  gone: count(\"Product Viewed\") > 0 && count(\"Product Viewed\", hours(2)) == 0\n"
#define MODEL_FANS "  fans: count(\"Product Viewed\") >= 2\n"
#define MODEL_RECEIPT                                                                                        \
    "journeys:\n"                                                                                            \
    "  receipt:\n"                                                                                           \
    "    trigger: {event: Order Completed}\n"                                                                \
    "    reentry: always\n"                                                                                  \
    "    steps:\n"                                                                                           \
    "      - send: {id: thanks, channel: crm, template: thanks, vars: {order: =e.order_id}}\n"
#define MODEL_DIGEST                                                                                         \
    "  digest:\n"                                                                                            \
    "    trigger: {event: Product Viewed}\n"                                                                 \
    "    reentry: {after: 1m}\n"                                                                             \
    "    holdout: 50%\n"                                                                                     \
    "    steps:\n"                                                                                           \
    "      - send: {id: news, channel: news, template: news, expires: 12h}\n"
#define MODEL_NUDGE(wait)                                                                                    \
    "  nudge:\n"                                                                                             \
    "    trigger: {event: Product Viewed}\n"                                                                 \
    "    reentry: {after: 5m}\n"                                                                             \
    "    exit: [{event: Order Completed}]\n"                                                                 \
    "    steps:\n"                                                                                           \
    "      - wait: " wait "\n"                                                                               \
    "      - send: {id: come_back, channel: crm, template: come_back}\n"
#define MODEL_GONE                                                                                           \
    "  gone:\n"                                                                                              \
    "    trigger: {segment_entered: gone}\n"                                                                 \
    "    reentry: always\n"                                                                                  \
    "    steps:\n"                                                                                           \
    "      - send: {id: miss_you, channel: crm, template: miss_you}\n"

/* What HUP brings along: a longer wait for those who enter from then on; one more journey. */
const char *const model_definitions[MODEL_DEFINITIONS] = {
    MODEL_TEXT MODEL_RECEIPT MODEL_DIGEST MODEL_NUDGE("10m"),
    "attributes: {city: string}\n" MODEL_TEXT MODEL_RECEIPT MODEL_DIGEST MODEL_NUDGE("25m"),
    MODEL_TEXT MODEL_FANS MODEL_RECEIPT MODEL_DIGEST MODEL_NUDGE("25m") MODEL_GONE,
};

static const char *const names[KIND_COUNT] = {"Product Viewed", "Order Completed", "Ping"};

int model_owner(int anonymous) { return anonymous % USERS; }

bool model_paired(int anonymous, bool acked)
{
    for (uint32_t i = 0; i < sent_count; i++) {
        const struct sent *e = &sent_events[i];
        if (e->anonymous == anonymous && e->user >= 0 && (acked ? e->acked : e->sent)) return true;
    }
    return false;
}

/* ---- events ------------------------------------------------------------------------------------ */

static uint8_t *put_text(uint8_t *p, const char *name, const char *text)
{
    p = mpw_str(p, slice_str(name));
    return mpw_str(p, slice_str(text));
}

static void encode(struct sent *e, uint32_t index)
{
    uint8_t bytes[600], *p = bytes;
    char text[64];
    bool timed = e->time_kind == TIME_OWN, with_id = e->named;
    p = mpw_map(p, 3u + (e->user >= 0) + (e->anonymous >= 0) + timed + with_id);
    p = put_text(p, "type", "track");
    p = put_text(p, "event", names[e->kind]);
    if (e->user >= 0) snprintf(text, sizeof text, "u%d", e->user), p = put_text(p, "userId", text);
    if (e->anonymous >= 0)
        snprintf(text, sizeof text, "a%d", e->anonymous), p = put_text(p, "anonymousId", text);
    if (with_id)
        snprintf(text, sizeof text, "m-%u", e->twin >= 0 ? (uint32_t)e->twin : index),
            p = put_text(p, "messageId", text);
    if (timed) {
        struct tm t;
        time_t s = (time_t)(e->own_ms / 1000);
        gmtime_r(&s, &t);
        size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &t);
        snprintf(text + n, sizeof text - n, ".%03dZ", (int)(e->own_ms % 1000));
        p = put_text(p, "timestamp", text);
    }
    p = mpw_str(p, SLICE("properties"));
    p = mpw_map(p, e->kind == KIND_PING ? 1 : 2);
    snprintf(text, sizeof text, "%u", index);
    p = put_text(p, e->kind == KIND_VIEWED ? "sku" : e->kind == KIND_ORDERED ? "order_id" : "n", text);
    if (e->kind != KIND_PING) {
        p = mpw_str(p, slice_str(e->kind == KIND_VIEWED ? "price" : "total"));
        p = mpw_double(p, (double)chance_below(100000) / 100);
    }
    e->n = (uint32_t)(p - bytes);
    e->bytes = malloc(e->n);
    CHECK(e->bytes != NULL);
    memcpy(e->bytes, bytes, e->n);
}

/* Mostly now; now and then late, ahead of the clock, or so far ahead that it is not believed. */
static int64_t choose_time(int64_t now_ms)
{
    uint32_t r = chance_below(100);
    if (r < 80) return now_ms - chance_below(3000);
    if (r < 90) return now_ms - 1000ll * chance_between(3 * 3600, 40 * 3600);
    if (r < 96) return now_ms + 1000ll * chance_between(30, 3 * 3600);
    return now_ms + 1000ll * chance_between(24 * 3600 - 2, 26 * 3600);
}

/* New faces come all the time: merges begin, slots are given back and taken again until the end. */
static int8_t some_anonymous(void)
{
    static uint32_t known = 4;
    return (int8_t)(known < ANONYMOUS && chance(25) ? known++ : chance_below(known));
}

/* Mostly the owner of the anonymous id. Once they surely belong together now and then somebody else uses the same device:
 * the event is theirs, the id stays where it is. */
static int8_t user_beside(int anonymous)
{
    bool conflict = chance(15) && model_paired(anonymous, true);
    return (int8_t)(conflict ? (int)chance_below(USERS) : model_owner(anonymous));
}

static bool time_is_believed(const struct sent *e)
{
    return e->time_kind == TIME_OWN && e->own_ms / 1000 <= (int64_t)e->made_at + 20 * 3600;
}

/* A client that counts its messages anew uses an id twice: another time makes it another message. */
static void take_used_id(struct sent *e)
{
    struct sent *old = sent_count ? &sent_events[chance_below(sent_count)] : NULL;
    if (!old || !old->named || old->twin >= 0 || old->kind == KIND_PING || !time_is_believed(old)) return;
    *e = (struct sent){.kind = old->kind,
                       .time_kind = TIME_OWN,
                       .user = old->user,
                       .anonymous = old->anonymous,
                       .own_ms =
                           old->own_ms - 1000 * (int64_t)(1 + sent_count - (uint32_t)(old - sent_events)),
                       .made_at = e->made_at,
                       .twin = (int)(old - sent_events),
                       .named = true};
}

uint32_t model_make_event(void)
{
    CHECK(sent_count < EVENTS_MAX);
    struct sent *e = &sent_events[sent_count];
    int64_t now_ms = (int64_t)world_second() * 1000 + chance_below(1000);
    *e = (struct sent){.kind = (uint8_t)(chance(50)   ? KIND_VIEWED
                                         : chance(80) ? KIND_ORDERED
                                                      : KIND_PING),
                       .user = -1,
                       .anonymous = -1,
                       .twin = -1,
                       .made_at = world_second()};
    uint32_t who = chance_below(100);
    if (who >= 60) e->anonymous = some_anonymous();
    if (who < 60) e->user = (int8_t)chance_below(USERS);
    if (who >= 82) e->user = user_beside(e->anonymous);
    uint32_t how = chance_below(100);
    e->time_kind = how < 80 ? TIME_OWN : how < 92 ? TIME_ENTRY : TIME_NONE;
    e->own_ms = e->time_kind == TIME_NONE ? 0 : choose_time(now_ms);
    if (e->time_kind == TIME_ENTRY) e->own_ms -= e->own_ms % 1000; /* sent as whole seconds */
    e->named = !chance(10) || e->time_kind == TIME_NONE;
    if (chance(4)) take_used_id(e);
    encode(e, sent_count);
    return sent_count++;
}

struct taken *model_action(struct key id)
{
    for (uint32_t i = 0; i < taken_count; i++)
        if (key_eq(taken_actions[i].id, id)) return &taken_actions[i];
    CHECK(taken_count < ACTIONS_MAX);
    taken_actions[taken_count] = (struct taken){.id = id, .order = -1};
    return &taken_actions[taken_count++];
}
