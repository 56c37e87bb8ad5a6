"""Text from terminal output: what a terminal shows can be matched, and what it was made to hide, too."""

from __future__ import annotations

import re

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.terminal_text import plain, readings, search, visible


def text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


SHOWN = [
    b"plain",
    b"tab\tstops",
    b"\0\0*** Booting",
    b"\x1b[1;31mE: red\x1b[0m",
    b"\x1b[38;5;196mE: 256 colours\x1b[m",
    b"\x1b[?25lI: cursor off\x1b[?25h",
    b"uart:~$ \x1b[8D\x1b[J[00:00:01.000,000] <inf> main: up",
    b"uart:~$ kernel versoin\x08\x08\x08\x08\x1b[Ksion",
    b"AT+CESW\x08 \x08Q",
    b"10 %\r20 %",
    b"\x1b[2J\x1b[H*** Booting",
    b"\x1b]0;a title\x07prompt> ",
    b"\x1b]0;a title\x1b\\prompt> ",
    b"\x1b(Bcharset",
    b"\x07bell",
    b"\xc3\xa9t\xc3\xa9",
    b"\x1b7kept\x1b8",
    b"\x9b31mC1".replace(b"\x9b", b"\xc2\x9b"),
]


@pytest.mark.parametrize("sent", SHOWN, ids=ascii)
def test_what_pyte_shows_in_a_row_is_matched_as_a_line(sent: bytes) -> None:
    """pyte is somebody else's terminal."""
    screen = pyte.Screen(100, 5)
    pyte.ByteStream(screen).feed(sent)
    rows = [row.rstrip() for row in screen.display if row.strip()]
    assert rows
    for row in rows:
        pattern = r"\s+".join(re.escape(word) for word in row.split())
        found = search(rf"^\s*{pattern}\s*$", text(sent))
        assert found is not None, [reading.text for reading in readings(text(sent))]


@pytest.mark.parametrize(
    ("sent", "pattern"),
    [
        (b"*** Booting\x1b[50D\x1b[K", r"^\*\*\* Booting$"),
        (b"*** Booting\x1b[2K", r"^\*\*\* Booting$"),
        (b"*** Booting" + 11 * b"\x08" + 11 * b" ", r"^\*\*\* Booting$"),
        (b"*** B\x08oo\x08ting", r"^\*\*\* Booting$"),
        (b"\x1b]0;never ended *** Booting", r"\*\*\* Booting$"),
        (b"\x1bP never ended *** Booting", r"\*\*\* Booting$"),
        (b"*** Boo\x1b[10;10Hting", r"^\*\*\* Booting$"),
    ],
    ids=ascii,
)
def test_what_was_erased_or_swallowed_is_matched_too(sent: bytes, pattern: str) -> None:
    assert search(pattern, text(sent)) is not None


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (b"ok \xff\xfe \xc3\xa9", "ok \\xff\\xfe é"),
        (b"\x00\x80", "\\x80"),
        (b"\x1b[1;31mE: bad\x1b[0m", "E: bad"),
        (b"ab\x08c", "ac"),
        (b"\x08a", "a"),
        (b"uart:~$ \x1b[8D\x1b[Jhello", "uart:~$ hello"),
        (b"one\x1b[3Dtwo", "one two"),
        (b"\x1b[31", ""),  # not whole yet
        (b"", ""),
    ],
    ids=ascii,
)
def test_plain_text(sent: bytes, shown: str) -> None:
    assert plain(text(sent)) == shown


def test_the_log_keeps_everything() -> None:
    assert visible(text(b"\x1b[1m\0\xff\xc3\xa9")) == "\x1b[1m\0\\xffé"


@pytest.mark.parametrize(
    "prompt", ["uart:~$ ", "esp> ", "esp32> ", "root@board:/tmp# ", "> ", "uart:~$ uart:~$ "]
)
def test_a_prompt_may_stand_before(prompt: str) -> None:
    assert search(r"^\+CESQ: (\d+)$", f"{prompt}+CESQ: 99") is not None
    assert search(r"\$ \+CESQ|> \+CESQ|# \+CESQ", f"{prompt}+CESQ: 99") is not None  # or be asked for


@pytest.mark.parametrize("line", ["<inf> OK", "I (29) boot: OK", "value = OK", "a<b> OK"])
def test_what_is_no_prompt_stays(line: str) -> None:
    assert search("^OK$", line) is None


def test_where_a_match_ends_is_told_in_what_was_sent() -> None:
    raw = text(b"\x1b[1mone\0 two\xff three")
    for word in ("one", "two", "three"):
        found = search(word, raw)
        assert found is not None
        assert raw[: found[1]].endswith(word)
    first = search(r"\w+", raw)
    assert first is not None
    second = search(r"\w+", raw, first[1])
    assert second is not None
    assert (first[0][0], second[0][0]) == ("one", "two")
    assert search("^two", raw, first[1]) is None  # `^` is still the line's begin


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_nothing_before_or_after_hides_a_word_from_a_pattern(before: bytes, after: bytes) -> None:
    """Unless a control string is broken off in the midst of the word's own characters."""
    before = before.replace(b"\n", b"").replace(b"\r", b"")
    assert search("BOOTING", text(before + b"BOOTING" + after)) is not None


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=80))
def test_printable_text_is_itself(line: str) -> None:
    assert plain(line) == visible(line) == line
    assert next(readings(line)).text == line


@given(st.binary(max_size=80))
def test_readings_go_on_in_what_was_sent(data: bytes) -> None:
    for reading in readings(text(data)):
        ends = list(reading.ends)
        assert len(ends) == len(reading.text)
        assert ends == sorted(ends)
        assert all(0 < end <= len(text(data)) for end in ends)
