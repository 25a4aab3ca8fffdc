/* shard.c - one record in, effects out.
 *
 *   record -> who? -> (other shard? linked? merging?) -> seen before? -> attributes, behaviour -> consent, outcomes
 *          -> segments (flips) -> journeys (goals and exits, waits, triggers, sends) -> next wake-up
 *
 * Always true between records:
 *  1. a used row's next_wake is no later than the first second at which time alone changes anything about the person;
 *  2. if next_wake != 0 the wheel or the ready heap holds (slot, next_wake);
 *  3. received = applied + rejected + duplicate + late + parked;
 *  4. every stored membership is what its predicate says at the person's last evaluation. */
#include "core/journey/parts.h"
#include "core/shard/state.h"
#include "core/base/planted.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS_MAX = 16, CLAMP_AHEAD_S = 24 * 3600 };

/* ---- life ---------------------------------------------------------------------------- */

static bool size_counters(struct shard *s)
{
    uint32_t events = s->set->schema.event_count, journeys = s->set->journeys.journey_count;
    if (events > s->event_count) {
        s->event_counts = heap_table(&s->store.heap, s->event_counts, events * sizeof *s->event_counts);
        if (!s->event_counts) return false;
        memset(s->event_counts + s->event_count, 0, (events - s->event_count) * sizeof *s->event_counts);
        s->event_count = events;
    }
    if (journeys > s->journey_count) {
        s->journeys = heap_table(&s->store.heap, s->journeys, journeys * sizeof *s->journeys);
        if (!s->journeys) return false;
        memset(s->journeys + s->journey_count, 0, (journeys - s->journey_count) * sizeof *s->journeys);
        s->journey_count = journeys;
    }
    return true;
}

bool shard_use_definitions(struct shard *s, const struct defset *set)
{
    s->set = set;
    store_set_schema(&s->store, &set->schema);
    store_set_segments(&s->store, set->segments.count);
    s->credit = 0; /* what was reserved before knows nothing of the new set's columns */
    return size_counters(s);
}

struct shard *shard_create(const struct shard_config *config)
{
    struct shard *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->config = *config;
    s->outbox_limit = config->outbox_limit;
    s->set = config->definitions ? config->definitions(config->host, 0, (struct key){0}) : NULL;
    CHECK(s->set != NULL); /* version 0, the empty set, always exists */
    if (!store_create(&s->store, &s->set->schema)) return free(s), NULL;
    s->store.before_change = NULL;
    s->store.before_change_self = s;
    s->outbox = outbox_create(&s->store.heap);
    s->wheel = wheel_create(0);
    CHECK(s->outbox && s->wheel && size_counters(s));
    CHECK(region_create(&s->ready, (size_t)PROFILES_PER_SHARD_MAX * 4 * sizeof(struct ready_entry)));
    CHECK(region_create(&s->merges, (size_t)PROFILES_PER_SHARD_MAX / 4 * sizeof(struct pending_merge)));
    return s;
}

void shard_destroy(struct shard *s)
{
    if (!s) return;
    outbox_destroy(s->outbox);
    wheel_destroy(s->wheel);
    heap_table_free(s->journeys);
    heap_table_free(s->event_counts);
    store_destroy(&s->store);
    region_destroy(&s->ready);
    region_destroy(&s->merges);
    buf_free(&s->snapshot.frame);
    free(s);
}

void shard_refuse_strangers(struct shard *s, bool refuse) { s->strangers_refused = refuse; }

/* ---- effects ------------------------------------------------------------------------- */

/* Durable with the record at hand, which is never earlier than the one the cookie belongs to. */
void shard_done(struct shard *s, uint64_t cookie)
{
    if (!cookie) return;
    struct effect *e = shard_effect(s, EFFECT_DONE);
    e->cookie = cookie;
}

static void on_action(void *self, const struct action *a) { shard_effect(self, EFFECT_ACTION)->action = *a; }

static void on_transition(void *self, const struct transition *t)
{
    shard_effect(self, EFFECT_TRANSITION)->transition = *t;
}

static void tell_event(struct shard *s, enum event_outcome outcome, enum reject reject, uint16_t type,
                       struct key person)
{
    if (!s->effects->want_events) return;
    struct effect *e = shard_effect(s, EFFECT_EVENT);
    e->event.outcome = (uint8_t)outcome;
    e->event.reject = (uint8_t)reject;
    e->event.type = type;
    e->event.person = person;
}

/* ---- segments, journeys, next wake-up -------------------------------------------------- */

static uint32_t earlier(uint32_t a, uint32_t b) { return a < b ? a : b; }

static uint32_t leave_at(const struct shard *s, const struct row *row)
{
    uint32_t ttl = row->flags & ROW_KNOWN ? s->set->schema.known_ttl_s : s->set->schema.anonymous_ttl_s;
    return ttl && row->last_seen < UINT32_MAX - ttl ? row->last_seen + ttl : UINT32_MAX;
}

static bool mark_segments(struct shard *s, struct turn *turn, struct segment_marks *marks)
{
    if (s->set->segments.calendars) {
        struct person person = {.store = &s->store, .row = turn->row, .set = &s->set->journeys};
        turn->touched.zone = person_zone(&person);
    }
    return segments_mark(&s->set->segments, &s->store, turn->row, &turn->touched, s->now, marks);
}

static bool settle_round(struct shard *s, struct turn *turn, struct walk *walk, struct segment_marks *marks,
                         struct flip *flips, uint32_t round)
{
    const struct segment_set *segments = &s->set->segments;
    bool due = turn->due && round == 0;
    bool marked = turn->marked && round == 0;
    if (!marked) marked = due ? segments_mark_timed(segments, marks) : mark_segments(s, turn, marks);
    walk->context->next_change = earlier(walk->context->next_change, marks->next);
    walk->flips = flips;
    walk->flip_count =
        marked ? segments_update(segments, &s->store, turn->row, marks, walk->context, flips, segments->count)
               : 0;
    turn->touched.count = 0;
    turn->touched.event = NULL;
    turn->touched.fresh = false;
    turn->touched.everything = false;
    if (turn->silent) return false;
    if (due) return walk_due(walk);
    if (turn->command && round == 0) return walk_command(walk, turn->command_kind, turn->command_journey);
    if (turn->test) return walk_test(walk, turn->test), false;
    return walk_record(walk);
}

/* Without clearing the 770 bytes of step_changes. */
static void walk_init(struct shard *s, struct turn *turn, struct walk *w)
{
    memset(w, 0, offsetof(struct walk, step_changes));
    w->set = &s->set->journeys;
    w->segments = &s->set->segments;
    w->schema = &s->set->schema;
    w->store = &s->store;
    w->outbox = s->outbox;
    w->outbox_full = s->outbox_limit && outbox_bytes(s->outbox) >= s->outbox_limit;
    w->scratch = &s->effects->work;
    w->journeys = s->journeys;
    w->actions = &s->counters.actions;
    w->now = s->now;
    w->no_holdout = s->config.no_holdout;
    w->observer = s;
    w->on_action = on_action;
    if (s->effects->want_transitions) w->on_transition = on_transition;
    w->row = turn->row;
    w->event = turn->event;
    w->event_at = turn->event_at;
    w->late = turn->late;
    w->armed = turn->armed;
    w->changes = turn->changes;
    w->change_count = turn->change_count;
    w->touched = &turn->touched;
}

/* An event that only segments may hear of. */
static bool is_plain(const struct shard *s, const struct turn *turn)
{
    if (!turn->event || turn->merged || turn->change_count || turn->touched.everything) return false;
    return !walk_hears(&s->set->journeys, &s->store, turn->row, turn->event);
}

static void arm_next(struct shard *s, row_t row, uint32_t next)
{
    next = earlier(next, leave_at(s, store_row(&s->store, row)));
    if (next != UINT32_MAX) shard_arm(s, row, next <= s->now ? s->now + 1 : next);
}

static void settle_all(struct shard *s, struct turn *turn, struct segment_marks *marks)
{
    struct arena *work = &s->effects->work;
    struct person person = {.store = &s->store,
                            .row = turn->row,
                            .set = &s->set->journeys,
                            .schema = &s->set->schema,
                            .event = turn->event,
                            .event_at = turn->event_at,
                            .now = s->now,
                            .scratch = work};
    struct expr_context context = {.source = &person_source,
                                   .self = &person,
                                   .now = s->now,
                                   .week = &s->set->journeys.week,
                                   .zone = person_zone(&person),
                                   .scratch = work,
                                   .next_change = UINT32_MAX};
    struct walk walk;
    walk_init(s, turn, &walk);
    walk.context = &context;
    struct flip *flips = arena_alloc(work, sizeof *flips * (s->set->segments.count + 1));
    struct attribute_change *changes = NULL;
    if (turn->event && !turn->silent) {
        consent_record(&walk);
        outcome_record(&walk);
    }
    if (turn->merged) walk_merged(&walk);
    /* The first round has the record itself; later ones only what journeys themselves changed. */
    for (uint32_t round = 0; round < ROUNDS_MAX && settle_round(s, turn, &walk, marks, flips, round);
         round++) {
        walk.event = NULL;
        if (!changes) changes = arena_alloc(work, sizeof walk.step_changes);
        memcpy(changes, walk.step_changes, sizeof walk.step_changes);
        walk.changes = changes;
        walk.change_count = walk.step_change_count;
    }
    s->counters.expression_errors += context.errors;
    if (PLANTED(next_change_late) && context.next_change != UINT32_MAX) context.next_change++;
    arm_next(s, turn->row, earlier(walk_next_due(&walk), context.next_change));
}

/* Half of all events come to nothing: no journey hears them and no segment can flip. They need no person to ask about
 * and nothing to walk (240 instructions). */
void shard_settle(struct shard *s, struct turn *turn)
{
    struct segment_marks marks;
    if (is_plain(s, turn) && !(turn->marked = mark_segments(s, turn, &marks)))
        arm_next(s, turn->row, marks.next);
    else
        settle_all(s, turn, &marks);
}

/* ---- events ---------------------------------------------------------------------------- */

/* The second windows use: the sender's own time, corrected by what its clock said when it sent, never far ahead. */
static uint32_t effective_time(struct shard *s, const struct event *e, bool *clamped)
{
    *clamped = false;
    if (!e->has_own_time) return s->now;
    int64_t ms = e->own_ms;
    if (e->sent_ms) ms = (int64_t)s->now * 1000 - (e->sent_ms - e->own_ms);
    int64_t second = ms / 1000;
    if (second > (int64_t)s->now + CLAMP_AHEAD_S) {
        *clamped = true;
        return s->now;
    }
    return second <= 0 ? 1 : (uint32_t)second;
}

static uint16_t undeclared_type(struct shard *s, struct slice name)
{
    for (uint32_t i = 0; i < s->undeclared_count; i++) {
        struct undeclared_name *u = &s->undeclared[i];
        if (u->bytes == name.n && memcmp(heap_at(&s->store.heap, u->text), name.p, name.n) == 0)
            return (uint16_t)(TYPE_UNDECLARED_BASE + i);
    }
    if (s->undeclared_count == UNDECLARED_NAMES_MAX) return TYPE_UNDECLARED_BASE + UNDECLARED_NAMES_MAX;
    struct undeclared_name *u = &s->undeclared[s->undeclared_count];
    u->bytes = name.n;
    u->text = heap_alloc(&s->store.heap, name.n);
    memcpy(heap_at(&s->store.heap, u->text), name.p, name.n);
    return (uint16_t)(TYPE_UNDECLARED_BASE + s->undeclared_count++);
}

static void count_event(struct shard *s, uint16_t type)
{
    if (type < s->event_count) {
        s->event_counts[type]++;
    } else if (type >= TYPE_UNDECLARED_BASE) {
        s->undeclared[type - TYPE_UNDECLARED_BASE].count++;
        s->counters.undeclared++;
    }
}

/* The message's own second exactly as sent; false: it has none that a history could hold. */
static bool own_second(const struct event *e, uint32_t *second)
{
    if (!e->has_own_time || e->own_ms <= 0 || e->own_ms / 1000 >= UINT32_MAX) return false;
    *second = (uint32_t)(e->own_ms / 1000);
    return true;
}

/* Never twice: an event newer than all its person and type have seen cannot be a repeat and costs nothing. */
static enum seen seen_before(struct shard *s, row_t row, uint16_t type, const struct event *e,
                             bool *beyond_history)
{
    *beyond_history = false;
    uint32_t own_s, hash = (uint32_t)e->message_hash;
    if (!own_second(e, &own_s)) return window_seen(&s->store, e->message_hash, s->now, s->now);
    enum seen seen = behaviour_seen(&s->store, row, type, own_s, hash);
    if (seen != SEEN_UNKNOWABLE) return seen;
    *beyond_history = true; /* nobody can say any more whether it started something: it starts nothing */
    return behaviour_seen_lost(&s->store, type, own_s, hash, s->now);
}

/* An attribute's former value lives in the store's column: triggers that compare it need a copy. */
static struct value keep_value(struct shard *s, struct value v)
{
    if (v.kind == V_STRING || v.kind == V_RAW) v.s = arena_slice(&s->effects->work, value_text(v)).p;
    return v;
}

static void apply_traits(struct shard *s, const struct event *e, uint32_t at, struct turn *turn)
{
    if (!e->trait_count) return;
    struct attribute_change *changes = arena_alloc(&s->effects->work, sizeof *changes * e->trait_count);
    turn->changes = changes;
    for (uint32_t i = 0; i < e->trait_count; i++) {
        const struct event_trait *t = &e->traits[i];
        const struct schema_attribute *a = &s->set->schema.attributes[t->attribute];
        struct value old = value_none();
        if (!attribute_set(&s->store, turn->row, t->attribute, t->value, at, &old)) continue;
        changes[turn->change_count++] = (struct attribute_change){t->attribute, keep_value(s, old)};
        touch_attribute(&turn->touched, &s->set->journeys, t->attribute);
        if (a->identifies && t->value.kind == V_STRING)
            shard_link_trait(s, turn->row, t->attribute, value_text(t->value));
    }
}

static row_t add_person(struct shard *s, struct key key, const struct event *e)
{
    row_t row = store_add(&s->store, key, s->now);
    s->created = row;
    if (e->key_kind == ID_USER) {
        ids_set_user(&s->store, row, e->user_id);
    } else if (e->key_kind == ID_ANONYMOUS) {
        struct slice dropped;
        ids_add_anonymous(&s->store, row, e->anonymous_id, &dropped, &s->effects->work);
    }
    return row;
}

void shard_apply_person(struct shard *s, row_t row, const struct event *e, const struct record *record)
{
    struct row *r = store_row(&s->store, row);
    if (r->next_wake && r->next_wake <= s->now) {
        shard_run_wake(s, row);
        if (!(r->flags & ROW_USED)) row = add_person(s, r->key, e); /* its wake-up was its leaving */
    }
    uint16_t type = e->type != ID_NONE ? e->type : undeclared_type(s, e->name);
    const struct schema_event *declared = schema_event(&s->set->schema, type);
    bool clamped, beyond_history;
    uint32_t at = effective_time(s, e, &clamped);
    enum seen seen = seen_before(s, row, type, e, &beyond_history);
    if (seen != SEEN_NEW) {
        if (seen == SEEN_DUPLICATE)
            s->counters.duplicate++;
        else
            s->counters.late++;
        tell_event(s, seen == SEEN_DUPLICATE ? OUTCOME_DUPLICATE : OUTCOME_LATE, REJECT_NONE, type,
                   store_row(&s->store, row)->key);
        return;
    }
    r = store_touch(&s->store, row);
    struct turn turn;
    memset(&turn, 0, offsetof(struct turn, touched.list)); /* the list's 480 bytes stay as they are */
    turn.row = row;
    turn.event = e;
    turn.event_at = at;
    turn.silent = record->kind == RECORD_IMPORT;
    turn.touched.fresh = row.v == s->created.v; /* some segments hold for a person without any history */
    uint32_t late_s = declared ? declared->late_s : 3600;
    turn.late = at + late_s < s->now || beyond_history;
    s->counters.applied++;
    s->counters.clamped += clamped;
    s->counters.dropped_props += e->dropped_props;
    count_event(s, type);
    apply_traits(s, e, at, &turn);
    struct history_change change = {
        .type = type, .at = at, .props = e->props, .prop_count = declared ? declared->prop_count : 0};
    uint32_t own_s = at;
    own_second(e, &own_s);
    behaviour_add(&s->store, row, type, at, own_s, e, s->now, &change.counts);
    turn.touched.event = &change;
    r = store_row(&s->store, row);
    if ((!declared || declared->activity) && !e->context_inactive && at > r->last_seen) {
        r->last_seen = at;
        touch(&turn.touched, FEATURE_PROFILE, PROFILE_LAST_SEEN);
    }
    if (at < r->first_seen) {
        r->first_seen = at;
        touch(&turn.touched, FEATURE_PROFILE, PROFILE_FIRST_SEEN);
    }
    shard_settle(s, &turn);
    tell_event(s, OUTCOME_APPLIED, REJECT_NONE, type, store_row(&s->store, row)->key);
}

/* Sends an event of a linked id to the shard where its person lives. A message without a time of its own is remembered
 * where it comes in, not where it goes: here it may have been counted before the link was made. */
static void forward_event(struct shard *s, const struct event *e, const struct record *record,
                          struct key target)
{
    uint32_t own_s;
    if (!own_second(e, &own_s) && window_seen(&s->store, e->message_hash, s->now, s->now) == SEEN_DUPLICATE) {
        s->counters.duplicate++;
        tell_event(s, OUTCOME_DUPLICATE, REJECT_NONE, e->type, target);
        return;
    }
    uint8_t *body = arena_alloc(&s->effects->work, 24 + (size_t)e->raw.n);
    memcpy(body, &target, 16);
    const uint8_t *entry = record->head_bytes >= 8 ? record->head : record->payload.p;
    memcpy(body + 16, entry, 8);
    memcpy(body + 24, e->raw.p, e->raw.n);
    shard_send(s, (uint8_t)key_shard(target), MESSAGE_FORWARD, slice_of(body, 24 + (size_t)e->raw.n));
}

/* The person an event addresses, made if new; ROW_NONE: the record went elsewhere or was refused. */
static row_t person_of(struct shard *s, const struct event *e, const struct record *record)
{
    struct key key = e->key, target;
    row_t row;
    for (uint32_t hop = 0; hop < 4; hop++) {
        enum found found = store_find(&s->store, key, &row, &target);
        if (found == FOUND_ROW) return row;
        if (found == FOUND_NOTHING) break;
        if (key_shard(target) != s->config.index) {
            forward_event(s, e, record, target);
            return ROW_NONE;
        }
        key = target;
    }
    return add_person(s, key, e);
}

bool shard_apply_event(struct shard *s, const struct event *e, const struct record *record)
{
    row_t row = person_of(s, e, record);
    if (row_none(row)) return true;
    if (store_row(&s->store, row)->flags & ROW_MERGING) {
        shard_park(s, row, record, e->raw);
        return false;
    }
    if (!key_is_zero(e->anonymous_key) && e->key_kind == ID_USER && shard_pair(s, row, e, record))
        return false;
    shard_apply_person(s, row, e, record);
    return true;
}

void shard_count_reject(struct shard *s, enum reject reason, struct slice raw)
{
    s->counters.rejected++;
    s->counters.rejects[reason]++;
    struct reject_kept *kept = &s->rejects[s->rejects_ever++ % REJECTS_KEPT];
    heap_release(&s->store.heap, kept->handle, kept->bytes);
    kept->bytes = raw.n < REJECT_BYTES_KEPT ? raw.n : REJECT_BYTES_KEPT;
    kept->handle = heap_alloc(&s->store.heap, kept->bytes);
    kept->at = s->now;
    kept->reason = reason;
    if (kept->bytes) memcpy(heap_at(&s->store.heap, kept->handle), raw.p, kept->bytes);
    tell_event(s, OUTCOME_REJECTED, reason, ID_NONE, (struct key){0});
}

/* ---- records ---------------------------------------------------------------------------- */

static struct slice record_rest(const struct record *r,
                                uint32_t skip) /* the payload behind its first bytes */
{
    if (r->head_bytes) {
        CHECK(r->head_bytes == skip);
        return r->payload;
    }
    return r->payload.n < skip ? (struct slice){0} : slice_of(r->payload.p + skip, r->payload.n - skip);
}

/* Memory is a matter of the moment and of this machine, so the refusal itself becomes the record: replay must not ask. */
static bool refuse_for_memory(struct shard *s, struct batch_item *item)
{
    struct record *r = &item->record;
    if (r->kind != RECORD_EVENT || item->reject || item->event.key_kind != ID_ANONYMOUS) return false;
    row_t row;
    struct key target;
    if (store_find(&s->store, item->event.key, &row, &target) != FOUND_NOTHING) return false;
    struct slice raw = record_rest(r, 8);
    r->payload = slice_of(raw.p, raw.n < REJECT_BYTES_KEPT ? raw.n : REJECT_BYTES_KEPT);
    r->kind = RECORD_REJECT;
    r->head_bytes = 2;
    store_le16(r->head, REJECT_MEMORY);
    return true;
}

enum reject shard_decode(struct shard *s, const struct record *r, struct arena *scratch, struct event *out)
{
    int64_t entry_ms = (int64_t)load_le64(r->head_bytes ? r->head : r->payload.p);
    return event_parse(&s->set->schema, s->config.secret, record_rest(r, 8), entry_ms, scratch, out);
}

static void apply_definitions(struct shard *s, const struct record *r)
{
    struct reader in = reader_of(r->payload);
    uint32_t version = read_le32(&in);
    struct key hash = {.hi = read_le64(&in)};
    hash.lo = read_le64(&in);
    const struct defset *set = s->config.definitions(s->config.host, version, hash);
    CHECK(!in.bad && set != NULL && shard_use_definitions(s, set));
    for (uint32_t slot = 0; slot < s->store.row_limit;
         slot++) { /* silently: nobody enters because a rule is new */
        if (PLANTED(definitions_skip_people)) break;
        if (!(s->store.rows[slot].flags & ROW_USED)) continue;
        arena_reset(&s->effects->work);
        CHECK(shard_reserve_walks(s, 1, 1, 0));
        store_touch(&s->store, (row_t){slot});
        struct turn turn = {.row = {slot}, .silent = true, .touched = {.everything = true}};
        shard_settle(s, &turn);
    }
}

static void apply_confirm(struct shard *s, const struct record *r)
{
    struct reader in = reader_of(r->payload);
    for (uint32_t n = read_le32(&in); n && !in.bad; n--) {
        struct key id = {.hi = read_le64(&in)};
        id.lo = read_le64(&in);
        struct action was;
        if (!in.bad && outbox_confirm(s->outbox, id, &was)) s->counters.actions.confirmed += !was.test;
    }
}

static bool read_test(struct reader *in, uint16_t step_bytes, struct test_send *out)
{
    out->instance.hi = read_le64(in);
    out->instance.lo = read_le64(in);
    out->step = read_slice(in, step_bytes);
    out->to = slice_of(in->p, (size_t)(in->end - in->p));
    return !in->bad;
}

static void apply_admin(struct shard *s, const struct record *r)
{
    struct reader in = reader_of(r->payload);
    uint16_t kind = read_le16(&in);
    if (kind == ADMIN_LIMITS) s->outbox_limit = read_le64(&in);
    if (kind != ADMIN_JOURNEY && kind != ADMIN_LIST && kind != ADMIN_TEST) return;
    uint16_t what = read_le16(&in), id = read_le16(&in);
    struct key key = {.hi = read_le64(&in)}, target;
    key.lo = read_le64(&in);
    row_t row;
    if (in.bad || store_find(&s->store, key, &row, &target) != FOUND_ROW) return;
    store_touch(&s->store, row);
    struct turn turn = {.row = row, .command_kind = what, .command_journey = id};
    turn.command = kind == ADMIN_JOURNEY;
    struct test_send test = {.journey = id};
    if (kind == ADMIN_TEST && read_test(&in, what, &test)) turn.test = &test;
    if (kind == ADMIN_LIST && list_put(&s->store, row, id, what != 0)) touch(&turn.touched, FEATURE_LIST, id);
    shard_settle(s, &turn);
}

void shard_apply_record(struct shard *s, struct batch_item *item)
{
    struct record *r = &item->record;
    s->cookie = r->cookie;
    r->lsn = ++s->lsn;
    if (unlikely(s->strangers_refused)) refuse_for_memory(s, item);
    s->created = ROW_NONE;
    arena_reset(&s->effects->work);
    bool done = true;
    switch (r->kind) {
    case RECORD_EVENT:
    case RECORD_IMPORT:
        s->counters.received++;
        if (item->reject)
            shard_count_reject(s, item->reject, record_rest(r, 8));
        else
            done = shard_apply_event(s, &item->event, r);
        break;
    case RECORD_REJECT:
        s->counters.received++;
        shard_count_reject(s, load_le16(r->head_bytes ? r->head : r->payload.p), record_rest(r, 2));
        break;
    case RECORD_MESSAGE:
        s->forward_parked = false;
        CHECK(shard_receive(s, r));
        done = !s->forward_parked;
        break;
    case RECORD_DEFINITIONS: apply_definitions(s, r); break;
    case RECORD_CONFIRM: apply_confirm(s, r); break;
    case RECORD_ADMIN: apply_admin(s, r); break;
    default: CHECK(!"a record kind that nobody applies");
    }
    if (done) shard_done(s, r->cookie);
}

/* ---- questions ---------------------------------------------------------------------------- */

uint32_t shard_now(const struct shard *s) { return s->now; }
uint64_t shard_lsn(const struct shard *s) { return s->lsn; }
uint8_t shard_index(const struct shard *s) { return s->config.index; }
uint64_t shard_outbox_limit(const struct shard *s) { return s->outbox_limit; }
const struct shard_counters *shard_counters(const struct shard *s) { return &s->counters; }
struct store *shard_store(struct shard *s) { return &s->store; }
struct outbox *shard_outbox(struct shard *s) { return s->outbox; }
const struct defset *shard_definitions(const struct shard *s) { return s->set; }
uint64_t shard_pending_merges(const struct shard *s) { return s->merge_count; }

const struct journey_counters *shard_journey_counters(const struct shard *s, uint32_t *count)
{
    *count = s->journey_count;
    return s->journeys;
}

uint64_t shard_event_count(const struct shard *s, uint16_t type)
{
    return type < s->event_count ? s->event_counts[type] : 0;
}

uint32_t shard_undeclared(const struct shard *s, struct slice *names, uint64_t *counts, uint32_t max)
{
    uint32_t n = s->undeclared_count < max ? s->undeclared_count : max;
    for (uint32_t i = 0; i < n; i++) {
        names[i] = slice_of(heap_at(&s->store.heap, s->undeclared[i].text), s->undeclared[i].bytes);
        counts[i] = s->undeclared[i].count;
    }
    uint64_t others = s->undeclared[UNDECLARED_NAMES_MAX].count;
    if (others && n < max) {
        names[n] = SLICE("(other)");
        counts[n++] = others;
    }
    return n;
}
