"""What is plugged in at USB, as far as it can be known without opening anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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


def usb_devices() -> list[UsbDevice]:
    """One entry for each device: its serial ports as the operating system lists them, the rest by libusb."""
    found = {(d.vendor, d.product, d.serial.lstrip("0")): d for d in _by_ports()}
    ids = {(d.vendor, d.product) for d in found.values()}
    for device in _by_libusb():
        if device.serial or (device.vendor, device.product) not in ids:
            found.setdefault((device.vendor, device.product, device.serial.lstrip("0")), device)
    return list(found.values())


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
