/* What the board sends, in the order in which it matters, one frame at a time.
 *
 *     answers        due bits: HELLO, STREAM x n, FAULT, HEALTH      log      closed batches
 *        1                           2                                3             4
 *        +---------------------------+--------------+-----------------+-------------+
 *                                                   v
 *                     encode into the transmit ring, while less than about one frame waits there
 *                                                   v
 *                                    [ ring ] --DMA--> line
 *
 * A frame is encoded as late as possible, so an answer passes every batch that still waits, and sequence
 * numbers follow the line. The answer to a ping is encoded when the line is silent, so that its send time is
 * the time of its first bit. Nothing is dropped here: due bits coalesce, batches wait in their sampler and
 * are counted there, answers are bounded by reading no command while TELEMETRY_ANSWERS of them wait.
 */
#ifndef APP_TELEMETRY_H
#define APP_TELEMETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "app/log.h"
#include "app/streams.h"
#include "lib/bip_ring.h"
#include "lib/check.h"
#include "tp_frame.h"
#include "tp_messages.h"

#define TELEMETRY_RING 2048u
/* Bytes in the ring, those on the line included, above which no further frame is encoded. While a full
 * SAMPLES is on the line, with a small frame or two, the next is made ready behind it: the line never waits
 * for the encoder. */
#define TELEMETRY_SMALL   64u
#define TELEMETRY_WAITING (TP_ENCODED_SIZE(TP_SAMPLES_SIZE + SAMPLER_BATCH_BYTES) + TELEMETRY_SMALL)
#define TELEMETRY_ANSWERS 8u
/* longest result */
#define TELEMETRY_RESULT (TP_SELF_TEST_RESULT_SIZE + SENSOR_FIELDS_MAX * TP_SELF_TEST_FIELD_SIZE)
/* Bytes at most that still go over the line while nothing but answers is taken on. */
#define TELEMETRY_REST                                                                                       \
    (TELEMETRY_RING + TELEMETRY_ANSWERS * TP_ENCODED_SIZE(TP_RESPONSE_SIZE + TELEMETRY_RESULT))
#define TELEMETRY_PAYLOAD 384u /* longest payload but SAMPLES: STREAM of a sensor with some ten fields */

/* The answer to one command. */
struct answer {
    uint16_t request;
    uint8_t command;
    uint8_t status;
    uint8_t size;
    uint8_t data[TELEMETRY_RESULT];
};

/* Who the board is, for HELLO; the rest comes from hal/system.h. */
struct identity {
    uint32_t boot_id;
    uint8_t reset_cause; /* enum tp_reset_cause */
    uint32_t baud;
    uint32_t capabilities;
};

struct telemetry {
    struct streams *streams;
    struct log *log;
    struct identity identity;

    struct bip_ring ring;
    uint8_t ring_memory[TELEMETRY_RING];
    volatile uint32_t in_transmission; /* bytes handed to the UART; 0: none */
    uint8_t sequence;

    struct answer answers[TELEMETRY_ANSWERS];
    uint8_t first_answer;
    uint8_t answer_count;

    bool waits;        /* something may be due that waits for the line, or for telemetry_poll() */
    bool answers_only; /* set by the owner: the rest waits */
    bool others_turn;  /* a ping was answered: before the next one something else goes, if it is due */
    bool hello_due;
    bool fault_due;
    bool health_due;
    uint32_t streams_due; /* bit per stream */
    uint8_t next_stream;  /* whose batch comes first: round robin */
    struct tp_health health;
    struct tp_stream_health stream_health[STREAMS];
    struct tp_sensor_health sensor_health[STREAMS];
    uint8_t sensor_health_count;
    uint8_t payload[TELEMETRY_PAYLOAD];
};

void telemetry_init(struct telemetry *telemetry, struct streams *streams, struct log *log,
                    struct identity identity);

/* HELLO, every STREAM, FAULT if there is one. */
void telemetry_describe(struct telemetry *telemetry);

/* The HEALTH to send; its lists are telemetry->stream_health and ->sensor_health. */
void telemetry_health(struct telemetry *telemetry, const struct tp_health *health);

/* Whether there is room for another answer: commands_can_take() keeps it. */
bool telemetry_can_answer(const struct telemetry *telemetry) WARN_UNUSED;
void telemetry_answer(struct telemetry *telemetry, const struct answer *answer);

/* Encodes and sends what is due. Main loop, after each event that may have changed something; what has only
 * been sent changes nothing unless something waits. */
void telemetry_poll(struct telemetry *telemetry);

/* Every answer is on the host's side of the line. */
bool telemetry_drained(const struct telemetry *telemetry) WARN_UNUSED;

/* UART interrupt: the block is sent; hands over the next one if there is one. */
void telemetry_block_sent(struct telemetry *telemetry);

#endif
