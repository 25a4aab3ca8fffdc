/* parts.h - small sorted lists inside one person's blocks: journey memory, sends, consent, lists, pauses.
 * Owner: the store; a pointer into a block is good until that block next changes. Memory: store_block_resize.
 * BLOCK_EXTRA is shared: parts one after the other, each {tag u16, spare u16, payload bytes u32, payload}, sorted by tag.
 * Fails: never; what is bounded drops its oldest. */
#ifndef HG_JOURNEY_PARTS_H
#define HG_JOURNEY_PARTS_H

#include "core/journey/walk.h"
#include "core/store/store.h"

/* Tags of BLOCK_EXTRA that journeys own. */
enum {
    EXTRA_LISTS = 0x4c31 /* u16 list ids, ascending */,
    EXTRA_PAUSES = 0x5031 /* struct pause */,
    EXTRA_MUTE = 0x4d31 /* struct mute */
};

struct pause { /* a journey that another one holds back for this person */
    uint16_t journey, spare;
    uint32_t until;
};
struct mute {
    uint32_t until;
    uint32_t types; /* bit per enum send_type */
};

/* The next journey that the person is or was inside of, as it lies in the block; last NULL: the first; NULL: no more. */
const struct instance *instance_after(const struct store *s, row_t row, const struct instance *last);
bool is_inside(const struct store *s, row_t row, uint16_t journey); /* and not in its control group */

struct journey_memory *memory_find(const struct store *s, row_t row,
                                   uint16_t journey); /* NULL: never decided */
struct journey_memory *memory_make(struct store *s, row_t row, uint16_t journey);

struct send *sends_list(const struct store *s, row_t row, uint32_t *count); /* oldest first */
void sends_add(struct store *s, row_t row,
               const struct send *send); /* full: the oldest suppressed one goes, else the oldest */

uint32_t consent_topic(struct slice topic); /* 0: the channel itself */
enum consent_state consent_get(const struct store *s, row_t row, uint16_t channel, uint32_t topic);
bool consent_set(struct store *s, row_t row,
                 const struct consent *c); /* the newest wins; true: the state changed */
/* What a channel needs: DECISION_NONE, DECISION_NO_CONSENT or DECISION_BLOCKED. */
enum decision consent_allows(const struct store *s, row_t row, const struct channel *channel,
                             struct slice topic);

struct slice extra_get(const struct store *s, row_t row, uint16_t tag);
uint8_t *extra_resize(struct store *s, row_t row, uint16_t tag,
                      uint32_t bytes); /* keeps the content; 0: gone, NULL */
bool list_has(const struct store *s, row_t row, uint16_t list);
bool list_put(struct store *s, row_t row, uint16_t list, bool member);    /* true: it changed */
uint32_t pause_until(const struct store *s, row_t row, uint16_t journey); /* 0: not paused */
void pause_set(struct store *s, row_t row, uint16_t journey, uint32_t until, uint32_t now);

#endif
