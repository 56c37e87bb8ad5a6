"""What the shipped testcases cost on the virtual bench: CPU seconds, wall seconds, peak memory.

Run: python benchmarks/whole_run.py [further arguments of pytest, such as -k signal --pictures failed]

CPU seconds are those to compare: wall seconds depend on what else this PC does.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]

RUN = """
import json, sys, time, pytest

class Count:
    items = 0
    def pytest_collection_finish(self, session):
        self.items = len(session.items)
        self.started = time.process_time()

count = Count()
code = pytest.main(sys.argv[2:], plugins=[count])
found = {"code": code, "items": count.items, "start": count.started, "cpu": time.process_time()}
try:
    import resource
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    found["children"] = children.ru_utime + children.ru_stime
    found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
except ImportError:  # Windows has no such call
    pass
with open(sys.argv[1], "w", encoding="utf-8") as out:
    json.dump(found, out)
sys.exit(code)
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as work:
        results, told = Path(work) / "results", Path(work) / "told.json"
        command = [sys.executable, "-c", RUN, str(told), "testcases/", "-q", "--no-header"]
        command += ["--results", str(results), *sys.argv[1:]]
        begun = time.perf_counter()
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        wall = time.perf_counter() - begun
        if not told.exists():
            raise SystemExit(run.stdout[-3000:] + run.stderr[-3000:])
        found = json.loads(told.read_text("utf-8"))
        last = (results / "timeline.jsonl").read_text("utf-8").splitlines()[-1]
    if found["code"]:  # a selection is always inconclusive
        print(f"pytest ended with {found['code']}: {run.stdout.splitlines()[-1]}")
    simulated = json.loads(last)["t"]
    each = (found["cpu"] - found["start"]) / found["items"]
    print(f"{wall:.1f} s wall, {simulated:.0f} s simulated: {simulated / wall:.0f} simulated s per wall s")
    print(
        f"{found['cpu']:.1f} s CPU, of these {found['start']:.1f} s until {found['items']} testcases were"
        f" collected, then {each:.3f} s a testcase"
    )
    if "children" in found:
        print(f"{found['children']:.1f} s CPU of the processes beside it, which draw")
        print(f"peak memory {found['peak']} MB")


if __name__ == "__main__":
    main()
