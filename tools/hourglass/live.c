/* live.c - what is watched: top, tail, health. `top` needs no terminal library: the alternate screen, home, and
 * clearing to the end of each line. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tools/hourglass/ask.h"
#include "tools/hourglass/commands.h"
#include "tools/hourglass/json.h"

/* ---- top ------------------------------------------------------------------------------------------ */

struct glance { /* what rates are computed from */
    int64_t received, actions, fired;
    double at;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void put_line(struct buf *out, bool live) { buf_put_str(out, live ? "\033[K\n" : "\n"); }

static void put_number(struct buf *out, const char *title, int64_t value)
{
    buf_printf(out, "  %s ", title);
    print_grouped(value, out);
}

static void put_rate(struct buf *out, const char *title, int64_t now, int64_t before, double seconds)
{
    put_number(out, title, now);
    if (seconds > 0) {
        buf_put_str(out, " (");
        print_grouped((int64_t)((double)(now - before) / seconds), out);
        buf_put_str(out, "/s)");
    }
}

static void put_top(struct slice s, const struct glance *before, struct glance *now, bool live,
                    struct buf *out)
{
    *now = (struct glance){view_int(s, "events.received"), view_int(s, "actions.created"),
                           view_int(s, "timers.fired"), now_s()};
    double seconds = before->at > 0 ? now->at - before->at : 0;
    if (live) buf_put_str(out, "\033[H");
    buf_put_str(out, "events  ");
    put_rate(out, "received", now->received, before->received, seconds);
    put_number(out, "duplicate", view_int(s, "events.duplicate"));
    put_number(out, "rejected", view_int(s, "events.rejected"));
    put_number(out, "late", view_int(s, "events.late"));
    put_line(out, live);
    buf_put_str(out, "people  ");
    put_number(out, "total", view_int(s, "profiles.total"));
    put_number(out, "known", view_int(s, "profiles.known"));
    put_number(out, "merged", view_int(s, "identity.merged"));
    put_line(out, live);
    buf_put_str(out, "timers  ");
    put_number(out, "armed", view_int(s, "timers.armed"));
    put_rate(out, "fired", now->fired, before->fired, seconds);
    put_number(out, "overdue", view_int(s, "timers.overdue"));
    put_line(out, live);
    buf_put_str(out, "actions ");
    put_rate(out, "created", now->actions, before->actions, seconds);
    put_number(out, "confirmed", view_int(s, "actions.confirmed"));
    put_number(out, "pending", view_int(s, "outbox.pending"));
    put_line(out, live);
    buf_put_str(out, "ack us  ");
    put_number(out, "p50", view_int(s, "latency_us.ack_p50"));
    put_number(out, "p99", view_int(s, "latency_us.ack_p99"));
    put_number(out, "sync p99", view_int(s, "wal.sync_us_p99"));
    put_line(out, live);
}

static void put_named(struct slice map, const char *title, const char *field, bool live, struct buf *out)
{
    uint32_t rows = 0;
    put_line(out, live);
    buf_put_str(out, title);
    put_line(out, live);
    for (struct items i = items_of(map); items_next(&i) && rows < 12; rows++) {
        buf_printf(out, "  %-28.*s", (int)i.key.n, (const char *)i.key.p);
        if (field) {
            put_number(out, "entered", view_int(i.value, "entered"));
            put_number(out, "inside", view_int(i.value, "active"));
            put_number(out, field, view_int(i.value, field));
        } else {
            view_print(i.value, out);
        }
        put_line(out, live);
    }
}

/* What does not fit would scroll the screen away. */
static void cut_rows(struct buf *out, uint32_t rows)
{
    for (uint32_t i = 0; i < out->n; i++)
        if (out->p[i] == '\n' && --rows == 0) out->n = i;
}

int run_top(struct cli *c)
{
    const char *interval = cli_option(c, "interval");
    struct timespec pause = {.tv_sec = interval ? (time_t)parse_count("interval", interval) : 1};
    bool live = c->tty && !c->json && !cli_option(c, "once");
    if (pause.tv_sec == 0) cli_usage(c, "--interval is at least a second");
    struct rpc *rpc = rpc_connect(cli_setting(c, "admin"));
    struct glance before = {0}, now;
    struct buf out = {0};
    if (live) interrupt_hold();
    if (live) screen_take();
    do {
        struct slice s = rpc_call_or_die(rpc, "stats.get", NULL);
        if (c->json) return print_json(c, s);
        put_top(s, &before, &now, live, &out);
        put_named(view(s, "segments"), "segments", NULL, live, &out);
        put_named(view(s, "journeys"), "journeys", "converted", live, &out);
        if (live) cut_rows(&out, screen_rows());
        if (live) buf_put_str(&out, "\033[J");
        put_out(&out);
        before = now;
    } while (live && nanosleep(&pause, NULL) == 0 && !interrupted);
    screen_give_back();
    buf_free(&out);
    rpc_close(rpc);
    return interrupted ? EXIT_INTERRUPTED : EXIT_OK;
}

/* ---- tail ------------------------------------------------------------------------------------------ */

static void print_line(struct slice item, struct buf *out)
{
    json_print(item, 0, out);
    buf_put_u8(out, '\n');
    put_out(out);
}

/* Actions that wait for a confirmation, each person's oldest first: asked for, not subscribed to, so nothing changes. */
static int tail_pending(struct rpc *rpc, uint64_t left, struct buf *out)
{
    for (int64_t after = 0; left > 0;) {
        struct request r = {0};
        request_int(&r, "after", after);
        struct slice page = rpc_call_or_die(rpc, "actions.queue", &r);
        for (struct items i = items_of(view(page, "actions")); left > 0 && items_next(&i); left--)
            print_line(i.value, out);
        after = view_int(page, "next");
        if (after == 0) break; /* nil; a page never leads back to the first */
    }
    return EXIT_OK;
}

static int tail_follow(struct rpc *rpc, const char *kind, uint64_t left, struct buf *out)
{
    uint8_t kinds[64], *end = mpw_str(mpw_array(kinds, 1), slice_str(kind));
    struct request r = {0};
    struct slice method, params;
    request_raw(&r, "kinds", slice_of(kinds, (size_t)(end - kinds)));
    rpc_call_or_die(rpc, "events.tail", &r);
    interrupt_hold();
    while (left > 0 && rpc_notification(rpc, &method, &params)) {
        struct items i = items_of(params);
        if (!slice_is(method, "tail") || !items_next(&i)) continue;
        print_line(i.value, out);
        left--;
    }
    return interrupted ? EXIT_INTERRUPTED : EXIT_OK;
}

static int tail(struct cli *c)
{
    const char *kind = c->word->name, *limit = cli_option(c, "limit");
    uint64_t left = limit ? parse_count("limit", limit) : UINT64_MAX;
    bool pending = cli_option(c, "pending") != NULL;
    if (pending && strcmp(kind, "actions") != 0) cli_usage(c, "only actions can be pending");
    struct rpc *rpc = rpc_connect(cli_setting(c, "admin"));
    struct buf out = {0};
    int code = pending ? tail_pending(rpc, left, &out) : tail_follow(rpc, kind, left, &out);
    buf_free(&out);
    rpc_close(rpc);
    return code;
}

const struct word TAIL_WORDS[] = {{"actions", "", tail, 0, 0},
                                  {"events", "", tail, 0, 0},
                                  {"transitions", "", tail, 0, 0},
                                  {"rejects", "", tail, 0, 0},
                                  {0}};

/* ---- health ----------------------------------------------------------------------------------------- */

enum { NAGIOS_OK, NAGIOS_WARNING, NAGIOS_CRITICAL };
enum { PATIENCE_S = 5 }; /* who asks waits for ten */

struct verdict {
    int state;
    struct buf why; /* "a; b" */
};

static void add_reason(struct verdict *v, int state, const char *why)
{
    if (state > v->state) v->state = state;
    buf_printf(&v->why, "%s%s", v->why.n ? "; " : "", why);
}

static bool as_json; /* say_critical and the alarm are called by others */

static int say_verdict(const struct verdict *v, struct slice stats)
{
    static const char *const WORDS[] = {"OK", "WARNING", "CRITICAL"};
    struct buf out = {0};
    long long people = view_int(stats, "profiles.total"), events = view_int(stats, "events.received"),
              uptime = view_int(stats, "uptime_s");
    if (as_json) {
        buf_printf(&out, "{\"state\":\"%s\",\"why\":", WORDS[v->state]);
        json_print_text(buf_slice(&v->why), &out);
        buf_printf(&out, ",\"people\":%lld,\"events\":%lld,\"uptime_s\":%lld}\n", people, events, uptime);
    } else {
        buf_printf(&out, "HOURGLASS %s - %.*s", WORDS[v->state], (int)v->why.n, (const char *)v->why.p);
        if (stats.n)
            buf_printf(&out, "%s%lld people, %lld events, uptime %lld s", v->why.n ? "; " : "", people,
                       events, uptime);
        buf_put_u8(&out, '\n');
    }
    put_out(&out);
    buf_free(&out);
    return v->state;
}

static int say_critical(const char *reason)
{
    struct verdict v = {0};
    add_reason(&v, NAGIOS_CRITICAL, reason);
    int state = say_verdict(&v, (struct slice){0});
    buf_free(&v.why);
    return state;
}

static void on_alarm(int signal_number)
{
    const char *text =
        as_json ? "{\"state\":\"CRITICAL\",\"why\":\"no answer\"}\n" : "HOURGLASS CRITICAL - no answer\n";
    ssize_t told = write(STDOUT_FILENO, text, strlen(text));
    _exit(told < 0 ? EXIT_DISK : NAGIOS_CRITICAL);
}

static void judge(struct slice s, struct verdict *v)
{
    if (view_int(s, "timers.overdue") > 0 && view_int(s, "timers.lag_ms_p99") > 60000)
        add_reason(v, NAGIOS_WARNING, "timers are late");
    if (view_int(s, "snapshot.failed") > 0) add_reason(v, NAGIOS_WARNING, "a snapshot failed");
    if (view_number(s, "clock.offset_s") != 0)
        add_reason(v, NAGIOS_CRITICAL, "the wall clock jumped and is not followed");
    if (is_true(view(s, "disk.full")))
        add_reason(v, NAGIOS_CRITICAL, "the disk is full, nothing is acknowledged");
    else if (view(s, "disk.free").n && view_number(s, "disk.free") < (double)(1ull << 30))
        add_reason(v, NAGIOS_CRITICAL, "less than 1 GiB of disk is free");
}

int run_health(struct cli *c)
{
    struct verdict v = {0};
    as_json = c->json;
    die_as(say_critical);
    signal(SIGALRM, on_alarm);
    alarm(PATIENCE_S);
    struct slice s = ask(c, "stats.get", NULL);
    alarm(0);
    judge(s, &v);
    int state = say_verdict(&v, s);
    buf_free(&v.why);
    return state;
}
