/* inspect.c - `hourglass inspect`: the second decoder lives in persist/, beside the format it checks. */
#include "persist/inspect.h"

#include <errno.h>
#include <sys/stat.h>

#include "tools/hourglass/commands.h"

int run_inspect(struct cli *c)
{
    struct inspect_options options = {.find = cli_option(c, "find"),
                                      .records = cli_option(c, "records") != NULL,
                                      .repair = cli_option(c, "repair") != NULL};
    struct stat st;
    if (stat(c->argv[0], &st) != 0) die(EXIT_FAILED, "%s: %s", c->argv[0], strerror(errno));
    if (S_ISDIR(st.st_mode)) die(EXIT_FAILED, "%s: is a directory; name one of its files", c->argv[0]);
    return inspect_file(c->argv[0], &options, stdout);
}
