"""From the hub to the subscribers: which subscription gets which event. The server's one sink."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

from telemetry_bridge.config import Limits
from telemetry_bridge.events import (
    Batch,
    DeviceChanged,
    DeviceInfo,
    EpochStarted,
    Event,
    FieldInfo,
    Gap,
    JsonMessage,
    Mark,
)
from telemetry_bridge.hub import Hub
from telemetry_bridge.server.accounts import Accounts
from telemetry_bridge.server.catch_up import CatchUp
from telemetry_bridge.server.channels import Channel, Output, Shape, make_channel
from telemetry_bridge.server.notes import Notes
from telemetry_bridge.server.requests import JSON_STREAMS, History, RequestError, Since, Subscribe
from telemetry_bridge.server.ring import RecentStreams, StreamEvent
from telemetry_bridge.server.subscriber_queue import Feed
from telemetry_bridge.server.subscriptions import Subscriber, Subscription, Wildcard, make_feed
from telemetry_bridge.server.wire_format import (
    RequestId,
    batch_parts,
    device_message,
    encode_json,
    error_message,
    fields_json,
    json_prefix,
)

_CATCH_UP_STEPS: Final = 16
"""Entries of the ring that a subscriber is given before the others have their turn: 16 messages take about 0.2 ms."""


class Router:
    """Keeps the table of subscriptions and puts each event into the right queues.

    Args:
        hub: that it is a sink of.
        limits: how much of each stream is kept for subscribers that come back.

    Attributes:
        recent: what is kept.
    """

    def __init__(self, hub: Hub, limits: Limits) -> None:
        self._hub = hub
        self._rates = limits.rates
        self.recent = RecentStreams(limits.recent_bytes, limits.recent_s, limits.recent_total_bytes)
        self.accounts = Accounts()
        self._subscribers: list[Subscriber] = []
        self._subscriptions: dict[Subscriber, list[Subscription]] = {}
        self._channels: dict[tuple[str, str], dict[Shape, Channel]] = {}
        self._notes = Notes(hub)
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
        self.accounts.leave(subscriber)

    def subscriptions(self, subscriber: Subscriber) -> list[Subscription]:
        """All subscriptions of a client."""
        return list(self._subscriptions.get(subscriber, ()))

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
        self._check(request)
        return [self._subscribe_one(owner, request, request.device)]

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; what waits for it is thrown away."""
        subscription.feed.closed = True
        self.accounts.end(subscription)
        owned = self._subscriptions[subscription.owner]
        owned.remove(subscription)
        if not owned:
            del self._subscriptions[subscription.owner]
        key = subscription.device, subscription.stream
        channel = subscription.channel
        if subscription.shape is None:
            self._notes.leave(subscription)
        elif channel is not None:
            channel.subscriptions.remove(subscription)
            if not channel.subscriptions:
                del self._channels[key][channel.shape]

    def end_wildcard(self, wildcard: Wildcard) -> None:
        """No further device joins this request."""
        self._wildcards.remove(wildcard)

    def send_latest(self, subscription: Subscription) -> None:
        """Give a new subscription to ``health`` or ``fault`` the newest there is."""
        if subscription.shape is None:
            self._notes.give_newest(subscription)

    def history(self, request: History) -> dict[str, object]:
        """What is kept of a stream's last seconds, and how to ask for it.

        Raises:
            RequestError: ``unknown_device``, ``unknown_stream``.
        """
        self._check(request)
        device, stream = request.device, request.stream
        if stream in JSON_STREAMS:
            raise RequestError("bad_request", f"nothing is kept of {stream}", request.id)
        epoch, _, next_index = self._standing(device, stream)
        oldest = self.recent.ring(device, stream).oldest(request.seconds)
        index, time_ns = (next_index, None) if oldest is None else (oldest.index, oldest.time_ns)
        return {
            "device": device, "stream": stream, "epoch": epoch, "index": index, "time_ns": time_ns,
            "next_index": next_index,
        }  # fmt: skip

    def _check(self, request: Subscribe | History) -> None:
        if request.device not in self._hub.devices:
            raise RequestError("unknown_device", f"there is no device {request.device[:80]!r}", request.id)
        if not self._has(request.device, request.stream):
            known = [stream.name for stream in self._hub.devices[request.device].streams] + sorted(JSON_STREAMS)
            raise RequestError(
                "unknown_stream",
                f"device {request.device} has no stream {request.stream[:80]!r}; it has: {', '.join(known)}",
                request.id,
            )

    def _has(self, device: str, stream: str) -> bool:
        if stream in JSON_STREAMS or self._hub.stream(device, stream) is not None:
            return True
        return any(known.name == stream for known in self._hub.devices[device].streams)

    def _subscribe_one(self, owner: Subscriber, request: Subscribe, device: str) -> Subscription:
        if not owner.room():
            raise _too_many(request.id)
        stream, since = request.stream, request.since
        if stream in JSON_STREAMS:
            if since is not None:
                raise RequestError("bad_request", f"{stream} has no index to resume from: leave since out", request.id)
            sub = owner.new_sub()
            feed = Feed(sub, partial(json_prefix, stream, sub), text=True)
            subscription = Subscription(owner, feed, request.id, device, stream)
            self._notes.join(subscription)
            self._subscriptions.setdefault(owner, []).append(subscription)
            return subscription
        epoch, fields, index = self._standing(device, stream)
        if since is not None and since.epoch == epoch and since.index > index:
            raise RequestError(
                "bad_request", f"since: index {since.index} is yet to come: {stream} stands at {index}", request.id
            )
        shape = Shape(
            request.mode, None if request.mode == "every" else request.rate_hz, request.format, request.calibrated
        )
        others = [other for other in self._channels.get((device, stream), {}) if other.rate_hz is not None]
        if shape.rate_hz is not None and shape not in others and len(others) >= self._rates:
            text = f"{stream} goes out at {len(others)} different rates, modes and formats already: take one of those"
            raise RequestError("too_many", text, request.id)
        feed = make_feed(owner.new_sub(), shape)
        subscription = Subscription(owner, feed, request.id, device, stream, epoch, fields, index, shape)
        self._subscriptions.setdefault(owner, []).append(subscription)
        if since is None or (since.epoch, since.index) == (epoch, index):
            self._join_channel(subscription)
        else:
            self._resume(subscription, since)
        subscription.begins_at(self._hub.stream(device, stream))
        return subscription

    def _join_channel(self, subscription: Subscription) -> None:
        key, shape = (subscription.device, subscription.stream), subscription.shape
        assert shape is not None
        channels = self._channels.setdefault(key, {})
        channel = channels.get(shape)
        if channel is None:
            channel = channels[shape] = make_channel(shape)
        elif channel.held_index is not None:
            subscription.next_index = channel.held_index
        channel.subscriptions.append(subscription)
        subscription.channel = channel

    def _resume(self, subscription: Subscription, since: Since) -> None:
        """Begin where the client stopped; what it gets first is what it missed."""
        device, stream = subscription.device, subscription.stream
        ring = self.recent.ring(device, stream)
        subscription.behind = CatchUp(device, stream, ring, since.epoch, since.index)
        subscription.epoch, subscription.next_index = since.epoch, since.index
        known = ring.epoch(since.epoch)
        if known is not None and since.epoch != self._standing(device, stream)[0]:
            subscription.fields = known.fields

    def _standing(self, device: str, stream: str) -> tuple[int, tuple[FieldInfo, ...], int]:
        state = self._hub.stream(device, stream)
        info = next((known for known in self._hub.devices[device].streams if known.name == stream), None)
        if state is None:
            assert info is not None  # else there is no such stream
            return info.epoch, info.fields, 0
        # A range may have changed since the epoch began: the device has it as it is now.
        fields = info.fields if info is not None and info.epoch == state.epoch.epoch else state.epoch.fields
        return state.epoch.epoch, fields, state.next_index

    # ------------------------------------------------------------- catching up

    def catch_up(self, owner: Subscriber) -> bool:
        """Give a client some of what its resumed subscriptions missed, as far as it takes it now.

        Returns:
            whether it should be called again soon; if not, then when the client takes more.
        """
        late = [subscription for subscription in self.subscriptions(owner) if subscription.behind is not None]
        for _ in range(_CATCH_UP_STEPS):
            if not late or not owner.takes_more():
                return False
            if not self._step(late[0]):
                late.pop(0)
        return bool(late)

    def _step(self, subscription: Subscription) -> bool:
        """One step nearer to the present; False if it is reached, or the subscription has ended."""
        behind = subscription.behind
        if behind is None or subscription.feed.closed:
            return False
        if not behind.done:
            for event in behind.step():
                self._give(subscription, event)
            return True
        subscription.behind = None
        state = self._hub.stream(subscription.device, subscription.stream)
        if state is not None and (gap := behind.rest(state.epoch.epoch, state.next_index)) is not None:
            self._give(subscription, gap)
        if state is not None and state.epoch.epoch != subscription.epoch:  # its announcement has left the ring
            self._announce(subscription, replace(state.epoch, next_index=state.next_index))
        self._join_channel(subscription)
        return False

    def _give(self, subscription: Subscription, event: StreamEvent) -> None:
        owner, shape = subscription.owner, subscription.shape
        assert shape is not None
        match event:
            case Batch():
                owner.deliver(subscription.feed, batch_parts(event, shape.form, calibrated=shape.calibrated))
            case Gap():
                if event.cause == "subscriber" and event.count is None:  # nobody knows any more how many there were
                    subscription.produced_before = None
                owner.queue.put_gap(subscription.feed, event)
                owner.flush()
            case EpochStarted():
                self._announce(subscription, event)

    # ----------------------------------------------------------------- events

    def handle(self, event: Event) -> None:
        """Take one event from the hub."""
        match event:
            case Batch():
                self.recent.add(event)
                for channel in self._channels_of(event):
                    channel.silent_s = 0.0
                    self._deliver(channel, channel.take(event))
            case Gap():
                self.recent.add(event)
                self._gap(event)
            case EpochStarted():
                self.recent.add(event)
                self._epoch(event)
            case JsonMessage():
                self._notes.give(event)
            case Mark():
                self._notes.mark(event)
            case DeviceChanged(device=device):
                self._device(device)
            case _:
                pass

    def _channels_of(self, event: StreamEvent) -> tuple[Channel, ...]:
        # a copy, because a client that is closed meanwhile takes its channel with it
        return tuple(self._channels.get((event.device, event.stream), {}).values())

    def _deliver(self, channel: Channel, output: Output) -> None:
        parts, skipped = output
        if skipped:
            for subscription in channel.subscriptions:
                subscription.feed.skipped += skipped
        if parts:
            for subscription in tuple(channel.subscriptions):
                subscription.owner.deliver(subscription.feed, parts)

    def pass_time(self, seconds: float) -> None:
        """So much time has passed: what waits for a sample that does not come goes out."""
        for channels in tuple(self._channels.values()):
            for channel in tuple(channels.values()):
                self._deliver(channel, channel.pass_time(seconds))

    def _gap(self, gap: Gap) -> None:
        for channel in self._channels_of(gap):
            self._deliver(channel, channel.cut())
            for subscription in tuple(channel.subscriptions):
                subscription.owner.queue.put_gap(subscription.feed, gap)
                subscription.owner.flush()

    def _epoch(self, event: EpochStarted) -> None:
        for channel in self._channels_of(event):
            self._deliver(channel, channel.restart())
            for subscription in tuple(channel.subscriptions):
                if (subscription.epoch, subscription.fields) != (event.epoch, event.fields):
                    self._announce(subscription, event)

    def _announce(self, subscription: Subscription, event: EpochStarted) -> None:
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
        self._rest(device)
        for wildcard in tuple(self._wildcards):
            if device.id not in wildcard.seen and self._has(device.id, wildcard.request.stream):
                wildcard.seen.add(device.id)
                self._join(wildcard, device.id)

    def _rest(self, device: DeviceInfo) -> None:
        """What the channels of streams that pause still hold goes out now."""
        gone = device.state in {"offline", "released"}
        for stream in device.streams:
            if gone or not stream.enabled or stream.state != "streaming":
                for channel in tuple(self._channels.get((device.id, stream.name), {}).values()):
                    self._deliver(channel, channel.rest())

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
