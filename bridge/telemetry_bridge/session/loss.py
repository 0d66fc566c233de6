"""Which samples were lost, and where: the hole in the index, shared out between board and wire.

Two witnesses: the frame sequence (unbroken since the stream's previous SAMPLES: the wire lost nothing) and the board's
own counters in HEALTH. A snapshot {next_index N, lost L} closes when every index before N is accounted for; what the
counters grew by between two closed snapshots is what the board lost of the indexes between them, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from telemetry_bridge.events import GapCause

WAITS_AT_MOST_US: Final = 500_000
"""A sample that the board has taken is sent, or counted as lost, within this time (SPEC.md: 50 ms and the queue)."""
_U32: Final = 0xFFFF_FFFF


class Share(NamedTuple):
    """A part of a hole, in order of index."""

    samples: int
    cause: GapCause
    estimated: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What HEALTH said of a stream.

    Attributes:
        next_index: 64 bits.
        lost: samples the board has lost since boot, for whatever reason, modulo 2^32.
        time_us: device time of the snapshot.
        mark: the receiver's mark when it came.
    """

    next_index: int
    lost: int
    time_us: int
    mark: int


class Ledger:
    """Accounts of one run of one stream. Indexes are 64 bits; what is accounted for was delivered or named a gap."""

    def __init__(self, *, since_boot: bool) -> None:
        self._settled: int | None = 0 if since_boot else None  # the board's losses below `accounted`
        self._snapshot: Snapshot | None = None

    def share_out(self, start: int, end: int, *, mark: int, unbroken: bool) -> list[Share]:
        """Causes of the hole ``start`` … ``end - 1``, which a frame with the receiver's ``mark`` ended.

        Args:
            unbroken: the wire lost no frame since the stream's previous SAMPLES.
        """
        hole = end - start
        snapshot = self._snapshot
        if unbroken:
            return [Share(hole, "device", False)]
        if snapshot is None or self._settled is None or snapshot.next_index <= start:
            return [Share(hole, "wire", False)]
        lost = (snapshot.lost - self._settled) & _U32
        if end < snapshot.next_index:  # some of `lost` may be beyond the hole
            device = min(lost, hole)
            return _shares(device, hole - device, estimated=device > 0)
        before = snapshot.next_index - start
        device = min(lost, before)
        after = hole - before
        if mark == snapshot.mark:  # the wire lost nothing since the snapshot
            return _shares(device, before - device) + _shares(after, 0)
        return _shares(device, hole - device)

    def account(self, end: int) -> None:
        """Everything below ``end`` is accounted for now."""
        if self._snapshot is not None and end >= self._snapshot.next_index:
            self._settled = self._snapshot.lost

    def health(self, accounted: int, mark: int, snapshot: Snapshot) -> list[Share]:
        """Take a snapshot; the shares of a tail that will not come any more, from ``accounted`` on.

        A tail is concluded only where it is safe: an earlier snapshot already had it, the board has had time to send
        it, and either the wire lost frames or the board counted all of it.

        Args:
            mark: the receiver's mark at the stream's previous SAMPLES.
        """
        earlier, self._snapshot = self._snapshot, snapshot
        shares: list[Share] = []
        if (
            earlier is not None
            and self._settled is not None
            and earlier.next_index > accounted
            and snapshot.time_us - earlier.time_us >= WAITS_AT_MOST_US
        ):
            tail = earlier.next_index - accounted
            device = min((earlier.lost - self._settled) & _U32, tail)
            if device == tail or mark != snapshot.mark:
                shares = _shares(device, tail - device)
                self._settled = earlier.lost
        self.account(accounted)
        return shares


def _shares(device: int, wire: int, *, estimated: bool = False) -> list[Share]:
    shares = []
    if device:
        shares.append(Share(device, "device", estimated))
    if wire:
        shares.append(Share(wire, "wire", estimated))
    return shares
