/* dryrun.c - `apply DIR --dry-run`. */
#include "tools/hourglass/dryrun.h"

#include <stdio.h>

#include "tools/hourglass/inside.h"
#include "tools/hourglass/json.h"
#include "tools/hourglass/load.h"
#include "tools/hourglass/tally.h"
#include "tools/hourglass/view.h"

/* Holdouts and splits are hashes of id texts; the secret only spreads people over shards. */
static struct machine *play(struct history *h, const struct defset *set, struct tally *t)
{
    struct hash_secret secret;
    struct buf message = {0};
    hash_secret_from_seed(&secret, SLICE("dry run"));
    struct machine_config config = {.set = set,
                                    .secret = &secret,
                                    .start = h->event_count ? h->events[0].at : h->as_of,
                                    .want_transitions = true,
                                    .self = t,
                                    .on_effect = tally_effect};
    struct machine *m = machine_create(&config);
    if (!m) die(EXIT_FAILED, "no memory");
    for (uint64_t i = 0; i < h->event_count && h->events[i].at <= h->as_of; i++, t->messages++) {
        machine_advance(m, h->events[i].at);
        history_message(h, i, &set->schema, &message);
        machine_event(m, buf_slice(&message), (int64_t)h->events[i].at * 1000);
    }
    if (h->as_of > machine_now(m)) machine_advance(m, h->as_of);
    buf_free(&message);
    return m;
}

int dry_run(struct cli *c, const char *dir)
{
    struct history history;
    struct tally tally;
    struct buf report = {0}, inside = {0}, out = {0};
    struct defset *set = load_definitions(dir, EXIT_WRONG);
    struct rpc *rpc = rpc_connect(cli_setting(c, "admin"));
    history_fetch(rpc, &history);
    inside_pack(rpc, set, &inside);
    rpc_close(rpc);
    history_sort(&history);
    tally_init(&tally, set);
    struct machine *m = play(&history, set, &tally);
    tally_pack(&tally, m, &history, buf_slice(&inside), &report);
    if (c->json) {
        json_print(buf_slice(&report), c->tty ? 2 : 0, &out);
        buf_put_u8(&out, '\n');
    } else {
        tally_print(buf_slice(&report), &out);
    }
    put_out(&out);
    machine_destroy(m);
    tally_free(&tally);
    history_free(&history);
    defset_free(set);
    buf_free(&report);
    buf_free(&inside);
    buf_free(&out);
    return EXIT_OK;
}
