/* admin_clock.c - the test clock: it stops at every second at which something is due, waits until all of it has run and is
 * durable, and goes on. At the end every shard's time is moved, so that the log remembers how far the clock went. */
#include "io/admin.h"

#include <stdlib.h>

struct advance {
    struct request *request;
    uint32_t to, steps;
};

static enum call_state move_shards(struct worker *w, struct part *p)
{
    uint32_t ran;
    if (w->now < clock_now(&w->engine->clock)) return CALL_WAIT;
    for (; p->shard < w->shard_count; p->shard++)
        if (!worker_tick(w, w->shards[p->shard], 0, &ran)) return CALL_WAIT;
    return CALL_HELD;
}

static void moved(struct scatter *s)
{
    struct advance *a = s->owner;
    struct request *r = a->request;
    scatter_free(s);
    r->engine->admin->advance = NULL;
    pk_map(&r->pack, 2);
    pk_key_uint(&r->pack, "now", a->to);
    pk_key_uint(&r->pack, "stops", a->steps);
    free(a);
    request_reply(r);
}

static void settled(void *owner, uint32_t next_due)
{
    struct advance *a = owner;
    struct engine *e = a->request->engine;
    uint32_t now = clock_now(&e->clock);
    if (now < a->to) {
        uint32_t stop = next_due <= now ? now + 1 : next_due;
        clock_move(&e->clock, stop < a->to ? stop : a->to);
        a->steps++;
        quiet_wait(e, settled, a);
        return;
    }
    struct scatter *s = scatter_new(e, a);
    s->run = move_shards;
    s->done = moved;
    scatter_start(s);
}

void method_clock_advance(struct request *r)
{
    struct engine *e = r->engine;
    uint32_t to, by;
    if (!e->clock.fake) {
        request_fail(r, ERROR_FAILED, "not_a_test_clock",
                     "the clock moves by itself; start with --fake-clock to move it");
        return;
    }
    if (e->admin->advance) {
        request_fail(r, ERROR_BUSY, "busy", "another clock.advance is running");
        return;
    }
    uint32_t now = clock_now(&e->clock);
    if (!object_second(param(r, 0, "to"), &to)) {
        if (!object_duration(map_get(r->params->via.array.size ? &r->params->via.array.ptr[0] : NULL, "by"),
                             &by) ||
            by > UINT32_MAX - now) {
            request_bad(r, "say {to: TIME} or {by: DURATION}");
            return;
        }
        to = now + by;
    }
    if (to < now) {
        request_fail(r, ERROR_USAGE, "backwards", "the clock stands at %u and does not go back", now);
        return;
    }
    struct advance *a = calloc(1, sizeof *a);
    CHECK(a != NULL);
    *a = (struct advance){.request = r, .to = to};
    e->admin->advance = a;
    quiet_wait(e, settled, a);
}

void method_clock_accept(struct request *r)
{
    int64_t offset = clock_offset_s(&r->engine->clock);
    clock_accept(&r->engine->clock);
    pk_map(&r->pack, 1);
    pk_text(&r->pack, "moved_s");
    pk_int(&r->pack, offset);
    request_reply(r);
}
