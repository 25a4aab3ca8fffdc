/* Definition files become a set: what is in it, ids that stay, bundles that give the same set again. */
#include "core/define/define.h"
#include "core/define/registry.h"
#include "core/journey/template.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void fail_with(const struct diagnostics *d)
{
    struct buf out = {0};
    diagnostics_print(d, &out);
    buf_put_u8(&out, 0);
    cr_assert(false, "refused:\n%s", (char *)out.p);
}

static struct defset *compile_files(const struct source_file *files, uint32_t count,
                                    const struct defset *previous)
{
    struct diagnostics d;
    diagnostics_init(&d);
    struct defset *set = defset_compile(files, count, previous, NULL, &d);
    if (!set) fail_with(&d);
    diagnostics_free(&d);
    return set;
}

static struct defset *compile(const char *text, const struct defset *previous)
{
    struct source_file file = {SLICE("a.yaml"), slice_str(text)};
    return compile_files(&file, 1, previous);
}

static const struct journey *journey(const struct defset *set, const char *name)
{
    uint16_t id = defset_journey(set, slice_str(name));
    cr_assert_neq(id, ID_NONE);
    return set->journeys.journeys[id];
}

static const struct step *step(const struct journey *j, const char *id)
{
    for (uint32_t i = 0; i < j->step_count; i++)
        if (slice_is(j->steps[i].id, id)) return &j->steps[i];
    cr_assert(false, "no step %s", id);
    return NULL;
}

static uint32_t number(const struct journey *j, const char *id) { return (uint32_t)(step(j, id) - j->steps); }

/* ---- model ------------------------------------------------------------------------------------ */

static const char model[] = "timezone: Europe/Moscow\n"
                            "week: {workdays: [mon, tue], holidays: [2027-01-01, 2026-12-31, 2027-01-01]}\n"
                            "profiles: {anonymous_ttl: 90d, known_ttl: never}\n"
                            "strict: true\n"
                            "events:\n"
                            "  Order Completed:\n"
                            "    keep: 730d\n"
                            "    late: 36h\n"
                            "    cap: 8\n"
                            "    also: [purchase, \"Заказ оплачен\"]\n"
                            "    properties:\n"
                            "      order_id: string\n"
                            "      total: {type: number, coerce: true}\n"
                            "      source: {type: string, from: context.campaign.source}\n"
                            "      products: [{product_id: string, price: number}]\n"
                            "      tags: [string]\n"
                            "  Ping:\n"
                            "  Note: {keep: never, activity: false}\n"
                            "attributes:\n"
                            "  email: {type: string, identifies: true}\n"
                            "  city: {type: string, normalize: {мск: Москва, Moscow: Москва}}\n"
                            "  interests: {type: [string]}\n"
                            "  tags: [string]\n"
                            "  birthday: date\n";

Test(define, model_is_what_the_file_says)
{
    struct defset *set = compile(model, NULL);
    const struct schema *s = &set->schema;
    uint16_t id = schema_find(s, NAME_EVENT, SLICE("Order Completed"));
    cr_assert_geq(id, TYPE_DECLARED_BASE);
    cr_expect_eq(schema_find(s, NAME_EVENT, SLICE("purchase")), id);
    cr_expect_eq(schema_find(s, NAME_EVENT, SLICE("Заказ оплачен")), id);
    cr_expect_eq(schema_find(s, NAME_EVENT, SLICE("page")), TYPE_PAGE);
    const struct schema_event *e = schema_event(s, id);
    cr_expect_eq(e->keep_s, 730u * 86400);
    cr_expect_eq(e->late_s, 36u * 3600);
    cr_expect_eq(e->cap, 8);
    cr_expect(e->activity && e->live && !e->plain);
    static const uint8_t types[] = {T_STRING, T_NUMBER, T_STRING, T_RAW, T_STRINGS};
    cr_assert_eq(e->prop_count, COUNT(types));
    for (uint32_t i = 0; i < COUNT(types); i++) cr_expect_eq(e->props[i].type, types[i], "property %u", i);
    cr_expect(e->props[1].coerce && !e->props[0].coerce);
    cr_expect(slice_is(e->props[2].from, "campaign.source"));
    const struct schema_event *note = schema_event(s, schema_find(s, NAME_EVENT, SLICE("Note")));
    cr_expect(!note->activity);
    cr_expect_eq(note->keep_s, UINT32_MAX);
    const struct schema_attribute *city = &s->attributes[schema_find(s, NAME_ATTRIBUTE, SLICE("city"))];
    cr_expect_eq(city->normalize_count, 2);
    cr_expect(slice_is(city->normalize[0][1], "Москва"));
    cr_expect(s->attributes[schema_find(s, NAME_ATTRIBUTE, SLICE("email"))].identifies);
    cr_expect_eq(s->attributes[schema_find(s, NAME_ATTRIBUTE, SLICE("interests"))].type, T_STRINGS);
    cr_expect_eq(s->attributes[schema_find(s, NAME_ATTRIBUTE, SLICE("tags"))].type, T_STRINGS);
    cr_expect_eq(s->attributes[schema_find(s, NAME_ATTRIBUTE, SLICE("birthday"))].type, T_DATE);
    cr_expect(s->strict);
    cr_expect_eq(s->anonymous_ttl_s, 90u * 86400);
    cr_expect_eq(s->known_ttl_s, 0);
    cr_expect_str_eq(zone_name(set->journeys.zone), "Europe/Moscow");
    cr_expect_eq(set->journeys.week.workdays, 0x06);
    cr_assert_eq(set->journeys.week.holiday_count, 2);
    cr_expect_eq(set->journeys.week.holidays[0], civil_days(2026, 12, 31));
    defset_free(set);
}

Test(define, empty_set_knows_the_built_in_names_only)
{
    struct defset *set = defset_empty();
    cr_assert_not_null(set);
    cr_expect_eq(set->version, 0);
    cr_expect_eq(schema_find(&set->schema, NAME_EVENT, SLICE("Message Opened")), TYPE_OPENED);
    cr_expect_neq(set->journeys.attribute_timezone, ID_NONE);
    cr_expect_neq(set->journeys.attribute_language, ID_NONE);
    cr_expect_eq(set->journeys.journey_count, 0);
    cr_expect_eq(defset_segment(set, SLICE("x")), ID_NONE);
    defset_free(set);
}

Test(define, predeclared_events_may_be_declared_further)
{
    struct defset *set = compile(
        "events:\n  page: {properties: {path: string}}\n  Message Clicked: {properties: {url: string}}\n",
        NULL);
    const struct schema_event *page = schema_event(&set->schema, TYPE_PAGE),
                              *clicked = schema_event(&set->schema, TYPE_CLICKED);
    cr_expect_eq(page->prop_count, 1);
    cr_expect(!page->plain);
    cr_expect_eq(clicked->prop_count, 5);
    cr_expect(slice_is(clicked->props[0].name, "action_id"));
    cr_expect(slice_is(clicked->props[4].name, "url"));
    defset_free(set);
}

/* ---- channels, segments --------------------------------------------------------------------------- */

Test(define, channels_and_segments_are_what_the_file_says)
{
    struct defset *set = compile(
        "attributes: {email: string}\n"
        "events: {Order: {properties: {total: number}}}\n"
        "channels:\n"
        "  email: {address: profile.email, consent: confirmed, quiet: \"21:00-09:00\", caps: [1 per 1d, 3 "
        "per 7d], cost: 0.1, to: mailer}\n"
        "  crm: {consent: not_needed, caps: 2 per 1h}\n"
        "holdout: {global: 5%, exempt: [transactional]}\n"
        "block: [{event: Message Bounced, times: 3 per 30d}, {event: Message Failed, where: e.hard}]\n"
        "lists: {staff: {description: imported}, other: }\n"
        "segments:\n"
        "  outer: segment(\"inner\") && !in_list(\"staff\")\n"
        "  inner: {when: 'count(\"Order\", days(3)) > 1', description: d, expect: 5..10}\n",
        NULL);
    const struct journey_set *j = &set->journeys;
    const struct channel *email = &j->channels[defset_channel(set, SLICE("email"))];
    cr_expect_not_null(email->address);
    cr_expect_eq(email->consent, CHANNEL_CONSENT_CONFIRMED);
    cr_expect(email->has_quiet && email->quiet_from_s == 21 * 3600 && email->quiet_to_s == 9 * 3600);
    cr_assert_eq(email->cap_count, 2);
    cr_expect_eq(email->caps[1].max, 3);
    cr_expect_eq(email->caps[1].window_s, 7u * 86400);
    cr_expect_float_eq(email->cost, 0.1, 1e-12);
    cr_expect(slice_is(email->to, "mailer"));
    const struct channel *crm = &j->channels[defset_channel(set, SLICE("crm"))];
    cr_expect(!crm->address && crm->cap_count == 1 && crm->consent == CHANNEL_CONSENT_NOT_NEEDED);
    cr_expect_eq(j->global_holdout_ppm, 50000);
    cr_expect(j->transactional_exempt);
    cr_assert_eq(j->block_count, 2);
    cr_expect_eq(j->blocks[0].type, TYPE_BOUNCED);
    cr_expect_eq(j->blocks[0].times, 3);
    cr_expect_not_null(j->blocks[1].where);
    cr_expect_eq(j->list_count, 2);
    uint16_t outer = defset_segment(set, SLICE("outer")), inner = defset_segment(set, SLICE("inner"));
    cr_assert_eq(set->segments.order_count, 2);
    cr_expect_eq(set->segments.order[0], inner);
    cr_expect_eq(set->segments.order[1], outer);
    cr_expect_eq(set->segments.list[inner].expect_min, 5);
    cr_expect(slice_is(set->segments.list[inner].text, "count(\"Order\", days(3)) > 1"));
    defset_free(set);
}

/* ---- journeys --------------------------------------------------------------------------------------- */

static const char base[] =
    "timezone: Europe/Moscow\n"
    "events:\n  Added: {properties: {price: number}}\n  Order: {properties: {total: number}}\n"
    "attributes: {city: string, points: number, expires_at: date, email: string}\n"
    "segments: {buyers: count(\"Order\") > 0}\n"
    "lists: {staff: }\n"
    "channels: {email: {consent: not_needed}, sms: {consent: not_needed}}\n";

static struct defset *with_base(const char *text)
{
    struct source_file files[] = {{SLICE("base.yaml"), slice_str(base)}, {SLICE("j.yaml"), slice_str(text)}};
    return compile_files(files, 2, NULL);
}

Test(define, head_of_a_journey_is_what_the_file_says)
{
    struct defset *set = with_base(
        "journeys:\n"
        "  j:\n"
        "    description: d\n"
        "    state: paused\n"
        "    active: {from: 2026-01-01, until: 2026-12-31}\n"
        "    trigger: {event: Added, where: e.price > 0}\n"
        "    only_if: trigger.price < 100\n"
        "    reentry: {after: 7d, while_active: restart}\n"
        "    priority: -5\n"
        "    holdout: 10%\n"
        "    goal: {event: Order, within: 3d, value: e.total, where: e.total > trigger.price, stay: true}\n"
        "    exit: [{event: Order}, {when: in_list(\"staff\")}, {silence: 5d}, {after: 30d}, {segment_left: "
        "buyers}]\n"
        "    steps: [end]\n");
    const struct journey *j = journey(set, "j");
    cr_expect_eq(j->state, JOURNEY_PAUSED);
    cr_expect_eq(j->active_from, 1767214800); /* 2026-01-01T00:00 in Moscow */
    cr_expect_eq(j->active_until, 1767214800 + 365 * 86400);
    cr_assert_eq(j->trigger_count, 1);
    cr_expect_eq(j->triggers[0].kind, MATCH_EVENT);
    cr_expect_not_null(j->triggers[0].where);
    cr_expect_not_null(j->only_if);
    cr_expect_eq(j->reentry, REENTRY_AFTER);
    cr_expect_eq(j->reentry_after_s, 7u * 86400);
    cr_expect_eq(j->while_active, ACTIVE_RESTART);
    cr_expect_eq(j->priority, -5);
    cr_expect_eq(j->holdout_ppm, 100000);
    cr_expect(j->has_goal && j->goal_stay && j->goal_value && j->goal.where);
    cr_expect_eq(j->goal_within_s, 3u * 86400);
    static const uint8_t kinds[] = {MATCH_EVENT, MATCH_WHEN, MATCH_SILENCE, MATCH_AFTER, MATCH_SEGMENT_LEFT};
    cr_assert_eq(j->exit_count, COUNT(kinds));
    for (uint32_t i = 0; i < COUNT(kinds); i++) cr_expect_eq(j->exits[i].kind, kinds[i]);
    cr_expect_eq(j->exits[3].seconds, 30u * 86400);
    cr_expect_eq(j->version, 1);
    defset_free(set);
}

Test(define, triggers_of_every_kind)
{
    struct defset *set =
        with_base("journeys:\n"
                  "  j:\n"
                  "    trigger:\n"
                  "      - {segment_entered: buyers}\n"
                  "      - {segment_left: buyers}\n"
                  "      - {attribute_changed: city, from: a\"b, to: \"5\"}\n"
                  "      - {attribute_changed: points, to: 5}\n"
                  "      - {date: profile.expires_at, every: year, offset: -3d, at: \"10:00\"}\n"
                  "      - manual\n"
                  "      - event: Order\n"
                  "    reentry: {key: profile.city}\n"
                  "    steps: [end]\n"
                  "  k: {trigger: manual, reentry: always, steps: [end]}\n");
    const struct journey *j = journey(set, "j");
    static const uint8_t kinds[] = {
        MATCH_SEGMENT_ENTERED, MATCH_SEGMENT_LEFT, MATCH_ATTRIBUTE, MATCH_ATTRIBUTE, MATCH_DATE,
        MATCH_MANUAL,          MATCH_EVENT};
    cr_assert_eq(j->trigger_count, COUNT(kinds));
    for (uint32_t i = 0; i < COUNT(kinds); i++) cr_expect_eq(j->triggers[i].kind, kinds[i], "trigger %u", i);
    cr_expect(j->triggers[2].from && j->triggers[2].to && !j->triggers[3].from && j->triggers[3].to);
    cr_expect(j->triggers[4].every_year && j->triggers[4].date);
    cr_expect_eq(j->triggers[4].offset_s, -3 * 86400);
    cr_expect_eq(j->triggers[4].clock_s, 36000);
    cr_expect_eq(j->reentry, REENTRY_KEYED);
    cr_expect_eq(journey(set, "k")->reentry, REENTRY_ALWAYS);
    defset_free(set);
}

Test(define, waits_of_every_form)
{
    struct defset *set = with_base("journeys:\n"
                                   "  j:\n"
                                   "    trigger: manual\n"
                                   "    steps:\n"
                                   "      - wait: 1d12h30m\n"
                                   "      - wait: {from: entry, for: 5d}\n"
                                   "      - wait: {until: \"10:00\"}\n"
                                   "      - wait: {next: workday, at: \"10:30\"}\n"
                                   "      - wait: {next: tue}\n"
                                   "      - wait: {until_date: profile.expires_at, offset: -5d}\n"
                                   "      - wait: {silence: 30m, of: [Added, page]}\n"
                                   "      - wait: {silence: 1h}\n");
    const struct journey *j = journey(set, "j");
    static const uint8_t kinds[] = {WAIT_FOR_TIME,     WAIT_FROM_ENTRY, WAIT_UNTIL_CLOCK, WAIT_NEXT_WORKDAY,
                                    WAIT_NEXT_WEEKDAY, WAIT_UNTIL_DATE, WAIT_SILENCE,     WAIT_SILENCE};
    cr_assert_eq(j->step_count, COUNT(kinds));
    for (uint32_t i = 0; i < COUNT(kinds); i++) {
        cr_expect_eq(j->steps[i].kind, STEP_WAIT);
        cr_expect_eq(j->steps[i].wait.kind, kinds[i], "wait %u", i);
        cr_expect_eq(j->steps[i].next, i + 1 < COUNT(kinds) ? i + 1 : STEP_END);
    }
    cr_expect_eq(j->steps[0].wait.seconds, 36 * 3600 + 1800);
    cr_expect_eq(j->steps[1].wait.seconds, 5 * 86400);
    cr_expect_eq(j->steps[3].wait.clock_s, 10 * 3600 + 1800);
    cr_expect_eq(j->steps[4].wait.weekdays, 1 << 2);
    cr_expect_eq(j->steps[5].wait.seconds, -5 * 86400);
    cr_expect_eq(j->steps[6].wait.type_count, 2);
    cr_expect_eq(j->steps[6].wait.types[1], TYPE_PAGE);
    cr_expect_eq(j->steps[7].wait.type_count, 0);
    defset_free(set);
}

Test(define, nested_lists_become_one_table)
{
    struct defset *set =
        with_base("journeys:\n"
                  "  j:\n"
                  "    trigger: {event: Added}\n"
                  "    steps:\n"
                  "      - if: trigger.price > 5\n"
                  "        then:\n"
                  "          - wait: 1h\n"
                  "          - if: 'true'\n"
                  "            else: [{wait: 2h}]\n"
                  "        else: []\n"
                  "      - wait_for:\n"
                  "          any:\n"
                  "            - {event: Order, as: order, where: e.total > trigger.price, then: [{set: "
                  "{points: =order.total}}, {goto: tail}]}\n"
                  "            - {when: in_list(\"staff\"), then: [end]}\n"
                  "            - {segment: buyers}\n"
                  "          timeout: 1d\n"
                  "          else: [{wait: 3h}]\n"
                  "      - switch: {on: profile.city, cases: {a: [{wait: 4h}], \"5\": []}, default: [end]}\n"
                  "      - split: {x: 12.5%, y: 87.5%}\n"
                  "        paths: {x: [{wait: 5h}]}\n"
                  "      - {id: tail, wait: 6h}\n");
    const struct journey *j = journey(set, "j");
    uint32_t wait_for = number(j, "1"), choose = number(j, "2"), split = number(j, "3"),
             tail = number(j, "tail");
    cr_expect_eq(j->first, 0);
    cr_expect_eq(j->steps[0].branch.then, number(j, "0.then.0"));
    cr_expect_eq(j->steps[0].branch.otherwise, wait_for);
    cr_expect_eq(step(j, "0.then.0")->next, number(j, "0.then.1"));
    cr_expect_eq(step(j, "0.then.1")->branch.then, wait_for);
    cr_expect_eq(step(j, "0.then.1")->branch.otherwise, number(j, "0.then.1.else.0"));
    cr_expect_eq(step(j, "0.then.1.else.0")->next, wait_for);
    const struct step *w = &j->steps[wait_for];
    cr_assert_eq(w->wait_for.count, 3);
    cr_expect_eq(w->wait_for.any[0].then, number(j, "1.any.0.then.0"));
    cr_expect(slice_is(w->wait_for.any[0].as, "order"));
    cr_expect_eq(w->wait_for.any[1].kind, MATCH_WHEN);
    cr_expect_eq(w->wait_for.any[2].then, choose);
    cr_expect_eq(w->wait_for.otherwise, number(j, "1.else.0"));
    cr_expect_eq(w->wait_for.timeout_s, 86400);
    cr_assert_eq(j->as_count, 1);
    cr_expect(slice_is(j->as_names[0], "order"));
    cr_expect_eq(step(j, "1.any.0.then.1")->jump.to, tail);
    cr_expect_not_null(step(j, "1.any.0.then.0")->set.fields[0].program);
    const struct step *c = &j->steps[choose];
    cr_assert_eq(c->choose.count, 2);
    cr_expect_eq(c->choose.cases[1].kind, V_STRING);
    cr_expect_eq(c->choose.to[0], number(j, "2.cases.a.0"));
    cr_expect_eq(c->choose.to[1], split);
    cr_expect_eq(c->choose.otherwise, number(j, "2.default.0"));
    const struct step *s = &j->steps[split];
    cr_expect_eq(s->split.ppm[0], 125000);
    cr_expect_eq(s->split.to[0], number(j, "3.paths.x.0"));
    cr_expect_eq(s->split.to[1], tail);
    cr_expect_eq(step(j, "3.paths.x.0")->next, tail);
    cr_expect_eq(j->steps[tail].next, STEP_END);
    defset_free(set);
}

Test(define, actions_of_every_kind)
{
    struct defset *set = with_base(
        "journeys:\n"
        "  j:\n"
        "    trigger: {event: Added}\n"
        "    steps:\n"
        "      - send: {id: m1, channel: email, template: t, topic: cart, type: mass, priority: 7, expires: "
        "2d, once: true, on_expired: exit, value: trigger.price, vars: {a: 5, b: "
        "=trigger.price * 2, c: 'x {{ profile.city | default: \"y\" }}', d: [1, two]}}\n"
        "      - send: {first_of: [sms, email], template: t}\n"
        "      - send: {cascade: [{channel: email, wait: 6h}, {channel: sms}], until: opened, template: t}\n"
        "      - {cascade: [email, sms], template: t, topic: news}\n"
        "      - webhook: {channel: sms, template: w}\n"
        "      - task: {channel: sms, to: boss, title: call, due: 3d}\n"
        "      - audience: {add: lost, channel: sms}\n"
        "      - unsubscribe: {channel: email, topic: promo}\n"
        "      - set: {city: null, points: 5}\n"
        "      - add_to: staff\n"
        "      - remove_from: staff\n"
        "      - stop: j\n"
        "      - pause: {journey: j, for: 2d}\n"
        "      - mute: {for: 2d, types: [mass]}\n"
        "      - if: clicked(\"m1\")\n"
        "        then: [end]\n");
    const struct journey *j = journey(set, "j");
    static const uint8_t kinds[] = {STEP_SEND,    STEP_SEND,   STEP_CASCADE,     STEP_CASCADE,
                                    STEP_WEBHOOK, STEP_TASK,   STEP_AUDIENCE,    STEP_UNSUBSCRIBE,
                                    STEP_SET,     STEP_ADD_TO, STEP_REMOVE_FROM, STEP_STOP,
                                    STEP_PAUSE,   STEP_MUTE,   STEP_IF};
    for (uint32_t i = 0; i < COUNT(kinds); i++) cr_expect_eq(j->steps[i].kind, kinds[i], "step %u", i);
    const struct step *m = step(j, "m1");
    cr_expect_eq(m->send.option_count, 1);
    cr_expect_eq(m->send.type, SEND_MASS);
    cr_expect_eq(m->send.priority, 7);
    cr_expect_eq(m->send.expires_s, 2u * 86400);
    cr_expect(m->send.once && m->send.exit_on_expired && m->send.value);
    cr_assert_eq(m->send.field_count, 4);
    cr_expect_eq(m->send.vars[0].literal.i, 5);
    cr_expect_not_null(m->send.vars[1].program);
    cr_expect_not_null(m->send.vars[2].text);
    cr_expect_eq(m->send.vars[3].literal.kind, V_LIST);
    cr_expect_eq(j->steps[1].send.priority, INT32_MIN);
    cr_expect_eq(j->steps[1].send.expires_s, 86400);
    cr_expect_eq(j->steps[2].send.options[0].wait_s, 6u * 3600);
    cr_expect_eq(j->steps[2].send.cascade_until, SEND_OPENED);
    cr_expect_eq(j->steps[3].send.cascade_until, SEND_CLICKED);
    cr_expect(slice_is(j->steps[3].send.topic, "news"));
    cr_expect_not_null(j->steps[5].act.due);
    cr_expect(slice_is(j->steps[6].act.op, "add"));
    cr_expect_eq(j->steps[8].set.fields[0].literal.kind, V_NULL);
    cr_expect_eq(j->steps[12].control.for_s, 2u * 86400);
    cr_expect_eq(j->steps[13].mute.types, 1u << SEND_MASS);
    defset_free(set);
}

Test(define, templates_are_seen_with_the_journeys_trigger)
{
    struct source_file files[] = {
        {SLICE("base.yaml"), slice_str(base)},
        {SLICE("mail/t.html"), SLICE("<p>{{ trigger.price | default: \"?\" }}</p>")},
        {SLICE("mail/j.yaml"),
         SLICE("templates:\n"
               "  cart: {lang: profile.language, email: {subject: 'For {{ trigger.price }}', html: t.html}, "
               "fallback: plain}\n"
               "  plain: {email: {text: Hello}}\n"
               "journeys:\n"
               "  j: {trigger: {event: Added}, steps: [{send: {channel: email, template: cart}}]}\n")}};
    struct defset *set = compile_files(files, COUNT(files), NULL);
    const struct template *t = journey(set, "j")->steps[0].send.template;
    cr_assert_not_null(t);
    cr_expect_not_null(t->lang);
    cr_assert_eq(t->part_count, 1);
    cr_assert_eq(t->parts[0].field_count, 2);
    cr_expect_not_null(t->parts[0].fields[1].text);
    cr_assert_not_null(t->fallback);
    cr_expect(slice_is(t->fallback->name, "plain"));
    defset_free(set);
}

Test(define, language_description_passes_check)
{
    struct diagnostics d;
    uint32_t count;
    diagnostics_init(&d);
    struct source_file *files = sources_read(HG_TEST_DATA "/definitions/language", &count, &d);
    cr_assert_eq(count, 6);
    struct defset *set = defset_check(files, count, NULL, NULL, &d);
    if (!set) fail_with(&d);
    cr_expect_eq(set->segments.list[defset_segment(set, SLICE("sleeping_60"))].live, true);
    defset_free(set);
    diagnostics_free(&d);
}

Test(define, one_more_expression_against_a_set)
{
    struct defset *set = with_base("values: {cheque: 4200}\n");
    struct arena a;
    struct expr_errors errors = {0};
    arena_init(&a);
    cr_expect_not_null(defset_expression(
        set, ID_NONE, SLICE("count(\"Order\") > 3 && segment(\"buyers\") && value(\"cheque\") > 1"),
        WANT_BOOL, &a, &errors));
    cr_expect_eq(errors.count, 0);
    cr_expect_null(defset_expression(set, ID_NONE, SLICE("segment(\"byers\")"), WANT_BOOL, &a, &errors));
    cr_assert_eq(errors.count, 1);
    cr_expect_eq(errors.list[0].at, 8);
    arena_free(&a);
    defset_free(set);
}

/* ---- several files, several versions ------------------------------------------------------------------ */

Test(define, equal_entries_may_stand_in_several_files)
{
    struct source_file files[] = {
        {SLICE("a.yaml"), SLICE("events:\n  A: {keep: 3d, cap: 5}\nsegments: {s: count(\"A\") > 1}\n")},
        {SLICE("b.yaml"),
         SLICE("events:\n  A:\n    cap: 5\n    keep: 3d\nsegments: {s: count(\"A\") > 1}\n")}};
    struct defset *set = compile_files(files, 2, NULL);
    cr_expect_eq(set->segments.order_count, 1);
    defset_free(set);
}

Test(define, ids_stay_when_files_are_rearranged)
{
    struct defset *one =
        compile("events: {A: {properties: {x: string, y: number}}, B: }\nattributes: {p: string, q: number}\n"
                "segments: {s: 'count(\"A\") > 1', t: 'count(\"B\") > 1'}\nlists: {l: , m: }\n",
                NULL);
    struct defset *two =
        compile("events: {C: , B: , A: {properties: {z: string, y: string, x: string}}}\nattributes: {r: "
                "string, q: number}\n"
                "segments: {u: 'count(\"B\") > 2', t: 'count(\"B\") > 1'}\nlists: {n: , m: }\n",
                one);
    cr_expect_eq(two->version, 2);
    uint16_t a = schema_find(&one->schema, NAME_EVENT, SLICE("A"));
    cr_expect_eq(schema_find(&two->schema, NAME_EVENT, SLICE("A")), a);
    cr_expect_eq(schema_find(&two->schema, NAME_EVENT, SLICE("B")),
                 schema_find(&one->schema, NAME_EVENT, SLICE("B")));
    const struct schema_event *e = schema_event(&two->schema, a);
    cr_assert_eq(e->prop_count, 4);
    static const struct {
        const char *name;
        uint8_t type;
        bool live;
    } props[] = {{"x", T_STRING, true}, {"y", T_NUMBER, false}, {"z", T_STRING, true}, {"y", T_STRING, true}};
    for (uint32_t i = 0; i < 4; i++) {
        cr_expect(slice_is(e->props[i].name, props[i].name), "property %u", i);
        cr_expect_eq(e->props[i].type, props[i].type, "property %u", i);
        cr_expect_eq(e->props[i].live, props[i].live, "property %u", i);
    }
    cr_expect_eq(schema_find(&two->schema, NAME_ATTRIBUTE, SLICE("q")),
                 schema_find(&one->schema, NAME_ATTRIBUTE, SLICE("q")));
    cr_expect_eq(schema_find(&two->schema, NAME_ATTRIBUTE, SLICE("p")), ID_NONE);
    cr_expect_eq(defset_segment(two, SLICE("t")), defset_segment(one, SLICE("t")));
    cr_expect_eq(defset_segment(two, SLICE("s")), ID_NONE);
    cr_expect(!two->segments.list[defset_segment(one, SLICE("s"))].live);
    cr_expect_geq(defset_segment(two, SLICE("u")), one->segments.count);
    defset_free(one);
    defset_free(two);
}

static const char version_1[] = "events: {A: }\njourneys:\n  j: {trigger: {event: A}, steps: [{wait: 1d}]}\n "
                                " k: {trigger: {event: A}, steps: [{wait: 1d}]}\n";
static const char version_1_again[] = "# other layout\nevents:\n  A:\njourneys:\n  j:\n    trigger: {event: "
                                      "'A'}\n    steps:\n      - wait: 1d\n"
                                      "  k: {trigger: {event: A}, steps: [{wait: 1d}]}\n";
static const char version_2[] = "events: {A: }\njourneys:\n  j: {trigger: {event: A}, steps: [{wait: 2d}]}\n";
static const char version_3[] = "events: {A: , B: }\njourneys:\n  j: {trigger: {event: A}, steps: [{wait: "
                                "1d}]}\n  k: {trigger: {event: A}, steps: [{wait: 1d}]}\n";

static int64_t wait_of(const struct defset *set, const char *name, uint16_t version, const struct defset *ids)
{
    const struct journey *j = journey_version(&set->journeys, defset_journey(ids, slice_str(name)), version);
    return j ? j->steps[0].wait.seconds : -1;
}

/* Four versions; the former ones are let go by their owner, as a server does. */
static struct defset *four_versions(void)
{
    const char *texts[] = {version_1, version_1_again, version_2, version_3};
    struct defset *set = NULL;
    for (uint32_t i = 0; i < 4; i++) {
        struct defset *next = compile(texts[i], set);
        defset_free(set);
        set = next;
    }
    return set;
}

Test(define, journeys_change_version_with_their_content_and_older_ones_stay)
{
    struct defset *set = four_versions();
    cr_expect_eq(set->version, 4);
    cr_expect_eq(journey(set, "j")->version, 3);
    cr_expect_eq(journey(set, "k")->version, 1, "it came back as it was");
    cr_expect_eq(wait_of(set, "j", 1, set), 86400);
    cr_expect_eq(wait_of(set, "j", 2, set), 2 * 86400);
    cr_expect_eq(wait_of(set, "j", 3, set), 86400);
    cr_expect_eq(wait_of(set, "j", 4, set), -1);
    cr_expect_eq(set->journeys.older_count, 2);
    defset_free(set);
}

static void expect_same(const struct defset *a, const struct defset *b)
{
    cr_expect_eq(a->version, b->version);
    cr_expect(key_eq(a->hash, b->hash));
    cr_expect(slice_eq(a->bundle, b->bundle));
    cr_assert_eq(a->registry->count, b->registry->count);
    for (uint32_t i = 0; i < a->registry->count; i++) {
        const struct registry_entry *x = a->registry->list[i], *y = b->registry->list[i];
        cr_expect(slice_eq(x->name, y->name) && x->kind == y->kind && x->id == y->id && x->live == y->live &&
                  x->version == y->version);
    }
    cr_assert_eq(a->journeys.older_count, b->journeys.older_count);
    for (uint32_t i = 0; i < a->journeys.older_count; i++) {
        cr_expect_eq(a->journeys.older[i]->version, b->journeys.older[i]->version);
        cr_expect_eq(a->journeys.older[i]->text_hash, b->journeys.older[i]->text_hash);
    }
}

Test(define, bundle_gives_the_same_set_again)
{
    struct defset *set = four_versions();
    struct diagnostics d;
    diagnostics_init(&d);
    struct defset *again = defset_from_bundle(set->bundle, NULL, &d);
    if (!again) fail_with(&d);
    expect_same(set, again);
    struct defset *next = compile(version_2, set), *next_again = compile(version_2, again);
    expect_same(next, next_again); /* and both go on alike */
    cr_expect_eq(journey(next, "j")->version, 4);
    defset_free(next);
    defset_free(next_again);
    defset_free(again);
    defset_free(set);
    diagnostics_free(&d);
}

static bool only_second(void *self, uint16_t id, uint16_t version) { return version == 2; }
static bool nobody(void *self, uint16_t id, uint16_t version) { return false; }

Test(define, versions_that_nobody_is_inside_of_can_be_forgotten)
{
    struct defset *set = four_versions();
    uint32_t bytes = set->bundle.n;
    defset_forget(set, only_second, NULL);
    cr_expect_eq(wait_of(set, "j", 1, set), -1);
    cr_expect_eq(wait_of(set, "j", 2, set), 2 * 86400);
    struct diagnostics d;
    diagnostics_init(&d);
    struct defset *again = defset_from_bundle(set->bundle, NULL, &d);
    if (!again) fail_with(&d);
    cr_expect_eq(wait_of(again, "j", 2, set), 2 * 86400);
    cr_expect_eq(journey(again, "j")->version, 3);
    defset_free(again);
    diagnostics_free(&d);
    defset_forget(set, nobody, NULL);
    cr_expect_null(set->before);
    cr_expect_lt(set->bundle.n, bytes);
    defset_free(set);
}

Test(define, damaged_bundle_is_refused_at_every_byte)
{
    struct defset *set = compile(version_1, NULL);
    uint8_t *bytes = malloc(set->bundle.n);
    for (uint32_t i = 0; i <= set->bundle.n; i++) {
        struct diagnostics d;
        diagnostics_init(&d);
        memcpy(bytes, set->bundle.p, set->bundle.n);
        if (i < set->bundle.n) bytes[i] ^= 0x41;
        struct slice damaged = slice_of(bytes, i < set->bundle.n ? set->bundle.n : set->bundle.n - 1);
        cr_expect_null(defset_from_bundle(damaged, NULL, &d), "byte %u", i);
        cr_expect_eq(d.errors, 1);
        diagnostics_free(&d);
    }
    free(bytes);
    defset_free(set);
}

Test(define, json_schema_knows_every_block_and_step)
{
    struct buf out = {0};
    definitions_json_schema(&out);
    buf_put_u8(&out, 0);
    const char *text = (const char *)out.p;
    static const char *const wanted[] = {"http://json-schema.org/draft-07/schema#",
                                         "\"journeys\"",
                                         "\"wait_for\"",
                                         "\"first_of\"",
                                         "\"required\":[\"trigger\",\"steps\"]",
                                         "\"enum\":[\"required\",\"confirmed\",\"not_needed\"]"};
    for (uint32_t i = 0; i < COUNT(wanted); i++) cr_expect(strstr(text, wanted[i]) != NULL, "%s", wanted[i]);
    int depth = 0, deepest = 0;
    bool quoted = false;
    for (const char *p = text; *p; p++) {
        if (quoted && *p == '\\')
            p++;
        else if (*p == '"')
            quoted = !quoted;
        else if (!quoted && strchr("{[", *p))
            depth++;
        else if (!quoted && strchr("}]", *p))
            depth--;
        cr_assert_geq(depth, 0);
        if (depth > deepest) deepest = depth;
    }
    cr_expect(depth == 0 && !quoted && deepest < 16);
    buf_free(&out);
}

/* ---- directories ----------------------------------------------------------------------------------------- */

static void put_file(const char *dir, const char *name, const char *text)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    fputs(text, f);
    fclose(f);
}

Test(define, directory_is_read_in_order_without_tests_and_links)
{
    char dir[] = "/tmp/hourglass-define-XXXXXX", sub[300], link_path[300];
    cr_assert_not_null(mkdtemp(dir));
    snprintf(sub, sizeof sub, "%s/sub", dir);
    snprintf(link_path, sizeof link_path, "%s/link.yaml", dir);
    mkdir(sub, 0700);
    put_file(dir, "z.yaml", "events: {Z: }\n");
    put_file(dir, "a.test.yaml", "- test: x\n");
    put_file(dir, "notes.md", "# no\n");
    put_file(sub, "b.yaml", "events: {B: }\n");
    put_file(sub, "t.html", "<p>\n");
    cr_assert_eq(symlink("z.yaml", link_path), 0);
    struct diagnostics d;
    uint32_t count;
    diagnostics_init(&d);
    struct source_file *files = sources_read(dir, &count, &d);
    cr_assert_eq(count, 3);
    cr_expect(slice_is(files[0].name, "sub/b.yaml"));
    cr_expect(slice_is(files[1].name, "sub/t.html"));
    cr_expect(slice_is(files[2].name, "z.yaml"));
    cr_expect_eq(d.errors, 1, "the link is named");
    cr_expect_str_eq(d.list[0].file, "link.yaml");
    diagnostics_free(&d);
    diagnostics_init(&d);
    cr_expect_null(sources_read("/nowhere/at/all", &count, &d));
    cr_expect(count == 0 && d.errors == 1);
    diagnostics_free(&d);
    snprintf(sub, sizeof sub, "rm -r %s", dir);
    cr_assert_eq(system(sub), 0);
}
