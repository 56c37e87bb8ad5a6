"""The live line on the terminal."""

import io

from bench.evidence.progress import ProgressLine, format_line
from bench.timeline import Entry


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def progress(done, state=1):
    return Entry(0, 0, "nrf", "progress", "", {"done": done, "total": 1000, "rate": 50.0, "state": state})


def state(value):
    return Entry(0, 0, "nrf", "state", "", {"state": value, "result": 0})


def test_line_holds_board_state_percent_rate_and_time_left():
    line = format_line("nrf9160", "Downloading", done=50_000, total=200_000, rate=10_000)
    assert line == "nrf9160  Downloading  [######------------------]   25 %  10.0 kB/s  0:15 left"
    assert format_line("nrf9160", "Updating") == "nrf9160  Updating"
    assert "1:00:00 left" in format_line("b", "Downloading", done=0, total=3600, rate=1)
    assert "left" not in format_line("b", "Downloading", done=10, total=10, rate=5)
    assert "100 %" in format_line("b", "Downloading", done=99, total=10, rate=5)


def test_line_never_exceeds_the_terminal():
    assert len(format_line("b" * 50, "Downloading", done=1, total=9, rate=5, width=40)) == 40


def test_nothing_is_written_where_there_is_no_terminal():
    stream = io.StringIO()
    line = ProgressLine(stream)
    line.show(progress(500))
    line.clear()
    assert stream.getvalue() == ""
    stream.close()
    ProgressLine(stream).show(progress(1))  # nor is a closed stream a fault


def test_terminal_line_is_redrawn_in_place_and_wiped():
    stream = Terminal()
    line = ProgressLine(stream)
    line.show(progress(250))
    line.show(state(3))
    drawn = stream.getvalue().split("\r")
    assert " 25 %" in drawn[1]
    assert "50 B/s" in drawn[1]
    assert "0:15 left" in drawn[1]
    assert drawn[2].rstrip() == "nrf  Updating"
    assert len(drawn[2]) == len(drawn[1]), "the rest of the longer line is blanked"
    line.clear()
    assert stream.getvalue().endswith("\r" + " " * len("nrf  Updating") + "\r")
    assert "\n" not in stream.getvalue()


def test_redrawing_is_rate_limited_but_state_changes_are_not():
    stream = Terminal()
    line = ProgressLine(stream)
    for done in range(1000):
        line.show(progress(done))
    assert stream.getvalue().count("\r") < 20
    line.show(state(2))
    assert "Downloaded" in stream.getvalue()


def test_lost_terminal_is_no_fault():
    stream = Terminal()
    line = ProgressLine(stream)
    line.show(progress(1))
    stream.close()
    line.show(state(2))
    line.clear()
