/* A bucket is a chain of chunks, the newest first; only the first is partly filled.
 *
 *   now ............. L0: 4096 x 1 s .... L1: 512 x 4096 s .... L2: 64 x 2^21 s .... far
 *   due - now < 4096  | (due>>12) - (now>>12) < 512 | (due>>21) - (now>>21) < 64 | beyond
 *
 * 1. When now reaches a multiple of 4096 (of 2^21) that slot of L1 (of L2, and what of far is near enough) moves down,
 *    before the second is handed out. Slots without entries are jumped over.
 * 2. An entry of L0 is due within (now - 1, now + 4096), so its slot says its second.
 * 3. Every bucket above L0 knows its earliest due, so that the next due second is exact.
 * 4. Chunks in use <= entries / CHUNK_ENTRIES + buckets: wheel_reserve commits that, moving down never needs more. */
#include "core/time/wheel.h"
#include "core/base/planted.h"
#include "core/base/check.h"

#include <stdlib.h>

enum { L0 = 4096, L1 = 512, L2 = 64, L0_BITS = 12, L2_BITS = 21, FAR = L0 + L1 + L2, BUCKETS = FAR + 1 };
enum { CHUNK_ENTRIES = 15 };
#define WHEEL_BYTES_MAX (1ull << 30)
#define NEVER           UINT32_MAX

struct chunk {
    uint32_t next; /* number + 1 of the chunk behind, or of the next free one */
    uint32_t spare;
    struct wheel_entry list[CHUNK_ENTRIES];
};
_Static_assert(sizeof(struct chunk) == 128, "two cache lines");

struct bucket {
    uint32_t chunk; /* number + 1 of the first, 0: empty */
    uint32_t fill;  /* entries in it */
};

struct wheel {
    struct region chunks;
    uint32_t free;        /* number + 1 */
    uint32_t chunk_count; /* ever taken */
    uint32_t now;
    uint64_t entries;
    struct bucket buckets[BUCKETS];
    uint32_t earliest[L1 + L2 + 1];                          /* of the buckets above L0 */
    uint64_t set0[L0 / 64], set0_words, set1[L1 / 64], set2; /* which slots have entries */
};

struct wheel *wheel_create(uint32_t now)
{
    struct wheel *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    w->now = now;
    if (region_create(&w->chunks, WHEEL_BYTES_MAX) && wheel_reserve(w, 0)) return w;
    wheel_destroy(w);
    return NULL;
}

void wheel_destroy(struct wheel *w)
{
    if (!w) return;
    region_destroy(&w->chunks);
    free(w);
}

void wheel_clear(struct wheel *w, uint32_t now)
{
    struct region chunks = w->chunks;
    chunks.used = 0;
    *w = (struct wheel){.now = now, .chunks = chunks};
}

bool wheel_reserve(struct wheel *w, uint32_t entries)
{
    uint64_t chunks = (w->entries + entries) / CHUNK_ENTRIES + BUCKETS + 1;
    return chunks <= w->chunk_count ||
           region_reserve(&w->chunks, (chunks - w->chunk_count) * sizeof(struct chunk));
}

uint32_t wheel_now(const struct wheel *w) { return w->now; }
uint64_t wheel_entries(const struct wheel *w) { return w->entries; }
uint64_t wheel_bytes(const struct wheel *w) { return w->chunks.used + sizeof *w; }

/* ---- buckets --------------------------------------------------------------------------- */

static struct chunk *chunk_at(const struct wheel *w, uint32_t number)
{
    return &((struct chunk *)(void *)w->chunks.base)[number - 1];
}

static uint32_t take_chunk(struct wheel *w)
{
    uint32_t number = w->free;
    if (number) {
        w->free = chunk_at(w, number)->next;
        return number;
    }
    CHECK(w->chunks.committed - w->chunks.used >= sizeof(struct chunk)); /* reserve, then apply */
    w->chunks.used += sizeof(struct chunk);
    return ++w->chunk_count;
}

static void give_chunk(struct wheel *w, uint32_t number)
{
    chunk_at(w, number)->next = w->free;
    w->free = number;
}

static void mark(struct wheel *w, uint32_t bucket)
{
    if (bucket < L0) {
        w->set0[bucket / 64] |= 1ull << bucket % 64;
        w->set0_words |= 1ull << bucket / 64;
    } else if (bucket < L0 + L1) {
        w->set1[(bucket - L0) / 64] |= 1ull << (bucket - L0) % 64;
    } else if (bucket < FAR) {
        w->set2 |= 1ull << (bucket - L0 - L1);
    }
}

static void unmark(struct wheel *w, uint32_t bucket)
{
    if (bucket < L0) {
        w->set0[bucket / 64] &= ~(1ull << bucket % 64);
        if (!w->set0[bucket / 64]) w->set0_words &= ~(1ull << bucket / 64);
    } else if (bucket < L0 + L1) {
        w->set1[(bucket - L0) / 64] &= ~(1ull << (bucket - L0) % 64);
    } else if (bucket < FAR) {
        w->set2 &= ~(1ull << (bucket - L0 - L1));
    }
}

static uint32_t bucket_for(const struct wheel *w, uint32_t due)
{
    if (due - w->now < L0 + PLANTED(wheel_near_off_by_one)) return due % L0;
    if ((due >> L0_BITS) - (w->now >> L0_BITS) < L1) return L0 + (due >> L0_BITS) % L1;
    if ((due >> L2_BITS) - (w->now >> L2_BITS) < L2) return L0 + L1 + (due >> L2_BITS) % L2;
    return FAR;
}

static void put(struct wheel *w, struct wheel_entry e)
{
    uint32_t at = bucket_for(w, e.due);
    struct bucket *b = &w->buckets[at];
    if (!b->chunk || b->fill == CHUNK_ENTRIES) {
        uint32_t fresh = take_chunk(w);
        chunk_at(w, fresh)->next = b->chunk;
        if (!b->chunk) mark(w, at);
        if (!b->chunk && at >= L0) w->earliest[at - L0] = NEVER;
        *b = (struct bucket){fresh, 0};
    }
    chunk_at(w, b->chunk)->list[b->fill++] = e;
    if (at >= L0 && e.due < w->earliest[at - L0]) w->earliest[at - L0] = e.due;
}

void wheel_add(struct wheel *w, uint32_t slot, uint32_t due)
{
    CHECK(due > w->now);
    put(w, (struct wheel_entry){slot, due});
    w->entries++;
}

/* Empties a bucket into the levels below it (far may refill itself). */
static void move_down(struct wheel *w, uint32_t at)
{
    struct bucket from = w->buckets[at];
    if (!from.chunk) return;
    w->buckets[at] = (struct bucket){0};
    unmark(w, at);
    while (from.chunk) {
        struct chunk *c = chunk_at(w, from.chunk);
        uint32_t next = c->next;
        if (next) __builtin_prefetch(chunk_at(w, next));
        for (uint32_t i = 0; i < from.fill; i++) put(w, c->list[i]);
        give_chunk(w, from.chunk);
        from = (struct bucket){next, CHUNK_ENTRIES};
    }
}

static void arrive(struct wheel *w, uint32_t second)
{
    w->now = second;
    if (second % L0) return;
    if (second % (1u << L2_BITS) == 0) {
        bool near = w->buckets[FAR].chunk && (w->earliest[FAR - L0] >> L2_BITS) - (second >> L2_BITS) < L2;
        if (near) move_down(w, FAR);
        move_down(w, L0 + L1 + ((second >> L2_BITS) + PLANTED(wheel_high_off_by_one)) % L2);
    }
    move_down(w, L0 + ((second >> L0_BITS) + PLANTED(wheel_middle_off_by_one)) % L1);
}

/* ---- the next second with something ---------------------------------------------------- */

/* Distance from `from` to the next set bit of a ring of 64 * words bits, `from` itself included; bits if none is. */
static uint32_t next_bit(const uint64_t *set, uint32_t words, uint32_t from)
{
    uint32_t bits = 64 * words, word = from / 64;
    uint64_t part = set[word] & (~0ull << from % 64);
    for (uint32_t i = 0; i <= words; i++) {
        if (part) return ((word * 64 + (uint32_t)__builtin_ctzll(part)) - from) & (bits - 1);
        word = (word + 1) % words;
        part = set[word];
        if (word == from / 64) part &= from % 64 ? (1ull << from % 64) - 1 : 0;
    }
    return bits;
}

static uint64_t next_near(const struct wheel *w) /* in L0, after now; UINT64_MAX: none */
{
    if (!w->set0_words) return UINT64_MAX;
    uint32_t distance = next_bit(w->set0, L0 / 64, (w->now + 1) % L0);
    return distance >= L0 - 1 ? UINT64_MAX : (uint64_t)w->now + 1 + distance;
}

/* The next boundary at which a slot that has entries moves down. */
static uint64_t next_move(const struct wheel *w)
{
    uint64_t block = w->now >> L0_BITS, far_block = w->now >> L2_BITS, at = UINT64_MAX;
    uint32_t distance = next_bit(w->set1, L1 / 64, (uint32_t)(block + 1) % L1);
    if (distance < L1) at = (block + 1 + distance) << L0_BITS;
    distance = next_bit(&w->set2, 1, (uint32_t)(far_block + 1) % L2);
    if (distance < L2 && (far_block + 1 + distance) << L2_BITS < at)
        at = (far_block + 1 + distance) << L2_BITS;
    if (!w->buckets[FAR].chunk) return at;
    uint64_t near =
        (w->earliest[FAR - L0] >> L2_BITS) - (uint64_t)(L2 - 1); /* where it comes into reach of L2 */
    if (near <= far_block) near = far_block + 1;
    return near << L2_BITS < at ? near << L2_BITS : at;
}

uint32_t wheel_next(const struct wheel *w)
{
    if (w->buckets[w->now % L0].chunk) return w->now; /* handed out partly */
    uint64_t next = next_near(w);
    uint32_t slot = next_bit(w->set1, L1 / 64, ((w->now >> L0_BITS) + 1) % L1);
    if (slot < L1) {
        uint32_t earliest = w->earliest[((w->now >> L0_BITS) + 1 + slot) % L1];
        if (earliest < next) next = earliest;
    }
    slot = next_bit(&w->set2, 1, ((w->now >> L2_BITS) + 1) % L2);
    if (slot < L2) {
        uint32_t earliest = w->earliest[L1 + ((w->now >> L2_BITS) + 1 + slot) % L2];
        if (earliest < next) next = earliest;
    }
    if (w->buckets[FAR].chunk && w->earliest[FAR - L0] < next) next = w->earliest[FAR - L0];
    return next > NEVER ? NEVER : (uint32_t)next;
}

/* ---- time ------------------------------------------------------------------------------- */

static uint32_t hand_out(struct wheel *w, struct wheel_entry *out, uint32_t max)
{
    struct bucket *b = &w->buckets[w->now % L0];
    uint32_t n = 0;
    while (b->chunk && n < max) {
        struct chunk *c = chunk_at(w, b->chunk);
        if (c->next) __builtin_prefetch(chunk_at(w, c->next));
        while (b->fill && n < max) out[n++] = c->list[--b->fill];
        if (b->fill) break;
        uint32_t done = b->chunk;
        *b = (struct bucket){c->next, CHUNK_ENTRIES};
        give_chunk(w, done);
        if (!b->chunk) unmark(w, w->now % L0);
    }
    w->entries -= n;
    return n;
}

uint32_t wheel_advance(struct wheel *w, uint32_t to, struct wheel_entry *out, uint32_t max)
{
    uint32_t n = 0;
    for (;;) {
        n += hand_out(w, out + n, max - n);
        if (n == max || w->now >= to) return n;
        uint64_t near = next_near(w), move = next_move(w), step = near < move ? near : move;
        arrive(w, step < to ? (uint32_t)step : to);
    }
}
