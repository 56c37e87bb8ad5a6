"""`rf.set_rsrp`: by the device's own report, refused before anything is set where it cannot be."""

from __future__ import annotations

import math

import pytest

from bench.errors import InstrumentError, RadioError
from bench.radio.profiles import NOTHING, Level, outage
from bench.radio.rf import TOLERANCE


@pytest.mark.parametrize("wanted", [-80.0, -91.3, -110.0, -122.0])
def test_the_device_reports_what_was_wanted(radio, wanted):
    reported = radio.rf.set_rsrp(wanted)
    assert abs(reported - wanted) <= TOLERANCE
    assert radio.air.loss == pytest.approx(-80 - wanted, abs=0.5)
    said = [e for e in radio.timeline if e.kind == "signal" and "wanted" in e.data]
    assert said[-1].data["wanted"] == wanted


def test_a_report_that_is_compressed_is_corrected_by_more_attenuation(radio):
    radio.device.compression = 0.8
    reported = radio.rf.set_rsrp(-110.0)
    assert abs(reported - -110.0) <= TOLERANCE
    assert radio.air.loss == pytest.approx(30 / 0.8, abs=2)


def test_a_wrong_calibration_is_corrected_by_the_report(radio):
    radio.rf.reference = -74.0
    radio.rf.set_rsrp(-110.0)
    assert radio.air.loss == pytest.approx(30, abs=TOLERANCE + 0.3)


def test_below_service_it_goes_by_the_reference_alone(radio):
    assert radio.rf.rsrp == pytest.approx(-80)
    asked = radio.device.asked
    radio.rf.set_rsrp(-135.0)
    assert radio.air.loss == pytest.approx(55, abs=0.3)
    assert radio.device.asked == asked


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (-70.0, "only -80 dBm arrive"),
        (-200.0, "need 120 dB, and the attenuator has 110 dB"),
        (math.nan, "nan dBm"),
        (math.inf, "inf dBm"),
    ],
)
def test_what_the_path_cannot_do_is_refused_before_anything_is_set(radio, wanted, message):
    assert radio.rf.rsrp == pytest.approx(-80)
    mark = radio.timeline.mark()
    with pytest.raises(RadioError, match=message):
        radio.rf.set_rsrp(wanted)
    assert radio.timeline.since(mark, kind="attenuation") == []


def test_a_target_near_the_leakage_floor_is_refused(radio):
    radio.rf.reference, radio.rf.floor = -80.0, -120.0
    mark = radio.timeline.mark()
    with pytest.raises(RadioError, match="within 10 dB of what leaks"):
        radio.rf.set_rsrp(-111.0)
    assert radio.timeline.since(mark, kind="attenuation") == []
    assert radio.rf.set_rsrp(-109.0) == pytest.approx(-109, abs=TOLERANCE)


def test_a_report_that_does_not_follow_is_no_success(make):
    radio = make(isolation=25.0)  # most of it goes past the attenuator
    with pytest.raises(RadioError, match="where -118 dBm were wanted"):
        radio.rf.set_rsrp(-118.0)


def test_without_a_cell_there_is_no_strength(radio):
    radio.rf.cut()
    with pytest.raises(RadioError, match="reports no cell at 110 dB"):
        _ = radio.rf.rsrp
    assert [e.text for e in radio.timeline if e.kind == "signal"][-1] == "no cell"


def test_a_profile_is_checked_whole_before_it_begins(radio):
    with pytest.raises(RadioError, match="only -80 dBm arrive"):
        radio.rf.run([Level(-100, 5), Level(-60, 5)])
    assert radio.air.attenuation == 0.0


def test_a_profile_runs_while_the_caller_works_and_can_be_stopped(radio):
    run = radio.rf.run(outage(-90.0, at=10, seconds=20))
    radio.clock.sleep(5, "before it")
    assert radio.air.attenuation == pytest.approx(10, abs=0.3)
    radio.clock.sleep(10, "in it")
    assert radio.air.attenuation == 110.0
    with pytest.raises(InstrumentError, match="a profile is running"):
        radio.rf.clear()
    radio.rf.stop()
    radio.rf.clear()
    assert run.done
    radio.clock.sleep(60, "it is over")
    assert radio.air.attenuation == 0.0


def test_nothing_means_as_much_attenuation_as_there_is(radio):
    radio.rf.run([Level(NOTHING, 1)]).wait()
    assert radio.air.attenuation == 110.0
