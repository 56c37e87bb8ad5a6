"""Starts a program that dies with the bench: `python -m bench.dut.parent_death PROGRAM ARGUMENTS...`

Linux only (prctl PR_SET_PDEATHSIG): the kernel kills the program when the thread that started it
ends, SIGKILL of the bench included. Programs that it starts in turn are not covered.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:  # it has died already
        os._exit(1)
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
