/* Two ids of one person on two workers at full speed (--order arrival): what is parked, what is too large to move, who was
 * there first; and that the log alone brings back the same state. */
#include "tests/unit/engine_kit.h"
#include "tests/unit/mp_text.h"

#include <stdarg.h>

enum { MANY = 5001, FAT_BYTES = 9000 };

static const char DEFINITIONS[] = "attributes: {number: number}\n"
                                  "events: {Order: {keep: 30d, properties: {note: string}}}\n"
                                  "segments: {buyer: count(\"Order\") > 0}\n";
static struct slice records[MANY];

static void keep_log(struct options *o) { o->log_keep_all = true; }

static int admin, in;
static void open_two(void)
{
    /* Tiny limits: thousands of messages of one second are more than the window of seen ones holds; they count as late. */
    if ((int)DEDUP_ENTRIES_MAX < (int)MANY)
        cr_skip_test("the tiny window of seen messages forgets what is counted here");
    adjust = keep_log;
    begin();
    admin = dial(admin_path);
    in = dial(ingest_path);
    apply_text(admin, DEFINITIONS);
}
static void close_two(void)
{
    if ((int)DEDUP_ENTRIES_MAX < (int)MANY) return;
    close(admin);
    close(in);
    end();
}
TestSuite(merge, .init = open_two, .fini = close_two, .timeout = 60);

static struct slice record(const char *format, ...) __attribute__((format(printf, 1, 2)));
static struct slice record(const char *format, ...)
{
    static char text[FAT_BYTES + 400];
    va_list list;
    va_start(list, format);
    cr_assert_lt(vsnprintf(text, sizeof text, format, list), (int)sizeof text);
    va_end(list);
    return mp_text(text);
}

static uint64_t figure(const char *part, const char *field)
{
    struct answer a = call0(admin, "stats.get");
    uint64_t n = number(a.result, part, field);
    forget(&a);
    return n;
}

static uint32_t worker_of(enum id_kind kind, const char *id)
{
    return key_shard(hash_id(&engine.dir.secret, kind, slice_str(id))) % 2;
}

/* The first id PREFIX0, PREFIX1, ... that lives on that worker. */
static const char *id_on(uint32_t worker, enum id_kind kind, const char *prefix, char *to)
{
    for (uint32_t i = 0;; i++) {
        sprintf(to, "%s%u", prefix, i);
        if (worker_of(kind, to) == worker) return to;
    }
}

static struct key state(void)
{
    struct buf all = {0};
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        struct key k = shard_hash(engine.shards[i]);
        buf_put(&all, &k, sizeof k);
    }
    struct key k = hash128_plain(all.p, all.n);
    buf_free(&all);
    return k;
}

static int remove_file(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    return at->level ? remove(path) : 0;
}

/* Stops, forgets the snapshots and starts again from the log alone. */
static void expect_replay_gives_the_same(void)
{
    char snapshots[80];
    close(admin);
    close(in);
    halt();
    struct key before = state();
    close_engine();
    snprintf(snapshots, sizeof snapshots, "%s/snapshot", directory);
    cr_assert_eq(nftw(snapshots, remove_file, 16, FTW_DEPTH | FTW_PHYS), 0);
    start(2);
    cr_assert(key_eq(state(), before), "another state from the log");
    admin = dial(admin_path);
    in = dial(ingest_path);
}

/* ---- parked records ----------------------------------------------------------------------------------------------- */

/* A new pair over two workers and `count` more records of the user behind it, in one chunk: all wait for the other half and
 * are released a slice at a time, in their order. */
static void park(uint32_t count)
{
    char user[20], anonymous[20];
    id_on(0, ID_USER, "u", user);
    id_on(1, ID_ANONYMOUS, "a", anonymous);
    records[0] =
        record("{'type': 'page', 'messageId': 'm', 'userId': '%s', 'anonymousId': '%s'}", user, anonymous);
    for (uint32_t i = 1; i <= count; i++)
        records[i] = record(
            "{'type': 'identify', 'messageId': 'm%u', 'userId': '%s', 'traits': {'number': %u}}", i, user, i);
    send_records(in, records, count + 1, NOON_S, "c");
    expect_ack(in, "c", false);
    cr_assert_eq(figure("events", "applied"), count + 1);
    cr_assert_eq(figure("identity", "pending"), 0);
    struct answer a = call1(admin, "profile.get", user);
    const msgpack_object *last = map_get(map_get(a.result, "attributes"), "number");
    cr_assert(last && last->type == MSGPACK_OBJECT_FLOAT64 && last->via.f64 == count, "the last one stands");
    forget(&a);
    uint32_t home = key_shard(hash_id(&engine.dir.secret, ID_USER, slice_str(user)));
    close(admin);
    close(in);
    halt();
    uint64_t slices = shard_last_received(engine.shards[home], (uint8_t)home); /* messages to itself */
    cr_assert(slices >= count / UNPARKED_PER_RECORD - 1, "only %lu slices: too little was parked",
              (unsigned long)slices);
    close_engine();
    start(2);
    admin = dial(admin_path);
    in = dial(ingest_path);
}

Test(merge, two_thousand_five_hundred_parked_records_are_all_applied_in_order) { park(2500); }

Test(merge, five_thousand_parked_records_are_all_applied_and_replay_gives_the_same)
{
    park(5000);
    expect_replay_gives_the_same();
    cr_assert_eq(figure("events", "applied"), 5001);
}

/* ---- halves -------------------------------------------------------------------------------------------------------- */

static struct slice order(const char *ids, uint32_t number, const char *note)
{
    return record("{'type': 'track', 'event': 'Order', 'messageId': 'o%u', %s, 'properties': {'note': '%s'}}",
                  number, ids, note);
}

static void send_fat_history(const char *ids, uint32_t count)
{
    static char note[FAT_BYTES + 1];
    memset(note, 'x', FAT_BYTES);
    for (uint32_t i = 0; i < count; i++) records[i] = order(ids, i, note);
    send_records(in, records, count, NOON_S, "fat");
    expect_ack(in, "fat", false);
}

Test(merge, a_half_above_two_megabytes_stays_and_counts_as_a_conflict)
{
    char user[20], anonymous[20], ids[60];
    id_on(0, ID_USER, "u", user);
    id_on(1, ID_ANONYMOUS, "a", anonymous);
    snprintf(ids, sizeof ids, "'anonymousId': '%s'", anonymous);
    send_fat_history(ids, 250);
    records[0] =
        record("{'type': 'page', 'messageId': 'm', 'userId': '%s', 'anonymousId': '%s'}", user, anonymous);
    send_records(in, records, 1, NOON_S, "c");
    expect_ack(in, "c", false);
    cr_assert_eq(figure("identity", "conflict"), 1);
    cr_assert_eq(figure("identity", "merged"), 0);
    cr_assert_eq(figure("identity", "pending"), 0);
    cr_assert_eq(figure("profiles", "total"), 2);
    struct answer a = call1(admin, "profile.get", anonymous);
    cr_assert_eq(number(map_get(map_get(a.result, "events"), "Order"), "count", NULL), 250,
                 "it keeps its history");
    forget(&a);
    expect_replay_gives_the_same();
}

Test(merge, a_first_burst_larger_than_the_young_log_file_is_acknowledged_and_stays)
{
    send_fat_history("'userId': 'u1'", 600); /* 5.4 MB in one chunk; the first file has 4 MiB */
    cr_assert_eq(figure("events", "applied"), 600);
    expect_replay_gives_the_same();
    cr_assert_eq(figure("events", "applied"), 600);
}

/* ---- who was there first ---------------------------------------------------------------------------------------------- */

Test(merge, a_pair_that_belongs_to_another_user_is_a_conflict_and_holds_nobody_up)
{
    char first[20], second[20], anonymous[20];
    enum { TRIES = 500 };
    id_on(0, ID_USER, "first", first);
    id_on(0, ID_USER, "second", second);
    id_on(1, ID_ANONYMOUS, "a", anonymous);
    records[0] =
        record("{'type': 'page', 'messageId': 'm', 'userId': '%s', 'anonymousId': '%s'}", first, anonymous);
    send_records(in, records, 1, NOON_S, "c");
    expect_ack(in, "c", false);
    for (uint32_t i = 0; i < TRIES; i++)
        records[i] = record("{'type': 'page', 'messageId': 'm%u', 'userId': '%s', 'anonymousId': '%s'}", i,
                            second, anonymous);
    send_records(in, records, TRIES, NOON_S, "d");
    expect_ack(in, "d", false);
    cr_assert_eq(figure("events", "applied"), TRIES + 1);
    cr_assert(figure("identity", "conflict") >= 1);
    cr_assert_eq(figure("identity", "pending"), 0);
    struct answer a = call1(admin, "profile.get", first);
    cr_assert_eq(map_get(a.result, "anonymous_ids")->via.array.size, 1, "it stays where it was");
    forget(&a);
    a = call1(admin, "profile.get", second);
    cr_assert_eq(map_get(a.result, "anonymous_ids")->via.array.size, 0);
    cr_assert_eq(number(map_get(map_get(a.result, "events"), "page"), "count", NULL), TRIES);
    forget(&a);
    expect_replay_gives_the_same();
}

/* ---- definitions meanwhile --------------------------------------------------------------------------------------------- */

struct flood {
    pthread_t thread;
    _Atomic bool stop;
    uint32_t sent;
};

/* New pairs with an attribute that some sets declare and an event that strict ones refuse, chunk after chunk. */
static void *send_pairs(void *arg)
{
    struct flood *f = arg;
    enum { CHUNK = 100 };
    struct slice list[CHUNK];
    int fd = dial(ingest_path);
    while (!f->stop) {
        for (uint32_t i = 0; i < CHUNK; i++, f->sent++)
            list[i] =
                f->sent % 2
                    ? record("{'type': 'track', 'event': 'Nobody Declared', 'messageId': 'n%u', 'userId': "
                             "'n%u', 'anonymousId': 'b%u'}",
                             f->sent, f->sent, f->sent)
                    : record("{'type': 'identify', 'messageId': 'n%u', 'userId': 'n%u', 'anonymousId': "
                             "'b%u', 'traits': {'number': 1, 'extra': 'e%u'}}",
                             f->sent, f->sent, f->sent, f->sent);
        send_records(fd, list, CHUNK, NOON_S, "f");
        expect_ack(fd, "f", false);
    }
    close(fd);
    return NULL;
}

/* Every shard switches at its own moment, between records that are parked under one set and released under the next. */
Test(merge, sets_that_become_stricter_and_looser_under_load_replay_the_same)
{
    struct flood flood = {0};
    char text[400];
    pthread_create(&flood.thread, NULL, send_pairs, &flood);
    for (uint32_t i = 0; i < 20; i++) {
        snprintf(text, sizeof text, "strict: %s\n%s%s", i % 2 ? "true" : "false", DEFINITIONS,
                 i % 3 ? "lists: {}\n" : "");
        if (i % 3 == 1) snprintf(text, sizeof text, "attributes: {number: number, extra: string}\n");
        apply_text(admin, text);
    }
    flood.stop = true;
    pthread_join(flood.thread, NULL);
    cr_assert_eq(figure("events", "received"), flood.sent);
    cr_assert(figure("events", "rejected") > 0 && figure("events", "applied") > 0, "nothing was tested");
    expect_replay_gives_the_same();
    cr_assert_eq(figure("events", "received"), flood.sent);
}
