"""The JSON streams ``health``, ``log``, ``fault`` and ``mark``: who gets which message."""

from __future__ import annotations

from typing import cast

from telemetry_bridge.events import JsonMessage, JsonStream, Mark
from telemetry_bridge.hub import Hub
from telemetry_bridge.server.subscriptions import Subscription
from telemetry_bridge.server.wire_format import Part, json_message_tail


class Notes:
    """Keeps the table of the subscriptions to JSON streams.

    Args:
        hub: that knows the devices and the newest messages.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._subscriptions: dict[tuple[str, str], list[Subscription]] = {}

    def join(self, subscription: Subscription) -> None:
        """From now on it gets what comes."""
        self._subscriptions.setdefault((subscription.device, subscription.stream), []).append(subscription)

    def leave(self, subscription: Subscription) -> None:
        """It gets nothing any more."""
        self._subscriptions[subscription.device, subscription.stream].remove(subscription)

    def give(self, message: JsonMessage) -> None:
        """To everyone who has subscribed to that stream of that device."""
        self._spread(tuple(self._subscriptions.get((message.device, message.stream), ())), message)

    def give_newest(self, subscription: Subscription) -> None:
        """Give a new subscription to ``health`` or ``fault`` the newest there is."""
        message = self._hub.latest(subscription.device, cast(JsonStream, subscription.stream))
        if message is not None:
            _queue(subscription, message, json_message_tail(message))

    def mark(self, mark: Mark) -> None:
        """To everyone who wants the marks of that device; one of all devices comes once for each subscribe request."""
        wanted: dict[tuple[int, object], Subscription] = {}
        for device in self._hub.devices if mark.device == "*" else (mark.device,):
            for subscription in self._subscriptions.get((device, "mark"), ()):
                wanted.setdefault((id(subscription.owner), subscription.request), subscription)
        self._spread(tuple(wanted.values()), JsonMessage(mark.device, "mark", mark.time_ns, {"text": mark.text}))

    @staticmethod
    def _spread(subscriptions: tuple[Subscription, ...], message: JsonMessage) -> None:
        if subscriptions:
            tail = json_message_tail(message)
            for subscription in subscriptions:
                _queue(subscription, message, tail)
                subscription.owner.flush()


def _queue(subscription: Subscription, message: JsonMessage, tail: bytes) -> None:
    queue, feed = subscription.owner.queue, subscription.feed
    if message.stream == "health":
        queue.put_control(feed.prefix(feed.next_seq()) + tail, feed=feed, key=("health", feed.sub))
    else:
        subscription.owner.deliver(feed, [Part(0, feed.seq, 1, tail)])
