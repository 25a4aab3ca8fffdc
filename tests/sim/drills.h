/* drills.h - small tests of single parts, for mistakes that whole seeds meet too seldom. Each runs in the process of a
 * seed. Fails: fault(). */
#ifndef HG_SIM_DRILLS_H
#define HG_SIM_DRILLS_H

/* The wheel against a list: what is due comes at its second, across the boundaries of every level. */
void drill_wheel(void);
/* A log with many groups, damaged one place at a time: every start on it must be refused. */
void drill_damage(void);
/* A first start that is killed, a second one, a power cut: what a dead process left in a cache must not be built upon. */
void drill_first(void);

#endif
