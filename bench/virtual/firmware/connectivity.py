"""Object 4, Connectivity Monitoring: what the radio says about its signal."""

from __future__ import annotations

from bench.virtual.firmware.data_model import Instance, Resource
from bench.virtual.radio.modem import Modem

LTE_FDD, NB_IOT, WLAN = 6, 7, 21
"""Network bearers (OMA object 4, resource 0)."""
BEARERS = {"LTE-M": LTE_FDD, "NB-IoT": NB_IOT, "Wi-Fi": WLAN}


def connectivity(modem: Modem) -> Instance:
    """The object's one instance; strength (2) in dBm and quality (3) are measured when they are read."""
    bearer = BEARERS[modem.reception.technology.name]
    return Instance(
        {
            0: Resource("int", read=lambda: bearer),
            1: Resource("int", read=lambda: {0: bearer}),
            2: Resource("int", read=lambda: round(modem.reception.measure().strength)),
            3: Resource("int", read=lambda: round(modem.reception.measure().quality)),
            4: Resource("str", read=lambda: {0: "127.0.0.1"}),
        }
    )
