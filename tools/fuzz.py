"""Fuzz the board's decoder and its command handler with libFuzzer, from seeds made of the protocol's vectors.

``make fuzz`` runs each target for half a minute; ``ARGS="--seconds 600 commands"`` for longer. Inputs that reach new
code are kept in ``build/fuzz``; a finding ends with exit code 1 and is written to ``tests/firmware/fuzz/findings``,
where the tests replay it from then on. ``--minimise`` writes the smallest set of inputs with the same coverage to
``tests/firmware/fuzz/corpus``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import struct
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
FIRMWARE: Final = ROOT / "firmware"
CODEC: Final = ROOT / "protocol" / "c"
VECTORS: Final = ROOT / "protocol" / "vectors"
TARGETS: Final = ROOT / "tests" / "firmware" / "fuzz"
BUILD: Final = ROOT / "build" / "fuzz"
INPUT_MAX: Final = 4096  # bytes

SOURCES: Final[dict[str, tuple[Path, ...]]] = {
    "decoder": (*sorted(CODEC.glob("*.c")), TARGETS / "decoder.c"),
    "commands": (
        *(path for path in sorted((FIRMWARE / "app").glob("*.c")) if path.name != "main.c"),
        *sorted((FIRMWARE / "drivers").glob("*.c")),
        *sorted((FIRMWARE / "lib").glob("*.c")),
        *sorted(CODEC.glob("*.c")),
        TARGETS / "commands.c",
    ),
}
"""C sources of each target; `replay.c` gives them a main() where there is no fuzzer."""

FLAGS: Final = (
    "-std=c11",
    "-O1",
    "-g",
    "-fno-sanitize-recover=all",
    f"-I{FIRMWARE}",
    f"-I{CODEC / 'include'}",
    f"-I{CODEC}",
    f"-I{ROOT / 'tests' / 'firmware'}",
)


def build(target: str, program: Path, *, fuzzer: bool) -> None:
    """Compile a target: with clang's fuzzer, or with gcc as a program that replays files.

    Raises:
        FileNotFoundError: no compiler.
        subprocess.CalledProcessError: the sources do not compile; the compiler's words are on stderr.
    """
    program.parent.mkdir(parents=True, exist_ok=True)
    # no address sanitizer where memory is set back between inputs: the replay has it
    sanitizers = "fuzzer,undefined" if target == "commands" else "fuzzer,address,undefined"
    compiler = ["clang", f"-fsanitize={sanitizers}"] if fuzzer else ["gcc", "-fsanitize=address,undefined"]
    extra = ["-include", str(TARGETS / "sections.h")] if fuzzer else [str(TARGETS / "replay.c")]
    subprocess.run([*compiler, *FLAGS, *extra, *map(str, SOURCES[target]), "-o", str(program)], check=True, cwd=ROOT)


def _bytes(text: str) -> bytes:
    """Hexadecimal as the vectors write it: ``A5*247`` is a byte 247 times."""
    words = (word.partition("*") for word in text.split())
    return b"".join(bytes.fromhex(byte) * int(times or 1) for byte, _, times in words)


def _vectors(name: str) -> list[dict[str, Any]]:
    tables = tomllib.loads((VECTORS / f"{name}.toml").read_text(encoding="utf-8"))
    return [row for rows in tables.values() if isinstance(rows, list) for row in rows]


def seeds(target: str) -> Iterator[bytes]:
    """Inputs to start from: the streams of the vectors, or one input per command of the vectors."""
    if target == "decoder":
        for row in (*_vectors("frames"), *_vectors("streams")):
            yield _bytes(row["encoded"] if "encoded" in row else row["bytes"])
        return
    for row in _vectors("commands"):
        yield command(row["id"], _bytes(row["args"]["data"]))
    yield b"".join(command(row["id"], _bytes(row["args"]["data"])) for row in _vectors("commands"))


def command(number: int, args: bytes) -> bytes:
    """What the target `commands` reads as one well-framed command, followed by a second in which it may end."""
    return struct.pack("<BBB", 0, number, len(args)) + args + struct.pack("<BB", 2, 100)


def write_seeds(target: str) -> Path:
    """The seeds as files, as libFuzzer wants them."""
    folder = BUILD / target / "seeds"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, seed in enumerate(seeds(target)):
        (folder / f"{number:03}").write_bytes(seed)
    return folder


def inputs(target: str) -> list[Path]:
    """Every input that the tests replay: committed corpus, findings of the past, seeds."""
    folders = (TARGETS / "corpus" / target, TARGETS / "findings" / target, write_seeds(target))
    return [path for folder in folders if folder.exists() for path in sorted(folder.iterdir())]


def fuzz(target: str, seconds: int) -> bool:
    """Run one target for a time. True: nothing found."""
    program = BUILD / target / "fuzz"
    build(target, program, fuzzer=True)
    corpus = BUILD / target / "corpus"
    findings = TARGETS / "findings" / target
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    committed = TARGETS / "corpus" / target
    known = [str(folder) for folder in (write_seeds(target), committed) if folder.exists()]
    result = subprocess.run(
        [str(program), f"-max_total_time={seconds}", f"-max_len={INPUT_MAX}", "-timeout=10", "-print_final_stats=1",
         f"-artifact_prefix={findings}/", str(corpus), *known],
        check=False, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}, cwd=ROOT,
    )  # fmt: skip
    if not any(findings.iterdir()):
        findings.rmdir()
    return result.returncode == 0


def minimise(target: str) -> None:
    """Write the smallest set of inputs with the coverage of all that were found to the committed corpus."""
    program = BUILD / target / "fuzz"
    fresh = BUILD / target / "minimised"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    committed = TARGETS / "corpus" / target
    sources = [folder for folder in (BUILD / target / "corpus", write_seeds(target), committed) if folder.exists()]
    subprocess.run([str(program), "-merge=1", str(fresh), *map(str, sources)], check=True, cwd=ROOT)
    shutil.rmtree(committed, ignore_errors=True)
    shutil.copytree(fresh, committed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry of the command line; the exit code is 1 after a finding."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"which (default: all): {', '.join(SOURCES)}")
    parser.add_argument("--seconds", type=int, default=30, help="how long each target runs (default: %(default)s)")
    parser.add_argument("--minimise", action="store_true", help="then write a minimal corpus for the tests")
    options = parser.parse_args(arguments)
    unknown = [target for target in options.targets if target not in SOURCES]
    if unknown:
        parser.error(f"no target {unknown[0]!r}; there are: {', '.join(SOURCES)}")
    if shutil.which("clang") is None:
        print("fuzz: no clang: apt-get install --no-install-recommends clang libclang-rt-dev", file=sys.stderr)
        return 2
    clean = True
    for target in options.targets or SOURCES:
        clean = fuzz(target, options.seconds) and clean
        if options.minimise and clean:
            minimise(target)
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
