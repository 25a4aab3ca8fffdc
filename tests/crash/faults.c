/* faults.c - preloaded into the daemon: its n-th disk operation fails as a disk fails, once or from then on.
 * HOURGLASS_FAULT=N:KIND[:on]; KIND is an errno's name, short1 (one byte is missing) or half. Operations are counted over
 * pwrite, fdatasync, fsync, ftruncate, renameat, unlinkat, mkdirat and openat with O_CREAT, as long as the file lies in
 * HOURGLASS_FAULT_DIR; the daemon runs with --io epoll, so that all of its writes come by here. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    const char *name;
    int error;
} kinds[] = {{"EIO", EIO},       {"ENOSPC", ENOSPC},       {"EINTR", EINTR},
             {"EAGAIN", EAGAIN}, {"ECANCELED", ECANCELED}, {"short1", 0},
             {"half", 0}};

static long fail_at;
static bool from_then_on, one_short;
static int fail_error; /* 0: short */
static const char *directory;
static _Atomic long operations;

__attribute__((constructor)) static void read_environment(void)
{
    char kind[16] = "", on[4] = "";
    const char *fault = getenv("HOURGLASS_FAULT");
    directory = getenv("HOURGLASS_FAULT_DIR");
    if (!fault || !directory || sscanf(fault, "%ld:%15[A-Za-z0-9]:%3s", &fail_at, kind, on) < 2) return;
    from_then_on = strcmp(on, "on") == 0;
    one_short = strcmp(kind, "short1") == 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].name, kind)) fail_error = kinds[i].error;
}

static bool fails(void)
{
    if (!fail_at) return false;
    long n = atomic_fetch_add(&operations, 1) + 1;
    bool now = n == fail_at || (from_then_on && n > fail_at);
    if (n == fail_at) dprintf(STDERR_FILENO, "fault injected\n");
    return now;
}

static bool ours(int file)
{
    char link[40], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t n = directory ? readlink(link, path, sizeof path - 1) : -1;
    return n > 0 && !strncmp(path, directory, strlen(directory));
}

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

static int refused(void)
{
    errno = fail_error ? fail_error : EIO; /* nothing but a write can be short */
    return -1;
}

ssize_t pwrite(int file, const void *p, size_t n, off_t at)
{
    ssize_t (*next)(int, const void *, size_t, off_t) = real("pwrite");
    if (!ours(file) || !fails()) return next(file, p, n, at);
    if (fail_error) return refused();
    /* O_DIRECT takes whole blocks only: what arrived is rounded down, what is told is not. */
    size_t told = one_short ? n - 1 : n / 2, written = told & ~(size_t)4095;
    if (written && next(file, p, written, at) < 0) return -1;
    return (ssize_t)told;
}

int fdatasync(int file)
{
    int (*next)(int) = real("fdatasync");
    return ours(file) && fails() ? refused() : next(file);
}
int fsync(int file)
{
    int (*next)(int) = real("fsync");
    return ours(file) && fails() ? refused() : next(file);
}
int ftruncate(int file, off_t n)
{
    int (*next)(int, off_t) = real("ftruncate");
    return ours(file) && fails() ? refused() : next(file, n);
}
int renameat(int from, const char *old, int to, const char *name)
{
    int (*next)(int, const char *, int, const char *) = real("renameat");
    return ours(from) && fails() ? refused() : next(from, old, to, name);
}
int unlinkat(int folder, const char *path, int flags)
{
    int (*next)(int, const char *, int) = real("unlinkat");
    return ours(folder) && fails() ? refused() : next(folder, path, flags);
}
int mkdirat(int folder, const char *path, mode_t mode)
{
    int (*next)(int, const char *, mode_t) = real("mkdirat");
    return ours(folder) && fails() ? refused() : next(folder, path, mode);
}
int openat(int folder, const char *path, int flags, ...)
{
    int (*next)(int, const char *, int, ...) = real("openat");
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    return (flags & O_CREAT) && ours(folder) && fails() ? refused() : next(folder, path, flags, mode);
}
