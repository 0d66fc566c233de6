/* What the port and the linker know of the image; app/image.c puts it where flashing tools look. */
#ifndef HAL_IMAGE_H
#define HAL_IMAGE_H

extern const char hal_image_board[]; /* name */

/* Symbols of the linker: their addresses are what they mean. */
extern const char image_device_id[]; /* DEV_ID of DBGMCU_IDCODE of the chip this is linked for */
extern const char image_end[];       /* first address in flash that is not the image's */

#endif
