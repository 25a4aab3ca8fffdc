#include "persist/crash.h"

#ifdef HG_CRASH_POINTS
#include <stdio.h>
#include <string.h>
#include <unistd.h>

_Atomic int crash_armed; /* an enum crash_point */
static int armed_when_ready;
static _Atomic int left; /* times until then */

static const char *const names[] = {"nowhere",
#define CRASH_NAME(name) #name,
                                    CRASH_POINTS(CRASH_NAME)
#undef CRASH_NAME
};

bool crash_counts(void) { return atomic_fetch_sub(&left, 1) == 1; }

_Noreturn void crash_now(void) { _exit(CRASH_EXIT); }

bool crash_arm(const char *place)
{
    char name[32];
    int times, end = 0;
    if (sscanf(place, "%31[a-z_]:%d%n", name, &times, &end) != 2 || times < 1) return false;
    bool when_ready = strcmp(place + end, ":ready") == 0;
    if (place[end] && !when_ready) return false;
    for (unsigned i = 1; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], name)) continue;
        left = times;
        if (when_ready)
            armed_when_ready = (int)i;
        else
            crash_armed = (int)i;
        return true;
    }
    return false;
}

void crash_ready(void)
{
    if (armed_when_ready) crash_armed = armed_when_ready;
}
#else
void crash_ready(void) {}
bool crash_arm(const char *place) { return !place; }
#endif
