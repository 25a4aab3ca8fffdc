/* A file seen through a window is the file, with a thread that reads ahead and without. */
#include "core/base/check.h"
#include "persist/lanes.h"
#include "persist/window.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { FILE_BLOCKS = 6000, BLOCK = 4096, TAIL = 100 }; /* almost three pieces */

/* A disk whose byte n is n / BLOCK mixed with n; reads at and behind `bad` fail. */
struct made_disk {
    struct disk disk;
    uint64_t bad;
    _Atomic uint32_t reads;
};

static uint8_t byte_at(uint64_t n) { return (uint8_t)(n / BLOCK * 31 + n % 251); }

static int64_t made_read(struct disk *d, int file, uint64_t offset, void *p, size_t n)
{
    struct made_disk *self = (struct made_disk *)d;
    uint64_t size = (uint64_t)FILE_BLOCKS * BLOCK + TAIL;
    cr_assert_eq(file, 7);
    atomic_fetch_add(&self->reads, 1);
    if (offset + n > self->bad) return -EIO;
    if (offset + n > size) n = size - offset;
    for (size_t i = 0; i < n; i++) ((uint8_t *)p)[i] = byte_at(offset + i);
    return (int64_t)n;
}

static const struct disk_ops made_ops = {.read = made_read};

static void expect_bytes(struct window *w, uint64_t at, uint64_t n)
{
    const uint8_t *p = window_look(w, at, n);
    cr_assert_not_null(p, "%lu bytes at %lu", (unsigned long)n, (unsigned long)at);
    for (uint64_t i = 0; i < n; i += i + 40 < n && i > 40 ? 37 : 1)
        if (p[i] != byte_at(at + i)) cr_assert_fail("%lu of %lu", (unsigned long)i, (unsigned long)at);
}

static void count_leave(void *self) { ++*(uint32_t *)self; }

static void read_all_ways(bool ahead)
{
    struct made_disk disk = {.disk = {&made_ops}, .bad = UINT64_MAX};
    uint32_t left = 0;
    uint64_t size = (uint64_t)FILE_BLOCKS * BLOCK + TAIL;
    struct window w = {.disk = &disk.disk, .ahead = ahead, .leave = count_leave, .self = &left};
    window_open(&w, 7, size);
    srand(7);
    for (uint64_t at = 0, n; at < size; at += n) {
        n = (1 + (uint64_t)rand() % 900) * BLOCK;
        if (n > size - at) n = size - at;
        expect_bytes(&w, at, n < BLOCK ? n : BLOCK); /* a header, then all of it */
        expect_bytes(&w, at, n);
    }
    cr_assert_geq(left, 3u, "each time bytes went away it was said");
    cr_assert_null(window_look(&w, (uint64_t)FILE_BLOCKS * BLOCK, TAIL + 1),
                   "behind the end there is nothing");
    for (int i = 0; i < 20; i++) expect_bytes(&w, (uint64_t)(rand() % FILE_BLOCKS) * BLOCK, BLOCK);
    window_close(&w);
    expect_bytes(&w, 0, 2 * BLOCK); /* it comes back when it is needed */
    window_close(&w);
}

Test(window, shows_the_file_from_front_to_back_and_anywhere) { read_all_ways(false); }
Test(window, shows_the_same_while_a_thread_reads_ahead) { read_all_ways(true); }

Test(window, an_error_is_heard_where_the_bytes_are_wanted_and_not_before)
{
    for (int ahead = 0; ahead < 2; ahead++) {
        struct made_disk disk = {.disk = {&made_ops}, .bad = WINDOW_BYTES};
        struct window w = {.disk = &disk.disk, .ahead = ahead};
        window_open(&w, 7, 2 * WINDOW_BYTES);
        for (uint64_t at = 0; at < WINDOW_BYTES; at += BLOCK) expect_bytes(&w, at, BLOCK);
        cr_assert_eq(w.error, 0);
        cr_assert_null(window_look(&w, WINDOW_BYTES, BLOCK));
        cr_assert_eq(w.error, -EIO);
        window_close(&w);
    }
}

static void mark(void *self, uint32_t lane) { atomic_fetch_add(&((_Atomic uint32_t *)self)[lane], 1); }

Test(lanes, each_is_run_once_however_many_threads)
{
    for (uint32_t threads = 0; threads < 200; threads = threads * 2 + 1) {
        _Atomic uint32_t runs[100] = {0};
        lanes_run(100, threads, mark, runs);
        for (int i = 0; i < 100; i++) cr_assert_eq(runs[i], 1);
    }
    lanes_run(0, 4, mark, NULL);
}
