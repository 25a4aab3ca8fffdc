/* world.h - the simulated world: one thread, a seed, a clock that moves from event to event, and a story.
 * Everything random comes from the seed, everything that takes time is an event in one queue: the same seed gives the
 * same world, byte for byte. Each seed runs in a process of its own (main.c forks), so nothing here is given back.
 * Owner: the process of the seed. Fails: fault() tells the story and ends the process. */
#ifndef HG_SIM_WORLD_H
#define HG_SIM_WORLD_H

#include "core/base/bytes.h"
#include "core/base/check.h"

enum { WORLD_BEGIN_S = 1772359200 }; /* 2026-03-01T10:00:00Z */

/* ---- chance ---------------------------------------------------------------------------- */
uint64_t chance_u64(void);
uint32_t chance_below(uint32_t n);                    /* 0 .. n-1 */
uint32_t chance_between(uint32_t low, uint32_t high); /* both included */
bool chance(uint32_t percent);
bool chance_in(uint32_t n); /* one in n */

/* ---- time ------------------------------------------------------------------------------ */
extern uint64_t world_us;     /* since the machine was switched on; stands still while code runs */
extern int64_t world_wall_ms; /* what the wall clock is ahead of that */
uint32_t world_second(void);  /* of the wall clock */
typedef void (*event_fn)(void *self, uint64_t number);
void world_after(uint64_t us, event_fn run, void *self, uint64_t number);
bool world_step(void);         /* the next event; false: there is none */
void world_sleep(uint64_t us); /* nothing happens so long; what was due comes at once afterwards */

/* ---- threads --------------------------------------------------------------------------- */
/* A thread of the node is a coroutine: it runs until it waits. */
struct fiber;
struct fiber *fiber_start(void *(*run)(void *arg), void *arg, uint64_t after_us);
struct fiber *fiber_self(void); /* NULL: the simulator itself */
void fiber_sleep(uint64_t us);  /* or until woken */
void fiber_wake(struct fiber *f, uint64_t after_us);
void fiber_join(struct fiber *f); /* waits until it is done */
_Noreturn void fiber_end(void);   /* and never come back */
void fibers_abandon(void);        /* the machine is off: none of them ever runs again */

/* ---- the story ------------------------------------------------------------------------- */
void world_create(uint64_t seed, bool loud);
void story(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Something small: it counts for the hash of what happened and is told only by a loud run. */
void detail(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t story_hash(void);
_Noreturn void fault(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define EXPECT(condition, ...)                                                                               \
    do {                                                                                                     \
        if (!(condition)) fault(__VA_ARGS__);                                                                \
    } while (0)

/* The same for what the product promises (P1 .. P31), so that a story names what was broken. */
#define PROMISE(promise, condition, ...) EXPECT(condition, #promise ": " __VA_ARGS__)

/* What is shared with the process that started this one: it tells the end when this one can not. */
enum { STORY_BYTES = 64 << 10, FAULT_STATES = 12, FAULT_KINDS = 16 };
struct shared {
    uint32_t length; /* of the story; older lines are dropped */
    char text[STORY_BYTES];
    uint64_t hash, world_us;
    uint32_t cuts, kills, lives, events, acked, actions, merges, snapshots, rolls, torn, definitions;
    uint32_t covered[FAULT_KINDS][FAULT_STATES]; /* what was injected while the node was in which state */
    bool finished;
};
extern struct shared *shared;

#endif
