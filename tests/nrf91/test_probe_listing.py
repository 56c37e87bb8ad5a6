"""Finding a probe, and saying why it is not there: SEGGER's library, rights, spelling, clones."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import libusb_package
import pytest
import usb.core
from nrf91_rig import UID, Board
from pylink.library import Library
from pyocd.probe.aggregator import PROBE_CLASSES
from pyocd.probe.debug_probe import DebugProbe
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from bench.dut import swd_probe, usb_listing
from bench.dut.swd import SwdFlasher
from bench.dut.swd_faults import UDEV
from bench.dut.swd_probe import find_probe
from bench.dut.usb_listing import UsbDevice, usb_devices
from bench.errors import ProbeError
from bench.virtual.nrf91.probe import VirtualProbe

NRF9160_DK = (0x1366, 0x1015, "000960012345", "J-Link")
DAPLINK = (0x0D28, 0x0204, "0240000034544e45", "DAPLink CMSIS-DAP")

Plug = Callable[..., None]


def port(vendor: int, product: int, serial: str | None, name: str) -> ListPortInfo:
    info = ListPortInfo("/dev/ttyACM0")
    info.vid, info.pid, info.serial_number, info.product = vendor, product, serial, name
    return info


class LibusbDevice:
    """As pyusb tells of a device that may not be opened: its numbers, and no string."""

    def __init__(self, vendor: int, product: int, serial: str | None = None) -> None:
        self.idVendor, self.idProduct, self._serial = vendor, product, serial

    @property
    def serial_number(self) -> str:
        if self._serial is None:
            raise ValueError("The device has no langid")
        return self._serial

    @property
    def product(self) -> str:
        raise usb.core.USBError("Access denied (insufficient permissions)", -3, errno.EACCES)


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Plug:
    """What is on USB: serial ports, and devices as libusb lists them."""

    monkeypatch.setattr(usb_listing, "SYSFS", Path("/nowhere"))

    def plugged(ports: Sequence[ListPortInfo] = (), devices: Sequence[Any] = ()) -> None:
        monkeypatch.setattr(list_ports, "comports", lambda: [ListPortInfo("/dev/ttyS0"), *ports])
        monkeypatch.setattr(libusb_package, "find", lambda **_: iter(devices))

    plugged()
    return plugged


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What pyOCD's kinds of probes list: UIDs, or what they raise."""

    def kinds(**lists: Sequence[str] | Exception) -> None:
        for kind in tuple(PROBE_CLASSES):
            monkeypatch.delitem(PROBE_CLASSES, kind)
        for kind, found in lists.items():
            monkeypatch.setitem(PROBE_CLASSES, kind, listing(found))

    return kinds


def listing(found: Sequence[str] | Exception) -> type[DebugProbe]:
    class Listing(VirtualProbe):
        @classmethod
        def get_all_connected_probes(
            cls, unique_id: str | None = None, is_explicit: bool = False
        ) -> Sequence[DebugProbe]:
            if isinstance(found, Exception):
                raise found
            return [cls(uid, None) for uid in found]  # type: ignore[arg-type]

    return Listing


def refused(uid: str) -> ProbeError:
    with pytest.raises(ProbeError) as told:
        find_probe("dk", uid)
    assert told.value.message.startswith(f"dk: no debug probe with UID {uid}; present: ")
    return told.value


# ---- SEGGER


@pytest.mark.parametrize(
    ("ports", "devices"),
    [([port(*NRF9160_DK)], []), ([], [LibusbDevice(0x1366, 0x0101)])],
    ids=["its serial port", "no serial port"],
)
@pytest.mark.parametrize("uid", ["960012345", "000960012345"])
def test_a_jlink_without_segger_s_library(
    plug: Plug, listed: Callable[..., None], ports: list[Any], devices: list[Any], uid: str
) -> None:
    """The real pylink looks for the library, which is not installed where the tests run."""
    if Library().dll() is not None:
        pytest.skip("SEGGER's software is installed here")
    listed(cmsisdap=[])
    plug(ports, devices)
    told = refused(uid)
    assert "J-Link seen on USB" in told.message
    assert "library was not found" in told.message
    assert "install SEGGER's J-Link Software" in told.help


def test_with_the_library_it_is_not_the_library(
    plug: Plug, listed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swd_probe, "Library", lambda: type("Loaded", (), {"dll": lambda self: object()})())
    listed(jlink=[])
    plug([port(*NRF9160_DK)])
    assert "library" not in refused("960012345").message


def test_a_library_that_cannot_be_loaded_is_none(
    plug: Plug, listed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Library:
        raise OSError("wrong ELF class: ELFCLASS32")

    monkeypatch.setattr(swd_probe, "Library", broken)
    listed(jlink=[])
    plug([port(*NRF9160_DK)])
    assert "install SEGGER's" in refused("960012345").help


def test_another_jlink_is_not_blamed_for_a_missing_cmsis_dap_probe(
    plug: Plug, listed: Callable[..., None]
) -> None:
    listed(cmsisdap=[])
    plug([port(*NRF9160_DK)])
    told = refused("0240000034544e45")
    assert "J-Link" not in told.message
    assert "pyocd list" in told.help


def test_a_jlink_s_serial_number_as_usb_writes_it(plug: Plug, listed: Callable[..., None]) -> None:
    listed(jlink=["960012345"])
    assert refused("000960012345").help == "write flasher.uid = '960012345' in the bench file"


# ---- rights


def test_a_probe_that_may_not_be_opened(plug: Plug, listed: Callable[..., None]) -> None:
    listed(cmsisdap=[])
    plug([port(*DAPLINK)])
    told = refused("0240000034544e45")
    assert "seen on USB: DAPLink CMSIS-DAP 0240000034544e45 (0d28:0204)" in told.message
    assert told.help == UDEV


def test_a_probe_without_a_serial_port_that_may_not_be_opened(
    plug: Plug, listed: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Linux tells its serial number to everybody; libusb, which may not open it, does not."""
    told_by_kernel = {
        "idVendor": "1915\n",
        "idProduct": "910a\n",
        "serial": "THINGY91X_1\n",
        "product": "Thingy\n",
    }
    for folder in ("1-2", "1-2:1.0", "usb1"):
        (tmp_path / folder).mkdir()
    for name, text in told_by_kernel.items():
        (tmp_path / "1-2" / name).write_text(text, "utf-8")
    listed(cmsisdap=[])
    plug([], [LibusbDevice(0x1915, 0x910A)])
    monkeypatch.setattr(usb_listing, "SYSFS", tmp_path)
    told = refused("THINGY91X_1")
    assert "Thingy THINGY91X_1 (1915:910a)" in told.message
    assert told.help == UDEV
    assert usb_devices() == [UsbDevice(0x1915, 0x910A, "THINGY91X_1", "Thingy")]


def test_a_jlink_that_boots_as_cmsis_dap_needs_rights_and_no_library(
    plug: Plug, listed: Callable[..., None]
) -> None:
    listed(cmsisdap=[])
    plug([port(0x1366, 0x1008, "000801234567", "J-Link CMSIS-DAP")])
    told = refused("000801234567")
    assert "library" not in told.message
    assert told.help == UDEV
    listed(cmsisdap=["000801234567"])
    assert find_probe("dk", "000801234567").unique_id == "000801234567"


def test_no_right_to_list_at_all(plug: Plug, listed: Callable[..., None]) -> None:
    listed(cmsisdap=usb.core.USBError("Access denied", -3, errno.EACCES), jlink=[])
    told = refused("0240000034544e45")
    assert "cmsisdap probes cannot be listed" in told.message
    assert told.help == UDEV


# ---- lists


@pytest.mark.parametrize("error", [RuntimeError("bug"), OSError("usb"), ValueError("No backend")])
def test_a_kind_that_cannot_be_listed_hides_no_other(
    plug: Plug, listed: Callable[..., None], error: Exception
) -> None:
    listed(jlink=error, cmsisdap=["A", "B"], stlink=error)
    assert find_probe("dk", "B").unique_id == "B"
    told = refused("C")
    assert "present: A, B; jlink probes cannot be listed" in told.message


def test_clones_with_one_serial_number(plug: Plug, listed: Callable[..., None]) -> None:
    listed(cmsisdap=["0001A0000000", "0001A0000000"], jlink=["1"])
    with pytest.raises(ProbeError, match="2 debug probes have the UID 0001A0000000") as told:
        find_probe("dk", "0001A0000000")
    assert "unplug" in told.value.help
    assert find_probe("dk", "1").unique_id == "1"


def test_nothing_is_asked_of_usb_while_the_probe_is_there(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_ports, "comports", lambda: pytest.fail("asked"))
    board.flasher().check()


# ---- USB


def test_a_device_is_listed_once(plug: Plug) -> None:
    plug(
        [port(*NRF9160_DK), port(*NRF9160_DK), port(*DAPLINK)],
        [LibusbDevice(*NRF9160_DK[:2]), LibusbDevice(*DAPLINK[:3]), LibusbDevice(0x1D6B, 2)],
    )
    assert usb_devices() == [
        UsbDevice(*NRF9160_DK),
        UsbDevice(*DAPLINK),
        UsbDevice(0x1D6B, 2),
    ]


def test_without_libusb_the_serial_ports_are_listed(plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(**_: Any) -> Any:
        raise usb.core.NoBackendError("No backend available")

    plug([port(*DAPLINK)])
    monkeypatch.setattr(libusb_package, "find", none)
    assert usb_devices() == [UsbDevice(*DAPLINK)]


def test_this_pc_can_be_listed() -> None:
    assert all(device.vendor for device in usb_devices())


# ---- targets


@pytest.mark.parametrize(("target", "nearest"), [("nrf9161", "nrf91"), ("nrf52480", "nrf52840")])
def test_a_target_that_pyocd_does_not_have(board: Board, target: str, nearest: str) -> None:
    flasher = SwdFlasher("dk", UID, board.timeline, target=target)
    with pytest.raises(ProbeError) as told:
        flasher.check()
    assert f"flasher.target = {target!r}" in told.value.message
    assert f"{nearest!r}" in told.value.message
    with pytest.raises(ProbeError) as told:
        flasher.open()
    assert "target" in told.value.help
    board.flasher().open()


@pytest.mark.parametrize("target", ["nrf52840", "cortex_m", "stm32f103rc"])
def test_a_target_that_is_another_chip_is_told_before_anything_is_flashed_by_it(
    board: Board, target: str
) -> None:
    with pytest.raises(ProbeError, match="no nRF91"):
        SwdFlasher("dk", UID, board.timeline, target=target).check()


def test_names_are_compared_as_pyocd_compares_them(board: Board) -> None:
    SwdFlasher("dk", UID, board.timeline, target="NRF91").check()
