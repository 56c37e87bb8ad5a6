"""What is plugged in at USB, as far as it can be known without opening anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from serial.tools import list_ports

SEGGER = 0x1366
"""USB vendor id of SEGGER (the USB-IF's list of vendors; `99-jlink.rules` of SEGGER's software)."""
JLINK_AS_CMSIS_DAP = 0x1008
"""Product id of a J-Link that was set to boot as a CMSIS-DAP probe (mcuoneclipse.com, 2023-04-30)."""


@dataclass(frozen=True, slots=True)
class UsbDevice:
    """`serial` and `name` where they can be read: opening a device for them may not be allowed."""

    vendor: int
    product: int
    serial: str = ""
    name: str = ""

    @property
    def is_jlink(self) -> bool:
        """Whether it speaks SEGGER's own protocol, for which SEGGER's library is needed."""
        return self.vendor == SEGGER and self.product != JLINK_AS_CMSIS_DAP

    def __str__(self) -> str:
        told = " ".join(part for part in (self.name, self.serial) if part)
        return f"{told} ({self.vendor:04x}:{self.product:04x})".strip()


SYSFS = Path("/sys/bus/usb/devices")
"""Where Linux tells everybody of every device, its serial number too: pyserial reads the same files for
serial ports (list_ports_linux.py). Other systems have no such folder."""


def usb_devices() -> list[UsbDevice]:
    """One entry for each device, by what the operating system tells and by libusb."""
    found = {(d.vendor, d.product, d.serial.lstrip("0")): d for d in (*_by_sysfs(), *_by_ports())}
    ids = {(d.vendor, d.product) for d in found.values()}
    for device in _by_libusb():
        if device.serial or (device.vendor, device.product) not in ids:
            found.setdefault((device.vendor, device.product, device.serial.lstrip("0")), device)
    return list(found.values())


def _by_sysfs() -> Iterator[UsbDevice]:
    for folder in sorted(SYSFS.glob("*")):
        vendor, product = _text(folder / "idVendor"), _text(folder / "idProduct")
        if vendor and product:
            yield UsbDevice(
                int(vendor, 16), int(product, 16), _text(folder / "serial"), _text(folder / "product")
            )


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", errors="replace").strip()
    except OSError:  # an interface has no such file, and a device may go while it is looked at
        return ""


def _by_ports() -> Iterator[UsbDevice]:
    for port in list_ports.comports():
        if port.vid is not None:
            yield UsbDevice(port.vid, port.pid or 0, port.serial_number or "", port.product or "")


def _by_libusb() -> Iterator[UsbDevice]:
    try:
        import libusb_package

        devices = list(libusb_package.find(find_all=True))
    except Exception:  # no libusb, no USB: then there is nothing more to be known, whatever the reason
        return
    for device in devices:
        yield UsbDevice(
            device.idVendor,
            device.idProduct,
            _string(device, "serial_number"),
            _string(device, "product"),
        )


def _string(device: object, name: str) -> str:
    try:
        return str(getattr(device, name) or "")
    except Exception:  # pyusb: ValueError and USBError where the device may not be opened
        return ""
