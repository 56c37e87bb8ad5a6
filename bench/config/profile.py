"""How a board's stack implements object 5, and what the board can do."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from bench.config.table import Table

StateName = Literal["idle", "downloading", "downloaded"]
DeviationName = Literal[
    "downloading-not-shown",
    "updating-not-shown",
    "result-not-cleared",
    "failed-download-keeps-state",
    "integrity-failure-is-update-failure",
]
TransportName = Literal["coap", "coaps", "coap+tcp", "coaps+tcp", "http", "https"]


DeliveryName = Literal["push", "pull"]


class DocumentedDeviation(Table):
    """Where a deviation is `documented`, and by which `delivery` alone it shows (None: by both)."""

    documented: str = Field(min_length=1)
    delivery: DeliveryName | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"documented": value} if isinstance(value, str) else value


class Transmission(Table):
    """CoAP's transmission parameters as the device has them, by the names of RFC 7252 section 4.8.

    Values that make it slower must be known to whom it talks to; a smaller `ack_timeout` (seconds) or a
    larger `nstart` is for a device with a congestion control of its own (section 4.8.1).
    """

    ack_timeout: float = Field(default=2.0, gt=0)
    ack_random_factor: float = Field(default=1.5, ge=1)
    max_retransmit: int = Field(default=4, ge=1, le=20)
    nstart: int = Field(default=1, ge=1)

    @property
    def span(self) -> float:
        """MAX_TRANSMIT_SPAN: seconds from the first copy of a message to the last (section 4.8.2)."""
        return self.ack_timeout * (2**self.max_retransmit - 1) * self.ack_random_factor

    @property
    def wait(self) -> float:
        """MAX_TRANSMIT_WAIT: seconds until it is given up (section 4.8.2)."""
        return self.ack_timeout * (2 ** (self.max_retransmit + 1) - 1) * self.ack_random_factor

    @property
    def lifetime(self) -> float:
        """EXCHANGE_LIFETIME: seconds that a message ID belongs to one message (section 4.8.2)."""
        return self.span + 2 * MAX_LATENCY + self.ack_timeout


MAX_LATENCY = 100.0
"""Seconds that a datagram may take (RFC 7252 section 4.8.2)."""


class UpdateProfile(Table):
    """How this board's stack implements object /5, where the standard leaves room or the stack differs.

    `object` is the object's version, `instance` the one that takes the application: of object 5, or of
    33629 on a board that keeps it there; `delivery` says how it takes packages, which the device tells
    in resource 9 (Firmware Update Delivery Method); `push_block` is the size of the blocks of a PUSH, in
    bytes, where it takes no larger ones and does not say so; `transports` are the schemes of the Package
    URI it can fetch from; `resets_in` and `cancels_in` are the states in which an empty URI or package, and
    Cancel, take it back to Idle; `failed_update_to` is where a failed installation leads (default: what the
    object's version says); `resumes_after` says what an interrupted PULL survives without starting
    over; `transmission` are CoAP's parameters; `deviations` maps the name of a known deviation (see
    `bench.firmware_update.deviations`) to where it is documented.
    """

    object: Literal["1.0", "1.1", "1.2"] = "1.0"
    instance: str = Field(default="/5/0", pattern=r"^/(5/0|33629/\d{1,5})$")
    delivery: tuple[DeliveryName, ...] = Field(default=("push", "pull"), min_length=1, max_length=2)
    push_block: Literal[16, 32, 64, 128, 256, 512, 1024] = 1024
    transports: tuple[TransportName, ...] = ("coap",)
    resets_in: tuple[StateName, ...] = ("idle", "downloading", "downloaded")
    cancels_in: tuple[StateName, ...] = ("downloading", "downloaded")
    failed_update_to: Literal["idle", "downloaded", "either"] | None = None
    resumes_after: tuple[Literal["outage", "reboot"], ...] = ()
    transmission: Transmission = Transmission()
    deviations: dict[DeviationName, DocumentedDeviation] = {}

    @property
    def failure_targets(self) -> tuple[Literal["idle", "downloaded"], ...]:
        """Where a failed installation may lead.

        Version 1.0 of the object says Downloaded; 1.1 Idle or Downloaded, "depending on the underlying
        reason" (OMA object 5, resource 3).
        """
        said = self.failed_update_to or ("downloaded" if self.object == "1.0" else "either")
        return ("idle", "downloaded") if said == "either" else (said,)


class Capability(Table):
    """Something a testcase needs and not every board can do.

    `command` is sent to the console and answered by `answer`, where that is how it is done; `undo`
    takes it back. `missing` gives the reason why the board cannot.
    """

    written = 'give true, or { missing = "the reason why it cannot" }'
    command: str | None = None
    answer: str | None = None
    undo: str | None = None
    missing: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_true(cls, value: Any) -> Any:
        return {} if value is True else value


CAPABILITIES = {
    "readback": "the flash can be read back",
    "exhaust-ram": "the device can be made to run out of RAM",
    "defer": "a user can defer the update",
    "send": "the device can be told to report by LwM2M Send",
    "outage": "the path between device and server can be interrupted",
    "reset-pin": "the chip can be reset by its reset pin",
    "reset-debugger": "the chip can be reset by a debugger",
    "reset-watchdog": "the application can be made to hang until its watchdog resets it",
    "bootstrap": "the device can be told a bootstrap server in the place of its server",
    "host-names": "the device resolves host names",
    "ipv6": "the device reaches IPv6 addresses",
    "psm": "the device can be told to sleep in power saving mode, and to stop it",
    "keeps-settings": "what a server has written, such as Lifetime (/1/0/1), outlasts a restart",
    "signal": "the device reports the strength of its radio signal (object 4)",
    "anti-rollback": "images of a lower security counter are refused; installing a baseline resets it",
    "downgrade-prevention": "images of a lower version are refused",
    "dependencies": "images whose dependencies are not met are refused (MCUboot: of several images)",
    "signature": "images without a signature, or with another key's, are refused",
    "appended-hash": "a wrong SHA-256 behind a well signed ESP32 image is refused",
    "board-check": "images for another board are refused, those for another chip apart",
    "trailer-check": "packages that reach into what the bootloader keeps at a slot's end are refused",
    "verified-boot": "the bootloader verifies at each start what it starts",
    "components": "the device has object 33629",
}
"""Every name that a board file's [capabilities] may use, and what it means."""
