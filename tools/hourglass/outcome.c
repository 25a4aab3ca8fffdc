/* outcome.c - an outcome is an ordinary event that names its action. */
#include "tools/hourglass/outcome.h"

#include <msgpack/pack.h>

#include "core/define/table.h"
#include "core/model/value.h"
#include "tools/hourglass/view.h"

static const char *const WORDS[][3] = {
    {"delivered", "deliver", "Message Delivered"},    {"opened", "open", "Message Opened"},
    {"clicked", "click", "Message Clicked"},          {"replied", "reply", "Message Replied"},
    {"bounced", "bounce", "Message Bounced"},         {"failed", "fail", "Message Failed"},
    {"complained", "complain", "Message Complained"}, {"shown", "show", "Message Shown"},
    {"dismissed", "dismiss", "Message Dismissed"}};
enum { WORD_COUNT = sizeof WORDS / sizeof *WORDS };

struct slice outcome_event(struct slice word)
{
    for (uint32_t i = 0; i < WORD_COUNT; i++)
        if (slice_is(word, WORDS[i][0]) || slice_is(word, WORDS[i][1])) return slice_str(WORDS[i][2]);
    return (struct slice){0};
}

const char *outcome_words(struct slice word, struct arena *a)
{
    const char *list[WORD_COUNT], *all = WORDS[0][1];
    for (uint32_t i = 0; i < WORD_COUNT; i++) list[i] = WORDS[i][1];
    for (uint32_t i = 1; i < WORD_COUNT; i++) all = arena_printf(a, "%s, %s", all, list[i]);
    const char *near = nearest_word(word, list, WORD_COUNT, a);
    return near ? near : arena_printf(a, "there are %s", all);
}

static void pack_text(msgpack_packer *pk, struct slice s) { msgpack_pack_str_with_body(pk, s.p, s.n); }

static void pack_pair(msgpack_packer *pk, struct slice key, struct slice value)
{
    pack_text(pk, key);
    pack_text(pk, value);
}

struct slice outcome_pack(struct arena *a, struct slice action, struct slice event, uint32_t at)
{
    struct buf b = {0};
    msgpack_packer pk;
    char time[32];
    struct slice user = view_text(action, "profile.user_id"), action_id = view_text(action, "action_id");
    msgpack_packer_init(&pk, &b, buf_msgpack_write);
    msgpack_pack_map(&pk, 6);
    pack_pair(&pk, SLICE("type"), SLICE("track"));
    if (user.n)
        pack_pair(&pk, SLICE("userId"), user);
    else
        pack_pair(&pk, SLICE("anonymousId"), view_text(action, "profile.anonymous_id"));
    pack_pair(&pk, SLICE("event"), event);
    pack_text(&pk, SLICE("properties"));
    msgpack_pack_map(&pk, 2);
    pack_pair(&pk, SLICE("action_id"), action_id);
    pack_pair(&pk, SLICE("channel"), view_text(action, "channel"));
    pack_text(&pk, SLICE("messageId"));
    pack_text(&pk, slice_str(arena_printf(a, "%.*s of %.*s at %u", (int)event.n, (const char *)event.p,
                                          (int)action_id.n, (const char *)action_id.p, at)));
    pack_pair(&pk, SLICE("timestamp"), slice_of(time, iso8601_print((int64_t)at * 1000, time)));
    struct slice record = arena_slice(a, buf_slice(&b));
    buf_free(&b);
    return record;
}
