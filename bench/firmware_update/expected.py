"""The expected state machine of /5 as data, and the judge that holds observations against it.

Source of the rows: OMA LwM2M object 5, versions 1.0 (LwM2M 1.0 and 1.1) and 1.1 (LwM2M 1.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.firmware_update.states import Result, State

ANY_FAILURE_OF_DOWNLOAD = frozenset(
    {
        Result.NOT_ENOUGH_FLASH,
        Result.OUT_OF_RAM,
        Result.CONNECTION_LOST,
        Result.INTEGRITY_FAILED,
        Result.UNSUPPORTED_PACKAGE,
        Result.INVALID_URI,
        Result.UNSUPPORTED_PROTOCOL,
    }
)


@dataclass(frozen=True, slots=True)
class Row:
    """One allowed step: from, to, what causes it, and the results that may stand after it."""

    source: State
    target: State
    trigger: str
    results: frozenset[Result]


def _row(source: State, target: State, trigger: str, *results: Result) -> Row:
    return Row(source, target, trigger, frozenset(results))


_COMMON = (
    _row(State.IDLE, State.DOWNLOADING, "URI written or package started", Result.INITIAL),
    _row(State.DOWNLOADING, State.DOWNLOADED, "package complete", Result.INITIAL),
    Row(State.DOWNLOADING, State.IDLE, "download failed", ANY_FAILURE_OF_DOWNLOAD),
    _row(State.DOWNLOADING, State.IDLE, "reset by empty URI or package", Result.INITIAL),
    _row(State.DOWNLOADED, State.IDLE, "reset by empty URI or package", Result.INITIAL),
    _row(State.DOWNLOADED, State.UPDATING, "Update executed", Result.INITIAL),
    _row(State.UPDATING, State.IDLE, "new firmware runs", Result.SUCCESS),
    _row(State.UPDATING, State.DOWNLOADED, "update failed", Result.UPDATE_FAILED),
)

V1_0 = (
    *_COMMON,
    # the text of 1.0 lets a failed update return to Downloaded only; deployed stacks go to Idle
    _row(State.UPDATING, State.IDLE, "update failed (tolerated)", Result.UPDATE_FAILED),
)

V1_1 = (
    *_COMMON,
    _row(State.UPDATING, State.IDLE, "update failed", Result.UPDATE_FAILED, Result.INTEGRITY_FAILED),
    _row(State.DOWNLOADING, State.IDLE, "Cancel executed", Result.CANCELLED),
    _row(State.DOWNLOADED, State.IDLE, "Cancel executed", Result.CANCELLED),
    _row(State.DOWNLOADED, State.DOWNLOADED, "deferred by the user", Result.DEFERRED),
)

MACHINES = {"1.0": V1_0, "1.1": V1_1}


def violations(observed: Sequence[tuple[State, Result]], version: str = "1.0") -> list[str]:
    """What in a sequence of (state, result) the object's version does not allow, one line each.

    The first pair is where the observation began. A step between equal states is judged by its
    result only when the result changed.
    """
    rows = MACHINES[version]
    found = []
    for (source, before), (target, after) in pairwise(observed):
        if source is target and before is after:
            continue
        if source is State.IDLE and target is State.IDLE:
            allowed = after is not Result.SUCCESS  # a refused package or URI never counts as updated
        else:
            allowed = any(r.source is source and r.target is target and after in r.results for r in rows)
        if not allowed:
            found.append(
                f"{source.name} -> {target.name} with result {after.value} ({after.name}) "
                f"is no transition of object /5 v{version}"
            )
    return found
