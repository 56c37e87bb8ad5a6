"""What each part of a virtual board takes in each of its activities.

The current of a board is the sum over its parts. `(S)` marks a figure with a source, `(E)` an
estimate of ours: how a mean is spread over pulses is always an estimate.

nRF9160, at 3.7 V. Sources: nRF9160 product specification; Nordic's online power profiler.
- (S) Power saving mode (PSM) 2.7 uA; eDRX with a cycle of 81.92 s 18 uA (LTE-M).
- (S) LTE-M transmission 45 mA at 0 dBm, 50-55 mA at 10 dBm, 100-115 mA at 23 dBm; peaks of about 300 mA.
- (S) Logging over the UART adds about 0.5 mA. (S) Its regulators make the current fall as the voltage rises.

ESP32. Source: ESP32 series data sheet, current consumption.
- (S) Transmission 240 mA (802.11b, 19.5 dBm), 190 mA (802.11g, 16 dBm), 180 mA (802.11n, 14 dBm).
- (S) Reception 95-100 mA; modem sleep 20-68 mA; light sleep 0.8 mA; deep sleep 10 uA.
  These are totals of the chip, so the processor's share is taken off for the radio's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy

from bench.virtual.power.draw import Draw, Pulses, pulsed


@dataclass(frozen=True, slots=True)
class Stage:
    """A draw for so many seconds; then the activity's next stage."""

    draw: Draw
    seconds: float = math.inf


Course = tuple[Stage, ...]
"""What an activity draws, stage by stage; the last one has no end."""

PARTS: Mapping[str, str] = {
    "off": "processor",
    "boot": "processor",
    "flash": "processor",
    "idle": "processor",
    "sleep": "processor",
    "radio off": "radio",
    "attach": "radio",
    "connected": "radio",
    "rx": "radio",
    "tx": "radio",
    "drx": "radio",
    "edrx": "radio",
    "psm": "radio",
}
"""Which part of a board an activity belongs to; parts go about their activities independently."""

_PSM = 2.7e-6
_FLOOR = pulsed(_PSM, base=1.0e-6, peak=17e-3, width=10e-6)
"""(E) The regulator wakes every 100 ms for 10 us to charge its capacitor again."""
_LISTENING = 0.045
_PEAK = 0.300
_CDRX_CYCLE, _DRX_CYCLE, _EDRX_CYCLE = 0.32, 1.28, 81.92
_DRX_INACTIVITY = 0.2
"""(E) Seconds without traffic for which the receiver stays on."""
_RRC_INACTIVITY = 10.0
"""(E) Seconds without traffic after which networks commonly release the connection."""
_LOG_AWAKE = 2.0
"""(E) Seconds without work after which the firmware suspends its UART."""


def _listens(seconds: float, cycle: float) -> Draw:
    """The receiver is on for `seconds` at the end of each cycle."""
    return Draw(0.0, (Pulses(_LISTENING, seconds, cycle, cycle - seconds),))


_NRF9160: Mapping[str, Course] = {
    "off": (Stage(Draw()),),
    "boot": (Stage(Draw(0.006)),),  # (E)
    "flash": (Stage(Draw(0.012)),),  # (E)
    "idle": (Stage(Draw(0.0005) + _FLOOR, _LOG_AWAKE), Stage(_FLOOR)),
    "sleep": (Stage(_FLOOR),),
    "radio off": (Stage(Draw()),),
    "attach": (Stage(pulsed(0.060, base=_LISTENING, peak=_PEAK, width=1e-3)),),  # (E)
    "connected": (  # (E)
        Stage(Draw(_LISTENING), _DRX_INACTIVITY),
        Stage(_listens(0.040, _CDRX_CYCLE), _RRC_INACTIVITY - _DRX_INACTIVITY),
        Stage(_listens(0.010, _DRX_CYCLE)),
    ),
    "rx": (Stage(Draw(_LISTENING)),),
    "drx": (Stage(_listens(0.010, _DRX_CYCLE)),),  # (E)
    "edrx": (Stage(_listens((18e-6 - _PSM) * _EDRX_CYCLE / _LISTENING, _EDRX_CYCLE)),),
    "psm": (Stage(Draw()),),
}

_MODEM_SLEEP = 0.020
_ESP_RX = 0.098 - _MODEM_SLEEP

_ESP32: Mapping[str, Course] = {
    "off": (Stage(Draw()),),
    "boot": (Stage(Draw(0.045)),),  # (E)
    "flash": (Stage(Draw(0.060)),),  # (E)
    "idle": (Stage(Draw(_MODEM_SLEEP)),),
    "sleep": (Stage(pulsed(10e-6, base=8e-6, peak=5e-3, width=10e-6)),),  # (E) for the pulses
    "radio off": (Stage(Draw()),),
    "attach": (Stage(pulsed(0.100, base=_ESP_RX, peak=0.240 - _MODEM_SLEEP, width=1e-3)),),  # (E)
    "connected": (Stage(Draw(0.0, (Pulses(_ESP_RX, 0.003, 0.1024),))),),  # (E) each beacon is heard
    "rx": (Stage(Draw(_ESP_RX)),),
}

_TRANSMISSION: Mapping[str, tuple[tuple[float, float], ...]] = {
    "nrf9160": ((0, 0.045), (10, 0.0525), (23, 0.1075)),
    "esp32": ((14, 0.180 - _MODEM_SLEEP), (16, 0.190 - _MODEM_SLEEP), (19.5, 0.240 - _MODEM_SLEEP)),
}
"""dBm and amperes; straight lines between, and the ends hold beyond them."""

COURSES: Mapping[str, Mapping[str, Course]] = {"nrf9160": _NRF9160, "esp32": _ESP32}
NOMINAL_VOLTS: Mapping[str, float | None] = {"nrf9160": 3.7, "esp32": None}
"""Where the current is inversely proportional to the voltage, the voltage the figures hold at."""
FULL_POWER: Mapping[str, float] = {"nrf9160": 23.0, "esp32": 19.5}
"""dBm."""


def course(kind: str, activity: str, tx_power: float) -> Course:
    """What a board of `kind` draws during `activity`, sending with `tx_power` dBm."""
    if activity == "tx":
        return (Stage(transmission(kind, tx_power)),)
    return COURSES[kind][activity]


@lru_cache(maxsize=256)  # asked at every burst, nearly always at the same power
def transmission(kind: str, dbm: float) -> Draw:
    """While data goes up. LTE-M sends in subframes of 1 ms: its mean consists of short high peaks."""
    points = _TRANSMISSION[kind]
    powers, amperes = [p for p, _ in points], [a for _, a in points]
    mean = float(numpy.interp(dbm, powers, amperes))
    if kind == "esp32":
        return Draw(mean)
    full = amperes[-1] - _LISTENING
    duty = full / (_PEAK - _LISTENING)  # the same pattern of subframes at every power
    return pulsed(mean, base=_LISTENING, peak=_LISTENING + (mean - _LISTENING) / duty, width=1e-3)
