/* questions.c - commands that ask the server something and print the answer: as a table, or with --json as it came. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/hourglass/ask.h"
#include "tools/hourglass/commands.h"
#include "tools/hourglass/json.h"

#define SHOWN(slice) (int)(slice).n, (const char *)(slice).p

static int print_table(struct cli *c, struct slice reply, struct slice list, const char *const *columns)
{
    struct buf out = {0};
    if (c->json) return print_json(c, reply);
    view_table(list, columns, &out);
    put_out(&out);
    buf_free(&out);
    return EXIT_OK;
}

/* ---- stats --------------------------------------------------------------------------------------- */

static void print_scalars(struct slice map, const char *title, struct buf *out)
{
    if (items_of(map).left == 0) return;
    buf_printf(out, "%-12s", title);
    for (struct items i = items_of(map); items_next(&i);) {
        struct mp m = mp_of(i.value);
        if (mp_peek(&m) == MP_MAP || mp_peek(&m) == MP_ARRAY) continue;
        buf_put_str(out, " ");
        buf_put_slice(out, i.key);
        buf_put_str(out, " ");
        view_print(i.value, out);
    }
    buf_put_u8(out, '\n');
}

/* {name: number} with the names below each other. */
static void print_names(struct slice map, const char *title, struct buf *out)
{
    struct items i = items_of(map);
    if (i.left == 0) return;
    buf_printf(out, "%s\n", title);
    while (items_next(&i)) {
        buf_printf(out, "  %-28.*s ", (int)i.key.n, (const char *)i.key.p);
        view_print(i.value, out);
        buf_put_u8(out, '\n');
    }
}

static void print_journeys(struct slice map, struct buf *out)
{
    static const char *const COLUMNS[] = {"entered", "active",  "completed", "goal",
                                          "exited",  "timeout", "converted", "revenue"};
    enum { N = sizeof COLUMNS / sizeof *COLUMNS };
    struct items i = items_of(map);
    if (i.left == 0) return;
    buf_printf(out, "%-20s", "journeys");
    for (uint32_t k = 0; k < N; k++) buf_printf(out, "%10s", COLUMNS[k]);
    buf_put_u8(out, '\n');
    while (items_next(&i)) {
        buf_printf(out, "  %-18.*s", (int)i.key.n, (const char *)i.key.p);
        for (uint32_t k = 0; k < N; k++) {
            struct buf cell = {0};
            view_print(view(i.value, COLUMNS[k]), &cell);
            buf_printf(out, "%10.*s", (int)cell.n, (const char *)cell.p);
            buf_free(&cell);
        }
        buf_put_u8(out, '\n');
    }
}

int run_stats(struct cli *c)
{
    static const char *const GROUPS[] = {"events",   "profiles", "timers",  "actions",    "outbox", "wal",
                                         "snapshot", "identity", "history", "latency_us", "memory"};
    struct slice s = ask(c, "stats.get", NULL);
    struct buf out = {0};
    if (c->json) return print_json(c, s);
    for (uint32_t i = 0; i < sizeof GROUPS / sizeof *GROUPS; i++)
        print_scalars(view(s, GROUPS[i]), GROUPS[i], &out);
    print_names(view(s, "events.by_name"), "events by name", &out);
    print_names(view(s, "segments"), "segments", &out);
    print_names(view(s, "actions.suppressed"), "suppressed", &out);
    print_journeys(view(s, "journeys"), &out);
    print_scalars(s, "server", &out);
    put_out(&out);
    buf_free(&out);
    return EXIT_OK;
}

/* ---- one person ------------------------------------------------------------------------------------ */

static void print_person_events(struct slice events, struct buf *out)
{
    for (struct items i = items_of(events); items_next(&i);) {
        buf_printf(out, "  %-24.*s ", (int)i.key.n, (const char *)i.key.p);
        view_print(view(i.value, "count"), out);
        buf_put_str(out, view_int(i.value, "count") == 1 ? " time, first " : " times, first ");
        print_time(view(i.value, "first"), out);
        buf_put_str(out, ", last ");
        print_time(view(i.value, "last"), out);
        buf_put_u8(out, '\n');
    }
}

/* One line per item: its time under `at`, then the fields named. */
static void print_lines(struct slice list, const char *title, const char *at, const char *const *fields,
                        struct buf *out)
{
    struct items i = items_of(list);
    if (i.left == 0) return;
    buf_printf(out, "%s\n", title);
    while (items_next(&i)) {
        buf_put_str(out, "  ");
        print_time(view(i.value, at), out);
        for (const char *const *f = fields; *f; f++) {
            struct slice item = view(i.value, *f);
            if (item.n == 0 || item.p[0] == 0xc0) continue; /* absent, nil */
            buf_put_str(out, "  ");
            view_print(item, out);
        }
        buf_put_u8(out, '\n');
    }
}

static void print_one(struct slice item, const char *title, struct buf *out)
{
    if (is_nil(item) || items_of(item).left + view_text(item, "").n == 0) return;
    buf_printf(out, "%s ", title);
    view_print(item, out);
    buf_put_u8(out, '\n');
}

static void print_consent(struct slice list, struct buf *out)
{
    struct items i = items_of(list);
    if (i.left) buf_put_str(out, "consent (since)\n");
    while (items_next(&i)) {
        struct slice channel = view_text(i.value, "channel"), state = view_text(i.value, "state");
        buf_put_str(out, "  ");
        print_time(view(i.value, "at"), out);
        buf_printf(out, "  %.*s%s %.*s\n", (int)channel.n, (const char *)channel.p,
                   view_int(i.value, "topic") ? " for a topic" : "", (int)state.n, (const char *)state.p);
    }
}

static void print_profile(struct slice p, struct buf *out)
{
    static const char *const SEGMENT[] = {"name", NULL}, *const JOURNEY[] = {"name", "step", NULL},
                             *const DEFERRED[] = {"journey", "step", NULL};
    static const char *const MESSAGE[] = {"channel", "journey", "step", "state", "suppressed_reason", NULL};
    static const char *const RECENT[] = {"event", "properties", NULL};
    print_one(view(p, "user_id"), "user", out);
    print_one(view(p, "anonymous_ids"), "anonymous", out);
    buf_put_str(out, "attributes ");
    json_print(view(p, "attributes").n ? view(p, "attributes") : SLICE("\x80"), 0, out);
    buf_put_str(out, "\nevents\n");
    print_person_events(view(p, "events"), out);
    print_lines(view(p, "segments"), "segments (since)", "since", SEGMENT, out);
    print_one(view(p, "lists"), "lists", out);
    print_consent(view(p, "consent"), out);
    print_lines(view(p, "journeys"), "inside journeys (since)", "entered_at", JOURNEY, out);
    print_one(view(p, "holdouts"), "in the holdout of", out);
    print_lines(view(p, "deferred"), "messages that wait (until)", "until", DEFERRED, out);
    print_lines(view(p, "messages"), "messages", "at", MESSAGE, out);
    print_lines(view(p, "recent"), "recent events", "at", RECENT, out);
}

int run_profile(struct cli *c)
{
    struct request r = {0};
    struct buf out = {0};
    request_text(&r, "id", c->argv[0]);
    struct slice p = ask(c, "profile.get", &r);
    if (c->json) return print_json(c, p);
    print_profile(p, &out);
    put_out(&out);
    buf_free(&out);
    return EXIT_OK;
}

/* ---- segments, journeys, counts --------------------------------------------------------------------- */

/* user id, else anonymous id, then the columns asked for. */
static void print_member(struct slice member, struct buf *out)
{
    view_print(view_text(member, "user_id").n ? view(member, "user_id") : view(member, "anonymous_id"), out);
    for (struct items column = items_of(view(member, "columns")); items_next(&column);) {
        buf_put_u8(out, '\t');
        view_print(column.value, out);
    }
    buf_put_u8(out, '\n');
}

/* All pages, as one list of at most `most`. */
static uint64_t fetch_members(struct cli *c, uint64_t most, struct buf *list)
{
    struct rpc *rpc = rpc_connect(cli_setting(c, "admin"));
    uint64_t count = 0;
    for (int64_t after = 0; count < most;) {
        struct request r = {0};
        request_text(&r, "name", c->argv[0]);
        request_text(&r, "columns", cli_option(c, "columns"));
        request_int(&r, "after", after);
        struct slice page = rpc_call_or_die(rpc, "segment.members", &r);
        for (struct items i = items_of(view(page, "members")); count < most && items_next(&i); count++)
            buf_put_slice(list, i.value);
        after = view_int(page, "next");
        if (after == 0) break; /* nil; a page never leads back to the first */
    }
    rpc_close(rpc);
    return count;
}

static int segment_members(struct cli *c)
{
    struct buf list = {0}, reply = {0}, out = {0};
    const char *limit = cli_option(c, "limit");
    uint64_t count = fetch_members(c, limit ? parse_count("limit", limit) : UINT64_MAX, &list);
    buf_reserve(&reply, 32);
    uint8_t *end = mpw_array(mpw_str(mpw_map(reply.p, 1), SLICE("members")), (uint32_t)count);
    reply.n = (uint32_t)(end - reply.p);
    buf_put_slice(&reply, buf_slice(&list));
    int code = EXIT_OK;
    if (c->json)
        code = print_json(c, buf_slice(&reply));
    else
        for (struct items i = items_of(view(buf_slice(&reply), "members")); items_next(&i);)
            print_member(i.value, &out);
    put_out(&out);
    buf_free(&out);
    buf_free(&reply);
    buf_free(&list);
    return code;
}

static int print_count(struct cli *c, struct slice reply, const char *field)
{
    struct buf out = {0};
    if (c->json) return print_json(c, reply);
    view_print(view(reply, field), &out);
    buf_put_u8(&out, '\n');
    put_out(&out);
    buf_free(&out);
    return EXIT_OK;
}

static int segment_list(struct cli *c)
{
    static const char *const COLUMNS[] = {"name", "members", "description", NULL};
    struct slice reply = ask(c, "segment.list", NULL);
    return print_table(c, reply, reply, COLUMNS);
}

static int segment_count(struct cli *c)
{
    struct request r = {0};
    request_text(&r, "name", c->argv[0]);
    return print_count(c, ask(c, "segment.count", &r), "members");
}

static struct slice overlap_of(struct rpc *rpc, struct slice a, struct slice b)
{
    struct request r = {0};
    request_slice(&r, "a", a);
    request_slice(&r, "b", b);
    return rpc_call_or_die(rpc, "segment.overlap", &r);
}

/* "vip, buyers: 3 in both, 14 only in vip, 1 only in buyers" */
static void print_overlap(const struct cli *c, struct slice a, struct slice b, struct slice o,
                          struct buf *out)
{
    long long both = view_int(o, "both"), only_a = view_int(o, "only_a"), only_b = view_int(o, "only_b");
    if (!c->json) {
        buf_printf(out, "%.*s, %.*s: %lld in both, %lld only in %.*s, %lld only in %.*s\n", SHOWN(a),
                   SHOWN(b), both, only_a, SHOWN(a), only_b, SHOWN(b));
        return;
    }
    buf_put_str(out, out->n ? ",{\"a\":" : "[{\"a\":");
    json_print_text(a, out);
    buf_put_str(out, ",\"b\":");
    json_print_text(b, out);
    buf_printf(out, ",\"both\":%lld,\"only_a\":%lld,\"only_b\":%lld}", both, only_a, only_b);
}

/* Every two segments that share somebody. */
static void print_overlaps(struct cli *c, struct rpc *rpc, struct buf *out)
{
    struct slice list = ask(c, "segment.list", NULL);
    for (struct items i = items_of(list); items_next(&i);)
        for (struct items k = i; items_next(&k);) {
            struct slice a = view_text(i.value, "name"), b = view_text(k.value, "name"),
                         reply = overlap_of(rpc, a, b);
            if (view_int(reply, "both")) print_overlap(c, a, b, reply, out);
        }
    if (c->json)
        buf_put_str(out, out->n ? "]\n" : "[]\n");
    else if (!out->n)
        buf_put_str(out, "no two segments share anybody\n");
}

static int segment_overlap(struct cli *c)
{
    struct buf out = {0};
    if (c->argc == 1) cli_usage(c, "one segment alone overlaps nothing: name two of them, or none for all");
    struct rpc *rpc = rpc_connect(cli_setting(c, "admin"));
    struct slice a = slice_str(c->argc ? c->argv[0] : ""), b = slice_str(c->argc ? c->argv[1] : "");
    struct slice reply = c->argc ? overlap_of(rpc, a, b) : (struct slice){0};
    if (!c->argc)
        print_overlaps(c, rpc, &out);
    else if (c->json)
        print_json(c, reply);
    else
        print_overlap(c, a, b, reply, &out);
    put_out(&out);
    buf_free(&out);
    rpc_close(rpc);
    return EXIT_OK;
}

const struct word SEGMENT_WORDS[] = {{"list", "", segment_list, 0, 0},
                                     {"count", "NAME", segment_count, 1, 1},
                                     {"members", "NAME", segment_members, 1, 1},
                                     {"explain", "NAME ID", segment_explain, 2, 2},
                                     {"overlap", "[A B]", segment_overlap, 0, 2},
                                     {0}};

int run_count(struct cli *c)
{
    struct request r = {0};
    request_text(&r, "expression", c->argv[0]);
    return print_count(c, ask(c, "query.count", &r), "count");
}

/* ---- journeys ---------------------------------------------------------------------------------------- */

static int journey_list(struct cli *c)
{
    static const char *const COLUMNS[] = {"name",
                                          "state",
                                          "version",
                                          "counters.entered=entered",
                                          "counters.active=inside",
                                          "counters.goal=goal",
                                          "counters.exited=exited",
                                          "counters.timeout=timeout",
                                          "counters.completed=completed",
                                          "counters.converted=converted",
                                          "counters.revenue=revenue",
                                          "counters.held_out.entered=held out",
                                          NULL};
    struct slice reply = ask(c, "journey.list", NULL);
    return print_table(c, reply, reply, COLUMNS);
}

static void print_journey(struct slice j, struct buf *out)
{
    static const char *const STEP[] = {"id=step", "kind", NULL};
    struct slice name = view_text(j, "name"), state = view_text(j, "state"),
                 text = view_text(j, "description");
    buf_printf(out, "%.*s (%.*s, version %lld)\n", SHOWN(name), SHOWN(state),
               (long long)view_int(j, "version"));
    if (text.n) buf_printf(out, "%.*s\n", SHOWN(text));
    buf_put_u8(out, '\n');
    print_scalars(view(j, "counters"), "people", out);
    print_scalars(view(j, "counters.held_out"), "held out", out);
    buf_put_u8(out, '\n');
    view_table(view(j, "steps"), STEP, out);
}

static int journey_show(struct cli *c)
{
    struct request r = {0};
    struct buf out = {0};
    request_text(&r, "name", c->argv[0]);
    struct slice reply = ask(c, "journey.show", &r);
    if (c->json) return print_json(c, reply);
    print_journey(reply, &out);
    put_out(&out);
    buf_free(&out);
    return EXIT_OK;
}

/* An operator's word about one person; then where the person is now. */
static int journey_control(struct cli *c)
{
    struct request r = {0};
    char *about[] = {c->argv[1], c->argv[0]};
    request_text(&r, "command", c->word->name);
    request_text(&r, "name", c->argv[0]);
    request_text(&r, "id", c->argv[1]);
    struct slice reply = ask(c, "journey.control", &r);
    bool nothing = !is_true(view(reply, "was_inside")) &&
                   (strcmp(c->word->name, "skip") == 0 || strcmp(c->word->name, "cancel") == 0);
    if (nothing)
        die(EXIT_FAILED, "%s is not inside %s: nothing to %s", c->argv[1], c->argv[0], c->word->name);
    if (c->json) return print_json(c, reply);
    c->argv = about;
    return run_why(c);
}

#define IN_THE_DEFINITION                                                                                    \
    "a journey's state stands in its definition: write `state: live`, `paused` or `closing` there, and "     \
    "`hourglass apply DIR`"
const struct word JOURNEY_WORDS[] = {
    {"list", "", journey_list, 0, 0},
    {"show", "NAME", journey_show, 1, 1},
    {"enroll", "NAME ID", journey_control, 2, 2},
    {"skip", "NAME ID", journey_control, 2, 2},
    {"cancel", "NAME ID", journey_control, 2, 2},
    {"restart", "NAME ID", journey_control, 2, 2},
    {"pause", IN_THE_DEFINITION, NULL, 0, 0},
    {"resume", IN_THE_DEFINITION, NULL, 0, 0},
    {"close", IN_THE_DEFINITION, NULL, 0, 0},
    {"move", "people finish on the version they entered; `restart NAME ID` puts one onto the newest", NULL, 0,
     0},
    {0}};
