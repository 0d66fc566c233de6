"""The configuration: one TOML file, every key with a default that is safe, whatever is wrong said in one line.

The Structs below are the reference: their docstrings are what `telemetry-bridge config` prints beside each key.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar, get_args

import msgspec
from msgspec import Meta

from telemetry_bridge.errors import ConfigError

FILE_NAME: Final = "telemetry-bridge.toml"
SYSTEM_FILE = Path("/etc") / FILE_NAME

Baud: TypeAlias = Annotated[int, Meta(ge=115_200, le=3_000_000)]
TcpPort: TypeAlias = Annotated[int, Meta(ge=0, le=65_535)]
Count: TypeAlias = Annotated[int, Meta(ge=1)]
Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=86_400)]
File: TypeAlias = Annotated[str, Meta(extra={"path": "file"})]
"""A path: relative to the file that names it, ``~`` is the user's home."""
Folder: TypeAlias = Annotated[str, Meta(extra={"path": "folder"})]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file."""


AnySection = TypeVar("AnySection", bound=Section)


class LineConfig(Section, frozen=True):
    """A line to one board; as many as there are.

    Attributes:
        uri: where the board is: serial:/dev/ttyACM0, tcp:HOST:PORT, sim:
        baud: rate that this line is changed to once the board is there; not set: the one for all lines
    """

    uri: str
    baud: Baud | None = None


class ServerConfig(Section, frozen=True):
    """Page, WebSocket, /healthz and /metrics, on one TCP port.

    Attributes:
        host: address to bind; any other than loopback needs tokens and TLS
        port: TCP port; 0 takes a free one
        public_names: names and addresses under which others reach it, e.g. "bench.example.org"; loopback's always do
        tokens_file: tokens of viewers and operators, for nobody but the bridge to read; see docs/security.md
        tls_certificate: certificate chain, PEM; with it everything is https and wss
        tls_key: key of that certificate, PEM, for nobody but the bridge to read
        allowed_origins: other web origins whose pages may read the sensors, e.g. "http://localhost:5173"
    """

    host: str = "127.0.0.1"
    port: TcpPort = 8765
    public_names: tuple[str, ...] = ()
    tokens_file: File | None = None
    tls_certificate: File | None = None
    tls_key: File | None = None
    allowed_origins: tuple[str, ...] = ()


class Limits(Section, frozen=True):
    """What one client may take, so that it cannot harm the others. Each one that is hit is answered with a clear error.

    Attributes:
        connections: WebSocket connections in all
        connections_per_address: WebSocket connections from one address; on loopback everybody has the same
        pending: TCP connections that have not finished their HTTP request; more are cut without an answer
        pending_per_address: the same from one address
        header_bytes: of one HTTP request, its first line included
        headers: of one HTTP request
        tickets: that one token has got for browsers and not used
        guesses: wrong tokens from one address in a minute that are answered and logged one by one
        subscriptions: per connection; a request with "device": "*" counts as one more
        rates: different shapes (mode, rate, format) in which all clients together get one stream as latest or envelope
        commands: commands of one connection that wait for their board at the same time
        message_bytes: largest message from a client; a larger one closes the connection with 1009
        queue_bytes: what may wait for one subscriber, in bytes
        queue_messages: what may wait for one subscriber, in messages
        recent_bytes: what is kept of each stream for subscribers that come back, in bytes
        recent_s: the same in seconds
        recent_total_bytes: of all streams together; more, and of the stream that has been silent longest all goes
        write_buffer_bytes: what may wait for one subscriber below the queue, in the transport
        socket_buffer_bytes: what the kernel may hold for one subscriber (SO_SNDBUF)
        open_s: for the HTTP request and the handshake
        stall_s: how long a subscriber may take nothing at all before it is hopelessly behind
        abort_s: how long a closing handshake may take before the connection is cut
        command_s: how long a command may take before it is answered as timed out
    """

    connections: Count = 256
    connections_per_address: Count = 128
    pending: Count = 128
    pending_per_address: Count = 64
    header_bytes: Count = 16 * 1024
    headers: Count = 64
    tickets: Count = 16
    guesses: Count = 10
    subscriptions: Count = 256
    rates: Count = 32
    commands: Count = 16
    message_bytes: Count = 64 * 1024
    queue_bytes: Count = 1024 * 1024
    queue_messages: Count = 2048
    recent_bytes: Count = 8 * 1024 * 1024
    recent_s: Seconds = 60.0
    recent_total_bytes: Count = 256 * 1024 * 1024
    write_buffer_bytes: Count = 64 * 1024
    socket_buffer_bytes: Count = 256 * 1024
    open_s: Seconds = 10.0
    stall_s: Seconds = 15.0
    abort_s: Seconds = 1.0
    command_s: Seconds = 5.0


class CalibrationConfig(Section, frozen=True):
    """Where calibrations are kept.

    Attributes:
        folder: of the calibration files; not set: telemetry-bridge/calibrations in the user's data folder
    """

    folder: Folder | None = None


class DerivedConfig(Section, frozen=True):
    """Streams that the bridge computes from those of a board.

    Attributes:
        streams: names, e.g. ["orientation"]; []: none; not set: every one that is installed
    """

    streams: tuple[str, ...] | None = None


class LogConfig(Section, frozen=True):
    """What is said on standard error.

    Attributes:
        format: text for people, json: one object a line
        level: least that is said: debug, info, warning or error; -v on the command line says info, -vv debug
    """

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "warning"


class Config(Section, frozen=True):
    """Everything that can be configured.

    Attributes:
        auto: look for boards at every serial port, beside the lines named below
        baud: rate that a line is changed to once the board is there, 115200 to 3000000; not set: it is left alone
    """

    auto: bool = False
    baud: Baud | None = None
    lines: tuple[LineConfig, ...] = msgspec.field(default=(), name="line")
    server: ServerConfig = ServerConfig()
    limits: Limits = Limits()
    calibration: CalibrationConfig = CalibrationConfig()
    derived: DerivedConfig = DerivedConfig()
    log: LogConfig = LogConfig()


def search_path() -> tuple[Path, ...]:
    """Where a file is looked for that nobody named; the first that exists is taken."""
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return (Path(FILE_NAME), Path(home).expanduser() / "telemetry-bridge" / "config.toml", SYSTEM_FILE)


def find(path: str | None = None) -> Path | None:
    """The file to read: the one that was named, else the first of the search path that exists, else none."""
    if path is not None:
        return Path(path)
    return next((candidate for candidate in search_path() if candidate.is_file()), None)


def load(path: Path) -> Config:
    """Read a file.

    Raises:
        ConfigError: it cannot be read, or holds what nobody understands: file, key, and what is expected there.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:  # no TOML, or no UTF-8
        raise ConfigError(f"{path}: {error}") from None
    return decode(data, path)


def decode(data: Mapping[str, Any], path: Path) -> Config:
    """Check what a file holds; see :func:`load`."""
    _refuse_unknown(data, Config, path, "")
    try:
        config = msgspec.convert(data, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {_for_people(str(error))}") from None
    return _with_absolute_paths(config, path)


def fields(section: type[Section]) -> Iterator[tuple[msgspec.structs.FieldInfo, str]]:
    """Each key of a table, with what its docstring says about it."""
    about = dict(re.findall(r"^ {4,8}(\w+): (.*)$", section.__doc__ or "", re.MULTILINE))
    for item in msgspec.structs.fields(section):
        yield item, about.get(item.name, "")


def section_of(kind: Any) -> type[Section] | None:
    """The table that a key holds, or holds a list of; None if it is a plain value."""
    if isinstance(kind, type) and issubclass(kind, Section):
        return kind
    return next((found for item in get_args(kind) if (found := section_of(item)) is not None), None)


def _refuse_unknown(data: object, section: type[Section], path: Path, where: str) -> None:
    if not isinstance(data, Mapping):
        return  # of the wrong type: msgspec says so
    known = {item.encode_name: item for item in msgspec.structs.fields(section)}
    for key, value in data.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
            raise ConfigError(f"{path}: {where}{key}: there is no such key; {hint}")
        inner = section_of(known[key].type)
        if inner is not None and isinstance(value, list):
            for number, item in enumerate(value):
                _refuse_unknown(item, inner, path, f"{where}{key}[{number}].")
        elif inner is not None:
            _refuse_unknown(value, inner, path, f"{where}{key}.")


_IN_WORDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text in quotes",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}


def _for_people(text: str) -> str:
    """What msgspec says, with the key first and the types in the file's words."""
    text, _, where = text.partition(" - at `")
    words = re.sub(r"`([\w |]+)`", lambda found: " or ".join(_IN_WORDS.get(w, w) for w in found[1].split(" | ")), text)
    if words.startswith("Invalid enum value"):
        words = f"{_choices(where)}, not {words.rpartition('value ')[2]}"
    key = where.removeprefix("$").removeprefix(".").removesuffix("`")
    words = words[0].lower() + words[1:]
    return f"{key}: {words.replace(', got', ', not')}" if key else words


def _choices(where: str) -> str:
    kind: Any = Config
    for key in re.findall(r"\w+", re.sub(r"\[.*?\]", "", where)):
        kind = next(item.type for item in msgspec.structs.fields(section_of(kind) or kind) if item.encode_name == key)
    return f"Expected {' or '.join(repr(choice) for choice in get_args(kind))}"


def path_kind(item: msgspec.structs.FieldInfo) -> str:
    """``file`` or ``folder`` if the key names one, else empty."""
    for kind in (item.type, *get_args(item.type)):
        for note in getattr(kind, "__metadata__", ()):
            if isinstance(note, Meta) and note.extra:
                return str(note.extra.get("path", ""))
    return ""


def paths(section: Section, where: str = "") -> Iterator[tuple[str, str, str]]:
    """Every path that is configured: its key, ``file`` or ``folder``, and the path."""
    for item in msgspec.structs.fields(section):
        value = getattr(section, item.name)
        if isinstance(value, Section):
            yield from paths(value, f"{where}{item.encode_name}.")
        elif isinstance(value, str) and path_kind(item):
            yield f"{where}{item.encode_name}", path_kind(item), value


def _with_absolute_paths(section: AnySection, path: Path) -> AnySection:
    changed: dict[str, Any] = {}
    for item in msgspec.structs.fields(section):
        value = getattr(section, item.name)
        if isinstance(value, Section):
            changed[item.name] = _with_absolute_paths(value, path)
        elif isinstance(value, str) and path_kind(item):
            changed[item.name] = str(path.absolute().parent / Path(value).expanduser())
    return msgspec.structs.replace(section, **changed)
