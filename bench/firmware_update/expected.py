"""The expected state machine of /5 as data: one row for each step that a version of the object allows.

Source: OMA LwM2M object 5, versions 1.0 (for LwM2M 1.0 and 1.1) and 1.1 (for LwM2M 1.2); object 33629.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.firmware_update.states import Result, State

FAILURES_OF_DOWNLOAD = frozenset(
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
    """One allowed step: from, to, what causes it, and the results that may stand after it.

    `tolerated` steps are allowed, but nobody has to take them; `aside` ones are no part of an update's
    way from Idle to Idle: somebody asked for them.
    """

    source: State
    target: State
    trigger: str
    results: frozenset[Result]
    tolerated: bool = False
    aside: bool = False

    def allows(self, source: State, target: State, result: Result) -> bool:
        return self.source is source and self.target is target and result in self.results


def row(source: State, target: State, trigger: str, *results: Result, aside: bool = False) -> Row:
    return Row(source, target, trigger, frozenset(results), aside=aside)


_COMMON = (
    row(State.IDLE, State.DOWNLOADING, "URI written, or package begun", Result.INITIAL),
    row(State.DOWNLOADING, State.DOWNLOADED, "package complete", Result.INITIAL),
    Row(State.DOWNLOADING, State.IDLE, "download failed", FAILURES_OF_DOWNLOAD),
    # too quick for Downloading to be seen
    Row(State.IDLE, State.IDLE, "download refused", FAILURES_OF_DOWNLOAD, tolerated=True),
    row(State.IDLE, State.IDLE, "empty URI or package", Result.INITIAL, aside=True),
    row(State.DOWNLOADING, State.IDLE, "empty URI or package", Result.INITIAL, aside=True),
    row(State.DOWNLOADED, State.IDLE, "empty URI or package", Result.INITIAL, aside=True),
    row(State.DOWNLOADED, State.UPDATING, "Update executed", Result.INITIAL),
    row(State.UPDATING, State.IDLE, "new firmware runs", Result.SUCCESS),
)

FAILED_UPDATE = {
    "downloaded": row(State.UPDATING, State.DOWNLOADED, "update failed", Result.UPDATE_FAILED),
    "idle": row(State.UPDATING, State.IDLE, "update failed", Result.UPDATE_FAILED),
}
"""1.0 says Downloaded, 1.1 either; stacks of both do either, so the board's profile says which."""

MACHINES: dict[str, tuple[Row, ...]] = {
    "1.0": _COMMON,
    "1.1": (
        *_COMMON,
        Row(
            State.UPDATING,
            State.IDLE,
            "integrity failed at update",
            frozenset({Result.INTEGRITY_FAILED}),
            tolerated=True,
        ),
        row(State.DOWNLOADING, State.IDLE, "Cancel executed", Result.CANCELLED, aside=True),
        row(State.DOWNLOADED, State.IDLE, "Cancel executed", Result.CANCELLED, aside=True),
        row(State.DOWNLOADED, State.DOWNLOADED, "deferred by the user", Result.DEFERRED, aside=True),
        Row(
            State.DOWNLOADED,
            State.DOWNLOADED,
            "user asked again",
            frozenset({Result.INITIAL}),
            tolerated=True,
        ),
    ),
}

# version 1.2 adds a resource (14, automatic upgrade at download), no step
MACHINES["1.2"] = MACHINES["1.1"]

COMPONENTS = "33629"
COMPONENT_ROWS = (
    row(State.DOWNLOADING, State.IDLE, "package refused: conflict", Result.CONFLICTING_STATE),
    row(State.IDLE, State.DOWNLOADED, "package came with another component's", Result.INITIAL),
    row(State.UPDATING, State.DOWNLOADED, "update refused: conflict", Result.CONFLICTING_STATE),
    row(State.UPDATING, State.DOWNLOADED, "update refused: dependency", Result.DEPENDENCY_ERROR),
    Row(
        State.UPDATING,
        State.IDLE,
        "update refused, package discarded",
        frozenset({Result.CONFLICTING_STATE, Result.DEPENDENCY_ERROR}),
        tolerated=True,
    ),
    # refused before Updating could be seen
    Row(
        State.DOWNLOADED,
        State.DOWNLOADED,
        "update refused at once",
        frozenset({Result.CONFLICTING_STATE, Result.DEPENDENCY_ERROR}),
        tolerated=True,
    ),
    Row(
        State.IDLE,
        State.IDLE,
        "package refused at once",
        frozenset({Result.CONFLICTING_STATE}),
        tolerated=True,
    ),
)
"""What object 33629 adds to the machine of object 5 v1.1."""

UPDATE_REFUSALS = frozenset({Result.UPDATE_FAILED, Result.CONFLICTING_STATE, Result.DEPENDENCY_ERROR})
"""Results with which a device may be in Downloaded after an update that did not take place."""
