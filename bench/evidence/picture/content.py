"""What the picture and the page show alike: their head, the states as spans of time, the colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from bench.current.envelope import Envelope, envelope
from bench.current.phase_colours import PHASE_COLOURS
from bench.current.phases import PhaseCost
from bench.current.trace import Trace
from bench.evidence.attachments import RESULTS, STATES
from bench.evidence.picture.lanes import Lanes

SOURCE_COLOURS = {"board": "#08519c", "server": "#238b45", "bench": "#525252", "judge": "#cb181d"}
STATE_COLOURS = {n: PHASE_COLOURS[name.lower()] for n, name in STATES.items()}
COLUMNS = 1200
"""Columns of a trace in a picture, about as many as it has pixels there."""


@dataclass(frozen=True, slots=True)
class About:
    """What the picture's head says: the test, on what, and how it ended ("" as long as it is not known)."""

    test: str
    subject: str
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """All that is drawn of a test; small enough for another process, as of a trace there is its envelope."""

    found: Lanes
    about: About
    measured: Envelope | None = None
    costs: tuple[PhaseCost, ...] = ()

    @classmethod
    def of(
        cls, found: Lanes, about: About, trace: Trace | None = None, costs: Sequence[PhaseCost] = ()
    ) -> Self:
        """Raises `MeasurementError` for an empty trace."""
        return cls(found, about, None if trace is None else envelope(trace, COLUMNS), tuple(costs))


def spans(found: Lanes, end: float) -> list[tuple[float, float, int, str]]:
    """(from, to, state, name with result), one for each time the state was the same."""
    made: list[tuple[float, float, int, str]] = []
    for number, (time, state, result) in enumerate(found.states):
        until = found.states[number + 1][0] if number + 1 < len(found.states) else end
        text = STATES.get(state, str(state))
        if result:
            text += f", result {result} ({RESULTS.get(result, '?')})"
        if made and made[-1][2] == state:
            made[-1] = (made[-1][0], until, state, text)
        elif until > time:
            made.append((time, until, state, text))
    return made
