/* text.c - what may be called text: UTF-8 (Unicode 15, table 3-7), and printable text. Plain ASCII is
 * told eight bytes at a time. Declared in msgpack.h, because that is where strangers' text comes from. */
#include "core/base/msgpack.h"

#define EACH_BYTE(x) (0x0101010101010101ull * (x))

/* Length of the well-formed sequence at p, 0 if there is none; *c is its code point. */
static uint32_t sequence(const uint8_t *p, size_t left, uint32_t *c)
{
    if (p[0] < 0x80) return *c = p[0], 1;
    uint32_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    static const uint32_t LEAST[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (p[0] < 0xc2 || p[0] > 0xf4 || n > left) return 0;
    *c = p[0] & (0x7fu >> n);
    for (uint32_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        *c = *c << 6 | (p[i] & 0x3f);
    }
    bool surrogate = *c >= 0xd800 && *c <= 0xdfff;
    return *c < LEAST[n] || *c > 0x10ffff || surrogate ? 0 : n;
}

static bool is_printable(uint32_t c)
{
    if (c < 0x20 || (c >= 0x7f && c < 0xa0)) return false;
    if (c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e)) return false;
    return !((c >= 0x2066 && c <= 0x2069) || c == 0xfeff);
}

/* Has any of eight bytes its high bit set, is it below 0x20, or 0x7f? May also say yes for a byte beside such one. */
static inline uint64_t unusual(uint64_t w)
{
    uint64_t del = w ^ EACH_BYTE(0x7f);
    return w | (w - EACH_BYTE(0x20)) | (del - EACH_BYTE(1));
}

/* Folds f over the text in words of eight bytes that overlap at its end; short text is filled up with what it has. */
#define FOLD_WORDS(s, f, sum)                                                                                \
    do {                                                                                                     \
        const uint8_t *p_ = (s).p;                                                                           \
        uint32_t n_ = (s).n;                                                                                 \
        if (n_ >= 8) {                                                                                       \
            for (uint32_t i_ = 0; i_ + 8 < n_; i_ += 8) sum |= f(load_le64(p_ + i_));                        \
            sum |= f(load_le64(p_ + n_ - 8));                                                                \
        } else if (n_ >= 4) {                                                                                \
            sum |= f(load_le32(p_) | (uint64_t)load_le32(p_ + n_ - 4) << 32);                                \
        } else if (n_) {                                                                                     \
            sum |= f(EACH_BYTE(p_[0]));                                                                      \
            sum |= f(EACH_BYTE(p_[n_ / 2]));                                                                 \
            sum |= f(EACH_BYTE(p_[n_ - 1]));                                                                 \
        }                                                                                                    \
    } while (0)

static inline uint64_t itself(uint64_t w) { return w; }

/* Sequence by sequence, for what is not plain ASCII. */
static bool check_slowly(struct slice s, bool printable)
{
    for (const uint8_t *p = s.p, *end = s.p + s.n; p < end;) {
        uint32_t c, n = sequence(p, (size_t)(end - p), &c);
        if (n == 0 || (printable && !is_printable(c))) return false;
        p += n;
    }
    return true;
}

bool utf8_valid(struct slice s)
{
    uint64_t sum = 0;
    FOLD_WORDS(s, itself, sum);
    return !(sum & EACH_BYTE(0x80)) || check_slowly(s, false);
}

bool text_printable(struct slice s)
{
    uint64_t sum = 0;
    FOLD_WORDS(s, unusual, sum);
    return !(sum & EACH_BYTE(0x80)) || check_slowly(s, true);
}
