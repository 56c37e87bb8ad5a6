"""The bench files of docs/first-hardware.md are right, and its commands end as it says without hardware."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from first_hardware import COMMANDS, DOCUMENT, ROOT, additions, benches, extended, fill_builds, printed

from bench.check import checked_bench
from bench.cli import commands

BENCHES = benches()


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders with stub builds, one for each bench file."""
    folder = tmp_path_factory.mktemp("builds")
    for name, text in BENCHES.items():
        fill_builds(folder / name, tomllib.loads(text))
    return folder


def desk(builds: Path, folder: Path, name: str, text: str) -> Path:
    """`mine.toml` as a newcomer has it: board file and builds beside it."""
    shutil.copytree(builds / name, folder, dirs_exist_ok=True)
    (folder / "mine.toml").write_text(text, "utf-8")
    return folder / "mine.toml"


def test_every_bench_file_is_looked_at() -> None:
    """A block of TOML that no test reads would rot."""
    assert DOCUMENT.read_text("utf-8").count("```toml\n") == len(BENCHES) + len(additions())
    assert sorted(BENCHES) == ["esp32.toml", "nrf9160dk.toml", "thingy91.toml"]


@pytest.mark.parametrize("name", BENCHES)
def test_bench_file_has_no_mistake(name: str, builds: Path, tmp_path: Path) -> None:
    bench = checked_bench(desk(builds, tmp_path, name, BENCHES[name]))
    assert len(bench.settings.boards) == 1


def test_additions_have_no_mistake_one_after_the_other(builds: Path, tmp_path: Path) -> None:
    texts = dict(BENCHES)
    for name, block in additions():
        texts[name] = extended(texts[name], block)
        bench = checked_bench(desk(builds, tmp_path, name, texts[name]))
        added = tomllib.loads(block)
        for table, rows in added.items():
            now = tomllib.loads(texts[name])[table]
            assert {key: {**now[key], **row} for key, row in rows.items()} == {k: now[k] for k in rows}
    assert sorted(bench.settings.instruments) == ["dmm", "ppk2", "psu", "rf1"]


@pytest.mark.parametrize(("name", "shown"), printed("prints"))
def test_check_prints_what_is_shown(
    name: str, shown: str, builds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk(builds, tmp_path, name, BENCHES[name]).parent)
    done = CliRunner().invoke(commands, ["check", "mine.toml"])
    assert (done.exit_code, done.output) == (0, shown)


def test_each_command_of_the_bench_is_one() -> None:
    """Names and options of every `bench` and `pytest` line, without running it."""
    found = re.findall(r"^(?:bench|\.venv/bin/bench) (\S+)(.*)$", "\n".join(COMMANDS), re.MULTILINE)
    assert found
    for name, rest in found:
        known = {option for p in commands.commands[name].params for option in p.opts}
        assert set(re.findall(r"(?<=\s)--[\w-]+", rest)) <= known, name


RUNS = {
    "bench recover dk1 --bench mine.toml": ["bench.cli", "recover", "dk1", "--yes", "960012345"],
    "pytest testcases/ --bench mine.toml -k push_succeeds": [
        *("pytest", "testcases/test_successful_update.py", "-k", "push_succeeds", "-p", "no:cacheprovider")
    ],
}
"""Commands of the document that would power a board, and how they are called here."""


@pytest.mark.parametrize("command", RUNS)
@pytest.mark.parametrize(("name", "shown"), printed("without-hardware"))
def test_without_hardware_it_ends_as_shown(
    command: str, name: str, shown: str, builds: Path, tmp_path: Path
) -> None:
    assert command in COMMANDS
    file = desk(builds, tmp_path, name, BENCHES[name])
    call = [sys.executable, "-c", CALL, *RUNS[command], "--bench", str(file)]
    call += ["--results", str(tmp_path / "results")] if "pytest" in call else []
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=300)
    told = done.stdout + done.stderr
    assert done.returncode == 3, told
    assert shown.partition("[Errno")[0] in told  # what follows is the system's
    assert "ports present: " in told
    assert "NOT SWITCHED OFF" not in told  # nothing had been switched on


CALL = """
import importlib, sys
name, *sys.argv[1:] = sys.argv[1:]
sys.exit(importlib.import_module(name).main())
"""
