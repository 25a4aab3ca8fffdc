/* respond.h - simulated people who open and click: by a stable hash of the action, so that every run is the same.
 * Owner: the caller. Memory: one arena, and a heap of what is still to happen. Fails: respond_parse ends the program
 * with 2 and the place of the mistake. */
#ifndef HG_TOOLS_RESPOND_H
#define HG_TOOLS_RESPOND_H

#include "core/base/bytes.h"

struct responses;
/* `{email: {open: 42%, click: 5%, after: 2h}}` */
struct responses *respond_parse(const char *spec);
void respond_free(struct responses *r);
/* An action was created: decides what its person will do, and when. content: its record. */
void respond_action(struct responses *r, struct slice content, uint32_t at);
uint32_t respond_next(const struct responses *r); /* second of the earliest outcome; UINT32_MAX: none */
struct slice respond_take(struct responses *r);   /* its message; it is gone then */

#endif
