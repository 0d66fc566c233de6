"""The configuration file: what it may hold, and what is said of what it may not."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest

from bridge.test_cli import run
from telemetry_bridge import config as configuration
from telemetry_bridge.cli import main
from telemetry_bridge.cli.config import as_toml
from telemetry_bridge.config import Config, LineConfig, Section, decode, fields, find, load, section_of
from telemetry_bridge.errors import ConfigError

HERE = Path("bridge.toml")


def written(folder: Path, text: str) -> Path:
    path = folder / "bridge.toml"
    path.write_text(text, encoding="utf-8")
    return path


def every_section(section: type[Section] = Config) -> list[type[Section]]:
    inner = [found for item, _ in fields(section) if (found := section_of(item.type)) is not None]
    return [section, *(one for found in inner for one in every_section(found))]


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    assert load(written(tmp_path, "")) == Config()


def test_a_file_says_lines_and_everything_else(tmp_path: Path) -> None:
    text = """
    baud = 2_000_000
    [[line]]
    uri = "serial:/dev/ttyACM0"
    [[line]]
    uri = "tcp:localhost:4000"
    baud = 115200
    [server]
    port = 80
    [limits]
    open_s = 3
    """
    config = load(written(tmp_path, text))
    assert config.lines == (LineConfig(uri="serial:/dev/ttyACM0"), LineConfig(uri="tcp:localhost:4000", baud=115_200))
    assert (config.baud, config.server.port, config.limits.open_s) == (2_000_000, 80, 3.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\nprot = 1", "server.prot: there is no such key; did you mean 'port'?"),
        ("[[line]]\nuri = 'sim:'\nbuad = 1", "line[0].buad: there is no such key; did you mean 'baud'?"),
        ("[serve]", "serve: there is no such key; did you mean 'server'?"),
        ("[log]\nzebra = 1", "log.zebra: there is no such key; there are: format, level"),
        ("[server]\nport = 'a'", "server.port: expected a whole number, not a text in quotes"),
        ("[server]\nport = 65536", "server.port: expected a whole number <= 65535"),
        ("[server]\nallowed_origins = 'a'", "server.allowed_origins: expected a list, not a text in quotes"),
        ("server = 3", "server: expected a table, not a whole number"),
        ("[[line]]\nbaud = 115200", "line[0]: object missing required field uri"),
        ("baud = 9600", "baud: expected a whole number >= 115200"),
        ("[limits]\nopen_s = nan", "limits.open_s: expected a number > 0.0"),
        ("[limits]\nopen_s = inf", "limits.open_s: expected a number <= 86400.0"),
        ("[log]\nformat = 'jsn'", "log.format: expected 'text' or 'json', not 'jsn'"),
        ("a = b", "Invalid value (at line 1, column 5)"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        load(path)
    assert str(refused.value) == f"{path}: {said}"


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: No such file"):
        load(tmp_path / "nowhere.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"binary\.toml: .*utf-8"):
        load(tmp_path / "binary.toml")


def test_paths_are_relative_to_the_file_that_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    for folder, meant in ("cal", str(tmp_path / "cal")), ("/srv/cal", "/srv/cal"), ("~/cal", "/home/ada/cal"):
        config = decode({"calibration": {"folder": folder}}, tmp_path / "bridge.toml")
        assert config.calibration.folder == meant


def test_the_first_file_of_the_search_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(configuration, "SYSTEM_FILE", tmp_path / "etc" / "telemetry-bridge.toml")
    wanted = [configuration.SYSTEM_FILE, tmp_path / "home/telemetry-bridge/config.toml", Path("telemetry-bridge.toml")]
    assert find() is None
    for path in wanted:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        assert find() == path
    assert find("other.toml") == Path("other.toml")


@pytest.mark.parametrize("section", every_section())
def test_every_key_is_documented(section: type[Section]) -> None:
    assert [item.name for item, about in fields(section) if not (about or section_of(item.type))] == []


def test_what_is_printed_is_a_file_that_says_the_same(tmp_path: Path) -> None:
    lines = LineConfig(uri='tcp:"x":1'), LineConfig(uri="sim:", baud=115_200)
    limits = msgspec.structs.replace(Config().limits, open_s=0.5)
    for config in Config(), Config(auto=True, baud=3_000_000, lines=lines, limits=limits):
        assert load(written(tmp_path, "\n".join(as_toml(config)))) == config


def test_the_printed_defaults_hold_when_they_are_no_comments_any_more(tmp_path: Path) -> None:
    text = "\n".join(as_toml(Config()))
    bare = "\n".join(line.removeprefix("#") for line in text.splitlines() if not line.startswith("# "))
    bare = "\n".join(line for line in bare.splitlines() if not line.endswith(" ="))
    assert set(tomllib.loads(bare)) == {"auto", "line", "server", "limits", "calibration", "derived", "log"}
    config = load(written(tmp_path, bare))
    assert msgspec.structs.replace(config, lines=()) == Config()


def test_the_command_checks_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "auto = true")
    assert main(["config", "--check", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: right\n"
    path.write_text("outo = true")
    assert main(["config", "--check", str(path)]) == 1
    assert "did you mean 'auto'?" in capsys.readouterr().err


def test_a_check_finds_what_the_server_would_refuse_at_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, "[server]\nhost = '0.0.0.0'")
    assert main(["config", "--check", str(path)]) == 1
    assert "tokens_file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[line]]\nuri = "sim:"\n[[line]]\nuri = "usb:1"', "line[1].uri: "),
        ('[[line]]\nuri = "sim:?rate=fast"', "line[0].uri: sim: rate=fast is not a number"),
        ('[server]\ntokens_file = "nowhere"', "server.tokens_file: "),
        ('[calibration]\nfolder = "bridge.toml"', "calibration.folder: "),
        ('[server]\nallowed_origins = ["localhost"]', "localhost"),
        ('[server]\nhost = "0.0.0.0"', "tokens_file"),
        ('[[line]]\nuri = "/dev/tty1"\n[[line]]\nuri = "serial:/dev/tty1?baud=115200"', "is the port of line[0]"),
        ('[derived]\nstreams = ["orientatoin"]', "derived.streams: there is no 'orientatoin'; there are: orientation"),
    ],
)
def test_the_command_tries_what_can_be_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    assert main(["config", "--check", str(written(tmp_path, text))]) == 1
    assert said in capsys.readouterr().err


def test_commands_to_a_running_bridge_know_its_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "telemetry-bridge.toml").write_text("[server]\nport = 9")  # discard: nobody serves there
    for options, port in ([], 9), (["--http-port", "7"], 7), (["--url", "ws://localhost:11"], 11):
        assert main(["release", *options]) == 1
        assert f"localhost:{port}" in capsys.readouterr().err


def test_it_says_which_file_was_taken(tmp_path: Path) -> None:
    path = written(tmp_path, "[server]\nport = 0")
    taken = run("demo", "-v", "--duration", "0.1", "--config", str(path))
    assert taken.returncode == 0
    assert f"configuration: {path}" in taken.stderr
