"""The lane of events: one line of text each, in order of time, so that no two can lie over each other."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import NullFormatter

from bench.evidence.picture.content import SOURCE_COLOURS
from bench.evidence.picture.lanes import Event, Lanes

LINE = 0.17
"""Inches a line of text takes."""
LONGEST = 96
"""Characters of an event's text."""
NOTE = "blue: the board's console, green: the server, grey: the bench, red: verdicts"


def height(found: Lanes) -> float:
    """Inches."""
    return 0.35 + LINE * max(3, len(found.events))


def draw_events(axes: Axes, found: Lanes) -> None:
    """A stem leads from each event up to the other lanes."""
    count = max(3, len(found.events))
    axes.set_ylim(-0.4, count + 0.6)
    axes.set_yticks([])
    axes.set_ylabel("events", fontsize=8)
    middle = (found.start + found.end) / 2
    stems = []
    for number, event in enumerate(found.events):
        y = count - number
        stems.append(((event.time, y), (event.time, count + 0.6)))
        left = event.time < middle
        axes.annotate(
            _told(event),
            (event.time, y),
            xytext=(6 if left else -6, 0),
            textcoords="offset points",
            ha="left" if left else "right",
            va="center",
            fontsize=7.5,
            weight="bold" if event is found.failure else "normal",
            color=SOURCE_COLOURS[event.source],
            annotation_clip=False,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85},
        )
    axes.scatter(
        [event.time for event in found.events],
        [count - number for number in range(len(found.events))],
        s=12,
        c=[SOURCE_COLOURS[event.source] for event in found.events],
    )
    axes.add_collection(LineCollection(stems, colors="#bdbdbd", linewidths=0.6, zorder=0))
    note = f"{NOTE}; {found.left_out} less important ones are left out" if found.left_out else NOTE
    axes.text(0.004, 0.02, note, transform=axes.transAxes, fontsize=6.5, color="#737373", va="bottom")
    axes.xaxis.set_minor_formatter(NullFormatter())


def _told(event: Event) -> str:
    text = " ".join(event.text.split())
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return f"{event.time:.1f} s  {text}".replace("$", r"\$")
