#include "io/memory.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

uint64_t memory_resident(void)
{
    char text[128] = ""; /* pages: all, resident, ... */
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    char *at = text;
    if (read(fd, text, sizeof text - 1) > 0) strtoull(text, &at, 10);
    close(fd);
    return strtoull(at, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}
