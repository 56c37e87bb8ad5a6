"""A board that lives on after its output went off is a fault of the bench, wherever power is cut or sinks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.attached import attached
from bench.config import Bench, load_bench
from bench.dut.hardware import HardwareDut
from bench.errors import FlashError, InstrumentError
from bench.evidence.run_verdict import ExitStatus
from bench.firmware_update.states import Delivery
from bench.instruments.power_supply import OffReadback, SupplyChannel
from bench.power_cuts.by_supply import Moment, SupplyCuts
from bench.station import Station
from bench.virtual.instruments.scpi_supply import ScpiSupply
from bench.virtual.plant import VirtualBench
from bench.virtual.power.rail import Rail

ROOT = Path(__file__).parents[2]
FILE = ROOT / "boards" / "virtual.toml"
USB = (3.3, 0.5)
"""Volts and amperes of a board that is fed through its USB socket, behind its regulator."""


@dataclass(frozen=True)
class Fed:
    station: Station
    dut: HardwareDut
    rail: Rail
    plant: VirtualBench

    @property
    def alive(self) -> bool:
        return self.plant.boards[self.dut.name].powered

    def times(self, kind: str, text: str) -> list[float]:
        return [e.time for e in self.station.timeline if (e.kind, e.text) == (kind, text)]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Bench], Fed]]:
    """Opens a bench of one board; the test closes it."""
    seen: list[VirtualBench] = []
    started = VirtualBench.start

    def start(plant: VirtualBench) -> object:
        seen.append(plant)
        return started(plant)

    monkeypatch.setattr(VirtualBench, "start", start)
    stations: list[Station] = []

    def open_(bench: Bench) -> Fed:
        stations.append(Station(bench, seed=5).__enter__())
        ((name, dut),) = stations[-1].duts.items()
        assert isinstance(dut, HardwareDut)
        plant = seen[-1]
        return Fed(stations[-1], dut, plant.rails[plant.bench.settings.boards[name].supply], plant)

    yield open_
    for station in stations:
        station.close()


@pytest.fixture
def fed(request: pytest.FixtureRequest, opened: Callable[[Bench], Fed]) -> Fed:
    return opened(load_bench(FILE, (getattr(request, "param", "nrf9160"),)))


def on(*boards: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("fed", boards, indirect=True)


def running(fed: Fed) -> Fed:
    fed.dut.install(fed.dut.images.baseline)
    fed.station.updates.commission(fed.dut)
    return fed


def cuts_of(fed: Fed) -> SupplyCuts:
    return SupplyCuts(fed.dut, fed.station.updates, Delivery.PULL, fed.station.clock, fed.station.timeline)


def lowered(fed: Fed) -> None:
    low = fed.dut.type.supply.low
    with fed.dut.fed_with(voltage=low):
        pass


OFF: dict[str, Callable[[Fed], object]] = {
    "power_off": lambda f: f.dut.power_off(),
    "power_cycle": lambda f: f.dut.power_cycle(),
    "restart": lambda f: f.station.updates.restart(f.dut),
    "install": lambda f: f.dut.install(f.dut.images.baseline),
    "recover": lambda f: f.dut._interrupt_supply(),
    "make_safe": lambda f: f.dut.make_safe(),
    "clean_cut": lambda f: cuts_of(f).clean_cut(),
    "start_over": lambda f: cuts_of(f).start_over(),
}
LOWER: dict[str, Callable[[Fed], object]] = {
    "brown_out": lambda f: cuts_of(f).brown_out(),
    "ramp_supply": lambda f: f.dut.ramp_supply(f.dut.type.supply.dead, 1.0),
    "fed_with": lowered,
}


@pytest.mark.parametrize(
    ("fed", "way"),
    [*(("nrf9160", way) for way in OFF), ("esp32", "power_off"), ("esp32", "install")],
    indirect=["fed"],
)
def test_a_board_that_is_fed_otherwise_is_no_cut(fed: Fed, way: str) -> None:
    running(fed)
    fed.rail.back_feed(*USB)
    begin = fed.station.clock.now()
    with pytest.raises(InstrumentError) as told:
        OFF[way](fed)
    assert fed.alive
    limit = fed.dut.type.off_below
    assert told.value.message == (
        f"{fed.dut.name}: its supply {fed.dut.supply.name} is off, and yet its rail has 3.30 V after 10 s, "
        f"by {fed.dut.supply.name}; below {limit:g} V it would be off"
    )
    for cause in ("USB", "serial adapter", "battery", "probe", "capacitors", "discharge"):
        assert cause in told.value.help
    assert fed.station.clock.now() - begin < fed.dut.type.supply.discharge + 5
    assert not fed.dut.supply.output  # left off all the same
    fed.rail.back_feed(0, 0)
    fed.dut.power_cycle()  # and with the plug out it is a cut


def test_a_rail_that_stays_up_does_not_hide_why_an_installation_failed(
    fed: Fed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(*_: object) -> None:
        fed.rail.back_feed(*USB)
        raise FlashError("the page is worn")

    monkeypatch.setattr(type(fed.dut.flasher), "erase", torn)
    with pytest.raises(FlashError, match="the page is worn"):
        fed.dut.install(fed.dut.images.baseline)
    assert not fed.dut.supply.output


@pytest.mark.parametrize("way", LOWER)
def test_a_board_that_is_fed_otherwise_does_not_sag(fed: Fed, way: str) -> None:
    running(fed)
    fed.rail.back_feed(3.5 if way == "fed_with" else 3.3, 0.5)
    with pytest.raises(
        InstrumentError, match=r"gives [\d.]+ V, and yet its rail has 3\.[35]0 V after 10 s, by"
    ) as told:
        LOWER[way](fed)
    assert fed.alive
    assert "USB" in told.value.help


def test_a_back_fed_board_is_told_at_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    made = VirtualBench._rail

    def fed_rail(plant: VirtualBench, name: str) -> Rail:
        rail = made(plant, name)
        rail.back_feed(*USB)
        return rail

    monkeypatch.setattr(VirtualBench, "_rail", fed_rail)
    with pytest.raises(
        InstrumentError, match=r"nrf9160: its supply psu:1 is off, and yet its rail has 3\.30 V"
    ):
        Station(load_bench(FILE, ("nrf9160",)), seed=5).__enter__()


def test_closing_does_not_wait_for_a_rail(fed: Fed) -> None:
    running(fed)
    fed.rail.back_feed(*USB)
    begin = fed.station.clock.now()
    fed.dut.close()
    assert fed.station.clock.now() == begin
    assert not fed.dut.supply.output


@on("nrf9160", "esp32")
def test_the_cut_is_when_the_output_goes_off_and_the_pause_begins_when_the_rail_is_down(fed: Fed) -> None:
    running(fed)
    fed.rail.bleed, fed.rail.capacitance = 470.0, 4.7e-3
    begin = fed.station.clock.now()
    fed.dut.power_cycle(off_time=1.0)
    (off,) = [t for t in fed.times("power", "off") if t >= begin]
    assert off - begin < 0.01
    (down,) = [e for e in fed.station.timeline if e.kind == "power" and e.text.startswith("rail down to ")]
    on = fed.times("power", "on")[-1]
    assert down.time - off > 0.5
    assert on - down.time == pytest.approx(1.0, abs=0.02)
    assert fed.alive
    fed.station.updates.await_registered(fed.dut, after=down.time)


def test_a_rail_that_is_down_at_once_takes_no_time(fed: Fed) -> None:
    running(fed)
    begin = fed.station.clock.now()
    fed.dut.power_off()
    assert fed.station.clock.now() - begin < 0.01
    assert not [e for e in fed.station.timeline if "rail down" in e.text]


def test_capacitors_that_take_too_long_are_told(fed: Fed) -> None:
    running(fed)
    fed.rail.bleed, fed.rail.capacitance = 10_000.0, 10e-3
    with pytest.raises(InstrumentError, match=r"its rail has [12]\.\d\d V after 10 s"):
        fed.dut.power_off()
    assert not fed.alive  # dead by brown-out, and yet not off


def test_a_cut_that_the_board_does_not_notice_passes_no_testcase(fed: Fed) -> None:
    """It goes on with its swap, registers with the new version, and nobody would see that nothing was cut."""
    running(fed)
    cuts = cuts_of(fed)
    swap = next(window for window in cuts.reference() if window.phase == "swap")

    def with_the_plug_in() -> float:
        fed.rail.back_feed(*USB)
        return cuts.clean_cut()

    with pytest.raises(InstrumentError, match=r"is off, and yet its rail has 3\.30 V"):
        cuts.survive([Moment(swap, 0.5)], with_the_plug_in)


# ---- who measures


def told(fed: Fed) -> list[str]:
    return [e.text for e in fed.station.timeline if e.kind == "power" and "not proved" in e.text]


def test_a_readback_of_which_nobody_says_what_it_shows_is_no_proof_and_said_once(fed: Fed) -> None:
    assert fed.dut.supply.off_readback is OffReadback.UNCONFIRMED
    for _ in range(3):
        fed.dut.power_on()
        fed.dut.power_off()
    name, supply = fed.dut.name, fed.dut.supply.name
    reason = (
        f"with its output off {supply} may show its own voltage, whatever lies at its terminals, and {name} "
        "has no voltmeter"
    )
    assert told(fed) == [f"power cuts are not proved: {reason}"]
    assert attached(fed.station)["boards"][name]["power_cuts"] == f"not proved: {reason}"


def test_a_readback_of_the_terminals_is_proof(fed: Fed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SupplyChannel, "off_readback", OffReadback.TERMINALS)
    fed.dut.power_on()
    count = len(told(fed))
    fed.dut.power_off()
    assert len(told(fed)) == count
    assert attached(fed.station)["boards"][fed.dut.name]["power_cuts"] == f"measured by {fed.dut.supply.name}"


def test_a_readback_that_shows_only_itself_is_not_asked(fed: Fed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SupplyChannel, "off_readback", OffReadback.OWN)
    monkeypatch.setattr(ScpiSupply, "sees_terminals", False)
    running(fed)
    fed.rail.back_feed(*USB)
    mark = len(list(fed.station.timeline))
    fed.dut.power_off()  # nobody can know better
    assert not [e for e in list(fed.station.timeline)[mark:] if "MEAS:VOLT" in e.text]
    assert "not proved: with its output off" in attached(fed.station)["boards"][fed.dut.name]["power_cuts"]


def test_a_readback_that_has_no_reading_is_no_fault_and_no_proof(
    fed: Fed, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = ScpiSupply._reading

    def only_when_on(psu: ScpiSupply, number: int, which: int, step: float) -> str:
        return read(psu, number, which, step) if psu.outputs[number].live else "9.91E+37"

    monkeypatch.setattr(ScpiSupply, "_reading", only_when_on)
    fed.dut.power_on()
    fed.dut.power_off()
    assert (
        attached(fed.station)["boards"]["nrf9160"]["power_cuts"]
        == "not proved: with its output off psu:1 has no reading, and nrf9160 has no voltmeter"
    )


@pytest.fixture
def with_voltmeter(opened: Callable[[Bench], Fed], tmp_path: Path) -> Fed:
    for file in FILE.parent.glob("virtual*.toml"):
        (tmp_path / file.name).write_text(file.read_text("utf-8"), "utf-8")
    text = FILE.read_text("utf-8")
    dmm = '[instruments.dmm]\ndriver = "scpi_voltmeter"\naddress = "TCPIP::127.0.0.1::0::SOCKET"\n\n'
    text = text.replace("[boards.nrf9160]", dmm + "[boards.nrf9160]").replace(
        'meter = "ppk2:1"', 'meter = "ppk2:1"\nvoltmeter = "dmm"'
    )
    (tmp_path / "virtual.toml").write_text(text, "utf-8")
    return opened(load_bench(tmp_path / "virtual.toml", ("nrf9160",)))


def test_a_voltmeter_finds_what_such_a_readback_hides(
    with_voltmeter: Fed, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed = with_voltmeter
    monkeypatch.setattr(SupplyChannel, "off_readback", OffReadback.OWN)
    monkeypatch.setattr(ScpiSupply, "sees_terminals", False)
    running(fed)
    assert told(fed) == []
    assert attached(fed.station)["boards"]["nrf9160"]["power_cuts"] == "measured by dmm"
    fed.dut.power_cycle()
    fed.rail.back_feed(*USB)
    with pytest.raises(
        InstrumentError, match=r"psu:1 is off, and yet its rail has 3\.30 V after 10 s, by dmm; below"
    ):
        fed.dut.power_cycle()


# ---- in a run

PLUGIN = """
from bench.power_cuts.by_supply import SupplyCuts
from bench.virtual.plant import VirtualBench

plants = []
start, cut = VirtualBench.start, SupplyCuts.clean_cut

def begin(plant):
    plants.append(plant)
    return start(plant)

def cut_with_the_plug_in(cuts):
    rail = plants[-1].rails[plants[-1].bench.settings.boards["nrf9160"].supply]
    with plants[-1].scheduler.lock:
        rail.back_feed(3.3, 0.5)
    try:
        return cut(cuts)
    finally:
        with plants[-1].scheduler.lock:
            rail.back_feed(0, 0)

VirtualBench.start = begin
SupplyCuts.clean_cut = cut_with_the_plug_in
"""


def test_testcases_that_cut_power_are_broken_not_passed(tmp_path: Path) -> None:
    (tmp_path / "plugged.py").write_text(PLUGIN, "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "plugged"]
    command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path), "--board", "nrf9160"]
    command += [
        "--bench",
        str(FILE),
        "--pictures=none",
        "--bench-retries=0",
        "--results",
        str(tmp_path / "results"),
    ]
    command += [
        str(ROOT / "testcases" / "test_power_cut.py"),
        "-k",
        "test_power_cuts and pull",
        "--power-cuts=1",
    ]
    path = os.pathsep.join([str(ROOT), str(tmp_path)])
    run = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert run.returncode == ExitStatus.BENCH, run.stdout[-3000:] + run.stderr[-2000:]
    assert "is off, and yet its rail has 3.30 V" in run.stdout
    assert "1 failed" in run.stdout
