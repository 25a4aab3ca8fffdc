/* main.c - hourglass: the table of subcommands, and who is called. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/shard.h"
#include "tools/hourglass/commands.h"

static const struct option_row CHECK_OPTIONS[] = {
    {"strict", NULL, "warnings count as wrong (3)"},
    {"live", NULL, "also compare with what arrives at the server: events, properties, attributes"},
    {0}};
static const struct option_row GRAPH_OPTIONS[] = {{"format", "FORMAT", "dot (default) or mermaid"}, {0}};
static const struct option_row MAP_OPTIONS[] = {
    {"csv", NULL, "as a spreadsheet"}, {"strict", NULL, "something to look at counts as wrong (3)"}, {0}};
static const struct option_row TEST_OPTIONS[] = {{"only", "TEXT", "run the tests whose name contains TEXT"},
                                                 {0}};
static const struct option_row SIMULATE_OPTIONS[] = {
    {"definitions", "DIR", "what to run", true},
    {"events", "FILE", "Segment messages, one JSON object a line (.gz too, - is stdin)", true},
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
    {"columns", "LIST", "members: expressions to show, with a comma or semicolon between them"},
    {"limit", "N", "members: at most so many"},
    {0}};
static const struct option_row PREVIEW_OPTIONS[] = {{"profile", "ID", "whose values it shows", true}, {0}};
static const struct option_row SEND_TEST_OPTIONS[] = {
    {"to", "ADDRESS", "where it goes, whatever the person's own address is", true},
    {"profile", "ID", "whose values it shows; left out: those of the person whom ADDRESS identifies"},
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
     "twice.\nWhat makes no sense is acknowledged too, and counted by reason: see `hourglass stats` and "
     "`hourglass tail rejects`."},
    {"stats", "", "Counters, latencies, sizes", run_stats, NULL, 0, 0, NULL},
    {"top", "", "Live counters", run_top, TOP_OPTIONS, 0, 0, NULL},
    {"profile", "ID", "One person", run_profile, NULL, 1, 1,
     "ID is a userId, else an anonymousId, else an identifying trait; user:, anon:, email: ... make it "
     "exact."},
    {"why", "ID [JOURNEY]", "Why somebody is or is not in a journey", run_why, NULL, 1, 2, NULL},
    {"preview", "TEMPLATE --profile ID", "What one person would read", run_preview, PREVIEW_OPTIONS, 1, 1,
     NULL},
    {"send-test", "JOURNEY STEP --to ADDRESS [--profile ID]",
     "Sends one message of a journey to yourself, marked as a test", run_send_test, SEND_TEST_OPTIONS, 2, 2,
     "Through the real outbox and its receiver, outside consent, caps, quiet hours, counters and reports."},
    {"segment", NULL, "Segments and their members", NULL, MEMBERS_OPTIONS, 0, 0, NULL, SEGMENT_WORDS},
    {"count", "EXPRESSION", "How many people an expression holds for", run_count, NULL, 1, 1, NULL},
    {"journey", NULL, "Journeys and their numbers, and one person's way through them", NULL, NULL, 0, 0,
     "enroll asks no condition but that the journey is live; skip ends the wait of the step at hand; cancel "
     "puts out;\nrestart puts out and in again. Then it says where the person is.",
     JOURNEY_WORDS},
    {"tail", NULL, "What happens, as it happens; never confirms anything", NULL, TAIL_OPTIONS, 0, 0, NULL,
     TAIL_WORDS},
    {"health", "", "One line and a Nagios exit code: 0 ok, 1 warning, 2 critical (or no answer)", run_health,
     NULL, 0, 0, NULL},
    {"snapshot", "", "Writes a snapshot now", run_snapshot, NULL, 0, 0, NULL},
    {"backup", "DIR", "Makes a backup of the running server", run_backup, NULL, 1, 1,
     "DIR is new, or empty; on the file system of the data directory it costs hard links and little else. "
     "What was\nacknowledged before is in. `hourglass restore` brings it back."},
    {"restore", "DIR DATA", "Makes a data directory of a backup, once all of it is verified", run_restore,
     NULL, 2, 2, "DATA is new, or empty. The backup stays as it is."},
    {"apply", "DIR", "Puts definitions to work, all or nothing", run_apply, APPLY_OPTIONS, 1, 1, NULL},
    {"definitions", NULL, "Versions that were applied", NULL, NULL, 0, 0,
     "diff compares version N with M, else with what runs; revert applies the text of version N again.",
     DEFINITIONS_WORDS},
    {"call", "METHOD [JSON]", "Any admin method; JSON is its parameters (a list, or one value)", run_call,
     NULL, 1, 2, NULL},
    {"completion", NULL, "Shell completion, and the manual page", NULL, NULL, 0, 0,
     "source <(hourglass completion bash); source <(hourglass completion zsh); hourglass completion fish | "
     "source;\n"
     "hourglass completion man > hourglass.1",
     COMPLETION_WORDS},
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

/* `hourglass --admin URL stats`: options of everybody may stand before the command. Their number, with their values. */
static int leading_options(int argc, char **argv)
{
    int n = 1;
    for (; n < argc && strncmp(argv[n], "--", 2) == 0; n++)
        for (const struct option_row *o = COMMON_OPTIONS; o->name; o++)
            if (o->argument && strcmp(argv[n] + 2, o->name) == 0) {
                n++;
                break;
            }
    return n - 1;
}

static void command_first(int options, char **argv)
{
    char *command = argv[options + 1];
    memmove(argv + 2, argv + 1, (size_t)options * sizeof *argv);
    argv[1] = command;
}

static int help(const char *about)
{
    const struct command *command = about ? find(about) : NULL;
    if (about && !command) unknown_command(about);
    if (command)
        cli_print_help(command);
    else
        cli_print_overview();
    return EXIT_OK;
}

static int run(int argc, char **argv)
{
    static const struct command nothing = {.name = "COMMAND", .arguments = "", .summary = ""};
    struct cli c = {0};
    if (argc < 2) {
        cli_print_overview();
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
        return help(argc > 2 ? argv[2] : NULL);
    if (strcmp(argv[1], "--version") == 0) return run_version(&c);
    int options = leading_options(argc, argv);
    if (options + 1 >= argc) { /* --print-config needs none */
        c.command = &nothing;
        cli_parse(&c, argc, argv);
        die(EXIT_USAGE, "a command is missing; `hourglass --help` lists them");
    }
    command_first(options, argv);
    c.command = find(argv[1]);
    if (!c.command) unknown_command(argv[1]);
    cli_parse(&c, argc - 1, argv + 1);
    return c.word ? c.word->run(&c) : c.command->run(&c);
}

int main(int argc, char **argv)
{
    interrupt_setup();
    int code = run(argc, argv);
    flush_out();
    return code;
}
