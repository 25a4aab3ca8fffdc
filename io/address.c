#include "io/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 1024, LISTEN_TRIES = 40, LISTEN_PAUSE_US = 50000 };

static bool parse_unix(const char *path, struct address *out)
{
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof out->local.sun_path) return false;
    out->local.sun_family = AF_UNIX;
    memcpy(out->local.sun_path, path, n + 1);
    out->bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
    out->loopback = true;
    return true;
}

static bool parse_port(const char *text, uint16_t *port)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (!*text || *end || n > 65535) return false;
    *port = htons((uint16_t)n);
    return true;
}

static bool parse_tcp(const char *text, struct address *out)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof host) return false;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = 0;
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out->room;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->room;
    size_t n = strlen(host);
    if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
        host[n - 1] = 0;
        v6->sin6_family = AF_INET6;
        out->bytes = sizeof *v6;
        if (inet_pton(AF_INET6, host + 1, &v6->sin6_addr) != 1 || !parse_port(colon + 1, &v6->sin6_port))
            return false;
        out->loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
        return true;
    }
    v4->sin_family = AF_INET;
    out->bytes = sizeof *v4;
    const char *digits = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    if (inet_pton(AF_INET, digits, &v4->sin_addr) != 1 || !parse_port(colon + 1, &v4->sin_port)) return false;
    out->loopback = ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    return true;
}

bool address_parse(const char *url, struct address *out, struct buf *error)
{
    memset(out, 0, sizeof *out);
    if (strncmp(url, "unix://", 7) == 0 && parse_unix(url + 7, out)) return true;
    if (strncmp(url, "tcp://", 6) == 0 && parse_tcp(url + 6, out)) return true;
    buf_printf(error, "%s: not an address; write tcp://127.0.0.1:24224, tcp://[::1]:24224 or unix:///path",
               url);
    return false;
}

static bool bind_to(const struct address *a, int fd)
{
    int one = 1;
    if (a->any.sa_family != AF_UNIX) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        return bind(fd, &a->any, a->bytes) == 0;
    }
    unlink(a->local.sun_path);
    mode_t before = umask(0117); /* 0660 from the first moment on */
    bool bound = bind(fd, &a->any, a->bytes) == 0;
    umask(before);
    return bound;
}

/* A killed process keeps its sockets until its io_uring has let go of them: its successor asks again for a while. */
static bool listen_on(const struct address *a, int fd)
{
    for (int tries = LISTEN_TRIES; tries; tries--) {
        if (bind_to(a, fd) && listen(fd, BACKLOG) == 0) return true;
        if (errno != EADDRINUSE) return false;
        usleep(LISTEN_PAUSE_US);
    }
    errno = EADDRINUSE;
    return false;
}

int address_listen(const struct address *a, struct buf *error)
{
    int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && listen_on(a, fd)) return fd;
    int why = errno;
    struct buf url = {0};
    address_print(a, -1, &url);
    buf_printf(error, "%.*s: %s", (int)url.n, (char *)url.p, strerror(why));
    buf_free(&url);
    if (fd >= 0) close(fd);
    return -1;
}

void address_print(const struct address *a, int fd, struct buf *out)
{
    struct sockaddr_storage room = a->room;
    socklen_t n = sizeof room;
    if (a->any.sa_family == AF_UNIX) {
        buf_printf(out, "unix://%s", a->local.sun_path);
        return;
    }
    if (fd >= 0) getsockname(fd, (struct sockaddr *)&room, &n);
    char text[INET6_ADDRSTRLEN];
    if (room.ss_family == AF_INET6) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&room;
        buf_printf(out, "tcp://[%s]:%u", inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text),
                   ntohs(v6->sin6_port));
    } else {
        struct sockaddr_in *v4 = (struct sockaddr_in *)&room;
        buf_printf(out, "tcp://%s:%u", inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text),
                   ntohs(v4->sin_port));
    }
}
