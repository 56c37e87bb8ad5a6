"""Bench files: what is attached to one bench PC."""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    SecretStr,
    Tag,
    field_validator,
    model_validator,
)

from bench.config.images import ImageFiles
from bench.config.secret import found_secret
from bench.config.swd_targets import why_unknown
from bench.config.table import Table


class SwdAttachment(Table):
    """A debug probe, chosen by its unique id (never by position)."""

    kind: Literal["swd"]
    uid: str = Field(min_length=1)
    target: str = "nrf91"
    frequency: int = Field(4_000_000, gt=0)

    @field_validator("target")
    @classmethod
    def _is_known(cls, target: str) -> str:
        if (why := why_unknown(target)) is not None:
            raise ValueError(why)
        return target


class RomSerialAttachment(Table):
    """The ROM bootloader on the console's serial port; `mac` guards against the wrong board."""

    kind: Literal["rom-serial"]
    mac: str | None = Field(None, pattern=r"^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$")
    baud: int = Field(460800, gt=0)


class NetworkSettings(Table):
    """A path of the bench's own between a device and the server, which it may impair.

    The device is told `advertise`, or else the address of the path, on `port` (0: a free one) of the
    server's host. The rest is how bad the path is each way, until a testcase makes it worse:
    probabilities `loss`, `duplicate` and `reorder`, seconds `delay` and `jitter`, bits a second
    `bandwidth`.
    """

    port: int = Field(0, ge=0, le=65535)
    advertise: str | None = None
    loss: float = Field(0.0, ge=0, lt=1)
    duplicate: float = Field(0.0, ge=0, lt=1)
    reorder: float = Field(0.0, ge=0, lt=1)
    delay: NonNegativeFloat = 0.0
    jitter: NonNegativeFloat = 0.0
    bandwidth: PositiveFloat | None = None


class SecuritySettings(Table):
    """What a device proves who it is with, over DTLS: a pre-shared key, or a certificate.

    `psk_key` is in hexadecimal digits, or says where they are (`bench.config.secret`); `certificate_name` is
    the common name of the device's certificate, which [server] client_ca vouches for.

    `server_ca` is the CA that it trusts, a PEM file; with its private key, `server_ca_key`, the bench makes
    certificates of that CA which the device must not believe. A device that is given its certificate over the
    console has `certificate` and `certificate_key` too.
    """

    psk_identity: str | None = Field(None, min_length=1)
    psk_key: SecretStr | None = None
    certificate_name: str | None = Field(None, min_length=1)
    certificate: Path | None = None
    certificate_key: Path | None = None
    server_ca: Path | None = None
    server_ca_key: Path | None = None

    @field_validator("psk_key")
    @classmethod
    def _is_hexadecimal(cls, key: SecretStr | None) -> SecretStr | None:
        if key is None:
            return None
        key = SecretStr(found_secret(key.get_secret_value()))
        try:
            length = len(bytes.fromhex(key.get_secret_value()))
        except ValueError:
            raise ValueError("not hexadecimal digits") from None
        if not 1 <= length <= 256:
            raise ValueError(f"{length} bytes, where 1 to 256 are needed")
        return key

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.psk_identity is None) != (self.psk_key is None):
            raise ValueError("psk_identity and psk_key belong together")
        if (self.psk_identity is None) == (self.certificate_name is None):
            raise ValueError("give psk_identity and psk_key, or certificate_name")
        given = [self.certificate is not None, self.certificate_key is not None]
        if any(given) and (self.certificate_name is None or self.server_ca is None or not all(given)):
            raise ValueError(
                "certificate and certificate_key need certificate_name and server_ca, and each other"
            )
        if self.server_ca_key is not None and self.server_ca is None:
            raise ValueError("server_ca_key needs server_ca")
        return self

    @property
    def identity(self) -> str:
        return self.psk_identity or self.certificate_name or ""

    @property
    def key(self) -> str:
        """The pre-shared key in hexadecimal digits, "" without one."""
        return "" if self.psk_key is None else self.psk_key.get_secret_value()


class VirtualSettings(Table):
    """How a board of a virtual bench is made.

    `bootloader`: the bench's model of MCUboot, or machine code: the part that `images.factory` has for 0x0,
    executed from reset on. `upgrade` is then what that bootloader does with an update, by which the virtual
    application knows where it has to be written.
    """

    bootloader: Literal["model", "binary"] = "model"
    upgrade: Literal["move", "scratch", "offset", "overwrite-only", "direct-xip"] = "move"


class ProcessSettings(Table):
    """A client program under test; everything else is in its board file."""

    type: str
    serial: str = Field("host process", min_length=1)
    endpoint: str = Field(min_length=1)
    network: NetworkSettings | None = None
    security: SecuritySettings | None = None


class BoardSettings(Table):
    """One attached board."""

    type: str
    serial: str = Field(min_length=1)
    endpoint: str = Field(min_length=1)
    network: NetworkSettings | None = None
    security: SecuritySettings | None = None
    console: str = Field(min_length=1)
    flasher: Annotated[SwdAttachment | RomSerialAttachment, Field(discriminator="kind")]
    supply: str = Field(pattern=r"^[\w-]+:\d+$", description="instrument:channel")
    attenuator: str | None = Field(None, pattern=r"^[\w-]+:\w+$", description="instrument:path")
    meter: str | None = Field(None, pattern=r"^[\w-]+:\d+$", description="instrument:channel")
    voltmeter: str | None = Field(None, pattern=r"^[\w-]+$", description="instrument across its supply rail")
    images: ImageFiles
    virtual: VirtualSettings | None = None


def _kind_of(value: Any) -> str:
    """A board without any wire of its own is a program."""
    if isinstance(value, dict):
        return "board" if {"console", "flasher", "supply"} & value.keys() else "process"
    return "process" if isinstance(value, ProcessSettings) else "board"


AnyBoardSettings = BoardSettings | ProcessSettings


class InstrumentSettings(Table):
    """One instrument: driver name, VISA address, and the `*IDN?` text it must answer (or begin with).

    `calibration_due` is the last day on which its calibration holds. `user` and `password` are for a web
    interface that wants them; `step` (dB) for an attenuator whose steps its model name does not tell.
    """

    driver: str
    address: str
    identity: str | None = None
    calibration_due: datetime.date | None = None
    user: str | None = None
    password: SecretStr | None = None
    step: float | None = Field(None, gt=0, le=10, allow_inf_nan=False)

    @property
    def options(self) -> dict[str, Any]:
        """What is told to the driver beyond name, address and identity, as `open_instrument` takes it."""
        secret = None if self.password is None else found_secret(self.password.get_secret_value())
        return {"user": self.user, "password": secret, "step": self.step}


class ServerSettings(Table):
    """Where the LwM2M server listens; port 0 takes a free one. `advertise` is what devices are told.

    Where nothing is advertised and `host` is every address of this PC ("0.0.0.0", "::"), boards are told the
    one that the way to `route_to` begins at, any address in their network; or the only one there is.

    `name` is a host name that devices resolve to this PC, and `ipv6` an IPv6 address of it where the server
    and the package server listen too, at the same ports: for Package URIs, which testcases write with either.

    `secure_port` and `secure_advertise` are the same for devices with credentials, over DTLS; for those
    with certificates: PEM files of the server's `certificate` (chain) and its key, and `client_ca`, which
    clients' certificates must come from.
    """

    host: str = "127.0.0.1"
    route_to: str | None = None
    port: int = Field(5683, ge=0, le=65535)
    advertise: str | None = None
    name: str | None = Field(default=None, min_length=1)
    ipv6: str | None = None
    secure_port: int = Field(5684, ge=0, le=65535)
    secure_advertise: str | None = None
    certificate: Path | None = None
    certificate_key: Path | None = None
    client_ca: Path | None = None

    @field_validator("ipv6")
    @classmethod
    def _is_ipv6(cls, text: str | None) -> str | None:
        if text is not None:
            try:
                ipaddress.IPv6Address(text)
            except ValueError as reason:
                raise ValueError(f"no IPv6 address: {reason}") from None
        return text

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.certificate is None) != (self.certificate_key is None):
            raise ValueError("certificate and certificate_key belong together")
        if self.client_ca is not None and self.certificate is None:
            raise ValueError("client_ca needs certificate and certificate_key")
        return self


class DoorSettings(Table):
    """Where packages are served over one scheme: port 0 takes a free one; `advertise` is "scheme://HOST:PORT"."""

    port: int = Field(0, ge=0, le=65535)
    advertise: str | None = None


class BenchTable(Table):
    """`requirements` is a file of requirements of the project's own, beside those that the bench knows.

    `record` is where the record of all runs on these boards is kept, instead of beside the bench file.
    `product` and `firmware_revision` (of the sources of the update) stand on the first page of a sign-off.
    """

    name: str
    plant: str | None = None
    test_timeout: float | None = Field(None, gt=0, description="wall seconds a testcase may take")
    requirements: Path | None = None
    record: Path | None = None
    product: str | None = Field(None, min_length=1)
    firmware_revision: str | None = Field(None, min_length=1)


class BenchSettings(Table):
    """One bench file; what its tables must be to each other is in `bench.config.rules`."""

    bench: BenchTable
    server: ServerSettings = ServerSettings(port=5683, secure_port=5684)
    packages: dict[Literal["http", "https", "coap+tcp"], DoorSettings] = {}
    instruments: dict[str, InstrumentSettings] = {}
    boards: dict[
        str,
        Annotated[
            Annotated[BoardSettings, Tag("board")] | Annotated[ProcessSettings, Tag("process")],
            Discriminator(_kind_of),
        ],
    ] = Field(min_length=1)

    def secrets(self) -> Iterator[str]:
        """What no output may show: keys, passwords, and those in the addresses of instruments and doors."""
        addresses = [door.advertise for door in self.packages.values()]
        addresses += [self.server.advertise, self.server.secure_advertise]
        for instrument in self.instruments.values():
            addresses.append(instrument.address)
            yield instrument.options["password"] or ""
        for board in self.boards.values():
            if board.security is not None:
                yield board.security.key
        for address in addresses:
            if address is not None and (given := re.search(r"//[^/@:]*:([^/@]+)@", address)):
                yield given[1]
