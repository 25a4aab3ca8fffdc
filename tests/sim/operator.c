/* The operator: takes actions, confirms most of them (sometimes late, sometimes never on that connection), asks for
 * snapshots, asks questions. What it is told is remembered in taken_actions. */
#include "core/base/msgpack.h"
#include "tests/sim/clients.h"
#include "tests/sim/delivered.h"
#include "tests/sim/model.h"
#include "tests/sim/net.h"
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>

enum { REQUESTS_MAX = 12, CONFIRM_MAX = 64, CLOCK_SLACK_S = 25 };

struct asked {
    uint32_t id; /* 0: free */
    void (*answered)(void *self, const uint8_t *p, uint32_t n);
    void *self;
    struct key ids[CONFIRM_MAX]; /* of a confirmation */
    uint32_t count;
};
static struct {
    struct wire *wire;
    struct buf in;
    uint32_t connection, next_id;
    struct asked asked[REQUESTS_MAX];
    bool subscribed, hold, want_snapshot;
    uint32_t life_began; /* second */
    uint32_t patience;   /* wake-ups until it hangs up and comes again */
    uint32_t confirmed;  /* of taken_actions */
} op;

/* ---- requests -------------------------------------------------------------------------------- */

static struct asked *free_request(void)
{
    for (uint32_t i = 0; i < REQUESTS_MAX; i++)
        if (!op.asked[i].id) return &op.asked[i];
    return NULL;
}

static uint8_t *begin(uint8_t *p, struct asked *a, const char *method, uint32_t params)
{
    a->id = ++op.next_id;
    p = mpw_array(p, 4);
    p = mpw_uint(p, 0);
    p = mpw_uint(p, a->id);
    p = mpw_str(p, slice_str(method));
    return mpw_array(p, params);
}

void operator_ask(const char *method, void (*answered)(void *self, const uint8_t *p, uint32_t n), void *self)
{
    uint8_t bytes[200];
    struct asked *a = op.wire ? free_request() : NULL;
    if (!a) {
        answered(self, NULL, 0);
        return;
    }
    *a = (struct asked){.answered = answered, .self = self};
    uint8_t *p = begin(bytes, a, method, 0);
    net_send(op.wire, bytes, (size_t)(p - bytes));
}

static void subscribe(void)
{
    uint8_t bytes[200];
    struct asked *a = free_request();
    if (!a) return;
    *a = (struct asked){0};
    uint8_t *p = begin(bytes, a, "actions.subscribe", 1);
    p = mpw_str(p, SLICE("operator"));
    net_send(op.wire, bytes, (size_t)(p - bytes));
    op.subscribed = true;
}

static uint8_t *put_hex(uint8_t *p, struct key id)
{
    char text[40];
    snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)id.hi, (unsigned long long)id.lo);
    return mpw_str(p, slice_str(text));
}

static void confirm_some(void)
{
    static uint8_t bytes[CONFIRM_MAX * 40 + 200];
    struct asked *a = free_request();
    if (!a) return;
    *a = (struct asked){0};
    for (uint32_t i = 0; i < taken_count && a->count < CONFIRM_MAX; i++) {
        struct taken *t = &taken_actions[i];
        if (t->confirmed || t->confirm_sent || !t->deliveries || chance_in(8)) continue;
        t->confirm_sent = true;
        a->ids[a->count++] = t->id;
    }
    if (!a->count) return;
    uint8_t *p = mpw_array(begin(bytes, a, "actions.ack", 1), a->count);
    for (uint32_t i = 0; i < a->count; i++) p = put_hex(p, a->ids[i]);
    detail("operator: confirms %u actions", a->count);
    net_send(op.wire, bytes, (size_t)(p - bytes));
}

/* ---- what comes back --------------------------------------------------------------------------- */

static void on_action(struct slice content)
{
    struct taken now;
    delivered_read(content, &now);
    struct taken *t = model_action(now.id);
    unsigned long long id = (unsigned long long)now.id.hi;
    PROMISE(P19, !t->deliveries || t->content == now.content, "action %016llx has two contents", id);
    PROMISE(P20, !t->confirmed || t->confirmed_on == op.connection,
            "action %016llx came again after its confirmation was durable", id);
    if (t->deliveries++) return;
    shared->actions++;
    PROMISE(P13, t->recovered || now.created_at + CLOCK_SLACK_S >= op.life_began,
            "action %016llx is new and says it was made at %u, before this life began", id, now.created_at);
    now.deliveries = 1;
    now.recovered = t->recovered;
    *t = now;
}

static void on_answer(uint32_t id, struct slice error, struct slice result)
{
    for (uint32_t i = 0; i < REQUESTS_MAX; i++) {
        struct asked *a = &op.asked[i];
        if (a->id != id) continue;
        bool good = error.n == 1 && error.p[0] == 0xc0;
        for (uint32_t k = 0; k < a->count; k++) {
            struct taken *t = model_action(a->ids[k]);
            t->confirm_sent = false;
            if (!good || t->confirmed) continue;
            t->confirmed_on = op.connection;
            t->confirmed = true;
            op.confirmed++;
        }
        a->id = 0;
        if (a->answered) a->answered(a->self, good ? result.p : NULL, good ? result.n : 0);
        return;
    }
    fault("operator: an answer to a question it did not ask");
}

static void received(void *self, const uint8_t *p, size_t n)
{
    (void)self;
    buf_put(&op.in, p, n);
    size_t used = 0;
    while (used < op.in.n) {
        struct mp m = mp_of(slice_of(op.in.p + used, op.in.n - used));
        struct slice frame = mp_item(&m);
        if (!frame.n) break;
        used += frame.n;
        m = mp_of(frame);
        uint32_t items = mp_array(&m);
        uint64_t kind = mp_uint(&m);
        if (kind == 2 && items == 3) {
            EXPECT(slice_is(mp_str(&m), "actions") && mp_array(&m) == 1, "operator: a strange notification");
            on_action(mp_item(&m));
        } else {
            EXPECT(kind == 1 && items == 4, "operator: a strange message");
            uint32_t id = (uint32_t)mp_uint(&m);
            struct slice error = mp_item(&m), result = mp_item(&m);
            on_answer(id, error, result);
        }
    }
    memmove(op.in.p, op.in.p + used, op.in.n - used);
    op.in.n -= used;
}

static void lost(void *self)
{
    (void)self;
    op.wire = NULL;
    op.subscribed = false;
    buf_clear(&op.in);
    for (uint32_t i = 0; i < taken_count; i++) taken_actions[i].confirm_sent = false;
    for (uint32_t i = 0; i < REQUESTS_MAX; i++) {
        struct asked a = op.asked[i];
        op.asked[i].id = 0;
        if (a.id && a.answered) a.answered(a.self, NULL, 0);
    }
}

/* ---- once in a while ------------------------------------------------------------------------------- */

static void snapshot_answered(void *self, const uint8_t *p, uint32_t n)
{
    (void)self, (void)n;
    story("operator: snapshot %s", p ? "taken" : "not taken");
    shared->snapshots += p != NULL;
}

static void wake(void *self, uint64_t number)
{
    (void)self, (void)number;
    world_after(op.wire && !op.want_snapshot && operator_finished() ? 200000 : chance_between(500, 30000),
                wake, NULL, 0);
    if (!op.wire) {
        op.wire = net_connect(PORT_ADMIN, &(struct wire_user){NULL, received, lost});
        op.connection++;
        op.patience = chance_between(50, 400);
        return;
    }
    if (!op.subscribed) {
        subscribe();
    } else if (!op.patience--) {
        net_cut(op.wire);
        lost(NULL);
    } else if (op.want_snapshot) {
        op.want_snapshot = false;
        story("operator: asks for a snapshot");
        operator_ask("snapshot.start", snapshot_answered, NULL);
    } else if (!op.hold && op.confirmed < taken_count) {
        confirm_some();
    }
}

void operator_life_begins(void) { op.life_began = world_second(); }
void operator_create(void) { world_after(5000, wake, NULL, 0); }
void operator_machine_died(void) { lost(NULL); }
void operator_hold(bool hold) { op.hold = hold; }
void operator_snapshot(void) { op.want_snapshot = true; }

bool operator_finished(void) { return op.subscribed && op.confirmed == taken_count; }
