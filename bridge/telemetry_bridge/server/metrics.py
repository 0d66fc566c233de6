"""/metrics: everything that is counted, for Prometheus.

How many series there are is bounded: devices and streams are few, subscribers go by a number that is used again, and
what subscribers that are gone were sent is summed up by stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from telemetry_bridge import __version__
from telemetry_bridge.events import DeviceInfo, GapCause, LinkStats, StreamInfo
from telemetry_bridge.hub import Hub
from telemetry_bridge.server import process
from telemetry_bridge.server.exposition import Exposition, Family, Labels
from telemetry_bridge.server.router import Router
from telemetry_bridge.server.ws import Client

PREFIX: Final = "telemetry_bridge_"
_CAUSES: Final[tuple[GapCause, ...]] = ("device", "wire", "host")
_DEVICE_STATES: Final = ("online", "offline", "released", "replay")
_CLOCK_STATES: Final = ("unsynced", "converging", "locked")
_STREAM_STATES: Final = ("streaming", "stopped", "missing", "failing", "absent")


def _counter(name: str, about: str) -> Family:
    return Family(name, "counter", about)


def _gauge(name: str, about: str) -> Family:
    return Family(name, "gauge", about)


CPU: Final = _counter("process_cpu_seconds_total", "CPU time of the bridge, user and system.")
MEMORY: Final = _gauge("process_resident_memory_bytes", "Memory of the bridge.")
FILES: Final = _gauge("process_open_fds", "Open file descriptors of the bridge.")
STARTED: Final = _gauge("process_start_time_seconds", "Unix time at which the bridge began to serve.")
BUILD: Final = _gauge("build_info", "1; the labels say which version runs.")
LAG: Final = _gauge("event_loop_lag_seconds", "How late the event loop was at worst in the last minute.")
REFUSED: Final = _counter("http_refused_requests_total", "HTTP requests that were answered with 4xx or 5xx.")
SLOW: Final = _counter("subscribers_closed_slow_total", "Subscribers that were closed because they read too slowly.")
CLOCK_STEP: Final = _gauge("clock_step_seconds", "How far the system's clock was set forward since the start.")
SINK_ERRORS: Final = _counter("sink_errors_total", "Events that a consumer inside the bridge failed on: a defect.")

DEVICE: Final = _gauge("device_info", "1; the labels say what the device is.")
DEVICE_STATE: Final = _gauge("device_state", "1 for the state that the device is in.")
BAUD: Final = _gauge("line_baud", "Rate of the line in baud.")
CLOCK_STATE: Final = _gauge("clock_state", "1 for the state that the knowledge of the device's clock is in.")
CLOCK_OFFSET: Final = _gauge("clock_offset_seconds", "Unix time minus the device's time.")
CLOCK_UNCERTAINTY: Final = _gauge("clock_uncertainty_seconds", "Bound on the error of a time stamp made now.")
CLOCK_DRIFT: Final = _gauge("clock_drift_ratio", "How much faster the device's clock runs than the host's.")
BYTES: Final = _counter("line_received_bytes_total", "Bytes from the line since it was opened, as all counters of it.")
FRAMES: Final = _counter("line_frames_total", "Frames that came whole.")
DAMAGED: Final = _counter("line_damaged_frames_total", "Frames that were damaged, by how that was seen.")
REFUSED_FRAMES: Final = _counter("line_refused_frames_total", "Whole frames that mean nothing, by what is wrong.")
MISSING: Final = _counter("line_missing_frames_total", "Frames that the wire lost, by the hole in their sequence.")
DUPLICATES: Final = _counter("line_duplicate_frames_total", "Frames whose samples had come before.")
HELD: Final = _counter("line_dropped_held_frames_total", "Frames that were held back and then dropped.")
ANSWERS: Final = _counter("line_unknown_answers_total", "Answers to no command that is known.")
UPTIME: Final = _gauge("board_uptime_seconds", "Time since the board booted, as it says.")
BOARD_CPU: Final = _gauge("board_cpu_ratio", "Share of its time that the board's CPU is busy.")
SUPPLY: Final = _gauge("board_supply_volts", "Supply of the board's MCU.")
TEMPERATURE: Final = _gauge("board_temperature_celsius", "Temperature of the board's MCU.")

PRODUCED: Final = _counter("stream_produced_samples_total", "Samples the board took, from the first that was heard on.")
DELIVERED: Final = _counter("stream_delivered_samples_total", "Samples that came through to the bridge's consumers.")
LOST: Final = _counter("stream_lost_samples_total", "Samples that gaps named, by where they were lost.")
BATCHES: Final = _counter("stream_delivered_batches_total", "Batches that came through to the bridge's consumers.")
GAPS: Final = _counter("stream_gaps_total", "Gaps that were named.")
UNCOUNTED: Final = _counter("stream_uncounted_gaps_total", "Gaps whose length nobody knows: the ends of boots.")
DISORDER: Final = _counter("stream_out_of_order_total", "Batches and gaps out of their order: a defect.")
UNACCOUNTED: Final = _gauge("unaccounted_samples", "Produced less delivered less lost: always 0.")
RATE: Final = _gauge("stream_rate_hertz", "Rate of the stream as its samples show it, else as the board says.")
NOMINAL_RATE: Final = _gauge("stream_nominal_rate_hertz", "Rate that the stream is set to; 0 while it is disabled.")
STREAM_STATE: Final = _gauge("stream_state", "1 for the state that the stream is in.")

SUBSCRIPTIONS: Final = _gauge("subscriptions", "Subscriptions to the stream.")
SUBSCRIBED: Final = _counter("subscription_samples_total", "Samples for the stream's subscribers, by their fate.")
WAITING: Final = _gauge("subscription_waiting_samples", "Samples in the queues of the stream's subscribers.")
SUBSCRIBERS: Final = _gauge("subscribers", "WebSocket connections.")
SUBSCRIBER: Final = _gauge("subscriber_info", "1; the labels say who the subscriber with this number is now.")
MESSAGES: Final = _counter("subscriber_sent_messages_total", "Messages to a subscriber since it connected.")
SAMPLES: Final = _counter("subscriber_samples_total", "Samples for a subscriber, by their fate.")
QUEUE_MESSAGES: Final = _gauge("subscriber_queue_messages", "Messages that wait for a subscriber.")
QUEUE_BYTES: Final = _gauge("subscriber_queue_bytes", "Bytes that wait for a subscriber.")
SUBSCRIBER_UNACCOUNTED: Final = _gauge(
    "subscriber_unaccounted_samples",
    "Samples of its streams that were neither sent nor skipped, said to be missing or waiting: always 0.",
)


def of_process(page: Exposition, started_unix_s: float) -> None:
    """The process, by the names that client libraries of Prometheus give it; ``page`` has no prefix."""
    page.add(CPU, process.cpu_s())
    page.add(MEMORY, process.resident_bytes())
    page.add(FILES, process.open_files())
    page.add(STARTED, started_unix_s)


def of_server(page: Exposition, lag_s: float, refused: int, closed_slow: int) -> None:
    """What the server counts for itself."""
    page.add(BUILD, 1, {"version": __version__})
    page.add(LAG, lag_s)
    page.add(REFUSED, refused)
    page.add(SLOW, closed_slow)


def of_hub(page: Exposition, hub: Hub) -> None:
    """Devices and streams."""
    page.add(CLOCK_STEP, hub.clock.step_ns() / 1e9)
    page.add(SINK_ERRORS, hub.sink_errors)
    for device in hub.devices.values():
        labels = {"device": device.id}
        _of_device(page, device, labels)
        _of_line(page, hub.ports.stats(device.id) or device.stats, labels)
        health = hub.latest(device.id, "health")
        if health is not None and device.state == "online":
            _of_board(page, health.body, labels)
        for stream in device.streams:
            _of_stream_info(page, stream, {**labels, "stream": stream.name})
    for uri, stats in hub.ports.nameless.items():
        _of_line(page, stats, {"link": uri})
    for (device_id, stream_name), state in hub.streams().items():
        labels, counters = {"device": device_id, "stream": stream_name}, state.counters
        page.add(PRODUCED, counters.produced, labels)
        page.add(DELIVERED, counters.samples, labels)
        page.add_each(LOST, {cause: counters.lost.get(cause, 0) for cause in _CAUSES}, "cause", labels)
        page.add(UNACCOUNTED, counters.unaccounted, labels)
        page.add(BATCHES, counters.batches, labels)
        page.add(GAPS, counters.gaps, labels)
        page.add(UNCOUNTED, counters.uncounted_gaps, labels)
        page.add(DISORDER, hub.out_of_order(device_id, stream_name), labels)


def _of_device(page: Exposition, device: DeviceInfo, labels: Labels) -> None:
    page.add(DEVICE, 1, {**labels, "board": device.board, "firmware": device.firmware, "link": device.link})
    page.add_state(DEVICE_STATE, device.state, _DEVICE_STATES, labels)
    clock = device.clock
    page.add_state(CLOCK_STATE, clock.state, _CLOCK_STATES, labels)
    page.add(CLOCK_OFFSET, None if clock.offset_ns is None else clock.offset_ns / 1e9, labels)
    page.add(CLOCK_UNCERTAINTY, None if clock.uncertainty_ns is None else clock.uncertainty_ns / 1e9, labels)
    page.add(CLOCK_DRIFT, None if clock.drift_ppm is None else clock.drift_ppm / 1e6, labels)
    page.add(BAUD, device.baud, labels)


def _of_line(page: Exposition, line: LinkStats, labels: Labels) -> None:
    page.add(BYTES, line.bytes, labels)
    page.add(FRAMES, line.frames, labels)
    damaged = {
        "cobs": line.damaged_cobs,
        "crc": line.damaged_crc,
        "short": line.damaged_short,
        "long": line.damaged_long,
        "partial": line.partial,
    }
    page.add_each(DAMAGED, damaged, "kind", labels)
    page.add_each(REFUSED_FRAMES, {"type": line.refused_type, "length": line.refused_length}, "reason", labels)
    page.add(MISSING, line.missing_frames, labels)
    page.add(DUPLICATES, line.duplicates, labels)
    page.add(HELD, line.held_dropped, labels)
    page.add(ANSWERS, line.unknown_answers, labels)


def _of_board(page: Exposition, health: Mapping[str, object], labels: Labels) -> None:
    for family, key in (
        (UPTIME, "uptime_s"),
        (BOARD_CPU, "cpu"),
        (SUPPLY, "supply_v"),
        (TEMPERATURE, "mcu_temperature_degc"),
    ):
        value = health.get(key)
        page.add(family, value if isinstance(value, int | float) else None, labels)


def _of_stream_info(page: Exposition, stream: StreamInfo, labels: Labels) -> None:
    page.add(NOMINAL_RATE, stream.rate_hz if stream.enabled else 0.0, labels)
    page.add(RATE, stream.measured_rate_hz if stream.enabled else 0.0, labels)
    page.add_state(STREAM_STATE, stream.state, _STREAM_STATES, labels)


def of_subscribers(page: Exposition, hub: Hub, router: Router, clients: Mapping[int, Client]) -> None:
    """Subscribers by their numbers, and what subscribers of each stream got in all."""
    owned = {number: router.subscriptions(client) for number, client in clients.items()}
    every = [subscription for subscriptions in owned.values() for subscription in subscriptions]
    page.add(SUBSCRIBERS, len(clients))
    for (device, stream), account in router.accounts.of_streams(every).items():
        labels = {"device": device, "stream": stream}
        page.add(SUBSCRIPTIONS, sum((item.device, item.stream) == (device, stream) for item in every), labels)
        fates = {"sent": account.sent, "dropped": account.dropped, "skipped": account.skipped}
        page.add_each(SUBSCRIBED, fates, "fate", labels)
        page.add(WAITING, account.waiting, labels)
    for number, client in clients.items():
        labels = {"subscriber": str(number)}
        account = router.accounts.of_subscriber(client, owned[number])
        page.add(SUBSCRIBER, 1, {**labels, "address": client.address, "name": client.identity.name})
        page.add(MESSAGES, client.sent_messages, labels)
        fates = {"sent": account.sent, "dropped": account.dropped, "skipped": account.skipped}
        page.add_each(SAMPLES, fates, "fate", labels)
        page.add(QUEUE_MESSAGES, len(client.queue), labels)
        page.add(QUEUE_BYTES, client.queue.bytes, labels)
        sums = []
        for subscription in owned[number]:
            state = hub.stream(subscription.device, subscription.stream)
            sums.append(0 if state is None else subscription.unaccounted(state) or 0)
        page.add(SUBSCRIBER_UNACCOUNTED, sum(map(abs, sums)), labels)
