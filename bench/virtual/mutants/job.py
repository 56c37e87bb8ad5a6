"""What one mutant's pytest is told: its defect, and in which order the testcases meet it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.virtual.defects.defect import Defect


@dataclass(frozen=True, slots=True)
class Job:
    """`first` and `then` are parts of names of testcases: its own hints, and what finds others like it.

    All others follow, except where `rest` is false.
    """

    defect: str
    boards: tuple[str, ...]
    first: tuple[str, ...]
    then: tuple[str, ...]
    rest: bool

    @classmethod
    def parse(cls, text: str) -> Job:
        row = json.loads(text)
        boards, first, then = (tuple(row[name]) for name in ("boards", "first", "then"))
        return cls(row["defect"], boards, first, then, row["rest"])

    @property
    def text(self) -> str:
        return json.dumps(asdict(self))


def write(jobs: Iterable[Job], path: Path) -> None:
    """One a line."""
    path.write_text("".join(f"{job.text}\n" for job in jobs), encoding="utf-8")


def read(path: Path) -> list[Job]:
    return [Job.parse(line) for line in path.read_text(encoding="utf-8").splitlines()]


def job_of(defect: Defect, known: Sequence[Defect], *, thorough: bool) -> Job:
    """Hints order, they never limit; but a defect argued to be equivalent would meet every testcase in vain.

    It meets those that find its neighbours, unless the run is a `thorough` one. What found most of `known`
    defects is tried before the others, those of the same area first.
    """
    near = Counter(hint for other in known if other.area == defect.area for hint in other.hints)
    all_of_them = Counter(hint for other in known for hint in other.hints)
    thorough = thorough or not defect.equivalent
    ranked = [hint for count in ((near, all_of_them) if thorough else (near,)) for hint in _most(count)]
    then = tuple(hint for hint in dict.fromkeys(ranked) if hint not in defect.hints)
    return Job(defect.name, defect.boards, defect.hints, then, thorough)


def _most(count: Counter[str]) -> list[str]:
    return [hint for hint, _ in count.most_common()]
