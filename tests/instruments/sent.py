"""Records what the drivers say to their instruments, apart from what a test sends by itself."""

import sys
from pathlib import Path

from bench.instruments import scpi
from bench.instruments.instrument import Instrument
from bench.instruments.models import DRIVERS
from bench.instruments.wires import wire

NAMES = {kind: name for name, kind in DRIVERS.items()}
WIRES = str(Path(wire.__file__).parent)
TESTS = str(Path(__file__).parents[1])
PASSED_THROUGH = ("set", "number", "switch")
"""Functions of `scpi` that send what their caller says."""


class Sent:
    """`lines`: driver and command, in order. Use it as a context."""

    def __init__(self, monkeypatch):
        self.lines = []
        self._drivers = {}
        make, log = Instrument.__init__, wire.Wire.log

        def made(instrument, name, transport, clock):
            make(instrument, name, transport, clock)
            self._drivers[id(transport)] = (transport, NAMES.get(type(instrument)))

        def logged(transport, text):
            if text.startswith("> ") and self._by_a_driver():
                self.lines.append((self._drivers.get(id(transport), (None, None))[1], text[2:]))
            log(transport, text)

        monkeypatch.setattr(Instrument, "__init__", made)
        monkeypatch.setattr(wire.Wire, "log", logged)

    @staticmethod
    def _by_a_driver():
        frame = sys._getframe(2)
        while frame is not None:
            code = frame.f_code
            through = code.co_filename == scpi.__file__ and code.co_name in PASSED_THROUGH
            if not code.co_filename.startswith(WIRES) and not through:
                return not code.co_filename.startswith(TESTS)
            frame = frame.f_back
        return False
