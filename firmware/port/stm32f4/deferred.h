/* What priority 0 has stamped and leaves to PendSV, which has the priority of the sensor buses. */
#ifndef PORT_DEFERRED_H
#define PORT_DEFERRED_H

#include "registers.h"

static inline void deferred_pend(void)
{
    SCB->ICSR = SCB_ICSR_PENDSVSET;
}

/* Called by PendSV; each hands on what has come since the last time. */
void data_ready_deliver(void);
void time_deliver(void);

#endif
