/* The type records of a profile: BLOCK_TYPES, sorted by type id. What one record holds is in types.c. */
#include "core/store/parts.h"

/* The first record whose type is not below the wanted one. Steps without a branch on the types: which one an event has
 * no predictor can guess. */
static uint32_t lower_bound(const struct type_record *list, uint32_t count, uint16_t type)
{
    uint32_t low = 0;
    if (count == 0) return 0;
    for (; count > 1; count -= count / 2) low += list[low + count / 2 - 1].type < type ? count / 2 : 0;
    return low + (list[low].type < type);
}

static uint32_t place_of(const struct store *s, const struct type_record *list, uint32_t count, uint16_t type)
{
    uint32_t *last = &s->parts->type_at;
    if (*last >= count || list[*last].type != type) *last = lower_bound(list, count, type);
    return *last;
}

struct type_record *type_find(const struct store *s, row_t row, uint16_t type)
{
    uint32_t count;
    struct type_record *list = types_of(s, row, &count);
    uint32_t at = place_of(s, list, count, type);
    return at < count && list[at].type == type ? &list[at] : NULL;
}

struct type_record *type_find_or_add(struct store *s, row_t row, uint16_t type)
{
    uint32_t count;
    struct type_record *list = types_of(s, row, &count);
    uint32_t at = place_of(s, list, count, type);
    if (at < count && list[at].type == type) return &list[at];
    list = (struct type_record *)(void *)store_block_resize(s, row, BLOCK_TYPES,
                                                            (count + 1) * (uint32_t)sizeof *list);
    memmove(&list[at + 1], &list[at], (count - at) * sizeof *list);
    list[at] = (struct type_record){.type = type};
    return &list[at];
}

enum seen behaviour_seen(const struct store *s, row_t row, uint16_t type, uint32_t own_s, uint32_t hash)
{
    const struct type_record *r = type_find(s, row, type);
    if (!r || own_s > type_own_newest(r, &s->heap)) return SEEN_NEW;
    if (entry_exists(r, &s->heap, own_s, hash)) return SEEN_DUPLICATE;
    return own_s <= r->lost ? SEEN_UNKNOWABLE : SEEN_NEW;
}

/* ---- what history no longer reaches -------------------------------------------------- */

/* A lost entry as the window knows it: history keeps 32 bits of the message hash, its second makes up for the rest. */
static uint64_t lost_hash(uint16_t type, uint32_t own_s, uint32_t hash)
{
    uint32_t words[3] = {type, own_s, hash};
    return hash64_plain(words, sizeof words);
}

enum seen behaviour_seen_lost(struct store *s, uint16_t type, uint32_t own_s, uint32_t hash, uint32_t now)
{
    if ((uint64_t)own_s + DEDUP_HOURS * 3600 < now) return SEEN_UNKNOWABLE;
    return window_seen(s, lost_hash(type, own_s, hash), own_s, now);
}

struct loss { /* which entry a full history gives up for the next one */
    uint32_t at, own_s, hash, n;
};

static struct loss loss_before(const struct type_record *r, const struct heap *heap)
{
    struct history_view v = {0};
    if (!r->entries || !r->n) return (struct loss){0};
    type_view(r, NULL, heap, &v);
    return (struct loss){history_time(&v, 0), entry_own(r, heap, 0), v.hashes[v.head & v.mask], r->n};
}

/* For a day the window remembers what was folded, so that its repeat is known; several at once (a lowered cap, a short
 * keep) only raise what the window says it covers. */
static void remember_loss(struct store *s, const struct type_record *r, struct loss before,
                          const struct entry *e, uint32_t now)
{
    uint32_t lost = before.n + 1 - r->n;
    if (!lost || (uint64_t)r->lost + DEDUP_HOURS * 3600 < now) return;
    if (lost > 1) {
        window_forget(&s->parts->window, r->lost);
        return;
    }
    bool itself = e->at < before.at; /* older than all that is kept: folded at once */
    uint64_t hash =
        itself ? lost_hash(r->type, e->own_s, e->hash) : lost_hash(r->type, before.own_s, before.hash);
    window_seen(s, hash, itself ? e->own_s : before.own_s, now);
}

/* All that is not just one entry more behind the others. */
static void add_slowly(struct store *s, struct type_record *r, const struct type_rules *rules,
                       const struct entry *entry, uint32_t now)
{
    bool folded = r->days != 0;
    struct loss before = r->n >= rules->cap ? loss_before(r, &s->heap) : (struct loss){.n = r->n};
    type_add(r, rules, &s->heap, entry, now);
    if (unlikely(r->n <= before.n)) remember_loss(s, r, before, entry, now);
    s->folded += (uint64_t)(r->days != 0) - folded;
}

void behaviour_add(struct store *s, row_t row, uint16_t type, uint32_t at, uint32_t own_s,
                   const struct event *e, uint32_t now, struct behaviour_change *out)
{
    store_touch(s, row);
    struct type_rules rules = type_rules(s->schema, type);
    struct type_record *r = type_find_or_add(s, row, type);
    struct behaviour_change change = {.old_count = r->count, .old_last = r->last, .old_first = r->first};
    struct entry entry = {.at = at, .own_s = own_s, .hash = e ? (uint32_t)e->message_hash : 0};
    if (e && e->props) {
        entry.props = e->props;
        entry.prop_count = rules.stride;
    }
    uint32_t entries = r->n;
    if (!type_append(r, &rules, &s->heap, &entry, now)) add_slowly(s, r, &rules, &entry, now);
    note_entries(s, r);
    change.new_count = r->count;
    change.new_last = r->last;
    change.new_first = r->first;
    if (r->days || r->n != entries + 1) change.folded_to = r->n ? entry_oldest(r, &s->heap) : UINT32_MAX;
    if (out) *out = change;
}

bool behaviour_view(const struct store *s, row_t row, uint16_t type, struct history_view *out)
{
    const struct type_record *r = type_find(s, row, type);
    if (!r || !r->count) return false;
    type_view(r, schema_event(s->schema, type), &s->heap, out);
    return true;
}

static struct lifetime lifetime_of_all(const struct store *s, row_t row)
{
    uint32_t count;
    const struct type_record *list = types_of(s, row, &count);
    struct lifetime all = {.first = count ? UINT32_MAX : 0};
    for (uint32_t i = 0; i < count; i++) {
        all.count += list[i].count;
        if (list[i].first < all.first) all.first = list[i].first;
        if (list[i].last > all.last) all.last = list[i].last;
    }
    return all;
}

struct lifetime behaviour_lifetime(const struct store *s, row_t row, uint16_t type)
{
    if (type == ID_NONE) return lifetime_of_all(s, row);
    const struct type_record *r = type_find(s, row, type);
    return r ? (struct lifetime){r->count, r->first, r->last} : (struct lifetime){0};
}

uint32_t behaviour_types(const struct store *s, row_t row, uint16_t *types, uint32_t max)
{
    uint32_t count;
    const struct type_record *list = types_of(s, row, &count);
    for (uint32_t i = 0; i < count && i < max; i++) types[i] = list[i].type;
    return count < max ? count : max;
}

void behaviour_release(struct store *s, row_t row)
{
    uint32_t count;
    struct type_record *list = types_of(s, row, &count);
    for (uint32_t i = 0; i < count; i++) {
        s->folded -= list[i].days != 0;
        type_release(&list[i], schema_event(s->schema, list[i].type), &s->heap);
    }
}
