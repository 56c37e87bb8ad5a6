"""Flash, registers and run control over SWD by pyOCD.

An external CMSIS-DAP probe needs nothing but a USB port. The J-Link on an nRF9160 DK is driven by
pyOCD through SEGGER's own library, which comes with SEGGER's J-Link software alone; pylink, which calls
it, came with pyOCD.

Defences against what is known of pyOCD on this chip:

- `auto_unlock` is off, always. It is on by default, and then opening a session on a chip with
  readout protection erases it all (also on a false alarm: pyOCD issue 1766). Here CTRL-AP is asked
  first (`swd_protection`), until its answers agree; a locked chip is a `LockedError`, and only
  `recover()` erases.
- Probes are chosen by their whole unique id, never by position or by a part of it (`swd_probe`).
- Whatever pyOCD raises, or lets through from below, is an error of the bench (`swd_faults`).
- A target's default reset is SYSRESETREQ. Here each reset names its way, and the chip is asked which one it
  saw (`swd_reset`): caught at its first instruction, before any firmware can clear RESETREAS.
- A flash algorithm runs in whatever state the core is in. That of a firmware that was halted (MPU, stack
  limits, non-secure state, interrupts, locked flash regions) lets none run (pyocd/pyOCD#2023), so the chip
  is reset and halted first, as `pyocd load` and `pyocd erase` do. Reading needs none of that, and no halt.
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
import sys
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, TypeVar

from pyocd.core import exceptions
from pyocd.core.session import Session
from pyocd.core.target import Target
from pyocd.coresight import cortex_m
from pyocd.target.builtin import BUILTIN_TARGETS
from pyocd.target.family import target_nRF91
from pyocd.utility import timeout

from bench.config.swd_targets import normalised, why_unknown
from bench.dut.chip import ChipIdentity
from bench.dut.flasher import Flasher
from bench.dut.pauses import Pause, pausing_by
from bench.dut.swd_faults import pyocd_errors_as, told
from bench.dut.swd_pages import erase_pages, write_pages
from bench.dut.swd_probe import find_probe
from bench.dut.swd_protection import ERASE_TRIES, ControlPort, Protection
from bench.dut.swd_reset import CORE_RESET, ResetCatch
from bench.dut.swd_watchdog import Watchdog
from bench.errors import BenchError, FlashError, LockedError, ProbeError
from bench.timeline import Timeline

OPTIONS: dict[str, Any] = {
    "auto_unlock": False,  # on by default: opening a session erases a locked chip (see above)
    "connect_mode": "attach",  # "halt" by default: the firmware would stand from the first look at its flash
    "jlink.device": None,  # a name would have SEGGER's library connect, halt and ask in its own way
    "jlink.power": False,  # on by default: the probe feeds the board, and a power cut is none
    "no_config": True,
    "reset.core_recover.timeout": 0,  # its look at DHCSR would take from it that there was a reset
    "reset.hold_time": 0.1,  # seconds, of the pin; pyOCD's own default
    "reset_type": "sysresetreq",  # of resets that name none: pyOCD's own, inside `reset_and_halt`
    "resume_on_disconnect": True,
    "user_script": os.devnull,
    "warning.cortex_m_default": False,
}
"""What of pyOCD reaches the board (pyOCD 0.46: pyocd/core/options.py, pyocd/probe/jlink_probe.py), each said
whatever its default. `chip_erase`, `smart_flash`, `keep_unwritten` and `fast_program` belong to pyOCD's own
flash loader, `vector_catch` to its GDB server: neither is used here."""

FICR_PART, FICR_REVISION, FICR_VARIANT, FICR_DEVICE_ID = 0x00FF0140, 0x00FF0144, 0x00FF0148, 0x00FF0204
FICR_RAM = 0x00FF0218
"""nRF9160 and nRF9161 product specifications, FICR (SIPINFO.PARTNO, HWREVISION, VARIANT; INFO.DEVICEID;
INFO.RAM and FLASH in KiB, CODEPAGESIZE in bytes, CODESIZE in pages)."""
UNSPECIFIED = 0xFFFFFFFF
UICR_APPROTECT, UICR_SECUREAPPROTECT, HW_UNPROTECTED = 0x00FF8000, 0x00FF802C, 0x50FA50FA
"""Nordic's MDK, nrf9120.h and nrf9120_bitfields.h; pyOCD writes the same."""

CATCH_LOOKS, CATCH_INTERVAL = 20, 0.01
"""Looks, and seconds between them, for a core that is to stop right after a reset."""

T = TypeVar("T")

NOT_CONNECTED = "is the board powered and the SWD cable connected? is another debugger attached?"

logging.getLogger("pyocd").setLevel(logging.CRITICAL)  # its findings come back as exceptions


class SwdFlasher(Flasher):
    """One board behind one debug probe. `frequency` is SWCLK in hertz, `target` pyOCD's target name;
    pyOCD's pauses are `pause`.

    The core keeps running while the session is open, but for `halt()` and from the first change to the
    flash on: that resets the chip and halts it before the first instruction, and the firmware starts, anew,
    at the next reset, at the latest that of `close()` (SYSRESETREQ). Whoever only reads disturbs nothing.

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
        self._catch: ResetCatch | None = None
        self._probe_modules: list[ModuleType] = []

    # ---- session

    def check(self) -> None:
        """Raise `ProbeError` unless the probe is there, and pyOCD has the target. Needs no power on it."""
        find_probe(self._name, self._uid)
        target = self._options["target_override"]
        why = why_unknown(target)
        builtin = BUILTIN_TARGETS.get(normalised(target))
        if builtin is not None and not issubclass(builtin, target_nRF91.NRF91):
            why = "this target is no nRF91"
        if why is not None:
            raise ProbeError(
                f"{self._name}: flasher.target = {target!r}: {why}",
                help="correct it in the bench file, or leave it out: nrf91 serves every nRF91",
            )

    def _make_session(self) -> Session:
        probe = find_probe(self._name, self._uid)
        self._probe_modules = [sys.modules[type(probe).__module__]]  # each kind holds the pin by itself
        # pyOCD changes into its project directory: name the one we are in
        with pyocd_errors_as(ProbeError, f"{self._name}: no session with probe {self._uid}", NOT_CONNECTED):
            try:
                session = Session(probe, options={**self._options, "project_dir": os.getcwd()})
            except BaseException:
                _let_go(probe)
                raise
        session.delegate = _WithoutPeripherals()
        return session

    def open(self) -> None:
        if self._session is not None:
            return
        protection = self._read_protection()
        if protection.locked:
            raise LockedError(
                f"{self._name}: readout protection of the chip behind {self._uid} is on ({protection})",
                help=f"nothing was erased; `bench recover {self._name} --bench FILE` erases the whole chip "
                "and unlocks it, see docs/protection.md",
            )
        session = self._make_session()
        with self._connecting(), self._pausing():
            try:
                session.open()
            except BaseException:
                _close(session)
                raise
        self._session, self._firmware_lost = session, False
        self._note("session open")

    def _connecting(self) -> contextlib.AbstractContextManager[None]:
        what = f"{self._name}: no debug connection through probe {self._uid}"
        return pyocd_errors_as(ProbeError, what, NOT_CONNECTED)

    @contextlib.contextmanager
    def _control_port(self) -> Iterator[ControlPort]:
        """CTRL-AP by itself: no access port is scanned, no core looked for. Needs no open session."""
        session = self._make_session()
        with self._connecting():
            try:
                session.open(init_board=False)
                port = session.target.dp
                port.connect()
                yield ControlPort(port, self._name, self._uid, self._pause)
            finally:
                _close(session)

    def _read_protection(self) -> Protection:
        with self._control_port() as port:
            return port.protection()

    def close(self) -> None:
        session, self._session = self._session, None
        self._catch = None
        if session is None:
            return
        if self._firmware_lost:
            with contextlib.suppress(Exception), self._pausing():  # the board may have lost its supply
                Watchdog(session.target).feed()  # it lives on, and its period begins with the firmware
                session.target.set_vector_catch(session.target.get_vector_catch() & ~CORE_RESET)
                session.target.reset(Target.ResetType.SYSRESETREQ)
        trouble = _close(session)
        self._note("session closed" if trouble is None else f"session closed, badly: {told(trouble)}")

    def _target(self) -> Any:
        if self._session is None or self._session.target is None:
            raise ProbeError(
                f"{self._name}: the debug session is not open", help="call open() before this operation"
            )
        return self._session.target

    def _guard(self, what: str, operation: Callable[[], T]) -> T:
        result = self._attempt(what, operation)
        self._note(what)
        return result

    def _attempt(self, what: str, operation: Callable[[], T]) -> T:
        help = "is the board still powered? see the timeline for the supply and the probe"
        try:
            with pyocd_errors_as(FlashError, f"{self._name}: {what} failed", help), self._pausing():
                return operation()
        except BenchError:
            self._note(f"{what}: failed")
            raise

    def _pausing(self) -> contextlib.AbstractContextManager[None]:
        return pausing_by(self._pause, (cortex_m, target_nRF91, timeout, *self._probe_modules))

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

    def chip_identity(self) -> ChipIdentity:
        target = self._target()

        def read() -> ChipIdentity:
            part, _, variant = target.read_memory_block32(FICR_PART, 3)
            ram, flash, page, pages = target.read_memory_block32(FICR_RAM, 4)
            size = flash * 1024 if flash != UNSPECIFIED else page * pages if pages != UNSPECIFIED else None
            return ChipIdentity(
                f"nRF{part:x}", _ascii(variant), size, ram * 1024 if ram != UNSPECIFIED else None
            )

        return self._guard("read what chip it is", read)

    def program(self, address: int, data: bytes) -> None:
        """Erase page by page, write, verify by reading back; the rest of the pages touched is kept.

        What the flash already holds is not written again: that spares the flash, and the time.
        """
        target = self._flash_target(address, len(data))
        if not data or self.holds(address, data):
            return

        def write() -> None:
            self._stop_for_algorithm(target)
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
            self._stop_for_algorithm(target)
            erase_pages(target, *_pages(target, address, length))

        self._guard(f"erase {address:#x}+{length:#x}", run)

    def _stop_for_algorithm(self, target: Any) -> None:
        """The core as a reset leaves it, halted before its first instruction. Once is enough: then only
        algorithms run."""
        if self._firmware_lost and target.get_state() is Target.State.HALTED:
            return
        self._firmware_lost = True
        target.reset_and_halt(Target.ResetType.SYSRESETREQ)
        if target.get_state() is not Target.State.HALTED:
            raise exceptions.TargetError("the core does not stop at a reset")
        # should the watchdog bite between two operations, no bootloader finds what is half written
        target.set_vector_catch(target.get_vector_catch() | CORE_RESET)

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

    # ---- resets

    def reset(self) -> None:
        """By nRESET. Raises `ProbeError` when the chip says that its pin was not the one."""
        self._reset("nRESET", Target.ResetType.HARDWARE, "RESETPIN")

    def reset_by_debugger(self) -> None:
        """By the core's own SYSRESETREQ; the pin is not touched."""
        self._reset("SYSRESETREQ", Target.ResetType.SYSRESETREQ, "SREQ")

    def _reset(self, way: str, kind: Target.ResetType, reason: str) -> None:
        target = self._target()
        self.reset_reasons = None

        def run() -> frozenset[str] | None:
            catch = ResetCatch(target)
            target.reset(kind)
            for _ in range(CATCH_LOOKS):
                if catch.look():
                    break
                self._pause(CATCH_INTERVAL)
            return self._reasons(catch)

        self.reset_reasons = self._guard(f"reset by {way}", run)
        seen = self.reset_reasons
        if seen != frozenset():
            self._firmware_lost = False
        if seen is None or reason in seen:
            return
        pin = reason == "RESETPIN"
        raise ProbeError(
            f"{self._name}: reset by {way}, but the chip saw {', '.join(sorted(seen)) or 'no reset at all'}",
            help="wire nRESET of the chip to the probe, or say in the board file that it is not: "
            '[capabilities] reset-pin = { missing = "nRESET is not wired" }'
            if pin
            else "switch the board's supply off and on; is another debugger attached?",
        )

    def catch_reset(self) -> None:
        target = self._target()
        self.reset_reasons = None
        self._catch = self._guard("wait for a reset", lambda: ResetCatch(target))

    def caught_reset(self) -> bool:
        self._target()
        catch = self._catch
        if catch is None or not self._attempt("look for a reset", catch.look):
            return False
        self._catch = None
        self.reset_reasons = self._attempt("read the reasons of a reset", lambda: self._reasons(catch))
        return True

    def _reasons(self, catch: ResetCatch) -> frozenset[str] | None:
        seen = catch.release()
        self._note("RESETREAS: " + ("not told" if seen is None else ", ".join(sorted(seen)) or "none"))
        return seen

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
        if self._session is None:
            return self._read_protection().locked
        port = ControlPort(self._target().dp, self._name, self._uid, self._pause)
        return self._guard("read APPROTECTSTATUS", lambda: port.protection().locked)

    def recover(self, power_cycle: Callable[[], None] | None = None) -> None:
        """Erase the whole chip, UICR included, and so lift readout protection. Only ever on request.

        On a chip that stays locked while its UICR is erased, UICR and a program that opens the access ports
        are written then. `power_cycle`, where given, has the last word: what stays open after it stays open.
        Closes an open session. Raises `LockedError` when ERASEPROTECT forbids it, or it did not help.
        """
        self.close()
        with self._control_port() as port:
            hardened = port.is_hardened()
            port.erase_all()
            if hardened:
                self._erase_until_open(port)
            else:
                port.pin_reset()  # CTRL-AP's own reset does not open these
        self._note("everything erased")
        if hardened:
            self._keep_open()
        if power_cycle is not None:
            power_cycle()
        protection = self._read_protection()
        if protection.locked:
            raise self._still_locked(protection)
        self._note("recover: everything erased, unlocked")

    def _erase_until_open(self, port: ControlPort) -> None:
        for _ in range(ERASE_TRIES - 1):
            if not port.protection().locked:
                return
            port.erase_all()
        if (protection := port.protection()).locked:
            raise self._still_locked(protection)

    def _still_locked(self, protection: Protection) -> LockedError:
        return LockedError(
            f"{self._name}: the chip behind {self._uid} is erased, and still locked ({protection})",
            help="switch its supply off and on, then recover again; wire nRESET to the probe",
        )

    def _keep_open(self) -> None:
        """What a hardened chip needs to stay open after a hard reset: UICR, and firmware that agrees."""
        self.open()
        target = self._target()

        def write() -> None:
            target.write_uicr(UICR_APPROTECT, HW_UNPROTECTED)
            target.write_uicr(UICR_SECUREAPPROTECT, HW_UNPROTECTED)
            target.write_flash(0, target_nRF91.nrf91_empty_image)

        try:
            self._guard("write UICR and a program that opens the access ports", write)
        finally:
            self.close()
        with self._control_port() as port:
            port.soft_reset()


def _close(session: Session) -> Exception | None:
    """Close it and let go of its probe, whatever either raises: the next session needs the probe."""
    trouble = None
    try:
        session.close()
    except Exception as error:
        trouble = error
    _let_go(session.probe)
    return trouble


def _let_go(probe: Any) -> None:
    """pyOCD leaves a probe open whose opening or disconnecting failed half-way."""
    with contextlib.suppress(Exception):
        if probe.is_open:
            probe.close()


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
