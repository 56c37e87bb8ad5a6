"""Simulated seconds per wall second, and peak memory, of the shipped testcases on the virtual bench.

Run: python benchmarks/whole_run.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]

RUN = """
import sys, pytest
code = pytest.main(["testcases/", "-q", "--no-header"])
try:
    import resource
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
except ImportError:  # Windows has no such call
    print("peak", "?")
sys.exit(code)
"""


def main() -> None:
    start = time.perf_counter()
    run = subprocess.run([sys.executable, "-c", RUN], cwd=ROOT, capture_output=True, text=True, check=True)
    wall = time.perf_counter() - start
    last = (ROOT / "results" / "timeline.jsonl").read_text("utf-8").splitlines()[-1]
    simulated = json.loads(last)["t"]
    peak = next(line.split()[1] for line in run.stdout.splitlines() if line.startswith("peak"))
    print(f"{wall:.1f} s wall, {simulated:.0f} s simulated: {simulated / wall:.0f} simulated s per wall s")
    print(f"peak memory {peak} MB")


if __name__ == "__main__":
    main()
