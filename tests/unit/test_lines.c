/* Reading message files: blank lines, missing newline at the end, long lines, times, gzip. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "tools/hourglass/cli.h"
#include "tools/hourglass/lines.h"
#include "tools/hourglass/view.h"

/* What main.c would have; the error messages of the reader need nothing of it. */
const struct command COMMANDS[] = {{0}};

static char path[64];

static void write_file(const char *text, size_t n, bool zip)
{
    snprintf(path, sizeof path, "/tmp/hg-lines-%d", getpid());
    gzFile f = gzopen(path, zip ? "wb" : "wbT");
    cr_assert(f && gzwrite(f, text, (unsigned)n) == (int)n && gzclose(f) == Z_OK);
}

static uint32_t count_lines(void)
{
    struct lines *l = lines_open(path);
    struct message m;
    uint32_t n = 0;
    while (lines_next(l, &m)) n++;
    lines_close(l);
    unlink(path);
    return n;
}

Test(lines, blank_ones_are_skipped_and_the_last_needs_no_end)
{
    static const char text[] = "{}\n\n  \r\n{\"a\":1}\r\n\t\n{\"b\":2}";
    write_file(text, sizeof text - 1, false);
    cr_expect_eq(count_lines(), 3);
    write_file(text, sizeof text - 1, true);
    cr_expect_eq(count_lines(), 3);
    write_file("", 0, false);
    cr_expect_eq(count_lines(), 0);
}

Test(lines, many_cross_the_reading_window)
{
    struct buf text = {0};
    for (int i = 0; i < 50000; i++) buf_printf(&text, "{\"n\":%d,\"pad\":\"%0*d\"}\n", i, i % 97, 0);
    write_file((char *)text.p, text.n, true);
    struct lines *l = lines_open(path);
    struct message m;
    for (int i = 0; i < 50000; i++) {
        cr_assert(lines_next(l, &m));
        cr_assert_eq(view_int(m.record, "n"), i);
    }
    cr_expect(!lines_next(l, &m));
    lines_close(l);
    unlink(path);
    buf_free(&text);
}

Test(lines, the_time_is_the_messages_own)
{
    static const char text[] =
        "{\"timestamp\":\"2010-12-01T08:26:00.000Z\"}\n{\"timestamp\":1767323045}\n{\"timestamp\":"
        "1767323045678}\n"
        "{\"originalTimestamp\":\"2010-12-01T08:26:00Z\"}\n{\"context\":{\"timestamp\":1}}\n";
    static const int64_t MS[] = {1291191960000, 1767323045000, 1767323045678, 1291191960000, 0};
    struct message m;
    write_file(text, sizeof text - 1, false);
    struct lines *l = lines_open(path);
    for (size_t i = 0; i < sizeof MS / sizeof *MS; i++) {
        cr_assert(lines_next(l, &m));
        cr_expect_eq(m.entry_ms, MS[i], "%zu: %ld", i, m.entry_ms);
    }
    lines_close(l);
    unlink(path);
}

/* Exit code of a child that reads the whole file. */
static int code_of(const char *text, size_t n)
{
    int status;
    write_file(text, n, false);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        fclose(stderr);
        count_lines();
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    unlink(path);
    return WEXITSTATUS(status);
}

Test(lines, what_is_no_object_is_damage)
{
    cr_expect_eq(code_of("{}\n", 3), 0);
    cr_expect_eq(code_of("{}\n[1]\n", 7), EXIT_DAMAGED);
    cr_expect_eq(code_of("{}\n{\n", 5), EXIT_DAMAGED);
    cr_expect_eq(code_of("{}\0{}\n", 6), EXIT_DAMAGED);
    cr_expect_eq(code_of("\0\n", 2), EXIT_DAMAGED);
    char *big = malloc(2 << 20);
    memset(big, ' ', 2 << 20);
    big[0] = '{';
    big[(2 << 20) - 1] = '}';
    cr_expect_eq(code_of(big, 2 << 20), EXIT_DAMAGED);
    free(big);
}
