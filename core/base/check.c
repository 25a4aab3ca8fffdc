#include "core/base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void check_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "hourglass: CHECK failed: %s at %s:%d\n", what, file, line);
    fflush(stderr);
    abort();
}
