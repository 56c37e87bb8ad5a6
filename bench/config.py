"""Bench file and board files -> validated settings. A mistake names file, key, value and reason.

A *board file* (`boards/NAME.toml` with a `[board]` table) says what a board type is: flash map,
console, time-outs. A *bench file* (with a `[bench]` table) says what is attached where. Both are
data; nothing is opened or powered here.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError, model_validator

from bench.errors import ConfigError


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


M = TypeVar("M", bound=_Table)


# ---- a board type ---------------------------------------------------------------------------------


class Region(_Table):
    """A named part of the flash: `offset` is the chip's own address, both in bytes."""

    offset: int = Field(ge=0)
    size: int = Field(gt=0)

    @model_validator(mode="before")
    @classmethod
    def _from_pair(cls, value: Any) -> Any:
        if isinstance(value, list) and len(value) == 2:
            return {"offset": value[0], "size": value[1]}
        return value


class ConsoleSettings(_Table):
    baud: int = Field(115200, gt=0)


class SupplySettings(_Table):
    """What the board is fed with: volts and amps, and the over-voltage limit in volts."""

    voltage: float = Field(gt=0, le=24)
    current_limit: float = Field(gt=0, le=5)
    ovp: float = Field(gt=0, le=26)

    @model_validator(mode="after")
    def _ovp_above_voltage(self) -> SupplySettings:
        if self.ovp <= self.voltage:
            raise ValueError(f"ovp {self.ovp:g} V must be above voltage {self.voltage:g} V")
        return self


class FirmwareSettings(_Table):
    """How firmware is packed and where it lies.

    `slots` are the application slots in the order primary, secondary; `swap` says that the
    bootloader moves the new image into the primary slot (else it boots from either slot);
    `reserved` are the bytes of a slot that the bootloader needs for itself; `wiped` are the regions
    erased when a baseline is installed.
    """

    container: Literal["mcuboot", "esp32"]
    slots: tuple[str, str]
    swap: bool
    reserved: int = Field(0, ge=0)
    wiped: tuple[str, ...] = ()


class ProvisionSettings(_Table):
    """How the device is told its server over the console.

    `ready` is the line that says it waits; `command` may use {server}, {endpoint} and {lifetime};
    `answer` is the line that says it was taken.
    """

    ready: str
    command: str
    answer: str
    lifetime: int = Field(300, gt=0)


StateName = Literal["idle", "downloading", "downloaded"]
DeviationName = Literal[
    "downloading-not-shown",
    "updating-not-shown",
    "result-not-cleared",
    "failed-download-keeps-state",
    "integrity-failure-is-update-failure",
]
TransportName = Literal["coap", "coaps", "coap+tcp", "coaps+tcp", "http", "https"]


class UpdateProfile(_Table):
    """How this board's stack implements object /5, where the standard leaves room or the stack differs.

    `object` is the object's version; `transports` are the schemes of the Package URI it can fetch
    from; `resets_in` and `cancels_in` are the states in which an empty URI or package, and Cancel,
    take it back to Idle; `failed_update_to` is where a failed installation leads; `resumes_after`
    says what an interrupted PULL survives without starting over; `deviations` maps the name of a
    known deviation (see `bench.firmware_update.deviations`) to where it is documented.
    """

    object: Literal["1.0", "1.1"] = "1.0"
    transports: tuple[TransportName, ...] = ("coap",)
    resets_in: tuple[StateName, ...] = ("idle", "downloading", "downloaded")
    cancels_in: tuple[StateName, ...] = ("downloading", "downloaded")
    failed_update_to: Literal["idle", "downloaded"] = "downloaded"
    resumes_after: tuple[Literal["outage", "reboot"], ...] = ()
    deviations: dict[DeviationName, str] = {}


class Capability(_Table):
    """Something a testcase needs and not every board can do.

    `command` is sent to the console and answered by `answer`, where that is how it is done; `undo`
    takes it back. `missing` gives the reason why the board cannot.
    """

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
    "queue-mode": "the device can register in queue mode",
    "components": "the device has object 33629",
}
"""Every name that a board file's [capabilities] may use, and what it means."""


class Timeouts(_Table):
    """Bench seconds after which a phase is called stuck."""

    boot: PositiveFloat = 30
    registration: PositiveFloat = 180
    download: PositiveFloat = 1200
    update: PositiveFloat = 300


class BoardType(_Table):
    """One board file."""

    name: str
    title: str
    driver: Literal["nrf9160", "esp32"]
    flash_size: int = Field(gt=0)
    console: ConsoleSettings = ConsoleSettings(baud=115200)
    supply: SupplySettings
    firmware: FirmwareSettings
    provision: ProvisionSettings
    timeouts: Timeouts = Timeouts()
    update: UpdateProfile = UpdateProfile()
    capabilities: dict[str, Capability] = {}
    regions: dict[str, Region]

    @property
    def image_limit(self) -> int:
        """Bytes of the largest image that the slots take."""
        return min(self.regions[name].size for name in self.firmware.slots) - self.firmware.reserved

    def why_not(self, capability: str) -> str | None:
        """The reason why this board lacks a capability, or None when it has it."""
        held = self.capabilities.get(capability)
        if held is None:
            return f"the board file of {self.name} does not list the capability {capability!r}"
        return held.missing

    @model_validator(mode="after")
    def _known_capabilities(self) -> BoardType:
        for name in self.capabilities:
            if name not in CAPABILITIES:
                raise ValueError(f"capability {name!r} is not one of {', '.join(sorted(CAPABILITIES))}")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> BoardType:
        for name in (*self.firmware.slots, *self.firmware.wiped):
            if name not in self.regions:
                raise ValueError(f"firmware names region {name!r}, but regions has {sorted(self.regions)}")
        end = 0
        for name, region in sorted(self.regions.items(), key=lambda item: item[1].offset):
            if region.offset < end:
                raise ValueError(f"region {name!r} at {region.offset:#x} overlaps the one before it")
            end = region.offset + region.size
        if end > self.flash_size:
            raise ValueError(f"regions end at {end:#x}, beyond flash_size {self.flash_size:#x}")
        return self


# ---- a bench --------------------------------------------------------------------------------------


class SwdAttachment(_Table):
    """A debug probe, chosen by its unique id (never by position)."""

    kind: Literal["swd"]
    uid: str = Field(min_length=1)
    target: str = "nrf91"
    frequency: int = Field(4_000_000, gt=0)


class RomSerialAttachment(_Table):
    """The ROM bootloader on the console's serial port; `mac` guards against the wrong board."""

    kind: Literal["rom-serial"]
    mac: str | None = Field(None, pattern=r"^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$")
    baud: int = Field(460800, gt=0)


VariantName = Literal["wrong-board", "self-test-fails"]
"""Builds that cannot be derived from a good one: for another board; failing its own self-test."""


class ImageFiles(_Table):
    """Firmware to install and to update to: files, or `provider` ("module:function") that builds them.

    `factory` are the parts below the application (bootloader, partition table): address -> file;
    `variants` are further builds that some testcases need, by name.
    """

    provider: str | None = None
    baseline: Path | None = None
    update: Path | None = None
    factory: dict[str, Path] = {}
    variants: dict[VariantName, Path] = {}

    @model_validator(mode="after")
    def _either(self) -> ImageFiles:
        if self.provider is None and (self.baseline is None or self.update is None):
            raise ValueError("give both 'baseline' and 'update', or a 'provider'")
        for address in self.factory:
            try:
                int(address, 0)
            except ValueError:
                raise ValueError(f"factory key {address!r} is not an address such as '0x8000'") from None
        return self


class BoardSettings(_Table):
    """One attached board."""

    type: str
    serial: str = Field(min_length=1)
    endpoint: str = Field(min_length=1)
    console: str = Field(min_length=1)
    flasher: Annotated[SwdAttachment | RomSerialAttachment, Field(discriminator="kind")]
    supply: str = Field(pattern=r"^[\w-]+:\d+$", description="instrument:channel")
    images: ImageFiles


class InstrumentSettings(_Table):
    """One instrument: driver name, VISA address, and the `*IDN?` text it must answer (or begin with)."""

    driver: str
    address: str
    identity: str | None = None


class ServerSettings(_Table):
    """Where the LwM2M server listens; port 0 takes a free one. `advertise` is what devices are told."""

    host: str = "127.0.0.1"
    port: int = Field(5683, ge=0, le=65535)
    advertise: str | None = None


class BenchTable(_Table):
    name: str
    plant: str | None = None


class BenchSettings(_Table):
    """One bench file, with the board types it uses."""

    bench: BenchTable
    server: ServerSettings = ServerSettings(port=5683)
    instruments: dict[str, InstrumentSettings] = {}
    boards: dict[str, BoardSettings]

    @model_validator(mode="after")
    def _supplies_exist(self) -> BenchSettings:
        if not self.boards:
            raise ValueError("a bench needs at least one board")
        seen: dict[str, str] = {}
        for name, board in self.boards.items():
            supply = board.supply.partition(":")[0]
            if supply not in self.instruments:
                raise ValueError(f"boards.{name}.supply names instrument {supply!r}, which is not listed")
            for what, value in (
                ("supply", board.supply),
                ("console", board.console),
                ("endpoint", board.endpoint),
            ):
                other = seen.setdefault(f"{what} {value}", name)
                if other != name:
                    raise ValueError(f"boards.{name}.{what} {value!r} is already used by boards.{other}")
        return self


class Bench(_Table):
    """Everything a station is built from."""

    path: Path
    settings: BenchSettings
    types: dict[str, BoardType]

    def type_of(self, board: str) -> BoardType:
        return self.types[self.settings.boards[board].type]


def load_bench(path: Path, boards: tuple[str, ...] = ()) -> Bench:
    """Read a bench file and the board files beside it; keep only the named boards if any are named.

    Raises `ConfigError` naming file, key, value and reason.
    """
    settings = _read(path, BenchSettings, "bench file", "see boards/virtual.toml for a complete example")
    for name in boards:
        if name not in settings.boards:
            raise ConfigError(
                f"{path}: no board {name!r}; the file has {', '.join(sorted(settings.boards))}",
                help="give one of these to --board, or add the board to the bench file",
            )
    if boards:
        kept = {name: b for name, b in settings.boards.items() if name in boards}
        settings = settings.model_copy(update={"boards": kept})
    types = {}
    for name, board in settings.boards.items():
        types[board.type] = _board_type(path, name, board)
    base = path.parent
    settings = settings.model_copy(
        update={"boards": {n: _absolute(b, base) for n, b in settings.boards.items()}}
    )
    return Bench(path=path, settings=settings, types=types)


def _board_type(path: Path, name: str, board: BoardSettings) -> BoardType:
    file = path.parent / f"{board.type}.toml"
    if not file.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.toml") if "[board]" in p.read_text("utf-8"))
        raise ConfigError(
            f"{path}: boards.{name}.type = {board.type!r}: there is no board file {file}",
            help=f"board files in that folder: {', '.join(known) or 'none'}",
        )
    board_type = _read(file, BoardType, "board file", "see boards/nrf9160.toml", table="board")
    wanted = {"nrf9160": "swd", "esp32": "rom-serial"}[board_type.driver]
    if board.flasher.kind != wanted:
        raise ConfigError(
            f"{path}: boards.{name}.flasher.kind = {board.flasher.kind!r}: "
            f"a {board_type.driver} needs {wanted!r}",
            help="correct the flasher, or the board's type",
        )
    return board_type


def _absolute(board: BoardSettings, base: Path) -> BoardSettings:
    images = board.images
    update = {
        "baseline": images.baseline and base / images.baseline,
        "update": images.update and base / images.update,
        "factory": {a: base / p for a, p in images.factory.items()},
        "variants": {n: base / p for n, p in images.variants.items()},
    }
    return board.model_copy(update={"images": images.model_copy(update=update)})


def _read(path: Path, model: type[M], what: str, help: str, table: str | None = None) -> M:
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{what} {path} does not exist", help=help) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what} {path} cannot be read: {error}", help=help) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{what} {path} is not TOML: {error}", help=help) from None
    if table is not None:
        raw = {**raw.pop(table, {}), **raw}
    if table is None and "board" in raw:
        raise ConfigError(f"{path} is a board file, not a {what}", help=help)
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(path, e) for e in error.errors()), help=help) from None


def _explain(path: Path, error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"] if part not in ("swd", "rom-serial"))
    reason = error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{path}: {key}: missing"
    if error["type"] == "extra_forbidden":
        return f"{path}: {key} = {error['input']!r}: no such key"
    if not key:
        return f"{path}: {reason}"
    return f"{path}: {key} = {error['input']!r}: {reason}"
