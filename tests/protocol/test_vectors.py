"""Both codecs against the golden vectors, and the vectors against the table: nothing may be missing or unlisted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pytest

from bench.c_codec import TABLE, CCodec, build_library
from protocol.support import ROOT, VECTORS, Codec, load, message_of, names, unhex, with_records
from telemetry_protocol import Frame, Refused
from telemetry_protocol.frames import DamageKind

FILES = {
    "README.md": set(),
    "crc32c.toml": {"name", "data", "crc"},
    "frames.toml": {"name", "type", "sequence", "payload", "encoded"},
    "messages.toml": {"name", "type", "sequence", "payload", "encoded", "fields"},
    "commands.toml": {"name", "id", "args", "result", "refusal"},
    "streams.toml": {"name", "bytes", "verdicts"},
    "refused.toml": {"name", "type", "payload", "kind"},
    "tolerated.toml": {"name", "type", "payload", "fields"},
}
"""Every file there may be, with the keys its entries may have."""

CRCS, FRAMES, MESSAGES = load("crc32c.toml"), load("frames.toml"), load("messages.toml")
COMMANDS, STREAMS = load("commands.toml"), load("streams.toml")
REFUSED, TOLERATED = load("refused.toml"), load("tolerated.toml")

Vector = dict[str, Any]


def unlisted(folder: Path) -> set[str]:
    """Files that no test reads, or that are missing."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} ^ FILES.keys()


def check_stream(codec: Codec, vector: Vector) -> None:
    data = unhex(vector["bytes"])
    decoder = codec.decoder()
    verdicts = ["frame" if isinstance(one, Frame) else one.kind for one in decoder.feed(data)]
    assert verdicts == vector["verdicts"]
    tally = Counter("frames" if one == "frame" else one for one in verdicts)
    counted = {name: getattr(decoder.counters, name) for name in ("frames", "cobs", "crc", "short", "long", "partial")}
    assert counted == {name: tally[name] for name in counted}
    assert decoder.counters.bytes == len(data)


def check_frame(codec: Codec, vector: Vector) -> None:
    payload, encoded = unhex(vector["payload"]), unhex(vector["encoded"])
    assert codec.encode_frame(vector["type"], vector["sequence"], payload) == encoded
    assert codec.decoder().feed(encoded) == [Frame(vector["type"], vector["sequence"], payload, encoded[:-1])]


@pytest.mark.parametrize("vector", CRCS, ids=names(CRCS))
def test_crc(codec: Codec, vector: Vector) -> None:
    assert codec.crc32c(unhex(vector["data"])) == vector["crc"]


@pytest.mark.parametrize("vector", FRAMES, ids=names(FRAMES))
def test_frame_is_encoded_and_decoded(codec: Codec, vector: Vector) -> None:
    check_frame(codec, vector)


@pytest.mark.parametrize("vector", MESSAGES, ids=names(MESSAGES))
def test_message_is_packed_framed_and_unpacked(codec: Codec, vector: Vector) -> None:
    message = message_of(vector["type"], vector["fields"])
    assert vector["name"] == message.NAME
    assert codec.pack(message) == unhex(vector["payload"])
    assert codec.unpack(vector["type"], unhex(vector["payload"])) == message
    check_frame(codec, vector)


@pytest.mark.parametrize("vector", STREAMS, ids=names(STREAMS))
def test_stream_gets_the_verdicts(codec: Codec, vector: Vector) -> None:
    check_stream(codec, vector)


@pytest.mark.parametrize("vector", REFUSED, ids=names(REFUSED))
def test_payload_is_refused(codec: Codec, vector: Vector) -> None:
    refused = codec.unpack(vector["type"], unhex(vector["payload"]))
    assert isinstance(refused, Refused)
    assert (refused.kind, refused.type, refused.payload) == (vector["kind"], vector["type"], unhex(vector["payload"]))


@pytest.mark.parametrize("vector", TOLERATED, ids=names(TOLERATED))
def test_payload_is_tolerated(codec: Codec, vector: Vector) -> None:
    message = codec.unpack(vector["type"], unhex(vector["payload"]))
    assert message == message_of(vector["type"], vector["fields"])


@pytest.mark.parametrize("vector", COMMANDS, ids=names(COMMANDS))
def test_command_parts(codec: Codec, c_codec: CCodec, vector: Vector) -> None:
    command = next(one for one in TABLE.commands if one.name == vector["name"])
    for part, struct in zip(("args", "result", "refusal"), command.parts, strict=True):
        if part not in vector:
            continue
        name, data = struct.name, unhex(vector[part]["data"])
        fields = with_records(struct, vector[part]["fields"])
        if not fields:
            assert not data, "a part without fields has no bytes, and C has no struct for it"
            continue
        if part == "args":
            assert codec.write(name, fields) == data
            assert c_codec.read(name, data) == fields  # the board reads arguments …
        else:
            assert codec.read(name, data) == fields
            assert codec.read(name, data[:-1]) is None
            assert c_codec.write(name, fields) == data  # … and writes results


def test_every_message_command_and_verdict_has_a_vector() -> None:
    assert {vector["type"] for vector in MESSAGES} == {message.id for message in TABLE.messages}
    assert {(vector["name"], vector["id"]) for vector in COMMANDS} == {(one.name, one.id) for one in TABLE.commands}
    for command in TABLE.commands:
        vector = next(one for one in COMMANDS if one["name"] == command.name)
        for part, struct in zip(("args", "result", "refusal"), command.parts, strict=True):
            assert {field.name for field in struct.fields} == vector.get(part, {"fields": {}})["fields"].keys()
    assert {one for vector in STREAMS for one in vector["verdicts"]} == {"frame", *get_args(DamageKind)}
    assert {vector["kind"] for vector in REFUSED} == {"type", "length"}
    assert {0, 253, 254, 255, 506} <= {len(unhex(vector["payload"])) for vector in FRAMES}


def test_every_vector_file_is_listed_and_has_no_unknown_key() -> None:
    assert not unlisted(VECTORS)
    for name, keys in FILES.items():
        if name.endswith(".toml"):
            entries = load(name)
            assert {key for entry in entries for key in entry} <= keys
            if name != "messages.toml":
                assert len(set(names(entries))) == len(entries), f"{name}: a name is used twice"


def test_an_unlisted_vector_file_is_noticed(tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).touch()
    assert not unlisted(tmp_path)
    (tmp_path / "more.toml").touch()
    assert unlisted(tmp_path) == {"more.toml"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("#define BLOCK_FULL  255u", "#define BLOCK_FULL  254u"),
        ("0x48674BC7u", "0x48674BC6u"),
        ("word & 0xFFu)", "1u)"),
        ("word & 0xFF00u)", "1u)"),
        ("word & 0xFF0000u)", "1u)"),
        ("word & 0xFF000000u)", "1u)"),
        ("d->decoded == TP_DECODED_MAX", "d->decoded == TP_DECODED_MAX - 1u"),
        ("d->decoded < TP_DECODED_MIN", "d->decoded <= TP_DECODED_MIN"),
        ("d->encoded == TP_ENCODED_MAX - 1u", "d->encoded == TP_ENCODED_MAX - 2u"),
        (
            "if (d->block_left > 0) {\n        return TP_DAMAGE_COBS",
            "if (d->block_left > 1) {\n        return TP_DAMAGE_COBS",
        ),
        ("d->block_code != BLOCK_FULL", "d->block_code != 0"),
        ("!d->synchronised", "false"),
        ("d->synchronised = true", "d->synchronised = false"),
    ],
)
def test_a_broken_codec_fails_the_vectors(tmp_path: Path, before: str, after: str) -> None:
    """Negative control: each edge of the C codec, moved by one, is caught by a vector."""
    source = (ROOT / "protocol/c/tp_frame.c").read_text()
    assert source.count(before) >= 1
    (tmp_path / "tp_frame.c").write_text(source.replace(before, after))
    sources = [tmp_path / "tp_frame.c", ROOT / "protocol/c/tp_crc32c.c", ROOT / "tools/bench/c_codec_shim.c"]
    codec = CCodec(build_library(tmp_path / "libtp.so", ("-O0", "-Wno-error"), sources))
    failed = 0
    for check, vectors in ((check_stream, STREAMS), (check_frame, FRAMES)):
        for vector in vectors:
            try:
                check(codec, vector)
            except AssertionError:
                failed += 1
    assert failed
