"""Board files: how a cellular modem says who it is."""

from __future__ import annotations

from bench.config.table import Table


class ModemQuestion(Table):
    """`command` goes to the console; `answer` is a pattern of the line that holds what was asked for."""

    command: str
    answer: str


class ModemSettings(Table):
    """What is asked of the modem: its serial number (IMEI) and the version of its own firmware."""

    serial: ModemQuestion
    firmware: ModemQuestion
