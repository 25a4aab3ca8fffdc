#include "core/store/links.h"
#include "core/base/check.h"

enum { LINKS_MAX = 4 * PROFILES_PER_SHARD_MAX };

bool links_create(struct links *l)
{
    *l = (struct links){0};
    if (!region_create(&l->region, (size_t)LINKS_MAX * sizeof(struct link))) return false;
    struct index_source targets = {l->region.base + offsetof(struct link, target), sizeof(struct link)};
    return index_create(&l->by_target, targets, targets);
}

void links_destroy(struct links *l)
{
    region_destroy(&l->region);
    index_destroy(&l->by_target);
}

bool links_reserve(struct links *l, uint32_t more)
{
    return region_reserve(&l->region, (size_t)more * sizeof(struct link)) &&
           index_reserve(&l->by_target, more);
}

static uint32_t take_slot(struct links *l)
{
    if (l->free) {
        uint32_t slot = l->free - 1;
        l->free = link_at(l, slot)->next;
        return slot;
    }
    CHECK(l->region.committed - l->region.used >= sizeof(struct link)); /* reserve, then apply */
    l->region.used += sizeof(struct link);
    return l->limit++;
}

uint32_t links_first(const struct links *l, struct key target) { return index_find(&l->by_target, target); }

uint32_t links_add(struct links *l, struct key id, struct key target)
{
    uint32_t slot = take_slot(l), first = index_remove(&l->by_target, target);
    struct link *link = link_at(l, slot);
    *link = (struct link){.id = id, .target = target, .next = first == INDEX_NONE ? 0 : first + 1};
    if (link->next) link_at(l, first)->previous = slot + 1;
    index_insert(&l->by_target, target, slot);
    l->count++;
    return slot;
}

void links_remove(struct links *l, uint32_t slot)
{
    struct link *link = link_at(l, slot);
    struct key target = link->target;
    if (link->next) link_at(l, link->next - 1)->previous = link->previous;
    if (link->previous) {
        link_at(l, link->previous - 1)->next = link->next;
    } else {
        index_remove(&l->by_target, target);
        if (link->next) index_insert(&l->by_target, target, link->next - 1);
    }
    *link = (struct link){.next = l->free};
    l->free = slot + 1;
    l->count--;
}
