/* cli.h - what every subcommand shares: its table row, options, settings with their origin, exit codes, terminal.
 * Adding a subcommand: one row in main.c's table and one function. Options are declared as a table, which also makes
 * the help text and the completion.
 * Owner: main. Memory: a few small strings for the life of the process. Fails: usage and settings errors end it. */
#ifndef HG_TOOLS_CLI_H
#define HG_TOOLS_CLI_H

#include "core/base/bytes.h"

enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_WRONG = 3, /* checked and found wrong */
    EXIT_DAMAGED = 65,
    EXIT_UNREACHABLE = 69,
    EXIT_DISK = 74,
    EXIT_CONFIG = 78,
    EXIT_INTERRUPTED = 130,
};

struct option_row {
    const char *name;     /* without the dashes; NULL ends a table */
    const char *argument; /* NULL: a flag */
    const char *help;
    bool required;
};

enum { OPTIONS_MAX = 32 };
struct command;
struct word;
struct cli {
    const struct command *command;
    const struct word *word; /* of a command that has them */
    int argc;                /* what is left after the options and the word */
    char **argv;
    bool json, color, tty; /* tty: stdout is a terminal */
    struct {
        const char *name, *value;
    } given[OPTIONS_MAX];
    uint32_t given_count;
};

/* `count` in `hourglass segment count NAME`. */
struct word {
    const char *name, *arguments;
    int (*run)(
        struct cli *c); /* NULL: there is no such thing here, and `arguments` says what to do instead */
    int arguments_min, arguments_max;
};

struct command {
    const char *name, *arguments, *summary;
    int (*run)(struct cli *c);
    const struct option_row *options; /* besides the common ones */
    int arguments_min, arguments_max;
    const char *more;         /* further help, may be NULL */
    const struct word *words; /* instead of arguments and run; the first argument is one of them */
};
extern const struct command COMMANDS[];
extern const struct option_row COMMON_OPTIONS[];

/* Reads the options of one subcommand; exits on --help (0) and on wrong usage (2). */
void cli_parse(struct cli *c, int argc, char **argv);
/* `hourglass segment count: REASON` and the usage, a line each; exit 2. */
_Noreturn void cli_usage(const struct cli *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *cli_arguments(const struct command *command); /* "list | count NAME", good until the next call */
const char *cli_option(const struct cli *c, const char *name); /* NULL: not given; a flag is "" */
const char *cli_setting(const struct cli *c,
                        const char *name); /* admin, ingest: flag > env > file > default */
void cli_print_config(const struct cli *c);
void cli_print_help(const struct command *command);
void cli_print_overview(void);
/* The name nearest to a mistyped one, NULL if none is near. next() gives the names one by one, NULL at the end. */
const char *cli_nearest(const char *given, const char *(*next)(const void *from, uint32_t i),
                        const void *from);

/* `hourglass: ...` on stderr. */
_Noreturn void die(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
void die_as(int (*say_it)(const char *reason)); /* die says it so, and ends with the code that this returns */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Writes the buffer to stdout and empties it. Ends the program quietly when nobody reads any more, with 74 and a line
 * when it cannot be written. */
void put_out(struct buf *b);
void flush_out(void); /* the same for what was printed to stdout; main ends with it */

/* The whole terminal, until the program ends or has something to complain about. */
void screen_take(void);
void screen_give_back(void);
uint32_t screen_rows(void); /* UINT32_MAX: no terminal */

/* Ctrl-C: by default ends with 130 at once. After interrupt_hold it only sets `interrupted`. */
extern volatile int interrupted;
void interrupt_setup(void);
void interrupt_hold(void);

uint32_t parse_time(const char *text); /* ISO-8601 in seconds; exits 2 if it is none */
uint64_t parse_count(const char *option, const char *text);
bool read_whole_file(const char *path,
                     struct buf *out); /* "-": stdin; gzip is inflated; false: errno says why */

#endif
