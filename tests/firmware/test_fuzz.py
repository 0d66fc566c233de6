"""What the fuzzer has found so far, replayed without one: corpus, findings of the past, seeds from the vectors."""

import subprocess
from pathlib import Path

import pytest

import fuzz


@pytest.fixture(scope="module", params=sorted(fuzz.SOURCES))
def replay(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    target = str(request.param)
    program = tmp_path_factory.mktemp("fuzz") / target
    fuzz.build(target, program, fuzzer=False)
    return target, program


def findings(program: Path, inputs: list[Path]) -> dict[str, str]:
    """What the program has to say about the inputs that end it; one process each, as after a reset."""
    found = {}
    for path in inputs:
        done = subprocess.run([program, path], capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            found[path.name] = done.stderr[-3000:]
    return found


def test_no_input_breaks_the_target(replay: tuple[str, Path]) -> None:
    target, program = replay
    inputs = fuzz.inputs(target)
    assert len(inputs) > 10
    assert findings(program, inputs) == {}


def test_a_target_sees_a_broken_codec(tmp_path: Path) -> None:
    """Negative control: a decoder that forgets a byte of the payload does not get past the seeds."""
    broken = tmp_path / "tp_frame.c"
    source = (fuzz.CODEC / "tp_frame.c").read_text()
    wrong = source.replace("payload_size = ", "payload_size = (size_t)-1 + ", 1)
    assert wrong != source
    broken.write_text(wrong)
    sources = [broken if path.name == "tp_frame.c" else path for path in fuzz.SOURCES["decoder"]]
    program = tmp_path / "broken"
    subprocess.run(
        ["gcc", "-fsanitize=address,undefined", *fuzz.FLAGS, *map(str, sources), str(fuzz.TARGETS / "replay.c"),
         "-o", str(program)], check=True,
    )  # fmt: skip
    assert findings(program, fuzz.inputs("decoder"))
