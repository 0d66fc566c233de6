/* Fuzz target: the whole application against a host and sensors that do anything. Each input is one boot:
 *
 *     0 COMMAND SIZE ARGS   a well-framed COMMAND with the next request id      4 STATUS PATTERN  end of the
 * transfer under way 1 SIZE BYTES          bytes on the line as they are                       5 TEMPERATURE
 * end of an ADC series 2 N                   N ticks of 10 ms, each transfer and block done      6 the block
 * in transmission has left 3 N                   N data-ready edges, 1 ms apart                      7 STUCK
 * the bus is held, or free again
 *
 * An odd N of 3, an odd STATUS / 4: on SPI, else on I2C.
 *
 * Asserts and sanitizers apart: every frame that is sent is whole, and a request is answered at most once,
 * and only if it was made; when no other bytes came in between, exactly once.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

/* The harness shows the board's state after each command, and ends with a reset: neither is for here. */
static jmp_buf after_reset;
#define main           harness_main
#define printf(...)    ((void)0)
#define fflush(stream) ((void)0)
#define exit(code)     longjmp(after_reset, 1)
#include "harness/board.c"
#undef exit

#include "tp_frame.h"
#include "tp_messages.h"

#define REQUESTS 512u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    struct tp_decoder line;
    uint16_t requests;
    uint8_t answers[REQUESTS];
    uint8_t sequence;
    bool raw_bytes; /* came in: they may have damaged a command */
} host;

struct reader {
    const uint8_t *data;
    size_t left;
};

static void demand(bool condition)
{
    if (!condition) {
        abort();
    }
}

static uint8_t next(struct reader *input)
{
    if (input->left == 0) {
        return 0;
    }
    input->left--;
    return *input->data++;
}

static void command(const char *line)
{
    execute(line);
    run_main_loop();
    demand(board.masked == 0);
}

static void receive(const uint8_t *bytes, size_t n)
{
    static char line[3 + 2 * 600 + 2];
    static const char digits[] = "0123456789abcdef";
    size_t at = 3;
    memcpy(line, "rx ", 3);
    for (size_t i = 0; i < n; i++) {
        line[at++] = digits[bytes[i] >> 4];
        line[at++] = digits[bytes[i] & 15u];
    }
    line[at++] = '\n';
    line[at] = '\0';
    command(line);
}

static void take_answer(const struct tp_decoder *frame)
{
    struct tp_response response;
    demand(tp_response_read(&response, frame->payload, frame->payload_size));
    if (!host.raw_bytes) {
        demand(response.request < host.requests);
        demand(++host.answers[response.request] == 1);
    }
}

/* The line carries the block in transmission away. */
static void send_block(void)
{
    if (board.block == NULL) {
        return;
    }
    for (size_t i = 0; i < board.block_size; i++) {
        enum tp_verdict verdict = tp_decoder_push(&host.line, board.block[i]);
        demand(verdict == TP_NONE || verdict == TP_FRAME);
        if (verdict == TP_FRAME && host.line.type == TP_MESSAGE_RESPONSE) {
            take_answer(&host.line);
        }
    }
    command("sent\n");
}

static void end_transfer(unsigned bus, unsigned status, uint8_t pattern)
{
    static char line[24 + 2 * 4096];
    const struct transfer *transfer = board.transfer[bus];
    if (transfer == NULL) {
        return;
    }
    int at = snprintf(line, sizeof line, "%sfinish %u ", bus == SPI ? "spi " : "", status % 4u);
    for (unsigned i = 0; transfer->read && i < transfer->size; i++) {
        at += snprintf(line + at, sizeof line - (size_t)at, "%02x", (uint8_t)(pattern + i * (pattern >> 4)));
    }
    command(line);
}

static void pass(unsigned ticks, uint8_t pattern)
{
    for (unsigned i = 0; i < ticks; i++) {
        board.now_us += HAL_TICK_US;
        command("tick\n");
        for (unsigned k = 0; k < 8; k++) {
            end_transfer(I2C, TRANSFER_OK, pattern);
            end_transfer(SPI, TRANSFER_OK, pattern);
            send_block();
        }
        if (board.converting) {
            command("adc 15200 24000\n");
        }
    }
}

static void ask(struct reader *input)
{
    uint8_t args[256];
    struct tp_command message = {.request = host.requests, .command = next(input)};
    message.args.data = args;
    message.args.size = next(input);
    for (size_t i = 0; i < message.args.size; i++) {
        args[i] = next(input);
    }
    uint8_t payload[300];
    uint8_t frame[TP_ENCODED_MAX];
    size_t n = tp_command_write(payload, sizeof payload, &message);
    n = tp_frame_encode(frame, sizeof frame, TP_MESSAGE_COMMAND, host.sequence++, payload, n);
    demand(n != 0);
    if (host.requests < REQUESTS) {
        host.requests++;
        receive(frame, n);
        pass(1, 0); /* a host that waits for its answer: the board's receive ring never overflows */
    }
}

static void step(struct reader *input)
{
    uint8_t bytes[256];
    char line[64];
    unsigned n;
    switch (next(input) % 8u) {
    case 0:
        ask(input);
        break;
    case 1:
        n = next(input);
        for (unsigned i = 0; i < n; i++) {
            bytes[i] = next(input);
        }
        host.raw_bytes = true;
        receive(bytes, n);
        break;
    case 2:
        n = next(input);
        pass(n, next(input));
        break;
    case 3:
        n = next(input);
        (void)snprintf(line, sizeof line, "line %u 1\n", n & 1u);
        for (; n != 0; n--) {
            board.now_us += 1000;
            command(line);
        }
        break;
    case 4:
        n = next(input);
        end_transfer(n / 4u % BUSES, n, next(input));
        break;
    case 5:
        if (board.converting) {
            n = next(input) * 200u;
            (void)snprintf(line, sizeof line, "adc %u %u\n", n, 24000u - n / 4u);
            command(line);
        }
        break;
    case 6:
        send_block();
        break;
    default:
        command((next(input) & 1u) != 0 ? "stuck 1\n" : "stuck 0\n");
        break;
    }
}

#ifdef __clang__
/* sections.h has put every variable of the application and of this file here: as after a reset. */
extern char __start_app_bss[], __stop_app_bss[], __start_app_data[], __stop_app_data[];

static void fresh_memory(void)
{
    static char *initial __attribute__((section("fuzzer"))) = NULL;
    size_t n = (size_t)(__stop_app_data - __start_app_data);
    if (initial == NULL) {
        initial = malloc(n);
        demand(initial != NULL);
        memcpy(initial, __start_app_data, n);
    }
    memcpy(__start_app_data, initial, n);
    memset(__start_app_bss, 0, (size_t)(__stop_app_bss - __start_app_bss));
}
#else
static void fresh_memory(void)
{
    static bool used; /* gcc's build replays one input a process */
    demand(!used);
    used = true;
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader input = {data, size};
    fresh_memory();
    tp_decoder_init(&host.line);
    if (setjmp(after_reset) != 0) {
        return 0;
    }
    command("boot 1 1 0\n");
    while (input.left != 0) {
        step(&input);
    }
    command("stuck 0\n");
    pass(1500, 0); /* long enough for everything that is still owed */
    for (unsigned i = 0; i < host.requests && !host.raw_bytes; i++) {
        demand(host.answers[i] == 1);
    }
    return 0;
}
