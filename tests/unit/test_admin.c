/* The whole engine, seen from its two sockets: MessagePack-RPC and Forward. */
#include "tests/unit/engine_kit.h"

TestSuite(admin, .init = begin, .fini = end, .timeout = 60);

/* ---- the protocol ------------------------------------------------------------------------------------------ */

Test(admin, an_unknown_method_is_answered_with_the_nearest_name)
{
    int fd = dial(admin_path);
    struct answer a = call0(fd, "stats.gett");
    struct slice message;
    cr_assert(text_is(map_get(a.error, "name"), "unknown_method"));
    cr_assert(object_text(map_get(a.error, "message"), &message) &&
              memmem(message.p, message.n, "stats.get", 9));
    forget(&a);
    close(fd);
}

Test(admin, byte_by_byte_pipelined_and_bin_names_are_the_same_request)
{
    int fd = dial(admin_path);
    struct buf b = {0};
    pk_t pk;
    for (uint32_t id = 1; id <= 40; id++) { /* more than are run at once */
        pk_init(&pk, &b);
        pk_list(&pk, 4);
        pk_uint(&pk, 0);
        pk_uint(&pk, id);
        msgpack_pack_bin(&pk, 9);
        msgpack_pack_bin_body(&pk, "sys.hello", 9);
        pk_list(&pk, 0);
    }
    for (size_t i = 0; i < b.n; i++) {
        cr_assert_eq(write(fd, b.p + i, 1), 1);
        if (i % 64 == 0) usleep(200);
    }
    uint64_t seen = 0;
    for (uint32_t id = 1; id <= 40; id++) {
        struct answer a = read_answer(fd);
        cr_assert_eq(a.error->type, MSGPACK_OBJECT_NIL);
        seen |= 1ull << a.id->via.u64;
        forget(&a);
    }
    cr_assert_eq(seen, (1ull << 41) - 2, "each answered once");
    buf_free(&b);
    close(fd);
}

Test(admin, a_notification_is_ignored_and_garbage_closes)
{
    int fd = dial(admin_path);
    struct buf b = {0};
    pk_t pk;
    pk_init(&pk, &b);
    pk_list(&pk, 3);
    pk_uint(&pk, 2);
    pk_text(&pk, "nobody.knows");
    pk_list(&pk, 0);
    put(fd, &b);
    struct answer a = call0(fd, "sys.hello");
    cr_assert_eq(number(a.result, "logical_shards", NULL), LOGICAL_SHARDS);
    forget(&a);
    cr_assert_eq(write(fd, "\xc1", 1), 1);
    struct buf nothing = take(fd);
    cr_assert_eq(nothing.n, 0);
    buf_free(&nothing);
    buf_free(&b);
    close(fd);
}

Test(admin, a_frame_that_claims_too_much_closes_before_it_is_sent)
{
    int fd = dial(admin_path);
    static uint8_t head[] = {0x94, 0, 1, 0xa1, 'x', 0x91, 0xc6, 0x7f, 0xff, 0xff, 0xff}; /* a bin of 2 GiB */
    static uint8_t zeros[4096];
    cr_assert_eq(write(fd, head, sizeof head), (ssize_t)sizeof head);
    size_t sent = 0;
    while (sent < 8 << 20) {
        ssize_t n = send(fd, zeros, sizeof zeros, MSG_NOSIGNAL);
        if (n <= 0) break;
        sent += (size_t)n;
    }
    cr_assert(sent < 8 << 20, "closed at about a frame's limit");
    close(fd);
}

Test(admin, stats_have_the_keys_that_users_rely_on)
{
    static const char *const keys[] = {
        "events",  "profiles",    "segments",     "segments_building", "journeys", "timers",
        "actions", "outbox",      "wal",          "snapshot",          "recovery", "latency_us",
        "loop",    "ring",        "identity",     "history",           "memory",   "clock",
        "disk",    "definitions", "core_version", "io_backend",        "uptime_s"};
    int fd = dial(admin_path);
    struct answer a = call0(fd, "stats.get");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        cr_assert(map_get(a.result, keys[i]), "%s", keys[i]);
    forget(&a);
    close(fd);
}

Test(admin, wrong_parameters_say_which_are_right)
{
    int fd = dial(admin_path);
    struct answer a = call0(fd, "profile.get");
    cr_assert(text_is(map_get(a.error, "name"), "bad_params"));
    forget(&a);
    a = call1(fd, "profile.get", "nobody");
    cr_assert(text_is(map_get(a.error, "name"), "not_found"));
    forget(&a);
    a = call1(fd, "query.count", "profile.");
    cr_assert(text_is(map_get(a.error, "name"), "bad_expression"));
    forget(&a);
    close(fd);
}

/* ---- events ---------------------------------------------------------------------------------------------------- */

Test(admin, after_the_ack_you_read_your_own_writes)
{
    int in = dial(ingest_path), fd = dial(admin_path);
    for (uint32_t round = 0; round < 20; round++) {
        send_events(in, round * 100, 100, "chunk-id", round % 2, false);
        expect_ack(in, "chunk-id", round % 2);
        struct answer a = call0(fd, "stats.get");
        cr_assert_eq(number(a.result, "events", "applied"), (round + 1) * 100);
        cr_assert_eq(number(a.result, "wal", "lsn"), number(a.result, "wal", "durable_lsn"));
        forget(&a);
    }
    close(in);
    close(fd);
}

Test(admin, acks_come_in_the_order_of_the_chunks)
{
    int in = dial(ingest_path);
    char id[16];
    for (uint32_t i = 0; i < 200; i++) {
        snprintf(id, sizeof id, "c%u", i);
        send_events(in, i * 7, i % 50, id, false, i % 3 == 0);
    }
    for (uint32_t i = 0; i < 200; i++) {
        snprintf(id, sizeof id, "c%u", i);
        expect_ack(in, id, false);
    }
    close(in);
}

Test(admin, an_ack_waits_for_the_merges_its_chunk_caused)
{
    int in = dial(ingest_path), fd = dial(admin_path);
    send_events(in, 0, 300, "merge", false, true);
    expect_ack(in, "merge", false);
    struct answer a = call0(fd, "stats.get");
    cr_assert_eq(number(a.result, "identity", "pending"), 0);
    cr_assert_eq(number(a.result, "events", "applied"), 300);
    cr_assert_eq(number(a.result, "ring", "credit_exhausted"), 0);
    forget(&a);
    a = call1(fd, "profile.get", "anon:a17");
    cr_assert(text_is(map_get(a.result, "user_id"), "u17"));
    forget(&a);
    close(in);
    close(fd);
}

Test(admin, state_is_the_same_after_a_stop_whatever_the_number_of_threads)
{
    int in = dial(ingest_path), fd = dial(admin_path);
    send_events(in, 0, 500, "x", false, true);
    expect_ack(in, "x", false);
    struct answer before = call0(fd, "sys.state_hash");
    close(in);
    close(fd);
    stop();
    start(3);
    fd = dial(admin_path);
    struct answer after = call0(fd, "sys.state_hash");
    struct slice a, b;
    cr_assert(object_text(map_get(before.result, "hash"), &a) &&
              object_text(map_get(after.result, "hash"), &b));
    cr_assert(slice_eq(a, b));
    forget(&before);
    forget(&after);
    close(fd);
}

/* ---- the test clock ---------------------------------------------------------------------------------------------- */

Test(admin, the_test_clock_goes_forward_only_and_survives_a_restart)
{
    int fd = dial(admin_path);
    struct answer a = call1(fd, "clock.advance", "2026-03-01T13:00:00Z");
    cr_assert_eq(number(a.result, "now", NULL), NOON_S + 3600);
    forget(&a);
    a = call1(fd, "clock.advance", NOON);
    cr_assert(text_is(map_get(a.error, "name"), "backwards"));
    forget(&a);
    close(fd);
    stop();
    start(1);
    fd = dial(admin_path);
    a = call0(fd, "stats.get");
    cr_assert_eq(number(a.result, "clock", "now"), NOON_S + 3600, "the log remembers");
    forget(&a);
    close(fd);
}

/* {key: text, ...} pairs until NULL; a value of digits only is a number. */
static void send_named(int fd, uint32_t id, const char *method, const char *const *pairs)
{
    struct buf b = {0};
    pk_t pk;
    uint32_t n = 0;
    while (pairs[n]) n += 2;
    request_head(&pk, &b, id, method, 1);
    pk_map(&pk, n / 2);
    for (uint32_t i = 0; i < n; i += 2) {
        char *end;
        unsigned long value = strtoul(pairs[i + 1], &end, 10);
        pk_text(&pk, pairs[i]);
        *end ? pk_text(&pk, pairs[i + 1]) : pk_uint(&pk, value);
    }
    put(fd, &b);
    buf_free(&b);
}
#define SEND(fd, id, method, ...) send_named(fd, id, method, (const char *const[]){__VA_ARGS__, NULL})

static bool nothing_comes(int fd, uint32_t ms)
{
    struct timeval before, wait = {0, ms * 1000};
    socklen_t n = sizeof before;
    uint8_t byte;
    getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &before, &n);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    bool nothing = recv(fd, &byte, 1, MSG_PEEK) < 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &before, sizeof before);
    return nothing;
}

Test(admin, the_clock_waits_for_the_events_that_after_names)
{
    int fd = dial(admin_path), in = dial(ingest_path);
    SEND(fd, 1, "clock.advance", "by", "1h", "after", "60");
    cr_assert(nothing_comes(fd, 200), "it did not wait");
    send_events(in, 0, 40, "a", false, false);
    expect_ack(in, "a", false);
    cr_assert(nothing_comes(fd, 200), "it did not wait for all");
    send_events(in, 40, 20, "b", false, false);
    struct answer a = read_answer(fd);
    cr_assert_eq(number(a.result, "now", NULL), NOON_S + 3600);
    forget(&a);
    expect_ack(in, "b", false);
    a = call0(fd, "stats.get");
    cr_assert_eq(number(a.result, "events", "applied"), 60);
    forget(&a);
    close(in);
    close(fd);
}

Test(admin, the_clock_says_so_when_after_is_never_reached)
{
    int fd = dial(admin_path);
    SEND(fd, 1, "clock.advance", "by", "1h", "after", "1");
    struct answer a = read_answer(fd);
    cr_assert(text_is(map_get(a.error, "name"), "after_not_reached"));
    forget(&a);
    a = call0(fd, "stats.get");
    cr_assert_eq(number(a.result, "clock", "now"), NOON_S, "the clock has not moved");
    forget(&a);
    close(fd);
}

/* ---- request ids ---------------------------------------------------------------------------------------------------- */

Test(admin, a_repeated_request_has_one_effect_and_the_first_answer)
{
    int fd = dial(admin_path), other = dial(admin_path);
    SEND(fd, 1, "clock.advance", "by", "1h", "request_id", "first");
    SEND(fd, 2, "clock.advance", "by", "1h", "request_id", "first"); /* while it runs */
    for (uint32_t i = 0; i < 2; i++) {
        struct answer a = read_answer(fd);
        cr_assert_eq(number(a.result, "now", NULL), NOON_S + 3600);
        forget(&a);
    }
    SEND(other, 9, "clock.advance", "by", "1h", "request_id", "first"); /* from elsewhere, later */
    struct answer a = read_answer(other);
    cr_assert_eq(number(a.result, "now", NULL), NOON_S + 3600);
    forget(&a);
    SEND(fd, 3, "clock.advance", "by", "2h", "request_id", "first");
    a = read_answer(fd);
    cr_assert(text_is(map_get(a.error, "name"), "request_id_reused"));
    forget(&a);
    SEND(fd, 4, "clock.advance", "by", "1h", "request_id", "second");
    a = read_answer(fd);
    cr_assert_eq(number(a.result, "now", NULL), NOON_S + 7200);
    forget(&a);
    close(fd);
    close(other);
}

Test(admin, a_request_that_failed_runs_again_with_the_same_id)
{
    int fd = dial(admin_path), in = dial(ingest_path);
    SEND(fd, 1, "clock.advance", "by", "1h", "after", "1", "request_id", "retry");
    struct answer a = read_answer(fd);
    cr_assert(text_is(map_get(a.error, "name"), "after_not_reached"));
    forget(&a);
    send_events(in, 0, 1, "a", false, false);
    expect_ack(in, "a", false);
    SEND(fd, 1, "clock.advance", "by", "1h", "after", "1", "request_id", "retry");
    a = read_answer(fd);
    cr_assert_eq(number(a.result, "now", NULL), NOON_S + 3600);
    forget(&a);
    close(in);
    close(fd);
}

static void enroll(int fd, const char *request_id)
{
    SEND(fd, 1, "journey.control", "command", "enroll", "name", "hello", "id", "u1", "request_id",
         request_id);
    struct answer a = read_answer(fd);
    cr_assert_eq(a.error->type, MSGPACK_OBJECT_NIL);
    forget(&a);
}

static uint64_t entered(int fd)
{
    struct answer a = call0(fd, "stats.get");
    uint64_t n = number(map_get(map_get(a.result, "journeys"), "hello"), "entered", NULL);
    forget(&a);
    return n;
}

Test(admin, an_enrolment_is_not_repeated_after_a_restart_either)
{
    int fd = dial(admin_path), in = dial(ingest_path);
    apply_text(fd, "channels: {email: {consent: not_needed}}\n"
                   "journeys:\n"
                   "  hello:\n"
                   "    state: live\n"
                   "    trigger: {event: Hello}\n"
                   "    reentry: always\n"
                   "    steps: [{send: {id: hi, channel: email, template: hi}}]\n"
                   "events: {Hello: {keep: 1d}}\n");
    send_events(in, 1, 1, "a", false, false);
    expect_ack(in, "a", false);
    enroll(fd, "one");
    enroll(fd, "one");
    cr_assert_eq(entered(fd), 1);
    enroll(fd, "two");
    cr_assert_eq(entered(fd), 2, "another request enrols again");
    close(in);
    close(fd);
    stop();
    start(1);
    fd = dial(admin_path);
    enroll(fd, "one");
    enroll(fd, "two");
    cr_assert_eq(entered(fd), 2, "remembered across the restart");
    enroll(fd, "three");
    cr_assert_eq(entered(fd), 3);
    close(fd);
}

/* ---- documentation --------------------------------------------------------------------------------------------------- */

Test(documentation, every_method_is_in_admin_md_with_its_parameters)
{
    static char text[1 << 18];
    FILE *f = fopen(HG_TEST_DATA "/../../io/ADMIN.md", "r");
    cr_assert(f != NULL);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    for (uint32_t i = 0; i < admin_method_count; i++) {
        const struct method *m = &admin_methods[i];
        char heading[128], params[300];
        snprintf(heading, sizeof heading, "\n### %s\n", m->name);
        const char *at = strstr(text, heading);
        cr_assert(at != NULL, "%s has no heading", m->name);
        const char *end = strstr(at + 1, "\n### ");
        snprintf(params, sizeof params, "`[%s]`", m->params);
        const char *said = strstr(at, params), *example = strstr(at, "hourglass call ");
        cr_assert(said && (!end || said < end), "%s: parameters are not %s", m->name, params);
        cr_assert(example && (!end || example < end), "%s has no example", m->name);
        const char *changes = strstr(at, "Changes state");
        cr_assert_eq(m->changes_state, changes && (!end || changes < end), "%s: changes state?", m->name);
    }
}
