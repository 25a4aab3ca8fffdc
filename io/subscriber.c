/* subscriber.c - actions.subscribe, actions.ack, actions.queue: delivery over the admin socket. */
#include "io/paging.h"
#include "persist/crash.h"

#include <stdlib.h>

enum { CHANNELS_MAX = 64, IDS_MAX = 10000, QUEUE_SHOWN = 1000 };

struct subscriber {
    struct action_reader reader;
    struct admin_conn *conn;
    struct arena arena;
    struct slice channels[CHANNELS_MAX];
};

static bool sub_ready(struct action_reader *r)
{
    return admin_conn_queued(((struct subscriber *)r)->conn) < ADMIN_OUT_MAX / 2;
}

static void sub_give(struct action_reader *r, const struct action *a, struct slice channel)
{
    admin_conn_notify(((struct subscriber *)r)->conn, "actions", a->content);
    CRASH_POINT(action_given);
}

static void sub_release(struct action_reader *r)
{
    arena_free(&((struct subscriber *)r)->arena);
    free(r);
}

void method_actions_subscribe(struct request *r)
{
    struct slice name;
    const msgpack_object *channels = param(r, 1, "channels");
    uint32_t count = channels && channels->type == MSGPACK_OBJECT_ARRAY ? channels->via.array.size : 0;
    if (!param_text(r, 0, "name", &name) || !name.n || count > CHANNELS_MAX) {
        request_bad(r, "name is a text, channels a list of at most 64 texts");
        return;
    }
    struct subscriber *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    arena_init(&s->arena);
    for (uint32_t i = 0; i < count; i++) {
        struct slice channel;
        if (!object_text(&channels->via.array.ptr[i], &channel)) {
            sub_release(&s->reader);
            request_bad(r, "channels is a list of texts");
            return;
        }
        s->channels[i] = arena_slice(&s->arena, channel);
    }
    if (admin_conn_sub(r->conn))
        actions_remove(r->engine, admin_conn_sub(r->conn)); /* subscribing again starts anew */
    s->conn = r->conn;
    s->reader = (struct action_reader){.name = arena_slice(&s->arena, name),
                                       .channels = s->channels,
                                       .channel_count = count,
                                       .ready = sub_ready,
                                       .give = sub_give,
                                       .release = sub_release};
    admin_conn_set_sub(r->conn, s);
    actions_add(r->engine, &s->reader);
    pk_map(&r->pack, 1);
    pk_text(&r->pack, "name");
    pk_slice(&r->pack, name);
    request_reply(r);
}

/* ---- actions.ack -------------------------------------------------------------------------------------------- */

static bool hex_digit(uint8_t c, uint64_t *out)
{
    if (c >= '0' && c <= '9') return *out = c - '0', true;
    if (c >= 'a' && c <= 'f') return *out = c - 'a' + 10u, true;
    return false;
}

/* 32 hex digits, as the action says it, or 16 bytes. */
static bool read_action_id(const msgpack_object *o, struct key *out)
{
    struct slice text;
    if (!object_text(o, &text)) return false;
    *out = (struct key){0};
    if (text.n != 32) return false;
    for (uint32_t i = 0; i < 32; i++) {
        uint64_t digit, *half = i < 16 ? &out->hi : &out->lo;
        if (!hex_digit(text.p[i], &digit)) return false;
        *half = *half << 4 | digit;
    }
    return true;
}

static void acked(void *owner, uint32_t confirmed)
{
    struct request *r = owner;
    struct subscriber *s = r->conn ? admin_conn_sub(r->conn) : NULL;
    if (s)
        action_reader_confirmed(&s->reader, confirmed);
    else
        actions_confirmed_by_another(r->engine, confirmed);
    atomic_store(&r->engine->action_news, 1); /* there is room in the window again */
    pk_map(&r->pack, 1);
    pk_key_uint(&r->pack, "confirmed", confirmed);
    request_reply(r);
}

void method_actions_ack(struct request *r)
{
    const msgpack_object *o = param(r, 0, "ids");
    bool list = o && o->type == MSGPACK_OBJECT_ARRAY;
    uint32_t count = list ? o->via.array.size : o ? 1 : 0;
    struct key *ids = calloc(count + 1, sizeof *ids);
    CHECK(ids != NULL);
    bool good = count > 0 && count <= IDS_MAX;
    for (uint32_t i = 0; i < count && good; i++)
        good = read_action_id(list ? &o->via.array.ptr[i] : o, &ids[i]);
    if (good)
        actions_confirm(r->engine, ids, count, acked, r);
    else
        request_bad(r, "ids is a list of at most 10000 action ids, 32 hex digits each");
    free(ids);
}

/* ---- actions.queue ------------------------------------------------------------------------------------------- */

struct queue_view {
    struct paging paging;
    struct slice channel; /* empty: all */
};

static bool put_pending(struct paging *p, struct worker *w, struct shard *s)
{
    const struct queue_view *v = (const struct queue_view *)p;
    const struct journey_set *set = &shard_definitions(s)->journeys;
    struct action a;
    for (; outbox_next(shard_outbox(s), p->place, &a); p->place = a.sequence) {
        struct slice channel =
            a.channel < set->channel_count ? set->channels[a.channel].name : (struct slice){0};
        if (v->channel.n && !slice_eq(v->channel, channel)) continue;
        if (!paging_room(p)) return false;
        pk_raw(&p->request->pack, a.content);
        p->count++;
    }
    return true;
}

static void release_view(struct paging *p) { free(p); }

void method_actions_queue(struct request *r)
{
    struct queue_view *v = calloc(1, sizeof *v);
    CHECK(v != NULL);
    v->paging.fill = put_pending;
    v->paging.release = release_view;
    param_text(r, 0, "channel", &v->channel);
    if (paging_read(&v->paging, r, 1, 2, QUEUE_SHOWN))
        paging_start(&v->paging, "actions");
    else
        free(v);
}
