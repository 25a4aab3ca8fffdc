/* delivered.h - an action as it was delivered, read back, and what must be true of it alone.
 * Owner: the caller. Fails: fault(). */
#ifndef HG_SIM_DELIVERED_H
#define HG_SIM_DELIVERED_H

#include "tests/sim/model.h"

/* Its id must follow from instance, step and attempt: the same at every replay, whatever else is true. */
void delivered_read(struct slice content, struct taken *out);
/* Who is held out of the journey `digest` by this id text ("u3": a user, "a3": an anonymous id). */
bool held_out(char kind, int number);

#endif
