/* time.c - wake-ups: when the shard's second moves, whoever is due runs, in (due, key) order.
 * The wheel and the ready heap are only an index of the store's next_wake: an entry counts while the row's next_wake
 * still equals its due. So they can be rebuilt at any time, and replay executes the same wake-ups. */
#include "core/shard/state.h"
#include "core/base/planted.h"

static struct ready_entry *ready_list(struct shard *s) { return (struct ready_entry *)s->ready.base; }

static bool before(struct ready_entry a, struct ready_entry b)
{
    if (a.due != b.due) return a.due < b.due;
    if (a.key_hi != b.key_hi) return a.key_hi < b.key_hi;
    return a.slot < b.slot; /* two keys with equal halves: 1 in 2^64 */
}

static void ready_push(struct shard *s, struct ready_entry e)
{
    CHECK((size_t)(s->ready_count + 1) * sizeof e <= s->ready.committed);
    struct ready_entry *list = ready_list(s);
    uint32_t at = s->ready_count++;
    for (; at && before(e, list[(at - 1) / 2]); at = (at - 1) / 2) list[at] = list[(at - 1) / 2];
    list[at] = e;
    s->ready.used = s->ready_count * sizeof e;
}

static struct ready_entry ready_pop(struct shard *s)
{
    struct ready_entry *list = ready_list(s), top = list[0], e = list[--s->ready_count];
    uint32_t at = 0, child;
    while ((child = 2 * at + 1) < s->ready_count) {
        if (child + 1 < s->ready_count && before(list[child + 1], list[child])) child++;
        if (!before(list[child], e)) break;
        list[at] = list[child];
        at = child;
    }
    list[at] = e;
    s->ready.used = s->ready_count * sizeof e;
    return top;
}

bool shard_reserve_ready(struct shard *s, uint32_t more)
{
    return region_reserve(&s->ready, (size_t)more * sizeof(struct ready_entry));
}

void shard_arm(struct shard *s, row_t row, uint32_t due)
{
    struct row *r = store_row(&s->store, row);
    if (r->next_wake && r->next_wake <= due) return; /* lazy: it wakes earlier anyway and looks again */
    r->next_wake = due;
    if (due <= wheel_now(s->wheel))
        ready_push(s, (struct ready_entry){due, row.v, r->key.hi});
    else
        wheel_add(s->wheel, row.v, due);
}

static bool gone(struct shard *s, row_t row)
{
    const struct row *r = store_row(&s->store, row);
    uint32_t ttl = r->flags & ROW_KNOWN ? s->set->schema.known_ttl_s : s->set->schema.anonymous_ttl_s;
    return ttl && r->last_seen < UINT32_MAX - ttl && r->last_seen + ttl <= s->now &&
           !(r->flags & ROW_MERGING);
}

void shard_run_wake(struct shard *s, row_t row)
{
    uint32_t armed = store_row(&s->store, row)->next_wake;
    store_touch(&s->store, row)->next_wake = 0;
    s->counters.timers_fired++;
    if (gone(s, row)) {
        store_remove(&s->store, row);
        return;
    }
    struct turn turn = {.row = row, .due = true, .armed = armed};
    uint32_t now = s->now;
    if (PLANTED(wake_back_dated)) s->now = armed;
    shard_settle(s, &turn);
    s->now = now;
}

bool shard_reserve_tick(struct shard *s, uint32_t quota, struct effects *out)
{
    s->effects = out;
    uint32_t due = (uint32_t)wheel_entries(s->wheel);
    return shard_reserve_walks(s, quota, quota, 0) && shard_reserve_ready(s, due + 4 * quota);
}

static void collect_due(struct shard *s)
{
    struct wheel_entry due[256];
    uint32_t n;
    do {
        n = wheel_advance(s->wheel, s->now, due, 256);
        for (uint32_t i = 0; i < n; i++) {
            const struct row *r = &s->store.rows[due[i].slot];
            if ((r->flags & ROW_USED) && r->next_wake == due[i].due)
                ready_push(s, (struct ready_entry){due[i].due, due[i].slot, r->key.hi});
        }
    } while (n == 256);
}

uint32_t shard_tick(struct shard *s, uint32_t now, uint32_t quota, struct effects *out)
{
    CHECK(now >= s->now);
    s->effects = out;
    s->cookie = 0;
    bool moved = now > s->now;
    s->now = now;
    /* The record's number first: what the wake-ups cause belongs to it. */
    uint64_t lsn = s->lsn++;
    collect_due(s);
    uint32_t ran = 0;
    while (s->ready_count && ran < quota && ready_list(s)[0].due <= now) {
        struct ready_entry e = ready_pop(s);
        const struct row *r = &s->store.rows[e.slot];
        if (!(r->flags & ROW_USED) || r->next_wake != e.due) continue;
        s->created = ROW_NONE;
        arena_reset(&out->work);
        shard_run_wake(s, (row_t){e.slot});
        ran++;
    }
    if (!moved && !ran) s->lsn = lsn;
    return ran;
}

uint32_t shard_next_due(const struct shard *s)
{
    const struct ready_entry *list = (const struct ready_entry *)s->ready.base;
    uint32_t next = wheel_next(s->wheel);
    return s->ready_count && list[0].due < next ? list[0].due : next;
}

bool shard_overdue(const struct shard *s, uint32_t now) { return shard_next_due(s) <= now; }

uint64_t shard_armed_timers(const struct shard *s) { return wheel_entries(s->wheel) + s->ready_count; }

void shard_rebuild_wheel(struct shard *s)
{
    wheel_clear(s->wheel, s->now);
    s->ready_count = 0;
    uint32_t rows = s->store.row_limit;
    CHECK(wheel_reserve(s->wheel, rows + 1) && shard_reserve_ready(s, rows + 1));
    for (uint32_t slot = 0; slot < rows; slot++) {
        const struct row *r = &s->store.rows[slot];
        if (!(r->flags & ROW_USED) || !r->next_wake) continue;
        if (r->next_wake <= s->now)
            ready_push(s, (struct ready_entry){r->next_wake, slot, r->key.hi});
        else
            wheel_add(s->wheel, slot, r->next_wake);
    }
}
