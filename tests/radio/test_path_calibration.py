"""The sweep of a radio path and its verdict, on paths that are good, leak, stick, or compress."""

from __future__ import annotations

import dataclasses
import datetime
import json

import pytest
from click.testing import CliRunner

from bench import cli
from bench.errors import RadioError
from bench.radio.calibration import Calibration, Point, evaluate, sweep
from bench.radio.store import load, load_valid, save

DAY = datetime.date(2026, 3, 1)


def calibrated(radio, step: float = 5.0) -> Calibration:
    points = sweep(radio.rf, radio.clock, step=step, progress=lambda point: None)
    return evaluate(
        points,
        board="board",
        serial="1",
        path="rf1:1",
        instrument="RCDAT",
        date=DAY.isoformat(),
        days=90,
    )


def test_a_good_path(radio):
    radio.device.scatter = 0.3
    made = calibrated(radio)
    assert made.problems == []
    assert made.intercept == pytest.approx(-80, abs=0.5)
    assert made.slope == pytest.approx(1, abs=0.02)
    assert made.rms < 0.5
    assert made.floor is None
    assert made.lost_at == 50.0
    assert {p.rising for p in made.points} == {True, False}


def test_a_path_that_leaks_before_the_device_is_gone(make):
    radio = make(isolation=38.0)
    made = calibrated(radio)
    assert made.floor == pytest.approx(-118, abs=1)
    assert made.lost_at is None
    assert any("leaks" in problem for problem in made.problems)
    assert made.slope == pytest.approx(1, abs=0.06)


def test_a_report_that_sticks_on_the_way_back(radio):
    radio.device.sticks = 2.5
    made = calibrated(radio)
    assert made.hysteresis == pytest.approx(2.5, abs=0.5)
    assert any("between up and down" in problem for problem in made.problems)


def test_a_compressed_report(radio):
    radio.device.compression = 0.93
    assert any("slope 0.93" in problem for problem in calibrated(radio).problems)


def test_reports_that_scatter(radio):
    radio.device.scatter = 3.0
    assert any("scatter" in problem for problem in calibrated(radio).problems)


def test_too_few_points_are_no_calibration(radio):
    with pytest.raises(RadioError, match="reported at 3 attenuations, 5 are needed"):
        calibrated(radio, step=20.0)


def test_a_device_that_does_not_come_back_is_told(radio):
    read = radio.device.read
    gone = []

    def deaf():
        found = None if gone else read()
        if found is None:
            gone.append(True)
        return found

    radio.device.read = deaf
    with pytest.raises(RadioError, match="no cell at 40 dB, 180 s after the signal returned"):
        calibrated(radio)


@pytest.fixture
def kept(tmp_path):
    points = (Point(0.0, -80.0, True), Point(50.0, None, True))
    made = Calibration(
        "board", "1", "rf1:1", "RCDAT", DAY.isoformat(), 90, -80.0, 1.0, 0.2, 0.1, None, 50.0, points
    )
    file = tmp_path / "board.json"
    save(made, file)
    return made, file


VALID = {"board": "board", "serial": "1", "rf_path": "rf1:1", "instrument": "RCDAT", "today": DAY}


def test_it_comes_back_from_its_file(kept):
    made, file = kept
    assert load(file) == made
    assert load_valid(file, **VALID) == made


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"board": "other"}, "made with board 'board', this one is 'other'"),
        ({"serial": "2"}, "serial number '1', this one is '2'"),
        ({"rf_path": "rf1:2"}, "path 'rf1:1', this one is 'rf1:2'"),
        ({"instrument": "J7211"}, "attenuator 'RCDAT', this one is 'J7211'"),
        ({"today": DAY + datetime.timedelta(90)}, "expired on 2026-05-30"),
    ],
)
def test_a_foreign_or_old_one_is_refused_with_the_cure(kept, change, message):
    with pytest.raises(RadioError, match=message) as told:
        load_valid(kept[1], **{**VALID, **change})
    assert "bench calibrate" in told.value.help


def test_one_of_a_bad_path_is_refused(kept):
    made, file = kept
    save(dataclasses.replace(made, slope=0.8), file)
    with pytest.raises(RadioError, match=r"not fit for use: slope 0\.800"):
        load_valid(file, **VALID)


@pytest.mark.parametrize(
    "damage",
    [
        lambda rows: rows.pop("slope"),
        lambda rows: rows.update(slope=float("nan")),
        lambda rows: rows.update(slope="1"),
        lambda rows: rows.update(date="yesterday"),
        lambda rows: rows.update(format="something else"),
        lambda rows: rows.update(points=[{"x": 1}]),
        lambda rows: rows.update(days=-1),
    ],
)
def test_a_damaged_one_is_refused(kept, damage):
    file = kept[1]
    rows = json.loads(file.read_text("utf-8"))
    damage(rows)
    file.write_text(json.dumps(rows), "utf-8")
    with pytest.raises(RadioError, match="not a calibration"):
        load(file)


def test_no_file_and_no_json_are_refused(tmp_path):
    (tmp_path / "x.json").write_text("{", "utf-8")
    for name in ("x.json", "absent.json"):
        with pytest.raises(RadioError, match="not a calibration"):
            load(tmp_path / name)


@pytest.fixture
def boards(tmp_path):
    from pathlib import Path

    for file in (Path(__file__).parents[2] / "boards").glob("*.toml"):
        (tmp_path / file.name).write_text(file.read_text("utf-8"), "utf-8")
    return tmp_path


def test_the_command_sweeps_both_virtual_boards_and_keeps_what_it_found(boards):
    done = CliRunner().invoke(cli.commands, ["calibrate", "--bench", str(boards / "virtual.toml")])
    assert done.exit_code == 0, done.output
    assert done.output.count("fit for use until") == 2
    for board, strongest in (("nrf9160", -80), ("esp32", -50)):
        made = load(boards / "calibration" / f"{board}.json")
        assert made.intercept == pytest.approx(strongest, abs=1)
        assert (boards / "calibration" / f"{board}.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_without_an_attenuator_says_what_is_missing(boards):
    file = boards / "virtual.toml"
    text = "".join(line for line in file.read_text("utf-8").splitlines(True) if "attenuator =" not in line)
    file.write_text(text, "utf-8")
    done = CliRunner().invoke(cli.commands, ["calibrate", "--bench", str(file)])
    assert isinstance(done.exception, RadioError)
    assert "no board with an attenuator" in str(done.exception)
