/* server.h - the server under load: started by ourselves if wanted, and asked for its counters.
 * Owner: main; server_stop ends the process that server_start began and removes its directory, also after a failure.
 * Fails: with one line on stderr, and false. */
#ifndef HG_BENCH_SERVER_H
#define HG_BENCH_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct server {
    char ingest[160], admin[160];
    char directory[128]; /* ours to remove; empty: not ours */
    pid_t pid;           /* 0: not ours */
};
struct server_options {
    const char *daemon, *directory, *definitions, *sync, *shards; /* NULL: the usual */
    int cpu;                                                      /* -1: not pinned */
};
bool server_start(struct server *s, const struct server_options *o);
void server_stop(struct server *s);

struct server_counters {
    uint64_t received, applied, duplicate, rejected, late;        /* events */
    uint64_t actions_created, actions_confirmed, actions_pending; /* pending: made and not confirmed */
};
bool server_counters(const char *admin_url, struct server_counters *out);
int server_dial(const char *url); /* a connected non-blocking socket; -1 with errno */

#endif
