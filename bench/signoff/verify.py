"""Checks a sign-off that was received: nothing differs, who signed it, and that its runs say what it says."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError, FileError
from bench.signoff import folder, manifest, signature, waivers
from bench.signoff.as_json import SCHEMA, as_json
from bench.signoff.assessment import assess
from bench.signoff.decision import Decision
from bench.signoff.reasons import AHEAD
from bench.signoff.received import faults_of, json_of
from bench.signoff.record import not_as_kept
from bench.signoff.run import read_run
from bench.signoff.waivers import State

DIFFERS = 3
"""Exit status of a sign-off that is not as it was made."""
NOT_KNOWN = Decision.INCONCLUSIVE.exit_status
"""Exit status of one that holds, of which nobody can tell who made it."""
SAID_ELSEWHERE = ("history", "signed_with", "approver")
"""Keys that do not follow from the files of the runs."""


@dataclass(frozen=True, slots=True)
class Checked:
    """`differences` names each file or key that is not as it should be; `signer` is None for nobody known.

    `since` is what was right when it was made and is not any more.
    """

    differences: tuple[str, ...]
    signer: str | None
    decision: Decision | None
    signed: bool
    since: tuple[str, ...] = ()

    @property
    def exit_status(self) -> int:
        """0 only for a GO that holds and whose signer is known."""
        if self.differences or self.decision is None:
            return DIFFERS
        return NOT_KNOWN if self.signer is None else self.decision.exit_status


def verify(path: Path, allowed: Path | None, now: datetime.datetime) -> Checked:
    """Check the sign-off in `path` at the moment `now`.

    Raises `SignOffError` when ssh-keygen is needed and missing.
    """
    misplaced = faults_of(path)
    if misplaced:  # nothing of it is opened
        return Checked(tuple(misplaced), None, None, False)
    found = manifest.differences(path)
    sealed, listed = path / manifest.SIGNATURE, path / manifest.MANIFEST
    signed = sealed.is_file()
    signer = None
    if signed and allowed is not None and listed.is_file():
        signer = signature.signer(listed, sealed, allowed)
        if signer is None:
            found.append(
                f"{manifest.SIGNATURE} is of none of the signers in {allowed.name}, or of another manifest"
            )
    if allowed is not None and not signed:
        found.append(f"{manifest.SIGNATURE} is missing: it is not signed")
    try:
        told = json_of(path / folder.JSON)
        decision = Decision(told["decision"])
    except (BenchError, ValueError, TypeError, KeyError) as fault:
        return Checked((*found, f"{folder.JSON} cannot be read: {_reason(fault)}"), signer, None, signed)
    found += _computed_again(path, told, now)
    try:
        since = () if found else tuple(_expired_since(told, now))
    except (TypeError, KeyError) as fault:
        found, since = [f"{folder.JSON} cannot be understood: {fault}"], ()
    return Checked(tuple(found), signer, decision, signed, since)


def _expired_since(told: dict[str, Any], now: datetime.datetime) -> Iterator[str]:
    for one in told["waivers"]:
        if one["state"] == State.USED.value and one["expires"] < now.date().isoformat():
            yield f"waiver {one['id']} has expired since, on {one['expires']}"


def _computed_again(path: Path, told: dict[str, Any], now: datetime.datetime) -> list[str]:
    """The verdict, from the ledgers as they lie there, compared with what the JSON says, key by key."""
    if told.get("schema") != SCHEMA:
        return [f"{folder.JSON}: schema {told.get('schema')!r} is not {SCHEMA}: ask the bench of its time"]
    try:
        at = datetime.datetime.fromisoformat(told["made"])
        if at > now + AHEAD:
            return [f"{folder.JSON}: it was made at {told['made']}, which is still to come"]
        runs = {places.ledger.parent.name: places for places in folder.runs_in(path / folder.RAW)}
        named = [str(run["id"]) for run in told["runs"]]
        if sorted(runs) != sorted(named):
            return [
                f"{folder.JSON} is about the runs {', '.join(named)}; in raw/ are {', '.join(runs) or 'none'}"
            ]
        compared = folder.runs_in(path / folder.RELEASED)
        given = waivers.load(path / folder.WAIVERS) if (path / folder.WAIVERS).is_file() else []
        doubts = [str(text) for text in told["doubts"]]
        known = [str(text) for text in told["known"]]
        read = [read_run(runs[name]) for name in named]
        otherwise = list(not_as_kept(read, path / folder.RECORDS, {"doubts": doubts, "known": known}))
        if otherwise:
            return otherwise
        again = as_json(
            assess(
                read,
                [read_run(places) for places in compared] if told["comparison"] is not None else None,
                given,
                at,
                doubts,
                known,
                folder.decision_of(path / folder.RELEASED),
            ),
            doubts,
            known,
        )
    except (BenchError, OSError) as fault:
        return [str(fault).partition("\n")[0]]
    except Exception as fault:  # whatever somebody has written there: it is not what a bench writes
        return [f"{folder.JSON} cannot be understood: {type(fault).__name__}: {fault}"]
    fresh = json.loads(json.dumps(again))
    keys = [key for key in (*fresh, *told) if key not in SAID_ELSEWHERE]
    return [
        f"{folder.JSON}: {key!r} is not what the ledgers say" + _values(told.get(key), fresh.get(key))
        for key in dict.fromkeys(keys)
        if fresh.get(key) != told.get(key)
    ]


def _reason(fault: Exception) -> str:
    """Without the path, which says where the receiver keeps it."""
    return fault.reason if isinstance(fault, FileError) else str(fault)


def _values(told: object, fresh: object) -> str:
    return f": {told!r}, they say {fresh!r}" if isinstance(told, str) and isinstance(fresh, str) else ""
