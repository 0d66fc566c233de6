/* The two internal channels of the ADC: die temperature and the reference that tells the supply. */
#ifndef HAL_ADC_H
#define HAL_ADC_H

#include <stdbool.h>
#include <stdint.h>

#define HAL_ADC_OVERSAMPLING 16u

/* Factory calibration, 12-bit codes at VDDA = 3.3 V. */
struct hal_adc_calibration {
    uint16_t vrefint;  /* reference */
    uint16_t temp_30;  /* temperature sensor at 30 degC */
    uint16_t temp_110; /* temperature sensor at 110 degC */
    bool factory;      /* false: typical values of the datasheet */
};

/* Sums of HAL_ADC_OVERSAMPLING codes each. */
struct hal_adc_reading {
    uint16_t temperature;
    uint16_t vrefint;
};

/* Switches the ADC on. False where there is none that works. Main loop, once. */
bool hal_adc_open(void) __attribute__((warn_unused_result));

/* Starts one series of both channels; hal_adc_on_reading() follows within a millisecond, or four
 * on a board without PLL. False while one is under way. Any interrupt or the main loop. */
bool hal_adc_start(void) __attribute__((warn_unused_result));

struct hal_adc_calibration hal_adc_calibration(void);

/* Implemented by the application, called by the port from the ADC's interrupt (priority 3). */
void hal_adc_on_reading(struct hal_adc_reading reading);

/* Mixes the noise of the lowest bits of some conversions into a number, for the boot id. Blocks up to 2 ms;
 * before the first hal_adc_start(). Returns `seed` as it is where there is no ADC. */
uint32_t hal_adc_noise(uint32_t seed);

#endif
