/* Addresses of sockets: what is one, what is not, and what a listener says of itself. */
#include "io/address.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void expect_address(const char *url, bool good, bool loopback)
{
    struct address a;
    struct buf error = {0};
    cr_expect_eq(address_parse(url, &a, &error), good, "%s", url);
    cr_expect_eq(error.n == 0, good, "%s: %.*s", url, (int)error.n, (char *)error.p);
    if (good) cr_expect_eq(a.loopback, loopback, "%s", url);
    if (!good) cr_expect(memmem(error.p, error.n, url, strlen(url)) != NULL, "the message names %s", url);
    buf_free(&error);
}

Test(address, digits_and_paths_are_addresses_and_only_some_are_loopback)
{
    expect_address("tcp://127.0.0.1:24224", true, true);
    expect_address("tcp://127.9.9.9:0", true, true);
    expect_address("tcp://localhost:65535", true, true);
    expect_address("tcp://0.0.0.0:1", true, false);
    expect_address("tcp://192.0.2.1:24224", true, false);
    expect_address("tcp://[::1]:24224", true, true);
    expect_address("tcp://[::]:24224", true, false);
    expect_address("tcp://[2001:db8::1]:0", true, false);
    expect_address("unix:///run/x.sock", true, true);
}

Test(address, names_bad_ports_and_long_paths_are_not)
{
    static const char *const bad[] = {
        "",
        "127.0.0.1:24224",
        "http://127.0.0.1:1",
        "unix://",
        "tcp://",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1:12x",
        "tcp://127.0.0.1:-1",
        "tcp://example.org:1",
        "tcp://[::1]:",
        "tcp://[::1]:99999",
        "tcp://[zz]:1",
        "tcp://[::1:1",
        "tcp://::1]:1",
        "tcp://1111111111111111111111111111111111111111111111111111111111111111:1"};
    char path[200] = "unix:///";
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) expect_address(bad[i], false, false);
    memset(path + 8, 'x', 120);
    expect_address(path, false, false);
}

static void expect_printed(const struct address *a, int fd, const char *begins, const char *not_ends)
{
    struct buf text = {0};
    address_print(a, fd, &text);
    buf_put_u8(&text, 0);
    const char *found = (const char *)text.p;
    cr_expect(strncmp(found, begins, strlen(begins)) == 0, "%s: %s", begins, found);
    if (not_ends) cr_expect_str_neq(found + strlen(begins), not_ends, "the port that the kernel chose");
    buf_free(&text);
}

Test(address, a_listener_says_the_port_that_it_was_given)
{
    static const char *const urls[] = {"tcp://127.0.0.1:0", "tcp://[::1]:0"};
    for (int i = 0; i < 2; i++) {
        struct address a;
        struct buf error = {0};
        cr_assert(address_parse(urls[i], &a, &error));
        expect_printed(&a, -1, urls[i], NULL);
        int fd = address_listen(&a, &error);
        if (fd < 0 && i == 1) { /* a container may have no IPv6 */
            cr_log_warn("not tried: %.*s", (int)error.n, (char *)error.p);
        } else {
            cr_assert(fd >= 0, "%.*s", (int)error.n, (char *)error.p);
            expect_printed(&a, fd, i ? "tcp://[::1]:" : "tcp://127.0.0.1:", "0");
            close(fd);
        }
        buf_free(&error);
    }
}

Test(address, where_nobody_can_listen_it_says_why)
{
    struct address a;
    struct buf error = {0};
    cr_assert(address_parse("unix:///nonexistent/x.sock", &a, &error));
    cr_expect_eq(address_listen(&a, &error), -1);
    cr_expect(slice_is(buf_slice(&error), "unix:///nonexistent/x.sock: No such file or directory"), "%.*s",
              (int)error.n, (char *)error.p);
    buf_clear(&error);
    cr_assert(address_parse("tcp://192.0.2.1:1", &a, &error)); /* not an address of this machine */
    cr_expect_eq(address_listen(&a, &error), -1);
    cr_expect(memmem(error.p, error.n, "Cannot assign", 13) != NULL, "%.*s", (int)error.n, (char *)error.p);
    buf_free(&error);
}

Test(address, who_still_holds_the_port_is_waited_for_and_then_named, .timeout = 30)
{
    struct address a, taken;
    struct buf error = {0}, url = {0};
    cr_assert(address_parse("tcp://127.0.0.1:0", &a, &error));
    int fd = address_listen(&a, &error);
    cr_assert(fd >= 0);
    address_print(&a, fd, &url);
    buf_put_u8(&url, 0);
    cr_assert(address_parse((char *)url.p, &taken, &error));
    cr_expect_eq(address_listen(&taken, &error), -1);
    cr_expect(memmem(error.p, error.n, "Address already in use", 22) != NULL);
    close(fd);
    buf_clear(&error);
    fd = address_listen(&taken, &error);
    cr_expect(fd >= 0, "free again: %.*s", (int)error.n, (char *)error.p);
    close(fd);
    buf_free(&error);
    buf_free(&url);
}
