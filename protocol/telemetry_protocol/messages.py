"""Messages of the wire. Generated from protocol/messages.toml by tools/generate_protocol.py; do not edit."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag
from typing import ClassVar, Final, Self

from construct import Bytes, Construct, Float32l, GreedyBytes, Int8ul, Int16sl, Int16ul, Int32ul, Int64ul, Struct

from .wire_types import (
    U48,
    CommandSpec,
    FieldSpec,
    HasStream,
    Message,
    Record,
    Refused,
    Text,
    WireEnum,
    list_of,
    unpack_as,
)

PROTOCOL: Final = 1
"""Protocol version of the table."""

FINGERPRINT: Final = 0x7CD3DAD8
"""CRC-32C of the canonical table."""


class ResetCause(WireEnum):
    """Why the board last started."""

    UNKNOWN = 0
    POWER_ON = 1
    BROWN_OUT = 2
    PIN = 3
    SOFTWARE = 4
    WATCHDOG = 5
    WINDOW_WATCHDOG = 6
    LOW_POWER = 7
    FAULT = 8


class FieldType(WireEnum):
    """How one field of a raw sample is stored."""

    U8 = 0
    I8 = 1
    U16 = 2
    I16 = 3
    U32 = 4
    I32 = 5
    F32 = 6


class StreamState(WireEnum):
    """What the sensor behind a stream is doing.

    stopped: disabled by the host, or not yet started; absent: an optional sensor never found since boot.
    """

    STOPPED = 0
    STREAMING = 1
    MISSING = 2
    FAILING = 3
    ABSENT = 4


class LogLevel(WireEnum):
    """Severity of a LOG line."""

    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3


class Status(WireEnum):
    """How a command ended. Anything but ok changed nothing on the board."""

    OK = 0
    UNKNOWN_COMMAND = 1
    BAD_LENGTH = 2
    BAD_ARGUMENT = 3
    UNKNOWN_STREAM = 4
    OVER_LINE_BUDGET = 5
    OVER_BUS_BUDGET = 6
    UNSUPPORTED = 7
    BUSY = 8
    FAILED = 9


class Configuration(WireEnum):
    """Which settings to take into force."""

    STORED = 0
    DEFAULTS = 1


class Capabilities(IntFlag):
    """What this firmware can do beyond the minimum, and, from internal_oscillator on, what its clock does without.

    internal_oscillator: the external one does not start; no_pll: none locks either, the core has the bare
    oscillator's clock. Bits without a name are zero.
    """

    TX_DMA = 1 << 0
    SENSOR_BUS = 1 << 1
    RETRANSMISSION = 1 << 2
    COMPRESSION = 1 << 3
    ROM_BOOTLOADER = 1 << 4
    STORED_CONFIGURATION = 1 << 5
    BAUD_CHANGE = 1 << 6
    INTERNAL_OSCILLATOR = 1 << 7
    NO_PLL = 1 << 8


@dataclass(frozen=True, slots=True)
class FieldDescriptor(Record):
    """One field of a raw sample and how to turn it into SI: value = raw * scale + offset."""

    type: int
    """storage of the raw value [FieldType]"""
    scale: float
    """SI units per count"""
    offset: float
    """SI value of raw 0"""
    full_scale: float
    """largest magnitude the sensor can report, in SI; 0 where it has none"""
    name: str
    """accel_x, gyro_z, temperature, ..."""
    unit: str
    """m/s^2, rad/s, degC, V"""

    LAYOUT: ClassVar[Construct] = Struct(
        "type" / Int8ul,
        "scale" / Float32l,
        "offset" / Float32l,
        "full_scale" / Float32l,
        "name" / Text,
        "unit" / Text,
    )


@dataclass(frozen=True, slots=True)
class StreamHealth(Record):
    """What became of one stream's samples.

    next_index minus the samples sent is the sum of the losses and of what waits in the board.
    """

    stream: int
    """stream number"""
    state: int
    """what the sensor is doing [StreamState]"""
    next_index: int
    """index that the next tick of the sensor gets"""
    lost_fifo: int
    """samples overwritten in the sensor before they were read"""
    lost_ring: int
    """samples dropped because the transmit ring was full"""
    lost_bus: int
    """samples not read because the sensor bus failed"""

    LAYOUT: ClassVar[Construct] = Struct(
        "stream" / Int8ul,
        "state" / Int8ul,
        "next_index" / Int32ul,
        "lost_fifo" / Int32ul,
        "lost_ring" / Int32ul,
        "lost_bus" / Int32ul,
    )


@dataclass(frozen=True, slots=True)
class SensorHealth(Record):
    """What the board knows of the sensor behind a stream."""

    stream: int
    """stream number"""
    measured_mhz: int
    """output data rate against the board's clock; 0 until it is known [mHz]"""
    temperature_cdegc: int
    """the sensor's die; -32768 where unknown [cdegC]"""

    LAYOUT: ClassVar[Construct] = Struct(
        "stream" / Int8ul,
        "measured_mhz" / Int32ul,
        "temperature_cdegc" / Int16sl,
    )


@dataclass(frozen=True, slots=True)
class SelfTestField(Record):
    """What the self-test of one field gave: it passes when low <= response <= high, the limits of the datasheet."""

    response: float
    """self-test response, in the unit that the datasheet states limits in"""
    low: float
    """lowest response that passes"""
    high: float
    """highest response that passes"""

    LAYOUT: ClassVar[Construct] = Struct(
        "response" / Float32l,
        "low" / Float32l,
        "high" / Float32l,
    )


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """Who the board is. Sent at boot and with every describe."""

    protocol: int
    """protocol version of the table"""
    fingerprint: int
    """CRC-32C of the canonical table"""
    boot_id: int
    """never the same for two boots in a row"""
    uid: bytes
    """MCU unique id; zero where there is none"""
    reset_cause: int
    """why the board started [ResetCause]"""
    capabilities: int
    """what it can do [Capabilities]"""
    clock_hz: int
    """core clock [Hz]"""
    baud: int
    """actual rate of the line, from the divider [baud]"""
    baud_max: int
    """highest rate this line can make [baud]"""
    retransmit: int
    """bytes of retransmission memory [B]"""
    time_us: int
    """device time when this was written [us]"""
    streams: int
    """how many STREAM descriptors belong to this board"""
    firmware: str
    """version, e.g. 0.1.0"""
    revision: str
    """git revision of the build"""
    board: str
    """e.g. nucleo_f411re"""

    TYPE: ClassVar[int] = 0x01
    NAME: ClassVar[str] = "hello"
    SIZE: ClassVar[int] = 52
    LAYOUT: ClassVar[Construct] = Struct(
        "protocol" / Int8ul,
        "fingerprint" / Int32ul,
        "boot_id" / Int32ul,
        "uid" / Bytes(12),
        "reset_cause" / Int8ul,
        "capabilities" / Int32ul,
        "clock_hz" / Int32ul,
        "baud" / Int32ul,
        "baud_max" / Int32ul,
        "retransmit" / Int32ul,
        "time_us" / U48,
        "streams" / Int8ul,
        "firmware" / Text,
        "revision" / Text,
        "board" / Text,
    )


@dataclass(frozen=True, slots=True)
class Stream(HasStream, Message):
    """Descriptor of one stream.

    Sent at boot, with every describe, and whenever it changes (then with a new generation).
    """

    stream_gen: int
    """stream number (bits 0-4) and generation (bits 5-7)"""
    rate_mhz: int
    """nominal output data rate (ODR) [mHz]"""
    group_delay_us: int
    """group delay of the sensor's low-pass filter [us]"""
    fifo_depth: int
    """samples the sensor itself can hold; 0 without FIFO"""
    name: str
    """imu, imu_temp, mcu_temp, ..."""
    sensor: str
    """part, e.g. mpu6050"""
    fields: tuple[FieldDescriptor, ...]
    """in the order in which a sample stores them"""
    latency_us: int
    """how old a sample is at most when its batch is ready for the line [us]"""
    enabled: int
    """1: sampled and sent; 0: disabled by the host"""

    TYPE: ClassVar[int] = 0x02
    NAME: ClassVar[str] = "stream"
    SIZE: ClassVar[int] = 19
    LAYOUT: ClassVar[Construct] = Struct(
        "stream_gen" / Int8ul,
        "rate_mhz" / Int32ul,
        "group_delay_us" / Int32ul,
        "fifo_depth" / Int16ul,
        "name" / Text,
        "sensor" / Text,
        "fields" / list_of(FieldDescriptor),
        "latency_us" / Int32ul,
        "enabled" / Int8ul,
    )


@dataclass(frozen=True, slots=True)
class Samples(HasStream, Message):
    """A run of samples without a hole."""

    stream_gen: int
    """stream number (bits 0-4) and generation (bits 5-7)"""
    index: int
    """index of the first sample; counts every tick of the sensor"""
    time_us: int
    """device time of the first sample [us]"""
    data: bytes
    """samples, each its fields packed without padding"""

    TYPE: ClassVar[int] = 0x03
    NAME: ClassVar[str] = "samples"
    SIZE: ClassVar[int] = 11
    LAYOUT: ClassVar[Construct] = Struct(
        "stream_gen" / Int8ul,
        "index" / Int32ul,
        "time_us" / U48,
        "data" / GreedyBytes,
    )
    _FIXED: ClassVar[struct.Struct] = struct.Struct("<BIIH")

    @classmethod
    def _parse(cls, payload: bytes) -> Self:
        stream_gen, index, time_us_low, time_us_high = cls._FIXED.unpack_from(payload)
        return cls(stream_gen, index, time_us_low | time_us_high << 32, payload[11:])


@dataclass(frozen=True, slots=True)
class Health(Message):
    """Counters since boot and the state of the board. Sent at 1 Hz and on request."""

    time_us: int
    """device time of this snapshot [us]"""
    uptime_s: int
    """seconds since boot [s]"""
    cpu_permille: int
    """share of the last second not spent asleep, in 1/1000"""
    stack_free: int
    """stack bytes never used since boot (high-water) [B]"""
    supply_mv: int
    """supply voltage; 0 where unknown [mV]"""
    mcu_cdegc: int
    """die temperature of the MCU; -32768 where unknown [cdegC]"""
    rx_overrun: int
    """UART: bytes lost because they were not read in time"""
    rx_framing: int
    """UART: stop bit missing"""
    rx_noise: int
    """UART: noise detected"""
    refused_cobs: int
    """frames from the host refused: COBS broken"""
    refused_crc: int
    """frames from the host refused: CRC wrong"""
    refused_length: int
    """frames from the host refused: too short or too long"""
    refused_type: int
    """frames from the host refused: type unknown"""
    dropped_messages: int
    """HEALTH, LOG and STREAM frames dropped because the transmit ring was full"""
    bus_nack: int
    """sensor bus: address or data not acknowledged"""
    bus_error: int
    """sensor bus: bus error or arbitration lost"""
    bus_timeout: int
    """sensor bus: transfer not finished in time"""
    streams: tuple[StreamHealth, ...]
    """one entry per stream"""
    sensors: tuple[SensorHealth, ...]
    """one entry per stream whose sensor is there"""
    bus_recoveries: int
    """sensor bus: times that a held bus was freed with clocks"""
    rx_dropped: int
    """UART: bytes overwritten in the receive ring before they were read; a lower bound where an erase of the flash
    stalled the core, for rounds of the ring beyond the first go unseen"""
    baud_fallbacks: int
    """times that the line went back to the default rate because the host was silent"""
    flash_stall_us: int
    """longest time that writing the configuration stalled the core [us]"""
    dma_error: int
    """DMA: transfers that the controller gave up, of the UART and the sensor buses"""

    TYPE: ClassVar[int] = 0x04
    NAME: ClassVar[str] = "health"
    SIZE: ClassVar[int] = 84
    LAYOUT: ClassVar[Construct] = Struct(
        "time_us" / U48,
        "uptime_s" / Int32ul,
        "cpu_permille" / Int16ul,
        "stack_free" / Int16ul,
        "supply_mv" / Int16ul,
        "mcu_cdegc" / Int16sl,
        "rx_overrun" / Int32ul,
        "rx_framing" / Int32ul,
        "rx_noise" / Int32ul,
        "refused_cobs" / Int32ul,
        "refused_crc" / Int32ul,
        "refused_length" / Int32ul,
        "refused_type" / Int32ul,
        "dropped_messages" / Int32ul,
        "bus_nack" / Int32ul,
        "bus_error" / Int32ul,
        "bus_timeout" / Int32ul,
        "streams" / list_of(StreamHealth),
        "sensors" / list_of(SensorHealth),
        "bus_recoveries" / Int32ul,
        "rx_dropped" / Int32ul,
        "baud_fallbacks" / Int32ul,
        "flash_stall_us" / Int32ul,
        "dma_error" / Int32ul,
    )


@dataclass(frozen=True, slots=True)
class Log(Message):
    """A line of text for a human; rate-limited by the board."""

    time_us: int
    """device time [us]"""
    level: int
    """severity [LogLevel]"""
    text: str
    """one line, no newline"""

    TYPE: ClassVar[int] = 0x05
    NAME: ClassVar[str] = "log"
    SIZE: ClassVar[int] = 8
    LAYOUT: ClassVar[Construct] = Struct(
        "time_us" / U48,
        "level" / Int8ul,
        "text" / Text,
    )


@dataclass(frozen=True, slots=True)
class Fault(Message):
    """The record of a crash that survived the reset.

    Sent at boot and with every describe while the board holds it.
    """

    boot_id: int
    """boot that crashed"""
    time_us: int
    """device time of the crash [us]"""
    cause: int
    """exception number (3 HardFault, 4 MemManage, 5 BusFault, 6 UsageFault), 0 for a failed assert, 255 for a main loop
    that has stopped (the watchdog; pc is where it was)"""
    pc: int
    """stacked program counter"""
    lr: int
    """stacked link register"""
    sp: int
    """stack pointer at the fault"""
    psr: int
    """stacked program status"""
    cfsr: int
    """Configurable Fault Status Register"""
    hfsr: int
    """HardFault Status Register"""
    mmfar: int
    """MemManage Fault Address Register"""
    bfar: int
    """BusFault Address Register"""

    TYPE: ClassVar[int] = 0x06
    NAME: ClassVar[str] = "fault"
    SIZE: ClassVar[int] = 43
    LAYOUT: ClassVar[Construct] = Struct(
        "boot_id" / Int32ul,
        "time_us" / U48,
        "cause" / Int8ul,
        "pc" / Int32ul,
        "lr" / Int32ul,
        "sp" / Int32ul,
        "psr" / Int32ul,
        "cfsr" / Int32ul,
        "hfsr" / Int32ul,
        "mmfar" / Int32ul,
        "bfar" / Int32ul,
    )
    _FIXED: ClassVar[struct.Struct] = struct.Struct("<IIHBIIIIIIII")

    @classmethod
    def _parse(cls, payload: bytes) -> Self:
        boot_id, time_us_low, time_us_high, cause, pc, lr, sp, psr, cfsr, hfsr, mmfar, bfar = cls._FIXED.unpack_from(
            payload
        )
        return cls(boot_id, time_us_low | time_us_high << 32, cause, pc, lr, sp, psr, cfsr, hfsr, mmfar, bfar)


@dataclass(frozen=True, slots=True)
class Response(Message):
    """The one answer to a command; sent ahead of waiting SAMPLES."""

    request: int
    """request id of the command"""
    command: int
    """command id"""
    status: int
    """how it ended [Status]"""
    data: bytes
    """the command's result fields when ok, else its refusal fields or nothing"""

    TYPE: ClassVar[int] = 0x07
    NAME: ClassVar[str] = "response"
    SIZE: ClassVar[int] = 4
    LAYOUT: ClassVar[Construct] = Struct(
        "request" / Int16ul,
        "command" / Int8ul,
        "status" / Int8ul,
        "data" / GreedyBytes,
    )
    _FIXED: ClassVar[struct.Struct] = struct.Struct("<HBB")

    @classmethod
    def _parse(cls, payload: bytes) -> Self:
        request, command, status = cls._FIXED.unpack_from(payload)
        return cls(request, command, status, payload[4:])


@dataclass(frozen=True, slots=True)
class Command(Message):
    """A request. Absolute-valued and safe to repeat."""

    request: int
    """chosen by the host, returned in the RESPONSE"""
    command: int
    """command id"""
    args: bytes
    """the command's argument fields"""

    TYPE: ClassVar[int] = 0x40
    NAME: ClassVar[str] = "command"
    SIZE: ClassVar[int] = 3
    LAYOUT: ClassVar[Construct] = Struct(
        "request" / Int16ul,
        "command" / Int8ul,
        "args" / GreedyBytes,
    )
    _FIXED: ClassVar[struct.Struct] = struct.Struct("<HB")

    @classmethod
    def _parse(cls, payload: bytes) -> Self:
        request, command = cls._FIXED.unpack_from(payload)
        return cls(request, command, payload[3:])


MESSAGES: Final[dict[int, type[Message]]] = {
    message.TYPE: message
    for message in (
        Hello,
        Stream,
        Samples,
        Health,
        Log,
        Fault,
        Response,
        Command,
    )
}
"""Every message by its id."""


COMMANDS: Final[dict[str, CommandSpec]] = {
    "ping": CommandSpec(
        id=1,
        name="ping",
        doc=(
            "Clock exchange. received_us is stamped in the receive interrupt, sent_us when the "
            "answer's transmission starts."
        ),
        args=(FieldSpec("host_ns", "u64", Int64ul, "returned as it came", unit="ns"),),
        result=(
            FieldSpec("host_ns", "u64", Int64ul, "as it came", unit="ns"),
            FieldSpec("received_us", "u48", U48, "device time at the delimiter of the command", unit="us"),
            FieldSpec("sent_us", "u48", U48, "device time at the first byte of the answer", unit="us"),
        ),
        refusal=(),
    ),
    "describe": CommandSpec(
        id=2,
        name="describe",
        doc="Send HELLO, every STREAM and any FAULT again.",
        args=(),
        result=(),
        refusal=(),
    ),
    "get_rate": CommandSpec(
        id=3,
        name="get_rate",
        doc="The output data rate of a stream.",
        args=(FieldSpec("stream", "u8", Int8ul, "stream number"),),
        result=(FieldSpec("rate_mhz", "u32", Int32ul, "nominal rate in force", unit="mHz"),),
        refusal=(),
    ),
    "set_rate": CommandSpec(
        id=4,
        name="set_rate",
        doc=(
            "Change the output data rate. The sensor's nearest rate is taken and stated; a refusal "
            "for a budget says what it needs and what there is."
        ),
        args=(
            FieldSpec("stream", "u8", Int8ul, "stream number"),
            FieldSpec("rate_mhz", "u32", Int32ul, "wanted rate", unit="mHz"),
        ),
        result=(
            FieldSpec("rate_mhz", "u32", Int32ul, "nominal rate now in force", unit="mHz"),
            FieldSpec("generation", "u8", Int8ul, "generation of the descriptor now in force"),
        ),
        refusal=(
            FieldSpec(
                "needed",
                "u32",
                Int32ul,
                (
                    "what the rate would take: bits per second on the line or the sensor bus; for a bad "
                    "argument the lowest possible rate in mHz"
                ),
            ),
            FieldSpec(
                "available",
                "u32",
                Int32ul,
                "what there is: bits per second; for a bad argument the highest possible rate in mHz",
            ),
        ),
    ),
    "get_health": CommandSpec(
        id=5,
        name="get_health",
        doc="Send HEALTH now.",
        args=(),
        result=(),
        refusal=(),
    ),
    "reset": CommandSpec(
        id=6,
        name="reset",
        doc="Answer, drain the line, then reset the MCU.",
        args=(),
        result=(),
        refusal=(),
    ),
    "set_range": CommandSpec(
        id=7,
        name="set_range",
        doc=(
            "Change the full-scale range of a field and of those that share it (an accelerometer's "
            "axes). The smallest range that holds the wanted one is taken and stated."
        ),
        args=(
            FieldSpec("stream", "u8", Int8ul, "stream number"),
            FieldSpec("field", "u8", Int8ul, "number of one of the fields, from 0"),
            FieldSpec("full_scale", "f32", Float32l, "wanted largest magnitude, in the field's SI unit"),
        ),
        result=(
            FieldSpec("full_scale", "f32", Float32l, "largest magnitude now in force"),
            FieldSpec("generation", "u8", Int8ul, "generation of the descriptor now in force"),
        ),
        refusal=(
            FieldSpec("lowest", "f32", Float32l, "smallest full scale that the field can have"),
            FieldSpec("highest", "f32", Float32l, "largest full scale that the field can have"),
        ),
    ),
    "enable_stream": CommandSpec(
        id=8,
        name="enable_stream",
        doc=(
            "Enable or disable a stream. A disabled one has no ticks: its index stands still. "
            "Enabling is refused when the line has no room for it."
        ),
        args=(
            FieldSpec("stream", "u8", Int8ul, "stream number"),
            FieldSpec("enabled", "u8", Int8ul, "1: sample and send; 0: stop"),
        ),
        result=(),
        refusal=(
            FieldSpec("needed", "u32", Int32ul, "bits per second that the line or the sensor bus would have to carry"),
            FieldSpec("available", "u32", Int32ul, "bits per second that there are"),
        ),
    ),
    "set_latency": CommandSpec(
        id=9,
        name="set_latency",
        doc=(
            "How old a sample of the stream may be when its batch is ready for the line. Shorter "
            "costs line: refused, with the numbers, when it does not fit. Never less than the sensor "
            "needs: the answer says."
        ),
        args=(
            FieldSpec("stream", "u8", Int8ul, "stream number"),
            FieldSpec(
                "latency_us", "u32", Int32ul, "1,000 to 1,000,000; 0: back to the default for the rate", unit="us"
            ),
        ),
        result=(FieldSpec("latency_us", "u32", Int32ul, "bound now in force, which may be longer", unit="us"),),
        refusal=(
            FieldSpec(
                "needed",
                "u32",
                Int32ul,
                ("bits per second that the line would have to carry; for a bad argument the lowest bound in us"),
            ),
            FieldSpec(
                "available",
                "u32",
                Int32ul,
                "bits per second that there are; for a bad argument the highest bound in us",
            ),
        ),
    ),
    "set_baud": CommandSpec(
        id=10,
        name="set_baud",
        doc=(
            "Change the line's rate: answered at the old rate, drained, switched. Without a valid "
            "ping within 1 s the line goes back; at any other than the default rate 5 s without a "
            "valid frame of the host bring the default back. Never stored."
        ),
        args=(
            FieldSpec(
                "baud",
                "u32",
                Int32ul,
                "wanted rate, 115,200 to 3,000,000; within 1 % of one that the clock makes",
                unit="baud",
            ),
        ),
        result=(FieldSpec("baud", "u32", Int32ul, "actual rate, from the divider", unit="baud"),),
        refusal=(
            FieldSpec(
                "needed", "u32", Int32ul, "bits per second that the streams take; for a bad argument the lowest rate"
            ),
            FieldSpec(
                "available",
                "u32",
                Int32ul,
                "bits per second that the wanted rate would carry; for a bad argument the highest rate",
            ),
        ),
    ),
    "self_test": CommandSpec(
        id=11,
        name="self_test",
        doc=(
            "Run the built-in self-test of the sensor behind a stream, against the datasheet's "
            "limits; keep the board still. Its streams are interrupted for it."
        ),
        args=(FieldSpec("stream", "u8", Int8ul, "stream number"),),
        result=(
            FieldSpec("passed", "u8", Int8ul, "1: every field is within its limits"),
            FieldSpec("fields", "list[self_test_field]", list_of(SelfTestField), "one entry per field of the stream"),
        ),
        refusal=(),
    ),
    "save_configuration": CommandSpec(
        id=12,
        name="save_configuration",
        doc=(
            "Write the settings in force (rates, ranges, latencies, enabled streams) to flash: those "
            "of the next boot. Writing may stall the core for up to half a second; the samples that "
            "costs are counted. Nothing is written when they are stored already."
        ),
        args=(),
        result=(),
        refusal=(),
    ),
    "restore_configuration": CommandSpec(
        id=13,
        name="restore_configuration",
        doc=(
            "Take the stored settings, or the defaults, into force. The defaults also clear the "
            "store, readable or not. Answered when every sensor has taken them."
        ),
        args=(FieldSpec("source", "u8", Int8ul, "where from"),),
        result=(),
        refusal=(),
    ),
    "clear_counters": CommandSpec(
        id=14,
        name="clear_counters",
        doc=(
            "Set the counters of HEALTH to zero: line, frames, sensor bus, longest stall. Those of "
            "the streams belong to their index and stay."
        ),
        args=(),
        result=(),
        refusal=(),
    ),
    "acknowledge_fault": CommandSpec(
        id=15,
        name="acknowledge_fault",
        doc="Forget the record of that boot's crash; done already is fine.",
        args=(FieldSpec("boot_id", "u32", Int32ul, "boot_id of the FAULT"),),
        result=(),
        refusal=(),
    ),
    "enter_bootloader": CommandSpec(
        id=16,
        name="enter_bootloader",
        doc=(
            "Answer, drain the line, then start the ROM's bootloader on the same UART (AN3155), where"
            " the ROM serves it."
        ),
        args=(),
        result=(),
        refusal=(),
    ),
}
"""Every command by its name."""


COMMAND_NAMES: Final[dict[int, str]] = {command.id: name for name, command in COMMANDS.items()}
"""Name of every command by its id."""


def unpack(type: int, payload: bytes) -> Message | Refused:
    """Read the payload of a frame; bytes after the last known field are ignored. Never raises."""
    message = MESSAGES.get(type)
    if message is None:
        return Refused("type", type, payload, f"unknown message type {type:#04x}")
    return unpack_as(message, payload)
