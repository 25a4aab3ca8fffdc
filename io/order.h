/* order.h - the sender's order over several workers: one record after another, each with everything it causes.
 *
 * Two records of one person that name different ids (a user, an anonymous id, a trait) may live on two workers, and the
 * second overtakes what the first sends after it. Nobody could tell from the ids alone that they belong together. So whoever
 * wants the order of `simulate` (core/machine.h) to the letter pays for it: a record is let in when nothing is under way,
 * and the messages it causes are applied one at a time, in the order in which they were sent. On by default on the test
 * clock (`--order sender`); a single worker keeps this order anyway and needs no turns.
 *
 * A turn is a number, given to a record when it is let in and to a message when it is sent. The holder of turn n may be
 * applied once n turns are over. `given == over`: nothing is under way.
 * Owner: the engine; any worker. Never waits: who has no turn stays in its queue and is woken when a turn is over. */
#ifndef HG_IO_ORDER_H
#define HG_IO_ORDER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct order {
    bool on; /* set before the threads start */
    _Atomic uint64_t given, over;
};

bool order_known(const char *name); /* of --order */
void order_init(struct order *o, const char *name, bool test_clock, uint32_t threads);

/* May the next record come in? It has the turn then. Always true while off. */
static inline bool order_enter(struct order *o)
{
    if (!o->on) return true;
    uint64_t over = atomic_load(&o->over);
    return atomic_compare_exchange_strong(&o->given, &over, over + 1);
}

/* The turn of a message that is being sent. */
static inline uint64_t order_add(struct order *o) { return o->on ? atomic_fetch_add(&o->given, 1) : 0; }

/* After a crash several messages are sent again at once: then a turn may come early, never too late. */
static inline bool order_has_come(const struct order *o, uint64_t turn)
{
    return !o->on || turn <= atomic_load(&o->over);
}

static inline bool order_idle(const struct order *o)
{
    return !o->on || atomic_load(&o->given) == atomic_load(&o->over);
}

static inline void order_finish(struct order *o, uint32_t turns) { atomic_fetch_add(&o->over, turns); }

#endif
