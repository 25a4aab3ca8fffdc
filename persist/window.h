/* window.h - the bytes of an open file, mostly from front to back: what stands at an offset, without a copy.
 * With `ahead` a thread of its own reads the next piece while this one is used: otherwise the disk waits for whoever
 * applies, and he for the disk (a log is used at 0.2 to 0.3 GB/s and read at about 1).
 * Owner: one reader. Memory: two pieces of LOG_PIECE_BYTES with room for 8 MiB before each, touched as far as the file is
 * long.
 * Fails: window_look returns NULL; `error` is what the disk said. */
#ifndef HG_PERSIST_WINDOW_H
#define HG_PERSIST_WINDOW_H

#include "core/base/limits.h"
#include "persist/disk.h"

enum { WINDOW_BYTES = 8 << 20 };
_Static_assert((int)LOG_PIECE_BYTES <= (int)WINDOW_BYTES, "a piece has room");

struct window_piece {
    uint8_t *base; /* WINDOW_BYTES for what is kept of the ones before, then room for as many that are read */
    uint8_t *p;    /* what stands at `at` */
    uint64_t at, bytes;
};
struct window_thread;
struct window {
    struct disk *disk;
    int file;
    uint64_t size;
    int64_t error; /* of a read that was wanted; 0: none */
    struct window_piece pieces[2];
    uint8_t current;
    struct window_thread *thread; /* NULL: reads when asked */
    bool ahead, waiting;          /* waiting: the other piece is being read, or will be when it is wanted */
    int64_t got;                  /* of that read */
    /* Before bytes that were handed out go away; may be NULL. */
    void (*leave)(void *self);
    void *self;
};

/* Looks at another file from now on. `w` is all zero before the first time, but for disk, ahead, leave and self. */
void window_open(struct window *w, int file, uint64_t size);
/* n <= WINDOW_BYTES bytes at a multiple of 4096; NULL when the file is shorter, or could not be read. */
const uint8_t *window_look(struct window *w, uint64_t at, uint64_t n);
void window_close(struct window *w); /* gives everything back; window_open may follow */

#endif
