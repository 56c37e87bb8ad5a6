"""A bad contact at the SWD wire: reads of CTRL-AP that come back as zeros now and then (pyOCD issue 1766).

Laid over a healthy `Dap` from outside. What the real ones look like is not known: either a whole
access port answers zeros, its identification too, or its status alone does.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from bench.virtual.nrf91.dap import APPROTECTSTATUS, CTRL_AP, Dap


def lay_false_zeros(
    dap: Dap,
    rng: random.Random,
    share: float,
    *,
    of_identification: bool,
    while_: Callable[[], bool] = lambda: True,
) -> None:
    """From now on `share` of the reads are zeros, `while_` it says so.

    With `of_identification` it is every register of CTRL-AP, else APPROTECTSTATUS alone.
    """

    def lay(read: Callable[[int], int]) -> Callable[[int], int]:
        def instead(register: int) -> int:
            value = read(register)
            meant = of_identification or register == APPROTECTSTATUS
            bad = meant and while_() and rng.random() < share
            return 0 if bad else value

        return instead

    dap.lay_over_reads(CTRL_AP, lay)
