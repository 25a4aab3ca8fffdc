/* One loop over words for each kind of column; a level says how a word is made. */
#include "core/expr/kernel.h"

#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#define EACH_WORD(make)                                                                                      \
    for (uint32_t w = 0; w < words; w++, v += 64) out[w] = mask[w] ? (make)&mask[w] : 0;                     \
    return

/* A comparison by its name, so that each loop knows its own. */
#define BY_COMPARISON(word)                                                                                  \
    switch (how) {                                                                                           \
    case KERNEL_EQ: EACH_WORD(word(EQ));                                                                     \
    case KERNEL_NE: EACH_WORD(word(NE));                                                                     \
    case KERNEL_LT: EACH_WORD(word(LT));                                                                     \
    case KERNEL_LE: EACH_WORD(word(LE));                                                                     \
    case KERNEL_GT: EACH_WORD(word(GT));                                                                     \
    case KERNEL_GE: EACH_WORD(word(GE));                                                                     \
    }

/* ---- portable --------------------------------------------------------------------------------------- */

#define IS_EQ(a, b) ((a) == (b))
#define IS_NE(a, b) ((a) != (b))
#define IS_LT(a, b) ((a) < (b))
#define IS_LE(a, b) ((a) <= (b))
#define IS_GT(a, b) ((a) > (b))
#define IS_GE(a, b) ((a) >= (b))
#define PORTABLE_WORD(type, name)                                                                            \
    static inline uint64_t type##_word_##name(const type##_t *v, type##_t than)                              \
    {                                                                                                        \
        uint64_t bits = 0;                                                                                   \
        for (uint32_t i = 0; i < 64; i++) bits |= (uint64_t)IS_##name(v[i], than) << i;                      \
        return bits;                                                                                         \
    }
#define PORTABLE_WORDS(type)                                                                                 \
    PORTABLE_WORD(type, EQ)                                                                                  \
    PORTABLE_WORD(type, NE)                                                                                  \
    PORTABLE_WORD(type, LT)                                                                                  \
    PORTABLE_WORD(type, LE)                                                                                  \
    PORTABLE_WORD(type, GT)                                                                                  \
    PORTABLE_WORD(type, GE)
typedef double number_t;
typedef int64_t whole_t;
PORTABLE_WORDS(number)
PORTABLE_WORDS(whole)

#define NUMBER_WORD(name) number_word_##name(v, than)
#define WHOLE_WORD(name)  whole_word_##name(v, than)

static void numbers_portable(const double *v, double than, enum kernel_compare how, const uint64_t *mask,
                             uint64_t *out, uint32_t words)
{
    BY_COMPARISON(NUMBER_WORD)
}

static void wholes_portable(const int64_t *v, int64_t than, enum kernel_compare how, const uint64_t *mask,
                            uint64_t *out, uint32_t words)
{
    BY_COMPARISON(WHOLE_WORD)
}

static uint64_t code_word(const uint16_t *v, const uint16_t *wanted, uint32_t n)
{
    uint64_t bits = 0;
    for (uint32_t k = 0; k < n; k++)
        for (uint32_t i = 0; i < 64; i++) bits |= (uint64_t)(v[i] == wanted[k]) << i;
    return bits;
}

static void codes_portable(const uint16_t *v, const uint16_t *wanted, uint32_t wanted_count,
                           const uint64_t *mask, uint64_t *out, uint32_t words)
{
    EACH_WORD(code_word(v, wanted, wanted_count));
}

static uint64_t byte_word(const uint8_t *v)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < 64; i++) bits |= (uint64_t)(v[i] != 0) << i;
    return bits;
}

static void bytes_portable(const uint8_t *v, const uint64_t *mask, uint64_t *out, uint32_t words)
{
    EACH_WORD(byte_word(v));
}

#define COUNT_BITS(of)                                                                                       \
    uint64_t sum = 0;                                                                                        \
    for (uint32_t w = 0; w < words; w++) sum += (uint64_t)__builtin_popcountll(of);                          \
    return sum

static uint64_t count_portable(const uint64_t *bits, uint32_t words) { COUNT_BITS(bits[w]); }
static uint64_t count_both_portable(const uint64_t *a, const uint64_t *b, uint32_t words)
{
    COUNT_BITS(a[w] & b[w]);
}

#ifdef __x86_64__
/* NaN is equal to nothing and in no order, as in the machine. */
enum {
    NUMBER_EQ = _CMP_EQ_OQ,
    NUMBER_NE = _CMP_NEQ_UQ,
    NUMBER_LT = _CMP_LT_OQ,
    NUMBER_LE = _CMP_LE_OQ,
    NUMBER_GT = _CMP_GT_OQ,
    NUMBER_GE = _CMP_GE_OQ
};

/* Lines of eight numbers of which at least one is asked for, by the bit of their first: memory is what a scan waits for. */
static inline uint64_t lines_of(uint64_t mask)
{
    mask |= mask >> 4;
    mask |= mask >> 2;
    return (mask | mask >> 1) & 0x0101010101010101ull;
}

/* ---- AVX2: four numbers, sixteen codes, thirty-two bytes at a time -------------------------------------- */

#define AVX2 __attribute__((target("avx2")))

/* Two compares of eight words of 16 bits each become 32 bits in order. */
AVX2 static inline uint32_t pack_codes(__m256i low, __m256i high)
{
    __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0xd8);
    return (uint32_t)_mm256_movemask_epi8(bytes);
}

#define NUMBER_WORD2(name)                                                                                   \
    __extension__({                                                                                          \
        uint64_t bits = 0;                                                                                   \
        for (uint64_t lines = lines_of(mask[w]); lines; lines &= lines - 1) {                                \
            uint32_t i = (uint32_t)__builtin_ctzll(lines);                                                   \
            bits |= number_bits_avx2(v + i, _mm256_set1_pd(than), NUMBER_##name) << i;                       \
            bits |= number_bits_avx2(v + i + 4, _mm256_set1_pd(than), NUMBER_##name) << (i + 4);             \
        }                                                                                                    \
        bits;                                                                                                \
    })
#define number_bits_avx2(at, than_, how_)                                                                    \
    (uint64_t)(uint32_t) _mm256_movemask_pd(_mm256_cmp_pd(_mm256_loadu_pd(at), than_, how_))

AVX2 static void numbers_avx2(const double *v, double than, enum kernel_compare how, const uint64_t *mask,
                              uint64_t *out, uint32_t words){BY_COMPARISON(NUMBER_WORD2)}

/* There is only "equal" and "greater": the rest is those, turned round or inverted. */
AVX2 static inline uint64_t
    whole_word_avx2(const int64_t *v, int64_t than, uint64_t mask, bool equal, bool turned)
{
    __m256i t = _mm256_set1_epi64x(than);
    uint64_t bits = 0;
    for (uint64_t lines = lines_of(mask); lines; lines &= lines - 1) {
        uint32_t first = (uint32_t)__builtin_ctzll(lines);
        for (uint32_t i = first; i < first + 8; i += 4) {
            __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(v + i));
            __m256i is = equal    ? _mm256_cmpeq_epi64(x, t)
                         : turned ? _mm256_cmpgt_epi64(t, x)
                                  : _mm256_cmpgt_epi64(x, t);
            bits |= (uint64_t)(uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(is)) << i;
        }
    }
    return bits;
}

AVX2 static void wholes_avx2(const int64_t *v, int64_t than, enum kernel_compare how, const uint64_t *mask,
                             uint64_t *out, uint32_t words)
{
    switch (how) {
    case KERNEL_EQ: EACH_WORD(whole_word_avx2(v, than, mask[w], true, false));
    case KERNEL_NE: EACH_WORD(~whole_word_avx2(v, than, mask[w], true, false));
    case KERNEL_LT: EACH_WORD(whole_word_avx2(v, than, mask[w], false, true));
    case KERNEL_LE: EACH_WORD(~whole_word_avx2(v, than, mask[w], false, false));
    case KERNEL_GT: EACH_WORD(whole_word_avx2(v, than, mask[w], false, false));
    case KERNEL_GE: EACH_WORD(~whole_word_avx2(v, than, mask[w], false, true));
    }
}

AVX2 static inline uint64_t code_word_avx2(const uint16_t *v, const uint16_t *wanted, uint32_t n)
{
    __m256i x[4], is[4];
    for (uint32_t i = 0; i < 4; i++) {
        x[i] = _mm256_loadu_si256((const __m256i *)(const void *)(v + 16 * i));
        is[i] = _mm256_setzero_si256();
    }
    for (uint32_t k = 0; k < n; k++)
        for (uint32_t i = 0; i < 4; i++)
            is[i] = _mm256_or_si256(is[i], _mm256_cmpeq_epi16(x[i], _mm256_set1_epi16((int16_t)wanted[k])));
    return pack_codes(is[0], is[1]) | (uint64_t)pack_codes(is[2], is[3]) << 32;
}

AVX2 static void codes_avx2(const uint16_t *v, const uint16_t *wanted, uint32_t wanted_count,
                            const uint64_t *mask, uint64_t *out, uint32_t words)
{
    EACH_WORD(code_word_avx2(v, wanted, wanted_count));
}

AVX2 static inline uint64_t byte_word_avx2(const uint8_t *v)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < 64; i += 32) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(v + i));
        __m256i none = _mm256_cmpeq_epi8(x, _mm256_setzero_si256());
        bits |= (uint64_t) ~(uint32_t)_mm256_movemask_epi8(none) << i;
    }
    return bits;
}

AVX2 static void bytes_avx2(const uint8_t *v, const uint64_t *mask, uint64_t *out, uint32_t words)
{
    EACH_WORD(byte_word_avx2(v));
}

/* A processor with AVX2 counts the bits of a word in one instruction. */
#define POPCNT __attribute__((target("popcnt")))
POPCNT static uint64_t count_popcnt(const uint64_t *bits, uint32_t words) { COUNT_BITS(bits[w]); }
POPCNT static uint64_t count_both_popcnt(const uint64_t *a, const uint64_t *b, uint32_t words)
{
    COUNT_BITS(a[w] & b[w]);
}

/* ---- AVX-512: a compare gives bits at once ----------------------------------------------------------------- */

#define AVX512 __attribute__((target("avx512f,avx512bw")))
enum {
    WHOLE_EQ = _MM_CMPINT_EQ,
    WHOLE_NE = _MM_CMPINT_NE,
    WHOLE_LT = _MM_CMPINT_LT,
    WHOLE_LE = _MM_CMPINT_LE,
    WHOLE_GT = _MM_CMPINT_NLE,
    WHOLE_GE = _MM_CMPINT_NLT
};

#define NUMBER_WORD3(name)                                                                                   \
    __extension__({                                                                                          \
        uint64_t bits = 0;                                                                                   \
        for (uint64_t lines = lines_of(mask[w]); lines; lines &= lines - 1) {                                \
            uint32_t i = (uint32_t)__builtin_ctzll(lines);                                                   \
            bits |=                                                                                          \
                (uint64_t)_mm512_cmp_pd_mask(_mm512_loadu_pd(v + i), _mm512_set1_pd(than), NUMBER_##name)    \
                << i;                                                                                        \
        }                                                                                                    \
        bits;                                                                                                \
    })
#define WHOLE_WORD3(name)                                                                                    \
    __extension__({                                                                                          \
        uint64_t bits = 0;                                                                                   \
        for (uint64_t lines = lines_of(mask[w]); lines; lines &= lines - 1) {                                \
            uint32_t i = (uint32_t)__builtin_ctzll(lines);                                                   \
            bits |= (uint64_t)_mm512_cmp_epi64_mask(_mm512_loadu_si512(v + i), _mm512_set1_epi64(than),      \
                                                    WHOLE_##name)                                            \
                    << i;                                                                                    \
        }                                                                                                    \
        bits;                                                                                                \
    })

AVX512 static void numbers_avx512(const double *v, double than, enum kernel_compare how, const uint64_t *mask,
                                  uint64_t *out, uint32_t words){BY_COMPARISON(NUMBER_WORD3)}

AVX512
    static void wholes_avx512(const int64_t *v, int64_t than, enum kernel_compare how, const uint64_t *mask,
                              uint64_t *out, uint32_t words){BY_COMPARISON(WHOLE_WORD3)}

AVX512 static inline uint64_t code_word_avx512(const uint16_t *v, const uint16_t *wanted, uint32_t n)
{
    __m512i low = _mm512_loadu_si512(v), high = _mm512_loadu_si512(v + 32);
    uint64_t bits = 0;
    for (uint32_t k = 0; k < n; k++) {
        __m512i code = _mm512_set1_epi16((int16_t)wanted[k]);
        bits |= _mm512_cmpeq_epi16_mask(low, code) | (uint64_t)_mm512_cmpeq_epi16_mask(high, code) << 32;
    }
    return bits;
}

AVX512 static void codes_avx512(const uint16_t *v, const uint16_t *wanted, uint32_t wanted_count,
                                const uint64_t *mask, uint64_t *out, uint32_t words)
{
    EACH_WORD(code_word_avx512(v, wanted, wanted_count));
}

AVX512 static void bytes_avx512(const uint8_t *v, const uint64_t *mask, uint64_t *out, uint32_t words)
{
    EACH_WORD(_mm512_test_epi8_mask(_mm512_loadu_si512(v), _mm512_set1_epi8(-1)));
}
#endif

/* ---- choosing ------------------------------------------------------------------------------------------------ */

static const char *const level_names[CPU_LEVELS] = {"portable", "avx2", "avx512"};
static const struct kernels levels[CPU_LEVELS] = {
    [CPU_PORTABLE] = {numbers_portable, wholes_portable, codes_portable, bytes_portable, count_portable,
                      count_both_portable},
#ifdef __x86_64__
    [CPU_AVX2] = {numbers_avx2, wholes_avx2, codes_avx2, bytes_avx2, count_popcnt, count_both_popcnt},
    [CPU_AVX512] = {numbers_avx512, wholes_avx512, codes_avx512, bytes_avx512, count_popcnt,
                    count_both_popcnt},
#endif
};

enum cpu_level cpu_best(void)
{
#ifdef __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")) return CPU_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt")) return CPU_AVX2;
#endif
    return CPU_PORTABLE;
}

bool cpu_level_named(const char *name, enum cpu_level *out)
{
    for (uint32_t i = 0; i < CPU_LEVELS; i++)
        if (strcmp(name, level_names[i]) == 0) return *out = (enum cpu_level)i, true;
    return false;
}

const char *cpu_level_name(enum cpu_level level) { return level_names[level]; }

const struct kernels *kernels_at(enum cpu_level level) { return &levels[level]; }
