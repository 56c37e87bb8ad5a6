"""What `bench mutants` and `bench seeds` share: one pytest after the other, several at a time."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

Wanted = TypeVar("Wanted")
Result = TypeVar("Result")


class Runs:
    """Starts processes and waits for them, from any thread."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._alive: set[subprocess.Popen[bytes]] = set()
        self._over = False

    @property
    def over(self) -> bool:
        """Whether what still runs was asked to end: what it leaves is half a run."""
        return self._over

    def run(self, command: Sequence[str], folder: Path, limit: float | None = None) -> tuple[int, bytes]:
        """The exit status, and what was written to stdout and stderr together.

        Raises `subprocess.TimeoutExpired` after `limit` wall seconds, with the process ended.
        """
        process = self._start(command, folder)
        try:
            if self._over:
                process.terminate()
            said, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        finally:
            self._alive.discard(process)
        return process.returncode, said

    def lines(self, command: Sequence[str], folder: Path) -> Iterator[str]:
        """What a process writes to stdout and stderr together. It has ended with the last line."""
        process = self._start(command, folder)
        assert process.stdout is not None
        try:
            for line in process.stdout:
                yield line.decode("utf-8", "replace").rstrip()
        except BaseException:
            process.terminate()
            raise
        finally:
            process.stdout.close()
            process.wait()
            self._alive.discard(process)

    def _start(self, command: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._alive.add(process)
        return process

    def end(self) -> None:
        """Ask every process that still runs to end: a pytest then sets its bench safe first."""
        self._over = True
        for process in tuple(self._alive):
            process.terminate()


def each(
    wanted: Iterable[Wanted],
    work: Callable[[Runs, Wanted], Result],
    *,
    jobs: int,
    told: Callable[[Result], None],
) -> list[Result]:
    """`work` on each, `jobs` at a time; `told` hears of each result as it comes. In the order wanted.

    Whatever ends it early ends the processes that still run.
    """
    with running() as runs, ThreadPoolExecutor(max_workers=jobs) as pool:
        begun = [pool.submit(work, runs, one) for one in wanted]
        try:
            for ended in as_completed(begun):
                told(ended.result())
        except BaseException:
            for waiting in begun:
                waiting.cancel()
            runs.end()
            raise
        return [ended.result() for ended in begun]


@contextlib.contextmanager
def running() -> Iterator[Runs]:
    """Processes in the environment of this one, but with bytecode kept from one start to the next.

    Where the user wants none beside the sources it is kept in a folder of its own, which goes at the end:
    compiling everything anew, assertions rewritten, takes longer than many a testcase.
    """
    with contextlib.ExitStack() as ending:
        environment: Mapping[str, str] = os.environ
        if os.environ.get("PYTHONDONTWRITEBYTECODE"):
            folder = tempfile.TemporaryDirectory(prefix="bytecode-", ignore_cleanup_errors=True)
            kept = ending.enter_context(folder)
            without = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
            environment = {**without, "PYTHONPYCACHEPREFIX": kept}
        yield Runs(environment)
