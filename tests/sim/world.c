#undef _FORTIFY_SOURCE /* its longjmp wants to go up one and the same stack */
#include "tests/sim/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define FIBERS_TELL_ASAN 1
#endif

struct shared *shared;

/* ---- chance: splitmix64 --------------------------------------------------------------------- */

static uint64_t chance_state;

uint64_t chance_u64(void)
{
    uint64_t z = chance_state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

uint32_t chance_below(uint32_t n)
{
    CHECK(n > 0);
    return (uint32_t)((chance_u64() >> 32) * n >> 32);
}

uint32_t chance_between(uint32_t low, uint32_t high) { return low + chance_below(high - low + 1); }
bool chance(uint32_t percent) { return chance_below(100) < percent; }
bool chance_in(uint32_t n) { return chance_below(n) == 0; }

/* ---- time: a binary heap, ordered by time and then by when it was asked for ------------------- */

struct event {
    uint64_t at_us, order;
    event_fn run;
    void *self;
    uint64_t number;
};

uint64_t world_us;
int64_t world_wall_ms;
static struct event *heap;
static uint32_t heap_count, heap_capacity;
static uint64_t heap_order;

uint32_t world_second(void) { return (uint32_t)(((int64_t)(world_us / 1000) + world_wall_ms) / 1000); }

static bool before(const struct event *a, const struct event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void world_after(uint64_t us, event_fn run, void *self, uint64_t number)
{
    if (heap_count == heap_capacity) {
        heap_capacity = heap_capacity ? 2 * heap_capacity : 1024;
        heap = realloc(heap, heap_capacity * sizeof *heap);
        CHECK(heap != NULL);
    }
    struct event e = {world_us + us, heap_order++, run, self, number};
    uint32_t at = heap_count++;
    for (; at && before(&e, &heap[(at - 1) / 2]); at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
    heap[at] = e;
}

static struct event take_first(void)
{
    struct event first = heap[0], last = heap[--heap_count];
    uint32_t at = 0;
    for (uint32_t child; (child = 2 * at + 1) < heap_count; at = child) {
        if (child + 1 < heap_count && before(&heap[child + 1], &heap[child])) child++;
        if (!before(&heap[child], &last)) break;
        heap[at] = heap[child];
    }
    heap[at] = last;
    return first;
}

void world_sleep(uint64_t us) { world_us += us; }

bool world_step(void)
{
    if (!heap_count) return false;
    struct event e = take_first();
    if (e.at_us > world_us) world_us = e.at_us; /* overdue: world_sleep */
    e.run(e.self, e.number);
    return true;
}

/* ---- threads ----------------------------------------------------------------------------------- */

enum { FIBER_STACK_BYTES = 1 << 20 };

struct fiber {
    ucontext_t context; /* its beginning; after that: */
    jmp_buf at;         /* swapcontext would ask the kernel for a signal mask each time */
    bool begun;
    void *(*run)(void *arg);
    void *arg;
    uint8_t *stack;
    uint64_t waits; /* how often it has waited: an older appointment is void */
    bool asleep, done;
    struct fiber *joiner;
    void *fake_stack;
    struct fiber *next;
};

static struct fiber *fibers, *running;
static jmp_buf simulator;
static uint8_t *spare_stacks; /* each holds the address of the next */
#ifdef FIBERS_TELL_ASAN
static const void *simulator_stack;
static size_t simulator_stack_bytes;
#endif

struct fiber *fiber_self(void) { return running; }

static void leave(struct fiber *f, bool for_ever)
{
    (void)for_ever;
#ifdef FIBERS_TELL_ASAN
    __sanitizer_start_switch_fiber(for_ever ? NULL : &f->fake_stack, simulator_stack, simulator_stack_bytes);
#endif
    running = NULL;
    if (!_setjmp(f->at)) _longjmp(simulator, 1);
#ifdef FIBERS_TELL_ASAN
    __sanitizer_finish_switch_fiber(f->fake_stack, &simulator_stack, &simulator_stack_bytes);
#endif
}

_Noreturn void fiber_end(void)
{
    running->done = true;
    if (running->joiner) fiber_wake(running->joiner, 1);
    leave(running, true);
    abort();
}

static void fiber_begin(void)
{
#ifdef FIBERS_TELL_ASAN
    __sanitizer_finish_switch_fiber(NULL, &simulator_stack, &simulator_stack_bytes);
#endif
    running->run(running->arg);
    fiber_end();
}

static void resume(void *self, uint64_t number)
{
    struct fiber *f = self;
    if (f->done || !f->asleep || f->waits != number) return;
    f->asleep = false;
    running = f;
#ifdef FIBERS_TELL_ASAN
    void *fake;
    __sanitizer_start_switch_fiber(&fake, f->stack, FIBER_STACK_BYTES);
#endif
    if (!_setjmp(simulator)) {
        if (f->begun) _longjmp(f->at, 1);
        f->begun = true;
        setcontext(&f->context);
    }
#ifdef FIBERS_TELL_ASAN
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
}

static uint8_t *take_stack(void)
{
    uint8_t *stack = spare_stacks;
    if (stack) {
        memcpy(&spare_stacks, stack, sizeof spare_stacks);
        return stack;
    }
    stack = aligned_alloc(4096, FIBER_STACK_BYTES); /* a mapping would be taken for the node's */
    CHECK(stack != NULL);
    return stack;
}

struct fiber *fiber_start(void *(*run)(void *arg), void *arg, uint64_t after_us)
{
    struct fiber *f = calloc(1, sizeof *f);
    CHECK(f != NULL);
    f->stack = take_stack();
    CHECK(getcontext(&f->context) == 0);
    f->run = run;
    f->arg = arg;
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = FIBER_STACK_BYTES;
    makecontext(&f->context, fiber_begin, 0);
    f->next = fibers;
    fibers = f;
    f->asleep = true;
    world_after(after_us, resume, f, 0);
    return f;
}

void fiber_sleep(uint64_t us)
{
    struct fiber *f = running;
    CHECK(f != NULL);
    f->asleep = true;
    world_after(us, resume, f, ++f->waits);
    leave(f, false);
}

void fiber_wake(struct fiber *f, uint64_t after_us)
{
    if (f->asleep) world_after(after_us, resume, f, f->waits);
}

void fiber_join(struct fiber *f)
{
    f->joiner = running;
    while (!f->done) fiber_sleep(1000ull * 3600 * 1000000);
}

void fibers_abandon(void)
{
    for (struct fiber *f = fibers, *next; f; f = next) {
        next = f->next;
        f->done = true;
#ifdef FIBERS_TELL_ASAN
        ASAN_UNPOISON_MEMORY_REGION(f->stack, FIBER_STACK_BYTES);
#endif
        memcpy(f->stack, &spare_stacks, sizeof spare_stacks);
        spare_stacks = f->stack; /* the struct stays: appointments still name it */
    }
    fibers = NULL;
}

/* ---- the story --------------------------------------------------------------------------------------- */

static bool told_loudly;
static uint64_t told_hash = 0xcbf29ce484222325ull;

static void remember(const char *line, size_t n)
{
    if (n > STORY_BYTES / 2) n = STORY_BYTES / 2;
    if (shared->length + n > STORY_BYTES) { /* the older half goes */
        uint32_t from = shared->length / 2;
        while (from < shared->length && shared->text[from - 1] != '\n') from++;
        memmove(shared->text, shared->text + from, shared->length - from);
        shared->length -= from;
    }
    memcpy(shared->text + shared->length, line, n);
    shared->length += (uint32_t)n;
}

static void tell(bool remembered, const char *format, va_list args)
{
    char line[600];
    int n = snprintf(line, sizeof line, "%12.6f  ", (double)world_us / 1e6);
    n += vsnprintf(line + n, sizeof line - (size_t)n - 1, format, args);
    if (n > (int)sizeof line - 2) n = (int)sizeof line - 2;
    line[n++] = '\n';
    for (int i = 0; i < n; i++) told_hash = (told_hash ^ (uint8_t)line[i]) * 0x100000001b3ull;
    shared->hash = told_hash;
    shared->world_us = world_us;
    if (remembered || told_loudly) remember(line, (size_t)n);
    if (told_loudly) fwrite(line, 1, (size_t)n, stderr);
}

void story(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tell(true, format, args);
    va_end(args);
}

void detail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tell(false, format, args);
    va_end(args);
}

uint64_t story_hash(void) { return told_hash; }

_Noreturn void fault(const char *format, ...)
{
    char text[500];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    story("WRONG: %s", text);
    _Exit(1);
}

void world_create(uint64_t seed, bool loud)
{
    chance_state = seed * 0xd1342543de82ef95ull + 0x5851f42d4c957f2dull;
    told_loudly = loud;
    world_us = 3600ull * 1000000;
    world_wall_ms = (int64_t)WORLD_BEGIN_S * 1000 - 3600 * 1000;
}
