/* The application on the host: its HAL, played by whoever writes commands to standard input.
 *
 * One command a line, one answer a line. Bytes travel as hexadecimal.
 *
 *     boot BUS ADC BAUD         start (once); BUS and ADC 0 or 1; BAUD: what the line makes
 *     time US                   move the clock
 *     tick                      system tick interrupt
 *     line NUMBER 0|1|2|3       level of a data-ready line; an edge with 1, 2: high without one,
 *                               3: an edge, but low again
 *     rx HEX                    bytes from the host
 *     adc TEMPERATURE VREFINT   end of a series
 *     sent                      the block in transmission has left; answers the next one's bytes, or -
 *     finish STATUS [HEX]       end of the transfer under way (enum transfer_status); HEX: what was read
 *     spi finish STATUS [HEX], spi refuse 0|1    the same on SPI
 *     stuck 0|1                 SDA held low
 *     refuse 0|1                transfers cannot be started
 *     uart OVERRUN FRAMING NOISE  set the error counters
 *     flash PATH                before boot: the configuration slots are in this file
 *     i2c NACK BUS TIMEOUT RECOVERIES  likewise
 *     fault BOOT_ID             keep a crash record of that boot (not 0)
 *     nothing                   just the state
 *
 * Every command ends with the main loop running until no event is left, and answers
 *     BLOCK TRANSFER SPI ADC RESET FEEDS BAUD
 * BLOCK: bytes handed to the UART and not yet `sent`, or -.  TRANSFER: r:ADDRESS:REG:SIZE, w:ADDRESS:REG:HEX
 * or -; on I2C, on SPI. ADC: 1 while a series is under way.  RESET: 1 after hal_system_reset().  FEEDS: of
 * the watchdog. BAUD: of the line, as booted or as switched to.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/application.h"
#include "app/version.h"
#include "hal/adc.h"
#include "hal/data_ready.h"
#include "hal/fault.h"
#include "hal/i2c.h"
#include "hal/image.h"
#include "hal/irq.h"
#include "hal/noinit.h"
#include "hal/nvstore.h"
#include "hal/spi.h"
#include "hal/system.h"
#include "hal/time.h"
#include "hal/uart.h"
#include "hal/watchdog.h"
#include "lib/check.h"

const char hal_image_board[] = "host", image_device_id[1], image_end[1];
const char firmware_version[] = "1.2.3";
const char firmware_revision[] = "0123456789ab";

enum { I2C, SPI, BUSES };

static struct {
    uint64_t now_us;
    uint32_t events;
    bool bus;
    bool adc;
    bool stuck;
    bool refuse[BUSES];
    uint32_t baud;
    volatile uint8_t *ring;
    size_t ring_size;
    uint32_t received;
    bool lines[HAL_DATA_READY_LINES];
    uint32_t edges[HAL_DATA_READY_LINES];
    uint32_t edge_wanted[HAL_DATA_READY_LINES];
    const uint8_t *block;
    size_t block_size;
    uint64_t block_started_us;
    const struct transfer *transfer[BUSES];
    uint64_t transfer_started_us[BUSES];
    struct hal_i2c_errors bus_errors;
    struct hal_spi_errors spi_errors;
    struct hal_uart_errors uart_errors;
    bool converting;
    bool reset;
    unsigned feeds;
    unsigned masked;
    struct hal_noinit noinit;
    bool flash_made;
    uint32_t flash[HAL_NVSTORE_SLOTS][HAL_NVSTORE_WORDS];
    char flash_path[1024];
    struct hal_fault fault;
} board;

/* ---- the HAL */

_Noreturn void assert_failed(void)
{
    fprintf(stderr, "assert failed, called from %p\n", __builtin_return_address(0));
    abort();
}

uint32_t hal_irq_save(void)
{
    return board.masked++;
}
void hal_irq_restore(uint32_t state)
{
    if (state != --board.masked) {
        assert_failed(); /* not nested properly */
    }
}
void hal_post(uint32_t events)
{
    board.events |= events;
}
uint32_t hal_wait(void)
{
    abort();
}
uint32_t hal_cycles_asleep(void)
{
    return (uint32_t)(board.now_us * 96u * 3u / 4u);
} /* three quarters asleep */

void hal_time_start(void) {}
uint64_t hal_time_us(void)
{
    return board.now_us;
}

static struct hal_system chip = {.board = "host",
                                 .clock_hz = 96000000u,
                                 .tx_dma = true,
                                 .reset_cause = HAL_RESET_POWER_ON,
                                 .uid = "unique-id-12"};
void hal_system_start(void) {}
const struct hal_system *hal_system(void)
{
    return &chip;
}
static void show(void);
_Noreturn void hal_system_reset(void)
{
    board.reset = true;
    show();
    exit(0);
}
_Noreturn void hal_system_enter_bootloader(void)
{
    assert_failed(); /* this board has none */
}
uint32_t hal_system_ram_hash(void)
{
    return 0x12345678;
}
size_t hal_system_stack_free(void)
{
    return 1000;
}
struct hal_noinit *hal_noinit(void)
{
    return &board.noinit;
}
uint32_t hal_noinit_seed(void)
{
    return 7;
}

void hal_watchdog_start(void) {}
void hal_watchdog_feed(void)
{
    board.feeds++;
}

void hal_fault_start(uint32_t boot_id)
{
    (void)boot_id;
}
const struct hal_fault *hal_fault_record(void)
{
    return board.fault.boot_id != 0 ? &board.fault : NULL;
}
void hal_fault_forget(void)
{
    board.fault.boot_id = 0;
}
bool hal_fault_is_fresh(void)
{
    return false;
}

uint32_t hal_uart_open(uint32_t baud, volatile uint8_t *ring, size_t size)
{
    board.ring = ring;
    board.ring_size = size;
    return board.baud != 0 ? board.baud : baud;
}
uint32_t hal_uart_actual(uint32_t baud)
{
    return baud % 7u != 0 ? baud : 0; /* one in seven cannot be made */
}
void hal_uart_set_baud(uint32_t baud)
{
    uint64_t passed = (board.now_us - board.block_started_us) * board.baud; /* bits, in 1/1,000,000 */
    if (board.block != NULL && passed < board.block_size * 10000000u) {
        assert_failed(); /* not drained, though nothing holds it up */
    }
    board.baud = baud;
}
uint32_t hal_uart_received(void)
{
    return board.received;
}
uint32_t hal_uart_baud_max(void)
{
    return 3000000u;
}
void hal_uart_send(const uint8_t *data, size_t n)
{
    if (board.block != NULL || n == 0) {
        assert_failed();
    }
    board.block = data;
    board.block_size = n;
    board.block_started_us = board.now_us;
}
bool hal_uart_drained(void)
{
    return board.block == NULL;
}
struct hal_uart_errors hal_uart_errors(void)
{
    return board.uart_errors;
}

bool hal_i2c_open(void)
{
    return board.bus;
}
static bool start(unsigned bus, const struct transfer *transfer)
{
    if (board.transfer[bus] != NULL || board.refuse[bus]) {
        return false;
    }
    board.transfer[bus] = transfer;
    board.transfer_started_us[bus] = board.now_us;
    return true;
}
static void finish(unsigned bus, enum transfer_status status)
{
    const struct transfer *transfer = board.transfer[bus];
    board.transfer[bus] = NULL;
    if (bus == SPI) {
        board.spi_errors.timeout += status == TRANSFER_TIMEOUT;
    } else {
        board.bus_errors.nack += status == TRANSFER_NACK && !transfer->probe;
        board.bus_errors.bus += status == TRANSFER_ARBITRATION;
        board.bus_errors.timeout += status == TRANSFER_TIMEOUT;
    }
    transfer->done(transfer->context, status);
}
static void poll_bus(unsigned bus, uint64_t now_us)
{
    if (board.transfer[bus] != NULL && now_us > board.transfer_started_us[bus] + 10000u) {
        finish(bus, TRANSFER_TIMEOUT);
    }
}
bool hal_i2c_start(const struct transfer *transfer)
{
    return start(I2C, transfer);
}
void hal_i2c_poll(uint64_t now_us)
{
    poll_bus(I2C, now_us);
}
bool hal_i2c_recover(void)
{
    if (board.transfer[I2C] != NULL) {
        assert_failed();
    }
    return !board.stuck;
}
uint32_t hal_i2c_rate(void)
{
    return 400000u;
}
struct hal_i2c_errors hal_i2c_errors(void)
{
    return board.bus_errors;
}

bool hal_spi_open(void)
{
    return board.bus;
}
bool hal_spi_start(const struct transfer *transfer)
{
    return start(SPI, transfer);
}
void hal_spi_poll(uint64_t now_us)
{
    poll_bus(SPI, now_us);
}
uint32_t hal_spi_rate(void)
{
    return 6000000u;
}
struct hal_spi_errors hal_spi_errors(void)
{
    return board.spi_errors;
}

void hal_data_ready_open(enum hal_data_ready line)
{
    (void)line;
}
uint32_t hal_data_ready_edges(enum hal_data_ready line)
{
    return board.edges[line];
}
void hal_data_ready_skip(enum hal_data_ready line, uint32_t n)
{
    board.edge_wanted[line] = board.edges[line] + n + 1u;
}
bool hal_data_ready_level(enum hal_data_ready line)
{
    return board.lines[line];
}
const char *hal_data_ready_pin(enum hal_data_ready line)
{
    (void)line;
    return "PB0";
}

bool hal_adc_open(void)
{
    return board.adc;
}
bool hal_adc_start(void)
{
    bool start = !board.converting;
    board.converting = true;
    return start;
}
struct hal_adc_calibration hal_adc_calibration(void)
{
    return (struct hal_adc_calibration){.vrefint = 1500, .temp_30 = 950, .temp_110 = 1200, .factory = true};
}
uint32_t hal_adc_noise(uint32_t seed)
{
    return seed + 1u;
}

static void flash_file(const char *mode)
{
    FILE *file = board.flash_path[0] != '\0' ? fopen(board.flash_path, mode) : NULL;
    if (file != NULL) {
        size_t n = mode[0] == 'r' ? fread(board.flash, sizeof board.flash, 1, file)
                                  : fwrite(board.flash, sizeof board.flash, 1, file);
        if (n != 1 || fclose(file) != 0) {
            abort();
        }
    }
}
bool hal_nvstore_open(void)
{
    if (!board.flash_made) {
        memset(board.flash, 0xFF, sizeof board.flash);
        flash_file("rb");
        board.flash_made = true;
    }
    return true;
}
const uint32_t *hal_nvstore_read(uint32_t slot)
{
    return board.flash[slot];
}
bool hal_nvstore_program(uint32_t slot, uint32_t word, uint32_t value)
{
    board.flash[slot][word] &= value;
    flash_file("wb");
    return board.flash[slot][word] == value;
}
bool hal_nvstore_erase(uint32_t slot)
{
    memset(board.flash[slot], 0xFF, sizeof board.flash[slot]);
    flash_file("wb");
    return true;
}
uint32_t hal_nvstore_stall_us(void)
{
    return 123;
}
void hal_nvstore_clear_stall(void) {}

/* ---- commands */

static void show_transfer(const struct transfer *transfer)
{
    if (transfer == NULL) {
        printf(" -");
    } else if (transfer->read) {
        printf(" r:%u:%u:%u", transfer->address, transfer->reg, transfer->size);
    } else {
        printf(" w:%u:%u:", transfer->address, transfer->reg);
        for (unsigned i = 0; i < transfer->size; i++) {
            printf("%02x", transfer->data[i]);
        }
    }
}

static void show(void)
{
    if (board.block == NULL) {
        printf("-");
    }
    for (size_t i = 0; i < board.block_size; i++) {
        printf("%02x", board.block[i]);
    }
    show_transfer(board.transfer[I2C]);
    show_transfer(board.transfer[SPI]);
    printf(" %d %d %u %u\n", board.converting, board.reset, board.feeds, board.baud);
    fflush(stdout);
}

static unsigned nibble(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

static size_t parse_hex(const char *text, uint8_t *out, size_t room)
{
    size_t n = 0;
    for (; n < room && text[2 * n] > ' '; n++) {
        out[n] = (uint8_t)(nibble(text[2 * n]) << 4 | nibble(text[2 * n + 1]));
    }
    return n;
}

static void boot(void)
{
    application_start_system();
    application_start_identity();
    application_start_line();
    application_start_sensors();
    application_announce();
}

static void sent(void)
{
    board.block = NULL;
    board.block_size = 0;
    hal_uart_on_sent();
    if (board.block == NULL) {
        hal_uart_on_drained();
    }
}

static void run_main_loop(void)
{
    while (board.events != 0) {
        uint32_t events = board.events;
        board.events = 0;
        application_handle(events);
    }
}

static void finish_read(unsigned bus, unsigned status, const char *hex)
{
    static uint8_t bytes[65536];
    const struct transfer *transfer = board.transfer[bus];
    if (transfer->read && status == TRANSFER_OK) {
        size_t n = parse_hex(hex, bytes, sizeof bytes);
        if (n != transfer->size) {
            fprintf(stderr, "finish with %zu bytes, %u wanted\n", n, transfer->size);
            exit(2);
        }
        memcpy(transfer->data, bytes, n);
    }
    finish(bus, (enum transfer_status)status);
}

static void execute(const char *line)
{
    static uint8_t bytes[65536];
    unsigned a;
    unsigned b;
    unsigned c;
    unsigned d;
    unsigned long long us;
    int at = 0;
    unsigned bus = strncmp(line, "spi ", 4) == 0 ? SPI : I2C;
    line += bus == SPI ? 4 : 0;
    if (sscanf(line, "boot %u %u %u", &a, &b, &c) == 3) {
        board.baud = c;
        board.bus = a != 0;
        board.adc = b != 0;
        boot();
    } else if (sscanf(line, "time %llu", &us) == 1) {
        board.now_us = us;
    } else if (strncmp(line, "tick", 4) == 0) {
        hal_post(HAL_EVENT_TICK);
        hal_time_on_tick(board.now_us);
    } else if (sscanf(line, "line %u %u", &a, &b) == 2) {
        board.lines[a] = b == 1 || b == 2;
        if ((b == 1 || b == 3) && (int32_t)(++board.edges[a] - board.edge_wanted[a]) >= 0) {
            hal_data_ready_on_edge((enum hal_data_ready)a, board.now_us, board.edges[a]);
        }
    } else if (strncmp(line, "rx ", 3) == 0) {
        size_t n = parse_hex(line + 3, bytes, sizeof bytes);
        for (size_t i = 0; i < n; i++) {
            board.ring[board.received++ % board.ring_size] = bytes[i];
            if (board.received % (board.ring_size / 2u) == 0 || i + 1u == n) {
                hal_uart_on_received(board.received, (uint32_t)board.now_us);
                run_main_loop();
            }
        }
    } else if (sscanf(line, "adc %u %u", &a, &b) == 2) {
        board.converting = false;
        hal_adc_on_reading((struct hal_adc_reading){.temperature = (uint16_t)a, .vrefint = (uint16_t)b});
    } else if (strncmp(line, "sent", 4) == 0) {
        sent();
    } else if (sscanf(line, "finish %u %n", &a, &at) == 1) {
        finish_read(bus, a, line + at);
    } else if (sscanf(line, "flash %1023s", board.flash_path) == 1) {
        board.flash_made = false;
    } else if (sscanf(line, "stuck %u", &a) == 1) {
        board.stuck = a != 0;
    } else if (sscanf(line, "refuse %u", &a) == 1) {
        board.refuse[bus] = a != 0;
    } else if (sscanf(line, "uart %u %u %u", &a, &b, &c) == 3) {
        board.uart_errors = (struct hal_uart_errors){.overrun = a, .framing = b, .noise = c};
    } else if (sscanf(line, "i2c %u %u %u %u", &a, &b, &c, &d) == 4) {
        board.bus_errors = (struct hal_i2c_errors){.nack = a, .bus = b, .timeout = c, .recoveries = d};
    } else if (sscanf(line, "fault %u", &a) == 1) {
        board.fault = (struct hal_fault){.boot_id = a, .cause = 3, .pc = 0x08004242};
    } else if (strncmp(line, "nothing", 7) != 0) {
        fprintf(stderr, "no such command: %s", line);
        exit(2);
    }
}

int main(void)
{
    static char line[131072];
    while (fgets(line, sizeof line, stdin) != NULL) {
        execute(line);
        run_main_loop();
        if (board.masked != 0) {
            assert_failed(); /* interrupts left masked */
        }
        show();
    }
    return 0;
}
