"""A device under test as testcases see it: power, console, what it can do, and what it runs.

`hardware` is a board on the bench, `process` a client that runs as a host program.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from bench.clock import Clock
from bench.config import AnyBoardSettings, AnyBoardType, Capability
from bench.dut.console import Console
from bench.errors import ConsoleError, NotApplicable
from bench.firmware.image import FirmwareImage
from bench.firmware.image_set import ImageSet
from bench.instruments.attenuator import AttenuatorPath
from bench.instruments.current_meter import CurrentMeter
from bench.network.path import NetworkPath
from bench.timeline import Timeline

ResetWay = Literal["pin", "debugger", "watchdog"]


class Dut(ABC):
    """`name` is its name in the bench file, `type` its board file, `images` what it is tested with.

    `network` is the bench's own path between it and the server, `attenuator` the radio path to its antenna,
    and `meter` what measures its current, each where the bench file gives one;
    `on_gone` is called, on any thread, when `gone` becomes true; `on_restart` before the bench switches its
    supply on or resets it.
    """

    def __init__(
        self,
        name: str,
        settings: AnyBoardSettings,
        board_type: AnyBoardType,
        images: ImageSet,
        *,
        console: Console,
        clock: Clock,
        timeline: Timeline,
    ) -> None:
        self.name = name
        self.type = board_type
        self.endpoint: str = settings.endpoint
        self.serial: str = settings.serial
        self.images = images
        self.console = console
        self._clock = clock
        self._timeline = timeline
        self.installed: FirmwareImage | None = None
        self.network: NetworkPath | None = None
        self.attenuator: AttenuatorPath | None = None
        self.meter: CurrentMeter | None = None
        self.on_gone: Callable[[], None] = lambda: None
        self.on_restart: Callable[[], None] = lambda: None
        self._security = settings.security
        self.trusted_ca: bytes | None = None
        """The CA, in PEM, of the bench's https server, for devices that can be told."""

    @property
    def is_secured(self) -> bool:
        """Whether it has credentials, and so talks to the server over DTLS."""
        return self._security is not None

    @property
    def psk(self) -> tuple[bytes, bytes]:
        """Identity and key of its pre-shared key, both empty without credentials.

        Raises `NotApplicable` for a device with a certificate.
        """
        if self._security is None:
            return b"", b""
        if not self._security.key:
            raise NotApplicable(f"{self.name} has a certificate, and no pre-shared key")
        return self._security.identity.encode(), bytes.fromhex(self._security.key)

    @property
    def servers_ca(self) -> tuple[Path, Path | None]:
        """The CA that it knows its server by, and the CA's private key, where the bench has it: PEM files.

        Raises `NotApplicable` for a device without one.
        """
        if self._security is None or self._security.certificate_name is None:
            raise NotApplicable(f"{self.name} has no certificate, and asks the server for none")
        if self._security.server_ca is None:
            raise NotApplicable(
                f"the bench file gives no boards.{self.name}.security.server_ca: which CA does it trust?"
            )
        return self._security.server_ca, self._security.server_ca_key

    def __repr__(self) -> str:
        return f"<{self.type.name} {self.name} {self.serial}>"

    @abstractmethod
    def check(self) -> None:
        """Raise a `BenchError` for whatever is visibly missing. Powers nothing."""

    @abstractmethod
    def make_safe(self) -> None:
        """Switched off, and nothing set that could harm it."""

    @abstractmethod
    def install(self, image: FirmwareImage) -> None:
        """Factory state with `image`; ends switched off. Raises `ImageError` when it does not fit."""

    @abstractmethod
    def commission(self, server_uri: str) -> None:
        """Power the freshly installed device and have it register with `server_uri`."""

    @abstractmethod
    def commission_by_bootstrap(self, server_uri: str) -> None:
        """Power the freshly installed device, and tell it a bootstrap server alone.

        Raises `ConfigError` when its board file does not say how.
        """

    @abstractmethod
    def power_on(self) -> None: ...

    @abstractmethod
    def power_off(self) -> None:
        """It dies where it stands."""

    def power_cycle(self, off_time: float = 1.0) -> float:
        """Off, `off_time` seconds, on. Returns a moment at which it was off, in bench seconds."""
        self.power_off()
        off = self._clock.now()
        self._clock.sleep(off_time, f"{self.name}: supply off")
        self.power_on()
        return off

    def reset(self, way: ResetWay) -> None:
        """Reset it without taking its supply. A watchdog takes its time, which is not waited for.

        Raises `NotApplicable` when it cannot be reset that way.
        """
        how = self._how(f"reset-{way}")
        self._timeline.record(self.name, "reset", way)
        self.on_restart()
        if how.command is not None:
            self._command(how.command, how.answer)
        else:
            self._reset(way)

    def prove_reset(self, way: ResetWay) -> None:
        """As `reset`; and fail (`AssertionError`) when its chip says that it was another reset, or none.

        A watchdog is waited for. Where the chip does not tell, the timeline says "not checked".
        """
        self.reset(way)
        self._reset_not_told(way)

    def _reset_not_told(self, way: ResetWay) -> None:
        self._timeline.record(self.name, "not checked", f"that it was reset by {way}: its chip does not tell")

    def _reset(self, way: ResetWay) -> None:
        """By a wire of the bench."""
        raise NotApplicable(f"{self.name} has no wire that resets it by {way}")

    @property
    def gone(self) -> str | None:
        """Why it is dead although it is powered, as far as the bench can tell; else None."""
        return None

    @abstractmethod
    def check_supply(self) -> None:
        """Raise `InstrumentError` when its supply has cut it off: no fault of the product."""

    @contextlib.contextmanager
    def supply_checked(self) -> Iterator[None]:
        """Whatever ends the block, a supply that has cut the board off meanwhile is told instead."""
        try:
            yield
        except Exception:
            self.check_supply()
            raise
        self.check_supply()

    @abstractmethod
    def close(self) -> None:
        """Off, and everything that was opened closed, whatever state it is in."""

    @abstractmethod
    def assert_running(self, image: FirmwareImage) -> None:
        """Fail (`AssertionError`) when what runs is not exactly `image`, as far as it can be looked at.

        Where it cannot, the timeline says "not checked".
        """

    def holds_package(self, image: FirmwareImage) -> bool:
        """Whether the slot that updates go into holds exactly `image`.

        Raises `NotApplicable` where it cannot be looked at.
        """
        raise NotApplicable(f"the flash of {self.name} cannot be read")

    def assert_unchanged(self) -> None:
        """Fail (`AssertionError`) when a region that must stay as installed has changed, if there are any."""
        return

    def version_on_console(self, pattern: str) -> str:
        """The group of the last line that matches. Raises `ConsoleError` when none does."""
        for line in reversed(self.console.lines()):
            match = line.search(pattern)
            if match is not None:
                return match[1] if match.groups() else match[0]
        silence = self.console.silence
        raise ConsoleError(
            f"{self.name}: no line of the console matches {pattern!r}" + (f": {silence}" if silence else ""),
            help=self.console.silence_cure if silence else "correct version.console in the board file",
        )

    # ---- what it can do, by its board file and by what is attached

    def why_not(self, capability: str) -> str | None:
        """The reason why a capability is lacking here, or None."""
        if capability == "outage" and self.network is not None:
            return None
        reason = self.type.why_not(capability)
        if capability == "outage" and reason is not None:
            return f"{reason}, and the bench file gives no [boards.{self.name}.network]"
        return reason

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """The way between the device and the server is cut inside the block, and nothing else.

        Raises `NotApplicable` when the bench cannot do it.
        """
        with self._timeline.step(self.name, "outage"):
            if self.network is not None:
                with self.network.outage():
                    yield
            else:
                with self.using("outage"):
                    yield

    @contextlib.contextmanager
    def impaired(self, **settings: float) -> Iterator[None]:
        """The way between the device and the server is as bad as given inside the block; see `Impairment`.

        Raises `NotApplicable` when the bench has no path of its own there.
        """
        if self.network is None:
            raise NotApplicable(f"the bench file gives no [boards.{self.name}.network]")
        before = {name: getattr(self.network.impairment, name) for name in settings}
        self.network.set(**settings)
        try:
            yield
        finally:
            self.network.set(**before)

    @contextlib.contextmanager
    def using(self, capability: str) -> Iterator[None]:
        """Have the device do, inside the block, what its board file says for a capability.

        Raises `NotApplicable` when it cannot.
        """
        how = self._how(capability)
        if how.command is not None:
            self._command(how.command, how.answer)
        try:
            yield
        finally:
            if how.undo is not None:
                self.console.send(how.undo + "\r\n")

    def _how(self, capability: str) -> Capability:
        reason = self.why_not(capability)
        if reason is not None:
            raise NotApplicable(reason)
        return self.type.capabilities[capability]

    def _command(self, command: str, answer: str | None) -> None:
        mark = self.console.mark()
        self.console.send(command + "\r\n")
        if answer is not None:
            self.console.expect(answer, timeout=self.type.timeouts.boot, since=mark)
