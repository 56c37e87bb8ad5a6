"""The cellular modem's AT commands that the device passes through from its console.

Source: nRF91x1/nRF9160 AT Commands Reference Guide (`+CESQ`, `%CONEVAL`, `+CEREG`, `+CPSMS`,
`+CEDRXS`, `+CGSN`, `+CGMR`) and 3GPP TS 27.007; the indices are those of 3GPP TS 36.133, 9.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from bench.virtual.radio.modem import Modem

UNKNOWN = 255
OK, ERROR = "OK", "ERROR"
_CELL, _PLMN, _PHYSICAL_CELL, _EARFCN, _BAND = "014B5200", "24201", 331, 6300, 20
MODEM_FIRMWARE = "mfw_nrf9160_1.3.5"
NO_CELL = 1
"""Result of `%CONEVAL`: evaluation failed, no cell available."""


class AtCommands:
    """`on_power_saving(on)` is called when `+CPSMS` was set; one that tells no `imei` has none."""

    def __init__(self, modem: Modem, on_power_saving: Callable[[bool], None], imei: str = "") -> None:
        self._modem = modem
        self._imei = imei
        self._on_power_saving = on_power_saving

    def answer(self, line: str) -> list[str]:
        """The lines that a command is answered by; `OK` or `ERROR` is the last."""
        command = line.strip().upper()
        match command:
            case "AT":
                return [OK]
            case "AT+CGSN" if self._imei:
                return [self._imei, OK]
            case "AT+CGMR" if self._imei:
                return [MODEM_FIRMWARE, OK]
            case "AT+CESQ":
                return [f"+CESQ: 99,99,255,255,{self._quality()},{self._strength()}", OK]
            case "AT%CONEVAL":
                return [f"%CONEVAL: {self._evaluation()}", OK]
            case "AT+CEREG?":
                return [f"+CEREG: 0,{1 if self._modem.serving else 2}", OK]
            case "AT+CPSMS?":
                return [f"+CPSMS: {int(self._modem.saves_power)}", OK]
            case "AT+CEDRXS?":
                return ['+CEDRXS: 4,"0101"', OK] if self._modem.extended_drx else [OK]
            case 'AT+CEDRXS=1,4,"0101"' | "AT+CEDRXS=0":  # 4: LTE-M; 0101: a cycle of 81.92 s
                self._modem.extended_drx = command.startswith("AT+CEDRXS=1")
                return [OK]
            case "AT+CPSMS=0" | "AT+CPSMS=1":
                self._on_power_saving(command.endswith("1"))
                return [OK]
        return [ERROR]

    def _strength(self) -> int:
        """RSRP index of `+CESQ`: 0 is below -140 dBm, 97 is -44 dBm and above."""
        return max(0, self._rsrp())

    def _rsrp(self) -> int:
        """RSRP index of `%CONEVAL`: -17 is below -156 dBm, -1 below -140 dBm, 1 next above; 0 is not used."""
        if not self._modem.serving:
            return UNKNOWN
        step = math.floor(self._modem.reception.measure().strength)
        return max(-17, step + 140) if step < -140 else min(97, step + 141)

    def _quality(self) -> int:
        """RSRQ index: 0 is below -19.5 dB, 34 is -3 dB and above, in steps of 0.5 dB."""
        if not self._modem.serving:
            return UNKNOWN
        return min(34, max(0, math.floor((self._modem.reception.measure().quality + 20) * 2)))

    def _evaluation(self) -> str:
        modem = self._modem
        if not modem.serving:
            return str(NO_CELL)
        reception, link = modem.reception, modem.link
        strength = reception.strength
        snr = round(reception.technology.sinr(strength)) + 24
        energy = 9 if strength > -105 else 7 if strength > -114 else 6 if strength > -118 else 5
        loss = round(15 - strength)  # the cell sends its reference signal with 15 dBm
        fields = (
            *(0, 1, energy, self._rsrp(), self._quality(), snr),
            *(f'"{_CELL}"', f'"{_PLMN}"', _PHYSICAL_CELL, _EARFCN, _BAND, 0, 0),
            *(round(reception.power), link.repetitions, link.repetitions, loss),
        )
        return ",".join(map(str, fields))
