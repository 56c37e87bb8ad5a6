"""What the picture and the page show alike: their head, the states as spans of time, the colours."""

from __future__ import annotations

from dataclasses import dataclass

from bench.current.phase_colours import PHASE_COLOURS
from bench.evidence.attachments import RESULTS, STATES
from bench.evidence.picture.lanes import Lanes

SOURCE_COLOURS = {"board": "#08519c", "server": "#238b45", "bench": "#525252", "judge": "#cb181d"}
STATE_COLOURS = {n: PHASE_COLOURS[name.lower()] for n, name in STATES.items()}


@dataclass(frozen=True, slots=True)
class About:
    """What the picture's head says: the test, on what, and how it ended ("" as long as it is not known)."""

    test: str
    subject: str
    verdict: str = ""


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
