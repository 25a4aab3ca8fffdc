/* control.c - commands that change something, and the raw call. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/define/define.h"
#include "tools/hourglass/ask.h"
#include "tools/hourglass/commands.h"
#include "tools/hourglass/dryrun.h"
#include "tools/hourglass/json.h"

/* Parameters as typed: a list is the parameter list, anything else the only parameter. */
static void call_params(const char *text, struct buf *out)
{
    struct json_error e;
    if (*text && text[strspn(text, " \t\r\n")] != '[') buf_put_u8(out, 0x91);
    if (*text == 0)
        buf_put_u8(out, 0x90);
    else if (!json_to_msgpack(slice_str(text), 1, out, &e))
        die(EXIT_USAGE, "parameters:%u:%u: %s; they are JSON: a text stands in double quotes", e.line,
            e.column, e.reason);
}

int run_call(struct cli *c)
{
    struct buf params = {0};
    struct slice result;
    struct rpc_error e;
    call_params(c->argc > 1 ? c->argv[1] : "", &params);
    struct rpc *rpc = rpc_connect(cli_setting(c, "admin"));
    if (!rpc_call(rpc, c->argv[0], buf_slice(&params), &result, &e)) rpc_die(&e);
    buf_free(&params);
    int code = print_json(c, result);
    rpc_close(rpc);
    return code;
}

int run_snapshot(struct cli *c)
{
    struct slice reply = ask(c, "snapshot.start", NULL);
    if (c->json) return print_json(c, reply);
    printf("snapshot %lld is written\n", (long long)view_int(reply, "number"));
    return EXIT_OK;
}

/* The server may stand in another directory than we do. */
static const char *absolute(const char *path)
{
    static char out[PATH_MAX];
    char here[PATH_MAX];
    if (*path == '/') return path;
    if (!getcwd(here, sizeof here)) die(EXIT_FAILED, "%s: %s", path, strerror(errno));
    if (snprintf(out, sizeof out, "%s/%s", here, path) >= (int)sizeof out)
        die(EXIT_USAGE, "%s: the path is too long", path);
    return out;
}

int run_backup(struct cli *c)
{
    struct request r = {0};
    const char *dir = absolute(c->argv[0]);
    request_text(&r, "dir", dir);
    struct slice reply = ask(c, "backup.start", &r);
    if (c->json) return print_json(c, reply);
    printf("%s: %lld files, %lld bytes of them copied\n", dir, (long long)view_int(reply, "files"),
           (long long)view_int(reply, "copied_bytes"));
    return EXIT_OK;
}

/* `files: {name: text}`: the server checks what it gets, wherever it runs. */
static void pack_sources(const char *dir, struct buf *out)
{
    struct diagnostics d;
    struct buf text = {0};
    uint8_t header[5];
    uint32_t count = 0;
    diagnostics_init(&d);
    struct source_file *files = sources_read(dir, &count, &d);
    if (!files || d.errors) {
        diagnostics_print(&d, &text);
        if (text.n) fwrite(text.p, 1, text.n, stderr);
        exit(EXIT_WRONG);
    }
    buf_put(out, header, (size_t)(mpw_map(header, count) - header));
    for (uint32_t i = 0; i < count; i++) {
        buf_reserve(out, files[i].name.n + files[i].text.n + 64);
        uint8_t *p = mpw_str(mpw_str(out->p + out->n, files[i].name), files[i].text);
        out->n = (size_t)(p - out->p);
    }
    diagnostics_free(&d);
    buf_free(&text);
}

int run_apply(struct cli *c)
{
    struct buf files = {0};
    struct request r = {0};
    if (cli_option(c, "dry-run")) return dry_run(c, c->argv[0]);
    pack_sources(c->argv[0], &files);
    request_raw(&r, "files", buf_slice(&files));
    struct slice reply = ask(c, "definitions.apply", &r);
    buf_free(&files);
    return c->json ? print_json(c, reply) : print_applied(reply, NULL);
}
