/* completion.c - completion for three shells and the manual page, all written from the tables of commands and options. */
#include <stdio.h>

#include "tools/hourglass/commands.h"

/* ---- words ---------------------------------------------------------------------------------------------- */

/* The lower-case words of a command's arguments are literal: "list | count NAME" completes list and count. */
static bool next_word(const char **at, int *length)
{
    const char *p = *at;
    for (; *p; p++) {
        bool begins = p == *at || p[-1] == ' ';
        int n = (int)strspn(p, "abcdefghijklmnopqrstuvwxyz");
        if (!begins || n == 0 || (p[n] && p[n] != ' ')) continue;
        *length = n;
        *at = p;
        return true;
    }
    return false;
}

typedef void option_visit(const struct option_row *o);

static void each_option(const struct command *k, option_visit *f)
{
    for (const struct option_row *o = k->options; o && o->name; o++) f(o);
    for (const struct option_row *o = COMMON_OPTIONS; o->name; o++) f(o);
}

static void each_word(const struct command *k, const char *format)
{
    int n;
    for (const char *p = cli_arguments(k); next_word(&p, &n); p += n) printf(format, n, p);
}

/* ---- bash ------------------------------------------------------------------------------------------------ */

static void bash_option(const struct option_row *o) { printf(" --%s", o->name); }

static void print_bash(void)
{
    printf("_hourglass()\n{\n    local word=${COMP_WORDS[COMP_CWORD]} words\n    case ${COMP_WORDS[1]} in\n");
    for (const struct command *k = COMMANDS; k->name; k++) {
        printf("    %s) words='", k->name);
        each_option(k, bash_option);
        each_word(k, " %.*s");
        printf("' ;;\n");
    }
    printf("    esac\n    [ \"$COMP_CWORD\" -eq 1 ] && words='");
    for (const struct command *k = COMMANDS; k->name; k++) printf("%s%s", k == COMMANDS ? "" : " ", k->name);
    printf("'\n    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n}\n"
           "complete -o default -F _hourglass hourglass\n");
}

/* ---- zsh -------------------------------------------------------------------------------------------------- */

/* Inside single quotes; in _arguments and _describe a colon and brackets have a meaning too. */
static void put_quoted(const char *text, const char *also)
{
    for (; *text; text++) {
        if (*text == '\'')
            printf("'\\''");
        else
            printf("%s%c", strchr(also, *text) ? "\\" : "", *text);
    }
}

static void zsh_option(const struct option_row *o)
{
    printf(" \\\n        '--%s[", o->name);
    put_quoted(o->help, "[]:\\");
    printf("]%s%s%s'", o->argument ? ":" : "", o->argument ? o->argument : "", o->argument ? ":_files" : "");
}

static void print_zsh(void)
{
    printf("#compdef hourglass\n_hourglass()\n{\n    local -a commands words\n    commands=(\n");
    for (const struct command *k = COMMANDS; k->name; k++) {
        printf("        '%s:", k->name);
        put_quoted(k->summary, ":\\");
        printf("'\n");
    }
    printf(
        "    )\n    if (( CURRENT == 2 )); then\n        _describe command commands\n        return\n    fi\n"
        "    local command=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $command in\n");
    for (const struct command *k = COMMANDS; k->name; k++) {
        const char *p = cli_arguments(k);
        int n;
        printf("    %s) _arguments", k->name);
        each_option(k, zsh_option);
        if (next_word(&p, &n)) {
            printf(" \\\n        '1:what:(");
            each_word(k, "%.*s ");
            printf(")'");
        }
        printf(" \\\n        '*:file:_files' ;;\n");
    }
    printf("    esac\n}\n(( $+functions[compdef] )) && compdef _hourglass hourglass\n");
}

/* ---- fish -------------------------------------------------------------------------------------------------- */

static const char *fish_command;

static void fish_option(const struct option_row *o)
{
    printf("complete -c hourglass -n '__fish_seen_subcommand_from %s' -l %s%s -d '", fish_command, o->name,
           o->argument ? " -r" : "");
    for (const char *p = o->help; *p; p++) printf("%s%c", *p == '\'' || *p == '\\' ? "\\" : "", *p);
    printf("'\n");
}

static void print_fish(void)
{
    for (const struct command *k = COMMANDS; k->name; k++) {
        const char *p = cli_arguments(k);
        int n;
        printf("complete -c hourglass -n __fish_use_subcommand -a %s -d '", k->name);
        for (const char *s = k->summary; *s; s++) printf("%s%c", *s == '\'' || *s == '\\' ? "\\" : "", *s);
        printf("'\n");
        fish_command = k->name;
        each_option(k, fish_option);
        if (!next_word(&p, &n)) continue;
        printf("complete -c hourglass -n '__fish_seen_subcommand_from %s' -a '", k->name);
        each_word(k, "%.*s ");
        printf("'\n");
    }
}

/* ---- man ---------------------------------------------------------------------------------------------------- */

/* roff: a backslash and a leading dot or quote would be read as orders, a hyphen would become a dash. */
static void put_roff(const char *text)
{
    for (const char *p = text; *p; p++) {
        if ((*p == '.' || *p == '\'') && (p == text || p[-1] == '\n')) printf("\\&");
        if (*p == '\\')
            printf("\\e");
        else if (*p == '-')
            printf("\\-");
        else
            putchar(*p);
    }
}

static void man_option(const struct option_row *o)
{
    printf(".TP\n.B \\-\\-");
    put_roff(o->name);
    if (o->argument) printf(" \\fI%s\\fR", o->argument);
    putchar('\n');
    put_roff(o->help);
    putchar('\n');
}

static void print_man(void)
{
    printf(".TH HOURGLASS 1 \"\" \"hourglass %s\" \"User Commands\"\n.SH NAME\nhourglass \\- control, "
           "questions and tests for "
           "hourglassd\n.SH SYNOPSIS\n.B hourglass\n.I COMMAND\n[\\fIARGUMENTS\\fR] [\\fIOPTIONS\\fR]\n.SH "
           "COMMANDS\n",
           HG_VERSION);
    for (const struct command *k = COMMANDS; k->name; k++) {
        printf(".SS %s ", k->name);
        put_roff(cli_arguments(k));
        putchar('\n');
        put_roff(k->summary);
        printf(".\n");
        if (k->more) printf(".PP\n"), put_roff(k->more), putchar('\n');
        for (const struct option_row *o = k->options; o && o->name; o++) man_option(o);
    }
    printf(".SH OPTIONS OF EVERY COMMAND\n");
    for (const struct option_row *o = COMMON_OPTIONS; o->name; o++) man_option(o);
    printf(".SH EXIT STATUS\n0 ok, 1 failure, 2 usage, 3 checked and found wrong, 65 damaged or incompatible "
           "data, 69 server\n"
           "unreachable, 74 disk failure, 78 bad configuration, 130 interrupted.\n.SH ENVIRONMENT\n"
           ".B HOURGLASS_ADMIN, HOURGLASS_INGEST, HOURGLASS_CONFIG, HOURGLASS_CONTEXT, NO_COLOR\n");
}

static int bash(struct cli *c) { return print_bash(), EXIT_OK; }
static int zsh(struct cli *c) { return print_zsh(), EXIT_OK; }
static int fish(struct cli *c) { return print_fish(), EXIT_OK; }
static int man(struct cli *c) { return print_man(), EXIT_OK; }

const struct word COMPLETION_WORDS[] = {
    {"bash", "", bash, 0, 0}, {"zsh", "", zsh, 0, 0}, {"fish", "", fish, 0, 0}, {"man", "", man, 0, 0}, {0}};
