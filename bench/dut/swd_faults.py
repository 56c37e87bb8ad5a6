"""What pyOCD and the libraries below it raise, as errors of the bench with a cure.

pyOCD passes through what its back ends raise: `OSError` (pyusb's `USBError`, hidapi), `ValueError` (pyusb
without libusb), `DAPAccess.Error` and pylink's `JLinkException` (plain `Exception`s), `AssertionError` and
`AttributeError` (its own code on a probe that has gone). So whatever comes out of it is caught, at its edge
and nowhere else.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from pyocd.core import exceptions

from bench.errors import BenchError

UDEV = (
    "give your user the right to use the probe: on Linux install pyOCD's udev rules "
    "(github.com/pyocd/pyOCD, folder udev), then plug it in again"
)
_CURES = {
    errno.EACCES: UDEV,
    errno.EPERM: UDEV,
    errno.EBUSY: "another program has the probe: close it (an IDE, a GDB server, a second bench)",
    errno.ENODEV: "the probe left USB: plug it in again, at the PC itself and not at an unpowered hub",
    errno.ENOENT: "the probe left USB: plug it in again, at the PC itself and not at an unpowered hub",
    errno.EIO: "the probe's USB connection broke: plug it in again, with another cable",
    errno.EPIPE: "the probe's USB connection broke: plug it in again, with another cable",
    errno.ETIMEDOUT: "the probe does not answer: plug it in again, and update its firmware if it stays",
}
_EXPECTED = (exceptions.Error, OSError)
"""What pyOCD means to raise. Anything else keeps its traceback: it may be a bug, of whomever."""


@contextlib.contextmanager
def pyocd_errors_as(kind: type[BenchError], what: str, help: str) -> Iterator[None]:
    """Whatever is raised inside, but for errors of the bench, is a `kind` that begins with `what`.

    Its help is the cure of what was raised where one is known, else `help`.
    """
    try:
        yield
    except BenchError:
        raise
    except Exception as error:
        cause = None if isinstance(error, _EXPECTED) else error
        raise kind(f"{what}: {told(error)}", help=cure(error) or help) from cause


def told(error: Exception) -> str:
    """One line, never empty."""
    text = " ".join(str(error).split())
    if isinstance(error, _EXPECTED) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def cure(error: BaseException | None) -> str | None:
    """What helps against an error, by it or by what it came from; None where nothing in particular does."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, exceptions.ProbeDisconnected):
            return _CURES[errno.ENODEV]
        if isinstance(error, exceptions.TargetSupportError):
            return "correct flasher.target in the bench file (`pyocd list --targets` shows them)"
        if isinstance(error, OSError) and error.errno in _CURES:
            return _CURES[error.errno]
        if type(error).__name__ == "NoBackendError":
            return "install libusb, or the package libusb-package, for pyusb to find it"
        if type(error).__name__.startswith("JLink"):
            return "close other programs that use the J-Link; update its firmware and SEGGER's software"
        error = error.__cause__ or error.__context__
    return None
