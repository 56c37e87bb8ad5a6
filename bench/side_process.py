"""Processes of the bench's own beside the one that tests: what they have in common."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any


def side_process(module: str) -> dict[str, Any]:
    """For `subprocess.Popen`: runs `module` with what this process can import.

    Ctrl-C, and a signal to the bench's process group, are not for it: it ends when its standard input does.
    """
    made: dict[str, Any] = {
        "args": [sys.executable, "-m", module],
        "env": {**os.environ, "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)},
    }
    if sys.platform == "win32":
        made["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP
    else:
        made["start_new_session"] = True
    return made
