"""What stands in a picture's place as long as there is none: `python -m bench.evidence.picture.note FILE.png`
writes the one that is there from the beginning."""

from __future__ import annotations

import io
import sys
import textwrap
from importlib.resources import files
from pathlib import Path

NOT_DRAWN_YET = files(__package__).joinpath("not_drawn_yet.png").read_bytes()
"""In every picture's place until it is drawn, and for ever if the run or the drawing process ends before."""
ELSEWHERE = (
    "The verdict of the test does not depend on it. 'timeline, to zoom in', beside this picture, "
    "shows the same."
)


def note_png(what: str, why: str) -> bytes:
    """A text as a picture, as wide as a timeline."""
    # only the drawing process needs it, and it takes a second
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.0, 1.6), dpi=90)
    FigureCanvasAgg(figure)
    lines = [*textwrap.wrap(why, 130, max_lines=3), ELSEWHERE]
    figure.text(
        0.02, 0.78, what.replace("$", r"\$"), fontsize=11, weight="bold", color="#cb181d", va="center"
    )
    figure.text(0.02, 0.38, "\n".join(lines).replace("$", r"\$"), fontsize=9, va="center", linespacing=1.5)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(
        note_png(
            "This picture has not been drawn.",
            "It is drawn beside the tests; the run, or the process that draws, ended before its turn came.",
        )
    )
