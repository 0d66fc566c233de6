"""Raw samples and SI values, against arithmetic done one number at a time."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.support import repeatable
from telemetry_protocol import LayoutError, SampleLayout
from telemetry_protocol.messages import FieldDescriptor, FieldType, Stream

CODES = {
    FieldType.U8: "B",
    FieldType.I8: "b",
    FieldType.U16: "H",
    FieldType.I16: "h",
    FieldType.U32: "I",
    FieldType.I32: "i",
    FieldType.F32: "f",
}


def field(type: int, scale: float = 1.0, offset: float = 0.0, name: str = "x") -> FieldDescriptor:
    return FieldDescriptor(type=type, scale=scale, offset=offset, full_scale=0.0, name=name, unit="V")


def stream(*fields: FieldDescriptor) -> Stream:
    return Stream(
        stream_gen=0,
        rate_mhz=0,
        group_delay_us=0,
        fifo_depth=0,
        name="test",
        sensor="none",
        fields=fields,
        latency_us=20_000,
        enabled=1,
    )


def singles(*values: float) -> tuple[float, ...]:
    """Numbers as float32 keeps them, as they are when they come from the wire."""
    return tuple(float(np.float32(value)) for value in values)


floats = st.floats(-1e6, 1e6, width=32)
fields = st.builds(field, st.sampled_from(list(CODES)), floats, floats)


@repeatable
@given(kinds=st.lists(fields, min_size=1, max_size=7), count=st.integers(0, 9), data=st.data())
def test_si_is_raw_times_scale_plus_offset(kinds: list[FieldDescriptor], count: int, data: st.DataObject) -> None:
    named = [field(one.type, one.scale, one.offset, f"f{number}") for number, one in enumerate(kinds)]
    layout = SampleLayout(stream(*named))
    pattern = "<" + "".join(CODES[FieldType(one.type)] for one in named)
    assert layout.size == struct.calcsize(pattern)
    whole = data.draw(st.binary(min_size=layout.size * count, max_size=layout.size * count))
    rows = [struct.unpack_from(pattern, whole, layout.size * number) for number in range(count)]

    raw = layout.raw(whole)
    assert raw.dtype.names == tuple(one.name for one in named)
    np.testing.assert_array_equal([list(row) for row in raw.tolist()], [list(row) for row in rows])

    si = layout.si(whole)
    assert si.dtype == np.float32
    assert si.shape == (len(named), count)
    assert si.flags.c_contiguous
    for row, one in enumerate(named):
        for number, sample in enumerate(rows):
            exact = sample[row] * one.scale + one.offset
            if abs(exact) < 1e38:  # a random f32 may be NaN, or overflow when scaled
                error = 3e-7 * (abs(sample[row] * one.scale) + abs(one.offset)) + 1e-44
                assert abs(float(si[row, number]) - exact) <= error


def test_what_float32_cannot_hold_is_infinite_and_nobody_is_warned() -> None:
    """Warnings are errors here, so this also holds that there is none."""
    layout = SampleLayout(stream(field(FieldType.F32, 1e30), field(FieldType.I32, -1e38, name="y")))
    data = struct.pack("<fi", 1e30, 1000) + struct.pack("<fi", float("nan"), 0)
    si = layout.si(data)
    assert si[:, 0].tolist() == [float("inf"), float("-inf")]
    assert np.isnan(si[0, 1])
    assert si[1, 1] == 0


def test_six_axes_of_an_imu() -> None:
    names = ("accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z")
    scales = singles(*[9.80665 / 8192] * 3, *[np.pi / 180 / 65.5] * 3)
    layout = SampleLayout(stream(*(field(FieldType.I16, s, 0.0, n) for s, n in zip(scales, names, strict=True))))
    counts = np.array([[8192, -8192, 0, 655, -655, 32767], [0, 0, 8192, 0, 0, -32768]], "<i2")
    si = layout.si(counts.tobytes())
    assert si.shape == (6, 2)
    np.testing.assert_allclose(si[0], [9.80665, 0], rtol=1e-6)
    np.testing.assert_allclose(si[2], [0, 9.80665], rtol=1e-6)
    np.testing.assert_allclose(si[3], [np.radians(10), 0], rtol=1e-6)
    np.testing.assert_allclose(si[5], np.radians([500.2595, -500.2748]), rtol=1e-5)


def test_batches_of_changing_size() -> None:
    layout = SampleLayout(stream(field(FieldType.I16, 2.0), field(FieldType.I16, 3.0, name="y")))
    for count in (1, 3, 3, 0, 2, 1):
        data = np.arange(2 * count, dtype="<i2").tobytes()
        assert layout.si(data).tolist() == [
            [2.0 * (2 * number) for number in range(count)],
            [3.0 * (2 * number + 1) for number in range(count)],
        ]


def test_whole_numbers_of_32_bits_keep_their_last_bit() -> None:
    """2^24 + 1 is no float32; taken at face value it would lose its one before the offset takes the rest away."""
    layout = SampleLayout(stream(field(FieldType.U32, 1.0, -(2.0**24))))
    assert layout.si(np.array([2**24 + 1], "<u4").tobytes()).tolist() == [[1.0]]


def test_the_result_is_the_callers_and_the_raw_view_is_not() -> None:
    layout = SampleLayout(stream(field(FieldType.I16)))
    data = b"\x01\x00"
    layout.si(data)[0, 0] = 7.0
    assert layout.si(data)[0, 0] == 1.0
    assert not layout.raw(data).flags.writeable


@pytest.mark.parametrize("size", [1, 11, 13])
@pytest.mark.parametrize("types", [[FieldType.I16] * 6, [FieldType.I16] * 5 + [FieldType.U16]])
def test_a_part_of_a_sample_is_refused(size: int, types: list[FieldType]) -> None:
    layout = SampleLayout(stream(*(field(one, name=f"f{number}") for number, one in enumerate(types))))
    with pytest.raises(ValueError, match=f"{size} bytes are not a whole number of samples of 12 bytes"):
        layout.si(bytes(size))
    with pytest.raises(ValueError, match="multiple of element size"):
        layout.raw(bytes(size))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ([], "no fields"),
        ([field(7)], "unknown type 7"),
        ([field(255)], "unknown type 255"),
        ([field(3), field(3)], "used twice"),
        ([field(3, name="")], "empty"),
        ([field(3, scale=float("nan"))], "finite"),
        ([field(3, scale=float("inf"))], "finite"),
        ([field(3, offset=float("-inf"))], "finite"),
    ],
)
def test_a_descriptor_that_cannot_be_used_is_refused(fields: list[FieldDescriptor], words: str) -> None:
    with pytest.raises(LayoutError, match=words) as caught:
        SampleLayout(stream(*fields))
    assert "\n" not in str(caught.value)
