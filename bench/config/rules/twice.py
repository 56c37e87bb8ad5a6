"""What only one can have: a second use of it is a mistake."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.config.draft import Draft
from bench.config.finding import Finding, shown
from bench.config.shape import Part, dotted

SERVER_PORTS = {"port": 5683, "secure_port": 5684}
"""Where the server listens unless the file says otherwise (RFC 7252, 12.6 and 12.7)."""


@dataclass(frozen=True, slots=True)
class Use:
    """`same` is alike for two that are the same `what`."""

    what: str
    same: str
    key: tuple[Part, ...]
    value: Any
    cure: str

    @property
    def board(self) -> str | None:
        return str(self.key[1]) if self.key[0] == "boards" else None


def used_twice(draft: Draft) -> Iterator[Finding]:
    """The same probe, MAC, serial number, port, output, endpoint, identity or address, given twice."""
    first: dict[tuple[str, str], Use] = {}
    for use in (*_of_server(draft), *_of_instruments(draft), *_of_boards(draft)):
        other = first.setdefault((use.what, use.same), use)
        if other is use:
            continue
        if use.board not in (None, *draft.wanted) and other.board in draft.wanted:
            use, other = other, use
        said = shown(dotted(other.key), other.value)
        yield draft.finding(
            use.key, use.value, f"{use.what} {said} is already used by {dotted(other.key)}", use.cure
        )


_OF_FLASHER = {
    "uid": ("probe", "each board has a probe of its own: see `pyocd list`"),
    "mac": ("MAC", "each board has a MAC of its own: see `esptool read-mac`"),
}
_OF_BOARD = {
    "serial": ("serial number", "give each board its own"),
    "endpoint": ("endpoint", "give each board its own"),
    "console": ("port", "each console and each instrument has a serial port of its own"),
    "supply": ("supply", "each board hangs on an output of its own"),
    "attenuator": ("attenuator", "each board has a path of its own to its base station"),
    "meter": ("meter", "a meter measures one board"),
}
_OF_SECURITY = {
    "psk_identity": ("identity", "give each board credentials of its own"),
    "certificate_name": ("identity", "give each board credentials of its own"),
}
_OF_NETWORK = {
    "port": ("UDP port", "give each its own port, or 0 for a free one"),
    "advertise": ("address", "each path has an address of its own"),
}
"""What each key of a board stands for, and what to do when two have it."""


def _of_boards(draft: Draft) -> Iterator[Use]:
    for name in draft.boards:
        for inside, known in (
            ((), _OF_BOARD),
            (("flasher",), _OF_FLASHER),
            (("security",), _OF_SECURITY),
            (("network",), _OF_NETWORK),
        ):
            place = ("boards", name, *inside)
            table = draft.table(*place)
            for key, (what, cure) in known.items():
                if table.get(key):
                    yield Use(what, _alike(key, str(table[key])), (*place, key), table[key], cure)


def _alike(key: str, value: str) -> str:
    match key:
        case "endpoint" | "psk_identity" | "certificate_name":  # compared byte by byte
            return value
        case "console":
            return serial_port(value)
        case "supply" | "attenuator" | "meter":
            return _output(value)
    return value.casefold()


def _of_server(draft: Draft) -> Iterator[Use]:
    server, cure = draft.table("server"), "give each its own port, or 0 for a free one"
    secured = any(draft.table("boards", name, "security") for name in draft.boards)
    for key, usual in SERVER_PORTS.items():
        if key not in server and key == "secure_port" and not secured:
            continue  # nothing listens there
        port = server.get(key, usual)
        if port:
            yield Use("UDP port", str(port), ("server", key), port, cure)
    for key in ("advertise", "secure_advertise"):
        if key in server:
            address = server[key]
            yield Use("address", address.casefold(), ("server", key), address, _OF_NETWORK["advertise"][1])
    for scheme in draft.table("packages"):
        port = draft.table("packages", scheme).get("port")
        if port:
            yield Use("TCP port", str(port), ("packages", scheme, "port"), port, cure)


def _of_instruments(draft: Draft) -> Iterator[Use]:
    if draft.has_plant:  # it gives the addresses, and what stands in the file keeps their places
        return
    for name, instrument in draft.instruments.items():
        address = str(instrument.get("address", "")).strip()
        if not address:
            continue
        key = ("instruments", name, "address")
        if is_serial(address):
            yield Use("port", serial_port(address), key, address, _OF_BOARD["console"][1])
        else:
            yield Use("address", network_address(address), key, address, "name each instrument once")


def is_serial(address: str) -> bool:
    """Whether an instrument's address is a serial port: by its VISA name, or as the system calls it."""
    return re.match(r"ASRL|\\\\\.\\COM\d|COM\d+$|/", address, re.IGNORECASE) is not None


def serial_port(text: str) -> str:
    """What is alike for two names of one serial port.

    `ASRL3::INSTR`, `COM3` and `\\\\.\\COM3` are one on Windows; a link
    (/dev/serial/by-id/...) and the device that it leads to are one while it is there.
    """
    port = re.sub(r"^ASRL(.*?)(::INSTR)?$", r"\1", text.strip(), flags=re.IGNORECASE)
    if port.isdigit():
        port = f"COM{port}"
    windows = re.fullmatch(r"(?:\\\\\.\\)?(COM\d+):?", port, re.IGNORECASE)
    if windows is not None:
        return windows[1].casefold()
    if "://" in port:
        return port.casefold()
    try:
        return str(Path(port).resolve())
    except (OSError, ValueError, RuntimeError):  # a circle of links
        return port


def network_address(address: str) -> str:
    """What is alike for two names of one VISA resource or URL: case, board 0, INSTR, a port that is usual."""
    text = address.casefold().rstrip("/")
    if text.startswith("http://"):
        return text.removesuffix(":80")
    text = re.sub(r"^(tcpip|usb|gpib)0?::", r"\1::", text)
    return re.sub(r"(::inst0)?(::instr)?$", "", text)


def _output(named: str) -> str:
    """`psu:01` is `psu:1`."""
    name, _, output = named.partition(":")
    return f"{name}:{int(output)}" if output.isdecimal() else named
