/* The bus queue on the host, its controller played by whoever writes commands to standard input.
 *
 * One command a line, one answer a line. Transfers are numbered.
 *
 *     init PRESENT RECOVERS   a bus with or without a controller, whose controller can or cannot be recovered
 *     start N                 queue transfer N
 *     again N                 queue transfer N from its own done()
 *     end STATUS              the controller ends the transfer under way
 *     held 0|1                a device holds the bus: recover() fails
 *     refuse 0|1              the controller does not start
 *     recover                 a driver asks
 *     poll
 *
 * The answer: what start() or recover() returned, or -; what is on the bus, or -; what has happened, or
 * nothing: +N started, N=STATUS done, R recover() called.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/bus_queue.h"

#define TRANSFERS 8u

_Noreturn void assert_failed(void)
{
    fprintf(stderr, "assert failed\n");
    abort();
}

static struct bus_queue *queue;
static struct bus bus;
static struct transfer *transfers[TRANSFERS];
static bool again[TRANSFERS];
static const struct transfer *on_bus;
static bool held;
static bool refuse;
static unsigned locked;
static char happened[4096];

static void note(const char *kind, unsigned number, int status)
{
    size_t at = strlen(happened);
    snprintf(happened + at, sizeof happened - at, status < 0 ? " %s%u" : " %s%u=%d", kind, number, status);
}

static bool start(const struct transfer *transfer)
{
    if (on_bus != NULL) {
        assert_failed(); /* one at a time */
    }
    if (refuse) {
        return false;
    }
    on_bus = transfer;
    note("+", transfer->reg, -1);
    return true;
}

static bool recover(void)
{
    if (on_bus != NULL || locked != 0) {
        assert_failed(); /* never under a transfer; takes long: nothing may be masked */
    }
    strcat(happened, " R");
    return !held;
}

static uint32_t lock(void)
{
    return locked++;
}

static void unlock(uint32_t state)
{
    if (state != --locked) {
        assert_failed();
    }
}

static const struct bus_controller controller = {start, recover, lock, unlock};
static const struct bus_controller without_recovery = {start, NULL, lock, unlock};

static void done(void *context, enum transfer_status status)
{
    struct transfer *transfer = context;
    unsigned number = transfer->reg;
    note("", number, (int)status);
    if (again[number]) {
        again[number] = false;
        if (!bus.start(bus.handle, transfer)) {
            assert_failed();
        }
    } else { /* the queue must have let go of it: the sanitizer sees who has not */
        free(transfers[number]);
        transfers[number] = NULL;
    }
}

static int start_transfer(unsigned number)
{
    if (transfers[number] == NULL) {
        transfers[number] = malloc(sizeof *transfers[number]);
        *transfers[number] = (struct transfer){
            .address = 0x42, .reg = (uint8_t)number, .size = 3, .read = true, .data = (uint8_t *)transfers};
        transfers[number]->done = done;
        transfers[number]->context = transfers[number];
    }
    return bus.start(bus.handle, transfers[number]);
}

static void end(unsigned status)
{
    const struct transfer *transfer = on_bus;
    if (transfer->address != 0x42 || transfer->size != 3 || !transfer->read ||
        transfer->data != (uint8_t *)transfers) {
        assert_failed(); /* not what the driver asked for */
    }
    on_bus = NULL;
    transfer->done(transfer->context, (enum transfer_status)status);
}

static int execute(const char *line)
{
    unsigned a;
    unsigned b;
    if (sscanf(line, "init %u %u", &a, &b) == 2) {
        free(queue);
        queue = malloc(sizeof *queue); /* exactly as long */
        bus_queue_init(queue, a == 0 ? NULL : b != 0 ? &controller : &without_recovery);
        bus = bus_queue_bus(queue);
        bus.unlock(bus.handle, bus.lock(bus.handle));
    } else if (sscanf(line, "start %u", &a) == 1) {
        return start_transfer(a);
    } else if (sscanf(line, "again %u", &a) == 1) {
        again[a] = true;
    } else if (sscanf(line, "end %u", &a) == 1) {
        end(a);
    } else if (sscanf(line, "held %u", &a) == 1) {
        held = a != 0;
    } else if (sscanf(line, "refuse %u", &a) == 1) {
        refuse = a != 0;
    } else if (strncmp(line, "recover", 7) == 0) {
        return bus.recover(bus.handle);
    } else if (strncmp(line, "poll", 4) == 0) {
        bus_queue_poll(queue);
    }
    return -1;
}

int main(void)
{
    char line[64];
    while (fgets(line, sizeof line, stdin) != NULL) {
        happened[0] = '\0';
        int result = execute(line);
        printf(result < 0 ? "-" : "%d", result);
        if (on_bus == NULL) {
            printf(" -%s\n", happened);
        } else {
            printf(" %u%s\n", on_bus->reg, happened);
        }
        fflush(stdout);
    }
    return 0;
}
