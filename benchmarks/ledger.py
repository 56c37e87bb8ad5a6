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
PHASE = {"node": "testcases/test_successful_update.py::test_push_succeeds[nrf9160-push]", "when": "call"}


def times(call: Callable[[], object]) -> list[float]:
    """Milliseconds of each of `LINES` calls."""
    found = []
    for _ in range(LINES):
        start = time.perf_counter()
        call()
        found.append((time.perf_counter() - start) * 1e3)
    return found


def main() -> None:
    where = sys.argv[1] if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(dir=where) as folder:
        with Ledger(Path(folder)) as ledger:
            ours = times(lambda: ledger.write("phase", cause="none", seconds=1.5, message="", **PHASE))
            size = ledger.path.stat().st_size // LINES
        bare_file = os.open(Path(folder) / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        content = b"x" * size

        def bare() -> None:
            os.write(bare_file, content)
            os.fsync(bare_file)

        plain = times(bare)
        os.close(bare_file)
    for name, found in (("ledger line", ours), ("bare write and fsync", plain)):
        ranked = sorted(found)
        print(
            f"{name:22} median {ranked[len(ranked) // 2]:.3f} ms, 99 % {ranked[len(ranked) * 99 // 100]:.3f} ms"
        )
    print(f"ratio of the medians: {statistics.median(ours) / statistics.median(plain):.2f}")


if __name__ == "__main__":
    main()
