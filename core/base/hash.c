#include "core/base/hash.h"
#include "core/base/check.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

void hash_secret_from_seed(struct hash_secret *out, struct slice seed)
{
    for (uint32_t i = 0; i < SECRET_BYTES / 16; i++) {
        XXH128_hash_t h = XXH3_128bits_withSeed(seed.p, seed.n, 0x68676c73ull + i);
        XXH128_canonical_t bytes;
        XXH128_canonicalFromHash(&bytes, h);
        memcpy(out->bytes + 16 * i, bytes.digest, 16);
    }
}

struct key hash_id(const struct hash_secret *secret, uint32_t id_kind, struct slice id)
{
    uint8_t text[4 + 512];
    CHECK(id.n <= 512);
    store_le32(text, id_kind);
    if (id.n) memcpy(text + 4, id.p, id.n);
    XXH128_hash_t h = XXH3_128bits_withSecret(text, id.n + 4, secret->bytes, SECRET_BYTES);
    if ((h.high64 | h.low64) == 0) h.low64 = 1;
    return (struct key){h.high64, h.low64};
}

uint64_t hash64(const struct hash_secret *secret, const void *p, size_t n)
{
    return XXH3_64bits_withSecret(p, n, secret->bytes, SECRET_BYTES);
}

struct key hash128_plain(const void *p, size_t n)
{
    XXH128_hash_t h = XXH3_128bits(p, n);
    return (struct key){h.high64, h.low64};
}

uint64_t hash64_plain(const void *p, size_t n) { return XXH3_64bits(p, n); }

static uint32_t crc_table[256];

__attribute__((constructor(101))) static void crc_init(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = c & 1 ? 0x82F63B78u ^ (c >> 1) : c >> 1;
        crc_table[i] = c;
    }
}

static uint32_t crc32c_portable(uint32_t crc, const uint8_t *p, size_t n)
{
    while (n--) crc = crc_table[(crc ^ *p++) & 0xff] ^ (crc >> 8);
    return crc;
}

#ifdef __x86_64__
#include <nmmintrin.h>

/* One crc32 instruction waits three cycles for the one before, but three streams run side by side. Three neighbouring
 * lanes are summed at once; `shift` then moves a lane's sum past the lane behind it (a linear map: four table looks). */
enum { LANE_LONG = 2048, LANE_SHORT = 128 };
static uint32_t shift_long[4][256], shift_short[4][256];

static void shift_init(uint32_t table[4][256], size_t lane)
{
    static const uint8_t zeros[LANE_LONG];
    uint32_t bit[32];
    for (uint32_t i = 0; i < 32; i++) bit[i] = crc32c_portable(1u << i, zeros, lane);
    for (uint32_t k = 0; k < 4; k++)
        for (uint32_t v = 0; v < 256; v++)
            for (uint32_t i = 0; i < 8; i++)
                if (v >> i & 1) table[k][v] ^= bit[8 * k + i];
}

static uint32_t shift(const uint32_t table[4][256], uint64_t c)
{
    return table[0][c & 0xff] ^ table[1][c >> 8 & 0xff] ^ table[2][c >> 16 & 0xff] ^ table[3][c >> 24 & 0xff];
}

__attribute__((target("sse4.2"))) static uint64_t crc_lanes(uint64_t c, const uint8_t *p, size_t lane,
                                                            const uint32_t table[4][256])
{
    uint64_t d = 0, e = 0;
    for (const uint8_t *end = p + lane; p < end; p += 8) {
        c = _mm_crc32_u64(c, load_le64(p));
        d = _mm_crc32_u64(d, load_le64(p + lane));
        e = _mm_crc32_u64(e, load_le64(p + 2 * lane));
    }
    return shift(table, shift(table, c) ^ d) ^ e;
}

__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const uint8_t *p, size_t n)
{
    uint64_t c = crc;
    for (; n >= 3 * LANE_LONG; p += 3 * LANE_LONG, n -= 3 * LANE_LONG)
        c = crc_lanes(c, p, LANE_LONG, shift_long);
    for (; n >= 3 * LANE_SHORT; p += 3 * LANE_SHORT, n -= 3 * LANE_SHORT)
        c = crc_lanes(c, p, LANE_SHORT, shift_short);
    for (; n >= 8; p += 8, n -= 8) c = _mm_crc32_u64(c, load_le64(p));
    uint32_t r = (uint32_t)c;
    while (n--) r = _mm_crc32_u8(r, *p++);
    return r;
}

static bool has_sse42;
__attribute__((constructor(102))) static void crc_choose(void) /* behind crc_init */
{
    __builtin_cpu_init();
    has_sse42 = __builtin_cpu_supports("sse4.2");
    shift_init(shift_long, LANE_LONG);
    shift_init(shift_short, LANE_SHORT);
}
#endif

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
    crc = ~crc;
#ifdef __x86_64__
    if (has_sse42) return ~crc32c_sse42(crc, p, n);
#endif
    return ~crc32c_portable(crc, p, n);
}

uint32_t crc32c_slow(uint32_t crc, const void *p, size_t n) { return ~crc32c_portable(~crc, p, n); }
