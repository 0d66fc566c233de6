"""What became of the samples that subscribers were to get, their ended subscriptions included."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from telemetry_bridge.server.subscriber_queue import Feed
from telemetry_bridge.server.subscriptions import Subscriber, Subscription


@dataclass(slots=True)
class Account:
    """Sums over subscriptions, in samples of the stream.

    Attributes:
        sent: handed to the connection.
        dropped: dropped by the subscriber's queue, and named by a gap.
        skipped: left out on purpose (modes ``latest`` and ``envelope``).
        waiting: in the queue.
    """

    sent: int = 0
    dropped: int = 0
    skipped: int = 0
    waiting: int = 0

    def add(self, feed: Feed, *, ended: bool = False) -> None:
        """Take in a subscription; nothing waits for one that has ended."""
        self.sent += feed.sent
        self.dropped += feed.dropped
        self.skipped += feed.skipped
        self.waiting += 0 if ended else feed.waiting


class Accounts:
    """What has become of all subscriptions: those that have ended are summed up here, the others count themselves."""

    def __init__(self) -> None:
        self._streams: dict[tuple[str, str], Account] = {}
        self._subscribers: dict[Subscriber, Account] = {}

    def end(self, subscription: Subscription) -> None:
        """A subscription ends."""
        if subscription.shape is not None:
            key = subscription.device, subscription.stream
            self._streams.setdefault(key, Account()).add(subscription.feed, ended=True)
            self._subscribers.setdefault(subscription.owner, Account()).add(subscription.feed, ended=True)

    def leave(self, subscriber: Subscriber) -> None:
        """A subscriber is gone; the sums by stream stay."""
        self._subscribers.pop(subscriber, None)

    def of_streams(self, subscriptions: Iterable[Subscription]) -> dict[tuple[str, str], Account]:
        """Sums by device and stream, with the subscriptions that there are now."""
        sums = {key: replace(account) for key, account in self._streams.items()}
        for subscription in subscriptions:
            if subscription.shape is not None:
                sums.setdefault((subscription.device, subscription.stream), Account()).add(subscription.feed)
        return sums

    def of_subscriber(self, subscriber: Subscriber, subscriptions: Iterable[Subscription]) -> Account:
        """Sums of one subscriber, with the subscriptions that it has now."""
        account = replace(self._subscribers.get(subscriber, Account()))
        for subscription in subscriptions:
            if subscription.shape is not None:
                account.add(subscription.feed)
        return account
