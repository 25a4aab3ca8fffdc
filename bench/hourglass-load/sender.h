/* sender.h - keeps connections full of chunks at a rate (open loop) or a depth (closed loop), and times their acks.
 * In the open loop a chunk is due when its last event is; its latency counts from then, sent late or not, so that a server
 * that stalls is seen to (no coordinated omission). In the closed loop it counts from when it was built.
 * Owner: main; one thread. Fails: false with a line on stderr when a connection is lost or an ack makes no sense. */
#ifndef HG_BENCH_SENDER_H
#define HG_BENCH_SENDER_H

#include "bench/hourglass-load/generator.h"
#include "bench/hourglass-load/histogram.h"

struct sender_options {
    const char *ingest;
    uint32_t connections, batch, depth; /* depth: chunks in flight per connection, closed loop */
    double rate;                        /* events per second; 0: closed loop */
    uint64_t events;                    /* stop after so many; 0: by time */
    double duration_s;
};
struct sender_result {
    uint64_t sent, acked;  /* events */
    double seconds, cpu_s; /* cpu: of this thread */
    double build_s;        /* of it, making events */
    uint64_t late_chunks; /* handed over more than 1 ms after they were due, although a connection had room */
    struct histogram latency; /* nanoseconds, every event counts */
};
extern volatile int sender_stop; /* set by a signal handler: finish what is in flight */
bool sender_run(const struct sender_options *o, struct generator *g, struct sender_result *out);

#endif
