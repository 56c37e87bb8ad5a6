"""The ledger's verdict in Allure's results: whoever counts colours there counts what the ledger says.

pytest and its plug-ins colour a result by themselves: green after a repetition, grey for a failure that was
expected. At the end of a run each result gets the colour of its test's verdict, and one more, `run verdict`,
that of the run: no report of a run that is not GO is all green.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.evidence.allure_check import NODE_LABEL, RUN_LABEL
from bench.evidence.run_verdict import Decision, RunVerdict
from bench.evidence.verdict import Judgement, Verdict

NAME = "run verdict"
COLOURS: Mapping[Verdict, frozenset[str]] = {
    Verdict.PASSED: frozenset({"passed"}),
    Verdict.NOT_APPLICABLE: frozenset({"skipped"}),
    Verdict.NOT_RUN: frozenset({"skipped"}),
    Verdict.FAILED: frozenset({"failed"}),
    Verdict.FLAKY_PASS: frozenset({"failed"}),
    Verdict.BENCH_ERROR: frozenset({"broken", "failed"}),
    Verdict.INCONCLUSIVE: frozenset({"broken", "failed", "unknown"}),
    Verdict.INTERRUPTED: frozenset({"broken", "failed", "unknown"}),
    Verdict.XPASS: frozenset({"broken"}),
    Verdict.PASSED_TEARDOWN_BAD: frozenset({"broken", "failed"}),
}
"""What the last result of a test may be; of several it stays what it is."""
PAINTED = {Verdict.FAILED: "failed", Verdict.FLAKY_PASS: "failed", Verdict.PASSED: "passed"}
"""What it becomes where it is something else; "broken" for all others, "skipped" for what did not run."""
OF_RUN = {Decision.GO: "passed", Decision.NO_GO: "failed", Decision.INCONCLUSIVE: "broken"}


def write(folder: Path, run: str, found: RunVerdict) -> None:
    """Colour the results of `run` in Allure's folder, and add that of the run.

    Raises `OSError`, and `ValueError` for a result that cannot be read.
    """
    last: dict[str, tuple[float, Path, dict[str, Any]]] = {}
    for file in sorted(folder.glob("*-result.json")):
        row = json.loads(file.read_text("utf-8"))
        labels = {label["name"]: label.get("value") or "" for label in row.get("labels", ())}
        node = labels.get(NODE_LABEL, "")
        if labels.get(RUN_LABEL) == run and node in found.tests:
            start = float(row.get("start") or 0)
            if node not in last or start >= last[node][0]:
                last[node] = (start, file, row)
    for node, (_, file, row) in last.items():
        if _painted(row, found.tests[node]):
            file.write_text(json.dumps(row), encoding="utf-8")
    row = result_of(run, found)
    (folder / f"{row['uuid']}-result.json").write_text(json.dumps(row, indent=1), encoding="utf-8")


def _painted(row: dict[str, Any], judged: Judgement) -> bool:
    verdict = judged.verdict
    if row.get("status") in COLOURS[verdict]:
        return False
    skipped = verdict in (Verdict.NOT_APPLICABLE, Verdict.NOT_RUN)
    row["status"] = "skipped" if skipped else PAINTED.get(verdict, "broken")
    details = row.get("statusDetails") or {}
    said = str(details.get("message") or judged.reason)
    row["statusDetails"] = {**details, "message": said if said.startswith(verdict) else f"{verdict}: {said}"}
    return True


def result_of(run: str, found: RunVerdict) -> dict[str, Any]:
    """The result of the run as a whole, in the form of Allure's result files."""
    now = int(time.time() * 1000)
    text = "\n".join([*found.first, f"{found.decision}: run {run}", *found.why])
    return {
        "uuid": str(uuid.uuid4()),
        "historyId": NAME,
        "testCaseId": NAME,
        "fullName": f"bench#{NAME}",
        "name": f"{NAME}: {found.decision}",
        "status": OF_RUN[found.decision],
        "statusDetails": {"message": text, "trace": ""},
        "start": now,
        "stop": now,
        "labels": [
            {"name": RUN_LABEL, "value": run},
            {"name": NODE_LABEL, "value": NAME},
            {"name": "suite", "value": NAME},
        ],
    }
