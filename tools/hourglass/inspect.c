/* inspect.c - `hourglass inspect`: the second decoder lives in persist/, beside the format it checks. */
#include "persist/inspect.h"

#include "tools/hourglass/commands.h"

int run_inspect(struct cli *c)
{
    struct inspect_options options = {.find = cli_option(c, "find"),
                                      .records = cli_option(c, "records") != NULL,
                                      .repair = cli_option(c, "repair") != NULL};
    return inspect_file(c->argv[0], &options, stdout);
}
