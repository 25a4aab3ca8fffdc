/* cli.c - options, settings, messages. */
#include "tools/hourglass/cli.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <zlib.h>

#include "core/expr/expr.h"
#include "core/model/value.h"

/* ---- settings: flag > environment > file > default ------------------------------------------ */

static struct setting {
    const char *name, *environment, *fallback;
    const char *from_file, *file;
} settings[] = {
    {"admin", "HOURGLASS_ADMIN", "unix://./hourglass-data/admin.sock", NULL, NULL},
    {"ingest", "HOURGLASS_INGEST", "tcp://127.0.0.1:24224", NULL, NULL},
};
enum { SETTINGS = sizeof settings / sizeof *settings };

/* What is empty is not set. */
static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static const char *setting_name(const void *from, uint32_t i)
{
    return i < SETTINGS ? settings[i].name : NULL;
}

/* `"value"  # why` is value. */
static char *plain_value(char *text)
{
    text += strspn(text, " \t");
    char *comment = *text == '#' ? text : strstr(text, " #");
    if (comment) *comment = 0;
    size_t n = strlen(text);
    while (n && (text[n - 1] == ' ' || text[n - 1] == '\t')) text[--n] = 0;
    bool quoted = n >= 2 && (*text == '"' || *text == '\'') && text[n - 1] == *text;
    if (quoted) text[n - 1] = 0;
    return text + quoted;
}

/* `key: value` a line, `#` begins a comment. */
static void settings_line(const char *path, uint32_t number, char *line)
{
    char *text = line + strspn(line, " \t"), *colon = strchr(text, ':');
    text[strcspn(text, "\r\n")] = 0;
    if (*text == 0 || *text == '#') return;
    if (!colon) die(EXIT_CONFIG, "%s:%u: expected `name: value`", path, number);
    *colon = 0;
    for (uint32_t i = 0; i < SETTINGS; i++) {
        if (strcmp(settings[i].name, text) != 0) continue;
        settings[i].from_file = strdup(plain_value(colon + 1));
        settings[i].file = path;
        return;
    }
    const char *near = cli_nearest(text, setting_name, NULL);
    die(EXIT_CONFIG, "%s:%u: unknown setting '%s'%s%s%s", path, number, text, near ? "; did you mean '" : "",
        near ? near : "", near ? "'?" : "");
}

static void settings_read(const char *path)
{
    char line[4096];
    FILE *f = fopen(path, "re");
    if (!f) die(EXIT_CONFIG, "%s: %s", path, strerror(errno));
    for (uint32_t number = 1; fgets(line, sizeof line, f); number++) settings_line(path, number, line);
    fclose(f);
}

static void settings_load(const struct cli *c)
{
    const char *file = cli_option(c, "config"), *context = cli_option(c, "context");
    if (!file) file = environment("HOURGLASS_CONFIG");
    if (!context) context = environment("HOURGLASS_CONTEXT");
    if (file) settings_read(file);
    if (!context) return;
    struct buf path = {0};
    const char *home = environment("XDG_CONFIG_HOME");
    if (home)
        buf_printf(&path, "%s/hourglass/%s.yaml", home, context);
    else
        buf_printf(&path, "%s/.config/hourglass/%s.yaml", getenv("HOME") ? getenv("HOME") : "", context);
    buf_put_u8(&path, 0);
    settings_read((char *)path.p); /* kept: its name is the origin */
}

static const char *setting_of(const struct cli *c, const struct setting *s, const char **origin)
{
    const char *value = cli_option(c, s->name);
    *origin = "flag";
    if (!value && (value = environment(s->environment))) *origin = s->environment;
    if (!value && (value = s->from_file)) *origin = s->file;
    if (!value && (value = s->fallback)) *origin = "default";
    return value;
}

const char *cli_setting(const struct cli *c, const char *name)
{
    const char *origin;
    for (uint32_t i = 0; i < SETTINGS; i++)
        if (strcmp(settings[i].name, name) == 0) return setting_of(c, &settings[i], &origin);
    return NULL;
}

void cli_print_config(const struct cli *c)
{
    for (uint32_t i = 0; i < SETTINGS; i++) {
        const char *origin, *value = setting_of(c, &settings[i], &origin);
        printf("%-8s %-40s %s\n", settings[i].name, value, origin);
    }
}

/* ---- options ---------------------------------------------------------------------------------- */

const struct option_row COMMON_OPTIONS[] = {
    {"admin", "URL", "admin socket (default unix://./hourglass-data/admin.sock, or $HOURGLASS_ADMIN)"},
    {"context", "NAME", "settings from ~/.config/hourglass/NAME.yaml"},
    {"config", "FILE", "settings from FILE (lines of `admin: URL`, `ingest: URL`)"},
    {"json", NULL, "print JSON with stable keys"},
    {"print-config", NULL, "show every setting with its origin, and end"},
    {"help", NULL, "this text"},
    {0},
};

enum { ALL_OPTIONS_MAX = 48 };

static uint32_t option_list(const struct command *command, struct option *out)
{
    uint32_t n = 0;
    const struct option_row *tables[] = {command->options, COMMON_OPTIONS};
    for (uint32_t t = 0; t < 2; t++)
        for (const struct option_row *o = tables[t]; o && o->name; o++)
            out[n++] = (struct option){o->name, o->argument ? required_argument : no_argument, NULL, 0};
    out[n] = (struct option){0};
    return n;
}

static const char *option_name(const void *from, uint32_t i) { return ((const struct option *)from)[i].name; }

const char *cli_arguments(const struct command *command)
{
    static struct buf text;
    if (!command->words) return command->arguments;
    buf_clear(&text);
    for (const struct word *w = command->words; w->name; w++)
        if (w->run)
            buf_printf(&text, "%s%s%s%s", text.n ? " | " : "", w->name, *w->arguments ? " " : "",
                       w->arguments);
    buf_put_u8(&text, 0);
    return (const char *)text.p;
}

void cli_usage(const struct cli *c, const char *format, ...)
{
    va_list args;
    const char *word = c->word ? c->word->name : "",
               *arguments = c->word ? c->word->arguments : cli_arguments(c->command);
    fprintf(stderr, "hourglass %s%s%s: ", c->command->name, *word ? " " : "", word);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nUsage: hourglass %s%s%s%s%s\n", c->command->name, *word ? " " : "", word,
            *arguments ? " " : "", arguments);
    exit(EXIT_USAGE);
}

_Noreturn static void unknown_option(const struct cli *c, const char *given, const struct option *list)
{
    char name[64];
    if (optopt) cli_usage(c, "unknown option -%c", optopt);
    snprintf(name, sizeof name, "%.*s", (int)strcspn(given + strspn(given, "-"), "="),
             given + strspn(given, "-"));
    const char *near = cli_nearest(name, option_name, list);
    cli_usage(c, "unknown option %s%s%s%s", given, near ? "; did you mean --" : "", near ? near : "",
              near ? "?" : "");
}

static const char *word_name(const void *from, uint32_t i) { return ((const struct word *)from)[i].name; }

static void take_word(struct cli *c)
{
    const struct word *w = c->command->words;
    if (c->argc == 0) cli_usage(c, "something is missing");
    while (w->name && strcmp(w->name, c->argv[0]) != 0) w++;
    if (w->name && !w->run) die(EXIT_USAGE, "%s %s: %s", c->command->name, w->name, w->arguments);
    const char *near = w->name ? NULL : cli_nearest(c->argv[0], word_name, c->command->words);
    if (!w->name)
        cli_usage(c, "there is no '%s'%s%s%s", c->argv[0], near ? "; did you mean '" : "", near ? near : "",
                  near ? "'?" : "");
    c->word = w;
    c->argc--;
    c->argv++;
}

/* "DIR JOURNEY", 1: JOURNEY. */
static struct slice argument_name(const char *arguments, int index)
{
    for (; index > 0; index--) arguments += strcspn(arguments, " "), arguments += strspn(arguments, " ");
    return slice_of(arguments, strcspn(arguments, " "));
}

static void check_arguments(const struct cli *c)
{
    int min = c->word ? c->word->arguments_min : c->command->arguments_min,
        max = c->word ? c->word->arguments_max : c->command->arguments_max;
    struct slice next = argument_name(c->word ? c->word->arguments : c->command->arguments, c->argc);
    if (c->argc < min) cli_usage(c, "%.*s is missing", (int)next.n, (const char *)next.p);
    if (c->argc > max) cli_usage(c, "one argument too many: %s", c->argv[max]);
    for (const struct option_row *o = c->command->options; o && o->name; o++)
        if (o->required && !cli_option(c, o->name)) cli_usage(c, "--%s %s is missing", o->name, o->argument);
}

void cli_parse(struct cli *c, int argc, char **argv)
{
    struct option list[ALL_OPTIONS_MAX];
    int index = 0, got;
    option_list(c->command, list);
    opterr = 0;
    while ((got = getopt_long(argc, argv, ":", list, &index)) != -1) {
        if (got == ':') cli_usage(c, "an argument is missing behind %s", argv[optind - 1]);
        if (got == '?') unknown_option(c, argv[optind - 1], list);
        if (c->given_count == OPTIONS_MAX) cli_usage(c, "too many options");
        c->given[c->given_count].name = list[index].name;
        c->given[c->given_count++].value = optarg ? optarg : "";
    }
    c->argc = argc - optind;
    c->argv = argv + optind;
    c->json = cli_option(c, "json") != NULL;
    c->tty = isatty(STDOUT_FILENO);
    c->color = c->tty && !environment("NO_COLOR");
    if (cli_option(c, "help")) cli_print_help(c->command), flush_out(), exit(EXIT_OK);
    settings_load(c);
    if (cli_option(c, "print-config")) cli_print_config(c), flush_out(), exit(EXIT_OK);
    if (c->command->words) take_word(c);
    check_arguments(c);
}

const char *cli_option(const struct cli *c, const char *name)
{
    for (uint32_t i = c->given_count; i-- > 0;)
        if (strcmp(c->given[i].name, name) == 0) return c->given[i].value;
    return NULL;
}

/* ---- help ------------------------------------------------------------------------------------- */

static void print_options(const struct option_row *o)
{
    for (; o && o->name; o++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", o->name, o->argument ? " " : "",
                 o->argument ? o->argument : "");
        printf("  %-24s %s\n", left, o->help);
    }
}

void cli_print_help(const struct command *command)
{
    const char *arguments = cli_arguments(command);
    printf("Usage: hourglass %s%s%s\n\n%s.\n\nOptions:\n", command->name, *arguments ? " " : "", arguments,
           command->summary);
    print_options(command->options);
    print_options(COMMON_OPTIONS);
    if (command->more) printf("\n%s\n", command->more);
}

void cli_print_overview(void)
{
    printf("Usage: hourglass COMMAND [ARGUMENTS] [OPTIONS]\n\n");
    for (const struct command *c = COMMANDS; c->name; c++) printf("  %-12s %s\n", c->name, c->summary);
    printf("\n`hourglass COMMAND --help` says more. Exit codes: 0 ok, 1 failure, 2 usage, 3 checked and "
           "found wrong,\n"
           "65 damaged data, 69 server unreachable, 74 disk failure, 78 bad configuration, 130 on Ctrl-C.\n");
}

const char *cli_nearest(const char *given, const char *(*next)(const void *from, uint32_t i),
                        const void *from)
{
    const char *best = NULL, *name;
    uint32_t best_distance = 3;
    for (uint32_t i = 0; (name = next(from, i)); i++) {
        uint32_t d = text_distance(slice_str(given), slice_str(name), 2);
        if (d < best_distance && 2 * d <= strlen(name)) best = name, best_distance = d;
    }
    return best;
}

/* ---- the whole screen --------------------------------------------------------------------------------- */

static bool screen_taken;

void screen_take(void)
{
    printf("\033[?1049h\033[?25l\033[?7l\033[2J"); /* another screen, no cursor, long lines are cut */
    screen_taken = true;
    atexit(screen_give_back);
}

void screen_give_back(void)
{
    if (screen_taken) printf("\033[?7h\033[?25h\033[?1049l");
    screen_taken = false;
}

uint32_t screen_rows(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row ? size.ws_row : UINT32_MAX;
}

/* ---- messages, interruption ---------------------------------------------------------------------- */

static void say(const char *format, va_list args)
{
    screen_give_back(); /* the message is to stay */
    fflush(stdout);
    fputs("hourglass: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

void complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
}

static int (*last_words)(const char *reason);

void die_as(int (*say_it)(const char *reason)) { last_words = say_it; }

void die(int code, const char *format, ...)
{
    char reason[512];
    va_list args;
    va_start(args, format);
    if (last_words)
        vsnprintf(reason, sizeof reason, format, args), code = last_words(reason);
    else
        say(format, args);
    va_end(args);
    exit(code);
}

/* What failed before may have lost its errno: a pipe that nobody reads shows it. */
static bool nobody_reads(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return errno == EPIPE || (poll(&out, 1, 0) == 1 && out.revents & POLLERR);
}

static void check_out(bool written)
{
    if (written && !ferror(stdout)) return;
    if (nobody_reads()) _exit(EXIT_OK);
    complain("standard output: %s", errno ? strerror(errno) : "it could not be written");
    _exit(EXIT_DISK);
}

void flush_out(void)
{
    errno = 0;
    check_out(fflush(stdout) == 0);
}

void put_out(struct buf *b)
{
    errno = 0;
    bool taken = b->n == 0 || fwrite(b->p, 1, b->n, stdout) == b->n;
    check_out(taken && fflush(stdout) == 0);
    buf_clear(b);
}

volatile int interrupted;

static void on_interrupt_end(int signal_number) { _exit(EXIT_INTERRUPTED); }
static void on_interrupt_note(int signal_number) { interrupted = 1; }

static void on_interrupt(void (*handler)(int))
{
    struct sigaction a = {.sa_handler = handler}; /* no SA_RESTART: a blocked read ends */
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

void interrupt_setup(void)
{
    signal(SIGPIPE, SIG_IGN);
    on_interrupt(on_interrupt_end);
}

void interrupt_hold(void) { on_interrupt(on_interrupt_note); }

/* ---- small readers --------------------------------------------------------------------------------- */

uint32_t parse_time(const char *text)
{
    int64_t ms;
    if (!iso8601_parse(slice_str(text), &ms) || ms < 0)
        die(EXIT_USAGE, "'%s' is not a time; write 2026-03-01T10:00:00Z", text);
    return (uint32_t)(ms / 1000);
}

uint64_t parse_count(const char *option, const char *text)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-')
        die(EXIT_USAGE, "--%s wants a whole number, not '%s'", option, text);
    return v;
}

bool read_whole_file(const char *path, struct buf *out)
{
    gzFile f = strcmp(path, "-") == 0 ? gzdopen(dup(STDIN_FILENO), "rb") : gzopen(path, "rb");
    if (!f) return false;
    int n;
    do {
        buf_reserve(out, 64 << 10);
        n = gzread(f, out->p + out->n, 64 << 10);
        if (n > 0) out->n += (size_t)n;
    } while (n > 0);
    int gz_error;
    gzerror(f, &gz_error);
    if (n < 0 && gz_error != Z_ERRNO) errno = EIO;
    gzclose_r(f);
    return n == 0;
}
