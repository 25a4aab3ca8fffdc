/* definitions.c - what needs no server: check and simulate. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/machine.h"
#include "tools/hourglass/commands.h"
#include "tools/hourglass/json.h"
#include "tools/hourglass/lines.h"
#include "tools/hourglass/load.h"
#include "tools/hourglass/respond.h"
#include "tools/hourglass/view.h"

/* ---- reading and checking ---------------------------------------------------------------------- */

/* `look`: also what this version reads and does not run yet, with a warning. A file that cannot be read does not hide
 * the mistakes of the others. */
static struct defset *compile(const char *dir, struct diagnostics *d, uint32_t *files, bool look)
{
    struct source_file *sources = sources_read(dir, files, d);
    if (!sources) return NULL;
    struct defset *set = (look ? defset_check : defset_compile)(sources, *files, NULL, NULL, d);
    if (!d->errors) return set;
    defset_free(set);
    return NULL;
}

static void show_diagnostics(const struct diagnostics *d)
{
    struct buf text = {0};
    diagnostics_print(d, &text);
    if (text.n) fwrite(text.p, 1, text.n, stderr);
    buf_free(&text);
}

struct defset *load_definitions(const char *dir, int code)
{
    struct diagnostics d;
    uint32_t files;
    diagnostics_init(&d);
    struct defset *set = compile(dir, &d, &files, false);
    show_diagnostics(&d);
    if (!set) die(code, "%s: %u error%s", dir, d.errors, d.errors == 1 ? "" : "s");
    diagnostics_free(&d);
    return set;
}

static void check_json(const struct diagnostics *d, struct buf *out)
{
    buf_put_u8(out, '[');
    for (uint32_t i = 0; i < d->count; i++) {
        const struct diagnostic *at = &d->list[i];
        buf_printf(out, "%s{\"severity\":\"%s\",\"file\":", i ? "," : "",
                   at->severity == SEVERITY_ERROR ? "error" : "warning");
        json_print_text(slice_str(at->file ? at->file : ""), out);
        buf_printf(out, ",\"line\":%u,\"column\":%u,\"length\":%u,\"reason\":", at->line, at->column,
                   at->length);
        json_print_text(slice_str(at->reason), out);
        buf_put_str(out, ",\"fix\":");
        if (at->fix)
            json_print_text(slice_str(at->fix), out);
        else
            buf_put_str(out, "null");
        buf_put_u8(out, '}');
    }
    buf_put_str(out, "]\n");
}

static uint32_t live_journeys(const struct defset *set)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < set->journeys.journey_count; i++) n += set->journeys.journeys[i] != NULL;
    return n;
}

int run_check(struct cli *c)
{
    struct diagnostics d;
    struct buf out = {0};
    uint32_t files = 0;
    diagnostics_init(&d);
    struct defset *set = compile(c->argv[0], &d, &files, true);
    uint32_t warnings = d.count - d.errors;
    if (c->json)
        check_json(&d, &out);
    else
        show_diagnostics(&d);
    if (!c->json && set)
        buf_printf(&out, "%u file%s, %u segments, %u journeys: %s", files, files == 1 ? "" : "s",
                   set->segments.order_count, live_journeys(set), warnings ? "" : "good\n");
    if (!c->json && set && warnings) buf_printf(&out, "%u warning%s\n", warnings, warnings == 1 ? "" : "s");
    if (!c->json && !set) buf_printf(&out, "%u error%s\n", d.errors, d.errors == 1 ? "" : "s");
    put_out(&out);
    bool wrong = !set || (warnings && cli_option(c, "strict"));
    if (set) defset_free(set);
    diagnostics_free(&d);
    buf_free(&out);
    return wrong ? EXIT_WRONG : EXIT_OK;
}

/* ---- simulate ------------------------------------------------------------------------------------ */

struct simulation {
    uint32_t from; /* actions before it are not printed */
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
    }
    if (m) advance(s, m, until);
    return m;
}

int run_simulate(struct cli *c)
{
    const char *dir = cli_option(c, "definitions"), *events = cli_option(c, "events");
    const char *from = cli_option(c, "from"), *until = cli_option(c, "until"),
               *respond = cli_option(c, "respond");
    struct simulation s = {.from = from ? parse_time(from) : 0,
                           .people = respond ? respond_parse(respond) : NULL};
    struct hash_secret secret;
    secret_option(c, &secret);
    struct defset *set = load_definitions(dir, EXIT_WRONG);
    struct lines *lines = lines_open(events);
    struct machine_config config = {.set = set, .secret = &secret, .self = &s, .on_effect = on_effect};
    struct machine *m = play(lines, &config, &s, until ? parse_time(until) : 0);
    put_out(&s.out);
    if (isatty(STDERR_FILENO))
        complain("%llu messages, %llu actions", (unsigned long long)s.messages,
                 (unsigned long long)s.actions);
    if (m) machine_destroy(m);
    if (s.people) respond_free(s.people);
    buf_free(&s.out);
    lines_close(lines);
    defset_free(set);
    return EXIT_OK;
}
