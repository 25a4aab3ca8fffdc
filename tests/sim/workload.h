/* workload.h - the same few lives of a node each time, for sweeps of faults: a first start, load, snapshots, other
 * definitions, another number of threads, recycled logs; lives end with kill -9, a power cut or a clean stop.
 * Once an operation has failed (sweep.c) the life it failed in goes on as far as it can, one more life recovers, and the
 * oracle says whether anything was lost, doubled or invented.
 * Owner: the process of the run. Fails: fault(). */
#ifndef HG_SIM_WORKLOAD_H
#define HG_SIM_WORKLOAD_H

#include <stdbool.h>

struct workload_fault {
    bool happened; /* the node may end with 74 in this life; the next life is the last */
    bool going_on; /* operations still fail, until nothing moves any more */
    bool cut_now;  /* the power goes before the next step */
    bool cut_then; /* and the machine goes off as well when the node has ended by itself */
    bool ended;    /* the node ended with 74 */
};
extern struct workload_fault workload_fault;

void workload_run(void);

#endif
