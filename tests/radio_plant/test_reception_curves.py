"""What strength means: monotone curves, the knee, reports in the units of the standards."""

from __future__ import annotations

import itertools
import random
import statistics
from dataclasses import replace

import pytest

from bench.virtual.power.draw_figures import transmission
from bench.virtual.radio.path import RfPath
from bench.virtual.radio.reception import Reception
from bench.virtual.radio.technology import LTE_M, NB_IOT, TECHNOLOGIES, WIFI, Technology

ALL = list(TECHNOLOGIES.values())


def levels(technology: Technology) -> list[float]:
    span = technology.unattenuated - technology.lost
    return [technology.lost + span * k / 60 for k in range(61)]


@pytest.mark.parametrize("technology", ALL, ids=lambda t: t.name)
def test_weaker_is_never_better(technology):
    links = [technology.link(dbm) for dbm in levels(technology)]
    for weak, strong in itertools.pairwise(links):
        assert weak.bits_per_second <= strong.bits_per_second
        assert weak.latency >= strong.latency
        assert weak.loss >= strong.loss
        assert weak.repetitions >= strong.repetitions
    powers = [technology.power(dbm) for dbm in levels(technology)]
    assert powers == sorted(powers, reverse=True)
    assert technology.least_power <= min(powers) < max(powers) == technology.power_limit


@pytest.mark.parametrize(
    ("technology", "dbm", "slowest", "fastest"),
    [
        (LTE_M, -95, 100_000, 300_000),
        (LTE_M, -120, 5_000, 30_000),
        (NB_IOT, -105, 20_000, 25_000),
        (NB_IOT, -129, 100, 1_500),
        (WIFI, -60, 5_000_000, 20_000_000),
        (WIFI, -88, 50_000, 500_000),
    ],
    ids=str,
)
def test_throughput_is_that_of_the_field(technology, dbm, slowest, fastest):
    assert slowest <= technology.link(dbm).bits_per_second <= fastest


@pytest.mark.parametrize(("technology", "knee"), [(LTE_M, -112), (NB_IOT, -117), (WIFI, -80)])
def test_energy_has_a_knee_not_a_slope(technology, knee):
    """Joules to send a package: about flat above the knee, at least four times as much 10 dB below it."""
    kind = "esp32" if technology is WIFI else "nrf9160"

    def cost(dbm: float) -> float:
        return transmission(kind, technology.power(dbm)).mean / technology.link(dbm).bits_per_second

    best = cost(technology.unattenuated)
    assert cost(knee + 10) < 6 * best
    assert cost(knee - 10) > 4 * cost(knee)


def test_transmission_power_compensates_the_path_up_to_the_limit():
    assert LTE_M.power(-80) == pytest.approx(0.0)
    assert LTE_M.power(-90) == pytest.approx(10.0)
    assert LTE_M.power(-103) == LTE_M.power(-120) == 23.0


def test_rsrq_and_sinr_follow_the_definitions():
    """RSRQ of a cell half loaded is about -8 dB without noise; at SINR 0 dB the noise halves the signal."""
    assert LTE_M.quality(-80) == pytest.approx(-7.8, abs=0.2)
    assert LTE_M.sinr(-125) == pytest.approx(0.0, abs=0.1)
    assert LTE_M.quality(-125) == pytest.approx(-12.6, abs=0.2)
    assert LTE_M.sinr(-60) == pytest.approx(LTE_M.ceiling, abs=0.1)


def test_attenuation_lowers_the_strength_db_for_db_until_it_leaks():
    path = RfPath(isolation=60.0)
    reception = Reception(path, LTE_M, random.Random(1))
    seen = []
    for db in (0, 10, 30, 60, 110):
        path.attenuation = db
        seen.append(reception.strength)
    assert seen[0] == pytest.approx(-80, abs=0.01)
    assert seen[1] == pytest.approx(-90, abs=0.01)
    assert seen[2] == pytest.approx(-110, abs=0.01)
    assert seen[3] == pytest.approx(-137, abs=0.1)  # half through, half past it
    assert seen[4] == pytest.approx(-140, abs=0.1)


def test_reports_scatter_about_the_strength():
    reception = Reception(RfPath(), LTE_M, random.Random(1))
    readings = [reception.measure().strength for _ in range(500)]
    assert statistics.mean(readings) == pytest.approx(-80, abs=0.1)
    assert statistics.stdev(readings) == pytest.approx(LTE_M.noise_of_reports, rel=0.15)


def test_interference_comes_on_top_of_the_loss():
    lossy = replace(LTE_M, interference=0.2)
    assert lossy.link(-80).loss == pytest.approx(0.2)
    assert lossy.link(-125).loss == pytest.approx(1 - 0.8 * (1 - LTE_M.link(-125).loss))
