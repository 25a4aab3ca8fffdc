/* explain.c - `why` and `segment explain`: decisions with their reasons, expressions with their values. */
#include <stdio.h>

#include "tools/hourglass/ask.h"
#include "tools/hourglass/commands.h"
#include "tools/hourglass/json.h"

#define SHOWN(slice) (int)(slice).n, (const char *)(slice).p
enum { VALUE_WIDTH = 12 };

/* ---- expressions -------------------------------------------------------------------------------------- */

static void print_value(struct slice part, struct buf *out)
{
    struct slice value = view(part, "value"), unknown = view_text(part, "unknown"),
                 type = view_text(part, "type");
    if (unknown.n)
        buf_put_str(out, "unknown");
    else if (is_nil(value))
        buf_put_str(out, "-");
    else if (slice_is(type, "time") || slice_is(type, "duration"))
        view_print(value, out);
    else
        json_print(value, 0, out);
}

static const char *color_of(const struct cli *c, struct slice part)
{
    struct slice truth = view(part, "true"), value = view(part, "value");
    bool decides = is_true(truth) || (value.n == 1 && value.p[0] == 0xc2);
    if (!c->color) return "";
    if (!is_nil(view(part, "unknown")) || !is_nil(view(part, "event_at"))) return "\033[33m";
    return !decides ? "" : is_true(truth) ? "\033[32m" : "\033[31m";
}

static void put_when(struct slice map, const char *key, const char *before, struct buf *out)
{
    if (is_nil(view(map, key)) || view_int(map, key) == 0) return;
    buf_put_str(out, before);
    print_time(view(map, key), out);
}

/* "  true          count("Order Completed") > 0   may change 2011-12-20 10:00:00"
 * "  49.5          e.total   of the last one, 2011-12-02 10:00:00" */
static void print_part(const struct cli *c, struct slice part, struct buf *out)
{
    struct buf value = {0};
    struct slice text = view_text(part, "text"), unknown = view_text(part, "unknown");
    const char *color = color_of(c, part);
    print_value(part, &value);
    buf_printf(out, "  %s%-*.*s%s %*s%.*s", color, VALUE_WIDTH, SHOWN(buf_slice(&value)),
               *color ? "\033[0m" : "", 2 * (int)view_int(part, "depth"), "", SHOWN(text));
    put_when(part, "next_change", "   may change ", out);
    put_when(part, "event_at", "   of the last one, ", out);
    if (unknown.n) buf_printf(out, "%s %.*s", is_nil(view(part, "event_at")) ? "  " : ":", SHOWN(unknown));
    buf_put_u8(out, '\n');
    buf_free(&value);
}

static void print_parts(const struct cli *c, struct slice parts, struct buf *out)
{
    for (struct items i = items_of(parts); items_next(&i);) print_part(c, i.value, out);
}

int segment_explain(struct cli *c)
{
    struct request r = {0};
    struct buf out = {0};
    request_text(&r, "name", c->argv[0]);
    request_text(&r, "id", c->argv[1]);
    struct slice reply = ask(c, "segment.explain", &r);
    if (c->json) return print_json(c, reply);
    bool member = is_true(view(reply, "member"));
    buf_printf(&out, "%s is %sin %s", c->argv[1], member ? "" : "not ", c->argv[0]);
    buf_put_str(&out, member ? " since " : is_nil(view(reply, "left")) ? "" : ", left at ");
    if (member || !is_nil(view(reply, "left"))) print_time(view(reply, member ? "entered" : "left"), &out);
    if (is_nil(view(reply, "next_change"))) {
        buf_put_str(&out, "; time alone changes nothing");
    } else {
        buf_put_str(&out, "; time alone changes nothing before ");
        print_time(view(reply, "next_change"), &out);
    }
    buf_put_str(&out, "\n\n");
    print_parts(c, view(reply, "parts"), &out);
    if (member != is_true(view(reply, "value")))
        buf_put_str(
            &out, "\nThe answer has just changed: the membership follows with the next record or wake-up.\n");
    put_out(&out);
    buf_free(&out);
    return EXIT_OK;
}

/* ---- why ------------------------------------------------------------------------------------------------ */

static void put_title(const char *title, struct buf *out) { buf_printf(out, "  %-9s ", title); }

static void put_counted(struct slice j, struct buf *out)
{
    int64_t entries = view_int(j, "entries");
    buf_printf(out, "; %s %lld time%s", is_true(view(j, "held_out")) ? "held out" : "entered",
               (long long)entries, entries == 1 ? "" : "s");
}

static void print_last(struct slice j, struct buf *out)
{
    struct slice text = view_text(j, "text"), step = view_text(j, "step");
    put_title("last", out);
    buf_put_slice(out, text);
    if (is_nil(view(j, "at"))) {
        buf_put_u8(out, '\n');
        return;
    }
    put_when(j, "until", " until ", out);
    if (step.n) buf_printf(out, " at step %.*s", SHOWN(step));
    put_when(j, "at", ", decided ", out);
    put_counted(j, out);
    put_when(j, "last_entry", ", last ", out);
    put_when(j, "last_end", ", ended ", out);
    buf_put_u8(out, '\n');
}

/* " from 1 to 2, now 1" */
static void print_change(struct slice t, struct buf *out)
{
    struct slice from = view_text(t, "from"), to = view_text(t, "to");
    if (from.n) buf_printf(out, " from %.*s", SHOWN(from));
    if (to.n) buf_printf(out, " to %.*s", SHOWN(to));
    if (!slice_is(view_text(t, "kind"), "attribute_changed")) return;
    buf_put_str(out, ", now ");
    if (is_nil(view(t, "value")))
        buf_put_str(out, "missing");
    else
        json_print(view(t, "value"), 0, out);
}

/* "segment_entered vip: inside since 2026-03-01 10:02:00" */
static void print_trigger(const struct cli *c, struct slice t, struct buf *out)
{
    struct slice kind = view_text(t, "kind"), name = view_text(t, "name");
    put_title("trigger", out);
    buf_printf(out, "%.*s%s%.*s", SHOWN(kind), name.n ? " " : "", SHOWN(name));
    if (!is_nil(view(t, "member"))) {
        bool member = is_true(view(t, "member")), known = !is_nil(view(t, "since"));
        buf_put_str(out, member ? ": inside" : known ? ": not inside" : ": was never inside");
        put_when(t, "since", " since ", out);
    }
    put_when(t, "next", ": next ", out);
    print_change(t, out);
    buf_put_str(out, items_of(view(t, "where")).left ? ", where\n" : "\n");
    print_parts(c, view(t, "where"), out);
}

/* What has to happen to a membership before a trigger that waits for it can come. */
static void print_membership(struct slice j, bool member, struct buf *out)
{
    struct items triggers = items_of(view(j, "triggers"));
    items_next(&triggers);
    struct slice name = view_text(triggers.value, "name");
    bool entering = slice_is(view_text(triggers.value, "kind"), "segment_entered");
    buf_printf(out, "%s segment %.*s; %s it starts the journey", member ? "in" : "not in", SHOWN(name),
               entering ? "entering" : "leaving");
    if (entering == member) buf_printf(out, ", so it has to be %s first", entering ? "left" : "entered");
}

static void print_now(struct slice j, struct buf *out)
{
    static const char *const TEXTS[][2] = {
        {"not_live", "takes nobody: not live, or outside `active`"},
        {"removed", "takes nobody: it was removed; who is inside finishes as it was"},
        {"paused", "paused for this person by a step of a journey"},
        {"already_inside", "already inside; another trigger is ignored"},
        {"held_out", "in the holdout: counted for comparison, nothing is sent"},
        {"reentry", "may not enter again"},
        {"no_date", "no date to start at"},
        {"where", "its trigger's `where` is false, whatever the event brings"},
        {"not_eligible", "only_if is false"},
        {"depends on the event", "its trigger would start it, if the event itself passes"}};
    struct slice word = view_text(j, "in_the_way");
    const char *text =
        is_nil(view(j, "inside")) ? "its trigger would start it" : "its trigger would start it anew";
    struct items triggers = items_of(view(j, "triggers"));
    if (triggers.left == 1 && items_next(&triggers) && slice_is(view_text(triggers.value, "kind"), "manual"))
        text = "an operator starts it: `hourglass journey enroll`";
    put_title("now", out);
    for (uint32_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++)
        if (slice_is(word, TEXTS[i][0])) text = TEXTS[i][1];
    if (slice_is(word, "in_segment") || slice_is(word, "not_in_segment"))
        print_membership(j, slice_is(word, "in_segment"), out);
    else
        buf_put_str(out, text);
    if (slice_is(word, "reentry") && is_nil(view(j, "reentry.from"))) buf_put_str(out, ": once in a life");
    if (slice_is(word, "reentry")) put_when(j, "reentry.from", " before ", out);
    if (slice_is(word, "paused")) put_when(j, "paused_until", ", until ", out);
    buf_put_u8(out, '\n');
}

static void print_inside(struct slice inside, struct buf *out)
{
    struct slice step = view_text(inside, "step"), does = view_text(inside, "does");
    bool held_out = slice_is(view_text(inside, "state"), "held_out");
    if (is_nil(inside)) return;
    put_title(held_out ? "held out" : "inside", out);
    if (!held_out) buf_printf(out, "%.*s at step %.*s", SHOWN(does), SHOWN(step));
    put_when(inside, "since", held_out ? "since " : " since ", out);
    put_when(inside, "until", ", until ", out);
    put_when(inside, "ends", held_out ? ", compared until " : "; ends at the latest ", out);
    if (!held_out) put_when(inside, "entered_at", "; entered ", out);
    buf_put_u8(out, '\n');
}

static void print_finished(struct slice finished, struct buf *out)
{
    if (is_nil(finished)) return;
    put_title("finished", out);
    put_when(finished, "entered_at", "entered ", out);
    put_when(finished, "converted_at", ", goal reached ", out);
    if (!is_nil(view(finished, "goal_until")))
        put_when(finished, "goal_until", "; its goal still counts until ", out);
    else
        put_when(finished, "forgotten_at", "; its key may enter again from ", out);
    buf_put_u8(out, '\n');
}

static void print_holdout(struct slice j, struct buf *out)
{
    double own = (double)view_int(j, "holdout_ppm") / 1e4,
           global = (double)view_int(j, "holdout_global_ppm") / 1e4;
    if (own == 0 && global == 0) return;
    put_title("holdout", out);
    if (own > 0) buf_printf(out, "%g%% of people", own);
    if (global > 0) buf_printf(out, "%s%g%% of people in all journeys", own > 0 ? " and " : "", global);
    buf_put_str(out, is_true(view(j, "held_out")) ? "; this one is among them\n" : "; not this one\n");
}

static void print_span(int64_t s, struct buf *out)
{
    if (s % 86400 == 0)
        buf_printf(out, "%lldd", (long long)s / 86400);
    else if (s % 3600 == 0)
        buf_printf(out, "%lldh", (long long)s / 3600);
    else
        buf_printf(out, "%llds", (long long)s);
}

static void print_channel(struct slice ch, struct buf *out)
{
    struct slice name = view_text(ch, "channel"), consent = view_text(ch, "consent"),
                 topic = view_text(ch, "topic");
    buf_printf(out, "  %-9.*s consent %.*s", SHOWN(name), SHOWN(consent));
    if (topic.n) buf_printf(out, " for %.*s", SHOWN(topic));
    buf_put_str(out, is_true(view(ch, "address")) ? ", address ok" : ", no address");
    for (struct items i = items_of(view(ch, "caps")); items_next(&i);) {
        buf_printf(out, ", %lld of %lld per ", (long long)view_int(i.value, "used"),
                   (long long)view_int(i.value, "max"));
        print_span(view_int(i.value, "window_s"), out);
        put_when(i.value, "free_at", " (full until ", out);
        if (!is_nil(view(i.value, "free_at"))) buf_put_u8(out, ')');
    }
    put_when(ch, "quiet_until", ", quiet until ", out);
    buf_put_u8(out, '\n');
}

static void print_journey(const struct cli *c, struct slice j, struct buf *out)
{
    struct slice name = view_text(j, "journey"), state = view_text(j, "state");
    if (out->n) buf_put_u8(out, '\n');
    buf_printf(out, "%s%.*s%s (%.*s)\n", c->color ? "\033[1m" : "", SHOWN(name), c->color ? "\033[0m" : "",
               SHOWN(state));
    print_last(j, out);
    print_now(j, out);
    for (struct items i = items_of(view(j, "triggers")); items_next(&i);) print_trigger(c, i.value, out);
    print_inside(view(j, "inside"), out);
    print_finished(view(j, "finished"), out);
    if (items_of(view(j, "only_if")).left) {
        buf_put_str(out, "  only_if\n");
        print_parts(c, view(j, "only_if"), out);
    }
    for (struct items i = items_of(view(j, "channels")); items_next(&i);) print_channel(i.value, out);
    if (!is_nil(view(j, "muted_until"))) put_title("muted", out);
    put_when(j, "muted_until", "until ", out);
    if (!is_nil(view(j, "muted_until"))) buf_put_u8(out, '\n');
    print_holdout(j, out);
}

int run_why(struct cli *c)
{
    struct request r = {0};
    struct buf out = {0};
    request_text(&r, "id", c->argv[0]);
    request_text(&r, "journey", c->argc > 1 ? c->argv[1] : NULL);
    struct slice reply = ask(c, "profile.why", &r);
    if (c->json) return print_json(c, reply);
    for (struct items i = items_of(reply); items_next(&i);) print_journey(c, i.value, &out);
    buf_put_str(&out, out.n ? "\ntimes are in UTC\n" : "no journey is live\n");
    put_out(&out);
    buf_free(&out);
    return EXIT_OK;
}
