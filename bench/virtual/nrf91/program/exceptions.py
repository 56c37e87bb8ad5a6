"""Which exception interrupts the program: the NVIC, SysTick and the system's own, by priority.

Source: Armv8-M architecture reference manual (exception numbers, ICSR, SHPR, SHCSR, NVIC_ISER to NVIC_IPR,
SYST_CSR, PRIMASK, FAULTMASK, BASEPRI). Only secure exceptions; AIRCR.PRIGROUP is taken for 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

NMI, HARD, MEMORY, BUS, USAGE, SVC, PENDSV, SYSTICK, LINES = 2, 3, 4, 5, 6, 11, 14, 15, 16
ALWAYS = {NMI: -2, HARD: -1}
ENABLES = {MEMORY: 1 << 16, BUS: 1 << 17, USAGE: 1 << 18}  # SHCSR
LOWEST = 256


@dataclass
class Exceptions:
    """`priorities` by exception number, `enabled` lines of the NVIC by theirs (from 16); `active` ones, the
    latest last."""

    pending: set[int] = field(default_factory=set)
    enabled: set[int] = field(default_factory=set)
    active: list[int] = field(default_factory=list)
    priorities: dict[int, int] = field(default_factory=dict)
    fault_enables: int = 0

    def priority(self, number: int) -> int:
        return ALWAYS.get(number, self.priorities.get(number, 0))

    def waiting(self) -> int | None:
        """The pending and enabled one of the highest priority."""
        ready = [n for n in self.pending if n < LINES or n in self.enabled]
        return min(ready, key=lambda n: (self.priority(n), n), default=None)

    def running_priority(self, primask: int, faultmask: int, basepri: int) -> int:
        """What an exception has to be below to be taken now."""
        level = min([LOWEST, *map(self.priority, self.active)])
        if basepri:
            level = min(level, basepri)
        if primask:
            level = min(level, 0)
        return min(level, -1) if faultmask else level

    def escalated(self, number: int, running: int) -> int | None:
        """Which exception a fault or SVC ends in; None where the core locks up."""
        enabled = number not in ENABLES or bool(self.fault_enables & ENABLES[number])
        if enabled and number != HARD and self.priority(number) < running:
            return number
        return HARD if running > ALWAYS[HARD] else None
