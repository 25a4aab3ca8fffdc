#include "tests/sim/mutants.h"
#include "tests/sim/drills.h"
#include "tests/sim/runner.h"
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum planted planted;

enum { SEEDS_MAX = 240, DRILLS_MAX = 40, QUIET_DRILLS = 8, REASON_BYTES = 160 };
enum found_by { SEEDS, POWER, FAULTS, DAMAGE, WHEEL, FIRST };
static const char *const found_by_names[] = {"seeds",         "seeds, power cuts", "seeds, disk faults",
                                             "drill: damage", "drill: wheel",      "drill: first start"};

struct mutant {
    const char *name, *promise;
    enum found_by found_by;
    const char *what;
};
static const struct mutant mutants[PLANTED_COUNT] = {{"none", "", WHEEL, ""},
#define X(name, promise, found_by, what) {#name, #promise, found_by, what},
                                                     PLANTED_MISTAKES(X)
#undef X
};

struct verdict { /* shared with the job that finds it */
    bool noticed;
    uint64_t seed;
    char reason[REASON_BYTES];
};

enum planted mutant_find(const char *name)
{
    for (uint32_t i = 1; i < PLANTED_COUNT; i++)
        if (!strcmp(mutants[i].name, name)) return (enum planted)i;
    return PLANTED_NONE;
}

static void run_seed(const void *self)
{
    enum found_by how = *(const enum found_by *)self;
    const struct scenario_options options = {.power_cuts = how == POWER, .disk_faults = how == FAULTS};
    scenario_run(&options);
}

static void run_drill(const void *self)
{
    switch (*(const enum found_by *)self) {
    case WHEEL: drill_wheel(); return;
    case DAMAGE: drill_damage(); return;
    default: drill_first();
    }
}

/* What the last line of the story says. */
static void keep_reason(struct verdict *v)
{
    static char text[STORY_BYTES + 1];
    memcpy(text, shared->text, shared->length);
    text[shared->length] = 0;
    char *at = text, *last = NULL;
    while ((at = strstr(at, "WRONG: ")) != NULL) last = at += 7;
    snprintf(v->reason, sizeof v->reason, "%.*s", (int)strcspn(last ? last : "ended early", "\n"),
             last ? last : "ended early");
}

/* A seed that is wrong without the mistake says nothing about it. */
static bool is_quiet_without(enum planted mistake, uint64_t seed, bool drill, const enum found_by *how)
{
    planted = PLANTED_NONE;
    bool quiet = runner_attempt(false, seed, drill ? run_drill : run_seed, how);
    planted = mistake;
    return quiet;
}

static void hunt(const struct mutant *m, struct verdict *v)
{
    bool drill = m->found_by >= DAMAGE;
    enum planted mistake = planted;
    for (v->seed = 1; v->seed <= (drill ? DRILLS_MAX : SEEDS_MAX); v->seed++)
        if (!runner_attempt(false, v->seed, drill ? run_drill : run_seed, &m->found_by)) {
            keep_reason(v);
            v->noticed = is_quiet_without(mistake, v->seed, drill, &m->found_by);
            if (!v->noticed)
                snprintf(v->reason, sizeof v->reason, "seed %llu is wrong without it",
                         (unsigned long long)v->seed);
            return;
        }
    snprintf(v->reason, sizeof v->reason, "%s", m->what);
}

static void work(struct verdict *verdicts, enum planted only, uint32_t job, uint32_t jobs)
{
    runner_share();
    for (uint32_t i = 1 + job; i < PLANTED_COUNT; i += jobs) {
        if (only && only != i) continue;
        planted = (enum planted)i;
        hunt(&mutants[i], &verdicts[i]);
    }
    _exit(0);
}

/* A drill must have nothing to say about the product as it is. */
static bool drills_are_quiet(void)
{
    static const enum found_by drills[] = {DAMAGE, WHEEL, FIRST};
    for (uint32_t i = 0; i < sizeof drills / sizeof *drills; i++)
        for (uint64_t seed = 1; seed <= QUIET_DRILLS; seed++)
            if (!runner_attempt(false, seed, run_drill, &drills[i])) {
                struct verdict v;
                keep_reason(&v);
                printf("%s is wrong without any mistake: %s\n", found_by_names[drills[i]], v.reason);
                return false;
            }
    return true;
}

/* The story of a planted mistake names seed, commit, fault and promise. */
static bool stories_name_what_matters(void)
{
    static const enum found_by how = POWER;
    char *text = NULL, seed[64];
    size_t n;
    uint64_t number = 1;
    planted = PLANTED_ack_before_sync;
    while (number < SEEDS_MAX && runner_attempt(false, number, run_seed, &how)) number++;
    planted = PLANTED_NONE;
    FILE *out = open_memstream(&text, &n);
    CHECK(out != NULL);
    runner_tell(out, number);
    fclose(out);
    snprintf(seed, sizeof seed, "---- seed %llu of commit ", (unsigned long long)number);
    const char *line = strstr(text, seed);
    bool good = line && strncmp(line + strlen(seed), ",", 1) && strstr(line, "fault \"power cut, while: ") &&
                strstr(line, "\": P");
    printf("%-28s %-4s %-18s %s %s", "(its story)", "P30", "seeds, power cuts",
           good ? "names all:" : "LACKS SOMETHING:", line ? line : text);
    free(text);
    return good;
}

static bool print(const struct mutant *m, const struct verdict *v)
{
    printf("%-28s %-4s %-18s ", m->name, m->promise, found_by_names[m->found_by]);
    if (v->noticed)
        printf("noticed by seed %llu: %s\n", (unsigned long long)v->seed, v->reason);
    else
        printf("NOT NOTICED: %s\n", v->reason);
    return v->noticed;
}

int mutants_run(enum planted only, uint32_t jobs)
{
    uint32_t passed = 0, failed = 0;
    size_t bytes = PLANTED_COUNT * sizeof(struct verdict);
    struct verdict *verdicts = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(verdicts != MAP_FAILED);
    runner_share();
    drills_are_quiet() ? passed++ : failed++;
    stories_name_what_matters() ? passed++ : failed++;
    fflush(NULL);
    for (uint32_t j = 0; j < jobs; j++) {
        pid_t child = fork();
        if (child == 0) work(verdicts, only, j, jobs);
        CHECK(child > 0);
    }
    while (wait(NULL) > 0) {
    }
    for (uint32_t i = 1; i < PLANTED_COUNT; i++)
        if (!only || only == i) print(&mutants[i], &verdicts[i]) ? passed++ : failed++;
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
