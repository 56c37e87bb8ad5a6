"""Faults of the bench. Whatever is not a `BenchError` speaks about the product, or is a bug of ours."""

from __future__ import annotations

from bench.safe_text import safe


class BenchError(Exception):
    """The bench, not the device under test, failed.

    `message` names the thing and its value in one line; `help` names the cure.
    """

    def __init__(self, message: str, *, help: str = "") -> None:
        message, help = safe(message), safe(help)
        super().__init__(message)
        self.message = message
        self.help = help

    def __str__(self) -> str:
        return f"{self.message}\n  help: {self.help}" if self.help else self.message


class ConfigError(BenchError):
    """A bench file, board file or command-line option is wrong; nothing has been powered yet."""


class FileError(ConfigError):
    """A file from outside cannot be read within limits, or is not what it should be.

    `file` and `reason` are the halves of its message.
    """

    def __init__(self, file: object, reason: str, *, help: str) -> None:
        super().__init__(f"{file} {reason}", help=help)
        self.file, self.reason = file, reason


class ImageError(BenchError):
    """A file is not the firmware image it should be, or does not fit the board."""


class ProbeError(BenchError):
    """The debug probe is absent, is the wrong one, or lost its target."""


class LockedError(ProbeError):
    """A chip's protection (APPROTECT; the ESP32's security eFuses) forbids what was asked.

    Only an explicit recover may erase a chip.
    """


class WrongChipError(BenchError):
    """The chip, or the layout of its flash, is not what the board file is for; nothing was written to it."""


class FlashError(BenchError):
    """Programming, erasing or reading back the flash failed."""


class ConsoleError(BenchError):
    """The serial port is missing, in use, or went away and did not return."""


class InUseError(BenchError):
    """A board, probe, port or output belongs to another run at this moment; nothing has been touched."""


class InstrumentError(BenchError):
    """An instrument refused a setting, answered nonsense, or is not the one the bench file names."""


class OutputLeftOnError(InstrumentError):
    """An output could not be switched off, or not be seen to be: it may feed a board that nobody watches."""


class SupplyTripError(InstrumentError):
    """A protection of the supply has switched a board off: what the board drew can have done it."""


class NoReadingError(InstrumentError):
    """An instrument answered that it has no reading: not a number, or out of range."""


class MeasurementError(BenchError):
    """A current trace, or what was asked of it, cannot give a number that is right."""


class RadioError(BenchError):
    """A device's signal cannot be read, or cannot be brought to what was asked for."""


class ServerError(BenchError):
    """The LwM2M server could not start, or a device cannot be reached through it."""


class DeviceError(ServerError):
    """A device does not answer, or not so that it can be read: its fault or the bench's, nobody can tell."""


class NetworkError(BenchError):
    """The path between a device and the server cannot be opened, or is given an impossible setting."""


class WaitTimeout(BenchError):
    """Something that was waited for did not happen in time; the message says what and how long."""


class ConsoleTimeout(WaitTimeout):
    """A console did not print what was expected in time; the message holds the last lines it did print."""


class Inconclusive(BenchError):
    """Something was not seen, and nothing shows that it would have been: neither a pass nor a failure."""


class ReportError(BenchError):
    """A report cannot be rendered: something is not installed, or there are no results."""


class LedgerError(BenchError):
    """The ledger of a run cannot be written or read."""


class SignOffError(BenchError):
    """A sign-off cannot be made, signed or checked."""


class TestTimeout(WaitTimeout):
    """A testcase took longer than it may, in wall time; the message says what was being waited for."""

    __test__ = False  # no class of tests, whatever its name begins with


class PlantError(BenchError):
    """The virtual bench itself is at fault."""


class DeviceAnswer(Exception):
    """The device has answered, and not as a testcase needs that does not catch this: the product's fault."""


class NotApplicable(Exception):
    """A testcase asks for what this board, by its board file or its images, cannot do; the message says why.

    Neither a fault of the bench nor of the product: the testcase is reported as not applicable.
    """
