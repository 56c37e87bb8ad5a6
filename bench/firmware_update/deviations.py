"""Known deviations of LwM2M stacks from object /5, by the name a board file uses for them.

A deviation excuses the steps listed here, nothing else; where one was needed it is reported.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.config import DeviationName
from bench.firmware_update.expected import Row, row
from bench.firmware_update.states import Result, State


@dataclass(frozen=True, slots=True)
class Deviation:
    """`rows` are the steps it excuses, `hidden` the states that such a stack may not show.

    `instead` are results of a failed update which, by this deviation, such a stack may tell by its `rows`
    instead of as the object says.
    """

    text: str
    rows: tuple[Row, ...] = ()
    hidden: frozenset[State] = frozenset()
    instead: frozenset[Result] = frozenset()

    def ends_instead_of(self, result: Result) -> set[tuple[State, Result]]:
        """The pairs in which an update may end, by this deviation, that failed with `result`."""
        if result not in self.instead:
            return set()
        return {
            (row.target, found)
            for row in self.rows
            for found in row.results
            if found is result or result not in row.results
        }


DEVIATIONS: dict[DeviationName, Deviation] = {
    "downloading-not-shown": Deviation(
        "State goes from Idle to Downloaded",
        (
            row(State.IDLE, State.DOWNLOADED, "package complete", Result.INITIAL),
            row(State.IDLE, State.IDLE, "Cancel executed", Result.CANCELLED, aside=True),
        ),
        frozenset({State.DOWNLOADING}),
    ),
    "updating-not-shown": Deviation(
        "State goes from Downloaded to Idle when the update is over",
        (row(State.DOWNLOADED, State.IDLE, "update over", Result.SUCCESS, Result.UPDATE_FAILED),),
        frozenset({State.UPDATING}),
    ),
    "result-not-cleared": Deviation(
        "the result of the last update stands until this one is over",
        tuple(
            Row(source, target, "result not cleared", frozenset(Result))
            for source, target in (
                (State.IDLE, State.DOWNLOADING),
                (State.DOWNLOADING, State.DOWNLOADED),
                (State.DOWNLOADED, State.UPDATING),
            )
        ),
    ),
    "failed-download-keeps-state": Deviation(
        "the result of a failed download is shown while State stays Downloading",
        (
            Row(
                State.DOWNLOADING,
                State.DOWNLOADING,
                "download failed",
                frozenset({Result.UNSUPPORTED_PACKAGE, Result.INTEGRITY_FAILED}),
            ),
        ),
        instead=frozenset({Result.UNSUPPORTED_PACKAGE, Result.INTEGRITY_FAILED}),
    ),
    "integrity-failure-is-update-failure": Deviation(
        "a damaged package is refused at the update, with result 8, not after the download with 5",
        (
            row(State.UPDATING, State.IDLE, "damaged package refused", Result.UPDATE_FAILED),
            row(State.UPDATING, State.DOWNLOADED, "damaged package refused", Result.UPDATE_FAILED),
        ),
        instead=frozenset({Result.INTEGRITY_FAILED}),
    ),
}
