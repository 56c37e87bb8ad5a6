"""`bench check` and `pytest --bench` as they are called."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.check import checked_bench
from bench.cli import commands, main, wrapped
from bench.config.finding import Mistakes

ROOT = Path(__file__).parents[2]


CHANGES = (
    ("[server]\nhost", "[server]\nhots"),
    ('supply = "psu:1"', 'supply = "psu:9"'),
    ("nrf/update.bin", "nrf/none.bin"),
)


def broken(file: Path) -> Path:
    text = file.read_text("utf-8")
    for old, new in CHANGES:
        assert old in text
        text = text.replace(old, new, 1)
    file.write_text(text, "utf-8")
    return file


KEYS = ["server.hots", "boards.dk1.supply", "boards.dk1.images.update"]


def test_nothing_is_wrong(desk: Path) -> None:
    done = CliRunner().invoke(commands, ["check", str(desk)])
    assert done.exit_code == 0
    assert "dk1: " in done.output
    assert "korad_ka3005p at ASRL/dev/ttyUSB7::INSTR" in done.output


def test_each_mistake_is_a_line_and_the_status_is_3(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "check", str(broken(desk))])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3
    told = capsys.readouterr().err.splitlines()
    assert told[0] == f"bench: 3 mistakes, in {desk} or what it names"
    assert [line.split(": ")[1].split(" = ")[0] for line in told[1:4]] == KEYS
    assert all(line.startswith(f"  {desk}: ") for line in told[1:4])


def test_a_terminal_gets_lines_that_fit() -> None:
    """Words of a line that is wrapped stand further in than where a mistake begins."""
    text = wrapped(f"bench: 2 mistakes\n  {'word ' * 40}\n  help: {'short ' * 3}", 80)
    assert max(map(len, text.splitlines())) < 80
    assert [len(line) - len(line.lstrip()) for line in text.splitlines()] == [0, 2, 6, 6, 2]


def test_for_programs(desk: Path) -> None:
    good = CliRunner().invoke(commands, ["check", "--json", str(desk)])
    assert (good.exit_code, json.loads(good.output)["mistakes"]) == (0, [])
    done = CliRunner().invoke(commands, ["check", "--json", str(broken(desk))])
    assert done.exit_code == 3
    found = json.loads(done.output)["mistakes"]
    assert [row["key"] for row in found] == KEYS
    assert all(set(row) == {"file", "key", "value", "reason", "cure"} for row in found)


@pytest.mark.parametrize("name", ["virtual.toml", "virtual-swaps.toml", "virtual-certificates.toml"])
def test_the_benches_that_are_shipped(name: str) -> None:
    done = CliRunner().invoke(commands, ["check", str(ROOT / "boards" / name)])
    assert done.exit_code == 0, done.output


def test_a_run_names_them_all_and_opens_nothing(desk: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "testcases/test_successful_update.py",
        "-p",
        "no:cacheprovider",
    ]
    command += ["--bench", str(broken(desk)), "--results", str(tmp_path / "results")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 4
    for key in KEYS:
        assert key in done.stdout + done.stderr
    assert not (tmp_path / "results" / "runs").exists()


def test_the_bench_of_the_readme_lacks_nothing_but_its_builds(tmp_path: Path) -> None:
    """Whoever copies it and adds the boards' files and the builds has a bench file that is right."""
    shown = (ROOT / "README.md").read_text("utf-8").partition("### A real bench")[2]
    text = re.findall(r"```toml\n(.*?)```", shown, re.DOTALL)[0]
    (tmp_path / "bench.toml").write_text(text, "utf-8")
    for file in (ROOT / "boards").glob("*.toml"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    if not (tmp_path / f"{tomllib.loads(text)['boards']['dk1']['type']}.toml").exists():
        pytest.skip("its board file is not there yet")
    with pytest.raises(Mistakes) as caught:
        checked_bench(tmp_path / "bench.toml")
    assert {f.key.rpartition(".")[0] for f in caught.value.findings} <= {
        "boards.dk1.images",
        "boards.dk1.images.factory",
    }
