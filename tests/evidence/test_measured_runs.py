"""Figures of runs: kept, collected, compared with a baseline, by the real command."""

from __future__ import annotations

import random

import pytest
from click.testing import CliRunner

from bench import cli
from bench.errors import FileError, MeasurementError
from bench.evidence.measured_runs import FILE, Figure, collected, read, write
from bench.evidence.measurements import Measurement

NAME = "test_energy_of_an_update[nrf9160-pull]"


def run(folder, joules, limit=20.0):
    folder.mkdir()
    write(folder, [Figure(NAME, Measurement("energy of the update", joules, "J", limit))])
    return str(folder)


def runs(tmp_path, name, mean, count=6):
    rng = random.Random(name)
    return [run(tmp_path / f"{name}{n}", mean * rng.uniform(0.98, 1.02)) for n in range(count)]


@pytest.fixture
def kept(tmp_path):
    file = tmp_path / "released.json"
    arguments = ["baseline", "keep", *runs(tmp_path, "old", 9.0), "--to", str(file), "--subject", "dk, 1.1.0"]
    done = CliRunner().invoke(cli.commands, arguments)
    assert done.exit_code == 0, done.output
    assert "1 figures of 6 runs" in done.output
    return file


@pytest.mark.parametrize(
    ("mean", "verdict", "status"),
    [(9.0, "same", 0), (12.0, "worse", 1), (7.0, "better", 0), (25.0, "worse", 1)],
)
def test_a_later_release_against_the_one_before(tmp_path, kept, mean, verdict, status):
    arguments = ["baseline", "compare", str(kept), *runs(tmp_path, "new", mean)]
    done = CliRunner().invoke(cli.commands, arguments)
    assert done.exit_code == status
    assert done.output.startswith(verdict)
    assert f"{NAME}: energy of the update" in done.output


def test_one_run_is_no_verdict(tmp_path, kept):
    done = CliRunner().invoke(
        cli.commands, ["baseline", "compare", str(kept), *runs(tmp_path, "new", 9.0, 1)]
    )
    assert done.exit_code == 0
    assert done.output.startswith("inconclusive")


def test_runs_of_different_limits_are_not_mixed(tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    run(folders[0], 9.0)
    run(folders[1], 9.0, limit=30.0)
    with pytest.raises(MeasurementError, match="unit or limit differs"):
        collected(folders)


@pytest.mark.parametrize("text", [None, "{", "[{}]", '[{"test": "x", "nonsense": 1}]'])
def test_a_folder_without_figures_is_named(tmp_path, text):
    if text is not None:
        (tmp_path / FILE).write_text(text, "utf-8")
    with pytest.raises(FileError, match=r"is not the figures of a run|does not exist"):
        read(tmp_path)


def test_runs_without_any_figure_are_no_baseline(tmp_path):
    write(tmp_path, [])
    with pytest.raises(MeasurementError, match="hold no figures"):
        collected([tmp_path])
