/* simulate.c - messages in virtual time, without a server: prints what would be sent. */
#include <stdio.h>
#include <unistd.h>

#include "core/machine.h"
#include "tools/hourglass/commands.h"
#include "tools/hourglass/json.h"
#include "tools/hourglass/lines.h"
#include "tools/hourglass/load.h"
#include "tools/hourglass/respond.h"

struct simulation {
    uint32_t from; /* actions before it are not printed */
    uint32_t last; /* second of the last message */
    uint64_t messages, actions;
    struct responses *people; /* NULL: nobody reacts */
    struct buf out;
};

static void on_effect(void *self, const struct effect *e)
{
    struct simulation *s = self;
    if (e->kind != EFFECT_ACTION) return;
    if (s->people) respond_action(s->people, e->action.content, e->action.created_at);
    if (e->action.created_at < s->from) return;
    json_print(e->action.content, 0, &s->out);
    buf_put_u8(&s->out, '\n');
    s->actions++;
    if (s->out.n > 1 << 16) put_out(&s->out);
}

static void secret_option(const struct cli *c, struct hash_secret *secret)
{
    const char *hex = cli_option(c, "hash-secret");
    uint8_t seed[64];
    uint32_t n = 0;
    unsigned byte;
    for (; hex && hex[0] && n < sizeof seed; hex += 2, n++) {
        if (!hex[1] || sscanf(hex, "%2x", &byte) != 1)
            die(EXIT_USAGE, "--hash-secret wants an even number of hexadecimal digits");
        seed[n] = (uint8_t)byte;
    }
    hash_secret_from_seed(secret, hex ? slice_of(seed, n) : SLICE("simulate"));
}

/* To the second `to`, stopping at everything that people do on the way. */
static void advance(struct simulation *s, struct machine *m, uint32_t to)
{
    while (s->people && machine_now(m) < to) {
        uint32_t next = respond_next(s->people), due = machine_next_due(m);
        if (due < next) next = due; /* it may cause an outcome that comes before the next known one */
        if (next >= to) break;
        machine_advance(m, next > machine_now(m) ? next : machine_now(m) + 1);
        while (respond_next(s->people) <= machine_now(m))
            machine_event(m, respond_take(s->people), (int64_t)machine_now(m) * 1000);
    }
    if (to > machine_now(m)) machine_advance(m, to);
}

/* Virtual time begins with the first message and jumps from one to the next, stopping wherever something is due. */
static struct machine *play(struct lines *lines, struct machine_config *config, struct simulation *s,
                            uint32_t until)
{
    struct machine *m = NULL;
    struct message message;
    while (lines_next(lines, &message)) {
        uint32_t at = (uint32_t)(message.entry_ms / 1000);
        if (until && at > until) break;
        if (!m) {
            config->start = at ? at : s->from;
            m = machine_create(config);
            if (!m) die(EXIT_FAILED, "no memory");
        }
        advance(s, m, at);
        machine_event(m, message.record, message.entry_ms);
        s->messages++;
        if (at > s->last) s->last = at;
    }
    if (m) advance(s, m, until);
    return m;
}

/* ---- what did not count ------------------------------------------------------------------------------ */

struct name_count {
    struct slice name;
    uint64_t count;
};

static void add_name(struct name_count *list, uint32_t *n, struct slice name, uint64_t count)
{
    uint32_t i = 0;
    while (i < *n && !slice_eq(list[i].name, name)) i++;
    if (i == *n) list[(*n)++] = (struct name_count){name, 0};
    list[i].count += count;
}

static void complain_undeclared(struct machine *m)
{
    struct name_count list[64];
    struct slice names[UNDECLARED_NAMES_MAX + 1];
    uint64_t counts[UNDECLARED_NAMES_MAX + 1], total = 0;
    struct buf text = {0};
    uint32_t n = 0; /* the rest is counted, not named */
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        uint32_t of = shard_undeclared(machine_shard(m, i), names, counts, UNDECLARED_NAMES_MAX + 1);
        for (uint32_t k = 0; k < of; k++) {
            total += counts[k];
            if (n < 64) add_name(list, &n, names[k], counts[k]);
        }
    }
    for (uint32_t i = 0; i < n && i < 8; i++)
        buf_printf(&text, "%s%.*s %llu", i ? ", " : "", (int)list[i].name.n, (const char *)list[i].name.p,
                   (unsigned long long)list[i].count);
    if (total)
        complain("undeclared events, %llu in all: %.*s%s", (unsigned long long)total, (int)text.n,
                 (const char *)text.p, n > 8 ? ", ..." : "");
    buf_free(&text);
}

static void complain_rejects(struct machine *m)
{
    uint64_t rejected = 0, rejects[REJECT_COUNT] = {0};
    struct buf text = {0};
    for (uint32_t i = 0; i < LOGICAL_SHARDS; i++) {
        const struct shard_counters *c = shard_counters(machine_shard(m, i));
        rejected += c->rejected;
        for (uint32_t k = 0; k < REJECT_COUNT; k++) rejects[k] += c->rejects[k];
    }
    for (uint32_t k = 0; k < REJECT_COUNT; k++)
        if (rejects[k])
            buf_printf(&text, "%s%s %llu", text.n ? ", " : "", reject_text((enum reject)k),
                       (unsigned long long)rejects[k]);
    if (rejected)
        complain("%llu messages were rejected: %.*s", (unsigned long long)rejected, (int)text.n,
                 (const char *)text.p);
    buf_free(&text);
}

int run_simulate(struct cli *c)
{
    const char *from = cli_option(c, "from"), *until = cli_option(c, "until"),
               *respond = cli_option(c, "respond");
    struct simulation s = {.from = from ? parse_time(from) : 0};
    uint32_t end = until ? parse_time(until) : 0;
    struct hash_secret secret;
    if (end && s.from >= end) cli_usage(c, "--from %s is not before --until %s", from, until);
    secret_option(c, &secret);
    struct defset *set = load_definitions(cli_option(c, "definitions"), EXIT_WRONG);
    if (respond) s.people = respond_parse(respond, &set->journeys);
    struct lines *lines = lines_open(cli_option(c, "events"));
    struct machine_config config = {.set = set, .secret = &secret, .self = &s, .on_effect = on_effect};
    struct machine *m = play(lines, &config, &s, end);
    put_out(&s.out);
    if (m) complain_rejects(m), complain_undeclared(m);
    if (s.messages && s.last < s.from)
        complain("no message is as late as --from %s: what is shown is time alone", from);
    if (isatty(STDERR_FILENO) || !s.messages)
        complain("%llu messages%s%s, %llu actions", (unsigned long long)s.messages, end ? " until " : "",
                 end ? until : "", (unsigned long long)s.actions);
    if (m) machine_destroy(m);
    if (s.people) respond_free(s.people);
    buf_free(&s.out);
    lines_close(lines);
    defset_free(set);
    return EXIT_OK;
}
