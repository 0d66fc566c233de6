/* The bootloader in the chip's ROM ("system memory"), AN2606. */
#ifndef PORT_BOOTLOADER_H
#define PORT_BOOTLOADER_H

/* Goes there if hal_system_enter_bootloader() asked for it before this reset, else returns. First call of
 * all: the ROM expects the chip as a reset leaves it, so no clock, peripheral or interrupt has been touched;
 * RAM above .noinit has not been either. */
void bootloader_enter_if_asked(void);

/* Takes clocks and peripherals back to what a reset leaves, before anything is set up: the ROM starts the
 * firmware (command Go) with its own clock and UART still in use (AN3155 3.5). */
void bootloader_clean_up(void);

#endif
