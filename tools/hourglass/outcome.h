/* outcome.h - what people do with what they were sent, as messages: for journey tests and simulated responses.
 * Owner: the arena. Fails: never. */
#ifndef HG_TOOLS_OUTCOME_H
#define HG_TOOLS_OUTCOME_H

#include "core/base/arena.h"

/* "opened" or "open" -> "Message Opened"; empty: no such outcome. */
struct slice outcome_event(struct slice word);
const char *outcome_words(struct slice word, struct arena *a); /* what else it may have been, for a mistake */
/* The message that reports it: about this action (its record), at this second. */
struct slice outcome_pack(struct arena *a, struct slice action, struct slice event, uint32_t at);

#endif
