/* sim - runs seeds: each in a process of its own, so that one that crashes is told like one that is wrong.
 * usage: sim [--seed N [--loud]] [--seeds A..B] [--power-cuts] [--early-acks] [--twice] [--events N]
 *            [--stop-after N]
 * Ends with a table of what was injected in which state, and `N passed, N failed`; exit 1 if any failed. */
#include "tests/sim/scenario.h"
#include "tests/sim/world.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct arguments {
    uint64_t from, to;
    struct scenario_options scenario;
    bool loud, twice;
    uint32_t stop_after;
};

static double seconds_now(void)
{
    struct timeval t;
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    t = usage.ru_utime;
    return (double)t.tv_sec + (double)t.tv_usec / 1e6 + (double)usage.ru_stime.tv_sec +
           (double)usage.ru_stime.tv_usec / 1e6;
}

static void run_child(const struct arguments *a, uint64_t seed)
{
    int nothing = open("/dev/null", O_WRONLY);
    dup2(a->loud ? STDERR_FILENO : nothing, STDOUT_FILENO); /* the node's ready line */
    world_create(seed, a->loud);
    scenario_run(&a->scenario);
    shared->finished = true;
    _Exit(0);
}

/* False: wrong. */
static bool run_seed(const struct arguments *a, uint64_t seed)
{
    int status;
    memset(shared, 0, offsetof(struct shared, covered));
    shared->finished = false;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) run_child(a, seed);
    if (child < 0 || waitpid(child, &status, 0) != child) abort();
    if (WIFSIGNALED(status)) {
        int n = snprintf(shared->text + shared->length, STORY_BYTES - shared->length > 100 ? 100 : 0,
                         "%12.6f  WRONG: the process died of signal %d\n", (double)shared->world_us / 1e6,
                         WTERMSIG(status));
        shared->length += n > 0 && n < 100 ? (uint32_t)n : 0;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 && shared->finished;
}

static void tell_story(uint64_t seed)
{
    printf("---- seed %llu\n%.*s", (unsigned long long)seed, (int)shared->length, shared->text);
    printf("---- again: sim --seed %llu --loud\n", (unsigned long long)seed);
}

static void print_coverage(void)
{
    printf("%-18s", "injected, while:");
    for (int f = 0; f < FAULT_COUNT; f++) printf(" %15s", fault_names[f]);
    printf("\n");
    for (int s = 0; s < STATE_COUNT; s++) {
        printf("%-18s", state_names[s]);
        for (int f = 0; f < FAULT_COUNT; f++) printf(" %15u", shared->covered[f][s]);
        printf("\n");
    }
}

static struct arguments read_arguments(int argc, char **argv)
{
    struct arguments a = {.from = 1, .to = 100, .stop_after = 3};
    for (int i = 1; i < argc; i++) {
        unsigned long long x, y;
        bool more = i + 1 < argc;
        if (!strcmp(argv[i], "--seed") && more && sscanf(argv[++i], "%llu", &x) == 1)
            a.from = a.to = x;
        else if (!strcmp(argv[i], "--seeds") && more && sscanf(argv[++i], "%llu..%llu", &x, &y) == 2)
            a.from = x, a.to = y;
        else if (!strcmp(argv[i], "--events") && more && sscanf(argv[++i], "%llu", &x) == 1)
            a.scenario.events = (uint32_t)x;
        else if (!strcmp(argv[i], "--stop-after") && more && sscanf(argv[++i], "%llu", &x) == 1)
            a.stop_after = (uint32_t)x;
        else if (!strcmp(argv[i], "--power-cuts"))
            a.scenario.power_cuts = true;
        else if (!strcmp(argv[i], "--early-acks"))
            a.scenario.early_acks = true;
        else if (!strcmp(argv[i], "--loud"))
            a.loud = true;
        else if (!strcmp(argv[i], "--twice"))
            a.twice = true;
        else
            fprintf(stderr, "sim: %s is not understood\n", argv[i]), exit(2);
    }
    return a;
}

int main(int argc, char **argv)
{
    struct arguments a = read_arguments(argc, argv);
    uint32_t passed = 0, failed = 0;
    uint64_t cuts = 0, kills = 0, lives = 0, events = 0, acked = 0, actions = 0, torn = 0, snapshots = 0;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return 1;
    double begun = seconds_now();
    for (uint64_t seed = a.from; seed <= a.to && failed < a.stop_after; seed++) {
        bool good = run_seed(&a, seed);
        uint64_t hash = shared->hash;
        if (good && a.twice) {
            good = run_seed(&a, seed) && shared->hash == hash;
            if (!good) printf("---- seed %llu went another way the second time\n", (unsigned long long)seed);
        }
        if (!good) tell_story(seed);
        if (a.from == a.to)
            printf("seed %llu: hash %016llx\n", (unsigned long long)seed, (unsigned long long)hash);
        good ? passed++ : failed++;
        cuts += shared->cuts, kills += shared->kills, lives += shared->lives, events += shared->events;
        acked += shared->acked, actions += shared->actions, torn += shared->torn,
            snapshots += shared->snapshots;
    }
    print_coverage();
    printf("%llu lives, %llu power cuts, %llu kills, %llu torn tails, %llu snapshots asked for; %llu events, "
           "%llu acked, "
           "%llu actions; %.3f s a seed\n",
           (unsigned long long)lives, (unsigned long long)cuts, (unsigned long long)kills,
           (unsigned long long)torn, (unsigned long long)snapshots, (unsigned long long)events,
           (unsigned long long)acked, (unsigned long long)actions,
           (seconds_now() - begun) / (passed + failed ? passed + failed : 1));
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
