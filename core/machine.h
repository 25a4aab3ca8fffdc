/* machine.h - all logical shards in one thread, without a disk: `simulate`, `test`, dry runs.
 * Messages between shards are delivered at once, in order, before the next record; time is virtual and stops at every due
 * second, exactly as the daemon's test clock does, so that both produce the same actions. */
#ifndef HG_MACHINE_H
#define HG_MACHINE_H

#include "core/shard.h"

struct machine;
struct machine_config {
    const struct defset *set;
    const struct hash_secret *secret;
    uint32_t start; /* virtual second */
    bool no_holdout;
    bool
        lazy; /* a shard begins with its first person: many short runs. The records differ by the ticks of idle shards */
    bool want_transitions, want_events;
    void *self; /* observers; may be NULL */
    void (*on_effect)(void *self, const struct effect *e);
    void (*on_record)(void *self, const struct record *r); /* what a log would hold, in its order */
};
struct machine *machine_create(const struct machine_config *config);
void machine_destroy(struct machine *m);
void machine_event(struct machine *m, struct slice raw, int64_t entry_ms); /* at the machine's now */
/* Puts a person into a list, as an import would; false: there is no such person. */
bool machine_list(struct machine *m, struct key person, uint16_t list);
void machine_advance(struct machine *m, uint32_t to); /* runs everything due on the way, second by second */
uint32_t machine_now(const struct machine *m);
uint32_t machine_next_due(const struct machine *m);
struct shard *machine_shard(struct machine *m, uint32_t index); /* NULL: lazy, and nobody lives there */

#endif
