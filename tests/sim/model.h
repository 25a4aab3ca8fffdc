/* model.h - what the clients know: every event they ever made and whether it was acknowledged; every action they were
 * ever given. The slow, obvious side of the oracle: arrays, walked from front to back.
 * Owner: the process of the seed. */
#ifndef HG_SIM_MODEL_H
#define HG_SIM_MODEL_H

#include "core/base/hash.h"

enum { USERS = 10, ANONYMOUS = 60, EVENTS_MAX = 4096, ACTIONS_MAX = 8192 };
enum event_kind { KIND_VIEWED, KIND_ORDERED, KIND_PING, KIND_COUNT };
enum time_kind { TIME_OWN, TIME_ENTRY, TIME_NONE };

struct sent {
    uint8_t kind, time_kind;
    int8_t user, anonymous; /* -1: not named */
    int64_t own_ms;         /* `timestamp`, or the entry's time; 0: none */
    uint32_t made_at;       /* second */
    bool sent, acked;
    uint32_t acked_at;
    uint8_t *bytes;
    uint32_t n;
    int twin;   /* index of an older event whose message id it has, under another time; -1: none */
    bool named; /* has a message id */
    /* filled by the oracle */
    bool hashed;
    uint32_t hash, found;
    uint16_t type;
};
extern struct sent sent_events[EVENTS_MAX];
extern uint32_t sent_count;
uint32_t model_make_event(void); /* index of a new one */
int model_owner(int anonymous);  /* the user that an anonymous id belongs to once they are seen together */
bool model_paired(int anonymous, bool acked); /* were they, in an event that was sent (acknowledged)? */

enum taken_kind { TAKEN_OTHER, TAKEN_RECEIPT, TAKEN_NUDGE, TAKEN_NEWS };
struct taken { /* an action that was delivered */
    struct key id;
    uint64_t content; /* hash */
    uint32_t deliveries;
    bool confirm_sent, confirmed; /* confirmed: the answer came, so it is durable */
    int order;                    /* index of the event that caused it, -1: another journey */
    uint8_t kind;                 /* enum taken_kind */
    int user, anonymous;          /* as it names its person; -1: not named */
    uint32_t created_at;          /* second */
    bool recovered;               /* it was in an outbox when a recovery ended */
    uint32_t confirmed_on;        /* connection */
};
extern struct taken taken_actions[ACTIONS_MAX];
extern uint32_t taken_count;
struct taken *model_action(struct key id); /* found or added */

extern const char *const model_definitions[];
enum {
    MODEL_DEFINITIONS = 3,
    MODEL_NUDGE_S = 600,
    MODEL_CAP = 2,
    MODEL_LOUD_FROM_S = 8 * 3600,          /* of the day: outside it is quiet */
    MODEL_LOUD_TO_S = 10 * 3600 + 40 * 60, /* a cap that defers leads into the quiet hours */
    MODEL_HELD_OUT_PPM = 500000,
};

#endif
