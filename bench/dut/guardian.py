"""Stands between the bench and a client program, so that nothing of the program outlives the bench.

    python guardian.py [--follow] BENCH-PID -- PROGRAM ARGUMENTS...

It starts the program, passes on how it ended, and when the bench has gone, SIGKILL included, it kills
the program and whatever that has started. With `--follow` the program has ended only when its last
descendant has: one that starts its successor and exits lives on in it.

What is known of a family: on Linux everything, because orphans are given to the guardian (prctl
PR_SET_CHILD_SUBREAPER); elsewhere the descendants that were seen while their parents lived, looked
for every `INTERVAL` seconds. On Linux the program itself also dies with a guardian that is killed.

Run as a file of its own, without the rest of the bench: it starts quickly and depends on no folder.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

import psutil

INTERVAL = 0.25
"""Seconds between looks at the bench and the family."""
CANNOT_RUN = 127
"""Exit status when the program cannot be started, as a shell has it."""
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def main(arguments: list[str]) -> int:
    split = arguments.index("--")
    options, command = arguments[:split], arguments[split + 1 :]
    bench = psutil.Process(int(options[-1]))
    _adopt_orphans()
    try:
        program = subprocess.Popen(command, preexec_fn=_die_with_guardian if _LINUX else None)
    except OSError as fault:
        print(f"{command[0]} cannot be run: {fault}", file=sys.stderr, flush=True)
        return CANNOT_RUN
    for inherited in (sys.stdin, sys.stdout, sys.stderr):  # ends when the program ends it
        with contextlib.suppress(OSError, AttributeError):
            os.close(inherited.fileno())
    family = Family(psutil.Process())
    status: int | None = None
    while True:
        if status is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = program.wait(INTERVAL)
        elif family.alive():
            psutil.wait_procs(family.alive(), timeout=INTERVAL)
        family.look()
        _reap_orphans(program.pid if status is None else None)
        if not _lives(bench):
            program.kill()
            family.kill()
            return 1
        if status is not None and not ("--follow" in options and family.alive()):
            break
    family.kill()
    return status


class Family:
    """The descendants of a process, as far as they were ever seen."""

    def __init__(self, root: psutil.Process) -> None:
        self._root = root
        self._seen: set[psutil.Process] = set()

    def look(self) -> None:
        for one in (self._root, *self._seen):
            with contextlib.suppress(psutil.Error):
                self._seen.update(one.children(recursive=True))
        self._seen = {one for one in self._seen if one.is_running()}

    def alive(self) -> list[psutil.Process]:
        return [one for one in self._seen if _lives(one)]

    def kill(self) -> None:
        """Until none is left: they may have children while they are being killed."""
        self.look()
        for _ in range(100):
            alive = self.alive()
            if not alive:
                break
            for one in alive:
                with contextlib.suppress(psutil.Error):
                    one.kill()
            psutil.wait_procs(alive, timeout=INTERVAL)
            self.look()


def _lives(one: psutil.Process) -> bool:
    try:
        return bool(one.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


_LINUX = sys.platform == "linux"


def _prctl(option: int, value: int) -> None:
    import ctypes

    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _adopt_orphans() -> None:
    if _LINUX:
        _prctl(PR_SET_CHILD_SUBREAPER, 1)


def _die_with_guardian() -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _reap_orphans(but: int | None) -> None:
    """Collect adopted processes that have ended; the program's own end is `subprocess`'s to collect."""
    if not _LINUX:
        return
    for one in psutil.Process().children():
        with contextlib.suppress(OSError, psutil.Error):
            if one.pid != but and one.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(one.pid, os.WNOHANG)


def end_like(status: int) -> None:
    """End as the program did: with its exit status, or by the signal that ended it."""
    if status < 0 and os.name == "posix":
        with contextlib.suppress(OSError, ValueError):
            import resource

            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # its memory is not what anyone wants to see
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


if __name__ == "__main__":
    end_like(main(sys.argv[1:]))
