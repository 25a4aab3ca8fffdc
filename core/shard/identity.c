/* identity.c - two ids of one person, living on two shards.
 *
 *   user's shard                                anonymous id's shard
 *   event with a new pair: logged, parked,
 *   row marked MERGING   ---- MERGE_PULL ---->  takes its half out, leaves a link (forward)
 *   applies the half,    <--- MERGE_DATA ----   or: nothing there, or: linked to somebody else (conflict)
 *   then what was parked, in order
 *
 * The user's shard owns the merge and keeps the person's anonymous ids, so a known pair costs one compare.
 * Order: one record, then all the messages it causes in the order they were sent, theirs behind them, then the next record.
 * A host that delivers them so (core/machine.c, one worker, io/order.h) parks nothing but the pair itself. On several
 * workers at once what is parked keeps its order of arrival at the user's shard, and an event of the anonymous id alone
 * comes where it meets the pull: before it, it travels inside the half; behind it, it is forwarded and comes after all
 * that was parked.
 * Messages carry a sequence number per pair of shards; the receiver logs them before it applies them, the sender
 * regenerates them by replay and keeps them until the receiver has them on disk. A repeat is ignored. */
#include "core/shard/state.h"
#include "core/base/planted.h"

enum { HALF_DATA = 1, HALF_EMPTY, HALF_CONFLICT, HALF_BYTES_MAX = 2 << 20 };

/* ---- messages -------------------------------------------------------------------------- */

void shard_queue_message(struct shard *s, uint8_t to, uint32_t handle)
{
    if (s->out_last[to])
        ((struct out_message *)heap_at(&s->store.heap, s->out_last[to]))->next = handle;
    else
        s->out_first[to] = handle;
    s->out_last[to] = handle;
}

void shard_send(struct shard *s, uint8_t to, enum message_kind kind, struct slice body)
{
    struct heap *heap = &s->store.heap;
    uint32_t handle = heap_alloc(heap, (uint32_t)sizeof(struct out_message) + body.n);
    struct out_message *m = heap_at(heap, handle);
    *m = (struct out_message){.sequence = ++s->sent[to], .bytes = body.n, .kind = (uint16_t)kind, .to = to};
    if (body.n) memcpy(m + 1, body.p, body.n);
    if (!PLANTED(sender_does_not_regenerate) || s->effects->stop_at_message)
        shard_queue_message(s, to, handle);

    s->effects->message_sent = true;
    struct effect *e = shard_effect(s, EFFECT_MESSAGE);
    e->message.to = to;
    e->message.message_kind = (uint16_t)kind;
    e->message.sequence = m->sequence;
    e->message.body = arena_slice(&s->effects->scratch, body);
}

uint64_t shard_message_acked(const struct shard *s, uint8_t to) { return s->acked[to]; }
uint64_t shard_last_received(const struct shard *s, uint8_t from)
{
    return PLANTED(merge_applied_twice) ? 0 : s->received[from];
}

void shard_ack_messages(struct shard *s, uint8_t to, uint64_t up_to)
{
    struct heap *heap = &s->store.heap;
    if (up_to <= s->acked[to]) return;
    s->acked[to] = up_to;
    while (s->out_first[to]) {
        uint32_t handle = s->out_first[to];
        struct out_message *m = heap_at(heap, handle);
        if (m->sequence > up_to) return;
        s->out_first[to] = m->next;
        if (!m->next) s->out_last[to] = 0;
        heap_release(heap, handle, (uint32_t)sizeof *m + m->bytes);
    }
}

void shard_pending_messages(const struct shard *s,
                            void (*f)(void *self, uint8_t to, uint16_t kind, uint64_t sequence,
                                      struct slice body),
                            void *self)
{
    for (uint32_t to = 0; to < LOGICAL_SHARDS; to++) {
        for (uint32_t at = s->out_first[to]; at;) {
            const struct out_message *m = heap_at(&s->store.heap, at);
            f(self, m->to, m->kind, m->sequence, slice_of(m + 1, m->bytes));
            at = m->next;
        }
    }
}

/* ---- parking ----------------------------------------------------------------------------- */

struct pending_merge *shard_pending(struct shard *s, struct key user)
{
    struct pending_merge *list = (struct pending_merge *)s->merges.base;
    for (uint32_t i = 0; i < s->merge_count; i++)
        if (key_eq(list[i].user, user)) return &list[i];
    return NULL;
}

/* payload: the raw event; the entry time stands before it in the parked bytes, as in the log. */
void shard_park(struct shard *s, row_t row, const struct record *record, struct slice raw)
{
    struct heap *heap = &s->store.heap;
    struct pending_merge *merge = shard_pending(s, store_row(&s->store, row)->key);
    CHECK(merge != NULL);
    uint32_t bytes = 8 + raw.n, handle = heap_alloc(heap, (uint32_t)sizeof(struct parked) + bytes);
    struct parked *p = heap_at(heap, handle);
    *p = (struct parked){.cookie = record->cookie, .lsn = record->lsn, .bytes = bytes, .kind = record->kind};
    memcpy(p + 1, record->head_bytes ? record->head : record->payload.p, 8);
    memcpy((uint8_t *)(p + 1) + 8, raw.p, raw.n);
    if (merge->last)
        ((struct parked *)heap_at(heap, merge->last))->next = handle;
    else
        merge->first = handle;
    merge->last = handle;
    merge->count++;
}

uint32_t shard_parked_for(struct shard *s, const struct record *answer)
{
    struct key user;
    if (answer->payload.n < MESSAGE_HEADER_BYTES + 16) return 0;
    uint16_t kind = load_le16(answer->payload.p + 2);
    if (kind != MESSAGE_MERGE_DATA && kind != MESSAGE_UNPARK) return 0;
    memcpy(&user, answer->payload.p + MESSAGE_HEADER_BYTES, 16);
    const struct pending_merge *merge = shard_pending(s, user);
    if (!merge) return 0;
    return merge->count < UNPARKED_PER_RECORD ? merge->count : UNPARKED_PER_RECORD;
}

static void ask_for_half(struct shard *s, struct pending_merge *m, struct key other)
{
    uint8_t body[32];
    m->other = other;
    memcpy(body, &m->user, 16);
    memcpy(body + 16, &other, 16);
    shard_send(s, (uint8_t)key_shard(other), MESSAGE_MERGE_PULL, slice_of(body, sizeof body));
}

static void begin_merge(struct shard *s, row_t row, struct key other)
{
    store_touch(&s->store, row)->flags |= ROW_MERGING;
    struct pending_merge *list = (struct pending_merge *)s->merges.base;
    CHECK((s->merge_count + 1) * sizeof *list <= s->merges.committed);
    struct pending_merge *m = &list[s->merge_count++];
    *m = (struct pending_merge){.user = store_row(&s->store, row)->key};
    s->merges.used = s->merge_count * sizeof *list;
    ask_for_half(s, m, other);
}

/* ---- joining ------------------------------------------------------------------------------ */

/* Takes the other half out of this shard and leaves a link to the survivor. */
static uint8_t take_half(struct shard *s, struct key user, struct key other, struct buf *half)
{
    row_t row;
    struct key target;
    switch (store_find(&s->store, other, &row, &target)) {
    case FOUND_LINK: return key_eq(target, user) ? HALF_EMPTY : HALF_CONFLICT;
    case FOUND_NOTHING: store_link(&s->store, other, user); return HALF_EMPTY;
    case FOUND_ROW: break;
    }
    if (store_row(&s->store, row)->flags & (ROW_KNOWN | ROW_MERGING)) return HALF_CONFLICT;
    size_t before = half->n;
    profile_encode(&s->store, row, half);
    if (half->n - before >
        HALF_BYTES_MAX) { /* more than one record of the log can carry: both stay as they are */
        half->n = before;
        return HALF_CONFLICT;
    }
    store_touch(&s->store, row);
    store_remove(&s->store, row);
    if (!PLANTED(forward_not_left)) store_link(&s->store, other, user);
    return HALF_DATA;
}

static void join_half(struct shard *s, row_t row, uint8_t status, struct slice half, struct turn *turn)
{
    struct row *r = store_row(&s->store, row);
    uint8_t epoch = r->epoch;
    if (PLANTED(merge_preimage_late))
        r->epoch = s->store.epoch;
    else
        store_touch(&s->store, row);
    if (status == HALF_CONFLICT) s->counters.conflicts++;
    if (status == HALF_DATA) {
        CHECK(profile_merge(&s->store, row, half));
        s->counters.merged++;
        turn->merged = true;
    }
    if (PLANTED(merge_preimage_late)) {
        r->epoch = epoch;
        store_touch(&s->store, row);
    }
    turn->touched.everything = true;
}

/* Never evaluated yet: some segments hold for a person without any history. */
static bool is_new(struct shard *s, row_t row) { return !store_row(&s->store, row)->block[BLOCK_TYPES]; }

static void remember_alias(struct shard *s, row_t row, struct slice anonymous_id)
{
    struct slice dropped;
    if (ids_add_anonymous(&s->store, row, anonymous_id, &dropped, &s->effects->work))
        s->counters.aliases_dropped++;
}

static struct slice other_id(const struct event *e)
{
    return e->call == CALL_ALIAS && e->previous_id.n ? e->previous_id : e->anonymous_id;
}

static bool pair_is_new(struct shard *s, row_t row, const struct event *e)
{
    if (key_is_zero(e->anonymous_key) || e->key_kind != ID_USER) return false;
    return !ids_has_anonymous(&s->store, row, other_id(e)) &&
           !key_eq(s->joined, e->anonymous_key); /* just answered */
}

bool shard_pair(struct shard *s, row_t row, const struct event *e, const struct record *record)
{
    if (!pair_is_new(s, row, e)) return false;
    struct key user = store_row(&s->store, row)->key;
    if (key_shard(e->anonymous_key) != s->config.index) {
        begin_merge(s, row, e->anonymous_key);
        shard_park(s, row, record, e->raw);
        return true;
    }
    struct buf *half = &s->effects->half;
    buf_clear(half);
    uint8_t status = take_half(s, user, e->anonymous_key, half);
    struct turn turn = {.row = row};
    join_half(s, row, status, buf_slice(half), &turn);
    if (status != HALF_CONFLICT) remember_alias(s, row, other_id(e));
    if (status == HALF_DATA || is_new(s, row)) shard_settle(s, &turn);
    return false;
}

void shard_link_trait(struct shard *s, row_t row, uint16_t attribute, struct slice text)
{
    if (!text.n || text.n > ID_BYTES_MAX) return;
    struct key link = hash_id(s->config.secret, ID_TRAIT + attribute, text),
               person = store_row(&s->store, row)->key;
    if (key_eq(link, person)) return;
    if (!(store_row(&s->store, row)->flags & ROW_KNOWN)) return; /* a trait leads to known people */
    uint8_t body[32];
    memcpy(body, &link, 16);
    memcpy(body + 16, &person, 16);
    shard_send(s, (uint8_t)key_shard(link), MESSAGE_LINK, slice_of(body, sizeof body));
}

/* ---- receiving ----------------------------------------------------------------------------- */

static void answer_pull(struct shard *s, struct key user, struct key other)
{
    struct buf *body = &s->effects->half;
    buf_clear(body);
    buf_put(body, &user, 16);
    buf_put(body, &other, 16);
    buf_put_u8(body, 0);
    uint8_t status = take_half(s, user, other, body); /* may move the buffer */
    body->p[32] = status;
    shard_send(s, (uint8_t)key_shard(user), MESSAGE_MERGE_DATA, buf_slice(body));
}

static struct parked *first_parked(struct shard *s, struct pending_merge *m)
{
    return heap_at(&s->store.heap, m->first);
}

static void drop_first_parked(struct shard *s, struct pending_merge *m)
{
    struct parked *p = first_parked(s, m);
    uint32_t handle = m->first;
    m->first = p->next;
    if (!m->first) m->last = 0;
    m->count--;
    heap_release(&s->store.heap, handle, (uint32_t)sizeof *p + p->bytes);
}

/* Applies the oldest parked record. False: it begins the next merge and waits, with all behind it. */
static bool unpark_one(struct shard *s, row_t row, struct pending_merge *m)
{
    struct parked *p = first_parked(s, m);
    struct record record = {.kind = p->kind,
                            .shard = s->config.index,
                            .lsn = p->lsn,
                            .cookie = p->cookie,
                            .payload = slice_of(p + 1, p->bytes)};
    struct event event;
    enum reject reject = shard_decode(s, &record, &s->effects->scratch, &event);
    if (!reject && pair_is_new(s, row, &event) && key_shard(event.anonymous_key) != s->config.index) {
        ask_for_half(s, m, event.anonymous_key);
        return false;
    }
    uint64_t cookie = s->cookie;
    s->cookie = record.cookie;
    if (reject) /* the definitions became stricter while it was parked */
        shard_count_reject(s, reject, slice_of(record.payload.p + 8, record.payload.n - 8));
    else if (!shard_pair(s, row, &event, &record))
        shard_apply_person(s, row, &event, &record);
    shard_done(s, record.cookie);
    s->cookie = cookie;
    drop_first_parked(s, m);
    return true;
}

/* At most UNPARKED_PER_RECORD at a time, so that one record's room can be reserved; a message to itself goes on. */
static void unpark(struct shard *s, row_t row, struct key user)
{
    struct pending_merge *first = PLANTED(merge_loses_parked) ? shard_pending(s, user) : NULL;
    if (first && first->first) {
        shard_done(s, first_parked(s, first)->cookie);
        drop_first_parked(s, first);
    }
    for (uint32_t n = 0; n < UNPARKED_PER_RECORD; n++) {
        struct pending_merge *m = shard_pending(s, user);
        if (!m->first) {
            struct pending_merge *list = (struct pending_merge *)s->merges.base;
            *m = list[--s->merge_count];
            s->merges.used = s->merge_count * sizeof *list;
            store_touch(&s->store, row)->flags &= (uint16_t)~ROW_MERGING;
            return;
        }
        if (!unpark_one(s, row, m)) return;
    }
    uint8_t body[32] = {0};
    memcpy(body, &user, 16);
    shard_send(s, s->config.index, MESSAGE_UNPARK, slice_of(body, sizeof body));
}

static struct slice first_alias(struct shard *s, struct pending_merge *m, struct event *event)
{
    struct parked *p = first_parked(s, m);
    struct record record = {.kind = p->kind, .payload = slice_of(p + 1, p->bytes)};
    if (shard_decode(s, &record, &s->effects->scratch, event) != REJECT_NONE) return (struct slice){0};
    return other_id(event);
}

static void finish_merge(struct shard *s, struct key user, struct key other, uint8_t status,
                         struct slice half)
{
    row_t row;
    struct key target;
    struct pending_merge *m = shard_pending(s, user);
    if (store_find(&s->store, user, &row, &target) != FOUND_ROW) return;
    struct turn turn = {.row = row};
    join_half(s, row, status, half, &turn);
    if (!m || !key_eq(m->other, other)) { /* not asked for: a trait's half came by itself */
        if (status == HALF_DATA) shard_settle(s, &turn);
        return;
    }
    struct event event;
    struct slice alias = first_alias(s, m, &event);
    if (status != HALF_CONFLICT && alias.n) remember_alias(s, row, alias);
    if (status == HALF_DATA || is_new(s, row)) shard_settle(s, &turn);
    m->other = (struct key){0};
    s->joined = status == HALF_CONFLICT || !alias.n ? other : (struct key){0};
    unpark(s, row, user);
    s->joined = (struct key){0};
}

static void go_on_unparking(struct shard *s, struct key user)
{
    row_t row;
    struct key target;
    struct pending_merge *m = shard_pending(s, user);
    if (m && key_is_zero(m->other) && store_find(&s->store, user, &row, &target) == FOUND_ROW)
        unpark(s, row, user);
}

static void receive_link(struct shard *s, struct key link, struct key person)
{
    row_t row;
    struct key target;
    if (store_find(&s->store, link, &row, &target) != FOUND_ROW) {
        store_link(&s->store, link, person); /* the newest person to state it has it */
        return;
    }
    answer_pull(s, person, link); /* somebody was addressed by the trait alone: that half goes to its owner */
}

static void receive_forward(struct shard *s, const struct record *r, struct slice body)
{
    struct record record = {.kind = RECORD_EVENT,
                            .shard = s->config.index,
                            .lsn = r->lsn,
                            .cookie = r->cookie,
                            .payload = slice_of(body.p + 16, body.n - 16)};
    struct event event;
    enum reject reject = shard_decode(s, &record, &s->effects->scratch, &event);
    if (reject) {
        shard_count_reject(s, reject, slice_of(body.p + 24, body.n - 24));
        return;
    }
    memcpy(&event.key, body.p, 16); /* the link's target, whatever id the event carries */
    row_t row;
    struct key target;
    if (store_find(&s->store, event.key, &row, &target) == FOUND_ROW &&
        (store_row(&s->store, row)->flags & ROW_MERGING)) {
        shard_park(s, row, &record, event.raw);
        s->forward_parked = true;
        return;
    }
    shard_apply_event(s, &event, &record);
}

bool shard_receive(struct shard *s, const struct record *r)
{
    struct reader in = reader_of(r->payload);
    uint16_t from = read_le16(&in), kind = read_le16(&in);
    uint64_t sequence = read_le64(&in);
    if (in.bad || from >= LOGICAL_SHARDS) return false;
    if (sequence <= s->received[from] && !PLANTED(merge_applied_twice))
        return true; /* a repeat after a crash */
    s->received[from] = sequence;
    struct slice body = slice_of(in.p, (size_t)(in.end - in.p));
    struct key a, b;
    if (body.n < (kind == MESSAGE_FORWARD ? 24u : 32u)) return false;
    memcpy(&a, body.p, 16);
    memcpy(&b, body.p + 16, 16);
    switch (kind) {
    case MESSAGE_MERGE_PULL: answer_pull(s, a, b); return true;
    case MESSAGE_MERGE_DATA:
        if (body.n < 33) return false;
        finish_merge(s, a, b, body.p[32], slice_of(body.p + 33, body.n - 33));
        return true;
    case MESSAGE_FORWARD: receive_forward(s, r, body); return true;
    case MESSAGE_LINK: receive_link(s, a, b); return true;
    case MESSAGE_UNPARK: go_on_unparking(s, a); return true;
    default: return false;
    }
}
