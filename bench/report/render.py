"""Renders a report from the results of a run: found, sorted, with the runs before it, without analytics."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import LedgerError, ReportError
from bench.evidence import allure_categories, allure_check
from bench.evidence.allure_check import NODE_LABEL, RUN_LABEL
from bench.evidence.allure_run import EXECUTOR
from bench.evidence.ledger import FILE, RUNS, Record, read
from bench.evidence.raw_results import Places, changed, places_of
from bench.evidence.run_summary import summary
from bench.evidence.run_verdict import RunVerdict, attempts_of, judge_run
from bench.report import history
from bench.report.allure import VERSION, find_allure
from bench.report.offline import take_out_analytics

LATER = "later"
MARK = "bench-report.json"
"""Says that a folder is a report and may be replaced by the next one."""


@dataclass(frozen=True, slots=True)
class Results:
    """What there is to render. `run` and `verdict` are those of the ledger; "" and None without one."""

    folder: Path
    """The results folder: of `pytest --results`."""
    allure: Path
    """The folder of Allure's result files."""
    nodes: frozenset[str]
    """The tests in them, by their node IDs, or what names them where the bench did not run them."""
    run: str = ""
    verdict: RunVerdict | None = None

    @property
    def title(self) -> str:
        """Names the run, also in the trend of later reports."""
        if self.verdict is None:
            return f"{self.run or self.folder.name}: no ledger, no verdict"
        first = "; ".join(text.partition(":")[0] for text in self.verdict.first)
        return f"{f'{first}: ' if first else ''}{self.verdict.decision}: run {self.run}"


def results_in(folder: Path) -> Results:
    """Look into a results folder, or into Allure's own. Raises `ReportError` where there is nothing."""
    allure = next((place for place in (folder / "allure", folder) if any(place.glob("*-result.json"))), None)
    if allure is None:
        raise ReportError(
            f"{folder}: there are no Allure results", help="name a results folder, after `pytest testcases/`"
        )
    home = folder.parent if allure == folder and (folder.parent / RUNS).is_dir() else folder
    rows = [_row(file) for file in sorted(allure.glob("*-result.json"))]
    runs = {run for run, _ in rows if run}
    if len(runs) > 1:
        raise ReportError(
            f"{allure}: results of {len(runs)} runs in one folder: {', '.join(sorted(runs))}",
            help="give each run a folder of its own (--results), or let pytest empty it (--clean-alluredir)",
        )
    run = next(iter(runs), "")
    try:
        record = read(home / RUNS / run / FILE) if run else None
    except LedgerError:
        record = None
    verdict = None if record is None else judge_run(record)
    if record is not None:
        _check_unchanged(record, home / RUNS / run, allure)
    return Results(home, allure, frozenset(node for _, node in rows), run, verdict)


def _check_unchanged(record: Record, run: Path, allure: Path) -> None:
    """Results that are not those of the ledger are not shown. Raises `ReportError`."""
    written = [line for line in record.lines if line["kind"] == "results"]
    if not written:  # it was killed: what there is of it was not listed
        found = allure_check.differences(allure, run.name, attempts_of(record.lines))
    else:
        places = places_of(run, written[-1].get("allure"))
        places = Places(places.ledger, places.results, allure)
        files = {name: sha for name, sha in written[-1]["files"].items() if name.startswith("allure/")}
        found = changed(places, files)
        listed = {name.removeprefix("allure/") for name in files}
        found += [
            f"allure/{file.name} was added"
            for file in sorted(allure.glob("*-result.json"))
            if file.name not in listed
        ]
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise ReportError(
            f"{allure}: differs from the ledger of run {run.name}: {found[0]}{more}",
            help="a report of changed results says nothing: run again",
        )


def _row(file: Path) -> tuple[str, str]:
    """The run and the test of a result file. Raises `ReportError`."""
    try:
        row = json.loads(file.read_text(encoding="utf-8"))
        labels = {label["name"]: label["value"] for label in row.get("labels", ())}
        return labels.get(RUN_LABEL, ""), labels.get(NODE_LABEL, "") or row.get("historyId") or row["uuid"]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as fault:
        raise ReportError(
            f"{file}: cannot be read as a result: {fault}", help="run again into an empty results folder"
        ) from fault


def render(folder: Path, output: Path | None = None) -> Path:
    """Write the report of a results folder, by default into its folder `report`; returns its first page.

    Raises `ReportError`. A report that was there before is replaced, and nothing else is.
    """
    results = results_in(folder)
    allure = find_allure(Path.cwd())
    output = (results.folder / "report" if output is None else output).absolute()
    _check_replaceable(output)
    kept = results.folder.absolute() / history.FILE
    with tempfile.TemporaryDirectory(prefix="bench-report-") as name:
        work = Path(name)
        before = history.of_others(kept, results.run or results.title)
        (work / history.FILE).write_text("".join(before), encoding="utf-8", newline="\n")
        page = work / "report"
        _write_config(work, results)
        _write_executor(work, results, len(before) + 1)
        sources = [str(results.allure.absolute()), str(work / LATER)]  # what is read later counts
        allure.run(["generate", "--config", "allurerc.json", "--output", str(page), *sources], work)
        take_out_analytics(page)
        _check_complete(page, results)
        (page / MARK).write_text(json.dumps({"run": results.run, "allure": VERSION}) + "\n", encoding="utf-8")
        if output.exists():
            shutil.rmtree(output)
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(page, output)
        history.replace(work / history.FILE, kept)
    return output / "index.html"


def _check_replaceable(output: Path) -> None:
    if not output.exists() or (output / MARK).exists():
        return
    if not output.is_dir() or any(output.iterdir()):
        raise ReportError(
            f"{output}: exists and is no report of the bench, so it is not replaced",
            help="name another folder with --output, or remove it yourself",
        )


def _write_config(work: Path, results: Results) -> None:
    told = {
        "name": results.title,
        "historyPath": str(work / history.FILE),
        "historyLimit": history.KEPT,
        "categories": {"rules": [category.as_row() for category in allure_categories.CATEGORIES]},
        "plugins": {"allure2": {"options": {"reportName": results.title, "reportLanguage": "en"}}},
    }
    if results.verdict is not None:
        text = summary(results.verdict, results.run, everything=True)
        (work / "verdict.txt").write_text(text + "\n", encoding="utf-8", newline="\n")
        told["globalAttachments"] = ["verdict.txt"]
    (work / "allurerc.json").write_text(json.dumps(told), encoding="utf-8")


def _write_executor(work: Path, results: Results, order: int) -> None:
    """The trend names its last point by the executor, and the others by their place in the history."""
    try:
        told = json.loads((results.allure / EXECUTOR).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        told = {}
    told |= {"buildOrder": order, "reportName": results.title}
    (work / LATER).mkdir()
    (work / LATER / EXECUTOR).write_text(json.dumps(told), encoding="utf-8")


def _check_complete(page: Path, results: Results) -> None:
    """A report takes results that look alike for tries of one test, and hides all but the last."""
    told: dict[str, Any] = json.loads((page / "widgets" / "summary.json").read_text(encoding="utf-8"))
    shown = told["statistic"]["total"]
    if shown != len(results.nodes):
        raise ReportError(
            f"the report shows {shown} tests, {results.allure} holds {len(results.nodes)}",
            help="two tests have the same parameters in Allure: look at fixtures/allure_parameters.py",
        )
