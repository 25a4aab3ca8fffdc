/* preview.c - `preview TEMPLATE --profile ID`: what one person would read, for each step that uses the template; and
 * `send-test`, which lets somebody read it. */
#include <stdio.h>

#include "tools/hourglass/ask.h"
#include "tools/hourglass/commands.h"

#define SHOWN(slice) (int)(slice).n, (const char *)(slice).p

static void print_fields(struct slice fields, struct buf *out)
{
    for (struct items i = items_of(fields); items_next(&i);) {
        struct slice text = view_text(i.value, "");
        buf_printf(out, "    %.*s: ", SHOWN(i.key));
        if (text.n)
            for (uint32_t k = 0; k < text.n; k++) {
                buf_put_u8(out, text.p[k]);
                if (text.p[k] == '\n' && k + 1 < text.n) buf_put_str(out, "      ");
            }
        else
            view_print(i.value, out);
        buf_put_u8(out, '\n');
    }
}

/* " (not inside: `trigger` is the last Order Completed, 2026-03-01 12:00:00)" */
static void print_trigger(struct slice use, struct buf *out)
{
    struct slice event = view_text(use, "trigger_event");
    if (is_true(view(use, "inside"))) return;
    buf_put_str(out, " (not inside");
    if (event.n && is_nil(view(use, "trigger_at")))
        buf_printf(out, ": no %.*s of this person is kept, so what `trigger` brings is missing",
                   SHOWN(event));
    else if (event.n) {
        buf_printf(out, ": `trigger` is the last %.*s, ", SHOWN(event));
        print_time(view(use, "trigger_at"), out);
    }
    buf_put_u8(out, ')');
}

static void print_use(struct slice use, struct buf *out)
{
    struct slice journey = view_text(use, "journey"), step = view_text(use, "step");
    if (out->n) buf_put_u8(out, '\n');
    buf_printf(out, "%.*s, step %.*s", SHOWN(journey), SHOWN(step));
    print_trigger(use, out);
    buf_put_u8(out, '\n');
    if (is_true(view(use, "opaque"))) buf_put_str(out, "  rendered by its receiver, from the vars below\n");
    for (struct items i = items_of(view(use, "parts")); items_next(&i);) {
        struct slice channel = view_text(i.value, "channel"), template = view_text(i.value, "template");
        buf_printf(out, "  %.*s (%.*s)%s\n", SHOWN(channel), SHOWN(template),
                   is_true(view(i.value, "missing")) ? ": a value is missing" : "");
        print_fields(view(i.value, "fields"), out);
    }
    if (items_of(view(use, "vars")).left) buf_put_str(out, "  vars\n");
    print_fields(view(use, "vars"), out);
}

int run_preview(struct cli *c)
{
    struct request r = {0};
    struct buf out = {0};
    const char *id = cli_option(c, "profile");
    request_text(&r, "template", c->argv[0]);
    request_text(&r, "id", id);
    struct slice reply = ask(c, "template.preview", &r);
    if (items_of(reply).left == 0) die(EXIT_FAILED, "no step of a journey uses a template '%s'", c->argv[0]);
    if (c->json) return print_json(c, reply);
    for (struct items i = items_of(reply); items_next(&i);) print_use(i.value, &out);
    put_out(&out);
    buf_free(&out);
    return EXIT_OK;
}

int run_send_test(struct cli *c)
{
    struct request r = {0};
    const char *to = cli_option(c, "to"), *id = cli_option(c, "profile");
    request_text(&r, "journey", c->argv[0]);
    request_text(&r, "step", c->argv[1]);
    request_text(&r, "to", to);
    request_text(&r, "id", id);
    struct rpc *rpc = rpc_connect(cli_setting(c, "admin"));
    struct buf params = {0};
    struct slice reply;
    struct rpc_error e;
    if (!rpc_call(rpc, "actions.test", request_params(&r, &params), &reply, &e)) {
        if (!id && slice_is(e.message, "nobody has this id"))
            die(EXIT_FAILED,
                "%s is nobody's address here: say whose values the message shows, with --profile ID", to);
        rpc_die(&e);
    }
    int code = EXIT_OK;
    if (c->json)
        code = print_json(c, reply);
    else
        printf("action %.*s is on its way to %s\n", SHOWN(view_text(reply, "action_id")), to);
    request_free(&r);
    buf_free(&params);
    rpc_close(rpc);
    return code;
}
