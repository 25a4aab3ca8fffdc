/* admin_clock.c - the test clock: it stops at every second at which something is due, waits until all of it has run, and
 * goes on. What it caused leaves when the disk has it, as always. At the end one shard's time is moved, so that the log
 * remembers how far the clock went. */
#include "io/admin.h"

#include <stdlib.h>

struct advance {
    struct request *request;
    uint32_t to, steps;
    uint64_t after; /* events that have to be here before the clock moves */
    uint64_t seen;  /* of them, when we last looked, and when that was */
    uint64_t seen_at_us;
};
enum { AFTER_PATIENCE_US = 10 * 1000000 };

static enum call_state move_a_shard(struct worker *w, struct part *p)
{
    if (w->now < clock_now(&w->engine->clock)) return CALL_WAIT;
    if (w->index == 0 && !worker_tick(w, w->shards[0], 0)) return CALL_WAIT;
    return CALL_DONE;
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

static quiet_done settled;

/* Messages to another worker travel once their cause is durable: unless their turns are counted (order.h), quiet means
 * durable with several workers. */
static void settle(struct engine *e, struct advance *a)
{
    quiet_wait(e, e->threads > 1 && !e->order.on, settled, a);
}

/* Events travel on another socket: what the caller has sent before may still be on its way. */
static void wait_for_events(struct engine *e, struct advance *a, uint64_t events)
{
    uint64_t now_us = loop_now_us();
    if (events != a->seen || !a->seen_at_us) {
        a->seen = events;
        a->seen_at_us = now_us;
    }
    if (now_us - a->seen_at_us < AFTER_PATIENCE_US) {
        settle(e, a);
        return;
    }
    e->admin->advance = NULL;
    request_fail(a->request, ERROR_FAILED, "after_not_reached",
                 "%llu events are here, 'after' says %llu, and none came for 10 s",
                 (unsigned long long)events, (unsigned long long)a->after);
    free(a);
}

static void settled(void *owner, uint32_t next_due, uint64_t events)
{
    struct advance *a = owner;
    struct engine *e = a->request->engine;
    if (events < a->after) {
        wait_for_events(e, a, events);
        return;
    }
    uint32_t now = clock_now(&e->clock);
    if (now < a->to) {
        uint32_t stop = next_due <= now ? now + 1 : next_due;
        clock_move(&e->clock, stop < a->to ? stop : a->to);
        a->steps++;
        settle(e, a);
        return;
    }
    struct scatter *s = scatter_new(e, a);
    s->run = move_a_shard;
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
    const msgpack_object *wanted =
        map_get(r->params->via.array.size ? &r->params->via.array.ptr[0] : NULL, "after");
    uint64_t after = wanted && wanted->type == MSGPACK_OBJECT_POSITIVE_INTEGER ? wanted->via.u64 : 0;
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
    *a = (struct advance){.request = r, .to = to, .after = after};
    e->admin->advance = a;
    settle(e, a);
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
