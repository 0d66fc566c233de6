"""Damage frames in every way a line can, and count what a decoder takes for good.

Each trial feeds the decoder one damaged frame, then two good ones. Nothing may come out that was never sent, and the
second good frame must always come out: damage costs at most the frame it hits and the next.

    python -m bench.damage_campaign --frames 1000000 --seed 1        (from tools/)
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from telemetry_protocol import Damage, Decoder, Frame, encode_frame

BATCH = 2000  # trials that are fed to the decoder in one call
_NEXT_TYPE, _WITNESS_TYPE = 0xF0, 0xF1  # the two good frames after a damaged one
_NEXT: Final = encode_frame(_NEXT_TYPE, 0, b"next")


class AnyDecoder(Protocol):
    """The Python decoder, or the C decoder behind its API."""

    def feed(self, data: bytes) -> list[Frame | Damage]:
        """See `telemetry_protocol.Decoder.feed`."""


@dataclass
class KindResult:
    """What became of one kind of damage."""

    tried: int = 0
    """Damaged frames fed; those that the damage left as they were are not among them."""
    unchanged: int = 0
    """Frames that the damage left as they were: drawn, and not tried."""
    accepted: int = 0
    """Frames out of the decoder that nobody sent."""
    next_lost: int = 0
    """Trials that also cost the frame after the damaged one, which is allowed."""
    out_of_step: int = 0
    """Trials that cost the second frame after the damaged one, which is not."""


@dataclass
class Report:
    """Result of a campaign."""

    decoder: str
    seed: int
    seconds: float = 0.0
    kinds: dict[str, KindResult] = field(default_factory=dict)
    verdicts: dict[str, int] = field(default_factory=dict)
    """How often the decoder said what, the good frames between the trials included."""

    @property
    def tried(self) -> int:
        """Damaged frames in all."""
        return sum(kind.tried for kind in self.kinds.values())

    @property
    def accepted(self) -> int:
        """Frames that nobody sent, in all."""
        return sum(kind.accepted for kind in self.kinds.values())

    @property
    def out_of_step(self) -> int:
        """Trials after which the decoder was not in step in time, in all."""
        return sum(kind.out_of_step for kind in self.kinds.values())

    def as_json(self) -> dict[str, Any]:
        """For json.dump."""
        totals = {"tried": self.tried, "accepted": self.accepted, "out_of_step": self.out_of_step}
        return asdict(self) | totals


# ------------------------------------------------------------------ the ways to damage a frame, delimiter included


def _flip_bits(frame: bytes, rng: random.Random, count: int) -> bytes:
    damaged = bytearray(frame)
    for bit in rng.sample(range(8 * len(frame)), count):
        damaged[bit >> 3] ^= 1 << (bit & 7)
    return bytes(damaged)


def _random_bytes(frame: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(frame)
    for _ in range(rng.randint(1, 8)):
        damaged[rng.randrange(len(damaged))] = rng.getrandbits(8)
    return bytes(damaged)


def _burst(frame: bytes, rng: random.Random) -> bytes:
    """An error burst of at most 32 bits in the order of the line: first and last bit wrong, anything between."""
    length = rng.randint(1, 32)
    pattern = rng.getrandbits(length) | 1 | 1 << (length - 1)
    shift = rng.randrange(8 * len(frame) - length + 1)
    value = int.from_bytes(frame, "little") ^ pattern << shift  # a UART sends the low bit first
    return value.to_bytes(len(frame), "little")


def _truncate(frame: bytes, rng: random.Random) -> bytes:
    """Cut off the end, sometimes with the delimiter, or the beginning."""
    cut = rng.randint(1, len(frame) - 1)
    where = rng.randrange(3)
    if where == 0:
        return frame[:-cut]
    return frame[cut:] if where == 1 else frame[: -1 - cut] + frame[-1:]


def _insert(frame: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(frame))
    return frame[:at] + rng.randbytes(rng.randint(1, 4)) + frame[at:]


def _duplicate(frame: bytes, rng: random.Random) -> bytes:
    begin = rng.randrange(len(frame))
    end = min(begin + rng.randint(1, 16), len(frame))
    return frame[:end] + frame[begin:]


def _delete(frame: bytes, rng: random.Random) -> bytes:
    begin = rng.randrange(len(frame) - 1)
    return frame[:begin] + frame[begin + rng.randint(1, 16) :]


def _splice(frame: bytes, other: bytes, rng: random.Random) -> bytes:
    """The head of one frame and the tail of another, cut at the same place or anywhere."""
    at = rng.randrange(1, min(len(frame), len(other)))
    return frame[:at] + other[at if rng.random() < 0.5 else rng.randrange(len(other)) :]


Damager = Callable[[bytes, bytes, random.Random], bytes]

KINDS: Final[dict[str, Damager]] = {
    "1 bit": lambda frame, _, rng: _flip_bits(frame, rng, 1),
    "2 bits": lambda frame, _, rng: _flip_bits(frame, rng, 2),
    "3 bits": lambda frame, _, rng: _flip_bits(frame, rng, 3),
    "random bytes": lambda frame, _, rng: _random_bytes(frame, rng),
    "burst <= 32 bits": lambda frame, _, rng: _burst(frame, rng),
    "truncated": lambda frame, _, rng: _truncate(frame, rng),
    "bytes inserted": lambda frame, _, rng: _insert(frame, rng),
    "bytes duplicated": lambda frame, _, rng: _duplicate(frame, rng),
    "bytes lost": lambda frame, _, rng: _delete(frame, rng),
    "spliced": _splice,
}
"""Name of a kind -> (frame, another frame, randomness) -> damaged bytes."""


# -------------------------------------------------------------------------------------------------- the campaign


def corpus(rng: random.Random, count: int = 200) -> list[bytes]:
    """Frames as a board sends them: mostly batches of sensor data, and everything from empty to the longest."""
    frames = []
    for number in range(count):
        size = rng.choice((251, 251, 251, 4, 22, 67, rng.randint(0, 506)))
        walk = [rng.randint(-3, 3) for _ in range(size)]  # small differences: many zeros and 0xFF, as in real data
        payload = bytes(step & 0xFF for step in walk) if number % 2 else rng.randbytes(size)
        frames.append(encode_frame(rng.randint(1, 7), number, payload))
    return frames


def campaign(decoder: AnyDecoder, name: str, trials: int, seed: int, kinds: Iterable[str] = KINDS) -> Report:
    """Run `trials` damaged frames, the same number of each kind, through a decoder.

    Args:
        decoder: fresh; must not have seen a byte.
        name: what to call it in the report.
        trials: damaged frames in all, rounded up to the same number for each kind.
        seed: the same seed gives the same bytes.
        kinds: names out of `KINDS`.
    """
    rng = random.Random(seed)
    frames = corpus(rng)
    decoder.feed(b"\0")  # in step before the first trial, so that nothing counts as partial
    sent = {_content(verdict) for verdict in Decoder().feed(b"\0" + b"".join(frames)) if isinstance(verdict, Frame)}
    report = Report(name, seed)
    names = list(kinds)
    per_kind = -(-trials // len(names))
    begin = time.perf_counter()
    for kind in names:
        result = report.kinds[kind] = KindResult()
        while result.tried < per_kind:
            batch = list(_draw(KINDS[kind], frames, rng, min(BATCH, per_kind - result.tried), result))
            _run(decoder, batch, sent, result, report.verdicts)
    report.seconds = time.perf_counter() - begin
    return report


def _content(frame: Frame) -> tuple[int, int, bytes]:
    return frame.type, frame.sequence, frame.payload


def _draw(damage: Damager, frames: list[bytes], rng: random.Random, count: int, result: KindResult) -> Iterator[bytes]:
    while count:
        frame, other = rng.choice(frames), rng.choice(frames)
        damaged = damage(frame, other, rng)
        if damaged in (frame, other):
            result.unchanged += 1
            continue
        count -= 1
        yield damaged


def _run(
    decoder: AnyDecoder,
    batch: list[bytes],
    sent: set[tuple[int, int, bytes]],
    result: KindResult,
    verdicts: dict[str, int],
) -> None:
    stream = bytearray()
    for number, damaged in enumerate(batch):
        stream += damaged + _NEXT + encode_frame(_WITNESS_TYPE, 0, number.to_bytes(2, "little"))
    after = set()  # trials whose next frame came out
    witnessed = set()
    trial = 0  # witnesses that have come out: the trial whose bytes are being judged
    for verdict in decoder.feed(bytes(stream)):
        kind = verdict.kind if isinstance(verdict, Damage) else "frame"
        verdicts[kind] = verdicts.get(kind, 0) + 1
        if isinstance(verdict, Damage):
            continue
        if verdict.type == _WITNESS_TYPE and verdict.sequence == 0 and len(verdict.payload) == 2:
            trial = int.from_bytes(verdict.payload, "little") + 1
            witnessed.add(trial - 1)
        elif verdict.type == _NEXT_TYPE and verdict.sequence == 0 and verdict.payload == b"next":
            after.add(trial)
        elif _content(verdict) not in sent:
            result.accepted += 1
    result.tried += len(batch)
    result.next_lost += len(batch) - len(after & set(range(len(batch))))
    result.out_of_step += len(batch) - len(witnessed & set(range(len(batch))))


def c_decoder(folder: Path) -> AnyDecoder:
    """The C decoder, built into `folder`."""
    from bench.c_codec import CCodec, build_library

    return CCodec(build_library(folder / "libtp.so")).decoder()


def run(trials: int, seed: int = 1, python_trials: int = 0) -> list[Report]:
    """Campaigns against the C decoder and, where asked for, the Python decoder."""
    with tempfile.TemporaryDirectory() as folder:
        reports = [campaign(c_decoder(Path(folder)), "C", trials, seed)]
    if python_trials:
        reports.append(campaign(Decoder(), "Python", python_trials, seed))
    return reports


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when no damage was accepted and no decoder fell out of step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1_000_000, help="damaged frames for the C decoder")
    parser.add_argument("--python-frames", type=int, default=100_000, help="damaged frames for the Python decoder")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write the result there")
    options = parser.parse_args(arguments)
    reports = run(options.frames, options.seed, options.python_frames)
    for report in reports:
        print(f"{report.decoder} decoder, seed {report.seed}, {report.seconds:.1f} s")
        print(f"{'kind':>18} {'tried':>9} {'accepted':>9} {'next lost':>10} {'out of step':>12}")
        for kind, result in report.kinds.items():
            print(f"{kind:>18} {result.tried:9} {result.accepted:9} {result.next_lost:10} {result.out_of_step:12}")
        print(f"{'in all':>18} {report.tried:9} {report.accepted:9} {'':10} {report.out_of_step:12}")
    if options.json:
        options.json.write_text(json.dumps([report.as_json() for report in reports], indent=2) + "\n")
    return 1 if any(report.accepted or report.out_of_step for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
