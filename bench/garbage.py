"""Python's garbage collector, set for a process that makes little garbage in circles and keeps a lot."""

from __future__ import annotations

import gc


def seldom() -> None:
    """What is there stays, and is not looked through again; what comes is looked through less often.

    A bench keeps its timeline: a tenth of the time of a run on the virtual bench would else be spent on
    looking through all of it, again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
