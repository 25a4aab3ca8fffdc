/* admin_methods.c - the table of everything the admin socket can do, and the smallest of its methods. */
#include "io/admin.h"
#include "io/introspect.h"
#include "io/snapshotter.h"

#include <stdlib.h>

const struct method admin_methods[] = {
    /* name, function, parameters, result, changes state */
    {"sys.hello", method_hello, "", "{version, core_version, features, shards, hash_secret, methods}", false},
    {"sys.state_hash", method_state_hash, "", "{hash, shards: [hex]}", false},
    {"stats.get", method_stats, "", "{events, profiles, segments, journeys, ...}", false},
    {"profile.get", method_profile_get, "id",
     "{user_id, anonymous_ids, attributes, events, segments, journeys, ...}", false},
    {"profile.export", method_profile_export, "after?, limit?",
     "{people: [{user_id, anonymous_ids, key, attributes, consent, events, lists, ...}], as_of, next}",
     false},
    {"profile.why", method_profile_why, "id, journey?",
     "[{journey, state, decision, at, triggers, only_if, reentry, inside, finished, channels, held_out, "
     "in_the_way, ...}]",
     false},
    {"segment.list", method_segment_list, "", "[{name, description, members, when}]", false},
    {"segment.overlap", method_segment_overlap, "a, b", "{both, only_a, only_b}", false},
    {"segment.count", method_segment_count, "name", "{name, members}", false},
    {"segment.members", method_segment_members,
     "name, limit?, columns? (expressions, ';' or ',' between them), after?",
     "{members: [{user_id, anonymous_id, columns?}], next}", false},
    {"segment.explain", method_segment_explain, "name, id",
     "{name, member, entered, left, value, next_change, parts: [{text, depth, value, true, next_change}]}",
     false},
    {"template.preview", method_template_preview, "template, id", "[{journey, step, parts, vars, ...}]",
     false},
    {"query.count", method_query_count, "expression", "{count, of, as_of, errors, meanwhile}", false},
    {"journey.list", method_journey_list, "", "[{name, state, version, entered, active, ...}]", false},
    {"journey.show", method_journey_show, "name", "{name, state, version, steps, counters}", false},
    {"journey.report", method_journey_show, "name", "{name, state, version, steps, counters}", false},
    {"journey.control", method_journey_control, "command (enroll|cancel|skip|restart), name, id", "{}", true,
     true},
    {"definitions.get", method_definitions_get, "", "{version, hash, files}", false},
    {"definitions.check", method_definitions_check, "files: {name: text}", "{ok, messages}", false},
    {"definitions.apply", method_definitions_apply, "files: {name: text}",
     "{version, hash, changed, messages}", true},
    {"definitions.text", method_definitions_text, "version", "{version, hash, files}", false},
    {"definitions.history", method_definitions_history, "", "[{version, hash, files, bytes}]", false},
    {"actions.subscribe", method_actions_subscribe, "name, channels?",
     "{name}; then notifications [2, \"actions\", [action]]", false},
    {"actions.ack", method_actions_ack, "ids", "{confirmed}", true, false, true},
    {"actions.queue", method_actions_queue, "channel?, limit?, after?", "{actions: [action], next}", false},
    {"actions.test", method_actions_test, "journey, step, to, id?", "{action_id}", true, true},
    {"events.tail", method_events_tail, "kinds: [events|transitions|actions|rejects]",
     "{}; then notifications [2, \"tail\", [line]]", false},
    {"snapshot.start", method_snapshot_start, "", "{number}", true},
    {"backup.start", method_backup_start, "dir", "{snapshot, files, copied_bytes}", true},
    {"clock.advance", method_clock_advance, "to: TIME | by: DURATION, after?: events received",
     "{now, stops}", true},
    {"clock.accept", method_clock_accept, "", "{moved_s}", true},
};
const uint32_t admin_method_count = sizeof admin_methods / sizeof admin_methods[0];

/* ---- sys.hello ------------------------------------------------------------------------------------- */

static void pack_methods(pk_t *pk)
{
    pk_list(pk, admin_method_count);
    for (uint32_t i = 0; i < admin_method_count; i++) {
        const struct method *m = &admin_methods[i];
        pk_map(pk, 4);
        pk_text(pk, "name");
        pk_text(pk, m->name);
        pk_text(pk, "params");
        pk_text(pk, m->params);
        pk_text(pk, "result");
        pk_text(pk, m->result);
        pk_text(pk, "changes_state");
        pk_bool(pk, m->changes_state);
    }
}

void method_hello(struct request *r)
{
    static const char *const features[] = {"forward", "ack", "actions", "tail", "snapshot", "request_id"};
    struct engine *e = r->engine;
    pk_t *pk = &r->pack;
    pk_map(pk, 9);
    pk_text(pk, "version");
    pk_text(pk, HG_VERSION);
    pk_key_uint(pk, "core_version", CORE_VERSION);
    pk_text(pk, "features");
    pk_list(pk, sizeof features / sizeof features[0]);
    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++) pk_text(pk, features[i]);
    pk_key_uint(pk, "logical_shards", LOGICAL_SHARDS);
    pk_key_uint(pk, "threads", e->threads);
    pk_text(pk, "shards"); /* logical shard -> thread */
    pk_list(pk, LOGICAL_SHARDS);
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) pk_uint(pk, engine_owner(e, i));
    pk_text(pk, "hash_secret");
    msgpack_pack_bin(pk, SECRET_BYTES);
    msgpack_pack_bin_body(pk, e->dir.secret.bytes, SECRET_BYTES);
    pk_text(pk, "test_clock");
    pk_bool(pk, e->clock.fake);
    pk_text(pk, "methods");
    pack_methods(pk);
    request_reply(r);
}

/* ---- sys.state_hash -------------------------------------------------------------------------------------- */

struct hashes {
    struct request *request;
    struct key of[LOGICAL_SHARDS];
};

static enum call_state hash_shards(struct worker *w, struct part *p)
{
    struct hashes *h = p->scatter->owner;
    if (!intake_idle(w)) return CALL_WAIT;
    if (p->shard == w->shard_count) return CALL_HELD;
    struct shard *s = w->shards[p->shard++]; /* one per turn: it walks everything */
    h->of[shard_index(s)] = shard_hash(s);
    return p->shard == w->shard_count ? CALL_HELD : CALL_AGAIN;
}

static void hashed(struct scatter *s)
{
    struct hashes *h = s->owner;
    struct request *r = h->request;
    scatter_free(s);
    pk_map(&r->pack, 2);
    pk_text(&r->pack, "hash");
    pk_hex(&r->pack, hash128_plain(h->of, sizeof h->of));
    pk_text(&r->pack, "shards");
    pk_list(&r->pack, LOGICAL_SHARDS);
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) pk_hex(&r->pack, h->of[i]);
    free(h);
    request_reply(r);
}

void method_state_hash(struct request *r)
{
    struct hashes *h = calloc(1, sizeof *h);
    CHECK(h != NULL);
    h->request = r;
    struct scatter *s = scatter_new(r->engine, h);
    s->run = hash_shards;
    s->done = hashed;
    scatter_start(s);
}

/* ---- snapshot.start ---------------------------------------------------------------------------------------- */

static void snapshot_done(void *owner, uint64_t number, const char *error)
{
    struct request *r = owner;
    if (error) {
        request_fail(r, ERROR_FAILED, "snapshot_failed", "the snapshot %s; the one before stands", error);
        return;
    }
    pk_map(&r->pack, 1);
    pk_key_uint(&r->pack, "number", number);
    request_reply(r);
}

void method_snapshot_start(struct request *r)
{
    if (!snapshot_start(r->engine, snapshot_done, r))
        request_fail(r, ERROR_BUSY, "busy", "a snapshot or a backup is being written");
}
