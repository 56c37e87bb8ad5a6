"""The outcomes of a run of mutants as text for the terminal, and as Markdown for the docs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from bench.virtual.mutants.outcome import Fate, Outcome

WIDTH = 110


def line(outcome: Outcome, verbose: bool = False) -> str:
    """One outcome on a line; `verbose` adds what the defect is, and the whole message."""
    text = f"{outcome.fate.value:<10}  {outcome.defect.name:<44}  {_test(outcome.by)}"
    if verbose:
        text += f"\n    defect   {outcome.defect.text}\n    source   {outcome.defect.source}"
        text += f"\n    message  {outcome.message or '-'}"
        text += f"\n    ran      {outcome.ran} testcases, {outcome.seconds:.0f} s"
    elif outcome.message:
        text += f"\n            {_cut(outcome.message)}"
    return text


def score(outcomes: Sequence[Outcome]) -> str:
    """The score in one line: killed of those that are not equivalent."""
    counts = Counter(outcome.fate for outcome in outcomes)
    judged = len(outcomes) - counts[Fate.EQUIVALENT]
    percent = 100.0 if judged == 0 else 100 * counts[Fate.KILLED] / judged
    rest = ", ".join(
        f"{counts[fate]} {fate.value}" for fate in Fate if fate is not Fate.KILLED and counts[fate]
    )
    return f"mutation score {percent:.0f} %: {counts[Fate.KILLED]} of {judged} killed" + (
        rest and f"; {rest}"
    )


def markdown(outcomes: Iterable[Outcome]) -> str:
    """A table an area, in the order of the outcomes."""
    areas: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        areas.setdefault(outcome.defect.area, []).append(outcome)
    parts = []
    for area, members in areas.items():
        parts.append(
            f"## {area}\n\n| defect | the device | after | found by | message |\n|---|---|---|---|---|"
        )
        for outcome in members:
            defect = outcome.defect
            by = f"`{_test(outcome.by)}`" if outcome.fate is Fate.KILLED else f"**{outcome.fate.value}**"
            cells = (f"`{defect.name}`", defect.text, defect.source, by, _cut(outcome.message, 240))
            parts[-1] += "\n| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    return "\n\n".join(parts) + "\n"


def _test(nodeid: str) -> str:
    """Without the folder; a parameter may be a path too."""
    file, colons, name = nodeid.partition("::")
    return file.rpartition("/")[2] + colons + name


def _cut(text: str, width: int = WIDTH) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"
