/* main.c - hourglass: the table of subcommands, and who is called. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/shard.h"
#include "tools/hourglass/commands.h"

static const struct option_row CHECK_OPTIONS[] = {{"strict", NULL, "warnings count as wrong (3)"}, {0}};
static const struct option_row GRAPH_OPTIONS[] = {{"format", "FORMAT", "dot (default) or mermaid"}, {0}};
static const struct option_row MAP_OPTIONS[] = {
    {"csv", NULL, "as a spreadsheet"}, {"strict", NULL, "something to look at counts as wrong (3)"}, {0}};
static const struct option_row TEST_OPTIONS[] = {{"only", "TEXT", "run the tests whose name contains TEXT"},
                                                 {0}};
static const struct option_row SIMULATE_OPTIONS[] = {
    {"definitions", "DIR", "what to run"},
    {"events", "FILE", "Segment messages, one JSON object a line (.gz too, - is stdin)"},
    {"from", "TIME", "earlier messages are applied, actions are printed from then on"},
    {"until", "TIME", "let time run on until then (default: the last message)"},
    {"respond", "SPEC", "people react: '{email: {open: 42%, click: 5%, after: 2h}}'"},
    {"hash-secret", "HEX", "as the server's, for the same order of equal things"},
    {0}};
static const struct option_row INGEST_OPTIONS[] = {
    {"ingest", "URL", "ingest socket (default tcp://127.0.0.1:24224, or $HOURGLASS_INGEST)"},
    {"follow-clock", NULL, "advance a test clock to each second before sending its messages"},
    {"tag", "TAG", "label of the source (default hourglass.ingest)"},
    {"quiet", NULL, "no progress bar"},
    {0}};
static const struct option_row MEMBERS_OPTIONS[] = {
    {"columns", "LIST", "members: expressions to show, separated by ';'"},
    {"limit", "N", "members: at most so many"},
    {0}};
static const struct option_row PREVIEW_OPTIONS[] = {{"profile", "ID", "whose values it shows"}, {0}};
static const struct option_row SEND_TEST_OPTIONS[] = {
    {"to", "ADDRESS", "where it goes, whatever the person's own address is"},
    {"profile", "ID", "whose values it shows (default: the person whom ADDRESS identifies)"},
    {0}};
static const struct option_row TOP_OPTIONS[] = {
    {"interval", "SECONDS", "between two looks (default 1)"}, {"once", NULL, "one screen, and end"}, {0}};
static const struct option_row TAIL_OPTIONS[] = {
    {"limit", "N", "end after so many"},
    {"pending", NULL, "actions: those that wait for a confirmation now, and end"},
    {0}};
static const struct option_row APPLY_OPTIONS[] = {
    {"dry-run", NULL, "play what the server remembers through them, and say what would have happened"}, {0}};
static const struct option_row INSPECT_OPTIONS[] = {
    {"find", "TEXT", "only records (of a log) or offsets (elsewhere) that hold TEXT"},
    {"records", NULL, "every record of a log"},
    {"repair", NULL,
     "a damaged log of the last epoch: give up everything from the first damage on; the server is stopped"},
    {0}};

const struct command COMMANDS[] = {
    {"check", "DIR", "Checks definitions", run_check, CHECK_OPTIONS, 1, 1, NULL},
    {"graph", "DIR JOURNEY", "Draws a journey: steps, branches, waits, goal, exits", run_graph, GRAPH_OPTIONS,
     2, 2, "`hourglass graph DIR JOURNEY | dot -Tsvg > journey.svg`; mermaid can be pasted into Markdown."},
    {"map", "DIR", "Lists every chain: trigger, segment, channels, steps, goal, limits, and what is missing",
     run_map, MAP_OPTIONS, 1, 1, NULL},
    {"schema", "", "JSON Schema (draft-07) of definition files, for editors", run_schema, NULL, 0, 0,
     "Save it, and put `# yaml-language-server: $schema=FILE` into the first line of a definition file."},
    {"test", "DIR", "Runs the journey tests (*.test.yaml) in virtual time", run_test, TEST_OPTIONS, 1, 1,
     NULL},
    {"simulate", "--definitions DIR --events FILE", "Runs messages in virtual time, prints action records",
     run_simulate, SIMULATE_OPTIONS, 0, 0, NULL},
    {"inspect", "FILE", "Shows what a file of a data directory holds, and whether it is whole", run_inspect,
     INSPECT_OPTIONS, 1, 1, NULL},
    {"ingest", "FILE", "Sends Segment messages with acknowledgements", run_ingest, INGEST_OPTIONS, 1, 1,
     "FILE has one JSON object a line; .gz is inflated, - is stdin. Sending a file again counts nothing "
     "twice."},
    {"stats", "", "Counters, latencies, sizes", run_stats, NULL, 0, 0, NULL},
    {"top", "", "Live counters", run_top, TOP_OPTIONS, 0, 0, NULL},
    {"profile", "ID", "One person", run_profile, NULL, 1, 1,
     "ID is a userId, else an anonymousId, else an identifying trait; user:, anon:, email: ... make it "
     "exact."},
    {"why", "ID [JOURNEY]", "Why somebody is or is not in a journey", run_why, NULL, 1, 2, NULL},
    {"preview", "TEMPLATE --profile ID", "What one person would read", run_preview, PREVIEW_OPTIONS, 1, 1,
     NULL},
    {"send-test", "JOURNEY STEP --to ADDRESS", "Sends one message of a journey to yourself, marked as a test",
     run_send_test, SEND_TEST_OPTIONS, 2, 2,
     "Through the real outbox and its receiver, outside consent, caps, quiet hours, counters and reports."},
    {"segment", "list | count NAME | members NAME | explain NAME ID | overlap", "Segments and their members",
     run_segment, MEMBERS_OPTIONS, 1, 3, NULL},
    {"count", "EXPRESSION", "How many people an expression holds for", run_count, NULL, 1, 1, NULL},
    {"journey", "list | show NAME", "Journeys and their numbers", run_journey, NULL, 1, 2, NULL},
    {"tail", "actions | events | transitions | rejects",
     "What happens, as it happens; never confirms anything", run_tail, TAIL_OPTIONS, 1, 1, NULL},
    {"health", "", "One line and a Nagios exit code: 0 ok, 1 warning, 2 critical, 3 unknown", run_health,
     NULL, 0, 0, NULL},
    {"snapshot", "", "Writes a snapshot now", run_snapshot, NULL, 0, 0, NULL},
    {"backup", "DIR", "Makes a backup of the running server", run_backup, NULL, 1, 1,
     "DIR is new, or empty; on the file system of the data directory it costs hard links and little else. "
     "What was\nacknowledged before is in. `hourglass restore` brings it back."},
    {"restore", "DIR DATA", "Makes a data directory of a backup, once all of it is verified", run_restore,
     NULL, 2, 2, "DATA is new, or empty. The backup stays as it is."},
    {"apply", "DIR", "Puts definitions to work, all or nothing", run_apply, APPLY_OPTIONS, 1, 1, NULL},
    {"definitions", "history | diff N [M] | revert N", "Versions that were applied", run_definitions, NULL, 1,
     3, "diff compares version N with M, else with what runs; revert applies the text of version N again."},
    {"call", "METHOD [JSON]", "Any admin method; JSON is its parameters (a list, or one value)", run_call,
     NULL, 1, 2, NULL},
    {"completion", "bash | zsh | fish | man", "Shell completion, and the manual page", run_completion, NULL,
     1, 1,
     "source <(hourglass completion bash); source <(hourglass completion zsh); hourglass completion fish | "
     "source;\n"
     "hourglass completion man > hourglass.1"},
    {"version", "", "Version of this program", run_version, NULL, 0, 0, NULL},
    {0},
};

int run_version(struct cli *c)
{
    if (c->json)
        printf("{\"version\":\"%s\",\"core_version\":%d}\n", HG_VERSION, CORE_VERSION);
    else
        printf("hourglass %s (core %d)\n", HG_VERSION, CORE_VERSION);
    return EXIT_OK;
}

static const char *command_name(const void *from, uint32_t i) { return COMMANDS[i].name; }

static const struct command *find(const char *name)
{
    for (const struct command *k = COMMANDS; k->name; k++)
        if (strcmp(k->name, name) == 0) return k;
    return NULL;
}

static _Noreturn void unknown_command(const char *given)
{
    const char *near = cli_nearest(given, command_name, NULL);
    if (near) die(EXIT_USAGE, "there is no command '%s'; did you mean '%s'?", given, near);
    die(EXIT_USAGE, "there is no command '%s'; `hourglass --help` lists them", given);
}

int main(int argc, char **argv)
{
    struct cli c = {0};
    interrupt_setup();
    if (argc < 2) {
        cli_print_overview();
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        const struct command *about = argc > 2 ? find(argv[2]) : NULL;
        if (about)
            cli_print_help(about);
        else
            cli_print_overview();
        return EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) return run_version(&c);
    c.command = find(argv[1]);
    if (!c.command) unknown_command(argv[1]);
    cli_parse(&c, argc - 1, argv + 1);
    return c.command->run(&c);
}
