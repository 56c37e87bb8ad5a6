"""An instrument that answers nonsense to any one question: whatever comes of it is a `BenchError`."""

import contextlib

import pytest
from instrument_rig import AttenuatorBench, SupplyBench

from bench.errors import BenchError
from bench.instruments.models import DRIVERS, is_supply
from bench.instruments.wires.http_wire import HttpWire
from bench.instruments.wires.serial_wire import SerialWire
from bench.instruments.wires.transport import Transport

NONSENSE = ("", "?", "-1", "9.91E37", "1,2;3", "\x00\ufffd" * 40)
AS_TEXT = ((Transport, "_receive"), (HttpWire, "_get"))
AS_BYTES = ((SerialWire, "_until_silence"), (SerialWire, "_exactly"))


class Replies:
    """Counts the replies of all wires, and puts `nonsense` in place of number `at`."""

    def __init__(self, monkeypatch):
        self.count, self.at, self.nonsense = 0, None, ""
        for kind, name in AS_TEXT:
            self._patch(monkeypatch, kind, name, lambda text, reply: text)
        for kind, name in AS_BYTES:
            self._patch(monkeypatch, kind, name, self._as_bytes)

    def _patch(self, monkeypatch, kind, name, convert):
        original = getattr(kind, name)

        def replaced(wire, *arguments):
            reply = original(wire, *arguments)
            self.count += 1
            return convert(self.nonsense, reply) if self.count == self.at else reply

        monkeypatch.setattr(kind, name, replaced)

    @staticmethod
    def _as_bytes(text, reply):
        return text.encode("latin-1", "replace").ljust(len(reply), b"?")[: len(reply)]

    def begin(self, at, nonsense):
        self.count, self.at, self.nonsense = 0, at, nonsense


def use_supply(supply):
    channel = supply.channel(1)
    channel.voltage = 3.7
    channel.current_limit = 0.5
    for name, value in (("ovp", 5.0), ("ocp", True)):
        with contextlib.suppress(BenchError):
            setattr(channel, name, value)
    channel.output = True
    channel.measure_voltage()
    channel.measure_current()
    _ = channel.regulation, channel.tripped
    channel.clear_protection()
    supply.switch_off()


def use_attenuator(attenuator):
    path = attenuator.path()
    path.attenuation = 12
    _ = path.attenuation


def use_voltmeter(voltmeter):
    voltmeter.measure_voltage()


SUPPLIES = [name for name in DRIVERS if is_supply(name)]
ATTENUATORS = [
    name for name in DRIVERS if not is_supply(name) and name not in ("nordic_ppk2", "scpi_voltmeter")
]


@pytest.mark.parametrize("driver", [*SUPPLIES, *ATTENUATORS, "scpi_voltmeter"])
def test_only_bench_errors_come_of_it(driver, monkeypatch):
    replies = Replies(monkeypatch)
    bench = AttenuatorBench(driver) if driver in ATTENUATORS else SupplyBench(driver)
    use = use_supply if is_supply(driver) else use_attenuator if driver in ATTENUATORS else use_voltmeter

    def run(at=None, nonsense=""):
        bench.clock.sleep(1, "some are deaf for a while after a command")
        replies.begin(at, nonsense)
        opened = bench.open(timeout=0.3)
        try:
            use(opened)
        finally:
            opened.close()

    run()
    total = replies.count
    assert total >= 3
    escaped = []
    for at in range(1, total + 1):
        for nonsense in NONSENSE:
            try:
                run(at, nonsense)
            except BenchError:
                pass
            except Exception as fault:
                escaped.append((at, nonsense, fault))
    run()  # and it still works
    bench.close()
    assert escaped == []
