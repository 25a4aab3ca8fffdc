/* intake.c - records in: from sockets, from other workers, from calls; into batches, the shards and the log.
 *
 *   socket ----> event_route --own--> batch of 64 --full, or frame over--> tick, apply, log, effects
 *   mailbox -/        \--foreign--> outbound                                          |
 *   local messages <------------------------------------------------------------------/
 *
 * 1. A batch is applied and logged in one go: room in the log is asked for first, for the batch and its ticks.
 * 2. Order is kept: while something lies in `spill` (the log had no room), whatever comes goes behind it.
 * 3. Messages between two shards of this worker are logged behind their cause in the same log: the log's order is their
 *    durability. They are applied before the next record, in the order they were sent: a batch is applied as far as the
 *    next record that sends one.
 * 4. With several workers and `--order sender` (order.h) a batch is one record, and it comes in when nothing is under way. */
#include "io/engine.h"
#include "core/base/planted.h"
#include "persist/crash.h"

#include <stdlib.h>

enum { TICK_BYTES = 8, TICK_WAKES = 64, ROUTE_HOPS_MAX = 4 };

void intake_create(struct intake *in)
{
    memset(in, 0, sizeof *in);
    arena_init(&in->decode);
    arena_init(&in->staged.scratch);
    effects_init(&in->effects);
    in->effects.stop_at_message = true;
}

void intake_destroy(struct intake *in)
{
    arena_free(&in->decode);
    arena_free(&in->staged.scratch);
    free(in->staged.events);
    effects_free(&in->effects);
    queue_free(&in->spill);
    queue_free(&in->local);
    queue_free(&in->early);
    queue_free(&in->boxes);
}

bool intake_open(const struct worker *w)
{
    return queue_empty(&w->intake.spill) && w->outbound_bytes < OUTBOUND_BYTES_MAX &&
           queue_bytes(&w->held) < HELD_BYTES_MAX && w->credit.chunks_used < CHUNKS_MAX &&
           !wal_disk_full(w->wal) && !w->engine->draining;
}

/* A batch has to fit into one group of the log, which may be as small as a log file. */
static bool batch_full(const struct worker *w)
{
    return w->intake.count == BATCH_EVENTS || w->intake.bytes >= w->batch_bytes;
}

bool intake_idle(const struct worker *w)
{
    const struct intake *in = &w->intake;
    return !in->count && queue_empty(&in->spill) && queue_empty(&in->local) && queue_empty(&in->early);
}

bool intake_blocked(const struct worker *w)
{
    const struct intake *in = &w->intake;
    const struct order *o = &w->engine->order;
    struct slice entry;
    if (order_idle(o) || in->count || !queue_empty(&in->early)) return false;
    return !queue_front(&in->local, &entry) || !order_has_come(o, ((const struct note *)entry.p)->turn);
}

/* ---- time -------------------------------------------------------------------------------- */

bool worker_tick(struct worker *w, struct shard *s, uint32_t quota)
{
    struct effects *effects = &w->intake.effects;
    if (quota > w->wakes_left) quota = w->wakes_left;
    if (shard_now(s) > w->now) return true; /* the clock is behind what the log says: time stands still */
    if (!wal_room(w->wal, 1, TICK_BYTES) || !shard_reserve_tick(s, quota, effects)) return false;
    uint32_t before = shard_now(s), due = shard_next_due(s);
    uint32_t ran = shard_tick(s, w->now, quota, effects);
    w->wakes_left -= ran;
    if (ran) latency_add(&w->wake_lag, due < w->now ? (uint64_t)(w->now - due) * 1000000 : w->lag_us);
    if (!ran && shard_now(s) == before) return true;
    struct record r = {
        .kind = RECORD_TICK, .shard = shard_index(s), .head_bytes = TICK_BYTES, .lsn = shard_lsn(s)};
    store_le32(r.head, w->now);
    store_le32(r.head + 4, ran);
    release_effects(w, wal_append(w->wal, &r));
    return true;
}

void worker_wake_due(struct worker *w)
{
    if (w->woken_until == w->now) return;
    for (uint32_t i = 0; i < w->shard_count; i++) {
        struct shard *s = w->shards[i];
        if (!shard_overdue(s, w->now) || shard_now(s) > w->now) continue;
        if (!worker_tick(w, s, w->wakes_left) || !w->wakes_left) return;
    }
    w->woken_until = w->now;
}

/* A record is applied in the second it came: its shard's time moves first. */
static void tick_batch(struct worker *w)
{
    struct intake *in = &w->intake;
    for (uint32_t i = in->applied; i < in->count; i++)
        if (shard_now(in->items[i].shard) < w->now) worker_tick(w, in->items[i].shard, TICK_WAKES);
}

/* ---- the batch ----------------------------------------------------------------------------- */

/* The turns of what was just applied are over; what it sent has its own already. */
static void end_turns(struct worker *w, uint32_t turns)
{
    if (!turns) return;
    order_finish(&w->engine->order, turns);
    for (uint32_t i = 0; i < w->engine->threads; i++)
        if (i != w->index) loop_wake(w->engine->workers[i].loop);
}

static void log_items(struct worker *w, const struct batch_item *items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct record *r = &items[i].record;
        wal_append(w->wal, r);
        if (r->kind == RECORD_MESSAGE)
            release_message_ack(w, (uint8_t)load_le16(r->payload.p), r->shard, load_le64(r->payload.p + 4));
    }
    release_effects(w, wal_last(w->wal));
}

static void batch_clear(struct intake *in)
{
    in->applied = in->count = in->turns = 0;
    in->bytes = 0;
    in->borrowed = false;
}

/* For how many of them memory has room. With none the records wait, unacknowledged, and it is said once. */
static uint32_t make_room(struct worker *w, struct batch_item *items, uint32_t count)
{
    uint32_t fits = shards_reserve(items, count, &w->intake.effects);
    if (!fits && !w->out_of_memory)
        log_line(LOG_ERROR, "out_of_memory",
                 "thread=%u shard=%u reason=\"a record waits until there is room\"", w->index,
                 items->record.shard);
    w->out_of_memory = !fits;
    return fits;
}

/* As far as the next record that sends a message. */
static bool apply_some(struct worker *w)
{
    struct intake *in = &w->intake;
    struct batch_item *items = in->items + in->applied;
    uint32_t count = in->count - in->applied;
    if (!wal_room(w->wal, count + w->shard_count, in->bytes + (size_t)w->shard_count * TICK_BYTES))
        return false;
    tick_batch(w);
    if (!(count = make_room(w, items, count))) return false;
    CRASH_POINT(batch_apply);
    uint32_t applied = shards_apply(items, count, &in->decode, &in->effects);
    CRASH_POINT(batch_applied);
    log_items(w, items, applied);
    CRASH_POINT(batch_logged);
    in->applied += applied;
    if (in->applied < in->count) return true;
    uint32_t turns = in->turns;
    batch_clear(in);
    if (!in->staged.copies) arena_reset(&in->decode);
    end_turns(w, turns);
    return true;
}

static void batch_add(struct worker *w, const struct batch_item *item)
{
    struct intake *in = &w->intake;
    in->bytes += item->record.head_bytes + (size_t)item->record.payload.n;
    in->count++;
}

/* While definitions change, shards differ for some turns. What was said under a newer set is read under one as new; whatever
 * comes meanwhile goes behind it, so that messages keep their order. */
static bool is_early(const struct worker *w, const struct note *n)
{
    return !queue_empty(&w->intake.early) ||
           n->version > shard_definitions(w->engine->shards[n->to])->version;
}

static void keep_early(struct worker *w, const struct note *n, struct slice payload)
{
    uint8_t *p = queue_push(&w->intake.early, sizeof *n + payload.n);
    memcpy(p, n, sizeof *n);
    memcpy(p + sizeof *n, payload.p, payload.n);
}

/* One message that shards of this worker sent each other. False: no room; it stays in the queue. */
static bool apply_local(struct worker *w, const struct note *n, struct slice payload)
{
    struct intake *in = &w->intake;
    struct batch_item *item = &in->message;
    item->shard = w->engine->shards[n->to];
    item->record =
        (struct record){.kind = RECORD_MESSAGE, .shard = n->to, .cookie = n->cookie, .payload = payload};
    if (!wal_room(w->wal, 2, TICK_BYTES + (size_t)payload.n)) return false;
    if (shard_now(item->shard) < w->now && !worker_tick(w, item->shard, TICK_WAKES)) return false;
    if (!make_room(w, item, 1)) return false;
    shards_apply(item, 1, NULL, &in->effects);
    log_items(w, item, 1); /* may put further ones behind it: n and payload are gone */
    return true;
}

/* Before anything else is applied: right behind their cause, in the order they were sent. */
static bool take_local(struct worker *w)
{
    struct intake *in = &w->intake;
    struct slice entry;
    while (queue_front(&in->local, &entry)) {
        const struct note *n = (const struct note *)entry.p;
        struct slice payload = slice_of(entry.p + sizeof *n, entry.n - sizeof *n);
        bool turn = w->engine->order.on;
        if (!order_has_come(&w->engine->order, n->turn)) return true;
        if (is_early(w, n))
            keep_early(w, n, payload), turn = false; /* it takes its turn along */
        else if (!apply_local(w, n, payload))
            return false;
        queue_pop(&in->local);
        end_turns(w, turn);
    }
    return true;
}

/* Everything in the batch, and every message of this worker's own shards that it causes. */
static bool intake_flush(struct worker *w)
{
    while (take_local(w)) {
        if (w->intake.applied == w->intake.count) return true;
        if (!apply_some(w)) return false;
    }
    return false;
}

/* Takes over what the batch still borrows. Decoded events point into their bytes: they are decoded anew. */
static void own_batch(struct worker *w)
{
    struct intake *in = &w->intake;
    for (uint32_t i = in->applied; i < in->count; i++) {
        in->items[i].record.payload = arena_slice(&in->decode, in->items[i].record.payload);
        in->items[i].decoded = false;
    }
    in->borrowed = false;
}

/* ---- where a record goes --------------------------------------------------------------------- */

static void send_record(struct worker *w, uint32_t owner, const struct record *r)
{
    struct note n = {
        .kind = NOTE_RECORD, .to = r->shard, .record_kind = r->kind, .head_bytes = r->head_bytes};
    memcpy(n.head, r->head, sizeof n.head);
    if (r->cookie && !PLANTED(ack_before_the_other_shard)) {
        n.cookie = r->cookie;
        n.share = credit_take(&w->credit, w->index, &n.cookie);
        if (!n.share) n.cookie = 0;
    }
    outbound_send(w, owner, &n, r->payload);
    if (r->cookie) release_done(w, r->cookie);
}

/* Decoded as its shard will read it: while definitions change, the shards of a worker differ for some turns, and an event
 * that is addressed by a trait may even have another home under the other set. */
static void route(struct worker *w, struct batch_item *item, const struct event *staged)
{
    const struct schema *with = worker_schema(w);
    if (w->intake.staged.schema != with) staged = NULL; /* definitions came in between */
    for (uint32_t hop = 0; hop < ROUTE_HOPS_MAX; hop++) {
        if (item->record.kind != RECORD_EVENT && item->record.kind != RECORD_IMPORT) return;
        uint32_t to = hop == 0 && staged ? event_route_decoded(item, staged)
                                         : event_route(item, with, &w->engine->dir.secret,
                                                       &w->intake.staged.shape, &w->intake.decode);
        if (engine_owner(w->engine, to) != w->index) return; /* its own worker decodes it again */
        if (&shard_definitions(w->engine->shards[to])->schema == with) return;
        with = &shard_definitions(w->engine->shards[to])->schema;
    }
}

/* There is room in the batch. staged: the record as intake_decode read it; NULL: it did not. */
static void place_decoded(struct worker *w, const struct record *r, bool borrowed, const struct event *staged)
{
    struct intake *in = &w->intake;
    struct batch_item *item = &in->items[in->count];
    item->record = *r;
    item->decoded = false;
    item->reject = REJECT_NONE;
    route(w, item, staged);
    uint32_t owner = engine_owner(w->engine, item->record.shard);
    if (owner != w->index) {
        send_record(w, owner, &item->record);
        return;
    }
    item->shard = w->engine->shards[item->record.shard];
    in->borrowed |= borrowed;
    in->turns += w->engine->order.on;
    batch_add(w, item);
}

static void place(struct worker *w, const struct record *r, bool borrowed)
{
    place_decoded(w, r, borrowed, NULL);
}

static void spill(struct worker *w, const struct record *r)
{
    struct note n = {.kind = NOTE_RECORD,
                     .to = r->shard,
                     .record_kind = r->kind,
                     .head_bytes = r->head_bytes,
                     .cookie = r->cookie};
    memcpy(n.head, r->head, sizeof n.head);
    w->counters.spilled++;
    uint8_t *p = queue_push(&w->intake.spill, sizeof n + r->payload.n);
    memcpy(p, &n, sizeof n);
    if (r->payload.n) memcpy(p + sizeof n, r->payload.p, r->payload.n);
}

/* Is there room for a record from outside, and is it its turn? */
static bool let_in(struct worker *w)
{
    if ((batch_full(w) || w->engine->order.on) && !intake_flush(w)) return false;
    return order_enter(&w->engine->order);
}

static void take_in(struct worker *w, struct record *r, bool copy, const struct event *staged)
{
    struct intake *in = &w->intake;
    if (r->cookie) credit_enter(&w->credit, r->cookie, 0);
    if (!queue_empty(&in->spill) || !let_in(w)) {
        spill(w, r);
        return;
    }
    if (copy && !staged) r->payload = arena_slice(&in->decode, r->payload);
    place_decoded(w, r, !copy, staged);
    if (w->engine->order.on) intake_flush(w);
}

static void take_spilled(struct worker *w)
{
    struct intake *in = &w->intake;
    struct slice entry;
    while (queue_front(&in->spill, &entry)) {
        if (!let_in(w)) return;
        const struct note *n = (const struct note *)entry.p;
        struct record r = {
            .kind = n->record_kind, .shard = n->to, .head_bytes = n->head_bytes, .cookie = n->cookie};
        memcpy(r.head, n->head, sizeof r.head);
        r.payload = arena_slice(&in->decode, slice_of(entry.p + sizeof *n, entry.n - sizeof *n));
        queue_pop(&in->spill);
        place(w, &r, false);
        if (w->engine->order.on) intake_flush(w);
    }
}

/* A frame is known to be whole only at its last entry, and none of it may have an effect before. Its entries are decoded
 * on that one walk all the same, and wait here: a second walk is spared. Of a frame that is copied all the bytes are
 * copied first, once, to where its records may stay until the batch is applied. */
static void begin_staging(struct worker *w, struct slice bytes, bool copy)
{
    enum { ENTRY_BYTES_FEW = 256 };
    struct intake *in = &w->intake;
    struct staged *staged = &in->staged;
    staged->copies = 0;
    if (copy && in->count + bytes.n / ENTRY_BYTES_FEW >= BATCH_EVENTS)
        intake_flush(w); /* `decode` begins anew */
    if (!staged->events) {
        staged->events = malloc(STAGED_MAX * sizeof *staged->events);
        CHECK(staged->events != NULL);
    }
    arena_reset(&staged->scratch);
    if (!in->count) arena_reset(&in->decode); /* left by a frame that was broken */
    staged->from = staged->bytes = bytes.p;
    if (copy) staged->bytes = arena_slice(&in->decode, bytes).p;
}

uint32_t intake_decode(struct worker *w, uint32_t nth, struct slice bytes, int64_t entry_ms, bool copy)
{
    struct intake *in = &w->intake;
    struct staged *staged = &in->staged;
    if (nth >= STAGED_MAX) return 0;
    if (nth == 0) begin_staging(w, bytes, copy);
    staged->schema = worker_schema(w);
    bytes.p = staged->bytes + (bytes.p - staged->from);
    struct event *e = &staged->events[nth];
    enum reject reject = event_parse_front(staged->schema, &w->engine->dir.secret, &staged->shape, bytes,
                                           entry_ms, copy ? &in->decode : &staged->scratch, e);
    if (reject) return 0;
    staged->copies += copy;
    return e->raw.n;
}

void intake_event(struct worker *w, const struct forward_entry *e, uint64_t cookie, bool copy)
{
    struct staged *all = &w->intake.staged;
    const struct event *staged = e->decoded ? &all->events[e->decoded - 1] : NULL;
    struct record r = {
        .kind = RECORD_EVENT, .head_bytes = 8, .payload = staged ? staged->raw : e->record, .cookie = cookie};
    store_le64(r.head, (uint64_t)e->time_ms);
    w->counters.events_in++;
    take_in(w, &r, copy, staged);
    all->copies -= staged && copy;
}

void intake_reject(struct worker *w, struct slice raw, enum reject reason, uint64_t cookie)
{
    uint32_t kept = raw.n < REJECT_BYTES_KEPT ? raw.n : REJECT_BYTES_KEPT;
    struct record r = {
        .kind = RECORD_REJECT, .head_bytes = 2, .payload = slice_of(raw.p, kept), .cookie = cookie};
    r.shard = (uint8_t)(hash64(&w->engine->dir.secret, raw.p, kept) % LOGICAL_SHARDS);
    store_le16(r.head, (uint16_t)reason);
    w->counters.events_in++;
    take_in(w, &r, true, NULL);
}

bool intake_record(struct worker *w, const struct record *r)
{
    struct intake *in = &w->intake;
    take_spilled(w);
    bool turns =
        w->engine->order.on; /* a command has none, and what waits for one may need new definitions first */
    if ((!queue_empty(&in->spill) && !turns) || !intake_flush(w)) return false;
    place(w, r, false);
    in->turns = 0;
    if (intake_flush(w)) return true;
    if (in->count) { /* not logged: the caller tries again */
        batch_clear(in);
        return false;
    }
    return true;
}

static void take_early(struct worker *w);
void intake_settle(struct worker *w)
{
    struct intake *in = &w->intake;
    in->staged.copies = 0; /* of a frame that was refused or has to wait: it will be decoded anew */
    take_spilled(w);
    take_early(w);
    if (!intake_flush(w) && in->borrowed) own_batch(w);
}

/* ---- from other workers -------------------------------------------------------------------------- */

/* borrowed: the payload is good until the next intake_settle. */
static void take_message(struct worker *w, const struct note *n, struct slice payload, bool borrowed)
{
    struct shard *to = w->engine->shards[n->to];
    if (n->sequence <=
        shard_last_received(to, n->from)) { /* sent again after a restart: it is here already */
        release_message_ack(w, n->from, n->to, n->sequence);
        if (n->cookie) release_done(w, n->cookie);
        end_turns(w, w->engine->order.on);
        return;
    }
    struct record r = {.kind = RECORD_MESSAGE, .shard = n->to, .payload = payload, .cookie = n->cookie};
    place(w, &r, borrowed);
}

static void on_message(struct worker *w, const struct note *n, struct slice payload)
{
    CRASH_POINT(message_taken);
    if (n->cookie) credit_enter(&w->credit, n->cookie, n->share);
    if (is_early(w, n))
        keep_early(w, n, payload);
    else
        take_message(w, n, payload, true);
}

/* One at a time: what a record before it in a batch sends to the same shard must not come first. */
static void take_early(struct worker *w)
{
    struct intake *in = &w->intake;
    struct slice entry;
    while (queue_front(&in->early, &entry)) {
        struct note n;
        memcpy(&n, entry.p, sizeof n);
        if (n.version > shard_definitions(w->engine->shards[n.to])->version || !intake_flush(w)) return;
        CHECK(queue_front(&in->early, &entry)); /* the flush may have put more behind it, and moved it */
        struct slice payload = arena_slice(&in->decode, slice_of(entry.p + sizeof n, entry.n - sizeof n));
        queue_pop(&in->early);
        take_message(w, &n, payload, false);
    }
}

static void on_record(struct worker *w, const struct note *n, struct slice payload)
{
    struct record r = {.kind = n->record_kind,
                       .shard = n->to,
                       .head_bytes = n->head_bytes,
                       .payload = payload,
                       .cookie = n->cookie};
    memcpy(r.head, n->head, sizeof r.head);
    if (n->cookie) credit_enter(&w->credit, n->cookie, n->share);
    place(w, &r, true);
}

static void on_note(struct worker *w, const struct note *n, struct slice bytes)
{
    w->counters.notes_received++;
    switch (n->kind) {
    case NOTE_RECORD: on_record(w, n, bytes); break;
    case NOTE_MESSAGE: on_message(w, n, bytes); break;
    case NOTE_MESSAGE_ACK:
        CRASH_POINT(message_acked);
        shard_ack_messages(w->engine->shards[n->from], n->to, n->sequence);
        break;
    case NOTE_CREDIT: release_credit(w, n->cookie, n->share); break;
    case NOTE_TAIL: admin_tail(w->engine, bytes); break;
    default: CHECK(!"a note of unknown kind");
    }
}

static struct slice unbox(struct worker *w, struct slice bytes)
{
    struct slice box;
    memcpy(&box, bytes.p, sizeof box);
    memcpy(queue_push(&w->intake.boxes, sizeof box.p), &box.p, sizeof box.p);
    return box;
}

static void free_boxes(struct worker *w)
{
    struct slice entry;
    while (queue_front(&w->intake.boxes, &entry)) {
        void *p;
        memcpy(&p, entry.p, sizeof p);
        free(p);
        queue_pop(&w->intake.boxes);
    }
}

/* While the log has no room the notes stay where they are: that waits for the disk alone, never for another worker. */
void intake_inbound(struct worker *w)
{
    struct intake *in = &w->intake;
    uint32_t threads = w->engine->threads;
    bool any = false;
    for (uint32_t from = 0; from < threads; from++) {
        struct mailbox *m = engine_mailbox(w->engine, from, w->index);
        if (from == w->index || mailbox_empty(m)) continue;
        uint32_t kind;
        struct slice bytes;
        any = true;
        bool after_spill = !queue_empty(&in->spill) && !w->engine->order.on; /* it has waited longer */
        for (uint32_t i = 0; i < INBOUND_PER_TURN && !after_spill; i++) {
            if (batch_full(w) && !intake_flush(w)) break;
            if (!mailbox_next(m, &kind, &bytes)) break;
            struct note n;
            memcpy(&n, bytes.p, sizeof n);
            struct slice rest = slice_of(bytes.p + sizeof n, bytes.n - sizeof n);
            on_note(w, &n, kind & NOTE_BOXED ? unbox(w, rest) : rest);
        }
    }
    if (!any) return;
    intake_settle(w);
    free_boxes(w);
    for (uint32_t from = 0; from < threads; from++)
        if (from != w->index) mailbox_release(engine_mailbox(w->engine, from, w->index));
}

/* ---- after a restart ------------------------------------------------------------------------------- */

struct resend {
    struct worker *w;
    uint8_t from;
};

static void resend_one(void *self, uint8_t to, uint16_t kind, uint64_t sequence, struct slice body)
{
    struct resend *r = self;
    struct engine *e = r->w->engine;
    uint32_t owner = engine_owner(e, to);
    r->w->counters.notes_resent++;
    if (owner == r->w->index && sequence <= shard_last_received(e->shards[to], r->from)) {
        release_message_ack(r->w, r->from, to, sequence);
        return;
    }
    struct note n = {.kind = NOTE_MESSAGE,
                     .from = r->from,
                     .to = to,
                     .version = shard_definitions(e->shards[r->from])->version,
                     .sequence = sequence,
                     .turn = order_add(&e->order)};
    struct buf payload = {0};
    buf_put_le16(&payload, r->from);
    buf_put_le16(&payload, kind);
    buf_put_le64(&payload, sequence);
    buf_put_slice(&payload, body);
    if (owner != r->w->index) {
        outbound_send(r->w, owner, &n, buf_slice(&payload));
    } else {
        uint8_t *p = queue_push(&r->w->intake.local, sizeof n + payload.n);
        memcpy(p, &n, sizeof n);
        memcpy(p + sizeof n, payload.p, payload.n);
    }
    buf_free(&payload);
}

void worker_resend(struct worker *w)
{
    for (uint32_t i = 0; i < w->shard_count; i++) {
        struct resend r = {.w = w, .from = shard_index(w->shards[i])};
        shard_pending_messages(w->shards[i], resend_one, &r);
    }
    take_local(w);
}
