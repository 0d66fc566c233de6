"""The benchmark page is made from the results and says honestly what was missed."""

from pathlib import Path

import pytest

from bench import report

ROWS = (
    report.Row("bytes per sample", 12.95, "B", "<= 13.0"),
    report.Row("speed-up", 14.2, "x", ">= 20", note="median of 5"),
    report.Row("samples", 1_000_000, ""),
)
SECTION = report.Section("The wire", "What was done.", "2026-01-01 on a machine", ROWS)


def test_targets_are_met_or_missed_by_their_operator() -> None:
    assert [row.met for row in ROWS] == [True, False, None]


def test_a_missed_target_stands_out_in_the_page() -> None:
    page = report.render({"wire": SECTION})
    assert "| speed-up (median of 5) | 14.2 x | >= 20 | **no** |" in page
    assert "| bytes per sample | 12.95 B | <= 13.0 | yes |" in page
    assert "| samples | 1,000,000  |  |  |" in page


def test_what_was_saved_is_loaded_again(tmp_path: Path) -> None:
    report.save({"wire": SECTION}, tmp_path / "b.json", tmp_path / "b.md")
    assert report.load(tmp_path / "b.json") == {"wire": SECTION}
    assert (tmp_path / "b.md").read_text() == report.render({"wire": SECTION})


def test_an_edited_page_fails_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "PAGE", tmp_path / "b.md")
    monkeypatch.setattr(report, "JSON_FILE", tmp_path / "b.json")
    monkeypatch.setattr("sys.argv", ["report", "--check"])
    monkeypatch.setattr(report, "load", lambda: {"wire": SECTION})
    report.save({"wire": SECTION}, report.JSON_FILE, report.PAGE)
    assert report.main() == 0
    report.PAGE.write_text(report.PAGE.read_text().replace("**no**", "yes"))
    assert report.main() == 1
