/* net.c - dialling. */
#include "tools/hourglass/net.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/hourglass/cli.h"

static int dial_unix(const char *path, struct buf *error)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof a.sun_path) {
        buf_printf(error, "the path of the socket is longer than %zu bytes", sizeof a.sun_path - 1);
        return -1;
    }
    memcpy(a.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0) return fd;
    buf_printf(error, "%s", strerror(errno));
    if (fd >= 0) close(fd);
    return -1;
}

static int dial_list(const struct addrinfo *list, struct buf *error)
{
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol), on = 1;
        if (fd < 0) continue;
        if (connect(fd, a->ai_addr, a->ai_addrlen) == 0) {
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            return fd;
        }
        buf_clear(error);
        buf_printf(error, "%s", strerror(errno));
        close(fd);
    }
    return -1;
}

static int dial_tcp(const char *address, struct buf *error)
{
    char host[256];
    const char *colon = strrchr(address, ':');
    if (!colon || (size_t)(colon - address) >= sizeof host) {
        buf_printf(error, "no port in the address");
        return -1;
    }
    size_t n = (size_t)(colon - address);
    bool brackets = n >= 2 && address[0] == '[' && address[n - 1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(brackets ? n - 2 : n), address + brackets);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list;
    int bad = getaddrinfo(host, colon + 1, &hints, &list);
    if (bad) {
        buf_printf(error, "%s", gai_strerror(bad));
        return -1;
    }
    int fd = dial_list(list, error);
    freeaddrinfo(list);
    return fd;
}

int net_dial(const char *url, uint32_t timeout_s, struct buf *error)
{
    int fd = -1;
    if (strncmp(url, "unix://", 7) == 0)
        fd = dial_unix(url + 7, error);
    else if (strncmp(url, "tcp://", 6) == 0)
        fd = dial_tcp(url + 6, error);
    else
        buf_printf(error, "an address begins with tcp:// or unix://");
    if (fd < 0) return -1;
    struct timeval t = {.tv_sec = timeout_s};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    return fd;
}

int net_dial_or_die(const char *url, uint32_t timeout_s, const char *option)
{
    struct buf error = {0};
    if (strncmp(url, "unix://", 7) != 0 && strncmp(url, "tcp://", 6) != 0)
        die(EXIT_USAGE, "'%s' is no address: --%s URL begins with unix:// or tcp://", url, option);
    int fd = net_dial(url, timeout_s, &error);
    if (fd < 0)
        die(EXIT_UNREACHABLE, "nobody answers at %s (%.*s). Is hourglassd running? Say where with --%s URL.",
            url, (int)error.n, (const char *)error.p, option);
    buf_free(&error);
    return fd;
}

bool net_send(int fd, const void *p, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR && !interrupted) continue;
        if (sent <= 0) return false;
        p = (const uint8_t *)p + sent;
        n -= (size_t)sent;
    }
    return true;
}
