#include "tests/sim/scenario.h"
#include "io/admin.h"
#include "io/snapshotter.h"
#include "tests/sim/clients.h"
#include "tests/sim/disk.h"
#include "tests/sim/life.h"
#include "tests/sim/model.h"
#include "tests/sim/net.h"
#include "tests/sim/oracle.h"
#include "tests/sim/world.h"

#include <signal.h>

const char *const fault_names[FAULT_COUNT] = {
#define X(name, text) text,
    FAULTS(X)
#undef X
};
const char *const state_names[STATE_COUNT] = {
#define X(name, text) text,
    STATES(X)
#undef X
};
_Static_assert((int)FAULT_COUNT <= (int)FAULT_KINDS && (int)STATE_COUNT <= (int)FAULT_STATES,
               "what is shared has room");

enum { MS = 1000, S = 1000000, LIVES_MAX = 9, HOUR_S = 3600, FLIPS = 4, PATIENCE_S = 600, THREADS_MAX = 3 };
static const uint32_t EVERYBODY = UINT32_MAX;

static struct {
    uint32_t definitions;
    bool power_cuts, disk_faults, log_is_whole, disk_full, was_faulty, stopping, last;
    const char *snapshot_every, *segment;
} sc;

/* ---- how the node stands ------------------------------------------------------------------------ */

static enum fault_state state_now(void)
{
    if (node_state() == NODE_OFF || node_state() == NODE_ENDED) return STATE_OFF;
    if (node_state() == NODE_STARTING) return STATE_STARTING;
    struct engine *e = node_engine();
    if (node_state() == NODE_RECOVERED || !net_listening(PORT_INGEST))
        return e->draining ? STATE_STOPPING : STATE_FRESH;
    if (sc.disk_full) return STATE_DISK_FULL;
    if (e->admin->applying) return STATE_DEFINING;
    for (uint32_t i = 0; e->admin->snapshot && i < e->threads; i++)
        if (e->workers[i].snapshotter) return STATE_SNAPSHOT;
    if (e->admin->snapshot) return STATE_COMMIT;
    if (!oracle_merges_done(e)) return STATE_MERGING;
    return sim_disk_in_flight() ? STATE_WRITING : STATE_IDLE;
}

static void covered(enum fault_kind fault)
{
    enum fault_state state = state_now();
    shared->covered[fault][state]++;
    story("-- %s, while: %s", fault_names[fault], state_names[state]);
}

/* ---- letting time pass ------------------------------------------------------------------------------ */

static void nothing(void *self, uint64_t number) { (void)self, (void)number; }

/* Exactly so long, however little happens. False: the node ended by itself. */
static bool pass(uint64_t us)
{
    uint64_t until = world_us + us;
    world_after(us, nothing, NULL, 0);
    while (world_us < until && life_goes_on()) CHECK(world_step());
    return life_goes_on();
}

/* ---- lives ------------------------------------------------------------------------------------------- */

static void recovered(struct engine *e)
{
    life_recovered(e);
    oracle_recovered(e, sc.log_is_whole && (sc.last || chance(60)));
}

static void begin_life(void)
{
    struct life_options o = {chance_between(1, THREADS_MAX), sc.segment, sc.snapshot_every, sc.log_is_whole};
    sc.was_faulty = sc.stopping = false;
    node_slow_snapshots = chance(50);
    life_begin(&o);
}

static void clients_see_it_die(void)
{
    life_over();
    sc.disk_full = false;
}

static void cut_power(void)
{
    covered(FAULT_POWER);
    shared->cuts++;
    if (node_state() == NODE_SERVING && chance(50)) oracle_remember(node_engine());
    node_power_cut();
    clients_see_it_die();
    sim_disk_fingerprint();
}

static void kill_node(void)
{
    covered(FAULT_KILL);
    shared->kills++;
    if (node_state() == NODE_SERVING) oracle_remember(node_engine());
    node_kill();
    clients_see_it_die();
}

/* It ended by itself: may it have? */
static void bury(void)
{
    int code = node_exit_code();
    bool allowed = (code == 0 && sc.stopping) || (sc.was_faulty && code == PERSIST_IO);
    PROMISE(P8, allowed, "the node exited with %d: %s", code, node_last_log());
    node_kill();
    clients_see_it_die();
    sim_disk_full(false);
    if (chance(40)) {
        story("-- and the machine is switched off");
        node_power_cut();
    }
}

/* ---- what happens during a life -------------------------------------------------------------------------- */

static void new_definitions(void)
{
    covered(FAULT_HUP);
    sc.definitions = chance_below(MODEL_DEFINITIONS);
    node_definitions = model_definitions[sc.definitions];
    shared->definitions++;
    node_signal(SIGHUP);
}

static void fail_disk(void)
{
    static const enum disk_fault faults[] = {DISK_FAULT_EIO, DISK_FAULT_ENOSPC, DISK_FAULT_SHORT};
    uint32_t i = chance_below(3);
    covered((enum fault_kind)(FAULT_EIO + i));
    sc.was_faulty = true;
    sim_disk_fail(faults[i], chance_between(1, chance(50) ? 8 : 120), chance(70));
}

static bool fill_disk(void)
{
    covered(FAULT_FULL);
    sc.disk_full = sc.was_faulty = true;
    sim_disk_full(true);
    bool up = pass(chance_between(100, 4000) * (uint64_t)MS);
    sim_disk_full(false);
    sc.disk_full = false;
    story("-- the disk has room again");
    return up;
}

static bool hours_pass(void)
{
    covered(FAULT_QUIET);
    senders_pause(true);
    uint32_t seconds = chance(50) ? chance_between(60, 1800) : chance_between(1800, 4 * HOUR_S);
    bool up = pass(seconds * (uint64_t)S);
    story("-- %u seconds have passed", seconds);
    senders_pause(false);
    if (up && node_state() == NODE_SERVING && !sc.was_faulty) oracle_wakes(node_engine(), 2);
    return up;
}

/* Waits for a rare moment, so that it is not rare here: goes on until the node stands like that, at most a while. */
static bool hunt(void)
{
    static const enum fault_state rare[] = {STATE_WRITING,  STATE_WRITING, STATE_SNAPSHOT, STATE_COMMIT,
                                            STATE_DEFINING, STATE_MERGING, STATE_WRITING};
    enum fault_state prey = rare[chance_below(sizeof rare / sizeof *rare)];
    uint64_t until = world_us + 400 * (uint64_t)MS;
    if (chance(30)) node_hold_mail(chance_between(20, 1500) * (uint64_t)MS, EVERYBODY);
    if (prey == STATE_SNAPSHOT || prey == STATE_COMMIT) operator_snapshot();
    if (prey == STATE_DEFINING) new_definitions();
    while (life_goes_on() && world_us < until && state_now() != prey) CHECK(world_step());
    if (prey == STATE_WRITING) return life_goes_on() && (chance(50) || pass(chance_below(200)));
    return life_goes_on() && pass(chance_below(chance(50) ? 30 : 3000));
}

static bool merge_waits(void) { return state_now() == STATE_MERGING; }
static bool merge_waits_before_walker(void)
{
    return node_state() == NODE_SERVING && oracle_merge_before_walker(node_engine());
}
static bool never(void) { return false; }

/* Until that is so, or a snapshot is complete, or `us` have passed. */
static void go_on_until(bool (*so)(void), uint64_t us)
{
    uint32_t before = shared->snapshots;
    uint64_t until = world_us + us;
    while (life_goes_on() && world_us < until && shared->snapshots == before && !so()) CHECK(world_step());
}

/* Merges that wait for an answer (or, where one worker alone reads no mail, whose answers wait), what is parked behind
 * them and what is on its way, while a snapshot is taken; it goes on when that is complete, or in the middle of it. */
static bool merges_stand_still(void)
{
    if (node_state() != NODE_SERVING) return life_goes_on();
    uint32_t readers = chance(40) ? EVERYBODY : 1u << chance_below(node_engine()->threads);
    node_hold_mail(chance_between(300, 4000) * (uint64_t)MS, readers);
    go_on_until(merge_waits, 1500 * (uint64_t)MS);
    if (!life_goes_on() || (chance(50) && !pass(chance_below(100) * (uint64_t)MS))) return false;
    node_slow_snapshots = chance(80);
    operator_snapshot();
    go_on_until(chance(70) ? merge_waits_before_walker : never, 800 * (uint64_t)MS);
    if (merge_waits_before_walker()) node_hold_mail(0, readers);
    go_on_until(never, 800 * (uint64_t)MS);
    return life_goes_on();
}

static bool something_happens(void)
{
    if (chance(40) && !hunt()) return false;
    if (sc.disk_faults && chance(70)) {
        fail_disk();
        return true;
    }
    switch (chance_below(11)) {
    case 0: new_definitions(); return true;
    case 1:
    case 9: fail_disk(); return true;
    case 2: return chance(50) ? fill_disk() : true;
    case 3: return hours_pass();
    case 4:
    case 5: operator_snapshot(); return true;
    case 6:
        covered(FAULT_STEP);
        world_wall_ms += (int64_t)chance_below(40000) - 20000;
        return true;
    case 7:
    case 8: return merges_stand_still();
    default: return true;
    }
}

static uint64_t moment(void)
{
    uint32_t r = chance_below(10);
    if (r < 2) return chance_between(0, 20000);
    if (r < 8) return chance_between(1, 250) * (uint64_t)MS;
    return chance_between(100, 1500) * (uint64_t)MS;
}

/* Until something ends it. */
static void live(void)
{
    begin_life();
    if (chance(12)) { /* already in recovery, or before anything is served */
        if (chance(30)) fail_disk();
        if (!pass(chance_below(chance(50) ? 2000 : 20000)))
            bury();
        else
            chance(75) ? cut_power() : kill_node();
        return;
    }
    bool up = pass(moment());
    for (uint32_t n = sc.power_cuts ? chance_below(2) : chance_below(4); up && n; n--)
        up = something_happens() && pass(moment());
    if (up && chance(60)) up = hunt();
    if (!up) {
        bury();
        return;
    }
    uint32_t end = sc.power_cuts ? 0 : chance_below(10);
    if (end < 6) {
        cut_power();
    } else if (end < 8) {
        kill_node();
    } else {
        covered(FAULT_TERM);
        sc.stopping = true;
        node_signal(SIGTERM);
        if (pass(chance(40) ? chance_below(40000) : 120 * (uint64_t)S))
            cut_power();
        else
            bury();
    }
}

/* ---- the end: everything settles, everything is counted -------------------------------------------------- */

static void settle_down(void)
{
    uint64_t until = world_us + PATIENCE_S * (uint64_t)S;
    while (life_goes_on() && !(senders_finished() && operator_finished())) {
        PROMISE(P1, world_us < until, "clients still wait after %d minutes: %u chunks or events are open",
                PATIENCE_S / 60, senders_open());
        CHECK(world_step());
    }
    EXPECT(life_goes_on(), "the node ended by itself: %s", node_last_log());
}

/* Half a second into a second, so that its wake-ups have run. */
static void check_segments_at(uint32_t second)
{
    EXPECT(pass(((uint64_t)second * 1000 + 500 - (uint64_t)world_wall_ms) * MS - world_us),
           "the node ended by itself: %s", node_last_log());
    oracle_segments(node_engine());
}

static void calm_hours(void)
{
    for (uint32_t i = 0; i < 3; i++) {
        EXPECT(pass(chance_between(5, 70) * 60 * (uint64_t)S), "the node ended by itself: %s",
               node_last_log());
        settle_down();
        EXPECT(pass(3 * (uint64_t)S), "the node ended by itself: %s", node_last_log());
        struct engine *e = node_engine();
        oracle_wakes(e, 2);
        PROMISE(P21, oracle_merges_done(e), "a merge never ends");
        oracle_events(e, true);
        check_segments_at(world_second() + 1);
        for (uint32_t flip, n = 0; n < FLIPS && (flip = oracle_next_flip()) != 0; n++) {
            if (flip > world_second() + 3 * HOUR_S) break;
            check_segments_at(flip);
        }
    }
    shared->merges += (uint32_t)oracle_merged(node_engine());
    oracle_actions();
}

static void stop_and_start_again(void)
{
    oracle_remember(node_engine());
    sc.stopping = true;
    covered(FAULT_TERM);
    node_signal(SIGTERM);
    EXPECT(!pass(60 * (uint64_t)S), "the node does not stop");
    EXPECT(node_exit_code() == 0, "a clean stop ended with %d", node_exit_code());
    node_kill();
    clients_see_it_die();
    begin_life();
    EXPECT(pass(2 * (uint64_t)S), "the node ended by itself: %s", node_last_log());
    EXPECT(node_engine()->recovered.records == 0, "a clean stop left %llu records to replay",
           (unsigned long long)node_engine()->recovered.records);
    oracle_events(node_engine(), true);
}

static void last_life(void)
{
    story("== the last life: nothing more goes wrong");
    sc.last = true;
    begin_life();
    settle_down();
    calm_hours();
    stop_and_start_again();
}

void scenario_run(const struct scenario_options *o)
{
    static const char *const every[] = {"0", "150KiB", "600KiB"}, *const segments[] = {"128KiB", "192KiB",
                                                                                       "1MiB"};
    sc.snapshot_every = every[chance_below(3)];
    sc.segment = segments[chance_below(3)];
    sc.log_is_whole = chance(65);
    sc.power_cuts = o->power_cuts || chance(50);
    sc.disk_faults = o->disk_faults || chance(10);
    node_definitions = model_definitions[0];
    node_recovered = recovered;
    uint32_t events = o->events ? o->events : chance_between(40, 500);
    story("%u events, snapshot every %s, log %s", events, sc.snapshot_every,
          sc.log_is_whole ? "kept" : "recycled");
    senders_create(events);
    operator_create();
    uint32_t lives = chance_between(1, LIVES_MAX - 1);
    while (lives--) {
        live();
        world_sleep(chance(70) ? chance_between(1, 50) * (uint64_t)MS
                               : chance_between(1, 600) * (uint64_t)S); /* clients wait in vain */
    }
    last_life();
    story("all is well");
}

void scenario_two_lives(void (*between)(void), void (*recovered_fn)(struct engine *e))
{
    sc.snapshot_every = "0";
    sc.segment = "128KiB";
    sc.log_is_whole = true;
    node_definitions = model_definitions[0];
    node_recovered = recovered;
    senders_create(300);
    operator_create();
    begin_life();
    settle_down();
    pass(chance_between(1, 4) * (uint64_t)S);
    node_kill();
    clients_see_it_die();
    while (sim_disk_in_flight()) CHECK(world_step());
    between();
    node_recovered = recovered_fn;
    begin_life();
    pass(10 * (uint64_t)S);
    fault("the node did not recover");
}

static void serve_all(void)
{
    begin_life();
    settle_down();
}

void scenario_killed_first_start(void)
{
    sc.snapshot_every = "0";
    sc.segment = "128KiB";
    node_definitions = model_definitions[0];
    node_recovered = recovered;
    senders_create(20);
    operator_create();
    begin_life();
    if (pass(chance_between(100, 1500))) kill_node();
    serve_all();
    cut_power();
    serve_all();
    oracle_events(node_engine(), false);
    story("all is well");
}
