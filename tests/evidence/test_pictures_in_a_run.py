"""A testcase in a process of its own: its pictures, and what becomes of it when one cannot be drawn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOT_READABLE = """
import bench.evidence.picture.page
def broken(*_):
    raise ZeroDivisionError("no page today")
bench.evidence.picture.page.timeline_html = broken
"""
UNFIT = """
import dataclasses
from bench.evidence.picture.content import Picture
whole = Picture.of
def broken(found, *others):
    return whole(dataclasses.replace(found, states=[(0.0,)]), *others)
Picture.of = broken
"""

CHANGED = """
from bench.dut.hardware import HardwareDut
def changed(self):
    raise AssertionError("changed since the baseline was installed")
HardwareDut.assert_unchanged = changed
"""


def run(folder: Path, *options: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """One push to the virtual nRF9160; results in `folder`. Modules in `path` can be loaded with `-p`."""
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "--board", "nrf9160"]
    command += ["--results", str(folder / "results"), "--alluredir", str(folder / "allure"), *options]
    command += [f"{ROOT / 'testcases' / 'test_successful_update.py'}::test_push_succeeds"]
    paths = [str(ROOT), *([str(path)] if path else [])]
    return subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )


def attached(folder: Path) -> dict[str, str]:
    """Name to text of every attachment of the test (a picture's bytes are not decoded)."""
    found: dict[str, str] = {}
    for file in (folder / "allure").glob("*-result.json"):
        for row in json.loads(file.read_text("utf-8")).get("attachments", []):
            content = (folder / "allure" / row["source"]).read_bytes()
            found[row["name"]] = content.decode("utf-8", errors="replace")
    return found


def test_a_failed_test_shows_where_it_failed(tmp_path: Path) -> None:
    made = run(tmp_path, "--defect", "success-when-downloaded")
    assert made.returncode == 1, made.stdout[-3000:] + made.stderr[-1000:]
    files = attached(tmp_path)
    assert files["timeline"][1:4] == "PNG"
    page = files["timeline, to zoom in"]
    data = json.loads(page.partition('type="application/json">')[2].partition("</script>")[0])
    assert data["verdict"] == "FAILED"
    moment = [text for time, text, *_ in data["events"] if time == round(data["failure"], 4)]
    assert any(text.startswith("failed (test_successful_update.py, line ") for text in moment), moment


def test_a_page_that_cannot_be_made_changes_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "not_readable.py").write_text(NOT_READABLE, encoding="utf-8")
    made = run(tmp_path, "-p", "not_readable", path=tmp_path)
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-1000:]
    assert "1 passed" in made.stdout
    files = attached(tmp_path)
    assert "timeline" not in files
    note = files["no timeline picture"]
    assert "ZeroDivisionError: no page today" in note
    assert "help: " in note


@pytest.mark.parametrize(
    "how", [(), ("-n", "1", "-W", "error::pytest.PytestWarning")], ids=["alone", "xdist"]
)
def test_a_picture_that_cannot_be_drawn_changes_no_verdict(tmp_path: Path, how: tuple[str, ...]) -> None:
    (tmp_path / "unfit.py").write_text(UNFIT, encoding="utf-8")
    made = run(tmp_path, "-p", "unfit", *how, path=tmp_path)
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-1000:]
    assert "1 passed, 1 warning" in made.stdout
    why = "no timeline picture: ValueError: not enough values to unpack"
    assert why in made.stdout
    files = attached(tmp_path)
    assert files["timeline"][1:4] == "PNG"
    assert "timeline, to zoom in" in files
    notes = [text for file in (tmp_path / "allure").glob("*.txt") if why in (text := file.read_text("utf-8"))]
    assert len(notes) == 1
    assert notes[0].startswith("testcases/test_successful_update.py::test_push_succeeds")


def test_only_what_did_not_pass_is_drawn(tmp_path: Path) -> None:
    made = run(tmp_path, "--pictures", "failed")
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-1000:]
    files = attached(tmp_path)
    assert "timeline" not in files
    assert "timeline, to zoom in" in files


def test_a_failed_teardown_did_not_pass(tmp_path: Path) -> None:
    (tmp_path / "changed.py").write_text(CHANGED, encoding="utf-8")
    made = run(tmp_path, "--pictures", "failed", "-p", "changed", path=tmp_path)
    assert made.returncode == 1, made.stdout[-3000:] + made.stderr[-1000:]
    assert attached(tmp_path)["timeline"][1:4] == "PNG"
