"""The sample stream of a Nordic PPK2: words to amperes, and what was lost on the way.

A sample is one little-endian 32-bit word, 100,000 a second:

| bits   | what                                                        |
|--------|-------------------------------------------------------------|
| 0-13   | ADC reading, a quarter of the unit the calibration is in    |
| 14-16  | measuring range 0 to 4 (up to 50 uA, 500 uA, 5 mA, 60 mA, 1 A) |
| 18-23  | counter, one more each sample, modulo 64                    |
| 24-31  | logic inputs                                                |

Source: Nordic's pc-nrfconnect-ppk (word layout, calibration formula).

The counter tells how many samples are missing, and it tells a lost *byte*: after that nothing counts
up any more, until the words are read from the right byte again. Only a loss of exactly 64 samples, or a
multiple, looks like none; the meter compares the total with the clock for that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy

RATE = 100_000
"""Samples a second."""

RUN = 8
"""Words in a row that must count up before they are believed to be words."""

HELD = 4 * RUN
"""Words held back until what follows them has shown that they are sound."""

RANGES = 5
READINGS = 1 << 17
"""Readings of 14 bits in a range of 3 bits."""
_ADC_VOLTS = 1.8 / 163_840
"""Volts across the shunt for one unit."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Factory calibration: one value a range of R (ohms), GS, GI, O, S, I, UG; `volts` is the supply's."""

    r: numpy.ndarray
    gs: numpy.ndarray
    gi: numpy.ndarray
    o: numpy.ndarray
    s: numpy.ndarray
    i: numpy.ndarray
    ug: numpy.ndarray
    volts: float

    def table(self) -> numpy.ndarray:
        """The current, in A as float64, of every reading in every range: index it by `readings_of(words)`."""
        return self.amperes(numpy.arange(READINGS, dtype=numpy.uint32))

    def amperes(self, words: numpy.ndarray) -> numpy.ndarray:
        """The current of each word, in A as float64."""
        index = ranges_of(words)
        reading = (words & 0x3FFF).astype(numpy.float64) * 4
        raw = (reading - self.o[index]) * (_ADC_VOLTS / self.r[index])
        offset = self.s[index] * self.volts + self.i[index]
        amps: numpy.ndarray = self.ug[index] * (raw * (self.gs[index] * raw + self.gi[index]) + offset)
        return amps


def readings_of(words: numpy.ndarray) -> numpy.ndarray:
    """Reading and range of each word as one number, below `READINGS`."""
    return words & READINGS - 1


def ranges_of(words: numpy.ndarray) -> numpy.ndarray:
    """Range number of each word; the device's reserved numbers mean its largest range."""
    return numpy.minimum(words >> 14 & 7, RANGES - 1).astype(numpy.uint8)


def logic_of(words: numpy.ndarray) -> numpy.ndarray:
    """Logic inputs of each word as bits."""
    return (words >> 24).astype(numpy.uint8)


class WordStream:
    """Bytes in, words out, with a mask that says which of them were lost."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._last: int | None = None
        self._words: list[numpy.ndarray] = []
        self._lost: list[numpy.ndarray] = []
        self.resyncs = 0
        """How often bytes, not whole words, had been lost."""

    def feed(self, data: bytes) -> None:
        self._bytes += data

    def take(self, *, final: bool = False) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Words and loss mask since the last take; lost ones are 0. `final`: nothing will follow."""
        while self._advance(final):
            pass
        words = numpy.concatenate(self._words) if self._words else numpy.empty(0, dtype=numpy.uint32)
        lost = numpy.concatenate(self._lost) if self._lost else numpy.empty(0, dtype=bool)
        self._words.clear()
        self._lost.clear()
        return words, lost

    def _advance(self, final: bool) -> bool:
        """Deal with the sound words up to the next fault, or all; whether a fault was passed."""
        if self._last is None and not self._align(0):
            return False
        words = numpy.frombuffer(bytes(self._bytes[: len(self._bytes) // 4 * 4]), dtype="<u4")
        counts = words >> 18 & 63
        if not len(words):
            return False
        assert self._last is not None
        steps = (numpy.diff(counts, prepend=numpy.uint32(self._last)) & 63).astype(int)
        bad = numpy.flatnonzero(steps != 1)
        if not len(bad):
            self._emit(words if final else words[: max(0, len(words) - HELD)])
            return False
        at = int(bad[0])
        if len(words) - at < RUN:
            # what follows is too short to judge by
            self._emit(words[: max(0, at - 2)])
            if final:
                self._bytes.clear()
            return False
        if bool(numpy.all(steps[at + 1 : at + RUN] == 1)):  # whole words are missing
            missing = int(steps[at] - 1) & 63
            self._emit(words[:at])
            self._miss(missing)
            return True
        # a byte slipped; the word before may hold one of another word at its end, or count up by chance (one
        # in 64) though all of it is shifted, and then the one before that holds it
        before = max(0, at - 2)
        if self._found_after(4 * before + 1) is None and not final:
            self._emit(words[: max(0, before - 1)])
            return False
        self._emit(words[:before])
        self.resyncs += 1
        last = self._last
        if not self._align(1):
            self._bytes.clear()
            return False
        # the first word found may be counter and logic of one sample behind the reading of another, or
        # count up by chance in front of such a one
        del self._bytes[:8]
        self._miss((int.from_bytes(self._bytes[:4], "little") >> 18) - last - 1 & 63)
        return True

    def _emit(self, words: numpy.ndarray) -> None:
        if len(words):
            self._words.append(words)
            self._lost.append(numpy.zeros(len(words), dtype=bool))
            self._last = int(words[-1] >> 18 & 63)
            del self._bytes[: 4 * len(words)]

    def _miss(self, count: int) -> None:
        self._words.append(numpy.zeros(count, dtype=numpy.uint32))
        self._lost.append(numpy.ones(count, dtype=bool))
        assert self._last is not None
        self._last = self._last + count & 63

    def _align(self, start: int) -> bool:
        """Drop bytes until words begin; whether they do."""
        found = self._found_after(start)
        if found is None:
            return False
        del self._bytes[:found]
        if self._last is None:
            self._last = (int.from_bytes(self._bytes[:4], "little") >> 18) - 1 & 63
        return True

    def _found_after(self, start: int) -> int | None:
        """Where `RUN` words in a row begin that count up, from byte `start` on."""
        for position in range(start, len(self._bytes) - 4 * RUN + 1):
            words = numpy.frombuffer(bytes(self._bytes[position : position + 4 * RUN]), dtype="<u4")
            if bool(numpy.all(numpy.diff((words >> 18 & 63).astype(int)) & 63 == 1)):
                return position
        return None
