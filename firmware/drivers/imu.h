// clang-format off
/* An inertial sensor, whichever of a list of candidates is there: streams `imu` and `imu_temp`.
 *
 *            poll: 1 s after the last try      found             scripts done
 *     ABSENT -----------------> IDENTIFY -----------> RESET ... START ------------> RUNNING
 *       ^  ^                       | none                  |    ^                    |  |
 *       |  +-----------------------+                       |    | CONFIGURE          |  |
 *       +------- step failed, settings not kept -----------+    +---- STOP, DRAIN <--+  |   a change of
 *       |                                                                |              |   settings
 *       |                                           RESET <-- JUDGE <-- SELF_TEST       |
 *       +------- ten reads failed in a row, or no edge for a second --------------------+
 *
 * RUNNING, all in interrupts: data-ready edges number the sensor's ticks and give their times, the FIFO gives
 * the samples; imu_fifo.c. What the host wants set stays when the sensor goes, and holds for another one.
 */
// clang-format on
#ifndef DRIVERS_IMU_H
#define DRIVERS_IMU_H

#include <stdalign.h>

#include "drivers/bus.h"
#include "drivers/imu_chip.h"
#include "drivers/imu_clock.h"
#include "drivers/sensor.h"

#define IMU_STREAMS 2u
enum { IMU_SAMPLES = 0, IMU_TEMPERATURE = 1 };

#define IMU_BUFFER 1024u

/* The data-ready line that belongs to a bus. Interrupts, or masked. */
struct imu_line {
    bool (*high)(enum sensor_bus bus);
    uint32_t (*edges)(enum sensor_bus bus);        /* so far, modulo 2^32 */
    void (*skip)(enum sensor_bus bus, uint32_t n); /* count the next n edges without telling */
    uint64_t (*now_us)(void);                      /* by the clock that the edges are stamped with */
};

/* A bus with the data-ready line of the sensor on it. */
struct imu_port {
    const struct bus *bus;
    enum sensor_bus number;
    uint32_t bits_per_s; /* that the bus carries; 0: it is not there */
    uint8_t bits_per_byte;
    uint8_t bits_per_read; /* on top of its bytes */
    const char *data_ready_pin;
    const struct imu_line *line;
};

struct imu_candidate {
    const struct imu_chip *chip;
    const struct imu_port *port;
    uint8_t address;
};

enum imu_phase {
    IMU_ABSENT,
    IMU_IDENTIFY,
    IMU_FOUND, /* until poll() goes on */
    IMU_RESET,
    IMU_CONFIGURE,
    IMU_VERIFY,
    IMU_START,
    IMU_RUNNING,
    IMU_STOP,
    IMU_DRAIN,
    IMU_SELF_TEST,
    IMU_JUDGE, /* until poll() goes on */
};

/* What the one transfer under way is for. */
enum imu_job { IMU_IDLE, IMU_STEP, IMU_LEVEL, IMU_BURST, IMU_FLUSH, IMU_TEMPERATURE_READ };

/* Whether it is known which tick the oldest sample in the FIFO is. */
enum imu_sync {
    IMU_FRESH,   /* the next one: nothing has been before it */
    IMU_LOCKED,  /* the next one */
    IMU_SLIPPED, /* unknown: the FIFO is to be emptied */
    IMU_FLUSHED, /* it has been: the next edges tell */
};

struct imu_wanted {
    uint32_t rate_mhz;
    float full_scale[2]; /* accelerometer, gyroscope */
    bool self_test;      /* once */
};

struct imu {
    struct sensor sensor; /* first */
    const struct imu_candidate *candidates;
    uint8_t candidate_count;
    uint8_t probed;
    const struct imu_candidate *found; /* the last that was, or the one described before */
    const struct imu_chip *chip;       /* its own */
    const struct imu_port *port;

    struct imu_wanted wanted;
    struct imu_setup setup;
    struct imu_setup new_setup;
    struct sensor_stream streams[IMU_STREAMS];
    struct sensor_stream next_streams[IMU_STREAMS]; /* of the change under way */
    struct sensor_field fields[2][IMU_AXES];        /* those in force, and room for the next ones */
    struct sensor_field temperature_field[2];
    bool next_differs[IMU_STREAMS];
    uint16_t next_temperature_every;
    uint8_t fields_in_force;

    /* life cycle */
    volatile enum imu_phase phase;
    const char *volatile abandoned; /* why an interrupt has gone to ABSENT; poll() takes it up */
    enum sensor_state abandoned_as;
    enum sensor_state reported;
    const char *said; /* last line for the log */
    uint64_t next_try_us;
    const struct imu_port *timed_out; /* where a transfer did in this round: the bus may be held */
    bool retried;                     /* at once, behind a time-out */
    bool asked;                       /* in this round: there is a bus */
    bool stranger;                    /* in this round a device had an unknown identity: */
    uint8_t stranger_address;
    uint8_t stranger_id;
    bool round_over;
    bool started;        /* running since the last poll() */
    bool same_device;    /* what was measured holds still */
    bool no_edges;       /* it ran without edges and has been configured anew for that */
    char edges_text[80]; /* lines for the log with a name or number in them */
    char stranger_text[80];
    uint32_t edges_seen;
    uint64_t edges_seen_us;

    /* script under way */
    const struct imu_step *steps;
    uint8_t step_count;
    uint8_t step;
    uint16_t wait_ms;
    uint64_t resume_us; /* end of the wait; 0: poll() has not seen it yet */
    struct imu_step configuration[IMU_STEPS_MAX];
    uint8_t configuration_count;

    /* transfer under way */
    volatile enum imu_job job;
    struct transfer transfer;
    uint8_t small[32]; /* data of short ones */
    alignas(4) uint8_t buffer[IMU_BUFFER];

    /* running */
    struct imu_clock clock;
    enum imu_sync sync;
    enum sensor_loss slip_cause;
    uint32_t next;       /* tick of the oldest sample that has not been read */
    uint8_t slot_offset; /* the chip's count of samples - next */
    uint8_t slips;       /* looks in a row that disagreed with `next` */
    uint8_t flush_step;
    bool ticking; /* edges are ticks even when nothing can be read */
    bool read_due;
    uint64_t stopped_us; /* for a change: nothing has gone into the FIFO since */
    uint32_t edge;       /* the number of the last that was told */
    uint8_t failures;    /* reads in a row */
    uint16_t burst_frames;
    uint16_t until_temperature;
    uint16_t temperature_every;
    bool temperature_due;
    uint64_t temperature_us;

    /* change of settings, or self-test */
    volatile enum sensor_change change;
    struct imu_wanted new_wanted;

    /* self-test */
    uint8_t trim[IMU_TRIMS_MAX];
    uint8_t trims;
    uint8_t samples_left;
    uint8_t discard_left;
    uint16_t looks_left;
    int32_t sums[2][IMU_AXES];
    uint8_t sum_counts[2][IMU_AXES];
    struct sensor_self_test result;
    int16_t temperature_raw;
    bool temperature_known;
};

/* `first_stream` and the next number are this sensor's. Until a candidate is found the last one's ranges and
 * rates are described. */
void imu_init(struct imu *imu, const struct imu_candidate *candidates, uint8_t candidate_count,
              const struct sensor_sink *sink, uint8_t first_stream);

/* A data-ready edge at a port, and its number as imu_line.edges() counts; sensor's interrupt. */
void imu_data_ready(struct imu *imu, enum sensor_bus port, uint64_t edge_us, uint32_t edge);

#endif
