"""The colours of phases, the same in every picture and page."""

from __future__ import annotations

PHASE_COLOURS = {
    "idle": "#d9d9d9",
    "downloading": "#9ecae1",
    "downloaded": "#c7e9c0",
    "updating": "#fdae6b",
}
OTHER_COLOURS = ("#bcbddc", "#fbb4b9", "#ffffb3", "#b3e2cd")


def phase_colour(name: str, number: int) -> str:
    """A phase's colour; `number` tells those without one of their own apart."""
    return PHASE_COLOURS.get(name, OTHER_COLOURS[number % len(OTHER_COLOURS)])
