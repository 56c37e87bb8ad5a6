"""What a device sends to a terminal, as text that patterns can be matched with. The one place for it.

A board's output is meant for a terminal: colours, a prompt that is drawn and erased, progress that is
written over, NULs and noise from the moment of power-on. None of it may hide a line from a pattern, least
of all from one that proves by its absence that nothing started. So a pattern is tried on several *readings*
of the same text, from the likeliest on; what is matched is always text that was sent, in its order.

Control sequences by ECMA-48 (5th edition): C0 and C1 (5.2, 5.3; C1 also as ESC and a letter), control
sequences (5.4: parameters 03/00-03/15, intermediates 02/00-02/15, final 04/00-07/14), control strings (5.6);
a BEL ends an operating system command too (xterm, "Operating System Commands"), and a line end ends a string
that nothing has ended (CAN and SUB do by ECMA-48, 8.3.6). Zephyr's shell draws its prompt `uart:~$ ` anew
around every line that is logged (CONFIG_SHELL_PROMPT_UART), ESP-IDF's console `esp> ` or as it is configured.

Bytes that are no UTF-8 are carried as lone surrogates (`errors="surrogateescape"`).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

_STRING = r"(?:[^\x07\x18\x1a\x1b\x9c]|\x1b(?!\\))*(?:\x07|\x18|\x1a|\x9c|\x1b\\|$)"
_TOKEN = re.compile(
    r"(?P<csi>(?:\x1b\[|\x9b|\udc9b)[0-?]*[ -/]*(?P<final>[@-~]|$))"
    r"|(?P<string>(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])" + _STRING + r")"
    r"|(?P<escape>\x1b[ -/]*(?P<function>[0-~])?|\x1b)"
    r"|(?P<back>\x08+)"
    r"|(?P<move>[\x0b-\x0d\x84\x85\x8d\n]+)"
    r"|(?P<control>[\x00-\x07\x0e-\x1f\x7f-\x9f])"
    r"|(?P<noise>[\udc80-\udcff])"
    r"|(?P<plain>[^\x00-\x08\x0a-\x1f\x7f-\x9f\udc80-\udcff]+)",
)
_NOISE = re.compile(r"[\udc80-\udcff]")
_RUN = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f-\x9f\udc80-\udcff]+")
_CURSOR_GOES = frozenset("ABDEFGHZ`defjksu")
"""Final bytes that put the cursor elsewhere: what follows is not the rest of what stood before."""
_CURSOR_RIGHT = frozenset("CIa")
_FUNCTIONS_GO = frozenset("78DEMc")
"""After ESC: save and restore cursor (DECSC, DECRC), IND, NEL, RI, and RIS, which clears the screen."""
_PROMPT = re.compile(r"\s*(?:[\w.:~/@()\[\]-]*[$#>] )+")


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read some text. `ends[i]` is how much of what was sent lies before the end of `text[i]`."""

    text: str
    ends: tuple[int, ...] | range


def plain(raw: str) -> str:
    """The text without control sequences and control characters; bytes that are no UTF-8 as `\\xNN`."""
    if raw.isprintable():
        return raw
    parts = [part.text for part in _parts(raw, back="erases", noise="shown") if part.text]
    return "".join(
        part if number == 0 or parts[number - 1].endswith(" ") else f" {part}"
        for number, part in enumerate(parts)
    )


def visible(raw: str) -> str:
    """The text as it was sent; bytes that are no UTF-8 appear as `\\xNN`."""
    return raw.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def search(
    pattern: str | re.Pattern[str], raw: str, start: int = 0, *, beyond: int = 0
) -> tuple[re.Match[str], int] | None:
    """The first match in any reading of `raw`, and how much of `raw` lies before its end; or None.

    Only what was sent from `start` on is looked at; `^` still means the begin of a line. A match must end
    beyond `beyond`.
    """
    regex = re.compile(pattern) if isinstance(pattern, str) else pattern
    for reading in readings(raw):
        for found in regex.finditer(reading.text, bisect_right(reading.ends, start)):
            end = max(reading.ends[found.end() - 1] if found.end() > 0 else 0, start)
            if end > beyond or not beyond:
                return found, end
    return None


def readings(raw: str) -> Iterator[Reading]:
    """The ways to read `raw`, from the likeliest on."""
    if raw.isascii() and raw.isprintable():
        whole = Reading(raw, range(1, len(raw) + 1))
        yield whole
        yield from _after_prompt(whole)
        return
    clean = _parts(raw, back="erases", noise="dropped")
    yield from clean
    if _NOISE.search(raw):
        yield from _parts(raw, back="erases", noise="shown")
    as_ascii = [] if raw.isascii() else [_ascii(part) for part in clean]
    yield from as_ascii
    for part in (*clean, *as_ascii):
        yield from _after_prompt(part)
    # as if no control character had been sent: what an overwriting or erasing may have hidden
    cut = _parts(raw, back="cuts", noise="dropped") if "\b" in raw else clean
    if cut is not clean:
        yield from cut
    wholes = [_joined(parts) for parts in ((clean, cut) if cut is not clean else (clean,)) if len(parts) != 1]
    for whole in (*wholes, _without_controls(raw)):
        yield whole
        yield from _after_prompt(whole)
        if not raw.isascii():
            yield _ascii(whole)


def _parts(raw: str, *, back: Literal["erases", "cuts"], noise: Literal["shown", "dropped"]) -> list[Reading]:
    """What was written without moving the cursor elsewhere, piece by piece.

    Backspaces take away what stands before them, or end a piece; `noise` are the bytes that are no UTF-8.
    """
    parts: list[Reading] = []
    text: list[str] = []
    ends: list[int] = []

    def cut() -> None:
        if text:
            parts.append(Reading("".join(text), tuple(ends)))
            text.clear()
            ends.clear()

    for token in _TOKEN.finditer(raw):
        match token.lastgroup:
            case "plain":
                text.extend(token[0])
                ends.extend(range(token.start() + 1, token.end() + 1))
            case "noise" if noise == "shown":
                text.extend(f"\\x{ord(token[0]) - 0xDC00:02x}")
                ends.extend([token.end()] * 4)
            case "back" if back == "erases":
                del text[max(0, len(text) - len(token[0])) :]
                del ends[len(text) :]
            case "move":
                cut()
            case "back" if back == "cuts":
                cut()
            case "csi" | "escape" if token["final"] in _CURSOR_GOES or token["function"] in _FUNCTIONS_GO:
                cut()
            case "csi" if token["final"] in _CURSOR_RIGHT:
                text.append(" ")
                ends.append(token.end())
    cut()
    return parts


def _without_controls(raw: str) -> Reading:
    """Even what sequences and strings are made of is text: one that is broken off may swallow a line."""
    kept = [(run[0], run.start()) for run in _RUN.finditer(raw)]
    return Reading(
        "".join(run for run, _ in kept),
        tuple(end for run, start in kept for end in range(start + 1, start + len(run) + 1)),
    )


def _joined(parts: list[Reading]) -> Reading:
    return Reading("".join(part.text for part in parts), tuple(end for part in parts for end in part.ends))


def _ascii(reading: Reading) -> Reading:
    """Noise may happen to be UTF-8."""
    kept = [(c, end) for c, end in zip(reading.text, reading.ends, strict=True) if c.isascii()]
    return Reading("".join(c for c, _ in kept), tuple(end for _, end in kept))


def _after_prompt(reading: Reading) -> Iterator[Reading]:
    prompt = _PROMPT.match(reading.text)
    if prompt is not None and prompt.end() < len(reading.text):
        yield Reading(reading.text[prompt.end() :], reading.ends[prompt.end() :])
