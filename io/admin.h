/* admin.h - the control side, on worker 0: the admin socket, its methods, subscribers, snapshots, the test clock.
 * Transport: MessagePack-RPC over a unix socket (interfaces.md section 4). A request may wait for other workers; its
 * connection may be gone by then. Nothing here ever blocks worker 0 on a client: output is queued, and above its cap the
 * connection is not read (requests) or loses lines (tail, counted). */
#ifndef HG_IO_ADMIN_H
#define HG_IO_ADMIN_H

#include "io/engine.h"
#include "io/pack.h"

enum {
    ADMIN_FRAME_MAX = 1 << 20,
    ADMIN_CONNECTIONS_MAX = 64,
    ADMIN_REQUESTS_MAX = 16,           /* of one connection at once; above it, it is not read */
    ADMIN_CONFIRMATIONS_MAX = 1024,    /* the same of actions.ack, which only waits for the disk */
    ADMIN_REQUEST_BYTES_MAX = 4 << 20, /* of both */
    ADMIN_OUT_MAX = 8 << 20,           /* queued for one connection */
};

struct admin_conn;
struct request {
    struct engine *engine;
    struct admin_conn *conn; /* NULL: gone */
    uint32_t id;
    const struct method *method;
    msgpack_unpacked unpacked; /* owns what params point to, together with frame */
    struct buf frame;
    const msgpack_object *params; /* an array */
    struct buf result;
    pk_t pack;                     /* writes into result */
    struct request *next, **link;  /* of the connection's; link: what points here */
    void *state;                   /* of the method, freed by it */
    struct remembered *remembered; /* remember.c: this one's answer is kept for its repeats */
    struct request *next_repeat;
};
void request_answer(struct request *r, struct slice error, struct slice result); /* packed; then r is gone */
void request_reply(struct request *r); /* with what is in result; then r is gone */
void request_fail(struct request *r, int code, const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5))); /* then r is gone */
enum { ERROR_USAGE = 2, ERROR_FAILED = 1, ERROR_WRONG = 3, ERROR_NOT_FOUND = 4, ERROR_BUSY = 5 };
void request_bad(struct request *r, const char *what); /* ERROR_USAGE with the method's parameters */

/* Parameters: positional, or named in one map: [x, y] or [{name: x, ...}]. NULL or false: absent or of another type. */
const msgpack_object *param(const struct request *r, uint32_t index, const char *name);
bool param_text(const struct request *r, uint32_t index, const char *name, struct slice *out);
bool param_uint(const struct request *r, uint32_t index, const char *name, uint64_t *out);
const msgpack_object *map_get(const msgpack_object *map, const char *name);
bool object_text(const msgpack_object *o, struct slice *out);
/* A time (text or seconds) and a duration ("90s", "2h", "3d", seconds). */
bool object_second(const msgpack_object *o, uint32_t *out);
bool object_duration(const msgpack_object *o, uint32_t *out);

/* One row per method: adding one is a row here, a function, a test. */
struct method {
    const char *name;
    void (*run)(struct request *r);
    const char *params, *result;
    bool changes_state;
    bool once;     /* done twice it would do harm: a request_id is remembered across restarts */
    bool confirms; /* ADMIN_CONFIRMATIONS_MAX of them may be under way */
};
extern const struct method admin_methods[];
extern const uint32_t admin_method_count;

struct listen_socket {
    struct loop_socket socket;
    struct engine *engine;
    bool is_admin, open;
};

struct admin {
    struct engine *engine;
    struct call begin;
    struct listen_socket listeners[URLS_MAX + 1];
    uint32_t listener_count;
    struct admin_conn *conns;
    uint32_t conn_count, next_worker;
    struct buf ready_line;
    struct actions *actions;
    struct memory *memory; /* of request ids; remember.c */
    struct request *tails;
    struct advance *advance; /* a clock.advance that runs */
    struct snapshot_run *snapshot;
    bool backing_up; /* no snapshot begins: it would take away what is being copied */
    uint64_t snapshot_at_us, snapshot_lsn, snapshot_bytes, snapshots_failed, wal_bytes_at_snapshot;
    struct emits *emits;
    bool shutting_down;
    struct scatter *last; /* tells every worker to stop */
    uint64_t next_second_us, tail_dropped;
    bool applying; /* definitions.apply runs */
};

void admin_create(struct engine *e); /* before the threads start */
void admin_start(
    struct engine
        *e); /* definitions, listeners, the ready line; a failure ends the engine with its exit code */
void admin_destroy(struct engine *e);
void admin_shutdown(struct engine *e); /* drain, snapshot, stop every worker */
void admin_stop(struct engine *e);     /* worker 0 leaves its loop: close what is open */
bool admin_stopped(const struct engine *e);
void admin_reload(struct engine *e); /* HUP */

/* admin_conn.c */
void admin_accept(struct engine *e, int fd);
void admin_conns_turn(struct engine *e);
void admin_conns_close(struct engine *e);
void admin_conn_send(struct admin_conn *c, struct slice bytes);
size_t admin_conn_queued(const struct admin_conn *c);
/* A notification [2, method, [value]], value packed. */
void admin_conn_notify(struct admin_conn *c, const char *method, struct slice value);
struct admin_conn *admin_conn_next(struct engine *e, struct admin_conn *after);
void *admin_conn_sub(struct admin_conn *c); /* the actions subscriber of this connection, NULL: none */
void admin_conn_set_sub(struct admin_conn *c, void *sub);
uint32_t admin_conn_tails(const struct admin_conn *c); /* bits of enum tail_kind */
void admin_conn_set_tails(struct admin_conn *c, uint32_t kinds);

/* Everything due has run, no message is on its way, all of it is durable. done on worker 0. */
/* durable: and until the disk has all of it. events: how many all shards ever received. */
typedef void quiet_done(void *owner, uint32_t next_due, uint64_t events);
void quiet_wait(struct engine *e, bool durable, quiet_done *done, void *owner);

/* Methods, by file. */
void method_hello(struct request *r);
void method_state_hash(struct request *r);
void method_stats(struct request *r);
void method_profile_get(struct request *r);
void method_profile_why(struct request *r);
void method_segment_list(struct request *r);
void method_segment_count(struct request *r);
void method_segment_members(struct request *r);
void method_segment_explain(struct request *r);
void method_query_count(struct request *r);
void method_segment_overlap(struct request *r);
void method_journey_list(struct request *r);
void method_journey_show(struct request *r);
void method_journey_control(struct request *r);
void method_definitions_get(struct request *r);
void method_definitions_check(struct request *r);
void method_definitions_apply(struct request *r);
void method_definitions_history(struct request *r);
void method_actions_subscribe(struct request *r);
void method_actions_ack(struct request *r);
void method_actions_queue(struct request *r);
void method_actions_test(struct request *r);
void method_events_tail(struct request *r);
void method_snapshot_start(struct request *r);
void method_backup_start(struct request *r); /* backup.c */
void method_clock_advance(struct request *r);
void method_clock_accept(struct request *r);

/* stats.c: one journey's counters */
void journey_counters_add(struct journey_counters *to, const struct journey_counters *from);
void pack_journey_counters(pk_t *pk, const struct journey_counters *c);

/* definer.c. failure: 0, or the exit code of a start that fails so, with why. */
typedef void definer_done(void *owner, int failure, const char *error);
/* Shards that a crash left on an older set switch, before anything is served. */
void definer_catch_up(struct engine *e, definer_done *done, void *owner);
/* The definitions directory at start and on HUP. */
void definer_load_dir(struct engine *e, const char *dir, definer_done *done, void *owner);

/* actions.c: subscribers and sinks */
enum { ACTIONS_WINDOW = 1024 }; /* unconfirmed ones that one reader is given at once */
struct action_reader {          /* embedded in what delivers */
    struct slice name;
    const struct slice *channels; /* NULL: all that are routed to it */
    uint32_t channel_count;
    bool is_default; /* gets channels that no definition routes */
    uint64_t cursor[LOGICAL_SHARDS];
    uint32_t unconfirmed;
    bool (*ready)(struct action_reader *r); /* may it be given more now? */
    void (*give)(struct action_reader *r, const struct action *a, struct slice channel);
    struct action_reader *next;
    struct scatter *fetching;
    bool rewound; /* while a fetch was under way: what that brings is old */
    bool gone;    /* freed by `release` when its fetch is back */
    void (*release)(struct action_reader *r);
};
void actions_create(struct engine *e);
void actions_destroy(struct engine *e);
void actions_add(struct engine *e, struct action_reader *r);
void actions_remove(struct engine *e, struct action_reader *r);
void actions_turn(struct engine *e);
bool actions_waiting(struct engine *e); /* the next turn should come at once */
void actions_confirm(struct engine *e, const struct key *ids, uint32_t count,
                     void (*done)(void *owner, uint32_t confirmed), void *owner);
/* From the oldest unconfirmed one again. */
void action_reader_rewind(struct action_reader *r);
void action_reader_confirmed(struct action_reader *r, uint32_t count);
/* By who reads none: nobody knows whose they were, so every reader may have that many more. */
void actions_confirmed_by_another(struct engine *e, uint32_t count);

/* emit.c: Forward sinks */
void emit_start(struct engine *e);
void emit_turn(struct engine *e);
void emit_destroy(struct engine *e); /* closes; gone when emit_closed */
bool emit_closed(const struct engine *e);
void emit_free(struct engine *e); /* once closed, or never started */
uint32_t emit_patience_us(const struct engine *e);

/* tail.c */
enum tail_kind { TAIL_EVENTS = 1, TAIL_TRANSITIONS = 2, TAIL_ACTIONS = 4, TAIL_REJECTS = 8 };
void tail_update(struct engine *e); /* who listens has changed */

#endif
