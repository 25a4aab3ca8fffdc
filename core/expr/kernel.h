/* kernel.h - comparing whole columns: 64 rows become the 64 bits of a word.
 * Owner: nobody, there is no state. Memory: none. Every level gives the same bits (test_kernel.c).
 * Cost: what reading the column costs; what no bit of the mask asks for is not read. */
#ifndef HG_EXPR_KERNEL_H
#define HG_EXPR_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

enum cpu_level { CPU_PORTABLE, CPU_AVX2, CPU_AVX512, CPU_LEVELS };
enum kernel_compare { KERNEL_EQ, KERNEL_NE, KERNEL_LT, KERNEL_LE, KERNEL_GT, KERNEL_GE };

/* `mask` says which rows are asked for; out has no other bits. `words` of 64 rows each. */
struct kernels {
    void (*numbers)(const double *v, double than, enum kernel_compare how, const uint64_t *mask,
                    uint64_t *out, uint32_t words);
    void (*wholes)(const int64_t *v, int64_t than, enum kernel_compare how, const uint64_t *mask,
                   uint64_t *out, uint32_t words);
    /* Rows whose code is one of `wanted`. */
    void (*codes)(const uint16_t *v, const uint16_t *wanted, uint32_t wanted_count, const uint64_t *mask,
                  uint64_t *out, uint32_t words);
    /* Rows whose byte is not 0. */
    void (*bytes)(const uint8_t *v, const uint64_t *mask, uint64_t *out, uint32_t words);
    uint64_t (*count)(const uint64_t *bits, uint32_t words);
    uint64_t (*count_both)(const uint64_t *a, const uint64_t *b, uint32_t words);
};

enum cpu_level cpu_best(void); /* of this machine */
bool cpu_level_named(const char *name, enum cpu_level *out);
const char *cpu_level_name(enum cpu_level level);
const struct kernels *kernels_at(enum cpu_level level); /* which the machine must have */

#endif
