"""What a device says about its signal: AT commands on its console, or object 4.

Indices: 3GPP TS 36.133, tables 9.1.4-1 (RSRP, from release 14 on down to -156 dBm) and 9.1.7-1 (RSRQ,
extended), as Nordic's nRF9160 AT Commands Reference Guide gives them for `%CONEVAL` (RSRP -17 to 97) and
`+CESQ` (RSRP 0 to 97, RSRQ 0 to 34), and nRF Connect SDK's modem/modem_info.h for either (RSRP -17 to 97,
RSRQ -30 to 46, SNR 0 to 49). Whatever a command's own table says, all of them are taken from both: a modem's
firmware is newer than its manual.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from bench.dut.console import Console
from bench.errors import ConsoleTimeout, RadioError, ServerError
from bench.lwm2m.client import Client, CoapError, NotReachable

WEAKEST, LOUDEST = -157.0, -30.0
"""dBm that can be true; nRF Connect SDK gives -157 for index -17. One stack casts dBm to eight bits, and -129
reads 127."""
UNKNOWN, UNKNOWN_SNR = 255, (127, 255)
"""127 by the manual of `%XSNRSQ`; 255 in a recorded `%CONEVAL` (Nordic's Cellular Monitor, its tests)."""
RSRP, RSRQ, SNR = range(-17, 98), range(-30, 47), range(50)
"""Indices that a value may have; the first and the last stand for all that is beyond them."""
ANSWER = 5.0
"""Bench seconds for an AT command that is answered at once."""
EVALUATION = 30.0
"""Bench seconds for `%CONEVAL`, which may have to listen first."""
STRENGTH = "/4/0/2"


@dataclass(frozen=True, slots=True)
class SignalReport:
    """`rsrp` in dBm (RSSI of Wi-Fi); `rsrq` and `sinr` in dB where they were told."""

    rsrp: float
    rsrq: float | None = None
    sinr: float | None = None

    def __str__(self) -> str:
        parts = [f"{self.rsrp:g} dBm"]
        parts += [f"RSRQ {self.rsrq:g} dB"] if self.rsrq is not None else []
        parts += [f"SINR {self.sinr:g} dB"] if self.sinr is not None else []
        return ", ".join(parts)


class Reporter(Protocol):
    """Asks the device."""

    def read(self) -> SignalReport | None:
        """Its signal now; None when it says that it has no cell. Raises `RadioError` for nonsense."""
        ...


class CesqReporter:
    """`AT+CESQ`, answered from the last measurement at once."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def read(self) -> SignalReport | None:
        found = _ask(self._console, "AT+CESQ", "+CESQ", ANSWER)
        fields = _numbers(found.split(","))
        if fields is None or len(fields) != 6:
            raise _nonsense(self._console, "+CESQ", found, "six numbers")
        rsrq, rsrp = fields[4:]
        if rsrp == UNKNOWN:
            return None
        if not (rsrp in RSRP and (rsrq in RSRQ or rsrq == UNKNOWN)):
            raise _nonsense(self._console, "+CESQ", found, "RSRP -17 to 97 and RSRQ -30 to 46")
        return SignalReport(_dbm(rsrp), _quality(rsrq))


class ConevalReporter:
    """`AT%CONEVAL`, which evaluates the connection: RSRP, RSRQ, SNR, and what a transmission would take."""

    FIELDS = 17
    NO_CELL = ("1", "3", "6")
    """Results: no cell, only barred cells, not registered."""
    FAILED: ClassVar = {
        "2": "no UICC",
        "4": "the radio is busy, with GNSS for instance",
        "5": "something more important came between",
        "7": "it does not say why",
    }
    """Results that tell nothing of the signal: a busy radio has not lost its cell."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def read(self) -> SignalReport | None:
        found = _ask(self._console, "AT%CONEVAL", "%CONEVAL", EVALUATION)
        fields = [field.strip() for field in found.split(",")]
        if len(fields) == 1 and fields[0] in self.NO_CELL:
            return None
        if len(fields) == 1 and fields[0] in self.FAILED:
            raise RadioError(
                f"{self._console.name}: %CONEVAL answered {fields[0]}: {self.FAILED[fields[0]]}",
                help="this says nothing about the signal; cure it, or choose another radio.report",
            )
        if len(fields) != self.FIELDS or fields[0] != "0":
            raise _nonsense(self._console, "%CONEVAL", found, f"{self.FIELDS} fields")
        indices = _numbers(fields[3:6])
        if indices is None:
            raise _nonsense(self._console, "%CONEVAL", found, "numbers in fields 4 to 6")
        rsrp, rsrq, snr = indices
        if rsrp == UNKNOWN:
            return None
        known = rsrp in RSRP and (rsrq in RSRQ or rsrq == UNKNOWN) and (snr in SNR or snr in UNKNOWN_SNR)
        if not known:
            raise _nonsense(
                self._console, "%CONEVAL", found, "RSRP -17 to 97, RSRQ -30 to 46 and SNR 0 to 49"
            )
        return SignalReport(_dbm(rsrp), _quality(rsrq), None if snr in UNKNOWN_SNR else float(snr - 24))


class ObjectReporter:
    """Radio Signal Strength of object 4 (what its Link Quality means depends on the bearer)."""

    def __init__(self, client: Callable[[], Client]) -> None:
        self._client = client

    def read(self) -> SignalReport | None:
        try:
            client = self._client()
        except ServerError:  # not registered
            return None
        try:
            strength = float(client.read(STRENGTH))
        except NotReachable:  # what this way of asking can know of a device without a cell
            return None
        except (ServerError, CoapError, TypeError, ValueError) as reason:
            raise RadioError(
                f"{client.endpoint}: {STRENGTH} cannot be read: {reason}",
                help="choose another radio.report in the board file, or correct the firmware",
            ) from reason
        if not WEAKEST <= strength <= LOUDEST:
            raise RadioError(
                f"{client.endpoint}: {STRENGTH} is {strength:g} dBm, "
                f"and {WEAKEST:g} to {LOUDEST:g} dBm are possible",
                help="the device may have cast dBm to eight bits, or report another quantity",
            )
        return SignalReport(strength)


def _dbm(rsrp: int) -> float:
    """The middle of the step that an index of RSRP stands for.

    -1 is from -141 to -140 dBm, 1 from -140 to -139 dBm; 0, of the older table, is all below -140 dBm.
    """
    return rsrp - (139.5 if rsrp < 0 else 140.5)


def _quality(rsrq: int) -> float | None:
    """dB in the middle of the step that an index of RSRQ stands for.

    -1 is from -20 to -19.5 dB, 1 from -19.5 to -19 dB; 34, the last of the older table, is all above -3 dB,
    and 35 from -3 to -2.5 dB.
    """
    if rsrq == UNKNOWN:
        return None
    return (rsrq - (38.5 if rsrq < 0 else 39.5 if rsrq < 35 else 40.5)) / 2


def _numbers(fields: Sequence[str]) -> list[int] | None:
    """Whole numbers in decimal digits, with a sign where they have one; None when one is anything else."""
    if not all(re.fullmatch(r"\s*[+-]?[0-9]+\s*", field) for field in fields):
        return None
    return [int(field) for field in fields]


def _ask(console: Console, command: str, name: str, timeout: float) -> str:
    """What follows `name:` in the lines that answer a command. Raises `RadioError` without `OK`."""
    mark = console.mark()
    console.send(command + "\r\n")
    # the end of the answer, never a part of a line: half a number would be a number too
    try:
        ended = console.expect(r"^\s*(OK|ERROR|\+CM[ES] ERROR: .+?)\s*$", timeout=timeout, since=mark)
    except ConsoleTimeout as silence:
        held = console.silence
        raise RadioError(
            f"{console.name}: {command} was not answered within {timeout:g} s"
            + (f": {held}" if held else ""),
            help=console.silence_cure
            if held
            else "is the device up, and does its firmware pass AT commands through?",
        ) from silence
    if ended[1] != "OK":
        raise RadioError(
            f"{console.name}: {command} was answered by {ended[1]}",
            help="does the firmware pass AT commands through? Else choose another radio.report",
        )
    for line in console.lines(mark):
        found = line.search(rf"^\s*{re.escape(name)}:(.*)")
        if found is not None:
            return found[1].strip()
    raise RadioError(
        f"{console.name}: {command} was answered by OK without {name}",
        help="choose another radio.report in the board file",
    )


def _nonsense(console: Console, command: str, answer: str, wanted: str) -> RadioError:
    return RadioError(
        f"{console.name}: {command} answered {answer!r}, where {wanted} belong",
        help="choose another radio.report in the board file, or correct the firmware",
    )
