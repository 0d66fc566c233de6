"""Tokens: who may connect, and as what. From a file or the environment, never from the command line."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final, cast, get_args

import msgspec

from telemetry_bridge.errors import BridgeError
from telemetry_bridge.private import open_private
from telemetry_bridge.server.roles import Identity, Role

ENVIRONMENT: Final = "TELEMETRY_BRIDGE_TOKENS"
"""Variable with tokens, separated by white space: ``ROLE:NAME:TOKEN``."""

MAKE: Final = "openssl rand -hex 24"
"""Prints a token."""

# What may stand behind "Bearer" (RFC 6750, section 2.1: b64token). Whoever guesses has to be hopeless: 20 random
# characters of the smallest alphabet in use, hexadecimal, are 80 bits.
_SECRET: Final = re.compile(r"[A-Za-z0-9._~+/-]{20,200}={0,2}")
_NAME: Final = re.compile(r"[\w.@-]{1,40}")

_log = logging.getLogger(__name__)


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    role: Annotated[str, msgspec.Meta(pattern="^(viewer|operator)$")]
    token: str


class _File(msgspec.Struct, forbid_unknown_fields=True):
    token: list[_Entry] = []


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _checked(entries: Iterable[tuple[str, str, str]], where: str) -> list[Identity]:
    """Name, role and token of each, checked; messages never contain a token."""
    known: list[Identity] = []
    for number, (name, role, secret) in enumerate(entries, 1):
        which = f"{where}: token {number}"
        if not _NAME.fullmatch(name):
            raise BridgeError(f"{which}: its name has to be 1 to 40 letters, digits or . _ @ -")
        if role not in get_args(Role):
            raise BridgeError(f"{which} ({name}): its role has to be viewer or operator")
        if not _SECRET.fullmatch(secret):
            raise BridgeError(f"{which} ({name}): too short or with odd characters; `{MAKE}` makes a good one")
        if any(other.name == name for other in known):
            raise BridgeError(f"{which}: there is another with the name {name}")
        if any(other.key == _hash(secret) for other in known):
            raise BridgeError(f"{which} ({name}): another has the same token")
        known.append(Identity(name, cast(Role, role), _hash(secret)))
    return known


def _from_environment(text: str) -> list[Identity]:
    entries = []
    for number, word in enumerate(text.split(), 1):
        role, first, rest = word.partition(":")
        name, second, secret = rest.partition(":")
        if not (first and second):
            raise BridgeError(f"{ENVIRONMENT}: token {number} is not ROLE:NAME:TOKEN")
        entries.append((name, role, secret))
    return _checked(entries, ENVIRONMENT)


def _from_file(path: Path) -> list[Identity]:
    with os.fdopen(open_private(path), "rb") as file:
        data = file.read(1_000_000)
    try:
        content = msgspec.convert(tomllib.loads(data.decode()), _File)
    except tomllib.TOMLDecodeError as error:
        raise BridgeError(f"{path}: {error}") from None
    except UnicodeDecodeError:
        raise BridgeError(f"{path}: not UTF-8") from None
    except msgspec.ValidationError as error:
        raise BridgeError(f"{path}: {error}; each is [[token]] with name, role and token") from None
    if not content.token:
        raise BridgeError(f"{path}: no [[token]] in it, each with name, role (viewer, operator) and token")
    return _checked(((entry.name, entry.role, entry.token) for entry in content.token), str(path))


class Tokens:
    """The tokens in force. Kept as hashes, so that nothing here can be printed or timed.

    The file is looked at again by :meth:`refresh`; a changed one that cannot be used leaves the tokens as they were.

    Args:
        path: of the file, None for none.
        environment: where :data:`ENVIRONMENT` is looked up.

    Raises:
        BridgeError: the file cannot be used, or a token is not one. One line.
    """

    def __init__(self, path: Path | None = None, environment: Mapping[str, str] | None = None) -> None:
        self._path = path
        self._fixed = _from_environment((os.environ if environment is None else environment).get(ENVIRONMENT, ""))
        self._seen = self._state()
        self._known = self._read()

    def __bool__(self) -> bool:
        return bool(self._known)

    def __contains__(self, identity: Identity) -> bool:
        return identity in self._known

    def identify(self, secret: str) -> Identity | None:
        """Whose token this is. Takes the same time whatever is wrong with it."""
        presented = _hash(secret)
        found = None
        for identity in self._known:
            if hmac.compare_digest(presented, identity.key):
                found = identity
        return found

    def refresh(self) -> bool:
        """Read the file again if it has changed; whether that gave other tokens."""
        state = self._state()
        if self._path is None or state == self._seen:
            return False
        self._seen = state
        try:
            known = self._read()
        except BridgeError as error:
            _log.error("the tokens stay as they were: %s", error)
            return False
        changed = known != self._known
        self._known = known
        if changed:
            _log.warning("%s: now these: %s", self._path, ", ".join(f"{who.name} ({who.role})" for who in known))
        return changed

    def _read(self) -> list[Identity]:
        mine = _from_file(self._path) if self._path is not None else []
        for who in mine:
            if any(who.name == other.name or who.key == other.key for other in self._fixed):
                raise BridgeError(f"{self._path}: {who.name} is in {ENVIRONMENT} too, by name or by token")
        return [*self._fixed, *mine]

    def _state(self) -> tuple[int, ...] | None:
        if self._path is None:
            return None
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
