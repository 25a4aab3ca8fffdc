/* server.c - hourglassd as a child process. It dies with us (PR_SET_PDEATHSIG), whatever happens to us. */
#include "bench/hourglass-load/server.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/hourglass-load/generator.h"
#include "core/base/msgpack.h"

/* ---- connections -------------------------------------------------------------------------------------- */

static int dial_unix(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof a.sun_path) return errno = ENAMETOOLONG, -1;
    memcpy(a.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

static int dial_tcp(const char *address)
{
    char host[256];
    const char *colon = strrchr(address, ':');
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list;
    if (!colon || (size_t)(colon - address) >= sizeof host) return errno = EINVAL, -1;
    snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
    if (getaddrinfo(host, colon + 1, &hints, &list) != 0) return errno = EHOSTUNREACH, -1;
    int fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    bool good = fd >= 0 && connect(fd, list->ai_addr, list->ai_addrlen) == 0;
    freeaddrinfo(list);
    if (good) return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), fd;
    if (fd >= 0) close(fd);
    return -1;
}

int server_dial(const char *url)
{
    int fd = strncmp(url, "unix://", 7) == 0  ? dial_unix(url + 7)
             : strncmp(url, "tcp://", 6) == 0 ? dial_tcp(url + 6)
                                              : -1;
    if (fd >= 0) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return fd;
}

/* ---- counters ------------------------------------------------------------------------------------------ */

static struct slice find(struct slice map, const char *key)
{
    struct mp m = mp_of(map);
    for (uint32_t n = map.n && mp_peek(&m) == MP_MAP ? mp_map(&m) : 0; n > 0 && m.err == MP_OK; n--) {
        struct slice name = mp_str(&m), value = mp_item(&m);
        if (slice_is(name, key)) return value;
    }
    return (struct slice){0};
}

static uint64_t number(struct slice map, const char *key)
{
    struct slice item = find(map, key);
    struct mp m = mp_of(item);
    return item.n ? mp_uint(&m) : 0;
}

/* The whole answer to one request, in *in. */
static bool ask(int fd, struct buf *in)
{
    static const char REQUEST[] = "\x94\x00\x01\xa9stats.get\x90";
    if (send(fd, REQUEST, sizeof REQUEST - 1, MSG_NOSIGNAL) != (ssize_t)sizeof REQUEST - 1) return false;
    for (;;) {
        buf_reserve(in, 1 << 16);
        ssize_t n = recv(fd, in->p + in->n, in->cap - in->n, 0);
        if (n <= 0) return false;
        in->n += (size_t)n;
        struct mp m = mp_of(buf_slice(in));
        if (mp_item(&m).n) return true;
        if (m.err != MP_SHORT) return false;
    }
}

bool server_counters(const char *admin_url, struct server_counters *out)
{
    struct buf in = {0};
    int fd = server_dial(admin_url);
    if (fd >= 0) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    bool good = fd >= 0 && ask(fd, &in);
    if (!good) fprintf(stderr, "hourglass-load: no counters from %s: %s\n", admin_url, strerror(errno));
    struct mp m = mp_of(buf_slice(&in));
    if (good && mp_array(&m) == 4 && mp_skip(&m) && mp_skip(&m) && mp_skip(&m)) {
        struct slice all = mp_item(&m), events = find(all, "events"), actions = find(all, "actions");
        *out = (struct server_counters){.received = number(events, "received"),
                                        .applied = number(events, "applied"),
                                        .duplicate = number(events, "duplicate"),
                                        .rejected = number(events, "rejected"),
                                        .late = number(events, "late"),
                                        .actions_created = number(actions, "created"),
                                        .actions_confirmed = number(actions, "confirmed"),
                                        .actions_pending = number(find(all, "outbox"), "pending")};
    }
    if (fd >= 0) close(fd);
    buf_free(&in);
    return good;
}

/* ---- our own server ------------------------------------------------------------------------------------ */

static int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
                getsockname(fd, (struct sockaddr *)&a, &n) == 0;
    if (fd >= 0) close(fd);
    return good ? ntohs(a.sin_port) : -1;
}

static bool write_definitions(const char *directory, char *path, size_t room)
{
    char file[300];
    snprintf(path, room, "%s/definitions", directory);
    snprintf(file, sizeof file, "%s/load.yaml", path);
    if (mkdir(path, 0700) != 0) return false;
    FILE *f = fopen(file, "we");
    bool good = f && fputs(generator_definitions(), f) >= 0;
    return f && fclose(f) == 0 && good;
}

_Noreturn static void run_daemon(const struct server *s, const struct server_options *o,
                                 const char *definitions, int ready)
{
    char data[256], daemon_path[512], self[400];
    const char *argv[20];
    int n = 0;
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length > 0 ? length : 0] = 0;
    char *slash = strrchr(self, '/');
    if (slash) *slash = 0;
    snprintf(daemon_path, sizeof daemon_path, "%s/hourglassd", self);
    snprintf(data, sizeof data, "%s/data", s->directory);
    argv[n++] = o->daemon ? o->daemon : daemon_path;
    argv[n++] = "--data", argv[n++] = data, argv[n++] = "--definitions", argv[n++] = definitions;
    argv[n++] = "--ingest", argv[n++] = s->ingest, argv[n++] = "--admin", argv[n++] = s->admin;
    argv[n++] = "--shards", argv[n++] = o->shards ? o->shards : "1";
    if (o->sync) argv[n++] = "--sync", argv[n++] = o->sync;
    argv[n] = NULL;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    if (o->cpu >= 0) CPU_SET((size_t)o->cpu, &cpus);
    if (o->cpu >= 0 && sched_setaffinity(0, sizeof cpus, &cpus) != 0)
        perror("hourglass-load: cannot pin the server");
    dup2(ready, STDOUT_FILENO);
    execv(argv[0], (char *const *)argv);
    fprintf(stderr, "hourglass-load: %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

/* Until a line begins with "ready"; false: the daemon ended first. */
static bool wait_ready(int fd)
{
    char line[1024];
    bool good = false;
    FILE *f = fdopen(fd, "r");
    while (f && !good && fgets(line, sizeof line, f)) good = strncmp(line, "ready", 5) == 0;
    if (f) fclose(f);
    return good;
}

bool server_start(struct server *s, const struct server_options *o)
{
    char definitions[256];
    int pipes[2], port = free_port();
    snprintf(s->directory, sizeof s->directory, "%s/hourglass-load.XXXXXX",
             o->directory ? o->directory : "/tmp");
    if (port < 0 || !mkdtemp(s->directory) ||
        !write_definitions(s->directory, definitions, sizeof definitions) || pipe2(pipes, O_CLOEXEC) != 0) {
        perror("hourglass-load: cannot prepare a directory");
        return false;
    }
    snprintf(s->ingest, sizeof s->ingest, "tcp://127.0.0.1:%d", port);
    snprintf(s->admin, sizeof s->admin, "unix://%s/admin.sock", s->directory);
    s->pid = fork();
    if (s->pid == 0) run_daemon(s, o, o->definitions ? o->definitions : definitions, pipes[1]);
    close(pipes[1]);
    if (s->pid > 0 && wait_ready(pipes[0])) return true;
    fprintf(stderr, "hourglass-load: hourglassd did not get ready\n");
    return false;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    return remove(path);
}

void server_stop(struct server *s)
{
    if (s->pid > 0) {
        kill(s->pid, SIGTERM);
        waitpid(s->pid, NULL, 0);
        s->pid = 0;
    }
    if (s->directory[0]) nftw(s->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    s->directory[0] = 0;
}
