/* call.h - a question or command from one thread to another: an errand that runs there and comes back.
 * Owner: whoever made it, again after `done`; in between the worker that runs it. Memory: inside what it belongs to.
 * `run` is called on the worker, between batches, once per turn until it says CALL_DONE (or CALL_HELD: it comes back
 * when everything logged so far is durable). `done` is called on worker 0. Cheap, but not for the hot path. */
#ifndef HG_IO_CALL_H
#define HG_IO_CALL_H

#include <stdbool.h>
#include <stdint.h>

struct worker;
struct call;
enum call_state {
    CALL_DONE,
    CALL_AGAIN /* a slice was done: soon again */,
    CALL_WAIT /* for something else */,
    CALL_HELD
};
struct call {
    enum call_state (*run)(struct worker *w, struct call *c);
    void (*done)(struct call *c); /* NULL: nobody waits */
    void *owner;
    struct call *next;
    bool returning;
};
void call_post(struct worker *to, struct call *c); /* from any thread */

/* The same errand on every worker; `done` once, on worker 0, when the last one is back. */
struct engine;
struct scatter;
struct part {
    struct call call;
    struct scatter *scatter;
    struct worker *worker;
    uint32_t shard, row; /* where a walk over many rows goes on */
    void *result;        /* made by run, taken by done */
};
struct scatter {
    struct engine *engine;
    enum call_state (*run)(struct worker *w, struct part *p);
    void (*done)(struct scatter *s); /* frees it with scatter_free */
    void *owner;
    uint32_t waiting, count;
    struct part parts[];
};
struct scatter *scatter_new(struct engine *engine, void *owner);
void scatter_start(struct scatter *s);
/* Only on these workers (bits), on worker 0, for a `run` that looks and is done at once: worker 0's own part is run here
 * and now, so that with a single worker no turn is waited for. */
void scatter_look(struct scatter *s, uint64_t workers);
void scatter_free(struct scatter *s);

#endif
