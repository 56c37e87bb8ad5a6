"""Supply current of the virtual boards by what they are doing; a first, piecewise-constant version.

Figures: nRF9160 product specification and Nordic's online power profiler (PSM 2.7 uA, LTE-M transmit
45-115 mA, UART logging about 0.5 mA); ESP32 datasheet (transmit 240 mA, receive 95-100 mA, modem
sleep 20-68 mA). The nRF9160's regulators make its current fall as the voltage rises.
"""

from __future__ import annotations

AMPERES: dict[str, dict[str, float]] = {
    "nrf9160": {
        "off": 0.0,
        "boot": 0.006,
        "attach": 0.060,
        "idle": 0.0025,
        "rx": 0.045,
        "tx": 0.105,
        "flash": 0.012,
        "sleep": 2.7e-6,
    },
    "esp32": {
        "off": 0.0,
        "boot": 0.045,
        "attach": 0.120,
        "idle": 0.030,
        "rx": 0.098,
        "tx": 0.240,
        "flash": 0.060,
        "sleep": 10e-6,
    },
}
NOMINAL_VOLTS = {"nrf9160": 3.7, "esp32": None}
"""Where the current is inversely proportional to the voltage, the voltage the figures hold at."""


def current(kind: str, activity: str, volts: float) -> float:
    """Amperes drawn by a board of `kind` during `activity` at `volts`."""
    amperes = AMPERES[kind][activity]
    nominal = NOMINAL_VOLTS[kind]
    return amperes if nominal is None or volts <= 0 else amperes * nominal / volts
