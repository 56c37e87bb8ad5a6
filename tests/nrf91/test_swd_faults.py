"""Whatever goes wrong below pyOCD is an error of the bench with a cure, and the probe is free again.

The real pyOCD on a probe of which every method raises everything that pyOCD and its back ends are
known to raise.
"""

from __future__ import annotations

import errno
import itertools
import queue
import random
import struct
from collections import Counter
from collections.abc import Callable

import pytest
import usb.core
from faulty_probe import METHODS, PROPERTIES, Faults, FaultyProbe
from nrf91_rig import UID, VECTORS, Board
from pylink.errors import JLinkException, JLinkReadException, JLinkWriteException
from pyocd.core import exceptions
from pyocd.probe.aggregator import PROBE_CLASSES
from pyocd.probe.pydapaccess.dap_access_api import DAPAccessIntf

from bench.dut.swd import SwdFlasher
from bench.dut.swd_faults import UDEV
from bench.errors import BenchError, FlashError, ProbeError

IMAGE = random.Random(1).randbytes(0x400)

KINDS: dict[str, Callable[[], BaseException]] = {
    **{
        kind.__name__: lambda kind=kind: kind("what pyOCD says")  # type: ignore[misc]
        for kind in (
            exceptions.Error,
            exceptions.InternalError,
            exceptions.TimeoutError,
            exceptions.TargetSupportError,
            exceptions.ProbeError,
            exceptions.ProbeDisconnected,
            exceptions.TargetError,
            exceptions.DebugError,
            exceptions.CoreRegisterAccessError,
            exceptions.TransferError,
            exceptions.TransferTimeoutError,
            exceptions.TransferProtocolError,
            exceptions.TransferFaultError,
            exceptions.FlashFailure,
            exceptions.CommandError,
        )
    },
    **{
        f"DAPAccess.{kind.__name__}": lambda kind=kind: kind("what the probe says")  # type: ignore[misc]
        for kind in (
            DAPAccessIntf.Error,
            DAPAccessIntf.DeviceError,
            DAPAccessIntf.CommandError,
            DAPAccessIntf.TransferError,
            DAPAccessIntf.TransferFaultError,
        )
    },
    **{
        f"USBError {errno.errorcode[number]}": lambda number=number: usb.core.USBError("usb", -1, number)  # type: ignore[misc]
        for number in (errno.EACCES, errno.EBUSY, errno.ENODEV, errno.EIO, errno.EPIPE, errno.ETIMEDOUT)
    },
    "USBError without number": lambda: usb.core.USBError("usb"),
    "NoBackendError": lambda: usb.core.NoBackendError("No backend available"),
    "JLinkException": lambda: JLinkException("J-Link"),
    "JLinkReadException": lambda: JLinkReadException(-1),
    "JLinkWriteException": lambda: JLinkWriteException(-1),
    "hid OSError": lambda: OSError("open failed"),
    "hid ValueError": lambda: ValueError("not open"),
    "ConnectionResetError": lambda: ConnectionResetError(errno.ECONNRESET, "reset"),
    "TimeoutError": lambda: TimeoutError("timed out"),
    "AssertionError": lambda: AssertionError(),
    "AttributeError": lambda: AttributeError("'NoneType' object has no attribute 'write'"),
    "KeyError": lambda: KeyError(4),
    "IndexError": lambda: IndexError("list index out of range"),
    "TypeError": lambda: TypeError("'NoneType' object is not subscriptable"),
    "RuntimeError": lambda: RuntimeError("release unlocked lock"),
    "NotImplementedError": lambda: NotImplementedError(),
    "UnicodeDecodeError": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    "struct.error": lambda: struct.error("unpack requires 4 bytes"),
    "queue.Empty": lambda: queue.Empty(),
    "EOFError": lambda: EOFError(),
}

OUTSIDE: dict[str, Callable[[SwdFlasher], object]] = {
    "check": lambda f: f.check(),
    "open": lambda f: f.open(),
    "is_locked": lambda f: f.is_locked(),
    "recover": lambda f: f.recover(),
}
INSIDE: dict[str, Callable[[SwdFlasher], object]] = {
    "identity": lambda f: f.identity(),
    "chip_identity": lambda f: f.chip_identity(),
    "read": lambda f: f.read(0x1001, 0x123),
    "holds": lambda f: f.holds(0, VECTORS),
    "digest": lambda f: f.digest(0, 0x100),
    "verify": lambda f: f.verify(0, VECTORS),
    "program": lambda f: f.program(0x30000, IMAGE),
    "rewrite": lambda f: f.rewrite(0x30000, 0x1000, IMAGE),
    "erase": lambda f: f.erase(0x30000, 0x1000),
    "erase_chip": lambda f: f.erase_chip(),
    "reset": lambda f: f.reset(),
    "reset_by_debugger": lambda f: f.reset_by_debugger(),
    "halt": lambda f: f.halt(),
    "resume": lambda f: f.resume(),
    "read_register": lambda f: (f.halt(), f.read_register("pc")),
    "write_register": lambda f: (f.halt(), f.write_register("r3", 1)),
    "is_locked with a session": lambda f: f.is_locked(),
    "recover with a session": lambda f: f.recover(),
    "close": lambda f: f.close(),
}


@pytest.fixture
def faulty(board: Board, monkeypatch: pytest.MonkeyPatch) -> Board:
    for kind in tuple(PROBE_CLASSES):
        monkeypatch.delitem(PROBE_CLASSES, kind)
    monkeypatch.setitem(PROBE_CLASSES, "faulty", FaultyProbe)
    monkeypatch.setattr(FaultyProbe, "holder", None)
    monkeypatch.setattr(FaultyProbe, "faults", Faults())
    return board


def healthy() -> Faults:
    FaultyProbe.faults = Faults()
    return FaultyProbe.faults


def flasher_of(board: Board) -> SwdFlasher:
    return board.flasher(pause=lambda seconds: None)


def calls_of(board: Board, operation: Callable[[SwdFlasher], object], *, inside: bool) -> Counter[str]:
    """How often each method is called by an operation in which nothing fails."""
    flasher = flasher_of(board)
    if inside:
        flasher.open()
    faults = healthy()
    operation(flasher)
    calls = Counter(faults.calls)
    healthy()
    flasher.close()
    return calls


def met(
    board: Board, operation: Callable[[SwdFlasher], object], *, inside: bool, faults: Faults
) -> list[str]:
    """What is wrong about how a fault is met; nothing is right."""
    wrong = []
    healthy()
    flasher = flasher_of(board)
    if inside:
        flasher.open()
    FaultyProbe.faults = faults
    try:
        operation(flasher)
    except BenchError as error:
        if not error.help or "\n" in error.message or not error.message.startswith("dut: "):
            wrong.append(f"told badly: {error!s}")
    except BaseException as error:
        wrong.append(f"escaped: {type(error).__name__}: {error}")
    if faults.on:  # what does not work cannot be closed either; it is plugged in again
        FaultyProbe.faults = Faults()
        flasher.close()
        FaultyProbe.holder = None
    else:
        flasher.close()
        FaultyProbe.faults = Faults()
    try:
        flasher.open()
        flasher.read(0, 4)
        flasher.close()
    except BaseException as error:
        wrong.append(f"not open again: {type(error).__name__}: {error}")
        FaultyProbe.holder = None
    return wrong


ALL = [(name, call, False) for name, call in OUTSIDE.items()] + [
    (name, call, True) for name, call in INSIDE.items()
]


@pytest.mark.parametrize(("name", "operation", "inside"), ALL, ids=[name for name, *_ in ALL])
def test_every_method_may_fail_at_every_operation(
    faulty: Board, name: str, operation: Callable[[SwdFlasher], object], inside: bool
) -> None:
    """At its first call, one in the middle, the last; once, and from there on. The kinds take turns."""
    kinds = itertools.cycle(sorted(KINDS))
    for _ in range(len(name)):
        next(kinds)  # each operation begins with another
    wrong = []
    hits = 0
    for method, count in sorted(calls_of(faulty, operation, inside=inside).items()):
        for at, on in [(0, False), (count - 1, False), (count // 2, True)]:
            kind = next(kinds)
            faults = Faults(method, at, KINDS[kind](), on)
            wrong += [
                f"{method} {at}{' and on' if on else ''}, {kind}: {what}"
                for what in met(faulty, operation, inside=inside, faults=faults)
            ]
            hits += faults.hit
    assert hits, "no fault was met at all"
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_may_come_from_every_method(faulty: Board, kind: str) -> None:
    calls = calls_of(faulty, lambda flasher: flasher.open(), inside=False)
    wrong = []
    for method in sorted(calls):
        faults = Faults(method, calls[method] // 2, KINDS[kind]())
        wrong += [
            f"{method}: {what}"
            for what in met(faulty, lambda flasher: flasher.open(), inside=False, faults=faults)
        ]
        assert faults.hit, method
    assert not wrong, "\n".join(wrong)


def test_the_operations_together_call_every_method_there_is(faulty: Board) -> None:
    called: Counter[str] = Counter()
    for _, operation, inside in ALL:
        faulty.load(0, VECTORS)  # some erase them
        called += calls_of(faulty, operation, inside=inside)
    never = {*METHODS, *PROPERTIES} - set(called)
    assert never <= {"is_reset_asserted", "supported_wire_protocols"}, "pyOCD does not call these"


def test_interrupts_are_not_caught(faulty: Board) -> None:
    flasher = flasher_of(faulty)
    FaultyProbe.faults = Faults("read_dp", 3, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        flasher.open()
    healthy()
    flasher.open()
    flasher.close()


@pytest.mark.parametrize(
    ("kind", "cure"),
    [
        ("USBError EACCES", UDEV),
        ("USBError EBUSY", "another program"),
        ("USBError ENODEV", "plug it in again"),
        ("ProbeDisconnected", "plug it in again"),
        ("USBError ETIMEDOUT", "does not answer"),
        ("NoBackendError", "libusb"),
        ("JLinkException", "SEGGER"),
        ("TargetSupportError", "flasher.target"),
        ("TransferError", "board powered"),
    ],
)
def test_the_cure_is_that_of_the_cause(faulty: Board, kind: str, cure: str) -> None:
    FaultyProbe.faults = Faults("open", 0, KINDS[kind]())
    with pytest.raises(ProbeError) as told:
        flasher_of(faulty).open()
    assert cure in told.value.help


def test_the_cure_is_found_behind_another_error(faulty: Board) -> None:
    def raised() -> BaseException:
        try:
            raise DAPAccessIntf.DeviceError("Unable to claim interface") from usb.core.USBError(
                "Access denied", -3, errno.EACCES
            )
        except DAPAccessIntf.DeviceError as error:
            return error

    FaultyProbe.faults = Faults("open", 0, raised())
    with pytest.raises(ProbeError) as told:
        flasher_of(faulty).open()
    assert told.value.help == UDEV


def test_an_error_without_words_is_told_by_its_kind(faulty: Board) -> None:
    FaultyProbe.faults = Faults("open", 0, AssertionError())
    with pytest.raises(ProbeError, match="AssertionError") as told:
        flasher_of(faulty).open()
    assert isinstance(told.value.__cause__, AssertionError), "its traceback is kept: it may be a bug"


def test_an_operation_that_fails_leaves_the_session_usable(faulty: Board) -> None:
    flasher = flasher_of(faulty)
    flasher.open()
    FaultyProbe.faults = Faults("read_ap_multiple", 0, usb.core.USBError("Input/Output Error", -1, errno.EIO))
    with pytest.raises(FlashError, match="read 0x0"):
        flasher.read(0, 0x100)
    healthy()
    assert flasher.read(0, len(VECTORS)) == VECTORS
    flasher.close()


def test_a_working_directory_that_is_gone(faulty: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> str:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr("os.getcwd", gone)
    with pytest.raises(ProbeError, match=UID):
        flasher_of(faulty).open()


def test_a_session_that_closes_badly_is_on_the_timeline_and_over(faulty: Board) -> None:
    flasher = flasher_of(faulty)
    flasher.open()
    FaultyProbe.faults = Faults("disconnect", 0, usb.core.USBError("No such device", -4, errno.ENODEV))
    flasher.close()
    assert [e.text for e in faulty.timeline.since(source="dut.swd", kind="swd")] == [
        "session open",
        "session closed, badly: [Errno 19] No such device",
    ]
    assert FaultyProbe.holder is None
