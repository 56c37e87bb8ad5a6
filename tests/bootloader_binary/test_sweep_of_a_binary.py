"""Power cuts at the flash operations of machine code: one bootloader survives, a forgetful one is found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench.config import Bench
from bench.dut.hardware import HardwareDut
from bench.firmware_update.states import Delivery
from bench.power_cuts.report import CutResult, as_json, as_table, failed
from bench.power_cuts.sweep import Sweep
from bench.station import Station

MakeBench = Callable[..., Bench]


@contextmanager
def prepared(bench: Bench) -> Iterator[Sweep]:
    with Station(bench) as station:
        dut = station.duts["own"]
        assert isinstance(dut, HardwareDut)
        made = Sweep(dut, station.updates, station.flash_stage("own"), station.clock, 0)
        made.prepare(Delivery.PUSH, dut.images.update)
        yield made


def cut(bench: Bench, step: int, phases: tuple[str, ...]) -> list[CutResult]:
    with prepared(bench) as made:
        cuts = [one for one in made.cuts if one.phase in phases]
        begin = time.process_time()
        results = [made.run(one) for one in cuts[::step]]
        seconds = time.process_time() - begin
    print(as_table(results))
    print(f"{len(results)} cuts of a binary in {seconds:.1f} s of a processor: "
          f"{60 * len(results) / seconds:.0f} a minute")  # fmt: skip
    return results


def test_a_bootloader_that_resumes_survives_and_twice_the_same(make_bench: MakeBench) -> None:
    bench = make_bench()
    phases = ("download", "swap", "first boot", "confirm")
    first, second = cut(bench, 23, phases), cut(bench, 23, phases)
    assert failed(first) == []
    assert {result.booted for result in first} == {"old", "new"}
    assert as_json("own", 0, first) == as_json("own", 0, second)


def test_a_bootloader_that_does_not_resume_is_found(make_bench: MakeBench) -> None:
    problems = failed(cut(make_bench("NO_RESUME"), 23, ("swap",)))
    assert problems
    assert {result.booted for result in problems} == {"nothing"}
    assert all("nothing to start" in result.problem for result in problems)
