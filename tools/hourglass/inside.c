/* inside.c - people inside, before and after definitions change: they finish on the version they entered. */
#include "tools/hourglass/inside.h"

#include <msgpack/pack.h>
#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/msgpack.h"
#include "tools/hourglass/cli.h"
#include "tools/hourglass/view.h"

/* What runs now, compiled as the server did; the empty set where nothing was applied yet. */
static struct defset *running_set(struct rpc *rpc)
{
    struct slice files = view(rpc_call_or_die(rpc, "definitions.get", NULL), "files");
    struct items i = items_of(files);
    struct source_file *list = calloc(i.left + 1u, sizeof *list);
    struct diagnostics d;
    uint32_t count = 0;
    if (!list) die(EXIT_FAILED, "no memory");
    for (; items_next(&i); count++) list[count] = (struct source_file){i.key, view_text(i.value, "")};
    diagnostics_init(&d);
    struct defset *set = count ? defset_compile(list, count, NULL, NULL, &d) : defset_empty();
    if (!set) die(EXIT_FAILED, "this program does not understand the definitions that the server runs");
    diagnostics_free(&d);
    free(list);
    return set;
}

static uint64_t people_inside(struct slice journeys, struct slice name)
{
    for (struct items i = items_of(journeys); items_next(&i);)
        if (slice_eq(view_text(i.value, "name"), name)) return (uint64_t)view_int(i.value, "counters.active");
    return 0;
}

static void pair(msgpack_packer *pk, const char *key, uint64_t v)
{
    msgpack_pack_str_with_body(pk, key, strlen(key));
    msgpack_pack_uint64(pk, v);
}

static void text_pair(msgpack_packer *pk, const char *key, struct slice text)
{
    msgpack_pack_str_with_body(pk, key, strlen(key));
    msgpack_pack_str_with_body(pk, text.p, text.n);
}

/* `after` continues `before`: the ids are the same, and a version that is not kept would put its people out. */
static bool pack_journey(msgpack_packer *pk, const struct journey *j, const struct journey_set *after,
                         uint64_t people)
{
    const struct journey *now = j->id < after->journey_count ? after->journeys[j->id] : NULL;
    if (!people || (now && now->version == j->version)) return false;
    uint64_t stay = journey_version(after, j->id, j->version) ? people : 0;
    msgpack_pack_map(pk, 6);
    text_pair(pk, "name", j->name);
    text_pair(pk, "change", now ? SLICE("changed") : SLICE("removed"));
    pair(pk, "people", people);
    pair(pk, "stay", stay);
    pair(pk, "move", 0); /* nobody is put onto another version */
    pair(pk, "leave", people - stay);
    return true;
}

void inside_pack(struct rpc *rpc, const struct defset *next, struct buf *out)
{
    struct diagnostics d;
    struct buf list = {0};
    msgpack_packer pk;
    uint32_t count = 0;
    struct defset *before = running_set(rpc);
    diagnostics_init(&d);
    struct defset *after = defset_compile(next->files, next->file_count, before, NULL, &d);
    if (!after)
        die(EXIT_WRONG, "the server would refuse this in place of what it runs: `hourglass apply` says why");
    struct slice journeys = rpc_call_or_die(rpc, "journey.list", NULL);
    msgpack_packer_init(&pk, &list, buf_msgpack_write);
    for (uint32_t i = 0; i < before->journeys.journey_count; i++) {
        const struct journey *j = before->journeys.journeys[i];
        count += j && pack_journey(&pk, j, &after->journeys, people_inside(journeys, j->name));
    }
    msgpack_packer_init(&pk, out, buf_msgpack_write);
    msgpack_pack_array(&pk, count);
    buf_put_slice(out, buf_slice(&list));
    buf_free(&list);
    diagnostics_free(&d);
    defset_free(after);
    defset_free(before);
}
