"""HEALTH, LOG and FAULT as JSON-ready values: SI units, shares from 0 to 1, names instead of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from telemetry_bridge.events import LinkStats
from telemetry_bridge.session.streams import StreamTrack
from telemetry_protocol import messages

_UNKNOWN_TEMPERATURE: Final = -32768
_EXCEPTIONS: Final = {
    0: "failed assertion",
    2: "NMI",
    3: "HardFault",
    4: "MemManage",
    5: "BusFault",
    6: "UsageFault",
    255: "main loop stopped",
}
"""ARMv7-M Architecture Reference Manual (DDI 0403), section B1.5.2; 0 and 255 are the table's own."""


def health(message: messages.Health, tracks: Mapping[int, StreamTrack], stats: LinkStats) -> dict[str, object]:
    """Body of a ``health`` message. ``streams`` has the board's counters and the host's, by stream name."""
    sensors = {entry.stream: entry for entry in message.sensors}
    return {
        "uptime_s": message.uptime_s,
        "cpu": message.cpu_permille / 1000,
        "stack_free_bytes": message.stack_free,
        "supply_v": message.supply_mv / 1000 if message.supply_mv else None,
        "mcu_temperature_degc": _degc(message.mcu_cdegc),
        "flash_stall_ms": message.flash_stall_us / 1000,
        "uart": {
            "overrun": message.rx_overrun,
            "framing": message.rx_framing,
            "noise": message.rx_noise,
            "dropped": message.rx_dropped,
            "baud_fallbacks": message.baud_fallbacks,
        },
        "refused": {
            "cobs": message.refused_cobs,
            "crc": message.refused_crc,
            "length": message.refused_length,
            "type": message.refused_type,
        },
        "dropped_messages": message.dropped_messages,
        "dma_error": message.dma_error,
        "bus": {
            "nack": message.bus_nack,
            "error": message.bus_error,
            "timeout": message.bus_timeout,
            "recoveries": message.bus_recoveries,
        },
        "streams": {
            _name(entry.stream, tracks): {
                "state": messages.StreamState.label(entry.state),
                "next_index": entry.next_index,
                "lost_fifo": entry.lost_fifo,
                "lost_ring": entry.lost_ring,
                "lost_bus": entry.lost_bus,
                **_sensor(sensors.get(entry.stream)),
                **_received(tracks.get(entry.stream)),
            }
            for entry in message.streams
        },
        "link": {name: getattr(stats, name) for name in LinkStats.__dataclass_fields__},
    }


def log(message: messages.Log) -> dict[str, object]:
    """Body of a ``log`` message."""
    return {"level": messages.LogLevel.label(message.level), "text": message.text}


def fault(message: messages.Fault) -> dict[str, object]:
    """Body of a ``fault`` message; registers in hex."""
    registers = ("pc", "lr", "sp", "psr", "cfsr", "hfsr", "mmfar", "bfar")
    return {
        "boot_id": f"{message.boot_id:08x}",
        "device_time_s": message.time_us / 1e6,
        "cause": _EXCEPTIONS.get(message.cause, f"exception {message.cause}"),
        **{name: f"0x{getattr(message, name):08x}" for name in registers},
    }


def _name(number: int, tracks: Mapping[int, StreamTrack]) -> str:
    track = tracks.get(number)
    return f"stream{number}" if track is None else track.name


def _degc(cdegc: int) -> float | None:
    return None if cdegc == _UNKNOWN_TEMPERATURE else cdegc / 100


def _sensor(entry: messages.SensorHealth | None) -> dict[str, float | None]:
    """What the board knows of the sensor behind a stream; nothing of one that is not there."""
    if entry is None:
        return {"measured_rate_hz": None, "sensor_temperature_degc": None}
    return {
        "measured_rate_hz": entry.measured_mhz / 1000 if entry.measured_mhz else None,
        "sensor_temperature_degc": _degc(entry.temperature_cdegc),
    }


def _received(track: StreamTrack | None) -> dict[str, int]:
    """The host's side of a stream: samples delivered, and lost by cause."""
    if track is None:
        return {}
    return {"received": track.received, **{f"gap_{cause}": count for cause, count in track.lost.items()}}
