"""A short damage campaign against both decoders, and proof that it would notice."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from bench import damage_campaign
from bench.c_codec import CCodec, build_library
from bench.damage_campaign import KINDS, campaign, corpus
from protocol.support import ROOT, Codec
from telemetry_protocol import Decoder

TRIALS = 20_000
NO_CRC = """
#include "tp_crc32c_table.h"
#include "tp_frame.h"
const uint32_t tp_crc32c_table[4][256] = {{0}};
uint32_t tp_crc32c(uint32_t crc, const void *data, size_t n)
{
    (void)crc;
    (void)data;
    (void)n;
    return 0x48674BC7u; /* what the CRC of a good frame, itself included, comes to */
}
"""


def test_no_damaged_frame_is_accepted(codec: Codec) -> None:
    report = campaign(codec.decoder(), "under test", TRIALS, seed=20)
    assert report.tried >= TRIALS
    assert report.kinds.keys() == KINDS.keys()
    assert report.accepted == 0
    assert report.out_of_step == 0
    assert report.verdicts["crc"] > TRIALS // 10, "most damage must get as far as the CRC"
    assert report.verdicts.keys() >= {"frame", "cobs", "crc", "short", "long"}


def test_both_decoders_give_the_same_report(c_codec: CCodec) -> None:
    ours, theirs = (campaign(one, "", 5_000, seed=3) for one in (Decoder(), c_codec.decoder()))
    ours.seconds = theirs.seconds = 0.0
    assert ours == theirs


def test_the_same_seed_gives_the_same_campaign() -> None:
    one, again, other = (campaign(Decoder(), "", 1_000, seed=seed).verdicts for seed in (1, 1, 2))
    assert one == again != other


def test_without_the_crc_damage_of_every_kind_is_accepted(tmp_path: Path) -> None:
    """Negative control: the same campaign on the same decoder with its CRC defeated."""
    (tmp_path / "no_crc.c").write_text(NO_CRC)
    sources = [tmp_path / "no_crc.c", ROOT / "protocol/c/tp_frame.c", ROOT / "tools/bench/c_codec_shim.c"]
    decoder = CCodec(build_library(tmp_path / "libtp.so", ("-O2",), sources)).decoder()
    report = campaign(decoder, "without CRC", 2_000, seed=20)
    assert {kind for kind, result in report.kinds.items() if result.accepted} == set(KINDS)


class _Deaf(Decoder):
    """Misses the delimiter after damage: out of step for longer than allowed."""

    def feed(self, data: bytes) -> list:  # type: ignore[type-arg]
        verdicts = super().feed(data)
        return [
            one
            for number, one in enumerate(verdicts)
            if not any(hasattr(v, "kind") for v in verdicts[max(0, number - 2) : number])
        ]


def test_a_decoder_that_stays_out_of_step_is_noticed() -> None:
    """Negative control."""
    assert campaign(_Deaf(), "deaf", 500, seed=1).out_of_step > 0


@pytest.mark.parametrize("kind", list(KINDS))
def test_each_kind_damages_as_its_name_says(kind: str) -> None:
    rng = random.Random(1)
    frames = corpus(rng)
    for frame in frames:
        damaged = KINDS[kind](frame, frames[0], rng)
        flips = (
            (int.from_bytes(frame, "little") ^ int.from_bytes(damaged, "little")) if len(damaged) == len(frame) else 0
        )
        if kind.endswith(("bit", "bits")) and not kind.startswith("burst"):
            assert flips.bit_count() == int(kind[0])
        elif kind.startswith("burst"):
            assert 0 < flips.bit_length() - (flips & -flips).bit_length() + 1 <= 32
        elif kind in {"truncated", "bytes lost"}:
            assert len(damaged) < len(frame)
        elif kind in {"bytes inserted", "bytes duplicated"}:
            assert len(damaged) > len(frame)


def test_the_command_line_reports_and_writes_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "damage.json"
    arguments = ["--frames", "500", "--python-frames", "500", "--seed", "7", "--json", str(target)]
    assert damage_campaign.main(arguments) == 0
    printed = capsys.readouterr().out
    reports = json.loads(target.read_text())
    assert [report["decoder"] for report in reports] == ["C", "Python"]
    for report in reports:
        assert report["tried"] == 500
        assert report["accepted"] == 0
        assert report["seed"] == 7
    assert all(kind in printed for kind in KINDS)
