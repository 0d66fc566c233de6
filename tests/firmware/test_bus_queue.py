"""The bus queue: order, one done() a transfer, errors that stay with their transfer, recovery."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from firmware.host_build import Harness, HarnessFailed

OK, NACK, ARBITRATION, TIMEOUT = range(4)


class Queue:
    """The harness: `result` and what is `on_bus` after the last command; `ask` returns what happened in it."""

    def __init__(self) -> None:
        self.harness = Harness("bus_queue")
        self.result = self.on_bus = "-"
        self.ask("init 1 1")

    def ask(self, command: str) -> list[str]:
        self.result, self.on_bus, *happened = self.harness.ask(command).split()
        return happened


@pytest.fixture
def queue() -> Iterator[Queue]:
    queue = Queue()
    yield queue
    queue.harness.close()


def test_transfers_go_one_by_one_in_their_order(queue: Queue) -> None:
    assert queue.ask("start 1") == ["+1"]
    assert queue.ask("start 2") == []
    assert queue.ask("start 0") == []
    assert queue.result == "1"
    assert queue.ask(f"end {OK}") == ["+2", "1=0"], "the next one is on the bus before the driver hears of the last"
    assert queue.ask(f"end {OK}") == ["+0", "2=0"]
    assert queue.ask(f"end {OK}") == ["0=0"]
    assert queue.on_bus == "-"
    assert queue.ask("start 2") == ["+2"]


@pytest.mark.parametrize("status", [NACK, ARBITRATION])
def test_an_error_is_that_of_one_transfer(queue: Queue, status: int) -> None:
    queue.ask("start 1")
    queue.ask("start 2")
    assert queue.ask(f"end {status}") == ["+2", f"1={status}"]
    assert queue.ask(f"end {OK}") == ["2=0"]
    assert queue.ask("poll") == [], "nothing to recover"


def test_done_may_queue_its_transfer_again_behind_the_others(queue: Queue) -> None:
    queue.ask("again 1")
    queue.ask("start 1")
    queue.ask("start 2")
    assert queue.ask(f"end {OK}") == ["+2", "1=0"]
    assert queue.ask(f"end {OK}") == ["+1", "2=0"]


def test_a_transfer_has_one_place_in_the_queue(queue: Queue) -> None:
    queue.ask("start 1")
    with pytest.raises(HarnessFailed, match="assert failed"):
        queue.ask("start 1")


def test_an_absent_bus_refuses(queue: Queue) -> None:
    queue.ask("init 0 0")
    assert queue.ask("start 1") == []
    assert queue.result == "0"
    assert queue.ask("recover") == []
    assert queue.ask("poll") == []


def test_a_timeout_is_followed_by_a_recovery_before_the_next_transfer(queue: Queue) -> None:
    queue.ask("start 1")
    queue.ask("start 2")
    assert queue.ask(f"end {TIMEOUT}") == ["1=3"]
    assert queue.on_bus == "-"
    assert queue.ask("start 3") == []
    assert queue.ask("poll") == ["R", "+2"]
    assert queue.ask("poll") == [], "once"
    assert queue.ask(f"end {OK}") == ["+3", "2=0"]


def test_a_timeout_with_nothing_queued_is_recovered_from_too(queue: Queue) -> None:
    queue.ask("start 1")
    queue.ask(f"end {TIMEOUT}")
    assert queue.ask("poll") == ["R"]
    assert queue.ask("start 2") == ["+2"]


def test_a_bus_that_stays_held_ends_what_is_queued_and_is_tried_again_when_wanted(queue: Queue) -> None:
    queue.ask("held 1")
    for number in (1, 2, 3):
        queue.ask(f"start {number}")
    queue.ask(f"end {TIMEOUT}")
    assert queue.ask("poll") == ["R", "2=3", "3=3"]
    assert queue.ask("poll") == [], "nobody wants it"
    assert queue.ask("start 4") == []
    assert queue.ask("poll") == ["R", "4=3"]
    queue.ask("held 0")
    queue.ask("start 5")
    assert queue.ask("poll") == ["R", "+5"]


def test_what_done_queues_while_all_fail_waits_for_the_next_try(queue: Queue) -> None:
    queue.ask("held 1")
    queue.ask("start 1")
    queue.ask("start 2")
    queue.ask("again 2")
    queue.ask(f"end {TIMEOUT}")
    assert queue.ask("poll") == ["R", "2=3"]
    assert queue.ask("poll") == ["R", "2=3"]


def test_a_controller_that_does_not_start_is_recovered_or_given_up(queue: Queue) -> None:
    queue.ask("refuse 1")
    assert queue.ask("start 1") == []
    assert queue.result == "1", "taken: done() follows"
    assert queue.ask("poll") == ["R", "1=3"]
    assert queue.ask("poll") == []
    queue.ask("start 2")
    queue.ask("refuse 0")
    assert queue.ask("poll") == ["R", "+2"]


def test_a_bus_that_cannot_be_held_goes_on_after_a_timeout(queue: Queue) -> None:
    queue.ask("init 1 0")
    queue.ask("start 1")
    queue.ask("start 2")
    queue.ask(f"end {TIMEOUT}")
    assert queue.ask("poll") == ["+2"]
    assert queue.ask("recover") == []
    assert queue.result == "1"


def test_a_driver_that_asks_never_disturbs_a_transfer(queue: Queue) -> None:
    assert queue.ask("recover") == ["R"]
    queue.ask("start 1")
    assert queue.ask("recover") == []
    assert queue.result == "1"
    queue.ask(f"end {OK}")
    queue.ask("held 1")
    assert queue.ask("recover") == ["R"]
    assert queue.result == "0"
    queue.ask("held 0")
    queue.ask("start 2")
    assert queue.ask("poll") == ["R", "+2"]


@pytest.mark.parametrize("seed", range(4))
def test_every_transfer_ends_once_and_in_order_whatever_happens(queue: Queue, seed: int) -> None:
    """The harness frees a transfer in its done(): the sanitizer sees a queue that still holds it."""
    rng = random.Random(seed)
    waiting: list[str] = []
    ended = 0

    def check(happened: list[str]) -> None:
        nonlocal ended
        for event in happened:
            if event == "R":
                continue
            if event.startswith("+"):
                continue
            number, _ = event.split("=")
            assert waiting.pop(0) == number
            ended += 1
            if number in again:
                again.remove(number)
                requeued.append(number)
        waiting.extend(requeued)
        requeued.clear()

    again: set[str] = set()
    requeued: list[str] = []
    for _ in range(1500):
        action = rng.random()
        if action < 0.4:
            number = str(rng.randrange(8))
            if number not in waiting:
                if rng.random() < 0.2:
                    queue.ask(f"again {number}")
                    again.add(number)
                check(queue.ask(f"start {number}"))
                waiting.append(number)
        elif action < 0.8 and queue.on_bus != "-":
            check(queue.ask(f"end {rng.choice((OK, OK, OK, NACK, ARBITRATION, TIMEOUT))}"))
        elif action < 0.9:
            check(queue.ask("poll"))
        elif action < 0.93:
            check(queue.ask("recover"))
        elif action < 0.96:
            queue.ask(f"held {rng.randrange(2)}")
        else:
            queue.ask(f"refuse {rng.randrange(2)}")
        assert queue.on_bus in ("-", waiting[0] if waiting else "-")
    queue.ask("held 0")
    queue.ask("refuse 0")
    for _ in range(20):
        check(queue.ask("poll"))
        if queue.on_bus != "-":
            check(queue.ask(f"end {OK}"))
    assert waiting == []
    assert ended > 300
