"""Instructions a second of a bootloader that is executed, and power cuts a minute.

Run: python benchmarks/bootloader_binary.py BENCH.toml BOARD [CUTS]
The bench file's board has virtual.bootloader = "binary". Times are of the processor, on one of them.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from bench.check import checked_bench
from bench.dut.hardware import HardwareDut
from bench.firmware_update.states import Delivery
from bench.power_cuts.report import as_table, describe, failed
from bench.power_cuts.sweep import Sweep
from bench.station import Station
from bench.virtual.nrf91.program.processor import Processor

CUTS = 200


class Counting:
    """Laid over the processor: instructions of whole slices, and the time that all of them took."""

    def __init__(self) -> None:
        self.instructions = 0
        self.seconds = 0.0
        run = Processor.run

        def counted(processor: Processor, count: int) -> str:
            begin = time.process_time()
            stopped = run(processor, count)
            self.seconds += time.process_time() - begin
            if stopped == "count":
                self.instructions += count
            return stopped

        Processor.run = counted  # type: ignore[method-assign, assignment]


def main(file: str, board: str, cuts: int) -> None:
    counting = Counting()
    with Station(checked_bench(Path(file), (board,))) as station:
        dut = station.duts[board]
        assert isinstance(dut, HardwareDut)
        sweep = Sweep(dut, station.updates, station.flash_stage(board), station.clock, 0)
        sweep.prepare(Delivery.PUSH, dut.images.update)
        chosen = sweep.cuts[:: max(1, len(sweep.cuts) // cuts)]
        begin = time.process_time()
        results = [sweep.run(cut) for cut in chosen]
        seconds = time.process_time() - begin
    print(as_table(results))
    for result in failed(results):
        print(describe(result))
    print(f"{counting.instructions / counting.seconds / 1e6:.0f} million instructions a second at least")
    rate = 60 * len(results) / seconds
    print(f"{len(results)} of {len(sweep.cuts)} cuts in {seconds:.0f} s: {rate:.0f} a minute")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else CUTS)
