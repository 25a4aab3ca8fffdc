/* hourglass-peer-load - the events of hourglass-load, said to a rival; closed loop, as fast as answers come back.
 * usage: hourglass-peer-load --peer NAME --port N [--conns N] [--depth N] [--users N] [--duration S] [--seed N] [--each]
 *   --each   one event for every person, in order, then stop (to fill the store)
 * Prints one line of JSON. Events are the generator's own: same people, types, sizes. */
#include "bench/peers/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 64,
    ANSWER_BYTES = 1 << 16,
    ENTRY_HEAD = 11 /* of [EventTime, record] before the record */
};

const char *const PEER_EVENT_NAMES[PEER_EVENT_TYPES] = {
    "Order Completed", "Product Viewed",  "Product Added",    "Cart Viewed", "Checkout Started",
    "Page Viewed",     "Product Removed", "Search Performed", "Signed Up",   "Email Opened"};
static const char *const CITIES[] = {"Moscow", "Berlin", "Kazan", "Sochi", "Omsk", "Tver", "Perm", "Ufa"};
static const struct protocol *const PROTOCOLS[] = {&REDIS_COMMANDS, &REDIS_LUA, &REDIS_MSGPACK,
                                                   &TARANTOOL_RAW, &TARANTOOL_CALL};

struct connection {
    int fd;
    uint64_t in_flight; /* answers that are still to come */
    size_t kept;        /* bytes of an answer that is not whole yet */
    uint8_t answers[ANSWER_BYTES];
};

struct load {
    const struct protocol *protocol;
    struct generator generator;
    struct connection *connections;
    uint8_t *requests;
    uint32_t port, conns, depth, users, next_user;
    uint64_t seed, random, sent, answered;
    double duration_s;
    bool each;
};

static void die(const char *what)
{
    fprintf(stderr, "hourglass-peer-load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double clock_s(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int dial(const struct load *l)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)l->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (l->protocol->greet && !l->protocol->greet(fd)) die("the server's greeting");
    return fd;
}

static uint64_t next_random(struct load *l) /* xorshift64 */
{
    l->random ^= l->random << 13;
    l->random ^= l->random >> 7;
    return l->random ^= l->random << 17;
}

static uint8_t *put_event(struct load *l, uint8_t *out, uint64_t ms)
{
    uint8_t entry[ENTRY_BYTES_MAX];
    uint64_t random = next_random(l);
    size_t n = generator_entry(&l->generator, (int64_t)ms, entry);
    struct peer_event e = {.user = l->each ? l->next_user++ : (uint32_t)(random % l->users),
                           .type = (uint32_t)(random >> 32) % PEER_EVENT_TYPES,
                           .cents = 100 + (uint32_t)(random >> 40) % 100000,
                           .ms = ms,
                           .city = CITIES[random >> 24 & 7],
                           .record = entry + ENTRY_HEAD,
                           .record_bytes = n - ENTRY_HEAD};
    l->sent++;
    return l->protocol->request(out, &e);
}

static bool finished(const struct load *l, double now, double until)
{
    return l->each ? l->next_user >= l->users : now >= until;
}

/* Half the depth at a time: the server always has the other half to work on. */
static void fill(struct load *l, struct connection *c, double until)
{
    uint32_t step = l->depth > 1 ? l->depth / 2 : 1;
    while (c->in_flight <= (uint64_t)(l->depth - step) * l->protocol->answers) {
        double now = clock_s(CLOCK_REALTIME);
        uint8_t *p = l->requests;
        if (finished(l, clock_s(CLOCK_MONOTONIC), until)) return;
        for (uint32_t i = 0; i < step && !(l->each && l->next_user >= l->users);
             i++, c->in_flight += l->protocol->answers)
            p = put_event(l, p, (uint64_t)(now * 1000));
        for (const uint8_t *at = l->requests; at < p;) {
            ssize_t n = send(c->fd, at, (size_t)(p - at), MSG_NOSIGNAL);
            if (n < 0) die("send");
            at += n;
        }
    }
}

static void take_answers(struct load *l, struct connection *c)
{
    size_t used = 0;
    ssize_t n = recv(c->fd, c->answers + c->kept, sizeof c->answers - c->kept, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) die("the server closed a connection");
    long count = l->protocol->answers_in(c->answers, c->kept + (size_t)n, &used);
    if (count < 0) exit(1);
    c->kept = c->kept + (size_t)n - used;
    memmove(c->answers, c->answers + used, c->kept);
    c->in_flight -= (uint64_t)count;
    l->answered += (uint64_t)count;
}

static void run(struct load *l)
{
    struct pollfd polls[CONNECTIONS_MAX];
    double until = clock_s(CLOCK_MONOTONIC) + l->duration_s;
    for (uint32_t i = 0; i < l->conns; i++) polls[i] = (struct pollfd){l->connections[i].fd, POLLIN, 0};
    for (;;) {
        uint64_t waiting = 0;
        for (uint32_t i = 0; i < l->conns; i++) {
            fill(l, &l->connections[i], until);
            waiting += l->connections[i].in_flight;
        }
        if (waiting == 0) return;
        if (poll(polls, l->conns, 10000) <= 0) die("no answer within 10 s");
        for (uint32_t i = 0; i < l->conns; i++)
            if (polls[i].revents) take_answers(l, &l->connections[i]);
    }
}

static void set_option(struct load *l, const char *name, const char *v)
{
    double n = v ? atof(v) : 0;
    if (!strcmp(name, "peer")) {
        for (size_t i = 0; i < sizeof PROTOCOLS / sizeof *PROTOCOLS; i++)
            if (!strcmp(v, PROTOCOLS[i]->name)) l->protocol = PROTOCOLS[i];
    } else if (!strcmp(name, "duration"))
        l->duration_s = n;
    else if (!strcmp(name, "seed"))
        l->seed = (uint64_t)n;
    else if (!strcmp(name, "each"))
        l->each = true;
    else if (n < 1)
        errno = EINVAL, die(name);
    else if (!strcmp(name, "port"))
        l->port = (uint32_t)n;
    else if (!strcmp(name, "conns"))
        l->conns = n > CONNECTIONS_MAX ? CONNECTIONS_MAX : (uint32_t)n;
    else if (!strcmp(name, "depth"))
        l->depth = (uint32_t)n;
    else if (!strcmp(name, "users"))
        l->users = (uint32_t)n;
}

int main(int argc, char **argv)
{
    static const struct option LIST[] = {{"peer", 1, 0, 0},  {"port", 1, 0, 0},  {"conns", 1, 0, 0},
                                         {"depth", 1, 0, 0}, {"users", 1, 0, 0}, {"duration", 1, 0, 0},
                                         {"seed", 1, 0, 0},  {"each", 0, 0, 0},  {0}};
    struct load l = {.conns = 8, .depth = 64, .users = 1000000, .duration_s = 2, .seed = 1};
    int at, got;
    while ((got = getopt_long(argc, argv, "", LIST, &at)) != -1) {
        if (got == '?') return 2;
        set_option(&l, LIST[at].name, optarg);
    }
    if (!l.protocol || !l.port) {
        fprintf(stderr, "hourglass-peer-load: --peer and --port are needed; peers:");
        for (size_t i = 0; i < sizeof PROTOCOLS / sizeof *PROTOCOLS; i++)
            fprintf(stderr, " %s", PROTOCOLS[i]->name);
        fprintf(stderr, "\n");
        return 2;
    }
    l.random = l.seed * 0x9e3779b97f4a7c15ull + 1;
    l.requests = malloc((size_t)l.depth * REQUEST_BYTES_MAX);
    l.connections = calloc(l.conns, sizeof *l.connections);
    if (!l.requests || !l.connections || !generator_init(&l.generator, "shop", l.users, 0, l.seed))
        die("no memory");
    for (uint32_t i = 0; i < l.conns; i++) l.connections[i].fd = dial(&l);
    double began = clock_s(CLOCK_MONOTONIC), cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID);
    run(&l);
    double seconds = clock_s(CLOCK_MONOTONIC) - began;
    printf("{\"peer\":\"%s\",\"events\":%llu,\"seconds\":%.6f,\"rate\":%.1f,\"generator_cpu_s\":%.3f}\n",
           l.protocol->name, (unsigned long long)(l.answered / l.protocol->answers), seconds,
           (double)l.answered / l.protocol->answers / seconds, clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    return 0;
}
