"""The store of records: the newest one that was written whole, wherever the power failed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.host_build import Harness

CELLS = 128
WORDS = 16


@pytest.fixture(scope="module")
def store() -> Iterator[Harness]:
    with Harness("store") as harness:
        yield harness


def boot(store: Harness) -> tuple[bool, bool, int, int, int]:
    """Found, damaged, version, words, first word."""
    found, damaged, version, words, value = map(int, store.ask("open").split())
    return bool(found), bool(damaged), version, words, value


def save(
    store: Harness, value: int, *, cut: int = 0, seed: int = 1, words: int = WORDS
) -> tuple[bool | None, int, int]:
    """Written (None: the power failed), operations, erases."""
    result, operations, erases = store.ask(f"save 1 {words} {value} {cut} {seed}").split()
    return None if result == "-" else result == "1", int(operations), int(erases)


def filled(store: Harness, records: int) -> None:
    """A new flash with so many records, of the values 1, 2, ..."""
    store.ask("new")
    boot(store)
    for value in range(records):
        assert save(store, value + 1)[0]


def test_a_new_flash_holds_nothing_and_is_not_damaged(store: Harness) -> None:
    store.ask("new")
    assert boot(store) == (False, False, 0, 0, 0)


def test_what_was_saved_is_there_after_a_boot(store: Harness) -> None:
    filled(store, 3)
    assert boot(store) == (True, False, 1, WORDS, 3)


def test_a_record_without_payload_is_one(store: Harness) -> None:
    filled(store, 1)
    assert save(store, 0, words=0)[0]
    assert boot(store) == (True, False, 1, 0, 0)


def test_saving_what_is_stored_writes_nothing(store: Harness) -> None:
    filled(store, 2)
    assert save(store, 2) == (True, 0, 0)
    assert save(store, 1)[1] == WORDS + 4


def test_there_is_one_erase_in_as_many_saves_as_a_slot_has_cells(store: Harness) -> None:
    filled(store, 0)
    erases = [save(store, value + 1)[2] for value in range(4 * CELLS)]
    assert [number for number, count in enumerate(erases) if count] == [CELLS, 2 * CELLS, 3 * CELLS]
    assert boot(store)[4] == 4 * CELLS


@pytest.mark.parametrize("records", [1, CELLS - 1, CELLS, CELLS + 1, 2 * CELLS, 3 * CELLS])
def test_a_power_cut_at_any_operation_leaves_the_old_record_or_the_new_one(store: Harness, records: int) -> None:
    filled(store, records)
    store.ask("keep")
    operations = save(store, 1000)[1]
    outcomes = set()
    for cut in range(1, operations + 1):
        for seed in range(1, 6):
            store.ask("back")
            boot(store)
            assert save(store, 1000, cut=cut, seed=7919 * seed)[0] is None
            found, _, version, words, value = boot(store)
            assert (found, version, words) == (True, 1, WORDS)
            assert value in (records, 1000)
            outcomes.add(value)
            assert save(store, 2000)[0]
            assert boot(store)[4] == 2000
    assert records in outcomes  # the cuts did cut


@settings(deadline=None, max_examples=150)
@given(
    start=st.sampled_from([0, 1, CELLS - 2, CELLS, 2 * CELLS - 1]),
    steps=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 2**32 - 1), st.integers(0, 24)), max_size=12),
)
def test_any_sequence_of_saves_and_power_cuts_never_loses_both(
    store: Harness, start: int, steps: list[tuple[int, int, int]]
) -> None:
    filled(store, start)
    old = (start != 0, start)
    for value, (cut, seed, words) in enumerate(steps, 10_000):
        written, _, _ = save(store, value, cut=cut, seed=seed, words=words + 1)
        found, _, _, _, now = boot(store)
        assert written is not False
        if written is None:
            assert (found, now) in (old, (True, value))
        else:
            assert (found, now) == (True, value)
        old = (found, now)


@pytest.mark.parametrize("slots", [(0,), (1,), (0, 1)])
def test_garbage_is_damage_and_can_be_written_over(store: Harness, slots: tuple[int, ...]) -> None:
    store.ask("new")
    for slot in slots:
        store.ask(f"garbage {slot} {slot + 5}")
    assert boot(store)[:2] == (False, True)
    assert save(store, 5)[0]
    assert boot(store) == (True, False, 1, WORDS, 5)


def test_a_first_save_that_was_cut_short_can_be_repeated(store: Harness) -> None:
    for cut in range(1, WORDS + 5):
        store.ask("new")
        boot(store)
        assert save(store, 5, cut=cut, seed=3)[0] is None
        boot(store)
        assert save(store, 6)[0]
        assert boot(store)[4] == 6
