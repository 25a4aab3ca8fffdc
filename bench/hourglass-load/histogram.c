/* histogram.c - value 0..127: one cell each; from there 64 cells per power of two:
 *   shift = position of the top bit - 6, cell = 64 * shift + (value >> shift)   (the shifted value is 64..127) */
#include "bench/hourglass-load/histogram.h"

static uint32_t cell_of(uint64_t value)
{
    if (value < 2 * HISTOGRAM_STEPS) return (uint32_t)value;
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(value) - 6;
    return HISTOGRAM_STEPS * shift + (uint32_t)(value >> shift);
}

static uint64_t highest_of(uint32_t cell)
{
    if (cell < 2 * HISTOGRAM_STEPS) return cell;
    uint32_t shift = cell / HISTOGRAM_STEPS - 1;
    uint64_t top = cell % HISTOGRAM_STEPS + HISTOGRAM_STEPS;
    return ((top + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, uint64_t value, uint64_t times)
{
    if (h->total == 0 || value < h->min) h->min = value;
    if (value > h->max) h->max = value;
    h->total += times;
    h->sum += (double)value * (double)times;
    h->cells[cell_of(value)] += times;
}

uint64_t histogram_at(const struct histogram *h, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)h->total + 0.999999), seen = 0;
    if (wanted == 0) wanted = 1;
    for (uint32_t c = 0; c < HISTOGRAM_CELLS && h->total; c++) {
        seen += h->cells[c];
        if (seen < wanted) continue;
        uint64_t highest = highest_of(c);
        return highest < h->max ? highest : h->max;
    }
    return h->max;
}

double histogram_mean(const struct histogram *h) { return h->total ? h->sum / (double)h->total : 0; }
