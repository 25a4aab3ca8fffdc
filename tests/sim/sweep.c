#include "tests/sim/sweep.h"
#include "tests/sim/disk.h"
#include "tests/sim/runner.h"
#include "tests/sim/workload.h"
#include "tests/sim/world.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SEED = 1, STORIES = 3, CPU_SECONDS_MAX = 20, POWER = DISK_FAULT_HALF + 1, FAULTS_IN_ALL };
enum how { ONCE, ALWAYS, HOWS };

static const char *const fault_texts[FAULTS_IN_ALL] = {[DISK_FAULT_EIO] = "EIO",
                                                       [DISK_FAULT_ENOSPC] = "ENOSPC",
                                                       [DISK_FAULT_EINTR] = "EINTR",
                                                       [DISK_FAULT_EAGAIN] = "EAGAIN",
                                                       [DISK_FAULT_ECANCELED] = "ECANCELED",
                                                       [DISK_FAULT_SHORT1] = "short1",
                                                       [DISK_FAULT_HALF] = "half",
                                                       [POWER] = "power"};
static const char *const operation_texts[DISK_OP_COUNT] = {
#define X(name, text) text,
    DISK_OPERATIONS(X)
#undef X
};

struct run { /* of one fault */
    uint32_t operation, fault;
    enum disk_operation what;
    enum how how;
};
struct verdict { /* shared with the process of the run */
    bool begun, ended;
    struct shared story;
};
/* A fault that happens once. Where its run comes to the next operation that could fail, it splits off the run in which that
 * one and all behind it do: until there the two are the same, and where none comes they are the same to the end. */
struct job {
    pid_t pid; /* 0: free */
    struct run run;
    struct verdict *of[HOWS];
};

static struct {
    const struct sweep_options *options;
    struct run only; /* of sim --sweep-at */
    uint32_t operations, of_kind[DISK_OP_COUNT];
    struct job *job; /* of this process; NULL: nothing has failed in it */
    struct verdict *verdict;
    struct run mine;
    struct job jobs[RUNNER_JOBS_MAX];
    FILE *out; /* the node has stdout */
    struct {
        uint32_t goes_on, ends, wrong;
    } count[FAULTS_IN_ALL][HOWS];
    uint32_t passed, failed;
} sweep;

/* ---- one run ------------------------------------------------------------------------------------ */

static bool makes_sense(uint32_t fault, enum disk_operation what)
{
    bool moves_bytes = what == DISK_OP_READ || what == DISK_OP_WRITE || what == DISK_OP_LOG_WRITE;
    return fault_texts[fault] && (moves_bytes || (fault != DISK_FAULT_SHORT1 && fault != DISK_FAULT_HALF));
}

static void begin_run(struct verdict *v, const struct shared *before)
{
    const struct rlimit patience = {CPU_SECONDS_MAX, CPU_SECONDS_MAX}; /* an endless loop is wrong */
    setrlimit(RLIMIT_CPU, &patience);
    memcpy(&v->story, before, offsetof(struct shared, text) + before->length);
    v->begun = true;
    sweep.verdict = v;
    shared = &v->story;
}

static enum disk_fault strike(struct job *job, const struct run *run)
{
    sweep.job = job;
    sweep.mine = *run;
    workload_fault.happened = true;
    workload_fault.going_on = run->how == ALWAYS;
    workload_fault.cut_then = run->operation & 1;
    story("-- operation %u, %s: %s%s", run->operation, operation_texts[run->what], fault_texts[run->fault],
          run->how == ALWAYS ? " from now on" : "");
    if (run->fault != POWER) return (enum disk_fault)run->fault;
    workload_fault.cut_now = true;
    fiber_sleep(3600ull * 1000000);
    abort();
}

/* True: this is the process in which operations go on to fail. The other one waits for it. */
static bool split_off_always(void)
{
    int status;
    pid_t pid = fork();
    CHECK(pid >= 0);
    sweep.mine.how = ALWAYS; /* not again, in either */
    if (pid) {
        CHECK(waitpid(pid, &status, 0) == pid);
        return false;
    }
    begin_run(sweep.job->of[ALWAYS], shared);
    story("-- and all behind it");
    return workload_fault.going_on = true;
}

static enum disk_fault strike_again(enum disk_operation what)
{
    if (!workload_fault.happened || !makes_sense(sweep.mine.fault, what)) return DISK_FAULT_NONE;
    bool first = sweep.mine.how == ONCE && sweep.mine.fault != POWER && !sweep.options->at;
    bool again = first ? split_off_always() : workload_fault.going_on;
    return again ? (enum disk_fault)sweep.mine.fault : DISK_FAULT_NONE;
}

/* ---- many ----------------------------------------------------------------------------------------- */

/* The whole story of the first ones, the last line of all. */
static void tell_wrong(const struct run *r, enum how how, const struct shared *told)
{
    const char *end = told->text + told->length, *last = end;
    while (last > told->text && (last == end || last[-1] != '\n')) last--;
    if (sweep.failed <= STORIES) last = told->text;
    fprintf(sweep.out, "---- %s, again: sim --sweep-at %u:%s%s\n%.*s", operation_texts[r->what], r->operation,
            fault_texts[r->fault], how == ALWAYS ? ":on" : "", (int)(end - last), last);
    fflush(sweep.out);
}

static void count(const struct job *j, enum how how)
{
    const struct verdict *v = j->of[how];
    if (!v->begun) return;
    bool good = v->story.finished;
    sweep.passed += good;
    sweep.failed += !good;
    sweep.count[j->run.fault][how].wrong += !good;
    sweep.count[j->run.fault][how].ends += good && v->ended;
    sweep.count[j->run.fault][how].goes_on += good && !v->ended;
    if (!good) tell_wrong(&j->run, how, &v->story);
}

static void collect(void)
{
    int status;
    pid_t pid = wait(&status);
    struct job *j = sweep.jobs;
    CHECK(pid > 0);
    while (j->pid != pid) j++;
    j->pid = 0;
    if (WIFSIGNALED(status)) fprintf(sweep.out, "the process died of signal %d\n", WTERMSIG(status));
    count(j, ONCE);
    count(j, ALWAYS);
}

static struct job *free_job(void)
{
    for (;;) {
        for (uint32_t i = 0; i < sweep.options->jobs; i++)
            if (!sweep.jobs[i].pid) return &sweep.jobs[i];
        collect();
    }
}

/* NULL: this is not the process of the run. */
static struct job *split_off(const struct run *run)
{
    struct job *j = free_job();
    j->run = *run;
    for (int how = 0; how < HOWS; how++)
        j->of[how]->begun = j->of[how]->ended = j->of[how]->story.finished = 0;
    j->pid = fork();
    CHECK(j->pid >= 0);
    if (j->pid) return NULL;
    begin_run(j->of[ONCE], shared);
    return j;
}

static enum disk_fault before(enum disk_operation what)
{
    if (sweep.job) return strike_again(what);
    struct run run = {.operation = ++sweep.operations, .what = what};
    struct job *job;
    sweep.of_kind[what]++;
    if (sweep.options->at) {
        run.fault = sweep.only.fault, run.how = sweep.only.how;
        if (run.operation != sweep.only.operation) return DISK_FAULT_NONE;
        begin_run(sweep.jobs[0].of[run.how], shared);
        return strike(sweep.jobs, &run);
    }
    if (run.operation % sweep.options->stride) return DISK_FAULT_NONE;
    for (run.fault = 1; run.fault < FAULTS_IN_ALL; run.fault++)
        if (makes_sense(run.fault, what) && (job = split_off(&run)) != NULL) return strike(job, &run);
    return DISK_FAULT_NONE;
}

/* ---- all of them ---------------------------------------------------------------------------------- */

static int report(void)
{
    for (int i = 0; i < DISK_OP_COUNT; i++)
        fprintf(sweep.out, "%s%u %s", i ? ", " : "", sweep.of_kind[i], operation_texts[i]);
    fprintf(sweep.out, ": %u operations\n%-10s %14s %8s %8s %20s %8s %8s\n", sweep.operations, "fails with",
            "once: goes on", "exit 74", "wrong", "and on: goes on", "exit 74", "wrong");
    for (int f = 0; f < FAULTS_IN_ALL; f++)
        if (fault_texts[f])
            fprintf(sweep.out, "%-10s %14u %8u %8u %20u %8u %8u\n", fault_texts[f],
                    sweep.count[f][ONCE].goes_on, sweep.count[f][ONCE].ends, sweep.count[f][ONCE].wrong,
                    sweep.count[f][ALWAYS].goes_on, sweep.count[f][ALWAYS].ends,
                    sweep.count[f][ALWAYS].wrong);
    fprintf(sweep.out, "%u passed, %u failed\n", sweep.passed, sweep.failed);
    fflush(sweep.out);
    return sweep.failed || !sweep.passed;
}

static void end_run(void)
{
    sweep.verdict->ended = workload_fault.ended;
    shared->finished = true;
    _Exit(0);
}

static bool parse_only(const char *text)
{
    char fault[16] = "", on[4] = "";
    if (sscanf(text, "%u:%15[A-Za-z0-9]:%3s", &sweep.only.operation, fault, on) < 2) return false;
    sweep.only.how = strcmp(on, "on") ? ONCE : ALWAYS;
    for (uint32_t f = 0; f < FAULTS_IN_ALL; f++)
        if (fault_texts[f] && !strcmp(fault_texts[f], fault)) sweep.only.fault = f;
    return sweep.only.operation && sweep.only.fault;
}

static void prepare(const struct sweep_options *o)
{
    for (uint32_t i = 0; i < o->jobs * HOWS; i++) {
        struct verdict *v = mmap(NULL, sizeof *v, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(v != MAP_FAILED);
        sweep.jobs[i / HOWS].of[i % HOWS] = v;
    }
    runner_share();
    if (o->at) return;
    int nothing = open("/dev/null", O_WRONLY);
    sweep.out = fdopen(dup(STDOUT_FILENO), "w");
    CHECK(sweep.out != NULL && nothing >= 0);
    dup2(nothing, STDOUT_FILENO); /* the node's ready line */
    dup2(nothing, STDERR_FILENO);
}

static int run_all(void)
{
    workload_run();
    if (sweep.job) end_run();
    for (uint32_t i = 0; i < sweep.options->jobs; i++)
        while (sweep.jobs[i].pid) collect();
    shared->finished = true;
    return report();
}

int sweep_run(const struct sweep_options *o)
{
    int status;
    sweep.options = o;
    if (o->at && !parse_only(o->at)) return 2;
    prepare(o);
    world_create(SEED, o->at != NULL);
    sim_disk_before = before;
    pid_t pid = o->at ? 0 : fork();
    CHECK(pid >= 0);
    if (!pid) _exit(run_all());
    CHECK(waitpid(pid, &status, 0) == pid);
    if (shared->finished) return WEXITSTATUS(status);
    fprintf(sweep.out, "%.*sthe workload is wrong without any fault\n0 passed, 1 failed\n",
            (int)shared->length, shared->text);
    fflush(sweep.out);
    return 1;
}
