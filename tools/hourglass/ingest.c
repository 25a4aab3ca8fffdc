/* ingest.c - `hourglass ingest`: lines of JSON become MessagePack records, sent in chunks with acknowledgements.
 * With --follow-clock the test clock moves to each distinct second once every message of the earlier ones has been taken
 * in, so that the run is the same as if the year had really passed. Acknowledgements come meanwhile. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tools/hourglass/commands.h"
#include "tools/hourglass/forward_out.h"
#include "tools/hourglass/lines.h"
#include "tools/hourglass/rpc.h"
#include "tools/hourglass/view.h"

struct ingest {
    struct cli *c;
    struct lines *lines;
    struct forward_out *out;
    struct rpc *admin; /* NULL: the clock is not followed */
    uint32_t clock;    /* second the server stands at */
    uint64_t sent;
    uint64_t received_before; /* by the server, when we began */
    bool progress;
    double started, shown;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* [#########---------]  41 %  12,345 messages  8,200/s  2011-04-03T10:00:00Z */
static void show_progress(struct ingest *g, bool last)
{
    double now = now_s(), share = lines_share(g->lines), took = now - g->started;
    char bar[31], at[32] = "";
    if (!g->progress || (!last && now - g->shown < 0.1)) return;
    g->shown = now;
    for (int i = 0; i < 30; i++) bar[i] = i < (int)(share * 30 + 0.5) ? '#' : '-';
    bar[30] = 0;
    time_t clock = g->clock;
    struct tm tm;
    if (g->clock) strftime(at, sizeof at, "  %Y-%m-%d %H:%M", gmtime_r(&clock, &tm));
    fprintf(stderr, "\r[%s] %3.0f %%  %llu messages  %.0f/s%s%s", bar, share * 100,
            (unsigned long long)g->sent, took > 0 ? (double)g->sent / took : 0, at, last ? "\n" : "\033[K");
}

static uint32_t server_clock(struct rpc *admin)
{
    struct request r = {0};
    request_int(&r, "by", 0);
    return (uint32_t)view_int(rpc_call_or_die(admin, "clock.advance", &r), "now");
}

static uint64_t server_received(struct rpc *admin)
{
    return (uint64_t)view_int(rpc_call_or_die(admin, "stats.get", NULL), "events.received");
}

/* A clock that is already later stays where it is: the file is being sent again. */
static bool follow_clock(struct ingest *g, uint32_t second)
{
    struct request r = {0};
    if (second <= g->clock) return true;
    if (!forward_out_flush(g->out)) return false;
    request_int(&r, "to", second);
    request_int(&r, "after", (int64_t)(g->received_before + g->sent));
    rpc_call_or_die(g->admin, "clock.advance", &r);
    g->clock = second;
    return true;
}

static bool send_all(struct ingest *g)
{
    struct message m;
    while (!interrupted && lines_next(g->lines, &m)) {
        if (g->admin && m.entry_ms > 0 && !follow_clock(g, (uint32_t)(m.entry_ms / 1000))) return false;
        if (!forward_out_entry(g->out, m.entry_ms, m.record)) return false;
        g->sent++;
        show_progress(g, false);
    }
    return !interrupted && forward_out_flush(g->out) && forward_out_wait(g->out, 0);
}

static void summary(const struct ingest *g, bool whole)
{
    double took = now_s() - g->started;
    uint64_t acked = forward_out_acked(g->out);
    if (g->c->json)
        printf("{\"sent\":%llu,\"acknowledged\":%llu,\"seconds\":%.3f,\"complete\":%s}\n",
               (unsigned long long)g->sent, (unsigned long long)acked, took, whole ? "true" : "false");
    else
        printf("%llu message%s acknowledged in %.1f s%s\n", (unsigned long long)acked, acked == 1 ? "" : "s",
               took, whole ? "" : "; interrupted, send the file again to go on: nothing counts twice");
}

/* A call to the admin socket that is interrupted ends the program at once. */
static struct ingest *at_work;

static void say_how_far(void)
{
    if (!at_work || !interrupted) return;
    show_progress(at_work, true);
    summary(at_work, false);
}

int run_ingest(struct cli *c)
{
    struct ingest g = {.c = c, .progress = isatty(STDERR_FILENO) && !cli_option(c, "quiet") && !c->json};
    const char *tag = cli_option(c, "tag");
    if (tag && !*tag) cli_usage(c, "--tag wants a text");
    g.lines = lines_open(c->argv[0]);
    g.out = forward_out_open(cli_setting(c, "ingest"), tag ? tag : "hourglass.ingest");
    if (cli_option(c, "follow-clock")) g.admin = rpc_connect(cli_setting(c, "admin"));
    if (g.admin) {
        g.clock = server_clock(g.admin);
        g.received_before = server_received(g.admin);
    }
    interrupt_hold();
    g.started = now_s();
    at_work = &g;
    atexit(say_how_far);
    bool whole = send_all(&g);
    at_work = NULL;
    show_progress(&g, true);
    summary(&g, whole);
    forward_out_close(g.out);
    if (g.admin) rpc_close(g.admin);
    lines_close(g.lines);
    return whole ? EXIT_OK : EXIT_INTERRUPTED;
}
