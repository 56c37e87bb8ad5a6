"""What a line of the ledger costs, against a bare write and fsync of as many bytes on the same disk.

Run: python benchmarks/ledger.py [FOLDER]
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.evidence.ledger import Ledger

LINES = 1000
PHASE = {
    "node": "testcases/test_successful_update.py::test_push_succeeds[nrf9160-push]",
    "when": "call",
    "cause": "none",
}


def milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3


def main() -> None:
    where = sys.argv[1] if len(sys.argv) > 1 else None
    ours, plain = [], []
    with tempfile.TemporaryDirectory(dir=where) as folder, Ledger(Path(folder)) as ledger:
        ledger.write("phase", **PHASE)
        content = b"x" * ledger.path.stat().st_size
        file = os.open(Path(folder) / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        def bare() -> None:
            os.write(file, content)
            os.fsync(file)

        for _ in range(LINES):  # in turns, for what else the disk does meets both
            ours.append(milliseconds(lambda: ledger.write("phase", **PHASE)))
            plain.append(milliseconds(bare))
        os.close(file)
    for name, found in (("ledger line", sorted(ours)), ("bare write and fsync", sorted(plain))):
        middle, late = found[LINES // 2], found[LINES * 99 // 100]
        print(f"{name:22} median {middle:.3f} ms, 99 % {late:.3f} ms")
    print(f"ratio of the medians: {statistics.median(ours) / statistics.median(plain):.2f}")


if __name__ == "__main__":
    main()
