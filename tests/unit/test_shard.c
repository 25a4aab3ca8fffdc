/* The whole state machine on compiled definitions: identity, repeats, replay, snapshot, and no allocator in a batch. */
#include "core/base/check.h"
#include "core/machine.h"

#include <criterion/criterion.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>

static const char *definitions =
    "timezone: UTC\n"
    "profiles: {anonymous_ttl: 90d}\n"
    "events:\n"
    "  Product Added: {keep: 90d, properties: {price: number, product_id: string}}\n"
    "  Order Completed: {keep: 365d, properties: {total: number}}\n"
    "  Click: {keep: 30d, cap: 8}\n"
    "attributes:\n"
    "  email: {type: string, identifies: true}\n"
    "  city: {type: string}\n"
    "segments:\n"
    "  buyer: count(\"Order Completed\") > 0\n"
    "  active_7d: count(\"Product Added\", days(7)) >= 2\n"
    "  rich: sum(\"Order Completed\", e.total, days(30)) > 100\n"
    "  moscow: profile.city == \"Moscow\"\n"
    "channels:\n"
    "  email: {consent: not_needed}\n"
    "journeys:\n"
    "  cart:\n"
    "    trigger: {event: Product Added}\n"
    "    reentry: {after: 7d}\n"
    "    goal: {event: Order Completed, within: 3d}\n"
    "    exit: [{event: Order Completed}]\n"
    "    steps:\n"
    "      - wait: 30m\n"
    "      - send: {id: m1, channel: email, template: cart_1}\n"
    "      - wait: 24h\n"
    "      - send: {id: m2, channel: email, template: cart_2}\n"
    "  thanks:\n"
    "    trigger: {segment_entered: buyer}\n"
    "    steps:\n"
    "      - send: {id: t1, channel: email, template: thanks}\n";

enum { START = 1772359200 }; /* 2026-03-01T10:00:00Z */

struct tap { /* what a log and a subscriber would have seen */
    struct buf log;
    uint32_t records, actions, applied, duplicates, rejected;
    uint64_t action_sum;
};

static void on_record(void *self, const struct record *r)
{
    struct tap *t = self;
    buf_put_u8(&t->log, r->kind);
    buf_put_u8(&t->log, r->shard);
    buf_put_le32(&t->log, r->head_bytes + r->payload.n);
    buf_put(&t->log, r->head, r->head_bytes);
    buf_put_slice(&t->log, r->payload);
    t->records++;
}

static void on_effect(void *self, const struct effect *e)
{
    struct tap *t = self;
    if (e->kind == EFFECT_ACTION) {
        t->actions++;
        t->action_sum += hash64_plain(e->action.content.p, e->action.content.n);
    }
    if (e->kind == EFFECT_EVENT) {
        t->applied += e->event.outcome == OUTCOME_APPLIED;
        t->duplicates += e->event.outcome == OUTCOME_DUPLICATE;
        t->rejected += e->event.outcome == OUTCOME_REJECTED;
    }
}

static struct defset *compile(const char *text)
{
    struct diagnostics d;
    diagnostics_init(&d);
    struct source_file file = {slice_str("test.yaml"), slice_str(text)};
    struct defset *set = defset_compile(&file, 1, NULL, NULL, &d);
    if (!set) {
        struct buf b = {0};
        diagnostics_print(&d, &b);
        cr_assert_fail("%.*s", (int)b.n, (char *)b.p);
    }
    diagnostics_free(&d);
    return set;
}

struct world {
    struct defset *set;
    struct hash_secret secret;
    struct tap tap;
    struct machine *m;
};

static void world_open(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->set = compile(definitions);
    hash_secret_from_seed(&w->secret, SLICE("test"));
    struct machine_config c = {.set = w->set,
                               .secret = &w->secret,
                               .start = START,
                               .want_events = true,
                               .self = &w->tap,
                               .on_effect = on_effect,
                               .on_record = on_record};
    w->m = machine_create(&c);
}

static void world_close(struct world *w)
{
    machine_destroy(w->m);
    defset_free(w->set);
    buf_free(&w->tap.log);
}

static void put_str(msgpack_packer *p, const char *s)
{
    msgpack_pack_str(p, strlen(s));
    msgpack_pack_str_body(p, s, strlen(s));
}

struct say { /* one message; NULL or 0: left out */
    const char *user, *anonymous, *event, *id, *city, *email;
    double total;
    uint32_t at;
};

static struct slice message(struct buf *b, const struct say *s)
{
    buf_clear(b);
    msgpack_packer p;
    msgpack_packer_init(&p, b, buf_msgpack_write);
    bool identify = !s->event;
    msgpack_pack_map(&p,
                     1 + !!s->user + !!s->anonymous + 1 + !!s->id + !!s->at + (identify || s->total != 0));
    put_str(&p, "type");
    put_str(&p, identify ? "identify" : "track");
    if (s->user) put_str(&p, "userId"), put_str(&p, s->user);
    if (s->anonymous) put_str(&p, "anonymousId"), put_str(&p, s->anonymous);
    put_str(&p, "event"), put_str(&p, identify ? "identify" : s->event);
    if (s->id) put_str(&p, "messageId"), put_str(&p, s->id);
    if (s->at) put_str(&p, "timestamp"), msgpack_pack_uint64(&p, (uint64_t)s->at * 1000);
    if (identify) {
        put_str(&p, "traits");
        msgpack_pack_map(&p, !!s->city + !!s->email);
        if (s->city) put_str(&p, "city"), put_str(&p, s->city);
        if (s->email) put_str(&p, "email"), put_str(&p, s->email);
    } else if (s->total != 0) {
        put_str(&p, "properties");
        msgpack_pack_map(&p, 1);
        put_str(&p, "total"), msgpack_pack_double(&p, s->total);
    }
    return buf_slice(b);
}

static void say(struct world *w, struct say s)
{
    struct buf b = {0};
    machine_event(w->m, message(&b, &s), 0);
    buf_free(&b);
}

static uint32_t profiles(struct machine *m)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) n += shard_store(machine_shard(m, i))->profiles;
    return n;
}

static row_t find(struct world *w, enum id_kind kind, const char *id, struct shard **shard)
{
    struct key key = hash_id(&w->secret, kind, slice_str(id)), target;
    for (int hop = 0; hop < 4; hop++) {
        row_t row;
        *shard = machine_shard(w->m, key_shard(key));
        enum found f = store_find(shard_store(*shard), key, &row, &target);
        if (f == FOUND_ROW) return row;
        if (f == FOUND_NOTHING) return ROW_NONE;
        key = target;
    }
    return ROW_NONE;
}

static uint32_t count_of(struct world *w, enum id_kind kind, const char *id, const char *event)
{
    struct shard *s;
    row_t row = find(w, kind, id, &s);
    struct history_view v;
    uint16_t type = schema_find(&w->set->schema, NAME_EVENT, slice_str(event));
    return !row_none(row) && behaviour_view(shard_store(s), row, type, &v) ? v.count : 0;
}

static bool member(struct world *w, const char *user, const char *segment)
{
    struct shard *s;
    row_t row = find(w, ID_USER, user, &s);
    return !row_none(row) && member_get(shard_store(s), row, defset_segment(w->set, slice_str(segment)));
}

Test(shard, an_event_makes_a_person_and_is_counted_once)
{
    struct world w;
    world_open(&w);
    struct say s = {.user = "u1", .event = "Product Added", .id = "m1", .at = START};
    say(&w, s);
    say(&w, s);
    cr_assert_eq(w.tap.applied, 1);
    cr_assert_eq(w.tap.duplicates, 1);
    cr_assert_eq(profiles(w.m), 1);
    cr_assert_eq(count_of(&w, ID_USER, "u1", "Product Added"), 1);
    world_close(&w);
}

Test(shard, same_second_other_message_is_not_a_repeat)
{
    struct world w;
    world_open(&w);
    say(&w, (struct say){.user = "u1", .event = "Product Added", .id = "m1", .at = START});
    say(&w, (struct say){.user = "u1", .event = "Product Added", .id = "m2", .at = START});
    cr_assert_eq(count_of(&w, ID_USER, "u1", "Product Added"), 2);
    cr_assert(member(&w, "u1", "active_7d"));
    world_close(&w);
}

static void clicks(struct world *w, uint32_t n, uint32_t first, uint32_t step)
{
    for (uint32_t i = 0; i < n; i++) {
        char id[16];
        snprintf(id, sizeof id, "c%u", i);
        say(w, (struct say){.user = "u1", .event = "Click", .id = id, .at = first + i * step});
    }
}

Test(shard, a_repeat_of_what_history_folded_counts_never_twice)
{
    static const uint32_t steps[] = {0, 1, 3600}, ages[] = {100, 86400, 20 * 86400};
    for (int s = 0; s < 3; s++) {
        for (int a = 0; a < 3; a++) {
            struct world w;
            world_open(&w);
            clicks(&w, 30, START - ages[a], steps[s]);
            uint32_t counted = count_of(&w, ID_USER, "u1", "Click");
            cr_assert_eq(counted, w.tap.applied);
            cr_assert(counted == 30 || steps[s] == 0, "in order nothing is late: %u", counted);
            clicks(&w, 30, START - ages[a], steps[s]);
            cr_assert_eq(count_of(&w, ID_USER, "u1", "Click"), counted, "step %u age %u", steps[s], ages[a]);
            world_close(&w);
        }
    }
}

Test(shard, a_late_click_that_was_never_seen_still_counts_for_a_day)
{
    struct world w;
    world_open(&w);
    clicks(&w, 30, START - 3600, 60);
    say(&w, (struct say){.user = "u1", .event = "Click", .id = "late", .at = START - 3500});
    cr_assert_eq(count_of(&w, ID_USER, "u1", "Click"), 31);
    say(&w, (struct say){.user = "u1", .event = "Click", .id = "late", .at = START - 3500});
    cr_assert_eq(count_of(&w, ID_USER, "u1", "Click"), 31, "but once");
    say(&w, (struct say){.user = "u1", .event = "Click", .id = "older", .at = START - 2 * 86400});
    cr_assert_eq(count_of(&w, ID_USER, "u1", "Click"), 31, "before that nobody can say: late");
    world_close(&w);
}

Test(shard, a_window_ends_to_the_second_without_an_event)
{
    struct world w;
    world_open(&w);
    say(&w, (struct say){.user = "u1", .event = "Product Added", .id = "m1", .at = START});
    machine_advance(w.m, START + 60);
    say(&w, (struct say){.user = "u1", .event = "Product Added", .id = "m2", .at = START + 60});
    cr_assert(member(&w, "u1", "active_7d"));
    machine_advance(w.m, START + 7 * 86400 - 1);
    cr_assert(member(&w, "u1", "active_7d"));
    machine_advance(w.m, START + 7 * 86400);
    cr_assert_not(member(&w, "u1", "active_7d"));
    world_close(&w);
}

Test(shard, the_cart_journey_sends_and_an_order_one_second_before_the_timer_wins)
{
    struct world w;
    world_open(&w);
    say(&w, (struct say){.user = "a", .event = "Product Added", .id = "1", .at = START});
    say(&w, (struct say){.user = "b", .event = "Product Added", .id = "2", .at = START});
    machine_advance(w.m, START + 1799);
    cr_assert_eq(w.tap.actions, 0);
    say(&w,
        (struct say){.user = "b", .event = "Order Completed", .id = "3", .total = 10, .at = START + 1799});
    cr_assert_eq(w.tap.actions, 1, "thanks only, got %u", w.tap.actions);
    machine_advance(w.m, START + 1800);
    cr_assert_eq(w.tap.actions, 2, "the first mail to a");
    machine_advance(w.m, START + 1800 + 86400);
    cr_assert_eq(w.tap.actions, 3, "the second mail to a");
    world_close(&w);
}

Test(shard, anonymous_history_moves_to_the_person_and_later_events_follow)
{
    struct world w;
    world_open(&w);
    for (int i = 0; i < 20; i++) { /* twenty pairs: nearly all live on two shards */
        char user[16], anon[16], id[16];
        snprintf(user, sizeof user, "u%d", i), snprintf(anon, sizeof anon, "a%d", i),
            snprintf(id, sizeof id, "x%d", i);
        say(&w, (struct say){.anonymous = anon, .event = "Product Added", .id = id, .at = START});
        id[0] = 'y';
        say(&w, (struct say){
                    .user = user, .anonymous = anon, .event = "Product Added", .id = id, .at = START + 1});
        id[0] = 'z';
        say(&w, (struct say){
                    .anonymous = anon, .event = "Order Completed", .id = id, .total = 5, .at = START + 2});
        cr_assert_eq(count_of(&w, ID_USER, user, "Product Added"), 2, "pair %d", i);
        cr_assert_eq(count_of(&w, ID_USER, user, "Order Completed"), 1, "pair %d", i);
        cr_assert_eq(count_of(&w, ID_ANONYMOUS, anon, "Product Added"), 2, "the link leads there");
        cr_assert(member(&w, user, "buyer"));
    }
    cr_assert_eq(profiles(w.m), 20);
    world_close(&w);
}

/* Found by the simulator (seeds 1 and 21): the memory of such messages stays on the shard that they first came to. */
Test(shard, a_repeat_without_a_time_is_known_after_its_person_moved_to_another_shard)
{
    struct world w;
    world_open(&w);
    for (int i = 0; i < 20; i++) { /* twenty pairs: nearly all live on two shards */
        char user[16], anon[16], id[16], later[16];
        snprintf(user, sizeof user, "u%d", i), snprintf(anon, sizeof anon, "a%d", i),
            snprintf(id, sizeof id, "x%d", i), snprintf(later, sizeof later, "y%d", i);
        struct say before = {.anonymous = anon, .event = "Product Added", .id = id},
                   after = {.anonymous = anon, .event = "Product Added", .id = later};
        say(&w, before);
        say(&w, (struct say){.user = user, .anonymous = anon, .event = "Order Completed", .id = user});
        say(&w, before);
        cr_assert_eq(count_of(&w, ID_USER, user, "Product Added"), 1, "pair %d", i);
        say(&w, after);
        say(&w, after);
        cr_assert_eq(count_of(&w, ID_USER, user, "Product Added"), 2, "pair %d", i);
    }
    world_close(&w);
}

Test(shard, an_anonymous_id_never_moves_to_a_second_person)
{
    struct world w;
    world_open(&w);
    for (int i = 0; i < 8; i++) {
        char first[16], second[16], anon[16], id[16];
        snprintf(first, sizeof first, "f%d", i), snprintf(second, sizeof second, "s%d", i),
            snprintf(anon, sizeof anon, "a%d", i);
        snprintf(id, sizeof id, "p%d", i);
        say(&w,
            (struct say){.user = first, .anonymous = anon, .event = "Product Added", .id = id, .at = START});
        id[0] = 'q';
        say(&w,
            (struct say){.user = second, .anonymous = anon, .event = "Product Added", .id = id, .at = START});
        cr_assert_eq(count_of(&w, ID_USER, second, "Product Added"), 1, "the event went to its userId");
        cr_assert_eq(count_of(&w, ID_USER, first, "Product Added"), 1);
        cr_assert_eq(count_of(&w, ID_ANONYMOUS, anon, "Product Added"), 1);
    }
    uint64_t conflicts = 0;
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++)
        conflicts += shard_counters(machine_shard(w.m, i))->conflicts;
    cr_assert_eq(conflicts, 8);
    world_close(&w);
}

Test(shard, an_anonymous_person_leaves_after_its_time)
{
    struct world w;
    world_open(&w);
    say(&w, (struct say){.anonymous = "a", .event = "Product Added", .id = "1", .at = START});
    say(&w, (struct say){.user = "u", .event = "Product Added", .id = "2", .at = START});
    machine_advance(w.m, START + 90 * 86400 - 1);
    cr_assert_eq(profiles(w.m), 2);
    machine_advance(w.m, START + 90 * 86400);
    cr_assert_eq(profiles(w.m), 1, "the known one stays");
    world_close(&w);
}

/* ---- random life: the same records give the same state --------------------------------------- */

static uint64_t rng(uint64_t *x)
{
    *x ^= *x << 13, *x ^= *x >> 7, *x ^= *x << 17;
    return *x;
}

static void live(struct world *w, uint64_t seed, int events)
{
    static const char *names[] = {"Product Added", "Order Completed", "page", "Surprise"};
    static const char *cities[] = {"Moscow", "Berlin", "Omsk"};
    uint64_t x = seed;
    uint32_t now = machine_now(w->m);
    for (int i = 0; i < events; i++) {
        char user[16], anon[16], id[24];
        uint32_t who = (uint32_t)(rng(&x) % 50);
        snprintf(user, sizeof user, "u%u", who);
        snprintf(anon, sizeof anon, "a%u", (uint32_t)(rng(&x) % 4 ? who : rng(&x) % 50));
        snprintf(id, sizeof id, "m%llu-%d", (unsigned long long)seed, rng(&x) % 10 == 0 && i ? i - 1 : i);
        now += rng(&x) % 3 ? 0 : (uint32_t)(rng(&x) % 20000);
        machine_advance(w->m, now);
        struct say s = {.id = id, .at = now - (uint32_t)(rng(&x) % 8 == 0 ? rng(&x) % 100000 : 0)};
        uint64_t ids = rng(&x) % 4;
        if (ids != 0) s.user = user;
        if (ids != 1) s.anonymous = anon;
        if (rng(&x) % 6 == 0)
            s.city = cities[rng(&x) % 3];
        else
            s.event = names[rng(&x) % 4], s.total = (double)(rng(&x) % 10000) / 100;
        say(w, s);
    }
}

static void replay(struct slice log, struct shard **shards, struct effects *out, struct arena *scratch)
{
    struct reader in = reader_of(log);
    while (in.p < in.end) {
        uint8_t kind = read_u8(&in), shard = read_u8(&in);
        uint32_t n = read_le32(&in);
        struct slice payload = read_slice(&in, n);
        arena_reset(scratch);
        if (kind == RECORD_TICK) {
            uint32_t now = load_le32(payload.p), wakes = load_le32(payload.p + 4);
            cr_assert(shard_reserve_tick(shards[shard], wakes, out));
            cr_assert_eq(shard_tick(shards[shard], now, wakes, out), wakes, "the same wake-ups run");
        } else {
            struct batch_item item = {.shard = shards[shard],
                                      .record = {.kind = kind, .shard = shard, .payload = payload}};
            cr_assert_eq(shards_reserve(&item, 1, out), 1);
            shards_apply(&item, 1, scratch, out);
        }
        effects_reset(out);
    }
}

static const struct defset *the_set(void *host, uint32_t version, struct key hash) { return host; }

static void fresh_shards(struct world *w, struct shard **shards)
{
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++)
        shards[i] = shard_create(&(struct shard_config){
            .index = (uint8_t)i, .secret = &w->secret, .definitions = the_set, .host = w->set});
}

static void assert_same(struct world *w, struct shard **shards)
{
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        cr_assert(key_eq(shard_hash(machine_shard(w->m, i)), shard_hash(shards[i])), "shard %u", i);
        cr_assert_eq(shard_lsn(machine_shard(w->m, i)), shard_lsn(shards[i]));
    }
}

Test(shard, replay_of_the_records_gives_the_same_state)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct world w;
        world_open(&w);
        live(&w, seed, 600);
        struct shard *shards[LOGICAL_SHARDS];
        fresh_shards(&w, shards);
        struct effects out;
        struct arena scratch;
        effects_init(&out), arena_init(&scratch);
        replay(buf_slice(&w.tap.log), shards, &out, &scratch);
        assert_same(&w, shards);
        for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) shard_destroy(shards[i]);
        effects_free(&out), arena_free(&scratch);
        world_close(&w);
    }
}

struct frames {
    struct buf b[LOGICAL_SHARDS];
    uint32_t shard;
};

static void put_frame(void *self, uint8_t kind, struct slice bytes)
{
    struct frames *f = self;
    buf_put_u8(&f->b[f->shard], kind);
    buf_put_le32(&f->b[f->shard], bytes.n);
    buf_put_slice(&f->b[f->shard], bytes);
}

struct frame_target {
    struct frames *frames;
    uint32_t shard;
};
static void put_frame_of(void *self, uint8_t kind, struct slice bytes)
{
    struct frame_target *t = self;
    t->frames->shard = t->shard;
    put_frame(t->frames, kind, bytes);
}

static void restore_all(struct frames *frames, struct shard **shards)
{
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        struct reader in = reader_of(buf_slice(&frames->b[i]));
        while (in.p < in.end) {
            uint8_t kind = read_u8(&in);
            uint32_t n = read_le32(&in);
            cr_assert(shard_restore(shards[i], kind, read_slice(&in, n)), "shard %u frame %u", i, kind);
        }
        cr_assert(shard_restore_end(shards[i]));
        buf_free(&frames->b[i]);
    }
}

Test(shard, a_snapshot_taken_while_life_goes_on_plus_the_later_records_is_the_same_state)
{
    struct world w;
    world_open(&w);
    live(&w, 11, 400);
    static struct frames frames;
    static struct frame_target targets[LOGICAL_SHARDS];
    size_t cut = w.tap.log.n;
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        uint64_t lsn;
        targets[i] = (struct frame_target){&frames, i};
        struct snapshot_sink sink = {&targets[i], put_frame_of};
        shard_snapshot_begin(machine_shard(w.m, i), &sink, &lsn);
        cr_assert_eq(lsn, shard_lsn(machine_shard(w.m, i)));
    }
    bool all = false;
    for (uint64_t round = 0; !all; round++) { /* life between the slices */
        live(&w, 100 + round, 20);
        all = true;
        for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
            static bool complete[LOGICAL_SHARDS];
            if (!complete[i]) complete[i] = shard_snapshot_step(machine_shard(w.m, i), 1);
            all &= complete[i];
        }
    }
    struct shard *shards[LOGICAL_SHARDS];
    fresh_shards(&w, shards);
    restore_all(&frames, shards);
    struct effects out;
    struct arena scratch;
    effects_init(&out), arena_init(&scratch);
    replay(slice_of(w.tap.log.p + cut, w.tap.log.n - cut), shards, &out, &scratch);
    assert_same(&w, shards);
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) shard_destroy(shards[i]);
    effects_free(&out), arena_free(&scratch);
    world_close(&w);
}

Test(shard, a_snapshot_is_whole_however_many_were_abandoned_before_it)
{
    struct world w;
    world_open(&w);
    live(&w, 11, 400);
    static struct frames frames;
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        struct frame_target target = {&frames, i};
        struct snapshot_sink sink = {&target, put_frame_of};
        uint64_t lsn;
        for (uint32_t n = 0; n < UINT8_MAX; n++) { /* the next one has the epoch that the rows had at first */
            shard_snapshot_begin(machine_shard(w.m, i), &sink, &lsn);
            shard_snapshot_abandon(machine_shard(w.m, i));
        }
        buf_clear(&frames.b[i]);
        shard_snapshot_begin(machine_shard(w.m, i), &sink, &lsn);
        while (!shard_snapshot_step(machine_shard(w.m, i), 100)) {
        }
    }
    struct shard *shards[LOGICAL_SHARDS];
    fresh_shards(&w, shards);
    restore_all(&frames, shards);
    assert_same(&w, shards);
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) shard_destroy(shards[i]);
    world_close(&w);
}
