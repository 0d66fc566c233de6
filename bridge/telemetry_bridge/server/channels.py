"""What becomes of a stream's batches before they are queued: one channel for all subscriptions that want the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from telemetry_bridge.events import Batch
from telemetry_bridge.server.wire_format import Format, Part, batch_parts

if TYPE_CHECKING:
    from telemetry_bridge.server.router import Subscription

Encoder: TypeAlias = Callable[[Batch], tuple[Part, ...]]


class Shape(NamedTuple):
    """What a subscription wants: those with the same shape get the same bytes."""

    mode: str
    rate_hz: float | None
    form: Format


class Channel:
    """Everyone who gets one stream in one shape; a batch is encoded once for all of them."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.subscriptions: list[Subscription] = []
        self.encode: Encoder = partial(batch_parts, form=shape.form)

    @property
    def tells_gaps(self) -> bool:
        """Whether a hole in the stream is a gap for these subscriptions."""
        return self.shape.mode == "every"
