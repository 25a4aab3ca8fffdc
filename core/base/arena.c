#include "core/base/arena.h"
#include "core/base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

enum { CHUNK_MIN = 16 << 10 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t bytes;
    _Alignas(16) uint8_t data[];
};

void arena_init(struct arena *a) { *a = (struct arena){0}; }

static struct arena_chunk *chunk_new(size_t bytes)
{
    struct arena_chunk *c = malloc(sizeof *c + bytes);
    CHECK(c != NULL);
    c->next = NULL;
    c->bytes = bytes;
    POISON(c->data, bytes);
    return c;
}

static void use_chunk(struct arena *a, struct arena_chunk *c)
{
    a->current = c;
    a->at = c->data;
    a->end = c->data + c->bytes;
}

void arena_init_fixed(struct arena *a, size_t bytes)
{
    *a = (struct arena){.fixed = true};
    a->first = chunk_new(bytes);
    use_chunk(a, a->first);
}

void arena_reset(struct arena *a)
{
    for (struct arena_chunk *c = a->first; c; c = c->next) POISON(c->data, c->bytes);
    if (a->first) use_chunk(a, a->first);
}

void arena_free(struct arena *a)
{
    for (struct arena_chunk *c = a->first, *next; c; c = next) {
        next = c->next;
        UNPOISON(c->data, c->bytes);
        free(c);
    }
    *a = (struct arena){0};
}

static void *alloc_slow(struct arena *a, size_t bytes)
{
    if (a->fixed) return NULL;
    while (a->current && a->current->next) {
        use_chunk(a, a->current->next);
        if ((size_t)(a->end - a->at) >= bytes) return arena_alloc(a, bytes);
    }
    size_t size = a->current ? a->current->bytes * 2 : CHUNK_MIN;
    if (size < bytes + 16) size = bytes + 16;
    struct arena_chunk *c = chunk_new(size);
    if (a->current)
        a->current->next = c;
    else
        a->first = c;
    use_chunk(a, c);
    return arena_alloc(a, bytes);
}

void arena_reserve(struct arena *a, size_t bytes)
{
    if ((size_t)(a->end - a->at) >= bytes) return;
    for (struct arena_chunk *c = a->current ? a->current->next : a->first; c; c = c->next)
        if (c->bytes >= bytes) return;
    CHECK(!a->fixed);
    struct arena_chunk *c = chunk_new(bytes), **last = &a->first;
    while (*last) last = &(*last)->next;
    *last = c;
    if (!a->current) use_chunk(a, c);
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    if (unlikely((size_t)(a->end - a->at) < bytes)) return alloc_slow(a, bytes);
    void *p = a->at;
    a->at += bytes;
    UNPOISON(p, bytes);
    return p;
}

void *arena_zalloc(struct arena *a, size_t bytes)
{
    void *p = arena_alloc(a, bytes);
    return p ? memset(p, 0, bytes) : NULL;
}

char *arena_strndup(struct arena *a, const void *p, size_t n)
{
    char *s = arena_alloc(a, n + 1);
    if (!s) return NULL;
    if (n) memcpy(s, p, n);
    s[n] = 0;
    return s;
}

char *arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char small[512];
    int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    CHECK(n >= 0);
    if ((size_t)n < sizeof small) return arena_strndup(a, small, (size_t)n);
    char *s = arena_alloc(a, (size_t)n + 1);
    va_start(args, format);
    vsnprintf(s, (size_t)n + 1, format, args);
    va_end(args);
    return s;
}
