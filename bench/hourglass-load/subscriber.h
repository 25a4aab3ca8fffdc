/* subscriber.h - takes actions as a dispatcher does, on a thread of its own, and times them from the event that caused
 * them: the event says when it was due (e.sent, milliseconds), the definitions pass it on as `vars: {sent: "{{ trigger.sent }}"}`.
 * Every action is confirmed, in groups of what came together.
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
    uint64_t actions;         /* taken and confirmed */
    struct histogram latency; /* of those that say when they were sent, nanoseconds */
    struct buf in, out;
};
bool subscriber_start(struct subscriber *s, const char *admin_url);
void subscriber_stop(struct subscriber *s); /* what has come by now is counted */

#endif
