/* The MCU's own temperature and supply, as a sensor with one stream: started by the system tick, 10 Hz.
 *
 * Raw value: the sum of 16 codes, brought to VDDA = 3.3 V by the reference (RM0383 11.9, 11.10;
 * DS10314 6.3.21): raw = sum(temperature) * VREFINT_CAL * 16 / sum(vrefint)
 */
#ifndef APP_MCU_TEMP_H
#define APP_MCU_TEMP_H

#include "drivers/sensor.h"
#include "hal/adc.h"

struct mcu_temp {
    struct sensor sensor; /* first */
    struct sensor_stream stream;
    struct sensor_field field;
    struct hal_adc_calibration calibration;
    volatile bool available;
    volatile uint32_t period_ticks; /* 1 ... MCU_TEMP_TICKS_MAX */
    uint32_t ticks_left;
    uint32_t missed; /* ticks without a reading that the sink does not know of yet */
    uint64_t started_us;
    volatile bool has_value;
    volatile uint16_t raw;
    volatile uint16_t supply_mv;
};

#define MCU_TEMP_TICKS_MAX 1000u

/* `available`: the ADC is open. */
void mcu_temp_init(struct mcu_temp *mcu, const struct sensor_sink *sink, uint8_t first_stream,
                   bool available);

/* From the system tick's interrupt. */
void mcu_temp_tick(struct mcu_temp *mcu, uint64_t now_us);

/* From the ADC's interrupt. */
void mcu_temp_reading(struct mcu_temp *mcu, struct hal_adc_reading reading);

/* Latest temperature in 1/100 degC; INT16_MIN before the first. */
int16_t mcu_temp_cdegc(const struct mcu_temp *mcu);

#endif
