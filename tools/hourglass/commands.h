/* commands.h - one function per subcommand; main.c's table names them. Each returns the exit code. */
#ifndef HG_TOOLS_COMMANDS_H
#define HG_TOOLS_COMMANDS_H

#include "tools/hourglass/cli.h"

/* definitions.c - no server */
int run_check(struct cli *c);
/* simulate.c - no server */
int run_simulate(struct cli *c);
int run_test(struct cli *c);
int run_inspect(struct cli *c);
/* graph.c, map.c - no server */
int run_graph(struct cli *c);
int run_schema(struct cli *c);
int run_map(struct cli *c);
/* ingest.c */
int run_ingest(struct cli *c);
/* questions.c, live.c */
int run_stats(struct cli *c);
int run_top(struct cli *c);
int run_profile(struct cli *c);
extern const struct word SEGMENT_WORDS[], JOURNEY_WORDS[];
int run_count(struct cli *c);
extern const struct word TAIL_WORDS[];
int run_health(struct cli *c);
/* explain.c, preview.c */
int run_why(struct cli *c);
int segment_explain(struct cli *c); /* of SEGMENT_WORDS */
int run_preview(struct cli *c);
int run_send_test(struct cli *c);
/* control.c */
int run_call(struct cli *c);
int run_snapshot(struct cli *c);
int run_backup(struct cli *c);
int run_apply(struct cli *c);
/* versions.c */
extern const struct word DEFINITIONS_WORDS[];
int print_applied(struct slice reply,
                  const char *former); /* former: the version whose text it was; NULL: none */
/* restore.c - no server */
int run_restore(struct cli *c);
/* completion.c */
extern const struct word COMPLETION_WORDS[];
/* main.c */
int run_version(struct cli *c);

#endif
