/* The ring between two workers: a slow obvious model for one thread, a long run for two. */
#include "io/mailbox.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

static uint64_t rng_state;
static uint64_t rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state;
}

/* Record i is recognisable from its number alone. */
static size_t record_bytes(uint64_t i, size_t max) { return (i * 2654435761u) % (max + 1); }
static uint8_t record_byte(uint64_t i, size_t at) { return (uint8_t)(i * 31 + at); }

static bool put(struct mailbox *m, uint64_t i)
{
    size_t n = record_bytes(i, mailbox_record_max(m));
    uint8_t *p = mailbox_reserve(m, (uint32_t)i, n);
    if (!p) return false;
    for (size_t k = 0; k < n; k++) p[k] = record_byte(i, k);
    mailbox_commit(m);
    return true;
}

static bool is_record(const struct mailbox *m, uint64_t i, uint32_t kind, struct slice s)
{
    if (kind != (uint32_t)i || s.n != record_bytes(i, mailbox_record_max(m))) return false;
    for (size_t k = 0; k < s.n; k++)
        if (s.p[k] != record_byte(i, k)) return false;
    return true;
}

Test(mailbox, what_goes_in_comes_out_in_order_whatever_the_interleaving)
{
    rng_state = 42;
    printf("seed 42\n");
    struct mailbox m;
    cr_assert(mailbox_create(&m, 1024));
    uint64_t put_count = 0, got_count = 0, published = 0, refused = 0;
    for (int step = 0; step < 200000; step++) {
        uint32_t kind;
        struct slice s;
        switch (rng() % 4) {
        case 0:
        case 1:
            if (put(&m, put_count))
                put_count++;
            else {
                refused++;
                published = put_count; /* a refusal publishes */
            }
            break;
        case 2:
            mailbox_publish(&m);
            published = put_count;
            break;
        default:
            while (mailbox_next(&m, &kind, &s)) {
                cr_assert(is_record(&m, got_count, kind, s), "record %lu", (unsigned long)got_count);
                got_count++;
            }
            cr_assert(got_count == published, "what is published is seen, and nothing else");
            mailbox_release(&m);
        }
    }
    cr_assert(refused > 100);
    cr_assert(got_count > 10000);
    mailbox_destroy(&m);
}

Test(mailbox, unpublished_records_are_not_seen)
{
    struct mailbox m;
    mailbox_create(&m, 1024);
    cr_assert(put(&m, 1));
    cr_assert(mailbox_empty(&m));
    cr_assert(mailbox_publish(&m));
    cr_assert_not(mailbox_publish(&m));
    cr_assert_not(mailbox_empty(&m));
    mailbox_destroy(&m);
}

Test(mailbox, room_comes_back_only_after_release)
{
    struct mailbox m;
    mailbox_create(&m, 1024);
    size_t most = mailbox_record_max(&m);
    cr_assert(mailbox_reserve(&m, 1, most) != NULL);
    mailbox_commit(&m);
    cr_assert(mailbox_reserve(&m, 2, most) != NULL);
    mailbox_commit(&m);
    cr_assert(mailbox_reserve(&m, 3, most) == NULL);
    uint32_t kind;
    struct slice s;
    cr_assert(mailbox_next(&m, &kind, &s));
    cr_assert(mailbox_next(&m, &kind, &s));
    cr_assert(mailbox_reserve(&m, 3, most) == NULL, "walked, but still readable");
    mailbox_release(&m);
    cr_assert(mailbox_reserve(&m, 3, most) != NULL);
    mailbox_destroy(&m);
}

enum { LONG_RUN = 300000 };

static void *writer(void *arg)
{
    struct mailbox *m = arg;
    for (uint64_t i = 0; i < LONG_RUN;) {
        if (put(m, i)) {
            if (++i % 7 == 0) mailbox_publish(m);
        } else {
            sched_yield();
        }
    }
    mailbox_publish(m);
    return NULL;
}

Test(mailbox, two_threads_agree, .timeout = 60)
{
    struct mailbox m;
    mailbox_create(&m, 4096);
    pthread_t t;
    pthread_create(&t, NULL, writer, &m);
    uint64_t got = 0;
    while (got < LONG_RUN) {
        uint32_t kind;
        struct slice s;
        bool any = false;
        for (int k = 0; k < 5 && mailbox_next(&m, &kind, &s); k++) {
            any = true;
            cr_assert(is_record(&m, got, kind, s), "record %lu", (unsigned long)got);
            got++;
        }
        mailbox_release(&m);
        if (!any) sched_yield();
    }
    pthread_join(t, NULL);
    cr_assert(mailbox_empty(&m));
    mailbox_destroy(&m);
}
