"""From the hub to the subscribers: which subscription gets which event. The server's one sink."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol, cast

from telemetry_bridge.events import (
    Batch,
    DeviceChanged,
    DeviceInfo,
    EpochStarted,
    Event,
    FieldInfo,
    Gap,
    JsonMessage,
    JsonStream,
)
from telemetry_bridge.hub import Hub
from telemetry_bridge.server.channels import Channel, Shape
from telemetry_bridge.server.requests import RequestError, RequestId, Subscribe
from telemetry_bridge.server.subscriber_queue import Feed, SubscriberQueue
from telemetry_bridge.server.wire_format import (
    Part,
    binary_prefix,
    device_message,
    encode_json,
    error_message,
    fields_json,
    json_message_tail,
    json_prefix,
)

JSON_STREAMS: Final = frozenset({"health", "log", "fault"})


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


@dataclass(eq=False, slots=True)
class Subscription:
    """One stream of one device for one client.

    Attributes:
        epoch: epoch that was announced last; None for JSON streams.
        channel: where its samples come from; None for JSON streams.
    """

    owner: Subscriber
    feed: Feed
    request: RequestId
    device: str
    stream: str
    epoch: int | None = None
    fields: tuple[FieldInfo, ...] = ()
    next_index: int | None = None
    channel: Channel | None = None

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


class Router:
    """Keeps the table of subscriptions and puts each event into the right queues."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._subscribers: list[Subscriber] = []
        self._channels: dict[tuple[str, str], dict[Shape, Channel]] = {}
        self._json: dict[tuple[str, str], list[Subscription]] = {}
        self._wildcards: list[Wildcard] = []

    # ------------------------------------------------------------ subscribers

    def add(self, subscriber: Subscriber) -> None:
        """A client is there: tell it every device, and from now on each change."""
        self._subscribers.append(subscriber)
        for device in self._hub.devices.values():
            subscriber.queue.put_control(device_message(device), key=("device", device.id))

    def remove(self, subscriber: Subscriber) -> None:
        """A client is gone, and with it all its subscriptions."""
        self._subscribers = [other for other in self._subscribers if other is not subscriber]
        self._wildcards = [wildcard for wildcard in self._wildcards if wildcard.owner is not subscriber]
        for subscription in self.subscriptions(subscriber):
            self.unsubscribe(subscription)

    def subscriptions(self, subscriber: Subscriber) -> list[Subscription]:
        """All subscriptions of a client."""
        every = [item for channels in self._channels.values() for c in channels.values() for item in c.subscriptions]
        every += [item for items in self._json.values() for item in items]
        return sorted((item for item in every if item.owner is subscriber), key=lambda item: item.feed.sub)

    def load(self, subscriber: Subscriber) -> int:
        """How many subscriptions a client has, each request for every device counted as one more."""
        return len(self.subscriptions(subscriber)) + len(self.wildcards(subscriber))

    def wildcards(self, subscriber: Subscriber) -> list[Wildcard]:
        """All requests of a client that later devices still join."""
        return [wildcard for wildcard in self._wildcards if wildcard.owner is subscriber]

    def subscribe(self, owner: Subscriber, request: Subscribe) -> list[Subscription]:
        """Make the subscriptions that a request asks for: one, or with ``*`` one for each device that has the stream.

        Raises:
            RequestError: ``unknown_device``, ``unknown_stream``, ``too_many``; then nothing was subscribed.
        """
        if request.device == "*":
            if not owner.room():
                raise _too_many(request.id)
            wildcard = Wildcard(owner, request)
            matching = [device for device in self._hub.devices.values() if self._has(device.id, request.stream)]
            self._wildcards.append(wildcard)
            made: list[Subscription] = []
            try:
                for device in matching:
                    wildcard.seen.add(device.id)
                    made.append(self._subscribe_one(owner, request, device.id))
            except RequestError:
                self._wildcards.remove(wildcard)
                for subscription in made:
                    self.unsubscribe(subscription)
                raise
            return made
        if request.device not in self._hub.devices:
            raise RequestError("unknown_device", f"there is no device {request.device[:80]!r}", request.id)
        if not self._has(request.device, request.stream):
            known = [stream.name for stream in self._hub.devices[request.device].streams] + sorted(JSON_STREAMS)
            raise RequestError(
                "unknown_stream",
                f"device {request.device} has no stream {request.stream[:80]!r}; it has: {', '.join(known)}",
                request.id,
            )
        return [self._subscribe_one(owner, request, request.device)]

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; what waits for it is thrown away."""
        subscription.feed.closed = True
        key = subscription.device, subscription.stream
        channel = subscription.channel
        if channel is None:
            self._json[key].remove(subscription)
            return
        channel.subscriptions.remove(subscription)
        if not channel.subscriptions:
            del self._channels[key][channel.shape]

    def end_wildcard(self, wildcard: Wildcard) -> None:
        """No further device joins this request."""
        self._wildcards.remove(wildcard)

    def send_latest(self, subscription: Subscription) -> None:
        """Give a new subscription to ``health`` or ``fault`` the newest there is."""
        if subscription.channel is None:
            message = self._hub.latest(subscription.device, cast(JsonStream, subscription.stream))
            if message is not None:
                _queue_json(subscription, message, json_message_tail(message))

    def _has(self, device: str, stream: str) -> bool:
        if stream in JSON_STREAMS or self._hub.stream(device, stream) is not None:
            return True
        return any(known.name == stream for known in self._hub.devices[device].streams)

    def _subscribe_one(self, owner: Subscriber, request: Subscribe, device: str) -> Subscription:
        if not owner.room():
            raise _too_many(request.id)
        sub, stream = owner.new_sub(), request.stream
        if stream in JSON_STREAMS:
            feed = Feed(sub, partial(json_prefix, stream, sub), text=True)
            subscription = Subscription(owner, feed, request.id, device, stream)
            self._json.setdefault((device, stream), []).append(subscription)
            return subscription
        prefix: Callable[[int], bytes] = partial(binary_prefix, sub)
        if request.format == "json":
            prefix = partial(json_prefix, "data", sub)
        feed = Feed(sub, prefix, text=request.format == "json")
        subscription = Subscription(owner, feed, request.id, device, stream)
        subscription.epoch, subscription.fields, subscription.next_index = self._standing(device, stream)
        shape = Shape(request.mode, request.rate_hz if request.mode != "every" else None, request.format)
        channels = self._channels.setdefault((device, stream), {})
        channel = channels.get(shape)
        if channel is None:
            channel = channels[shape] = Channel(shape)
        channel.subscriptions.append(subscription)
        subscription.channel = channel
        return subscription

    def _standing(self, device: str, stream: str) -> tuple[int, tuple[FieldInfo, ...], int]:
        state = self._hub.stream(device, stream)
        info = next((known for known in self._hub.devices[device].streams if known.name == stream), None)
        if state is None:
            assert info is not None  # else there is no such stream
            return info.epoch, info.fields, 0
        # A range may have changed since the epoch began: the device has it as it is now.
        fields = info.fields if info is not None and info.epoch == state.epoch.epoch else state.epoch.fields
        return state.epoch.epoch, fields, state.next_index

    # ----------------------------------------------------------------- events

    def handle(self, event: Event) -> None:
        """Take one event from the hub."""
        match event:
            case Batch():
                self._batch(event)
            case Gap():
                self._gap(event)
            case JsonMessage():
                self._json_message(event)
            case EpochStarted():
                self._epoch(event)
            case DeviceChanged(device=device):
                self._device(device)
            case _:
                pass

    def _channels_of(self, device: str, stream: str) -> tuple[Channel, ...]:
        # a copy, because a client that is closed meanwhile takes its channel with it
        return tuple(self._channels.get((device, stream), {}).values())

    def _batch(self, batch: Batch) -> None:
        for channel in self._channels_of(batch.device, batch.stream):
            parts = channel.encode(batch)
            for subscription in tuple(channel.subscriptions):
                subscription.owner.deliver(subscription.feed, parts)

    def _gap(self, gap: Gap) -> None:
        for channel in self._channels_of(gap.device, gap.stream):
            if channel.tells_gaps:
                for subscription in tuple(channel.subscriptions):
                    subscription.owner.queue.put_gap(subscription.feed, gap)
                    subscription.owner.flush()

    def _json_message(self, message: JsonMessage) -> None:
        subscriptions = self._json.get((message.device, message.stream))
        if subscriptions:
            tail = json_message_tail(message)
            for subscription in tuple(subscriptions):
                _queue_json(subscription, message, tail)
                subscription.owner.flush()

    def _epoch(self, event: EpochStarted) -> None:
        for channel in self._channels_of(event.device, event.stream):
            for subscription in tuple(channel.subscriptions):
                if (subscription.epoch, subscription.fields) == (event.epoch, event.fields):
                    continue
                subscription.epoch, subscription.fields = event.epoch, event.fields
                body = {
                    "op": "epoch",
                    "sub": subscription.feed.sub,
                    "epoch": event.epoch,
                    "boot_id": event.boot_id,
                    "fields": fields_json(event.fields),
                    "next_index": event.next_index,
                }
                subscription.owner.queue.put_control(encode_json(body), feed=subscription.feed)
                subscription.owner.flush()

    def _device(self, device: DeviceInfo) -> None:
        message = device_message(device)
        for subscriber in tuple(self._subscribers):
            subscriber.queue.put_control(message, key=("device", device.id))
            subscriber.flush()
        for wildcard in tuple(self._wildcards):
            if device.id not in wildcard.seen and self._has(device.id, wildcard.request.stream):
                wildcard.seen.add(device.id)
                self._join(wildcard, device.id)

    def _join(self, wildcard: Wildcard, device: str) -> None:
        owner, request = wildcard.owner, wildcard.request
        try:
            subscription = self._subscribe_one(owner, request, device)
        except RequestError as error:
            owner.queue.put_control(error_message(None, error.code, f"device {device} did not join: {error}"))
        else:
            body = {"op": "subscription_added", "request": request.id, "subscription": subscription.describe()}
            owner.queue.put_control(encode_json(body), feed=subscription.feed)
            self.send_latest(subscription)
        owner.flush()


def _too_many(request: RequestId) -> RequestError:
    return RequestError("too_many", "this connection has as many subscriptions as it may have", request)


def _queue_json(subscription: Subscription, message: JsonMessage, tail: bytes) -> None:
    queue, feed = subscription.owner.queue, subscription.feed
    if message.stream == "health":
        queue.put_control(feed.prefix(feed.next_seq()) + tail, feed=feed, key=("health", feed.sub))
    else:
        subscription.owner.deliver(feed, [Part(0, feed.seq, 1, tail)])
