/* outbox.c - entries in the order of creation, and an index of ids.
 *
 *   entries  [ . . . . | live, dead, live ... | room ]      sorted by sequence; a confirmed one stays as a dead entry
 *            0       head                  tail   capacity
 *   index    open addressing: id -> position; made anew whenever entries move
 *
 * Always true: 1. sequences rise; 2. entries[head] is live or head == tail; 3. a dead entry has no content block.
 * When the room behind the tail runs out, outbox_reserve moves the live ones to the front, and doubles what is more
 * than half full, so that an action costs O(1) however long a channel that nobody reads keeps its own. */
#include "core/journey/outbox.h"
#include "core/base/planted.h"
#include "core/base/check.h"

#include <stdlib.h>

struct entry {
    struct key id;
    uint64_t sequence;
    uint32_t created_at;
    uint32_t content; /* heap handle; 0: confirmed */
    uint32_t bytes;
    uint16_t channel, spare;
};
_Static_assert(sizeof(struct entry) == 40, "no padding");

struct outbox {
    struct heap *heap;
    struct entry *entries;
    uint32_t head, tail, capacity;
    uint32_t *slots; /* position + 1; 0: empty */
    uint32_t slot_mask;
    uint64_t last_sequence, pending, bytes;
};

enum { ENTRIES_FIRST = 256 };

struct outbox *outbox_create(struct heap *heap)
{
    struct outbox *o = calloc(1, sizeof *o);
    if (o) o->heap = heap;
    return o;
}

void outbox_destroy(struct outbox *o)
{
    if (!o) return;
    heap_table_free(o->entries);
    heap_table_free(o->slots);
    free(o);
}

/* ---- the index ---------------------------------------------------------------------------------- */

static uint32_t slot_of(const struct outbox *o, struct key id)
{
    uint32_t i = (uint32_t)id.lo & o->slot_mask;
    while (o->slots[i] && !key_eq(o->entries[o->slots[i] - 1].id, id)) i = (i + 1) & o->slot_mask;
    return i;
}

static struct entry *find(const struct outbox *o, struct key id)
{
    if (o->capacity == 0) return NULL;
    uint32_t position = o->slots[slot_of(o, id)];
    return position && o->entries[position - 1].content ? &o->entries[position - 1] : NULL;
}

static void reindex(struct outbox *o)
{
    memset(o->slots, 0, (o->slot_mask + 1) * sizeof *o->slots);
    for (uint32_t i = o->head; i < o->tail; i++) o->slots[slot_of(o, o->entries[i].id)] = i + 1;
}

static void compact(struct outbox *o)
{
    uint32_t n = 0;
    for (uint32_t i = o->head; i < o->tail; i++)
        if (o->entries[i].content) o->entries[n++] = o->entries[i];
    o->head = 0;
    o->tail = n;
}

static bool grow(struct outbox *o, uint32_t capacity)
{
    struct entry *entries = heap_table(o->heap, o->entries, capacity * sizeof *entries);
    if (!entries) return false;
    o->entries = entries;
    uint32_t *slots = heap_table(o->heap, o->slots, 2 * (size_t)capacity * sizeof *slots);
    if (!slots) return false; /* the old capacity stands */
    o->slots = slots;
    o->capacity = capacity;
    o->slot_mask = 2 * capacity - 1;
    return true;
}

static bool make_room(struct outbox *o, uint32_t actions)
{
    compact(o);
    uint64_t capacity = o->capacity ? o->capacity : ENTRIES_FIRST;
    while (capacity < 2 * ((uint64_t)o->tail + actions)) capacity *= 2;
    bool ok = capacity <= 1u << 30 && (capacity == o->capacity || grow(o, (uint32_t)capacity));
    if (o->slots) reindex(o);
    return ok;
}

bool outbox_reserve(struct outbox *o, uint32_t actions, size_t bytes)
{
    if (o->capacity - o->tail < actions && !make_room(o, actions)) return false;
    /* Each block may lose an eighth and a granule to its size class. */
    return heap_reserve(o->heap, bytes + bytes / 4 + (size_t)actions * 64);
}

/* ---- actions ------------------------------------------------------------------------------------ */

static struct action view(const struct outbox *o, const struct entry *e)
{
    const uint8_t *p = heap_at(o->heap, e->content);
    return (struct action){.id = e->id,
                           .sequence = e->sequence,
                           .channel = e->channel,
                           .created_at = e->created_at,
                           .test = p[e->bytes - 1] == 0xc3, /* `test: true` ends the record: action.c */
                           .content = slice_of(p, e->bytes)};
}

static void put(struct outbox *o, struct entry e, struct slice content)
{
    CHECK(o->tail < o->capacity && content.n > 0);
    e.content = heap_alloc(o->heap, content.n);
    e.bytes = content.n;
    memcpy(heap_at(o->heap, e.content), content.p, content.n);
    o->entries[o->tail] = e;
    o->slots[slot_of(o, e.id)] = ++o->tail;
    o->last_sequence = e.sequence;
    o->pending++;
    o->bytes += content.n;
}

uint64_t outbox_add(struct outbox *o, struct key id, uint16_t channel, uint32_t at, struct slice content)
{
    put(o, (struct entry){.id = id, .sequence = o->last_sequence + 1, .created_at = at, .channel = channel},
        content);
    return o->last_sequence;
}

bool outbox_confirm(struct outbox *o, struct key id, struct action *was)
{
    struct entry *e = find(o, id);
    if (!e) return false;
    if (was) {
        *was = view(o, e);
        was->content = (struct slice){0};
    }
    heap_release(o->heap, e->content, e->bytes);
    e->content = 0;
    o->pending--;
    o->bytes -= e->bytes;
    while (o->head < o->tail && !o->entries[o->head].content) o->head++;
    return true;
}

bool outbox_get(const struct outbox *o, struct key id, struct action *out)
{
    const struct entry *e = find(o, id);
    if (e) *out = view(o, e);
    return e != NULL;
}

bool outbox_next(const struct outbox *o, uint64_t after, struct action *out)
{
    uint32_t low = o->head, high = o->tail;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (o->entries[middle].sequence > after)
            high = middle;
        else
            low = middle + 1;
    }
    while (low < o->tail && !o->entries[low].content) low++;
    if (low == o->tail) return false;
    *out = view(o, &o->entries[low]);
    return true;
}

uint64_t outbox_pending(const struct outbox *o) { return o->pending; }
uint64_t outbox_bytes(const struct outbox *o) { return o->bytes; }
uint32_t outbox_oldest(const struct outbox *o)
{
    return o->head < o->tail ? o->entries[o->head].created_at : 0;
}
uint64_t outbox_last_sequence(const struct outbox *o) { return o->last_sequence; }

/* ---- as bytes: last sequence 8, count 8, then per action id 16, sequence 8, at 4, channel 2, length 4, content ----- */

void outbox_encode(const struct outbox *o, struct buf *out)
{
    buf_put_le64(out, o->last_sequence);
    buf_put_le64(out, o->pending);
    for (uint32_t i = o->head; i < o->tail; i++) {
        const struct entry *e = &o->entries[i];
        if (!e->content) continue;
        buf_put_le64(out, e->id.hi);
        buf_put_le64(out, e->id.lo);
        buf_put_le64(out, e->sequence);
        buf_put_le32(out, e->created_at);
        buf_put_le16(out, e->channel);
        buf_put_le32(out, e->bytes);
        buf_put(out, heap_at(o->heap, e->content), e->bytes);
    }
}

static bool decode_one(struct outbox *o, struct reader *r, uint64_t last)
{
    struct entry e = {0};
    e.id.hi = read_le64(r);
    e.id.lo = read_le64(r);
    e.sequence = read_le64(r);
    e.created_at = read_le32(r);
    e.channel = read_le16(r);
    struct slice content = read_slice(r, read_le32(r));
    if (r->bad || content.n == 0 || e.sequence <= o->last_sequence || e.sequence > last || find(o, e.id))
        return false;
    if (!outbox_reserve(o, 1, content.n)) return false;
    put(o, e, content);
    return true;
}

bool outbox_decode(struct outbox *o, struct slice bytes)
{
    struct reader r = reader_of(bytes);
    uint64_t last = read_le64(&r), count = read_le64(&r);
    if (r.bad || o->last_sequence != 0) return false;
    for (uint64_t i = 0; i < count; i++)
        if (!decode_one(o, &r, last)) return false;
    if (!PLANTED(outbox_position_lost)) o->last_sequence = last;
    return !r.bad && r.p == r.end;
}

uint64_t outbox_hash(const struct outbox *o)
{
    uint64_t sum = o->last_sequence * 0x9e3779b97f4a7c15ull;
    for (uint32_t i = o->head; i < o->tail; i++) {
        const struct entry *e = &o->entries[i];
        if (!e->content) continue;
        uint64_t parts[5] = {e->id.hi, e->id.lo, e->sequence, (uint64_t)e->created_at << 16 | e->channel,
                             hash64_plain(heap_at(o->heap, e->content), e->bytes)};
        sum += hash64_plain(parts, sizeof parts);
    }
    return sum;
}
