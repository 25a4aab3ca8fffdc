/* run.c - instances between block and seat, and what entering and leaving a journey means.
 * Always true: entered = active + every way of leaving; a seat that is gone is never looked at again. */
#include "core/journey/run.h"
#include "core/base/planted.h"

/* ---- block <-> seats ------------------------------------------------------------------------ */

static uint32_t within_end(const struct instance *i, const struct journey *j)
{
    return j->goal_within_s && i->entered_at < NEVER - j->goal_within_s ? i->entered_at + j->goal_within_s
                                                                        : NEVER;
}

void run_begin(struct run *r, struct walk *w)
{
    r->w = w;
    r->person = w->context->self;
    r->person->now = w->now;
    r->open = r->dirty = false;
    r->count = 0;
    w->step_change_count = 0;
}

bool run_concerns(const struct walk *w, const struct instance *i)
{
    return journey_hears(w->set, i->journey, i->version, w->event ? w->event->type : ID_NONE,
                         w->flip_count || w->change_count);
}

void run_seats(struct run *r)
{
    const struct walk *w = r->w;
    uint32_t bytes, at = 0;
    if (r->open) return;
    const uint8_t *p = store_block(w->store, w->row, BLOCK_JOURNEYS, &bytes);
    r->open = true;
    r->person->run = r;
    while (at < bytes) {
        const struct instance *head = (const void *)(p + at);
        CHECK(r->count < SEATS_MAX && bytes - at >= sizeof *head);
        r->seats[r->count++] = (struct seat){
            .head = *head,
            .kept = slice_of(p + at + sizeof *head, head->bytes - (uint32_t)sizeof *head),
            .journey = journey_version(w->set, head->journey, head->version),
            .concerned = run_concerns(w, head),
            .steps_left = INSTANT_STEPS_MAX,
        };
        at += head->bytes;
    }
}

static uint8_t *put_seat(uint8_t *p, const struct seat *seat)
{
    memcpy(p, &seat->head, sizeof seat->head);
    memset(p + sizeof seat->head, 0xc0, seat->head.bytes - sizeof seat->head); /* nil: padding */
    if (seat->kept.n) memcpy(p + sizeof seat->head, seat->kept.p, seat->kept.n);
    return p + seat->head.bytes;
}

/* On scratch first: what seats keep lies in the block that is about to change. */
static void write_back(struct run *r)
{
    struct walk *w = r->w;
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        struct seat *seat = &r->seats[i];
        seat->head.bytes =
            (uint32_t)sizeof seat->head + ((seat->kept.n + 7) & ~7u); /* the next head is aligned */
        if (!seat->gone) bytes += seat->head.bytes;
    }
    uint8_t *image = arena_alloc(w->scratch, bytes), *end = image;
    for (uint32_t i = 0; i < r->count; i++)
        if (!r->seats[i].gone) end = put_seat(end, &r->seats[i]);
    store_touch(w->store, w->row);
    uint8_t *block = store_block_resize(w->store, w->row, BLOCK_JOURNEYS, bytes);
    if (bytes) memcpy(block, image, bytes);
    w->moved = true;
}

void run_close(struct run *r)
{
    if (r->dirty) write_back(r);
    r->person->run = NULL;
}

/* ---- programs ------------------------------------------------------------------------------- */

static void bind_seat(struct run *r, struct seat *seat)
{
    r->person->instance = seat ? &seat->head : NULL;
    r->person->kept = seat ? seat->kept : (struct slice){0};
    r->person->journey = seat ? seat->journey : NULL;
}

struct value run_value(struct run *r, struct seat *seat, const struct program *p)
{
    if (!p) return value_none();
    uint32_t next = r->w->context->next_change;
    bind_seat(r, seat);
    struct value v = program_run(p, r->w->context);
    bind_seat(r, NULL);
    r->w->context->next_change = next;
    return v;
}

struct slice run_text(struct run *r, struct seat *seat, const struct program *p)
{
    struct value v = run_value(r, seat, p);
    return v.kind == V_STRING ? value_text(v) : (struct slice){0};
}

bool run_waits(struct run *r, struct seat *seat, const struct program *p)
{
    if (!p) return true;
    bind_seat(r, seat);
    bool truth = program_true(p, r->w->context);
    bind_seat(r, NULL);
    return truth;
}

bool run_true(struct run *r, struct seat *seat, const struct program *p)
{
    uint32_t next = r->w->context->next_change;
    bool truth = run_waits(r, seat, p);
    r->w->context->next_change = next;
    return truth;
}

/* ---- matches -------------------------------------------------------------------------------- */

static bool match_event(struct run *r, struct seat *seat, const struct match *m)
{
    const struct event *e = r->w->event;
    return m->kind == MATCH_EVENT && e && e->type == m->id && run_true(r, seat, m->where);
}

static bool match_flip(const struct walk *w, const struct match *m)
{
    if (m->kind != MATCH_SEGMENT_ENTERED && m->kind != MATCH_SEGMENT_LEFT) return false;
    for (uint32_t i = 0; i < w->flip_count; i++)
        if (w->flips[i].segment == m->id && w->flips[i].entered == (m->kind == MATCH_SEGMENT_ENTERED))
            return true;
    return false;
}

static bool is_value(struct run *r, const struct program *p, struct value v)
{
    if (!p) return true;
    struct value want = run_value(r, NULL, p);
    if (want.kind <= V_NULL) return v.kind <= V_NULL;
    if (want.kind == V_INT && v.kind == V_DOUBLE) return (double)want.i == v.d;
    return value_same(want, v);
}

bool match_change(struct run *r, const struct match *m)
{
    const struct walk *w = r->w;
    if (m->kind != MATCH_ATTRIBUTE) return false;
    for (uint32_t i = 0; i < w->change_count; i++)
        if (w->changes[i].attribute == m->id && is_value(r, m->from, w->changes[i].old) &&
            is_value(r, m->to, attribute_get(w->store, w->row, m->id)))
            return true;
    return false;
}

bool match_happened(struct run *r, struct seat *seat, const struct match *m)
{
    return match_event(r, seat, m) || (match_flip(r->w, m) && run_true(r, seat, m->where)) ||
           (match_change(r, m) && run_true(r, seat, m->where));
}

bool match_holds(struct run *r, struct seat *seat, const struct match *m)
{
    switch (m->kind) {
    case MATCH_WHEN: return run_waits(r, seat, m->where);
    case MATCH_SEGMENT_ENTERED: return member_get(r->w->store, r->w->row, m->id);
    case MATCH_SEGMENT_LEFT: return !member_get(r->w->store, r->w->row, m->id);
    default: return false;
    }
}

/* ---- notes ---------------------------------------------------------------------------------- */

void run_note(struct run *r, uint16_t journey, enum decision d, uint32_t detail)
{
    struct journey_memory *m = memory_make(r->w->store, r->w->row, journey);
    m->reason = (uint16_t)d;
    m->decided_at = r->w->now;
    m->detail = detail;
}

void run_tell(struct run *r, const struct seat *seat, enum transition_kind kind, enum decision d)
{
    struct walk *w = r->w;
    if (!w->on_transition) return;
    struct transition t = {.kind = (uint8_t)kind,
                           .journey = seat->head.journey,
                           .version = seat->head.version,
                           .step = seat->head.step,
                           .decision = (uint16_t)d,
                           .at = w->now,
                           .person = store_row(w->store, w->row)->key,
                           .instance = seat->head.id};
    w->on_transition(w->observer, &t);
}

/* The person's id text with its kind in front, so that user 42 and anonymous 42 differ. */
struct slice run_id_text(const struct run *r)
{
    const struct walk *w = r->w;
    struct slice user = ids_user(w->store, w->row), anonymous = {0};
    char kind = user.n ? 'u' : 'a';
    if (!user.n) ids_anonymous(w->store, w->row, &anonymous, 1);
    struct slice id = user.n ? user : anonymous;
    if (id.n == 0) id = slice_of(&store_row(w->store, w->row)->key, sizeof(struct key)), kind = 'k';
    uint8_t *p = arena_alloc(w->scratch, id.n + 1);
    if (!p) return id;
    p[0] = (uint8_t)kind;
    memcpy(p + 1, id.p, id.n);
    return slice_of(p, id.n + 1);
}

/* Texts one after the other, each behind its length: no two lists of texts give the same bytes. */
static size_t join(uint8_t *out, size_t cap, const struct slice *list, uint32_t count)
{
    size_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t take = list[i].n;
        if (n + 4 + take > cap) take = (uint32_t)(cap - n - 4);
        store_le32(out + n, list[i].n);
        if (take) memcpy(out + n + 4, list[i].p, take);
        n += 4 + take;
    }
    return n;
}

enum { JOIN_MAX = 4096 };

uint32_t run_ppm(const struct run *r, struct slice a, struct slice b)
{
    uint8_t text[JOIN_MAX];
    struct slice list[3] = {run_id_text(r), a, b};
    if (PLANTED(holdout_by_slot)) list[0] = slice_of(&r->w->row, sizeof r->w->row);
    return (uint32_t)(hash64_plain(text, join(text, sizeof text, list, 3)) % 1000000);
}

static struct key instance_id(const struct run *r, const struct journey *j, uint32_t entry_number)
{
    uint8_t text[JOIN_MAX], numbers[6];
    store_le16(numbers, j->version);
    store_le32(numbers + 2, entry_number);
    struct slice list[3] = {run_id_text(r), j->name, slice_of(numbers, sizeof numbers)};
    return hash128_plain(text, join(text, sizeof text, list, 3));
}

/* ---- leaving -------------------------------------------------------------------------------- */

static uint64_t *leave_counter(struct journey_counters *c, enum decision why)
{
    switch (why) {
    case DECISION_GOAL: return &c->goal;
    case DECISION_EXITED:
    case DECISION_EXPIRED: return &c->exited; /* on_expired: exit */
    case DECISION_COMPLETED: return &c->completed;
    case DECISION_TIMEOUT: return &c->timeout;
    default: return &c->cancelled;
    }
}

void run_forget(struct run *r, struct seat *seat)
{
    seat->gone = true;
    r->dirty = true;
}

/* What is over may still convert until `within`, and a keyed one keeps its key closed until `after`. */
static uint32_t keep_until(const struct seat *seat, enum decision why)
{
    const struct journey *j = seat->journey;
    uint32_t until = 0;
    bool may_convert = why == DECISION_COMPLETED || why == DECISION_EXITED || why == DECISION_TIMEOUT ||
                       why == DECISION_EXPIRED;
    if (j && j->has_goal && j->goal_within_s && !seat->head.converted_at && may_convert)
        until = within_end(&seat->head, j);
    if (j && j->reentry == REENTRY_KEYED && j->reentry_after_s &&
        seat->head.entered_at < NEVER - j->reentry_after_s &&
        seat->head.entered_at + j->reentry_after_s > until)
        until = seat->head.entered_at + j->reentry_after_s;
    return until;
}

void run_leave(struct run *r, struct seat *seat, enum decision why)
{
    struct walk *w = r->w;
    if (seat->head.state != INSTANCE_ACTIVE) return run_forget(r, seat);
    struct journey_counters *c = &w->journeys[seat->head.journey];
    c->active--;
    ++*leave_counter(c, why);
    run_note(r, seat->head.journey, why, seat->head.step);
    memory_find(w->store, w->row, seat->head.journey)->last_end = w->now;
    run_tell(r, seat, TRANSITION_LEAVE, why);
    touch(w->touched, FEATURE_JOURNEY, seat->head.journey);
    uint32_t until = keep_until(seat, why);
    seat->sending = false;
    seat->head.state = INSTANCE_FINISHED;
    seat->head.step = STEP_END;
    seat->head.due = NEVER;
    seat->head.flags = 0;
    seat->head.deadline = until;
    seat->gone = until <= w->now;
    r->dirty = true;
}

static bool was_sent_to(const struct run *r, const struct seat *seat)
{
    uint32_t n;
    const struct send *list = sends_list(r->w->store, r->w->row, &n);
    for (uint32_t i = 0; i < n; i++)
        if (key_eq(list[i].instance, seat->head.id) && !(list[i].state & MESSAGE_SUPPRESSED)) return true;
    return false;
}

/* The goal is reached: counted once an instance. */
void run_convert(struct run *r, struct seat *seat)
{
    struct journey_counters *c = &r->w->journeys[seat->head.journey];
    struct value v = run_value(r, seat, seat->journey->goal_value);
    int64_t micros = v.kind == V_INT || v.kind == V_UINT || v.kind == V_DOUBLE ? value_micros(v) : 0;
    seat->head.converted_at = r->w->now;
    r->dirty = true;
    if (seat->head.state == INSTANCE_HELD_OUT) {
        c->held_out.converted++;
        c->held_out.revenue_micros += micros;
        return run_forget(r, seat);
    }
    c->converted++;
    c->converted_touched += was_sent_to(r, seat);
    c->revenue_micros += micros;
    run_tell(r, seat, TRANSITION_CONVERT, DECISION_GOAL);
    if (seat->head.state == INSTANCE_ACTIVE && !seat->journey->goal_stay)
        run_leave(r, seat, DECISION_GOAL);
    else if (seat->head.state == INSTANCE_FINISHED && !seat->head.key_hash)
        run_forget(r, seat);
}

bool goal_open(const struct run *r, const struct seat *seat)
{
    const struct journey *j = seat->journey;
    return j->has_goal && !seat->head.converted_at && r->w->now < within_end(&seat->head, j);
}

bool run_leave_if_over(struct run *r, struct seat *seat)
{
    const struct journey *j = seat->journey;
    if (goal_open(r, seat) && j->goal.kind == MATCH_WHEN && run_waits(r, seat, j->goal.where))
        run_convert(r, seat);
    if (seat->gone || seat->head.state != INSTANCE_ACTIVE) return true;
    for (uint32_t i = 0; i < j->exit_count; i++)
        if (j->exits[i].kind == MATCH_WHEN && run_waits(r, seat, j->exits[i].where)) {
            run_leave(r, seat, DECISION_EXITED);
            return true;
        }
    return false;
}

/* ---- entering ------------------------------------------------------------------------------- */

struct seat *run_inside(struct run *r, uint16_t journey, uint64_t key_hash)
{
    for (uint32_t i = 0; i < r->count; i++) {
        struct seat *seat = &r->seats[i];
        if (!seat->gone && seat->head.journey == journey && seat->head.key_hash == key_hash &&
            seat->head.state != INSTANCE_FINISHED)
            return seat;
    }
    return NULL;
}

static bool instances_fit(const struct run *r, uint32_t more)
{
    size_t bytes = sizeof(struct instance) + more;
    for (uint32_t i = 0; i < r->count; i++)
        if (!r->seats[i].gone) bytes += sizeof(struct instance) + r->seats[i].kept.n + 8;
    return bytes <= WALK_INSTANCE_BYTES_MAX;
}

void run_keep(struct run *r, struct seat *seat, struct slice kept)
{
    if (!kept.n || !instances_fit(r, kept.n)) return;
    seat->kept = kept;
    r->dirty = true;
}

/* Room for one more; a finished one that only waits for a late conversion gives way. */
static struct seat *free_seat(struct run *r)
{
    uint32_t taken = 0;
    struct seat *finished = NULL;
    for (uint32_t i = 0; i < r->count; i++) {
        struct seat *seat = &r->seats[i];
        taken += !seat->gone;
        if (!finished && !seat->gone && seat->head.state == INSTANCE_FINISHED) finished = seat;
    }
    if (taken >= INSTANCES_MAX) return finished;
    return r->count < SEATS_MAX ? &r->seats[r->count++]
                                : NULL; /* a seat that is gone may still be looked at */
}

uint32_t journey_global_holdout(const struct journey_set *set, const struct journey *j)
{
    return set->transactional_exempt && journey_transactional(j) ? 0 : set->global_holdout_ppm;
}

static bool hash_holds_out(const struct run *r, const struct journey *j)
{
    uint32_t global = journey_global_holdout(r->w->set, j);
    if (j->holdout_ppm && run_ppm(r, SLICE("holdout"), j->name) < j->holdout_ppm) return true;
    return global && run_ppm(r, SLICE("holdout"), SLICE("")) < global;
}

static bool is_held_out(const struct run *r, const struct journey *j)
{
    return !r->w->no_holdout && hash_holds_out(r, j);
}

bool person_held_out(const struct person *p, const struct journey *j)
{
    struct walk w = {.set = p->set, .store = p->store, .row = p->row, .scratch = p->scratch};
    struct run r = {.w = &w};
    return hash_holds_out(&r, j);
}

static uint32_t exit_by_time(const struct journey *j, uint32_t now)
{
    uint32_t deadline = NEVER;
    for (uint32_t i = 0; i < j->exit_count; i++)
        if (j->exits[i].kind == MATCH_AFTER && now + j->exits[i].seconds < deadline)
            deadline = now + j->exits[i].seconds;
    return deadline;
}

/* Held out: nothing happens to the person, but what they do is compared with what the others do. */
static void hold_out(struct run *r, struct seat *seat)
{
    const struct journey *j = seat->journey;
    r->w->journeys[j->id].held_out.entered++;
    run_note(r, j->id, DECISION_HELD_OUT, 0);
    seat->head.state = INSTANCE_HELD_OUT;
    seat->head.step = STEP_END;
    seat->head.deadline = r->w->now + (j->goal_within_s ? j->goal_within_s : HELD_OUT_DAYS * 86400u);
    seat->gone = !j->has_goal;
}

/* An earlier instance that only waited for its late conversion leaves the field to the new one. */
static void drop_finished(struct run *r, const struct entry *entry)
{
    for (uint32_t i = 0; i < r->count; i++) {
        struct seat *seat = &r->seats[i];
        if (!seat->gone && seat->head.journey == entry->journey->id &&
            seat->head.key_hash == entry->key_hash && seat->head.state == INSTANCE_FINISHED)
            run_forget(r, seat);
    }
}

struct seat *run_enter(struct run *r, const struct entry *entry)
{
    struct walk *w = r->w;
    const struct journey *j = entry->journey;
    drop_finished(r, entry);
    uint16_t type = entry->event ? entry->event->type : ID_NONE;
    struct slice kept = kept_with((struct slice){0}, SLICE("trigger"), type,
                                  entry->event ? w->event_at : w->now, entry->event, w->schema, w->scratch);
    struct seat *seat = kept.n && instances_fit(r, kept.n) ? free_seat(r) : NULL;
    if (!seat) return run_note(r, j->id, DECISION_TOO_MANY, 0), NULL;
    struct journey_memory *m = memory_make(w->store, w->row, j->id);
    m->entries++;
    m->last_entry = w->now;
    *seat = (struct seat){
        .journey = j, .kept = kept, .steps_left = INSTANT_STEPS_MAX, .reacted = true, .fresh = true};
    seat->head = (struct instance){.journey = j->id,
                                   .version = j->version,
                                   .id = instance_id(r, j, m->entries),
                                   .entry_number = m->entries,
                                   .entered_at = w->now,
                                   .due = NEVER,
                                   .step_at = w->now,
                                   .step = j->first,
                                   .state = INSTANCE_ACTIVE,
                                   .deadline = exit_by_time(j, w->now),
                                   .key_hash = entry->key_hash,
                                   .silence_from = w->now};
    r->dirty = true;
    if (is_held_out(r, j)) return hold_out(r, seat), NULL;
    w->journeys[j->id].entered++;
    w->journeys[j->id].active++;
    run_note(r, j->id, DECISION_ENTERED, 0);
    run_tell(r, seat, TRANSITION_ENTER, DECISION_ENTERED);
    touch(w->touched, FEATURE_JOURNEY, j->id);
    return seat;
}
