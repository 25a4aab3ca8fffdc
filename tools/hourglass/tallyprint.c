/* tallyprint.c - the report of a dry run for people. */
#include <time.h>

#include "tools/hourglass/cli.h"
#include "tools/hourglass/tally.h"
#include "tools/hourglass/view.h"

static void put_second(struct slice report, const char *key, struct buf *out)
{
    char date[32];
    iso8601_print(view_int(report, key) * 1000, date);
    buf_printf(out, "%.10s", date);
}

static void put_count(struct slice map, const char *key, const char *word, struct buf *out)
{
    print_grouped(view_int(map, key), out);
    buf_printf(out, " %s", word);
}

/* "email     1,234 actions on 31 days, most on 2026-03-08: 99" */
static void print_channel(struct slice channel, struct buf *out)
{
    struct slice name = view_text(channel, "name"), busiest = {0};
    uint32_t days = 0;
    int64_t most = 0;
    for (struct items i = items_of(view(channel, "days")); items_next(&i); days++)
        if (view_int(i.value, "") > most) most = view_int(i.value, ""), busiest = i.key;
    buf_printf(out, "  %-16.*s ", SHOWN(name));
    put_count(channel, "actions", "actions", out);
    buf_printf(out, " on %u day%s, most on %.*s: ", days, days == 1 ? "" : "s", SHOWN(busiest));
    print_grouped(most, out);
    buf_put_u8(out, '\n');
}

static void print_held(struct slice journey, const char *key, const char *word, struct buf *out)
{
    for (struct items i = items_of(view(journey, key)); items_next(&i);) {
        struct slice name = view_text(journey, "name");
        buf_printf(out, "  %-24.*s %s: %.*s ", SHOWN(name), word, SHOWN(i.key));
        print_grouped(view_int(i.value, ""), out);
        buf_put_u8(out, '\n');
    }
}

static void print_all_held(struct slice report, struct buf *out)
{
    struct buf lines = {0};
    for (struct items i = items_of(view(report, "journeys")); items_next(&i);) {
        print_held(i.value, "suppressed", "not sent", &lines);
        print_held(i.value, "deferred", "sent later", &lines);
    }
    if (lines.n) buf_put_str(out, "\nheld back\n");
    buf_put_slice(out, buf_slice(&lines));
    buf_free(&lines);
}

static void print_inside(struct slice report, struct buf *out)
{
    struct items i = items_of(view(report, "people_inside"));
    if (i.left) buf_put_str(out, "\npeople inside now\n");
    while (items_next(&i)) {
        struct slice name = view_text(i.value, "name"), change = view_text(i.value, "change");
        buf_printf(out, "  %-24.*s %.*s: ", SHOWN(name), SHOWN(change));
        put_count(i.value, "stay", "stay on their version, ", out);
        put_count(i.value, "move", "move, ", out);
        put_count(i.value, "leave", "leave\n", out);
    }
}

void tally_print(struct slice report, struct buf *out)
{
    static const char *const COLUMNS[] = {
        "name=journey", "entered",           "inside", "goal", "exited", "timeout", "completed",
        "converted",    "held_out=held out", NULL};
    put_count(report, "events", "kept events of ", out);
    put_count(report, "people", "people, ", out);
    put_second(report, "from", out);
    buf_put_str(out, " to ");
    put_second(report, "until", out);
    buf_put_str(out, "; nobody was touched\n");
    put_count(report, "affected", "people would have entered a journey, ", out);
    put_count(report, "entries", "times; ", out);
    put_count(report, "actions", "actions\n\n", out);
    view_table(view(report, "journeys"), COLUMNS, out);
    if (items_of(view(report, "channels")).left) buf_put_str(out, "\nchannels\n");
    for (struct items i = items_of(view(report, "channels")); items_next(&i);) print_channel(i.value, out);
    print_all_held(report, out);
    print_inside(report, out);
    buf_put_str(out, "\nnot known\n");
    for (struct items i = items_of(view(report, "unknown")); items_next(&i);) {
        struct slice line = view_text(i.value, "");
        buf_printf(out, "  %.*s\n", SHOWN(line));
    }
}
