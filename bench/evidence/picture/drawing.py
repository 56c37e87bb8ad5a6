"""The process behind `DrawingProcess`: draws the pictures that it is handed, one after the other.

It ends when no more can come: at the end of the run, or when the bench is gone, whatever has ended it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import sys
import threading
from pathlib import Path
from typing import BinaryIO

from bench.evidence.picture.content import Picture
from bench.evidence.picture.draw import timeline_png
from bench.evidence.picture.note import note_png

WAITING = 64
"""Pictures that may wait here; the bench waits with more. A test is seldom quicker than its picture."""

Job = tuple[Path, Picture]
NotDrawn = list[tuple[Path, str]]
"""Where a picture should be, and why it is not."""


def main() -> None:
    """Pickled jobs come in; at the end the pickled list of what could not be drawn goes out."""
    answers, sys.stdout = sys.stdout.buffer, sys.stderr  # what a library prints is no answer
    jobs: queue.Queue[Job | None] = queue.Queue(WAITING)
    threading.Thread(target=_read, args=(sys.stdin.buffer, jobs), daemon=True).start()
    faults: NotDrawn = []
    while (job := jobs.get()) is not None:
        path, picture = job
        try:
            png = timeline_png(picture)
        except Exception as fault:  # whatever it is, the next picture may do better
            why = f"{type(fault).__name__}: {fault}"
            faults.append((path, why))
            png = note_png(f"{picture.about.test}: this picture could not be drawn.", why)
        _write(path, png)
    with contextlib.suppress(OSError):  # nobody is there to hear it
        pickle.dump(faults, answers)
        answers.flush()


def _read(source: BinaryIO, jobs: queue.Queue[Job | None]) -> None:
    with contextlib.suppress(EOFError, pickle.UnpicklingError):  # the bench ended, perhaps within a job
        while True:
            jobs.put(pickle.load(source))
    jobs.put(None)


def _write(path: Path, png: bytes) -> None:
    """As a whole or not at all."""
    beside = path.with_name(f"{path.name}.tmp")
    beside.write_bytes(png)
    os.replace(beside, path)


if __name__ == "__main__":
    main()
