#include "core/store/days.h"
#include "core/base/check.h"

enum { BUCKET_COUNT_MAX = UINT16_MAX };
_Static_assert(DAY_COUNT_MAX % BUCKET_COUNT_MAX == 0, "whole buckets");

static uint32_t list_bytes(uint32_t count)
{
    return (uint32_t)(sizeof(struct days) + count * sizeof(struct day_bucket));
}

static int64_t add_saturating(int64_t a, int64_t b)
{
    int64_t sum;
    if (!__builtin_add_overflow(a, b, &sum)) return sum;
    return a < 0 ? INT64_MIN : INT64_MAX;
}

/* Room for one bucket more; a new list takes the handle over. */
static uint32_t grow(uint32_t handle, struct heap *heap)
{
    struct days *days = handle ? heap_at(heap, handle) : NULL;
    uint32_t count = days ? days->count : 0;
    if (days && heap_room(list_bytes(count)) >= list_bytes(count + 1)) return handle;
    uint32_t fresh = heap_alloc(heap, list_bytes(count + 1));
    if (days) {
        memcpy(heap_at(heap, fresh), days, list_bytes(count));
        heap_release(heap, handle, list_bytes(count));
    } else {
        *(struct days *)heap_at(heap, fresh) = (struct days){0};
    }
    return fresh;
}

static uint32_t wider(struct heap *heap, uint32_t sums, uint32_t from, uint32_t to)
{
    uint32_t fresh = heap_alloc(heap, to * 8);
    int64_t *list = heap_at(heap, fresh);
    memset(list, 0, to * 8);
    if (sums) memcpy(list, heap_at(heap, sums), from * 8);
    if (sums) heap_release(heap, sums, from * 8);
    return fresh;
}

/* Number properties are only ever added: all buckets of a list are as wide as the widest. */
static void widen(struct days *days, struct heap *heap, uint32_t sums)
{
    if (sums <= days->sums) return;
    for (uint32_t i = 0; i < days->count; i++)
        if (days->list[i].sums) days->list[i].sums = wider(heap, days->list[i].sums, days->sums, sums);
    days->sums = sums;
}

static void add_sums(struct day_bucket *b, struct heap *heap, uint32_t width, const int64_t *sums,
                     uint32_t sum_count)
{
    if (!sum_count) return;
    if (!b->sums) b->sums = wider(heap, 0, 0, width);
    int64_t *list = heap_at(heap, b->sums);
    for (uint32_t k = 0; k < sum_count; k++) list[k] = add_saturating(list[k], sums[k]);
}

/* The last bucket of that day if it has room or if the day has all the buckets it may have, else a new one behind it. */
static struct day_bucket *bucket_for(uint32_t *handle, struct heap *heap, uint16_t day)
{
    struct days *days = *handle ? heap_at(heap, *handle) : NULL;
    uint32_t at = days ? days->count : 0, same = 0;
    while (at && days->list[at - 1].day > day) at--;
    while (same < at && days->list[at - 1 - same].day == day) same++;
    bool full = same == DAY_COUNT_MAX / BUCKET_COUNT_MAX;
    if (same && (full || days->list[at - 1].count < BUCKET_COUNT_MAX)) return &days->list[at - 1];
    *handle = grow(*handle, heap);
    days = heap_at(heap, *handle);
    memmove(&days->list[at + 1], &days->list[at], (days->count - at) * sizeof(struct day_bucket));
    days->list[at] = (struct day_bucket){.day = day};
    days->count++;
    return &days->list[at];
}

uint32_t days_add(uint32_t handle, struct heap *heap, uint16_t day, uint32_t count, const int64_t *sums,
                  uint32_t sum_count)
{
    for (;;) {
        struct day_bucket *b = bucket_for(&handle, heap, day);
        struct days *days = heap_at(heap, handle);
        widen(days, heap, sum_count);
        add_sums(b, heap, days->sums, sums, sum_count);
        uint32_t room = BUCKET_COUNT_MAX - b->count, now = count < room ? count : room;
        b->count += (uint16_t)now;
        count -= now;
        if (!count || !room) return handle;
        sum_count = 0; /* once */
    }
}

uint32_t days_drop_before(uint32_t handle, struct heap *heap, uint32_t day)
{
    if (!handle) return 0;
    struct days *days = heap_at(heap, handle);
    uint32_t gone = 0, before = list_bytes(days->count);
    while (gone < days->count && days->list[gone].day < day)
        heap_release(heap, days->list[gone++].sums, days->sums * 8);
    if (!gone) return handle;
    uint32_t left = days->count - gone, fresh = left ? heap_alloc(heap, list_bytes(left)) : 0;
    if (fresh) {
        struct days *to = heap_at(heap, fresh);
        *to = (struct days){left, days->sums};
        memcpy(to->list, days->list + gone, left * sizeof(struct day_bucket));
    }
    heap_release(heap, handle, before);
    return fresh;
}

void days_release(uint32_t handle, struct heap *heap) { days_drop_before(handle, heap, UINT32_MAX); }
