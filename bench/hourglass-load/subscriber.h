/* subscriber.h - takes actions as a dispatcher does, on a thread of its own, and times them from the event that caused
 * them: the event says when it was due (e.sent, milliseconds), the definitions pass it on as `vars: {sent: "{{ trigger.sent | default: 0 }}"}`.
 * Every action is confirmed, all that came in one read with one request. Only events that were due since
 * subscriber_measure are timed: what lay in the outbox before says how long nobody read it, and nothing else.
 * Owner: main. Fails: subscriber_start false, with a line on stderr; a connection that breaks later ends the thread and
 * `broken` says so. */
#ifndef HG_BENCH_SUBSCRIBER_H
#define HG_BENCH_SUBSCRIBER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "bench/hourglass-load/histogram.h"
#include "core/base/bytes.h"

struct subscriber {
    int fd;
    pthread_t thread;
    atomic_bool stop;
    bool broken;
    _Atomic double since_ms;  /* events that were due before are not timed */
    uint64_t actions;         /* taken and confirmed */
    struct histogram latency; /* of those that say when they were sent, nanoseconds */
    struct buf in, out, ids;
    uint32_t id_count; /* to be confirmed with the next request */
};
bool subscriber_start(struct subscriber *s, const char *admin_url);
/* Until everything that is in the outbox now has been confirmed; false: not within a minute. */
bool subscriber_catch_up(const char *admin_url);
void subscriber_measure(struct subscriber *s); /* from now on */
void subscriber_stop(struct subscriber *s);    /* what has come by now is counted */

#endif
