/* Acquisition: data-ready edges, FIFO, ticks. All in the sensor's interrupts.
 *
 *     edge each sample (MPU):    n-th edge -> LEVEL -> BURST -> samples; those before are counted by time
 *     edge at the watermark:     edge -> BURST of n samples;  line still high -> LEVEL -> BURST
 *
 * The sample that is read next is tick `next`. Whatever breaks that (overrun, a burst that failed, a count of
 * the chip that does not follow) empties the FIFO; the number of the first sample behind it comes from the
 * time of an edge: the clock's mark and whole periods since. What is in between is lost, and counted.
 */
#include "drivers/imu_internal.h"

#define FAILURES_MAX 10u
#define SLIPS_MAX    3u       /* looks at the level that tell the same before it is believed */
#define SILENCE_US   1000000u /* behind a pause this long edges tell nothing about ticks in it */

/* ---- ticks */

static void count_temperatures(struct imu *imu, uint32_t ticks, enum sensor_loss cause)
{
    const struct sensor_sink *sink = imu->sensor.sink;
    if (ticks < imu->until_temperature) {
        imu->until_temperature = (uint16_t)(imu->until_temperature - ticks);
        return;
    }
    uint32_t behind = ticks - imu->until_temperature;
    imu->until_temperature = (uint16_t)(imu->temperature_every - behind % imu->temperature_every);
    sink->lost(sink->context, (uint8_t)(imu->sensor.first_stream + IMU_TEMPERATURE), cause,
               1u + behind / imu->temperature_every);
}

void imu_lose(struct imu *imu, uint32_t ticks, enum sensor_loss cause)
{
    const struct sensor_sink *sink = imu->sensor.sink;
    if (ticks != 0) {
        imu->next += ticks;
        sink->lost(sink->context, imu->sensor.first_stream, cause, ticks);
        count_temperatures(imu, ticks, cause);
    }
}

static void slip(struct imu *imu, enum sensor_loss cause)
{
    imu->sync = IMU_SLIPPED;
    imu->slip_cause = cause;
    imu->flush_step = 0;
}

/* The oldest sample in the FIFO is this tick; those before it are gone. */
static void lock_at(struct imu *imu, uint32_t first)
{
    int32_t gone = (int32_t)(first - imu->next);
    if (imu->sync == IMU_FRESH || gone < 0) {
        imu_clock_shift(&imu->clock, imu->next - first);
    } else {
        imu_lose(imu, (uint32_t)gone, imu->sync == IMU_LOCKED ? SENSOR_LOST_FIFO : imu->slip_cause);
    }
    if (imu->sync != IMU_LOCKED) {
        imu->slot_offset = IMU_BROKEN; /* the first frame tells */
    }
    imu->sync = IMU_LOCKED;
    imu->slips = 0;
    imu->ticking = true;
}

void imu_begin(struct imu *imu)
{
    imu->sync = IMU_FRESH;
    imu->slips = 0;
    imu->failures = 0;
    imu->ticking = false; /* until it is known which tick is which */
    imu->read_due = false;
    imu->temperature_due = false;
    imu->phase = IMU_RUNNING;
    imu->port->line->skip(imu->port->number, 0);
}

/* ---- transfers */

bool imu_transfer(struct imu *imu, enum imu_job job, uint8_t reg, uint16_t size, bool read)
{
    imu->transfer.address = imu->found->address;
    imu->transfer.reg = reg;
    imu->transfer.size = size;
    imu->transfer.read = read;
    imu->transfer.probe = false;
    imu->transfer.data = job == IMU_BURST ? imu->buffer : imu->small;
    imu->job = job;
    const struct bus *bus = imu->port->bus;
    if (!bus->start(bus->handle, &imu->transfer)) {
        imu->job = IMU_IDLE;
        return false;
    }
    return true;
}

static void failed(struct imu *imu)
{
    if (++imu->failures == FAILURES_MAX) {
        imu_abandon(imu, SENSOR_MISSING, "imu: ten reads failed in a row; looking for it again");
    }
}

static bool line_is_high(const struct imu *imu)
{
    return imu->port->line->high(imu->port->number);
}

void imu_read_level(struct imu *imu)
{
    if (!imu_transfer(imu, IMU_LEVEL, imu->chip->level_register, 2, true)) {
        failed(imu);
    }
}

static void read_burst(struct imu *imu, uint32_t frames)
{
    uint32_t room = IMU_BUFFER / imu->chip->frame_size;
    imu->burst_frames = (uint16_t)(frames < room ? frames : room);
    if (!imu_transfer(imu, IMU_BURST, imu->chip->fifo_register,
                      (uint16_t)(imu->burst_frames * imu->chip->frame_size), true)) {
        failed(imu);
    }
}

static void flush(struct imu *imu)
{
    const struct imu_step *step = &imu->chip->flush->steps[imu->flush_step];
    imu->small[0] = step->value;
    if (!imu_transfer(imu, IMU_FLUSH, step->reg, 1, false)) {
        failed(imu);
    }
}

void imu_proceed(struct imu *imu)
{
    if (imu->phase != IMU_RUNNING || imu->job != IMU_IDLE) {
        return;
    }
    if (imu->sync == IMU_SLIPPED) {
        flush(imu);
    } else if (imu->sync == IMU_LOCKED && imu_start_change(imu)) {
        return;
    } else if (imu->sync == IMU_LOCKED && !imu->chip->edge_each_sample && imu->read_due) {
        imu->read_due = false;
        read_burst(imu, imu->setup.watermark);
    } else if (imu->temperature_due) {
        if (!imu_transfer(imu, IMU_TEMPERATURE_READ, imu->chip->temperature_register, 2, true)) {
            failed(imu);
        }
    } else if (imu->sync == IMU_LOCKED && !imu->chip->edge_each_sample && line_is_high(imu)) {
        imu_read_level(imu);
    }
}

/* ---- samples */

static void deliver_temperature(struct imu *imu, uint64_t time_us, int16_t raw)
{
    const struct sensor_sink *sink = imu->sensor.sink;
    imu->temperature_raw = raw;
    imu->temperature_known = true;
    sink->sample(sink->context, (uint8_t)(imu->sensor.first_stream + IMU_TEMPERATURE), time_us, &raw);
}

static void temperature_tick(struct imu *imu, uint64_t time_us, const uint8_t *frame)
{
    imu->until_temperature = imu->temperature_every;
    if (imu->chip->frame_temperature != NULL) {
        deliver_temperature(imu, time_us, imu->chip->frame_temperature(frame));
        return;
    }
    if (imu->temperature_due) { /* the one before was not read in time */
        const struct sensor_sink *sink = imu->sensor.sink;
        sink->lost(sink->context, (uint8_t)(imu->sensor.first_stream + IMU_TEMPERATURE), SENSOR_LOST_BUS, 1);
    }
    imu->temperature_due = true;
    imu->temperature_us = time_us;
}

static void deliver(struct imu *imu)
{
    const struct sensor_sink *sink = imu->sensor.sink;
    const struct imu_chip *chip = imu->chip;
    const uint8_t *frame = imu->buffer;
    const uint8_t *end = frame + (uint32_t)imu->burst_frames * chip->frame_size;
    imu_clock_measure(&imu->clock);
    uint64_t time = imu_clock_time(&imu->clock, imu->next);
    for (; frame != end; frame += chip->frame_size, time += imu->clock.period) {
        uint32_t sample[3];
        uint8_t slot = chip->unpack(frame, sample);
        if (imu->slot_offset == IMU_BROKEN && slot != IMU_BROKEN) {
            imu->slot_offset = (uint8_t)(slot - imu->next) & chip->slot_mask & (uint8_t)~IMU_BROKEN;
        }
        if (((slot ^ ((imu->next + imu->slot_offset) & ~IMU_BROKEN)) & chip->slot_mask) != 0) {
            slip(imu, SENSOR_LOST_FIFO);
            return;
        }
        uint64_t time_us = time >> IMU_CLOCK_SHIFT;
        sink->sample(sink->context, imu->sensor.first_stream, time_us, sample);
        imu->next++;
        if (--imu->until_temperature == 0) {
            temperature_tick(imu, time_us, frame);
        }
    }
    sink->end_reading(sink->context, imu->sensor.first_stream);
}

/* ---- ends of transfers */

/* With an edge each sample the one told last, at which the look began, is the newest sample in the FIFO,
 * unless one came meanwhile. */
static void check_label(struct imu *imu, uint32_t frames)
{
    uint32_t first = imu->clock.mark.tick + 1u - frames;
    if (imu->port->line->edges(imu->port->number) != imu->edge) {
        return;
    }
    if (imu->sync == IMU_LOCKED && first == imu->next) {
        imu->slips = 0;
    } else if (imu->sync != IMU_LOCKED || ++imu->slips == SLIPS_MAX) {
        lock_at(imu, first);
    }
}

/* What came before STOP and cannot be read any more. */
static void lose_undrained(struct imu *imu, enum sensor_loss cause)
{
    uint32_t half_us = imu->clock.period >> (IMU_CLOCK_SHIFT + 1u); /* the last tick has to be over */
    uint32_t last = imu->clock.mark.tick + imu_clock_ticks(&imu->clock, imu->stopped_us - half_us);
    int32_t gone = (int32_t)(last - imu->next) + 1;
    imu_lose(imu, gone > 0 ? (uint32_t)gone : 0, cause);
}

static void level_read(struct imu *imu)
{
    uint32_t frames = imu->chip->level(imu->small);
    if (imu->phase == IMU_DRAIN && (frames == 0 || frames == IMU_OVERRUN || imu->sync != IMU_LOCKED)) {
        if (frames != 0) {
            lose_undrained(imu, SENSOR_LOST_FIFO);
        }
        imu_drained(imu);
        return;
    }
    if (frames == IMU_OVERRUN) {
        /* What an LSM6DSO still holds, its newest 256 samples, is thrown away with the rest. While its FIFO
         * is full each new sample overwrites the oldest, which is the one being read: over I2C that takes
         * half a period. Its two words are then of two samples, or a word has the tag of one and data of
         * another, which no check sees. */
        slip(imu, SENSOR_LOST_FIFO);
    } else if (imu->phase == IMU_RUNNING && imu->chip->edge_each_sample) {
        check_label(imu, frames);
    }
    if (imu->sync == IMU_LOCKED && frames != 0) {
        read_burst(imu, frames);
    }
}

static void burst_read(struct imu *imu)
{
    deliver(imu);
    if (imu->phase == IMU_DRAIN) {
        imu_read_level(imu);
    }
}

static void flushed(struct imu *imu)
{
    if (++imu->flush_step == imu->chip->flush->count) {
        imu->sync = imu->ticking ? IMU_FLUSHED : IMU_FRESH;
        imu->read_due = false;
    }
}

static void read_failed(struct imu *imu, enum imu_job job)
{
    const struct sensor_sink *sink = imu->sensor.sink;
    if (imu->phase == IMU_DRAIN) {
        lose_undrained(imu, SENSOR_LOST_BUS);
        imu_abandon(imu, SENSOR_MISSING, "imu: a change of settings failed; configuring it anew");
        return;
    }
    if (job == IMU_BURST) { /* part of it may have left the FIFO */
        slip(imu, SENSOR_LOST_BUS);
    } else if (job == IMU_TEMPERATURE_READ) {
        imu->temperature_due = false;
        sink->lost(sink->context, (uint8_t)(imu->sensor.first_stream + IMU_TEMPERATURE), SENSOR_LOST_BUS, 1);
    }
    failed(imu);
}

void imu_transfer_done(void *context, enum transfer_status status)
{
    struct imu *imu = context;
    enum imu_job job = imu->job;
    imu->job = IMU_IDLE;
    if (job == IMU_STEP) {
        imu_step_done(imu, status);
        return;
    }
    if (imu->phase != IMU_RUNNING && imu->phase != IMU_DRAIN) {
        return; /* given up meanwhile */
    }
    if (status != TRANSFER_OK) {
        read_failed(imu, job);
        return; /* the next edge, or poll(), tries again */
    }
    imu->failures = 0;
    if (job == IMU_LEVEL) {
        level_read(imu);
    } else if (job == IMU_BURST) {
        burst_read(imu);
    } else if (job == IMU_FLUSH) {
        flushed(imu);
    } else {
        imu->temperature_due = false;
        deliver_temperature(imu, imu->temperature_us, (int16_t)(imu->small[0] | imu->small[1] << 8));
    }
    imu_proceed(imu);
}

/* ---- edges */

static void edge_of_sample(struct imu *imu, uint64_t edge_us)
{
    imu_clock_edge(&imu->clock, edge_us);
    if (imu->job != IMU_IDLE || imu->sync == IMU_SLIPPED) {
        return; /* the FIFO is to be emptied first */
    }
    int32_t waiting = (int32_t)(imu->clock.mark.tick - imu->next) + 1;
    if (imu->sync == IMU_FRESH || imu->sync == IMU_FLUSHED || waiting >= imu->setup.watermark) {
        imu_read_level(imu);
        waiting = 0;
    }
    /* Until the next reading time numbers the ticks well enough, once the clock is settled. */
    if (imu->sync == IMU_LOCKED && imu_clock_is_settled(&imu->clock)) {
        imu->port->line->skip(imu->port->number, imu->setup.watermark - 1u - (uint32_t)waiting);
    }
}

static void edge_of_watermark(struct imu *imu, uint64_t edge_us)
{
    if (imu->sync == IMU_SLIPPED || imu->job == IMU_BURST || imu->job == IMU_LEVEL || imu->job == IMU_FLUSH) {
        return; /* the level is not the watermark's; what is left keeps the line high */
    }
    if (imu->read_due || !line_is_high(imu)) {
        return; /* noise: at the watermark the line rises once and stays high until the FIFO is read */
    }
    uint32_t newest = imu->next + imu->setup.watermark - 1u;
    if (imu->sync == IMU_FLUSHED) {
        newest = imu->clock.mark.tick + imu_clock_ticks(&imu->clock, edge_us);
    }
    imu_clock_mark(&imu->clock, newest, edge_us);
    if (imu->sync != IMU_LOCKED) {
        lock_at(imu, newest + 1u - imu->setup.watermark);
    }
    imu->read_due = true;
}

/* The bus fails but the sensor runs: its ticks are lost. */
static void edge_without_reading(struct imu *imu, uint64_t edge_us)
{
    if (!imu->ticking || !imu->chip->edge_each_sample) {
        return;
    }
    if (edge_us - imu->clock.mark.us > SILENCE_US) {
        imu->ticking = false; /* switched off and on: it counts again when it is found */
        return;
    }
    imu_clock_edge(&imu->clock, edge_us);
    int32_t gone = (int32_t)(imu->clock.mark.tick - imu->next) + 1;
    if (gone > 0) {
        imu_lose(imu, (uint32_t)gone, SENSOR_LOST_BUS);
    }
}

void imu_data_ready(struct imu *imu, enum sensor_bus port, uint64_t edge_us, uint32_t edge)
{
    if (port != imu->port->number) {
        return;
    }
    imu->edge = edge;
    if (imu->phase == IMU_RUNNING) {
        if (imu->chip->edge_each_sample) {
            edge_of_sample(imu, edge_us);
        } else {
            edge_of_watermark(imu, edge_us);
        }
        imu_proceed(imu);
    } else if (imu->phase == IMU_SELF_TEST) {
        imu_average(imu);
    } else {
        edge_without_reading(imu, edge_us);
    }
}

void imu_check_line(struct imu *imu)
{
    bool waits = imu->sync == IMU_FRESH || imu->sync == IMU_FLUSHED;
    if (waits && imu->job == IMU_IDLE && !imu->chip->edge_each_sample && line_is_high(imu)) {
        slip(imu, SENSOR_LOST_FIFO); /* the edge came before anyone listened */
    }
}

void imu_lose_by_time(struct imu *imu, uint64_t now_us)
{
    if (!imu->ticking || imu->chip->edge_each_sample || !line_is_high(imu)) {
        return;
    }
    uint32_t tick = imu->clock.mark.tick + imu_clock_ticks(&imu->clock, now_us);
    int32_t gone = (int32_t)(tick - imu->next);
    if (gone > 0) {
        imu_lose(imu, (uint32_t)gone, SENSOR_LOST_BUS);
    }
}
