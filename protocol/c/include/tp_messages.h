/* Messages of the wire. Generated from protocol/messages.toml by tools/generate_protocol.py; do not edit.
 *
 * tp_NAME_write encodes and returns the size in bytes; 0 when it does not fit room, a text is longer than
 * 255 bytes or a u48 is too large. tp_NAME_read decodes; false when n bytes are too few, and *m is then not
 * to be used. Bytes after the last field are ignored, so that newer messages can be read. Texts and trailing
 * bytes that were read point into the input. TP_NAME_SIZE is the size of the shortest encoding.
 */
#ifndef TP_MESSAGES_H
#define TP_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tp_types.h"

#define TP_PROTOCOL    1u
#define TP_FINGERPRINT 0x7CD3DAD8u /* CRC-32C of the canonical table */

/* Message ids. */
enum tp_message_type {
    /* Who the board is. Sent at boot and with every describe. */
    TP_MESSAGE_HELLO = 0x01,
    /* Descriptor of one stream. Sent at boot, with every describe, and whenever it changes (then with a new
       generation). */
    TP_MESSAGE_STREAM = 0x02,
    /* A run of samples without a hole. */
    TP_MESSAGE_SAMPLES = 0x03,
    /* Counters since boot and the state of the board. Sent at 1 Hz and on request. */
    TP_MESSAGE_HEALTH = 0x04,
    /* A line of text for a human; rate-limited by the board. */
    TP_MESSAGE_LOG = 0x05,
    /* The record of a crash that survived the reset. Sent at boot and with every describe while the board
       holds it. */
    TP_MESSAGE_FAULT = 0x06,
    /* The one answer to a command; sent ahead of waiting SAMPLES. */
    TP_MESSAGE_RESPONSE = 0x07,
    /* A request. Absolute-valued and safe to repeat. */
    TP_MESSAGE_COMMAND = 0x40,
};

/* Command ids. */
enum tp_command_id {
    /* Clock exchange. received_us is stamped in the receive interrupt, sent_us when the answer's transmission
       starts. */
    TP_COMMAND_PING = 1,
    /* Send HELLO, every STREAM and any FAULT again. */
    TP_COMMAND_DESCRIBE = 2,
    /* The output data rate of a stream. */
    TP_COMMAND_GET_RATE = 3,
    /* Change the output data rate. The sensor's nearest rate is taken and stated; a refusal for a budget says
       what it needs and what there is. */
    TP_COMMAND_SET_RATE = 4,
    /* Send HEALTH now. */
    TP_COMMAND_GET_HEALTH = 5,
    /* Answer, drain the line, then reset the MCU. */
    TP_COMMAND_RESET = 6,
    /* Change the full-scale range of a field and of those that share it (an accelerometer's axes). The
       smallest range that holds the wanted one is taken and stated. */
    TP_COMMAND_SET_RANGE = 7,
    /* Enable or disable a stream. A disabled one has no ticks: its index stands still. Enabling is refused
       when the line has no room for it. */
    TP_COMMAND_ENABLE_STREAM = 8,
    /* How old a sample of the stream may be when its batch is ready for the line. Shorter costs line:
       refused, with the numbers, when it does not fit. Never less than the sensor needs: the answer says. */
    TP_COMMAND_SET_LATENCY = 9,
    /* Change the line's rate: answered at the old rate, drained, switched. Without a valid ping within 1 s
       the line goes back; at any other than the default rate 5 s without a valid frame of the host bring the
       default back. Never stored. */
    TP_COMMAND_SET_BAUD = 10,
    /* Run the built-in self-test of the sensor behind a stream, against the datasheet's limits; keep the
       board still. Its streams are interrupted for it. */
    TP_COMMAND_SELF_TEST = 11,
    /* Write the settings in force (rates, ranges, latencies, enabled streams) to flash: those of the next
       boot. Writing may stall the core for up to half a second; the samples that costs are counted. Nothing
       is written when they are stored already. */
    TP_COMMAND_SAVE_CONFIGURATION = 12,
    /* Take the stored settings, or the defaults, into force. The defaults also clear the store, readable or
       not. Answered when every sensor has taken them. */
    TP_COMMAND_RESTORE_CONFIGURATION = 13,
    /* Set the counters of HEALTH to zero: line, frames, sensor bus, longest stall. Those of the streams
       belong to their index and stay. */
    TP_COMMAND_CLEAR_COUNTERS = 14,
    /* Forget the record of that boot's crash; done already is fine. */
    TP_COMMAND_ACKNOWLEDGE_FAULT = 15,
    /* Answer, drain the line, then start the ROM's bootloader on the same UART (AN3155), where the ROM serves
       it. */
    TP_COMMAND_ENTER_BOOTLOADER = 16,
};

/* Why the board last started. */
enum tp_reset_cause {
    TP_RESET_CAUSE_UNKNOWN = 0,
    TP_RESET_CAUSE_POWER_ON = 1,
    TP_RESET_CAUSE_BROWN_OUT = 2,
    TP_RESET_CAUSE_PIN = 3,
    TP_RESET_CAUSE_SOFTWARE = 4,
    TP_RESET_CAUSE_WATCHDOG = 5,
    TP_RESET_CAUSE_WINDOW_WATCHDOG = 6,
    TP_RESET_CAUSE_LOW_POWER = 7,
    TP_RESET_CAUSE_FAULT = 8,
};

/* How one field of a raw sample is stored. */
enum tp_field_type {
    TP_FIELD_TYPE_U8 = 0,
    TP_FIELD_TYPE_I8 = 1,
    TP_FIELD_TYPE_U16 = 2,
    TP_FIELD_TYPE_I16 = 3,
    TP_FIELD_TYPE_U32 = 4,
    TP_FIELD_TYPE_I32 = 5,
    TP_FIELD_TYPE_F32 = 6,
};

/* What the sensor behind a stream is doing. stopped: disabled by the host, or not yet started; absent: an
 * optional sensor never found since boot. */
enum tp_stream_state {
    TP_STREAM_STATE_STOPPED = 0,
    TP_STREAM_STATE_STREAMING = 1,
    TP_STREAM_STATE_MISSING = 2,
    TP_STREAM_STATE_FAILING = 3,
    TP_STREAM_STATE_ABSENT = 4,
};

/* Severity of a LOG line. */
enum tp_log_level {
    TP_LOG_LEVEL_DEBUG = 0,
    TP_LOG_LEVEL_INFO = 1,
    TP_LOG_LEVEL_WARNING = 2,
    TP_LOG_LEVEL_ERROR = 3,
};

/* How a command ended. Anything but ok changed nothing on the board. */
enum tp_status {
    TP_STATUS_OK = 0,
    TP_STATUS_UNKNOWN_COMMAND = 1,
    TP_STATUS_BAD_LENGTH = 2,
    TP_STATUS_BAD_ARGUMENT = 3,
    TP_STATUS_UNKNOWN_STREAM = 4,
    TP_STATUS_OVER_LINE_BUDGET = 5,
    TP_STATUS_OVER_BUS_BUDGET = 6,
    TP_STATUS_UNSUPPORTED = 7,
    TP_STATUS_BUSY = 8,
    TP_STATUS_FAILED = 9,
};

/* Which settings to take into force. */
enum tp_configuration {
    TP_CONFIGURATION_STORED = 0,
    TP_CONFIGURATION_DEFAULTS = 1,
};

/* What this firmware can do beyond the minimum, and, from internal_oscillator on, what its clock does
 * without. internal_oscillator: the external one does not start; no_pll: none locks either, the core has the
 * bare oscillator's clock. Bits without a name are zero. */
#define TP_CAPABILITIES_TX_DMA               (UINT32_C(1) << 0)
#define TP_CAPABILITIES_SENSOR_BUS           (UINT32_C(1) << 1)
#define TP_CAPABILITIES_RETRANSMISSION       (UINT32_C(1) << 2)
#define TP_CAPABILITIES_COMPRESSION          (UINT32_C(1) << 3)
#define TP_CAPABILITIES_ROM_BOOTLOADER       (UINT32_C(1) << 4)
#define TP_CAPABILITIES_STORED_CONFIGURATION (UINT32_C(1) << 5)
#define TP_CAPABILITIES_BAUD_CHANGE          (UINT32_C(1) << 6)
#define TP_CAPABILITIES_INTERNAL_OSCILLATOR  (UINT32_C(1) << 7)
#define TP_CAPABILITIES_NO_PLL               (UINT32_C(1) << 8)

/* One field of a raw sample and how to turn it into SI: value = raw * scale + offset. */
#define TP_FIELD_DESCRIPTOR_SIZE 15u

struct tp_field_descriptor {
    uint8_t type;       /* storage of the raw value [enum tp_field_type] */
    float scale;        /* SI units per count */
    float offset;       /* SI value of raw 0 */
    float full_scale;   /* largest magnitude the sensor can report, in SI; 0 where it has none */
    struct tp_str name; /* accel_x, gyro_z, temperature, ... */
    struct tp_str unit; /* m/s^2, rad/s, degC, V */
};

/* A run of field_descriptor.
 * To write one, set items and count. Before reading one, set storage and room: the first room structs are
 * stored there, items then points to them, and count says how many the message holds, which may be more. */
struct tp_field_descriptor_list {
    const struct tp_field_descriptor *items;
    uint8_t count;
    uint8_t room;
    struct tp_field_descriptor *storage;
};

/* What became of one stream's samples. next_index minus the samples sent is the sum of the losses and of what
 * waits in the board. */
#define TP_STREAM_HEALTH_SIZE 18u

struct tp_stream_health {
    uint8_t stream;      /* stream number */
    uint8_t state;       /* what the sensor is doing [enum tp_stream_state] */
    uint32_t next_index; /* index that the next tick of the sensor gets */
    uint32_t lost_fifo;  /* samples overwritten in the sensor before they were read */
    uint32_t lost_ring;  /* samples dropped because the transmit ring was full */
    uint32_t lost_bus;   /* samples not read because the sensor bus failed */
};

/* A run of stream_health.
 * To write one, set items and count. Before reading one, set storage and room: the first room structs are
 * stored there, items then points to them, and count says how many the message holds, which may be more. */
struct tp_stream_health_list {
    const struct tp_stream_health *items;
    uint8_t count;
    uint8_t room;
    struct tp_stream_health *storage;
};

/* What the board knows of the sensor behind a stream. */
#define TP_SENSOR_HEALTH_SIZE 7u

struct tp_sensor_health {
    uint8_t stream;            /* stream number */
    uint32_t measured_mhz;     /* output data rate against the board's clock; 0 until it is known [mHz] */
    int16_t temperature_cdegc; /* the sensor's die; -32768 where unknown [cdegC] */
};

/* A run of sensor_health.
 * To write one, set items and count. Before reading one, set storage and room: the first room structs are
 * stored there, items then points to them, and count says how many the message holds, which may be more. */
struct tp_sensor_health_list {
    const struct tp_sensor_health *items;
    uint8_t count;
    uint8_t room;
    struct tp_sensor_health *storage;
};

/* What the self-test of one field gave: it passes when low <= response <= high, the limits of the datasheet.
 */
#define TP_SELF_TEST_FIELD_SIZE 12u

struct tp_self_test_field {
    float response; /* self-test response, in the unit that the datasheet states limits in */
    float low;      /* lowest response that passes */
    float high;     /* highest response that passes */
};

/* A run of self_test_field.
 * To write one, set items and count. Before reading one, set storage and room: the first room structs are
 * stored there, items then points to them, and count says how many the message holds, which may be more. */
struct tp_self_test_field_list {
    const struct tp_self_test_field *items;
    uint8_t count;
    uint8_t room;
    struct tp_self_test_field *storage;
};

/* Who the board is. Sent at boot and with every describe. */
#define TP_HELLO_SIZE 52u

struct tp_hello {
    uint8_t protocol;       /* protocol version of the table */
    uint32_t fingerprint;   /* CRC-32C of the canonical table */
    uint32_t boot_id;       /* never the same for two boots in a row */
    uint8_t uid[12];        /* MCU unique id; zero where there is none */
    uint8_t reset_cause;    /* why the board started [enum tp_reset_cause] */
    uint32_t capabilities;  /* what it can do [TP_CAPABILITIES_*] */
    uint32_t clock_hz;      /* core clock [Hz] */
    uint32_t baud;          /* actual rate of the line, from the divider [baud] */
    uint32_t baud_max;      /* highest rate this line can make [baud] */
    uint32_t retransmit;    /* bytes of retransmission memory [B] */
    uint64_t time_us;       /* device time when this was written [us] */
    uint8_t streams;        /* how many STREAM descriptors belong to this board */
    struct tp_str firmware; /* version, e.g. 0.1.0 */
    struct tp_str revision; /* git revision of the build */
    struct tp_str board;    /* e.g. nucleo_f411re */
};

TP_MUST_CHECK size_t tp_hello_write(uint8_t *out, size_t room, const struct tp_hello *m);
TP_MUST_CHECK bool tp_hello_read(struct tp_hello *m, const uint8_t *in, size_t n);

/* Descriptor of one stream. Sent at boot, with every describe, and whenever it changes (then with a new
 * generation). */
#define TP_STREAM_SIZE 19u

struct tp_stream {
    uint8_t stream_gen;                     /* stream number (bits 0-4) and generation (bits 5-7) */
    uint32_t rate_mhz;                      /* nominal output data rate (ODR) [mHz] */
    uint32_t group_delay_us;                /* group delay of the sensor's low-pass filter [us] */
    uint16_t fifo_depth;                    /* samples the sensor itself can hold; 0 without FIFO */
    struct tp_str name;                     /* imu, imu_temp, mcu_temp, ... */
    struct tp_str sensor;                   /* part, e.g. mpu6050 */
    struct tp_field_descriptor_list fields; /* in the order in which a sample stores them */
    /* how old a sample is at most when its batch is ready for the line [us] */
    uint32_t latency_us;
    uint8_t enabled; /* 1: sampled and sent; 0: disabled by the host */
};

TP_MUST_CHECK size_t tp_stream_write(uint8_t *out, size_t room, const struct tp_stream *m);
TP_MUST_CHECK bool tp_stream_read(struct tp_stream *m, const uint8_t *in, size_t n);

/* A run of samples without a hole. */
#define TP_SAMPLES_SIZE 11u

struct tp_samples {
    uint8_t stream_gen;   /* stream number (bits 0-4) and generation (bits 5-7) */
    uint32_t index;       /* index of the first sample; counts every tick of the sensor */
    uint64_t time_us;     /* device time of the first sample [us] */
    struct tp_bytes data; /* samples, each its fields packed without padding */
};

TP_MUST_CHECK size_t tp_samples_write(uint8_t *out, size_t room, const struct tp_samples *m);
TP_MUST_CHECK bool tp_samples_read(struct tp_samples *m, const uint8_t *in, size_t n);

/* Counters since boot and the state of the board. Sent at 1 Hz and on request. */
#define TP_HEALTH_SIZE 84u

struct tp_health {
    uint64_t time_us;        /* device time of this snapshot [us] */
    uint32_t uptime_s;       /* seconds since boot [s] */
    uint16_t cpu_permille;   /* share of the last second not spent asleep, in 1/1000 */
    uint16_t stack_free;     /* stack bytes never used since boot (high-water) [B] */
    uint16_t supply_mv;      /* supply voltage; 0 where unknown [mV] */
    int16_t mcu_cdegc;       /* die temperature of the MCU; -32768 where unknown [cdegC] */
    uint32_t rx_overrun;     /* UART: bytes lost because they were not read in time */
    uint32_t rx_framing;     /* UART: stop bit missing */
    uint32_t rx_noise;       /* UART: noise detected */
    uint32_t refused_cobs;   /* frames from the host refused: COBS broken */
    uint32_t refused_crc;    /* frames from the host refused: CRC wrong */
    uint32_t refused_length; /* frames from the host refused: too short or too long */
    uint32_t refused_type;   /* frames from the host refused: type unknown */
    /* HEALTH, LOG and STREAM frames dropped because the transmit ring was full */
    uint32_t dropped_messages;
    uint32_t bus_nack;                    /* sensor bus: address or data not acknowledged */
    uint32_t bus_error;                   /* sensor bus: bus error or arbitration lost */
    uint32_t bus_timeout;                 /* sensor bus: transfer not finished in time */
    struct tp_stream_health_list streams; /* one entry per stream */
    struct tp_sensor_health_list sensors; /* one entry per stream whose sensor is there */
    uint32_t bus_recoveries;              /* sensor bus: times that a held bus was freed with clocks */
    /* UART: bytes overwritten in the receive ring before they were read; a lower bound where an erase of the
     * flash stalled the core, for rounds of the ring beyond the first go unseen */
    uint32_t rx_dropped;
    /* times that the line went back to the default rate because the host was silent */
    uint32_t baud_fallbacks;
    /* longest time that writing the configuration stalled the core [us] */
    uint32_t flash_stall_us;
    /* DMA: transfers that the controller gave up, of the UART and the sensor buses */
    uint32_t dma_error;
};

TP_MUST_CHECK size_t tp_health_write(uint8_t *out, size_t room, const struct tp_health *m);
TP_MUST_CHECK bool tp_health_read(struct tp_health *m, const uint8_t *in, size_t n);

/* A line of text for a human; rate-limited by the board. */
#define TP_LOG_SIZE 8u

struct tp_log {
    uint64_t time_us;   /* device time [us] */
    uint8_t level;      /* severity [enum tp_log_level] */
    struct tp_str text; /* one line, no newline */
};

TP_MUST_CHECK size_t tp_log_write(uint8_t *out, size_t room, const struct tp_log *m);
TP_MUST_CHECK bool tp_log_read(struct tp_log *m, const uint8_t *in, size_t n);

/* The record of a crash that survived the reset. Sent at boot and with every describe while the board holds
 * it. */
#define TP_FAULT_SIZE 43u

struct tp_fault {
    uint32_t boot_id; /* boot that crashed */
    uint64_t time_us; /* device time of the crash [us] */
    /* exception number (3 HardFault, 4 MemManage, 5 BusFault, 6 UsageFault), 0 for a failed assert, 255 for a
     * main loop that has stopped (the watchdog; pc is where it was) */
    uint8_t cause;
    uint32_t pc;    /* stacked program counter */
    uint32_t lr;    /* stacked link register */
    uint32_t sp;    /* stack pointer at the fault */
    uint32_t psr;   /* stacked program status */
    uint32_t cfsr;  /* Configurable Fault Status Register */
    uint32_t hfsr;  /* HardFault Status Register */
    uint32_t mmfar; /* MemManage Fault Address Register */
    uint32_t bfar;  /* BusFault Address Register */
};

TP_MUST_CHECK size_t tp_fault_write(uint8_t *out, size_t room, const struct tp_fault *m);
TP_MUST_CHECK bool tp_fault_read(struct tp_fault *m, const uint8_t *in, size_t n);

/* The one answer to a command; sent ahead of waiting SAMPLES. */
#define TP_RESPONSE_SIZE 4u

struct tp_response {
    uint16_t request;     /* request id of the command */
    uint8_t command;      /* command id */
    uint8_t status;       /* how it ended [enum tp_status] */
    struct tp_bytes data; /* the command's result fields when ok, else its refusal fields or nothing */
};

TP_MUST_CHECK size_t tp_response_write(uint8_t *out, size_t room, const struct tp_response *m);
TP_MUST_CHECK bool tp_response_read(struct tp_response *m, const uint8_t *in, size_t n);

/* A request. Absolute-valued and safe to repeat. */
#define TP_COMMAND_SIZE 3u

struct tp_command {
    uint16_t request;     /* chosen by the host, returned in the RESPONSE */
    uint8_t command;      /* command id */
    struct tp_bytes args; /* the command's argument fields */
};

TP_MUST_CHECK size_t tp_command_write(uint8_t *out, size_t room, const struct tp_command *m);
TP_MUST_CHECK bool tp_command_read(struct tp_command *m, const uint8_t *in, size_t n);

/* Arguments of the command ping. */
#define TP_PING_ARGS_SIZE 8u

struct tp_ping_args {
    uint64_t host_ns; /* returned as it came [ns] */
};

TP_MUST_CHECK size_t tp_ping_args_write(uint8_t *out, size_t room, const struct tp_ping_args *m);
TP_MUST_CHECK bool tp_ping_args_read(struct tp_ping_args *m, const uint8_t *in, size_t n);

/* Result of the command ping. */
#define TP_PING_RESULT_SIZE 20u

struct tp_ping_result {
    uint64_t host_ns;     /* as it came [ns] */
    uint64_t received_us; /* device time at the delimiter of the command [us] */
    uint64_t sent_us;     /* device time at the first byte of the answer [us] */
};

TP_MUST_CHECK size_t tp_ping_result_write(uint8_t *out, size_t room, const struct tp_ping_result *m);
TP_MUST_CHECK bool tp_ping_result_read(struct tp_ping_result *m, const uint8_t *in, size_t n);

/* Arguments of the command get_rate. */
#define TP_GET_RATE_ARGS_SIZE 1u

struct tp_get_rate_args {
    uint8_t stream; /* stream number */
};

TP_MUST_CHECK size_t tp_get_rate_args_write(uint8_t *out, size_t room, const struct tp_get_rate_args *m);
TP_MUST_CHECK bool tp_get_rate_args_read(struct tp_get_rate_args *m, const uint8_t *in, size_t n);

/* Result of the command get_rate. */
#define TP_GET_RATE_RESULT_SIZE 4u

struct tp_get_rate_result {
    uint32_t rate_mhz; /* nominal rate in force [mHz] */
};

TP_MUST_CHECK size_t tp_get_rate_result_write(uint8_t *out, size_t room, const struct tp_get_rate_result *m);
TP_MUST_CHECK bool tp_get_rate_result_read(struct tp_get_rate_result *m, const uint8_t *in, size_t n);

/* Arguments of the command set_rate. */
#define TP_SET_RATE_ARGS_SIZE 5u

struct tp_set_rate_args {
    uint8_t stream;    /* stream number */
    uint32_t rate_mhz; /* wanted rate [mHz] */
};

TP_MUST_CHECK size_t tp_set_rate_args_write(uint8_t *out, size_t room, const struct tp_set_rate_args *m);
TP_MUST_CHECK bool tp_set_rate_args_read(struct tp_set_rate_args *m, const uint8_t *in, size_t n);

/* Result of the command set_rate. */
#define TP_SET_RATE_RESULT_SIZE 5u

struct tp_set_rate_result {
    uint32_t rate_mhz;  /* nominal rate now in force [mHz] */
    uint8_t generation; /* generation of the descriptor now in force */
};

TP_MUST_CHECK size_t tp_set_rate_result_write(uint8_t *out, size_t room, const struct tp_set_rate_result *m);
TP_MUST_CHECK bool tp_set_rate_result_read(struct tp_set_rate_result *m, const uint8_t *in, size_t n);

/* Refusal of the command set_rate. */
#define TP_SET_RATE_REFUSAL_SIZE 8u

struct tp_set_rate_refusal {
    /* what the rate would take: bits per second on the line or the sensor bus; for a bad argument the lowest
     * possible rate in mHz */
    uint32_t needed;
    /* what there is: bits per second; for a bad argument the highest possible rate in mHz */
    uint32_t available;
};

TP_MUST_CHECK size_t tp_set_rate_refusal_write(uint8_t *out, size_t room,
                                               const struct tp_set_rate_refusal *m);
TP_MUST_CHECK bool tp_set_rate_refusal_read(struct tp_set_rate_refusal *m, const uint8_t *in, size_t n);

/* Arguments of the command set_range. */
#define TP_SET_RANGE_ARGS_SIZE 6u

struct tp_set_range_args {
    uint8_t stream;   /* stream number */
    uint8_t field;    /* number of one of the fields, from 0 */
    float full_scale; /* wanted largest magnitude, in the field's SI unit */
};

TP_MUST_CHECK size_t tp_set_range_args_write(uint8_t *out, size_t room, const struct tp_set_range_args *m);
TP_MUST_CHECK bool tp_set_range_args_read(struct tp_set_range_args *m, const uint8_t *in, size_t n);

/* Result of the command set_range. */
#define TP_SET_RANGE_RESULT_SIZE 5u

struct tp_set_range_result {
    float full_scale;   /* largest magnitude now in force */
    uint8_t generation; /* generation of the descriptor now in force */
};

TP_MUST_CHECK size_t tp_set_range_result_write(uint8_t *out, size_t room,
                                               const struct tp_set_range_result *m);
TP_MUST_CHECK bool tp_set_range_result_read(struct tp_set_range_result *m, const uint8_t *in, size_t n);

/* Refusal of the command set_range. */
#define TP_SET_RANGE_REFUSAL_SIZE 8u

struct tp_set_range_refusal {
    float lowest;  /* smallest full scale that the field can have */
    float highest; /* largest full scale that the field can have */
};

TP_MUST_CHECK size_t tp_set_range_refusal_write(uint8_t *out, size_t room,
                                                const struct tp_set_range_refusal *m);
TP_MUST_CHECK bool tp_set_range_refusal_read(struct tp_set_range_refusal *m, const uint8_t *in, size_t n);

/* Arguments of the command enable_stream. */
#define TP_ENABLE_STREAM_ARGS_SIZE 2u

struct tp_enable_stream_args {
    uint8_t stream;  /* stream number */
    uint8_t enabled; /* 1: sample and send; 0: stop */
};

TP_MUST_CHECK size_t tp_enable_stream_args_write(uint8_t *out, size_t room,
                                                 const struct tp_enable_stream_args *m);
TP_MUST_CHECK bool tp_enable_stream_args_read(struct tp_enable_stream_args *m, const uint8_t *in, size_t n);

/* Refusal of the command enable_stream. */
#define TP_ENABLE_STREAM_REFUSAL_SIZE 8u

struct tp_enable_stream_refusal {
    uint32_t needed;    /* bits per second that the line or the sensor bus would have to carry */
    uint32_t available; /* bits per second that there are */
};

TP_MUST_CHECK size_t tp_enable_stream_refusal_write(uint8_t *out, size_t room,
                                                    const struct tp_enable_stream_refusal *m);
TP_MUST_CHECK bool tp_enable_stream_refusal_read(struct tp_enable_stream_refusal *m, const uint8_t *in,
                                                 size_t n);

/* Arguments of the command set_latency. */
#define TP_SET_LATENCY_ARGS_SIZE 5u

struct tp_set_latency_args {
    uint8_t stream;      /* stream number */
    uint32_t latency_us; /* 1,000 to 1,000,000; 0: back to the default for the rate [us] */
};

TP_MUST_CHECK size_t tp_set_latency_args_write(uint8_t *out, size_t room,
                                               const struct tp_set_latency_args *m);
TP_MUST_CHECK bool tp_set_latency_args_read(struct tp_set_latency_args *m, const uint8_t *in, size_t n);

/* Result of the command set_latency. */
#define TP_SET_LATENCY_RESULT_SIZE 4u

struct tp_set_latency_result {
    uint32_t latency_us; /* bound now in force, which may be longer [us] */
};

TP_MUST_CHECK size_t tp_set_latency_result_write(uint8_t *out, size_t room,
                                                 const struct tp_set_latency_result *m);
TP_MUST_CHECK bool tp_set_latency_result_read(struct tp_set_latency_result *m, const uint8_t *in, size_t n);

/* Refusal of the command set_latency. */
#define TP_SET_LATENCY_REFUSAL_SIZE 8u

struct tp_set_latency_refusal {
    /* bits per second that the line would have to carry; for a bad argument the lowest bound in us */
    uint32_t needed;
    uint32_t available; /* bits per second that there are; for a bad argument the highest bound in us */
};

TP_MUST_CHECK size_t tp_set_latency_refusal_write(uint8_t *out, size_t room,
                                                  const struct tp_set_latency_refusal *m);
TP_MUST_CHECK bool tp_set_latency_refusal_read(struct tp_set_latency_refusal *m, const uint8_t *in, size_t n);

/* Arguments of the command set_baud. */
#define TP_SET_BAUD_ARGS_SIZE 4u

struct tp_set_baud_args {
    uint32_t baud; /* wanted rate, 115,200 to 3,000,000; within 1 % of one that the clock makes [baud] */
};

TP_MUST_CHECK size_t tp_set_baud_args_write(uint8_t *out, size_t room, const struct tp_set_baud_args *m);
TP_MUST_CHECK bool tp_set_baud_args_read(struct tp_set_baud_args *m, const uint8_t *in, size_t n);

/* Result of the command set_baud. */
#define TP_SET_BAUD_RESULT_SIZE 4u

struct tp_set_baud_result {
    uint32_t baud; /* actual rate, from the divider [baud] */
};

TP_MUST_CHECK size_t tp_set_baud_result_write(uint8_t *out, size_t room, const struct tp_set_baud_result *m);
TP_MUST_CHECK bool tp_set_baud_result_read(struct tp_set_baud_result *m, const uint8_t *in, size_t n);

/* Refusal of the command set_baud. */
#define TP_SET_BAUD_REFUSAL_SIZE 8u

struct tp_set_baud_refusal {
    uint32_t needed; /* bits per second that the streams take; for a bad argument the lowest rate */
    /* bits per second that the wanted rate would carry; for a bad argument the highest rate */
    uint32_t available;
};

TP_MUST_CHECK size_t tp_set_baud_refusal_write(uint8_t *out, size_t room,
                                               const struct tp_set_baud_refusal *m);
TP_MUST_CHECK bool tp_set_baud_refusal_read(struct tp_set_baud_refusal *m, const uint8_t *in, size_t n);

/* Arguments of the command self_test. */
#define TP_SELF_TEST_ARGS_SIZE 1u

struct tp_self_test_args {
    uint8_t stream; /* stream number */
};

TP_MUST_CHECK size_t tp_self_test_args_write(uint8_t *out, size_t room, const struct tp_self_test_args *m);
TP_MUST_CHECK bool tp_self_test_args_read(struct tp_self_test_args *m, const uint8_t *in, size_t n);

/* Result of the command self_test. */
#define TP_SELF_TEST_RESULT_SIZE 2u

struct tp_self_test_result {
    uint8_t passed;                        /* 1: every field is within its limits */
    struct tp_self_test_field_list fields; /* one entry per field of the stream */
};

TP_MUST_CHECK size_t tp_self_test_result_write(uint8_t *out, size_t room,
                                               const struct tp_self_test_result *m);
TP_MUST_CHECK bool tp_self_test_result_read(struct tp_self_test_result *m, const uint8_t *in, size_t n);

/* Arguments of the command restore_configuration. */
#define TP_RESTORE_CONFIGURATION_ARGS_SIZE 1u

struct tp_restore_configuration_args {
    uint8_t source; /* where from [enum tp_configuration] */
};

TP_MUST_CHECK size_t tp_restore_configuration_args_write(uint8_t *out, size_t room,
                                                         const struct tp_restore_configuration_args *m);
TP_MUST_CHECK bool tp_restore_configuration_args_read(struct tp_restore_configuration_args *m,
                                                      const uint8_t *in, size_t n);

/* Arguments of the command acknowledge_fault. */
#define TP_ACKNOWLEDGE_FAULT_ARGS_SIZE 4u

struct tp_acknowledge_fault_args {
    uint32_t boot_id; /* boot_id of the FAULT */
};

TP_MUST_CHECK size_t tp_acknowledge_fault_args_write(uint8_t *out, size_t room,
                                                     const struct tp_acknowledge_fault_args *m);
TP_MUST_CHECK bool tp_acknowledge_fault_args_read(struct tp_acknowledge_fault_args *m, const uint8_t *in,
                                                  size_t n);

#endif
