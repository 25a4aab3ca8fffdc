/* hourglassd.c - the engine's main: read the options, recover the data directory, run the threads, mind the signals.
 *
 * Where an event goes from here: worker.c (the turn of a thread) -> conn.c, intake.c (into batches and the log) ->
 * core/shard.h (what it changes) -> release.c (what leaves once it is durable).
 *
 * HUP: definitions again, all or nothing. TERM, INT: drain, snapshot, exit 0. A second INT: at once, 130. */
#include "io/admin.h"
#include "persist/crash.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static enum call_state on_hup(struct worker *w, struct call *c)
{
    admin_reload(w->engine);
    return CALL_DONE;
}

static enum call_state on_term(struct worker *w, struct call *c)
{
    admin_shutdown(w->engine);
    return CALL_DONE;
}

static void answered(struct call *c) { free(c); }

static void tell(struct engine *e, enum call_state (*run)(struct worker *w, struct call *c))
{
    struct call *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    *c = (struct call){.run = run, .done = answered};
    call_post(&e->workers[0], c);
}

static sigset_t handled_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    return set;
}

/* The only thing main does while the engine runs. A thread of its own, so that main can wait for the workers. */
static void *mind_signals(void *arg)
{
    struct engine *e = arg;
    sigset_t set = handled_signals();
    for (bool stopping = false;;) {
        int signal = 0;
        if (sigwait(&set, &signal) != 0) continue;
        if (signal == SIGHUP) {
            tell(e, on_hup);
        } else if (!stopping) {
            stopping = true;
            tell(e, on_term);
        } else if (signal == SIGINT) {
            _exit(130);
        }
    }
    return NULL;
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int run(struct engine *e)
{
    pthread_t signals;
    admin_create(e);
    int code = engine_start(e);
    if (code) {
        engine_join(e);
        return code;
    }
    admin_start(e);
    CHECK(pthread_create(&signals, NULL, mind_signals, e) == 0);
    engine_join(e);
    pthread_cancel(signals);
    pthread_join(signals, NULL);
    log_line(LOG_INFO, "stopped", "exit=%d", e->exit_code);
    return e->exit_code;
}

static bool arm_crash_point(void)
{
    const char *place = getenv("HOURGLASS_CRASH_AT");
    if (!place || crash_arm(place)) return true;
    log_line(LOG_ERROR, "bad_option", "reason=\"HOURGLASS_CRASH_AT=%s: no such place in this build\"", place);
    return false;
}

int main(int argc, char **argv)
{
    static struct options options;
    static struct engine engine;
    options_read(&options, argc, argv);
    if (options.exit_code >= 0) return options.exit_code;
    if (!arm_crash_point()) return 78;
    sigset_t set = handled_signals();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    umask(0077);
    raise_file_limit();
    int code = engine_open(&engine, &options);
    if (!code) code = run(&engine);
    admin_destroy(&engine);
    engine_close(&engine);
    return code;
}
