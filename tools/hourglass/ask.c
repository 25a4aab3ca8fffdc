/* ask.c - one question, one answer. */
#include "tools/hourglass/ask.h"

#include <time.h>

#include "core/base/check.h"
#include "tools/hourglass/json.h"

/* Replies lie in their connection's buffer: each question has its own connection, open until the program ends. */
enum { QUESTIONS_MAX = 8 };
static struct rpc *asked[QUESTIONS_MAX];

struct slice ask(struct cli *c, const char *method, struct request *r)
{
    uint32_t i = 0;
    while (asked[i]) i++;
    CHECK(i + 1 < QUESTIONS_MAX);
    asked[i] = rpc_connect(cli_setting(c, "admin"));
    return rpc_call_or_die(asked[i], method, r);
}

int print_json(struct cli *c, struct slice reply)
{
    struct buf out = {0};
    bool whole = json_print(reply, c->tty ? 2 : 0, &out);
    buf_put_u8(&out, '\n');
    put_out(&out);
    buf_free(&out);
    return whole ? EXIT_OK : EXIT_FAILED;
}

void print_time(struct slice item, struct buf *out)
{
    char text[32];
    struct mp m = mp_of(item);
    time_t at = item.n && mp_peek(&m) == MP_INT ? (time_t)mp_int(&m) : -1;
    struct tm tm;
    if (at < 0) {
        view_print(item, out);
        return;
    }
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", gmtime_r(&at, &tm));
    buf_put_str(out, at == 0 ? "-" : text);
}

bool is_true(struct slice item) { return item.n == 1 && item.p[0] == 0xc3; }
bool is_nil(struct slice item) { return item.n == 0 || item.p[0] == 0xc0; }
