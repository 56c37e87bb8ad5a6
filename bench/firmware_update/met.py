"""Whether a device did what was waited for; in the message of an assertion, what it did instead."""

from __future__ import annotations

from dataclasses import dataclass

from bench.firmware_update.states import Result, State, in_words


@dataclass(frozen=True, slots=True)
class Met:
    """`assert update.await_downloaded()` fails with `assert <wanted DOWNLOADED; it shows IDLE ...>`."""

    yes: bool
    told: str

    def __bool__(self) -> bool:
        return self.yes

    def __repr__(self) -> str:
        return f"<{self.told}>"


def shown(state: State | None, result: Result | None) -> str:
    """A pair in words."""
    if state is None:
        return "nothing yet"
    return state.name if result is None else in_words(state, result)
