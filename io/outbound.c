/* outbound.c - notes to other workers. What the mailbox has no room for waits in a queue of the sender, in order: a worker
 * never waits for another one. A body too large for the mailbox travels as a heap block ("boxed"). */
#include "io/engine.h"

#include <stdlib.h>

static uint32_t put_kind(const struct note *n, struct slice bytes, size_t most)
{
    return n->kind | (sizeof *n + bytes.n > most ? NOTE_BOXED : 0u);
}

static void fill(uint8_t *p, const struct note *n, struct slice bytes)
{
    memcpy(p, n, sizeof *n);
    if (bytes.n) memcpy(p + sizeof *n, bytes.p, bytes.n);
}

static struct slice box(struct slice bytes)
{
    uint8_t *p = malloc(bytes.n);
    CHECK(p != NULL);
    memcpy(p, bytes.p, bytes.n);
    return slice_of(p, bytes.n);
}

void outbound_send(struct worker *w, uint32_t to, const struct note *n, struct slice bytes)
{
    struct mailbox *m = engine_mailbox(w->engine, w->index, to);
    uint32_t kind = put_kind(n, bytes, mailbox_record_max(m));
    struct slice boxed;
    if (kind & NOTE_BOXED) {
        boxed = box(bytes);
        bytes = slice_of(&boxed, sizeof boxed);
    }
    w->counters.notes_sent++;
    uint8_t *p = queue_empty(&w->outbound[to]) ? mailbox_reserve(m, kind, sizeof *n + bytes.n) : NULL;
    if (p) {
        fill(p, n, bytes);
        mailbox_commit(m);
        return;
    }
    if (queue_empty(&w->outbound[to])) w->counters.ring_stalls++;
    p = queue_push(&w->outbound[to], 8 + sizeof *n + bytes.n);
    store_le64(p, kind);
    fill(p + 8, n, bytes);
    w->outbound_bytes += sizeof *n + bytes.n;
}

static void drain(struct worker *w, uint32_t to, struct mailbox *m)
{
    struct slice entry;
    while (queue_front(&w->outbound[to], &entry)) {
        uint8_t *p = mailbox_reserve(m, load_le32(entry.p), entry.n - 8);
        if (!p) return;
        memcpy(p, entry.p + 8, entry.n - 8);
        mailbox_commit(m);
        w->outbound_bytes -= entry.n - 8;
        queue_pop(&w->outbound[to]);
    }
}

void outbound_flush(struct worker *w)
{
    for (uint32_t to = 0; to < w->engine->threads; to++) {
        if (to == w->index) continue;
        struct mailbox *m = engine_mailbox(w->engine, w->index, to);
        drain(w, to, m);
        if (mailbox_publish(m) || !queue_empty(&w->outbound[to])) loop_wake(w->engine->workers[to].loop);
    }
}
