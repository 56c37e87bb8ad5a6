"""A board on the bench: fed by a supply channel, flashed over its own wire, heard on its serial console.

The drivers (`nrf9160`, `esp32`) differ only in how the flash is reached and which slot runs.
"""

from __future__ import annotations

import base64
import contextlib
import ssl
from abc import abstractmethod
from collections.abc import Iterator

from bench.clock import Clock
from bench.config import BoardSettings, BoardType, Region
from bench.dut.certificates import certificates_of
from bench.dut.chip import check_chip
from bench.dut.console import Console, Position
from bench.dut.dut import Dut, ResetWay
from bench.dut.flasher import Flasher
from bench.dut.rail import Rail
from bench.dut.start_control import StartControl
from bench.errors import ConfigError, ImageError, InstrumentError, NotApplicable, SupplyTripError
from bench.firmware.image import FirmwareImage
from bench.firmware.image_set import ImageSet
from bench.instruments.power_supply import SupplyChannel, Trip
from bench.instruments.voltmeter import Voltmeter
from bench.timeline import Timeline

SUPPLY_KEYS = {"supply": ("low", "dead", "weak"), "brown-out": ("dead",)}
"""Capabilities that a board has by its supply alone, and what its board file must say of it for them."""
NO_START_LINE = "the board file of {board} gives no console.application"
RAMP_STEPS = 40
OFF_TIME = 1.0
"""Bench seconds that a supply stays off between two of its times, for what is left in capacitors."""


class HardwareDut(Dut):
    """One attached board; `settings` is its entry in the bench file, `type` its board file."""

    type: BoardType

    def __init__(
        self,
        name: str,
        settings: BoardSettings,
        board_type: BoardType,
        images: ImageSet,
        *,
        supply: SupplyChannel,
        voltmeter: Voltmeter | None = None,
        console: Console,
        flasher: Flasher,
        clock: Clock,
        timeline: Timeline,
    ) -> None:
        super().__init__(name, settings, board_type, images, console=console, clock=clock, timeline=timeline)
        self.settings: BoardSettings = settings
        self.supply = supply
        self.rail = Rail(name, board_type, supply, clock, timeline, voltmeter)
        self.flasher = flasher
        self._powered = False
        self._starts = StartControl(name, board_type.console.application or "")
        self._factory_state: dict[str, str] = {}  # hashes of the regions that must stay as they are

    def check(self) -> None:
        self.flasher.check()
        self.console.open()

    # ---- power

    def make_safe(self) -> None:
        """Output off, then voltage, current limit, OVP and OCP of the board file, where the supply has them.

        A protection that has tripped is unlatched: whoever was using the board has been told. In between
        the voltage goes as low as it can, whatever was left set, so that no supply refuses a step: some
        take no OVP level near or below the voltage setpoint, and no setpoint near or above the level
        (TDK-Lambda Genesys, SCPI manual 7.5.1; Kikusui PWX, `VOLT:PROT`), and a trip may only be cleared
        once its cause is gone (Keysight E3632A, `VOLT:PROT:CLE`).
        """
        wanted = self.type.supply
        self._switch(False)
        self.supply.voltage = self.supply.ratings.voltage.low
        if (trip := self.supply.tripped) is not None:
            self._timeline.record(self.name, "power", f"{trip.value} protection had tripped: unlatched")
            self.supply.clear_protection()
        if self.supply.ratings.ovp is not None:
            self.supply.ovp = wanted.ovp
        else:
            self._timeline.record(self.name, "power", "the supply has no OVP to guard the board")
        self.supply.voltage = wanted.voltage
        self.supply.current_limit = wanted.current_limit
        if self.supply.ratings.ocp:
            self.supply.ocp = wanted.ocp
        elif wanted.ocp:
            self._timeline.record(self.name, "power", "the supply has no OCP to guard the board")
        self.rail.await_down()

    def check_supply(self) -> None:
        """Asked of the supply now: a trip stays latched until it is cleared."""
        supply = self.supply
        trip = supply.tripped
        if trip is not None:
            raise SupplyTripError(
                f"{supply.name} tripped: {self._limit_of(trip)}; {self.name} has been without supply since",
                help="no verdict on the product: look for a short at the board, and compare [supply] of its "
                "board file with what it takes",
            )
        if self._powered and not supply.output:
            raise InstrumentError(
                f"{supply.name} is off, though the bench switched it on; {self.name} is without supply",
                help="no verdict on the product: look who else uses the supply, its front panel included",
            )

    def _limit_of(self, trip: Trip) -> str:
        match trip:
            case Trip.OVER_CURRENT:
                return f"over-current protection (OCP), limit {self.supply.current_limit:g} A"
            case Trip.OVER_VOLTAGE:
                return f"over-voltage protection (OVP), level {self.supply.ovp:g} V"
            case _:
                return f"{trip.value} protection"

    def _switch(self, on: bool) -> None:
        self._powered = False  # neither on nor off for sure until it reads back
        self.supply.output = on
        self._powered = on

    def power_on(self) -> None:
        """Open the console, then switch the supply on, so that no boot byte is missed."""
        self.on_restart()
        self.console.open()
        self._timeline.record(self.name, "power", "on", volts=self.type.supply.voltage)
        self._switch(True)

    def power_off(self) -> None:
        """Switch the supply off; the board dies where it stands. Returns when its rail is down.

        Raises `InstrumentError` when the rail stays up: then it has not died.
        """
        self._cut()
        self.rail.await_down()

    def _cut(self) -> None:
        self._switch(False)
        self._timeline.record(self.name, "power", "off")

    @contextlib.contextmanager
    def fed_with(self, *, voltage: float | None = None, current_limit: float | None = None) -> Iterator[None]:
        """Another voltage (V) or current limit (A) inside the block; after it, those of the board file.

        Raises `InstrumentError` when the rail does not follow a lower voltage.
        """
        usual = self.type.supply
        with self._timeline.step(self.name, "another supply"):
            try:
                self._feed(
                    usual.voltage if voltage is None else voltage, current_limit or usual.current_limit
                )
                yield
            finally:
                self._feed(usual.voltage, usual.current_limit)

    def ramp_supply(self, volts: float, seconds: float) -> None:
        """From the present voltage to `volts` in equal steps over so many bench seconds: a battery sags.

        Raises `InstrumentError` when the rail does not follow it down.
        """
        begin = self.supply.voltage
        for number in range(1, RAMP_STEPS + 1):
            self._clock.sleep(seconds / RAMP_STEPS, f"{self.name}: the supply ramps to {volts:g} V")
            level = begin + (volts - begin) * number / RAMP_STEPS
            self.supply.voltage = level
            self._timeline.record(self.name, "supply", f"{level:.2f} V", volts=level)
        self._follow(begin, volts)

    def _follow(self, before: float, volts: float) -> None:
        if self._powered and volts < before:
            self.rail.await_lowered(volts)

    def _feed(self, volts: float, amps: float) -> None:
        before = self.supply.voltage
        self.supply.voltage = volts
        self.supply.current_limit = amps
        self._timeline.record(self.name, "supply", f"{volts:g} V, at most {amps:g} A", volts=volts, amps=amps)
        self._follow(before, volts)

    def why_not(self, capability: str) -> str | None:
        keys = SUPPLY_KEYS.get(capability)
        if keys is not None and None in (getattr(self.type.supply, key) for key in keys):
            return f"the board file of {self.type.name} gives no {' and '.join(keys)} in [supply]"
        if capability == "start-line" and self.type.console.application is None:
            return NO_START_LINE.format(board=self.type.name)
        return None if keys is not None or capability == "start-line" else super().why_not(capability)

    def _reset(self, way: ResetWay) -> None:
        with self.flash_access() as flasher:
            if way == "debugger":
                flasher.reset_by_debugger()
            else:
                flasher.reset()

    def close(self) -> None:
        """Supply off, console and flasher closed, whatever state they are in."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.console.close)
            stack.callback(self.flasher.close)
            stack.callback(self._cut)

    # ---- flash

    @abstractmethod
    def flash_access(self) -> contextlib.AbstractContextManager[Flasher]:
        """The open flasher. Leaves the board powered.

        On boards flashed by their ROM it has been reset; on those with a debugger only if flash was changed:
        else its firmware has gone on all the time.
        """

    @abstractmethod
    def running_slot(self, flasher: Flasher) -> str:
        """The region that the bootloader has booted, as the flash says.

        Raises `AssertionError` when there is nothing that it could boot.
        """

    def check_fit(self, flasher: Flasher) -> None:
        """Raise a `BenchError` unless chip and flash are what the board file says, and may be written.

        It comes before anything is erased or written.
        """
        found = flasher.chip_identity()
        if found is not None:
            check_chip(self.name, self.type.expected_chip, found)

    def region(self, name: str) -> Region:
        return self.type.regions[name]

    def read_region(self, name: str, length: int | None = None) -> bytes:
        """The first `length` bytes (default: all) of a flash region, read back over the wire."""
        region = self.region(name)
        with self.flash_access() as flasher:
            return flasher.read(region.offset, region.size if length is None else length)

    def assert_running(self, image: FirmwareImage) -> None:
        """Fail when the running slot does not hold exactly `image`."""
        with self.flash_access() as flasher:
            offset = self.region(self.running_slot(flasher)).offset
            if flasher.holds(offset, image.data):
                return
            found = flasher.read(offset, image.size)
        first = next((i for i, (a, b) in enumerate(zip(found, image.data, strict=True)) if a != b), None)
        where = (
            "by its hash, though each byte reads back right" if first is None else f"from byte {first:#x} on"
        )
        raise AssertionError(f"{self.name}: the running slot differs from {image} {where}")

    def holds_package(self, image: FirmwareImage) -> bool:
        with self.flash_access() as flasher:
            running = self.running_slot(flasher)
            others = [self.region(slot) for slot in self.type.firmware.slots if slot != running]
            start = self.type.firmware.update_start
            return any(flasher.holds(region.offset + start, image.data) for region in others)

    def install(self, image: FirmwareImage) -> None:
        """Factory state with `image` in the primary slot; the board ends switched off, also when that fails.

        Raises `ImageError` before anything is powered when the image is not for this board, and
        `WrongChipError` before anything is erased when the chip is another.
        """
        self.check_image(image)
        with self._on_for_a_while(), self.flash_access() as flasher:
            self.check_fit(flasher)
            primary, wiped = self.type.firmware.slots[0], self.type.firmware.wiped
            for region in (self.region(name) for name in wiped if name != primary):
                flasher.erase(region.offset, region.size)
            for part in self.images.factory:
                flasher.program(part.address, part.data)
            slot = self.region(primary)
            if primary in wiped:
                flasher.rewrite(slot.offset, slot.size, image.data)
            else:
                flasher.program(slot.offset, image.data)
            self._factory_state = self._digests(flasher)
        self.installed = image

    @contextlib.contextmanager
    def _on_for_a_while(self) -> Iterator[None]:
        """Safely switched on inside the block, without its console; off after it, whatever happened."""
        self.make_safe()
        try:
            self._switch(True)
            yield
        except BaseException:
            self._cut()  # a rail that stays up must not hide what happened
            raise
        self.power_off()

    def recover(self) -> None:
        """Erase the whole chip and lift its readout protection; ends switched off, whatever happens.

        Only ever on request. Raises `LockedError` when it stays locked, `ProbeError` where there is none.
        """
        with self._on_for_a_while():
            self.flasher.recover(self._interrupt_supply)

    def _interrupt_supply(self) -> None:
        self._switch(False)
        self.rail.await_down()
        self._clock.sleep(OFF_TIME, f"{self.name}: supply off")
        self._switch(True)

    def applications_started(self, since: Position) -> list[str]:
        """The first lines of applications on the console, as the board file knows them.

        Raises `NotApplicable` when it does not say what such a line looks like, and `Inconclusive` instead of
        an empty list that would prove nothing (`StartControl`).
        """
        pattern = self.type.console.application
        if pattern is None:
            raise NotApplicable(NO_START_LINE.format(board=self.type.name))
        lines = self.console.lines(since)
        found = [line.text for line in lines if line.search(pattern)]
        if not found:
            self._starts.vouch(lines, self.console.missed(since))
        return found

    def assert_unchanged(self) -> None:
        self._switch(True)
        with self.flash_access() as flasher:
            found = self._digests(flasher)
        changed = [name for name, digest in self._factory_state.items() if found[name] != digest]
        assert not changed, f"{self.name}: changed since the baseline was installed: {', '.join(changed)}"

    def _digests(self, flasher: Flasher) -> dict[str, str]:
        regions = {name: self.region(name) for name in self.type.firmware.unchanged}
        return {name: flasher.digest(region.offset, region.size) for name, region in regions.items()}

    @abstractmethod
    def unsettled(self, flasher: Flasher) -> str | None:
        """What the flash holds for the bootloader to do or to undo at the next reset, or None."""

    def assert_settled(self) -> None:
        """Fail (`AssertionError`) when the next reset would boot anything but what runs now."""
        with self.flash_access() as flasher:
            finding = self.unsettled(flasher)
        assert finding is None, f"{self.name}: {finding}"

    def check_image(self, image: FirmwareImage) -> None:
        """Raise `ImageError` unless the image's container and size fit this board."""
        limit = self.type.image_limit
        if image.container != self.type.firmware.container:
            raise ImageError(
                f"{image.path}: a {image.container} image cannot run on {self.name}, "
                f"which takes {self.type.firmware.container} images",
                help="give the build for this board in the bench file",
            )
        if image.size > limit:
            raise ImageError(
                f"{image.path}: {image.size} bytes do not fit the {limit} bytes of a slot on {self.name}",
                help="build a smaller image, or correct the flash map in the board file",
            )

    # ---- life

    def commission(self, server_uri: str) -> None:
        how = self.type.provision
        secured, key = how.secure_command, "secure_command"
        if self._security is not None and self._security.certificate is not None:
            secured, key = how.certificate_command, "certificate_command"
        self._commission(server_uri, how.command, secured, key)

    def commission_by_bootstrap(self, server_uri: str) -> None:
        how = self.type.provision
        if how.bootstrap_command is None:
            raise ConfigError(
                f"{self.type.name} has the capability 'bootstrap', but no provision.bootstrap_command",
                help="say in the board file how the device is told its bootstrap server",
            )
        secured = how.secure_bootstrap_command
        self._commission(server_uri, how.bootstrap_command, secured, "secure_bootstrap_command")

    def _commission(self, server_uri: str, plain: str, secured: str | None, key_of_secured: str) -> None:
        """Power it, and tell it its server by the one command or the other."""
        mark = self.console.mark()  # a build of an earlier testcase may have printed the same line
        self.power_on()
        command = plain
        if self._security is not None:
            if secured is None:
                raise ConfigError(
                    f"{self.name} has credentials, but {self.type.name} has no provision.{key_of_secured}",
                    help="say in the board file how the device is given them, or remove [security]",
                )
            command = secured
        self._provision(server_uri, command, mark)
        self._starts.saw_healthy_start(self.console.lines(mark))

    def _provision(self, server_uri: str, command: str, since: Position) -> None:
        """Tell the device its server over the console, as the board file says."""
        how = self.type.provision
        self.console.expect(how.ready, timeout=self.type.timeouts.boot, since=since)
        if self.trusted_ca is not None and how.trust_command is not None:
            ca = base64.b64encode(ssl.PEM_cert_to_DER_cert(self.trusted_ca.decode())).decode()
            shown = how.trust_command.format(ca="(certificate)")  # another one in each run
            self.console.send(how.trust_command.format(ca=ca) + "\r\n", shown=shown)
            self.console.expect(how.trust_answer, timeout=self.type.timeouts.boot)
        values = {"server": server_uri, "endpoint": self.endpoint, "lifetime": str(how.lifetime)}
        if self._security is not None:
            values["psk_identity"] = self._security.identity
        secrets = {"psk_key": "" if self._security is None else self._security.key}
        if self._security is not None and self._security.certificate is not None:
            secrets |= certificates_of(self._security)
        self.console.send(
            command.format(**values, **secrets) + "\r\n",
            shown=command.format(**values, **dict.fromkeys(secrets, "(secret)")),
        )
        self.console.expect(how.answer, timeout=self.type.timeouts.boot)


@contextlib.contextmanager
def opened(flasher: Flasher) -> Iterator[Flasher]:
    """The flasher, open inside the block, closed after it. Not nested: an inner block ends the session."""
    flasher.open()
    try:
        yield flasher
    finally:
        flasher.close()
