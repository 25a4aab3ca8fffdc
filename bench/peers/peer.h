/* peer.h - the same event, said in the language of a rival: two counters, a sum, three attributes and a timer an hour
 * ahead, on the profile of one person.
 * A protocol writes a request for an event and counts the answers in what comes back. Owner: main.c, one thread.
 * Fails: an answer that is an error stops the run, with its text on stderr. */
#ifndef HG_BENCH_PEER_H
#define HG_BENCH_PEER_H

#include "bench/hourglass-load/generator.h"

enum { REQUEST_BYTES_MAX = 1536, PEER_EVENT_TYPES = 10 };

struct peer_event {
    uint32_t user, type, cents;
    uint64_t ms; /* its time */
    const char *city;
    const uint8_t *record; /* the Segment message as a tracker sends it, in MessagePack */
    size_t record_bytes;
};

struct protocol {
    const char *name;
    uint32_t answers; /* to one event */
    /* Says what must be said once on a fresh connection, and reads the answer; false: refused. NULL: nothing. */
    bool (*greet)(int fd);
    uint8_t *(*request)(uint8_t *out, const struct peer_event *e);
    /* Counts whole answers in [p, p+n); *used says how far they reach. -1: an error, which it has printed. */
    long (*answers_in)(const uint8_t *p, size_t n, size_t *used);
};
extern const struct protocol REDIS_COMMANDS, REDIS_LUA, REDIS_MSGPACK, TARANTOOL_RAW, TARANTOOL_CALL;
extern const char *const PEER_EVENT_NAMES[PEER_EVENT_TYPES];

#endif
