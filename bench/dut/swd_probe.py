"""Finding one debug probe by its unique id, and saying why it is not there."""

from __future__ import annotations

from typing import Any

from pylink.library import Library
from pyocd.probe.aggregator import PROBE_CLASSES

from bench.dut.swd_faults import UDEV, cure, told
from bench.dut.usb_listing import UsbDevice, usb_devices
from bench.errors import ProbeError

JLINK_DIGITS = 12
"""A J-Link's serial number is a decimal one; USB pads it to so many digits, pylink tells it as a number."""
LIST_HELP = "plug the probe in, or correct flasher.uid in the bench file (`pyocd list` shows UIDs)"


def find_probe(name: str, uid: str) -> Any:
    """The pyOCD probe whose unique id is `uid`, never by position or by a part of it.

    Raises `ProbeError` where there is none, or more than one.
    """
    probes, failures = _listed()
    matching = [probe for unique_id, probe in probes if unique_id == uid]
    if len(matching) == 1:
        return matching[0]
    if matching:
        descriptions = ", ".join(str(probe.description) for probe in matching)
        raise ProbeError(
            f"{name}: {len(matching)} debug probes have the UID {uid}: {descriptions}",
            help="unplug all but one: clones of a probe often share their serial number",
        )
    present = sorted(unique_id for unique_id, _ in probes)
    message = f"{name}: no debug probe with UID {uid}; present: {', '.join(present) or 'none'}"
    message += "".join(f"; {kind} probes cannot be listed: {told(error)}" for kind, error in failures)
    for seen, help in (_segger(uid), _not_usable(uid)):
        if seen:
            raise ProbeError(f"{message}; {seen}", help=help)
    for other in present:
        if _plain(other) == _plain(uid):
            raise ProbeError(message, help=f"write flasher.uid = {other!r} in the bench file")
    raise ProbeError(message, help=_cure_of(failures) or LIST_HELP)


def _listed() -> tuple[list[tuple[str, Any]], list[tuple[str, Exception]]]:
    """Probes with their unique ids, and the kinds that could not be asked: one that fails hides no other."""
    probes: list[tuple[str, Any]] = []
    failures: list[tuple[str, Exception]] = []
    for kind, probe_class in PROBE_CLASSES.items():
        try:
            probes += [(probe.unique_id, probe) for probe in probe_class.get_all_connected_probes()]
        except Exception as error:  # anything, see swd_faults
            failures.append((kind, error))
    return probes, failures


def _cure_of(failures: list[tuple[str, Exception]]) -> str | None:
    return next((help for _, error in failures if (help := cure(error)) is not None), None)


def _plain(uid: str) -> str:
    """What two spellings of one serial number have in common: USB pads a J-Link's to twelve digits."""
    return uid.strip().lower().lstrip("0")


def _segger(uid: str) -> tuple[str, str]:
    """A J-Link without SEGGER's library is not listed at all, and pyOCD does not say so."""
    could_be = uid.isdecimal() and len(uid) <= JLINK_DIGITS
    links = [
        device
        for device in usb_devices()
        if device.is_jlink and (could_be or _plain(device.serial) in ("", _plain(uid)))
    ]
    if not links or _has_library():
        return "", ""
    return (
        f"J-Link seen on USB: {', '.join(map(str, links))}; SEGGER's library was not found",
        "install SEGGER's J-Link Software and Documentation Pack (pylink, which uses it, came with pyOCD)",
    )


def _has_library() -> bool:
    """Whether pylink finds SEGGER's library, and can load it."""
    try:
        return Library().dll() is not None
    except OSError:  # one for another processor, or half installed
        return False


def _not_usable(uid: str) -> tuple[str, str]:
    """The device is there, but pyOCD lists no probe that it could not open."""

    def is_it(device: UsbDevice) -> bool:
        return not device.is_jlink and bool(device.serial) and _plain(device.serial) == _plain(uid)

    device = next((device for device in usb_devices() if is_it(device)), None)
    if device is None:
        return "", ""
    return f"it is seen on USB: {device}, but cannot be opened as a probe", UDEV
