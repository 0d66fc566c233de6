"""The C codec as C: what it includes, how it compiles, and the whole suite again under the sanitizers."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.c_codec import SANITIZE, WARNINGS, build_library
from protocol.support import C_LIBRARY, ROOT, run_python
from telemetry_protocol import COMMANDS, Decoder, Frame, encode_frame, messages, stream_gen, unpack

SOURCES = sorted((ROOT / "protocol/c").glob("*.c"))
HEADERS = sorted((ROOT / "protocol/c").rglob("*.h"))
ALLOWED = {"string.h", "stddef.h", "stdint.h", "stdbool.h"}
COVERED = ROOT / "firmware/build/host/codec"
CORTEX_M4 = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")

DEFECTS = """
#include <stddef.h>
#include <stdint.h>
int peek(const volatile uint8_t *bytes, size_t n);
int peek(const volatile uint8_t *bytes, size_t n)
{
    return bytes[n];
}
int increment(int n);
int increment(int n)
{
    return n + 1;
}
"""


USAGE = Path(__file__).with_name("usage.c")


def libasan() -> str:
    command = ["gcc", "-print-file-name=libasan.so"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def sanitized(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the address sanitizer in it."""
    options = {
        "LD_PRELOAD": libasan(),
        "PYTHONMALLOC": "malloc",  # so that the buffers of ctypes have guards around them
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    return run_python(*arguments, **options, **environment)


@pytest.mark.parametrize("path", [*SOURCES, *HEADERS], ids=lambda path: path.name)
def test_only_the_freestanding_headers_and_string_are_included(path: Path) -> None:
    included = set(re.findall(r"#include <(.*)>", path.read_text()))
    assert included <= ALLOWED


@pytest.mark.parametrize("compiler", [("gcc",), ("arm-none-eabi-gcc", *CORTEX_M4)], ids=lambda parts: parts[0])
@pytest.mark.parametrize("level", ["-O0", "-O2", "-Os"])
def test_it_compiles_without_a_warning(tmp_path: Path, compiler: tuple[str, ...], level: str) -> None:
    assert shutil.which(compiler[0]), f"{compiler[0]} is missing; make setup installs it"
    for source in SOURCES:
        target = ["-c", str(source), "-o", str(tmp_path / "x.o")]
        subprocess.run(
            [*compiler, *WARNINGS, level, f"-I{ROOT / 'protocol/c/include'}", *target], check=True, timeout=60
        )


def test_the_usage_in_the_header_works(tmp_path: Path) -> None:
    """usage.c is the recipes of tp_frame.h as a program: what it sends is read here, and it answers a command."""
    program = tmp_path / "usage"
    include = f"-I{ROOT / 'protocol/c/include'}"
    command = ["gcc", *WARNINGS, *SANITIZE, include, "-o", str(program), str(USAGE), *map(str, SOURCES)]
    subprocess.run(command, check=True, timeout=60)
    ping = messages.Command(7, COMMANDS["ping"].id, COMMANDS["ping"].pack_args(host_ns=2**40)).pack()
    noise = b"\x05noise\x00"
    stdin = noise + encode_frame(messages.Command.TYPE, 0, ping)
    done = subprocess.run([str(program)], input=stdin, capture_output=True, check=True, timeout=60)
    frames = [one for one in Decoder().feed(done.stdout) if isinstance(one, Frame)]
    assert [frame.sequence for frame in frames] == [0, 1, 2]
    log, samples, response = (unpack(frame.type, frame.payload) for frame in frames)
    assert log == messages.Log(time_us=5, level=messages.LogLevel.INFO, text="hello")
    assert samples == messages.Samples(stream_gen(1, 3), 1000, 2**41, bytes(range(12)))
    assert isinstance(response, messages.Response)
    assert (response.request, response.status) == (7, messages.Status.OK)
    assert COMMANDS["ping"].unpack_result(response.data) == {"host_ns": 2**40, "received_us": 1, "sent_us": 2}


def test_an_ignored_result_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "careless.c"
    source.write_text(
        '#include "tp_frame.h"\nvoid f(uint8_t *o);\nvoid f(uint8_t *o) { tp_frame_encode(o, 99, 1, 2, o, 0); }\n'
    )
    with pytest.raises(subprocess.CalledProcessError) as caught:
        build_library(tmp_path / "careless.so", sources=[source])
    assert "unused-result" in caught.value.stderr


def test_the_suite_passes_under_the_sanitizers() -> None:
    """Address and undefined-behaviour sanitizers, in a process of their own: a hit ends it.

    What it covers of the codec counts in tools/check_coverage.py, so this build stays.
    """
    COVERED.mkdir(parents=True, exist_ok=True)
    library = build_library(COVERED / "libtp_sanitized.so", (*SANITIZE, "--coverage"))
    suites = [
        str(Path(__file__).with_name(name))
        for name in ("test_vectors.py", "test_frames.py", "test_decoder.py", "test_messages.py")
    ]
    options = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", "not broken"]
    done = sanitized(*options, *suites, **{C_LIBRARY: str(library)})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert re.search(r"\d{2,} passed", done.stdout), "the suite must really have run"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("peek(ctypes.create_string_buffer(100), ctypes.c_size_t(99))", ""),
        ("peek(ctypes.create_string_buffer(100), ctypes.c_size_t(100))", "heap-buffer-overflow"),
        ("increment(0x7ffffffe)", ""),
        ("increment(0x7fffffff)", "signed integer overflow"),
    ],
)
def test_the_sanitizers_see_a_defect(tmp_path: Path, call: str, words: str) -> None:
    """Negative control: one byte past a buffer of the adapter and a signed overflow end the process."""
    (tmp_path / "defects.c").write_text(DEFECTS)
    library = build_library(tmp_path / "libdefects.so", SANITIZE, [tmp_path / "defects.c"])
    done = sanitized("-c", f"import ctypes; ctypes.CDLL({str(library)!r}).{call}")
    assert (done.returncode != 0) is bool(words)
    assert words in done.stderr
