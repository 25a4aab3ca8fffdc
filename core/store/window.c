/* A message stamped in the future is not let go while its stamp is still ahead: it takes a second turn through the
 * ring, so that one wrong clock does not move the floor for everybody. */
#include "core/store/window.h"
#include "core/base/check.h"
#include "core/base/limits.h"

enum { WINDOW_MIN = 64 < DEDUP_ENTRIES_MAX ? 64 : DEDUP_ENTRIES_MAX, WINDOW_S = DEDUP_HOURS * 3600 };
_Static_assert((DEDUP_ENTRIES_MAX & (DEDUP_ENTRIES_MAX - 1)) == 0, "the ring's mask");

static struct window_entry *ring_of(const struct window *w) { return (struct window_entry *)w->ring.base; }
static uint32_t *table_of(const struct window *w) { return (uint32_t *)w->table.base; }
static uint32_t table_mask(const struct window *w) { return 2 * w->mask + 1; }

bool window_create(struct window *w)
{
    *w = (struct window){0};
    return region_create(&w->ring, DEDUP_ENTRIES_MAX * sizeof(struct window_entry)) &&
           region_create(&w->table, 2 * DEDUP_ENTRIES_MAX * sizeof(uint32_t));
}

void window_destroy(struct window *w)
{
    region_destroy(&w->ring);
    region_destroy(&w->table);
}

static uint32_t *cell_of(const struct window *w, uint64_t hash)
{
    uint32_t *table = table_of(w), mask = table_mask(w), at = (uint32_t)hash & mask;
    while (table[at] && ring_of(w)[table[at] - 1].hash != hash) at = (at + 1) & mask;
    return &table[at];
}

bool window_find(const struct window *w, uint64_t hash) { return w->count && *cell_of(w, hash) != 0; }

static void index_all(struct window *w)
{
    memset(w->table.base, 0, ((size_t)table_mask(w) + 1) * sizeof(uint32_t));
    for (uint32_t i = 0; i < w->count; i++)
        *cell_of(w, window_at(w, i)->hash) = ((w->head + i) & w->mask) + 1;
}

/* Doubling unrolls the ring: the part that had wrapped to the front moves behind the old end. */
static bool grow(struct window *w, uint32_t capacity)
{
    w->ring.used = w->table.used = 0;
    if (!region_reserve(&w->ring, (size_t)capacity * sizeof(struct window_entry))) return false;
    if (!region_reserve(&w->table, 2 * (size_t)capacity * sizeof(uint32_t))) return false;
    uint32_t old = w->mask ? w->mask + 1 : 0;
    if (w->head + w->count > old)
        memcpy(ring_of(w) + old, ring_of(w), (w->head + w->count - old) * sizeof(struct window_entry));
    w->mask = capacity - 1;
    w->ring.used = (size_t)capacity * sizeof(struct window_entry);
    w->table.used = 2 * (size_t)capacity * sizeof(uint32_t);
    index_all(w);
    return true;
}

bool window_reserve(struct window *w, uint32_t more)
{
    uint64_t need = (uint64_t)w->count + more;
    uint32_t capacity = w->mask ? w->mask + 1 : 0;
    if (need <= capacity || capacity == DEDUP_ENTRIES_MAX) return true;
    capacity = capacity ? capacity : WINDOW_MIN;
    while (capacity < need && capacity < DEDUP_ENTRIES_MAX) capacity *= 2;
    return grow(w, capacity);
}

/* Linear probing without marks: whoever probed past the emptied cell moves into it. */
static void forget(struct window *w, uint64_t hash)
{
    uint32_t *table = table_of(w), mask = table_mask(w), hole = (uint32_t)(cell_of(w, hash) - table);
    for (uint32_t at = (hole + 1) & mask; table[at]; at = (at + 1) & mask) {
        uint32_t home = (uint32_t)ring_of(w)[table[at] - 1].hash & mask;
        if (((at - home) & mask) < ((at - hole) & mask)) continue;
        table[hole] = table[at];
        hole = at;
    }
    table[hole] = 0;
}

static struct window_entry pop(struct window *w)
{
    struct window_entry e = *window_at(w, 0);
    forget(w, e.hash);
    w->head = (w->head + 1) & w->mask;
    w->count--;
    return e;
}

static void push(struct window *w, struct window_entry e)
{
    uint32_t place = (w->head + w->count++) & w->mask;
    ring_of(w)[place] = e;
    *cell_of(w, e.hash) = place + 1;
}

static void raise_floor(uint32_t *floor, uint32_t own_s)
{
    if (own_s > *floor) *floor = own_s;
}

void window_expire(struct window *w, uint32_t now)
{
    while (w->count && (uint64_t)window_at(w, 0)->received_s + WINDOW_S < now) {
        struct window_entry e = pop(w);
        if (e.own_s <= now) {
            raise_floor(&w->floor, e.own_s);
        } else {
            e.received_s = now;
            push(w, e);
        }
    }
}

void window_put(struct window *w, struct window_entry e, uint32_t now)
{
    CHECK(w->mask); /* reserve, then apply */
    if (w->count > w->mask) {
        CHECK(w->mask + 1 == DEDUP_ENTRIES_MAX);
        uint32_t own_s = pop(w).own_s;
        raise_floor(own_s <= now ? &w->floor : &w->floor_ahead, own_s);
    }
    push(w, e);
}

void window_forget(struct window *w, uint32_t own_s) { raise_floor(&w->floor, own_s); }

bool window_covers(const struct window *w, uint32_t own_s, uint32_t now)
{
    return own_s > w->floor && (own_s <= now || own_s > w->floor_ahead);
}
