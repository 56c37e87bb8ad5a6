"""Draws pictures while the tests go on: matplotlib takes a quarter to half a second for each.

`DrawingProcess` is the bench's side. The process itself (`drawing`) needs nothing but what it is handed, and
ends with the bench.
"""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import tempfile
from pathlib import Path
from typing import IO

from bench.evidence.picture.content import Picture
from bench.evidence.picture.note import NOT_DRAWN_YET
from bench.side_process import side_process

MOST_STARTS = 3
"""One that ends early is started anew with the next picture, but not for ever."""


class DrawingProcess:
    """Started with the first picture. `finish` waits for the last one."""

    def __init__(self) -> None:
        self.running: subprocess.Popen[bytes] | None = None
        """The process, where there is one now."""
        self._complaints: IO[bytes] | None = None
        self._starts = 0
        self._asked: list[Path] = []
        self._faults: dict[Path, str] = {}
        self._ends: list[str] = []

    def draw(self, picture: Picture, path: Path) -> None:
        """Have it drawn into `path`, where `NOT_DRAWN_YET` stands until then. `finish` tells the faults."""
        self._asked.append(path)
        job = pickle.dumps((path, picture))
        while self._starts < MOST_STARTS or self.running is not None:
            process = self.running or self._start()
            if process is None:
                continue
            assert process.stdin is not None
            try:
                process.stdin.write(job)
                process.stdin.flush()
                return
            except OSError:
                self._end()

    def finish(self) -> dict[Path, str]:
        """Wait until all are drawn; where there is no picture, and why."""
        self._end()
        lost = "; ".join(self._ends) or "the drawing process did not come to it"
        for path in self._asked:
            with contextlib.suppress(OSError):  # whoever took the file away needs no picture
                if path.read_bytes() == NOT_DRAWN_YET:
                    self._faults.setdefault(path, lost)
        self._asked.clear()
        return self._faults

    def _start(self) -> subprocess.Popen[bytes] | None:
        self._starts += 1
        complaints = tempfile.TemporaryFile()  # noqa: SIM115 closed in `_end`
        try:
            self.running = subprocess.Popen(
                **side_process("bench.evidence.picture.drawing"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
            )
        except OSError as fault:
            complaints.close()
            self._ends.append(f"no drawing process can be started: {fault}")
        else:
            self._complaints = complaints
        return self.running

    def _end(self) -> None:
        """No more for this one: it draws what it has and says how that went."""
        process, complaints = self.running, self._complaints
        self.running = None
        if process is None or complaints is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            self._faults.update(pickle.load(process.stdout))
        except (EOFError, pickle.UnpicklingError):
            status = process.wait()
            complaints.seek(0)
            said = complaints.read().decode(errors="replace").strip().splitlines()[-1:]
            self._ends.append(
                f"the drawing process ended with {status}: {' '.join(said) or 'it said nothing'}"
            )
        except BaseException:  # interrupted: what is listed of this run must not change any more
            process.kill()
            raise
        process.wait()
        process.stdout.close()
        complaints.close()
