"""A simulated supply on the wire, and boards that are nothing but a load."""

from bench.instruments.models import open_instrument
from bench.timeline import Timeline
from bench.virtual.clock import VirtualClock
from bench.virtual.instruments.models import Wiring, start_instrument
from bench.virtual.power.rail import Rail
from bench.virtual.radio.path import RfPath
from bench.virtual.scheduler import Scheduler


class LoadBoard:
    """Takes `amps` while powered; comes up at 3.0 V, dies below 2.8 V."""

    def __init__(self, scheduler: Scheduler, rail: Rail, amps: float = 0.1) -> None:
        self.amps = amps
        self.powered = False
        self.history: list[tuple[float, float]] = []
        self._scheduler = scheduler
        self._rail = rail

    def set_supply(self, volts: float) -> None:
        self.history.append((self._scheduler.now, volts))
        if volts >= 3.0:
            self.powered = True
        elif volts < 2.8:
            self.powered = False

    def load(self, volts: float) -> float:
        return self.amps if self.powered else 0.0

    def take(self, amps: float) -> None:
        self.amps = amps
        self._rail.load_changed()


class Resistor:
    """Takes what flows through 10 ohms, at any voltage."""

    def set_supply(self, volts: float) -> None:
        pass

    def load(self, volts: float) -> float:
        return volts / 10


class SupplyBench:
    """A supply or meter with a board on rail 1, fed from outside where the instrument does not feed it."""

    def __init__(self, driver: str = "keysight_e36312a") -> None:
        self.driver = driver
        self.scheduler = Scheduler(1)
        self.clock = VirtualClock(self.scheduler)
        self.timeline = Timeline(self.clock)
        self.rails = {n: Rail(self.scheduler, resistance=0.05) for n in (1, 2, 3, 4)}
        self.board = LoadBoard(self.scheduler, self.rails[1])
        self.rails[1].attach(self.board)
        self.server = start_instrument(driver, Wiring(self.scheduler, self.rails))

    def open(self, **options):
        return open_instrument("psu", self.driver, self.server.address, self.clock, self.timeline, **options)

    def feed(self, volts: float = 3.7) -> None:
        with self.scheduler.lock:
            self.rails[1].drive(volts, 1.0)

    def take_at(self, delay: float, amps: float) -> None:
        """The board takes another current `delay` seconds from now."""
        self.scheduler.after(delay, lambda: self.board.take(amps))

    def close(self) -> None:
        self.server.close()
        self.clock.close()


class AttenuatorBench:
    """A simulated attenuator on eight radio paths. `server` starts it otherwise than its driver's default."""

    def __init__(self, driver: str, server=None) -> None:
        self.driver = driver
        self.scheduler = Scheduler(1)
        self.clock = VirtualClock(self.scheduler)
        self.timeline = Timeline(self.clock)
        self.paths = {name: RfPath() for name in "12345678"}
        wiring = Wiring(self.scheduler, paths=self.paths)
        self.server = start_instrument(driver, wiring) if server is None else server(wiring)

    def open(self, **options):
        return open_instrument("att", self.driver, self.server.address, self.clock, self.timeline, **options)

    def close(self) -> None:
        self.server.close()
        self.clock.close()


def power(supply, volts=3.7, amps=0.5):
    """Output 1 on; returns it."""
    channel = supply.channel(1)
    channel.voltage = volts
    channel.current_limit = amps
    channel.output = True
    return channel


def recorded(bench, meter, seconds):
    """What a configured meter gives for so many bench seconds from now."""
    meter.start()
    bench.clock.sleep(seconds, "measuring")
    meter.stop()
    return meter.read()
