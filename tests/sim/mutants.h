/* mutants.h - the planted mistakes of core/base/planted.h, each run against the seeds or the drill that must notice it. */
#ifndef HG_SIM_MUTANTS_H
#define HG_SIM_MUTANTS_H

#include "core/base/planted.h"

#include <stdint.h>

enum planted mutant_find(const char *name); /* PLANTED_NONE: there is no such mistake */
/* All of them, or one; prints a table of who noticed what, and `N passed, N failed`. Returns the exit code. */
int mutants_run(enum planted only, uint32_t jobs);

#endif
