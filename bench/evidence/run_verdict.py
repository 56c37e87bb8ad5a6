"""The verdict of a run, from the lines of its ledger. Pure functions; `Record` in, `RunVerdict` out.

Default deny: GO needs every planned test to count and nothing at all that speaks against the run.

Kinds of lines: `begin` (provenance), `plan` (the tests, frozen), `start`, `phase`, `end` (of an attempt),
`crash`, `heartbeat`, `note` (something that keeps a run from being GO), `stopped` (it was ended early),
`unmet` (a recommendation that is not met), `attached` (what hangs on the bench), `modem` (who a modem
says it is), `results` (every file that the run leaves behind), `checked` (compared with Allure), `finish`
(the last one).
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bench.evidence.ledger import Line, Record
from bench.evidence.verdict import Attempt, Cause, Judgement, Phase, Verdict, judge_test

CLOCK_STEP = 2.0
"""Seconds by which the wall clock may leave the monotonic one."""
CLOCK_SLEW = 0.001
"""Seconds a second that it may leave it on top of that: NTP slews by half of it."""


class Decision(StrEnum):
    GO = "GO"
    NO_GO = "NO-GO"
    INCONCLUSIVE = "INCONCLUSIVE"


class ExitStatus:
    """What the process ends with. 4 (usage) and 5 (no tests) are pytest's own."""

    GO = 0
    PRODUCT = 1
    INTERRUPTED = 2
    BENCH = 3
    INCONCLUSIVE = 6


@dataclass(frozen=True, slots=True)
class Planned:
    """A row of the plan. What a test does not have (no board, say) is an empty text."""

    node: str
    board: str = ""
    serial: str = ""
    firmware: str = ""
    transport: str = ""
    requirements: tuple[str, ...] = ()
    deselected: bool = False


@dataclass(frozen=True, slots=True)
class Unmet:
    """A test that passed has found a recommendation not met: the requirement's ID, and what was seen."""

    node: str
    requirement: str
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What a testcase has found out beyond a pass or a fail: how many cuts, how long, how often."""

    node: str
    text: str


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """`why` holds one line for each thing that keeps the run from being GO; `whole` those of them that
    are about the run itself and not about one of its tests; `unmet` and `findings` keep nothing from
    being GO. `first` is what is said before any decision: that no product, or not all, was tested.
    """

    decision: Decision
    why: tuple[str, ...]
    tests: dict[str, Judgement]
    plan: tuple[Planned, ...] = ()
    finished: bool = False
    stopped: str = ""
    whole: tuple[str, ...] = ()
    unmet: tuple[Unmet, ...] = ()
    first: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def counts(self) -> Counter[Verdict]:
        return Counter(judged.verdict for judged in self.tests.values())

    @property
    def exit_status(self) -> int:
        if self.decision is Decision.GO:
            return ExitStatus.GO
        if self.decision is Decision.NO_GO:
            return ExitStatus.PRODUCT
        if self.stopped.startswith("BENCH ERROR") or self.counts[Verdict.BENCH_ERROR]:
            return ExitStatus.BENCH
        if self.stopped or self.counts[Verdict.INTERRUPTED] or not self.finished:
            return ExitStatus.INTERRUPTED
        return ExitStatus.INCONCLUSIVE


def judge_run(record: Record) -> RunVerdict:
    """What a run showed."""
    lines = record.lines
    plan = _plan(lines)
    attempts = attempts_of(lines)
    stops = [str(line.get("reason", "")) or "it was stopped" for line in lines if line["kind"] == "stopped"]
    finished = bool(lines) and lines[-1]["kind"] == "finish"
    default = f"not reached: {stops[0]}" if stops else "it never began"
    tests = {
        row.node: judge_test(attempts.get(row.node, ()), "deselected" if row.deselected else default)
        for row in plan
    }
    whole = [*_about_the_file(record, finished), *_about_the_plan(lines, plan, attempts), *stops]
    whole += [str(line.get("text", "a note")) for line in lines if line["kind"] == "note"]
    if not any("seeded defect" in text for text in whole):  # else the run has told it itself
        whole += [text for text in first_of(lines) if text.startswith(SEEDED)]
    whole += _about_the_end(lines, tests)
    whole += _about_the_clock(lines)
    whole += _about_calibration(lines)
    why = [*whole, *_about_the_tests(tests)]
    against = any(judged.verdict.speaks_against_product for judged in tests.values())
    if against:
        decision = Decision.NO_GO
    else:
        decision = Decision.INCONCLUSIVE if why else Decision.GO
    stopped = stops[0] if stops else ""
    return RunVerdict(
        decision,
        tuple(why),
        tests,
        plan,
        finished,
        stopped,
        tuple(whole),
        _unmet_of(lines),
        tuple(first_of(lines)),
        tuple(Finding(str(line["node"]), str(line["text"])) for line in lines if line["kind"] == "finding"),
    )


SEEDED = "SEEDED DEFECT"
SELECTED = ("left out tests", "only this cut was done", "of every ")
"""What notes of a selection say, see `fixtures.ledger_plan`."""


def first_of(lines: Sequence[Line]) -> Iterator[str]:
    """What is said before any decision: a seeded defect, a virtual bench, a selection."""
    plan = _plan(lines)
    begin = next((line for line in lines if line["kind"] == "begin"), {})
    defect = (begin.get("options") or {}).get("defect")
    if defect is not None:
        yield f"{SEEDED} {defect}: the testcases are judged, no product"
    opened = [line for line in lines if line["kind"] == "attached"]
    if begin.get("plant") is not None or any(line.get("plant") is not None for line in opened):
        yield "VIRTUAL BENCH: no product was tested"
    left = [row for row in plan if row.deselected]
    named = [text for text in begin.get("arguments") or () if "::" in str(text)]
    selections = [f"{len(left)} of {len(plan)} tests were deselected"] if left else []
    selections += [f"{len(named)} tests were named one by one"] if named else []
    selections += [
        str(line["text"])
        for line in lines
        if line["kind"] == "note" and any(part in str(line.get("text", "")) for part in SELECTED)
    ]
    listed = {str(row["name"]) for line in lines if line["kind"] == "plan" for row in line.get("boards", ())}
    ran = {row.board for row in plan if row.board and not row.deselected}
    without = sorted(listed - ran) if ran else []
    selections += [f"without {', '.join(without)} of the bench file"] if without else []
    if selections:
        yield f"SELECTION: {'; '.join(selections)}"


def _unmet_of(lines: Iterable[Line]) -> tuple[Unmet, ...]:
    """Each once, however often its test was repeated."""
    return tuple(
        dict.fromkeys(
            Unmet(str(line["node"]), str(line["requirement"]), str(line["text"]))
            for line in lines
            if line["kind"] == "unmet"
        )
    )


def _plan(lines: Iterable[Line]) -> tuple[Planned, ...]:
    rows = [row for line in lines if line["kind"] == "plan" for row in line["tests"]]
    return tuple(Planned(**{**row, "requirements": tuple(row.get("requirements", ()))}) for row in rows)


def attempts_of(lines: Iterable[Line]) -> dict[str, list[Attempt]]:
    """The attempts of each test. A second setup is a second attempt, whoever repeated the test."""
    found: dict[str, list[Attempt]] = {}
    for line in lines:
        kind, node = line["kind"], str(line.get("node", ""))
        tries = found.setdefault(node, []) if kind in ("start", "phase", "end", "crash") else []
        if kind == "start":
            tries.append(Attempt())
        elif kind == "phase":
            when = str(line["when"])
            if not tries or (when == "setup" and tries[-1].phases):
                _end_repeated(tries)
                tries.append(Attempt())
            cause = Cause(line["cause"])
            tries[-1].phases.append(
                Phase(when, cause, str(line.get("message", "")), bool(line.get("lasting", False)))
            )
        elif kind == "end" and tries:
            tries[-1].ended = True
        elif kind == "crash":
            if not tries:
                tries.append(Attempt())
            tries[-1].phases.append(Phase("crash", Cause.CRASH, str(line.get("message", ""))))
    return found


def _end_repeated(tries: list[Attempt]) -> None:
    """Its end was not told, but another attempt followed in the same process: it ended."""
    if tries and tries[-1].cause("teardown") is not None:
        tries[-1].ended = True


def _about_the_file(record: Record, finished: bool) -> list[str]:
    why = [f"the ledger was changed: {fault}" for fault in record.faults]
    if record.torn:
        why.append("the ledger ends in half a line: the run was cut off, or its end was added to")
    if not finished:
        why.append("the run was not seen to end")
    elsewhere = [line for line in record.lines[:-1] if line["kind"] == "finish"]
    return [*why, *("the ledger goes on after the end of the run" for _ in elsewhere[:1])]


def _about_the_plan(
    lines: Iterable[Line], plan: tuple[Planned, ...], attempts: dict[str, list[Attempt]]
) -> list[str]:
    kinds = Counter(line["kind"] for line in lines)
    why = []
    if kinds["begin"] != 1:
        why.append(f"the ledger has {kinds['begin']} beginnings")
    if kinds["plan"] != 1 or not plan:
        why.append("the run has no plan" if not plan else f"the run has {kinds['plan']} plans")
    nodes = Counter(row.node for row in plan)
    why += [f"planned twice: {node}" for node, count in nodes.items() if count > 1]
    return why + [f"ran without being planned: {node}" for node in attempts if node not in nodes]


def _about_the_end(lines: tuple[Line, ...], tests: dict[str, Judgement]) -> list[str]:
    """What pytest itself says must fit: a failure that only pytest knows of is one."""
    why = []
    for line in lines:
        if line["kind"] == "checked":
            why += [f"Allure and the ledger differ: {text}" for text in line["differences"]]
    if lines and lines[-1]["kind"] == "finish":
        status = lines[-1].get("pytest_status")
        told = any(judged.attempts > 1 or judged.verdict.speaks_against_product for judged in tests.values())
        if status != 0 and not (status == 1 and told):
            why.append(f"pytest ended with status {status}")
        if not any(line["kind"] == "checked" for line in lines):
            why.append("the ledger was not compared with Allure")
    return why


def _about_the_clock(lines: Iterable[Line]) -> list[str]:
    offsets = [(float(line["wall"]) - float(line["mono"]), float(line["mono"])) for line in lines]
    if not offsets:
        return []
    first = offsets[0][0]
    steps = [
        offset - first for offset, mono in offsets if abs(offset - first) > CLOCK_STEP + CLOCK_SLEW * mono
    ]
    if not steps:
        return []
    largest = max(steps, key=abs)
    return [f"this PC's clock was stepped by {largest:+.1f} s, or it slept: its times mean nothing"]


def _about_calibration(lines: tuple[Line, ...]) -> list[str]:
    """An instrument counts until the end of its last day, by UTC; the end of the run is what matters."""
    if not lines:
        return []
    ended = datetime.datetime.fromtimestamp(float(lines[-1]["wall"]), datetime.UTC).date()
    due = {
        name: str(one["calibration_due"])
        for line in lines
        if line["kind"] == "attached"
        for name, one in line["instruments"].items()
        if one.get("calibration_due") is not None
    }
    return [
        f"the calibration of {name} has expired: it was due on {day}"
        for name, day in due.items()
        if datetime.date.fromisoformat(day) < ended
    ]


def _about_the_tests(tests: dict[str, Judgement]) -> list[str]:
    """One line a verdict that does not count, with the first of its tests and reasons."""
    why = []
    for verdict in Verdict:
        found = [(node, judged) for node, judged in tests.items() if judged.verdict is verdict]
        if not found or verdict.counts:
            continue
        node, judged = found[0]
        others = f" and {len(found) - 1} more" if len(found) > 1 else ""
        why.append(f"{verdict}: {node}{others}: {_first_line(judged.reason)}")
    if tests and not any(judged.verdict is Verdict.PASSED for judged in tests.values()):
        why.append("not one test passed")
    return why


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0]
