"""The virtual ESP32's ROM bootloader answers as the mask ROM does, byte for byte: see data/esp32_rom.md."""

from __future__ import annotations

from typing import Any

from recordings import Agreement, records

from bench.virtual.esp32.chip import EN_RISE, Esp32Chip
from bench.virtual.esp32.slip import END, SlipDecoder, encode
from bench.virtual.scheduler import Scheduler
from bench.virtual.uart import VirtualUart

PATIENCE = 3.0
"""Simulated seconds; after so long a recording says that there was no answer."""

EXCHANGES = 1291


class DownloadMode:
    """A board of revision v3.0 in download mode, with erased flash."""

    def __init__(self) -> None:
        self.scheduler = Scheduler(1)
        self.uart = VirtualUart(self.scheduler, "esp")
        self.chip = Esp32Chip(
            self.scheduler, self.scheduler.rng("chip"), self.uart, mac="24:0a:c4:00:00:01", revision=300
        )
        self.uart.open()
        self.chip.power(True)
        self.uart.set_lines(False, True)
        self.scheduler.elapse(0.1)
        self.uart.set_lines(True, False)
        self.scheduler.elapse(2 * EN_RISE)
        self.uart.set_lines(False, False)
        assert b"waiting for download" in self.uart.read(4096, 0.0)

    def exchange(self, request: str) -> tuple[list[str], str]:
        """Replies in hexadecimal, and the text outside of packets."""
        self.uart.write(encode(bytes.fromhex(request)))
        self.scheduler.elapse(PATIENCE)
        received = self.uart.read(1 << 20, 0.0)
        packets, _, text = received.rpartition(END)
        return [packet.hex() for packet in SlipDecoder().feed(packets + END)], text.decode("ascii")


def compare(recording: dict[str, Any], replies: Agreement, texts: Agreement) -> None:
    board = DownloadMode()
    for number, recorded in enumerate(recording["exchanges"]):
        answer, text = board.exchange(recorded["request"])
        case = f"{recording['id']}, {number} ({recorded['name']})"
        replies.compare("exchanges", case, answer, recorded["replies"])
        texts.compare("texts outside of packets", case, text, recorded.get("text", ""))


def test_every_recorded_exchange_is_answered_byte_for_byte() -> None:
    replies, texts = Agreement(), Agreement()
    recordings = records("esp32_rom")
    assert sum(len(recording["exchanges"]) for recording in recordings) == EXCHANGES
    for recording in recordings:
        compare(recording, replies, texts)
    replies.whole()
    texts.whole()
