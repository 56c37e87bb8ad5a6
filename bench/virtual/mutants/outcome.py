"""What became of a mutant, by what its run found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from bench.virtual.defects.defect import Defect


class Fate(Enum):
    KILLED = "killed"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a mutant: killed by the testcase `by` with `message`; or why it was not judged.

    `ran` testcases were run, in `seconds` of wall time.
    """

    defect: Defect
    fate: Fate
    by: str = ""
    message: str = ""
    ran: int = 0
    seconds: float = 0.0


def outcome_of(defect: Defect, findings: Mapping[str, Any], seconds: float) -> Outcome:
    """By the findings that its pytest has left, see `fixtures.mutant_run`."""
    ran, errors = findings["ran"], findings["errors"]
    if findings["killed"]:
        return Outcome(defect, Fate.KILLED, findings["killed"], findings["message"], ran, seconds)
    if errors:
        by, message = errors[0]
        return Outcome(defect, Fate.NOT_JUDGED, by, f"{message} ({len(errors)} in all)", ran, seconds)
    if ran == 0:
        return Outcome(defect, Fate.NOT_JUDGED, message="no testcase ran", seconds=seconds)
    if defect.equivalent:
        return Outcome(defect, Fate.EQUIVALENT, message=defect.equivalent, ran=ran, seconds=seconds)
    return Outcome(defect, Fate.SURVIVED, ran=ran, seconds=seconds)


def died(defect: Defect, status: object, said: str, seconds: float) -> Outcome:
    """Its pytest left no findings; `said` is what it wrote to stdout and stderr."""
    last = " ".join(said.strip().splitlines()[-3:])
    return Outcome(defect, Fate.NOT_JUDGED, message=f"pytest ended with {status}: {last}", seconds=seconds)


def hung(defect: Defect, limit: float) -> Outcome:
    return Outcome(defect, Fate.NOT_JUDGED, message=f"did not end within {limit:g} s", seconds=limit)
