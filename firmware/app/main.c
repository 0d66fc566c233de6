/* Table of contents. Each line is explained where it is declared. */
#include "app/application.h"
#include "hal/irq.h"

int main(void)
{
    application_start_system();
    application_start_identity();
    application_start_line();
    application_start_sensors();
    application_announce();
    for (;;) {
        application_handle(hal_wait());
    }
}
