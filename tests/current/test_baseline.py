"""Verdicts against a baseline: their statistics are what is claimed, bad input is refused."""

import json
import math
from collections import Counter

import numpy
import pytest

from bench.current.baseline import Baseline, Metric, Verdict, compare
from bench.errors import FileError, MeasurementError

OLD = Metric("mJ", (100.0, 101.0, 99.0, 100.5, 99.5), limit=130.0)


def shares(runs: int, change: float, spread: float = 0.05, trials: int = 600) -> Counter[str]:
    """How often each verdict came, for true changes with a normal spread; a share of 1."""
    generator = numpy.random.default_rng(17)
    seen: Counter[str] = Counter()
    for trial in range(trials):
        old = Metric("mJ", tuple(generator.normal(1.0, spread, runs)))
        verdict = compare(old, generator.normal(1.0 + change, spread, runs), seed=trial).verdict
        seen[str(verdict)] += 1
    return Counter({name: count / trials for name, count in seen.items()})


def test_ten_per_cent_is_found_four_times_out_of_five_from_five_runs():
    found = shares(5, 0.10)
    assert 0.77 <= found["worse"] <= 0.89
    assert found["better"] == 0
    assert found["same"] < 0.01


def test_five_per_cent_is_mostly_beyond_five_runs_and_said_to_be():
    found = shares(5, 0.05)
    assert 0.24 <= found["worse"] <= 0.38
    assert found["inconclusive"] > 0.6


def test_no_change_is_rarely_called_one():
    found = shares(5, 0.0)
    assert found["worse"] < 0.05
    assert found["better"] < 0.05


def test_more_runs_find_more_and_see_sameness():
    assert shares(10, 0.10, trials=300)["worse"] > 0.95
    assert shares(20, 0.0, spread=0.03, trials=200)["same"] > 0.9


def test_an_improvement_is_better():
    assert shares(5, -0.15, trials=200)["better"] > 0.95


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((100.2, 99.8, 100.4, 99.9, 100.1), Verdict.SAME),
        ((110.0, 111.0, 109.0, 110.5, 109.5), Verdict.WORSE),
        ((90.0, 91.0, 89.0, 90.5, 89.5), Verdict.BETTER),
        ((90.0, 115.0, 100.0, 95.0, 110.0), Verdict.INCONCLUSIVE),
        ((102.0, 102.1, 101.9, 102.0, 102.2), Verdict.SAME),  # real, but too small to matter
        ((100.0, 100.0, 131.0), Verdict.WORSE),  # above the limit, be it once
        ((105.0, 106.0), Verdict.INCONCLUSIVE),  # too few runs
    ],
)
def test_verdicts(values, verdict):
    found = compare(OLD, values)
    assert found.verdict is verdict
    assert found.reason


def test_a_limit_is_told_with_its_value():
    assert compare(OLD, (131.5,)).reason == "131.5 mJ is above the limit of 130 mJ"


def test_runs_without_any_spread_are_judged_too():
    same = Metric("mJ", (100.0,) * 5)
    assert compare(same, (100.0,) * 5).verdict is Verdict.SAME
    assert compare(same, (107.0,) * 5).verdict is Verdict.WORSE


def test_the_same_seed_gives_the_same_interval():
    values = (101.0, 104.0, 99.0, 108.0, 103.0)
    assert compare(OLD, values, seed=4) == compare(OLD, values, seed=4)


@pytest.mark.parametrize("bad", [(), (1.0, math.nan), (1.0, math.inf), (1.0, -2.0), (0.0, 1.0)])
def test_values_that_cannot_be_are_refused(bad):
    with pytest.raises(MeasurementError, match="the new runs hold"):
        compare(OLD, bad)
    with pytest.raises(MeasurementError, match="the baseline hold"):
        compare(Metric("mJ", bad), (1.0, 2.0))


def test_a_baseline_survives_its_file(tmp_path):
    path = tmp_path / "baseline.json"
    baseline = Baseline(
        "nrf9160, 1.0.0 to 1.1.0", "2026-03-01", {"energy": OLD, "floor": Metric("uA", (2.7,))}
    )
    baseline.save(path)
    assert Baseline.load(path) == baseline
    first = path.read_bytes()
    baseline.save(path)
    assert path.read_bytes() == first


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "metrics": [1]}', "\x00"])
def test_a_file_that_is_no_baseline_is_refused(tmp_path, text):
    path = tmp_path / "baseline.json"
    path.write_text(text)
    with pytest.raises(FileError, match=r"baseline\.json is not a baseline"):
        Baseline.load(path)
    with pytest.raises(FileError, match=r"absent\.json does not exist"):
        Baseline.load(tmp_path / "absent.json")


def test_a_metric_without_values_is_refused_when_compared(tmp_path):
    path = tmp_path / "baseline.json"
    Baseline("x", "2026-03-01", {"energy": Metric("mJ", ())}).save(path)
    assert json.loads(path.read_text())["metrics"]["energy"]["values"] == []
    with pytest.raises(MeasurementError, match="hold no values"):
        compare(Baseline.load(path).metrics["energy"], (1.0,))
