"""Which samples were lost, and where: the hole in the index, shared out between board and wire.

Two witnesses: the frame sequence (unbroken since the stream's previous SAMPLES: the wire lost nothing) and the board's
own counters in HEALTH. A snapshot {next_index N, lost L} closes when every index before N is accounted for; what the
counters grew by between two closed snapshots is what the board lost of the indexes between them, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    """Accounts of one run of one stream. Indexes are 64 bits; what is accounted for was delivered or named a gap.

    Of what the board has lost below the index that is accounted for, ``_settled`` is certain. It is all of it, unless a
    hole was blamed on the wire in which the board may have had a share (``_doubt``): until a snapshot closes, that
    share cannot be told from a loss that came later, and what is said of such a one is an estimate.
    """

    def __init__(self, *, since_boot: bool) -> None:
        self._settled: int | None = 0 if since_boot else None
        self._guessed = 0  # estimates of what the counters of `_snapshot` mean, which no other hole may be given again
        self._beyond = 0  # of `_settled`: what lies at or beyond the index of `_snapshot`
        self._doubt = False
        self._blind = False  # the hole that was named last may hide losses of the board
        self._snapshot: Snapshot | None = None  # the newest one that is not closed
        self._lost: int | None = None  # the counters of HEALTH, in 64 bits

    def share_out(self, start: int, end: int, *, mark: int, unbroken: bool) -> list[Share]:
        """Causes of the hole ``start`` … ``end - 1``, which a frame with the receiver's ``mark`` ended.

        Args:
            unbroken: the wire lost no frame since the stream's previous SAMPLES.
        """
        hole = end - start
        snapshot = self._snapshot
        if unbroken:
            self._settle(hole, beyond=hole if snapshot is None else end - max(start, snapshot.next_index))
            return [Share(hole, "device", False)]
        if snapshot is None or self._settled is None:
            self._blind = True
            return [Share(hole, "wire", False)]
        lost = self._unnamed(snapshot)
        if end < snapshot.next_index:  # some of `lost` may be beyond the hole
            device = min(lost, hole)
            self._guessed += device
            self._blind |= device < hole
            return _shares(device, hole - device, estimated=device > 0)
        before = max(snapshot.next_index - start, 0)
        device = min(lost, before)
        self._name(device)
        after = hole - before
        if mark == snapshot.mark:  # the wire lost nothing since the snapshot
            self._settle(after, beyond=after)
            self._blind |= device < before
            return _shares(device, before - device, estimated=self._doubt and device > 0) + _shares(after, 0)
        self._blind |= device < hole
        return _shares(device, hole - device, estimated=self._doubt and device > 0)

    def hide(self) -> None:
        """A hole was named that may hide losses of the board: the host dropped what came in between."""
        self._blind = True

    def account(self, end: int) -> None:
        """Everything below ``end`` is accounted for now."""
        snapshot = self._snapshot
        if snapshot is not None and end >= snapshot.next_index:
            # counters may lag: a batch that does not find room in the board's queue is counted when it is full
            self._settled = max(snapshot.lost + self._beyond, self._settled or 0)
            self._guessed = self._beyond = 0
            self._snapshot = None
            self._doubt = self._blind
        else:
            self._doubt |= self._blind
        self._blind = False

    def health(self, accounted: int, mark: int, said: Snapshot, *, conclude: bool = True) -> list[Share]:
        """Take a snapshot; the shares of a tail that will not come any more, from ``accounted`` on.

        A tail is concluded only where it is safe: an earlier snapshot already had it, the board has had time to send
        it, and either the wire lost frames or the board counted all of it.

        Args:
            mark: the receiver's mark at the stream's previous SAMPLES.
            conclude: nothing is held back that may yet be delivered.
        """
        self._lost = said.lost if self._lost is None else self._lost + ((said.lost - self._lost) & _U32)
        snapshot = replace(said, lost=self._lost)
        earlier = self._snapshot
        shares: list[Share] = []
        if (
            conclude
            and earlier is not None
            and self._settled is not None
            and earlier.next_index > accounted
            and snapshot.time_us - earlier.time_us >= WAITS_AT_MOST_US
        ):
            tail = earlier.next_index - accounted
            device = min(self._unnamed(earlier), tail)
            if (device == tail and not self._doubt) or mark != snapshot.mark:
                shares = _shares(device, tail - device, estimated=self._doubt and device > 0)
                self._name(device)
                self._blind |= device < tail
                accounted = earlier.next_index
                self.account(accounted)
        self._snapshot = snapshot
        self._beyond = 0
        self.account(accounted)
        return shares

    def _unnamed(self, snapshot: Snapshot) -> int:
        """What the board had lost by then and nobody has named."""
        assert self._settled is not None
        return max(snapshot.lost - (self._settled - self._beyond) - self._guessed, 0)

    def _name(self, device: int) -> None:
        if self._doubt:
            self._guessed += device
        else:
            self._settle(device)

    def _settle(self, device: int, *, beyond: int = 0) -> None:
        self._beyond += max(beyond, 0)
        if self._settled is not None:
            self._settled += device


def _shares(device: int, wire: int, *, estimated: bool = False) -> list[Share]:
    shares = []
    if device:
        shares.append(Share(device, "device", estimated))
    if wire:
        shares.append(Share(wire, "wire", estimated))
    return shares
