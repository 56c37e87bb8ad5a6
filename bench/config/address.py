"""Addresses of instruments: which forms there are, and what was meant by one that is none.

Sources: VISA names: VPP-4.3, 4.3.1.1 (address string grammar), as PyVISA parses them; what pyvisa-py can
open of them; names and URLs of serial ports: pyserial's documentation of `serial_for_url`.
"""

from __future__ import annotations

import difflib
import enum
import importlib.util
import ipaddress
import re
import urllib.parse

import serial
from pyvisa import rname

_INTERFACES = ("TCPIP", "GPIB", "USB", "ASRL", "PXI", "VXI", "VICP")
_CLASSES = ("INSTR", "SOCKET", "RAW", "INTFC", "BACKPLANE", "MEMACC")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_LAN_DEVICE = re.compile(r"(hislip|inst|gpib|vxi|usb)\d*(,.*)?", re.IGNORECASE)
_USUAL_PORT = "5025"
"""The raw SCPI port that IANA lists, for suggestions."""


class AddressKind(enum.StrEnum):
    """What an address leads to; the value is how people call it."""

    VISA = "a VISA name such as TCPIP::192.168.1.40::5025::SOCKET"
    SERIAL = "a serial port such as COM3, /dev/ttyUSB0 or ASRL3::INSTR"
    HTTP = "a web interface such as http://192.168.1.40"


def address_kinds(address: str) -> frozenset[AddressKind]:
    """What `address` can be used as. Raises `ValueError` with its mistake, and what may be meant."""
    if not address:
        raise ValueError("there is no address")
    if odd := sorted({c for c in address if c.isspace() or not c.isprintable()}):
        raise ValueError(f"no address has {', '.join(map(repr, odd))} in it")
    if "://" in address:
        return _url(address)
    if "::" in address or _is_like_visa(address):
        return _visa(address)
    if re.fullmatch(r"(/|\\\\\.\\).+|COM\d+", address, re.IGNORECASE):
        return frozenset({AddressKind.SERIAL})
    if re.fullmatch(r"(tty|cu\.|serial/).+", address):
        raise ValueError(f"it is no address; did you mean '/dev/{address}'?")
    host, _, port = address.partition(":")
    if _host_mistake(host) is None and (port.isdigit() or ("." in host and not port)):
        meant = f"TCPIP::{host}::{port or _USUAL_PORT}::SOCKET"
        raise ValueError(f"it is no address; did you mean '{meant}', or 'http://{address}'?")
    raise ValueError(f"it is no address; write {_any(AddressKind)}")


def is_left_to_a_plant(address: str) -> bool:
    """Whether `address` has port 0, which a virtual bench replaces by the one its instrument listens on."""
    return re.search(r"::0::SOCKET$|^http://[^/]*:0/?$", address, re.IGNORECASE) is not None


def _any(kinds: object) -> str:
    return ", or ".join(str(kind) for kind in kinds)  # type: ignore[attr-defined]


def _is_like_visa(address: str) -> bool:
    return re.match(rf"({'|'.join(_INTERFACES)})(\d*$|\d*:|/|COM|::)", address, re.IGNORECASE) is not None


# ---- URLs


def _url(address: str) -> frozenset[AddressKind]:
    scheme = address.partition("://")[0]
    if scheme.lower() != "http":
        return _serial_url(address, scheme)
    try:
        url = urllib.parse.urlsplit(address)
        host, port = url.hostname, url.port
    except ValueError as mistake:
        raise ValueError(f"it is no URL: {mistake}") from None
    if url.username is not None or url.password is not None:
        raise ValueError("user and password do not belong in the address; give the keys user and password")
    if not host or (mistake_in_host := _host_mistake(host, six=True)) is not None:
        raise ValueError(f"it is no URL: {mistake_in_host if host else 'no host'}")
    if url.path not in ("", "/") or url.query or url.fragment:
        meant = f"http://{url.netloc}"
        raise ValueError(f"the driver knows the path itself; did you mean '{meant}'?")
    if port is not None and not 0 <= port <= 65535:
        raise ValueError(f"no port has the number {port}")
    return frozenset({AddressKind.HTTP})


def _serial_url(address: str, scheme: str) -> frozenset[AddressKind]:
    if scheme.isidentifier() and any(
        importlib.util.find_spec(f"{package}.protocol_{scheme}") is not None
        for package in serial.protocol_handler_packages
    ):
        return frozenset({AddressKind.SERIAL})
    if scheme.lower() == "https" or difflib.get_close_matches(scheme.lower(), ("http",), cutoff=0.7):
        rest = address.partition("://")[2]
        raise ValueError(f"{scheme}:// is not spoken; did you mean 'http://{rest}'?")
    raise ValueError(f"{scheme}:// is not spoken; write {_any(AddressKind)}")


# ---- VISA names


def _visa(address: str) -> frozenset[AddressKind]:
    try:
        name = rname.ResourceName.from_string(address)
    except ValueError as mistake:
        raise ValueError(_told(address, str(mistake))) from None
    if (mistake_in_part := _part_mistake(name)) is not None:
        raise ValueError(_told(address, mistake_in_part))
    if isinstance(name, rname.ASRLInstr):
        return frozenset({AddressKind.VISA, AddressKind.SERIAL})
    return frozenset({AddressKind.VISA})


def _told(address: str, mistake: str) -> str:
    for introduction in (f"Could not parse '{address}'. ", f"Could not parse {address}: "):
        mistake = mistake.removeprefix(introduction)
    reason = re.sub(r"^The syntax is '(.*?)'", r"its form is \1", mistake.rstrip("."))
    if "[" in address or ("too many parts" in reason and re.search(r"::[0-9a-f]{1,4}::\d+::", address, re.I)):
        return "a VISA name cannot hold an IPv6 address; write the instrument's IPv4 address or its name"
    meant = _meant(address)
    return f"{reason}; did you mean '{meant}'?" if meant else reason


def _part_mistake(name: rname.ResourceName) -> str | None:
    match name:
        case rname.TCPIPSocket():
            if not name.port.isdigit() or int(name.port) > 65535:
                return f"the port is {name.port!r}, no number up to 65535"
            return _host_mistake(name.host_address)
        case rname.TCPIPInstr():
            device, _, port = name.lan_device_name.partition(",")
            if device.isdigit():
                return f"with INSTR {device} is the name of a LAN device, not a port"
            if port and not port.isdigit():
                return f"the port is {port!r}, no number"
            return _host_mistake(name.host_address.partition(",")[0])  # VXI-11: host,port
        case rname.ASRLInstr():
            return "it names no serial port" if name.board in ("", "0") else None
        case rname.GPIBInstr():
            return _gpib_mistake(name)
        case rname.USBInstr() | rname.USBRaw():
            for what, text in (("manufacturer id", name.manufacturer_id), ("model code", name.model_code)):
                if re.fullmatch(r"0x[0-9a-f]{1,4}|\d{1,5}", text, re.IGNORECASE) is None:
                    return f"the {what} is {text!r}, no number such as 0x2A8D"
            return None
    return f"{name.interface_type} {name.resource_class} cannot be opened by pyvisa-py"


def _gpib_mistake(name: rname.GPIBInstr) -> str | None:
    if not name.board.isdigit():
        return f"the board is {name.board!r}, no number"
    for what, text in (("primary", name.primary_address), ("secondary", name.secondary_address)):
        if text and not (text.isdigit() and int(text) <= 30):
            return f"the {what} address is {text!r}, no number from 0 to 30"
    return None


def _meant(address: str) -> str | None:
    """The name that `address` is nearest to, if there is one."""
    parts = [part for part in re.split(r":+", address) if part]
    if len(parts) < 2:
        return None
    head = re.fullmatch(r"([A-Za-z-]+)(\d*)", parts[0])
    kind = head and difflib.get_close_matches(head[1].upper(), _INTERFACES, 1, cutoff=0.6)
    if not head or not kind:
        return None
    last = difflib.get_close_matches(parts[-1].upper(), _CLASSES, 1, cutoff=0.7)
    middle = parts[1:-1] if last else parts[1:]
    if kind[0] == "TCPIP" and middle:
        middle, last = _meant_lan(middle, last)
    elif kind[0] == "USB":
        middle = [
            f"0x{p}" if i < 2 and re.fullmatch(r"[0-9a-f]{4}", p, re.I) else p for i, p in enumerate(middle)
        ]
    meant = "::".join([kind[0] + head[2], *middle, *(last or ["INSTR"])])
    try:
        if meant != address and _part_mistake(rname.ResourceName.from_string(meant)) is None:
            return meant
    except ValueError:
        pass
    return None


def _meant_lan(middle: list[str], last: list[str]) -> tuple[list[str], list[str]]:
    """Host and port belong to SOCKET; host and the name of a LAN device to INSTR."""
    host, *rest = middle
    if re.fullmatch(r"[\d.]+", host):
        host = ".".join(str(int(part)) if part else "" for part in host.split("."))
    if rest and rest[0].isdigit():
        return [host, rest[0]], ["SOCKET"]
    if rest and _LAN_DEVICE.fullmatch(rest[0]):
        return [host, rest[0]], ["INSTR"]
    if not rest and last == ["SOCKET"]:
        return [host, _USUAL_PORT], last
    return [host, *rest], last


# ---- hosts


def _host_mistake(host: str, *, six: bool = False) -> str | None:
    """What is wrong with a host's name or address; None when nothing is. `six`: IPv6 is understood too."""
    if re.fullmatch(r"[\d.]+", host) or ":" in host:
        try:
            found = ipaddress.ip_address(host)
        except ValueError:
            return f"{host!r} is no IP address"
        if found.version == 6 and not six:
            return f"{host!r} is an IPv6 address; write an IPv4 address or a name"
        if found.is_unspecified or found.is_multicast or host == "255.255.255.255":
            return f"{host!r} is no host's address"
        return None
    if len(host) > 253 or not all(map(_LABEL.fullmatch, host.removesuffix(".").split("."))):
        return f"{host!r} is no host's name"
    return None
