"""Runs of a bench with two boards, as their ledgers would tell them, quick to make and to change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.evidence.ledger import Record
from bench.evidence.raw_results import Places
from bench.signoff.run import Run, run_of

REVISION = {"git_revision": "a" * 40, "git_dirty": False, "git_tree": "b" * 40, "git_differs": []}
OPTIONS = {"power_cuts": 149, "soak": 20, "cut": None, "sweep_part": None, "bench_retries": 1, "defect": None}
MUST = "LightweightM2M-1.0-int-751"
TESTS = ("test_push.py::test_push", "test_pull.py::test_pull")
UPDATE = "c" * 64


def board(serial: str, **more: Any) -> dict[str, Any]:
    images = {
        name: {"version": version, "sha256": digit * 64}
        for name, version, digit in (("baseline", "1.0.0", "d"), ("update", "1.1.0", "c"))
    }
    return {
        "type": "tracker",
        "title": "a tracker",
        "kind": "board",
        "serial": serial,
        "endpoint": f"urn:dev:{serial}",
        "probe": "1234",
        "file": "tracker.toml",
        "file_sha256": "e" * 64,
        "images": images,
        "modem": False,
        **more,
    }


def made(
    run: str = "20260101T000000.000Z-aaaaaa",
    *,
    failed: tuple[str, ...] = (),
    why: str = "assert '1.0.0' == '1.1.0'",
    tests: tuple[str, ...] = TESTS,
    boards: dict[str, dict[str, Any]] | None = None,
    named: dict[str, str] | None = None,
    plant: str | None = None,
    deselected: tuple[str, ...] = (),
    begin: dict[str, Any] | None = None,
    more: tuple[dict[str, Any], ...] = (),
) -> Run:
    """One that passed on every board, but for the tests that `failed`; `more` are further lines."""
    attached = {"one": board("SN-1"), "two": board("SN-2")} if boards is None else boards
    every = {"one": "SN-1", "two": "SN-2"} if named is None else named
    rows = [
        {
            "node": f"testcases/{test}[{name}]",
            "board": name,
            "serial": told["serial"],
            "requirements": [MUST],
            "deselected": test in deselected,
        }
        for test in tests
        for name, told in attached.items()
    ]
    requirement = {"id": MUST, "kind": "oma", "text": "it updates", "strength": "must", "source": "OMA"}
    lines: list[dict[str, Any]] = [
        {
            "kind": "begin",
            "run": run,
            "bench": "bench 3",
            "bench_file": "bench.toml",
            "bench_sha256": "f" * 64,
        }
        | REVISION
        | {"testcases": REVISION, "options": OPTIONS, "arguments": [], "content": {}}
        | (begin or {}),
        {
            "kind": "plan",
            "tests": rows,
            "requirements": [requirement],
            "testcases": list(TESTS),
            "boards": [{"name": name, "serial": serial} for name, serial in every.items()],
        },
        {"kind": "attached", "plant": plant, "boards": attached, "instruments": {}},
    ]
    for row in rows:
        if row["deselected"]:
            continue
        cause = "product" if row["node"].partition("/")[2].partition("[")[0] in failed else "none"
        lines.append({"kind": "start", "node": row["node"]})
        for when in ("setup", "call", "teardown"):
            told = {"cause": cause, "message": why} if when == "call" else {"cause": "none"}
            lines.append({"kind": "phase", "node": row["node"], "when": when, **told})
        lines.append({"kind": "end", "node": row["node"]})
    lines += [
        *more,
        {"kind": "sources", "checkouts": {}, "files": {}, "distributions": {}, "read": {}, "differs": []},
        {"kind": "checked", "allure": True, "differences": []},
        {"kind": "results", "allure": "allure", "files": {}},
        {"kind": "finish", "pytest_status": 1 if failed else 0},
    ]
    sealed = tuple({**line, "seq": n, "wall": 1000.0 + n, "mono": float(n)} for n, line in enumerate(lines))
    places = Places(Path("runs") / run / "ledger.jsonl", Path("results"), Path("allure"))
    return run_of(Record(sealed), places)
