/* waits.c - the steps that let time pass: wait, wait_for. */
#include "core/define/compile.h"

static uint16_t read_types(struct compile *c, struct node *silence, const uint16_t **out)
{
    struct node *of = get(silence, "of");
    uint32_t count = item_count(of);
    if (of && !count)
        report_wrong(c->d, of, "name events, or leave it out for any", "'of' needs at least one event");
    uint16_t *types = ARENA_ARRAY(c->arena, uint16_t, count + 1);
    for (uint32_t i = 0; i < count; i++) types[i] = event_id(c, item(of, i));
    *out = types;
    return (uint16_t)count;
}

static void check_wait_keys(struct compile *c, struct node *n, const char *word)
{
    static const char *const goes_with[][2] = {
        {"from", "for"}, {"at", "next"}, {"offset", "until_date"}, {"of", "silence"}};
    for (uint32_t i = 0; i < 4; i++) {
        struct node *value = get(n, goes_with[i][0]);
        if (value && strcmp(word, goes_with[i][1]) != 0)
            report_wrong(c->d, value, "leave it out", "'%s' goes with '%s' only", goes_with[i][0],
                         goes_with[i][1]);
    }
}

static const char *wait_word(struct compile *c, struct node *n)
{
    static const char *const words[] = {"for", "until", "next", "until_date", "silence"};
    const char *found = NULL;
    for (uint32_t i = 0; i < 5; i++) {
        if (!has(n, words[i])) continue;
        if (found) {
            report_wrong(c->d, n, "keep one of them, or write two waits", "a wait is either '%s' or '%s'",
                         found, words[i]);
            return NULL;
        }
        found = words[i];
    }
    if (!found) {
        report_node(c->d, n, "this wait does not say how long");
        report_fix(c->d, "one of: for, until, next, until_date, silence");
    }
    return found;
}

static void read_next_day(struct node *n, struct wait *w)
{
    struct slice day = get_text(n, "next");
    w->kind = slice_is(day, "workday") ? WAIT_NEXT_WORKDAY : WAIT_NEXT_WEEKDAY;
    parse_weekday(day, &w->weekdays);
    w->clock_s = get_clock(n, "at", 0);
}

void read_wait(struct compile *c, struct journey_draft *j, struct node *step, struct step *out)
{
    struct node *n = get(step, "wait");
    struct wait *w = &out->wait;
    if (!n) return;
    if (n->kind == NODE_SCALAR) {
        w->seconds = positive(c, step, "wait");
        return;
    }
    const char *word = wait_word(c, n);
    if (!word) return;
    check_wait_keys(c, n, word);
    if (strcmp(word, "for") == 0) {
        w->kind = has(n, "from") ? WAIT_FROM_ENTRY : WAIT_FOR_TIME;
        w->seconds = positive(c, n, "for");
    } else if (strcmp(word, "until") == 0) {
        w->kind = WAIT_UNTIL_CLOCK;
        w->clock_s = get_clock(n, "until", 0);
    } else if (strcmp(word, "next") == 0) {
        read_next_day(n, w);
    } else if (strcmp(word, "until_date") == 0) {
        w->kind = WAIT_UNTIL_DATE;
        w->date = expression(c, place_in(j), get(n, "until_date"), WANT_TIME);
        w->seconds = get_seconds(n, "offset", 0);
    } else {
        w->kind = WAIT_SILENCE;
        w->seconds = positive(c, n, "silence");
        w->type_count = read_types(c, n, &w->types);
    }
}

static bool read_branch(struct compile *c, struct journey_draft *j, struct node *n, struct match *m,
                        uint16_t next)
{
    static const char *const words[] = {"event", "segment", "when"};
    const char *word = NULL;
    *m = (struct match){.id = ID_NONE};
    if (n->bad) return false;
    for (uint32_t i = 0; i < 3; i++) {
        if (!has(n, words[i])) continue;
        if (word)
            report_wrong(c->d, n, "write one branch for each below 'any'",
                         "a branch waits either for '%s' or for '%s'", word, words[i]);
        word = words[i];
    }
    if (!word)
        report_wrong(c->d, n, "for example {event: NAME, timeout: 1d}",
                     "wait_for does not say what it waits for: event, segment, when or any");
    if (n->bad || !read_match(c, place_in(j), n, word, m)) return false;
    if (check_match(c, j, n, m, "this branch is never walked")) {
        report_warning(c->d, get(n, "when"), "this is always true: nobody waits here");
        report_fix(c->d, "ask for something that may become true later, or leave the wait out");
    }
    m->as = arena_slice(c->arena, get_text(n, "as"));
    m->then = enter(get(n, "then"), next);
    return true;
}

/* An exit that only time is needed for ends every wait. */
static void warn_for_ever(struct compile *c, const struct journey_draft *j, struct node *step)
{
    for (uint16_t i = 0; i < j->journey->exit_count; i++)
        if (j->journey->exits[i].kind == MATCH_AFTER || j->journey->exits[i].kind == MATCH_SILENCE) return;
    report_warning(c->d, step, "nothing ends this wait: who never does what it waits for stays for ever");
    report_fix(c->d, "add `timeout: 7d`, or to the journey exit: [{after: 30d}]");
}

void read_wait_for(struct compile *c, struct journey_draft *j, struct node *step, struct step *out)
{
    struct node *n = get(step, "wait_for"), *any = get(n, "any"), *otherwise = get(n, "else");
    if (!n) return;
    uint32_t count = has(n, "any") ? item_count(any) : 1;
    struct match *list = ARENA_ARRAY(c->arena, struct match, count + 1);
    if (any && (has(n, "event") || has(n, "segment") || has(n, "when") || has(n, "then")))
        report_wrong(c->d, any, "make it an item of 'any'",
                     "'any' holds all branches: what stands beside it belongs inside");
    if (any && !count)
        report_wrong(c->d, any, "for example any: [{event: NAME, then: [end]}]",
                     "'any' needs at least one branch");
    for (uint32_t i = 0; i < count && !n->bad; i++) {
        bool read = read_branch(c, j, any ? item(any, i) : n, &list[out->wait_for.count], out->next);
        out->wait_for.count = (uint16_t)(out->wait_for.count + read);
    }
    out->wait_for.any = list;
    out->wait_for.timeout_s = positive(c, n, "timeout");
    if (!has(n, "timeout")) warn_for_ever(c, j, step);
    out->wait_for.otherwise = enter(otherwise, out->next);
    if (otherwise && !has(n, "timeout"))
        report_wrong(c->d, otherwise, "add 'timeout: 1d', or put these steps behind wait_for",
                     "'else' is for the timeout, and there is none");
}
