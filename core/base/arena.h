/* arena.h - scratch memory that is emptied as a whole.
 * Owner: one thread. Memory: chunks from malloc, kept for reuse by arena_reset; a fixed arena
 * (arena_fixed) never grows and returns NULL instead, for the batch path. Everything is 16-byte aligned.
 * In sanitizer builds what is not handed out is poisoned. */
#ifndef HG_BASE_ARENA_H
#define HG_BASE_ARENA_H

#include "core/base/bytes.h"

struct arena_chunk;
struct arena {
    uint8_t *at, *end;
    struct arena_chunk *first, *current;
    bool fixed;
};

void arena_init(struct arena *a);                     /* grows; aborts when memory is gone */
void arena_init_fixed(struct arena *a, size_t bytes); /* never grows */
void arena_reserve(struct arena *a, size_t bytes);    /* so that the next `bytes` need no malloc */
void arena_reset(struct arena *a);                    /* everything handed out is gone, memory is kept */
void arena_free(struct arena *a);
void *arena_alloc(struct arena *a, size_t bytes); /* not cleared; NULL only from a fixed arena */
void *arena_zalloc(struct arena *a, size_t bytes);
char *arena_strndup(struct arena *a, const void *p, size_t n); /* NUL behind */
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline struct slice arena_slice(struct arena *a, struct slice s)
{
    return slice_of(arena_strndup(a, s.p, s.n), s.n);
}

#define ARENA_NEW(arena, type)      ((type *)arena_zalloc(arena, sizeof(type)))
#define ARENA_ARRAY(arena, type, n) ((type *)arena_zalloc(arena, sizeof(type) * (n)))

#endif
