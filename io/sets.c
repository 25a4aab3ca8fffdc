/* sets.c - every definitions set that some shard uses or the log names, by version. Sets are immutable; a shard asks for
 * one only while it applies RECORD_DEFINITIONS, so one lock is enough. Kept until the process ends. */
#include "io/engine.h"

#include <stdlib.h>

struct sets {
    pthread_mutex_t lock;
    uint32_t count, capacity;
    struct defset **list; /* by version, ascending; [0] is the empty set */
};

struct sets *sets_create(void)
{
    struct sets *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    pthread_mutex_init(&s->lock, NULL);
    CHECK(sets_add(s, defset_empty()));
    return s;
}

void sets_destroy(struct sets *s)
{
    if (!s) return;
    for (uint32_t i = 0; i < s->count; i++) defset_free(s->list[i]);
    pthread_mutex_destroy(&s->lock);
    free(s->list);
    free(s);
}

bool sets_add(struct sets *s, struct defset *set)
{
    if (!set) return false;
    pthread_mutex_lock(&s->lock);
    bool newer = !s->count || s->list[s->count - 1]->version < set->version;
    if (newer && s->count == s->capacity) {
        s->capacity = s->capacity ? s->capacity * 2 : 16;
        s->list = realloc(s->list, s->capacity * sizeof *s->list);
        CHECK(s->list != NULL);
    }
    if (newer) s->list[s->count++] = set;
    pthread_mutex_unlock(&s->lock);
    return newer;
}

const struct defset *sets_find(struct sets *s, uint32_t version)
{
    const struct defset *found = NULL;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->count && !found; i++)
        if (s->list[i]->version == version) found = s->list[i];
    pthread_mutex_unlock(&s->lock);
    return found;
}

const struct defset *sets_newest(struct sets *s)
{
    pthread_mutex_lock(&s->lock);
    const struct defset *newest = s->list[s->count - 1];
    pthread_mutex_unlock(&s->lock);
    return newest;
}
