"""Runs the testcases once for each seed, each in a pytest of its own, several at a time."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError, PlantError
from bench.evidence.ledger import FILE, latest_run, read
from bench.evidence.run_verdict import RunVerdict, judge_run
from bench.power_cuts.part import WHOLE, SweepPart, parse_part
from bench.virtual.many_runs import Runs, each

OPTION = "--sweep-part"


@dataclass(frozen=True, slots=True)
class SeedRun:
    """One run: its verdict by its ledger, the part of the sweeps that it made, the commit it ran on ("" when
    unknown), and wall seconds.
    """

    seed: int
    verdict: RunVerdict
    part: SweepPart
    revision: str
    seconds: float

    @property
    def is_clean(self) -> bool:
        """GO, or kept from it by nothing but the cuts that were left out of the sweeps on purpose."""
        return set(self.verdict.why) <= {self.part.left_out}


def part_of(seed: int, parts: int) -> SweepPart:
    """Seeds that follow each other make different parts, so that so many of them make a sweep."""
    return SweepPart(seed % parts + 1, parts)


def command(
    seed: int, testcases: Path, bench: Path, results: Path, part: SweepPart, selected: Iterable[str]
) -> list[str]:
    """The pytest of one seed; `selected` goes to it as it is."""
    return [
        *(sys.executable, "-m", "pytest", str(testcases), "-q", "-p", "no:cacheprovider"),
        *(f"--rootdir={testcases.parent}", "--bench", str(bench), "--seed", str(seed)),
        *("--pictures=failed", "--results", str(results), *selected),
        *(() if part.is_whole else (f"{OPTION}={part}",)),
    ]


def ledger_of(folder: Path, seed: int) -> Path:
    """Where the ledger of a seed is kept."""
    return folder / f"seed-{seed}.jsonl"


def load(folder: Path, seed: int) -> SeedRun:
    """What the kept ledger of a seed says. Raises `LedgerError` where there is none."""
    record = read(ledger_of(folder, seed))
    first = record.lines[0] if record.lines else {}
    seconds = float(record.lines[-1]["mono"]) if record.lines else 0.0
    given = [str(text).partition("=") for text in first.get("arguments", ())]
    part = next((parse_part(value) for name, _, value in given if name == OPTION), WHOLE)
    return SeedRun(seed, judge_run(record), part, str(first.get("git_revision", "")), seconds)


def run_one(
    seed: int,
    testcases: Path,
    bench: Path,
    folder: Path,
    part: SweepPart,
    selected: Iterable[str],
    *,
    runs: Runs,
) -> SeedRun:
    """Run one seed. Its ledger is kept; of a run that is not clean, everything.

    Raises `PlantError` when the run left no ledger, or was ended with the command.
    """
    results = folder / f"seed-{seed}"
    shutil.rmtree(results, ignore_errors=True)
    status, output = runs.run(command(seed, testcases, bench, results, part, selected), testcases.parent)
    if runs.over:
        raise PlantError(f"seed {seed} was ended with the command", help="run it again: it is not kept")
    try:
        shutil.copyfile(latest_run(results) / FILE, ledger_of(folder, seed))
    except (BenchError, OSError):
        said = output.decode("utf-8", "replace").strip().splitlines()
        raise PlantError(
            f"seed {seed}: pytest ended with {status} and left no ledger: {' '.join(said[-3:])}",
            help="run the same by hand: pytest testcases/ --seed N",
        ) from None
    found = load(folder, seed)
    if found.is_clean:
        shutil.rmtree(results, ignore_errors=True)
    else:
        results.mkdir(exist_ok=True)
        (results / "pytest.txt").write_bytes(output)
    return found


def run(
    seeds: Iterable[int],
    testcases: Path,
    bench: Path,
    folder: Path,
    *,
    jobs: int,
    parts: int = 1,
    selected: Iterable[str] = (),
    told: Callable[[SeedRun], None] = lambda run: None,
) -> list[SeedRun]:
    """Run them, `jobs` at a time, ledgers into `folder`; `told` hears of each. In the order given.

    Each makes one of `parts` of the sweeps.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return each(
        seeds,
        lambda runs, seed: run_one(
            seed, testcases, bench, folder, part_of(seed, parts), tuple(selected), runs=runs
        ),
        jobs=jobs,
        told=told,
    )
