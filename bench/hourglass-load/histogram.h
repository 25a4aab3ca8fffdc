/* histogram.h - log-linear histogram of durations: 64 steps per power of two, so that a value is kept within 1.6 %.
 * Owner: the caller. Memory: 30 KiB inside the struct. Fails: never. Cost: a few ns. Source: HdrHistogram. */
#ifndef HG_BENCH_HISTOGRAM_H
#define HG_BENCH_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_STEPS = 64, HISTOGRAM_CELLS = 59 * HISTOGRAM_STEPS };

struct histogram {
    uint64_t total, max, min;
    double sum;
    uint64_t cells[HISTOGRAM_CELLS];
};
void histogram_add(struct histogram *h, uint64_t value, uint64_t times);
/* The highest value that shares its step with the one at this share (0..1); 0 when empty, never above max. */
uint64_t histogram_at(const struct histogram *h, double share);
double histogram_mean(const struct histogram *h);

#endif
