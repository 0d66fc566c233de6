/* The registers this port touches, and no others. Names and offsets as in RM0383 (STM32F411) and RM0090
 * (STM32F405); the core's as in PM0214 and the ARMv7-M Architecture Reference Manual. Where the two chips
 * differ it says so.
 */
#ifndef PORT_REGISTERS_H
#define PORT_REGISTERS_H

#include <stddef.h>
#include <stdint.h>

#define BIT(n) (1u << (n))

/* ---- reset and clock control, RM0383 6.3 / RM0090 7.3 */
struct rcc {
    volatile uint32_t CR, PLLCFGR, CFGR, CIR, AHB1RSTR, AHB2RSTR, AHB3RSTR, reserved0, APB1RSTR, APB2RSTR,
        reserved1[2];
    volatile uint32_t AHB1ENR, AHB2ENR, AHB3ENR, reserved2, APB1ENR, APB2ENR, reserved3[2];
    volatile uint32_t AHB1LPENR, AHB2LPENR, AHB3LPENR, reserved4, APB1LPENR, APB2LPENR, reserved5[2], BDCR,
        CSR;
};
#define RCC                  ((struct rcc *)0x40023800u)
#define RCC_CR_HSION         BIT(0)
#define RCC_CR_HSIRDY        BIT(1)
#define RCC_CR_HSEON         BIT(16)
#define RCC_CR_HSERDY        BIT(17)
#define RCC_CR_HSEBYP        BIT(18)
#define RCC_CR_PLLON         BIT(24)
#define RCC_CR_PLLRDY        BIT(25)
#define RCC_PLLCFGR_PLLSRC   BIT(22)
#define RCC_CFGR_SW_PLL      (2u << 0)
#define RCC_CFGR_SWS         (3u << 2)
#define RCC_CFGR_SWS_PLL     (2u << 2)
#define RCC_CFGR_PPRE1_Pos   10u
#define RCC_CFGR_PPRE2_Pos   13u
#define RCC_CFGR_PPRE_DIV1   0u
#define RCC_CFGR_PPRE_DIV2   4u
#define RCC_CFGR_PPRE_DIV4   5u
#define RCC_AHB1ENR_DMA1EN   BIT(21)
#define RCC_AHB1ENR_DMA2EN   BIT(22)
#define RCC_APB1RSTR_SPI2RST BIT(14)
#define RCC_APB2RSTR_SPI1RST BIT(12)
#define RCC_APB1ENR_SPI2EN   BIT(14)
#define RCC_APB1ENR_USART2EN BIT(17)
#define RCC_APB1ENR_I2C1EN   BIT(21)
#define RCC_APB1ENR_PWREN    BIT(28)
#define RCC_APB2ENR_USART1EN BIT(4)
#define RCC_APB2ENR_USART6EN BIT(5)
#define RCC_APB2ENR_ADC1EN   BIT(8)
#define RCC_APB2ENR_SPI1EN   BIT(12)
#define RCC_APB2ENR_SYSCFGEN BIT(14)
#define RCC_CSR_RMVF         BIT(24)
#define RCC_CSR_BORRSTF      BIT(25)
#define RCC_CSR_PINRSTF      BIT(26)
#define RCC_CSR_PORRSTF      BIT(27)
#define RCC_CSR_SFTRSTF      BIT(28)
#define RCC_CSR_IWDGRSTF     BIT(29)
#define RCC_CSR_WWDGRSTF     BIT(30)
#define RCC_CSR_LPWRRSTF     BIT(31)

/* ---- power, RM0383 5.4 / RM0090 5.4. VOS: two bits on the F411, on the F405 only the lower one */
struct pwr {
    volatile uint32_t CR, CSR;
};
#define PWR            ((struct pwr *)0x40007000u)
#define PWR_CR_VOS     (3u << 14)
#define PWR_CR_VOS_0   BIT(14)
#define PWR_CSR_VOSRDY BIT(14)

/* ---- flash interface, RM0383 3.8 / RM0090 3.9 */
struct flash {
    volatile uint32_t ACR, KEYR, OPTKEYR, SR, CR, OPTCR;
};
#define FLASH              ((struct flash *)0x40023C00u)
#define FLASH_ACR_ICEN     BIT(9)
#define FLASH_ACR_DCEN     BIT(10)
#define FLASH_ACR_DCRST    BIT(12)
#define FLASH_KEYR_KEY1    0x45670123u
#define FLASH_KEYR_KEY2    0xCDEF89ABu
#define FLASH_SR_ERRORS    0xF0u /* WRPERR, PGAERR, PGPERR, PGSERR */
#define FLASH_SR_BSY       BIT(16)
#define FLASH_CR_PG        BIT(0)
#define FLASH_CR_SER       BIT(1)
#define FLASH_CR_SNB_Pos   3u
#define FLASH_CR_PSIZE_X32 (2u << 8)
#define FLASH_CR_STRT      BIT(16)
#define FLASH_CR_LOCK      BIT(31)

/* ---- GPIO, RM0383 8.4 / RM0090 8.4 */
struct gpio {
    volatile uint32_t MODER, OTYPER, OSPEEDR, PUPDR, IDR, ODR, BSRR, LCKR, AFRL, AFRH;
};
#define GPIO(port) ((struct gpio *)(0x40020000u + 0x400u * (uint32_t)(port)))

/* ---- system configuration and external interrupts, RM0383 7.2 and 10.3 / RM0090 9.2 and 12.3 */
struct syscfg {
    volatile uint32_t MEMRMP, PMC, EXTICR[4];
};
#define SYSCFG                 ((struct syscfg *)0x40013800u)
#define SYSCFG_MEMRMP_MEM_MODE (3u << 0)
#define SYSCFG_MEMRMP_SYSTEM   (1u << 0)
struct exti {
    volatile uint32_t IMR, EMR, RTSR, FTSR, SWIER, PR;
};
#define EXTI ((struct exti *)0x40013C00u)

/* ---- DMA, RM0383 9.5 / RM0090 10.5 */
struct dma_stream {
    volatile uint32_t CR, NDTR, PAR, M0AR, M1AR, FCR;
};
struct dma {
    volatile uint32_t LISR, HISR, LIFCR, HIFCR;
    struct dma_stream S[8];
};
#define DMA1                       ((struct dma *)0x40026000u)
#define DMA2                       ((struct dma *)0x40026400u)
#define DMA_SxCR_EN                BIT(0)
#define DMA_SxCR_TEIE              BIT(2)
#define DMA_SxCR_HTIE              BIT(3)
#define DMA_SxCR_TCIE              BIT(4)
#define DMA_SxCR_DIR_TO_PERIPHERAL (1u << 6)
#define DMA_SxCR_CIRC              BIT(8)
#define DMA_SxCR_MINC              BIT(10)
#define DMA_SxCR_PL_HIGH           (2u << 16)
#define DMA_SxCR_CHSEL_Pos         25u
/* flags of one stream, before the shift of dma_flag_shift() */
#define DMA_FEIF  BIT(0)
#define DMA_DMEIF BIT(2)
#define DMA_TEIF  BIT(3)
#define DMA_HTIF  BIT(4)
#define DMA_TCIF  BIT(5)
#define DMA_ALL   (DMA_FEIF | DMA_DMEIF | DMA_TEIF | DMA_HTIF | DMA_TCIF)

/* ---- USART, RM0383 19.6 / RM0090 30.6 */
struct usart {
    volatile uint32_t SR, DR, BRR, CR1, CR2, CR3, GTPR;
};
#define USART1           ((struct usart *)0x40011000u)
#define USART2           ((struct usart *)0x40004400u)
#define USART6           ((struct usart *)0x40011400u)
#define USART_SR_FE      BIT(1)
#define USART_SR_NF      BIT(2)
#define USART_SR_ORE     BIT(3)
#define USART_SR_IDLE    BIT(4)
#define USART_SR_RXNE    BIT(5)
#define USART_SR_TC      BIT(6)
#define USART_SR_TXE     BIT(7)
#define USART_CR1_RE     BIT(2)
#define USART_CR1_TE     BIT(3)
#define USART_CR1_IDLEIE BIT(4)
#define USART_CR1_RXNEIE BIT(5)
#define USART_CR1_TCIE   BIT(6)
#define USART_CR1_TXEIE  BIT(7)
#define USART_CR1_UE     BIT(13)
#define USART_CR3_EIE    BIT(0)
#define USART_CR3_DMAR   BIT(6)
#define USART_CR3_DMAT   BIT(7)

/* ---- I2C, RM0383 18.6 / RM0090 27.6 */
struct i2c {
    volatile uint32_t CR1, CR2, OAR1, OAR2, DR, SR1, SR2, CCR, TRISE;
};
#define I2C1            ((struct i2c *)0x40005400u)
#define I2C_CR1_PE      BIT(0)
#define I2C_CR1_START   BIT(8)
#define I2C_CR1_STOP    BIT(9)
#define I2C_CR1_ACK     BIT(10)
#define I2C_CR1_SWRST   BIT(15)
#define I2C_CR2_ITERREN BIT(8)
#define I2C_CR2_ITEVTEN BIT(9)
#define I2C_CR2_ITBUFEN BIT(10)
#define I2C_CR2_DMAEN   BIT(11)
#define I2C_CR2_LAST    BIT(12)
#define I2C_SR1_SB      BIT(0)
#define I2C_SR1_ADDR    BIT(1)
#define I2C_SR1_BTF     BIT(2)
#define I2C_SR1_RXNE    BIT(6)
#define I2C_SR1_BERR    BIT(8)
#define I2C_SR1_ARLO    BIT(9)
#define I2C_SR1_AF      BIT(10)
#define I2C_SR1_OVR     BIT(11)
#define I2C_CCR_FS      BIT(15)

/* ---- SPI, RM0383 20.5 / RM0090 28.5 */
struct spi {
    volatile uint32_t CR1, CR2, SR, DR, CRCPR, RXCRCR, TXCRCR, I2SCFGR, I2SPR;
};
#define SPI1            ((struct spi *)0x40013000u)
#define SPI2            ((struct spi *)0x40003800u)
#define SPI_CR1_CPHA    BIT(0)
#define SPI_CR1_CPOL    BIT(1)
#define SPI_CR1_MSTR    BIT(2)
#define SPI_CR1_BR_Pos  3u
#define SPI_CR1_SPE     BIT(6)
#define SPI_CR1_SSI     BIT(8)
#define SPI_CR1_SSM     BIT(9)
#define SPI_CR2_RXDMAEN BIT(0)
#define SPI_CR2_TXDMAEN BIT(1)
#define SPI_SR_RXNE     BIT(0)

/* ---- ADC, RM0383 11.12 / RM0090 13.13 */
struct adc {
    volatile uint32_t SR, CR1, CR2, SMPR1, SMPR2, JOFR[4], HTR, LTR, SQR1, SQR2, SQR3, JSQR, JDR[4], DR;
};
#define ADC1            ((struct adc *)0x40012000u)
#define ADC_SR_EOC      BIT(1)
#define ADC_CR1_EOCIE   BIT(5)
#define ADC_CR2_ADON    BIT(0)
#define ADC_CR2_SWSTART BIT(30)
struct adc_common {
    volatile uint32_t CSR, CCR;
};
#define ADC_COMMON          ((struct adc_common *)0x40012300u)
#define ADC_CCR_ADCPRE_DIV4 (1u << 16)
#define ADC_CCR_TSVREFE     BIT(23)

/* ---- independent watchdog, RM0383 15.4 / RM0090 21.4 */
struct iwdg {
    volatile uint32_t KR, PR, RLR, SR;
};
#define IWDG           ((struct iwdg *)0x40003000u)
#define IWDG_KR_START  0xCCCCu
#define IWDG_KR_ACCESS 0x5555u
#define IWDG_KR_FEED   0xAAAAu

/* ---- words the factory wrote: RM0383 24.1, datasheets DS10314 table 70 and DS8626 tables 69, 73 */
#define FACTORY_UID         ((const volatile uint32_t *)0x1FFF7A10u)
#define FACTORY_VREFINT_CAL ((const volatile uint16_t *)0x1FFF7A2Au)
#define FACTORY_TS_CAL1     ((const volatile uint16_t *)0x1FFF7A2Cu)
#define FACTORY_TS_CAL2     ((const volatile uint16_t *)0x1FFF7A2Eu)

/* ---- core, PM0214 4 */
struct systick {
    volatile uint32_t CTRL, LOAD, VAL, CALIB;
};
#define SYSTICK                ((struct systick *)0xE000E010u)
#define SYSTICK_CTRL_ENABLE    BIT(0)
#define SYSTICK_CTRL_TICKINT   BIT(1)
#define SYSTICK_CTRL_CLKSOURCE BIT(2)
struct nvic {
    volatile uint32_t ISER[8], reserved0[24], ICER[8], reserved1[24], ISPR[8], reserved2[24], ICPR[8],
        reserved3[24], IABR[8], reserved4[56];
    volatile uint8_t IPR[240];
};
#define NVIC ((struct nvic *)0xE000E100u)
struct scb {
    volatile uint32_t CPUID, ICSR, VTOR, AIRCR, SCR, CCR;
    volatile uint8_t SHPR[12];
    volatile uint32_t SHCSR, CFSR, HFSR, DFSR, MMFAR, BFAR;
};
#define SCB                   ((struct scb *)0xE000ED00u)
#define SCB_ICSR_PENDSTSET    BIT(26)
#define SCB_ICSR_PENDSVSET    BIT(28)
#define SCB_AIRCR_VECTKEY     (0x05FAu << 16)
#define SCB_AIRCR_SYSRESETREQ BIT(2)
#define SCB_CCR_DIV_0_TRP     BIT(4)
#define SCB_SHCSR_MEMFAULTENA BIT(16)
#define SCB_SHCSR_BUSFAULTENA BIT(17)
#define SCB_SHCSR_USGFAULTENA BIT(18)

struct mpu {
    volatile uint32_t TYPE, CTRL, RNR, RBAR, RASR;
};
#define MPU                 ((struct mpu *)0xE000ED90u)
#define MPU_CTRL_ENABLE     BIT(0)
#define MPU_CTRL_PRIVDEFENA BIT(2)
#define MPU_RASR_ENABLE     BIT(0)
#define MPU_RASR_SIZE_Pos   1u
#define MPU_RASR_SRD_Pos    8u
#define MPU_RASR_C          BIT(17)
#define MPU_RASR_S          BIT(18)
#define MPU_RASR_AP_FULL    (3u << 24)
#define MPU_RASR_AP_READ    (6u << 24)
#define MPU_RASR_XN         BIT(28)

/* ---- debug blocks that need no debugger, ARMv7-M Architecture Reference Manual C1.6 and C1.8 */
struct dcb {
    volatile uint32_t DHCSR, DCRSR, DCRDR, DEMCR;
};
#define DCB              ((struct dcb *)0xE000EDF0u)
#define DCB_DEMCR_TRCENA BIT(24)
struct dwt {
    volatile uint32_t CTRL, CYCCNT;
};
#define DWT                ((struct dwt *)0xE0001000u)
#define DWT_CTRL_CYCCNTENA BIT(0)

_Static_assert(offsetof(struct rcc, CSR) == 0x74, "RCC layout");
_Static_assert(offsetof(struct dma, S[1]) == 0x28, "DMA layout");
_Static_assert(offsetof(struct adc, DR) == 0x4C, "ADC layout");
_Static_assert(offsetof(struct nvic, IPR) == 0x300, "NVIC layout");
_Static_assert(offsetof(struct scb, BFAR) == 0x38, "SCB layout");

/* Interrupt numbers this port uses, RM0383 table 37 / RM0090 table 62. */
enum irq {
    IRQ_WWDG = 0,
    IRQ_EXTI0 = 6,
    IRQ_EXTI1 = 7,
    IRQ_EXTI2 = 8,
    IRQ_EXTI3 = 9,
    IRQ_EXTI4 = 10,
    IRQ_DMA1_STREAM0 = 11,
    IRQ_DMA1_STREAM3 = 14,
    IRQ_DMA1_STREAM5 = 16,
    IRQ_DMA1_STREAM6 = 17,
    IRQ_ADC = 18,
    IRQ_EXTI9_5 = 23,
    IRQ_I2C1_EV = 31,
    IRQ_I2C1_ER = 32,
    IRQ_USART1 = 37,
    IRQ_USART2 = 38,
    IRQ_EXTI15_10 = 40,
    IRQ_DMA2_STREAM0 = 56,
    IRQ_DMA2_STREAM1 = 57,
    IRQ_DMA2_STREAM5 = 68,
    IRQ_DMA2_STREAM6 = 69,
    IRQ_DMA2_STREAM7 = 70,
    IRQ_USART6 = 71,
    IRQ_COUNT = 86,
};

#endif
