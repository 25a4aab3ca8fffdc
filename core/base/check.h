/* check.h - what must be true, said in the text of the program.
 * CHECK stays on in release: a failed one is our own bug, prints where, and aborts.
 * DCHECK is for checks too dear for the hot path; on in debug and tiny builds.
 * Bytes from strangers never reach a CHECK: they get a status and a count. */
#ifndef HG_BASE_CHECK_H
#define HG_BASE_CHECK_H

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

_Noreturn void check_failed(const char *what, const char *file, int line);

#define CHECK(cond)                                                                                          \
    do {                                                                                                     \
        if (unlikely(!(cond))) check_failed(#cond, __FILE__, __LINE__);                                      \
    } while (0)

#if defined(HG_TINY) || defined(HG_SIM) || !defined(NDEBUG)
#define DCHECK(cond) CHECK(cond)
#else
#define DCHECK(cond) ((void)sizeof(!(cond)))
#endif

#endif
