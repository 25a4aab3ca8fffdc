/* Membership in two places: a bit per row for scans and counts (bits.c), and BLOCK_MEMBERS for "since when". */
#include "core/store/parts.h"

static struct membership *list_of(const struct store *s, row_t row, uint32_t *count)
{
    uint32_t bytes;
    struct membership *list = (struct membership *)(void *)store_block(s, row, BLOCK_MEMBERS, &bytes);
    *count = bytes / sizeof *list;
    return list;
}

static uint32_t lower_bound(const struct membership *list, uint32_t count, uint16_t segment)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (list[middle].segment < segment)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct membership *insert_at(struct store *s, row_t row, uint32_t at, uint32_t count, uint16_t segment)
{
    struct membership *list = (struct membership *)(void *)store_block_resize(
        s, row, BLOCK_MEMBERS, (count + 1) * (uint32_t)sizeof *list);
    memmove(&list[at + 1], &list[at], (count - at) * sizeof *list);
    list[at] = (struct membership){.segment = segment};
    return &list[at];
}

/* From the person's own list: one or two lines that are near, where a page per segment would be a miss for each. */
bool member_get(const struct store *s, row_t row, uint16_t segment)
{
    uint32_t count;
    const struct membership *list = list_of(s, row, &count);
    uint32_t at = lower_bound(list, count, segment);
    return at < count && list[at].segment == segment && list[at].member;
}

bool member_note(struct store *s, row_t row, uint16_t segment, bool member, uint32_t at)
{
    uint32_t count;
    struct membership *m = list_of(s, row, &count);
    uint32_t place = lower_bound(m, count, segment);
    bool known = place < count && m[place].segment == segment;
    if ((known && m[place].member) == member) return false;
    store_touch(s, row);
    const uint64_t *page = member_page(s, segment, row.v / BLOCK_ROWS);
    if (page) __builtin_prefetch(&page[row.v % BLOCK_ROWS / 64], 1);
    m = known ? m + place : insert_at(s, row, place, count, segment);
    m->member = member;
    m->since = at;
    return true;
}

void member_page_set(struct store *s, row_t row, uint16_t segment, bool member)
{
    bits_set(&s->parts->bits, &s->heap, row.v, segment, member);
}

bool member_set(struct store *s, row_t row, uint16_t segment, bool member, uint32_t at)
{
    bool changed = member_note(s, row, segment, member, at);
    if (changed) member_page_set(s, row, segment, member);
    return changed;
}

void member_times(const struct store *s, row_t row, uint16_t segment, uint32_t *entered, uint32_t *left)
{
    uint32_t count;
    const struct membership *list = list_of(s, row, &count);
    uint32_t at = lower_bound(list, count, segment);
    bool known = at < count && list[at].segment == segment;
    *entered = known && list[at].member ? list[at].since : 0;
    *left = known && !list[at].member ? list[at].since : 0;
}

uint32_t member_count(const struct store *s, uint16_t segment)
{
    return bits_count(&s->parts->bits, segment);
}

const uint64_t *member_page(const struct store *s, uint16_t segment, uint32_t block)
{
    return bits_page(&s->parts->bits, &s->heap, segment, block);
}

static void set_bits(struct store *s, row_t row, bool member)
{
    uint32_t count;
    const struct membership *list = list_of(s, row, &count);
    for (uint32_t i = 0; i < count; i++)
        if (list[i].member) bits_set(&s->parts->bits, &s->heap, row.v, list[i].segment, member);
}

void members_restore(struct store *s, row_t row) { set_bits(s, row, true); }
void members_release(struct store *s, row_t row) { set_bits(s, row, false); }
