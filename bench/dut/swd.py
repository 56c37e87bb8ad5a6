"""Flash, registers and run control over SWD by pyOCD.

An external CMSIS-DAP probe needs nothing but a USB port. The J-Link on an nRF9160 DK is driven by
pyOCD only through SEGGER's own library (pylink), which has to be installed beside it.

Defences against what is known of pyOCD on this chip:

- `auto_unlock` is off, always. It is on by default, and then opening a session on a chip with
  readout protection erases it all (also on a false alarm: pyOCD issue 1766). Here CTRL-AP is asked
  first, without any other access; a locked chip is a `LockedError`, and only `recover()` erases.
- Probes are chosen by their whole unique id, never by position or by a part of it.
- Pages are erased one by one by the flash algorithm (`swd_pages`). Erase-all over CTRL-AP, on which pyOCD has
  hung (issue 1458) or has needed nRESET (issue 1576), is done by `recover()` alone, with a time
  limit, with a reset over CTRL-AP and over the pin, and with a look whether it worked.
- No pyocd.yaml and no user script of the working directory takes part.
"""

from __future__ import annotations

import contextlib
import logging
import os
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from pyocd.core import exceptions
from pyocd.core.session import Session
from pyocd.core.target import Target
from pyocd.coresight import cortex_m
from pyocd.probe.aggregator import DebugProbeAggregator
from pyocd.target.family import target_nRF91

from bench.dut.flasher import Flasher
from bench.dut.pauses import Pause, pausing_by
from bench.dut.swd_pages import erase_pages, write_pages
from bench.errors import FlashError, LockedError, ProbeError
from bench.timeline import Timeline

OPTIONS: dict[str, Any] = {
    "auto_unlock": False,
    "connect_mode": "attach",
    "no_config": True,
    "resume_on_disconnect": True,
    "user_script": os.devnull,
    "warning.cortex_m_default": False,
}

CTRL_AP = 4 << 24
RESET, ERASEALL, ERASEALLSTATUS, APPROTECTSTATUS, ERASEPROTECTSTATUS = 0x00, 0x04, 0x08, 0x0C, 0x18
OPEN = 3  # APPROTECTSTATUS: neither APPROTECT nor SECUREAPPROTECT is on
ERASEALL_LIMIT = 30.0
"""Wall seconds for the erase-all of a chip (typically 0.2)."""

FICR_PART, FICR_REVISION, FICR_VARIANT, FICR_DEVICE_ID = 0x00FF0140, 0x00FF0144, 0x00FF0148, 0x00FF0204
"""nRF9160 product specification, FICR (SIPINFO.PARTNO, HWREVISION, VARIANT; INFO.DEVICEID)."""

T = TypeVar("T")

_FAILURES = (exceptions.Error, OSError, KeyError, ValueError, AssertionError)
"""What pyOCD and its USB libraries raise when the wire or the request is bad."""

logging.getLogger("pyocd").setLevel(logging.CRITICAL)  # its findings come back as exceptions


class SwdFlasher(Flasher):
    """One board behind one debug probe. `frequency` is SWCLK in hertz, `target` pyOCD's target name;
    pyOCD's pauses are `pause`.

    The core keeps running while the session is open, but for `halt()` and while flash is written;
    `close()` leaves it running. Flash algorithms overwrite the RAM of the firmware, so that after
    one of them the firmware starts anew, at the latest at `close()`.

    Raises `ProbeError` when the probe or its target is not there, `LockedError` for a chip with
    readout protection, `FlashError` when an operation fails.
    """

    def __init__(
        self,
        name: str,
        uid: str,
        timeline: Timeline,
        *,
        target: str = "nrf91",
        frequency: int = 4_000_000,
        pause: Pause = time.sleep,
    ) -> None:
        self._name, self._uid, self._timeline, self._pause = name, uid, timeline, pause
        self._options = {**OPTIONS, "target_override": target, "frequency": frequency}
        self._session: Session | None = None
        self._firmware_lost = False

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

    def _make_session(self) -> Session:
        # pyOCD changes into its project directory: name the one we are in
        session = Session(self._probe(), options={**self._options, "project_dir": os.getcwd()})
        session.delegate = _WithoutPeripherals()
        return session

    def open(self) -> None:
        if self._session is not None:
            return
        if self._read_protection() & OPEN != OPEN:
            raise LockedError(
                f"{self._name}: readout protection (APPROTECT) of the chip behind {self._uid} is on",
                help="nothing was erased; `recover()` erases the whole chip and unlocks it",
            )
        session = self._make_session()
        try:
            with self._pausing():
                session.open()
        except _FAILURES as error:
            with contextlib.suppress(*_FAILURES):
                session.close()
            raise self._no_connection(error) from None
        self._session, self._firmware_lost = session, False
        self._note("session open")

    def _no_connection(self, error: Exception) -> ProbeError:
        return ProbeError(
            f"{self._name}: no debug connection through probe {self._uid}: {error}",
            help="is the board powered and the SWD cable connected? is another debugger attached?",
        )

    @contextlib.contextmanager
    def _debug_port(self) -> Iterator[Any]:
        """The debug port alone: no access port is scanned, no core looked for. Needs no open session."""
        session = self._make_session()
        try:
            session.open(init_board=False)
            port = session.target.dp
            port.connect()
            yield port
        except _FAILURES as error:
            raise self._no_connection(error) from None
        finally:
            with contextlib.suppress(*_FAILURES):
                session.close()

    def _read_protection(self) -> int:
        with self._debug_port() as port:
            return int(port.read_ap(CTRL_AP | APPROTECTSTATUS))

    def close(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        with contextlib.suppress(*_FAILURES):  # the board may have lost its supply
            if self._firmware_lost:
                with self._pausing():
                    session.target.reset()
        with contextlib.suppress(*_FAILURES):
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
            with self._pausing():
                result = operation()
        except _FAILURES as error:
            self._note(f"{what}: failed")
            raise FlashError(
                f"{self._name}: {what} failed: {error}",
                help="is the board still powered? see the timeline for the supply and the probe",
            ) from None
        self._note(what)
        return result

    def _pausing(self) -> contextlib.AbstractContextManager[None]:
        return pausing_by(self._pause, (cortex_m, target_nRF91))

    def _note(self, text: str) -> None:
        self._timeline.record(f"{self._name}.swd", "swd", text)

    # ---- Flasher

    def identity(self) -> dict[str, str]:
        """Keys: part, variant, revision (as the chip is marked), device_id (16 hex digits), probe (UID)."""
        target = self._target()

        def read() -> dict[str, str]:
            part, revision, variant = target.read_memory_block32(FICR_PART, 3)
            low, high = target.read_memory_block32(FICR_DEVICE_ID, 2)
            return {
                "part": f"nRF{part:x}",
                "variant": _ascii(variant),
                "revision": _ascii(revision),
                "device_id": f"{high:08x}{low:08x}",
                "probe": self._uid,
            }

        return self._guard("read the identity", read)

    def program(self, address: int, data: bytes) -> None:
        """Erase page by page, write, verify by reading back; the rest of the pages touched is kept.

        What the flash already holds is not written again: that spares the flash, and the time.
        """
        target = self._flash_target(address, len(data))
        if not data or self.holds(address, data):
            return

        def write() -> None:
            self._firmware_lost = True
            target.halt()
            start, end = _pages(target, address, len(data))
            head = _read(target, start, address - start)
            tail = _read(target, address + len(data), end - address - len(data))
            if target.memory_map.get_region_for_address(address).is_erasable:
                erase_pages(target, start, end)
            write_pages(target, start, head + data + tail)

        self._guard(f"program {address:#x}+{len(data):#x}", write)
        self.verify(address, data)

    def rewrite(self, address: int, length: int, data: bytes) -> None:
        """Each page is erased once."""
        target = self._flash_target(address, max(length, len(data)))
        self.erase(address, max(length, len(data)))
        if not data:
            return
        self._guard(f"write {address:#x}+{len(data):#x}", lambda: write_pages(target, address, data))
        self.verify(address, data)

    def read(self, address: int, length: int) -> bytes:
        """Any memory, with the core left as it is: running, if it was."""
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
        target = self._flash_target(address, length)
        if length == 0:
            return

        def run() -> None:
            self._firmware_lost = True
            target.halt()
            erase_pages(target, *_pages(target, address, length))

        self._guard(f"erase {address:#x}+{length:#x}", run)

    def erase_chip(self) -> None:
        """Every page of the flash. UICR stays: only `recover()` erases it."""
        region = self._target().memory_map.get_boot_memory()
        self.erase(region.start, region.length)

    def _flash_target(self, address: int, length: int) -> Any:
        """The target, if the range is all flash."""
        target = self._target()
        region = target.memory_map.get_region_for_address(address)
        if region is None or not region.is_flash or address + length > region.end + 1:
            raise FlashError(
                f"{self._name}: {address:#x}+{length:#x} is not within the chip's flash",
                help="correct the address, or build a smaller image",
            )
        return target

    def reset(self) -> None:
        target = self._target()
        self._guard("reset", target.reset)
        self._firmware_lost = False

    def reset_by_debugger(self) -> None:
        """By the core's own SYSRESETREQ; the pin is not touched."""
        target = self._target()
        self._guard("reset", lambda: target.reset(Target.ResetType.SYSRESETREQ))
        self._firmware_lost = False

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
        """Set a core register of the halted core."""
        target = self._target()
        self._guard(f"write register {name}", lambda: target.write_core_register(name, value))

    def is_locked(self) -> bool:
        """Whether readout protection is on, by CTRL-AP. Erases nothing; needs no open session."""
        if self._session is not None:
            target = self._target()
            status = self._guard("read APPROTECTSTATUS", lambda: target.dp.read_ap(CTRL_AP | APPROTECTSTATUS))
            return bool(status & OPEN != OPEN)
        return self._read_protection() & OPEN != OPEN

    def recover(self) -> None:
        """Erase the whole chip, UICR included, and so lift readout protection. Only ever on request.

        Closes an open session. Raises `LockedError` when ERASEPROTECT forbids it, or it did not help.
        """
        self.close()
        with self._debug_port() as port:
            self._erase_all(port)
        if self.is_locked():
            raise LockedError(
                f"{self._name}: the chip behind {self._uid} is still locked after erasing everything",
                help="switch its supply off and on, then recover again; wire nRESET to the probe",
            )
        self._note("recover: everything erased, unlocked")

    def _erase_all(self, port: Any) -> None:
        if not port.read_ap(CTRL_AP | ERASEPROTECTSTATUS) & 1:
            raise LockedError(
                f"{self._name}: ERASEPROTECT of the chip behind {self._uid} forbids erasing it",
                help="only the firmware on it can lift that, if it was built to",
            )
        port.write_ap(CTRL_AP | ERASEALL, 1)
        limit = time.monotonic() + ERASEALL_LIMIT
        while port.read_ap(CTRL_AP | ERASEALLSTATUS):
            if time.monotonic() > limit:
                raise FlashError(
                    f"{self._name}: erasing everything over CTRL-AP took more than {ERASEALL_LIMIT:g} s",
                    help="switch the board's supply off and on and recover again",
                )
            self._pause(0.02)
        port.write_ap(CTRL_AP | RESET, 1)
        port.write_ap(CTRL_AP | RESET, 0)
        port.probe.reset()  # chips before revision 3 want the pin to let go of the protection


class _WithoutPeripherals:
    """Keeps pyOCD from parsing the chip's SVD file in each session: a CPU second, for names nobody asks."""

    def will_init_target(self, target: Any, init_sequence: Any) -> None:
        if init_sequence.has_task("load_svd"):
            init_sequence.remove_task("load_svd")


def _ascii(word: int) -> str:
    return word.to_bytes(4, "little").decode("ascii", "replace").strip("\0 ")


def _pages(target: Any, address: int, length: int) -> tuple[int, int]:
    """First address and end of the erase pages that cover the range."""
    flash = target.memory_map.get_region_for_address(address).flash
    first, last = flash.get_sector_info(address), flash.get_sector_info(address + length - 1)
    return first.base_addr, last.base_addr + last.size


def _read(target: Any, address: int, length: int) -> bytes:
    """Any alignment, by whole words (the quick way over SWD).

    By the access port of the core: pyOCD's reads by the core look for a software breakpoint at each
    word, and the bench sets none.
    """
    start = address & ~3
    words = target.selected_core_or_raise.ap.read_memory_block32(start, -(-(address + length - start) // 4))
    data = struct.pack(f"<{len(words)}I", *words)
    return data[address - start : address - start + length]
