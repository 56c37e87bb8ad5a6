"""`rf.set_rsrp`: by the device's own report, refused before anything is set where it cannot be."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.errors import InstrumentError, RadioError
from bench.radio.profiles import NOTHING, Level, fading, outage
from bench.radio.rf import FLOOR_MARGIN, ROUNDS, SETTLING, TOLERANCE
from fixtures.radio import left_clear


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
    radio.clock.sleep(SETTLING, "it gets used to the attenuation")
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


# ---- a device that needs time


def test_a_report_of_the_attenuation_before_is_not_believed(radio):
    """An idle device measures once a paging cycle, and tells the last measurement until then."""
    radio.device.period = 2.56
    radio.rf.reference = -80.0
    assert radio.rf.rsrp == pytest.approx(-80)
    mark = radio.timeline.mark()
    assert radio.rf.set_rsrp(-118.0) == pytest.approx(-118, abs=TOLERANCE)
    assert [e.data["set"] for e in radio.timeline.since(mark, kind="attenuation")] == [38.0]


def test_a_report_of_the_attenuation_before_is_no_reference(radio):
    radio.device.period = 2.56
    assert radio.rf.rsrp == pytest.approx(-80)
    radio.rf.cut()
    assert radio.rf.rsrp == pytest.approx(-80)  # what it measured before
    assert radio.rf.reference is None


def test_a_report_while_a_profile_runs_is_no_reference(radio):
    radio.clock.sleep(SETTLING, "it gets used to the attenuation")
    radio.rf.run([Level(NOTHING, 1), Level(NOTHING, 1)])
    radio.rf.report()
    assert radio.rf.reference is None


@pytest.mark.parametrize("wanted", [-100.0, -122.0])
def test_a_device_that_lost_its_cell_is_brought_back_first(radio, wanted):
    """From the edge of service it would not come back: it wants 5 dB more than it needs to stay."""
    radio.device.regain, radio.device.search = 5.0, 60.0
    radio.rf.reference = -80.0
    radio.rf.cut()
    begun = radio.clock.now()
    assert radio.rf.set_rsrp(wanted) == pytest.approx(wanted, abs=TOLERANCE)
    assert 60 <= radio.clock.now() - begun < 60 + 30
    assert radio.air.loss == pytest.approx(-80 - wanted, abs=TOLERANCE)


def test_a_profile_of_a_device_without_cell_and_reference_brings_it_back_first(radio):
    radio.device.search = 20.0
    radio.rf.cut()
    radio.rf.run([Level(-90.0, 1)]).wait()
    assert radio.air.loss == pytest.approx(10, abs=0.3)


def test_a_device_that_never_comes_back_is_told(radio):
    radio.device.search = math.inf
    radio.rf.cut()
    begun = radio.clock.now()
    with pytest.raises(RadioError, match="no cell at 0 dB, 180 s after the signal returned"):
        radio.rf.set_rsrp(-100.0)
    assert radio.clock.now() - begun == pytest.approx(180, abs=20)


def test_below_service_the_slope_of_the_calibration_counts(radio):
    radio.rf.reference, radio.rf.slope = -80.0, 0.97
    radio.rf.set_rsrp(-135.0)
    assert radio.air.attenuation == pytest.approx(55 / 0.97, abs=0.125)


# ---- whatever the figures

SHARED = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SHARED
@given(
    wanted=st.floats(-150, -60),
    compression=st.floats(0.9, 1.1),
    scatter=st.floats(0, 0.5),
    error=st.floats(-3, 3),
    floor=st.none() | st.floats(-150, -110),
)
def test_it_reports_what_was_wanted_or_nothing_was_set(radio, wanted, compression, scatter, error, floor):
    device, rf = radio.device, radio.rf
    device.compression, device.scatter = compression, scatter
    rf.reference, rf.floor = -80.0 + error, floor
    rf.clear()
    rf.await_cell()
    mark = radio.timeline.mark()
    refusal: RadioError | None = None
    try:
        rf.set_rsrp(wanted)
    except RadioError as refused:
        refusal = refused
    made = radio.timeline.since(mark, kind="attenuation")
    if wanted > rf.reference + TOLERANCE or (floor is not None and wanted < floor + FLOOR_MARGIN):
        assert refusal is not None
        assert "nothing was set" in refusal.help
        assert made == []
        return
    if refusal is not None:  # it went over the edge, or there is not so much signal
        assert "reports no cell" in refusal.message or "were wanted" in refusal.message
        assert len(made) <= ROUNDS + 1
        return
    if wanted >= rf.lost + TOLERANCE:
        device.scatter = 0.0
        assert rf.rsrp == pytest.approx(wanted, abs=TOLERANCE + 4 * scatter + 1e-6)
    else:
        assert radio.air.attenuation == pytest.approx(rf.reference - wanted, abs=0.126)


@SHARED
@given(mean=st.floats(-120, -90), seed=st.integers(0, 999), seconds=st.floats(0.5, 20))
def test_any_fading_is_on_the_steps_of_the_attenuator(radio, mean, seed, seconds):
    """A value off its steps would be refused before the first is set."""
    radio.rf.reference = -80.0
    mark = radio.timeline.mark()
    profile = fading(mean, seconds=seconds, seed=seed)
    radio.rf.run(profile).wait()
    made = [e.data["set"] for e in radio.timeline.since(mark, kind="attenuation")]
    assert len(made) == len(profile)
    for db, level in zip(made, profile, strict=True):
        assert db == pytest.approx(-80.0 - level.dbm, abs=0.126)


# ---- the fixture


def test_the_fixture_leaves_a_running_profile_and_the_attenuation_behind_it(radio):
    with left_clear(radio.rf) as rf:
        run = rf.run(outage(-90.0, at=10, seconds=1000))
        radio.clock.sleep(15, "in it")
    assert run.done
    assert radio.air.attenuation == 0.0


def test_the_fixture_tells_a_profile_that_failed_unseen(radio, monkeypatch):
    """Nobody waited for it: the test would be green, and was of another signal than it says."""
    clips = radio.rf.path._set
    monkeypatch.setattr(radio.rf.path, "_set", lambda db: clips(min(db, 60.0)))

    def unseen() -> None:
        with left_clear(radio.rf) as rf:
            rf.run(outage(-90.0, at=1, seconds=10))
            radio.clock.sleep(30, "the test looks elsewhere")

    with pytest.raises(InstrumentError, match="was set to 110 dB, but reads back 60 dB"):
        unseen()
    assert radio.air.attenuation == 0.0
