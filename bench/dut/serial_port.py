"""A serial port whose DTR and RTS are held as a board wants them, reached without a pulse that resets it.

What the lines do:

- USB bridges of Nordic's kits leave the UART tri-stated until the host sets DTR (Nordic, "Virtual serial
  port" in the hardware guides of nRF52 DK, nRF52833 DK, nRF21540 DK and nRF54L15 DK). So do other debug
  probes: Microchip's on-board debuggers (data sheets, 3.1.4 "Signaling"), Raspberry Pi's CMSIS-DAP
  debugprobe (raspberrypi/debugprobe#32).
- Espressif's kits have two transistors: RTS alone pulls EN low (reset), DTR alone pulls GPIO0 low (boot
  mode), both on and both off do nothing (table "Auto program" in the schematics of ESP-Prog V2.1 and of the
  DevKits).

What opening does: Linux raises both in one go, whatever was asked for (`tty_port_block_til_ready` calls
`tty_port_raise_dtr_rts`; `acm_port_dtr_rts` and `cp210x_dtr_rts` send one request for both), and drops both
in one go at closing (HUPCL). pyserial then sets DTR first and RTS second (serialposix.py, `open`): clearing
both so passes through "RTS alone", and the ESP32 starts anew. On Windows both are in the DCB that pyserial
sets at opening (serialwin32.py, `_reconfigure_port`), and esptool clears both before it opens there
(esptool/loader.py).
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Any, NamedTuple

import serial

SET_BY_OPENING = os.name == "nt"
"""Whether opening a local port puts DTR and RTS where they were asked for, without a state in between."""

_NO_LINES = (errno.ENOTTY, errno.EINVAL)
"""What the system says of a port that has no such lines, as a pseudo terminal."""


class Lines(NamedTuple):
    """Whether DTR and RTS are on (asserted, at 0 V on the wire)."""

    dtr: bool = False
    rts: bool = False

    def __str__(self) -> str:
        return f"DTR {'on' if self.dtr else 'off'} and RTS {'on' if self.rts else 'off'}"


RELEASED = Lines()


def open_port(url: str, baud: int, lines: Lines, *, read_timeout: float) -> Any:
    """An open pyserial port that holds `lines`, for this process alone where the system can.

    `url` is a device name or any URL pyserial knows; `read_timeout` in seconds. Raises pyserial's own errors.
    """
    port = serial.serial_for_url(url, do_not_open=True)
    port.baudrate = baud
    port.timeout = read_timeout
    port.write_timeout = 5.0
    with contextlib.suppress(AttributeError, ValueError):  # not known to every kind of port
        port.exclusive = True
    if SET_BY_OPENING and not url.lower().startswith("rfc2217:"):
        port.dtr, port.rts = lines
    port.open()  # else with both on, as pyserial does unless told: Linux has raised both by then
    try:
        hold(port, lines)
    except BaseException:
        port.close()
        raise
    return port


def hold(port: Any, lines: Lines) -> None:
    """Bring an open port's DTR and RTS to `lines`, never through RTS alone, which resets an ESP32.

    Does nothing on a port that has no such lines.
    """
    try:
        if not lines.rts:
            port.rts = False
        port.dtr = lines.dtr
        port.rts = lines.rts
    except OSError as fault:
        if fault.errno not in _NO_LINES:
            raise
