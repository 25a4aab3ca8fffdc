/* The sender's order (io/order.h): random streams in which people are known by several ids give the same shards and the same
 * actions as core/machine.h, whatever the size of chunks and the number of threads. */
#include "core/machine.h"
#include "tests/unit/engine_kit.h"
#include "tests/unit/mp_text.h"

enum { STOPS = 6, PER_STOP = 500, RECORDS = STOPS * PER_STOP, STEP_S = 1800, END_S = NOON_S + 9 * 86400 };

static const char DEFINITIONS[] =
    "events:\n  Order: {keep: 30d, cap: 16, properties: {total: number}}\n"
    "attributes:\n  email: {type: string, identifies: true}\n  color: string\n"
    "channels:\n  crm: {consent: not_needed, caps: 30 per 1d}\n"
    "segments:\n  buyer: count(\"Order\") > 2\n  red: profile.color == \"red\"\n"
    "journeys:\n"
    "  thanks: {trigger: {event: Order}, reentry: always, exit: [{after: 9d}], steps: [{send: {id: now, "
    "channel: crm, "
    "template: t, vars: {color: =profile.color, total: =trigger.total}}}, {wait: 1h}, "
    "{send: {id: later, channel: crm, template: u, vars: {color: =profile.color}}}]}\n"
    "  red: {trigger: {segment_entered: red}, reentry: always, exit: [{segment_left: red}], steps: [{wait: "
    "20m}, "
    "{send: {id: red, channel: crm, template: v}}]}\n";

/* ---- a random stream ------------------------------------------------------------------------------------------- */

static struct slice records[RECORDS];
static uint64_t random_state;

static uint32_t below(uint32_t n)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(random_state >> 33) % n;
}

static int put_ids(char *to, size_t room, uint32_t people)
{
    uint32_t user = below(people), anonymous = user * 3 + below(3);
    if (below(20) == 0) anonymous = below(people * 3); /* perhaps somebody else's */
    switch (below(6)) {
    case 0: return snprintf(to, room, "'userId': 'u%u', 'anonymousId': 'a%u'", user, anonymous);
    case 1: return snprintf(to, room, "'context': {'traits': {'email': 'e%u@x.org'}}", user);
    case 2:
    case 3: return snprintf(to, room, "'userId': 'u%u'", user);
    default: return snprintf(to, room, "'anonymousId': 'a%u'", anonymous);
    }
}

static struct slice message(uint32_t n, uint32_t people)
{
    static const char *const colors[] = {"red", "green", "blue"};
    char text[400], ids[120];
    uint32_t kind = below(10), user = below(people);
    put_ids(ids, sizeof ids, people);
    const char *color = colors[below(3)];
    if (kind == 0)
        snprintf(text, sizeof text,
                 "{'type': 'identify', 'messageId': 'm%u', 'userId': 'u%u', "
                 "'traits': {'email': 'e%u@x.org', 'color': '%s'}}",
                 n, user, below(8) ? user : below(people), color);
    else if (kind == 1)
        snprintf(text, sizeof text,
                 "{'type': 'alias', 'messageId': 'm%u', 'userId': 'u%u', 'previousId': 'a%u'}", n, user,
                 user * 3 + below(3));
    else if (kind <= 3)
        snprintf(text, sizeof text, "{'type': 'identify', 'messageId': 'm%u', %s, 'traits': {'color': '%s'}}",
                 n, ids, color);
    else
        snprintf(text, sizeof text,
                 "{'type': 'track', 'event': 'Order', 'messageId': 'm%u', %s, 'properties': {'total': %u}}",
                 below(40) ? n : n / 2, ids, n);
    return mp_text(text);
}

static void make_stream(uint64_t seed, uint32_t people)
{
    random_state = seed;
    for (uint32_t i = 0; i < RECORDS; i++) records[i] = message(i, people);
}

static uint32_t second_of(uint32_t stop) { return NOON_S + (stop + 1) * STEP_S; }

/* ---- by the machine ------------------------------------------------------------------------------------------------ */

struct outcome {
    struct key hash[LOGICAL_SHARDS];
    struct buf actions[LOGICAL_SHARDS]; /* in order of creation */
    uint64_t merged, conflicts, created;
};

static void look_at(struct shard *s, struct outcome *o)
{
    uint32_t i = shard_index(s);
    struct action a = {0};
    o->hash[i] = shard_hash(s);
    while (outbox_next(shard_outbox(s), a.sequence, &a)) {
        buf_put_le32(&o->actions[i], a.created_at);
        buf_put_slice(&o->actions[i], a.content);
        o->created++;
    }
    o->merged += shard_counters(s)->merged;
    o->conflicts += shard_counters(s)->conflicts;
    cr_assert_eq(shard_pending_merges(s), 0);
}

static struct outcome by_machine(void)
{
    static struct defset *set;
    struct source_file file = {SLICE("shop.yaml"), slice_str(DEFINITIONS)};
    struct diagnostics d;
    struct outcome o = {0};
    struct hash_secret secret;
    uint8_t seed[16];
    diagnostics_init(&d);
    set = defset_compile(&file, 1, NULL, NULL, &d);
    cr_assert_not_null(set);
    for (uint32_t i = 0; i < 16; i++) seed[i] = (uint8_t)(i * 0x11);
    hash_secret_from_seed(&secret, slice_of(seed, sizeof seed));
    struct machine_config config = {.set = set, .secret = &secret, .start = NOON_S};
    struct machine *m = machine_create(&config);
    for (uint32_t stop = 0; stop < STOPS; stop++) {
        machine_advance(m, second_of(stop));
        for (uint32_t i = stop * PER_STOP; i < (stop + 1) * PER_STOP; i++)
            machine_event(m, records[i], (int64_t)second_of(stop) * 1000);
    }
    machine_advance(m, END_S);
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) look_at(machine_shard(m, i), &o);
    machine_destroy(m);
    diagnostics_free(&d);
    return o;
}

/* ---- in life --------------------------------------------------------------------------------------------------------- */

static void in_order(struct options *o) { o->order = "sender"; }

static void advance(int fd, uint32_t to)
{
    struct buf b = {0};
    pk_t pk;
    request_head(&pk, &b, 1, "clock.advance", 1);
    pk_map(&pk, 1);
    pk_key_uint(&pk, "to", to);
    put(fd, &b);
    buf_free(&b);
    struct answer a = read_answer(fd);
    cr_assert_eq(a.error->type, MSGPACK_OBJECT_NIL);
    forget(&a);
}

/* All chunks of a second are on their way before the first ack is looked for. */
static void send_stop(int in, uint32_t stop, uint32_t chunk)
{
    uint32_t first = stop * PER_STOP, end = first + PER_STOP, sent = 0;
    for (uint32_t at = first; at < end; at += chunk, sent++)
        send_records(in, records + at, chunk < end - at ? chunk : end - at, second_of(stop), "c");
    while (sent--) expect_ack(in, "c", false);
}

/* Half of it with `threads`, then a restart with `later` (0: none). */
static struct outcome in_life(uint32_t threads, uint32_t later, uint32_t chunk)
{
    struct outcome o = {0};
    adjust = in_order;
    make_directory();
    start(threads);
    int fd = dial(admin_path), in = dial(ingest_path);
    apply_text(fd, DEFINITIONS);
    for (uint32_t stop_number = 0; stop_number < STOPS; stop_number++) {
        if (later && stop_number == STOPS / 2) {
            close(in);
            close(fd);
            stop();
            start(later);
            fd = dial(admin_path), in = dial(ingest_path);
        }
        advance(fd, second_of(stop_number));
        send_stop(in, stop_number, chunk);
    }
    advance(fd, END_S);
    close(in);
    close(fd);
    halt();
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) look_at(engine.shards[i], &o);
    close_engine();
    remove_directory();
    return o;
}

static void expect_same(const struct outcome *found, const struct outcome *wanted, const char *what)
{
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        cr_assert(slice_eq(buf_slice(&found->actions[i]), buf_slice(&wanted->actions[i])),
                  "%s: the actions of shard %u", what, i);
        cr_assert(key_eq(found->hash[i], wanted->hash[i]), "%s: the state of shard %u", what, i);
    }
}

static void compare(uint64_t seed, uint32_t people, uint32_t threads, uint32_t later)
{
    static const uint32_t chunks[] = {PER_STOP, 1, 7, 64};
    make_stream(seed, people);
    struct outcome wanted = by_machine();
    cr_assert(wanted.merged > people && wanted.conflicts > 5 && wanted.created > 100,
              "seed %lu: %lu merges, %lu conflicts, %lu actions: too little was compared",
              (unsigned long)seed, (unsigned long)wanted.merged, (unsigned long)wanted.conflicts,
              (unsigned long)wanted.created);
    for (uint32_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
        char what[100];
        snprintf(what, sizeof what, "seed %lu, %u people, %u then %u threads, chunks of %u",
                 (unsigned long)seed, people, threads, later, chunks[i]);
        struct outcome found = in_life(threads, later, chunks[i]);
        expect_same(&found, &wanted, what);
    }
}

TestSuite(order, .timeout = 120);
Test(order, one_thread_equals_the_machine) { compare(1, 40, 1, 0); }
Test(order, two_threads_equal_the_machine) { compare(2, 40, 2, 0); }
Test(order, four_threads_equal_the_machine) { compare(3, 40, 4, 0); }
Test(order, one_thread_then_two_equal_the_machine) { compare(4, 40, 1, 2); }
Test(order, few_people_with_many_ties_equal_the_machine) { compare(5, 12, 2, 3); }
