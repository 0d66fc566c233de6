/* ADC1: sixteen conversions of the temperature sensor, then sixteen of the reference, one interrupt each.
 *
 *     hal_adc_start -> temperature x 16 -> vrefint x 16 -> hal_adc_on_reading
 *
 * RM0383 11, RM0090 13. Sampling 480 cycles at 21 or 24 MHz = 20 us or more, 120 us at the 4 MHz of a board
 * without PLL; the sensor asks for 10 us (DS10314 table 72).
 */
#include "hal/adc.h"

#include "board.h"
#include "hal/system.h"
#include "nvic.h"
#include "rcc.h"
#include "registers.h"
#include "vectors.h"

#define CHANNEL_TEMPERATURE BOARD_ADC_TEMPERATURE
#define CHANNEL_VREFINT     17u
#define SAMPLE_480          7u
#define NOISE_CONVERSIONS   16u
#define EOC_READS           10000u /* a conversion takes 24 us, or 123 us */

static struct {
    struct hal_adc_reading reading;
    volatile uint8_t left; /* conversions of this series still to come; 0: none under way */
    bool open;
} adc;

bool hal_adc_open(void)
{
    if (hal_system()->emulated) {
        return false;
    }
    rcc_enable(&RCC->APB2ENR, RCC_APB2ENR_ADC1EN);
    ADC_COMMON->CCR = ADC_CCR_TSVREFE | ADC_CCR_ADCPRE_DIV4;
    ADC1->SMPR1 = SAMPLE_480 << 3u * (CHANNEL_TEMPERATURE - 10u) | SAMPLE_480 << 3u * (CHANNEL_VREFINT - 10u);
    ADC1->SQR3 = CHANNEL_TEMPERATURE;
    ADC1->CR2 = ADC_CR2_ADON;
    nvic_enable(IRQ_ADC, PRIORITY_ADC);
    adc.open = true;
    return true;
}

uint32_t hal_adc_noise(uint32_t seed)
{
    if (!adc.open) {
        return seed;
    }
    for (unsigned i = 0; i < NOISE_CONVERSIONS; i++) {
        ADC1->CR2 = ADC_CR2_ADON | ADC_CR2_SWSTART;
        for (uint32_t reads = EOC_READS; reads != 0 && (ADC1->SR & ADC_SR_EOC) == 0; reads--) {
        }
        seed = (seed ^ ADC1->DR) * 16777619u;
    }
    return seed;
}

bool hal_adc_start(void)
{
    if (!adc.open || adc.left != 0) {
        return false;
    }
    adc.reading = (struct hal_adc_reading){0};
    adc.left = 2u * HAL_ADC_OVERSAMPLING;
    ADC1->SQR3 = CHANNEL_TEMPERATURE;
    ADC1->CR1 = ADC_CR1_EOCIE;
    ADC1->CR2 = ADC_CR2_ADON | ADC_CR2_SWSTART;
    return true;
}

void adc_isr(void)
{
    uint16_t code = (uint16_t)ADC1->DR; /* clears EOC */
    if (adc.left == 0) {
        return;
    }
    if (adc.left > HAL_ADC_OVERSAMPLING) {
        adc.reading.temperature = (uint16_t)(adc.reading.temperature + code);
    } else {
        adc.reading.vrefint = (uint16_t)(adc.reading.vrefint + code);
    }
    if (adc.left == 1) {
        struct hal_adc_reading reading = adc.reading;
        ADC1->CR1 = 0;
        adc.left = 0; /* last: from here on the tick, which is more urgent, may start the next series */
        hal_adc_on_reading(reading);
        return;
    }
    adc.left--;
    if (adc.left == HAL_ADC_OVERSAMPLING) {
        ADC1->SQR3 = CHANNEL_VREFINT;
    }
    ADC1->CR2 = ADC_CR2_ADON | ADC_CR2_SWSTART;
}

/* Typical values: V25 0.76 V and 2.5 mV/degC (DS10314 table 72, DS8626 table 71), reference 1.21 V, as codes
 * at 3.3 V. */
static const struct hal_adc_calibration typical = {
    .vrefint = 1502, .temp_30 = 959, .temp_110 = 1207, .factory = false};

struct hal_adc_calibration hal_adc_calibration(void)
{
    if (!adc.open) {
        return typical;
    }
    struct hal_adc_calibration found = {
        .vrefint = *FACTORY_VREFINT_CAL,
        .temp_30 = *FACTORY_TS_CAL1,
        .temp_110 = *FACTORY_TS_CAL2,
        .factory = true,
    };
    /* an erased or absent word is no calibration */
    bool plausible = found.vrefint > 1200u && found.vrefint < 1800u && found.temp_30 > 700u &&
                     found.temp_110 > found.temp_30 + 100u && found.temp_110 < 1600u;
    return plausible ? found : typical;
}
