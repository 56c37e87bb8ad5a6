"""Pictures drawn by a process beside the tests: the same ones, and those that are missing are told."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import psutil
import pytest
from matplotlib.image import imread

from bench.evidence.picture.content import About, Picture
from bench.evidence.picture.draw import timeline_png
from bench.evidence.picture.drawing_process import MOST_STARTS, DrawingProcess
from bench.evidence.picture.lanes import Event, Lanes
from bench.evidence.picture.note import NOT_DRAWN_YET

FAILURE = Event(3.0, "failed: it did", "judge", 4)
PICTURE = Picture(
    Lanes(0.0, 10.0, states=[(1.0, 0, 0), (4.0, 1, 0)], events=[FAILURE], failure=FAILURE),
    About("test_push", "nrf9160", "FAILED"),
)
UNFIT = Picture(Lanes(states=[(1.0,)]), About("test_pull", "nrf9160"))  # type: ignore[list-item]

LEAVES = """
import os, sys, pickle
from pathlib import Path
from bench.evidence.picture.drawing_process import DrawingProcess
process = DrawingProcess()
for number in range(3):
    process.draw(pickle.loads(bytes.fromhex(sys.argv[1])), Path(sys.argv[2], f"{number}.png"))
print(process.running.pid, flush=True)
os._exit(9)
"""


class Fatal:
    """Ends the process that reads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (7,)


def places(folder: Path, count: int) -> list[Path]:
    made = [folder / f"{number}.png" for number in range(count)]
    for path in made:
        path.write_bytes(NOT_DRAWN_YET)
    return made


def test_it_draws_what_would_be_drawn_here(tmp_path: Path) -> None:
    process = DrawingProcess()
    paths = places(tmp_path, 3)
    for path in paths:
        process.draw(PICTURE, path)
    assert process.finish() == {}
    assert {path.read_bytes() for path in paths} == {timeline_png(PICTURE)}
    assert sorted(tmp_path.iterdir()) == paths, "something else is left"


def test_one_that_cannot_be_drawn_says_so_in_its_place(tmp_path: Path) -> None:
    process = DrawingProcess()
    first, second = places(tmp_path, 2)
    process.draw(UNFIT, first)
    process.draw(PICTURE, second)
    faults = process.finish()
    assert list(faults) == [first]
    assert faults[first].startswith("ValueError: not enough values")
    assert imread(BytesIO(first.read_bytes())).shape[1] == 1080
    assert first.read_bytes() != NOT_DRAWN_YET
    assert second.read_bytes() == timeline_png(PICTURE)


def test_a_process_that_ends_early_is_told_and_replaced(tmp_path: Path) -> None:
    process = DrawingProcess()
    first, fatal, last = places(tmp_path, 3)
    process.draw(PICTURE, first)
    process.draw(Fatal(), fatal)  # type: ignore[arg-type]
    assert process.running is not None
    assert process.running.wait(60) == 7
    process.draw(PICTURE, last)
    faults = process.finish()
    assert fatal in faults
    assert last not in faults
    assert "the drawing process ended with 7: it said nothing" in faults[fatal]
    assert fatal.read_bytes() == NOT_DRAWN_YET
    assert last.read_bytes() == timeline_png(PICTURE)
    # what it had before the fatal one is drawn or told, whichever was quicker
    assert (first in faults) == (first.read_bytes() == NOT_DRAWN_YET)


def test_one_that_always_ends_is_given_up(tmp_path: Path) -> None:
    process = DrawingProcess()
    paths = places(tmp_path, MOST_STARTS + 2)
    pids = set()
    for path in paths:
        process.draw(Fatal(), path)  # type: ignore[arg-type]
        if process.running is not None:
            pids.add(process.running.pid)
            process.running.wait(60)
    assert len(pids) == MOST_STARTS
    assert list(process.finish()) == paths


def test_a_bench_that_is_gone_leaves_whole_pictures_and_no_process(tmp_path: Path) -> None:
    paths = places(tmp_path, 3)
    given = pickle.dumps(PICTURE).hex()
    gone = subprocess.run(
        [sys.executable, "-c", LEAVES, given, str(tmp_path)], stdout=subprocess.PIPE, text=True, timeout=60
    )
    assert gone.returncode == 9
    if psutil.pid_exists(pid := int(gone.stdout)):
        psutil.wait_procs([psutil.Process(pid)], timeout=60)
    assert not psutil.pid_exists(pid)
    assert {path.read_bytes() for path in paths} == {timeline_png(PICTURE)}


def test_no_process_at_all_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "absent"))
    (path,) = places(tmp_path, 1)
    process = DrawingProcess()
    process.draw(PICTURE, path)
    assert "no drawing process can be started: " in process.finish()[path]
