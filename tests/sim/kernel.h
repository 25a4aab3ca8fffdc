/* kernel.h - what the daemon asks of the operating system, answered by the simulated world (the linker puts these in the
 * place of the real calls: CMakeLists.txt). The whole of io/ runs, from main on.
 * Owner: the process of the seed. */
#ifndef HG_SIM_KERNEL_H
#define HG_SIM_KERNEL_H

#include "io/engine.h"

enum node_state { NODE_OFF, NODE_STARTING, NODE_RECOVERED, NODE_SERVING, NODE_ENDED };

/* Starts hourglassd with these arguments in a thread of the simulated machine. */
void node_start(int argc, char **argv);
void node_signal(int number); /* TERM, HUP */
void node_power_cut(void);
void node_kill(void);
enum node_state node_state(void);
int node_exit_code(void);         /* NODE_ENDED */
struct engine *node_engine(void); /* from NODE_RECOVERED on */
const char *node_last_log(void);
/* Notes to these workers (a bit each) lie still for so long; what they are about goes on. */
void node_hold_mail(uint64_t us, uint32_t readers);
extern bool node_slow_snapshots; /* events come between two slices */
/* The definitions directory: texts of files, NULL-terminated pairs. */
extern const char *node_definitions;
/* Called when recovery is over and nothing runs yet. */
extern void (*node_recovered)(struct engine *e);

#endif
