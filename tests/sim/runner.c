#include "tests/sim/runner.h"
#include "tests/sim/world.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CPU_SECONDS_MAX = 20 };

double runner_cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_CHILDREN, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void *shared_memory(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

void runner_share(void) { shared = shared_memory(sizeof *shared); }

/* ---- one seed ---------------------------------------------------------------------------------- */

static void run_child(bool loud, uint64_t seed, void (*run)(const void *self), const void *self)
{
    const struct rlimit patience = {CPU_SECONDS_MAX, CPU_SECONDS_MAX}; /* an endless loop is a wrong seed */
    setrlimit(RLIMIT_CPU, &patience);
    int nothing = open("/dev/null", O_WRONLY);
    dup2(loud ? STDERR_FILENO : nothing, STDOUT_FILENO); /* the node's ready line */
    if (!loud) dup2(nothing, STDERR_FILENO);             /* a failed CHECK is told by its signal */
    world_create(seed, loud);
    run(self);
    shared->finished = true;
    _Exit(0);
}

bool runner_attempt(bool loud, uint64_t seed, void (*run)(const void *self), const void *self)
{
    int status;
    memset(shared, 0, offsetof(struct shared, covered));
    shared->finished = false;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) run_child(loud, seed, run, self);
    if (child < 0 || waitpid(child, &status, 0) != child) abort();
    if (WIFSIGNALED(status)) {
        int n = snprintf(shared->text + shared->length, STORY_BYTES - shared->length > 100 ? 100 : 0,
                         "%12.6f  WRONG: the process died of signal %d\n", (double)shared->world_us / 1e6,
                         WTERMSIG(status));
        shared->length += n > 0 && n < 100 ? (uint32_t)n : 0;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 && shared->finished;
}

static void run_scenario(const void *self) { scenario_run(self); }

/* ---- many, by several processes ------------------------------------------------------------------ */

struct totals { /* of one job; shared with it */
    uint64_t passed, failed, lives, cuts, kills, torn, rolls, snapshots, merges, definitions, events, acked,
        actions;
    uint32_t covered[FAULT_KINDS][FAULT_STATES];
};
struct crew {
    const struct run_options *options;
    _Atomic uint32_t failed; /* of all jobs */
    struct totals totals[RUNNER_JOBS_MAX];
};

static void add_figures(struct totals *t)
{
    t->lives += shared->lives, t->cuts += shared->cuts, t->kills += shared->kills, t->torn += shared->torn;
    t->rolls += shared->rolls, t->snapshots += shared->snapshots, t->merges += shared->merges;
    t->definitions += shared->definitions, t->events += shared->events, t->acked += shared->acked;
    t->actions += shared->actions;
    memcpy(t->covered, shared->covered, sizeof t->covered);
}

/* The tree this was built from, as it is now. */
static void find_commit(char out[64])
{
    FILE *f = popen("git -C '" SIM_SOURCE_DIR "' describe --always --dirty 2>/dev/null", "r");
    if (!f || !fgets(out, 64, f)) strcpy(out, "unknown");
    out[strcspn(out, "\n")] = 0;
    if (f) pclose(f);
}

/* The last line of the story that has this mark, from behind it. */
static struct slice last_of(const char *mark)
{
    struct slice story = slice_of(shared->text, shared->length), found = SLICE("none");
    size_t n = strlen(mark);
    for (uint32_t at = 0; at + n <= story.n; at++) {
        if (memcmp(story.p + at, mark, n)) continue;
        const uint8_t *from = story.p + at + n, *end = memchr(from, '\n', story.n - at - n);
        found = slice_of(from, end ? (size_t)(end - from) : story.n - at - n);
    }
    return found;
}

void runner_tell(FILE *out, uint64_t seed)
{
    char commit[64];
    struct slice fault = last_of("  -- "), wrong = last_of("WRONG: ");
    find_commit(commit);
    fprintf(out, "---- seed %llu\n%.*s", (unsigned long long)seed, (int)shared->length, shared->text);
    fprintf(
        out,
        "---- seed %llu of commit %s, behind the fault \"%.*s\": %.*s\n---- again: sim --seed %llu --loud\n",
        (unsigned long long)seed, commit, (int)fault.n, (const char *)fault.p, (int)wrong.n,
        (const char *)wrong.p, (unsigned long long)seed);
    fflush(out);
}

static bool run_seed(const struct run_options *o, uint64_t seed)
{
    bool good = runner_attempt(o->loud, seed, run_scenario, &o->scenario);
    uint64_t hash = shared->hash;
    if (good && o->twice) {
        good = runner_attempt(o->loud, seed, run_scenario, &o->scenario) && shared->hash == hash;
        if (!good) printf("---- seed %llu went another way the second time\n", (unsigned long long)seed);
    }
    if (!good) runner_tell(stdout, seed);
    if (o->from == o->to)
        printf("seed %llu: hash %016llx\n", (unsigned long long)seed, (unsigned long long)hash);
    return good;
}

/* Every jobs-th seed: which job runs which depends on nothing. */
static void work(struct crew *crew, uint32_t job)
{
    static char buffer[STORY_BYTES + 4096]; /* a story leaves in one piece */
    const struct run_options *o = crew->options;
    struct totals *t = &crew->totals[job];
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    runner_share();
    planted = o->planted;
    for (uint64_t seed = o->from + job; seed <= o->to; seed += o->jobs) {
        if (atomic_load(&crew->failed) >= o->stop_after) break;
        bool good = run_seed(o, seed);
        good ? t->passed++ : t->failed++;
        if (!good) atomic_fetch_add(&crew->failed, 1);
        add_figures(t);
    }
    fflush(NULL);
    _exit(0);
}

static struct totals sum(const struct crew *crew)
{
    struct totals all = {0};
    for (uint32_t j = 0; j < crew->options->jobs; j++) {
        const struct totals *t = &crew->totals[j];
        all.passed += t->passed, all.failed += t->failed, all.lives += t->lives, all.cuts += t->cuts;
        all.kills += t->kills, all.torn += t->torn, all.rolls += t->rolls, all.snapshots += t->snapshots;
        all.merges += t->merges, all.definitions += t->definitions, all.events += t->events;
        all.acked += t->acked, all.actions += t->actions;
        for (uint32_t f = 0; f < FAULT_KINDS; f++)
            for (uint32_t s = 0; s < FAULT_STATES; s++) all.covered[f][s] += t->covered[f][s];
    }
    return all;
}

static void print_coverage(const struct totals *t)
{
    uint32_t never = 0;
    printf("%-18s", "injected, while:");
    for (int f = 0; f < FAULT_COUNT; f++) printf(" %15s", fault_names[f]);
    printf("\n");
    for (int s = 0; s < STATE_COUNT; s++) {
        printf("%-18s", state_names[s]);
        for (int f = 0; f < FAULT_COUNT; f++) {
            printf(" %15u", t->covered[f][s]);
            never += t->covered[f][s] == 0;
        }
        printf("\n");
    }
    printf("%u of %d pairs were never met\n", never, FAULT_COUNT * STATE_COUNT);
}

static void print_totals(const struct totals *t, double cpu_s)
{
    uint64_t seeds = t->passed + t->failed;
    print_coverage(t);
    printf("%llu lives, %llu power cuts, %llu kills, %llu torn tails, %llu snapshots, %llu definitions; %llu "
           "events, %llu acked, %llu actions, %llu merges; %.3f s a seed\n",
           (unsigned long long)t->lives, (unsigned long long)t->cuts, (unsigned long long)t->kills,
           (unsigned long long)t->torn, (unsigned long long)t->snapshots, (unsigned long long)t->definitions,
           (unsigned long long)t->events, (unsigned long long)t->acked, (unsigned long long)t->actions,
           (unsigned long long)t->merges, cpu_s / (double)(seeds ? seeds : 1));
    printf("%llu passed, %llu failed\n", (unsigned long long)t->passed, (unsigned long long)t->failed);
}

int runner_run(const struct run_options *o)
{
    struct crew *crew = shared_memory(sizeof *crew);
    struct run_options options = *o;
    crew->options = &options;
    if (o->loud) options.jobs = 1;
    fflush(NULL);
    for (uint32_t j = 0; j < options.jobs; j++) {
        pid_t child = fork();
        if (child == 0) work(crew, j);
        CHECK(child > 0);
    }
    bool crashed = false;
    for (int status; wait(&status) > 0;) crashed |= !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    struct totals t = sum(crew);
    print_totals(&t, runner_cpu_seconds());
    return t.failed || crashed || t.passed == 0;
}
