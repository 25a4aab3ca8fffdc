#include "io/engine.h"

#include <stdlib.h>

void call_post(struct worker *to, struct call *c)
{
    c->next = atomic_load_explicit(&to->inbox, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&to->inbox, &c->next, c, memory_order_release,
                                                  memory_order_relaxed)) {
    }
    loop_wake(to->loop);
}

void call_return(struct worker *from, struct call *c)
{
    if (!c->done) return;
    c->returning = true;
    call_post(&from->engine->workers[0], c);
}

/* The inbox is newest first: turned round, it goes behind what is being run. */
static void take_inbox(struct worker *w)
{
    if (!atomic_load_explicit(&w->inbox, memory_order_relaxed)) return;
    struct call *c = atomic_exchange_explicit(&w->inbox, NULL, memory_order_acquire), *in_order = NULL;
    for (struct call *next; c; c = next) {
        next = c->next;
        c->next = in_order;
        in_order = c;
    }
    *w->calls_end = in_order;
    while (*w->calls_end) w->calls_end = &(*w->calls_end)->next;
}

static enum call_state run_one(struct worker *w, struct call *c)
{
    if (c->returning) {
        c->returning = false;
        c->done(c);
        return CALL_HELD; /* out of our hands */
    }
    enum call_state state = c->run(w, c);
    if (state == CALL_DONE) call_return(w, c);
    if (state == CALL_HELD && c->done) {
        struct note n = {.kind = NOTE_CALL, .call = c};
        release_hold(w, wal_last(w->wal), &n, (struct slice){0});
    }
    return state;
}

void calls_run(struct worker *w)
{
    take_inbox(w);
    w->calls_busy = false;
    struct call *c = w->calls;
    w->calls = NULL;
    w->calls_end = &w->calls;
    for (struct call *next; c; c = next) {
        next = c->next;
        c->next = NULL;
        enum call_state state = run_one(w, c);
        if (state != CALL_AGAIN && state != CALL_WAIT) continue;
        w->calls_busy |= state == CALL_AGAIN;
        *w->calls_end = c;
        w->calls_end = &c->next;
    }
}

/* ---- scatter ---------------------------------------------------------------------------------- */

static enum call_state run_part(struct worker *w, struct call *c)
{
    struct part *p = c->owner;
    return p->scatter->run(w, p);
}

static void part_back(struct call *c)
{
    struct scatter *s = ((struct part *)c->owner)->scatter;
    if (--s->waiting == 0) s->done(s);
}

struct scatter *scatter_new(struct engine *engine, void *owner)
{
    struct scatter *s = calloc(1, sizeof *s + engine->threads * sizeof s->parts[0]);
    CHECK(s != NULL);
    s->engine = engine;
    s->owner = owner;
    s->count = engine->threads;
    for (uint32_t i = 0; i < s->count; i++) {
        s->parts[i] = (struct part){.scatter = s, .worker = &engine->workers[i]};
        s->parts[i].call = (struct call){.run = run_part, .done = part_back, .owner = &s->parts[i]};
    }
    return s;
}

void scatter_start(struct scatter *s)
{
    s->waiting = s->count;
    for (uint32_t i = 0; i < s->count; i++) call_post(s->parts[i].worker, &s->parts[i].call);
}

void scatter_look(struct scatter *s, uint64_t workers)
{
    s->waiting = (uint32_t)__builtin_popcountll(workers);
    for (uint32_t i = 1; i < s->count; i++)
        if (workers >> i & 1) call_post(s->parts[i].worker, &s->parts[i].call);
    if (!(workers & 1)) return;
    CHECK(s->run(s->parts[0].worker, &s->parts[0]) == CALL_DONE);
    part_back(&s->parts[0].call);
}

void scatter_free(struct scatter *s) { free(s); }
