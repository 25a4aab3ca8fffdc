/* Reserve, then apply: inside a batch nobody asks an allocator or the kernel for memory. The program is linked with
 * --wrap for each function below (tests/CMakeLists.txt), and every call while `applying` is counted. */
#include "core/base/check.h"
#include "core/shard.h"

#include <criterion/criterion.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static bool applying;
static uint32_t calls;
static const char *first_call;

static void note(const char *name)
{
    if (!applying) return;
    if (calls++ == 0) first_call = name;
}

#define WRAP(type, name, parameters, arguments)                                                              \
    type __real_##name parameters;                                                                           \
    type __wrap_##name parameters;                                                                           \
    type __wrap_##name parameters                                                                            \
    {                                                                                                        \
        note(#name);                                                                                         \
        return __real_##name arguments;                                                                      \
    }
WRAP(void *, malloc, (size_t n), (n))
WRAP(void *, calloc, (size_t n, size_t size), (n, size))
WRAP(void *, realloc, (void *p, size_t n), (p, n))
WRAP(void, free, (void *p), (p))
WRAP(void *, mmap, (void *at, size_t n, int protection, int flags, int fd, off_t offset),
     (at, n, protection, flags, fd, offset))
WRAP(int, mprotect, (void *at, size_t n, int protection), (at, n, protection))
#ifndef HG_LIBC_MALLOC
WRAP(void *, mallocx, (size_t n, int flags), (n, flags))
WRAP(void *, rallocx, (void *p, size_t n, int flags), (p, n, flags))
WRAP(void, dallocx, (void *p, int flags), (p, flags))
#endif

static const char *definitions_text =
    "timezone: UTC\n"
    "profiles: {anonymous_ttl: 90d}\n"
    "events:\n"
    "  Product Added: {keep: 90d, cap: 16, properties: {price: number, product_id: string}}\n"
    "  Order Completed: {keep: 365d, properties: {total: number}}\n"
    "attributes:\n"
    "  email: {type: string, identifies: true}\n"
    "  city: {type: string}\n"
    "segments:\n"
    "  buyer: count(\"Order Completed\") > 0\n"
    "  active: count(\"Product Added\", days(7)) >= 2\n"
    "  rich: sum(\"Order Completed\", e.total, days(30)) > 100\n"
    "  moscow: profile.city == \"Moscow\" && segment(\"buyer\")\n"
    "channels:\n"
    "  email: {consent: not_needed}\n"
    "journeys:\n"
    "  cart:\n"
    "    trigger: {event: Product Added}\n"
    "    reentry: {after: 1h}\n"
    "    goal: {event: Order Completed, within: 3d, value: e.total}\n"
    "    steps:\n"
    "      - send: {id: m0, channel: email, template: cart_0}\n"
    "      - wait: 30m\n"
    "      - send: {id: m1, channel: email, template: cart_1}\n"
    "  thanks:\n"
    "    trigger: {segment_entered: buyer}\n"
    "    steps:\n"
    "      - set: {city: Moscow}\n"
    "      - send: {id: t1, channel: email, template: thanks}\n";

enum {
    START = 1772359200,
    EVENTS = 10000,
    PEOPLE = 400,
    BATCH = 64,
    IN_TURN = 30 * BATCH,
    MESSAGE_BYTES = 1024
};

struct node {
    struct defset *set;
    struct hash_secret secret;
    struct shard *shards[LOGICAL_SHARDS];
    struct effects effects;
    struct arena scratch;
    uint64_t seed;
    uint32_t now, sent;
    bool in_turn; /* one person after the other, products only */
    struct buf bytes[BATCH];
    struct buf messages; /* {to u8, bytes u32, payload} ... */
};

static const struct defset *definitions(void *host, uint32_t version, struct key hash)
{
    return ((struct node *)host)->set;
}

static uint32_t draw(struct node *n, uint32_t below)
{
    n->seed = n->seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(n->seed >> 33) % below;
}

static void tick(struct node *n, uint32_t quota)
{
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        CHECK(shard_reserve_tick(n->shards[i], quota, &n->effects));
        applying = true;
        shard_tick(n->shards[i], n->now, quota, &n->effects);
        applying = false;
        effects_reset(&n->effects);
    }
}

static void node_open(struct node *n, struct slice definitions_yaml)
{
    struct diagnostics d;
    diagnostics_init(&d);
    struct source_file file = {SLICE("test.yaml"), definitions_yaml};
    *n = (struct node){.seed = 2026, .now = START};
    printf("seed %llu\n", (unsigned long long)n->seed);
    n->set = defset_compile(&file, 1, NULL, NULL, &d);
    cr_assert(n->set);
    diagnostics_free(&d);
    hash_secret_from_seed(&n->secret, SLICE("test"));
    effects_init(&n->effects);
    arena_init(&n->scratch);
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++)
        n->shards[i] = shard_create(&(struct shard_config){
            .index = (uint8_t)i, .secret = &n->secret, .definitions = definitions, .host = n});
    tick(n, 256);
}

static void node_close(struct node *n)
{
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) shard_destroy(n->shards[i]);
    for (uint32_t i = 0; i < BATCH; i++) buf_free(&n->bytes[i]);
    buf_free(&n->messages);
    effects_free(&n->effects);
    arena_free(&n->scratch);
    defset_free(n->set);
}

/* ---- what is sent --------------------------------------------------------------------------------------- */

static void put(msgpack_packer *p, const char *s)
{
    msgpack_pack_str(p, strlen(s));
    msgpack_pack_str_body(p, s, strlen(s));
}

static void put_pair(msgpack_packer *p, const char *key, const char *value)
{
    put(p, key);
    put(p, value);
}

static void put_body(struct node *n, msgpack_packer *p, uint32_t kind, uint32_t person)
{
    char email[32];
    snprintf(email, sizeof email, "u%u@example.org", person);
    if (kind == 0) {
        put_pair(p, "type", "identify");
        put(p, "traits");
        msgpack_pack_map(p, 2);
        put_pair(p, "email", email);
        put_pair(p, "city", draw(n, 2) ? "Moscow" : "a town with a name that is not short");
        return;
    }
    put_pair(p, "type", "track");
    put_pair(p, "event", kind < 4 ? "Order Completed" : kind < 6 ? "Never Declared" : "Product Added");
    put(p, "properties");
    msgpack_pack_map(p, 3);
    put(p, "total");
    msgpack_pack_double(p, draw(n, 90));
    put(p, "price");
    msgpack_pack_int(p, (int)draw(n, 1000));
    put_pair(p, "product_id", "sku-0123456789-0123456789");
}

/* Each person has a user id, an anonymous one, or both: then two halves become one. */
static struct slice make_message(struct node *n, struct buf *b)
{
    char id[48], user[24], anonymous[32];
    uint32_t person = draw(n, PEOPLE), ids = draw(n, 6), kind = draw(n, 10);
    if (n->in_turn) person = n->sent % IN_TURN, ids = 5, kind = 9;
    snprintf(id, sizeof id, "message-%u", n->sent++);
    snprintf(user, sizeof user, "user-%u", person);
    snprintf(anonymous, sizeof anonymous, "device-%u-%u", person, draw(n, 3));
    bool known = ids != 0, device = ids < 3;
    msgpack_packer p;
    buf_clear(b);
    msgpack_packer_init(&p, b, buf_msgpack_write);
    msgpack_pack_map(&p, 1u + known + device + (kind ? 3u : 2u));
    put_pair(&p, "messageId", id);
    if (known) put_pair(&p, "userId", user);
    if (device) put_pair(&p, "anonymousId", anonymous);
    put_body(n, &p, kind, person);
    return buf_slice(b);
}

/* ---- batches -------------------------------------------------------------------------------------------- */

static void keep_messages(struct node *n)
{
    for (uint32_t i = 0; i < n->effects.count; i++) {
        const struct effect *e = &n->effects.list[i];
        if (e->kind != EFFECT_MESSAGE) continue;
        buf_put_u8(&n->messages, e->message.to);
        buf_put_le32(&n->messages, MESSAGE_HEADER_BYTES + e->message.body.n);
        buf_put_le16(&n->messages, e->shard);
        buf_put_le16(&n->messages, e->message.message_kind);
        buf_put_le64(&n->messages, e->message.sequence);
        buf_put_slice(&n->messages, e->message.body);
        shard_ack_messages(n->shards[e->shard], e->message.to, e->message.sequence);
    }
    effects_reset(&n->effects);
}

static void apply(struct node *n, struct batch_item *items, uint32_t count)
{
    CHECK(shards_reserve(items, count, &n->effects) == count);
    applying = true;
    shards_apply(items, count, &n->scratch, &n->effects);
    applying = false;
}

static void deliver(struct node *n)
{
    while (n->messages.n) {
        struct buf now = n->messages;
        n->messages = (struct buf){0};
        for (size_t at = 0; at < now.n;) {
            uint32_t bytes = load_le32(now.p + at + 1);
            struct batch_item item = {.shard = n->shards[now.p[at]],
                                      .record = {.kind = RECORD_MESSAGE,
                                                 .shard = now.p[at],
                                                 .payload = slice_of(now.p + at + 5, bytes)}};
            apply(n, &item, 1);
            keep_messages(n);
            at += 5 + bytes;
        }
        buf_free(&now);
    }
}

static void send_batch(struct node *n)
{
    struct batch_item items[BATCH];
    arena_reset(&n->scratch);
    arena_reserve(&n->scratch, BATCH * EVENT_SCRATCH_BYTES_MAX);
    for (uint32_t i = 0; i < BATCH; i++) {
        items[i] = (struct batch_item){
            .record = {.kind = RECORD_EVENT, .head_bytes = 8, .payload = make_message(n, &n->bytes[i])}};
        store_le64(items[i].record.head, (uint64_t)n->now * 1000);
        uint8_t shard = event_route(&items[i], &n->set->schema, &n->secret, NULL, &n->scratch);
        items[i].shard = n->shards[shard];
    }
    apply(n, items, BATCH);
    keep_messages(n);
    deliver(n);
}

Test(no_alloc, ten_thousand_events_with_merges_journeys_and_attributes_ask_for_no_memory)
{
    static struct node n;
    node_open(&n, slice_str(definitions_text));
    send_batch(&n); /* the first batch may still make what stays */
    calls = 0;
    for (uint32_t sent = 0; sent < EVENTS; sent += BATCH) {
        n.now += draw(&n, 400);
        tick(&n, 256);
        send_batch(&n);
        cr_assert_eq(calls, 0, "%u calls, the first to %s, after %u events", calls, first_call, sent);
    }
    uint64_t merged = 0, actions = 0, applied = 0, fired = 0;
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        const struct shard_counters *c = shard_counters(n.shards[i]);
        merged += c->merged, actions += c->actions.created, applied += c->applied, fired += c->timers_fired;
    }
    cr_assert_gt(merged, PEOPLE / 2);
    cr_assert_gt(actions, EVENTS / 10);
    cr_assert_gt(fired, EVENTS / 20);
    cr_assert_gt(applied, EVENTS * 9 / 10);
    node_close(&n);
}

/* More than one walk may create: the rest is due a second later, and comes with the next record if no wake-up came before. */
static struct slice eager_definitions(struct buf *b)
{
    buf_printf(b, "timezone: UTC\nprofiles: {anonymous_ttl: 90d}\nevents:\n  Product Added: {keep: 90d}\n"
                  "channels:\n  email: {consent: not_needed}\njourneys:\n");
    for (int i = 0; i < 60; i++)
        buf_printf(b,
                   "  j%d: {trigger: {event: Product Added}, reentry: always, steps: [{send: {id: m, "
                   "channel: email, "
                   "template: t}}]}\n",
                   i);
    return buf_slice(b);
}

Test(no_alloc, a_record_that_comes_before_the_overdue_wake_up_of_its_person_has_room_for_both)
{
    static struct node n;
    struct buf text = {0};
    uint64_t actions = 0;
    node_open(&n, eager_definitions(&text));
    n.in_turn = true;
    send_batch(&n);
    calls = 0;
    for (uint32_t sent = 0; sent < 6 * EVENTS; sent += BATCH) {
        if ((sent + BATCH) % IN_TURN == 0) { /* time moves, nobody is woken */
            n.now++;
            tick(&n, 0);
        }
        send_batch(&n);
        cr_assert_eq(calls, 0, "%u calls, the first to %s, after %u events", calls, first_call, sent);
    }
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) actions += shard_counters(n.shards[i])->actions.created;
    cr_assert_gt(actions, 10 * EVENTS);
    node_close(&n);
    buf_free(&text);
}
