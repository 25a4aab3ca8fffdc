/* respond.h - simulated people who open and click: by a stable hash of the action, so that every run is the same. Each
 * action has one place between 0 and 100 %: `click: 5%` are those below 5 %, and so among the `open: 42%`; what bounced or
 * failed counts from the other end and is not opened.
 * Owner: the caller. Memory: one arena, and a heap of what is still to happen. Fails: respond_parse ends the program
 * with 2 and the place of the mistake. */
#ifndef HG_TOOLS_RESPOND_H
#define HG_TOOLS_RESPOND_H

#include "core/journey/graph.h"

struct responses;
/* `{email: {open: 42%, click: 5%, after: 2h}}`; the channels are the set's, which has to stay. */
struct responses *respond_parse(const char *spec, const struct journey_set *set);
void respond_free(struct responses *r);
/* An action was created: decides what its person will do, and when. content: its record. */
void respond_action(struct responses *r, struct slice content, uint32_t at);
uint32_t respond_next(const struct responses *r); /* second of the earliest outcome; UINT32_MAX: none */
struct slice respond_take(struct responses *r);   /* its message; it is gone then */

#endif
