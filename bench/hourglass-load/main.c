/* main.c - hourglass-load: options, run, verification, report. */
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/hourglass-load/sender.h"
#include "bench/hourglass-load/server.h"
#include "bench/hourglass-load/subscriber.h"

enum { EXIT_GOOD = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_WRONG = 3 };

struct options {
    struct sender_options send;
    struct server_options server;
    const char *shape, *admin;
    uint32_t users;
    double zipf;
    uint64_t seed;
    bool self, subscribe, json;
};

static const struct row {
    struct option option;
    const char *argument, *help;
} ROWS[] = {
    {{"rate", 1, 0, 'r'}, "N", "events per second, open loop (default 100000)"},
    {{"closed", 0, 0, 'c'}, NULL, "closed loop: as fast as acks come back"},
    {{"depth", 1, 0, 'd'}, "N", "closed loop: chunks in flight per connection (default 2)"},
    {{"conns", 1, 0, 'C'}, "N", "connections (default 4)"},
    {{"batch", 1, 0, 'b'}, "N", "events per chunk (default 100)"},
    {{"events", 1, 0, 'n'}, "N", "stop after so many"},
    {{"duration", 1, 0, 't'}, "SECONDS", "stop after so long (default 10, unless --events)"},
    {{"users", 1, 0, 'u'}, "N", "people (default 100000)"},
    {{"zipf", 1, 0, 'z'}, "S", "how uneven they are; 0: all alike (default 0)"},
    {{"shape", 1, 0, 's'}, "NAME", "shop (420 bytes), small, pairs, mix, aim (default shop)"},
    {{"seed", 1, 0, 'S'}, "N", "of people, events and message ids (default 1)"},
    {{"ingest", 1, 0, 'i'}, "URL", "default tcp://127.0.0.1:24224"},
    {{"admin", 1, 0, 'a'}, "URL", "to verify the counters afterwards"},
    {{"subscribe", 0, 0, 'A'}, NULL, "take and confirm actions meanwhile, and time them from their events"},
    {{"self", 0, 0, 'x'}, NULL, "start an hourglassd of its own, and remove it afterwards"},
    {{"self-dir", 1, 0, 'D'}, "DIR", "--self: where its data goes for the time (default /tmp)"},
    {{"self-cpu", 1, 0, 'P'}, "N", "--self: the core it is pinned to (default the last one; -1: not pinned)"},
    {{"self-shards", 1, 0, 'T'}, "N", "--self: threads (default 1)"},
    {{"self-sync", 1, 0, 'Y'}, "HOW", "--self: always, interval or none"},
    {{"daemon", 1, 0, 'e'}, "FILE", "--self: hourglassd (default: beside this program)"},
    {{"definitions", 1, 0, 'f'}, "DIR", "--self: instead of the built-in ones"},
    {{"json", 0, 0, 'j'}, NULL, "print JSON"},
    {{"help", 0, 0, 'h'}, NULL, "this text"},
    {{"version", 0, 0, 'v'}, NULL, "one line"},
};
enum { ROW_COUNT = sizeof ROWS / sizeof *ROWS };

static void print_help(void)
{
    printf("Usage: hourglass-load [OPTIONS]\n\nSends Segment messages over Fluent Forward and times their "
           "acks, from the moment each was due.\n\n");
    for (int i = 0; i < ROW_COUNT; i++) {
        char left[40];
        snprintf(left, sizeof left, "--%s %s", ROWS[i].option.name, ROWS[i].argument ? ROWS[i].argument : "");
        printf("  %-20s %s\n", left, ROWS[i].help);
    }
}

static double number(const char *name, const char *text, double least)
{
    char *end;
    double v = strtod(text, &end);
    if (end != text && *end == 0 && v >= least) return v;
    fprintf(stderr, "hourglass-load: --%s wants a number of at least %g, not '%s'\n", name, least, text);
    exit(EXIT_USAGE);
}

static void set_option(struct options *o, const struct row *row, const char *v)
{
    const char *name = row->option.name;
    switch (row->option.val) {
    case 'r': o->send.rate = number(name, v, 1); break;
    case 'c': o->send.rate = 0; break;
    case 'd': o->send.depth = (uint32_t)number(name, v, 1); break;
    case 'C': o->send.connections = (uint32_t)number(name, v, 1); break;
    case 'b': o->send.batch = (uint32_t)number(name, v, 1); break;
    case 'n': o->send.events = (uint64_t)number(name, v, 1); break;
    case 't': o->send.duration_s = number(name, v, 0.001); break;
    case 'u': o->users = (uint32_t)number(name, v, 1); break;
    case 'z': o->zipf = number(name, v, 0); break;
    case 's': o->shape = v; break;
    case 'S': o->seed = (uint64_t)number(name, v, 0); break;
    case 'i': o->send.ingest = v; break;
    case 'a': o->admin = v; break;
    case 'A': o->subscribe = true; break;
    case 'x': o->self = true; break;
    case 'D': o->server.directory = v; break;
    case 'P': o->server.cpu = (int)number(name, v, -1); break;
    case 'T': o->server.shards = v; break;
    case 'Y': o->server.sync = v; break;
    case 'e': o->server.daemon = v; break;
    case 'f': o->server.definitions = v; break;
    case 'j': o->json = true; break;
    case 'h': print_help(); exit(EXIT_GOOD);
    case 'v': printf("hourglass-load %s\n", HG_VERSION); exit(EXIT_GOOD);
    }
}

static struct options parse(int argc, char **argv)
{
    struct options o = {.shape = "shop", .users = 100000, .seed = 1};
    struct option list[ROW_COUNT + 1] = {0};
    int index, got;
    o.send = (struct sender_options){
        .ingest = "tcp://127.0.0.1:24224", .connections = 4, .batch = 100, .depth = 2, .rate = 100000};
    o.server.cpu = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1;
    for (int i = 0; i < ROW_COUNT; i++) list[i] = ROWS[i].option;
    while ((got = getopt_long(argc, argv, "", list, &index)) != -1) {
        if (got == '?') exit(EXIT_USAGE);
        set_option(&o, &ROWS[index], optarg);
    }
    if (optind < argc) {
        fprintf(stderr, "hourglass-load: one argument too many: %s\n", argv[optind]);
        exit(EXIT_USAGE);
    }
    if (!o.send.events && o.send.duration_s == 0) o.send.duration_s = 10;
    return o;
}

/* ---- report --------------------------------------------------------------------------------------------- */

static const double SHARES[] = {0.5, 0.9, 0.99, 0.999, 0.9999};
static const char *const SHARE_NAMES[] = {"p50", "p90", "p99", "p99.9", "p99.99"};
enum { SHARE_COUNT = 5 };

struct report {
    const struct options *o;
    const struct sender_result *r;
    double achieved;
    const struct subscriber *subscriber; /* NULL: nobody asked */
    bool generator_limited, verified, matches;
    struct server_counters delta;
};

static void print_latency(const struct histogram *h)
{
    printf("mean %.0f", histogram_mean(h) / 1000);
    for (int i = 0; i < SHARE_COUNT; i++)
        printf("  %s %.0f", SHARE_NAMES[i], (double)histogram_at(h, SHARES[i]) / 1000);
    printf("  max %.0f\n", (double)h->max / 1000);
}

static void print_json_latency(const char *name, const struct histogram *h)
{
    printf("\"%s\":{\"mean\":%.1f", name, histogram_mean(h) / 1000);
    for (int i = 0; i < SHARE_COUNT; i++)
        printf(",\"%s\":%.1f", SHARE_NAMES[i], (double)histogram_at(h, SHARES[i]) / 1000);
    printf(",\"max\":%.1f}", (double)h->max / 1000);
}

static void print_text(const struct report *p)
{
    const struct sender_result *r = p->r;
    printf("%llu events acknowledged in %.2f s: %.0f events/s", (unsigned long long)r->acked, r->seconds,
           p->achieved);
    if (p->o->send.rate > 0)
        printf(" of %.0f wanted (%.1f %%)", p->o->send.rate, 100 * p->achieved / p->o->send.rate);
    printf("\nlatency to the ack, us: ");
    print_latency(&r->latency);
    if (p->subscriber) {
        printf("%llu actions confirmed; of %llu that answer an event, from the event, us: ",
               (unsigned long long)p->subscriber->actions, (unsigned long long)p->subscriber->latency.total);
        print_latency(&p->subscriber->latency);
    }
    printf("generator: %.0f ns an event, %.0f %% of a core\n",
           r->sent ? 1e9 * r->build_s / (double)r->sent : 0,
           r->seconds > 0 ? 100 * r->cpu_s / r->seconds : 0);
    if (p->generator_limited)
        printf("warning: the generator itself was the limit; these are not the server's numbers\n");
    else if (r->late_chunks)
        printf("note: %llu chunks were handed over late (counted in the latency)\n",
               (unsigned long long)r->late_chunks);
    if (p->verified)
        printf("server counted: received %llu, applied %llu, duplicate %llu, late %llu, rejected %llu: %s\n",
               (unsigned long long)p->delta.received, (unsigned long long)p->delta.applied,
               (unsigned long long)p->delta.duplicate, (unsigned long long)p->delta.late,
               (unsigned long long)p->delta.rejected, p->matches ? "as sent" : "NOT as sent");
}

static void print_json(const struct report *p)
{
    const struct sender_result *r = p->r;
    printf("{\"sent\":%llu,\"acked\":%llu,\"seconds\":%.6f,\"target_rate\":%.0f,\"achieved_rate\":%.1f,",
           (unsigned long long)r->sent, (unsigned long long)r->acked, r->seconds, p->o->send.rate,
           p->achieved);
    print_json_latency("latency_us", &r->latency);
    if (p->subscriber) {
        printf(",\"actions\":%llu,\"timed_actions\":%llu,", (unsigned long long)p->subscriber->actions,
               (unsigned long long)p->subscriber->latency.total);
        print_json_latency("action_latency_us", &p->subscriber->latency);
    }
    printf(",\"generator_ns_per_event\":%.1f,\"generator_limited\":%s,\"late_chunks\":%llu",
           r->sent ? 1e9 * r->build_s / (double)r->sent : 0, p->generator_limited ? "true" : "false",
           (unsigned long long)r->late_chunks);
    if (p->verified)
        printf(",\"received\":%llu,\"applied\":%llu,\"duplicate\":%llu,\"late\":%llu,\"rejected\":%llu,\"as_"
               "sent\":%s",
               (unsigned long long)p->delta.received, (unsigned long long)p->delta.applied,
               (unsigned long long)p->delta.duplicate, (unsigned long long)p->delta.late,
               (unsigned long long)p->delta.rejected, p->matches ? "true" : "false");
    printf("}\n");
}

/* ---- run ---------------------------------------------------------------------------------------------------- */

static void on_signal(int number_of_it) { sender_stop = 1; }

static void verify(struct report *p, const char *admin, const struct server_counters *before)
{
    struct server_counters after;
    p->verified = server_counters(admin, &after);
    if (!p->verified) return;
    p->delta = (struct server_counters){after.received - before->received, after.applied - before->applied,
                                        after.duplicate - before->duplicate,
                                        after.rejected - before->rejected, after.late - before->late};
    p->matches = p->delta.received == p->r->acked && p->delta.rejected == 0;
}

static int run(struct options *o, struct server *server)
{
    static struct sender_result result; /* 30 KiB of histogram */
    struct generator g;
    struct server_counters before = {0};
    const char *admin = o->self ? server->admin : o->admin;
    if (o->self) o->send.ingest = server->ingest;
    if (!generator_init(&g, o->shape, o->users, o->zipf, o->seed)) {
        fprintf(stderr, "hourglass-load: there is no shape '%s'; there are shop, small, pairs, mix, aim\n",
                o->shape);
        return EXIT_USAGE;
    }
    if (admin && !server_counters(admin, &before)) return EXIT_FAILED;
    static struct subscriber subscriber;
    if (o->subscribe && (!admin || !subscriber_start(&subscriber, admin))) {
        fprintf(stderr, "hourglass-load: --subscribe needs --admin or --self\n");
        return EXIT_FAILED;
    }
    bool good = !o->subscribe || subscriber_catch_up(admin); /* what nobody has read yet is not this run's */
    if (good) {
        subscriber_measure(&subscriber);
        good = sender_run(&o->send, &g, &result);
        if (o->subscribe && !subscriber_catch_up(admin)) good = false;
    }
    if (o->subscribe) subscriber_stop(&subscriber);
    struct report p = {.o = o,
                       .r = &result,
                       .subscriber = o->subscribe ? &subscriber : NULL,
                       .achieved = result.seconds > 0 ? (double)result.acked / result.seconds : 0};
    p.generator_limited =
        result.cpu_s > 0.9 * result.seconds && (o->send.rate == 0 || p.achieved < 0.98 * o->send.rate);
    if (good && admin) verify(&p, admin, &before);
    if (result.sent) (o->json ? print_json : print_text)(&p);
    generator_free(&g);
    if (!good || (admin && !p.verified)) return EXIT_FAILED;
    return p.verified && !p.matches ? EXIT_WRONG : EXIT_GOOD;
}

int main(int argc, char **argv)
{
    struct options o = parse(argc, argv);
    struct server server = {0};
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    bool started = !o.self || server_start(&server, &o.server);
    if (started && o.self && o.server.cpu > 0) { /* and ourselves elsewhere */
        cpu_set_t cpus;
        sched_getaffinity(0, sizeof cpus, &cpus);
        CPU_CLR((size_t)o.server.cpu, &cpus);
        if (CPU_COUNT(&cpus) > 0) sched_setaffinity(0, sizeof cpus, &cpus);
    }
    int code = started ? run(&o, &server) : EXIT_FAILED;
    server_stop(&server);
    return sender_stop ? 130 : code;
}
