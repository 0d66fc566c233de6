"""Messages: round trips in and between both languages, refusals, values that do not fit, commands."""

from __future__ import annotations

import dataclasses
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.c_codec import TABLE, CCodec
from protocol.support import Codec, messages_of, repeatable, values_of
from protocol_generator.table import Message as TableMessage
from protocol_generator.table import Struct
from telemetry_protocol import COMMANDS, Message, Refused, messages, stream_gen, unpack
from telemetry_protocol.wire_types import Record

few = settings(repeatable, max_examples=min(repeatable.max_examples, 40))
KINDS = [pytest.param(message, id=message.name) for message in TABLE.messages]
FIXED = [
    message
    for message in messages.MESSAGES.values()
    if next(t for t in TABLE.messages if t.id == message.TYPE).is_fixed
]
COMPILED = {message.NAME: message.LAYOUT.compile() for message in FIXED}
PARTS = [part for command in TABLE.commands for part in command.parts if part.fields]


@pytest.mark.parametrize("kind", KINDS)
@few
@given(data=st.data())
def test_a_message_goes_both_ways_between_c_and_python(
    c_codec: CCodec, kind: TableMessage, data: st.DataObject
) -> None:
    message = data.draw(messages_of(kind))
    packed = message.pack()
    assert c_codec.pack(message) == packed
    assert unpack(message.TYPE, packed) == message
    assert c_codec.unpack(message.TYPE, packed) == message


@pytest.mark.parametrize("kind", KINDS)
@few
@given(data=st.data())
def test_any_payload_is_read_or_refused_alike(c_codec: CCodec, kind: TableMessage, data: st.DataObject) -> None:
    payload = data.draw(st.one_of(st.binary(max_size=kind.size + 80), _cut(kind)))
    ours, theirs = unpack(kind.id, payload), c_codec.unpack(kind.id, payload)
    if isinstance(ours, Refused):
        assert isinstance(theirs, Refused)
        assert (ours.kind, ours.payload) == (theirs.kind, theirs.payload) == ("length", payload)
        assert "\n" not in ours.reason
    else:
        assert repr(ours) == repr(theirs)  # NaN is not equal to itself, its text is


def _cut(kind: TableMessage) -> st.SearchStrategy[bytes]:
    return st.tuples(messages_of(kind), st.integers(0, 506)).map(lambda both: both[0].pack()[: both[1]])


@few
@given(type=st.integers(0, 255), payload=st.binary(max_size=506))
def test_nothing_raises(codec: Codec, type: int, payload: bytes) -> None:
    answer = codec.unpack(type, payload)
    if type in messages.MESSAGES:
        assert isinstance(answer, Message) or answer.kind == "length"
    else:
        assert isinstance(answer, Refused)
        assert answer.kind == "type"


@pytest.mark.parametrize("kind", KINDS)
@few
@given(data=st.data())
def test_bytes_after_the_last_field_are_ignored(codec: Codec, kind: TableMessage, data: st.DataObject) -> None:
    message = data.draw(messages_of(kind))
    longer = codec.unpack(message.TYPE, message.pack() + b"\x00\xff")
    if kind.fields[-1].type == "rest":
        last = kind.fields[-1].name
        values = message.by_name() | {last: getattr(message, last) + b"\x00\xff"}
        assert longer == messages.MESSAGES[message.TYPE](**values)
    else:
        assert longer == message


@pytest.mark.parametrize("message", FIXED, ids=lambda message: message.NAME)
@few
@given(data=st.data())
def test_fixed_messages_are_read_as_interpreted_and_compiled_construct_read_them(
    message: type[Message], data: st.DataObject
) -> None:
    payload = data.draw(st.binary(min_size=message.SIZE, max_size=message.SIZE + 300))
    read = unpack(message.TYPE, payload)
    assert isinstance(read, message)
    for layout in (message.LAYOUT, COMPILED[message.NAME]):
        parsed = dict(layout.parse(payload))
        parsed.pop("_io", None)
        assert read.by_name() == parsed


def test_compiled_construct_is_never_asked_to_read_what_is_too_short() -> None:
    """Why the size is checked first: compiled, construct takes 1 of 6 bytes for a u48."""
    cut = bytes([0, 1, 0, 0, 0, 7])
    assert COMPILED["samples"].parse(cut)["time_us"] == 7
    assert isinstance(unpack(messages.Samples.TYPE, cut), Refused)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
@few
@given(data=st.data())
def test_command_parts_go_both_ways(c_codec: CCodec, part: Struct, data: st.DataObject) -> None:
    values = data.draw(values_of(part))
    packed = c_codec.write(part.name, values)
    assert c_codec.read(part.name, packed) == values
    assert c_codec.read(part.name, packed + b"more") == values
    assert c_codec.read(part.name, packed[:-1]) is None
    command, _, what = part.name.rpartition("_")
    spec = COMMANDS[command]
    if what == "args":
        assert spec.pack_args(**values) == packed
    else:
        unpack_part = spec.unpack_result if what == "result" else spec.unpack_refusal
        assert unpack_part(packed) == unpack_part(packed + b"more") == values
        assert isinstance(unpack_part(packed[:-1]), Refused)


def test_a_refusal_may_be_empty() -> None:
    assert COMMANDS["set_rate"].unpack_refusal(b"") == {}
    assert COMMANDS["describe"].unpack_result(b"") == {}
    assert COMMANDS["describe"].unpack_result(b"from a newer board") == {}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"stream": 1}, "argument rate_mhz is missing"),
        ({"stream": 1, "rate_mhz": 1, "range": 2}, "no argument range"),
        ({"stream": 256, "rate_mhz": 1}, "set_rate"),
        ({"stream": -1, "rate_mhz": 1}, "set_rate"),
        ({"stream": 1, "rate_mhz": 2**32}, "set_rate"),
        ({"stream": 1, "rate_mhz": 1.5}, "set_rate"),
        ({"stream": 1, "rate_mhz": "fast"}, "set_rate"),
        ({"stream": None, "rate_mhz": 1}, "set_rate"),
        ({"stream": True, "rate_mhz": 1}, "not a number"),
    ],
)
def test_wrong_arguments_are_one_line(values: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        COMMANDS["set_rate"].pack_args(**values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("full_scale", [1e39, "wide", None])
def test_a_wrong_f32_argument_is_one_line(full_scale: object) -> None:
    with pytest.raises(ValueError, match="set_range: a value does not fit") as caught:
        COMMANDS["set_range"].pack_args(stream=0, field=0, full_scale=full_scale)
    assert "\n" not in str(caught.value)


def test_a_list_in_a_result_that_claims_more_than_there_is_is_refused(c_codec: CCodec) -> None:
    entry = struct.pack("<fff", 0.5, -14.0, 14.0)
    good = b"\x01\x02" + entry * 2
    assert COMMANDS["self_test"].unpack_result(good) == c_codec.read("self_test_result", good)
    for bad in (good[:-1], good[: 2 + len(entry)], b"\x01\x01", b"\x01"):
        assert isinstance(COMMANDS["self_test"].unpack_result(bad), Refused)
        assert c_codec.read("self_test_result", bad) is None


@pytest.mark.parametrize(
    "message",
    [
        messages.Samples(256, 0, 0, b""),
        messages.Samples(0, 2**32, 0, b""),
        messages.Samples(0, -1, 0, b""),
        messages.Samples(0, 0, 2**48, b""),
        messages.Samples(0, 0, -1, b""),
        messages.Log(0, 0, "x" * 256),
        messages.Log(0, 0, "ä" * 128),
    ],
    ids=repr,
)
def test_values_that_do_not_fit_are_refused_when_packed(message: Message) -> None:
    with pytest.raises(ValueError, match="does not fit") as caught:
        message.pack()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("samples", {"stream_gen": 0, "index": 0, "time_us": 2**48, "data": b""}),
        ("log", {"time_us": 0, "level": 0, "text": "x" * 256}),
    ],
)
def test_c_refuses_what_does_not_fit(c_codec: CCodec, name: str, values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="returned 0"):
        c_codec.write(name, values)


@pytest.mark.parametrize("kind", KINDS)
@few
@given(data=st.data())
def test_c_stays_within_the_room_it_is_given(c_codec: CCodec, kind: TableMessage, data: st.DataObject) -> None:
    message = data.draw(messages_of(kind))
    packed = message.pack()
    assert c_codec.write(kind.name, message.by_name(), len(packed)) == packed
    with pytest.raises(ValueError, match="returned 0"):
        c_codec.write(kind.name, message.by_name(), data.draw(st.integers(0, len(packed) - 1)))


def test_c_reads_as_many_list_items_as_there_is_room_for(c_codec: CCodec) -> None:
    entries = tuple(messages.StreamHealth(number, 1, number, 0, 0, 0) for number in range(4))
    fields = next(message for message in TABLE.messages if message.name == "health").fields
    health: Any = messages.Health
    sensors = tuple(messages.SensorHealth(number, 1000 * number, -1) for number in range(3))
    health = health(**{field.name: 7 for field in fields} | {"streams": entries, "sensors": sensors})
    read = c_codec.read("health", health.pack(), list_room=2)
    assert read is not None
    assert (read["streams"], read["sensors"]) == (entries[:2], sensors[:2])
    assert read["flash_stall_us"] == 7  # what follows the lists is where it should be


def test_stream_and_generation_come_apart_and_together() -> None:
    for stream in range(32):
        for generation in range(8):
            both = messages.Samples(stream_gen(stream, generation), 0, 0, b"")
            assert (both.stream, both.generation) == (stream, generation)
    assert stream_gen(3, 8 + 1) == stream_gen(3, 1)
    with pytest.raises(ValueError, match="stream 32"):
        stream_gen(32, 0)


def test_an_enum_has_a_label_for_every_value() -> None:
    assert messages.Status.label(5) == "over_line_budget"
    assert messages.Status.label(200) == "200"


def test_messages_are_frozen_and_hashable() -> None:
    samples = messages.Samples(0, 0, 0, b"")
    with pytest.raises(dataclasses.FrozenInstanceError):
        samples.index = 1  # type: ignore[misc]
    assert len({samples, messages.Samples(0, 0, 0, b"")}) == 1
    assert isinstance(samples, Record)


def test_the_fingerprint_is_the_same_in_both_languages() -> None:
    assert TABLE.fingerprint == messages.FINGERPRINT
    assert TABLE.protocol == messages.PROTOCOL
