/* channels.c - ways to reach people, and what holds messages back. */
#include "core/define/compile.h"

static void read_caps(struct compile *c, struct channel *ch, struct node *caps)
{
    uint32_t count = item_count(caps);
    if (!count) return;
    struct cap *list = ARENA_ARRAY(c->arena, struct cap, count);
    for (uint32_t i = 0; i < count; i++) {
        struct node *rate = item(caps, i);
        if (rate->bad || !parse_rate(rate->text, &list[i].max, &list[i].window_s)) continue;
        if (!list[i].max)
            report_wrong(c->d, rate,
                         "1 or more: 1 per 7d; a channel that nothing may leave by is left out of the steps",
                         "a cap of 0 lets nothing through");
    }
    ch->caps = list;
    ch->cap_count = (uint16_t)count;
}

/* Nobody is reached under a number or a time. */
static void read_address(struct compile *c, struct channel *ch, struct node *n)
{
    ch->address = expression(c, PLACE_NONE, n, WANT_ANY);
    enum expr_want gives = ch->address ? program_result(ch->address) : WANT_ANY;
    if (gives != WANT_STRING && gives != WANT_ANY)
        report_wrong(c->d, n, "string(...), or an attribute that is a text or a list of texts",
                     "an address is a text or a list of texts");
}

static void read_channel(struct compile *c, struct channel *ch, const struct registry_entry *r)
{
    struct node *n = r->node;
    *ch = (struct channel){.name = r->name, .id = r->id, .consent = CHANNEL_CONSENT_REQUIRED};
    if (n->kind != NODE_MAPPING) return;
    ch->consent = (uint8_t)get_word(n, "consent", "required|confirmed|not_needed", CHANNEL_CONSENT_REQUIRED);
    read_address(c, ch, get(n, "address"));
    struct node *quiet = get(n, "quiet"), *cost = get(n, "cost");
    ch->has_quiet = quiet && parse_hours(quiet->text, &ch->quiet_from_s, &ch->quiet_to_s);
    if (cost) parse_number(cost->text, &ch->cost);
    read_caps(c, ch, get(n, "caps"));
    ch->to = arena_slice(c->arena, get_text(n, "to"));
}

static void read_holdout(struct compile *c)
{
    struct node *holdout = get(c->root, "holdout"), *exempt = get(holdout, "exempt");
    c->set->journeys.global_holdout_ppm = get_percent(holdout, "global", 0);
    for (uint32_t i = 0; i < item_count(exempt); i++) {
        if (slice_is(item(exempt, i)->text, "transactional"))
            c->set->journeys.transactional_exempt = true;
        else
            report_wrong(c->d, item(exempt, i), "exempt: [transactional], or leave 'exempt' out",
                         "only transactional messages can be exempt from the global holdout");
    }
}

static void read_block_rules(struct compile *c)
{
    struct node *rules = get(c->root, "block");
    uint32_t count = item_count(rules);
    struct block_rule *list = ARENA_ARRAY(c->arena, struct block_rule, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        struct node *rule = item(rules, i), *times = get(rule, "times");
        if (rule->bad) continue;
        list[i].type = event_id(c, get(rule, "event"));
        list[i].where = expression(c, (struct place){.event = list[i].type}, get(rule, "where"), WANT_BOOL);
        if (times) parse_rate(times->text, &list[i].times, &list[i].window_s);
    }
    c->set->journeys.blocks = list;
    c->set->journeys.block_count = count;
}

void read_channels(struct compile *c)
{
    struct journey_set *j = &c->set->journeys;
    j->channel_count = registry_limit(c->registry, REG_CHANNEL, 0);
    j->list_count = registry_limit(c->registry, REG_LIST, 0);
    struct channel *channels = ARENA_ARRAY(c->arena, struct channel, j->channel_count + 1);
    struct slice *lists = ARENA_ARRAY(c->arena, struct slice, j->list_count + 1);
    for (uint32_t i = 0; i < c->registry->count; i++) {
        const struct registry_entry *r = c->registry->list[i];
        if (r->live && r->kind == REG_CHANNEL) read_channel(c, &channels[r->id], r);
        if (r->live && r->kind == REG_LIST) lists[r->id] = r->name;
    }
    j->channels = channels;
    j->lists = lists;
    read_holdout(c);
    read_block_rules(c);
}
