"""The vocabulary of the Firmware Update Object (/5, and /33629): states, results, ways of delivery.

Source: OMA LwM2M object 5, versions 1.0 and 1.1; object 33629.
"""

from __future__ import annotations

from enum import Enum, IntEnum


class State(IntEnum):
    """Resource /5/0/3."""

    IDLE = 0
    DOWNLOADING = 1
    DOWNLOADED = 2
    UPDATING = 3


class Result(IntEnum):
    """Resource /5/0/5. 10 and 11 exist from object version 1.1 on, 12 and 13 in object 33629 alone."""

    INITIAL = 0
    SUCCESS = 1
    NOT_ENOUGH_FLASH = 2
    OUT_OF_RAM = 3
    CONNECTION_LOST = 4
    INTEGRITY_FAILED = 5
    UNSUPPORTED_PACKAGE = 6
    INVALID_URI = 7
    UPDATE_FAILED = 8
    UNSUPPORTED_PROTOCOL = 9
    CANCELLED = 10
    DEFERRED = 11
    CONFLICTING_STATE = 12
    DEPENDENCY_ERROR = 13


class Delivery(Enum):
    """How the package reaches the device: written to /5/0/0, or fetched from the URI in /5/0/1."""

    PUSH = "push"
    PULL = "pull"

    def __str__(self) -> str:
        return self.value


class Transport(Enum):
    """The scheme of a Package URI. `protocol` is its number in /5/0/8 (Protocol Support)."""

    COAP = "coap"
    COAPS = "coaps"
    HTTP = "http"
    HTTPS = "https"
    COAP_TCP = "coap+tcp"

    def __str__(self) -> str:
        return self.value

    @property
    def protocol(self) -> int:
        return list(Transport).index(self)


def in_words(state: State, result: Result) -> str:
    """Such as "IDLE with result 8 (UPDATE_FAILED)"."""
    return f"{state.name} with result {result.value} ({result.name})"
