"""Coverage of the portable C is what ran, and too little is a failure."""

import subprocess
from pathlib import Path

import pytest

import check_coverage

SOURCE = """
int twice(int x)
{
    if (x > 100) {
        return 0;
    }
    return 2 * x;
}
int main(void)
{
    return twice(0);
}
"""


@pytest.fixture
def counted(tmp_path: Path) -> Path:
    """A tree with one portable file of which all lines but one have run, and one that does not count."""
    for folder in ("firmware/lib", "firmware/port", "counts"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "firmware/lib/toy.c").write_text(SOURCE)
    (tmp_path / "firmware/port/chip.c").write_text(SOURCE.replace("main", "other").replace("twice", "thrice"))
    subprocess.run(
        ["gcc", "--coverage", "-O0", "-o", "counts/toy", "firmware/lib/toy.c", "firmware/port/chip.c"],
        check=True,
        cwd=tmp_path,
    )
    subprocess.run([tmp_path / "counts/toy"], check=True)
    return tmp_path


def test_lines_that_ran_are_counted_and_the_port_is_not(counted: Path) -> None:
    files = check_coverage.measure(counted / "counts", counted)
    assert files == [check_coverage.File("firmware/lib/toy.c", 6, 5)]
    assert check_coverage.share(files) == pytest.approx(100 * 5 / 6)


def test_counts_add_up_over_runs_and_are_forgotten(counted: Path) -> None:
    check_coverage.reset(counted / "counts")
    with pytest.raises(FileNotFoundError, match="run the tests"):
        check_coverage.measure(counted / "counts", counted)


def test_too_little_is_a_failure(
    counted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = check_coverage.measure(counted / "counts", counted)
    monkeypatch.setattr(check_coverage, "measure", lambda: files)
    assert check_coverage.main(["--limit", "83"]) == 0
    assert check_coverage.main(["--limit", "84"]) == 1
    assert "83.3 %" in capsys.readouterr().out
