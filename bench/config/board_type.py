"""Board files: what a type of board is."""

from __future__ import annotations

import itertools
from typing import Any, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from bench.config.chip import CHIPS, ChipSettings
from bench.config.components import ComponentSettings
from bench.config.energy import EnergySettings
from bench.config.flash_map import check
from bench.config.modem import ModemSettings
from bench.config.nearest import suggestion
from bench.config.profile import CAPABILITIES, Capability, UpdateProfile
from bench.config.radio import RadioSettings
from bench.config.table import Mistake, Table, refuse


class Region(Table):
    """A named part of the flash: `offset` is the chip's own address, both in bytes."""

    written = "give [address, size], such as [0x10000, 0x70000]"
    offset: int = Field(ge=0)
    size: int = Field(gt=0)

    @model_validator(mode="before")
    @classmethod
    def _from_pair(cls, value: Any) -> Any:
        if isinstance(value, list) and len(value) == 2:
            return {"offset": value[0], "size": value[1]}
        return value


class ConsoleSettings(Table):
    """`application` is a pattern of the application's first line: there the bootloader's work ends.

    `dtr` and `rts` are whether these lines are held on; None is what the board's driver usually needs.
    """

    baud: int = Field(115200, gt=0)
    application: str | None = None
    dtr: bool | None = None
    rts: bool | None = None


USUAL_LINES = {"nrf9160": (True, False), "esp32": (False, False)}
"""DTR and RTS by the board's driver: Nordic's kits are silent without DTR, Espressif's are reset and brought
to the boot loader by either alone (`bench.dut.serial_port` has the sources)."""


class SupplySettings(Table):
    """What the board is fed with: volts and amps, and the over-voltage limit in volts.

    With `ocp` the supply latches off at `current_limit`, else it holds the current there.
    `low` is the least voltage at which it still works, as at a battery's end; at `dead` it is certainly off.
    `weak` amperes are what a supply gives that may be too weak for the board's bursts.
    A power cut counts when the rail is below `off_below` volts (None: what the chip needs, see `OFF_BELOW`),
    and must come to that within `discharge` seconds.
    """

    voltage: float = Field(gt=0, le=24)
    current_limit: float = Field(gt=0, le=5)
    ovp: float = Field(gt=0, le=26)
    ocp: bool = False
    low: float | None = Field(None, gt=0)
    dead: float | None = Field(None, gt=0)
    weak: float | None = Field(None, gt=0)
    off_below: float | None = Field(None, gt=0)
    discharge: float = Field(10.0, gt=0, le=600)

    @model_validator(mode="after")
    def _in_order(self) -> SupplySettings:
        if self.weak is not None and self.weak >= self.current_limit:
            raise ValueError(f"weak {self.weak:g} A must be below current_limit {self.current_limit:g} A")
        if self.ovp <= self.voltage:
            raise ValueError(f"ovp {self.ovp:g} V must be above voltage {self.voltage:g} V")
        below = [("voltage", self.voltage), ("low", self.low), ("dead", self.dead)]
        if self.off_below is not None and self.off_below > (limit := self.dead or self.voltage):
            named = "dead" if self.dead else "voltage"
            raise ValueError(
                f"off_below {self.off_below:g} V must not be above {named} {limit:g} V: it might live on"
            )
        given = [(name, volts) for name, volts in below if volts is not None]
        for (upper, above), (lower, volts) in itertools.pairwise(given):
            if volts >= above:
                raise ValueError(f"{lower} {volts:g} V must be below {upper} {above:g} V")
        return self


OFF_BELOW = {"nrf9160": 1.5, "esp32": 0.6}
"""Volts below which a chip is off for certain, by driver. nRF9160: brown-out reset at 2.00 V (product
specification, "Power supply supervisor"). ESP32: VIL_nRST, below which CHIP_PU resets it; while it has not
discharged that far it may fail to start again (data sheet, "Power-on and reset timing")."""


class FirmwareSettings(Table):
    """How firmware is packed and where it lies.

    `slots` are the application slots, the one that runs from the factory first; `swap` says that the
    bootloader moves the new image from the second slot into the first (else it boots from any slot);
    `reserved` are the bytes of a slot that the bootloader needs for itself; `update_start` is where in its
    slot a package begins (a sector up, where MCUboot swaps with an offset). Installing a baseline writes
    the first slot, erases the regions in `wiped`, writes the factory parts, and touches nothing else.
    `unchanged` are regions that no testcase may find changed; `kept` those that belong to somebody else (a
    secure firmware's storage), over which no factory part may lie either. `counter` is the region with the
    bootloader's security counter, if it has one: one that is not in `wiped` counts up for good. `mcuboot` is
    the version of MCUboot, "main" for a newer one than 2.1.0: what is known of it is no finding
    (`bench.power_cuts.known_issues`).
    """

    container: Literal["mcuboot", "esp32"]
    slots: tuple[str, ...] = Field(min_length=2)
    swap: bool
    reserved: int = Field(0, ge=0)
    update_start: int = Field(0, ge=0)
    wiped: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    counter: str | None = None
    mcuboot: Literal["2.1.0", "main"] | None = None


class ProvisionSettings(Table):
    """How the device is told its server over the console.

    `ready` is the line that says it waits; `command` may use {server}, {endpoint} and {lifetime},
    and `secure_command`, for a device with credentials, {psk_identity} and {psk_key} too; `answer` is
    the line that says it was taken. `certificate_command` is for a device whose certificate the bench has; it
    may use {certificate}, {certificate_key} and {server_ca}, each DER in base64. `bootstrap_command` and
    `secure_bootstrap_command` are the same for a device that is told its bootstrap server alone, which is
    then {server}. `trust_command` may use {ca}, the CA certificate of the bench's https server (DER in
    base64), and is answered by `trust_answer`.
    """

    ready: str
    command: str
    secure_command: str | None = None
    certificate_command: str | None = None
    bootstrap_command: str | None = None
    secure_bootstrap_command: str | None = None
    answer: str
    trust_command: str | None = None
    trust_answer: str = "ok"
    lifetime: int = Field(300, gt=0)


class Timeouts(Table):
    """Bench seconds after which a phase is called stuck.

    `rollback` is the time from Update until a new image that does not prove itself has given way to
    the old one, and that has registered; `bootstrap` until a device that can register nowhere asks its
    bootstrap server: by the defaults of object 1, resources 17 to 20, after five attempts, with a minute to
    eight minutes between them, each of which may last for MAX_TRANSMIT_WAIT. `round_trip` is what a message
    and its answer may take over the device's link: so much later than by the clauses may it be heard (NB-IoT:
    up to 10 s).
    """

    boot: PositiveFloat = 30
    registration: PositiveFloat = 180
    download: PositiveFloat = 1200
    update: PositiveFloat = 300
    rollback: PositiveFloat = 1500
    bootstrap: PositiveFloat = 1500
    round_trip: PositiveFloat = 2


class VersionSource(Table):
    """Where the running version is told: a LwM2M resource, or the last line of the console that matches.

    `package` is what PkgVersion (/5/0/7) tells of a package, where that is not the version that runs with
    it: object 5 says "version of the firmware package", and a stack may count its packages otherwise.
    """

    resource: str = Field(default="/3/0/3", pattern=r"^/\d+/\d+/\d+$")
    console: str | None = None
    package: str | None = Field(default=None, min_length=1)


class DutType(Table):
    """What every board file says, whatever the board is."""

    name: str
    title: str
    version: VersionSource = VersionSource()
    timeouts: Timeouts = Timeouts()
    profile: UpdateProfile = UpdateProfile()
    capabilities: dict[str, Capability] = {}
    components: ComponentSettings | None = None

    def why_not(self, capability: str) -> str | None:
        """The reason why this board lacks a capability, or None when it has it."""
        held = self.capabilities.get(capability)
        if held is None:
            return f"the board file of {self.name} does not list the capability {capability!r}"
        return held.missing

    @model_validator(mode="after")
    def _known_capabilities(self) -> Self:
        refuse(
            Mistake(
                ("capabilities", name),
                f"capability {name!r} is not one of {', '.join(sorted(CAPABILITIES))}",
                suggestion(name, CAPABILITIES, "capabilities"),
            )
            for name in self.capabilities
            if name not in CAPABILITIES
        )
        if self.components is None and self.why_not("components") is None:
            raise ValueError("capability 'components' needs a table [components]")
        return self


class BoardType(DutType):
    """A type of board with a supply, a flash and a console.

    A page of the flash endures `flash_endurance` erases, by its data sheet.
    """

    kind: Literal["board"] = "board"
    driver: Literal["nrf9160", "esp32"]
    flash_size: int = Field(gt=0)
    flash_endurance: int | None = Field(None, gt=0)
    chip: ChipSettings | None = None
    console: ConsoleSettings = ConsoleSettings(baud=115200)
    supply: SupplySettings
    firmware: FirmwareSettings
    provision: ProvisionSettings
    radio: RadioSettings | None = None
    modem: ModemSettings | None = None
    energy: EnergySettings | None = None
    regions: dict[str, Region]

    @property
    def console_lines(self) -> tuple[bool, bool]:
        """DTR and RTS, as the console holds them."""
        dtr, rts = USUAL_LINES[self.driver]
        own = self.console
        return dtr if own.dtr is None else own.dtr, rts if own.rts is None else own.rts

    @property
    def lifetime(self) -> int:
        """Seconds that its registration lives."""
        return self.provision.lifetime

    @property
    def expected_chip(self) -> ChipSettings:
        """[chip], or else what its driver is for; flash is `flash_size` unless it says otherwise."""
        chip = self.chip or CHIPS.get(self.driver, ChipSettings())
        return chip if chip.flash is not None else chip.model_copy(update={"flash": self.flash_size})

    @property
    def off_below(self) -> float:
        """Volts on its rail below which it is off."""
        given = self.supply.off_below
        usual = min(OFF_BELOW[self.driver], self.supply.dead or self.supply.voltage)
        return usual if given is None else given

    @property
    def image_limit(self) -> int:
        """Bytes of the largest image that the slots take."""
        return min(self.regions[name].size for name in self.firmware.slots) - self.firmware.reserved

    @model_validator(mode="after")
    def _not_held_in_reset(self) -> Self:
        dtr, rts = self.console_lines
        if self.driver == "esp32" and dtr != rts:
            held = "DTR alone holds it in the boot loader" if dtr else "RTS alone holds it in reset"
            raise ValueError(f"console.dtr and console.rts must be the same on an ESP32: {held}")
        return self

    @model_validator(mode="after")
    def _flash_map(self) -> Self:
        check(self.driver, self.flash_size, self.regions, self.firmware)
        return self

    @model_validator(mode="after")
    def _counter_can_be_reset(self) -> Self:
        counter = self.firmware.counter
        if self.why_not("anti-rollback") is None and (counter is None or counter not in self.firmware.wiped):
            named = "names none" if counter is None else f"= {counter!r} is not in firmware.wiped"
            raise ValueError(
                f"capability 'anti-rollback' promises that a baseline resets the security counter, but "
                f"firmware.counter {named}: a testcase that raises it would lock the baseline out for good; "
                'say anti-rollback = { missing = "..." }'
            )
        return self
