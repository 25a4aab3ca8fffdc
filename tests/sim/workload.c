#include "tests/sim/workload.h"
#include "tests/sim/clients.h"
#include "tests/sim/disk.h"
#include "tests/sim/life.h"
#include "tests/sim/model.h"
#include "tests/sim/net.h"
#include "tests/sim/oracle.h"
#include "tests/sim/world.h"

#include <signal.h>

enum { MS = 1000, S = 1000000, PATIENCE_S = 60, GIVING_UP_S = 4 };
enum end { KILL, CUT, STOP };

struct life {
    uint32_t events; /* made in it, half of them before the snapshot */
    int definitions; /* read again in its middle; -1: not */
    uint32_t shards;
    bool snapshot, recycles;
    enum end end;
};
static const struct life lives[] = {
    {30, -1, 2, true, false, KILL}, {30, 1, 2, true, false, CUT},  {20, -1, 1, true, false, STOP},
    {20, 2, 2, true, true, KILL},   {20, -1, 3, true, true, KILL}, {20, -1, 2, true, true, CUT},
    {10, -1, 1, false, true, STOP},
};
enum { LIVES = sizeof lives / sizeof *lives };

struct workload_fault workload_fault;
static struct {
    bool stopping, log_is_whole;
    uint32_t events_wanted, snapshots_wanted;
} now;

/* ---- a life begins and ends --------------------------------------------------------------------- */

static void recovered(struct engine *e)
{
    life_recovered(e);
    oracle_recovered(e, now.log_is_whole);
}

static void begin_life(uint32_t shards, bool recycles)
{
    now.stopping = false;
    now.log_is_whole &= !recycles;
    life_begin(&(struct life_options){shards, "128KiB", "0", !recycles});
}

static void cut_power(void)
{
    story("-- power cut");
    shared->cuts++;
    node_power_cut();
    life_over();
}

static void end_it(void (*how)(void))
{
    if (node_state() == NODE_SERVING) oracle_remember(node_engine());
    how();
    life_over();
}

/* It ended by itself: as it may? */
static void bury(void)
{
    int code = node_exit_code();
    bool allowed = (code == 0 && now.stopping) || (workload_fault.happened && code == PERSIST_IO);
    PROMISE(P7, allowed, "the node exited with %d: %s", code, node_last_log());
    workload_fault.ended = code == PERSIST_IO;
    node_kill();
    life_over();
    if (code == PERSIST_IO && workload_fault.cut_then) cut_power();
}

/* ---- letting time pass ------------------------------------------------------------------------------ */

/* False: the life is over. */
static bool until(bool (*there)(void), const char *what)
{
    uint64_t end = world_us + (workload_fault.going_on ? GIVING_UP_S : PATIENCE_S) * (uint64_t)S;
    while (!workload_fault.cut_now && life_goes_on() && !there()) {
        if (world_us > end) {
            PROMISE(P11, workload_fault.going_on,
                    "after %d seconds still not: %s; %u chunks or events are open", PATIENCE_S, what,
                    senders_open());
            story("-- the disk works again");
            workload_fault.going_on = false;
            end = world_us + PATIENCE_S * (uint64_t)S;
        }
        CHECK(world_step());
    }
    if (workload_fault.cut_now) {
        cut_power();
        return workload_fault.cut_now = false;
    }
    if (!life_goes_on()) bury();
    return life_goes_on();
}

static uint64_t wait_until_us;
static bool time_is_over(void) { return world_us >= wait_until_us; }
static void nothing(void *self, uint64_t number) { (void)self, (void)number; }

static bool pass(uint64_t us)
{
    wait_until_us = world_us + us;
    world_after(us, nothing, NULL, 0);
    return until(time_is_over, "time passes");
}

static bool is_serving(void) { return net_listening(PORT_INGEST) && net_listening(PORT_ADMIN); }
static bool is_made(void) { return sent_count >= now.events_wanted; }
static bool is_acknowledged(void) { return senders_open() == 0; }
static bool is_merged(void) { return oracle_merges_done(node_engine()); }
static bool is_settled(void) { return senders_open() == 0 && operator_finished(); }
static bool has_stopped(void) { return false; } /* until() sees it */

/* An abandoned snapshot is answered, too; nobody waits for it longer than that. */
static bool is_snapshot_answered(void) { return shared->snapshots >= now.snapshots_wanted || time_is_over(); }

static bool make_events(uint32_t n)
{
    now.events_wanted = sent_count + n;
    senders_pause(false);
    bool up = until(is_made, "all events are made");
    senders_pause(true);
    return up;
}

/* ---- lives ---------------------------------------------------------------------------------------------- */

static bool take_snapshot(void)
{
    now.snapshots_wanted = shared->snapshots + 1;
    wait_until_us = world_us + 2 * S;
    operator_snapshot();
    if (!until(is_snapshot_answered, "a snapshot is answered")) return false;
    EXPECT(shared->snapshots == now.snapshots_wanted || workload_fault.happened, "a snapshot was not taken");
    return true;
}

static bool serve(const struct life *l)
{
    if (!until(is_serving, "the node serves") || !make_events(l->events / 2)) return false;
    if (l->definitions >= 0) {
        node_definitions = model_definitions[l->definitions];
        node_signal(SIGHUP);
    }
    if (l->snapshot && !take_snapshot()) return false;
    if (!make_events(l->events / 2)) return false;
    return l->end != STOP || until(is_acknowledged, "everything is acknowledged");
}

static void live(const struct life *l)
{
    begin_life(l->shards, l->recycles);
    if (!serve(l)) return;
    if (l->end == KILL) end_it(node_kill);
    if (l->end == CUT) end_it(cut_power);
    if (l->end != STOP) return;
    now.stopping = true;
    node_signal(SIGTERM);
    until(has_stopped, "the node stops");
}

/* What was acknowledged is there, once, and the rest becomes so. False: an operation failed in this very life. */
static bool last_life(void)
{
    story("== the last life");
    workload_fault = (struct workload_fault){.ended = workload_fault.ended};
    begin_life(2, !now.log_is_whole);
    bool up = until(is_serving, "the node serves") && until(is_merged, "every merge is done");
    if (up) oracle_events(node_engine(), false);
    up = up && until(is_settled, "everything is acknowledged and confirmed") && pass(2 * S) &&
         until(is_settled, "everything is confirmed");
    if (!up && workload_fault.happened) return false;
    EXPECT(up, "the node ended by itself: %s", node_last_log());
    PROMISE(P21, is_merged(), "a merge never ends");
    oracle_events(node_engine(), true);
    oracle_actions();
    story("all is well");
    return true;
}

void workload_run(void)
{
    node_definitions = model_definitions[0];
    node_recovered = recovered;
    now.log_is_whole = true;
    senders_create(EVENTS_MAX);
    senders_pause(true);
    operator_create();
    for (uint32_t i = 0; i < LIVES && !workload_fault.happened; i++) live(&lives[i]);
    while (!last_life()) continue;
}
