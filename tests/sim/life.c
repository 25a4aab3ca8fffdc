#include "tests/sim/life.h"
#include "tests/sim/clients.h"
#include "tests/sim/disk.h"
#include "tests/sim/world.h"

#include <stdio.h>

void life_begin(const struct life_options *o)
{
    static char shards[8];
    static const char *arguments[32];
    const char *const list[] = {"hourglassd",
                                "--data",
                                "/sim",
                                "--definitions",
                                "/sim-definitions",
                                "--ingest",
                                "tcp://127.0.0.1:24224",
                                "--admin",
                                "unix:///sim/admin.sock",
                                "--hash-secret",
                                "00112233445566778899aabbccddeeff",
                                "--log-segment",
                                o->log_segment,
                                "--snapshot-every",
                                o->snapshot_every,
                                "--shards",
                                shards,
                                o->keeps_log ? "--log-keep" : NULL,
                                "all"};
    int n = 0;
    while (sim_disk_in_flight()) CHECK(world_step());
    snprintf(shards, sizeof shards, "%u", o->shards);
    for (; n < (int)(sizeof list / sizeof *list) && list[n]; n++) arguments[n] = list[n];
    arguments[n] = NULL;
    shared->lives++;
    operator_life_begins();
    story("== life %u, %s threads", shared->lives, shards);
    extern int optind;
    optind = 0;
    node_start(n, (char **)(uintptr_t)arguments);
}

void life_over(void)
{
    senders_machine_died();
    operator_machine_died();
}

bool life_goes_on(void) { return node_state() != NODE_ENDED && node_state() != NODE_OFF; }

void life_recovered(const struct engine *e)
{
    story("node: recovered, LSN %llu, %llu records replayed, %llu bytes of a torn tail",
          (unsigned long long)e->recovered.lsn_sum, (unsigned long long)e->recovered.records,
          (unsigned long long)e->recovered.cut_bytes);
    shared->torn += e->recovered.cut_bytes > 0;
}
