"""The samples of a SAMPLES frame as numpy arrays, raw or in SI units, by the descriptor in STREAM."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .messages import FieldType, Stream

DTYPES: Final[dict[int, np.dtype[Any]]] = {
    FieldType.U8: np.dtype("u1"),
    FieldType.I8: np.dtype("i1"),
    FieldType.U16: np.dtype("<u2"),
    FieldType.I16: np.dtype("<i2"),
    FieldType.U32: np.dtype("<u4"),
    FieldType.I32: np.dtype("<i4"),
    FieldType.F32: np.dtype("<f4"),
}
"""How numpy stores each field type of the table."""


class LayoutError(ValueError):
    """A STREAM descriptor that no sample can be read with; the message is one line."""


class SampleLayout:
    """How one sample of a stream is stored, and the way to SI units: ``value = raw * scale + offset``.

    Make one per descriptor and keep it; it belongs to that generation and no other.
    """

    def __init__(self, stream: Stream) -> None:
        """Prepare the arrays.

        Raises:
            LayoutError: no fields, two of one name, an unknown type, or a scale that is not a finite number.
        """
        fields = stream.fields
        if not fields:
            raise LayoutError(f"stream {stream.name}: the descriptor has no fields")
        names = [field.name for field in fields]
        for number, field in enumerate(fields):
            if not field.name or field.name in names[:number]:
                raise LayoutError(f"stream {stream.name}: field name {field.name!r} is empty or used twice")
            if field.type not in DTYPES:
                raise LayoutError(f"stream {stream.name}: field {field.name} has the unknown type {field.type}")
            if not np.isfinite([field.scale, field.offset]).all():
                raise LayoutError(f"stream {stream.name}: field {field.name} has no finite scale and offset")
        types = [DTYPES[field.type] for field in fields]
        self.dtype: Final[np.dtype[Any]] = np.dtype(list(zip(names, types, strict=True)))
        """Structured, packed: one field per descriptor field, in wire order."""
        self.size: Final[int] = self.dtype.itemsize
        """Bytes of one sample."""
        self._fields = len(fields)
        self._type = types[0] if all(one == types[0] for one in types) else None
        # Whole numbers of 32 bits do not fit float32: the product is then made in float64 and rounded once.
        wide = any(one.kind in "iu" and one.itemsize == 4 for one in types)
        self._work = np.dtype(np.float64 if wide else np.float32)
        self._scale = np.array([[field.scale] for field in fields], self._work)
        offset = np.array([[field.offset] for field in fields], self._work)
        self._offset = offset if offset.any() else None
        self._tile = np.empty((self._fields, 0), self._work)  # the scale for as many samples as the last batch had
        # Only a float or an absurd scale can leave float32; numpy then must not warn, and looking costs time.
        largest = max(abs(field.scale) * 2.0 ** (8 * one.itemsize) for field, one in zip(fields, types, strict=True))
        self._may_overflow = any(one.kind == "f" for one in types) or largest + float(np.abs(offset).max()) > 1e38

    def raw(self, data: bytes) -> npt.NDArray[Any]:
        """Samples as they came: structured array [n], read-only, over the memory of `data`.

        Raises:
            ValueError: `data` is not a whole number of samples.
        """
        return np.frombuffer(data, self.dtype)

    def si(self, data: bytes) -> npt.NDArray[np.float32]:
        """Samples in SI units: float32 [fields, n], C-contiguous, so that each field is one run of memory.

        What float32 cannot hold becomes infinite; a NaN on the wire stays NaN.

        Raises:
            ValueError: `data` is not a whole number of samples.
        """
        if self._may_overflow:
            with np.errstate(all="ignore"):
                return self._convert(data)
        return self._convert(data)

    def _convert(self, data: bytes) -> npt.NDArray[np.float32]:
        count, remainder = divmod(len(data), self.size)
        if remainder:
            raise ValueError(f"{len(data)} bytes are not a whole number of samples of {self.size} bytes")
        if self._type is None:
            values = self._scaled_field_by_field(data, count)
        else:
            tile = self._tile
            if tile.shape[1] != count:  # multiplying without broadcasting takes two thirds of the time
                tile = self._tile = np.repeat(self._scale, count, axis=1)
            counts = np.ndarray((self._fields, count), self._type, data, 0, (self._type.itemsize, self.size))
            values = counts.astype(self._work, "C")
            np.multiply(values, tile, values)
        if self._offset is not None:
            values += self._offset
        return values if self._work == np.float32 else values.astype(np.float32)

    def _scaled_field_by_field(self, data: bytes, count: int) -> npt.NDArray[Any]:
        values = np.empty((self._fields, count), self._work)
        samples = np.frombuffer(data, self.dtype)
        for row, name in enumerate(self.dtype.names or ()):
            np.multiply(samples[name], self._scale[row], out=values[row])
        return values
