#include "tests/sim/kernel.h"
#include "io/address.h"
#include "io/mailbox.h"
#include "io/snapshotter.h"
#include "io/log.h"
#include "tests/sim/disk.h"
#include "tests/sim/net.h"
#include "tests/sim/regions.h"
#include "tests/sim/world.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

int hourglassd_main(int argc, char **argv); /* io/hourglassd.c */

const char *node_definitions;
void (*node_recovered)(struct engine *e);

static struct {
    enum node_state state;
    int argc;
    char **argv;
    int exit_code;
    struct engine *engine;
    uint32_t signals; /* bits */
    struct fiber *signalled;
    char last_log[300];
    uint64_t mail_held_until_us;
    uint32_t mail_held_readers; /* a bit per worker */
} node;

enum node_state node_state(void) { return node.state; }
int node_exit_code(void) { return node.exit_code; }
struct engine *node_engine(void) { return node.engine; }
const char *node_last_log(void) { return node.last_log; }

/* ---- memory of the node: given back when it is gone, however it went --------------------------------- */

struct mapping {
    uint8_t *p;
    size_t n;
};
static struct mapping *mappings;
static uint32_t mapping_count, mapping_capacity;

void *__real_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *p, size_t n);
void *__wrap_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *p, size_t n);

void *__wrap_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    void *p = __real_mmap(at, n, protection, flags, fd, offset);
    if (p == MAP_FAILED || !fiber_self()) return p;
    if (mapping_count == mapping_capacity) {
        mapping_capacity = mapping_capacity ? 2 * mapping_capacity : 1024;
        mappings = realloc(mappings, mapping_capacity * sizeof *mappings);
        CHECK(mappings != NULL);
    }
    mappings[mapping_count++] = (struct mapping){p, n};
    return p;
}

int __wrap_munmap(void *p, size_t n)
{
    for (uint32_t i = mapping_count; i-- > 0;) {
        struct mapping *m = &mappings[i];
        if ((uint8_t *)p < m->p || (uint8_t *)p >= m->p + m->n) continue;
        if (p == m->p) { /* a piece in front, or all of it */
            m->p += n;
            m->n -= n;
        } else { /* a piece behind */
            CHECK((uint8_t *)p + n == m->p + m->n);
            m->n -= n;
        }
        if (!m->n) *m = mappings[--mapping_count];
        break;
    }
    return __real_munmap(p, n);
}

static void give_back_memory(void)
{
    for (uint32_t i = 0; i < mapping_count; i++) __real_munmap(mappings[i].p, mappings[i].n);
    mapping_count = 0;
    regions_abandon();
}

/* ---- starting and stopping -------------------------------------------------------------------------------- */

static void *run_main(void *arg)
{
    (void)arg;
    node.exit_code = hourglassd_main(node.argc, node.argv);
    node.state = NODE_ENDED;
    story("node: main returned %d", node.exit_code);
    return NULL;
}

void node_start(int argc, char **argv)
{
    CHECK(node.state == NODE_OFF);
    node.state = NODE_STARTING;
    node.argc = argc;
    node.argv = argv;
    node.signals = 0;
    node.signalled = NULL;
    node.last_log[0] = 0;
    fiber_start(run_main, NULL, 1);
}

static void gone(void)
{
    fibers_abandon();
    net_machine_died();
    node.mail_held_until_us = 0;
    give_back_memory();
    node.state = NODE_OFF;
    node.engine = NULL;
}

void node_power_cut(void)
{
    sim_disk_power_cut();
    gone();
}

void node_kill(void)
{
    sim_disk_process_died();
    gone();
}

void node_signal(int number)
{
    node.signals |= 1u << number;
    if (node.signalled) fiber_wake(node.signalled, 1);
}

_Noreturn void __wrap__exit(int code);
_Noreturn void __wrap__exit(int code)
{
    if (!fiber_self()) _Exit(code);
    node.exit_code = code;
    node.state = NODE_ENDED;
    story("node: exits with %d", code);
    fiber_end();
}

int __real_engine_start(struct engine *e);
int __wrap_engine_start(struct engine *e);
int __wrap_engine_start(struct engine *e)
{
    node.engine = e;
    node.state = NODE_RECOVERED;
    node_recovered(e);
    int code = __real_engine_start(e);
    if (!code) node.state = NODE_SERVING;
    return code;
}

/* ---- threads ------------------------------------------------------------------------------------------------- */

static void finish_in(struct timespec *t, int64_t us)
{
    t->tv_sec = us / 1000000;
    t->tv_nsec = us % 1000000 * 1000;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *t);
int __wrap_clock_gettime(clockid_t id, struct timespec *t)
{
    finish_in(t, (int64_t)world_us + (id == CLOCK_REALTIME ? world_wall_ms * 1000 : 0));
    return 0;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg)
{
    (void)attributes;
    *thread = (pthread_t)fiber_start(run, arg, chance_between(5, 300));
    return 0;
}

int __wrap_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_join(pthread_t thread, void **result)
{
    (void)result;
    fiber_join((struct fiber *)thread);
    return 0;
}

/* Only the one that minds the signals is ever cancelled. */
int __wrap_pthread_cancel(pthread_t thread);
int __wrap_pthread_cancel(pthread_t thread)
{
    node.signals |= 1u << SIGKILL;
    fiber_wake((struct fiber *)thread, 1);
    return 0;
}

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *lock);
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *lock)
{
    (void)condition;
    pthread_mutex_unlock(lock);
    fiber_sleep(chance_between(1, 40));
    pthread_mutex_lock(lock);
    return 0;
}

int __wrap_sigwait(const sigset_t *set, int *number);
int __wrap_sigwait(const sigset_t *set, int *number)
{
    (void)set;
    node.signalled = fiber_self();
    while (!node.signals) fiber_sleep(3600ull * 1000000);
    if (node.signals & 1u << SIGKILL) fiber_end();
    *number = __builtin_ctz(node.signals);
    node.signals &= node.signals - 1;
    return 0;
}

int __wrap_sched_getaffinity(pid_t pid, size_t n, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t pid, size_t n, cpu_set_t *set)
{
    (void)pid, (void)n, (void)set;
    errno = ENOSYS;
    return -1;
}

/* ---- between the workers -------------------------------------------------------------------------------------- */

bool node_slow_snapshots;

static void wake_all(void *self, uint64_t number)
{
    (void)self, (void)number;
    for (uint32_t i = 0; node.state == NODE_SERVING && i < node.engine->threads; i++)
        loop_wake(node.engine->workers[i].loop);
}

void node_hold_mail(uint64_t us, uint32_t readers)
{
    node.mail_held_until_us = world_us + us;
    node.mail_held_readers = readers;
    world_after(us, wake_all, NULL, 0);
}

bool __real_mailbox_empty(struct mailbox *m);
bool __wrap_mailbox_empty(struct mailbox *m);
bool __wrap_mailbox_empty(struct mailbox *m)
{
    uint32_t reader = (uint32_t)(m - node.engine->mailboxes) % node.engine->threads;
    bool held = world_us < node.mail_held_until_us && node.mail_held_readers >> reader & 1;
    return held || __real_mailbox_empty(m);
}

void __real_snapshotter_step(struct worker *w);
void __wrap_snapshotter_step(struct worker *w);
void __wrap_snapshotter_step(struct worker *w)
{
    static uint64_t next_us[LOGICAL_SHARDS]; /* the worker goes on with everything else meanwhile */
    if (world_us >= next_us[w->index]) {
        __real_snapshotter_step(w);
        next_us[w->index] = world_us + (node_slow_snapshots ? chance_between(50, 10 * 1000) : 0);
    }
    if (node_slow_snapshots) fiber_sleep(chance_between(50, 500));
}

/* ---- files and sockets ------------------------------------------------------------------------------------------ */

ssize_t __wrap_getrandom(void *p, size_t n, unsigned flags);
ssize_t __wrap_getrandom(void *p, size_t n, unsigned flags)
{
    (void)flags;
    for (size_t i = 0; i < n; i++) ((uint8_t *)p)[i] = (uint8_t)chance_u64();
    return (ssize_t)n;
}

struct disk *__wrap_disk_posix_open(const char *directory, bool create, bool lock, struct buf *error);
struct disk *__wrap_disk_posix_open(const char *directory, bool create, bool lock, struct buf *error)
{
    (void)directory, (void)create, (void)lock, (void)error;
    return sim_disk();
}

void __wrap_disk_posix_close(struct disk *d);
void __wrap_disk_posix_close(struct disk *d) { (void)d; }

int __wrap_address_listen(const struct address *a, struct buf *error);
int __wrap_address_listen(const struct address *a, struct buf *error)
{
    (void)error;
    return net_listen(a->any.sa_family == AF_UNIX ? PORT_ADMIN : PORT_INGEST);
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    if (fd < 0) return -1;
    if (!net_is_fd(fd)) return __real_close(fd);
    net_close(fd);
    return 0;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t n);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t n)
{
    (void)fd, (void)level, (void)name, (void)value, (void)n;
    return 0;
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *n);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *n)
{
    (void)fd, (void)level, (void)name;
    memset(value, 0, *n); /* SO_PEERCRED: root */
    return 0;
}

_Noreturn void __wrap_check_failed(const char *what, const char *file, int line);
_Noreturn void __wrap_check_failed(const char *what, const char *file, int line)
{
    const char *name = strrchr(file, '/');
    fault("CHECK(%s) in %s, line %d", what, name ? name + 1 : file, line);
}

void __wrap_log_line(enum log_level level, const char *event, const char *format, ...);
void __wrap_log_line(enum log_level level, const char *event, const char *format, ...)
{
    char text[400] = "";
    va_list args;
    va_start(args, format);
    if (format) vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (level == LOG_INFO && strcmp(event, "recovering") == 0) return;
    snprintf(node.last_log, sizeof node.last_log, "%s %.200s", event, text);
    story("node: %s %s", event, text);
}

/* ---- definitions ---------------------------------------------------------------------------------------------------- */

struct source_file *__wrap_sources_read(const char *dir, uint32_t *count, struct diagnostics *d);
struct source_file *__wrap_sources_read(const char *dir, uint32_t *count, struct diagnostics *d)
{
    (void)dir;
    struct source_file *file = ARENA_ARRAY(&d->arena, struct source_file, 1);
    *file = (struct source_file){SLICE("shop.yaml"), slice_str(node_definitions)};
    *count = 1;
    return file;
}
