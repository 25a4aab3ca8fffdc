#include "io/options.h"
#include "core/expr/expr.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

/* ---- the table --------------------------------------------------------------------------------------- */

enum kind { TEXT, TEXTS, NUMBER, SIZE, DURATION, FLAG, SYNC, KEEP };
struct row {
    const char *name, *argument, *fallback, *help;
    uint8_t kind;
    bool hidden;
    size_t at, count_at;
};
#define AT(field) offsetof(struct options, field)

static const struct row table[] = {
    {"data", "DIR", "./hourglass-data", "data directory", TEXT, false, AT(data), 0},
    {"definitions", "DIR", NULL, "definitions, applied at start and on HUP when they changed", TEXT, false,
     AT(definitions), 0},
    {"ingest", "URL", "tcp://127.0.0.1:24224", "Fluent Forward address (repeatable; unix:///path)", TEXTS,
     false, AT(ingest), AT(ingest_count)},
    {"admin", "URL", NULL, "admin socket (default unix://<data>/admin.sock)", TEXT, false, AT(admin), 0},
    {"emit", "URL", NULL, "Forward server that actions go to (repeatable)", TEXTS, false, AT(emit),
     AT(emit_count)},
    {"shards", "N", "0", "threads, 1 to 64 (0: as many as there are cores)", NUMBER, false, AT(shards), 0},
    {"sync", "MODE", "always", "always|interval|none: when acks are sent (none: benches only)", SYNC, false,
     AT(sync), 0},
    {"memory-limit", "SIZE", "0", "at 90 % of it new anonymous people are refused (0: none)", SIZE, false,
     AT(memory_limit), 0},
    {"outbox-limit", "SIZE", "0", "pending actions, above it sends are deferred (0: none)", SIZE, false,
     AT(outbox_limit), 0},
    {"log-segment", "SIZE", "64MiB", "size of a log file", SIZE, false, AT(log_segment), 0},
    {"snapshot-every", "SIZE", "4GiB",
     "of log between two snapshots, sooner when the disk is short (0: only when asked)", SIZE, false,
     AT(snapshot_every), 0},
    {"log-keep", "all", NULL, "keep every log file (tests)", KEEP, false, AT(log_keep_all), 0},
    {"hash-secret", "HEX", NULL, "a new directory's secret (tests)", TEXT, false, AT(hash_secret), 0},
    {"shared-key-file", "FILE", NULL, "Forward shared key; required for addresses that are not loopback",
     TEXT, false, AT(shared_key_file), 0},
    {"emit-key-file", "FILE", NULL, "shared key of --emit; required for addresses that are not loopback",
     TEXT, false, AT(emit_key_file), 0},
    {"erasure-ledger", "FILE", NULL, "ledger of erased people, outside the data directory", TEXT, false,
     AT(erasure_ledger), 0},
    {"erase-within", "DURATION", "24h", "how long an erased person's bytes may stay in old files", DURATION,
     false, AT(erase_within_s), 0},
    {"accept-clock", NULL, NULL, "start although the wall clock is behind the log", FLAG, false,
     AT(accept_clock), 0},
    {"fake-clock", "TIME", NULL, "a clock that stands still until clock.advance (tests)", TEXT, false,
     AT(fake_clock), 0},
    {"order", "KIND", NULL,
     "arrival|sender: of one person's records that name different ids, with several threads (test clock: "
     "sender)",
     TEXT, false, AT(order), 0},
    {"io", "KIND", "auto", "auto|uring|epoll", TEXT, false, AT(io), 0},
    {"cpu", "LEVEL", "auto", "auto|portable|avx2|avx512: what scans may use", TEXT, false, AT(cpu), 0},
    {"print-config", NULL, NULL, "print every value and where it came from, and exit", FLAG, false,
     AT(print_config), 0},
};
enum { ROWS = sizeof table / sizeof table[0] };
static const char *const sync_names[] = {"always", "interval", "none"};

struct reading {
    struct options *o;
    const char *origin[ROWS]; /* NULL: default */
    char message[300];
    int code;
};

/* ---- values ------------------------------------------------------------------------------------------- */

static bool read_size(const char *text, uint64_t *out)
{
    static const struct {
        const char *unit;
        uint64_t factor;
    } units[] = {{"", 1},          {"B", 1},        {"K", 1 << 10},    {"KiB", 1 << 10},  {"M", 1 << 20},
                 {"MiB", 1 << 20}, {"G", 1 << 30},  {"GiB", 1 << 30},  {"T", 1ull << 40}, {"TiB", 1ull << 40},
                 {"KB", 1000},     {"MB", 1000000}, {"GB", 1000000000}};
    char *end;
    errno = 0;
    if (*text < '0' || *text > '9') return false; /* strtoull would take -5 for a large number */
    unsigned long long n = strtoull(text, &end, 10);
    if (errno) return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(end, units[i].unit) == 0 && n <= UINT64_MAX / units[i].factor)
            return *out = n * units[i].factor, true;
    return false;
}

static bool read_duration(const char *text, uint32_t *out)
{
    char *unit;
    if (*text < '0' || *text > '9') return false;
    unsigned long long n = strtoull(text, &unit, 10);
    uint32_t factor = !*unit || !strcmp(unit, "s") ? 1
                      : !strcmp(unit, "m")         ? 60
                      : !strcmp(unit, "h")         ? 3600
                      : !strcmp(unit, "d")         ? 86400
                                                   : 0;
    if (!factor || n > UINT32_MAX / factor) return false;
    return *out = (uint32_t)n * factor, true;
}

static bool read_flag(const char *text, bool *out)
{
    *out = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
    return *out || strcmp(text, "false") == 0 || strcmp(text, "0") == 0;
}

static bool read_sync(const char *text, uint8_t *out)
{
    for (uint8_t i = 0; i < 3; i++)
        if (strcmp(text, sync_names[i]) == 0) return *out = i, true;
    return false;
}

static bool set_text(struct options *o, const struct row *row, const char *text)
{
    char *base = (char *)o;
    uint32_t *count = (uint32_t *)(base + row->count_at);
    if (row->kind == TEXT) return *(const char **)(base + row->at) = text, true;
    if (*count == URLS_MAX) return false;
    ((const char **)(base + row->at))[(*count)++] = text;
    return true;
}

static const char *const expected[] = {
    [TEXT] = "a text",
    [TEXTS] = "one of at most 8 addresses",
    [NUMBER] = "a number from 0 to 64",
    [SIZE] = "a size like 512MiB",
    [DURATION] = "a duration like 90s, 15m, 24h or 7d",
    [FLAG] = "true or false",
    [SYNC] = "always, interval or none",
    [KEEP] = "all",
};

/* text lives as long as the process. */
static bool set_value(struct options *o, const struct row *row, const char *text)
{
    char *at = (char *)o + row->at;
    uint64_t number;
    switch (row->kind) {
    case TEXT:
    case TEXTS: return set_text(o, row, text);
    case NUMBER:
        if (!read_size(text, &number) || number > 64) return false;
        *(uint32_t *)at = (uint32_t)number;
        return true;
    case SIZE: return read_size(text, (uint64_t *)at);
    case DURATION: return read_duration(text, (uint32_t *)at);
    case SYNC: return read_sync(text, (uint8_t *)at);
    case KEEP: return *(bool *)at = true, strcmp(text, "all") == 0;
    default: return read_flag(text, (bool *)at);
    }
}

static void complain(struct reading *r, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void complain(struct reading *r, int code, const char *format, ...)
{
    va_list args;
    if (r->code) return;
    va_start(args, format);
    vsnprintf(r->message, sizeof r->message, format, args);
    va_end(args);
    r->code = code;
}

/* True: the options point to the text from now on. */
static bool set(struct reading *r, uint32_t i, const char *text, const char *origin, int code)
{
    if (r->origin[i] && r->origin[i] != origin) return false; /* a stronger place has said it */
    r->origin[i] = origin;
    if (set_value(r->o, &table[i], text)) return table[i].kind == TEXT || table[i].kind == TEXTS;
    complain(r, code, "%s: '%s' is not %s (from %s)", table[i].name, text, expected[table[i].kind], origin);
    return false;
}

/* ---- places --------------------------------------------------------------------------------------------- */

static void did_you_mean(struct reading *r, const char *what, const char *name, int code)
{
    const char *near = NULL;
    uint32_t best = 4;
    for (uint32_t i = 0; i < ROWS; i++) {
        uint32_t d = text_distance(slice_str(name), slice_str(table[i].name), best);
        if (d >= best) continue;
        best = d;
        near = table[i].name;
    }
    complain(r, code, near ? "unknown %s %s; did you mean %s?" : "unknown %s %s; --help lists them%s", what,
             name, near ? near : "");
}

static void help(void)
{
    puts("hourglassd [OPTIONS]\nThe engine: events in, decisions and actions out.\n");
    for (uint32_t i = 0; i < ROWS; i++) {
        char left[64];
        snprintf(left, sizeof left, "--%s %s", table[i].name, table[i].argument ? table[i].argument : "");
        printf("  %-26s %s%s%s%s\n", left, table[i].help, table[i].fallback ? " [" : "",
               table[i].fallback ? table[i].fallback : "", table[i].fallback ? "]" : "");
    }
    puts("  --config FILE              YAML file with the same names\n  --help, --version\n");
    puts("A flag is stronger than HOURGLASS_<NAME>, that than the file, that than the default.");
}

static void read_flags(struct reading *r, int argc, char **argv, const char **config)
{
    struct option list[ROWS + 4];
    for (uint32_t i = 0; i < ROWS; i++)
        list[i] = (struct option){table[i].name, table[i].argument ? required_argument : no_argument, NULL,
                                  1000 + (int)i};
    list[ROWS] = (struct option){"config", required_argument, NULL, 'c'};
    list[ROWS + 1] = (struct option){"help", no_argument, NULL, 'h'};
    list[ROWS + 2] = (struct option){"version", no_argument, NULL, 'v'};
    list[ROWS + 3] = (struct option){0};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":", list, NULL)) != -1 && r->o->exit_code < 0;) {
        if (c >= 1000)
            set(r, (uint32_t)(c - 1000), optarg ? optarg : "true", "flag", 2);
        else if (c == 'c')
            *config = optarg;
        else if (c == 'h')
            help(), r->o->exit_code = 0;
        else if (c == 'v')
            puts("hourglassd " HG_VERSION), r->o->exit_code = 0;
        else if (c == ':')
            complain(r, 2, "%s needs a value", argv[optind - 1]);
        else
            did_you_mean(r, "option", argv[optind - 1] + strspn(argv[optind - 1], "-"), 2);
    }
    if (optind < argc && r->o->exit_code < 0)
        complain(r, 2, "%s: an argument nobody asked for", argv[optind]);
}

static void read_environment(struct reading *r)
{
    for (uint32_t i = 0; i < ROWS; i++) {
        char name[64] = "HOURGLASS_";
        for (size_t k = 0; table[i].name[k] && k < 50; k++) {
            char c = table[i].name[k];
            name[10 + k] = c == '-' ? '_' : (char)(c - 32);
        }
        const char *value = getenv(name);
        if (value) set(r, i, value, "environment", 78);
    }
}

static int find_row(const char *name)
{
    for (uint32_t i = 0; i < ROWS; i++)
        if (strcmp(name, table[i].name) == 0) return (int)i;
    return -1;
}

/* A flat map of names to a value or a list of values. */
static void read_file(struct reading *r, const char *path)
{
    yaml_parser_t parser;
    yaml_event_t event;
    FILE *f = fopen(path, "re");
    if (!f || !yaml_parser_initialize(&parser)) {
        complain(r, 78, "%s: %s", path, strerror(errno));
        if (f) fclose(f);
        return;
    }
    yaml_parser_set_input_file(&parser, f);
    int row = -1, depth = 0;
    bool in_list = false, done = false;
    while (!done && !r->code) {
        if (!yaml_parser_parse(&parser, &event)) {
            complain(r, 78, "%s:%zu: %s", path, parser.problem_mark.line + 1,
                     parser.problem ? parser.problem : "not YAML");
            break;
        }
        const char *text = event.type == YAML_SCALAR_EVENT ? (const char *)event.data.scalar.value : NULL;
        if (event.type == YAML_MAPPING_START_EVENT && ++depth > 1)
            complain(r, 78, "%s: a flat map of names is expected", path);
        if (event.type == YAML_SEQUENCE_START_EVENT) in_list = true;
        if (event.type == YAML_SEQUENCE_END_EVENT) in_list = false, row = -1;
        if (text && row < 0) {
            row = find_row(text);
            if (row < 0) did_you_mean(r, "name in the config file:", text, 78);
        } else if (text) {
            char *copy = strdup(text);
            if (!copy || !set(r, (uint32_t)row, copy, "file", 78)) free(copy);
            if (!in_list) row = -1;
        }
        done = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    fclose(f);
}

/* ---- all of it ------------------------------------------------------------------------------------------- */

static void print_value(const struct options *o, const struct row *row)
{
    const char *at = (const char *)o + row->at;
    switch (row->kind) {
    case TEXT: printf("%s", *(const char *const *)at ? *(const char *const *)at : "-"); break;
    case TEXTS:
        for (uint32_t i = 0; i < *(const uint32_t *)((const char *)o + row->count_at); i++)
            printf("%s%s", i ? "," : "", ((const char *const *)at)[i]);
        break;
    case NUMBER:
    case DURATION: printf("%u", *(const uint32_t *)at); break;
    case SIZE: printf("%llu", (unsigned long long)*(const uint64_t *)at); break;
    case SYNC: printf("%s", sync_names[*(const uint8_t *)at]); break;
    default: printf("%s", *(const bool *)at ? "true" : "false");
    }
}

static void defaults(struct reading *r)
{
    for (uint32_t i = 0; i < ROWS; i++)
        if (!r->origin[i] && table[i].fallback) set_value(r->o, &table[i], table[i].fallback);
    if (r->o->admin) return;
    size_t n = strlen(r->o->data) + 32;
    char *url = malloc(n);
    snprintf(url, n, "unix://%s/admin.sock", r->o->data);
    r->o->admin = url;
}

void options_read(struct options *o, int argc, char **argv)
{
    struct reading r = {.o = o};
    const char *config = getenv("HOURGLASS_CONFIG");
    *o = (struct options){.exit_code = -1};
    read_flags(&r, argc, argv, &config);
    if (o->exit_code >= 0) return;
    read_environment(&r);
    if (config) read_file(&r, config);
    defaults(&r);
    if (r.code) {
        fprintf(stderr, "hourglassd: %s\n", r.message);
        o->exit_code = r.code;
        return;
    }
    if (!o->print_config) return;
    for (uint32_t i = 0; i < ROWS; i++) {
        printf("%-18s ", table[i].name);
        print_value(o, &table[i]);
        printf("  (%s)\n", r.origin[i] ? r.origin[i] : "default");
    }
    o->exit_code = 0;
}
