"""What a client has asked for: one subscription for each stream of each device, and requests for every device."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from telemetry_bridge.events import FieldInfo
from telemetry_bridge.hub import StreamState
from telemetry_bridge.server.catch_up import CatchUp
from telemetry_bridge.server.channels import Channel, Shape
from telemetry_bridge.server.requests import Subscribe
from telemetry_bridge.server.subscriber_queue import Feed, SubscriberQueue
from telemetry_bridge.server.wire_format import (
    KIND_ENVELOPE,
    KIND_SAMPLES,
    Part,
    RequestId,
    binary_prefix,
    fields_json,
    json_prefix,
)


class Subscriber(Protocol):
    """One client, as the router sees it."""

    queue: SubscriberQueue

    def flush(self) -> None:
        """Send what the queue holds, as far as the connection takes it now."""

    def deliver(self, feed: Feed, parts: Iterable[Part]) -> None:
        """Send samples, or queue them, dropping the oldest, if it cannot take them now."""

    def room(self) -> bool:
        """Whether it may have one more subscription."""

    def new_sub(self) -> int:
        """A number for a new subscription."""

    def takes_more(self) -> bool:
        """Whether what is delivered now goes out at once."""


@dataclass(eq=False, slots=True)
class Subscription:
    """One stream of one device for one client.

    Attributes:
        epoch: epoch that was announced last; None for JSON streams.
        next_index: where it started.
        shape: None for JSON streams.
        channel: where its samples come from; None for JSON streams and while it catches up.
        behind: what it has yet to catch up with before it has a channel.
        produced_before: what the stream had produced where this began; None if that cannot be known.
    """

    owner: Subscriber
    feed: Feed
    request: RequestId
    device: str
    stream: str
    epoch: int | None = None
    fields: tuple[FieldInfo, ...] = ()
    next_index: int | None = None
    shape: Shape | None = None
    channel: Channel | None = None
    behind: CatchUp | None = None
    produced_before: int | None = None

    def begins_at(self, state: StreamState | None) -> None:
        """Note what the stream had produced at ``next_index``, with the stream as it stands now."""
        if state is None:
            self.produced_before = 0
        elif state.epoch.epoch == self.epoch and self.next_index is not None:
            self.produced_before = state.counters.produced - (state.next_index - self.next_index)

    def unaccounted(self, state: StreamState) -> int | None:
        """Samples of the stream since this began that were neither sent, skipped nor said to be missing, and do not
        wait: always 0. None where that cannot be known: while it catches up, or from an epoch that is over."""
        if self.produced_before is None or self.behind is not None:
            return None
        feed, held = self.feed, 0 if self.channel is None else self.channel.held
        known = feed.sent + feed.dropped + feed.skipped + feed.waiting + sum(feed.lost.values()) + held
        return state.counters.produced - self.produced_before - known

    def describe(self) -> dict[str, object]:
        """As ``subscribed`` and ``subscription_added`` list it."""
        return {
            "sub": self.feed.sub,
            "device": self.device,
            "stream": self.stream,
            "epoch": self.epoch,
            "fields": fields_json(self.fields),
            "next_index": self.next_index,
        }


@dataclass(eq=False, slots=True)
class Wildcard:
    """A subscribe request for every device.

    Attributes:
        seen: devices that it has been applied to; one that the client unsubscribed does not come back.
    """

    owner: Subscriber
    request: Subscribe
    seen: set[str] = field(default_factory=set)


def make_feed(sub: int, shape: Shape) -> Feed:
    """How the messages of a subscription begin, and what becomes of them while they wait."""
    newest_only = shape.mode == "latest"
    if shape.form == "json":
        return Feed(sub, partial(json_prefix, "data", sub), text=True, newest_only=newest_only)
    kind = KIND_ENVELOPE if shape.mode == "envelope" else KIND_SAMPLES
    return Feed(sub, partial(binary_prefix, sub, kind=kind), text=False, newest_only=newest_only)
