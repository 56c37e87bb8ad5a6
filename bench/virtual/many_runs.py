"""What `bench mutants` and `bench seeds` share: an environment in which one pytest after the other starts."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping


@contextlib.contextmanager
def quick_starts() -> Iterator[Mapping[str, str]]:
    """The environment of this process, but with bytecode kept from one start to the next.

    Where the user wants none beside the sources it is kept in a folder of its own, which goes at the end:
    compiling everything anew, assertions rewritten, takes longer than many a testcase.
    """
    if not os.environ.get("PYTHONDONTWRITEBYTECODE"):
        yield os.environ
        return
    with tempfile.TemporaryDirectory(prefix="bytecode-", ignore_cleanup_errors=True) as kept:
        without = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        yield {**without, "PYTHONPYCACHEPREFIX": kept}
