"""Flash, registers and run control over SWD by pyOCD.

An external CMSIS-DAP probe needs nothing but a USB port. The J-Link on an nRF9160 DK is driven by
pyOCD only through SEGGER's own library (pylink), which has to be installed beside it.

Defences against what is known of pyOCD on this chip:

- `auto_unlock` is off, always. It is on by default, and then opening a session on a chip with
  readout protection erases it all (also on a false alarm: pyOCD issue 1766). A locked chip is a
  `LockedError` here; only `recover()` erases, and only when called.
- Probes are chosen by their unique id, never by position.
- Pages are erased one by one by the flash algorithm; CTRL-AP's erase-all, on which pyOCD has hung
  (issue 1458) or needed nRESET (issue 1576), is used by `recover()` alone.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from pyocd.core import exceptions
from pyocd.core.session import Session
from pyocd.flash.eraser import FlashEraser
from pyocd.flash.loader import FlashLoader
from pyocd.probe.aggregator import DebugProbeAggregator

from bench.dut.flasher import Flasher
from bench.errors import FlashError, LockedError, ProbeError
from bench.timeline import Timeline

OPTIONS: dict[str, Any] = {
    "auto_unlock": False,
    "chip_erase": "sector",
    "connect_mode": "attach",
    "hide_programming_progress": True,
    "keep_unwritten": True,
    "no_config": True,
    "resume_on_disconnect": True,
    "smart_flash": False,
    "warning.cortex_m_default": False,
}

CTRL_AP_INDEX = 4
APPROTECTSTATUS, ERASEALL, ERASEALLSTATUS = 0x0C, 0x04, 0x08

FICR_DEVICE_ID, FICR_PART, FICR_VARIANT = 0x00FF0204, 0x00FF0140, 0x00FF0144
"""nRF9160 product specification, FICR."""

T = TypeVar("T")

logging.getLogger("pyocd").setLevel(logging.CRITICAL)  # its findings come back as exceptions


class SwdFlasher(Flasher):
    """One board behind one debug probe. `frequency` is SWCLK in hertz."""

    def __init__(
        self, name: str, uid: str, timeline: Timeline, *, target: str = "nrf91", frequency: int = 4_000_000
    ) -> None:
        self._name, self._uid, self._timeline = name, uid, timeline
        self._options = {**OPTIONS, "target_override": target, "frequency": frequency}
        self._session: Session | None = None

    # ---- session

    def check(self) -> None:
        """Raise `ProbeError` unless the probe is there. Needs no power on the target."""
        self._probe()

    def _probe(self) -> Any:
        try:
            probes = DebugProbeAggregator.get_all_connected_probes()
        except (exceptions.Error, OSError) as error:
            raise ProbeError(
                f"{self._name}: debug probes cannot be listed: {error}",
                help="check USB permissions (udev rules on Linux, drivers on Windows)",
            ) from None
        for probe in probes:
            if probe.unique_id == self._uid:
                return probe
        present = ", ".join(sorted(probe.unique_id for probe in probes)) or "none"
        raise ProbeError(
            f"{self._name}: no debug probe with UID {self._uid}; present: {present}",
            help="plug the probe in, or correct flasher.uid in the bench file (`pyocd list` shows UIDs)",
        )

    def open(self) -> None:
        if self._session is not None:
            return
        session = Session(self._probe(), options=self._options)
        try:
            session.open()
        except exceptions.Error as error:
            locked = self._looks_locked(session)
            with contextlib.suppress(exceptions.Error):
                session.close()
            if locked:
                raise LockedError(
                    f"{self._name}: readout protection (APPROTECT) of the chip behind {self._uid} is on",
                    help="nothing was erased; `recover()` erases the whole chip and unlocks it",
                ) from None
            raise ProbeError(
                f"{self._name}: no debug connection through probe {self._uid}: {error}",
                help="is the board powered and the SWD cable connected? is another debugger attached?",
            ) from None
        self._session = session
        self._note("session open")

    @staticmethod
    def _looks_locked(session: Session) -> bool:
        """Whether CTRL-AP answers and says that the access ports are closed."""
        try:
            target = session.target
            if target is None:
                return False
            port = target.dp.aps.get(next(a for a in target.dp.aps if a.apsel == CTRL_AP_INDEX))
            return port is not None and port.read_reg(APPROTECTSTATUS) & 3 != 3
        except (exceptions.Error, StopIteration, AttributeError):
            return False

    def close(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        with contextlib.suppress(exceptions.Error):  # the board may have lost its supply
            session.close()
        self._note("session closed")

    def _target(self) -> Any:
        if self._session is None or self._session.target is None:
            raise ProbeError(
                f"{self._name}: the debug session is not open", help="call open() before this operation"
            )
        return self._session.target

    def _guard(self, what: str, operation: Callable[[], T]) -> T:
        try:
            result = operation()
        except exceptions.Error as error:
            raise FlashError(
                f"{self._name}: {what} failed: {error}",
                help="is the board still powered? see the timeline for the supply and the probe",
            ) from None
        self._note(what)
        return result

    def _note(self, text: str) -> None:
        self._timeline.record(f"{self._name}.swd", "swd", text)

    # ---- Flasher

    def identity(self) -> dict[str, str]:
        target = self._target()

        def read() -> dict[str, str]:
            part, variant = (target.read32(a) for a in (FICR_PART, FICR_VARIANT))
            low, high = target.read_memory_block32(FICR_DEVICE_ID, 2)
            return {
                "part": f"nRF{part:x}",
                "variant": variant.to_bytes(4, "big").decode("ascii", "replace"),
                "device_id": f"{high:08x}{low:08x}",
                "probe": self._uid,
            }

        return self._guard("read the identity", read)

    def program(self, address: int, data: bytes) -> None:
        target = self._target()

        def write() -> None:
            target.halt()
            FlashLoader.program_binary_data(self._session, address, data)

        self._guard(f"program {address:#x}+{len(data):#x}", write)
        self.verify(address, data)

    def read(self, address: int, length: int) -> bytes:
        target = self._target()
        return self._guard(f"read {address:#x}+{length:#x}", lambda: _read(target, address, length))

    def verify(self, address: int, data: bytes) -> None:
        target = self._target()
        found = self._guard(f"verify {address:#x}+{len(data):#x}", lambda: _read(target, address, len(data)))
        if found != data:
            at = next(i for i, (a, b) in enumerate(zip(found, data, strict=True)) if a != b)
            raise FlashError(
                f"{self._name}: flash at {address + at:#x} holds {found[at]:#04x}, not {data[at]:#04x}",
                help="program again; if it stays, the flash page is worn or protected",
            )

    def erase(self, address: int, length: int) -> None:
        target = self._target()

        def run() -> None:
            target.halt()
            FlashEraser(self._session, FlashEraser.Mode.SECTOR).erase([(address, address + length)])

        self._guard(f"erase {address:#x}+{length:#x}", run)

    def erase_chip(self) -> None:
        region = self._target().memory_map.get_boot_memory()
        self.erase(region.start, region.length)

    def reset(self) -> None:
        target = self._target()
        self._guard("reset", target.reset)

    # ---- beyond flash

    def halt(self) -> None:
        target = self._target()
        self._guard("halt", target.halt)

    def resume(self) -> None:
        target = self._target()
        self._guard("resume", target.resume)

    def read_register(self, name: str) -> int:
        """A core register ("pc", "sp", "r0", ...) of the halted core."""
        target = self._target()
        value: int = self._guard(f"read register {name}", lambda: target.read_core_register(name))
        return value

    def write_register(self, name: str, value: int) -> None:
        target = self._target()
        self._guard(f"write register {name}", lambda: target.write_core_register(name, value))

    def is_locked(self) -> bool:
        """Whether readout protection is on. Opens a session of its own; erases nothing."""
        if self._session is not None:
            return False
        try:
            self.open()
        except LockedError:
            return True
        self.close()
        return False

    def recover(self) -> None:
        """Erase the whole chip, UICR included, and so lift readout protection. Only ever on request."""
        self.close()
        session = Session(self._probe(), options={**self._options, "auto_unlock": True})

        def run() -> None:
            session.open()
            session.close()

        self._guard("recover: erase everything and unlock", run)


def _read(target: Any, address: int, length: int) -> bytes:
    """Any alignment, by whole words (the quick way over SWD)."""
    start = address & ~3
    words = target.read_memory_block32(start, -(-(address + length - start) // 4))
    data = b"".join(word.to_bytes(4, "little") for word in words)
    return data[address - start : address - start + length]
