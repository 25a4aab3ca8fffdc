/* The top bits of key.lo choose the directory entry, its low bits the bucket, the low byte of key.hi is the tag
 * (its top six bits are the same for a whole shard).
 *
 *   directory: 2^depth x u32 -> segment: 64 buckets x 64 B
 *   bucket:    tag x 12 | used u16 | spilled u8 | depth u8 | value x 12
 *
 * 1. An entry lives in its home bucket or in the next one (the last bucket's next is the first).
 * 2. `spilled` of a bucket counts its entries that live in the next one; 0 spares the second line.
 * 3. `depth` of a segment's bucket 0 is the number of top bits that all its keys share. */
#include "core/store/index.h"
#include "core/base/check.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

struct bucket {
    uint8_t tags[INDEX_SLOTS];
    uint16_t used;
    uint8_t spilled, depth;
    uint32_t values[INDEX_SLOTS];
};
_Static_assert(sizeof(struct bucket) == 64, "one cache line");

enum { SEGMENT_BYTES = INDEX_SEGMENT_BUCKETS * sizeof(struct bucket), USED_ALL = (1 << INDEX_SLOTS) - 1 };
enum { SEGMENT_SLOTS = INDEX_SEGMENT_BUCKETS * INDEX_SLOTS };

static uint32_t *directory_of(const struct index *ix) { return (uint32_t *)ix->directory.base; }

static struct bucket *segment_at(const struct index *ix, uint32_t number)
{
    return (struct bucket *)(ix->segments.base + (size_t)number * SEGMENT_BYTES);
}

static size_t entry_of(const struct index *ix, struct key key)
{
    return ix->depth ? key.lo >> (64 - ix->depth) : 0;
}
static uint32_t home_of(struct key key) { return (uint32_t)key.lo & (INDEX_SEGMENT_BUCKETS - 1); }
static uint32_t next_of(uint32_t bucket) { return (bucket + 1) & (INDEX_SEGMENT_BUCKETS - 1); }
static uint8_t tag_of(struct key key) { return (uint8_t)key.hi; }

static struct bucket *segment_of(const struct index *ix, struct key key)
{
    return segment_at(ix, directory_of(ix)[entry_of(ix, key)]);
}

static struct key key_of(const struct index *ix, uint32_t value)
{
    const struct index_source *source = value & INDEX_LINK_BIT ? &ix->links : &ix->rows;
    struct key key;
    memcpy(&key, source->base + (size_t)(value & ~INDEX_LINK_BIT) * source->stride, sizeof key);
    return key;
}

/* A bit for every used slot whose tag fits. */
static uint32_t matches(const struct bucket *b, uint8_t tag)
{
#ifdef __SSE2__
    __m128i tags = _mm_load_si128((const __m128i *)(const void *)b);
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(tags, _mm_set1_epi8((char)tag))) & b->used;
#else
    uint32_t fit = 0;
    for (uint32_t i = 0; i < INDEX_SLOTS; i++) fit |= (uint32_t)(b->tags[i] == tag) << i;
    return fit & b->used;
#endif
}

bool index_create(struct index *ix, struct index_source rows, struct index_source links)
{
    *ix = (struct index){.rows = rows, .links = links};
    if (!region_create(&ix->segments, (size_t)SEGMENT_BYTES << INDEX_DEPTH_MAX)) return false;
    if (!region_create(&ix->directory, sizeof(uint32_t) << INDEX_DEPTH_MAX)) return false;
    /* All of the directory at once: address space until it is used. An empty bucket is all zero. */
    if (!region_commit(&ix->directory)) return false;
    if (!region_reserve(&ix->segments, SEGMENT_BYTES)) return false;
    ix->segments.used = SEGMENT_BYTES;
    ix->segment_count = 1;
    return true;
}

void index_destroy(struct index *ix)
{
    region_destroy(&ix->segments);
    region_destroy(&ix->directory);
}

/* Segments are half to three quarters full on the average; one in eight is far below what splitting leaves behind. */
bool index_reserve(struct index *ix, uint32_t more)
{
    size_t enough = ((size_t)ix->count + more) / (SEGMENT_SLOTS / 8) + 8;
    size_t needed = enough > ix->segment_count ? enough - ix->segment_count : 1;
    if (needed > (size_t)more + 8) needed = (size_t)more + 8;
    return region_reserve(&ix->segments, needed * SEGMENT_BYTES);
}

static int slot_in(const struct index *ix, const struct bucket *b, struct key key)
{
    for (uint32_t fit = matches(b, tag_of(key)); fit; fit &= fit - 1) {
        int slot = __builtin_ctz(fit);
        if (key_eq(key_of(ix, b->values[slot]), key)) return slot;
    }
    return -1;
}

uint32_t index_find(const struct index *ix, struct key key)
{
    const struct bucket *segment = segment_of(ix, key), *b = &segment[home_of(key)];
    int slot = slot_in(ix, b, key);
    if (slot < 0 && b->spilled) {
        b = &segment[next_of(home_of(key))];
        slot = slot_in(ix, b, key);
    }
    return slot < 0 ? INDEX_NONE : b->values[slot];
}

static bool put_in(struct bucket *b, struct key key, uint32_t value)
{
    uint32_t free = ~(uint32_t)b->used & USED_ALL;
    if (!free) return false;
    int slot = __builtin_ctz(free);
    b->used |= (uint16_t)(1u << slot);
    b->tags[slot] = tag_of(key);
    b->values[slot] = value;
    return true;
}

static bool put(struct bucket *segment, struct key key, uint32_t value)
{
    struct bucket *home = &segment[home_of(key)];
    if (put_in(home, key, value)) return true;
    if (!put_in(&segment[next_of(home_of(key))], key, value)) return false;
    home->spilled++;
    return true;
}

static void take_out(struct bucket *segment, uint32_t at, int slot, uint32_t home)
{
    segment[at].used &= (uint16_t) ~(1u << slot);
    if (at != home) segment[home].spilled--;
}

static void double_directory(struct index *ix)
{
    CHECK(ix->depth < INDEX_DEPTH_MAX);
    uint32_t *directory = directory_of(ix);
    for (size_t i = (size_t)1 << ix->depth; i-- > 0;) directory[2 * i] = directory[2 * i + 1] = directory[i];
    ix->depth++;
}

/* Gives the upper half of the directory entries that share `number` to the new segment. */
static void redirect(struct index *ix, uint32_t number, uint32_t fresh, struct key any, uint32_t depth)
{
    uint32_t *directory = directory_of(ix), shift = ix->depth - depth;
    size_t half = (size_t)1 << shift, first = (entry_of(ix, any) >> (shift + 1)) << (shift + 1);
    for (size_t i = first + half; i < first + 2 * half; i++) {
        DCHECK(directory[i] == number);
        directory[i] = fresh;
    }
}

static void prefetch_keys(const struct index *ix, const struct bucket *segment)
{
    for (uint32_t at = 0; at < INDEX_SEGMENT_BUCKETS; at++)
        for (uint32_t used = segment[at].used; used; used &= used - 1) {
            uint32_t value = segment[at].values[__builtin_ctz(used)];
            const struct index_source *source = value & INDEX_LINK_BIT ? &ix->links : &ix->rows;
            __builtin_prefetch(source->base + (size_t)(value & ~INDEX_LINK_BIT) * source->stride);
        }
}

/* Entries whose deciding bit is set move to the same bucket of the new segment: there is always room. */
static void distribute(struct index *ix, struct bucket *from, struct bucket *to, uint32_t depth)
{
    for (uint32_t at = 0; at < INDEX_SEGMENT_BUCKETS; at++)
        for (uint32_t used = from[at].used; used; used &= used - 1) {
            int slot = __builtin_ctz(used);
            struct key key = key_of(ix, from[at].values[slot]);
            if (!(key.lo >> (64 - depth) & 1)) continue;
            put_in(&to[at], key, from[at].values[slot]);
            if (at != home_of(key)) to[home_of(key)].spilled++;
            take_out(from, at, slot, home_of(key));
        }
}

/* After a split there is room: what had spilled goes back to where it is found with one line. */
static void bring_home(struct index *ix, struct bucket *segment)
{
    for (uint32_t home = 0; home < INDEX_SEGMENT_BUCKETS; home++) {
        uint32_t at = next_of(home);
        if (!segment[home].spilled) continue;
        for (uint32_t used = segment[at].used; used; used &= used - 1) {
            int slot = __builtin_ctz(used);
            uint32_t value = segment[at].values[slot];
            struct key key = key_of(ix, value);
            if (home_of(key) == home && put_in(&segment[home], key, value)) take_out(segment, at, slot, home);
        }
    }
}

static void split(struct index *ix, struct key key)
{
    uint32_t number = directory_of(ix)[entry_of(ix, key)];
    struct bucket *from = segment_at(ix, number);
    if (from->depth == ix->depth) double_directory(ix);
    CHECK(ix->segments.committed - ix->segments.used >= SEGMENT_BYTES); /* reserve, then apply */
    uint32_t fresh = ix->segment_count++;
    ix->segments.used += SEGMENT_BYTES;
    struct bucket *to = segment_at(ix, fresh);
    uint32_t depth = from->depth + 1u;
    from->depth = to->depth = (uint8_t)depth;
    redirect(ix, number, fresh, key, depth);
    prefetch_keys(ix, from);
    distribute(ix, from, to, depth);
    bring_home(ix, from);
    bring_home(ix, to);
}

void index_insert(struct index *ix, struct key key, uint32_t value)
{
    DCHECK(index_find(ix, key) == INDEX_NONE);
    while (!put(segment_of(ix, key), key, value)) split(ix, key);
    ix->count++;
}

uint32_t index_remove(struct index *ix, struct key key)
{
    struct bucket *segment = segment_of(ix, key);
    uint32_t home = home_of(key), at = home;
    int slot = slot_in(ix, &segment[at], key);
    if (slot < 0 && segment[home].spilled) slot = slot_in(ix, &segment[at = next_of(home)], key);
    if (slot < 0) return INDEX_NONE;
    uint32_t value = segment[at].values[slot];
    take_out(segment, at, slot, home);
    ix->count--;
    return value;
}

void index_prefetch_directory(const struct index *ix, struct key key)
{
    __builtin_prefetch(&directory_of(ix)[entry_of(ix, key)]);
}

void index_prefetch(const struct index *ix, struct key key)
{
    __builtin_prefetch(&segment_of(ix, key)[home_of(key)]);
}

uint32_t index_guess(const struct index *ix, struct key key)
{
    const struct bucket *b = &segment_of(ix, key)[home_of(key)];
    uint32_t fit = matches(b, tag_of(key));
    return fit ? b->values[__builtin_ctz(fit)] : INDEX_NONE;
}

static bool segment_valid(const struct index *ix, const struct bucket *segment, uint32_t *entries)
{
    uint32_t spilled[INDEX_SEGMENT_BUCKETS] = {0},
             number = (uint32_t)(segment - segment_at(ix, 0)) / INDEX_SEGMENT_BUCKETS;
    for (uint32_t at = 0; at < INDEX_SEGMENT_BUCKETS; at++)
        for (uint32_t used = segment[at].used; used; used &= used - 1, ++*entries) {
            int slot = __builtin_ctz(used);
            struct key key = key_of(ix, segment[at].values[slot]);
            uint32_t home = home_of(key);
            if (at != home && at != next_of(home)) return false;
            if (segment[at].tags[slot] != tag_of(key) || directory_of(ix)[entry_of(ix, key)] != number)
                return false;
            spilled[home] += at != home;
        }
    for (uint32_t at = 0; at < INDEX_SEGMENT_BUCKETS; at++)
        if (segment[at].spilled != spilled[at]) return false;
    return segment->depth <= ix->depth;
}

bool index_valid(const struct index *ix)
{
    uint32_t entries = 0;
    for (uint32_t i = 0; i < ix->segment_count; i++)
        if (!segment_valid(ix, segment_at(ix, i), &entries)) return false;
    return entries == ix->count;
}
