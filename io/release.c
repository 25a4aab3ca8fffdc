/* release.c - effects become visible when the record that caused them is durable: acks, messages, actions, answers.
 *
 *   effect -> held {ticket, note} -- wal_durable reaches the ticket --> connection | other worker | subscriber | caller
 *
 * Tickets only grow, so what waits is one queue. Two things do not wait: a message to a shard of the same log (its record
 * stands behind its cause in that log), and acks when the operator relaxed them (--sync). */
#include "io/engine.h"
#include "core/base/planted.h"
#include "persist/crash.h"

void release_hold(struct worker *w, uint64_t ticket, const struct note *n, struct slice bytes)
{
    uint8_t *p = queue_push(&w->held, 8 + sizeof *n + bytes.n);
    store_le64(p, ticket);
    memcpy(p + 8, n, sizeof *n);
    if (bytes.n) memcpy(p + 8 + sizeof *n, bytes.p, bytes.n);
}

void release_credit(struct worker *w, uint64_t cookie, uint64_t share)
{
    uint32_t origin = cookie_origin(cookie);
    if (origin != w->index) {
        struct note n = {.kind = NOTE_CREDIT, .cookie = cookie, .share = share};
        outbound_send(w, origin, &n, (struct slice){0});
    } else if (chunk_repay(&w->credit, cookie, share)) {
        conn_chunk_complete(w, cookie_slot(cookie));
    }
}

void release_done(struct worker *w, uint64_t cookie)
{
    uint64_t share = credit_leave(&w->credit, cookie);
    if (!share) return;
    if (w->engine->options->sync != SYNC_ALWAYS || PLANTED(ack_before_sync)) {
        release_credit(w, cookie, share);
        return;
    }
    struct note n = {.kind = NOTE_CREDIT, .cookie = cookie, .share = share};
    release_hold(w, wal_last(w->wal), &n, (struct slice){0});
}

/* `receiver` (ours) has the message in its log: once that is durable, `sender` may forget it. */
void release_message_ack(struct worker *w, uint8_t sender, uint8_t receiver, uint64_t sequence)
{
    struct note n = {.kind = NOTE_MESSAGE_ACK, .from = sender, .to = receiver, .sequence = sequence};
    release_hold(w, wal_last(w->wal), &n, (struct slice){0});
}

/* ---- effects in ---------------------------------------------------------------------------- */

static void hold_message(struct worker *w, uint64_t ticket, const struct effect *e)
{
    struct note n = {.kind = NOTE_MESSAGE,
                     .from = e->shard,
                     .to = e->message.to,
                     .version = shard_definitions(w->engine->shards[e->shard])->version,
                     .sequence = e->message.sequence,
                     .cookie = e->cookie,
                     .turn = order_add(&w->engine->order)};
    struct slice body = e->message.body;
    bool local = engine_owner(w->engine, n.to) == w->index;
    if (n.cookie && local) credit_enter(&w->credit, n.cookie, 0);
    if (n.cookie && !local) {
        n.share = credit_take(&w->credit, w->index, &n.cookie);
        if (!n.share) n.cookie = 0;
    }
    size_t prefix = local ? 0 : 8;
    uint8_t *p =
        queue_push(local ? &w->intake.local : &w->held, prefix + sizeof n + MESSAGE_HEADER_BYTES + body.n);
    if (!local) store_le64(p, ticket);
    memcpy(p + prefix, &n, sizeof n);
    p += prefix + sizeof n;
    store_le16(p, e->shard);
    store_le16(p + 2, e->message.message_kind);
    store_le64(p + 4, e->message.sequence);
    if (body.n) memcpy(p + MESSAGE_HEADER_BYTES, body.p, body.n);
}

static void hold_action(struct worker *w, uint64_t ticket, const struct effect *e)
{
    struct note n = {.kind = NOTE_ACTION, .from = e->shard, .sequence = e->action.sequence};
    release_hold(w, ticket, &n, (struct slice){0});
}

static void hold_tail(struct worker *w, uint64_t ticket, const struct effect *e)
{
    if (queue_bytes(&w->held) > TAIL_BYTES_MAX) {
        w->counters.tail_dropped++;
        return;
    }
    struct buf line = {0};
    tail_encode(w, e, &line);
    struct note n = {.kind = NOTE_TAIL};
    if (line.n) release_hold(w, ticket, &n, buf_slice(&line));
    buf_free(&line);
}

void release_effects(struct worker *w, uint64_t ticket)
{
    struct effects *out = &w->intake.effects;
    for (uint32_t i = 0; i < out->count; i++) {
        const struct effect *e = &out->list[i];
        switch (e->kind) {
        case EFFECT_DONE:
            if (e->cookie) release_done(w, e->cookie);
            break;
        case EFFECT_MESSAGE: hold_message(w, ticket, e); break;
        case EFFECT_ACTION:
            hold_action(w, ticket, e);
            if (w->tailing) hold_tail(w, ticket, e);
            break;
        default: hold_tail(w, ticket, e);
        }
    }
    effects_reset(out);
    out->want_events = out->want_transitions = w->tailing;
}

/* ---- out ------------------------------------------------------------------------------------ */

static void release_action(struct worker *w, const struct note *n)
{
    CRASH_POINT(action_released);
    atomic_store_explicit(&w->engine->action_sequence[n->from], n->sequence, memory_order_release);
    if (!atomic_load_explicit(&w->engine->action_readers, memory_order_relaxed)) return;
    atomic_store_explicit(&w->engine->action_news, 1, memory_order_release);
    if (w->index != 0) loop_wake(w->engine->workers[0].loop);
}

static void release_one(struct worker *w, const struct note *n, struct slice bytes)
{
    switch (n->kind) {
    case NOTE_CREDIT: release_credit(w, n->cookie, n->share); break;
    case NOTE_MESSAGE:
        CRASH_POINT(message_sent);
        outbound_send(w, engine_owner(w->engine, n->to), n, bytes);
        break;
    case NOTE_MESSAGE_ACK:
        if (engine_owner(w->engine, n->from) == w->index)
            shard_ack_messages(w->engine->shards[n->from], n->to, n->sequence);
        else
            outbound_send(w, engine_owner(w->engine, n->from), n, bytes);
        break;
    case NOTE_ACTION: release_action(w, n); break;
    case NOTE_CALL: call_return(w, n->call); break;
    case NOTE_TAIL:
        if (w->index == 0)
            admin_tail(w->engine, bytes);
        else
            outbound_send(w, 0, n, bytes);
        break;
    default: CHECK(!"nothing else waits for the disk");
    }
}

void release_durable(struct worker *w)
{
    uint64_t durable = wal_durable(w->wal);
    struct slice entry;
    while (queue_front(&w->held, &entry) && load_le64(entry.p) <= durable) {
        struct note n;
        memcpy(&n, entry.p + 8, sizeof n);
        if (n.kind == NOTE_MESSAGE && !order_has_come(&w->engine->order, n.turn)) return;
        release_one(w, &n, slice_of(entry.p + 8 + sizeof n, entry.n - 8 - sizeof n));
        queue_pop(&w->held);
    }
}
