/* A machine whose shards begin with their first person sends the same as one that has them all from the start. */
#include <criterion/criterion.h>

#include <msgpack/pack.h>
#include <stdio.h>

#include "core/machine.h"

enum { START = 1772442000, PEOPLE = 40, DAYS = 20 };

static const char DEFINITIONS[] =
    "events:\n  Order: {properties: {total: number}}\n"
    "channels:\n  crm: {consent: not_needed, quiet: \"21:00-09:00\", caps: 1 per 1d}\n"
    "segments:\n  quiet: count(\"Order\") > 0 && ago(\"Order\") >= days(5)\n"
    "journeys:\n"
    "  thanks: {trigger: {event: Order}, reentry: {after: 3d}, goal: {event: page}, exit: [{after: 9d}], "
    "steps: "
    "[{wait: 2h}, {send: {channel: crm, template: t}}, {wait: 1d}, {send: {channel: crm, template: u}}]}\n"
    "  back: {trigger: {segment_entered: quiet}, reentry: always, goal: {event: Order}, exit: [{after: 9d}], "
    "steps: [{send: {channel: crm, template: v}}]}\n";

static void on_effect(void *self, const struct effect *e)
{
    struct buf *heard = self;
    if (e->kind != EFFECT_ACTION) return;
    buf_printf(heard, "%u ", e->action.created_at);
    buf_put_slice(heard, e->action.content);
}

static void put_text(msgpack_packer *pk, const char *s) { msgpack_pack_str_with_body(pk, s, strlen(s)); }

static void order(struct machine *m, uint32_t person, uint32_t number)
{
    struct buf b = {0};
    msgpack_packer pk;
    char text[32];
    msgpack_packer_init(&pk, &b, buf_msgpack_write);
    msgpack_pack_map(&pk, 4);
    put_text(&pk, "type"), put_text(&pk, "track");
    put_text(&pk, "event"), put_text(&pk, "Order");
    snprintf(text, sizeof text, "u%u", person);
    put_text(&pk, "userId"), put_text(&pk, text);
    snprintf(text, sizeof text, "m%u", number);
    put_text(&pk, "messageId"), put_text(&pk, text);
    machine_event(m, buf_slice(&b), (int64_t)machine_now(m) * 1000);
    buf_free(&b);
}

static struct buf days_of(const struct defset *set, bool lazy, uint32_t *shards)
{
    struct hash_secret secret;
    struct buf heard = {0};
    uint64_t x = 7;
    hash_secret_from_seed(&secret, SLICE("machine"));
    struct machine_config config = {
        .set = set, .secret = &secret, .start = START, .lazy = lazy, .self = &heard, .on_effect = on_effect};
    struct machine *m = machine_create(&config);
    cr_assert_not_null(m);
    for (uint32_t hour = 0; hour < DAYS * 24; hour++) {
        machine_advance(m, START + hour * 3600);
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        order(m, (uint32_t)(x >> 40) % PEOPLE, hour);
    }
    machine_advance(m, START + 2 * DAYS * 86400);
    *shards = 0;
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) *shards += machine_shard(m, i) != NULL;
    machine_destroy(m);
    return heard;
}

Test(machine, lazy_shards_send_the_same_as_those_of_the_beginning)
{
    struct source_file file = {SLICE("x.yaml"), slice_str(DEFINITIONS)};
    struct diagnostics d;
    uint32_t all, some;
    diagnostics_init(&d);
    struct defset *set = defset_compile(&file, 1, NULL, NULL, &d);
    cr_assert_not_null(set);
    struct buf eager = days_of(set, false, &all), lazy = days_of(set, true, &some);
    cr_assert_gt(eager.n, 1000);
    cr_assert(slice_eq(buf_slice(&eager), buf_slice(&lazy)));
    cr_assert_eq(all, LOGICAL_SHARDS);
    cr_assert_lt(some, LOGICAL_SHARDS);
    buf_free(&eager);
    buf_free(&lazy);
    defset_free(set);
    diagnostics_free(&d);
}
