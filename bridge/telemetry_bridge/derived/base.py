"""The shape of a derived stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from telemetry_bridge.events import FieldInfo


class DerivedStream(Protocol):
    """Makes one sample from each sample of a source; one instance for each epoch of each source.

    Every stream of every device whose fields include ``inputs`` is a source. A source ``imu`` gives the stream
    ``name``, any other ``<source>.<name>``.

    Attributes:
        name: of the stream, e.g. ``orientation``.
        maker: what computes it, shown where a board's stream names its sensor.
        inputs: names of the source's fields that it needs, in SI units and calibrated where they are.
        fields: what it makes.
    """

    name: ClassVar[str]
    maker: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]]
    fields: ClassVar[tuple[FieldInfo, ...]]

    def __init__(self, full_scale: Mapping[str, float]) -> None:
        """Start.

        Args:
            full_scale: of each input by name; 0 where the source names none.
        """

    def set_ranges(self, full_scale: Mapping[str, float]) -> None:
        """The ranges of the source have changed; what follows was taken with these. As in :meth:`__init__`."""

    def compute(self, values: npt.NDArray[np.float32], period_s: float, pause_s: float) -> npt.NDArray[np.float32]:
        """Take the next samples of the source.

        Args:
            values: shape ``(inputs, samples)``, in the order of ``inputs``; may hold NaN.
            period_s: time between two samples; for a single one the time since the one before, or the nominal.
            pause_s: time that is missing before the first sample, because its predecessors were lost or never taken;
                infinite if nobody knows how much.

        Returns:
            shape ``(fields, samples)``.
        """
