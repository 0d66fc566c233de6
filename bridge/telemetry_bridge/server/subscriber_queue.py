"""What waits for one subscriber: bounded, in order, and honest about what it drops. Sans-I/O.

    pop() <--  head: answers and gaps only  <--drop--  tail: data, answers, gaps  <-- put_…()

Over a limit the oldest data goes: items move from the left of ``tail`` to the right of ``head``, and data becomes a
gap of cause ``subscriber`` on the way. So all that was dropped lies before all that is left, every gap stands before
the data that follows it, and dropping costs constant time. Gaps of one subscription that touch and have the same cause
merge. What is never dropped (answers, epochs, gaps) may by itself exceed the limits; then the subscriber is hopelessly
behind, see :attr:`SubscriberQueue.hopeless`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Final, NamedTuple, TypeAlias

from telemetry_bridge.events import Gap, GapCause
from telemetry_bridge.server.wire_format import SEQUENCE_MASK, Part, gap_message

_GAP_BYTES: Final = 120
_PREFIX_BYTES: Final = 40


class Message(NamedTuple):
    """One WebSocket message."""

    data: bytes
    text: bool


class Feed:
    """One subscription as its queue sees it.

    Args:
        sub: number of the subscription within its connection.
        prefix: makes the start of a message of this subscription from its ``seq``.
        text: whether its messages are text.
        newest_only: data that waits is replaced by newer data.

    Attributes:
        closed: set when the client unsubscribes; what still waits is thrown away.
        sent: samples taken out of the queue to be sent.
        dropped: samples dropped by the queue, which a gap of cause ``subscriber`` names.
        skipped: samples left out on purpose, because a newer one goes out (mode ``latest``).
        lost: samples that gaps of a known length named, by cause; ``dropped`` is not in it.
        waiting: samples in the queue.

    All samples of the stream since the subscription began are ``sent + dropped + skipped + waiting``, those that
    ``lost`` counts, and those that the subscription's channel still holds.
    """

    __slots__ = (
        "closed", "dropped", "head_gap", "lost", "newest_only", "open_gap", "prefix", "sent", "seq", "skipped", "sub",
        "text", "waiting", "waiting_data",
    )  # fmt: skip

    def __init__(self, sub: int, prefix: Callable[[int], bytes], *, text: bool, newest_only: bool = False) -> None:
        self.sub = sub
        self.prefix = prefix
        self.text = text
        self.newest_only = newest_only
        self.seq = 0
        self.closed = False
        self.sent = 0
        self.dropped = 0
        self.skipped = 0
        self.lost: dict[GapCause, int] = {}
        self.waiting = 0
        self.waiting_data: _Data | None = None
        self.head_gap: _Gap | None = None
        self.open_gap: _Gap | None = None

    def next_seq(self) -> int:
        """Number of the next message of this subscription."""
        seq = self.seq
        self.seq = (seq + 1) & SEQUENCE_MASK
        return seq

    def message(self, part: Part, seq: int | None = None) -> bytes:
        """The whole message of a part, counted as sent; it takes the next number unless it has one."""
        self.sent += part.samples
        return self.prefix(self.next_seq() if seq is None else seq) + part.tail


class _Data:
    __slots__ = ("feed", "part", "seq", "size")

    def __init__(self, feed: Feed, part: Part, seq: int) -> None:
        self.feed = feed
        self.part = part
        self.seq = seq
        self.size = len(part.tail) + _PREFIX_BYTES


class _Gap:
    __slots__ = ("cause", "count", "epoch", "estimated", "feed", "index", "size")

    def __init__(
        self, feed: Feed, epoch: int, index: int, count: int | None, cause: GapCause, *, estimated: bool = False
    ) -> None:
        self.feed = feed
        self.epoch = epoch
        self.index = index
        self.count = count
        self.cause = cause
        self.estimated = estimated
        self.size = _GAP_BYTES

    def extend(self, epoch: int, index: int, count: int | None, cause: GapCause) -> bool:
        """Take in what follows, if it touches and has the same cause."""
        if self.count is None or count is None or cause != self.cause or epoch != self.epoch:
            return False
        if self.index + self.count != index:
            return False
        self.count += count
        return True


class _Control:
    __slots__ = ("feed", "key", "message", "size")

    def __init__(self, feed: Feed | None, message: Message, key: Hashable) -> None:
        self.feed = feed
        self.message = message
        self.key = key
        self.size = len(message.data)


_Item: TypeAlias = _Data | _Gap | _Control


class SubscriberQueue:
    """The queue of one connection, for all its subscriptions.

    Args:
        max_bytes: limit of the bytes that wait; data is counted in full though subscribers share it.
        max_messages: limit of the messages that wait.
    """

    def __init__(self, max_bytes: int, max_messages: int) -> None:
        self._max_bytes = max_bytes
        self._max_messages = max_messages
        self._head: deque[_Gap | _Control] = deque()
        self._tail: deque[_Item] = deque()
        self._keyed: dict[Hashable, _Control] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._head) + len(self._tail)

    @property
    def hopeless(self) -> bool:
        """Whether the limits are exceeded by what cannot be dropped."""
        return not self._tail and (self.bytes > self._max_bytes or len(self._head) > self._max_messages)

    def put_data(self, feed: Feed, part: Part) -> None:
        """Queue a message of samples (or a log line), dropping the oldest data if there is no room."""
        feed.open_gap = None
        feed.waiting += part.samples
        item, stale = _Data(feed, part, feed.next_seq()), feed.waiting_data
        if not feed.newest_only:
            self._put(item)
        elif stale is None:
            feed.waiting_data = item
            self._put(item)
        else:  # nothing of this subscription stands behind it: the newer one may take its place
            feed.waiting -= stale.part.samples
            feed.skipped += stale.part.samples
            self.bytes += item.size - stale.size
            stale.part, stale.seq, stale.size = item.part, item.seq, item.size
            self._make_room()

    def put_gap(self, feed: Feed, gap: Gap) -> None:
        """Queue a gap that came from the stream itself."""
        feed.waiting_data = None
        if gap.count is not None:
            feed.lost[gap.cause] = feed.lost.get(gap.cause, 0) + gap.count
        if feed.open_gap is not None and feed.open_gap.extend(gap.epoch, gap.index, gap.count, gap.cause):
            feed.open_gap.estimated |= gap.estimated
            return
        item = _Gap(feed, gap.epoch, gap.index, gap.count, gap.cause, estimated=gap.estimated)
        feed.open_gap = item
        self._put(item)

    def put_control(self, data: bytes, *, feed: Feed | None = None, key: Hashable = None, text: bool = True) -> None:
        """Queue what is never dropped.

        Args:
            data: the whole message.
            feed: subscription it belongs to, if any: thrown away with it, and no gap merges across it.
            key: a message that still waits under the same key is replaced, where it stands.
            text: whether it goes out as text.
        """
        message = Message(data, text)
        if key is not None and (waiting := self._keyed.get(key)) is not None:
            self.bytes += len(data) - waiting.size
            waiting.message, waiting.size = message, len(data)
            self._make_room()
            return
        item = _Control(feed, message, key)
        if key is not None:
            self._keyed[key] = item
        if feed is not None:
            feed.open_gap = feed.waiting_data = None
        self._put(item)

    def pop(self) -> Message | None:
        """Take the oldest message out; None if nothing waits."""
        while self._head or self._tail:
            item = (self._head or self._tail).popleft()
            self.bytes -= item.size
            message = self._spell(item)
            if message is not None:
                return message
        return None

    def _put(self, item: _Item) -> None:
        self._tail.append(item)
        self.bytes += item.size
        self._make_room()

    def _make_room(self) -> None:
        while self._tail and (self.bytes > self._max_bytes or len(self) > self._max_messages):
            item = self._tail.popleft()
            self.bytes -= item.size
            if isinstance(item, _Data):
                self._drop(item)
            elif isinstance(item, _Gap):
                self._keep_gap(item)
            else:
                if item.feed is not None:
                    item.feed.head_gap = None
                self._keep(item)

    def _drop(self, item: _Data) -> None:
        feed, part = item.feed, item.part
        if feed.waiting_data is item:
            feed.waiting_data = None
        feed.waiting -= part.samples
        if feed.closed or not part.samples:
            return
        feed.dropped += part.samples
        gap = feed.head_gap
        if gap is None or not gap.extend(part.epoch, part.index, part.samples, "subscriber"):
            feed.head_gap = _Gap(feed, part.epoch, part.index, part.samples, "subscriber")
            self._keep(feed.head_gap)

    def _keep_gap(self, item: _Gap) -> None:
        feed = item.feed
        if feed.closed:
            return
        gap = feed.head_gap
        if gap is not None and gap.extend(item.epoch, item.index, item.count, item.cause):
            gap.estimated |= item.estimated
            if feed.open_gap is item:
                feed.open_gap = gap
            return
        feed.head_gap = item
        self._keep(item)

    def _keep(self, item: _Gap | _Control) -> None:
        self._head.append(item)
        self.bytes += item.size

    def _spell(self, item: _Item) -> Message | None:
        if isinstance(item, _Control):
            if item.key is not None:
                del self._keyed[item.key]
            return None if item.feed is not None and item.feed.closed else item.message
        feed = item.feed
        if isinstance(item, _Gap):
            if feed.open_gap is item:
                feed.open_gap = None
            if feed.head_gap is item:
                feed.head_gap = None
            if feed.closed:
                return None
            return Message(gap_message(feed.sub, item.index, item.count, item.estimated, item.cause), True)
        if feed.waiting_data is item:
            feed.waiting_data = None
        feed.waiting -= item.part.samples
        if feed.closed:
            return None
        return Message(feed.message(item.part, item.seq), feed.text)
