#include "io/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"error", "warning", "info"};

void log_line(enum log_level level, const char *event, const char *format, ...)
{
    char line[1200];
    time_t now = time(NULL);
    struct tm t;
    gmtime_r(&now, &t);
    size_t n = strftime(line, sizeof line, "ts=%Y-%m-%dT%H:%M:%SZ", &t);
    n += (size_t)snprintf(line + n, sizeof line - n, " level=%s event=%s", level_names[level], event);
    if (format && *format) {
        line[n++] = ' ';
        va_list args;
        va_start(args, format);
        int more = vsnprintf(line + n, sizeof line - n - 1, format, args);
        va_end(args);
        n += more < 0 ? 0 : (size_t)more;
        if (n > sizeof line - 2) n = sizeof line - 2;
    }
    line[n++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, n);
    (void)written; /* nowhere left to complain */
}
