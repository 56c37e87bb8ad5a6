"""Which reset happened: the chip's register against its maker's file, and what the flasher makes of it."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyocd.debug.svd
import pytest
from nrf91_rig import UID, Board, Wire
from pyocd.core.options import BUILTIN_OPTIONS, add_option_set
from pyocd.core.session import Session
from pyocd.core.target import Target
from pyocd.probe.aggregator import DebugProbeAggregator
from pyocd.probe.jlink_probe import JLinkProbe, JLinkProbePlugin

from bench.dut import swd, swd_reset, swd_watchdog
from bench.dut.swd import SwdFlasher
from bench.dut.swd_reset import RESET_REASONS
from bench.errors import FlashError, ProbeError
from bench.virtual.nrf91 import access_rules, watchdog
from bench.virtual.nrf91 import chip as virtual_chip
from bench.virtual.nrf91 import memory_map as mem
from bench.virtual.nrf91.application_state import APPLICATION
from bench.virtual.nrf91.probe import VirtualProbe
from bench.virtual.nrf91.silicon import NRF9161
from bench.virtual.process import Steps

RESETREAS = 0x50005400


@pytest.fixture(scope="module")
def svd() -> ElementTree.Element:
    """Nordic's description of the nRF9160's registers, which pyOCD carries."""
    (folder,) = pyocd.debug.svd.__path__
    with zipfile.ZipFile(Path(folder) / "svd_data.zip") as packed:
        return ElementTree.fromstring(packed.read("nrf9160.svd"))


def peripheral(svd: ElementTree.Element, name: str) -> ElementTree.Element:
    return next(p for p in svd.iter("peripheral") if p.findtext("name") == name)


def address(of: ElementTree.Element, register: str) -> int:
    return int(of.findtext("baseAddress", ""), 0) + offset(of, register)


def offset(of: ElementTree.Element, register: str) -> int:
    entry = next(r for r in of.iter() if r.tag in ("register", "cluster") and r.findtext("name") == register)
    return int(entry.findtext("addressOffset", ""), 0)


def test_the_reasons_are_those_of_the_maker(svd: ElementTree.Element) -> None:
    power = peripheral(svd, "POWER_NS")
    register = next(r for r in power.iter("register") if r.findtext("name") == "RESETREAS")
    fields = {int(f.findtext("lsb", "")): f.findtext("name") for f in register.iter("field")}
    assert fields == RESET_REASONS
    at = address(power, "RESETREAS")
    assert (at + 0x10000000, at) == swd_reset.RESETREAS  # secure, non-secure
    names = {"pin": "RESETPIN", "watchdog": "DOG", "soft": "SREQ", "swd": "SREQ", "ctrl-ap": "CTRLAP"}
    bits = {name: bit for bit, name in fields.items()}
    modelled = {reason: 1 << bits[name] for reason, name in names.items()}
    assert modelled | {"power": 0} == virtual_chip.RESET_REASON_BITS


def test_watchdog_and_protection_unit_are_where_the_maker_has_them(svd: ElementTree.Element) -> None:
    wdt, spu = peripheral(svd, "WDT_NS"), peripheral(svd, "SPU_S")
    assert int(wdt.findtext("baseAddress", ""), 0) + 0x10000000 == swd_watchdog.WDT
    for module in (swd_watchdog, watchdog):
        assert (
            offset(wdt, "RUNSTATUS"), offset(wdt, "CRV"), offset(wdt, "RR[%s]")
        ) == (module.RUNSTATUS, module.CRV, module.RR)  # fmt: skip
        reload = next(v for v in wdt.iter("enumeratedValue") if v.findtext("name") == "Reload")
        assert int(reload.findtext("value", ""), 0) == module.RELOAD
    assert offset(spu, "FLASHREGION[%s]") == access_rules.FLASH_REGIONS
    assert offset(spu, "RAMREGION[%s]") == access_rules.RAM_REGIONS


# ---- the chip


def by_pin(board: Board) -> None:
    board.chip.hold_reset("pin", True)
    board.chip.hold_reset("pin", False)


def by_ctrl_ap(board: Board) -> None:
    board.wire.power_up()
    board.wire.write(4, 0, 1)
    board.wire.write(4, 0, 0)


def by_debugger(board: Board) -> None:
    board.wire.power_up()
    board.wire.poke(0xE000ED0C, 0x05FA0004)


CAUSES: dict[str, Callable[[Board], None]] = {
    "RESETPIN": by_pin,
    "CTRLAP": by_ctrl_ap,
    "SREQ": by_debugger,
    "DOG": lambda board: board.chip.reset("watchdog"),
}


@pytest.mark.parametrize("name", CAUSES)
def test_the_chip_tells_resets_apart(board: Board, name: str) -> None:
    CAUSES[name](board)
    bit = next(bit for bit, called in RESET_REASONS.items() if called == name)
    assert board.chip.read_peripheral(RESETREAS) == 1 << bit
    assert len(board.boots) == 2


def test_reasons_add_up_until_ones_clear_them_and_power_on_has_none(board: Board) -> None:
    for cause in CAUSES.values():
        cause(board)
    assert board.chip.read_peripheral(RESETREAS) == 1 << 0 | 1 << 1 | 1 << 16 | 1 << 18
    board.chip.write_peripheral(RESETREAS, 1 << 16 | 1 << 0)
    assert board.chip.read_peripheral(RESETREAS) == 1 << 1 | 1 << 18
    board.chip.power(False)
    board.chip.power(True)
    assert board.chip.read_peripheral(RESETREAS) == 0


def test_pyocd_s_default_reset_is_not_the_pin(board: Board) -> None:
    probe = DebugProbeAggregator.get_probe_with_id(UID)
    options = {"target_override": "nrf91", "no_config": True, "auto_unlock": False, "connect_mode": "attach"}
    with Session(probe, options=options) as session:
        assert session.target is not None
        session.target.reset()
        assert board.chip.read_peripheral(RESETREAS) == 1 << 16
        session.target.reset(Target.ResetType.HARDWARE)
        assert board.chip.read_peripheral(RESETREAS) == 1 << 16 | 1 << 0


# ---- the flasher


def opened(board: Board) -> SwdFlasher:
    flasher = board.flasher(pause=lambda seconds: board.clock.sleep(seconds, "pyOCD's pause"))
    flasher.open()
    return flasher


@pytest.fixture
def flasher(board: Board) -> Iterator[SwdFlasher]:
    flasher = opened(board)
    yield flasher
    flasher.close()


def clears_reasons(board: Board) -> None:
    """As NCS and many applications do, first of all."""
    board.start = lambda: board.chip.write_peripheral(RESETREAS, 0xFFFFFFFF)


@pytest.mark.parametrize("cleared", [False, True])
def test_reset_is_the_pin_and_proved_so(board: Board, flasher: SwdFlasher, cleared: bool) -> None:
    if cleared:
        clears_reasons(board)
    board.chip.reset("watchdog")  # an older reason that nobody has cleared
    flasher.reset()
    assert board.boots[-1] == "pin"
    assert flasher.reset_reasons == {"RESETPIN"}
    assert board.is_running()


@pytest.mark.parametrize("cleared", [False, True])
def test_reset_by_debugger_is_not_the_pin(board: Board, flasher: SwdFlasher, cleared: bool) -> None:
    if cleared:
        clears_reasons(board)
    board.chip.reset("pin")
    flasher.reset_by_debugger()
    assert board.boots[-1] == "swd"
    assert flasher.reset_reasons == {"SREQ"}
    assert board.is_running()


@pytest.mark.parametrize("way", ["pin", "debugger"])
def test_a_power_peripheral_that_the_firmware_has_is_found(
    board: Board, flasher: SwdFlasher, way: str
) -> None:
    """Under TF-M it is non-secure, and at its secure address only right after a reset."""
    board.start = lambda: board.chip.core.enter(APPLICATION)
    board.chip.reset("watchdog")
    with pytest.raises(FlashError):
        flasher.read(RESETREAS, 4)
    (flasher.reset if way == "pin" else flasher.reset_by_debugger)()
    assert flasher.reset_reasons == {"RESETPIN" if way == "pin" else "SREQ"}


def test_the_firmware_still_finds_its_reset_s_reason(board: Board, flasher: SwdFlasher) -> None:
    found: list[int] = []
    board.start = lambda: found.append(board.chip.read_peripheral(RESETREAS))
    flasher.reset()
    assert found == [1]


def test_the_pin_is_held_for_its_time(board: Board, flasher: SwdFlasher) -> None:
    start = board.scheduler.now
    held: list[float] = []
    board.start = lambda: held.append(board.scheduler.now - start)
    flasher.reset()
    assert held[0] >= 0.1


@pytest.mark.parametrize("after", ["nothing", "programming"])
def test_a_pin_that_is_not_wired_is_told(
    board: Board, flasher: SwdFlasher, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    monkeypatch.setattr(VirtualProbe, "assert_reset", lambda self, asserted: None)
    if after == "programming":
        flasher.program(0x30000, b"something" * 100)
    with pytest.raises(ProbeError, match=r"dut: reset by nRESET, but the chip saw no reset at all") as told:
        flasher.reset()
    assert "wire nRESET" in told.value.help
    assert "reset-pin = { missing" in told.value.help
    flasher.close()
    assert board.boots == (["power"] if after == "nothing" else ["power", "swd"])
    board.chip.reset("pin")  # nothing is left armed
    assert board.is_running()


def test_a_pin_that_does_something_else_is_told(
    board: Board, flasher: SwdFlasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        VirtualProbe, "assert_reset", lambda self, asserted: asserted or self._chip.reset("soft")
    )
    with pytest.raises(ProbeError, match="the chip saw SREQ"):
        flasher.reset()
    assert board.is_running()


def test_a_debugger_s_reset_that_does_nothing_is_told(
    board: Board, flasher: SwdFlasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board.chip, "reset", lambda reason: None)
    with pytest.raises(ProbeError, match="reset by SYSRESETREQ, but the chip saw no reset at all"):
        flasher.reset_by_debugger()


@pytest.mark.parametrize(("cleared", "told"), [(False, {"RESETPIN"}), (True, None)])
def test_a_reset_that_takes_the_catch_with_it_is_told_as_far_as_it_goes(
    board: Board, flasher: SwdFlasher, monkeypatch: pytest.MonkeyPatch, cleared: bool, told: set[str] | None
) -> None:
    """Outside debug interface mode a pin reset clears the debug logic, and the core is not caught."""
    if cleared:
        clears_reasons(board)
    reset = board.chip.reset

    def reset_all(reason: str) -> None:
        board.chip.core.write(0xE000EDFC, 0)  # DEMCR
        reset(reason)

    monkeypatch.setattr(board.chip, "reset", reset_all)
    flasher.reset()
    assert board.boots == ["power", "pin"]
    assert flasher.reset_reasons == told
    assert board.is_running()


@pytest.fixture
def hardened(make_board: Callable[..., Board]) -> Board:
    """Its access port is shut by a pin or watchdog reset, until the firmware has run for a while."""
    board = make_board(silicon=NRF9161)
    for word in (mem.UICR_APPROTECT, mem.UICR_SECUREAPPROTECT):
        struct.pack_into("<I", board.chip.uicr.view, word, 0x50FA50FA)

    def firmware(reason: str) -> Steps:
        yield 0.12
        board.chip.write_peripheral(mem.APPROTECT_DISABLE, 0x5A)
        board.chip.write_peripheral(mem.SECUREAPPROTECT_DISABLE, 0x5A)
        yield from board.firmware(reason)

    board.chip.boot = firmware
    board.chip.power(False)
    board.chip.power(True)
    board.clock.sleep(0.5, "it starts and opens its access port")
    board.boots.clear()
    return board


@pytest.mark.parametrize(("cleared", "told"), [(False, {"RESETPIN"}), (True, None)])
def test_a_chip_that_shuts_its_access_port_is_waited_for(
    hardened: Board, cleared: bool, told: set[str] | None
) -> None:
    if cleared:
        clears_reasons(hardened)
    flasher = opened(hardened)
    flasher.reset()
    assert flasher.reset_reasons == told
    assert hardened.boots == ["pin"]
    flasher.program(0x30000, b"still there" * 10)
    flasher.close()
    hardened.clock.sleep(0.2, "it starts")
    assert hardened.boots == ["pin", "swd"]
    assert hardened.is_running()


@pytest.mark.parametrize(("cleared", "told"), [(False, {"DOG"}), (True, None)])
def test_a_watchdog_s_reset_that_shuts_the_access_port_is_seen(
    hardened: Board, cleared: bool, told: set[str] | None
) -> None:
    if cleared:
        clears_reasons(hardened)
    flasher = opened(hardened)
    flasher.catch_reset()
    hardened.scheduler.after(1.0, lambda: hardened.chip.reset("watchdog"))
    looks = 0
    while not flasher.caught_reset():
        hardened.clock.sleep(0.05, "until it is seen")
        looks += 1
        assert looks < 100
    assert flasher.reset_reasons == told
    assert hardened.boots == ["watchdog"]
    flasher.close()


def test_a_pin_that_is_not_wired_is_told_on_such_a_chip_too(
    hardened: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VirtualProbe, "assert_reset", lambda self, asserted: None)
    flasher = opened(hardened)
    with pytest.raises(ProbeError, match="no reset at all"):
        flasher.reset()
    flasher.close()


@pytest.mark.parametrize("reason", ["watchdog", "soft", "pin", "ctrl-ap"])
def test_a_reset_from_elsewhere_is_caught(board: Board, flasher: SwdFlasher, reason: str) -> None:
    clears_reasons(board)
    flasher.catch_reset()
    assert board.is_running()
    assert not flasher.caught_reset()
    assert flasher.reset_reasons is None
    board.scheduler.after(1.0, lambda: board.chip.reset(reason))
    board.clock.sleep(2.0, "it happens")
    assert board.boots == ["power"], "held before its first instruction"
    assert flasher.caught_reset()
    assert flasher.reset_reasons == {RESET_REASONS[virtual_chip.RESET_REASON_BITS[reason].bit_length() - 1]}
    assert board.boots == ["power", reason]
    assert board.is_running()
    board.chip.reset("soft")
    assert board.is_running(), "the next one is not caught"


def test_a_breakpoint_is_no_reset(board: Board, flasher: SwdFlasher) -> None:
    flasher.catch_reset()
    flasher.halt()
    assert not flasher.caught_reset()
    flasher.resume()
    assert board.is_running()


def test_each_reset_is_on_the_timeline_with_the_chip_s_word(board: Board, flasher: SwdFlasher) -> None:
    flasher.reset()
    texts = [e.text for e in board.timeline.since(source="dut.swd", kind="swd")]
    assert texts[-2:] == ["RESETREAS: RESETPIN", "reset by nRESET"]


# ---- what of pyOCD reaches the board


def test_pyocd_s_options_that_reach_the_board_are_said(board: Board, flasher: SwdFlasher) -> None:
    session = flasher._session
    assert session is not None
    wanted = {
        "auto_unlock": False,
        "connect_mode": "attach",
        "jlink.device": None,
        "jlink.power": False,
        "reset_type": "sysresetreq",
        "resume_on_disconnect": True,
    }
    assert {name: session.options.get(name) for name in wanted} == wanted
    assert wanted.items() <= swd.OPTIONS.items(), "each said, whatever pyOCD's default"
    known = {option.name for option in (*BUILTIN_OPTIONS, *JLinkProbePlugin().options)}
    assert swd.OPTIONS.keys() <= known


class _Link:
    """Stands where SEGGER's library would, which is not to be had here; pyOCD's probe class is its own."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.calls.append(name)


@pytest.mark.parametrize(("options", "powered"), [({}, True), (swd.OPTIONS, False)])
def test_a_j_link_does_not_feed_the_board(options: dict[str, Any], powered: bool) -> None:
    add_option_set(JLinkProbePlugin().options)  # as pyOCD does where it finds the library
    probe = JLinkProbe.__new__(JLinkProbe)
    super(JLinkProbe, probe).__init__()
    probe._link = link = _Link()  # type: ignore[assignment]
    probe._supported_protocols = [probe.Protocol.SWD]
    probe._default_protocol = probe.Protocol.SWD
    Session(probe, options={"no_config": True, **options})
    probe.connect()
    probe.disconnect()
    assert ("power_on" in link.calls) == powered
    assert ("power_off" in link.calls) == powered
    assert "coresight_configure" in link.calls
    assert "connect" not in link.calls


def test_recover_resets_over_ctrl_ap_and_by_the_pin(board: Board, wire: Wire) -> None:
    board.flasher().recover()
    assert board.chip.read_peripheral(RESETREAS) == 1 << 18 | 1 << 0


def test_a_core_that_was_looked_at_while_in_reset_runs_afterwards(board: Board, flasher: SwdFlasher) -> None:
    flasher.catch_reset()
    board.chip.hold_reset("pin", True)
    catch = flasher._catch
    assert catch is not None
    assert catch.look(), "S_RESET_ST is set already"
    board.chip.hold_reset("pin", False)
    assert catch.release() == {"RESETPIN"}
    assert board.is_running()
