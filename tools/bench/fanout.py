"""Fan-out: what a delivered message costs, beside foxglove-sdk and bare websockets; many and stalled subscribers."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np

from bench.report import Row
from telemetry_bridge.config import Limits, ServerConfig
from telemetry_bridge.events import (
    Batch,
    ClockInfo,
    DeviceChanged,
    DeviceInfo,
    EpochStarted,
    FieldInfo,
    LinkStats,
    StreamInfo,
)
from telemetry_bridge.hub import Hub
from telemetry_bridge.server import Server

PER_BATCH = 20
FIELDS = tuple(
    FieldInfo(f"{kind}_{axis}", unit, 1.0) for kind, unit in (("accel", "m/s^2"), ("gyro", "rad/s")) for axis in "xyz"
)
ROUNDS = 3
WARM_UP_S = 2.0
SECONDS = 8.0
KINDS = ("ours", "foxglove", "broadcast")

# ------------------------------------------------------------------ servers, each a process of its own


def batch(index: int) -> Batch:
    """20 six-axis samples, made now by the monotonic clock."""
    values = np.zeros((6, PER_BATCH), np.float32)
    now_ns = time.monotonic_ns()
    return Batch("d", "imu", 1, index, now_ns, 1_000_000, 0, values, 0, b"", now_ns)


async def every(rate_hz: float, work: Callable[[int], None]) -> None:
    """Call ``work`` with 0, 1, 2 … at this rate, for ever; a late call is made up for."""
    start, number = time.monotonic(), 0
    while True:
        work(number)
        number += 1
        await asyncio.sleep(max(0.0, start + number / rate_hz - time.monotonic()))


@contextlib.asynccontextmanager
async def serve_ours() -> AsyncIterator[tuple[str, Callable[[int], None]]]:
    """The bridge's own hub and server."""
    hub = Hub()
    many = Limits(connections=2000, connections_per_address=2000, pending=2000)
    async with Server(hub, ServerConfig(port=0), many) as server:
        stream = StreamInfo(0, "imu", "bench", FIELDS, 1000.0, 1000.0, 0, 1, 0, "streaming", 20_000, True)
        info = DeviceInfo("d", "online", "b", "f", "r", "d", "0", "", 921600, "b:", ClockInfo(), (stream,), LinkStats())
        hub.publish(DeviceChanged(info))
        hub.publish(EpochStarted("d", "imu", 1, "0", FIELDS, 0))
        yield f"ws://127.0.0.1:{server.port}/ws", lambda number: hub.publish(batch(number * PER_BATCH))


@contextlib.asynccontextmanager
async def serve_broadcast() -> AsyncIterator[tuple[str, Callable[[int], None]]]:
    """What websockets itself offers: no queue, no bound, the same bytes to everybody."""
    import websockets.asyncio.server as ws_server

    async def hold(client: ws_server.ServerConnection) -> None:
        await client.wait_closed()

    payload = bytes(32 + 24 * PER_BATCH)
    async with ws_server.serve(hold, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        yield (
            f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/",
            lambda _: ws_server.broadcast(server.connections, payload),
        )


@contextlib.asynccontextmanager
async def serve_foxglove() -> AsyncIterator[tuple[str, Callable[[int], None]]]:
    """The server of foxglove-sdk, in Rust."""
    import foxglove

    server = foxglove.start_server(port=0)
    schema = foxglove.Schema(name="bench", encoding="bench", data=b"")
    channel = foxglove.Channel("/imu", schema=schema, message_encoding="bench")
    payload = bytes(32 + 24 * PER_BATCH)
    yield f"ws://127.0.0.1:{server.port}/", lambda _: channel.log(payload)
    server.stop()


SERVERS = {"ours": serve_ours, "broadcast": serve_broadcast, "foxglove": serve_foxglove}


async def serve(kind: str, rate_hz: float) -> None:
    """What a server process does until it is killed."""
    async with SERVERS[kind]() as (url, publish):
        print(url, flush=True)
        await every(rate_hz, publish)


# ------------------------------------------------------------------ measuring


class Measured:
    """What a window of time cost and brought."""

    def __init__(self, cpu_s: float, seconds: float, rss_mb: float, counted: dict[str, Any]) -> None:
        self.cpu_s = cpu_s
        self.seconds = seconds
        self.rss_mb = rss_mb
        self.messages: int = counted["messages"]
        self.gaps: int = counted["gaps"]
        self.lost: int = counted["lost"]
        self.latencies_us: list[float] = counted["latencies_us"]

    @property
    def us_per_message(self) -> float:
        """Processor time of the server for one message to one client."""
        return self.cpu_s / self.messages * 1e6


def cpu_s(process: int) -> float:
    """Processor time that a process has used, user and system."""
    with open(f"/proc/{process}/stat", encoding="ascii") as file:  # noqa: PTH123
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(process: int) -> float:
    """Memory of a process."""
    with open(f"/proc/{process}/statm", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def window(
    kind: str, rate_hz: float, *, clients: int, seconds: float = SECONDS, stalled: int = 0, timed: bool = False
) -> Measured:
    """One server, one process of clients, one window."""
    server = subprocess.Popen(
        [sys.executable, "-m", "bench.fanout", "--serve", kind, "--rate", str(rate_hz)],
        stdout=subprocess.PIPE,
        text=True,
    )
    protocol = "plain" if kind == "broadcast" else kind
    drain = None
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        extra = ["--timed"] if timed else []
        drain = subprocess.Popen(
            [sys.executable, "-m", "bench.drain", url, "--kind", protocol, "--clients", str(clients),
             "--stalled", str(stalled), *extra],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert drain.stdin is not None
        assert drain.stdout is not None
        if drain.stdout.readline() != "ready\n":
            raise RuntimeError(f"{kind}: the clients could not subscribe")
        time.sleep(WARM_UP_S)
        drain.stdin.write("go\n")
        drain.stdin.flush()
        begin, before = time.monotonic(), cpu_s(server.pid)
        time.sleep(seconds)
        took, used = time.monotonic() - begin, cpu_s(server.pid) - before
        memory = rss_mb(server.pid)
        drain.stdin.write("stop\n")
        drain.stdin.flush()
        return Measured(used, took, memory, json.loads(drain.stdout.readline()))
    finally:
        for process in (drain, server):
            if process is not None:
                process.kill()
                process.wait()


def median(values: list[float]) -> float:
    """Of the rounds."""
    return statistics.median(values)


def cost_rows() -> list[Row]:
    """20 subscribers at 50 messages a second, the three servers in turn."""
    rounds = [{kind: window(kind, 50, clients=20).us_per_message for kind in KINDS} for _ in range(ROUNDS)]
    ours, foxglove, bare = (median([one[kind] for one in rounds]) for kind in KINDS)
    return [
        Row("CPU per delivered message, 20 subscribers, 50 messages/s", ours, "us"),
        Row("the same, foxglove-sdk's server", foxglove, "us"),
        Row("the same, bare websockets.broadcast", bare, "us"),
        Row("ours against foxglove-sdk", median([one["ours"] / one["foxglove"] for one in rounds]), "x", "<= 0.6"),
        Row(
            "ours against websockets.broadcast",
            median([one["ours"] / one["broadcast"] for one in rounds]),
            "x",
            "<= 1.2",
        ),
    ]


def many_rows() -> list[Row]:
    """1,000 subscribers at 20 messages a second."""
    measured = window("ours", 20, clients=1000)
    return [
        Row(
            "1,000 subscribers, 20 messages/s: messages delivered",
            measured.messages / measured.seconds,
            "/s",
            ">= 19500",
        ),
        Row("1,000 subscribers: core in use", 100 * measured.cpu_s / measured.seconds, "%", "<= 75"),
        Row("1,000 subscribers: gaps and lost connections", measured.gaps + measured.lost, "", "<= 0"),
    ]


def percentile(values: list[float], percent: int) -> float:
    """The given percentile, by linear interpolation."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def stalled_rows() -> list[Row]:
    """150 subscribers that read, without and with 50 that do not."""
    rounds = []
    for _ in range(ROUNDS):
        alone = window("ours", 20, clients=150, timed=True, seconds=12)
        beside = window("ours", 20, clients=150, stalled=50, timed=True, seconds=12)
        rounds.append(
            (percentile(alone.latencies_us, 99), percentile(beside.latencies_us, 99), alone.rss_mb, beside.rss_mb)
        )
    return [
        Row("150 subscribers, 20 messages/s: p99 from hub to client", median([one[0] for one in rounds]), "us"),
        Row("the same with 50 stalled ones among them", median([one[1] for one in rounds]), "us"),
        Row("growth of the p99", median([one[1] / one[0] for one in rounds]), "x", "<= 1.5"),
        Row("growth of the process", median([one[3] - one[2] for one in rounds]), "MB", "<= 50"),
    ]


def run() -> tuple[str, str, list[Row]]:
    """Measure all of it."""
    about = (
        f"Server and clients are processes of their own. A message is a batch of {PER_BATCH} six-axis samples, 512 "
        "bytes. CPU is the server process's, user and system; a client process drains all connections. foxglove-sdk "
        "and bare websockets send as many bytes at the same rate. "
        f"Medians of {ROUNDS} rounds taken in turn; ratios within a round."
    )
    return "Fan-out", about, [*cost_rows(), *many_rows(), *stalled_rows()]


def main() -> None:
    """Server process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", choices=SERVERS, required=True)
    parser.add_argument("--rate", type=float, default=50.0)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.serve, arguments.rate))


if __name__ == "__main__":
    main()
