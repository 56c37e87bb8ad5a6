"""Figures with limits: margins, verdicts, and the table of them."""

from __future__ import annotations

import csv
import io

import pytest

from bench.clock import WallClock
from bench.evidence.measurement_table import as_html
from bench.evidence.measurements import Measurement, as_csv, measurements
from bench.timeline import Timeline


@pytest.mark.parametrize(
    ("value", "limit", "within", "margin"),
    [(9.0, 10.0, True, 0.1), (10.0, 10.0, True, 0.0), (12.0, 10.0, False, -0.2), (9.0, None, True, None)],
)
def test_limits(value, limit, within, margin):
    made = Measurement("energy", value, "J", limit)
    assert made.within is within
    assert made.margin == (None if margin is None else pytest.approx(margin))


@pytest.mark.parametrize(
    ("value", "limit", "told"),
    [
        (7.5, 10.0, "energy: 7.5 J, limit 10 J (+25% margin)"),
        (12.0, 10.0, "energy: 12 J, limit 10 J (-20% margin)"),
        (6000.0, 10.0, "energy: 6 kJ, limit 10 J (600 x limit)"),
        (0.0, 0.0, "energy: 0 J, limit 0 J"),
    ],
)
def test_told_in_words(value, limit, told):
    made = Measurement("energy", value, "J", limit)
    assert str(made) == told
    assert told.partition(" (")[2].split(" margin")[0].rstrip(")") in as_html([made])


def test_they_come_back_from_the_timeline_as_a_table():
    clock = WallClock()
    try:
        timeline = Timeline(clock)
        Measurement("energy", 12.0, "J", 10.0).record(timeline, "board")
        Measurement("time", 3.25, "s").record(timeline, "board")
        timeline.record("board", "state", "Idle")
        found = measurements(timeline)
    finally:
        clock.close()
    rows = list(csv.DictReader(io.StringIO(as_csv(found))))
    assert [row["name"] for row in rows] == ["energy", "time"]
    assert rows[0] == {
        "name": "energy",
        "value": "12",
        "unit": "J",
        "limit": "10",
        "margin %": "-20.0",
        "within": "NO",
    }
    assert rows[1]["limit"] == rows[1]["within"] == ""


def test_no_figures_no_table():
    assert as_csv([]) == ""


def test_page_marks_what_is_beyond_its_limit():
    page = as_html(
        [
            Measurement("a <b>", 12.0, "mA", 10.0),
            Measurement("floor", 2.0, "µA", 4.0),
            Measurement("time", 3.0, "s"),
            Measurement("nothing allowed", 1.0, "", 0.0),
        ]
    )
    rows = page.partition("<tbody>")[2].splitlines()
    assert rows[0].startswith(
        '<tr class="over"><td>a &lt;b&gt;</td><td>12 mA</td><td>10 mA</td><td>-20%</td>'
    )
    assert "<td>+50%</td><td>50%<svg" in rows[1]
    assert "<td>for information</td>" in rows[2]
    assert "<td>NO</td>" in rows[3]
    assert "http" not in page
    assert as_html([]) == ""
