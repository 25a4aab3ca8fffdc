/* run.h - one person's journeys while a record or wake-up is at work: for the files of core/journey only.
 * The heads of instances are copied out of their block into seats, walked there, and written back when something changed:
 * a block moves when it grows, a seat does not. Nobody sits down before somebody is asked for.
 * Owner: the walk, on its stack. Memory: kept events stay in the block until write-back, new ones are on scratch. */
#ifndef HG_JOURNEY_RUN_H
#define HG_JOURNEY_RUN_H

#include "core/base/check.h"
#include "core/journey/pack.h"
#include "core/journey/parts.h"
#include "core/journey/template.h"
#include "core/journey/walk.h"

enum {
    NEVER = UINT32_MAX,
    SEATS_MAX = 2 * INSTANCES_MAX /* two halves just merged */,
    HELD_OUT_DAYS = 30,
    RETRY_S = 60
};

enum instance_flags {
    INSTANCE_DEFERRED = 1, /* in a send step: caps, quiet hours or a full outbox hold it */
    INSTANCE_BETWEEN = 2,  /* in a cascade: one message is out, the next one waits */
    INSTANCE_YIELDED = 4,  /* took too many steps at once: the step begins at the next second */
};

struct seat {
    struct instance head;
    struct slice kept;             /* the events behind the head */
    const struct journey *journey; /* of its version; NULL: gone */
    bool gone;
    bool concerned; /* the record at hand may end it or move it */
    bool reacted;   /* this record has moved it: it does not move it twice */
    bool fresh;     /* this record has made it */
    bool sending;   /* wants to send: policy.c decides in the end */
    uint8_t steps_left;
    int32_t priority; /* of the send it wants */
    int64_t value;
};

struct run {
    struct walk *w;
    struct person *person;
    bool open;      /* the seats are taken */
    bool dirty;     /* seats differ from the block */
    uint32_t count; /* gone ones included */
    struct seat seats[SEATS_MAX];
};

void run_begin(struct run *r, struct walk *w);
void run_seats(struct run *r); /* once is enough, more does no harm */
void run_close(struct run *r);
bool run_concerns(const struct walk *w, const struct instance *i);

/* Programs over this person; `seat` gives trigger and as-names, NULL: none. A missing program is true. */
bool run_true(struct run *r, struct seat *seat, const struct program *p);
bool run_waits(struct run *r, struct seat *seat,
               const struct program *p); /* time may make it true: lowers next_change */
struct value run_value(struct run *r, struct seat *seat, const struct program *p);
struct slice run_text(struct run *r, struct seat *seat, const struct program *p); /* empty if it is no text */

bool match_change(struct run *r, const struct match *m); /* an attribute, from and to */
bool match_happened(struct run *r, struct seat *seat,
                    const struct match *m); /* by the event, flips or changes at hand */
bool match_holds(struct run *r, struct seat *seat,
                 const struct match *m); /* when, or inside the segment: as it is now */

/* run.c: entering and leaving */
struct entry {
    const struct journey *journey;
    const struct event *event; /* it kept as trigger; NULL: started by a segment, a date, an operator */
    uint64_t key_hash;
};
struct seat *run_enter(struct run *r, const struct entry *entry); /* NULL: held out, or no room; recorded */
void run_keep(struct run *r, struct seat *seat,
              struct slice kept); /* unless a person's instances grow too large */
void run_leave(struct run *r, struct seat *seat, enum decision why);
void run_convert(struct run *r, struct seat *seat);
void run_forget(struct run *r, struct seat *seat); /* a finished or held-out one whose time is over */
bool goal_open(const struct run *r,
               const struct seat *seat);                  /* there is one, not yet reached, inside `within` */
bool run_leave_if_over(struct run *r, struct seat *seat); /* goals and exits that hold as it is now */
struct seat *run_inside(struct run *r, uint16_t journey,
                        uint64_t key_hash); /* active or held out; NULL: none */
void run_note(struct run *r, uint16_t journey, enum decision d, uint32_t detail);
void run_tell(struct run *r, const struct seat *seat, enum transition_kind kind, enum decision d);
struct slice run_id_text(const struct run *r); /* user id, else anonymous id, else the row's key as text */
uint32_t run_ppm(const struct run *r, struct slice a,
                 struct slice b); /* 0..999999 by the id text: for ever the same */

/* trigger.c */
void trigger_enroll(struct run *r, const struct journey *j,
                    bool restart); /* an operator's word: no condition asked */
enum decision trigger_try(struct run *r, const struct journey *j, const struct match *trigger,
                          const struct event *event);
void trigger_event(struct run *r);
void trigger_flips(struct run *r);
void trigger_changes(struct run *r);
void trigger_dates(struct run *r, uint32_t from); /* occurrences in [from, now] */
uint32_t trigger_next_date(struct run *r);
/* The second of a date or timestamp under offset, clock and, for every_year, that year. */
int64_t date_occurrence(const struct zone *zone, const struct match *m, struct value date, int32_t year);

/* steps.c: until the instance blocks or ends */
void seat_run(struct run *r, struct seat *seat);
void seat_go(struct run *r, struct seat *seat, uint16_t step); /* the next step begins */
const struct step *seat_step(const struct seat *seat);         /* NULL: at its end */

/* wait.c */
bool wait_begin(struct run *r, struct seat *seat, const struct step *s); /* true: nothing to wait for */
bool wait_for_begin(struct run *r, struct seat *seat,
                    const struct step *s); /* true: a branch holds already */
void wait_skip(struct run *r,
               struct seat *seat); /* an operator's word: as if its time had come, nothing is sent */
void wait_react(struct run *r, struct seat *seat); /* the record at hand: event, flips, changes, conditions */
void seat_fire(struct run *r, struct seat *seat);  /* its due has come */

/* policy.c */
void send_begin(struct run *r, struct seat *seat,
                const struct step *s); /* it wants to send: see send_settle */
void send_settle(struct run *r);       /* all sends of this record, best first, and what follows from them */
void send_fire(struct run *r, struct seat *seat,
               const struct step *s); /* a deferral or a cascade's wait is over */
void send_react(struct run *r, struct seat *seat,
                const struct step *s);             /* a cascade stops when it is answered */
void defer_full(struct run *r, struct seat *seat); /* the outbox has no room: tried again soon */
bool next_visit(struct run *r, struct seat *seat); /* false: too many, the instance was ended */

/* consent.c */
void touch_addresses(struct walk *w,
                     uint16_t attribute); /* channels whose address reads it: reachable() may change */

/* action.c: the record that leaves */
enum action_kind { ACTION_SEND, ACTION_WEBHOOK, ACTION_TASK, ACTION_AUDIENCE };
struct action_order {
    enum action_kind kind;
    const struct channel *channel;
    struct value to; /* V_NONE: the channel has no address */
    uint32_t expires_at;
    bool test; /* counted nowhere */
};
/* Renders the step's content once and puts it into the outbox; false: no room, try later. */
bool action_create(struct run *r, struct seat *seat, const struct step *s, const struct action_order *o);
struct key action_id(const struct instance *i, struct slice step_id);
/* Literal, computed or rendered; `missing` is set when a template lacked a value. */
struct value field_value(struct run *r, struct seat *seat, const struct field *f, bool *missing);
bool address_empty(struct value to); /* neither text nor a list with something in it */
const struct channel *channel_of(const struct journey_set *set, uint16_t id);

#endif
