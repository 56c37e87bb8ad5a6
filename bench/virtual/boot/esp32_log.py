"""How ESP-IDF's bootloader prints: level, milliseconds since reset, tag."""

from __future__ import annotations

from typing import Protocol

from bench.virtual.machine import Machine

_STARTED = 30
"""Milliseconds that the ROM and the loader's start take, about."""


class Print(Protocol):
    """Prints one line; `level` is I, W or E."""

    def __call__(self, text: str, level: str = "I", tag: str = "boot") -> None: ...


class Log:
    """`Print` to the machine's UART."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._start = machine.now()

    def __call__(self, text: str, level: str = "I", tag: str = "boot") -> None:
        milliseconds = int((self._machine.now() - self._start) * 1000) + _STARTED
        self._machine.print(f"{level} ({milliseconds}) {tag}: {text}")


def silent(text: str, level: str = "I", tag: str = "boot") -> None:
    """`Print` of somebody who only wants to know."""
