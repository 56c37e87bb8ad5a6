"""The picture of a test: what is chosen for it, what its lanes show, nothing lies over something else."""

from __future__ import annotations

import base64
import json
import math
import re
import zlib
from io import BytesIO
from typing import Any

import numpy
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread

from bench.current.phases import Phase, measure
from bench.current.trace import MemoryTrace, TraceInfo, to_counts
from bench.evidence.picture import draw
from bench.evidence.picture.content import About, Picture, spans
from bench.evidence.picture.draw import timeline_png
from bench.evidence.picture.lanes import MOST_EVENTS, Event, Lanes, chosen, lanes
from bench.evidence.picture.page import thinned, timeline_html
from bench.evidence.picture.signal_line import estimate, radio
from bench.timeline import Entry

ABOUT = About("test_push[nrf9160] <&>", "nrf9160, serial 1, 1.0.0 to 1.1.0, seed 0", "PASSED")


def entries(*rows: tuple[float, str, str, str, dict[str, Any]]) -> list[Entry]:
    return [Entry(t, n, source, kind, text, data) for n, (t, source, kind, text, data) in enumerate(rows)]


def state(t: float, value: int, result: int = 0) -> tuple[float, str, str, str, dict[str, Any]]:
    return t, "ep", "state", "", {"instance": "/5/0", "state": value, "result": result}


UPDATE = entries(
    (0.0, "dk", "step", "install the baseline", {"phase": "begin"}),
    (1.0, "dk.console", "line", "E: noise of the factory", {}),
    (9.0, "dk", "step", "install the baseline", {"phase": "end"}),
    (10.0, "dk", "power", "on", {"volts": 3.7}),
    (10.1, "dk.console", "line", "I: Starting bootloader", {}),
    (10.2, "dk.console", "line", "hello", {}),
    (15.0, "ep", "registration", "registered at /rd/d1", {}),
    state(15.5, 0),
    (16.0, "dk", "signal", "-80 dBm", {"rsrp": -80.0}),
    (16.5, "ep", "step", "deliver by push", {"phase": "begin"}),
    state(17.0, 1),
    (18.0, "ep", "progress", "10 %", {"done": 10, "total": 100}),
    (20.0, "rf1", "attenuation", "30 dB", {"read_back": 30.0}),
    (25.0, "ep", "progress", "100 %", {"done": 100, "total": 100}),
    state(25.5, 2),
    state(26.0, 3),
    (27.0, "dk", "supply", "3.00 V", {"volts": 3.0}),
    (30.0, "ep", "violation", "state 3 followed by 1", {}),
    state(40.0, 0),
    state(40.1, 0, 1),
    (45.0, "dk", "power", "off", {}),
)


def test_lanes_begin_where_the_board_has_its_baseline():
    found = lanes(UPDATE)
    assert (found.start, found.end) == (9.0, 45.0)
    assert found.progress == [(18.0, 10.0), (25.0, 100.0)]
    assert found.signal == [(16.0, -80.0)]
    assert found.attenuation == [(20.0, 30.0)]
    assert found.supply == [(10.0, 3.7), (27.0, 3.0), (45.0, 0.0)]
    texts = [event.text for event in found.events]
    assert texts == [
        "power on",
        "I: Starting bootloader",
        "registered at /rd/d1",
        "deliver by push",
        "state 3 followed by 1",
        "result 1 (updated)",
        "power off",
    ]


def test_states_that_are_only_told_again_are_one_span_with_the_last_result():
    found = lanes(UPDATE)
    assert [(a, b, n) for a, b, n, _ in spans(found, found.end)] == [
        (15.5, 17.0, 0),
        (17.0, 25.5, 1),
        (25.5, 26.0, 2),
        (26.0, 40.0, 3),
        (40.0, 45.0, 0),
    ]
    assert spans(found, found.end)[-1][3] == "Idle, result 1 (updated)"


def signal_of(*rows):
    """(seconds, "report" in dBm or "attenuation" in dB) in the order in which they were recorded."""
    told = {"report": ("signal", "rsrp"), "attenuation": ("attenuation", "read_back")}
    found = lanes(entries(*((t, "rf", told[what][0], "", {told[what][1]: value}) for t, what, value in rows)))
    return estimate(found.signal, found.attenuation, found.arriving)


def test_the_strength_follows_from_the_attenuation():
    changes = ((20.0, "attenuation", 30.0), (25.0, "attenuation", 0.0))
    assert signal_of((16.0, "report", -80.0), *changes) == [(16.0, -80.0), (20.0, -110.0), (25.0, -80.0)]
    assert signal_of(*changes) == []
    assert signal_of(changes[0], (21.0, "report", -110.0), changes[1]) == [(20.0, -110.0), (25.0, -80.0)]


def test_a_report_just_before_the_attenuation_changes_is_of_what_was_before():
    """Simulated time may stand still between the two."""
    assert signal_of((20.0, "report", -80.0), (20.0, "attenuation", 36.0), (90.0, "attenuation", 0.0)) == [
        (20.0, -80.0),
        (20.0, -116.0),
        (90.0, -80.0),
    ]
    assert signal_of((20.0, "attenuation", 36.0), (20.0, "report", -116.0)) == [(20.0, -116.0)]


def test_a_boot_loop_is_told_once_with_how_often():
    boots = [
        (10.0 + 2 * n + late, "dk.console", "line", text, {})
        for n in range(20)
        for late, text in ((0.0, "I: Starting bootloader"), (0.4, "*** Booting application v1.0.0 ***"))
    ]
    weak = (9.0, "dk", "supply", "3.7 V, at most 0.025 A", {"volts": 3.7, "amps": 0.025})
    later = (200.0, "dk.console", "line", "I: Starting bootloader", {})
    first = (5.0, "dk.console", "line", "I: Starting bootloader", {})
    found = lanes(entries(first, weak, *boots, later))
    assert [(e.time, e.text) for e in found.events] == [
        (5.0, "I: Starting bootloader"),
        (9.0, "supply at 3.7 V, at most 0.025 A"),
        (10.0, "I: Starting bootloader (20 times, until 48.0 s)"),
        (10.4, "*** Booting application v1.0.0 *** (20 times, until 48.4 s)"),
        (200.0, "I: Starting bootloader"),
    ]
    assert found.left_out == 0
    assert len(found.all_events) == 43


def test_too_many_events_lose_the_least_important_ones_and_say_so():
    many = [Event(float(n), f"line {n}", "board", 1 + (n % 10 == 0)) for n in range(60)]
    kept = chosen(many)
    assert len(kept) == MOST_EVENTS
    assert [e.time for e in kept] == sorted(e.time for e in kept)
    assert {e.text for e in many if e.importance == 2} <= {e.text for e in kept}
    found = lanes(entries(*[(float(n), "dk", "power", f"x{n}", {}) for n in range(60)]))
    assert found.left_out == 60 - MOST_EVENTS


def trace(amps: numpy.ndarray, start: float = 10.0, rate: float = 1000.0) -> MemoryTrace:
    class Given:
        current = amps
        voltage = range = logic = None

    info = TraceInfo(rate, start, 3.7, "meter", clock="bench")
    return MemoryTrace(info, to_counts(Given(), info))


def drawn_figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    made: list[Figure] = []

    class Kept(Figure):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            made.append(self)

    monkeypatch.setattr(draw, "Figure", Kept)
    return made


def test_lanes_without_data_are_left_out(monkeypatch):
    figures = drawn_figures(monkeypatch)
    timeline_png(Picture.of(lanes(UPDATE), ABOUT))
    timeline_png(Picture.of(lanes(UPDATE), ABOUT, trace(numpy.full(30_000, 0.01))))
    timeline_png(Picture.of(lanes(entries((0.0, "dk", "power", "on", {}))), ABOUT))
    labels = [[axes.get_ylabel() for axes in figure.axes] for figure in figures]
    assert "current" not in labels[0]
    assert "current" in labels[1]
    assert labels[2] == ["supply", "events"]


def test_no_text_of_an_event_lies_over_another(monkeypatch):
    figures = drawn_figures(monkeypatch)
    text = "with a rather long text to it"
    rows = [(9.0 + n * 0.05, "dk", "reset", f"event number {n} {text}", {}) for n in range(40)]
    timeline_png(Picture.of(lanes(entries(*rows)), ABOUT))
    figure = figures[0]
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.axes[-1].texts]
    assert len(boxes) == MOST_EVENTS + 1
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[number + 1 :])
        assert 0 <= box.x0 < box.x1 <= figure.bbox.x1


def test_a_one_sample_peak_is_in_the_picture_and_named(monkeypatch):
    figures = drawn_figures(monkeypatch)
    amps = numpy.full(2_000_000, 3e-6)
    amps[1_234_567] = 0.3
    png = timeline_png(Picture.of(lanes(UPDATE), ABOUT, trace(amps, rate=100_000.0)))
    assert imread(BytesIO(png)).shape[1] == 1080
    (axes,) = [a for a in figures[0].axes if a.get_ylabel() == "current"]
    assert any("peak 300.0 mA" in text.get_text() for text in axes.texts)


def test_a_test_that_saw_nothing_still_has_a_picture():
    assert imread(BytesIO(timeline_png(Picture.of(Lanes(), ABOUT)))).shape[1] == 1080


def page_data(text: str) -> dict[str, Any]:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_the_page_holds_every_lane_and_needs_no_network():
    amps = numpy.full(3_000_000, 3e-6)
    amps[1_234_567] = 0.3
    measured = trace(amps, rate=100_000.0)
    costs = measure(measured, [Phase("downloading", 17, 25.5), Phase("</script><b>", 26, 40)])
    text = timeline_html(lanes(UPDATE), ABOUT, measured, costs)
    assert len(text) < 500_000
    assert not re.search(r"https?://|src=|href=|@import|fetch\(|XMLHttp", text)
    assert "test_push[nrf9160] &lt;&amp;&gt;" in text
    data = page_data(text)
    assert [lane["kind"] for lane in data["lanes"]] == ["states", "lines", "current", "lines", "events"]
    assert [p["name"] for p in data["phases"]] == ["downloading", "</script><b>"]
    lane = data["lanes"][2]
    planes = zlib.decompress(base64.b64decode(lane["high"]))
    high = numpy.frombuffer(planes, dtype=numpy.uint8).reshape(4, -1).T.copy().view("<f4").ravel()
    assert len(high) == lane["columns"] == 16_384
    assert high.max() == pytest.approx(0.3)


def test_a_noisy_trace_and_many_events_still_make_a_small_page():
    rows = [(10 + n / 100, "dk.console", "line", f"E: fault number {n} " + "x" * 60, {}) for n in range(1000)]
    noisy = trace(numpy.random.default_rng(1).gamma(1.0, 0.05, 2_000_000), rate=100_000.0)
    assert len(timeline_html(lanes(entries(*rows)), ABOUT, noisy)) < 500_000


def test_no_cell_is_a_gap_in_the_page_not_a_number():
    rows = entries(
        (0.0, "dk", "signal", "-80 dBm", {"rsrp": -80.0}), (5.0, "dk", "signal", "no cell", {"rsrp": None})
    )
    found = lanes(rows)
    assert math.isnan(found.signal[1][1])
    (line,) = page_data(timeline_html(found, ABOUT))["lanes"][0]["lines"]
    assert line["points"] == [[0.0, -80.0], [5.0, None]]


def test_where_a_test_failed_is_an_event_that_is_never_left_out(monkeypatch):
    figures = drawn_figures(monkeypatch)
    rows = [*UPDATE, *entries(*[(41.0 + n / 100, "ep", "violation", f"no {n}", {}) for n in range(50)])]
    found = lanes(rows, (40.5, "failed (test_push.py, line 12): assert 5 == 1"))
    assert found.failure in found.events
    assert len(found.events) == MOST_EVENTS
    timeline_png(Picture.of(found, ABOUT))
    marked = [a for a in figures[0].axes if any(list(x.get_xdata()) == [40.5, 40.5] for x in a.lines)]
    assert len(marked) == 4  # states, download, supply, events
    assert any("40.5 s  failed (test_push.py, line 12)" in t.get_text() for t in marked[-1].texts)
    assert page_data(timeline_html(found, ABOUT))["failure"] == 40.5
    assert page_data(timeline_html(lanes(UPDATE), ABOUT))["failure"] is None


def test_a_failure_after_the_last_entry_is_still_in_the_picture():
    assert lanes(UPDATE, (60.0, "failed")).end == 60.0


def test_of_equal_events_those_since_the_delivery_stay():
    many = [Event(float(n), f"line {n}", "board", 1) for n in range(60)]
    assert [e.time for e in chosen(many, 40.0)][-MOST_EVENTS:] == [40.0 + n for n in range(MOST_EVENTS)]


def test_attenuation_is_shown_as_such_where_no_strength_was_ever_reported():
    shown = radio(Lanes(attenuation=[(1.0, 10.0), (2.0, 40.0)]))
    assert shown is not None
    assert (shown.name, shown.unit, shown.line, shown.dots) == (
        "attenuation",
        "dB",
        [(1.0, 10.0), (2.0, 40.0)],
        [],
    )
    assert radio(Lanes(signal=[(1.0, math.nan)])) is None
    heard = radio(
        Lanes(signal=[(1.0, math.nan), (2.0, -80.0)], attenuation=[(1.5, 0.0), (3.0, 30.0)], arriving=-80.0)
    )
    assert heard is not None
    assert heard.line == [(1.5, -80.0), (3.0, -110.0)]
    assert heard.dots == [(2.0, -80.0)]


def test_a_trace_of_which_nothing_arrived_is_drawn_as_that(monkeypatch):
    figures = drawn_figures(monkeypatch)
    lost = trace(numpy.full(30_000, numpy.nan))
    timeline_png(Picture.of(lanes(UPDATE), ABOUT, lost))
    assert any("every sample was lost" in t.get_text() for axes in figures[0].axes for t in axes.texts)
    (lane,) = [
        x for x in page_data(timeline_html(lanes(UPDATE), ABOUT, lost))["lanes"] if x["kind"] == "current"
    ]
    assert lane["columns"] == 16_384


def test_the_charge_of_a_narrow_phase_is_told_too(monkeypatch):
    figures = drawn_figures(monkeypatch)
    measured = trace(numpy.full(30_000, 0.01))
    costs = measure(measured, [Phase("downloading", 17, 25.5), Phase("downloaded", 25.5, 26)])
    timeline_png(Picture.of(lanes(UPDATE), ABOUT, measured, costs))
    (axes,) = [a for a in figures[0].axes if a.get_ylabel() == "current"]
    texts = [text.get_text() for text in axes.texts]
    assert any(text.startswith("downloading: 85 mC, 0.315 J") for text in texts)
    assert "too narrow for a caption: downloaded 5 mC, mean 10.0 mA" in texts


def test_the_measured_supply_is_in_the_page_with_its_shortest_dip():
    class Given:
        current = numpy.full(1_000_000, 0.01)
        voltage = numpy.full(1_000_000, 3.7)
        range = logic = None

    Given.voltage[654_321] = 2.4
    info = TraceInfo(50_000.0, 10.0, None, "meter", clock="bench")
    page = timeline_html(lanes(UPDATE), ABOUT, MemoryTrace(info, to_counts(Given(), info)))
    (line,) = [line for lane in page_data(page)["lanes"] for line in lane.get("lines", [])][-1:]
    assert line["name"] == "supply"
    assert min(v for _, v in line["points"]) == pytest.approx(2.4)
    assert len(page) < 500_000


def test_thinning_a_line_keeps_its_dips_and_gaps():
    series = [(float(n), 50.0) for n in range(100_000)]
    series[55_555] = (55_555.0, 1.0)
    series[77_777] = (77_777.0, math.nan)
    kept = thinned(series, 1000)
    assert len(kept) <= 1002
    assert (55_555.0, 1.0) in kept
    assert any(math.isnan(v) for _, v in kept)
    assert kept[0] == series[0]
    assert kept[-1] == series[-1]
    assert kept == sorted(kept, key=lambda point: point[0])


def test_no_text_of_the_current_lies_over_another(monkeypatch):
    figures = drawn_figures(monkeypatch)
    amps = numpy.full(30_000, 0.01)
    amps[12_000] = 0.3
    measured = trace(amps)
    phases = [Phase("downloading", 17, 25.5), Phase("downloaded", 25.5, 26), Phase("updating", 26, 40)]
    timeline_png(Picture.of(lanes(UPDATE), ABOUT, measured, measure(measured, phases)))
    figure = figures[0]
    renderer = FigureCanvasAgg(figure).get_renderer()
    (axes,) = [a for a in figure.axes if a.get_ylabel() == "current"]
    boxes = [text.get_window_extent(renderer) for text in axes.texts]
    assert len(boxes) == 4
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[number + 1 :])
        assert 0 <= box.x0 < box.x1 <= figure.bbox.x1
