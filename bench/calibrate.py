"""`bench calibrate`: sweep every board's radio path, judge it, keep it."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from bench.config import Bench, BoardSettings
from bench.errors import RadioError
from bench.radio import picture, store
from bench.radio.calibration import Calibration, Point, evaluate, sweep
from bench.station import Station, calibration_file


def run_calibration(bench: Bench, days: int, step: float, seed: int, say: Callable[[str], None]) -> int:
    """Calibrate every board that has an attenuator; returns the exit status: 1 when one is not fit."""
    names = [n for n, b in bench.settings.boards.items() if isinstance(b, BoardSettings) and b.attenuator]
    if not names:
        raise RadioError(
            f"{bench.path}: no board with an attenuator", help='give one: attenuator = "INSTRUMENT:PATH"'
        )
    bad = 0
    with Station(bench, seed=seed) as station:
        for name in names:
            made = _calibrate(station, name, days, step, say)
            file = calibration_file(bench, name)
            store.save(made, file)
            picture.save_png(made, file.with_suffix(".png"))
            _tell(made, say)
            say(f"  kept in {file}\n")
            bad += bool(made.problems)
    return 1 if bad else 0


def _calibrate(
    station: Station, name: str, days: int, step: float, say: Callable[[str], None]
) -> Calibration:
    dut = station.duts[name]
    rf = station.uncalibrated_rf(name)
    say(f"{name}: installing the baseline, registering")
    dut.install(dut.images.baseline)
    station.updates.commission(dut)

    def tell(point: Point) -> None:
        reported = "no cell" if point.rsrp is None else f"{point.rsrp:7.1f} dBm"
        say(f"  {'up  ' if point.rising else 'down'} {point.attenuation:6.2f} dB  {reported}")

    try:
        points = sweep(rf, station.clock, step=step, progress=tell)
    finally:
        rf.clear()
        dut.power_off()
    path = station.attenuator_of(name)
    return evaluate(
        points,
        board=name,
        serial=dut.serial,
        path=path,
        instrument=station.instruments[path.partition(":")[0]].idn,
        date=datetime.date.today().isoformat(),
        days=days,
    )


def _tell(made: Calibration, say: Callable[[str], None]) -> None:
    leak = "not reached" if made.floor is None else f"{made.floor:g} dBm"
    gone = "never" if made.lost_at is None else f"from {made.lost_at:g} dB on"
    say(f"  {made.intercept:.1f} dBm without attenuation, slope {made.slope:.3f}, RMS {made.rms:.2f} dB,")
    say(f"  hysteresis {made.hysteresis:.2f} dB, leakage floor {leak}, no cell {gone}")
    for problem in made.problems:
        say(f"  NOT FIT: {problem}")
    if not made.problems:
        say(f"  fit for use until {made.expires}")
