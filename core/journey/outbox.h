/* outbox.h - actions that were decided and are not yet confirmed, of one shard.
 * Owner: the shard. An action is created in the same step as the state change that caused it; its bytes never change;
 * it is handed out again and again until confirmed, and never after. Order: sequence number of creation.
 * Memory: a list of 40-byte entries with an index by id, and content blocks in the shard's heap; outbox_reserve before a
 * batch. A view's content is good until the next change.
 * Fails: outbox_reserve only. At the outbox limit the walk defers sends instead of creating them. */
#ifndef HG_JOURNEY_OUTBOX_H
#define HG_JOURNEY_OUTBOX_H

#include "core/base/heap.h"
#include "core/base/hash.h"

struct action { /* a view into the outbox */
    struct key id;
    uint64_t sequence; /* of this shard, from 1 */
    uint16_t channel;
    uint32_t created_at;
    bool test;            /* an operator's: counted nowhere */
    struct slice content; /* MessagePack map, as interfaces.md section 3 */
};

struct outbox;
struct outbox *outbox_create(struct heap *heap);
void outbox_destroy(struct outbox *o);
bool outbox_reserve(struct outbox *o, uint32_t actions, size_t bytes);
uint64_t outbox_add(struct outbox *o, struct key id, uint16_t channel, uint32_t at, struct slice content);
bool outbox_confirm(
    struct outbox *o, struct key id,
    struct action *was); /* false: unknown or already confirmed; was: without content, may be NULL */
bool outbox_get(const struct outbox *o, struct key id, struct action *out);
/* The first pending action with sequence > after; false: none. */
bool outbox_next(const struct outbox *o, uint64_t after, struct action *out);
uint64_t outbox_pending(const struct outbox *o);
uint64_t outbox_bytes(const struct outbox *o);
uint32_t outbox_oldest(const struct outbox *o); /* created_at, 0: empty */
uint64_t outbox_last_sequence(const struct outbox *o);
void outbox_encode(const struct outbox *o, struct buf *out);
bool outbox_decode(struct outbox *o, struct slice bytes);
uint64_t outbox_hash(const struct outbox *o);

#endif
