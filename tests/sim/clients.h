/* clients.h - the two kinds of people outside: senders of events over Forward, and an operator on the admin socket.
 * They are state machines that world_step drives; they never give up on what was not acknowledged.
 * Owner: the process of the seed. */
#ifndef HG_SIM_CLIENTS_H
#define HG_SIM_CLIENTS_H

#include <stdbool.h>
#include <stdint.h>

enum { SENDERS = 3 };
void senders_create(uint32_t events); /* how many they are to make in all */
void senders_machine_died(void);      /* their connections are gone */
void senders_pause(bool paused);      /* nothing new is made; what is open is still sent again */
bool senders_finished(void);          /* everything is made and acknowledged */
uint32_t senders_open(void);

void operator_create(void);
void operator_machine_died(void);
void operator_life_begins(void);
void operator_hold(bool hold); /* no confirmations while held */
void operator_snapshot(void);
bool operator_finished(void); /* everything that was delivered is confirmed */
/* One request; the answer comes later as packed bytes (NULL: the connection was lost). */
void operator_ask(const char *method, void (*answered)(void *self, const uint8_t *p, uint32_t n), void *self);

#endif
