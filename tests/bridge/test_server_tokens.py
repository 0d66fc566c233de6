"""Tokens and tickets: what a file may hold, whose a token is, and how long a ticket is good. No socket, no clock."""

from __future__ import annotations

import hashlib
import logging
import os
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets.datastructures import Headers

from telemetry_bridge.config import Limits
from telemetry_bridge.errors import BridgeError
from telemetry_bridge.server.access import TICKET_S, Access, Guesses
from telemetry_bridge.server.admission import Refusal, neighbourhood
from telemetry_bridge.server.roles import LOCAL, Identity, Role
from telemetry_bridge.server.tokens import ENVIRONMENT, Tokens

WATCHER = "viewer-token-0123456789"
DRIVER = "operator-token-0123456789"
ENTRIES = f"""
[[token]]
name = "wall"
role = "viewer"
token = "{WATCHER}"
[[token]]
name = "ada"
role = "operator"
token = "{DRIVER}"
"""


def known(name: str, role: Role, token: str) -> Identity:
    return Identity(name, role, hashlib.sha256(token.encode()).digest())


WALL = known("wall", "viewer", WATCHER)
ADA = known("ada", "operator", DRIVER)


def written(folder: Path, text: str = ENTRIES, mode: int = 0o600) -> Path:
    path = folder / "tokens.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def bearer(secret: str, scheme: str = "Bearer") -> Headers:
    return Headers(Authorization=f"{scheme} {secret}")


def access(folder: Path, **limits: int) -> Access:
    return Access(Tokens(written(folder), {}), Limits(**limits))


def ticket_of(judge: Access, secret: str, now: float) -> str:
    given = judge.ticket(bearer(secret), "10.0.0.1", now)
    assert isinstance(given, dict)
    return str(given["ticket"])


def test_a_token_of_the_file_has_its_name_and_role(tmp_path: Path) -> None:
    tokens = Tokens(written(tmp_path), {})
    assert tokens.identify(WATCHER) == WALL
    assert tokens.identify(DRIVER) == ADA
    for wrong in ("", WATCHER[:-1], WATCHER + "0", WATCHER.upper(), "ünicode"):
        assert tokens.identify(wrong) is None


def test_tokens_also_come_from_the_environment_and_both_count(tmp_path: Path) -> None:
    other = "environment-token-012345"
    tokens = Tokens(written(tmp_path), {ENVIRONMENT: f" viewer:lab:{other} "})
    assert tokens.identify(other) == known("lab", "viewer", other)
    assert tokens.identify(DRIVER) == ADA
    assert not Tokens(None, {})
    with pytest.raises(BridgeError, match="is in TELEMETRY_BRIDGE_TOKENS too"):
        Tokens(written(tmp_path), {ENVIRONMENT: f"viewer:x:{DRIVER}"})


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o622, 0o660])
def test_a_file_that_others_can_read_is_refused_with_the_command_that_helps(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path, mode=mode)
    with pytest.raises(BridgeError, match=f"chmod 600 {path}") as caught:
        Tokens(path, {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no [[token]]"),
        ("[[token]]\nname = 'a'\nrole = 'viewer'", "missing required field `token`"),
        ("[[token]]\nname = 'a'\nrole = 'admin'\ntoken = 'x'", "role"),
        ("[[token]]\nname = 'a'\nrole = 'viewer'\ntoken = 'tooshort'", "openssl rand -hex 24"),
        ("[[token]]\nname = 'a'\nrole = 'viewer'\ntoken = 'with spaces in it, is no token'", "openssl rand -hex 24"),
        ("[[token]]\nname = 'a\\nb'\nrole = 'viewer'\ntoken = '01234567890123456789'", "name"),
        ("[[token]]\nnmae = 'a'", "unknown field `nmae`"),
        (ENTRIES + ENTRIES, "another with the name wall"),
        (ENTRIES + f"[[token]]\nname='b'\nrole='viewer'\ntoken='{DRIVER}'", "another has the same token"),
        ("token = [", "tokens.toml"),
    ],
)
def test_a_file_that_is_wrong_is_one_line_without_a_secret(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BridgeError) as caught:
        Tokens(written(tmp_path, text), {})
    message = str(caught.value)
    assert said in message
    assert "\n" not in message
    assert DRIVER not in message
    assert "tooshort" not in message


@pytest.mark.parametrize("text", ["operator:ada", "ada", f"admin:ada:{DRIVER}", f"viewer::{DRIVER}", "viewer:a:short"])
def test_an_environment_that_is_wrong_is_one_line_without_a_secret(text: str) -> None:
    with pytest.raises(BridgeError, match=ENVIRONMENT) as caught:
        Tokens(None, {ENVIRONMENT: text})
    assert DRIVER not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="No such file"):
        Tokens(tmp_path / "none", {})


def test_a_changed_file_counts_and_a_broken_one_leaves_the_tokens_as_they_were(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path)
    tokens = Tokens(path, {})
    assert not tokens.refresh()
    written(tmp_path, ENTRIES.replace(DRIVER, "another-token-0123456789"))
    assert tokens.refresh()
    assert tokens.identify(DRIVER) is None
    assert tokens.identify("another-token-0123456789") == known("ada", "operator", "another-token-0123456789")
    for broken in ("[[token", ""):
        written(tmp_path, broken)
        assert not tokens.refresh()
        assert tokens.identify(WATCHER) is not None
    path.unlink()
    assert not tokens.refresh()
    assert tokens.identify(WATCHER) is not None
    assert "the tokens stay as they were" in caplog.text
    assert DRIVER not in caplog.text


def test_a_token_is_compared_with_every_other_in_constant_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return a == b

    tokens = Tokens(written(tmp_path), {})
    monkeypatch.setattr("telemetry_bridge.server.tokens.hmac.compare_digest", compare)
    for shown in (WATCHER, DRIVER, "wrong"):
        compared.clear()
        tokens.identify(shown)
        assert len(compared) == 2  # also after it was found
        assert {len(part) for pair in compared for part in pair} == {32}  # hashes: a length tells nothing


def test_without_tokens_everybody_is_local() -> None:
    judge = Access(Tokens(None, {}), Limits())
    assert judge.bearer(Headers(), "127.0.0.1", 0) == LOCAL
    assert judge.bearer(bearer("whatever"), "127.0.0.1", 0) == LOCAL
    assert judge.ticket(Headers(), "127.0.0.1", 0) == {"ticket": None, "role": "operator", "expires_s": TICKET_S}


def test_a_bearer_is_who_its_token_says(tmp_path: Path) -> None:
    judge = access(tmp_path)
    assert judge.bearer(bearer(WATCHER), "10.0.0.1", 0) == WALL
    assert judge.bearer(bearer(DRIVER, "bearer"), "10.0.0.1", 0) == ADA
    two = Headers([("Authorization", f"Bearer {DRIVER}"), ("Authorization", f"Bearer {DRIVER}")])
    for headers in (Headers(), bearer("wrong"), bearer(DRIVER, "Basic"), Headers(Authorization=DRIVER), two):
        refusal = judge.bearer(headers, "10.0.0.1", 0)
        assert isinstance(refusal, Refusal)
        assert refusal.status == HTTPStatus.UNAUTHORIZED


def test_a_ticket_is_good_once_and_for_half_a_minute(tmp_path: Path) -> None:
    judge = access(tmp_path)
    ticket = ticket_of(judge, DRIVER, 100.0)
    offered = ["telemetry-bridge.v1", ticket]
    assert judge.subscriber(Headers(), offered, "10.0.0.1", 129.9) == ADA
    assert isinstance(judge.subscriber(Headers(), offered, "10.0.0.1", 129.9), Refusal)  # used
    late = ticket_of(judge, DRIVER, 200.0)
    assert isinstance(judge.subscriber(Headers(), [late], "10.0.0.1", 230.0), Refusal)
    assert isinstance(judge.subscriber(Headers(), [late], "10.0.0.1", 201.0), Refusal)  # asking early does not help


def test_a_ticket_is_a_secret_of_its_own(tmp_path: Path) -> None:
    judge = access(tmp_path)
    first, second = ticket_of(judge, DRIVER, 0), ticket_of(judge, DRIVER, 0)
    assert first != second
    assert DRIVER not in first
    assert len(first) > 40


@pytest.mark.parametrize("offered", [["ticket."], ["ticket.wrong"], ["ticket.a", "ticket.b"]])
def test_a_wrong_ticket_is_not_mended_by_a_right_token(tmp_path: Path, offered: list[str]) -> None:
    refusal = access(tmp_path).subscriber(bearer(DRIVER), offered, "10.0.0.1", 0)
    assert isinstance(refusal, Refusal)
    assert refusal.status == HTTPStatus.UNAUTHORIZED


def test_two_good_tickets_at_once_are_refused(tmp_path: Path) -> None:
    judge = access(tmp_path)
    both = [ticket_of(judge, WATCHER, 0), ticket_of(judge, DRIVER, 0)]
    assert isinstance(judge.subscriber(Headers(), both, "10.0.0.1", 0), Refusal)


def test_a_ticket_ends_with_its_token_and_with_its_role(tmp_path: Path) -> None:
    judge = access(tmp_path)
    demoted, gone = ticket_of(judge, DRIVER, 0), ticket_of(judge, WATCHER, 0)
    written(tmp_path, ENTRIES.replace('operator"', 'viewer"').replace(WATCHER, "another-token-0123456789"))
    for ticket in (demoted, gone):
        assert isinstance(judge.subscriber(Headers(), [ticket], "10.0.0.1", 1), Refusal)


def test_one_token_cannot_take_the_tickets_of_another(tmp_path: Path) -> None:
    judge = access(tmp_path, tickets=2)
    held = [ticket_of(judge, WATCHER, 0) for _ in range(2)]
    refusal = judge.ticket(bearer(WATCHER), "10.0.0.1", 1)
    assert isinstance(refusal, Refusal)
    assert refusal.status == HTTPStatus.TOO_MANY_REQUESTS
    assert ticket_of(judge, DRIVER, 1)
    assert judge.subscriber(Headers(), [held[0]], "10.0.0.1", 1) == WALL
    assert ticket_of(judge, WATCHER, 1)  # one was used
    assert ticket_of(judge, WATCHER, 31)  # the others have run out


def test_who_guesses_is_told_to_wait_is_logged_no_more_and_locks_nobody_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    judge = access(tmp_path, guesses=3)
    caplog.set_level(logging.DEBUG)

    def status(secret: str, address: str, now: float) -> HTTPStatus | str:
        who = judge.bearer(bearer(secret), address, now)
        return who.status if isinstance(who, Refusal) else who.name

    answers = [status(f"guess-{number}", "10.0.0.66", 0) for number in range(100)]
    assert answers == [HTTPStatus.UNAUTHORIZED] * 3 + [HTTPStatus.TOO_MANY_REQUESTS] * 97
    assert caplog.text.count("10.0.0.66") == 3
    assert "guess" not in caplog.text
    assert status("typo", "10.0.0.7", 0) == HTTPStatus.UNAUTHORIZED  # another address has its own count
    assert status(DRIVER, "10.0.0.66", 0) == "ada"  # behind the same router as the one who guesses
    assert status("guess", "10.0.0.66", 61) == HTTPStatus.UNAUTHORIZED


def test_who_guesses_from_many_addresses_does_not_fill_the_memory() -> None:
    guesses = Guesses(3)
    for number in range(5000):
        guesses.wrong(f"10.{number >> 8}.{number & 255}.1", 0)
    assert len(guesses._times) == 1024


def test_an_address_is_what_one_user_has() -> None:
    assert neighbourhood("10.0.0.1") == "10.0.0.1"
    assert neighbourhood("::ffff:10.0.0.1") == "10.0.0.1"
    assert neighbourhood("2001:db8::1") == neighbourhood("2001:db8::ffff:1") == "2001:db8::/64"
    assert neighbourhood("2001:db8:0:1::1") != neighbourhood("2001:db8::1")
    assert neighbourhood("fe80::1%eth0") == "fe80::/64"
    assert neighbourhood("::1") == "::1"
    assert neighbourhood("unknown") == "unknown"


def test_root_may_give_a_file_to_the_group_of_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, mode=0o640)
    somebody = os.geteuid() + 1
    monkeypatch.setattr("telemetry_bridge.private.os.geteuid", lambda: somebody)
    assert Tokens(path, {})
    path.chmod(0o644)
    with pytest.raises(BridgeError, match="chmod 600"):
        Tokens(path, {})
