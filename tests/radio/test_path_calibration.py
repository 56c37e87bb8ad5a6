"""The sweep of a radio path and its verdict, on paths that are good, leak, stick, or compress."""

from __future__ import annotations

import dataclasses
import datetime
import json

import pytest
from click.testing import CliRunner

from bench import cli
from bench.config import load_bench
from bench.errors import FileError, RadioError
from bench.radio.calibration import Calibration, Point, evaluate, sweep
from bench.radio.report import SignalReport
from bench.radio.rf import TOLERANCE
from bench.radio.store import load, load_valid, save
from bench.station import Station, calibration_file

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


def up(*answers: tuple[float, float | None]) -> list[Point]:
    return [Point(db, rsrp, True) for db, rsrp in answers]


UP = up(*((float(db), -80.0 - db) for db in range(0, 45, 5)))
DOWN = [Point(float(db), -80.0 - db, False) for db in range(35, -5, -5)]
WHAT = {"board": "b", "serial": "1", "path": "rf1:1", "instrument": "RCDAT", "date": "2026-03-01", "days": 90}


def test_a_pause_in_the_reports_on_the_way_up_hides_no_leak():
    """It says once that it has no cell, but at the largest attenuation it still hears one."""
    made = evaluate([*UP, *up((45.0, None), (110.0, -118.0)), *DOWN], **WHAT)
    assert made.lost_at is None
    assert made.floor == -118.0
    assert made.problems == [
        "at the largest attenuation, 110 dB, the device still reports -118 dBm: the signal leaks"
    ]


def test_the_network_is_lost_where_nothing_is_heard_from_there_on():
    made = evaluate([*UP[:4], *up((15.0, None)), *UP[4:], *up((45.0, None), (110.0, None)), *DOWN], **WHAT)
    assert made.lost_at == 45.0
    assert made.problems == []


def test_a_device_that_hears_a_cell_now_and_then_at_the_largest_attenuation_leaks(radio):
    read, turns = radio.device.read, iter(range(10**6))

    def flickering():
        if radio.air.attenuation == 110.0:
            return SignalReport(-124.0) if next(turns) % 3 == 1 else None
        return read()

    radio.device.read = flickering
    made = calibrated(radio)
    assert made.lost_at is None
    assert any("still reports -124 dBm: the signal leaks" in problem for problem in made.problems)


def test_one_way_alone_says_nothing_of_hysteresis():
    with pytest.raises(RadioError, match="both on the way up and on the way down"):
        evaluate([*UP, *up((45.0, None), (110.0, None))], **WHAT)


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
        ({"today": DAY - datetime.timedelta(1)}, "dated 2026-03-01, after today, 2026-02-28"),
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
        lambda rows: rows.update(days=10**12),
        lambda rows: rows.update(days=0.5),
        lambda rows: rows.update(floor=float("nan")),
        lambda rows: rows.update(floor="low"),
        lambda rows: rows.update(lost_at=True),
        lambda rows: rows.update(intercept=float("inf")),
        lambda rows: rows.update(rms=-1),
        lambda rows: rows.update(board=3),
        lambda rows: rows.update(points=[]),
        lambda rows: rows["points"][0].update(rsrp=float("-inf")),
        lambda rows: rows["points"][0].update(attenuation=None),
        lambda rows: rows["points"][0].update(rising=1),
    ],
)
def test_a_damaged_one_is_refused(kept, damage):
    file = kept[1]
    rows = json.loads(file.read_text("utf-8"))
    damage(rows)
    file.write_text(json.dumps(rows), "utf-8")
    with pytest.raises(FileError, match="not a calibration"):
        load(file)


def test_an_infinite_floor_does_not_switch_the_check_off(kept):
    made, file = kept
    save(dataclasses.replace(made, floor=float("-inf")), file)
    with pytest.raises(FileError, match="a figure is no number"):
        load_valid(file, **VALID)


def test_no_file_and_no_json_are_refused(tmp_path):
    (tmp_path / "x.json").write_text("{", "utf-8")
    for name, why in (("x.json", "is not a calibration"), ("absent.json", "does not exist")):
        with pytest.raises(FileError, match=why):
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
    bench = load_bench(boards / "virtual.toml")
    for board, strongest in (("nrf9160", -80), ("esp32", -50)):
        made = load(boards / "calibration" / f"{board}.json")
        assert made.intercept == pytest.approx(strongest, abs=1)
        assert (boards / "calibration" / f"{board}.png").read_bytes().startswith(b"\x89PNG")
    with Station(bench) as station:
        for board in ("nrf9160", "esp32"):
            made, rf = load(calibration_file(bench, board)), station.rf(board)
            assert (rf.reference, rf.slope, rf.floor) == (made.intercept, made.slope, made.floor)
        old = dataclasses.replace(made, date="2020-01-01")
        save(old, calibration_file(bench, "esp32"))
        with pytest.raises(RadioError, match="expired on 2020-03-31"):
            station.rf("esp32")


def test_the_command_without_an_attenuator_says_what_is_missing(boards):
    file = boards / "virtual.toml"
    text = "".join(line for line in file.read_text("utf-8").splitlines(True) if "attenuator =" not in line)
    file.write_text(text, "utf-8")
    done = CliRunner().invoke(cli.commands, ["calibrate", "--bench", str(file)])
    assert isinstance(done.exception, RadioError)
    assert "no board with an attenuator" in str(done.exception)


@pytest.mark.parametrize(("board", "good", "edge"), [("nrf9160", -100, -122), ("esp32", -70, -87)])
def test_a_board_that_was_out_of_coverage_is_set_to_a_level_again(boards, board, good, edge):
    with Station(load_bench(boards / "virtual.toml", (board,))) as station:
        dut, rf = station.duts[board], station.rf(board)
        dut.install(dut.images.baseline)
        station.updates.commission(dut)
        assert rf.set_rsrp(good) == pytest.approx(good, abs=TOLERANCE)
        for level in (good, edge):
            rf.cut()
            station.clock.sleep(300, "no coverage")
            assert rf.set_rsrp(level) == pytest.approx(level, abs=TOLERANCE)
