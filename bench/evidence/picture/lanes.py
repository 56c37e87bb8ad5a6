"""From the timeline's entries of one test to what a picture shows of them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.evidence.attachments import RESULTS
from bench.terminal_text import plain, search
from bench.timeline import Entry

Series = list[tuple[float, float]]
"""(bench seconds, value) in order."""

INSTALL = "install the baseline"
"""The step before which nothing is of interest: the board gets its factory state."""

MOST_EVENTS = 16
"""Events that one picture can hold legibly."""

LOOP, PAUSE = 4, 30.0
"""Times that a board says the same, each within so many seconds of the one before, that make it a loop."""

MARKS: tuple[tuple[int, re.Pattern[str]], ...] = (
    (3, re.compile(r"\bE[:(]|panic|fault|assert|abort|not valid|corrupt|failed|brown", re.IGNORECASE)),
    (
        2,
        re.compile(
            r"swap using|reverting|roll ?back|service lost|registration lost|restarting", re.IGNORECASE
        ),
    ),
    (
        1,
        re.compile(
            r"starting bootloader|booting application|loaded app|jumping to|^rst:|attached", re.IGNORECASE
        ),
    ),
)
"""Importance of a console line by what it says, whoever's firmware says it."""
STEPS = {
    "deliver": 2,
    "execute": 3,
    "server down": 3,
    "outage": 3,
    "power cycle": 2,
    "wait for signal": 2,
}
"""Importance of the bench's own steps, by how their titles begin."""


@dataclass(frozen=True, slots=True)
class Event:
    """`importance` 1 to 4 decides what is left out where there are too many."""

    time: float
    text: str
    source: str
    importance: int


@dataclass
class Lanes:
    """What happened between `start` and `end` (bench seconds)."""

    start: float = 0.0
    end: float = 0.0
    states: list[tuple[float, int, int]] = field(default_factory=list)
    """(seconds, state, result) of object 5."""
    progress: Series = field(default_factory=list)
    """Percent of the package."""
    signal: Series = field(default_factory=list)
    """dBm as the device reported; NaN where it had no cell."""
    attenuation: Series = field(default_factory=list)
    arriving: float | None = None
    """dBm that arrive without attenuation, by the first report; None without one."""
    supply: Series = field(default_factory=list)
    """Volts that the supply was set to, 0 while it was off."""
    events: list[Event] = field(default_factory=list)
    """The most important ones."""
    all_events: list[Event] = field(default_factory=list)
    left_out: int = 0
    """How many are not among them."""
    failure: Event | None = None
    """Where the test failed first, and of what; one of the events."""


def lanes(entries: Sequence[Entry], failed: tuple[float, str] | None = None) -> Lanes:
    """From the moment the board has its baseline; without that step, from the first entry.

    `failed` is when (bench seconds) and of what the test failed first.
    """
    made = Lanes()
    if not entries:
        return made
    begun = [
        e.time for e in entries if e.kind == "step" and e.text == INSTALL and e.data.get("phase") == "end"
    ]
    made.start = begun[-1] if begun else entries[0].time
    kept = [entry for entry in entries if entry.time >= made.start]
    made.end = max((entry.time for entry in kept), default=made.start)
    volts = 0.0
    for entry in kept:
        _place(made, entry)
        if entry.kind in ("supply", "power"):
            volts = _volts(entry, volts, made)
    if failed is not None:
        made.failure = Event(max(failed[0], made.start), failed[1], "judge", 4)
        made.end = max(made.end, made.failure.time)
        made.events = sorted([*made.events, made.failure], key=lambda event: event.time)
    made.all_events = distinct(made.events)
    told = looped(made.all_events)
    delivered = next((e.time for e in kept if e.kind == "step" and e.text.startswith("deliver")), made.start)
    made.events = chosen(told, delivered)
    made.left_out = len(told) - len(made.events)
    return made


def _place(made: Lanes, entry: Entry) -> None:
    time, data = entry.time, entry.data
    match entry.kind:
        case "state" if data.get("instance", "/5/0") == "/5/0":
            result = int(data["result"])
            if result and (not made.states or made.states[-1][2] != result):
                made.events.append(Event(time, f"result {result} ({RESULTS.get(result, '?')})", "server", 3))
            made.states.append((time, int(data["state"]), result))
        case "progress":
            made.progress.append((time, 100 * data["done"] / max(1, data["total"])))
        case "signal" if "rsrp" in data:
            strength = float("nan") if data["rsrp"] is None else float(data["rsrp"])
            made.signal.append((time, strength))
            if made.arriving is None and math.isfinite(strength):
                # here, because the attenuation may change at the very moment of the report, and after it
                made.arriving = strength + (made.attenuation[-1][1] if made.attenuation else 0.0)
        case "attenuation":
            made.attenuation.append((time, float(data["read_back"])))
        case "registration":
            made.events.append(Event(time, entry.text, "server", 2))
        case "violation" | "warning":
            made.events.append(Event(time, entry.text, "judge", 3))
        case "reset":
            made.events.append(Event(time, entry.text, "bench", 3))
        case "supply" if "amps" in data:
            made.events.append(Event(time, f"supply at {entry.text}", "bench", 3))
        case "power":
            made.events.append(Event(time, f"power {entry.text}", "bench", 2))
        case "step" if data.get("phase") == "begin":
            weight = max((w for title, w in STEPS.items() if entry.text.startswith(title)), default=0)
            if weight:
                made.events.append(Event(time, entry.text, "bench", weight))
        case "line":
            weight = next((w for w, pattern in MARKS if search(pattern, entry.text)), 0)
            if weight:
                made.events.append(Event(time, plain(entry.text), "board", weight))


def _volts(entry: Entry, before: float, made: Lanes) -> float:
    """The supply's steps; what is set while the output is off does not show."""
    if entry.kind == "supply":
        made.supply.append((entry.time, float(entry.data["volts"])))
        return float(entry.data["volts"])
    on = entry.text == "on"
    volts = float(entry.data.get("volts", before)) if on else before
    made.supply.append((entry.time, volts if on else 0.0))
    return volts


def distinct(events: Sequence[Event]) -> list[Event]:
    """Lines that are repeated at once count once."""
    kept: list[Event] = []
    for event in events:
        if not any(_same(event, before) for before in kept[-4:]):
            kept.append(event)
    return kept


def looped(events: Sequence[Event]) -> list[Event]:
    """What a board says again and again of its own accord is told once, with how often: a boot loop would
    hide all else."""
    runs: dict[str, list[Event]] = {}
    kept: list[list[Event]] = []
    for event in events:
        if event.source == "bench":
            runs.clear()
        run = runs.get(event.text) if event.source == "board" else None
        if run is not None and event.time - run[-1].time <= PAUSE:
            run.append(event)
        else:
            runs[event.text] = [event]
            kept.append(runs[event.text])
    told: list[Event] = []
    for run in kept:
        if len(run) < LOOP:
            told += run
        else:
            first = run[0]
            text = f"{first.text} ({len(run)} times, until {run[-1].time:.1f} s)"
            told.append(Event(first.time, text, first.source, max(3, first.importance)))
    return sorted(told, key=lambda event: event.time)


def chosen(events: Sequence[Event], delivered: float = 0.0, most: int = MOST_EVENTS) -> list[Event]:
    """The most important ones, in order of time; of equals, those since the delivery began come first."""
    ranked = sorted(
        range(len(events)),
        key=lambda i: (-events[i].importance, events[i].time < delivered, events[i].time),
    )[:most]
    return [events[i] for i in sorted(ranked)]


def _same(event: Event, before: Event) -> bool:
    return (event.text, event.source) == (before.text, before.source) and event.time - before.time < 1
