/* A chunk is complete exactly when every record it holds, and every message those caused on any worker, is done. */
#include "io/credit.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORKERS = 4, TRAVELLERS_MAX = 100000 };

static uint64_t rng_state;
static uint64_t rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state;
}

/* The obvious model: a list of everything that is somewhere, and one number: how much is not done. */
struct thing {
    uint32_t worker, hops; /* worker: where it is, or will arrive */
    uint64_t share;
    bool is_share; /* a share on its way home */
    bool arrived;
};
static struct thing things[TRAVELLERS_MAX];
static uint32_t thing_count;

static void add(struct thing t)
{
    cr_assert(thing_count < TRAVELLERS_MAX);
    things[thing_count++] = t;
}

/* Takes a random thing out: arrival order between workers is arbitrary. */
static struct thing pick(void)
{
    uint32_t i = (uint32_t)(rng() % thing_count);
    struct thing t = things[i];
    things[i] = things[--thing_count];
    return t;
}

static void leave(struct credit *c, uint32_t worker, uint64_t cookie)
{
    uint64_t share = credit_leave(&c[worker], cookie);
    if (share) add((struct thing){.share = share, .is_share = true});
}

/* One record or message is applied: it may cause messages to other workers, then it is done. */
static uint32_t apply(struct credit *c, uint64_t cookie, struct thing t)
{
    uint32_t caused = 0;
    for (uint32_t n = t.hops < 4 ? (uint32_t)(rng() % 3) : 0; n; n--) {
        uint32_t to = (uint32_t)(rng() % WORKERS);
        if (to == t.worker) {
            credit_enter(&c[to], cookie, 0);
            add((struct thing){.worker = to, .hops = t.hops + 1, .arrived = true});
            caused++;
            continue;
        }
        uint64_t share = credit_take(&c[t.worker], t.worker, &cookie);
        cr_assert(share > 0);
        add((struct thing){.worker = to, .hops = t.hops + 1, .share = share});
        caused++;
    }
    leave(c, t.worker, cookie);
    return caused;
}

static void run_chunk(struct credit *c, uint32_t records)
{
    uint16_t slot = chunk_open(&c[0], NULL);
    uint64_t cookie = chunk_cookie(&c[0], 0, slot);
    uint32_t undone = records + 1;
    thing_count = 0;
    credit_enter(&c[0], cookie, CREDIT_WHOLE);
    for (uint32_t i = 0; i < records; i++) {
        uint32_t to = (uint32_t)(rng() % WORKERS);
        credit_enter(&c[0], cookie, 0);
        uint64_t share = to ? credit_take(&c[0], 0, &cookie) : 0;
        add((struct thing){.worker = to, .share = share, .arrived = !to});
        if (to) leave(c, 0, cookie);
    }
    leave(c, 0, cookie);
    undone--;
    bool complete = false;
    while (thing_count) {
        struct thing t = pick();
        cr_assert_not(complete, "something was still on its way");
        if (t.is_share) {
            complete = chunk_repay(&c[0], cookie, t.share);
        } else if (!t.arrived) {
            credit_enter(&c[t.worker], cookie, t.share);
            t.arrived = true;
            add(t);
        } else {
            undone += apply(c, cookie, t) - 1;
        }
        if (complete) cr_assert_eq(undone, 0);
    }
    cr_assert(complete, "everything is done and nothing is on its way");
    chunk_release(&c[0], slot);
}

Test(credit, complete_exactly_when_all_is_done_whatever_the_order)
{
    struct credit c[WORKERS];
    rng_state = 7;
    printf("seed 7\n");
    for (int i = 0; i < WORKERS; i++) cr_assert(credit_create(&c[i]));
    for (int round = 0; round < 2000; round++) run_chunk(c, (uint32_t)(rng() % 20));
    run_chunk(c, 3000);
    for (int i = 0; i < WORKERS; i++) {
        cr_assert_eq(c[i].exhausted, 0);
        credit_destroy(&c[i]);
    }
}

Test(credit, a_stale_cookie_changes_nothing)
{
    struct credit c;
    cr_assert(credit_create(&c));
    uint16_t slot = chunk_open(&c, NULL);
    uint64_t old = chunk_cookie(&c, 0, slot);
    credit_enter(&c, old, CREDIT_WHOLE);
    chunk_release(&c, slot);
    cr_assert_eq(chunk_open(&c, NULL), slot);
    uint64_t fresh = chunk_cookie(&c, 0, slot);
    credit_enter(&c, fresh, CREDIT_WHOLE);
    cr_assert_eq(credit_leave(&c, old), 0);
    cr_assert_eq(credit_take(&c, 0, &old), 0);
    cr_assert_not(chunk_repay(&c, old, CREDIT_WHOLE));
    cr_assert_eq(credit_leave(&c, fresh), CREDIT_WHOLE);
    cr_assert(chunk_repay(&c, fresh, CREDIT_WHOLE));
    credit_destroy(&c);
}

/* The sender went away and its slot has another chunk, when a message of the first one comes to a third worker at last. */
Test(credit, what_comes_late_of_a_chunk_that_is_gone_does_not_touch_its_successor)
{
    struct credit home, there;
    cr_assert(credit_create(&home) && credit_create(&there));
    uint64_t gone = chunk_cookie(&home, 0, chunk_open(&home, NULL));
    chunk_release(&home, cookie_slot(gone));
    uint64_t next = chunk_cookie(&home, 0, chunk_open(&home, NULL));
    cr_assert_eq(cookie_slot(next), cookie_slot(gone));
    credit_enter(&there, next, CREDIT_WHOLE);
    credit_enter(&there, gone, 5);
    uint64_t cookie = gone;
    cr_assert_eq(credit_take(&there, 1, &cookie), 0);
    cr_assert_eq(credit_leave(&there, gone), 0);
    cr_assert(chunk_repay(&home, next, credit_leave(&there, next)));
    credit_destroy(&home);
    credit_destroy(&there);
}

Test(credit, slots_run_out_and_come_back)
{
    struct credit c;
    cr_assert(credit_create(&c));
    for (int i = 0; i < CHUNKS_MAX; i++) cr_assert_neq(chunk_open(&c, NULL), NO_CHUNK);
    cr_assert_eq(chunk_open(&c, NULL), NO_CHUNK);
    chunk_release(&c, 17);
    cr_assert_eq(chunk_open(&c, NULL), 17);
    credit_destroy(&c);
}

Test(credit, a_chunk_of_a_million_records_for_other_workers_keeps_a_share_for_each_and_for_what_they_cause)
{
    enum { RECORDS = 1000000 };
    static struct credit c[3];
    for (int i = 0; i < 3; i++) cr_assert(credit_create(&c[i]));
    uint16_t slot = chunk_open(&c[0], NULL);
    uint64_t cookie = chunk_cookie(&c[0], 0, slot), home = 0, last = 0;
    credit_enter(&c[0], cookie, CREDIT_WHOLE);
    for (int i = 0; i < RECORDS; i++) {
        uint64_t share = credit_take(&c[0], 0, &cookie);
        cr_assert(share > 0, "record %d", i);
        credit_enter(&c[1], cookie, share);
        if (i % 10) continue; /* every tenth causes a message, each of those an answer */
        uint64_t message = credit_take(&c[1], 1, &cookie);
        cr_assert(message > 0);
        credit_enter(&c[2], cookie, message);
        uint64_t answer = credit_take(&c[2], 2, &cookie);
        cr_assert(answer > 0);
        credit_enter(&c[1], cookie, answer);
        home += credit_leave(&c[2], cookie);
        last += credit_leave(&c[1], cookie);
    }
    for (int i = 0; i < RECORDS; i++) home += credit_leave(&c[1], cookie);
    home += last;
    cr_assert(home < CREDIT_WHOLE);
    cr_assert_not(chunk_repay(&c[0], cookie, home), "the chunk's own account still owes");
    cr_assert(chunk_repay(&c[0], cookie, credit_leave(&c[0], cookie)));
    for (int i = 0; i < 3; i++) credit_destroy(&c[i]);
}

/* True: the first chunk of all is complete. */
static bool go_home(struct credit *c, uint64_t cookie, uint64_t share)
{
    struct credit *origin = &c[cookie_origin(cookie)];
    if (!share || !chunk_repay(origin, cookie, share)) return false;
    uint64_t parent = origin->chunks[cookie_slot(cookie)].parent;
    if (!parent) return true;
    chunk_release(origin, cookie_slot(cookie));
    return go_home(c, parent, credit_leave(origin, parent));
}

Test(credit, a_way_of_any_length_is_acknowledged_at_its_end_and_not_before)
{
    enum { HOPS = 200 };
    static struct credit c[2];
    for (int i = 0; i < 2; i++) cr_assert(credit_create(&c[i]));
    uint64_t cookie = chunk_cookie(&c[0], 0, chunk_open(&c[0], NULL));
    credit_enter(&c[0], cookie, CREDIT_WHOLE);
    for (uint32_t hop = 0; hop < HOPS; hop++) {
        uint64_t next = cookie, share = credit_take(&c[hop % 2], hop % 2, &next);
        cr_assert(share > 0);
        cr_assert_not(go_home(c, cookie, credit_leave(&c[hop % 2], cookie)), "on its way, hop %u", hop);
        credit_enter(&c[(hop + 1) % 2], next, share);
        cookie = next;
    }
    cr_assert(go_home(c, cookie, credit_leave(&c[HOPS % 2], cookie)));
    cr_assert_eq(c[0].chunks_used + c[1].chunks_used, 1,
                 "the first one, whose ack is the connection's affair");
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(c[i].exhausted, 0);
        credit_destroy(&c[i]);
    }
}

Test(credit, without_a_share_and_a_slot_there_is_no_ack)
{
    static struct credit c;
    cr_assert(credit_create(&c));
    uint64_t cookie = chunk_cookie(&c, 0, chunk_open(&c, NULL));
    while (chunk_open(&c, NULL) != NO_CHUNK) {
    }
    credit_enter(&c, cookie, 1);
    cr_assert_eq(credit_take(&c, 0, &cookie), 0);
    cr_assert_eq(credit_leave(&c, cookie), 0, "it stays open");
    cr_assert_eq(c.exhausted, 1);
    credit_destroy(&c);
}
