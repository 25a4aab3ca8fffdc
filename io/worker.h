/* worker.h - one thread = one loop + its logical shards + its log.
 * Shard i lives on worker i % threads. Workers share nothing: records travel over mailboxes, questions as calls.
 * Owner: the thread; fields marked (any) may be read by others. Memory: buffers grow with what waits in them; the limits
 * below bound that by stopping sockets, never by dropping. */
#ifndef HG_IO_WORKER_H
#define HG_IO_WORKER_H

#include "core/shard.h"
#include "io/call.h"
#include "io/credit.h"
#include "io/forward.h"
#include "io/loop.h"
#include "io/mailbox.h"
#include "io/queue.h"
#include "persist/wal.h"

#include <pthread.h>

enum {
    WAKES_PER_TURN =
        256, /* due people per turn, over all shards: events go on between them, acks do not wait */
    MAILBOX_BYTES = 128 << 10,
    STAGED_MAX = 512,             /* entries of a frame that are decoded before it is known to be whole */
    BATCH_BYTES_MAX = 1 << 20,    /* and at most a quarter of a log file: one record more must still fit */
    INBOUND_PER_TURN = 512,       /* notes taken from one mailbox per turn */
    OUTBOUND_BYTES_MAX = 4 << 20, /* queued for other workers: above it sockets are not read */
    HELD_BYTES_MAX = 64 << 20,    /* waiting for the disk: above it sockets are not read */
    TAIL_BYTES_MAX =
        1 << 20, /* waiting for a reader of events.tail: above it lines are dropped and counted */
};

/* What travels between workers, and what waits for the disk: this head, then the record's bytes.
 * A message's bytes are the payload of RECORD_MESSAGE: source u16, kind u16, sequence u64, body. */
enum note_kind {
    NOTE_RECORD = 1,
    NOTE_MESSAGE,
    NOTE_MESSAGE_ACK,
    NOTE_CREDIT,
    NOTE_ACTION,
    NOTE_CALL,
    NOTE_TAIL,
    NOTE_BOXED = 0x80
};
struct note {
    uint8_t kind;
    uint8_t from, to; /* logical shards */
    uint8_t record_kind, head_bytes;
    uint8_t head[RECORD_HEAD_MAX];
    uint32_t version;       /* MESSAGE: of the sender's definitions; the receiver's must be as new */
    uint64_t sequence;      /* MESSAGE, MESSAGE_ACK, ACTION */
    uint64_t cookie, share; /* RECORD, MESSAGE, CREDIT */
    union {
        struct call *call; /* CALL */
        uint64_t turn;     /* MESSAGE: order.h */
    };
};

struct intake { /* records on their way into the log and the shards; intake.c */
    struct batch_item items[BATCH_EVENTS];
    uint32_t applied, count; /* the first `applied` of them are applied and logged already */
    uint32_t turns;          /* that the batch holds: order.h */
    size_t bytes;
    struct batch_item message; /* the one of `local` that is being applied */
    bool borrowed;             /* an item's bytes belong to a frame or a mailbox */
    struct arena decode;       /* what decoding made, and copies of small frames */
    struct effects effects;
    struct staged {
        struct event
            *events; /* of the frame being taken in, by its entries; STAGED_MAX, made at the first use */
        struct arena scratch; /* what decoding them made; of a frame that is copied `decode` has it */
        const uint8_t *from,
            *bytes;      /* its entries as they came, and where they are decoded: the copy, if there is one */
        uint32_t copies; /* decoded from the copy and not yet taken in: it has to stay */
        struct event_shape shape;
        const struct schema *schema;
    } staged;
    struct queue spill; /* came while the log had no room: note, bytes */
    struct queue local; /* messages between shards of this worker: note, payload */
    struct queue early; /* messages that wait until their shard has the sender's definitions: note, payload */
    struct queue boxes; /* heap blocks to free once their records are taken in */
};

struct worker_counters { /* volatile */
    uint64_t events_in, frames, connections, refused, closed_by[FORWARD_CLOSE_COUNT], acks_dropped,
        tail_dropped;
    uint64_t notes_sent, notes_received, ring_stalls, notes_resent, spilled;
    uint32_t loop_us_max;
};
struct latency { /* quarter powers of two of microseconds */
    uint64_t buckets[128];
};
void latency_add(struct latency *l, uint64_t us);
uint32_t latency_percentile(const struct latency *l, uint32_t percent);

struct worker {
    struct engine *engine;
    uint32_t index;
    pthread_t thread;
    struct loop *loop;
    struct disk *disk;  /* the real one, with this loop's writes */
    struct datadir dir; /* the engine's, through that disk */
    struct wal *wal;
    struct shard *shards[LOGICAL_SHARDS];
    uint32_t shard_count;

    uint64_t now_us;      /* of this turn */
    uint32_t now;         /* second of this turn; never goes back */
    uint32_t lag_us;      /* how far into that second we are */
    uint32_t woken_until; /* every wake-up due until then has run */
    uint32_t wakes_left;  /* of WAKES_PER_TURN */
    uint32_t wal_wait_us;
    uint32_t batch_bytes; /* a batch with this much is full */

    struct intake intake;
    struct credit credit;
    struct queue held;                     /* ticket u64, note, bytes: waiting for the disk; release.c */
    struct queue outbound[LOGICAL_SHARDS]; /* by worker: what its mailbox had no room for */
    size_t outbound_bytes;
    struct conns *conns;
    struct snapshotter *snapshotter; /* NULL: none is being written */

    _Atomic uint64_t wal_bytes;      /* (any) written so far */
    _Atomic(struct call *) inbox;    /* (any) newest first */
    struct call *calls, **calls_end; /* being run, oldest first */
    bool calls_busy;
    bool deaf;          /* takes nothing from the other workers: backup.c makes its cut */
    bool memory_low;    /* new anonymous people are refused */
    bool out_of_memory; /* the next record has no room */
    bool tailing;       /* somebody reads events.tail */
    bool busy;          /* the last turn brought something */
    bool stop;
    bool started; /* guarded by the engine's lock */
    struct worker_counters counters;
    struct latency ack_latency, wake_lag;
};

void worker_create(struct worker *w, struct engine *engine, uint32_t index);
void worker_destroy(struct worker *w);
void *worker_main(void *worker);

/* intake.c: records in */
void intake_create(struct intake *in);
void intake_destroy(struct intake *in);
bool intake_open(const struct worker *w); /* may sockets bring more? */
/* An event from outside; raw stays good until the next intake_settle, unless `copy`. cookie 0: nobody waits for it. */
void intake_event(struct worker *w, const struct forward_entry *e, uint64_t cookie, bool copy);
/* See forward_sink.decode. */
uint32_t intake_decode(struct worker *w, uint32_t nth, struct slice bytes, int64_t entry_ms, bool copy);
void intake_reject(struct worker *w, struct slice raw, enum reject reason, uint64_t cookie);
/* A record for one of this worker's own shards, applied and logged in this turn; false: no room in the log, try again. */
bool intake_record(struct worker *w, const struct record *r);
void intake_settle(struct worker *w);  /* nothing borrowed is kept */
void intake_inbound(struct worker *w); /* from the other workers' mailboxes */
bool intake_idle(const struct worker *w);
bool intake_blocked(const struct worker *w); /* what lies here waits for another worker's turn */
/* The shard's time moves to now, and at most `quota` of its people wake, no more than the turn has left. */
bool worker_tick(struct worker *w, struct shard *s, uint32_t quota); /* false: no room in the log */
void worker_wake_due(struct worker *w);
void worker_resend(struct worker *w); /* after recovery: what other shards have not acknowledged */

/* release.c: what became durable goes out */
void release_effects(struct worker *w, uint64_t ticket);
void release_hold(struct worker *w, uint64_t ticket, const struct note *n, struct slice bytes);
void release_done(struct worker *w,
                  uint64_t cookie); /* a record of this chunk is done, as of the last ticket */
void release_durable(struct worker *w);
void release_message_ack(struct worker *w, uint8_t sender, uint8_t receiver, uint64_t sequence);
void release_credit(struct worker *w, uint64_t cookie, uint64_t share);

/* outbound.c: notes to other workers */
void outbound_send(struct worker *w, uint32_t to, const struct note *n, struct slice bytes);
void outbound_flush(struct worker *w);

#endif
