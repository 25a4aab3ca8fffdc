#include "persist/lanes.h"
#include "core/base/limits.h"

#include <pthread.h>
#include <stdatomic.h>

struct lanes {
    void (*work)(void *self, uint32_t lane);
    void *self;
    uint32_t count;
    _Atomic uint32_t next;
};

static void *take_lanes(void *arg)
{
    struct lanes *l = arg;
    for (uint32_t i; (i = atomic_fetch_add(&l->next, 1)) < l->count;) l->work(l->self, i);
    return NULL;
}

void lanes_run(uint32_t count, uint32_t threads, void (*work)(void *self, uint32_t lane), void *self)
{
    struct lanes l = {.work = work, .self = self, .count = count};
    pthread_t others[LOGICAL_SHARDS];
    uint32_t made = 0, wanted = threads < count ? threads : count;
    while (made + 1 < wanted && made < LOGICAL_SHARDS &&
           pthread_create(&others[made], NULL, take_lanes, &l) == 0)
        made++;
    take_lanes(&l);
    for (uint32_t i = 0; i < made; i++) pthread_join(others[i], NULL);
}
