"""Names of pyOCD's targets, read without importing it: `bench check` must not wait a second for them."""

from __future__ import annotations

import ast
import difflib
import functools
import importlib.util
import re
from pathlib import Path


def normalised(target: str) -> str:
    """As pyOCD compares names: lower case, whatever is no letter or digit an underscore."""
    return re.sub(r"[^a-z0-9_]+", "_", target.lower())


@functools.cache
def builtin_targets() -> frozenset[str]:
    """Empty where pyOCD is not installed, or keeps its table elsewhere."""
    spec = importlib.util.find_spec("pyocd")
    folders = spec.submodule_search_locations if spec is not None else None
    if not folders:
        return frozenset()
    try:
        tree = ast.parse((Path(folders[0]) / "target" / "builtin" / "__init__.py").read_text("utf-8"))
    except (OSError, SyntaxError):
        return frozenset()
    tables = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Dict)
        and any(isinstance(name, ast.Name) and name.id == "BUILTIN_TARGETS" for name in node.targets)
    ]
    return frozenset(
        str(key.value) for table in tables for key in table.keys if isinstance(key, ast.Constant)
    )


def _pack_targets() -> frozenset[str]:
    """Those of the CMSIS packs installed for pyOCD. Imports it, which only unusual names pay for."""
    try:
        from pyocd.target.pack.pack_target import ManagedPacks

        return frozenset(normalised(device.part_number) for device in ManagedPacks.get_installed_targets())
    except Exception:  # no packs, a broken index: then there are none
        return frozenset()


def why_unknown(target: str) -> str | None:
    """What is wrong with a target's name, and the nearest one; None where pyOCD knows it."""
    name, known = normalised(target), builtin_targets()
    if not known or name in known:
        return None
    packs = _pack_targets()
    if name in packs:
        return None
    near = difflib.get_close_matches(name, sorted(known | packs), n=1, cutoff=0.0)
    return f"pyOCD knows no such target, the nearest is {near[0]!r} (`pyocd list --targets` shows all)"
