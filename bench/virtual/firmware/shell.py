"""The device's serial shell: how a bench or a factory tells it its server."""

from __future__ import annotations

import base64
import ipaddress
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.virtual.firmware.server_certificate import Certified

MAX_LINE = 2048
OF_CERTIFICATES = ("certificate", "private-key", "server-ca")


@dataclass(frozen=True, slots=True)
class Provision:
    """Where to register, as whom, for how many seconds.

    With `bootstrap` the address is a bootstrap server's: it will say where, and for how long. With
    `secure` it is to be talked to over DTLS, by the pre-shared `key` of `identity`, or by the
    device's own `certificate`, whose server has one of `server_ca` (each in DER).
    """

    host: str
    port: int
    endpoint: str
    lifetime: int
    bootstrap: bool = False
    secure: bool = False
    identity: str = ""
    key: bytes = field(default=b"", repr=False)
    certificate: bytes = b""
    private_key: bytes = field(default=b"", repr=False)
    server_ca: bytes = b""

    @property
    def own(self) -> Certified:
        return Certified(self.certificate, self.private_key, self.server_ca)


class Shell:
    """Collects bytes into lines and gives each to `command(line)`."""

    def __init__(self, command: Callable[[str], None]) -> None:
        self._command = command
        self._line = bytearray()

    def receive(self, data: bytes) -> None:
        for byte in data:
            if byte in b"\r\n":
                line, self._line = self._line.decode("utf-8", "replace").strip(), bytearray()
                if line:
                    self._command(line)
            elif len(self._line) < MAX_LINE:
                self._line.append(byte)


def parse_provision(arguments: list[str]) -> Provision:
    """`server=coap://HOST:PORT endpoint=NAME lifetime=SECONDS`, or `bootstrap=` in the place of `server=`.

    Either at `coaps://HOST:PORT` needs `psk-identity=NAME psk-key=HEX` too, or `certificate=`,
    `private-key=` and `server-ca=`, each DER in base64; they may be given, and are kept, with a plain one.

    Raises `ValueError` saying what is wrong.
    """
    values = dict(argument.partition("=")[::2] for argument in arguments)
    known = {"server", "bootstrap", "endpoint", "lifetime", "psk-identity", "psk-key", *OF_CERTIFICATES}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"unknown argument {unknown[0]}")
    which = "bootstrap" if "bootstrap" in values else "server"
    if {"server", "bootstrap"} <= values.keys():
        raise ValueError("server and bootstrap exclude each other")
    uri = urllib.parse.urlsplit(values.get(which, ""))
    secure = uri.scheme == "coaps"
    if not (uri.scheme == "coap" or secure) or not uri.hostname:
        raise ValueError(f"{which} must be coap://HOST:PORT")
    try:
        host = str(ipaddress.ip_address(uri.hostname))
    except ValueError:
        raise ValueError(f"host {uri.hostname} is no IP address") from None
    endpoint = values.get("endpoint", "")
    if not endpoint:
        raise ValueError("endpoint is missing")
    lifetime = values.get("lifetime", "300")
    if not (lifetime.isascii() and lifetime.isdigit()) or int(lifetime) < 1:
        raise ValueError(f"lifetime {lifetime} is no number of seconds")
    identity = values.get("psk-identity", "")
    try:
        key = bytes.fromhex(values.get("psk-key", ""))
    except ValueError:
        raise ValueError("psk-key is not hexadecimal") from None
    own = Certified(*(_decoded(name, values.get(name, "")) for name in OF_CERTIFICATES))
    if any(name in values for name in OF_CERTIFICATES):
        own.check()
    if secure and not (own or (identity and key)):
        raise ValueError(f"a coaps {which} needs psk-identity and psk-key, or certificates")
    port = uri.port or (5684 if secure else 5683)
    return Provision(
        *(host, port, endpoint, int(lifetime), which == "bootstrap", secure, identity, key),
        *(own.certificate, own.private_key, own.server_ca),
    )


def _decoded(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError(f"{name} is not base64") from None
