/* quiet.c - when has everything happened? When no worker has anything left to do and no note is on its way.
 * Each worker answers once it is idle, with how many notes it ever sent and received. If the sums are equal and have not
 * moved since the round before, nothing was in between (Mattern's four counters). */
#include "io/admin.h"

#include <stdlib.h>

struct quiet {
    struct engine *engine;
    uint64_t sent, received, sent_before;
    uint64_t events; /* received by all shards ever */
    uint32_t next_due, rounds;
    bool durable;         /* wait for the disk, too */
    pthread_mutex_t lock; /* the workers add up their answers */
    quiet_done *done;
    void *owner;
};

static bool mail_waits(struct worker *w)
{
    for (uint32_t from = 0; from < w->engine->threads; from++)
        if (from != w->index && !mailbox_empty(engine_mailbox(w->engine, from, w->index))) return true;
    return false;
}

static bool idle(struct worker *w, bool durable)
{
    bool frozen = atomic_load(&w->engine->frozen);
    if (!frozen && (w->now < clock_now(&w->engine->clock) || w->woken_until != w->now)) return false;
    if (!order_idle(&w->engine->order)) return false;
    if (!intake_idle(w) || w->outbound_bytes || mail_waits(w)) return false;
    return !durable || (queue_empty(&w->held) && wal_durable(w->wal) == wal_last(w->wal));
}

static enum call_state wait_idle(struct worker *w, struct part *p)
{
    struct quiet *q = p->scatter->owner;
    if (!idle(w, q->durable)) return CALL_WAIT;
    uint32_t next = UINT32_MAX;
    uint64_t events = 0;
    for (uint32_t i = 0; i < w->shard_count; i++) {
        events += shard_counters(w->shards[i])->received;
        uint32_t due = shard_next_due(w->shards[i]);
        if (due < next) next = due;
    }
    pthread_mutex_lock(&q->lock);
    q->sent += w->counters.notes_sent;
    q->received += w->counters.notes_received;
    q->events += events;
    if (next < q->next_due) q->next_due = next;
    pthread_mutex_unlock(&q->lock);
    return CALL_DONE;
}

static void start_round(struct quiet *q);

static void round_over(struct scatter *s)
{
    struct quiet *q = s->owner;
    scatter_free(s);
    bool twice = q->rounds > 1 && q->sent == q->sent_before;
    bool certain = q->engine->order.on && !q->durable; /* each has seen that nothing was under way */
    if (!certain && (q->sent != q->received || (q->engine->threads > 1 && !twice))) {
        q->sent_before = q->sent;
        start_round(q);
        return;
    }
    struct quiet result = *q;
    pthread_mutex_destroy(&q->lock);
    free(q);
    result.done(result.owner, result.next_due, result.events);
}

static void start_round(struct quiet *q)
{
    q->sent = q->received = q->events = 0;
    q->next_due = UINT32_MAX;
    q->rounds++;
    struct scatter *s = scatter_new(q->engine, q);
    s->run = wait_idle;
    s->done = round_over;
    scatter_start(s);
}

void quiet_wait(struct engine *e, bool durable, quiet_done *done, void *owner)
{
    struct quiet *q = calloc(1, sizeof *q);
    CHECK(q != NULL);
    q->engine = e;
    q->durable = durable;
    q->done = done;
    q->owner = owner;
    pthread_mutex_init(&q->lock, NULL);
    start_round(q);
}
